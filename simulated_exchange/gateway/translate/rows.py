"""Rows of orders and executions, with every documented field.

Belongs here: wire names and texts of what became of an account's orders. Does not belong here: closed profit
and wallet movements (`history`), positions and balances (`standing`, `wallets`), market data (`market`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulated_exchange.gateway.translate.numbers import decimal_text, fixed_text, funding_rate_text
from simulated_exchange.instruments import SCALE, Instrument
from simulated_exchange.ledger.records import Execution, OrderRecord, OrderStatus

__all__ = [
    "EXEC_TYPES",
    "batch_row",
    "cancelled_rows",
    "exec_id_text",
    "exec_type_text",
    "execution_row",
    "fast_execution_row",
    "fee_coin",
    "order_id_text",
    "order_reference_row",
    "order_row",
    "parse_order_id",
    "side_text",
    "status_filter",
    "stop_order_type",
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
    OrderStatus.UNTRIGGERED: "Untriggered",
    OrderStatus.DEACTIVATED: "Deactivated",
    OrderStatus.FILLED_IN_PART: "PartiallyFilledCanceled",
}
_CANCEL_TYPE = {
    "": "UNKNOWN",
    "User": "CancelByUser",
    "ReduceOnly": "CancelByReduceOnly",
    "Liquidation": "CancelByPrepareLiq",
    "Adl": "CancelByPrepareAdl",
    "SelfMatch": "CancelBySmp",
    "InsufficientMargin": "CancelByCannotAffordOrderCost",
    "TriggerRefused": "CancelByCannotAffordOrderCost",
    "Delivery": "CancelBySettle",
    "Disconnected": "CancelByDCP",
    "TpSlCleared": "CancelByTpSlTsClear",
    "PairTriggered": "CancelByOCOTpCanceledBySlTriggered",
}
_REJECT_REASON = {
    "User": "EC_PerCancelRequest",
    "ImmediateOrCancel": "EC_NoImmediateQtyToFill",
    "FillOrKill": "EC_CancelForNoFullFill",
    "PostOnlyWouldTake": "EC_PostOnlyWillTakeLiquidity",
    "SelfMatch": "EC_BySelfMatch",
}
_STOP_TYPE = {"Plain": "", "SpotTpSl": "tpslOrder"}  # what waits for a price is named as on the wire
_CREATE_TYPE = {"Closing": "CreateByClosing", "Liquidation": "CreateByLiq"}
_CREATE_BY_STOP = {"Plain": "CreateByUser", "Stop": "CreateByStopOrder"}
_CREATE_BY_KIND = {
    "TakeOver": "CreateByTakeOver_PassThrough",
    "Adl": "CreateByAdl_PassThrough",
    "Netting": "CreateByLiq",
    "Delivery": "CreateBySettle",
    "Funding": "CreateByUser",
}
EXEC_TYPES = {
    "Trade": "Trade",
    "TakeOver": "BustTrade",
    "Adl": "AdlTrade",
    "Netting": "BustTrade",
    "Delivery": "Delivery",
    "Funding": "Funding",
}
_DIRECTION = {"Rise": 1, "Fall": 2}
_SELF_MATCH = {"Allow": "None"}
_LEVERAGE = {False: "0", True: "1"}
_SLIPPAGE_PERCENT = SCALE // 100


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


def batch_row(category: str, entry: Mapping[str, Any], reference: Row, created_ms: int | None) -> Row:
    """One entry of a batch's answer; a refused one has no id. `created_ms` is None except for create."""
    row = {
        "category": category,
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
    return set() if text in ("Rejected", "Triggered") else None


def stop_order_type(order: OrderRecord) -> str:
    """What kind of order waits, or waited, for a price; "" for any other."""
    return _STOP_TYPE.get(order.kind, order.kind)


def _create_type(order: OrderRecord) -> str:
    if order.create_type != "User":
        return _CREATE_TYPE.get(order.create_type, f"CreateBy{order.create_type}")
    return _CREATE_BY_STOP.get(order.kind, f"CreateBy{order.kind}")


def _cancel_type(order: OrderRecord) -> str:
    """Why it ended; one of a pair says which of the two was triggered."""
    if order.cancel_reason == "PairTriggered" and order.kind.endswith("StopLoss"):
        return "CancelByOCOSlCanceledByTpTriggered"
    return _CANCEL_TYPE.get(order.cancel_reason, "UNKNOWN")


def fee_coin(instrument: Instrument, is_buy: bool) -> str:
    """The coin a fee is paid in: of spot what the trader gets, otherwise the one of settlement."""
    return instrument.base if instrument.is_spot and is_buy else instrument.settle


def _slippage(order: OrderRecord) -> Row:
    kind, value = "UNKNOWN", ""
    if order.slippage_ticks:
        kind, value = "TickSize", str(order.slippage_ticks)
    elif order.slippage_ratio:
        kind, value = "Percent", decimal_text(order.slippage_ratio * SCALE // _SLIPPAGE_PERCENT)
    return {"slippageToleranceType": kind, "slippageTolerance": value}


def _stops(order: OrderRecord, price_decimals: int) -> Row:
    """What an order waits for, and what is to guard the position it makes."""

    def text(price: int) -> str:
        return fixed_text(price, price_decimals) if price else ""

    return {
        "triggerPrice": text(order.trigger_price),
        "takeProfit": text(order.take_profit),
        "stopLoss": text(order.stop_loss),
        "tpslMode": order.tpsl_mode,
        "ocoTriggerBy": "",
        "tpLimitPrice": text(order.take_profit_limit),
        "slLimitPrice": text(order.stop_loss_limit),
        "tpTriggerBy": order.take_profit_by,
        "slTriggerBy": order.stop_loss_by,
        "triggerDirection": _DIRECTION.get(order.trigger_direction, 0),
        "triggerBy": order.trigger_by,
    }


def _average_price(order: OrderRecord, instrument: Instrument) -> str:
    return (
        decimal_text(instrument.average_price(order.filled_qty, order.filled_value))
        if order.filled_qty
        else ""
    )


def _market_unit(order: OrderRecord) -> str:
    """What a market order's quantity is in; clients take that of a buy for the quote coin unless told."""
    if not order.is_market:
        return ""
    return "quoteCoin" if order.spend else "baseCoin"


def order_row(order: OrderRecord, instrument: Instrument) -> Row:
    """The row of realtime and history. Clients tell spot by the keys `tpslMode` and `createType`: it has
    none.
    """
    price, qty = instrument.price_decimals, instrument.qty_decimals
    coin = fee_coin(instrument, order.is_buy)
    row = {
        "orderId": order_id_text(order.order_id),
        "orderLinkId": order.link_id,
        "parentOrderLinkId": "",
        "blockTradeId": "",
        "symbol": instrument.symbol,
        "price": fixed_text(order.price, price),
        "qty": decimal_text(order.spend) if order.spend else fixed_text(order.qty, qty),
        "side": "Buy" if order.is_buy else "Sell",
        "isLeverage": _LEVERAGE[order.is_leveraged] if instrument.is_spot else "",
        "positionIdx": order.position_index,
        "orderStatus": _STATUS[order.status],
        "createType": _create_type(order),
        "cancelType": _cancel_type(order),
        "rejectReason": _REJECT_REASON.get(order.cancel_reason, "EC_NoError"),
        "avgPrice": _average_price(order, instrument),
        "leavesQty": fixed_text(order.leaves, qty),
        "leavesValue": decimal_text(instrument.value(order.leaves, order.price)),
        "cumExecQty": fixed_text(order.filled_qty, qty),
        "cumExecValue": decimal_text(order.filled_value),
        "cumExecFee": decimal_text(order.fee),
        "timeInForce": order.time_in_force,
        "orderType": "Market" if order.is_market else "Limit",
        "stopOrderType": stop_order_type(order),
        "orderIv": "",
        "marketUnit": _market_unit(order) if instrument.is_spot else "",
        **_slippage(order),
        **_stops(order, price),
        "lastPriceOnCreated": fixed_text(order.last_price_on_created, price),
        "basePrice": fixed_text(order.last_price_on_created, price) if instrument.is_spot else "",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "placeType": "",
        "smpType": _SELF_MATCH.get(order.self_match, order.self_match),
        "smpGroup": 0,
        "smpOrderId": order_id_text(order.counterparty),
        "createdTime": str(order.created_us // 1000),
        "updatedTime": str(order.updated_us // 1000),
        "extraFees": "",
        "cumFeeDetail": {coin: decimal_text(order.fee)} if order.filled_qty else {},
        "rpiTakerAccess": False,
        "rpiMatchedQty": "",
    }
    if instrument.is_spot:
        del row["tpslMode"], row["createType"]
    return row


def stream_order_row(order: OrderRecord, instrument: Instrument) -> Row:
    """The row of the order topic."""
    row = order_row(order, instrument)
    del row["basePrice"], row["extraFees"]
    row["category"] = instrument.category
    row["brokerOrderPrice"] = ""
    row["closedPnl"] = decimal_text(order.closed_pnl)
    row["feeCurrency"] = fee_coin(instrument, order.is_buy) if instrument.is_spot else ""
    return row


def exec_type_text(execution: Execution) -> str:
    """How the wire calls this kind of execution."""
    return EXEC_TYPES[execution.kind]


def _execution_fee_rate(execution: Execution, instrument: Instrument) -> str:
    if execution.kind == "Funding":
        return funding_rate_text(execution.rate)
    if execution.kind == "Delivery":
        return decimal_text(instrument.delivery_fee)
    return decimal_text(instrument.maker_fee if execution.is_maker else instrument.taker_fee)


def _execution_order_type(execution: Execution) -> str:
    if execution.kind == "Funding":
        return "UNKNOWN"
    return "Market" if execution.order is None or execution.order.is_market else "Limit"


def _order_qty(execution: Execution, decimals: int) -> str:
    order = execution.order
    if order is not None and order.spend:
        return decimal_text(order.spend)
    return fixed_text(order.qty if order else execution.qty, decimals)


def execution_row(execution: Execution, instrument: Instrument) -> Row:
    """The row of the execution list; that of spot has no `createType`, by which clients tell it."""
    order = execution.order
    price, qty = instrument.price_decimals, instrument.qty_decimals
    row = {
        "symbol": instrument.symbol,
        "orderId": order_id_text(order.order_id) if order else exec_id_text(execution),
        "orderLinkId": order.link_id if order else "",
        "side": "Buy" if execution.is_buy else "Sell",
        "orderPrice": fixed_text(order.price if order else execution.price, price),
        "orderQty": _order_qty(execution, qty),
        "leavesQty": fixed_text(execution.leaves, qty),
        "createType": _create_type(order) if order else _CREATE_BY_KIND.get(execution.kind, "CreateByUser"),
        "orderType": _execution_order_type(execution),
        "stopOrderType": (stop_order_type(order) if order else "") or "UNKNOWN",
        "execFee": decimal_text(execution.fee),
        "execFeeV2": "",
        "execId": exec_id_text(execution),
        "execPrice": fixed_text(execution.price, price),
        "execQty": fixed_text(execution.qty, qty),
        "execType": EXEC_TYPES[execution.kind],
        "execValue": decimal_text(execution.value),
        "execTime": str(execution.wall_us // 1000),
        "feeCurrency": fee_coin(instrument, execution.is_buy),
        "isMaker": execution.is_maker,
        "feeRate": _execution_fee_rate(execution, instrument),
        "tradeIv": "",
        "markIv": "",
        "markPrice": fixed_text(execution.mark_price, price),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": decimal_text(execution.closed_qty) if execution.closed_qty else "",
        "seq": execution.sequence,
        "extraFees": "",
        "isLeverage": _LEVERAGE[order is not None and order.is_leveraged],
    }
    if instrument.is_spot:
        del row["createType"]
    return row


def stream_execution_row(execution: Execution, instrument: Instrument) -> Row:
    """The row of the execution topic."""
    row = execution_row(execution, instrument)
    del row["execFeeV2"]
    row["extraFees"] = []
    row["category"] = instrument.category
    order = execution.order
    row["marketUnit"] = _market_unit(order) if order is not None and instrument.is_spot else ""
    row["execPnl"] = decimal_text(execution.realised_pnl)
    return row


def fast_execution_row(execution: Execution, instrument: Instrument) -> Row:
    """The row of the execution.fast topic."""
    order = execution.order
    return {
        "category": instrument.category,
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
