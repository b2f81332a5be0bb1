"""The surroundings of a follower for integration tests: real venue, real broker, a publisher that signs.

The venue and the follower are processes of their own; the broker is the relay's embedded one.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from follower_client.core.order import client_order_id
from follower_client.venue.ccxt_adapter import make_exchange
from relay.broker import Broker
from relay.broker_config import FollowerUser, LeaderUser
from relay.keys import create_nkey, create_signing_key, load_nkey_seed, load_signing_key
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.codec import decode_report
from relay.protocol.messages import CopyReport
from tests.integration.signal_publisher import BTC, EPOCH, LEADER, Publisher

__all__ = ["BTC", "FollowerProcess", "Publisher", "Venue", "World", "eventually", "world"]

ROOT = Path(__file__).resolve().parents[2]
BTC_ID = "BTCUSDT"
READY_LIMIT_S = 120.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


async def eventually(check: Callable[[], Any], *, limit_s: float = 10.0, what: str = "") -> Any:
    """The first true answer of `check` (plain or awaitable); an assertion after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        answer = check()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what or check}"
        await asyncio.sleep(0.05)


async def start_program(
    *arguments: str, env: dict[str, str] | None = None, log: Path, inside: str = ""
) -> asyncio.subprocess.Process:
    """`python -m ARGUMENTS`; `inside` names a network namespace."""
    with log.open("ab") as errors:
        return await asyncio.create_subprocess_exec(
            *(["ip", "netns", "exec", inside] if inside else []),
            sys.executable,
            "-m",
            *arguments,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            preexec_fn=die_with_parent,
        )


def _end_of(log: Path) -> str:
    return log.read_text()[-2000:]


