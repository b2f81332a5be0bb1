//! Money: what is drawn for deposits, loans, transfers and the like.

use exchange_core::{AccountAction, AccountId, AccountLevel, Action, CoinId, Money, Wallet, SCALE};

use super::mood::Kind;
use super::{Stream, FIRST};
use crate::rounding::shown;
use crate::state::State;

impl Stream {
    /// A listed coin; now and then none.
    pub(super) fn coin(&mut self, state: &State) -> CoinId {
        let coins = u16::try_from(state.coins.len()).unwrap_or(1);
        let last = i64::from(coins) - 1;
        let listed = CoinId(u16::try_from(self.random.between(0, last)).unwrap_or(0));
        self.random.weighted(&[(60, CoinId(0)), (130, listed), (1, CoinId(coins)), (1, CoinId(u16::MAX))])
    }

    /// An amount of a coin worth up to so many whole USD; now and then rubbish.
    pub(super) fn amount_of(&mut self, state: &State, coin: CoinId, usd: i64) -> Money {
        let price = state.coin_prices.get(usize::from(coin.0)).copied().unwrap_or(0).max(1);
        let worth = i128::from(self.random.scaled(usd)) * i128::from(SCALE);
        let usual = (worth * i128::from(SCALE) / price).max(1) + i128::from(self.random.between(0, 1) * 7);
        let usual = shown(usual);
        Money(self.random.weighted(&[(95, usual), (1, 0), (1, -1), (1, i64::MAX), (1, i64::MIN), (1, 1)]))
    }

    /// A command about money.
    pub(super) fn money(&mut self, kind: Kind, state: &State) -> Action {
        let (account, coin) = (self.account(), self.coin(state));
        let action = match kind {
            Kind::Deposit => {
                let fed = self.random.once_in(10);
                let account = if fed { AccountId(100 + u32::from(coin.0)) } else { account };
                return Action::Deposit { account, coin, amount: self.amount_of(state, coin, 100_000) };
            }
            Kind::Withdraw => {
                let (account, coin, amount) = self.one_of(state, &funded(state), account, coin);
                return Action::Withdraw { account, coin, amount };
            }
            Kind::Borrow => {
                AccountAction::Borrow { account, coin, amount: self.amount_of(state, coin, 50_000) }
            }
            Kind::Repay => {
                let (account, coin) = self.debt(state, account, coin);
                let usual = self.amount_of(state, coin, 50_000);
                let amount = if self.random.percent(50) { Money(0) } else { usual };
                AccountAction::Repay { account, coin, amount, convert: self.random.percent(50) }
            }
            Kind::Supply => {
                let (account, coin, amount) = self.one_of(state, &funded(state), account, coin);
                AccountAction::Supply { account, coin, amount }
            }
            Kind::Redeem => {
                let held: Vec<(usize, CoinId, i128)> =
                    state.shares.iter().map(|((coin, place), shares)| (*place, *coin, *shares)).collect();
                let (account, coin, usual) = self.one_of(state, &held, account, coin);
                let amount = if self.random.percent(30) { Money(0) } else { usual };
                AccountAction::Redeem { account, coin, amount }
            }
            Kind::Transfer => self.transfer(state, account, coin),
            Kind::Collateral => {
                AccountAction::SetCollateral { account, coin, enabled: self.random.percent(50) }
            }
            Kind::VenueCollateral => {
                AccountAction::SetVenueCollateral { coin, enabled: self.random.percent(70) }
            }
            Kind::AutoRepay => AccountAction::SetAutoRepay { account, enabled: self.random.percent(60) },
            Kind::Level => {
                let level = self.random.pick(AccountLevel::ALL);
                let usual = if self.random.percent(80) { AccountLevel::Standard } else { level };
                AccountAction::SetAccountLevel { account, level: usual }
            }
            _ => {
                let number = u32::try_from(self.random.between(0, i64::from(self.accounts) + 3)).unwrap_or(0);
                AccountAction::CreateSubAccount { account: AccountId(FIRST + number), main: account }
            }
        };
        Action::Account(action)
    }

    /// Mostly between the two wallets of one account.
    fn transfer(&mut self, state: &State, account: AccountId, coin: CoinId) -> AccountAction {
        let to = if self.random.percent(60) { account } else { self.account() };
        let (unified, funding) = (Wallet::Unified, Wallet::Funding);
        let (from_wallet, to_wallet) = self.random.weighted(&[
            (60, (unified, funding)),
            (20, (funding, unified)),
            (15, (unified, unified)),
            (5, (funding, funding)),
        ]);
        let place = state.place_of(account.0).unwrap_or(0);
        let unified = state.spendable(place, coin);
        let there = if from_wallet == Wallet::Unified { unified } else { state.purse(place, coin).funding };
        let amount = self.part_of(state, coin, there);
        AccountAction::Transfer { from: account, to, coin, amount, from_wallet, to_wallet }
    }

    /// All or some of an amount; now and then anything.
    fn part_of(&mut self, state: &State, coin: CoinId, amount: i128) -> Money {
        if amount <= 0 || self.random.once_in(8) {
            return self.amount_of(state, coin, 50_000);
        }
        let amount = shown(amount);
        if self.random.percent(20) {
            Money(amount)
        } else {
            Money(self.random.scaled(amount))
        }
    }

    /// Some of what one of these has; mostly.
    fn one_of(
        &mut self,
        state: &State,
        holdings: &[(usize, CoinId, i128)],
        account: AccountId,
        coin: CoinId,
    ) -> (AccountId, CoinId, Money) {
        if holdings.is_empty() || self.random.once_in(8) {
            return (account, coin, self.amount_of(state, coin, 50_000));
        }
        let (place, coin, amount) = self.random.pick(holdings);
        (AccountId(state.accounts[place].id), coin, self.part_of(state, coin, amount))
    }

    /// Somebody who owes something, and what.
    fn debt(&mut self, state: &State, account: AccountId, coin: CoinId) -> (AccountId, CoinId) {
        let debts = state.all_owed();
        if debts.is_empty() || self.random.once_in(10) {
            return (account, coin);
        }
        let (place, coin, _) = self.random.pick(&debts);
        (AccountId(state.accounts[place].id), coin)
    }
}

/// Who has how much of which coin in the funding wallet.
fn funded(state: &State) -> Vec<(usize, CoinId, i128)> {
    let purses = state.purses.iter().filter(|(_, purse)| purse.funding > 0);
    purses.map(|((place, coin), purse)| (*place, *coin, purse.funding)).collect()
}
