"""Who joins while the leader holds positions: taken at once, through the same way as any copy, each once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from follower_client import order_driver
from follower_client.core.order import client_order_id
from follower_client.core.policy import LateJoin, Policy
from follower_client.late_join import record_late
from follower_client.leader_view import LeaderView
from follower_client.records import LATE_EPOCH, Copy
from follower_client.reports import Identity
from follower_client.store import Store
from follower_client.venue.port import Ending, SubmitResult
from relay.protocol.messages import POSITIONS_MAX, PositionState, Snapshot
from tests.unit.follower_client.build import BTC, quote
from tests.unit.follower_client.executor_bench import Bench, bench, until
from tests.unit.follower_client.fake_venue import FakeVenue
from tests.unit.follower_client.sealed import sealed

SEQ = 7  # of the snapshot


def policy(**rules: Any) -> Policy:
    values: dict[str, Any] = {"leverage_max": Decimal(10), "late_join": LateJoin.COPY_NOW}
    return Policy(label="test", **(values | rules))


def held(qty: str, *, symbol: str = BTC, entry: str = "90000", exposure: str = "2") -> PositionState:
    """Twice his equity, bought below the market."""
    return PositionState(symbol=symbol, qty=qty, entry_price=entry, exposure=exposure, leverage="10")


def whole(*positions: PositionState, leverage: str = "4") -> Snapshot:
    return Snapshot(positions=list(positions), equity="100000", account_leverage=leverage, sealed_ms=1)


def tell(one: Bench, message: Snapshot, seq: int = SEQ) -> None:
    one.executor.heard(sealed(message, seq), message)


async def late(one: Bench, number: int = 0, seq: int = SEQ) -> Copy:
    return await one.verdict(seq * POSITIONS_MAX + number)


def name(n: int = 0) -> str:
    return client_order_id("alice", "leader", LATE_EPOCH, SEQ * POSITIONS_MAX, "open", n)


@pytest.mark.asyncio
async def test_what_he_holds_is_taken_at_once_at_the_markets_price(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=policy()) as one:
        tell(one, whole(held("2")))
        copy = await late(one)
        assert (copy.verdict, copy.reason, copy.detail) == (
            "copied", "copied", "on joining: copies the leader's entry",
        )  # fmt: skip
        assert one.position() == Decimal("0.1")  # half of his exposure on 10,000
        (request,) = one.venue.requests
        assert request.client_order_id == name() and request.limit_price == Decimal("100500.0")
        assert one.reports() == []  # the relay knows of no such signal
        head = one.store.head("leader")
        assert head is not None and (head.epoch, head.seq) == (1, SEQ)
        tell(one, whole(held("3")), SEQ + 1)  # only the first one tells what is from before
        await one.verdict(one.offer("0"))  # (nothing is left on its way)
        assert len(one.store.copies(limit=10)) == 2


@pytest.mark.asyncio
async def test_his_steps_afterwards_are_copied_like_any(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=policy()) as one:
        tell(one, whole(held("-2", exposure="-2")))
        await late(one)
        assert one.position() == Decimal("-0.1")
        one.seq, one.qty = SEQ, Decimal(-2)
        assert (await one.verdict(one.offer("-1"))).verdict == "copied"
        assert one.position() in (Decimal("-0.049"), Decimal("-0.05"))  # of an equity that paid a fee
        assert (await one.verdict(one.offer("0"))).verdict == "copied"
        assert one.position() == 0


@pytest.mark.asyncio
async def test_who_waits_takes_nothing_and_who_is_picky_not_at_a_worse_price(tmp_path: Path) -> None:
    for rule in (LateJoin.WAIT, LateJoin.IF_NOT_WORSE):
        folder = tmp_path / rule.value
        folder.mkdir()
        async with bench(folder, policy=policy(late_join=rule)) as one:
            tell(one, whole(held("2")))
            if rule is LateJoin.IF_NOT_WORSE:
                copy = await late(one)
                assert (copy.verdict, copy.reason, copy.limit_value) == (
                    "skipped", "late_join_price", Decimal(90000),
                )  # fmt: skip
            one.seq, one.qty = SEQ, Decimal(2)
            later = await one.verdict(one.offer("3"))
            assert later.verdict == "skipped" and later.reason.startswith("late_join")
            assert one.venue.requests == []
    async with bench(tmp_path, policy=policy(late_join=LateJoin.IF_NOT_WORSE)) as one:
        tell(one, whole(held("2", entry="101000")))
        assert (await late(one)).verdict == "copied"


@pytest.mark.asyncio
async def test_caps_lists_and_what_is_not_traded_here_hold_on_joining_too(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=policy(scale=Decimal(1))) as one:
        odd = held("5", symbol="XYZ/USDT:USDT")
        tell(one, whole(odd, held("2"), held("0", symbol="ETH/USDT:USDT", exposure="0"), leverage="1"))
        assert (await late(one, 0)).reason == "symbol_unknown"
        capped = await late(one, 1)
        assert (capped.verdict, capped.reason) == ("capped", "cap_leader_leverage")
        assert one.position() <= Decimal("0.05")  # half of his leverage of 1
        assert len(one.store.copies(limit=10)) == 2  # one verdict for each position, none for what is flat


@pytest.mark.asyncio
async def test_a_hostile_list_of_positions_takes_nothing_down(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=policy()) as one:
        worst = held("0.000000000001", symbol="A/B:C", exposure="9" * 16)
        tell(one, whole(worst, held("1", exposure="-2"), held("1", symbol="D/E:F", exposure="0")))
        for number in range(3):
            assert (await late(one, number)).verdict == "skipped"
        assert one.venue.requests == []


@pytest.mark.asyncio
async def test_he_who_leaves_at_once_is_left_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=policy()) as one:
        tell(one, whole(held("2")))
        one.seq, one.qty = SEQ, Decimal(2)
        await one.verdict(one.offer("0"))
        assert (await late(one)).verdict is not None
        assert one.position() == 0


@pytest.mark.asyncio
async def test_a_crash_on_joining_neither_doubles_nor_loses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_driver, "ENGINE_LAG_MS", 0)
    monkeypatch.setattr(order_driver, "FUTURE_TOLERANCE_MS", 100)
    venue = FakeVenue()
    venue.blind = True
    venue.fault = lambda request: SubmitResult(Ending.UNKNOWN)
    async with bench(tmp_path, venue, policy=policy()) as one:
        tell(one, whole(held("2")))
        await until(lambda: venue.requests)
    venue.blind, venue.fault, venue.listener = False, lambda request: None, None
    venue.account.quotes[BTC] = quote(at_ms=order_driver.now_ms())
    async with bench(tmp_path, venue, policy=policy()) as one:
        tell(one, whole(held("2")))  # the head had not moved on: it comes again
        assert (await late(one)).verdict == "copied"
        assert {request.client_order_id for request in venue.requests} == {name()}
        assert one.position() == Decimal("0.1") and len(one.store.copies(limit=10)) == 1


@pytest.mark.asyncio
async def test_a_row_without_an_order_is_taken_up_after_a_crash(tmp_path: Path) -> None:
    store, message = Store.open(tmp_path / "follower.sqlite"), whole(held("2"))
    identity = Identity("alice", "leader", "test", False)
    for rows in (1, 0):
        found = record_late(
            *(store, policy(), identity, LeaderView()), lambda _: quote(), sealed(message, SEQ), message
        )
        assert len(found) == rows
    store.close()  # here the process ends
    async with bench(tmp_path, policy=policy()) as one:
        assert (await late(one)).verdict == "copied" and one.position() == Decimal("0.1")
        assert one.executor.last_seq == 0


def _entered(one: Bench, qty: str) -> None:
    """The leader's snapshot of nothing, and then what he enters."""
    tell(one, whole(), seq=1)
    one.seq = 1
    one.offer(qty)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("held_after", "left"),
    [
        ((), "0"),
        ((held("0.4", exposure="0.4"),), "0.4"),
        ((held("-1", exposure="-1"),), "0"),
        ((held("3", exposure="3"),), "1"),
    ],
)
async def test_what_he_left_unheard_is_left_too(
    tmp_path: Path, held_after: tuple[PositionState, ...], left: str
) -> None:
    """After a gap there is his list of positions: smaller ones are followed down, nothing is entered."""
    async with bench(tmp_path, policy=policy(late_join=LateJoin.WAIT)) as one:
        _entered(one, "1")
        await one.verdict(2)
        entered = one.position()
        assert entered > 0
        one.executor.leader.has_gap = True
        tell(one, whole(*held_after), seq=9)
        if Decimal(left) < 1:
            copy = await late(one, seq=9)
            assert copy.verdict == "copied" and copy.is_exit and copy.detail.startswith("unheard of: ")
        target = entered * Decimal(left)
        assert target - Decimal("0.001") <= one.position() <= target  # down to the lot
        tell(one, whole(*held_after), seq=10)  # no gap before this one
        await one.executor.drain(5)
        assert len(one.store.copies(limit=10)) == (2 if Decimal(left) < 1 else 1)


@pytest.mark.asyncio
async def test_a_list_without_a_gap_closes_nothing(tmp_path: Path) -> None:
    """A snapshot may be older than a step that is on its way."""
    async with bench(tmp_path, policy=policy(late_join=LateJoin.WAIT)) as one:
        _entered(one, "1")
        await one.verdict(2)
        entered = one.position()
        tell(one, whole(), seq=9)
        await one.executor.drain(5)
        assert one.position() == entered > 0
