//! Trailing stops that are armed: a store. Each follows the best last price since it was armed at a distance and is reached
//! when the price comes back that far.
//!
//! Prices are seen from the position: for a short one they are negated, so that higher is better for everybody. Those whose
//! best price is the same are one group; groups lie by the time at which their youngest member was armed, and the older a
//! group the better its best price. A new best price swallows the groups it beats, so that a move of the price costs no
//! more than the groups it ends and the stops it reaches, however many others there are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Stops with the same best price.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Group {
    best: i64,
    /// Distance and number.
    stops: BTreeSet<(i64, u64)>,
}

impl Group {
    /// The highest price that reaches one of them, negated, so that the nearest sorts first.
    fn nearest(&self) -> Option<i64> {
        self.stops.first().map(|(distance, _)| distance.saturating_sub(self.best))
    }
}

/// Armed stops of positions of one direction in one instrument.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Trails {
    /// By the arming of their youngest member.
    groups: BTreeMap<u64, Group>,
    /// The nearest stop of each group, negated, and the group.
    nearest: BTreeSet<(i64, u64)>,
}

/// All armed trailing stops.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trailing {
    /// By instrument and whether the position is short.
    trails: BTreeMap<(u16, bool), Trails>,
    /// Armings so far.
    armed: u64,
}

/// Where a trailing stop is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// Instrument.
    pub instrument: u16,
    /// Of a short position.
    pub is_short: bool,
    /// How far the price may come back.
    pub distance: i64,
    /// Number of its arming.
    pub armed: u64,
}

impl Trails {
    fn change<T>(&mut self, key: u64, change: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let group = self.groups.get_mut(&key)?;
        if let Some(nearest) = group.nearest() {
            self.nearest.remove(&(nearest, key));
        }
        let changed = change(group);
        match group.nearest() {
            Some(nearest) => {
                self.nearest.insert((nearest, key));
            }
            None => {
                self.groups.remove(&key);
            }
        }
        Some(changed)
    }

    /// The group that holds what was armed then.
    fn key_of(&self, armed: u64) -> Option<u64> {
        self.groups.range(armed..).next().map(|(key, _)| *key)
    }

    /// Takes out the stops that a price reaches: nearest first, of equal ones the oldest order first.
    fn reached(&mut self, seen: i64) -> Vec<(i64, u64)> {
        let mut reached = Vec::new();
        while let Some((nearest, key)) = self.nearest.first().copied() {
            if nearest > -seen {
                break;
            }
            let stop = self.change(key, |group| group.stops.pop_first()).flatten();
            reached.extend(stop.map(|(_, id)| (nearest, id)));
        }
        reached.sort_unstable();
        reached
    }

    /// Lets a new price be the best one of those it beats.
    fn raise(&mut self, seen: i64) {
        let mut risen = Group { best: seen, stops: BTreeSet::new() };
        let mut youngest = None;
        while let Some((&key, group)) = self.groups.last_key_value() {
            if group.best >= seen {
                break;
            }
            let Some(mut stops) = self.change(key, |group| std::mem::take(&mut group.stops)) else { break };
            youngest = youngest.or(Some(key));
            if stops.len() > risen.stops.len() {
                std::mem::swap(&mut stops, &mut risen.stops);
            }
            risen.stops.extend(stops);
        }
        if let Some(key) = youngest {
            self.join(key, risen);
        }
    }

    /// Adds a group, or its stops to the last one, when that has the same best price.
    fn join(&mut self, key: u64, group: Group) {
        match self.groups.last_key_value() {
            Some((&last, found)) if found.best == group.best => {
                let mut joined = self.change(last, std::mem::take).unwrap_or_default();
                joined.stops.extend(group.stops);
                self.groups.insert(key, joined);
            }
            _ => {
                self.groups.insert(key, group);
            }
        }
        if let Some(nearest) = self.groups.get(&key).and_then(Group::nearest) {
            self.nearest.insert((nearest, key));
        }
    }
}

impl Trailing {
    /// A price as a position sees it, and the other way round.
    pub const fn seen(price: i64, is_short: bool) -> i64 {
        if is_short {
            -price
        } else {
            price
        }
    }

