"""Rows of orders, executions, closed profit and wallet movements, with every documented field.

Belongs here: wire names and texts of what happened to an account. Does not belong here: positions and
balances (`standing`), market data (`market`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulated_exchange.gateway.translate.numbers import (
    decimal_text,
    fixed_text,
    funding_rate_text,
    leverage_text,
    rate_text,
    ratio,
)
from simulated_exchange.instruments import Catalogue, Instrument
from simulated_exchange.ledger.records import Closure, Execution, OrderRecord, OrderStatus, WalletMovement

__all__ = [
    "batch_row",
    "cancelled_rows",
    "closure_row",
    "exec_id_text",
    "exec_type_text",
    "execution_row",
    "fast_execution_row",
    "movement_row",
    "order_id_text",
    "order_reference_row",
    "order_row",
    "parse_order_id",
    "side_text",
    "status_filter",
    "stream_execution_row",
    "stream_order_row",
    "trade_id_text",
]

Row = dict[str, Any]

_ORDER_ID_PREFIX = "51700000-0000-4000-8000-"
_STATUS = {
    OrderStatus.NEW: "New",
    OrderStatus.PARTIALLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELLED: "Cancelled",
}
_CANCEL_TYPE = {
    "": "UNKNOWN",
    "User": "CancelByUser",
    "ReduceOnly": "CancelByReduceOnly",
    "Liquidation": "CancelByPrepareLiq",
    "Adl": "CancelByPrepareAdl",
    "SelfMatch": "CancelBySmp",
    "InsufficientMargin": "CancelByCannotAffordOrderCost",
}
_REJECT_REASON = {
    "User": "EC_PerCancelRequest",
    "ImmediateOrCancel": "EC_NoImmediateQtyToFill",
    "FillOrKill": "EC_CancelForNoFullFill",
    "PostOnlyWouldTake": "EC_PostOnlyWillTakeLiquidity",
}
_CREATE_TYPE = {
    "Trade": "CreateByUser",
    "TakeOver": "CreateByTakeOver_PassThrough",
    "Adl": "CreateByAdl_PassThrough",
}
_EXEC_TYPE = {"Trade": "Trade", "TakeOver": "BustTrade", "Adl": "AdlTrade"}
_MOVEMENT_TYPE = {
    "Deposit": "TRANSFER_IN",
    "Withdraw": "TRANSFER_OUT",
    "Trade": "TRADE",
    "TakeOver": "LIQUIDATION",
    "Adl": "ADL",
    "Funding": "SETTLEMENT",
}


def order_id_text(order_id: int) -> str:
    """The order's number in the form of the wire; "" for none."""
    return f"{_ORDER_ID_PREFIX}{order_id:012x}" if order_id else ""


def parse_order_id(text: object) -> int:
    """The number behind an order id; 0 when it is none of ours."""
    if not isinstance(text, str) or len(text) != 36 or not text.startswith(_ORDER_ID_PREFIX):
        return 0
    try:
        number = int(text[24:], 16)
    except ValueError:
        return 0
    return number if order_id_text(number) == text else 0


def order_reference_row(order_id: int, link_id: str) -> Row:
    """What create, amend and cancel answer."""
    return {"orderId": order_id_text(order_id), "orderLinkId": link_id}


def cancelled_rows(orders: list[tuple[int, str]]) -> Row:
    """What cancel-all answers."""
    return {"list": [order_reference_row(*order) for order in orders], "success": "1"}


def batch_row(entry: Mapping[str, Any], reference: Row, created_ms: int | None) -> Row:
    """One entry of a batch's answer; a refused one has no id. `created_ms` is None except for create."""
    row = {
        "category": "linear",
        "symbol": str(entry.get("symbol", ""))[:32],
        "orderId": reference.get("orderId", ""),
        "orderLinkId": reference.get("orderLinkId") or str(entry.get("orderLinkId") or "")[:36],
    }
    if created_ms is not None:
        row["createAt"] = str(created_ms) if created_ms else ""
    return row


def trade_id_text(trade_id: int) -> str:
    """A trade as the public sees it; the taker's execution has the same id."""
    return f"51700000-0000-4000-a000-{trade_id:012x}"


def exec_id_text(execution: Execution) -> str:
    """One side of a trade; both sides of a self-trade differ."""
    if execution.order is None or execution.kind != "Trade":
        return f"51700000-0000-4000-b000-{execution.sequence:012x}"
    if execution.is_maker:
        return f"51700000-0000-4000-9000-{execution.trade_id:012x}"
    return trade_id_text(execution.trade_id)


