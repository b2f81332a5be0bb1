//! What an account is besides its money: level, main account, habits. A store, no rules but the level's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kyc::{AccountLevel, WithdrawalMeter};

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Profile {
    level: AccountLevel,
    auto_repay: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self { level: AccountLevel::Standard, auto_repay: false }
    }
}

/// Profiles of all accounts, by position. An account that was never told anything is a main account at the standard
/// level that repays by hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Profiles {
    told: BTreeMap<u32, Profile>,
    main_of: BTreeMap<u32, u32>,
    subs_of: BTreeMap<u32, Vec<u32>>,
    meters: BTreeMap<u32, WithdrawalMeter>,
}

impl Profiles {
    /// True when every sub-account stands under its main account, and both exist among that many.
    pub fn is_sound(&self, accounts: usize) -> bool {
        let within = |account: u32| (account as usize) < accounts;
        let pairs = self.subs_of.iter().flat_map(|(main, subs)| subs.iter().map(move |sub| (*sub, *main)));
        let mut pairs: Vec<(u32, u32)> = pairs.collect();
        pairs.sort_unstable();
        pairs.iter().all(|(sub, main)| within(*sub) && within(*main) && !self.main_of.contains_key(main))
            && pairs.into_iter().eq(self.main_of.iter().map(|(sub, main)| (*sub, *main)))
    }

    /// The main account of an account: itself, unless it is a sub-account.
    pub fn main(&self, account: u32) -> u32 {
        self.main_of.get(&account).copied().unwrap_or(account)
    }

    /// The account with everyone who shares its limits: main account first, then its sub-accounts.
    pub fn group(&self, account: u32) -> impl Iterator<Item = u32> + '_ {
        let main = self.main(account);
        std::iter::once(main).chain(self.subs_of.get(&main).into_iter().flatten().copied())
    }

    /// Puts an account under a main account.
    pub fn adopt(&mut self, main: u32, account: u32) {
        self.main_of.insert(account, main);
        self.subs_of.entry(main).or_default().push(account);
    }

    /// Level of an account: its main account's.
    #[inline]
    pub fn level(&self, account: u32) -> AccountLevel {
        if self.told.is_empty() {
            return Profile::default().level;
        }
        self.told.get(&self.main(account)).copied().unwrap_or_default().level
    }

    /// Sets the level of a main account.
    pub fn set_level(&mut self, account: u32, level: AccountLevel) {
        self.told.entry(account).or_default().level = level;
    }

    /// True when the account repays by selling other coins at every full and half hour.
    pub fn repays_itself(&self, account: u32) -> bool {
        self.told.get(&account).is_some_and(|profile| profile.auto_repay)
    }

    /// Switches automatic repayment.
    pub fn set_auto_repay(&mut self, account: u32, enabled: bool) {
        self.told.entry(account).or_default().auto_repay = enabled;
    }

    /// What may still be withdrawn at a market time, in USD.
    pub fn withdrawal_room(&self, account: u32, market_ms: i64) -> i128 {
        let meter = self.meters.get(&self.main(account)).copied().unwrap_or_default();
        meter.room(self.level(account), market_ms)
    }

    /// Counts a withdrawal worth that many USD.
    pub fn count_withdrawal(&mut self, account: u32, usd: i128, market_ms: i64) {
        self.meters.entry(self.main(account)).or_default().add(usd, market_ms);
    }

    /// Level, automatic repayment and the withdrawal meter as numbers for the state's digest; `None` for an account
    /// that was never told anything and never withdrew.
    pub fn parts(&self, account: u32) -> Option<[i128; 6]> {
        let (told, meter) = (self.told.get(&account), self.meters.get(&account));
        if told.is_none() && meter.is_none() {
            return None;
        }
        let profile = told.copied().unwrap_or_default();
        let [day, month, today, this_month] = meter.copied().unwrap_or_default().parts();
        let level = i128::from(profile.level.to_wire());
        Some([level, i128::from(profile.auto_repay), day, month, today, this_month])
    }
}
