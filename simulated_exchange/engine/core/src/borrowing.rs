//! Borrowing and repaying: the commands, the hourly interest, repayment rounds, and what is repaid by force. The
//! formulas stand in `lending` and `repayment`; this file moves the money.
//!
//! A loan by hand moves cash from the pool into the wallet. Falling below nothing moves no cash: the wallet itself is
//! negative, and the pool's cash stands for it. Both are owed, and both cost interest.

use crate::account::NOBODY;
use crate::event::EventKind;
use crate::exchange::{Exchange, CONVERSION, FEES, LENDING};
use crate::fixed::{mul_div_floor, saturate};
use crate::lending::{self, LendingSpec, PoolBooks, Strain};
use crate::purse::{Purse, Worth};
use crate::reject::Reject;
use crate::repayment::{largest, plan, Conversion, Source, CONVERSION_FEE, OPERATION_USD_MAX};
use crate::types::{
    AccountId, CoinId, MarginMode, Money, PoolId, Price, Rate, RepayReason, WalletReason, MONEY_MAX,
};

/// Hours of interest charged one by one when market time jumps; what lies before is charged in one go.
pub const INTEREST_HOURS_MAX: i64 = 744;
/// A repayment that may sell anything.
const NO_CAP: i128 = i128::MAX / 4;
/// Repayments by force per command.
pub const FORCED_REPAYMENTS_MAX: usize = 64;

impl Exchange {
    /// Lends cash of a coin on demand.
    pub(crate) fn borrow(&mut self, account: AccountId, coin: CoinId, amount: Money) -> Result<(), Reject> {
        let owner = self.verified(account)?;
        self.known_coin(coin)?;
        let wanted = positive(amount)?;
        if self.ledger.account(owner).margin_mode == MarginMode::Isolated {
            return Err(Reject::NoLoansInIsolatedMode);
        }
        if self.lending_of(coin).is_none() {
            return Err(Reject::CoinNotLent);
        }
        if self.ledger.coin_price(coin) == 0 {
            return Err(Reject::MarketNotReady);
        }
        if wanted > self.borrowable(owner, coin) {
            return Err(Reject::BorrowLimit);
        }
        let after = self.worth_after(owner, coin, |held| {
            held.wallet += wanted;
            held.extras_mut().spot_borrow += wanted;
        });
        if after.available() < 0 {
            return Err(Reject::InsufficientBalance);
        }
        let purse = self.ledger.purse_for(owner, coin);
        self.lend(purse, wanted);
        self.emit_wallet(purse, wanted, WalletReason::Borrow);
        self.emit_loan(purse);
        self.emit_pool(coin);
        self.touch(owner);
        Ok(())
    }

    /// Repays by hand: with the coin itself, and with others where that is allowed.
    pub(crate) fn repay(
        &mut self,
        account: AccountId,
        coin: CoinId,
        amount: Money,
        convert: bool,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        self.known_coin(coin)?;
        if !(0..=MONEY_MAX).contains(&amount.0) {
            return Err(Reject::AmountInvalid);
        }
        if lending::is_repayment_closed(self.market_ms) {
            return Err(Reject::RepaymentClosed);
        }
        let purse = self.ledger.find_purse(owner, coin).ok_or(Reject::NothingOwed)?;
        let owed = self.ledger.purse(purse).extras().borrowed;
        if owed == 0 {
            return Err(Reject::NothingOwed);
        }
        let most = if amount.0 == 0 { owed } else { owed.min(i128::from(amount.0)) };
        let room = if convert { OPERATION_USD_MAX } else { 0 };
        if self.pay(purse, most, room, RepayReason::Manual) == 0 {
            return Err(Reject::InsufficientBalance);
        }
        self.emit_loan(purse);
        self.emit_pool(coin);
        Ok(())
    }

