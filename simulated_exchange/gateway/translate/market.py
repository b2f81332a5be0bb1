"""Rows of market data, with every documented field.

Belongs here: wire names and texts of what is public. Does not belong here: accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulated_exchange.driver import AdlAlertView, PriceView
from simulated_exchange.gateway.translate.numbers import (
    decimal_text,
    fixed_text,
    funding_rate_text,
    rate_text,
)
from simulated_exchange.gateway.translate.rows import trade_id_text
from simulated_exchange.instruments import SCALE, Instrument
from simulated_exchange.ledger.candles import Bar, bar_end_ms
from simulated_exchange.ledger.market import MarketView, PublicTrade

__all__ = [
    "Funding",
    "funding_row",
    "index_components_row",
    "instrument_row",
    "insurance_row",
    "kline_row",
    "levels",
    "open_interest_row",
    "price_kline_row",
    "price_limit_row",
    "recent_trade_row",
    "risk_limit_rows",
    "stream_adl_row",
    "stream_insurance_row",
    "stream_kline_row",
    "stream_liquidation_row",
    "stream_ticker_row",
    "stream_trade_row",
    "ticker_row",
]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Funding:
    """What the wire says of funding: rate, next settlement, interval, caps. Rates are of 10**-12."""

    rate: int
    next_ms: int
    interval_ms: int
    lower: int
    upper: int


def instrument_row(instrument: Instrument, launch_ms: int, funding: Funding) -> Row:
    """A row of instruments-info."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    return {
        "symbol": instrument.symbol,
        "symbolId": instrument.index + 1,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "launchTime": str(launch_ms),
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(price),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": fixed_text(instrument.tiers[0].leverage_max, 2),
            "leverageStep": "0.01",
        },
        "priceFilter": {
            "minPrice": fixed_text(instrument.tick_size, price),
            "maxPrice": fixed_text(instrument.price_max, price),
            "tickSize": fixed_text(instrument.tick_size, price),
        },
        "lotSizeFilter": {
            "maxOrderQty": fixed_text(instrument.qty_max, qty),
            "minOrderQty": fixed_text(instrument.qty_min, qty),
            "qtyStep": fixed_text(instrument.qty_step, qty),
            "postOnlyMaxOrderQty": fixed_text(instrument.qty_max, qty),
            "maxMktOrderQty": fixed_text(instrument.qty_market_max, qty),
            "minNotionalValue": decimal_text(instrument.notional_min),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": funding.interval_ms // 60_000,
        "settleCoin": instrument.quote,
        "copyTrading": "both",
        "upperFundingRate": funding_rate_text(funding.upper),
        "lowerFundingRate": funding_rate_text(funding.lower),
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {
            "priceLimitRatioX": decimal_text(instrument.price_band_x),
            "priceLimitRatioY": decimal_text(instrument.price_band_y),
        },
        "displayName": "",
        "forbidUplWithdrawal": False,
        "symbolType": "",
    }


def ticker_row(instrument: Instrument, market: MarketView, prices: PriceView, funding: Funding) -> Row:
    """A row of the tickers; the stream adds the direction of the last tick."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    (bid_price, bid_qty), (ask_price, ask_qty) = market.best_bid(), market.best_ask()
    day = market.day()
    last = market.last_price or market.mark_price
    before = day.open or last
    interest_value = prices.open_interest * market.mark_price // SCALE
    return {
        "symbol": instrument.symbol,
        "lastPrice": fixed_text(last, price),
        "indexPrice": fixed_text(market.index_price, price),
        "markPrice": fixed_text(market.mark_price, price),
        "prevPrice24h": fixed_text(before, price),
        "price24hPcnt": rate_text(last - before, before),
        "highPrice24h": fixed_text(day.high or last, price),
        "lowPrice24h": fixed_text(day.low or last, price),
        "prevPrice1h": fixed_text(day.open_hour or last, price),
        "openInterest": fixed_text(prices.open_interest, qty),
        "openInterestValue": fixed_text(interest_value, 2),
        "singleOpenInterest": fixed_text(prices.open_interest // 2, qty),
        "singleOpenInterestValue": fixed_text(interest_value // 2, 2),
        "turnover24h": fixed_text(day.turnover, 4),
        "volume24h": fixed_text(day.volume, 4),
        "fundingRate": funding_rate_text(funding.rate),
        "nextFundingTime": str(funding.next_ms),
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "basis": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "ask1Size": fixed_text(ask_qty, qty) if ask_price else "",
        "bid1Price": fixed_text(bid_price, price) if bid_price else "",
        "ask1Price": fixed_text(ask_price, price) if ask_price else "",
        "bid1Size": fixed_text(bid_qty, qty) if bid_price else "",
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
        "fundingIntervalHour": str(funding.interval_ms // 3_600_000),
        "fundingCap": funding_rate_text(funding.upper),
        "basisRateYear": "",
    }


def stream_ticker_row(instrument: Instrument, market: MarketView, prices: PriceView, funding: Funding) -> Row:
    """The ticker as the socket has it."""
    return {"tickDirection": market.tick_direction, **ticker_row(instrument, market, prices, funding)}


def levels(side: list[tuple[int, int]], instrument: Instrument) -> list[list[str]]:
    """Price levels as the book prints them; quantity 0 deletes."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    return [
        [fixed_text(level_price, price), fixed_text(level_qty, qty) if level_qty else "0"]
        for level_price, level_qty in side
    ]


