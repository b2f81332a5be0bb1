"""The broker's configuration as data: accounts, users, what each may publish and hear.

Belongs here: a pure function from who there is to the text nats-server reads. Does not belong here:
processes, files (`relay.broker`), streams (`relay.streams`).

Three accounts. RELAY owns the streams and exports; LEADERS and FOLLOWERS only import. No client shares the
account that owns the streams: inside one account anybody may name another subject as his *reply* and let
the broker write there. Users are allow-listed to their own subjects; nothing is ever granted by a deny-list.
The one thing a client's account exports is heartbeats: not stored, and believed by their signature alone.

Feeds reach FOLLOWERS as imports, answers to its own requests as messages of the account. Messages' subjects
are mapped, those of imports are not: an answer that was asked for at a feed goes where nobody listens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.protocol import subjects
from relay.protocol.groups import MONITOR_MEMBER

__all__ = [
    "ADMIN",
    "FEEDS_CLOSED",
    "KEY_READS",
    "MONITOR",
    "PAYLOAD_BYTES_MAX",
    "REPORTS_CONSUMER",
    "SYSTEM",
    "BrokerUsers",
    "ClusterNode",
    "FollowerUser",
    "InviteUser",
    "LeaderUser",
    "Rights",
    "TlsFiles",
    "broker_config",
    "leaf_config",
    "rights_of",
    "with_leaf_door",
]

PAYLOAD_BYTES_MAX = 64 * 1024
FOLLOWERS_CONNECTIONS_MAX = 25_000  # at one server, followers and invites
OTHERS_CONNECTIONS_MAX = 1_000  # leaders and the relay: followers cannot take these from them
SUBSCRIPTIONS_MAX = 1_000  # per connection
PENDING_BYTES_MAX = 32 * 1024 * 1024  # per connection: a reader slower than this is disconnected

SYSTEM = "system"  # reads the broker's own figures
ADMIN = "admin"  # makes streams
MONITOR = "monitor"  # hears everything, takes in reports
REPORTS_CONSUMER = "monitor"  # the durable consumer's name

KEY_READS: Final = subjects.direct_get(f"*.{subjects.KEYS_SUBJECTS}")  # of every leader's own stream
_PLAN_READS = subjects.direct_get(f"{subjects.PLANS_STREAM}.{subjects.PLANS_SUBJECTS}")
# what followers hear is written by no answer to one of them: subjects as nats-server maps them in FOLLOWERS
FEEDS_CLOSED: Final = {"feed.*": "nowhere.feed.$1", "beat.*": "nowhere.beat.$1"}
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


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """One server of a cluster: its name, where it listens for the others, where they are."""

    name: str
    listen: str  # HOST:PORT
    routes: tuple[str, ...]  # nats-route://HOST:PORT
    cluster: str = "slipstream"


@dataclass(frozen=True, slots=True)
class Rights:
    """What one user may do: the account he is in, what he may publish and hear."""

    user: str
    account: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    def as_permissions(self) -> dict[str, Any]:
        """In nats-server's words: lists of what is allowed, and nothing else is."""
        return {"publish": {"allow": list(self.publish)}, "subscribe": {"allow": list(self.subscribe)}}


def broker_config(
    users: BrokerUsers,
    *,
    host: str,
    port: int,
    data_dir: Path,
    tls: TlsFiles | None = None,
    node: ClusterNode | None = None,
    issuer: str | None = None,
) -> str:
    """The configuration file's text (JSON, which nats-server reads). `port` 0 = any free one.

    With `issuer` (a public account nkey) leaders, followers and invites are not in the file: the server asks
    the relay about each who connects (auth callout), and the relay's answers are signed by that key.
    """
    tree: dict[str, Any] = {
        "server_name": node.name if node else "slipstream",
        "host": host,
        "port": port or -1,
        "max_payload": PAYLOAD_BYTES_MAX,
        "max_connections": FOLLOWERS_CONNECTIONS_MAX + OTHERS_CONNECTIONS_MAX,
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
            "LEADERS": _leaders_account([] if issuer else _users(users, "LEADERS")),
            "FOLLOWERS": _followers_account([] if issuer else _users(users, "FOLLOWERS")),
        },
    }
    if node is None:  # our own child: found by these; elsewhere the server would need the folder beforehand
        tree |= {"ports_file_dir": str(data_dir), "pid_file": str(data_dir / "broker.pid")}
    if tls:
        tree["tls"] = {"cert_file": str(tls.certificate), "key_file": str(tls.key)}
    if node:
        tree["cluster"] = {"name": node.cluster, "listen": node.listen, "routes": list(node.routes)}
    if issuer:
        callout = {"issuer": issuer, "auth_users": list(users.internal.values()), "account": "RELAY"}
        tree["authorization"] = {"auth_callout": callout, "timeout": 3}
    return json.dumps(tree, indent=1)


