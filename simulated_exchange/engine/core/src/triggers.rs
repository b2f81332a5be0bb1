//! Orders that wait for a price: a store, ordered by the price that sets them off. It does not know what becomes of them.
//!
//! In which order they are set off: as their prices are reached, trade by trade; at one move of a price those nearest to
//! where it came from first; of equal ones the oldest first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::command::NewOrder;
use crate::terms::{StopKind, TriggerBy, TriggerDirection};

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
    /// Waiting orders per instrument.
    counts: Vec<u32>,
    /// Numbers of those whose price was reached, with that price, in their order.
    due: VecDeque<(u64, i64)>,
}

impl Waiting {
    fn place(&self) -> Place {
        let price = self.order.terms.trigger_price.0;
        let seen = if self.direction == TriggerDirection::Rise { price } else { -price };
        (self.order.instrument.0, self.order.terms.trigger_by, seen, self.id)
    }

    /// True when a price sets it off.
    pub fn is_reached(&self, price: i64) -> bool {
        match self.direction {
            TriggerDirection::Rise => price >= self.order.terms.trigger_price.0,
            _ => price <= self.order.terms.trigger_price.0,
        }
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

    /// True when orders are to be set off.
    #[inline]
    pub fn is_due(&self) -> bool {
        !self.due.is_empty()
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
            self.of_slot.contains(&(waiting.slot, waiting.id))
                && places.contains(&waiting.place()) != waiting.is_due
        };
        let due = self.waiting.values().filter(|waiting| waiting.is_due).count();
        counts == self.counts
            && self.of_slot.len() == self.waiting.len()
            && self.rising.len() + self.falling.len() + due == self.waiting.len()
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
        self.remove(waiting.id);
        self.side(waiting.direction).insert(waiting.place());
        self.of_slot.insert((waiting.slot, waiting.id));
        self.counts[usize::from(waiting.order.instrument.0)] += 1;
        self.waiting.insert(waiting.id, waiting);
    }

    /// Forgets an order. The number of one that was due stays where it is until its turn.
    pub fn remove(&mut self, id: u64) -> Option<Waiting> {
        let gone = self.waiting.remove(&id)?;
        self.of_slot.remove(&(gone.slot, id));
        self.counts[usize::from(gone.order.instrument.0)] -= 1;
        if !gone.is_due {
            self.side(gone.direction).remove(&gone.place());
        }
        Some(gone)
    }

    /// Notes that a price moved: what it reached is due.
    #[cold]
    pub fn reach(&mut self, instrument: u16, by: TriggerBy, price: i64) {
        for (direction, seen) in [(TriggerDirection::Rise, price), (TriggerDirection::Fall, -price)] {
            let places = self.side(direction);
            let reached: Vec<Place> = places
                .range((instrument, by, i64::MIN, 0)..=(instrument, by, seen, u64::MAX))
                .copied()
                .collect();
            for place in reached {
                self.side(direction).remove(&place);
                self.due.push_back((place.3, price));
                if let Some(waiting) = self.waiting.get_mut(&place.3) {
                    waiting.is_due = true;
                }
            }
        }
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
