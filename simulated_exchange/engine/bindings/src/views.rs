//! The answers to queries, as Python sees them: frozen rows of integers.

use exchange_core as core;
use pyo3::prelude::*;

use crate::terms::Terms;
use crate::words::{
    AccountLevel, MarginMode, MarkSource, OrderType, PositionIndex, Side, StopKind, Strain, TimeInForce,
    TpSlMode,
};

/// Declares a frozen class with readable attributes and a `repr` that names them.
macro_rules! views {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[pyclass(frozen, get_all, module = "simulated_exchange._engine")]
        #[derive(Clone, Debug)]
        pub struct $name { $(pub(crate) $field: $type),+ }

        #[pymethods]
        impl $name {
            fn __repr__(&self) -> String {
                let fields = [$(format!(concat!(stringify!($field), "={:?}"), self.$field)),+];
                format!("{}({})", stringify!($name), fields.join(", "))
            }
        }
    )+};
}

views! {
    /// A position of one account in one instrument.
    PositionView {
        instrument: u16, position_index: PositionIndex, qty: i64, entry_price: i64, mark_price: i64, leverage: i64, value: i64,
        initial_margin: i64, maintenance_margin: i64, unrealised_pnl: i64, realised_pnl: i64,
        liquidation_price: i64, bankruptcy_price: i64, adl_rank: u8, tier: u8, margin_mode: MarginMode,
        assigned_margin: i64, auto_add_margin: bool, break_even_price: i64, current_realised_pnl: i64, funding_paid: i64,
        take_profit: i64, stop_loss: i64, trailing_stop: i64, active_price: i64, tpsl_mode: TpSlMode,
    }
    /// An account's margin figures in USD.
    AccountView {
        wallet_balance: i64, equity: i64, margin_balance: i64, available: i64, initial_margin: i64, maintenance_margin: i64,
        initial_rate: Option<i64>, maintenance_rate: Option<i64>, order_margin: i64, position_margin: i64,
        unrealised_pnl: i64, borrowed: i64, main: u32, level: AccountLevel, auto_repay: bool, withdrawal_room: i64,
    }
    /// One coin of an account.
    CoinView {
        coin: u16, wallet_balance: i64, equity: i64, unrealised_pnl: i64, position_margin: i64,
        order_margin: i64, maintenance_margin: i64, isolated_margin: i64, locked: i64, funding_balance: i64,
        borrowed: i64, spot_borrowed: i64, interest_due: i64, free: i64, is_collateral: bool, collateral_value: i64,
        usd_value: i64, usd_price: i64,
    }
    /// A coin's lending pool.
    LendingPoolView {
        coin: u16, assets: i64, cash: i64, loans: i64, lendable: i64, redeemable: i64, utilisation: i64,
        borrow_rate: i64, supply_rate: i64, index: i64, strain: Strain,
    }
    /// A live order.
    OrderView {
        order_id: u64, account: u32, instrument: u16, position_index: PositionIndex, side: Side, order_type: OrderType,
        time_in_force: TimeInForce, price: i64, qty: i64, leaves: i64, filled_value: i64, fee: i64,
        reduce_only: bool, terms: Terms, kind: StopKind, is_waiting: bool, trailing_stop: i64, partner: u64, link_id: String, created_market_ms: i64, created_wall_us: i64,
        updated_wall_us: i64,
    }
    /// The prices of an instrument; 0 where there is none yet.
    PriceView {
        index: i64, mark: i64, last: i64, price1: i64, price2: i64, basis_mean: i64, max_buy: i64,
        min_sell: i64, open_interest: i64, mark_source: MarkSource,
    }
    /// Funding of a perpetual.
    FundingView {
        rate: i64, settled_rate: i64, next_ms: i64, period_ms: i64, interval_ms: i64, premium: i64,
        average_premium: i64, samples: i64, lower: i64, upper: i64,
    }
    /// Risk limits to come.
    RiskLimitsView { effective_ms: i64, tiers: Vec<(i64, i64, i64)> }
    /// A contract as listed.
    InstrumentView {
        instrument: u16, symbol: String, base: String, quote: String, tick_size: i64, max_price: i64,
        qty_step: i64, min_qty: i64, max_qty: i64, max_market_qty: i64, max_post_only_qty: i64, min_notional: i64, taker_fee: i64,
        maker_fee: i64, price_band_x: i64, price_band_y: i64, default_leverage: i64,
        tiers: Vec<(i64, i64, i64)>, index_sources: Vec<(String, i64)>, is_spot: bool, is_inverse: bool,
        delivery_ms: i64, settle: u16, pool: u16, zone: String,
    }
    /// An insurance pool.
    PoolView { pool: u16, coin: u16, balance: i64, balance_peak: i64 }
    /// How far a contract is from deleveraging.
    AdlAlertView {
        instrument: u16, pool: u16, balance: i64, balance_peak: i64, pnl: i64, pnl_peak: i64, open_loss: i64,
        ratio: i64, threshold: i64, trigger_ratio: i64, stop_ratio: i64, is_deleveraging: bool,
    }
    /// A place in the queue of the deleveraging.
    AdlPlaceView { account: u32, position_index: PositionIndex, qty: i64, lights: u8 }
    /// The books of one coin, recomputed from every account.
    CoinConservation {
        coin: u16, delta: i128, wallets: i128, entry_costs: i128, insurance: i128, fees: i128, lending: i128,
        loans: i128, deposits: i128,
        withdrawals: i128,
    }
    /// The venue's books.
    Conservation { coins: Vec<CoinConservation>, position_qty_sums: Vec<i128>, adds_up: bool }
    /// What a verification found.
    Verification {
        commands: u64, truncated_bytes: u64, state_hash: String, genesis_json: String,
        conservation_delta: u128,
    }
}

