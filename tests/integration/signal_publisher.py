"""A leader's publisher for tests: real signatures, chain and fence; what he trades is up to the test."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from decimal import Decimal

from nacl.signing import SigningKey

from relay.nats_bus import Bus, BusError
from relay.protocol import subjects
from relay.protocol.codec import encode_payload, kind_of
from relay.protocol.messages import (
    Heartbeat,
    MarketState,
    Notice,
    PositionState,
    Signal,
    Snapshot,
    StaggerPlan,
)
from relay.protocol.signing import GENESIS_HASH, open_envelope, seal

__all__ = ["BTC", "EPOCH", "LEADER", "Publisher", "now_ms"]

BTC = "BTC/USDT:USDT"
LEADER = "lead"
EPOCH = 7


def now_ms() -> int:
    return time.time_ns() // 1_000_000


ATTEMPTS_MAX = 1_000  # of a patient one: more than a minute


class Publisher:
    """A leader's publisher: signs, chains, publishes behind the fence, beats."""

    def __init__(self, bus: Bus, key: SigningKey, price: Decimal) -> None:
        self.bus = bus
        self.key = key
        self.price = price
        self.seq = 0
        self.hash = GENESIS_HASH
        self.qty = Decimal(0)
        self.signals: list[int] = []
        self.beating: asyncio.Task[None] | None = None
        self.last_wire = b""

    async def replay(self, wire: bytes) -> None:
        """The very same bytes once more, as if they were the next message."""
        self.seq += 1
        await self.bus.publish_signal(LEADER, wire, self.seq - 1, f"again.{self.seq}")

    async def start(self) -> None:
        await self.send(Notice(notice="started", text="", sealed_ms=now_ms()))
        self.beating = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        if self.beating is not None:
            self.beating.cancel()
            await asyncio.gather(self.beating, return_exceptions=True)
        await self.bus.close()

    async def send(self, message: Signal | Notice | Snapshot) -> int:
        seq = self.seq + 1
        wire = seal(
            self.key,
            kind=kind_of(message),
            leader_id=LEADER,
            epoch=EPOCH,
            seq=seq,
            prev_hash=self.hash,
            payload=encode_payload(message),
        )
        await self.bus.publish_signal(LEADER, wire, self.seq, f"{LEADER}.{EPOCH}.{seq}")
        self.last_wire = wire
        self.seq, self.hash = seq, open_envelope(wire, self.key.verify_key, LEADER).chain_hash
        return seq

    async def trade(
        self,
        after: str,
        *,
        equity: str = "100000",
        leverage: str = "6",
        expires_ms: int = 60_000,
        price: Decimal | None = None,
        stagger: StaggerPlan | None = None,
        patient: bool = False,
        symbol: str = BTC,
        age_ms: int = 0,
    ) -> int:
        """The leader's position goes to `after`; returns the signal's seq. `patient` waits for the broker."""
        at = price or self.price
        step = Decimal(after) - self.qty
        self.qty = Decimal(after)
        exposure = (self.qty * at / Decimal(equity)).quantize(Decimal("1E-9"))
        text = str(at)
        signal = Signal(
            signal_id=f"{LEADER}.{EPOCH}.{self.seq + 1}",
            cause="trade",
            symbol=symbol,
            side="buy" if step > 0 else "sell",
            qty=str(abs(step)),
            price=text,
            fill_ids=[f"f{self.seq + 1}"],
            position=PositionState(
                symbol=symbol, qty=after, entry_price=text, exposure=format(exposure, "f"), leverage="10"
            ),
            equity=equity,
            account_leverage=leverage,
            market=MarketState(mark=text, index=text, last=text, bid=text, ask=text),
            leader_exec_ms=now_ms() - 2,
            seen_ms=now_ms() - 1,
            sealed_ms=now_ms() - age_ms,
            expires_ms=expires_ms,
            stagger=stagger or StaggerPlan(),
        )
        for attempt in range(ATTEMPTS_MAX if patient else 1):
            try:
                seq = await self.send(signal)
                break
            except BusError:
                if attempt == ATTEMPTS_MAX - 1 or not patient:
                    raise
                await asyncio.sleep(0.1)
        self.signals.append(seq)
        return seq

    async def list_positions(self, *, equity: str = "100000", leverage: str = "6") -> int:
        """A snapshot of the one position there is; returns its seq."""
        exposure = (self.qty * self.price / Decimal(equity)).quantize(Decimal("1E-9"))
        held = PositionState(
            symbol=BTC,
            qty=str(self.qty),
            entry_price=str(self.price),
            exposure=format(exposure, "f"),
            leverage="10",
        )
        whole = Snapshot(positions=[held], equity=equity, account_leverage=leverage, sealed_ms=now_ms())
        return await self.send(whole)

    async def _beat(self) -> None:
        while True:
            payload = encode_payload(
                Heartbeat(
                    head_seq=self.seq,
                    head_hash=self.hash,
                    mode="live",
                    program_version="test",
                    sent_ms=now_ms(),
                )
            )
            wire = seal(
                self.key,
                kind="heartbeat",
                leader_id=LEADER,
                epoch=EPOCH,
                seq=self.seq,
                prev_hash=self.hash,
                payload=payload,
            )
            with suppress(Exception):
                await self.bus.publish(subjects.beat(LEADER), wire)
            await asyncio.sleep(0.25)
