"""A child process that dies with its parent, however the parent dies.

Belongs here: starting and ending one child. Does not belong here: what the child is, and when to start it
again.

On Linux the kernel does it (PR_SET_PDEATHSIG), kill -9 of the parent included. Elsewhere the child runs
below a shell that waits for the parent's end of a pipe to close.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["death_signal", "start_child", "stop_child"]

TERMINATE_TIMEOUT_S = 1.5
_PR_SET_PDEATHSIG = 1
_WATCHED = """
exec 3<&0
"$@" 3<&- & child=$!
(cat <&3 >/dev/null; kill -9 $child) & guard=$!
trap 'kill $child' TERM
wait $child; status=$?
kill $guard
exit $status
"""


async def start_child(argv: Sequence[str], *, output: Path) -> asyncio.subprocess.Process:
    """Start a program in a session of its own (a terminal's Ctrl-C does not reach it); append output to a
    file.
    """
    guard = death_signal(signal.SIGKILL)
    command = list(argv) if guard else ["/bin/sh", "-c", _WATCHED, "sh", *argv]
    with output.open("ab") as sink:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL if guard else asyncio.subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=guard,
        )


async def stop_child(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and end it after `TERMINATE_TIMEOUT_S`. Returns when it is gone."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(TERMINATE_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def death_signal(number: signal.Signals) -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel sends this to the child when we end, in whatever way. None off Linux."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: after it, as little as possible
    parent = os.getpid()

    def set_death_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return set_death_signal
