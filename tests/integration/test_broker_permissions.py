"""Attacks on the feed by people who have a valid key: what each tries must change nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from follower_client.twin import MARK_BYTES, TOKEN_CHARS, Running, TwinWatch
from relay import broker_config
from relay.broker_config import ADMIN, SYSTEM
from relay.keys import create_nkey, load_nkey_seed
from relay.nats_bus import Bus, BusError, BusMessage, BusTimeout, BusUnavailable, NotPermitted
from relay.protocol import subjects
from relay.protocol.feed import FeedReader
from tests.integration.broker_room import Room, eventually, refused, running_room, settle
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
            "_INBOX_eve.instance", "_INBOX_eve.instance.x", "_INBOX_bob.x", "_INBOX_bob.instance",
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
            told = " ".join(complaints)
            for subject in targets:
                named = refused(subject) if name == "bob" else subject.lower()
                assert f'permissions violation for publish to "{named}"' in told, subject
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


ASKED = (
    ("$JS.API.DIRECT.GET.SIGNALS_alice", b'{"seq":1}'),
    ("$JS.API.DIRECT.GET.SIGNALS_alice", b'{"seq":1,"batch":5}'),
    ("$JS.API.DIRECT.GET.SIGNALS_alice", b'{"last_by_subj":"signals.alice"}'),
    ("$JS.API.DIRECT.GET.SIGNALS_alice", b'{"seq":99}'),
    ("$JS.API.DIRECT.GET.SIGNALS_alice", b"nonsense"),
    ("history.SIGNALS_alice", b'{"seq":1}'),
    ("history.SIGNALS_alice", b'{"seq":1,"batch":5}'),
    ("$JS.API.DIRECT.GET.KEYS.keys.alice.1.bob", b""),
    ("reports.alice.bob", b"mine"),
    ("leave.alice.bob", b"{}"),
)
NOT_HIS = (
    "feed.alice", "feed.carol", "beat.alice", "beat.carol", "feed.*", "beat.*", "feed.>", "*.carol",
    "nowhere.feed.carol", "signals.alice", "signals.carol", "reports.alice.eve", "reports.carol.dave",
    "keys.alice.1.eve", "keys.carol.1.dave", "members.carol", "market.carol", "profile.carol",
    "leave.carol.dave", "leave.alice.eve", "join.invite1", "$KV.plans.carol", "history.SIGNALS_carol",
    "$JS.API.INFO",
    "$JS.API.DIRECT.GET.SIGNALS_carol", "$JS.API.STREAM.PURGE.SIGNALS_carol", "$SYS.REQ.SERVER.PING",
    "_R_.x", "_INBOX_alice.x", "_INBOX_carol.x",
)  # fmt: skip


async def test_an_answer_sent_to_a_feed_is_heard_by_nobody(tmp_path: Path) -> None:
    """All that a follower may ask, answered at all that he may not write on: as reply, and as a trace. What a
    leader may ask of it reaches no follower and not the relay either.
    """
    async with running_room(tmp_path) as room:
        await seed_streams(room)
        listening = {who: (f"feed.{of}", f"beat.{of}") for who, of in (("dave", "carol"), ("eve", "alice"))}
        clients = {name: await room.attacker(name, []) for name in (*listening, "bob", "alice")}
        monitor, heard = await room.broker.connect(), list[tuple[str, bytes]]()

        async def hear(message: Msg | BusMessage) -> None:
            heard.append((message.subject, message.data))

        for name, targets in listening.items():
            for subject in (*targets, f"_INBOX_{name}.>"):
                await clients[name].subscribe(subject, cb=hear)
            await settle(clients[name])
        for subject in ("feed.*", "beat.*"):
            await monitor.subscribe(subject, hear)
        for subject, body in ASKED:
            for target in NOT_HIS:
                await clients["bob"].publish(subject, body, reply=target)
                await clients["bob"].publish(subject, body, headers={"Nats-Trace-Dest": target})
                await clients["alice"].publish(subject, body, reply=target)
        await settle_streams(room, clients["bob"], clients["alice"])
        carol = await room.bus("carol")
        assert await carol.publish_signal("carol", b"carol3", 2, "carol.1.3") == 3
        await carol.publish("beat.carol", b"beat")
        await eventually(lambda: heard.count(("beat.carol", b"beat")) == 2)
        for client in clients.values():
            await settle(client)
        assert sorted(heard) == [("beat.carol", b"beat")] * 2 + [("feed.carol", b"carol3")] * 2
        assert await room.stored("alice") == [(1, b"alice1"), (2, b"alice2")]
        assert {data for _, data in await reports_stored(room)} == {b"mine", b"last"}
        await asyncio.gather(monitor.close(), carol.close(), *(client.close() for client in clients.values()))


async def test_an_answer_sent_into_anothers_inbox_changes_nothing_he_reads(tmp_path: Path) -> None:
    """The address has 64 bits of chance in it. Whoever had it could send there what he may read himself."""
    async with running_room(tmp_path) as room:
        chain = samples.chain_of(40)
        alice, eve, bob = await room.bus("alice"), await room.bus("eve"), await room.attacker("bob", [])
        for seq, wire in enumerate(chain.wires, 1):
            await alice.publish_signal("alice", wire, seq - 1, f"alice.7.{seq}")
        for guess in ("_INBOX_eve.1", "_INBOX_eve.x.1", "_INBOX_eve.*.1", "_INBOX_eve.>", "_INBOX_eve"):
            await bob.publish("history.SIGNALS_alice", b'{"seq":1,"batch":9}', reply=guess)
        await settle(bob)
        system = await room.broker.connect(SYSTEM)
        row = await row_of(system, "eve")
        assert row["out_msgs"] == 0
        (inbox,) = row["subscriptions_list"]
        reader, asked = FeedReader("alice", samples.PUBLIC), 0
        while reader.last_seq < 40:
            asked += 1
            for seq in (1, 38, 7):
                body = json.dumps({"seq": seq, "batch": 3}).encode()
                await bob.publish("history.SIGNALS_alice", body, reply=inbox.replace("*", str(asked)))
            await bob.flush()
            with suppress(BusError):  # what was no answer to this question
                rows = await eve.fetch_range(subjects.stream("alice"), reader.last_seq + 1, 8)
                reader.receive_history(rows)
            assert asked < 100
        assert reader.locked is None
        await asyncio.gather(alice.close(), eve.close(), bob.close(), system.close())


async def test_a_leader_and_a_follower_of_his_pause_nobody_else(tmp_path: Path) -> None:
    """What the leader stored is sent where a follower's programs tell one another that they run."""
    async with running_room(tmp_path) as room:
        alice, dave, bob = await room.bus("alice"), await room.bus("dave"), await room.attacker("bob", [])
        said, told = msgspec.json.encode(Running(0, "elsewhere")), list[str]()
        for seq, stored in enumerate((said, bytes(MARK_BYTES) + said), 1):
            await alice.publish_signal("alice", stored, seq - 1, f"alice.1.{seq}")
        first = TwinWatch(dave, "dave", room.seed("dave"), told.append)
        await first.start()
        system = await room.broker.connect(SYSTEM)
        (address,) = (
            one for one in (await row_of(system, "dave"))["subscriptions_list"] if "instance" in one
        )

        async def sent_to(*targets: str) -> int:
            """How many of two answers for each of these reached dave."""
            before = (await row_of(system, "dave"))["out_msgs"]
            for target in targets:
                await bob.publish("history.SIGNALS_alice", b'{"seq":1,"batch":2}', reply=target)
            await settle(bob)
            await bob.request("history.SIGNALS_alice", b'{"seq":1}', timeout=5)
            return int((await row_of(system, "dave"))["out_msgs"]) - int(before)

        guesses = ("", ".x", ".*", ".>", "." + "0" * TOKEN_CHARS)
        assert await sent_to(*(f"_INBOX_dave.instance{guess}" for guess in guesses)) == 0
        assert await sent_to(address) > 0  # had he the address, a word would have to be dave's own
        await dave.fetch_range(subjects.stream("carol"), 1, 1)
        assert told == []
        second = TwinWatch(dave, "dave", room.seed("dave"), told.append)
        await second.start()
        await eventually(lambda: len(told) == 1)
        await asyncio.gather(alice.close(), dave.close(), bob.close(), system.close())


