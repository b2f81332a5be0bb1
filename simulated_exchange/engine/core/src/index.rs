//! The index: rules 1.1. Pure formulas over the prices of spot markets, and what is kept of each of them. Which
//! market belongs to which instrument is the instrument's business; the mark made of an index is in `mark`.

use serde::{Deserialize, Serialize};

use crate::fixed::{div_half_up, mul_div_half_up};
use crate::types::{wire_enum, MONEY_MAX, SCALE};

wire_enum! {
    /// How the components of an index become one price.
    IndexMethod {
        /// Weighted mean; a component beyond the band around the median is moved to the band's edge.
        Clamp = 0,
        /// Weighted mean; a component beyond the band around the median does not count.
        Drop = 1,
        /// The older rule: the weighted mean is only a first guess, and each component counts by the inverse square
        /// of its distance from it. The band is the least distance, so that a hit does not outweigh everything.
        TwoPass = 2,
    }
}

/// A price that counts, and how much. Weights are relative; prices are in units of `10^-8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Price, positive and at most `MONEY_MAX`; any other makes it no component.
    pub price: i64,
    /// Relative weight, with the same bounds.
    pub weight: i64,
}

/// One component of an index as last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Price in the source's own quote coin; 0 before the first report.
    pub price: i64,
    /// Market time of the report.
    pub updated_ms: i64,
    /// Market time at which the price was first reported as it is now.
    pub changed_ms: i64,
}

impl Source {
    /// Keeps a report.
    pub fn report(&mut self, price: i64, market_ms: i64) {
        if price != self.price {
            self.changed_ms = market_ms;
        }
        self.price = price;
        self.updated_ms = market_ms;
    }

    /// Whether the source counts: reported within `stale_ms`, and for the two-pass rule also moved within it.
    pub fn is_fresh(&self, market_ms: i64, stale_ms: i64, method: IndexMethod) -> bool {
        let since = if method == IndexMethod::TwoPass { self.changed_ms } else { self.updated_ms };
        self.price > 0 && market_ms.saturating_sub(since) <= stale_ms
    }
}

/// Middle value; of an even number the mean of the two middle ones, rounded half up.
pub fn median(mut values: Vec<i128>) -> Option<i128> {
    values.sort_unstable();
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(div_half_up(lower + upper, 2))
}

/// The index of these components, rounded half up; nothing when no component counts.
///
/// `band` is a part of the median in units of `10^-8`; for the two-pass rule a distance in units of price.
pub fn index_price(components: &[Component], method: IndexMethod, band: i64) -> Option<i64> {
    let bounded = |number: i64| (1..=MONEY_MAX).contains(&number);
    let sound = |component: &&Component| bounded(component.price) && bounded(component.weight);
    let components: Vec<Component> = components.iter().filter(sound).copied().collect();
    let index = match method {
        IndexMethod::Clamp => {
            let (low, high) = band_around_median(&components, band)?;
            let clamp = |component: &Component| component.price.clamp(low, high);
            weighted_mean(components.iter().map(|component| (clamp(component), component.weight)))
        }
        IndexMethod::Drop => {
            let (low, high) = band_around_median(&components, band)?;
            let inside = components.iter().filter(|component| (low..=high).contains(&component.price));
            weighted_mean(inside.map(|component| (component.price, component.weight)))
        }
        IndexMethod::TwoPass => two_pass(&components, band),
    };
    index.filter(|index| *index > 0)
}

fn band_around_median(components: &[Component], band: i64) -> Option<(i64, i64)> {
    let median = median(components.iter().map(|component| i128::from(component.price)).collect())?;
    let (scale, band) = (i128::from(SCALE), i128::from(band.max(0)));
    let low = mul_div_half_up(median, scale - band, scale).max(0);
    let high = mul_div_half_up(median, scale + band, scale);
    Some((i64::try_from(low).ok()?, i64::try_from(high).unwrap_or(i64::MAX)))
}

fn weighted_mean(components: impl Iterator<Item = (i64, i64)>) -> Option<i64> {
    let (mut weighted, mut weights) = (0_i128, 0_i128);
    for (price, weight) in components {
        weighted = weighted.checked_add(i128::from(price) * i128::from(weight))?;
        weights += i128::from(weight);
    }
    if weights == 0 {
        return None;
    }
    i64::try_from(div_half_up(weighted, weights)).ok()
}

/// Precision of the two-pass weights.
const WEIGHT_SCALE: i128 = 1_000_000_000;

/// The guess plus the weighted mean of the distances from it: distances are small, so little is lost in rounding.
fn two_pass(components: &[Component], spread_floor: i64) -> Option<i64> {
    let guess = weighted_mean(components.iter().map(|component| (component.price, component.weight)))?;
    let distance = |component: &Component| i128::from(component.price) - i128::from(guess);
    let spread = |component: &Component| distance(component).abs().max(i128::from(spread_floor.max(1)));
    let least = components.iter().map(spread).min()?;
    let (mut weighted, mut weights) = (0_i128, 0_i128);
    for component in components {
        let closeness = mul_div_half_up(least, WEIGHT_SCALE, spread(component));
        let weight = closeness * closeness;
        weighted = weighted.checked_add(weight.checked_mul(distance(component))?)?;
        weights += weight;
    }
    i64::try_from(i128::from(guess) + div_half_up(weighted, weights)).ok()
}

/// A price in another coin: price times the price of its quote coin, rounded half up. Nothing when it does not fit.
pub fn convert(price: i64, quote_price: i64) -> Option<i64> {
    rescale(price, quote_price, SCALE)
}

/// USD index of a coin from its USDT index and one coin's index in both: rounded half up. Nothing when it does not fit.
pub fn usd_index(usdt_index: i64, bridge_usd: i64, bridge_usdt: i64) -> Option<i64> {
    rescale(usdt_index, bridge_usd, bridge_usdt)
}

fn rescale(price: i64, numerator: i64, denominator: i64) -> Option<i64> {
    if price <= 0 || numerator <= 0 || denominator <= 0 {
        return None;
    }
    let product = mul_div_half_up(i128::from(price), i128::from(numerator), i128::from(denominator));
    i64::try_from(product).ok().filter(|product| *product > 0)
}
