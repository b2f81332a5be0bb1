"""No mutated message is accepted, and whatever order messages come in the reader ends with the same feed."""

from __future__ import annotations

import os
import random
import re

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.protocol.codec import decode_payload, encode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.feed import (
    Accepted,
    FeedEvent,
    FeedReader,
    Locked,
    NeedGap,
    NeedKey,
    Rejected,
    Unreadable,
)
from relay.protocol.forms import shape_of, wrong_text
from relay.protocol.groups import Place, seal_payload
from relay.protocol.messages import Notice, Signal
from relay.protocol.signing import GENESIS_HASH, open_envelope, seal_chained
from tests.unit.relay import feed_samples as samples

CHAIN = samples.chain_of(12)
GROUP_EPOCHS, GROUP_KEY = (5, 6), bytes(range(32))
WIRE = samples.sealed(samples.signal("alice.7.1"), 1, GENESIS_HASH).wire
PAYLOAD = encode_payload(samples.signal("alice.7.1"))


def sealed_chain() -> samples.Chain:
    """As long as CHAIN: two epochs of a private group, with messages in clear between sealed ones."""
    chain = samples.Chain()
    chain.say(samples.notice())
    for group_epoch in GROUP_EPOCHS:
        chain.say(
            Notice(
                notice="group_epoch",
                text="",
                sealed_ms=1,
                group_epoch=group_epoch,
                keys_root="ab" * 32,
                keys_count=3,
            )
        )
        for kind in ("sealed", "sealed", "clear", "sealed"):
            if kind == "clear":
                chain.say(samples.notice("paused"))
            else:
                say_sealed(chain, group_epoch)
    chain.say(samples.notice("resumed"))
    assert len(chain.wires) == len(CHAIN.wires)
    return chain


def say_sealed(chain: samples.Chain, group_epoch: int) -> None:
    seq = len(chain.wires) + 1
    place = Place("alice", samples.EPOCH, seq, "signal")
    frame = seal_chained(
        samples.KEY, kind="signal", leader_id="alice", epoch=samples.EPOCH, seq=seq,
        prev_hash=chain.hashes[-1],
        payload=seal_payload(GROUP_KEY, group_epoch, place, encode_payload(samples.signal(f"alice.7.{seq}"))),
    )  # fmt: skip
    chain.wires.append(frame.wire)
    chain.hashes.append(frame.chain_hash)


SEALED = sealed_chain()


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


def mutated_at_random(raw: bytes, chance: random.Random) -> bytes:
    """One to three changes of any kind, most of them of a single byte."""
    changed = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(changed))
        match chance.randrange(6):
            case 0 | 1:
                changed[at] ^= 1 << chance.randrange(8)
            case 2:
                changed[at] = chance.randrange(256)
            case 3:
                del changed[at : at + chance.randrange(1, 60)]
            case 4:
                changed[at:at] = chance.randbytes(chance.randrange(1, 6))
            case _:
                other = chance.randrange(len(changed))
                changed[at], changed[other] = changed[other], changed[at]
        if not changed:
            break
    return bytes(changed)


def test_of_a_great_many_mutated_messages_none_is_accepted() -> None:
    """MUTATIONS=1000000 for the long run; frames and heartbeats through the reader, as they would arrive."""
    count = int(os.environ.get("MUTATIONS", "20000"))
    seed = int(os.environ.get("MUTATIONS_SEED", str(random.randrange(2**32))))
    chance = random.Random(seed)
    frames = [*CHAIN.wires, CHAIN.beat()]
    originals = set(frames)
    reader = FeedReader("alice", samples.PUBLIC)
    for number in range(count):
        frame = mutated_at_random(chance.choice(frames), chance)
        if frame in originals:
            continue
        events = reader.beat(frame) if number % 8 == 0 else reader.receive(frame, 1 + number % 12)
        assert [type(event) for event in events] == [Rejected], f"MUTATIONS_SEED={seed}: {frame!r}"
    assert reader.last_seq == 0
    assert reader.locked is None


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


