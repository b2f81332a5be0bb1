"""Becoming a follower with one token, and telling the relay that one has left.

Belongs here: keys, the one question to the relay, the files that follow from its answer. Does not belong
here: the token's form (`relay.protocol.invite`), settings themselves (`settings`).

Keys are made here and stay here; only their public halves travel. Nothing is written before the relay has
said yes, but the keys: asking again with the same token finds the same answer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import nkeys
from nacl.public import PrivateKey

from follower_client.errors import ConfigurationError, FollowerError, TryAgainError
from follower_client.reading import load_settings, read_secret
from follower_client.settings import FollowerSettings
from follower_client.template import template
from relay.nats_bus import Bus, BusError, BusMessage, NobodyAnswers
from relay.protocol import subjects
from relay.protocol.errors import ProtocolError
from relay.protocol.invite import Invite, decode_join_answer, encode_join_request, parse_invite
from relay.protocol.profile import OpenProfile, open_profile

__all__ = ["Joined", "join", "read_invite", "request_leave", "run_join"]

NKEY_FILE, BOX_FILE, CA_FILE, CONFIG_FILE = "follower.nkey", "follower.box", "broker.pem", "follower.toml"
PROFILE_FILE = "leader.profile"  # as he signed it
REQUEST_LIMIT_S = 15.0
START_WAIT_S = 10.0
START_LOOK_S = 0.25
DEFAULT_VENUE = ("https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com")


@dataclass(frozen=True, slots=True)
class Joined:
    """What was made."""

    follower_id: str
    leader_id: str
    config: Path
    profile: OpenProfile | None = None  # what the leader says of himself, signed by the pinned key

    @property
    def said(self) -> list[str]:
        """The profile for people."""
        if self.profile is None:
            return []
        said, score = self.profile.profile, self.profile.score_text
        words = f": {said.text}" if said.text else ""
        lines = [f"{said.leader_id} trades {', '.join(said.symbols)} at {said.exchange}{words}"]
        if said.recommended_leverage is not None:
            lines.append(f"{said.leader_id} recommends a leverage of {said.recommended_leverage}x")
        lines.append(f"what copying cost his followers: {score or 'no signed statement'}")
        return lines


def read_invite(token: str) -> Invite:
    """A token that is still good. Raises `ConfigurationError`; its text never has the token."""
    try:
        invite = parse_invite(token)
    except ProtocolError as error:
        raise ConfigurationError([f"join: {error}"]) from None
    if invite.expires_ms < time.time_ns() // 1_000_000:
        raise ConfigurationError(["join: the invite has run out, allowed: ask the leader for a new one"])
    return invite


async def join(invite: Invite, follower_id: str, folder: Path) -> Joined:
    """Ask, then write keys, pinned leader and a paper configuration into the folder. An existing
    configuration is not touched. Raises `FollowerError`.
    """
    config = _prepared(folder)
    seed = _kept(folder / NKEY_FILE, _new_nkey)
    box = PrivateKey(bytes.fromhex(_kept(folder / BOX_FILE, lambda: PrivateKey.generate().encode().hex())))
    try:
        raw = encode_join_request(
            invite,
            follower_id=follower_id,
            nkey_seed=seed,
            box_key=box.public_key.encode().hex(),
            program_version=_version(),
        )
    except ProtocolError as error:
        raise ConfigurationError([f"join: {error}"]) from None
    url, answer = await _ask(invite, raw)
    try:
        found = decode_join_answer(answer)
    except ProtocolError as error:
        raise TryAgainError(f"join: the relay's answer cannot be read ({error})") from None
    if found.error:
        kind = TryAgainError if found.error == "try_again" else FollowerError
        raise kind(f"join: {found.error}: {found.detail}")
    if invite.ca_pem is not None:
        _write(folder / CA_FILE, invite.ca_pem)
    _write(config, _configuration(invite, found.follower_id, url))
    load_settings(config)  # what was written can be read
    profile = _profile(invite, found.profile)
    if profile is not None and found.profile is not None:
        _write(folder / PROFILE_FILE, found.profile)
    return Joined(found.follower_id, invite.leader_id, config, profile)


def _profile(invite: Invite, document: str | None) -> OpenProfile | None:
    """What the leader himself says of himself; None for what anybody else says of him."""
    if document is None:
        return None
    try:
        return open_profile(document.encode(), invite.leader_key, invite.leader_id)
    except ProtocolError:
        return None


def _prepared(folder: Path) -> Path:
    config = folder / CONFIG_FILE
    if config.exists():
        raise FollowerError(f"{config}: exists already, allowed: an empty folder (--dir)")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FollowerError(f"{folder}: cannot be made ({error.strerror})") from None
    return config


async def _ask(invite: Invite, raw: bytes) -> tuple[str, bytes]:
    """(address that answered, answer). Every address of the invite is tried once."""
    reasons = []
    for url in invite.urls:
        try:
            bus = await Bus.connect(
                url,
                invite.seed,
                subjects.inbox_prefix(invite.invite_id),
                "follower-client join",
                ca_pem=invite.ca_pem,
            )
        except BusError as error:
            reasons.append(str(error))
            continue
        try:
            answer = await _request(bus, subjects.join(invite.invite_id), raw)
        except BusError as error:
            reasons.append(str(error))
        else:
            return url, answer.data
        finally:
            await bus.close()
    raise TryAgainError(f"join: {'; '.join(reasons)}")


async def _request(bus: Bus, subject: str, raw: bytes) -> BusMessage:
    """The relay's answer. A relay that starts lets its broker answer a moment before itself, so that nobody
    being there is asked again for a while.
    """
    deadline = time.monotonic() + START_WAIT_S
    while True:
        try:
            return await bus.request(subject, raw, timeout_s=REQUEST_LIMIT_S)
        except NobodyAnswers:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(START_LOOK_S)


async def request_leave(settings: FollowerSettings, leader_id: str) -> bool:
    """Tell the relay; whether it has taken the follower off that leader's list."""
    seed = read_secret(None, settings.broker.nkey_seed_file, "broker.nkey_seed_file")
    name = settings.follower.id
    try:
        bus = await Bus.connect(
            settings.broker.url,
            seed,
            subjects.inbox_prefix(name),
            "follower-client leave",
            ca_pem=settings.broker.ca_pem(),
        )
    except BusError:
        return False
    try:
        subject = subjects.leave(leader_id, name)
        answer = decode_join_answer((await bus.request(subject, b"{}", timeout_s=REQUEST_LIMIT_S)).data)
    except (BusError, ProtocolError):
        return False
    finally:
        await bus.close()
    return not answer.error


