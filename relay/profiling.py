"""The leader's profile on its way to the relay: once at each start of his publisher.

Belongs here: making it from the settings, handing it in. Does not belong here: its form
(`relay.protocol.profile`), what becomes of it (`relay.admission`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
from nacl.signing import SigningKey

from relay.errors import ConfigurationError
from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import KeyLink
from relay.protocol.profile import Profile, ProfileAnswer, open_profile, sign_profile
from relay.settings import PublishSettings

__all__ = ["make_profile", "publish_profile"]

_log = structlog.get_logger(__name__)


class _Statement(msgspec.Struct):
    """What of a statement's file is published: the rows below it are for who asks."""

    statement: str


def make_profile(settings: PublishSettings, key: SigningKey, links: Sequence[KeyLink], now_ms: int) -> bytes:
    """The signed document. Raises `ConfigurationError` if the statement is none, or somebody else's."""
    own = settings.profile
    profile = Profile(
        leader_id=settings.leader.id,
        issued_ms=now_ms,
        text=own.text,
        recommended_leverage=own.recommended_leverage,
        exchange=settings.venue.exchange,
        symbols=list(settings.signals.symbols),
        statement=None if own.statement_file is None else _statement_in(own.statement_file),
        keys=list(links),
    )
    try:
        document = sign_profile(key, profile)
        first = links[0].old_key if links else bytes(key.verify_key).hex()
        opened = open_profile(document, first, settings.leader.id)
    except ProtocolError as error:
        raise ConfigurationError([f"profile: {error}"]) from None
    if profile.statement is not None and opened.score is None:
        raise ConfigurationError([f"profile.statement_file: not signed by {settings.leader.id}"])
    return document


async def _hand_in(bus: Bus, leader_id: str, document: bytes) -> None:
    """Give it to the relay. A relay that does not take it is no reason not to publish."""
    try:
        answer = await bus.request(subjects.profile(leader_id), document)
        error = msgspec.json.decode(answer.data, type=ProfileAnswer).error
    except (BusError, msgspec.MsgspecError) as problem:
        error = str(problem)
    if error:
        _log.warning("profile_not_published", leader_id=leader_id, reason=error)


async def publish_profile(
    settings: PublishSettings, key: SigningKey, links: Sequence[KeyLink], bus: Bus, now_ms: int
) -> None:
    """Make it and give it to the relay."""
    document = await asyncio.to_thread(make_profile, settings, key, links, now_ms)
    await _hand_in(bus, settings.leader.id, document)


def _statement_in(path: Path) -> str:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Statement).statement
    except (OSError, msgspec.MsgspecError):
        line = f"profile.statement_file: cannot be read, allowed: a file of `relay statement sign` ({path})"
        raise ConfigurationError([line]) from None
