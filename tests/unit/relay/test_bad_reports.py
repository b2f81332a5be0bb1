"""Reports that cannot be right: each kind is counted and shown, and no figure moves by it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from typer.testing import CliRunner

from relay.cli import app
from relay.core.report import Figures, build_report, figures_of
from relay.core.watch import AlarmLimits
from relay.protocol.messages import CopyReport
from relay.store import DriftStore, StorePlace
from relay.watching import Watching
from tests.store_places import Places
from tests.unit.relay.drift_samples import LEADER, START_MS, a_copy, a_signal, a_status
from tests.unit.relay.test_monitor import MemoryBus, monitored, until

SIGNALS = [a_signal(seq, at_ms=START_MS + seq * 1000) for seq in range(2, 8)]
GOOD = [a_copy(of) for of in SIGNALS]


async def report_of(place: StorePlace, *reports: tuple[str, CopyReport]) -> dict[str, Any]:
    """What a monitor says after it was handed these, each by the follower that is named."""
    bus = MemoryBus()
    async with monitored(bus, place):
        await bus.publish(*SIGNALS)
        bus.hand_in(a_status())
        for follower, report in reports:
            bus.hand_in(report, follower=follower)
        await until(lambda: len(bus.acknowledged) == len(reports) + 1)
    with DriftStore.open_for_reading(place) as store:
        figures = store.figures()
    rows: list[dict[str, Any]] = build_report(figures, {}, {})["followers"]
    [row] = rows
    assert row["signals"] == len(SIGNALS)
    return row | {"left_out": figures.anomalies}


def good(*but: int) -> list[tuple[str, CopyReport]]:
    return [("steady", copy) for copy in GOOD if copy.seq not in but]


def shown(place: StorePlace) -> str:
    done = CliRunner().invoke(app, ["report", "slippage", "--store", str(place)])
    assert done.exit_code == 0
    return done.stderr


def printed(place: StorePlace) -> str:
    done = CliRunner().invoke(app, ["report", "slippage", "--store", str(place)])
    return " ".join(done.stdout.split())


def same(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return row | {"left_out": None} == other | {"left_out": None}


@pytest.mark.asyncio
async def test_late_doubled_and_out_of_order_change_nothing_and_are_counted(places: Places) -> None:
    plain = await report_of(places("plain"), *good())
    assert plain["left_out"].arrivals == {} and shown(places("plain")) == ""
    place, watching = places("again"), Watching(AlarmLimits())
    last_ms = GOOD[-1].executed_ms or 0
    bus, word = MemoryBus(), a_status(at_ms=last_ms)
    async with monitored(bus, place, watching=watching):
        await bus.publish(*SIGNALS)
        for copy in [GOOD[1], GOOD[0], *GOOD[2:], GOOD[0]]:
            bus.hand_in(copy, came_ms=last_ms + 50_000)  # one out of order, one doubled, none late
        bus.hand_in(GOOD[1], came_ms=last_ms + 50_000, is_again=True)  # the broker's doing
        for said in (a_status(), word, a_status(at_ms=START_MS - 400), word):
            bus.hand_in(said, came_ms=said.sent_ms)
        await until(lambda: len(bus.acknowledged) == 12)
    with DriftStore.open_for_reading(place) as store:
        report = build_report(store.figures(), {}, {})
    assert same(report["followers"][0] | {"tracking": plain["tracking"]}, plain)
    assert report["left_out"]["arrivals"] == {"late": 0, "doubled": 2, "out_of_order": 2}
    page = watching.metrics.page().decode()
    assert 'relay_duplicate_suppressed_total{leader="alice"} 2.0' in page
    for kind in ("doubled", "out_of_order"):
        assert f'relay_reports_odd_total{{follower="steady",kind="{kind}",leader="alice"}} 2.0' in page
    late, late_place = MemoryBus(), places("late")
    async with monitored(late, late_place):
        await late.publish(*SIGNALS)
        late.hand_in(a_status())
        for copy in GOOD:
            late.hand_in(copy, came_ms=last_ms + 61_000)
        await until(lambda: len(late.acknowledged) == len(GOOD) + 1)
    with DriftStore.open_for_reading(late_place) as store:
        report = build_report(store.figures(), {}, {})
    assert same(report["followers"][0], plain)
    assert report["left_out"]["arrivals"] == {"late": len(GOOD), "doubled": 0, "out_of_order": 0}
    for told in (shown(late_place), printed(late_place)):
        assert f"came {len(GOOD)} late: every figure is as if they had not" in told


@pytest.mark.asyncio
async def test_a_second_report_that_knows_more_fills_is_no_double(places: Places) -> None:
    place, watching, bus = places("drift"), Watching(AlarmLimits()), MemoryBus()
    order = GOOD[0].orders[0]
    none = structs.replace(GOOD[0], orders=[structs.replace(order, fills=[])], executed_ms=None)
    async with monitored(bus, place, watching=watching):
        await bus.publish(*SIGNALS)
        for report in (none, GOOD[0], none):
            bus.hand_in(report, came_ms=GOOD[0].executed_ms)
        await until(lambda: len(bus.acknowledged) == 3)
    [item] = watching.recent
    assert item.copy == GOOD[0] and item.drift is not None
    page = watching.metrics.page().decode()
    assert 'relay_signals_total{follower="steady",leader="alice",reason="copied",verdict="copied"} 1' in page
    assert 'relay_slippage_bps_count{component="total",follower="steady",leader="alice"} 1.0' in page
    assert 'kind="doubled",leader="alice"} 1.0' in page, "the third one is"
    with DriftStore.open_for_reading(place) as store:
        assert store.figures().arrivals == {"doubled": 1}


@pytest.mark.asyncio
async def test_a_copy_is_one_price_of_the_histogram_however_often_more_is_known(places: Places) -> None:
    watching, bus = Watching(AlarmLimits()), MemoryBus()
    order = GOOD[0].orders[0]
    half = structs.replace(order.fills[0], qty="0.05")
    first = structs.replace(GOOD[0], orders=[structs.replace(order, fills=[half])])
    both = [half, structs.replace(half, fill_id="the-other")]
    more = structs.replace(GOOD[0], orders=[structs.replace(order, fills=both)])
    async with monitored(bus, places("drift"), watching=watching):
        await bus.publish(*SIGNALS)
        for report in (first, more):
            bus.hand_in(report, came_ms=GOOD[0].executed_ms)
        await until(lambda: len(bus.acknowledged) == 2)
    assert watching.recent[0].copy == more
    page = watching.metrics.page().decode()
    assert 'relay_slippage_bps_count{component="total",follower="steady",leader="alice"} 1.0' in page


@pytest.mark.asyncio
async def test_for_a_signal_that_nobody_published(places: Places) -> None:
    plain = await report_of(places("plain"), *good())
    place = places("other")
    unheard = a_copy(a_signal(999), price="90000")
    row = await report_of(place, *good(), ("steady", unheard))
    assert same(row, plain) and row["left_out"].unknown_signals == 1
    assert "1 verdicts on signals that the feed did not show" in shown(place)


@pytest.mark.asyncio
async def test_forged_for_another_follower(places: Places) -> None:
    plain = await report_of(places("plain"), *good())
    place = places("other")
    forged = a_copy(SIGNALS[0], "steady", price="90000", executed_ms=START_MS + 99_999)
    row = await report_of(place, *good(), ("mallory", forged))
    assert same(row, plain) and row["left_out"].refused == {"wrong_identity": 1}
    assert "1 reports refused: wrong identity" in shown(place)


@pytest.mark.asyncio
@pytest.mark.parametrize(("price", "reason"), [("0", "impossible_price"), ("0.5", None), ("9999999", None)])
async def test_at_an_impossible_price(price: str, reason: str | None, places: Places) -> None:
    """Nothing at all, and far from the leader's: no slippage is made of either."""
    plain = await report_of(places("plain"), *good(2))
    place = places("other")
    row = await report_of(place, *good(2), ("steady", a_copy(SIGNALS[0], price=price)))
    for figure in ("slippage_bps", "slippage_parts_bps", "latency_ms", "latency_legs_ms", "costs"):
        assert row[figure] == plain[figure], figure
    if reason is None:
        assert row["left_out"].impossible_prices == 1
        assert "1 copies filled at impossible prices" in shown(place)
    else:
        assert row["left_out"].refused == {reason: 1}
        assert "1 reports refused: impossible price" in shown(place)


