"""Recorded fills of a real trader -> the orders a demonstration leader sends.

Belongs here: reading one account's rows, merging the fills of one order, mapping them onto the run's clock
and the leader's size. Pure apart from reading the file. Does not belong here: trading.

What is kept: side, direction and the *fraction of the position* of every recorded order. What is not: prices
(they come from the market of the run) and absolute sizes. Every coin's position is measured against that
coin's own peak in the selection; the sum over coins, divided by its own peak, is the leader's position. One
coin therefore keeps its shape exactly; several coins become slices of one position, and the run is called
transplanted.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path

__all__ = ["LeaderFillsError", "LeaderPlan", "PlannedOrder", "load_leader_plan"]

_INDIA = timezone(timedelta(hours=5, minutes=30))
_ROWS_MAX = 1_000_000
_QTY_MAX = Decimal(10**15)
_TIME_MIN_MS, _TIME_MAX_MS = 1_230_768_000_000, 4_102_444_800_000  # 2009 to 2100
_COLUMNS = {
    "account": ("slot", "Account"),
    "coin": ("coin", "Coin"),
    "side": ("side", "Side"),
    "qty": ("sz", "Size Tokens"),
    "time": ("time_ms", "Timestamp IST"),
    "start": ("startPosition", "Start Position"),
    "order": ("oid", "Order ID"),
}


class LeaderFillsError(ValueError):
    """The file can't be used: one line that names file, row and column, and says what is allowed."""


