//! Order entry: stage 2 (shape and instrument filters), stage 3 (risk hold), then matching and coming to rest.

use crate::command::NewOrder;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::instrument::Instrument;
use crate::margin::{tier_index, Exposure, SideOrders};
use crate::matching::{FeeRule, Taker};
use crate::order::{small_tick, Order, OrderDetail, NONE};
use crate::reject::Reject;
use crate::terms::{CreateType, StopKind};
use crate::tpsl::Progress;
use crate::triggers::Waiting;
use crate::types::{
    AccountId, CancelReason, FillKind, InstrumentId, MarginMode, OrderId, OrderType, PositionIndex, Price,
    Qty, Side, TimeInForce,
};

/// Active orders an account may have in one instrument.
pub const ACTIVE_ORDERS_MAX: u32 = 500;

/// Lots that would be added to an account's orders at a price, with their size and what they cost.
pub(crate) struct Addition {
    pub(crate) side: Side,
    pub(crate) lots: i64,
    pub(crate) ticks: i64,
    pub(crate) size: i64,
    pub(crate) cost: i64,
}

/// A new order in the exchange's own units, after the filters.
pub(crate) struct Intent {
    pub(crate) account: u32,
    pub(crate) instrument: usize,
    pub(crate) slot: Option<u32>,
    pub(crate) position_index: PositionIndex,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) lots: i64,
    pub(crate) ticks: i64,
}

impl Exchange {
    /// Places an order; see the module's stages.
    pub(crate) fn place_order(&mut self, order: &NewOrder) -> Result<OrderId, Reject> {
        let is_plain = order.position_index == PositionIndex::OneWay && order.terms.is_none();
        if is_plain {
            self.place_at_once(order, CreateType::User)
        } else {
            self.place_unusual(order)
        }
    }

    /// Places an order for a leg of a hedge, or one that asks for something beyond the plain.
    #[cold]
    fn place_unusual(&mut self, order: &NewOrder) -> Result<OrderId, Reject> {
        let mut order = *order;
        order.reduce_only |= order.terms.close_on_trigger;
        if order.position_index != PositionIndex::OneWay {
            order = self.for_leg(&order)?;
        }
        if order.terms.waits() {
            return self.place_conditional(&order);
        }
        if order.closes_all() {
            let (account, instrument) = (self.user(order.account)?, self.listed(order.instrument)?);
            let slot = self.ledger.find_slot(account, instrument, order.position_index);
            order.qty = self.instruments[instrument].qty(self.can_reduce(slot, order.side)?);
            return self.place_at_once(&order, CreateType::Closing);
        }
        self.place_at_once(&order, CreateType::User)
    }

    /// Places an order that comes in at once.
    #[inline]
    fn place_at_once(&mut self, order: &NewOrder, create_type: CreateType) -> Result<OrderId, Reject> {
        let mut intent = self.filter(order)?;
        let beyond = if order.reduce_only { self.cut_to_largest(order, &mut intent)? } else { 0 };
        let valued = self.valued(order, &intent);
        self.hold(order, &intent, valued)?;
        self.last_order += 1;
        let id = self.last_order;
        let listed = &self.instruments[intent.instrument];
        let applied = (listed.price(intent.ticks), listed.qty(intent.lots), intent.time_in_force);
        self.accept(intent.account, order, applied, create_type, id);
        if !order.terms.is_none() {
            self.emit_conditions(id, order, None);
        }
        self.send(order, &intent, valued, id, None);
        if beyond > 0 {
            self.place_parts(order, intent, beyond, create_type, None);
        }
        Ok(OrderId(id))
    }

    /// The price at which an incoming order is valued.
    #[inline]
    pub(crate) fn valued(&self, order: &NewOrder, intent: &Intent) -> i64 {
        if order.terms.is_leveraged {
            intent.ticks // whatever it may cost must be borrowable
        } else {
            self.valued_at(intent.instrument, order.side, intent.ticks, intent.time_in_force)
        }
    }

