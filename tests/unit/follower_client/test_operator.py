"""What the operator and triggers order: durable, in force at once, carried out once."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client import risk as risk_module
from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.core.policy import LossAction, Policy, Silence
from follower_client.core.snapshot import Control
from follower_client.errors import FollowerError
from follower_client.settings import WatchAction, WatchSection
from follower_client.venue.port import Ending, OpenOrder, OrderRequest, SubmitResult
from tests.unit.follower_client.alarms import Alarms
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import POLICY, bench, until
from tests.unit.follower_client.fake_venue import FakeVenue


def test_a_level_survives_is_only_lowered_by_resume_and_is_audited(tmp_path: Path) -> None:
    control = ControlFile(tmp_path)
    assert control.read().level is Control.RUN
    control.order(Control.REDUCE_ONLY, by="operator", reason="news")
    control.order(Control.PAUSE, by="trigger:rejects", reason="milder")
    again = ControlFile(tmp_path).read()
    assert (again.level, again.by, again.reason) == (Control.REDUCE_ONLY, "operator", "news")
    control.order(Control.LOCK, by="trigger:equivocation", reason="two payloads")
    with pytest.raises(FollowerError, match="--reason"):
        control.resume(by="operator", reason=" ")
    control.resume(by="operator", reason="spoke to him")
    assert ControlFile(tmp_path).read().level is Control.RUN
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["level"] for line in lines] == ["reduce_only", "lock", "run"]
    assert (tmp_path / "control.json").stat().st_mode & 0o077 == 0


def test_a_damaged_file_counts_as_locked(tmp_path: Path) -> None:
    control = ControlFile(tmp_path)
    control.order(Control.PAUSE, by="operator", reason="")
    for text in ("", "{", '{"level": "everything"}', "[]"):
        (tmp_path / "control.json").write_text(text)
        assert control.read().level is Control.LOCK
        assert ControlFile(tmp_path).read().level is Control.LOCK


def test_a_lost_file_counts_as_locked_and_what_it_said_goes_on(tmp_path: Path) -> None:
    running = ControlFile(tmp_path)
    running.note("stakes", by="trial", detail="no order")
    assert running.read().level is ControlFile(tmp_path).read().level is Control.RUN, "none was ever given"
    ControlFile(tmp_path).order(Control.FLATTEN, by="operator", reason="")
    assert running.read().level is Control.FLATTEN
    running.note("left", by="operator", detail="no order either")
    (tmp_path / "control.json").unlink()
    for control in (running, ControlFile(tmp_path)):
        assert (control.read().level, control.read().closing) == (Control.LOCK, 1)
    with pytest.raises(FollowerError, match="--reason"):
        ControlFile(tmp_path).resume(by="operator", reason="")
    after = ControlFile(tmp_path).resume(by="operator", reason="looked at it")
    assert (after.level, after.number) == (Control.RUN, 2)
    assert running.read().level is Control.RUN


@pytest.mark.asyncio
async def test_limits_that_are_reached_together_are_told_and_written_once(tmp_path: Path) -> None:
    policy = Policy(
        label="p",
        leverage_max=Decimal(10),
        daily_loss_max_usdt=Decimal(50),
        weekly_loss_max_usdt=Decimal(60),
        loss_action=LossAction.CLOSE,
    )
    async with bench(tmp_path, policy=policy) as one:
        alarms = Alarms(one)
        alarms.watch.look()
        await one.verdict(one.offer("2"))
        one.venue.move("99000")  # 0.1 BTC loses 100
        for _ in range(5):
            alarms.watch.look()
        trail = (tmp_path / "audit.jsonl").read_text().splitlines()
        assert {json.loads(line)["by"] for line in trail} == {"trigger:daily_loss", "trigger:weekly_loss"}
        assert len(trail) == 2
        ControlFile(tmp_path).resume(by="operator", reason="")
        alarms.watch.look()
        assert ControlFile(tmp_path).read().level is Control.FLATTEN, "the loss is still there"


@pytest.mark.asyncio
async def test_no_entry_leaves_after_the_order_and_exits_go_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.verdict(one.offer("2"))
        other = ControlFile(tmp_path)  # another process
        start_s = time.perf_counter()
        other.order(Control.PAUSE, by="operator", reason="")
        assert time.perf_counter() - start_s < 0.1
        refused = await one.verdict(one.offer("3", leverage="8"))
        assert (refused.verdict, refused.reason) == ("skipped", "paused")
        closed = await one.verdict(one.offer("0"))
        assert closed.verdict == "copied" and one.position() == 0
        other.resume(by="operator", reason="")
        assert (await one.verdict(one.offer("2"))).verdict == "copied"


@pytest.mark.asyncio
async def test_an_entry_that_is_recorded_and_waits_for_room_is_stopped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = FakeVenue()
    room = asyncio.Event()

    async def reserve(*, urgent: bool) -> None:
        if not urgent:
            await room.wait()

    monkeypatch.setattr(venue, "reserve", reserve)
    async with bench(tmp_path, venue) as one:
        seq = one.offer("2")
        await until(one.store.open_orders)
        ControlFile(tmp_path).order(Control.PAUSE, by="operator", reason="")
        room.set()
        copy = await one.verdict(seq)
        assert (copy.verdict, copy.reason) == ("missed", "pause") and venue.requests == []


@pytest.mark.parametrize("stream_first", [True, False])
@pytest.mark.asyncio
async def test_a_second_program_is_noticed_whether_stream_or_answer_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream_first: bool
) -> None:
    venue = FakeVenue()

    async def submit(request: OrderRequest) -> SubmitResult:
        venue._execute(request, request.qty)  # the other program's, of the same name
        if stream_first:
            await asyncio.sleep(0.01)
        return SubmitResult(Ending.DUPLICATE, None, "110072")

    monkeypatch.setattr(venue, "submit", submit)
    async with bench(tmp_path, venue) as one:
        assert (await one.verdict(one.offer("2"))).verdict == "copied"
        state = ControlFile(tmp_path).read()
        assert (state.level, state.by) == (Control.PAUSE, "trigger:second_instance")


@pytest.mark.asyncio
async def test_orders_that_nobody_needs_are_taken_back(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with bench(tmp_path, venue) as one:
        await one.verdict(one.offer("2"))
        own = one.store.orders_of(one.store.copies(limit=1)[0].key)[0].client_order_id

        def rests(number: int, name: str, *, stop: bool = False) -> OpenOrder:
            return OpenOrder(
                symbol=BTC, order_id=f"r{number}", client_order_id=name, reduce_only=stop, is_stop=stop
            )

        venue.resting = [rests(1, own), rests(2, "somebody-else"), rests(3, "", stop=True)]
        assert await Closeout("alice", one.desk).cancel_all() == 1
        assert [order.order_id for order in venue.resting] == ["r2", "r3"]


@pytest.mark.asyncio
async def test_a_loss_closes_everything_where_that_is_wanted(tmp_path: Path) -> None:
    policy = Policy(
        label="p",
        leverage_max=Decimal(10),
        daily_loss_max_usdt=Decimal(50),
        loss_action=LossAction.CLOSE,
    )
    async with bench(tmp_path, policy=policy) as one:
        alarms = Alarms(one)
        alarms.watch.look()
        await one.verdict(one.offer("2"))
        one.venue.move("99000")  # 0.1 BTC loses 100
        alarms.watch.look()
        state = one.control.read()
        assert (state.level, state.by) == (Control.FLATTEN, "trigger:daily_loss")
        running = asyncio.create_task(alarms.notifier.run())
        await until(lambda: alarms.told)
        assert "Positions are being closed" in alarms.told[0][1]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_loss_that_only_stops_entries_names_itself(tmp_path: Path) -> None:
    policy = Policy(label="p", leverage_max=Decimal(10), drawdown_max_share=Decimal("0.005"))
    async with bench(tmp_path, policy=policy) as one:
        alarms = Alarms(one)
        one.running.append(asyncio.create_task(alarms.notifier.run()))
        alarms.watch.look()
        await one.verdict(one.offer("2"))
        one.venue.move("99000")
        alarms.watch.look()
        await until(lambda: alarms.told)
        assert "loss_stop" in alarms.told[0][0] and "drawdown is 0.01" in alarms.told[0][1]
        refused = await one.verdict(one.offer("3", leverage="8", price="99000"))
        assert refused.reason == "drawdown" and refused.observed_value is not None
        assert one.control.read().level is Control.RUN


@pytest.mark.asyncio
async def test_marks_of_equity_survive_a_restart(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        one.desk.risk.tick(0)
        peak = one.venue.account.equity()
    venue = FakeVenue(balance="9000")
    async with bench(tmp_path, venue) as again:
        assert peak is not None
        assert again.desk.risk.guard().daily_loss_usdt == peak - 9000
        assert again.desk.risk.guard().drawdown == (peak - 9000) / peak


@pytest.mark.asyncio
async def test_a_new_day_is_kept_and_what_does_not_change_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(risk_module, "SAVE_EVERY_S", -1.0)
    async with bench(tmp_path) as one:
        one.desk.risk.tick(0)
        one.store.save_marks({"day_start_date": "2020-01-01"})  # it ended on another day
    async with bench(tmp_path) as one:
        one.desk.risk.tick(0)  # the equity is the same, the day is not
        written: list[object] = []
        monkeypatch.setattr(one.store, "save_marks", written.append)
        one.desk.risk.tick(0)
        assert written == []
    async with bench(tmp_path, FakeVenue(balance="9000")) as again:
        again.desk.risk.tick(0)
        assert again.desk.risk.guard().daily_loss_usdt == 1000, "a restart does not begin the day again"


@pytest.mark.asyncio
async def test_refused_keys_many_rejects_and_unknowns_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as one:
        risk, control = one.desk.risk, one.control
        risk.note_reject("10010")
        assert control.read().by == "trigger:key_refused"
        control.resume(by="operator", reason="")
        for _ in range(risk_module.REJECTS_MAX):
            risk.note_reject("110007")
        assert control.read().by == "trigger:rejects"
        control.resume(by="operator", reason="")
        risk.tick(risk_module.UNKNOWN_MAX + 1)
        assert control.read().by == "trigger:unknown_orders"
        control.resume(by="operator", reason="")
        for _ in range(2 * POLICY.orders_per_10_s_max + 1):
            risk.note_order()
        assert control.read().by == "trigger:order_rate"
        assert risk.guard().orders_recent > POLICY.orders_per_10_s_max


@pytest.mark.asyncio
async def test_a_clock_that_steps_stops_entries_until_it_is_right_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as one:
        account = one.venue.account
        now_ms = time.time_ns() // 1_000_000
        account.compare_clocks(now_ms + 250, now_ms)
        assert not one.desk.risk.clock_fault()
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600 * 10**9)  # an hour back
        offset_ms = account.clock_offset_ms()
        assert offset_ms is not None and abs(offset_ms - 3_600_250) < 100
        assert one.desk.risk.clock_fault()
        monkeypatch.setattr(time, "time_ns", real)
        assert not one.desk.risk.clock_fault()
        account.compare_clocks(now_ms - 2000, now_ms)
        assert (await one.verdict(one.offer("2"))).reason == "clock"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("silence", "level"),
    [
        (Silence.HOLD, Control.RUN),
        (Silence.CLOSE_ONLY, Control.REDUCE_ONLY),
        (Silence.FLATTEN, Control.FLATTEN),
    ],
)
async def test_a_leader_who_stays_silent(tmp_path: Path, silence: Silence, level: Control) -> None:
    async with bench(tmp_path, policy=Policy(label="p", silence=silence, silence_s=5)) as one:
        alarms = Alarms(one)
        one.running.append(asyncio.create_task(alarms.notifier.run()))
        alarms.silent_s = 4.9
        alarms.watch.look()
        assert one.control.read().level is Control.RUN
        alarms.silent_s = 5.1
        alarms.watch.look()
        assert one.control.read().level is level
        alarms.silent_s = 10.1  # also where positions are held: somebody should know
        alarms.watch.look()
        await until(lambda: any("no entries until he is heard" in body for _, body in alarms.told))


@pytest.mark.asyncio
async def test_the_venues_own_alarms_warn_stop_or_close(tmp_path: Path) -> None:
    section = WatchSection(adl_action=WatchAction.CLOSE_ONLY, borrowed_action=WatchAction.FLATTEN)
    async with bench(tmp_path) as one:
        alarms = Alarms(one, section)
        one.venue.account.warnings |= {f"adl_rank:{BTC}": Decimal(4), "borrowed_usdt": Decimal(0)}
        alarms.watch.look()
        assert one.control.read().level is Control.RUN
        one.venue.account.warnings[f"adl_rank:{BTC}"] = Decimal(5)
        alarms.watch.look()
        assert one.control.read().by == "trigger:adl_rank"
        one.venue.account.warnings["borrowed_usdt"] = Decimal(3)
        alarms.watch.look()
        assert one.control.read().level is Control.FLATTEN


@pytest.mark.asyncio
async def test_deleveraging_that_comes_nearer_is_told_and_acted_on(tmp_path: Path) -> None:
    section = WatchSection(adl_near_share=Decimal("0.6"), adl_near_action=WatchAction.CLOSE_ONLY)
    async with bench(tmp_path) as one:
        alarms = Alarms(one, section)
        one.venue.account.market_warnings[f"adl_near:{BTC}"] = Decimal("0.59")
        alarms.watch.look()
        assert one.control.read().level is Control.RUN
        one.venue.account.market_warnings[f"adl_near:{BTC}"] = Decimal("0.6")
        alarms.watch.look()
        state = one.control.read()
        assert (state.level, state.by) == (Control.REDUCE_ONLY, "trigger:adl_near") and "0.6" in state.reason


@pytest.mark.asyncio
async def test_alarms_are_told_once_and_within_their_limit(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        alarms = Alarms(one)
        for number in range(6):
            alarms.notifier.tell(f"name{number}", "what")
        running = asyncio.create_task(alarms.notifier.run())
        await until(lambda: len(alarms.told) == 3)
        await asyncio.sleep(0.01)
        assert [title for title, _ in alarms.told] == [f"Slipstream alice: name{n}" for n in range(3)]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_locked_feed_locks_the_follower(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        one.executor.locked("equivocation", "two payloads at 7", '{"frames":[]}')
        state = ControlFile(tmp_path).read()
        assert (state.level, state.by) == (Control.LOCK, "trigger:equivocation")
        (kept,) = (tmp_path / "evidence").iterdir()
        assert kept.read_text() == '{"frames":[]}' and str(kept) in state.reason
        assert kept.stat().st_mode & 0o077 == 0


def test_the_control_file_is_read_at_the_cost_of_a_stat(tmp_path: Path) -> None:
    control = ControlFile(tmp_path)
    control.order(Control.PAUSE, by="operator", reason="")
    (tmp_path / "control.json").chmod(0)
    assert control.read().level is Control.PAUSE  # nothing changed, so nothing is read
