"""docs/cluster.md as its commands, with real programs: from the embedded broker to a cluster without losing a
number, and back to work from an old copy of the outbox.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.broker import find_nats_server
from relay.settings import load_serve
from tests.integration.cluster_room import NAMES, free_ports
from tests.integration.follower_world import die_with_parent, eventually
from tests.integration.relay_programs import Program, Programs, programs
from tests.integration.test_follower_commands import client, ended, follow, quotes, told
from tests.integration.test_leader_commands import Desk, set_up
from tests.integration.test_relay_programs import SYMBOL, trader

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(300), pytest.mark.system]

AGREED_WITHIN_S = 60.0


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[None]:
    """`nats-server -c NAME.conf` for each file that was written."""
    running = []
    try:
        for name in NAMES:
            with (folder / f"{name}.log").open("ab") as log:
                running.append(
                    await asyncio.create_subprocess_exec(
                        str(find_nats_server()), "-c", f"{name}.conf", cwd=folder, stderr=log,
                        preexec_fn=die_with_parent,
                    )
                )  # fmt: skip
        yield
    finally:
        for process in running:
            process.kill()
            await process.wait()


def point_at(file: Path, url: str) -> None:
    """The new `broker.url` in a settings file, as a person edits it."""
    text, count = re.subn(r'(?m)^url = "[^"]*"', f'url = "{url}"', file.read_text())
    assert count == 1, file
    file.write_text(text)


async def start(room: Programs, command: str, config: Path, *options: str, must: bool = True) -> Program:
    program = await room.start("relay", command, "--config", str(config), "--json", *options)
    assert program.ready or not must, program.errors()
    return program


async def stop(program: Program) -> None:
    program.process.terminate()
    assert await asyncio.wait_for(program.process.wait(), 20) == 0


async def moved(desk: Desk) -> str:
    """The command again and again until the servers have agreed on who leads them."""
    for _ in range(int(AGREED_WITHIN_S)):
        try:
            return (await desk("move", "relay.toml", "cluster/relay.toml"))[0]
        except AssertionError as error:
            if "in use" in str(error):
                raise
            await asyncio.sleep(1)
    raise AssertionError("the cluster took nothing")


async def copied(home: Path, count: int) -> None:
    async def there() -> bool:
        return bool((await told(home, "status"))[0]["copied"] == count)

    await eventually(there, limit_s=40)


async def test_the_runbook_from_the_embedded_broker_to_a_cluster(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, venue = await set_up(room)
        publisher, cluster, home = tmp_path / "publisher.toml", tmp_path / "cluster", tmp_path / "mia"
        serve = await start(room, "serve", tmp_path / "relay.toml")
        publish = await start(room, "publish", publisher)
        home.mkdir()
        await client(home, "join", (await desk("invite", "create"))[0], "--id", "mia")
        follower, _ = await follow(home)
        maker, leader = await quotes(venue), trader(venue, "leader")
        try:
            await leader.create_order(SYMBOL, "market", "buy", 0.5)
            await copied(home, 1)
            await stop(publish)
            await stop(serve)
            ports = free_ports(2 * len(NAMES))
            nodes = zip(NAMES, ports[: len(NAMES)], ports[len(NAMES) :], strict=True)
            options = [f"--node={name}=127.0.0.1:{one}/{route}" for name, one, route in nodes]
            await desk("init", "ops", "--dir", "cluster", *options)
            async with servers(cluster):
                report = await moved(desk)
                assert re.fullmatch(r"zoe: 1 to \d+", report), report
                url = load_serve(cluster / "relay.toml").broker.url[0]
                serve = await start(room, "serve", cluster / "relay.toml")
                point_at(publisher, url)
                publish = await start(room, "publish", publisher)
                assert await ended(follower) == 0
                point_at(home / "follower.toml", url)
                follower, _ = await follow(home)
                await leader.create_order(SYMBOL, "market", "buy", 0.5)
                await copied(home, 2)
                first, second = sorted(
                    int(row["signal_id"].split(".")[2]) for row in await told(home, "verdicts")
                )
                assert first <= int(report.rpartition(" ")[2]) < second
                checked = await desk.json("doctor", "--config", "cluster/relay.toml")
                assert checked["wrong"] == 0, checked
                await _restore(room, publisher, publish)
                await leader.create_order(SYMBOL, "market", "sell", 1)
                await copied(home, 3)
                await stop(serve)
        finally:
            if follower.returncode is None:
                follower.kill()
                await follower.wait()
            await asyncio.gather(maker.close(), leader.close())


async def _restore(room: Programs, publisher: Path, running: Program) -> None:
    """An old copy of the outbox is refused with a word; an empty one goes on where a person says so."""
    outbox = room.folder / "data" / "zoe.outbox.sqlite"
    copy = room.folder / "copy.sqlite"
    with sqlite3.connect(outbox) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    await asyncio.sleep(12)  # a snapshot goes out that the copy does not know
    await stop(running)
    for file in outbox.parent.glob(f"{outbox.name}-*"):
        file.unlink()
    outbox.write_bytes(copy.read_bytes())
    refused = await start(room, "publish", publisher, must=False)
    assert await asyncio.wait_for(refused.process.wait(), 20) != 0
    assert "--take-over" in refused.errors().strip().splitlines()[-1]
    for file in outbox.parent.glob(f"{outbox.name}*"):
        if not file.name.endswith((".lock", ".group")):
            file.unlink()
    await start(room, "publish", publisher, "--take-over")
