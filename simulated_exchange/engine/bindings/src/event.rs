//! Events, as Python sees them: one class with a subclass per kind, keyword fields, usable in `match`.

use exchange_core as core;
use exchange_core::types::{
    AccountId, CoinId, InstrumentId, LinkId, Money, OrderId, PoolId, Price, Qty, Rate, TradeId,
};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::arguments;
use crate::rows;
use crate::words::{
    AccountLevel, CancelReason, CreateType, FillKind, InstrumentStatus, MarginMode, MarkSource, OrderType,
    PositionIndex, PositionMode, RepayReason, SelfMatch, Side, StopKind, Strain, TimeInForce, TpSlMode,
    TriggerBy, TriggerDirection, Wallet, WalletReason,
};

/// A client's order identifier; text in Python.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link(LinkId);

impl<'py> IntoPyObject<'py> for Link {
    type Target = PyString;
    type Output = Bound<'py, PyString>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        self.0.as_str().into_pyobject(py)
    }
}

impl<'py> FromPyObject<'_, 'py> for Link {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        arguments::link_id(&object.extract::<String>()?).map(Self)
    }
}

/// From the core's word to the boundary's.
trait Outward {
    type Python;
    fn outward(self) -> Self::Python;
}

macro_rules! outward {
    ($($core:ty => $python:ty: $convert:expr;)+) => {$(
        impl Outward for $core {
            type Python = $python;
            #[inline]
            fn outward(self) -> $python {
                $convert(self)
            }
        }
    )+};
}

outward! {
    Price => i64: |value: Price| value.0;
    Qty => i64: |value: Qty| value.0;
    Money => i64: |value: Money| value.0;
    AccountId => u32: |value: AccountId| value.0;
    InstrumentId => u16: |value: InstrumentId| value.0;
    CoinId => u16: |value: CoinId| value.0;
    PoolId => u16: |value: PoolId| value.0;
    Rate => i64: |value: Rate| value.0;
    OrderId => u64: |value: OrderId| value.0;
    TradeId => u64: |value: TradeId| value.0;
    LinkId => Link: Link;
    i64 => i64: std::convert::identity;
    bool => bool: std::convert::identity;
    core::Side => Side: Side::from;
    core::CreateType => CreateType: CreateType::from;
    core::SelfMatch => SelfMatch: SelfMatch::from;
    core::StopKind => StopKind: StopKind::from;
    core::TpSlMode => TpSlMode: TpSlMode::from;
    core::TriggerBy => TriggerBy: TriggerBy::from;
    core::TriggerDirection => TriggerDirection: TriggerDirection::from;
    core::PositionIndex => PositionIndex: PositionIndex::from;
    core::InstrumentStatus => InstrumentStatus: InstrumentStatus::from;
    core::MarginMode => MarginMode: MarginMode::from;
    core::PositionMode => PositionMode: PositionMode::from;
    core::OrderType => OrderType: OrderType::from;
    core::TimeInForce => TimeInForce: TimeInForce::from;
    core::CancelReason => CancelReason: CancelReason::from;
    core::FillKind => FillKind: FillKind::from;
    core::WalletReason => WalletReason: WalletReason::from;
    core::Wallet => Wallet: Wallet::from;
    core::RepayReason => RepayReason: RepayReason::from;
    core::Strain => Strain: Strain::from;
    core::AccountLevel => AccountLevel: AccountLevel::from;
    core::MarkSource => MarkSource: MarkSource::from;
}

/// How a field looks in `repr`.
trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown {
    ($format:literal: $($type:ty),+) => {$(
        impl Shown for $type {
            fn shown(&self) -> String {
                format!($format, self)
            }
        }
    )+};
}

shown!("{}": i64, u64, u32, u16);
shown!("Side.{:?}": Side);
shown!("CreateType.{:?}": CreateType);
shown!("SelfMatch.{:?}": SelfMatch);
shown!("StopKind.{:?}": StopKind);
shown!("TpSlMode.{:?}": TpSlMode);
shown!("TriggerBy.{:?}": TriggerBy);
shown!("TriggerDirection.{:?}": TriggerDirection);
shown!("PositionIndex.{:?}": PositionIndex);
shown!("InstrumentStatus.{:?}": InstrumentStatus);
shown!("MarginMode.{:?}": MarginMode);
shown!("PositionMode.{:?}": PositionMode);
shown!("OrderType.{:?}": OrderType);
shown!("TimeInForce.{:?}": TimeInForce);
shown!("CancelReason.{:?}": CancelReason);
shown!("FillKind.{:?}": FillKind);
shown!("WalletReason.{:?}": WalletReason);
shown!("Wallet.{:?}": Wallet);
shown!("RepayReason.{:?}": RepayReason);
shown!("Strain.{:?}": Strain);
shown!("AccountLevel.{:?}": AccountLevel);
shown!("MarkSource.{:?}": MarkSource);

