//! Orders that wait for a price: rules 3.1 and 3.2. They hold no margin (a take-profit or stop-loss of spot holds what it pays
//! with); when their price is reached they come in like every
//! other order, and what is refused then is cancelled.
//!
//! - The last price is looked at after every trade (before the first one the mark stands for it), mark and index whenever one
//!   of them moves. What waits for a rise comes before what waits for a fall; of each those nearest to where the price came
//!   from first, of equal ones the oldest. A trailing stop that is reached for the first time is armed, and follows the last
//!   price from then on; reached again, on the way back, it is due.
//! - What is due is set off after the command that made it so, so many per command; the rest waits for the next command.
//! - The quantity of what only reduces is cut to the position, of what closes all it is the position; then the order may
//!   make way for itself: youngest first, others that reduce on its side go until it has room to rest, and opening orders as
//!   long as nothing is available.

use exchange_core::limits::{
    CONDITIONAL_ORDERS_MAX, SPOT_CONDITIONAL_ORDERS_MAX, SPOT_TPSL_ORDERS_MAX, TRIGGERS_MAX,
};
use exchange_core::{
    AccountId, CancelReason, CreateType, EventKind, LinkId, NewOrder, OrderId, OrderType, PositionIndex,
    Price, Qty, Reject, Side, SlippageTolerance, StopKind, Terms, TermsAmendment, TriggerBy,
    TriggerDirection,
};

use crate::contract::Contract;
use crate::margin::reducible;
use crate::orders::{check_price, check_qty, instrument_id};
use crate::rounding::shown;
use crate::state::{Key, Order, State};

/// An order that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// Number.
    pub id: u64,
    /// Whose, and for which position.
    pub key: Key,
    /// What kind it is.
    pub kind: StopKind,
    /// The order as it will come in.
    pub order: NewOrder,
    /// It waits for a rise; else for a fall.
    pub rises: bool,
    /// The other one of a pair; 0 for none.
    pub partner: u64,
    /// The order it came with; 0 for none.
    pub parent: u64,
    /// How far a trailing stop lets the price come back.
    pub distance: i128,
    /// Best last price since a trailing stop was armed.
    pub best: Option<i128>,
    /// It is only a matter of its turn.
    pub is_due: bool,
    /// Market time of acceptance.
    pub created_ms: i64,
}

impl Waiting {
    fn is_short(&self) -> bool {
        self.order.side == Side::Buy
    }

    /// Who made it.
    pub fn created_by(&self) -> CreateType {
        if self.kind == StopKind::Stop && self.order.closes_all() {
            CreateType::Closing
        } else {
            self.kind.create_type()
        }
    }

    /// The price that sets it off now.
    pub fn trigger(&self) -> i128 {
        match self.best {
            Some(best) if self.is_short() => best + self.distance,
            Some(best) => best - self.distance,
            None => i128::from(self.order.terms.trigger_price.0),
        }
    }

    /// What sets it off is a rise of the price: of an armed trailing stop, the way back.
    fn is_set_off_by_rise(&self) -> bool {
        if self.best.is_some() {
            self.is_short()
        } else {
            self.rises
        }
    }

    fn is_reached(&self, price: i128) -> bool {
        if self.is_set_off_by_rise() {
            price >= self.trigger()
        } else {
            price <= self.trigger()
        }
    }
}

