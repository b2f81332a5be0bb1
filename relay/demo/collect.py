"""What really happened, asked where it happened: orders from the venue's wire, conservation from its journal.

Belongs here: questions to the venue after (or during) a run. Does not belong here: opinions about answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
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

    The venue may write on meanwhile.
    """
    return await _offline("replay", journal) | await _offline("verify", journal)


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
