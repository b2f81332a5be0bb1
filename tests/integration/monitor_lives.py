"""One drift monitor after the other, each a process of its own: a line on stdin begins the next.

Belongs here: fork, run, say who and when it is over. Does not belong here: killing (`test_monitor_kills`).
What takes long to import is imported once; a life is a fork of that, so a hundred fit into half a minute.
"""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from relay.monitor import run_monitor
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.store import store_place


async def live(url: str, seed: str, store: str, leader: str, key: str) -> None:
    bus = await Bus.connect(url, seed, subjects.inbox_prefix("monitor"), "relay-monitor")
    await run_monitor(bus, store_place(store), {leader: key})


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(live(*sys.argv[1:]))
            os._exit(0)
        tell(pid)
        _, status = os.waitpid(pid, 0)
        tell(os.waitstatus_to_exitcode(status))


def tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
