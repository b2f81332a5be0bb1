//! Who owes what of each coin: running totals that follow every change of a purse. A store, no rules.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::types::CoinId;

/// Loans of all coins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LoanBook {
    coins: Vec<CoinLoans>,
    /// Loans of all coins and accounts.
    count: usize,
    /// Purses whose loan changed in this command, with what was owed before; some of them more than once.
    changed: Vec<(u32, i128)>,
}

/// Loans of one coin.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct CoinLoans {
    /// Everything owed.
    total: i128,
    /// What of it was lent as cash.
    spot: i128,
    /// Positions of the accounts that owe.
    borrowers: BTreeSet<u32>,
}

impl LoanBook {
    /// A book for that many coins.
    pub fn new(coins: usize) -> Self {
        Self { coins: vec![CoinLoans::default(); coins], count: 0, changed: Vec::new() }
    }

    /// True when it could be the book of that many coins and purses.
    pub fn is_sound(&self, coins: usize, purses: usize) -> bool {
        self.coins.len() == coins && self.changed.iter().all(|(purse, _)| (*purse as usize) < purses)
    }

    /// Everything owed of a coin.
    pub fn total(&self, coin: CoinId) -> i128 {
        self.coins[usize::from(coin.0)].total
    }

    /// What was lent of a coin as cash.
    pub fn spot(&self, coin: CoinId) -> i128 {
        self.coins[usize::from(coin.0)].spot
    }

    /// Accounts that owe a coin, by position.
    pub fn borrowers(&self, coin: CoinId) -> &BTreeSet<u32> {
        &self.coins[usize::from(coin.0)].borrowers
    }

    /// True when nobody owes anything.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Replaces what an account owes of a coin.
    pub fn replace(&mut self, purse: u32, account: u32, coin: CoinId, before: i128, after: i128) {
        let loans = &mut self.coins[usize::from(coin.0)];
        loans.total += after - before;
        if before == 0 {
            loans.borrowers.insert(account);
            self.count += 1;
        } else if after == 0 {
            loans.borrowers.remove(&account);
            self.count -= 1;
        }
        if self.changed.last().is_none_or(|(last, _)| *last != purse) {
            self.changed.push((purse, before));
        }
    }

    /// Adds to what was lent of a coin as cash.
    pub fn lend_spot(&mut self, coin: CoinId, change: i128) {
        self.coins[usize::from(coin.0)].spot += change;
    }

    /// Purses whose loan changed since this was asked last, each once, with what was owed then.
    pub fn take_changed(&mut self) -> Vec<(u32, i128)> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_by_key(|(purse, _)| *purse);
        changed.dedup_by_key(|(purse, _)| *purse); // the first stays
        changed
    }

    /// True when a loan changed, if only for a moment, since [`LoanBook::take_changed`].
    #[inline]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }
}
