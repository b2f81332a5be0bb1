"""What a store keeps beside signals and reports: prices over time, the venue's own words, alarms.

Belongs here: reading them. Does not belong here: figures and rows of copies (`reading`), writing.
"""

from __future__ import annotations

from typing import Any

from relay.core.alarms import Alarm
from relay.store.database import Database
from relay.store.rows import MarketSample, VenueFact

__all__ = ["Looks"]


class Looks:
    """Reads what was noted beside the reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def samples(self, symbol: str, from_ms: int, to_ms: int, count_max: int | None) -> list[MarketSample]:
        """Prices over wall time: those recorded (the last of each step), and those that signals carried."""
        span, step_ms = (symbol, from_ms, to_ms), 1
        if count_max is not None:
            [ends] = self._database.rows(_SAMPLED, span)
            step_ms = max(1, ((ends["last_ms"] or 0) - (ends["first_ms"] or 0)) // count_max)
        found = self._database.rows(_SAMPLES, (symbol, *span, step_ms, *span))
        return [MarketSample(*(row[name] for name in _SAMPLE_COLUMNS)) for row in found]

    def venue_facts(self, kind: str, from_ms: int) -> list[VenueFact]:
        """What the venue said since then, oldest first, and the last word before."""
        found = self._database.rows(_FACTS, (kind, from_ms, kind, from_ms, kind))
        return [VenueFact(*(row[name] for name in _FACT_COLUMNS)) for row in found]

    def alarms(self, count_max: int) -> list[tuple[Alarm, int | None]]:
        """The latest alarms, each with when it was over."""
        rows = self._database.rows("SELECT * FROM alarms ORDER BY since_ms DESC, rule LIMIT ?", (count_max,))
        return [(_alarm(row), row["until_ms"]) for row in rows]

    def open_alarms(self) -> list[Alarm]:
        """Alarms that are not over."""
        return [_alarm(row) for row in self._database.rows("SELECT * FROM alarms WHERE until_ms IS NULL")]


def _alarm(row: Any) -> Alarm:
    return Alarm(*(row[name] for name in ("rule", "subject", "severity", "since_ms", "what", "todo")))


_SAMPLE_COLUMNS = ("symbol", "wall_ms", "market_ms", "index_price", "mark_price", "last_price")
_FACT_COLUMNS = ("kind", "name", "wall_ms", "value", "detail")
_FACTS = """SELECT * FROM venue_facts WHERE kind = ? AND wall_ms >= ?
  UNION ALL SELECT f.* FROM venue_facts f JOIN (SELECT name, MAX(wall_ms) AS wall_ms FROM venue_facts
    WHERE kind = ? AND wall_ms < ? GROUP BY name) last ON last.name = f.name AND last.wall_ms = f.wall_ms
    WHERE f.kind = ?
  ORDER BY 3"""
_SAMPLED = """SELECT MIN(wall_ms) AS first_ms, MAX(wall_ms) AS last_ms FROM market_samples
  WHERE symbol = ? AND wall_ms BETWEEN ? AND ?"""
_SAMPLES = """SELECT symbol, wall_ms, market_ms, index_price, mark_price, last_price FROM market_samples
  WHERE symbol = ? AND wall_ms IN (SELECT MAX(wall_ms) FROM market_samples
    WHERE symbol = ? AND wall_ms BETWEEN ? AND ? GROUP BY wall_ms / ?)
  UNION SELECT symbol, sealed_ms, NULL, index_price, mark_price, last_price FROM signals
  WHERE symbol = ? AND sealed_ms BETWEEN ? AND ?
  ORDER BY 2"""
