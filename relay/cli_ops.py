"""The commands of ops on the command line: import, store, explain, statement.

Belongs here: names, options and help. Does not belong here: anything they do, imported when a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["StoreOption", "add_commands"]

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=["RELAY_STORE__URL", "RELAY_STORE__PATH"],
        help="the drift store: a file, or postgresql://USER:PASSWORD@HOST/NAME",
        metavar="FILE|URL",
    ),
]

import_app = typer.Typer(help="Bring records in.", no_args_is_help=True, rich_markup_mode=None)


def add_commands(app: typer.Typer) -> None:
    """Hang them below the program."""
    app.add_typer(import_app, name="import")


@import_app.command()
def fills(
    file: Annotated[Path, typer.Argument(help="a CSV file, .gz too", metavar="FILE")],
    store: StoreOption = "drift.sqlite",
    window: Annotated[
        float,
        typer.Option("--window", min=0, max=86_400, help="seconds: a later fill is no copy"),
    ] = 60.0,
) -> None:
    """Fills of leaders and of those who copied them: `slot, role, time_ms, coin, side, px, sz, ...`."""
    from relay import importing, running
    from relay.store import store_place

    place = store_place(store)
    raise typer.Exit(
        running.print_result(lambda: importing.told(importing.import_file(file, place, int(window * 1000))))
    )