    /// Sends an accepted order into the book: stages 4 and 5, and what becomes of the rest. `fired` is what it was while it
    /// waited for a price.
    #[inline]
    pub(crate) fn send(
        &mut self,
        order: &NewOrder,
        intent: &Intent,
        valued: i64,
        id: u64,
        fired: Option<&Waiting>,
    ) {
        let listed = &self.instruments[intent.instrument];
        let taker_fee = listed.spec.taker_fee;
        let slot = match intent.slot {
            Some(slot) => slot,
            None => self.ledger.slot_for(intent.account, intent.instrument, intent.position_index, listed),
        };
        let mut taker = Taker {
            order_id: id,
            slot,
            instrument: intent.instrument,
            side: order.side,
            limit: intent.ticks,
            leaves: intent.lots,
            valued,
            reduce_only: order.reduce_only,
            fee: FeeRule::Rate(taker_fee),
            kind: FillKind::Trade,
            blocked: false,
            self_match: order.terms.self_match,
            met: 0,
            filled_value: 0,
            fee_paid: 0,
            collected: 0,
        };
        let refusal = match intent.time_in_force {
            TimeInForce::PostOnly if self.would_take(&taker) => Some(CancelReason::PostOnlyWouldTake),
            TimeInForce::FillOrKill if self.fillable(&taker) < taker.leaves => Some(CancelReason::FillOrKill),
            _ => None,
        };
        if let Some(reason) = refusal {
            self.emit_cancelled(id, order.account, order.instrument, intent.lots, reason);
            return;
        }
        if self.would_take(&taker) {
            self.match_taker(&mut taker);
        }
        if order.terms.has_exits() {
            let progress = Progress { lots: intent.lots - taker.leaves, fee: taker.fee_paid };
            self.note_filled((id, slot, order.side), (Progress::default(), progress), &order.terms);
        }
        self.finish(order, intent, &taker, fired);
    }

    /// Stage 2: everything the order and its instrument can say without looking at margin.
    pub(crate) fn filter(&self, order: &NewOrder) -> Result<Intent, Reject> {
        let account =
            if order.reduce_only { self.user(order.account)? } else { self.verified(order.account)? };
        let instrument = self.listed(order.instrument)?;
        let (listed, market) = (&self.instruments[instrument], &self.markets[instrument]);
        let is_market = order.order_type == OrderType::Market;
        // a market order is immediate-or-cancel, whatever it says
        let time_in_force = if is_market { TimeInForce::ImmediateOrCancel } else { order.time_in_force };
        let mut lots = if order.terms.in_quote {
            0
        } else {
            self.lots_within_limits(instrument, order.qty, self.largest_of(instrument, order))?
        };
        if !market.is_ready() {
            return Err(Reject::MarketNotReady);
        }
        if market.is_restricted {
            self.check_status(instrument, order.reduce_only)?;
        }
        let edge = band_edge(order.side, market.max_buy_ticks, market.min_sell_ticks);
        let ticks = if is_market {
            edge
        } else {
            self.within_band(account, instrument, order.side, self.ticks_of(instrument, order.price)?)?
        };
        let ticks = self.within_tolerance(order, instrument, ticks)?;
        if order.terms.has_exits() {
            self.check_exits(order, instrument, (!is_market).then_some(listed.price(ticks)))?;
        }
        if order.terms.are_for_spot() {
            lots = self.on_spot_terms(order, account, instrument, ticks, lots)?;
        }
        let value = listed.notional(lots, if is_market { market.mark_ticks } else { ticks });
        if !order.reduce_only && value < i128::from(listed.spec.min_notional.0) {
            return Err(Reject::BelowMinimumNotional);
        }
        if !order.link_id.is_empty() && self.ledger.link_ids.order(order.account, &order.link_id).is_some() {
            return Err(Reject::DuplicateLinkId);
        }
        let place = self.ledger.find_slot(account, instrument, order.position_index);
        let slot = place.map(|slot| self.ledger.slot(slot));
        let rests = matches!(time_in_force, TimeInForce::GoodTillCancel | TimeInForce::PostOnly);
        if rests {
            self.has_room(account, place)?;
        }
        if slot.is_some_and(|slot| slot.is_hedged) {
            return Err(Reject::PositionIndexMismatch);
        }
        let is_bound = !is_market && !order.terms.close_on_trigger;
        if let (true, Some(slot)) = (is_bound && slot.is_some_and(|slot| slot.is_isolated), place) {
            self.better_than_liquidation(slot, ticks)?;
        }
        if order.reduce_only {
            lots = lots.min(self.can_reduce(place, order.side)?);
        }
        let position_index = order.position_index;
        Ok(Intent { account, instrument, slot: place, position_index, time_in_force, lots, ticks })
    }

