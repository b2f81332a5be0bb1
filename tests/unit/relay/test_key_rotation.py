"""One leader, several keys in turn: who is believed when, whatever a reader has missed."""

from __future__ import annotations

import msgspec
import pytest
from nacl.signing import SigningKey

from relay.protocol.codec import Message
from relay.protocol.errors import BadSignature, WrongLeader
from relay.protocol.feed import Accepted, Beat, FeedReader, Locked, NeedGap, Rejected
from relay.protocol.keyring import KeyRing
from relay.protocol.messages import Heartbeat, KeyLink, Notice
from relay.protocol.signing import GENESIS_HASH, key_id_of, link_keys, verify_link
from tests.unit.relay import feed_samples as samples

FIRST, SECOND, THIRD, THIEF = (SigningKey(bytes([number]) * 32) for number in (7, 21, 22, 66))


def hex_of(key: SigningKey) -> str:
    return bytes(key.verify_key).hex()


class Rotating:
    """A leader who changes keys; `wires[n]` is seq n + 1."""

    def __init__(self) -> None:
        self.key = FIRST
        self.links: list[KeyLink] = []
        self.wires: list[bytes] = []
        self.hashes = [GENESIS_HASH]
        self.say(samples.notice())

    @property
    def seq(self) -> int:
        return len(self.wires)

    def say(self, message: Message | None = None) -> None:
        said = message or samples.signal(f"alice.7.{self.seq + 1}")
        frame = samples.sealed(said, self.seq + 1, self.hashes[-1], key=self.key)
        self.wires.append(frame.wire)
        self.hashes.append(frame.chain_hash)

    def rotate(self, new: SigningKey) -> None:
        link = link_keys(self.key, "alice", hex_of(new), self.seq + 2)
        self.say(Notice(notice="key_rotation", text="", sealed_ms=1, link=link))
        self.links.append(link)
        self.key = new

    def beat(self, sent_ms: int, links: list[KeyLink] | None = None) -> bytes:
        message = Heartbeat(
            head_seq=self.seq,
            head_hash=self.hashes[-1],
            mode="live",
            program_version="1",
            sent_ms=sent_ms,
            keys=self.links if links is None else links,
        )
        return samples.sealed(message, self.seq, self.hashes[-1], key=self.key).wire


def rotated() -> Rotating:
    leader = Rotating()
    leader.say()
    leader.rotate(SECOND)
    leader.say()
    leader.rotate(THIRD)
    leader.say()
    return leader


def test_who_hears_everything_follows_the_keys() -> None:
    leader, reader = rotated(), FeedReader("alice", hex_of(FIRST))
    for seq, wire in enumerate(leader.wires, 1):
        (event,) = reader.receive(wire, seq)
        assert isinstance(event, Accepted)
    assert reader.public_key == hex_of(THIRD)
    assert isinstance(reader.beat(leader.beat(1))[0], Beat)


def test_who_comes_later_with_the_first_key_learns_from_a_heartbeat() -> None:
    leader = rotated()
    reader = FeedReader("alice", hex_of(FIRST), leader.seq, leader.hashes[-1], last_epoch=7)
    leader.say()
    (early,) = reader.receive(leader.wires[-1], leader.seq)
    assert isinstance(early, Rejected)
    beat, gap = reader.beat(leader.beat(1))
    assert isinstance(beat, Beat)
    assert gap == NeedGap(leader.seq, 1)
    (event,) = reader.receive(leader.wires[-1], leader.seq)
    assert isinstance(event, Accepted)


def test_a_gap_that_holds_the_rotation_is_filled() -> None:
    leader, reader = rotated(), FeedReader("alice", hex_of(FIRST))
    reader.receive(leader.wires[0], 1)
    beat, gap = reader.beat(leader.beat(1))
    assert (isinstance(beat, Beat), gap) == (True, NeedGap(2, leader.seq - 1))
    events = [
        event for seq in range(2, leader.seq + 1) for event in reader.receive(leader.wires[seq - 1], seq)
    ]
    assert [type(event) for event in events] == [Accepted] * (leader.seq - 1)


def test_an_old_key_says_nothing_after_its_time() -> None:
    leader, reader = rotated(), FeedReader("alice", hex_of(FIRST))
    for seq, wire in enumerate(leader.wires, 1):
        reader.receive(wire, seq)
    for key in (FIRST, SECOND):
        leader.key = key
        forged = samples.sealed(
            samples.signal(f"alice.7.{leader.seq + 1}"), leader.seq + 1, leader.hashes[-1], key=key
        )
        (event,) = reader.receive(forged.wire, leader.seq + 1)
        assert isinstance(event, Rejected)
        (event,) = reader.beat(leader.beat(9))
        assert isinstance(event, Rejected)
    assert reader.locked is None


def test_a_new_key_says_nothing_before_its_time() -> None:
    leader = rotated()
    reader = FeedReader("alice", hex_of(FIRST))
    reader.beat(leader.beat(1))
    early = samples.sealed(samples.notice(), 1, GENESIS_HASH, key=THIRD)
    (event,) = reader.receive(early.wire, 1)
    assert isinstance(event, Rejected)


def test_one_key_passed_on_twice_locks_the_leader() -> None:
    leader, reader = rotated(), FeedReader("alice", hex_of(FIRST))
    reader.beat(leader.beat(1))
    other = link_keys(FIRST, "alice", hex_of(THIEF), 4)
    leader.key = THIRD
    (event,) = reader.beat(leader.beat(2, [other]))
    assert isinstance(event, Locked)
    assert event.reason == "equivocation"
    thief = Rotating()
    thief.key, thief.links = THIEF, [other]
    second = FeedReader("alice", hex_of(FIRST))
    second.beat(rotated().beat(1))
    (refused,) = second.beat(thief.beat(2))
    assert isinstance(
        refused, Rejected
    )  # signed by nobody this reader knows; the link alone convinces nobody


def test_links_of_strangers_are_passed_over() -> None:
    ring = KeyRing("alice", hex_of(FIRST))
    good = link_keys(FIRST, "alice", hex_of(SECOND), 5)
    for link in (
        link_keys(THIEF, "alice", hex_of(THIRD), 5),
        link_keys(FIRST, "carol", hex_of(THIRD), 5),
        msgspec.structs.replace(good, new_key=hex_of(THIEF)),
        msgspec.structs.replace(good, from_seq=4),
    ):
        assert ring.learn([link])
    assert ring.public_key == hex_of(FIRST)
    assert ring.learn([good, good])
    assert ring.public_key == hex_of(SECOND)
    assert ring.choose(key_id_of(FIRST.verify_key), 4) == FIRST.verify_key
    with pytest.raises(WrongLeader):
        ring.choose(key_id_of(FIRST.verify_key), 5)
    with pytest.raises(BadSignature):
        verify_link(good, "carol")


def test_a_revoked_key_ends_the_belief() -> None:
    leader, reader = Rotating(), FeedReader("alice", hex_of(FIRST))
    leader.say(Notice(notice="key_revoked", text="stolen", sealed_ms=1))
    reader.receive(leader.wires[0], 1)
    accepted, locked = reader.receive(leader.wires[1], 2)
    assert isinstance(accepted, Accepted)
    assert isinstance(locked, Locked)
    assert (locked.reason, locked.evidence) == ("revoked", (leader.wires[1],))
    leader.say()
    assert reader.receive(leader.wires[2], 3) == []
