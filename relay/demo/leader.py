"""The leader's own program in a demonstration: trades a plan over ccxt, like any trader's script would.

Run as `python -m relay.demo.leader PLAN.json`. Prints a ready line, waits for `{"start_ms": ...}` on standard
input, trades, and ends with a summary line. Does not belong here: signals; the publisher watches the account.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import structlog

from relay.demo.address import AccountAddress
from relay.venue import VenueCallError, make_exchange

__all__ = ["main"]

_log = structlog.get_logger("leader")

# Recorded orders closer together than this are traded as one: an account has a rate limit, and so do eyes.
_SLOT_MS = 200


@dataclass(slots=True)
class _Tally:
    orders: int = 0
    refused: int = 0
    too_small: int = 0


def main(argv: list[str]) -> int:
    """Entry point. Returns the exit status."""
    plan = json.loads(Path(argv[0]).read_text())
    try:
        tally = asyncio.run(_trade(plan))
    except VenueCallError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the program's one error line
        return 1
    print(json.dumps({"orders": tally.orders, "refused": tally.refused, "too_small": tally.too_small}))  # noqa: T201
    return 0


async def _trade(plan: dict[str, Any]) -> _Tally:
    exchange = make_exchange(AccountAddress(**plan["venue"]))
    tally = _Tally()
    try:
        markets = await exchange.load_markets()
        market = next(m for m in markets.values() if m["id"] == plan["symbol"] and m["swap"])
        symbol = market["symbol"]
        await _set_leverage(exchange, symbol, plan["leverage_setting"])
        print(json.dumps({"ready": True, "symbol": symbol}), flush=True)  # noqa: T201
        start_ms = json.loads(await asyncio.to_thread(sys.stdin.readline))["start_ms"]
        ticker = await exchange.fetch_ticker(symbol)
        step = Decimal(str(market["precision"]["amount"]))
        smallest = Decimal(str(market["limits"]["amount"]["min"]))
        unit = Decimal(plan["peak_notional_usdt"]) / Decimal(ticker["info"]["markPrice"])
        for at_ms, position in _slots(plan):
            await asyncio.sleep(max(0.0, (start_ms + at_ms) / 1000 - time.time()))
            held = await _position(exchange, symbol)
            change = (position * unit).quantize(step, ROUND_DOWN) - held
            if abs(change) < smallest:
                tally.too_small += 1
                continue
            try:
                await exchange.create_order(
                    symbol, "market", "buy" if change > 0 else "sell", float(abs(change))
                )
                tally.orders += 1
            except VenueCallError as error:
                tally.refused += 1
                _log.warning("order refused", change=str(change), why=str(error)[:200])
    finally:
        await exchange.close()
    return tally


def _slots(plan: dict[str, Any]) -> list[tuple[int, Decimal]]:
    """(ms after the start, position share) with orders of one time slot netted to their last position."""
    run_ms = plan["seconds"] * 1000
    by_slot: dict[int, tuple[int, Decimal]] = {}
    for at, position in plan["orders"]:
        at_ms = round(at * run_ms)
        by_slot[at_ms // _SLOT_MS] = (at_ms, Decimal(position))
    return [by_slot[slot] for slot in sorted(by_slot)]


async def _position(exchange: Any, symbol: str) -> Decimal:
    rows = await exchange.fetch_positions([symbol])
    total = Decimal(0)
    for row in rows:
        size = Decimal(str(row["info"]["size"] or "0"))
        total += size if row["side"] == "long" else -size
    return total


async def _set_leverage(exchange: Any, symbol: str, leverage: int) -> None:
    try:
        await exchange.set_leverage(leverage, symbol)
    except VenueCallError as error:
        if "not modified" not in str(error):
            raise


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
