"""A contradiction that a stranger can check with the public key alone."""

from __future__ import annotations

import json

import pytest

from relay.protocol.errors import ProtocolError
from relay.protocol.evidence import evidence_of, proven
from relay.protocol.feed import FeedReader, Locked
from relay.protocol.messages import Notice
from tests.unit.relay import feed_samples as samples


def locked_by(*wires: tuple[int, bytes]) -> Locked:
    reader = FeedReader("alice", samples.PUBLIC)
    for seq, wire in wires:
        for event in reader.receive(wire, seq):
            if isinstance(event, Locked):
                return event
    raise AssertionError("it was not locked")


def two_stories() -> tuple[samples.Chain, samples.Chain]:
    first, second = samples.chain_of(2), samples.Chain()
    second.say(samples.notice())
    second.say(samples.signal("alice.7.2", qty="9"))
    return first, second


def test_two_messages_at_one_seq_are_proven() -> None:
    first, second = two_stories()
    locked = locked_by((1, first.wires[0]), (2, first.wires[1]), (2, second.wires[1]))
    document = evidence_of("alice", samples.PUBLIC, locked)
    assert proven(document) == "alice has signed two different messages as seq 2"
    beat = second.beat()
    reader = FeedReader("alice", samples.PUBLIC)
    for seq, wire in enumerate(first.wires, 1):
        reader.receive(wire, seq)
    (by_beat,) = reader.beat(beat)
    assert isinstance(by_beat, Locked)
    assert "two different messages as seq 2" in proven(evidence_of("alice", samples.PUBLIC, by_beat))


def test_who_has_heard_heartbeats_alone_can_prove_it_too() -> None:
    first, second = two_stories()
    reader = FeedReader("alice", samples.PUBLIC, None)
    reader.beat(first.beat())
    (locked,) = reader.receive(second.wires[1], 2)
    assert isinstance(locked, Locked)
    proof = proven(evidence_of("alice", samples.PUBLIC, locked))
    assert proof == "alice has signed two different messages as seq 2"


def test_a_broken_chain_and_a_revoked_key_are_proven() -> None:
    first, second = two_stories()
    second.say()
    broken = locked_by((1, first.wires[0]), (2, first.wires[1]), (3, second.wires[2]))
    assert "behind another message" in proven(evidence_of("alice", samples.PUBLIC, broken))
    chain = samples.Chain()
    chain.say(samples.notice())
    chain.say(Notice(notice="key_revoked", text="", sealed_ms=1))
    revoked = locked_by((1, chain.wires[0]), (2, chain.wires[1]))
    assert "notice at seq 2" in proven(evidence_of("alice", samples.PUBLIC, revoked))


def test_nobody_is_accused_by_what_he_did_not_sign() -> None:
    first, second = two_stories()
    honest = Locked("equivocation", 2, "", (first.wires[1], first.wires[1]))
    unrelated = Locked("equivocation", 2, "", (first.wires[0], first.wires[1]))
    forged = Locked(
        "equivocation", 2, "", (first.wires[1], second.wires[1].replace(b'"qty":"9"', b'"qty":"8"'))
    )
    for locked in (honest, unrelated, forged, Locked("equivocation", 2, "", ())):
        with pytest.raises(ProtocolError):
            proven(evidence_of("alice", samples.PUBLIC, locked))
    good = json.loads(
        evidence_of("alice", samples.PUBLIC, Locked("", 2, "", (first.wires[1], second.wires[1])))
    )
    for change in ({"leader_id": "carol"}, {"public_key": "00" * 32}, {"frames": ["!", "!"]}):
        with pytest.raises(ProtocolError):
            proven(json.dumps(good | change, separators=(",", ":")))
