"""Orders and what became of them.

Belongs here: requests to the desk and questions about orders and executions. Does not belong here: the desk's
steps, positions (`rest.positions`) and the names of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.rest.positions import performed
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import position_requests, queries, requests
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.queries import HistoryQuery
from simulated_exchange.gateway.translate.refusals import invalid_parameter
from simulated_exchange.gateway.translate.rows import (
    exec_type_text,
    execution_row,
    order_reference_row,
    order_row,
    stop_order_type,
)
from simulated_exchange.gateway.translate.wallets import borrow_check_row, pre_check_rows
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger.records import Execution, OrderRecord

__all__ = ["ROUTES"]

Result = dict[str, Any]

RECENT_MAX = 500  # closed orders that realtime still tells of


def _matches(call: Call, order: OrderRecord, question: HistoryQuery) -> bool:
    if not queries.is_asked_for(question, call.venue.catalogue[order.instrument]):
        return False
    if not queries.filters_in(question.order_filter, stop_order_type(order)):
        return False
    return (
        (question.order_id is None or order.order_id == question.order_id)
        and (not question.link_id or order.link_id == question.link_id)
        and (question.statuses is None or order.status in question.statuses)
        and question.start_ms <= order.created_us // 1000 <= question.end_ms
        and order.order_id < question.before
    )


def _orders(call: Call, *, is_realtime: bool) -> Result:
    category = call.query.get("category", "")
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=20, limit_max=50)
    if question is None:
        return page(category, [])
    memory = call.venue.memory(call.account)
    pool: Iterable[OrderRecord] = memory.orders()
    if is_realtime and question.open_only:
        pool = memory.live.values()
    found = sorted(
        (order for order in pool if _matches(call, order, question)),
        key=lambda order: order.order_id,
        reverse=True,
    )
    shown = found[: question.limit]
    cursor = str(shown[-1].order_id) if len(found) > len(shown) else ""
    catalogue = call.venue.catalogue
    return page(category, [order_row(order, catalogue[order.instrument]) for order in shown], cursor)


def _is_wanted(call: Call, execution: Execution, question: HistoryQuery) -> bool:
    order = execution.order
    return (
        execution.sequence < question.before
        and queries.is_asked_for(question, call.venue.catalogue[execution.instrument])
        and question.start_ms <= execution.wall_us // 1000 <= question.end_ms
        and (question.order_id is None or (order is not None and order.order_id == question.order_id))
        and (not question.link_id or (order is not None and order.link_id == question.link_id))
        and question.exec_type in ("", exec_type_text(execution))
    )


def _executions(call: Call) -> Result:
    category = call.query.get("category", "")
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=50, limit_max=100)
    if question is None:
        return page(category, [])
    found: list[Result] = []
    cursor, last = "", 0
    for execution in reversed(call.venue.memory(call.account).executions):
        if not _is_wanted(call, execution, question):
            continue
        if len(found) == question.limit:
            cursor = str(last)
            break
        found.append(execution_row(execution, call.venue.catalogue[execution.instrument]))
        last = execution.sequence
    return page(category, found, cursor)


def _set_disconnect_window(call: Call) -> Result:
    request = position_requests.disconnect_request(call.body)
    performed(
        lambda: call.venue.driver.set_disconnect_window(
            account=call.account, products=request.products, seconds=request.seconds
        )
    )
    return {}


def _pre_check(call: Call) -> Result:
    """The account's margin rates before an order and, as far as its own margin goes, after it."""
    request = requests.order_request(call.body, call.venue.catalogue, requests.category_of(call.body))
    driver, instrument = call.venue.driver, request.instrument
    view = driver.account(call.account)
    price = request.price or driver.prices(instrument.index).mark
    value = instrument.value(request.qty, price)
    leverage = SCALE
    if not instrument.is_spot:
        leverage = driver.position(call.account, instrument.index).leverage * (SCALE // 100)
    coin = call.venue.coins.by_name(instrument.settle)
    usd = value * (call.venue.usd_price(coin.index) if coin else SCALE) // SCALE
    margin = 0 if request.reduce_only or instrument.is_spot else usd * SCALE // leverage
    tier = instrument.tiers[0].maintenance_rate if instrument.tiers else 0
    kept = 0 if request.reduce_only or instrument.is_spot else usd * tier // SCALE
    return {**order_reference_row(0, request.link_id), **pre_check_rows(view, margin, kept)}


def _borrow_check(call: Call) -> Result:
    """How much of spot could be bought or sold, with and without borrowing."""
    instrument = queries.market_instrument(call.query, call.venue.catalogue)
    if not instrument.is_spot:
        raise invalid_parameter("category", "spot")
    is_buy = queries.side_is_buy(call.query)
    driver, venue = call.venue.driver, call.venue
    coin = venue.coins.by_name(instrument.quote if is_buy else instrument.base)
    assert coin is not None
    held = next((view for view in driver.purses(call.account) if view.coin == coin.index), None)
    own = max(held.free, 0) if held else 0
    with_loan = own + (driver.borrowable_amount(call.account, coin.index) if coin.lending else 0)
    price = driver.prices(instrument.index).index
    return borrow_check_row(instrument, coin.name, is_buy=is_buy, own=own, with_loan=with_loan, price=price)


def _desk(step: Any, group: str) -> Route:
    def carry_out(call: Call) -> Reply:
        reply: Reply = step(call.desk, call.account, call.body)
        return reply

    return Route(carry_out, is_write=True, group=group, scope="order")


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/v5/order/create"): _desk(OrderDesk.create, "order.create"),
    ("POST", "/v5/order/amend"): _desk(OrderDesk.amend, "order.amend"),
    ("POST", "/v5/order/cancel"): _desk(OrderDesk.cancel, "order.cancel"),
    ("POST", "/v5/order/cancel-all"): _desk(OrderDesk.cancel_all, "order.cancel-all"),
    ("POST", "/v5/order/create-batch"): _desk(OrderDesk.create_batch, "order.create-batch"),
    ("POST", "/v5/order/amend-batch"): _desk(OrderDesk.amend_batch, "order.amend-batch"),
    ("POST", "/v5/order/cancel-batch"): _desk(OrderDesk.cancel_batch, "order.cancel-batch"),
    ("POST", "/v5/order/disconnected-cancel-all"): Route(
        _set_disconnect_window, is_write=True, group="position", scope="contract_order"
    ),
    ("POST", "/v5/order/pre-check"): Route(_pre_check, group="history"),
    ("GET", "/v5/order/spot-borrow-check"): Route(_borrow_check, group="history"),
    ("GET", "/v5/order/realtime"): Route(lambda call: _orders(call, is_realtime=True), group="history"),
    ("GET", "/v5/order/history"): Route(lambda call: _orders(call, is_realtime=False), group="history"),
    ("GET", "/v5/execution/list"): Route(_executions, group="history"),
}
