"""What a refused request is told: the wire's codes and texts.

Belongs here: code and text of the gateway's own refusals. Does not belong here: what the engine refuses
(`rejects`), when to refuse.
Several clients search whole bodies for certain phrases, so texts carry only what is written here.
"""

from __future__ import annotations

__all__ = [
    "RefusedError",
    "address_rate_limited",
    "auth_repeated",
    "bad_request",
    "bad_signature",
    "duplicate_key",
    "expired_api_key",
    "expired_timestamp",
    "internal_error",
    "invalid_parameter",
    "leverage_too_high",
    "leverage_unchanged",
    "limit_maker_rejected",
    "margin_mode_failed",
    "not_authenticated",
    "not_for_unified",
    "not_supported",
    "order_not_found",
    "permission_denied",
    "rate_limited",
    "request_id_repeated",
    "route_not_found",
    "server_busy",
    "spot_order_not_found",
    "transfer_repeated",
    "unknown_api_key",
    "unknown_market_symbol",
    "unknown_operation",
    "unmatched_address",
    "withdrawal_repeated",
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


def address_rate_limited() -> RefusedError:
    """Too many requests of one address on its trade sockets in this second."""
    return RefusedError(10403, "Exceed IP rate limit: at most 3000 requests per second")


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


def leverage_too_high(asked_hundredths: int, most_hundredths: int) -> RefusedError:
    """Above what the risk tier allows."""
    return RefusedError(
        110013, f"cannot set leverage [{asked_hundredths}] gt maxLeverage [{most_hundredths}] by risk limit"
    )


def leverage_unchanged() -> RefusedError:
    """It is this already."""
    return RefusedError(110043, "leverage not modified")


def spot_order_not_found() -> RefusedError:
    """Unknown to this account, or closed already."""
    return RefusedError(170213, "Order does not exist.")


def limit_maker_rejected() -> RefusedError:
    """A post-only order of spot that would take."""
    return RefusedError(170218, "LIMIT-MAKER rejected")


def transfer_repeated() -> RefusedError:
    """A transfer's identifier is used once."""
    return RefusedError(131214, "Transfer ID is duplicate, please use a new one.")


def withdrawal_repeated() -> RefusedError:
    """A withdrawal's identifier is used once."""
    return RefusedError(10014, "Invalid duplicate request.")


def not_for_unified() -> RefusedError:
    """What only accounts before the unified one could do."""
    return RefusedError(100028, "unified account is forbidden")


def margin_mode_failed(code: str, text: str) -> RefusedError:
    """An account that cannot have the margin mode it asks for."""
    return RefusedError(
        3400045, "Set margin mode failed", {"reasons": [{"reasonCode": code, "reasonMsg": text}]}
    )
