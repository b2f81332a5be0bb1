"""Whatever is sent to any REST route is answered or refused in words, and what is refused changes nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from simulated_exchange.gateway.translate.fields import REQUEST_FIELDS, WORDS
from simulated_exchange.gateway.translate.refusals import RefusedError
from tests.wire_room import WireRoom

REQUESTS = 3000
ODD: list[Any] = [
    *(None, True, False, 0, 1, 3, -1, 2**53, 2**63, 10**30, 1.5, 1e308, [], {}, [1], [{}], {"a": 1}, [[]]),
    *("", " ", "0", "-1", "1e5", "NaN", "１.5", "0x10", "+1", "1.", ".5", "9" * 30, "x" * 64, "é", "\x00"),
    *("../..", "0." + "0" * 30 + "1", "51700000-0000-4000-8000-0x0000000001", "option", "BTCUSD"),
]
SOUND: dict[str, list[Any]] = {
    "category": ["linear", "spot", "inverse"],
    "symbol": ["BTCUSDT", "BTCUSD"],
    "qty": ["0.01", "100", "0"],
    "price": ["100000", "95000", "99999.9"],
    "coin": ["USDT", "BTC", "SOL"],
    "amount": ["1", "0.5"],
    "positionIdx": [0, 1, 2],
    "reduceOnly": [True, False],
    "triggerPrice": ["101000", "99000"],
    "takeProfit": ["110000", "90000", "0"],
    "stopLoss": ["90000", "110000", "0"],
    "tpLimitPrice": ["109000"],
    "slLimitPrice": ["91000"],
    "trailingStop": ["500"],
    "tpSize": ["0.01"],
    "slSize": ["0.01"],
    "slippageTolerance": ["10", "0.5"],
    "setMarginMode": ["ISOLATED_MARGIN", "REGULAR_MARGIN"],
    "mode": [0, 3],
    "buyLeverage": ["5", "10"],
    "sellLeverage": ["5", "10"],
    "margin": ["10", "-10"],
    "fromAccountType": ["UNIFIED", "FUND"],
    "toAccountType": ["UNIFIED", "FUND"],
    "request": [
        [{"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "95000"}]
    ],
}


def arguments(dice: random.Random, fields: str) -> dict[str, Any]:
    """Some of a request's fields: sensible ones, known words, and anything."""
    found: dict[str, Any] = {}
    for field in fields.split():
        name, chance = field.rstrip("!").partition(":")[0].rstrip("!"), dice.random()
        if chance < 0.2:
            continue
        if chance < 0.65 and name in SOUND:
            found[name] = dice.choice(SOUND[name])
        elif chance < 0.7 and name in WORDS:
            found[name] = dice.choice(WORDS[name])
        else:
            found[name] = dice.choice(ODD)
    return found


@pytest.mark.parametrize("_round", range(2))
def test_anything_is_answered_or_refused_and_refusals_change_nothing(_round: int, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    room = WireRoom(tmp_path)
    room.trade("linear", "BTCUSDT", "1", "100000")
    # keys that change by chance would end the tests of everything else
    routes = [name for name in REQUEST_FIELDS if not name.startswith("POST /v5/user/")]
    for _ in range(REQUESTS):
        route = dice.choice(routes)
        method, path = route.split()
        given = arguments(dice, REQUEST_FIELDS[route])
        if method == "GET":
            given = {name: value for name, value in given.items() if isinstance(value, str)}
        before = room.venue.ledger.sequence  # what changes anything is told by an event
        try:
            room.ask(method, path, **given)
        except RefusedError as refusal:
            assert refusal.code, (route, given)
            assert refusal.text, (route, given)
            assert room.venue.ledger.sequence == before, (route, given)
    assert room.driver.conservation().adds_up
