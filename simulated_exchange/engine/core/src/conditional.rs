//! Conditional orders, and stage 7: orders that wait for a price come in when it is reached. Rules 3.1 and 3.2.
//!
//! A waiting order holds no margin. When it is set off it goes the way of every order, filters and margin included; what is
//! refused then is cancelled. A limit is judged by the price band of that moment. The quantity of a reduce-only order is cut
//! to the position of that moment.
//!
//! Work per command is bounded; what is beyond it stays due and is served by the next command.

use crate::command::NewOrder;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::order::NONE;
use crate::reject::Reject;
use crate::terms::{CreateType, SlippageTolerance, StopKind, Terms, TriggerBy, TriggerDirection};
use crate::trading_command::TermsAmendment;
use crate::triggers::Waiting;
use crate::types::{CancelReason, LinkId, OrderId, OrderType, PositionIndex, Price, Qty, Side};

/// Conditional orders an account may have in one contract.
pub const CONDITIONAL_ORDERS_MAX: usize = 10;
/// Conditional orders an account may have in one pair of spot.
pub const SPOT_CONDITIONAL_ORDERS_MAX: usize = 30;
/// Take-profit and stop-loss orders an account may have in one pair of spot.
pub const SPOT_TPSL_ORDERS_MAX: usize = 30;
/// Waiting orders set off per command.
pub const TRIGGERS_MAX: usize = 256;

impl Exchange {
    /// Keeps an order until the price it names is reached.
    #[cold]
    pub(crate) fn place_conditional(&mut self, order: &NewOrder) -> Result<OrderId, Reject> {
        let account =
            if order.reduce_only { self.user(order.account)? } else { self.verified(order.account)? };
        let instrument = self.listed(order.instrument)?;
        self.filter_conditional(account, instrument, order)?;
        let direction = self.direction_of(instrument, order)?;
        let listed = &self.instruments[instrument];
        let slot = self.ledger.slot_for(account, instrument, order.position_index, listed);
        let id = self.last_order + 1;
        self.put_waiting(&self.new_waiting(id, slot, kind_of(order), *order, direction));
        Ok(OrderId(id))
    }

    /// An order that is to wait.
    pub(crate) fn new_waiting(
        &self,
        id: u64,
        slot: u32,
        kind: StopKind,
        order: NewOrder,
        direction: TriggerDirection,
    ) -> Waiting {
        Waiting {
            id,
            slot,
            kind,
            order,
            direction,
            partner: 0,
            parent: 0,
            distance: Price(0),
            trail: None,
            is_due: false,
            created_market_ms: self.market_ms,
            created_wall_us: self.wall_us,
            updated_wall_us: self.wall_us,
        }
    }

    /// Accepts the next order, to wait.
    pub(crate) fn put_waiting(&mut self, waiting: &Waiting) {
        let (order, kind) = (&waiting.order, waiting.kind);
        let account = self.ledger.slot(waiting.slot).account;
        let create_type = created_by(waiting);
        self.last_order = waiting.id;
        let applied = (order.price, order.qty, order.time_in_force);
        self.accept(account, order, applied, create_type, waiting.id);
        self.triggers.put(*waiting);
        self.emit_conditions(waiting.id, order, Some(waiting));
        if kind.is_exit() {
            self.ledger.slot_mut(waiting.slot).has_exits = true;
        } else if kind.holds() {
            self.note_held(waiting.slot);
        }
    }

