"""The simulator's own namespace, /sim: a faucet, statistics, prices as they went, invariants.

Belongs here: what a real venue does not have; off unless enabled, unsigned. Does not belong here: anything a
trader's program should depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulated_exchange.accounts import Member
from simulated_exchange.driver import AccountLevel, CoinConservation
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.faults import Fault, FaultKind
from simulated_exchange.gateway.rest import ROUTES
from simulated_exchange.gateway.sim_faults import fault_from, fault_row
from simulated_exchange.gateway.sim_market import change_market
from simulated_exchange.gateway.sim_money import MoneyRoutes
from simulated_exchange.gateway.translate.keys import addresses, scopes_of
from simulated_exchange.gateway.translate.numbers import decimal_text, parse_decimal
from simulated_exchange.gateway.translate.openapi import openapi_document
from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    route_not_found,
    server_busy,
)
from simulated_exchange.gateway.translate.rejects import engine_refusal
from simulated_exchange.gateway.venue import SETTLE_COIN, Venue
from simulated_exchange.instruments import Instrument
from simulated_exchange.ledger import Liquidation

__all__ = ["SimRoutes"]

_LEVELS = {
    "unverified": AccountLevel.Unverified,
    "standard": AccountLevel.Standard,
    "advanced": AccountLevel.Advanced,
    "business": AccountLevel.Business,
    "vip": AccountLevel.Vip,
    "vip4": AccountLevel.Vip4,
    "vip5": AccountLevel.Vip5,
    "supreme": AccountLevel.Supreme,
    "pro": AccountLevel.Pro,
}

Result = dict[str, Any]
Step = Callable[[Mapping[str, str], Mapping[str, Any]], Result]


class SimRoutes:
    """Answers of the namespace; writes are durable when the answer leaves."""

    def __init__(self, venue: Venue, cut: Callable[[Fault], None]) -> None:
        self._venue = venue
        self._cut = cut
        self._routes: dict[tuple[str, str], Step] = {
            ("POST", "/sim/accounts"): self._open_account,
            ("POST", "/sim/keys"): self._issue_key,
            ("POST", "/sim/deposit"): self._deposit,
            ("POST", "/sim/index"): self._set_index,
            ("POST", "/sim/market"): self._change_market,
            ("POST", "/sim/scenario"): self._direct_scenario,
            ("POST", "/sim/level"): self._set_level,
            ("POST", "/sim/faults"): self._add_fault,
            ("POST", "/sim/faults/clear"): self._clear_faults,
            ("GET", "/sim/faults"): self._list_faults,
            ("GET", "/sim/openapi"): self._openapi,
            ("GET", "/sim/stats"): self._stats,
            ("GET", "/sim/history"): self._history,
            ("GET", "/sim/invariants"): self._invariants,
            **MoneyRoutes(venue).steps,
        }

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        """The plain object that answers; raises RefusedError."""
        step = self._routes.get((method, path))
        if step is None:
            raise route_not_found()
        try:
            return step(query, body)
        except VenueBusyError:
            raise server_busy() from None

    def _openapi(self, _query: Mapping[str, str], _body: Mapping[str, Any]) -> Result:
        """The document of everything that is served here."""
        routes = ((method, path, route.is_signed) for (method, path), route in ROUTES.items())
        return openapi_document(routes)

    def _open_account(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        name = body.get("name")
        if not isinstance(name, str):
            raise bad_request("params error: name must be text")
        deposit = _amount(body, "deposit") if "deposit" in body else 0
        try:
            key = self._venue.open_account(name, deposit)
        except ValueError as error:
            raise bad_request(f"params error: {error}") from None
        return {"name": name, "api_key": key.api_key, "api_secret": key.api_secret, "account": key.account}

    def _issue_key(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        """A further key of an account, as narrow as asked for: what the web pages of a real venue do."""
        member = self._member(body)
        expires_ms, read_only = body.get("expires_ms", 0), body.get("read_only", False)
        if type(expires_ms) is not int or expires_ms < 0 or type(read_only) is not bool:
            raise bad_request("params error: expires_ms must be a time in ms, read_only true or false")
        scopes = scopes_of(body["permissions"]) if body.get("permissions") is not None else None
        terms = {"ips": addresses(body.get("ips")), "scopes": scopes, "is_read_only": read_only}
        try:
            key = self._venue.keys.issue(member.account, self._venue.now_ms(), expires_ms=expires_ms, **terms)
        except ValueError as error:
            raise bad_request(f"params error: {error}") from None
        return {"name": member.name, "api_key": key.api_key, "api_secret": key.api_secret}

    def _deposit(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        """Into the unified wallet, in any coin that is listed; the venue's own when none is named."""
        member, amount = self._member(body), _amount(body, "amount")
        driver, names = self._venue.driver, self._venue.driver.engine.coins()
        coin = body.get("coin", SETTLE_COIN)
        if coin not in names:
            raise bad_request(f"params error: coin must be one of {', '.join(names)}")
        outcome = driver.deposit(member.account, amount, names.index(coin))
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject)
        purse = next(entry for entry in driver.purses(member.account) if names[entry.coin] == coin)
        balance = decimal_text(purse.wallet_balance)
        return {"name": member.name, "account": member.account, "coin": coin, "wallet_balance": balance}

    def _change_market(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        """Mark source, funding terms, risk limits with notice: what a venue's operators change."""
        return change_market(self._venue, self._instrument(body.get("symbol")), body)

    def _set_index(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        instrument = self._instrument(body.get("symbol"))
        price = _amount(body, "price")
        source = body.get("source")
        if source is None:
            self._venue.set_index(instrument, price)
        elif isinstance(source, int) and 0 <= source < len(instrument.index_sources):
            self._venue.driver.set_index_source(instrument=instrument.index, source=source, price=price)
        else:
            raise bad_request(f"params error: source must be 0 to {len(instrument.index_sources) - 1}")
        prices = self._venue.driver.prices(instrument.index)
        return {
            "symbol": instrument.symbol,
            "index": decimal_text(prices.index),
            "mark": decimal_text(prices.mark),
        }

    def _direct_scenario(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        venue, action = self._venue, body.get("action")
        if action not in ("play", "pause"):
            raise bad_request("params error: action must be play or pause")
        if (action == "play") != venue.driver.clock.is_held:
            state = "not held (serve --hold, or pause it)" if action == "play" else "held already"
            raise bad_request(f"params error: the market is {state}")
        venue.play() if action == "play" else venue.pause()
        moment = {"started_ms" if action == "play" else "held_ms": venue.now_ms()}
        return moment | {"market_ms": venue.driver.market_ms()}

    def _set_level(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        """How well the venue knows an account's owner: what the wire calls KYC, and VIP."""
        member, level = self._member(body), _LEVELS.get(str(body.get("level")))
        if level is None:
            raise bad_request(f"params error: level must be one of {', '.join(_LEVELS)}")
        outcome = self._venue.driver.set_account_level(account=member.account, level=level)
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject)
        return {"name": member.name, "account": member.account, "level": body["level"]}

    def _add_fault(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        """Put a fault into force; disconnecting strikes at once, and goes on only with count or seconds."""
        keys, faults = self._venue.keys, self._venue.faults
        fault = fault_from(body, keys, self._venue.now_ms())
        if fault.kind is FaultKind.DISCONNECT:
            self._cut(fault)
        if fault.kind is not FaultKind.DISCONNECT or fault.ends_ms or fault.left is not None:
            try:
                faults.add(fault)
            except ValueError as error:
                raise bad_request(f"params error: {error}") from None
        return fault_row(fault, keys)

    def _list_faults(self, _query: Mapping[str, str], _body: Mapping[str, Any]) -> Result:
        return {"faults": [fault_row(fault, self._venue.keys) for fault in self._venue.faults]}

    def _clear_faults(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        identity = body.get("id")
        if identity is not None and type(identity) is not int:
            raise bad_request("params error: id must be that of a fault, or absent for all")
        return {"cleared": self._venue.faults.clear(identity)}

    def _stats(self, _query: Mapping[str, str], _body: Mapping[str, Any]) -> Result:
        venue = self._venue
        counters = venue.ledger.counters
        return {
            "orders": counters.orders,
            "trades": counters.trades,
            "cancels": counters.cancels,
            "liquidations": counters.liquidations,
            "adl": counters.deleveraged,
            "insurance_fund": decimal_text(venue.driver.insurance_pool()),
            "mark_last_gap_bps": {"p50": venue.samples.gap_bps(0.5), "p99": venue.samples.gap_bps(0.99)},
            "time_factor": venue.driver.clock.factor,
            "recent_liquidations": [self._liquidation(row) for row in venue.ledger.liquidations],
            "scenario": venue.scenario_report(),
        }

    def _liquidation(self, row: Liquidation) -> Result:
        """A taken-over position; the side is that of the order which closes it."""
        return {
            "symbol": self._venue.catalogue[row.instrument].symbol,
            "wall_ms": row.wall_ms,
            "side": "sell" if row.qty > 0 else "buy",
            "price": decimal_text(row.price),
            "qty": decimal_text(abs(row.qty)),
        }

    def _history(self, query: Mapping[str, str], _body: Mapping[str, Any]) -> Result:
        instrument = self._instrument(query.get("symbol"))
        rows = [
            [
                sample.wall_ms,
                sample.market_ms,
                decimal_text(sample.index_price),
                decimal_text(sample.mark_price),
                decimal_text(sample.last_price) if sample.last_price else None,
            ]
            for sample in self._venue.samples.of(instrument.index)
        ]
        return {"symbol": instrument.symbol, "rows": rows}

    def _invariants(self, _query: Mapping[str, str], _body: Mapping[str, Any]) -> Result:
        books = self._venue.driver.conservation()
        names = self._venue.driver.engine.coins()
        return {
            "conservation_delta": decimal_text(max(abs(coin.delta) for coin in books.coins)),
            "coins": {names[coin.coin]: _coin_books(coin) for coin in books.coins if coin.deposits},
            "position_qty_sums": [decimal_text(qty) for qty in books.position_qty_sums],
            "commands": self._venue.driver.command_count(),
            "state_hash": self._venue.driver.state_hash(),
        }

    def _member(self, body: Mapping[str, Any]) -> Member:
        name = body.get("name")
        member = self._venue.keys.by_name(name) if isinstance(name, str) else None
        if member is None:
            raise bad_request("params error: name must be that of an account")
        return member

    def _instrument(self, symbol: object) -> Instrument:
        instrument = self._venue.catalogue.by_name(symbol) if isinstance(symbol, str) else None
        if instrument is None:
            known = ", ".join(entry.name for entry in self._venue.catalogue)
            raise bad_request(f"params error: symbol must be one of {known}")
        return instrument


def _amount(body: Mapping[str, Any], name: str) -> int:
    amount = parse_decimal(body.get(name))
    if not amount:
        raise bad_request(f"params error: {name} must be a decimal string above zero")
    return amount


def _coin_books(coin: CoinConservation) -> Result:
    amounts = {
        "wallets": coin.wallets,
        "entry_costs": coin.entry_costs,
        "insurance_fund": coin.insurance,
        "fees": coin.fees,
        "deposits": coin.deposits,
        "withdrawals": coin.withdrawals,
    }
    return {name: decimal_text(amount) for name, amount in amounts.items()}
