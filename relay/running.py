"""How a program of this package runs: its loop, its log, its ready line, its end.

Belongs here: signals, exit statuses, waiting for whichever comes first. Does not belong here: what a
program does.

SIGINT and SIGTERM set an event that the program waits for; it ends in its own order, with status 0. A
failure ends it with the status of its class and one line per mistake on stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from relay.errors import ConfigurationError, Failed, InvariantBroken, RelayError
from relay.failpoint import Failpoints

__all__ = ["cancel", "configure_logging", "first_of", "print_result", "run", "tell_ready", "wait_for_stop"]

_log = structlog.get_logger("relay")


def run(main: Callable[[asyncio.Event], Awaitable[None]], config: Path) -> int:
    """Run a program to its end; returns the exit status and prints why, one line per mistake.

    `config` is named in what is wrong with a setting.
    """
    try:
        Failpoints()
    except ValueError as error:
        return _refuse(ConfigurationError([str(error)], is_located=True))
    configure_logging()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_stopped(main))
    except BaseException as error:
        cause = _root(error)
        if isinstance(cause, RelayError):
            return _refuse(cause, config)
        if isinstance(cause, KeyboardInterrupt):
            return 0
        _log.error("internal_error", exc_info=cause)
        print(f"relay: {type(cause).__name__}: {cause}", file=sys.stderr)  # noqa: T201
        return InvariantBroken.exit_status if isinstance(cause, AssertionError) else Failed.exit_status
    return 0


def print_result(make: Callable[[], str]) -> int:
    """Print what a short command makes, or why it cannot. Returns the exit status."""
    configure_logging()  # what a command answers is alone on its output
    try:
        text = make()
    except RelayError as error:
        return _refuse(error)
    if text:
        print(text)  # noqa: T201 - asked output
    return 0


def tell_ready(line: dict[str, Any], *, as_json: bool) -> None:
    """Say on stdout that the program is ready: one line."""
    text = json.dumps(line) if as_json else "ready: " + ", ".join(f"{k} {v}" for k, v in line.items() if v)
    print(text, flush=True)  # noqa: T201 - asked output


async def first_of(stop: asyncio.Event, ready: asyncio.Event, *tasks: asyncio.Task[None]) -> bool:
    """Wait until it is ready (True) or told to stop (False). Whatever ends a task raises here."""
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(ready.wait())]
    try:
        done, _ = await asyncio.wait({*waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        _check([task for task in tasks if task in done])
        return ready.is_set() and not stop.is_set()
    finally:
        for task in waiting:
            task.cancel()


async def wait_for_stop(stop: asyncio.Event, seconds: float, *tasks: asyncio.Task[None]) -> bool:
    """Wait for a while; True if told to stop. Whatever ends a task raises here."""
    waiting = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({waiting, *tasks}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        _check([task for task in tasks if task in done])
        return stop.is_set()
    finally:
        waiting.cancel()


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _check(ended: list[asyncio.Task[None]]) -> None:
    for task in ended:
        task.result()
        raise InvariantBroken(f"{task.get_name()} ended by itself")


def _refuse(error: RelayError, config: Path | None = None) -> int:
    is_about_file = config is not None and isinstance(error, ConfigurationError) and not error.is_located
    start = f"relay: {config}: " if is_about_file else "relay: "
    for line in str(error).splitlines():
        print(f"{start}{line}", file=sys.stderr)  # noqa: T201 - the one line a user gets
    return error.exit_status


async def _until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await main(stop)


def _root(error: BaseException) -> BaseException:
    """The failure that matters: the first of ours inside a group, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [_root(member) for member in error.exceptions]
    return next((member for member in inner if isinstance(member, RelayError)), inner[0])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def configure_logging() -> None:
    """structlog to stderr: for people on a terminal, JSON otherwise."""
    is_terminal = sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if is_terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # stderr as it is when something is said: a command may run inside a program that lends it one
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)
