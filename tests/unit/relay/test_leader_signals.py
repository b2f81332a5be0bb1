"""From fills to signals: positions, coalescing, what followers are told."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import pytest

from relay.core.account import FLAT, Account, Fill, Position, Quote, position_after
from relay.core.signals import FillBatcher, SignalTerms, build_signal, build_snapshot
from relay.protocol.codec import encode_payload
from relay.protocol.messages import FILLS_PER_SIGNAL_MAX, StaggerPlan

D = Decimal
BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"


def fill(
    side: Literal["buy", "sell"],
    qty: str,
    price: str,
    *,
    number: int = 1,
    order: str = "o1",
    symbol: str = BTC,
    fee: str = "0",
    leaves: str | None = None,
    seen_ms: int = 1000,
) -> Fill:
    return Fill(
        fill_id=f"f{number}",
        order_id=order,
        symbol=symbol,
        side=side,
        qty=D(qty),
        price=D(price),
        fee=D(fee),
        cause="trade",
        exec_ms=900 + number,
        seen_ms=seen_ms,
        leaves_qty=None if leaves is None else D(leaves),
    )


def quote(mark: str) -> Quote:
    return Quote(D(mark), D(mark), D(mark), D(mark) - 1, D(mark) + 1)


@pytest.mark.parametrize(
    ("before", "step", "after", "realised"),
    [
        (("0", "0"), ("buy", "2", "100"), ("2", "100"), "0"),
        (("2", "100"), ("buy", "2", "110"), ("4", "105"), "0"),
        (("4", "105"), ("sell", "1", "115"), ("3", "105"), "10"),
        (("3", "105"), ("sell", "3", "100"), ("0", "0"), "-15"),
        (("3", "105"), ("sell", "5", "100"), ("-2", "100"), "-15"),
        (("-2", "100"), ("sell", "2", "90"), ("-4", "95"), "0"),
        (("-4", "95"), ("buy", "1", "90"), ("-3", "95"), "5"),
        (("-4", "95"), ("buy", "6", "90"), ("2", "90"), "20"),
    ],
)
def test_a_fill_moves_a_position(
    before: tuple[str, str],
    step: tuple[Literal["buy", "sell"], str, str],
    after: tuple[str, str],
    realised: str,
) -> None:
    position = Position(D(before[0]), D(before[1]), D(10))
    assert position_after(position, fill(*step)) == (Position(D(after[0]), D(after[1]), D(10)), D(realised))


def test_equity_and_leverage_follow_from_wallet_positions_and_marks() -> None:
    account = Account(
        wallet_usdt=D(1000),
        positions={BTC: Position(D(2), D(100)), ETH: Position(D(-5), D(10))},
        quotes={BTC: quote("110"), ETH: quote("12")},
    )
    assert account.equity_usdt == D(1000) + 20 - 10
    assert account.leverage == D(280) / D(1010)


def test_a_round_trip_leaves_its_profit_and_fees_in_the_wallet() -> None:
    account = Account(wallet_usdt=D(1000), quotes={BTC: quote("100")})
    account = account.with_fill(fill("buy", "2", "100", fee="0.11"))
    account = account.with_fill(fill("sell", "2", "103", fee="0.12"))
    assert account.wallet_usdt == D("1005.77")
    assert account.position(BTC) == FLAT
    assert account.equity_usdt == account.wallet_usdt


def test_a_signal_says_the_step_and_the_state_after_it() -> None:
    fills = [
        fill("sell", "1", "100", number=1, fee="0.1"),
        fill("sell", "3", "104", number=2, fee="0.1", seen_ms=1003),
    ]
    account = Account(D(1000), {BTC: Position(D(1), D(90), D(20))}, {BTC: quote("100")})
    for step in fills:
        account = account.with_fill(step)
    signal = build_signal(
        account, fills, signal_id="alice.1.2", sealed_ms=1010, terms=SignalTerms(5000, StaggerPlan(waves=3))
    )
    assert (signal.side, signal.qty, signal.price, signal.fill_ids) == ("sell", "4", "103", ["f1", "f2"])
    assert (signal.position.qty, signal.position.entry_price) == ("-3", "104")
    assert signal.position.leverage == "20"
    equity = D(1000) + 10 - D("0.2") + 3 * 4
    assert signal.equity == str(equity)
    assert D(signal.position.exposure).quantize(D("1e-9")) == (D(-300) / equity).quantize(D("1e-9"))
    assert D(signal.account_leverage) == -D(signal.position.exposure)
    assert (signal.leader_exec_ms, signal.seen_ms, signal.sealed_ms) == (902, 1003, 1010)
    assert (signal.market.mark, signal.market.bid, signal.market.ask) == ("100", "99", "101")
    assert (signal.expires_ms, signal.stagger.waves) == (5000, 3)
    encode_payload(signal)


@pytest.mark.parametrize("wallet", ["-5", "0"])
def test_an_account_without_equity_has_no_ratios(wallet: str) -> None:
    account = Account(D(wallet), {}, {BTC: quote("100")}).with_fill(fill("buy", "1", "100"))
    signal = build_signal(
        account, [fill("buy", "1", "100")], signal_id="a.1.1", sealed_ms=1, terms=SignalTerms(1)
    )
    assert (signal.position.exposure, signal.account_leverage) == ("0", "0")
    assert D(signal.equity) == D(wallet)
    encode_payload(signal)


def test_an_endless_fraction_is_told_with_twelve_decimals() -> None:
    fills = [fill("buy", "1", "100"), fill("buy", "2", "101", number=2)]
    account = Account(D(777), {}, {BTC: quote("100")})
    for step in fills:
        account = account.with_fill(step)
    signal = build_signal(account, fills, signal_id="a.1.1", sealed_ms=1, terms=SignalTerms(1))
    assert signal.price == "100.666666666667"
    encode_payload(signal)


def test_a_snapshot_holds_what_is_not_flat() -> None:
    account = Account(D(1000), {ETH: Position(D(1), D(10)), BTC: FLAT}, {ETH: quote("10")})
    snapshot = build_snapshot(account, sealed_ms=5)
    assert [position.symbol for position in snapshot.positions] == [ETH]
    encode_payload(snapshot)


def test_an_order_told_to_be_done_waits_for_nothing() -> None:
    batcher = FillBatcher(5)
    assert batcher.add(fill("buy", "1", "100", leaves="2")) == []
    (batch,) = batcher.add(fill("buy", "2", "101", number=2, leaves="0"))
    assert [step.fill_id for step in batch] == ["f1", "f2"]
    assert not batcher.is_open


def test_a_resting_order_waits_for_the_window() -> None:
    batcher = FillBatcher(5)
    batcher.add(fill("buy", "1", "100", leaves="2", seen_ms=1000))
    assert batcher.is_open
    assert batcher.due_ms == 1005
    assert len(batcher.flush()[0]) == 1
    assert batcher.flush() == []


@pytest.mark.parametrize(
    "other",
    [
        fill("buy", "1", "100", number=2, order="o2", leaves="1"),
        fill("sell", "1", "100", number=2, leaves="1"),
        fill("buy", "1", "100", number=2, symbol=ETH, leaves="1"),
    ],
)
def test_another_step_ends_the_one_before(other: Fill) -> None:
    batcher = FillBatcher(5)
    batcher.add(fill("buy", "1", "100", leaves="1"))
    (batch,) = batcher.add(other)
    assert [step.fill_id for step in batch] == ["f1"]
    assert batcher.is_open


def test_a_fill_of_no_order_is_a_step_of_its_own() -> None:
    batcher = FillBatcher(5)
    assert len(batcher.add(fill("buy", "1", "100", order=""))) == 1
    assert len(batcher.add(fill("buy", "1", "100", order="", number=2))) == 1


def test_a_batch_is_bounded() -> None:
    batcher = FillBatcher(5)
    sizes = [
        len(batch)
        for number in range(FILLS_PER_SIGNAL_MAX * 2)
        for batch in batcher.add(fill("buy", "1", "100", number=number, leaves="1"))
    ]
    assert sizes == [FILLS_PER_SIGNAL_MAX] * 2
