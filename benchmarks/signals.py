"""A typical signal, and the broker that the benchmarks of the feed share.

Belongs here: one leader, one follower, one plain stream beside the leader's for the baselines. Does not
belong here: timing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client

from relay.broker import Broker
from relay.broker_config import ADMIN, FollowerUser, LeaderUser
from relay.keys import create_nkey, create_signing_key, load_nkey_seed
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.protocol.messages import MarketState, PositionState, Signal

__all__ = ["FOLLOWER", "LEADER", "LEADERS", "PLAIN_FEED", "PLAIN_SUBJECT", "SYMBOL", "Room", "build_signal"]

LEADER, FOLLOWER = "alice", "bob"
LEADERS = (LEADER, *(f"leader{number}" for number in range(2, 9)))  # eight, as at a busy relay
SYMBOL = "BTC/USDT:USDT"
PLAIN_STREAM, PLAIN_SUBJECT, PLAIN_FEED = "PLAIN", "plain.signals", "plain.feed"


def build_signal(signal_id: str, now_ms: int) -> Signal:
    """One entry of a leader who was flat."""
    price = "100000"
    return Signal(
        signal_id=signal_id,
        cause="trade",
        symbol=SYMBOL,
        side="buy",
        qty="0.5",
        price=price,
        fill_ids=["51800000-0000-4000-8000-000000000001"],
        position=PositionState(symbol=SYMBOL, qty="0.5", entry_price=price, exposure="0.5", leverage="10"),
        equity=price,
        account_leverage="0.5",
        market=MarketState(mark=price, index=price, last=price, bid="99999.9", ask="100000.1"),
        leader_exec_ms=now_ms,
        seen_ms=now_ms,
        sealed_ms=now_ms,
        expires_ms=3000,
    )


@dataclass(frozen=True, slots=True)
class Room:
    """The keys' folder and the broker's address: what a process needs to take part."""

    folder: Path
    url: str

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, more_followers: Sequence[str] = ()) -> AsyncIterator[Room]:
        """Start the broker, as `relay serve` does, and make the plain stream; ended when the block ends."""
        create_signing_key(folder / "signing")
        leaders = [LeaderUser(name, create_nkey(folder / f"{name}.nk")) for name in LEADERS]
        follower = FollowerUser(FOLLOWER, create_nkey(folder / f"{FOLLOWER}.nk"), LEADERS)
        more = [FollowerUser(name, create_nkey(folder / f"{name}.nk"), (LEADER,)) for name in more_followers]
        broker = Broker(folder / "broker", leaders, [follower, *more])
        await broker.start()
        try:
            admin = await broker.connect(ADMIN)
            stream = {
                "name": PLAIN_STREAM,
                "subjects": [PLAIN_SUBJECT],
                "storage": "file",
                "republish": {"src": PLAIN_SUBJECT, "dest": PLAIN_FEED},
            }
            await admin.api(f"$JS.API.STREAM.CREATE.{PLAIN_STREAM}", stream)
            await admin.close()
            yield cls(folder, broker.url)
        finally:
            await broker.stop()

    async def bus(self, name: str) -> Bus:
        """A connection as the leader or the follower."""
        seed = load_nkey_seed(self.folder / f"{name}.nk")
        return await Bus.connect(self.url, seed, subjects.inbox_prefix(name), name)

    async def plain_client(self) -> Client:
        """The bare client library, inside the account that owns the streams: no imports, no permissions."""
        seed = load_nkey_seed(self.folder / "broker" / f"{ADMIN}.nk")
        return await nats.connect(self.url, nkeys_seed_str=seed)
