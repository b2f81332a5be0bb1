"""The read model: bars, order histories, closed profit, all from events."""

from __future__ import annotations

import random

import pytest

from simulated_exchange.driver import (
    CancelReason,
    CreateType,
    Event,
    FillKind,
    OrderType,
    PositionIndex,
    Side,
    TimeInForce,
    WalletReason,
)
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger import Ledger
from simulated_exchange.ledger.accounts import CLOSED_ORDERS_MAX
from simulated_exchange.ledger.candles import (
    BARS_MAX,
    INTERVALS,
    MINUTE_MS,
    CandleSeries,
    bar_end_ms,
    bar_start_ms,
)
from simulated_exchange.ledger.records import OrderStatus
from simulated_exchange.ledger.samples import PriceSamples

ALICE = 100_000
START_MS = 1_760_128_200_000  # 2025-10-10T20:30Z, a Friday


class Story:
    """Writes events with rising sequence numbers."""

    def __init__(self) -> None:
        self.ledger = Ledger(1)
        self.memory = self.ledger.watch(ALICE)
        self.sequence = 0
        self.market_ms = START_MS

    @property
    def stamps(self) -> dict[str, int]:
        self.sequence += 1
        return {"sequence": self.sequence, "market_ms": self.market_ms, "wall_us": self.sequence * 1000}

    def accept(self, order_id: int, qty: int, side: Side = Side.Buy, link_id: str = "") -> None:
        self.ledger.fold(
            Event.OrderAccepted(
                order_id=order_id,
                account=ALICE,
                instrument=0,
                position_index=PositionIndex.OneWay,
                side=side,
                order_type=OrderType.Limit,
                time_in_force=TimeInForce.GoodTillCancel,
                price=100 * SCALE,
                qty=qty,
                reduce_only=False,
                link_id=link_id,
                create_type=CreateType.User,
                **self.stamps,
            )
        )

    def cancel(self, order_id: int) -> None:
        self.ledger.fold(
            Event.OrderCancelled(
                order_id=order_id,
                account=ALICE,
                instrument=0,
                leaves=0,
                reason=CancelReason.User,
                counterparty=0,
                **self.stamps,
            )
        )

    def fill(
        self,
        order_id: int,
        qty: int,
        price: int,
        *,
        leaves: int = 0,
        closed: int = 0,
        pnl: int = 0,
        after: int,
        entry: int,
    ) -> None:
        order = self.memory.order(order_id)
        assert order is not None
        side = Side.Buy if order.is_buy else Side.Sell
        fee = price * qty // SCALE // 1000
        self.ledger.fold(
            Event.Fill(
                trade_id=self.sequence,
                order_id=order_id,
                account=ALICE,
                instrument=0,
                position_index=PositionIndex.OneWay,
                side=side,
                price=price,
                qty=qty,
                fee=fee,
                is_maker=False,
                leaves=leaves,
                closed_qty=closed,
                realised_pnl=pnl,
                position_qty=after,
                kind=FillKind.Trade,
                **self.stamps,
            )
        )
        self.ledger.fold(
            Event.PositionChanged(
                account=ALICE,
                instrument=0,
                position_index=PositionIndex.OneWay,
                qty=after,
                entry_price=entry,
                realised_pnl=0,
                **self.stamps,
            )
        )
        self.ledger.fold(
            Event.WalletChanged(
                account=ALICE, coin=0, balance=0, change=pnl - fee, reason=WalletReason.Trade, **self.stamps
            )
        )


def test_an_order_is_followed_from_new_to_filled() -> None:
    story = Story()
    story.accept(1, 3 * SCALE, link_id="mine")
    order = story.memory.order_by_link("mine")
    assert order is not None
    assert order.status is OrderStatus.NEW
    story.fill(1, SCALE, 100 * SCALE, leaves=2 * SCALE, after=SCALE, entry=100 * SCALE)
    assert (order.status, order.leaves, list(story.memory.live)) == (
        OrderStatus.PARTIALLY_FILLED,
        2 * SCALE,
        [1],
    )
    story.fill(1, 2 * SCALE, 103 * SCALE, after=3 * SCALE, entry=102 * SCALE)
    assert (order.status, order.filled_qty, order.filled_value) == (
        OrderStatus.FILLED,
        3 * SCALE,
        306 * SCALE,
    )
    assert story.memory.live == {}
    assert story.memory.order(1) is order
    movement = story.memory.movements[-1]
    assert movement.execution is story.memory.executions[-1]