impl State {
    /// Keeps an order until its price is reached.
    pub fn place_waiting(&mut self, new: &NewOrder) -> Result<OrderId, Reject> {
        let account = if new.reduce_only { self.user(new.account)? } else { self.verified(new.account)? };
        let key = Key { account, instrument: self.listed(new.instrument)?, index: new.position_index };
        if new.terms.slippage != SlippageTolerance::None {
            return Err(Reject::SlippageInvalid);
        }
        if self.markets[key.instrument].mark == 0 {
            return Err(Reject::MarketNotReady);
        }
        self.check_status(key.instrument, new.reduce_only)?;
        self.check_index(key)?;
        self.check_shape(key.instrument, new)?;
        if !new.link_id.is_empty() && self.accounts[account].links.contains(&new.link_id) {
            return Err(Reject::DuplicateLinkId);
        }
        let kind = if new.terms.holds { StopKind::SpotTpSl } else { StopKind::Stop };
        let here = |waiting: &&Waiting| {
            (waiting.key.account, waiting.key.instrument) == (account, key.instrument) && waiting.kind == kind
        };
        let most = match self.contracts[key.instrument].is_spot() {
            _ if kind == StopKind::SpotTpSl => SPOT_TPSL_ORDERS_MAX,
            true => SPOT_CONDITIONAL_ORDERS_MAX,
            false => CONDITIONAL_ORDERS_MAX,
        };
        if self.waiting.values().filter(here).count() >= most {
            return Err(Reject::TooManyConditionalOrders);
        }
        if new.reduce_only {
            self.closable(key, new.side)?;
        }
        if new.terms.holds {
            self.check_waiting_hold(key, new, None)?;
        }
        let now = self.price_by(key.instrument, new.terms.trigger_by);
        let rises = match new.terms.trigger_direction {
            TriggerDirection::Either => i128::from(new.terms.trigger_price.0) > now,
            direction => direction == TriggerDirection::Rise,
        };
        self.check_direction(key.instrument, &new.terms, rises)?;
        let fresh = self.slot(key);
        self.slots.entry(key).or_insert(fresh);
        let waiting = self.new_waiting(key, kind, *new, rises);
        self.put_waiting(waiting);
        Ok(OrderId(waiting.id))
    }

    /// The next order, to wait.
    pub fn new_waiting(&self, key: Key, kind: StopKind, order: NewOrder, rises: bool) -> Waiting {
        Waiting {
            id: self.last_order + 1,
            key,
            kind,
            order,
            rises,
            partner: 0,
            parent: 0,
            distance: 0,
            best: None,
            is_due: false,
            created_ms: self.now,
        }
    }

    /// Accepts an order that is to wait.
    pub fn put_waiting(&mut self, waiting: Waiting) {
        let Waiting { id, key, order, .. } = waiting;
        self.last_order = id;
        self.tell_accepted(id, key, &order, waiting.created_by());
        self.waiting.insert(id, waiting);
        self.tell_conditions(id, key, &order.terms, order.spend(), Some(&waiting));
    }

    /// Refuses an index of the other position mode.
    pub fn check_index(&self, key: Key) -> Result<(), Reject> {
        let is_hedged = self.hedged.contains(&(key.account, key.instrument));
        if is_hedged == (key.index == PositionIndex::OneWay) {
            return Err(Reject::PositionIndexMismatch);
        }
        Ok(())
    }

    /// Refuses a quantity, limit or trigger price that the instrument does not allow.
    fn check_shape(&self, instrument: usize, order: &NewOrder) -> Result<(), Reject> {
        let contract = self.contract(instrument);
        let is_market = order.order_type == OrderType::Market;
        let trigger =
            check_price(&contract, order.terms.trigger_price).map_err(|_| Reject::TriggerPriceInvalid)?;
        let price = if is_market { trigger } else { check_price(&contract, order.price)? };
        if order.terms.has_exits() {
            self.check_exits(order, instrument, Some(price))?;
        }
        if order.closes_all() {
            return Ok(());
        }
        if order.terms.in_quote {
            let is_amount = contract.is_spot() && is_market && order.side == Side::Buy && order.qty.0 > 0;
            return if is_amount { Ok(()) } else { Err(Reject::QtyInvalid) };
        }
        let largest = self.largest(instrument, order.order_type, order.time_in_force);
        let qty = check_qty(&contract, order.qty, largest, order.reduce_only)?;
        let smallest = i128::from(contract.spec.min_notional.0);
        if !order.reduce_only && contract.notional(qty, price) < smallest {
            return Err(Reject::BelowMinimumNotional);
        }
        Ok(())
    }

    /// Refuses a trigger price that the price has reached already.
    fn check_direction(&self, instrument: usize, terms: &Terms, rises: bool) -> Result<(), Reject> {
        let (trigger, now) = (i128::from(terms.trigger_price.0), self.price_by(instrument, terms.trigger_by));
        match rises {
            true if trigger <= now => Err(Reject::TriggerNotAbove),
            false if trigger >= now => Err(Reject::TriggerNotBelow),
            _ => Ok(()),
        }
    }

    /// The present price that triggers are compared with.
    pub fn price_by(&self, instrument: usize, by: TriggerBy) -> i128 {
        let market = &self.markets[instrument];
        match by {
            TriggerBy::LastPrice if market.last > 0 => market.last,
            TriggerBy::LastPrice | TriggerBy::MarkPrice => market.mark,
            TriggerBy::IndexPrice => market.index,
        }
    }

