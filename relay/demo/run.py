"""A demonstration from its first process to its report.

Belongs here: the order of things. Does not belong here: how each is done (`system`, `collect`, `outcome`,
`progress`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import signal
import sys
import time
import webbrowser
from collections.abc import Coroutine, Iterator
from typing import Any

from relay.core.verdicts import ReportRows
from relay.demo.collect import fill_ids, order_link_ids, verify_journal
from relay.demo.leader_fills import LeaderFillsError, PlannedOrder, load_leader_plan
from relay.demo.outcome import Gathered, broken_promises, print_result, write_reports
from relay.demo.plan import LEADER_ID, DemoOptions, OptionError
from relay.demo.processes import ProgramError
from relay.demo.progress import RunProgress
from relay.demo.script import scripted_plan
from relay.demo.system import Folders, System
from relay.store import DriftStore

__all__ = ["run_demo"]

_SETTLE_SECONDS_MAX = 15.0
_FINAL_REPORTS_SECONDS_MAX = 4.0
_QUIET_SECONDS = 1.0
_POLL_SECONDS = 0.25
_INTERRUPTED = 130


def run_demo(options: DemoOptions, *, as_json: bool = False) -> int:
    """Run it and print the slippage table. Exit status 0 when every promise of the report holds."""
    problems = options.problems()
    if problems:
        for line in problems:
            _say(line)
        return 2
    try:
        with _own_folder(options) as folders:
            return asyncio.run(_supervised(_Demo(options, folders, as_json)))
    except (OptionError, LeaderFillsError, ProgramError, BlockingIOError, OSError) as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    if isinstance(error, BlockingIOError):
        _say("--out: another run is using this folder; name another one")
        return 75
    _say(error.last_words if isinstance(error, ProgramError) and error.status in (2, 75, 78) else str(error))
    if isinstance(error, OptionError):
        return 2
    if isinstance(error, LeaderFillsError):
        return 78
    return error.status if isinstance(error, ProgramError) and error.status in (2, 70, 75, 78) else 1


async def _supervised(demo: _Demo) -> int:
    """Run until done or told to stop; whatever happens, no program is left behind."""
    task = asyncio.ensure_future(demo.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        _say("interrupted; stopping everything")
        return _INTERRUPTED
    finally:
        await demo.system.stop()


@contextlib.contextmanager
def _own_folder(options: DemoOptions) -> Iterator[Folders]:
    """The run's folder, locked against a second run and cleared of an earlier one's data."""
    folders = Folders(options.out.resolve())
    try:
        folders.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--out: {options.out} can't be made ({error.strerror})") from None
    with (folders.out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder in (folders.data, folders.logs):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        for name in ("report.json", "report.html"):
            (folders.out / name).unlink(missing_ok=True)
        yield folders


class _Demo:
    def __init__(self, options: DemoOptions, folders: Folders, as_json: bool) -> None:
        self.options = options
        self.folders = folders
        self.as_json = as_json
        self.system = System(options, folders)
        self.started_ms = 0

    async def run(self) -> int:
        """The whole run; returns the exit status."""
        with RunProgress(self.options.seconds) as progress:
            await self._start(progress)
            if self.options.serve:
                _say(f"dashboard at {self.system.dashboard_url}")
            summary = await self._trade(progress)
            progress.step("settling")
            await self._settle()
            if not self.options.serve:
                await self.system.stop("followers", "publisher")
                await self._hear_last_words()
            asked = await self._ask_venue()
            if not self.options.serve:
                await self.system.stop()
            progress.step("verifying")
            verdict = await verify_journal(self.system.journal)
        status = self._report(Gathered(summary=summary, verdict=verdict, rows=self._rows(), **asked))
        if self.options.open_report:
            webbrowser.open((self.folders.out / "report.html").as_uri())
        if self.options.serve:
            _say(f"venue at {self.system.rest_url}, broker at {self.system.broker_url}")
            _say(f"dashboard at {self.system.dashboard_url}; Ctrl-C ends")
            await asyncio.Event().wait()
        return status

    async def _start(self, progress: RunProgress) -> None:
        system = self.system
        progress.step("starting venue and broker")
        await system.start_venue()
        await system.start_relay()
        scenario = (await system.venue.stats())["scenario"]
        traded = sorted([*scenario["replayed_symbols"], *scenario["synthetic_symbols"]])
        if self.options.leader_symbol not in traded:
            was = self.options.leader_symbol
            raise OptionError(f"--leader-symbol: was {was!r}, allowed: {', '.join(traded)}")
        orders = await self._orders()
        progress.step("starting publisher, followers, leader")
        await _together(system.start_publisher(), system.start_followers(), system.start_leader(orders))

    async def _orders(self) -> tuple[PlannedOrder, ...]:
        options = self.options
        if options.leader_fills is None:
            return scripted_plan(seconds=options.seconds, seed=options.seed)
        scenario = (await self.system.venue.stats())["scenario"]
        window = (scenario["from_ms"], scenario["to_ms"]) if options.replay else None
        assert options.leader_account is not None
        plan = load_leader_plan(
            options.leader_fills,
            account=options.leader_account,
            symbol=options.leader_symbol,
            window_ms=window,
        )
        self.system.recorded = plan
        return plan.orders

    async def _trade(self, progress: RunProgress) -> dict[str, Any]:
        """Start the market and the leader; return the leader's summary when the time is over."""
        self.started_ms = await self.system.venue.play()
        await self.system.program("leader").tell({"start_ms": self.started_ms})
        progress.step("trading")
        while (elapsed := time.time() - self.started_ms / 1000) < self.options.seconds:
            for program in self.system.programs:
                program.check()
            progress.second(elapsed, self.folders.store)
            await asyncio.sleep(min(1.0, max(0.0, self.options.seconds - elapsed)))
        return await self.system.program("leader").summary()

    async def _settle(self) -> None:
        """Wait until every follower gave a verdict on every signal and nothing new comes, or long enough."""
        now = time.monotonic()
        deadline, quiet_since, before = now + _SETTLE_SECONDS_MAX, now, -1
        while (now := time.monotonic()) < deadline:
            with DriftStore.open_for_reading(self.folders.store) as store:
                counts = store.counts()
            complete = counts["copies"] >= counts["signals"] * len(self.system.followers)
            if not complete or counts["signals"] != before:
                quiet_since, before = now, counts["signals"]
            if now - quiet_since >= _QUIET_SECONDS:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _hear_last_words(self) -> None:
        """Wait until the final status of every follower is in the store, or long enough."""
        everybody = {plan.follower_id for plan in self.system.followers}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINAL_REPORTS_SECONDS_MAX):
                while not everybody <= self._stopped():  # noqa: ASYNC110 - another process writes the store
                    await asyncio.sleep(_POLL_SECONDS)

    def _stopped(self) -> set[str]:
        return {status.follower_id for status in self._rows().statuses if status.mode == "stopped"}

    async def _ask_venue(self) -> dict[str, Any]:
        """What the report needs to know from the venue; keys as in `Gathered`."""
        system, symbol = self.system, self.options.leader_symbol
        return {
            "options": self.options,
            "followers": system.followers,
            "recorded": system.recorded,
            "started_ms": self.started_ms,
            "stats": await system.venue.stats(),
            "history": {symbol: await system.venue.history(symbol)},
            "link_ids": {
                plan.follower_id: await order_link_ids(system.accounts[plan.follower_id], symbol)
                for plan in system.followers
            },
            "leader_fill_ids": await fill_ids(system.accounts[LEADER_ID], symbol),
        }

    def _rows(self) -> ReportRows:
        with DriftStore.open_for_reading(self.folders.store) as store:
            return store.read_rows()

    def _report(self, gathered: Gathered) -> int:
        report = write_reports(gathered, self.folders)
        if self.as_json:
            print((self.folders.out / "report.json").read_text())  # noqa: T201 - asked for
        else:
            print_result(report, self.folders)
        broken = broken_promises(gathered, report)
        for line in broken:
            _say(f"broken promise: {line}")
        return 70 if broken else 0


async def _together(*starts: Coroutine[Any, Any, None]) -> None:
    """Start side by side; the first that fails ends the others and is what is told."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - the program's own words to its user
