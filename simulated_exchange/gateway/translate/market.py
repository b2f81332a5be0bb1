"""Rows of market data as it goes, with every documented field.

Belongs here: wire names and texts of instruments, tickers, trades, bars and books. Does not belong here:
tables that are asked for now and then (`tables`), accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from simulated_exchange.instruments import SCALE, Instrument, RiskTier
from simulated_exchange.ledger.candles import Bar, bar_end_ms
from simulated_exchange.ledger.market import MarketView, PublicTrade

__all__ = [
    "BEST_PRICES",
    "NO_RETAIL_PRICES",
    "Funding",
    "contract_type",
    "instrument_row",
    "kline_row",
    "levels",
    "price_kline_row",
    "recent_trade_row",
    "stream_adl_row",
    "stream_insurance_row",
    "stream_kline_row",
    "stream_liquidation_row",
    "stream_ticker_row",
    "stream_trade_row",
    "ticker_row",
]

Row = dict[str, Any]

NO_RETAIL_PRICES = {"myRpiPermission": False, "isPublicRpi": False}
BEST_PRICES = frozenset({"bid1Price", "bid1Size", "ask1Price", "ask1Size"})


@dataclass(frozen=True, slots=True)
class Funding:
    """What the wire says of funding: rate, next settlement, interval, caps. Rates are of 10**-12."""

    rate: int
    next_ms: int
    interval_ms: int
    lower: int
    upper: int


def instrument_row(
    instrument: Instrument,
    launch_ms: int,
    funding: Funding | None,
    tiers: Sequence[RiskTier],
    *,
    is_open: bool,
) -> Row:
    """A row of instruments-info; a contract that is delivered is closed."""
    if instrument.is_spot:
        return _spot_instrument_row(instrument)
    price, qty = instrument.price_decimals, instrument.qty_decimals
    return {
        "symbol": instrument.symbol,
        "symbolId": instrument.index + 1,
        "contractType": contract_type(instrument),
        "status": "Trading" if is_open else "Closed",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "launchTime": str(launch_ms),
        "deliveryTime": str(instrument.delivery_ms),
        "deliveryFeeRate": decimal_text(instrument.delivery_fee) if instrument.delivery_ms else "",
        "priceScale": str(price),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": fixed_text(tiers[0].leverage_max, 2),
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
            "postOnlyMaxOrderQty": fixed_text(instrument.qty_post_only_max, qty),
            "maxMktOrderQty": fixed_text(instrument.qty_market_max, qty),
            "minNotionalValue": "" if instrument.is_inverse else decimal_text(instrument.notional_min),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": funding.interval_ms // 60_000 if funding else 0,
        "settleCoin": instrument.settle,
        "copyTrading": "both" if instrument.is_perpetual and not instrument.is_inverse else "none",
        "upperFundingRate": funding_rate_text(funding.upper) if funding else "",
        "lowerFundingRate": funding_rate_text(funding.lower) if funding else "",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": _risk_parameters(instrument),
        "displayName": "",
        "forbidUplWithdrawal": False,
        "symbolType": instrument.zone,
    }


def contract_type(instrument: Instrument) -> str:
    """The wire's word for what kind of contract it is."""
    kind = "Perpetual" if instrument.is_perpetual else "Futures"
    return f"{'Inverse' if instrument.is_inverse else 'Linear'}{kind}"


def _risk_parameters(instrument: Instrument) -> Row:
    return {
        "priceLimitRatioX": decimal_text(instrument.price_band_x),
        "priceLimitRatioY": decimal_text(instrument.price_band_y),
    }


def _spot_instrument_row(instrument: Instrument) -> Row:
    price, qty = instrument.price_decimals, instrument.qty_decimals
    precision = fixed_text(instrument.tick_size * instrument.qty_step // SCALE or 1, 8)
    return {
        "symbolId": instrument.index + 1,
        "symbol": instrument.symbol,
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "innovation": "1" if instrument.zone else "0",
        "symbolType": instrument.zone,
        "xstockMultiplier": "",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": fixed_text(instrument.qty_step, qty),
            "quotePrecision": precision.rstrip("0").rstrip("."),
            "minOrderQty": fixed_text(instrument.qty_min, qty),
            "maxOrderQty": fixed_text(instrument.qty_max, qty),
            "minOrderAmt": decimal_text(instrument.notional_min),
            "maxOrderAmt": decimal_text(instrument.value(instrument.qty_max, instrument.price_max)),
            "maxLimitOrderQty": fixed_text(instrument.qty_max, qty),
            "maxMarketOrderQty": fixed_text(instrument.qty_market_max, qty),
            "postOnlyMaxLimitOrderSize": fixed_text(instrument.qty_post_only_max, qty),
        },
        "priceFilter": {"tickSize": fixed_text(instrument.tick_size, price)},
        "riskParameters": _risk_parameters(instrument),
    }


