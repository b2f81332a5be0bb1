//! Commands about orders beyond placing, changing and cancelling them. Their records use the fields of `command`. What they do
//! stands in `order_settings`, `conditional` and `amend`.

use std::ops::RangeInclusive;

use crate::command::{Fields, HAS_PRICE, HAS_QTY};
use crate::record::DecodeError;
use crate::terms::{OrderSetting, ProductClass, Terms, TriggerBy};
use crate::types::{AccountId, OrderId, Price, Qty};

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
    /// Changes an order's terms, and its price and quantity with them.
    AmendTerms(TermsAmendment),
}

/// A change of an order's terms; nothing given, nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermsAmendment {
    /// Owner.
    pub account: AccountId,
    /// Order.
    pub order_id: OrderId,
    /// Limit.
    pub price: Option<Price>,
    /// Total quantity.
    pub qty: Option<Qty>,
    /// Trigger price, of an order that still waits.
    pub trigger_price: Option<Price>,
    /// The price that is compared with it.
    pub trigger_by: Option<TriggerBy>,
}

impl TermsAmendment {
    /// A change of nothing yet.
    pub const fn of(account: AccountId, order_id: OrderId) -> Self {
        Self { account, order_id, price: None, qty: None, trigger_price: None, trigger_by: None }
    }

    fn fields(&self) -> Fields {
        let flag = |given: bool, flag: u8| if given { flag } else { 0 };
        Fields {
            kind: 31,
            account: self.account.0,
            order_id: self.order_id.0,
            flags: flag(self.price.is_some(), HAS_PRICE)
                | flag(self.qty.is_some(), HAS_QTY)
                | flag(self.trigger_price.is_some(), HAS_TRIGGER_PRICE)
                | flag(self.trigger_by.is_some(), HAS_TRIGGER_BY),
            price: self.price.unwrap_or_default().0,
            qty: self.qty.unwrap_or_default().0,
            ..Fields::default()
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            trigger_price: self.trigger_price.unwrap_or_default(),
            trigger_by: self.trigger_by.unwrap_or_default(),
            ..Terms::NONE
        }
    }

    fn from_fields(fields: &Fields, terms: &Terms) -> Self {
        let given = |flag: u8| fields.flags & flag != 0;
        Self {
            account: AccountId(fields.account),
            order_id: OrderId(fields.order_id),
            price: given(HAS_PRICE).then_some(Price(fields.price)),
            qty: given(HAS_QTY).then_some(Qty(fields.qty)),
            trigger_price: given(HAS_TRIGGER_PRICE).then_some(terms.trigger_price),
            trigger_by: given(HAS_TRIGGER_BY).then_some(terms.trigger_by),
        }
    }
}

const HAS_TRIGGER_PRICE: u8 = 16;
const HAS_TRIGGER_BY: u8 = 32;

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
            Self::AmendTerms(ref amendment) => amendment.fields(),
        }
    }

    /// The terms of its record.
    pub(crate) fn terms(&self) -> Terms {
        match self {
            Self::SetOrderSetting { .. } => Terms::NONE,
            Self::AmendTerms(amendment) => amendment.terms(),
        }
    }

    /// The command of a record.
    pub(crate) fn from_fields(fields: &Fields, terms: &Terms) -> Result<Self, DecodeError> {
        let account = AccountId(fields.account);
        Ok(match fields.kind {
            30 => Self::SetOrderSetting { account, setting: order_setting(fields)? },
            31 => Self::AmendTerms(TermsAmendment::from_fields(fields, terms)),
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
