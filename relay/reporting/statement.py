"""`relay statement sign` and `verify`: the file of a leader's signed slippage.

Belongs here: reading the store, the file, what is told. Does not belong here: what a statement says
(`relay.protocol.statements`), counting it (`relay.core.statement`).

The file is one JSON object: `statement`, the signed document as it is published; `rows`, one per follower.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import SigningKey

from relay.core.statement import StatementCount, own_row
from relay.core.verdicts import PublishedSignal
from relay.errors import Failed
from relay.protocol.codec import decode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import CopyReport, Signal
from relay.protocol.statements import (
    ROWS_BYTES_MAX,
    Statement,
    StatementRow,
    check_rows,
    open_statement,
    sign_statement,
)
from relay.reporting.files import write_atomically
from relay.reporting.findings import number
from relay.store import DriftStore, RowFilter, StorePlace

__all__ = ["check", "make"]


class _File(msgspec.Struct):
    statement: str
    rows: list[StatementRow]


class _Line(msgspec.Struct):
    """What `follower-client verdicts --reports` prints of one signal."""

    signal: msgspec.Raw
    report: msgspec.Raw


def make(
    place: StorePlace, leader_id: str, key: SigningKey, period: tuple[int, int], made_ms: int, output: Path
) -> str:
    """Count, sign and write a statement; returns what to say. Raises `Failed`."""
    start_ms, end_ms = period
    if end_ms <= start_ms:
        raise Failed("--until: must be later than --since")
    count = StatementCount(leader_id, start_ms, end_ms)
    with DriftStore.open_for_reading(place) as store:
        if start_ms < store.kept_since_ms:
            raise Failed(f"rows before {_day(store.kept_since_ms)} were taken away: a statement needs them")
        if leader_id not in store.names()["leader"]:
            raise Failed(
                f"--leader: was {leader_id!r}, known: {', '.join(store.names()['leader']) or 'none'}"
            )
        for rows in store.read_hours(RowFilter(start_ms, leader_id)):
            count.add(rows)
    statement, found = count.made(made_ms)
    document = sign_statement(key, statement)
    text = msgspec.json.encode(_File(document.decode(), found)).decode()
    try:
        write_atomically(output, text + "\n")
    except OSError as error:
        raise Failed(f"{output}: {error.strerror}") from None
    return f"{_told(statement)}\n{output}"


def check(file: Path, public_key: str, leader_id: str | None, reports: Path | None, *, as_json: bool) -> str:
    """Check a statement, and a follower's reports against it; returns what to say. Raises `Failed`."""
    try:
        raw = file.read_bytes()
        read = msgspec.json.decode(raw, type=_File) if len(raw) <= ROWS_BYTES_MAX else None
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}") from None
    except (msgspec.MsgspecError, RecursionError):
        read = None
    if read is None:
        raise Failed(f"{file}: is no statement")
    try:
        about = leader_id or _leader_named(read.statement)
        statement = open_statement(read.statement.encode(), public_key, about)
        check_rows(statement, read.rows)
        told = None if reports is None else list(_reports(reports))
        own = None if told is None else own_row(statement, told)
    except ProtocolError as error:
        raise Failed(f"{file}: {error}") from None
    is_in = own is not None and any(_same(own, row) for row in read.rows)
    if told and told[0][1].paper:
        raise Failed(f"{reports}: these are copies on paper, which no statement counts")
    if own is not None and not is_in:
        raise Failed(f"{file}: no row is made of the {own.signals} reports in {reports}")
    if as_json:
        found: dict[str, Any] = msgspec.to_builtins(statement)
        return json.dumps({**found, "own_reports": None if own is None else own.signals})
    lines = [_told(statement), f"signed by {public_key[:16]}...; its {len(read.rows)} rows add up to it"]
    if own is not None:
        lines.append(f"the {own.signals} reports in {reports} are one of them, as they were sent")
    return "\n".join(lines)


def _leader_named(document: str) -> str:
    """Whom it says it is about; the signature covers that."""
    _, _, payload = document.partition("\n")
    try:
        name = json.loads(payload)["leader_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        name = None
    return name if isinstance(name, str) else ""


def _same(own: StatementRow, row: StatementRow) -> bool:
    """Whether a row says what one's reports do; on what else one was owed, they are silent."""
    rest = {"signals": own.signals + row.unanswered, "missed": own.missed + row.unanswered}
    return msgspec.structs.replace(own, unanswered=row.unanswered, **rest) == row


def _reports(file: Path) -> Iterator[tuple[PublishedSignal, CopyReport]]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                read = msgspec.json.decode(line, type=_Line)
                report = decode_payload("copy_report", bytes(read.report))
                signal = decode_payload("signal", bytes(read.signal))
                if isinstance(report, CopyReport) and isinstance(signal, Signal):
                    yield PublishedSignal(report.leader_id, report.epoch, report.seq, signal), report
    except OSError as error:
        raise Failed(f"{file}: {error.strerror}") from None
    except (msgspec.MsgspecError, RecursionError):
        raise Failed(f"{file}: is not what `follower-client verdicts --reports` prints") from None


def _told(statement: Statement) -> str:
    spread = statement.slippage_bps
    period = f"{_day(statement.period_start_ms)} to {_day(statement.period_end_ms)}"
    lines = [
        f"{statement.leader_id}, {period}: {statement.signals} signals, {statement.followers} followers",
        f"copied {statement.copied}, capped {statement.capped}, skipped {statement.skipped}, "
        f"missed {statement.missed}",
    ]
    if spread is not None:
        lines.append(
            f"slippage of {statement.copies} copies: mean {number(spread.mean)} bps, "
            f"p50 {number(spread.p50)}, p95 {number(spread.p95)}, p99 {number(spread.p99)}"
        )
    return "\n".join(lines)


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
