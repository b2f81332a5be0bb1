"""What every part of the gateway works with: the driver, the read model, the catalogue, the keys, the limits.

Belongs here: the shared room and opening accounts. Does not belong here: wire shapes and transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulated_exchange.accounts import ApiKey, KeyStore, Member
from simulated_exchange.clock import wall_ms
from simulated_exchange.driver import Driver, Reject
from simulated_exchange.gateway.faults import Faults
from simulated_exchange.instruments import Catalogue, Instrument
from simulated_exchange.ledger import Ledger
from simulated_exchange.ledger.accounts import AccountMemory
from simulated_exchange.ledger.samples import PriceSamples
from simulated_exchange.settings import GatewaySettings

__all__ = ["SETTLE_COIN", "Venue"]

SETTLE_COIN = "USDT"


class Venue:
    """One running venue."""

    def __init__(
        self,
        *,
        driver: Driver,
        ledger: Ledger,
        catalogue: Catalogue,
        keys: KeyStore,
        limits: GatewaySettings,
        is_sim_enabled: bool,
        scenario_report: Callable[[], dict[str, Any]],
        scenario_begin: Callable[[], None] = lambda: None,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.driver = driver
        self.ledger = ledger
        self.catalogue = catalogue
        self.keys = keys
        self.limits = limits
        self.is_sim_enabled = is_sim_enabled
        self.scenario_report = scenario_report
        self._scenario_begin = scenario_begin
        self.now_ms = now_ms
        self.samples = PriceSamples(len(catalogue))
        self.faults = Faults()

    def memory(self, account: int) -> AccountMemory:
        """What is remembered of an account that has a key."""
        return self.ledger.watch(account)

    def open_account(self, name: str, deposit: int) -> ApiKey:
        """A key and its account with an opening deposit. Raises ValueError for an unusable name."""
        key = self.keys.create(name, self.now_ms())
        member = self.keys.member(key.account)
        assert member is not None
        self.establish(member, deposit)
        return key

    def open_sub_account(self, main: int, name: str, note: str = "") -> Member:
        """A sub-account without a key. Raises ValueError for an unusable name."""
        member = self.keys.create_sub(main, name, self.now_ms(), note)
        self.establish(member)
        return member

    def establish(self, member: Member, deposit: int = 0) -> None:
        """Make sure that the engine has this member's account; a new one gets the deposit."""
        account = member.account
        self.ledger.watch(account)
        if member.main:
            outcome = self.driver.create_sub_account(account=account, main=member.main)
        else:
            outcome = self.driver.create_account(account)
        if outcome.reject is None and deposit:
            self.driver.deposit(account, deposit)
        elif outcome.reject not in (None, Reject.AccountExists):
            raise ValueError(f"account {account} cannot be opened: {outcome.reject}")

    def play(self) -> None:
        """Let a held market clock run."""
        if self.driver.clock.is_held:
            self.driver.clock.play()
            self._scenario_begin()

    def pause(self) -> None:
        """Hold the market clock: no time passes, so no scenario trades and no funding falls due."""
        self.driver.clock.hold()

    def sample_prices(self) -> None:
        """Remember index, mark and last of now."""
        now_ms, market_ms = self.now_ms(), self.driver.market_ms()
        for instrument in self.catalogue:
            market = self.ledger.markets[instrument.index]
            self.samples.add(
                instrument.index, now_ms, market_ms, market.index_price, market.mark_price, market.last_price
            )

    def set_index(self, instrument: Instrument, price: int) -> None:
        """Put every source of an index to one price."""
        for source in range(len(instrument.index_sources)):
            self.driver.set_index_source(instrument=instrument.index, source=source, price=price)