    /// Brings interest and repayment rounds up to the present market time, in the order in which they fell due.
    pub(crate) fn run_lending(&mut self) {
        let now = self.market_ms;
        let (hour, round) = (lending::interest_hours(now), lending::auto_repay_rounds(now));
        let missed = hour - self.lending.interest_hour - INTEREST_HOURS_MAX;
        if missed > 0 && !self.ledger.loans.is_empty() {
            self.charge_interest(missed);
            self.repayment_round();
        }
        if missed > 0 {
            self.lending.interest_hour += missed;
            let began = lending::interest_due_ms(self.lending.interest_hour);
            self.lending.repayment_round = lending::auto_repay_rounds(began);
        }
        while !self.ledger.loans.is_empty() {
            let interest_ms = lending::interest_due_ms(self.lending.interest_hour + 1);
            let round_ms = lending::auto_repay_due_ms(self.lending.repayment_round + 1);
            if interest_ms.min(round_ms) > now {
                return;
            }
            if round_ms < interest_ms {
                self.lending.repayment_round += 1;
                self.repayment_round();
            } else {
                self.lending.interest_hour += 1;
                self.charge_interest(1);
            }
        }
        (self.lending.interest_hour, self.lending.repayment_round) = (hour, round);
    }

    /// Charges everybody who owes a lent coin.
    fn charge_interest(&mut self, hours: i64) {
        for coin in self.coin_ids() {
            let Some(spec) = self.lending_of(coin).copied() else { continue };
            let borrowers: Vec<u32> = self.ledger.loans.borrowers(coin).iter().copied().collect();
            if borrowers.is_empty() {
                continue;
            }
            let rate = spec.curve.borrow_rate(self.pool_books(coin).utilisation());
            let mut charged = 0;
            for account in borrowers {
                charged += self.charge_account(account, coin, rate, hours);
            }
            self.share_out(coin, &spec, charged);
            self.emit_pool(coin);
        }
    }

    /// Takes one account's interest out of its wallet, which may fall below nothing. Whose margin balance is used up has
    /// nothing to pay with: a debt that grows would only be lent by the pool to itself.
    fn charge_account(&mut self, account: u32, coin: CoinId, rate: i64, hours: i64) -> i128 {
        let Some(purse) = self.ledger.find_purse(account, coin) else { return 0 };
        if self.ledger.account(account).worth.balance <= 0 {
            return 0;
        }
        let borrowed = self.ledger.purse(purse).extras().borrowed;
        let (free, rate, bearing) = self.loan_terms(purse, rate);
        let cost = lending::interest(bearing, rate, hours);
        if cost == 0 {
            return 0;
        }
        self.ledger.credit(purse, -cost);
        let money = |amount: i128| Money(saturate(amount));
        self.emit(EventKind::InterestCharged {
            account: AccountId(self.ledger.account(account).id),
            coin,
            borrowed: money(borrowed),
            free: money(free),
            rate: Rate(rate),
            hours,
            interest: money(cost),
        });
        self.emit_wallet(purse, -cost, WalletReason::Interest);
        self.touch(account);
        cost
    }

    /// What of a loan costs nothing, the rate of the rest with its penalty, and the rest.
    pub(crate) fn loan_terms(&self, purse: u32, rate: i64) -> (i128, i64, i128) {
        let held = self.ledger.purse(purse);
        let (account, coin) = (held.account, held.coin);
        let free_limit = i128::from(self.ledger.coins()[usize::from(coin.0)].spec.free_limit.0);
        let free = held.owed().free(held.margin.unrealised, free_limit);
        let (owed, limit) = (self.group_borrowed(account, coin), self.user_limit(account, coin));
        (free, lending::penalty_rate(rate, owed, limit), held.extras().borrowed - free)
    }

    /// Hands the interest of one run to the coin's pool and the venue's reserve: the first insurance pool of the coin,
    /// or the fees where there is none.
    fn share_out(&mut self, coin: CoinId, spec: &LendingSpec, interest: i128) {
        let has_suppliers = self.lending.shares(coin) > 0;
        let (supplied, kept) = lending::split_interest(interest, spec.reserve, has_suppliers);
        let purse = self.lending_purse(coin);
        self.ledger.credit(purse, supplied);
        if let Some(pool) = self.insurance_of(coin) {
            self.feed_insurance(pool, kept);
        } else {
            let fees = self.ledger.purse_for(FEES, coin);
            self.ledger.credit(fees, kept);
        }
    }

