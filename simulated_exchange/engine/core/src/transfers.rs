//! Money in, out and between wallets: deposits, withdrawals from the funding wallet within the account's level,
//! transfers between an account's wallets and within a main account's family. Rules 6 and 11.

use crate::borrowing::positive;
use crate::collateral::usd_ceil;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::saturate;
use crate::purse::Worth;
use crate::reject::Reject;
use crate::types::{
    AccountId, CoinId, MarginMode, Money, Wallet, WalletReason, FIRST_POOL_ACCOUNT, FIRST_USER_ACCOUNT,
    MONEY_MAX,
};

/// One end of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) wallet: Wallet,
}

impl Exchange {
    /// Puts money into a user's unified wallet, or into an insurance pool.
    pub(crate) fn deposit(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let target =
            match account.0.checked_sub(FIRST_POOL_ACCOUNT).and_then(|at| self.pools.get(at as usize)) {
                Some(pool) if account.0 < FIRST_USER_ACCOUNT && pool.coin == coin => {
                    self.ledger.find(account.0).ok_or(Reject::UnknownAccount)?
                }
                _ => self.verified(account)?,
            };
        let change = positive(amount)?;
        let held = self.ledger.find_purse(target, coin).map_or(0, |purse| self.ledger.purse(purse).wallet);
        if held + change > i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        let purse = self.ledger.purse_for(target, coin);
        self.ledger.totals[at].deposits += change;
        self.ledger.credit(purse, change);
        let balance = self.wallet(purse);
        self.emit(EventKind::Deposited { account, coin, amount, balance });
        self.emit_wallet(purse, change, WalletReason::Deposit);
        self.pay_back(purse, change);
        self.touch(target);
        Ok(())
    }

    /// Takes money out of a funding wallet, within the day's (and month's) limit of the account's level.
    pub(crate) fn withdraw(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let source = self.user(account)?;
        let at = self.known_coin(coin)?;
        let change = positive(amount)?;
        let purse = self.ledger.find_purse(source, coin).ok_or(Reject::WithdrawTooLarge)?;
        if change > self.ledger.purse(purse).extras().funding {
            return Err(Reject::WithdrawTooLarge);
        }
        let price = self.ledger.coin_price(coin);
        if price == 0 {
            return Err(Reject::MarketNotReady);
        }
        let usd = usd_ceil(change, price);
        if usd > self.profiles.withdrawal_room(source, self.market_ms) {
            return Err(Reject::WithdrawalLimit);
        }
        let totals = &mut self.ledger.totals[at];
        if change > totals.deposits - totals.withdrawals {
            return Err(Reject::CoinShort);
        }
        totals.withdrawals += change;
        self.ledger.credit_funding(purse, -change);
        self.profiles.count_withdrawal(source, usd, self.market_ms);
        let balance = Money(saturate(self.ledger.purse(purse).extras().funding));
        self.emit(EventKind::Withdrawn { account, coin, amount, balance });
        Ok(())
    }

    /// Moves money between two wallets of one family.
    pub(crate) fn transfer(
        &mut self,
        from: Place,
        to: Place,
        coin: CoinId,
        amount: Money,
    ) -> Result<(), Reject> {
        let (source, target) = (self.user(from.account)?, self.user(to.account)?);
        self.known_coin(coin)?;
        let moved = positive(amount)?;
        if from == to {
            return Err(Reject::SameWallet);
        }
        if self.profiles.main(source) != self.profiles.main(target) {
            return Err(Reject::AccountsUnrelated);
        }
        let out = self.ledger.find_purse(source, coin).ok_or(Reject::WithdrawTooLarge)?;
        let is_there = match from.wallet {
            Wallet::Funding => self.ledger.purse(out).extras().funding >= moved,
            Wallet::Unified => self.can_leave(out, moved),
        };
        if !is_there {
            return Err(Reject::WithdrawTooLarge);
        }
        let held = self.ledger.find_purse(target, coin).map_or((0, 0), |purse| {
            let held = self.ledger.purse(purse);
            (held.wallet, held.extras().funding)
        });
        let before = if to.wallet == Wallet::Unified { held.0 } else { held.1 };
        if before + moved > i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        let into = self.ledger.purse_for(target, coin);
        self.move_money(out, from.wallet, -moved);
        self.move_money(into, to.wallet, moved);
        self.emit(EventKind::Transferred {
            source: from.account,
            target: to.account,
            coin,
            amount,
            from_wallet: from.wallet,
            to_wallet: to.wallet,
        });
        for (purse, wallet, change) in [(out, from.wallet, -moved), (into, to.wallet, moved)] {
            if wallet == Wallet::Unified {
                self.emit_wallet(purse, change, WalletReason::Transfer);
                self.pay_back(purse, change);
                self.touch(self.ledger.purse(purse).account);
            }
        }
        Ok(())
    }

    fn move_money(&mut self, purse: u32, wallet: Wallet, change: i128) {
        match wallet {
            Wallet::Unified => self.ledger.credit(purse, change),
            Wallet::Funding => self.ledger.credit_funding(purse, change),
        }
    }

    /// True when an amount may leave a unified wallet: it is the account's own cash, and what is required stays covered
    /// without any profit that is not realised.
    pub(crate) fn can_leave(&self, purse: u32, amount: i128) -> bool {
        let source = self.ledger.purse(purse);
        if self.ledger.account(source.account).margin_mode == MarginMode::Isolated {
            return amount <= source.isolated_free();
        }
        if amount > source.spendable() {
            return false;
        }
        let mut worth = Worth::default();
        for place in self.ledger.purses_of(source.account) {
            let mut held = self.ledger.purse(place).clone();
            held.margin.unrealised = held.margin.unrealised.min(0);
            if place == purse {
                held.wallet -= amount;
            }
            let coin = &self.ledger.coins()[usize::from(held.coin.0)];
            let alone = held.worth_at(coin, self.ledger.coin_price(held.coin));
            worth.replace(&Worth::default(), &alone);
        }
        worth.available() >= 0
    }

    /// The most that may leave a unified wallet.
    pub(crate) fn transferable(&self, purse: u32) -> i128 {
        let (mut sure, mut beyond) = (0, self.ledger.purse(purse).spendable() + 1);
        while beyond - sure > 1 {
            let middle = sure + (beyond - sure) / 2;
            if self.can_leave(purse, middle) {
                sure = middle;
            } else {
                beyond = middle;
            }
        }
        sure
    }
}
