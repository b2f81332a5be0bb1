"""How far a follower was from its target, over time, and what it paid for holding."""

from __future__ import annotations

from fractions import Fraction

from relay.core.report import build_report, figures_of
from relay.core.tracking import HELD_MS_MAX, tracking_over
from relay.core.verdicts import ReportRows
from tests.unit.relay.drift_samples import START_MS, a_signal, a_status


def test_a_word_holds_until_the_next_one() -> None:
    """A gap of 20 % for ten seconds, then none for ten: 10 % on average."""
    words = [
        a_status(at_ms=START_MS + at, exposure_gap=gap, mode=mode)
        for at, gap, mode in ((0, "0.2", "running"), (10_000, "0", "running"), (20_000, "0", "stopped"))
    ]
    found = tracking_over(words)
    assert (found.held_ms, found.gap) == (20_000, 2_000 * 10**6)
    report = build_report(figures_of(ReportRows([a_signal()], [], words)), {}, {})
    [row] = report["followers"]
    assert row["tracking"] == {
        "error": "0.1",
        "integral_hours": "0.000556",
        "max": "0.2",
        "observed_hours": "0.005556",
    }
    assert row["carry"] is None


def test_nobody_is_held_to_what_it_did_not_say() -> None:
    """Silent for an hour: only the first seconds are known; who stopped in order holds nothing."""
    words = [a_status(at_ms=START_MS, exposure_gap="1"), a_status(at_ms=START_MS + 3_600_000)]
    assert tracking_over(words).held_ms == 2 * HELD_MS_MAX
    assert tracking_over([a_status(mode="stopped")]).held_ms == 0


def test_funding_and_interest_are_what_the_counters_moved_by() -> None:
    words = [
        a_status(at_ms=START_MS, funding_paid="5", interest_paid="1"),
        a_status(at_ms=START_MS + 5_000, funding_paid="4.25", interest_paid="1.5"),
        a_status(at_ms=START_MS + 9_000),  # a word of an older program says nothing of it
    ]
    assert tracking_over(words).paid == (Fraction("-0.75"), Fraction("0.5"))
    [row] = build_report(figures_of(ReportRows([a_signal()], [], words)), {}, {})["followers"]
    assert row["carry"] == {"funding_paid": "-0.75", "interest_paid": "0.5"}


def test_pieces_merge_to_the_whole_in_any_order() -> None:
    words = [
        a_status(at_ms=START_MS + at * 4_000, exposure_gap=f"0.{at}", funding_paid=str(at)) for at in range(9)
    ]
    whole = tracking_over(words)
    first, second = tracking_over(words[:4], words[4]), tracking_over(words[4:])
    second.merge(first)
    assert second == whole