def side_text(is_buy: bool) -> str:
    """The wire's word."""
    return "Buy" if is_buy else "Sell"


def status_filter(text: str) -> set[OrderStatus] | None:
    """The states behind a filter of order history; None when the wire knows no such state."""
    for status, name in _STATUS.items():
        if name == text:
            return {status}
    known = {"Rejected", "PartiallyFilledCanceled", "Untriggered", "Triggered", "Deactivated"}
    return set() if text in known else None


def _average_price(order: OrderRecord) -> str:
    return decimal_text(ratio(order.filled_value, order.filled_qty)) if order.filled_qty else ""


def order_row(order: OrderRecord, instrument: Instrument) -> Row:
    """The row of realtime and history."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    return {
        "orderId": order_id_text(order.order_id),
        "orderLinkId": order.link_id,
        "parentOrderLinkId": "",
        "blockTradeId": "",
        "symbol": instrument.symbol,
        "price": fixed_text(order.price, price),
        "qty": fixed_text(order.qty, qty),
        "side": "Buy" if order.is_buy else "Sell",
        "isLeverage": "",
        "positionIdx": 0,
        "orderStatus": _STATUS[order.status],
        "createType": "CreateByUser",
        "cancelType": _CANCEL_TYPE.get(order.cancel_reason, "UNKNOWN"),
        "rejectReason": _REJECT_REASON.get(order.cancel_reason, "EC_NoError"),
        "avgPrice": _average_price(order),
        "leavesQty": fixed_text(order.leaves, qty),
        "leavesValue": decimal_text(order.leaves * order.price // 10**8),
        "cumExecQty": fixed_text(order.filled_qty, qty),
        "cumExecValue": decimal_text(order.filled_value),
        "cumExecFee": decimal_text(order.fee),
        "timeInForce": order.time_in_force,
        "orderType": "Market" if order.is_market else "Limit",
        "stopOrderType": "",
        "orderIv": "",
        "marketUnit": "",
        "slippageToleranceType": "UNKNOWN",
        "slippageTolerance": "",
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "",
        "ocoTriggerBy": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": fixed_text(order.last_price_on_created, price),
        "basePrice": "",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": False,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "createdTime": str(order.created_us // 1000),
        "updatedTime": str(order.updated_us // 1000),
        "extraFees": "",
        "cumFeeDetail": {instrument.quote: decimal_text(order.fee)} if order.filled_qty else {},
        "rpiTakerAccess": False,
        "rpiMatchedQty": "",
    }


def stream_order_row(order: OrderRecord, instrument: Instrument) -> Row:
    """The row of the order topic."""
    row = order_row(order, instrument)
    del row["basePrice"], row["extraFees"]
    row["category"] = "linear"
    row["brokerOrderPrice"] = ""
    row["closedPnl"] = decimal_text(order.closed_pnl)
    row["feeCurrency"] = ""
    return row


def exec_type_text(execution: Execution) -> str:
    """How the wire calls this kind of execution."""
    return _EXEC_TYPE[execution.kind]


def execution_row(execution: Execution, instrument: Instrument) -> Row:
    """The row of the execution list."""
    order = execution.order
    price, qty = instrument.price_decimals, instrument.qty_decimals
    return {
        "symbol": instrument.symbol,
        "orderId": order_id_text(order.order_id) if order else exec_id_text(execution),
        "orderLinkId": order.link_id if order else "",
        "side": "Buy" if execution.is_buy else "Sell",
        "orderPrice": fixed_text(order.price if order else execution.price, price),
        "orderQty": fixed_text(order.qty if order else execution.qty, qty),
        "leavesQty": fixed_text(execution.leaves, qty),
        "createType": _CREATE_TYPE[execution.kind],
        "orderType": "Market" if order is None or order.is_market else "Limit",
        "stopOrderType": "UNKNOWN",
        "execFee": decimal_text(execution.fee),
        "execFeeV2": "",
        "execId": exec_id_text(execution),
        "execPrice": fixed_text(execution.price, price),
        "execQty": fixed_text(execution.qty, qty),
        "execType": _EXEC_TYPE[execution.kind],
        "execValue": decimal_text(execution.value),
        "execTime": str(execution.wall_us // 1000),
        "feeCurrency": instrument.quote,
        "isMaker": execution.is_maker,
        "feeRate": decimal_text(instrument.maker_fee if execution.is_maker else instrument.taker_fee),
        "tradeIv": "",
        "markIv": "",
        "markPrice": fixed_text(execution.mark_price, price),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": decimal_text(execution.closed_qty) if execution.closed_qty else "",
        "seq": execution.sequence,
        "extraFees": "",
        "isLeverage": "0",
    }


def stream_execution_row(execution: Execution, instrument: Instrument) -> Row:
    """The row of the execution topic."""
    row = execution_row(execution, instrument)
    del row["execFeeV2"]
    row["extraFees"] = []
    row["category"] = "linear"
    row["marketUnit"] = ""
    row["execPnl"] = decimal_text(execution.realised_pnl)
    return row


def fast_execution_row(execution: Execution, instrument: Instrument) -> Row:
    """The row of the execution.fast topic."""
    order = execution.order
    return {
        "category": "linear",
        "symbol": instrument.symbol,
        "execId": exec_id_text(execution),
        "execPrice": fixed_text(execution.price, instrument.price_decimals),
        "execQty": fixed_text(execution.qty, instrument.qty_decimals),
        "orderId": order_id_text(order.order_id) if order else exec_id_text(execution),
        "isMaker": execution.is_maker,
        "orderLinkId": order.link_id if order else "",
        "side": "Buy" if execution.is_buy else "Sell",
        "execTime": str(execution.wall_us // 1000),
        "seq": execution.sequence,
    }


def closure_row(closure: Closure, instrument: Instrument) -> Row:
    """The row of closed profit and loss."""
    order = closure.order
    price, qty = instrument.price_decimals, instrument.qty_decimals
    closed = closure.closed_qty
    return {
        "symbol": instrument.symbol,
        "orderId": order_id_text(order.order_id) if order else "",
        "side": "Buy" if closure.is_buy else "Sell",
        "qty": fixed_text(order.qty if order else closed, qty),
        "orderPrice": fixed_text(order.price if order else ratio(closure.exit_value, closed), price),
        "orderType": "Market" if order is None or order.is_market else "Limit",
        "execType": _EXEC_TYPE[closure.kind],
        "closedSize": fixed_text(closed, qty),
        "cumEntryValue": decimal_text(closure.entry_value),
        "avgEntryPrice": decimal_text(ratio(closure.entry_value, closed)),
        "cumExitValue": decimal_text(closure.exit_value),
        "avgExitPrice": decimal_text(ratio(closure.exit_value, closed)),
        "closedPnl": decimal_text(closure.pnl),
        "fillCount": str(closure.fills),
        "leverage": leverage_text(closure.leverage or instrument.default_leverage),
        "openFee": decimal_text(closure.open_fee),
        "closeFee": decimal_text(closure.close_fee),
        "createdTime": str(closure.created_us // 1000),
        "updatedTime": str(closure.updated_us // 1000),
    }


def _fee_rate(movement: WalletMovement) -> str:
    if movement.funding is not None:
        return funding_rate_text(movement.funding.rate)
    execution = movement.execution
    return rate_text(execution.fee, execution.value) if execution else "0"


def movement_row(movement: WalletMovement, catalogue: Catalogue, coin: str) -> Row:
    """The row of the transaction log."""
    execution, funding = movement.execution, movement.funding
    cause = execution or funding
    instrument = catalogue[cause.instrument] if cause else None
    order = execution.order if execution else None
    cash_flow = execution.realised_pnl if execution else 0 if funding else movement.change
    return {
        "id": f"{movement.sequence}",
        "symbol": instrument.symbol if instrument else "",
        "category": "linear" if instrument else "",
        "side": side_text(execution.is_buy)
        if execution
        else side_text(funding.qty > 0)
        if funding
        else "None",
        "transactionTime": str(movement.wall_us // 1000),
        "type": _MOVEMENT_TYPE[movement.reason],
        "transSubType": "",
        "qty": decimal_text(execution.qty) if execution else "0",
        "size": decimal_text(execution.closed_qty if execution else funding.qty if funding else 0),
        "currency": coin,
        "tradePrice": decimal_text(execution.price if execution else funding.mark_price if funding else 0),
        "funding": decimal_text(movement.change) if funding else "",
        "fee": decimal_text(execution.fee) if execution else "0",
        "cashFlow": decimal_text(cash_flow),
        "change": decimal_text(movement.change),
        "cashBalance": decimal_text(movement.balance),
        "feeRate": _fee_rate(movement),
        "bonusChange": "",
        "tradeId": exec_id_text(execution) if execution else "",
        "orderId": order_id_text(order.order_id) if order else "",
        "orderLinkId": order.link_id if order else "",
        "extraFees": "",
    }
