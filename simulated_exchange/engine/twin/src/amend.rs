//! Changing and cancelling orders.
//!
//! An order keeps its place in the queue only when nothing but its quantity falls. One that is amended otherwise joins the
//! end of the queue at its price; among the orders of its account it keeps its age, unless it met the other side.

use exchange_core::{
    AccountId, CancelReason, InstrumentId, NewOrder, OrderId, OrderType, Price, Qty, Reject, TermsAmendment,
    TimeInForce,
};

use crate::conditional::amended_terms;
use crate::contract::{sign, Contract};
use crate::margin::Opening;
use crate::orders::{check_price, check_qty, instrument_id};
use crate::state::{Key, Order, State};

impl State {
    /// Changes price, total quantity, or both.
    pub fn amend_order(
        &mut self,
        account: AccountId,
        id: OrderId,
        price: Option<Price>,
        qty: Option<Qty>,
    ) -> Result<OrderId, Reject> {
        let before = match self.own_order(account, id) {
            Err(Reject::OrderNotFound) => {
                return self.amend_waiting(&TermsAmendment { price, qty, ..TermsAmendment::of(account, id) });
            }
            found => found?,
        };
        let after = self.checked_amendment(&before, account, price, qty)?;
        self.carry_out(&before, after);
        Ok(id)
    }

    fn checked_amendment(
        &self,
        before: &Order,
        account: AccountId,
        price: Option<Price>,
        qty: Option<Qty>,
    ) -> Result<Order, Reject> {
        if !before.reduce_only {
            self.verified(account)?;
        }
        let after = self.amended(before, price, qty)?;
        if !before.reduce_only && !keeps_place(before, &after) {
            self.check_amended(before, &after)?;
        }
        Ok(after)
    }

    fn carry_out(&mut self, before: &Order, after: Order) {
        if keeps_place(before, &after) {
            *self.order_mut(before.id) = after.clone();
            self.emit_amended(&after);
            self.emit_level(after.key.instrument, after.side, after.price);
        } else {
            self.requeue(before, after);
        }
    }

    /// Changes what comes with a resting order, and its price and quantity with it; what came with it already stands on its
    /// own from then on.
    pub fn amend_attached(&mut self, amendment: &TermsAmendment) -> Result<OrderId, Reject> {
        let TermsAmendment { account, order_id, price, qty, .. } = *amendment;
        let mut before = self.own_order(account, order_id)?;
        let price = price.filter(|price| *price != Contract::shown_price(before.price));
        let qty = qty.filter(|qty| *qty != Contract::shown_qty(before.qty));
        let is_changed = price.is_some() || qty.is_some();
        let mut after = before.clone();
        if is_changed {
            after = self.checked_amendment(&before, account, price, qty)?;
        }
        let terms = amended_terms(&before.terms, amendment);
        if terms.has_exits() {
            let (instrument, qty) = (instrument_id(before.key.instrument), Contract::shown_qty(before.qty));
            let limit = Contract::shown_price(after.price);
            let plain = NewOrder::limit(account, instrument, before.side, qty, limit);
            let order = NewOrder { reduce_only: before.reduce_only, terms, ..plain };
            self.check_exits(&order, before.key.instrument, Some(after.price))?;
        }
        if terms == before.terms && !is_changed {
            return Err(Reject::AmendUnchanged);
        }
        if terms != before.terms {
            (before.terms, after.terms) = (terms, terms);
            *self.order_mut(order_id.0) = before.clone();
            for waiting in self.waiting.values_mut() {
                if waiting.key == before.key && waiting.parent == order_id.0 {
                    waiting.parent = 0;
                }
            }
            self.tell_conditions(order_id.0, before.key, &terms, Qty(0), None);
        }
        if is_changed {
            self.carry_out(&before, after);
        }
        Ok(order_id)
    }

    fn own_order(&self, account: AccountId, id: OrderId) -> Result<Order, Reject> {
        let owner = self.user(account)?;
        let own = self.order(id.0).filter(|order| order.key.account == owner);
        own.cloned().ok_or(Reject::OrderNotFound)
    }

    fn amended(&self, before: &Order, price: Option<Price>, qty: Option<Qty>) -> Result<Order, Reject> {
        let instrument = before.key.instrument;
        let contract = self.contract(instrument);
        self.check_status(instrument, before.reduce_only)?;
        let mut after = before.clone();
        if let Some(price) = price {
            let price = check_price(&contract, price)?;
            after.price = self.banded(before.key.account, instrument, before.side, price)?;
            self.check_limit_of_position(before.key, after.price)?;
        }
        if let Some(qty) = qty {
            let largest = self.largest(instrument, OrderType::Limit, before.time_in_force);
            let qty = check_qty(&contract, qty, largest, false)?;
            let filled = before.qty - before.leaves;
            if qty <= filled {
                return Err(Reject::AmendBelowFilled);
            }
            (after.qty, after.leaves) = (qty, qty - filled);
        }
        if before.reduce_only {
            // its own place counts as room; at least the smallest step stays
            let room = self.room_to_reduce(before.key, before.side) + before.leaves;
            let excess = (after.leaves - room.max(contract.step())).max(0);
            after.qty -= excess;
            after.leaves -= excess;
        } else if contract.notional(after.qty, after.price) < i128::from(contract.spec.min_notional.0) {
            return Err(Reject::BelowMinimumNotional);
        }
        if after.price == before.price && after.leaves == before.leaves {
            return Err(Reject::AmendUnchanged);
        }
        Ok(after)
    }

