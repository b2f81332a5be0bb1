"""Who there is: leaders, followers, grants, invites, and a log of every change.

Belongs here: one SQLite file, the rules of letting in and out, each change with its line in the log. Does not
belong here: the broker's configuration made of it (`relay.broker_config`), calls over the bus
(`relay.admission`).

Commands and the running relay open the same file; each change is one transaction that raises `revision`, so
whoever runs the broker notices (`revision` is one cheap read). Nothing is ever deleted: what ended has the
time of its end, so the log and the rows say who could read what and when.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.errors import Failed, InvariantBroken
from relay.protocol.groups import MONITOR_MEMBER
from relay.protocol.invite import JoinRequest

__all__ = ["Follower", "InviteRow", "Leader", "LogRow", "Refused", "Registry"]

FOLLOWERS_MAX: Final = 100_000
LOG_ROWS_SHOWN_MAX: Final = 10_000
_BUSY_TIMEOUT_S: Final = 5.0
_VERSION = "1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS leader (
  id TEXT PRIMARY KEY, nkey TEXT NOT NULL UNIQUE, signing_key TEXT NOT NULL, hint TEXT NOT NULL,
  since_ms INTEGER NOT NULL, until_ms INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS follower (
  id TEXT PRIMARY KEY, nkey TEXT NOT NULL UNIQUE, box_key TEXT NOT NULL, since_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS granted (
  leader TEXT NOT NULL REFERENCES leader (id), follower TEXT NOT NULL REFERENCES follower (id),
  invite TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS granted_now ON granted (leader, follower) WHERE until_ms IS NULL;
CREATE INDEX IF NOT EXISTS granted_by_follower ON granted (follower);
CREATE TABLE IF NOT EXISTS invite (
  id TEXT PRIMARY KEY, nkey TEXT NOT NULL UNIQUE, leader TEXT NOT NULL REFERENCES leader (id),
  follower TEXT, note TEXT NOT NULL, since_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
  uses_max INTEGER NOT NULL, uses INTEGER NOT NULL DEFAULT 0, revoked_ms INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS profile (
  leader TEXT PRIMARY KEY, issued_ms INTEGER NOT NULL, document TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS log (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
"""


