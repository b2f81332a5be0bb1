"""What the engine refuses, in the wire's codes and words; spot and asset pages have codes of their own.

Belongs here: code and text by reject. Does not belong here: the gateway's own refusals (`refusals`).
"""

from __future__ import annotations

from simulated_exchange.driver import Reject
from simulated_exchange.gateway.translate.numbers import decimal_text
from simulated_exchange.gateway.translate.refusals import RefusedError
from simulated_exchange.instruments import Instrument

__all__ = ["asset_refusal", "engine_refusal", "exit_refusal", "loan_refusal", "trigger_refusal"]

_CODES = {
    Reject.QtyInvalid: (10001, "Qty invalid"),
    Reject.QtyBelowMinimum: (10001, "The number of contracts exceeds minimum limit allowed"),
    Reject.PriceOutOfRange: (110003, "Order price exceeds the allowable range."),
    Reject.PriceBeyondBand: (110003, "Order price exceeds the allowable range."),
    Reject.PriceBeyondLiquidation: (
        110003,
        "Order price exceeds the allowable range: the liquidation price of the position.",
    ),
    Reject.MarketNotReady: (10001, "params error: symbol has no index price yet"),
    Reject.DuplicateLinkId: (110072, "OrderLinkedID is duplicate"),
    Reject.LeverageInvalid: (10001, "params error: leverage invalid, must be at least 1"),
    Reject.LeverageSidesDiffer: (10001, "buy leverage and sell leverage must be equal"),
    Reject.IndexPriceInvalid: (10001, "params error: price invalid"),
    Reject.OrderNotFound: (110001, "order not exists or too late to cancel"),
    Reject.TooManyOrders: (110020, "Not allowed to have more than 500 active orders."),
    Reject.TooManyConditionalOrders: (110009, "The number of stop orders exceeds maximum limit allowed"),
    Reject.ReduceOnlyNoPosition: (110017, "current position is zero, cannot fix reduce-only order qty"),
    Reject.ReduceOnlySameSide: (110017, "reduce-only order has same side with current position"),
    Reject.AmendUnchanged: (
        10001,
        "The order remains unchanged as the parameters entered match the existing ones.",
    ),
    Reject.AmendBelowFilled: (110010, "order quantity cannot be amended to what is filled or less"),
    Reject.InsufficientBalance: (110007, "ab not enough for new order"),
    Reject.LeverageUnchanged: (110043, "leverage not modified"),
    Reject.PositionLimit: (110021, "position size would exceed the highest risk limit"),
    Reject.InstrumentClosed: (110074, "This contract is not live"),
    Reject.InstrumentReduceOnly: (
        110023,
        "This contract only supports position closing via reduceOnly orders",
    ),
    Reject.PositionIndexMismatch: (10001, "position idx not match position mode"),
    Reject.PositionModeUnchanged: (110025, "Position mode is not modified"),
    Reject.PositionModeInUse: (110024, "You have an existing position, so position mode cannot be switched"),
    Reject.NotAContract: (10001, "params error: symbol invalid"),
    Reject.NotIsolated: (110015, "The position is in cross margin."),
    Reject.PositionMissing: (110033, "Margin cannot be set without open position"),
    Reject.MarginModeUnchanged: (110026, "Cross/isolated margin mode is not modified"),
    Reject.AutoAddMarginUnchanged: (110027, "Margin is not modified"),
    Reject.MarginNotFree: (110012, "Insufficient available balance."),
    Reject.TriggerPriceInvalid: (10001, "params error: triggerPrice invalid"),
    Reject.TradingStopInvalid: (10001, "params error: take-profit, stop-loss or trailing stop invalid"),
    Reject.TradingStopNoPosition: (10001, "can not set tp/sl/ts for zero position"),
    Reject.TradingStopUnchanged: (34040, "not modified"),
    Reject.TradingStopTooLarge: (
        110058,
        "Insufficient number of remaining position size to set take profit and stop loss",
    ),
    Reject.TooManyTradingStops: (110060, "Cannot have more than 20 TP/SLs under Partial tpSlMode"),
    Reject.TradingStopReduceOnly: (10001, "TP/SL is not allowed on a reduce-only order"),
    Reject.SlippageInvalid: (10001, "params error: slippageTolerance invalid"),
    Reject.OrderSettingInvalid: (10001, "params error: timeWindow invalid, must be 3 to 300, or 0"),
    Reject.NoLoansInIsolatedMode: (110067, "Leveraged trading is not allowed"),
    Reject.BorrowLimit: (176029, "Amount to borrow has exceeded the user's estimated max. amount to borrow"),
    Reject.AccountNotVerified: (10024, "Compliance rules triggered: the account is not verified."),
    Reject.WithdrawTooLarge: (131212, "insufficient balance"),
}
_SPOT_CODES = {
    Reject.QtyInvalid: (170137, "Order quantity has too many decimals."),
    Reject.QtyBelowMinimum: (170136, "Order quantity exceeded lower limit."),
    Reject.QtyAboveMaximum: (170135, "Order quantity exceeded upper limit."),
    Reject.BelowMinimumNotional: (170140, "Order value exceeded lower limit."),
    Reject.DuplicateLinkId: (170141, "Duplicate clientOrderId"),
    Reject.OrderNotFound: (170213, "Order does not exist."),
    Reject.InsufficientBalance: (170131, "Insufficient balance."),
    Reject.PriceOutOfRange: (170134, "Order price has too many decimals, or is out of range."),
}
_ASSET_CODES = {
    Reject.WithdrawTooLarge: (131212, "insufficient balance"),
    Reject.WithdrawalLimit: (131002, "Withdraw amount exceeds the limit of the account's level."),
    Reject.CoinShort: (131212, "insufficient balance"),
    Reject.SameWallet: (131200, "params error: from and to are the same account"),
    Reject.AccountsUnrelated: (131228, "transfers stay within a main account and its sub-accounts"),
    Reject.UnknownAccount: (131203, "params error: no such member"),
    Reject.UnknownCoin: (131001, "params error: coin invalid"),
    Reject.AmountInvalid: (131204, "params error: amount invalid"),
    Reject.IsSubAccount: (10005, "Permission denied, please check your API key permissions."),
}
_LOAN_CODES = {
    Reject.NothingOwed: (176016, "No repayment required"),
    Reject.CoinNotLent: (176011, "Cross Margin Trading not yet supported by the selected coin"),
    Reject.RepaymentClosed: (176018, "Settlement in progress"),
    Reject.InsufficientBalance: (176015, "Insufficient available balance"),
    Reject.PoolShort: (176028, "Amount to borrow has exceeded the venue's max. amount to borrow"),
    Reject.AmountInvalid: (176025, "Amount invalid"),
    Reject.SettingUnchanged: (10001, "params error: collateralSwitch is not modified"),
    Reject.CollateralFixed: (10001, "params error: the collateral switch of this coin is fixed"),
}