def with_leaf_door(config: str, listen: str, nkey: str) -> str:
    """A server's configuration that takes leaf nodes of FOLLOWERS as well, by this public nkey."""
    tree: dict[str, Any] = json.loads(config)
    tree["leafnodes"] = {"listen": listen, "authorization": {"nkey": nkey, "account": "FOLLOWERS"}}
    return json.dumps(tree, indent=1)


def leaf_config(users: BrokerUsers, *, host: str, port: int, data_dir: Path, hub: str, seed: str) -> str:
    """A server near followers that keeps nothing: what it hears it has from the `hub` (nats-leaf://HOST:PORT).

    Its users are followers with their own allow-lists; `internal` needs SYSTEM only, a key of this server's
    own. `seed` is that of the nkey that the hub knows it by: the text is a secret.
    """
    return json.dumps(
        {
            "server_name": f"leaf-{port}",
            "host": host,
            "port": port or -1,
            "ports_file_dir": str(data_dir),
            "max_payload": PAYLOAD_BYTES_MAX,
            "max_connections": FOLLOWERS_CONNECTIONS_MAX + OTHERS_CONNECTIONS_MAX,
            "max_subscriptions": SUBSCRIPTIONS_MAX,
            "max_pending": PENDING_BYTES_MAX,
            "write_deadline": "5s",
            "system_account": "SYSTEM",
            "accounts": {
                "SYSTEM": {"users": [{"nkey": users.internal[SYSTEM]}]},
                "FOLLOWERS": {"users": _users(users, "FOLLOWERS"), "limits": _followers_limits()},
            },
            "leafnodes": {"remotes": [{"urls": [hub], "account": "FOLLOWERS", "nkey": seed}]},
        },
        indent=1,
    )


def rights_of(users: BrokerUsers) -> dict[str, Rights]:
    """Everybody's rights, by public nkey."""
    return {
        **{leader.nkey: _leader_rights(leader) for leader in users.leaders},
        **{follower.nkey: _follower_rights(follower) for follower in users.followers},
        **{invite.nkey: _invite_rights(invite) for invite in users.invites},
    }


def _leader_rights(leader: LeaderUser) -> Rights:
    return Rights(
        leader.id,
        "LEADERS",
        publish=(
            subjects.signals(leader.id),
            subjects.beat(leader.id),
            subjects.direct_get(subjects.stream(leader.id)),
            subjects.group_key(leader.id, "*", "*"),
            subjects.members(leader.id),
            subjects.market(leader.id),
            subjects.direct_get(f"{subjects.PLANS_STREAM}.{subjects.plan(leader.id)}"),
            subjects.profile(leader.id),
        ),
        subscribe=(subjects.beat(leader.id), f"{subjects.inbox_prefix(leader.id)}.>"),
    )


def _follower_rights(follower: FollowerUser) -> Rights:
    publish: list[str] = [subjects.instance(follower.id, "*")]
    subscribe: list[str] = []
    for leader in follower.leaders:
        own_key = subjects.group_key(leader, "*", follower.id)
        publish += [
            subjects.reports(leader, follower.id),
            subjects.leave(leader, follower.id),
            subjects.direct_get(f"{subjects.keys_stream(leader)}.{own_key}"),
            subjects.direct_get(f"{subjects.KEYS_STREAM}.{own_key}"),
            subjects.direct_get(subjects.stream(leader)),
            subjects.history(subjects.stream(leader)),
        ]
        subscribe += [subjects.feed(leader), subjects.beat(leader)]
    inbox = f"{subjects.inbox_prefix(follower.id)}.>"
    return Rights(follower.id, "FOLLOWERS", tuple(publish), (*subscribe, inbox))


