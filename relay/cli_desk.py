"""The commands of the desk on the command line: init, invite, leaders, followers.

Belongs here: names, options and help. Does not belong here: anything they do (`relay.desk`), imported when a
command runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from relay.desk.people import Relay, Told

__all__ = ["add_commands"]

_Config = Annotated[
    Path, typer.Option("--config", envvar="RELAY_CONFIG", help="the relay's TOML file", metavar="FILE")
]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
_RELAY_TOML = Path("relay.toml")


def _group(text: str, *, alone: bool = False) -> typer.Typer:
    return typer.Typer(
        help=text, no_args_is_help=not alone, invoke_without_command=alone, rich_markup_mode=None
    )


init_app = _group("Write a folder of settings and keys.")
invite_app = _group("Tokens that make followers.")
leaders_app = _group("Who publishes here; without a command, list them.", alone=True)
group_app = _group("A private group: signals that members alone can read.")
followers_app = _group("Who follows; without a command, list them.", alone=True)


def add_commands(app: typer.Typer, keys_app: typer.Typer) -> None:
    """Hang them below the program, and below its keys."""
    app.add_typer(group_app, name="group")
    app.command()(pause)
    app.command()(resume)
    app.command()(notice)
    app.command()(move)
    app.command()(doctor)
    keys_app.command()(rotate)
    keys_app.command()(revoke)
    app.add_typer(init_app, name="init")
    app.add_typer(invite_app, name="invite")
    app.add_typer(leaders_app, name="leaders")
    app.add_typer(followers_app, name="followers")


def _tell(config: Path, as_json: bool, command: Callable[[Relay], Told]) -> None:
    import json

    from relay import running
    from relay.desk.people import opened

    def make() -> str:
        with opened(config) as relay:
            told = command(relay)
        if as_json:
            return json.dumps(told.data)
        if told.remark:
            typer.echo(told.remark, err=True)
        return told.text

    raise typer.Exit(running.print_result(make))


@init_app.command("leader")
def init_leader(
    leader: Annotated[str | None, typer.Argument(help="the leader's name, a-z 0-9", metavar="[ID]")] = None,
    folder: Annotated[Path, typer.Option("--dir", help="where to write", metavar="DIR")] = Path(),
    listen: Annotated[str, typer.Option(help="the broker's address")] = "127.0.0.1:4222",
    exchange: Annotated[str, typer.Option(help="where the leader trades, in ccxt's names")] = "bybit",
    rest_url: Annotated[str, typer.Option(help="the venue's REST address")] = "http://127.0.0.1:8080",
    ws_url: Annotated[str, typer.Option(help="its WebSocket address (default: the same, ws)")] = "",
    venue: Annotated[
        Path | None,
        typer.Option(help="the line that `simulated-exchange serve --json` printed", metavar="FILE"),
    ] = None,
    account: Annotated[str, typer.Option(help="whose key of that line to use")] = "leader",
    symbols: Annotated[list[str] | None, typer.Option("--symbol", help="to publish; repeatable")] = None,
    external: Annotated[
        bool,
        typer.Option("--external", help="he tells each step by `relay signal`; the venue is his followers'"),
    ] = False,
) -> None:
    """Everything a leader needs: relay.toml, publisher.toml, keys. Asks for the venue's API key."""
    import sys

    from relay import running
    from relay.desk import setting_up

    def make() -> str:
        found = setting_up.venue_from_line(venue, account) if venue is not None else {}
        if not found:
            found = {"rest_url": rest_url, "ws_url": ws_url}
            if sys.stdin.isatty() and not external:
                found["api_key"] = typer.prompt("the venue's API key (empty: later)", default="")
                if found["api_key"]:
                    found["api_secret"] = typer.prompt("its secret", hide_input=True)
        setup = setting_up.LeaderSetup(
            leader_id=leader or setting_up.default_leader_id(),
            folder=folder,
            listen=listen,
            exchange=exchange,
            symbols=tuple(symbols or setting_up.DEFAULT_SYMBOLS),
            is_external=external,
            **found,
        )
        return setting_up.init_leader(setup)

    raise typer.Exit(running.print_result(make))


