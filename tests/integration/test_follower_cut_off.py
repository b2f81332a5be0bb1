"""A follower and a broker that stands still, or a line that is down: entries that came too late are not made,
exits are, nothing twice. F-numbers are those of the fault table; FAULT_SECONDS=60 holds it for a minute.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.follower_world import BTC_ID, World, ready_line, start_program, world
from tests.integration.tcp_proxy import proxy_to

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(300), pytest.mark.system]

FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "8"))
EXPIRES_MS = 2_000
HEALED_WITHIN_S = 20.0  # on a machine that does other things as well; alone it is under a second


class Line(NamedTuple):
    """A pair of interfaces: this side here, the other one in a network namespace."""

    namespace: str
    device: str
    here: str

    def set_up(self, *, up: bool) -> None:
        _ip("link", "set", self.device, "up" if up else "down")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr} (needs root or CAP_NET_ADMIN)"


@contextmanager
def line() -> Iterator[Line]:
    """A namespace with one way out, which can be cut; the test fails where that is not allowed."""
    assert shutil.which("ip") is not None, "needs iproute2"
    token, net = secrets.token_hex(3), secrets.randbelow(200)
    made = Line(f"slip{token}", f"sa{token}", f"10.213.{net}.1")
    other, there = f"sb{token}", f"10.213.{net}.2"
    _ip("netns", "add", made.namespace)
    try:
        _ip("link", "add", made.device, "type", "veth", "peer", "name", other, "netns", made.namespace)
        _ip("addr", "add", f"{made.here}/30", "dev", made.device)
        _ip("link", "set", made.device, "up")
        for arguments in (
            ("link", "set", "lo", "up"), ("addr", "add", f"{there}/30", "dev", other),
            ("link", "set", other, "up"),
        ):  # fmt: skip
            _ip("-n", made.namespace, *arguments)
        yield made
    finally:
        _ip("netns", "del", made.namespace)  # takes the pair along


async def entered(stage: World) -> Decimal:
    """The follower has one position; returns the leader's."""
    unit = (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))
    report = await stage.reported("alice", await stage.publisher.trade(str(unit)))
    assert report.verdict == "copied"
    return unit


async def too_late_and_out(stage: World, unit: Decimal) -> tuple[int, int]:
    """An entry that will be late and an exit that never is; returns their seqs."""
    entry = await stage.publisher.trade(str(2 * unit), expires_ms=EXPIRES_MS, patient=True)
    leave = await stage.publisher.trade(str(unit / 2), expires_ms=EXPIRES_MS, patient=True)
    return entry, leave


async def settled(stage: World, entry: int, leave: int) -> None:
    """The verdicts, and what the venue has: one order for each that was copied, and what should be held."""
    left = await stage.reported("alice", leave, limit_s=HEALED_WITHIN_S)
    late = await stage.reported("alice", entry)
    assert (late.verdict, late.reason, late.orders) == ("skipped", "expired", [])
    assert left.verdict in ("copied", "capped") and left.is_exit
    assert all(len(found) == 1 for found in stage.reports_of("alice").values())
    orders = [row for row in await stage.venue.orders("alice") if Decimal(row["cumExecQty"]) > 0]
    assert len({row["orderLinkId"] for row in orders}) == len(orders) == 2
    orders.sort(key=lambda row: int(row["createdTime"]))
    signed = [Decimal(row["cumExecQty"]) * (1 if row["side"] == "Buy" else -1) for row in orders]
    held = (await stage.venue.exchange("alice").fetch_position(BTC_ID))["contracts"]
    assert signed[0] > 0 > signed[1] and Decimal(str(held)) == sum(signed) == Decimal(left.target_qty)


async def test_f8_a_broker_that_stood_still_brings_no_late_entry_and_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        await stage.follow(stage.write_config("alice", kind="v5"))
        unit = await entered(stage)
        os.kill(stage.broker.pid, signal.SIGSTOP)
        try:
            telling = asyncio.create_task(too_late_and_out(stage, unit))
            await asyncio.sleep(FAULT_SECONDS)
            assert not telling.done()
        finally:
            os.kill(stage.broker.pid, signal.SIGCONT)
        await settled(stage, *await telling)


async def test_f11_behind_a_line_that_was_down_entries_are_too_late_and_exits_are_not(tmp_path: Path) -> None:
    with line() as cut:
        async with world(tmp_path, "alice") as stage:
            ports = (stage.broker.port, int(stage.venue.rest.rpartition(":")[2]))
            async with (
                proxy_to("127.0.0.1", ports[0], listen=cut.here) as broker,
                proxy_to("127.0.0.1", ports[1], listen=cut.here) as venue,
            ):
                pairs = [
                    f"{port}={cut.here}:{there.port}"
                    for port, there in zip(ports, (broker, venue), strict=True)
                ]
                log = tmp_path / "line.log"
                way = await start_program(
                    "tests.integration.tcp_proxy", *pairs, log=log, inside=cut.namespace
                )
                assert await ready_line(way, log) == {}
                await stage.follow(stage.write_config("alice", kind="v5"), inside=cut.namespace)
                unit = await entered(stage)
                cut.set_up(up=False)
                entry, leave = await too_late_and_out(stage, unit)
                await asyncio.sleep(FAULT_SECONDS)
                assert leave not in stage.reports_of("alice")
                cut.set_up(up=True)
                await settled(stage, entry, leave)
                way.kill()
                await way.wait()
