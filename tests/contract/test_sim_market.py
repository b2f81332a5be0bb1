"""What operators change while a venue runs: marks, funding, risk limits; and what they cannot."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.contract.serving import VenueProcess

SYMBOL = "ETHUSDT"
TIER = {"limit": "100000", "max_leverage": "20", "maintenance_rate": "0.02"}


def changed(venue: VenueProcess, **body: Any) -> dict[str, Any]:
    answer = requests.post(f"{venue.rest}/sim/market", json={"symbol": SYMBOL, **body}, timeout=10)
    found: dict[str, Any] = answer.json()
    return found


def market(venue: VenueProcess, path: str) -> dict[str, Any]:
    answer = requests.get(
        f"{venue.rest}/v5/market/{path}", {"category": "linear", "symbol": SYMBOL}, timeout=10
    )
    row: dict[str, Any] = answer.json()["result"]["list"][0]
    return row


def test_marks_funding_and_risk_limits_are_changed(venue: VenueProcess) -> None:
    terms = {"interval_minutes": 240, "lower": "-0.003", "upper": "0.003"}
    assert changed(venue, mark_source="book_mid", funding=terms)["changed"] == ["funding", "mark_source"]
    assert changed(venue, mark_source="dual")["changed"] == ["mark_source"]
    assert changed(venue, risk_limits=[TIER], effective_ms=2**45)["changed"] == ["risk_limits"]
    assert market(venue, "risk-limit")["maxLeverage"] != "20.00", "with notice, not at once"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"mark_source": "guess"},
        {"funding": {"interval_minutes": 0, "lower": "0", "upper": "0"}},
        {"funding": {"interval_minutes": 60, "lower": "x", "upper": "1e9"}},
        {"risk_limits": [], "effective_ms": 2**45},
        {"risk_limits": [TIER]},
        {"risk_limits": [{**TIER, "limit": -1}], "effective_ms": 2**45},
        {"colour": "red"},
        {"symbol": "NOSUCH", "mark_source": "dual"},
    ],
)
def test_what_cannot_be_changed_is_refused_in_words(venue: VenueProcess, body: dict[str, Any]) -> None:
    found = changed(venue, **body)
    assert found.get("retCode") not in (None, 0), found
