//! What the insurance pools bear: rules 8. A contract may lose its pool 30 % (the rule's trigger) of the pool's largest
//! balance of the last eight hours, counted from the contract's own largest gain of the last eight hours; a pool that holds
//! no more than the threshold may be used up whole. Balances and gains are sampled when the first tick of a market minute
//! comes; the present value counts as well. What positions taken over would lose at the mark counts as lost.

use exchange_core::{AdlSpec, EventKind, Money, PositionIndex};

use crate::contract::ONE;
use crate::orders::instrument_id;
use crate::rounding::{floor, half_up, shown};
use crate::state::{Key, State, FIRST_POOL, TAKEOVER};

const MINUTE_MS: i64 = 60_000;
const EIGHT_HOURS: i64 = 480;

/// Every sample ever taken: market minute and value.
pub type Samples = Vec<(i64, i128)>;

/// What one contract gained for its pool and cost it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Gained so far, less what it cost.
    pub gained: i128,
    /// The same, sampled.
    pub samples: Samples,
    /// Lost beyond what the pool had.
    pub owed: i128,
    /// Deleveraging has started and not stopped.
    pub is_on: bool,
}

/// What the rule is about.
struct Loss {
    balance: i128,
    balance_peak: i128,
    /// Lost since the peak, not counting what is open.
    lost: i128,
    open: i128,
}

/// Samples of the eight hours before the last.
fn recent(samples: &Samples) -> Samples {
    let last = samples.last().map_or(0, |(minute, _)| *minute);
    samples.iter().copied().filter(|(minute, _)| *minute > last - EIGHT_HOURS).collect()
}

/// Those that no later one reaches.
pub fn unreached(samples: &Samples) -> Samples {
    let samples = recent(samples);
    let stays = |at: &usize| samples[at + 1..].iter().all(|(_, later)| *later < samples[*at].1);
    (0..samples.len()).filter(stays).map(|at| samples[at]).collect()
}

fn peak(samples: &Samples, present: i128) -> i128 {
    recent(samples).into_iter().map(|(_, value)| value).fold(present, i128::max)
}

impl State {
    /// The venue's long and short in an instrument.
    pub fn takeover_keys(instrument: usize) -> [Key; 2] {
        let key = |index| Key { account: TAKEOVER, instrument, index };
        [key(PositionIndex::HedgeBuy), key(PositionIndex::HedgeSell)]
    }

    /// What the pool of an instrument holds.
    pub fn pool_balance(&self, instrument: usize) -> i128 {
        let contract = &self.contracts[instrument];
        self.purse(FIRST_POOL + usize::from(contract.pool.0), contract.settle).wallet
    }

    /// Samples everything when a new minute has begun.
    pub fn sample_pools(&mut self) {
        let minute = self.now / MINUTE_MS;
        if minute <= self.sampled_minute {
            return;
        }
        self.sampled_minute = minute;
        for at in 0..self.pools.len() {
            let balance = self.purse(FIRST_POOL + at, self.pools[at]).wallet;
            self.pool_samples[at].push((minute, balance));
        }
        for record in &mut self.records {
            record.samples.push((minute, record.gained));
        }
    }

    /// The rule of an instrument's pool.
    pub fn rule(&self, instrument: usize) -> AdlSpec {
        self.rules[usize::from(self.contracts[instrument].pool.0)]
    }

    fn loss(&self, instrument: usize) -> Loss {
        let (balance, record) = (self.pool_balance(instrument), &self.records[instrument]);
        let profit: i128 =
            Self::takeover_keys(instrument).into_iter().map(|key| self.margin(key).unrealised).sum();
        Loss {
            balance,
            balance_peak: peak(&self.pool_samples[usize::from(self.contracts[instrument].pool.0)], balance),
            lost: peak(&record.samples, record.gained) - record.gained,
            open: (-profit).max(0),
        }
    }

    /// What the pool may lose in a contract from here.
    pub fn headroom(&self, instrument: usize) -> i128 {
        let (loss, rule) = (self.loss(instrument), self.rule(instrument));
        let mut room = loss.balance;
        if loss.balance > i128::from(rule.threshold.0) {
            room = room.min(floor(-i128::from(rule.trigger_ratio) * loss.balance_peak, ONE) - loss.lost);
        }
        room.max(0)
    }

    /// The part of the open loss that is not the pool's.
    pub fn excess_loss(&self, instrument: usize) -> i128 {
        (self.loss(instrument).open - self.headroom(instrument)).max(0)
    }

    /// Says when deleveraging starts and stops.
    pub fn watch_drawdown(&mut self, instrument: usize) {
        let (loss, rule) = (self.loss(instrument), self.rule(instrument));
        let change = -(loss.lost + loss.open);
        let reaches = |ratio: i64| change * ONE <= loss.balance_peak * i128::from(ratio);
        let is_watched = loss.balance > i128::from(rule.threshold.0);
        let is_used_up = loss.open > 0 && loss.open >= loss.balance;
        let starts = is_used_up || is_watched && reaches(rule.trigger_ratio);
        let stops = loss.balance > loss.open && !(is_watched && reaches(rule.stop_ratio));
        let ratio = if loss.balance_peak <= 0 { 0 } else { shown(half_up(change * ONE, loss.balance_peak)) };
        let (pool, named) = (self.contracts[instrument].pool, instrument_id(instrument));
        let is_on = self.records[instrument].is_on;
        if !is_on && starts {
            self.records[instrument].is_on = true;
            self.emit(EventKind::AdlStarted { pool, instrument: named, ratio });
        } else if is_on && stops {
            self.records[instrument].is_on = false;
            self.emit(EventKind::AdlStopped { pool, instrument: named, ratio });
        }
    }

    /// Hands what the take-over account has realised in an instrument to its pool, or covers it from there as far as the
    /// pool goes. What the pool cannot cover the contract owes, and pays first when it gains.
    pub fn sweep_takeover(&mut self, instrument: usize) {
        let contract = self.contract(instrument);
        let (coin, pool) = (contract.settle, FIRST_POOL + usize::from(contract.pool.0));
        let same_coin = |at: &usize| self.contracts[*at].settle == coin && *at != instrument;
        let owed_by_others: i128 =
            (0..self.contracts.len()).filter(same_coin).map(|at| self.records[at].owed).sum();
        let own = self.purse(TAKEOVER, coin).wallet + owed_by_others;
        let change = own.max(-self.purse(pool, coin).wallet);
        self.records[instrument].owed = change - own;
        self.records[instrument].gained += change;
        if change == 0 {
            return;
        }
        self.purse_mut(TAKEOVER, coin).wallet -= change;
        self.purse_mut(pool, coin).wallet += change;
        let (balance, change) = (Money(shown(self.purse(pool, coin).wallet)), Money(shown(change)));
        self.emit(EventKind::InsuranceFundChanged { pool: contract.pool, balance, change });
    }
}