    /// Stage 2 of a conditional order. What depends on the moment it comes in is looked at then.
    fn filter_conditional(&self, account: u32, instrument: usize, order: &NewOrder) -> Result<(), Reject> {
        if order.terms.slippage != SlippageTolerance::None {
            return Err(Reject::SlippageInvalid);
        }
        let market = &self.markets[instrument];
        if !market.is_ready() {
            return Err(Reject::MarketNotReady);
        }
        if market.is_restricted {
            self.check_status(instrument, order.reduce_only)?;
        }
        self.fits_mode(account, instrument, order.position_index)?;
        self.check_waiting_shape(instrument, order)?;
        if !order.link_id.is_empty() && self.ledger.link_ids.order(order.account, &order.link_id).is_some() {
            return Err(Reject::DuplicateLinkId);
        }
        let slots =
            PositionIndex::ALL.iter().filter_map(|index| self.ledger.find_slot(account, instrument, *index));
        let kind = kind_of(order);
        let conditional = |slot| self.triggers.of(slot).filter(|waiting| waiting.kind == kind).count();
        let most = match kind {
            StopKind::SpotTpSl => SPOT_TPSL_ORDERS_MAX,
            _ if self.instruments[instrument].is_contract() => CONDITIONAL_ORDERS_MAX,
            _ => SPOT_CONDITIONAL_ORDERS_MAX,
        };
        if slots.map(conditional).sum::<usize>() >= most {
            return Err(Reject::TooManyConditionalOrders);
        }
        if order.reduce_only {
            let slot = self.ledger.find_slot(account, instrument, order.position_index);
            self.can_reduce(slot, order.side)?;
        }
        if kind.holds() {
            self.check_held(account, instrument, order, (0, 0))?;
        }
        Ok(())
    }

    /// Refuses a quantity, limit or trigger price that the instrument does not allow.
    fn check_waiting_shape(&self, instrument: usize, order: &NewOrder) -> Result<(), Reject> {
        let listed = &self.instruments[instrument];
        let is_market = order.order_type == OrderType::Market;
        let trigger = order.terms.trigger_price;
        let trigger_ticks = self.ticks_of(instrument, trigger).map_err(|_| Reject::TriggerPriceInvalid)?;
        let ticks = if is_market { trigger_ticks } else { self.ticks_of(instrument, order.price)? };
        if order.terms.has_exits() {
            self.check_exits(order, instrument, Some(listed.price(ticks)))?;
        }
        if order.closes_all() {
            return Ok(());
        }
        if order.terms.in_quote {
            let is_amount =
                !listed.is_contract() && is_market && order.side == Side::Buy && order.qty > Qty(0);
            return if is_amount { Ok(()) } else { Err(Reject::QtyInvalid) };
        }
        let lots = self.lots_within_limits(instrument, order.qty, self.largest_of(instrument, order))?;
        if !order.reduce_only && listed.notional(lots, ticks) < i128::from(listed.spec.min_notional.0) {
            return Err(Reject::BelowMinimumNotional);
        }
        Ok(())
    }

    /// From where the price must come; it must not be there yet.
    fn direction_of(&self, instrument: usize, order: &NewOrder) -> Result<TriggerDirection, Reject> {
        let (trigger, now) = (order.terms.trigger_price, self.price_by(instrument, order.terms.trigger_by));
        let direction = match order.terms.trigger_direction {
            TriggerDirection::Either if trigger > now => TriggerDirection::Rise,
            TriggerDirection::Either => TriggerDirection::Fall,
            direction => direction,
        };
        self.check_direction(instrument, &order.terms, direction)?;
        Ok(direction)
    }

    /// Refuses a trigger price that the price has reached.
    fn check_direction(
        &self,
        instrument: usize,
        terms: &Terms,
        direction: TriggerDirection,
    ) -> Result<(), Reject> {
        let (trigger, now) = (terms.trigger_price, self.price_by(instrument, terms.trigger_by));
        match direction {
            TriggerDirection::Rise if trigger <= now => Err(Reject::TriggerNotAbove),
            TriggerDirection::Fall if trigger >= now => Err(Reject::TriggerNotBelow),
            _ => Ok(()),
        }
    }

    /// The present price that triggers are compared with.
    pub(crate) fn price_by(&self, instrument: usize, by: TriggerBy) -> Price {
        let (market, listed) = (&self.markets[instrument], &self.instruments[instrument]);
        match by {
            TriggerBy::LastPrice if market.last_ticks > 0 => listed.price(market.last_ticks),
            TriggerBy::LastPrice | TriggerBy::MarkPrice => listed.price(market.mark_ticks),
            TriggerBy::IndexPrice => Price(market.index),
        }
    }

