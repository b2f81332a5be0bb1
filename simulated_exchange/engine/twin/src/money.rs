//! Money in, out and between wallets; who an account is: rules 6 and 11.
//!
//! - What leaves a unified wallet must be cash of the account's own that nothing needs, and what is required must stay covered
//!   with every coin's unrealised profit left out and its unrealised loss counted. In isolated margin: what is free.
//! - A withdrawal leaves the funding wallet, within what the level allows in a day and month of UTC, by its worth rounded up.
//! - Where an amount comes in, it pays back a cash loan of its coin at once, no more than came in.
//! - Sub-accounts share level and limits of their main account; habits are everybody's own.

use exchange_core::{
    AccountAction, AccountId, AccountLevel, CoinId, EventKind, Money, Reject, Wallet, WalletReason,
    ACCOUNT_ID_MAX, FIRST_POOL_ACCOUNT, FIRST_USER_ACCOUNT, MONEY_MAX,
};

use crate::borrowing::positive;
use crate::rounding::shown;
use crate::state::{Profile, State, FIRST_POOL};

const DAY_MS: i64 = 86_400_000;

/// What was withdrawn in a day and in a month.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Day, counted from 1970-01-01.
    pub day: i64,
    /// Month, counted from January of year 0.
    pub month: i64,
    /// In that day, in USD.
    pub today: i128,
    /// In that month, in USD.
    pub this_month: i128,
}

impl Meter {
    /// As it stands at a market time.
    fn at(self, now: i64) -> Self {
        let day = now.div_euclid(DAY_MS);
        let month = month_of(day);
        Self {
            day,
            month,
            today: if day == self.day { self.today } else { 0 },
            this_month: if month == self.month { self.this_month } else { 0 },
        }
    }
}

