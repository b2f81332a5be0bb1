"""Programs as child processes: start, wait for the ready line, stop, and never leave one behind.

Belongs here: all about processes that the demonstration needs. Does not belong here: what they are for.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.child import death_signal

__all__ = ["Program", "ProgramError", "start_program"]

_STOP_SECONDS_MAX = 5.0
_LOG_TAIL_LINES = 4
_READY_LINE_BYTES_MAX = 1 << 20


class ProgramError(RuntimeError):
    """A program did not start, or ended when it should not have. Carries its exit status and last words."""

    def __init__(self, name: str, status: int | None, last_words: str) -> None:
        super().__init__(
            f"{name} ended with status {status}: {last_words}"
            if status is not None
            else f"{name} did not become ready: {last_words}"
        )
        self.status = status
        self.last_words = last_words


@dataclass(frozen=True, slots=True)
class Program:
    """A running child. `ready` is the JSON object of its ready line."""

    name: str
    process: asyncio.subprocess.Process
    ready: dict[str, Any]
    log: Path

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def check(self) -> None:
        """Raise ProgramError when it ended badly. (The leader may be done early.)"""
        if self.process.returncode:
            raise ProgramError(self.name, self.process.returncode, _last_words(self.log))

    async def tell(self, message: dict[str, Any]) -> None:
        """Write one JSON line to its standard input (started with `spoken_to`)."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        await self.process.stdin.drain()

    async def stop(self) -> int:
        """Ask it to end, insist after a while. Returns its exit status."""
        if self.process.returncode is None:
            _signal(self.process, signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), _STOP_SECONDS_MAX)
            except TimeoutError:
                _signal(self.process, signal.SIGKILL)
                await self.process.wait()
        return self.process.returncode if self.process.returncode is not None else -1

    async def summary(self) -> dict[str, Any]:
        """The JSON line it ends with; raises ProgramError when it ends with a status other than 0."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        status = await self.process.wait()
        if status != 0 or not line:
            raise ProgramError(self.name, status, _last_words(self.log))
        summary: dict[str, Any] = json.loads(line)
        return summary


async def start_program(
    name: str,
    module: str,
    arguments: list[str],
    *,
    log: Path,
    ready_seconds_max: float = 30.0,
    spoken_to: bool = False,
) -> Program:
    """Run `python -m module arguments` and wait for one JSON line on its standard output.

    Its standard error goes to `log`. The child gets SIGTERM when this process dies in whatever way.
    Raises ProgramError when it ends early or stays silent.
    """
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE if spoken_to else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=sink,
            limit=_READY_LINE_BYTES_MAX,
            preexec_fn=death_signal(signal.SIGTERM),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops them in order
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), ready_seconds_max)
        if not line:
            status = await asyncio.wait_for(process.wait(), _STOP_SECONDS_MAX)
            raise ProgramError(name, status, _last_words(log))
        ready = json.loads(line)
    except TimeoutError:
        await _kill(process)
        raise ProgramError(name, None, _last_words(log)) from None
    except json.JSONDecodeError:
        await _kill(process)
        raise ProgramError(name, None, f"its first line is not JSON: {line[:120]!r}") from None
    except asyncio.CancelledError:
        await _kill(process)
        raise
    return Program(name, process, ready, log)


async def _kill(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:  # it ended meanwhile, which is what was wanted
        return


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_LOG_TAIL_LINES:]) or f"(nothing in {log.name})"
