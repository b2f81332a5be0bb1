"""Rows of the positions an account has now.

Belongs here: wire names and texts of positions. Does not belong here: balances (`wallets`), the past (`rows`,
`history`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulated_exchange.driver import MarginMode, PositionView
from simulated_exchange.gateway.translate.numbers import decimal_text, fixed_text, leverage_text
from simulated_exchange.gateway.translate.tables import tier_id
from simulated_exchange.instruments import Instrument, RiskTier
from simulated_exchange.ledger.records import PositionMemory

__all__ = ["margin_row", "position_row", "stream_position_row", "symbol_info_row"]

Row = dict[str, Any]


def position_row(
    view: PositionView,
    memory: PositionMemory,
    instrument: Instrument,
    tiers: Sequence[RiskTier] | None = None,
) -> Row:
    """A row of the position list; a flat one has side "" and size "0"."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    is_flat = view.qty == 0
    tiers = tiers or instrument.tiers
    number = min(max(view.tier, 1), len(tiers))
    is_isolated = view.margin_mode == MarginMode.Isolated
    liquidation, bankruptcy = view.liquidation_price, view.bankruptcy_price
    return {
        "positionIdx": int(view.position_index),
        "riskId": tier_id(instrument, number),
        "riskLimitValue": decimal_text(tiers[number - 1].limit),
        "symbol": instrument.symbol,
        "side": "" if is_flat else "Buy" if view.qty > 0 else "Sell",
        "size": "0" if is_flat else fixed_text(abs(view.qty), qty),
        "avgPrice": "0" if is_flat else decimal_text(view.entry_price),
        "positionValue": "" if is_flat else decimal_text(view.value),
        "autoAddMargin": int(view.auto_add_margin),
        "positionStatus": "Normal",
        "leverage": leverage_text(view.leverage),
        "breakEvenPrice": fixed_text(view.break_even_price, price) if view.break_even_price else "",
        "markPrice": fixed_text(view.mark_price, price),
        "liqPrice": fixed_text(liquidation, price) if 0 < liquidation < instrument.price_max else "",
        "positionIM": decimal_text(view.initial_margin),
        "positionIMByMp": decimal_text(view.initial_margin),
        "positionMM": decimal_text(view.maintenance_margin),
        "positionMMByMp": decimal_text(view.maintenance_margin),
        "takeProfit": fixed_text(view.take_profit, price) if view.take_profit else "",
        "stopLoss": fixed_text(view.stop_loss, price) if view.stop_loss else "",
        "trailingStop": decimal_text(view.trailing_stop),
        "sessionAvgPrice": "",
        "delta": "",
        "gamma": "",
        "vega": "",
        "theta": "",
        "unrealisedPnl": decimal_text(view.unrealised_pnl),
        "curRealisedPnl": decimal_text(0 if is_flat else view.current_realised_pnl),
        "cumRealisedPnl": decimal_text(view.realised_pnl),
        "adlRankIndicator": view.adl_rank,
        "createdTime": str(memory.opened_us // 1000),
        "updatedTime": str(memory.updated_us // 1000),
        "openTime": memory.opened_us // 1000,
        "seq": memory.sequence if memory.sequence else -1,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "tpslMode": view.tpsl_mode.name,
        "bustPrice": fixed_text(bankruptcy, price) if 0 < bankruptcy < instrument.price_max else "",
        "positionBalance": decimal_text(view.assigned_margin if is_isolated else view.initial_margin),
        "tradeMode": int(is_isolated),
    }


def stream_position_row(
    view: PositionView,
    memory: PositionMemory,
    instrument: Instrument,
    tiers: Sequence[RiskTier] | None = None,
) -> Row:
    """A row of the position topic: the average price has another name there."""
    row = position_row(view, memory, instrument, tiers)
    row["entryPrice"] = row.pop("avgPrice")
    row["category"] = instrument.category
    if view.qty == 0:
        row["positionValue"] = "0"
    return row


def margin_row(row: Row, category: str) -> Row:
    """What adding margin answers: the position with its market, less what only the list has."""
    names = [
        "symbol",
        "positionIdx",
        "riskId",
        "riskLimitValue",
        "size",
        "avgPrice",
        "liqPrice",
        "bustPrice",
        "markPrice",
        "positionValue",
        "leverage",
        "autoAddMargin",
        "positionStatus",
        "positionIM",
        "positionMM",
        "takeProfit",
        "stopLoss",
        "trailingStop",
        "unrealisedPnl",
        "cumRealisedPnl",
        "createdTime",
        "updatedTime",
    ]
    return {"category": category, **{name: row[name] for name in names}}


def symbol_info_row(view: PositionView, instrument: Instrument) -> Row:
    """Leverage of one side of an instrument."""
    side = {1: "Buy", 2: "Sell"}.get(int(view.position_index), "")
    return {
        "symbol": instrument.symbol,
        "leverage": leverage_text(view.leverage),
        "side": side,
        "positionIdx": int(view.position_index),
    }
