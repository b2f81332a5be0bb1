"""How a batch becomes rows: whole or not at all, and the same rows whatever the order, however often.

Belongs here: upserts, presence, which counted stretches a late row takes out again. Does not belong here:
queries for reports (`reading`), counting (`counting`), which field is which column (`rows`).

A batch is written in bulk: rows are grouped by table, what is there already is looked up once per group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from relay.core.intake import Odd, Refusal
from relay.protocol import subjects
from relay.protocol.messages import CopyReport, Signal, StatusReport
from relay.store.arrivals import Arrivals
from relay.store.database import Database, insert
from relay.store.rows import (
    COPY_COLUMNS,
    COPY_KEY,
    FILL_COLUMNS,
    ORDER_COLUMNS,
    SIGNAL_COLUMNS,
    STATUS_COLUMNS,
    AlarmRecord,
    CopyRows,
    FeedEntry,
    FeedHead,
    MarketSample,
    RefusedReport,
    StoreItem,
    VenueFact,
    Word,
    digest_of,
    rows_made,
    signal_row,
    status_row,
)
from relay.store.stretches import MINUTE_MS, Stretches, around, hour_of
from relay.store.tracking import TrackedWords

__all__ = ["BATCH_ITEMS_MAX", "Writer"]

BATCH_ITEMS_MAX = 2_000
LOOKUP_KEYS_MAX = 200
SEALED_KEPT_MAX = 50_000

CopyKey = tuple[str, str, int, int]
SignalKey = tuple[str, int, int]
Pair = tuple[str, str]


@dataclass(slots=True)
class _Presence:
    """A row of `presence`, and whether the follower's last word was that it stops."""

    joined_ms: int
    heard_ms: int
    policy: str
    leverage_peak: str
    stopped_ms: int | None = None
    last_ms: int = -1  # of the last status

    def values(self) -> tuple[Any, ...]:
        return (self.joined_ms, self.heard_ms, self.policy, self.leverage_peak)


