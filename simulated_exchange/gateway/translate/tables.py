"""Rows of public tables: funding, open interest, risk limits, price limits, indices, insurance, deleveraging.

Belongs here: wire names and texts of what is public and asked for now and then. Does not belong here: market
data as it goes (`market`), accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulated_exchange.driver import AdlAlertView, PriceView
from simulated_exchange.gateway.translate.numbers import (
    decimal_text,
    fixed_text,
    funding_rate_text,
    rate_text,
)
from simulated_exchange.instruments import SCALE, Instrument, RiskTier

__all__ = [
    "account_ratio_row",
    "adl_alert_row",
    "delivery_row",
    "fee_group_row",
    "funding_row",
    "index_components_row",
    "insurance_row",
    "open_interest_row",
    "price_limit_row",
    "risk_limit_rows",
    "tier_id",
]

Row = dict[str, Any]

TIERS_PER_INSTRUMENT = 100


def funding_row(instrument: Instrument, rate: int, settled_ms: int) -> Row:
    """A row of the funding history."""
    return {
        "symbol": instrument.symbol,
        "fundingRate": funding_rate_text(rate),
        "fundingRateTimestamp": str(settled_ms),
    }


def open_interest_row(instrument: Instrument, open_interest: int, time_ms: int) -> Row:
    """A row of the open interest."""
    qty = instrument.qty_decimals
    return {
        "openInterest": fixed_text(open_interest, qty),
        "singleOpenInterest": fixed_text(open_interest // 2, qty),
        "timestamp": str(time_ms),
    }


def account_ratio_row(instrument: Instrument, longs: int, shorts: int, time_ms: int) -> Row:
    """How many of those who hold a position are long, and how many short; halves while nobody does."""
    total = longs + shorts
    long_share = longs * 10_000 // total if total else 5_000
    return {
        "symbol": instrument.symbol,
        "buyRatio": rate_text(long_share, 10_000, 4),
        "sellRatio": rate_text(10_000 - long_share, 10_000, 4),
        "timestamp": str(time_ms),
    }


def tier_id(instrument: Instrument, number: int) -> int:
    """The wire's number of a risk-limit tier, which are counted from 1."""
    return instrument.index * TIERS_PER_INSTRUMENT + number


def risk_limit_rows(instrument: Instrument, tiers: Sequence[RiskTier] | None = None) -> list[Row]:
    """The tiers of an instrument; rates as fractions, because clients read them so."""
    rows: list[Row] = []
    deduction, limit, rate = 0, 0, 0
    for number, tier in enumerate(instrument.tiers if tiers is None else tiers, start=1):
        deduction += limit * (tier.maintenance_rate - rate) // SCALE
        limit, rate = tier.limit, tier.maintenance_rate
        rows.append(
            {
                "id": tier_id(instrument, number),
                "symbol": instrument.symbol,
                "riskLimitValue": decimal_text(tier.limit),
                "maintenanceMargin": decimal_text(tier.maintenance_rate),
                "initialMargin": rate_text(SCALE, tier.leverage_max),
                "isLowestRisk": 1 if number == 1 else 0,
                "maxLeverage": fixed_text(tier.leverage_max, 2),
                "mmDeduction": decimal_text(deduction) if deduction else "",
            }
        )
    return rows


def price_limit_row(instrument: Instrument, prices: PriceView, now_ms: int) -> Row:
    """The band that orders may execute in."""
    price = instrument.price_decimals
    return {
        "symbol": instrument.symbol,
        "buyLmt": fixed_text(prices.max_buy, price),
        "sellLmt": fixed_text(prices.min_sell, price),
        "ts": str(now_ms),
    }


def index_components_row(instrument: Instrument, index: int, prices: Sequence[int], now_ms: int) -> Row:
    """The sources of an index with their shares and what each said last."""
    decimals = instrument.price_decimals
    total = sum(weight for _, weight in instrument.index_sources)
    return {
        "indexName": f"{instrument.base}{instrument.quote}",
        "lastPrice": fixed_text(index, decimals),
        "updateTime": str(now_ms),
        "components": [
            {
                "exchange": name,
                "spotPair": f"{instrument.base}{instrument.quote}",
                "equivalentPrice": fixed_text(price, decimals),
                "multiplier": "1",
                "price": fixed_text(price, decimals),
                "weight": rate_text(weight, total),
            }
            for (name, weight), price in zip(instrument.index_sources, prices, strict=True)
        ],
    }


def insurance_row(coin: str, symbols: list[str], balance: int, usd_price: int) -> Row:
    """An insurance pool; its value is in USD."""
    return {
        "coin": coin,
        "symbols": ",".join(symbols),
        "balance": decimal_text(balance),
        "value": decimal_text(balance * usd_price // SCALE),
    }


def adl_alert_row(instrument: Instrument, coin: str, view: AdlAlertView) -> Row:
    """How far a contract is from deleveraging."""
    return {
        "coin": coin,
        "symbol": instrument.symbol,
        "balance": decimal_text(view.balance),
        "maxBalance": decimal_text(view.balance_peak),
        "insurancePnlRatio": decimal_text(view.trigger_ratio),
        "pnlRatio": decimal_text(view.ratio),
        "adlTriggerThreshold": decimal_text(view.threshold),
        "adlStopRatio": decimal_text(view.stop_ratio),
    }


def delivery_row(instrument: Instrument, price: int, at_ms: int) -> Row:
    """A contract that was delivered."""
    return {
        "symbol": instrument.symbol,
        "deliveryPrice": fixed_text(price, instrument.price_decimals),
        "deliveryTime": str(at_ms),
    }


def fee_group_row(name: str, instruments: Sequence[Instrument], now_ms: int) -> Row:
    """Contracts that cost the same to trade; there is one level of traders here."""
    first = instruments[0]
    level = {
        "level": "No VIP",
        "takerFeeRate": decimal_text(first.taker_fee),
        "makerFeeRate": decimal_text(first.maker_fee),
        "makerRebate": "",
    }
    return {
        "groupName": name,
        "weightingFactor": 1,
        "symbolsNumbers": len(instruments),
        "symbols": [instrument.symbol for instrument in instruments],
        "feeRates": {"pro": [level], "marketMaker": [{**level, "level": "Market Maker"}]},
        "updateTime": str(now_ms),
    }
