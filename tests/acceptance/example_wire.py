"""Worked examples of signatures, by the function that the gateway checks every request with.

Belongs here: putting the signed text together as a client does. Does not belong here: expected signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulated_exchange.gateway.auth import sign

__all__ = ["ACTUAL"]

Inputs = dict[str, Any]


def request(given: Inputs) -> Inputs:
    """SIGN-1 to SIGN-4: time, key, window and payload, without anything between."""
    text = given["timestamp"] + given["api_key"] + given["recv_window"] + given["payload"]
    return {"sign": sign(given["secret"], text.encode())}


def socket(given: Inputs) -> Inputs:
    """SIGN-5."""
    return {"sign": sign(given["secret"], f"GET/realtime{given['expires']}".encode())}


ACTUAL: dict[str, Callable[[Inputs], Inputs]] = {
    **{f"SIGN-{number}": request for number in (1, 2, 3, 4)},
    "SIGN-5": socket,
}