    /// Looks for what a price that moved has reached.
    pub fn note_price(&mut self, instrument: usize, by: TriggerBy) {
        let price = self.price_by(instrument, by);
        for by_rise in [true, false] {
            let concerns = |waiting: &&Waiting| {
                let compared = if waiting.best.is_some() {
                    TriggerBy::LastPrice
                } else {
                    waiting.order.terms.trigger_by
                };
                waiting.key.instrument == instrument
                    && !waiting.is_due
                    && compared == by
                    && waiting.is_set_off_by_rise() == by_rise
            };
            let watched: Vec<Waiting> = self.waiting.values().filter(concerns).copied().collect();
            let mut reached: Vec<&Waiting> = watched.iter().filter(|one| one.is_reached(price)).collect();
            reached.sort_by_key(|one| (if by_rise { one.trigger() } else { -one.trigger() }, one.id));
            for one in &reached {
                self.note_reached(one.id, price);
            }
            for one in &watched {
                let kept = self.waiting.get_mut(&one.id).expect("it waits");
                kept.best =
                    one.best.map(|best| if one.is_short() { best.min(price) } else { best.max(price) });
            }
            for one in &reached {
                let kept = self.waiting.get_mut(&one.id).expect("it waits");
                let is_armed_now = one.kind == StopKind::TrailingStop && one.best.is_none();
                kept.best = if is_armed_now { Some(price) } else { None };
            }
        }
    }

    /// A price reached an order: it is due, or, a trailing stop for the first time, armed.
    pub fn note_reached(&mut self, id: u64, price: i128) {
        let waiting = self.waiting.get_mut(&id).expect("it waits");
        if waiting.kind == StopKind::TrailingStop && waiting.best.is_none() {
            waiting.best = Some(price);
            return;
        }
        (waiting.best, waiting.is_due) = (None, true);
        self.due_orders.push((id, price));
    }

    /// Sets off what is due, and attends to the fills that concern the ends of positions.
    pub fn run_triggers(&mut self) {
        self.attend_exits();
        for _ in 0..TRIGGERS_MAX {
            self.due_orders.retain(|(id, _)| self.waiting.contains_key(id));
            if self.due_orders.is_empty() {
                break;
            }
            let (id, price) = self.due_orders.remove(0);
            let waiting = self.forget(id).expect("it waits");
            self.set_off(&waiting, price);
            self.attend_exits();
        }
    }

    /// Takes a waiting order out; its counterpart stands alone from then on.
    fn forget(&mut self, id: u64) -> Option<Waiting> {
        let gone = self.waiting.remove(&id)?;
        if let Some(partner) = self.waiting.get_mut(&gone.partner) {
            partner.partner = 0;
        }
        Some(gone)
    }

    fn set_off(&mut self, waiting: &Waiting, price: i128) {
        let (key, order) = (waiting.key, &waiting.order);
        let (account, instrument, order_id) = (order.account, order.instrument, OrderId(waiting.id));
        self.emit(EventKind::OrderTriggered {
            order_id,
            account,
            instrument,
            price: Contract::shown_price(price),
        });
        if waiting.kind.is_exit() {
            self.withdraw_waiting(waiting.partner, CancelReason::PairTriggered);
            self.note_exit_gone(key, waiting.kind);
        } else if waiting.kind == StopKind::SpotTpSl {
            self.withdraw_waiting(waiting.partner, CancelReason::PairTriggered);
        }
        let contract = self.contract(key.instrument);
        let mut incoming = NewOrder { link_id: LinkId::NONE, terms: order.terms.without_exits(), ..*order };
        if order.closes_all() {
            let closable = Contract::shown_qty(reducible(self.slot(key).qty, order.side));
            incoming.qty = closable.max(contract.spec.min_qty);
        }
        if order.terms.close_on_trigger {
            self.make_way(key, order);
        }
        if let Err(reject) = self.bring_in(waiting, &incoming) {
            let step = contract.spec.qty_step.0;
            let leaves = if order.closes_all() { Qty(0) } else { Qty(incoming.qty.0 / step * step) };
            let (reason, counterparty) = (reason_of(reject), OrderId(0));
            self.emit(EventKind::OrderCancelled {
                order_id,
                account,
                instrument,
                leaves,
                reason,
                counterparty,
            });
        }
    }

