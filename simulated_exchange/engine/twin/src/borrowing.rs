//! Borrowing, interest and repayment: rules 7. A loan by hand moves cash from the coin's pool into the wallet. Falling below
//! nothing (fees, losses, funding, interest) moves no cash: the wallet itself is negative. Both are owed.
//!
//! - Owed by falling: what is assigned to isolated positions and held by spot orders, less wallet and profit at the marks,
//!   when that is positive. The venue's own accounts owe nobody.
//! - Interest falls due five minutes past every hour, rounds of repayment at every full and half hour, in the order of their
//!   times. Where market time jumps, all hours but the last 744 are charged in one, with one round behind them. While nobody
//!   owes anything no hour counts: it begins with the hour in which somebody did.
//! - The hour's rate follows the pool's use when the hour begins; above the limit of account and family it is multiplied by
//!   the third power of owed per limit (rounded up to `10^-8`, at most 100; the power half up), and is never above one. What
//!   stems from unrealised loss is free up to the coin's limit. Interest rounds half up.
//! - A repayment takes the account's own free cash of the coin first, then sells other collateral in the order of coins, at
//!   the venue's prices: what has to be sold rounds up, what is bought down, 0.1 % of what is sold is a fee, rounded up. A cash
//!   loan is paid back only when the wallet is filled up again, also what only profit at the marks covers; nothing is sold
//!   when that would not be reached and so nothing less be owed.

use exchange_core::{
    AccountId, CoinId, EventKind, Money, Price, Rate, Reject, RepayReason, WalletReason, MONEY_MAX,
    RATE_SCALE,
};

use crate::contract::ONE;
use crate::rounding::{ceil, floor, half_up, shown};
use crate::state::{State, CONVERSION, FEES, FIRST_POOL, LENDING};

const HOUR_MS: i64 = 3_600_000;
const INTEREST_AFTER_MS: i64 = 300_000;
const ROUND_MS: i64 = 1_800_000;
const HOURS_ONE_BY_ONE: i64 = 744;
/// Fee of a sale, of what is sold.
pub const CONVERSION_FEE: i128 = ONE / 1000;
/// One repayment sells for at most 300,000 USD.
pub const OPERATION_USD: i128 = 300_000 * ONE;
/// A repayment that sells whatever there is.
pub const NO_CAP: i128 = i128::MAX / 4;

/// What an account owes of a coin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// Lent as cash.
    pub spot: i128,
    /// By falling below nothing.
    pub fallen: i128,
}

impl Owed {
    /// All of it.
    pub fn total(self) -> i128 {
        self.spot + self.fallen
    }
}

/// Something to sell.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Coin.
    pub coin: CoinId,
    /// How much of it there is to sell.
    pub available: i128,
    /// Its price in USD.
    pub price: i128,
}

/// One sale: what leaves, the fee in it, and what comes.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    /// What leaves, fee included.
    pub sold: i128,
    /// The fee in it.
    pub fee: i128,
    /// What comes.
    pub bought: i128,
}

/// Sells as much of a source as `need` at a price asks for, or as there is, or as `room` USD allow.
fn sale(need: i128, price: i128, source: &Source, room: i128) -> Option<Sale> {
    sale_at(need, price, source, room, CONVERSION_FEE)
}

/// The same at another fee.
pub fn sale_at(need: i128, price: i128, source: &Source, room: i128, fee_rate: i128) -> Option<Sale> {
    if need <= 0 || price <= 0 || source.price <= 0 || source.available <= 0 || room <= 0 {
        return None;
    }
    let net = ceil(need * price, source.price);
    let wanted = ceil(net * ONE, ONE - fee_rate);
    let most = source.available.min(floor(room.min(i128::MAX / ONE) * ONE, source.price));
    let (sold, fee) =
        if wanted <= most { (wanted, wanted - net) } else { (most, ceil(most * fee_rate, ONE)) };
    let bought = floor((sold - fee) * source.price, price).min(need);
    (bought > 0).then_some(Sale { sold, fee, bought })
}