    /// Stage 3: the order's cost must be available. What only closes is never held back.
    pub(crate) fn hold(&self, order: &NewOrder, intent: &Intent, valued: i64) -> Result<(), Reject> {
        if order.reduce_only {
            return Ok(());
        }
        let mark_ticks = self.markets[intent.instrument].mark_ticks;
        let slot = intent.slot.map(|slot| self.ledger.slot(slot));
        let nothing = || {
            let leverage = self.leverage_of(intent.account, intent.instrument, intent.position_index);
            Exposure { leverage, mark_ticks, ..Exposure::default() }
        };
        let before = slot.map_or_else(nothing, |slot| slot.exposure(mark_ticks));
        if self.instruments[intent.instrument].is_spot {
            // what may come to rest must be held at its own price
            let rests = matches!(intent.time_in_force, TimeInForce::GoodTillCancel | TimeInForce::PostOnly);
            let addition = (order.side, intent.lots, if rests { intent.ticks } else { valued });
            let borrows = order.terms.is_leveraged;
            return self.hold_spot((intent.account, intent.instrument), &before, (0, borrows), addition);
        }
        let held = slot.map_or(0, |slot| slot.margin.order_initial);
        let listed = &self.instruments[intent.instrument];
        let size = listed.size(intent.lots, valued);
        let cost = listed.order_cost(size, order.side, before.leverage);
        let addition = Addition { side: order.side, lots: intent.lots, ticks: valued, size, cost };
        self.check_risk(intent.account, intent.instrument, &before, held, &addition)
    }

    /// The price at which an incoming order is valued: a buy at no more than the best ask, a sell at no less
    /// than the best bid (rules 4.1); fills beyond it are looked at one by one. What must fill whole is valued at the
    /// worst it may get.
    pub(crate) fn valued_at(
        &self,
        instrument: usize,
        side: Side,
        limit: i64,
        time_in_force: TimeInForce,
    ) -> i64 {
        if time_in_force == TimeInForce::FillOrKill {
            return limit;
        }
        match (side, self.books[instrument].best(side.opposite())) {
            (Side::Buy, Some(ask)) => limit.min(ask),
            (Side::Sell, Some(bid)) => limit.max(bid),
            (_, None) => limit,
        }
    }

    /// Refuses an addition to an exposure when limits or the available balance do not allow it. `held` is the order margin
    /// held now. A price through the mark must be paid for at once.
    #[inline]
    pub(crate) fn check_risk(
        &self,
        account: u32,
        instrument: usize,
        before: &Exposure,
        held: i64,
        addition: &Addition,
    ) -> Result<(), Reject> {
        let listed = &self.instruments[instrument];
        let &Addition { side, lots, ticks, size, cost } = addition;
        let lots_held = before.position.lots;
        let mut orders = before.orders;
        *orders.of_mut(side) = orders.of(side).with(SideOrders { lots, size, cost });
        let opening = orders.opening_lots(side, lots_held);
        if opening == 0 {
            return Ok(());
        }
        let at_most = orders.lots_at_most(lots_held);
        if at_most > before.orders.lots_at_most(lots_held) {
            check_limits(listed, at_most, before.leverage, before.mark_ticks)?;
        }
        let more = i128::from(orders.initial(lots_held)) - i128::from(held);
        let owner = self.ledger.account(account);
        if owner.margin_mode == MarginMode::Isolated {
            let after = Exposure { orders, ..*before };
            let addition = (side, opening.min(lots), ticks);
            return self.check_isolated_risk(account, instrument, &after, more, addition);
        }
        let loss = listed.loss(opening.min(lots), ticks, before.mark_ticks, side);
        let more = self.in_usd(listed.settle, more);
        let loss = if loss == 0 { 0 } else { self.in_usd(listed.settle, loss) };
        let available = owner.available();
        if available < 0 || available < (more + loss).max(0) {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// Remembers and tells that an order was accepted, with the price, quantity and lifetime that apply.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        account: u32,
        order: &NewOrder,
        (price, qty, time_in_force): (Price, Qty, TimeInForce),
        create_type: CreateType,
        id: u64,
    ) {
        if !order.link_id.is_empty() {
            let (orders, triggers) = (&self.orders, &self.triggers);
            let is_live = |id| orders.find(id).is_some() || triggers.get(id).is_some();
            self.ledger.link_ids.remember((account, order.account), &order.link_id, id, is_live);
        }
        self.emit(EventKind::OrderAccepted {
            order_id: OrderId(id),
            account: order.account,
            instrument: order.instrument,
            position_index: order.position_index,
            side: order.side,
            order_type: order.order_type,
            time_in_force,
            price,
            qty,
            reduce_only: order.reduce_only,
            link_id: order.link_id,
            create_type,
        });
    }

    /// What becomes of the part that did not fill: cancelled, or left to rest.
    pub(crate) fn finish(
        &mut self,
        order: &NewOrder,
        intent: &Intent,
        taker: &Taker,
        fired: Option<&Waiting>,
    ) {
        if taker.leaves == 0 {
            return;
        }
        if taker.met != 0 {
            self.emit_self_match(taker);
            return;
        }
        let reason = match intent.time_in_force {
            _ if taker.blocked => Some(CancelReason::InsufficientMargin),
            TimeInForce::GoodTillCancel | TimeInForce::PostOnly => None,
            TimeInForce::ImmediateOrCancel => Some(CancelReason::ImmediateOrCancel),
            TimeInForce::FillOrKill => Some(CancelReason::FillOrKill),
        };
        if let Some(reason) = reason {
            self.emit_cancelled(taker.order_id, order.account, order.instrument, taker.leaves, reason);
            return;
        }
        let resting = Order {
            id: taker.order_id,
            lots: intent.lots,
            leaves: taker.leaves,
            cost: 0,
            tick: small_tick(intent.ticks),
            account: intent.account,
            slot: taker.slot,
            next: NONE,
            previous: NONE,
            instrument: order.instrument.0,
            side: order.side,
            reduce_only: order.reduce_only,
            time_in_force: intent.time_in_force,
            order_type: order.order_type,
            self_match: order.terms.self_match,
            has_terms: false,
            is_begun: false,
        };
        let detail = OrderDetail {
            link_id: order.link_id,
            created_market_ms: fired.map_or(self.market_ms, |waiting| waiting.created_market_ms),
            created_wall_us: fired.map_or(self.wall_us, |waiting| waiting.created_wall_us),
            updated_wall_us: self.wall_us,
            filled_value: taker.filled_value,
            fee: taker.fee_paid,
        };
        let rested = self.rest(resting, &detail);
        if !order.terms.is_none() {
            if let Some(index) = rested {
                let kind = fired.map_or(StopKind::Plain, |waiting| waiting.kind);
                self.orders.keep_terms(index, order.terms, kind);
            }
        }
    }

    /// Lets an order rest, and says where. A reduce-only order rests only as far as the others of its account leave room.
    pub(crate) fn rest(&mut self, mut order: Order, detail: &OrderDetail) -> Option<u32> {
        let instrument = InstrumentId(order.instrument);
        if order.reduce_only {
            let slot = self.ledger.slot(order.slot);
            let account = AccountId(self.ledger.account(slot.account).id);
            let taken =
                self.ledger.detail(order.slot).extras().reduce_only_lots[usize::from(order.side.to_wire())];
            let room = (slot.reducible(order.side) - taken).max(0);
            if room == 0 {
                self.emit_cancelled(order.id, account, instrument, order.leaves, CancelReason::ReduceOnly);
                return None;
            }
            if order.leaves > room {
                order.lots -= order.leaves - room;
                order.leaves = room;
                self.emit_amended(&order, account);
            }
        }
        order.cost = self.cost_of(&order);
        let list = &mut self.ledger.slot_mut(order.slot).orders;
        let index = self.orders.add(order, detail, list);
        let level = self.books[usize::from(order.instrument)].link(&mut self.orders, index);
        self.count_resting(&order, 1);
        self.emit_level(instrument, order.side, order.ticks(), level);
        self.refresh_orders(order.slot);
        Some(index)
    }

    /// What an order costs with the lots it has left, as if it had been placed so.
    #[inline]
    pub(crate) fn cost_of(&self, order: &Order) -> i64 {
        if order.reduce_only {
            return 0;
        }
        let listed = &self.instruments[usize::from(order.instrument)];
        let leverage = i64::from(self.ledger.slot(order.slot).leverage);
        listed.order_cost(listed.size(order.leaves, order.ticks()), order.side, leverage)
    }

    /// Adds what an order has left to the sums of resting orders, or, with a sign of -1, takes it away.
    #[inline]
    pub(crate) fn count_resting(&mut self, order: &Order, sign: i64) {
        if order.reduce_only {
            let at = usize::from(order.side.to_wire());
            let resting = &mut self.ledger.detail_mut(order.slot).extras_mut().reduce_only_lots;
            resting[at] += sign * order.leaves;
            let has_reduce_only = *resting != [0; 2];
            self.ledger.slot_mut(order.slot).has_reduce_only = has_reduce_only;
            return;
        }
        let its_own = self.orders_of_one(order);
        let sums = self.ledger.slot_mut(order.slot).open_orders.of_mut(order.side);
        *sums = if sign > 0 { sums.with(its_own) } else { sums.without(its_own) };
    }

    /// What an order that may open adds to the sums of its side.
    #[inline]
    pub(crate) fn orders_of_one(&self, order: &Order) -> SideOrders {
        let size = self.instruments[usize::from(order.instrument)].size(order.leaves, order.ticks());
        SideOrders { lots: order.leaves, size, cost: order.cost }
    }

    /// Takes lots off a resting order and its level, which it keeps its place in; returns the lots now at the level.
    pub(crate) fn shrink(&mut self, index: u32, lots: i64) -> i64 {
        let before = *self.orders.get(index);
        let mut after = Order { leaves: before.leaves - lots, ..before };
        after.cost = self.cost_of(&after);
        self.count_resting(&before, -1);
        self.count_resting(&after, 1);
        self.orders.get_mut(index).cost = after.cost;
        self.books[usize::from(before.instrument)].reduce(&mut self.orders, index, lots)
    }

    pub(crate) fn emit_cancelled(
        &mut self,
        id: u64,
        account: AccountId,
        instrument: InstrumentId,
        lots: i64,
        reason: CancelReason,
    ) {
        let leaves = self.instruments[usize::from(instrument.0)].qty(lots);
        let (order_id, counterparty) = (OrderId(id), OrderId(0));
        self.emit(EventKind::OrderCancelled { order_id, account, instrument, leaves, reason, counterparty });
    }

    pub(crate) fn emit_amended(&mut self, order: &Order, account: AccountId) {
        let listed = &self.instruments[usize::from(order.instrument)];
        let (price, qty, leaves) =
            (listed.price(order.ticks()), listed.qty(order.lots), listed.qty(order.leaves));
        let (order_id, instrument) = (OrderId(order.id), InstrumentId(order.instrument));
        self.emit(EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves });
    }

