//! The commands about take-profit, stop-loss and trailing stop: what may be set, changed and removed. Rules 3.7. What becomes
//! of them stands in `tpsl`.

use crate::command::NewOrder;
use crate::exchange::Exchange;
use crate::reject::Reject;
use crate::terms::{StopKind, Terms, TpSlMode, TriggerBy};
use crate::tpsl::{exits_of, Exit, PARTIAL_PAIRS_MAX};
use crate::trading_command::{TermsAmendment, TradingStop};
use crate::triggers::Waiting;
use crate::types::{CancelReason, OrderId, OrderType, Price, Qty, Side};

impl Exchange {
    /// Refuses a take-profit or stop-loss that cannot come with an order: base is its limit, or the present price.
    #[cold]
    pub(crate) fn check_exits(
        &self,
        order: &NewOrder,
        instrument: usize,
        limit: Option<Price>,
    ) -> Result<(), Reject> {
        if order.reduce_only {
            return Err(Reject::TradingStopReduceOnly);
        }
        let terms = &order.terms;
        let is_spot = !self.instruments[instrument].is_contract();
        if is_spot && (order.order_type == OrderType::Market || terms.holds) {
            return Err(Reject::SpotTermsInvalid);
        }
        let at_market = exits_of(terms).any(|exit| exit.limit == Price(0));
        if is_spot && at_market && order.qty > self.instruments[instrument].spec.max_market_qty {
            return Err(Reject::QtyAboveMaximum); // what ends it could not be sent
        }
        let is_full = terms.tpsl_mode == TpSlMode::Full && !is_spot;
        let limits = terms.take_profit_limit.0 | terms.stop_loss_limit.0;
        if is_full && limits != 0 {
            return Err(Reject::TradingStopInvalid);
        }
        for exit in exits_of(terms) {
            let base = limit.unwrap_or_else(|| self.price_by(instrument, exit.by));
            self.check_exit(instrument, order.side, &exit, base)?;
        }
        Ok(())
    }

    /// A take-profit must lie beyond the base price on the side where a position gains, a stop-loss on the other.
    pub(crate) fn check_exit(
        &self,
        instrument: usize,
        side: Side,
        exit: &Exit,
        base: Price,
    ) -> Result<(), Reject> {
        self.ticks_of(instrument, exit.price).map_err(|_| Reject::TriggerPriceInvalid)?;
        if exit.limit != Price(0) {
            self.ticks_of(instrument, exit.limit)?;
        }
        let gain = i128::from(side.sign()) * (i128::from(exit.price.0) - i128::from(base.0));
        match exit.takes_profit() {
            true if gain <= 0 => Err(Reject::TakeProfitInvalid),
            false if gain >= 0 => Err(Reject::StopLossInvalid),
            _ => Ok(()),
        }
    }

    /// Sets, changes or removes what ends a position.
    pub(crate) fn set_trading_stop(&mut self, stop: &TradingStop) -> Result<(), Reject> {
        let (owner, instrument) = (self.user(stop.account)?, self.listed(stop.instrument)?);
        if !self.instruments[instrument].is_contract() {
            return Err(Reject::NotAContract);
        }
        self.fits_mode(owner, instrument, stop.position_index)?;
        let slot = self.ledger.find_slot(owner, instrument, stop.position_index);
        let open = slot.filter(|slot| self.ledger.slot(*slot).position.lots != 0);
        let slot = open.ok_or(Reject::TradingStopNoPosition)?;
        let side = Side::of_position(self.ledger.slot(slot).position.lots);
        let terms = stop.terms();
        for exit in exits_of(&terms) {
            self.check_exit(instrument, side, &exit, self.price_by(instrument, exit.by))?;
        }
        let trailing = self.checked_trailing(instrument, side, stop)?;
        match stop.mode {
            TpSlMode::Full => self.set_full(slot, stop, &terms, trailing),
            TpSlMode::Partial => self.set_partial(slot, stop, &terms, trailing),
        }
    }

    /// Distance and activation price of a trailing stop that is to be set; a distance of 0 removes it.
    fn checked_trailing(
        &self,
        instrument: usize,
        side: Side,
        stop: &TradingStop,
    ) -> Result<Option<(Price, Price)>, Reject> {
        let Some(distance) = stop.trailing_stop else {
            return if stop.active_price == Price(0) { Ok(None) } else { Err(Reject::TradingStopInvalid) };
        };
        let active = stop.active_price;
        if distance == Price(0) {
            return if active == Price(0) {
                Ok(Some((distance, active)))
            } else {
                Err(Reject::TradingStopInvalid)
            };
        }
        let last = self.price_by(instrument, TriggerBy::LastPrice);
        self.ticks_of(instrument, distance).map_err(|_| Reject::TriggerPriceInvalid)?;
        if distance >= last {
            return Err(Reject::TradingStopInvalid);
        }
        if active != Price(0) {
            let arming =
                Exit { kind: StopKind::TakeProfit, price: active, by: TriggerBy::LastPrice, limit: Price(0) };
            self.check_exit(instrument, side, &arming, last)?;
        }
        Ok(Some((distance, active)))
    }

