"""Recorded fills become a leader's plan: direction and fraction kept, everything moved is named."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from relay.demo.leader_fills import LeaderFillsError, LeaderPlan, load_leader_plan

HEADER = "slot,role,time_ms,coin,side,sz,startPosition,oid"
T0 = 1_700_000_000_000
MINUTE = 60_000


def plan(
    tmp_path: Path,
    *rows: str,
    header: str = HEADER,
    account: str = "acc1",
    window: tuple[int, int] | None = None,
) -> LeaderPlan:
    path = tmp_path / "fills.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return load_leader_plan(path, account=account, symbol="BTCUSDT", window_ms=window)


def positions(found: LeaderPlan) -> list[Decimal]:
    return [order.position for order in found.orders]


def test_fills_of_one_order_are_one_step_and_fractions_are_kept(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        f"acc1,leader,{T0},BTC,buy,3,1,A",  # rows of one order, out of order within the instant
        f"acc1,leader,{T0},BTC,buy,1,0,A",
        f"acc1,leader,{T0 + MINUTE},BTC,sell,1,4,B",
        f"acc1,leader,{T0 + 2 * MINUTE},BTC,sell,5,3,C",
    )
    assert positions(found) == [Decimal(1), Decimal("0.75"), Decimal("-0.5")]
    assert [order.at for order in found.orders] == pytest.approx([0, 0.5, 1], abs=1e-4)
    assert (found.times_moved, found.symbol_moved, found.gaps) == (True, False, 0)


def test_a_position_carried_in_is_opened_first(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        f"acc1,leader,{T0 + MINUTE},BTC,sell,1,4,A",
        f"acc1,leader,{T0 + 2 * MINUTE},BTC,sell,1,3,B",
        window=(T0, T0 + 4 * MINUTE),
    )
    assert positions(found) == [Decimal(1), Decimal("0.75"), Decimal("0.5")]
    assert [order.at for order in found.orders] == [0, 0.25, 0.5]
    assert found.transplanted is False


def test_a_missing_row_does_not_shift_what_follows(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        f"acc1,leader,{T0},BTC,buy,4,0,A",
        f"acc1,leader,{T0 + MINUTE},BTC,sell,1,2,C",  # B, a sell of 2, is missing
    )
    assert positions(found) == [Decimal(1), Decimal("0.25")]
    assert found.gaps == 1


def test_other_coins_become_slices_and_are_called_moved(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        f"acc1,leader,{T0},ETH,buy,10,0,A",
        f"acc1,leader,{T0 + 1},SOL,buy,500,0,B",
        f"acc1,leader,{T0 + 2},ETH,sell,10,10,C",
    )
    assert positions(found) == [Decimal("0.5"), Decimal(1), Decimal("0.5")]
    assert found.symbol_moved
    assert found.transplanted
    assert found.coins == ("ETH", "SOL")


def test_only_the_leaders_rows_of_the_account_count(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        f"acc1,follower,{T0},BTC,buy,9,0,A",
        f"acc2,leader,{T0},BTC,buy,9,0,B",
        f"acc1,leader,{T0},BTC,buy,1,0,C",
    )
    assert found.fills == 1


def test_indian_local_time_and_a_shortened_address(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        "0x513b86,BTC,BUY,15-11-2023 03:43,1,0,A",  # 14 November, 22:13 UTC
        "0x513b86,BTC,SELL,15-11-2023 03:44,1,1,B",
        header="Account,Coin,Side,Timestamp IST,Size Tokens,Start Position,Order ID",
        account="0x513b",
        window=(1_699_999_980_000, 1_699_999_980_000 + 2 * MINUTE),
    )
    assert [order.at for order in found.orders] == [0, 0.5]
    assert found.transplanted is False


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (f"acc1,leader,{T0},BTC,hold,1,0,A", "side"),
        (f"acc1,leader,{T0},BTC,buy,zero,0,A", "sz"),
        (f"acc1,leader,{T0},BTC,buy,-1,0,A", "sz"),
        (f"acc1,leader,{T0},BTC,buy,NaN,0,A", "sz"),
        (f"acc1,leader,{T0},BTC,buy,1e400,0,A", "sz"),
        (f"acc1,leader,{T0},BTC,buy,1,Infinity,A", "startPosition"),
        ("acc1,leader,-1,BTC,buy,1,0,A", "time_ms"),
        ("acc1,leader,soon,BTC,buy,1,0,A", "time_ms"),
    ],
)
def test_a_bad_row_is_named_with_its_column(tmp_path: Path, row: str, named: str) -> None:
    with pytest.raises(LeaderFillsError) as error:
        plan(tmp_path, row)
    assert f"row 2 column {named}" in str(error.value)
    assert "allowed" in str(error.value) or "not a decimal" in str(error.value)


def test_a_missing_column_and_an_unknown_account_are_named(tmp_path: Path) -> None:
    with pytest.raises(LeaderFillsError, match="column missing: oid or Order ID"):
        plan(tmp_path, "acc1,leader,1,BTC,buy,1,0", header=HEADER.removesuffix(",oid"))
    with pytest.raises(LeaderFillsError, match="'nobody'"):
        plan(tmp_path, f"acc1,leader,{T0},BTC,buy,1,0,A", account="nobody")
