"""Requests for faults in the simulator's own namespace: from plain fields to a fault, and back.

Belongs here: the shape of `/sim/faults`. Does not belong here: what a fault does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulated_exchange.accounts import KeyStore
from simulated_exchange.gateway.faults import Channel, Fault, FaultKind
from simulated_exchange.gateway.translate.refusals import bad_request
from simulated_exchange.gateway.translate.topics import PRIVATE_TOPICS

__all__ = ["FAULT_STATUSES", "fault_from", "fault_row"]

FAULT_STATUSES = (403, 429, 500, 502, 503, 504)
DELAY_MS_MAX = 600_000
SECONDS_MAX = 86_400
COUNT_MAX = 1_000_000
_FIELDS = {
    *("kind", "channel", "path", "name", "topics", "applied", "silent", "delay_ms", "status", "count"),
    *("seconds", "every"),
}

Body = Mapping[str, Any]


def fault_from(body: Body, keys: KeyStore, now_ms: int) -> Fault:
    """A body of POST /sim/faults. Raises RefusedError that names the field."""
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise bad_request(f"params error: {unknown[0][:64]} is no field of a fault")
    kind = _word(body, "kind", [entry.value for entry in FaultKind])
    if kind is None:
        raise bad_request(f"params error: kind must be one of {', '.join(FaultKind)}")
    channel = _word(body, "channel", [entry.value for entry in Channel])
    if kind == FaultKind.DELAY and not body.get("delay_ms"):
        raise bad_request("params error: delay_ms must say how long")
    path = body.get("path", "/v5/")
    if not isinstance(path, str) or not path.startswith("/v5/"):
        raise bad_request("params error: path must begin with /v5/")
    topics = body.get("topics", [])
    if not isinstance(topics, list) or any(topic not in PRIVATE_TOPICS for topic in topics):
        raise bad_request(f"params error: topics must be a list of {', '.join(PRIVATE_TOPICS)}")
    status = _number(body, "status", 503, 599)
    if status not in FAULT_STATUSES:
        raise bad_request(f"params error: status must be one of {', '.join(map(str, FAULT_STATUSES))}")
    seconds = _number(body, "seconds", 0, SECONDS_MAX)
    return Fault(
        kind=FaultKind(kind),
        channel=Channel(channel) if channel else None,
        path=path,
        account=_account(body, keys),
        topics=tuple(topics),
        applied=_flag(body, "applied"),
        is_silent=_flag(body, "silent"),
        delay_ms=_number(body, "delay_ms", 0, DELAY_MS_MAX),
        status=status,
        left=_number(body, "count", 1, COUNT_MAX) if body.get("count") is not None else None,
        ends_ms=now_ms + seconds * 1000 if seconds else 0,
        every=max(_number(body, "every", 1, COUNT_MAX), 1),
    )


def fault_row(fault: Fault, keys: KeyStore) -> dict[str, Any]:
    """A fault in force, and how often it has struck."""
    member = keys.member(fault.account) if fault.account is not None else None
    return {
        "id": fault.identity,
        "kind": fault.kind,
        "channel": fault.channel,
        "path": fault.path,
        "name": member.name if member else None,
        "topics": list(fault.topics),
        "applied": fault.applied,
        "silent": fault.is_silent,
        "delay_ms": fault.delay_ms,
        "status": fault.status,
        "every": fault.every,
        "hits": fault.hits,
        "left": fault.left,
        "ends_ms": fault.ends_ms or None,
    }


def _word(body: Body, name: str, words: list[str]) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value not in words:
        raise bad_request(f"params error: {name} must be one of {', '.join(words)}")
    return value


def _number(body: Body, name: str, default: int, most: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or not 0 <= value <= most:
        raise bad_request(f"params error: {name} must be a whole number from 0 to {most}")
    return value


def _flag(body: Body, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise bad_request(f"params error: {name} must be true or false")
    return value


def _account(body: Body, keys: KeyStore) -> int | None:
    name = body.get("name")
    if name is None:
        return None
    member = keys.by_name(name) if isinstance(name, str) else None
    if member is None:
        raise bad_request("params error: name must be that of an account")
    return member.account