class Refused(Exception):  # noqa: N818 - a value for who asked, not a failure of ours
    """A change that is not allowed. `code` is stable (see `JoinAnswer.error`), the text is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Leader:
    """A leader in force. `hint` is what invites say about his venue (`exchange`, `rest_url`, ...)."""

    id: str
    nkey: str
    signing_key: str
    since_ms: int
    hint: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Follower:
    """A follower and the leaders he may hear now."""

    id: str
    nkey: str
    box_key: str
    since_ms: int
    leaders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InviteRow:
    """An invite that was made. `follower` None: the joiner chooses his id."""

    id: str
    nkey: str
    leader: str
    follower: str | None
    note: str
    since_ms: int
    expires_ms: int
    uses_max: int
    uses: int
    revoked_ms: int | None

    def state(self, now_ms: int) -> str:
        """open, used, expired or revoked."""
        if self.revoked_ms is not None:
            return "revoked"
        if self.uses >= self.uses_max:
            return "used"
        return "expired" if now_ms >= self.expires_ms else "open"


@dataclass(frozen=True, slots=True)
class LogRow:
    """One change."""

    number: int
    at_ms: int
    what: str
    who: str
    detail: str


class Registry:
    """The file. Each method is one transaction; times are given by the caller."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Registry:
        """Open or make the file. Raises `InvariantBroken` if it is damaged, `Failed` if it is of another
        version.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.touch(mode=0o600)
            database = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA foreign_keys = ON")
            database.executescript(_SCHEMA)
            database.execute(
                "INSERT OR IGNORE INTO fact VALUES ('version', ?), ('revision', '1'), ('applied', '0')",
                (_VERSION,),
            )
            version = database.execute("SELECT value FROM fact WHERE name = 'version'").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise InvariantBroken(f"registry: {path} cannot be read ({error})") from None
        except OSError as error:
            raise Failed(f"registry: {path} cannot be made ({error.strerror})") from None
        if version != _VERSION:
            raise Failed(f"registry: {path} has version {version}, allowed: {_VERSION}")
        return cls(database)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @property
    def revision(self) -> int:
        """Raised by every change."""
        return self._number("revision")

    @property
    def applied(self) -> int:
        """The newest revision that the running broker has taken over."""
        return self._number("applied")

    def note_applied(self, revision: int) -> None:
        """The broker now works by this revision."""
        self._database.execute("UPDATE fact SET value = ? WHERE name = 'applied'", (str(revision),))

    def leaders(self) -> list[Leader]:
        """Those in force, by id."""
        rows = self._database.execute(
            "SELECT id, nkey, signing_key, since_ms, hint FROM leader WHERE until_ms IS NULL ORDER BY id"
        )
        return [
            Leader(leader_id, nkey, signing_key, since_ms, json.loads(hint))
            for leader_id, nkey, signing_key, since_ms, hint in rows
        ]

    def followers(self) -> list[Follower]:
        """Those with at least one grant in force, by id."""
        grants: dict[str, list[str]] = {}
        for leader, follower in self._database.execute(
            "SELECT g.leader, g.follower FROM granted g JOIN leader l ON l.id = g.leader "
            "WHERE g.until_ms IS NULL AND l.until_ms IS NULL ORDER BY g.leader"
        ):
            grants.setdefault(follower, []).append(leader)
        rows = self._database.execute("SELECT id, nkey, box_key, since_ms FROM follower ORDER BY id")
        return [
            Follower(follower_id, nkey, box_key, since_ms, tuple(grants[follower_id]))
            for follower_id, nkey, box_key, since_ms in rows
            if follower_id in grants
        ]

    def invites(self) -> list[InviteRow]:
        """All that were ever made, newest first."""
        rows = self._database.execute(
            "SELECT id, nkey, leader, follower, note, since_ms, expires_ms, uses_max, uses, revoked_ms "
            "FROM invite ORDER BY since_ms DESC, id"
        )
        return [InviteRow(*row) for row in rows]

    def log(self, count: int = LOG_ROWS_SHOWN_MAX) -> list[LogRow]:
        """The newest changes, oldest first."""
        rows = self._database.execute(
            "SELECT number, at_ms, what, who, detail FROM log ORDER BY number DESC LIMIT ?",
            (min(count, LOG_ROWS_SHOWN_MAX),),
        ).fetchall()
        return [LogRow(*row) for row in reversed(rows)]

    def readers(self, leader: str, at_ms: int) -> list[str]:
        """Who was allowed to read a leader's feed at that moment."""
        rows = self._database.execute(
            "SELECT DISTINCT follower FROM granted WHERE leader = ? AND since_ms <= ? "
            "AND (until_ms IS NULL OR until_ms > ?) ORDER BY follower",
            (leader, at_ms, at_ms),
        )
        return [row[0] for row in rows]

    def members(self, leader: str, after: str, count: int) -> list[tuple[str, str]]:
        """Followers of a leader by id, from the one after `after` on: id and X25519 key."""
        rows = self._database.execute(
            "SELECT f.id, f.box_key FROM granted g JOIN follower f ON f.id = g.follower "
            "WHERE g.leader = ? AND g.until_ms IS NULL AND f.id > ? ORDER BY f.id LIMIT ?",
            (leader, after, count),
        )
        return [(follower_id, box_key) for follower_id, box_key in rows]

    def add_leader(
        self, leader_id: str, nkey: str, signing_key: str, hint: dict[str, Any], now_ms: int
    ) -> None:
        """A leader. The same one again changes nothing but his hint; raises `Refused` for other keys.

        Who was removed may come back with another nkey, after a loss: his signing key says who he is.
        """
        with self._change(now_ms, "leader_added", leader_id, signing_key):
            found = self._database.execute(
                "SELECT nkey, signing_key, until_ms FROM leader WHERE id = ?", (leader_id,)
            ).fetchone()
            if found is not None and found[1] != signing_key:
                raise Refused("id_taken", f"leader {leader_id} is registered with another signing key")
            if found is not None and found[0] != nkey and found[2] is None:
                text = "is registered with another nkey: `relay leaders remove` ends that one"
                raise Refused("id_taken", f"leader {leader_id} {text}")
            taken = self._database.execute(
                "SELECT 1 FROM leader WHERE nkey = ? AND id != ? UNION SELECT 1 FROM follower WHERE nkey = ?",
                (nkey, leader_id, nkey),
            ).fetchone()
            if taken:
                raise Refused("id_taken", f"the nkey of leader {leader_id} is another user's")
            self._database.execute(
                "INSERT INTO leader VALUES (?, ?, ?, ?, ?, NULL) "
                "ON CONFLICT (id) DO UPDATE SET nkey = excluded.nkey, until_ms = NULL, "
                "hint = coalesce(nullif(excluded.hint, '{}'), hint)",
                (leader_id, nkey, signing_key, json.dumps(hint, sort_keys=True), now_ms),
            )

    def set_profile(self, leader_id: str, issued_ms: int, document: str) -> bool:
        """What a leader says of himself now; False if a newer one is here."""
        sql = (
            "INSERT INTO profile VALUES (?, ?, ?) ON CONFLICT (leader) DO UPDATE SET issued_ms = "
            "excluded.issued_ms, document = excluded.document WHERE issued_ms <= excluded.issued_ms"
        )
        return self._database.execute(sql, (leader_id, issued_ms, document)).rowcount == 1

    def profile(self, leader_id: str) -> str | None:
        """The document as he signed it."""
        sql = "SELECT document FROM profile WHERE leader = ?"
        row = self._database.execute(sql, (leader_id,)).fetchone()
        return row[0] if row else None

    def remove_leader(self, leader_id: str, now_ms: int) -> None:
        """He publishes no more, and nobody reads him."""
        with self._change(now_ms, "leader_removed", leader_id, ""):
            sql = "UPDATE leader SET until_ms = ? WHERE id = ? AND until_ms IS NULL"
            self._one(sql, (now_ms, leader_id), leader_id)

    def add_invite(self, row: InviteRow) -> None:
        """An invite for a leader in force."""
        with self._change(row.since_ms, "invite_made", row.leader, row.id):
            if row.leader not in {leader.id for leader in self.leaders()}:
                raise Refused("unknown_leader", f"there is no leader {row.leader}")
            self._database.execute(
                "INSERT INTO invite VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id,
                    row.nkey,
                    row.leader,
                    row.follower,
                    row.note,
                    row.since_ms,
                    row.expires_ms,
                    row.uses_max,
                    row.uses,
                    row.revoked_ms,
                ),
            )

    def revoke_invite(self, invite_id: str, now_ms: int) -> None:
        """Nobody joins with it any more; who has joined stays."""
        with self._change(now_ms, "invite_revoked", invite_id, ""):
            sql = "UPDATE invite SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL"
            self._one(sql, (now_ms, invite_id), invite_id)

    def join(self, invite_id: str, request: JoinRequest, now_ms: int) -> tuple[str, ...]:
        """Let a proven request in; returns the leaders that the follower may hear now. Raises `Refused`.

        The same request again, as after a lost answer, is answered again and uses nothing up.
        """
        if self._has_joined(invite_id, request):
            return self._leaders_of(request.follower_id)
        with self._change(now_ms, "joined", request.follower_id, invite_id):
            invite = next((row for row in self.invites() if row.id == invite_id), None)
            if invite is None:
                raise Refused("invite_revoked", "there is no such invite")
            if invite.follower not in (None, request.follower_id):
                raise Refused("id_taken", f"this invite is for follower {invite.follower}")
            self._keep_follower(request, now_ms)
            state = invite.state(now_ms)
            if state != "open":
                raise Refused(f"invite_{state}", f"the invite is {state}")
            self._database.execute("UPDATE invite SET uses = uses + 1 WHERE id = ?", (invite_id,))
            if not self._has_grant(invite.leader, request.follower_id):
                self._database.execute(
                    "INSERT INTO granted VALUES (?, ?, ?, ?, NULL)",
                    (invite.leader, request.follower_id, invite_id, now_ms),
                )
            return self._leaders_of(request.follower_id)

    def revoke(self, leader_id: str, follower_id: str, now_ms: int, *, by: str) -> None:
        """End a grant; `by` is who did it (`leader` or `follower`). Raises `Refused` if there is none."""
        with self._change(now_ms, "grant_ended", follower_id, f"{leader_id} by {by}"):
            sql = "UPDATE granted SET until_ms = ? WHERE leader = ? AND follower = ? AND until_ms IS NULL"
            self._one(sql, (now_ms, leader_id, follower_id), f"{follower_id} follows {leader_id}")

    def _keep_follower(self, request: JoinRequest, now_ms: int) -> None:
        if request.follower_id == MONITOR_MEMBER:
            raise Refused("id_taken", f"the id {MONITOR_MEMBER} is the relay's own")
        known = self._database.execute(
            "SELECT id, nkey FROM follower WHERE id = ? OR nkey = ?", (request.follower_id, request.nkey)
        ).fetchall()
        if any(tuple(row) != (request.follower_id, request.nkey) for row in known):
            raise Refused("id_taken", f"the id {request.follower_id} or this key is another follower's")
        if len(known) == 0:
            count = self._database.execute("SELECT count(*) FROM follower").fetchone()[0]
            if count >= FOLLOWERS_MAX:
                raise Refused("full", f"this relay takes {FOLLOWERS_MAX} followers")
        if self._database.execute("SELECT 1 FROM leader WHERE nkey = ?", (request.nkey,)).fetchone():
            raise Refused("id_taken", "this key is a leader's")
        self._database.execute(
            "INSERT INTO follower VALUES (?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET box_key = excluded.box_key",
            (request.follower_id, request.nkey, request.box_key, now_ms),
        )

    def _has_joined(self, invite_id: str, request: JoinRequest) -> bool:
        """Whether exactly this was granted already."""
        row = self._database.execute(
            "SELECT 1 FROM granted g JOIN follower f ON f.id = g.follower WHERE g.invite = ? "
            "AND g.until_ms IS NULL AND f.id = ? AND f.nkey = ? AND f.box_key = ?",
            (invite_id, request.follower_id, request.nkey, request.box_key),
        ).fetchone()
        return row is not None

    def _has_grant(self, leader: str, follower: str) -> bool:
        row = self._database.execute(
            "SELECT 1 FROM granted WHERE leader = ? AND follower = ? AND until_ms IS NULL", (leader, follower)
        ).fetchone()
        return row is not None

    def _leaders_of(self, follower: str) -> tuple[str, ...]:
        return next((row.leaders for row in self.followers() if row.id == follower), ())

    def _one(self, sql: str, values: tuple[Any, ...], what: str) -> None:
        if self._database.execute(sql, values).rowcount != 1:
            raise Refused("unknown", f"nothing to change: {what}")

    def _number(self, name: str) -> int:
        return int(self._database.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()[0])

    @contextmanager
    def _change(self, now_ms: int, what: str, who: str, detail: str) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute(
                "INSERT INTO log (at_ms, what, who, detail) VALUES (?, ?, ?, ?)", (now_ms, what, who, detail)
            )
            self._database.execute("UPDATE fact SET value = value + 1 WHERE name = 'revision'")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
