"""The leader's account under broken streams: every fill once, in order, and the venue's word in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest

from relay import feed as feed_module
from relay.core.account import Account, Fill, Leg, Position, Quote, WalletEvent, hedged
from relay.core.positions import dump_positions, load_positions
from relay.feed import LeaderFeed
from relay.venue import VenueUnavailable, Wallet
from relay.venue.port import Levels

pytestmark = pytest.mark.asyncio

BTC = "BTC/USDT:USDT"
D = Decimal


def fill(number: int, qty: str, *, symbol: str = BTC, leaves: str = "0") -> Fill:
    return Fill(
        fill_id=f"f{number}",
        order_id=f"o{number}",
        symbol=symbol,
        side="sell" if qty.startswith("-") else "buy",
        qty=D(qty.lstrip("-")),
        price=D(100),
        fee=D("0.1"),
        cause="trade",
        exec_ms=1_000_000 + number,
        seen_ms=1_000_000 + number,
        leaves_qty=D(leaves),
    )


class FakeVenue:
    """A venue in memory: `trade` makes a fill; the stream may lose it or be broken, REST knows all."""

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.positions: dict[str, Position] = {}
        self.stream: asyncio.Queue[Fill | Exception] = asyncio.Queue()
        self.settings: asyncio.Queue[dict[str, Position]] = asyncio.Queue()
        self.orders: asyncio.Queue[None] = asyncio.Queue()
        self.events: list[WalletEvent] = []
        self.balance = D(1000)
        self.wallets: asyncio.Queue[Wallet] = asyncio.Queue()
        self.rest_down = False
        self.reads = 0

    def trade(self, step: Fill, *, lost: bool = False) -> None:
        self.fills.append(step)
        held = self.positions.get(step.symbol, Position())
        account = Account(positions={step.symbol: held}).with_fill(step)
        self.positions = {**self.positions, step.symbol: account.position(step.symbol)}
        if not lost:
            self.stream.put_nowait(step)

    async def watch_fills(self) -> list[Fill]:
        item = await self.stream.get()
        if isinstance(item, Exception):
            raise item
        return [item]

    async def watch_wallet(self) -> Wallet:
        return await self.wallets.get()

    async def watch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        return await self.settings.get()

    async def watch_orders(self) -> None:
        await self.orders.get()

    async def fetch_wallet_events(self, since_ms: int) -> list[WalletEvent]:
        return [event for event in self.events if event.exec_ms >= since_ms]

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        await asyncio.sleep(0.001)
        return {symbol: Quote(D(100), D(100), D(100), D(99), D(101)) for symbol in symbols}

    async def fetch_fills(self, since_ms: int) -> list[Fill]:
        if self.rest_down:
            raise VenueUnavailable("down")
        self.reads += 1
        return [step for step in self.fills if step.exec_ms >= since_ms]

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        return dict(self.positions)

    async def fetch_wallet(self) -> Wallet:
        return Wallet(self.balance)

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        return [], []

    async def now_ms(self) -> int:
        return 1_000_000

    async def close(self) -> None:
        return


class Listener:
    """The feed with everything it told."""

    def __init__(self, venue: FakeVenue, *, told: frozenset[str] = frozenset()) -> None:
        self.steps: list[tuple[str, ...]] = []
        self.quantities: list[Decimal] = []
        self.corrections: list[Decimal] = []
        self.first: tuple[Decimal, list[str], int] | None = None
        self.wallets: list[Decimal] = []
        self.told_events: list[tuple[str, Decimal, Decimal]] = []
        self.states: list[Account] = []
        self.feed = LeaderFeed(
            venue,
            [BTC],
            knows_fill=told.__contains__,
            on_step=self._step,
            on_first=self._first,
            on_event=self._event,
            on_correction=self._corrected,
        )

    def _event(self, event: WalletEvent, account: Account) -> None:
        self.told_events.append((event.cause, event.amount, account.wallet_usdt))

    def _corrected(self, account: Account) -> None:
        self.corrections.append(account.position(BTC).qty)
        self.states.append(account)

    def _first(self, account: Account, fills: Sequence[Fill | WalletEvent], began_ms: int) -> None:
        self.first = (account.position(BTC).qty, [step.event_id for step in fills], began_ms)

    def _step(self, fills: tuple[Fill, ...], account: Account) -> None:
        self.steps.append(tuple(step.fill_id for step in fills))
        self.quantities.append(account.position(BTC).qty)
        self.wallets.append(account.wallet_usdt)

    @asynccontextmanager
    async def running(
        self, positions: dict[str, Position] | None = None, newest_exec_ms: int = 0
    ) -> AsyncIterator[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(self.feed.run(ready, positions=positions, newest_exec_ms=newest_exec_ms))
        try:
            await asyncio.wait_for(ready.wait(), 5)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, count: int) -> None:
        await eventually(lambda: len(self.steps) >= count)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(7):
        while not condition():  # noqa: ASYNC110 - callbacks set no event
            await asyncio.sleep(0.001)


async def test_a_first_start_tells_nothing_of_the_past() -> None:
    venue = FakeVenue()
    venue.trade(fill(1, "2"), lost=True)
    listener = Listener(venue)
    async with listener.running():
        assert listener.feed.account.position(BTC).qty == 2
        assert listener.first == (D(2), ["f1"], 1_000_000)  # to be written down, so that no restart tells it
        venue.trade(fill(2, "1"))
        await listener.until(1)
    assert (listener.steps, listener.quantities, listener.corrections) == ([("f2",)], [D(3)], [])


async def test_a_fill_that_arrives_while_starting_is_told_once() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    venue.trade(fill(1, "2"))  # in the stream and in the first REST answer
    async with listener.running():
        venue.trade(fill(2, "1"))
        await listener.until(1)
    assert (listener.steps, listener.quantities) == ([("f2",)], [D(3)])


async def test_a_restart_tells_what_was_missed_step_by_step() -> None:
    venue = FakeVenue()
    for number, qty in ((1, "2"), (2, "-1"), (3, "-1")):
        venue.trade(fill(number, qty), lost=True)
    saved = load_positions(dump_positions({BTC: Position(D(2), D(100))}))
    listener = Listener(venue, told=frozenset({"f1"}))
    async with listener.running(saved, newest_exec_ms=1_000_001):
        await listener.until(2)
        assert listener.feed.account.wallet_usdt == 1000
    assert (listener.steps, listener.quantities) == ([("f2",), ("f3",)], [D(1), D(0)])
    assert listener.corrections == []


async def test_a_broken_stream_is_filled_from_rest_without_doubles() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.trade(fill(1, "1"))
        await listener.until(1)
        venue.trade(fill(2, "1"), lost=True)
        venue.trade(fill(3, "1"), lost=True)
        venue.stream.put_nowait(VenueUnavailable("gone"))
        await listener.until(3)
        venue.stream.put_nowait(fill(3, "1"))  # the stream repeats itself
        venue.trade(fill(4, "-3"))
        await listener.until(4)
    assert listener.steps == [("f1",), ("f2",), ("f3",), ("f4",)]
    assert listener.quantities == [D(1), D(2), D(3), D(0)]
    assert listener.corrections == []


async def test_the_account_is_not_live_until_it_was_reconciled() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        await eventually(lambda: listener.feed.is_live)
        venue.rest_down = True
        venue.stream.put_nowait(VenueUnavailable("gone"))
        await eventually(lambda: not listener.feed.is_live)
        reads = venue.reads
        venue.rest_down = False
        await eventually(lambda: listener.feed.is_live)
        assert venue.reads > reads


async def test_a_position_that_no_fill_explains_is_the_venues() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.trade(fill(1, "1"))
        await listener.until(1)
        venue.positions = {BTC: Position(D(7), D(100))}
        venue.stream.put_nowait(VenueUnavailable("gone"))
        await eventually(lambda: bool(listener.corrections))
    assert listener.corrections == [D(7)]
    assert listener.feed.account.position(BTC).qty == 7


async def test_fills_of_one_order_are_one_step_and_a_rest_goes_after_the_window() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        for number, leaves in ((1, "2"), (2, "1")):
            step = fill(number, "1", leaves=leaves)
            venue.trade(Fill(**{name: getattr(step, name) for name in Fill.__slots__} | {"order_id": "same"}))
        await listener.until(1)
    assert listener.steps == [("f1", "f2")]


async def test_a_symbol_that_is_not_published_counts_but_is_not_told() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.trade(fill(1, "5", symbol="ETH/USDT:USDT"))
        venue.trade(fill(2, "1"))
        await listener.until(1)
        assert listener.steps == [("f2",)]
        assert listener.feed.account.position("ETH/USDT:USDT").qty == 5
        assert listener.feed.account.leverage > D("0.5")


@pytest.mark.parametrize("leaves", ["0", "1"])  # 1: the fill waits a moment for more of its order
@pytest.mark.parametrize("wallet_first", [True, False])
async def test_a_fill_changes_the_wallet_once_whichever_stream_tells_first(
    leaves: str, wallet_first: bool
) -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        assert listener.feed.account.wallet_usdt == 1000
        after = Wallet(D("999.9"))  # a fee of 0.1 was paid
        if wallet_first:
            venue.wallets.put_nowait(after)
            await eventually(venue.wallets.empty)
        venue.trade(replace(fill(1, "1", leaves=leaves), seen_ms=time.time_ns() // 1_000_000))
        if not wallet_first:
            await eventually(venue.stream.empty)
            venue.wallets.put_nowait(after)
        await listener.until(1)
        assert listener.wallets == [D("999.9")]


async def test_a_wallet_that_no_fill_changed_is_taken_over() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.balance = D(1500)  # a deposit
        venue.wallets.put_nowait(Wallet(D(1500)))
        await eventually(lambda: listener.feed.account.wallet_usdt == 1500)


async def test_a_fill_that_the_stream_dropped_without_a_word_is_found_soon() -> None:
    assert feed_module.RECONCILE_INTERVAL_S <= 5
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.trade(fill(1, "1"), lost=True)
        async with asyncio.timeout(feed_module.RECONCILE_INTERVAL_S + 2):
            await listener.until(1)
    assert (listener.steps, listener.corrections) == ([("f1",)], [])


def event(number: int, amount: str, cause: str = "cash_flow") -> WalletEvent:
    return WalletEvent(f"w{number}", cause, D(amount), None, 1_000_000 + number, 1_000_000 + number)  # type: ignore[arg-type]


async def test_a_deposit_is_told_once_and_at_once() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.events, venue.balance = [event(1, "500")], D(1500)
        venue.wallets.put_nowait(Wallet(D(1500)))
        async with asyncio.timeout(feed_module.RECONCILE_INTERVAL_S - 2):
            await eventually(lambda: bool(listener.told_events))
        venue.events, venue.balance = [*venue.events, event(2, "-3", "funding")], D(1497)
        venue.wallets.put_nowait(Wallet(D(1497)))
        await eventually(lambda: len(listener.told_events) == 2)
    assert listener.told_events == [("cash_flow", D(500), D(1500)), ("funding", D(-3), D(1497))]
    assert (listener.steps, listener.corrections) == ([], [])


async def test_what_moved_the_wallet_while_nobody_looked_is_told_at_the_next_start() -> None:
    venue = FakeVenue()
    venue.trade(fill(1, "2"), lost=True)
    venue.events, venue.balance = [event(2, "200"), event(3, "-50")], D(1150)
    listener = Listener(venue, told=frozenset({"f1"}))
    async with listener.running({BTC: Position(D(2), D(100))}, newest_exec_ms=1_000_001):
        assert listener.told_events == [("cash_flow", D(200), D(1200)), ("cash_flow", D(-50), D(1150))]
    first = Listener(venue)
    async with first.running():
        assert first.told_events == []
        assert first.first is not None
        assert first.first[1] == ["f1", "w2", "w3"]


async def test_a_stop_loss_set_by_hand_is_told_without_a_trade() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.trade(fill(1, "2"))
        await listener.until(1)
        held = listener.feed.account.position(BTC)
        venue.settings.put_nowait({BTC: replace(held, qty=D(9), stop_loss=D(80))})  # fills tell quantities
        venue.settings.put_nowait({BTC: replace(held, stop_loss=D(90), take_profit=D(120))})
        await eventually(lambda: bool(listener.states))
        venue.positions = {BTC: replace(held, stop_loss=D(90), take_profit=D(120))}
    (state,) = listener.states
    told = state.position(BTC)
    assert [told.qty, told.stop_loss, told.take_profit] == [D(2), D(90), D(120)]


async def test_stops_that_are_orders_are_told_when_orders_change() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        venue.trade(fill(1, "2"))
        await listener.until(1)
        held = listener.feed.account.position(BTC)
        venue.orders.put_nowait(None)  # some other order
        venue.positions = {BTC: replace(held, stop_loss=D(95))}
        venue.orders.put_nowait(None)
        await eventually(lambda: bool(listener.states))
        venue.positions = {BTC: held}  # it was cancelled
        venue.orders.put_nowait(None)
        await eventually(lambda: len(listener.states) == 2)
    assert [state.position(BTC).stop_loss for state in listener.states] == [D(95), D(0)]
    assert [state.position(BTC).qty for state in listener.states] == [D(2), D(2)]


async def test_both_sides_of_a_hedge_are_kept_and_resumed() -> None:
    venue = FakeVenue()
    listener = Listener(venue)
    async with listener.running():
        for number, qty, leg in ((1, "3", "long"), (2, "-1", "short"), (3, "-2", "long"), (4, "1", "short")):
            venue.trade(replace(fill(number, qty), leg=leg))  # type: ignore[arg-type]
        await listener.until(4)
    assert listener.quantities == [D(3), D(2), D(0), D(1)]
    assert listener.corrections == []
    position = listener.feed.account.position(BTC)
    assert (position.long, position.short) == (Leg(D(1), D(100)), Leg())
    saved = hedged(Position(long=Leg(D(3), D(100)), short=Leg(D(1), D(90))))
    assert load_positions(dump_positions({BTC: saved})) == {BTC: saved}
    flat = hedged(Position(long=Leg(D(2), D(100)), short=Leg(D(2), D(90))))
    assert load_positions(dump_positions({BTC: flat})) == {BTC: flat}
