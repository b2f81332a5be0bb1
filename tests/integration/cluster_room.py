"""Three servers of the same binary as a cluster, for tests: configured by `relay init ops --node`, killed and
started again at will.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from relay.broker import find_nats_server
from relay.broker_config import ADMIN, SYSTEM, FollowerUser, LeaderUser, with_leaf_door
from relay.desk.clustering import init_cluster, parse_node
from relay.errors import RelayError
from relay.external_broker import ExternalBroker
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.settings import load_serve
from relay.streams import Retention
from tests.integration.follower_world import die_with_parent

NAMES = ("a", "b", "c")
LEADERS = ("alice", "carol")
FOLLOWERS = {"bob": ("alice",), "eve": ("alice",), "dave": ("carol",)}
READY_TIMEOUT_S = 40.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Cluster:
    """The servers, everybody's keys, and the relay's view of it."""

    def __init__(self, folder: Path, leaf: tuple[str, int, str] | None = None) -> None:
        """`leaf`: which server takes leaf nodes, on which port, by which public nkey."""
        self.folder = folder
        ports = free_ports(6)
        nodes = [f"{name}=127.0.0.1:{ports[at]}/{ports[at + 3]}" for at, name in enumerate(NAMES)]
        init_cluster(folder, [parse_node(text) for text in nodes])
        if leaf is not None:
            config = folder / f"{leaf[0]}.conf"
            config.write_text(with_leaf_door(config.read_text(), f"127.0.0.1:{leaf[1]}", leaf[2]))
        self.urls = list(load_serve(folder / "relay.toml").broker.url)
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.public = {name: create_nkey(folder / f"{name}.nk") for name in (*LEADERS, *FOLLOWERS)}
        self.broker = self.make_broker()

    def make_broker(self) -> ExternalBroker:
        return ExternalBroker(
            self.urls,
            self.folder / "keys",
            [LeaderUser(name, self.public[name]) for name in LEADERS],
            [FollowerUser(name, self.public[name], leaders) for name, leaders in FOLLOWERS.items()],
            retention=Retention(replicas=3),
        )

    async def start_node(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = await asyncio.create_subprocess_exec(
            str(find_nats_server()),
            "-c",
            f"{name}.conf",
            cwd=self.folder,
            stderr=log,
            preexec_fn=die_with_parent,
        )
        log.close()

    async def kill_node(self, name: str) -> None:
        self.processes[name].kill()
        await self.processes[name].wait()

    async def bus(self, name: str, *, node: str | None = None) -> Bus:
        urls = self.urls if node is None else [self.urls[NAMES.index(node)]]
        seed = load_nkey_seed(self.folder / f"{name}.nk")
        return await Bus.connect(urls, seed, subjects.inbox_prefix(name), name)

    async def start_relay(self) -> None:
        """Once the servers have agreed on who leads them."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while True:
                try:
                    await self.broker.start()
                    return
                except (RelayError, BusError):
                    await self.broker.stop()
                    self.broker = self.make_broker()
                    await asyncio.sleep(0.5)

    async def in_step(self, leader: str, last_seq: int) -> None:
        """Return when all three servers have a leader's stream up to here."""
        admin = await self.broker.connect(ADMIN)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while True:
                    info = await admin.api(f"$JS.API.STREAM.INFO.{subjects.stream(leader)}", {}, timeout_s=10)
                    replicas = info.get("cluster", {}).get("replicas") or []
                    current = [row.get("current") and not row.get("offline") for row in replicas]
                    if info["state"]["last_seq"] >= last_seq and current == [True, True]:
                        return
                    await asyncio.sleep(0.2)
        finally:
            await admin.close()

    async def system(self) -> Bus:
        return await self.broker.connect(SYSTEM)


@asynccontextmanager
async def running_cluster(
    folder: Path, *, leaf: tuple[str, int, str] | None = None
) -> AsyncIterator[Cluster]:
    """Three servers and a relay that answers for them, until the block ends."""
    cluster = Cluster(folder, leaf)
    try:
        for name in NAMES:
            await cluster.start_node(name)
        await cluster.start_relay()
        yield cluster
    finally:
        await cluster.broker.stop()
        for process in cluster.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
