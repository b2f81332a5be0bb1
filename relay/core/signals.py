"""From the leader's fills to what his followers are told.

Belongs here: pure arithmetic on the leader's account: what a fill does to a position, which fills are one
step, the signal and the snapshot that follow. Does not belong here: the venue, clocks, signatures, the
order of messages.

Amounts are `Decimal`, times milliseconds of the Unix epoch. An account whose equity is zero or below has no
ratios: its exposure and leverage are given as 0, and the equity says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from relay.protocol.codec import decimal_text
from relay.protocol.messages import (
    FILLS_PER_SIGNAL_MAX,
    Cause,
    MarketState,
    PositionState,
    Signal,
    Snapshot,
    StaggerPlan,
)

__all__ = [
    "FLAT",
    "Account",
    "Fill",
    "FillBatcher",
    "Position",
    "Quote",
    "SignalTerms",
    "build_signal",
    "build_snapshot",
    "position_after",
]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of the leader's, as the venue reports it. `leaves_qty` None = not told."""

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

    @property
    def signed_qty(self) -> Decimal:
        """Positive for a buy."""
        return self.qty if self.side == "buy" else -self.qty


@dataclass(frozen=True, slots=True)
class Position:
    """A one-way position: signed qty, average entry (0 when flat), the leverage setting (0 = not known)."""

    qty: Decimal = ZERO
    entry_price: Decimal = ZERO
    leverage: Decimal = ZERO


FLAT = Position()


@dataclass(frozen=True, slots=True)
class Quote:
    """A symbol's prices at the leader's venue; 0 where there is none."""

    mark: Decimal
    index: Decimal
    last: Decimal
    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True)
class SignalTerms:
    """What the leader's settings put into each signal."""

    expires_ms: int
    stagger: StaggerPlan = field(default_factory=StaggerPlan)


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
        return self.wallet_usdt + sum(
            (
                position.qty * (self.mark(symbol) - position.entry_price)
                for symbol, position in self.positions.items()
                if position.qty
            ),
            ZERO,
        )

    @property
    def leverage(self) -> Decimal:
        """Sum of |notional at mark| over all symbols / equity."""
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


def position_after(position: Position, fill: Fill) -> tuple[Position, Decimal]:
    """A position after a fill, and the profit it realises (before fees)."""
    change, before = fill.signed_qty, position.qty
    after = before + change
    if before == 0 or (before > 0) == (change > 0):
        value = abs(before) * position.entry_price + fill.qty * fill.price
        return replace(position, qty=after, entry_price=value / abs(after)), ZERO
    closed = min(abs(before), abs(change))
    direction = 1 if before > 0 else -1
    realised = direction * closed * (fill.price - position.entry_price)
    if after == 0:
        entry = ZERO
    elif (after > 0) == (before > 0):
        entry = position.entry_price
    else:
        entry = fill.price
    return replace(position, qty=after, entry_price=entry), realised


def build_signal(
    account: Account,
    fills: Sequence[Fill],
    *,
    signal_id: str,
    sealed_ms: int,
    terms: SignalTerms,
) -> Signal:
    """The signal for one step: `fills` of one symbol and side, `account` as it is after them."""
    first = fills[0]
    qty = sum((fill.qty for fill in fills), ZERO)
    price = sum((fill.qty * fill.price for fill in fills), ZERO) / qty
    return Signal(
        signal_id=signal_id,
        cause=first.cause,
        symbol=first.symbol,
        side=first.side,
        qty=decimal_text(qty),
        price=decimal_text(price),
        fill_ids=[fill.fill_id for fill in fills],
        position=_position_state(account, first.symbol),
        equity=decimal_text(account.equity_usdt),
        account_leverage=decimal_text(account.leverage),
        market=_market_state(account, first.symbol, price),
        leader_exec_ms=max(fill.exec_ms for fill in fills),
        seen_ms=max(fill.seen_ms for fill in fills),
        sealed_ms=sealed_ms,
        expires_ms=terms.expires_ms,
        stagger=terms.stagger,
    )


def build_snapshot(account: Account, *, sealed_ms: int) -> Snapshot:
    """Everything the leader holds."""
    held = sorted(symbol for symbol, position in account.positions.items() if position.qty)
    return Snapshot(
        positions=[_position_state(account, symbol) for symbol in held],
        equity=decimal_text(account.equity_usdt),
        account_leverage=decimal_text(account.leverage),
        sealed_ms=sealed_ms,
    )


class FillBatcher:
    """Which fills are one step: those of one order that arrive together.

    An order that sweeps a book fills many times within one message or two. They become one signal: the
    batch is complete when the venue says that nothing of the order is left, when a fill of another order
    arrives, when it is full, or `window_ms` after its first fill, whichever is first. A market order thus
    waits for nothing.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._open: list[Fill] = []

    @property
    def is_open(self) -> bool:
        """Whether fills are waiting for more of their order."""
        return bool(self._open)

    @property
    def due_ms(self) -> int:
        """When the open batch must go, by the clock of `seen_ms`."""
        return self._open[0].seen_ms + self._window_ms if self._open else 0

    def add(self, fill: Fill) -> list[tuple[Fill, ...]]:
        """Take a fill; returns the batches that are complete now, oldest first."""
        complete = [] if not self._open or _same_step(self._open[-1], fill) else self.flush()
        self._open.append(fill)
        if not fill.order_id or fill.leaves_qty == 0 or len(self._open) >= FILLS_PER_SIGNAL_MAX:
            complete += self.flush()
        return complete

    def flush(self) -> list[tuple[Fill, ...]]:
        """Give up waiting: the open batch, if there is one."""
        batch, self._open = tuple(self._open), []
        return [batch] if batch else []


def _same_step(before: Fill, fill: Fill) -> bool:
    return (before.order_id, before.symbol, before.side, before.cause) == (
        fill.order_id,
        fill.symbol,
        fill.side,
        fill.cause,
    )


def _position_state(account: Account, symbol: str) -> PositionState:
    position, equity = account.position(symbol), account.equity_usdt
    exposure = position.qty * account.mark(symbol) / equity if equity > 0 else ZERO
    return PositionState(
        symbol=symbol,
        qty=decimal_text(position.qty),
        entry_price=decimal_text(position.entry_price),
        exposure=decimal_text(exposure),
        leverage=decimal_text(position.leverage),
    )


def _market_state(account: Account, symbol: str, price: Decimal) -> MarketState:
    quote = account.quotes.get(symbol) or Quote(price, price, price, price, price)
    return MarketState(
        mark=decimal_text(quote.mark),
        index=decimal_text(quote.index),
        last=decimal_text(quote.last),
        bid=decimal_text(quote.bid),
        ask=decimal_text(quote.ask),
    )
