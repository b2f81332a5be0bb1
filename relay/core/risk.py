"""Copy risk: how hard the followers of a leader would fall together, and how crowded they stand.

Belongs here: risk = leverage x correlation x divergence, each factor shown, by leader and by symbol; the
followers' share of depth and of open interest; how evenly signals are delivered. Does not belong here:
alarms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from relay.core.drift import decimal_text
from relay.core.shortfall import Stock
from relay.core.tally import SPREAD_UNITS, Spread, Tally, TallyKey, add_counts, spread_quantile
from relay.protocol.messages import StatusReport

__all__ = ["CopyRisk", "copy_risk", "deliveries", "risk_rows", "symbol_risks"]

BPS = 10_000
PLACES = 6


@dataclass(frozen=True, slots=True)
class CopyRisk:
    """The three factors of one leader, in all or in one symbol.

    leverage: followers' gross exposure over their equity, all together.
    correlation: of the followers' exposure, the part that points one way; 1 when all stand on one side.
    divergence: how far execution prices leave the mark, as a part of it (p99 of the mark/last gap); None
        where no copy met both prices: the risk is then not known, and not 0.

    Beside them, of one symbol: what points one way in money, over the depth within 10 bps on the thinner
    side, and over the open interest; None where the leader's venue does not tell.
    """

    leverage: Fraction
    correlation: Fraction
    divergence: Fraction | None
    together: Fraction = Fraction(0)
    of_depth: Fraction | None = None
    of_open_interest: Fraction | None = None

    @property
    def value(self) -> Fraction | None:
        """Part of the followers' equity that goes when everybody gets out at that gap."""
        return None if self.divergence is None else self.leverage * self.correlation * self.divergence


def copy_risk(statuses: Iterable[StatusReport], gaps_p99_bps: Mapping[str, Fraction]) -> dict[str, CopyRisk]:
    """By leader, from every follower's last word; paper followers move no market and are left out."""
    equity, gross, net = _held(statuses)
    risks = {}
    for leader, total in equity.items():
        held = sum((value for (name, _), value in gross.items() if name == leader), Fraction(0))
        together = sum((abs(value) for (name, _), value in net.items() if name == leader), Fraction(0))
        risks[leader] = CopyRisk(
            leverage=held / total,
            correlation=together / held if held else Fraction(0),
            divergence=gaps_p99_bps[leader] / BPS if leader in gaps_p99_bps else None,
            together=together,
        )
    return risks


def symbol_risks(
    statuses: Iterable[StatusReport], tallies: Mapping[TallyKey, Tally]
) -> dict[tuple[str, str], CopyRisk]:
    """By leader and symbol; gaps, depth and open interest as the leader's signals and the copies met them."""
    equity, gross, net = _held(statuses)
    met: dict[tuple[str, str], Spread] = defaultdict(dict)
    markets: dict[tuple[str, str], Stock] = defaultdict(Stock)
    for (_, leader, symbol), found in tallies.items():
        add_counts(met[leader, symbol], found.both_gaps)
        markets[leader, symbol].note_market(found.stock)
    risks = {}
    for (leader, symbol), held in gross.items():
        gaps, together = met[leader, symbol], abs(net[leader, symbol])
        market = markets[leader, symbol]
        depth, interest = Fraction(market.depth_usdt), Fraction(market.open_interest) * Fraction(market.mark)
        gap_bps = Fraction(spread_quantile(gaps, 99), SPREAD_UNITS) if gaps else None
        risks[leader, symbol] = CopyRisk(
            leverage=held / equity[leader],
            correlation=together / held if held else Fraction(0),
            divergence=None if gap_bps is None else gap_bps / BPS,
            together=together,
            of_depth=together / depth if depth > 0 else None,
            of_open_interest=together / interest if interest > 0 else None,
        )
    return risks


def risk_rows(risks: Mapping[tuple[str, str], CopyRisk]) -> list[dict[str, Any]]:
    """For a report."""
    return [
        {
            "leader": leader,
            "symbol": symbol,
            "leverage": decimal_text(risk.leverage, PLACES),
            "correlation": decimal_text(risk.correlation, PLACES),
            "divergence": _text(risk.divergence),
            "copy_risk": _text(risk.value),
            "together_notional": decimal_text(risk.together, 2),
            "share_of_depth": _text(risk.of_depth),
            "share_of_open_interest": _text(risk.of_open_interest),
        }
        for (leader, symbol), risk in sorted(risks.items())
    ]


def deliveries(tallies: Mapping[TallyKey, Tally]) -> list[dict[str, Any]]:
    """By leader: which follower gets his signals first and last (medians), and how far apart they are."""
    received: dict[str, dict[str, Spread]] = defaultdict(lambda: defaultdict(dict))
    for (follower, leader, _), found in tallies.items():
        add_counts(received[leader][follower], found.legs.get("received", {}))
    rows = []
    for leader, followers in sorted(received.items()):
        medians = sorted(
            (spread_quantile(spread, 50), follower) for follower, spread in followers.items() if spread
        )
        if medians:
            (first_ms, first), (last_ms, last) = medians[0], medians[-1]
            rows.append(
                {"leader": leader, "first": first, "last": last, "first_ms": first_ms, "last_ms": last_ms}
                | {"spread_ms": last_ms - first_ms}
            )
    return rows


def _held(
    statuses: Iterable[StatusReport],
) -> tuple[dict[str, Fraction], dict[tuple[str, str], Fraction], dict[tuple[str, str], Fraction]]:
    """Equity by leader; gross and net notional by leader and symbol."""
    equity: dict[str, Fraction] = defaultdict(Fraction)
    gross: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    net: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for status in statuses:
        own = Fraction(status.equity)
        if status.paper or own <= 0:
            continue
        equity[status.leader_id] += own
        for position in status.positions:
            notional = Fraction(position.exposure) * own
            gross[status.leader_id, position.symbol] += abs(notional)
            net[status.leader_id, position.symbol] += notional
    return equity, gross, net


def _text(value: Fraction | None) -> str | None:
    return None if value is None else decimal_text(value, PLACES)
