"""The one owner of the engine: commands in, events out after they are durable.

Belongs here: stamping both clocks onto commands, the group commit, handing events on. Does not belong here:
rules (the engine's), wire shapes (`gateway`), prices (`scenario`). Only this module and the calls by subject
beside it (`driver_...`) import `_engine`; others take the engine's types from here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulated_exchange._engine import (
    AccountLevel,
    AccountView,
    AdlAlertView,
    BatchOutcome,
    CancelReason,
    CoinConservation,
    CoinView,
    Conservation,
    CreateType,
    Engine,
    Event,
    FillKind,
    FundingView,
    GenesisError,
    InstrumentStatus,
    InvariantError,
    JournalError,
    LendingPoolView,
    MarginMode,
    MarkSource,
    OrderSettings,
    OrderType,
    OrderView,
    Outcome,
    PoolView,
    PositionIndex,
    PositionMode,
    PositionView,
    PriceView,
    ProductClass,
    Recovery,
    Reject,
    RepayReason,
    SelfMatch,
    Side,
    StopKind,
    Strain,
    Terms,
    TimeInForce,
    TpSlMode,
    TriggerBy,
    TriggerDirection,
    Verification,
    Wallet,
    WalletReason,
)
from simulated_exchange.clock import MarketClock
from simulated_exchange.disk import DiskThread
from simulated_exchange.driver_accounts import AccountCalls
from simulated_exchange.driver_markets import MarketCalls
from simulated_exchange.driver_orders import OrderCalls
from simulated_exchange.driver_positions import PositionCalls
from simulated_exchange.errors import (
    ConfigurationError,
    InvariantBrokenError,
    JournalFailedError,
    JournalUnreadableError,
    VenueBusyError,
)

__all__ = [
    "EVENTS_PENDING_MAX",
    "AccountLevel",
    "AccountView",
    "AdlAlertView",
    "BatchOutcome",
    "CancelReason",
    "CoinConservation",
    "CoinView",
    "Conservation",
    "CreateType",
    "Driver",
    "DriverSettings",
    "Event",
    "FillKind",
    "FundingView",
    "InstrumentStatus",
    "JournalError",
    "LendingPoolView",
    "MarginMode",
    "MarkSource",
    "OrderSettings",
    "OrderType",
    "OrderView",
    "Outcome",
    "PoolView",
    "PositionIndex",
    "PositionMode",
    "PositionView",
    "PriceView",
    "ProductClass",
    "Recovery",
    "Reject",
    "RepayReason",
    "SelfMatch",
    "Side",
    "StopKind",
    "Strain",
    "Terms",
    "TimeInForce",
    "TpSlMode",
    "TriggerBy",
    "TriggerDirection",
    "Verification",
    "Wallet",
    "WalletReason",
    "engine_errors",
    "replayed_events",
    "verify_journal_file",
]

EVENTS_PENDING_MAX = 500_000  # events that may wait for the journal before commands are refused
COMMIT_SECONDS_MAX = 30.0  # a disk that takes longer counts as broken
LAST_COMMIT_SECONDS_MAX = 2.0  # as much as a venue that closes has time for

Callback = Callable[[Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """How an engine is opened. Without `journal_path` nothing is kept (tests, replays)."""

    genesis_json: str
    clock: MarketClock
    journal_path: Path | None = None
    durability: Literal["fsync", "os", "none"] = "fsync"


def replayed_events(journal_path: Path, snapshot_commands: int = 0) -> Iterator[list[Event]]:
    """What happened so far, or since a snapshot, told again from the journal; changes nothing."""
    for batch in Engine.replay(str(journal_path), snapshot_commands=snapshot_commands):
        yield batch.events()


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Failures of the engine as failures of the venue, each with its exit status."""
    try:
        yield
    except GenesisError as error:
        raise ConfigurationError([f"instruments: {error}"]) from error
    except JournalError as error:
        raise JournalUnreadableError(str(error)) from error
    except InvariantError as error:
        raise InvariantBrokenError(str(error)) from error


def verify_journal_file(journal_path: Path) -> Verification:
    """Replay a journal and recompute every invariant after every command; changes nothing."""
    return Engine.verify(str(journal_path))


