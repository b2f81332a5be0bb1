"""A leader who trades where nothing can be watched: he tells each step himself, by a signed local call.

Belongs here: the shape of such a step, what of it cannot be, the account that the steps add up to. Does not
belong here: who may call (`relay.door`), sealing and sending (`relay.publisher`).

A step is told once: the same `id` again is answered as done, or refused if it is another step. Equity is
what the leader says it is with each step; without it the last one goes on with the step's profit and fee.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec

from relay.core.account import ZERO, Account, Fill, Leg, Position, Quote, hedged
from relay.core.positions import dump_positions, load_positions
from relay.errors import Failed
from relay.protocol.codec import decode_strictly
from relay.protocol.errors import Malformed
from relay.protocol.forms import UNSIGNED
from relay.protocol.messages import Count, Token

__all__ = ["ExternalAccount", "ExternalStep", "StopsMoved", "digest_of", "dump_account", "read_step"]

STEP_BYTES_MAX = 4_096
LegChoice = Literal["net", "long", "short"]
_STOPS = ("take_profit", "stop_loss")
_SETTINGS = ("leverage", *_STOPS)
_POSITIVE = ("qty", "price", "equity")
_Place = TypeVar("_Place", Position, Leg)


class ExternalStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: `qty` of `symbol` was bought or sold at `price`. Decimals as text.

    With `action` it is held against where the leader is: `open` wants nothing held, `add`, `reduce` and
    `close` find out the side themselves, `close` the qty as well; `stops` moves nothing but the stops.
    """

    id: Token
    symbol: Token
    action: Literal["open", "add", "reduce", "close", "stops"] | None = None
    side: Literal["buy", "sell"] | None = None
    qty: Token | None = None
    price: Token | None = None
    fee: Token = "0"
    leg: LegChoice = "net"
    leverage: Token | None = None  # the position's setting, if it has one
    take_profit: Token | None = None  # "0" takes it away; None leaves it
    stop_loss: Token | None = None
    equity: Token | None = None  # after the step
    executed_ms: Count | None = None


@dataclass(frozen=True, slots=True)
class StopsMoved:
    """A step without a fill."""

    event_id: str
    exec_ms: int


# What each action is told with, and what it finds out for itself.
_NEEDED: Mapping[str | None, tuple[str, ...]] = {
    None: ("side", "qty", "price"),
    "open": ("side", "qty", "price"),
    "add": ("qty", "price"),
    "reduce": ("qty", "price"),
    "close": ("price",),
    "stops": (),
}


def read_step(body: bytes) -> ExternalStep:
    """The body of a call. Raises `ProtocolError`."""
    step = decode_strictly(body, ExternalStep, STEP_BYTES_MAX, "step")
    name = step.action or "step"
    for field in ("side", "qty", "price"):
        if (getattr(step, field) is None) == (field in _NEEDED[step.action]):
            word = "is needed" if field in _NEEDED[step.action] else "is not allowed"
            raise Malformed(f"{name}: {field} {word}")
    for field in (*_POSITIVE, "fee", *_SETTINGS):
        value, zero = getattr(step, field), field not in _POSITIVE
        if value is None or (re.fullmatch(UNSIGNED.pattern, value) and (zero or Decimal(value) > 0)):
            continue
        allowed = f"a number {'of 0 or more' if zero else 'above 0'} in plain digits (12, 0.5)"
        raise Malformed(f"{name}: {field} was {value}, allowed: {allowed}")
    if step.action == "stops" and step.take_profit is None and step.stop_loss is None:
        raise Malformed("stops: a take_profit or a stop_loss is needed (0 takes one away)")
    return step


def digest_of(step: ExternalStep) -> str:
    """What tells a step that is told again from another one under the same id."""
    return hashlib.sha256(msgspec.json.encode(step)).hexdigest()


