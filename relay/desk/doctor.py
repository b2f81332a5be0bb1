"""`relay doctor`: looks at everything a relay and a leader depend on, and says what is wrong with it.

Belongs here: the checks, each with a time limit, none of which changes anything. Does not belong here: the
rules they check against (settings, keys, streams, the venue).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from relay.broker import check_version, find_nats_server
from relay.broker_config import ADMIN, SYSTEM
from relay.desk.people import Told, is_running, running_port
from relay.door import call
from relay.errors import RelayError
from relay.keys import load_current_key, load_nkey_seed, nkey_public, public_key_hex
from relay.nats_bus import Bus, BusError
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.publishing import door_note
from relay.registry import Registry
from relay.settings import PublishSettings, ServeSettings, load_publish, load_serve
from relay.streams import check_durable, find_open_feeds
from relay.telling.evidence import kept_evidence
from relay.venue import VenueUnavailable, open_venue

__all__ = ["Finding", "examine"]

CHECK_TIMEOUT_S: Final = 10.0
CLOCKS_APART_MS: Final = 1_000
State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    state: State
    text: str


class _Doctor:
    """Collects findings; a check that raises is a finding as well."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def note(self, what: str, text: str, state: State = "ok") -> None:
        self.findings.append(Finding(what, state, text))

    async def check(self, what: str, look: Callable[[], Awaitable[str]]) -> bool:
        """Whether it is well; `look` returns what to say then."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                self.note(what, await look())
        except (RelayError, BusError, VenueUnavailable) as error:
            self.note(what, str(error).replace("\n", "; "), "wrong")
        except TimeoutError:
            self.note(what, f"no answer within {CHECK_TIMEOUT_S:g} s", "wrong")
        else:
            return True
        return False


def examine(relay_config: Path | None, publisher_config: Path | None) -> Told:
    """Look at a relay, a leader, or both; raises nothing for what is wrong, and says it."""
    doctor = _Doctor()
    asyncio.run(_examine(doctor, relay_config, publisher_config))
    rows = [{"what": one.what, "state": one.state, "text": one.text} for one in doctor.findings]
    wrong = sum(one.state == "wrong" for one in doctor.findings)
    width = max((len(one.what) for one in doctor.findings), default=0)
    lines = [f"{one.state:<8} {one.what:<{width}}  {one.text}" for one in doctor.findings]
    told = f"{wrong} of {len(rows)} wrong" if wrong else "all is well"
    return Told("\n".join([*lines, told]), {"wrong": wrong, "findings": rows})


async def _examine(doctor: _Doctor, relay_config: Path | None, publisher_config: Path | None) -> None:
    await doctor.check("nats-server", _binary)
    if relay_config is not None:
        try:
            relay = load_serve(relay_config)
            doctor.note("relay settings", str(relay_config))
            await _examine_relay(doctor, relay)
        except RelayError as error:
            doctor.note("relay settings", str(error).replace("\n", "; "), "wrong")
    if publisher_config is not None:
        try:
            publisher = load_publish(publisher_config)
            doctor.note("publisher settings", str(publisher_config))
            await _examine_leader(doctor, publisher)
        except RelayError as error:
            doctor.note("publisher settings", str(error).replace("\n", "; "), "wrong")


async def _binary() -> str:
    path = find_nats_server()
    await check_version(path)
    return str(path)


async def _examine_relay(doctor: _Doctor, settings: ServeSettings) -> None:
    async def registry() -> str:
        opened = Registry.open(settings.registry_path)
        try:
            leaders, followers = len(opened.leaders()), len(opened.followers())
            behind = opened.revision - opened.applied
        finally:
            opened.close()
        more = f", {behind} changes not in force yet" if behind and running else ""
        return f"{leaders} leaders, {followers} followers{more}"

    for file, proves in kept_evidence(settings.registry_path.parent):
        doctor.note("evidence", f"{proves} ({file})", "wrong")
    running = bool(settings.broker.url) or is_running(settings.broker.data_dir)
    await doctor.check("registry", registry)
    if not running:
        doctor.note("broker", "relay serve is not running", "warning")
        return
    url = list(settings.broker.url) or [_embedded_url(settings)]
    tls = settings.broker.tls
    ca_file = settings.broker.ca_file if settings.broker.url else tls and tls.ca
    ca_pem = await asyncio.to_thread(ca_file.read_text) if isinstance(ca_file, Path) else None

    open_feeds: list[str] = []

    async def broker() -> str:
        async with AsyncExitStack() as stack:
            buses = []
            for role in (SYSTEM, ADMIN):
                seed = load_nkey_seed(settings.broker.data_dir / f"{role}.nk")
                bus = await Bus.connect(
                    url, seed, subjects.inbox_prefix(role), f"doctor-{role}", ca_pem=ca_pem
                )
                stack.push_async_callback(bus.close)
                buses.append(bus)
            version, found = await asyncio.gather(check_durable(buses[0]), find_open_feeds(buses[0]))
            open_feeds.extend(found)
            account = await buses[1].api("$JS.API.INFO", {})
            return f"{url[0]}, {version}, durable, {account.get('streams', 0)} streams"

    await doctor.check("broker", broker)
    if open_feeds:
        what = (
            "followers can have history sent to any leader's feed; FOLLOWERS needs mappings: docs/cluster.md"
        )
        doctor.note("feeds", f"server {', '.join(open_feeds)}: {what}", "warning")


def _embedded_url(settings: ServeSettings) -> str:
    host, port = settings.broker.host_port
    scheme = "tls" if settings.broker.tls else "nats"
    return f"{scheme}://{host}:{port or running_port(settings.broker.data_dir)}"


async def _examine_leader(doctor: _Doctor, settings: PublishSettings) -> None:
    leader = settings.leader

    async def keys() -> str:
        key_id = await asyncio.to_thread(Outbox.key_id_in, leader.outbox)
        key = load_current_key(leader.signing_key_file, key_id, field="leader.signing_key_file")
        nkey = nkey_public(load_nkey_seed(leader.nkey_seed_file, field="leader.nkey_seed_file"))
        return f"signs as {public_key_hex(key)}, connects as {nkey}"

    async def publisher() -> str:
        told = await call(door_note(settings), "status", {})
        state = "paused" if told["paused"] else "live" if told["live"] else "not live"
        return f"{state}, at message {told['seq']}, {told['unsent']} unsent, equity {told['equity']}"

    async def stagger() -> str:
        told = (await call(door_note(settings), "status", {}))["stagger"]
        if told is None:
            fixed = settings.signals.stagger
            return f"{fixed.waves} waves, {fixed.spacing_ms} ms apart, as the settings say"
        plans = [f"{symbol} {_plan_words(plan)}" for symbol, plan in sorted(told["plans"].items())]
        return f"{told['followers']} active followers; {', '.join(plans) or 'no plan yet'}"

    await doctor.check("keys", keys)
    if door_note(settings).exists():
        await doctor.check("publisher", publisher)
        await doctor.check("stagger", stagger)
    else:
        doctor.note("publisher", "relay publish is not running", "warning")
    if not settings.venue.is_external:
        await _examine_venue(doctor, settings)


def _plan_words(plan: dict[str, Any]) -> str:
    waves, spacing_ms = plan["stagger"]["waves"], plan["stagger"]["spacing_ms"]
    cost = f"impact {plan['impact_bps']} + timing {plan['timing_bps']} bps"
    return (
        f"{waves} waves in {(waves - 1) * spacing_ms} ms ({cost}; all at once {plan['impact_at_once_bps']})"
    )


async def _examine_venue(doctor: _Doctor, settings: PublishSettings) -> None:
    apart_ms = 0

    async def venue() -> str:
        nonlocal apart_ms
        opened = open_venue(settings.venue, settings.signals.symbols)
        try:
            began = time.time_ns() // 1_000_000
            now_ms = await opened.now_ms()
            apart_ms = now_ms - (began + time.time_ns() // 1_000_000) // 2
            wallet = await opened.fetch_wallet()
            positions = await opened.fetch_positions(settings.signals.symbols)
            held = sum(position.is_held for position in positions.values())
            return f"{settings.venue.exchange}, wallet {wallet.balance_usdt} USDT, {held} positions"
        finally:
            await opened.close()

    if await doctor.check("venue", venue):
        state: State = "ok" if abs(apart_ms) <= CLOCKS_APART_MS else "warning"
        doctor.note("clocks", f"the venue's is {apart_ms:+d} ms from this machine's", state)