    fn set_full(
        &mut self,
        slot: u32,
        stop: &TradingStop,
        terms: &Terms,
        trailing: Option<(Price, Price)>,
    ) -> Result<(), Reject> {
        let limits = stop.take_profit_limit.0 | stop.stop_loss_limit.0;
        if limits != 0 || stop.size != Qty(0) {
            return Err(Reject::TradingStopInvalid);
        }
        let removed = [(StopKind::TakeProfit, stop.take_profit), (StopKind::StopLoss, stop.stop_loss)]
            .into_iter()
            .filter(|(_, price)| *price == Some(Price(0)))
            .filter_map(|(kind, _)| self.exit(slot, kind).map(|waiting| waiting.id));
        let removed: Vec<u64> = removed.collect();
        let set: Vec<Exit> = exits_of(terms).filter(|exit| !self.is_in_place(slot, exit)).collect();
        let trailing = trailing.filter(|wanted| self.trailing_of(slot) != *wanted);
        if removed.is_empty() && set.is_empty() && trailing.is_none() {
            return Err(Reject::TradingStopUnchanged);
        }
        for id in removed {
            self.withdraw_waiting(id, CancelReason::User);
        }
        for exit in &set {
            self.put_full(slot, exit);
        }
        if let Some(trailing) = trailing {
            self.put_trailing(slot, trailing);
        }
        Ok(())
    }

    fn set_partial(
        &mut self,
        slot: u32,
        stop: &TradingStop,
        terms: &Terms,
        trailing: Option<(Price, Price)>,
    ) -> Result<(), Reject> {
        let exits: Vec<Exit> = exits_of(terms).collect();
        let trailing = trailing.filter(|wanted| self.trailing_of(slot) != *wanted);
        if !exits.is_empty() {
            let lots = self.step_lots(slot, stop.size)?;
            if self.pairs_of(slot) >= PARTIAL_PAIRS_MAX {
                return Err(Reject::TooManyTradingStops);
            }
            let most = self.ledger.slot(slot).position.lots.abs();
            if exits.iter().any(|exit| self.partial_lots(slot, exit.kind).saturating_add(lots) > most) {
                return Err(Reject::TradingStopTooLarge);
            }
        } else if stop.size != Qty(0) || trailing.is_none() {
            return Err(Reject::TradingStopUnchanged);
        }
        if !exits.is_empty() {
            self.put_pair(slot, &exits, stop.size, 0);
        }
        if let Some(trailing) = trailing {
            self.put_trailing(slot, trailing);
        }
        Ok(())
    }

    /// A positive quantity in lots.
    fn step_lots(&self, slot: u32, qty: Qty) -> Result<i64, Reject> {
        let step = self.instruments[usize::from(self.ledger.slot(slot).instrument)].spec.qty_step.0;
        if qty.0 <= 0 || qty.0 % step != 0 {
            return Err(Reject::QtyInvalid);
        }
        Ok(qty.0 / step)
    }

    /// Changes a waiting take-profit or stop-loss: its trigger, and of a part its limit and, with its counterpart's, its
    /// quantity.
    pub(crate) fn amend_exit(
        &mut self,
        before: &Waiting,
        amendment: &TermsAmendment,
    ) -> Result<OrderId, Reject> {
        let Waiting { kind, slot, order, .. } = *before;
        let is_limit = order.order_type == OrderType::Limit;
        let is_whole = amendment.qty.is_some() && !kind.is_partial();
        let is_market = amendment.price.is_some() && !is_limit;
        if kind == StopKind::TrailingStop || is_whole || is_market || amendment.has_exits() {
            return Err(Reject::TradingStopInvalid);
        }
        let instrument = usize::from(order.instrument.0);
        let exit = Exit {
            kind,
            price: amendment.trigger_price.unwrap_or(order.terms.trigger_price),
            by: amendment.trigger_by.unwrap_or(order.terms.trigger_by),
            limit: amendment.price.unwrap_or(order.price),
        };
        let qty = amendment.qty.unwrap_or(order.qty);
        let is_moved = (exit.price, exit.by) != (order.terms.trigger_price, order.terms.trigger_by);
        if !is_moved && (exit.limit, qty) == (order.price, order.qty) {
            return Err(Reject::AmendUnchanged);
        }
        if is_limit {
            self.ticks_of(instrument, exit.limit)?;
        }
        if is_moved {
            self.check_exit(instrument, order.side.opposite(), &exit, self.price_by(instrument, exit.by))?;
        }
        let counterpart = self.triggers.get(before.partner).copied();
        if amendment.qty.is_some() {
            let more = self.step_lots(slot, qty)? - self.lots_of(&order);
            let most = self.ledger.slot(slot).position.lots.abs();
            let mut kinds = counterpart.iter().map(|other| other.kind).chain([kind]);
            if kinds.any(|kind| self.partial_lots(slot, kind).saturating_add(more) > most) {
                return Err(Reject::TradingStopTooLarge);
            }
        }
        self.move_exit(before, &exit, is_moved);
        for one in counterpart.into_iter().chain(self.triggers.get(before.id).copied()) {
            let is_changed = one.order.qty != qty || one.id == before.id && exit.limit != order.price;
            if is_changed {
                self.resize(&one, qty);
            }
        }
        Ok(OrderId(before.id))
    }
}
