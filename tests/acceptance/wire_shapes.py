"""Shapes of wire messages: which fields an example has and of which kind, and where an answer differs.

Belongs here: comparing, and the recorded examples by route. Does not belong here: what a venue answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.acceptance.recorded_data import DATA, text_of

__all__ = ["EXAMPLES", "FOLDER", "documented_answers", "lacks", "library_answers"]

FOLDER = "bybit-v5-conformance"
EXAMPLES = DATA / FOLDER / "bybit_docs_rest_examples.jsonl.gz"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    for kind, name in ((dict, "object"), (list, "list"), (str, "text"), (int | float, "number")):
        if isinstance(value, kind):
            return name
    return "nothing"


def lacks(example: Any, answer: Any, place: str = "result") -> Iterator[str]:
    """What an answer lacks of an example, or has of another kind. Lists are compared by their rows."""
    wanted, found = _kind(example), _kind(answer)
    if "nothing" in (wanted, found):
        return
    if wanted != found:
        yield f"{place}: {found} where {wanted} is documented"
    elif wanted == "object":
        for name, inner in example.items():
            if name not in answer:
                yield f"{place}.{name}: missing"
            else:
                yield from lacks(inner, answer[name], f"{place}.{name}")
    elif wanted == "list" and example:
        if not answer:
            yield f"{place}: no row to compare"
        for row in answer[:1]:
            yield from lacks(example[0], row, f"{place}[]")


def documented_answers() -> dict[tuple[str, str], list[Any]]:
    """The documentation's example results by method and path."""
    found: dict[tuple[str, str], list[Any]] = {}
    for line in text_of(str(EXAMPLES)).splitlines():
        page = json.loads(line)
        for endpoint in page["endpoints"]:
            examples = [
                entry["result"]
                for entry in page["response_examples"]
                if isinstance(entry, dict) and entry.get("retCode") == 0 and entry.get("result")
            ]
            found.setdefault((endpoint["method"], endpoint["path"]), []).extend(examples)
    return found


def library_answers() -> dict[tuple[str, str], list[Any]]:
    """The results that a client library parses in its own tests, by method and path."""
    found: dict[tuple[str, str], list[Any]] = {}
    for line in text_of(f"{FOLDER}/bybit_net_rest_cases.jsonl").splitlines():
        case = json.loads(line)
        response = case["response"]
        if isinstance(response, dict) and response.get("retCode") == 0 and response.get("result"):
            found.setdefault((case["method"], case["path"]), []).append(response["result"])
    return found