    /// Everybody who asked for it repays, and everybody above his limit is made to.
    fn repayment_round(&mut self) {
        for coin in self.coin_ids() {
            let borrowers: Vec<u32> = self.ledger.loans.borrowers(coin).iter().copied().collect();
            for account in borrowers {
                let Some(purse) = self.ledger.find_purse(account, coin) else { continue };
                let owed = self.ledger.purse(purse).extras().borrowed;
                if self.profiles.repays_itself(account) {
                    self.pay(purse, owed, OPERATION_USD_MAX, RepayReason::Automatic);
                } else if self.lending_of(coin).is_some() {
                    let excess = self.group_borrowed(account, coin) - self.user_limit(account, coin);
                    self.pay(purse, excess.min(owed), OPERATION_USD_MAX, RepayReason::OverLimit);
                }
            }
        }
    }

    /// Repays up to `most` of what a purse owes: with its own cash, then by selling other coins for up to `room` USD.
    /// Returns what is owed less than before.
    pub(crate) fn pay(&mut self, purse: u32, most: i128, room: i128, reason: RepayReason) -> i128 {
        let held = self.ledger.purse(purse);
        let (account, coin, before) = (held.account, held.coin, held.extras().borrowed);
        let most = most.min(before);
        self.pay_back(purse, most);
        let repaid = before - self.ledger.purse(purse).extras().borrowed;
        if repaid < most && room > 0 {
            for sale in self.sales_for(purse, most - repaid, room) {
                self.book_sale(account, &sale, coin);
            }
            let repaid = before - self.ledger.purse(purse).extras().borrowed;
            self.pay_back(purse, most - repaid);
        }
        let left = self.ledger.purse(purse).extras().borrowed;
        let repaid = before - left;
        if repaid > 0 {
            self.emit(EventKind::Repaid {
                account: AccountId(self.ledger.account(account).id),
                coin,
                amount: Money(saturate(repaid)),
                left: Money(saturate(left)),
                reason,
            });
            self.touch(account);
        }
        repaid
    }

    /// Repays cash loans with cash of the same coin that nothing else needs.
    pub(crate) fn pay_back(&mut self, purse: u32, most: i128) {
        let amount = most.min(self.ledger.purse(purse).repayable());
        if amount > 0 {
            self.lend(purse, -amount);
            self.emit_wallet(purse, -amount, WalletReason::Repay);
        }
    }

    /// Moves cash from a coin's pool into a wallet, owed from then on; negative: back.
    fn lend(&mut self, purse: u32, amount: i128) {
        let pool = self.lending_purse(self.ledger.purse(purse).coin);
        self.ledger.credit(pool, -amount);
        self.ledger.credit(purse, amount);
        self.ledger.change_purse(purse, |held| held.extras_mut().spot_borrow += amount);
    }

    /// What of the account's other collateral, in the venue's order of coins, would have to be sold for a purse to owe so
    /// much less. A loan of cash is paid back only when the wallet is filled up again, also what profit at the marks
    /// covers; nothing is sold when less would be owed in no way.
    fn sales_for(&self, purse: u32, missing: i128, room: i128) -> Vec<Conversion> {
        let held = self.ledger.purse(purse);
        let (account, coin, fallen, hole) = (held.account, held.coin, held.owed().derivatives, held.hole());
        let need = missing + if missing > fallen { hole } else { 0 };
        let sources = self.sellable(account).into_iter().filter(|source| source.coin != coin.0);
        let sales = plan(need, self.ledger.coin_price(coin), sources, CONVERSION_FEE, room);
        let bought: i128 = sales.iter().map(|sale| sale.bought).sum();
        let helps = bought > if fallen > 0 { 0 } else { hole };
        if helps {
            sales
        } else {
            Vec::new()
        }
    }

