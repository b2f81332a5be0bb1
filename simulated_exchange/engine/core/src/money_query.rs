//! Queries about money: accounts and their coins, what may be moved or borrowed, lending pools. They change nothing.

use crate::collateral::usd_floor;
use crate::exchange::Exchange;
use crate::fixed::saturate;
use crate::lending;
use crate::types::{AccountId, CoinId, MarginMode, Money, Price, Rate};
use crate::view::{AccountView, CoinView, LendingPoolView};

fn money(amount: i128) -> Money {
    Money(saturate(amount))
}

impl Exchange {
    /// An account's figures in USD.
    pub fn account(&self, account: AccountId) -> Option<AccountView> {
        let place = self.ledger.find(account.0)?;
        let owner = self.ledger.account(place);
        let worth = owner.worth;
        let is_cross = owner.margin_mode == MarginMode::Cross;
        let mut view = AccountView {
            margin_balance: money(worth.balance),
            available: money(worth.available()),
            initial_margin: money(worth.initial),
            maintenance_margin: money(worth.maintenance),
            initial_rate: is_cross.then(|| worth.initial_rate()),
            maintenance_rate: is_cross.then(|| worth.maintenance_rate()),
            main: AccountId(self.ledger.account(self.profiles.main(place)).id),
            level: self.profiles.level(place),
            auto_repay: self.profiles.repays_itself(place),
            withdrawal_room: money(self.profiles.withdrawal_room(place, self.market_ms)),
            ..AccountView::default()
        };
        let add = |sum: &mut Money, amount: i128| sum.0 = sum.0.saturating_add(saturate(amount));
        for purse in self.ledger.purses_of(place) {
            let held = self.ledger.purse(purse);
            let usd = |amount: i128| usd_floor(amount, self.ledger.coin_price(held.coin));
            add(&mut view.wallet_balance, usd(held.wallet - held.extras().spot_borrow));
            let unrealised = self.unrealised_of(purse);
            add(&mut view.equity, usd(held.wallet - held.extras().spot_borrow + unrealised));
            add(&mut view.unrealised_pnl, usd(unrealised));
            add(&mut view.borrowed, self.in_usd(held.coin, held.extras().borrowed));
            add(&mut view.position_margin, self.in_usd(held.coin, held.margin.position_initial));
            add(&mut view.order_margin, self.in_usd(held.coin, held.margin.order_initial));
        }
        Some(view)
    }

    /// An account's coins, by coin.
    pub fn coins(&self, account: AccountId) -> Vec<CoinView> {
        let Some(place) = self.ledger.find(account.0) else { return Vec::new() };
        self.ledger.purses_of(place).into_iter().map(|purse| self.view_coin(purse)).collect()
    }

    /// Profit at the marks of what settles in a purse's coin, isolated positions included.
    fn unrealised_of(&self, purse: u32) -> i128 {
        let held = self.ledger.purse(purse);
        if held.extras().isolated == 0 {
            return held.margin.unrealised;
        }
        let slots = self.ledger.slots_of(held.account).into_iter().map(|slot| self.ledger.slot(slot));
        slots.filter(|slot| slot.purse == purse).map(|slot| i128::from(slot.margin.unrealised)).sum()
    }

    fn view_coin(&self, purse: u32) -> CoinView {
        let held = self.ledger.purse(purse);
        let unrealised = self.unrealised_of(purse);
        let equity = held.wallet - held.extras().spot_borrow + unrealised;
        let margin = &held.margin;
        let price = self.ledger.coin_price(held.coin);
        let is_cross = self.ledger.account(held.account).margin_mode == MarginMode::Cross;
        let free = if is_cross { held.spendable() } else { held.isolated_free() };
        CoinView {
            coin: held.coin,
            wallet_balance: money(held.wallet),
            equity: money(equity),
            unrealised_pnl: money(unrealised),
            position_margin: money(margin.position_initial),
            order_margin: money(margin.order_initial),
            maintenance_margin: money(margin.maintenance),
            isolated_margin: money(held.extras().isolated),
            locked: money(held.extras().locked),
            funding_balance: money(held.extras().funding),
            borrowed: money(held.extras().borrowed),
            spot_borrowed: money(held.extras().spot_borrow),
            interest_due: money(self.interest_due(purse)),
            free: money(free),
            is_collateral: held.is_collateral,
            collateral_value: money(held.worth().balance),
            usd_value: money(usd_floor(equity, price)),
            usd_price: Price(price),
        }
    }

    /// What the next hour of interest would take if it were charged now.
    fn interest_due(&self, purse: u32) -> i128 {
        let held = self.ledger.purse(purse);
        let Some(spec) = self.lending_of(held.coin).filter(|_| held.extras().borrowed > 0) else { return 0 };
        let rate = spec.curve.borrow_rate(self.pool_books(held.coin).utilisation());
        let (_, rate, bearing) = self.loan_terms(purse, rate);
        lending::interest(bearing, rate, 1)
    }

    /// The most of a coin that may leave an account's unified wallet.
    pub fn transferable_amount(&self, account: AccountId, coin: CoinId) -> Money {
        let owner = self.ledger.find(account.0);
        let purse = owner.and_then(|owner| self.ledger.find_purse(owner, coin));
        purse.map_or(Money(0), |purse| money(self.transferable(purse)))
    }

    /// The most of a coin that limits allow an account to borrow; its margin may allow less.
    pub fn borrowable_amount(&self, account: AccountId, coin: CoinId) -> Money {
        let known = usize::from(coin.0) < self.ledger.coins().len();
        let owner = self.ledger.find(account.0).filter(|_| known);
        owner.map_or(Money(0), |owner| money(self.borrowable(owner, coin)))
    }

    /// What an account's shares in a coin's pool are worth.
    pub fn supplied_amount(&self, account: AccountId, coin: CoinId) -> Money {
        let known = usize::from(coin.0) < self.ledger.coins().len();
        let owner = self.ledger.find(account.0).filter(|_| known);
        owner.map_or(Money(0), |owner| self.supplied(owner, coin))
    }

    /// A coin's lending pool; `None` where there is none.
    pub fn lending_pool(&self, coin: CoinId) -> Option<LendingPoolView> {
        self.known_coin(coin).ok()?;
        let spec = self.lending_of(coin)?;
        let books = self.pool_books(coin);
        let utilisation = books.utilisation();
        let borrow_rate = spec.curve.borrow_rate(utilisation);
        Some(LendingPoolView {
            coin,
            assets: money(books.assets()),
            cash: money(books.cash),
            loans: money(books.loans),
            lendable: money(books.lendable(spec.cap).min(books.cash)),
            redeemable: money(books.redeemable()),
            utilisation,
            borrow_rate: Rate(borrow_rate),
            supply_rate: Rate(lending::supply_rate(borrow_rate, utilisation, spec.reserve)),
            index: books.index(),
            strain: self.lending.strain(coin),
        })
    }
}
