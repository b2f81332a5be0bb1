"""One suite that every port of a follower passes, against the running venue: ccxt, direct, paper."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client.core.stops import Stops
from follower_client.errors import ConfigurationError, TryAgainError
from follower_client.venue.outcomes import NOTHING_TO_REDUCE
from follower_client.venue.port import Ending, OrderStatus
from tests.contract.follower_ports import BTC, KINDS, desk, until
from tests.contract.serving import Account, VenueProcess, trading

LIVE = ("ccxt", "v5")
every_port = pytest.mark.parametrize("kind", KINDS)
live_ports = pytest.mark.parametrize("kind", LIVE)


@pytest.fixture(autouse=True)
def no_fault_is_left(venue: VenueProcess) -> Iterator[None]:
    yield
    venue.sim("faults/clear", {})


@every_port
@pytest.mark.asyncio
async def test_a_start_reads_the_account(venue: VenueProcess, kind: str, tmp_path: Path) -> None:
    async with desk(venue, kind, tmp_path) as one:
        account = one.port.account
        assert account.equity() == account.wallet_balance == Decimal(100_000)
        assert account.positions() == {} and account.leverage_settings[BTC] >= 3
        assert one.port.paper == (kind == "paper")
        if kind != "paper":
            offset = account.clock_offset_ms()
            assert offset is not None and abs(offset) < 1000


@every_port
@pytest.mark.asyncio
async def test_an_order_is_filled_heard_and_paid_for_once(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        request = one.order("a")
        result = await one.port.submit(request)
        assert result.ending is Ending.ACCEPTED and result.order_id
        name = request.client_order_id
        await until(lambda: one.ear.filled(name) == Decimal("0.01"), "the fill was not heard", 2.5)
        await until(lambda: name in one.ear.orders, "the order was not heard")
        assert one.ear.orders[name].status is OrderStatus.FILLED
        account = one.port.account
        assert account.positions() == {BTC: Decimal("0.01")}
        fee = sum((fill.fee for fill in one.ear.fills.values()), Decimal(0))
        assert fee > 0 and account.wallet_balance == Decimal(100_000) - fee
        again = await one.port.submit(request)
        assert again.ending is Ending.DUPLICATE
        assert await one.port.fetch_positions() == {BTC: Decimal("0.01")}
        fills = await one.port.fetch_fills(BTC, result.order_id)
        assert {fill.fill_id for fill in fills} == set(one.ear.fills)


@every_port
@pytest.mark.asyncio
async def test_an_order_beyond_its_limit_ends_unfilled_and_can_be_looked_up(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        price = (one.port.account.quotes[BTC].bid * Decimal("0.995")).quantize(Decimal("0.1"))
        request = one.order("far", limit_price=price)
        assert (await one.port.submit(request)).ending is Ending.ACCEPTED
        await until(lambda: one.ear.orders, "the order was not heard")
        found = await one.port.fetch_by_client_id(BTC, request.client_order_id)
        assert found is not None and (found.status, found.filled_qty) == (OrderStatus.CANCELLED, Decimal(0))
        assert await one.port.fetch_by_client_id(BTC, "never-sent") is None
        assert one.port.account.positions() == {}


@every_port
@pytest.mark.asyncio
async def test_a_reduction_never_opens_the_other_side(venue: VenueProcess, kind: str, tmp_path: Path) -> None:
    async with desk(venue, kind, tmp_path) as one:
        nothing = await one.port.submit(one.order("r0", is_buy=False, reduce_only=True))
        assert (nothing.ending, nothing.code) == (Ending.REJECTED, NOTHING_TO_REDUCE)
        await one.port.submit(one.order("a"))
        await until(one.port.account.positions, "not open")
        too_much = one.order("r1", is_buy=False, qty="0.05", reduce_only=True)
        assert (await one.port.submit(too_much)).ending is Ending.ACCEPTED
        await until(lambda: not one.port.account.positions(), "not closed")
        assert await one.port.fetch_positions() in ({}, {BTC: 0})


@every_port
@pytest.mark.asyncio
async def test_more_than_the_money_allows_is_rejected_with_a_code(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        result = await one.port.submit(one.order("big", qty="40"))
        assert result.ending is Ending.REJECTED and result.code == "110007"
        assert one.port.account.positions() == {}


@live_ports
@pytest.mark.asyncio
async def test_a_wrong_key_is_said_before_anything_runs(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    wrong = Account("nobody", "wrongkey", "wrongsecret")
    with pytest.raises(ConfigurationError, match=r"venue\.api_key") as caught:
        async with desk(venue, kind, tmp_path, account=wrong):
            pass
    assert "wrongsecret" not in str(caught.value)


@live_ports
@pytest.mark.asyncio
async def test_resting_orders_are_seen_and_taken_back(venue: VenueProcess, kind: str, tmp_path: Path) -> None:
    owner = venue.open_account()
    async with desk(venue, kind, tmp_path, account=owner) as one, trading(venue, owner) as client:
        price = float(one.port.account.quotes[BTC].bid) - 500
        await client.create_order(BTC, "limit", "buy", 0.01, price, {"clientOrderId": "rests"})
        resting = await one.port.open_orders()
        assert [(order.client_order_id, order.is_stop) for order in resting] == [("rests", False)]
        assert (await one.port.cancel(resting[0])).ending is Ending.ACCEPTED
        assert (await one.port.cancel(resting[0])).ending is Ending.ACCEPTED  # gone already
        assert await one.port.open_orders() == []


@live_ports
@pytest.mark.parametrize(
    ("fault", "ending", "exists"),
    [
        ({"kind": "drop", "applied": True}, Ending.UNKNOWN, True),
        ({"kind": "drop", "applied": False}, Ending.UNKNOWN, False),
        ({"kind": "error", "status": 503, "applied": True}, Ending.UNKNOWN, True),
        ({"kind": "error", "status": 502}, Ending.UNKNOWN, False),
        ({"kind": "busy", "applied": True}, Ending.UNKNOWN, True),
        ({"kind": "rate_limit"}, Ending.REFUSED, False),
    ],
)
@pytest.mark.asyncio
async def test_an_answer_that_proves_nothing_is_unknown_and_is_settled_by_asking(
    venue: VenueProcess, kind: str, tmp_path: Path, fault: dict[str, object], ending: Ending, exists: bool
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        await asyncio.sleep(0.3)  # the trade socket opens meanwhile
        venue.sim("faults", {**fault, "path": "/v5/order/create", "name": one.account.name, "count": 1})
        request = one.order("lost")
        result = await one.port.submit(request)
        assert result.ending is ending, result
        found = await one.port.fetch_by_client_id(BTC, request.client_order_id)
        assert (found is not None) == exists
        again = await one.port.submit(request)
        assert again.ending is (Ending.DUPLICATE if exists else Ending.ACCEPTED)
        await until(lambda: one.ear.filled(request.client_order_id) == Decimal("0.01"), "no fill")
        assert await one.port.fetch_positions() == {BTC: Decimal("0.01")}


@live_ports
@pytest.mark.asyncio
async def test_fills_that_the_stream_drops_are_read_once(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        await asyncio.sleep(0.3)
        venue.sim("faults", {"kind": "drop_private", "channel": "private", "name": one.account.name})
        for number in range(3):
            assert (await one.port.submit(one.order(f"d{number}"))).ending is Ending.ACCEPTED
        await until(lambda: len(one.ear.fills) == 3, "the fills were not back-filled", 5.0)
        await until(lambda: one.port.account.positions() == {BTC: Decimal("0.03")}, "position")
        assert await one.port.fetch_positions() == {BTC: Decimal("0.03")}


@every_port
@pytest.mark.asyncio
async def test_stops_are_kept_moved_and_taken_away(venue: VenueProcess, kind: str, tmp_path: Path) -> None:
    async with desk(venue, kind, tmp_path) as one:
        mark = one.port.account.quotes[BTC].mark.quantize(Decimal("0.1"))
        first = Stops(mark - 1000, mark + 1000)
        await one.port.submit(one.order("a", stop_loss=first.stop_loss, take_profit=first.take_profit))
        await until(one.port.account.positions, "not open")
        for wanted in (Stops(mark - 2000), Stops(None, mark + 3000), Stops(mark - 1500, mark + 1500)):
            result = await one.port.set_stops(BTC, wanted)
            assert result.ending is Ending.ACCEPTED, result
            one.port.account.stops.clear() if kind != "paper" else None
            await asyncio.sleep(1.1)  # a symbol is read anew once it is quiet
            await one.port.fetch_positions()
            assert one.port.account.stops[BTC] == wanted


@live_ports
@pytest.mark.asyncio
async def test_a_stop_of_a_part_closes_so_much_and_ends_with_the_position(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        await one.port.submit(one.order("a", qty="0.03"))
        await until(one.port.account.positions, "not open")
        mark = one.port.account.quotes[BTC].mark.quantize(Decimal("0.1"))
        part = Decimal("0.01")
        for price in (mark - 3000, mark - 2000):
            result = await one.port.add_part_stop(BTC, is_long=True, qty=part, price=price)
            assert result.ending is Ending.ACCEPTED, result
        resting = await one.port.open_orders()
        told = {(one.attached, one.is_stop, one.is_buy, one.qty, one.trigger_price) for one in resting}
        assert told == {("part", True, False, part, price) for price in (mark - 3000, mark - 2000)}
        await asyncio.sleep(1.1)
        await one.port.fetch_positions()
        assert one.port.account.stops[BTC] == Stops()  # those are of the whole
        lower = next(one for one in resting if one.trigger_price == mark - 3000)
        assert (await one.port.cancel(lower)).ending is Ending.ACCEPTED
        refused = await one.port.add_part_stop(BTC, is_long=True, qty=part, price=mark + 5000)
        assert refused.ending is Ending.REJECTED and refused.code
        close = one.order("b", qty="0.03", is_buy=False, reduce_only=True, closes=True)
        assert (await one.port.submit(close)).ending is Ending.ACCEPTED
        await until(lambda: not one.port.account.positions(), "not flat")
        assert await one.port.open_orders() == []


@live_ports
@pytest.mark.asyncio
async def test_a_key_that_is_not_described_is_asked_for_again_and_then_refused(
    venue: VenueProcess, kind: str, tmp_path: Path
) -> None:
    async with desk(venue, kind, tmp_path) as one:
        place = {"path": "/v5/user/query-api", "name": one.account.name}
        venue.sim("faults", {"kind": "busy", "count": 1, **place})
        venue.sim("faults", {"kind": "error", "status": 503, "count": 1, **place})
        key = await one.port.fetch_key()
        assert key is not None and key.can_trade and key.is_unified
        venue.sim("faults", {"kind": "busy", **place})
        with pytest.raises(TryAgainError, match="what the key may do cannot be read"):
            await one.port.fetch_key()
