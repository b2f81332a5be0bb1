//! Changing and cancelling resting orders. An amendment keeps its place in the queue only when nothing but the
//! quantity changes, downwards.

use crate::book::reaches;
use crate::command::NewOrder;
use crate::entry::Addition;
use crate::exchange::Exchange;
use crate::margin::{Exposure, OpenOrders};
use crate::matching::{FeeRule, Taker};
use crate::order::{small_tick, Order};
use crate::reject::Reject;
use crate::tpsl::Progress;
use crate::trading_command::TermsAmendment;
use crate::types::{
    AccountId, CancelReason, FillKind, InstrumentId, OrderId, OrderType, PositionIndex, Price, Qty,
    TimeInForce,
};

impl Exchange {
    /// Changes price, total quantity, or both.
    pub(crate) fn amend_order(
        &mut self,
        account: AccountId,
        order_id: OrderId,
        price: Option<Price>,
        qty: Option<Qty>,
    ) -> Result<OrderId, Reject> {
        let index = match self.find_own(account, order_id) {
            Err(Reject::OrderNotFound) => {
                let owner = self.user(account)?;
                let amendment = TermsAmendment { price, qty, ..TermsAmendment::of(account, order_id) };
                return self.amend_waiting(owner, &amendment);
            }
            found => found?,
        };
        let before = *self.orders.get(index);
        let (after, sums) = self.checked_amendment(&before, account, price, qty)?;
        self.carry_out(index, (&before, &after), sums, account);
        Ok(order_id)
    }

    /// The order as it would be, and the sums of its slot's orders then; nothing is changed yet.
    #[inline]
    fn checked_amendment(
        &self,
        before: &Order,
        account: AccountId,
        price: Option<Price>,
        qty: Option<Qty>,
    ) -> Result<(Order, OpenOrders), Reject> {
        if !before.reduce_only {
            self.verified(account)?;
        }
        let mut after = self.amended(before, price, qty)?;
        let sums = self.hold_amended(before, &mut after)?;
        Ok((after, sums))
    }

    #[inline]
    fn carry_out(
        &mut self,
        index: u32,
        (before, after): (&Order, &Order),
        sums: OpenOrders,
        account: AccountId,
    ) {
        if keeps_place(before, after) {
            self.reduce_in_place(index, before, after, account);
        } else if self.takes(after) {
            self.requeue(index, before, after, account);
        } else {
            self.move_in_book(index, (before, after), sums, account);
        }
    }

    /// Changes what comes with a resting order, and its price and quantity with it. What came with it already stands on its
    /// own from then on.
    #[cold]
    pub(crate) fn amend_attached(&mut self, amendment: &TermsAmendment) -> Result<OrderId, Reject> {
        let TermsAmendment { account, order_id, price, qty, .. } = *amendment;
        let index = self.find_own(account, order_id)?;
        let before = *self.orders.get(index);
        let instrument = usize::from(before.instrument);
        let listed = &self.instruments[instrument];
        let price = price.filter(|price| *price != listed.price(before.ticks()));
        let qty = qty.filter(|qty| *qty != listed.qty(before.lots));
        let is_changed = price.is_some() || qty.is_some();
        let change =
            if is_changed { Some(self.checked_amendment(&before, account, price, qty)?) } else { None };
        let (terms_before, kind) = self.orders.terms(index);
        let terms = amendment.applied_to(&terms_before);
        let limit = listed.price(change.as_ref().map_or(before.ticks(), |(after, _)| after.ticks()));
        let order = NewOrder {
            position_index: self.ledger.slot(before.slot).index,
            reduce_only: before.reduce_only,
            terms,
            ..NewOrder::limit(
                account,
                InstrumentId(before.instrument),
                before.side,
                listed.qty(before.lots),
                limit,
            )
        };
        if terms.has_exits() {
            self.check_exits(&order, instrument, Some(limit))?;
        }
        if terms == terms_before && !is_changed {
            return Err(Reject::AmendUnchanged);
        }
        if terms != terms_before {
            self.orders.keep_terms(index, terms, kind);
            self.orders.note_change(index, self.wall_us);
            self.triggers.orphan(before.slot, order_id.0);
            self.emit_conditions(order_id.0, &order, None);
        }
        if let Some((after, sums)) = change {
            let before = *self.orders.get(index);
            let after = Order { has_terms: before.has_terms, ..after };
            self.carry_out(index, (&before, &after), sums, account);
        }
        Ok(order_id)
    }

    /// Cancels an order.
    pub(crate) fn cancel_order(&mut self, account: AccountId, order_id: OrderId) -> Result<OrderId, Reject> {
        match self.find_own(account, order_id) {
            Err(Reject::OrderNotFound) => {
                let owner = self.user(account)?;
                self.cancel_own_waiting(owner, order_id.0)
            }
            found => {
                self.withdraw_order(found?, CancelReason::User);
                Ok(order_id)
            }
        }
    }

