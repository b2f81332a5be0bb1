"""The composition root of `serve`: everything is opened here, in one order, and closed in the reverse one.

Belongs here: opening, wiring, waiting, closing. Does not belong here: anything that one of the parts decides.
Nothing is half-started: the address is taken first, then the data folder, then the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import resource
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import structlog

from simulated_exchange.accounts import KeyStore
from simulated_exchange.clock import MarketClock, wall_ms
from simulated_exchange.coins import Coins
from simulated_exchange.driver import (
    Driver,
    DriverSettings,
    JournalError,
    engine_errors,
)
from simulated_exchange.errors import AddressInUseError, ConfigurationError, JournalFailedError
from simulated_exchange.gateway.app import Gateway
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Catalogue, fixed_point
from simulated_exchange.ledger import Ledger
from simulated_exchange.listing import listed_genesis
from simulated_exchange.pointing import ACCOUNTS_NAME, note_ready
from simulated_exchange.request_book import RequestBook
from simulated_exchange.scenario import (
    Replay,
    Scenario,
    build_scenario,
    genesis_for_scenario,
    load_config,
    load_replay,
    parse_replay_spec,
    parse_utc_ms,
    plan_clock,
    scenarios_folder,
)
from simulated_exchange.settings import VenueSettings
from simulated_exchange.snapshots import Snapshots, fold_history

__all__ = ["JOURNAL_NAME", "Plan", "plan_venue", "serve"]

log = structlog.get_logger(__name__)

JOURNAL_NAME = "exchange.journal"
REQUESTS_NAME = "requests.jsonl"
SEND_BUFFER_BYTES = 131_072  # of every connection; the rest of what a slow reader owes is counted in frames
SAMPLE_SECONDS = 0.25
GARBAGE_THRESHOLDS = (100_000, 50, 100)
QUIET_INDEX_SECONDS = 5.0  # a quiet book's index is told again so often that it never counts as stale


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be known, and can be wrong, before anything is opened."""

    settings: VenueSettings
    genesis_json: str
    replay: Replay | None
    start_ms: int
    factor: float


def plan_venue(settings: VenueSettings) -> Plan:
    """Read instruments, scenario and recorded files. Raises ConfigurationError (also as ScenarioError)."""
    genesis = listed_genesis(settings)
    symbols = [row["symbol"] for row in genesis["instruments"]]
    problems = [
        f"start_prices.{symbol}: unknown symbol; known: {', '.join(symbols)}"
        for symbol in settings.start_prices
        if symbol not in symbols
    ]
    if problems:
        raise ConfigurationError(problems)
    wanted = settings.scenario
    replay = None
    if wanted.replay:
        if not wanted.name:
            raise ConfigurationError(["scenario.replay: needs scenario.name, which says who trades"])
        replay = load_replay(
            [parse_replay_spec(text) for text in wanted.replay],
            symbols=symbols,
            from_ms=parse_utc_ms(wanted.start, "from") if wanted.start else None,
            to_ms=parse_utc_ms(wanted.end, "to") if wanted.end else None,
        )
    start_ms, factor = plan_clock(wanted.seconds, replay.window if replay else None)
    if wanted.name:
        config = load_config(wanted.name, scenarios_folder(), wanted.overrides)
        genesis = genesis_for_scenario(genesis, config, replay=replay, factor=factor)
    return Plan(settings, orjson.dumps(genesis).decode(), replay, start_ms, factor)


def _allow_many_files() -> None:
    """Every connection is an open file; many systems allow fewer than the venue unless they are asked."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _bind(host: str, port: int) -> socket.socket:
    """Take the address, or say in one line why not."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError([f"host: {host} is no address of this machine ({error})"]) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AddressInUseError(f"port: {host}:{port} cannot be listened on: {error.strerror}") from None
    return listener


@contextlib.contextmanager
def _data_folder(path: Path) -> Iterator[Path]:
    """The data folder, for this process alone."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (path / "lock").open("w")
    except OSError as error:
        raise ConfigurationError([f"data_dir: {path} cannot be used ({error.strerror})"]) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AddressInUseError(f"data_dir: {path} is in use by another process") from None
        yield path


class _Opened(NamedTuple):
    """What a data folder holds, and what is made of it."""

    driver: Driver
    ledger: Ledger
    catalogue: Catalogue
    coins: Coins
    keys: KeyStore
    book: RequestBook


def _open_venue(plan: Plan, folder: Path) -> _Opened:
    """Engine and read model, new or as the journal left them."""
    book = RequestBook.open(folder / REQUESTS_NAME)
    keys = KeyStore.open(folder / ACCOUNTS_NAME)
    clock = MarketClock(plan.start_ms, plan.factor, held=plan.settings.scenario.held)
    journal = folder / JOURNAL_NAME
    begun = time.perf_counter()
    driver = Driver.open(DriverSettings(plan.genesis_json, clock, journal, plan.settings.durability))
    clock.not_before(driver.market_ms())
    genesis_json = driver.recovery.genesis_json if driver.recovery else plan.genesis_json
    catalogue = Catalogue.from_genesis(genesis_json)
    ledger = Ledger(len(catalogue), catalogue)
    for account in keys.accounts():
        ledger.watch(account)
    if driver.recovery is not None:
        if genesis_json != plan.genesis_json:
            log.warning(
                "the instruments of the journal stand, not those of the settings", journal=str(journal)
            )
        for remark in driver.recovery.remarks:
            log.warning("snapshot passed over", reason=remark)
        fold_history(ledger, driver.recovery, journal)
        log.info(
            "journal recovered",
            commands=driver.recovery.commands,
            snapshot_commands=driver.recovery.snapshot_commands,
            applied_again=driver.recovery.commands - driver.recovery.snapshot_commands,
            seconds=round(time.perf_counter() - begun, 3),
            truncated_bytes=driver.recovery.truncated_bytes,
            state_hash=driver.recovery.state_hash,
        )
    return _Opened(driver, ledger, catalogue, Coins.from_genesis(genesis_json), keys, book)


class _Tasks:
    """The venue's loops; the first that fails ends the venue."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Awaitable[None], name: str) -> None:
        self._tasks.append(asyncio.ensure_future(work))
        self._tasks[-1].set_name(name)

    async def until_failure(self) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(plan: Plan, announce: Callable[[dict[str, Any]], None]) -> None:
    """Open the venue, announce it, serve until SIGINT or SIGTERM, close it."""
    settings = plan.settings
    _allow_many_files()
    stopped = _stop_on_signal()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_bind(settings.host, settings.port))
        folder = stack.enter_context(_data_folder(settings.data_dir))
        with engine_errors():
            opened = _open_venue(plan, folder)
            await _run(plan, listener, folder, opened, announce, stopped)


