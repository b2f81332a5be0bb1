"""What all commands share: options, errors of one line, tables.

Belongs here: words of the command line. Does not belong here: any command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["PROGRAM", "Config", "Json", "one_line_errors", "table"]

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


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people."""
    from rich.console import Console
    from rich.table import Table

    found = Table(*columns)
    for row in rows:
        found.add_row(*row)
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(found)