    /// Books the sale of a coin of an account to the conversion desk, for another coin.
    pub(crate) fn book_sale(&mut self, account: u32, sale: &Conversion, coin: CoinId) {
        let sold_coin = CoinId(sale.coin);
        let (source, target) =
            (self.ledger.purse_for(account, sold_coin), self.ledger.purse_for(account, coin));
        let fees = self.ledger.purse_for(FEES, sold_coin);
        let (desk_in, desk_out) =
            (self.ledger.purse_for(CONVERSION, sold_coin), self.ledger.purse_for(CONVERSION, coin));
        self.ledger.credit(source, -sale.sold);
        self.ledger.credit(fees, sale.fee);
        self.ledger.credit(desk_in, sale.sold - sale.fee);
        self.ledger.credit(desk_out, -sale.bought);
        self.ledger.credit(target, sale.bought);
        self.emit(EventKind::Converted {
            account: AccountId(self.ledger.account(account).id),
            sold_coin,
            sold: Money(saturate(sale.sold)),
            fee: Money(saturate(sale.fee)),
            coin,
            bought: Money(saturate(sale.bought)),
            price: Price(self.ledger.coin_price(sold_coin)),
        });
        self.emit_wallet(source, -sale.sold, WalletReason::Convert);
        self.emit_wallet(target, sale.bought, WalletReason::Convert);
    }

    /// Collateral that an account could sell, in the venue's order of coins.
    fn sellable(&self, account: u32) -> Vec<Source> {
        let source = |purse: u32| {
            let held = self.ledger.purse(purse);
            let counts =
                held.is_collateral && self.ledger.coins()[usize::from(held.coin.0)].spec.is_collateral;
            let (available, price) = (held.spendable(), self.ledger.coin_price(held.coin));
            let sells = counts && available > 0 && price > 0;
            sells.then_some(Source { coin: held.coin.0, available, price })
        };
        self.ledger.purses_of(account).into_iter().filter_map(source).collect()
    }

    /// Sells whatever an account has for whatever it owes, without a cap; true when that changed anything.
    pub(crate) fn cover_debts(&mut self, account: u32) -> bool {
        let mut changed = false;
        for purse in self.ledger.purses_of(account) {
            let owed = self.ledger.purse(purse).extras().borrowed;
            changed |= owed > 0 && self.pay(purse, owed, NO_CAP, RepayReason::Liquidation) > 0;
        }
        changed
    }

    /// True when an account has something that liquidation could work with: a position (spot orders, where positions
    /// are isolated), or what pays for some of its debts, collateral or not. Who owes and has nothing left that would bring anything waits for money to come in.
    pub(crate) fn has_anything(&self, account: u32) -> bool {
        let pays = |purse: &u32| {
            let held = self.ledger.purse(*purse);
            held.repayable() > 0 || !self.sales_for(*purse, held.extras().borrowed, NO_CAP).is_empty()
        };
        if self.has_isolated_position(account) {
            let holds = |purse: &u32| self.ledger.purse(*purse).extras().locked > 0 || pays(purse);
            return self.ledger.purses_of(account).iter().any(holds);
        }
        self.ledger.account(account).open_positions > 0
            || self.ledger.purses_of(account).iter().any(pays)
            || self.would_realise(account)
    }

    /// Lets the insurance pools of the coins pay what an account with nothing left still owes, as far as they reach.
    pub(crate) fn absorb_debts(&mut self, account: u32) {
        for purse in self.ledger.purses_of(account) {
            let held = self.ledger.purse(purse);
            let (owed, coin) = (held.extras().borrowed, held.coin);
            let Some(pool) = self.insurance_of(coin).filter(|_| owed > 0) else { continue };
            let amount = owed.min(self.ledger.purse(self.pool_purse(pool)).wallet);
            if amount > 0 {
                self.feed_insurance(pool, -amount);
                self.ledger.credit(purse, amount);
                self.emit_wallet(purse, amount, WalletReason::WriteOff);
                self.pay_back(purse, amount);
            }
        }
    }

