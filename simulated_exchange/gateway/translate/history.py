"""Rows of an account's money over time: closed profit, the transaction log, interest, transfers, cash in and
out.

Belongs here: wire names and texts. Does not belong here: orders and executions (`rows`), what there is now
(`standing`, `wallets`).
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.translate.numbers import (
    decimal_text,
    fixed_text,
    funding_rate_text,
    leverage_text,
    rate12_text,
    rate_text,
)
from simulated_exchange.gateway.translate.rows import (
    EXEC_TYPES,
    exec_id_text,
    fee_coin,
    order_id_text,
    side_text,
)
from simulated_exchange.instruments import Catalogue, Instrument
from simulated_exchange.ledger.money_records import CashFlow, InterestCharge, TransferRecord
from simulated_exchange.ledger.records import Closure, Execution, WalletMovement

__all__ = [
    "closure_row",
    "delivery_record_row",
    "deposit_row",
    "interest_row",
    "movement_row",
    "movement_type",
    "transfer_row",
    "universal_transfer_row",
    "withdrawal_row",
]

Row = dict[str, Any]

_MOVEMENT_TYPE = {
    "Deposit": "TRANSFER_IN",
    "Withdraw": "TRANSFER_OUT",
    "Trade": "TRADE",
    "TakeOver": "LIQUIDATION",
    "Adl": "ADL",
    "Netting": "LIQUIDATION",
    "Funding": "SETTLEMENT",
    "Delivery": "DELIVERY",
    "Interest": "INTEREST",
    "WriteOff": "AUTO_DEDUCTION",
}
_TWO_WAY_TYPE = {
    "Transfer": ("TRANSFER_IN", "TRANSFER_OUT"),
    "Convert": ("CURRENCY_BUY", "CURRENCY_SELL"),
    "Borrow": ("BORROWED_AMOUNT_INS_LOAN", "BORROWED_AMOUNT_INS_LOAN"),
    "Repay": ("PRINCIPLE_REPAYMENT_INS_LOAN", "PRINCIPLE_REPAYMENT_INS_LOAN"),
}
_WALLETS = {"Unified": "UNIFIED", "Funding": "FUND"}


def closure_row(closure: Closure, instrument: Instrument) -> Row:
    """The row of closed profit and loss."""
    order = closure.order
    price, qty = instrument.price_decimals, instrument.qty_decimals
    closed = closure.closed_qty
    entry_price = instrument.average_price(closed, closure.entry_value)
    exit_price = instrument.average_price(closed, closure.exit_value)
    return {
        "symbol": instrument.symbol,
        "orderId": order_id_text(order.order_id) if order else "",
        "side": "Buy" if closure.is_buy else "Sell",
        "qty": fixed_text(order.qty if order else closed, qty),
        "orderPrice": fixed_text(order.price if order else exit_price, price),
        "orderType": "Market" if order is None or order.is_market else "Limit",
        "execType": EXEC_TYPES[closure.kind],
        "closedSize": fixed_text(closed, qty),
        "cumEntryValue": decimal_text(closure.entry_value),
        "avgEntryPrice": decimal_text(entry_price),
        "cumExitValue": decimal_text(closure.exit_value),
        "avgExitPrice": decimal_text(exit_price),
        "closedPnl": decimal_text(closure.pnl),
        "fillCount": str(closure.fills),
        "leverage": leverage_text(closure.leverage or instrument.default_leverage),
        "openFee": decimal_text(closure.open_fee),
        "closeFee": decimal_text(closure.close_fee),
        "createdTime": str(closure.created_us // 1000),
        "updatedTime": str(closure.updated_us // 1000),
    }


def movement_type(movement: WalletMovement) -> str:
    """The wire's word for why a wallet changed."""
    both = _TWO_WAY_TYPE.get(movement.reason)
    if both is not None:
        return both[0] if movement.change > 0 else both[1]
    return _MOVEMENT_TYPE.get(movement.reason, movement.reason.upper())


def _fee_rate(movement: WalletMovement) -> str:
    if movement.funding is not None:
        return funding_rate_text(movement.funding.rate)
    execution = movement.execution
    return rate_text(execution.fee, execution.value) if execution else "0"


