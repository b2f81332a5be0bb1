"""What a venue's operators may change while it runs: `/sim/market`.

Belongs here: the shape of a request, from plain fields to the driver's calls. Does not belong here: what
marks, funding and risk limits are (the engine).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from simulated_exchange.driver import Outcome
from simulated_exchange.driver_markets import MARK_SOURCES
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.refusals import bad_request
from simulated_exchange.gateway.translate.rejects import engine_refusal
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Instrument

__all__ = ["change_market"]

TIERS_MAX = 100
_FIELDS = {"symbol", "mark_source", "funding", "risk_limits", "effective_ms"}
_RATE_UNITS = 10**12
_MINUTES_MAX = 24 * 60

Body = Mapping[str, Any]


def change_market(venue: Venue, instrument: Instrument, body: Body) -> dict[str, Any]:
    """Carry out what a body of POST /sim/market asks for. Raises RefusedError that names the field."""
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise bad_request(f"params error: {unknown[0][:64]} is no field of a market")
    if not set(body) - {"symbol", "effective_ms"}:
        raise bad_request("params error: nothing to change: mark_source, funding or risk_limits")
    changes = {
        name: _ask(name, instrument, body) for name in sorted(body.keys() - {"symbol", "effective_ms"})
    }
    for change in changes.values():
        _done(change(venue))
    return {"symbol": instrument.name, "changed": list(changes)}


def _ask(name: str, instrument: Instrument, body: Body) -> Any:
    """The call that a field asks for, checked before anything is changed."""
    if name == "mark_source":
        word = body[name]
        if not isinstance(word, str) or word not in MARK_SOURCES:
            raise bad_request(f"params error: mark_source must be one of {', '.join(MARK_SOURCES)}")
        source = MARK_SOURCES[word]
        return lambda venue: venue.driver.set_mark_source(instrument=instrument.index, source=source)
    if name == "funding":
        terms = _funding(body[name])
        return lambda venue: venue.driver.set_funding_terms(instrument=instrument.index, **terms)
    tiers = _tiers(body[name])
    at_ms = body.get("effective_ms")
    if type(at_ms) is not int or not 0 < at_ms < 2**53:
        raise bad_request("params error: effective_ms must be a market time in ms")
    return lambda venue: venue.driver.announce_risk_limits(
        instrument=instrument.index, tiers=tiers, effective_ms=at_ms
    )


def _funding(found: Any) -> dict[str, int]:
    if not isinstance(found, dict) or set(found) != {"interval_minutes", "lower", "upper"}:
        raise bad_request("params error: funding must have interval_minutes, lower and upper")
    minutes = found["interval_minutes"]
    if type(minutes) is not int or not 1 <= minutes <= _MINUTES_MAX:
        raise bad_request(f"params error: interval_minutes must be 1 to {_MINUTES_MAX}")
    return {"interval_minutes": minutes, "lower": _rate(found, "lower"), "upper": _rate(found, "upper")}


def _rate(found: Mapping[str, Any], name: str) -> int:
    """A rate between -1 and 1 in units of 10**-12."""
    try:
        rate = Decimal(found[name]) if isinstance(found[name], str) and len(found[name]) <= 20 else None
    except InvalidOperation:
        rate = None
    if rate is None or not rate.is_finite() or abs(rate) > 1:
        raise bad_request(f"params error: {name} must be a decimal from -1 to 1, as text")
    return int(rate * _RATE_UNITS)


def _tiers(found: Any) -> list[tuple[int, int, int]]:
    if not isinstance(found, list) or not 1 <= len(found) <= TIERS_MAX:
        raise bad_request(f"params error: risk_limits must be a list of 1 to {TIERS_MAX} tiers")
    tiers = []
    for tier in found:
        names = ("limit", "max_leverage", "maintenance_rate")
        numbers = [parse_decimal(tier.get(name)) for name in names] if isinstance(tier, dict) else [None]
        if any(number is None for number in numbers):
            raise bad_request(f"params error: a tier has {', '.join(names)}, decimals as text")
        limit, leverage, rate = (number or 0 for number in numbers)
        tiers.append((limit, leverage // 10**6, rate))  # leverage in hundredths
    return tiers


def _done(outcome: Outcome) -> None:
    if outcome.reject is not None:
        raise engine_refusal(outcome.reject)
