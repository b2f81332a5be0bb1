"""A leader's publisher as a process of its own, to be killed: `outbox_publisher FOLDER URL COUNT PAUSE_MS`.

Begins an epoch, records COUNT snapshots PAUSE_MS apart, waits until the broker has all, prints the last seq.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from relay.keys import load_nkey_seed
from relay.nats_bus import Bus
from relay.outbox import Outbox
from relay.protocol.messages import Snapshot
from relay.protocol.signing import key_id_of
from relay.publisher import Publisher
from tests.integration.broker_room import SIGNING_KEY, eventually


async def main(folder: Path, url: str, count: int, pause_ms: int) -> None:
    outbox = Outbox.open(
        folder / "outbox.sqlite", leader_id="alice", key_id=key_id_of(SIGNING_KEY.verify_key)
    )
    bus = await Bus.connect(url, load_nkey_seed(folder / "alice.nk"), "_INBOX_alice", "alice")
    publisher = Publisher(
        leader_id="alice", signing_key=SIGNING_KEY, outbox=outbox, bus=bus, program_version="test"
    )
    await publisher.start()
    async with asyncio.TaskGroup() as tasks:  # who is fenced ends
        sending = tasks.create_task(publisher.run())
        await say(publisher, count, pause_ms)
        sending.cancel()
    sys.stdout.write(f"{outbox.head.seq}\n")
    outbox.close()
    await bus.close()


async def say(publisher: Publisher, count: int, pause_ms: int) -> None:
    for number in range(count):
        publisher.record(
            lambda _, number=number: Snapshot(  # type: ignore[misc]
                positions=[], equity=str(number), account_leverage="0", sealed_ms=1
            )
        )
        await asyncio.sleep(pause_ms / 1000)
    await eventually(lambda: publisher.unsent == 0, 60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