impl State {
    /// What an account owes of a coin.
    pub fn owed(&self, account: usize, coin: CoinId) -> Owed {
        self.owed_without(account, coin, 0)
    }

    /// The same when so much of the profit at the marks does not count.
    pub fn owed_without(&self, account: usize, coin: CoinId, left_out: i128) -> Owed {
        if !self.users().contains(&account) {
            return Owed::default();
        }
        let purse = self.purse(account, coin);
        let free = purse.wallet - self.assigned(account, coin) - self.locked(account, coin);
        let unrealised = self.margin_in(account, coin).unrealised - left_out;
        let fallen = (-free - unrealised).max(0);
        Owed { spot: purse.spot_borrow, fallen }
    }

    /// Cash of a coin that nothing needs, debts not counted.
    pub fn cash(&self, account: usize, coin: CoinId) -> i128 {
        let held = self.assigned(account, coin) + self.locked(account, coin);
        self.purse(account, coin).wallet - held + self.margin_in(account, coin).unrealised.min(0)
    }

    /// Cash of a coin that nothing needs and nobody is owed.
    pub fn spendable(&self, account: usize, coin: CoinId) -> i128 {
        (self.cash(account, coin) - self.purse(account, coin).spot_borrow).max(0)
    }

    /// What of a cash loan its own coin could pay back.
    fn repayable(&self, account: usize, coin: CoinId) -> i128 {
        self.purse(account, coin).spot_borrow.min(self.cash(account, coin)).max(0)
    }

    /// Everybody who owes a coin, by place.
    pub fn borrowers(&self, coin: CoinId) -> Vec<usize> {
        self.users().filter(|account| self.owed(*account, coin).total() > 0).collect()
    }

    /// True when somebody owes something.
    pub fn somebody_owes(&self) -> bool {
        self.coin_ids().any(|coin| !self.borrowers(coin).is_empty())
    }

    /// What an account's family owes of a coin.
    pub fn family_owes(&self, account: usize, coin: CoinId) -> i128 {
        let main = self.main_of(account);
        self.users()
            .filter(|member| self.main_of(*member) == main)
            .map(|member| self.owed(member, coin).total())
            .sum()
    }

    /// What an account's family may owe of a coin.
    pub fn family_limit(&self, account: usize, coin: CoinId) -> i128 {
        let percent = self.level_of(account).borrow_percent();
        floor(i128::from(self.coins[usize::from(coin.0)].user_limit.0) * i128::from(percent), 100)
    }

    /// A loan by hand.
    pub fn borrow(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let owner = self.verified(account)?;
        let at = self.known_coin(coin)?;
        let wanted = positive(amount)?;
        if self.is_isolated(owner) {
            return Err(Reject::NoLoansInIsolatedMode);
        }
        if self.coins[at].lending.is_none() {
            return Err(Reject::CoinNotLent);
        }
        if self.coin_prices[at] == 0 {
            return Err(Reject::MarketNotReady);
        }
        if wanted > self.borrowable(owner, coin) {
            return Err(Reject::BorrowLimit);
        }
        self.lend(owner, coin, wanted);
        if self.figures(owner).available() < 0 {
            return Err(Reject::InsufficientBalance);
        }
        self.tell_wallet(owner, coin, wanted, WalletReason::Borrow);
        self.tell_loan(owner, coin);
        self.tell_pool(coin);
        Ok(())
    }

    /// A repayment by hand, of everything when the amount is 0.
    pub fn repay(
        &mut self,
        account: AccountId,
        coin: CoinId,
        amount: Money,
        convert: bool,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        self.known_coin(coin)?;
        if amount.0 < 0 || amount.0 > MONEY_MAX {
            return Err(Reject::AmountInvalid);
        }
        let within_hour = self.now % HOUR_MS;
        if (240_000..330_000).contains(&within_hour) {
            return Err(Reject::RepaymentClosed);
        }
        let owed = self.owed(owner, coin).total();
        if owed == 0 {
            return Err(Reject::NothingOwed);
        }
        let most = if amount.0 == 0 { owed } else { owed.min(i128::from(amount.0)) };
        let room = if convert { OPERATION_USD } else { 0 };
        if self.pay(owner, coin, most, room, RepayReason::Manual) == 0 {
            return Err(Reject::InsufficientBalance);
        }
        self.tell_loan(owner, coin);
        self.tell_pool(coin);
        Ok(())
    }

