//! A purse: one coin of one account, and what it adds to the account's figures in USD. Pure; no lookups.

use serde::{Deserialize, Serialize};

use crate::coin::Coin;
use crate::collateral::{counted, isolated_free, rate, usd_ceil, usd_floor};
use crate::lending::{loan_margin, Borrowed};
use crate::margin::MarginSum;
use crate::types::CoinId;

/// One coin of one account. Amounts are in units of the coin. What orders change stands first, in the first of two cache
/// lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
pub struct Purse {
    /// Sums over the cross-margined slots that settle in the coin.
    pub margin: MarginSum,
    /// Deposits, withdrawals, transfers and realised results; negative when the account owes.
    pub wallet: i128,
    extras: Option<Box<PurseExtras>>,
    /// Position of the account.
    pub account: u32,
    /// Next purse of the account; `NOBODY` after the last.
    pub next: u32,
    /// Coin.
    pub coin: CoinId,
    /// The account uses the coin as collateral.
    pub is_collateral: bool,
    /// It belongs to a user: falling below nothing is borrowing. The venue's own accounts owe nobody.
    pub can_borrow: bool,
    /// It owed something when that was told last.
    pub was_owing: bool,
}

/// What few purses have: all but those of a coin worth one USD in which nothing was ever held back or owed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PurseExtras {
    /// Margin assigned to isolated positions, part of the wallet.
    pub isolated: i128,
    /// Borrowed on purpose: it is in the wallet and owed.
    pub spot_borrow: i128,
    /// Held by spot orders, part of the wallet.
    pub locked: i128,
    /// Collateral value that spot orders paid in the coin, or for it, would lose if they filled.
    pub haircut: i128,
    /// The separate wallet that deposits and withdrawals use; no collateral.
    pub funding: i128,
    /// What it owes, and what of that by falling below nothing; kept up to date with `worth`.
    pub borrowed: i128,
    /// What it adds to the account's totals.
    worth: Worth,
}

static NO_EXTRAS: PurseExtras = PurseExtras {
    isolated: 0,
    spot_borrow: 0,
    locked: 0,
    haircut: 0,
    funding: 0,
    borrowed: 0,
    worth: Worth { initial: 0, balance: 0, haircut: 0, order_loss: 0, maintenance: 0 },
};

/// Figures of an account across its coins, in `10^-8` USD. What orders need stands first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Worth {
    /// Initial margin of positions, orders and debts.
    pub initial: i128,
    /// Margin balance: wallets less debts and with profit at the marks, after haircuts.
    pub balance: i128,
    /// Collateral value that spot orders would lose if they filled.
    pub haircut: i128,
    /// What orders would lose at the marks if they filled.
    pub order_loss: i128,
    /// Maintenance margin of positions and debts.
    pub maintenance: i128,
}

impl Worth {
    /// Adds `new` and takes `old` away.
    #[inline]
    pub fn replace(&mut self, old: &Self, new: &Self) {
        self.balance += new.balance - old.balance;
        self.initial += new.initial - old.initial;
        self.maintenance += new.maintenance - old.maintenance;
        self.haircut += new.haircut - old.haircut;
        self.order_loss += new.order_loss - old.order_loss;
    }

    /// What new orders, withdrawals and loans may use; negative when the initial margin is not covered.
    #[inline]
    pub fn available(&self) -> i128 {
        self.balance - self.haircut - self.initial
    }

    /// What the account rates divide by.
    #[inline]
    pub fn denominator(&self) -> i128 {
        self.balance - self.haircut - self.order_loss
    }

    /// True when something must be maintained and the balance does not cover it.
    #[inline]
    pub fn is_breached(&self) -> bool {
        self.maintenance > 0 && self.maintenance >= self.denominator()
    }

    /// The same if orders would lose so much more.
    #[inline]
    pub fn is_breached_by(&self, more_loss: i64) -> bool {
        self.maintenance > 0 && self.maintenance >= self.denominator() - i128::from(more_loss)
    }

    /// Initial margin per margin balance, in `10^-8`.
    pub fn initial_rate(&self) -> i64 {
        rate(self.initial, self.denominator())
    }

    /// Maintenance margin per margin balance, in `10^-8`; one whole and more is a breach.
    pub fn maintenance_rate(&self) -> i64 {
        rate(self.maintenance, self.denominator())
    }
}

impl Purse {
    /// An empty purse.
    pub fn new(account: u32, next: u32, coin: CoinId, can_borrow: bool) -> Self {
        Self {
            account,
            next,
            coin,
            is_collateral: true,
            can_borrow,
            was_owing: false,
            wallet: 0,
            margin: MarginSum::default(),
            extras: None,
        }
    }

    /// What few purses have.
    #[inline]
    pub fn extras(&self) -> &PurseExtras {
        self.extras.as_deref().unwrap_or(&NO_EXTRAS)
    }

    /// The same, to change.
    pub fn extras_mut(&mut self) -> &mut PurseExtras {
        if self.extras.is_none() {
            let worth = self.worth();
            self.extras = Some(Box::new(PurseExtras { worth, ..NO_EXTRAS }));
        }
        self.extras.get_or_insert_with(|| Box::new(NO_EXTRAS))
    }

    /// What it adds to the account's totals.
    #[inline]
    pub fn worth(&self) -> Worth {
        self.extras.as_ref().map_or_else(|| self.amounts(), |extras| extras.worth)
    }

