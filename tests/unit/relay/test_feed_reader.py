"""The feed reader: in order, once, gaps named, contradictions kept as evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.protocol.codec import encode_payload
from relay.protocol.feed import (
    PENDING_MAX,
    Accepted,
    Beat,
    FeedEvent,
    FeedReader,
    Locked,
    NeedGap,
    Rejected,
    Resumed,
    Unreadable,
)
from relay.protocol.messages import Notice, Signal
from relay.protocol.signing import GENESIS_HASH, seal_chained
from tests.unit.relay import feed_samples as samples


def reader() -> FeedReader:
    return FeedReader("alice", samples.PUBLIC)


def seqs(events: list[FeedEvent]) -> list[int]:
    return [event.envelope.seq for event in events if isinstance(event, Accepted)]


def feed(target: FeedReader, chain: samples.Chain, *order: int) -> list[FeedEvent]:
    return [event for seq in order for event in target.receive(chain.wires[seq - 1], seq)]


def test_messages_in_order_are_accepted_one_by_one() -> None:
    chain, target = samples.chain_of(3), reader()
    events = feed(target, chain, 1, 2, 3)
    assert seqs(events) == [1, 2, 3]
    assert all(isinstance(event, Accepted) for event in events)
    assert (target.last_seq, target.last_hash, target.last_epoch) == (3, chain.hashes[3], samples.EPOCH)


def test_a_duplicate_gives_nothing() -> None:
    chain, target = samples.chain_of(3), reader()
    assert seqs(feed(target, chain, 1, 1, 2, 1, 2, 3, 3)) == [1, 2, 3]


def test_a_gap_is_named_once_and_closed_in_order() -> None:
    chain, target = samples.chain_of(6), reader()
    events = feed(target, chain, 1, 4, 6)
    assert events[1:] == [NeedGap(2, 2)]
    assert target.missing == NeedGap(2, 2)
    assert seqs(feed(target, chain, 2, 3)) == [2, 3, 4]
    assert target.missing == NeedGap(5, 1)
    assert seqs(feed(target, chain, 5)) == [5, 6]
    assert target.missing is None


def test_every_stretch_of_a_gap_is_asked_for() -> None:
    chain, target = samples.chain_of(6), reader()
    asked = [event for event in feed(target, chain, 1, 4, 6, 2, 3) if isinstance(event, NeedGap)]
    assert asked == [NeedGap(2, 2), NeedGap(5, 1)]


def test_what_a_fetch_did_not_bring_is_still_missing() -> None:
    chain, target = samples.chain_of(4), reader()
    feed(target, chain, 1, 4)
    feed(target, chain, 2)
    assert target.missing == NeedGap(3, 1)
    feed(target, chain, 3)
    assert target.missing is None


def test_a_heartbeat_finds_the_gap_behind_which_nothing_came() -> None:
    chain, target = samples.chain_of(3), reader()
    feed(target, chain, 1, 2)
    events = target.beat(chain.beat())
    assert isinstance(events[0], Beat)
    assert events[1:] == [NeedGap(3, 1)]
    assert seqs(feed(target, chain, 3)) == [3]


def test_an_older_heartbeat_proves_no_life() -> None:
    chain, target = samples.chain_of(2), reader()
    feed(target, chain, 1, 2)
    assert isinstance(target.beat(chain.beat(sent_ms=10))[0], Beat)
    for sent_ms in (10, 9):
        assert [type(event) for event in target.beat(chain.beat(sent_ms=sent_ms))] == [Rejected]


def test_what_is_not_the_leaders_is_dropped_and_changes_nothing() -> None:
    chain, target = samples.chain_of(2), reader()
    foreign = samples.sealed(samples.notice(), 1, GENESIS_HASH, key=samples.OTHER_KEY).wire
    for junk in (b"", b"junk", foreign, chain.wires[0][:-1], chain.beat()):
        assert [type(event) for event in target.receive(junk, 1)] == [Rejected]
    assert target.locked is None
    assert seqs(feed(target, chain, 1, 2)) == [1, 2]


def test_a_true_message_at_a_wrong_place_is_dropped() -> None:
    chain, target = samples.chain_of(3), reader()
    events = target.receive(chain.wires[2], 2)
    assert [type(event) for event in events] == [Rejected]
    assert target.missing is None
    assert [type(event) for event in target.beat(chain.wires[0])] == [Rejected]


def test_two_messages_at_one_seq_lock_with_both_as_evidence() -> None:
    chain, target = samples.chain_of(3), reader()
    feed(target, chain, 1, 2, 3)
    other = samples.sealed(samples.signal("alice.7.2", qty="9"), 2, chain.hashes[1]).wire
    events = target.receive(other, 2)
    assert isinstance(events[0], Locked)
    assert (events[0].reason, events[0].seq) == ("equivocation", 2)
    assert set(events[0].evidence) == {chain.wires[1], other}
    assert target.locked == events[0]
    chain.say()
    assert feed(target, chain, 4) == []
    assert target.beat(chain.beat()) == []


def test_two_messages_at_one_seq_lock_before_their_turn_too() -> None:
    chain, target = samples.chain_of(4), reader()
    feed(target, chain, 1, 4)
    other = samples.sealed(samples.signal("alice.7.4", qty="9"), 4, chain.hashes[3]).wire
    events = target.receive(other, 4)
    assert isinstance(events[0], Locked)
    assert events[0].reason == "equivocation"


def test_a_heartbeat_for_another_history_locks() -> None:
    chain, target = samples.chain_of(2), reader()
    feed(target, chain, 1, 2)
    events = target.beat(chain.beat(head_hash="5" * 64))
    assert isinstance(events[0], Locked)
    assert events[0].reason == "equivocation"


def test_a_broken_chain_locks() -> None:
    chain, target = samples.chain_of(2), reader()
    feed(target, chain, 1, 2)
    stray = samples.sealed(samples.signal("alice.7.3"), 3, "6" * 64).wire
    events = target.receive(stray, 3)
    assert isinstance(events[0], Locked)
    assert (events[0].reason, events[0].evidence) == ("chain_break", (chain.wires[1], stray))


def test_an_epoch_rises_with_a_start_and_never_falls() -> None:
    chain, target = samples.chain_of(2), reader()
    chain.epoch += 5
    chain.say(samples.notice())
    chain.say()
    assert seqs(feed(target, chain, 1, 2, 3, 4)) == [1, 2, 3, 4]
    assert target.last_epoch == samples.EPOCH + 5
    chain.epoch -= 1
    chain.say(samples.notice())
    assert [type(event) for event in feed(target, chain, 5)] == [Locked]


@pytest.mark.parametrize("first", ["closing", None])
def test_an_epoch_that_rises_without_a_start_locks(first: str | None) -> None:
    chain, target = samples.chain_of(2), reader()
    feed(target, chain, 1, 2)
    chain.epoch += 1
    chain.say(samples.notice(first) if first else None)
    events = feed(target, chain, 3)
    assert isinstance(events[0], Locked)
    assert events[0].reason == "epoch"


def test_a_payload_that_cannot_be_read_does_not_stop_the_feed() -> None:
    chain, target = samples.chain_of(1), reader()
    chain.say(samples.signal("alice.7.99"))
    chain.say()
    events = feed(target, chain, 1, 2, 3)
    assert [type(event) for event in events] == [Accepted, Unreadable, Accepted]
    assert target.last_seq == 3


def test_a_stored_head_is_gone_on_from() -> None:
    chain = samples.chain_of(5)
    for epoch in (samples.EPOCH, 0):
        target = FeedReader("alice", samples.PUBLIC, 3, chain.hashes[3], last_epoch=epoch)
        assert seqs(feed(target, chain, 3, 4, 5)) == [4, 5]
    wrong = FeedReader("alice", samples.PUBLIC, 3, "7" * 64, last_epoch=samples.EPOCH)
    assert [type(event) for event in feed(wrong, chain, 4)] == [Locked]


def test_joining_takes_the_first_message_as_the_head() -> None:
    chain = samples.chain_of(5)
    target = FeedReader("alice", samples.PUBLIC, None)
    assert seqs(feed(target, chain, 4, 5)) == [4, 5]
    assert feed(target, chain, 2) == []


def test_joining_by_heartbeat_waits_for_the_next_message() -> None:
    chain = samples.chain_of(3)
    target = FeedReader("alice", samples.PUBLIC, None)
    assert [type(event) for event in target.beat(chain.beat())] == [Beat]
    assert target.last_seq == 3
    chain.say()
    assert seqs(feed(target, chain, 4)) == [4]


def test_beyond_retention_the_feed_goes_on_at_a_snapshot() -> None:
    chain, target = samples.chain_of(4), reader()
    feed(target, chain, 1)
    chain.say(samples.snapshot())
    chain.say()
    feed(target, chain, 4, 6)
    assert target.resume_at_snapshot() == []
    events = feed(target, chain, 5)
    assert events[0] == Resumed(2, 3)
    assert seqs(events) == [5, 6]
    assert target.missing is None


def test_a_snapshot_that_waits_already_is_taken_at_once() -> None:
    chain, target = samples.chain_of(4), reader()
    feed(target, chain, 1)
    chain.say(samples.snapshot())
    feed(target, chain, 5)
    events = target.resume_at_snapshot()
    assert events[0] == Resumed(2, 3)
    assert seqs(events) == [5]


def test_what_is_held_is_bounded_and_the_rest_is_asked_for_again() -> None:
    count = PENDING_MAX + 20
    chain, target = samples.chain_of(count), reader()
    feed(target, chain, 1, *range(3, count + 1))
    events = feed(target, chain, 2)
    assert target.last_seq == PENDING_MAX + 2
    assert events[-1] == NeedGap(PENDING_MAX + 3, count - PENDING_MAX - 2)
    assert seqs(feed(target, chain, *range(PENDING_MAX + 3, count + 1)))[-1] == count


def test_accepted_messages_are_typed() -> None:
    chain, target = samples.chain_of(2), reader()
    first, second = feed(target, chain, 1, 2)
    assert isinstance(first, Accepted)
    assert isinstance(first.message, Notice)
    assert isinstance(second, Accepted)
    assert isinstance(second.message, Signal)


def test_history_is_vouched_for_by_its_newest_signature() -> None:
    """Old signatures are not looked at where the chain leads to them: a broken one changes nothing."""
    chain, target = samples.chain_of(6), reader()
    header, payload = samples.split(chain.wires[2])
    header["signature"] = "0" * 128
    rows = list(enumerate([*chain.wires[:2], samples.join(header, payload), *chain.wires[3:]], 1))
    assert seqs(target.receive_history(rows)) == [1, 2, 3, 4, 5, 6]
    assert target.last_hash == chain.hashes[6]


def test_history_whose_end_is_not_the_leaders_is_looked_at_one_by_one() -> None:
    chain, target = samples.chain_of(5), reader()
    rows = list(enumerate([*chain.wires[:4], chain.wires[4][:-1] + b" "], 1))
    events = target.receive_history(rows)
    assert seqs(events) == [1, 2, 3, 4]
    assert isinstance(events[-1], Rejected)
    other = samples.Chain()
    other.say(samples.notice())
    for _ in range(4):
        other.say(samples.signal(f"alice.7.{other.seq + 1}", qty="9"))
    assert any(isinstance(event, Locked) for event in target.receive_history(list(enumerate(other.wires, 1))))


def test_history_of_what_came_live_as_well_is_no_contradiction() -> None:
    chain, target = samples.chain_of(6), reader()
    feed(target, chain, 2, 3, 4)  # they wait for the first
    assert seqs(target.receive_history(list(enumerate(chain.wires, 1)))) == [1, 2, 3, 4, 5, 6]
    assert target.locked is None


def test_live_messages_that_waited_are_joined_by_history() -> None:
    chain, target = samples.chain_of(9), reader()
    feed(target, chain, 1, 8, 9, 6)
    assert seqs(target.receive_history([(seq, chain.wires[seq - 1]) for seq in range(2, 8)])) == [
        2, 3, 4, 5, 6, 7, 8, 9,
    ]  # fmt: skip
    assert target.missing is None


FIRST_FIELDS = (  # of version 1 as it was first written: a leader's older program still says no more
    "signal_id", "cause", "symbol", "side", "qty", "price", "fill_ids", "position", "equity",
    "account_leverage", "market", "leader_exec_ms", "seen_ms", "sealed_ms", "expires_ms", "stagger",
)  # fmt: skip


@pytest.mark.parametrize("at_once", [False, True])
def test_programs_of_different_age_read_each_other_within_a_major_version(at_once: bool) -> None:
    """As in the middle of an upgrade: a leader who knows less, the same, and more than his follower."""

    def told(seq: int, age: str) -> bytes:
        tree: dict[str, Any] = json.loads(encode_payload(samples.signal(f"alice.7.{seq}")))
        if age == "older":
            tree = {name: tree[name] for name in FIRST_FIELDS}
            first_prices = ("mark", "index", "last", "bid", "ask")
            tree["market"] = {name: tree["market"][name] for name in first_prices}
        if age == "newer":
            tree |= {"mood": "calm", "more": [{"of": "it"}]}
            tree["market"]["depth_of_tomorrow"] = "7"
        return json.dumps(tree, separators=(",", ":")).encode()

    rows, chain_hash = [(1, samples.chain_of(1).wires[0])], samples.chain_of(1).hashes[1]
    for seq, age in enumerate(("older", "same", "newer", "older", "same"), 2):
        sealed = seal_chained(
            samples.KEY, kind="signal", leader_id="alice", epoch=7, seq=seq, prev_hash=chain_hash,
            payload=told(seq, age),
        )  # fmt: skip
        rows.append((seq, sealed.wire))
        chain_hash = sealed.chain_hash
    one = reader()
    events = (
        one.receive_history(rows)
        if at_once
        else [event for seq, wire in rows for event in one.receive(wire, seq)]
    )
    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    signals = [event.message for event in events if isinstance(event, Accepted)][1:]
    assert {signal.qty for signal in signals if isinstance(signal, Signal)} == {"0.5"}
    assert len(signals) == 5
