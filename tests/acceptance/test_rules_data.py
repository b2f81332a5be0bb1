"""The exchange's own formulas on what real venues published: funding, premium, mark, risk tiers and index.

Needs the recorded data: its folder is `SLIPSTREAM_DATA` (`../shared/data` unless set). Without it they fail.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from simulated_exchange._engine import IndexMethod, rules
from tests.acceptance.recorded_data import json_of, rows_of_file, units

pytestmark = pytest.mark.data

RATE_DIGITS = 12
HOUR_MS = 3_600_000
CAP = rules.RATE_SCALE // 25
"""4 %: beyond everything these venues published."""
LIMIT_MAX = units("10_000_000_000")
"""Highest risk limit the exchange knows; some last tiers are published without one."""


def test_funding_of_every_hyperliquid_hour() -> None:
    """There the rate of eight hours is paid hour by hour."""
    rows = rows_of_file("hyperliquid/btc_funding_and_premium_1h_2024-2025.csv.gz")
    interest, clamp = units("0.0001", RATE_DIGITS), units("0.0005", RATE_DIGITS)
    errors = [
        abs(
            rules.funding_rate(
                units(row["premium"], RATE_DIGITS), interest, clamp=clamp, lower=-CAP, upper=CAP, payments=8
            )
            - units(row["funding_rate"], RATE_DIGITS)
        )
        for row in rows
    ]
    assert len(errors) == 12_192
    assert max(errors) < units("0.000000001", RATE_DIGITS)


def test_premium_of_every_hyperliquid_market() -> None:
    (_, markets), *_ = json_of("hyperliquid/asset_contexts_snapshot_all_markets.json.gz")["data"]["ctxs"]
    published = [market for market in markets if market["premium"] is not None]
    assert len(published) == 179
    for market in published:
        bid, ask = (units(price) for price in market["impactPxs"])
        premium = rules.premium_index(bid, ask, units(market["oraclePx"]))
        assert premium is not None
        assert abs(premium - units(market["premium"], RATE_DIGITS)) < units("0.00000001", RATE_DIGITS), market


def test_caps_and_changing_intervals_of_sol_in_november_2022() -> None:
    rows = rows_of_file("binance-usdm-hourly/solusdt_funding_2022-11.csv")
    rates = [(int(row["funding_interval_hours"]), row["last_funding_rate"]) for row in rows]
    daily, clamp = units("0.0003", RATE_DIGITS), units("0.0005", RATE_DIGITS)
    calm = rules.interest(daily, 2 * HOUR_MS)
    assert rules.funding_rate(0, calm, clamp=clamp, lower=-CAP, upper=CAP) == calm
    assert sum(units(rate, RATE_DIGITS) == calm for hours, rate in rates if hours == 2) == 7
    panic = units("-0.05", RATE_DIGITS)
    for cap, times in (("-0.0075", 2), ("-0.015", 1), ("-0.02", 7)):
        lower = units(cap, RATE_DIGITS)
        assert rules.funding_rate(panic, calm, clamp=clamp, lower=lower, upper=-lower) == lower
        assert sum(units(rate, RATE_DIGITS) == lower for _, rate in rates) == times


def test_mark_of_every_bitmex_perpetual() -> None:
    def milliseconds(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    snapshot = json_of("mark-price-snapshots/bitmex_active_instruments_2021-07-22.json.gz")
    perpetuals = [row for row in snapshot if row["fairMethod"] == "FundingRate" and row["state"] == "Open"]
    assert len(perpetuals) == 23
    for row in perpetuals:
        left = milliseconds(row["fundingTimestamp"]) - milliseconds(row["timestamp"])
        rate = units(row["fundingRate"], RATE_DIGITS)
        mark = rules.mark_price1(units(row["indicativeSettlePrice"]), rate, left, 8 * HOUR_MS)
        last_digit = Decimal(1).scaleb(
            min(row[name].as_tuple().exponent for name in ("markPrice", "indicativeSettlePrice"))
        )
        assert abs(mark - units(row["markPrice"])) <= units(last_digit), row["symbol"]


def test_deductions_of_every_binance_tier() -> None:
    markets = json_of("risk-tiers/binance_leverage_tiers_2024-10.json.gz")
    checked = 0
    for symbol, tiers in markets.items():
        listed = [
            (
                min(units(t["maxNotional"]), LIMIT_MAX),
                int(t["maxLeverage"] * 100),
                units(t["maintenanceMarginRate"]),
            )
            for t in tiers
        ]
        published = [units(t["info"]["cum"]) for t in tiers]
        assert rules.tier_deductions(listed) == published, symbol
        checked += len(tiers)
    assert checked == 2_805


VENUES = {
    "coinbase_btcusd": None,
    "kraken_btcusd": None,
    "cryptocom_btcusd": None,
    "coinbase_btcusdt": "coinbase_usdtusd",
    "binanceus_btcusdt": "coinbase_usdtusd",
    "kraken_btcusdt": "kraken_usdtusd",
    "bybit_btcusdc": "kraken_usdcusd",
}
"""Spot markets of March 2023 and the market that converts each of them into USD."""
OUTLIER = "cryptocom_btcusd"
BAND = units("0.005")


def closes(market: str) -> dict[int, int]:
    rows = rows_of_file(f"spot-multi-venue-2023-03/{market}_1m.csv.gz")
    return {int(row["open_time_ms"]): units(row["close"]) for row in rows}


@pytest.fixture(scope="module")
def minutes() -> dict[int, dict[str, int]]:
    """Every minute's USD price at each venue that traded in it, converted where the quote coin is another."""
    books = {name: closes(name) for name in VENUES}
    bridges = {name: closes(name) for name in VENUES.values() if name is not None}
    prices: dict[int, dict[str, int]] = {}
    for venue, bridge in VENUES.items():
        for at, price in books[venue].items():
            quote = units("1") if bridge is None else bridges[bridge].get(at)
            usd = None if quote is None else rules.convert(price, quote)
            if usd is not None:
                prices.setdefault(at, {})[venue] = usd
    return {at: venues for at, venues in prices.items() if len(venues) > 2}