async def row_of(system: Bus, name: str) -> dict[str, Any]:
    """What the broker knows of a connection."""
    answer = await system.api("$SYS.REQ.SERVER.PING.CONNZ", {"auth": True, "subscriptions": True})
    return next(one for one in answer["data"]["connections"] if one.get("name") == name)


async def test_answers_lost_to_anothers_wildcard_cost_time_and_no_signal(tmp_path: Path) -> None:
    """nats-server forgets whom answers are for when one goes to a wildcard that their address fits."""
    async with running_room(tmp_path) as room:
        chain, heard = samples.chain_of(60), list[bytes]()
        alice, eve, bob = await room.bus("alice"), await room.bus("eve"), await room.attacker("bob", [])

        async def hear(message: BusMessage) -> None:
            heard.append(message.data)

        async def flood() -> None:
            while True:
                for target in (">", "_INBOX_eve.>"):
                    await bob.publish("history.SIGNALS_alice", b'{"seq":1}', reply=target)
                await bob.flush()
                await asyncio.sleep(0.005)

        await eve.subscribe("feed.alice", hear)
        flooding = asyncio.create_task(flood())
        for seq, wire in enumerate(chain.wires, 1):
            await alice.publish_signal("alice", wire, seq - 1, f"alice.7.{seq}")
        reader = FeedReader("alice", samples.PUBLIC)
        async with asyncio.timeout(30):
            while reader.last_seq < 60:
                with suppress(BusTimeout):
                    rows = await eve.fetch_range(
                        subjects.stream("alice"), reader.last_seq + 1, 20, timeout_s=0.1
                    )
                    reader.receive_history(rows)
        flooding.cancel()
        await eventually(lambda: heard == chain.wires)
        await asyncio.gather(flooding, alice.close(), eve.close(), bob.close(), return_exceptions=True)


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
