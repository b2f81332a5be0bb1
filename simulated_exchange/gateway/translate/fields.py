"""The fields of every request, by method and path: what the wire documents, and what clients may send.

Belongs here: names and kinds. Does not belong here: what is done with them (`requests`, `queries`).
A name is text unless `:int`, `:bool`, `:list` or `:object` follows; `!` marks what must be there.
"""

from __future__ import annotations

__all__ = ["REQUEST_FIELDS", "WORDS"]

WORDS: dict[str, tuple[object, ...]] = {
    "accountType": ("UNIFIED", "FUND"),
    "fromAccountType": ("UNIFIED", "FUND"),
    "toAccountType": ("UNIFIED", "FUND"),
    "category": ("linear", "inverse", "spot", "option"),
    "side": ("Buy", "Sell"),
    "orderType": ("Market", "Limit"),
    "timeInForce": ("GTC", "IOC", "FOK", "PostOnly"),
    "interval": ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M"),
    "intervalTime": ("5min", "15min", "30min", "1h", "4h", "1d"),
    "period": ("5min", "15min", "30min", "1h", "4h", "1d"),
    "tpslMode": ("Full", "Partial"),
    "mode": (0, 3),
    "positionIdx": (0, 1, 2),
    "triggerDirection": (1, 2),
    "triggerBy": ("LastPrice", "IndexPrice", "MarkPrice"),
    "setMarginMode": ("ISOLATED_MARGIN", "REGULAR_MARGIN", "PORTFOLIO_MARGIN"),
    "product": ("OPTIONS", "DERIVATIVES", "SPOT"),
    "collateralSwitch": ("ON", "OFF"),
    "orderFilter": ("Order", "StopOrder", "tpslOrder"),
}
"""What a field's words are, wherever it stands."""

