"""followers_200, followers_1000, followers_cluster: what followers cost the servers, by processor time per
delivery and memory per connection; the figures below *Growing* in ARCHITECTURE.md.

Belongs here: servers started and looked at, rows. Does not belong here: the followers (`followers_crowd`).

The cluster is the topology of 10,000 followers at a tenth of its scale: three servers that keep each stream
three times, rights by callout, a third of the followers at each.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.followers_crowd import follower_name
from benchmarks.followers_fan_out import Chain, allow_many_files
from benchmarks.interleave import cpu_seconds_of, percentile
from benchmarks.signals import LEADER, Room
from benchmarks.table import Row, reported
from benchmarks.talk import ask, run_loop, started, work_folder
from relay.broker import find_nats_server
from relay.broker_config import FollowerUser, LeaderUser
from relay.desk.clustering import init_cluster, parse_node
from relay.errors import RelayError
from relay.external_broker import ExternalBroker
from relay.keys import create_nkey, create_signing_key, load_nkey_seed, load_signing_key
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.settings import load_serve
from relay.streams import Retention

__all__ = ["NAMES", "run"]

SIZES = {"followers_200": 200, "followers_1000": 1_000}
CLUSTER, CLUSTER_FOLLOWERS = "followers_cluster", 1_000
NAMES = (*SIZES, CLUSTER)
SERVERS = ("a", "b", "c")
MESSAGES = int(os.environ.get("SCALE_MESSAGES", "40"))
GAP_S = 0.2
IDLE_S = 2.0
SETTLE_S = 1.0
AGREE_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What one topology cost."""

    followers: int
    bytes_each: int
    cpu_us: float  # of all servers, per delivery, less what they need when nothing is said
    idle_cores: float
    memory_kib: float  # of all servers, per connection
    last_ms: Sequence[float]  # from publishing until the last follower had verified it

    def notes(self) -> list[str]:
        return [
            f"{MESSAGES} signals of {self.bytes_each} bytes to {self.followers:,} connections, all delivered "
            f"and verified; {self.memory_kib:.0f} KiB of server memory per connection; servers idle at "
            f"{self.idle_cores:.1%} of a core",
            f"last follower: p50 {statistics.median(self.last_ms):.0f} ms, p99 "
            f"{percentile(self.last_ms, 0.99):.0f} ms, with followers and servers on one machine",
        ]


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    rows = []
    for name in NAMES:
        if only is not None and name not in only:
            continue
        allow_many_files()
        with work_folder() as folder:
            measure = _cluster(folder) if name == CLUSTER else _single(folder, SIZES[name])
            found = run_loop(measure)
        rows.append(reported(name, "us/delivery", found.cpu_us, found.notes()))
    return rows


async def _single(folder: Path, count: int) -> _Found:
    names = [follower_name(number) for number in range(count)]
    async with Room.open(folder, more_followers=names) as room:
        pid = int((folder / "broker" / "broker.pid").read_text())
        return await _measure(folder, room.url, [pid], count, lambda: room.bus(LEADER))


async def _cluster(folder: Path) -> _Found:
    names = [follower_name(number) for number in range(CLUSTER_FOLLOWERS)]
    create_signing_key(folder / "signing")
    leader = LeaderUser(LEADER, create_nkey(folder / f"{LEADER}.nk"))
    followers = [FollowerUser(name, create_nkey(folder / f"{name}.nk"), (LEADER,)) for name in names]
    async with _running_cluster(folder, leader, followers) as (urls, pids):

        async def connect() -> Bus:
            seed = load_nkey_seed(folder / f"{LEADER}.nk")
            return await Bus.connect(urls, seed, subjects.inbox_prefix(LEADER), LEADER)

        return await _measure(folder, ",".join(urls), pids, CLUSTER_FOLLOWERS, connect)


async def _measure(
    folder: Path, url: str, pids: Sequence[int], count: int, connect: Callable[[], Awaitable[Bus]]
) -> _Found:
    before_kib = sum(map(_memory_kib, pids))
    arguments = [str(folder), url, str(count), "ours"]
    async with started("crowd", "benchmarks.followers_crowd", arguments, folder) as crowd:
        await asyncio.sleep(SETTLE_S)
        memory_kib = (sum(map(_memory_kib, pids)) - before_kib) / count
        idle, began = _cpu(pids), time.monotonic()
        await asyncio.sleep(IDLE_S)
        idle_cores = (_cpu(pids) - idle) / (time.monotonic() - began)
        leader, chain = await connect(), Chain(load_signing_key(folder / "signing"))
        cpu, began, starts, size = _cpu(pids), time.monotonic(), [], 0
        for _ in range(MESSAGES):
            wire = chain.next()
            size = len(wire)
            starts.append(time.monotonic_ns())
            message_id = f"{LEADER}.{chain.seq}"
            await leader.publish_signal(LEADER, wire, chain.seq - 1, message_id, timeout_s=10)
            await asyncio.sleep(GAP_S)
        told: dict[str, Any] = await ask(crowd, {"side": "ours", "count": MESSAGES})
        used = _cpu(pids) - cpu - idle_cores * (time.monotonic() - began)
        await leader.close()
    last_ms = [(last - start) / 1e6 for start, last in zip(starts, told["last_ns"], strict=True)]
    return _Found(count, size, used / (MESSAGES * count) * 1e6, idle_cores, memory_kib, last_ms)


@asynccontextmanager
async def _running_cluster(
    folder: Path, leader: LeaderUser, followers: Sequence[FollowerUser]
) -> AsyncIterator[tuple[list[str], list[int]]]:
    """Three servers configured by `relay init ops --node`, and a relay that answers for them."""
    ports = _free_ports(2 * len(SERVERS))
    nodes = zip(SERVERS, ports[: len(SERVERS)], ports[len(SERVERS) :], strict=True)
    init_cluster(folder, [parse_node(f"{name}=127.0.0.1:{client}/{route}") for name, client, route in nodes])
    urls, servers = list(load_serve(folder / "relay.toml").broker.url), []
    broker = None
    try:
        for name in SERVERS:
            arguments = [str(find_nats_server()), "-c", f"{name}.conf"]
            nothing = asyncio.subprocess.DEVNULL
            servers.append(await asyncio.create_subprocess_exec(*arguments, cwd=folder, stderr=nothing))
        broker = await _answering(urls, folder, leader, followers)
        yield urls, [server.pid for server in servers]
    finally:
        if broker is not None:
            await broker.stop()
        for server in servers:
            server.kill()
            await server.wait()


async def _answering(
    urls: list[str], folder: Path, leader: LeaderUser, followers: Sequence[FollowerUser]
) -> ExternalBroker:
    """Once the servers have agreed on who leads them."""
    async with asyncio.timeout(AGREE_SECONDS_MAX):
        while True:
            broker = ExternalBroker(
                urls, folder / "keys", [leader], followers, retention=Retention(replicas=len(SERVERS))
            )
            try:
                await broker.start()
                return broker
            except (RelayError, BusError):
                await broker.stop()
                await asyncio.sleep(0.5)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _cpu(pids: Sequence[int]) -> float:
    return sum(map(cpu_seconds_of, pids))


def _memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])
