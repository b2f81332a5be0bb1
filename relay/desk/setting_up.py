"""`relay init leader|ops`: a folder from which `relay serve` and `relay publish` run as they are.

Belongs here: the files, their text, the first row of the registry. Does not belong here: what the settings
mean (`relay.settings`).

Nothing that exists is overwritten: the first file that is there already ends the command before it has
written any.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.errors import ConfigurationError, Failed
from relay.keys import create_nkey, create_signing_key
from relay.registry import Registry

__all__ = [
    "LeaderSetup",
    "default_leader_id",
    "init_leader",
    "init_ops",
    "refuse_existing",
    "venue_from_line",
    "write_new",
]

DEFAULT_LISTEN: Final = "127.0.0.1:4222"
DEFAULT_REST_URL: Final = "http://127.0.0.1:8080"
DEFAULT_SYMBOLS: Final = ("BTC/USDT:USDT", "ETH/USDT:USDT")
_VENUE_LINE_BYTES_MAX = 1024 * 1024
_VENUE_LINE_WAIT_S = 30.0  # until a venue that was started a moment ago is there
_VENUE_FILE_WAIT_S = 1.0  # until a shell has made the file
_VENUE_LOOK_S = 0.05
_IDENTIFIER = re.compile(r"\A[a-z0-9]{1,32}\Z")

_RELAY_TOML = """\
# `relay serve`: the broker, who may use it, the drift monitor. Paths are relative to this file.
# Leaders and followers come and go by `relay init`, `relay invite`, `relay followers`; see `relay --help`.
# Every key has an environment variable: RELAY_BROKER__LISTEN ...
registry = "data/registry.sqlite"

[broker]
listen = {listen}   # an address outside this machine needs [broker.tls]
# public_url = "tls://relay.example:4222" # as followers reach it; goes into invites
# tls = {{ certificate = "keys/broker.pem", key = "keys/broker.key", ca = "keys/ca.pem" }}
data_dir = "data/broker"    # the broker's own folder: configuration, keys, streams
retention_days = 30         # how long signals and reports are kept ...
retention_mib = 1024        # ... and how many MiB per stream, whichever is reached first

[store]
path = "data/drift.sqlite"
"""
_VENUE_TOML = """
[venue]   # the leaders' venue, read without a key: funds, deleveraging, borrow rates, mark and last
rest_url = {rest_url}
"""
_PUBLISHER_TOML = """\
# `relay publish`: a leader's account as signed signals. Paths are relative to this file.
# Every key has an environment variable: PUBLISHER_VENUE__REST_URL ...

[leader]
id = {leader_id}
nkey_seed_file = "keys/{leader}.nk"        # who he is to the broker
signing_key_file = "keys/{leader}.signing" # who he is to his followers: keep a copy in a safe place
outbox = "data/{leader}.outbox.sqlite"     # everything published, written down before it is sent

[venue]
{venue}

[broker]
url = {broker_url}

[signals]
symbols = {symbols}
expires_ms = 5000        # an entry older than this, counted from its wave, is not copied; exits always are
snapshot_seconds = 10
{more}
"""
_WATCHED = """\
exchange = {exchange}
rest_url = {rest_url}
ws_url = {ws_url}
api_key_file = "keys/venue.api_key"        # a key that can only read is enough
api_secret_file = "keys/venue.api_secret\""""
_WATCHED_MORE = (
    "stagger = { auto = true, window_ms_max = 2000 } # entries of many followers, spread as the book bears"
)
_EXTERNAL = 'exchange = "external"   # nothing is watched: `relay signal`, or a signed call, tells each step'
_EXTERNAL_MORE = """
[door]   # where steps are told on this machine: docs/external-leader.md
listen = "127.0.0.1:0"                     # 0: any free port; data/{leader}.outbox.sqlite.door says which
secret_file = "keys/{leader}.door"         # what signs a call"""


@dataclass(frozen=True, slots=True)
class LeaderSetup:
    """What `relay init leader` was told. Empty credentials are to be filled in by hand."""

    leader_id: str
    folder: Path = Path()
    listen: str = DEFAULT_LISTEN
    exchange: str = "bybit"
    rest_url: str = DEFAULT_REST_URL
    ws_url: str = ""
    api_key: str = ""
    api_secret: str = ""
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    is_external: bool = False  # he tells his steps; `exchange` and addresses are his followers' then


def default_leader_id() -> str:
    """The user's name where it can be an id, else `leader`."""
    name = os.environ.get("USER", "").lower()
    return name if _IDENTIFIER.match(name) and name != "root" else "leader"


def venue_from_line(path: Path, account: str) -> dict[str, str]:
    """`rest_url`, `ws_url`, `api_key`, `api_secret` from the ready line of `simulated-exchange serve`.

    A venue that has not got so far yet is waited for.
    """
    try:
        _await_line(path)
        if path.stat().st_size > _VENUE_LINE_BYTES_MAX:
            raise ValueError
        line: dict[str, Any] = json.loads(path.read_text("utf-8").splitlines()[0])
        found = [row for row in line["accounts"] if row["name"] == account]
        rest_url, ws_url = str(line["rest"]), str(line["ws"])
    except (OSError, ValueError, LookupError, TypeError):
        allowed = "a file with the line that `simulated-exchange serve --json` prints"
        raise ConfigurationError([f"--venue: {path} cannot be read, allowed: {allowed}"]) from None
    if not found:
        names = ", ".join(str(row.get("name")) for row in line["accounts"])
        raise ConfigurationError([f"--account: was {account!r}, allowed: one of {names}"])
    return {
        "rest_url": rest_url,
        "ws_url": ws_url,
        "api_key": str(found[0]["api_key"]),
        "api_secret": str(found[0]["api_secret"]),
    }