class Driver(AccountCalls, OrderCalls, PositionCalls, MarketCalls):
    """Sole owner of the engine. All methods belong to the loop's thread; only the commit runs beside it."""

    def __init__(
        self, engine: Engine, clock: MarketClock, durability: str, recovery: Recovery | None
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.recovery = recovery
        self.source_prices = {}
        self._commits_beside_loop = durability == "fsync"
        self._market_ms = engine.market_ms()
        self._applied = 0
        self._durable = 0
        self._pending: list[Event] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._subscribers: list[Callback] = []
        self._durable_subscribers: list[Callback] = []
        self._wake = asyncio.Event()
        self._failure: JournalFailedError | None = None
        self._deferred: deque[tuple[int, Callable[[], None], Callable[[], None]]] = deque()
        self._thread = DiskThread("commit")

    @classmethod
    def open(cls, settings: DriverSettings) -> Driver:
        """Create the engine with a new journal, or recover it from the journal that is there."""
        path = settings.journal_path
        if path is not None and path.exists():
            engine, recovery = Engine.recover(str(path), settings.durability)
            return cls(engine, settings.clock, settings.durability, recovery)
        engine = Engine.create(settings.genesis_json, str(path) if path else None, settings.durability)
        return cls(engine, settings.clock, settings.durability, None)

    def subscribe(self, callback: Callback) -> None:
        """Call with the events of every command as soon as it is applied; inside the venue only."""
        self._subscribers.append(callback)

    def subscribe_durable(self, callback: Callback) -> None:
        """Call with events once they are durable; what leaves the venue listens here."""
        self._durable_subscribers.append(callback)

    def market_ms(self) -> int:
        """Market time; never goes backwards, across restarts neither."""
        self._market_ms = max(self._market_ms, self.clock.market_ms())
        return self._market_ms

    # -- commands --------------------------------------------------------------------------------------------

    def advance_time(self) -> Outcome:
        """Let market time act: samples, staleness, funding, coming risk limits, liquidations."""
        return self._applied_with(self.engine.advance_time(*self._times()))

    def apply_batch(self, records: bytes) -> BatchOutcome:
        """Fixed-size command records; the layout stands in the engine's stub."""
        self._refuse_when_behind()
        outcome = self.engine.apply_batch(records)
        self._publish(outcome.events())
        return outcome

    # -- queries ---------------------------------------------------------------------------------------------

    def book(self, instrument: int, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best levels, bids falling, asks rising: (price, qty)."""
        return self.engine.book(instrument, levels)

    def best(self, instrument: int) -> tuple[int, int, int, int]:
        """Bid price, bid qty, ask price, ask qty; 0 where there is none."""
        return self.engine.best(instrument)

    def order(self, order_id: int) -> OrderView | None:
        """A live order."""
        return self.engine.order(order_id)

    def open_orders(self, account: int, instrument: int | None = None) -> list[OrderView]:
        """The live orders of an account."""
        return self.engine.open_orders(account, instrument)

    def conservation(self) -> Conservation:
        """Whether money and positions add up."""
        return self.engine.conservation()

    def command_count(self) -> int:
        """Commands so far, refused ones included."""
        return self.engine.command_count()

    def state_hash(self) -> str:
        """Digest of the whole state; equal for equal journals."""
        return self.engine.state_hash()

    # -- durability ------------------------------------------------------------------------------------------

    async def committed(self) -> None:
        """Return when everything applied so far is durable. Raises JournalFailedError if it never will be."""
        if self._failure is not None:
            raise self._failure
        if self._durable >= self._applied:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((self._applied, waiter))
        await waiter

    def when_durable(
        self, callback: Callable[[], None], otherwise: Callable[[], None] = lambda: None
    ) -> None:
        """Call once everything applied so far is durable: now, or after a commit, in the order of asking.
        `otherwise` is called instead when it never will be.
        """
        if self._failure is not None:
            otherwise()
        elif self._durable >= self._applied:
            callback()
        else:
            self._deferred.append((self._applied, callback, otherwise))

    async def run(self) -> None:
        """The group commit: one commit at a time covers everything applied meanwhile. Ends by failing."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._durable < self._applied:
                applied, events = self._applied, self._pending
                self._pending = []
                try:
                    if self._commits_beside_loop:
                        await self._synced()
                    else:
                        self.engine.sync()
                except Exception as error:
                    self._fail(error)
                    raise self._failure from error  # type: ignore[misc]
                self._release(applied, events)

    async def _synced(self) -> None:
        """Return when the disk has it. Raises what the journal raises, or TimeoutError."""
        done = self._thread.ask_from_loop(self.engine.sync)
        late = asyncio.get_running_loop().call_later(COMMIT_SECONDS_MAX, _give_up, done)
        try:
            await done
        finally:
            late.cancel()

    def commit(self) -> None:
        """Make everything durable and hand it out now; for runs without a loop."""
        events, self._pending = self._pending, []
        self.engine.sync()
        self._release(self._applied, events)

    def close(self) -> None:
        """Make everything durable and hand out what is left; the loop's commit task has ended before."""
        try:
            if self._failure is None and self._durable < self._applied:
                events, self._pending = self._pending, []
                self._thread.ask(self.engine.sync).result(LAST_COMMIT_SECONDS_MAX)
                self._release(self._applied, events)
        except TimeoutError as error:
            self._fail(error)
            raise self._failure from error  # type: ignore[misc]
        finally:
            self._thread.close()

    def _times(self) -> tuple[int, int]:
        self._refuse_when_behind()
        return self.market_ms(), self.clock.wall_us()

    def _refuse_when_behind(self) -> None:
        if self._failure is not None:
            raise self._failure
        if len(self._pending) > EVENTS_PENDING_MAX:
            raise VenueBusyError(f"more than {EVENTS_PENDING_MAX} events wait for the journal")

    def _applied_with(self, outcome: Outcome) -> Outcome:
        self._publish(outcome.events)
        return outcome

    def _publish(self, events: Sequence[Event]) -> None:
        self._applied += 1
        self._pending.extend(events)
        self._wake.set()
        for callback in self._subscribers:
            callback(events)

    def _release(self, applied: int, events: list[Event]) -> None:
        """Wake who waits first, so that an acknowledgement is written before the streams that follow it."""
        self._durable = applied
        waiting = self._waiters
        self._waiters = [entry for entry in waiting if entry[0] > applied]
        for number, waiter in waiting:
            if number <= applied and not waiter.done():
                waiter.set_result(None)
        for callback in self._durable_subscribers:
            callback(events)
        while self._deferred and self._deferred[0][0] <= applied:
            self._deferred.popleft()[1]()

    def _fail(self, error: Exception) -> None:
        cause = "the disk does not answer" if isinstance(error, TimeoutError) else error
        self._failure = JournalFailedError(f"the journal cannot be written any more: {cause}")
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self._failure)
        self._waiters = []
        while self._deferred:
            self._deferred.popleft()[2]()


def _give_up(done: asyncio.Future[int]) -> None:
    if not done.done():
        done.set_exception(TimeoutError())
