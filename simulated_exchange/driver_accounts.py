"""The driver's calls about accounts and their money: one engine command or query each.

Belongs here: the engine's account commands with both clocks stamped on. Does not belong here: rules (the
engine's), whether a transfer's own identifier is fresh (the gateway's), durability (`driver`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from simulated_exchange._engine import (
    AccountLevel,
    AccountView,
    CoinView,
    Engine,
    LendingPoolView,
    Outcome,
    Wallet,
)

__all__ = ["AccountCalls"]


class AccountCalls(ABC):
    """What the driver can be asked about accounts. Amounts are fixed point; coins are numbers."""

    engine: Engine

    @abstractmethod
    def _times(self) -> tuple[int, int]:
        """Both clocks, for the next command."""

    @abstractmethod
    def _applied_with(self, outcome: Outcome) -> Outcome:
        """Hand on what a command made happen."""

    # -- commands --------------------------------------------------------------------------------------------

    def create_account(self, account: int) -> Outcome:
        """Open an account."""
        return self._applied_with(self.engine.create_account(*self._times(), account))

    def create_sub_account(self, *, account: int, main: int) -> Outcome:
        """Open an account under another, whose level and limits it shares."""
        return self._applied_with(self.engine.create_sub_account(*self._times(), account=account, main=main))

    def deposit(self, account: int, amount: int, coin: int = 0) -> Outcome:
        """Put money into a unified wallet; coin 0 is the first listed."""
        return self._applied_with(self.engine.deposit(*self._times(), account, coin, amount))

    def withdraw(self, account: int, amount: int, coin: int = 0) -> Outcome:
        """Take money out of a funding wallet; coin 0 is the first listed."""
        return self._applied_with(self.engine.withdraw(*self._times(), account, coin, amount))

    def transfer(
        self,
        *,
        source: int,
        target: int,
        coin: int,
        amount: int,
        from_wallet: Wallet,
        to_wallet: Wallet,
    ) -> Outcome:
        """Move money between the wallets of an account, or of a main account and its sub-accounts."""
        outcome = self.engine.transfer(
            *self._times(),
            source=source,
            target=target,
            coin=coin,
            amount=amount,
            from_wallet=from_wallet,
            to_wallet=to_wallet,
        )
        return self._applied_with(outcome)

    def borrow(self, *, account: int, coin: int, amount: int) -> Outcome:
        """Borrow cash from a coin's pool."""
        return self._applied_with(
            self.engine.borrow(*self._times(), account=account, coin=coin, amount=amount)
        )

    def repay(self, *, account: int, coin: int, amount: int = 0, convert: bool = False) -> Outcome:
        """Repay a loan, without an amount all of it; with `convert` also by selling other coins."""
        outcome = self.engine.repay(
            *self._times(), account=account, coin=coin, amount=amount, convert=convert
        )
        return self._applied_with(outcome)

    def supply(self, *, account: int, coin: int, amount: int) -> Outcome:
        """Lend to a coin's pool, out of the funding wallet."""
        return self._applied_with(
            self.engine.supply(*self._times(), account=account, coin=coin, amount=amount)
        )

    def redeem(self, *, account: int, coin: int, amount: int = 0) -> Outcome:
        """Take back what was lent to a pool, without an amount all of it, into the funding wallet."""
        return self._applied_with(
            self.engine.redeem(*self._times(), account=account, coin=coin, amount=amount)
        )

    def set_collateral(self, *, account: int, coin: int, enabled: bool) -> Outcome:
        """Begin or end to use a coin as collateral."""
        return self._applied_with(
            self.engine.set_collateral(*self._times(), account=account, coin=coin, enabled=enabled)
        )

    def set_venue_collateral(self, *, coin: int, enabled: bool) -> Outcome:
        """Begin or end to take a coin as collateral from anyone."""
        return self._applied_with(
            self.engine.set_venue_collateral(*self._times(), coin=coin, enabled=enabled)
        )

    def set_auto_repay(self, *, account: int, enabled: bool) -> Outcome:
        """Switch repayment by selling other coins at every full and half hour."""
        return self._applied_with(
            self.engine.set_auto_repay(*self._times(), account=account, enabled=enabled)
        )

    def set_account_level(self, *, account: int, level: AccountLevel) -> Outcome:
        """Set how well the venue knows an account's owner."""
        return self._applied_with(self.engine.set_account_level(*self._times(), account=account, level=level))

    def set_coin_price(self, *, coin: int, price: int) -> Outcome:
        """Report the price of a coin in USD."""
        return self._applied_with(self.engine.set_coin_price(*self._times(), coin=coin, price=price))

    # -- queries ---------------------------------------------------------------------------------------------

    def account(self, account: int) -> AccountView:
        """Balance and margin of an account as they are now, in USD."""
        return self.engine.account(account)

    def purses(self, account: int) -> list[CoinView]:
        """An account's coins, by coin."""
        return self.engine.purses(account)

    def lending_pool(self, coin: int) -> LendingPoolView:
        """A coin's lending pool. Raises LookupError where there is none."""
        return self.engine.lending_pool(coin)

    def transferable_amount(self, account: int, coin: int) -> int:
        """The most of a coin that may leave an account's unified wallet."""
        return self.engine.transferable_amount(account, coin)

    def borrowable_amount(self, account: int, coin: int) -> int:
        """The most of a coin that limits allow an account to borrow; its margin may allow less."""
        return self.engine.borrowable_amount(account, coin)

    def supplied_amount(self, account: int, coin: int) -> int:
        """What an account's shares in a coin's pool are worth."""
        return self.engine.supplied_amount(account, coin)
