//! Accounts: what they are worth and need. Rules 6.
//!
//! Roundings: what a coin adds to the margin balance rounds down, requirements round up, coin by coin. What counts as
//! collateral is the sum over the brackets, rounded down once. A coin that is always worth one USD and counts whole (*par*) is
//! not bracketed. A loan needs a part of its worth (rounded up), rounded up, by the tier of all that is owed of the coin; a
//! coin without tiers all of it.

use exchange_core::{
    AccountId, BorrowTier, CoinId, CoinPrice, EventKind, InstrumentId, Money, Price, Reject, WalletReason,
    FIRST_USER_ACCOUNT, MONEY_MAX, SCALE,
};

use crate::contract::ONE;
use crate::margin::{Exposure, Margin, Opening};
use crate::rounding::{ceil, floor, shown};
use crate::state::{Key, State};

/// An account's figures in USD.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Margin balance.
    pub balance: i128,
    /// Initial margin.
    pub initial: i128,
    /// Maintenance margin.
    pub maintenance: i128,
    /// Collateral that spot orders would lose.
    pub haircut: i128,
    /// Order loss.
    pub order_loss: i128,
}

impl Figures {
    /// What new orders may use.
    pub fn available(&self) -> i128 {
        self.balance - self.haircut - self.initial
    }
}

impl State {
    /// A position with its orders.
    pub fn exposure(&self, key: Key) -> Exposure {
        let slot = self.slot(key);
        let openings = self.orders_of(key).into_iter().filter(|order| !order.reduce_only);
        let orders =
            openings.map(|order| Opening { side: order.side, qty: order.leaves, price: order.price });
        Exposure {
            qty: slot.qty,
            cost: slot.cost,
            leverage: slot.leverage,
            mark: self.markets[key.instrument].mark,
            orders: orders.collect(),
            is_isolated: self.is_isolated(key.account),
        }
    }

    /// Margin of a position with its orders.
    pub fn margin(&self, key: Key) -> Margin {
        if self.contracts[key.instrument].is_spot() {
            return Margin::default();
        }
        self.exposure(key).margin(&self.contracts[key.instrument])
    }

    /// Margins of an account's positions that settle in a coin, added up. Isolated positions stand for themselves: only
    /// their orders count.
    pub fn margin_in(&self, account: usize, coin: CoinId) -> Margin {
        let mut sum = Margin::default();
        for key in self.slots_of(account) {
            if self.contracts[key.instrument].settle == coin {
                let mut margin = self.margin(key);
                if self.is_isolated(account) {
                    let Margin { order_initial, order_loss, .. } = margin;
                    margin = Margin { order_initial, order_loss, ..Margin::default() };
                }
                sum.unrealised += margin.unrealised;
                sum.position_initial += margin.position_initial;
                sum.order_initial += margin.order_initial;
                sum.maintenance += margin.maintenance;
                sum.order_loss += margin.order_loss;
            }
        }
        sum
    }

    /// Wallet with profit at the marks, in the coin.
    pub fn equity(&self, account: usize, coin: CoinId) -> i128 {
        let purse = self.purse(account, coin);
        purse.wallet - purse.spot_borrow + self.margin_in(account, coin).unrealised
    }

    /// What an account is worth and needs, all coins together.
    pub fn figures(&self, account: usize) -> Figures {
        self.figures_with(account, |unrealised| unrealised)
    }

    /// The same with no coin's unrealised profit.
    pub fn figures_without_profit(&self, account: usize) -> Figures {
        self.figures_with(account, |unrealised| unrealised.min(0))
    }

    fn figures_with(&self, account: usize, counts: impl Fn(i128) -> i128) -> Figures {
        let mut figures = Figures::default();
        for coin in self.coin_ids() {
            let margin = self.margin_in(account, coin);
            let price = self.coin_prices[usize::from(coin.0)];
            let left_out = margin.unrealised - counts(margin.unrealised);
            let equity = self.equity(account, coin) - left_out - self.assigned(account, coin);
            let counted = self.counted(account, coin, equity);
            let (loan_initial, loan_maintenance) = self.loan_margin(account, coin, left_out);
            figures.balance += floor(counted * price, ONE);
            figures.initial +=
                self.in_usd(coin, margin.position_initial + margin.order_initial) + loan_initial;
            figures.maintenance += self.in_usd(coin, margin.maintenance) + loan_maintenance;
            figures.order_loss += self.in_usd(coin, margin.order_loss);
            figures.haircut += self.in_usd(coin, self.haircut_in(account, coin));
        }
        figures
    }

