"""How instruments are priced, funded and limited, as Python asks for it and reads it back."""

from __future__ import annotations

from typing import Any

import pytest

from simulated_exchange._engine import SCALE, Engine, Event, GenesisError, MarkSource, Reject, Side, rules
from simulated_exchange.gateway.translate.history import movement_row
from simulated_exchange.gateway.translate.numbers import funding_rate_text
from simulated_exchange.instruments import Catalogue
from simulated_exchange.ledger import Ledger
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, BTC, ETH, Desk, contract, genesis

HOUR_MS = 3_600_000
BASIS_POINT = rules.RATE_SCALE // 10_000


def traded() -> Desk:
    """Alice is short of one coin that Bob bought at 50,000."""
    desk = Desk.opened()
    desk.accepted(desk.place(ALICE, Side.Sell, "1", "50000"))
    desk.accepted(desk.place(BOB, Side.Buy, "1", "50000"))
    return desk


def pass_to(desk: Desk, market_ms: int) -> list[Event]:
    desk.market_ms = market_ms
    return desk.accepted(desk.engine.advance_time(market_ms, market_ms * 1000))


def test_funding_is_predicted_settled_and_paid() -> None:
    desk = traded()
    before = desk.engine.funding(BTC)
    assert (before.interval_ms, before.next_ms % (8 * HOUR_MS)) == (8 * HOUR_MS, 0)
    assert (before.rate, before.settled_rate) == (BASIS_POINT, 0)
    assert (before.lower, before.upper) == (-75 * BASIS_POINT // 2, 75 * BASIS_POINT // 2)
    events = pass_to(desk, before.next_ms)
    (settled,) = [e for e in events if isinstance(e, Event.FundingSettled) and e.instrument == BTC]
    assert (settled.at_ms, settled.rate, settled.mark) == (before.next_ms, BASIS_POINT, 50_000 * SCALE)
    paid = {e.account: e.fee for e in events if isinstance(e, Event.FundingPaid)}
    assert paid == {ALICE: -5 * SCALE, BOB: 5 * SCALE}
    assert desk.engine.position(BOB, BTC).funding_paid == 5 * SCALE
    assert desk.engine.funding(BTC).settled_rate == BASIS_POINT
    assert desk.engine.conservation().adds_up
    with pytest.raises(LookupError):
        desk.engine.funding(7)


def test_settlements_and_payments_are_remembered_for_the_wire() -> None:
    ledger = Ledger(2)
    memory = ledger.watch(BOB)
    desk = traded()
    next_ms = desk.engine.funding(BTC).next_ms
    for event in pass_to(desk, next_ms):
        ledger.fold(event)
    assert [tuple(row) for row in ledger.markets[BTC].settlements] == [(next_ms, BASIS_POINT)]
    row = movement_row(memory.movements[-1], Catalogue.from_genesis(genesis()), "USDT")
    shown = {key: row[key] for key in ("type", "symbol", "side", "size", "tradePrice", "funding", "cashFlow")}
    assert shown == {
        "type": "SETTLEMENT",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "size": "1",
        "tradePrice": "50000",
        "funding": "-5",
        "cashFlow": "0",
    }
    assert (row["feeRate"], row["change"]) == ("0.0001", "-5")


def test_rates_are_shown_with_eight_decimals() -> None:
    for rate, text in (
        (BASIS_POINT, "0.0001"),
        (-15_000, "-0.00000001"),
        (4_999, "0"),
        (5_000, "0.00000001"),
    ):
        assert funding_rate_text(rate) == text


def test_terms_change_and_what_cannot_be_is_refused() -> None:
    desk = traded()

    def terms(minutes: int, lower: int, upper: int) -> Reject | None:
        outcome = desk.engine.set_funding_terms(
            *desk.now(), instrument=BTC, interval_minutes=minutes, lower=lower, upper=upper
        )
        return outcome.reject

    assert terms(120, -BASIS_POINT, 0) is None
    view = desk.engine.funding(BTC)
    assert (view.interval_ms, view.period_ms, view.rate) == (2 * HOUR_MS, 8 * HOUR_MS, 0)
    assert terms(0, 0, 0) == terms(60, 1, 2) == Reject.FundingTermsInvalid
    assert Reject.FundingTermsInvalid.code == 210


def test_a_mark_source_is_switched() -> None:
    desk = traded()
    desk.accepted(desk.place(ALICE, Side.Sell, "0.1", "50200"))
    desk.accepted(desk.place(BOB, Side.Buy, "0.1", "50100"))
    desk.accepted(desk.engine.set_mark_source(*desk.now(), instrument=BTC, source=MarkSource.BookMid))
    prices = desk.engine.prices(BTC)
    assert (prices.mark_source, prices.mark) == (MarkSource.BookMid, 50_150 * SCALE)


def test_risk_limits_are_announced_and_taken() -> None:
    desk = traded()
    tiers = [(100_000 * SCALE, 2000, SCALE // 50), (300_000 * SCALE, 1000, SCALE // 20)]
    for number, (limit, leverage, rate) in enumerate(tiers):
        desk.accepted(
            desk.engine.stage_risk_tier(
                *desk.now(),
                instrument=BTC,
                number=number,
                limit=limit,
                max_leverage=leverage,
                maintenance_rate=rate,
            )
        )
    effective_ms = desk.market_ms + 60_000
    events = desk.accepted(
        desk.engine.announce_risk_limits(*desk.now(), instrument=BTC, effective_ms=effective_ms)
    )
    assert [type(event) for event in events] == [
        Event.RiskLimitsAnnounced,
        Event.RiskTierAnnounced,
        Event.RiskTierAnnounced,
    ]
    coming = desk.engine.coming_risk_limits(BTC)
    assert coming is not None and (coming.effective_ms, coming.tiers) == (effective_ms, tiers)
    assert desk.engine.coming_risk_limits(ETH) is None
    pass_to(desk, effective_ms)
    assert desk.engine.coming_risk_limits(BTC) is None
    assert desk.engine.instruments()[BTC].tiers == tiers
    with pytest.raises(LookupError):
        desk.engine.coming_risk_limits(9)


def test_a_journal_of_such_commands_replays() -> None:
    desk = traded()
    desk.accepted(desk.engine.set_mark_source(*desk.now(), instrument=BTC, source=MarkSource.Last))
    pass_to(desk, desk.engine.funding(BTC).next_ms + 60_000)
    again = traded()
    desk_hash = desk.engine.state_hash()
    again.accepted(again.engine.set_mark_source(*again.now(), instrument=BTC, source=MarkSource.Last))
    pass_to(again, desk.engine.market_ms())
    assert again.engine.state_hash() == desk_hash


def listed(**changes: Any) -> Engine:
    return Engine.create(genesis(contract(**changes), contract("ETHUSDT")), None, "none")


def test_a_genesis_lists_funding_index_method_and_conversion() -> None:
    engine = listed(lower_funding_rate="-0.004", upper_funding_rate="0.004", funding_interval_ms=4 * HOUR_MS)
    view = engine.funding(BTC)
    assert (view.lower, view.upper) == (-40 * BASIS_POINT, 40 * BASIS_POINT)
    assert view.interval_ms == 4 * HOUR_MS
    listed(index_method="two_pass", daily_interest="0", funding_clamp="0.001", impact_notional="5000")
    bridged = contract(
        "ETHUSDT", index_sources=[{"name": "ETH/BTC", "weight": "1", "converted_by": "BTCUSDT"}]
    )
    engine = Engine.create(genesis(contract(), bridged), None, "none")
    engine.set_index_source(1, 1, instrument=BTC, source=0, price=50_000 * SCALE)
    engine.set_index_source(1, 1, instrument=ETH, source=0, price=SCALE // 25)
    assert engine.prices(ETH).index == 2_000 * SCALE


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lower_funding_rate": "-0.02"}, "lower_funding_rate"),
        ({"lower_funding_rate": "0.01", "upper_funding_rate": "0.02"}, "funding"),
        ({"funding_interval_ms": 90_000}, "funding"),
        ({"funding_interval_ms": -60_000}, "funding"),
        ({"daily_interest": "1"}, "funding"),
        ({"funding_clamp": "-0.1"}, "funding"),
        ({"impact_notional": "-1"}, "funding"),
        ({"funding_payments": 0}, "funding"),
        ({"index_method": "mean"}, "index_method"),
        ({"index_sources": [{"name": "s", "weight": "1", "converted_by": "XRPUSDT"}]}, "converted_by"),
        ({"index_sources": [{"name": "s", "weight": "1", "converted_by": "ETHUSDT"}]}, "index_sources"),
        ({"daily_interest": "99999999999"}, "daily_interest"),
    ],
)
def test_what_a_genesis_cannot_list_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(GenesisError, match=named):
        listed(**changes)