@pytest.mark.asyncio
@pytest.mark.parametrize("off_ms", [-3_600_000, -2_000, 2_000, 3_600_000])
async def test_by_a_clock_that_is_off(off_ms: int, places: Places) -> None:
    """Its legs are in no figure; slippage, and the latency from venue to venue, need no clock of its own."""
    plain = await report_of(places("plain"), *good(2))
    whole = await report_of(places("whole"), *good())
    own = ("received_ms", "released_ms", "submitted_ms", "accepted_ms")
    skewed = a_copy(SIGNALS[0], **{name: getattr(GOOD[0], name) + off_ms for name in own})
    place = places("other")
    row = await report_of(place, *good(2), ("steady", skewed))
    assert row["left_out"].clocks_apart == 1
    assert row["latency_legs_ms"] == plain["latency_legs_ms"]
    for figure in ("slippage_bps", "slippage_parts_bps", "latency_ms", "costs", "pnl"):
        assert row[figure] == whole[figure], figure
    assert "1 copies by clocks that are apart" in shown(place)
    watching = Watching(AlarmLimits(), clock_ms=lambda: START_MS)
    watching.watch.expect(LEADER, START_MS)
    words = [a_status(at_ms=START_MS + off_ms + step) for step in range(10)]
    watching.hear_stored(words)
    watching.look()
    assert [alarm.rule for alarm in watching.standing] == ["clock_skew"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("off_ms", "reason"), [(3_600_000, "clock_ahead"), (-3_600_000, "late")])
