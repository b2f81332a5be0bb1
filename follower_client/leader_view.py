"""Where the leader stands, as far as his feed has said.

Belongs here: his newest positions, leverage and equity, what he held before he was followed, where he moved
money, what he recommends. Does not belong here: what to do about them (`core`), keeping the facts (`store`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from follower_client.core.snapshot import LeaderState, sign
from relay.protocol.messages import AccountChange, Notice, PositionState, Signal, Snapshot

__all__ = ["LeaderFacts", "LeaderView"]

ZERO = Decimal(0)


class LeaderFacts(msgspec.Struct, frozen=True):
    """What has to survive a restart because no later message repeats it. `joined` = the first list of all his
    positions was heard (a store from before there was this fact has heard it).
    """

    equity_at_start: Decimal | None = None
    leverage_recommended: Decimal | None = None
    legacy: frozenset[str] = frozenset()
    rebased: frozenset[str] = frozenset()
    joined: bool = True


class LeaderView:
    """Position per symbol (net, in hedge mode), leverage and equity of the account; the newest wins."""

    def __init__(self) -> None:
        self.positions: dict[str, PositionState] = {}
        self.leverage: Decimal | None = None
        self.equity: Decimal | None = None
        self.equity_before: Decimal | None = None
        self.facts = LeaderFacts(joined=False)
        self.silent_ms = 0  # for how long nothing was heard, when somebody looked last
        self.has_gap = False  # messages before the next snapshot are gone for good
        self._knows_all = False
        self._newest = 0  # place in the feed of what was heard last of the account
        self._signals: dict[str, int] = {}  # likewise of each symbol's last signal
        self._stepped: set[str] = set()

    @property
    def exposures(self) -> dict[str, Decimal]:
        """Signed, per symbol."""
        return {symbol: Decimal(state.exposure) for symbol, state in self.positions.items()}

    def qty(self, symbol: str) -> Decimal | None:
        """His newest position, signed; `None` where nothing was ever heard of it."""
        state = self.positions.get(symbol)
        if state is not None:
            return Decimal(state.qty)
        return ZERO if self._knows_all else None

    def stops(self, symbol: str) -> tuple[Decimal | None, Decimal | None]:
        """(stop-loss, take-profit) of his position."""
        state = self.positions.get(symbol)
        if state is None or Decimal(state.qty) == 0:
            return None, None
        return _price(state.stop_loss), _price(state.take_profit)

    def state(self, symbol: str, *, alive: bool) -> LeaderState:
        """What a decision on that symbol may know."""
        return LeaderState(
            alive=alive,
            silent_ms=None if alive else self.silent_ms,
            qty_now=self.qty(symbol),
            exposures=self.exposures,
            leverage_now=self.leverage,
            leverage_recommended=self.facts.leverage_recommended,
            equity_at_start=self.facts.equity_at_start,
            equity_before=self.equity_before,
            legacy_symbols=self.facts.legacy,
            rebased_symbols=self.facts.rebased,
        )

    def hear(self, message: object, seq: int | None = None) -> None:
        """Any message of his feed, `seq` = its place there. After a start the feed tells again what came
        after the last thing that was dealt with: it never puts an older state in a newer one's place.
        """
        if seq is None:
            seq = self._newest + 1
        if isinstance(message, Signal):
            self._hear_signal(message, seq)
        elif isinstance(message, AccountChange):
            self._hear_account(message.equity, message.account_leverage, seq)
            self._take_all(message.positions, seq)
            if message.cause == "cash_flow":
                self._keep(rebased=self._held())
        elif isinstance(message, Snapshot):
            late = {state.symbol for state in self.late(message)}
            self._hear_account(message.equity, message.account_leverage, seq)
            self._take_all(message.positions, seq)
            self._keep(joined=True, legacy=self.facts.legacy | late)
        elif isinstance(message, Notice) and message.recommended_leverage is not None:
            wanted = Decimal(message.recommended_leverage)
            self._keep(leverage_recommended=wanted if wanted > 0 else None)

    def late(self, snapshot: Snapshot) -> list[PositionState]:
        """What he has held since before he was followed: the first list of all his positions tells it."""
        if self.facts.joined:
            return []
        held = [state for state in snapshot.positions if Decimal(state.qty) != 0]
        return [state for state in held if state.symbol not in self._stepped]

    def restore(self, facts: LeaderFacts) -> None:
        """What the store knew."""
        self.facts = facts

    def _hear_signal(self, signal: Signal, seq: int) -> None:
        symbol, after = signal.symbol, Decimal(signal.position.qty)
        if seq <= self._signals.get(symbol, 0):
            return
        self._signals[symbol] = seq
        self._stepped.add(symbol)
        before = after - (Decimal(signal.qty) if signal.side == "buy" else -Decimal(signal.qty))
        if before != 0 and self.qty(symbol) is None:
            self._keep(legacy=self.facts.legacy | {symbol})
        self.positions[symbol] = signal.position
        self._hear_account(signal.equity, signal.account_leverage, seq)
        if after == 0 or sign(before) == -sign(after):  # what he holds now is a new position
            self._keep(legacy=self.facts.legacy - {symbol}, rebased=self.facts.rebased - {symbol})

    def _take_all(self, positions: Iterable[PositionState], seq: int) -> None:
        """A complete list: a symbol that it lacks is flat, but for what a later signal has told."""
        later = {symbol for symbol, at in self._signals.items() if at > seq}
        known = {symbol: state for symbol, state in self.positions.items() if symbol in later}
        self.positions = {state.symbol: state for state in positions} | known
        self._knows_all = True
        held = self._held()
        self._keep(legacy=self.facts.legacy & held, rebased=self.facts.rebased & held)

    def _hear_account(self, equity: str, leverage: str, seq: int) -> None:
        if seq <= self._newest:
            return
        self._newest = seq
        self.equity_before, self.equity = self.equity, Decimal(equity)
        self.leverage = Decimal(leverage)
        if self.facts.equity_at_start is None:
            self._keep(equity_at_start=self.equity)

    def _held(self) -> frozenset[str]:
        return frozenset(symbol for symbol, state in self.positions.items() if Decimal(state.qty) != 0)

    def _keep(self, **changes: object) -> None:
        self.facts = msgspec.structs.replace(self.facts, **changes)


def _price(text: str | None) -> Decimal | None:
    value = Decimal(text) if text else ZERO
    return value if value > 0 else None
