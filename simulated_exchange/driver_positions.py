"""The driver's calls about positions and their margin, and about the pools behind them.

Belongs here: one engine command or query each, commands with both clocks stamped on. Does not belong here:
rules (the engine's), orders (`driver_orders`), durability and subscriptions (`driver`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from simulated_exchange._engine import (
    AdlAlertView,
    AdlPlaceView,
    Engine,
    InstrumentStatus,
    MarginMode,
    Outcome,
    PoolView,
    PositionIndex,
    PositionMode,
    PositionView,
    Side,
)

__all__ = ["PositionCalls"]


class PositionCalls(ABC):
    """What the driver can be asked about positions."""

    engine: Engine

    @abstractmethod
    def _times(self) -> tuple[int, int]:
        """Both clocks, for the next command."""

    @abstractmethod
    def _applied_with(self, outcome: Outcome) -> Outcome:
        """Hand on what a command made happen."""

    # -- commands --------------------------------------------------------------------------------------------

    def set_leverage(self, *, account: int, instrument: int, leverage: int) -> Outcome:
        """Leverage of a position, in hundredths."""
        return self._applied_with(
            self.engine.set_leverage(
                *self._times(), account=account, instrument=instrument, leverage=leverage
            )
        )

    def set_side_leverage(self, *, account: int, instrument: int, buy: int, sell: int) -> Outcome:
        """Leverage of both sides, in hundredths; only isolated hedge positions may differ."""
        return self._applied_with(
            self.engine.set_side_leverage(
                *self._times(), account=account, instrument=instrument, buy=buy, sell=sell
            )
        )

    def set_position_mode(
        self, *, account: int, mode: PositionMode, instrument: int | None = None, coin: int | None = None
    ) -> Outcome:
        """One position or two, in one instrument or in all that settle in a coin; one of the two is named."""
        outcome = self.engine.set_position_mode(
            *self._times(), account=account, mode=mode, instrument=instrument, coin=coin
        )
        return self._applied_with(outcome)

    def set_margin_mode(self, *, account: int, mode: MarginMode) -> Outcome:
        """What backs an account's positions."""
        return self._applied_with(self.engine.set_margin_mode(*self._times(), account=account, mode=mode))

    def add_margin(
        self, *, account: int, instrument: int, amount: int, position_index: PositionIndex
    ) -> Outcome:
        """Margin into an isolated position; a negative amount takes it back."""
        outcome = self.engine.add_margin(
            *self._times(),
            account=account,
            instrument=instrument,
            amount=amount,
            position_index=position_index,
        )
        return self._applied_with(outcome)

    def set_auto_add_margin(
        self, *, account: int, instrument: int, is_on: bool, position_index: PositionIndex
    ) -> Outcome:
        """Whether margin goes into an isolated position before it is liquidated."""
        outcome = self.engine.set_auto_add_margin(
            *self._times(), account=account, instrument=instrument, is_on=is_on, position_index=position_index
        )
        return self._applied_with(outcome)

    # -- queries ---------------------------------------------------------------------------------------------

    def position(
        self, account: int, instrument: int, position_index: PositionIndex = PositionIndex.OneWay
    ) -> PositionView:
        """A position as it is now, also a flat one."""
        return self.engine.position(account, instrument, position_index)

    def positions(self, account: int) -> list[PositionView]:
        """The positions that are not flat."""
        return self.engine.positions(account)

    def position_mode(self, account: int, instrument: int) -> PositionMode:
        """Whether an account has one position in an instrument, or two."""
        return self.engine.position_mode(account, instrument)

    def margin_mode(self, account: int) -> MarginMode:
        """What backs an account's positions."""
        return self.engine.margin_mode(account)

    def status(self, instrument: int) -> InstrumentStatus:
        """Which orders an instrument lets in."""
        return self.engine.status(instrument)

    def insurance_pool(self, pool: int = 0) -> int:
        """What an insurance pool holds; pool 0 is the first listed."""
        return self.engine.insurance_pool(pool)

    def insurance_pools(self) -> list[PoolView]:
        """Every insurance pool, by number."""
        return self.engine.insurance_pools()

    def adl_alert(self, instrument: int) -> AdlAlertView:
        """How far an instrument is from deleveraging."""
        return self.engine.adl_alert(instrument)

    def adl_places(self, instrument: int, side: Side) -> list[AdlPlaceView]:
        """The queue of the deleveraging of longs (Buy) or shorts (Sell), first in line first."""
        return self.engine.adl_places(instrument, side)