def index_of(prices: dict[str, int], method: IndexMethod, band: int = BAND) -> int | None:
    return rules.index_price([(price, 1) for price in prices.values()], band=band, method=method)


def test_an_index_of_seven_venues_stays_inside_their_spread(minutes: dict[int, dict[str, int]]) -> None:
    assert len(minutes) > 27_000
    for prices in minutes.values():
        for method in (IndexMethod.Drop, IndexMethod.Clamp, IndexMethod.TwoPass):
            index = index_of(prices, method)
            assert index is not None
            assert min(prices.values()) <= index <= max(prices.values())


def test_the_venue_that_drifted_with_usdc_is_dropped(minutes: dict[int, dict[str, int]]) -> None:
    dropped: dict[str, int] = {}
    for at, prices in minutes.items():
        if OUTLIER not in prices:
            continue
        rest = {venue: price for venue, price in prices.items() if venue != OUTLIER}
        if (
            index_of(prices, IndexMethod.Drop)
            == index_of(rest, IndexMethod.Drop)
            != index_of(prices, IndexMethod.Drop, units("0.9"))
        ):
            day = datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
            dropped[day] = dropped.get(day, 0) + 1
    assert set(dropped) == {"2023-03-11"}, dropped
    assert dropped["2023-03-11"] > 900


def test_a_quote_that_is_not_converted_is_an_outlier(minutes: dict[int, dict[str, int]]) -> None:
    """At the bottom of the de-peg a BTC/USDC price is 14 % too high; converted it is one like the others."""
    at = int(datetime(2023, 3, 11, 7, 15, tzinfo=UTC).timestamp() * 1000)
    others = {venue: price for venue, price in minutes[at].items() if venue != "bybit_btcusdc"}
    raw = closes("bybit_btcusdc")[at]
    fair = index_of(others, IndexMethod.Clamp)
    assert fair is not None and raw > fair * Decimal("1.1")
    with_raw = {**others, "bybit_btcusdc": raw}
    band = units("0.03")
    assert index_of(with_raw, IndexMethod.Drop, band) == index_of(others, IndexMethod.Drop, band)
    clamped = index_of(with_raw, IndexMethod.Clamp, band)
    assert clamped is not None and clamped < fair * Decimal("1.006")
