//! The lending pools: what suppliers own, what may be lent, what a pool does when it has lent too much. Rules 7.
//!
//! - A pool's assets are its cash and what was lent as cash; its loans are all that is owed of the coin, by whatever way.
//! - Use = loans / assets, in `10^-8`, rounded up; the largest number when there are no assets. The hourly rate climbs from
//!   the base along one slope to the kink and along another from there to use one; each climb rounds half up.
//! - Shares for what is supplied round down, shares for what is redeemed round up; who takes all they are worth gives them all.
//! - The ladder: warned from one ratio on, repaid by force from another on until a third. It is looked at after a command in
//!   which time passed or after which somebody owes another amount than before. By force the largest loan is repaid first, of
//!   equals that of the lower place, each selling for at most 300,000 USD; 64 times a command; who cannot pay is passed over.

use exchange_core::{
    AccountId, CoinId, EventKind, Money, Rate, Reject, RepayReason, Strain, MONEY_MAX, RATE_SCALE,
};

use crate::borrowing::{positive, OPERATION_USD};
use crate::contract::ONE;
use crate::rounding::{ceil, floor, half_up, shown};
use crate::state::{State, LENDING};

const FORCED_PER_COMMAND: usize = 64;

impl State {
    /// All shares of a pool.
    pub fn shares(&self, coin: CoinId) -> i128 {
        self.shares.iter().filter(|((of, _), _)| *of == coin).map(|(_, shares)| shares).sum()
    }

    fn loans(&self, coin: CoinId) -> i128 {
        self.users().map(|account| self.owed(account, coin).total()).sum()
    }

    fn assets(&self, coin: CoinId) -> i128 {
        let lent: i128 = self.users().map(|account| self.purse(account, coin).spot_borrow).sum();
        self.purse(LENDING, coin).wallet + lent
    }

    fn utilisation(&self, coin: CoinId) -> i128 {
        match (self.loans(coin), self.assets(coin)) {
            (0, _) => 0,
            (_, assets) if assets <= 0 => i128::from(i64::MAX),
            (loans, assets) => ceil(loans * ONE, assets).min(i128::from(i64::MAX)),
        }
    }

    /// What a borrower pays in an hour now, in `10^-12`.
    pub fn hourly_rate(&self, coin: CoinId) -> i128 {
        let curve = self.coins[usize::from(coin.0)].lending.expect("a coin that is lent").curve;
        let (used, kink) = (self.utilisation(coin).min(ONE), i128::from(curve.kink));
        let (slope1, slope2) = (i128::from(curve.slope1), i128::from(curve.slope2));
        let first = if used >= kink { slope1 } else { half_up(slope1 * used, kink) };
        let second = if used > kink { half_up(slope2 * (used - kink), ONE - kink) } else { 0 };
        i128::from(curve.base) + first + second
    }

    /// What an account may still borrow: the least of what pool, family and tiers leave.
    pub fn borrowable(&self, account: usize, coin: CoinId) -> i128 {
        let listed = &self.coins[usize::from(coin.0)];
        let Some(spec) = listed.lending.filter(|_| self.strain[usize::from(coin.0)] != Strain::Repaying)
        else {
            return 0;
        };
        let largest = listed.borrow.last().map_or(0, |tier| i128::from(tier.limit.0));
        let tiers = largest - self.owed(account, coin).total();
        let family = self.family_limit(account, coin) - self.family_owes(account, coin);
        let pool = floor(self.assets(coin) * i128::from(spec.cap), ONE) - self.loans(coin);
        pool.min(self.purse(LENDING, coin).wallet).min(family).min(tiers).max(0)
    }

    /// What shares are worth.
    fn worth(&self, coin: CoinId, shares: i128) -> i128 {
        match self.shares(coin) {
            0 => 0,
            all => floor(shares * self.assets(coin), all),
        }
    }

    fn own_shares(&self, account: usize, coin: CoinId) -> i128 {
        self.shares.get(&(coin, account)).copied().unwrap_or(0)
    }

    /// What an account's shares in a pool are worth.
    pub fn supplied(&self, account: usize, coin: CoinId) -> i128 {
        self.worth(coin, self.own_shares(account, coin))
    }

    /// Adds to a holding of shares; an empty one is forgotten.
    pub fn add_shares(&mut self, account: usize, coin: CoinId, change: i128) {
        let held = self.own_shares(account, coin) + change;
        self.shares.remove(&(coin, account));
        if held != 0 {
            self.shares.insert((coin, account), held);
        }
    }

    /// Lends to a pool out of the funding wallet.
    pub fn supply(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let owner = self.verified(account)?;
        let at = self.known_coin(coin)?;
        let paid = positive(amount)?;
        if self.coins[at].lending.is_none() {
            return Err(Reject::CoinNotLent);
        }
        if self.purse(owner, coin).funding < paid {
            return Err(Reject::WithdrawTooLarge);
        }
        let (all, assets) = (self.shares(coin), self.assets(coin));
        let shares = if all == 0 { paid } else { floor(paid * all, assets) };
        // rounding takes a hundred units at most, or a millionth
        let lost = if all == 0 { 0 } else { paid - self.worth(coin, shares) };
        if lost > 100 && lost * 1_000_000 > paid {
            return Err(Reject::AmountInvalid);
        }
        if shares == 0 || assets + paid > 10 * i128::from(MONEY_MAX) {
            return Err(Reject::AmountInvalid);
        }
        self.purse_mut(owner, coin).funding -= paid;
        self.purse_mut(LENDING, coin).wallet += paid;
        self.add_shares(owner, coin, shares);
        let supplied = Money(shown(self.supplied(owner, coin)));
        self.emit(EventKind::Supplied { account, coin, amount, supplied });
        self.tell_pool(coin);
        Ok(())
    }

