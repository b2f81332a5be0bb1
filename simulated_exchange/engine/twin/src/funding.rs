//! Funding of one instrument: rules 2. A premium sample each minute, a rate from all samples of the interval, a payment by
//! everyone who has a position when the interval ends. The samples are kept one by one, and everything is worked out from
//! them whenever it is asked for.
//!
//! Roundings: the impact prices, the premium, its mean, the interest and the rate half up; payments up. Quantities that a
//! value buys part of a level of are counted in `10^-16`.

use exchange_core::{
    AccountId, EventKind, InstrumentSpec, Kind, Money, PositionIndex, Rate, Side, WalletReason, RATE_SCALE,
};

use crate::contract::{Contract, LEVERAGE_ONE, ONE};
use crate::orders::instrument_id;
use crate::prices::Sides;
use crate::rounding::{ceil, floor, half_up, shown};
use crate::state::{Key, State, FIRST_POOL, TAKEOVER};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Settlements of one instrument in one command.
const SETTLEMENTS_MAX: usize = 64;
/// One whole, of rates and premiums.
const RATE_ONE: i128 = RATE_SCALE as i128;

/// What is kept of one instrument's funding.
#[derive(Clone, Debug)]
pub struct Funding {
    /// Interval from the next settlement on.
    pub interval: i64,
    /// Lowest and highest rate.
    pub caps: (i128, i128),
    /// Next settlement; 0 before the first price.
    pub next: i64,
    /// Length of the interval that ends then.
    pub period: i64,
    /// Premium of every minute of this interval so far.
    pub samples: Vec<i128>,
    /// Minute of the last sample.
    pub minute: i64,
    /// Last premium that could be taken.
    pub premium: i128,
    /// Rate of the last settlement.
    pub settled: i128,
}

impl Funding {
    /// Before the first price.
    pub fn new(spec: &InstrumentSpec) -> Self {
        let first = &spec.tiers[0];
        let initial = floor(LEVERAGE_ONE * RATE_ONE, i128::from(first.max_leverage));
        let maintenance = i128::from(first.maintenance_rate) * (RATE_ONE / ONE);
        let cap = floor((initial - maintenance) * 3, 4).min(maintenance).max(0);
        let listed = spec.funding.caps.map(|(lower, upper)| (i128::from(lower), i128::from(upper)));
        Self {
            interval: spec.funding.interval_ms,
            caps: listed.unwrap_or((-cap, cap)),
            next: 0,
            period: spec.funding.interval_ms,
            samples: Vec::new(),
            minute: 0,
            premium: 0,
            settled: 0,
        }
    }

    /// Starts with the first price.
    pub fn start(&mut self, now: i64) {
        if self.next == 0 {
            self.next = now - now.rem_euclid(self.interval) + self.interval;
            self.period = self.interval;
            self.minute = now.div_euclid(MINUTE_MS);
        }
    }

    /// Sum of i times the i-th sample, and the sum of i.
    pub fn weighted(&self) -> (i128, i128) {
        let mut sums = (0, 0);
        for (place, sample) in (1_i128..).zip(&self.samples) {
            sums = (sums.0 + place * sample, sums.1 + place);
        }
        sums
    }

    /// The rate that the samples so far would give; 0 before the first price.
    pub fn rate(&self, spec: &InstrumentSpec) -> i128 {
        if self.next == 0 {
            return 0;
        }
        let (sum, weights) = self.weighted();
        let premium = if weights == 0 { 0 } else { half_up(sum, weights) };
        let interest =
            half_up(i128::from(spec.funding.interest_daily) * i128::from(self.period), i128::from(DAY_MS));
        let clamp = i128::from(spec.funding.clamp);
        let whole = premium + (interest - premium).clamp(-clamp, clamp);
        half_up(whole, i128::from(spec.funding.payments)).clamp(self.caps.0, self.caps.1)
    }

