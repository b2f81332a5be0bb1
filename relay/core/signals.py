"""From the leader's fills to what his followers are told.

Belongs here: which fills are one step; the signal, account change and snapshot that follow. Pure. Does not
belong here: what a fill does to the account (`account`), the venue, clocks, signatures, order of messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

from relay.core.account import ZERO, Account, Fill, Leg, Position, Quote, WalletEvent
from relay.protocol.codec import PAYLOAD_BYTES_MAX, decimal_text
from relay.protocol.messages import (
    FILLS_PER_SIGNAL_MAX,
    POSITIONS_MAX,
    AccountChange,
    LegState,
    MarketState,
    PositionState,
    Signal,
    Snapshot,
    StaggerPlan,
)

__all__ = ["FillBatcher", "SignalTerms", "build_account_change", "build_signal", "build_snapshot"]


_POSITIONS_BYTES_MAX = PAYLOAD_BYTES_MAX - 2 * 1024  # the rest of the message has its own fields


@dataclass(frozen=True, slots=True)
class SignalTerms:
    """What the leader's settings put into each signal."""

    expires_ms: int
    stagger: StaggerPlan = field(default_factory=StaggerPlan)
    venue: str | None = None
    depth_usdt: Decimal | None = None  # as it was seen last; None = never


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
        market=_market_state(account, first.symbol, price, terms),
        leader_exec_ms=max(fill.exec_ms for fill in fills),
        seen_ms=max(fill.seen_ms for fill in fills),
        sealed_ms=sealed_ms,
        expires_ms=terms.expires_ms,
        stagger=terms.stagger,
        fee=_fee(fills),
    )


def build_account_change(
    account: Account, events: Sequence[WalletEvent], *, signal_id: str, sealed_ms: int
) -> AccountChange:
    """What funding or a cash flow made of the account; `events` of one cause and symbol, `account` after
    them.
    """
    first = events[0]
    return AccountChange(
        signal_id=signal_id,
        cause=first.cause,
        event_ids=[event.event_id for event in events],
        amount=decimal_text(sum((event.amount for event in events), ZERO)),
        symbol=first.symbol,
        positions=_held(account),
        equity=decimal_text(account.equity_usdt),
        account_leverage=decimal_text(account.leverage),
        leader_exec_ms=max(event.exec_ms for event in events),
        seen_ms=max(event.seen_ms for event in events),
        sealed_ms=sealed_ms,
    )


def build_snapshot(account: Account, *, sealed_ms: int) -> Snapshot:
    """Everything the leader holds."""
    return Snapshot(
        positions=_held(account),
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
    return (before.order_id, before.symbol, before.side, before.cause, before.leg) == (
        fill.order_id,
        fill.symbol,
        fill.side,
        fill.cause,
        fill.leg,
    )


def _held(account: Account) -> list[PositionState]:
    """All that a message has room for, the biggest if there are more; in the order of their symbols."""
    held = [symbol for symbol, position in account.positions.items() if position.is_held]
    by_size = sorted(held, key=lambda s: abs(account.position(s).qty) * account.mark(s), reverse=True)
    found, room = [], _POSITIONS_BYTES_MAX
    for state in (_position_state(account, symbol) for symbol in by_size[:POSITIONS_MAX]):
        room -= len(msgspec.json.encode(state)) + 1
        if room < 0:
            break
        found.append(state)
    return sorted(found, key=lambda state: state.symbol)


def _position_state(account: Account, symbol: str) -> PositionState:
    position, equity = account.position(symbol), account.equity_usdt
    exposure = position.qty * account.mark(symbol) / equity if equity > 0 else ZERO
    is_hedged = position.long is not None and position.short is not None
    return PositionState(
        symbol=symbol,
        qty=decimal_text(position.qty),
        entry_price=decimal_text(position.entry_price),
        exposure=decimal_text(exposure),
        leverage=decimal_text(position.leverage),
        margin_mode=position.margin_mode,
        position_mode="hedge" if is_hedged else "one_way",
        take_profit=_price_or_none(position.take_profit),
        stop_loss=_price_or_none(position.stop_loss),
        legs=_legs(position),
    )


def _legs(position: Position) -> list[LegState]:
    sides: list[tuple[Literal["long", "short"], Leg | None]] = [
        ("long", position.long),
        ("short", position.short),
    ]
    return [
        LegState(
            side=side,
            qty=decimal_text(leg.qty),
            entry_price=decimal_text(leg.entry_price),
            leverage=decimal_text(leg.leverage),
            take_profit=_price_or_none(leg.take_profit),
            stop_loss=_price_or_none(leg.stop_loss),
        )
        for side, leg in sides
        if leg is not None
    ]


def _price_or_none(price: Decimal) -> str | None:
    return decimal_text(price) if price else None


def _fee(fills: Sequence[Fill]) -> str | None:
    """What the step cost; None where no venue has told a fee (or one in a coin that is not counted)."""
    total = sum((fill.fee for fill in fills), ZERO)
    return decimal_text(total) if any(fill.fee for fill in fills) else None


def _market_state(account: Account, symbol: str, price: Decimal, terms: SignalTerms) -> MarketState:
    quote = account.quotes.get(symbol) or Quote(price, price, price, price, price)
    return MarketState(
        mark=decimal_text(quote.mark),
        index=decimal_text(quote.index),
        last=decimal_text(quote.last),
        bid=decimal_text(quote.bid),
        ask=decimal_text(quote.ask),
        venue=terms.venue,
        depth_usdt=None if terms.depth_usdt is None else decimal_text(terms.depth_usdt),
        open_interest=decimal_text(quote.open_interest) if quote.open_interest else None,
    )