class ExternalAccount:
    """The account that steps add up to. `tell` gets each step's fill (none if only stops moved) and the
    account after it.
    """

    def __init__(
        self,
        saved: str | None,
        symbols: tuple[str, ...],
        tell: Callable[[ExternalStep, Fill | StopsMoved, Account], None],
    ) -> None:
        """`saved` is what `dump_account` of an earlier run gave."""
        self._symbols = symbols
        self._tell = tell
        self.account = Account() if saved is None else _load_account(saved)
        self.has_equity = saved is not None

    def take(self, step: ExternalStep) -> None:
        """Tell one step. Raises `Malformed`; `Failed` for what does not fit to where the leader is."""
        if step.symbol not in self._symbols:
            raise Malformed(f"step: one of signals.symbols is allowed ({', '.join(self._symbols)})")
        if step.equity is None and not self.has_equity:
            raise Failed("step: the first one needs the equity after it")
        now_ms = time.time_ns() // 1_000_000
        exec_ms = now_ms if step.executed_ms is None else min(step.executed_ms, now_ms)
        happened: Fill | StopsMoved
        if step.action == "stops":
            _held_or_refused(step, self.account.position(step.symbol))
            happened, after = StopsMoved(step.id, exec_ms), self.account
        else:
            happened = _fill(step, self.account.position(step.symbol), exec_ms, now_ms)
            quotes = {**self.account.quotes, step.symbol: _at(happened.price)}
            after = replace(self.account, quotes=quotes).with_fill(happened)
        position = _with_settings(self.account.position(step.symbol), after.position(step.symbol), step)
        after = replace(after, positions={**after.positions, step.symbol: position})
        if step.equity is not None:
            gap = Decimal(step.equity) - after.equity_usdt
            after = replace(after, wallet_usdt=after.wallet_usdt + gap)
        self._tell(step, happened, after)  # recorded before it is ours
        self.account, self.has_equity = after, True


def _fill(step: ExternalStep, position: Position, exec_ms: int, now_ms: int) -> Fill:
    """What was bought or sold; raises `Failed` where that cannot have happened."""
    held = _held(position, step.leg)
    side, qty = step.side, None if step.qty is None else Decimal(step.qty)
    if step.action == "open":
        if held:
            raise Failed(f"open: {_shown(held, step)} is held already; add makes it bigger")
    elif step.action is not None:
        held = _held_or_refused(step, position)
        side = "buy" if (held > 0) == (step.action == "add") else "sell"
        qty = abs(held) if qty is None else qty
        if step.action == "reduce" and qty > abs(held):
            raise Failed(f"reduce: qty was {step.qty}, allowed: up to what is held ({_shown(held, step)})")
    assert side is not None, "read_step wants a side where no action tells it"
    assert qty is not None, "read_step wants a qty where it is not all that is held"
    assert step.price is not None, "read_step wants a price for every fill"
    _refuse_mixed(step, position)
    _refuse_turning_leg(step, side, qty, position)
    return Fill(
        fill_id=step.id,
        order_id=step.id,
        symbol=step.symbol,
        side=side,
        qty=qty,
        price=Decimal(step.price),
        fee=Decimal(step.fee),
        cause="manual",
        exec_ms=exec_ms,
        seen_ms=now_ms,
        leg=step.leg,
    )


def _refuse_mixed(step: ExternalStep, position: Position) -> None:
    """A position is one-way or hedged, not both."""
    is_hedged = position.long is not None and position.short is not None
    if position.is_held and is_hedged != (step.leg != "net"):
        allowed = "long or short (the position is hedged)" if is_hedged else "none (the position is one-way)"
        raise Failed(f"leg: was {'none' if step.leg == 'net' else step.leg}, allowed: {allowed}")


def _refuse_turning_leg(
    step: ExternalStep, side: Literal["buy", "sell"], qty: Decimal, position: Position
) -> None:
    held = abs(_held(position, step.leg))
    if step.leg != "net" and side == ("sell" if step.leg == "long" else "buy") and qty > held:
        raise Failed(f"qty: was {qty}, allowed: up to what the {step.leg} leg holds ({held})")


