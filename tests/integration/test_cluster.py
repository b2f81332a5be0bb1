"""The same feed on three servers: durability checked on each, one server lost and back, rights asked for by
callout, a move from the embedded broker that loses no number.
"""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from relay.admission import People
from relay.broker_config import ADMIN, FollowerUser, LeaderUser
from relay.errors import Failed
from relay.keys import create_nkey, load_nkey_seed
from relay.moving import move_leader
from relay.nats_bus import Bus, BusError, BusMessage, BusUnavailable, NotPermitted
from relay.outbox import Outbox
from relay.protocol import subjects
from relay.protocol.feed import Accepted, FeedReader
from relay.protocol.messages import Snapshot
from relay.protocol.signing import key_id_of
from relay.publisher import Publisher
from relay.streams import Retention, check_durable, find_open_feeds
from tests.integration.broker_room import SIGNING_KEY, eventually, refused, running_room, settle
from tests.integration.cluster_room import FOLLOWERS, LEADERS, NAMES, Cluster, running_cluster
from tests.integration.test_publisher_on_broker import failure
from tests.integration.test_two_publishers import backup
from tests.unit.relay import feed_samples as samples

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240), pytest.mark.system]

PUBLIC = bytes(SIGNING_KEY.verify_key).hex()


async def listen(bus: Bus, reader: FeedReader) -> list[int]:
    """The seqs that a follower accepts, live."""
    accepted: list[int] = []

    async def hear(message: BusMessage) -> None:
        for event in reader.receive(message.data, message.seq or 0):
            if isinstance(event, Accepted):
                accepted.append(event.envelope.seq)

    await bus.subscribe(subjects.feed("alice"), hear)
    return accepted


def publisher_of(folder: Path, bus: Bus) -> tuple[Publisher, Outbox]:
    key_id = key_id_of(SIGNING_KEY.verify_key)
    outbox = Outbox.open(folder / "outbox.sqlite", leader_id="alice", key_id=key_id)
    publisher = Publisher(
        leader_id="alice", signing_key=SIGNING_KEY, outbox=outbox, bus=bus, program_version="test"
    )
    return publisher, outbox


def say(publisher: Publisher, count: int) -> None:
    for number in range(count):
        publisher.record(
            lambda _, number=number: Snapshot(  # type: ignore[misc]
                positions=[], equity=str(number), account_leverage="0", sealed_ms=1
            )
        )


