//! Commands about orders beyond placing, changing and cancelling them. Their records use the fields of `command`. What they do
//! stands in `order_settings`, `conditional`, `tpsl` and `amend`.

use std::ops::RangeInclusive;

use crate::command::{Fields, HAS_PRICE, HAS_QTY};
use crate::record::DecodeError;
use crate::terms::{OrderSetting, ProductClass, Terms, TpSlMode, TriggerBy};
use crate::types::{AccountId, InstrumentId, OrderId, PositionIndex, Price, Qty};

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
    /// Sets, changes or removes what ends a position.
    SetTradingStop(TradingStop),
    /// Cancels the orders of an account whose client is gone for longer than its disconnect window; what ends its positions
    /// stays in force.
    CancelDisconnected {
        /// Account.
        account: AccountId,
        /// What its window is for.
        products: ProductClass,
    },
}

/// What is to end a position. Prices not given stay as they are; a price of 0 removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradingStop {
    /// Account.
    pub account: AccountId,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Which of the account's positions.
    pub position_index: PositionIndex,
    /// Whether take-profit and stop-loss close all of the position, or are a pair of their own for a part.
    pub mode: TpSlMode,
    /// Price at which profit is taken.
    pub take_profit: Option<Price>,
    /// The price that is compared with it.
    pub take_profit_by: TriggerBy,
    /// Limit of a part's take-profit; 0 for the market.
    pub take_profit_limit: Price,
    /// Price at which the loss is stopped.
    pub stop_loss: Option<Price>,
    /// The price that is compared with it.
    pub stop_loss_by: TriggerBy,
    /// Limit of a part's stop-loss; 0 for the market.
    pub stop_loss_limit: Price,
    /// Quantity of a part; 0 for the whole position.
    pub size: Qty,
    /// How far the last price may come back from its best before all of the position is closed.
    pub trailing_stop: Option<Price>,
    /// Last price at which the trailing stop is armed; 0 for at once.
    pub active_price: Price,
}

impl TradingStop {
    /// A change of nothing yet, of the only position.
    pub const fn of(account: AccountId, instrument: InstrumentId) -> Self {
        Self {
            account,
            instrument,
            position_index: PositionIndex::OneWay,
            mode: TpSlMode::Full,
            take_profit: None,
            take_profit_by: TriggerBy::LastPrice,
            take_profit_limit: Price(0),
            stop_loss: None,
            stop_loss_by: TriggerBy::LastPrice,
            stop_loss_limit: Price(0),
            size: Qty(0),
            trailing_stop: None,
            active_price: Price(0),
        }
    }

    /// As the terms of an order that brings them.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            tpsl_mode: self.mode,
            take_profit: self.take_profit.unwrap_or_default(),
            take_profit_by: self.take_profit_by,
            take_profit_limit: self.take_profit_limit,
            stop_loss: self.stop_loss.unwrap_or_default(),
            stop_loss_by: self.stop_loss_by,
            stop_loss_limit: self.stop_loss_limit,
            ..Terms::NONE
        }
    }

    fn fields(&self) -> Fields {
        let flag = |given: Option<Price>, flag: u8| given.map_or(0, |_| flag);
        Fields {
            kind: 32,
            account: self.account.0,
            instrument: self.instrument.0,
            position_index: self.position_index.to_wire(),
            flags: flag(self.take_profit, HAS_TAKE_PROFIT)
                | flag(self.stop_loss, HAS_STOP_LOSS)
                | flag(self.trailing_stop, HAS_TRAILING_STOP),
            order_id: u64::from_le_bytes(self.active_price.0.to_le_bytes()),
            price: self.trailing_stop.unwrap_or_default().0,
            qty: self.size.0,
            ..Fields::default()
        }
    }

    fn from_fields(fields: &Fields, terms: &Terms) -> Result<Self, DecodeError> {
        let given = |flag: u8, price: Price| (fields.flags & flag != 0).then_some(price);
        Ok(Self {
            account: AccountId(fields.account),
            instrument: InstrumentId(fields.instrument),
            position_index: PositionIndex::from_wire(fields.position_index).ok_or(DecodeError::Field)?,
            mode: terms.tpsl_mode,
            take_profit: given(HAS_TAKE_PROFIT, terms.take_profit),
            take_profit_by: terms.take_profit_by,
            take_profit_limit: terms.take_profit_limit,
            stop_loss: given(HAS_STOP_LOSS, terms.stop_loss),
            stop_loss_by: terms.stop_loss_by,
            stop_loss_limit: terms.stop_loss_limit,
            size: Qty(fields.qty),
            trailing_stop: given(HAS_TRAILING_STOP, Price(fields.price)),
            active_price: Price(i64::from_le_bytes(fields.order_id.to_le_bytes())),
        })
    }
}

const HAS_TAKE_PROFIT: u8 = 1;
const HAS_STOP_LOSS: u8 = 2;
const HAS_TRAILING_STOP: u8 = 4;

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
    /// Take-profit that comes with it; 0 for none.
    pub take_profit: Option<Price>,
    /// The price that is compared with it.
    pub take_profit_by: Option<TriggerBy>,
    /// Its limit; 0 for the market.
    pub take_profit_limit: Option<Price>,
    /// Stop-loss that comes with it; 0 for none.
    pub stop_loss: Option<Price>,
    /// The price that is compared with it.
    pub stop_loss_by: Option<TriggerBy>,
    /// Its limit; 0 for the market.
    pub stop_loss_limit: Option<Price>,
    /// How much of the position they close.
    pub tpsl_mode: Option<TpSlMode>,
}

