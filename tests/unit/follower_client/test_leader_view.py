"""What a follower knows of his leader: from which message, and for how long."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from follower_client.leader_view import LeaderFacts, LeaderView
from relay.protocol.messages import AccountChange, Notice, PositionState, Snapshot
from tests.unit.follower_client.build import BTC, signal

ETH = "ETH/USDT:USDT"


def position(symbol: str, qty: str) -> PositionState:
    return PositionState(symbol=symbol, qty=qty, entry_price="100", exposure=qty, leverage="10")


def whole(*positions: PositionState, equity: str = "1000") -> Snapshot:
    return Snapshot(positions=list(positions), equity=equity, account_leverage="1", sealed_ms=1)


def cash_flow(*positions: PositionState, equity: str) -> AccountChange:
    return AccountChange(
        signal_id="leader.1.1",
        cause="cash_flow",
        event_ids=["d1"],
        amount="900",
        positions=list(positions),
        equity=equity,
        account_leverage="1",
        leader_exec_ms=1,
        seen_ms=1,
        sealed_ms=1,
    )


def test_what_he_held_at_the_first_snapshot_is_from_before() -> None:
    view = LeaderView()
    view.hear(whole(position(BTC, "2")))
    view.hear(whole(position(BTC, "2"), position(ETH, "1")))
    assert view.facts.legacy == {BTC}
    view.hear(signal(before="2", after="0"))
    assert view.facts.legacy == frozenset() and view.qty(BTC) == 0


def test_a_first_signal_that_adds_is_from_before_and_one_that_opens_is_not() -> None:
    view = LeaderView()
    view.hear(signal(before="1", after="2"))
    view.hear(signal(before="0", after="3", symbol=ETH))
    assert view.facts.legacy == {BTC}
    view.hear(signal(before="2", after="-1"))
    assert view.facts.legacy == frozenset()


def test_a_cash_flow_marks_what_is_open_until_it_is_closed() -> None:
    view = LeaderView()
    view.hear(signal(before="0", after="2", equity="100"))
    view.hear(cash_flow(position(BTC, "2"), equity="1000"))
    assert view.facts.rebased == {BTC} and view.facts.equity_at_start == 100
    assert view.state(BTC, alive=True).equity_before == 100
    view.hear(signal(before="2", after="3", equity="1000"))
    assert view.facts.rebased == {BTC} and view.state(BTC, alive=True).equity_before == 1000
    view.hear(whole(equity="1000"))
    assert view.facts.rebased == frozenset() and view.qty(BTC) == 0


def test_his_recommendation_is_kept_and_taken_back() -> None:
    view = LeaderView()
    view.hear(Notice(notice="terms", text="", sealed_ms=1, recommended_leverage="2.5"))
    again = LeaderView()
    again.restore(msgspec.json.decode(msgspec.json.encode(view.facts), type=LeaderFacts))
    assert again.state(BTC, alive=True).leverage_recommended == Decimal("2.5")
    again.hear(Notice(notice="terms", text="", sealed_ms=2, recommended_leverage="0"))
    assert again.state(BTC, alive=True).leverage_recommended is None


def test_stops_are_his_newest() -> None:
    view = LeaderView()
    raw = signal(before="0", after="2")
    view.hear(msgspec.structs.replace(raw, position=msgspec.structs.replace(raw.position, stop_loss="90")))
    assert view.stops(BTC) == (Decimal(90), None)
    view.hear(whole(position(BTC, "2")))
    assert view.stops(BTC) == (None, None) and view.stops(ETH) == (None, None)


def test_what_the_feed_tells_again_after_a_start_never_takes_a_newer_states_place() -> None:
    view = LeaderView()
    view.hear(signal(before="1", after="0", equity="300"), 7)  # from the store, the feed begins at 4
    view.hear(signal(before="0", after="1", equity="100"), 4)
    assert view.qty(BTC) == 0 and view.equity == 300
    view.hear(whole(position(BTC, "1"), position(ETH, "2"), equity="200"), 5)
    assert view.qty(BTC) == 0 and view.qty(ETH) == 2, "what was not known is news"
    assert view.equity == 300
    view.hear(signal(before="1", after="0", equity="300"), 7)
    assert view.equity_before is None, "the same news is no jump of his equity"
    view.hear(signal(before="0", after="3", equity="400"), 8)
    assert view.qty(BTC) == 3 and view.equity == 400
