"""An index of seven real venues through the exchange itself: March 2023, with the de-peg of USDC.

Needs the recorded data: its folder is `SLIPSTREAM_DATA` (`../shared/data` unless set). Without it they fail.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from simulated_exchange._engine import Engine, rules
from tests.acceptance.recorded_data import rows_of_file, units

pytestmark = pytest.mark.data

MINUTE_MS = 60_000
BRIDGES = {"USDTUSD": ("coinbase_usdtusd", "kraken_usdtusd"), "USDCUSD": ("kraken_usdcusd",)}
"""Instruments whose indices turn a stablecoin's price into dollars, and their venues."""
VENUES = {
    "coinbase_btcusd": None,
    "kraken_btcusd": None,
    "coinbase_btcusdt": "USDTUSD",
    "binanceus_btcusdt": "USDTUSD",
    "kraken_btcusdt": "USDTUSD",
    "bybit_btcusdc": "USDCUSD",
    "cryptocom_btcusd": None,
}
"""Venues of the BTCUSD index, and what converts their prices."""
OUTLIER = "cryptocom_btcusd"
BAND = "0.005"


def instrument(symbol: str, sources: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "base": symbol.removesuffix("USD"),
        "quote": "USD",
        "tick_size": "0.01",
        "qty_step": "0.001",
        "min_qty": "0.001",
        "max_qty": "100",
        "max_market_qty": "50",
        "min_notional": "5",
        "tiers": [{"limit": "1000000", "max_leverage": "100", "mmr": "0.005"}],
        "taker_fee": "0.00055",
        "maker_fee": "0.0002",
        "price_band_x": "0.01",
        "price_band_y": "0.02",
        "index_sources": sources,
        "index_stale_ms": MINUTE_MS,
        "index_clamp": "0.03",
        "basis_window_ms": 300_000,
        **changes,
    }


class Index:
    """An exchange whose BTCUSD index is made of these venues."""

    def __init__(self, venues: dict[str, str | None]) -> None:
        small = {"tick_size": "0.00001", "qty_step": "1", "min_qty": "1"}
        bridges = [
            instrument(symbol, [{"name": name, "weight": "1"} for name in names], **small)
            for symbol, names in BRIDGES.items()
        ]
        sources = [
            {"name": name, "weight": "1", **({"converted_by": bridge} if bridge else {})}
            for name, bridge in venues.items()
        ]
        bitcoin = instrument("BTCUSD", sources, index_method="drop", index_clamp=BAND)
        listed = [*bridges, bitcoin]
        self.engine = Engine.create(json.dumps({"instruments": listed}), None, "none")
        self.numbers = {row["symbol"]: number for number, row in enumerate(listed)}
        self.places = {
            source["name"]: (number, place)
            for number, row in enumerate(listed)
            for place, source in enumerate(row["index_sources"])
        }

    def of_minute(self, market_ms: int, closes: dict[str, int]) -> int:
        """Report every venue that has a price in this minute; returns the index."""
        for venue, price in closes.items():
            if venue in self.places:
                number, source = self.places[venue]
                outcome = self.engine.set_index_source(
                    market_ms, 0, instrument=number, source=source, price=price
                )
                assert outcome.reject is None
        assert self.engine.advance_time(market_ms, 0).reject is None
        return self.index("BTCUSD")

    def index(self, symbol: str) -> int:
        return self.engine.prices(self.numbers[symbol]).index

    def in_dollars(self, venue: str, price: int) -> int | None:
        bridge = VENUES[venue]
        return price if bridge is None else rules.convert(price, self.index(bridge))


@pytest.fixture(scope="module")
def minutes() -> dict[int, dict[str, int]]:
    closes: dict[int, dict[str, int]] = {}
    for venue in [*(name for names in BRIDGES.values() for name in names), *VENUES]:
        for row in rows_of_file(f"spot-multi-venue-2023-03/{venue}_1m.csv.gz"):
            closes.setdefault(int(row["open_time_ms"]), {})[venue] = units(row["close"])
    return dict(sorted(closes.items()))


def day_of(market_ms: int) -> str:
    return datetime.fromtimestamp(market_ms / 1000, UTC).date().isoformat()


def test_the_index_stays_inside_the_spread_of_its_sources(minutes: dict[int, dict[str, int]]) -> None:
    index = Index(VENUES)
    checked = 0
    before: dict[str, int] = {}
    for market_ms, closes in minutes.items():
        now = index.of_minute(market_ms, closes)
        fresh = [
            (venue, price) for rows in (before, closes) for venue, price in rows.items() if venue in VENUES
        ]
        sources = [usd for venue, price in fresh if (usd := index.in_dollars(venue, price)) is not None]
        if len(sources) > 1:
            assert min(sources) <= now <= max(sources), (day_of(market_ms), now, sources)
            checked += 1
        before = closes
    assert checked > 27_000


def test_the_venue_that_drifted_with_usdc_is_dropped_that_day_and_counts_on_others(
    minutes: dict[int, dict[str, int]],
) -> None:
    everyone = Index(VENUES)
    without = Index({venue: bridge for venue, bridge in VENUES.items() if venue != OUTLIER})
    silent: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for market_ms, closes in minutes.items():
        pair = everyone.of_minute(market_ms, closes), without.of_minute(market_ms, closes)
        if OUTLIER in closes:
            known[day_of(market_ms)] += 1
            silent[day_of(market_ms)] += pair[0] == pair[1]
    shares = {day: silent[day] / known[day] for day in known}
    assert silent["2023-03-11"] > 900
    assert shares.pop("2023-03-11") > 0.6
    assert max(shares.values()) < 0.05, shares
