"""Rows of borrowing: collateral and what it counts, rates, limits, tiers.

Belongs here: wire names and texts. Does not belong here: the account's own balances (`wallets`), the
interest it paid (`history`).
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.coins import WITHOUT_END, Coin
from simulated_exchange.driver import CoinView, LendingPoolView
from simulated_exchange.gateway.translate.numbers import decimal_text, rate12_text, rate_text
from simulated_exchange.instruments import SCALE, fixed_point

__all__ = [
    "NO_VIP",
    "borrow_state_row",
    "classic_loans",
    "collateral_ratio_row",
    "collateral_row",
    "currency_data_row",
    "inventory_row",
    "liability_row",
    "position_tier_row",
    "rate_row",
    "spot_margin_data",
    "spot_margin_state",
]

Row = dict[str, Any]

NO_VIP = "No VIP"
SPOT_LEVERAGE_MAX = 10
_END = fixed_point(WITHOUT_END)


def _first_ratio(coin: Coin) -> int:
    return coin.collateral[0].ratio if coin.collateral else 0


def collateral_row(
    coin: Coin,
    view: CoinView | None,
    pool: LendingPoolView | None,
    borrowable: int,
    *,
    is_venue_collateral: bool,
) -> Row:
    """A coin as collateral and as something to borrow; `view` is None while the account never held it."""
    borrowed = view.borrowed if view else 0
    limit = coin.user_limit
    return {
        "currency": coin.name,
        "hourlyBorrowRate": rate12_text(pool.borrow_rate) if pool else "0",
        "maxBorrowingAmount": decimal_text(limit),
        "freeBorrowingLimit": decimal_text(coin.free_limit),
        "freeBorrowAmount": decimal_text(min(borrowed, coin.free_limit)),
        "borrowAmount": decimal_text(borrowed),
        "otherBorrowAmount": "0",
        "availableToBorrow": decimal_text(borrowable),
        "borrowable": pool is not None and limit > 0,
        "borrowUsageRate": rate_text(borrowed, limit, 4) if limit else "0",
        "marginCollateral": is_venue_collateral,
        "collateralSwitch": view.is_collateral if view else True,
        "collateralRatio": decimal_text(_first_ratio(coin)),
        "freeBorrowingAmount": "",
    }


def spot_margin_data(coins: list[tuple[Coin, LendingPoolView | None]], level: str) -> Row:
    """What each coin counts and costs, for one level of traders; the order is that of repayment."""
    rows = [
        {
            "borrowable": pool is not None and coin.user_limit > 0,
            "collateralRatio": decimal_text(_first_ratio(coin)),
            "currency": coin.name,
            "hourlyBorrowRate": rate12_text(pool.borrow_rate) if pool else "0",
            "liquidationOrder": str(coin.index + 1),
            "marginCollateral": bool(coin.collateral),
            "maxBorrowingAmount": decimal_text(coin.user_limit),
        }
        for coin, pool in coins
    ]
    return {"vipCoinList": [{"list": rows, "vipLevel": level}]}


def collateral_ratio_row(coin: Coin) -> Row:
    """By how much of a coin which part of its value counts."""
    rows, below = [], 0
    for tier in coin.collateral:
        is_last = tier.limit >= _END
        rows.append(
            {
                "minQty": decimal_text(below),
                "maxQty": "" if is_last else decimal_text(tier.limit),
                "collateralRatio": decimal_text(tier.ratio),
            }
        )
        below = tier.limit
    if below < _END:
        rows.append({"minQty": decimal_text(below), "maxQty": "", "collateralRatio": "0"})
    return {"currency": coin.name, "collateralRatioList": rows}


def position_tier_row(coin: Coin) -> Row:
    """Margin rates of a loan by its size."""
    return {
        "currency": coin.name,
        "positionTiersRatioList": [
            {
                "tier": str(number),
                "borrowLimit": decimal_text(tier.limit),
                "positionMMR": decimal_text(tier.maintenance_rate),
                "positionIMR": decimal_text(tier.initial_rate),
                "maxLeverage": decimal_text(SCALE * SCALE // tier.initial_rate // SCALE * SCALE)
                if tier.initial_rate
                else "1",
            }
            for number, tier in enumerate(coin.borrow, start=1)
        ],
    }


def rate_row(coin: str, hour_ms: int, rate: int) -> Row:
    """What borrowing a coin cost in one hour."""
    return {
        "timestamp": hour_ms,
        "currency": coin,
        "hourlyBorrowRate": rate12_text(rate),
        "vipLevel": NO_VIP,
    }


def spot_margin_state() -> Row:
    """Orders borrow when they ask for it; there is no switch to be thrown before."""
    return {"spotLeverage": str(SPOT_LEVERAGE_MAX), "spotMarginMode": "1", "effectiveLeverage": ""}


def borrow_state_row(coin: Coin) -> Row:
    """The most leverage that a coin may be borrowed at."""
    best = max((SCALE // tier.initial_rate for tier in coin.borrow if tier.initial_rate), default=1)
    return {"currency": coin.name, "spotLeverage": best}


def currency_data_row(coin: Coin) -> Row:
    """Whether a coin may be borrowed by hand, and how finely."""
    return {
        "currency": coin.name,
        "flexibleManualBorrowable": coin.lending is not None,
        "minFlexibleManualBorrowQty": "0.00000001" if coin.lending else "",
        "flexibleManualBorrowAccuracy": "8" if coin.lending else "",
        "fixedManualBorrowable": False,
        "minFixedManualBorrowQty": "",
        "fixedManualBorrowAccuracy": "",
        "fixedInterestRateAccuracy": "",
        "minFixedInterestRate": "",
        "maxFixedInterestRate": "",
    }


def inventory_row(coin: Coin, pool: LendingPoolView, now_ms: int) -> Row:
    """What a pool may still lend."""
    return {
        "currency": coin.name,
        "availableInventory": decimal_text(max(pool.lendable, 0)),
        "updateTime": str(now_ms),
    }


def classic_loans(held: list[tuple[Coin, CoinView]], btc_price: int) -> Row:
    """What an account has and owes of every coin, as spot margin showed it before unified accounts; sums are
    in BTC. Interest is taken from the wallet every hour, so none is due beside the loan.
    """
    debts = [view.borrowed * view.usd_price // SCALE for _, view in held]
    assets = [view.usd_value + debt for (_, view), debt in zip(held, debts, strict=True)]
    return {
        "status": "1",
        "riskRate": rate_text(sum(debts), sum(assets), 4) if sum(assets) > 0 else "0",
        "acctBalanceSum": rate_text(sum(assets), btc_price, 8),
        "debtBalanceSum": rate_text(sum(debts), btc_price, 8),
        "loanAccountList": [
            {
                "tokenId": coin.name,
                "total": decimal_text(view.wallet_balance),
                "locked": decimal_text(view.locked),
                "loan": decimal_text(view.borrowed),
                "interest": "0",
                "free": decimal_text(max(view.free, 0)),
            }
            for coin, view in held
        ],
    }


def liability_row(coin: Coin, view: CoinView | None) -> Row:
    """What an account owes of a coin."""
    borrowed, spot = (view.borrowed, view.spot_borrowed) if view else (0, 0)
    return {
        "currency": coin.name,
        "totalBorrowAmount": decimal_text(borrowed),
        "fixedBorrowAmount": "0",
        "flexibleBorrowAmount": decimal_text(borrowed),
        "spotTotalBorrow": decimal_text(spot),
        "derivativesBorrow": decimal_text(borrowed - spot),
    }