    /// The hold of an amendment that does not merely keep its place. One that raises neither quantity nor size, comes no
    /// nearer to the other side and does not take asks for nothing.
    fn check_amended(&self, before: &Order, after: &Order) -> Result<(), Reject> {
        let contract = self.contract(before.key.instrument);
        let size = |order: &Order| contract.size(order.leaves, order.price);
        let is_keener = (after.price - before.price) * sign(before.side) > 0;
        let is_larger = after.leaves > before.leaves || size(after) > size(before);
        if !is_keener && !is_larger && !self.would_take(after) {
            return Ok(());
        }
        let mut others = self.clone();
        others.remove_order(before.id);
        let mut opening = Opening { side: after.side, qty: after.leaves, price: self.valued_at(after) };
        if contract.is_spot() {
            opening.price = after.price;
            return others.check_spot(self, before.key, &opening, false);
        }
        self.check_risk(before.key, &others.exposure(before.key), &opening)
    }

    fn requeue(&mut self, before: &Order, mut after: Order) {
        self.remove_order(before.id);
        self.emit_level(before.key.instrument, before.side, before.price);
        self.emit_amended(&after);
        if !self.would_take(&after) {
            after.queued = self.ticket();
            let (instrument, side, price) = (after.key.instrument, after.side, after.price);
            self.orders.push(after);
            self.emit_level(instrument, side, price);
            return;
        }
        if after.time_in_force == TimeInForce::PostOnly {
            self.emit_cancelled(&after, CancelReason::PostOnlyWouldTake);
            return;
        }
        let mut incoming = self.incoming(&after, self.valued_at(&after));
        self.match_incoming(&mut incoming);
        let filled = after.leaves - incoming.leaves;
        self.note_filled(&after, filled, incoming.fee_paid, &after.terms.clone());
        after.leaves = incoming.leaves;
        after.filled_value += incoming.filled_value;
        after.fee += incoming.fee_paid;
        if incoming.met != 0 {
            self.emit_cancelled_against(&after, CancelReason::SelfMatch, OrderId(incoming.met));
        } else if incoming.blocked {
            self.emit_cancelled(&after, CancelReason::InsufficientMargin);
        } else if after.leaves > 0 {
            self.rest(after);
        }
    }

    /// Cancels one order.
    pub fn cancel_order(&mut self, account: AccountId, id: OrderId) -> Result<OrderId, Reject> {
        match self.own_order(account, id) {
            Err(Reject::OrderNotFound) => {
                let waiting = self.own_waiting(account, id)?;
                self.withdraw_waiting(waiting.id, CancelReason::User);
            }
            found => self.withdraw_order(found?.id, CancelReason::User),
        }
        Ok(id)
    }

    /// Cancels an account's orders, in one instrument or everywhere.
    pub fn cancel_all(&mut self, account: AccountId, instrument: Option<InstrumentId>) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let only = instrument.map(|instrument| self.listed(instrument)).transpose()?;
        self.cancel_orders(owner, only, CancelReason::User);
        for key in self.slots_of(owner) {
            if only.is_none_or(|only| only == key.instrument) {
                self.cancel_waiting(key, CancelReason::User, |_| true);
            }
        }
        Ok(())
    }

    /// Cancels orders by instrument and position, the oldest first.
    pub fn cancel_orders(&mut self, account: usize, only: Option<usize>, reason: CancelReason) {
        let mut doomed: Vec<(Key, u64, u64)> =
            self.orders.iter().map(|order| (order.key, order.aged, order.id)).collect();
        doomed.retain(|(key, ..)| key.account == account && only.is_none_or(|only| only == key.instrument));
        doomed.sort_unstable();
        for (_, _, id) in doomed {
            self.withdraw_order(id, reason);
        }
    }

    /// Takes an order out of the book for good.
    pub fn withdraw_order(&mut self, id: u64, reason: CancelReason) {
        self.withdraw_against(id, reason, 0);
    }

    /// The same, naming the order of its own trader that it would have met.
    pub fn withdraw_against(&mut self, id: u64, reason: CancelReason, counterparty: u64) {
        let order = self.order_mut(id).clone();
        self.remove_order(id);
        self.emit_cancelled_against(&order, reason, OrderId(counterparty));
        self.emit_level(order.key.instrument, order.side, order.price);
    }
}

/// True when only the quantity falls.
fn keeps_place(before: &Order, after: &Order) -> bool {
    after.price == before.price && after.leaves < before.leaves
}
