//! Orders that wait for a price: a store, ordered by the price that sets them off. It does not know what becomes of them.
//!
//! In which order they are set off: as their prices are reached, trade by trade; at one move of a price those nearest to
//! where it came from first; of equal ones the oldest first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::command::NewOrder;
use crate::terms::{StopKind, Terms, TriggerBy, TriggerDirection};
use crate::trailing::{Trail, Trailing};
use crate::types::{Price, Side};

/// An order that waits for a price.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// Number of the order.
    pub id: u64,
    /// Position of its account-and-instrument slot.
    pub slot: u32,
    /// What kind it is.
    pub kind: StopKind,
    /// The order as it will come in.
    pub order: NewOrder,
    /// From where the price must come: never from either side.
    pub direction: TriggerDirection,
    /// The other one of a pair of take-profit and stop-loss; 0 for none.
    pub partner: u64,
    /// The order it came with; 0 for none.
    pub parent: u64,
    /// How far a trailing stop lets the price come back; 0 for others.
    pub distance: Price,
    /// Where an armed trailing stop is found.
    pub trail: Option<Trail>,
    /// Its price was reached; it is only a matter of its turn.
    pub is_due: bool,
    /// Market time of acceptance.
    pub created_market_ms: i64,
    /// Wall time of acceptance.
    pub created_wall_us: i64,
    /// Wall time of the last change.
    pub updated_wall_us: i64,
}

/// Place of a waiting order: instrument, price that counts, its trigger price seen from where the price comes (smallest
/// is nearest), number.
type Place = (u16, TriggerBy, i64, u64);

/// All waiting orders.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Triggers {
    waiting: BTreeMap<u64, Waiting>,
    of_slot: BTreeSet<(u32, u64)>,
    rising: BTreeSet<Place>,
    falling: BTreeSet<Place>,
    trailing: Trailing,
    /// Waiting orders per instrument.
    counts: Vec<u32>,
    /// Numbers of those whose price was reached, with that price, in their order.
    due: VecDeque<(u64, i64)>,
    /// Fills that concern take-profits and stop-losses and are not attended to yet; none between commands.
    #[serde(skip)]
    pub news: Vec<News>,
}

/// A fill that concerns take-profits and stop-losses.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// A slot that has some closed lots.
    Reduced {
        /// Slot.
        slot: u32,
        /// Nothing is left of the position.
        is_closed: bool,
    },
    /// An order that brings some filled.
    Filled {
        /// Number of the order.
        order: u64,
        /// Slot.
        slot: u32,
        /// Side of the order.
        side: Side,
        /// How much.
        lots: i64,
        /// What it brings.
        terms: Terms,
    },
}

impl Waiting {
    fn place(&self) -> Place {
        let price = self.order.terms.trigger_price.0;
        let seen = if self.direction == TriggerDirection::Rise { price } else { -price };
        (self.order.instrument.0, self.order.terms.trigger_by, seen, self.id)
    }

    /// True when a price reaches the one it waits for.
    pub fn is_reached(&self, price: i64) -> bool {
        reaches(self.direction, price, self.order.terms.trigger_price.0)
    }
}

fn reaches(direction: TriggerDirection, price: i64, trigger: i64) -> bool {
    if direction == TriggerDirection::Rise {
        price >= trigger
    } else {
        price <= trigger
    }
}

impl Triggers {
    /// No orders, for a number of instruments.
    pub fn new(instruments: usize) -> Self {
        Self { counts: vec![0; instruments], ..Self::default() }
    }

    /// True when orders wait in an instrument.
    #[inline]
    pub fn is_watched(&self, instrument: usize) -> bool {
        self.counts[instrument] != 0
    }

    /// True when orders are to be set off, or fills to be attended to.
    #[inline]
    pub fn has_work(&self) -> bool {
        !self.due.is_empty() || !self.news.is_empty()
    }

    /// The price that sets an order off now; that of an armed trailing stop moves.
    pub fn trigger_price(&self, waiting: &Waiting) -> Price {
        let moving = waiting.trail.as_ref().and_then(|trail| self.trailing.stop_price(trail));
        moving.map_or(waiting.order.terms.trigger_price, Price)
    }

    /// True when a price sets an order off now, or arms it.
    pub fn is_reached(&self, waiting: &Waiting, price: i64) -> bool {
        if waiting.trail.is_none() {
            return waiting.is_reached(price);
        }
        // it is armed where the position gains, and set off on the way back
        let back = if waiting.direction == TriggerDirection::Rise {
            TriggerDirection::Fall
        } else {
            TriggerDirection::Rise
        };
        reaches(back, price, self.trigger_price(waiting).0)
    }

    /// A waiting order.
    pub fn get(&self, id: u64) -> Option<&Waiting> {
        self.waiting.get(&id)
    }

    /// Every waiting order, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// The waiting orders of a slot, oldest first.
    pub fn of(&self, slot: u32) -> impl Iterator<Item = &Waiting> {
        let ids = self.of_slot.range((slot, 0)..=(slot, u64::MAX));
        ids.filter_map(|(_, id)| self.waiting.get(id))
    }