def _held(position: Position, leg: LegChoice) -> Decimal:
    if leg == "net":
        return position.qty
    found = (position.long if leg == "long" else position.short) or Leg()
    return found.qty if leg == "long" else -found.qty


def _held_or_refused(step: ExternalStep, position: Position) -> Decimal:
    _refuse_mixed(step, position)
    held = _held(position, step.leg)
    if not held:
        which = "" if step.leg == "net" else f" on its {step.leg} leg"
        raise Failed(f"{step.action}: nothing is held in {step.symbol}{which}")
    return held


def _shown(held: Decimal, step: ExternalStep) -> str:
    return f"a {'long' if held > 0 else 'short'} of {abs(held)} {step.symbol}"


def _with_settings(before: Position, after: Position, step: ExternalStep) -> Position:
    """Leverage and stops as the step sets them; what is flat or has turned has no stops of before."""
    was, held = _held(before, step.leg), _held(after, step.leg)
    if step.leg == "net":
        return _set(after, was, held, step)
    leg = _set((after.long if step.leg == "long" else after.short) or Leg(), was, held, step)
    return hedged(replace(after, long=leg) if step.leg == "long" else replace(after, short=leg))


def _set(place: _Place, before: Decimal, held: Decimal, step: ExternalStep) -> _Place:
    told = {name: Decimal(value) for name in _SETTINGS if (value := getattr(step, name)) is not None}
    stops = {name: told[name] for name in _STOPS if told.get(name)}
    if stops and not held:
        raise Failed(f"{step.action or 'step'}: nothing is held after it that could have a {min(stops)}")
    if step.price is not None:
        for name, price in stops.items():
            is_above = (name == "take_profit") == (held > 0)
            if (price > Decimal(step.price)) != is_above or price == Decimal(step.price):
                word = "above" if is_above else "below"
                raise Failed(f"{name}: was {price}, allowed: {word} the price ({step.price})")
    gone = dict.fromkeys(_STOPS, ZERO) if before * held <= 0 else {}  # closed, opened or turned
    changed: dict[str, Any] = gone | told
    return replace(place, **changed)


def dump_account(account: Account) -> str:
    """An account as text, to go on from."""
    held = {symbol: position for symbol, position in account.positions.items() if position.is_held}
    return json.dumps(
        {
            "positions": dump_positions(account.positions),
            "wallet_usdt": str(account.wallet_usdt),
            "marks": {symbol: str(account.mark(symbol)) for symbol in held},
            "settings": {
                symbol: [[str(getattr(place, name)) for name in _SETTINGS] for place in _places(position)]
                for symbol, position in held.items()
            },
        }
    )


def _load_account(saved: str) -> Account:
    tree = json.loads(saved)
    marks, settings = tree.get("marks", {}), tree.get("settings", {})
    positions = load_positions(tree["positions"]) or {}
    quotes = {symbol: _at(Decimal(marks.get(symbol, p.entry_price))) for symbol, p in positions.items()}
    for symbol, rows in settings.items():
        position = positions[symbol]
        told: list[dict[str, Any]] = [dict(zip(_SETTINGS, map(Decimal, row), strict=True)) for row in rows]
        if position.long is None or position.short is None:
            positions[symbol] = replace(position, **told[0])
        else:
            legs = replace(position.long, **told[0]), replace(position.short, **told[1])
            positions[symbol] = hedged(replace(position, long=legs[0], short=legs[1]))
    return Account(Decimal(tree["wallet_usdt"]), positions, quotes)


def _places(position: Position) -> tuple[Position | Leg, ...]:
    """What has settings of its own: the position, or both sides of a hedge."""
    if position.long is None or position.short is None:
        return (position,)
    return (position.long, position.short)


def _at(price: Decimal) -> Quote:
    return Quote(price, price, price, price, price)
