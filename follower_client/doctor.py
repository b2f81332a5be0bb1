"""Looks at everything a follower needs before money depends on it, and says what to do.

Belongs here: the checks and their words. Does not belong here: running (`daemon`), the key's objections
(`venue.key_rights`). Nothing is changed: no leverage, no order, no store.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from follower_client.control import ControlFile
from follower_client.core.policy import Mode
from follower_client.core.snapshot import CLOCK_FAULT_MS, Control
from follower_client.daemon import Market, private_transport
from follower_client.errors import FollowerError, StoreError
from follower_client.instance import check_folder
from follower_client.reading import read_secret
from follower_client.settings import FollowerSettings
from follower_client.trial import gate, progress
from follower_client.venue.key_rights import KeyRights, objections
from follower_client.venue.transport import CallError, Rows, Transport
from follower_client.venue.v5_reads import Reads
from relay.nats_bus import Bus, BusError, BusMessage
from relay.protocol import subjects
from relay.protocol.venues import venue_name
from relay.telling.evidence import kept_evidence

__all__ = ["Finding", "examine"]

CHECK_LIMIT_S = 20.0
BEAT_LIMIT_S = 3.0
Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one follower."""

    follower: str
    check: str
    level: Level
    what: str
    what_to_do: str = ""

    def row(self) -> dict[str, str]:
        return asdict(self)


def examine(settings: FollowerSettings) -> list[Finding]:
    """Everything, whatever fails on the way."""
    found = list(_files(settings))
    found += asyncio.run(_outside(settings))
    return found


def _finding(settings: FollowerSettings) -> Callable[..., Finding]:
    return lambda check, level, what, todo="": Finding(settings.follower.id, check, level, what, todo)


def _files(settings: FollowerSettings) -> Iterator[Finding]:
    say = _finding(settings)
    venue, broker = settings.venue, settings.broker
    yield say("mode", "ok", _mode(settings))
    for name, file in (
        ("broker.nkey_seed_file", broker.nkey_seed_file),
        ("venue.api_key_file", venue.api_key_file),
        ("venue.api_secret_file", venue.api_secret_file),
    ):
        if file is None:
            continue
        try:
            mode, owner = file.stat().st_mode, file.stat().st_uid
        except OSError as error:
            yield say(name, "fail", f"{file}: {error.strerror}", "put the file where the configuration says")
            continue
        if mode & 0o077 or owner != os.getuid():
            yield say(name, "fail", f"{file} can be read by others", f"chmod 600 {file}")
        else:
            yield say(name, "ok", f"{file} is yours alone")
    if venue.kind != "paper" and (venue.api_secret is not None or venue.api_key is not None):
        yield say("secrets", "warn", "the API key stands in the configuration", "use api_key_file instead")
    yield from _store(settings, say)
    if venue.kind == "paper":
        yield from _trial(settings, say)
    if settings.is_real_money:
        refusals = gate(settings)
        for refusal in refusals:
            yield say("trial", "fail", refusal, "run a paper trial under these settings, or [trial] override")
        if not refusals:
            override = settings.trial.override.strip()
            yield say("trial", "ok", f"left out by [trial] override: {override}" if override else "passed")


def _trial(settings: FollowerSettings, say: Callable[..., Finding]) -> Iterator[Finding]:
    """How far a paper follower is on the way to real money."""
    trial = settings.trial
    for leader_id, found in progress(settings):
        so_far = (
            f"{found.copies} copies of {leader_id} in {found.days:.1f} days, {found.drift_bps:.1f} bps worse"
        )
        wants = f"live needs {trial.copies_min} in {trial.days_min} days, at most {trial.drift_max_bps} bps"
        yield say("trial", "ok", f"{so_far}; {wants}")


def _mode(settings: FollowerSettings) -> str:
    if settings.venue.kind == "paper":
        return "PAPER: live prices, and no order leaves this machine"
    name = venue_name(settings.venue.exchange, settings.venue.rest_url)
    return (
        f"LIVE: orders go to {name}"
        if settings.is_real_money
        else f"test: orders go to {name}, no money is real"
    )


