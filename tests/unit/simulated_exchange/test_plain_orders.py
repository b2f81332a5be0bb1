"""The short ways for orders that ask for nothing special: they understand and answer as the long ways do."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from simulated_exchange.accounts import KeyStore
from simulated_exchange.clock import MarketClock
from simulated_exchange.driver import Driver, DriverSettings, Event, PlainRequest, PositionIndex
from simulated_exchange.gateway.desk import OrderDesk
from simulated_exchange.gateway.json_object import parse_object
from simulated_exchange.gateway.translate import frames, requests
from simulated_exchange.gateway.translate.refusals import RefusedError
from simulated_exchange.gateway.translate.rows import order_id_text, order_reference_row
from simulated_exchange.gateway.transport.frames import text_frame
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger import Ledger
from simulated_exchange.settings import GatewaySettings
from tests.unit.simulated_exchange.listing_rooms import shipped_genesis
from tests.unit.simulated_exchange.test_gateway_translate import CATALOGUE, ORDER
from tests.unit.simulated_exchange.test_ledger_keeping import plain as plain_parts

IDLE = {
    "positionIdx": 0,
    "reduceOnly": False,
    "closeOnTrigger": False,
    "smpType": "None",
    "takeProfit": "",
    "triggerDirection": 0,
}
PLAIN: dict[str, Any] = {**ORDER, "category": "linear", "timeInForce": "GTC", "orderLinkId": "mine-1"}
BATCH: dict[str, Any] = {"category": "linear", "request": [PLAIN, {**PLAIN, "side": "Sell"}]}
READER = requests.plain_reader(CATALOGUE)
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


def told(body: dict[str, Any], category: str) -> tuple[Any, ...]:
    """An order as the long way reads it; nothing else may be asked for."""
    read = requests.order_request(body, CATALOGUE, category)
    rest = (read.reduce_only, read.position_index, read.terms)
    assert rest == (False, PositionIndex.OneWay, None), body
    index, words = read.instrument.index, (read.side, read.order_type, read.time_in_force)
    return body["symbol"], index, *words, read.qty, read.price, read.link_id


def assert_read(request: PlainRequest, body: Any) -> None:
    """The long way reads the same."""
    category = requests.category_of(body)
    assert request.category == category
    entries = requests.batch_requests(body)[1] if request.is_batch else [body]
    assert request.orders() == [told(dict(entry), category) for entry in entries]


def test_the_short_way_reads_a_body_as_the_long_way_does_or_leaves_it_to_it() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    short = 0
    for _ in range(4000):
        body: dict[str, Any] = mutated(generator, PLAIN, WORDS)
        is_batch = generator.random() < 0.3
        if is_batch:
            entries: Any = [mutated(generator, PLAIN, WORDS) for _ in range(generator.randrange(4))]
            entries = generator.choice([entries, entries, entries * 6, None, {}, "x"])
            body = {"category": body.get("category"), "request": entries}
        text = spelled(generator, orjson.dumps(body))
        read = READER.body(text, is_batch)
        if read is not None:
            short += 1
            assert_read(read, parse_object(text))
    assert short > 300, "the short way was hardly taken"
    assert READER.body(orjson.dumps(PLAIN), False) is not None
    assert READER.body(orjson.dumps({**PLAIN, "symbol": "BTCUSDT", "category": "spot"}), False) is None


def spelled(generator: random.Random, text: bytes) -> bytes:
    """The same, or nearly: with blanks, cut off, with bytes behind it, or with a key twice."""
    choice, cut = generator.random(), generator.randrange(len(text))
    if choice < 0.1:
        return text[:cut]
    if choice < 0.2:
        return text.replace(b',"', b' , "').replace(b'":', b'"\t:\r\n ') + b" \n"
    if choice < 0.25:
        return text + generator.choice([b"}", b"x", b"\0", b"{}"])
    if choice < 0.3:
        return text[:cut] + bytes([generator.randrange(256)]) + text[cut + 1 :]
    if choice < 0.4:
        return text.replace(b'"side":"Buy"', b'"side":"Buy","side":"Sell"')
    return text


def frame_texts(generator: random.Random) -> bytes:
    """A trade frame, plain or odd, as a client or a mischief writes it."""
    names: dict[str, list[Any]] = {name: ["1", "5000", 5000] for name in (*HEADER, "Referer")}
    odd: dict[str, Any] = {
        "reqId": generator.choice(["1", "", "x" * 37, 'a"b', "a:b", 5, None]),
        "header": mutated(generator, HEADER, names),
        "op": generator.choice(["order.amend", 7, ["x"], "order.create-batch", "order.create-batch"]),
        "args": generator.choice(
            [[PLAIN, PLAIN], [], {"a": 1}, "x", [{"a": {"b": 1}}], [5], [BATCH], [BATCH]]
        ),
    }
    frame: dict[str, Any] = {"reqId": "abc-2_3", "header": HEADER, "op": "order.create", "args": [PLAIN]}
    frame |= {name: value for name, value in odd.items() if generator.random() < 0.3}
    if generator.random() < 0.2:
        frame["extra"] = generator.choice(ODD)
    if generator.random() < 0.2:
        frame.pop(generator.choice(list(frame)))
    text = orjson.dumps(frame)
    if generator.random() < 0.1:
        text = text[:-1] + b',"reqId":"2"}'
    return spelled(generator, text)


def test_the_short_way_reads_a_trade_frame_as_the_long_way_does_or_leaves_it_to_it() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    short = 0
    for _ in range(4000):
        text = frame_texts(generator)
        read = READER.frame(text)
        if read is None:
            continue
        short += 1
        try:
            frame = frames.trade_frame(parse_object(text))
        except RefusedError as refusal:
            raise AssertionError(f"the long way refuses {text!r}: {refusal}") from None
        assert (read.request_id, read.timestamp, read.recv_window) == (
            frame.request_id,
            frame.timestamp,
            frame.recv_window,
        )
        assert frame.operation == ("order.create-batch" if read.is_batch else "order.create")
        assert_read(read, frame.body)
    assert short > 100, "the short way was hardly taken"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_short_answers_have_the_bytes_of_the_long_ones(count: int, tmp_path: Path) -> None:
    """Of one order (0), and of batches."""
    desk, driver, account = open_desk(tmp_path)
    orders = [{**PLAIN, "qty": "0.001", "orderLinkId": f"mine-{at}"} for at in range(count or 1)]
    body = {"category": "linear", "request": orders} if count else orders[0]
    operation = "order.create-batch" if count else "order.create"
    frame = {"reqId": "abc-2_3", "header": HEADER, "op": operation, "args": [body]}
    request = READER.frame(orjson.dumps(frame))
    assert request is not None and len(request) == (count or 1)
    outcome = desk.place_plain(account, request)
    now_ms, name = 1_760_000_000_000, "00000001-trade"
    rows = [
        {
            "category": "linear",
            "symbol": "BTCUSDT",
            "orderId": order_id_text(number),
            "orderLinkId": f"mine-{at}",
            "createAt": "1760000000007",
        }
        for at, number in enumerate(outcome.order_ids())
    ]
    reply: tuple[Any, Any] = frames.batch_answer(rows, [None] * count)
    if not count:
        reply = order_reference_row(outcome.order_ids()[0], "mine-0"), {}
    result, extra = reply
    long = orjson.dumps(frames.envelope(result, now_ms, extra))
    assert request.rest_answer(outcome, now_ms + 7, now_ms) == long
    headers = frames.rate_limit_headers(10, 9, now_ms + 50, now_ms, name)
    long = text_frame(orjson.dumps(frames.trade_answer(frame, name, headers, data=result, extra=extra)))
    assert request.socket_answer(outcome, now_ms + 7, (10, 9, now_ms + 50), now_ms, name) == long
    assert driver.command_count() > 0


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
    seen, told = Ledger(len(CATALOGUE), CATALOGUE), Ledger(len(CATALOGUE), CATALOGUE)
    for ledger in (seen, told):
        ledger.watch(account)

    def fold(events: Sequence[Event]) -> None:
        for event in events:
            told.fold(event)

    other_driver.subscribe(fold)
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
        request = READER.body(orjson.dumps(body), True)
        assert request is not None
        outcome = whole.place_plain(account, request)
        seen.fold_batch(outcome)
        answer = whole.plain_reply(request, outcome, 1_760_000_000_000)
        assert answer == single.create_batch(account, body)
        has_all = all(entry["code"] == 0 for entry in answer[1]["list"])
        assert (request.rest_answer(outcome, 0, 0) is not None) == has_all
        refused += sum(entry["code"] != 0 for entry in answer[1]["list"])
    assert one_driver.state_hash() == other_driver.state_hash()
    assert one_driver.command_count() == other_driver.command_count()
    assert refused > 20, "hardly anything was refused"
    assert plain_parts(seen) == plain_parts(told), "a batch's rows are folded as its events one by one"
    assert seen.sequence == told.sequence and seen.watch(account).executions
