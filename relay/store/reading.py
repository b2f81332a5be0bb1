"""What reports are made from: rows of a stretch of time, and figures over any.

Belongs here: every query that a report asks. Does not belong here: writing, what figures mean
(`relay.core`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from relay.core.report import Figures, Leader, Standing, leaders_of
from relay.core.tally import Tally, TallyKey, tally
from relay.core.trend import Trend
from relay.core.verdicts import Pair, PublishedSignal, ReportRows, judge
from relay.protocol.messages import CopyReport, StatusReport
from relay.store.database import Database
from relay.store.live import LiveMinutes, Presence
from relay.store.rows import COPY_KEY, copy_from, signal_from, status_from
from relay.store.stretches import DAY_MS, HOUR_MS, MINUTE_MS, Stretch, Stretches
from relay.store.tracking import TrackedWords

__all__ = ["Reader", "RowFilter"]

FOREVER_MS = 2**62
LIVE_MS_MAX = 5 * MINUTE_MS  # of the last minutes, what was read once is kept
PLACES_AT_ONCE = 100
HOURS_OF_STEPS = 48
_TALLY = msgspec.json.Decoder(Tally)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """What a report is about; None = everything. Times are of the leader's signal, `until_ms` excluded."""

    since_ms: int = 0
    leader_id: str | None = None
    follower_id: str | None = None
    symbol: str | None = None
    until_ms: int = FOREVER_MS