    /// Repays up to so much, selling for up to `room` USD; how much less is owed then.
    pub fn pay(&mut self, account: usize, coin: CoinId, most: i128, room: i128, reason: RepayReason) -> i128 {
        let before = self.owed(account, coin).total();
        let most = most.min(before);
        self.pay_back(account, coin, most);
        let repaid = |state: &Self| before - state.owed(account, coin).total();
        if repaid(self) < most && room > 0 {
            for (source, sale) in self.sales_for(account, coin, most - repaid(self), room) {
                self.sell(account, coin, &source, sale);
            }
            self.pay_back(account, coin, most - repaid(self));
        }
        let repaid = repaid(self);
        if repaid > 0 {
            self.emit(EventKind::Repaid {
                account: AccountId(self.accounts[account].id),
                coin,
                amount: Money(shown(repaid)),
                left: Money(shown(before - repaid)),
                reason,
            });
        }
        repaid
    }

    /// Gives cash back to the pool, as far as there is some that nothing else needs.
    pub fn pay_back(&mut self, account: usize, coin: CoinId, most: i128) {
        let amount = most.min(self.repayable(account, coin));
        if amount > 0 {
            self.lend(account, coin, -amount);
            self.tell_wallet(account, coin, -amount, WalletReason::Repay);
        }
    }

    fn lend(&mut self, account: usize, coin: CoinId, amount: i128) {
        self.purse_mut(LENDING, coin).wallet -= amount;
        let purse = self.purse_mut(account, coin);
        purse.wallet += amount;
        purse.spot_borrow += amount;
    }

    fn sources(&self, account: usize) -> Vec<Source> {
        let mut sources = Vec::new();
        for coin in self.coin_ids() {
            let counts =
                self.venue_collateral[usize::from(coin.0)] && self.purse(account, coin).is_collateral;
            let (available, price) = (self.spendable(account, coin), self.coin_prices[usize::from(coin.0)]);
            if counts && available > 0 && price > 0 {
                sources.push(Source { coin, available, price });
            }
        }
        sources
    }

    /// What would be sold to owe so much less.
    fn sales_for(&self, account: usize, coin: CoinId, missing: i128, cap: i128) -> Vec<(Source, Sale)> {
        let fallen = self.owed(account, coin).fallen;
        let hole = (-self.cash(account, coin)).max(0) - fallen;
        let mut need = if missing > fallen { missing + hole } else { missing };
        let (price, mut room, mut bought) = (self.coin_prices[usize::from(coin.0)], cap, 0);
        let mut sales = Vec::new();
        for source in self.sources(account).into_iter().filter(|source| source.coin != coin) {
            if let Some(sale) = sale(need, price, &source, room) {
                need -= sale.bought;
                bought += sale.bought;
                room -= ceil(sale.sold * source.price, ONE);
                sales.push((source, sale));
            }
        }
        let is_in_vain = fallen == 0 && bought <= hole;
        if is_in_vain {
            sales.clear();
        }
        sales
    }

    /// Sells one coin of an account for another.
    pub fn sell(&mut self, account: usize, coin: CoinId, source: &Source, sale: Sale) {
        let Sale { sold, fee, bought } = sale;
        self.purse_mut(account, source.coin).wallet -= sold;
        self.purse_mut(FEES, source.coin).wallet += fee;
        self.purse_mut(CONVERSION, source.coin).wallet += sold - fee;
        self.purse_mut(CONVERSION, coin).wallet -= bought;
        self.purse_mut(account, coin).wallet += bought;
        self.emit(EventKind::Converted {
            account: AccountId(self.accounts[account].id),
            sold_coin: source.coin,
            sold: Money(shown(sold)),
            fee: Money(shown(fee)),
            coin,
            bought: Money(shown(bought)),
            price: Price(shown(source.price)),
        });
        self.tell_wallet(account, source.coin, -sold, WalletReason::Convert);
        self.tell_wallet(account, coin, bought, WalletReason::Convert);
    }

