//! Live orders: the slab they live in, and the list of each account's orders per instrument. No matching, no margin.

use std::collections::BTreeMap;

use exchange_prefetch::prefetch;
use serde::{Deserialize, Serialize};

use crate::fixed::saturate;
use crate::order_ids::OrderIds;
use crate::terms::{SelfMatch, StopKind, Terms};
use crate::types::{LinkId, OrderType, Side, TimeInForce};

/// No order.
pub const NONE: u32 = u32::MAX;

/// The part of an order that matching and margin touch: one cache line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Order {
    /// Number of the order.
    pub id: u64,
    /// Total quantity.
    pub lots: i64,
    /// Unfilled quantity.
    pub leaves: i64,
    /// What it costs while it rests; 0 for a reduce-only order.
    pub cost: i64,
    /// Price in ticks; see [`Order::ticks`].
    pub tick: i32,
    /// Position of its account.
    pub account: u32,
    /// Position of its account-and-instrument slot.
    pub slot: u32,
    /// Next younger order at the price.
    pub next: u32,
    /// Next older order at the price.
    pub previous: u32,
    /// Instrument.
    pub instrument: u16,
    /// Side.
    pub side: Side,
    /// Never grows a position.
    pub reduce_only: bool,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Limit or market.
    pub order_type: OrderType,
    /// Self-match prevention, for when it comes in again.
    pub self_match: SelfMatch,
    /// It has terms: see [`Orders::terms`].
    pub has_terms: bool,
    /// It was filled in part: see [`OrderDetail`].
    pub is_begun: bool,
}

/// What stands where no order was yet.
const NO_ORDER: Order = Order {
    id: 0,
    lots: 0,
    leaves: 0,
    cost: 0,
    tick: 0,
    account: 0,
    slot: 0,
    next: NONE,
    previous: NONE,
    instrument: 0,
    side: Side::Buy,
    reduce_only: false,
    time_in_force: TimeInForce::GoodTillCancel,
    order_type: OrderType::Limit,
    self_match: SelfMatch::Allow,
    has_terms: false,
    is_begun: false,
};

impl Order {
    /// Price in ticks.
    #[inline]
    pub fn ticks(&self) -> i64 {
        i64::from(self.tick)
    }
}

/// A price in ticks as orders keep it; prices never exceed 2^26 ticks.
#[inline]
pub fn small_tick(ticks: i64) -> i32 {
    i32::try_from(ticks).unwrap_or(i32::MAX)
}

/// The part of an order that only people ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderDetail {
    /// Client's identifier.
    pub link_id: LinkId,
    /// Market time of acceptance.
    pub created_market_ms: i64,
    /// Wall time of acceptance.
    pub created_wall_us: i64,
    /// Wall time of the last change.
    pub updated_wall_us: i64,
    /// Value filled so far.
    pub filled_value: i128,
    /// Fees paid so far.
    pub fee: i128,
}

/// What every order has of its [`OrderDetail`]. What few orders have is kept apart, so that the others don't pay for it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct History {
    created_market_ms: i64,
    created_wall_us: i64,
    updated_wall_us: i64,
}

/// What was filled of an order so far: value and fees.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Filled {
    value: i64,
    fee: i64,
}

/// Neighbours in the list of the account's orders in the instrument.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Siblings {
    younger: u32,
    older: u32,
}

/// All live orders.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Orders {
    live: Vec<Order>,
    histories: Vec<History>,
    siblings: Vec<Siblings>,
    link_ids: BTreeMap<u32, LinkId>,
    terms: BTreeMap<u32, (Terms, StopKind)>,
    filled: BTreeMap<u32, Filled>,
    free: Vec<u32>,
    #[serde(skip)]
    by_id: OrderIds,
}

/// As they are written down.
#[derive(Deserialize)]
struct Stored {
    live: Vec<Order>,
    histories: Vec<History>,
    siblings: Vec<Siblings>,
    link_ids: BTreeMap<u32, LinkId>,
    terms: BTreeMap<u32, (Terms, StopKind)>,
    filled: BTreeMap<u32, Filled>,
    free: Vec<u32>,
}

impl From<Stored> for Orders {
    fn from(stored: Stored) -> Self {
        let Stored { live, histories, siblings, link_ids, terms, filled, free } = stored;
        let mut orders =
            Self { live, histories, siblings, link_ids, terms, filled, free, by_id: OrderIds::default() };
        let lives = orders.lives();
        for (index, order) in (0..).zip(&orders.live) {
            if lives[index as usize] {
                orders.by_id.insert(order.id, index);
            }
        }
        orders
    }
}