@init_app.command("ops")
def init_ops(
    folder: Annotated[Path, typer.Option("--dir", help="where to write", metavar="DIR")] = Path(),
    listen: Annotated[str, typer.Option(help="the broker's address")] = "127.0.0.1:4222",
    node: Annotated[
        list[str] | None,
        typer.Option(help="NAME=HOST:PORT/ROUTE_PORT of a cluster's server; repeatable"),
    ] = None,
) -> None:
    """A relay whose leaders run elsewhere: relay.toml; with --node, the servers' configuration as well."""
    from relay import running
    from relay.desk import clustering, setting_up

    def make() -> str:
        if not node:
            return setting_up.init_ops(folder, listen)
        return clustering.init_cluster(folder, [clustering.parse_node(text) for text in node])

    raise typer.Exit(running.print_result(make))


@invite_app.command("create")
def invite_create(
    leader: Annotated[str | None, typer.Option(help="whom to follow; not needed if there is one")] = None,
    follower: Annotated[str | None, typer.Option(help="the id the follower gets (default: his)")] = None,
    uses: Annotated[int, typer.Option(help="how many may join with it")] = 1,
    days: Annotated[int, typer.Option(help="how long it is good")] = 7,
    note: Annotated[str, typer.Option(help="for the list")] = "",
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """Print a token. Whoever has it can join: send it as you would a password."""

    def command(relay: Relay) -> Told:
        from relay.desk.people import InviteTerms

        return relay.create_invite(InviteTerms(leader, follower, uses, days, note[:500]))

    _tell(config, as_json, command)


@invite_app.command("list")
def invite_list(config: _Config = _RELAY_TOML, as_json: _Json = False) -> None:
    """Every invite and what became of it."""
    _tell(config, as_json, lambda relay: relay.list_invites())


@invite_app.command("revoke")
def invite_revoke(
    invite: Annotated[str, typer.Argument(help="its id, as `relay invite list` shows it")],
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """Nobody joins with it any more; who has joined stays."""
    _tell(config, as_json, lambda relay: relay.revoke_invite(invite))


@leaders_app.callback()
def leaders(context: typer.Context, config: _Config = _RELAY_TOML, as_json: _Json = False) -> None:
    """Who publishes here."""
    if context.invoked_subcommand is None:
        _tell(config, as_json, lambda relay: relay.list_leaders())


@leaders_app.command("add")
def leaders_add(
    leader: Annotated[str, typer.Argument(help="the leader's name, a-z 0-9")],
    nkey: Annotated[str, typer.Option(help="his public nkey, U...")],
    signing_key: Annotated[str, typer.Option(help="his public signing key, 64 hex digits")],
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """Let a leader publish, by his public keys."""
    _tell(config, as_json, lambda relay: relay.add_leader(leader, nkey, signing_key))


@leaders_app.command("remove")
def leaders_remove(
    leader: Annotated[str, typer.Argument(help="the leader's name")],
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """He publishes no more, at once."""
    _tell(config, as_json, lambda relay: relay.remove_leader(leader))


@leaders_app.command("evidence")
def leaders_evidence(
    file: Annotated[Path | None, typer.Argument(help="a document that somebody shows you")] = None,
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """Leaders' contradictions that were kept here; with FILE, what it proves by his public key alone."""
    from relay import running
    from relay.desk.people import examine_evidence

    if file is None:
        _tell(config, as_json, lambda relay: relay.list_evidence())
    else:
        raise typer.Exit(running.print_result(partial(examine_evidence, file)))


@followers_app.callback()
def followers(
    context: typer.Context,
    leader: Annotated[str | None, typer.Option(help="of this leader only")] = None,
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """Who follows."""
    if context.invoked_subcommand is None:
        _tell(config, as_json, lambda relay: relay.list_followers(leader))


@followers_app.command("remove")
def followers_remove(
    follower: Annotated[str, typer.Argument(help="the follower's id")],
    leader: Annotated[str | None, typer.Option(help="this leader's grant only")] = None,
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """End what he was granted, at once."""
    _tell(config, as_json, lambda relay: relay.remove_follower(follower, leader))


@followers_app.command("history")
def followers_history(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="the newest so many")] = 100,
    config: _Config = _RELAY_TOML,
    as_json: _Json = False,
) -> None:
    """Who was let in and put out, by whom and when."""
    _tell(config, as_json, lambda relay: relay.history(count))


_Publisher = Annotated[
    Path, typer.Option("--config", envvar="PUBLISHER_CONFIG", help="the leader's TOML file", metavar="FILE")
]
_PUBLISHER_TOML = Path("publisher.toml")


def _call(
    config: Path, as_json: bool, what: str, body: dict[str, str], text: str | Callable[[dict[str, Any]], str]
) -> None:
    """Ask the running publisher; `text` is what to say with the answer's fields in it, or makes it."""
    import json

    from relay import running
    from relay.desk.calls import ask

    def make() -> str:
        answer = ask(config, what, body)
        if as_json:
            return json.dumps(answer)
        return text.format(**answer) if isinstance(text, str) else text(answer)

    raise typer.Exit(running.print_result(make))


def pause(
    text: Annotated[str, typer.Argument(help="why, for the followers")] = "",
    config: _Publisher = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Tell followers to open nothing until `relay resume`; exits go on. Holds across restarts."""
    _call(config, as_json, "pause", {"text": text}, "paused as of message {seq}")


def resume(
    text: Annotated[str, typer.Argument(help="for the followers")] = "",
    config: _Publisher = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Tell followers that they may open again."""
    _call(config, as_json, "resume", {"text": text}, "resumed as of message {seq}")


def notice(
    text: Annotated[str, typer.Argument(help="what followers should know")] = "",
    leverage: Annotated[str | None, typer.Option(help="the leverage you recommend from now on")] = None,
    config: _Publisher = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Tell followers something, signed and in order with the signals."""
    body = {"text": text} | ({"recommended_leverage": leverage} if leverage else {})
    _call(config, as_json, "notice", body, "told as message {seq}")


def move(
    old: Annotated[Path, typer.Argument(help="relay.toml of the broker that streams are on")],
    new: Annotated[Path, typer.Argument(help="relay.toml of the broker they go to")],
) -> None:
    """Copy leaders' streams and people to another broker, every message under its number; docs/cluster.md."""
    from relay import running
    from relay.desk.transfer import transfer

    raise typer.Exit(running.print_result(lambda: transfer(old, new)))


def doctor(
    config: Annotated[Path, typer.Option("--config", help="the relay's TOML file")] = _RELAY_TOML,
    publisher: Annotated[Path, typer.Option("--publisher", help="the leader's TOML file")] = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Look at settings, keys, registry, broker, publisher, venue, clocks; status 1 if something is wrong."""
    import json

    from relay import running
    from relay.desk.doctor import examine

    relay_file = config if config.exists() or not publisher.exists() else None
    wrong = []

    def make() -> str:
        told = examine(relay_file, publisher if publisher.exists() else None)
        wrong.append(told.data["wrong"])
        return json.dumps(told.data) if as_json else told.text

    raise typer.Exit(running.print_result(make) or (1 if any(wrong) else 0))


def rotate(config: _Publisher = _PUBLISHER_TOML, as_json: _Json = False) -> None:
    """Sign with a new key from now on; followers go along by themselves."""
    _call(config, as_json, "rotate", {}, "{public_key} signs after message {seq}")


def revoke(
    text: Annotated[str, typer.Argument(help="why, for the followers")] = "",
    config: _Publisher = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """The signing key was stolen: followers believe it no more, and the publisher ends. No way back."""
    _call(config, as_json, "revoke", {"text": text}, "revoked by message {seq}")


@group_app.command("create")
def group_create(config: _Publisher = _PUBLISHER_TOML, as_json: _Json = False) -> None:
    """Make this feed private: members are those who follow now, and who joins later."""
    _call(config, as_json, "group-create", {}, "private since message {seq}; {members} members")


@group_app.command("add")
def group_add(
    member: Annotated[str, typer.Argument(help="a follower's id; monitor: the relay's own reports")],
    config: _Publisher = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Let somebody read again who was put out; `monitor` lets the relay report on this private feed."""
    _call(config, as_json, "group-add", {"member": member}, "epoch {epoch} has {members} members")


@group_app.command("remove")
def group_remove(
    member: Annotated[str, typer.Argument(help="a follower's id")],
    config: _Publisher = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Put somebody out: a new key, which he does not get."""
    _call(config, as_json, "group-remove", {"member": member}, "epoch {epoch} has {members} members")


@group_app.command("history")
def group_history(config: _Publisher = _PUBLISHER_TOML, as_json: _Json = False) -> None:
    """Who could read what: every epoch and its members."""

    def shown(answer: dict[str, Any]) -> str:
        from relay.desk.people import moment, table

        rows = [
            {"epoch": row["epoch"], "since": moment(row["began_ms"]), "members": row["members"] or "nobody"}
            for row in answer["epochs"]
        ]
        told = table(rows, "the feed is not private")
        return told.text or told.remark

    _call(config, as_json, "group", {}, shown)
