"""Every worked example of the venue's rules, through the engine's public face.

Each example has inputs and expected numbers (`examples.json`); what the engine makes of the inputs is found by
driving it (`example_*`). A number is right when it rounds to the expected one at the places that one shows.
"""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import example_accounts, example_orders, example_positions, example_prices, example_wire

EXAMPLES = json.loads((Path(__file__).parent / "examples.json").read_text())
ACTUAL = (
    example_prices.ACTUAL
    | example_orders.ACTUAL
    | example_positions.ACTUAL
    | example_accounts.ACTUAL
    | example_wire.ACTUAL
)
# Examples that nothing in the engine can answer, with the reason.
CANNOT_APPLY: dict[str, str] = {}
APPLYING_MIN = 78


def same(actual: Any, expected: Any) -> bool:
    """Equal, where a number may have more places than the expected one shows."""
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(map(same, actual, expected))
    if isinstance(actual, Decimal):
        places = Decimal(1).scaleb(Decimal(expected).as_tuple().exponent)  # type: ignore[arg-type]
        rounded = {actual.quantize(places, rounding) for rounding in (ROUND_HALF_UP, ROUND_HALF_EVEN)}
        return Decimal(expected) in rounded
    return bool(actual == expected)


def test_enough_examples_apply() -> None:
    names = [example["id"] for example in EXAMPLES]
    assert len(names) == len(set(names)) == 82
    assert set(ACTUAL) | set(CANNOT_APPLY) == set(names)
    assert not set(ACTUAL) & set(CANNOT_APPLY)
    assert len(ACTUAL) >= APPLYING_MIN


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["id"])
def test_an_example_comes_out_as_published(example: dict[str, Any]) -> None:
    if example["id"] in CANNOT_APPLY:
        return
    actual = ACTUAL[example["id"]](example["inputs"])
    assert set(actual) == set(example["expected"]), "the example is answered whole"
    for name, expected in example["expected"].items():
        assert same(actual[name], expected), f"{name}: {actual[name]}, expected {expected}"