    /// What is left of this interval.
    pub fn left(&self, now: i64) -> i64 {
        (self.next - now).clamp(0, self.period)
    }
}

impl State {
    /// Samples the minutes that have passed, settles what is due; true if anything was.
    pub fn pass_funding(&mut self, instrument: usize) -> bool {
        let funding = &self.markets[instrument].funding;
        let minute = self.now.div_euclid(MINUTE_MS);
        if self.contracts[instrument].spec.kind != Kind::Perpetual {
            return false;
        }
        if funding.next == 0 || minute <= funding.minute {
            return false;
        }
        let contract = self.contract(instrument);
        let before = funding.rate(&contract.spec);
        if let Some(premium) = self.premium_now(instrument) {
            self.markets[instrument].funding.premium = premium;
        }
        let mut settlements = 0;
        loop {
            let now = self.now;
            let funding = &mut self.markets[instrument].funding;
            let until = now.min(funding.next).div_euclid(MINUTE_MS);
            while funding.minute < until {
                funding.samples.push(funding.premium);
                funding.minute += 1;
            }
            if funding.next > now {
                break;
            }
            self.settle_funding(instrument);
            settlements += 1;
            if settlements == SETTLEMENTS_MAX {
                break;
            }
        }
        self.tell_rate(instrument, before);
        settlements > 0
    }

    /// Tells the running estimate if it is not what it was.
    pub fn tell_rate(&mut self, instrument: usize, before: i128) {
        let funding = &self.markets[instrument].funding;
        let (rate, next_ms) = (funding.rate(&self.contracts[instrument].spec), funding.next);
        if rate != before {
            let (instrument, rate) = (instrument_id(instrument), Rate(shown(rate)));
            self.emit(EventKind::FundingRateChanged { instrument, rate, next_ms });
        }
    }

    /// Premium of the book over the index; none while both sides are too thin.
    fn premium_now(&self, instrument: usize) -> Option<i128> {
        let index = self.markets[instrument].index;
        let (bid, ask) = (self.impact(instrument, Side::Buy), self.impact(instrument, Side::Sell));
        if bid.is_none() && ask.is_none() {
            return None;
        }
        let above = bid.map_or(0, |bid| (bid - index).max(0));
        let below = ask.map_or(0, |ask| (index - ask).max(0));
        Some(half_up((above - below) * RATE_ONE, index))
    }

    /// The impact prices of an instrument that has an index.
    pub fn impacts(&self, instrument: usize) -> Sides {
        if self.markets[instrument].index == 0 {
            return (None, None);
        }
        (self.impact(instrument, Side::Buy), self.impact(instrument, Side::Sell))
    }

    /// Mean price at which the impact notional would trade against a side, as far as it counts; none when there is less.
    fn impact(&self, instrument: usize, side: Side) -> Option<i128> {
        let impact = self.unbounded_impact(instrument, side)?;
        Some(self.markets[instrument].counted(&self.contracts[instrument], impact))
    }

    fn unbounded_impact(&self, instrument: usize, side: Side) -> Option<i128> {
        let contract = self.contract(instrument);
        let mut levels: Vec<(i128, i128)> = Vec::new(); // price, quantity
        for order in self.queue(instrument, side) {
            match levels.last_mut() {
                Some((price, qty)) if *price == order.price => *qty += order.leaves,
                _ => levels.push((order.price, order.leaves)),
            }
        }
        let wanted = self.impact_notional(&contract, instrument) * ONE;
        let (mut value, mut bought) = (0, 0);
        for (price, qty) in levels {
            let worth = if contract.spec.inverse { half_up(qty * ONE * ONE, price) } else { qty * price };
            if value + worth < wanted {
                value += worth;
                bought += qty * ONE;
                continue;
            }
            let missing = wanted - value;
            return Some(if contract.spec.inverse {
                half_up((bought + half_up(missing * price, ONE)) * ONE, wanted)
            } else {
                half_up(wanted * ONE, bought + half_up(missing * ONE, price))
            });
        }
        None
    }

