//! The venue's formulas as the module `simulated_exchange._engine.rules`: for people, and for checks against recorded
//! data. Pure; what the exchange does with them is the core's.

use exchange_core::funding::{self, FundingTerms, PremiumAverage};
use exchange_core::index::{self, Component};
use exchange_core::mark::{self, Slippage};
use exchange_core::market::Window;
use exchange_core::{Genesis, InstrumentSpec, Money, TierSpec, genesis, impact};
use pyo3::prelude::*;

use crate::errors;
use crate::words::{IndexMethod, Side};

/// Full name, under which `import` finds the module.
const NAME: &str = "simulated_exchange._engine.rules";

/// Index of these `(price, weight)` components.
#[pyfunction]
#[pyo3(signature = (components, *, band, method = IndexMethod::Clamp))]
fn index_price(components: Vec<(i64, i64)>, band: i64, method: IndexMethod) -> Option<i64> {
    let components: Vec<Component> =
        components.into_iter().map(|(price, weight)| Component { price, weight }).collect();
    index::index_price(&components, method.into(), band)
}

/// A price in another coin.
#[pyfunction]
fn convert(price: i64, quote_price: i64) -> Option<i64> {
    index::convert(price, quote_price)
}

/// USD index of a coin from its USDT index and one coin's index in both.
#[pyfunction]
fn usd_index(usdt_index: i64, bridge_usd: i64, bridge_usdt: i64) -> Option<i64> {
    index::usd_index(usdt_index, bridge_usd, bridge_usdt)
}

/// First candidate of a perpetual's mark.
#[pyfunction]
fn mark_price1(index: i64, funding_rate: i64, until_funding_ms: i64, interval_ms: i64) -> i64 {
    mark::price1(index, funding_rate, until_funding_ms, interval_ms)
}

/// Second candidate of a perpetual's mark.
#[pyfunction]
fn mark_price2(index: i64, basis_samples: Vec<i64>) -> i64 {
    mark::price2(index, mean(basis_samples))
}

/// Mark of a perpetual.
#[pyfunction]
fn perpetual_mark(price1: i64, price2: i64, last: i64) -> i64 {
    mark::perpetual_mark(price1, price2, last)
}

/// Distance of an impact mid price from the index as a part of it.
#[pyfunction]
fn basis_rate(impact_mid: i64, index: i64) -> Option<i64> {
    mark::basis_rate(impact_mid, index)
}

/// Mark of an expiry contract.
#[pyfunction]
fn expiry_mark(index: i64, basis_rates: Vec<i64>) -> i64 {
    mark::expiry_mark(index, mean(basis_rates))
}

/// Highest buy and lowest sell price.
#[pyfunction]
fn price_band(mark: i64, index: i64, x: i64, y: i64, premium: i64) -> (i64, i64) {
    mark::price_band(mark, index, x, y, premium)
}

/// Worst price of a market order that tolerates this distance, or this part, from the best opposite price.
#[pyfunction]
#[pyo3(signature = (side, best, *, distance = None, ratio = None))]
fn slippage_limit(side: Side, best: i64, distance: Option<i64>, ratio: Option<i64>) -> PyResult<i64> {
    let tolerated = match (distance, ratio) {
        (Some(distance), None) => Slippage::Distance(distance),
        (None, Some(ratio)) => Slippage::Ratio(ratio),
        _ => return Err(errors::value("distance, ratio: exactly one of them must be given")),
    };
    Ok(mark::slippage_limit(side.into(), best, tolerated))
}

/// Mean price of trading a settlement value against `(price, quantity)` levels, best first.
#[pyfunction]
#[pyo3(signature = (levels, notional, *, inverse = false))]
fn impact_price(levels: Vec<(i64, i64)>, notional: i64, inverse: bool) -> Option<i64> {
    impact::impact_price(levels, notional, inverse)
}

/// Premium of the contract over its index, from impact prices.
#[pyfunction]
fn premium_index(impact_bid: Option<i64>, impact_ask: Option<i64>, index: i64) -> Option<i64> {
    funding::premium_index(impact_bid, impact_ask, index)
}

