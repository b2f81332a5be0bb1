"""What really happened, asked where it happened: orders from the venue's wire, conservation from its journal.

Belongs here: questions to the venue after (or during) a run. Does not belong here: opinions about answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from relay.demo.address import AccountAddress
from relay.demo.processes import ProgramError
from relay.venue import make_exchange

__all__ = ["VenueQuestions", "fill_ids", "order_link_ids", "verify_journal"]

_PAGES_MAX = 200
_ROWS_PER_PAGE = 50
_VERIFY_SECONDS_MAX = 300.0
_BLOCK_BYTES = 1024 * 1024
_HTTP_SECONDS_MAX = 10.0


class VenueQuestions:
    """The simulator's own namespace over HTTP: statistics, price history, play."""

    def __init__(self, rest_url: str) -> None:
        self._rest_url = rest_url
        self._timeout = aiohttp.ClientTimeout(total=_HTTP_SECONDS_MAX)

    async def stats(self) -> dict[str, Any]:
        """Counts of orders, trades, liquidations, ADL; the fund; mark/last gap; the scenario's own report."""
        return await self._ask("GET", "/sim/stats")

    async def history(self, symbol: str) -> list[list[Any]]:
        """Samples [wall_ms, market_ms, index, mark, last], oldest first."""
        rows: list[list[Any]] = (await self._ask("GET", f"/sim/history?symbol={symbol}"))["rows"]
        return rows

    async def play(self) -> int:
        """Start the held scenario. Returns the wall time (ms) at which it started."""
        return int((await self._ask("POST", "/sim/scenario", {"action": "play"}))["started_ms"])

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession(timeout=self._timeout) as session,
            session.request(method, self._rest_url + path, json=body) as response,
        ):
            answer: dict[str, Any] = await response.json(content_type=None)
        if answer.get("retCode", 0) != 0:
            raise RuntimeError(f"{method} {path}: {answer.get('retMsg')}")
        result: dict[str, Any] = answer.get("result", answer)
        return result


async def order_link_ids(venue: dict[str, str], symbol: str) -> list[str]:
    """`orderLinkId` of every order the venue has for this account and symbol, in whatever status. The venue's
    own orders, which execute a position's stops, are nobody's copies.
    """
    rows = await _all_rows(venue, "private_get_v5_order_history", symbol)
    return [row["orderLinkId"] for row in rows if row["orderLinkId"] or not row["stopOrderType"]]


async def fill_ids(venue: dict[str, str], symbol: str) -> list[str]:
    """`execId` of every execution the venue has for this account and symbol; funding trades nothing."""
    rows = await _all_rows(venue, "private_get_v5_execution_list", symbol)
    return [row["execId"] for row in rows if row["execType"] != "Funding"]


async def _all_rows(venue: dict[str, str], method: str, symbol: str) -> list[dict[str, Any]]:
    exchange = make_exchange(AccountAddress(**venue))
    found: list[dict[str, Any]] = []
    cursor = ""
    try:
        for _ in range(_PAGES_MAX):
            request = {"category": "linear", "symbol": symbol, "limit": _ROWS_PER_PAGE, "cursor": cursor}
            answer = await getattr(exchange, method)(request)
            found += answer["result"]["list"]
            cursor = answer["result"]["nextPageCursor"]
            if not cursor:
                return found
    finally:
        await exchange.close()
    raise RuntimeError(f"{method}: the list did not end after {_PAGES_MAX} pages")


async def verify_journal(journal: Path) -> dict[str, Any]:
    """Replay the venue's journal, check every invariant after every command, and count what happened.

    A venue that runs on writes while it is read, and what is half written could pass for damage: what is
    checked is the journal as it was at one moment.
    """
    with tempfile.TemporaryDirectory(dir=journal.parent) as folder:
        copy = Path(folder) / journal.name
        await asyncio.to_thread(_copy_until_now, journal, copy)
        found = await _offline("replay", copy) | await _offline("verify", copy)
        return found | {"journal": str(journal)}


def _copy_until_now(journal: Path, copy: Path) -> None:
    """Groups are written one after the other into zeros: before the last byte that is not zero, all are whole
    but the last, and that one reads as cut short. How far it is written is looked up before anything is read.
    """
    with journal.open("rb", buffering=0) as source, copy.open("wb") as target:
        size = source.seek(0, os.SEEK_END)
        left = _written(source.fileno(), size)
        source.seek(0)
        while left and (block := source.read(min(_BLOCK_BYTES, left))):
            target.write(block)
            left -= len(block)
        target.truncate(size)


def _written(file: int, size: int) -> int:
    """Where the last byte that is not zero ends."""
    end = size
    while end:
        begin = max(0, end - _BLOCK_BYTES)
        if found := len(os.pread(file, end - begin, begin).rstrip(b"\0")):
            return begin + found
        end = begin
    return 0


async def _offline(command: str, journal: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulated_exchange", command, str(journal), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _VERIFY_SECONDS_MAX)
    except (TimeoutError, asyncio.CancelledError):
        process.kill()
        await process.wait()
        raise
    if not out:
        words = err.decode(errors="replace").strip()
        raise ProgramError(f"simulated-exchange {command}", process.returncode, words)
    verdict: dict[str, Any] = json.loads(out)
    return verdict
