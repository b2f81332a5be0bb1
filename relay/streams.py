"""The streams behind the signal feed: made once, checked at every start.

Belongs here: what a stream must be for a signal to be called stored. Does not belong here: who may use it
(`relay.broker_config`), the calls themselves (`relay.nats_bus`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relay.broker_config import PAYLOAD_BYTES_MAX, REPORTS_CONSUMER
from relay.errors import Failed
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.groups import WRAPPED_BYTES_MAX

__all__ = ["Retention", "check_durable", "ensure_keys", "ensure_reports", "ensure_signals"]

DEDUPE_WINDOW_S = 120
SIGNAL_BYTES_MAX = 20 * 1024  # the envelope's 16 KiB and the broker's headers
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a stream is kept: whatever is reached first drops the oldest."""

    age_s_max: int = 30 * 24 * 3600
    bytes_max: int = 1024**3


async def check_durable(system: Bus) -> str:
    """Ask the broker whether it syncs before it acknowledges; returns its version. Raises `Failed` if not."""
    figures = await system.api("$SYS.REQ.SERVER.PING.VARZ", {})
    data: dict[str, Any] = figures.get("data", {})
    if data.get("jetstream", {}).get("config", {}).get("sync_always") is not True:
        raise Failed("broker: sync_interval always is required; without it a stored signal may be lost")
    return str(data.get("version", ""))


async def ensure_signals(admin: Bus, leader_id: str, retention: Retention) -> None:
    """A leader's stream: append-only, readable by Direct Get, republished to `feed.<leader>` once stored."""
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
    await admin.api(subject, {"stream_name": subjects.REPORTS_STREAM, "config": config})


async def ensure_keys(admin: Bus, retention: Retention) -> None:
    """Members' wrapped keys of private groups: the newest of each subject, as long as signals are kept."""
    await _ensure(
        admin,
        subjects.KEYS_STREAM,
        {
            "subjects": [subjects.KEYS_SUBJECTS],
            "max_msg_size": WRAPPED_BYTES_MAX,
            "max_msgs_per_subject": 1,
            "allow_direct": True,
        },
        retention,
    )


async def _ensure(admin: Bus, name: str, config: dict[str, Any], retention: Retention) -> None:
    wanted = {
        "name": name,
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "num_replicas": 1,
        "max_age": retention.age_s_max * _NANOSECONDS,
        "max_bytes": retention.bytes_max,
        "duplicate_window": DEDUPE_WINDOW_S * _NANOSECONDS,
        "deny_delete": True,
        "deny_purge": True,
        **config,
    }
    try:
        answer = await admin.api(f"$JS.API.STREAM.CREATE.{name}", wanted)
    except BusError:  # it exists with other limits
        answer = await admin.api(f"$JS.API.STREAM.UPDATE.{name}", wanted)
    actual = answer.get("config", {})
    wrong = [key for key, value in wanted.items() if actual.get(key) != value]
    if actual.get("persist_mode", "default") != "default":
        wrong.append("persist_mode")
    if wrong:
        raise Failed(f"stream {name}: the broker did not take over {', '.join(wrong)}")
