"""Many followers in one process: shared prices, one start, one end.

Belongs here: building ports from settings, signals, the exit status. Does not belong here: one follower's
inside (`follower`), output for people (`cli`).
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from follower_client.core.snapshot import Instrument
from follower_client.disk import Disk
from follower_client.errors import (
    ConfigurationError,
    FollowerError,
    StoreError,
    TryAgainError,
    VenueUnavailableError,
)
from follower_client.failpoint import Failpoints
from follower_client.follower import CLOSE_LIMIT_S, STOP_LIMIT_S, Follower
from follower_client.reading import read_secret
from follower_client.rounds import Rounds
from follower_client.service import heartbeat, notify
from follower_client.settings import DEFAULT_SYMBOLS, FollowerSettings
from follower_client.store import Store
from follower_client.venue.ccxt_adapter import (
    CCXT_FAILURES,
    CcxtAdapter,
    CcxtTransport,
    load_instruments,
    make_exchange,
)
from follower_client.venue.market_data import MarketData
from follower_client.venue.market_news import MarketNews
from follower_client.venue.paper_adapter import PaperAdapter
from follower_client.venue.port import VenuePort
from follower_client.venue.transport import Address, Transport
from follower_client.venue.v5_account import V5Account
from follower_client.venue.v5_adapter import DirectTransport

__all__ = ["Market", "held_symbols", "live_port", "private_transport", "serve", "serve_started"]

START_LIMIT_S = 30.0  # of prices, and of each follower
START_TOGETHER = 16  # more at once, and connections wait for each other longer than they may

log = structlog.get_logger(__name__)


class Market:
    """Prices and instruments of one venue, and the public connection they come over."""

    def __init__(self, group: Sequence[FollowerSettings]) -> None:
        venue = group[0].venue
        self.symbols = sorted({symbol for settings in group for symbol in settings.policy.symbols})
        self._held = {settings.follower.id: held_symbols(settings) for settings in group}
        depth = any(settings.venue.kind == "paper" for settings in group)
        self.exchange: Any = make_exchange(venue.rest_url, venue.ws_url)
        self.depth = depth
        self.news_every_s = min(settings.watch.look_every_s for settings in group)
        self.instruments: dict[str, Instrument] = {}
        self.data: MarketData | None = None
        self.address = Address()

    async def start(self) -> MarketData:
        held = frozenset[str]().union(*self._held.values())
        self.instruments = await load_instruments(self.exchange, sorted({*self.symbols, *held}))
        self.data = MarketData(self.exchange, CCXT_FAILURES, list(self.instruments), depth=self.depth)
        try:
            await self.data.start()
        except VenueUnavailableError as error:
            raise TryAgainError(f"venue: {error}") from None
        return self.data

    def port(self, settings: FollowerSettings, data: MarketData) -> VenuePort:
        """The follower's own account over these prices. Raises `FollowerError` for a symbol that has none."""
        venue, policy = settings.venue, settings.policy
        missing = [symbol for symbol in policy.symbols if symbol not in self.instruments]
        if missing and tuple(policy.symbols) != DEFAULT_SYMBOLS:
            told = f"was {missing[0]!r}, allowed: linear perpetuals of this venue (BTC/USDT:USDT)"
            raise ConfigurationError([f"policy.symbols: {told}"])
        followed = [*policy.symbols, *sorted(self._held[settings.follower.id] - {*policy.symbols})]
        instruments = {name: self.instruments[name] for name in followed if name in self.instruments}
        if venue.kind == "paper":
            return PaperAdapter(
                data,
                instruments,
                settings.follower.data_dir / "paper.sqlite",
                balance_usdt=venue.paper_balance_usdt,
                leverage_max=policy.leverage_max,
            )
        key = read_secret(venue.api_key, venue.api_key_file, "venue.api_key_file")
        secret = read_secret(venue.api_secret, venue.api_secret_file, "venue.api_secret_file")
        return live_port(
            venue.kind,
            data,
            instruments,
            (venue.rest_url, venue.ws_url, key, secret),
            leverage_max=policy.leverage_max,
            orders_per_s=venue.orders_per_s,
            shared=self.address,
        )

    async def run(self) -> None:
        """Keep prices and rules current until cancelled."""
        assert self.data is not None, "the market is not started"
        news = MarketNews(self.data, self.instruments, CCXT_FAILURES, every_s=self.news_every_s)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.data.run())
            group.create_task(news.run())

    async def close(self) -> None:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self.exchange.close()


