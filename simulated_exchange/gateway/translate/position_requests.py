"""Bodies of requests that set how positions are held: leverage, modes, margin, disconnect windows.

Belongs here: shape of the values (kinds, words, decimals). Does not belong here: orders (`requests`), money
that moves (`money_requests`), rules (the engine's).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulated_exchange.driver import MarginMode, PositionIndex, PositionMode, ProductClass
from simulated_exchange.gateway.translate.body import whole_number
from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.order_terms import TradingStopRequest, trading_stop_terms
from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    invalid_parameter,
    margin_mode_failed,
)
from simulated_exchange.gateway.translate.requests import (
    category_of,
    instrument_of,
    position_index,
)
from simulated_exchange.gateway.translate.wallets import MARGIN_MODES
from simulated_exchange.instruments import SCALE, Catalogue, Instrument

__all__ = [
    "DisconnectRequest",
    "LeverageRequest",
    "MarginRequest",
    "ModeRequest",
    "auto_margin_request",
    "disconnect_request",
    "leverage_request",
    "limit_price_action",
    "margin_mode_request",
    "margin_request",
    "position_mode_request",
    "trading_stop_request",
]

SECONDS_WIDTH = 2**32 - 1  # what the engine can be asked at all; what it takes is its own rule
Body = Mapping[str, Any]

_MODES = {0: PositionMode.OneWay, 3: PositionMode.Hedge}
_PRODUCTS = {"DERIVATIVES": ProductClass.Contracts, "SPOT": ProductClass.Spot}
LEVERAGE_UNIT = SCALE // 100


@dataclass(frozen=True, slots=True)
class LeverageRequest:
    """Leverage of both sides in hundredths."""

    instrument: Instrument
    buy: int
    sell: int


@dataclass(frozen=True, slots=True)
class ModeRequest:
    """The position mode of one instrument, or of all that settle in a coin."""

    mode: PositionMode
    instrument: Instrument | None
    coin: str


@dataclass(frozen=True, slots=True)
class MarginRequest:
    """Margin for an isolated position; negative to take it back."""

    instrument: Instrument
    position_index: PositionIndex
    amount: int


@dataclass(frozen=True, slots=True)
class DisconnectRequest:
    """After how many seconds the orders of a client that is gone are cancelled."""

    products: ProductClass
    seconds: int


def _contract(body: Body, catalogue: Catalogue) -> Instrument:
    category = category_of(body)
    if category == "spot":
        raise invalid_parameter("category", "linear or inverse")
    return instrument_of(body, catalogue, category)


def leverage_request(body: Body, catalogue: Catalogue) -> LeverageRequest:
    """A body of set-leverage."""
    instrument = _contract(body, catalogue)
    sides = []
    for name in ("buyLeverage", "sellLeverage"):
        leverage = parse_decimal(body.get(name))
        if not leverage or leverage % LEVERAGE_UNIT:
            raise invalid_parameter(name, "a decimal string from 1, at most two decimals")
        sides.append(min(leverage // LEVERAGE_UNIT, 2**31))
    return LeverageRequest(instrument, *sides)


def position_mode_request(body: Body, catalogue: Catalogue) -> ModeRequest:
    """A body of switch-mode."""
    category = category_of(body)
    mode = _MODES.get(whole_number(body, "mode"))
    if mode is None:
        raise invalid_parameter("mode", "0, one-way, or 3, both sides")
    if body.get("symbol"):
        return ModeRequest(mode, instrument_of(body, catalogue, category), "")
    coin = body.get("coin")
    if not coin or not isinstance(coin, str):
        raise bad_request("params error: symbol or coin is required")
    if not any(entry.settle == coin for entry in catalogue.of(category)):
        raise invalid_parameter("coin", "one that contracts settle in")
    return ModeRequest(mode, None, coin)


def margin_mode_request(body: Body) -> MarginMode:
    """A body of set-margin-mode; portfolio margin is for accounts that this venue does not have."""
    name = body.get("setMarginMode")
    if name == "PORTFOLIO_MARGIN":
        raise margin_mode_failed("3400000", "Portfolio margin is not supported by this venue")
    mode = MARGIN_MODES.get(name) if isinstance(name, str) else None
    if mode is None:
        raise invalid_parameter("setMarginMode", ", ".join(MARGIN_MODES))
    return mode


def margin_request(body: Body, catalogue: Catalogue) -> MarginRequest:
    """A body of add-margin."""
    instrument, text = _contract(body, catalogue), body.get("margin")
    is_negative = isinstance(text, str) and text.startswith("-")
    amount = parse_decimal(text[1:] if isinstance(text, str) and is_negative else text)
    if not amount:
        raise invalid_parameter("margin", "a decimal string, negative to reduce the margin")
    return MarginRequest(instrument, position_index(body), -amount if is_negative else amount)


def auto_margin_request(body: Body, catalogue: Catalogue) -> MarginRequest:
    """A body of set-auto-add-margin; the amount is 1 for on and 0 for off."""
    instrument = _contract(body, catalogue)
    name = "autoAddMargin" if "autoAddMargin" in body else "autoAddmargin"  # documented in both spellings
    value = whole_number(body, name)
    if value not in (0, 1):
        raise invalid_parameter("autoAddMargin", "0 or 1")
    return MarginRequest(instrument, position_index(body), value)


def trading_stop_request(body: Body, catalogue: Catalogue) -> tuple[Instrument, TradingStopRequest]:
    """A body of trading-stop."""
    return _contract(body, catalogue), trading_stop_terms(body, position_index(body))


def disconnect_request(body: Body) -> DisconnectRequest:
    """A body of disconnected-cancel-all."""
    products = _PRODUCTS.get(str(body.get("product") or "DERIVATIVES"))
    if products is None:
        raise invalid_parameter("product", "DERIVATIVES or SPOT")
    return DisconnectRequest(products, min(whole_number(body, "timeWindow"), SECONDS_WIDTH))


def limit_price_action(body: Body) -> tuple[ProductClass, bool]:
    """A body of set-limit-px-action: whether limits beyond the band are moved to its edge."""
    moves = body.get("modifyEnable")
    if not isinstance(moves, bool):
        raise invalid_parameter("modifyEnable", "true or false")
    return (ProductClass.Spot if category_of(body) == "spot" else ProductClass.Contracts), moves