    /// Looks for orders that a new mark or index sets off.
    #[inline]
    pub(crate) fn note_marked(&mut self, instrument: usize) {
        if self.triggers.is_watched(instrument) {
            self.note_price(instrument, TriggerBy::MarkPrice);
            self.note_price(instrument, TriggerBy::IndexPrice);
        }
    }

    /// Looks for orders that the last traded price sets off.
    #[inline]
    pub(crate) fn note_traded(&mut self, instrument: usize) {
        if self.triggers.is_watched(instrument) {
            self.note_price(instrument, TriggerBy::LastPrice);
        }
    }

    #[cold]
    fn note_price(&mut self, instrument: usize, by: TriggerBy) {
        let price = self.price_by(instrument, by).0;
        self.triggers.reach(u16::try_from(instrument).unwrap_or(u16::MAX), by, price);
    }

    /// Stage 7: attends to fills that concern take-profits and stop-losses, and sets off what is due.
    #[cold]
    pub(crate) fn run_triggers(&mut self) {
        self.attend_exits();
        for _ in 0..TRIGGERS_MAX {
            let Some((waiting, price)) = self.triggers.next_due() else { break };
            self.set_off(&waiting, Price(price));
            self.attend_exits();
        }
    }

    fn set_off(&mut self, waiting: &Waiting, price: Price) {
        let order = &waiting.order;
        let (account, instrument, order_id) = (order.account, order.instrument, OrderId(waiting.id));
        self.emit(EventKind::OrderTriggered { order_id, account, instrument, price });
        if waiting.kind.is_exit() {
            self.withdraw_waiting(waiting.partner, CancelReason::PairTriggered);
            self.note_exits(waiting.slot, waiting.kind);
        } else if waiting.kind.holds() {
            self.withdraw_waiting(waiting.partner, CancelReason::PairTriggered);
            self.note_held(waiting.slot);
        }
        let listed = &self.instruments[usize::from(instrument.0)];
        let closable = self.ledger.slot(waiting.slot).reducible(order.side);
        // what closes all is cut to the position; the smallest order does not bind it
        let qty = if order.closes_all() { listed.qty(closable).max(listed.spec.min_qty) } else { order.qty };
        let step = listed.spec.qty_step.0;
        // its link id is taken: by itself; what comes with it was looked at when it was placed
        let terms = order.terms.without_exits();
        let incoming = NewOrder { qty, link_id: LinkId::NONE, terms, ..*order };
        if order.terms.close_on_trigger {
            self.make_way(waiting.slot, order);
        }
        if let Err(reject) = self.bring_in(waiting, &incoming) {
            let lots = if order.closes_all() { 0 } else { qty.0 / step };
            self.emit_cancelled(waiting.id, account, instrument, lots, reason_of(reject));
        }
    }