def held_symbols(settings: FollowerSettings) -> frozenset[str]:
    """Where copying holds something or has an order on its way, by the store: what is left of a symbol that
    was taken off the list must still be got out of.
    """
    file = settings.follower.data_dir / "follower.sqlite"
    if not file.exists():
        return frozenset()
    try:
        store = Store.open(file, read_only=True)
    except StoreError:
        return frozenset()  # the follower's start says what is wrong with it
    try:
        return frozenset(store.positions()) | {order.symbol for order in store.open_orders()}
    except StoreError:
        return frozenset()
    finally:
        store.close()


def live_port(
    kind: str,
    data: MarketData,
    instruments: dict[str, Instrument],
    address: tuple[str, str, str, str],
    **terms: Any,
) -> VenuePort:
    """An account over ccxt or directly. `address` = REST, streams, key, secret; `terms` as in `V5Account`."""
    if kind == "v5":
        return V5Account(DirectTransport(*address), data, instruments, **terms)
    return CcxtAdapter(make_exchange(*address), data, instruments, **terms)


def private_transport(settings: FollowerSettings) -> Transport:
    """A follower's own way to the venue, not started."""
    venue = settings.venue
    key = read_secret(venue.api_key, venue.api_key_file, "venue.api_key_file")
    secret = read_secret(venue.api_secret, venue.api_secret_file, "venue.api_secret_file")
    if venue.kind == "v5":
        return DirectTransport(venue.rest_url, venue.ws_url, key, secret)
    return CcxtTransport(make_exchange(venue.rest_url, venue.ws_url, key, secret))


async def serve(
    settings: Sequence[FollowerSettings],
    announce: Callable[[list[str]], None],
    reload: Callable[[], Sequence[FollowerSettings]] | None = None,
) -> int:
    """Run all of them until SIGINT or SIGTERM; returns the exit status. Raises what forbids the start.

    SIGHUP reads the settings again with `reload`: when they are right, everybody is stopped in order and
    started with them, so that a copy is decided under the old ones or the new ones and never under both.
    """
    gc.freeze()  # what was imported stays: looking through all of it at the end took a second and more
    stop, coming = asyncio.Event(), list[Sequence[FollowerSettings]]()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def read_again() -> None:
        assert reload is not None
        try:
            coming[:] = [reload()]
        except ConfigurationError as error:
            log.error("settings_not_taken", lines=error.lines)
        else:
            stop.set()

    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, read_again)
    while True:
        status = await _serve(settings, announce, stop)
        if not coming:
            return status
        settings = coming.pop()
        stop.clear()
        log.info("settings_taken", followers=[one.follower.id for one in settings])


async def _serve(
    settings: Sequence[FollowerSettings], announce: Callable[[list[str]], None], stop: asyncio.Event
) -> int:
    groups: dict[tuple[str, str], list[FollowerSettings]] = {}
    for one in settings:
        groups.setdefault((one.venue.rest_url, one.venue.ws_url), []).append(one)
    markets = [Market(group) for group in groups.values()]
    disk = Disk(len(settings)) if len(settings) > 1 else None
    followers: list[Follower] = []
    try:
        starting = asyncio.create_task(_start(markets, list(groups.values()), followers, disk))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        refused = starting.result()
        return await serve_started(markets, followers, stop, announce) or refused
    finally:
        ends = [*(one.close() for one in followers), *(one.close() for one in markets)]
        await asyncio.gather(*ends, return_exceptions=True)
        if disk is not None:
            disk.close()


async def _start(
    markets: Sequence[Market],
    groups: Sequence[Sequence[FollowerSettings]],
    followers: list[Follower],
    disk: Disk | None,
) -> int:
    """Everybody for himself: who cannot start is told and left out; the exit status that this makes. Who runs
    is in `followers`, to be closed by the caller. Raises where nobody is left.
    """
    try:
        failpoints = Failpoints()
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None
    errors: list[FollowerError] = []
    room, rounds = asyncio.Semaphore(START_TOGETHER), Rounds()
    for market, group in zip(markets, groups, strict=True):
        made = await _make(market, group, (failpoints, rounds, disk), errors)
        followers += made
        results = await asyncio.gather(*(_start_one(follower, room) for follower in made))
        for follower, refusal in zip(made, results, strict=True):
            if refusal is not None:
                errors.append(refusal)
                followers.remove(follower)
                await follower.close()
    if not followers:
        raise _together(errors)
    for told in errors:
        log.error("follower_not_started", error=str(told))
    return errors[0].exit_status if errors else 0


