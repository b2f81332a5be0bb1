"""What a person sees while a demonstration runs: one live line on a terminal, nothing elsewhere.

Belongs here: reading the drift store's counts and drawing them. Does not belong here: changing the run.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from relay.store import DriftStore, StoreError

__all__ = ["RunProgress"]


class RunProgress:
    """A context in which steps and seconds are shown. Silent when standard error is no terminal."""

    def __init__(self, seconds: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:>3.0f}/{task.total:.0f} s"),
            TextColumn("[dim]{task.fields[facts]}"),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("starting", total=seconds, facts="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, text: str) -> None:
        """What is being done now."""
        self._progress.update(self._task, description=text)

    def second(self, elapsed: float, store: Path) -> None:
        """`elapsed` seconds of the run are over."""
        facts = ""
        if self._console.is_terminal:
            try:
                with DriftStore.open_for_reading(store) as opened:
                    counts = opened.counts()
                facts = f"{counts['signals']} signals, {counts['copies']} verdicts, {counts['fills']} fills"
            except StoreError:
                facts = ""
        self._progress.update(self._task, completed=elapsed, facts=facts)
