//! Accounts: what they are worth and owe, and the commands that open them and move their money. Rules 6.
//!
//! Roundings: what a coin adds to the margin balance rounds down, requirements round up, coin by coin. Each collateral
//! bracket rounds down on its own. A coin that is always worth one USD and counts whole (*par*) is not bracketed.

use exchange_core::{
    AccountId, CoinId, CoinPrice, EventKind, InstrumentId, Money, Price, Reject, WalletReason,
    ACCOUNT_ID_MAX, FIRST_POOL_ACCOUNT, FIRST_USER_ACCOUNT, MONEY_MAX, SCALE,
};

use crate::contract::ONE;
use crate::margin::{Exposure, Margin, Opening};
use crate::rounding::{ceil, floor, shown};
use crate::state::{Key, State, FIRST_POOL};

/// An account's figures in USD.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Margin balance.
    pub balance: i128,
    /// Initial margin.
    pub initial: i128,
    /// Maintenance margin.
    pub maintenance: i128,
    /// Order loss.
    pub at_risk: i128,
}

impl Figures {
    /// What new orders may use.
    pub fn available(&self) -> i128 {
        self.balance - self.initial
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
        }
    }

    /// Margin of a position with its orders.
    pub fn margin(&self, key: Key) -> Margin {
        self.exposure(key).margin(&self.contracts[key.instrument])
    }

    /// Margins of an account's positions that settle in a coin, added up.
    pub fn margin_in(&self, account: usize, coin: CoinId) -> Margin {
        let mut sum = Margin::default();
        for key in self.slots_of(account) {
            if self.contracts[key.instrument].settle == coin {
                let margin = self.margin(key);
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
        self.purse(account, coin).wallet + self.margin_in(account, coin).unrealised
    }

    /// What an account is worth and needs, all coins together.
    pub fn figures(&self, account: usize) -> Figures {
        let mut figures = Figures::default();
        for coin in (0..self.coins.len()).filter_map(|at| u16::try_from(at).ok().map(CoinId)) {
            let margin = self.margin_in(account, coin);
            let price = self.coin_prices[usize::from(coin.0)];
            let counted = self.counted(account, coin, self.equity(account, coin));
            figures.balance += floor(counted * price, ONE);
            figures.initial += self.in_usd(coin, margin.position_initial + margin.order_initial);
            figures.maintenance += self.in_usd(coin, margin.maintenance);
            figures.at_risk += self.in_usd(coin, margin.order_loss);
        }
        figures
    }

    /// What of an amount counts as collateral. A debt counts whole.
    fn counted(&self, account: usize, coin: CoinId, amount: i128) -> i128 {
        let listed = &self.coins[usize::from(coin.0)];
        if amount <= 0 || self.is_par(coin) {
            return amount;
        }
        if !listed.is_collateral || !self.purse(account, coin).is_collateral {
            return 0;
        }
        let (mut counted, mut below) = (0, 0);
        for tier in &listed.collateral {
            let limit = i128::from(tier.limit.0);
            let inside = amount.clamp(below, limit) - below;
            counted += floor(inside * i128::from(tier.ratio), ONE);
            below = limit;
        }
        counted
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

    /// True when the account has a position and its maintenance margin is no longer covered: the maintenance margin
    /// has reached the margin balance less order loss.
    pub fn is_breached(&self, account: usize) -> bool {
        let has_position = self.slots.iter().any(|(key, slot)| key.account == account && slot.qty != 0);
        let figures = self.figures(account);
        has_position && figures.maintenance > 0 && figures.maintenance >= figures.balance - figures.at_risk
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

    /// Money comes in: to a user, or to a pool in the pool's coin.
    pub fn deposit(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let pool = account.0.checked_sub(FIRST_POOL_ACCOUNT).map(|pool| pool as usize);
        let target = match pool {
            Some(pool) if self.pools.get(pool) == Some(&coin) => FIRST_POOL + pool,
            _ => self.user(account)?,
        };
        let change = i128::from(amount.0);
        if change <= 0 || self.purse(target, coin).wallet + change > i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        self.moved[at].0 += change;
        let balance = Money(shown(self.purse(target, coin).wallet + change));
        self.emit(EventKind::Deposited { account, coin, amount, balance });
        self.credit(target, coin, change, WalletReason::Deposit);
        Ok(())
    }

    /// Money goes out: cash only. Profit that is not realised stays; loss that is not realised stays covered.
    pub fn withdraw(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let source = self.user(account)?;
        let at = self.known_coin(coin)?;
        let change = i128::from(amount.0);
        if change <= 0 {
            return Err(Reject::AmountInvalid);
        }
        let unrealised = self.margin_in(source, coin).unrealised;
        let cash = self.purse(source, coin).wallet + unrealised.min(0);
        let spare = self.figures(source).available() - unrealised.max(0);
        if change > cash.min(spare) {
            return Err(Reject::WithdrawTooLarge);
        }
        self.moved[at].1 += change;
        let balance = Money(shown(self.purse(source, coin).wallet - change));
        self.emit(EventKind::Withdrawn { account, coin, amount, balance });
        self.credit(source, coin, -change, WalletReason::Withdraw);
        Ok(())
    }

    /// A coin's price in USD is reported.
    pub fn set_coin_price(&mut self, coin: CoinId, price: Price) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let is_reported = matches!(self.coins[at].price, CoinPrice::Reported(_));
        if !is_reported || price.0 < 1 || price.0 > MONEY_MAX {
            return Err(Reject::CoinPriceInvalid);
        }
        self.coin_prices[at] = i128::from(price.0);
        self.emit(EventKind::CoinPriceChanged { coin, price });
        Ok(())
    }
}
