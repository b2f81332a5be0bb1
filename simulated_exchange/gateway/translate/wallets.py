"""Rows of the money an account has now: unified wallet, coins, collateral, margin mode, fees.

Belongs here: wire names and texts of balances and settings. Does not belong here: positions (`standing`), the
past (`history`), keys and members (`keys`), what may be borrowed (`loans`).
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.coins import Coin
from simulated_exchange.driver import AccountView, CoinView, MarginMode, OrderSettings
from simulated_exchange.gateway.translate.numbers import decimal_text, fixed_text
from simulated_exchange.instruments import SCALE, Instrument

__all__ = [
    "MARGIN_MODES",
    "account_info",
    "borrow_check_row",
    "coin_row",
    "disconnect_rows",
    "empty_coin_row",
    "fee_rate_row",
    "funding_balance_row",
    "pre_check_rows",
    "setting_config",
    "wallet_row",
]

Row = dict[str, Any]

MARGIN_MODES = {"REGULAR_MARGIN": MarginMode.Cross, "ISOLATED_MARGIN": MarginMode.Isolated}
RATE_MAX = 10_000 * SCALE  # beyond it a rate says no more than that the balance is used up


def coin_row(coin: Coin, view: CoinView, realised_ever: int, *, is_venue_collateral: bool) -> Row:
    """One coin in a unified wallet. Margin is in the margin fields; `locked` is what spot orders hold."""
    return {
        "coin": coin.name,
        "equity": decimal_text(view.equity),
        "usdValue": decimal_text(view.usd_value),
        "walletBalance": decimal_text(view.wallet_balance),
        "locked": decimal_text(view.locked),
        "spotHedgingQty": "0",
        "borrowAmount": decimal_text(view.borrowed),
        "accruedInterest": decimal_text(view.interest_due),
        "totalOrderIM": decimal_text(view.order_margin),
        "totalPositionIM": decimal_text(view.position_margin),
        "totalPositionMM": decimal_text(view.maintenance_margin),
        "unrealisedPnl": decimal_text(view.unrealised_pnl),
        "cumRealisedPnl": decimal_text(realised_ever),
        "bonus": "0",
        "marginCollateral": is_venue_collateral,
        "collateralSwitch": view.is_collateral,
        "colRes": "0",
        "spotBorrow": decimal_text(view.spot_borrowed),
        "free": "",
        "availableToWithdraw": "",
        "availableToBorrow": "",
    }


def empty_coin_row(coin: Coin) -> Row:
    """A coin the account never held, for who asks for it by name."""
    row = dict.fromkeys(
        [
            "coin",
            "equity",
            "usdValue",
            "walletBalance",
            "locked",
            "spotHedgingQty",
            "borrowAmount",
            "accruedInterest",
            "totalOrderIM",
            "totalPositionIM",
            "totalPositionMM",
            "unrealisedPnl",
            "cumRealisedPnl",
            "bonus",
            "marginCollateral",
            "collateralSwitch",
            "colRes",
            "spotBorrow",
            "free",
            "availableToWithdraw",
            "availableToBorrow",
        ],
        "0",
    )
    return {
        **row,
        "coin": coin.name,
        "marginCollateral": bool(coin.collateral),
        "collateralSwitch": True,
        "free": "",
        "availableToWithdraw": "",
        "availableToBorrow": "",
    }


def _account_rate(rate: int | None) -> str:
    """Initial or maintenance rate of an account; isolated margin knows none."""
    return "" if rate is None else fixed_text(min(rate, RATE_MAX), 4)


def wallet_row(view: AccountView, coins: list[Row]) -> Row:
    """A unified wallet in USD, with its coins."""
    initial_rate, maintenance_rate = _account_rate(view.initial_rate), _account_rate(view.maintenance_rate)
    is_isolated = view.initial_rate is None
    initial = "" if is_isolated else decimal_text(view.initial_margin)
    maintenance = "" if is_isolated else decimal_text(view.maintenance_margin)
    return {
        "accountType": "UNIFIED",
        "accountIMRate": initial_rate,
        "accountMMRate": maintenance_rate,
        "totalEquity": decimal_text(view.equity),
        "totalWalletBalance": decimal_text(view.wallet_balance),
        "totalMarginBalance": "" if is_isolated else decimal_text(view.margin_balance),
        "totalAvailableBalance": "" if is_isolated else decimal_text(max(view.available, 0)),
        "totalPerpUPL": decimal_text(view.unrealised_pnl),
        "totalInitialMargin": initial,
        "totalMaintenanceMargin": maintenance,
        "accountIMRateByMp": initial_rate,
        "accountMMRateByMp": maintenance_rate,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMarginByMp": maintenance,
        "accountLTV": "",
        "coin": coins,
    }


def account_info(mode: MarginMode, settings: OrderSettings, created_ms: int) -> Row:
    """Margin mode and account kind: unified 2.0."""
    name = next(text for text, known in MARGIN_MODES.items() if known == mode)
    return {
        "unifiedMarginStatus": 6,
        "marginMode": name,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "updatedTime": str(created_ms),
        "dcpStatus": "ON" if settings.contracts_disconnect_s else "OFF",
        "timeWindow": settings.contracts_disconnect_s,
        "smpGroup": settings.smp_group,
    }


def disconnect_rows(settings: OrderSettings) -> Row:
    """After how long the orders of a client that is gone are cancelled, by product."""
    windows = {"SPOT": settings.spot_disconnect_s, "DERIVATIVES": settings.contracts_disconnect_s}
    return {
        "dcpInfos": [
            {"product": product, "dcpStatus": "ON" if seconds else "OFF", "timeWindow": str(seconds)}
            for product, seconds in windows.items()
        ]
    }


def fee_rate_row(instrument: Instrument) -> Row:
    """What trading this instrument costs."""
    return {
        "symbol": instrument.symbol,
        "baseCoin": "",
        "takerFeeRate": decimal_text(instrument.taker_fee),
        "makerFeeRate": decimal_text(instrument.maker_fee),
    }


def funding_balance_row(coin: str, balance: int, transferable: int) -> Row:
    """One coin of a wallet in the form of the transfer pages."""
    return {
        "coin": coin,
        "walletBalance": decimal_text(balance),
        "transferBalance": decimal_text(transferable),
        "bonus": "",
    }


def setting_config(settings: OrderSettings) -> Row:
    """Whether limits beyond the band are moved, by product."""
    return {
        "lpaSpot": settings.spot_moves_to_band,
        "lpaPerp": settings.contracts_move_to_band,
        "smsef": False,
        "fmsef": False,
    }


def pre_check_rows(view: AccountView, margin: int, maintenance: int) -> Row:
    """Account rates in hundredths of a percent, before an order and with its margin added."""

    def rate(requirement: int) -> int:
        return requirement * 10_000 // view.margin_balance if view.margin_balance > 0 else 0

    return {
        "preImrE4": rate(view.initial_margin),
        "preMmrE4": rate(view.maintenance_margin),
        "postImrE4": rate(view.initial_margin + margin),
        "postMmrE4": rate(view.maintenance_margin + maintenance),
    }


def borrow_check_row(
    instrument: Instrument, coin: str, *, is_buy: bool, own: int, with_loan: int, price: int
) -> Row:
    """How much of spot could be traded: out of one's own, and with what could be borrowed."""

    def both(amount: int) -> tuple[str, str]:
        if not is_buy:
            return decimal_text(amount), decimal_text(instrument.value(amount, price))
        return decimal_text(amount * SCALE // price if price else 0), decimal_text(amount)

    qty, amount = both(with_loan)
    own_qty, own_amount = both(own)
    return {
        "symbol": instrument.symbol,
        "side": "Buy" if is_buy else "Sell",
        "maxTradeQty": qty,
        "maxTradeAmount": amount,
        "spotMaxTradeQty": own_qty,
        "spotMaxTradeAmount": own_amount,
        "borrowCoin": coin,
    }