def _traded_row(instrument: Instrument, market: MarketView) -> Row:
    """What tickers of every market have."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    (bid_price, bid_qty), (ask_price, ask_qty) = market.best_bid(), market.best_ask()
    day = market.day()
    last = market.last_price or market.mark_price
    before = day.open or last
    return {
        "symbol": instrument.symbol,
        "bid1Price": fixed_text(bid_price, price) if bid_price else "",
        "bid1Size": fixed_text(bid_qty, qty) if bid_price else "",
        "ask1Price": fixed_text(ask_price, price) if ask_price else "",
        "ask1Size": fixed_text(ask_qty, qty) if ask_price else "",
        "lastPrice": fixed_text(last, price),
        "prevPrice24h": fixed_text(before, price),
        "price24hPcnt": rate_text(last - before, before),
        "highPrice24h": fixed_text(day.high or last, price),
        "lowPrice24h": fixed_text(day.low or last, price),
        "turnover24h": fixed_text(day.turnover, 4),
        "volume24h": fixed_text(day.volume, 4),
    }


def ticker_row(
    instrument: Instrument,
    market: MarketView,
    prices: PriceView,
    funding: Funding | None,
    usd_price: int = SCALE,
) -> Row:
    """A row of the tickers; `usd_price` is that of the quote coin. Spot has no key that only contracts
    have.
    """
    row = _traded_row(instrument, market)
    price, qty = instrument.price_decimals, instrument.qty_decimals
    if instrument.is_spot:
        row["usdIndexPrice"] = (
            decimal_text(market.index_price * usd_price // SCALE) if market.index_price else ""
        )
        return row
    last = market.last_price or market.mark_price
    interest_value = instrument.value(prices.open_interest, market.mark_price)
    is_dated = not instrument.is_perpetual
    basis = last - market.index_price
    return {
        **row,
        "indexPrice": fixed_text(market.index_price, price),
        "markPrice": fixed_text(market.mark_price, price),
        "prevPrice1h": fixed_text(market.day().open_hour or last, price),
        "openInterest": fixed_text(prices.open_interest, qty),
        "openInterestValue": fixed_text(interest_value, 4 if instrument.is_inverse else 2),
        "singleOpenInterest": fixed_text(prices.open_interest // 2, qty),
        "singleOpenInterestValue": fixed_text(interest_value // 2, 4 if instrument.is_inverse else 2),
        "fundingRate": funding_rate_text(funding.rate) if funding else "",
        "nextFundingTime": str(funding.next_ms) if funding else "0",
        "predictedDeliveryPrice": fixed_text(market.mark_price, price) if is_dated else "",
        "basisRate": rate_text(basis, market.index_price) if is_dated else "",
        "basis": fixed_text(basis, price) if is_dated else "",
        "deliveryFeeRate": decimal_text(instrument.delivery_fee) if is_dated else "",
        "deliveryTime": str(instrument.delivery_ms),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
        "fundingIntervalHour": str(funding.interval_ms // 3_600_000) if funding else "",
        "fundingCap": funding_rate_text(funding.upper) if funding else "",
        "basisRateYear": "",
    }


def stream_ticker_row(
    instrument: Instrument,
    market: MarketView,
    prices: PriceView,
    funding: Funding | None,
    usd_price: int = SCALE,
) -> Row:
    """The ticker as the socket has it; that of spot has neither best prices nor direction."""
    row = ticker_row(instrument, market, prices, funding, usd_price)
    if instrument.is_spot:
        return {name: row[name] for name in row if name not in BEST_PRICES}
    return {"tickDirection": market.tick_direction, **row}


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
