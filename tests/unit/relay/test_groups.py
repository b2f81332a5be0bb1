"""Private groups: what a key opens, for whom it was wrapped, what the signed root proves."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from nacl.public import PrivateKey

from relay.group import GroupStore, wrap_for_all
from relay.protocol.codec import encode_payload
from relay.protocol.errors import BadSignature, Malformed, ProtocolError
from relay.protocol.feed import Accepted, FeedReader, NeedKey, Unreadable
from relay.protocol.groups import (
    KeyTree,
    Place,
    decode_wrapped,
    encode_wrapped,
    group_epoch_of,
    open_payload,
    seal_payload,
    unwrap_key,
    wrap_key,
)
from relay.protocol.messages import Notice
from relay.protocol.signing import seal_chained
from tests.unit.relay import feed_samples as samples

KEY, OTHER = b"k" * 32, b"o" * 32
PLACE = Place("alice", 7, 3, "signal")


def member(number: int) -> tuple[str, PrivateKey]:
    return f"m{number}", PrivateKey(bytes([number % 256]) * 32)


def test_a_payload_opens_with_its_key_at_its_place_only() -> None:
    sealed = seal_payload(KEY, 5, PLACE, b'{"a":1}')
    assert group_epoch_of(sealed) == 5
    assert open_payload(KEY, PLACE, sealed) == b'{"a":1}'
    for key, place, text in (
        (OTHER, PLACE, sealed),
        (KEY, msgspec.structs.replace(PLACE, seq=4), sealed),
        (KEY, msgspec.structs.replace(PLACE, epoch=8), sealed),
        (KEY, msgspec.structs.replace(PLACE, leader_id="carol"), sealed),
        (KEY, msgspec.structs.replace(PLACE, kind="snapshot"), sealed),
        (KEY, PLACE, sealed[:-1]),
        (KEY, PLACE, sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]),
        (KEY, PLACE, b"\x01"),
    ):
        with pytest.raises(BadSignature):
            open_payload(key, place, text)
    assert group_epoch_of(b'{"a":1}') is None


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 33, 100])
def test_every_member_gets_his_key_and_proves_it(count: int) -> None:
    people = dict(member(number) for number in range(count))
    keys = {name: bytes(key.public_key).hex() for name, key in people.items()}
    wrapped = wrap_for_all(KEY, "alice", 5, keys)
    for record in wrapped.records:
        again = decode_wrapped(encode_wrapped(record))
        private = bytes(people[record.member_id])
        assert unwrap_key(again, private, wrapped.root, count) == KEY
        with pytest.raises(BadSignature):
            unwrap_key(again, private, "0" * 64, count)
        with pytest.raises(ProtocolError):
            unwrap_key(msgspec.structs.replace(again, place=again.place + 1), private, wrapped.root, count)
    if count > 1:
        first, second = wrapped.records[:2]
        with pytest.raises(BadSignature):
            unwrap_key(first, bytes(people[second.member_id]), wrapped.root, count)


def test_a_key_for_another_leader_epoch_or_member_is_refused() -> None:
    name, private = member(1)
    box_key = bytes(private.public_key).hex()
    wrapped = wrap_for_all(KEY, "alice", 5, {name: box_key})
    for change in ({"leader_id": "carol"}, {"group_epoch": 6}):
        with pytest.raises(BadSignature):
            unwrap_key(msgspec.structs.replace(wrapped.records[0], **change), bytes(private), wrapped.root, 1)
    with pytest.raises(Malformed):
        wrap_key(KEY, "alice", 5, name, "xyz")
    with pytest.raises(Malformed):
        KeyTree([])


@pytest.mark.parametrize("how", ["live", "history"])
def test_a_member_waits_for_his_key_and_a_stranger_goes_on_without(how: str) -> None:
    chain = samples.Chain()
    chain.say(samples.notice())
    chain.say(
        Notice(notice="group_epoch", text="", sealed_ms=1, group_epoch=5, keys_root="ab" * 32, keys_count=3)
    )
    for seq in (3, 4):
        place = Place("alice", samples.EPOCH, seq, "signal")
        payload = seal_payload(KEY, 5, place, encode_payload(samples.signal(f"alice.7.{seq}")))
        frame = seal_chained(
            samples.KEY,
            kind="signal",
            leader_id="alice",
            epoch=samples.EPOCH,
            seq=seq,
            prev_hash=chain.hashes[-1],
            payload=payload,
        )
        chain.wires.append(frame.wire)
        chain.hashes.append(frame.chain_hash)
    chain.say(samples.notice("paused"))

    def read(reader: FeedReader) -> list[object]:
        rows = list(enumerate(chain.wires, 1))
        if how == "history":
            return list(reader.receive_history(rows))
        return [event for seq, wire in rows for event in reader.receive(wire, seq)]

    waiting = FeedReader("alice", samples.PUBLIC, is_member=True)
    events = read(waiting)
    assert [type(event) for event in events] == [Accepted, Accepted, NeedKey]
    assert events[-1] == NeedKey(5, "ab" * 32, 3)
    assert waiting.missing is None
    assert [type(event) for event in waiting.give_key(5, KEY)] == [Accepted] * 3
    assert waiting.last_seq == 5

    denied = FeedReader("alice", samples.PUBLIC, is_member=True)
    read(denied)
    events = list(denied.give_key(5, None))
    assert [type(event) for event in events] == [Unreadable, Unreadable, Accepted]

    stranger = FeedReader("alice", samples.PUBLIC)
    found = read(stranger)
    assert [type(event) for event in found] == [Accepted, Accepted, Unreadable, Unreadable, Accepted]
    assert [event.code for event in found if isinstance(event, Unreadable)] == ["sealed", "sealed"]

    wrong = FeedReader("alice", samples.PUBLIC, is_member=True)
    read(wrong)
    events = list(wrong.give_key(5, OTHER))
    assert [event.code for event in events if isinstance(event, Unreadable)] == ["bad_signature"] * 2


def test_a_members_key_is_pinned_and_the_file_says_who_could_read_what(tmp_path: Path) -> None:
    store = GroupStore.open(tmp_path / "group")
    assert (tmp_path / "group").stat().st_mode & 0o777 == 0o600
    assert store.admit({"mia": "aa" * 32, "eva": "bb" * 32}) == {"mia": "aa" * 32, "eva": "bb" * 32}
    store.begin(1, os.urandom(32), {"mia": "", "eva": ""}, 10)
    assert store.admit({"mia": "cc" * 32, "eva": "bb" * 32}) == {
        "eva": "bb" * 32
    }  # the relay names another key
    assert store.set_out("eva", is_out=True)
    assert store.admit({"mia": "aa" * 32, "eva": "bb" * 32}) == {"mia": "aa" * 32}
    store.begin(2, KEY, {"mia": ""}, 20)
    assert not store.set_out("nobody", is_out=True)
    assert (store.epochs(), store.readers(1), store.readers(2)) == (
        [(1, 10, 2), (2, 20, 1)],
        ["eva", "mia"],
        ["mia"],
    )
    assert store.current() == (2, KEY)
    store.close()
