"""Snapshots of the running venue, and the read model after a restart.

Belongs here: when a snapshot is taken, what goes beside the engine's state, folding what happened since.
Does not belong here: the files (the engine's), and the bytes of the read model (`ledger.keeping`).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from simulated_exchange.disk import DiskThread
from simulated_exchange.driver import Driver, JournalError, Recovery, replayed_events
from simulated_exchange.ledger import Ledger
from simulated_exchange.ledger.keeping import Restoring, UnreadableError, kept_parts, pack

__all__ = ["Snapshots", "fold_history"]

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25  # between two looks at how many commands there have been
PART_PAUSE_SECONDS = 0.005  # between two parts of the read model; the venue works in them


class Snapshots:
    """Takes a snapshot whenever so many commands have come since the last one."""

    def __init__(self, driver: Driver, ledger: Ledger, every: int) -> None:
        self._driver = driver
        self._ledger = ledger
        self._every = every
        self._newest = driver.recovery.snapshot_commands if driver.recovery else 0

    async def run(self) -> None:
        """Never ends. A snapshot that cannot be written is reported and due again after as many commands."""
        thread = DiskThread("snapshot")
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                commands = self._driver.command_count()
                if commands - self._newest < self._every:
                    continue
                self._newest = commands
                try:
                    await self._take(thread)
                except JournalError as error:
                    log.warning("no snapshot", reason=str(error))
        finally:
            thread.close()

    async def _take(self, thread: DiskThread) -> None:
        begun = time.perf_counter()
        draft = self._driver.engine.begin_snapshot()
        held_up = time.perf_counter() - begun
        if draft is None:
            return
        # The ledger folds what is durable; it must know all that the state knows, and may know more.
        await self._driver.committed()
        parts = []
        for part in kept_parts(self._ledger):
            parts.append(part)
            await asyncio.sleep(PART_PAUSE_SECONDS)
        attachment = pack(parts)
        size = await asyncio.wrap_future(thread.ask(lambda: draft.write(attachment)))
        log.info(
            "snapshot written",
            commands=draft.commands,
            bytes=size,
            read_model_bytes=len(attachment),
            held_up_ms=round(held_up * 1000, 1),
            seconds=round(time.perf_counter() - begun, 3),
        )


def fold_history(ledger: Ledger, recovery: Recovery, journal: Path) -> None:
    """Bring a new read model to where a recovery has brought the engine."""
    if recovery.snapshot_commands:
        try:
            restoring = Restoring(ledger, recovery.attachment)
        except UnreadableError as error:
            log.warning("the read model is folded from the beginning", reason=str(error))
        else:
            for events in replayed_events(journal, recovery.snapshot_commands):
                for event in events:
                    restoring.fold(event)
            restoring.finish()
            return
    for events in replayed_events(journal):
        for event in events:
            ledger.fold(event)
