"""`relay invite`, `relay leaders`, `relay followers`: who there is, who may come, who has to go.

Belongs here: what each command changes and what it tells. Does not belong here: the rules (`relay.registry`),
what a running relay does about a change (`relay.admission`).
"""

from __future__ import annotations

import fcntl
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from relay.errors import ConfigurationError, Failed, wrong
from relay.keys import is_public_nkey, new_nkey
from relay.protocol.errors import ProtocolError
from relay.protocol.evidence import proven
from relay.protocol.invite import URLS_MAX, Invite, VenueHint, encode_invite
from relay.protocol.profile import open_profile
from relay.registry import InviteRow, Leader, Refused, Registry
from relay.settings import ServeSettings, load_serve
from relay.telling.evidence import kept_evidence

__all__ = [
    "InviteTerms",
    "Relay",
    "Told",
    "examine_evidence",
    "is_running",
    "moment",
    "opened",
    "running_port",
    "table",
]

IN_FORCE_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Told:
    """What a command tells: `text` on stdout, `remark` on stderr, `data` with --json instead of both."""

    text: str
    data: Any
    remark: str = ""


@dataclass(frozen=True, slots=True)
class InviteTerms:
    """For whom an invite is."""

    leader: str | None = None  # None: the only one
    follower: str | None = None  # None: the joiner chooses his id
    uses: int = 1
    days: int = 7
    note: str = ""


