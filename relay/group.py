"""A leader's private group: who is in it, its keys, and what becomes of them when somebody comes or goes.

Belongs here: one SQLite file with members and epochs (it holds keys: mode 0600), the order of a new epoch.
Does not belong here: sealing (`relay.protocol.groups`), who may hear the leader at all (the registry).

Members are those whom the relay lets hear the leader, less those whom the leader has put out. The relay's own
monitor is put out from the start: it reads a private feed, and reports on it, once the leader adds it. A
change begins an epoch: a new key, wrapped once for each member, all of them stored before the signed notice,
everything after the notice sealed with it. A member's key to unwrap with is pinned when he comes: if the
relay later names another one for him, he is left out, and the log says so.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog
from nacl.signing import SigningKey

from relay.errors import Failed, InvariantBroken, TryAgain
from relay.nats_bus import Bus, BusError, NotPermitted
from relay.protocol import subjects
from relay.protocol.errors import ProtocolError
from relay.protocol.groups import (
    GROUP_KEY_BYTES,
    MEMBERS_MAX,
    MONITOR_MEMBER,
    KeyTree,
    WrappedKey,
    encode_wrapped,
    leaf_of,
    wrap_key,
)
from relay.publisher import Publisher
from relay.taking_over import sealed_for

__all__ = ["Group", "GroupStore", "wrap_for_all"]

LOOK_INTERVAL_S: Final = 2.0
MEMBERS_FEW: Final = 5_000
EPOCH_INTERVAL_FEW_S: Final = 2.0
EPOCH_INTERVAL_MANY_S: Final = 60.0  # a new key for many members is work
PUBLISH_WINDOW: Final = 64
LOOK_BACK: Final = 500  # messages read at once, from the newest one back ...
LOOK_BACK_MAX: Final = 20_000  # ... and in all: snapshots come every few seconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS member (
  id TEXT PRIMARY KEY, box_key TEXT NOT NULL, is_out INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS epoch (
  number INTEGER PRIMARY KEY, key BLOB NOT NULL, began_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS reader (
  epoch INTEGER NOT NULL, member TEXT NOT NULL, PRIMARY KEY (epoch, member)
) STRICT, WITHOUT ROWID;
"""

_log = structlog.get_logger(__name__)