    /// After a command in which time passed, or after which somebody owes another amount than before: lets strained pools
    /// call loans in, and tells who began or ceased to owe.
    pub(crate) fn settle_loans(&mut self, time_passed: bool) {
        if !time_passed && !self.ledger.loans.has_changed() {
            return;
        }
        let mut changed = self.ledger.take_changed_loans();
        if !time_passed && changed.is_empty() {
            return;
        }
        let mut forced = 0;
        for coin in self.coin_ids() {
            self.relieve(coin, &mut forced);
        }
        if self.lending.is_idle {
            self.lending.interest_hour = lending::interest_hours(self.market_ms);
            self.lending.repayment_round = lending::auto_repay_rounds(self.market_ms);
        }
        self.lending.is_idle = self.ledger.loans.is_empty();
        changed.extend(self.ledger.take_changed_loans());
        self.ledger.sort_purses(&mut changed);
        changed.dedup();
        for purse in changed {
            let held = self.ledger.purse(purse);
            if held.was_owing != (held.extras().borrowed > 0) {
                self.emit_loan(purse);
            }
        }
    }

    /// Follows a pool up and down its ladder; at the top the largest loans are repaid until the stop ratio.
    fn relieve(&mut self, coin: CoinId, forced: &mut usize) {
        let Some(spec) = self.lending_of(coin).copied() else { return };
        let before = self.lending.strain(coin);
        let mut unable: Vec<u32> = Vec::new();
        loop {
            let books = self.pool_books(coin);
            let strain = spec.ladder.strain(self.lending.strain(coin), books.utilisation());
            self.lending.set_strain(coin, strain);
            let excess = spec.ladder.excess(books.loans, books.assets());
            if strain != Strain::Repaying || excess == 0 || *forced >= FORCED_REPAYMENTS_MAX {
                break;
            }
            let borrowers =
                self.ledger.loans.borrowers(coin).iter().filter(|account| !unable.contains(account));
            let ranked = borrowers.filter_map(|account| {
                let purse = self.ledger.find_purse(*account, coin)?;
                Some((*account, self.ledger.purse(purse).extras().borrowed))
            });
            let Some((account, borrowed)) = largest(ranked) else { break };
            let Some(purse) = self.ledger.find_purse(account, coin) else { break };
            *forced += 1;
            if self.pay(purse, excess.min(borrowed), OPERATION_USD_MAX, RepayReason::PoolStrained) == 0 {
                unable.push(account);
            }
        }
        if self.lending.strain(coin) != before {
            self.emit_pool(coin);
        }
    }

    /// What an account may still borrow of a coin.
    pub(crate) fn borrowable(&self, account: u32, coin: CoinId) -> i128 {
        let Some(lending) = self.lending_of(coin) else { return 0 };
        if self.lending.strain(coin) == Strain::Repaying {
            return 0;
        }
        let spec = &self.ledger.coins()[usize::from(coin.0)].spec;
        let own = self
            .ledger
            .find_purse(account, coin)
            .map_or(0, |purse| self.ledger.purse(purse).extras().borrowed);
        let tier = spec.borrow.last().map_or(0, |tier| i128::from(tier.limit.0)) - own;
        let user = self.user_limit(account, coin) - self.group_borrowed(account, coin);
        let books = self.pool_books(coin);
        lending::borrowable(books.lendable(lending.cap).min(books.cash), user, tier)
    }

    /// What an account's group owes of a coin together.
    pub(crate) fn group_borrowed(&self, account: u32, coin: CoinId) -> i128 {
        let purses = self.profiles.group(account).filter_map(|member| self.ledger.find_purse(member, coin));
        purses.map(|purse| self.ledger.purse(purse).extras().borrowed).sum()
    }

    /// What an account's group may owe of a coin together.
    pub(crate) fn user_limit(&self, account: u32, coin: CoinId) -> i128 {
        let limit = self.ledger.coins()[usize::from(coin.0)].spec.user_limit.0;
        mul_div_floor(i128::from(limit), i128::from(self.profiles.level(account).borrow_percent()), 100)
    }