impl Shown for bool {
    fn shown(&self) -> String {
        if *self { "True".into() } else { "False".into() }
    }
}

impl Shown for Link {
    fn shown(&self) -> String {
        format!("'{}'", self.0.as_str())
    }
}

/// Declares the events once: the Python class, the way from the core's event, `repr`.
macro_rules! events {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })+) => {
        /// What happened. Every event has `sequence`, `market_ms` and `wall_us`.
        #[pyclass(frozen, eq, from_py_object, module = "simulated_exchange._engine")]
        #[derive(Clone, PartialEq, Eq)]
        pub enum Event {
            $(#[allow(missing_docs)] $name {
                $($field: $type,)*
                sequence: u64,
                market_ms: i64,
                wall_us: i64,
            }),+
        }

        impl From<core::Event> for Event {
            #[inline]
            fn from(event: core::Event) -> Self {
                let core::Event { sequence, market_ms, wall_us, kind } = event;
                match kind {
                    $(core::EventKind::$name { $($field),* } => Self::$name {
                        $($field: $field.outward(),)*
                        sequence,
                        market_ms,
                        wall_us,
                    }),+
                }
            }
        }

        #[pymethods]
        impl Event {
            /// Number of the event.
            #[getter]
            fn sequence(&self) -> u64 {
                match self { $(Self::$name { sequence, .. } => *sequence),+ }
            }

            /// Market time in milliseconds.
            #[getter]
            fn market_ms(&self) -> i64 {
                match self { $(Self::$name { market_ms, .. } => *market_ms),+ }
            }

            /// Wall time in microseconds.
            #[getter]
            fn wall_us(&self) -> i64 {
                match self { $(Self::$name { wall_us, .. } => *wall_us),+ }
            }

            /// The event as a row for the read model.
            fn row<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
                rows::row(slf.py(), slf.get(), || Ok(slf.clone()))
            }

            fn __repr__(&self) -> String {
                match self {
                    $(Self::$name { $($field,)* sequence, market_ms, wall_us } => {
                        let mut text = String::from(concat!("Event.", stringify!($name), "("));
                        $(text += &format!(concat!(stringify!($field), "={}, "), $field.shown());)*
                        text += &format!("sequence={sequence}, market_ms={market_ms}, wall_us={wall_us})");
                        text
                    }),+
                }
            }
        }
    };
}