def kline_row(bar: Bar, instrument: Instrument) -> list[str]:
    """A bar of trades."""
    price = instrument.price_decimals
    return [
        str(bar.start_ms),
        fixed_text(bar.open, price),
        fixed_text(bar.high, price),
        fixed_text(bar.low, price),
        fixed_text(bar.close, price),
        decimal_text(bar.volume),
        decimal_text(bar.turnover),
    ]


def price_kline_row(bar: Bar, decimals: int) -> list[str]:
    """A bar of mark, index or premium."""
    values = (bar.open, bar.high, bar.low, bar.close)
    return [str(bar.start_ms), *(fixed_text(value, decimals) for value in values)]


def stream_kline_row(bar: Bar, instrument: Instrument, interval: str, confirmed: bool, now_ms: int) -> Row:
    """A bar on the kline topic."""
    start, opened, high, low, close, volume, turnover = kline_row(bar, instrument)
    return {
        "start": int(start),
        "end": bar_end_ms(interval, bar.start_ms),
        "interval": interval,
        "open": opened,
        "close": close,
        "high": high,
        "low": low,
        "volume": volume,
        "turnover": turnover,
        "confirm": confirmed,
        "timestamp": now_ms,
    }


def recent_trade_row(trade: PublicTrade, instrument: Instrument) -> Row:
    """A row of recent-trade."""
    return {
        "execId": trade_id_text(trade.trade_id),
        "symbol": instrument.symbol,
        "price": fixed_text(trade.price, instrument.price_decimals),
        "size": fixed_text(trade.qty, instrument.qty_decimals),
        "side": "Buy" if trade.taker_buys else "Sell",
        "time": str(trade.wall_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "mP": "",
        "iP": "",
        "mIv": "",
        "iv": "",
        "seq": str(trade.sequence),
    }


def stream_trade_row(trade: PublicTrade, instrument: Instrument) -> Row:
    """A row of the publicTrade topic."""
    return {
        "T": trade.wall_ms,
        "s": instrument.symbol,
        "S": "Buy" if trade.taker_buys else "Sell",
        "v": fixed_text(trade.qty, instrument.qty_decimals),
        "p": fixed_text(trade.price, instrument.price_decimals),
        "L": trade.tick_direction,
        "i": trade_id_text(trade.trade_id),
        "BT": False,
        "RPI": False,
        "seq": trade.sequence,
    }


def stream_liquidation_row(instrument: Instrument, position_qty: int, price: int, wall_ms: int) -> Row:
    """A row of the allLiquidation topic; the side is the position's."""
    return {
        "T": wall_ms,
        "s": instrument.symbol,
        "S": "Buy" if position_qty > 0 else "Sell",
        "v": fixed_text(abs(position_qty), instrument.qty_decimals),
        "p": fixed_text(price, instrument.price_decimals),
    }


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


def risk_limit_rows(instrument: Instrument) -> list[Row]:
    """The tiers of an instrument; rates as fractions, because clients read them so."""
    rows: list[Row] = []
    deduction, limit, rate = 0, 0, 0
    for number, tier in enumerate(instrument.tiers, start=1):
        deduction += limit * (tier.maintenance_rate - rate) // SCALE
        limit, rate = tier.limit, tier.maintenance_rate
        rows.append(
            {
                "id": instrument.index * 100 + number,
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


def index_components_row(instrument: Instrument, index: int, now_ms: int) -> Row:
    """The sources of an index with their shares; each at the index, because only the mean is public here."""
    price = fixed_text(index, instrument.price_decimals)
    total = sum(weight for _, weight in instrument.index_sources)
    return {
        "indexName": instrument.symbol,
        "lastPrice": price,
        "updateTime": str(now_ms),
        "components": [
            {
                "exchange": name,
                "spotPair": instrument.symbol,
                "equivalentPrice": price,
                "multiplier": "1",
                "price": price,
                "weight": rate_text(weight, total),
            }
            for name, weight in instrument.index_sources
        ],
    }


def insurance_row(coin: str, symbols: list[str], balance: int) -> Row:
    """The insurance pool."""
    text = decimal_text(balance)
    return {"coin": coin, "symbols": ",".join(symbols), "balance": text, "value": text}


def stream_insurance_row(coin: str, symbols: list[str], balance: int, now_ms: int) -> Row:
    """A row of the insurance topic."""
    return {
        "coin": coin,
        "symbols": ",".join(symbols),
        "balance": decimal_text(balance),
        "updateTime": str(now_ms),
    }


def stream_adl_row(instrument: Instrument, view: AdlAlertView) -> Row:
    """A row of the adlAlert topic; the keys are that short on the wire."""
    return {
        "c": instrument.settle,
        "s": instrument.symbol,
        "b": decimal_text(view.balance),
        "mb": decimal_text(view.balance_peak),
        "i_pr": decimal_text(view.trigger_ratio),
        "pr": decimal_text(view.ratio),
        "adl_tt": decimal_text(view.threshold),
        "adl_sr": decimal_text(view.stop_ratio),
    }