impl From<core::PositionView> for PositionView {
    fn from(view: core::PositionView) -> Self {
        Self {
            instrument: view.instrument.0,
            position_index: view.position_index.into(),
            qty: view.qty.0,
            entry_price: view.entry_price.0,
            mark_price: view.mark_price.0,
            leverage: view.leverage,
            value: view.value.0,
            initial_margin: view.initial_margin.0,
            maintenance_margin: view.maintenance_margin.0,
            unrealised_pnl: view.unrealised_pnl.0,
            realised_pnl: view.realised_pnl.0,
            liquidation_price: view.liquidation_price.0,
            bankruptcy_price: view.bankruptcy_price.0,
            adl_rank: view.adl_rank,
            tier: view.tier,
            margin_mode: view.margin_mode.into(),
            assigned_margin: view.assigned_margin.0,
            auto_add_margin: view.auto_add_margin,
            break_even_price: view.break_even_price.0,
            current_realised_pnl: view.current_realised_pnl.0,
            funding_paid: view.funding_paid.0,
            take_profit: view.take_profit.0,
            stop_loss: view.stop_loss.0,
            trailing_stop: view.trailing_stop.0,
            active_price: view.active_price.0,
            tpsl_mode: view.tpsl_mode.into(),
        }
    }
}

impl From<core::FundingView> for FundingView {
    fn from(view: core::FundingView) -> Self {
        Self {
            rate: view.rate.0,
            settled_rate: view.settled_rate.0,
            next_ms: view.next_ms,
            period_ms: view.period_ms,
            interval_ms: view.interval_ms,
            premium: view.premium.0,
            average_premium: view.average_premium.0,
            samples: view.samples,
            lower: view.lower.0,
            upper: view.upper.0,
        }
    }
}