    /// Arms a stop at the present price.
    pub fn arm(&mut self, instrument: u16, is_short: bool, distance: i64, id: u64, price: i64) -> Trail {
        self.armed += 1;
        let best = Self::seen(price, is_short);
        let stops = BTreeSet::from([(distance, id)]);
        let trails = self.trails.entry((instrument, is_short)).or_default();
        trails.raise(best);
        trails.join(self.armed, Group { best, stops });
        Trail { instrument, is_short, distance, armed: self.armed }
    }

    /// Takes a stop out.
    pub fn disarm(&mut self, trail: &Trail, id: u64) {
        let Some(trails) = self.trails.get_mut(&(trail.instrument, trail.is_short)) else { return };
        if let Some(key) = trails.key_of(trail.armed) {
            trails.change(key, |group| group.stops.remove(&(trail.distance, id)));
        }
    }

    /// The price that reaches a stop now.
    pub fn stop_price(&self, trail: &Trail) -> Option<i64> {
        let trails = self.trails.get(&(trail.instrument, trail.is_short))?;
        let group = trails.groups.get(&trails.key_of(trail.armed)?)?;
        Some(Self::seen(group.best.saturating_sub(trail.distance), trail.is_short))
    }

    /// Whether it is armed.
    pub fn holds(&self, trail: &Trail, id: u64) -> bool {
        let trails = self.trails.get(&(trail.instrument, trail.is_short));
        let group = trails.and_then(|trails| trails.groups.get(&trails.key_of(trail.armed)?));
        group.is_some_and(|group| group.stops.contains(&(trail.distance, id)))
    }

    /// How many are armed.
    pub fn count(&self) -> usize {
        self.trails.values().flat_map(|trails| trails.groups.values()).map(|group| group.stops.len()).sum()
    }

    /// Follows a trade at a price: what it reaches, as (where from the price came it lies, number), nearest first.
    pub fn follow(&mut self, instrument: u16, is_short: bool, price: i64) -> Vec<(i64, u64)> {
        let Some(trails) = self.trails.get_mut(&(instrument, is_short)) else { return Vec::new() };
        let seen = Self::seen(price, is_short);
        let reached = trails.reached(seen);
        trails.raise(seen);
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Arm(i64),
        Disarm(usize),
        Trade(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (1_i64..30).prop_map(Step::Arm),
            1 => (0_usize..50).prop_map(Step::Disarm),
            5 => (-20_i64..=20).prop_map(Step::Trade),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        /// The obvious model: every stop keeps its own best price and looks at every trade.
        #[test]
        fn every_stop_follows_for_itself(steps in steps(), is_short in any::<bool>()) {
            let mut trailing = Trailing::default();
            let mut naive: Vec<(u64, i64, i64, Trail)> = Vec::new();
            let (mut price, mut last) = (1000_i64, 0_u64);
            for step in steps {
                match step {
                    Step::Arm(distance) => {
                        last += 1;
                        let trail = trailing.arm(0, is_short, distance, last, price);
                        naive.push((last, distance, Trailing::seen(price, is_short), trail));
                    }
                    Step::Disarm(at) if at < naive.len() => {
                        let (id, .., trail) = naive.remove(at);
                        prop_assert!(trailing.holds(&trail, id));
                        trailing.disarm(&trail, id);
                        prop_assert!(!trailing.holds(&trail, id));
                    }
                    Step::Disarm(_) => {}
                    Step::Trade(change) => {
                        price += change;
                        let seen = Trailing::seen(price, is_short);
                        let mut expected: Vec<(i64, u64)> = naive
                            .iter()
                            .filter(|(_, distance, best, _)| seen <= best - distance)
                            .map(|(id, distance, best, _)| (distance - best, *id))
                            .collect();
                        expected.sort_unstable();
                        prop_assert_eq!(trailing.follow(0, is_short, price), expected.clone());
                        naive.retain(|stop| expected.iter().all(|(_, id)| *id != stop.0));
                        for stop in &mut naive {
                            stop.2 = stop.2.max(seen);
                        }
                    }
                }
                for (id, distance, best, trail) in &naive {
                    prop_assert!(trailing.holds(trail, *id));
                    let stop = Trailing::seen(best - distance, is_short);
                    prop_assert_eq!(trailing.stop_price(trail), Some(stop));
                }
                prop_assert_eq!(trailing.count(), naive.len());
            }
        }
    }
}
