"""The one owner of the engine: commands in, events out after they are durable.

Belongs here: stamping both clocks onto commands, handing events on. Does not belong here: rules (the
engine's), the group commit (`driver_commits`), wire shapes (`gateway`), prices (`scenario`). Only this module
and those beside it (`driver_...`) import `_engine`; others take the engine's types from here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
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
    PlainReader,
    PlainRequest,
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
    SignedPost,
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
    http_answer,
    signed_post,
    whole_messages,
)
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver_accounts import AccountCalls
from simulated_exchange.driver_commits import EVENTS_PENDING_MAX, GroupCommit, Happened
from simulated_exchange.driver_markets import MarketCalls
from simulated_exchange.driver_orders import OrderCalls
from simulated_exchange.driver_positions import PositionCalls
from simulated_exchange.errors import (
    ConfigurationError,
    InvariantBrokenError,
    JournalFailedError,
    JournalUnreadableError,
)

__all__ = [
    "EVENTS_PENDING_MAX",
    "JOURNAL_FAILURES",
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
    "Happened",
    "InstrumentStatus",
    "JournalError",
    "LendingPoolView",
    "MarginMode",
    "MarkSource",
    "OrderSettings",
    "OrderType",
    "OrderView",
    "Outcome",
    "PlainReader",
    "PlainRequest",
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
    "SignedPost",
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
    "events_of",
    "genesis_problem",
    "http_answer",
    "replayed_events",
    "signed_post",
    "verify_journal_file",
    "whole_messages",
]

Callback = Callable[[Sequence[Event]], None]

JOURNAL_FAILURES = (JournalFailedError, JournalError)
"""What commands raise once the journal has failed: until the loop has heard of it, the engine's own error."""


def events_of(happened: Happened) -> Sequence[Event]:
    """The events as objects."""
    return happened.events() if isinstance(happened, BatchOutcome) else happened


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


def genesis_problem(genesis_json: str) -> str | None:
    """Why the engine does not open with this, if it does not; begins with the path of the field."""
    try:
        Engine.create(genesis_json, None, "none")
    except GenesisError as error:
        return str(error)
    return None


def verify_journal_file(
    journal_path: Path, progress: Callable[[int, int, int], object] | None = None
) -> Verification:
    """Replay a journal and recompute every invariant after every command; changes nothing.

    `progress` is told commands, bytes and all bytes, now and then.
    """
    return Engine.verify(str(journal_path), progress=progress)


class Driver(AccountCalls, OrderCalls, PositionCalls, MarketCalls):
    """Sole owner of the engine. All methods belong to the loop's thread; the disk works beside it."""

    def __init__(
        self, engine: Engine, clock: MarketClock, durability: str, recovery: Recovery | None
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.recovery = recovery
        self.source_prices = {}
        self.commits = GroupCommit(engine, is_beside_loop=durability == "fsync")
        self._market_ms = engine.market_ms()
        self._subscribers: list[Callback] = []
        self._postponed: Callable[[], None] | None = None

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
        """Call with events once they are durable."""
        self.commits.listen(lambda batches: callback(list(chain(*map(events_of, batches)))))

    def subscribe_batches(self, callback: Callable[[Sequence[Happened]], None]) -> None:
        """Call with what happened once it is durable; what leaves the venue listens here. Events are objects
        only when somebody makes them (`events_of`).
        """
        self.commits.listen(callback)

    def market_ms(self) -> int:
        """Market time; never goes backwards, across restarts neither."""
        self._market_ms = max(self._market_ms, self.clock.market_ms())
        return self._market_ms

    # -- commands --------------------------------------------------------------------------------------------

    def postpone(self, work: Callable[[], None]) -> None:
        """Do this in the loop's next turn, or before the next command if that comes first."""
        self.settle()
        self._postponed = work
        asyncio.get_running_loop().call_soon(self.settle)

    def settle(self) -> None:
        """Do now what was postponed."""
        work, self._postponed = self._postponed, None
        if work is not None:
            work()

    def advance_time(self) -> Outcome:
        """Let market time act: samples, staleness, funding, coming risk limits, liquidations."""
        return self._applied_with(self.engine.advance_time(*self._times()))

    def apply_batch(self, records: bytes) -> BatchOutcome:
        """Fixed-size command records; the layout stands in the engine's stub."""
        self.settle()
        self.commits.check()
        outcome = self.engine.apply_batch(records)
        self._publish(outcome)
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
        await self.commits.committed()

    def when_durable(
        self, callback: Callable[[], None], otherwise: Callable[[], None] = lambda: None
    ) -> None:
        """Call once everything applied so far is durable: now, or after a commit, in the order of asking.
        `otherwise` is called instead when it never will be.
        """
        self.commits.when_durable(callback, otherwise)

    async def run(self) -> None:
        """The group commit, for as long as the venue lives. Ends by failing."""
        await self.commits.run()

    def commit(self) -> None:
        """Make everything durable and hand it out now; for runs without a loop."""
        self.commits.commit()

    def close(self) -> None:
        """Make everything durable and hand out what is left; the loop's commit task has ended before."""
        self.commits.close()

    def _times(self) -> tuple[int, int]:
        if self._postponed is not None:
            self.settle()
        self.commits.check()
        clock = self.clock
        market_ms = clock.market_ms()
        market_ms = max(market_ms, self._market_ms)
        self._market_ms = market_ms
        return market_ms, clock.wall_us()

    def _applied_with(self, outcome: Outcome) -> Outcome:
        events = outcome.events
        self.commits.note(events, len(events))
        for callback in self._subscribers:
            callback(events)
        return outcome

    def _publish(self, outcome: BatchOutcome) -> None:
        self.commits.note(outcome, outcome.event_count)
        if self._subscribers:
            events = outcome.events()
            for callback in self._subscribers:
                callback(events)
