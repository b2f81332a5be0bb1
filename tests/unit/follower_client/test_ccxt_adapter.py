"""The live port over an exchange object in memory: what REST and streams say about one account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from follower_client.cli import main
from follower_client.errors import VenueUnavailableError
from follower_client.order_driver import now_ms
from follower_client.venue import v5_account
from follower_client.venue.ccxt_adapter import CcxtAdapter
from follower_client.venue.market_data import MarketData
from follower_client.venue.port import Ending, OrderRequest, VenueFill, VenueOrder
from tests.unit.follower_client.build import BTC, instrument, quote

PAGE = 100
Row = dict[str, Any]


async def nothing() -> None:
    return


class FakeExchange:
    """An account of one symbol. `hook` runs while the answer with the positions is on its way."""

    def __init__(self) -> None:
        self.markets = {BTC: {"id": "BTCUSDT"}}
        self.options = {"timeDifference": 0}
        self.executions: list[Row] = []
        self.size = Decimal(0)
        self.stream: asyncio.Queue[Row] = asyncio.Queue()
        self.hook: Callable[[], Awaitable[None]] = nothing
        self.garbled = False
        self.refusal = ""
        self.clock_reads = 0

    def trade(self, number: int, qty: str = "1", *, order: str = "o") -> Row:
        """A fill that the venue knows; the stream tells it when the test says so."""
        row = {
            "symbol": "BTCUSDT",
            "execId": f"x{number}",
            "orderId": order,
            "orderLinkId": f"link-{order}",
            "side": "Sell" if qty.startswith("-") else "Buy",
            "execQty": qty.lstrip("-"),
            "execPrice": "100000",
            "execFee": "0",
            "execTime": str(now_ms()),
            "execType": "Trade",
        }
        self.executions.append(row)
        self.size += Decimal(qty)
        return row

    def set_markets_from_exchange(self, other: object) -> None:
        """The markets are here already."""

    def market(self, symbol: str) -> Row:
        return self.markets[symbol]

    async def load_time_difference(self) -> int:
        self.clock_reads += 1
        return 0

    def __getattr__(self, name: str) -> Callable[[Row], Awaitable[Any]]:
        """ccxt's names of endpoints."""
        answers: dict[str, Callable[[Row], Awaitable[Any]]] = {
            "privateGetV5ExecutionList": self.execution_list,
            "privateGetV5PositionList": self.position_list,
            "privateGetV5AccountWalletBalance": self.wallet_balance,
            "privatePostV5OrderCreate": self.refuse,
        }
        return answers.get(name, self.nothing)

    async def watch_my_trades(self) -> list[Row]:
        return [{"info": await self.stream.get()}]

    async def watch_orders(self) -> list[Row]:
        return await asyncio.Future[list[Row]]()

    async def watch_balance(self) -> Row:
        return await asyncio.Future[Row]()

    async def refuse(self, query: Row) -> Any:
        raise ccxt.InvalidNonce(f'bybit {{"retCode":{self.refusal},"retMsg":"x"}}')

    def _answer(self, rows: list[Row], cursor: str = "") -> Any:
        return "<html>oops</html>" if self.garbled else {"result": {"list": rows, "nextPageCursor": cursor}}

    async def execution_list(self, query: Row) -> Any:
        newest_first = [
            row for row in reversed(self.executions) if query.get("orderId") in (None, row["orderId"])
        ]
        first = int(query.get("cursor") or 0)
        page = newest_first[first : first + PAGE]
        return self._answer(page, str(first + PAGE) if len(newest_first) > first + PAGE else "")

    async def position_list(self, query: Row) -> Any:
        side = "Sell" if self.size < 0 else "Buy"
        row = {"symbol": "BTCUSDT", "side": side, "size": str(abs(self.size)), "avgPrice": "100000"}
        await self.hook()
        return self._answer([row])

    async def wallet_balance(self, query: Row) -> Any:
        return self._answer([{"coin": [{"coin": "USDT", "walletBalance": "1000"}]}])

    async def nothing(self, query: Row) -> Any:
        return self._answer([])


class Ear:
    def __init__(self) -> None:
        self.fills: dict[str, VenueFill] = {}

    def on_fill(self, fill: VenueFill) -> None:
        self.fills[fill.fill_id] = fill

    def on_order(self, order: VenueOrder) -> None:
        """Orders are not what these tests are about."""