def _together(errors: Sequence[FollowerError]) -> FollowerError:
    """All of them in one, with the first one's exit status."""
    lines = [line for error in errors for line in str(error).splitlines()]
    kind = type(errors[0])
    return ConfigurationError(lines) if kind is ConfigurationError else kind("\n".join(lines))


async def _make(
    market: Market,
    group: Sequence[FollowerSettings],
    shared: tuple[Failpoints, Rounds, Disk | None],
    errors: list[FollowerError],
) -> list[Follower]:
    """Followers over one venue's prices, not started."""
    try:
        async with asyncio.timeout(START_LIMIT_S):
            data = await market.start()
    except TimeoutError:
        errors.append(TryAgainError(f"venue: no prices within {START_LIMIT_S:.0f} s"))
        return []
    except FollowerError as error:
        errors.append(error)
        return []
    made = []
    for one in group:
        try:
            made.append(Follower(one, market.port(one, data), *shared))
        except FollowerError as error:
            errors.append(error.of(one.follower.id))
    return made


async def _start_one(follower: Follower, room: asyncio.Semaphore) -> FollowerError | None:
    """Why it could not start; a bug is raised."""
    async with room:
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await follower.start()
        except TimeoutError:
            return TryAgainError(f"the start took longer than {START_LIMIT_S:.0f} s").of(follower.follower_id)
        except FollowerError as error:
            return error.of(follower.follower_id)
    return None


async def serve_started(
    markets: Sequence[Market],
    followers: Sequence[Follower],
    stop: asyncio.Event,
    announce: Callable[[list[str]], None],
) -> int:
    """One follower's failure ends that follower; the status says so at the end."""
    prices = [asyncio.create_task(market.run()) for market in markets]
    beating = asyncio.create_task(heartbeat())
    running = {asyncio.create_task(follower.run()): follower for follower in followers}
    ready = asyncio.gather(*(follower.ready.wait() for follower in followers))
    stopped = asyncio.create_task(stop.wait())
    failed = False
    farewells: list[asyncio.Task[None]] = []
    waiting: set[asyncio.Future[Any]] = {*running, *prices, stopped, ready}
    while running and not stopped.done():
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        waiting -= done
        if ready in done:
            gc.freeze()
            notify("READY=1")
            announce([follower.follower_id for follower in followers])
        for task in [task for task in running if task in done]:
            failed |= _has_failed(task, (follower := running.pop(task)).follower_id)
            farewells.append(asyncio.create_task(follower.tell_stopped(_why(task))))
        for task in [task for task in prices if task in done]:
            failed |= _has_failed(task, "prices")
            told = [one.tell_stopped(f"prices: {_why(task)}") for one in running.values()]
            farewells += [asyncio.create_task(one) for one in told]
            stop.set()
    notify("STOPPING=1")
    for follower in running.values():
        follower.stop()
    if running:
        _, late = await asyncio.wait(running, timeout=STOP_LIMIT_S)
        for task in late:
            task.cancel()
        await asyncio.wait(running)
        for task, follower in running.items():
            failed |= not task.cancelled() and _has_failed(task, follower.follower_id)
    await asyncio.gather(*farewells, return_exceptions=True)
    others: list[asyncio.Future[Any]] = [*prices, stopped, ready, beating]
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return 1 if failed else 0


def _has_failed(task: asyncio.Task[None], name: str) -> bool:
    error = None if task.cancelled() else task.exception()
    if error is None:
        return False
    for reason in _reasons(error):
        if isinstance(reason, FollowerError):
            log.error("follower_stopped", follower_id=name, error=str(reason))
        else:
            log.error("follower_stopped", follower_id=name, exc_info=reason)
    return True


def _why(task: asyncio.Task[None]) -> str:
    """In one line, without what a failure may carry along."""
    error = None if task.cancelled() else task.exception()
    found = ["it came to its end"] if error is None else []
    for reason in [] if error is None else _reasons(error):
        found.append(str(reason) if isinstance(reason, FollowerError) else type(reason).__name__)
    return "; ".join(found)


def _reasons(error: BaseException) -> list[BaseException]:
    """What a group of failures is made of."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [reason for inner in error.exceptions for reason in _reasons(inner)]