    /// Values it anew; returns what it owed before, if it owes something else now.
    pub fn revalue(&mut self, coin: &Coin, price: i64) -> Option<i128> {
        let (owed, worth) = (self.owed().total(), self.worth_at(coin, price));
        if self.extras.is_none() && coin.is_par && owed == 0 {
            return None;
        }
        let extras = self.extras_mut();
        extras.worth = worth;
        let before = std::mem::replace(&mut extras.borrowed, owed);
        (before != owed).then_some(before)
    }

    /// Adds to what it adds to the account's totals, in a coin worth one USD, after its amounts changed alike.
    #[inline]
    pub fn add_worth(&mut self, change: impl Fn(&mut Worth)) {
        if let Some(extras) = &mut self.extras {
            change(&mut extras.worth);
        }
    }

    /// Wallet less debt, with profit at the marks.
    #[inline]
    pub fn equity(&self) -> i128 {
        self.wallet - self.extras().spot_borrow + self.margin.unrealised
    }

    /// What orders of an account in isolated margin may use of the coin.
    pub fn isolated_free(&self) -> i128 {
        isolated_free(self.wallet, self.extras().isolated, self.margin.order_initial, self.extras().locked, 0)
    }

    /// What it owes. Isolated margin and what spot orders hold is not there to pay with.
    #[inline]
    pub fn owed(&self) -> Borrowed {
        let free = self.wallet - self.extras().isolated;
        if !self.can_borrow {
            return Borrowed::default();
        }
        Borrowed::of(free, self.margin.unrealised, self.extras().locked, self.extras().spot_borrow)
    }

    /// Cash of its own that nothing holds: neither orders nor isolated positions, loans nor losses at the marks.
    pub fn spendable(&self) -> i128 {
        let cash = self.wallet - self.extras().spot_borrow - self.extras().locked - self.extras().isolated;
        (cash + self.margin.unrealised.min(0)).max(0)
    }

    /// What of a cash loan its own cash could pay back that nothing else needs.
    pub fn repayable(&self) -> i128 {
        self.extras().spot_borrow.min(self.cash()).max(0)
    }

    /// What its wallet is overdrawn by without being owed, because profit at the marks covers it.
    pub fn hole(&self) -> i128 {
        (-self.cash()).max(0) - self.owed().derivatives
    }

    fn cash(&self) -> i128 {
        self.wallet - self.extras().isolated - self.extras().locked + self.margin.unrealised.min(0)
    }

    /// What it adds to the account's totals, in units of the coin and as if nothing was owed.
    #[inline]
    fn amounts(&self) -> Worth {
        let margin = &self.margin;
        Worth {
            balance: self.equity() - self.extras().isolated,
            initial: margin.position_initial + margin.order_initial,
            maintenance: margin.maintenance,
            haircut: self.extras().haircut,
            order_loss: margin.order_loss,
        }
    }

    /// What it adds to the account's totals at a price of the coin, in `10^-8` USD.
    #[inline]
    pub fn worth_at(&self, coin: &Coin, price: i64) -> Worth {
        let worth = self.amounts();
        let owed = self.owed().total();
        if coin.is_par && owed == 0 {
            return worth;
        }
        self.worth_of(&worth, owed, coin, price)
    }

    /// The same of a coin that moves, or of one that is owed.
    fn worth_of(&self, amounts: &Worth, owed: i128, coin: &Coin, price: i64) -> Worth {
        let counts = self.is_collateral && coin.spec.is_collateral;
        let brackets = coin.spec.collateral.iter().map(|tier| (tier.limit.0, tier.ratio));
        let balance = match amounts.balance > 0 {
            true if coin.is_par => amounts.balance,
            true if counts => counted(amounts.balance, brackets),
            true => 0,
            false => amounts.balance,
        };
        let (loan_initial, loan_maintenance) = loan_margin(&coin.spec.borrow, owed, usd_ceil(owed, price));
        Worth {
            balance: usd_floor(balance, price),
            initial: usd_ceil(amounts.initial, price) + loan_initial,
            maintenance: usd_ceil(amounts.maintenance, price) + loan_maintenance,
            haircut: usd_ceil(amounts.haircut, price),
            order_loss: usd_ceil(amounts.order_loss, price),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SCALE;

    const ONE: i128 = SCALE as i128;

    #[test]
    fn uta_3_account_rates() {
        // 10,000 USDT less 500 unrealised, and 1 BTC of 100,000 at 98 %
        let btc = usd_floor(counted(ONE, [(10 * SCALE, 98_000_000)]), 100_000 * SCALE);
        let worth = Worth {
            balance: 9_500 * ONE + btc,
            initial: 502_475 * ONE / 100,
            maintenance: 28_475 * ONE / 100,
            ..Worth::default()
        };
        assert_eq!(worth.balance, 107_500 * ONE);
        assert_eq!((worth.initial_rate(), worth.maintenance_rate()), (4_674_186, 264_884));
        assert_eq!(worth.available(), 10_247_525 * ONE / 100);
    }

    #[test]
    fn uta_5_liquidation_trigger() {
        let worth = Worth { balance: 400 * ONE, maintenance: 500 * ONE, ..Worth::default() };
        assert_eq!((worth.maintenance_rate(), worth.is_breached()), (125_000_000, true));
        let even = Worth { balance: 500 * ONE, ..worth };
        assert_eq!((even.maintenance_rate(), even.is_breached()), (SCALE, true));
    }

    #[test]
    fn haircut_and_order_loss_shrink_the_balance() {
        let worth = Worth {
            balance: 100 * ONE,
            haircut: 10 * ONE,
            order_loss: 40 * ONE,
            initial: 25 * ONE,
            maintenance: 50 * ONE,
        };
        assert_eq!((worth.available(), worth.denominator()), (65 * ONE, 50 * ONE));
        assert!(worth.is_breached());
    }
}
