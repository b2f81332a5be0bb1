"""Messages <-> columns of the drift store.

Belongs here: which field goes to which column, and the digest by which the store ranks two versions of a row.
Does not belong here: SQL, connections, transactions (`sqlite`), the meaning of the figures (`relay.core`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from relay.core.alarms import Alarm
from relay.core.intake import Came, Refusal, is_late
from relay.core.venue_risk import VenueFact
from relay.core.verdicts import PublishedSignal
from relay.protocol.messages import (
    CopyReport,
    FillRow,
    MarketState,
    OrderRow,
    PositionState,
    Signal,
    StaggerPlan,
    StatusReport,
)

__all__ = [
    "COPY_COLUMNS",
    "FILL_COLUMNS",
    "ORDER_COLUMNS",
    "SIGNAL_COLUMNS",
    "STATUS_COLUMNS",
    "AlarmRecord",
    "CopyRows",
    "FeedEntry",
    "FeedHead",
    "MarketSample",
    "RefusedReport",
    "StoreItem",
    "VenueFact",
    "Word",
    "copy_from",
    "copy_row",
    "digest_of",
    "fill_rows",
    "order_rows",
    "rows_made",
    "signal_from",
    "signal_row",
    "status_from",
    "status_row",
]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FeedHead:
    """How far a leader's feed has been stored."""

    leader_id: str
    epoch: int
    seq: int
    header_hash: str


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One verified message of a leader's feed; `signal` is None where it only moves the head."""

    head: FeedHead
    signal: Signal | None


@dataclass(frozen=True, slots=True)
class RefusedReport:
    """A report that was not believed; `digest` makes its second delivery the same one."""

    digest: str
    subject: str
    refusal: Refusal
    word: StatusReport | None = None  # of a clock that is off: what the clock says is known by it
    came: Came | None = None


@dataclass(frozen=True, slots=True)
class MarketSample:
    """Prices of one symbol at one moment; `market_ms` where market time is not wall time."""

    symbol: str
    wall_ms: int
    market_ms: int | None
    index: str | None
    mark: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm that began, or is over since `until_ms`."""

    alarm: Alarm
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class CopyRows:
    """A report with its rows, made before the transaction that waits for the disk."""

    copy: CopyReport
    row: tuple[Any, ...]
    orders: list[tuple[Any, ...]]
    fills: list[tuple[Any, ...]]
    came: Came | None = None
    is_late: bool = False

    @classmethod
    def of(cls, copy: CopyReport, came: Came | None = None) -> CopyRows:
        late = came is not None and is_late(copy, came)
        return cls(copy, copy_row(copy), order_rows(copy), fill_rows(copy), came, late)


@dataclass(frozen=True, slots=True)
class Word:
    """A follower's word, and how it came."""

    status: StatusReport
    came: Came


_Report = CopyReport | CopyRows | StatusReport | Word | RefusedReport
StoreItem = FeedEntry | _Report | MarketSample | VenueFact | AlarmRecord


def rows_made(item: StoreItem) -> StoreItem:
    """The same item, with its rows where it is a copy; called while another batch is written."""
    return CopyRows.of(item) if isinstance(item, CopyReport) else item


_COPY_SKIPPED = ("orders",)
COPY_KEY = ("follower_id", "leader_id", "epoch", "seq")
COPY_COLUMNS = ("digest", *(name for name in CopyReport.__struct_fields__ if name not in _COPY_SKIPPED))
STATUS_COLUMNS = ("digest", *StatusReport.__struct_fields__)
ORDER_COLUMNS = (*COPY_KEY, "place", *(name for name in OrderRow.__struct_fields__ if name != "fills"))
FILL_COLUMNS = (*COPY_KEY, "client_order_id", "place", *FillRow.__struct_fields__)
_SIGNAL_PLAIN = (
    *("signal_id", "cause", "symbol", "side", "qty", "price", "equity", "account_leverage"),
    *("leader_exec_ms", "seen_ms", "sealed_ms", "expires_ms", "fee"),
)
_POSITION = {
    "position_qty": "qty",
    "entry_price": "entry_price",
    "exposure": "exposure",
    "leverage": "leverage",
    "margin_mode": "margin_mode",
    "position_mode": "position_mode",
    "take_profit": "take_profit",
    "stop_loss": "stop_loss",
}
_MARKET = {
    "mark_price": "mark",
    "index_price": "index",
    "last_price": "last",
    "bid_price": "bid",
    "ask_price": "ask",
    "venue": "venue",
    "depth_usdt": "depth_usdt",
    "open_interest": "open_interest",
}
SIGNAL_COLUMNS = (
    *("leader_id", "epoch", "seq", "fill_ids", "waves", "spacing_ms"),
    *_SIGNAL_PLAIN,
    *_POSITION,
    *_MARKET,
)


