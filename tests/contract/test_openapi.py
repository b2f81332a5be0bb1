"""The wire's document against the wire: every operation, sense and nonsense alike, over loopback.

No failure of the server, no answer in another shape, no hang, and a refused request changes nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from simulated_exchange.gateway.auth import sign
from simulated_exchange.gateway.rest import ROUTES
from simulated_exchange.gateway.translate.fields import REQUEST_FIELDS
from simulated_exchange.gateway.translate.openapi import openapi_document
from tests.contract.serving import Account, VenueProcess, served

ANSWER_SECONDS_MAX = 10
INTERNAL_ERROR = 10016
CASES_QUICK, CASES_THOROUGH = 3, 100  # of each operation
DOCUMENT = openapi_document((method, path, route.is_signed) for (method, path), route in ROUTES.items())
SIGNED = {(method, path) for (method, path), route in ROUTES.items() if route.is_signed}
WRITES = {(method, path) for (method, path), route in ROUTES.items() if route.is_write}
KEY_CHANGES = ("/v5/user/",)  # a key that is changed or deleted by chance ends the tests of everything else
OPERATIONS = sorted((path, method) for path, found in DOCUMENT["paths"].items() for method in found)


def test_the_document_tells_of_every_route_and_field() -> None:
    assert {f"{method} {path}" for method, path in ROUTES} == set(REQUEST_FIELDS)


class Room:
    """A venue, a trader whose state can be compared, and a connection."""

    def __init__(self, venue: VenueProcess) -> None:
        self.venue = venue
        self.account = venue.open_account()
        self.session = requests.Session()
        config = SchemathesisConfig()
        self.schema = schemathesis.openapi.from_dict(DOCUMENT, config=config)
        self.cases = 0
        self.send(self.request("POST", "/v5/order/create", json.dumps(ORDER).encode()))

    def request(self, method: str, path: str, body: bytes = b"") -> requests.PreparedRequest:
        return requests.Request(method, self.venue.rest + path, data=body).prepare()

    def send(self, prepared: requests.PreparedRequest) -> requests.Response:
        """Sign what was prepared, on its bytes, and send it."""
        method, path = str(prepared.method), urlsplit(str(prepared.url)).path
        if (method, path) in SIGNED:
            prepared.headers.update(signature(self.account, prepared))
        return self.session.send(prepared, timeout=ANSWER_SECONDS_MAX)

    def state(self) -> list[Any]:
        """What a refused request must leave alone."""
        asked = (
            "/v5/account/wallet-balance?accountType=UNIFIED",
            "/v5/order/realtime?category=linear&settleCoin=USDT",
            "/v5/position/list?category=linear&settleCoin=USDT",
            "/v5/account/info",
        )
        return [self.send(self.request("GET", path)).json()["result"] for path in asked]


ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Limit",
    "qty": "0.01",
    "price": "99000",
}


def signature(account: Account, prepared: requests.PreparedRequest) -> dict[str, str]:
    """The headers of a signed request; what is signed is the raw query, or the raw body."""
    now, window = str(time.time_ns() // 1_000_000), "20000"
    raw = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
    assert isinstance(raw, bytes)
    payload = raw if prepared.method == "POST" else urlsplit(str(prepared.url)).query.encode()
    signed = sign(account.api_secret, f"{now}{account.api_key}{window}".encode() + payload)
    return {
        "X-BAPI-API-KEY": account.api_key,
        "X-BAPI-TIMESTAMP": now,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": signed,
    }


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    config = folder / "exchange.toml"
    config.write_text(
        "enable_sim = true\n[start_prices]\nBTCUSDT = '100000'\n"
        "[gateway]\nrequests_per_second_max = 1000000\n"
    )
    with served(folder / "data", "--config", str(config), "--durability", "os") as venue:
        yield Room(venue)
        assert venue.sim("invariants")["conservation_delta"] == "0"
        assert "Traceback" not in (folder / "data.log").read_text()
        assert venue.stop() == 0


def tried(room: Room, path: str, method: str, cases: int) -> None:
    """So many cases of one operation, sensible ones and others."""
    operation = room.schema[path][method.upper()]
    is_write = (method.upper(), path) in WRITES
    known: list[Any] = [None]
    strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.body or operation.query:
        strategy |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case: Any) -> None:
        room.cases += 1
        arguments = case.as_transport_kwargs(base_url=room.venue.rest)
        arguments.pop("cookies", None)
        prepared = requests.Request(**arguments).prepare()
        before = known[0] if known[0] is not None or not is_write else room.state()
        asked = time.monotonic()
        response = room.send(prepared)
        assert time.monotonic() - asked < ANSWER_SECONDS_MAX
        assert response.status_code == 200, response.text[:300]
        if "/sim/" in path or path.startswith(KEY_CHANGES):
            assert isinstance(response.json(), dict)
            room.session.post(f"{room.venue.rest}/sim/faults/clear", data=b"{}", timeout=5)
            return
        case.validate_response(response, checks=CHECKS)
        answer = response.json()
        assert answer["retCode"] != INTERNAL_ERROR, answer
        if is_write:
            after = room.state()
            assert answer["retCode"] == 0 or after == before, answer
            known[0] = after

    run()


CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_any_case_of_an_operation_is_answered(room: Room, path: str, method: str) -> None:
    tried(room, path, method, CASES_QUICK)


@pytest.mark.system
@pytest.mark.timeout(3600)
def test_ten_thousand_cases(room: Room) -> None:
    cases = int(os.environ.get("OPENAPI_CASES", CASES_THOROUGH))
    for path, method in OPERATIONS:
        tried(room, path, method, cases)
    assert room.cases >= 10_000 or cases < CASES_THOROUGH