async def _run(
    plan: Plan,
    listener: socket.socket,
    folder: Path,
    opened: _Opened,
    announce: Callable[[dict[str, Any]], None],
    stopped: asyncio.Event,
) -> None:
    settings, driver, ledger = plan.settings, opened.driver, opened.ledger
    scenario = _scenario(plan, driver)
    venue = Venue(
        driver=driver,
        ledger=ledger,
        catalogue=opened.catalogue,
        coins=opened.coins,
        keys=opened.keys,
        book=opened.book,
        limits=settings.gateway,
        is_sim_enabled=settings.enable_sim,
        scenario_report=scenario.report if scenario else dict,
        scenario_begin=scenario.begin if scenario else lambda: None,
    )
    gateway = Gateway(venue)
    driver.subscribe_batches(gateway.hub.take)
    tasks = _Tasks()
    try:
        tasks.start(driver.run(), "commit")
        tasks.start(Snapshots(driver, ledger, settings.journal.snapshot_every).run(), "snapshots")
        _establish_accounts(settings, venue)
        moved = scenario.moves() if scenario is not None else frozenset()
        tasks.start(_quiet_books(venue, settings, moved), "quiet books")
        if scenario is not None:
            scenario.prepare()
            tasks.start(scenario.run(), "scenario")
        else:
            tasks.start(_pass_time(venue, settings), "time")
        tasks.start(gateway.hub.run(), "pushes")
        tasks.start(_sample(venue), "samples")
        await driver.committed()
        await gateway.start(listener)
        _collect_seldom()
        ready = _ready(listener, venue, folder)
        noted = note_ready(folder, ready)
        announce(ready)
        try:
            await _first_of(stopped.wait(), tasks.until_failure())
        except JournalError as error:  # a loop met the failure before the commit was told
            raise JournalFailedError(f"the journal cannot be written any more: {error}") from error
        finally:
            noted.unlink(missing_ok=True)
    finally:
        await gateway.stop()
        await tasks.stop()
        driver.close()


def _collect_seldom() -> None:
    """What is here stays; what comes is mostly kept, too, in records without cycles. Looking for cycles among
    them at the usual pace took a tenth of the time of an order.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _scenario(plan: Plan, driver: Driver) -> Scenario | None:
    wanted = plan.settings.scenario
    if not wanted.name:
        return None
    return build_scenario(
        driver,
        name=wanted.name,
        seed=wanted.seed,
        seconds=wanted.seconds,
        replay=plan.replay or (),
        overrides=wanted.overrides,
    )


def _establish_accounts(settings: VenueSettings, venue: Venue) -> None:
    """Every key has its account, also after a crash between the two; new names get key and deposit."""
    deposits = {entry.name: fixed_point(entry.deposit_usdt) for entry in settings.accounts}
    for member in venue.keys.members():
        venue.establish(member, deposits.get(member.name, 0))
    for name, deposit in deposits.items():
        if venue.keys.by_name(name) is None:
            venue.open_account(name, deposit)


def _stop_on_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def _first_of(*works: Awaitable[Any]) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


async def _pass_time(venue: Venue, settings: VenueSettings) -> None:
    """No scenario: time goes on."""
    while True:
        venue.driver.advance_time()
        await asyncio.sleep(settings.tick_ms / 1000)


async def _quiet_books(venue: Venue, settings: VenueSettings, moved: Set[int]) -> None:
    """The index of what no scenario moves stays where it was put."""
    prices = {name: fixed_point(price) for name, price in settings.start_prices.items()}
    while True:
        for instrument in venue.catalogue:
            price = venue.ledger.markets[instrument.index].index_price or prices.get(instrument.name, 0)
            if price and instrument.index not in moved:
                venue.set_index(instrument, price)
        await asyncio.sleep(QUIET_INDEX_SECONDS)


async def _sample(venue: Venue) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        venue.ledger.pass_time(venue.driver.market_ms())
        venue.sample_prices()


def _ready(listener: socket.socket, venue: Venue, folder: Path) -> dict[str, Any]:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    log.info("venue ready", address=address, accounts=len(venue.keys), wall_ms=wall_ms())
    return {
        "rest": f"http://{address}",
        "ws": f"ws://{address}",
        "accounts": [
            {"name": key.name, "api_key": key.api_key, "api_secret": key.api_secret} for key in venue.keys
        ],
        "journal": str((folder / JOURNAL_NAME).resolve()),
    }
