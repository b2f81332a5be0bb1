"""The group commit: what was applied becomes durable together, and whoever waits for that is told.

Belongs here: when a commit begins, who waits for it, what happens when the disk fails. Does not belong here:
commands (`driver`) and how the journal is written (the engine's). All of it belongs to the loop's thread; the
disk is waited for beside it, by the engine's committer, which needs no interpreter for that.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from collections.abc import Callable, Sequence

from simulated_exchange._engine import BatchOutcome, Committer, Engine, Event, JournalError
from simulated_exchange.errors import JournalFailedError, VenueBusyError

__all__ = ["EVENTS_PENDING_MAX", "GroupCommit", "Happened"]

EVENTS_PENDING_MAX = 500_000  # events that may wait for the journal before commands are refused
COMMIT_SECONDS_MAX = 30.0  # a disk that takes longer counts as broken
LAST_COMMIT_SECONDS_MAX = 2.0  # as much as a venue that closes has time for

Happened = Sequence[Event] | BatchOutcome
"""The events of one command, or of a batch that makes objects of them when it is asked."""
Release = Callable[[Sequence[Happened]], None]


def _nothing() -> None:
    """For whoever has nothing to do when the journal fails."""


class GroupCommit:
    """One commit at a time covers everything applied meanwhile; the next begins as soon as it has ended."""

    def __init__(self, engine: Engine, *, is_beside_loop: bool) -> None:
        self._sync = engine.sync
        self._committer: Committer | None = engine.committer() if is_beside_loop else None
        self._listeners: list[Release] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._applied = self._durable = 0
        self._pending: list[Happened] = []
        self._pending_count = 0
        self._begun: tuple[int, list[Happened]] | None = None  # of the commit that runs
        self._begun_at = 0.0
        self._is_due = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._deferred: deque[tuple[int, Callable[[], None], Callable[[], None]]] = deque()
        self._failed: asyncio.Future[None] | None = None
        self.failure: JournalFailedError | None = None

    def listen(self, release: Release) -> None:
        """Call with what happened once it is durable."""
        self._listeners.append(release)

    def check(self) -> None:
        """Raises JournalFailedError after a failure, VenueBusyError when too much waits."""
        if self.failure is not None:
            raise self.failure
        if self._pending_count > EVENTS_PENDING_MAX:
            raise VenueBusyError(f"more than {EVENTS_PENDING_MAX} events wait for the journal")

    def note(self, happened: Happened, count: int) -> None:
        """A command was applied, or a batch; `count` events happened."""
        self._applied += 1
        if count:
            self._pending.append(happened)
            self._pending_count += count
        if not self._is_due and self._begun is None and self._loop is not None:
            self._is_due = True
            self._loop.call_soon(self._begin)

    # -- waiting ---------------------------------------------------------------------------------------------

    async def committed(self) -> None:
        """Return when everything applied so far is durable. Raises JournalFailedError if it never will be."""
        if self.failure is not None:
            raise self.failure
        if self._durable >= self._applied:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((self._applied, waiter))
        await waiter

    def when_durable(self, callback: Callable[[], None], otherwise: Callable[[], None] = _nothing) -> None:
        """Call once everything applied so far is durable: now, or after a commit, in the order of asking.
        `otherwise` is called instead when it never will be.
        """
        if self.failure is not None:
            otherwise()
        elif self._durable >= self._applied:
            callback()
        else:
            self._deferred.append((self._applied, callback, otherwise))

    # -- committing ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit for as long as the loop lives. Ends by failing."""
        loop = self._loop = asyncio.get_running_loop()
        failed = self._failed = loop.create_future()
        descriptor = self._committer.fileno() if self._committer is not None else -1
        if self._committer is not None:
            loop.add_reader(descriptor, self._end)
        try:
            self._begin()
            while not failed.done():
                await asyncio.wait({failed}, timeout=COMMIT_SECONDS_MAX / 4)
                if self._begun is not None and loop.time() - self._begun_at > COMMIT_SECONDS_MAX:
                    self._fail(TimeoutError())
            failed.result()
        finally:
            self._loop, self._is_due = None, False
            if descriptor >= 0:
                loop.remove_reader(descriptor)

    def commit(self) -> None:
        """Make everything durable and hand it out now; for runs without a loop."""
        applied, happened = self._covered()
        self._sync()
        self._release(applied, happened)

    def close(self) -> None:
        """Make everything durable and hand out what is left; `run` has ended before."""
        try:
            if self.failure is None and self._durable < self._applied:
                self._last()
        except (JournalError, OSError) as error:  # a disk that takes too long, too
            self._fail(error)
            assert self.failure is not None
            raise self.failure from error
        finally:
            if self._committer is not None:
                self._committer.close()

    def _last(self) -> None:
        if self._committer is None:
            self.commit()
            return
        deadline = time.monotonic() + LAST_COMMIT_SECONDS_MAX
        if self._begun is not None:
            self._wait(self._committer, deadline)
        if self._durable < self._applied:
            self._begun = self._covered()
            self._committer.begin()
            self._wait(self._committer, deadline)

    def _wait(self, committer: Committer, deadline: float) -> None:
        """For the commit that runs, and hand out what it covers. Raises TimeoutError, or what it raises."""
        assert self._begun is not None
        waiting = select.poll()
        waiting.register(committer.fileno(), select.POLLIN)
        while committer.ended() is None:
            left_ms = (deadline - time.monotonic()) * 1000
            if left_ms <= 0 or not waiting.poll(left_ms):
                raise TimeoutError
        (applied, happened), self._begun = self._begun, None
        self._release(applied, happened)

    def _begin(self) -> None:
        """Commit what was applied so far: here, or beside the loop."""
        self._is_due = False
        if self._begun is not None or self.failure is not None or self._durable >= self._applied:
            return
        if self._loop is None:
            return
        covered = self._covered()
        if self._committer is not None:
            self._begun, self._begun_at = covered, self._loop.time()
            self._committer.begin()
            return
        try:
            self._sync()
        except Exception as error:
            self._fail(error)
            return
        self._hand_out(*covered)

    def _covered(self) -> tuple[int, list[Happened]]:
        """What a commit that begins now covers."""
        happened, self._pending = self._pending, []
        self._pending_count = 0
        return self._applied, happened

    def _end(self) -> None:
        """The commit beside the loop has ended. The disk gets its next work before anybody is told."""
        assert self._committer is not None
        try:
            if self._committer.ended() is None or self._begun is None:
                return
        except Exception as error:
            self._fail(error)
            return
        (applied, happened), self._begun = self._begun, None
        if self._applied > applied:
            self._durable = applied
            self._begin()
        self._hand_out(applied, happened)

    def _hand_out(self, applied: int, happened: list[Happened]) -> None:
        """Release; a bug on the way ends the venue, as it would in the loop's task."""
        try:
            self._release(applied, happened)
        except Exception as error:
            if self._failed is None or self._failed.done():
                raise
            self._failed.set_exception(error)

    def _release(self, applied: int, happened: list[Happened]) -> None:
        """Wake who waits first, so that an acknowledgement is written before the streams that follow it."""
        self._durable = applied
        if self._waiters:
            waiting = self._waiters
            self._waiters = [entry for entry in waiting if entry[0] > applied]
            for number, waiter in waiting:
                if number <= applied and not waiter.done():
                    waiter.set_result(None)
        for release in self._listeners:
            release(happened)
        deferred = self._deferred
        while deferred and deferred[0][0] <= applied:
            deferred.popleft()[1]()

    def _fail(self, error: Exception) -> None:
        if self.failure is not None:
            return
        cause = "the disk does not answer" if isinstance(error, TimeoutError) else error
        self.failure = JournalFailedError(f"the journal cannot be written any more: {cause}")
        self.failure.__cause__ = error
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(self.failure)
        self._waiters = []
        while self._deferred:
            self._deferred.popleft()[2]()
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(self.failure)