async def ready_line(process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(READY_LIMIT_S):
        line = await process.stdout.readline()
    assert line, f"the program ended with {await process.wait()}: {_end_of(log)}"
    answer: dict[str, Any] = json.loads(line)
    return answer


@dataclass
class Venue:
    """The simulated exchange, with a maker who keeps a deep, tight book."""

    process: asyncio.subprocess.Process
    rest: str
    ws: str
    keys: dict[str, tuple[str, str]]
    price: Decimal = Decimal(0)
    exchanges: dict[str, Any] = field(default_factory=dict)
    listed: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def exchange(self, account: str) -> Any:
        if account not in self.exchanges:
            self.exchanges[account] = make_exchange(self.rest, self.ws, *self.keys[account])
        return self.exchanges[account]

    async def make_market(self) -> None:
        maker = self.exchange("maker")
        await maker.load_markets()
        ticker = (await maker.publicGetV5MarketTickers({"category": "linear", "symbol": BTC_ID}))["result"][
            "list"
        ][0]
        self.price = Decimal(ticker["indexPrice"])
        for number in range(5):
            offset = Decimal("1") + number
            await maker.create_order(BTC, "limit", "buy", "20", str(self.price - offset))
            await maker.create_order(BTC, "limit", "sell", "20", str(self.price + offset))

    async def orders(self, account: str) -> list[dict[str, Any]]:
        """Every order the account ever sent: open ones and history, page by page, and what was listed at an
        earlier call (the venue lists the latest 500). What it made of a position's stops is left out.
        """
        exchange = self.exchange(account)
        found = self.listed.setdefault(account, {})
        for ask in (exchange.privateGetV5OrderRealtime, exchange.privateGetV5OrderHistory):
            cursor = ""
            while True:
                query = {"category": "linear", "settleCoin": "USDT", "limit": 50}
                answer = (await ask(query | ({"cursor": cursor} if cursor else {})))["result"]
                found |= {row["orderId"]: row for row in answer["list"]}
                cursor = answer.get("nextPageCursor", "")
                if not cursor:
                    break
        return [row for row in found.values() if row["orderLinkId"] or not row["stopOrderType"]]

    async def orders_by_link_id(self, account: str) -> Counter[str]:
        """Of what the follower sent."""
        return Counter(row["orderLinkId"] for row in await self.orders(account))

    async def position(self, account: str) -> Decimal:
        query = {"category": "linear", "symbol": BTC_ID}
        rows = (await self.exchange(account).privateGetV5PositionList(query))["result"]["list"]
        return sum(
            (Decimal(row["size"] or 0) * (-1 if row["side"] == "Sell" else 1) for row in rows), Decimal(0)
        )

    async def legs(self, account: str) -> dict[int, Decimal]:
        """Unsigned size per `positionIdx`, open ones only."""
        query = {"category": "linear", "symbol": BTC_ID}
        rows = (await self.exchange(account).privateGetV5PositionList(query))["result"]["list"]
        return {int(row["positionIdx"]): Decimal(row["size"]) for row in rows if Decimal(row["size"] or 0)}

    def sim(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the simulator's own namespace; blocks."""
        with urllib.request.urlopen(
            f"{self.rest}/sim/{path}", json.dumps(body).encode(), timeout=10
        ) as found:
            answer: dict[str, Any] = json.load(found)
        assert not answer.get("retCode"), answer
        return answer

    async def fall(self, share: str) -> None:
        """The index falls to that share of the first price, and the maker's bids with it."""
        maker = self.exchange("maker")
        await maker.cancel_all_orders(BTC)
        fallen = int(self.price * Decimal(share))
        for number in range(4):
            await maker.create_order(BTC, "limit", "buy", "20", str(fallen - 5 - number))
            await maker.create_order(BTC, "limit", "sell", "20", str(fallen + 5 + number))
        await asyncio.to_thread(self.sim, "index", {"symbol": BTC_ID, "price": str(fallen)})

    async def close(self) -> None:
        for exchange in self.exchanges.values():
            with suppress(Exception):
                await exchange.close()
        with suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()


@dataclass
class FollowerProcess:
    """`follower-client run` as its own process."""

    process: asyncio.subprocess.Process
    log: Path

    async def ended(self, limit_s: float = 60.0) -> int:
        async with asyncio.timeout(limit_s):
            return await self.process.wait()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.ended(30.0)


@dataclass
class World:
    """Everything a follower needs, and what can be asked about it afterwards."""

    folder: Path
    venue: Venue
    broker: Broker
    publisher: Publisher
    reports: list[CopyReport] = field(default_factory=list)
    processes: list[FollowerProcess] = field(default_factory=list)

    def write_config(
        self,
        follower: str,
        *,
        rest: str | None = None,
        ws: str | None = None,
        broker: str | None = None,
        data_dir: Path | None = None,
        policy: str = "",
        paper: bool = False,
        kind: str = "ccxt",
        folder: Path | None = None,
    ) -> Path:
        path = (folder or self.folder) / f"{follower}.toml"
        key, secret = self.venue.keys[follower]
        kind = "paper" if paper else kind
        path.write_text(
            f"""
[follower]
id = "{follower}"
data_dir = "{data_dir or self.folder / follower}"
[leader]
id = "{LEADER}"
public_key = "{self.publisher.key.verify_key.encode().hex()}"
[broker]
url = "{broker or self.broker.url}"
nkey_seed_file = "{self.folder / f"{follower}.nk"}"
[venue]
kind = "{kind}"
rest_url = "{rest or self.venue.rest}"
ws_url = "{ws or self.venue.ws}"
api_key = "{key}"
api_secret = "{secret}"
[policy]
leverage_max = 10
{policy}
""",
            encoding="utf-8",
        )
        return path

    async def follow(
        self,
        config: Path,
        *,
        failpoint: str = "",
        wait: bool = True,
        env: dict[str, str] | None = None,
        inside: str = "",
    ) -> FollowerProcess:
        log = config.with_suffix(".log")
        process = await start_program(
            "follower_client",
            "run",
            "--config",
            str(config),
            "--json",
            env={"SLIPSTREAM_FAILPOINT": failpoint, **(env or {})},
            log=log,
            inside=inside,
        )
        follower = FollowerProcess(process, log)
        self.processes.append(follower)
        if wait:
            assert (await ready_line(process, log))["ready"] is True
        return follower

    def broker_process_kill(self) -> None:
        """kill -9 of the broker's own process; its keeper starts it again."""
        os.kill(self.broker.pid, signal.SIGKILL)

    def reports_of(self, follower: str) -> dict[int, list[CopyReport]]:
        found: dict[int, list[CopyReport]] = {}
        for report in self.reports:
            if report.follower_id == follower:
                found.setdefault(report.seq, []).append(report)
        return found

    def link_id(self, follower: str, seq: int, leg: str, n: int = 0) -> str:
        return client_order_id(follower, LEADER, EPOCH, seq, leg, n)

    async def reported(self, follower: str, seq: int, *, limit_s: float = 15.0) -> CopyReport:
        """The report on one signal, once it is there."""
        await eventually(
            lambda: seq in self.reports_of(follower), limit_s=limit_s, what=f"report of {follower} on {seq}"
        )
        return self.reports_of(follower)[seq][0]

    async def collect_reports(self) -> None:
        monitor = await self.broker.connect()
        try:
            async for delivery in monitor.consume_reports("monitor"):
                report = decode_report(delivery.data)
                if isinstance(report, CopyReport):
                    self.reports.append(report)
                await delivery.ack()
        finally:
            await monitor.close()


@asynccontextmanager
async def world(
    folder: Path, *followers: str, deposits: dict[str, int] | None = None, sim: bool = False
) -> AsyncIterator[World]:
    """A venue with an account per follower, a broker that knows them, and a leader who has started."""
    log = folder / "venue.log"
    money = dict.fromkeys(followers, 10_000) | (deposits or {})
    accounts = [argument for name in followers for argument in ("--account", f"{name}:{money[name]}")]
    process = await start_program(
        "simulated_exchange",
        "serve",
        "--json",
        "--data-dir",
        str(folder / "venue"),
        "--durability",
        "os",
        *(["--enable-sim"] if sim else []),
        "--account",
        "maker:100000000",
        *accounts,
        log=log,
    )
    answer = await ready_line(process, log)
    keys = {row["name"]: (row["api_key"], row["api_secret"]) for row in answer["accounts"]}
    venue = Venue(process, answer["rest"], answer["ws"], keys)
    leader_nkey = create_nkey(folder / "leader.nk")
    users = [FollowerUser(name, create_nkey(folder / f"{name}.nk"), (LEADER,)) for name in followers]
    broker = Broker(folder / "broker", [LeaderUser(LEADER, leader_nkey)], users)
    collecting: asyncio.Task[None] | None = None
    built: World | None = None
    try:
        await venue.make_market()
        await broker.start()
        create_signing_key(folder / "signing.key")
        seed = load_nkey_seed(folder / "leader.nk")
        bus = await Bus.connect(broker.url, seed, subjects.inbox_prefix(LEADER), "test publisher")
        publisher = Publisher(bus, load_signing_key(folder / "signing.key"), venue.price)
        await publisher.start()
        built = World(folder, venue, broker, publisher)
        collecting = asyncio.create_task(built.collect_reports())
        yield built
    finally:
        if built is not None:
            for follower in built.processes:
                if follower.process.returncode is None:
                    follower.process.kill()
                    await follower.process.wait()
            await built.publisher.stop()
        if collecting is not None:
            collecting.cancel()
            await asyncio.gather(collecting, return_exceptions=True)
        await broker.stop()
        await venue.close()
