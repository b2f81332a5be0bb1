"""`simulated-exchange`: the venue's commands.

Belongs here: options, output, exit status. Does not belong here: work; everything heavy is imported when a
command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from simulated_exchange.errors import ConfigurationError, VenueError

__all__ = ["app", "configure_logging", "main"]

PROGRAM = "simulated-exchange"

app = typer.Typer(
    name=PROGRAM,
    help="A perpetual-futures venue that speaks Bybit v5, on this machine, with journaled state.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers at once
)


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


def _usage_text(message: str) -> str:
    """One line, in the words of the configuration's errors."""
    found = re.match(r"Invalid value for '([^']+)': Input should be ([^,]+)", message)
    return f"{found[1]}: allowed: {found[2]}" if found else " ".join(message.split())


def main() -> None:
    """The console script: every failure is one clear line per problem and its exit status."""
    try:
        status = app(prog_name=PROGRAM, standalone_mode=False)
    except VenueError as error:
        for line in error.problems if isinstance(error, ConfigurationError) else [str(error)]:
            print(f"{PROGRAM}: {line}", file=sys.stderr)  # noqa: T201
        status = error.exit_status
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its text is the help that was asked for
            typer.echo(error.format_message(), err=True)
        else:
            typer.echo(f"{PROGRAM}: {_usage_text(error.format_message())}", err=True)
        status = getattr(error, "exit_code", 2)
    sys.exit(status)


def _print_json(value: Any) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201


@app.command()
def serve(
    config: Annotated[
        Path | None,
        typer.Option(envvar="SIMULATED_EXCHANGE_CONFIG", help="TOML file; default: configs/exchange.toml"),
    ] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free port")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="journal and API keys")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="who trades and how prices move; none: a quiet book")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of the scenario")] = None,
    seconds: Annotated[int | None, typer.Option(help="length that the scenario plans for")] = None,
    replay: Annotated[
        list[str] | None, typer.Option(help="KIND:SYMBOL=FILE; KIND: index, last, mark_check")
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", help="first moment of the replay, UTC")] = None,
    to: Annotated[str | None, typer.Option(help="last moment of the replay, UTC")] = None,
    account: Annotated[list[str] | None, typer.Option(help="NAME[:DEPOSIT_USDT]; repeatable")] = None,
    hold: Annotated[
        bool | None, typer.Option("--hold", help="market time stands still until /sim/scenario says play")
    ] = None,
    durability: Annotated[
        str | None, typer.Option(help="fsync: the disk has it before an answer; os: faster")
    ] = None,
    enable_sim: Annotated[bool | None, typer.Option("--enable-sim", help="serve the namespace /sim")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the ready line as JSON on a terminal too")
    ] = False,
) -> None:
    """Serve until SIGINT or SIGTERM; prints one line when ready."""
    from simulated_exchange.settings import load_settings

    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "durability": durability,
        "enable_sim": enable_sim,
        "accounts": [_account(text) for text in account] if account else None,
        "scenario": _present(
            {"name": scenario, "seed": seed, "seconds": seconds, "replay": replay, "from": from_, "to": to}
            | {"held": hold}
        ),
    }
    settings = load_settings(config, _present(options))
    configure_logging()
    from simulated_exchange.daemon import plan_venue
    from simulated_exchange.daemon import serve as serve_venue

    plan = plan_venue(settings)
    is_for_people = sys.stdout.isatty() and not as_json
    _run(serve_venue(plan, _announce if is_for_people else _print_json))


def _announce(ready: dict[str, Any]) -> None:
    typer.echo(f"rest {ready['rest']}  ws {ready['ws']}  journal {ready['journal']}")
    for entry in ready["accounts"]:
        typer.echo(f"account {entry['name']}: key {entry['api_key']} secret {entry['api_secret']}")