impl From<core::AccountView> for AccountView {
    fn from(view: core::AccountView) -> Self {
        Self {
            wallet_balance: view.wallet_balance.0,
            equity: view.equity.0,
            margin_balance: view.margin_balance.0,
            available: view.available.0,
            initial_margin: view.initial_margin.0,
            maintenance_margin: view.maintenance_margin.0,
            initial_rate: view.initial_rate,
            maintenance_rate: view.maintenance_rate,
            order_margin: view.order_margin.0,
            position_margin: view.position_margin.0,
            unrealised_pnl: view.unrealised_pnl.0,
            borrowed: view.borrowed.0,
            main: view.main.0,
            level: view.level.into(),
            auto_repay: view.auto_repay,
            withdrawal_room: view.withdrawal_room.0,
        }
    }
}

impl From<core::CoinView> for CoinView {
    fn from(view: core::CoinView) -> Self {
        Self {
            coin: view.coin.0,
            wallet_balance: view.wallet_balance.0,
            equity: view.equity.0,
            unrealised_pnl: view.unrealised_pnl.0,
            position_margin: view.position_margin.0,
            order_margin: view.order_margin.0,
            maintenance_margin: view.maintenance_margin.0,
            isolated_margin: view.isolated_margin.0,
            locked: view.locked.0,
            funding_balance: view.funding_balance.0,
            borrowed: view.borrowed.0,
            spot_borrowed: view.spot_borrowed.0,
            interest_due: view.interest_due.0,
            free: view.free.0,
            is_collateral: view.is_collateral,
            collateral_value: view.collateral_value.0,
            usd_value: view.usd_value.0,
            usd_price: view.usd_price.0,
        }
    }
}

impl From<core::LendingPoolView> for LendingPoolView {
    fn from(view: core::LendingPoolView) -> Self {
        Self {
            coin: view.coin.0,
            assets: view.assets.0,
            cash: view.cash.0,
            loans: view.loans.0,
            lendable: view.lendable.0,
            redeemable: view.redeemable.0,
            utilisation: view.utilisation,
            borrow_rate: view.borrow_rate.0,
            supply_rate: view.supply_rate.0,
            index: view.index,
            strain: view.strain.into(),
        }
    }
}

impl From<core::OrderView> for OrderView {
    fn from(view: core::OrderView) -> Self {
        Self {
            order_id: view.order_id.0,
            account: view.account.0,
            instrument: view.instrument.0,
            position_index: view.position_index.into(),
            side: view.side.into(),
            order_type: view.order_type.into(),
            time_in_force: view.time_in_force.into(),
            price: view.price.0,
            qty: view.qty.0,
            leaves: view.leaves.0,
            filled_value: view.filled_value.0,
            fee: view.fee.0,
            reduce_only: view.reduce_only,
            terms: Terms(view.terms),
            kind: view.kind.into(),
            is_waiting: view.is_waiting,
            trailing_stop: view.trailing_stop.0,
            partner: view.partner.0,
            link_id: view.link_id.as_str().to_owned(),
            created_market_ms: view.created_market_ms,
            created_wall_us: view.created_wall_us,
            updated_wall_us: view.updated_wall_us,
        }
    }
}

impl From<core::PriceView> for PriceView {
    fn from(view: core::PriceView) -> Self {
        Self {
            index: view.index.0,
            mark: view.mark.0,
            last: view.last.0,
            price1: view.price1.0,
            price2: view.price2.0,
            basis_mean: view.basis_mean,
            max_buy: view.max_buy.0,
            min_sell: view.min_sell.0,
            open_interest: view.open_interest.0,
            mark_source: view.mark_source.into(),
        }
    }
}

impl From<core::PoolView> for PoolView {
    fn from(view: core::PoolView) -> Self {
        Self {
            pool: view.pool.0,
            coin: view.coin.0,
            balance: view.balance.0,
            balance_peak: view.balance_peak.0,
        }
    }
}

