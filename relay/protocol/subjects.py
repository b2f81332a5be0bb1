"""Where each message lives on the bus: subjects, stream names, and the grammar of the ids inside them.

Belongs here: names only. Who may use them is the broker's (`relay.broker`), how they are used the bus's.
"""

from __future__ import annotations

import re

from relay.protocol.errors import Malformed

__all__ = [
    "IDENTIFIER_PATTERN",
    "JOINS",
    "KEYS_STREAM",
    "KEYS_SUBJECTS",
    "LEAVES",
    "MARKETS",
    "MEMBERS",
    "PLANS_STREAM",
    "PLANS_SUBJECTS",
    "PLAN_LIFE_S",
    "PROFILES",
    "REPORTS_STREAM",
    "REPORTS_SUBJECTS",
    "beat",
    "check_identifier",
    "direct_get",
    "feed",
    "group_key",
    "history",
    "inbox_prefix",
    "instance",
    "join",
    "keys_of",
    "keys_stream",
    "leave",
    "market",
    "members",
    "parse_report_subject",
    "plan",
    "profile",
    "reports",
    "signals",
    "stream",
]

IDENTIFIER_PATTERN = r"\A[a-z0-9]{1,32}\Z"
REPORTS_STREAM = "REPORTS"
REPORTS_SUBJECTS = "reports.*.*"
KEYS_STREAM = "KEYS"  # everybody's, from before each leader had one of his own: still read
KEYS_SUBJECTS = "keys.*.*.*"
MEMBERS = "members.*"
MARKETS = "market.*"
PLANS_STREAM = "KV_plans"  # a key-value bucket, in the broker's own naming
PLANS_SUBJECTS = "$KV.plans.*"
PLAN_LIFE_S = 60  # how long an entry lives
PROFILES = "profile.*"
JOINS = "join.*"
LEAVES = "leave.*.*"

_IDENTIFIER = re.compile(IDENTIFIER_PATTERN)


def check_identifier(value: str) -> str:
    """Return `value` if it is a leader's or follower's id (`[a-z0-9]{1,32}`); else raise `Malformed`."""
    if not isinstance(value, str) or _IDENTIFIER.match(value) is None:
        raise Malformed("id: 1 to 32 characters of a-z and 0-9 are allowed")
    return value


def signals(leader_id: str) -> str:
    """The subject a leader publishes on; captured by his stream."""
    return f"signals.{check_identifier(leader_id)}"


def feed(leader_id: str) -> str:
    """The subject followers listen on: what the stream republishes once it is stored."""
    return f"feed.{check_identifier(leader_id)}"


def beat(leader_id: str) -> str:
    """Heartbeats: not stored."""
    return f"beat.{check_identifier(leader_id)}"


def reports(leader_id: str, follower_id: str) -> str:
    """What one follower reports about one leader; captured by the stream `REPORTS`."""
    return f"reports.{check_identifier(leader_id)}.{check_identifier(follower_id)}"


def join(invite_id: str) -> str:
    """Where the holder of an invite asks to be let in (`invite`); answered by the relay."""
    return f"join.{check_identifier(invite_id)}"


def leave(leader_id: str, follower_id: str) -> str:
    """Where a follower gives one grant back; answered by the relay."""
    return f"leave.{check_identifier(leader_id)}.{check_identifier(follower_id)}"


def group_key(leader_id: str, group_epoch: int | str, member_id: str) -> str:
    """Where one member's wrapped key of one group epoch is kept (`*` for any epoch or member)."""
    for name in (leader_id, member_id):
        if name != "*":
            check_identifier(name)
    return f"keys.{leader_id}.{group_epoch}.{member_id}"


def keys_stream(leader_id: str) -> str:
    """The stream with the wrapped keys of one leader's group: what he writes pushes out nobody else's."""
    return f"KEYS_{check_identifier(leader_id)}"


def keys_of(leader_id: str) -> str:
    """All the keys of one leader's group."""
    return f"keys.{check_identifier(leader_id)}.*.*"


def market(leader_id: str) -> str:
    """Where a leader tells what his followers' entries will meet (`plans`); answered by the relay."""
    return f"market.{check_identifier(leader_id)}"


def plan(leader_id: str) -> str:
    """The entry with a leader's stagger plans: written by the relay, read by him alone."""
    return f"$KV.plans.{check_identifier(leader_id)}"


def members(leader_id: str) -> str:
    """Where a leader asks who may hear him; answered by the relay."""
    return f"members.{check_identifier(leader_id)}"


def profile(leader_id: str) -> str:
    """Where a leader publishes what he says of himself (`profile`); answered by the relay."""
    return f"profile.{check_identifier(leader_id)}"


def parse_report_subject(subject: str) -> tuple[str, str]:
    """`reports.<leader>.<follower>` -> (leader_id, follower_id). The broker has enforced both."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] != "reports":
        raise Malformed("subject of a report: reports.<leader>.<follower> is allowed")
    return check_identifier(parts[1]), check_identifier(parts[2])


def stream(leader_id: str) -> str:
    """The name of a leader's stream. Its sequence numbers are the leader's `seq`."""
    return f"SIGNALS_{check_identifier(leader_id)}"


def direct_get(stream_name: str) -> str:
    """The API subject that opens one stream's history, and no other's."""
    return f"$JS.API.DIRECT.GET.{stream_name}"


def history(stream_name: str) -> str:
    """The same question where a server in between keeps the API's own subjects to itself: a leaf node."""
    return f"history.{stream_name}"


def instance(follower_id: str, token: str) -> str:
    """Where programs that run as one follower hear of one another: below his inbox, which is his alone.

    `token` ("*" for all) is what nobody else can guess: others may have answers sent to an address they know.
    """
    return f"{inbox_prefix(follower_id)}.instance.{token}"


def inbox_prefix(user_id: str) -> str:
    """Replies to one user arrive below this prefix, which no other user of the account may read."""
    return f"_INBOX_{check_identifier(user_id)}"
