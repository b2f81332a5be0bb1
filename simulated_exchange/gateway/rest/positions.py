"""Positions and how they are held: list, leverage, modes, margin, closed profit.

Belongs here: questions about positions and the steps of their settings. Does not belong here: orders (the
desk), names and texts of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulated_exchange.driver import (
    MarginMode,
    Outcome,
    PositionIndex,
    PositionMode,
    PositionView,
    Reject,
)
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.translate import position_requests as requests
from simulated_exchange.gateway.translate import queries
from simulated_exchange.gateway.translate import standing as rows
from simulated_exchange.gateway.translate.frames import page
from simulated_exchange.gateway.translate.history import closure_row
from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    leverage_too_high,
    margin_mode_failed,
    not_for_unified,
    server_busy,
)
from simulated_exchange.gateway.translate.rejects import engine_refusal, exit_refusal
from simulated_exchange.instruments import Instrument

__all__ = ["ROUTES", "performed"]

Result = dict[str, Any]

_LEGS = (PositionIndex.HedgeBuy, PositionIndex.HedgeSell)


def performed(
    command: Callable[[], Outcome], instrument: Instrument | None = None, *, passing: Reject | None = None
) -> Outcome:
    """Give a command; refusals in the wire's words, but for one that counts as done."""
    try:
        outcome = command()
    except VenueBusyError:
        raise server_busy() from None
    if outcome.reject is not None and outcome.reject != passing:
        raise engine_refusal(outcome.reject, instrument)
    return outcome


def _legs(call: Call, instrument: Instrument) -> list[PositionView]:
    """An account's positions in an instrument, flat ones included: one, or two in hedge mode."""
    driver, account, at = call.venue.driver, call.account, instrument.index
    if driver.position_mode(account, at) == PositionMode.OneWay:
        return [driver.position(account, at)]
    return [driver.position(account, at, leg) for leg in _LEGS]


def _row(call: Call, view: PositionView) -> Result:
    instrument = call.venue.catalogue[view.instrument]
    memory = call.venue.memory(call.account).position(view.instrument, int(view.position_index))
    return rows.position_row(view, memory, instrument, call.venue.tiers(instrument))


def _positions(call: Call) -> Result:
    catalogue, before = call.venue.catalogue, queries.offset(call.query)
    question = queries.position_query(call.query, catalogue)
    if question is None:
        return page(queries.category(call.query), [])
    if question.instrument is not None:
        views = _legs(call, question.instrument)
    else:
        views = [
            view
            for view in call.venue.driver.positions(call.account)
            if catalogue[view.instrument].category == question.category
            and question.settle in ("", catalogue[view.instrument].settle)
            and question.base in ("", catalogue[view.instrument].base)
        ]
    shown = views[before : before + question.limit]
    cursor = str(before + question.limit) if len(views) > before + question.limit else ""
    return page(question.category, [_row(call, view) for view in shown], cursor)


def _closed_pnl(call: Call) -> Result:
    question = queries.history_query(call.query, call.venue.catalogue, default_limit=50, limit_max=100)
    if question is None or question.category == "spot":
        return page(call.query.get("category", ""), [])
    catalogue = call.venue.catalogue
    found = [
        closure
        for closure in reversed(call.venue.memory(call.account).closures)
        if closure.sequence < question.before
        and queries.is_asked_for(question, catalogue[closure.instrument])
        and question.start_ms <= closure.updated_us // 1000 <= question.end_ms
    ]
    shown = found[: question.limit]
    cursor = str(shown[-1].sequence) if len(found) > len(shown) else ""
    return page(
        question.category, [closure_row(entry, catalogue[entry.instrument]) for entry in shown], cursor
    )


def _symbol_info(call: Call) -> Result:
    category = queries.category(call.query)
    instruments = [
        entry for entry in queries.market_instruments(call.query, call.venue.catalogue) if not entry.is_spot
    ]
    found = [rows.symbol_info_row(view, entry) for entry in instruments for view in _legs(call, entry)]
    return page(category, found)