# Values of many fields at once: a monitor that catches up writes tens of thousands of rows a second.
_COPY_VALUES = attrgetter(*COPY_COLUMNS[1:])
_COPY_KEY_VALUES = attrgetter(*COPY_KEY)
_ORDER_VALUES = attrgetter(*ORDER_COLUMNS[len(COPY_KEY) + 1 :])
_FILL_VALUES = attrgetter(*FillRow.__struct_fields__)


def signal_row(head: FeedHead, signal: Signal) -> tuple[Any, ...]:
    """Values for `SIGNAL_COLUMNS`."""
    return (
        *(head.leader_id, head.epoch, head.seq),
        msgspec.json.encode(signal.fill_ids).decode(),
        *(signal.stagger.waves, signal.stagger.spacing_ms),
        *(getattr(signal, name) for name in _SIGNAL_PLAIN),
        *(getattr(signal.position, name) for name in _POSITION.values()),
        *(getattr(signal.market, name) for name in _MARKET.values()),
    )


def signal_from(row: Row) -> PublishedSignal:
    """The signal that `signal_row` wrote."""
    position = {field: row[column] for column, field in _POSITION.items()}
    signal = Signal(
        **{name: row[name] for name in _SIGNAL_PLAIN},
        fill_ids=msgspec.json.decode(row["fill_ids"], type=list[str]),
        position=PositionState(symbol=row["symbol"], **position),
        market=MarketState(**{field: row[column] for column, field in _MARKET.items()}),
        stagger=StaggerPlan(waves=row["waves"], spacing_ms=row["spacing_ms"]),
    )
    return PublishedSignal(row["leader_id"], row["epoch"], row["seq"], signal)


def copy_row(copy: CopyReport) -> tuple[Any, ...]:
    """Values for `COPY_COLUMNS`. The digest ranks by executions known, then by time, then by content."""
    fills = sum(len(order.fills) for order in copy.orders)
    digest = f"{fills:06d}{copy.executed_ms or 0:014d}{digest_of(copy)}"
    return (digest, *_COPY_VALUES(copy))


def order_rows(copy: CopyReport) -> list[tuple[Any, ...]]:
    """Values for `ORDER_COLUMNS`, one per order."""
    key = _COPY_KEY_VALUES(copy)
    return [(*key, place, *_ORDER_VALUES(order)) for place, order in enumerate(copy.orders)]


def fill_rows(copy: CopyReport) -> list[tuple[Any, ...]]:
    """Values for `FILL_COLUMNS`, one per execution."""
    key = _COPY_KEY_VALUES(copy)
    return [
        (*key, order.client_order_id, place, *_FILL_VALUES(fill))
        for order in copy.orders
        for place, fill in enumerate(order.fills)
    ]


def copy_from(row: Row, orders: list[Row], fills: Mapping[str, list[Row]]) -> CopyReport:
    """The report that `copy_row`, `order_rows` and `fill_rows` wrote; `fills` by client order id."""
    values = {name: row[name] for name in COPY_COLUMNS[1:]}
    values.update(paper=bool(row["paper"]), is_exit=bool(row["is_exit"]))
    return CopyReport(**values, orders=[_order_from(o, fills.get(o["client_order_id"], [])) for o in orders])


def status_row(status: StatusReport) -> tuple[Any, ...]:
    """Values for `STATUS_COLUMNS`."""
    values = {name: getattr(status, name) for name in StatusReport.__struct_fields__}
    values["positions"] = msgspec.json.encode(status.positions).decode()
    return (digest_of(status), *values.values())


def status_from(row: Row) -> StatusReport:
    """The status that `status_row` wrote."""
    values = {name: row[name] for name in StatusReport.__struct_fields__}
    values["paper"] = bool(row["paper"])
    values["positions"] = msgspec.json.decode(row["positions"], type=list[PositionState])
    return StatusReport(**values)


def _order_from(row: Row, fills: list[Row]) -> OrderRow:
    values = {name: row[name] for name in ORDER_COLUMNS[len(COPY_KEY) + 1 :]}
    values["reduce_only"] = bool(row["reduce_only"])
    return OrderRow(**values, fills=[_fill_from(fill) for fill in fills])


def _fill_from(row: Row) -> FillRow:
    values = {name: row[name] for name in FillRow.__struct_fields__}
    values["is_maker"] = bool(row["is_maker"])
    return FillRow(**values)


def digest_of(message: CopyReport | StatusReport | Signal) -> str:
    """What a message is known by, whoever stores it."""
    return hashlib.sha256(msgspec.json.encode(message)).hexdigest()
