//! The words of the boundary: fixed-point numbers, identifiers and small enums. No behaviour of the exchange.
//!
//! Every price, quantity and amount of money is an integer in units of `10^-8`. Sums and products are
//! formed in `i128` and come back through checked conversions (see `fixed`).

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::DecodeError;

/// Units per whole: `1.0` is `SCALE`.
pub const SCALE: i64 = 100_000_000;
/// Leverage is counted in hundredths: 10x is `1000`.
pub const LEVERAGE_SCALE: i64 = 100;
/// Units per whole of funding and interest rates, which are finer than money: `1.0` is `RATE_SCALE`.
pub const RATE_SCALE: i64 = 1_000_000_000_000;
/// Largest amount of one deposit, of one position's value, and of a wallet after a deposit: ten billion.
pub const MONEY_MAX: i64 = 1_000_000_000_000_000_000;
/// Largest account identifier (identifiers index a table).
pub const ACCOUNT_ID_MAX: u32 = 1 << 22;
/// First account identifier of users; smaller ones belong to the venue.
pub const FIRST_USER_ACCOUNT: u32 = 1000;
/// The venue's account that receives trading fees.
pub const FEE_ACCOUNT: AccountId = AccountId(1);
/// The venue's account that takes over the positions of liquidated accounts.
pub const TAKEOVER_ACCOUNT: AccountId = AccountId(3);
/// The venue's account that holds what suppliers lend.
pub const LENDING_ACCOUNT: AccountId = AccountId(4);
/// The venue's account that buys what borrowers sell to repay; below nothing in the coins it paid with.
pub const CONVERSION_ACCOUNT: AccountId = AccountId(5);
/// The venue's account that holds the first insurance pool; the others follow.
pub const FIRST_POOL_ACCOUNT: u32 = 100;

/// A price in units of `10^-8` of the quote currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Price(pub i64);

/// A quantity in units of `10^-8` of the base currency; signed where it is a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Qty(pub i64);

/// An amount in units of `10^-8` of the settlement currency, signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Money(pub i64);

/// An account; users start at [`FIRST_USER_ACCOUNT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub u32);

/// An instrument: its position in the genesis list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstrumentId(pub u16);

/// A coin: its position in the genesis list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CoinId(pub u16);

/// An insurance pool: its position in the genesis list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PoolId(pub u16);

impl PoolId {
    /// The venue's account that holds the pool.
    pub const fn account(self) -> AccountId {
        AccountId(FIRST_POOL_ACCOUNT + self.0 as u32)
    }
}

/// A rate of funding or interest in units of `10^-12`, signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rate(pub i64);

/// An order: counted from 1 over the whole venue; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId(pub u64);

/// A trade: counted from 1 over the whole venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TradeId(pub u64);