class _Where:
    """Conditions and their values, for whichever are asked for."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        if values != (None,):
            self._conditions.append(condition)
            self.values += values

    def __str__(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""


class Reader:
    """Reads a store."""

    def __init__(self, database: Database, stretches: Stretches, tracked: TrackedWords) -> None:
        self._database = database
        self._stretches = stretches
        self._tracked = tracked
        self._live = LiveMinutes(database, self._copies_of)

    def figures(self, where: RowFilter, *, in_steps: bool = False) -> Figures:
        """Everything counted: stretches that are, and the rows of the minutes that are not.

        `in_steps`: of a short time no days are read, so that the trend has more steps; the figures are the
        same.
        """
        with self._database.view():
            self._stretches.load()
            first_ms = self._stretches.first_ms(where.since_ms)
            is_short = self._stretches.last_ms - first_ms <= HOURS_OF_STEPS * HOUR_MS
            return self._figures(where, HOUR_MS if in_steps and is_short else DAY_MS)

    def _figures(self, where: RowFilter, longest_ms: int) -> Figures:
        tallies: dict[TallyKey, Tally] = {}
        leaders: dict[str, Leader] = {}
        trend = Trend()
        pairs = self._presence(where)
        followers = {pair: self._standing(pair, row) for pair, row in pairs.items()}
        here = Presence(
            {pair: row["joined_ms"] for pair, row in pairs.items()},
            {
                pair: found.word.sent_ms
                for pair, found in followers.items()
                if found is not None and found.word.mode == "stopped"
            },
        )

        def add(from_ms: int, span_ms: int, key: TallyKey, found: Tally) -> None:
            tallies.setdefault(key, Tally()).merge(found)
            trend.add(from_ms, span_ms, found)

        for leader in self._stretches.leaders if where.leader_id is None else [where.leader_id]:
            own = RowFilter(where.since_ms, leader, where.follower_id, where.symbol)
            for stretch in self._stretches.cover(leader, where.since_ms, longest_ms):
                _sum_up(leaders, leader, self._published(own, stretch))
                for key, found in self._tallies(own, stretch):
                    add(*stretch, key, found)
            for from_ms, until_ms in self._stretches.uncovered(leader, where.since_ms):
                signals, counted = self._uncounted(own, from_ms, until_ms, here)
                for minute, key, found in counted:
                    (kept := Tally()).merge(found)  # what is live goes on growing
                    add(minute, MINUTE_MS, key, kept)
                for found_leader in leaders_of(signals).values():
                    _sum_up(leaders, leader, found_leader)
        return Figures(
            leaders=leaders,
            tallies=tallies,
            followers=followers,
            policies={pair[0]: row["policy"] for pair, row in sorted(pairs.items())},
            unknown_signals=self._waiting(where),
            refused=self._refused(),
            arrivals=self._arrivals(where),
            tracking=self._tracked.read(pairs, where.since_ms),
            marks=self._marks({symbol for _, _, symbol in tallies}),
            trend=trend,
        )

    def _uncounted(
        self, own: RowFilter, from_ms: int, until_ms: int, here: Presence
    ) -> tuple[Sequence[PublishedSignal], list[tuple[int, TallyKey, Tally]]]:
        """Signals of a piece that is not counted, and tallies by minute (or the piece's beginning)."""
        is_live = from_ms % MINUTE_MS == 0 and until_ms - from_ms <= LIVE_MS_MAX
        if own.leader_id is None or not is_live:
            rows = self._rows(replace(own, since_ms=from_ms, until_ms=until_ms))
            found = tally(item for items in judge(rows).values() for item in items)
            return rows.signals, [(from_ms, key, each) for key, each in found.items()]
        signals: list[PublishedSignal] = []
        tallies: list[tuple[int, TallyKey, Tally]] = []
        for minute in range(from_ms, until_ms, MINUTE_MS):
            published, counted = self._live.read(own.leader_id, minute, here)
            signals += (one for one in published if own.symbol in (None, one.signal.symbol))
            tallies += (
                (minute, key, each)
                for key, each in counted
                if own.follower_id in (None, key[0]) and own.symbol in (None, key[2])
            )
        return signals, tallies

    def rows(
        self, where: RowFilter, signals_max: int | None = None, words_max: int | None = None
    ) -> ReportRows:
        """Everything one by one; of more than `signals_max` signals the latest, with the verdicts on them; of
        more than `words_max` words the latest.
        """
        with self._database.view():
            found = self._rows(where, signals_max)
            return replace(
                found,
                copies=[*found.copies, *self._waiting_copies(where)],
                statuses=self._statuses(where, found.statuses, words_max),
                since_ms=where.since_ms,
            )

    def _rows(self, where: RowFilter, signals_max: int | None = None) -> ReportRows:
        """Signals, the verdicts on them, and every follower's last word."""
        chosen = self._signals_where(where)
        if signals_max is not None:
            newest = self._database.rows(
                f"SELECT sealed_ms FROM signals {chosen} ORDER BY sealed_ms DESC LIMIT 1 OFFSET ?",
                [*chosen.values, signals_max - 1],
            )
            chosen.add("sealed_ms >= ?", newest[0]["sealed_ms"] if newest else 0)
        return self._rows_of(chosen, where)

    def stretch(self, where: RowFilter) -> ReportRows:
        """Signals of a stretch of time and the verdicts on them, for whoever counts them."""
        with self._database.view():
            return self._rows(where)

    def signal(self, leader_id: str, epoch: int, seq: int) -> ReportRows:
        """One signal and what became of it; no signals where it is not known."""
        chosen = _Where()
        chosen.add("leader_id = ? AND epoch = ? AND seq = ?", leader_id, epoch, seq)
        with self._database.view():
            return self._rows_of(chosen, RowFilter(leader_id=leader_id))

    def _rows_of(self, chosen: _Where, where: RowFilter) -> ReportRows:
        sql = f"SELECT * FROM signals {chosen} ORDER BY leader_id, epoch, seq"
        of_signals = f"(SELECT leader_id, epoch, seq FROM signals {chosen})"
        return ReportRows(
            [signal_from(row) for row in self._database.rows(sql, chosen.values)],
            self._copies(of_signals, chosen.values, where),
            self._last_statuses(where),
            {pair: row["joined_ms"] for pair, row in self._presence(where).items()},
            self._refused(),
        )

    def hours(self, where: RowFilter) -> Iterator[ReportRows]:
        """The same hour by hour, for whoever reads more than fits in memory."""
        for leader in self._stretches.leaders if where.leader_id is None else [where.leader_id]:
            spans = self._database.rows(
                f"SELECT DISTINCT sealed_ms / {HOUR_MS} AS hour FROM signals"
                " WHERE leader_id = ? AND sealed_ms >= ? ORDER BY 1",
                (leader, where.since_ms),
            )
            for span in spans:
                yield self._hour(
                    RowFilter(where.since_ms, leader, where.follower_id, where.symbol), span["hour"] * HOUR_MS
                )

    def names(self) -> dict[str, list[str]]:
        """Every leader, follower and symbol that the store knows."""
        pairs = self._presence(RowFilter())
        symbols = "SELECT DISTINCT symbol FROM signals UNION SELECT DISTINCT symbol FROM counted"
        return {
            "leader": sorted({leader for _, leader in pairs} | set(self._stretches.leaders)),
            "follower": sorted({follower for follower, _ in pairs}),
            "symbol": sorted(row["symbol"] for row in self._database.rows(symbols)),
        }

    def last_statuses(self) -> list[StatusReport]:
        """The last word of every follower to every leader."""
        return self._last_statuses(RowFilter())

    # -- parts ----------------------------------------------------------------------------------------------

    def _hour(self, where: RowFilter, hour: int) -> ReportRows:
        since_ms = max(where.since_ms, hour)
        return self._rows(
            RowFilter(since_ms, where.leader_id, where.follower_id, where.symbol, hour + HOUR_MS)
        )

    def _published(self, where: RowFilter, stretch: Stretch) -> Leader:
        found = _Where()
        found.add("leader_id = ? AND from_ms = ? AND span_ms = ?", where.leader_id, *stretch)
        found.add("symbol = ?", where.symbol)
        rows = self._database.rows(f"SELECT signals, fills FROM counted {found}", found.values)
        return Leader(sum(row["fills"] for row in rows), sum(row["signals"] for row in rows))

    def _tallies(self, where: RowFilter, stretch: Stretch) -> Iterator[tuple[TallyKey, Tally]]:
        found = _Where()
        found.add("leader_id = ? AND from_ms = ? AND span_ms = ?", where.leader_id, *stretch)
        found.add("follower_id = ?", where.follower_id)
        found.add("symbol = ?", where.symbol)
        for row in self._database.rows(
            f"SELECT follower_id, leader_id, symbol, tally FROM tallies {found}", found.values
        ):
            yield (row["follower_id"], row["leader_id"], row["symbol"]), _TALLY.decode(row["tally"])

    def _signals_where(self, where: RowFilter) -> _Where:
        conditions = _Where()
        conditions.add("leader_id = ?", where.leader_id)
        conditions.add("sealed_ms >= ?", where.since_ms)
        conditions.add("sealed_ms < ?", where.until_ms)
        conditions.add("symbol = ?", where.symbol)
        return conditions

    def _waiting_copies(self, where: RowFilter) -> list[CopyReport]:
        copies = self._copies("waiting", (), where)
        return [
            copy
            for copy in copies
            if where.since_ms <= copy.received_ms < where.until_ms and where.symbol in (None, copy.symbol)
        ]

    def _copies(self, keys: str, values: Sequence[Any], where: RowFilter) -> list[CopyReport]:
        """The verdicts on the signals that a table, or a query in brackets, names."""
        found = _Where()
        found.add("c.leader_id = ?", where.leader_id)
        found.add("c.follower_id = ?", where.follower_id)
        keyed = "k.leader_id = c.leader_id AND k.epoch = c.epoch AND k.seq = c.seq"
        keyed += " AND k.follower_id = c.follower_id" if keys == "waiting" else ""
        chosen = f"{keys} k JOIN copies c ON {keyed}"
        # orders and fills have an index by follower first: reading them beside their copies uses it
        own = " AND ".join(f"o.{name} = c.{name}" for name in COPY_KEY)

        def read(table: str, order: str) -> Sequence[Any]:
            part = ("c", "") if table == "copies" else ("o", f" JOIN {table} o ON {own}")
            sql = f"SELECT {part[0]}.* FROM {chosen}{part[1]} {found} ORDER BY {order}"
            return self._database.rows(sql, [*values, *found.values])

        orders: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        fills: dict[tuple[Any, ...], dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for row in read("orders", "o.place"):
            orders[_key(row)].append(row)
        for row in read("fills", "o.place"):
            fills[_key(row)][row["client_order_id"]].append(row)
        copies = read("copies", ", ".join(f"c.{name}" for name in COPY_KEY))
        return [copy_from(row, orders.get(_key(row), []), fills.get(_key(row), {})) for row in copies]

    def _copies_of(self, leader_id: str, places: Sequence[tuple[int, int]]) -> list[CopyReport]:
        """Every follower's verdict on these signals of a leader, given by epoch and seq."""
        found = []
        for at in range(0, len(places), PLACES_AT_ONCE):
            some = places[at : at + PLACES_AT_ONCE]
            chosen = " OR ".join(["(epoch = ? AND seq = ?)"] * len(some))
            keys = f"(SELECT leader_id, epoch, seq FROM signals WHERE leader_id = ? AND ({chosen}))"
            values = [leader_id, *(value for place in some for value in place)]
            found += self._copies(keys, values, RowFilter(leader_id=leader_id))
        return found

    def _presence(self, where: RowFilter) -> dict[Pair, Any]:
        found = _Where()
        found.add("leader_id = ?", where.leader_id)
        found.add("follower_id = ?", where.follower_id)
        rows = self._database.rows(f"SELECT * FROM presence {found}", found.values)
        return {(row["follower_id"], row["leader_id"]): row for row in rows}

    def _last_statuses(self, where: RowFilter) -> list[StatusReport]:
        found = (self._last_status(pair) for pair in sorted(self._presence(where)))
        return [status for status in found if status is not None]

    def _statuses(
        self, where: RowFilter, last: Sequence[StatusReport], words_max: int | None
    ) -> list[StatusReport]:
        """The words in the span, and the last ones."""
        found = _Where()
        found.add("leader_id = ?", where.leader_id)
        found.add("follower_id = ?", where.follower_id)
        found.add("sent_ms >= ? AND sent_ms < ?", where.since_ms, where.until_ms)
        rows = self._database.rows(
            f"SELECT * FROM statuses {found} ORDER BY sent_ms DESC LIMIT ?",
            [*found.values, FOREVER_MS if words_max is None else words_max],
        )
        spoken = {(word.follower_id, word.leader_id, word.sent_ms): word for word in map(status_from, rows)}
        spoken |= {(word.follower_id, word.leader_id, word.sent_ms): word for word in last}
        return [word for _, word in sorted(spoken.items())]

    def _last_status(self, pair: Pair) -> StatusReport | None:
        rows = self._database.rows(_LAST_STATUS, pair)
        return status_from(rows[0]) if rows else None

    def _standing(self, pair: Pair, presence: Any) -> Standing | None:
        status = self._last_status(pair)
        if status is None:
            return None
        return Standing(status.policy, presence["leverage_peak"], status.exposure_gap, status)

    def _waiting(self, where: RowFilter) -> int:
        found = _Where()
        found.add("leader_id = ?", where.leader_id)
        found.add("follower_id = ?", where.follower_id)
        count: int = self._database.rows(f"SELECT COUNT(*) AS n FROM waiting {found}", found.values)[0]["n"]
        return count

    def _refused(self) -> Counter[str]:
        rows = self._database.rows("SELECT reason, COUNT(*) AS n FROM refused GROUP BY reason")
        found = Counter({row["reason"]: row["n"] for row in rows})
        found.update(
            {row["reason"]: row["count"] for row in self._database.rows("SELECT * FROM refused_sums")}
        )
        return found

    def _arrivals(self, where: RowFilter) -> dict[str, int]:
        """How reports came, over all time."""
        found = _Where()
        found.add("leader_id = ?", where.leader_id)
        found.add("follower_id = ?", where.follower_id)
        rows = self._database.rows(
            f"SELECT kind, SUM(count) AS n FROM arrivals {found} GROUP BY kind", found.values
        )
        return {row["kind"]: int(row["n"]) for row in rows}

    def _marks(self, symbols: Iterable[str]) -> dict[str, tuple[int, str]]:
        """The newest mark of each symbol that was recorded beside the feed."""
        found = {symbol: self._database.rows(_LAST_MARK, (symbol,)) for symbol in symbols}
        return {symbol: (rows[0]["wall_ms"], rows[0]["mark_price"]) for symbol, rows in found.items() if rows}


def _key(row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in COPY_KEY)


def _sum_up(leaders: dict[str, Leader], leader_id: str, more: Leader) -> None:
    if more.signals:
        known = leaders.get(leader_id, Leader(0, 0))
        leaders[leader_id] = Leader(known.fills + more.fills, known.signals + more.signals)


_LAST_STATUS = "SELECT * FROM statuses WHERE follower_id = ? AND leader_id = ? ORDER BY sent_ms DESC LIMIT 1"
_LAST_MARK = (
    "SELECT wall_ms, mark_price FROM market_samples WHERE symbol = ? AND mark_price IS NOT NULL"
    " ORDER BY wall_ms DESC LIMIT 1"
)
