//! The lending pools' own state: suppliers' shares, strain, and how far interest and repayment rounds have come. A
//! store, no rules; cash lies in the lending account's purses, loans in `loan_book`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lending::Strain;
use crate::types::CoinId;

/// All pools.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LendingBook {
    pools: Vec<PoolState>,
    /// Shares by coin and position of the account.
    held: BTreeMap<(u16, u32), i128>,
    /// Last hour whose interest was charged.
    pub interest_hour: i64,
    /// Last round of automatic repayment.
    pub repayment_round: i64,
    /// Nobody owed anything at the end of the last command.
    pub is_idle: bool,
}

/// One pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PoolState {
    shares: i128,
    strain: Strain,
}

impl LendingBook {
    /// Pools for that many coins.
    pub fn new(coins: usize) -> Self {
        let idle = PoolState { shares: 0, strain: Strain::Calm };
        Self { pools: vec![idle; coins], interest_hour: -1, is_idle: true, ..Self::default() }
    }

    /// True when it could be the book of that many coins and accounts.
    pub fn is_sound(&self, coins: usize, accounts: usize) -> bool {
        let fits =
            |(coin, account): &(u16, u32)| usize::from(*coin) < coins && (*account as usize) < accounts;
        self.pools.len() == coins && self.held.keys().all(fits)
    }

    /// All shares of a coin's pool.
    pub fn shares(&self, coin: CoinId) -> i128 {
        self.pools[usize::from(coin.0)].shares
    }

    /// An account's shares.
    pub fn shares_of(&self, coin: CoinId, account: u32) -> i128 {
        self.held.get(&(coin.0, account)).copied().unwrap_or(0)
    }

    /// Adds to (or, negative, takes from) an account's shares.
    pub fn add_shares(&mut self, coin: CoinId, account: u32, change: i128) {
        self.pools[usize::from(coin.0)].shares += change;
        let held = self.held.entry((coin.0, account)).or_default();
        *held += change;
        if *held == 0 {
            self.held.remove(&(coin.0, account));
        }
    }

    /// Strain of a coin's pool as it was last found.
    pub fn strain(&self, coin: CoinId) -> Strain {
        self.pools[usize::from(coin.0)].strain
    }

    /// Notes the strain of a coin's pool.
    pub fn set_strain(&mut self, coin: CoinId, strain: Strain) {
        self.pools[usize::from(coin.0)].strain = strain;
    }

    /// Holdings as coin, position of the account, shares.
    pub fn holdings(&self) -> impl Iterator<Item = (CoinId, u32, i128)> + '_ {
        self.held.iter().map(|((coin, account), shares)| (CoinId(*coin), *account, *shares))
    }
}
