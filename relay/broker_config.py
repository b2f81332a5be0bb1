"""The broker's configuration as data: accounts, users, what each may publish and hear.

Belongs here: a pure function from who there is to the text nats-server reads. Does not belong here:
processes, files (`relay.broker`), streams (`relay.streams`).

Three accounts. RELAY owns the streams and exports; LEADERS and FOLLOWERS only import. No client shares the
account that owns the streams: inside one account anybody may name another subject as his *reply* and let
the broker write there. Users are allow-listed to their own subjects; nothing is ever granted by a deny-list.
The one thing a client's account exports is heartbeats: not stored, and believed by their signature alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.protocol import subjects

__all__ = [
    "ADMIN",
    "MONITOR",
    "PAYLOAD_BYTES_MAX",
    "REPORTS_CONSUMER",
    "SYSTEM",
    "BrokerUsers",
    "FollowerUser",
    "InviteUser",
    "LeaderUser",
    "TlsFiles",
    "broker_config",
]

PAYLOAD_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 10_000
SUBSCRIPTIONS_MAX = 1_000  # per connection
PENDING_BYTES_MAX = 32 * 1024 * 1024  # per connection: a reader slower than this is disconnected

SYSTEM = "system"  # reads the broker's own figures
ADMIN = "admin"  # makes streams
MONITOR = "monitor"  # hears everything, takes in reports
REPORTS_CONSUMER = "monitor"  # the durable consumer's name

_KEY_READS = subjects.direct_get(f"{subjects.KEYS_STREAM}.{subjects.KEYS_SUBJECTS}")
_BEATS = {"stream": {"account": "LEADERS", "subject": "beat.*"}}


@dataclass(frozen=True, slots=True)
class LeaderUser:
    """Somebody who may publish his own signals."""

    id: str
    nkey: str


@dataclass(frozen=True, slots=True)
class FollowerUser:
    """Somebody who may hear the leaders he was granted, and report on them."""

    id: str
    nkey: str
    leaders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InviteUser:
    """Somebody who holds an open invite: he may ask to join, and nothing else."""

    id: str
    nkey: str


@dataclass(frozen=True, slots=True)
class BrokerUsers:
    """Everybody with a key. `internal` maps SYSTEM, ADMIN and MONITOR to their public nkeys."""

    leaders: Sequence[LeaderUser]
    followers: Sequence[FollowerUser]
    internal: dict[str, str]
    invites: Sequence[InviteUser] = ()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The broker's certificate chain and its key, PEM."""

    certificate: Path
    key: Path


def broker_config(
    users: BrokerUsers, *, host: str, port: int, data_dir: Path, tls: TlsFiles | None = None
) -> str:
    """The configuration file's text (JSON, which nats-server reads). `port` 0 = any free one."""
    secure = {"tls": {"cert_file": str(tls.certificate), "key_file": str(tls.key)}} if tls else {}
    return json.dumps(
        {
            **secure,
            "server_name": "slipstream",
            "host": host,
            "port": port or -1,
            "ports_file_dir": str(data_dir),
            "pid_file": str(data_dir / "broker.pid"),
            "max_payload": PAYLOAD_BYTES_MAX,
            "max_connections": CONNECTIONS_MAX,
            "max_subscriptions": SUBSCRIPTIONS_MAX,
            "max_pending": PENDING_BYTES_MAX,
            "max_control_line": 4096,
            "write_deadline": "5s",
            "ping_interval": "5s",
            "ping_max": 2,
            "jetstream": {
                "store_dir": str(data_dir / "streams"),
                "sync_interval": "always",  # fsync before the acknowledgement
            },
            "system_account": "SYSTEM",
            "accounts": {
                "SYSTEM": {"users": [{"nkey": users.internal[SYSTEM]}]},
                "RELAY": _relay_account(users),
                "LEADERS": _leaders_account(users),
                "FOLLOWERS": _followers_account(users),
            },
        },
        indent=1,
    )


