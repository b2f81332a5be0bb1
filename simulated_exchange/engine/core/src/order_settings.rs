//! What accounts set for all their orders: their group of self-match prevention, their disconnect windows, and whether
//! limits beyond the price band are moved. The windows are kept here so that they survive a restart; their clock is wall
//! time, so that whoever serves the clients fires them.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::reject::Reject;
use crate::terms::{OrderSetting, OrderSettings, ProductClass, StopKind, DISCONNECT_SECONDS};
use crate::trading_command::TradingAction;
use crate::types::{AccountId, CancelReason, OrderId};

impl Exchange {
    /// Performs a command about orders.
    pub(crate) fn perform_trading(&mut self, action: TradingAction) -> Result<OrderId, Reject> {
        match action {
            TradingAction::SetOrderSetting { account, setting } => {
                self.set_order_setting(account, setting).map(|()| OrderId(0))
            }
            TradingAction::AmendTerms(ref amendment) => self.amend_terms(amendment),
            TradingAction::SetTradingStop(ref stop) => self.set_trading_stop(stop).map(|()| OrderId(0)),
            TradingAction::CancelDisconnected { account, products } => {
                self.cancel_disconnected(account, products).map(|()| OrderId(0))
            }
        }
    }

    /// Changes one setting of an account.
    fn set_order_setting(&mut self, account: AccountId, setting: OrderSetting) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let mut settings = self.settings_of(owner);
        match setting {
            OrderSetting::SmpGroup(group) => settings.smp_group = group,
            OrderSetting::DisconnectWindow(products, seconds) => {
                if seconds != 0 && !DISCONNECT_SECONDS.contains(&seconds) {
                    return Err(Reject::OrderSettingInvalid);
                }
                settings.disconnect_seconds[usize::from(products.to_wire())] = seconds;
            }
            OrderSetting::MovesToBand(products, moves) => {
                settings.moves_to_band[usize::from(products.to_wire())] = moves;
            }
        }
        if settings == OrderSettings::default() {
            self.order_settings.remove(&owner);
        } else {
            self.order_settings.insert(owner, settings);
        }
        let [contracts, spot] = settings.disconnect_seconds.map(i64::from);
        self.emit(EventKind::OrderSettingsChanged {
            account,
            smp_group: i64::from(settings.smp_group),
            contracts_disconnect_s: contracts,
            spot_disconnect_s: spot,
            contracts_move_to_band: settings.moves_to_band[0],
            spot_moves_to_band: settings.moves_to_band[1],
        });
        Ok(())
    }

    /// Cancels what is in the book and what waits to come in, oldest first by instrument. Refused without a window. An exit
    /// is never in the way: take-profits, stop-losses and trailing stops stay.
    fn cancel_disconnected(&mut self, account: AccountId, products: ProductClass) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.settings_of(owner).disconnect_seconds[usize::from(products.to_wire())] == 0 {
            return Err(Reject::OrderSettingInvalid);
        }
        let reason = CancelReason::Disconnected;
        for index in 0..self.instruments.len() {
            if self.products_of(index) == products {
                self.cancel_orders(owner, index, reason);
            }
        }
        for slot in self.ledger.slots_of(owner) {
            if self.products_of(usize::from(self.ledger.slot(slot).instrument)) == products {
                self.cancel_waiting(slot, reason, |waiting| waiting.kind == StopKind::Stop);
            }
        }
        Ok(())
    }

    /// What an instrument's orders count as in the settings.
    pub(crate) fn products_of(&self, instrument: usize) -> ProductClass {
        if self.instruments[instrument].is_contract() {
            ProductClass::Contracts
        } else {
            ProductClass::Spot
        }
    }

    /// The settings of the account at a position.
    pub(crate) fn settings_of(&self, owner: u32) -> OrderSettings {
        self.order_settings.get(&owner).copied().unwrap_or_default()
    }
}
