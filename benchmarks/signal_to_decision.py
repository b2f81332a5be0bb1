"""signal_to_decision: from a fill at the venue until a follower has decided and written it down, leg by leg;
every program its own process on this machine.

Belongs here: the programs' settings, the leader's trades, the row. Does not belong here: the broker
(`signals`), the venue (`venue`).

Times are those that the programs themselves report: the signal's (venue, publisher) and the verdict's
(follower), in whole milliseconds of one clock.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import tomli_w
from nats.aio.msg import Msg

from benchmarks.interleave import percentile
from benchmarks.signals import FOLLOWER, LEADER, SYMBOL, Room
from benchmarks.table import Row, reported
from benchmarks.talk import run_loop, started, work_folder
from benchmarks.venue import PRICE, venue
from follower_client.venue.ccxt_adapter import make_exchange
from relay.keys import load_signing_key, public_key_hex
from relay.protocol import subjects
from relay.protocol.codec import decode_payload, decode_report
from relay.protocol.messages import CopyReport, Signal
from relay.protocol.signing import open_envelope

__all__ = ["NAMES", "run"]

NAMES = ("signal_to_decision",)
TRADES = int(os.environ.get("DECISION_TRADES", "100"))
GAP_S = 0.1
WAIT_SECONDS_MAX = 60.0
QTY = 0.01
LEGS = ("venue to publisher", "read to sealed", "recorded, stored, heard, verified", "decided and recorded")


def run(only: set[str] | None) -> list[Row]:
    """The row, if it is asked for."""
    if only is not None and only.isdisjoint(NAMES):
        return []
    with work_folder() as folder:
        return [_row(run_loop(_measure(folder)))]


class _Heard:
    """What went over the broker: signals, and the verdicts on them."""

    def __init__(self, public_key: str) -> None:
        self._public_key = public_key
        self.signals: dict[str, Signal] = {}
        self.reports: dict[str, CopyReport] = {}

    async def on_signal(self, message: Msg) -> None:
        envelope = open_envelope(message.data, self._public_key, LEADER)
        found = decode_payload(envelope.kind, envelope.payload) if envelope.kind == "signal" else None
        if isinstance(found, Signal):
            self.signals[found.signal_id] = found

    async def on_report(self, message: Msg) -> None:
        report = decode_report(message.data)
        if isinstance(report, CopyReport):
            self.reports[report.signal_id] = report

    def legs(self) -> list[tuple[int, ...]]:
        """Milliseconds of each signal's legs, of those that were copied."""
        rows = []
        for signal_id, report in self.reports.items():
            signal = self.signals.get(signal_id)
            if signal is None or report.submitted_ms is None:
                continue
            told = (signal.leader_exec_ms, signal.seen_ms, signal.sealed_ms)
            stamps = (*told, report.received_ms, report.submitted_ms)
            rows.append(tuple(after - before for before, after in itertools.pairwise(stamps)))
        return rows


async def _measure(folder: Path) -> list[tuple[int, ...]]:
    async with AsyncExitStack() as stack:
        room = await stack.enter_async_context(Room.open(folder))
        public_key = public_key_hex(load_signing_key(folder / "signing"))
        exchange = await stack.enter_async_context(venue(folder, ["leader", "maker"]))
        keys = {row["name"]: (row["api_key"], row["api_secret"]) for row in exchange.ready["accounts"]}
        address = (exchange.ready["rest"], exchange.ready["ws"])
        people: dict[str, Any] = {name: make_exchange(*address, *keys[name]) for name in keys}
        for one in people.values():
            stack.push_async_callback(one.close)
        await people["maker"].load_markets()
        await people["leader"].load_markets()
        for side, price in (("buy", PRICE - 1), ("sell", PRICE + 1)):
            await people["maker"].create_order(SYMBOL, "limit", side, 100, price)
        heard, client = _Heard(public_key), await room.plain_client()
        stack.push_async_callback(client.close)
        await client.subscribe(subjects.feed(LEADER), cb=heard.on_signal)
        await client.subscribe(subjects.REPORTS_SUBJECTS, cb=heard.on_report)
        await client.flush()
        for name, module, settings in (
            ("publish", "relay", _publisher(folder, room.url, address, keys["leader"])),
            ("run", "follower_client", _follower(folder, room.url, address, public_key)),
        ):
            file = folder / f"{name}.toml"
            file.write_text(tomli_w.dumps(settings))
            arguments = [name, "--config", str(file), "--json"]
            await stack.enter_async_context(started(name, module, arguments, folder))
        await _trade(people["leader"], heard)
        return heard.legs()


async def _trade(leader: Any, heard: _Heard) -> None:
    for number in range(TRADES):
        await leader.create_order(SYMBOL, "market", "buy" if number % 2 == 0 else "sell", QTY)
        await asyncio.sleep(GAP_S)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while len(heard.reports) < TRADES:  # noqa: ASYNC110 - the callbacks set no event
            await asyncio.sleep(0.05)


def _publisher(folder: Path, url: str, address: tuple[str, str], key: tuple[str, str]) -> dict[str, Any]:
    return {
        "leader": {
            "id": LEADER,
            "nkey_seed_file": str(folder / f"{LEADER}.nk"),
            "signing_key_file": str(folder / "signing"),
            "outbox": str(folder / "outbox.sqlite"),
        },
        "broker": {"url": url},
        "venue": {"rest_url": address[0], "ws_url": address[1], "api_key": key[0], "api_secret": key[1]},
        "signals": {"symbols": [SYMBOL]},
    }


def _follower(folder: Path, url: str, address: tuple[str, str], public_key: str) -> dict[str, Any]:
    return {
        "follower": {"id": FOLLOWER, "data_dir": str(folder / "follower")},
        "leader": {"id": LEADER, "public_key": public_key},
        "broker": {"url": url, "nkey_seed_file": str(folder / f"{FOLLOWER}.nk")},
        "venue": {
            "kind": "paper",
            "rest_url": address[0],
            "ws_url": address[1],
            "paper_balance_usdt": "100000000",
        },
    }


def _row(legs: list[tuple[int, ...]]) -> Row:
    if len(legs) < TRADES // 2:
        raise RuntimeError(f"{TRADES} trades, {len(legs)} of them copied")
    whole = [sum(row) for row in legs]
    parts = [
        f"{name}: p50 {statistics.median(leg):g}, p99 {percentile(leg, 0.99):g}, "
        f"mean {statistics.mean(leg):.2f} ms"
        for name, leg in zip(LEGS, zip(*legs, strict=True), strict=True)
    ]
    notes = [
        f"{len(legs)} copied signals, {1 / GAP_S:g} trades a second; venue, publisher, broker and a follower "
        f"on paper are four processes; p99 of the whole {percentile(whole, 0.99):g} ms",
        "; ".join(parts),
    ]
    return reported(NAMES[0], "ms", statistics.median(whole), notes)
