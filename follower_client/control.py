"""What the operator has ordered: one small durable file per follower, read in the order path.

Belongs here: the file, its levels, the audit trail beside it. Does not belong here: doing what it says
(`executor` refuses entries, `closeout` closes), when a trigger fires (`risk`).

The command line writes the file, the daemon reads it: nothing has to be running for an order to count, and a
look costs one `stat`. A level is only ever lowered by `resume`. A file that cannot be read counts as locked,
and so does one that is gone: the audit trail beside it tells that there was one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from follower_client.core.snapshot import Control
from follower_client.errors import FollowerError, not_written

__all__ = ["ControlFile", "ControlState", "LeaderControl"]

FILE_NAME, AUDIT_NAME = "control.json", "audit.jsonl"
ORDER = tuple(Control)
OPERATOR = "operator"
LOCK_WAIT_MAX_S, LOCK_LOOK_S = 2.0, 0.005
DAMAGED = "the control file cannot be read"
GONE = "the control file is gone; what it said is in the audit trail"
SETTLED_NS = 1_000_000_000  # two changes closer than a file system tells apart look like one
TRAIL_READ_BYTES = 65_536  # its end, where the newest order stands


class LeaderControl(msgspec.Struct, frozen=True, kw_only=True):
    """The level of one leader's copies, where several are copied; as in `ControlState`."""

    level: Control
    reason: str
    by: str
    at_ms: int
    number: int
    closing: int = 0


class ControlState(msgspec.Struct, frozen=True, kw_only=True):
    """The level in force. `number` rises with every order; `by` is `operator` or `trigger:<name>`.

    `closing` = a flatten was ordered and stays ordered, whatever level is above it, until somebody resumes;
    it names the order whose number the closing orders carry. The operator's next flatten begins anew.
    `leaders` = those of whom more was ordered than of the account. `left` = the last leader was left by this
    order: nobody is followed any more.
    """

    level: Control = Control.RUN
    reason: str = ""
    by: str = ""
    at_ms: int = 0
    number: int = 0
    closing: int = 0
    left: str = ""
    leaders: dict[str, LeaderControl] = {}

    def level_of(self, leader_id: str) -> Control:
        """The level in force for this leader's copies."""
        own = self.leaders.get(leader_id)
        return self.level if own is None else max(self.level, own.level, key=ORDER.index)

    def closings(self) -> dict[str, int]:
        """The flattens that are ordered: of whom (empty = of everybody), and the order's number."""
        found = {leader_id: one.closing for leader_id, one in self.leaders.items() if one.closing}
        return found | ({"": self.closing} if self.closing else {})