    /// Cancels an account's orders in one instrument or everywhere, those that wait for a price included.
    pub(crate) fn cancel_all(
        &mut self,
        account: AccountId,
        instrument: Option<InstrumentId>,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        match instrument {
            Some(instrument) => {
                let index = self.listed(instrument)?;
                self.cancel_orders(owner, index, CancelReason::User);
            }
            None => self.cancel_everywhere(owner, CancelReason::User),
        }
        for slot in self.ledger.slots_of(owner) {
            let at = InstrumentId(self.ledger.slot(slot).instrument);
            if instrument.is_none_or(|instrument| instrument == at) {
                self.cancel_waiting(slot, CancelReason::User, |_| true);
            }
        }
        Ok(())
    }

    /// Cancels an account's orders in every instrument.
    pub(crate) fn cancel_everywhere(&mut self, owner: u32, reason: CancelReason) {
        for index in 0..self.instruments.len() {
            self.cancel_orders(owner, index, reason);
        }
    }

    /// Cancels an account's orders in an instrument, oldest first.
    pub(crate) fn cancel_orders(&mut self, owner: u32, instrument: usize, reason: CancelReason) {
        for position_index in PositionIndex::ALL {
            let Some(slot) = self.ledger.find_slot(owner, instrument, *position_index) else { continue };
            let doomed: Vec<u32> = self.orders.of(self.ledger.slot(slot).orders).collect();
            for index in doomed {
                self.withdraw_order(index, reason);
            }
        }
    }

    fn find_own(&self, account: AccountId, order_id: OrderId) -> Result<u32, Reject> {
        let owner = self.user(account)?;
        let index = self.orders.find(order_id.0).ok_or(Reject::OrderNotFound)?;
        if self.orders.get(index).account == owner {
            Ok(index)
        } else {
            Err(Reject::OrderNotFound)
        }
    }

    /// The order as it would be, after the filters.
    fn amended(&self, before: &Order, price: Option<Price>, qty: Option<Qty>) -> Result<Order, Reject> {
        let instrument = usize::from(before.instrument);
        let listed = &self.instruments[instrument];
        if self.markets[instrument].is_restricted {
            self.check_status(instrument, before.reduce_only)?;
        }
        let mut after = *before;
        if let Some(price) = price {
            let ticks = self.ticks_of(instrument, price)?;
            let ticks = self.within_band(before.account, instrument, before.side, ticks)?;
            if self.ledger.slot(before.slot).is_isolated {
                self.better_than_liquidation(before.slot, ticks)?;
            }
            after.tick = small_tick(ticks);
        }
        if let Some(qty) = qty {
            let largest = self.instruments[instrument].largest(OrderType::Limit, before.time_in_force);
            let lots = self.lots_within_limits(instrument, qty, largest)?;
            let filled = before.lots - before.leaves;
            if lots <= filled {
                return Err(Reject::AmendBelowFilled);
            }
            after.lots = lots;
            after.leaves = lots - filled;
        }
        if before.reduce_only {
            let slot = self.ledger.slot(before.slot);
            let others = self.ledger.detail(before.slot).extras().reduce_only_lots
                [usize::from(before.side.to_wire())]
                - before.leaves;
            let room = (slot.reducible(before.side) - others).max(1);
            let excess = (after.leaves - room).max(0);
            after.lots -= excess;
            after.leaves -= excess;
        } else if listed.notional(after.lots, after.ticks()) < i128::from(listed.spec.min_notional.0) {
            return Err(Reject::BelowMinimumNotional);
        }
        if (after.ticks(), after.leaves) == (before.ticks(), before.leaves) {
            return Err(Reject::AmendUnchanged);
        }
        Ok(after)
    }

    /// Stage 3 for an amendment; returns the sums of the slot's orders with this one as it would rest, and notes its cost.
    /// One that raises neither quantity nor value, does not come nearer to the other side, and does not take, asks for
    /// nothing.
    #[inline]
    fn hold_amended(&self, before: &Order, after: &mut Order) -> Result<OpenOrders, Reject> {
        let slot = self.ledger.slot(before.slot);
        if before.reduce_only {
            return Ok(slot.open_orders);
        }
        let instrument = usize::from(before.instrument);
        let listed = &self.instruments[instrument];
        let (side, leverage) = (before.side, i64::from(slot.leverage));
        let its_own = self.orders_of_one(before);
        let (size_before, size) = (its_own.size, listed.size(after.leaves, after.ticks()));
        after.cost = listed.order_cost(size, side, leverage);
        let mut others = slot.open_orders;
        *others.of_mut(side) = others.of(side).without(its_own);
        let mut sums = others;
        *sums.of_mut(side) = sums.of(side).with(self.orders_of_one(after));
        let keener = side.sign() * (after.ticks() - before.ticks()) > 0;
        let asks = keener || after.leaves > before.leaves || size > size_before || self.takes(after);
        if !asks || keeps_place(before, after) {
            return Ok(sums);
        }
        let exposure = Exposure { orders: others, ..slot.exposure(self.markets[instrument].mark_ticks) };
        if listed.is_spot {
            let addition = (side, after.leaves, after.ticks());
            let released = (self.held_by(before), false);
            self.hold_spot((slot.account, instrument), &exposure, released, addition)?;
            return Ok(sums);
        }
        let ticks = self.valued_at(instrument, side, after.ticks(), before.time_in_force);
        let mut addition = Addition { side, lots: after.leaves, ticks, size, cost: after.cost };
        if ticks != after.ticks() {
            addition.size = listed.size(addition.lots, ticks);
            addition.cost = listed.order_cost(addition.size, side, leverage);
        }
        self.check_risk(slot.account, instrument, &exposure, slot.margin.order_initial, &addition)?;
        Ok(sums)
    }

