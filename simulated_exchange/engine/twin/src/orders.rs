//! Orders coming in: rules 3 as far as one order and its account are concerned. What happens when orders meet is in `matching`,
//! how they change and go in `amend`, how they wait for a price in `conditional`.
//!
//! Order of the refusals of a new order: account, its level (what only reduces needs none; of a leg after the mode), instrument, a leg of a hedge outside hedge mode, quantity (step, minimum,
//! maximum), market ready, price, smallest value, link id, number of orders, the only position in hedge mode, the
//! liquidation price, reduce-only, limits of the position, margin.

use std::rc::Rc;

use exchange_core::{
    AccountId, CancelReason, CreateType, EventKind, FillKind, InstrumentId, NewOrder, OrderId, OrderType,
    PositionIndex, Price, Qty, Reject, Side, StopKind, TimeInForce,
};

use crate::conditional::Waiting;
use crate::contract::{side_of, Contract};
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
        if new.terms.trigger_price != Price(0) {
            return self.place_waiting(&new);
        }
        let mut create_type = CreateType::User;
        if new.closes_all() {
            let (account, instrument) = (self.user(new.account)?, self.listed(new.instrument)?);
            let key = Key { account, instrument, index: new.position_index };
            new.qty = Contract::shown_qty(self.closable(key, new.side)?);
            create_type = CreateType::Closing;
        }
        let mut order = self.filtered(&new)?;
        let beyond = self.cut_to_largest(&mut order)?;
        let valued = if order.terms.is_leveraged { order.price } else { self.valued_at(&order) };
        self.check_hold(&order, valued)?;
        self.last_order += 1;
        order.id = self.last_order;
        self.accept(&order, create_type, None);
        let (id, first) = (order.id, order.clone());
        self.send(order, valued);
        self.place_parts(&first, beyond, create_type, None);
        Ok(OrderId(id))
    }

    /// Sends an accepted order into the book, and sees to what becomes of the rest.
    pub fn send(&mut self, mut order: Order, valued: i128) {
        let fresh = self.slot(order.key);
        self.slots.entry(order.key).or_insert(fresh); // used from now on
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
            return;
        }
        self.match_incoming(&mut incoming);
        let filled = order.leaves - incoming.leaves;
        self.note_filled(&order, filled, incoming.fee_paid, &order.terms.clone());
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
        match reason {
            _ if order.leaves == 0 => {}
            Some(reason) => self.emit_cancelled_against(&order, reason, stopped_by),
            None => self.rest(order),
        }
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
    pub fn closable(&self, key: Key, side: Side) -> Result<i128, Reject> {
        let held = self.slot(key).qty;
        if held == 0 {
            return Err(Reject::ReduceOnlyNoPosition);
        }
        if side_of(held) == side {
            return Err(Reject::ReduceOnlySameSide);
        }
        Ok(held.abs())
    }

    /// The order as it comes in, after all that order and instrument can say without margin.
    pub fn filtered(&self, new: &NewOrder) -> Result<Order, Reject> {
        let account = if new.reduce_only { self.user(new.account)? } else { self.verified(new.account)? };
        let instrument = self.listed(new.instrument)?;
        let contract = self.contract(instrument);
        let key = Key { account, instrument, index: new.position_index };
        let is_market = new.order_type == OrderType::Market;
        let time_in_force = if is_market { TimeInForce::ImmediateOrCancel } else { new.time_in_force };
        let largest = self.largest(instrument, new.order_type, time_in_force);
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
        if new.terms.has_exits() {
            self.check_exits(new, instrument, (!is_market).then_some(price))?;
        }
        if new.terms.is_leveraged || new.terms.in_quote || new.terms.holds {
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
        if rests(time_in_force) && !self.has_room(key) {
            return Err(Reject::TooManyOrders);
        }
        if new.position_index == PositionIndex::OneWay && self.hedged.contains(&(account, instrument)) {
            return Err(Reject::PositionIndexMismatch);
        }
        if !is_market && !new.terms.close_on_trigger {
            self.check_limit_of_position(key, price)?;
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
            spend: new.spend(),
            reduce_only: new.reduce_only,
            terms: new.terms,
            kind: StopKind::Plain,
            link: new.link_id,
            created_ms: self.now,
            filled_value: 0,
            fee: 0,
            queued: 0,
            aged: 0,
        })
    }

    /// What an order needs must be there; what only reduces needs nothing.
    pub fn check_hold(&self, order: &Order, valued: i128) -> Result<(), Reject> {
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
    pub fn valued_at(&self, order: &Order) -> i128 {
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
    pub fn check_risk(&self, key: Key, before: &Exposure, order: &Opening) -> Result<(), Reject> {
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

    /// Remembers and tells that an order was accepted; `fired` is what it was while it waited.
    pub fn accept(&mut self, order: &Order, create_type: CreateType, fired: Option<&Waiting>) {
        let as_new = NewOrder {
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            reduce_only: order.reduce_only,
            position_index: order.key.index,
            link_id: order.link,
            terms: order.terms,
            ..NewOrder::limit(
                AccountId(self.accounts[order.key.account].id),
                instrument_id(order.key.instrument),
                order.side,
                Contract::shown_qty(order.qty),
                Contract::shown_price(order.price),
            )
        };
        self.tell_accepted(order.id, order.key, &as_new, create_type);
        if fired.is_some() || !order.terms.is_none() {
            self.tell_conditions(order.id, order.key, &order.terms, order.spend, fired);
        }
    }

    /// Remembers and tells that an order was accepted.
    pub fn tell_accepted(&mut self, id: u64, key: Key, order: &NewOrder, create_type: CreateType) {
        if !order.link_id.is_empty() {
            self.accounts[key.account].links.push(order.link_id);
        }
        self.emit(EventKind::OrderAccepted {
            order_id: OrderId(id),
            account: order.account,
            instrument: order.instrument,
            position_index: order.position_index,
            side: order.side,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            price: order.price,
            qty: order.qty,
            reduce_only: order.reduce_only,
            link_id: order.link_id,
            create_type,
        });
    }

    fn knows_link(&self, account: usize, new: &NewOrder) -> bool {
        self.accounts[account].links.contains(&new.link_id)
    }

    /// An order about to meet the book.
    pub fn incoming(&self, order: &Order, valued: i128) -> Incoming {
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

    /// True when it would meet somebody.
    pub fn would_take(&self, order: &Order) -> bool {
        let best = self.best(order.key.instrument, order.side.opposite());
        best.is_some_and(|best| reaches(order.side, order.price, best))
    }

    /// An order joins the book. A reduce-only one rests only as far as the others of its account leave room.
    pub fn rest(&mut self, mut order: Order) {
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
    pub fn room_to_reduce(&self, key: Key, side: Side) -> i128 {
        let resting = self.orders_of(key).into_iter().filter(|order| order.reduce_only && order.side == side);
        reducible(self.slot(key).qty, side) - resting.map(|order| order.leaves).sum::<i128>()
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

    /// Tells that an order is cancelled.
    pub fn emit_cancelled(&mut self, order: &Order, reason: CancelReason) {
        self.emit_cancelled_against(order, reason, OrderId(0));
    }

    /// The same, naming the order of its own trader that it would have met.
    pub fn emit_cancelled_against(&mut self, order: &Order, reason: CancelReason, counterparty: OrderId) {
        self.emit(EventKind::OrderCancelled {
            order_id: OrderId(order.id),
            account: AccountId(self.accounts[order.key.account].id),
            instrument: instrument_id(order.key.instrument),
            leaves: Contract::shown_qty(order.leaves),
            reason,
            counterparty,
        });
    }

    /// Tells price and quantity of an order.
    pub fn emit_amended(&mut self, order: &Order) {
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
pub fn rests(time_in_force: TimeInForce) -> bool {
    matches!(time_in_force, TimeInForce::GoodTillCancel | TimeInForce::PostOnly)
}

/// A quantity the instrument allows. The largest order does not bind reduce-only ones, which are split.
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
pub fn check_price(contract: &Rc<Contract>, price: Price) -> Result<i128, Reject> {
    if price.0 <= 0 || price > contract.spec.max_price || price.0 % contract.spec.tick_size.0 != 0 {
        return Err(Reject::PriceOutOfRange);
    }
    Ok(i128::from(price.0))
}
