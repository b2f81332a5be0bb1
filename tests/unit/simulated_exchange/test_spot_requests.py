"""Orders of spot as they are written on the wire: what a quantity is in, who borrows, and other spellings."""

from __future__ import annotations

import pytest

from simulated_exchange.driver import Side, Terms
from simulated_exchange.gateway.translate import requests
from simulated_exchange.gateway.translate.refusals import RefusedError
from tests.unit.simulated_exchange.test_gateway_translate import CATALOGUE, ORDER


def test_spot_orders_spend_the_quote_coin_unless_told_otherwise() -> None:
    body = {**ORDER, "orderType": "Market", "reduceOnly": True, "qty": "100"}
    bought = requests.order_request(body, CATALOGUE, "spot")
    assert (bought.instrument.name, bought.terms, bought.reduce_only) == (
        "BTC/USDT",
        Terms(in_quote=True),
        False,
    )
    assert requests.order_request({**body, "marketUnit": "baseCoin"}, CATALOGUE, "spot").terms is None
    assert requests.order_request({**body, "side": "Sell"}, CATALOGUE, "spot").terms is None
    margin = requests.order_request({**ORDER, "isLeverage": 1}, CATALOGUE, "spot")
    assert margin.terms == Terms(is_leveraged=True)
    with pytest.raises(RefusedError, match="marketUnit is not supported"):
        requests.order_request({**body, "side": "Sell", "marketUnit": "quoteCoin"}, CATALOGUE, "spot")


def test_spot_is_spoken_to_as_hummingbot_speaks() -> None:
    order = requests.order_request({**ORDER, "side": "BUY", "marketUnit": "baseCoin"}, CATALOGUE, "spot")
    assert order.side == Side.Buy
    named = {"symbol": "BTC-USDT", "orderLinkId": "mine"}
    assert requests.cancel_request(named, CATALOGUE, "spot").instrument is order.instrument
    for body, category in ((named, "linear"), ({**named, "symbol": "BTC-EUR"}, "spot")):
        with pytest.raises(RefusedError, match="symbol invalid"):
            requests.cancel_request(body, CATALOGUE, category)
