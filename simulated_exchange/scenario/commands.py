"""What the ambient traders ask of the venue, as plain values.

Belongs here: one frozen record per kind of command, instruments and accounts as small integers, prices and
quantities in units of 10**-8. Does not belong here: how a command is carried out (`runner`).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Advance", "Amend", "Cancel", "Command", "Follow", "Observe", "Place", "SetIndex"]


@dataclass(frozen=True, slots=True)
class SetIndex:
    """A new price of one index source."""

    instrument: int
    source: int
    price: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Let market time act: basis samples, staleness, liquidation sweep."""


@dataclass(frozen=True, slots=True)
class Place:
    """A new order. `price` 0: a market order (immediate or cancel); otherwise a limit order that rests."""

    account: int
    instrument: int
    buy: bool
    qty: int
    price: int = 0
    reduce_only: bool = False
    link_id: str = ""


@dataclass(frozen=True, slots=True)
class Amend:
    """A new price and whole quantity for a resting order."""

    account: int
    order_id: int
    price: int
    qty: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take a resting order off the book."""

    account: int
    order_id: int


@dataclass(frozen=True, slots=True)
class Follow:
    """From here on trades of the instrument are measured against this price of its path."""

    instrument: int
    price: int


@dataclass(frozen=True, slots=True)
class Observe:
    """Look at the instrument's prices now; `path_ms` is the market time that the paths were taken at."""

    instrument: int
    path_ms: int


Command = SetIndex | Advance | Place | Amend | Cancel | Follow | Observe