class Relay:
    """One relay's settings and registry, for a command."""

    def __init__(self, settings: ServeSettings, registry: Registry) -> None:
        self.settings = settings
        self.registry = registry

    def create_invite(self, terms: InviteTerms) -> Told:
        """Make a token. It is told once and kept nowhere."""
        leader = self._leader(terms.leader)
        for name, value, low, high in (("--uses", terms.uses, 1, 100_000), ("--days", terms.days, 1, 3650)):
            if not low <= value <= high:
                raise ConfigurationError([wrong(name, value, f"{low} to {high}")])
        invite_id, now_ms = "i" + secrets.token_hex(8), _now_ms()
        seed, public = new_nkey()
        expires_ms = now_ms + terms.days * _DAY_MS
        hint = leader.hint
        try:
            token = encode_invite(
                Invite(
                    invite_id=invite_id,
                    seed=seed,
                    urls=self._public_urls(),
                    leader_id=leader.id,
                    leader_key=leader.signing_key,
                    expires_ms=expires_ms,
                    ca_pem=self._ca_pem(),
                    venue=msgspec.convert([hint[k] for k in _HINTS], VenueHint)
                    if all(k in hint for k in _HINTS)
                    else None,
                    symbols=list(hint.get("symbols", [])),
                )
            )
        except (ProtocolError, msgspec.ValidationError) as error:
            raise Failed(f"invite: {error}") from None
        row = InviteRow(
            invite_id, public, leader.id, terms.follower, terms.note, now_ms, expires_ms, terms.uses, 0, None
        )
        self._changing(lambda: self.registry.add_invite(row))
        remark = f"invite {invite_id}: follows {leader.id}, {_uses(terms.uses)}, until {_day(expires_ms)}"
        data = {"token": token, "invite": invite_id, "leader": leader.id, "expires_ms": expires_ms}
        return Told(token, data, f"{remark}{self._wait_until_in_force()}")

    def list_invites(self) -> Told:
        """Every invite, newest first."""
        now_ms = _now_ms()
        rows = [
            {
                "invite": row.id,
                "leader": row.leader,
                "follower": row.follower,
                "state": row.state(now_ms),
                "uses": f"{row.uses}/{row.uses_max}",
                "until": _day(row.expires_ms),
                "note": row.note,
            }
            for row in self.registry.invites()
        ]
        return table(rows, "no invites; `relay invite create` makes one")

    def revoke_invite(self, invite_id: str) -> Told:
        """Nobody joins with it any more."""
        self._changing(lambda: self.registry.revoke_invite(invite_id, _now_ms()))
        return self._done(f"invite {invite_id} is revoked")

    def list_leaders(self) -> Told:
        """Leaders in force, those of the configuration included."""
        followers = self.registry.followers()
        granted = [name for one in followers for name in one.leaders]
        granted += [name for one in self.settings.followers for name in one.leaders]
        fixed = [(one.id, one.signing_key, "") for one in self.settings.leaders]
        known = {name for name, _, _ in fixed}
        kept = [(one.id, one.signing_key, _day(one.since_ms)) for one in self.registry.leaders()]
        rows = [
            {"leader": name, "public_key": key, "followers": granted.count(name), "since": since}
            | self._profile(name, key)
            for name, key, since in [*fixed, *(row for row in kept if row[0] not in known)]
        ]
        return table(rows, "no leaders; `relay init leader` or `relay leaders add` makes one")

    def _profile(self, leader_id: str, public_key: str) -> dict[str, Any]:
        """What he says of himself, and his score; empty where he says nothing that he has signed."""
        document = self.registry.profile(leader_id)
        try:
            found = open_profile((document or "").encode(), public_key, leader_id)
        except ProtocolError:
            return {"leverage": "", "slippage": "", "profile": ""}
        leverage, text = found.profile.recommended_leverage, found.profile.text
        return {"leverage": leverage or "", "slippage": found.score_text, "profile": text}

    def add_leader(self, leader_id: str, nkey: str, signing_key: str) -> Told:
        """A leader who runs elsewhere, by his public keys."""
        if not is_public_nkey(nkey):
            raise ConfigurationError(["--nkey: allowed: a user's public nkey (U..., from `relay keys nkey`)"])
        if len(signing_key) != 64 or signing_key.strip("0123456789abcdef"):
            raise ConfigurationError(["--signing-key: allowed: 64 hex digits (from `relay keys signing`)"])
        self._changing(lambda: self.registry.add_leader(leader_id, nkey, signing_key, {}, _now_ms()))
        return self._done(f"leader {leader_id} may publish")

    def remove_leader(self, leader_id: str) -> Told:
        """He publishes no more; his followers hear him no more."""
        self._changing(lambda: self.registry.remove_leader(leader_id, _now_ms()))
        return self._done(f"leader {leader_id} is removed")

    def list_evidence(self) -> Told:
        """Contradictions of leaders that the running relay has found and kept."""
        rows = [
            {"file": str(file), "proves": proves}
            for file, proves in kept_evidence(self.settings.registry_path.parent)
        ]
        return table(rows, "no leader has contradicted himself here")

    def list_followers(self, leader: str | None = None) -> Told:
        """Followers in force, those of the configuration included."""
        fixed = [(one.id, tuple(one.leaders), "") for one in self.settings.followers]
        known = {name for name, _, _ in fixed}
        kept = [(one.id, one.leaders, _day(one.since_ms)) for one in self.registry.followers()]
        rows = [
            {"follower": name, "leaders": list(leaders), "since": since}
            for name, leaders, since in [*fixed, *(row for row in kept if row[0] not in known)]
            if leader is None or leader in leaders
        ]
        return table(rows, "no followers yet; `relay invite create` makes a token for one")

    def remove_follower(self, follower: str, leader: str | None) -> Told:
        """End one grant, or all of a follower's."""
        leaders = next((one.leaders for one in self.registry.followers() if one.id == follower), ())
        wanted = [name for name in leaders if leader in (None, name)]
        if not wanted:
            raise Failed(f"follower {follower}: follows nobody here{f' called {leader}' if leader else ''}")
        for name in wanted:
            self._changing(partial(self.registry.revoke, name, follower, _now_ms(), by="leader"))
        return self._done(f"{follower} no longer follows {', '.join(wanted)}")

    def history(self, count: int) -> Told:
        """The registry's log, oldest first."""
        rows = [
            {"at": moment(row.at_ms), "what": row.what, "who": row.who, "detail": row.detail}
            for row in self.registry.log(count)
        ]
        return table(rows, "nothing has happened yet")

    def _leader(self, name: str | None) -> Leader:
        leaders = {leader.id: leader for leader in self.registry.leaders()}
        if name is None and len(leaders) == 1:
            return next(iter(leaders.values()))
        if name is None or name not in leaders:
            allowed = ", ".join(leaders) or "none yet (`relay init leader`, `relay leaders add`)"
            raise ConfigurationError([f"--leader: was {name!r}, allowed: {allowed}"])
        return leaders[name]

    def _public_urls(self) -> list[str]:
        broker = self.settings.broker
        if broker.public_url is not None:
            return [broker.public_url]
        if broker.url:
            return list(broker.url[:URLS_MAX])
        host, port = broker.host_port
        if not port:
            port = running_port(broker.data_dir)
        return [f"{'tls' if broker.tls else 'nats'}://{host}:{port}"]

    def _ca_pem(self) -> str | None:
        broker = self.settings.broker
        own = broker.tls.ca if broker.tls is not None else None
        path = broker.ca_file if broker.url else own
        if path is None:
            return None
        try:
            return path.read_text("ascii")
        except (OSError, UnicodeDecodeError):
            line = f"broker: the authority's certificate cannot be read ({path})"
            raise ConfigurationError([line]) from None

    def _changing(self, change: Callable[[], None]) -> None:
        try:
            change()
        except Refused as error:
            raise Failed(str(error)) from None

    def _done(self, text: str) -> Told:
        return Told(text + self._wait_until_in_force(), {"done": text})

    def _wait_until_in_force(self) -> str:
        """Empty once the running relay works by what was changed; else why it does not."""
        if not is_running(self.settings.broker.data_dir):
            return " (relay serve is not running; it will know when it starts)"
        wanted, deadline = self.registry.revision, time.monotonic() + IN_FORCE_TIMEOUT_S
        while self.registry.applied < wanted:
            if time.monotonic() > deadline:
                return " (the running relay has not taken it over yet: see its log)"
            time.sleep(_POLL_S)
        return ""


