"""Orders that close a position at a price: which of them are its take-profit and stop-loss."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.core.account import Leg, Position, hedged
from relay.venue.stops import with_stops

BTC = "BTC/USDT:USDT"
LONG = Position(qty=Decimal("0.5"), entry_price=Decimal(100))
SHORT = Position(qty=Decimal("-0.5"), entry_price=Decimal(100))


def order(side: str, price: float, amount: float | None = 0.5, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "symbol": BTC,
        "side": side,
        "amount": amount,
        "triggerPrice": price,
        "reduceOnly": True,
        "info": {},
    }
    return row | more


def stops(position: Position, *orders: dict[str, Any], size: str = "1") -> tuple[str, str]:
    found = with_stops({BTC: position}, orders, lambda _: Decimal(size))[BTC]
    return str(found.take_profit), str(found.stop_loss)


@pytest.mark.parametrize(
    ("position", "row", "told"),
    [
        (LONG, order("sell", 90, type="STOP_MARKET"), ("0", "90")),
        (LONG, order("sell", 120, type="TAKE_PROFIT_MARKET"), ("120", "0")),
        (
            LONG,
            order("sell", 105, type="market", info={"triggerDirection": 2}),
            ("0", "105"),
        ),  # a locked gain
        (LONG, order("sell", 105, type="market", info={"triggerDirection": "1"}), ("105", "0")),
        (SHORT, order("buy", 110, type="market", info={"triggerDirection": 1}), ("0", "110")),
        (SHORT, order("buy", 80, type="market", info={"orderType": "take_profit"}), ("80", "0")),
        (LONG, order("sell", 0, stopLossPrice=91.5, takeProfitPrice=130), ("130", "91.5")),
        (LONG, order("sell", 90, None, type="stop", info={"closePosition": "true"}), ("0", "90")),
        (
            LONG,
            order("sell", 90, None, type="stop", reduceOnly=False, info={"closePosition": True}),
            ("0", "90"),
        ),
        (LONG, order("sell", 90, 0.2, type="stop"), ("0", "0")),  # a part of the position
        (LONG, order("sell", 90, type="stop", reduceOnly=False), ("0", "0")),  # it may open the other side
        (LONG, order("buy", 110, type="stop"), ("0", "0")),  # it would add
        (LONG, order("sell", 105, type="limit"), ("0", "0")),  # nobody says which it is
        (LONG, order("sell", 90, type="market"), ("0", "90")),  # a loss
        (LONG, order("sell", 90, symbol="ETH/USDT:USDT", type="stop"), ("0", "0")),
        (Position(), order("sell", 90, type="stop"), ("0", "0")),
    ],
)
def test_what_closes_the_whole_position_is_its_stop(
    position: Position, row: dict[str, Any], told: tuple[str, str]
) -> None:
    assert stops(position, row) == told


def test_the_nearest_counts_and_the_venues_own_word_goes_first() -> None:
    rows = [order("sell", price, type="stop") for price in (80, 95, 90)]
    rows += [order("sell", price, type="take_profit") for price in (130, 120)]
    assert stops(LONG, *rows) == ("120", "95")
    told = Position(qty=Decimal("0.5"), entry_price=Decimal(100), stop_loss=Decimal(70))
    assert stops(told, *rows) == ("120", "70")


def test_quantities_are_contracts() -> None:
    assert stops(LONG, order("sell", 90, 50, type="stop"), size="0.01") == ("0", "90")
    assert stops(LONG, order("sell", 90, 49, type="stop"), size="0.01") == ("0", "0")


def test_each_side_of_a_hedge_has_its_own() -> None:
    leg = Leg(Decimal("0.5"), Decimal(100))
    both = hedged(Position(long=leg, short=Leg(Decimal("0.2"), Decimal(100))))
    rows = [
        order("sell", 90, type="stop", info={"positionSide": "LONG"}),
        order("buy", 110, 0.2, type="stop", info={"positionIdx": 2}),
        order("sell", 95, type="stop", info={"posSide": "short"}),  # not of the long side
    ]
    found = with_stops({BTC: both}, rows, lambda _: Decimal(1))[BTC]
    assert found.long is not None and found.short is not None
    assert (found.long.stop_loss, found.short.stop_loss) == (Decimal(90), Decimal(110))
