"""Letting people in and out while everything runs: the registry on one side, the broker on the other.

Belongs here: answering who asks to join or leave, and taking over what commands changed in the registry. Does
not belong here: the rules (`relay.registry`), what a user may do (`relay.broker_config`).

An answer goes out when the broker works by it, so that who was let in can connect at once and who has left is
gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec
import structlog

from relay.broker import Broker
from relay.broker_config import ADMIN, FollowerUser, InviteUser, LeaderUser
from relay.external_broker import ExternalBroker
from relay.nats_bus import Bus, BusError, BusMessage
from relay.planning import Planner
from relay.protocol import subjects
from relay.protocol.errors import BadSignature, ProtocolError
from relay.protocol.groups import MONITOR_MEMBER
from relay.protocol.invite import JoinAnswer, decode_join_request, encode_join_answer
from relay.protocol.messages import KeyLink
from relay.protocol.profile import ProfileAnswer, open_profile
from relay.registry import Refused, Registry

__all__ = ["Admission", "people"]

LOOK_INTERVAL_S = 0.25  # how long a change by a command takes to be noticed
BAR_S = 600.0  # how long somebody is kept out who takes too much of the broker
APPLY_TIMEOUT_S = 5.0
MEMBERS_PER_PAGE = 400  # of at most 100 bytes each

_log = structlog.get_logger(__name__)
People = tuple[list[LeaderUser], list[FollowerUser], list[InviteUser]]


def people(
    registry: Registry, leaders: Sequence[LeaderUser], followers: Sequence[FollowerUser], now_ms: int
) -> People:
    """Everybody with a key: those of the configuration, and those of the registry."""
    fixed_leaders = {leader.id for leader in leaders}
    fixed_followers = {follower.id for follower in followers}
    return (
        [*leaders, *(LeaderUser(o.id, o.nkey) for o in registry.leaders() if o.id not in fixed_leaders)],
        [
            *followers,
            *(
                FollowerUser(one.id, one.nkey, one.leaders)
                for one in registry.followers()
                if one.id not in fixed_followers
            ),
        ],
        [
            InviteUser(one.id, one.nkey)
            for one in registry.invites()
            if one.revoked_ms is None and now_ms < one.expires_ms
        ],
    )


class Admission:
    """Runs beside the broker. `on_leaders` is called after the leaders have changed,
    `on_barred` with whom is kept out, why and for how many seconds.
    """

    def __init__(
        self,
        broker: Broker | ExternalBroker,
        registry: Registry,
        *,
        leaders: Sequence[LeaderUser] = (),
        followers: Sequence[FollowerUser] = (),
        signing_keys: Mapping[str, str] | None = None,
        on_leaders: Callable[[], None] = lambda: None,
        on_barred: Callable[[str, str, float], None] = lambda _id, _why, _seconds: None,
        planner: Planner | None = None,
        monitor_key: str = "",
    ) -> None:
        """`leaders`, `followers`: those of the configuration, who are no matter of the registry;
        `signing_keys`: those leaders' public keys; `monitor_key`: what a leader wraps a group's key with who
        lets the monitor read.
        """
        self._broker = broker
        self._registry = registry
        self._fixed = (leaders, followers)
        self._fixed_keys = dict(signing_keys or {})
        self._on_leaders, self._on_barred = on_leaders, on_barred
        self._planner = planner or Planner()
        self._monitor_key = monitor_key
        self._with_keys: set[str] = set()  # leaders whose group keys have a stream
        self._barred: dict[str, float] = {}  # followers, until when
        self._without: frozenset[str] = frozenset()  # of them, as the broker was told
        self._known_leaders = {leader.id for leader in registry.leaders()}
        self._changed = asyncio.Event()
        self._applied = asyncio.Condition()

    async def run(self, ready: asyncio.Event) -> None:
        """Answer and look until cancelled; sets `ready` when questions are heard."""
        bus = await self._broker.connect(ADMIN)
        try:
            await bus.answer(subjects.JOINS, self._on_join)
            await bus.answer(subjects.LEAVES, self._on_leave)
            await bus.answer(subjects.MEMBERS, self._on_members)
            await bus.answer(subjects.PROFILES, self._on_profile)
            await self._planner.start(bus)
            ready.set()
            await self._look(bus)
        finally:
            await bus.close()

    def bar(self, follower_id: str, why: str) -> None:
        """Keep a follower out for BAR_S: he takes more of the broker than any follower needs."""
        if follower_id not in self._barred:
            todo = "`relay followers remove` puts him out for good"
            _log.error("follower_barred", follower=follower_id, why=why, seconds=BAR_S, todo=todo)
        self._barred[follower_id] = time.monotonic() + BAR_S
        self._on_barred(follower_id, why, BAR_S)
        self._changed.set()

    def _still_barred(self) -> frozenset[str]:
        now_s = time.monotonic()
        for follower_id in [one for one, until_s in self._barred.items() if until_s <= now_s]:
            _log.info("follower_not_barred", follower=follower_id)
            del self._barred[follower_id]
        return frozenset(self._barred)

    async def _look(self, bus: Bus) -> None:
        while True:
            revision = self._registry.revision
            if revision != self._registry.applied or self._still_barred() != self._without:
                await self._apply(revision)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._changed.wait()
            self._changed.clear()

    async def _apply(self, revision: int) -> None:
        leaders, followers, invites = people(self._registry, *self._fixed, _now_ms())
        barred = self._still_barred()
        try:
            await self._broker.change_users(
                leaders, [one for one in followers if one.id not in barred], invites
            )
        except BusError as error:
            _log.warning("users_not_changed_yet", reason=str(error))
            return
        self._without = barred
        async with self._applied:
            self._registry.note_applied(revision)
            self._applied.notify_all()
        known = {leader.id for leader in self._registry.leaders()}
        if known != self._known_leaders:
            self._known_leaders = known
            self._on_leaders()

    async def _in_force(self) -> bool:
        """Whether what the registry says now is what the broker does, within APPLY_TIMEOUT_S."""
        wanted = self._registry.revision
        self._changed.set()
        try:
            async with asyncio.timeout(APPLY_TIMEOUT_S), self._applied:
                await self._applied.wait_for(lambda: self._registry.applied >= wanted)
        except TimeoutError:
            return False
        return True

    async def _on_join(self, message: BusMessage) -> bytes:
        invite_id = message.subject.partition(".")[2]
        try:
            request = decode_join_request(message.data, invite_id)
            before = self._registry.revision
            leaders = self._registry.join(invite_id, request, _now_ms())
        except BadSignature as error:
            return _refusal("proof", str(error))
        except ProtocolError as error:
            return _refusal("malformed", str(error))
        except Refused as error:
            _log.info("join_refused", invite=invite_id, reason=error.code)
            return _refusal(error.code, str(error))
        if self._registry.revision != before and not await self._in_force():
            return _refusal("try_again", "let in, but the broker does not know it yet: ask again")
        _log.info("joined", follower=request.follower_id, leaders=list(leaders))
        leader_id = next(row.leader for row in self._registry.invites() if row.id == invite_id)
        return encode_join_answer(
            JoinAnswer(
                follower_id=request.follower_id,
                leaders=list(leaders),
                profile=self._registry.profile(leader_id),
            )
        )

    async def _on_leave(self, message: BusMessage) -> bytes:
        _, leader_id, follower_id = message.subject.split(".")
        try:
            self._registry.revoke(leader_id, follower_id, _now_ms(), by="follower")
        except Refused as error:
            return _refusal(error.code, str(error))
        self._changed.set()
        _log.info("left", follower=follower_id, leader=leader_id)
        left = [one.leaders for one in self._registry.followers() if one.id == follower_id]
        return encode_join_answer(JoinAnswer(follower_id=follower_id, leaders=[*(left[0] if left else ())]))

    async def _on_profile(self, message: BusMessage) -> bytes:
        leader_id, error = message.subject.partition(".")[2], ""
        try:
            profile = open_profile(message.data, self._signing_key(leader_id), leader_id).profile
            document, known = message.data.decode(), self._known_rotations(leader_id)
            if profile.keys[: len(known)] != known:
                error = "signed by a key that was passed on"  # who has it is not the leader any more
            elif not self._registry.set_profile(leader_id, profile.issued_ms, document):
                error = "a newer one is here"
        except (ProtocolError, UnicodeDecodeError) as problem:
            error = str(problem)
        _log.info("profile", leader=leader_id, refused=error or None)
        return msgspec.json.encode(ProfileAnswer(error=error[:500]))

    def _known_rotations(self, leader_id: str) -> list[KeyLink]:
        """What the profile that is here tells of them."""
        kept = self._registry.profile(leader_id) or ""
        try:
            return open_profile(kept.encode(), self._signing_key(leader_id), leader_id).profile.keys
        except ProtocolError:
            return []

    def _signing_key(self, leader_id: str) -> str:
        keys = {leader.id: leader.signing_key for leader in self._registry.leaders()} | self._fixed_keys
        return keys.get(leader_id, "")

    async def _on_members(self, message: BusMessage) -> bytes:
        """One page of who may hear a leader and the keys to wrap for them, from the last id seen on."""
        leader_id, after = message.subject.partition(".")[2], message.data.decode("ascii", "replace")
        if not after and leader_id not in self._with_keys:  # who asks this writes keys next
            try:
                await self._broker.keep_keys_of(leader_id)
            except BusError as error:
                _log.warning("keys_not_kept_yet", leader=leader_id, reason=str(error))
                return b""
            self._with_keys.add(leader_id)
        page = self._registry.members(leader_id, after, MEMBERS_PER_PAGE)
        if not after and self._monitor_key:
            page.insert(0, (MONITOR_MEMBER, self._monitor_key))
        return msgspec.json.encode(page)


def _refusal(code: str, detail: str) -> bytes:
    return encode_join_answer(JoinAnswer(follower_id="", leaders=[], error=code, detail=detail[:500]))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
