"""Long lists from a venue that shows them a page at a time, and what ccxt says of a venue's pages.

Belongs here: cutting time until each piece fits a page. Does not belong here: what the rows mean.

A full page may be the oldest or the newest of a piece of time, as the venue likes; so a piece that fills a
page is asked for again in two halves, whichever it was. Pieces meet at whole seconds and overlap there, for
some venues know no less: whoever asks drops what came twice by its id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["Row", "Terms", "list_between", "terms_of"]

PAGE_MAX: Final = 100
CALLS_MAX: Final = 50  # for one list
PIECE_MIN_MS: Final = 1_000
_DAY_MS: Final = 24 * 3600 * 1000
SPAN_MAX_MS: Final = 365 * _DAY_MS
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a venue lists one's own trades."""

    by_symbol: bool = False
    page: int = PAGE_MAX
    span_ms: int = SPAN_MAX_MS  # between the ends of what is asked for at once


def terms_of(exchange: Any) -> Terms:
    """What ccxt's description of an exchange says of linear contracts; the defaults where it says nothing."""
    told: Any = getattr(exchange, "features", None) or {}
    for name in ("swap", "linear", "fetchMyTrades"):
        told = (told.get(name) if isinstance(told, Mapping) else None) or {}
    page, days = told.get("limit"), told.get("untilDays")
    return Terms(
        by_symbol=bool(told.get("symbolRequired")),
        page=min(PAGE_MAX, int(page)) if page else PAGE_MAX,
        span_ms=min(SPAN_MAX_MS, int(days) * _DAY_MS) if days else SPAN_MAX_MS,
    )


async def list_between(
    page_of: Callable[[int, int | None], Awaitable[list[Row]]],
    since_ms: int,
    until_ms: int,
    terms: Terms,
) -> tuple[list[Row], bool]:
    """Rows of a piece of time, some of them twice, and whether that is all of them (CALLS_MAX calls at most).

    `page_of` gets the ends; None is now, where a venue is asked for no end.
    """
    pieces: list[tuple[int, int | None]] = []
    while until_ms - since_ms > terms.span_ms:
        pieces.append((since_ms, since_ms + terms.span_ms))
        since_ms += terms.span_ms
    pieces.append((since_ms, None))  # the newest is asked for first: what cannot be listed is old
    found: list[Row] = []
    for _ in range(CALLS_MAX):
        if not pieces:
            return found, True
        start, end = pieces.pop()
        rows = await page_of(start, end)
        found += rows
        last = until_ms if end is None else end
        if len(rows) < terms.page:
            continue
        if last - start <= 2 * PIECE_MIN_MS:
            return found, False
        middle = (start + last) // 2 // PIECE_MIN_MS * PIECE_MIN_MS
        pieces += [(start, middle), (middle, end)]
    return found, not pieces
