//! Take-profit and stop-loss orders of spot: conditional orders that hold, while they wait, the coin they pay with. Rules 3.1
//! and 3.2. What is held is let go when they are triggered, and held again as by any order where they come to rest.

use crate::command::NewOrder;
use crate::exchange::Exchange;
use crate::reject::Reject;
use crate::slot::SpotHolds;
use crate::types::{OrderType, Price, Side};

impl Exchange {
    /// What an order holds while it waits: a sell its quantity, a buy what it spends, at its limit, or, at the market, at its
    /// trigger price.
    pub(crate) fn held_waiting(&self, order: &NewOrder) -> i128 {
        let listed = &self.instruments[usize::from(order.instrument.0)];
        let lots = order.qty.0 / listed.spec.qty_step.0;
        let ticks = |price: Price| price.0 / listed.spec.tick_size.0;
        match (order.side, order.order_type) {
            (Side::Sell, _) => listed.qty_of(lots),
            _ if order.terms.in_quote => i128::from(order.qty.0),
            (_, OrderType::Limit) => listed.value(lots, ticks(order.price)),
            (_, OrderType::Market) => listed.value(lots, ticks(order.terms.trigger_price)),
        }
    }

    /// Refuses one that is not for spot, is to borrow, or cannot be paid; `released` is what it holds already.
    pub(crate) fn check_held(
        &self,
        account: u32,
        instrument: usize,
        order: &NewOrder,
        released: i128,
    ) -> Result<(), Reject> {
        let listed = &self.instruments[instrument];
        if !listed.is_spot || order.terms.is_leveraged {
            return Err(Reject::SpotTermsInvalid);
        }
        let coin = if order.side == Side::Buy { listed.settle } else { self.base_of(instrument) };
        if self.held_waiting(order) - released > self.cash(account, coin) {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// Brings up to date what a slot's waiting orders hold, after one came, changed or went.
    pub(crate) fn note_held(&mut self, slot: u32) {
        let has_exits = self.triggers.of(slot).any(|waiting| waiting.kind.holds());
        self.ledger.slot_mut(slot).has_exits = has_exits;
        self.refresh_spot(slot);
    }

    /// What a slot's waiting orders hold in both coins.
    pub(crate) fn waiting_holds(&self, slot: u32) -> SpotHolds {
        let mut holds = SpotHolds::default();
        if !self.ledger.slot(slot).has_exits {
            return holds;
        }
        for waiting in self.triggers.of(slot).filter(|waiting| waiting.kind.holds()) {
            let coin = if waiting.order.side == Side::Buy { &mut holds.quote } else { &mut holds.base };
            *coin += self.held_waiting(&waiting.order);
        }
        holds
    }
}
