"""Worked examples of index, mark, funding and price limits: the formulas as the engine offers them.

Belongs here: decimals in, the engine's formula, decimals out. Does not belong here: expected numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulated_exchange._engine import IndexMethod, Side, rules
from tests.acceptance.example_room import decimal, side_of, units

__all__ = ["ACTUAL"]

Inputs = dict[str, Any]
HOUR_MS = 3_600_000
ALL_OF_IT = units(1)
"""A band that clamps nothing."""


def rate(number: str) -> int:
    """A rate in units of 10**-12."""
    return int(Decimal(number) * rules.RATE_SCALE)


def rate_decimal(value: int) -> Decimal:
    """Units of 10**-12 as a decimal."""
    return Decimal(value) / rules.RATE_SCALE


def present(value: int | None) -> int:
    """A number that must be there."""
    assert value is not None
    return value


def mark(given: Inputs) -> Inputs:
    """MARK-1, MARK-2: the middle one of three candidates."""
    until_ms, interval_ms = (
        int(Decimal(given[name]) * HOUR_MS) for name in ("hours_until_funding", "funding_interval_hours")
    )
    index = units(given["index"])
    first = rules.mark_price1(index, rate(given["last_funding_rate"]), until_ms, interval_ms)
    second = rules.mark_price2(index, [units(given["basis_ma_5min"])])
    price = rules.perpetual_mark(first, second, units(given["last_price"]))
    return {"price1": decimal(first), "price2": decimal(second), "mark": decimal(price)}


def basis(given: Inputs) -> Inputs:
    """MARK-3: mean of the basis samples."""
    index = units(given["index"])
    second = rules.mark_price2(index, [units(mid) - index for mid in given["bid_ask_mid_samples"]])
    return {"basis_ma": decimal(second - index), "price2": decimal(second)}


def expiry_mark(given: Inputs) -> Inputs:
    """MARK-4: the index with the mean basis rate."""
    basis_rate = present(rules.basis_rate(units(given["impact_mid"]), units(given["index_at_sample"])))
    price = rules.expiry_mark(units(given["index_now"]), [basis_rate])
    return {"basis_rate": rate_decimal(basis_rate), "mark": decimal(price)}


def weighted_index(given: Inputs) -> Inputs:
    """INDEX-1."""
    components = [(units(price), units(share)) for price, share in parts(given, "volume_share")]
    return {"index": decimal(present(rules.index_price(components, band=ALL_OF_IT)))}


def parts(given: Inputs, weights: str) -> list[tuple[str, str]]:
    """Prices with their weights."""
    return list(zip(given["prices"], given[weights], strict=True))


def clamped_index(given: Inputs) -> Inputs:
    """INDEX-3. No band leaves the median; an overwhelming weight shows what a component counts as."""
    band = units(given["band"])
    prices = [units(price) for price in given["prices"]]
    weights = [units(weight) for weight in given["weights"]]

    def index(weights: list[int], band: int) -> Decimal:
        return decimal(present(rules.index_price(list(zip(prices, weights, strict=True)), band=band)))

    return {
        "median": index(weights, 0),
        "clamped_third": index([1, 1, 10**10], band),
        "index": index(weights, band),
    }


def two_pass_index(given: Inputs) -> Inputs:
    """INDEX-5; the first pass is the plain weighted mean. Its inner weights are not shown."""
    components = [(units(price), units(share)) for price, share in parts(given, "volume_share")]
    first = present(rules.index_price(components, band=ALL_OF_IT))
    second = present(rules.index_price(components, band=1, method=IndexMethod.TwoPass))
    return {
        "first_pass": decimal(first),
        "spreads": [decimal(abs(price - first)) for price, _ in components],
        "index": decimal(second),
    }


def premium(given: Inputs) -> Inputs:
    """FUND-1 to FUND-3."""
    prices = (units(given[name]) for name in ("impact_bid", "impact_ask", "index"))
    return {"premium_index": rate_decimal(present(rules.premium_index(*prices)))}


def average_premium(given: Inputs) -> Inputs:
    """FUND-4."""
    return {"avg_premium": rate_decimal(rules.average_premium([rate(one) for one in given["samples"]]))}


def funding_rate(given: Inputs) -> Inputs:
    """FUND-5 to FUND-8."""
    cap = rate(given["cap"])
    found = rules.funding_rate(
        rate(given["avg_premium"]),
        rate(given["interest_per_interval"]),
        clamp=rate(given["clamp"]),
        lower=-cap,
        upper=cap,
    )
    return {"funding_rate": rate_decimal(found)}


def interest(given: Inputs) -> Inputs:
    """FUND-9."""
    interval_ms = int(given["interval_hours"]) * HOUR_MS
    return {"interest": rate_decimal(rules.interest(rate(given["daily"]), interval_ms))}


def price_band(given: Inputs) -> Inputs:
    """PLIM-1 to PLIM-4."""
    names = ("mark", "index", "X", "Y", "premium_avg_30s")
    max_buy, min_sell = rules.price_band(*(units(given[name]) for name in names))
    return {"max_buy": decimal(max_buy), "min_sell": decimal(min_sell)}


def slippage(given: Inputs) -> Inputs:
    """PLIM-5."""
    ask, bid = units(given["ask1"]), units(given["bid1"])
    distance, ratio = int(given["ticks"]) * units(given["tick"]), units(Decimal(given["percent"]) / 100)
    return {
        "buy_limit_ticks": decimal(rules.slippage_limit(Side.Buy, ask, distance=distance)),
        "sell_limit_ticks": decimal(rules.slippage_limit(Side.Sell, bid, distance=distance)),
        "buy_limit_percent": decimal(rules.slippage_limit(Side.Buy, ask, ratio=ratio)),
        "sell_limit_percent": decimal(rules.slippage_limit(Side.Sell, bid, ratio=ratio)),
    }


def linear_fee(given: Inputs) -> Inputs:
    """FUND-10: a long pays what a short receives."""
    value = units(given["qty"]) * int(given["mark"])
    assert side_of(given["side"]) == Side.Buy
    paid = decimal(rules.funding_fee(value, rate(given["rate"])))
    received = -decimal(rules.funding_fee(-value, rate(given["rate"])))
    return {
        "long_pays": paid,
        "short_receives": received,
        "transaction_log_funding_for_long": -paid,
        "execution_execFee_for_long": paid,
    }


ACTUAL: dict[str, Callable[[Inputs], Inputs]] = {
    "MARK-1": mark,
    "MARK-2": mark,
    "MARK-3": basis,
    "MARK-4": expiry_mark,
    "INDEX-1": weighted_index,
    "INDEX-2": lambda given: {
        "price": decimal(present(rules.convert(units(given["eth_btc"]), units(given["btc_usdt"]))))
    },
    "INDEX-3": clamped_index,
    "INDEX-4": lambda given: {
        "eth_usd_index": decimal(
            present(
                rules.usd_index(
                    *(units(given[name]) for name in ("eth_usdt_index", "btcusd_index", "btcusdt_index"))
                )
            )
        )
    },
    "INDEX-5": two_pass_index,
    **{f"FUND-{number}": premium for number in (1, 2, 3)},
    "FUND-4": average_premium,
    **{f"FUND-{number}": funding_rate for number in (5, 6, 7, 8)},
    "FUND-9": interest,
    "FUND-10": linear_fee,
    **{f"PLIM-{number}": price_band for number in (1, 2, 3, 4)},
    "PLIM-5": slippage,
}
