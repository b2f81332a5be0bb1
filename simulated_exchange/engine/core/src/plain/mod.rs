//! The short way through the stages for what nearly every command is: a plain order of a cross-margined account on a linear
//! contract, with nothing else due. The rules are those of `entry`, `amend` and `matching`; only the way is shorter.
//!
//! The short way first finds out, changing nothing, whether everything is usual and every check passes, and then does it.
//! Whatever is unusual, and every refusal, is left to the long way, which decides on its own. So the short way may be as
//! narrow as it likes, but must never come to another result: `tests/properties.rs` runs both side by side.

mod fills;
mod resting;
mod taking;

use crate::command::{Action, Command};
use crate::event_log::EventLog;
use crate::exchange::{Exchange, MARKET_MS_MAX};
use crate::instrument::Instrument;
use crate::margin::{closable, SideOrders};
use crate::market::Market;
use crate::purse::Worth;
use crate::slot::Slot;
use crate::types::{OrderId, Side};

/// What an order is looked at with: everything it depends on, found once.
#[derive(Clone, Copy)]
struct Desk<'a> {
    slot: &'a Slot,
    worth: &'a Worth,
    listed: &'a Instrument,
    market: &'a Market,
}

impl Exchange {
    /// Takes a command the short way through all stages; without a result nothing has changed.
    #[inline]
    pub(crate) fn apply_plain(&mut self, command: &Command, events: &mut EventLog) -> Option<OrderId> {
        if !self.is_quiet(command.market_ms) {
            return None;
        }
        match command.action {
            Action::AmendOrder { account, order_id, price: Some(price), qty: None } => {
                self.move_plain(command, (account, order_id), price, events)
            }
            Action::CancelOrder { account, order_id } => {
                self.cancel_plain(command, (account, order_id), events)
            }
            Action::PlaceOrder(ref order) => self.place_plain(command, order, events),
            _ => None,
        }
    }

    /// True when a command at that time finds nothing due from those before it.
    #[inline]
    fn is_quiet(&self, market_ms: i64) -> bool {
        (self.market_ms..=MARKET_MS_MAX).contains(&market_ms)
            && !self.takes_long_way
            && self.pending.is_empty()
            && self.taken_over.is_empty()
            && !self.triggers.has_work()
            && !self.ledger.loans.has_changed()
    }

    /// Counts a command that has succeeded and goes on to its clocks; returns what stands before its events.
    #[inline]
    fn begin_plain(&mut self, command: &Command) -> (u64, i64, i64) {
        self.commands += 1;
        (self.market_ms, self.wall_us) = (command.market_ms, command.wall_us);
        (self.last_event + 1, command.market_ms, command.wall_us)
    }

    /// Position of a resting order of an account, by its position.
    #[inline]
    fn own_order(&self, owner: u32, order_id: OrderId) -> Option<u32> {
        let index = self.orders.find(order_id.0)?;
        let order = self.orders.get(index);
        (order.account == owner && !order.reduce_only).then_some(index)
    }

    /// What an order of a slot is looked at with.
    #[inline]
    fn desk<'a>(&'a self, slot: &'a Slot, place: usize) -> Desk<'a> {
        self.ledger.approach_purse(slot.purse); // written last
        let worth = &self.ledger.account(slot.account).worth;
        Desk { slot, worth, listed: &self.instruments[place], market: &self.markets[place] }
    }
}

impl Desk<'_> {
    /// Initial margin of a slot's orders, and their loss at the mark, with other ones on a side; nothing where that could set
    /// off a liquidation, or where tiers are in play.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it is known where it is asked for")]
    fn held(&self, side: Side, own: SideOrders) -> Option<(i64, i64)> {
        let &Self { slot, worth, listed, market } = self;
        let is_usual = listed.is_plain && !slot.is_isolated && !slot.has_reduce_only;
        if !is_usual || i64::from(slot.leverage) > listed.leverage_everywhere {
            return None;
        }
        let (held, others) = (slot.position.lots, slot.open_orders.of(side.opposite()));
        let initial =
            own.opening_cost(closable(side, held)).max(others.opening_cost(closable(side.opposite(), held)));
        // worth of a lot at the mark; within `MONEY_MAX`, as that of all lots of an account
        let lot = market.mark_ticks * listed.lot_tick_value;
        let toward = side.sign();
        let loss = own.loss(toward, own.lots * lot) + others.loss(-toward, others.lots * lot);
        let more_loss = loss - slot.margin.order_loss;
        if more_loss > 0 && worth.is_breached_by(more_loss) {
            return None;
        }
        Some((initial, loss))
    }
}