    fn bring_in(&mut self, waiting: &Waiting, incoming: &NewOrder) -> Result<(), Reject> {
        if incoming.reduce_only {
            self.closable(waiting.key, incoming.side)?;
        }
        let mut order = self.filtered(incoming)?;
        let beyond = self.cut_to_largest(&mut order)?;
        let valued = if order.terms.is_leveraged { order.price } else { self.valued_at(&order) };
        self.check_hold(&order, valued)?;
        let order = Order {
            id: waiting.id,
            terms: waiting.order.terms,
            link: waiting.order.link_id,
            created_ms: waiting.created_ms,
            kind: waiting.kind,
            ..order
        };
        let is_as_placed = (Contract::shown_price(order.price), Contract::shown_qty(order.qty))
            == (waiting.order.price, waiting.order.qty);
        if !is_as_placed {
            self.emit_amended(&order);
        }
        let first = order.clone();
        self.send(order, valued);
        self.place_parts(&first, beyond, waiting.created_by(), Some(waiting));
        Ok(())
    }

    fn make_way(&mut self, key: Key, order: &NewOrder) {
        let rests = order.order_type == OrderType::Limit;
        let closable = reducible(self.slot(key).qty, order.side);
        let wanted = if order.closes_all() { closable } else { closable.min(i128::from(order.qty.0)) };
        for other in self.orders_of(key).into_iter().rev() {
            let is_short = self.figures(key.account).available() < 0;
            let reducing = self.orders_of(key).into_iter();
            let taken: i128 =
                reducing.filter(|own| own.reduce_only && own.side == order.side).map(|own| own.leaves).sum();
            let is_crowded = rests && closable - taken < wanted;
            if other.reduce_only && other.side == order.side && is_crowded {
                self.withdraw_order(other.id, CancelReason::ReduceOnly);
            } else if !other.reduce_only && is_short {
                self.withdraw_order(other.id, CancelReason::InsufficientMargin);
            }
        }
    }

    /// Takes back a waiting order.
    pub fn withdraw_waiting(&mut self, id: u64, reason: CancelReason) {
        let Some(Waiting { key, kind, order, .. }) = self.forget(id) else { return };
        self.emit(EventKind::OrderCancelled {
            order_id: OrderId(id),
            account: order.account,
            instrument: order.instrument,
            leaves: order.qty,
            reason,
            counterparty: OrderId(0),
        });
        if kind.is_exit() {
            self.note_exit_gone(key, kind);
        }
    }

    /// Cancels what waits for a position and fits, oldest first.
    pub fn cancel_waiting(&mut self, key: Key, reason: CancelReason, fits: impl Fn(&Waiting) -> bool) {
        let own = self.waiting.values().filter(|waiting| waiting.key == key && fits(waiting));
        let doomed: Vec<u64> = own.map(|waiting| waiting.id).collect();
        for id in doomed {
            self.withdraw_waiting(id, reason);
        }
    }

    /// A waiting order of an account that is not due yet.
    pub fn own_waiting(&self, account: AccountId, id: OrderId) -> Result<Waiting, Reject> {
        let owner = self.user(account)?;
        let own = self.waiting.get(&id.0).filter(|waiting| waiting.key.account == owner && !waiting.is_due);
        own.copied().ok_or(Reject::OrderNotFound)
    }

    /// Changes an order's terms, and its price and quantity with them.
    pub fn amend_terms(&mut self, amendment: &TermsAmendment) -> Result<OrderId, Reject> {
        self.user(amendment.account)?;
        if self.waiting.contains_key(&amendment.order_id.0) {
            return self.amend_waiting(amendment);
        }
        if amendment.trigger_price.is_some() || amendment.trigger_by.is_some() {
            return Err(Reject::OrderNotFound);
        }
        if changes_exits(amendment) {
            return self.amend_attached(amendment);
        }
        self.amend_order(amendment.account, amendment.order_id, amendment.price, amendment.qty)
    }