@dataclass(frozen=True, slots=True)
class _Fill:
    time_ms: int
    coin: str
    qty: Decimal  # signed
    start: Decimal  # signed position before this fill
    order: str


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One order of the leader: when (share of the run, 0..1) and the position after it (of its peak)."""

    at: float
    position: Decimal  # signed, -1..1; the sum over coins divided by its own peak


@dataclass(frozen=True, slots=True)
class LeaderPlan:
    """What to trade, and how far it was moved from where it was recorded."""

    orders: tuple[PlannedOrder, ...]
    account: str
    coins: tuple[str, ...]
    fills: int
    gaps: int  # orders that do not begin where the one before them ended: rows are missing there
    times_moved: bool
    symbol_moved: bool

    @property
    def transplanted(self) -> bool:
        return self.times_moved or self.symbol_moved


def load_leader_plan(
    path: Path, *, account: str, symbol: str, window_ms: tuple[int, int] | None
) -> LeaderPlan:
    """Read `account`'s fills and map them onto the run.

    `symbol` is the venue's (`BTCUSDT`). When the account traded that coin, only its rows are used; otherwise
    all of its rows are moved onto the symbol. `window_ms` is the replayed window (market time); when rows lie
    in it they keep their times, else the whole recording is stretched over it. Raises LeaderFillsError.
    """
    base = symbol.removesuffix("USDT")
    fills = list(_read(path, account))
    if not fills:
        raise LeaderFillsError(f"{path}: no rows of account {account!r} with role leader")
    same_coin = [fill for fill in fills if fill.coin == base]
    symbol_moved = not same_coin
    chosen = same_coin or fills
    inside = [f for f in chosen if window_ms is not None and window_ms[0] <= f.time_ms < window_ms[1]]
    times_moved = len(inside) < 2
    if not times_moved:
        chosen = inside
    chosen.sort(key=lambda fill: fill.time_ms)  # stable: file order within one instant
    begin_ms, end_ms = (
        window_ms
        if window_ms is not None and not times_moved
        else (chosen[0].time_ms, chosen[-1].time_ms + 1)
    )
    orders, gaps = _orders(chosen, begin_ms, max(end_ms, begin_ms + 1))
    return LeaderPlan(
        orders=orders,
        account=account,
        coins=tuple(sorted({fill.coin for fill in chosen})),
        fills=len(chosen),
        gaps=gaps,
        times_moved=times_moved,
        symbol_moved=symbol_moved,
    )


def _orders(fills: list[_Fill], begin_ms: int, end_ms: int) -> tuple[tuple[PlannedOrder, ...], int]:
    """The position after each order as a share of its peak, and how often a row is missing in between."""
    held: dict[str, Decimal] = {}
    steps: list[tuple[int, str, Decimal]] = []
    gaps = 0
    for _, group in groupby(fills, key=lambda fill: (fill.order, fill.coin)):
        order = list(group)
        opening = _opening(order)
        coin = order[0].coin
        if coin not in held and opening:
            steps.append((begin_ms, coin, opening))  # carried in from before the recording
        gaps += held.get(coin, opening) != opening
        held[coin] = opening + sum((fill.qty for fill in order), Decimal(0))
        steps.append((order[0].time_ms, coin, held[coin]))
    steps.sort(key=lambda step: step[0])  # what was carried in stands at the beginning
    peaks: dict[str, Decimal] = {}
    for _, coin, qty in steps:
        peaks[coin] = max(peaks.get(coin, Decimal(0)), abs(qty))
    shares: dict[str, Decimal] = {}
    path: list[tuple[int, Decimal]] = []
    for time_ms, coin, qty in steps:
        shares[coin] = qty / peaks[coin] if peaks[coin] else Decimal(0)
        path.append((time_ms, sum(shares.values(), Decimal(0))))
    peak = max((abs(total) for _, total in path), default=Decimal(0)) or Decimal(1)
    span_ms = end_ms - begin_ms
    return tuple(PlannedOrder((time_ms - begin_ms) / span_ms, total / peak) for time_ms, total in path), gaps


def _opening(order: list[_Fill]) -> Decimal:
    """The position before an order. Its rows may be unsorted within an instant: buys begin at the lowest
    start, sells at the highest."""
    starts = [fill.start for fill in order]
    return min(starts) if order[0].qty > 0 else max(starts)


def _read(path: Path, account: str) -> Iterator[_Fill]:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw).decode() if path.suffix == ".gz" else raw.decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise LeaderFillsError(f"{path}: can't be read: {error}") from None
    rows = csv.DictReader(io.StringIO(text))
    header = rows.fieldnames or []
    columns: dict[str, str] = {}
    for name, aliases in _COLUMNS.items():
        found = next((alias for alias in aliases if alias in header), None)
        if found is None:
            raise LeaderFillsError(f"{path}: column missing: {' or '.join(aliases)}")
        columns[name] = found
    for number, row in enumerate(rows, start=2):
        if number > _ROWS_MAX:
            raise LeaderFillsError(f"{path}: more than {_ROWS_MAX} rows")
        if row.get("role", "leader") == "leader" and _is_account(row[columns["account"]], account):
            yield _fill(path, number, row, columns)


def _is_account(owner: str, account: str) -> bool:
    """A name as it stands in the file, or the beginning of an on-chain address (`0x513b`)."""
    return owner == account or (account.startswith("0x") and len(account) >= 6 and owner.startswith(account))


def _fill(path: Path, number: int, row: dict[str, str], columns: dict[str, str]) -> _Fill:
    side = row[columns["side"]].lower()
    if side not in ("buy", "sell"):
        raise LeaderFillsError(f"{path} row {number} column {columns['side']}: {side!r}, allowed: buy, sell")
    numbers: dict[str, Decimal] = {}
    for name in ("qty", "start"):
        try:
            numbers[name] = Decimal(row[columns[name]])
        except (InvalidOperation, TypeError):
            raise LeaderFillsError(
                f"{path} row {number} column {columns[name]}: {row[columns[name]]!r} is not a decimal number"
            ) from None
    if not numbers["qty"].is_finite() or not 0 < numbers["qty"] < _QTY_MAX:
        raise LeaderFillsError(
            f"{path} row {number} column {columns['qty']}: allowed: above 0, below {_QTY_MAX}"
        )
    if not numbers["start"].is_finite() or not abs(numbers["start"]) < _QTY_MAX:
        raise LeaderFillsError(f"{path} row {number} column {columns['start']}: allowed: below {_QTY_MAX}")
    return _Fill(
        time_ms=_time_ms(path, number, columns["time"], row[columns["time"]]),
        coin=row[columns["coin"]],
        qty=numbers["qty"] if side == "buy" else -numbers["qty"],
        start=numbers["start"],
        order=row[columns["order"]],
    )


def _time_ms(path: Path, number: int, column: str, text: str) -> int:
    form = "milliseconds" if column == "time_ms" else "dd-mm-yyyy HH:MM"
    try:
        if column == "time_ms":
            found = int(text)
        else:
            local = datetime.strptime(text, "%d-%m-%Y %H:%M").replace(tzinfo=_INDIA)
            found = int(local.astimezone(UTC).timestamp() * 1000)
        if _TIME_MIN_MS <= found < _TIME_MAX_MS:
            return found
    except (ValueError, TypeError, OverflowError):
        pass
    raise LeaderFillsError(
        f"{path} row {number} column {column}: {text!r}, allowed: {form} between 2009 and 2100"
    ) from None
