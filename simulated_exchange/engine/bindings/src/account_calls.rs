//! The calls of the `Engine` about an account's money and standing, and about lending pools.

#![expect(clippy::too_many_arguments, reason = "a transfer has as many fields, and Python names them all")]

use exchange_core::types::{AccountId, CoinId, Money};
use exchange_core::{AccountAction, Action};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::arguments::{self, Argument};
use crate::engine::Engine;
use crate::outcome::Outcome;
use crate::views::LendingPoolView;
use crate::words::{AccountLevel, Wallet};

fn of_coin(
    account: Argument<'_, '_>,
    coin: Argument<'_, '_>,
    amount: Argument<'_, '_>,
) -> PyResult<(AccountId, CoinId, Money)> {
    let amount = Money(arguments::signed("amount", amount)?);
    Ok((arguments::account(account)?, arguments::coin(coin)?, amount))
}

#[pymethods]
impl Engine {
    /// Opens an account under another one, whose level and limits it shares.
    #[pyo3(signature = (market_ms, wall_us, *, account, main))]
    fn create_sub_account(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        main: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let action = AccountAction::CreateSubAccount {
            account: arguments::account(account)?,
            main: arguments::account(main)?,
        };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Borrows cash from a coin's pool.
    #[pyo3(signature = (market_ms, wall_us, *, account, coin, amount))]
    fn borrow(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let (account, coin, amount) = of_coin(account, coin, amount)?;
        let action = AccountAction::Borrow { account, coin, amount };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Repays a loan, amount 0 all of it; with `convert` also by selling other coins.
    #[pyo3(signature = (market_ms, wall_us, *, account, coin, amount, convert))]
    fn repay(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
        convert: bool,
    ) -> PyResult<Outcome> {
        let (account, coin, amount) = of_coin(account, coin, amount)?;
        let action = AccountAction::Repay { account, coin, amount, convert };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Lends to a coin's pool, out of the funding wallet.
    #[pyo3(signature = (market_ms, wall_us, *, account, coin, amount))]
    fn supply(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let (account, coin, amount) = of_coin(account, coin, amount)?;
        let action = AccountAction::Supply { account, coin, amount };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Takes back what was lent to a pool, amount 0 all of it, into the funding wallet.
    #[pyo3(signature = (market_ms, wall_us, *, account, coin, amount))]
    fn redeem(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
    ) -> PyResult<Outcome> {
        let (account, coin, amount) = of_coin(account, coin, amount)?;
        let action = AccountAction::Redeem { account, coin, amount };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Moves money between the wallets of an account, or of a main account and its sub-accounts.
    #[pyo3(signature = (market_ms, wall_us, *, source, target, coin, amount, from_wallet, to_wallet))]
    fn transfer(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        source: Argument<'_, '_>,
        target: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        amount: Argument<'_, '_>,
        from_wallet: Wallet,
        to_wallet: Wallet,
    ) -> PyResult<Outcome> {
        let (from, coin, amount) = of_coin(source, coin, amount)?;
        let action = AccountAction::Transfer {
            from,
            to: arguments::account(target)?,
            coin,
            amount,
            from_wallet: from_wallet.into(),
            to_wallet: to_wallet.into(),
        };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// An account begins or ends to use a coin as collateral.
    #[pyo3(signature = (market_ms, wall_us, *, account, coin, enabled))]
    fn set_collateral(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        enabled: bool,
    ) -> PyResult<Outcome> {
        let (account, coin) = (arguments::account(account)?, arguments::coin(coin)?);
        let action = AccountAction::SetCollateral { account, coin, enabled };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// The venue begins or ends to take a coin as collateral from anyone.
    #[pyo3(signature = (market_ms, wall_us, *, coin, enabled))]
    fn set_venue_collateral(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        coin: Argument<'_, '_>,
        enabled: bool,
    ) -> PyResult<Outcome> {
        let action = AccountAction::SetVenueCollateral { coin: arguments::coin(coin)?, enabled };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Switches repayment by selling other coins at every full and half hour.
    #[pyo3(signature = (market_ms, wall_us, *, account, enabled))]
    fn set_auto_repay(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        enabled: bool,
    ) -> PyResult<Outcome> {
        let action = AccountAction::SetAutoRepay { account: arguments::account(account)?, enabled };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// Sets how well the venue knows an account's owner.
    #[pyo3(signature = (market_ms, wall_us, *, account, level))]
    fn set_account_level(
        &self,
        py: Python<'_>,
        market_ms: Argument<'_, '_>,
        wall_us: Argument<'_, '_>,
        account: Argument<'_, '_>,
        level: AccountLevel,
    ) -> PyResult<Outcome> {
        let action =
            AccountAction::SetAccountLevel { account: arguments::account(account)?, level: level.into() };
        self.apply(py, market_ms, wall_us, Action::Account(action))
    }

    /// The most of a coin that may leave an account's unified wallet.
    fn transferable_amount(
        &self,
        py: Python<'_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
    ) -> PyResult<i64> {
        let (account, coin) = (arguments::account(account)?, arguments::coin(coin)?);
        self.ask(py, |exchange| exchange.transferable_amount(account, coin).0)
    }

    /// The most of a coin that limits allow an account to borrow; its margin may allow less.
    fn borrowable_amount(
        &self,
        py: Python<'_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
    ) -> PyResult<i64> {
        let (account, coin) = (arguments::account(account)?, arguments::coin(coin)?);
        self.ask(py, |exchange| exchange.borrowable_amount(account, coin).0)
    }

    /// What an account's shares in a coin's pool are worth.
    fn supplied_amount(
        &self,
        py: Python<'_>,
        account: Argument<'_, '_>,
        coin: Argument<'_, '_>,
    ) -> PyResult<i64> {
        let (account, coin) = (arguments::account(account)?, arguments::coin(coin)?);
        self.ask(py, |exchange| exchange.supplied_amount(account, coin).0)
    }

    /// A coin's lending pool.
    fn lending_pool(&self, py: Python<'_>, coin: Argument<'_, '_>) -> PyResult<LendingPoolView> {
        let coin = arguments::coin(coin)?;
        let view = self.ask(py, |exchange| exchange.lending_pool(coin))?;
        view.map(Into::into).ok_or_else(|| PyLookupError::new_err(format!("coin: {} has no pool", coin.0)))
    }
}
