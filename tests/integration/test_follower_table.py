"""Rows of the fault table that need a whole follower: cut lines (F11, F12), clocks (F19), a backlog (F22),
settings that change under a signal (F27).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.follower_world import FollowerProcess, World, eventually, world
from tests.integration.tcp_proxy import Proxy, proxy_to

PARTITION_S = float(os.environ.get("PARTITION_S", "8"))
FLOOD = int(os.environ.get("FLOOD", "600"))
pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(180 + PARTITION_S)]
SHIFTED_CLOCK = """
import os, time
_path, _wall, _wall_s = os.environ["CLOCK_SHIFT_FILE"], time.time_ns, time.time
_read = [0.0, 0.0]
def _shift():
    now_s = time.monotonic()
    if now_s - _read[0] > 0.05:
        with open(_path) as file:
            _read[:] = now_s, float(file.read() or 0)
    return _read[1]
time.time_ns = lambda: _wall() + int(_shift() * 10**9)
time.time = lambda: _wall_s() + _shift()
"""


def unit_of(stage: World) -> Decimal:
    return (Decimal(100_000) / stage.venue.price).quantize(Decimal("0.001"))


class Lines:
    """Everything between a follower and the rest of the world."""

    def __init__(self, broker: Proxy, rest: Proxy, streams: Proxy) -> None:
        self.broker, self.rest, self.streams = broker, rest, streams
        self.all = (broker, rest, streams)

    def config(self, stage: World, kind: str, policy: str = "") -> Path:
        return stage.write_config(
            "alice",
            kind=kind,
            policy=policy,
            broker=self.broker.url,
            rest=f"http://127.0.0.1:{self.rest.port}",
            ws=f"ws://127.0.0.1:{self.streams.port}",
        )


@asynccontextmanager
async def lines(stage: World) -> AsyncIterator[Lines]:
    def ends(url: str) -> tuple[str, int]:
        parts = urlsplit(url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    async with (
        proxy_to(*ends(stage.broker.url)) as broker,
        proxy_to(*ends(stage.venue.rest)) as rest,
        proxy_to(*ends(stage.venue.ws)) as streams,
    ):
        yield Lines(broker, rest, streams)


def said(follower: FollowerProcess, event: str) -> bool:
    return f'"event": "{event}"' in follower.log.read_text()


@pytest.mark.parametrize("kind", [pytest.param("ccxt", marks=pytest.mark.system), "v5"])
async def test_f11_after_a_partition_old_entries_are_skipped_and_exits_applied(
    tmp_path: Path, kind: str
) -> None:
    async with world(tmp_path, "alice") as stage, lines(stage) as around:
        follower = await stage.follow(around.config(stage, kind))
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        for line in around.all:
            line.is_cut = True
        opened = await stage.publisher.trade(str(unit * 2), leverage="12", expires_ms=2000)
        closed = await stage.publisher.trade(str(unit / 2), leverage="3")
        await asyncio.sleep(PARTITION_S)
        for line in around.all:
            line.is_cut = False
            line.reset()  # what was swallowed does not come again
        healed_s = time.monotonic()
        report = await stage.reported("alice", closed, limit_s=30)
        late_s = time.monotonic() - healed_s
        print(f"F11 {kind}: net on target {late_s:.2f} s after a cut of {PARTITION_S:.0f} s")  # noqa: T201
        old = await stage.reported("alice", opened)
        assert (old.verdict, old.reason) in {("skipped", "expired"), ("skipped", "at_target")}, old.reason
        assert old.orders == []
        assert report.verdict == "copied"
        assert await stage.venue.position("alice") == Decimal(report.target_qty) > 0
        assert set((await stage.venue.orders_by_link_id("alice")).values()) == {1}
        assert await follower.stop() == 0


async def test_f12_a_half_open_line_is_noticed_and_gone_round(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage, lines(stage) as around:
        follower = await stage.follow(around.config(stage, "v5"))
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        around.streams.is_cut = True  # no reset, no end: nothing comes
        cut_s = time.monotonic()
        await eventually(lambda: said(follower, "socket_lost"), limit_s=15, what="the dead socket")
        given_up_s = time.monotonic() - cut_s
        print(f"F12: dead venue sockets given up after {given_up_s:.1f} s")  # noqa: T201
        assert given_up_s < 10, "within three seconds on a machine that has time"
        more = await stage.reported(
            "alice", await stage.publisher.trade(str(unit * 2), leverage="12"), limit_s=30
        )
        assert more.verdict in ("copied", "capped"), more.reason
        assert await stage.venue.position("alice") == Decimal(more.target_qty), "over REST meanwhile"
        around.broker.is_cut = True
        cut_s = time.monotonic()
        await eventually(lambda: said(follower, "leader_silent"), limit_s=15, what="silence")
        print(f"F12: no entries from {time.monotonic() - cut_s:.1f} s on")  # noqa: T201
        closed = await stage.publisher.trade("0", leverage="0")
        for line in around.all:
            line.is_cut = False
            line.reset()
        await stage.reported("alice", closed, limit_s=30)
        assert await stage.venue.position("alice") == 0
        assert await follower.stop() == 0


async def test_f19_a_clock_that_is_wrong_stops_entries_and_no_exit(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        shift = tmp_path / "shift"
        shift.write_text("0.25")
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(SHIFTED_CLOCK)
        env = {"PYTHONPATH": str(tmp_path / "site"), "CLOCK_SHIFT_FILE": str(shift)}
        follower = await stage.follow(stage.write_config("alice", kind="v5"), env=env)
        unit = unit_of(stage)
        first = await stage.reported("alice", await stage.publisher.trade(str(unit)))
        assert first.verdict == "copied", "a quarter of a second is no fault"
        size, alarms = Decimal(1), 0

        def alarmed() -> bool:
            return follower.log.read_text().count('"name": "clock"') > alarms

        for step in ("2", "-2", "-3600"):
            alarms = follower.log.read_text().count('"name": "clock"')
            shift.write_text(step)
            stepped_s = time.monotonic()
            await eventually(alarmed, limit_s=10, what=f"an alarm of {step} s")
            print(f"F19 {step} s: alarm after {time.monotonic() - stepped_s:.1f} s")  # noqa: T201
            entry = await stage.publisher.trade(str(unit * 3), leverage="18")
            refused = await stage.reported("alice", entry, limit_s=30)
            assert (refused.verdict, refused.reason) == ("skipped", "clock"), step
            size -= Decimal("0.2")
            exit_ = await stage.publisher.trade(str(unit * size), leverage="6")
            down = await stage.reported("alice", exit_, limit_s=30)
            assert down.verdict == "copied", (step, down.reason, down.detail)
            assert await stage.venue.position("alice") == Decimal(down.target_qty) > 0
            shift.write_text("0")
            await asyncio.sleep(1.5)
        again = await stage.reported("alice", await stage.publisher.trade(str(unit)), limit_s=30)
        assert again.verdict in ("copied", "capped"), again.reason
        assert await follower.stop() == 0


def memory_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise AssertionError(name)


@pytest.mark.system
@pytest.mark.timeout(120 + FLOOD)
async def test_f22_a_follower_behind_thousands_of_signals_sheds_entries_and_no_exit(tmp_path: Path) -> None:
    async with world(tmp_path, "alice") as stage:
        follower = await stage.follow(stage.write_config("alice", policy="orders_per_10_s_max = 1000"))
        unit = unit_of(stage)
        await stage.reported("alice", await stage.publisher.trade(str(unit)))
        before_mb = memory_mb(follower.process.pid, "VmRSS")
        follower.process.send_signal(signal.SIGSTOP)
        for number in range(FLOOD):
            after = unit * (2 if number % 2 == 0 else Decimal("1.5"))
            await stage.publisher.trade(str(after), leverage="10", expires_ms=1000, patient=True)
        await stage.publisher.trade("0", leverage="0", patient=True)
        follower.process.send_signal(signal.SIGCONT)
        start_s = time.monotonic()
        await eventually(
            lambda: set(stage.publisher.signals) <= set(stage.reports_of("alice")),
            limit_s=60 + FLOOD / 2,
            what="a verdict on everything",
        )
        grown_mb = memory_mb(follower.process.pid, "VmHWM") - before_mb
        print(f"F22: {FLOOD} signals behind: {time.monotonic() - start_s:.0f} s, +{grown_mb:.0f} MB")  # noqa: T201
        assert grown_mb <= 100
        assert await stage.venue.position("alice") == 0
        reports = {seq: found[0] for seq, found in stage.reports_of("alice").items()}
        for number, seq in enumerate(stage.publisher.signals[1:-1]):
            is_exit = number % 2 == 1
            assert reports[seq].reason != "overload" or not is_exit, "an exit was shed"
        assert await follower.stop() == 0


async def test_f27_settings_that_change_under_signals_are_the_old_or_the_new_ones(tmp_path: Path) -> None:
    old, new = Decimal("0.3"), Decimal("0.1")
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice", kind="v5")
        text = config.read_text().replace("leverage_max = 10", "leverage_max = LEVERAGE")
        config.write_text(text.replace("LEVERAGE", str(old)))
        follower = await stage.follow(config)
        unit = unit_of(stage)
        wrong = text.replace("LEVERAGE", '"much"')
        for number in range(24):
            if number == 4:
                config.write_text(wrong)
                follower.process.send_signal(signal.SIGHUP)
            if number == 12:
                config.write_text(text.replace("LEVERAGE", str(new)))
                follower.process.send_signal(signal.SIGHUP)
            await stage.publisher.trade(str(unit if number % 2 == 0 else 0), leverage="6")
            await asyncio.sleep(0.25)
        await eventually(
            lambda: set(stage.publisher.signals) <= set(stage.reports_of("alice")),
            limit_s=60,
            what="verdicts",
        )
        assert said(follower, "settings_not_taken") and said(follower, "settings_taken")
        caps = []
        for seq in stage.publisher.signals:
            report = stage.reports_of("alice")[seq][0]
            if report.leverage_cap is None or not report.orders:
                continue
            cap = Decimal(report.leverage_cap)
            opened = sum(Decimal(one.qty) for one in report.orders if not one.reduce_only)
            assert cap in (old, new)
            assert opened * stage.venue.price / 10_000 <= cap * Decimal("1.01"), (seq, cap)
            assert report.leverage_after is None or Decimal(report.leverage_after) <= cap
            caps.append(cap)
        assert caps == sorted(caps, reverse=True) and {old, new} <= set(caps), caps
        assert await stage.venue.position("alice") == 0
        assert await follower.stop() == 0


@pytest.mark.system
@pytest.mark.parametrize("failpoint", ["received", "decided", "recorded", "after_submit"])
async def test_f27_a_copy_that_is_killed_and_goes_on_under_other_settings(
    tmp_path: Path, failpoint: str
) -> None:
    """What is recorded is carried out as it was decided; what is not, is decided anew, as a whole."""
    async with world(tmp_path, "alice") as stage:
        config = stage.write_config("alice", policy="notional_per_symbol_max_usdt = 3000")
        follower = await stage.follow(config, failpoint=failpoint)
        seq = await stage.publisher.trade(str(unit_of(stage)))
        assert await follower.ended() == -signal.SIGKILL
        config.write_text(config.read_text().replace("= 3000", "= 1000"))
        again = await stage.follow(config)
        report = await stage.reported("alice", seq, limit_s=30)
        held = await stage.venue.position("alice") * stage.venue.price
        cap = 3000 if failpoint in ("recorded", "after_submit") else 1000
        assert report.verdict == "capped" and cap * Decimal("0.9") < held <= cap * Decimal("1.01")
        assert set((await stage.venue.orders_by_link_id("alice")).values()) == {1}
        assert await again.stop() == 0
