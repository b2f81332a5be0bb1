"""Attacks on the feed by people who have a valid key: what each tries must change nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from relay import broker_config
from relay.broker_config import ADMIN
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusError, BusMessage, BusUnavailable, NotPermitted
from relay.protocol import subjects
from relay.protocol.feed import FeedReader, Rejected
from tests.integration.broker_room import Room, running_room, settle
from tests.unit.relay import feed_samples as samples

pytestmark = pytest.mark.asyncio


async def seed_streams(room: Room) -> None:
    """Two messages of each leader."""
    for leader in ("alice", "carol"):
        bus = await room.bus(leader)
        for seq in (1, 2):
            await bus.publish_signal(leader, f"{leader}{seq}".encode(), seq - 1, f"{leader}.1.{seq}")
        await bus.close()


async def test_nobody_publishes_where_he_may_not(tmp_path: Path) -> None:
    forbidden = {
        "bob": [
            "signals.alice", "feed.alice", "beat.alice", "reports.alice.eve", "reports.carol.bob",
            "reports.alice", "$JS.API.STREAM.PURGE.SIGNALS_alice", "$JS.API.STREAM.DELETE.SIGNALS_alice",
            "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.SIGNALS_alice",
            "$JS.API.STREAM.MSG.DELETE.SIGNALS_alice", "$JS.API.CONSUMER.CREATE.SIGNALS_alice",
            "$JS.API.CONSUMER.MSG.NEXT.REPORTS.monitor", "$JS.API.DIRECT.GET.SIGNALS_carol",
            "$JS.API.DIRECT.GET.REPORTS",
            "$JS.API.DIRECT.GET.SIGNALS_alice.signals.alice", "$SYS.REQ.SERVER.PING", "_INBOX_eve.x",
            "_INBOX_eve.instance", "_INBOX_bob.x",
        ],
        "alice": [
            "signals.carol", "feed.alice", "feed.carol", "beat.carol", "reports.alice.bob",
            "$JS.API.DIRECT.GET.SIGNALS_carol", "$JS.API.STREAM.PURGE.SIGNALS_alice", "$JS.API.INFO",
        ],
    }  # fmt: skip
    async with running_room(tmp_path) as room:
        await seed_streams(room)
        for name, targets in forbidden.items():
            complaints: list[str] = []
            client = await room.attacker(name, complaints)
            for subject in targets:
                await client.publish(subject, b"forged")
            await settle(client)
            for subject in targets:
                assert f'permissions violation for publish to "{subject.lower()}"' in " ".join(complaints), (
                    subject
                )
            await client.close()
        assert await room.stored("alice") == [(1, b"alice1"), (2, b"alice2")]
        assert await room.stored("carol") == [(1, b"carol1"), (2, b"carol2")]


async def test_nobody_hears_what_he_may_not(tmp_path: Path) -> None:
    forbidden = {
        "bob": [
            ">", "*", "feed.*", "feed.>", "feed.carol", "beat.*", "beat.carol", "signals.alice", "_INBOX.>",
            "_INBOX_eve.>", "_INBOX_alice.>", "reports.>", "$SYS.>", "$JS.>",
        ],
        "alice": ["signals.>", "feed.alice", "feed.>", "reports.alice.*", "_INBOX_carol.>", "_INBOX_bob.>",
                  "beat.carol", "beat.*", "beat.>"],
    }  # fmt: skip
    async with running_room(tmp_path) as room:
        heard: list[Msg] = []

        async def hear(message: Msg) -> None:
            heard.append(message)

        for name, targets in forbidden.items():
            complaints: list[str] = []
            client = await room.attacker(name, complaints)
            for subject in targets:
                await client.subscribe(subject, cb=hear)
                await client.subscribe(subject, queue="q", cb=hear)
            await settle(client)
            for subject in targets:
                assert f'violation for subscription to "{subject.lower()}"' in " ".join(complaints), subject
            await seed_streams(room) if name == "bob" else None
            eve = await room.bus("eve")
            await eve.publish_report("alice", "eve", b"r", f"eve-{name}")
            await eve.close()
            await settle(client)
            assert heard == []
            await client.close()


async def test_a_reply_subject_writes_into_no_stream(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        await seed_streams(room)
        complaints: list[str] = []
        bob = await room.attacker("bob", complaints)
        alice = await room.attacker("alice", complaints)
        for target in ("signals.carol", "signals.alice", "reports.alice.eve", "reports.carol.dave"):
            for body in ({"seq": 1}, {"seq": 1, "batch": 5}, {"last_by_subj": "signals.alice"}):
                data = json.dumps(body).encode()
                await bob.publish("$JS.API.DIRECT.GET.SIGNALS_alice", data, reply=target)
                await alice.publish("$JS.API.DIRECT.GET.SIGNALS_alice", data, reply=target)
            await bob.publish("reports.alice.bob", b"mine", reply=target)
            wrong = {"Nats-Expected-Last-Sequence": "99"}
            await alice.publish("signals.alice", b"refused", reply=target, headers=wrong)
        await settle_streams(room, bob, alice)
        assert await room.stored("alice") == [(1, b"alice1"), (2, b"alice2")]
        assert await room.stored("carol") == [(1, b"carol1"), (2, b"carol2")]
        carol = await room.bus("carol")
        assert await carol.publish_signal("carol", b"carol3", 2, "carol.1.3") == 3
        assert await reports_stored(room) == [("bob", b"mine")] * 4 + [("bob", b"last")]
        for client in (bob, alice):
            await client.close()
        await carol.close()


async def settle_streams(room: Room, bob: Client, alice: Client) -> None:
    """Whatever was asked of the streams before has had its effect: each has answered something later."""
    for client in (bob, alice):
        await settle(client)
        await client.request("$JS.API.DIRECT.GET.SIGNALS_alice", b'{"seq":1}', timeout=5)
    wrong = {"Nats-Expected-Last-Sequence": "99"}
    await alice.request("signals.alice", b"refused", headers=wrong, timeout=5)
    await bob.request("reports.alice.bob", b"last", timeout=5)


async def reports_stored(room: Room) -> list[tuple[str, bytes]]:
    admin = await room.broker.connect(ADMIN)
    info = await admin.api("$JS.API.STREAM.INFO.REPORTS", {})
    monitor, found = await room.broker.connect(), []
    async for delivery in monitor.consume_reports("monitor"):
        await delivery.ack()
        found.append((delivery.follower_id, delivery.data))
        if len(found) == info["state"]["messages"]:
            break
    await asyncio.gather(admin.close(), monitor.close())
    return found


async def test_what_a_co_follower_can_inject_is_dropped_by_the_reader(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(3)
        alice = await room.bus("alice")
        got: list[BusMessage] = []
        eve = await room.bus("eve")
        arrived = asyncio.Event()

        async def hear(message: BusMessage) -> None:
            got.append(message)
            if len(got) >= 5:
                arrived.set()

        await eve.subscribe("feed.alice", hear)
        for seq, wire in enumerate(chain.wires, 1):
            await alice.publish_signal("alice", wire, seq - 1, f"alice.7.{seq}")
        bob = await room.attacker("bob", [])
        for seq in (1, 2):
            body = json.dumps({"seq": seq}).encode()
            await bob.publish("$JS.API.DIRECT.GET.SIGNALS_alice", body, reply="feed.alice")
        await asyncio.wait_for(arrived.wait(), 5)
        reader = FeedReader("alice", samples.PUBLIC)
        events = [event for message in got for event in reader.receive(message.data, message.seq or 0)]
        assert len(events) == 3
        assert not any(isinstance(event, Rejected) for event in events)
        assert reader.last_seq == 3
        for client in (alice, eve):
            await client.close()
        await bob.close()


async def test_a_stranger_is_not_let_in(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        create_nkey(tmp_path / "mallory.nk")
        seed = load_nkey_seed(tmp_path / "mallory.nk")
        for key in (seed, None):
            with pytest.raises(BusUnavailable) as caught:
                await Bus.connect(room.broker.url, key, "_INBOX_bob", "mallory", timeout_s=1)
            assert "not one of its users" in str(caught.value)
        with pytest.raises(NotPermitted):
            await Bus.connect(room.broker.url, room.seed("bob"), "_INBOX_eve", "bob", timeout_s=1)


async def test_a_refusal_is_told_at_once_and_names_the_subject(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bob = await room.bus("bob")
        with pytest.raises(NotPermitted, match="signals_carol"):
            await bob.fetch_range(subjects.stream("carol"), 1, 5, timeout_s=30)
        with pytest.raises(NotPermitted, match=r"reports\.alice\.eve"):
            await bob.publish_report("alice", "eve", b"x", "x", timeout_s=30)

        async def ignore(_: BusMessage) -> None:
            return

        with pytest.raises(NotPermitted, match=r"feed\.carol"):
            await bob.subscribe(subjects.feed("carol"), ignore)
        await bob.close()


async def test_history_cannot_be_rewritten_even_by_the_owner(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        await seed_streams(room)
        admin = await room.broker.connect(ADMIN)
        for subject, body in (
            ("$JS.API.STREAM.MSG.DELETE.SIGNALS_alice", {"seq": 1}),
            ("$JS.API.STREAM.PURGE.SIGNALS_alice", {}),
        ):
            with pytest.raises(BusError):
                await admin.api(subject, body)
        alice = await room.attacker("alice", [])
        answer = await alice.request("signals.alice", b"x", headers={"Nats-Rollup": "all"}, timeout=2)
        assert "error" in json.loads(answer.data)
        assert await room.stored("alice") == [(1, b"alice1"), (2, b"alice2")]
        await admin.close()
        await alice.close()


async def test_a_message_beyond_the_limit_is_not_taken(tmp_path: Path) -> None:
    async with running_room(tmp_path) as room:
        bob = await room.attacker("bob", [])
        with pytest.raises(nats.errors.MaxPayloadError):
            await bob.publish("reports.alice.bob", b"x" * (64 * 1024 + 1))
        alice = await room.attacker("alice", [])
        answer = await alice.request("signals.alice", b"x" * (21 * 1024), timeout=2)
        assert "error" in json.loads(answer.data)
        await bob.close()
        await alice.close()


async def test_followers_cannot_take_all_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key may connect as often as it likes; leaders and the relay have connections of their own."""
    monkeypatch.setattr(broker_config, "FOLLOWERS_CONNECTIONS_MAX", 20)
    monkeypatch.setattr(broker_config, "OTHERS_CONNECTIONS_MAX", 20)
    async with running_room(tmp_path) as room, AsyncExitStack() as held:
        complaints: list[str] = []
        for _ in range(20):
            held.push_async_callback((await room.attacker("bob", complaints)).close)
        with pytest.raises((nats.errors.Error, OSError, TimeoutError)):
            await asyncio.wait_for(room.attacker("bob", complaints), 5)
        alice = await room.bus("alice")
        await alice.publish_signal("alice", b"alice1", 0, "alice.1.1")
        await alice.close()