/// Ends of an account's list of orders in one instrument, oldest first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OrderList {
    /// Oldest.
    pub oldest: u32,
    /// Youngest.
    pub youngest: u32,
    /// How many.
    pub count: u32,
}

impl Default for OrderList {
    fn default() -> Self {
        Self { oldest: NONE, youngest: NONE, count: 0 }
    }
}

impl Orders {
    /// Position of a live order.
    #[inline]
    pub fn find(&self, id: u64) -> Option<u32> {
        self.by_id.find(id, |index| self.live[index as usize].id == id)
    }

    /// Asks for the memory where a number is looked up: the first of three steps of `lookout`.
    #[inline]
    pub fn approach_number(&self, id: u64) {
        self.by_id.approach(id);
    }

    /// Where an order of a number may be; nothing of it is looked at.
    #[inline]
    pub fn guess(&self, id: u64) -> Option<u32> {
        self.by_id.find(id, |_| true)
    }

    /// Asks for the memory of the order at a position.
    #[inline]
    pub fn approach(&self, index: u32) {
        let place = index as usize;
        if let (Some(order), Some(history)) = (self.live.get(place), self.histories.get(place)) {
            prefetch(order);
            prefetch(history);
        }
    }

    /// The order at a position, if there is or was one.
    #[inline]
    pub fn peek(&self, index: u32) -> Option<&Order> {
        self.live.get(index as usize)
    }

    /// The same of what matching touches, if there is an order.
    #[inline]
    pub fn approach_order(&self, index: u32) {
        if let Some(order) = self.live.get(index as usize) {
            prefetch(order);
        }
    }

    /// Asks for the memory of an order's neighbours at its price.
    #[inline]
    pub fn approach_neighbours(&self, order: &Order) {
        self.approach_order(order.next);
        self.approach_order(order.previous);
    }

    /// The order at a position.
    #[inline]
    pub fn get(&self, index: u32) -> &Order {
        &self.live[index as usize]
    }

