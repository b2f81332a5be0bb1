"""Whether two programs trade at one venue, from what each was told of it."""

from __future__ import annotations

import pytest

from relay.protocol.venues import venue_name


@pytest.mark.parametrize(
    ("exchange", "url", "name"),
    [
        ("bybit", None, "bybit"),
        ("bybit", "https://api.bybit.com", "bybit"),
        ("bybit", "https://api.bytick.com/", "bybit"),
        ("bybit", "https://api-testnet.bybit.com", "bybit:testnet"),
        ("bybit", "https://api-demo.bybit.com", "bybit:demo"),
        ("bybit", "http://127.0.0.1:8080", "bybit@127.0.0.1:8080"),
        ("bybit", "http://localhost:9", "bybit@localhost:9"),
        ("okx", None, "okx"),
    ],
)
def test_a_market_is_named_once(exchange: str, url: str | None, name: str) -> None:
    assert venue_name(exchange, url) == name


def test_an_exchanges_own_sandbox_is_another_market() -> None:
    assert venue_name("okx", None, sandbox=True) == "okx:testnet"