    /// What is listed, or 200 of the quote coin at the leverage of the first tier, in the settlement coin.
    fn impact_notional(&self, contract: &Contract, instrument: usize) -> i128 {
        let listed = i128::from(contract.spec.funding.impact_notional.0);
        if listed > 0 {
            return listed;
        }
        let quote = floor(200 * ONE * contract.tiers[0].leverage, LEVERAGE_ONE);
        if contract.spec.inverse {
            floor(quote * ONE, self.markets[instrument].index)
        } else {
            quote
        }
    }

    /// What of a payment an isolated position's own margin bears: what the coin has no free balance for. Beyond that the
    /// wallet owes.
    fn funding_from_margin(&self, key: Key, fee: i128) -> i128 {
        if !self.is_isolated(key.account) {
            return 0;
        }
        let free = self.isolated_free(key.account, self.contracts[key.instrument].settle);
        (fee - free.max(0)).clamp(0, self.slot(key).assigned.max(0))
    }

    /// Ends the interval: everyone who has a position pays or receives.
    fn settle_funding(&mut self, instrument: usize) {
        let contract = self.contract(instrument);
        let funding = &mut self.markets[instrument].funding;
        let (at_ms, settled) = (funding.next, funding.rate(&contract.spec));
        funding.settled = settled;
        funding.next = at_ms - at_ms.rem_euclid(funding.interval) + funding.interval;
        funding.period = funding.next - at_ms;
        funding.samples.clear();
        let (next_ms, rate) = (funding.next, Rate(shown(settled)));
        let mark = Contract::shown_price(self.markets[instrument].mark);
        let id = instrument_id(instrument);
        self.emit(EventKind::FundingSettled { instrument: id, at_ms, rate, mark, next_ms });
        let holders: Vec<Key> =
            self.slots.keys().copied().filter(|key| key.instrument == instrument).collect();
        let mut left_over = 0;
        for key in holders {
            let qty = self.slot(key).qty;
            if qty == 0 {
                continue;
            }
            let fee = payment(&contract, qty, self.markets[instrument].mark, settled);
            left_over += fee;
            let from_margin = self.funding_from_margin(key, fee);
            let slot = self.slot_mut(key);
            slot.funding += fee;
            slot.assigned -= from_margin;
            self.purse_mut(key.account, contract.settle).wallet -= fee;
            self.emit(EventKind::FundingPaid {
                account: AccountId(self.accounts[key.account].id),
                instrument: id,
                position_index: key.index,
                at_ms,
                qty: Contract::shown_qty(qty),
                mark,
                rate,
                fee: Money(shown(fee)),
                from_margin: Money(shown(from_margin)),
            });
            self.tell_wallet(key.account, contract.settle, -fee, WalletReason::Funding);
        }
        if left_over != 0 {
            let pool = FIRST_POOL + usize::from(contract.pool.0);
            self.purse_mut(pool, contract.settle).wallet += left_over;
            let balance = Money(shown(self.purse(pool, contract.settle).wallet));
            let change = Money(shown(left_over));
            self.emit(EventKind::InsuranceFundChanged { pool: contract.pool, balance, change });
        }
        let apart = [PositionIndex::HedgeBuy, PositionIndex::HedgeSell];
        if apart
            .iter()
            .any(|index| self.slots.contains_key(&Key { account: TAKEOVER, instrument, index: *index }))
        {
            self.sweep_takeover(instrument);
        }
    }
}

/// Size at the mark times the rate, with the sign of the position, rounded up once.
fn payment(contract: &Contract, qty: i128, mark: i128, rate: i128) -> i128 {
    if contract.spec.inverse {
        ceil(qty * ONE * rate, mark * RATE_ONE)
    } else {
        ceil(qty * mark * rate, ONE * RATE_ONE)
    }
}