class ControlFile:
    """One follower's control state. Reading is cheap, writing is durable."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._name = str(self.path)
        self._audit = folder / AUDIT_NAME
        self._folder, self._folder_seen_ns = folder, 0
        self._seen: tuple[int, int, int] | None = None
        self._state = ControlState()
        self._trail_seen: tuple[int, int] | None = None
        self._pulled: set[str] = set()

    def may_have_changed(self) -> bool:
        """Whether a file of the folder has come or gone of late, for a part of what `read` costs: whatever
        writes the state puts a new file in its place. Who changes it in place is heard by `read` alone.
        """
        try:
            at_ns = self._folder.stat().st_mtime_ns
        except OSError:
            return True
        seen, self._folder_seen_ns = self._folder_seen_ns, at_ns
        return at_ns != seen or time.time_ns() - at_ns < SETTLED_NS

    def read(self) -> ControlState:
        """The state in force now."""
        try:
            stat = os.stat(self._name)  # noqa: PTH116 - on an order's way, and half of the time
        except FileNotFoundError:
            return self._missing()
        except OSError:
            return self._damaged()
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen != self._seen:
            try:
                self._state = msgspec.json.decode(self.path.read_bytes(), type=ControlState)
            except (OSError, msgspec.MsgspecError):
                return self._damaged()
            self._seen = seen
        return self._state

    def _missing(self) -> ControlState:
        """Nothing was ever ordered, or the file is lost: then what was ordered last is in force, locked."""
        if not self._state.number:
            self._state = self._last_in_trail()
        return self._damaged(GONE) if self._state.number else self._state

    def _last_in_trail(self) -> ControlState:
        try:
            stat = self._audit.stat()
            if (seen := (stat.st_mtime_ns, stat.st_size)) == self._trail_seen:
                return self._state
            with self._audit.open("rb") as file:
                file.seek(max(0, stat.st_size - TRAIL_READ_BYTES))
                lines = file.read().splitlines()
        except FileNotFoundError:
            return self._state
        except OSError:
            return msgspec.structs.replace(self._state, number=1)
        for line in reversed(lines):
            with suppress(msgspec.MsgspecError):
                if (found := msgspec.json.decode(line, type=ControlState)).number:
                    return found
        self._trail_seen = seen
        return self._state

    def _damaged(self, why: str = DAMAGED) -> ControlState:
        self._seen = None
        return msgspec.structs.replace(self._state, level=Control.LOCK, reason=why)

    def order(self, level: Control, *, by: str, reason: str, leader_id: str = "") -> ControlState:
        """Raise the level to at least this, of one leader's copies or of all; on the disk when it returns. A
        flatten counts under a lock, too. Raises `FollowerError`.
        """
        with self._alone():
            now = self.read()
            if leader_id:
                return self._order_leader(now, leader_id, level, by=by, reason=reason)
            closing = now.closing
            if level is Control.FLATTEN and (not closing or by == OPERATOR):
                closing = now.number + 1
            if ORDER.index(level) >= ORDER.index(now.level):
                return self._write(level, by=by, reason=reason, closing=closing)
            if closing == now.closing:
                return now
            self.note("flatten", by=by, detail=reason)
            return self._write(now.level, by=now.by, reason=now.reason, closing=closing)

    def pull(self, level: Control, *, name: str, reason: str) -> ControlState:
        """A trigger's order, as often as its reason is still there: while its level or a stricter one is in
        force it counts once, so that two of them do not overwrite one another. Raises `FollowerError`.
        """
        now = self.read()
        if ORDER.index(now.level) < ORDER.index(level):
            self._pulled.clear()
        elif name in self._pulled and (now.closing or level is not Control.FLATTEN):
            return now
        self._pulled.add(name)
        return self.order(level, by=f"trigger:{name}", reason=reason)

    def _order_leader(
        self, now: ControlState, leader_id: str, level: Control, *, by: str, reason: str
    ) -> ControlState:
        before, number = now.leaders.get(leader_id), now.number + 1
        closing = before.closing if before else 0
        if level is Control.FLATTEN and not closing:
            closing = number
        if before is not None:
            is_milder = ORDER.index(level) < ORDER.index(before.level)
            if closing == before.closing and (is_milder or (level, by) == (before.level, before.by)):
                return now
            level = before.level if is_milder else level
        after = LeaderControl(
            level=level, reason=reason[:500], by=by, at_ms=_now_ms(), number=number, closing=closing
        )
        leaders = {**now.leaders, leader_id: after}
        return self._write(now.level, by=now.by, reason=now.reason, closing=now.closing, leaders=leaders)

    def resume(self, *, by: str, reason: str) -> ControlState:
        """Back to normal. A lock is only left with a reason. Raises `FollowerError`."""
        with self._alone():
            now = self.read()
            levels = (now.level, *(one.level for one in now.leaders.values()))
            if Control.LOCK in levels and not reason.strip():
                raise FollowerError("resume: a lock is left with a reason only, allowed: --reason TEXT")
            return self._write(Control.RUN, by=by, reason=reason, closing=0, leaders={})

    def leave(self, leader_id: str) -> ControlState:
        """The last leader was left: a program that runs has nobody to follow any more. Raises
        `FollowerError`.
        """
        with self._alone():
            now = self.read()
            return self._write(now.level, by=now.by, reason=now.reason, closing=now.closing, left=leader_id)

    def note(self, event: str, *, by: str, detail: str) -> None:
        """A line in the audit trail, nothing more."""
        self._append({"event": event, "by": by, "detail": detail, "at_ms": _now_ms()})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer at a time: an order that another one overwrites would be lost."""
        file, until_s = self.path.with_suffix(".lock"), time.monotonic() + LOCK_WAIT_MAX_S
        try:
            with file.open("ab") as held:
                while True:
                    try:
                        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > until_s:
                            raise FollowerError(f"{self.path}: another program keeps writing it") from None
                        time.sleep(LOCK_LOOK_S)
                yield
        except OSError as error:
            raise not_written(file, error) from None

    def _write(
        self,
        level: Control,
        *,
        by: str,
        reason: str,
        closing: int,
        leaders: dict[str, LeaderControl] | None = None,
        left: str = "",
    ) -> ControlState:
        number = self._state.number + 1
        state = ControlState(
            level=level,
            reason=reason[:500],
            by=by,
            at_ms=_now_ms(),
            number=number,
            closing=closing,
            left=left,
            leaders=self._state.leaders if leaders is None else leaders,
        )
        draft = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(state))
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(0o600)
            draft.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise not_written(self.path, error) from None
        self._append(msgspec.to_builtins(state))
        self._seen, self._state = None, state
        return state

    def _append(self, line: dict[str, object]) -> None:
        try:
            with self._audit.open("ab") as file:
                self._audit.chmod(0o600)
                file.write(msgspec.json.encode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise not_written(self._audit, error) from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
