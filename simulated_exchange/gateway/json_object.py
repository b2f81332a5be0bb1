"""Bytes to a JSON object, strictly: no key twice, no deep nesting, nothing after the end.

Belongs here: reading JSON that strangers send. Does not belong here: what the keys mean.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from simulated_exchange.gateway.translate.refusals import bad_request, duplicate_key

__all__ = ["DEPTH_MAX", "parse_object"]

DEPTH_MAX = 8


def parse_object(raw: bytes | str) -> dict[str, Any]:
    """The object in `raw`; empty bytes are an empty object. Raises RefusedError that says what is wrong.

    orjson keeps the last of two equal keys, so keys are counted: an object without a colon outside its
    structure has as many colons as keys. Only when the counts differ is the text read again, slowly.
    """
    if not raw:
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"params error: body is not JSON: {str(error)[:100]}") from None
    if type(value) is not dict:
        raise bad_request("params error: body must be a JSON object")
    colons = raw.count(b":") if isinstance(raw, bytes) else raw.count(":")
    if _count_keys(value, 1) != colons:
        json.loads(raw, object_pairs_hook=_unique)
    return value


def _count_keys(value: Any, depth: int) -> int:
    if depth > DEPTH_MAX:
        raise bad_request(f"params error: body is nested deeper than {DEPTH_MAX} levels")
    if type(value) is dict:
        count = len(value)
        for inner in value.values():
            if type(inner) is dict or type(inner) is list:
                count += _count_keys(inner, depth + 1)
        return count
    count = 0
    for inner in value:
        if type(inner) is dict or type(inner) is list:
            count += _count_keys(inner, depth + 1)
    return count


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise duplicate_key(key)
        seen[key] = value
    return seen
