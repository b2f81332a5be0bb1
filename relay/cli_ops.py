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


store_app = typer.Typer(help="The drift store itself.", no_args_is_help=True, rich_markup_mode=None)


def add_commands(app: typer.Typer) -> None:
    """Hang them below the program."""
    app.add_typer(import_app, name="import")
    app.add_typer(store_app, name="store")
    app.command()(explain)


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


@store_app.command()
def migrate(store: StoreOption = "drift.sqlite") -> None:
    """Bring a store to this version's tables."""
    from relay import running
    from relay.store import DriftStore, store_place

    def made() -> str:
        done = DriftStore.migrate(store_place(store))
        return f"applied {', '.join(map(str, done))}" if done else "nothing to do"

    raise typer.Exit(running.print_result(made))


@store_app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="the folder of the files", metavar="DIR")],
    store: StoreOption = "drift.sqlite",
    form: Annotated[str, typer.Option("--format", help="csv, json or parquet")] = "csv",
) -> None:
    """Every table as a file for other tools."""
    from relay import running
    from relay.errors import Failed
    from relay.store import EXPORT_FORMATS, DriftStore, store_place

    def made() -> str:
        if form not in EXPORT_FORMATS:
            raise Failed(f"--format: was {form!r}, allowed: {', '.join(EXPORT_FORMATS)}")
        with DriftStore.open_for_reading(store_place(store)) as opened:
            return "\n".join(f"{name}: {count} rows" for name, count in opened.export(out, form))

    raise typer.Exit(running.print_result(made))


def explain(
    signal_id: Annotated[str, typer.Argument(help="LEADER.EPOCH.SEQ", metavar="SIGNAL_ID")],
    store: StoreOption = "drift.sqlite",
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """The whole life of one signal: leader, feed, every follower, venue."""
    from relay import running
    from relay.reporting.explain import explain as told
    from relay.store import store_place

    raise typer.Exit(running.print_result(lambda: told(signal_id, store_place(store), as_json=as_json)))