async def started(exchange: FakeExchange, ear: Ear) -> CcxtAdapter:
    data = MarketData(exchange, ccxt.BaseError, [BTC], depth=False)
    data.quotes[BTC] = quote()
    adapter = CcxtAdapter(exchange, data, {BTC: instrument()}, leverage_max=Decimal(3))
    await adapter.start(ear)
    return adapter


def request() -> OrderRequest:
    return OrderRequest(
        client_order_id="a", symbol=BTC, is_buy=True, qty=Decimal(1), limit_price=None, reduce_only=False
    )


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - the streams set no event of the test's
            await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_an_order_of_more_fills_than_a_page_is_found_whole() -> None:
    exchange, ear = FakeExchange(), Ear()
    adapter = await started(exchange, ear)
    for number in range(230):
        exchange.trade(number)
    exchange.trade(999, order="another")
    assert len(await adapter.fetch_fills(BTC, "o")) == 230
    assert set(ear.fills) == {f"x{number}" for number in range(230)}
    assert adapter.account.positions() == {BTC: Decimal(230)}


@pytest.mark.asyncio
async def test_a_start_after_many_fills_counts_none_of_them_twice() -> None:
    exchange, ear = FakeExchange(), Ear()
    for number in range(230):
        exchange.trade(number)
    adapter = await started(exchange, ear)
    await adapter.fetch_fills(BTC, "o")
    assert len(ear.fills) == 230
    assert adapter.account.positions() == {BTC: Decimal(230)}


@pytest.mark.asyncio
async def test_a_fill_that_the_positions_show_before_the_stream_does_counts_once() -> None:
    exchange, ear = FakeExchange(), Ear()
    exchange.trade(0, "10")
    adapter = await started(exchange, ear)
    running = asyncio.create_task(adapter.run())
    row = exchange.trade(1, "-5")
    assert await adapter.fetch_positions() == {BTC: Decimal(5)}
    exchange.stream.put_nowait(row)
    exchange.stream.put_nowait(exchange.trade(2, "-1"))
    await until(lambda: "x2" in ear.fills)
    assert adapter.account.positions() == {BTC: Decimal(4)}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
async def test_positions_that_were_long_under_way_do_not_undo_a_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v5_account, "QUIET_S", 0.02)
    exchange, ear = FakeExchange(), Ear()
    adapter = await started(exchange, ear)
    running = asyncio.create_task(adapter.run())

    async def slow() -> None:
        exchange.hook = nothing
        exchange.stream.put_nowait(exchange.trade(1, "5"))
        await until(lambda: ear.fills)
        await asyncio.sleep(0.05)  # longer than the quiet time: the fill is not fresh any more

    exchange.hook = slow
    assert await adapter.fetch_positions() == {BTC: Decimal(5)}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_position_that_somebody_else_changed_is_taken_over() -> None:
    exchange, ear = FakeExchange(), Ear()
    adapter = await started(exchange, ear)
    exchange.size = Decimal(3)
    assert await adapter.fetch_positions() == {BTC: Decimal(3)}


@pytest.mark.asyncio
async def test_an_answer_that_cannot_be_read_is_no_answer() -> None:
    exchange = FakeExchange()
    adapter = await started(exchange, Ear())
    exchange.garbled = True
    with pytest.raises(VenueUnavailableError):
        await adapter.fetch_by_client_id(BTC, "a")
    with pytest.raises(VenueUnavailableError):
        await adapter.fetch_fills(BTC, "o")
    with pytest.raises(VenueUnavailableError):
        await adapter.fetch_positions()


@pytest.mark.asyncio
async def test_a_timestamp_that_the_venue_refuses_makes_the_clock_be_read_again() -> None:
    exchange = FakeExchange()
    adapter = await started(exchange, Ear())
    read = exchange.clock_reads
    exchange.refusal = "10002"
    assert (await adapter.submit(request())).ending is Ending.REFUSED
    assert exchange.clock_reads == read + 1


def test_what_venues_offer_is_read_from_their_descriptions_and_only_one_is_called_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["follower-client", "venues", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert [name for name, row in found.items() if row["tried"]] == ["bybit"]
    assert all(value for value in found["bybit"].values())
    assert found["binance"]["limit_ioc"] and not found["binance"]["stop_on_entry"]
    assert {"okx", "bitget"} < set(found)
