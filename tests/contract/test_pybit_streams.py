"""Every topic through unmodified pybit sockets, each looked at for what it means."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pybit._http_manager as http_manager
import pybit._websocket_trading as websocket_trading
import pytest
from pybit import unified_trading

from simulated_exchange.gateway.auth import sign
from tests.contract.serving import Account, VenueProcess, served

SECONDS_MAX = 15
Message = dict[str, Any]
PRIVATE_TOPICS = ("order", "execution", "execution.fast", "position", "wallet")
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    """A venue that is slow to answer: pybit drops an answer that comes before its thread, which a busy host
    holds up, has gone on from sending to registering what it waits for.
    """
    folder = tmp_path_factory.mktemp("venue") / "data"
    patient = {"SIMULATED_EXCHANGE_GATEWAY__ACK_DELAY_MS": "100"}
    with served(folder, "--enable-sim", "--durability", "os", **patient) as process:
        yield process


@pytest.fixture(autouse=True)
def addressed(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_manager, "HTTP_URL", venue.rest)
    monkeypatch.setattr(unified_trading, "PUBLIC_WSS", f"{venue.ws}/v5/public/{{CHANNEL_TYPE}}")
    monkeypatch.setattr(unified_trading, "PRIVATE_WSS", f"{venue.ws}/v5/private")
    monkeypatch.setattr(websocket_trading, "TRADE_WSS", f"{venue.ws}/v5/trade")


class Ear:
    """What a socket told."""

    def __init__(self) -> None:
        self._told: queue.Queue[Message] = queue.Queue()
        self._passed: list[Message] = []
        self.put = self._told.put

    def until(self, fits: Callable[[Message], bool], seconds: float = SECONDS_MAX) -> Message:
        """The first message that fits, of those not asked for before."""
        for at, message in enumerate(self._passed):
            if fits(message):
                return self._passed.pop(at)
        deadline = time.monotonic() + seconds
        while True:
            message = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
            if fits(message):
                return message
            self._passed.append(message)

    def forget(self) -> None:
        """Whatever was told so far is not asked for any more."""
        self._passed.clear()
        while not self._told.empty():
            self._told.get_nowait()


def keys_of(account: Account) -> dict[str, Any]:
    return {"testnet": False, "api_key": account.api_key, "api_secret": account.api_secret}


@contextmanager
def socket(channel: str, account: Account | None = None) -> Iterator[Any]:
    keys = keys_of(account) if account else {"testnet": False}
    client = unified_trading.WebSocket(channel_type=channel, **keys)
    try:
        yield client
    finally:
        client.exit()


def place(client: Any, side: str, qty: str, price: str, **terms: Any) -> Any:
    order = {**LINEAR, "side": side, "orderType": "Limit", "qty": qty, "price": price, **terms}
    return client.place_order(**order)["result"]["orderId"]


def heard(ear: Ear, act: Callable[[], Any], client: Any) -> None:
    """Act until the subscriptions are in force; leave nothing behind."""
    for _ in range(50):
        act()
        client.cancel_all_orders(category="linear", settleCoin="USDT")
        try:
            ear.until(lambda it: it["data"][0].get("orderStatus") == "Cancelled", seconds=0.3)
        except queue.Empty:
            continue
        time.sleep(0.3)  # what follows the cancel, if anything, comes within this
        ear.forget()
        return
    raise AssertionError("nothing was told")


def test_linear_market_data(venue: VenueProcess) -> None:
    maker = unified_trading.HTTP(**keys_of(venue.open_account()))
    taker = unified_trading.HTTP(**keys_of(venue.open_account()))
    ear = Ear()
    with socket("linear") as public:
        for depth in (1, 50, 200, 500, 1000):
            public.orderbook_stream(depth, "BTCUSDT", ear.put)
        public.ticker_stream("BTCUSDT", ear.put)
        public.trade_stream("BTCUSDT", ear.put)
        public.kline_stream(1, "BTCUSDT", ear.put)
        public.price_limit_stream("BTCUSDT", ear.put)
        for depth in (1, 50, 200, 500, 1000):
            assert ear.until(lambda it, d=depth: it["topic"] == f"orderbook.{d}.BTCUSDT")  # type: ignore[misc]
        ear.forget()
        order = place(maker, "Sell", "0.3", "100010")
        found: dict[str, Message] = {}
        while len(found) < 5:
            told = ear.until(lambda it: it["topic"].startswith("orderbook."))
            if ["100010.00", "0.300"] in told["data"]["a"]:
                found[told["topic"]] = told
        assert all(told["data"]["seq"] and told["cts"] and told["data"]["u"] > 1 for told in found.values())
        place(taker, "Buy", "0.1", "100010")
        trade = ear.until(lambda it: it["topic"] == "publicTrade.BTCUSDT")["data"][-1]
        assert (trade["S"], trade["p"], trade["v"]) == ("Buy", "100010.00", "0.100")
        bar = ear.until(lambda it: it["topic"] == "kline.1.BTCUSDT" and float(it["data"][0]["volume"]) > 0)
        assert bar["data"][0]["close"] == "100010.00"
        assert not bar["data"][0]["confirm"]
        ticker = ear.until(lambda it: it["topic"] == "tickers.BTCUSDT" and "100010.00" in str(it["data"]))
        assert ticker["data"]["symbol"] == "BTCUSDT"
        assert {"bid1Price", "bid1Size", "ask1Price", "ask1Size"} <= set(ticker["data"])  # pybit merges, too
        maker.cancel_order(**LINEAR, orderId=order)
        book = "orderbook.50.BTCUSDT"  # pybit keeps it by the deltas
        ear.until(lambda it: it["topic"] == book and all(row[0] != "100010.00" for row in it["data"]["a"]))
        limit = maker.get_price_limit(**LINEAR)["result"]
        venue.sim("index", {"symbol": "BTCUSDT", "price": "100100"})
        before, topic = limit["buyLmt"], "priceLimit.BTCUSDT"
        moved = ear.until(lambda it: it["topic"] == topic and it["data"]["buyLmt"] != before)
        assert float(moved["data"]["buyLmt"]) > float(before)
        venue.sim("index", {"symbol": "BTCUSDT", "price": "100000"})


@pytest.mark.parametrize(
    ("channel", "symbol"), [("linear", "ETHUSDT"), ("inverse", "BTCUSD"), ("spot", "BTCUSDT")]
)
def test_every_market_has_a_socket_of_its_own(venue: VenueProcess, channel: str, symbol: str) -> None:
    ear = Ear()
    with socket(channel) as public:
        public.orderbook_stream(50, symbol, ear.put)
        assert ear.until(lambda it: it["topic"] == f"orderbook.50.{symbol}")["type"] == "snapshot"
        public.price_limit_stream(symbol, ear.put)
        assert ear.until(lambda it: it["topic"] == f"priceLimit.{symbol}")["data"]["symbol"] == symbol


@pytest.mark.asyncio
async def test_pools_and_alerts_are_told_with_the_contracts_behind_them(venue: VenueProcess) -> None:
    path = f"{venue.ws}/v5/public"
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{path}/linear") as linear:
        topics = ["insurance.USDT", "insurance.USDC", "adlAlert.USDT"]
        await linear.send_json({"op": "subscribe", "args": topics})
        assert (await linear.receive_json(timeout=5))["success"]
        told = {
            frame["topic"]: frame["data"] for frame in [await linear.receive_json(timeout=5) for _ in topics]
        }
        assert [row["coin"] for row in told["insurance.USDC"]] == ["USDC"]
        pools = {row["symbols"]: row["balance"] for row in told["insurance.USDT"]}
        assert pools["MEMEUSDT"] == "50000"
        alerts = {row["s"]: row for row in told["adlAlert.USDT"]}
        assert set(alerts) >= {"BTCUSDT", "ETHUSDT", "MEMEUSDT"}
        assert (alerts["BTCUSDT"]["c"], alerts["BTCUSDT"]["adl_sr"]) == ("USDT", "-0.25")
        async with session.ws_connect(f"{path}/inverse") as inverse:
            await inverse.send_json({"op": "subscribe", "args": ["insurance.inverse", "adlAlert.inverse"]})
            assert (await inverse.receive_json(timeout=5))["success"]
            pools_frame = await inverse.receive_json(timeout=5)
            assert [(row["coin"], row["balance"]) for row in pools_frame["data"]] == [("BTC", "20")]
            await inverse.send_json({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
            assert "success" not in (alert := await inverse.receive_json(timeout=5)) and alert["data"]
            assert not (await inverse.receive_json(timeout=5))["success"]


def test_an_account_is_told_the_life_of_its_orders(venue: VenueProcess) -> None:
    maker_account, account = venue.open_account(), venue.open_account()
    maker, taker = unified_trading.HTTP(**keys_of(maker_account)), unified_trading.HTTP(**keys_of(account))
    place(maker, "Sell", "1", "100020")
    ear, linear_ear = Ear(), Ear()
    with socket("private", account) as private, socket("private", account) as by_market:
        private.order_stream(ear.put)
        private.execution_stream(ear.put)
        private.fast_execution_stream(ear.put)
        private.position_stream(ear.put)
        private.wallet_stream(ear.put)
        by_market.subscribe("order.{symbol}", linear_ear.put, ["linear"])
        by_market.subscribe("execution.{symbol}", linear_ear.put, ["linear"])
        for ears in (ear, linear_ear):
            heard(ears, lambda: place(taker, "Buy", "0.01", "99000"), taker)
        ear.forget()
        linear_ear.forget()
        order = place(taker, "Buy", "0.1", "100020", orderLinkId="mine")
        topics = [ear.until(lambda _: True) for _ in range(5)]
        assert [it["topic"] for it in topics] == [
            "order",
            "execution",
            "execution.fast",
            "position",
            "wallet",
        ]
        told, execution, fast, position, wallet = (it["data"][0] for it in topics)
        assert (told["orderId"], told["orderLinkId"], told["orderStatus"]) == (order, "mine", "Filled")
        assert (told["cumExecQty"], told["avgPrice"], told["category"]) == ("0.100", "100020", "linear")
        assert (execution["execPrice"], execution["execQty"]) == ("100020.00", "0.100")
        assert (execution["isMaker"], execution["execId"]) == (False, fast["execId"])
        assert (position["side"], position["size"], position["entryPrice"]) == ("Buy", "0.100", "100020")
        fee = float(execution["execFee"])
        assert float(wallet["coin"][0]["walletBalance"]) == pytest.approx(100_000 - fee)
        frames = [linear_ear.until(lambda it: it["data"][0]["orderId"] == order) for _ in range(2)]
        assert [it["topic"] for it in frames] == ["order.linear", "execution.linear"]
        assert frames[0]["data"][0]["cumExecQty"] == "0.100"


def test_the_trade_socket_places_amends_and_cancels_one_and_many(venue: VenueProcess) -> None:
    account = venue.open_account()
    http = unified_trading.HTTP(**keys_of(account))
    trade = unified_trading.WebSocketTrading(**keys_of(account))
    ear = Ear()

    def open_prices() -> list[float]:
        return sorted(float(row["price"]) for row in http.get_open_orders(**LINEAR)["result"]["list"])

    order = {**LINEAR, "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "99000"}
    try:
        trade.place_order(ear.put, **order)
        placed = ear.until(lambda it: it["op"] == "order.create")
        assert placed["retCode"] == 0
        trade.amend_order(ear.put, **LINEAR, orderId=placed["data"]["orderId"], price="99010")
        assert ear.until(lambda it: it["op"] == "order.amend")["retCode"] == 0
        assert open_prices() == [99010]
        entries = [{**order, "price": str(99100 + number)} for number in range(5)]
        entries.append({**order, "qty": "0"})
        trade.place_batch_order(ear.put, category="linear", request=entries)
        batch = ear.until(lambda it: it["op"] == "order.create-batch")
        assert [entry["code"] for entry in batch["retExtInfo"]["list"]] == [0] * 5 + [10001]
        ids = [row["orderId"] for row in batch["data"]["list"][:5]]
        assert open_prices() == [99010, 99100, 99101, 99102, 99103, 99104]
        changes = [{"symbol": "BTCUSDT", "orderId": identity, "qty": "0.02"} for identity in ids]
        trade.amend_batch_order(ear.put, category="linear", request=changes)
        assert all(
            entry["code"] == 0
            for entry in ear.until(lambda it: it["op"] == "order.amend-batch")["retExtInfo"]["list"]
        )
        trade.cancel_batch_order(
            ear.put,
            category="linear",
            request=[{"symbol": "BTCUSDT", "orderId": identity} for identity in ids],
        )
        assert ear.until(lambda it: it["op"] == "order.cancel-batch")["retCode"] == 0
        assert open_prices() == [99010]
        trade.cancel_order(ear.put, **LINEAR, orderId=placed["data"]["orderId"])
        assert ear.until(lambda it: it["op"] == "order.cancel")["retCode"] == 0
        assert open_prices() == []
    finally:
        trade.exit()


@pytest.mark.asyncio
async def test_frames_beyond_what_a_client_library_sends(venue: VenueProcess) -> None:
    account = venue.open_account()
    expires = time.time_ns() // 1_000_000 + 10_000
    auth = [account.api_key, expires, sign(account.api_secret, f"GET/realtime{expires}".encode())]
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{venue.ws}/v5/private") as private:
        await private.send_json({"op": "auth", "args": auth})
        assert (await private.receive_json(timeout=5))["success"]
        await private.send_json({"op": "subscribe", "args": ["order", "order.linear"]})
        assert "cannot be mixed" in (await private.receive_json(timeout=5))["ret_msg"]
        await private.send_json({"op": "subscribe", "args": ["dcp.future", "greeks", "order.spot"]})
        assert (await private.receive_json(timeout=5))["success"]
        await private.ping()
        await private.send_json({"op": "ping", "req_id": 7})
        pong = await private.receive_json(timeout=5)
        assert (pong["op"], pong["req_id"]) == ("pong", 7)


def test_the_socket_of_the_systems_status_is_there(venue: VenueProcess) -> None:
    with socket("misc/status") as status:
        status.system_status_stream(lambda _: None)
        assert status.is_connected()
