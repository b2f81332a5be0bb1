"""The leader's venue through ccxt: the one door to it in this package.

Belongs here: one module per dialect behind one port. Does not belong here: what to do about an answer
(`relay.feed`).
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.venue.bybit import BybitVenue, make_exchange
from relay.venue.port import Venue, VenueAddress, VenueCallError, VenueUnavailable, Wallet
from relay.venue.public import PublicVenue
from relay.venue.unified import UnifiedVenue

__all__ = [
    "BybitVenue",
    "PublicVenue",
    "UnifiedVenue",
    "Venue",
    "VenueAddress",
    "VenueCallError",
    "VenueUnavailable",
    "Wallet",
    "make_exchange",
    "open_venue",
]


def open_venue(address: VenueAddress, symbols: Sequence[str]) -> Venue:
    """The account at an address: Bybit's own rows where it is Bybit's, ccxt's unified ones elsewhere."""
    return BybitVenue(address) if address.exchange == "bybit" else UnifiedVenue.open(address, symbols)
