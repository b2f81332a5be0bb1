"""Whose position is it: what copying built, and what came from elsewhere.

Belongs here: comparing the journal with the venue. Does not belong here: asking the venue (`executor`),
correcting the journal (`store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from follower_client.core.snapshot import sign

__all__ = ["Difference", "differences", "external_part"]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Difference:
    """One symbol where journal and venue disagree. All signed; `external` is never traded."""

    symbol: str
    journal_qty: Decimal
    venue_qty: Decimal
    own_qty: Decimal
    external_qty: Decimal


def external_part(
    journal_qty: Decimal, venue_qty: Decimal, hedged_qty: Decimal = ZERO
) -> tuple[Decimal, Decimal]:
    """(own, external). Own is what the journal claims, but never more than the venue holds on that side.

    Somebody closed by hand or the venue liquidated: own shrinks. Somebody added: the excess is external.
    `hedged_qty` = what an account in hedge mode holds on both sides beside its net.
    """
    side = abs(venue_qty) if sign(journal_qty) == sign(venue_qty) else ZERO
    own = min(abs(journal_qty), side + hedged_qty) * sign(journal_qty)
    return own, venue_qty - own


def differences(
    journal: Mapping[str, Decimal],
    venue: Mapping[str, Decimal],
    hedges: Mapping[str, Decimal] = MappingProxyType({}),
) -> tuple[dict[str, Decimal], list[Difference]]:
    """The external part per symbol, and every symbol where the two disagree."""
    external: dict[str, Decimal] = {}
    found: list[Difference] = []
    for symbol in sorted({*journal, *venue}):
        journal_qty, venue_qty = journal.get(symbol, ZERO), venue.get(symbol, ZERO)
        own, other = external_part(journal_qty, venue_qty, hedges.get(symbol, ZERO))
        if other != 0:
            external[symbol] = other
        if journal_qty != venue_qty:
            found.append(Difference(symbol, journal_qty, venue_qty, own, other))
    return external, found
