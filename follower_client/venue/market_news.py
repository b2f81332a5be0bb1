"""What the venue changes or lets be known about its contracts while somebody trades them.

Belongs here: insurance pools, how near deleveraging is, risk limits, the innovation zone, announcements, as
alarms and as new rules. Does not belong here: prices (`market_data`), what an alarm leads to (`watch`).

Read over REST now and then, once per process; public, so no account's limits are touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import structlog

from follower_client.core.snapshot import Instrument
from follower_client.errors import VenueUnavailableError
from follower_client.venue.market_data import MarketData
from follower_client.venue.v5_rows import body_of, decimal_of, instrument_of

__all__ = ["MarketNews"]

TITLE_LENGTH_MAX = 100
ABOUT_RULES = ("risk limit", "leverage", "innovation zone", "delist")

log = structlog.get_logger(__name__)


class MarketNews:
    """Of the contracts in `instruments`; writes `data.warnings` and changes the rules of accounts."""

    def __init__(
        self,
        data: MarketData,
        instruments: Mapping[str, Instrument],
        failures: type[Exception],
        *,
        every_s: float,
    ) -> None:
        self._data = data
        self._known = dict(instruments)
        self._failures = failures
        self._every_s = every_s
        self._fund_most: dict[str, Decimal] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Everything once. What cannot be read stays as it was."""
        for read in (self._read_funds, self._read_adl, self._read_rules, self._read_announcements):
            try:
                await read()
            except (self._failures, VenueUnavailableError) as error:
                log.warning("market_news_failed", what=read.__name__, error=type(error).__name__)

    async def _read_funds(self) -> None:
        """How much of the most that a contract's insurance pool held since the start is gone."""
        answer = body_of("insurance", await self._data.exchange.publicGetV5MarketInsurance({}))
        for row in answer["list"]:
            covered = set(str(row.get("symbols", "")).split(","))
            for symbol, instrument in self._known.items():
                if instrument.venue_symbol not in covered:
                    continue
                balance = decimal_of(row.get("balance"))
                most = self._fund_most[symbol] = max(balance, self._fund_most.get(symbol, balance))
                self._data.warnings[f"insurance_drop:{symbol}"] = (
                    (most - balance) / most if most > 0 else Decimal(0)
                ).quantize(Decimal("0.0001"))

    async def _read_adl(self) -> None:
        """How much of the loss at which a contract's winners are deleveraged has been lost; 1 = it begins.
        Both numbers are negative, shares of the pool since its peak. A pool below its threshold is not
        watched for losses: there deleveraging begins when it is empty.
        """
        answer = body_of("adl alert", await self._data.exchange.publicGetV5MarketAdlAlert({}))
        rows = {row.get("symbol"): row for row in answer["list"]}
        for symbol, instrument in self._known.items():
            row = rows.get(instrument.venue_symbol)
            if row is None:
                continue
            ratio, trigger = decimal_of(row.get("pnlRatio")), decimal_of(row.get("insurancePnlRatio"))
            balance = decimal_of(row.get("balance"))
            near = Decimal(1) if balance <= 0 else Decimal(0)
            if trigger < 0 and balance > decimal_of(row.get("adlTriggerThreshold")):
                near = max(near, ratio / trigger)
            self._data.warnings[f"adl_near:{symbol}"] = near.quantize(Decimal("0.0001"))

    async def _read_rules(self) -> None:
        exchange = self._data.exchange
        for symbol, before in list(self._known.items()):
            query = {"category": "linear", "symbol": before.venue_symbol}
            tiers = body_of("tiers", await exchange.publicGetV5MarketRiskLimit(query))
            rows = body_of("instruments", await exchange.publicGetV5MarketInstrumentsInfo(query))
            row = next((one for one in rows["list"] if one.get("symbol") == before.venue_symbol), None)
            if row is None:
                self._warn(symbol, "is not listed any more")
                continue
            after = instrument_of(symbol, {**exchange.market(symbol), "info": row}, tiers["list"])
            if after == before:
                continue
            self._known[symbol] = after
            self._data.change(after)
            log.warning("rules_changed", symbol=symbol)
            if after.tiers != before.tiers and after.tiers:
                first = after.tiers[0]
                self._warn(
                    symbol, f"risk limits: {first.leverage_max}x up to {first.notional_max_usdt:f} USDT"
                )
            if after.zone_leverage_max != before.zone_leverage_max:
                self._warn(symbol, f"{'in' if after.zone_leverage_max else 'out of'} the innovation zone")

    async def _read_announcements(self) -> None:
        query = {"locale": "en-US", "limit": 50}
        for row in body_of("announcements", await self._data.exchange.publicGetV5AnnouncementsIndex(query))[
            "list"
        ]:
            title = str(row.get("title", ""))[:TITLE_LENGTH_MAX]
            text = f"{title} {row.get('description', '')}"
            if not any(word in text.lower() for word in ABOUT_RULES):
                continue
            for symbol, instrument in self._known.items():
                if instrument.venue_symbol in text:
                    self._warn(symbol, f"announced: {title}")

    def _warn(self, symbol: str, what: str) -> None:
        """Each change is an alarm of its own."""
        self._data.warnings[f"rules_changed:{symbol} {what}"] = Decimal(1)