@settings(max_examples=900, deadline=None)
@given(
    st.integers(0, len(CHAIN.wires)),
    st.lists(st.integers(1, len(CHAIN.wires)), max_size=6),
    st.lists(st.tuples(st.integers(0, len(CHAIN.wires) - 1), mutations(WIRE)), max_size=2),
    st.lists(st.integers(0, len(CHAIN.wires) - 1), max_size=3),
    st.sampled_from(["nobody", "member", "knows", "stranger"]),
    st.lists(st.tuples(st.sampled_from(GROUP_EPOCHS), st.sampled_from([GROUP_KEY, None])), max_size=3),
)
def test_history_at_once_is_history_one_by_one(
    head: int,
    live: list[int],
    changes: list[tuple[int, bytes]],
    lost: list[int],
    who: str,
    given_keys: list[tuple[int, bytes | None]],
) -> None:
    """Whatever a broker hands out as history, and whatever came live before, in clear or to a member of a
    private group with his keys before, after or never: the quick way accepts what the slow way accepts.
    """
    chain = CHAIN if who == "nobody" else SEALED
    rows = [(seq, wire) for seq, wire in enumerate(chain.wires, 1)]
    for place, junk in changes:
        rows[place] = (rows[place][0], junk)
    rows = [row for place, row in enumerate(rows) if place not in lost and row[0] > head]

    def reader() -> FeedReader:
        return FeedReader(
            "alice", samples.PUBLIC, head, chain.hashes[head],
            last_epoch=samples.EPOCH if head else 0, is_member=who in ("member", "knows"),
        )  # fmt: skip

    def both(call: str, *arguments: object) -> None:
        slow, quick = (getattr(one, call)(*arguments) for one in (one_by_one, at_once))
        assert outcome(quick) == outcome(slow)

    one_by_one, at_once = reader(), reader()
    if who == "knows":
        for epoch in GROUP_EPOCHS:
            both("give_key", epoch, GROUP_KEY)
    for seq in live:
        both("receive", chain.wires[seq - 1], seq)
    slow = [event for seq, wire in rows for event in one_by_one.receive(wire, seq)]
    assert outcome(at_once.receive_history(rows)) == outcome(slow)
    for epoch, key in given_keys:
        both("give_key", epoch, key)
    assert (at_once.last_seq, at_once.last_hash) == (one_by_one.last_seq, one_by_one.last_hash)
    assert at_once.missing == one_by_one.missing
    assert at_once.locked == one_by_one.locked


def outcome(events: list[FeedEvent]) -> list[tuple[str, int, str]]:
    """What was accepted, could not be read, or needs a key; in order."""
    return [
        ("key", event.group_epoch, event.root)
        if isinstance(event, NeedKey)
        else (type(event).__name__, event.envelope.seq, event.envelope.chain_hash)
        for event in events
        if isinstance(event, Accepted | Unreadable | NeedKey)
    ]


@settings(max_examples=3000, deadline=None)
@given(mutations(PAYLOAD))
def test_what_has_the_shape_of_a_signal_is_its_one_byte_form(mutated: bytes) -> None:
    """The one match that stands for writing a message again and comparing says no more than that says."""
    if shape_of(Signal).fullmatch(mutated) is None:
        return
    try:
        message = msgspec.json.decode(mutated, type=Signal)
    except (msgspec.MsgspecError, ValueError):
        return
    assert msgspec.json.encode(message) == mutated
    assert wrong_text(message) is None


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["qty", "price", "equity", "symbol", "position.qty", "market.bid"]), st.text(max_size=20)
)
def test_a_text_is_taken_by_its_form_whichever_way_it_is_looked_at(field: str, text: str) -> None:
    """The struct's own word, the shape of its bytes, and the pattern that is written down agree."""
    tree = msgspec.to_builtins(samples.signal("alice.7.1"))
    *rooms, name = field.split(".")
    (tree[rooms[0]] if rooms else tree)[name] = text
    raw = msgspec.json.encode(tree)
    is_signed = field in ("equity", "position.qty")
    number = r"(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?"
    form = rf"(?!-0(\.0*)?\Z)-?{number}" if is_signed else number
    is_right = re.fullmatch(r"[A-Za-z0-9/:._-]{1,64}" if name == "symbol" else form, text) is not None
    try:
        decode_payload("signal", raw)
    except ProtocolError:
        assert not is_right
        return
    assert is_right
    assert shape_of(Signal).fullmatch(raw) is not None
