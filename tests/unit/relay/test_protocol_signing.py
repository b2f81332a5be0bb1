"""The envelope: what the signature covers, and that a frame has one byte form."""

from __future__ import annotations

import hashlib

import pytest
from nacl.signing import VerifyKey

from relay.protocol.errors import (
    BadSignature,
    Malformed,
    ProtocolError,
    TooLarge,
    UnknownVersion,
    WrongLeader,
)
from relay.protocol.signing import (
    ENVELOPE_BYTES_MAX,
    GENESIS_HASH,
    as_verify_key,
    header_hash,
    open_envelope,
    seal,
)
from tests.unit.relay import feed_samples as samples

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def test_an_envelope_opens_with_its_key_and_leader() -> None:
    frame = samples.sealed(samples.signal("alice.7.3"), 3, "ab" * 32)
    envelope = open_envelope(frame.wire, samples.PUBLIC, "alice")
    assert (envelope.kind, envelope.leader_id, envelope.epoch, envelope.seq) == ("signal", "alice", 7, 3)
    assert envelope.prev_hash == "ab" * 32
    assert envelope.message_id == "alice.7.3"
    assert header_hash(envelope) == envelope.chain_hash == frame.chain_hash


def test_the_signed_bytes_are_what_the_specification_says() -> None:
    wire = seal(
        samples.KEY, kind="notice", leader_id="alice", epoch=7, seq=1, prev_hash=GENESIS_HASH, payload=b"{}"
    )
    fields = [
        b"1", b"notice", b"alice", b"7", b"1", GENESIS_HASH.encode(),
        hashlib.sha256(bytes(samples.KEY.verify_key)).hexdigest()[:16].encode(),
        hashlib.sha256(b"{}").digest(),
    ]  # fmt: skip
    signed = b"slipstream signal feed v1\0" + b"".join(len(f).to_bytes(4, "big") + f for f in fields)
    header, payload = samples.split(wire)
    VerifyKey(bytes(samples.KEY.verify_key)).verify(signed, bytes.fromhex(header["signature"]))
    assert payload == b"{}"
    assert open_envelope(wire, samples.PUBLIC, "alice").chain_hash == hashlib.sha256(signed).hexdigest()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "notice"), ("epoch", 8), ("seq", 2), ("prev_hash", "1" * 64), ("signature", "0" * 128),
    ],
)  # fmt: skip
def test_every_header_field_is_signed(field: str, value: object) -> None:
    header, payload = samples.split(samples.sealed(samples.signal("alice.7.1"), 1, GENESIS_HASH).wire)
    assert header[field] != value
    with pytest.raises(BadSignature):
        open_envelope(samples.join({**header, field: value}, payload), samples.PUBLIC, "alice")


def test_the_payload_is_signed() -> None:
    wire = samples.sealed(samples.signal("alice.7.1", qty="0.5"), 1, GENESIS_HASH).wire
    with pytest.raises(BadSignature):
        open_envelope(wire.replace(b'"qty":"0.5"', b'"qty":"0.6"'), samples.PUBLIC, "alice")


def test_another_leader_or_key_is_refused() -> None:
    wire = samples.sealed(samples.notice(), 1, GENESIS_HASH).wire
    with pytest.raises(WrongLeader):
        open_envelope(wire, samples.PUBLIC, "carol")
    with pytest.raises(WrongLeader):
        open_envelope(wire, samples.OTHER_KEY.verify_key, "alice")
    foreign = samples.sealed(samples.notice(), 1, GENESIS_HASH, key=samples.OTHER_KEY).wire
    header, payload = samples.split(foreign)
    ours, _ = samples.split(wire)
    with pytest.raises(BadSignature):
        open_envelope(samples.join({**header, "key_id": ours["key_id"]}, payload), samples.PUBLIC, "alice")


def test_a_signature_plus_the_group_order_is_refused() -> None:
    header, payload = samples.split(samples.sealed(samples.notice(), 1, GENESIS_HASH).wire)
    raw = bytes.fromhex(header["signature"])
    scalar = int.from_bytes(raw[32:], "little") + GROUP_ORDER
    moved = (raw[:32] + scalar.to_bytes(32, "little")).hex()
    with pytest.raises(BadSignature):
        open_envelope(samples.join({**header, "signature": moved}, payload), samples.PUBLIC, "alice")


@pytest.mark.parametrize("point", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"])
def test_a_key_of_small_order_verifies_nothing(point: str) -> None:
    key_id = hashlib.sha256(bytes.fromhex(point)).hexdigest()[:16]
    header, payload = samples.split(samples.sealed(samples.notice(), 1, GENESIS_HASH).wire)
    for signature in ("00" * 64, point + "00" * 32, "01" + "00" * 63):
        wire = samples.join({**header, "key_id": key_id, "signature": signature}, payload)
        with pytest.raises(BadSignature):
            open_envelope(wire, point, "alice")


@pytest.mark.parametrize("key", ["", "00", "zz" * 32, "AB" * 32, "00" * 33, " " + "00" * 32])
def test_a_public_key_is_64_hex_digits(key: str) -> None:
    with pytest.raises(Malformed) as caught:
        as_verify_key(key)
    assert key.strip() not in str(caught.value) or not key.strip()


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_major_version_is_refused_before_anything_else(version: int) -> None:
    with pytest.raises(UnknownVersion):
        open_envelope(b'{"version":%d,"new":{}}\n{}' % version, samples.PUBLIC, "alice")


def test_a_header_has_one_byte_form() -> None:
    wire = samples.sealed(samples.notice(), 1, GENESIS_HASH).wire
    header, payload = samples.split(wire)
    others = [
        wire.replace(b'"seq":1', b'"seq": 1'),
        wire.replace(b'"seq":1', b'"seq":1,"seq":1'),
        wire.replace(b'"seq":1', b'"seq":01'),
        wire.replace(b'"seq":1', b'"seq":1.0'),
        wire.replace(b"alice", b"\\u0061lice"),
        samples.join({**header, "extra": 1}, payload),
        samples.join(dict(reversed(header.items())), payload),
        samples.join({**header, "signature": header["signature"].upper()}, payload),
        b"\xef\xbb\xbf" + wire,
    ]
    for other in others:
        assert other != wire
        with pytest.raises(ProtocolError):
            open_envelope(other, samples.PUBLIC, "alice")


@pytest.mark.parametrize("leader", ["", "Alice", "al.ice", "*", ">", "a b", "ä", "a" * 33, "alice\n"])
def test_an_id_fits_one_token_of_a_subject(leader: str) -> None:
    with pytest.raises(Malformed):
        samples.sealed(samples.notice(), 1, GENESIS_HASH, leader=leader)


def test_size_is_limited_on_both_sides() -> None:
    with pytest.raises(TooLarge):
        seal(
            samples.KEY, kind="notice", leader_id="alice", epoch=1, seq=1, prev_hash=GENESIS_HASH,
            payload=b"x" * ENVELOPE_BYTES_MAX,
        )  # fmt: skip
    with pytest.raises(TooLarge):
        open_envelope(b"x" * (ENVELOPE_BYTES_MAX + 1), samples.PUBLIC, "alice")
    with pytest.raises(Malformed):
        open_envelope(b"x" * ENVELOPE_BYTES_MAX, samples.PUBLIC, "alice")