    /// True when liquidation could do something: there is a position, spot orders beside isolated ones, or something that
    /// pays for a debt.
    pub fn can_be_helped(&self, account: usize) -> bool {
        let pays_something = self.coin_ids().any(|coin| {
            let owed = self.owed(account, coin).total();
            let pays = || self.repayable(account, coin) > 0;
            owed > 0 && (pays() || !self.sales_for(account, coin, owed, NO_CAP).is_empty())
        });
        if pays_something {
            return true;
        }
        let holds = self.slots.iter().any(|(key, slot)| key.account == account && slot.qty != 0);
        match holds {
            true if self.is_isolated(account) => self.coin_ids().any(|coin| self.locked(account, coin) > 0),
            true => true,
            false => !self.realisation(account).is_empty(),
        }
    }

    /// In liquidation: sells whatever there is for whatever is owed.
    pub fn cover_debts(&mut self, account: usize) {
        for coin in self.coin_ids() {
            let owed = self.owed(account, coin).total();
            self.pay(account, coin, owed, NO_CAP, RepayReason::Liquidation);
        }
    }

    /// What nobody can pay is paid by the first insurance pool of the coin, as far as it goes.
    pub fn absorb_debts(&mut self, account: usize) {
        for coin in self.coin_ids() {
            let Some(pool) = self.pools.iter().position(|held| *held == coin) else { continue };
            let amount = self.owed(account, coin).total().min(self.purse(FIRST_POOL + pool, coin).wallet);
            if amount > 0 {
                self.feed_pool(pool, -amount);
                self.credit(account, coin, amount, WalletReason::WriteOff);
                self.pay_back(account, coin, amount);
            }
        }
    }

    /// Interest and rounds of repayment that fell due up to now.
    pub fn run_lending(&mut self) {
        let hours = |ms: i64| (ms - INTEREST_AFTER_MS).div_euclid(HOUR_MS);
        let missed = hours(self.now) - self.interest_hour - HOURS_ONE_BY_ONE;
        if missed > 0 {
            if self.somebody_owes() {
                self.charge_interest(missed);
                self.repayment_round();
            }
            self.interest_hour += missed;
            self.repayment_number = (self.interest_hour * HOUR_MS + INTEREST_AFTER_MS).div_euclid(ROUND_MS);
        }
        while self.somebody_owes() {
            let interest_due = (self.interest_hour + 1) * HOUR_MS + INTEREST_AFTER_MS;
            let round_due = (self.repayment_number + 1) * ROUND_MS;
            if interest_due.min(round_due) > self.now {
                return;
            }
            if round_due < interest_due {
                self.repayment_number += 1;
                self.repayment_round();
            } else {
                self.interest_hour += 1;
                self.charge_interest(1);
            }
        }
        self.forget_hours();
    }

    /// Hours in which nobody owed anything do not count.
    pub fn forget_hours(&mut self) {
        self.interest_hour = (self.now - INTEREST_AFTER_MS).div_euclid(HOUR_MS);
        self.repayment_number = self.now.div_euclid(ROUND_MS);
    }

