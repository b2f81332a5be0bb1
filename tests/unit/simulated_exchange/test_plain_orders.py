"""The short way for orders that ask for nothing special: it understands what the long way does."""

from __future__ import annotations

from typing import Any

import pytest

from simulated_exchange.gateway.translate import requests
from tests.unit.simulated_exchange.test_gateway_translate import CATALOGUE, ORDER

IDLE = {
    "positionIdx": 0,
    "reduceOnly": False,
    "closeOnTrigger": False,
    "smpType": "None",
    "takeProfit": "",
    "triggerDirection": 0,
}


@pytest.mark.parametrize(
    "change", [{}, {"orderLinkId": "mine", "timeInForce": "IOC"}, {"orderType": "Market"}, {"side": "Sell"}]
)
def test_what_is_left_out_means_what_its_idle_value_means(change: dict[str, Any]) -> None:
    plain = requests.order_request({**ORDER, **change}, CATALOGUE, "linear")
    assert plain == requests.order_request({**ORDER, **change, **IDLE}, CATALOGUE, "linear")
