"""A leader who trades where nothing can be watched: he tells each step himself, by a signed local call.

Belongs here: the shape of such a step, the account that the steps add up to. Does not belong here: who may
call (`relay.door`), sealing and sending (`relay.publisher`).

A step is told once: the same `id` again is answered as done. Equity is what the leader says it is with each
step; without it the last one goes on with the step's profit and fee.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Literal

import msgspec

from relay.core.account import Account, Fill, Quote
from relay.core.positions import dump_positions, load_positions
from relay.errors import Failed
from relay.protocol.codec import decode_strictly
from relay.protocol.errors import Malformed
from relay.protocol.messages import Count, Symbol, Token, Unsigned

__all__ = ["ExternalAccount", "ExternalStep", "dump_account", "read_step"]

STEP_BYTES_MAX = 4_096


class ExternalStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: `qty` of `symbol` was bought or sold at `price`. Decimals as text."""

    id: Token
    symbol: Symbol
    side: Literal["buy", "sell"]
    qty: Unsigned
    price: Unsigned
    fee: Unsigned = "0"
    leg: Literal["net", "long", "short"] = "net"
    leverage: Unsigned | None = None  # the position's setting, if it has one
    equity: Unsigned | None = None  # after the step
    executed_ms: Count | None = None


def read_step(body: bytes) -> ExternalStep:
    """The body of a call. Raises `ProtocolError`."""
    step = decode_strictly(body, ExternalStep, STEP_BYTES_MAX, "step")
    if Decimal(step.qty) <= 0 or Decimal(step.price) <= 0:
        raise Malformed("step: a qty and a price above 0 are allowed")
    return step


class ExternalAccount:
    """The account that steps add up to. `tell` gets each step's fill and the account after it."""

    def __init__(
        self, saved: str | None, symbols: tuple[str, ...], tell: Callable[[tuple[Fill, ...], Account], None]
    ) -> None:
        """`saved` is what `dump_account` of an earlier run gave."""
        self._symbols = symbols
        self._tell = tell
        self.account = Account()
        self.has_equity = saved is not None
        if saved is not None:
            tree: dict[str, str] = json.loads(saved)
            positions = load_positions(tree["positions"]) or {}
            quotes = {symbol: _at(position.entry_price) for symbol, position in positions.items()}
            self.account = Account(Decimal(tree["wallet_usdt"]), positions, quotes)

    def take(self, step: ExternalStep) -> None:
        """Tell one step. Raises `Malformed`, `Failed` for the first step without equity."""
        if step.symbol not in self._symbols:
            raise Malformed(f"step: one of signals.symbols is allowed ({', '.join(self._symbols)})")
        if step.equity is None and not self.has_equity:
            raise Failed("step: the first one needs the equity after it")
        now_ms = time.time_ns() // 1_000_000
        fill = Fill(
            fill_id=step.id,
            order_id=step.id,
            symbol=step.symbol,
            side=step.side,
            qty=Decimal(step.qty),
            price=Decimal(step.price),
            fee=Decimal(step.fee),
            cause="manual",
            exec_ms=now_ms if step.executed_ms is None else min(step.executed_ms, now_ms),
            seen_ms=now_ms,
            leg=step.leg,
        )
        quotes = {**self.account.quotes, step.symbol: _at(fill.price)}
        after = replace(self.account, quotes=quotes).with_fill(fill)
        if step.leverage is not None:
            position = replace(after.position(step.symbol), leverage=Decimal(step.leverage))
            after = replace(after, positions={**after.positions, step.symbol: position})
        if step.equity is not None:
            gap = Decimal(step.equity) - after.equity_usdt
            after = replace(after, wallet_usdt=after.wallet_usdt + gap)
        self._tell((fill,), after)  # recorded before it is ours
        self.account, self.has_equity = after, True


def dump_account(account: Account) -> str:
    """An account as text, to go on from."""
    return json.dumps(
        {"positions": dump_positions(account.positions), "wallet_usdt": str(account.wallet_usdt)}
    )


def _at(price: Decimal) -> Quote:
    return Quote(price, price, price, price, price)
