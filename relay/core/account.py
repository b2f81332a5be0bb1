"""The leader's account as arithmetic: what a fill, funding or a deposit makes of it.

Belongs here: positions in one-way and hedge mode, wallet, equity, leverage; immutable values. Does not belong
here: which messages follow (`signals`), any venue's dialect, clocks.

Amounts are `Decimal`, times milliseconds of the Unix epoch. An account whose equity is zero or below has no
ratios: its exposure and leverage are 0, and the equity says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, TypeAlias

from relay.protocol.messages import AccountCause, Cause

__all__ = [
    "FLAT",
    "Account",
    "Fill",
    "Leg",
    "LegName",
    "Position",
    "Quote",
    "WalletEvent",
    "hedged",
    "position_after",
]

ZERO = Decimal(0)
LegName: TypeAlias = Literal["net", "long", "short"]


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of the leader's, as the venue reports it. `leaves_qty` None = not told; `leg` = which
    side of a hedged position it moves, `net` in one-way mode.
    """

    fill_id: str
    order_id: str
    symbol: str
    side: Literal["buy", "sell"]
    qty: Decimal
    price: Decimal
    fee: Decimal
    cause: Cause
    exec_ms: int
    seen_ms: int
    leaves_qty: Decimal | None = None
    leg: LegName = "net"

    @property
    def event_id(self) -> str:
        """What it is known by."""
        return self.fill_id

    @property
    def signed_qty(self) -> Decimal:
        """Positive for a buy."""
        return self.qty if self.side == "buy" else -self.qty


@dataclass(frozen=True, slots=True)
class WalletEvent:
    """A change of the wallet that no fill made; `amount` positive = it grew, USDT terms."""

    event_id: str
    cause: AccountCause
    amount: Decimal
    symbol: str | None
    exec_ms: int
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a hedged position; qty is never negative. 0 where a price or setting is not there."""

    qty: Decimal = ZERO
    entry_price: Decimal = ZERO
    leverage: Decimal = ZERO
    take_profit: Decimal = ZERO
    stop_loss: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Position:
    """A symbol's position: signed qty, average entry (0 when flat), settings (0 = none or not known).

    With `long` and `short` it is hedged: qty is their difference and the entry that of the bigger side.
    """

    qty: Decimal = ZERO
    entry_price: Decimal = ZERO
    leverage: Decimal = ZERO
    take_profit: Decimal = ZERO
    stop_loss: Decimal = ZERO
    margin_mode: Literal["cross", "isolated"] = "cross"
    long: Leg | None = None
    short: Leg | None = None

    @property
    def is_held(self) -> bool:
        """Whether there is anything, on either side."""
        return bool(self.qty) or any(leg is not None and leg.qty for leg in (self.long, self.short))

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit not realised, at a mark price."""
        if self.long is None or self.short is None:
            return self.qty * (mark - self.entry_price)
        long, short = self.long, self.short
        return long.qty * (mark - long.entry_price) - short.qty * (mark - short.entry_price)


FLAT = Position()


@dataclass(frozen=True, slots=True)
class Quote:
    """A symbol's prices at the leader's venue; 0 where there is none."""

    mark: Decimal
    index: Decimal
    last: Decimal
    bid: Decimal
    ask: Decimal
    open_interest: Decimal = ZERO  # base units


@dataclass(frozen=True, slots=True)
class Account:
    """The leader's account: wallet balance, positions by symbol, prices by symbol. Immutable."""

    wallet_usdt: Decimal = ZERO
    positions: Mapping[str, Position] = field(default_factory=dict)
    quotes: Mapping[str, Quote] = field(default_factory=dict)

    def position(self, symbol: str) -> Position:
        """The position in a symbol, flat if there is none."""
        return self.positions.get(symbol, FLAT)

    def mark(self, symbol: str) -> Decimal:
        """Mark price; the entry price where no quote has been seen."""
        quote = self.quotes.get(symbol)
        return quote.mark if quote and quote.mark > 0 else self.position(symbol).entry_price

    @property
    def equity_usdt(self) -> Decimal:
        """Wallet balance plus unrealised profit at mark."""
        held = ((symbol, position) for symbol, position in self.positions.items() if position.is_held)
        return self.wallet_usdt + sum((p.unrealised(self.mark(symbol)) for symbol, p in held), ZERO)

    @property
    def leverage(self) -> Decimal:
        """Sum of |net notional at mark| over all symbols / equity."""
        equity = self.equity_usdt
        notional = sum((abs(position.qty) * self.mark(s) for s, position in self.positions.items()), ZERO)
        return notional / equity if equity > 0 else ZERO

    def with_fill(self, fill: Fill) -> Account:
        """The account after a fill: position moved, profit realised, fee paid."""
        position, realised = position_after(self.position(fill.symbol), fill)
        return replace(
            self,
            wallet_usdt=self.wallet_usdt + realised - fill.fee,
            positions={**self.positions, fill.symbol: position},
        )

    def with_event(self, event: WalletEvent) -> Account:
        """The account after funding, a deposit or a withdrawal."""
        return replace(self, wallet_usdt=self.wallet_usdt + event.amount)


def position_after(position: Position, fill: Fill) -> tuple[Position, Decimal]:
    """A position after a fill, and the profit it realises (before fees)."""
    if fill.leg == "net":
        return _one_way(position, fill.signed_qty, fill.price)
    long, short = position.long or Leg(), position.short or Leg()
    moved = long if fill.leg == "long" else short
    sign = 1 if fill.leg == "long" else -1
    signed = Position(sign * moved.qty, moved.entry_price)
    after, realised = _one_way(signed, fill.signed_qty, fill.price)
    if after.qty * sign < 0:  # a leg never turns: what is beyond it was not of this leg
        after = Position()
    leg = replace(moved, qty=abs(after.qty), entry_price=after.entry_price)
    if fill.leg == "long":
        return hedged(replace(position, long=leg, short=short)), realised
    return hedged(replace(position, long=long, short=leg)), realised


def hedged(position: Position) -> Position:
    """A position with two legs: its net qty, the entry and settings of the bigger side."""
    long, short = position.long or Leg(), position.short or Leg()
    bigger = long if long.qty >= short.qty else short
    qty = long.qty - short.qty
    return replace(
        position,
        qty=qty,
        entry_price=bigger.entry_price if qty else ZERO,
        leverage=bigger.leverage,
        take_profit=bigger.take_profit if qty else ZERO,
        stop_loss=bigger.stop_loss if qty else ZERO,
        long=long,
        short=short,
    )


def _one_way(position: Position, change: Decimal, price: Decimal) -> tuple[Position, Decimal]:
    before = position.qty
    after = before + change
    if before == 0 or (before > 0) == (change > 0):
        value = abs(before) * position.entry_price + abs(change) * price
        return replace(position, qty=after, entry_price=value / abs(after)), ZERO
    closed = min(abs(before), abs(change))
    direction = 1 if before > 0 else -1
    realised = direction * closed * (price - position.entry_price)
    if after == 0:
        entry = ZERO
    elif (after > 0) == (before > 0):
        entry = position.entry_price
    else:
        entry = price
    return replace(position, qty=after, entry_price=entry), realised
