"""Taking away rows that are older than they are to be kept; what was counted of them stays.

Belongs here: which rows may go, in pieces, and the line before which nothing is taken in any more. Does not
belong here: counting (`counting`, `tracking`), how long to keep (`relay.settings`).

Only whole days go, and only when everything of them is counted: reports over them read sums from then on,
what is printed signal by signal begins after them. A report that comes for a day that is gone is refused, and
counted as such: it would take its hour's figures with it.
"""

from __future__ import annotations

from collections import Counter

from relay.store.database import Database, insert
from relay.store.rows import COPY_KEY
from relay.store.stretches import DAY_MS, Stretches

__all__ = ["bound_refused", "prune"]

REFUSED_ROWS_MAX = 10_000
SIGNALS_MAX = (
    2_000  # in one transaction, with all that followers made of them: writing does not wait for long
)


def prune(database: Database, stretches: Stretches, until_ms: int) -> int:
    """Take away some of the rows before the day of `until_ms`; returns how many signals, copies and words.

    The line moves first, in a transaction of its own: a crash in between leaves rows of counted days, and the
    next call takes them.
    """
    line = _line(database, stretches, until_ms // DAY_MS * DAY_MS)
    if line > stretches.kept_ms:
        with database.transaction():
            database.run("UPDATE kept SET since_ms = ?", (line,))
        stretches.load()
    line = stretches.kept_ms
    with database.transaction():
        return _prune_signals(database, line) + _prune_waiting(database, line) + _prune_words(database, line)


def bound_refused(database: Database) -> None:
    """Of reports that were refused some rows are kept, for whoever asks why; the others are only counted."""
    count = database.rows("SELECT COUNT(*) AS n FROM refused")[0]["n"]
    if count <= REFUSED_ROWS_MAX:
        return
    some = database.rows(
        "SELECT digest, reason FROM refused ORDER BY digest LIMIT ?", (REFUSED_ROWS_MAX // 2,)
    )
    with database.transaction():
        database.run_many("DELETE FROM refused WHERE digest = ?", [(row["digest"],) for row in some])
        database.run_many(_COUNT_REFUSED, sorted(Counter(row["reason"] for row in some).items()))


def _line(database: Database, stretches: Stretches, day: int) -> int:
    """The beginning of a day, or of the first one before it that is not wholly counted."""
    held = [day, *stretches.open_days()]
    first = database.rows("SELECT MIN(from_ms) AS first FROM untracked")[0]["first"]
    return min(held if first is None else [*held, first // DAY_MS * DAY_MS])


def _prune_signals(database: Database, line: int) -> int:
    """The oldest signals and what became of them."""
    chosen = "SELECT leader_id, epoch, seq FROM signals WHERE sealed_ms < ? ORDER BY sealed_ms LIMIT ?"
    signals = [
        (row["leader_id"], row["epoch"], row["seq"]) for row in database.rows(chosen, (line, SIGNALS_MAX))
    ]
    if not signals:
        return 0
    same = " AND ".join(f"c.{name} = s.{name}" for name in ("leader_id", "epoch", "seq"))
    copies = _keys(database, f"SELECT c.* FROM ({chosen}) s JOIN copies c ON {same}", (line, SIGNALS_MAX))
    _delete_copies(database, copies)
    database.run_many("DELETE FROM signals WHERE leader_id = ? AND epoch = ? AND seq = ?", signals)
    return len(signals) + len(copies)


def _prune_waiting(database: Database, line: int) -> int:
    """Verdicts on signals that never came: their number is kept."""
    same = " AND ".join(f"c.{name} = w.{name}" for name in COPY_KEY)
    sql = f"SELECT c.* FROM waiting w JOIN copies c ON {same} WHERE c.received_ms < ? LIMIT ?"
    copies = _keys(database, sql, (line, SIGNALS_MAX))
    if copies:
        _delete_copies(database, copies)
        database.run_many(f"DELETE FROM waiting WHERE {_KEY_IS}", copies)
        database.run(_COUNT_REFUSED, ("unknown_signal", len(copies)))
    return len(copies)


def _prune_words(database: Database, line: int) -> int:
    """A day of every follower's words, but for the last one; a day of prices and of the venue's facts; alarms
    that are over.
    """
    done = 0
    for row in database.rows("SELECT follower_id, leader_id FROM presence"):
        pair = (row["follower_id"], row["leader_id"])
        told = database.rows(_SPAN, pair)[0]
        until = min(line, told["last"] or 0, (told["first"] or 0) + DAY_MS)
        if told["first"] is not None and told["first"] < until:
            database.run(f"DELETE FROM statuses WHERE {_PAIR_IS} AND sent_ms < ?", (*pair, until))
            done += 1
    for row in database.rows("SELECT symbol, MIN(wall_ms) AS first FROM market_samples GROUP BY symbol"):
        if row["first"] < line:
            until = min(line, row["first"] + DAY_MS)
            database.run(
                "DELETE FROM market_samples WHERE symbol = ? AND wall_ms < ?", (row["symbol"], until)
            )
            done += 1
    done += _prune_facts(database, line)
    database.run("DELETE FROM alarms WHERE until_ms < ?", (line,))
    return done


def _prune_facts(database: Database, line: int) -> int:
    """A day of what the venue said of each fund, contract and coin, but for the last word before the line."""
    done = 0
    for row in database.rows(_FACT_SPANS, (line,)):
        until = min(row["last"], row["first"] + DAY_MS)
        if row["first"] < until:
            key = (row["kind"], row["name"], until)
            database.run("DELETE FROM venue_facts WHERE kind = ? AND name = ? AND wall_ms < ?", key)
            done += 1
    return done


def _keys(database: Database, sql: str, values: tuple[int, int]) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in COPY_KEY) for row in database.rows(sql, values)]


def _delete_copies(database: Database, keys: list[tuple[object, ...]]) -> None:
    for table in ("fills", "orders", "copies"):
        database.run_many(f"DELETE FROM {table} WHERE {_KEY_IS}", keys)


_KEY_IS = " AND ".join(f"{name} = ?" for name in COPY_KEY)
_PAIR_IS = "follower_id = ? AND leader_id = ?"
_SPAN = f"SELECT MIN(sent_ms) AS first, MAX(sent_ms) AS last FROM statuses WHERE {_PAIR_IS}"
_FACT_SPANS = """SELECT kind, name, MIN(wall_ms) AS first, MAX(wall_ms) AS last FROM venue_facts
  WHERE wall_ms < ? GROUP BY kind, name"""
_COUNT_REFUSED = insert(
    "refused_sums",
    ("reason", "count"),
    "ON CONFLICT (reason) DO UPDATE SET count = refused_sums.count + excluded.count",
)
