//! Prices that orders wait for, and what ends positions: what is drawn for them.

use exchange_core::{Price, Qty, Terms, TpSlMode, TradingStop, TriggerBy, TriggerDirection};

use super::Stream;
use crate::rounding::shown;
use crate::state::State;

impl Stream {
    /// Some orders wait for a price.
    pub(super) fn maybe_waits(&mut self, state: &State, at: usize, terms: &mut Terms) {
        if !self.random.percent(self.mood.waiting) {
            return;
        }
        terms.trigger_price = self.price(state, at);
        terms.trigger_by = self.random.pick(TriggerBy::ALL);
        terms.trigger_direction = self.random.weighted(&[
            (70, TriggerDirection::Either),
            (15, TriggerDirection::Rise),
            (15, TriggerDirection::Fall),
        ]);
    }

    /// Take-profit and stop-loss, of which one may be missing; for a buy as often as for a sell.
    pub(super) fn exits(&mut self, state: &State, at: usize) -> Terms {
        let mut prices = [self.price(state, at), self.price(state, at)];
        prices.sort_unstable();
        if self.random.percent(50) {
            prices.reverse();
        }
        for price in &mut prices {
            if self.random.once_in(4) {
                *price = Price(0);
            }
        }
        let tpsl_mode = self.random.weighted(&[(60, TpSlMode::Full), (40, TpSlMode::Partial)]);
        let may_have_limit = if tpsl_mode == TpSlMode::Partial { 30 } else { 2 };
        let [take_profit_limit, stop_loss_limit] =
            [0, 1].map(
                |_| {
                    if self.random.percent(may_have_limit) {
                        self.price(state, at)
                    } else {
                        Price(0)
                    }
                },
            );
        Terms {
            tpsl_mode,
            take_profit: prices[1],
            take_profit_by: self.random.pick(TriggerBy::ALL),
            take_profit_limit,
            stop_loss: prices[0],
            stop_loss_by: self.random.pick(TriggerBy::ALL),
            stop_loss_limit,
            ..Terms::NONE
        }
    }

    /// What is to end a position; mostly one that is there, and on the side where it makes sense.
    pub(super) fn trading_stop(&mut self, state: &State) -> TradingStop {
        let (account, instrument, position_index) = self.held(state);
        let at = usize::from(instrument.0).min(state.contracts.len() - 1);
        let Terms {
            tpsl_mode: mode,
            take_profit,
            take_profit_by,
            take_profit_limit,
            stop_loss,
            stop_loss_by,
            stop_loss_limit,
            ..
        } = self.exits(state, at);
        let contract = state.contract(at);
        let held: i128 = state
            .slots
            .iter()
            .filter(|(key, _)| state.accounts[key.account].id == account.0 && key.instrument == at)
            .map(|(_, slot)| slot.qty.abs())
            .max()
            .unwrap_or(0);
        let step = shown(contract.step());
        let part = self.random.between(1, (shown(held) / step).max(1)) * step;
        let size = if mode == TpSlMode::Partial && self.random.percent(95) { part } else { 0 };
        let ticks = self.random.scaled(shown(state.markets[at].mark / contract.tick() / 20).max(1));
        let distance = Price(ticks * shown(contract.tick()));
        let trailing_stop = self.random.weighted(&[(60, None), (30, Some(distance)), (10, Some(Price(0)))]);
        let is_active_later = trailing_stop.is_some() && self.random.percent(40);
        TradingStop {
            position_index,
            mode,
            take_profit: self.random.percent(70).then_some(take_profit),
            take_profit_by,
            take_profit_limit,
            stop_loss: self.random.percent(70).then_some(stop_loss),
            stop_loss_by,
            stop_loss_limit,
            size: Qty(size),
            trailing_stop,
            active_price: if is_active_later { self.price(state, at) } else { Price(0) },
            ..TradingStop::of(account, instrument)
        }
    }
}
