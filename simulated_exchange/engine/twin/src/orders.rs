//! Orders coming in, changing and going: rules 3 as far as one order and its account are concerned. What happens when
//! orders meet is in `matching`.
//!
//! Order of the refusals of a new order: account, its level (what only reduces needs none; of a leg after the mode), instrument, a leg of a hedge outside hedge mode, quantity (step, minimum,
//! maximum), market ready, price, smallest value, link id, number of orders, the only position in hedge mode, reduce-only,
//! limits of the position, margin.
//!
//! An order keeps its place in the queue only when nothing but its quantity falls. One that is amended otherwise joins the
//! end of the queue at its price; among the orders of its account it keeps its age, unless it met the other side.

use std::rc::Rc;

use exchange_core::limits::ACTIVE_ORDERS_MAX;
use exchange_core::{
    AccountId, CancelReason, CreateType, EventKind, FillKind, InstrumentId, NewOrder, OrderId, OrderType,
    PositionIndex, Price, Qty, Reject, Side, SlippageTolerance, StopKind, TimeInForce,
};

use crate::contract::{side_of, sign, Contract};
use crate::isolated::is_stillborn;
use crate::margin::{reducible, Exposure, Opening};
use crate::matching::{FeeRule, Incoming};
use crate::state::{Key, Order, State};

/// A price at the edge of the band when it lies beyond.
pub fn within_band(side: Side, price: i128, edge: i128) -> i128 {
    match side {
        Side::Buy => price.min(edge),
        Side::Sell => price.max(edge),
    }
}

/// True when an order of a side, limited so, may execute at a price.
pub fn reaches(side: Side, limit: i128, price: i128) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

/// The identifier of an instrument at the boundary.
pub fn instrument_id(at: usize) -> InstrumentId {
    InstrumentId(u16::try_from(at).expect("a listed instrument"))
}

impl State {
    /// Edge of the price band for a side.
    pub fn band_edge(&self, instrument: usize, side: Side) -> i128 {
        match side {
            Side::Buy => self.markets[instrument].max_buy,
            Side::Sell => self.markets[instrument].min_sell,
        }
    }

    /// A new order: filters, hold, acceptance, matching, and what becomes of the rest.
    pub fn place_order(&mut self, new: &NewOrder) -> Result<OrderId, Reject> {
        let mut new = NewOrder { reduce_only: new.reduce_only || new.terms.close_on_trigger, ..*new };
        if new.position_index != PositionIndex::OneWay {
            self.becomes_a_legs(&mut new)?;
        }
        let mut create_type = CreateType::User;
        if new.closes_all() {
            let (account, instrument) = (self.user(new.account)?, self.listed(new.instrument)?);
            let key = Key { account, instrument, index: new.position_index };
            new.qty = Contract::shown_qty(self.closable(key, new.side)?);
            create_type = CreateType::Closing;
        }
        let mut order = self.filtered(&new)?;
        let valued = if order.terms.is_leveraged { order.price } else { self.valued_at(&order) };
        self.check_hold(&order, valued)?;
        let fresh = self.slot(order.key);
        self.slots.entry(order.key).or_insert(fresh); // used from now on
        self.last_order += 1;
        order.id = self.last_order;
        self.accept(&order, create_type);
        let mut incoming = self.incoming(&order, valued);
        let refusal = match order.time_in_force {
            TimeInForce::PostOnly if self.would_take(&order) => Some(CancelReason::PostOnlyWouldTake),
            TimeInForce::FillOrKill if self.sure_to_fill(&incoming) < order.leaves => {
                Some(CancelReason::FillOrKill)
            }
            _ => None,
        };
        if let Some(reason) = refusal {
            self.emit_cancelled(&order, reason);
            return Ok(OrderId(order.id));
        }
        self.match_incoming(&mut incoming);
        order.leaves = incoming.leaves;
        order.filled_value += incoming.filled_value;
        order.fee += incoming.fee_paid;
        let stopped_by = OrderId(incoming.met);
        let reason = match order.time_in_force {
            _ if incoming.met != 0 => Some(CancelReason::SelfMatch),
            _ if incoming.blocked => Some(CancelReason::InsufficientMargin),
            TimeInForce::ImmediateOrCancel => Some(CancelReason::ImmediateOrCancel),
            TimeInForce::FillOrKill => Some(CancelReason::FillOrKill),
            TimeInForce::GoodTillCancel | TimeInForce::PostOnly => None,
        };
        let id = OrderId(order.id);
        match reason {
            _ if order.leaves == 0 => {}
            Some(reason) => self.emit_cancelled_against(&order, reason, stopped_by),
            None => self.rest(order),
        }
        Ok(id)
    }