    /// Takes back into the funding wallet; 0 is everything.
    pub fn redeem(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let owner = self.user(account)?;
        self.known_coin(coin)?;
        if amount.0 < 0 || amount.0 > MONEY_MAX {
            return Err(Reject::AmountInvalid);
        }
        let (held, all, assets) = (self.own_shares(owner, coin), self.shares(coin), self.assets(coin));
        let worth = self.worth(coin, held);
        let wanted = if amount.0 == 0 { worth } else { i128::from(amount.0) };
        if wanted == 0 || wanted > worth {
            return Err(Reject::WithdrawTooLarge);
        }
        if wanted > (assets - self.loans(coin)).min(self.purse(LENDING, coin).wallet) {
            return Err(Reject::PoolShort);
        }
        let shares = if wanted == worth { held } else { ceil(wanted * all, assets).min(held) };
        self.purse_mut(LENDING, coin).wallet -= wanted;
        self.purse_mut(owner, coin).funding += wanted;
        self.add_shares(owner, coin, -shares);
        let supplied = Money(shown(self.supplied(owner, coin)));
        self.emit(EventKind::Redeemed { account, coin, amount: Money(shown(wanted)), supplied });
        self.tell_pool(coin);
        Ok(())
    }

    /// Called with what everybody owed before the command: the ladders, and who began or ceased to owe.
    pub fn settle_loans(&mut self, time_passed: bool, before: &[(usize, CoinId, i128)]) {
        if !time_passed && self.all_owed() == before {
            return;
        }
        let mut forced = 0;
        for coin in self.coin_ids() {
            self.follow_ladder(coin, &mut forced);
        }
        if self.nobody_owed {
            self.forget_hours();
        }
        self.nobody_owed = !self.somebody_owes();
        for account in self.users() {
            for coin in self.coin_ids() {
                let owes = self.owed(account, coin).total() > 0;
                if self.purse(account, coin).told_owing != owes {
                    self.tell_loan(account, coin);
                }
            }
        }
    }

    /// Who owes how much of which coin.
    pub fn all_owed(&self) -> Vec<(usize, CoinId, i128)> {
        let mut all = Vec::new();
        for account in self.users() {
            let owed = self.coin_ids().map(|coin| (account, coin, self.owed(account, coin).total()));
            all.extend(owed.filter(|(_, _, owed)| *owed > 0));
        }
        all
    }

    fn follow_ladder(&mut self, coin: CoinId, forced: &mut usize) {
        let at = usize::from(coin.0);
        let Some(spec) = self.coins[at].lending else { return };
        let before = self.strain[at];
        let mut passed_over = Vec::new();
        loop {
            let ratio = self.utilisation(coin);
            let goes_on = self.strain[at] == Strain::Repaying && ratio > i128::from(spec.ladder.stop);
            self.strain[at] = if ratio >= i128::from(spec.ladder.repay) || goes_on {
                Strain::Repaying
            } else if ratio >= i128::from(spec.ladder.warning) {
                Strain::Warning
            } else {
                Strain::Calm
            };
            let most = floor(self.assets(coin).max(0) * i128::from(spec.ladder.stop), ONE);
            let excess = self.loans(coin) - most;
            if self.strain[at] != Strain::Repaying || excess <= 0 || *forced == FORCED_PER_COMMAND {
                break;
            }
            let mut borrowers = self.borrowers(coin);
            borrowers.retain(|account| !passed_over.contains(account));
            borrowers.sort_by_key(|account| (-self.owed(*account, coin).total(), *account));
            let Some(largest) = borrowers.first().copied() else { break };
            *forced += 1;
            let owed = self.owed(largest, coin).total();
            if self.pay(largest, coin, excess.min(owed), OPERATION_USD, RepayReason::PoolStrained) == 0 {
                passed_over.push(largest);
            }
        }
        if self.strain[at] != before {
            self.tell_pool(coin);
        }
    }

    /// Tells how a coin's pool stands.
    pub fn tell_pool(&mut self, coin: CoinId) {
        let Some(spec) = self.coins[usize::from(coin.0)].lending else { return };
        let (assets, shares) = (self.assets(coin), self.shares(coin));
        let (utilisation, rate) = (self.utilisation(coin), self.hourly_rate(coin));
        let earned = floor(floor(rate * utilisation, ONE) * (ONE - i128::from(spec.reserve)), ONE);
        let index =
            if shares == 0 { RATE_SCALE } else { shown(floor(assets * i128::from(RATE_SCALE), shares)) };
        self.emit(EventKind::LendingPoolChanged {
            coin,
            assets: Money(shown(assets)),
            loans: Money(shown(self.loans(coin))),
            utilisation: shown(utilisation),
            borrow_rate: Rate(shown(rate)),
            supply_rate: Rate(shown(earned)),
            index,
            strain: self.strain[usize::from(coin.0)],
        });
    }
}
