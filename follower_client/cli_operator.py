"""The operator's commands: pause, resume, reduce-only, cancel-all, flatten, lock, leave.

Belongs here: writing the order down and saying what follows. Does not belong here: carrying it out (the
daemon reads the same file; without a daemon `closing` does it here).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from follower_client.cli_words import Config, Json, log_to_stderr, one_line_errors

if TYPE_CHECKING:
    from follower_client.core.snapshot import Control
    from follower_client.settings import FollowerSettings

__all__ = ["register"]

Reason = Annotated[str, typer.Option("--reason", help="Kept in the audit trail.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--follower", help="Only this one; may be given more than once. Default: all."),
]
WAIT_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("pause")(_ordering("pause", "No new entries. Exits go on."))
    app.command("reduce-only")(_ordering("reduce_only", "Only reductions, until somebody resumes."))
    app.command("cancel-all")(_ordering("cancel_all", "Take back every resting order, and no new entries."))
    app.command("lock")(_ordering("lock", "No new entries until somebody resumes with a reason."))
    app.command("resume")(resume)
    app.command("flatten")(flatten)
    app.command("leave")(leave)


def _ordering(level: str, help_text: str) -> Callable[..., None]:
    def command(
        config: Config = Path("follower.toml"),
        follower: Only = None,
        reason: Reason = "",
        as_json: Json = False,
    ) -> None:
        from follower_client.core.snapshot import Control

        with one_line_errors():
            found = _chosen(config, follower)
            rows = [_order(one, Control(level), reason) for one in found]
        _tell(rows, as_json)

    command.__doc__ = f"{help_text} In force when it returns, and after every restart."
    return command


def resume(
    config: Config = Path("follower.toml"), follower: Only = None, reason: Reason = "", as_json: Json = False
) -> None:
    """Back to normal. Leaving a lock needs --reason."""
    from follower_client.control import ControlFile

    with one_line_errors():
        rows: list[dict[str, object]] = []
        for one in _chosen(config, follower):
            state = ControlFile(_folder(one)).resume(by="operator", reason=reason)
            rows.append({"follower": one.follower.id, "level": state.level.value, "reason": state.reason})
    _tell(rows, as_json)


def flatten(
    config: Config = Path("follower.toml"),
    follower: Only = None,
    reason: Reason = "",
    wait: Annotated[bool, typer.Option(help="Return when it is flat.")] = True,
    as_json: Json = False,
) -> None:
    """Close everything that copying opened, and open nothing more. What you hold beside it stays."""
    from follower_client.core.snapshot import Control

    with one_line_errors():
        found = _chosen(config, follower)
        rows = [_order(one, Control.FLATTEN, reason) for one in found]
        if wait:
            log_to_stderr()
            from follower_client.closing import wait_until_flat

            for one, row in zip(found, rows, strict=True):
                row["flat"] = wait_until_flat(one, WAIT_S)
    _tell(rows, as_json)
    if wait and not all(row["flat"] for row in rows):
        typer.echo("follower-client: a copied position is still open: see status, and the venue", err=True)
        raise typer.Exit(75)


def leave(
    leader: Annotated[str, typer.Argument(help="The leader's id.")],
    config: Config = Path("follower.toml"),
    keep: Annotated[bool, typer.Option("--keep/--flatten", help="Keep the positions, or close them.")] = True,
    as_json: Json = False,
) -> None:
    """Stop following a leader, at the relay as well. The configuration file is set aside."""
    with one_line_errors():
        log_to_stderr()
        from follower_client.closing import leave as leave_leader
        from follower_client.errors import ConfigurationError

        found = [one for one in _chosen(config, None) if one.leader.id == leader]
        if not found:
            typer.echo(f"follower-client: leave: nobody here follows {leader}", err=True)
            raise typer.Exit(2)
        for one in found:
            if one.more_leaders:
                told = f"follows several leaders, allowed: flatten, then take {leader}'s table out"
                raise ConfigurationError([f"leave: {one.follower.id}: {told}"])
        rows = [leave_leader(one, config, keep=keep, limit_s=WAIT_S) for one in found]
    _tell(rows, as_json)
    if not all(row["flat"] or keep for row in rows):
        raise typer.Exit(75)


def _chosen(config: Path, names: list[str] | None) -> list[FollowerSettings]:
    from follower_client.errors import ConfigurationError
    from follower_client.reading import load_folder_or_file

    found = load_folder_or_file(config)
    missing = sorted(set(names or ()) - {one.follower.id for one in found})
    if missing:
        known = ", ".join(one.follower.id for one in found)
        raise ConfigurationError([f"--follower: was {missing[0]!r}, allowed: {known}"])
    return [one for one in found if not names or one.follower.id in names]


def _folder(settings: FollowerSettings) -> Path:
    folder = settings.follower.data_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _order(settings: FollowerSettings, level: Control, reason: str) -> dict[str, object]:
    from follower_client.control import ControlFile

    state = ControlFile(_folder(settings)).order(level, by="operator", reason=reason)
    return {"follower": settings.follower.id, "level": state.level.value, "reason": state.reason}


def _tell(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        extra = "" if "flat" not in row else (", flat" if row["flat"] else ", NOT FLAT YET")
        typer.echo(f"{row['follower']}: {row['level']}{extra}")