def _configuration(invite: Invite, follower_id: str, url: str) -> str:
    venue = invite.venue
    rest, stream = DEFAULT_VENUE
    if venue is not None and venue.rest_url and venue.ws_url:
        rest, stream = venue.rest_url, venue.ws_url
    values: dict[str, object] = {
        "follower.id": follower_id,
        "follower.data_dir": "data",
        "leader.id": invite.leader_id,
        "leader.public_key": invite.leader_key,
        "leader.box_key_file": BOX_FILE,
        "broker.url": url,
        "broker.nkey_seed_file": NKEY_FILE,
        "venue.rest_url": rest,
        "venue.ws_url": stream,
    }
    if invite.ca_pem is not None:
        values["broker.ca_file"] = CA_FILE
    if invite.symbols:
        values["policy.symbols"] = list(invite.symbols)
    return template(paper=True, values=values)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """A secret of the folder: the one that is there, else a new one."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        secret = make()
        _write(path, secret)
        return secret
    except (OSError, UnicodeDecodeError) as error:
        raise FollowerError(f"{path}: cannot be read ({type(error).__name__})") from None


def _write(path: Path, text: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise FollowerError(f"{path}: cannot be written ({error.strerror})") from None


def _new_nkey() -> str:
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def _version() -> str:
    try:
        return metadata.version("slipstream")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def run_join(token: str, follower_id: str, folder: Path) -> Joined:
    """`join` for a program without a loop."""
    return asyncio.run(join(read_invite(token), follower_id, folder))