impl TermsAmendment {
    /// A change of nothing yet.
    pub const fn of(account: AccountId, order_id: OrderId) -> Self {
        Self {
            account,
            order_id,
            price: None,
            qty: None,
            trigger_price: None,
            trigger_by: None,
            take_profit: None,
            take_profit_by: None,
            take_profit_limit: None,
            stop_loss: None,
            stop_loss_by: None,
            stop_loss_limit: None,
            tpsl_mode: None,
        }
    }

    /// True when what comes with the order is to change.
    pub(crate) fn has_exits(&self) -> bool {
        self.given_terms() >> 2 != 0
    }

    /// Terms after the change.
    pub(crate) fn applied_to(&self, terms: &Terms) -> Terms {
        Terms {
            trigger_price: self.trigger_price.unwrap_or(terms.trigger_price),
            trigger_by: self.trigger_by.unwrap_or(terms.trigger_by),
            take_profit: self.take_profit.unwrap_or(terms.take_profit),
            take_profit_by: self.take_profit_by.unwrap_or(terms.take_profit_by),
            take_profit_limit: self.take_profit_limit.unwrap_or(terms.take_profit_limit),
            stop_loss: self.stop_loss.unwrap_or(terms.stop_loss),
            stop_loss_by: self.stop_loss_by.unwrap_or(terms.stop_loss_by),
            stop_loss_limit: self.stop_loss_limit.unwrap_or(terms.stop_loss_limit),
            tpsl_mode: self.tpsl_mode.unwrap_or(terms.tpsl_mode),
            ..*terms
        }
    }

    fn fields(&self) -> Fields {
        let flag = |given: bool, flag: u8| if given { flag } else { 0 };
        Fields {
            kind: 31,
            account: self.account.0,
            order_id: self.order_id.0,
            flags: flag(self.price.is_some(), HAS_PRICE) | flag(self.qty.is_some(), HAS_QTY),
            number: self.given_terms(),
            price: self.price.unwrap_or_default().0,
            qty: self.qty.unwrap_or_default().0,
            ..Fields::default()
        }
    }

    /// One bit for each of the terms that is given, in the order of their declaration.
    fn given_terms(&self) -> u32 {
        let given = [
            self.trigger_price.is_some(),
            self.trigger_by.is_some(),
            self.take_profit.is_some(),
            self.take_profit_by.is_some(),
            self.take_profit_limit.is_some(),
            self.stop_loss.is_some(),
            self.stop_loss_by.is_some(),
            self.stop_loss_limit.is_some(),
            self.tpsl_mode.is_some(),
        ];
        given.iter().zip(0_u32..).map(|(given, bit)| u32::from(*given) << bit).sum()
    }

    fn terms(&self) -> Terms {
        self.applied_to(&Terms::NONE)
    }

    fn from_fields(fields: &Fields, terms: &Terms) -> Self {
        let given = |bit: u32| fields.number >> bit & 1 == 1;
        Self {
            account: AccountId(fields.account),
            order_id: OrderId(fields.order_id),
            price: (fields.flags & HAS_PRICE != 0).then_some(Price(fields.price)),
            qty: (fields.flags & HAS_QTY != 0).then_some(Qty(fields.qty)),
            trigger_price: given(0).then_some(terms.trigger_price),
            trigger_by: given(1).then_some(terms.trigger_by),
            take_profit: given(2).then_some(terms.take_profit),
            take_profit_by: given(3).then_some(terms.take_profit_by),
            take_profit_limit: given(4).then_some(terms.take_profit_limit),
            stop_loss: given(5).then_some(terms.stop_loss),
            stop_loss_by: given(6).then_some(terms.stop_loss_by),
            stop_loss_limit: given(7).then_some(terms.stop_loss_limit),
            tpsl_mode: given(8).then_some(terms.tpsl_mode),
        }
    }
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
            Self::AmendTerms(ref amendment) => amendment.fields(),
            Self::SetTradingStop(ref stop) => stop.fields(),
            Self::CancelDisconnected { account, products } => {
                Fields { order_type: products.to_wire(), ..fields(33, account) }
            }
        }
    }

    /// The terms of its record.
    pub(crate) fn terms(&self) -> Terms {
        match self {
            Self::SetOrderSetting { .. } | Self::CancelDisconnected { .. } => Terms::NONE,
            Self::AmendTerms(amendment) => amendment.terms(),
            Self::SetTradingStop(stop) => stop.terms(),
        }
    }

    /// The command of a record.
    pub(crate) fn from_fields(fields: &Fields, terms: &Terms) -> Result<Self, DecodeError> {
        let account = AccountId(fields.account);
        Ok(match fields.kind {
            30 => Self::SetOrderSetting { account, setting: order_setting(fields)? },
            31 => Self::AmendTerms(TermsAmendment::from_fields(fields, terms)),
            32 => Self::SetTradingStop(TradingStop::from_fields(fields, terms)?),
            33 => {
                let products = ProductClass::from_wire(fields.order_type).ok_or(DecodeError::Field)?;
                Self::CancelDisconnected { account, products }
            }
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
