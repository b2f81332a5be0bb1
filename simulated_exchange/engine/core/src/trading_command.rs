//! Commands about orders beyond placing, changing and cancelling them. Their records use the fields of `command`. What they do
//! stands in `order_settings`.

use std::ops::RangeInclusive;

use crate::command::Fields;
use crate::record::DecodeError;
use crate::terms::{OrderSetting, ProductClass};
use crate::types::AccountId;

/// Kinds of these commands.
pub(crate) const KINDS: RangeInclusive<u8> = 30..=39;

/// What is asked about orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradingAction {
    /// Sets something for all orders of an account.
    SetOrderSetting {
        /// Account.
        account: AccountId,
        /// What is set.
        setting: OrderSetting,
    },
}

impl TradingAction {
    /// The command's own fields of its record.
    pub(crate) fn fields(&self) -> Fields {
        let fields = |kind: u8, account: AccountId| Fields { kind, account: account.0, ..Fields::default() };
        match *self {
            Self::SetOrderSetting { account, setting } => {
                let (side, order_type, number) = match setting {
                    OrderSetting::SmpGroup(group) => (0, 0, group),
                    OrderSetting::DisconnectWindow(products, seconds) => (1, products.to_wire(), seconds),
                    OrderSetting::MovesToBand(products, moves) => (2, products.to_wire(), u32::from(moves)),
                };
                Fields { side, order_type, number, ..fields(30, account) }
            }
        }
    }

    /// The command of a record.
    pub(crate) fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        let account = AccountId(fields.account);
        Ok(match fields.kind {
            30 => Self::SetOrderSetting { account, setting: order_setting(fields)? },
            _ => return Err(DecodeError::Kind),
        })
    }
}

fn order_setting(fields: &Fields) -> Result<OrderSetting, DecodeError> {
    let products = ProductClass::from_wire(fields.order_type).ok_or(DecodeError::Field)?;
    match fields.side {
        0 => Ok(OrderSetting::SmpGroup(fields.number)),
        1 => Ok(OrderSetting::DisconnectWindow(products, fields.number)),
        2 => Ok(OrderSetting::MovesToBand(products, fields.number == 1)),
        _ => Err(DecodeError::Field),
    }
}
