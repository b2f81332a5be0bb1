"""What a refused request is told: the wire's codes and texts.

Belongs here: code and text of every refusal, the engine's included. Does not belong here: when to refuse.
Several clients search whole bodies for certain phrases, so texts carry only what is written here.
"""

from __future__ import annotations

from simulated_exchange.driver import Reject
from simulated_exchange.gateway.translate.numbers import decimal_text
from simulated_exchange.instruments import Instrument

__all__ = [
    "RefusedError",
    "auth_repeated",
    "bad_request",
    "bad_signature",
    "duplicate_key",
    "engine_refusal",
    "expired_api_key",
    "expired_timestamp",
    "internal_error",
    "invalid_parameter",
    "leverage_too_high",
    "leverage_unchanged",
    "not_authenticated",
    "not_supported",
    "order_not_found",
    "permission_denied",
    "position_mode_unchanged",
    "rate_limited",
    "request_id_repeated",
    "route_not_found",
    "server_busy",
    "unknown_api_key",
    "unknown_market_symbol",
    "unknown_operation",
    "unmatched_address",
]


class RefusedError(Exception):
    """Ends the handling of one request with this code and text."""

    def __init__(self, code: int, text: str, result: dict[str, object] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.result = result or {}


def bad_request(text: str) -> RefusedError:
    """The request cannot be understood; the text says which field and what is allowed."""
    return RefusedError(10001, text)


def invalid_parameter(name: str, allowed: str = "") -> RefusedError:
    """One field is wrong."""
    return RefusedError(10001, f"params error: {name} invalid" + (f", must be {allowed}" if allowed else ""))


def not_supported(name: str, instead: str) -> RefusedError:
    """A documented feature that this venue does not have; refused rather than ignored."""
    return RefusedError(10001, f"params error: {name} is not supported by this venue, {instead}")


def duplicate_key(name: str) -> RefusedError:
    """A JSON object or a query that names a key twice."""
    return RefusedError(10001, f"params error: key {name[:64]} appears twice")


def unknown_market_symbol() -> RefusedError:
    """Market data of a symbol that is not traded here."""
    return RefusedError(10001, "Not supported symbols")


def expired_timestamp(timestamp_ms: int, server_ms: int, recv_window_ms: int) -> RefusedError:
    """The signed time lies outside the receive window."""
    return RefusedError(
        10002,
        "invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{timestamp_ms}],server_timestamp[{server_ms}],recv_window[{recv_window_ms}]",
    )


def unknown_api_key() -> RefusedError:
    """No account has this key."""
    return RefusedError(10003, "API key is invalid.")


def bad_signature(origin: str) -> RefusedError:
    """The signature does not fit; `origin` is the text that should have been signed."""
    return RefusedError(10004, f"error sign! origin_string[{origin}]")


def permission_denied() -> RefusedError:
    """The key may not do this."""
    return RefusedError(10005, "Permission denied, please check your API key permissions.")


def unmatched_address() -> RefusedError:
    """The key may not be used from there."""
    return RefusedError(10010, "Unmatched IP, please check your API key's bound IP addresses.")


def expired_api_key() -> RefusedError:
    """The key's time is over."""
    return RefusedError(33004, "Your api key has expired.")


def rate_limited() -> RefusedError:
    """Too many requests in this second."""
    return RefusedError(10006, "Too many visits!")


def server_busy() -> RefusedError:
    """The journal is behind; the request was not taken."""
    return RefusedError(10016, "Internal system error: the venue is busy, try again.")


def internal_error() -> RefusedError:
    """A bug of ours; the log has the rest."""
    return RefusedError(10016, "Internal system error")


def route_not_found() -> RefusedError:
    """No such path here."""
    return RefusedError(10017, "Route not found.")


def not_authenticated() -> RefusedError:
    """A socket that must be signed first."""
    return RefusedError(10003, "Request not authorized: send op auth first")


def auth_repeated() -> RefusedError:
    """A socket is signed once."""
    return RefusedError(20001, "Repeat auth")


def request_id_repeated() -> RefusedError:
    """Request identifiers are unique on a connection."""
    return RefusedError(20006, "duplicate reqId")


def unknown_operation() -> RefusedError:
    """The trade socket has no such operation."""
    return RefusedError(10404, "op is not supported")


def order_not_found() -> RefusedError:
    """Unknown to this account, or closed already."""
    return RefusedError(110001, "order not exists or too late to cancel")


_CODES = {
    Reject.QtyInvalid: (10001, "Qty invalid"),
    Reject.QtyBelowMinimum: (10001, "The number of contracts exceeds minimum limit allowed"),
    Reject.PriceOutOfRange: (110003, "Order price exceeds the allowable range."),
    Reject.MarketNotReady: (10001, "params error: symbol has no index price yet"),
    Reject.DuplicateLinkId: (110072, "OrderLinkedID is duplicate"),
    Reject.LeverageInvalid: (10001, "params error: leverage invalid, must be at least 1"),
    Reject.IndexPriceInvalid: (10001, "params error: price invalid"),
    Reject.OrderNotFound: (110001, "order not exists or too late to cancel"),
    Reject.TooManyOrders: (110020, "Not allowed to have more than 500 active orders."),
    Reject.ReduceOnlyNoPosition: (110017, "current position is zero, cannot fix reduce-only order qty"),
    Reject.ReduceOnlySameSide: (110017, "reduce-only order has same side with current position"),
    Reject.AmendUnchanged: (
        10001,
        "The order remains unchanged as the parameters entered match the existing ones.",
    ),
    Reject.AmendBelowFilled: (110010, "order quantity cannot be amended to what is filled or less"),
    Reject.InsufficientBalance: (110007, "ab not enough for new order"),
    Reject.LeverageUnchanged: (110043, "leverage not modified"),
    Reject.PositionLimit: (110021, "position size would exceed the highest risk limit"),
    Reject.WithdrawTooLarge: (131212, "insufficient balance"),
}


def engine_refusal(reject: Reject, instrument: Instrument | None = None, qty: int = 0) -> RefusedError:
    """What the engine refused, in the wire's words."""
    if reject == Reject.QtyAboveMaximum and instrument is not None:
        return RefusedError(
            10001,
            "The number of contracts exceeds maximum limit allowed: too large, "
            f"order_qty:{qty} > max_qty:{instrument.qty_max}",
        )
    if reject == Reject.BelowMinimumNotional and instrument is not None:
        least = decimal_text(instrument.notional_min)
        return RefusedError(110094, f"Order does not meet minimum order value {least}{instrument.quote}")
    code, text = _CODES.get(reject, (10001, f"params error: {reject.text}"))
    return RefusedError(code, text)


def leverage_too_high(asked_hundredths: int, most_hundredths: int) -> RefusedError:
    """Above what the risk tier allows."""
    return RefusedError(
        110013, f"cannot set leverage [{asked_hundredths}] gt maxLeverage [{most_hundredths}] by risk limit"
    )


def leverage_unchanged() -> RefusedError:
    """It is this already."""
    return RefusedError(110043, "leverage not modified")


def position_mode_unchanged() -> RefusedError:
    """It is one-way already."""
    return RefusedError(110025, "Position mode is not modified")
