//! Commands about how an account holds its positions: modes, leverage of hedge legs, margin of isolated positions.
//! Their records use the fields of `command`. What they do stands in `hedge`, `leverage` and `isolated`.

use std::ops::RangeInclusive;

use crate::command::{Fields, HAS_INSTRUMENT};
use crate::record::DecodeError;
use crate::types::{AccountId, CoinId, InstrumentId, MarginMode, Money, PositionIndex, PositionMode};

/// Kinds of these commands.
pub(crate) const KINDS: RangeInclusive<u8> = 80..=89;

/// For which instruments a position mode is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeScope {
    /// One contract.
    Instrument(InstrumentId),
    /// Every contract that settles in a coin.
    Coin(CoinId),
}

/// What is asked about how an account holds its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionAction {
    /// Sets whether an account has one position in an instrument, or a long and a short one.
    SetPositionMode {
        /// Account.
        account: AccountId,
        /// Where.
        scope: ModeScope,
        /// The mode.
        mode: PositionMode,
    },
    /// Sets the leverage of both sides, in hundredths; they may differ in hedge mode with isolated margin only.
    SetSideLeverage {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Of the long side.
        buy: u32,
        /// Of the short side.
        sell: u32,
    },
    /// Sets what backs an account's positions.
    SetMarginMode {
        /// Account.
        account: AccountId,
        /// The mode.
        mode: MarginMode,
    },
    /// Adds margin to an isolated position.
    AddMargin {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// How much; negative takes back.
        amount: Money,
    },
    /// Sets whether margin is added to an isolated position before it is liquidated.
    SetAutoAddMargin {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Which of the account's positions.
        position_index: PositionIndex,
        /// Whether it is.
        is_on: bool,
    },
}

impl PositionAction {
    /// The command's own fields of its record.
    pub(crate) fn fields(&self) -> Fields {
        let fields = |kind: u8, account: AccountId| Fields { kind, account: account.0, ..Fields::default() };
        match *self {
            Self::SetPositionMode { account, scope, mode } => {
                let (flags, place) = match scope {
                    ModeScope::Instrument(instrument) => (HAS_INSTRUMENT, instrument.0),
                    ModeScope::Coin(coin) => (0, coin.0),
                };
                Fields { flags, instrument: place, number: u32::from(mode.to_wire()), ..fields(80, account) }
            }
            Self::SetSideLeverage { account, instrument, buy, sell } => {
                Fields { instrument: instrument.0, number: buy, qty: i64::from(sell), ..fields(81, account) }
            }
            Self::SetMarginMode { account, mode } => {
                Fields { number: u32::from(mode.to_wire()), ..fields(82, account) }
            }
            Self::AddMargin { account, instrument, position_index, amount } => Fields {
                instrument: instrument.0,
                position_index: position_index.to_wire(),
                price: amount.0,
                ..fields(83, account)
            },
            Self::SetAutoAddMargin { account, instrument, position_index, is_on } => Fields {
                instrument: instrument.0,
                position_index: position_index.to_wire(),
                number: u32::from(is_on),
                ..fields(84, account)
            },
        }
    }

    /// The command of a record.
    pub(crate) fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        let account = AccountId(fields.account);
        let instrument = InstrumentId(fields.instrument);
        let position_index = PositionIndex::from_wire(fields.position_index).ok_or(DecodeError::Field)?;
        Ok(match fields.kind {
            80 => Self::SetPositionMode {
                account,
                scope: match fields.flags {
                    0 => ModeScope::Coin(CoinId(fields.instrument)),
                    _ => ModeScope::Instrument(instrument),
                },
                mode: word(fields.number, PositionMode::from_wire)?,
            },
            81 => Self::SetSideLeverage {
                account,
                instrument,
                buy: fields.number,
                sell: u32::try_from(fields.qty).map_err(|_| DecodeError::Field)?,
            },
            82 => Self::SetMarginMode { account, mode: word(fields.number, MarginMode::from_wire)? },
            83 => Self::AddMargin { account, instrument, position_index, amount: Money(fields.price) },
            84 => {
                let is_on = fields.number == 1;
                Self::SetAutoAddMargin { account, instrument, position_index, is_on }
            }
            _ => return Err(DecodeError::Kind),
        })
    }
}

fn word<T>(number: u32, from_wire: impl Fn(u8) -> Option<T>) -> Result<T, DecodeError> {
    u8::try_from(number).ok().and_then(from_wire).ok_or(DecodeError::Field)
}