REQUEST_FIELDS: dict[str, str] = {
    "POST /v5/account/borrow": "coin! amount!",
    "GET /v5/account/borrow-history": "currency startTime:int endTime:int limit:int cursor",
    "GET /v5/account/collateral-info": "currency",
    "GET /v5/account/fee-rate": "category! symbol baseCoin",
    "GET /v5/account/info": "",
    "GET /v5/account/instruments-info": "category! symbol limit:int cursor",
    "POST /v5/account/no-convert-repay": "coin! amount repaymentType",
    "GET /v5/account/query-dcp-info": "",
    "POST /v5/account/quick-repayment": "coin",
    "POST /v5/account/repay": "coin amount repaymentType",
    "POST /v5/account/set-collateral-switch": "coin! collateralSwitch!",
    "POST /v5/account/set-collateral-switch-batch": "request!:list",
    "POST /v5/account/set-limit-px-action": "category! modifyEnable!:bool",
    "POST /v5/account/set-margin-mode": "setMarginMode!",
    "GET /v5/account/smp-group": "",
    "GET /v5/account/transaction-log": (
        "accountType category currency baseCoin type transSubType startTime:int endTime:int limit:int cursor"
    ),
    "GET /v5/account/user-setting-config": "",
    "GET /v5/account/wallet-balance": "accountType! coin",
    "GET /v5/account/withdrawal": "coinName!",
    "GET /v5/announcements/index": "locale! type tag page:int limit:int",
    "GET /v5/asset/coin/query-info": "coin",
    "GET /v5/asset/delivery-record": "category! symbol startTime:int endTime:int expDate limit:int cursor",
    "GET /v5/asset/deposit/query-address": "coin! chainType",
    "GET /v5/asset/deposit/query-record": "id txID coin startTime:int endTime:int limit:int cursor",
    "GET /v5/asset/deposit/query-sub-member-record": (
        "id subMemberId txID coin startTime:int endTime:int limit:int cursor"
    ),
    "GET /v5/asset/settlement-record": "category! symbol startTime:int endTime:int limit:int cursor",
    "POST /v5/asset/transfer/inter-transfer": "transferId! coin! amount! fromAccountType! toAccountType!",
    "GET /v5/asset/transfer/query-account-coin-balance": (
        "memberId toMemberId accountType! toAccountType coin! withBonus:int "
        "withTransferSafeAmount:int withLtvTransferSafeAmount:int"
    ),
    "GET /v5/asset/transfer/query-account-coins-balance": "memberId accountType! coin withBonus:int",
    "GET /v5/asset/transfer/query-inter-transfer-list": (
        "transferId coin status startTime:int endTime:int limit:int cursor"
    ),
    "GET /v5/asset/transfer/query-sub-member-list": "",
    "GET /v5/asset/transfer/query-transfer-coin-list": "fromAccountType! toAccountType!",
    "GET /v5/asset/transfer/query-universal-transfer-list": (
        "transferId coin status startTime:int endTime:int limit:int cursor"
    ),
    "POST /v5/asset/transfer/universal-transfer": (
        "transferId! coin! amount! fromMemberId!:int toMemberId!:int fromAccountType! toAccountType!"
    ),
    "POST /v5/asset/withdraw/cancel": "id!",
    "POST /v5/asset/withdraw/create": (
        "coin! chain address! tag amount! timestamp!:int forceChain:int accountType! feeType:int "
        "requestId transactionPurpose questionnaire beneficiary:object"
    ),
    "GET /v5/asset/withdraw/query-record": (
        "withdrawID txID coin withdrawType:int startTime:int endTime:int limit:int cursor"
    ),
    "GET /v5/asset/withdraw/withdrawable-amount": "coin!",
    "GET /v5/execution/list": (
        "category! symbol orderId orderLinkId baseCoin settleCoin startTime:int endTime:int "
        "execType limit:int cursor"
    ),
    "GET /v5/market/account-ratio": "category! symbol! period! startTime endTime limit:int cursor",
    "GET /v5/market/adlAlert": "symbol",
    "GET /v5/market/delivery-price": "category! symbol baseCoin settleCoin limit:int cursor",
    "GET /v5/market/fee-group-info": "productType! groupId",
    "GET /v5/market/funding/history": "category! symbol! startTime:int endTime:int limit:int",
    "GET /v5/market/historical-volatility": (
        "category! baseCoin quoteCoin period:int startTime:int endTime:int"
    ),
    "GET /v5/market/index-price-components": "indexName!",
    "GET /v5/market/index-price-kline": "category symbol! interval! start:int end:int limit:int",
    "GET /v5/market/instruments-info": "category! symbol symbolType status baseCoin limit:int cursor",
    "GET /v5/market/insurance": "coin",
    "GET /v5/market/kline": "category symbol! interval! start:int end:int limit:int",
    "GET /v5/market/mark-price-kline": "category symbol! interval! start:int end:int limit:int",
    "GET /v5/market/open-interest": (
        "category! symbol! intervalTime! startTime:int endTime:int limit:int cursor"
    ),
    "GET /v5/market/orderbook": "category! symbol! limit:int",
    "GET /v5/market/premium-index-price-kline": "category symbol! interval! start:int end:int limit:int",
    "GET /v5/market/price-limit": "category symbol!",
    "GET /v5/market/recent-trade": "category! symbol baseCoin optionType limit:int",
    "GET /v5/market/risk-limit": "category! symbol cursor",
    "GET /v5/market/tickers": "category! symbol baseCoin expDate",
    "GET /v5/market/time": "",
    "POST /v5/order/amend": (
        "category! symbol! orderId orderLinkId orderIv triggerPrice qty price tpslMode takeProfit "
        "stopLoss tpTriggerBy slTriggerBy triggerBy tpLimitPrice slLimitPrice"
    ),
    "POST /v5/order/amend-batch": "category! request!:list",
    "POST /v5/order/cancel": "category! symbol! orderId orderLinkId orderFilter",
    "POST /v5/order/cancel-all": "category! symbol baseCoin settleCoin orderFilter stopOrderType",
    "POST /v5/order/cancel-batch": "category! request!:list",
    "POST /v5/order/create": (
        "category! symbol! isLeverage:int side! orderType! qty! marketUnit rpiTakerAccess:bool "
        "slippageToleranceType slippageTolerance price triggerDirection:int orderFilter "
        "triggerPrice triggerBy orderIv timeInForce positionIdx:int orderLinkId takeProfit "
        "stopLoss tpTriggerBy slTriggerBy reduceOnly:bool closeOnTrigger:bool smpType mmp:bool "
        "tpslMode tpLimitPrice slLimitPrice tpOrderType slOrderType bboSideType bboLevel"
    ),
    "POST /v5/order/create-batch": "category! request!:list",
    "POST /v5/order/disconnected-cancel-all": "product timeWindow!:int",
    "GET /v5/order/history": (
        "category! symbol baseCoin settleCoin orderId orderLinkId orderFilter orderStatus "
        "startTime:int endTime:int limit:int cursor"
    ),
    "POST /v5/order/pre-check": "",
    "GET /v5/order/realtime": (
        "category! symbol baseCoin settleCoin orderId orderLinkId openOnly:int orderFilter limit:int cursor"
    ),
    "GET /v5/order/spot-borrow-check": "category! symbol! side!",
    "POST /v5/position/add-margin": "category! symbol! margin! positionIdx:int",
    "GET /v5/position/closed-pnl": "category! symbol startTime:int endTime:int limit:int cursor",
    "POST /v5/position/confirm-pending-mmr": "category! symbol!",
    "GET /v5/position/list": "category! symbol baseCoin settleCoin limit:int cursor",
    "POST /v5/position/set-auto-add-margin": "category! symbol! autoAddMargin!:int positionIdx:int",
    "POST /v5/position/set-leverage": "category! symbol! buyLeverage! sellLeverage!",
    "POST /v5/position/switch-mode": "category! symbol coin mode!:int",
    "GET /v5/position/symbol-info": "symbol",
    "POST /v5/position/switch-isolated": "category symbol tradeMode:int buyLeverage sellLeverage",
    "POST /v5/position/trading-stop": (
        "category! symbol! tpslMode! positionIdx!:int takeProfit stopLoss trailingStop "
        "tpTriggerBy slTriggerBy activePrice tpSize slSize tpLimitPrice slLimitPrice tpOrderType "
        "slOrderType"
    ),
    "GET /v5/spot-cross-margin-trade/account": "",
    "GET /v5/spot-margin-trade/coinstate": "currency",
    "GET /v5/spot-margin-trade/collateral": "currency",
    "GET /v5/spot-margin-trade/currency-data": "currency",
    "GET /v5/spot-margin-trade/data": "vipLevel currency",
    "GET /v5/spot-margin-trade/flexible-available-inventory": "currency!",
    "GET /v5/spot-margin-trade/get-auto-repay-mode": "currency",
    "GET /v5/spot-margin-trade/interest-rate-history": "currency! vipLevel startTime:int endTime:int",
    "GET /v5/spot-margin-trade/liability": "currency",
    "GET /v5/spot-margin-trade/max-borrowable": "currency!",
    "GET /v5/spot-margin-trade/position-tiers": "currency",
    "GET /v5/spot-margin-trade/repayment-available-amount": "currency!",
    "POST /v5/spot-margin-trade/set-auto-repay-mode": "currency autoRepayMode!",
    "POST /v5/spot-margin-trade/set-leverage": "leverage! currency",
    "GET /v5/spot-margin-trade/state": "",
    "POST /v5/spot-margin-trade/switch-mode": "spotMarginMode!",
    "GET /v5/system/status": "id state",
    "POST /v5/user/create-sub-api": "subuid!:int note readOnly!:int ips permissions!:object",
    "POST /v5/user/create-sub-member": "username! password memberType!:int switch:int isUta:bool note",
    "POST /v5/user/del-submember": "subMemberId!",
    "POST /v5/user/delete-api": "",
    "POST /v5/user/delete-sub-api": "apikey",
    "POST /v5/user/frozen-sub-member": "subuid!:int frozen!:int",
    "GET /v5/user/get-member-type": "memberIds",
    "GET /v5/user/query-api": "",
    "GET /v5/user/query-sub-members": "",
    "GET /v5/user/sub-apikeys": "subMemberId! limit:int cursor",
    "GET /v5/user/submembers": "pageSize nextCursor",
    "POST /v5/user/update-api": "readOnly:int ips permissions:object",
    "POST /v5/user/update-sub-api": "apikey readOnly:int ips permissions:object",
}
