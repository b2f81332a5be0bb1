"""Engines and commands for the tests of the native module. No tests here."""

from __future__ import annotations

import json
import struct
from typing import Any

from simulated_exchange._engine import (
    COMMAND_BYTES,
    SCALE,
    Engine,
    Event,
    OrderType,
    Outcome,
    Side,
    TimeInForce,
)

__all__ = ["ALICE", "BOB", "BTC", "ETH", "START_MS", "Desk", "contract", "genesis", "record"]

ALICE, BOB = 1000, 1001
BTC, ETH = 0, 1
START_MS = 1_700_000_000_000
PRICE = 50_000


def contract(symbol: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    """A contract as the instrument files describe it."""
    return {
        "symbol": symbol,
        "base": symbol.removesuffix("USDT"),
        "quote": "USDT",
        "tick_size": "0.1",
        "qty_step": "0.001",
        "min_qty": "0.001",
        "max_qty": "100",
        "max_market_qty": "50",
        "min_notional": "5",
        "tiers": [
            {"limit": "2000000", "max_leverage": "100", "mmr": "0.005"},
            {"limit": "10000000", "max_leverage": "50", "mmr": "0.01"},
        ],
        "taker_fee": "0.00055",
        "maker_fee": "0.0002",
        "price_band_x": "0.1",
        "price_band_y": "0.2",
        "index_sources": [{"name": "spot", "weight": "1"}],
        "index_stale_ms": 60_000,
        "index_clamp": "0.03",
        "basis_window_ms": 300_000,
        **changes,
    }


def genesis(*contracts: dict[str, Any], insurance_fund: str = "1000") -> str:
    """A genesis text; BTCUSDT and ETHUSDT unless told otherwise."""
    listed = list(contracts) or [contract(), contract("ETHUSDT")]
    return json.dumps({"instruments": listed, "insurance_fund": insurance_fund})


class Desk:
    """An engine with a clock of its own, two funded accounts and an index, and short ways to trade on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.market_ms = max(START_MS, engine.market_ms())

    @classmethod
    def opened(cls, engine: Engine | None = None) -> Desk:
        desk = cls(engine or Engine.create(genesis(), None, "none"))
        for account in (ALICE, BOB):
            desk.accepted(desk.engine.create_account(*desk.now(), account))
            desk.accepted(desk.engine.deposit(*desk.now(), account, 0, 100_000 * SCALE))
        for instrument in (BTC, ETH):
            desk.accepted(
                desk.engine.set_index_source(
                    *desk.now(), instrument=instrument, source=0, price=PRICE * SCALE
                )
            )
        return desk

    def now(self) -> tuple[int, int]:
        """Both clocks, a millisecond later with every command."""
        self.market_ms += 1
        return self.market_ms, self.market_ms * 1000

    def place(self, account: int, side: Side, qty: str, price: str | None = None, **changes: Any) -> Outcome:
        """An order for BTCUSDT; without a price a market order."""
        arguments: dict[str, Any] = {
            "instrument": BTC,
            "order_type": OrderType.Market if price is None else OrderType.Limit,
            "time_in_force": TimeInForce.GoodTillCancel,
            "reduce_only": False,
            "link_id": "",
            **changes,
        }
        return self.engine.place_order(
            *self.now(), account=account, side=side, qty=units(qty), price=units(price or "0"), **arguments
        )

    @staticmethod
    def accepted(outcome: Outcome) -> list[Event]:
        """The events of a command that must not have been refused."""
        assert outcome.reject is None, outcome.reject
        return outcome.events


def units(text: str) -> int:
    """A decimal string in units of 10**-8."""
    whole, _, fraction = text.partition(".")
    return int(whole) * SCALE + int(fraction.ljust(8, "0"))


def record(
    kind: int,
    *,
    market_ms: int,
    side: int = 0,
    order_type: int = 0,
    time_in_force: int = 0,
    flags: int = 0,
    instrument: int = 0,
    account: int = 0,
    number: int = 0,
    order_id: int = 0,
    price: int = 0,
    qty: int = 0,
    link_id: str = "",
) -> bytes:
    """A command record, in the layout of `Engine.apply_batch`."""
    head = struct.pack(
        "<6BHII", kind, side, order_type, time_in_force, flags, len(link_id), instrument, account, number
    )
    body = struct.pack("<qqQqq", market_ms, market_ms * 1000, order_id, price, qty)
    return (head + body + struct.pack("<36s", link_id.encode())).ljust(COMMAND_BYTES, b"\0")
