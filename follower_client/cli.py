"""`follower-client`: the commands a follower types.

Belongs here: arguments, output for people and machines, exit statuses. Does not belong here: anything that
runs (`daemon`). Heavy modules are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from follower_client import cli_memory, cli_operator
from follower_client.cli_words import (
    PROGRAM,
    Config,
    Json,
    followers_of,
    log_to_stderr,
    one_line_errors,
    table,
)

__all__ = ["app", "main"]


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
cli_memory.register(app)
cli_operator.register(app)


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
def run(
    config: Config = Path("follower.toml"),
    paper: Annotated[bool, typer.Option("--paper", help="Live prices, paper orders.")] = False,
    as_json: Json = False,
) -> None:
    """Follow until stopped. Many followers run in one process when --config is a folder. SIGHUP takes changed
    settings.
    """
    with one_line_errors():
        gc.disable()  # what is imported is no garbage: looking for some costs a quarter of the start
        from follower_client.starting import Files

        files = Files(config, paper=paper)
        settings = files.first()
        log_to_stderr()
        import asyncio

        from follower_client.daemon import serve

        gc.enable()

        def announce(followers: list[str]) -> None:
            if as_json:
                typer.echo(json.dumps({"ready": True, "followers": followers}))
            else:
                typer.echo(f"following with {', '.join(map(files.marked, followers))}; Ctrl-C ends")

        try:
            import uvloop

            status = uvloop.run(serve(settings, announce, files.again))
        except ImportError:
            status = asyncio.run(serve(settings, announce, files.again))
        raise typer.Exit(status or files.status)


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


@app.command()
def join(
    token: Annotated[str, typer.Argument(help="The invite, as the leader sent it; - reads it from stdin.")],
    name: Annotated[str, typer.Option("--id", help="Your name on the broker: 1 to 32 of a-z, 0-9.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where keys and configuration go.")] = Path(),
) -> None:
    """Become a follower: makes keys, pins the leader's key, writes a paper configuration."""
    with one_line_errors():
        from follower_client.joining import run_join

        joined = run_join(sys.stdin.read() if token == "-" else token, name, folder)
    typer.echo(f"joined {joined.leader_id} as {joined.follower_id}; wrote {joined.config} (PAPER)")
    for line in joined.said:
        typer.echo(line)
    typer.echo(f"next: {PROGRAM} doctor -c {joined.config}; {PROGRAM} run -c {joined.config}")


@app.command()
def doctor(config: Config = Path("follower.toml"), as_json: Json = False) -> None:
    """Look at keys, rights, clock, minimums, broker and venue; change nothing."""
    with one_line_errors():
        from follower_client.doctor import examine

        log_to_stderr()
        found, wrong = followers_of(config)
        rows = [finding.row() for one in found for finding in examine(one)]
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        columns = ("follower", "check", "level", "what", "what_to_do")
        table(columns, [[row[name] for name in columns] for row in rows])
    raise typer.Exit(1 if any(row["level"] == "fail" for row in rows) else wrong)


@app.command()
def venues(as_json: Json = False) -> None:
    """What a follower needs of a venue, and which venues have it by ccxt's own description."""
    from follower_client.venue.ccxt_adapter import MAPPED_VENUES, capabilities

    found = {name: capabilities(name) for name in MAPPED_VENUES}
    tried = {name: name == "bybit" for name in MAPPED_VENUES}
    if as_json:
        typer.echo(json.dumps({name: {"tried": tried[name], **found[name]} for name in MAPPED_VENUES}))
        return
    rows = [
        [need, *("yes" if found[name][need] else "NO" for name in MAPPED_VENUES)] for need in found["bybit"]
    ]
    rows.append(
        ["tried by this program's tests", *("yes" if tried[name] else "no" for name in MAPPED_VENUES)]
    )
    table(["", *MAPPED_VENUES], rows)


@config_app.command("check")
def config_check(config: Config = Path("follower.toml")) -> None:
    """Say all that is wrong, or that nothing is."""
    with one_line_errors():
        from follower_client.starting import check

        settings = check(config)
    typer.echo(f"ok: {', '.join(one.follower.id for one in settings)}")


@config_app.command("show")
def config_show(config: Config = Path("follower.toml")) -> None:
    """The configuration in force, defaults included, secrets masked, as JSON."""
    with one_line_errors():
        from follower_client.reading import read_files

        settings = read_files(config).all_right()
    typer.echo(json.dumps([one.model_dump(mode="json") for one in settings], indent=2))


@config_app.command("schema")
def config_schema() -> None:
    """JSON Schema of the file."""
    from follower_client.settings import FollowerSettings

    typer.echo(json.dumps(FollowerSettings.model_json_schema(), indent=2))


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
