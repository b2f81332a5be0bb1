//! What an order may ask for beyond side, quantity and price, and what an account may set for all its orders. Words only:
//! plain data and its place in the command record; no behaviour of the exchange.

use serde::{Deserialize, Serialize};

use crate::record::{DecodeError, Reader, Writer};
use crate::types::wire_enum;

wire_enum! {
    /// What happens when an order would meet one of the same trader. The incoming order decides; a resting order's word is
    /// not asked.
    #[derive(Default)]
    SelfMatch {
        /// They trade.
        #[default]
        Allow = 0,
        /// The resting order is cancelled.
        CancelMaker = 1,
        /// The incoming order is cancelled.
        CancelTaker = 2,
        /// Both are cancelled.
        CancelBoth = 3,
    }
}

wire_enum! {
    /// What is traded, as far as an account's settings tell it apart.
    ProductClass {
        /// Perpetual and expiry contracts.
        Contracts = 0,
        /// Coins themselves.
        Spot = 1,
    }
}

/// How far beyond the best price a market order may fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlippageTolerance {
    /// As far as the price band.
    #[default]
    None,
    /// This many ticks: 1 to [`SLIPPAGE_TICKS_MAX`].
    Ticks(u32),
    /// This part of the best price, in `10^-8`: [`SLIPPAGE_RATIO_MIN`] to [`SLIPPAGE_RATIO_MAX`].
    Ratio(u32),
}

/// Largest slippage tolerance in ticks.
pub const SLIPPAGE_TICKS_MAX: u32 = 10_000;
/// Smallest slippage tolerance in `10^-8`: 0.01 %.
pub const SLIPPAGE_RATIO_MIN: u32 = 10_000;
/// Largest slippage tolerance in `10^-8`: 10 %.
pub const SLIPPAGE_RATIO_MAX: u32 = 10_000_000;

/// What few orders ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Self-match prevention.
    pub self_match: SelfMatch,
    /// How far a market order may slip.
    pub slippage: SlippageTolerance,
    /// Spot: what the account has too little of is borrowed.
    pub is_leveraged: bool,
    /// Spot market buy: the quantity is what is spent of the quote coin.
    pub in_quote: bool,
}

impl Terms {
    /// A plain order's.
    pub const NONE: Self = Self {
        self_match: SelfMatch::Allow,
        slippage: SlippageTolerance::None,
        is_leveraged: false,
        in_quote: false,
    };

    /// True when nothing is asked for.
    #[inline]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// True when something is asked for that only spot orders can have.
    #[inline]
    pub fn are_for_spot(&self) -> bool {
        self.is_leveraged || self.in_quote
    }

    /// Writes the terms into a record.
    #[inline]
    pub(crate) fn put<const N: usize>(&self, writer: &mut Writer<N>) {
        if self.is_none() {
            return;
        }
        let (kind, value) = match self.slippage {
            SlippageTolerance::None => (0, 0),
            SlippageTolerance::Ticks(ticks) => (1, ticks),
            SlippageTolerance::Ratio(ratio) => (2, ratio),
        };
        writer.u8(self.self_match.to_wire()).u8(kind).u32(value);
        writer.flag(self.is_leveraged).flag(self.in_quote);
    }

    /// Reads the terms, which end the record.
    #[inline]
    pub(crate) fn take(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Self::NONE);
        }
        let mut reader = Reader::new(bytes);
        let self_match = SelfMatch::from_wire(reader.u8()?).ok_or(DecodeError::Field)?;
        let slippage = match (reader.u8()?, reader.u32()?) {
            (0, 0) => SlippageTolerance::None,
            (1, ticks) => SlippageTolerance::Ticks(ticks),
            (2, ratio) => SlippageTolerance::Ratio(ratio),
            _ => return Err(DecodeError::Field),
        };
        let (is_leveraged, in_quote) = (reader.flag()?, reader.flag()?);
        reader.end()?;
        Ok(Self { self_match, slippage, is_leveraged, in_quote })
    }
}

/// One setting of an account for its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderSetting {
    /// The group of accounts that count as one trader; 0 for none.
    SmpGroup(u32),
    /// Seconds after which the orders of a client that is gone are cancelled; 0 for never.
    DisconnectWindow(ProductClass, u32),
    /// A limit price beyond the price band is moved to its edge; otherwise the order is refused.
    MovesToBand(ProductClass, bool),
}

/// Shortest and longest disconnect window, in seconds.
pub const DISCONNECT_SECONDS: std::ops::RangeInclusive<u32> = 3..=300;

/// An account's settings for its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSettings {
    /// The group of accounts that count as one trader; 0 for none.
    pub smp_group: u32,
    /// Disconnect windows in seconds, by product class; 0 for never.
    pub disconnect_seconds: [u32; 2],
    /// Whether limits beyond the price band are moved to its edge, by product class.
    pub moves_to_band: [bool; 2],
}

impl Default for OrderSettings {
    /// No group, no window; contracts' orders are moved to the band, spot orders refused.
    fn default() -> Self {
        Self { smp_group: 0, disconnect_seconds: [0; 2], moves_to_band: [true, false] }
    }
}