    /// An order for a leg of a hedge: what goes against the leg only reduces it.
    fn becomes_a_legs(&self, new: &mut NewOrder) -> Result<(), Reject> {
        let (account, instrument) = (self.user(new.account)?, self.listed(new.instrument)?);
        if !self.hedged.contains(&(account, instrument)) {
            return Err(Reject::PositionIndexMismatch);
        }
        let opens = if new.position_index == PositionIndex::HedgeBuy { Side::Buy } else { Side::Sell };
        new.reduce_only |= opens != new.side;
        Ok(())
    }

    /// What an order of a side could close.
    fn closable(&self, key: Key, side: Side) -> Result<i128, Reject> {
        let held = self.slot(key).qty;
        if held == 0 {
            return Err(Reject::ReduceOnlyNoPosition);
        }
        if side_of(held) == side {
            return Err(Reject::ReduceOnlySameSide);
        }
        Ok(held.abs())
    }

    fn filtered(&self, new: &NewOrder) -> Result<Order, Reject> {
        let account = if new.reduce_only { self.user(new.account)? } else { self.verified(new.account)? };
        let instrument = self.listed(new.instrument)?;
        let contract = self.contract(instrument);
        let key = Key { account, instrument, index: new.position_index };
        let is_market = new.order_type == OrderType::Market;
        let time_in_force = if is_market { TimeInForce::ImmediateOrCancel } else { new.time_in_force };
        let largest = if is_market { contract.spec.max_market_qty } else { contract.spec.max_qty };
        let mut qty =
            if new.terms.in_quote { 0 } else { check_qty(&contract, new.qty, largest, new.reduce_only)? };
        if self.markets[instrument].mark == 0 {
            return Err(Reject::MarketNotReady);
        }
        self.check_status(instrument, new.reduce_only)?;
        let edge = self.band_edge(instrument, new.side);
        let price = if is_market {
            edge
        } else {
            self.banded(account, instrument, new.side, check_price(&contract, new.price)?)?
        };
        let price = self.tolerated(new, instrument, price)?;
        if new.terms.is_leveraged || new.terms.in_quote {
            qty = self.on_spot_terms(new, key, price, qty)?;
        }
        let valued = if is_market { self.markets[instrument].mark } else { price };
        let smallest = i128::from(contract.spec.min_notional.0);
        if !new.reduce_only && contract.notional(qty, valued) < smallest {
            return Err(Reject::BelowMinimumNotional);
        }
        if !new.link_id.is_empty() && self.knows_link(account, new) {
            return Err(Reject::DuplicateLinkId);
        }
        if rests(time_in_force) && self.orders_of(key).len() >= ACTIVE_ORDERS_MAX as usize {
            return Err(Reject::TooManyOrders);
        }
        if new.position_index == PositionIndex::OneWay && self.hedged.contains(&(account, instrument)) {
            return Err(Reject::PositionIndexMismatch);
        }
        if new.reduce_only {
            qty = qty.min(self.closable(key, new.side)?);
        }
        Ok(Order {
            id: 0,
            key,
            side: new.side,
            order_type: new.order_type,
            time_in_force,
            price,
            qty,
            leaves: qty,
            reduce_only: new.reduce_only,
            terms: new.terms,
            link: new.link_id,
            created_ms: self.now,
            filled_value: 0,
            fee: 0,
            queued: 0,
            aged: 0,
        })
    }