    fn charge_interest(&mut self, hours: i64) {
        for coin in self.coin_ids() {
            let Some(spec) = self.coins[usize::from(coin.0)].lending else { continue };
            let borrowers = self.borrowers(coin);
            if borrowers.is_empty() {
                continue;
            }
            let rate = self.hourly_rate(coin);
            let charged: i128 =
                borrowers.into_iter().map(|account| self.charge(account, coin, rate, hours)).sum();
            let kept =
                if self.shares(coin) > 0 { floor(charged * i128::from(spec.reserve), ONE) } else { charged };
            self.purse_mut(LENDING, coin).wallet += charged - kept;
            match self.pools.iter().position(|held| *held == coin) {
                Some(pool) => self.feed_pool(pool, kept),
                None => self.purse_mut(FEES, coin).wallet += kept,
            }
            self.tell_pool(coin);
        }
    }

    fn charge(&mut self, account: usize, coin: CoinId, rate: i128, hours: i64) -> i128 {
        if self.figures(account).balance <= 0 {
            return 0; // nothing left to pay with
        }
        let owed = self.owed(account, coin);
        let loss = (-self.margin_in(account, coin).unrealised).max(0);
        let free = owed.fallen.min(loss).min(i128::from(self.coins[usize::from(coin.0)].free_limit.0));
        let rate = with_penalty(rate, self.family_owes(account, coin), self.family_limit(account, coin));
        let interest = half_up((owed.total() - free) * rate, RATE_ONE) * i128::from(hours);
        if interest > 0 {
            self.purse_mut(account, coin).wallet -= interest;
            let money = |amount: i128| Money(shown(amount));
            self.emit(EventKind::InterestCharged {
                account: AccountId(self.accounts[account].id),
                coin,
                borrowed: money(owed.total()),
                free: money(free),
                rate: Rate(shown(rate)),
                hours,
                interest: money(interest),
            });
            self.tell_wallet(account, coin, -interest, WalletReason::Interest);
        }
        interest
    }

    fn repayment_round(&mut self) {
        for coin in self.coin_ids() {
            for account in self.borrowers(coin) {
                let owed = self.owed(account, coin).total();
                if self.accounts[account].profile.is_some_and(|profile| profile.auto_repay) {
                    self.pay(account, coin, owed, OPERATION_USD, RepayReason::Automatic);
                } else if self.coins[usize::from(coin.0)].lending.is_some() {
                    let excess = self.family_owes(account, coin) - self.family_limit(account, coin);
                    self.pay(account, coin, excess.min(owed), OPERATION_USD, RepayReason::OverLimit);
                }
            }
        }
    }

    /// Adds to an insurance pool, or takes from it, and tells it.
    pub fn feed_pool(&mut self, pool: usize, change: i128) {
        if change != 0 {
            let coin = self.pools[pool];
            self.purse_mut(FIRST_POOL + pool, coin).wallet += change;
            let balance = Money(shown(self.purse(FIRST_POOL + pool, coin).wallet));
            let pool = exchange_core::PoolId(u16::try_from(pool).expect("a listed pool"));
            self.emit(EventKind::InsuranceFundChanged { pool, balance, change: Money(shown(change)) });
        }
    }

    /// Tells what an account owes of a coin.
    pub fn tell_loan(&mut self, account: usize, coin: CoinId) {
        let owed = self.owed(account, coin);
        self.purse_mut(account, coin).told_owing = owed.total() > 0;
        self.emit(EventKind::BorrowChanged {
            account: AccountId(self.accounts[account].id),
            coin,
            borrowed: Money(shown(owed.total())),
            spot: Money(shown(owed.spot)),
        });
    }
}

const RATE_ONE: i128 = RATE_SCALE as i128;

fn with_penalty(rate: i128, owed: i128, limit: i128) -> i128 {
    if owed <= limit {
        return rate.min(RATE_ONE);
    }
    let excess = ceil(owed * ONE, limit.max(1)).min(100 * ONE);
    let multiplier = half_up(excess * excess * excess, ONE * ONE);
    half_up(rate * multiplier, ONE).min(RATE_ONE)
}

/// An amount that moves.
pub fn positive(amount: Money) -> Result<i128, Reject> {
    if amount.0 < 1 || amount.0 > MONEY_MAX {
        return Err(Reject::AmountInvalid);
    }
    Ok(i128::from(amount.0))
}