def _await_line(path: Path) -> None:
    """Return when the file's first line is complete; after a while in any case."""
    began = time.monotonic()
    while (waited_s := time.monotonic() - began) < _VENUE_LINE_WAIT_S:
        if path.exists():
            with path.open("rb") as file:
                if b"\n" in file.read(_VENUE_LINE_BYTES_MAX):
                    return
        elif waited_s > _VENUE_FILE_WAIT_S:
            return
        time.sleep(_VENUE_LOOK_S)


def init_leader(setup: LeaderSetup) -> str:
    """Write relay.toml, publisher.toml and keys, and register the leader; returns what to do next."""
    if not _IDENTIFIER.match(setup.leader_id):
        raise ConfigurationError([f"ID: was {setup.leader_id!r}, allowed: 1 to 32 characters of a-z and 0-9"])
    folder, name = setup.folder, setup.leader_id
    ws_url = setup.ws_url or re.sub(r"\Ahttp", "ws", setup.rest_url)
    keys = folder / "keys"
    texts = {
        folder / "relay.toml": _relay_toml(setup),
        folder / "publisher.toml": _publisher_toml(setup, ws_url),
    }
    if setup.is_external:
        texts[keys / f"{name}.door"] = secrets.token_hex(32) + "\n"
    else:
        texts[keys / "venue.api_key"] = setup.api_key + "\n"
        texts[keys / "venue.api_secret"] = setup.api_secret + "\n"
    refuse_existing([*texts, keys / f"{name}.nk", keys / f"{name}.signing"])
    for path, text in texts.items():
        write_new(path, text)
    nkey, signing_key = create_nkey(keys / f"{name}.nk"), create_signing_key(keys / f"{name}.signing")
    hint = {
        "exchange": setup.exchange,
        "rest_url": setup.rest_url,
        "ws_url": ws_url,
        "symbols": list(setup.symbols),
    }
    registry = Registry.open(folder / "data" / "registry.sqlite")
    try:
        registry.add_leader(name, nkey, signing_key, hint, time.time_ns() // 1_000_000)
    finally:
        registry.close()
    needs_key = not (setup.api_key or setup.is_external)
    missing = "  put the venue's API key into keys/venue.api_key and .api_secret\n" if needs_key else ""
    at = "" if folder == Path() else f"  cd {folder}\n"
    first = setup.symbols[0]
    tell = f"\n  relay signal open {first} long QTY PRICE --equity USDT   # each step of yours, told once"
    return (
        f"leader {name}, public key {signing_key}\n{at}{missing}"
        "  relay serve             # broker and drift monitor; leave it running\n"
        "  relay publish           # in another terminal\n"
        "  relay invite create     # prints a token: follower-client join TOKEN"
    ) + (tell if setup.is_external else "")


def _publisher_toml(setup: LeaderSetup, ws_url: str) -> str:
    name = setup.leader_id
    venue = _WATCHED.format(
        exchange=json.dumps(setup.exchange), rest_url=json.dumps(setup.rest_url), ws_url=json.dumps(ws_url)
    )
    return _PUBLISHER_TOML.format(
        leader=name,
        leader_id=json.dumps(name),
        venue=_EXTERNAL if setup.is_external else venue,
        broker_url=json.dumps(f"nats://{setup.listen}"),
        symbols=json.dumps(list(setup.symbols)),
        more=_EXTERNAL_MORE.format(leader=name) if setup.is_external else _WATCHED_MORE,
    )


def _relay_toml(setup: LeaderSetup) -> str:
    """A venue that speaks v5 is read, too."""
    text = _RELAY_TOML.format(listen=json.dumps(setup.listen))
    if setup.exchange != "bybit" or not setup.rest_url:
        return text
    return text + _VENUE_TOML.format(rest_url=json.dumps(setup.rest_url))


def init_ops(folder: Path, listen: str) -> str:
    """Write relay.toml for a relay whose leaders are elsewhere; returns what to do next."""
    path = folder / "relay.toml"
    refuse_existing([path])
    write_new(path, _RELAY_TOML.format(listen=json.dumps(listen)))
    Registry.open(folder / "data" / "registry.sqlite").close()
    return (
        f"wrote {path}\n"
        "  relay serve\n"
        "  relay leaders add ID --nkey U... --signing-key HEX   # as `relay keys` printed them to the leader"
    )


def refuse_existing(paths: list[Path]) -> None:
    """Raises `Failed` if one of these is there."""
    found = [str(path) for path in paths if path.exists()]
    if found:
        raise Failed(f"{', '.join(found)}: there already, and never overwritten; nothing was written")


def write_new(path: Path, text: str) -> None:
    """Write a file that only its owner reads. Raises `Failed`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failed(f"{path}: cannot be written ({error.strerror})") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