impl From<core::AdlAlertView> for AdlAlertView {
    fn from(view: core::AdlAlertView) -> Self {
        Self {
            instrument: view.instrument.0,
            pool: view.pool.0,
            balance: view.balance.0,
            balance_peak: view.balance_peak.0,
            pnl: view.pnl.0,
            pnl_peak: view.pnl_peak.0,
            open_loss: view.open_loss.0,
            ratio: view.ratio,
            threshold: view.threshold.0,
            trigger_ratio: view.trigger_ratio,
            stop_ratio: view.stop_ratio,
            is_deleveraging: view.is_deleveraging,
        }
    }
}

impl From<core::AdlPlaceView> for AdlPlaceView {
    fn from(view: core::AdlPlaceView) -> Self {
        Self {
            account: view.account.0,
            position_index: view.position_index.into(),
            qty: view.qty.0,
            lights: view.lights,
        }
    }
}

impl From<&core::risk_limits::Notice> for RiskLimitsView {
    fn from(notice: &core::risk_limits::Notice) -> Self {
        Self { effective_ms: notice.effective_ms, tiers: rows(&notice.tiers) }
    }
}

/// Tiers as rows of limit, highest leverage and maintenance rate.
fn rows(tiers: &[core::TierSpec]) -> Vec<(i64, i64, i64)> {
    tiers.iter().map(|tier| (tier.limit.0, tier.max_leverage, tier.maintenance_rate)).collect()
}

impl InstrumentView {
    pub(crate) fn new(instrument: u16, listed: &core::Instrument) -> Self {
        let spec = &listed.spec;
        let sources = spec.index_sources.iter();
        Self {
            instrument,
            symbol: spec.symbol.clone(),
            base: spec.base.clone(),
            quote: spec.quote.clone(),
            tick_size: spec.tick_size.0,
            max_price: spec.max_price.0,
            qty_step: spec.qty_step.0,
            min_qty: spec.min_qty.0,
            max_qty: spec.max_qty.0,
            max_market_qty: spec.max_market_qty.0,
            max_post_only_qty: spec.max_post_only_qty.unwrap_or(spec.max_qty).0,
            min_notional: spec.min_notional.0,
            taker_fee: spec.taker_fee,
            maker_fee: spec.maker_fee,
            price_band_x: spec.price_band_x,
            price_band_y: spec.price_band_y,
            default_leverage: spec.default_leverage,
            tiers: rows(&spec.tiers),
            index_sources: sources.map(|source| (source.name.clone(), source.weight)).collect(),
            is_spot: listed.is_spot,
            is_inverse: spec.inverse,
            delivery_ms: if let core::Kind::Expiry { delivery_ms } = spec.kind { delivery_ms } else { 0 },
            settle: listed.settle.0,
            pool: listed.pool.0,
            zone: spec.zone.clone(),
        }
    }
}

impl From<core::Conservation> for Conservation {
    fn from(books: core::Conservation) -> Self {
        let coin = |coin: &core::CoinConservation| CoinConservation {
            coin: coin.coin.0,
            delta: coin.delta,
            wallets: coin.wallets,
            entry_costs: coin.entry_costs,
            insurance: coin.insurance,
            fees: coin.fees,
            lending: coin.lending,
            loans: coin.loans,
            deposits: coin.deposits,
            withdrawals: coin.withdrawals,
        };
        Self {
            adds_up: books.adds_up(),
            coins: books.coins.iter().map(coin).collect(),
            position_qty_sums: books.position_qty_sums,
        }
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PositionView>()?;
    module.add_class::<AccountView>()?;
    module.add_class::<OrderView>()?;
    module.add_class::<PriceView>()?;
    module.add_class::<FundingView>()?;
    module.add_class::<RiskLimitsView>()?;
    module.add_class::<InstrumentView>()?;
    module.add_class::<CoinView>()?;
    module.add_class::<LendingPoolView>()?;
    module.add_class::<CoinConservation>()?;
    module.add_class::<Conservation>()?;
    module.add_class::<PoolView>()?;
    module.add_class::<AdlAlertView>()?;
    module.add_class::<AdlPlaceView>()?;
    module.add_class::<Verification>()
}