def _store(settings: FollowerSettings, say: Callable[..., Finding]) -> Iterator[Finding]:
    folder = settings.follower.data_dir
    if folder.exists():
        is_private = not folder.stat().st_mode & 0o077
        todo = "" if is_private else f"chmod 700 {folder}"
        yield say("data_dir", "ok" if is_private else "fail", str(folder), todo)
        try:
            check_folder(settings)
        except StoreError as error:
            yield say("data_dir", "fail", str(error), "follower-client recover")
        except FollowerError as error:
            yield say("data_dir", "fail", str(error), "another [follower] data_dir")
        level = ControlFile(folder).read()
        if level.level is not Control.RUN:
            told = f"{level.level.value} by {level.by}: {level.reason or 'no reason given'}"
            yield say("control", "warn", told, "follower-client resume, when you want entries again")
        for file, proves in kept_evidence(folder):
            todo = "ask the leader who has his key; resume is yours to decide"
            yield say("evidence", "fail", f"{proves} ({file})", todo)
    else:
        yield say("data_dir", "ok", f"{folder} will be made")


async def _outside(settings: FollowerSettings) -> list[Finding]:
    say = _finding(settings)
    found: list[Finding] = []
    for name, look in (("broker", _broker), ("venue", _venue)):
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                found += [one async for one in look(settings, say)]
        except TimeoutError:
            found.append(say(name, "fail", f"no answer within {CHECK_LIMIT_S:.0f} s", "check the address"))
        except (FollowerError, CallError, BusError, OSError) as error:
            found.append(say(name, "fail", str(error), "check address and network"))
    return found


async def _broker(settings: FollowerSettings, say: Callable[..., Finding]) -> Any:
    seed = read_secret(None, settings.broker.nkey_seed_file, "broker.nkey_seed_file")
    name = settings.follower.id
    bus = await Bus.connect(
        settings.broker.url,
        seed,
        subjects.inbox_prefix(name),
        f"follower-client doctor {name}",
        ca_pem=settings.broker.ca_pem(),
    )
    heard = asyncio.Event()

    async def hear(_message: BusMessage) -> None:
        heard.set()

    try:
        yield say("broker", "ok", f"connected as {name}")
        for leader in settings.leaders:
            heard.clear()
            await bus.subscribe(subjects.beat(leader.id), hear)
            try:
                async with asyncio.timeout(BEAT_LIMIT_S):
                    await heard.wait()
            except TimeoutError:
                yield say("leader", "warn", f"{leader.id} is not heard", "ask the leader, or wait")
            else:
                yield say("leader", "ok", f"{leader.id} is there")
    finally:
        await bus.close()


async def _venue(settings: FollowerSettings, say: Callable[..., Finding]) -> Any:
    market = Market([settings])
    try:
        data = await market.start()
        market.port(settings, data)  # its symbols are traded there
        smallest = {
            symbol: max(instrument.qty_min * data.quotes[symbol].mark, instrument.notional_min_usdt)
            for symbol, instrument in market.instruments.items()
        }
        for symbol, usdt in smallest.items():
            yield _minimum(settings, say, symbol, usdt)
        ids = {symbol: instrument.venue_symbol for symbol, instrument in market.instruments.items()}
    finally:
        await market.close()
    if settings.venue.kind == "paper":
        return
    transport = private_transport(settings)
    try:
        await transport.start()
        venue_ms, wall_ms = await transport.read_clock()
        off_ms = abs(venue_ms - wall_ms)
        is_right = off_ms <= CLOCK_FAULT_MS
        todo = "" if is_right else "set this machine's clock (NTP)"
        yield say("clock", "ok" if is_right else "fail", f"{off_ms} ms from the venue's", todo)
        for one in _key(settings, say, await Reads(transport).key()):
            yield one
        reads = Reads(transport)
        rows = []
        for venue_symbol in ids.values():
            query = {"category": "linear", "symbol": venue_symbol}
            rows += (await reads.one("positions", "/v5/position/list", query))["list"]
        yield _position_mode(say, rows)
        everywhere = {"category": "linear", "settleCoin": "USDT"}
        yield _positions(say, await reads.pages("positions", "/v5/position/list", everywhere))
        wallet = await reads.one("wallet", "/v5/account/wallet-balance", {"accountType": "UNIFIED"})
        yield _balance(settings, say, wallet["list"], min(smallest.values()))
        yield await _disconnect(say, transport)
    finally:
        await transport.close()


