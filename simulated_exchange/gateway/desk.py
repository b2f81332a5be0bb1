"""The order desk: trading requests to commands of the engine, for REST and for the trade socket alike.

Belongs here: one synchronous step per request, so that requests take effect in the order of their arrival;
the caller then waits for the commit before it answers. Does not belong here: transport.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulated_exchange.driver import Event, Reject
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.translate import requests
from simulated_exchange.gateway.translate.frames import batch_answer
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    engine_refusal,
    leverage_too_high,
    order_not_found,
    position_mode_unchanged,
    server_busy,
)
from simulated_exchange.gateway.translate.rows import batch_row, cancelled_rows, order_reference_row
from simulated_exchange.gateway.venue import Venue

__all__ = ["OrderDesk", "Reply"]

Body = Mapping[str, Any]
Reply = tuple[dict[str, Any], dict[str, Any]]
"""Result and extra information of an answer."""

_NOTHING: dict[str, Any] = {}


class OrderDesk:
    """Every method applies at once and raises RefusedError when the request or the engine says no."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._driver = venue.driver
        self._catalogue = venue.catalogue
        self.operations: dict[str, Callable[[int, Body], Reply]] = {
            "order.create": self.create,
            "order.amend": self.amend,
            "order.cancel": self.cancel,
            "order.create-batch": self.create_batch,
            "order.amend-batch": self.amend_batch,
            "order.cancel-batch": self.cancel_batch,
        }

    def create(self, account: int, body: Body) -> Reply:
        """Place one order."""
        requests.require_linear(body)
        return self._create(account, body), _NOTHING

    def amend(self, account: int, body: Body) -> Reply:
        """Change one order."""
        requests.require_linear(body)
        return self._amend(account, body), _NOTHING

    def cancel(self, account: int, body: Body) -> Reply:
        """Cancel one order."""
        requests.require_linear(body)
        return self._cancel(account, body), _NOTHING

    def create_batch(self, account: int, body: Body) -> Reply:
        """Place several orders; each has its own outcome."""
        return self._batch(self._create, account, body, is_create=True)

    def amend_batch(self, account: int, body: Body) -> Reply:
        """Change several orders."""
        return self._batch(self._amend, account, body)

    def cancel_batch(self, account: int, body: Body) -> Reply:
        """Cancel several orders."""
        return self._batch(self._cancel, account, body)

    def cancel_all(self, account: int, body: Body) -> Reply:
        """Cancel everything of one instrument or of all."""
        request = requests.cancel_all_request(body, self._catalogue)
        instrument = request.instrument.index if request.instrument else None
        links = {order.order_id: order.link_id for order in self._driver.open_orders(account, instrument)}
        try:
            outcome = self._driver.cancel_all(account=account, instrument=instrument)
        except VenueBusyError:
            raise server_busy() from None
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject)
        gone = [
            (event.order_id, links.get(event.order_id, ""))
            for event in outcome.events
            if isinstance(event, Event.OrderCancelled) and event.account == account
        ]
        return cancelled_rows(gone), _NOTHING

    def set_leverage(self, account: int, body: Body) -> Reply:
        """Set the leverage of a position."""
        request = requests.leverage_request(body, self._catalogue)
        instrument = request.instrument
        try:
            outcome = self._driver.set_leverage(
                account=account, instrument=instrument.index, leverage=request.leverage
            )
        except VenueBusyError:
            raise server_busy() from None
        if outcome.reject == Reject.LeverageAboveTier:
            tier = instrument.tiers[max(self._driver.position(account, instrument.index).tier, 1) - 1]
            raise leverage_too_high(request.leverage, tier.leverage_max // 10**6)
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject, instrument)
        return {}, _NOTHING

    def switch_mode(self, _account: int, body: Body) -> Reply:
        """One-way is what it is already."""
        requests.check_position_mode(body, self._catalogue)
        raise position_mode_unchanged()

    def set_margin_mode(self, _account: int, body: Body) -> Reply:
        """Cross margin is what it is already."""
        requests.check_margin_mode(body)
        return {"reasons": []}, _NOTHING

    def _create(self, account: int, body: Body) -> dict[str, Any]:
        request = requests.order_request(body, self._catalogue)
        instrument, qty = request.instrument, request.qty
        if request.whole_position:
            qty = abs(self._driver.position(account, instrument.index).qty)
            if qty == 0:
                raise engine_refusal(Reject.ReduceOnlyNoPosition)
        try:
            outcome = self._driver.place_order(
                account=account,
                instrument=instrument.index,
                side=request.side,
                order_type=request.order_type,
                time_in_force=request.time_in_force,
                qty=qty,
                price=request.price,
                reduce_only=request.reduce_only,
                link_id=request.link_id,
            )
        except VenueBusyError:
            raise server_busy() from None
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject, instrument, qty)
        return order_reference_row(outcome.order_id, request.link_id)

    def _amend(self, account: int, body: Body) -> dict[str, Any]:
        request = requests.amend_request(body, self._catalogue)
        order_id, link_id = self._resolve(account, request.order)
        try:
            outcome = self._driver.amend_order(
                account=account, order_id=order_id, price=request.price, qty=request.qty
            )
        except VenueBusyError:
            raise server_busy() from None
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject, request.order.instrument, request.qty or 0)
        return order_reference_row(order_id, link_id)

    def _cancel(self, account: int, body: Body) -> dict[str, Any]:
        reference = requests.cancel_request(body, self._catalogue)
        order_id, link_id = self._resolve(account, reference)
        try:
            outcome = self._driver.cancel_order(account=account, order_id=order_id)
        except VenueBusyError:
            raise server_busy() from None
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject, reference.instrument)
        return order_reference_row(order_id, link_id)

    def _resolve(self, account: int, reference: requests.OrderReference) -> tuple[int, str]:
        """The live order meant; it must be of the instrument that the request names."""
        if reference.order_id is not None:
            order = self._driver.order(reference.order_id)
            if (
                order is not None
                and order.account == account
                and order.instrument == reference.instrument.index
            ):
                return order.order_id, order.link_id
            raise order_not_found()
        for order in self._driver.open_orders(account, reference.instrument.index):
            if order.link_id == reference.link_id:
                return order.order_id, order.link_id
        raise order_not_found()

    def _batch(
        self,
        one: Callable[[int, Body], dict[str, Any]],
        account: int,
        body: Body,
        *,
        is_create: bool = False,
    ) -> Reply:
        rows, codes = [], []
        for entry in requests.batch_requests(body):
            try:
                reference = one(account, entry)
            except RefusedError as refusal:
                rows.append(batch_row(entry, {}, 0 if is_create else None))
                codes.append((refusal.code, refusal.text))
            else:
                rows.append(batch_row(entry, reference, self._venue.now_ms() if is_create else None))
                codes.append((0, "OK"))
        return batch_answer(rows, codes)