    /// Changes a waiting order; the price must still come from where it was to come.
    pub fn amend_waiting(&mut self, amendment: &TermsAmendment) -> Result<OrderId, Reject> {
        let before = self.own_waiting(amendment.account, amendment.order_id)?;
        if before.kind.is_exit() {
            return self.amend_exit(&before, amendment);
        }
        let mut order = before.order;
        order.price = amendment.price.unwrap_or(order.price);
        order.qty = amendment.qty.unwrap_or(order.qty);
        order.terms = amended_terms(&order.terms, amendment);
        if order == before.order {
            return Err(Reject::AmendUnchanged);
        }
        if amendment.qty == Some(Qty(0)) {
            return Err(Reject::QtyInvalid);
        }
        self.check_shape(before.key.instrument, &order)?;
        let trigger = |order: &NewOrder| (order.terms.trigger_price, order.terms.trigger_by);
        if trigger(&order) != trigger(&before.order) {
            self.check_direction(before.key.instrument, &order.terms, before.rises)?;
        }
        if before.kind == StopKind::SpotTpSl {
            self.check_waiting_hold(before.key, &order, Some(&before))?;
        }
        let after = Waiting { order, ..before };
        self.waiting.insert(before.id, after);
        if (order.price, order.qty) != (before.order.price, before.order.qty) {
            self.tell_resized(&after);
        }
        if order.terms != before.order.terms {
            self.tell_conditions(before.id, before.key, &order.terms, order.spend(), Some(&after));
        }
        Ok(amendment.order_id)
    }

    /// Tells a waiting order's price and quantity.
    pub fn tell_resized(&mut self, waiting: &Waiting) {
        let NewOrder { account, instrument, price, qty, .. } = waiting.order;
        let (order_id, leaves) = (OrderId(waiting.id), qty);
        self.emit(EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves });
    }

    /// Tells what an order asks for beyond the plain, and what it waits for.
    pub fn tell_conditions(
        &mut self,
        id: u64,
        key: Key,
        terms: &Terms,
        spend: Qty,
        waiting: Option<&Waiting>,
    ) {
        let (order_id, is_leveraged) = (OrderId(id), terms.is_leveraged);
        let account = AccountId(self.accounts[key.account].id);
        let instrument = instrument_id(key.instrument);
        if is_leveraged || terms.in_quote {
            self.emit(EventKind::SpotConditions { order_id, account, instrument, is_leveraged, spend });
        }
        let (slippage_ticks, slippage_ratio) = match terms.slippage {
            SlippageTolerance::None => (0, 0),
            SlippageTolerance::Ticks(ticks) => (i64::from(ticks), 0),
            SlippageTolerance::Ratio(ratio) => (0, i64::from(ratio)),
        };
        self.emit(EventKind::OrderConditions {
            order_id,
            account,
            instrument,
            kind: waiting.map_or(StopKind::Plain, |waiting| waiting.kind),
            trigger_price: terms.trigger_price,
            trigger_by: terms.trigger_by,
            trigger_direction: terms.trigger_direction,
            close_on_trigger: terms.close_on_trigger,
            trailing_stop: Price(waiting.map_or(0, |waiting| shown(waiting.distance))),
            partner: OrderId(waiting.map_or(0, |waiting| waiting.partner)),
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
}

/// True when what comes with the order is to change.
pub fn changes_exits(amendment: &TermsAmendment) -> bool {
    let nothing = TermsAmendment {
        price: amendment.price,
        qty: amendment.qty,
        trigger_price: amendment.trigger_price,
        trigger_by: amendment.trigger_by,
        ..TermsAmendment::of(amendment.account, amendment.order_id)
    };
    *amendment != nothing
}

/// Terms after a change.
pub fn amended_terms(terms: &Terms, amendment: &TermsAmendment) -> Terms {
    Terms {
        trigger_price: amendment.trigger_price.unwrap_or(terms.trigger_price),
        trigger_by: amendment.trigger_by.unwrap_or(terms.trigger_by),
        take_profit: amendment.take_profit.unwrap_or(terms.take_profit),
        take_profit_by: amendment.take_profit_by.unwrap_or(terms.take_profit_by),
        take_profit_limit: amendment.take_profit_limit.unwrap_or(terms.take_profit_limit),
        stop_loss: amendment.stop_loss.unwrap_or(terms.stop_loss),
        stop_loss_by: amendment.stop_loss_by.unwrap_or(terms.stop_loss_by),
        stop_loss_limit: amendment.stop_loss_limit.unwrap_or(terms.stop_loss_limit),
        tpsl_mode: amendment.tpsl_mode.unwrap_or(terms.tpsl_mode),
        ..*terms
    }
}

/// How a triggered order ends that is refused.
fn reason_of(reject: Reject) -> CancelReason {
    match reject {
        Reject::ReduceOnlyNoPosition | Reject::ReduceOnlySameSide => CancelReason::ReduceOnly,
        Reject::InsufficientBalance | Reject::PositionLimit | Reject::LeverageAboveTier => {
            CancelReason::InsufficientMargin
        }
        _ => CancelReason::TriggerRefused,
    }
}