def _key(settings: FollowerSettings, say: Callable[..., Finding], key: KeyRights) -> Iterator[Finding]:
    against = objections(key, real_money=settings.is_real_money)
    for one in against:
        yield say(f"key.{one.name}", "fail" if one.is_fatal else "warn", one.what, one.what_to_do)
    if not any(one.is_fatal for one in against):
        also = "" if any(one.name == "withdraw" for one in against) else ", may not withdraw"
        yield say("key", "ok", f"may trade{also}; KYC {key.kyc_level or 'not told'}")


async def _disconnect(say: Callable[..., Finding], transport: Transport) -> Finding:
    """Whether the venue cancels what rests when nobody is there; a run asks for it."""
    try:
        answer = await transport.get("/v5/account/query-dcp-info", {})
        rows = answer["result"]["dcpInfos"]
        window = next(row["timeWindow"] for row in rows if row["product"] == "DERIVATIVES")
    except (CallError, LookupError, TypeError, StopIteration) as error:
        told = f"the venue tells of no disconnect protection ({error or 'not for contracts'})"
        return say("disconnect", "warn", told, "none: entries never rest, and stops stay; it is a spare")
    is_on = any(row["product"] == "DERIVATIVES" and row["dcpStatus"] == "ON" for row in rows)
    told = f"what rests is cancelled {window} s after this program is gone" if is_on else (
        "asked for by the next run: what rests will be cancelled once this program is gone"
    )  # fmt: skip
    return say("disconnect", "ok", told)


def _position_mode(say: Callable[..., Finding], rows: Rows) -> Finding:
    hedged = sorted({row["symbol"] for row in rows if int(row.get("positionIdx") or 0) != 0})
    what = f"hedge mode of {', '.join(hedged)}: each side is traded by itself" if hedged else "one-way"
    return say("position_mode", "ok", what)


def _positions(say: Callable[..., Finding], rows: Rows) -> Finding:
    held = sorted({row["symbol"] for row in rows if Decimal(str(row.get("size") or 0)) != 0})
    if not held:
        return say("positions", "ok", "flat")
    text = f"holds {', '.join(held)}: what copying did not open is never traded"
    return say("positions", "warn", text, "better: a sub-account for copying alone")


def _balance(
    settings: FollowerSettings, say: Callable[..., Finding], rows: Rows, smallest: Decimal
) -> Finding:
    """Whether the account can carry the smallest order of all."""
    equity = sum((Decimal(str(row.get("totalEquity") or 0)) for row in rows), Decimal(0))
    what = f"equity is {equity:.2f} USDT"
    if equity * settings.policy.leverage_max < smallest:
        needs = f"{what}, with leverage_max {settings.policy.leverage_max} too little for {smallest:.2f}"
        return say("balance", "fail", needs, "move money to this account")
    return say("balance", "ok", what)


def _minimum(
    settings: FollowerSettings, say: Callable[..., Finding], symbol: str, smallest: Decimal
) -> Finding:
    """Whether the smallest order of the venue fits the policy's caps."""
    policy = settings.to_policy()
    caps = {
        name: getattr(policy, name)
        for name in (
            *("notional_per_order_max_usdt", "notional_per_symbol_max_usdt"),
            *("notional_per_leader_max_usdt", "notional_total_max_usdt"),
        )
    }
    if policy.mode is Mode.FIXED_NOTIONAL:
        caps["fixed_notional_usdt"] = policy.fixed_notional_usdt
    if policy.mode is Mode.FIXED_MARGIN:
        caps["fixed_margin_usdt x leverage_max"] = policy.fixed_margin_usdt * policy.leverage_max
    what = f"{symbol}: the smallest order is {smallest:.2f} USDT"
    for name, cap in caps.items():
        if cap is not None and cap < smallest:
            told = f"{what}, policy.{name} is {cap}"
            return say("minimum", "fail", told, "raise the cap or drop the symbol")
    return say("minimum", "ok", what)
