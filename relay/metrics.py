"""What Prometheus is told of the relay.

Belongs here: names, labels and buckets of the metrics, and how verdicts, words and alarms move them. Does
not belong here: the page they are served on (`relay.dashboard`).

Names are an interface. Nothing is labelled by signal or order.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from relay.core.alarms import Alarm
from relay.core.drift import clocks_apart
from relay.core.intake import Odd
from relay.core.verdicts import Judged, is_entry
from relay.protocol.messages import StatusReport

__all__ = ["Metrics"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BASIS_POINTS = (-50, -20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50, 100)
RATIOS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
MODES = {"paused": 0, "reduce_only": 1, "running": 2, "stopped": 3, "locked": 4}
_LEADER = ("leader",)
_PAIR = (*_LEADER, "follower")


class Metrics:
    """All of them, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._registry = own
        told = "Fill to signed signal"
        self._lag = Histogram(
            "relay_signal_publish_lag_seconds", told, _LEADER, buckets=SECONDS, registry=own
        )
        told = "Signed signal to follower"
        self._transit = Histogram("relay_signal_transit_seconds", told, _PAIR, buckets=SECONDS, registry=own)
        told = "Begin of the wave to order sent"
        self._decide = Histogram("relay_decide_seconds", told, _PAIR, buckets=SECONDS, registry=own)
        told = "Order sent to accepted"
        self._ack = Histogram("relay_order_ack_seconds", told, _PAIR, buckets=SECONDS, registry=own)
        told, labels = "Follower's price against the leader's, worse is positive", (*_PAIR, "component")
        self._slippage = Histogram("relay_slippage_bps", told, labels, buckets=BASIS_POINTS, registry=own)
        told = "Signals by what became of them"
        self._signals = Counter("relay_signals", told, (*_PAIR, "verdict", "reason"), registry=own)
        told = "Followers' orders by ending"
        self._orders = Counter("relay_orders", told, (*_PAIR, "outcome"), registry=own)
        told = "Orders whose ending is not known"
        self._unknown = Gauge("relay_orders_unknown", told, _PAIR, registry=own)
        self._gaps = Counter("relay_seq_gap", "Gaps met in a leader's feed", _LEADER, registry=own)
        self._doubled = Counter("relay_duplicate_suppressed", "Doubled reports", _LEADER, registry=own)
        told = "Reports that came late, doubled, out of order, or for a signal that is not known (yet)"
        self._odd = Counter("relay_reports_odd", told, (*_PAIR, "kind"), registry=own)
        told = "Copies with something that no figure is made of: clocks_apart (legs), impossible_price,"
        told += " fees_elsewhere (those fees)"
        self._left_out = Counter("relay_copies_left_out", told, (*_PAIR, "reason"), registry=own)
        self._refused = Counter("relay_reports_refused", "Reports not believed", ("reason",), registry=own)
        told = "Monitor's clock minus a follower's, its way included"
        self._skew = Gauge("relay_clock_skew_seconds", told, _PAIR, registry=own)
        self._beat = Gauge("relay_heartbeat_age_seconds", "Since a leader was heard", _LEADER, registry=own)
        told = "Of a cap, what an entry used"
        self._cap = Histogram("relay_cap_used_ratio", told, (*_PAIR, "cap"), buckets=RATIOS, registry=own)
        told = f"A follower's mode: {', '.join(f'{number} {mode}' for mode, number in MODES.items())}"
        self._mode = Gauge("relay_mode", told, _PAIR, registry=own)
        told = "Distance from the target, of equity"
        self._gap = Gauge("relay_exposure_gap_ratio", told, _PAIR, registry=own)
        told = "1 where a leader contradicts himself"
        self._locked = Gauge("relay_equivocation", told, _LEADER, registry=own)
        told = "What is wrong just now"
        self._alarms = Gauge("relay_alarms", told, ("rule", "severity"), registry=own)
        told = "1 where the broker syncs what it acknowledges to disk"
        self._durable = Gauge("relay_broker_sync_always", told, registry=own)
        Info("relay_build", "This program", registry=own).info({"version": _version()})

    def page(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)

    def note_signal(self, leader_id: str, lag_ms: int) -> None:
        """A signal was published."""
        self._lag.labels(leader_id).observe(max(0, lag_ms) / 1000)

    def note_verdict(self, item: Judged, *, is_ahead: bool = False) -> None:
        """What became of a signal at a follower; `is_ahead`: by a time that was still to come."""
        pair = (item.published.leader_id, item.follower_id)
        self._signals.labels(*pair, item.verdict, item.reason).inc()
        if item.copy is None:
            return
        copy = item.copy
        signal = item.published.signal
        if is_ahead or clocks_apart(signal, copy):
            self._left_out.labels(*pair, "clocks_apart").inc()
        else:
            self._transit.labels(*pair).observe(max(0, copy.received_ms - signal.sealed_ms) / 1000)
        for order in copy.orders:
            self._orders.labels(*pair, order.outcome).inc()
        if is_entry(copy) and float(copy.leverage_cap or 0) > 0:
            used = float(copy.leverage_after or 0) / float(copy.leverage_cap or 1)
            self._cap.labels(*pair, "leverage").observe(used)
        if item.drift is None:
            if any(order.fills for order in copy.orders):
                self._left_out.labels(*pair, "impossible_price").inc()
            return
        if item.drift.fees_elsewhere:
            self._left_out.labels(*pair, "fees_elsewhere").inc()
        for leg, histogram in (("submitted", self._decide), ("accepted", self._ack)):
            if leg in item.drift.legs_ms:
                histogram.labels(*pair).observe(max(0, item.drift.legs_ms[leg]) / 1000)
        self.note_price(item)

    def note_price(self, item: Judged) -> None:
        """A copy's price, once: as of the first report that knows fills, for no histogram takes back."""
        if item.drift is None:
            return
        pair = (item.published.leader_id, item.follower_id)
        self._slippage.labels(*pair, "total").observe(float(item.drift.slippage.total_bps))
        for part, value in item.drift.known_parts_bps.items():
            if value is not None:
                self._slippage.labels(*pair, part).observe(float(value))

    def note_standing(self, status: StatusReport) -> None:
        """Where a follower stands."""
        pair = (status.leader_id, status.follower_id)
        self._unknown.labels(*pair).set(status.unknown_orders)
        self._mode.labels(*pair).set(MODES[status.mode])
        self._gap.labels(*pair).set(float(status.exposure_gap))

    def note_skew(self, status: StatusReport, came_ms: int) -> None:
        """How far its clock is from the broker's."""
        pair = (status.leader_id, status.follower_id)
        self._skew.labels(*pair).set((came_ms - status.sent_ms) / 1000)

    def note_gap(self, leader_id: str) -> None:
        """Messages were missing."""
        self._gaps.labels(leader_id).inc()

    def note_broker(self, *, syncs_always: bool) -> None:
        """Whether an acknowledged signal survives the loss of power."""
        self._durable.set(syncs_always)

    def note_odd(self, odd: Odd) -> None:
        """How a report came."""
        self._odd.labels(odd.leader_id, odd.follower_id, odd.kind).inc()
        if odd.kind == "doubled":
            self._doubled.labels(odd.leader_id).inc()

    def note_refused(self, reason: str) -> None:
        """A report that was not believed."""
        self._refused.labels(reason).inc()

    def note_beat_age(self, leader_id: str, age_ms: int, *, is_locked: bool) -> None:
        """How long a leader has been silent."""
        self._beat.labels(leader_id).set(age_ms / 1000)
        self._locked.labels(leader_id).set(is_locked)

    def note_alarms(self, alarms: Sequence[Alarm]) -> None:
        """What is wrong just now."""
        self._alarms.clear()
        for alarm in alarms:
            self._alarms.labels(alarm.rule, alarm.severity).inc()


def _version() -> str:
    try:
        return metadata.version("slipstream")
    except metadata.PackageNotFoundError:
        return "unknown"
