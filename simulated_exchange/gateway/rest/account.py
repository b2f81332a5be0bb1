"""What an account has and how it is set: unified wallet, margin mode, fees, transaction log.

Belongs here: which view answers which question; the wallet's row is the socket's, too. Does not belong here:
positions (`rest.positions`), loans (`rest.loans`), other wallets (`rest.assets`), names and texts of rows.
"""

from __future__ import annotations

from typing import Any

from simulated_exchange.gateway.rest.positions import performed
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import position_requests, queries
from simulated_exchange.gateway.translate import wallets as rows
from simulated_exchange.gateway.translate.answers import listing, withdrawable
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.history import movement_row
from simulated_exchange.gateway.translate.refusals import invalid_parameter
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.ledger.records import WalletMovement

__all__ = ["ROUTES", "coin_rows", "wallet_of"]

Result = dict[str, Any]


def coin_rows(venue: Venue, account: int) -> dict[str, Result]:
    """The coins of an account's unified wallet, by name."""
    memory, refused = venue.memory(account), venue.ledger.refused_collateral
    found = {}
    for view in venue.driver.purses(account):
        coin = venue.coins[view.coin]
        realised = memory.realised_in(venue.settled.get(coin.name, set()))
        is_taken = bool(coin.collateral) and coin.index not in refused
        found[coin.name] = rows.coin_row(coin, view, realised, is_venue_collateral=is_taken)
    return found


def wallet_of(venue: Venue, account: int) -> Result:
    """The row of an account's unified wallet, with all its coins."""
    return rows.wallet_row(venue.driver.account(account), list(coin_rows(venue, account).values()))


def _info(call: Call) -> Result:
    assert call.key is not None
    driver, account = call.venue.driver, call.account
    return rows.account_info(driver.margin_mode(account), driver.order_settings(account), call.key.created_ms)


def _wallet(call: Call) -> Result:
    kind = queries.account_type(call.query, ("UNIFIED", "CONTRACT", "SPOT", "FUND"))
    if kind != "UNIFIED":
        return {"list": []}
    held = coin_rows(call.venue, call.account)
    if call.query.get("coin"):
        wanted = queries.coins(call.query, call.venue.coins)
        shown = [held.get(coin.name) or rows.empty_coin_row(coin) for coin in wanted]
    else:
        shown = list(held.values())
    return {"list": [rows.wallet_row(call.venue.driver.account(call.account), shown)]}


def _withdrawal(call: Call) -> Result:
    wanted = call.query.get("coinName", "").split(",")
    coins = [coin for name in wanted if (coin := call.venue.coins.by_name(name)) is not None]
    if not coins:
        raise invalid_parameter("coinName", "a listed coin")
    transferable = call.venue.driver.transferable_amount
    return withdrawable({coin.name: max(transferable(call.account, coin.index), 0) for coin in coins})


def _fee_rate(call: Call) -> Result:
    query = {"category": "linear", **call.query}
    instruments = queries.market_instruments(query, call.venue.catalogue)
    return listing(query["category"], [rows.fee_rate_row(entry) for entry in instruments])


def _is_wanted(call: Call, movement: WalletMovement, question: queries.TransactionQuery) -> bool:
    if question.coin and call.venue.coins[movement.coin].name != question.coin:
        return False
    if not question.category and not question.base:
        return True
    cause = movement.execution or movement.funding
    if cause is None:
        return False
    instrument = call.venue.catalogue[cause.instrument]
    return question.category in ("", instrument.category) and question.base in ("", instrument.base)


def _transactions(call: Call) -> Result:
    question = queries.transaction_query(call.query)
    catalogue, coins = call.venue.catalogue, call.venue.coins
    found: list[Result] = []
    cursor = ""
    for movement in reversed(call.venue.memory(call.account).movements):
        if movement.sequence >= question.before or not _is_wanted(call, movement, question):
            continue
        if not question.start_ms <= movement.wall_us // 1000 <= question.end_ms:
            continue
        row = movement_row(movement, catalogue, coins[movement.coin].name)
        if question.kind and row["type"] != question.kind:
            continue
        if len(found) == question.limit:
            cursor = found[-1]["id"]
            break
        found.append(row)
    return page(None, found, cursor)


def _smp_group(call: Call) -> Result:
    return {"smpGroup": call.venue.driver.order_settings(call.account).smp_group}


def _disconnect_windows(call: Call) -> Result:
    return rows.disconnect_rows(call.venue.driver.order_settings(call.account))


def _set_limit_price_action(call: Call) -> Result:
    products, moves = position_requests.limit_price_action(call.body)
    performed(
        lambda: call.venue.driver.set_moves_to_band(account=call.account, products=products, moves=moves)
    )
    return {}


def _setting_config(call: Call) -> Result:
    return rows.setting_config(call.venue.driver.order_settings(call.account))


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/account/info"): Route(_info, group="history"),
    ("GET", "/v5/account/wallet-balance"): Route(_wallet, group="history"),
    ("GET", "/v5/account/withdrawal"): Route(_withdrawal, group="history"),
    ("GET", "/v5/account/fee-rate"): Route(_fee_rate, group="fees"),
    ("GET", "/v5/account/transaction-log"): Route(_transactions, group="transactions"),
    ("GET", "/v5/account/smp-group"): Route(_smp_group, group="history"),
    ("GET", "/v5/account/query-dcp-info"): Route(_disconnect_windows, group="history"),
    ("GET", "/v5/account/user-setting-config"): Route(_setting_config, group="history"),
    ("POST", "/v5/account/set-limit-px-action"): Route(
        _set_limit_price_action, is_write=True, group="position", scope="contract_position"
    ),
}
