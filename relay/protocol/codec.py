"""Payload bytes <-> payload structs, strictly.

Belongs here: the one JSON form that is allowed (compact, no duplicate key, numbers in range, decimals by
grammar) and its limits. Does not belong here: signatures (`signing`), order (`feed`).

A payload has exactly one byte form. A reader decodes it, encodes it again and compares: a duplicate key, an
integer that would turn into a float, white space or an escaped character all change the bytes and are
refused. Fields a reader does not know survive that comparison, and are then ignored.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import msgspec

from relay.protocol.errors import Malformed, TooLarge, UnknownKind
from relay.protocol.forms import shape_of, wrong_text
from relay.protocol.messages import (
    AccountChange,
    CopyReport,
    Heartbeat,
    Notice,
    Signal,
    Snapshot,
    StatusReport,
)

__all__ = [
    "DEPTH_MAX",
    "PAYLOAD_BYTES_MAX",
    "REPORT_BYTES_MAX",
    "Message",
    "Report",
    "decimal_text",
    "decode_payload",
    "decode_report",
    "decode_strictly",
    "encode_payload",
    "encode_report",
    "kind_of",
]

PAYLOAD_BYTES_MAX = 15 * 1024  # with its header within the envelope's 16 KiB
REPORT_BYTES_MAX = 60 * 1024  # with its kind within the broker's 64 KiB
DEPTH_MAX = 16
DECODED_MAX = 256  # payloads remembered, for the next reader in this process
_DECIMAL_PLACES = Decimal("1E-12")
_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_DECIMAL_LIMIT = Decimal(10) ** 16

Report: TypeAlias = CopyReport | StatusReport
Message: TypeAlias = Signal | AccountChange | Snapshot | Heartbeat | Notice | CopyReport | StatusReport

_TYPES: dict[str, type[Message]] = {
    "signal": Signal,
    "snapshot": Snapshot,
    "heartbeat": Heartbeat,
    "notice": Notice,
    "copy_report": CopyReport,
    "status_report": StatusReport,
}
_DECODERS = {kind: msgspec.json.Decoder(struct) for kind, struct in _TYPES.items()}
_SHAPES = {struct: shape_of(struct) for struct in (Signal, Snapshot)}  # what comes by the thousand
_KINDS = {struct: kind for kind, struct in _TYPES.items()} | {AccountChange: "signal"}
_ACCOUNT_CAUSES = ("funding", "cash_flow")
_REPORT_KINDS = frozenset({"copy_report", "status_report"})


def kind_of(message: Message) -> str:
    """The `kind` a message travels under."""
    return _KINDS[type(message)]


def encode_payload(message: Message) -> bytes:
    """A message as the bytes that are signed and sent. Raises `Malformed` for what a reader would refuse."""
    raw = msgspec.json.encode(message)
    decode_payload(_KINDS[type(message)], raw)
    return raw


def decode_payload(kind: str, raw: bytes) -> Message:
    """Bytes of a payload as its message. Raises a `ProtocolError` for anything outside the grammar."""
    struct = _TYPES.get(kind)
    if struct is None:
        raise UnknownKind(f"kind: one of {', '.join(_TYPES)} is allowed")
    limit = REPORT_BYTES_MAX if kind in _REPORT_KINDS else PAYLOAD_BYTES_MAX
    if len(raw) <= limit:
        message = _read_at_once(kind, raw)
        if message is not None:
            return message
    tree = _read_tree(raw, limit, kind)
    if struct is Signal and isinstance(tree, dict) and tree.get("cause") in _ACCOUNT_CAUSES:
        struct = AccountChange
    return _convert(tree, struct, kind)


def decode_strictly(raw: bytes, struct: type[_Struct], bytes_max: int, what: str) -> _Struct:
    """Bytes that are the one JSON form of a struct, at most `bytes_max` long. Raises a `ProtocolError` that
    begins with `what`.
    """
    return _convert(_read_tree(raw, bytes_max, what), struct, what)


@lru_cache(maxsize=DECODED_MAX)
def _read_at_once(kind: str, raw: bytes) -> Message | None:
    """The usual case: bytes that are exactly what this program would write for the message in them. Those are
    canonical by themselves; everything else goes the long way.
    """
    struct = _TYPES[kind]
    try:
        message = _DECODERS[kind].decode(raw)
        if struct in _SHAPES:
            return message if _SHAPES[struct].fullmatch(raw) is not None else None
        is_right = msgspec.json.encode(message) == raw and wrong_text(message) is None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None
    return message if is_right else None


def _read_tree(raw: bytes, bytes_max: int, what: str) -> Any:
    if len(raw) > bytes_max:
        raise TooLarge(f"{what}: at most {bytes_max} bytes are allowed, got {len(raw)}")
    return _decode_tree(raw)


def _convert(tree: Any, struct: type[_Struct], what: str) -> _Struct:
    try:
        message = msgspec.convert(tree, struct, strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Malformed(f"{what}: {error}") from None
    wrong = wrong_text(message)
    if wrong is not None:
        raise Malformed(f"{what}: {wrong} has not the form that is allowed there")
    return message


def encode_report(report: Report) -> bytes:
    """A report as one message body: its kind, a line feed, its payload."""
    return _KINDS[type(report)].encode() + b"\n" + encode_payload(report)


def decode_report(raw: bytes) -> Report:
    """The body of a message on `reports.<leader>.<follower>`. Raises a `ProtocolError`."""
    head, separator, payload = raw.partition(b"\n")
    kind = head[:32].decode("ascii", "replace")
    if not separator or kind not in _REPORT_KINDS:
        raise UnknownKind("report: copy_report or status_report is allowed")
    message = decode_payload(kind, payload)
    assert isinstance(message, CopyReport | StatusReport)
    return message


def decimal_text(value: Decimal) -> str:
    """A number in the grammar of the wire: plain digits, at most 12 decimals, no trailing zeros, no minus
    zero.

    Rounds half to even at the twelfth decimal. Raises `Malformed` for what has no such form (NaN, 10**16
    and up).
    """
    if not value.is_finite() or abs(value) >= _DECIMAL_LIMIT:
        raise Malformed("decimal: a finite number below 10**16 is allowed")
    text = format(value.quantize(_DECIMAL_PLACES, ROUND_HALF_EVEN), "f")
    text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


def _decode_tree(raw: bytes) -> Any:
    try:
        tree = msgspec.json.decode(raw)
        canonical = msgspec.json.encode(tree)
    except RecursionError:
        raise TooLarge(f"payload: nesting of at most {DEPTH_MAX} is allowed") from None
    except (msgspec.MsgspecError, ValueError, OverflowError):
        raise Malformed("payload: one JSON object is allowed") from None
    if canonical != raw:
        raise Malformed("payload: compact JSON without duplicate keys is allowed")
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX:  # else it cannot be deeper
        _check_depth(tree)
    return tree


def _check_depth(tree: Any) -> None:
    level = [tree]
    for _ in range(DEPTH_MAX + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise TooLarge(f"payload: nesting of at most {DEPTH_MAX} is allowed")
