"""Rows of the follower's store: how a copy, an order, a fill and the head of a feed are written and read.

Belongs here: their statements and columns. Does not belong here: tables (`store_schema`), transactions
(`store`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from follower_client.records import Copy, Order
from follower_client.store_schema import crc
from follower_client.venue.port import VenueFill

__all__ = [
    "GET_FILLS",
    "PUT_COPY",
    "PUT_FILL",
    "PUT_HEAD",
    "PUT_ORDER",
    "fill_of",
    "row_of_copy",
    "row_of_fill",
    "row_of_order",
]

PUT_HEAD = (
    "INSERT INTO feed VALUES(?1,?2,?3,?4,crc(?1,?2,?3,?4)) ON CONFLICT(leader_id) DO UPDATE SET "
    "epoch=excluded.epoch, seq=excluded.seq, hash=excluded.hash, crc=excluded.crc "
    "WHERE excluded.seq >= seq"
)
PUT_COPY = (
    "INSERT INTO copies VALUES(?1,?2,?3,?4,?5,?6,crc(?1,?2,?3,?4,?5,?6)) "
    "ON CONFLICT(leader_id, epoch, seq) DO UPDATE SET "
    "verdict=excluded.verdict, reason=excluded.reason, body=excluded.body, crc=excluded.crc "
    "WHERE copies.verdict IS NULL"
)
PUT_ORDER = (
    "INSERT INTO orders VALUES(?1,?2,?3,?4,?5,?6,?7,?8,crc(?1,?2,?3,?4,?5,?6,?7,?8)) "
    "ON CONFLICT(client_order_id) DO UPDATE SET "
    "state=excluded.state, body=excluded.body, crc=excluded.crc"
)
PUT_FILL = "INSERT OR IGNORE INTO fills VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"
GET_FILLS = (
    "SELECT fill_id, client_order_id, order_id, symbol, is_buy, qty, price, fee, fee_currency, "
    "executed_ms, is_maker FROM fills WHERE client_order_id=? ORDER BY executed_ms, fill_id"
)


def row_of_copy(copy: Copy) -> tuple[object, ...]:
    """For `PUT_COPY`."""
    return copy.leader_id, copy.epoch, copy.seq, copy.verdict, copy.reason, msgspec.json.encode(copy)


def row_of_order(order: Order) -> tuple[object, ...]:
    """For `PUT_ORDER`."""
    return (
        *(order.client_order_id, order.leader_id, order.epoch, order.seq, order.leg, order.n),
        *(order.state.value, msgspec.json.encode(order)),
    )


def row_of_fill(fill: VenueFill) -> tuple[object, ...]:
    """For `PUT_FILL`."""
    row = (
        *(fill.fill_id, fill.client_order_id, fill.symbol, int(fill.is_buy), str(fill.qty)),
        *(str(fill.price), str(fill.fee), fill.fee_currency, fill.executed_ms, int(fill.is_maker)),
        fill.order_id,
    )
    return *row, crc(*row)


def fill_of(row: Sequence[Any]) -> VenueFill:
    """One of `GET_FILLS`."""
    return VenueFill(
        fill_id=row[0],
        client_order_id=row[1],
        order_id=row[2],
        symbol=row[3],
        is_buy=bool(row[4]),
        qty=Decimal(row[5]),
        price=Decimal(row[6]),
        fee=Decimal(row[7]),
        fee_currency=row[8],
        executed_ms=row[9],
        is_maker=bool(row[10]),
    )
