"""Attacks on leaders' profiles by people who have a valid key, on a running broker with its admission: who
joins is shown what the leader himself said last.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.signing import SigningKey
from nats.aio.client import Client
from nats.aio.msg import Msg

from relay.broker_config import ADMIN
from relay.nats_bus import NotPermitted
from relay.protocol import subjects
from relay.protocol.documents import sign_document
from relay.protocol.feed import FeedReader, Rejected
from relay.protocol.messages import KeyLink
from relay.protocol.profile import PROFILE_BYTES_MAX, Profile, ProfileAnswer, sign_profile
from relay.protocol.signing import link_keys
from tests.integration.broker_room import Room, settle
from tests.integration.test_admission import Door, door
from tests.unit.relay import feed_samples as samples

pytestmark = pytest.mark.asyncio

ALICE, CAROL, NEXT = samples.KEY, samples.OTHER_KEY, SigningKey(b"\x09" * 32)
CAROL_PUBLIC = bytes(CAROL.verify_key).hex()
NEXT_PUBLIC = bytes(NEXT.verify_key).hex()


def profile(
    leader: str, key: SigningKey, issued_ms: int, *, text: str = "mine", keys: tuple[KeyLink, ...] = ()
) -> bytes:
    return sign_profile(key, Profile(leader_id=leader, issued_ms=issued_ms, text=text, keys=list(keys)))


async def hand_in(client: Client, leader: str, document: bytes) -> str:
    """What the relay answers, as the leader's own publisher asks; empty: taken."""
    answer = await client.request(subjects.profile(leader), document, timeout=5)
    return msgspec.json.decode(answer.data, type=ProfileAnswer).error


async def both_told(here: Door) -> tuple[Client, Client]:
    """Two leaders who have said what they are, at 1000."""
    alice, carol = await here.room.attacker("alice", []), await here.room.attacker("carol", [])
    assert await hand_in(alice, "alice", profile("alice", ALICE, 1000)) == ""
    assert await hand_in(carol, "carol", profile("carol", CAROL, 1000)) == ""
    return alice, carol


def shown(here: Door) -> list[bytes]:
    return [(here.registry.profile(name) or "").encode() for name in ("alice", "carol")]


TOLD = [profile("alice", ALICE, 1000), profile("carol", CAROL, 1000)]


async def close(*clients: Any) -> None:
    await asyncio.gather(*(client.close() for client in clients))


async def test_nobody_hands_in_or_hears_anothers_profile(tmp_path: Path) -> None:
    everywhere = ["profile.alice", "profile.carol", "profile.bob", "profile.zoe", "profile.*", "profile.>"]
    async with door(tmp_path) as here:
        leaders = await both_told(here)
        invite = here.invite()
        await here.applied()
        newer = profile("alice", ALICE, 2000)  # the leader's own word, in hands that are not his
        for name in ("bob", "dave", "alice", "carol", invite.invite_id):
            complaints: list[str] = []
            heard: list[Msg] = []
            client = await here.room.attacker(name, complaints)
            forbidden = [subject for subject in everywhere if subject != f"profile.{name}"]
            if name == "bob":
                forbidden.append("profile.bob")

            async def hear(message: Msg, heard: list[Msg] = heard) -> None:
                heard.append(message)

            for subject in forbidden:
                await client.publish(subject, newer, reply=f"_INBOX_{name}.x")
            for subject in everywhere:
                await client.subscribe(subject, cb=hear)
                await client.subscribe(subject, queue="q", cb=hear)
            await settle(client)
            told = " ".join(complaints)
            for subject in forbidden:
                assert f'violation for publish to "{subject}"' in told, (name, subject)
            for subject in everywhere:
                assert f'violation for subscription to "{subject}"' in told, (name, subject)
            assert await hand_in(leaders[1], "carol", TOLD[1]) == ""  # said again, and heard by nobody
            await settle(client)
            assert heard == []
            await client.close()
        assert shown(here) == TOLD
        bob = await here.room.bus("bob")
        with pytest.raises(NotPermitted, match=r"profile\.alice"):
            await bob.request(subjects.profile("alice"), newer)
        await close(*leaders, bob)


