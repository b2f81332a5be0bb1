"""An engine of its own for one worked example: contracts, coins, accounts, prices, short ways to trade.

Belongs here: driving the engine's public calls in decimals. Does not belong here: any rule of the venue, any
expected number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from simulated_exchange._engine import SCALE, Engine, Event, Outcome, PositionIndex, PositionView, Side
from simulated_exchange._engine import OrderType as Kind
from simulated_exchange._engine import TimeInForce as Life

__all__ = ["ALICE", "MAKER", "Room", "coin", "contract", "decimal", "side_of", "units"]

ALICE, MAKER = 1000, 1001
RICH = Decimal(1_000_000_000)


def units(number: Decimal | str | int) -> int:
    """A decimal in units of 10**-8; it must fit exactly."""
    scaled = Decimal(number) * SCALE
    assert scaled == scaled.to_integral_value(), f"{number} is finer than 10**-8"
    return int(scaled)


def decimal(value: int) -> Decimal:
    """Units of 10**-8 as a decimal."""
    return Decimal(value) / SCALE


def side_of(word: str) -> Side:
    """`Buy` or `Sell` as the engine's word."""
    return {"Buy": Side.Buy, "Sell": Side.Sell}[word]


def contract(**changes: Any) -> dict[str, Any]:
    """A linear contract without filters in the way; fees as published unless told otherwise."""
    return {
        "symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "tick_size": "0.01",
        "max_price": "300000",
        "qty_step": "0.001",
        "min_qty": "0.001",
        "max_qty": "100000",
        "max_market_qty": "100000",
        "min_notional": "0",
        "tiers": [{"limit": "2000000000", "max_leverage": "100", "mmr": "0.005"}],
        "taker_fee": "0.00055",
        "maker_fee": "0.0002",
        "price_band_x": "0.9",
        "price_band_y": "0.95",
        "index_sources": [{"name": "spot", "weight": "1"}],
        "index_stale_ms": 4_000_000_000,
        "index_clamp": "0.03",
        "basis_window_ms": 300_000,
        **changes,
    }


def coin(name: str, price: str = "1", **changes: Any) -> dict[str, Any]:
    """A coin that counts in full; `price` as the genesis reads it."""
    return {"name": name, "price": price, "collateral": [{"ratio": "1"}], **changes}


class Room:
    """One engine with Alice, whose example it is, and a maker who can bear everything."""

    def __init__(
        self,
        *contracts: dict[str, Any],
        coins: Sequence[dict[str, Any]] = (),
        pools: Sequence[dict[str, Any]] = (),
        fund: str = "1000000",
        **venue: str,
    ) -> None:
        genesis: dict[str, Any] = {
            "instruments": list(contracts) or [contract()],
            "insurance_fund": fund,
            **venue,
        }
        if coins:
            genesis["coins"] = list(coins)
            settle = {row["base"] if row.get("inverse") else row["quote"] for row in genesis["instruments"]}
            own = [{"name": name, "coin": name, "balance": fund} for name in sorted(settle)]
            genesis["pools"] = list(pools) or own
        self.engine = Engine.create(json.dumps(genesis), None, "none")
        self.coins = {name: number for number, name in enumerate(self.engine.coins())}
        self.market_ms = 1_700_000_000_000
        for account in (ALICE, MAKER):
            self.done(self.engine.create_account(*self.now(), account))
        for name in self.coins:
            self.deposit(MAKER, RICH, name)

    def now(self) -> tuple[int, int]:
        """Both clocks, a millisecond later with every command."""
        self.market_ms += 1
        return self.market_ms, self.market_ms * 1000

    @staticmethod
    def done(outcome: Outcome) -> list[Event]:
        """The events of a command that must not have been refused."""
        assert outcome.reject is None, outcome.reject
        return outcome.events

    def deposit(self, account: int, amount: Decimal | str, name: str = "USDT") -> None:
        """Put money into a wallet."""
        self.done(self.engine.deposit(*self.now(), account, self.coins[name], units(amount)))

    def index(self, price: Decimal | str, instrument: int = 0) -> list[Event]:
        """Report the only source of an index."""
        return self.done(
            self.engine.set_index_source(*self.now(), instrument=instrument, source=0, price=units(price))
        )

    def coin_price(self, name: str, price: str) -> None:
        """Report the price of a coin."""
        self.done(self.engine.set_coin_price(*self.now(), coin=self.coins[name], price=units(price)))

    def leverage(self, leverage: str, account: int = ALICE, instrument: int = 0) -> None:
        """Set a leverage, unless it stands so already."""
        wanted = int(Decimal(leverage) * 100)
        if self.engine.position(account, instrument).leverage != wanted:
            self.done(
                self.engine.set_leverage(*self.now(), account=account, instrument=instrument, leverage=wanted)
            )

    def place(
        self,
        account: int,
        side: Side,
        qty: Decimal | str,
        price: Decimal | str | None = None,
        *,
        instrument: int = 0,
        **more: Any,
    ) -> Outcome:
        """An order; without a price a market order."""
        arguments: dict[str, Any] = {
            "time_in_force": Life.GoodTillCancel,
            "reduce_only": False,
            "link_id": "",
        }
        return self.engine.place_order(
            *self.now(),
            account=account,
            instrument=instrument,
            side=side,
            order_type=Kind.Market if price is None else Kind.Limit,
            qty=units(qty),
            price=0 if price is None else units(price),
            **(arguments | more),
        )

    def trade(
        self, side: Side, qty: Decimal | str, price: Decimal | str, *, instrument: int = 0, **more: Any
    ) -> list[Event]:
        """Alice takes what the maker offers at a price."""
        other = Side.Sell if side == Side.Buy else Side.Buy
        self.done(self.place(MAKER, other, qty, price, instrument=instrument))
        return self.done(self.place(ALICE, side, qty, price, instrument=instrument, **more))

    def position(self, instrument: int = 0, index: PositionIndex = PositionIndex.OneWay) -> PositionView:
        """Alice's position."""
        return self.engine.position(ALICE, instrument, index)
