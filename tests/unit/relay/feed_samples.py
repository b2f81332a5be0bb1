"""Messages of one leader for tests: a key from a fixed seed, a chain of any length, frames made by hand."""

from __future__ import annotations

import json
from typing import Any

from nacl.signing import SigningKey

from relay.protocol.codec import Message, encode_payload, kind_of
from relay.protocol.messages import Heartbeat, MarketState, Notice, PositionState, Signal, Snapshot
from relay.protocol.signing import GENESIS_HASH, Sealed, seal_chained

KEY = SigningKey(b"\x07" * 32)
PUBLIC = bytes(KEY.verify_key).hex()
OTHER_KEY = SigningKey(b"\x08" * 32)
EPOCH = 7


def signal(message_id: str, *, qty: str = "0.5", price: str = "100000.5") -> Signal:
    return Signal(
        signal_id=message_id,
        cause="trade",
        symbol="BTC/USDT:USDT",
        side="buy",
        qty=qty,
        price=price,
        fill_ids=["f1"],
        position=PositionState(
            symbol="BTC/USDT:USDT", qty="-0.5", entry_price="100000.5", exposure="-0.25", leverage="10"
        ),
        equity="200000",
        account_leverage="0.25",
        market=MarketState(mark="100000", index="100001", last="99999.5", bid="99999", ask="100000"),
        leader_exec_ms=1_700_000_000_000,
        seen_ms=1_700_000_000_004,
        sealed_ms=1_700_000_000_005,
        expires_ms=5000,
    )


def notice(kind: Any = "started") -> Notice:
    return Notice(notice=kind, text="", sealed_ms=1)


def snapshot() -> Snapshot:
    return Snapshot(positions=[], equity="1", account_leverage="0", sealed_ms=1)


def sealed(
    message: Message,
    seq: int,
    prev_hash: str,
    *,
    epoch: int = EPOCH,
    key: SigningKey = KEY,
    leader: str = "alice",
) -> Sealed:
    return seal_chained(
        key,
        kind=kind_of(message),
        leader_id=leader,
        epoch=epoch,
        seq=seq,
        prev_hash=prev_hash,
        payload=encode_payload(message),
    )


class Chain:
    """A leader who says things one after the other; `wires[n]` is the frame with seq n + 1."""

    def __init__(self, epoch: int = EPOCH) -> None:
        self.epoch = epoch
        self.wires: list[bytes] = []
        self.hashes: list[str] = [GENESIS_HASH]

    @property
    def seq(self) -> int:
        return len(self.wires)

    def say(self, message: Message | None = None) -> bytes:
        """Append a message (a signal by default)."""
        said = message or signal(f"alice.{self.epoch}.{self.seq + 1}")
        frame = sealed(said, self.seq + 1, self.hashes[-1], epoch=self.epoch)
        self.wires.append(frame.wire)
        self.hashes.append(frame.chain_hash)
        return frame.wire

    def beat(self, *, seq: int | None = None, sent_ms: int = 1, head_hash: str | None = None) -> bytes:
        """A heartbeat for a head, the newest by default."""
        head = self.seq if seq is None else seq
        hash_ = head_hash or self.hashes[head]
        message = Heartbeat(head_seq=head, head_hash=hash_, mode="live", program_version="1", sent_ms=sent_ms)
        return sealed(message, head, hash_, epoch=self.epoch).wire


def chain_of(count: int) -> Chain:
    """A start and `count - 1` signals."""
    chain = Chain()
    chain.say(notice())
    for _ in range(count - 1):
        chain.say()
    return chain


def split(wire: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload of a frame."""
    line, _, payload = wire.partition(b"\n")
    header: dict[str, Any] = json.loads(line)
    return header, payload


def join(header: dict[str, Any], payload: bytes) -> bytes:
    """A frame with a changed header, compact as the wire wants it."""
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + payload
