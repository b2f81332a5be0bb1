//! The book of one instrument: price-time priority. Knows orders and prices, neither accounts nor margin.

use exchange_prefetch::prefetch_all;
use serde::{Deserialize, Serialize};

use crate::ladder::{Ladder, Level};
use crate::order::{Orders, NONE};
use crate::types::Side;

/// Bids and asks of one instrument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Book {
    bids: Ladder,
    asks: Ladder,
}

impl Default for Book {
    fn default() -> Self {
        Self { bids: Ladder::new(true), asks: Ladder::new(false) }
    }
}

#[inline]
fn index(ticks: i64) -> usize {
    usize::try_from(ticks).unwrap_or(0)
}

#[inline]
fn ticks(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

impl Book {
    #[inline]
    fn side(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    #[inline]
    fn side_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Asks for what an order of a side looks at first: see `lookout`.
    #[inline]
    pub fn approach(&self, side: Side) {
        prefetch_all(self.side(side));
        prefetch_all(self.side(side.opposite()));
    }

    /// Asks for what says where the queue at a price is.
    #[inline]
    pub fn approach_entry(&self, side: Side, ticks: i64) {
        self.side(side).approach_entry(index(ticks));
    }

    /// Asks for the queue at a price.
    #[inline]
    pub fn approach_level(&self, side: Side, ticks: i64) {
        self.side(side).approach_level(index(ticks));
    }

    /// Best price of a side, in ticks.
    #[inline]
    pub fn best(&self, side: Side) -> Option<i64> {
        self.side(side).best().map(ticks)
    }

    /// The queue at a price.
    #[inline]
    pub fn level(&self, side: Side, ticks: i64) -> Level {
        self.side(side).level(index(ticks))
    }

    /// Appends an order to the queue at its price; returns the lots now there.
    #[inline]
    pub fn link(&mut self, orders: &mut Orders, order: u32) -> i64 {
        let linked = orders.get_mut(order);
        let (side, ticks, leaves) = (linked.side, linked.ticks(), linked.leaves);
        linked.next = NONE;
        let (level, was_occupied) = self.side_mut(side).occupy(index(ticks));
        if !was_occupied {
            linked.previous = NONE;
            *level = Level { head: order, tail: order, lots: leaves };
            return leaves;
        }
        linked.previous = level.tail;
        orders.get_mut(level.tail).next = order;
        level.tail = order;
        level.lots += leaves;
        level.lots
    }

    /// Takes an order out of its queue; returns the lots left at the price.
    #[inline]
    pub fn unlink(&mut self, orders: &mut Orders, order: u32) -> i64 {
        let gone = orders.get(order);
        let (ticks, previous, next, leaves) = (gone.ticks(), gone.previous, gone.next, gone.leaves);
        let ladder = self.side_mut(gone.side);
        if previous == NONE && next == NONE {
            ladder.vacate(index(ticks));
            return 0;
        }
        let Some(level) = ladder.level_mut(index(ticks)) else { return 0 };
        if previous == NONE {
            level.head = next;
        } else {
            orders.get_mut(previous).next = next;
        }
        if next == NONE {
            level.tail = previous;
        } else {
            orders.get_mut(next).previous = previous;
        }
        level.lots -= leaves;
        level.lots
    }

    /// Takes lots off an order that stays in its queue; returns the lots left at the price.
    #[inline]
    pub fn reduce(&mut self, orders: &mut Orders, order: u32, lots: i64) -> i64 {
        let reduced = orders.get_mut(order);
        reduced.leaves -= lots;
        let (side, ticks) = (reduced.side, reduced.ticks());
        let Some(level) = self.side_mut(side).level_mut(index(ticks)) else { return 0 };
        level.lots -= lots;
        level.lots
    }

    /// Prices of a side from the best on, in ticks.
    pub fn prices(&self, side: Side) -> impl Iterator<Item = i64> + '_ {
        self.side(side).ticks().map(ticks)
    }

    /// Orders at a price, oldest first.
    pub fn queue<'a>(&self, orders: &'a Orders, side: Side, ticks: i64) -> impl Iterator<Item = u32> + 'a {
        let step = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(step(self.level(side, ticks).head), move |index| step(orders.get(*index).next))
    }

    /// Lots a taker of `side` could get at `limit` or better, counted no further than `wanted`.
    pub fn available(&self, side: Side, limit: i64, wanted: i64) -> i64 {
        let mut found: i64 = 0;
        for price in self.prices(side.opposite()) {
            if !reaches(side, limit, price) || found >= wanted {
                break;
            }
            found = found.saturating_add(self.level(side.opposite(), price).lots);
        }
        found.min(wanted)
    }
}

/// True when an order of `side` limited at `limit` may execute at `price`.
#[inline]
pub fn reaches(side: Side, limit: i64, price: i64) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}
