"""The driver's calls about how instruments are priced, funded and limited while they trade.

Belongs here: the engine's market commands with both clocks stamped on. Does not belong here: rules (the
engine's), durability and subscriptions (`driver`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from simulated_exchange._engine import Engine, FundingView, MarkSource, Outcome, PriceView, RiskLimitsView

__all__ = ["MARK_SOURCES", "MarketCalls", "RiskTierRow"]

MARK_SOURCES = {"dual": MarkSource.Dual, "last": MarkSource.Last, "book_mid": MarkSource.BookMid}
"""What an instrument can be marked at, by the words that settings and requests use."""
RiskTierRow = tuple[int, int, int]
"""Limit (10**-8), highest leverage in hundredths, maintenance rate (10**-8)."""


class MarketCalls(ABC):
    """What the driver can be asked about markets."""

    engine: Engine
    source_prices: dict[tuple[int, int], int]
    """What each source of each index said last; nothing after a restart, until it speaks again."""

    @abstractmethod
    def _times(self) -> tuple[int, int]:
        """Both clocks, for the next command."""

    @abstractmethod
    def _applied_with(self, outcome: Outcome) -> Outcome:
        """Hand on what a command made happen."""

    def set_index_source(self, *, instrument: int, source: int, price: int) -> Outcome:
        """A new price of one source of the index."""
        outcome = self.engine.set_index_source(*self._times(), instrument, source, price)
        if outcome.reject is None:
            self.source_prices[instrument, source] = price
        return self._applied_with(outcome)

    def set_mark_source(self, *, instrument: int, source: MarkSource) -> Outcome:
        """What an instrument is marked at from now on."""
        return self._applied_with(
            self.engine.set_mark_source(*self._times(), instrument=instrument, source=source)
        )

    def set_funding_terms(self, *, instrument: int, interval_minutes: int, lower: int, upper: int) -> Outcome:
        """Funding caps (10**-12) from now on, the interval from the next settlement on."""
        return self._applied_with(
            self.engine.set_funding_terms(
                *self._times(),
                instrument=instrument,
                interval_minutes=interval_minutes,
                lower=lower,
                upper=upper,
            )
        )

    def announce_risk_limits(
        self, *, instrument: int, tiers: Sequence[RiskTierRow], effective_ms: int
    ) -> Outcome:
        """New risk limits from a market time on. Returns the first refusal, or the announcement."""
        for number, (limit, max_leverage, maintenance_rate) in enumerate(tiers):
            staged = self._applied_with(
                self.engine.stage_risk_tier(
                    *self._times(),
                    instrument=instrument,
                    number=number,
                    limit=limit,
                    max_leverage=max_leverage,
                    maintenance_rate=maintenance_rate,
                )
            )
            if staged.reject is not None:
                return staged
        return self._applied_with(
            self.engine.announce_risk_limits(*self._times(), instrument=instrument, effective_ms=effective_ms)
        )

    def prices(self, instrument: int) -> PriceView:
        """Index, mark, last and what leads to them."""
        return self.engine.prices(instrument)

    def funding(self, instrument: int) -> FundingView:
        """Funding rates of a perpetual, and when it is settled next."""
        return self.engine.funding(instrument)

    def coming_risk_limits(self, instrument: int) -> RiskLimitsView | None:
        """Risk limits announced and not yet in force."""
        return self.engine.coming_risk_limits(instrument)
