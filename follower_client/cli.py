"""`follower-client`: the commands a follower types.

Belongs here: arguments, output for people and machines, exit statuses. Does not belong here: anything that
runs (`daemon`). Heavy modules are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from follower_client.store import Store

__all__ = ["app", "main"]

PROGRAM = "follower-client"

VERDICTS_MAX = 100_000
DIGITS_SHOWN = 7
DECIMALS_SHOWN_MAX = 8
TABLE_WIDTH = 200  # where there is no terminal to fit

app = typer.Typer(
    help="Follow a leader's trades from your own account. Keys and limits stay here.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers at once
)
config_app = typer.Typer(
    help="Check, show and describe the configuration.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")

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


def _show_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            version = metadata.version("slipstream")
        except metadata.PackageNotFoundError:  # run from a source tree
            version = "unknown"
        typer.echo(f"{PROGRAM} {version}")
        raise typer.Exit


@app.callback()
def _program(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program itself."""


@contextmanager
def _one_line_errors() -> Iterator[None]:
    from follower_client.errors import FollowerError

    try:
        yield
    except FollowerError as error:
        for line in str(error).splitlines():
            typer.echo(f"{PROGRAM}: {line}", err=True)
        raise typer.Exit(error.exit_status) from None


def _log_to_stderr() -> None:
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


@app.command()
def run(
    config: Config = Path("follower.toml"),
    paper: Annotated[bool, typer.Option("--paper", help="Live prices, paper orders.")] = False,
    as_json: Json = False,
) -> None:
    """Follow until stopped. Many followers run in one process when --config is a folder."""
    with _one_line_errors():
        from follower_client.reading import check_secrets, load_folder_or_file

        settings = load_folder_or_file(config, paper=paper)
        check_secrets(settings)
        _log_to_stderr()
        import asyncio

        from follower_client.daemon import serve

        def announce(followers: list[str]) -> None:
            if as_json:
                typer.echo(json.dumps({"ready": True, "followers": followers}))
            else:
                marks = [
                    f"{one.follower.id} (PAPER)" if one.venue.kind == "paper" else one.follower.id
                    for one in settings
                ]
                typer.echo(f"following with {', '.join(marks)}; Ctrl-C ends")

        try:
            import uvloop

            status = uvloop.run(serve(settings, announce))
        except ImportError:
            status = asyncio.run(serve(settings, announce))
        raise typer.Exit(status)


@app.command()
def status(config: Config = Path("follower.toml"), as_json: Json = False) -> None:
    """How far each follower is, its verdicts and its position, from the store alone."""
    with _one_line_errors():
        rows = [_status_row(name, leader, store) for name, leader, store in _stores(config)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    columns = ("follower", "leader", "seq", "copied", "capped", "skipped", "missed", "open", "positions")
    for row in rows:
        row["positions"] = ", ".join(f"{qty} {symbol}" for symbol, qty in row["positions"].items())
    _table(columns, [["-" if row[key] is None else str(row[key]) for key in columns] for row in rows])


@app.command()
def verdicts(
    config: Config = Path("follower.toml"),
    limit: Annotated[int, typer.Option(min=1, max=VERDICTS_MAX, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Each signal's verdict, with the reason and the number that decided it."""
    with _one_line_errors():
        rows = [
            {
                "follower": name,
                "signal_id": copy.signal_id,
                "symbol": copy.symbol,
                "side": copy.side,
                "verdict": copy.verdict or "open",
                "reason": copy.reason,
                "detail": copy.detail,
                "order_qty": str(copy.order_qty),
                "wanted_qty": str(copy.wanted_qty),
                "limit": None if copy.limit_value is None else str(copy.limit_value),
                "observed": None if copy.observed_value is None else str(copy.observed_value),
            }
            for name, _, store in _stores(config)
            for copy in store.copies(limit=limit)
        ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    columns = (
        "follower",
        "signal_id",
        "symbol",
        "side",
        "verdict",
        "reason",
        "limit",
        "observed",
        "order_qty",
    )
    numbers = {"limit", "observed", "order_qty"}
    _table(
        columns,
        [
            [_for_people(row[key]) if key in numbers else str(row[key] or "") for key in columns]
            for row in rows
        ],
    )


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("follower.toml"),
    paper: Annotated[bool, typer.Option("--paper", help="For a paper account.")] = False,
) -> None:
    """Write a commented configuration to fill in. An existing file is not touched."""
    from follower_client.template import template

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(paper=paper))
        path.chmod(0o600)
    except OSError as error:
        typer.echo(f"{PROGRAM}: {path}: cannot be written ({error.strerror})", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"wrote {path}; fill in the lines marked <...>, then: follower-client config check -c {path}")


@config_app.command("check")
def config_check(config: Config = Path("follower.toml")) -> None:
    """Say all that is wrong, or that nothing is."""
    with _one_line_errors():
        from follower_client.reading import check_secrets, load_folder_or_file

        settings = load_folder_or_file(config)
        check_secrets(settings)
    typer.echo(f"ok: {', '.join(one.follower.id for one in settings)}")


@config_app.command("show")
def config_show(config: Config = Path("follower.toml")) -> None:
    """The configuration in force, defaults included, secrets masked, as JSON."""
    with _one_line_errors():
        from follower_client.reading import load_folder_or_file

        settings = load_folder_or_file(config)
    typer.echo(json.dumps([one.model_dump(mode="json") for one in settings], indent=2))


@config_app.command("schema")
def config_schema() -> None:
    """JSON Schema of the file."""
    from follower_client.settings import FollowerSettings

    typer.echo(json.dumps(FollowerSettings.model_json_schema(), indent=2))


def _stores(config: Path) -> Iterator[tuple[str, str, Store]]:
    from follower_client.reading import load_folder_or_file
    from follower_client.store import Store

    for one in load_folder_or_file(config):
        store = Store.open(one.follower.data_dir / "follower.sqlite", read_only=True)
        try:
            yield one.follower.id, one.leader.id, store
        finally:
            store.close()


def _status_row(name: str, leader: str, store: Store) -> dict[str, Any]:
    head = store.head(leader)
    counts = {"copied": 0, "capped": 0, "skipped": 0, "missed": 0, "open": 0}
    reasons: dict[str, int] = {}
    for (verdict, reason), count in store.verdict_counts().items():
        counts[verdict] += count
        if verdict in ("skipped", "missed"):
            reasons[reason] = reasons.get(reason, 0) + count
    return {
        "follower": name,
        "leader": leader,
        "seq": None if head is None else head.seq,
        **counts,
        "reasons": reasons,
        "positions": {symbol: str(qty) for symbol, qty in store.positions().items()},
        "unfinished_orders": len(store.open_orders()),
    }


def _for_people(number: str | None) -> str:
    """Rounded to what a person reads: seven digits, at most eight of them decimals."""
    if number is None:
        return ""
    value = Decimal(number)
    decimals = min(max(DIGITS_SHOWN - 1 - value.adjusted(), 0), DECIMALS_SHOWN_MAX)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table)


def _usage_text(message: str) -> str:
    """One line, in the words of the configuration's errors."""
    found = re.match(r"Invalid value for '([^']+)': Input should be ([^,]+)", message)
    return f"{found[1]}: allowed: {found[2]}" if found else " ".join(message.split())


def main() -> None:
    """The console script: a mistake on the command line is one line, and status 2."""
    try:
        status = app(prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its text is the help that was asked for
            typer.echo(error.format_message(), err=True)
        else:
            typer.echo(f"{PROGRAM}: {_usage_text(error.format_message())}", err=True)
        status = getattr(error, "exit_code", 2)
    sys.exit(status)
