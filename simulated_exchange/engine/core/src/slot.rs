//! A slot: one position of one account in one instrument, with the sums over its orders. No totals, no rules.

use serde::{Deserialize, Serialize};

use crate::margin::{Exposure, Margin, OpenOrders};
use crate::order::OrderList;
use crate::position::Position;
use crate::types::PositionIndex;

/// One position of an account in an instrument, with its orders: what every order of it touches. What an order that
/// rests needs stands side by side; wherever it begins, it lies in three cache lines and not in four.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(32))]
pub struct Slot {
    /// Position.
    pub position: Position,
    /// Position of the account.
    pub account: u32,
    /// Purse of the settlement coin.
    pub purse: u32,
    /// Leverage in hundredths.
    pub leverage: i32,
    /// Instrument.
    pub instrument: u16,
    /// Which of the account's positions in the instrument.
    pub index: PositionIndex,
    /// True while reduce-only orders rest.
    pub has_reduce_only: bool,
    /// Of the slot of the only position: the account has legs of a hedge instead.
    pub is_hedged: bool,
    /// Its position is backed by margin of its own.
    pub is_isolated: bool,
    /// Take-profits, stop-losses or a trailing stop wait to end its position.
    pub has_exits: bool,
    /// It has orders for coins, and never a position.
    pub is_spot: bool,
    /// Its live orders.
    pub orders: OrderList,
    /// Sums of its orders that may open.
    pub open_orders: OpenOrders,
    /// Margin at the last refresh.
    pub margin: Margin,
    /// The slot the account made before.
    pub older: u32,
}

/// One account in one instrument: what is touched now and then. One cache line.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
pub struct SlotDetail {
    /// Realised so far, less fees.
    pub realised: i128,
    /// Realised by the present holding, less fees.
    pub realised_since_open: i128,
    /// Funding paid so far, less what was received.
    pub funding: i128,
    extras: Option<Box<SlotExtras>>,
}

/// What few slots have.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SlotExtras {
    /// Lots of its resting reduce-only orders, buy and sell.
    pub reduce_only_lots: [i64; 2],
    /// Margin assigned to an isolated position.
    pub assigned: i128,
    /// Margin is added to the isolated position before it is liquidated.
    pub adds_margin: bool,
    /// What its spot orders hold.
    pub holds: SpotHolds,
}

static NO_EXTRAS: SlotExtras = SlotExtras {
    reduce_only_lots: [0; 2],
    assigned: 0,
    adds_margin: false,
    holds: SpotHolds { quote: 0, base: 0, haircut: 0 },
};

impl SlotDetail {
    /// What few slots have.
    #[inline]
    pub fn extras(&self) -> &SlotExtras {
        self.extras.as_deref().unwrap_or(&NO_EXTRAS)
    }

    /// The same, to change.
    pub fn extras_mut(&mut self) -> &mut SlotExtras {
        self.extras.get_or_insert_with(|| Box::new(NO_EXTRAS))
    }
}

impl SlotDetail {
    /// Counts what a fill of unsigned lots, some of which closed, realised for the position and for the present holding,
    /// which begins where lots open from flat; `held` are the lots held afterwards.
    #[inline]
    pub fn count_realised(&mut self, (lots, closed, held): (i64, i64, i64), realised: i128, fee: i128) {
        let opened = lots - closed;
        self.realised += realised - fee;
        if opened > 0 && held.abs() == opened {
            let share = if opened == lots { fee } else { part_of(fee, opened, lots) };
            self.realised_since_open = -share;
        } else {
            self.realised_since_open += realised - fee;
        }
    }
}

/// A part of an amount, rounded towards nothing.
fn part_of(amount: i128, parts: i64, whole: i64) -> i128 {
    let narrow = || i64::try_from(amount).ok()?.checked_mul(parts)?.checked_div(whole);
    narrow().map_or_else(|| amount * i128::from(parts) / i128::from(whole), i128::from)
}

/// What the orders of a slot of a spot instrument hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotHolds {
    /// Of the quote coin, by buys.
    pub quote: i128,
    /// Of the base coin, by sells.
    pub base: i128,
    /// Collateral value lost if they filled, in the quote coin.
    pub haircut: i128,
}

impl Slot {
    /// What its margin depends on.
    #[inline]
    pub fn exposure(&self, mark_ticks: i64) -> Exposure {
        let leverage = i64::from(self.leverage);
        Exposure {
            position: self.position,
            orders: self.open_orders,
            leverage,
            mark_ticks,
            is_isolated: self.is_isolated,
        }
    }

    /// The part of its margin that counts for the account: an isolated position stands for itself.
    pub fn counted(&self, margin: &Margin) -> Margin {
        if self.is_isolated {
            Margin { order_initial: margin.order_initial, order_loss: margin.order_loss, ..Margin::default() }
        } else {
            *margin
        }
    }

    /// Lots an order of `side` can close.
    #[inline]
    pub fn reducible(&self, side: crate::types::Side) -> i64 {
        (-side.sign()).saturating_mul(self.position.lots).max(0)
    }
}
