"""What the venue says that an account holds: modes, positions, stops, wallet, money that came and went.

Belongs here: taking the venue's rows over into `AccountState`, and when not to. Does not belong here: orders
and streams (`v5_account`), one row (`v5_rows`), folding fills (`account`).
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any, Literal

import structlog

from follower_client.core.snapshot import Quote
from follower_client.core.stops import Stops
from follower_client.venue.account import AccountState, CashFlow, Holding
from follower_client.venue.transport import Rows
from follower_client.venue.v5_reads import Reads
from follower_client.venue.v5_rows import LONG_LEG, SHORT_LEG, decimal_of, stops_of

__all__ = ["V5Holdings"]

FLOW_TYPES: dict[str, Literal["", "funding_paid", "interest_paid"]] = {
    "TRANSFER_IN": "",
    "TRANSFER_OUT": "",
    "SETTLEMENT": "funding_paid",
    "INTEREST": "interest_paid",
}
FLOW_WINDOW_MS = 7 * 86_400_000  # the longest span of the transaction log that the venue tells at once
FLOW_WINDOWS_MAX = 8
FLOW_OVERLAP_MS = 60_000
FLOW_LAG_S = 2.0  # the log may show a transfer so much later than the wallet does
FLOWS_SEEN_MAX = 1000
UNEXPLAINED_USDT = Decimal("0.01")

log = structlog.get_logger(__name__)


class V5Holdings:
    """One account. `ids` = the venue's names of the followed symbols."""

    def __init__(self, account: AccountState, reads: Reads, ids: dict[str, str]) -> None:
        self._account = account
        self._reads = reads
        self._ids = ids
        self._symbols = {name: symbol for symbol, name in ids.items()}
        self._last_fill_s: dict[str, float] = {}
        self._flows_seen: dict[str, None] = {}
        self._flows_since_ms = 0

    @property
    def newest_fill_s(self) -> float:
        """When anything was last filled, monotonic."""
        return max(self._last_fill_s.values(), default=0.0)

    def note_fill(self, symbol: str) -> None:
        """From here on the account's own sums are newer than an answer that is on its way."""
        self._last_fill_s[symbol] = time.monotonic()

    # --- positions

    async def read_modes(self) -> None:
        """One-way or hedge, per symbol: a symbol has one row or two, flat or not."""
        for symbol, name in self._ids.items():
            query = {"category": "linear", "symbol": name}
            rows = (await self._reads.one("position mode", "/v5/position/list", query))["list"]
            if any(_leg(row) for row in rows):
                self._account.legs.setdefault(symbol, (Holding(), Holding()))
            else:
                self._account.legs.pop(symbol, None)
        if self._account.legs:
            log.info("hedge_mode", symbols=sorted(self._account.legs))

    async def position_rows(self) -> Rows:
        query = {"category": "linear", "settleCoin": "USDT", "limit": 200}
        return await self._reads.pages("positions", "/v5/position/list", query)

    def adopt(self, rows: Rows, before_s: float) -> None:
        """Take the venue's positions; a symbol with a fill since `before_s` keeps what its fills say."""
        account = self._account
        found: dict[str, dict[int, Holding]] = {}
        stops: dict[str, dict[int, Stops]] = {}
        for row in rows:
            symbol = self._symbols.get(row["symbol"])
            if symbol is None:
                symbol = row["symbol"]  # not followed: it only counts
                mark = decimal_of(row.get("markPrice"))
                account.quotes[symbol] = Quote(mark, mark, mark, mark, time.time_ns() // 1_000_000)
            size = decimal_of(row["size"]) * (-1 if row["side"] == "Sell" else 1)
            held = Holding(size, decimal_of(row.get("avgPrice") or row.get("entryPrice")))
            found.setdefault(symbol, {})[_leg(row)] = held
            stops.setdefault(symbol, {})[_leg(row)] = stops_of(row)
            rank = decimal_of(row.get("adlRankIndicator"))
            before = account.warnings.get(f"adl_rank:{symbol}", rank) if len(found[symbol]) > 1 else rank
            account.warnings[f"adl_rank:{symbol}"] = max(rank, before)
        for symbol in {*found, *account.holdings}:
            if self._last_fill_s.get(symbol, 0.0) < before_s:
                self._take(symbol, found.get(symbol, {}), stops.get(symbol, {}))

    def _take(self, symbol: str, held: dict[int, Holding], stops: dict[int, Stops]) -> None:
        account = self._account
        if LONG_LEG in held or SHORT_LEG in held or (symbol in account.legs and 0 not in held):
            long, short = held.get(LONG_LEG, Holding()), held.get(SHORT_LEG, Holding())
            account.hold_legs(symbol, long, short)
            leg = LONG_LEG if account.holdings[symbol].qty >= 0 else SHORT_LEG
        else:
            account.legs.pop(symbol, None)
            account.holdings[symbol], leg = held.get(0, Holding()), 0
        account.stops[symbol] = stops.get(leg, Stops())

    # --- money

    async def read_wallet(self) -> None:
        newest_s = self.newest_fill_s
        query = {"accountType": "UNIFIED"}
        answer = await self._reads.one("wallet", "/v5/account/wallet-balance", query)
        for row in answer["list"]:
            if self.newest_fill_s == newest_s:  # else what was read is older than what the fills say
                self.take_wallet(row)

    def take_wallet(self, row: dict[str, Any]) -> bool:
        """The venue's balance. Whether it is another than what is known to have happened explains."""
        account, is_new = self._account, False
        for coin in row.get("coin", []):
            if coin["coin"] == "USDT":
                before, balance = account.wallet_balance, decimal_of(coin["walletBalance"])
                is_new = before is not None and abs(balance - before) > UNEXPLAINED_USDT
                if is_new and account.unexplained_s is None:
                    account.unexplained_s = time.monotonic()
                account.wallet_balance = balance
                account.warnings["borrowed_usdt"] = decimal_of(coin.get("borrowAmount"))
        return is_new

    async def read_flows(self) -> None:
        """What moved money without a trade since the last look, into `account.flows`, each once, oldest
        first.
        """
        account, now_ms = self._account, self._account.venue_ms()
        asked_s = time.monotonic()
        if not self._flows_since_ms:
            first_ms = now_ms if account.flows_from_ms is None else account.flows_from_ms + 1
            self._flows_since_ms = max(first_ms, now_ms - FLOW_WINDOWS_MAX * FLOW_WINDOW_MS)
        found: list[CashFlow] = []
        for begin in range(self._flows_since_ms, now_ms + 1, FLOW_WINDOW_MS):
            for kind, carry in FLOW_TYPES.items():
                query = {"accountType": "UNIFIED", "currency": "USDT", "type": kind, "limit": 50}
                query |= {"startTime": begin, "endTime": min(begin + FLOW_WINDOW_MS - 1, now_ms + 1000)}
                rows = await self._reads.pages("transfers", "/v5/account/transaction-log", query)
                flows = [_flow(row, carry) for row in rows]
                found += [flow for flow in flows if flow.flow_id not in self._flows_seen]
        for flow in sorted(found, key=lambda one: one.at_ms):
            self._flows_seen[flow.flow_id] = None
            account.flows.append(flow)
            log.info(flow.carry or "cash_flow", amount=str(flow.amount))
        while len(self._flows_seen) > FLOWS_SEEN_MAX:
            del self._flows_seen[next(iter(self._flows_seen))]
        self._flows_since_ms = max(self._flows_since_ms, now_ms - FLOW_OVERLAP_MS)
        since_s = account.unexplained_s
        if since_s is not None and (found or asked_s - since_s > FLOW_LAG_S):
            account.unexplained_s = None


def _leg(row: dict[str, Any]) -> int:
    return int(row.get("positionIdx") or 0)


def _flow(row: dict[str, Any], carry: Literal["", "funding_paid", "interest_paid"]) -> CashFlow:
    return CashFlow(str(row["id"]), decimal_of(row.get("change")), int(row["transactionTime"]), carry)