    /// A coin's lending pool as listed.
    pub(crate) fn lending_of(&self, coin: CoinId) -> Option<&LendingSpec> {
        self.ledger.coins()[usize::from(coin.0)].spec.lending.as_ref()
    }

    /// A coin's lending pool as it stands.
    pub(crate) fn pool_books(&self, coin: CoinId) -> PoolBooks {
        let purse = self.ledger.find_purse(LENDING, coin);
        PoolBooks {
            cash: purse.map_or(0, |purse| self.ledger.purse(purse).wallet),
            spot_loans: self.ledger.loans.spot(coin),
            loans: self.ledger.loans.total(coin),
            shares: self.lending.shares(coin),
        }
    }

    /// A user's figures if its purse of a coin, empty where it has none, were changed.
    pub(crate) fn worth_after(&self, account: u32, coin: CoinId, change: impl FnOnce(&mut Purse)) -> Worth {
        let held = self.ledger.find_purse(account, coin).map(|purse| self.ledger.purse(purse).clone());
        let before = held.unwrap_or_else(|| Purse::new(account, NOBODY, coin, true));
        let mut after = before.clone();
        change(&mut after);
        let listed = &self.ledger.coins()[usize::from(coin.0)];
        let mut worth = self.ledger.account(account).worth;
        worth.replace(&before.worth(), &after.worth_at(listed, self.ledger.coin_price(coin)));
        worth
    }

    /// The purse of a coin's lending pool.
    pub(crate) fn lending_purse(&mut self, coin: CoinId) -> u32 {
        self.ledger.purse_for(LENDING, coin)
    }

    /// Every coin, in the venue's order.
    pub(crate) fn coin_ids(&self) -> impl Iterator<Item = CoinId> {
        (0..u16::try_from(self.ledger.coins().len()).unwrap_or(u16::MAX)).map(CoinId)
    }

    /// The insurance pool that stands in for a coin.
    fn insurance_of(&self, coin: CoinId) -> Option<PoolId> {
        let at = self.pools.iter().position(|pool| pool.coin == coin)?;
        u16::try_from(at).ok().map(PoolId)
    }

    /// Adds to (or, negative, takes from) an insurance pool.
    pub(crate) fn feed_insurance(&mut self, pool: PoolId, change: i128) {
        if change != 0 {
            let purse = self.pool_purse(pool);
            self.ledger.credit(purse, change);
            let balance = self.wallet(purse);
            self.emit(EventKind::InsuranceFundChanged { pool, balance, change: Money(saturate(change)) });
        }
    }

    /// Tells what a purse owes.
    fn emit_loan(&mut self, purse: u32) {
        let held = self.ledger.purse(purse);
        let (account, coin, owed) = (held.account, held.coin, held.owed());
        self.ledger.note_owing(purse);
        self.emit(EventKind::BorrowChanged {
            account: AccountId(self.ledger.account(account).id),
            coin,
            borrowed: Money(saturate(owed.total())),
            spot: Money(saturate(owed.spot)),
        });
    }

    /// Tells how a coin's pool stands.
    pub(crate) fn emit_pool(&mut self, coin: CoinId) {
        let Some(spec) = self.lending_of(coin) else { return };
        let books = self.pool_books(coin);
        let utilisation = books.utilisation();
        let borrow_rate = spec.curve.borrow_rate(utilisation);
        let supply_rate = lending::supply_rate(borrow_rate, utilisation, spec.reserve);
        self.emit(EventKind::LendingPoolChanged {
            coin,
            assets: Money(saturate(books.assets())),
            loans: Money(saturate(books.loans)),
            utilisation,
            borrow_rate: Rate(borrow_rate),
            supply_rate: Rate(supply_rate),
            index: books.index(),
            strain: self.lending.strain(coin),
        });
    }
}

/// An amount that moves: positive and bounded.
pub(crate) fn positive(amount: Money) -> Result<i128, Reject> {
    (1..=MONEY_MAX).contains(&amount.0).then_some(i128::from(amount.0)).ok_or(Reject::AmountInvalid)
}
