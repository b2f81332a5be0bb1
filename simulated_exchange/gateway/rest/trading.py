"""Orders and what became of them.

Belongs here: requests to the desk and questions about the past. Does not belong here: the desk's steps and
the names of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.queries import HistoryQuery
from simulated_exchange.gateway.translate.refusals import not_supported
from simulated_exchange.gateway.translate.rows import (
    closure_row,
    exec_type_text,
    execution_row,
    order_row,
)
from simulated_exchange.ledger.records import OrderRecord

__all__ = ["ROUTES"]

Result = dict[str, Any]


def _matches(order: OrderRecord, question: HistoryQuery) -> bool:
    return (
        (question.instrument is None or order.instrument == question.instrument.index)
        and (question.order_id is None or order.order_id == question.order_id)
        and (not question.link_id or order.link_id == question.link_id)
        and (question.statuses is None or order.status in question.statuses)
        and question.start_ms <= order.created_us // 1000 <= question.end_ms
        and order.order_id < question.before
    )


def _orders(call: Call, *, is_realtime: bool) -> Result:
    category = call.query.get("category", "")
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=20, limit_max=50)
    if question is None or question.conditional_only or not question.settles_here:
        return page(category, [])
    memory = call.venue.memory(call.account)
    pool: Iterable[OrderRecord] = memory.orders()
    if is_realtime and question.open_only:
        pool = memory.live.values()
    found = sorted(
        (order for order in pool if _matches(order, question)),
        key=lambda order: order.order_id,
        reverse=True,
    )
    shown = found[: question.limit]
    cursor = str(shown[-1].order_id) if len(found) > len(shown) else ""
    catalogue = call.venue.catalogue
    return page(category, [order_row(order, catalogue[order.instrument]) for order in shown], cursor)


def _executions(call: Call) -> Result:
    category = call.query.get("category", "")
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=50, limit_max=100)
    if question is None or not question.settles_here:
        return page(category, [])
    found: list[Result] = []
    cursor, last = "", 0
    for execution in reversed(call.venue.memory(call.account).executions):
        order = execution.order
        if (
            execution.sequence >= question.before
            or (question.instrument is not None and execution.instrument != question.instrument.index)
            or not question.start_ms <= execution.wall_us // 1000 <= question.end_ms
            or (question.order_id is not None and (order is None or order.order_id != question.order_id))
            or (question.link_id and (order is None or order.link_id != question.link_id))
        ):
            continue
        if question.exec_type not in ("", exec_type_text(execution)):
            continue
        if len(found) == question.limit:
            cursor = str(last)
            break
        found.append(execution_row(execution, call.venue.catalogue[execution.instrument]))
        last = execution.sequence
    return page(category, found, cursor)


def _closed_pnl(call: Call) -> Result:
    category = call.query.get("category", "")
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=50, limit_max=100)
    if question is None:
        return page(category, [])
    found = [
        closure
        for closure in reversed(call.venue.memory(call.account).closures)
        if closure.sequence < question.before
        and (question.instrument is None or closure.instrument == question.instrument.index)
        and question.start_ms <= closure.updated_us // 1000 <= question.end_ms
    ]
    shown = found[: question.limit]
    cursor = str(shown[-1].sequence) if len(found) > len(shown) else ""
    catalogue = call.venue.catalogue
    return page(category, [closure_row(entry, catalogue[entry.instrument]) for entry in shown], cursor)


def _trading_stop(_call: Call) -> Result:
    raise not_supported("trading-stop", "place a reduce-only order instead")


def _desk(step: Any, group: str = "order") -> Route:
    def carry_out(call: Call) -> Reply:
        reply: Reply = step(call.desk, call.account, call.body)
        return reply

    return Route(carry_out, is_write=True, group=group)


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/v5/order/create"): _desk(OrderDesk.create),
    ("POST", "/v5/order/amend"): _desk(OrderDesk.amend),
    ("POST", "/v5/order/cancel"): _desk(OrderDesk.cancel),
    ("POST", "/v5/order/cancel-all"): _desk(OrderDesk.cancel_all),
    ("POST", "/v5/order/create-batch"): _desk(OrderDesk.create_batch),
    ("POST", "/v5/order/amend-batch"): _desk(OrderDesk.amend_batch),
    ("POST", "/v5/order/cancel-batch"): _desk(OrderDesk.cancel_batch),
    ("POST", "/v5/position/set-leverage"): _desk(OrderDesk.set_leverage, "position"),
    ("POST", "/v5/position/switch-mode"): _desk(OrderDesk.switch_mode, "position"),
    ("POST", "/v5/position/trading-stop"): Route(_trading_stop, is_write=True, group="position"),
    ("POST", "/v5/account/set-margin-mode"): _desk(OrderDesk.set_margin_mode, "account"),
    ("GET", "/v5/order/realtime"): Route(lambda call: _orders(call, is_realtime=True), group="history"),
    ("GET", "/v5/order/history"): Route(lambda call: _orders(call, is_realtime=False), group="history"),
    ("GET", "/v5/execution/list"): Route(_executions, group="history"),
    ("GET", "/v5/position/closed-pnl"): Route(_closed_pnl, group="history"),
}
