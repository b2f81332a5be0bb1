"""A leader's slippage over a period, signed: a score that his followers can check against their own reports.

Belongs here: what a statement says, its bytes, what can be checked without a store. Does not belong here:
counting it (`relay.core.statement`), where it is published (`profile`).

The statement carries the digest of one row per follower. A row names nobody: it is found by the digest of the
reports it is made of, which only its follower can make. So everybody can check that the rows add up to the
score, and each follower that its own reports are in it, as it sent them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec
from nacl.signing import SigningKey

from relay.protocol.codec import decode_strictly
from relay.protocol.documents import open_document, sign_document
from relay.protocol.errors import Malformed, ProtocolError
from relay.protocol.messages import CopyReport, Count, Hash, Identifier, Signed
from relay.protocol.signing import PublicKey

__all__ = [
    "ROWS_BYTES_MAX",
    "STATEMENT_BYTES_MAX",
    "Spread",
    "Statement",
    "StatementRow",
    "check_rows",
    "open_statement",
    "report_line",
    "reports_digest",
    "rows_digest",
    "sign_statement",
]

STATEMENT_BYTES_MAX: Final = 8 * 1024
ROWS_BYTES_MAX: Final = 64 * 1024 * 1024
_KIND: Final = b"slippage statement"
_MEAN_PLACES: Final = Decimal("0.0001")
_MICRO: Final = 10**6


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Of executed copies, in basis points; positive = worse for the followers."""

    mean: Signed
    p50: Signed
    p95: Signed
    p99: Signed


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the period's signals at one follower."""

    reports: Hash  # `reports_digest` of its verdicts on them
    signals: Count
    copied: Count
    capped: Count
    skipped: Count
    missed: Count  # those included on which it gave no verdict
    unanswered: Count
    executed: Count  # copies at a price that can be one
    slippage_micro_bps: int  # summed over them


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a period. Paper copies are not in it."""

    version: Literal[1] = 1
    leader_id: Identifier
    period_start_ms: Count
    period_end_ms: Count  # not included
    made_ms: Count
    signals: Count  # published
    followers: Count  # rows
    copied: Count
    capped: Count
    skipped: Count
    missed: Count
    copies: Count  # executed: what the slippage is of
    slippage_bps: Spread | None  # None without copies
    slippage_parts_bps: dict[str, Signed] | None
    latency_ms: dict[str, Count] | None  # p50, p95, p99 from his fill to theirs
    rows_digest: Hash


def sign_statement(key: SigningKey, statement: Statement) -> bytes:
    """The document, as it is published. Raises `Malformed` for what a reader would refuse."""
    payload = msgspec.json.encode(statement)
    decode_strictly(payload, Statement, STATEMENT_BYTES_MAX, "statement")
    return sign_document(key, _KIND, statement.leader_id, payload)


def open_statement(wire: bytes, key: PublicKey, leader_id: str) -> Statement:
    """A published statement. Raises `ProtocolError` unless this leader's key has signed it about himself."""
    payload = open_document(wire, key, _KIND, leader_id)
    statement = decode_strictly(payload, Statement, STATEMENT_BYTES_MAX, "statement")
    if statement.leader_id != leader_id:
        raise Malformed(f"statement: it is about {statement.leader_id}")
    if statement.period_end_ms <= statement.period_start_ms:
        raise Malformed("statement: its period ends before it begins")
    return statement


def rows_digest(rows: Iterable[StatementRow]) -> str:
    """What a statement says of its rows; they stand in the order of their digests."""
    ordered = sorted(rows, key=lambda row: (row.reports, msgspec.json.encode(row)))
    return hashlib.sha256(msgspec.json.encode(ordered)).hexdigest()


def check_rows(statement: Statement, rows: Sequence[StatementRow]) -> None:
    """Raises `ProtocolError` unless these are the statement's rows and add up to its score."""
    if rows_digest(rows) != statement.rows_digest:
        raise ProtocolError("statement: its rows are not those that were signed")
    claims = {"followers": len(rows), "copies": sum(row.executed for row in rows)}
    for name in ("copied", "capped", "skipped", "missed"):
        claims[name] = sum(getattr(row, name) for row in rows)
    for name, counted in claims.items():
        if getattr(statement, name) != counted:
            told = getattr(statement, name)
            raise ProtocolError(f"statement: it says {told} {name}, its rows add up to {counted}")
    total = sum(row.slippage_micro_bps for row in rows)
    spread = statement.slippage_bps
    if (spread is None) != (claims["copies"] == 0):
        raise ProtocolError("statement: slippage without copies, or copies without slippage")
    if spread is not None:
        mean = Decimal(total) / claims["copies"] / _MICRO
        if abs(mean - Decimal(spread.mean)) > _MEAN_PLACES:
            raise ProtocolError(
                f"statement: it says {spread.mean} bps, its rows add up to {mean.quantize(_MEAN_PLACES)}"
            )


def report_line(report: CopyReport) -> tuple[int, int, str]:
    """A verdict and what was executed, in short, with its place in the feed."""
    fills = [fill for order in report.orders for fill in order.fills]
    qty = sum((Decimal(fill.qty) for fill in fills), Decimal(0)).normalize()
    value = sum((Decimal(fill.qty) * Decimal(fill.price) for fill in fills), Decimal(0)).normalize()
    return report.epoch, report.seq, f"{report.signal_id} {report.verdict} {qty:f} {value:f}"


def reports_digest(lines: Iterable[tuple[int, int, str]]) -> str:
    """Of a follower's reports, whatever order they came in."""
    return hashlib.sha256("\n".join(line for _, _, line in sorted(lines)).encode()).hexdigest()