/// Month of a day, by counting years and months from 1970 on; whole cycles of 400 years are skipped.
fn month_of(day: i64) -> i64 {
    let (mut year, mut left) = (1970 + 400 * day.div_euclid(146_097), day.rem_euclid(146_097));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while left >= 365 + i64::from(is_leap(year)) {
        left -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    year * 12 + month
}

impl State {
    /// A command about an account's money or standing.
    pub fn perform_account(&mut self, action: AccountAction) -> Result<(), Reject> {
        match action {
            AccountAction::CreateSubAccount { account, main } => self.create_sub_account(account, main),
            AccountAction::Borrow { account, coin, amount } => self.borrow(account, coin, amount),
            AccountAction::Repay { account, coin, amount, convert } => {
                self.repay(account, coin, amount, convert)
            }
            AccountAction::Supply { account, coin, amount } => self.supply(account, coin, amount),
            AccountAction::Redeem { account, coin, amount } => self.redeem(account, coin, amount),
            AccountAction::Transfer { from, to, coin, amount, from_wallet, to_wallet } => {
                self.transfer((from, from_wallet), (to, to_wallet), coin, amount)
            }
            AccountAction::SetCollateral { account, coin, enabled } => {
                self.set_collateral(account, coin, enabled)
            }
            AccountAction::SetVenueCollateral { coin, enabled } => self.set_venue_collateral(coin, enabled),
            AccountAction::SetAutoRepay { account, enabled } => self.set_auto_repay(account, enabled),
            AccountAction::SetAccountLevel { account, level } => self.set_account_level(account, level),
            #[allow(unreachable_patterns)] // what is added to the vocabulary first
            other => panic!("not modelled: {other:?}"),
        }
    }

    /// The main account of an account: itself, unless it is a sub-account.
    pub fn main_of(&self, account: usize) -> usize {
        self.accounts[account].main.unwrap_or(account)
    }

    /// Level of an account: its main account's.
    pub fn level_of(&self, account: usize) -> AccountLevel {
        self.accounts[self.main_of(account)].profile.map_or(AccountLevel::Standard, |profile| profile.level)
    }

    /// Place of a user's account whose level opens the venue's products.
    pub fn verified(&self, account: AccountId) -> Result<usize, Reject> {
        let owner = self.user(account)?;
        if self.level_of(owner) == AccountLevel::Unverified {
            return Err(Reject::AccountNotVerified);
        }
        Ok(owner)
    }

    /// Opens a user's account.
    pub fn create_account(&mut self, account: AccountId) -> Result<(), Reject> {
        if account.0 < FIRST_USER_ACCOUNT {
            return Err(Reject::AccountReserved);
        }
        if self.place_of(account.0).is_some() {
            return Err(Reject::AccountExists);
        }
        if account.0 > ACCOUNT_ID_MAX {
            return Err(Reject::AccountReserved);
        }
        self.open(account.0);
        self.emit(EventKind::AccountCreated { account });
        Ok(())
    }

    fn create_sub_account(&mut self, account: AccountId, main: AccountId) -> Result<(), Reject> {
        let parent = self.user(main)?;
        if self.main_of(parent) != parent {
            return Err(Reject::IsSubAccount);
        }
        self.create_account(account)?;
        self.accounts.last_mut().expect("just opened").main = Some(parent);
        self.emit(EventKind::SubAccountCreated { account, main });
        Ok(())
    }

    fn set_account_level(&mut self, account: AccountId, level: AccountLevel) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.main_of(owner) != owner {
            return Err(Reject::IsSubAccount);
        }
        if self.level_of(owner) == level {
            return Err(Reject::SettingUnchanged);
        }
        self.accounts[owner].profile.get_or_insert(Profile::USUAL).level = level;
        self.emit(EventKind::AccountLevelChanged { account, level });
        Ok(())
    }

    fn set_auto_repay(&mut self, account: AccountId, enabled: bool) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.accounts[owner].profile.is_some_and(|profile| profile.auto_repay) == enabled {
            return Err(Reject::SettingUnchanged);
        }
        self.accounts[owner].profile.get_or_insert(Profile::USUAL).auto_repay = enabled;
        self.emit(EventKind::AutoRepayChanged { account, enabled });
        Ok(())
    }

    fn set_collateral(&mut self, account: AccountId, coin: CoinId, enabled: bool) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let at = self.known_coin(coin)?;
        if !self.coins[at].can_switch {
            return Err(Reject::CollateralFixed);
        }
        if self.purse(owner, coin).is_collateral == enabled {
            return Err(Reject::SettingUnchanged);
        }
        self.purse_mut(owner, coin).is_collateral = enabled;
        if !enabled && self.figures(owner).available() < 0 {
            return Err(Reject::InsufficientBalance);
        }
        self.emit(EventKind::CollateralChanged { account, coin, enabled });
        Ok(())
    }

    fn set_venue_collateral(&mut self, coin: CoinId, enabled: bool) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        if !self.coins[at].can_switch {
            return Err(Reject::CollateralFixed);
        }
        if self.venue_collateral[at] == enabled {
            return Err(Reject::SettingUnchanged);
        }
        self.venue_collateral[at] = enabled;
        self.emit(EventKind::CollateralChanged { account: AccountId(0), coin, enabled });
        Ok(())
    }

    /// Money comes in: to a user's unified wallet, or to a pool in the pool's coin.
    pub fn deposit(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let pool = account.0.checked_sub(FIRST_POOL_ACCOUNT).map(|pool| pool as usize);
        let target = match pool {
            Some(pool) if self.pools.get(pool) == Some(&coin) => FIRST_POOL + pool,
            _ => self.verified(account)?,
        };
        let change = positive(amount)?;
        if self.purse(target, coin).wallet + change > i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        self.moved[at].0 += change;
        let balance = Money(shown(self.purse(target, coin).wallet + change));
        self.emit(EventKind::Deposited { account, coin, amount, balance });
        self.credit(target, coin, change, WalletReason::Deposit);
        self.pay_back(target, coin, change);
        Ok(())
    }

    /// Money goes out of the funding wallet.
    pub fn withdraw(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let source = self.user(account)?;
        let at = self.known_coin(coin)?;
        let change = positive(amount)?;
        if change > self.purse(source, coin).funding {
            return Err(Reject::WithdrawTooLarge);
        }
        if self.coin_prices[at] == 0 {
            return Err(Reject::MarketNotReady);
        }
        let (usd, main) = (self.in_usd(coin, change), self.main_of(source));
        let mut meter = self.accounts[main].meter.unwrap_or_default().at(self.now);
        meter.today += usd;
        meter.this_month += usd;
        let level = self.level_of(source);
        let is_within = meter.today <= level.daily_limit();
        if !is_within || level.monthly_limit().is_some_and(|limit| meter.this_month > limit) {
            return Err(Reject::WithdrawalLimit);
        }
        let (deposits, withdrawals) = self.moved[at];
        if withdrawals + change > deposits {
            return Err(Reject::CoinShort);
        }
        self.moved[at].1 += change;
        self.purse_mut(source, coin).funding -= change;
        self.accounts[main].meter = Some(meter);
        let balance = Money(shown(self.purse(source, coin).funding));
        self.emit(EventKind::Withdrawn { account, coin, amount, balance });
        Ok(())
    }

    fn transfer(
        &mut self,
        (from, from_wallet): (AccountId, Wallet),
        (to, to_wallet): (AccountId, Wallet),
        coin: CoinId,
        amount: Money,
    ) -> Result<(), Reject> {
        let (source, target) = (self.user(from)?, self.user(to)?);
        self.known_coin(coin)?;
        let moved = positive(amount)?;
        if source == target && from_wallet == to_wallet {
            return Err(Reject::SameWallet);
        }
        if self.main_of(source) != self.main_of(target) {
            return Err(Reject::AccountsUnrelated);
        }
        let is_there = match from_wallet {
            Wallet::Funding => self.purse(source, coin).funding >= moved,
            Wallet::Unified => self.can_leave(source, coin, moved),
        };
        if !is_there {
            return Err(Reject::WithdrawTooLarge);
        }
        let there = self.purse(target, coin);
        let before = if to_wallet == Wallet::Unified { there.wallet } else { there.funding };
        if before + moved > i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        let ends = [(source, from_wallet, -moved), (target, to_wallet, moved)];
        for (account, wallet, change) in ends {
            let purse = self.purse_mut(account, coin);
            match wallet {
                Wallet::Unified => purse.wallet += change,
                Wallet::Funding => purse.funding += change,
            }
        }
        self.emit(EventKind::Transferred { source: from, target: to, coin, amount, from_wallet, to_wallet });
        for (account, wallet, change) in ends {
            if wallet == Wallet::Unified {
                self.tell_wallet(account, coin, change, WalletReason::Transfer);
                self.pay_back(account, coin, change);
            }
        }
        Ok(())
    }

    fn can_leave(&self, account: usize, coin: CoinId, amount: i128) -> bool {
        if self.is_isolated(account) {
            return amount <= self.isolated_free(account, coin);
        }
        let mut after = self.clone();
        after.purse_mut(account, coin).wallet -= amount;
        amount <= self.spendable(account, coin) && after.figures_without_profit(account).available() >= 0
    }
}