def _set_leverage(call: Call) -> Result:
    request = requests.leverage_request(call.body, call.venue.catalogue)
    driver, account, instrument = call.venue.driver, call.account, request.instrument
    try:
        if request.buy == request.sell:
            outcome = driver.set_leverage(account=account, instrument=instrument.index, leverage=request.buy)
        else:
            outcome = driver.set_side_leverage(
                account=account, instrument=instrument.index, buy=request.buy, sell=request.sell
            )
    except VenueBusyError:
        raise server_busy() from None
    if outcome.reject == Reject.LeverageAboveTier:
        tiers = call.venue.tiers(instrument)
        held = max(view.tier for view in _legs(call, instrument))
        tier = tiers[min(max(held, 1), len(tiers)) - 1]
        raise leverage_too_high(max(request.buy, request.sell), tier.leverage_max // 10**6)
    if outcome.reject is not None:
        raise engine_refusal(outcome.reject, instrument)
    return {}


def _switch_mode(call: Call) -> Result:
    request = requests.position_mode_request(call.body, call.venue.catalogue)
    coin = call.venue.coins.by_name(request.coin) if request.coin else None
    performed(
        lambda: call.venue.driver.set_position_mode(
            account=call.account,
            mode=request.mode,
            instrument=request.instrument.index if request.instrument else None,
            coin=coin.index if coin else None,
        ),
        # a whole coin may be asked for again: freqtrade does at every start
        passing=Reject.PositionModeUnchanged if request.instrument is None else None,
    )
    return {}


def _set_margin_mode(call: Call) -> Result:
    mode = requests.margin_mode_request(call.body)
    driver, account = call.venue.driver, call.account
    if driver.margin_mode(account) == mode:
        return {"reasons": []}
    try:
        outcome = driver.set_margin_mode(account=account, mode=mode)
    except VenueBusyError:
        raise server_busy() from None
    if outcome.reject is not None:
        raise margin_mode_failed("3400088" if mode == MarginMode.Isolated else "3400089", outcome.reject.text)
    return {"reasons": []}


def _add_margin(call: Call) -> Result:
    request = requests.margin_request(call.body, call.venue.catalogue)
    instrument, index = request.instrument, request.position_index
    performed(
        lambda: call.venue.driver.add_margin(
            account=call.account, instrument=instrument.index, amount=request.amount, position_index=index
        ),
        instrument,
    )
    view = call.venue.driver.position(call.account, instrument.index, index)
    return rows.margin_row(_row(call, view), instrument.category)


def _set_auto_add_margin(call: Call) -> Result:
    request = requests.auto_margin_request(call.body, call.venue.catalogue)
    performed(
        lambda: call.venue.driver.set_auto_add_margin(
            account=call.account,
            instrument=request.instrument.index,
            is_on=bool(request.amount),
            position_index=request.position_index,
        )
    )
    return {}


def _trading_stop(call: Call) -> Result:
    instrument, request = requests.trading_stop_request(call.body, call.venue.catalogue)
    driver, account = call.venue.driver, call.account
    try:
        outcome = driver.set_trading_stop(
            account=account,
            instrument=instrument.index,
            position_index=request.position_index,
            **request.terms,
        )
    except VenueBusyError:
        raise server_busy() from None
    if outcome.reject is not None:
        side = {Reject.TakeProfitInvalid: "take_profit", Reject.StopLossInvalid: "stop_loss"}
        name = side.get(outcome.reject)
        if name is None or name not in request.terms:
            raise engine_refusal(outcome.reject, instrument)
        by = request.terms[f"{name}_by"]
        base = call.venue.trigger_basis(instrument.index, by)
        is_long = driver.position(account, instrument.index, request.position_index).qty > 0
        raise exit_refusal(outcome.reject, request.terms[name], base, by.name, is_long=is_long)
    return {}


def _switch_isolated(_call: Call) -> Result:
    """Of the accounts before the unified one; margin modes are the whole account's now."""
    raise not_for_unified()


def _confirm_pending_mmr(_call: Call) -> Result:
    raise bad_request("params error: there is no pending change of the maintenance margin")


def _write(step: Any) -> Route:
    return Route(step, is_write=True, group="position", scope="contract_position")


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/v5/position/list"): Route(_positions, group="history"),
    ("GET", "/v5/position/closed-pnl"): Route(_closed_pnl, group="history"),
    ("GET", "/v5/position/symbol-info"): Route(_symbol_info, group="history"),
    ("POST", "/v5/position/set-leverage"): _write(_set_leverage),
    ("POST", "/v5/position/switch-mode"): _write(_switch_mode),
    ("POST", "/v5/position/trading-stop"): _write(_trading_stop),
    ("POST", "/v5/position/add-margin"): _write(_add_margin),
    ("POST", "/v5/position/set-auto-add-margin"): _write(_set_auto_add_margin),
    ("POST", "/v5/position/confirm-pending-mmr"): _write(_confirm_pending_mmr),
    ("POST", "/v5/position/switch-isolated"): _write(_switch_isolated),
    ("POST", "/v5/account/set-margin-mode"): _write(_set_margin_mode),
}
