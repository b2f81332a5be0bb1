//! What orders may ask for beyond side, quantity and price, and what accounts set for all their orders: rules 3.3 to 3.5.

use exchange_core::{
    AccountId, CancelReason, EventKind, NewOrder, OrderId, OrderSetting, OrderType, ProductClass, Reject,
    Side, SlippageTolerance, StopKind, TradingAction,
};

use crate::contract::{sign, ONE};
use crate::orders::within_band;
use crate::rounding::{ceil, floor, half_up};
use crate::state::State;

impl State {
    /// A command about orders.
    pub fn perform_trading(&mut self, action: TradingAction) -> Result<OrderId, Reject> {
        match action {
            TradingAction::SetOrderSetting { account, setting } => self.set_order_setting(account, setting),
            TradingAction::AmendTerms(ref amendment) => self.amend_terms(amendment),
            TradingAction::SetTradingStop(ref stop) => self.set_trading_stop(stop),
            TradingAction::CancelDisconnected { account, products } => {
                self.cancel_disconnected(account, products)
            }
            #[allow(unreachable_patterns)] // what is added to the vocabulary first
            other => panic!("not modelled: {other:?}"),
        }
    }

    /// The account's client is gone: its orders go, what ends its positions stays. It must have asked for that.
    fn cancel_disconnected(&mut self, account: AccountId, products: ProductClass) -> Result<OrderId, Reject> {
        let owner = self.user(account)?;
        let settings = self.settings.get(&owner).copied().unwrap_or_default();
        if settings.disconnect_seconds[usize::from(products.to_wire())] == 0 {
            return Err(Reject::OrderSettingInvalid);
        }
        let wants_spot = products == ProductClass::Spot;
        for instrument in 0..self.contracts.len() {
            if self.contracts[instrument].is_spot() == wants_spot {
                self.cancel_orders(owner, Some(instrument), CancelReason::Disconnected);
            }
        }
        for key in self.slots_of(owner) {
            if self.contracts[key.instrument].is_spot() == wants_spot {
                self.cancel_waiting(key, CancelReason::Disconnected, |waiting| {
                    waiting.kind == StopKind::Stop
                });
            }
        }
        Ok(OrderId(0))
    }

    fn set_order_setting(&mut self, account: AccountId, setting: OrderSetting) -> Result<OrderId, Reject> {
        let owner = self.user(account)?;
        let mut settings = self.settings.get(&owner).copied().unwrap_or_default();
        match setting {
            OrderSetting::SmpGroup(group) => settings.smp_group = group,
            OrderSetting::DisconnectWindow(_, seconds) if seconds != 0 && !(3..=300).contains(&seconds) => {
                return Err(Reject::OrderSettingInvalid);
            }
            OrderSetting::DisconnectWindow(products, seconds) => {
                settings.disconnect_seconds[usize::from(products.to_wire())] = seconds;
            }
            OrderSetting::MovesToBand(products, moves) => {
                settings.moves_to_band[usize::from(products.to_wire())] = moves;
            }
        }
        self.settings.insert(owner, settings);
        let [contracts_disconnect_s, spot_disconnect_s] = settings.disconnect_seconds.map(i64::from);
        let [contracts_move_to_band, spot_moves_to_band] = settings.moves_to_band;
        let smp_group = i64::from(settings.smp_group);
        self.emit(EventKind::OrderSettingsChanged {
            account,
            smp_group,
            contracts_disconnect_s,
            spot_disconnect_s,
            contracts_move_to_band,
            spot_moves_to_band,
        });
        Ok(OrderId(0))
    }

    /// A limit beyond the price band is moved to its edge, or refused where the account wants that.
    pub fn banded(&self, account: usize, instrument: usize, side: Side, price: i128) -> Result<i128, Reject> {
        let banded = within_band(side, price, self.band_edge(instrument, side));
        let settings = self.settings.get(&account).copied().unwrap_or_default();
        let products = usize::from(self.contracts[instrument].is_spot());
        if banded != price && !settings.moves_to_band[products] {
            return Err(Reject::PriceBeyondBand);
        }
        Ok(banded)
    }

    /// The limit of a market order that may slip only so far from the best price: rounded half up, then to the tick towards
    /// the best price. On an empty book it does not matter.
    pub fn tolerated(&self, new: &NewOrder, instrument: usize, limit: i128) -> Result<i128, Reject> {
        let contract = self.contract(instrument);
        let (tick, sign) = (contract.tick(), sign(new.side));
        let is_market = new.order_type == OrderType::Market;
        let best = self.best(instrument, new.side.opposite());
        let worst = match new.terms.slippage {
            SlippageTolerance::None => return Ok(limit),
            SlippageTolerance::Ticks(ticks) if is_market && (1..=10_000).contains(&ticks) => {
                best.map(|best| best + sign * i128::from(ticks) * tick)
            }
            SlippageTolerance::Ratio(ratio)
                if is_market && (ONE / 10_000..=ONE / 10).contains(&i128::from(ratio)) =>
            {
                best.map(|best| half_up(best * (ONE + sign * i128::from(ratio)), ONE))
            }
            _ => return Err(Reject::SlippageInvalid),
        };
        let to_tick = if new.side == Side::Buy { floor } else { ceil };
        let worst = worst.map(|worst| (to_tick(worst, tick) * tick).max(tick));
        Ok(worst.map_or(limit, |worst| within_band(new.side, limit, worst)))
    }
}
