"""A leader's key says two things: followers lock, and everybody has a file that proves it to a stranger."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from relay.keys import load_nkey_seed, load_signing_key
from relay.nats_bus import Bus, BusMessage
from relay.protocol import subjects
from relay.protocol.codec import encode_payload
from relay.protocol.feed import Beat, FeedReader
from relay.protocol.messages import Heartbeat
from relay.protocol.signing import seal
from tests.integration.follower_world import eventually
from tests.integration.relay_programs import programs
from tests.integration.test_follower_commands import client, follow, quotes, told
from tests.integration.test_leader_commands import set_up

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(150), pytest.mark.system]


async def last_beat(bus: Bus, public_key: str) -> Beat:
    """The next heartbeat of zoe's publisher, as somebody with her key may hear it."""
    reader, beats = FeedReader("zoe", public_key, None), list[Beat]()

    async def hear(message: BusMessage) -> None:
        beats.extend(event for event in reader.beat(message.data) if isinstance(event, Beat))

    subscription = await bus.subscribe(subjects.beat("zoe"), hear)
    await eventually(lambda: beats)
    await subscription.stop()
    return beats[-1]


async def test_a_contradiction_is_kept_shown_and_provable(tmp_path: Path) -> None:
    async with programs(tmp_path) as room:
        desk, venue = await set_up(room)
        relay, publisher = str(tmp_path / "relay.toml"), str(tmp_path / "publisher.toml")
        await room.start("relay", "serve", "--config", relay, "--json")
        publish = await room.start("relay", "publish", "--config", publisher, "--json")
        maker = await quotes(venue)
        home = tmp_path / "mia"
        home.mkdir()
        follower = None
        try:
            await client(home, "join", (await desk("invite", "create"))[0], "--id", "mia")
            follower, _ = await follow(home)
            assert (await desk("leaders", "evidence"))[1] == "no leader has contradicted himself here"
            await contradict(tmp_path, home, publish.ready["public_key"])

            async def locked() -> bool:
                row = (await told(home, "status"))[0]
                return bool(row["control"] == "lock" and row["evidence"])

            await eventually(locked, limit_s=20)
            row = (await told(home, "status"))[0]
            (kept,) = row["evidence"]
            assert "two different messages as seq" in kept["proves"] and kept["file"] in row["control_reason"]
            assert "evidence: zoe has signed" in (await client(home, "status"))[0]
            findings = {one["check"]: one for one in await told(home, "doctor", status=1)}
            assert findings["evidence"]["level"] == "fail"
            (found,) = await desk.json("leaders", "evidence")
            assert found["proves"] == kept["proves"]
            assert (await desk("leaders", "evidence", kept["file"]))[0] == kept["proves"]
            report: Any = (await desk("doctor", "--json", status=1))[0]
            assert '"evidence", "state": "wrong"' in report
        finally:
            if follower is not None and follower.returncode is None:
                follower.kill()
                await follower.wait()
            await maker.close()


async def contradict(leaders: Path, home: Path, public_key: str) -> None:
    """Somebody with zoe's keys says that another message stands where hers does."""
    config = (home / "follower.toml").read_text()
    url = next(line.split('"')[1] for line in config.splitlines() if line.startswith("url = "))
    mia = await Bus.connect(
        url, load_nkey_seed(home / "follower.nkey"), subjects.inbox_prefix("mia"), "mia-too"
    )
    head = (await last_beat(mia, public_key)).envelope
    await mia.close()
    other = "ab" * 32
    message = Heartbeat(
        head_seq=head.seq,
        head_hash=other,
        mode="live",
        program_version="test",
        sent_ms=time.time_ns() // 1_000_000 + 60_000,
    )
    wire = seal(
        load_signing_key(leaders / "keys" / "zoe.signing"),
        kind="heartbeat",
        leader_id="zoe",
        epoch=head.epoch,
        seq=head.seq,
        prev_hash=other,
        payload=encode_payload(message),
    )
    thief = await Bus.connect(
        url, load_nkey_seed(leaders / "keys" / "zoe.nk"), subjects.inbox_prefix("zoe"), "thief"
    )
    await thief.publish(subjects.beat("zoe"), wire)
    await thief.close()