def engine_refusal(reject: Reject, instrument: Instrument | None = None, qty: int = 0) -> RefusedError:
    """What the engine refused, in the wire's words."""
    if instrument is not None and instrument.is_spot and reject in _SPOT_CODES:
        return RefusedError(*_SPOT_CODES[reject])
    if reject == Reject.QtyAboveMaximum and instrument is not None:
        return RefusedError(
            10001,
            "The number of contracts exceeds maximum limit allowed: too large, "
            f"order_qty:{qty} > max_qty:{instrument.qty_max}",
        )
    if reject == Reject.BelowMinimumNotional and instrument is not None:
        least = decimal_text(instrument.notional_min)
        return RefusedError(110094, f"Order does not meet minimum order value {least}{instrument.quote}")
    code, text = _CODES.get(reject, (10001, f"params error: {reject.text}"))
    return RefusedError(code, text)


def trigger_refusal(reject: Reject, trigger_price: int, current: int, trigger_by: str) -> RefusedError:
    """A conditional order whose price has been reached already."""
    code, word, sign = (
        (110092, "Rising", "<=") if reject == Reject.TriggerNotAbove else (110093, "Falling", ">=")
    )
    text = f"trigger_price[{decimal_text(trigger_price)}] {sign} current[{decimal_text(current)}]"
    return RefusedError(code, f"expect {word}, but {text}??{trigger_by}")


def exit_refusal(reject: Reject, price: int, base: int, base_by: str, *, is_long: bool) -> RefusedError:
    """A take-profit or stop-loss on the wrong side of the price; the wire says which side is right."""
    is_profit = reject == Reject.TakeProfitInvalid
    title = "TakeProfit" if is_profit else "StopLoss"
    side, word = "Buy" if is_long else "Sell", "higher" if is_long == is_profit else "lower"
    asked, limit = decimal_text(price), decimal_text(base)
    return RefusedError(
        10001, f"{title}:{asked} set for {side} position should be {word} than base_price:{limit}??{base_by}"
    )


def asset_refusal(reject: Reject) -> RefusedError:
    """A transfer or withdrawal that was refused."""
    return RefusedError(*_ASSET_CODES[reject]) if reject in _ASSET_CODES else engine_refusal(reject)


def loan_refusal(reject: Reject) -> RefusedError:
    """A loan, repayment or change of collateral that was refused."""
    return RefusedError(*_LOAN_CODES[reject]) if reject in _LOAN_CODES else engine_refusal(reject)