events! {
    AccountCreated { account: u32 }
    Deposited { account: u32, coin: u16, amount: i64, balance: i64 }
    Withdrawn { account: u32, coin: u16, amount: i64, balance: i64 }
    LeverageChanged { account: u32, instrument: u16, leverage: i64 }
    OrderAccepted {
        order_id: u64, account: u32, instrument: u16, position_index: PositionIndex, side: Side, order_type: OrderType,
        time_in_force: TimeInForce, price: i64, qty: i64, reduce_only: bool, link_id: Link, create_type: CreateType,
    }
    OrderAmended { order_id: u64, account: u32, instrument: u16, price: i64, qty: i64, leaves: i64 }
    OrderCancelled { order_id: u64, account: u32, instrument: u16, leaves: i64, reason: CancelReason, counterparty: u64 }
    OrderConditions {
        order_id: u64, account: u32, instrument: u16, kind: StopKind, trigger_price: i64, trigger_by: TriggerBy,
        trigger_direction: TriggerDirection, close_on_trigger: bool, trailing_stop: i64, partner: u64,
        self_match: SelfMatch, slippage_ticks: i64, slippage_ratio: i64, tpsl_mode: TpSlMode, take_profit: i64,
        take_profit_by: TriggerBy, take_profit_limit: i64, stop_loss: i64, stop_loss_by: TriggerBy,
        stop_loss_limit: i64,
    }
    SpotConditions { order_id: u64, account: u32, instrument: u16, is_leveraged: bool, spend: i64 }
    OrderTriggered { order_id: u64, account: u32, instrument: u16, price: i64 }
    TradingStopChanged {
        account: u32, instrument: u16, position_index: PositionIndex, take_profit: i64, stop_loss: i64,
        trailing_stop: i64, active_price: i64,
    }
    OrderSettingsChanged {
        account: u32, smp_group: i64, contracts_disconnect_s: i64, spot_disconnect_s: i64,
        contracts_move_to_band: bool, spot_moves_to_band: bool,
    }
    Trade { trade_id: u64, instrument: u16, price: i64, qty: i64, taker_side: Side }
    Fill {
        trade_id: u64, order_id: u64, account: u32, instrument: u16, position_index: PositionIndex, side: Side, price: i64, qty: i64,
        fee: i64, is_maker: bool, leaves: i64, closed_qty: i64, realised_pnl: i64, position_qty: i64,
        kind: FillKind,
    }
    PositionChanged {
        account: u32, instrument: u16, position_index: PositionIndex, qty: i64, entry_price: i64,
        realised_pnl: i64,
    }
    WalletChanged { account: u32, coin: u16, balance: i64, change: i64, reason: WalletReason }
    BookChanged { instrument: u16, side: Side, price: i64, qty: i64 }
    PriceChanged { instrument: u16, index: i64, mark: i64 }
    LiquidationStarted { account: u32, margin_balance: i64, maintenance_margin: i64 }
    TakenOver {
        account: u32, instrument: u16, position_index: PositionIndex, qty: i64, bankruptcy_price: i64,
    }
    InsuranceFundChanged { pool: u16, balance: i64, change: i64 }
    Deleveraged {
        account: u32, instrument: u16, position_index: PositionIndex, qty: i64, price: i64, place: i64,
    }
    CoinPriceChanged { coin: u16, price: i64 }
    PositionModeChanged { account: u32, instrument: u16, mode: PositionMode }
    SideLeverageChanged { account: u32, instrument: u16, buy: i64, sell: i64 }
    MarginModeChanged { account: u32, mode: MarginMode }
    MarginAdded {
        account: u32, instrument: u16, position_index: PositionIndex, amount: i64, assigned: i64,
        is_automatic: bool,
    }
    AutoAddMarginChanged { account: u32, instrument: u16, position_index: PositionIndex, is_on: bool }
    StatusChanged { instrument: u16, status: InstrumentStatus }
    Delivered { instrument: u16, price: i64, at_ms: i64 }
    AdlStarted { pool: u16, instrument: u16, ratio: i64 }
    AdlStopped { pool: u16, instrument: u16, ratio: i64 }
    BorrowChanged { account: u32, coin: u16, borrowed: i64, spot: i64 }
    InterestCharged {
        account: u32, coin: u16, borrowed: i64, free: i64, rate: i64, hours: i64, interest: i64,
    }
    Repaid { account: u32, coin: u16, amount: i64, left: i64, reason: RepayReason }
    Converted { account: u32, sold_coin: u16, sold: i64, fee: i64, coin: u16, bought: i64, price: i64 }
    LendingPoolChanged {
        coin: u16, assets: i64, loans: i64, utilisation: i64, borrow_rate: i64, supply_rate: i64, index: i64,
        strain: Strain,
    }
    Supplied { account: u32, coin: u16, amount: i64, supplied: i64 }
    Redeemed { account: u32, coin: u16, amount: i64, supplied: i64 }
    Transferred { source: u32, target: u32, coin: u16, amount: i64, from_wallet: Wallet, to_wallet: Wallet }
    CollateralChanged { account: u32, coin: u16, enabled: bool }
    AccountLevelChanged { account: u32, level: AccountLevel }
    AutoRepayChanged { account: u32, enabled: bool }
    SubAccountCreated { account: u32, main: u32 }
    PositionLiquidationStarted {
        account: u32, instrument: u16, position_index: PositionIndex, margin: i64, maintenance_margin: i64,
    }
    FundingRateChanged { instrument: u16, rate: i64, next_ms: i64 }
    FundingSettled { instrument: u16, at_ms: i64, rate: i64, mark: i64, next_ms: i64 }
    FundingPaid {
        account: u32, instrument: u16, position_index: PositionIndex, at_ms: i64, qty: i64, mark: i64, rate: i64, fee: i64,
        from_margin: i64,
    }
    FundingTermsChanged { instrument: u16, interval_ms: i64, lower: i64, upper: i64 }
    MarkSourceChanged { instrument: u16, source: MarkSource }
    RiskLimitsAnnounced { instrument: u16, effective_ms: i64, tiers: i64 }
    RiskTierAnnounced {
        instrument: u16, tier: i64, limit: i64, max_leverage: i64, maintenance_rate: i64,
    }
    RiskLimitsChanged { instrument: u16, tiers: i64 }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Event>()
}
