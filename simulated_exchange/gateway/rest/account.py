"""What an account has and may do: keys, wallets, positions, fees.

Belongs here: which view answers which question. Does not belong here: names and texts of rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate import standing as rows
from simulated_exchange.gateway.translate.answers import (
    coin_information,
    funding_wallet,
    listing,
    withdrawable,
)
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.rows import movement_row
from simulated_exchange.gateway.venue import SETTLE_COIN

__all__ = ["ROUTES"]

Result = dict[str, Any]


def _api_key(call: Call) -> Result:
    assert call.key is not None
    return rows.api_key_row(call.key)


def _info(call: Call) -> Result:
    assert call.key is not None
    return rows.account_info(call.key.created_ms)


def _wallet(call: Call) -> Result:
    kind = queries.account_type(call.query, ("UNIFIED", "CONTRACT", "SPOT", "FUND"))
    if kind != "UNIFIED":
        return {"list": []}
    view = call.venue.driver.account(call.account)
    realised = sum(memory.realised_ever for memory in call.venue.memory(call.account).positions.values())
    wanted = SETTLE_COIN in queries.coins(call.query, [SETTLE_COIN])
    return {"list": [rows.wallet_row(SETTLE_COIN, view, realised, with_coin=wanted)]}


def _withdrawal(call: Call) -> Result:
    view = call.venue.driver.account(call.account)
    available = max(min(view.available, view.wallet_balance), 0)
    return withdrawable(available if queries.named_coin(call.query) == SETTLE_COIN else 0)


def _fee_rate(call: Call) -> Result:
    query = {"category": "linear", **call.query}
    instruments = queries.market_instruments(query, call.venue.catalogue)
    return listing(query["category"], [rows.fee_rate_row(entry) for entry in instruments])


def _collateral(call: Call) -> Result:
    wanted = call.query.get("currency", SETTLE_COIN)
    return {"list": [rows.collateral_row(SETTLE_COIN)] if wanted == SETTLE_COIN else []}


def _transactions(call: Call) -> Result:
    question = queries.transaction_query(call.query)
    catalogue = call.venue.catalogue
    found: list[Result] = []
    cursor = ""
    for movement in reversed(call.venue.memory(call.account).movements):
        if movement.sequence >= question.before or question.coin not in ("", SETTLE_COIN):
            continue
        if not question.start_ms <= movement.wall_us // 1000 <= question.end_ms:
            continue
        row = movement_row(movement, catalogue, SETTLE_COIN)
        if question.kind and row["type"] != question.kind:
            continue
        if len(found) == question.limit:
            cursor = found[-1]["id"]
            break
        found.append(row)
    return page(None, found, cursor)


def _coins(call: Call) -> Result:
    return coin_information(queries.coins(call.query, call.venue.catalogue.coins()))


def _transfer_balances(call: Call) -> Result:
    kind = queries.account_type(call.query, ("UNIFIED", "FUND", "CONTRACT", "SPOT"))
    balances = []
    for coin in queries.coins(call.query, call.venue.catalogue.coins()):
        held = transferable = 0
        if kind == "UNIFIED" and coin == SETTLE_COIN:
            view = call.venue.driver.account(call.account)
            held, transferable = view.wallet_balance, max(min(view.available, view.wallet_balance), 0)
        balances.append(rows.funding_balance_row(coin, held, transferable))
    return funding_wallet(kind, call.account, balances)


def _positions(call: Call) -> Result:
    category = queries.category(call.query)
    if category != "linear":
        return page(category, [])
    catalogue, driver = call.venue.catalogue, call.venue.driver
    memory = call.venue.memory(call.account)
    question = queries.position_query(call.query, catalogue)
    if question.instrument is not None:
        views = [driver.position(call.account, question.instrument.index)]
    else:
        views = [
            view
            for view in driver.positions(call.account)
            if question.settle in ("", catalogue[view.instrument].quote)
            and question.base in ("", catalogue[view.instrument].base)
        ]
    found = [
        rows.position_row(view, memory.position(view.instrument), catalogue[view.instrument])
        for view in views
    ]
    return page(category, found)


def _signed(step: Any, group: str = "account") -> Route:
    return Route(step, group=group)


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/user/query-api"): _signed(_api_key),
    ("GET", "/v5/account/info"): _signed(_info),
    ("GET", "/v5/account/wallet-balance"): _signed(_wallet),
    ("GET", "/v5/account/withdrawal"): _signed(_withdrawal),
    ("GET", "/v5/account/fee-rate"): _signed(_fee_rate),
    ("GET", "/v5/account/collateral-info"): _signed(_collateral),
    ("GET", "/v5/account/transaction-log"): _signed(_transactions),
    ("GET", "/v5/asset/coin/query-info"): _signed(_coins),
    ("GET", "/v5/asset/transfer/query-account-coins-balance"): _signed(_transfer_balances),
    ("GET", "/v5/position/list"): _signed(_positions, "position"),
}
