"""Borrowing: collateral and its switch, loans and their repayment, rates, limits, spot margin.

Belongs here: which view answers which question, and the steps of loans. Does not belong here: names and
texts of rows, rules (the engine's).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from simulated_exchange.coins import Coin
from simulated_exchange.driver import CoinView, LendingPoolView, Outcome, Reject
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import loans as rows
from simulated_exchange.gateway.translate import money_requests as requests
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.history import interest_row
from simulated_exchange.gateway.translate.numbers import decimal_text, parse_decimal
from simulated_exchange.gateway.translate.refusals import invalid_parameter, server_busy
from simulated_exchange.gateway.translate.rejects import loan_refusal

__all__ = ["ROUTES"]

Result = dict[str, Any]


def _performed(command: Callable[[], Outcome]) -> Outcome:
    try:
        outcome = command()
    except VenueBusyError:
        raise server_busy() from None
    if outcome.reject is not None:
        raise loan_refusal(outcome.reject)
    return outcome


def _pool(call: Call, coin: Coin) -> LendingPoolView | None:
    return call.venue.driver.lending_pool(coin.index) if coin.lending else None


def _held(call: Call) -> dict[int, CoinView]:
    return {view.coin: view for view in call.venue.driver.purses(call.account)}


# -- questions of an account ---------------------------------------------------------------------------------


def _collateral(call: Call) -> Result:
    venue, held = call.venue, _held(call)
    found = []
    for coin in queries.coins(call.query, venue.coins, "currency"):
        borrowable = venue.driver.borrowable_amount(call.account, coin.index) if coin.lending else 0
        is_taken = bool(coin.collateral) and coin.index not in venue.ledger.refused_collateral
        view, pool = held.get(coin.index), _pool(call, coin)
        found.append(rows.collateral_row(coin, view, pool, borrowable, is_venue_collateral=is_taken))
    return {"list": found}


def _borrow_history(call: Call) -> Result:
    question = queries.flow_query(call.query, coin_name="currency")
    coins = call.venue.coins
    found = [
        charge
        for charge in reversed(call.venue.memory(call.account).money.interest)
        if charge.sequence < question.before
        and question.coin in ("", coins[charge.coin].name)
        and question.start_ms <= charge.wall_us // 1000 <= question.end_ms
    ]
    shown = found[: question.limit]
    cursor = str(shown[-1].sequence) if len(found) > len(shown) else ""
    return page(None, [interest_row(charge, coins[charge.coin].name) for charge in shown], cursor)


def _max_borrowable(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins, "currency")
    most = call.venue.driver.borrowable_amount(call.account, coin.index) if coin.lending else 0
    return {"currency": coin.name, "maxLoan": decimal_text(most)}


def _liability(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins, "currency")
    return rows.liability_row(coin, _held(call).get(coin.index))


def _repayable(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins, "currency")
    view = _held(call).get(coin.index)
    most = min(max(view.wallet_balance - view.locked, 0), view.spot_borrowed) if view else 0
    return {"currency": coin.name, "lossLessRepaymentAmount": decimal_text(most)}


def _auto_repay_mode(call: Call) -> Result:
    mode = "1" if call.venue.driver.account(call.account).auto_repay else "0"
    coins = queries.coins(call.query, call.venue.coins, "currency")
    return {"data": [{"currency": coin.name, "autoRepayMode": mode} for coin in coins if coin.lending]}


def _classic_loans(call: Call) -> Result:
    venue = call.venue
    held = [(venue.coins[at], view) for at, view in sorted(_held(call).items())]
    btc = venue.coins.by_name("BTC")
    return rows.classic_loans(held, venue.usd_price(btc.index) if btc else 0)


def _state(_call: Call) -> Result:
    return rows.spot_margin_state()


# -- what everybody may know ---------------------------------------------------------------------------------


def _margin_data(call: Call) -> Result:
    level = call.query.get("vipLevel") or rows.NO_VIP
    coins = queries.coins(call.query, call.venue.coins, "currency")
    return rows.spot_margin_data([(coin, _pool(call, coin)) for coin in coins], level)


def _rate_history(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins, "currency")
    start_ms, end_ms = queries.time_range(call.query)
    rates = list(call.venue.ledger.borrow_rates.get(coin.index, ()))
    pool = _pool(call, coin)
    if not rates and pool is not None:
        market_ms = call.venue.driver.market_ms()
        rates = [(market_ms - market_ms % 3_600_000, pool.borrow_rate)]
    within = [entry for entry in reversed(rates) if start_ms <= entry[0] <= end_ms]
    return {"list": [rows.rate_row(coin.name, hour_ms, rate) for hour_ms, rate in within]}


def _position_tiers(call: Call) -> Result:
    coins = queries.coins(call.query, call.venue.coins, "currency")
    return {"list": [rows.position_tier_row(coin) for coin in coins if coin.borrow]}


def _collateral_ratios(call: Call) -> Result:
    coins = queries.coins(call.query, call.venue.coins, "currency")
    return {"list": [rows.collateral_ratio_row(coin) for coin in coins]}


def _coin_states(call: Call) -> Result:
    coins = queries.coins(call.query, call.venue.coins, "currency")
    return {"list": [rows.borrow_state_row(coin) for coin in coins if coin.borrow]}


def _currency_data(call: Call) -> Result:
    coins = queries.coins(call.query, call.venue.coins, "currency")
    return {"list": [rows.currency_data_row(coin) for coin in coins]}


def _inventory(call: Call) -> Result:
    coin = queries.named_coin(call.query, call.venue.coins, "currency")
    pool = _pool(call, coin)
    if pool is None:
        raise invalid_parameter("currency", "a coin that is lent")
    return rows.inventory_row(coin, pool, call.now_ms)


# -- steps ---------------------------------------------------------------------------------------------------


def _borrow(call: Call) -> Result:
    request = requests.loan_request(call.body, call.venue.coins)
    driver, coin = call.venue.driver, request.coin
    _performed(lambda: driver.borrow(account=call.account, coin=coin.index, amount=request.amount))
    return {"coin": coin.name, "amount": decimal_text(request.amount)}


def _owed(call: Call, convert: bool) -> list[tuple[Coin, int]]:
    """Repay what is asked for; what was repaid of each coin."""
    driver, before = call.venue.driver, _held(call)
    asked = requests.repay_request(call.body, call.venue.coins)
    if len(asked) > 1:
        asked = [entry for entry in asked if (view := before.get(entry.coin.index)) and view.borrowed]
    repaid = []
    for entry in asked:
        at = entry.coin.index
        _performed(partial(driver.repay, account=call.account, coin=at, amount=entry.amount, convert=convert))
        left = _held(call)[at].borrowed
        repaid.append((entry.coin, before[at].borrowed - left))
    return repaid


def _repay(call: Call, *, convert: bool) -> Result:
    _owed(call, convert)
    return {"resultStatus": "SU"}


def _quick_repayment(call: Call) -> Result:
    return {
        "list": [
            {"coin": coin.name, "repaymentQty": decimal_text(amount)} for coin, amount in _owed(call, True)
        ]
    }


def _set_collateral(call: Call) -> Result:
    request = requests.collateral_request(call.body, call.venue.coins)
    _switch(call, request)
    return {}


def _set_collateral_batch(call: Call) -> Result:
    asked = requests.collateral_batch_request(call.body, call.venue.coins)
    for request in asked:
        if not request.coin.can_switch:
            raise loan_refusal(Reject.CollateralFixed)
    for request in asked:
        _switch(call, request)
    return {
        "list": [
            {"coin": entry.coin.name, "collateralSwitch": "ON" if entry.enabled else "OFF"} for entry in asked
        ]
    }


def _switch(call: Call, request: requests.CollateralRequest) -> None:
    """What is so already stays so, as on the real venue."""
    try:
        outcome = call.venue.driver.set_collateral(
            account=call.account, coin=request.coin.index, enabled=request.enabled
        )
    except VenueBusyError:
        raise server_busy() from None
    if outcome.reject not in (None, Reject.SettingUnchanged):
        raise loan_refusal(outcome.reject)


def _set_auto_repay(call: Call) -> Result:
    """One switch for all coins: who names a coin switches the others with it."""
    name, enabled = requests.auto_repay_request(call.body, call.venue.coins)
    driver = call.venue.driver
    if driver.account(call.account).auto_repay != enabled:
        _performed(lambda: driver.set_auto_repay(account=call.account, enabled=enabled))
    coins = [coin.name for coin in call.venue.coins if coin.lending and name in ("", coin.name)]
    return {"data": [{"currency": coin, "autoRepayMode": "1" if enabled else "0"} for coin in coins]}


def _switch_margin(call: Call) -> Result:
    mode = call.body.get("spotMarginMode")
    if mode != "1":
        raise invalid_parameter("spotMarginMode", "1: orders borrow when they ask for it")
    return {"spotMarginMode": "1"}


def _set_spot_leverage(call: Call) -> Result:
    leverage = parse_decimal(call.body.get("leverage"))
    if leverage is None or not 2 * 10**8 <= leverage <= rows.SPOT_LEVERAGE_MAX * 10**8:
        raise invalid_parameter("leverage", f"2 to {rows.SPOT_LEVERAGE_MAX}")
    return {}


def _public(step: Any) -> Route:
    return Route(step, is_signed=False)


def _write(step: Any) -> Route:
    return Route(step, is_write=True, group="loan", scope="spot")


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/account/collateral-info"): Route(_collateral, group="history"),
    ("GET", "/v5/account/borrow-history"): Route(_borrow_history, group="history"),
    ("POST", "/v5/account/borrow"): _write(_borrow),
    ("POST", "/v5/account/repay"): _write(lambda call: _repay(call, convert=True)),
    ("POST", "/v5/account/no-convert-repay"): _write(lambda call: _repay(call, convert=False)),
    ("POST", "/v5/account/quick-repayment"): _write(_quick_repayment),
    ("POST", "/v5/account/set-collateral-switch"): _write(_set_collateral),
    ("POST", "/v5/account/set-collateral-switch-batch"): _write(_set_collateral_batch),
    ("GET", "/v5/spot-margin-trade/data"): _public(_margin_data),
    ("GET", "/v5/spot-margin-trade/position-tiers"): _public(_position_tiers),
    ("GET", "/v5/spot-margin-trade/collateral"): _public(_collateral_ratios),
    ("GET", "/v5/spot-margin-trade/coinstate"): _public(_coin_states),
    ("GET", "/v5/spot-margin-trade/currency-data"): _public(_currency_data),
    ("GET", "/v5/spot-margin-trade/flexible-available-inventory"): _public(_inventory),
    ("GET", "/v5/spot-margin-trade/interest-rate-history"): Route(_rate_history, group="history"),
    ("GET", "/v5/spot-cross-margin-trade/account"): Route(_classic_loans, group="history"),
    ("GET", "/v5/spot-margin-trade/state"): Route(_state, group="history"),
    ("GET", "/v5/spot-margin-trade/max-borrowable"): Route(_max_borrowable, group="history"),
    ("GET", "/v5/spot-margin-trade/liability"): Route(_liability, group="history"),
    ("GET", "/v5/spot-margin-trade/repayment-available-amount"): Route(_repayable, group="history"),
    ("GET", "/v5/spot-margin-trade/get-auto-repay-mode"): Route(_auto_repay_mode, group="history"),
    ("POST", "/v5/spot-margin-trade/set-auto-repay-mode"): _write(_set_auto_repay),
    ("POST", "/v5/spot-margin-trade/switch-mode"): _write(_switch_margin),
    ("POST", "/v5/spot-margin-trade/set-leverage"): _write(_set_spot_leverage),
}
