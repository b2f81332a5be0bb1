"""What a payload may look like, and everything it may not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from relay.protocol.codec import (
    PAYLOAD_BYTES_MAX,
    Message,
    decimal_text,
    decode_payload,
    decode_report,
    encode_payload,
    encode_report,
)
from relay.protocol.errors import Malformed, ProtocolError, TooLarge, UnknownKind
from relay.protocol.messages import FILLS_PER_SIGNAL_MAX, PositionState, StatusReport
from tests.unit.relay import feed_samples as samples
from tests.unit.relay.drift_samples import a_status


def tree() -> dict[str, Any]:
    value: dict[str, Any] = msgspec.to_builtins(samples.signal("alice.7.1"))
    return value


def status() -> StatusReport:
    return StatusReport(
        follower_id="bob",
        leader_id="alice",
        policy="exposure",
        paper=False,
        sent_ms=1,
        head_seq=0,
        equity="-3.5",
        positions=[],
        target_exposure="0",
        actual_exposure="0",
        exposure_gap="0",
        leverage="0",
        leverage_peak="0",
        unknown_orders=0,
        mode="running",
    )


def test_every_kind_comes_back_as_it_was() -> None:
    messages: dict[str, Message] = {
        "signal": samples.signal("alice.7.1"),
        "notice": samples.notice(),
        "snapshot": samples.snapshot(),
        "status_report": status(),
    }
    for kind, message in messages.items():
        assert decode_payload(kind, encode_payload(message)) == message
    assert decode_report(encode_report(status())) == status()


@pytest.mark.parametrize(
    "text",
    [
        "１.5", "1_000", "+1", " 1", "1 ", "1\n", "01", ".5", "5.", "1e3", "1E-7", "NaN", "Infinity", "-0.5",
        "", "0x1", "1,5", "١", "1" * 17, "0." + "1" * 13, "1.-5", "--1",
    ],
)  # fmt: skip
def test_an_unsigned_decimal_has_one_grammar(text: str) -> None:
    raw = msgspec.json.encode({**tree(), "qty": text})
    with pytest.raises(Malformed):
        decode_payload("signal", raw)


@pytest.mark.parametrize("text", ["-0", "-0.0", "- 1", "−1", "-01", "+1"])
def test_a_signed_decimal_has_no_minus_zero(text: str) -> None:
    raw = msgspec.json.encode({**tree(), "equity": text})
    with pytest.raises(Malformed):
        decode_payload("signal", raw)


@pytest.mark.parametrize("text", ["0", "-1", "-0.5", "9999999999999999.999999999999"])
def test_a_signed_decimal_within_the_grammar_is_taken(text: str) -> None:
    decode_payload("signal", msgspec.json.encode({**tree(), "equity": text}))


@pytest.mark.parametrize("value", [1.5, 1, None, True, ["1"], {"a": 1}])
def test_an_amount_is_text(value: object) -> None:
    with pytest.raises(Malformed):
        decode_payload("signal", msgspec.json.encode({**tree(), "price": value}))


@pytest.mark.parametrize("text", [b"-1", b"%d" % 2**53, b"%d" % (2**64 + 1), b"1.0", b'"5"', b"null"])
def test_a_time_is_an_integer_in_range(text: bytes) -> None:
    raw = msgspec.json.encode({**tree(), "sealed_ms": 0})
    raw = raw.replace(b'"sealed_ms":0', b'"sealed_ms":' + text)
    with pytest.raises(Malformed):
        decode_payload("signal", raw)


def test_a_duplicate_key_is_refused_wherever_it_is() -> None:
    raw = encode_payload(samples.signal("alice.7.1"))
    for twice in (
        raw.replace(b'"qty":"0.5"', b'"qty":"0.5","qty":"0.5"', 1),
        raw.replace(b'"mark":"100000"', b'"mark":"1","mark":"100000"', 1),
        raw.replace(b'"side":"buy"', b'"side":"buy","unknown":{"a":1,"a":1}', 1),
    ):
        assert twice != raw
        with pytest.raises(Malformed):
            decode_payload("signal", twice)


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b'{"a":1e400}', b'{"a":NaN}']
)
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_payload("signal", junk)


def test_white_space_escapes_and_trailing_bytes_are_another_form() -> None:
    raw = encode_payload(samples.signal("alice.7.1"))
    for other in (raw + b" ", b" " + raw, raw.replace(b":", b": ", 1), raw.replace(b"BTC", b"\\u0042TC", 1)):
        with pytest.raises(Malformed):
            decode_payload("signal", other)


def test_an_unknown_field_is_ignored() -> None:
    raw = msgspec.json.encode({**tree(), "added_later": {"deep": [1, "2"]}})
    assert decode_payload("signal", raw) == samples.signal("alice.7.1")


def test_size_and_depth_are_limited() -> None:
    wide = msgspec.json.encode({**tree(), "note": "x" * PAYLOAD_BYTES_MAX})
    with pytest.raises(TooLarge):
        decode_payload("signal", wide)
    deep = encode_payload(samples.notice())[:-1] + b',"x":' + b"[" * 900 + b"]" * 900 + b"}"
    with pytest.raises(TooLarge):
        decode_payload("notice", deep)
    with pytest.raises(ProtocolError):
        decode_payload("notice", b"[" * 7000)


def test_lists_are_limited() -> None:
    many = msgspec.json.encode({**tree(), "fill_ids": ["f"] * (FILLS_PER_SIGNAL_MAX + 1)})
    with pytest.raises(Malformed):
        decode_payload("signal", many)
    with pytest.raises(Malformed):
        decode_payload("signal", msgspec.json.encode({**tree(), "fill_ids": []}))


def test_what_a_reader_would_refuse_is_not_encoded() -> None:
    with pytest.raises(Malformed):
        encode_payload(samples.signal("alice.7.1", qty="1e3"))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownKind):
        decode_payload("order", b"{}")
    for raw in (b"", b"signal\n{}", b"copy_report", b"x" * 100_000):
        with pytest.raises(UnknownKind):
            decode_report(raw)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"), ("-0", "0"), ("1.500", "1.5"), ("1E+3", "1000"), ("1E-13", "0"), ("-1E-13", "0"),
        ("0.1234567890125", "0.123456789012"), ("-2.50", "-2.5"), ("100", "100"),
    ],
)  # fmt: skip
def test_decimal_text_speaks_the_grammar(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+16", "-1E+16"])
def test_decimal_text_refuses_what_has_no_form(value: str) -> None:
    with pytest.raises(Malformed):
        decimal_text(Decimal(value))


def test_a_wrong_number_deep_in_a_report_is_found() -> None:
    """Positions are looked at wherever they are: reports have most of their fields checked elsewhere."""
    position = PositionState(symbol="BTC/USDT:USDT", qty="1e5", entry_price="1", exposure="0", leverage="1")
    with pytest.raises(Malformed, match=r"positions\.qty"):
        encode_report(a_status(positions=[position]))