class GroupStore:
    """The file. One process, one task."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> GroupStore:
        """Open or make the file. Raises `InvariantBroken` if it is damaged."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        try:
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise InvariantBroken(f"group: {path} cannot be read ({error})") from None
        return cls(database)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def current(self) -> tuple[int, bytes] | None:
        """The newest epoch and its key; None for a feed that is not private."""
        row = self._database.execute("SELECT number, key FROM epoch ORDER BY number DESC LIMIT 1").fetchone()
        return (int(row[0]), bytes(row[1])) if row else None

    def group_keys(self) -> list[tuple[int, bytes]]:
        """Every epoch and its key, oldest first."""
        rows = self._database.execute("SELECT number, key FROM epoch ORDER BY number")
        return [(int(number), bytes(key)) for number, key in rows]

    def readers(self, epoch: int) -> list[str]:
        """Who has the key of an epoch."""
        rows = self._database.execute("SELECT member FROM reader WHERE epoch = ? ORDER BY member", (epoch,))
        return [row[0] for row in rows]

    def epochs(self) -> list[tuple[int, int, int]]:
        """Number, when it began (ms) and how many could read, of every epoch: who could read what."""
        rows = self._database.execute(
            "SELECT e.number, e.began_ms, count(r.member) FROM epoch e "
            "LEFT JOIN reader r ON r.epoch = e.number GROUP BY e.number ORDER BY e.number"
        )
        return [(int(number), int(began), int(count)) for number, began, count in rows]

    def set_out(self, member: str, *, is_out: bool) -> bool:
        """Put a member out, or let him in again; False if he was never there."""
        changed = self._database.execute("UPDATE member SET is_out = ? WHERE id = ?", (is_out, member))
        return changed.rowcount == 1

    def admit(self, offered: Mapping[str, str]) -> dict[str, str]:
        """Of those whom the relay names (id -> X25519 key), who is in: pinned keys only."""
        found: dict[str, str] = {}
        for member, box_key in list(offered.items())[:MEMBERS_MAX]:
            is_asked_first = int(member == MONITOR_MEMBER)
            row = (member, box_key, is_asked_first)
            self._database.execute("INSERT OR IGNORE INTO member VALUES (?, ?, ?)", row)
            pinned, is_out = self._database.execute(
                "SELECT box_key, is_out FROM member WHERE id = ?", (member,)
            ).fetchone()
            if pinned != box_key:
                _log.error("member_key_changed", member=member)
            elif not is_out:
                found[member] = box_key
        return found

    def begin(self, epoch: int, key: bytes, members: Mapping[str, str], now_ms: int) -> None:
        """Note a new epoch and who can read it."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("INSERT INTO epoch VALUES (?, ?, ?)", (epoch, key, now_ms))
        self._database.executemany("INSERT INTO reader VALUES (?, ?)", [(epoch, one) for one in members])
        self._database.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class _Wrapped:
    records: list[WrappedKey]
    root: str


def wrap_for_all(key: bytes, leader_id: str, epoch: int, members: Mapping[str, str]) -> _Wrapped:
    """One wrapped key per member, with its proof; who has given a key that is none is left out."""
    boxes: dict[str, str] = {}
    for member, box_key in sorted(members.items()):
        try:
            boxes[member] = wrap_key(key, leader_id, epoch, member, box_key)
        except ProtocolError:
            _log.error("member_key_unusable", member=member)
    tree = KeyTree([leaf_of(member, box) for member, box in boxes.items()])
    records = [
        WrappedKey(
            leader_id=leader_id,
            group_epoch=epoch,
            member_id=member,
            box=box,
            place=place,
            proof=tree.proof(place),
        )
        for place, (member, box) in enumerate(boxes.items())
    ]
    return _Wrapped(records, tree.root)


class Group:
    """Keeps the group's key with its members while the publisher runs."""

    def __init__(self, store: GroupStore, bus: Bus, publisher: Publisher, leader_id: str) -> None:
        self._store = store
        self._bus = bus
        self._publisher = publisher
        self._leader_id = leader_id
        self._turn = asyncio.Lock()
        self._began_s = 0.0
        self._lost_epoch = 0  # the newest of a group whose file is gone
        for epoch, group_key in store.group_keys():
            publisher.go_on_sealing(epoch, group_key)

    @property
    def is_private(self) -> bool:
        """Whether there is a group."""
        return self._store.current() is not None

    async def check_stream(self, key: SigningKey, *, begins_anew: bool = False) -> None:
        """Raises `Failed` if the feed is sealed for a later group epoch than this file knows of: it was lost,
        or is an old copy, and what is said next would be read by who was put out since, or by everybody.
        With `begins_anew` that is what the leader has said, and `begin_anew` is due.
        """
        try:
            told = await self._newest_told(key)
        except NotPermitted:
            return  # the publisher's start says whose key it is
        except BusError as error:
            raise TryAgain(f"broker.url: the stream of {self._leader_id} cannot be read ({error})") from None
        current = self._store.current()
        known = current[0] if current else 0
        if begins_anew and told <= known:
            raise Failed("group: nothing was lost; --new-group is for a private group whose file is gone")
        if begins_anew:
            self._lost_epoch = told
        elif told > known:
            raise Failed(
                f"group: the feed is sealed for epoch {told}, the file of keys beside the outbox (.group) "
                f"goes to {known}: bring back its newest copy; "
                "without one, --new-group begins a group with nobody in it"
            )

    async def begin_anew(self) -> None:
        """In the place of a group whose file was lost: an epoch that nobody reads. Who had been put out is
        not known any more, so that everybody is out until the leader adds him. Raises `TryAgain`.
        """
        if not self._lost_epoch:
            return
        try:
            for member in self._store.admit(await self._offered()):
                self._store.set_out(member, is_out=True)
        except BusError as error:
            raise TryAgain(f"group: {error}") from None
        await self._begin({}, self._lost_epoch + 1)

    async def _newest_told(self, key: SigningKey) -> int:
        stream, links = subjects.stream(self._leader_id), self._publisher.links
        last = await self._bus.last_message(stream, subjects.signals(self._leader_id))
        end = last[0] if last else 0
        lowest = max(0, end - LOOK_BACK_MAX)
        while end > lowest:
            start = max(end - LOOK_BACK, lowest)
            rows = await self._bus.fetch_range(stream, start + 1, end - start)
            told = sealed_for(rows, self._leader_id, key, links)
            if told is not None:
                return told
            end = start
        return 0

    async def run(self) -> None:
        """Look for who has come and gone, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            if not self.is_private:
                continue
            try:
                await self.renew(forced=False)
            except BusError as error:
                _log.warning("members_not_read", reason=str(error))

    async def renew(self, *, forced: bool) -> tuple[int, int]:
        """A new epoch if the members have changed, or in any case; the epoch in force and its members."""
        async with self._turn:
            members = self._store.admit(await self._offered())
            current = self._store.current()
            before = self._store.readers(current[0]) if current else []
            few = len(members) <= MEMBERS_FEW
            wait_s = EPOCH_INTERVAL_FEW_S if few else EPOCH_INTERVAL_MANY_S
            is_due = time.monotonic() - self._began_s >= wait_s
            has_left = bool(set(before) - set(members))
            if current is not None and not forced and (before == sorted(members) or not (is_due or has_left)):
                return current[0], len(before)
            return await self._begin(members, (current[0] if current else 0) + 1)

    async def _begin(self, members: dict[str, str], epoch: int) -> tuple[int, int]:
        """Keys first, then the notice, then the seal: nobody meets a message he cannot get the key to."""
        key, now_ms = secrets.token_bytes(GROUP_KEY_BYTES), time.time_ns() // 1_000_000
        root, count = "0" * 64, 0
        if members:
            wrapped = await asyncio.to_thread(wrap_for_all, key, self._leader_id, epoch, members)
            root, count = wrapped.root, len(wrapped.records)
            await self._publish(wrapped.records)
        self._store.begin(epoch, key, members, now_ms)
        self._publisher.seal_for(epoch, key, root=root, count=count)
        self._began_s = time.monotonic()
        _log.info("group_epoch", epoch=epoch, members=count)
        return epoch, count

    async def _publish(self, records: list[WrappedKey]) -> None:
        window = asyncio.Semaphore(PUBLISH_WINDOW)

        async def one(record: WrappedKey) -> None:
            try:
                await self._bus.publish_group_key(
                    self._leader_id, record.group_epoch, record.member_id, encode_wrapped(record)
                )
            finally:
                window.release()

        async with asyncio.TaskGroup() as tasks:
            for record in records:
                await window.acquire()
                tasks.create_task(one(record))

    async def _offered(self) -> dict[str, str]:
        """All that the relay lets hear us, by id, with the keys they gave when they joined."""
        found: dict[str, str] = {}
        after = ""
        while len(found) < MEMBERS_MAX:
            answer = await self._bus.request(subjects.members(self._leader_id), after.encode())
            try:
                page = msgspec.json.decode(answer.data, type=list[tuple[str, str]])
            except msgspec.MsgspecError:
                raise BusError("members: the relay's answer cannot be read") from None
            if not page:
                break
            found.update(page)
            after = page[-1][0]
        return found
