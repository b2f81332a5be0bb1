//! Lending to the pools: supplying out of the funding wallet, redeeming into it. The formulas stand in `lending`.

use crate::borrowing::positive;
use crate::event::EventKind;
use crate::exchange::{Exchange, LENDING};
use crate::fixed::saturate;
use crate::reject::Reject;
use crate::types::{AccountId, CoinId, Money, MONEY_MAX};

/// Most that a pool may own.
const POOL_MAX: i128 = 10 * MONEY_MAX as i128;

impl Exchange {
    /// Lends to a coin's pool.
    pub(crate) fn supply(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let owner = self.verified(account)?;
        self.known_coin(coin)?;
        let paid = positive(amount)?;
        if self.lending_of(coin).is_none() {
            return Err(Reject::CoinNotLent);
        }
        let purse = self.ledger.find_purse(owner, coin).ok_or(Reject::WithdrawTooLarge)?;
        if self.ledger.purse(purse).extras().funding < paid {
            return Err(Reject::WithdrawTooLarge);
        }
        let books = self.pool_books(coin);
        let shares = books.fair_shares_for(paid).ok_or(Reject::AmountInvalid)?;
        if books.assets() + paid > POOL_MAX {
            return Err(Reject::AmountInvalid);
        }
        self.ledger.credit_funding(purse, -paid);
        let pool = self.lending_purse(coin);
        self.ledger.credit(pool, paid);
        self.lending.add_shares(coin, owner, shares);
        let supplied = self.supplied(owner, coin);
        self.emit(EventKind::Supplied { account, coin, amount, supplied });
        self.emit_pool(coin);
        Ok(())
    }

    /// Takes back what was lent to a coin's pool.
    pub(crate) fn redeem(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let owner = self.user(account)?;
        self.known_coin(coin)?;
        if !(0..=MONEY_MAX).contains(&amount.0) {
            return Err(Reject::AmountInvalid);
        }
        let (books, held) = (self.pool_books(coin), self.lending.shares_of(coin, owner));
        let wanted = if amount.0 == 0 { books.worth(held) } else { i128::from(amount.0) };
        let shares = books.shares_of(wanted, held).filter(|_| wanted > 0).ok_or(Reject::WithdrawTooLarge)?;
        if wanted > books.redeemable() {
            return Err(Reject::PoolShort);
        }
        let purse = self.ledger.purse_for(owner, coin);
        let pool = self.lending_purse(coin);
        self.ledger.credit(pool, -wanted);
        self.ledger.credit_funding(purse, wanted);
        self.lending.add_shares(coin, owner, -shares);
        let supplied = self.supplied(owner, coin);
        self.emit(EventKind::Redeemed { account, coin, amount: Money(saturate(wanted)), supplied });
        self.emit_pool(coin);
        Ok(())
    }

    /// What an account's shares in a coin's pool are worth.
    pub(crate) fn supplied(&self, account: u32, coin: CoinId) -> Money {
        Money(saturate(self.pool_books(coin).worth(self.lending.shares_of(coin, account))))
    }

    /// Fills the pools with what the venue itself supplies at the start.
    pub(crate) fn open_pools(&mut self) {
        for coin in self.coin_ids() {
            let supplied = self.lending_of(coin).map_or(0, |lending| i128::from(lending.supplied.0));
            if supplied > 0 {
                let purse = self.lending_purse(coin);
                self.ledger.credit(purse, supplied);
                self.ledger.totals[usize::from(coin.0)].deposits += supplied;
                self.lending.add_shares(coin, LENDING, supplied);
            }
        }
    }
}