/// Declares a fieldless enum with its wire byte, both ways.
macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $value),+ }
        impl $name {
            /// Every value, in wire order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The byte that stands for this value in records.
            pub const fn to_wire(self) -> u8 { self as u8 }
            /// The value a byte stands for, if any.
            pub const fn from_wire(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum! {
    /// Direction of an order or fill.
    Side {
        /// Bid.
        Buy = 0,
        /// Offer.
        Sell = 1,
    }
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `+1` for a buy, `-1` for a sell.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// The side that opens or grows a position of this sign; a flat position counts as bought.
    pub const fn of_position(lots: i64) -> Self {
        if lots < 0 {
            Self::Sell
        } else {
            Self::Buy
        }
    }
}

wire_enum! {
    /// Which of an account's positions in an instrument (`positionIdx`).
    #[derive(Default)]
    PositionIndex {
        /// The only one, in one-way mode.
        #[default]
        OneWay = 0,
        /// The long one, in hedge mode.
        HedgeBuy = 1,
        /// The short one, in hedge mode.
        HedgeSell = 2,
    }
}

wire_enum! {
    /// Whether an account has one position in an instrument, or two.
    PositionMode {
        /// One, long or short.
        OneWay = 0,
        /// A long and a short one side by side.
        Hedge = 3,
    }
}

wire_enum! {
    /// Whether orders for an instrument are let in.
    InstrumentStatus {
        /// All.
        Trading = 0,
        /// Only those that reduce a position.
        ReduceOnly = 1,
        /// None any more.
        Closed = 2,
    }
}

wire_enum! {
    /// What backs an account's positions.
    #[derive(Default)]
    MarginMode {
        /// The whole account.
        #[default]
        Cross = 0,
        /// Each position its own margin.
        Isolated = 1,
    }
}

wire_enum! {
    /// Kind of order.
    OrderType {
        /// At a price or better.
        Limit = 0,
        /// At once, up to the edge of the price band.
        Market = 1,
    }
}

wire_enum! {
    /// How long an order lives.
    TimeInForce {
        /// Until cancelled.
        GoodTillCancel = 0,
        /// What does not fill at once is cancelled.
        ImmediateOrCancel = 1,
        /// Fills whole at once or not at all.
        FillOrKill = 2,
        /// Only rests; cancelled when it would take.
        PostOnly = 3,
    }
}

wire_enum! {
    /// Why an order left the book, or never came to rest, without being filled.
    CancelReason {
        /// Asked for by its owner.
        User = 0,
        /// Remainder of an immediate-or-cancel or market order.
        ImmediateOrCancel = 1,
        /// A fill-or-kill order that could not fill whole.
        FillOrKill = 2,
        /// A post-only order that would have taken.
        PostOnlyWouldTake = 3,
        /// A reduce-only order with no position left to reduce.
        ReduceOnly = 4,
        /// Its account is being liquidated.
        Liquidation = 5,
        /// Its account's position in the instrument was deleveraged.
        Adl = 6,
        /// Self-match prevention.
        SelfMatch = 7,
        /// Its account cannot bear the fill: no margin for what it would open, or a loss beyond the margin balance.
        InsufficientMargin = 8,
        /// A triggered order that was refused as it came in.
        TriggerRefused = 20,
        /// The contract was delivered.
        Delivery = 21,
        /// A take-profit, stop-loss or trailing stop whose position is gone.
        TpSlCleared = 22,
        /// A take-profit or stop-loss whose counterpart was triggered.
        PairTriggered = 23,
        /// Its owner's client was gone for longer than the disconnect window.
        Disconnected = 24,
    }
}

wire_enum! {
    /// How a fill came about.
    FillKind {
        /// In the book.
        Trade = 0,
        /// The venue took a position over at its bankruptcy price.
        TakeOver = 1,
        /// Auto-deleveraging.
        Adl = 2,
        /// A long and a short of one account closed against each other at the mark, before a liquidation.
        Netting = 9,
        /// Closed at the delivery price.
        Delivery = 20,
    }
}

wire_enum! {
    /// Why a wallet changed.
    WalletReason {
        /// Money came in.
        Deposit = 0,
        /// Money went out.
        Withdraw = 1,
        /// Realised profit less fee of a fill in the book.
        Trade = 2,
        /// Realised profit, or fee, of a take-over.
        TakeOver = 3,
        /// Realised profit less fee of a deleveraging.
        Adl = 4,
        /// Interest on a loan.
        Interest = 10,
        /// Cash lent by a pool.
        Borrow = 11,
        /// Cash given back to a pool.
        Repay = 12,
        /// Sold, or bought, to repay a loan.
        Convert = 13,
        /// Moved between wallets.
        Transfer = 14,
        /// A debt that nobody could pay, taken over by an insurance pool.
        WriteOff = 15,
        /// Realised profit of a long and a short closed against each other before a liquidation.
        Netting = 19,
        /// Funding paid or received.
        Funding = 60,
        /// Realised profit less fee of a delivery.
        Delivery = 20,
    }
}

wire_enum! {
    /// One of an account's two wallets of a coin.
    Wallet {
        /// What it trades with.
        Unified = 0,
        /// What it withdraws and lends from; no collateral.
        Funding = 1,
    }
}

wire_enum! {
    /// Why a loan was repaid.
    RepayReason {
        /// Asked for.
        Manual = 0,
        /// The account repays by itself at every full and half hour.
        Automatic = 1,
        /// More was owed than the account may owe.
        OverLimit = 2,
        /// The pool had lent too much.
        PoolStrained = 3,
        /// The account is being liquidated.
        Liquidation = 4,
    }
}

/// A client's own order identifier: up to 36 characters of `[A-Za-z0-9_-]`, kept inline; empty means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    length: u8,
    bytes: [u8; Self::LENGTH_MAX],
}

impl LinkId {
    /// Longest identifier.
    pub const LENGTH_MAX: usize = 36;
    /// No identifier.
    pub const NONE: Self = Self { length: 0, bytes: [0; Self::LENGTH_MAX] };

    /// Checks and keeps an identifier; `None` when it is too long or holds another character.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// As [`LinkId::parse`], from bytes.
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        if text.len() > Self::LENGTH_MAX || !text.iter().all(allowed) {
            return None;
        }
        let mut bytes = [0; Self::LENGTH_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { length: u8::try_from(text.len()).ok()?, bytes })
    }

    /// From its inline form: that many characters, the rest zero.
    #[inline]
    pub(crate) fn from_padded(length: usize, bytes: &[u8; Self::LENGTH_MAX]) -> Result<Self, DecodeError> {
        let (text, padding) = bytes.split_at_checked(length).ok_or(DecodeError::Field)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Padding);
        }
        Self::from_bytes(text).ok_or(DecodeError::Field)
    }

    /// True when there is no identifier.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The identifier as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// The inline bytes, zero padded.
    pub(crate) const fn padded(&self) -> &[u8; Self::LENGTH_MAX] {
        &self.bytes
    }
}

impl Default for LinkId {
    fn default() -> Self {
        Self::NONE
    }
}

impl Serialize for LinkId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for LinkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::parse(text).ok_or_else(|| D::Error::custom("no link id"))
    }
}

impl std::fmt::Debug for LinkId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.as_str())
    }
}