    /// The order at a position, to change.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> &mut Order {
        &mut self.live[index as usize]
    }

    /// The rarely read part of the order at a position.
    pub fn detail(&self, index: u32) -> OrderDetail {
        let history = self.histories[index as usize];
        let filled = self.filled.get(&index).copied().unwrap_or_default();
        OrderDetail {
            link_id: self.link_ids.get(&index).copied().unwrap_or_default(),
            created_market_ms: history.created_market_ms,
            created_wall_us: history.created_wall_us,
            updated_wall_us: history.updated_wall_us,
            filled_value: i128::from(filled.value),
            fee: i128::from(filled.fee),
        }
    }

    /// What the order at a position asks for beyond the plain, and what kind of order waited for a price.
    pub fn terms(&self, index: u32) -> (Terms, StopKind) {
        self.terms.get(&index).copied().unwrap_or_default()
    }

    /// Keeps what the order at a position asks for beyond the plain.
    pub fn keep_terms(&mut self, index: u32, terms: Terms, kind: StopKind) {
        let has_terms = !terms.is_none() || kind != StopKind::Plain;
        self.get_mut(index).has_terms = has_terms;
        if has_terms {
            self.terms.insert(index, (terms, kind));
        } else {
            self.terms.remove(&index);
        }
    }

    /// Notes that the order at a position changed.
    #[inline]
    pub fn note_change(&mut self, index: u32, wall_us: i64) {
        self.histories[index as usize].updated_wall_us = wall_us;
    }

    /// Notes a fill of the order at a position. An order's value is within `MONEY_MAX`.
    #[inline]
    pub fn note_fill(&mut self, index: u32, value: i128, fee: i128, wall_us: i64) {
        self.live[index as usize].is_begun = true;
        let filled = self.filled.entry(index).or_default();
        filled.value = filled.value.saturating_add(saturate(value));
        filled.fee = filled.fee.saturating_add(saturate(fee));
        self.note_change(index, wall_us);
    }

    /// How many orders live.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True without live orders.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A position without an order.
    #[inline]
    fn vacancy(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| self.extend())
    }

    #[cold]
    fn extend(&mut self) -> u32 {
        self.live.push(NO_ORDER);
        self.histories.push(History { created_market_ms: 0, created_wall_us: 0, updated_wall_us: 0 });
        self.siblings.push(Siblings { younger: NONE, older: NONE });
        u32::try_from(self.live.len() - 1).unwrap_or(NONE)
    }

    /// Keeps an order and appends it to its account's list; returns its position.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "an order is made where it is kept, field by field")]
    pub fn add(&mut self, order: Order, detail: &OrderDetail, list: &mut OrderList) -> u32 {
        let history = History {
            created_market_ms: detail.created_market_ms,
            created_wall_us: detail.created_wall_us,
            updated_wall_us: detail.updated_wall_us,
        };
        let filled = Filled { value: saturate(detail.filled_value), fee: saturate(detail.fee) };
        let is_begun = filled.value != 0 || filled.fee != 0;
        let index = self.vacancy();
        let place = index as usize;
        // each field goes straight to its place
        self.live[place] = Order { is_begun, ..order };
        self.histories[place] = history;
        self.siblings[place] = Siblings { younger: NONE, older: list.youngest };
        if !detail.link_id.is_empty() {
            self.link_ids.insert(index, detail.link_id);
        }
        if is_begun {
            self.filled.insert(index, filled);
        }
        if list.youngest == NONE {
            list.oldest = index;
        } else {
            self.siblings[list.youngest as usize].younger = index;
        }
        list.youngest = index;
        list.count += 1;
        self.by_id.insert(order.id, index);
        index
    }

    /// Forgets an order that no level holds any more.
    #[inline]
    pub fn remove(&mut self, index: u32, list: &mut OrderList) {
        let Siblings { younger, older } = self.siblings[index as usize];
        if older == NONE {
            list.oldest = younger;
        } else {
            self.siblings[older as usize].younger = younger;
        }
        if younger == NONE {
            list.youngest = older;
        } else {
            self.siblings[younger as usize].older = older;
        }
        list.count -= 1;
        if !self.link_ids.is_empty() {
            self.link_ids.remove(&index);
        }
        let &Order { id, has_terms, is_begun, .. } = self.get(index);
        if has_terms {
            self.terms.remove(&index);
        }
        if is_begun {
            self.filled.remove(&index);
        }
        self.by_id.remove(id, index);
        self.free.push(index);
    }

    /// Which positions hold an order.
    fn lives(&self) -> Vec<bool> {
        let mut lives = vec![true; self.live.len()];
        for index in &self.free {
            if let Some(lives) = lives.get_mut(*index as usize) {
                *lives = false;
            }
        }
        lives
    }

    /// Whether every position leads to an order, and no walk along a queue or a list comes back to where it was: each
    /// neighbour must know its neighbour.
    pub(crate) fn is_sound(&self) -> bool {
        let lives = self.lives();
        let is_live = |index: u32| lives.get(index as usize) == Some(&true);
        let freed = lives.iter().filter(|lives| !**lives).count() == self.free.len();
        let knows = |neighbour: u32, back: &dyn Fn(u32) -> u32, index: u32| {
            neighbour == NONE || is_live(neighbour) && back(neighbour) == index
        };
        let is_linked = |index: u32| {
            let (order, siblings) = (self.get(index), self.siblings[index as usize]);
            self.find(order.id) == Some(index)
                && knows(order.next, &|neighbour| self.get(neighbour).previous, index)
                && knows(order.previous, &|neighbour| self.get(neighbour).next, index)
                && knows(siblings.younger, &|neighbour| self.siblings[neighbour as usize].older, index)
                && knows(siblings.older, &|neighbour| self.siblings[neighbour as usize].younger, index)
        };
        freed
            && self.histories.len() == self.live.len()
            && self.siblings.len() == self.live.len()
            && self.link_ids.keys().all(|index| is_live(*index))
            && self.terms.keys().all(|index| is_live(*index))
            && self.filled.keys().all(|index| is_live(*index) && self.get(*index).is_begun)
            && self.len() == self.live.len() - self.free.len()
            && (0..).take(self.live.len()).filter(|index| is_live(*index)).all(is_linked)
    }

    /// The next older order of the account in the instrument, or [`NONE`].
    #[inline]
    pub fn older(&self, index: u32) -> u32 {
        self.siblings[index as usize].older
    }

    /// Positions of an account's orders in an instrument, oldest first.
    pub fn of(&self, list: OrderList) -> impl Iterator<Item = u32> + '_ {
        let step = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(step(list.oldest), move |index| step(self.siblings[*index as usize].younger))
    }
}
