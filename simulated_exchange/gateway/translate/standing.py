"""Rows of what an account has now: wallet, positions, settings, permissions.

Belongs here: wire names and texts of balances and positions. Does not belong here: the past (`rows`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulated_exchange.accounts import ApiKey
from simulated_exchange.driver import AccountView, PositionView
from simulated_exchange.gateway.translate.numbers import decimal_text, fixed_text, leverage_text, rate_text
from simulated_exchange.instruments import SCALE, Instrument
from simulated_exchange.ledger.records import PositionMemory

__all__ = [
    "account_info",
    "api_key_row",
    "coin_row",
    "collateral_row",
    "fee_rate_row",
    "funding_balance_row",
    "position_row",
    "stream_position_row",
    "wallet_row",
]

Row = dict[str, Any]

_BREAK_EVEN_FEE = 55_000  # the least fee rate of the break-even formula, 0.00055


def position_row(view: PositionView, memory: PositionMemory, instrument: Instrument) -> Row:
    """A row of the position list; a flat one has side "" and size "0"."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    is_flat = view.qty == 0
    tier = instrument.tiers[max(view.tier, 1) - 1]
    return {
        "positionIdx": 0,
        "riskId": instrument.index * 100 + max(view.tier, 1),
        "riskLimitValue": decimal_text(tier.limit),
        "symbol": instrument.symbol,
        "side": "" if is_flat else "Buy" if view.qty > 0 else "Sell",
        "size": "0" if is_flat else fixed_text(abs(view.qty), qty),
        "avgPrice": "0" if is_flat else decimal_text(view.entry_price),
        "positionValue": "" if is_flat else decimal_text(abs(view.qty) * view.entry_price // SCALE),
        "autoAddMargin": 0,
        "positionStatus": "Normal",
        "leverage": leverage_text(view.leverage),
        "breakEvenPrice": _break_even(view, memory, instrument),
        "markPrice": fixed_text(view.mark_price, price),
        "liqPrice": fixed_text(view.liquidation_price, price) if view.liquidation_price else "",
        "positionIM": decimal_text(view.initial_margin),
        "positionIMByMp": decimal_text(view.initial_margin),
        "positionMM": decimal_text(view.maintenance_margin),
        "positionMMByMp": decimal_text(view.maintenance_margin),
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "sessionAvgPrice": "",
        "delta": "",
        "gamma": "",
        "vega": "",
        "theta": "",
        "unrealisedPnl": decimal_text(view.unrealised_pnl),
        "curRealisedPnl": decimal_text(memory.realised),
        "cumRealisedPnl": decimal_text(memory.realised_ever),
        "adlRankIndicator": view.adl_rank,
        "createdTime": str(memory.opened_us // 1000),
        "updatedTime": str(memory.updated_us // 1000),
        "openTime": memory.opened_us // 1000,
        "seq": memory.sequence if memory.sequence else -1,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "tpslMode": "Full",
        "bustPrice": fixed_text(view.bankruptcy_price, price) if view.bankruptcy_price else "",
        "positionBalance": decimal_text(view.initial_margin),
        "tradeMode": 0,
    }


def _break_even(view: PositionView, memory: PositionMemory, instrument: Instrument) -> str:
    """(entry x size - realised) / (size - |size| x fee), as the documentation has it."""
    if view.qty == 0:
        return ""
    fee = max(instrument.taker_fee, _BREAK_EVEN_FEE)
    cost = view.entry_price * view.qty // SCALE - memory.realised
    shrunk = view.qty - abs(view.qty) * fee // SCALE
    return fixed_text(max(cost * SCALE // shrunk, 0), instrument.price_decimals) if shrunk else ""


def stream_position_row(view: PositionView, memory: PositionMemory, instrument: Instrument) -> Row:
    """A row of the position topic: the average price has another name there."""
    row = position_row(view, memory, instrument)
    row["entryPrice"] = row.pop("avgPrice")
    row["category"] = "linear"
    if view.qty == 0:
        row["positionValue"] = "0"
    return row


def coin_row(coin: str, view: AccountView, realised_ever: int) -> Row:
    """The settlement coin in a wallet. Margin is in the margin fields, not in `locked`."""
    return {
        "coin": coin,
        "equity": decimal_text(view.equity),
        "usdValue": decimal_text(view.equity),
        "walletBalance": decimal_text(view.wallet_balance),
        "locked": "0",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": decimal_text(view.order_margin),
        "totalPositionIM": decimal_text(view.position_margin),
        "totalPositionMM": decimal_text(view.maintenance_margin),
        "unrealisedPnl": decimal_text(view.unrealised_pnl),
        "cumRealisedPnl": decimal_text(realised_ever),
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
        "colRes": "0",
        "spotBorrow": "0",
        "free": "",
        "availableToWithdraw": "",
        "availableToBorrow": "",
    }


def wallet_row(coin: str, view: AccountView, realised_ever: int, *, with_coin: bool = True) -> Row:
    """A unified wallet."""
    initial_rate = rate_text(view.initial_margin, view.equity, 4)
    maintenance_rate = rate_text(view.maintenance_margin, view.equity, 4)
    return {
        "accountType": "UNIFIED",
        "accountIMRate": initial_rate,
        "accountMMRate": maintenance_rate,
        "totalEquity": decimal_text(view.equity),
        "totalWalletBalance": decimal_text(view.wallet_balance),
        "totalMarginBalance": decimal_text(view.equity),
        "totalAvailableBalance": decimal_text(max(view.available, 0)),
        "totalPerpUPL": decimal_text(view.unrealised_pnl),
        "totalInitialMargin": decimal_text(view.initial_margin),
        "totalMaintenanceMargin": decimal_text(view.maintenance_margin),
        "accountIMRateByMp": initial_rate,
        "accountMMRateByMp": maintenance_rate,
        "totalInitialMarginByMp": decimal_text(view.initial_margin),
        "totalMaintenanceMarginByMp": decimal_text(view.maintenance_margin),
        "accountLTV": "",
        "coin": [coin_row(coin, view, realised_ever)] if with_coin else [],
    }


def account_info(created_ms: int) -> Row:
    """Margin mode and account kind: unified 2.0, cross margin."""
    return {
        "unifiedMarginStatus": 6,
        "marginMode": "REGULAR_MARGIN",
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "updatedTime": str(created_ms),
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
    }


def fee_rate_row(instrument: Instrument) -> Row:
    """What trading this instrument costs."""
    return {
        "symbol": instrument.symbol,
        "baseCoin": "",
        "takerFeeRate": decimal_text(instrument.taker_fee),
        "makerFeeRate": decimal_text(instrument.maker_fee),
    }


def collateral_row(coin: str) -> Row:
    """The settlement coin as collateral: at full value, nothing to borrow."""
    return {
        "currency": coin,
        "hourlyBorrowRate": "0",
        "maxBorrowingAmount": "0",
        "freeBorrowingLimit": "0",
        "freeBorrowAmount": "0",
        "borrowAmount": "0",
        "otherBorrowAmount": "0",
        "availableToBorrow": "0",
        "borrowable": False,
        "borrowUsageRate": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
        "collateralRatio": "1",
        "freeBorrowingAmount": "",
    }


def funding_balance_row(coin: str, balance: int, transferable: int) -> Row:
    """One coin of a wallet in the form of the transfer pages."""
    return {
        "coin": coin,
        "walletBalance": decimal_text(balance),
        "transferBalance": decimal_text(transferable),
        "bonus": "",
    }


def api_key_row(key: ApiKey) -> Row:
    """What a key may do; the secret is never repeated."""
    created = datetime.fromtimestamp(key.created_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": str(key.account),
        "note": key.name,
        "apiKey": key.api_key,
        "readOnly": 0,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": ["AccountTransfer"],
            "Options": [],
            "Derivatives": ["DerivativesTrade"],
            "Exchange": [],
            "Earn": [],
            "FiatP2P": [],
            "FiatBitPay": [],
            "FiatConvertBroker": [],
            "BitCard": [],
            "ByXPost": [],
            "Affiliate": [],
            "BlockTrade": [],
            "NFT": [],
            "CopyTrading": [],
        },
        "ips": ["*"],
        "type": 1,
        "deadlineDay": -1,
        "expiredAt": "1970-01-01T00:00:00Z",
        "createdAt": created,
        "uta": 1,
        "unified": 0,
        "userID": key.account,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }
