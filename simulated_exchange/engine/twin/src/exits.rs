//! What ends positions: take-profit, stop-loss and trailing stop, rules 3.7. Each is a waiting order that only closes.
//!
//! - For a whole position there is one of each kind at most; setting one moves the one that is there. A trailing stop is not
//!   moved but replaced. What is set is told for all three together, and told anew whenever one of them goes.
//! - For parts there are pairs of take-profit and stop-loss (or one of them) with a quantity, at most so many. When one is
//!   triggered its counterpart is cancelled. Together they are no larger than the position: the youngest are cut or cancelled,
//!   each with its counterpart.
//! - What comes with an order is put in place for what of it has filled: a pair of its own grows with it, unless it is about to
//!   leave.
//! - When a position is gone, or has turned, all of them are cancelled.
//! - Fills are attended to in their order: before triggers are looked at, after each of them, and at the end of the command.

use exchange_core::limits::PARTIAL_PAIRS_MAX;
use exchange_core::{
    AccountId, CancelReason, EventKind, LinkId, NewOrder, OrderId, OrderType, Price, Qty, Reject, Side,
    StopKind, Terms, TermsAmendment, TimeInForce, TpSlMode, TradingStop, TriggerBy, TriggerDirection,
};

use crate::conditional::{changes_exits, Waiting};
use crate::contract::{side_of, sign, Contract};
use crate::orders::{check_price, instrument_id};
use crate::rounding::shown;
use crate::state::{Key, Order, State};

/// A fill that concerns the ends of a position.
#[derive(Clone, Copy, Debug)]
pub enum News {
    /// Some of a position closed.
    Reduced {
        /// Which.
        key: Key,
        /// Nothing is left of it.
        is_gone: bool,
    },
    /// An order filled that brings ends along.
    Filled {
        /// Order.
        order: u64,
        /// For which position.
        key: Key,
        /// Its side.
        side: Side,
        /// How much.
        qty: i128,
        /// What it brings.
        terms: Terms,
    },
}

/// One end that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    kind: StopKind,
    /// Price that sets it off.
    pub price: Price,
    /// The price that is compared.
    pub by: TriggerBy,
    /// Limit; 0 for the market.
    pub limit: Price,
}

impl End {
    /// True when it ends with a gain.
    pub fn takes_profit(&self) -> bool {
        matches!(self.kind, StopKind::TakeProfit | StopKind::PartialTakeProfit)
    }
}

/// What terms ask for, take-profit first.
pub fn ends_of(terms: &Terms) -> Vec<End> {
    let is_full = terms.tpsl_mode == TpSlMode::Full;
    let profit = if is_full { StopKind::TakeProfit } else { StopKind::PartialTakeProfit };
    let loss = if is_full { StopKind::StopLoss } else { StopKind::PartialStopLoss };
    let ends = [
        (profit, terms.take_profit, terms.take_profit_by, terms.take_profit_limit),
        (loss, terms.stop_loss, terms.stop_loss_by, terms.stop_loss_limit),
    ];
    let asked = ends.into_iter().filter(|(_, price, ..)| *price != Price(0));
    asked.map(|(kind, price, by, limit)| End { kind, price, by, limit }).collect()
}

impl State {
    /// Refuses ends that cannot come with an order; they are measured from its limit, or from the present price.
    pub fn check_exits(
        &self,
        order: &NewOrder,
        instrument: usize,
        limit: Option<i128>,
    ) -> Result<(), Reject> {
        if order.reduce_only {
            return Err(Reject::TradingStopReduceOnly);
        }
        let terms = &order.terms;
        let has_limits = terms.take_profit_limit != Price(0) || terms.stop_loss_limit != Price(0);
        if self.contracts[instrument].is_spot() {
            self.check_spot_ends(order, instrument)?;
        } else if terms.tpsl_mode == TpSlMode::Full && has_limits {
            return Err(Reject::TradingStopInvalid);
        }
        for end in ends_of(terms) {
            let base = limit.unwrap_or_else(|| self.price_by(instrument, end.by));
            self.check_end(instrument, order.side, &end, base)?;
        }
        Ok(())
    }

    /// Profit is taken beyond the base price, where a position of the side gains; loss stopped on the other side of it.
    fn check_end(&self, instrument: usize, side: Side, end: &End, base: i128) -> Result<(), Reject> {
        let contract = self.contract(instrument);
        let price = check_price(&contract, end.price).map_err(|_| Reject::TriggerPriceInvalid)?;
        if end.limit != Price(0) {
            check_price(&contract, end.limit)?;
        }
        let gain = (price - base) * sign(side);
        if end.takes_profit() && gain <= 0 {
            return Err(Reject::TakeProfitInvalid);
        }
        if !end.takes_profit() && gain >= 0 {
            return Err(Reject::StopLossInvalid);
        }
        Ok(())
    }

    fn exits_of(&self, key: Key) -> Vec<Waiting> {
        let own = self.waiting.values().filter(|waiting| waiting.key == key && waiting.kind.is_exit());
        own.copied().collect()
    }

    /// What of a kind stands for a whole position.
    fn standing(&self, key: Key, kind: StopKind) -> Option<Waiting> {
        self.exits_of(key).into_iter().find(|waiting| waiting.kind == kind && !waiting.is_due)
    }

    fn is_in_place(&self, key: Key, end: &End) -> bool {
        self.standing(key, end.kind).is_some_and(|waiting| {
            let terms = &waiting.order.terms;
            terms.trigger_price == end.price && terms.trigger_by == end.by
        })
    }

    fn trailing(&self, key: Key) -> (Price, Price) {
        self.standing(key, StopKind::TrailingStop).map_or((Price(0), Price(0)), |waiting| {
            (Price(shown(waiting.distance)), waiting.order.terms.trigger_price)
        })
    }

    fn pairs(&self, key: Key) -> usize {
        let is_older = |waiting: &Waiting| waiting.partner == 0 || waiting.partner > waiting.id;
        self.exits_of(key).iter().filter(|waiting| waiting.kind.is_partial() && is_older(waiting)).count()
    }

    fn partial_qty(&self, key: Key, kind: StopKind) -> i128 {
        let of_kind = self.exits_of(key).into_iter().filter(|waiting| waiting.kind == kind);
        of_kind.map(|waiting| i128::from(waiting.order.qty.0)).sum()
    }

    /// Sets, changes or removes what ends a position.
    pub fn set_trading_stop(&mut self, stop: &TradingStop) -> Result<OrderId, Reject> {
        let (account, instrument) = (self.user(stop.account)?, self.listed(stop.instrument)?);
        if self.contracts[instrument].is_spot() {
            return Err(Reject::NotAContract);
        }
        let key = Key { account, instrument, index: stop.position_index };
        self.check_index(key)?;
        let held = self.slot(key).qty;
        if held == 0 {
            return Err(Reject::TradingStopNoPosition);
        }
        let terms = Terms {
            tpsl_mode: stop.mode,
            take_profit: stop.take_profit.unwrap_or(Price(0)),
            take_profit_by: stop.take_profit_by,
            take_profit_limit: stop.take_profit_limit,
            stop_loss: stop.stop_loss.unwrap_or(Price(0)),
            stop_loss_by: stop.stop_loss_by,
            stop_loss_limit: stop.stop_loss_limit,
            ..Terms::NONE
        };
        let ends = ends_of(&terms);
        for end in &ends {
            self.check_end(instrument, side_of(held), end, self.price_by(instrument, end.by))?;
        }
        let trailing = self.checked_trailing(instrument, side_of(held), stop)?;
        let trailing = trailing.filter(|wanted| *wanted != self.trailing(key));
        match stop.mode {
            TpSlMode::Full => self.set_full(key, stop, &ends, trailing)?,
            TpSlMode::Partial => self.set_partial(key, stop, &ends, trailing)?,
        }
        if let Some((distance, active)) = trailing {
            self.put_trailing(key, distance, active);
        }
        Ok(OrderId(0))
    }

    /// Distance and activation price of a trailing stop; a distance of 0 removes it.
    fn checked_trailing(
        &self,
        instrument: usize,
        side: Side,
        stop: &TradingStop,
    ) -> Result<Option<(Price, Price)>, Reject> {
        let active = stop.active_price;
        let distance = match stop.trailing_stop {
            None | Some(Price(0)) if active != Price(0) => return Err(Reject::TradingStopInvalid),
            None => return Ok(None),
            Some(Price(0)) => return Ok(Some((Price(0), Price(0)))),
            Some(distance) => distance,
        };
        let last = self.price_by(instrument, TriggerBy::LastPrice);
        check_price(&self.contract(instrument), distance).map_err(|_| Reject::TriggerPriceInvalid)?;
        if i128::from(distance.0) >= last {
            return Err(Reject::TradingStopInvalid);
        }
        if active != Price(0) {
            let (kind, by, limit) = (StopKind::TakeProfit, TriggerBy::LastPrice, Price(0));
            self.check_end(instrument, side, &End { kind, price: active, by, limit }, last)?;
        }
        Ok(Some((distance, active)))
    }

    fn set_full(
        &mut self,
        key: Key,
        stop: &TradingStop,
        ends: &[End],
        trailing: Option<(Price, Price)>,
    ) -> Result<(), Reject> {
        if stop.take_profit_limit != Price(0) || stop.stop_loss_limit != Price(0) || stop.size != Qty(0) {
            return Err(Reject::TradingStopInvalid);
        }
        let given = [(StopKind::TakeProfit, stop.take_profit), (StopKind::StopLoss, stop.stop_loss)];
        let taken_away = given.into_iter().filter(|(_, price)| *price == Some(Price(0)));
        let gone: Vec<Waiting> = taken_away.filter_map(|(kind, _)| self.standing(key, kind)).collect();
        let set: Vec<&End> = ends.iter().filter(|end| !self.is_in_place(key, end)).collect();
        if gone.is_empty() && set.is_empty() && trailing.is_none() {
            return Err(Reject::TradingStopUnchanged);
        }
        for waiting in gone {
            self.withdraw_waiting(waiting.id, CancelReason::User);
        }
        for end in set {
            self.put_full(key, end);
        }
        Ok(())
    }

    fn set_partial(
        &mut self,
        key: Key,
        stop: &TradingStop,
        ends: &[End],
        trailing: Option<(Price, Price)>,
    ) -> Result<(), Reject> {
        if ends.is_empty() {
            let changes = stop.size == Qty(0) && trailing.is_some();
            return if changes { Ok(()) } else { Err(Reject::TradingStopUnchanged) };
        }
        self.check_steps(key, stop.size)?;
        if self.pairs(key) >= PARTIAL_PAIRS_MAX {
            return Err(Reject::TooManyTradingStops);
        }
        let (held, more) = (self.slot(key).qty.abs(), i128::from(stop.size.0));
        if ends.iter().any(|end| self.partial_qty(key, end.kind) + more > held) {
            return Err(Reject::TradingStopTooLarge);
        }
        self.put_pair(key, ends, stop.size, 0);
        Ok(())
    }

    fn check_steps(&self, key: Key, qty: Qty) -> Result<(), Reject> {
        let step = self.contracts[key.instrument].spec.qty_step.0;
        if qty.0 <= 0 || qty.0 % step != 0 {
            return Err(Reject::QtyInvalid);
        }
        Ok(())
    }

    fn put_full(&mut self, key: Key, end: &End) {
        if let Some(before) = self.standing(key, end.kind) {
            self.move_exit(&before, end, true);
        } else {
            self.put_exit(key, end, Qty(0), (0, 0));
            self.tell_trading_stop(key);
        }
    }

    /// Gives an end another trigger and limit.
    fn move_exit(&mut self, before: &Waiting, end: &End, is_moved: bool) {
        let mut moved = *before;
        moved.order.price = end.limit;
        moved.order.terms.trigger_price = end.price;
        moved.order.terms.trigger_by = end.by;
        self.waiting.insert(moved.id, moved);
        if is_moved {
            self.tell_conditions(moved.id, moved.key, &moved.order.terms, Qty(0), Some(&moved));
            if !moved.kind.is_partial() {
                self.tell_trading_stop(moved.key);
            }
            self.trigger_if_reached(&moved);
        }
    }

    fn put_pair(&mut self, key: Key, ends: &[End], qty: Qty, parent: u64) {
        let first = self.last_order + 1;
        let partners = if ends.len() == 2 { [first + 1, first] } else { [0, 0] };
        for (end, partner) in ends.iter().zip(partners) {
            self.put_exit(key, end, qty, (partner, parent));
        }
    }

    fn put_exit(&mut self, key: Key, end: &End, qty: Qty, (partner, parent): (u64, u64)) {
        let mut order = self.closing_order(key, qty);
        if end.limit != Price(0) {
            order.order_type = OrderType::Limit;
            order.time_in_force = TimeInForce::GoodTillCancel;
            order.price = end.limit;
        }
        let rises = (order.side == Side::Sell) == end.takes_profit();
        order.terms.trigger_price = end.price;
        order.terms.trigger_by = end.by;
        order.terms.trigger_direction = if rises { TriggerDirection::Rise } else { TriggerDirection::Fall };
        let waiting = Waiting { partner, parent, ..self.new_waiting(key, end.kind, order, rises) };
        self.put_waiting(waiting);
        self.trigger_if_reached(&waiting);
    }

    /// An order at the market that closes so much of a position; all of it for no quantity.
    fn closing_order(&self, key: Key, qty: Qty) -> NewOrder {
        let account = AccountId(self.accounts[key.account].id);
        let side = side_of(self.slot(key).qty).opposite();
        NewOrder {
            position_index: key.index,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::ImmediateOrCancel,
            reduce_only: true,
            link_id: LinkId::NONE,
            terms: Terms { close_on_trigger: true, ..Terms::NONE },
            ..NewOrder::limit(account, instrument_id(key.instrument), side, qty, Price(0))
        }
    }

    fn put_trailing(&mut self, key: Key, distance: Price, active: Price) {
        if let Some(before) = self.standing(key, StopKind::TrailingStop) {
            self.withdraw_waiting(before.id, CancelReason::User);
        }
        if distance == Price(0) {
            return;
        }
        let mut order = self.closing_order(key, Qty(0));
        order.terms.trigger_price = active;
        let rises = order.side == Side::Sell; // a long one is armed where it gains
        let waiting = Waiting {
            distance: i128::from(distance.0),
            ..self.new_waiting(key, StopKind::TrailingStop, order, rises)
        };
        self.put_waiting(waiting);
        self.tell_trading_stop(key);
        if active == Price(0) {
            self.note_reached(waiting.id, self.price_by(key.instrument, TriggerBy::LastPrice));
        }
    }

    /// Sets an end off whose price has been reached already.
    pub fn trigger_if_reached(&mut self, waiting: &Waiting) {
        let price = self.price_by(waiting.key.instrument, waiting.order.terms.trigger_by);
        let trigger = i128::from(waiting.order.terms.trigger_price.0);
        if if waiting.rises { price >= trigger } else { price <= trigger } {
            self.note_reached(waiting.id, price);
        }
    }

    /// Notes that an order that brings ends along has filled; `before` is the order as it was.
    pub fn note_filled(&mut self, before: &Order, qty: i128, fee: i128, terms: &Terms) {
        let (order, key, side) = (before.id, before.key, before.side);
        let qty = if self.contracts[key.instrument].is_spot() { self.got_by(before, qty, fee) } else { qty };
        if terms.has_exits() && qty > 0 {
            self.news.push(News::Filled { order, key, side, qty, terms: *terms });
        }
    }

    /// Notes that some of a position that has ends closed.
    pub fn note_reduced(&mut self, key: Key, is_gone: bool) {
        if !self.exits_of(key).is_empty() {
            self.news.push(News::Reduced { key, is_gone });
        }
    }

    /// Attends to what was noted.
    pub fn attend_exits(&mut self) {
        for news in std::mem::take(&mut self.news) {
            match news {
                News::Reduced { key, is_gone: true } => {
                    self.cancel_waiting(key, CancelReason::TpSlCleared, |waiting| waiting.kind.is_exit());
                }
                News::Reduced { key, is_gone: false } => self.trim_exits(key),
                News::Filled { order, key, side, qty, terms } if self.contracts[key.instrument].is_spot() => {
                    self.attach_to_coins(order, key, side, qty, &terms);
                }
                News::Filled { order, key, side, qty, terms } => {
                    let held = self.slot(key).qty;
                    if held != 0 && side_of(held) == side {
                        self.attach(order, key, qty, &terms);
                    }
                }
            }
        }
    }

    fn attach(&mut self, order: u64, key: Key, qty: i128, terms: &Terms) {
        let ends = ends_of(terms);
        if terms.tpsl_mode == TpSlMode::Full {
            let missing: Vec<End> = ends.into_iter().filter(|end| !self.is_in_place(key, end)).collect();
            for end in missing {
                self.put_full(key, &end);
            }
            return;
        }
        let mut own = self.exits_of(key);
        own.retain(|waiting| waiting.parent == order);
        if own.iter().any(|waiting| waiting.is_due) {
            own.clear();
        }
        if own.is_empty() && self.pairs(key) < PARTIAL_PAIRS_MAX {
            self.put_pair(key, &ends, Contract::shown_qty(qty), order);
        }
        for waiting in own {
            self.resize(&waiting, i128::from(waiting.order.qty.0) + qty);
        }
        self.trim_exits(key);
    }

    /// Gives an end another quantity.
    pub fn resize(&mut self, waiting: &Waiting, qty: i128) {
        let mut resized = *waiting;
        resized.order.qty = Contract::shown_qty(qty);
        self.waiting.insert(resized.id, resized);
        self.tell_resized(&resized);
    }

    /// Cuts parts beyond the position, the youngest first, each with its counterpart.
    fn trim_exits(&mut self, key: Key) {
        let held = self.slot(key).qty.abs();
        for kind in [StopKind::PartialTakeProfit, StopKind::PartialStopLoss] {
            let mut excess = (self.partial_qty(key, kind) - held).max(0);
            let of_kind = self.exits_of(key).into_iter().filter(|waiting| waiting.kind == kind);
            let youngest_first: Vec<u64> = of_kind.map(|waiting| waiting.id).rev().collect();
            for id in youngest_first {
                let Some(waiting) = self.waiting.get(&id).copied().filter(|_| excess > 0) else { continue };
                let cut = excess.min(i128::from(waiting.order.qty.0));
                excess -= cut;
                let counterpart = self.waiting.get(&waiting.partner).copied();
                for one in counterpart.into_iter().chain([waiting]) {
                    let left = i128::from(one.order.qty.0) - cut;
                    if left > 0 {
                        self.resize(&one, left);
                    } else {
                        self.withdraw_waiting(one.id, CancelReason::ReduceOnly);
                    }
                }
            }
        }
    }

    /// One of the ends went: what is left for the whole position is told.
    pub fn note_exit_gone(&mut self, key: Key, kind: StopKind) {
        if !kind.is_partial() {
            self.tell_trading_stop(key);
        }
    }

    fn tell_trading_stop(&mut self, key: Key) {
        let price = |kind: StopKind| {
            self.standing(key, kind).map_or(Price(0), |waiting| waiting.order.terms.trigger_price)
        };
        let (take_profit, stop_loss) = (price(StopKind::TakeProfit), price(StopKind::StopLoss));
        let (trailing_stop, active_price) = self.trailing(key);
        self.emit(EventKind::TradingStopChanged {
            account: AccountId(self.accounts[key.account].id),
            instrument: instrument_id(key.instrument),
            position_index: key.index,
            take_profit,
            stop_loss,
            trailing_stop,
            active_price,
        });
    }

    /// Changes an end that waits: its trigger, and of a part its limit and, with its counterpart's, its quantity.
    pub fn amend_exit(&mut self, before: &Waiting, amendment: &TermsAmendment) -> Result<OrderId, Reject> {
        let Waiting { kind, key, order, .. } = *before;
        let is_limit = order.order_type == OrderType::Limit;
        let is_impossible = kind == StopKind::TrailingStop
            || amendment.qty.is_some() && !kind.is_partial()
            || amendment.price.is_some() && !is_limit
            || changes_exits(amendment);
        if is_impossible {
            return Err(Reject::TradingStopInvalid);
        }
        let end = End {
            kind,
            price: amendment.trigger_price.unwrap_or(order.terms.trigger_price),
            by: amendment.trigger_by.unwrap_or(order.terms.trigger_by),
            limit: amendment.price.unwrap_or(order.price),
        };
        let qty = amendment.qty.unwrap_or(order.qty);
        let is_moved = end.price != order.terms.trigger_price || end.by != order.terms.trigger_by;
        if !is_moved && end.limit == order.price && qty == order.qty {
            return Err(Reject::AmendUnchanged);
        }
        if is_limit {
            check_price(&self.contract(key.instrument), end.limit)?;
        }
        if is_moved {
            let base = self.price_by(key.instrument, end.by);
            self.check_end(key.instrument, order.side.opposite(), &end, base)?;
        }
        let counterpart = self.waiting.get(&before.partner).copied();
        if amendment.qty.is_some() {
            self.check_steps(key, qty)?;
            let (held, more) = (self.slot(key).qty.abs(), i128::from(qty.0 - order.qty.0));
            let kinds = [Some(kind), counterpart.map(|other| other.kind)];
            if kinds.into_iter().flatten().any(|kind| self.partial_qty(key, kind) + more > held) {
                return Err(Reject::TradingStopTooLarge);
            }
        }
        self.move_exit(before, &end, is_moved);
        let own = self.waiting.get(&before.id).copied();
        for one in counterpart.into_iter().chain(own) {
            let has_new_limit = one.id == before.id && end.limit != order.price;
            if one.order.qty != qty || has_new_limit {
                self.resize(&one, i128::from(qty.0));
            }
        }
        Ok(OrderId(before.id))
    }
}