@app.command()
def verify(
    journal: Annotated[Path, typer.Argument(help="journal file of a venue, running or not")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Replay a journal and check every invariant after every command; exit 70 when one is broken."""
    from simulated_exchange.offline import verify_journal

    with _progress(f"verify {journal.name}") as progress:
        found = verify_journal(journal, progress)
    _show(found, as_json)
    if not as_json:
        torn = found["truncated_bytes"]
        cut = f"; the last {torn} bytes are a torn record, which a restart cuts off" if torn else ""
        typer.echo(f"every invariant held after each of {found['commands']:,} commands{cut}")


@app.command()
def replay(
    journal: Annotated[Path, typer.Argument(help="journal file of a venue, running or not")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Replay a journal and say what happened in it."""
    from simulated_exchange.offline import replay_journal

    _show(replay_journal(journal), as_json)


@app.command("scenario")
def run_scenario(
    name: Annotated[str, typer.Argument(help="name of a scenario, or a .toml file")],
    seed: Annotated[int, typer.Option(help="equal seeds give equal runs")] = 7,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="planned length")] = 120,
    factor: Annotated[
        float, typer.Option(min=0.1, max=3_600, help="market seconds in one second of the scenario")
    ] = 60,
    journal: Annotated[Path | None, typer.Option(help="write the run's journal there")] = None,
    mark_source: Annotated[
        str | None, typer.Option(help="mark everything at: dual (the venue's rule), last, book_mid")
    ] = None,
    describe: Annotated[bool, typer.Option("--describe", help="print its settings and end")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Run a scenario on a venue of its own, without waiting, and say what it did to people's money."""
    from simulated_exchange import offline

    if describe:
        _show(offline.describe_scenario(name), as_json)
        return
    told = offline.run_scenario(
        name, seed=seed, seconds=seconds, factor=factor, journal=journal, mark_source=mark_source
    )
    if as_json:
        _print_json(told)
        return
    from simulated_exchange.scenario.pages import print_tale

    print_tale(told)


@app.command("env")
def show_environment(
    bot: Annotated[str | None, typer.Option(help="pybit, ccxt, freqtrade, hummingbot or nautilus")] = None,
    rest: Annotated[
        str | None, typer.Option(help="http://HOST:PORT; default: the venue that runs with --data-dir")
    ] = None,
    data_dir: Annotated[Path, typer.Option(help="of the running venue")] = Path("runs/exchange"),
    account: Annotated[
        str | None, typer.Option(help="an account whose key the bot takes from BYBIT_API_KEY and _SECRET")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="settings for the bot's own configuration")] = False,
) -> None:
    """Print what points a bot at a running venue: eval "$(simulated-exchange env --bot pybit)"."""
    from simulated_exchange.pointing import BOTS, environment_lines, library_settings

    if bot is not None and bot not in BOTS:
        raise ConfigurationError([f"--bot: was {bot!r}, allowed: {', '.join(BOTS)}"])
    if as_json:
        told = library_settings(bot or "ccxt", rest=rest, data_dir=data_dir, account=account)
        typer.echo(json.dumps(told, indent=2))
        return
    for line in environment_lines(rest=rest, data_dir=data_dir, account=account):
        typer.echo(line)


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None and value != {}}


def _account(text: str) -> dict[str, str]:
    name, _, deposit = text.partition(":")
    return {"name": name, "deposit_usdt": deposit} if deposit else {"name": name}


def _show(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(values)
        return
    width = max(len(key) for key in values)
    for key, value in values.items():
        typer.echo(f"{key:<{width}}  {value if isinstance(value, str | int) else json.dumps(value)}")


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int, int], object] | None]:
    """A bar on the error stream for what takes long; nothing where nobody looks at it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %  {task.fields[commands]:,} commands"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, commands=0)

        def told(commands: int, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, commands=commands)

        yield told


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:
        import asyncio

        asyncio.run(work)
    else:
        uvloop.run(work)


def configure_logging() -> None:
    """What happens, as lines for people or as JSON; stdout is for answers."""
    import structlog

    is_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        # stderr as it is when something is said: a command may run inside a program that lends it one
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
