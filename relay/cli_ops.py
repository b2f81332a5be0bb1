"""The commands of ops on the command line: import, store, explain, statement, top.

Belongs here: names, options and help. Does not belong here: anything they do, imported when a command runs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["StoreOption", "add_commands"]


def _own_store(text: str) -> str:
    """The store that was named, or else the one that `relay serve` in this folder writes."""
    config = Path(os.environ.get("RELAY_CONFIG", "relay.toml"))
    if text or not config.is_file():
        return text or "drift.sqlite"
    from relay.errors import ConfigurationError
    from relay.settings.serve import load_serve

    try:
        return str(load_serve(config).store.place)
    except ConfigurationError as error:
        raise typer.BadParameter(f"not given, and {error}") from None


StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=["RELAY_STORE__URL", "RELAY_STORE__PATH"],
        help="the drift store: a file, or postgresql://USER:PASSWORD@HOST/NAME; else that of relay.toml, or "
        "drift.sqlite",
        metavar="FILE|URL",
        callback=_own_store,
        show_default=False,
    ),
]

import_app = typer.Typer(help="Bring records in.", no_args_is_help=True, rich_markup_mode=None)


store_app = typer.Typer(help="The drift store itself.", no_args_is_help=True, rich_markup_mode=None)


statement_app = typer.Typer(
    help="A leader's slippage over a period, signed.", no_args_is_help=True, rich_markup_mode=None
)


def add_commands(app: typer.Typer) -> None:
    """Hang them below the program."""
    app.add_typer(import_app, name="import")
    app.add_typer(store_app, name="store")
    app.add_typer(statement_app, name="statement")
    app.command()(explain)
    app.command()(top)


@import_app.command()
def fills(
    file: Annotated[Path, typer.Argument(help="a CSV file, .gz too", metavar="FILE")],
    store: StoreOption = "",
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
def migrate(store: StoreOption = "") -> None:
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
    store: StoreOption = "",
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


@statement_app.command()
def sign(
    leader: Annotated[str, typer.Option("--leader", help="whose score it is")],
    key: Annotated[Path, typer.Option("--key", help="the file with his signing key", metavar="FILE")],
    since: Annotated[str, typer.Option("--since", help="the period's begin: 30d, 2026-05-01")] = "30d",
    until: Annotated[str, typer.Option("--until", help="its end, not included; the same forms")] = "0s",
    out: Annotated[Path, typer.Option("--out", help="the file to write", metavar="FILE")] = Path(
        "statement.json"
    ),
    store: StoreOption = "",
) -> None:
    """Count the followers' slippage over a period and sign it; followers verify it from their own reports."""
    from datetime import UTC, datetime

    from relay import keys, running
    from relay.errors import Failed
    from relay.reporting.slippage import moment_ms
    from relay.reporting.statement import make
    from relay.store import store_place

    def made() -> str:
        now = datetime.now(UTC)
        try:
            period = (moment_ms(since, now), moment_ms(until, now))
        except ValueError:
            raise Failed("--since, --until: allowed: 7d, 12h, 30m or 2026-05-01T12:00") from None
        signing_key = keys.load_signing_key(key, field="--key")
        return make(store_place(store), leader, signing_key, period, int(now.timestamp() * 1000), out)

    raise typer.Exit(running.print_result(made))


@statement_app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="what `sign` wrote", metavar="FILE")],
    key: Annotated[
        str, typer.Option("--key", help="the leader's public key that followers pin, 64 hex digits")
    ],
    leader: Annotated[str | None, typer.Option("--leader", help="whom it must be about")] = None,
    reports: Annotated[
        Path | None,
        typer.Option(
            "--reports", help="own reports: follower-client verdicts --reports > FILE", metavar="FILE"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Whether a statement is the leader's, adds up, and tells of one's own reports as they were sent."""
    from relay import running
    from relay.reporting.statement import check

    raise typer.Exit(running.print_result(lambda: check(file, key, leader, reports, as_json=as_json)))


def explain(
    signal_id: Annotated[str, typer.Argument(help="LEADER.EPOCH.SEQ", metavar="SIGNAL_ID")],
    store: StoreOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """The whole life of one signal: leader, feed, every follower, venue."""
    from relay import running
    from relay.reporting.explain import explain as told
    from relay.store import store_place

    raise typer.Exit(running.print_result(lambda: told(signal_id, store_place(store), as_json=as_json)))


def top(
    store: StoreOption = "",
    hours: Annotated[
        float, typer.Option("--hours", min=0.01, max=87_600, help="of the last so many hours")
    ] = 24.0,
    interval: Annotated[
        float, typer.Option("--interval", min=0.2, max=3600, help="seconds between two looks")
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output, once")] = False,
) -> None:
    """How followers stand right now: modes, copies, slippage, what is wrong, the latest signals."""
    from relay import running
    from relay.store import store_place

    def shown() -> str:
        from relay.top import top as show

        place = store_place(store)
        show(place, span_ms=int(hours * 3_600_000), interval_s=interval, once=once, as_json=as_json)
        return ""

    raise typer.Exit(running.print_result(shown))
