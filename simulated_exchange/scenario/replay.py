"""Recorded bars: what a file may hold, read into exact bars. Pure: rows in, bars out.

Belongs here: the meaning of columns, the checks of every row, holding a bar that the exchange did not record.
Does not belong here: opening files (`replay_files`), the walk through a bar (`paths`), the choice of a window
(`window`). Every refusal is one `ScenarioError` line that names file, row, column and what is allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.fixed import to_fixed

__all__ = [
    "KINDS",
    "Bar",
    "BarSeries",
    "ReplaySpec",
    "bars_between",
    "parse_replay_spec",
    "parse_utc_ms",
    "read_bars",
    "utc_text",
]

KINDS = ("index", "last", "mark_check")
PREFIX_OF_KIND = {"index": "spot_", "last": "perp_", "mark_check": "mark_"}
FIELDS = ("open", "high", "low", "close")
ROWS_MAX = 5_000_000
BARS_MAX = 500_000  # bars of one window
PRICE_MIN, PRICE_MAX = 1e-8, 1e10
TIME_MIN_MS = 1_230_768_000_000  # 2009-01-01: before the first recorded trade of anything here
TIME_MAX_MS = 4_102_444_800_000  # 2100-01-01


@dataclass(frozen=True, slots=True)
class ReplaySpec:
    """One `KIND:SYMBOL=FILE`; SYMBOL is the venue's (`BTCUSDT`)."""

    kind: str
    symbol: str
    path: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, prices in units of 10**-8. `held`: nothing was recorded, the close before it stands still."""

    open_time_ms: int
    duration_ms: int
    open: int
    high: int
    low: int
    close: int
    held: bool = False


@dataclass(frozen=True, slots=True)
class BarSeries:
    """A whole file, checked: times ascending; prices as written (None = blank), as floats for scanning."""

    label: str
    duration_ms: int
    times_ms: tuple[int, ...]
    rows: tuple[tuple[str, ...] | None, ...]
    highs: tuple[float, ...]
    lows: tuple[float, ...]
    columns: tuple[str, ...]

    @property
    def start_ms(self) -> int:
        return self.times_ms[0]

    @property
    def end_ms(self) -> int:
        return self.times_ms[-1] + self.duration_ms


@dataclass(frozen=True, slots=True)
class _Columns:
    time: str
    time_at: int
    prices: tuple[str, ...]
    prices_at: tuple[int, ...]


def parse_replay_spec(text: str) -> ReplaySpec:
    """`index:BTCUSDT=FILE` to its parts."""
    head, equals, path = text.partition("=")
    kind, colon, symbol = head.partition(":")
    if not (equals and colon and kind and symbol and path):
        raise ScenarioError(f"replay {text!r}: must be KIND:SYMBOL=FILE with KIND one of {', '.join(KINDS)}")
    if kind not in KINDS:
        raise ScenarioError(f"replay {text!r}: unknown kind {kind!r}; allowed: {', '.join(KINDS)}")
    return ReplaySpec(kind, symbol, path)


def parse_utc_ms(text: str, name: str) -> int:
    """`2025-10-10T20:30` (seconds and an offset may follow; without one it is UTC) to Unix milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ScenarioError(f"{name}: {text!r} is not a time; allowed: UTC like 2025-10-10T20:30") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def read_bars(kind: str, header: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> BarSeries:
    """Check every row and keep it. `rows` come without the header; `label` names the file in messages."""
    columns = _find_columns(kind, [name.strip().lower() for name in header], label)
    times: list[int] = []
    kept: list[tuple[str, ...] | None] = []
    highs: list[float] = []
    lows: list[float] = []
    for row_number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(times) >= ROWS_MAX:
            raise ScenarioError(f"{label}: row {row_number}: too many rows; allowed: at most {ROWS_MAX}")
        times.append(_read_time(columns, row, row_number, label, times[-1] if times else None))
        prices = _read_prices(columns, row, row_number, label)
        kept.append(tuple(row[at] for at in columns.prices_at) if prices else None)
        highs.append(max(prices) if prices else 0.0)
        lows.append(min(prices) if prices else 0.0)
    if len(times) < 2:
        raise ScenarioError(f"{label}: row {len(times) + 2}: file ends; at least 2 rows of bars are needed")
    if not any(kept):
        raise ScenarioError(f"{label}: column {columns.prices[-1]}: every cell is blank; prices are needed")
    gaps = Counter(later - earlier for earlier, later in pairwise(times))
    duration_ms = gaps.most_common(1)[0][0]
    return BarSeries(label, duration_ms, tuple(times), tuple(kept), tuple(highs), tuple(lows), columns.prices)


def _find_columns(kind: str, header: Sequence[str], label: str) -> _Columns:
    time_column = next((name for name in ("open_time_ms", "utc") if name in header), None)
    if time_column is None:
        raise ScenarioError(f"{label}: row 1, column open_time_ms: missing; allowed: open_time_ms or utc")
    own = PREFIX_OF_KIND[kind]
    joined = any(name.startswith(prefix) for name in header for prefix in PREFIX_OF_KIND.values())
    prefix = own if joined and not set(FIELDS) & set(header) else ""
    names = tuple(prefix + field for field in FIELDS)
    present = tuple(name for name in names if name in header)
    if present == names[3:]:
        names = names[3:]
    elif present != names:
        missing = next(name for name in names if name not in header)
        raise ScenarioError(
            f"{label}: row 1, column {missing}: missing; allowed for {kind}: "
            f"{', '.join(names)}, or {names[3]} alone"
        )
    return _Columns(
        time_column, header.index(time_column), names, tuple(header.index(name) for name in names)
    )


def _read_time(
    columns: _Columns, row: Sequence[str], row_number: int, label: str, previous_ms: int | None
) -> int:
    where = f"{label}: row {row_number}, column {columns.time}"
    if columns.time_at >= len(row):
        raise ScenarioError(f"{where}: missing cell; every row needs the columns of the header")
    text = row[columns.time_at].strip()
    if columns.time == "utc":
        time_ms = parse_utc_ms(text, where)
    elif text.isascii() and text.isdigit():
        time_ms = int(text)
    else:
        raise ScenarioError(f"{where}: {text!r} is not a time; allowed: whole milliseconds since 1970, UTC")
    if not TIME_MIN_MS <= time_ms < TIME_MAX_MS:
        raise ScenarioError(f"{where}: {text!r} is out of range; allowed: milliseconds between 2009 and 2100")
    if previous_ms is not None and time_ms <= previous_ms:
        raise ScenarioError(f"{where}: {text!r} is not after the row before; rows must ascend in time")
    return time_ms


def _read_prices(
    columns: _Columns, row: Sequence[str], row_number: int, label: str
) -> tuple[float, ...] | None:
    """The prices of one row as floats, for checks and scanning; None when a cell is blank."""
    prices: list[float] = []
    blank = False
    for name, at in zip(columns.prices, columns.prices_at, strict=True):
        where = f"{label}: row {row_number}, column {name}"
        if at >= len(row):
            raise ScenarioError(f"{where}: missing cell; every row needs the columns of the header")
        text = row[at].strip()
        if not text:
            blank = True
            continue
        try:
            price = float(text)
        except ValueError:
            price = float("nan")
        if not PRICE_MIN <= price < PRICE_MAX:
            raise ScenarioError(f"{where}: {text!r} is not a price; allowed: a number above 0 and below 1e10")
        prices.append(price)
    if blank:
        return None
    if len(prices) == len(FIELDS):
        _check_bar(prices, row_number, label, columns.prices)
    return tuple(prices)


def _check_bar(prices: Sequence[float], row_number: int, label: str, names: Sequence[str]) -> None:
    opened, high, low, close = prices
    if high < low:
        raise ScenarioError(f"{label}: row {row_number}, column {names[1]}: {high} is below {names[2]} {low}")
    for name, price in ((names[0], opened), (names[3], close)):
        if not low <= price <= high:
            raise ScenarioError(
                f"{label}: row {row_number}, column {name}: {price} is outside its bar, {low} to {high}"
            )


def bars_between(series: BarSeries, from_ms: int, to_ms: int) -> list[Bar]:
    """The exact bars that touch [from_ms, to_ms), with a held bar for every blank or missing row."""
    step_ms = series.duration_ms
    if (to_ms - from_ms) // step_ms > BARS_MAX:
        raise ScenarioError(
            f"{series.label}: window of more than {BARS_MAX} bars; allowed: at most that many"
        )
    touched = [at for at, time_ms in enumerate(series.times_ms) if from_ms - step_ms < time_ms < to_ms]
    filled = [at for at in touched if series.rows[at] is not None]
    if not filled:
        raise ScenarioError(
            f"{series.label}: no rows between {utc_text(from_ms)} and {utc_text(to_ms)}; "
            f"allowed: a window inside {utc_text(series.start_ms)} to {utc_text(series.end_ms)}"
        )
    close = _close_before(series, touched[0], filled[0])
    expected_ms = series.times_ms[touched[0]]
    while expected_ms > from_ms:
        expected_ms -= step_ms
    bars: list[Bar] = []
    for at in touched:
        time_ms = series.times_ms[at]
        while expected_ms < time_ms:
            bars.append(_held(expected_ms, min(step_ms, time_ms - expected_ms), close))
            expected_ms += bars[-1].duration_ms
        following_ms = series.times_ms[at + 1] if at + 1 < len(series.times_ms) else time_ms + step_ms
        bars.append(_exact(series.rows[at], time_ms, min(step_ms, following_ms - time_ms), close))
        close = bars[-1].close
        expected_ms = time_ms + bars[-1].duration_ms
    while expected_ms < to_ms:
        bars.append(_held(expected_ms, step_ms, close))
        expected_ms += step_ms
    return bars


def _close_before(series: BarSeries, first: int, first_filled: int) -> int:
    """The price that stands before row `first`: the last close before it, else the first price to come."""
    for at in range(first - 1, -1, -1):
        row = series.rows[at]
        if row is not None:
            return to_fixed(row[-1].strip())
    row = series.rows[first_filled]
    assert row is not None
    return to_fixed(row[0].strip())


def _held(time_ms: int, duration_ms: int, close: int) -> Bar:
    return Bar(time_ms, duration_ms, close, close, close, close, held=True)


def _exact(row: tuple[str, ...] | None, time_ms: int, duration_ms: int, previous_close: int) -> Bar:
    if row is None:
        return _held(time_ms, duration_ms, previous_close)
    prices = [to_fixed(text.strip()) for text in row]
    if len(prices) == 1:  # closes only: from the close before to this one
        low, high = sorted((previous_close, prices[0]))
        return Bar(time_ms, duration_ms, previous_close, high, low, prices[0])
    opened, high, low, close = prices
    return Bar(time_ms, duration_ms, opened, high, low, close)


def utc_text(time_ms: int) -> str:
    """Unix milliseconds as UTC, to the minute, for people."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
