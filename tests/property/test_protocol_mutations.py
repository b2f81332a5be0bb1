"""No mutated message is accepted, and whatever order messages come in the reader ends with the same feed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.protocol.codec import decode_payload, encode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.feed import Accepted, FeedEvent, FeedReader, Locked, NeedGap
from relay.protocol.messages import Signal
from relay.protocol.signing import GENESIS_HASH, open_envelope
from tests.unit.relay import feed_samples as samples

CHAIN = samples.chain_of(12)
WIRE = samples.sealed(samples.signal("alice.7.1"), 1, GENESIS_HASH).wire
PAYLOAD = encode_payload(samples.signal("alice.7.1"))


def mutations(raw: bytes) -> st.SearchStrategy[bytes]:
    """Flips, cuts, insertions, repetitions and swaps of a few bytes."""
    places = st.integers(0, len(raw) - 1)
    flips = st.builds(
        lambda at, bit: raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :], places, st.integers(0, 7)
    )
    replaced = st.builds(
        lambda at, byte: raw[:at] + bytes([byte]) + raw[at + 1 :], places, st.integers(0, 255)
    )
    cuts = st.builds(lambda at, length: raw[:at] + raw[at + length :], places, st.integers(1, 80))
    inserted = st.builds(
        lambda at, junk: raw[:at] + junk + raw[at:], places, st.binary(min_size=1, max_size=8)
    )
    repeated = st.builds(lambda at, length: raw[: at + length] + raw[at:], places, st.integers(1, 80))
    swapped = st.builds(lambda at, other: raw[:at] + raw[other : other + 4] + raw[at + 4 :], places, places)
    return st.one_of(flips, replaced, cuts, inserted, repeated, swapped)


@settings(max_examples=3000, deadline=None)
@given(mutations(WIRE))
def test_no_mutated_frame_opens(mutated: bytes) -> None:
    if mutated == WIRE:
        return
    try:
        open_envelope(mutated, samples.PUBLIC, "alice")
    except ProtocolError:
        return
    raise AssertionError(f"accepted: {mutated!r}")


@settings(max_examples=2000, deadline=None)
@given(mutations(PAYLOAD))
def test_a_mutated_payload_is_refused_or_says_exactly_what_it_shows(mutated: bytes) -> None:
    """The reader's guard against parsers that disagree: what is taken has one byte form."""
    try:
        message = decode_payload("signal", mutated)
    except ProtocolError:
        return
    assert isinstance(message, Signal)
    assert decode_payload("signal", encode_payload(message)) == message


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_protocol_error(junk: bytes) -> None:
    reader = FeedReader("alice", samples.PUBLIC)
    reader.receive(junk, 1)
    reader.beat(junk)
    for kind in ("signal", "notice", "copy_report"):
        try:
            decode_payload(kind, junk)
        except ProtocolError:
            continue


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, len(CHAIN.wires)), max_size=40), st.booleans())
def test_any_order_with_losses_and_repeats_ends_in_the_same_feed(order: list[int], beats: bool) -> None:
    reader = FeedReader("alice", samples.PUBLIC)
    accepted: list[int] = []
    asked: list[int] = []

    def handle(events: list[FeedEvent]) -> None:
        for event in events:
            assert not isinstance(event, Locked)
            if isinstance(event, Accepted):
                accepted.append(event.envelope.seq)
            if isinstance(event, NeedGap):
                asked.extend(range(event.from_seq, event.from_seq + event.count))

    for seq in order:
        handle(reader.receive(CHAIN.wires[seq - 1], seq))
    if beats:
        handle(reader.beat(CHAIN.beat()))
    known = max([*order, len(CHAIN.wires) if beats else 0], default=0)
    place = 0
    while place < len(asked):
        handle(reader.receive(CHAIN.wires[asked[place] - 1], asked[place]))
        place += 1
    assert len(asked) == len(set(asked)) <= known
    assert accepted == list(range(1, known + 1))
    assert reader.last_hash == CHAIN.hashes[known]
    assert reader.missing is None
