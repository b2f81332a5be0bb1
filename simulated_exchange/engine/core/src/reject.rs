//! Why a command was refused. The number alone says which stage refused it: its hundreds are the stage.

use crate::types::wire_enum;

/// Declares the refusals with number and text.
macro_rules! rejects {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $text:literal;)+) => {
        /// A refusal: a value, not an error.
        ///
        /// 100s admit, 200s shape and instrument filters, 300s orders as they stand, 400s risk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Reject { $($(#[$meta])* $name = $code),+ }
        impl Reject {
            /// Every refusal.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// Its number.
            pub const fn code(self) -> u16 { self as u16 }
            /// The refusal with this number, if any.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)+ _ => None }
            }
            /// One line for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

rejects! {
    /// Market time went backwards.
    TimeBackwards = 100, "market time went backwards";
    /// No such account.
    UnknownAccount = 101, "account does not exist";
    /// The account identifier is taken.
    AccountExists = 102, "account exists already";
    /// Identifiers below the first user account, or too large, cannot be used here.
    AccountReserved = 103, "account identifier is reserved or too large";
    /// No such instrument.
    UnknownInstrument = 104, "instrument does not exist";
    /// No such index component.
    UnknownSource = 105, "index source does not exist";
    /// Amounts must be positive and bounded.
    AmountInvalid = 106, "amount must be positive and within the limit";
    /// Market time must stay within its range.
    TimeInvalid = 107, "market time must lie between 0 and 2^53";
    /// No such coin.
    UnknownCoin = 108, "coin does not exist";
    /// The account's level does not open this.
    AccountNotVerified = 180, "account level does not open this product";
    /// Only main accounts have sub-accounts and a level.
    IsSubAccount = 181, "sub-accounts follow their main account";
    /// Transfers stay within a main account and its sub-accounts.
    AccountsUnrelated = 182, "accounts do not belong together";
    /// Quantity is not a positive multiple of the step.
    QtyInvalid = 200, "Qty invalid";
    /// Quantity below the minimum.
    QtyBelowMinimum = 201, "The number of contracts exceeds minimum limit allowed";
    /// Quantity above the maximum.
    QtyAboveMaximum = 202, "The number of contracts exceeds maximum limit allowed";
    /// Price is not a positive multiple of the tick, or above the instrument's highest.
    PriceOutOfRange = 203, "Order price exceeds the allowable range.";
    /// Order value below the minimum.
    BelowMinimumNotional = 204, "Order does not meet minimum order value";
    /// No index yet, so nothing can be valued.
    MarketNotReady = 205, "instrument has no price yet";
    /// The link id was used before.
    DuplicateLinkId = 206, "OrderLinkedID is duplicate";
    /// Leverage below 1x.
    LeverageInvalid = 207, "leverage invalid";
    /// Price of an index component must be positive and bounded.
    IndexPriceInvalid = 208, "index price must be positive and within the instrument's range";
    /// A coin's price is not reported from outside, or the report is not positive and bounded.
    CoinPriceInvalid = 209, "coin price must be reported, positive and bounded";
    /// Funding interval and caps that cannot be.
    FundingTermsInvalid = 210, "funding interval must be whole minutes up to a week, and the caps hold 0 within the lowest maintenance rate";
    /// Only perpetuals have funding.
    NotPerpetual = 211, "instrument has no funding";
    /// Spot is marked at its index.
    MarkSourceFixed = 212, "instrument is always marked at its index";
    /// A risk-limit tier out of turn, or beyond the bounds of a tier.
    RiskTierInvalid = 213, "risk limit tier invalid";
    /// Nothing to announce, a table that is none or does not bear the funding caps, or a time that has passed.
    RiskLimitsInvalid = 214, "risk limits invalid";
    /// Spot has no positions.
    NotAContract = 230, "instrument is not a contract";
    /// In one-way mode, and in cross margin, both sides have one leverage.
    LeverageSidesDiffer = 231, "buy leverage must equal sell leverage";
    /// A slippage tolerance of an order that is no market order, or out of its range.
    SlippageInvalid = 260, "slippage tolerance must be 1 to 10000 ticks or 0.01 to 10 percent, of a market order";
    /// A setting for orders out of its range.
    OrderSettingInvalid = 261, "disconnect window must be 0, or 3 to 300 seconds";
    /// A limit price beyond the price band, where it is not to be moved.
    PriceBeyondBand = 262, "Order price is beyond the price limit.";
    /// Trigger price is not a positive multiple of the tick, or above the instrument's highest.
    TriggerPriceInvalid = 263, "trigger price invalid";
    /// A take-profit or trailing stop that would not close with a gain.
    TakeProfitInvalid = 264, "TakeProfit set for position should be beyond base_price, on the winning side";
    /// A stop-loss that would not close with a loss.
    StopLossInvalid = 265, "StopLoss set for position should be beyond base_price, on the losing side";
    /// Terms of take-profit, stop-loss or trailing stop that do not go together.
    TradingStopInvalid = 266, "take-profit, stop-loss or trailing stop terms do not go together";
    /// Too many conditional orders in the instrument.
    TooManyConditionalOrders = 360, "Not allowed to have more than 10 conditional orders.";
    /// The price is to rise to the trigger, and is there already.
    TriggerNotAbove = 361, "expect Rising, but trigger_price <= current";
    /// The price is to fall to the trigger, and is there already.
    TriggerNotBelow = 362, "expect Falling, but trigger_price >= current";
    /// Take-profit, stop-loss or trailing stop without a position.
    TradingStopNoPosition = 363, "can not set tp/sl/ts for zero position";
    /// Take-profit, stop-loss and trailing stop as they were.
    TradingStopUnchanged = 364, "not modified";
    /// Partial take-profits or stop-losses of more than the position.
    TradingStopTooLarge = 365, "tp/sl size is larger than position size";
    /// Too many pairs of partial take-profit and stop-loss.
    TooManyTradingStops = 366, "Not allowed to have more than 20 partial tp/sl pairs.";
    /// Take-profit or stop-loss of an order that only reduces.
    TradingStopReduceOnly = 367, "take profit and stop loss are not allowed on a reduce-only order";
    /// The setting is what it was.
    SettingUnchanged = 280, "not modified";
    /// The coin is always collateral.
    CollateralFixed = 281, "collateral switch of this coin is fixed";
    /// There is no pool to borrow the coin from, or to lend it to.
    CoinNotLent = 282, "coin is not lent";
    /// From a wallet to itself.
    SameWallet = 283, "wallets must differ";
    /// Minutes 04:00 to 05:30 of each hour.
    RepaymentClosed = 284, "repayment is closed while interest is charged";
    /// Leverage of an order, or a quantity of the quote coin, where spot does not know it.
    SpotTermsInvalid = 232, "leverage is for spot orders, a quantity of the quote coin for spot market buys";
    /// Delivered, or about to be.
    InstrumentClosed = 233, "instrument is closed";
    /// The price is too low for more than reducing.
    InstrumentReduceOnly = 234, "instrument takes reduce-only orders only";
    /// No such live order of this account.
    OrderNotFound = 300, "order not exists or too late to cancel";
    /// Too many active orders in the instrument.
    TooManyOrders = 301, "Not allowed to have more than 500 active orders.";
    /// Reduce-only without a position.
    ReduceOnlyNoPosition = 302, "current position is zero, cannot fix reduce-only order qty";
    /// Reduce-only on the position's own side.
    ReduceOnlySameSide = 303, "reduce-only order has same side with current position";
    /// An amendment that changes nothing.
    AmendUnchanged = 304, "The order remains unchanged as the parameters entered match the existing ones.";
    /// An amendment to no more than what is filled.
    AmendBelowFilled = 305, "order quantity cannot be amended to what is filled or less";
    /// The position index belongs to the other position mode.
    PositionIndexMismatch = 330, "position idx not match position mode";
    /// Position mode as it was.
    PositionModeUnchanged = 331, "Position mode is not modified";
    /// There are positions or orders.
    PositionModeInUse = 332, "position mode cannot change with positions or orders";
    /// Only positions of an account in isolated margin have margin of their own.
    NotIsolated = 333, "account is not in isolated margin mode";
    /// No position to give margin to.
    PositionMissing = 334, "position does not exist";
    /// Margin mode as it was.
    MarginModeUnchanged = 335, "margin mode is not modified";
    /// Adding margin automatically as it was.
    AutoAddMarginUnchanged = 336, "auto add margin is not modified";
    /// A limit at which the isolated position would be liquidated, or beyond.
    PriceBeyondLiquidation = 337, "Order price must be better than the liquidation price of the position.";
    /// The account owes none of the coin.
    NothingOwed = 380, "nothing is owed";
    /// Loans need cross margin.
    NoLoansInIsolatedMode = 381, "not supported in isolated margin mode";
    /// Not enough margin.
    InsufficientBalance = 400, "ab not enough for new order";
    /// Leverage above what the tier allows.
    LeverageAboveTier = 401, "cannot set leverage gt maxLeverage by risk limit";
    /// Leverage as it was.
    LeverageUnchanged = 402, "leverage not modified";
    /// Position and orders would pass the highest risk limit.
    PositionLimit = 403, "position size would exceed the highest risk limit";
    /// The requirements of the margin mode would not be met.
    MarginModeShort = 430, "margin requirements would not be met in this margin mode";
    /// Above the initial margin, losses counted, there is not that much to take back.
    MarginNotFree = 431, "position margin cannot be reduced that far";
    /// Not enough money to withdraw.
    WithdrawTooLarge = 404, "insufficient balance";
    /// More than pool, account and tier allow together.
    BorrowLimit = 480, "borrow amount exceeds what is available";
    /// The pool has lent out what the supplier wants back.
    PoolShort = 481, "pool cannot pay out that much now";
    /// More than the account's level may withdraw in a day, or a month.
    WithdrawalLimit = 482, "withdrawal limit exceeded";
    /// The venue itself does not have that much of the coin.
    CoinShort = 483, "coin is short at the moment";
}

wire_enum! {
    /// The stage that refused.
    Stage {
        /// Who, when and where.
        Admit = 1,
        /// The command's own numbers.
        Filter = 2,
        /// The orders and positions it meets.
        Order = 3,
        /// Margin and limits.
        Risk = 4,
    }
}

impl Reject {
    /// The stage that refused.
    pub const fn stage(self) -> Stage {
        match self.code() / 100 {
            1 => Stage::Admit,
            2 => Stage::Filter,
            3 => Stage::Order,
            _ => Stage::Risk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_come_back() {
        for reject in Reject::ALL {
            assert_eq!(Reject::from_code(reject.code()), Some(*reject));
            assert_eq!(u16::from(reject.stage().to_wire()), reject.code() / 100);
            assert!(!reject.text().is_empty());
        }
        assert_eq!(Reject::from_code(0), None);
    }
}
