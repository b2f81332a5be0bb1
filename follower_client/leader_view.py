"""Where the leader stands, as far as his feed has said.

Belongs here: his newest quantities, exposures, leverage and equity, what he held before he was followed,
where he moved money. Does not belong here: what to do about them (`core`), keeping the facts (`store`).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from follower_client.core.snapshot import LeaderState, OtherLeg, sign
from relay.protocol.messages import PositionState, Signal, Snapshot

__all__ = ["LeaderFacts", "LeaderView"]

ZERO = Decimal(0)


class LeaderFacts(msgspec.Struct, frozen=True):
    """What has to survive a restart because no later message repeats it."""

    equity_at_start: Decimal | None = None
    legacy: frozenset[str] = frozenset()
    rebased: frozenset[str] = frozenset()


class LeaderView:
    """Signed quantity and exposure per symbol, leverage of the account; the newest message wins.

    In hedge mode a symbol has two legs, told apart by their sign; everybody else sees the net of both.
    """

    def __init__(self) -> None:
        self.states: dict[tuple[str, int], PositionState] = {}
        self.leverage: Decimal | None = None
        self.leverage_recommended: Decimal | None = None
        self.equity: Decimal | None = None
        self.equity_before: Decimal | None = None
        self.facts = LeaderFacts()
        self._knows_all = False

    @property
    def exposures(self) -> dict[str, Decimal]:
        """Signed, per symbol, net."""
        found: dict[str, Decimal] = {}
        for (symbol, _), state in self.states.items():
            found[symbol] = found.get(symbol, ZERO) + Decimal(state.exposure)
        return found

    def qty(self, symbol: str) -> Decimal | None:
        """His newest position, net; `None` where nothing was ever heard of it."""
        legs = [Decimal(state.qty) for (name, _), state in self.states.items() if name == symbol]
        if legs:
            return sum(legs, ZERO)
        return ZERO if self._knows_all else None

    def stops(self, symbol: str, *, is_long: bool) -> tuple[Decimal | None, Decimal | None]:
        """(stop-loss, take-profit) of his position on that side."""
        state = self.states.get((symbol, 1 if is_long else -1)) or self.states.get((symbol, 0))
        if state is None or sign(Decimal(state.qty)) != (1 if is_long else -1):
            return None, None
        return _price(state.stop_loss), _price(state.take_profit)

    def state(self, symbol: str, *, alive: bool, signal: Signal | None = None) -> LeaderState:
        """What a decision on that symbol may know; with the signal, the leg that it does not speak of."""
        return LeaderState(
            alive=alive,
            qty_now=self.qty(symbol),
            other_leg=None if signal is None else self._other_leg(signal),
            exposures=self.exposures,
            leverage_now=self.leverage,
            leverage_recommended=self.leverage_recommended,
            equity_at_start=self.facts.equity_at_start,
            equity_before=self.equity_before,
            legacy_symbols=self.facts.legacy,
            rebased_symbols=self.facts.rebased,
        )

    def hear_signal(self, signal: Signal) -> None:
        """One step; a cash flow marks every position that is open."""
        symbol, before = signal.symbol, _before(signal)
        if not self._knows_all and before != 0 and self.qty(symbol) is None:
            self._keep(legacy=self.facts.legacy | {symbol})
        self._put(signal.position, _side(signal))
        self._hear_account(signal.equity, signal.account_leverage)
        if signal.cause == "cash_flow":
            self._keep(rebased=self.facts.rebased | self._held())
        self._forget(symbol, before)

    def hear_snapshot(self, snapshot: Snapshot) -> None:
        """A snapshot is complete: a symbol that it lacks is flat."""
        is_first = self.equity is None
        self.states = {}
        for state in snapshot.positions:
            self._put(state, sign(Decimal(state.qty)) if state.position_mode == "hedge" else 0)
        self._hear_account(snapshot.equity, snapshot.account_leverage)
        self._knows_all = True
        held = self._held()
        legacy = held if is_first else self.facts.legacy & held
        self._keep(legacy=legacy, rebased=self.facts.rebased & held)

    def restore(self, facts: LeaderFacts) -> None:
        """What the store knew."""
        self.facts = facts

    def _put(self, state: PositionState, side: int) -> None:
        if side == 0:
            for leg in (1, -1):
                self.states.pop((state.symbol, leg), None)
        else:
            self.states.pop((state.symbol, 0), None)
        self.states[state.symbol, side] = state

    def _hear_account(self, equity: str, leverage: str) -> None:
        self.equity_before, self.equity = self.equity, Decimal(equity)
        self.leverage = Decimal(leverage)
        if self.facts.equity_at_start is None:
            self._keep(equity_at_start=self.equity)

    def _forget(self, symbol: str, before: Decimal) -> None:
        """A position that was left or turned round is a new one."""
        after = self.qty(symbol) or ZERO
        if after == 0 or sign(before) == -sign(after):
            self._keep(legacy=self.facts.legacy - {symbol}, rebased=self.facts.rebased - {symbol})

    def _held(self) -> frozenset[str]:
        return frozenset(symbol for (symbol, _), state in self.states.items() if Decimal(state.qty) != 0)

    def _keep(self, **changes: object) -> None:
        self.facts = msgspec.structs.replace(self.facts, **changes)

    def _other_leg(self, signal: Signal) -> OtherLeg | None:
        side = _side(signal)
        state = self.states.get((signal.symbol, -side)) if side else None
        return None if state is None else OtherLeg(Decimal(state.qty), Decimal(state.exposure))


def _before(signal: Signal) -> Decimal:
    qty = Decimal(signal.qty)
    return Decimal(signal.position.qty) - (qty if signal.side == "buy" else -qty)


def _side(signal: Signal) -> int:
    """The leg that a signal speaks of: 1 long, -1 short, 0 where there is only one."""
    if signal.position.position_mode != "hedge":
        return 0
    return sign(Decimal(signal.position.qty)) or (-1 if signal.side == "buy" else 1)


def _price(text: str | None) -> Decimal | None:
    value = Decimal(text) if text else ZERO
    return value if value > 0 else None