def movement_row(movement: WalletMovement, catalogue: Catalogue, coin: str) -> Row:
    """The row of the transaction log; `coin` is the wallet's."""
    execution, funding = movement.execution, movement.funding
    cause = execution or funding
    instrument = catalogue[cause.instrument] if cause else None
    order = execution.order if execution else None
    fee, cash_flow = _fee_and_cash_flow(movement, instrument, coin)
    return {
        "id": f"{movement.sequence}",
        "symbol": instrument.symbol if instrument else "",
        "category": instrument.category if instrument else "",
        "side": side_text(execution.is_buy)
        if execution
        else side_text(funding.qty > 0)
        if funding
        else "None",
        "transactionTime": str(movement.wall_us // 1000),
        "type": movement_type(movement),
        "transSubType": "",
        "qty": decimal_text(execution.qty) if execution else "0",
        "size": decimal_text(execution.closed_qty if execution else funding.qty if funding else 0),
        "currency": coin,
        "tradePrice": decimal_text(execution.price if execution else funding.mark_price if funding else 0),
        "funding": decimal_text(movement.change) if funding else "",
        "fee": decimal_text(fee),
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


def _fee_and_cash_flow(movement: WalletMovement, instrument: Instrument | None, coin: str) -> tuple[int, int]:
    """change = cash flow + funding - fee, in the wallet's own coin."""
    execution = movement.execution
    if execution is None or instrument is None:
        return 0, 0 if movement.funding else movement.change
    fee = execution.fee if fee_coin(instrument, execution.is_buy) == coin else 0
    return fee, movement.change + fee


def interest_row(charge: InterestCharge, coin: str) -> Row:
    """A row of the borrow history: one hour of one loan."""
    return {
        "currency": coin,
        "createdTime": charge.wall_us // 1000,
        "borrowCost": decimal_text(charge.interest),
        "hourlyBorrowRate": rate12_text(charge.rate),
        "InterestBearingBorrowSize": decimal_text(charge.borrowed - charge.free),
        "costExemption": decimal_text(charge.free * charge.rate // 10**12),
        "borrowAmount": decimal_text(charge.borrowed),
        "unrealisedLoss": decimal_text(charge.free),
        "freeBorrowedAmount": decimal_text(charge.free),
    }


def transfer_row(record: TransferRecord, transfer_id: str, coin: str) -> Row:
    """A transfer between an account's own wallets."""
    return {
        "transferId": transfer_id,
        "coin": coin,
        "amount": decimal_text(record.amount),
        "fromAccountType": _WALLETS[record.from_wallet],
        "toAccountType": _WALLETS[record.to_wallet],
        "timestamp": str(record.wall_us // 1000),
        "status": "SUCCESS",
    }


def universal_transfer_row(record: TransferRecord, transfer_id: str, coin: str) -> Row:
    """A transfer within a main account's family."""
    return {
        **transfer_row(record, transfer_id, coin),
        "fromMemberId": str(record.source),
        "toMemberId": str(record.target),
    }


def deposit_row(flow: CashFlow, account: int, coin: str) -> Row:
    """Money that came in."""
    return {
        "coin": coin,
        "chain": "ETH",
        "amount": decimal_text(flow.amount),
        "txID": f"deposit-{account}-{flow.ordinal}",
        "status": 3,
        "toAddress": "",
        "tag": "",
        "depositFee": "0",
        "successAt": str(flow.wall_us // 1000),
        "confirmations": "6",
        "txIndex": "0",
        "blockHash": "",
        "batchReleaseLimit": "-1",
        "depositType": "0",
        "fromAddress": "",
        "taxDepositRecordsId": "0",
        "taxStatus": 0,
        "id": f"{flow.sequence}",
    }


def withdrawal_row(flow: CashFlow, coin: str, withdrawal_id: str, chain: str, address: str, tag: str) -> Row:
    """Money that went out."""
    time_ms = str(flow.wall_us // 1000)
    return {
        "txID": f"withdrawal-{withdrawal_id}",
        "coin": coin,
        "chain": chain,
        "amount": decimal_text(flow.amount),
        "withdrawFee": "0",
        "fee": "0",
        "status": "success",
        "toAddress": address,
        "tag": tag,
        "createTime": time_ms,
        "updateTime": time_ms,
        "withdrawId": withdrawal_id,
        "withdrawType": 0,
        "tax": "",
        "taxRate": "",
        "taxType": "",
    }


def delivery_record_row(execution: Execution, instrument: Instrument) -> Row:
    """A position that was delivered."""
    return {
        "deliveryTime": execution.wall_us // 1000,
        "symbol": instrument.symbol,
        "side": "Sell" if execution.is_buy else "Buy",
        "position": fixed_text(execution.qty, instrument.qty_decimals),
        "deliveryPrice": fixed_text(execution.price, instrument.price_decimals),
        "strike": "",
        "fee": decimal_text(execution.fee),
        "deliveryRpl": decimal_text(execution.realised_pnl),
    }
