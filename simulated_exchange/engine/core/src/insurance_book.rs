//! What the insurance pools gained and lost, contract by contract, and which contracts are being deleveraged. The rule
//! is in `insurance`; who is deleveraged, and how, in `takeover`.

use serde::{Deserialize, Serialize};

use crate::event::EventKind;
use crate::exchange::{Exchange, TAKEOVER};
use crate::fixed::saturate;
use crate::insurance::{AdlSpec, Drawdown, Peak, MINUTE_MS};
use crate::types::{InstrumentId, Money, PoolId, PositionIndex};

/// One contract's part in its pool.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ContractRecord {
    /// Gained for the pool, less what it cost.
    pub(crate) pnl: i128,
    /// The same, minute by minute.
    pub(crate) peak: Peak,
    /// Lost beyond the pool: stays on the take-over account's wallet until the contract gains again.
    pub(crate) owed: i128,
    /// Deleveraging has started and not stopped.
    pub(crate) is_deleveraging: bool,
}

/// The records of every pool and contract.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct InsuranceBook {
    /// Balances of the pools, minute by minute.
    pub(crate) pools: Vec<Peak>,
    /// By instrument.
    pub(crate) contracts: Vec<ContractRecord>,
    /// Sum of what the contracts owe, by coin.
    pub(crate) owed: Vec<i128>,
    /// Market minute of the last sample.
    pub(crate) minute: i64,
}

impl InsuranceBook {
    pub(crate) fn new(balances: impl Iterator<Item = i128>, contracts: usize, coins: usize) -> Self {
        Self {
            pools: balances.map(|balance| Peak::new(0, balance)).collect(),
            contracts: vec![ContractRecord { peak: Peak::new(0, 0), ..ContractRecord::default() }; contracts],
            owed: vec![0; coins],
            minute: 0,
        }
    }
}

impl Exchange {
    /// Takes the sample of the present market minute, once.
    pub(crate) fn sample_pools(&mut self) {
        let minute = self.market_ms / MINUTE_MS;
        if minute <= self.insurance.minute {
            return;
        }
        self.insurance.minute = minute;
        for pool in 0..self.pools.len() {
            let balance = self.ledger.purse(self.pool_purse_at(pool)).wallet;
            self.insurance.pools[pool].sample(minute, balance);
        }
        for record in &mut self.insurance.contracts {
            record.peak.sample(minute, record.pnl);
        }
    }

    fn pool_purse_at(&self, pool: usize) -> u32 {
        self.pool_purse(PoolId(u16::try_from(pool).unwrap_or(u16::MAX)))
    }

    /// What the instrument's insurance pool holds.
    pub(crate) fn pool_balance(&self, instrument: usize) -> i128 {
        self.ledger.purse(self.pool_purse(self.instruments[instrument].pool)).wallet
    }

    /// The venue's long and short in an instrument, where it ever had one.
    pub(crate) fn takeover_slots(&self, instrument: usize) -> impl Iterator<Item = u32> + '_ {
        let apart = [PositionIndex::HedgeBuy, PositionIndex::HedgeSell];
        apart.into_iter().filter_map(move |index| self.ledger.find_slot(TAKEOVER, instrument, index))
    }

    /// What the deleveraging rule looks at.
    pub(crate) fn drawdown(&self, instrument: usize) -> Drawdown {
        let record = &self.insurance.contracts[instrument];
        let balance = self.pool_balance(instrument);
        let pool = &self.insurance.pools[usize::from(self.instruments[instrument].pool.0)];
        let unrealised: i128 = self
            .takeover_slots(instrument)
            .map(|slot| i128::from(self.ledger.slot(slot).margin.unrealised))
            .sum();
        Drawdown {
            balance,
            balance_peak: pool.with(balance),
            pnl: record.pnl,
            pnl_peak: record.peak.with(record.pnl),
            open_loss: (-unrealised).max(0),
        }
    }

    /// The rule of an instrument's pool.
    pub(crate) fn adl_rule(&self, instrument: usize) -> AdlSpec {
        self.pools[usize::from(self.instruments[instrument].pool.0)].spec.adl
    }

    /// What the pool may still lose in a contract.
    pub(crate) fn headroom(&self, instrument: usize) -> i128 {
        self.drawdown(instrument).headroom(&self.adl_rule(instrument))
    }

    /// Hands what the take-over account gained in an instrument to its insurance pool, or covers its loss from there. A
    /// loss beyond the pool stays on the take-over account's wallet and is covered by what the contract gains next.
    pub(crate) fn sweep_takeover(&mut self, instrument: usize) {
        let (settle, pool) = (self.instruments[instrument].settle, self.instruments[instrument].pool);
        let (own, purse) = (self.ledger.purse_for(TAKEOVER, settle), self.pool_purse(pool));
        let owed_in_coin = &mut self.insurance.owed[usize::from(settle.0)];
        let record = &mut self.insurance.contracts[instrument];
        let gained = self.ledger.purse(own).wallet + *owed_in_coin;
        let due = gained - record.owed;
        let change = due.max(-self.ledger.purse(purse).wallet);
        *owed_in_coin += change - due - record.owed;
        record.owed = change - due;
        record.pnl += change;
        if change == 0 {
            return;
        }
        self.ledger.credit(own, -change);
        self.ledger.credit(purse, change);
        let balance = self.wallet(purse);
        self.emit(EventKind::InsuranceFundChanged { pool, balance, change: Money(saturate(change)) });
    }

    /// Starts or stops deleveraging in a contract, as its drawdown says.
    pub(crate) fn watch_drawdown(&mut self, instrument: usize) {
        let pool = self.instruments[instrument].pool;
        let rule = self.adl_rule(instrument);
        let drawdown = self.drawdown(instrument);
        let is_on = self.insurance.contracts[instrument].is_deleveraging;
        let ratio = drawdown.ratio();
        let named = InstrumentId(u16::try_from(instrument).unwrap_or(u16::MAX));
        if !is_on && drawdown.is_triggered(&rule) {
            self.insurance.contracts[instrument].is_deleveraging = true;
            self.emit(EventKind::AdlStarted { pool, instrument: named, ratio });
        } else if is_on && drawdown.is_over(&rule) {
            self.insurance.contracts[instrument].is_deleveraging = false;
            self.emit(EventKind::AdlStopped { pool, instrument: named, ratio });
        }
    }
}