    #[inline]
    pub(crate) fn emit_level(&mut self, instrument: InstrumentId, side: Side, ticks: i64, lots: i64) {
        let listed = &self.instruments[usize::from(instrument.0)];
        let (price, qty) = (listed.price(ticks), listed.qty(lots));
        self.emit(EventKind::BookChanged { instrument, side, price, qty });
    }
}

/// Refuses more lots than an instrument allows an account to hold, or than the leverage allows.
#[inline]
fn check_limits(listed: &Instrument, at_most: i64, leverage: i64, mark_ticks: i64) -> Result<(), Reject> {
    if !listed.allows(at_most, mark_ticks) {
        return Err(Reject::PositionLimit);
    }
    if leverage <= listed.leverage_everywhere {
        return Ok(());
    }
    let size = i128::from(listed.size(at_most, mark_ticks));
    let tier = &listed.tiers[tier_index(&listed.tiers, size)];
    if leverage > tier.max_leverage {
        Err(Reject::LeverageAboveTier)
    } else {
        Ok(())
    }
}

/// The edge of the price band that binds a side.
pub(crate) fn band_edge(side: Side, max_buy: i64, min_sell: i64) -> i64 {
    match side {
        Side::Buy => max_buy,
        Side::Sell => min_sell,
    }
}

/// A limit beyond the band's edge is moved to it (futures rule 3.3).
pub(crate) fn within_band(side: Side, ticks: i64, edge: i64) -> i64 {
    match side {
        Side::Buy => ticks.min(edge),
        Side::Sell => ticks.max(edge),
    }
}
