"""The driver's calls about orders: one engine command each.

Belongs here: the engine's order commands with both clocks stamped on; arguments of the hot ones go by
position, since names would be compared one by one. Does not belong here: rules (the engine's), durability and
subscriptions (`driver`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from simulated_exchange._engine import (
    BatchOutcome,
    Engine,
    OrderSettings,
    OrderType,
    Outcome,
    PlainRequest,
    PositionIndex,
    ProductClass,
    Side,
    Terms,
    TimeInForce,
    TpSlMode,
    TriggerBy,
)

__all__ = ["OrderCalls"]


class OrderCalls(ABC):
    """What the driver can be asked about orders."""

    engine: Engine

    @abstractmethod
    def _times(self) -> tuple[int, int]:
        """Both clocks, for the next command."""

    @abstractmethod
    def _publish(self, outcome: BatchOutcome) -> None:
        """Hand on what commands made happen."""

    @abstractmethod
    def _applied_with(self, outcome: Outcome) -> Outcome:
        """Hand on what a command made happen."""

    def place_order(
        self,
        *,
        account: int,
        instrument: int,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        qty: int,
        price: int = 0,
        reduce_only: bool = False,
        link_id: str = "",
        position_index: PositionIndex = PositionIndex.OneWay,
        terms: Terms | None = None,
    ) -> Outcome:
        """A new order."""
        outcome = self.engine.place_order(
            *self._times(),
            account,
            instrument,
            side,
            order_type,
            time_in_force,
            qty,
            price,
            reduce_only,
            link_id,
            position_index,
            terms,
        )
        return self._applied_with(outcome)

    def place_plain(self, account: int, request: PlainRequest) -> BatchOutcome:
        """The new orders of a plain request, at one time."""
        outcome = self.engine.place_plain(*self._times(), account, request)
        self._publish(outcome)
        return outcome

    def place_plain_all(self, requests: list[tuple[int, PlainRequest]]) -> list[BatchOutcome]:
        """The same for many requests, each with its account; what became of each, without its events."""
        outcome, parts = self.engine.place_plain_all(*self._times(), requests)
        self._publish(outcome)
        return parts

    def amend_order(
        self, *, account: int, order_id: int, price: int | None = None, qty: int | None = None
    ) -> Outcome:
        """Change price or whole quantity of a live order; None stays as it is."""
        return self._applied_with(self.engine.amend_order(*self._times(), account, order_id, price, qty))

    def cancel_order(self, *, account: int, order_id: int) -> Outcome:
        """Take a live order off the book."""
        return self._applied_with(self.engine.cancel_order(*self._times(), account, order_id))

    def cancel_all(self, *, account: int, instrument: int | None = None) -> Outcome:
        """Take all orders of an account off the book, of one instrument or of all."""
        return self._applied_with(
            self.engine.cancel_all(*self._times(), account=account, instrument=instrument)
        )

    def amend_terms(
        self,
        *,
        account: int,
        order_id: int,
        price: int | None = None,
        qty: int | None = None,
        trigger_price: int | None = None,
        trigger_by: TriggerBy | None = None,
        take_profit: int | None = None,
        take_profit_by: TriggerBy | None = None,
        take_profit_limit: int | None = None,
        stop_loss: int | None = None,
        stop_loss_by: TriggerBy | None = None,
        stop_loss_limit: int | None = None,
        tpsl_mode: TpSlMode | None = None,
    ) -> Outcome:
        """Change an order's terms, and its price and quantity with them; None stays as it is, 0 removes."""
        outcome = self.engine.amend_terms(
            *self._times(),
            account=account,
            order_id=order_id,
            price=price,
            qty=qty,
            trigger_price=trigger_price,
            trigger_by=trigger_by,
            take_profit=take_profit,
            take_profit_by=take_profit_by,
            take_profit_limit=take_profit_limit,
            stop_loss=stop_loss,
            stop_loss_by=stop_loss_by,
            stop_loss_limit=stop_loss_limit,
            tpsl_mode=tpsl_mode,
        )
        return self._applied_with(outcome)

    def set_trading_stop(
        self,
        *,
        account: int,
        instrument: int,
        position_index: PositionIndex = PositionIndex.OneWay,
        mode: TpSlMode = TpSlMode.Full,
        take_profit: int | None = None,
        take_profit_by: TriggerBy = TriggerBy.LastPrice,
        take_profit_limit: int | None = None,
        stop_loss: int | None = None,
        stop_loss_by: TriggerBy = TriggerBy.LastPrice,
        stop_loss_limit: int | None = None,
        size: int | None = None,
        trailing_stop: int | None = None,
        active_price: int | None = None,
    ) -> Outcome:
        """Set what ends a position; None stays as it is, a price of 0 removes."""
        outcome = self.engine.set_trading_stop(
            *self._times(),
            account=account,
            instrument=instrument,
            position_index=position_index,
            mode=mode,
            take_profit=take_profit,
            take_profit_by=take_profit_by,
            take_profit_limit=take_profit_limit,
            stop_loss=stop_loss,
            stop_loss_by=stop_loss_by,
            stop_loss_limit=stop_loss_limit,
            size=size,
            trailing_stop=trailing_stop,
            active_price=active_price,
        )
        return self._applied_with(outcome)

    def cancel_disconnected(self, *, account: int, products: ProductClass) -> Outcome:
        """Cancel the orders of an account whose client is gone for longer than its disconnect window."""
        return self._applied_with(
            self.engine.cancel_disconnected(*self._times(), account=account, products=products)
        )

    def set_smp_group(self, *, account: int, group: int) -> Outcome:
        """Put an account into a group that counts as one trader; 0 takes it out."""
        return self._applied_with(self.engine.set_smp_group(*self._times(), account=account, group=group))

    def set_disconnect_window(self, *, account: int, products: ProductClass, seconds: int) -> Outcome:
        """Set after how many seconds the orders of a client that is gone are cancelled; 0 for never."""
        return self._applied_with(
            self.engine.set_disconnect_window(
                *self._times(), account=account, products=products, seconds=seconds
            )
        )

    def set_moves_to_band(self, *, account: int, products: ProductClass, moves: bool) -> Outcome:
        """Set whether limits beyond the price band are moved to its edge, or refused."""
        return self._applied_with(
            self.engine.set_moves_to_band(*self._times(), account=account, products=products, moves=moves)
        )

    def order_settings(self, account: int) -> OrderSettings:
        """The settings of an account for its orders."""
        return self.engine.order_settings(account)