async def test_a_forged_or_old_profile_is_refused_with_a_word(tmp_path: Path) -> None:
    """A leader who may hand in his own tries what he has no signature for."""
    payload = TOLD[0].partition(b"\n")[2]
    twice = payload.replace(b'"text":"mine"', b'"text":"mine","text":"yours"')
    forged = [
        TOLD[1],  # another leader's, well signed
        profile("alice", CAROL, 2000),
        profile("carol", ALICE, 2000),
        sign_document(CAROL, b"leader profile", "alice", payload),
        sign_document(ALICE, b"slippage statement", "alice", payload),
        sign_document(ALICE, b"leader profile", "alice", twice),
        sign_document(ALICE, b"leader profile", "alice", payload[:-1] + b',"statement":' + b"[" * 5000),
        TOLD[0].replace(b"mine", b"fine"),
        payload,
        b"",
        b"\xff" * 500,
        b"x" * (PROFILE_BYTES_MAX + 1),
        b"x" * 60_000,
    ]
    async with door(tmp_path) as here:
        alice, carol = await both_told(here)
        for document in forged:
            error = await hand_in(alice, "alice", document)
            assert error, document[:80]
            assert len(error) <= 500
        assert await hand_in(alice, "alice", profile("alice", ALICE, 999)) == "a newer one is here"
        assert shown(here) == TOLD
        newer = profile("alice", ALICE, 2000, text="newer")
        assert await hand_in(alice, "alice", newer) == ""
        assert shown(here) == [newer, TOLD[1]]
        await close(alice, carol)


async def test_who_has_a_key_that_was_passed_on_is_not_the_leader(tmp_path: Path) -> None:
    """The first key is pinned in invites for ever, so its word alone must not be enough after a rotation."""
    link = link_keys(ALICE, "alice", NEXT_PUBLIC, 7)
    another = link_keys(ALICE, "alice", CAROL_PUBLIC, 7)
    async with door(tmp_path) as here:
        alice, carol = await both_told(here)
        rotated = profile("alice", NEXT, 2000, keys=(link,))
        assert await hand_in(alice, "alice", rotated) == ""
        for stolen in (
            profile("alice", ALICE, 3000),
            profile("alice", CAROL, 3000, keys=(another,)),
            profile("alice", ALICE, 3000, keys=(link,)),
            profile("alice", NEXT, 3000),
        ):
            assert await hand_in(alice, "alice", stolen) != ""
        assert shown(here) == [rotated, TOLD[1]]
        again = profile("alice", NEXT, 3000, keys=(link,))
        assert await hand_in(alice, "alice", again) == ""
        assert shown(here) == [again, TOLD[1]]
        await close(alice, carol)


