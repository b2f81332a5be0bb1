"""Which executions at the venue were copies, told by their names alone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from follower_client.core.order import client_order_id
from follower_client.core.policy import Policy
from follower_client.late_join import record_late
from follower_client.leader_view import LeaderView
from follower_client.records import LATE_EPOCH
from follower_client.reports import Identity
from follower_client.retracing import Retrace
from follower_client.store import Store
from follower_client.venue.port import VenueFill
from relay.protocol.messages import PositionState, Snapshot
from tests.unit.follower_client.build import BTC, quote, signal
from tests.unit.follower_client.sealed import sealed

ETH = "ETH/USDT:USDT"
SNAPSHOT_SEQ = 9


def fill(name: str, *, is_buy: bool, qty: str = "0.1", symbol: str = BTC) -> VenueFill:
    return VenueFill(
        fill_id=f"x{name}",
        client_order_id=name,
        order_id=f"v{name}",
        symbol=symbol,
        is_buy=is_buy,
        qty=Decimal(qty),
        price=Decimal(100_000),
        fee=Decimal(0),
        fee_currency="USDT",
        executed_ms=2,
        is_maker=False,
    )


def name(leg: str, *, epoch: int = 1, seq: int = 1, n: int = 0) -> str:
    return client_order_id("alice", "leader", epoch, seq, leg, n)


def written(retrace: Retrace, folder: Path) -> Store:
    store = Store.open(folder / "follower.sqlite")
    store.claim({"follower": "alice"})
    retrace.write(store)
    return store


def whole(*symbols: str) -> Snapshot:
    states = [
        PositionState(symbol=symbol, qty="2", entry_price="1", exposure="1", leverage="5")
        for symbol in symbols
    ]
    return Snapshot(positions=states, equity="100000", account_leverage="1", sealed_ms=1)


def test_an_exit_that_was_refused_for_a_day_is_found_again(tmp_path: Path) -> None:
    retrace = Retrace(
        "alice", [fill(name("open"), is_buy=True), fill(name("close", seq=2, n=1500), is_buy=False)]
    )
    for seq, (before, after) in enumerate((("0", "2"), ("2", "0")), start=1):
        message = signal(before=before, after=after, seq=seq)
        retrace.signal(sealed(message, seq), message)
    assert len(retrace.left) == 1
    retrace.long_exits()
    assert retrace.left == {}
    store = written(retrace, tmp_path)
    assert store.positions() == {}
    verdicts = {copy.seq: copy.verdict for copy in store.copies(limit=10)}
    assert verdicts == {1: "copied", 2: "copied"}
    store.close()


def test_what_no_name_explains_stays_somebody_elses(tmp_path: Path) -> None:
    retrace = Retrace("alice", [fill("somebody", is_buy=True)])
    message = signal(before="0", after="2")
    retrace.signal(sealed(message, 1), message)
    retrace.flattens(["leader"], 3)
    retrace.snapshot(sealed(whole(BTC), SNAPSHOT_SEQ), whole(BTC))
    retrace.long_exits()
    assert set(retrace.left) == {"somebody"}
    store = written(retrace, tmp_path)
    assert store.positions() == {}
    store.close()


def test_what_the_operator_closed_is_not_taken_for_open(tmp_path: Path) -> None:
    closing = client_order_id("alice", "leader", 0, 3, f"flatten {BTC}", 1)
    retrace = Retrace("alice", [fill(name("open"), is_buy=True), fill(closing, is_buy=False)])
    message = signal(before="0", after="2")
    retrace.signal(sealed(message, 1), message)
    retrace.flattens(["leader"], 5)
    store = written(retrace, tmp_path)
    assert retrace.left == {} and store.positions() == {}
    store.close()


def test_exits_that_no_signal_told_are_found_though_history_lacks_what_was_before(tmp_path: Path) -> None:
    """He left ETH unheard: the snapshot lists BTC alone, and nothing is left that told of ETH."""
    live = Store.open(tmp_path / "live.sqlite")
    view = LeaderView()
    view.hear(whole(BTC, ETH))
    view.has_gap = True
    place = sealed(whole(BTC), SNAPSHOT_SEQ)
    rules = Policy(label="test")
    (exit_,) = record_late(
        live, rules, Identity("alice", "leader", "p", False), view, lambda _: quote(), place, whole(BTC)
    )
    assert (exit_.symbol, exit_.epoch, exit_.is_exit) == (ETH, LATE_EPOCH, True)
    live.close()
    order = name("close", epoch=LATE_EPOCH, seq=exit_.seq)
    retrace = Retrace("alice", [fill(order, is_buy=False, symbol=ETH)])
    retrace.snapshot(place, whole(BTC))
    assert retrace.left == {} and retrace.signals == 0
    store = written(retrace, tmp_path)
    assert store.positions() == {ETH: Decimal("-0.1")}  # its entry is not in this history
    (copy,) = store.copies(limit=10)
    assert (copy.key, copy.is_exit, copy.verdict) == (exit_.key, True, "copied")
    store.close()
