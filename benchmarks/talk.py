"""One JSON line asked, one JSON line answered: how a benchmark and its child processes talk.

Belongs here: both ends of that line, and what a benchmark's process needs around it. Does not belong here:
what is asked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog

from relay.demo.processes import Program, ProgramError, start_program

__all__ = ["answering", "ask", "run_loop", "started", "work_folder"]

ANSWER_SECONDS_MAX = 60.0
LINE_BYTES_MAX = 1 << 20
WORK_ROOT = Path("runs")  # on the disk of the checkout: a folder in memory would make fsync free

Message = dict[str, Any]
T = TypeVar("T")


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder for one measurement, gone afterwards."""
    WORK_ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=WORK_ROOT) as folder:
        yield Path(folder).resolve()


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on the loop that the programs use, with their log (to stderr, no debug lines). SIGTERM ends it
    with `SystemExit`, after everything it had opened is closed.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            return runner.run(_until_terminated(work))
        except asyncio.CancelledError:
            raise SystemExit(1) from None


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


@asynccontextmanager
async def started(
    name: str, module: str, arguments: list[str], folder: Path, *, ready_seconds_max: float = 30.0
) -> AsyncIterator[Program]:
    """A child process, ready; ended when the block ends."""
    program = await start_program(
        name,
        module,
        arguments,
        log=folder / f"{name}.log",
        ready_seconds_max=ready_seconds_max,
        spoken_to=True,
    )
    try:
        yield program
    finally:
        await program.stop()


async def ask(program: Program, message: Message) -> Message:
    """One question to a child, and its answer. Raises `ProgramError` if it has none."""
    assert program.process.stdout is not None
    await program.tell(message)
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        line = await program.process.stdout.readline()
    if not line:
        raise ProgramError(program.name, await program.process.wait(), program.log.read_text()[-400:])
    answer: Message = json.loads(line)
    return answer


async def answering(ready: Message, answer: Callable[[Message], Awaitable[Message]]) -> None:
    """The child's end: say what is ready, then answer until nobody asks any more."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say(ready)
    while line := await reader.readline():
        _say(await answer(json.loads(line)))


def _say(message: Message) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