async def test_a_lost_server_loses_no_message_and_comes_back_in_step(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        system = await cluster.system()
        assert await check_durable(system) >= "2.14"
        await system.close()
        alice, bob = await cluster.bus("alice"), await cluster.bus("bob")
        reader = FeedReader("alice", PUBLIC)
        accepted = await listen(bob, reader)
        publisher, outbox = publisher_of(tmp_path, alice)
        await publisher.start()
        sending = asyncio.create_task(publisher.run())
        say(publisher, 30)
        await eventually(lambda: publisher.unsent == 0, 30)
        for name in NAMES:  # each server in turn, whichever leads the stream
            await cluster.kill_node(name)
            say(publisher, 30)
            await eventually(lambda: publisher.unsent == 0, 60)
            await cluster.start_node(name)
            await cluster.in_step("alice", outbox.head.seq)
        last = outbox.head.seq
        for seq, wire in await bob.fetch_range(subjects.stream("alice"), reader.last_seq + 1, 1000):
            accepted += [e.envelope.seq for e in reader.receive(wire, seq) if isinstance(e, Accepted)]
        assert accepted == list(range(1, last + 1))
        assert reader.last_hash == outbox.head.chain_hash
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        outbox.close()
        await asyncio.gather(alice.close(), bob.close())


async def test_two_publishers_at_different_servers_never_interleave(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        buses = [await cluster.bus("alice", node=name) for name in ("a", "b")]
        first, outbox = publisher_of(tmp_path, buses[0])
        await first.start()
        sending = asyncio.create_task(first.run())
        say(first, 5)
        await eventually(lambda: first.unsent == 0, 30)
        (tmp_path / "copy").mkdir()
        backup(tmp_path / "outbox.sqlite", tmp_path / "copy" / "outbox.sqlite")
        second, copy = publisher_of(tmp_path / "copy", buses[1])
        with pytest.raises(Failed, match="another publisher of alice is running"):
            await second.start()
        assert not sending.done()
        await second.start(take_over=True)  # as if nobody had been heard
        racing = asyncio.create_task(second.run())
        for one in (first, second):
            say(one, 30)
        await eventually(lambda: sending.done() or racing.done(), 30)
        going, box = (second, copy) if sending.done() else (first, outbox)
        await eventually(lambda: going.unsent == 0, 30)
        ended = sending if sending.done() else racing
        assert "another publisher" in str(failure(ended.exception() or AssertionError()))
        bob, reader = await cluster.bus("bob", node="c"), FeedReader("alice", PUBLIC)
        rows = await bob.fetch_range(subjects.stream("alice"), 1, 1000)
        assert rows == [(one.seq, one.wire) for one in box.records(1, 1000)]
        assert all(isinstance(event, Accepted) for seq, wire in rows for event in reader.receive(wire, seq))
        for task in (sending, racing):
            task.cancel()
        await asyncio.gather(sending, racing, return_exceptions=True)
        outbox.close()
        copy.close()
        await asyncio.gather(bob.close(), *(bus.close() for bus in buses))


async def bare(cluster: Cluster, name: str, complaints: list[str], *, node: str = "a") -> Client:
    async def complain(error: Exception) -> None:
        complaints.append(str(error).lower())

    return await nats.connect(
        cluster.urls[NAMES.index(node)],
        nkeys_seed_str=load_nkey_seed(cluster.folder / f"{name}.nk"),
        inbox_prefix=f"_INBOX_{name}".encode(),
        error_cb=complain,
        allow_reconnect=False,
    )


async def test_rights_are_the_same_when_the_cluster_asks_for_them(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        chain = samples.chain_of(2)
        alice, complaints = await cluster.bus("alice", node="b"), list[str]()
        bob = await bare(cluster, "bob", complaints)
        heard: list[bytes] = []

        async def hear(message: object) -> None:
            heard.append(message.data)  # type: ignore[attr-defined]

        await bob.subscribe("feed.alice", cb=hear)
        await settle(bob)
        for seq, wire in enumerate(chain.wires, 1):
            await alice.publish_signal("alice", wire, seq - 1, f"alice.7.{seq}", timeout_s=10)
        await eventually(lambda: heard == chain.wires, 20)
        await cluster.broker.keep_keys_of("alice")
        await alice.publish_group_key("alice", 1, "bob", b"wrapped")
        member = await cluster.bus("bob", node="c")
        assert await member.fetch_group_key("alice", 1, "bob") == b"wrapped"
        own = await cluster.broker.connect(ADMIN)
        state = (await own.api("$JS.API.STREAM.INFO.KEYS_alice", {}, timeout_s=10))["state"]
        assert state["messages"] == 1  # in the leader's own stream
        await asyncio.gather(member.close(), own.close())
        forbidden = [
            "signals.alice", "signals.carol", "feed.alice", "reports.alice.eve", "reports.carol.bob",
            "beat.alice", "$JS.API.DIRECT.GET.SIGNALS_carol", "$JS.API.STREAM.PURGE.SIGNALS_alice",
            "$SYS.REQ.USER.AUTH",
        ]  # fmt: skip
        for subject in forbidden:
            await bob.publish(subject, b"forged")
        for subject in (">", "feed.carol", "reports.>", "$SYS.>", "_INBOX_eve.>"):
            await bob.subscribe(subject, cb=hear)
        await settle(bob)
        told = " ".join(complaints)
        assert all(f'for publish to "{refused(subject)}"' in told for subject in forbidden), told
        assert told.count("violation for subscription") == 5
        await no_answer_reaches_a_feed(cluster, bob)
        admin = await cluster.broker.connect(ADMIN)
        for stream in ("SIGNALS_carol", "REPORTS"):
            info = await admin.api(f"$JS.API.STREAM.INFO.{stream}", {}, timeout_s=10)
            assert info["state"]["messages"] == 0
        create_nkey(tmp_path / "mallory.nk")
        seed = load_nkey_seed(tmp_path / "mallory.nk")
        with pytest.raises(BusUnavailable, match="not one of its users"):
            await Bus.connect(cluster.urls, seed, "_INBOX_bob", "mallory", timeout_s=2)
        with pytest.raises(NotPermitted):
            await Bus.connect(cluster.urls, load_nkey_seed(tmp_path / "bob.nk"), "_INBOX_eve", "bob")
        await asyncio.gather(alice.close(), admin.close(), bob.close())


async def no_answer_reaches_a_feed(cluster: Cluster, bob: Client) -> None:
    """He asks at one server, the others listen at another: what he has sent there is heard by nobody."""
    heard: list[tuple[str, bytes]] = []

    async def hear(message: Msg) -> None:
        heard.append((message.subject, message.data))

    eve, dave = await bare(cluster, "eve", [], node="c"), await bare(cluster, "dave", [], node="c")
    feeds = [(eve, "feed.alice"), (eve, "beat.alice"), (dave, "feed.carol"), (dave, "beat.carol")]
    for client, subject in feeds:
        await client.subscribe(subject, cb=hear)
        await settle(client)
    for subject in ("$JS.API.DIRECT.GET.SIGNALS_alice", "history.SIGNALS_alice"):
        for target in (*(target for _, target in feeds), "signals.carol", "reports.alice.eve"):
            for body in (b'{"seq":1}', b'{"seq":1,"batch":2}'):
                await bob.publish(subject, body, reply=target)
        assert (await bob.request(subject, b'{"seq":1}', timeout=5)).data
    carol = await cluster.bus("carol", node="b")
    await carol.publish("beat.carol", b"beat")
    await eventually(lambda: ("beat.carol", b"beat") in heard)
    for client in (eve, dave):
        await settle(client)
    assert heard == [("beat.carol", b"beat")]
    await asyncio.gather(eve.close(), dave.close(), carol.close())


async def test_who_is_put_out_is_cut_off_on_every_server(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        there = [await bare(cluster, "bob", [], node=name) for name in NAMES]
        eve = await bare(cluster, "eve", [], node="c")
        await cluster.broker.change_users(
            [LeaderUser(name, cluster.public[name]) for name in LEADERS],
            [
                FollowerUser(name, cluster.public[name], leaders)
                for name, leaders in FOLLOWERS.items()
                if name != "bob"
            ],
            [],
        )
        await eventually(lambda: not any(client.is_connected for client in there))
        assert eve.is_connected
        with pytest.raises(BusUnavailable, match="not one of its users"):
            await cluster.bus("bob")
        for client in (*there, eve):
            await client.close()


async def test_who_is_put_out_while_his_server_is_frozen_hears_nothing_when_it_wakes(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        bob, eve = await bare(cluster, "bob", [], node="c"), await bare(cluster, "eve", [], node="c")
        left = {name: leaders for name, leaders in FOLLOWERS.items() if name != "bob"}
        people: People = (
            [LeaderUser(name, cluster.public[name]) for name in LEADERS],
            [FollowerUser(name, cluster.public[name], leaders) for name, leaders in left.items()],
            [],
        )
        cluster.processes["c"].send_signal(signal.SIGSTOP)
        try:
            with suppress(BusError):  # the relay's own connection may be at this server
                await cluster.broker.change_users(*people)
        finally:
            cluster.processes["c"].send_signal(signal.SIGCONT)
        await cluster.broker.change_users(*people)  # as it is repeated; nothing is new in it
        await eventually(lambda: not bob.is_connected, 30)
        assert eve.is_connected
        for client in (bob, eve):
            await client.close()


async def test_a_server_that_does_not_sync_or_whose_feeds_are_open_is_found(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        system = await cluster.system()
        assert await find_open_feeds(system) == []
        await system.close()
        await cluster.kill_node("b")
        config = json.loads((tmp_path / "b.conf").read_text())
        config["jetstream"]["sync_interval"] = "1m"
        del config["accounts"]["FOLLOWERS"]["mappings"]
        (tmp_path / "b.conf").write_text(json.dumps(config))
        await cluster.start_node("b")
        system = await cluster.system()

        async def is_found() -> bool:
            try:
                await check_durable(system)
            except Failed as error:
                return "server b" in str(error)
            return False

        async with asyncio.timeout(30):
            while not await is_found():  # noqa: ASYNC110 - the server comes up when it does
                await asyncio.sleep(0.3)
        assert await find_open_feeds(system) == ["b"]
        await system.close()


async def test_a_move_from_the_embedded_broker_keeps_every_number(tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()
    (tmp_path / "cluster").mkdir()
    async with running_room(tmp_path / "embedded") as room, running_cluster(tmp_path / "cluster") as cluster:
        alice = await room.bus("alice")
        publisher, outbox = publisher_of(tmp_path, alice)
        await publisher.start()
        sending = asyncio.create_task(publisher.run())
        say(publisher, 700)
        await eventually(lambda: publisher.unsent == 0, 60)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await alice.close()
        old, new = await room.broker.connect(ADMIN), await cluster.broker.connect(ADMIN)
        retention = Retention(replicas=3)
        await new.api("$JS.API.STREAM.DELETE.SIGNALS_alice", {}, timeout_s=10)
        told: list[int] = []

        def stop_once(seq: int) -> None:
            told.append(seq)
            if len(told) == 1:
                raise KeyboardInterrupt  # the copy breaks off and is started again

        with pytest.raises(KeyboardInterrupt):
            await move_leader(old, new, "alice", retention, stop_once)
        moved = await move_leader(old, new, "alice", retention)
        assert (moved.first_seq, moved.last_seq) == (1, outbox.head.seq)
        stream = subjects.stream("alice")
        assert await new.fetch_range(stream, 1, 5000) == await old.fetch_range(stream, 1, 5000)

        there = await cluster.bus("alice")  # the publisher goes on behind the same outbox
        again = Publisher(
            leader_id="alice", signing_key=SIGNING_KEY, outbox=outbox, bus=there, program_version="test"
        )
        await again.start()
        sending = asyncio.create_task(again.run())
        say(again, 5)
        await eventually(lambda: again.unsent == 0, 30)
        reader = FeedReader("alice", PUBLIC)
        bob = await cluster.bus("bob")
        rows = await bob.fetch_range(stream, 1, 5000)
        events = [event for seq, wire in rows for event in reader.receive(wire, seq)]
        assert all(isinstance(event, Accepted) for event in events)
        assert reader.last_seq == moved.last_seq + 6
        with pytest.raises(Failed, match="in use already"):
            await move_leader(old, new, "alice", retention)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        outbox.close()
        await asyncio.gather(old.close(), new.close(), there.close(), bob.close())