/// Mean of an interval's premiums, in which the i-th counts i times.
#[pyfunction]
fn average_premium(samples: Vec<i64>) -> i64 {
    let mut average = PremiumAverage::default();
    for sample in samples {
        average.push(sample, 1);
    }
    average.mean()
}

/// Interest part of a rate for an interval.
#[pyfunction]
fn interest(daily: i64, interval_ms: i64) -> i64 {
    funding::interest(daily, interval_ms)
}

/// Funding rate of an average premium.
#[pyfunction]
#[pyo3(signature = (average_premium, interest, *, clamp, lower, upper, payments = 1))]
fn funding_rate(
    average_premium: i64,
    interest: i64,
    clamp: i64,
    lower: i64,
    upper: i64,
    payments: i64,
) -> i64 {
    FundingTerms { clamp, lower, upper, payments }.rate(average_premium, interest)
}

/// What a position of this signed value pays; negative when it receives.
#[pyfunction]
fn funding_fee(value: i64, rate: i64) -> i64 {
    exchange_core::fixed::saturate(funding::funding_fee(i128::from(value), 1, rate))
}

/// Maintenance deductions of risk-limit tiers `(limit, max_leverage, maintenance_rate)`, smallest first.
#[pyfunction]
fn tier_deductions(tiers: Vec<(i64, i64, i64)>) -> PyResult<Vec<i64>> {
    let tier = |(limit, max_leverage, maintenance_rate): (i64, i64, i64)| TierSpec {
        limit: Money(limit),
        max_leverage,
        maintenance_rate,
    };
    let tiers = tiers.into_iter().map(tier).collect();
    let spec = InstrumentSpec { tiers, ..InstrumentSpec::default() };
    let genesis = Genesis::linear(vec![spec], Money(0));
    let listed = genesis::validate(&genesis).map_err(|error| errors::value(error.to_string()))?.instruments;
    let deduction = |tier: &exchange_core::Tier| exchange_core::fixed::saturate(tier.deduction);
    Ok(listed.iter().flat_map(|listed| listed.tiers.iter().map(deduction)).collect())
}

/// Mean of samples as the exchange's windows take it.
fn mean(samples: Vec<i64>) -> i64 {
    let mut window = Window::new(samples.len());
    for sample in samples {
        window.push(sample);
    }
    window.mean()
}

pub(crate) fn register(parent: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = parent.py();
    let rules = PyModule::new(py, NAME)?;
    rules.add("RATE_SCALE", exchange_core::RATE_SCALE)?;
    rules.add_function(wrap_pyfunction!(index_price, &rules)?)?;
    rules.add_function(wrap_pyfunction!(convert, &rules)?)?;
    rules.add_function(wrap_pyfunction!(usd_index, &rules)?)?;
    rules.add_function(wrap_pyfunction!(mark_price1, &rules)?)?;
    rules.add_function(wrap_pyfunction!(mark_price2, &rules)?)?;
    rules.add_function(wrap_pyfunction!(perpetual_mark, &rules)?)?;
    rules.add_function(wrap_pyfunction!(basis_rate, &rules)?)?;
    rules.add_function(wrap_pyfunction!(expiry_mark, &rules)?)?;
    rules.add_function(wrap_pyfunction!(price_band, &rules)?)?;
    rules.add_function(wrap_pyfunction!(slippage_limit, &rules)?)?;
    rules.add_function(wrap_pyfunction!(impact_price, &rules)?)?;
    rules.add_function(wrap_pyfunction!(premium_index, &rules)?)?;
    rules.add_function(wrap_pyfunction!(average_premium, &rules)?)?;
    rules.add_function(wrap_pyfunction!(interest, &rules)?)?;
    rules.add_function(wrap_pyfunction!(funding_rate, &rules)?)?;
    rules.add_function(wrap_pyfunction!(funding_fee, &rules)?)?;
    rules.add_function(wrap_pyfunction!(tier_deductions, &rules)?)?;
    parent.add("rules", &rules)?;
    // A submodule of an extension module is only found by `import` when it is already there.
    py.import("sys")?.getattr("modules")?.set_item(NAME, rules)
}