    /// True when an order would meet a resting one.
    #[inline]
    fn takes(&self, order: &Order) -> bool {
        let best = self.books[usize::from(order.instrument)].best(order.side.opposite());
        best.is_some_and(|best| reaches(order.side, order.ticks(), best))
    }

    fn reduce_in_place(&mut self, index: u32, before: &Order, after: &Order, account: AccountId) {
        let cut = before.leaves - after.leaves;
        let level = self.shrink(index, cut);
        self.orders.get_mut(index).lots = after.lots;
        self.orders.note_change(index, self.wall_us);
        self.refresh_orders(before.slot);
        self.emit_amended(after, account);
        self.emit_level(InstrumentId(before.instrument), before.side, before.ticks(), level);
    }

    /// Takes the order out of its queue and puts it into another one, where it meets nobody. `sums` are those of its slot's
    /// orders afterwards.
    fn move_in_book(
        &mut self,
        index: u32,
        (before, after): (&Order, &Order),
        sums: OpenOrders,
        account: AccountId,
    ) {
        let (instrument, side) = (InstrumentId(before.instrument), before.side);
        let book = usize::from(before.instrument);
        let left = self.books[book].unlink(&mut self.orders, index);
        self.emit_level(instrument, side, before.ticks(), left);
        self.emit_amended(after, account);
        *self.orders.get_mut(index) = *after;
        self.orders.note_change(index, self.wall_us);
        let level = self.books[book].link(&mut self.orders, index);
        self.emit_level(instrument, side, after.ticks(), level);
        if before.reduce_only {
            self.count_resting(before, -1);
            self.count_resting(after, 1);
        } else {
            self.ledger.slot_mut(after.slot).open_orders = sums;
        }
        self.refresh_orders(after.slot);
    }

    /// Takes the order out of its queue and lets it come in again with its new terms.
    fn requeue(&mut self, index: u32, before: &Order, after: &Order, account: AccountId) {
        let instrument = InstrumentId(before.instrument);
        let level = self.books[usize::from(before.instrument)].unlink(&mut self.orders, index);
        self.count_resting(before, -1);
        self.emit_level(instrument, before.side, before.ticks(), level);
        self.emit_amended(after, account);
        let mut taker = self.as_taker(after);
        let (mut detail, (terms, kind)) = (self.orders.detail(index), self.orders.terms(index));
        detail.updated_wall_us = self.wall_us;
        self.orders.remove(index, &mut self.ledger.slot_mut(before.slot).orders);
        self.refresh_orders(before.slot);
        if before.time_in_force == TimeInForce::PostOnly {
            let reason = CancelReason::PostOnlyWouldTake;
            self.emit_cancelled(before.id, account, instrument, after.leaves, reason);
            return;
        }
        self.match_taker(&mut taker);
        let filled = Progress { lots: before.lots - before.leaves, fee: detail.fee };
        let by_now =
            Progress { lots: filled.lots + after.leaves - taker.leaves, fee: filled.fee + taker.fee_paid };
        self.note_filled((before.id, before.slot, before.side), (filled, by_now), &terms);
        if taker.met != 0 {
            self.emit_self_match(&taker);
        } else if taker.blocked {
            let reason = CancelReason::InsufficientMargin;
            self.emit_cancelled(before.id, account, instrument, taker.leaves, reason);
        } else if taker.leaves > 0 {
            detail.filled_value += taker.filled_value;
            detail.fee += taker.fee_paid;
            let rested = self.rest(Order { leaves: taker.leaves, ..*after }, &detail);
            if let (true, Some(index)) = (before.has_terms, rested) {
                self.orders.keep_terms(index, terms, kind);
            }
        }
    }

    fn as_taker(&self, order: &Order) -> Taker {
        let instrument = usize::from(order.instrument);
        Taker {
            order_id: order.id,
            slot: order.slot,
            instrument,
            side: order.side,
            limit: order.ticks(),
            leaves: order.leaves,
            valued: self.valued_at(instrument, order.side, order.ticks(), order.time_in_force),
            reduce_only: order.reduce_only,
            fee: FeeRule::Rate(self.instruments[instrument].spec.taker_fee),
            kind: FillKind::Trade,
            blocked: false,
            self_match: order.self_match,
            met: 0,
            filled_value: 0,
            fee_paid: 0,
            collected: 0,
        }
    }
}

/// True when only the quantity falls.
fn keeps_place(before: &Order, after: &Order) -> bool {
    after.ticks() == before.ticks() && after.leaves < before.leaves
}
