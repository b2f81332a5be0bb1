"""What all commands share: options, errors of one line, tables.

Belongs here: words of the command line. Does not belong here: any command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from follower_client.settings import FollowerSettings

__all__ = ["PROGRAM", "Config", "Json", "followers_of", "log_to_stderr", "one_line_errors", "table"]

PROGRAM = "follower-client"
TABLE_WIDTH = 200  # where there is no terminal to fit

Config = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="SLIPSTREAM_FOLLOWER_CONFIG",
        help="A follower's TOML file, or a folder with one file per follower.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A failure of the program as one line per mistake, and its exit status."""
    from follower_client.errors import FollowerError

    try:
        yield
    except FollowerError as error:
        for line in str(error).splitlines():
            typer.echo(f"{PROGRAM}: {line}", err=True)
        raise typer.Exit(error.exit_status) from None


def followers_of(config: Path) -> tuple[list[FollowerSettings], int]:
    """Whoever's file is right, and the exit status that the others' mistakes make: they are said at once, and
    keep nobody from an order or an answer. Raises `ConfigurationError` where nobody is left.
    """
    from follower_client.errors import ConfigurationError
    from follower_client.reading import read_files

    found = read_files(config)
    for line in found.lines:
        typer.echo(f"{PROGRAM}: {line}", err=True)
    return list(found.settings.values()), ConfigurationError.exit_status if found.wrong else 0


def log_to_stderr() -> None:
    """What happens, as lines for people or as JSON; stdout is for answers."""
    import structlog

    renderer: Any = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        # stderr as it is when something is said: a command may run inside a program that lends it one
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people."""
    from rich.console import Console
    from rich.table import Table

    found = Table(*columns)
    for row in rows:
        found.add_row(*row)
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(found)