def _relay_account(users: BrokerUsers) -> dict[str, Any]:
    reports = f"{subjects.REPORTS_STREAM}.{REPORTS_CONSUMER}"
    monitor = _user(
        users.internal[MONITOR],
        publish=[
            f"$JS.API.CONSUMER.MSG.NEXT.{reports}",
            f"$JS.API.CONSUMER.INFO.{reports}",
            f"$JS.ACK.{reports}.>",
            "$JS.API.DIRECT.GET.*",
        ],
        subscribe=["feed.*", "beat.*", f"{subjects.inbox_prefix(MONITOR)}.>"],
    )
    return {
        "jetstream": "enabled",
        "users": [{"nkey": users.internal[ADMIN]}, monitor],
        "exports": [
            *(
                {"service": subject, "accounts": ["LEADERS"]}
                for subject in ("signals.*", subjects.KEYS_SUBJECTS, subjects.MEMBERS)
            ),
            {"stream": "feed.*", "accounts": ["FOLLOWERS"]},
            {
                "service": "$JS.API.DIRECT.GET.*",
                "response_type": "Stream",
                "accounts": ["LEADERS", "FOLLOWERS"],
            },
            {"service": _KEY_READS, "response_type": "Stream", "accounts": ["FOLLOWERS"]},
            *(
                {"service": subject, "accounts": ["FOLLOWERS"]}
                for subject in (subjects.REPORTS_SUBJECTS, subjects.JOINS, subjects.LEAVES)
            ),
        ],
        "imports": [_BEATS],
    }


def _leaders_account(users: BrokerUsers) -> dict[str, Any]:
    return {
        "users": [
            _user(
                leader.nkey,
                publish=[
                    subjects.signals(leader.id),
                    subjects.beat(leader.id),
                    subjects.direct_get(subjects.stream(leader.id)),
                    subjects.group_key(leader.id, "*", "*"),
                    subjects.members(leader.id),
                ],
                subscribe=[f"{subjects.inbox_prefix(leader.id)}.>"],
            )
            for leader in users.leaders
        ],
        "exports": [{"stream": "beat.*", "accounts": ["RELAY", "FOLLOWERS"]}],
        "imports": [
            _service(subject)
            for subject in ("signals.*", "$JS.API.DIRECT.GET.*", subjects.KEYS_SUBJECTS, subjects.MEMBERS)
        ],
    }


def _followers_account(users: BrokerUsers) -> dict[str, Any]:
    return {
        "users": [
            _user(
                follower.nkey,
                publish=[
                    subject
                    for leader in follower.leaders
                    for subject in (
                        subjects.reports(leader, follower.id),
                        subjects.leave(leader, follower.id),
                        subjects.direct_get(
                            f"{subjects.KEYS_STREAM}.{subjects.group_key(leader, '*', follower.id)}"
                        ),
                        subjects.direct_get(subjects.stream(leader)),
                    )
                ],
                subscribe=[
                    *(subjects.feed(leader) for leader in follower.leaders),
                    *(subjects.beat(leader) for leader in follower.leaders),
                    f"{subjects.inbox_prefix(follower.id)}.>",
                ],
            )
            for follower in users.followers
        ]
        + [
            _user(
                invite.nkey,
                publish=[subjects.join(invite.id)],
                subscribe=[f"{subjects.inbox_prefix(invite.id)}.>"],
            )
            for invite in users.invites
        ],
        "imports": [
            {"stream": {"account": "RELAY", "subject": "feed.*"}},
            _BEATS,
            _service("$JS.API.DIRECT.GET.*"),
            _service(_KEY_READS),
            *map(_service, (subjects.REPORTS_SUBJECTS, subjects.JOINS, subjects.LEAVES)),
        ],
    }


def _user(nkey: str, *, publish: list[str], subscribe: list[str]) -> dict[str, Any]:
    return {
        "nkey": nkey,
        "permissions": {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}},
    }


def _service(subject: str) -> dict[str, Any]:
    return {"service": {"account": "RELAY", "subject": subject}}