    /// What an order needs must be there; what only reduces needs nothing.
    fn check_hold(&self, order: &Order, valued: i128) -> Result<(), Reject> {
        if order.reduce_only {
            return Ok(());
        }
        let mut opening = Opening { side: order.side, qty: order.leaves, price: valued };
        if self.contracts[order.key.instrument].is_spot() {
            // what may come to rest is held at its own price
            opening.price = if rests(order.time_in_force) { order.price } else { valued };
            return self.check_spot(self, order.key, &opening, order.terms.is_leveraged);
        }
        self.check_risk(order.key, &self.exposure(order.key), &opening)
    }

    /// The price at which an incoming order is valued: no worse than the best of the other side, for what is worse is
    /// looked at fill by fill; its own limit when it must fill whole.
    fn valued_at(&self, order: &Order) -> i128 {
        match self.best(order.key.instrument, order.side.opposite()) {
            Some(best) if order.time_in_force != TimeInForce::FillOrKill => {
                within_band(order.side, order.price, best)
            }
            _ => order.price,
        }
    }

    /// Refuses an opening order that passes the largest position, its highest tier or the leverage allowed there, or
    /// that needs more than is available. Its loss against the mark must be available besides. An order that only closes
    /// needs nothing.
    fn check_risk(&self, key: Key, before: &Exposure, order: &Opening) -> Result<(), Reject> {
        let contract = self.contract(key.instrument);
        let mut after = before.clone();
        after.orders.push(*order);
        let opening = after.opening_qty(order.side);
        if opening == 0 {
            return Ok(());
        }
        if after.at_most() > before.at_most() {
            let highest = contract.tiers[contract.tiers.len() - 1].limit;
            let size = contract.size(after.at_most(), after.mark);
            if after.at_most() > contract.largest() || size > highest {
                return Err(Reject::PositionLimit);
            }
            if after.leverage > after.leverage_allowed(&contract) {
                return Err(Reject::LeverageAboveTier);
            }
        }
        let held = self.exposure(key).order_initial(&contract);
        let more = after.order_initial(&contract) - held;
        if self.is_isolated(key.account) {
            let opening = Opening { qty: opening.min(order.qty), ..*order };
            let free = self.isolated_free(key.account, contract.settle);
            if free < 0 || more > free || is_stillborn(&contract, &after, &opening) {
                return Err(Reject::InsufficientBalance);
            }
            return Ok(());
        }
        let more = self.in_usd(contract.settle, more);
        let loss = contract.loss(order.side, opening.min(order.qty), order.price, after.mark);
        let loss = self.in_usd(contract.settle, loss);
        let available = self.figures(key.account).available();
        if available < 0 || more + loss > available {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    fn accept(&mut self, order: &Order, create_type: CreateType) {
        if !order.link.is_empty() {
            self.accounts[order.key.account].links.push(order.link);
        }
        self.emit(EventKind::OrderAccepted {
            order_id: OrderId(order.id),
            account: AccountId(self.accounts[order.key.account].id),
            instrument: instrument_id(order.key.instrument),
            position_index: order.key.index,
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            price: Contract::shown_price(order.price),
            qty: Contract::shown_qty(order.qty),
            reduce_only: order.reduce_only,
            link_id: order.link,
            create_type,
        });
        if !order.terms.is_none() {
            self.tell_terms(order);
        }
    }

    /// What an order asks for beyond the plain.
    fn tell_terms(&mut self, order: &Order) {
        let terms = order.terms;
        let (slippage_ticks, slippage_ratio) = match terms.slippage {
            SlippageTolerance::None => (0, 0),
            SlippageTolerance::Ticks(ticks) => (i64::from(ticks), 0),
            SlippageTolerance::Ratio(ratio) => (0, i64::from(ratio)),
        };
        self.emit(EventKind::OrderConditions {
            order_id: OrderId(order.id),
            account: AccountId(self.accounts[order.key.account].id),
            instrument: instrument_id(order.key.instrument),
            kind: StopKind::Plain,
            trigger_price: terms.trigger_price,
            trigger_by: terms.trigger_by,
            trigger_direction: terms.trigger_direction,
            close_on_trigger: terms.close_on_trigger,
            trailing_stop: Price(0),
            partner: OrderId(0),
            self_match: terms.self_match,
            slippage_ticks,
            slippage_ratio,
            tpsl_mode: terms.tpsl_mode,
            take_profit: terms.take_profit,
            take_profit_by: terms.take_profit_by,
            take_profit_limit: terms.take_profit_limit,
            stop_loss: terms.stop_loss,
            stop_loss_by: terms.stop_loss_by,
            stop_loss_limit: terms.stop_loss_limit,
        });
    }

    fn knows_link(&self, account: usize, new: &NewOrder) -> bool {
        self.accounts[account].links.contains(&new.link_id)
    }

    /// An order about to meet the book.
    fn incoming(&self, order: &Order, valued: i128) -> Incoming {
        Incoming {
            order_id: order.id,
            key: order.key,
            side: order.side,
            limit: order.price,
            leaves: order.leaves,
            valued,
            reduce_only: order.reduce_only,
            fee: FeeRule::Rate(self.contracts[order.key.instrument].spec.taker_fee),
            kind: FillKind::Trade,
            blocked: false,
            self_match: order.terms.self_match,
            met: 0,
            filled_value: 0,
            fee_paid: 0,
        }
    }

    fn would_take(&self, order: &Order) -> bool {
        let best = self.best(order.key.instrument, order.side.opposite());
        best.is_some_and(|best| reaches(order.side, order.price, best))
    }

    /// An order joins the book. A reduce-only one rests only as far as the others of its account leave room.
    fn rest(&mut self, mut order: Order) {
        if order.reduce_only {
            let room = self.room_to_reduce(order.key, order.side);
            if room <= 0 {
                self.emit_cancelled(&order, CancelReason::ReduceOnly);
                return;
            }
            if order.leaves > room {
                order.qty -= order.leaves - room;
                order.leaves = room;
                self.emit_amended(&order);
            }
        }
        order.queued = self.ticket();
        order.aged = order.queued;
        let (instrument, side, price) = (order.key.instrument, order.side, order.price);
        self.orders.push(order);
        self.emit_level(instrument, side, price);
    }

    /// What may still be reduced beyond the reduce-only orders that rest.
    fn room_to_reduce(&self, key: Key, side: Side) -> i128 {
        let resting = self.orders_of(key).into_iter().filter(|order| order.reduce_only && order.side == side);
        reducible(self.slot(key).qty, side) - resting.map(|order| order.leaves).sum::<i128>()
    }

    /// Changes price, total quantity, or both.
    pub fn amend_order(
        &mut self,
        account: AccountId,
        id: OrderId,
        price: Option<Price>,
        qty: Option<Qty>,
    ) -> Result<OrderId, Reject> {
        let before = self.own_order(account, id)?;
        if !before.reduce_only {
            self.verified(account)?;
        }
        let after = self.amended(&before, price, qty)?;
        let keeps_place = after.price == before.price && after.leaves < before.leaves;
        if !before.reduce_only && !keeps_place {
            self.check_amended(&before, &after)?;
        }
        if keeps_place {
            *self.order_mut(id.0) = after.clone();
            self.emit_amended(&after);
            self.emit_level(after.key.instrument, after.side, after.price);
        } else {
            self.requeue(&before, after);
        }
        Ok(id)
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
        }
        if let Some(qty) = qty {
            let qty = check_qty(&contract, qty, contract.spec.max_qty, before.reduce_only)?;
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
        let order = self.own_order(account, id)?;
        self.withdraw_order(order.id, CancelReason::User);
        Ok(id)
    }

    /// Cancels an account's orders, in one instrument or everywhere.
    pub fn cancel_all(&mut self, account: AccountId, instrument: Option<InstrumentId>) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let only = instrument.map(|instrument| self.listed(instrument)).transpose()?;
        self.cancel_orders(owner, only, CancelReason::User);
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

    /// Cuts or cancels reduce-only orders beyond what is left to reduce: buys, then sells, the youngest first.
    pub fn trim_reduce_only(&mut self, key: Key) {
        for side in [Side::Buy, Side::Sell] {
            let mut excess = -self.room_to_reduce(key, side);
            for order in self.orders_of(key).into_iter().rev() {
                if excess <= 0 || !order.reduce_only || order.side != side {
                    continue;
                }
                if order.leaves <= excess {
                    self.withdraw_order(order.id, CancelReason::ReduceOnly);
                } else {
                    let kept = self.order_mut(order.id);
                    kept.qty -= excess;
                    kept.leaves -= excess;
                    let kept = kept.clone();
                    self.emit_amended(&kept);
                    self.emit_level(key.instrument, side, kept.price);
                }
                excess -= order.leaves;
            }
        }
    }

    fn emit_cancelled(&mut self, order: &Order, reason: CancelReason) {
        self.emit_cancelled_against(order, reason, OrderId(0));
    }

    fn emit_cancelled_against(&mut self, order: &Order, reason: CancelReason, counterparty: OrderId) {
        self.emit(EventKind::OrderCancelled {
            order_id: OrderId(order.id),
            account: AccountId(self.accounts[order.key.account].id),
            instrument: instrument_id(order.key.instrument),
            leaves: Contract::shown_qty(order.leaves),
            reason,
            counterparty,
        });
    }

    fn emit_amended(&mut self, order: &Order) {
        self.emit(EventKind::OrderAmended {
            order_id: OrderId(order.id),
            account: AccountId(self.accounts[order.key.account].id),
            instrument: instrument_id(order.key.instrument),
            price: Contract::shown_price(order.price),
            qty: Contract::shown_qty(order.qty),
            leaves: Contract::shown_qty(order.leaves),
        });
    }

    /// Tells what now rests at a price.
    pub fn emit_level(&mut self, instrument: usize, side: Side, price: i128) {
        let qty = Contract::shown_qty(self.level(instrument, side, price));
        let (instrument, price) = (instrument_id(instrument), Contract::shown_price(price));
        self.emit(EventKind::BookChanged { instrument, side, price, qty });
    }
}

/// True for orders that may come to rest.
fn rests(time_in_force: TimeInForce) -> bool {
    matches!(time_in_force, TimeInForce::GoodTillCancel | TimeInForce::PostOnly)
}

/// A quantity the instrument allows. The largest order does not bind reduce-only ones.
pub fn check_qty(contract: &Rc<Contract>, qty: Qty, largest: Qty, reduce_only: bool) -> Result<i128, Reject> {
    if qty.0 <= 0 || qty.0 % contract.spec.qty_step.0 != 0 {
        return Err(Reject::QtyInvalid);
    }
    if qty < contract.spec.min_qty {
        return Err(Reject::QtyBelowMinimum);
    }
    if qty > largest && !reduce_only {
        return Err(Reject::QtyAboveMaximum);
    }
    Ok(i128::from(qty.0))
}

/// A price the instrument allows.
fn check_price(contract: &Rc<Contract>, price: Price) -> Result<i128, Reject> {
    if price.0 <= 0 || price > contract.spec.max_price || price.0 % contract.spec.tick_size.0 != 0 {
        return Err(Reject::PriceOutOfRange);
    }
    Ok(i128::from(price.0))
}
