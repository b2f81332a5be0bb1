"""Many followers in one process: shared prices, one start, one end.

Belongs here: building ports from settings, signals, the exit status. Does not belong here: one follower's
inside (`follower`), output for people (`cli`).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from follower_client.core.snapshot import Instrument
from follower_client.errors import ConfigurationError, FollowerError, TryAgainError, VenueUnavailableError
from follower_client.failpoint import Failpoints
from follower_client.follower import STOP_LIMIT_S, Follower
from follower_client.reading import read_secret
from follower_client.settings import DEFAULT_SYMBOLS, FollowerSettings
from follower_client.venue.ccxt_adapter import CCXT_FAILURES, CcxtAdapter, load_instruments, make_exchange
from follower_client.venue.market_data import MarketData
from follower_client.venue.paper_adapter import PaperAdapter
from follower_client.venue.port import VenuePort

__all__ = ["serve"]

START_LIMIT_S = 30.0

log = structlog.get_logger(__name__)


class _Market:
    """Prices and instruments of one venue, and the public connection they come over."""

    def __init__(self, group: Sequence[FollowerSettings]) -> None:
        venue = group[0].venue
        self.symbols = sorted({symbol for settings in group for symbol in settings.policy.symbols})
        self.required = any(tuple(settings.policy.symbols) != DEFAULT_SYMBOLS for settings in group)
        depth = any(settings.venue.kind == "paper" for settings in group)
        self.exchange: Any = make_exchange(venue.rest_url, venue.ws_url)
        self.depth = depth
        self.instruments: dict[str, Instrument] = {}
        self.data: MarketData | None = None

    async def start(self) -> MarketData:
        self.instruments = await load_instruments(self.exchange, self.symbols, required=self.required)
        self.data = MarketData(self.exchange, CCXT_FAILURES, list(self.instruments), depth=self.depth)
        try:
            await self.data.start()
        except VenueUnavailableError as error:
            raise TryAgainError(f"venue: {error}") from None
        return self.data

    def port(self, settings: FollowerSettings, data: MarketData) -> VenuePort:
        """The follower's own account over these prices."""
        venue, policy = settings.venue, settings.policy
        instruments = {name: self.instruments[name] for name in policy.symbols if name in self.instruments}
        if venue.kind == "paper":
            return PaperAdapter(
                data,
                instruments,
                settings.follower.data_dir / "paper.sqlite",
                balance_usdt=venue.paper_balance_usdt,
                leverage_max=policy.leverage_max,
            )
        exchange = make_exchange(
            venue.rest_url,
            venue.ws_url,
            read_secret(venue.api_key, venue.api_key_file, "venue.api_key_file"),
            read_secret(venue.api_secret, venue.api_secret_file, "venue.api_secret_file"),
        )
        return CcxtAdapter(exchange, data, instruments, leverage_max=policy.leverage_max)

    async def close(self) -> None:
        with suppress(Exception):
            await self.exchange.close()


async def serve(settings: Sequence[FollowerSettings], announce: Callable[[list[str]], None]) -> int:
    """Run all of them until SIGINT or SIGTERM; returns the exit status. Raises what forbids the start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    groups: dict[tuple[str, str], list[FollowerSettings]] = {}
    for one in settings:
        groups.setdefault((one.venue.rest_url, one.venue.ws_url), []).append(one)
    markets = [_Market(group) for group in groups.values()]
    followers: list[Follower] = []
    try:
        starting = asyncio.create_task(_start(markets, list(groups.values()), followers))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        starting.result()
        return await _run(markets, followers, stop, announce)
    finally:
        await asyncio.gather(*(follower.close() for follower in followers), return_exceptions=True)
        await asyncio.gather(*(market.close() for market in markets))


async def _start(
    markets: Sequence[_Market], groups: Sequence[Sequence[FollowerSettings]], followers: list[Follower]
) -> None:
    """All or nothing. What was made is in `followers`, to be closed by the caller."""
    try:
        failpoints = Failpoints()
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None
    try:
        async with asyncio.timeout(START_LIMIT_S):
            for market, group in zip(markets, groups, strict=True):
                data = await market.start()
                followers.extend(Follower(one, market.port(one, data), failpoints) for one in group)
            results = await asyncio.gather(
                *(follower.start() for follower in followers), return_exceptions=True
            )
    except TimeoutError:
        raise TryAgainError(f"the start took longer than {START_LIMIT_S:.0f} s") from None
    for follower, result in zip(followers, results, strict=True):
        if isinstance(result, FollowerError):
            raise result.of(follower.follower_id) from None
        if isinstance(result, BaseException):
            raise result


async def _run(
    markets: Sequence[_Market],
    followers: Sequence[Follower],
    stop: asyncio.Event,
    announce: Callable[[list[str]], None],
) -> int:
    """One follower's failure ends that follower; the status says so at the end."""
    prices = [asyncio.create_task(market.data.run()) for market in markets if market.data is not None]
    running = {asyncio.create_task(follower.run()): follower for follower in followers}
    ready = asyncio.gather(*(follower.ready.wait() for follower in followers))
    stopped = asyncio.create_task(stop.wait())
    failed = False
    waiting: set[asyncio.Future[Any]] = {*running, *prices, stopped, ready}
    while running and not stopped.done():
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        waiting -= done
        if ready in done:
            announce([follower.follower_id for follower in followers])
        for task in [task for task in running if task in done]:
            failed |= _has_failed(task, running.pop(task).follower_id)
        for task in [task for task in prices if task in done]:
            failed |= _has_failed(task, "prices")
            stop.set()
    for follower in running.values():
        follower.stop()
    if running:
        _, late = await asyncio.wait(running, timeout=STOP_LIMIT_S)
        for task in late:
            task.cancel()
        await asyncio.wait(running)
        for task, follower in running.items():
            failed |= not task.cancelled() and _has_failed(task, follower.follower_id)
    others: list[asyncio.Future[Any]] = [*prices, stopped, ready]
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


def _reasons(error: BaseException) -> list[BaseException]:
    """What a group of failures is made of."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [reason for inner in error.exceptions for reason in _reasons(inner)]
