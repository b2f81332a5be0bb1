"""Events as plain rows and back, for the read model's bytes: the engine's objects cannot be pickled.

Belongs here: the kinds of events that records keep. Does not belong here: which record keeps which.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from simulated_exchange.driver import (
    CreateType,
    Event,
    FillKind,
    OrderType,
    PositionIndex,
    Side,
    TimeInForce,
    WalletReason,
)

__all__ = ["event_of_row", "event_row"]

_KINDS: tuple[Any, ...] = (Event.OrderAccepted, Event.Fill, Event.WalletChanged)
_WORDS: dict[str, Any] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "position_index": PositionIndex,
    "create_type": CreateType,
    "kind": FillKind,
    "reason": WalletReason,
}


def _values(word: Any) -> dict[int, Any]:
    """The values of one of the engine's enumerations, by their numbers."""
    return {int(value): value for value in vars(word).values() if isinstance(value, word)}


_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_READ = [attrgetter(*kind.__match_args__) for kind in _KINDS]
_PLACES = [
    [(at, _values(_WORDS[name])) for at, name in enumerate(kind.__match_args__) if name in _WORDS]
    for kind in _KINDS
]


def event_row(event: Any) -> tuple[Any, ...]:
    """The number of its kind, then its fields; words as numbers."""
    number = _NUMBERS[type(event)]
    values = list(_READ[number](event))
    for at, _ in _PLACES[number]:
        values[at] = int(values[at])
    return number, *values


def event_of_row(row: tuple[Any, ...]) -> Any:
    """The event of a row."""
    number, *values = row
    for at, words in _PLACES[number]:
        values[at] = words[values[at]]
    return _KINDS[number](*values)