    /// Sends a triggered order the way of every order.
    fn bring_in(&mut self, waiting: &Waiting, incoming: &NewOrder) -> Result<(), Reject> {
        if incoming.reduce_only {
            self.can_reduce(Some(waiting.slot), incoming.side)?;
        }
        let mut intent = self.filter(incoming)?;
        let beyond = if incoming.reduce_only { self.cut_to_largest(incoming, &mut intent)? } else { 0 };
        let valued = self.valued(incoming, &intent);
        self.hold(incoming, &intent, valued)?;
        let listed = &self.instruments[intent.instrument];
        let (price, qty) = (listed.price(intent.ticks), listed.qty(intent.lots));
        if (price, qty) != (waiting.order.price, waiting.order.qty) {
            let (order_id, account) = (OrderId(waiting.id), incoming.account);
            let instrument = incoming.instrument;
            self.emit(EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves: qty });
        }
        let order = NewOrder { link_id: waiting.order.link_id, terms: waiting.order.terms, ..*incoming };
        self.send(&order, &intent, valued, waiting.id, Some(waiting));
        if beyond > 0 {
            self.place_parts(&order, intent, beyond, created_by(waiting), Some(waiting));
        }
        Ok(())
    }

    /// Makes room for a close-on-trigger order, youngest orders first: cancels what else would reduce on its side until there
    /// is room for it to rest, and the account's opening orders in the instrument until there is margin available again.
    fn make_way(&mut self, slot: u32, order: &NewOrder) {
        let step = self.instruments[usize::from(order.instrument.0)].spec.qty_step.0;
        let rests = order.order_type == OrderType::Limit;
        let closable = self.ledger.slot(slot).reducible(order.side);
        let wanted = if order.closes_all() { closable } else { closable.min(order.qty.0 / step) };
        let at = usize::from(order.side.to_wire());
        let mut index = self.ledger.slot(slot).orders.youngest;
        while index != NONE {
            let (other, older) = (*self.orders.get(index), self.orders.older(index));
            let is_short = self.ledger.account(other.account).available() < 0;
            let is_crowded =
                rests && closable - self.ledger.detail(slot).extras().reduce_only_lots[at] < wanted;
            if other.reduce_only && other.side == order.side && is_crowded {
                self.withdraw_order(index, CancelReason::ReduceOnly);
            } else if !other.reduce_only && is_short {
                self.withdraw_order(index, CancelReason::InsufficientMargin);
            }
            index = older;
        }
    }

    /// Cancels the waiting orders of a slot that fit.
    pub(crate) fn cancel_waiting(
        &mut self,
        slot: u32,
        reason: CancelReason,
        fits: impl Fn(&Waiting) -> bool,
    ) {
        let doomed: Vec<u64> = self.triggers.of(slot).filter(|waiting| fits(waiting)).map(|w| w.id).collect();
        for id in doomed {
            self.withdraw_waiting(id, reason);
        }
    }

    /// Takes back a waiting order.
    pub(crate) fn withdraw_waiting(&mut self, id: u64, reason: CancelReason) {
        let Some(Waiting { order, kind, slot, .. }) = self.triggers.remove(id) else { return };
        let counterparty = OrderId(0);
        self.emit(EventKind::OrderCancelled {
            order_id: OrderId(id),
            account: order.account,
            instrument: order.instrument,
            leaves: order.qty,
            reason,
            counterparty,
        });
        if kind.is_exit() {
            self.note_exits(slot, kind);
        } else if kind.holds() {
            self.note_held(slot);
        }
    }

    /// Cancels a waiting order of an account.
    #[cold]
    pub(crate) fn cancel_own_waiting(&mut self, owner: u32, id: u64) -> Result<OrderId, Reject> {
        self.find_waiting(owner, id)?;
        self.withdraw_waiting(id, CancelReason::User);
        Ok(OrderId(id))
    }

    fn find_waiting(&self, owner: u32, id: u64) -> Result<Waiting, Reject> {
        let waiting = self.triggers.get(id).ok_or(Reject::OrderNotFound)?;
        if self.ledger.slot(waiting.slot).account == owner && !waiting.is_due {
            Ok(*waiting)
        } else {
            Err(Reject::OrderNotFound)
        }
    }

    /// Changes an order's terms; what only concerns the book is `amend_order`'s.
    #[cold]
    pub(crate) fn amend_terms(&mut self, amendment: &TermsAmendment) -> Result<OrderId, Reject> {
        let owner = self.user(amendment.account)?;
        if self.triggers.get(amendment.order_id.0).is_some() {
            return self.amend_waiting(owner, amendment);
        }
        if amendment.trigger_price.is_some() || amendment.trigger_by.is_some() {
            return Err(Reject::OrderNotFound);
        }
        if amendment.has_exits() {
            return self.amend_attached(amendment);
        }
        self.amend_order(amendment.account, amendment.order_id, amendment.price, amendment.qty)
    }

    /// Changes a waiting order's limit, quantity, trigger price and what comes with it; the price must still come from where
    /// it was to come.
    #[cold]
    pub(crate) fn amend_waiting(
        &mut self,
        owner: u32,
        amendment: &TermsAmendment,
    ) -> Result<OrderId, Reject> {
        let id = amendment.order_id.0;
        let before = self.find_waiting(owner, id)?;
        if before.kind.is_exit() {
            return self.amend_exit(&before, amendment);
        }
        let mut order = before.order;
        order.price = amendment.price.unwrap_or(order.price);
        order.qty = amendment.qty.unwrap_or(order.qty);
        order.terms = amendment.applied_to(&order.terms);
        if order == before.order {
            return Err(Reject::AmendUnchanged);
        }
        if amendment.qty == Some(Qty(0)) {
            return Err(Reject::QtyInvalid);
        }
        let instrument = usize::from(order.instrument.0);
        self.check_waiting_shape(instrument, &order)?;
        let trigger = |order: &NewOrder| (order.terms.trigger_price, order.terms.trigger_by);
        if trigger(&order) != trigger(&before.order) {
            self.check_direction(instrument, &order.terms, before.direction)?;
        }
        let after = Waiting { order, updated_wall_us: self.wall_us, ..before };
        if before.kind.holds() {
            let counterpart = self.triggers.get(before.partner);
            let beside = counterpart.map_or(0, |waiting| self.held_waiting(&waiting.order));
            let released = self.held_waiting(&before.order).max(beside);
            self.check_held(owner, instrument, &order, (beside, released))?;
        }
        self.triggers.put(after);
        if before.kind.holds() {
            self.note_held(before.slot);
        }
        let NewOrder { account, instrument, price, qty, .. } = order;
        let (order_id, leaves) = (amendment.order_id, qty);
        if (price, qty) != (before.order.price, before.order.qty) {
            self.emit(EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves });
        }
        if order.terms != before.order.terms {
            self.emit_conditions(id, &order, Some(&after));
        }
        Ok(order_id)
    }

    /// Tells what an order asks for beyond the plain, and what it waits for.
    pub(crate) fn emit_conditions(&mut self, id: u64, order: &NewOrder, waiting: Option<&Waiting>) {
        let terms = &order.terms;
        if terms.is_leveraged || terms.in_quote {
            let (account, instrument, spend) = (order.account, order.instrument, order.spend());
            let (order_id, is_leveraged) = (OrderId(id), terms.is_leveraged);
            self.emit(EventKind::SpotConditions { order_id, account, instrument, is_leveraged, spend });
        }
        let (slippage_ticks, slippage_ratio) = match terms.slippage {
            SlippageTolerance::None => (0, 0),
            SlippageTolerance::Ticks(ticks) => (i64::from(ticks), 0),
            SlippageTolerance::Ratio(ratio) => (0, i64::from(ratio)),
        };
        self.emit(EventKind::OrderConditions {
            order_id: OrderId(id),
            account: order.account,
            instrument: order.instrument,
            kind: waiting.map_or(StopKind::Plain, |waiting| waiting.kind),
            trigger_price: terms.trigger_price,
            trigger_by: terms.trigger_by,
            trigger_direction: terms.trigger_direction,
            close_on_trigger: terms.close_on_trigger,
            trailing_stop: waiting.map_or(Price(0), |waiting| waiting.distance),
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

/// What kind an order is that waits by choice.
fn kind_of(order: &NewOrder) -> StopKind {
    if order.terms.holds {
        StopKind::SpotTpSl
    } else {
        StopKind::Stop
    }
}

/// Who made an order that waits.
fn created_by(waiting: &Waiting) -> CreateType {
    let closes_by_choice = waiting.kind == StopKind::Stop && waiting.order.closes_all();
    if closes_by_choice {
        CreateType::Closing
    } else {
        waiting.kind.create_type()
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
