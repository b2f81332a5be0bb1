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

from follower_client.cli_words import Config, Json, followers_of, log_to_stderr, one_line_errors

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
Row = dict[str, object]


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
            found, wrong = _chosen(config, follower)
            rows, status = _each(found, lambda one: _order(one, Control(level), reason))
        _tell(rows, as_json, status or wrong)

    command.__doc__ = f"{help_text} In force when it returns, and after every restart."
    return command


def resume(
    config: Config = Path("follower.toml"), follower: Only = None, reason: Reason = "", as_json: Json = False
) -> None:
    """Back to normal. Leaving a lock needs --reason."""
    from follower_client.control import ControlFile
    from follower_client.standing import is_out_by

    def back(one: FollowerSettings) -> Row:
        file = ControlFile(_folder(one))
        before = file.read()
        state = file.resume(by="operator", reason=reason)
        if is_out_by(before):
            what = (
                "was put out: entries stop again until the relay lets it in; ask the leader, look at status"
            )
            typer.echo(f"follower-client: {one.follower.id}: {what}", err=True)
        return {"follower": one.follower.id, "level": state.level.value, "reason": state.reason}

    with one_line_errors():
        found, wrong = _chosen(config, follower)
        rows, status = _each(found, back)
    _tell(rows, as_json, status or wrong)


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
        found, wrong = _chosen(config, follower)
        rows, status = _each(found, lambda one: _order(one, Control.FLATTEN, reason))
        if wait:
            log_to_stderr()
            from follower_client.closing import wait_until_flat

            ordered = {row["follower"]: row for row in rows if "error" not in row}

            def until_flat(one: FollowerSettings) -> Row:
                return {"flat": wait_until_flat(one, WAIT_S)}

            for one in found:
                if (row := ordered.get(one.follower.id)) is not None:
                    row["flat"] = _each([one], until_flat)[0][0].get("flat", False)
    is_flat = all(row.get("flat", not wait) for row in rows if "error" not in row)
    if not is_flat:
        typer.echo("follower-client: a copied position is still open: see status, and the venue", err=True)
    _tell(rows, as_json, (status or wrong) if is_flat else 75)


def leave(
    leader: Annotated[str, typer.Argument(help="The leader's id.")],
    config: Config = Path("follower.toml"),
    keep: Annotated[bool, typer.Option("--keep/--flatten", help="Keep the positions, or close them.")] = True,
    as_json: Json = False,
) -> None:
    """Stop following a leader, at the relay as well. The configuration is set aside; of several leaders only
    he is taken out of it.
    """
    with one_line_errors():
        log_to_stderr()
        from follower_client.closing import leave as leave_leader

        chosen, wrong = _chosen(config, None)
        found = [one for one in chosen if leader in [followed.id for followed in one.leaders]]
        if not found:
            followed = sorted({each.id for one in chosen for each in one.leaders})
            typer.echo(
                f"follower-client: leave: nobody here follows {leader}, allowed: {', '.join(followed)}",
                err=True,
            )
            raise typer.Exit(2)
        rows, status = _each(found, lambda one: leave_leader(one, leader, config, keep=keep, limit_s=WAIT_S))
    for row in rows:
        if not row.get("off_the_relays_list", True):
            told = "the relay could not be told: ask the leader to take you off his list"
            typer.echo(f"follower-client: {row['follower']}: {told}", err=True)
        if "error" not in row:
            row["positions"] = "kept" if keep else "closed" if row["flat"] else "STILL OPEN"
    is_done = all(row["flat"] or keep for row in rows if "error" not in row)
    _tell(rows, as_json, (status or wrong) if is_done else 75)


def _each(found: list[FollowerSettings], act: Callable[[FollowerSettings], Row]) -> tuple[list[Row], int]:
    """Everybody's row, and the exit status. What stands in one's way is said and keeps nothing from the
    others: an order to stop has to reach whom it can.
    """
    from follower_client.errors import FollowerError

    rows, status = [], 0
    for one in found:
        try:
            rows.append(act(one))
        except FollowerError as error:
            status = status or error.exit_status
            rows.append({"follower": one.follower.id, "error": str(error)})
            for line in str(error).splitlines():
                typer.echo(f"follower-client: {one.follower.id}: {line}", err=True)
    return rows, status


def _chosen(config: Path, names: list[str] | None) -> tuple[list[FollowerSettings], int]:
    """Who is meant, and the exit status of what is wrong with others."""
    from follower_client.errors import ConfigurationError

    found, status = followers_of(config)
    missing = sorted(set(names or ()) - {one.follower.id for one in found})
    if missing:
        known = ", ".join(one.follower.id for one in found)
        raise ConfigurationError([f"--follower: was {missing[0]!r}, allowed: {known}"])
    return [one for one in found if not names or one.follower.id in names], status


def _folder(settings: FollowerSettings) -> Path:
    from follower_client.errors import FollowerError

    folder = settings.follower.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FollowerError(f"follower.data_dir: {folder} cannot be made ({error.strerror})") from None
    return folder


def _order(settings: FollowerSettings, level: Control, reason: str) -> Row:
    from follower_client.control import ControlFile

    state = ControlFile(_folder(settings)).order(level, by="operator", reason=reason)
    return {"follower": settings.follower.id, "level": state.level.value, "reason": state.reason}


def _tell(rows: list[Row], as_json: bool, status: int) -> None:
    """What became of everybody; ends the program where the status is not 0."""
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        for row in (row for row in rows if "error" not in row):
            if "positions" in row:
                typer.echo(f"{row['follower']}: left {row['leader']}, positions {row['positions']}")
                continue
            extra = "" if "flat" not in row else (", flat" if row["flat"] else ", NOT FLAT YET")
            typer.echo(f"{row['follower']}: {row['level']}{extra}")
    if status:
        raise typer.Exit(status)
