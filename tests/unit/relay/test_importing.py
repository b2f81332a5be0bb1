"""Bringing records in: what is wrong with a file is one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.core.imported import RecordedFill, import_fills, read_fill
from relay.errors import Failed
from relay.importing import import_file

HEAD = "slot,role,time_ms,coin,side,px,sz,startPosition,fee,feeToken,oid,tid\n"


def fill(role: str, time_ms: int, *, side: str = "buy", px: str = "100", oid: str = "1") -> RecordedFill:
    values = f"acc1,{role},{time_ms},BTC,{side},{px},2,0,0.1,USDC,{oid},{role}{time_ms}"
    return read_fill(dict(zip(HEAD.strip().split(","), values.split(","), strict=True)))


def test_a_fill_copies_the_latest_leaders_fill_before_it() -> None:
    found = import_fills(
        [
            fill("leader", 1000, px="100"),
            fill("leader", 1000, px="102"),  # one step at the mean of its fills
            fill("leader", 5000, side="sell"),
            fill("follower", 4000),
            fill("follower", 4500, oid="2"),
            fill("follower", 900),  # before any
            fill("follower", 9000, side="sell"),  # beyond the window
        ],
        window_ms=3_600,
    )
    assert [(p.seq, p.signal.side, p.signal.price, p.signal.position.qty) for p in found.signals] == [
        (1, "buy", "101", "4"),
        (2, "sell", "100", "-2"),
    ]
    assert (found.follower_fills, list(found.delays_ms), found.beyond_window) == (4, [3000, 3500, 4000], 1)
    [copy] = found.copies
    assert (copy.seq, len(copy.orders), copy.order_qty, copy.executed_ms) == (1, 2, "4", 4500)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slot,role\n", "columns missing: time_ms"),
        (HEAD + "acc1,leader,x,BTC,buy,1,1,0,0,USDC,1,1\n", "line 2"),
        (HEAD + "acc1,boss,1,BTC,buy,1,1,0,0,USDC,1,1\n", "line 2: role 'boss'"),
        (HEAD + "acc1,leader,1,BTC,buy,-1,1,0,0,USDC,1,1\n", "above 0"),
        (HEAD + "acc1,leader,1,BTC,buy,NaN,1,0,0,USDC,1,1\n", "above 0"),
    ],
)
def test_what_is_no_record_says_where(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "fills.csv"
    file.write_text(text)
    with pytest.raises(Failed, match=said):
        import_file(file, tmp_path / "drift.sqlite", 1000)