    /// Initial and maintenance margin of what is owed of a coin, when some profit does not count or so much is held besides.
    pub fn loan_margin(&self, account: usize, coin: CoinId, left_out: i128) -> (i128, i128) {
        let listed = &self.coins[usize::from(coin.0)];
        let owed = self.owed_without(account, coin, left_out).total();
        let fits = |tier: &&BorrowTier| owed <= i128::from(tier.limit.0);
        let tier = listed.borrow.iter().find(fits).or(listed.borrow.last());
        let (initial, maintenance) =
            tier.map_or((SCALE, SCALE), |tier| (tier.initial_rate, tier.maintenance_rate));
        let part = |rate: i64| ceil(self.in_usd(coin, owed) * i128::from(rate), ONE);
        (part(initial), part(maintenance))
    }

    /// What of an amount counts as collateral. A debt counts whole.
    fn counted(&self, account: usize, coin: CoinId, amount: i128) -> i128 {
        let listed = &self.coins[usize::from(coin.0)];
        if amount <= 0 || self.is_par(coin) {
            return amount;
        }
        if !self.venue_collateral[usize::from(coin.0)] || !self.purse(account, coin).is_collateral {
            return 0;
        }
        let (mut counted, mut below) = (0, 0);
        for tier in &listed.collateral {
            let limit = i128::from(tier.limit.0);
            counted += (amount.clamp(below, limit) - below) * i128::from(tier.ratio);
            below = limit;
        }
        floor(counted, ONE)
    }

    /// One USD, always, and all of it counts.
    pub fn is_par(&self, coin: CoinId) -> bool {
        let listed = &self.coins[usize::from(coin.0)];
        let whole =
            matches!(listed.collateral.as_slice(), [all] if all.limit.0 == i64::MAX && all.ratio == SCALE);
        let fixed = listed.price == CoinPrice::Fixed(Price(SCALE));
        fixed && whole && listed.is_collateral && !listed.can_switch
    }

    /// Worth of an amount of a coin in USD, rounded up.
    pub fn in_usd(&self, coin: CoinId, amount: i128) -> i128 {
        ceil(amount * self.coin_prices[usize::from(coin.0)], ONE)
    }

    /// True when the maintenance margin is no longer covered: it has reached the margin balance less haircut and order
    /// loss.
    pub fn is_breached(&self, account: usize) -> bool {
        let figures = self.figures(account);
        let covered = figures.balance - figures.haircut - figures.order_loss;
        figures.maintenance > 0 && figures.maintenance >= covered
    }

    /// Moves money into a wallet, or out of it.
    pub fn credit(&mut self, account: usize, coin: CoinId, change: i128, reason: WalletReason) {
        self.purse_mut(account, coin).wallet += change;
        self.tell_wallet(account, coin, change, reason);
    }

    /// Tells that a wallet has changed, if it has.
    pub fn tell_wallet(&mut self, account: usize, coin: CoinId, change: i128, reason: WalletReason) {
        if change != 0 {
            let balance = Money(shown(self.purse(account, coin).wallet));
            let (account, change) = (AccountId(self.accounts[account].id), Money(shown(change)));
            self.emit(EventKind::WalletChanged { account, coin, balance, change, reason });
        }
    }

    /// Place of a user's account.
    pub fn user(&self, account: AccountId) -> Result<usize, Reject> {
        if account.0 < FIRST_USER_ACCOUNT {
            return Err(Reject::AccountReserved);
        }
        self.place_of(account.0).ok_or(Reject::UnknownAccount)
    }

    /// An instrument that exists.
    pub fn listed(&self, instrument: InstrumentId) -> Result<usize, Reject> {
        let at = usize::from(instrument.0);
        if at < self.contracts.len() {
            Ok(at)
        } else {
            Err(Reject::UnknownInstrument)
        }
    }

    /// A coin that exists.
    pub fn known_coin(&self, coin: CoinId) -> Result<usize, Reject> {
        let at = usize::from(coin.0);
        if at < self.coins.len() {
            Ok(at)
        } else {
            Err(Reject::UnknownCoin)
        }
    }

    /// A coin's price in USD is reported.
    pub fn set_coin_price(&mut self, coin: CoinId, price: Price) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let is_reported = matches!(self.coins[at].price, CoinPrice::Reported(_));
        if !is_reported || price.0 < 1 || price.0 > MONEY_MAX {
            return Err(Reject::CoinPriceInvalid);
        }
        self.move_coin_price(coin, i128::from(price.0));
        self.reprice_quoted_in(coin);
        Ok(())
    }
}
