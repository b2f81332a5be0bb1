"""The command line of the relay.

Belongs here: names, options and help of the commands. Does not belong here: anything they do; it is imported
when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from relay import cli_desk, cli_ops
from relay.cli_ops import StoreOption
from relay.cli_signal import signal_app
from relay.demo.command import demo

__all__ = ["app", "main"]

PROGRAM = "relay"

app = typer.Typer(
    name=PROGRAM,
    help="Copy trading in which the follower keeps custody: broker, publisher, drift monitor.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers at once
)
report_app = typer.Typer(help="What the drift monitor has seen.", no_args_is_help=True, rich_markup_mode=None)
keys_app = typer.Typer(
    help="Make keys, each in a file of its own.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(report_app, name="report")
app.add_typer(keys_app, name="keys")
app.add_typer(signal_app, name="signal")
app.command()(demo)
cli_desk.add_commands(app, keys_app)
cli_ops.add_commands(app)

_Json = Annotated[bool, typer.Option("--json", help="print the ready line as JSON")]
_KeyFile = Annotated[Path, typer.Argument(help="the file to make; never overwritten", metavar="FILE")]


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


@app.command()
def serve(
    config: Annotated[
        Path, typer.Option("--config", envvar="RELAY_CONFIG", help="the TOML file", metavar="FILE")
    ] = Path("relay.toml"),
    as_json: _Json = False,
) -> None:
    """Run the embedded broker, the leaders' streams and the drift monitor."""
    from relay import daemon

    raise typer.Exit(daemon.serve(config, as_json=as_json))


@app.command()
def publish(
    config: Annotated[
        Path, typer.Option("--config", envvar="PUBLISHER_CONFIG", help="the TOML file", metavar="FILE")
    ] = Path("publisher.toml"),
    take_over: Annotated[
        bool, typer.Option("--take-over", help="the outbox was lost: go on after the stream's head")
    ] = False,
    new_group: Annotated[
        bool, typer.Option("--new-group", help="a private group's file was lost: begin one with nobody in it")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Publish a leader's fills as signed signals."""
    from relay import daemon

    raise typer.Exit(daemon.publish(config, take_over=take_over, new_group=new_group, as_json=as_json))


@report_app.command()
def slippage(
    store: StoreOption = "",
    since: Annotated[str | None, typer.Option("--since", help="e.g. 7d, 12h, 2026-01-31")] = None,
    leader: Annotated[str | None, typer.Option("--leader", help="this leader only")] = None,
    follower: Annotated[str | None, typer.Option("--follower", help="this follower only")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="this symbol only (BTC/USDT:USDT)")] = None,
    form: Annotated[str, typer.Option("--format", help="how to print it")] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", help="write there instead", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
) -> None:
    """Slippage and latency of every follower's copies."""
    from relay import reporting
    from relay.store import store_place

    status = reporting.slippage(
        store=store_place(store),
        since=since,
        leader=leader,
        follower=follower,
        symbol=symbol,
        format="json" if as_json else form,
        output=output,
    )
    raise typer.Exit(status)


@keys_app.command()
def signing(file: _KeyFile) -> None:
    """A leader's signing key; prints the public half that followers pin."""
    from relay import keys, running

    raise typer.Exit(running.print_result(lambda: keys.create_signing_key(file)))


@keys_app.command()
def nkey(file: _KeyFile) -> None:
    """A broker identity; prints the public half for relay.toml."""
    from relay import keys, running

    raise typer.Exit(running.print_result(lambda: keys.create_nkey(file)))


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
    gc.freeze()  # all is closed: looking through what ccxt has loaded once more would take half a second
    sys.exit(status)