_HINTS = ("exchange", "rest_url", "ws_url")


def is_running(data_dir: Path) -> bool:
    """Whether a relay holds this broker's folder."""
    try:
        with (data_dir / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def running_port(data_dir: Path) -> int:
    """The port of the embedded broker that runs in this folder. Raises `Failed` if none does."""
    for path in data_dir.glob("*.ports"):
        try:
            return int(json.loads(path.read_text())["nats"][0].rpartition(":")[2])
        except (OSError, ValueError, LookupError):
            continue
    raise Failed("broker.listen: port 0 is any free one, and no relay runs: start `relay serve` first")


def examine_evidence(file: Path) -> str:
    """What a document proves. Raises `Failed` if that is nothing."""
    try:
        return proven(file.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError([f"FILE: cannot be read ({file})"]) from None
    except ProtocolError as error:
        raise Failed(str(error)) from None


@contextmanager
def opened(config: Path) -> Iterator[Relay]:
    """The relay of a settings file. Raises `ConfigurationError`, `Failed`."""
    settings = load_serve(config)
    registry = Registry.open(settings.registry_path)
    try:
        yield Relay(settings, registry)
    finally:
        registry.close()


def table(rows: Sequence[dict[str, Any]], nothing: str) -> Told:
    """Rows in columns, named by the first; `nothing` is what to say of none."""
    if not rows:
        return Told("", [], nothing)
    columns = list(rows[0])
    texts = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[at]) for line in texts)) for at, column in enumerate(columns)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [columns, *texts]
    ]
    return Told("\n".join(lines), list(rows))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _uses(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _day(ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(ms / 1000))


def moment(ms: int) -> str:
    """A wall time to the second, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
