"""The simulator's own namespace, /sim: a faucet, statistics, prices as they went, invariants.

Belongs here: what a real venue does not have; off unless enabled, unsigned. Does not belong here: anything a
trader's program should depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulated_exchange.accounts import Member
from simulated_exchange.driver import CoinConservation
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.translate.numbers import decimal_text, parse_decimal
from simulated_exchange.gateway.translate.refusals import (
    bad_request,
    engine_refusal,
    route_not_found,
    server_busy,
)
from simulated_exchange.gateway.venue import Venue
from simulated_exchange.instruments import Instrument
from simulated_exchange.ledger import Liquidation

__all__ = ["SimRoutes"]

Result = dict[str, Any]
Step = Callable[[Mapping[str, str], Mapping[str, Any]], Result]


class SimRoutes:
    """Answers of the namespace; writes are durable when the answer leaves."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._routes: dict[tuple[str, str], Step] = {
            ("POST", "/sim/accounts"): self._open_account,
            ("POST", "/sim/deposit"): self._deposit,
            ("POST", "/sim/index"): self._set_index,
            ("POST", "/sim/scenario"): self._direct_scenario,
            ("GET", "/sim/stats"): self._stats,
            ("GET", "/sim/history"): self._history,
            ("GET", "/sim/invariants"): self._invariants,
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

    def _deposit(self, _query: Mapping[str, str], body: Mapping[str, Any]) -> Result:
        member = self._member(body)
        amount = _amount(body, "amount")
        outcome = self._venue.driver.deposit(member.account, amount)
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject)
        balance = self._venue.driver.account(member.account).wallet_balance
        return {"name": member.name, "account": member.account, "wallet_balance": decimal_text(balance)}

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
        if body.get("action") != "play":
            raise bad_request("params error: action must be play")
        if not self._venue.driver.clock.is_held:
            raise bad_request("params error: the market is not held (serve --hold)")
        self._venue.play()
        return {"started_ms": self._venue.now_ms(), "market_ms": self._venue.driver.market_ms()}

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
