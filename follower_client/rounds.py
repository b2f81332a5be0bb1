"""One clock for all followers of a process: calls now and then what has to look around.

Belongs here: when, and that one call's failure is its caller's alone. Does not belong here: what is looked at
(`control`, `subscriber`, `watch`).

A task that wakes up costs some ten times what a call does; a thousand followers that each look at a file
twenty times a second would keep a processor busy with waking up. Calls of the same period are spread over it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

__all__ = ["TICK_S", "Rounds"]

TICK_S = 0.05

Call = Callable[[], object]


class Rounds:
    """`repeat` registers a call for as long as it is awaited; the clock runs while there is one."""

    def __init__(self) -> None:
        self._due: dict[int, list[dict[int, tuple[Call, asyncio.Future[None]]]]] = {}
        self._numbers = itertools.count()
        self._count = 0
        self._clock: asyncio.Task[None] | None = None

    async def repeat(self, every_s: float, call: Call) -> None:
        """Call it now and every so often (a multiple of `TICK_S`) until cancelled. Raises what it raises; it
        must not block.
        """
        call()
        period, number = max(1, round(every_s / TICK_S)), next(self._numbers)
        phases = self._due.setdefault(period, [{} for _ in range(period)])
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        phases[number % period][number] = call, failed
        self._count += 1
        if self._clock is None:
            self._clock = asyncio.create_task(self._run())
        try:
            await failed
        finally:
            del phases[number % period][number]
            self._count -= 1
            if self._count == 0:
                clock, self._clock = self._clock, None
                clock.cancel()

    async def _run(self) -> None:
        for tick in itertools.count():
            await asyncio.sleep(TICK_S)
            for period, phases in self._due.items():
                for call, failed in list(phases[tick % period].values()):
                    try:
                        call()
                    except Exception as error:
                        if not failed.done():
                            failed.set_exception(error)
