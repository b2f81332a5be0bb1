"""Reading single values out of a request's body: words, flags, numbers.

Belongs here: kinds of values. Does not belong here: any field's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from simulated_exchange.gateway.translate.numbers import parse_decimal
from simulated_exchange.gateway.translate.refusals import bad_request, invalid_parameter

__all__ = ["Body", "flag", "optional_decimal", "whole_number", "word"]

Body = Mapping[str, Any]
T = TypeVar("T")


def word(body: Body, name: str, words: Mapping[str, T], default: str = "") -> T | None:
    """What one of the wire's words means; None for any other value."""
    value = body.get(name) or default
    return words.get(value) if isinstance(value, str) else None


def flag(body: Body, name: str) -> bool:
    value = body.get(name)
    if value is None or value == "":
        return False
    if not isinstance(value, bool):
        raise invalid_parameter(name, "true or false")
    return value


def whole_number(body: Body, name: str, default: int | None = None) -> int:
    """A JSON integer, or text of one."""
    value = body.get(name)
    if (value is None or value == "") and default is not None:
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if type(value) is not int or not 0 <= value < 10**18:
        raise invalid_parameter(name, "a whole number")
    return value


def optional_decimal(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    parsed = parse_decimal(value)
    if parsed is None:
        raise bad_request("Qty invalid") if name == "qty" else invalid_parameter(name, "a decimal string")
    return parsed
