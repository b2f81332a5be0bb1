"""Which ending a submit has, by the venue's code and never by the class of an exception.

Belongs here: the table for Bybit v5 codes. Does not belong here: HTTP, ccxt (`ccxt_adapter`).
"""

from __future__ import annotations

import re
from types import MappingProxyType

from follower_client.venue.port import Ending

__all__ = [
    "CLOCK_REFUSED",
    "ENDINGS",
    "KEY_REFUSED",
    "NOTHING_TO_REDUCE",
    "NOT_CHANGED",
    "ending_of",
    "venue_code",
]

CLOCK_REFUSED = "10002"
"""The timestamp is outside the receive window: the two clocks have to be compared again."""

ENDINGS = MappingProxyType(
    {
        "10000": Ending.UNKNOWN,  # server timeout
        "10016": Ending.UNKNOWN,  # internal error: the order may exist
        "10014": Ending.DUPLICATE,  # duplicate request
        "110072": Ending.DUPLICATE,  # order link id was used: an earlier try arrived
        "170141": Ending.DUPLICATE,
        CLOCK_REFUSED: Ending.REFUSED,
        "10006": Ending.REFUSED,  # rate limit
        "10018": Ending.REFUSED,  # rate limit of the IP
        "10429": Ending.REFUSED,  # system level frequency protection
    }
)
"""Codes that are not plain rejections. Every other code is an answer, and the answer is no."""

KEY_REFUSED = frozenset({"10003", "10004", "10005", "10007", "10010", "33004"})
"""The key, its signature, its rights or this address are not accepted: the next call will fare the same."""

NOT_CHANGED = frozenset({"110043", "34040"})
"""A setting that was already as asked for."""

NOTHING_TO_REDUCE = "110017"
"""A reduce-only order found no position to reduce: the close is already done."""

_CODE = re.compile(r'"ret_?[cC]ode"\s*:\s*"?(-?\d+)')
_HTTP_REFUSALS = ("403", "429")


def venue_code(text: str) -> str:
    """The `retCode` inside an error's text, or an empty string."""
    found = _CODE.search(text)
    return found.group(1) if found else ""


def ending_of(code: str, *, http_status: str = "") -> Ending:
    """The ending for a venue code; without a code, what is left is that nobody knows."""
    if code:
        return ENDINGS.get(code, Ending.REJECTED)
    return Ending.REFUSED if http_status in _HTTP_REFUSALS else Ending.UNKNOWN