async def test_a_reply_subject_brings_no_profile_anywhere(tmp_path: Path) -> None:
    """The answer to a profile is written nowhere but to its asker; what others answer is no profile."""
    targets = [
        "signals.alice", "signals.carol", "feed.alice", "feed.carol", "beat.carol", "profile.carol",
        "members.carol", "market.carol", "$KV.plans.carol", "keys.carol.1.dave", "reports.alice.eve",
        "reports.carol.dave",
        "join.invite1", "_INBOX_carol.x", "_INBOX_dave.x", "_R_.x", "$JS.API.STREAM.PURGE.SIGNALS_carol",
    ]  # fmt: skip
    async with door(tmp_path) as here:
        alice, carol = await both_told(here)
        for leader in ("alice", "carol"):
            await here.room.broker.keep_keys_of(leader)
        leaked = profile("carol", CAROL, 5000, text="a draft that she never handed in")
        await carol.request("signals.carol", leaked, timeout=5)
        heard = await _eavesdrop(here.room)
        for number, target in enumerate(targets):
            document = profile("alice", ALICE, 2000 + number)
            await alice.publish(subjects.profile("alice"), document, reply=target)
        await alice.publish(subjects.profile("alice"), profile("alice", ALICE, 4000))  # to nobody: not taken
        await _have_carols_draft_brought(here.room, carol)
        await settle(alice)
        last = profile("alice", ALICE, 2000 + len(targets))
        assert await hand_in(alice, "alice", last) == ""
        assert shown(here) == [last, TOLD[1]]
        assert await here.room.stored("alice") == []
        assert await here.room.stored("carol") == [(1, leaked)]
        await _nothing_stored(here.room)
        await _all_rejected(heard)
        markets = b'{"step":"1","window_ms_max":9,"markets":{}}'
        bus = await here.room.bus("carol")  # her own questions are answered as before
        assert json.loads((await bus.request(subjects.market("carol"), markets)).data) == {"error": ""}
        await close(alice, carol, bus, *(client for client, _ in heard))


async def _have_carols_draft_brought(room: Room, carol: Client) -> None:
    """A stored message, an acknowledgement, a refusal: each sent on to where profiles are handed in."""
    dave, bob = await room.attacker("dave", []), await room.attacker("bob", [])
    for target in ("profile.carol", "profile.alice"):
        for body in (b'{"seq":1}', b'{"seq":1,"batch":5}', b'{"last_by_subj":"signals.carol"}'):
            await dave.publish("$JS.API.DIRECT.GET.SIGNALS_carol", body, reply=target)
            await dave.publish("history.SIGNALS_carol", body, reply=target)
            await carol.publish("$JS.API.DIRECT.GET.SIGNALS_carol", body, reply=target)
        await bob.publish("leave.alice.bob", b"{}", reply=target)
        wrong = {"Nats-Expected-Last-Sequence": "99"}
        await carol.publish("signals.carol", b"refused", reply=target, headers=wrong)
    for client in (dave, carol):
        await settle(client)
        await client.request("$JS.API.DIRECT.GET.SIGNALS_carol", b'{"seq":1}', timeout=5)
    await settle(bob)
    await close(dave, bob)


async def _eavesdrop(room: Room) -> list[tuple[Client, list[Msg]]]:
    """A follower of each leader, at what he may hear."""
    found: list[tuple[Client, list[Msg]]] = []
    for name, leader in (("eve", "alice"), ("dave", "carol")):
        client, heard = await room.attacker(name, []), list[Msg]()

        async def hear(message: Msg, heard: list[Msg] = heard) -> None:
            heard.append(message)

        for subject in (f"feed.{leader}", f"beat.{leader}", f"_INBOX_{name}.x"):
            await client.subscribe(subject, cb=hear)
        await settle(client)
        found.append((client, heard))
    return found


async def _all_rejected(eavesdroppers: list[tuple[Client, list[Msg]]]) -> None:
    """What reached a follower all the same is no leader's word to his reader."""
    for (client, heard), leader, key in zip(
        eavesdroppers, ("alice", "carol"), (samples.PUBLIC, CAROL_PUBLIC), strict=True
    ):
        await settle(client)
        reader = FeedReader(leader, key)
        for message in heard:
            assert not message.subject.startswith("_INBOX"), message
            read = reader.beat if message.subject.startswith("beat.") else None
            events = read(message.data) if read else reader.receive(message.data, 1)
            assert [type(event) for event in events] == [Rejected], message


async def _nothing_stored(room: Room) -> None:
    admin = await room.broker.connect(ADMIN)
    for stream in ("REPORTS", "KEYS_alice", "KEYS_carol"):
        info = await admin.api(f"$JS.API.STREAM.INFO.{stream}", {})
        assert info["state"]["messages"] == 0, stream
    await admin.close()