def _invite_rights(invite: InviteUser) -> Rights:
    inbox = f"{subjects.inbox_prefix(invite.id)}.>"
    return Rights(invite.id, "FOLLOWERS", (subjects.join(invite.id),), (inbox,))


def _users(users: BrokerUsers, account: str) -> list[dict[str, Any]]:
    return [
        {"nkey": nkey, "permissions": rights.as_permissions()}
        for nkey, rights in rights_of(users).items()
        if rights.account == account
    ]


def _relay_account(users: BrokerUsers) -> dict[str, Any]:
    reports = f"{subjects.REPORTS_STREAM}.{REPORTS_CONSUMER}"
    monitor = _user(
        users.internal[MONITOR],
        publish=[
            f"$JS.API.CONSUMER.MSG.NEXT.{reports}",
            f"$JS.API.CONSUMER.INFO.{reports}",
            f"$JS.ACK.{reports}.>",
            "$JS.API.DIRECT.GET.*",
            subjects.direct_get(f"*.{subjects.group_key('*', '*', MONITOR_MEMBER)}"),
        ],
        subscribe=["feed.*", "beat.*", f"{subjects.inbox_prefix(MONITOR)}.>"],
    )
    return {
        "jetstream": "enabled",
        "users": [{"nkey": users.internal[ADMIN]}, monitor],
        "exports": [
            *(
                {"service": subject, "accounts": ["LEADERS"]}
                for subject in (
                    "signals.*",
                    subjects.KEYS_SUBJECTS,
                    subjects.MEMBERS,
                    subjects.MARKETS,
                    subjects.PROFILES,
                )
            ),
            {"stream": "feed.*", "accounts": ["FOLLOWERS"]},
            {
                "service": "$JS.API.DIRECT.GET.*",
                "response_type": "Stream",
                "accounts": ["LEADERS", "FOLLOWERS"],
            },
            {"service": KEY_READS, "response_type": "Stream", "accounts": ["FOLLOWERS"]},
            {"service": _PLAN_READS, "response_type": "Stream", "accounts": ["LEADERS"]},
            *(
                {"service": subject, "accounts": ["FOLLOWERS"]}
                for subject in (subjects.REPORTS_SUBJECTS, subjects.JOINS, subjects.LEAVES)
            ),
        ],
        "imports": [_BEATS],
    }


def _leaders_account(users: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "users": users,
        "exports": [{"stream": "beat.*", "accounts": ["RELAY", "FOLLOWERS"]}],
        "imports": [
            _service(subject)
            for subject in (
                "signals.*",
                "$JS.API.DIRECT.GET.*",
                subjects.KEYS_SUBJECTS,
                subjects.MEMBERS,
                subjects.MARKETS,
                _PLAN_READS,
                subjects.PROFILES,
            )
        ],
    }


def _followers_account(users: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "users": users,
        "limits": _followers_limits(),
        "mappings": FEEDS_CLOSED,
        "imports": [
            {"stream": {"account": "RELAY", "subject": "feed.*"}},
            _BEATS,
            _service("$JS.API.DIRECT.GET.*"),
            {**_service("$JS.API.DIRECT.GET.*"), "to": subjects.history("*")},  # for leaf nodes
            _service(KEY_READS),
            *map(_service, (subjects.REPORTS_SUBJECTS, subjects.JOINS, subjects.LEAVES)),
        ],
    }


def _followers_limits() -> dict[str, Any]:
    return {"max_connections": FOLLOWERS_CONNECTIONS_MAX}


def _user(nkey: str, *, publish: list[str], subscribe: list[str]) -> dict[str, Any]:
    return {
        "nkey": nkey,
        "permissions": {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}},
    }


def _service(subject: str) -> dict[str, Any]:
    return {"service": {"account": "RELAY", "subject": subject}}
