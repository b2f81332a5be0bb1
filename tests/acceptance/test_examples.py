"""Every worked example of the venue's rules, through the engine's public face.

Each example has inputs and expected numbers (`examples.json`); what the engine makes of the inputs is found
by driving it (`example_*`). A number is right within the tolerance that its example allows.
"""

from __future__ import annotations

import json
from decimal import Decimal
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
# Intermediate numbers that the engine has no reason to show.
NOT_SHOWN = {"INDEX-5": {"weights"}, "ADL-4": {"A", "B", "C"}}


def same(actual: Any, expected: Any, tolerance: Decimal) -> bool:
    """Equal, where a number may differ by what its example allows."""
    if isinstance(expected, list):
        pairs = zip(actual, expected, strict=True)
        return all(same(one, other, tolerance) for one, other in pairs)
    if isinstance(actual, Decimal):
        return abs(actual - Decimal(expected)) <= tolerance
    return bool(actual == expected)


def test_every_example_applies() -> None:
    names = [example["id"] for example in EXAMPLES]
    assert len(names) == len(set(names)) == 82
    assert set(ACTUAL) == set(names)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["id"])
def test_an_example_comes_out_as_published(example: dict[str, Any]) -> None:
    actual = ACTUAL[example["id"]](example["inputs"])
    unseen = NOT_SHOWN.get(example["id"], set())
    assert set(actual) | unseen == set(example["expected"]), "the example is answered whole"
    for name, expected in example["expected"].items():
        if name in unseen:
            continue
        assert same(actual[name], expected, Decimal(example["tolerance"])), (
            f"{name}: {actual[name]}, expected {expected}"
        )
