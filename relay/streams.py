"""The streams behind the signal feed: made once, checked at every start.

Belongs here: what a stream must be for a signal to be called stored, what its servers must be set to. Does
not belong here: who may use it (`relay.broker_config`), the calls themselves (`relay.nats_bus`).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from relay.broker_config import FEEDS_CLOSED, KEY_READS, PAYLOAD_BYTES_MAX, REPORTS_CONSUMER
from relay.errors import Failed
from relay.nats_bus import Bus, BusError, BusTimeout, BusUnavailable, NobodyAnswers
from relay.protocol import subjects
from relay.protocol.groups import WRAPPED_BYTES_MAX

__all__ = [
    "Retention",
    "check_durable",
    "ensure_keys",
    "ensure_plans",
    "ensure_reports",
    "ensure_shared_keys",
    "ensure_signals",
    "find_open_feeds",
    "has_own_keys",
]

DEDUPE_WINDOW_S = 120
KEYS_BEFORE = "keys.before"  # where nobody may write
MAKE_TIMEOUT_S = 10.0  # a cluster has to agree first
NOBODY_S_MAX, NOBODY_WAIT_S = 2.0, 0.05
SIGNAL_BYTES_MAX = 20 * 1024  # the envelope's 16 KiB and the broker's headers
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a stream is kept: whatever is reached first drops the oldest."""

    age_s_max: int = 30 * 24 * 3600
    bytes_max: int = 1024**3
    replicas: int = 1  # on how many servers of a cluster each stream is kept


async def check_durable(system: Bus) -> str:
    """Ask every server whether it syncs before it acknowledges; returns the oldest version. Raises `Failed`
    if one does not: what it stores may be lost, and is not to be called durable.
    """
    answers = [await system.api("$SYS.REQ.SERVER.PING.VARZ", {})]
    if answers[0].get("data", {}).get("cluster", {}).get("name"):
        answers = await system.api_all("$SYS.REQ.SERVER.PING.VARZ")
    versions: list[str] = []
    for answer in answers:
        data: dict[str, Any] = answer.get("data", {})
        stored = data.get("jetstream", {}).get("config", {})
        if not stored:
            continue  # keeps nothing: a leaf node
        if stored.get("sync_always") is not True:
            where = data.get("server_name", "?")
            text = "sync_interval always is required; without it a stored signal may be lost"
            raise Failed(f"broker: {text} (server {where})")
        versions.append(str(data.get("version", "")))
    if not versions:
        raise Failed("broker: no server keeps streams")
    return min(versions)


async def find_open_feeds(system: Bus) -> list[str]:
    """The names of servers where a follower can have an answer to himself sent to a feed: their settings are
    from before that was closed (`FEEDS_CLOSED`). Followers pay with the reading, nothing can be forged.
    """
    found = []
    for answer in await system.api_all("$SYS.REQ.SERVER.PING.ACCOUNTZ", body={"account": "FOLLOWERS"}):
        account: dict[str, Any] = answer.get("data", {}).get("account_detail") or {}
        mappings: dict[str, list[dict[str, Any]]] = account.get("mappings") or {}
        mapped = {source: [one.get("subject") for one in rows] for source, rows in mappings.items()}
        if account and any(mapped.get(source) != [to] for source, to in FEEDS_CLOSED.items()):
            found.append(str(answer.get("server", {}).get("name", "?")))
    return sorted(found)


async def ensure_signals(
    admin: Bus, leader_id: str, retention: Retention, *, first_seq: int | None = None
) -> None:
    """A leader's stream: append-only, readable by Direct Get, republished to `feed.<leader>` once stored.

    `first_seq` is the number of the first message that a new stream will have (1 if not given).
    """
    await _ensure(
        admin,
        subjects.stream(leader_id),
        {
            "subjects": [subjects.signals(leader_id)],
            "max_msg_size": SIGNAL_BYTES_MAX,
            "allow_direct": True,
            "republish": {"src": subjects.signals(leader_id), "dest": subjects.feed(leader_id)},
        },
        retention,
        {} if first_seq is None else {"first_seq": first_seq},
    )


async def ensure_reports(admin: Bus, retention: Retention) -> None:
    """The followers' reports, and the one durable consumer that reads them."""
    await _ensure(
        admin,
        subjects.REPORTS_STREAM,
        {"subjects": [subjects.REPORTS_SUBJECTS], "max_msg_size": PAYLOAD_BYTES_MAX},
        retention,
    )
    config = {
        "durable_name": REPORTS_CONSUMER,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "max_ack_pending": 1024,
        "ack_wait": 30 * _NANOSECONDS,
        "max_deliver": -1,
    }
    subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{subjects.REPORTS_STREAM}.{REPORTS_CONSUMER}"
    await _ask(admin, subject, {"stream_name": subjects.REPORTS_STREAM, "config": config})


