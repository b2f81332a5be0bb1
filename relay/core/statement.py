"""Counting a leader's statement: one row per follower, and the score they add up to.

Belongs here: from verdicts to rows and score, and a follower's own row from its own reports. Does not belong
here: signatures and bytes (`relay.protocol.statements`), reading the store (`relay.reporting`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction

from relay.core.drift import decimal_text
from relay.core.tally import SPREAD_UNITS, Tally, mean_parts, spread_quantile
from relay.core.verdicts import NO_VERDICT, Judged, PublishedSignal, ReportRows, judge, judge_copy
from relay.protocol.messages import CopyReport
from relay.protocol.statements import (
    Spread,
    Statement,
    StatementRow,
    report_line,
    reports_digest,
    rows_digest,
)

__all__ = ["StatementCount", "own_row"]

PLACES = 4


class StatementCount:
    """Takes a period's rows in any pieces, each signal in one of them."""

    def __init__(self, leader_id: str, period_start_ms: int, period_end_ms: int) -> None:
        self._leader_id = leader_id
        self._period = (period_start_ms, period_end_ms)
        self._signals = 0
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._lines: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self._paper: set[str] = set()

    def add(self, rows: ReportRows) -> None:
        """Count signals of the period and what became of them."""
        start_ms, end_ms = self._period
        self._signals += sum(start_ms <= p.signal.sealed_ms < end_ms for p in rows.signals)
        self._paper |= {word.follower_id for word in rows.statuses if word.paper}
        for follower, items in judge(rows).items():
            for item in items:
                if start_ms <= item.published.signal.sealed_ms < end_ms:
                    self._add(follower, item)

    def made(self, made_ms: int) -> tuple[Statement, list[StatementRow]]:
        """The statement, and the rows behind it."""
        live = sorted(self._tallies.keys() - self._paper)
        rows = [_row(self._tallies[name], self._lines[name]) for name in live]
        rows.sort(key=lambda row: row.reports)
        total = Tally()
        for name in live:
            total.merge(self._tallies[name])
        spread, parts = _slippage(total)
        statement = Statement(
            leader_id=self._leader_id,
            period_start_ms=self._period[0],
            period_end_ms=self._period[1],
            made_ms=made_ms,
            signals=self._signals,
            followers=len(rows),
            copied=total.verdicts.get("copied", 0),
            capped=total.verdicts.get("capped", 0),
            skipped=total.verdicts.get("skipped", 0),
            missed=total.verdicts.get("missed", 0),
            copies=total.executed,
            slippage_bps=spread,
            slippage_parts_bps=parts,
            latency_ms={f"p{p}": max(0, spread_quantile(total.latency, p)) for p in (50, 95, 99)}
            if total.latency
            else None,
            rows_digest=rows_digest(rows),
        )
        return statement, rows

    def _add(self, follower: str, item: Judged) -> None:
        self._tallies[follower].add(item)
        if item.copy is not None:
            self._lines[follower].append(report_line(item.copy))
            if item.copy.paper:
                self._paper.add(follower)


def own_row(statement: Statement, reports: Iterable[tuple[PublishedSignal, CopyReport]]) -> StatementRow:
    """The row that a follower's own reports make, in this statement's period."""
    total, lines = Tally(), []
    for published, copy in reports:
        sealed_ms = published.signal.sealed_ms
        is_his = published.leader_id == statement.leader_id
        if is_his and statement.period_start_ms <= sealed_ms < statement.period_end_ms:
            total.add(judge_copy(published, copy))
            lines.append(report_line(copy))
    return _row(total, lines)


def _row(total: Tally, lines: list[tuple[int, int, str]]) -> StatementRow:
    return StatementRow(
        reports=reports_digest(lines),
        signals=total.signals,
        **{name: total.verdicts.get(name, 0) for name in ("copied", "capped", "skipped", "missed")},
        unanswered=total.reasons.get(NO_VERDICT, 0),
        executed=total.executed,
        slippage_micro_bps=total.total,
    )


def _slippage(total: Tally) -> tuple[Spread | None, dict[str, str] | None]:
    if not total.executed:
        return None, None
    mean, parts = mean_parts(total, PLACES)
    quantiles = {
        f"p{p}": decimal_text(Fraction(spread_quantile(total.slippage, p), SPREAD_UNITS), PLACES)
        for p in (50, 95, 99)
    }
    spread = Spread(mean=decimal_text(mean, PLACES), **quantiles)
    if parts is None:
        return spread, None
    return spread, {name: decimal_text(part, PLACES) for name, part in parts.items() if part is not None}