    /// Numbers and prices of those to be set off, in their order.
    pub fn due(&self) -> impl Iterator<Item = &(u64, i64)> {
        self.due.iter().filter(|(id, _)| self.waiting.contains_key(id))
    }

    /// Whether the indexes hold exactly the waiting orders, and nobody waits for a price that was reached.
    pub fn is_sound(&self) -> bool {
        let mut counts = vec![0_u32; self.counts.len()];
        for waiting in self.waiting.values() {
            let Some(count) = counts.get_mut(usize::from(waiting.order.instrument.0)) else { return false };
            *count += 1;
        }
        let is_indexed = |waiting: &Waiting| {
            let places =
                if waiting.direction == TriggerDirection::Rise { &self.rising } else { &self.falling };
            let is_placed = match &waiting.trail {
                Some(trail) => self.trailing.holds(trail, waiting.id),
                None => places.contains(&waiting.place()),
            };
            self.of_slot.contains(&(waiting.slot, waiting.id)) && is_placed != waiting.is_due
        };
        let due = self.waiting.values().filter(|waiting| waiting.is_due).count();
        counts == self.counts
            && self.of_slot.len() == self.waiting.len()
            && self.rising.len() + self.falling.len() + self.trailing.count() + due == self.waiting.len()
            && self.due().count() == due
            && self.waiting.values().all(is_indexed)
    }

    fn side(&mut self, direction: TriggerDirection) -> &mut BTreeSet<Place> {
        if direction == TriggerDirection::Rise {
            &mut self.rising
        } else {
            &mut self.falling
        }
    }

    /// Keeps an order until its price is reached, or another of the same number in its place.
    pub fn put(&mut self, waiting: Waiting) {
        self.take_out(waiting.id);
        if !waiting.is_due {
            self.side(waiting.direction).insert(waiting.place());
        }
        self.of_slot.insert((waiting.slot, waiting.id));
        self.counts[usize::from(waiting.order.instrument.0)] += 1;
        self.waiting.insert(waiting.id, waiting);
    }

    /// Forgets an order; its counterpart is left alone. The number of one that was due stays where it is until its turn.
    pub fn remove(&mut self, id: u64) -> Option<Waiting> {
        let gone = self.take_out(id)?;
        if let Some(partner) = self.waiting.get_mut(&gone.partner) {
            partner.partner = 0;
        }
        Some(gone)
    }

    /// Lets what came with an order stand on its own.
    pub fn orphan(&mut self, slot: u32, parent: u64) {
        for (_, id) in self.of_slot.range((slot, 0)..=(slot, u64::MAX)) {
            if let Some(waiting) = self.waiting.get_mut(id).filter(|waiting| waiting.parent == parent) {
                waiting.parent = 0;
            }
        }
    }

    fn take_out(&mut self, id: u64) -> Option<Waiting> {
        let gone = self.waiting.remove(&id)?;
        self.of_slot.remove(&(gone.slot, id));
        self.counts[usize::from(gone.order.instrument.0)] -= 1;
        match &gone.trail {
            _ if gone.is_due => {}
            Some(trail) => self.trailing.disarm(trail, id),
            None => {
                self.side(gone.direction).remove(&gone.place());
            }
        }
        Some(gone)
    }

    /// Notes that a price moved: what it reached is due; a trailing stop that waited for it is armed.
    #[cold]
    pub fn reach(&mut self, instrument: u16, by: TriggerBy, price: i64) {
        for (direction, seen) in [(TriggerDirection::Rise, price), (TriggerDirection::Fall, -price)] {
            let nearest = (instrument, by, i64::MIN, 0)..=(instrument, by, seen, u64::MAX);
            let mut reached: Vec<(i64, u64)> =
                self.side(direction).range(nearest).map(|place| (place.2, place.3)).collect();
            for (seen, id) in &reached {
                self.side(direction).remove(&(instrument, by, *seen, *id));
            }
            if by == TriggerBy::LastPrice {
                // a short position's stop is reached by a rise
                let is_short = direction == TriggerDirection::Rise;
                reached.extend(self.trailing.follow(instrument, is_short, price));
                reached.sort_unstable();
            }
            for (_, id) in reached {
                self.note_reached(id, price);
            }
        }
    }

    /// As `reach`, for a single order.
    pub fn reach_one(&mut self, id: u64, price: i64) {
        if let Some(place) = self.waiting.get(&id).map(Waiting::place) {
            self.rising.remove(&place);
            self.falling.remove(&place);
            self.note_reached(id, price);
        }
    }

    fn note_reached(&mut self, id: u64, price: i64) {
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        if waiting.kind == StopKind::TrailingStop && waiting.trail.is_none() {
            let (instrument, is_short) = (waiting.order.instrument.0, waiting.order.side == Side::Buy);
            waiting.trail = Some(self.trailing.arm(instrument, is_short, waiting.distance.0, id, price));
            return;
        }
        waiting.trail = None;
        waiting.is_due = true;
        self.due.push_back((id, price));
    }

    /// The next order to be set off, which is forgotten here, and the price that reached it.
    pub fn next_due(&mut self) -> Option<(Waiting, i64)> {
        loop {
            let (id, price) = self.due.pop_front()?;
            if let Some(waiting) = self.remove(id) {
                return Some((waiting, price));
            }
        }
    }
}
