//! Live orders: the slab they live in, and the list of each account's orders per instrument. No matching, no margin.

use serde::{Deserialize, Serialize};

use crate::id_map::IdMap;
use crate::types::{LinkId, OrderType, Side, TimeInForce};

/// No order.
pub const NONE: u32 = u32::MAX;

/// The part of an order that matching touches: one cache line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Order {
    /// Number of the order.
    pub id: u64,
    /// Total quantity.
    pub lots: i64,
    /// Unfilled quantity.
    pub leaves: i64,
    /// Wall time of the last change.
    pub updated_wall_us: i64,
    /// Price in ticks; see [`Order::ticks`].
    pub tick: i32,
    /// Position of its account-and-instrument slot.
    pub slot: u32,
    /// Next younger order at the price.
    pub next: u32,
    /// Next older order at the price.
    pub previous: u32,
    /// Next younger order of the account in the instrument.
    pub younger: u32,
    /// Next older order of the account in the instrument.
    pub older: u32,
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
}

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
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct OrderDetail {
    /// Client's identifier.
    pub link_id: LinkId,
    /// Market time of acceptance.
    pub created_market_ms: i64,
    /// Wall time of acceptance.
    pub created_wall_us: i64,
    /// Value filled so far.
    pub filled_value: i128,
    /// Fees paid so far.
    pub fee: i128,
}

/// All live orders.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Orders {
    live: Vec<Order>,
    details: Vec<OrderDetail>,
    free: Vec<u32>,
    by_id: IdMap,
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
        self.by_id.get(id)
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
    #[inline]
    pub fn detail(&self, index: u32) -> &OrderDetail {
        &self.details[index as usize]
    }

    /// The rarely read part of the order at a position, to change.
    #[inline]
    pub fn detail_mut(&mut self, index: u32) -> &mut OrderDetail {
        &mut self.details[index as usize]
    }

    /// How many orders live.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True without live orders.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Keeps an order and appends it to its account's list; returns its position.
    pub fn add(&mut self, mut order: Order, detail: OrderDetail, list: &mut OrderList) -> u32 {
        order.older = list.youngest;
        order.younger = NONE;
        let index = if let Some(index) = self.free.pop() {
            self.live[index as usize] = order;
            self.details[index as usize] = detail;
            index
        } else {
            self.live.push(order);
            self.details.push(detail);
            u32::try_from(self.live.len() - 1).unwrap_or(NONE)
        };
        if list.youngest == NONE {
            list.oldest = index;
        } else {
            self.get_mut(list.youngest).younger = index;
        }
        list.youngest = index;
        list.count += 1;
        self.by_id.insert(order.id, index);
        index
    }

    /// Forgets an order that no level holds any more.
    pub fn remove(&mut self, index: u32, list: &mut OrderList) {
        let Order { id, younger, older, .. } = *self.get(index);
        if older == NONE {
            list.oldest = younger;
        } else {
            self.get_mut(older).younger = younger;
        }
        if younger == NONE {
            list.youngest = older;
        } else {
            self.get_mut(younger).older = older;
        }
        list.count -= 1;
        self.by_id.remove(id);
        self.free.push(index);
    }

    /// Whether every position leads to an order, and no walk along a queue or a list comes back to where it was: each
    /// neighbour must know its neighbour.
    pub(crate) fn is_sound(&self) -> bool {
        let mut lives = vec![true; self.live.len()];
        let freed = self
            .free
            .iter()
            .all(|index| lives.get_mut(*index as usize).is_some_and(|lives| std::mem::replace(lives, false)));
        let is_live = |index: u32| lives.get(index as usize) == Some(&true);
        let knows = |neighbour: u32, back: fn(&Order) -> u32, index: u32| {
            neighbour == NONE || is_live(neighbour) && back(self.get(neighbour)) == index
        };
        let is_linked = |index: u32| {
            let order = self.get(index);
            self.find(order.id) == Some(index)
                && knows(order.next, |order| order.previous, index)
                && knows(order.previous, |order| order.next, index)
                && knows(order.younger, |order| order.older, index)
                && knows(order.older, |order| order.younger, index)
        };
        freed
            && self.details.len() == self.live.len()
            && self.len() == self.live.len() - self.free.len()
            && (0..).take(self.live.len()).filter(|index| is_live(*index)).all(is_linked)
    }

    /// Positions of an account's orders in an instrument, oldest first.
    pub fn of(&self, list: OrderList) -> impl Iterator<Item = u32> + '_ {
        let step = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(step(list.oldest), move |index| step(self.get(*index).younger))
    }
}
