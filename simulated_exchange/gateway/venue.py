"""What every part of the gateway works with: the driver, the read model, the catalogue, the keys, the limits.

Belongs here: the shared room and opening accounts. Does not belong here: wire shapes and transport.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulated_exchange.accounts import ApiKey, KeyStore, Member
from simulated_exchange.clock import wall_ms
from simulated_exchange.coins import Coins
from simulated_exchange.driver import Driver, Reject, Side, TriggerBy
from simulated_exchange.gateway.faults import Faults
from simulated_exchange.instruments import SCALE, Catalogue, Instrument, RiskTier
from simulated_exchange.ledger import Ledger
from simulated_exchange.ledger.accounts import AccountMemory
from simulated_exchange.ledger.samples import InterestSamples, PriceSamples
from simulated_exchange.request_book import RequestBook
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
        coins: Coins | None = None,
        book: RequestBook | None = None,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.driver = driver
        self.ledger = ledger
        self.catalogue = catalogue
        self.coins = coins or Coins([])
        self.settled: dict[str, set[int]] = {}  # instruments by the coin they settle in
        for instrument in catalogue:
            self.settled.setdefault(instrument.settle, set()).add(instrument.index)
        self.book = book or RequestBook()
        self.book.settle(self.movement_count)
        self.keys = keys
        self.limits = limits
        self.is_sim_enabled = is_sim_enabled
        self.scenario_report = scenario_report
        self._scenario_begin = scenario_begin
        self.now_ms = now_ms
        self.samples = PriceSamples(len(catalogue))
        self.interest = InterestSamples(len(catalogue))
        self.faults = Faults()

    def movement_count(self, kind: str, account: int) -> int:
        """How many transfers or withdrawals of an account the ledger knows."""
        money = self.memory(account).money
        return money.transfer_count if kind == "transfer" else money.withdrawal_count

    def usd_price(self, coin: int) -> int:
        """What a coin costs in USD; 0 while nobody said."""
        return self.ledger.coin_prices.get(coin, self.coins[coin].opening_price)

    def trigger_basis(self, instrument: int, trigger_by: TriggerBy) -> int:
        """The price that a trigger looks at; the mark before the first trade."""
        prices = self.driver.prices(instrument)
        if trigger_by == TriggerBy.IndexPrice:
            return prices.index
        return prices.mark if trigger_by == TriggerBy.MarkPrice else prices.last or prices.mark

    def tiers(self, instrument: Instrument) -> Sequence[RiskTier]:
        """The risk limits in force."""
        if instrument.index not in self.ledger.changed_tiers:
            return instrument.tiers
        view = self.driver.engine.instruments()[instrument.index]
        return tuple(RiskTier(limit, most * (SCALE // 100), rate) for limit, most, rate in view.tiers)

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
            if self.interest.is_due(instrument.index, market_ms):
                self.interest.add(instrument.index, market_ms, *self.open_interest(instrument))
            market = self.ledger.markets[instrument.index]
            self.samples.add(
                instrument.index, now_ms, market_ms, market.index_price, market.mark_price, market.last_price
            )

    def open_interest(self, instrument: Instrument) -> tuple[int, int, int]:
        """Sum of the long positions, and how many accounts are long and short."""
        if instrument.is_spot:
            return 0, 0, 0
        index, places = instrument.index, self.driver.adl_places
        interest = self.driver.prices(index).open_interest
        return interest, len(places(index, Side.Buy)), len(places(index, Side.Sell))

    def set_index(self, instrument: Instrument, price: int) -> None:
        """Put every source of an index to one price."""
        for source in range(len(instrument.index_sources)):
            self.driver.set_index_source(instrument=instrument.index, source=source, price=price)
