//! Self-match prevention: rules 3.5. Who counts as one trader, and what becomes of two of his orders that would meet.
//! The matching loop asks; it does not know accounts' groups.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::matching::Taker;
use crate::terms::SelfMatch;
use crate::types::{AccountId, CancelReason, InstrumentId, OrderId};

impl Exchange {
    /// True when two slots belong to one account, or to accounts of one group.
    pub(crate) fn is_same_trader(&self, slot: u32, other: u32) -> bool {
        self.are_same_trader(self.ledger.slot(slot).account, self.ledger.slot(other).account)
    }

    /// True when two accounts are one trader.
    pub(crate) fn are_same_trader(&self, account: u32, other: u32) -> bool {
        if account == other {
            return true;
        }
        let group = |account: u32| self.order_settings.get(&account).map_or(0, |settings| settings.smp_group);
        group(account) != 0 && group(account) == group(other)
    }

    /// Cancels what the incoming order says of itself and of a resting order of its own trader. The incoming order is only
    /// stopped: its end is told by whoever sent it in.
    pub(crate) fn prevent_self_match(&mut self, taker: &mut Taker, maker: u32) {
        if taker.self_match != SelfMatch::CancelMaker {
            taker.met = self.orders.get(maker).id;
        }
        if taker.self_match != SelfMatch::CancelTaker {
            self.withdraw_order_against(maker, CancelReason::SelfMatch, OrderId(taker.order_id));
        }
    }

    /// Tells the end of an incoming order that self-match prevention stopped.
    pub(crate) fn emit_self_match(&mut self, taker: &Taker) {
        let slot = self.ledger.slot(taker.slot);
        let account = AccountId(self.ledger.account(slot.account).id);
        let instrument = InstrumentId(slot.instrument);
        let leaves = self.instruments[taker.instrument].qty(taker.leaves);
        let (order_id, counterparty) = (OrderId(taker.order_id), OrderId(taker.met));
        let reason = CancelReason::SelfMatch;
        self.emit(EventKind::OrderCancelled { order_id, account, instrument, leaves, reason, counterparty });
    }
}