async def test_a_word_by_a_clock_that_is_off_is_nobodys_last(
    off_ms: int, reason: str, places: Places
) -> None:
    """It moves no figure, the next one counts at once; that the follower is there is heard all the same."""
    place, bus, now = places("drift"), MemoryBus(), [START_MS]
    watching = Watching(AlarmLimits(heartbeat_age_ms=10**9), clock_ms=lambda: now[0])
    async with monitored(bus, place, watching=watching):
        for step in range(11):
            now[0] = START_MS + step * 5_000
            bad = a_status(at_ms=now[0] + off_ms, exposure_gap="0.9", leverage_peak="50")
            bus.hand_in(bad, came_ms=now[0])
        bus.hand_in(a_status(at_ms=now[0] + 1, exposure_gap="0.01"), came_ms=now[0] + 2)
        await until(lambda: len(bus.acknowledged) == 12)
        watching.look()
        assert [alarm.rule for alarm in watching.standing] == ["clock_skew"]
        [(_, _, heard)] = watching.watch.followers()
        assert heard.status.exposure_gap == "0.01"
    with DriftStore.open_for_reading(place) as store:
        figures = store.figures()
        assert [word.exposure_gap for word in store.last_statuses()] == ["0.01"]
    [row] = build_report(figures, {}, {})["followers"]
    assert (row["exposure_gap"], row["leverage_peak"], row["tracking"]["max"]) == ("0.01", "0", "0.01")
    assert figures.refused == {reason: 11}
    words = f"11 reports refused: {reason.replace('_', ' ')}"
    assert words in shown(place) and words in printed(place)
    assert f'relay_reports_refused_total{{reason="{reason}"}} 11.0' in watching.metrics.page().decode()


@pytest.mark.asyncio
async def test_a_verdict_by_a_clock_an_hour_behind_makes_nobody_miss_what_was_before_him(
    places: Places,
) -> None:
    place, bus = places("drift"), MemoryBus()
    before = [a_signal(seq, at_ms=START_MS - 1_800_000 + seq) for seq in range(2, 5)]
    own = ("received_ms", "released_ms", "submitted_ms", "accepted_ms")
    copied = a_signal(5, at_ms=START_MS)
    copy = a_copy(copied)
    behind = structs.replace(
        a_copy(copied, price=None), **{name: (getattr(copy, name) or 0) - 3_600_000 for name in own}
    )
    async with monitored(bus, place):
        await bus.publish(*before, copied)
        bus.hand_in(behind, came_ms=START_MS + 50)
        await until(lambda: len(bus.acknowledged) == 1)
    with DriftStore.open_for_reading(place) as store:
        [row] = build_report(store.figures(), {}, {})["followers"]
        [shown_one] = build_report(figures_of(store.read_rows()), {}, {})["followers"]
    assert (row["signals"], row["missed"]) == (shown_one["signals"], shown_one["missed"]) == (1, 0)
    assert build_report(store_figures(place), {}, {})["left_out"]["clocks_apart"] == 1


@pytest.mark.asyncio
async def test_a_fill_that_is_still_to_come(places: Places) -> None:
    plain = await report_of(places("plain"), *good(2))
    place, bus = places("drift"), MemoryBus()
    async with monitored(bus, place):
        await bus.publish(*SIGNALS)
        bus.hand_in(a_status())
        for copy in GOOD[1:]:
            bus.hand_in(copy)
        bus.hand_in(structs.replace(GOOD[0], executed_ms=START_MS + 86_400_000), came_ms=START_MS + 9_000)
        await until(lambda: len(bus.acknowledged) == len(GOOD) + 1)
    figures = store_figures(place)
    [row] = build_report(figures, {}, {})["followers"]
    assert same(row, plain) and figures.refused == {"impossible_time": 1}


def store_figures(place: StorePlace) -> Figures:
    with DriftStore.open_for_reading(place) as store:
        return store.figures()
