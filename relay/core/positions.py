"""Positions compared with each other, and as text to resume from.

Belongs here: pure functions over what `account` defines. Does not belong here: how positions change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from relay.core.account import FLAT, Leg, Position, hedged

__all__ = [
    "dump_positions",
    "load_positions",
    "quantities",
    "quantities_text",
    "settings_of",
    "with_leverage_of",
]


def dump_positions(positions: Mapping[str, Position]) -> str:
    """Positions as text for the outbox, to resume from: qty and entry, or those of both sides of a hedge."""
    return json.dumps(
        {symbol: _numbers(position) for symbol, position in positions.items() if position.is_held}
    )


def load_positions(text: str | None) -> dict[str, Position] | None:
    """The inverse of `dump_positions`; None for None."""
    if text is None:
        return None
    rows: dict[str, list[str]] = json.loads(text)
    return {symbol: _position(*map(Decimal, row)) for symbol, row in rows.items()}


def _numbers(position: Position) -> list[str]:
    long, short = position.long, position.short
    if long is None or short is None:
        return [str(position.qty), str(position.entry_price)]
    return [str(number) for leg in (long, short) for number in (leg.qty, leg.entry_price)]


def _position(qty: Decimal, entry: Decimal, *other: Decimal) -> Position:
    if not other:
        return Position(qty, entry)
    return hedged(Position(long=Leg(qty, entry), short=Leg(*other)))


def with_leverage_of(positions: Mapping[str, Position], found: Mapping[str, Position]) -> dict[str, Position]:
    symbols = positions.keys() | found.keys()
    """Positions with the leverage settings that were found."""
    return {s: replace(positions.get(s, FLAT), leverage=found.get(s, FLAT).leverage) for s in symbols}


def quantities(positions: Mapping[str, Position]) -> dict[str, tuple[Decimal, ...]]:
    """What is held, to compare: the qty, and both sides' of a hedge."""
    return {
        symbol: (p.qty, *(leg.qty for leg in (p.long, p.short) if leg is not None))
        for symbol, p in positions.items()
        if p.is_held
    }


def settings_of(position: Position) -> tuple[object, ...]:
    """What the leader has set by hand."""
    legs = [leg for leg in (position.long, position.short) if leg is not None]
    if not legs:
        legs = [
            Leg(leverage=position.leverage, take_profit=position.take_profit, stop_loss=position.stop_loss)
        ]
    return (position.margin_mode, *((leg.leverage, leg.take_profit, leg.stop_loss) for leg in legs))


def quantities_text(quantities: Mapping[str, tuple[Decimal, ...]]) -> dict[str, str]:
    """The same for a log line."""
    return {symbol: " ".join(map(str, numbers)) for symbol, numbers in quantities.items()}