async def ensure_keys(admin: Bus, leader_id: str, retention: Retention) -> None:
    """The wrapped keys of one leader's private group: the newest of each subject, kept as signals are.
    What he writes, however much, pushes out no other leader's.
    """
    await _free_keys(admin)
    await _ensure(
        admin, subjects.keys_stream(leader_id), _keys_config(subjects.keys_of(leader_id)), retention
    )


async def ensure_shared_keys(admin: Bus, retention: Retention) -> None:
    """One stream for all leaders' keys: for servers whose settings open no other."""
    await _ensure(admin, subjects.KEYS_STREAM, _keys_config(subjects.KEYS_SUBJECTS), retention)


async def has_own_keys(system: Bus) -> bool:
    """Whether every server's settings let followers read keys of leaders' own streams."""
    answers = await system.api_all("$SYS.REQ.SERVER.PING.ACCOUNTZ", body={"account": "FOLLOWERS"})
    accounts = [answer.get("data", {}).get("account_detail") or {} for answer in answers]
    imports = [
        {one.get("subject") for one in account.get("imports") or []} for account in accounts if account
    ]
    return bool(imports) and all(KEY_READS in subjects_in for subjects_in in imports)


def _keys_config(keys: str) -> dict[str, Any]:
    return {
        "subjects": [keys],
        "max_msg_size": WRAPPED_BYTES_MAX,
        "max_msgs_per_subject": 1,
        "allow_direct": True,
    }


async def _free_keys(admin: Bus) -> None:
    """A stream that takes in everybody's keys would stand in the way: what it has is kept and read, no more
    comes in.
    """
    try:
        config = (await _ask(admin, f"$JS.API.STREAM.INFO.{subjects.KEYS_STREAM}", {}))["config"]
    except (BusTimeout, BusUnavailable):
        raise
    except BusError:
        return  # there never was one
    if subjects.KEYS_SUBJECTS in config["subjects"]:
        await _changed(admin, subjects.KEYS_STREAM, {**config, "subjects": [KEYS_BEFORE]})


async def ensure_plans(admin: Bus, retention: Retention) -> None:
    """Leaders' stagger plans: a key-value bucket whose entries live a minute."""
    life = subjects.PLAN_LIFE_S * _NANOSECONDS
    await _ensure(
        admin,
        subjects.PLANS_STREAM,
        {
            "subjects": [subjects.PLANS_SUBJECTS],
            "max_msg_size": PAYLOAD_BYTES_MAX,
            "max_msgs_per_subject": 1,
            "allow_direct": True,
            "max_age": life,
            "duplicate_window": life,
        },
        retention,
    )


async def _ensure(
    admin: Bus,
    name: str,
    config: dict[str, Any],
    retention: Retention,
    at_creation: dict[str, Any] | None = None,
) -> None:
    wanted = {
        "name": name,
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "num_replicas": retention.replicas,
        "max_age": retention.age_s_max * _NANOSECONDS,
        "max_bytes": retention.bytes_max,
        "duplicate_window": DEDUPE_WINDOW_S * _NANOSECONDS,
        "deny_delete": True,
        "deny_purge": True,
        **config,
    }
    try:
        answer = await _ask(admin, f"$JS.API.STREAM.CREATE.{name}", {**wanted, **(at_creation or {})})
    except BusError:  # it exists with other limits
        answer = await _changed(admin, name, wanted)
    actual = answer.get("config", {})
    wrong = [key for key, value in wanted.items() if actual.get(key) != value]
    if actual.get("persist_mode", "default") != "default":
        wrong.append("persist_mode")
    if wrong:
        raise Failed(f"stream {name}: the broker did not take over {', '.join(wrong)}")


async def _changed(admin: Bus, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        return await _ask(admin, f"$JS.API.STREAM.UPDATE.{name}", wanted)
    except BusTimeout:
        raise
    except BusError as error:  # it was made by somebody else, in a way that cannot be changed
        raise Failed(f"stream {name}: {error}") from None


async def _ask(admin: Bus, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    """A server that is taking over new settings may for a moment say that nobody is there to ask; nothing has
    been done then.
    """
    deadline_s = time.monotonic() + NOBODY_S_MAX
    while True:
        try:
            return await admin.api(subject, body, timeout_s=MAKE_TIMEOUT_S)
        except NobodyAnswers:
            if time.monotonic() > deadline_s:
                raise
            await asyncio.sleep(NOBODY_WAIT_S)
