//! The small enumerations of the boundary, as Python sees them, one to one with the core's.

#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "a method of a Python class takes its object by reference"
)]
#![expect(clippy::enum_variant_names, reason = "the words are the core's")]

use exchange_core as core;
use pyo3::prelude::*;

/// Declares an enumeration that mirrors the core's of the same name, value for value.
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident),+ $(,)? } $(+ { $($extra:tt)* })?)+) => {$(
        $(#[$meta])*
        #[pyclass(frozen, eq, eq_int, hash, from_py_object, module = "simulated_exchange._engine")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[allow(missing_docs)] $variant = core::$name::$variant as isize),+ }

        #[pymethods]
        impl $name {
            /// The value's name, as it is written in code.
            #[getter]
            fn name(&self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }

            $($($extra)*)?
        }

        impl From<core::$name> for $name {
            fn from(value: core::$name) -> Self {
                match value { $(core::$name::$variant => Self::$variant),+ }
            }
        }

        impl From<$name> for core::$name {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),+ }
            }
        }
    )+};
}

words! {
    /// Direction of an order or fill.
    Side { Buy, Sell }
    /// Which of an account's positions in an instrument.
    PositionIndex { OneWay, HedgeBuy, HedgeSell }
    /// Whether an account has one position in an instrument, or two.
    PositionMode { OneWay, Hedge }
    /// What backs an account's positions.
    MarginMode { Cross, Isolated }
    /// Whether orders for an instrument are let in.
    InstrumentStatus { Trading, ReduceOnly, Closed }
    /// Kind of order.
    OrderType { Limit, Market }
    /// How long an order lives.
    TimeInForce { GoodTillCancel, ImmediateOrCancel, FillOrKill, PostOnly }
    /// Why an order ended without being filled whole.
    CancelReason {
        User, ImmediateOrCancel, FillOrKill, PostOnlyWouldTake, ReduceOnly, Liquidation, Adl, SelfMatch,
        InsufficientMargin, TriggerRefused, Delivery, TpSlCleared, PairTriggered, Disconnected,
    }
    /// How a fill came about.
    FillKind { Trade, TakeOver, Adl, Netting, Delivery }
    /// Why a wallet changed.
    WalletReason {
        Deposit, Withdraw, Trade, TakeOver, Adl, Interest, Borrow, Repay, Convert, Transfer, WriteOff, Netting, Funding,
        Delivery,
    }
    /// One of an account's two wallets of a coin.
    Wallet { Unified, Funding }
    /// Why a loan was repaid.
    RepayReason { Manual, Automatic, OverLimit, PoolStrained, Liquidation }
    /// Where on its ladder a lending pool stands.
    Strain { Calm, Warning, Repaying }
    /// How well the venue knows an account's owner.
    AccountLevel { Unverified, Standard, Advanced, Business, Vip, Vip4, Vip5, Supreme, Pro }
    /// What an instrument is marked at.
    MarkSource { Dual, Last, BookMid }
    /// How the components of an index become one price.
    IndexMethod { Clamp, Drop, TwoPass }
    /// What happens when an order would meet one of the same trader.
    SelfMatch { Allow, CancelMaker, CancelTaker, CancelBoth }
    /// The price that sets an order off.
    TriggerBy { LastPrice, MarkPrice, IndexPrice }
    /// From where the price must reach an order's trigger.
    TriggerDirection { Either, Rise, Fall }
    /// What kind of order waits, or waited, for a price.
    StopKind { Plain, Stop, TakeProfit, StopLoss, PartialTakeProfit, PartialStopLoss, TrailingStop, SpotTpSl }
    /// Who made an order, and why.
    CreateType {
        User, Closing, TakeProfit, StopLoss, PartialTakeProfit, PartialStopLoss, TrailingStop, Liquidation,
    }
    /// How much of a position its take-profit and stop-loss close.
    TpSlMode { Full, Partial }
    /// What is traded, as far as settings tell it apart.
    ProductClass { Contracts, Spot }
    /// The stage that refused a command.
    Stage { Admit, Filter, Order, Risk }
    /// Why a command was refused. The hundreds of the number are the stage.
    Reject {
        TimeBackwards, UnknownAccount, AccountExists, AccountReserved, UnknownInstrument, UnknownSource,
        AmountInvalid, TimeInvalid, UnknownCoin, AccountNotVerified, IsSubAccount, AccountsUnrelated, QtyInvalid, QtyBelowMinimum, QtyAboveMaximum, PriceOutOfRange,
        BelowMinimumNotional, MarketNotReady, DuplicateLinkId, LeverageInvalid, IndexPriceInvalid,
        FundingTermsInvalid, NotPerpetual, MarkSourceFixed, RiskTierInvalid, RiskLimitsInvalid,
        CoinPriceInvalid,
        NotAContract, SpotTermsInvalid, InstrumentClosed, InstrumentReduceOnly, LeverageSidesDiffer, PositionIndexMismatch, PositionModeUnchanged, PositionModeInUse,
        NotIsolated, PositionMissing, MarginModeUnchanged, AutoAddMarginUnchanged, MarginModeShort, MarginNotFree,
        SlippageInvalid, OrderSettingInvalid, PriceBeyondBand, PriceBeyondLiquidation, TriggerPriceInvalid, TooManyConditionalOrders,
        TriggerNotAbove, TriggerNotBelow, TakeProfitInvalid, StopLossInvalid, TradingStopInvalid, TradingStopNoPosition,
        TradingStopUnchanged, TradingStopTooLarge, TooManyTradingStops, TradingStopReduceOnly,
        SettingUnchanged, CollateralFixed, CoinNotLent, SameWallet, RepaymentClosed,
        OrderNotFound, TooManyOrders, ReduceOnlyNoPosition, ReduceOnlySameSide, AmendUnchanged,
        AmendBelowFilled, NothingOwed, NoLoansInIsolatedMode, InsufficientBalance, LeverageAboveTier, LeverageUnchanged, PositionLimit,
        WithdrawTooLarge, BorrowLimit, PoolShort, WithdrawalLimit, CoinShort,
    } + {
        /// Its number.
        #[getter]
        fn code(&self) -> u16 {
            core::Reject::from(*self).code()
        }

        /// One line for people.
        #[getter]
        fn text(&self) -> &'static str {
            core::Reject::from(*self).text()
        }

        /// The stage that refused.
        #[getter]
        fn stage(&self) -> Stage {
            core::Reject::from(*self).stage().into()
        }
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Side>()?;
    module.add_class::<PositionIndex>()?;
    module.add_class::<PositionMode>()?;
    module.add_class::<MarginMode>()?;
    module.add_class::<InstrumentStatus>()?;
    module.add_class::<OrderType>()?;
    module.add_class::<TimeInForce>()?;
    module.add_class::<CancelReason>()?;
    module.add_class::<FillKind>()?;
    module.add_class::<WalletReason>()?;
    module.add_class::<IndexMethod>()?;
    module.add_class::<MarkSource>()?;
    module.add_class::<SelfMatch>()?;
    module.add_class::<ProductClass>()?;
    module.add_class::<TriggerBy>()?;
    module.add_class::<TriggerDirection>()?;
    module.add_class::<StopKind>()?;
    module.add_class::<CreateType>()?;
    module.add_class::<TpSlMode>()?;
    module.add_class::<Wallet>()?;
    module.add_class::<RepayReason>()?;
    module.add_class::<Strain>()?;
    module.add_class::<AccountLevel>()?;
    module.add_class::<Stage>()?;
    module.add_class::<Reject>()
}
