"""What a leader's own stream says to a publisher whose files were lost, or are older than it.

Belongs here: looks at stored frames: whose the head is, whether the key was revoked, for whom the feed is
sealed, what was told. Does not belong here: reading them (`nats_bus`), what follows (`publisher`, `group`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from nacl.signing import SigningKey

from relay.core.account import Account, Leg, Position, hedged
from relay.errors import Failed
from relay.keys import public_key_hex, ring_of
from relay.outbox import Head
from relay.protocol.codec import Message, decode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.groups import SEALED_KINDS, Place, group_epoch_of, open_payload
from relay.protocol.messages import AccountChange, KeyLink, Notice, PositionState, Signal, Snapshot
from relay.protocol.signing import Envelope, open_with

__all__ = ["RECALLED_MAX", "REVOKED", "Recalled", "Told", "head_to_adopt", "recall", "sealed_for"]

RECALLED_MAX: Final = 5_000  # messages: many times what fills are read back over at a start
REVOKED = "leader.signing_key_file: this key is revoked; a new one needs a new outbox and new invites"


@dataclass(frozen=True, slots=True)
class Told:
    """A fill or a change of the wallet that was told; the time is that of its message's newest."""

    event_id: str
    exec_ms: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a stream's newest messages have told."""

    account: Account | None  # after the last of them, equity as its wallet; None: they do not say all of it
    events: list[Told]
    since_ms: int  # when the first of them was sealed
    is_paused: bool


def head_to_adopt(wire: bytes, leader_id: str, key: SigningKey, links: Sequence[KeyLink]) -> Head:
    """Where a publisher without an outbox goes on. Raises `Failed` unless the newest message is the leader's
    own and his key still speaks.
    """
    ring = ring_of(leader_id, key, links)
    if ring.public_key != public_key_hex(key):
        raise Failed("leader.signing_key_file: it was passed on to another key; bring back the newest copy")
    try:
        envelope = open_with(wire, ring.choose, leader_id)
        notice = _notice(envelope)
    except ProtocolError as error:
        problem = f"leader.signing_key_file: the stream's head is not signed by it ({error})"
        raise Failed(problem) from None
    if notice is not None and notice.notice == "key_revoked":
        raise Failed(REVOKED)
    return Head(envelope.seq, envelope.chain_hash, envelope.epoch)


@dataclass(frozen=True, slots=True)
class Lost:
    """What a leader says he has lost and has no copy of: only then may his publisher begin it anew."""

    outbox: bool = False
    group: bool = False


def sealed_for(
    rows: Sequence[tuple[int, bytes]], leader_id: str, key: SigningKey, links: Sequence[KeyLink]
) -> int | None:
    """The group epoch that the newest of these frames tells of, 0 for a feed in clear; None if none of them
    tells. Frames that are not the leader's tell nothing.
    """
    ring = ring_of(leader_id, key, links)
    for _, wire in reversed(rows):
        try:
            envelope = open_with(wire, ring.choose, leader_id)
            notice = _notice(envelope)
        except ProtocolError:
            continue
        if envelope.kind in SEALED_KINDS:
            return group_epoch_of(envelope.payload) or 0
        if notice is not None and notice.notice == "group_epoch":
            return notice.group_epoch or 0
    return None


def recall(
    rows: Sequence[tuple[int, bytes]],
    leader_id: str,
    key: SigningKey,
    links: Sequence[KeyLink],
    group_keys: Mapping[int, bytes],
) -> Recalled:
    """What these frames, oldest first, have told; `group_keys`, by epoch, open those that are sealed."""
    ring, events, is_paused, since_ms = ring_of(leader_id, key, links), list[Told](), False, 0
    held: dict[str, PositionState] | None = {} if rows and rows[0][0] == 1 else None
    equity: str | None = None
    for _, wire in rows:
        try:
            envelope = open_with(wire, ring.choose, leader_id)
            message = _message(envelope, group_keys)
        except ProtocolError:
            held = None  # whatever it was: the next complete list has it
            continue
        since_ms = since_ms or getattr(message, "sealed_ms", 0)
        if isinstance(message, Notice):
            is_paused = message.notice == "paused" or (is_paused and message.notice != "resumed")
        elif isinstance(message, Signal):
            events += [Told(name, message.leader_exec_ms) for name in message.fill_ids]
            if held is not None:
                held[message.symbol] = message.position
            equity = message.equity
        elif isinstance(message, AccountChange | Snapshot):
            if isinstance(message, AccountChange):
                events += [Told(name, message.leader_exec_ms) for name in message.event_ids]
            held, equity = {state.symbol: state for state in message.positions}, message.equity
    account = None
    if held is not None and equity is not None:
        account = Account(Decimal(equity), {name: _position(state) for name, state in held.items()})
    return Recalled(account, events, since_ms, is_paused)


def _message(envelope: Envelope, group_keys: Mapping[int, bytes]) -> Message:
    """Raises `ProtocolError` for what cannot be read."""
    payload, epoch = envelope.payload, group_epoch_of(envelope.payload)
    if epoch is not None and epoch in group_keys:
        place = Place(envelope.leader_id, envelope.epoch, envelope.seq, envelope.kind)
        payload = open_payload(group_keys[epoch], place, payload)
    return decode_payload(envelope.kind, payload)


def _position(state: PositionState) -> Position:
    """Quantities and entries: what is resumed from."""
    legs = {leg.side: Leg(Decimal(leg.qty), Decimal(leg.entry_price)) for leg in state.legs}
    if state.position_mode == "hedge":
        return hedged(Position(long=legs.get("long", Leg()), short=legs.get("short", Leg())))
    return Position(Decimal(state.qty), Decimal(state.entry_price))


def _notice(envelope: Envelope) -> Notice | None:
    if envelope.kind != "notice":
        return None
    message = decode_payload(envelope.kind, envelope.payload)
    return message if isinstance(message, Notice) else None