def test_closed_profit_takes_its_share_of_the_opening_fee() -> None:
    story = Story()
    story.accept(1, 4 * SCALE)
    story.fill(1, 4 * SCALE, 100 * SCALE, after=4 * SCALE, entry=100 * SCALE)
    story.accept(2, 3 * SCALE, Side.Sell)
    story.fill(
        2,
        SCALE,
        110 * SCALE,
        leaves=2 * SCALE,
        closed=SCALE,
        pnl=10 * SCALE,
        after=3 * SCALE,
        entry=100 * SCALE,
    )
    story.fill(2, 2 * SCALE, 90 * SCALE, closed=2 * SCALE, pnl=-20 * SCALE, after=SCALE, entry=100 * SCALE)
    assert len(story.memory.closures) == 1
    closure = story.memory.closures[0]
    assert (closure.closed_qty, closure.fills) == (3 * SCALE, 2)
    assert (closure.entry_value, closure.exit_value) == (300 * SCALE, 290 * SCALE)
    assert (closure.open_fee, closure.close_fee) == (30_000_000, 29_000_000)
    assert closure.pnl == -10 * SCALE - 59_000_000
    order = story.memory.order(2)
    assert order is not None
    assert order.closed_pnl == closure.pnl
    position = story.memory.position(0)
    assert position.open_fee == 10_000_000
    assert position.realised == -10 * SCALE - 69_000_000


def test_histories_are_bounded_and_live_orders_are_never_forgotten() -> None:
    story = Story()
    story.accept(1, SCALE, link_id="resting")
    for number in range(2, CLOSED_ORDERS_MAX + 12):
        story.accept(number, SCALE, link_id=f"n{number}")
        story.cancel(number)
    assert story.memory.order_by_link("resting") is not None
    assert len(list(story.memory.orders())) == CLOSED_ORDERS_MAX + 1
    assert story.memory.order(2) is None
    assert story.memory.order_by_link("n2") is None
    newest = story.memory.order(CLOSED_ORDERS_MAX + 11)
    assert newest is not None
    assert (newest.status, newest.cancel_reason) == (OrderStatus.CANCELLED, "User")


def test_accounts_without_a_key_are_not_remembered() -> None:
    ledger = Ledger(1)
    ledger.fold(
        Event.WalletChanged(
            account=5,
            coin=0,
            balance=1,
            change=1,
            reason=WalletReason.Deposit,
            sequence=1,
            market_ms=1,
            wall_us=1,
        )
    )
    assert ledger.account(5) is None
    assert ledger.sequence == 1


@pytest.mark.parametrize("interval", INTERVALS)
def test_bars_tile_time(interval: str) -> None:
    start_ms = bar_start_ms(interval, START_MS)
    end_ms = bar_end_ms(interval, start_ms)
    assert start_ms <= START_MS <= end_ms
    assert bar_start_ms(interval, end_ms) == start_ms
    assert bar_start_ms(interval, end_ms + 1) == end_ms + 1


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert bar_start_ms("W", START_MS) == 1_759_708_800_000  # 2025-10-06
    assert bar_start_ms("M", START_MS) == 1_759_276_800_000  # 2025-10-01
    assert bar_end_ms("M", 1_759_276_800_000) == 1_761_955_200_000 - 1  # 2025-11-01


def test_bars_of_every_interval_agree_with_a_plain_fold() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    generator = random.Random(seed)
    series, ticks, now_ms = CandleSeries(), [], START_MS
    for _ in range(2000):
        now_ms += generator.choice([0, 10, 5_000, 70_000, 400_000])
        price, volume = generator.randrange(1, 1000), generator.randrange(5)
        series.tick(now_ms, price, volume, price * volume)
        ticks.append((now_ms, price, volume))
    for interval in ("1", "5", "60", "D"):
        bars = series.newest_first(interval)
        assert len(bars) <= BARS_MAX + 1
        for bar in bars[: BARS_MAX // 2]:
            inside = [tick for tick in ticks if bar_start_ms(interval, tick[0]) == bar.start_ms]
            before = [tick for tick in ticks if tick[0] < bar.start_ms]
            assert bar.volume == sum(volume for _, _, volume in inside)
            assert bar.turnover == sum(price * volume for _, price, volume in inside)
            reach = [price for _, price, _ in inside] + [price for _, price, _ in before[-1:]]
            assert (bar.high, bar.low) == (max(reach), min(reach))
            assert bar.close == (inside or before)[-1][1]
        starts = [bar.start_ms for bar in bars]
        assert starts == sorted(set(starts), reverse=True)


def test_quiet_minutes_are_flat_bars() -> None:
    series = CandleSeries()
    series.tick(START_MS, 100, 1, 100)
    series.pass_time(START_MS + 3 * MINUTE_MS)
    bars = series.newest_first("1")
    assert [(bar.open, bar.close, bar.volume) for bar in bars] == [(100, 100, 0)] * 3 + [(100, 100, 1)]
    series.pass_time(START_MS + 10**12)
    assert len(series.newest_first("1")) == BARS_MAX + 1


def test_the_gap_of_mark_and_last() -> None:
    samples = PriceSamples(1)
    samples.add(0, 1, 1, 0, 0, 0)
    assert samples.gap_bps(0.5) is None
    for last in (100_00, 100_10, 99_00):
        samples.add(0, 1, 1, 100_00, 100_00, last)
    assert (samples.gap_bps(0.5), samples.gap_bps(0.99)) == (10.0, 100.0)
