"""What a venue is called, so that two programs can tell whether they trade at the same one.

Belongs here: the name. Does not belong here: any venue's dialect.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["venue_name"]

TEST_WORDS = ("testnet", "demo")
NAME_LENGTH_MAX = 64


def venue_name(exchange: str, rest_url: str | None, *, sandbox: bool = False) -> str:
    """The exchange in ccxt's names, with its environment where that is not the real one.

    A real venue has many hosts and one market, so the host is not in the name; test environments have markets
    of their own, and one on this machine is told apart by its port.
    """
    parts = urlsplit(rest_url or "")
    host = (parts.hostname or "").lower()
    if _is_local(host):
        return f"{exchange}@{host}:{parts.port or 0}"[:NAME_LENGTH_MAX]
    words = re.split(r"[.-]", host)
    found = next((word for word in TEST_WORDS if word in words), "testnet" if sandbox else "")
    return f"{exchange}:{found}" if found else exchange


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
