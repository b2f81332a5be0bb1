//! A purse: one coin of one account, and what it adds to the account's figures in USD. Pure; no lookups.

use serde::{Deserialize, Serialize};

use crate::coin::Coin;
use crate::collateral::isolated_free;
use crate::fixed::{div_ceil, div_floor};
use crate::margin::MarginSum;
use crate::types::{CoinId, SCALE};

/// One coin of one account. Amounts are in units of the coin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Purse {
    /// Position of the account.
    pub account: u32,
    /// Next purse of the account; `NOBODY` after the last.
    pub next: u32,
    /// Coin.
    pub coin: CoinId,
    /// The account uses the coin as collateral.
    pub is_collateral: bool,
    /// Deposits, withdrawals, transfers and realised results; negative when the account owes.
    pub wallet: i128,
    /// Sums over the cross-margined slots that settle in the coin.
    pub margin: MarginSum,
    /// Margin assigned to isolated positions, part of the wallet.
    pub isolated: i128,
    /// Borrowed on purpose: it is in the wallet and owed.
    pub spot_borrow: i128,
    /// Held by spot orders, part of the wallet.
    pub locked: i128,
    /// The separate wallet that deposits and withdrawals use; no collateral.
    pub funding: i128,
    /// What it adds to the account's totals.
    pub worth: Worth,
}

/// Figures of an account across its coins, in `10^-8` USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    /// Margin balance: wallets less debts and with profit at the marks, after haircuts.
    pub balance: i128,
    /// Initial margin of positions, orders and debts.
    pub initial: i128,
    /// Maintenance margin of positions and debts.
    pub maintenance: i128,
    /// What orders would lose at the marks, and collateral that spot orders would lose, if they filled.
    pub at_risk: i128,
}

impl Worth {
    /// Adds `new` and takes `old` away.
    #[inline]
    pub fn replace(&mut self, old: &Self, new: &Self) {
        self.balance += new.balance - old.balance;
        self.initial += new.initial - old.initial;
        self.maintenance += new.maintenance - old.maintenance;
        self.at_risk += new.at_risk - old.at_risk;
    }

    /// What new orders may use; negative when the initial margin is not covered.
    #[inline]
    pub fn available(&self) -> i128 {
        self.balance - self.initial
    }
}

impl Purse {
    /// An empty purse.
    pub fn new(account: u32, next: u32, coin: CoinId) -> Self {
        Self {
            account,
            next,
            coin,
            is_collateral: true,
            wallet: 0,
            margin: MarginSum::default(),
            isolated: 0,
            spot_borrow: 0,
            locked: 0,
            funding: 0,
            worth: Worth::default(),
        }
    }

    /// Wallet less debt, with profit at the marks.
    #[inline]
    pub fn equity(&self) -> i128 {
        self.wallet - self.spot_borrow + self.margin.unrealised
    }

    /// What orders of an account in isolated margin may use of the coin.
    pub fn isolated_free(&self) -> i128 {
        isolated_free(self.wallet, self.isolated, self.margin.order_initial, self.locked, 0)
    }

    /// What it adds to the account's totals at a price of the coin, in `10^-8` USD.
    #[inline]
    pub fn worth_at(&self, coin: &Coin, price: i64) -> Worth {
        let margin = &self.margin;
        let worth = Worth {
            balance: self.equity() - self.isolated,
            initial: margin.position_initial + margin.order_initial,
            maintenance: margin.maintenance,
            at_risk: margin.order_loss,
        };
        if coin.is_par {
            return worth;
        }
        let (price, scale) = (i128::from(price), i128::from(SCALE));
        let requirement = |amount: i128| div_ceil(amount.saturating_mul(price), scale);
        Worth {
            balance: div_floor(self.counted(worth.balance, coin).saturating_mul(price), scale),
            initial: requirement(worth.initial),
            maintenance: requirement(worth.maintenance),
            at_risk: requirement(worth.at_risk),
        }
    }

    /// Part of an amount that counts as collateral; a debt counts whole.
    fn counted(&self, amount: i128, coin: &Coin) -> i128 {
        if amount <= 0 {
            return amount;
        }
        if !self.is_collateral || !coin.spec.is_collateral {
            return 0;
        }
        let (mut counted, mut below) = (0, 0);
        for tier in &coin.spec.collateral {
            let limit = i128::from(tier.limit.0);
            let held = amount.min(limit) - below;
            if held <= 0 {
                break;
            }
            counted += div_floor(held * i128::from(tier.ratio), i128::from(SCALE));
            below = limit;
        }
        counted
    }
}
