"""What the leader's feed asks of a venue, whichever it is.

Belongs here: the port, its errors, what an exception of ccxt means to a leader. Does not belong here: any
venue's dialect (`bybit`, `unified`), what to do about an answer (`relay.feed`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from ccxt.base import errors as ccxt_errors

from relay.core.account import Fill, Position, Quote, WalletEvent
from relay.errors import ConfigurationError

__all__ = [
    "KeyedAddress",
    "Levels",
    "Venue",
    "VenueAddress",
    "VenueCallError",
    "VenueUnavailable",
    "Wallet",
    "answered",
    "decimal_of",
    "levels_of",
]

VenueCallError = ccxt_errors.BaseError  # what a call on `make_exchange`'s object raises, whatever the reason
REQUEST_TIMEOUT_MS: Final = 5_000
KEEP_ALIVE_MS: Final = 5_000
BOOK_LEVELS: Final = 50
_Answer = TypeVar("_Answer")
Levels: TypeAlias = list[tuple[Decimal, Decimal]]


class VenueUnavailable(Exception):  # noqa: N818 - it is there again later
    """No answer, or none that can be used; try again. The text names the venue's code where there is one."""


class KeyedAddress(Protocol):
    """Where an account is, and the key to it."""

    @property
    def rest_url(self) -> str | None: ...

    @property
    def ws_url(self) -> str | None: ...

    def credentials(self) -> tuple[str, str]:
        """API key and secret."""


class VenueAddress(KeyedAddress, Protocol):
    """What is needed to open a leader's account (`relay.settings.VenueSettings` has it)."""

    @property
    def exchange(self) -> str:
        """The venue, in ccxt's names."""

    @property
    def sandbox(self) -> bool:
        """Whether the venue's own test environment is meant."""

    def passphrase(self) -> str | None:
        """The third part of a key, where the venue has one."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """The account's wallet balance over all coins, in USDT terms; unrealised profit is not in it."""

    balance_usdt: Decimal


class Venue(Protocol):
    """`watch_*` wait for news; all raise `VenueUnavailable`, and `ConfigurationError` for a refused key."""

    async def watch_fills(self) -> list[Fill]: ...

    async def watch_positions(self, symbols: Sequence[str]) -> dict[str, Position]: ...

    async def watch_orders(self) -> None:
        """Wait until orders that close a position at a price may have changed; `fetch_positions` has them."""

    async def watch_wallet(self) -> Wallet: ...

    async def watch_quotes(self, symbols: Sequence[str]) -> dict[str, Quote]: ...

    async def fetch_fills(self, since_ms: int) -> list[Fill]: ...

    async def fetch_positions(self, symbols: Sequence[str]) -> dict[str, Position]: ...

    async def fetch_wallet(self) -> Wallet: ...

    async def fetch_wallet_events(self, since_ms: int) -> list[WalletEvent]:
        """Funding, deposits and withdrawals since then, oldest first; none where the venue does not tell."""

    async def fetch_book(self, symbol: str) -> tuple[Levels, Levels]:
        """Bids and asks, price and qty, best first."""

    async def now_ms(self) -> int: ...

    async def close(self) -> None: ...


def levels_of(rows: Sequence[Sequence[Any]]) -> Levels:
    """One side of a book as ccxt lists it."""
    return [(decimal_of(row[0]), decimal_of(row[1])) for row in rows]


async def answered(call: Awaitable[_Answer], where: str) -> _Answer:
    """A call of ccxt, with its exceptions as ours. `where` names the venue in messages."""
    try:
        return await call
    except ccxt_errors.AuthenticationError as error:
        raise _refused(error) from None
    except ccxt_errors.BadSymbol:
        raise ConfigurationError(["signals.symbols: symbols that the venue lists are allowed"]) from None
    except ccxt_errors.InvalidNonce as error:
        told = f"this machine's clock and the venue's are too far apart ({_code(error)})"
        raise VenueUnavailable(f"venue {where}: {told}") from None
    except ccxt_errors.BaseError as error:
        raise VenueUnavailable(f"venue {where}: {type(error).__name__} {_code(error)}".rstrip()) from None


def _refused(error: Exception) -> ConfigurationError:
    """What to change when the venue refuses who we are: it tells an unknown key from a wrong secret."""
    told = _code(error)
    match told.partition(" ")[0]:
        case "10003":
            line = "venue.api_key: unknown to the venue, allowed: an API key of this environment"
        case "10004":
            line = "venue.api_secret: does not fit the API key, allowed: the secret of venue.api_key"
        case _:
            line = "venue.api_key: refused by the venue, allowed: a key that may read the account"
    return ConfigurationError([f"{line} ({told})" if told else line])


def _code(error: Exception) -> str:
    """The venue's code and words; never the request, with its signature, nor its echo of what was signed."""
    found = re.search(r'"retCode":\s*(\d+).*?"retMsg":\s*"([^"]{0,120})', str(error))
    if found is None:
        return ""
    return f"{found[1]} {found[2].partition('origin_string')[0].strip()}".strip()


def decimal_of(text: Any) -> Decimal:
    """A number of an answer, 0 where there is none. Raises `VenueUnavailable` for what is no number."""
    try:
        return Decimal(str(text)) if text not in (None, "") else Decimal(0)
    except InvalidOperation:
        raise VenueUnavailable("venue: a number was expected in an answer") from None
