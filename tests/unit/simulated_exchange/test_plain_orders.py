"""The short ways for orders that ask for nothing special: they understand and answer as the long ways do."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from simulated_exchange.accounts import KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import Driver, DriverSettings
from simulated_exchange.gateway.desk import OrderDesk
from simulated_exchange.gateway.json_object import parse_object
from simulated_exchange.gateway.translate import frames, requests
from simulated_exchange.gateway.translate.refusals import RefusedError
from simulated_exchange.gateway.translate.rows import order_id_text, order_reference_row
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger import Ledger
from simulated_exchange.settings import GatewaySettings
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis
from tests.unit.simulated_exchange.test_gateway_translate import CATALOGUE, ORDER

IDLE = {
    "positionIdx": 0,
    "reduceOnly": False,
    "closeOnTrigger": False,
    "smpType": "None",
    "takeProfit": "",
    "triggerDirection": 0,
}
PLAIN: dict[str, Any] = {**ORDER, "category": "linear", "timeInForce": "GTC", "orderLinkId": "mine-1"}
ODD: list[Any] = [None, "", 0, 1, True, -1, 1.5, "0", "1e3", " 1", "٣", [], ["Buy"], {}, {"a": 1}, "x" * 40]
WORDS: dict[str, list[Any]] = {
    "category": ["linear", "inverse", "spot", "option"],
    "symbol": ["BTCUSDT", "BTCUSD", "NONE"],
    "side": ["Buy", "Sell", "buy"],
    "orderType": ["Limit", "Market", "limit"],
    "qty": ["0.001", "7", 7, "0.123456789", "12345678901"],
    "price": ["99000.5", "0", 99000, "1.000000000"],
    "timeInForce": ["GTC", "IOC", "FOK", "PostOnly", "gtc"],
    "orderLinkId": ["mine-1", "a b", "ü", "x" * 36],
    "reduceOnly": [True, False],
    "positionIdx": [0, 1],
    "takeProfit": ["120000"],
}
HEADER: dict[str, Any] = {"X-BAPI-TIMESTAMP": "1760000000000", "X-BAPI-RECV-WINDOW": "5000"}


@pytest.mark.parametrize(
    "change", [{}, {"orderLinkId": "mine", "timeInForce": "IOC"}, {"orderType": "Market"}, {"side": "Sell"}]
)
def test_what_is_left_out_means_what_its_idle_value_means(change: dict[str, Any]) -> None:
    plain = requests.order_request({**ORDER, **change}, CATALOGUE, "linear")
    assert plain == requests.order_request({**ORDER, **change, **IDLE}, CATALOGUE, "linear")


def mutated(generator: random.Random, body: dict[str, Any], words: dict[str, list[Any]]) -> dict[str, Any]:
    """A body with up to three fields changed, added or gone."""
    changed = dict(body)
    for _ in range(generator.randrange(4)):
        name = generator.choice(list(words))
        if generator.random() < 0.2:
            changed.pop(name, None)
        else:
            changed[name] = generator.choice(words[name] + ODD)
    return changed


def test_the_short_way_reads_an_order_as_the_long_way_does_or_leaves_it_to_it() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    short = 0
    for _ in range(4000):
        body = mutated(generator, PLAIN, WORDS)
        category = body.get("category")
        if category not in ("linear", "inverse", "spot"):
            continue
        read = requests.plain_order(body, CATALOGUE, category)
        if read is not None:
            short += 1
            assert read == requests.any_order(body, CATALOGUE, category), body
    assert short > 400, "the short way was hardly taken"
    assert requests.plain_order(PLAIN, CATALOGUE, "linear") is not None


def frame_texts(generator: random.Random) -> bytes:
    """A trade frame, plain or odd, as a client or a mischief writes it."""
    names: dict[str, list[Any]] = {name: ["1", "5000", 5000] for name in (*HEADER, "Referer")}
    odd: dict[str, Any] = {
        "reqId": generator.choice(["1", "", "x" * 37, 'a"b', "a:b", 5, None]),
        "header": mutated(generator, HEADER, names),
        "op": generator.choice(["order.amend", 7, ["x"]]),
        "args": generator.choice([[PLAIN, PLAIN], [], {"a": 1}, "x", [{"a": {"b": 1}}], [5]]),
    }
    frame: dict[str, Any] = {"reqId": "abc-2_3", "header": HEADER, "op": "order.create", "args": [PLAIN]}
    frame |= {name: value for name, value in odd.items() if generator.random() < 0.3}
    if generator.random() < 0.2:
        frame["extra"] = generator.choice(ODD)
    if generator.random() < 0.2:
        frame.pop(generator.choice(list(frame)))
    text = orjson.dumps(frame)
    cut = generator.randrange(len(text))
    choice = generator.random()
    if choice < 0.1:
        text = text[:cut]
    elif choice < 0.2:
        text = text[:-1] + b',"reqId":"2"}'
    elif choice < 0.3:
        text = text.replace(b'"side":"Buy"', b'"side":"Buy","side":"Sell"')
    return text


def test_the_short_way_reads_a_trade_frame_as_the_long_way_does_or_leaves_it_to_it() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    short = 0
    for _ in range(4000):
        text = frame_texts(generator)
        read = frames.plain_trade_frame(text)
        if read is None:
            continue
        short += 1
        try:
            assert read == frames.trade_frame(parse_object(text)), text
        except RefusedError as refusal:
            raise AssertionError(f"the long way refuses {text!r}: {refusal}") from None
    assert short > 100, "the short way was hardly taken"


def test_the_short_answer_has_the_bytes_of_the_long_one() -> None:
    frame = {"reqId": "abc-2_3", "op": "order.create"}
    headers = frames.rate_limit_headers(10, 9, 1_760_000_000_050, 1_760_000_000_000, "00000001-trade")
    long = frames.trade_answer(frame, "00000001-trade", headers, data=order_reference_row(77, "mine-1"))
    short = frames.placed_answer(
        "abc-2_3",
        order_id_text(77),
        "mine-1",
        (10, 9, 1_760_000_000_050),
        1_760_000_000_000,
        "00000001-trade",
    )
    assert short == orjson.dumps(long)


def open_desk(folder: Path) -> tuple[OrderDesk, Driver, int]:
    """A desk over an engine without a journal, on clocks that stand still, and a trader with money."""
    clock = MarketClock(1_760_000_000_000, monotonic_ns=lambda: 0, time_ns=lambda: 0)
    driver = Driver.open(DriverSettings(shipped_genesis(), clock, None, "none"))
    venue = Venue(
        driver=driver,
        ledger=Ledger(len(CATALOGUE), CATALOGUE),
        catalogue=CATALOGUE,
        keys=KeyStore.open(folder / "accounts.json"),
        limits=GatewaySettings(),
        is_sim_enabled=False,
        scenario_report=dict,
        now_ms=lambda: 1_760_000_000_000,
    )
    for instrument in CATALOGUE:
        venue.set_index(instrument, 100_000 * SCALE)
    return OrderDesk(venue), driver, venue.open_account("alice", 100_000 * SCALE).account


def test_a_batch_in_one_call_ends_as_its_orders_one_by_one(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    (tmp_path / "other").mkdir()
    (whole, one_driver, account), (single, other_driver, _) = (
        open_desk(tmp_path),
        open_desk(tmp_path / "other"),
    )
    refused = 0
    for number in range(60):
        entries = [
            {
                **PLAIN,
                "side": generator.choice(["Buy", "Sell"]),
                "qty": generator.choice(["0.001", "0.5", "0.0001", "5000"]),
                "price": generator.choice(["99000", "100000", "100000.05", "101000", "300000"]),
                "timeInForce": generator.choice(["GTC", "IOC", "FOK", "PostOnly"]),
                "orderLinkId": f"b-{generator.randrange(number * 4 + 8)}",
            }
            for _ in range(generator.randrange(1, 21))
        ]
        body = {"category": "linear", "request": entries}
        answer = whole.create_batch(account, body)
        assert answer == single._batch(single._create, account, body, is_create=True)
        refused += sum(entry["code"] != 0 for entry in answer[1]["list"])
    assert one_driver.state_hash() == other_driver.state_hash()
    assert one_driver.command_count() == other_driver.command_count()
    assert refused > 20, "hardly anything was refused"