class Writer:
    """The one writer of a store."""

    def __init__(self, database: Database, stretches: Stretches, tracked: TrackedWords) -> None:
        self._database = database
        self._stretches = stretches
        self._tracked = tracked
        self._arrivals = Arrivals(database)
        self._presence: dict[Pair, _Presence] = {}
        self._sealed: dict[SignalKey, int] = {}  # recent signals
        self._load_presence()

    def write(self, batch: Sequence[StoreItem]) -> list[Odd]:
        """Store a batch in one transaction, durable on return; returns what was odd about how it came. Raises
        `StoreError`, with nothing stored.
        """
        assert len(batch) <= BATCH_ITEMS_MAX, "the caller bounds its batches"
        try:
            with self._database.transaction():
                self._write_groups(batch)
                return self._arrivals.write()
        except BaseException:
            self._sealed.clear()
            self._load_presence()
            self._stretches.load()
            self._tracked.forget()
            self._arrivals.forget()
            raise

    def _write_groups(self, batch: Sequence[StoreItem]) -> None:
        groups: dict[type, list[Any]] = defaultdict(list)
        for item in map(rows_made, batch):
            kept = self._kept(item) if self._stretches.kept_ms else item
            groups[type(kept)].append(kept)
            if kept is not item and isinstance(item, FeedEntry):
                groups[FeedEntry].append(FeedEntry(item.head, None))
        changed: set[Pair] = set()
        if entries := groups[FeedEntry]:
            self._write_feed(entries)
        if copies := groups[CopyRows]:
            self._write_copies(copies, changed)
        if words := groups[Word]:
            self._arrivals.note_words(words)
        if statuses := [*groups[StatusReport], *(word.status for word in words)]:
            self._database.run_many(_UPSERT_STATUS, [status_row(status) for status in statuses])
            self._tracked.take_out(statuses, self._stretches.kept_ms)
            for status in statuses:
                self._note_status(status, changed)
        if refused := groups[RefusedReport]:
            rows = [(r.digest, r.subject, r.refusal.reason, r.refusal.detail) for r in refused]
            self._database.run_many(_INSERT_REFUSED, rows)
        if samples := groups[MarketSample]:
            rows_of = [(s.symbol, s.wall_ms, s.market_ms, s.index, s.mark, s.last) for s in samples]
            self._database.run_many(_INSERT_SAMPLE, rows_of)
        if facts := groups[VenueFact]:
            said = [(fact.kind, fact.name, fact.wall_ms, fact.value, fact.detail) for fact in facts]
            self._database.run_many(_INSERT_FACT, said)
        if alarms := groups[AlarmRecord]:
            self._database.run_many(
                _UPSERT_ALARM,
                [
                    (a.rule, a.subject, a.since_ms, record.until_ms, a.severity, a.what, a.todo)
                    for record in alarms
                    for a in (record.alarm,)
                ],
            )
        presence = [(*pair, *self._presence[pair].values()) for pair in sorted(changed)]
        if presence:
            self._database.run_many(_UPSERT_PRESENCE, presence)

    def _kept(self, item: StoreItem) -> StoreItem:
        """What comes for a time whose rows are gone is refused: its figures are final."""
        line = self._stretches.kept_ms
        if isinstance(item, FeedEntry) and item.signal is not None and item.signal.sealed_ms < line:
            return _too_old(subjects.feed(item.head.leader_id), item.signal)
        if isinstance(item, CopyRows) and item.copy.received_ms < line:
            return _too_old(subjects.reports(item.copy.leader_id, item.copy.follower_id), item.copy)
        word = item.status if isinstance(item, Word) else item
        if isinstance(word, StatusReport) and word.sent_ms < line:
            return _too_old(subjects.reports(word.leader_id, word.follower_id), word)
        return item

    # -- the feed -------------------------------------------------------------------------------------------

    def _write_feed(self, entries: Sequence[FeedEntry]) -> None:
        heads: dict[str, FeedHead] = {}
        for entry in entries:
            head, known = entry.head, heads.get(entry.head.leader_id)
            if known is None or (head.epoch, head.seq) > (known.epoch, known.seq):
                heads[head.leader_id] = head
        signals = [(entry.head, entry.signal) for entry in entries if entry.signal is not None]
        if signals:
            self._database.run_many(_INSERT_SIGNAL, [signal_row(head, signal) for head, signal in signals])
            keys = [(head.leader_id, head.epoch, head.seq) for head, _ in signals]
            self._database.run_many(_DELETE_WAITING, keys)
            for key, (_, signal) in zip(keys, signals, strict=True):
                self._keep_sealed(key, signal.sealed_ms)
                self._stretches.take_out(key[0], signal.sealed_ms, signal.sealed_ms)
        rows = [(head.leader_id, head.epoch, head.seq, head.header_hash) for head in heads.values()]
        self._database.run_many(_UPSERT_HEAD, rows)

    def _keep_sealed(self, key: SignalKey, sealed_ms: int) -> None:
        if len(self._sealed) >= SEALED_KEPT_MAX:
            for oldest in list(self._sealed)[: SEALED_KEPT_MAX // 10]:
                del self._sealed[oldest]
        self._sealed[key] = sealed_ms

    def _sealed_of(self, keys: Iterable[SignalKey]) -> dict[SignalKey, int]:
        """When these signals were sealed, as far as they are known."""
        wanted = set(keys)
        found = {key: self._sealed[key] for key in wanted if key in self._sealed}
        names = ("leader_id", "epoch", "seq")
        for row in self._lookup("signals", names, "sealed_ms", wanted - found.keys()):
            key = (row["leader_id"], row["epoch"], row["seq"])
            found[key] = row["sealed_ms"]
            self._keep_sealed(key, row["sealed_ms"])
        return found

    # -- copies ---------------------------------------------------------------------------------------------

    def _write_copies(self, copies: Sequence[CopyRows], changed: set[Pair]) -> None:
        """Each with its orders and fills, unless a greater version is there already."""
        newest: dict[CopyKey, CopyRows] = {}
        for rows in copies:
            copy = rows.copy
            key = (copy.follower_id, copy.leader_id, copy.epoch, copy.seq)
            if key not in newest or rows.row[0] > newest[key].row[0]:
                newest[key] = rows
            at_ms = rows.came.ms if rows.came is not None and rows.is_late else copy.received_ms
            self._heard((copy.follower_id, copy.leader_id), at_ms, copy.policy, changed)
        wanted = [key for key in newest if self._arrivals.may_be_there(key)]
        there = {
            (row["follower_id"], row["leader_id"], row["epoch"], row["seq"]): row["digest"]
            for row in self._lookup("copies", COPY_KEY, "digest", wanted)
        }
        self._arrivals.note_copies(copies, there)
        better = {key: rows for key, rows in newest.items() if rows.row[0] > there.get(key, "")}
        if replaced := [key for key in better if key in there]:
            for table in ("fills", "orders", "copies"):
                self._database.run_many(f"DELETE FROM {table} WHERE {_KEY_IS}", replaced)
        self._database.run_many(_INSERT_COPY, [rows.row for rows in better.values()])
        orders = [row for rows in better.values() for row in rows.orders]
        if orders:
            self._database.run_many(_INSERT_ORDER, orders)
        fills = [row for rows in better.values() for row in rows.fills]
        if fills:
            self._database.run_many(_INSERT_FILL, fills)
        self._place(better)

    def _place(self, copies: Mapping[CopyKey, CopyRows]) -> None:
        """Take out the stretch that each copy belongs to, or let it wait for its signal."""
        sealed = self._sealed_of((leader, epoch, seq) for _, leader, epoch, seq in copies)
        waiting = []
        minutes = set()
        for follower, leader, epoch, seq in copies:
            at_ms = sealed.get((leader, epoch, seq))
            if at_ms is None:
                waiting.append((follower, leader, epoch, seq))
            else:
                minutes.add((leader, around(at_ms, MINUTE_MS).from_ms))
        for leader, minute in minutes:
            self._stretches.take_out(leader, minute, minute)
        if waiting:
            self._database.run_many(_INSERT_WAITING, waiting)
            self._arrivals.note_unknown(waiting, copies)

    def _lookup(
        self, table: str, names: Sequence[str], found: str, keys: Iterable[Sequence[Any]]
    ) -> Iterable[Any]:
        wanted = list(keys)
        kinds = ("BIGINT" if name in ("epoch", "seq") else "TEXT" for name in names)
        marks = f"({', '.join(f'CAST(? AS {kind})' for kind in kinds)})"
        for at in range(0, len(wanted), LOOKUP_KEYS_MAX):
            some = wanted[at : at + LOOKUP_KEYS_MAX]
            # a join, and not IN: that one reads the whole table in SQLite
            own = ", ".join(f"t.{name}" for name in names)
            same = " AND ".join(f"t.{name} = wanted.{name}" for name in names)
            sql = (
                f"WITH wanted ({', '.join(names)}) AS (VALUES {', '.join([marks] * len(some))})"
                f" SELECT {own}, t.{found} FROM wanted JOIN {table} t ON {same}"
            )
            yield from self._database.rows(sql, [value for key in some for value in key])

    # -- who listens ----------------------------------------------------------------------------------------

    def _load_presence(self) -> None:
        self._presence = {
            (row["follower_id"], row["leader_id"]): _Presence(
                row["joined_ms"], row["heard_ms"], row["policy"], row["leverage_peak"]
            )
            for row in self._database.rows("SELECT * FROM presence")
        }
        for pair, known in self._presence.items():
            for row in self._database.rows(_LAST_STATUS, pair):
                known.last_ms = row["sent_ms"]
                known.stopped_ms = row["sent_ms"] if row["mode"] == "stopped" else None

    def _heard(self, pair: Pair, at_ms: int, policy: str, changed: set[Pair]) -> _Presence:
        known = self._presence.get(pair)
        if known is None:
            known = self._presence[pair] = _Presence(at_ms, at_ms, policy, "0")
            self._stretches.take_out(pair[1], at_ms, max(at_ms, self._stretches.last_ms))
            changed.add(pair)
        elif at_ms < known.joined_ms:
            self._stretches.take_out(pair[1], at_ms, known.joined_ms)
            known.joined_ms = at_ms
            changed.add(pair)
        if (at_ms, policy) > (known.heard_ms, known.policy):
            if policy != known.policy or hour_of(at_ms) != hour_of(known.heard_ms):
                changed.add(pair)
            known.heard_ms, known.policy = at_ms, policy
        return known

    def _note_status(self, status: StatusReport, changed: set[Pair]) -> None:
        """A follower that stops, or starts again, changes which signals it should have answered."""
        pair = (status.follower_id, status.leader_id)
        known = self._heard(pair, status.sent_ms, status.policy, changed)
        if Fraction(status.leverage_peak) > Fraction(known.leverage_peak):
            known.leverage_peak = status.leverage_peak
            changed.add(pair)
        if status.sent_ms < known.last_ms:
            return
        stopped_ms = status.sent_ms if status.mode == "stopped" else None
        if stopped_ms != known.stopped_ms:
            since_ms = min(at for at in (stopped_ms, known.stopped_ms) if at is not None)
            self._stretches.take_out(pair[1], since_ms, max(status.sent_ms, self._stretches.last_ms))
        known.last_ms, known.stopped_ms = status.sent_ms, stopped_ms


def _too_old(subject: str, message: CopyReport | StatusReport | Signal) -> RefusedReport:
    refusal = Refusal("older_than_kept", "of a time whose rows were taken away; its figures are final")
    return RefusedReport(digest_of(message), subject, refusal)


_NOTHING = "ON CONFLICT DO NOTHING"
_KEY_IS = " AND ".join(f"{name} = ?" for name in COPY_KEY)
_INSERT_SIGNAL = insert("signals", SIGNAL_COLUMNS, _NOTHING)
_INSERT_COPY = insert("copies", COPY_COLUMNS)
_INSERT_ORDER = insert("orders", ORDER_COLUMNS, _NOTHING)
_INSERT_FILL = insert("fills", FILL_COLUMNS, _NOTHING)
_INSERT_WAITING = insert("waiting", COPY_KEY, _NOTHING)
_DELETE_WAITING = "DELETE FROM waiting WHERE leader_id = ? AND epoch = ? AND seq = ?"
_INSERT_REFUSED = insert("refused", ("digest", "subject", "reason", "detail"), _NOTHING)
_INSERT_SAMPLE = insert(
    "market_samples",
    ("symbol", "wall_ms", "market_ms", "index_price", "mark_price", "last_price"),
    _NOTHING,
)
_STATUS_KEY = ("follower_id", "leader_id", "sent_ms")
_UPSERT_STATUS = insert(
    "statuses",
    STATUS_COLUMNS,
    f"ON CONFLICT ({', '.join(_STATUS_KEY)}) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in STATUS_COLUMNS if name not in _STATUS_KEY)
    + " WHERE excluded.digest > statuses.digest",
)
_UPSERT_HEAD = insert(
    "feed_heads",
    ("leader_id", "epoch", "seq", "header_hash"),
    "ON CONFLICT (leader_id) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq,"
    " header_hash = excluded.header_hash"
    " WHERE (excluded.epoch, excluded.seq) > (feed_heads.epoch, feed_heads.seq)",
)
_INSERT_FACT = insert("venue_facts", ("kind", "name", "wall_ms", "value", "detail"), "ON CONFLICT DO NOTHING")
_UPSERT_ALARM = insert(
    "alarms",
    ("rule", "subject", "since_ms", "until_ms", "severity", "what", "todo"),
    "ON CONFLICT (rule, subject, since_ms) DO UPDATE SET until_ms = excluded.until_ms",
)
_UPSERT_PRESENCE = insert(
    "presence",
    ("follower_id", "leader_id", "joined_ms", "heard_ms", "policy", "leverage_peak"),
    "ON CONFLICT (follower_id, leader_id) DO UPDATE SET joined_ms = excluded.joined_ms,"
    " heard_ms = excluded.heard_ms, policy = excluded.policy, leverage_peak = excluded.leverage_peak",
)
_LAST_STATUS = (
    "SELECT sent_ms, mode FROM statuses WHERE follower_id = ? AND leader_id = ? ORDER BY sent_ms DESC LIMIT 1"
)
