"""Copy risk of a leader: how hard his followers would fall together.

Belongs here: risk = leverage x correlation x divergence, each factor shown. Does not belong here: alarms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from relay.protocol.messages import StatusReport

__all__ = ["CopyRisk", "copy_risk"]


@dataclass(frozen=True, slots=True)
class CopyRisk:
    """The three factors of one leader.

    leverage: followers' gross exposure over their equity, all together.
    correlation: of the followers' exposure, the part that points one way; 1 when all stand on one side.
    divergence: how far execution prices leave the mark, as a part of it (p99 of the mark/last gap).
    """

    leverage: Fraction
    correlation: Fraction
    divergence: Fraction

    @property
    def value(self) -> Fraction:
        """Part of the followers' equity that goes when everybody gets out at that gap."""
        return self.leverage * self.correlation * self.divergence


def copy_risk(statuses: Iterable[StatusReport], gaps_p99_bps: Mapping[str, Fraction]) -> dict[str, CopyRisk]:
    """By leader, from every follower's last word; paper followers move no market and are left out."""
    equity: dict[str, Fraction] = defaultdict(Fraction)
    gross: dict[str, Fraction] = defaultdict(Fraction)
    by_symbol: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for status in statuses:
        own = Fraction(status.equity)
        if status.paper or own <= 0:
            continue
        equity[status.leader_id] += own
        for position in status.positions:
            notional = Fraction(position.exposure) * own
            gross[status.leader_id] += abs(notional)
            by_symbol[status.leader_id, position.symbol] += notional
    risks = {}
    for leader, total in equity.items():
        net = sum((abs(value) for (name, _), value in by_symbol.items() if name == leader), Fraction(0))
        held = gross[leader]
        risks[leader] = CopyRisk(
            leverage=held / total,
            correlation=net / held if held else Fraction(0),
            divergence=gaps_p99_bps.get(leader, Fraction(0)) / 10_000,
        )
    return risks
