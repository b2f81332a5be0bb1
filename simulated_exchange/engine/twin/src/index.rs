//! The index of one instrument out of its sources: rules 1.1; and the coins whose price in USD follows one.
//!
//! - A source counts while its last report is no older than the instrument allows; by the older rule of two passes, while its
//!   last *change* is not. One in another coin is converted by the index of an instrument listed before, which must have a
//!   source of its own that counts; what cannot be converted does not count.
//! - Clamp: what lies beyond the band around the median counts at the band's edge; drop: it does not count. Two passes: the
//!   weighted mean is a guess; each source's closeness is the least distance from it per its own, a tick being the least there
//!   is, to `10^-9`; the index is the guess and the mean of the distances, weighted by the squares of closeness.
//! - Without anything that counts the index stays.
//! - A coin that follows an index is worth it in the quote coin's USD; one that is a ratio, what a third coin costs in USD over
//!   what it costs in this one. Ratios move first, then what is quoted in them, then what follows the index itself.
//!
//! Every division rounds half up.

use exchange_core::{CoinId, CoinPrice, EventKind, IndexMethod, InstrumentId, Price, MONEY_MAX};

use crate::contract::ONE;
use crate::prices::Source;
use crate::rounding::{half_up, shown};
use crate::state::State;

const CLOSENESS_ONE: i128 = 1_000_000_000;

/// A price that counts, and its weight.
type Component = (i128, i128);

/// A price that the boundary can hold, and that is one.
fn proper(price: i128) -> Option<i128> {
    (price > 0 && price <= i128::from(i64::MAX)).then_some(price)
}

/// Price times one price over another.
fn converted(price: i128, times: i128, over: i128) -> Option<i128> {
    if price <= 0 || times <= 0 || over <= 0 {
        return None;
    }
    proper(half_up(price * times, over))
}

fn mean_of(components: &[Component]) -> Option<i128> {
    let weights: i128 = components.iter().map(|(_, weight)| weight).sum();
    let weighted = components.iter().map(|(price, weight)| price * weight).sum();
    (weights > 0).then(|| half_up(weighted, weights))
}

fn median_of(components: &[Component]) -> i128 {
    let mut prices: Vec<i128> = components.iter().map(|(price, _)| *price).collect();
    prices.sort_unstable();
    let (low_middle, high_middle) = (prices[(prices.len() - 1) / 2], prices[prices.len() / 2]);
    half_up(low_middle + high_middle, 2)
}

fn in_two_passes(components: &[Component], tick: i128) -> Option<i128> {
    let guess = mean_of(components)?;
    let distance = |price: i128| (price - guess).abs().max(tick);
    let least = components.iter().map(|(price, _)| distance(*price)).min()?;
    let weighed: Vec<Component> = components
        .iter()
        .map(|(price, _)| {
            let closeness = half_up(least * CLOSENESS_ONE, distance(*price));
            (price - guess, closeness * closeness)
        })
        .collect();
    Some(guess + mean_of(&weighed)?)
}

impl State {
    fn is_fresh(&self, instrument: usize, source: &Source) -> bool {
        let spec = &self.contracts[instrument].spec;
        let since =
            if spec.index_method == IndexMethod::TwoPass { source.changed_ms } else { source.updated_ms };
        source.price > 0 && self.now - since <= spec.index_stale_ms
    }

    /// What a source says in the instrument's own quote coin.
    fn in_own_coin(&self, instrument: usize, at: usize) -> Option<i128> {
        let price = i128::from(self.markets[instrument].sources[at].price);
        let Some(bridge) = self.contracts[instrument].spec.index_sources[at].converted_by else {
            return Some(price);
        };
        let bridge = usize::from(bridge.0);
        let mut sources = self.markets[bridge].sources.iter();
        let is_there = sources.any(|source| self.is_fresh(bridge, source));
        converted(price, if is_there { self.markets[bridge].index } else { 0 }, ONE)
    }

    /// The index of the sources that count now.
    pub fn index_now(&self, instrument: usize) -> Option<i128> {
        let spec = &self.contracts[instrument].spec;
        let mut components: Vec<Component> = Vec::new();
        for (at, source) in self.markets[instrument].sources.iter().enumerate() {
            let price = self.in_own_coin(instrument, at).filter(|_| self.is_fresh(instrument, source));
            if let Some(price) = price.filter(|price| *price <= i128::from(MONEY_MAX)) {
                components.push((price, i128::from(spec.index_sources[at].weight)));
            }
        }
        if components.is_empty() {
            return None;
        }
        let (median, band) = (median_of(&components), i128::from(spec.index_clamp));
        let (low, high) = (half_up(median * (ONE - band), ONE), half_up(median * (ONE + band), ONE));
        let index = match spec.index_method {
            IndexMethod::Clamp => {
                for (price, _) in &mut components {
                    *price = (*price).clamp(low, high);
                }
                mean_of(&components)
            }
            IndexMethod::Drop => {
                components.retain(|(price, _)| (low..=high).contains(price));
                mean_of(&components)
            }
            IndexMethod::TwoPass => in_two_passes(&components, i128::from(spec.tick_size.0)),
        };
        index.and_then(proper)
    }

    /// Works out anew the coins that an index decides.
    pub fn reprice_coins(&mut self, instrument: usize) {
        for coin in self.coin_ids() {
            let CoinPrice::Ratio { dollars, coins } = self.coins[usize::from(coin.0)].price else { continue };
            let concerns = [dollars, coins].iter().any(|named| usize::from(named.0) == instrument);
            let price = converted(ONE, self.index_of(dollars), self.index_of(coins));
            if let Some(price) = price.filter(|_| concerns) {
                if price != self.coin_prices[usize::from(coin.0)] {
                    self.move_coin_price(coin, price);
                    self.reprice_quoted_in(coin);
                }
            }
        }
        self.reprice_followers(instrument);
    }

    /// Works out anew what follows indices in a coin.
    pub fn reprice_quoted_in(&mut self, coin: CoinId) {
        for instrument in 0..self.contracts.len() {
            if self.contracts[instrument].quote == Some(coin) {
                self.reprice_followers(instrument);
            }
        }
    }

    fn reprice_followers(&mut self, instrument: usize) {
        let Some(price) = self.index_in_usd(instrument) else { return };
        for coin in self.coin_ids() {
            let at = usize::from(coin.0);
            let follows = matches!(self.coins[at].price, CoinPrice::Index(followed) if usize::from(followed.0) == instrument);
            if follows && price != self.coin_prices[at] {
                self.move_coin_price(coin, price);
            }
        }
    }

    fn index_in_usd(&self, instrument: usize) -> Option<i128> {
        let index = self.markets[instrument].index;
        let Some(quote) = self.contracts[instrument].quote else { return proper(index) };
        match self.coins[usize::from(quote.0)].price {
            CoinPrice::Ratio { dollars, coins } => {
                converted(index, self.index_of(dollars), self.index_of(coins))
            }
            _ => converted(index, self.coin_prices[usize::from(quote.0)], ONE),
        }
    }

    fn index_of(&self, instrument: InstrumentId) -> i128 {
        self.markets[usize::from(instrument.0)].index
    }

    /// A coin has another price.
    pub fn move_coin_price(&mut self, coin: CoinId, price: i128) {
        self.coin_prices[usize::from(coin.0)] = price;
        self.emit(EventKind::CoinPriceChanged { coin, price: Price(shown(price)) });
    }
}
