"""A leader's signed score: it adds up, it is his, and followers find their own reports in it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from nacl.signing import SigningKey

from relay.core.report import build_report
from relay.errors import Failed
from relay.protocol.codec import encode_payload
from relay.protocol.errors import ProtocolError
from relay.protocol.messages import CopyReport
from relay.protocol.statements import check_rows, open_statement, sign_statement
from relay.reporting.statement import check, make
from relay.store import DriftStore, FeedEntry, FeedHead, StoreItem, StorePlace
from tests.unit.relay.drift_samples import LEADER, START_MS, SampleRun, sample_run

KEY = SigningKey(b"\x05" * 32)
PUBLIC = KEY.verify_key.encode().hex()
PERIOD = (START_MS, START_MS + 3_600_000)


@pytest.fixture
def run(place: StorePlace, tmp_path: Path) -> SampleRun:
    """A run in a store, and its statement."""
    run = sample_run()
    items: list[StoreItem] = [
        FeedEntry(FeedHead(p.leader_id, p.epoch, p.seq, "h"), p.signal) for p in run.signals
    ]
    with DriftStore.open(place) as store:
        store.write([*items, *run.copies, *run.statuses])
    make(place, LEADER, KEY, PERIOD, PERIOD[1], tmp_path / "statement.json")
    return run


def reports_of(run: SampleRun, follower: str, file: Path) -> Path:
    """What this follower's own program prints, newest first."""
    own = [copy for copy in run.copies if copy.follower_id == follower]
    signals = {p.seq: p.signal for p in run.signals}
    lines = [_line(encode_payload(signals[copy.seq]), encode_payload(copy)) for copy in reversed(own)]
    file.write_bytes(b"".join(lines))
    return file


def _line(signal: bytes, report: bytes) -> bytes:
    return b'{"signal":' + signal + b',"report":' + report + b"}\n"


def test_the_score_is_the_reports_of_live_followers(
    run: SampleRun, place: StorePlace, tmp_path: Path
) -> None:
    told = check(tmp_path / "statement.json", PUBLIC, LEADER, None, as_json=True)
    found = msgspec.json.decode(told)
    with DriftStore.open_for_reading(place) as store:
        report = build_report(store.figures(), {}, {})
    live = [row for row in report["followers"] if not row["policy"].endswith("paper")]
    assert found["followers"] == len(live) == 4
    for name in ("copied", "capped", "skipped", "missed"):
        assert found[name] == sum(row[name] for row in live), name
    assert (found["signals"], found["own_reports"]) == (26, None)
    parts = sum(float(part) for part in found["slippage_parts_bps"].values())
    assert parts == pytest.approx(float(found["slippage_bps"]["mean"]), abs=1e-9)


@pytest.mark.parametrize("follower", ["steady", "bold", "tiny"])
def test_every_follower_finds_its_own_reports(follower: str, run: SampleRun, tmp_path: Path) -> None:
    reports = reports_of(run, follower, tmp_path / "mine.jsonl")
    told = check(tmp_path / "statement.json", PUBLIC, None, reports, as_json=False)
    assert "26 reports" in told and "as they were sent" in told


def test_a_report_that_was_left_out_or_changed_is_found_out(run: SampleRun, tmp_path: Path) -> None:
    reports = reports_of(run, "steady", tmp_path / "mine.jsonl")
    lines = reports.read_bytes().splitlines(keepends=True)
    reports.write_bytes(b"".join(lines[1:]))
    with pytest.raises(Failed, match="no row is made of the 25 reports"):
        check(tmp_path / "statement.json", PUBLIC, None, reports, as_json=False)
    better = [_cheaper(copy) for copy in run.copies]
    reports_of(SampleRun(run.signals, better), "steady", reports)
    with pytest.raises(Failed, match="no row"):
        check(tmp_path / "statement.json", PUBLIC, None, reports, as_json=False)


def _cheaper(copy: CopyReport) -> CopyReport:
    orders = [
        structs.replace(order, fills=[structs.replace(fill, price="100000") for fill in order.fills])
        for order in copy.orders
    ]
    return structs.replace(copy, orders=orders)


def test_copies_on_paper_are_in_no_statement(run: SampleRun, tmp_path: Path) -> None:
    reports = reports_of(run, "paper", tmp_path / "mine.jsonl")
    with pytest.raises(Failed, match="copies on paper"):
        check(tmp_path / "statement.json", PUBLIC, None, reports, as_json=False)


def test_rows_that_do_not_add_up_are_refused(run: SampleRun, tmp_path: Path) -> None:
    read = msgspec.json.decode((tmp_path / "statement.json").read_bytes())
    statement = open_statement(read["statement"].encode(), PUBLIC, LEADER)
    assert statement.slippage_bps is not None
    flattered = structs.replace(statement, slippage_bps=structs.replace(statement.slippage_bps, mean="-9"))
    for changed, told in (
        (structs.replace(statement, copied=statement.copied + 1), "copied, its rows add up"),
        (flattered, "says -9 bps, its rows add up"),
        (structs.replace(statement, rows_digest="0" * 64), "not those that were signed"),
    ):
        read["statement"] = sign_statement(KEY, changed).decode()
        (tmp_path / "other.json").write_bytes(msgspec.json.encode(read))
        with pytest.raises(Failed, match=told):
            check(tmp_path / "other.json", PUBLIC, LEADER, None, as_json=False)


def test_only_the_leaders_key_makes_his_statement(run: SampleRun, tmp_path: Path) -> None:
    file = tmp_path / "statement.json"
    for key, leader, told in (
        ("ab" * 32, LEADER, "not signed"),
        (PUBLIC, "mallory", "not signed"),
        ("short", LEADER, "64 hex digits"),
    ):
        with pytest.raises(Failed, match=told):
            check(file, key, leader, None, as_json=False)
    wire = msgspec.json.decode(file.read_bytes())["statement"].encode()
    for at in range(0, len(wire), 7):
        with pytest.raises(ProtocolError):
            open_statement(wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :], PUBLIC, LEADER)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"statement":"x","rows":[]}', b"[" * 100_000])
def test_what_is_no_statement_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_bytes(content)
    with pytest.raises(Failed, match=r"s\.json: "):
        check(file, PUBLIC, None, None, as_json=False)


def test_nothing_is_signed_for_a_time_whose_rows_are_gone(place: StorePlace, tmp_path: Path) -> None:
    day = 86_400_000
    with DriftStore.open(place) as store:
        store.write([FeedEntry(FeedHead(LEADER, 1, 1, "h"), sample_run().signals[0].signal)])
        while store.count(START_MS + 3 * day):
            pass
        store.prune(START_MS + 3 * day)
    with pytest.raises(Failed, match="were taken away"):
        make(place, LEADER, KEY, PERIOD, PERIOD[1], tmp_path / "s.json")


def test_a_period_without_copies_has_a_statement_too(place: StorePlace, tmp_path: Path) -> None:
    with DriftStore.open(place) as store:
        store.write([FeedEntry(FeedHead(LEADER, 1, 1, "h"), sample_run().signals[0].signal)])
    assert "1 signals, 0 followers" in make(place, LEADER, KEY, PERIOD, PERIOD[1], tmp_path / "s.json")
    statement = open_statement(
        msgspec.json.decode((tmp_path / "s.json").read_bytes())["statement"].encode(), PUBLIC, LEADER
    )
    check_rows(statement, [])
    assert statement.slippage_bps is None
