"""The order desk: trading requests to commands of the engine, for REST and for the trade socket alike.

Belongs here: one synchronous step per request, so that requests take effect in the order of their arrival;
the caller then waits for the commit before it answers. Does not belong here: transport, settings of positions
(`rest.positions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from simulated_exchange.driver import (
    BatchOutcome,
    Event,
    OrderView,
    Outcome,
    PlainRequest,
    Reject,
    Side,
    TimeInForce,
)
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.translate import requests
from simulated_exchange.gateway.translate.frames import batch_answer
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    limit_maker_rejected,
    order_not_found,
    server_busy,
    spot_order_not_found,
)
from simulated_exchange.gateway.translate.rejects import engine_refusal, exit_refusal, trigger_refusal
from simulated_exchange.gateway.translate.rows import batch_row, cancelled_rows, order_reference_row
from simulated_exchange.gateway.venue import Venue

__all__ = ["OrderDesk", "Reply"]

Body = Mapping[str, Any]
Reply = tuple[dict[str, Any], dict[str, Any]]
"""Result and extra information of an answer."""

_NOTHING: dict[str, Any] = {}
_TRIGGER_REJECTS = frozenset({Reject.TriggerNotAbove, Reject.TriggerNotBelow})
_EXIT_REJECTS = frozenset({Reject.TakeProfitInvalid, Reject.StopLossInvalid})


class OrderDesk:
    """Every method applies at once and raises RefusedError when the request or the engine says no."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._driver = venue.driver
        self._catalogue = venue.catalogue
        reader = requests.plain_reader(venue.catalogue)
        self.read_body, self.read_frame = reader.body, reader.frame
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
        return self._create(account, body, requests.category_of(body)), _NOTHING

    def amend(self, account: int, body: Body) -> Reply:
        """Change one order."""
        return self._amend(account, body, requests.category_of(body)), _NOTHING

    def cancel(self, account: int, body: Body) -> Reply:
        """Cancel one order."""
        return self._cancel(account, body, requests.category_of(body)), _NOTHING

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
        """Cancel everything of one instrument, of a coin, or of a market."""
        request = requests.cancel_all_request(body, self._catalogue)
        gone: list[tuple[int, str]] = []
        for instrument in request.instruments:
            live = self._driver.open_orders(account, instrument.index)
            doomed = [order for order in live if request.includes(order.is_waiting, order.kind)]
            outcomes: Iterable[Outcome] = ()
            if doomed and len(doomed) == len(live):
                outcomes = [
                    self._performed(
                        partial(self._driver.cancel_all, account=account, instrument=instrument.index)
                    )
                ]
            elif doomed:
                cancel = partial(self._driver.cancel_order, account=account)
                outcomes = [self._performed(partial(cancel, order_id=order.order_id)) for order in doomed]
            gone += _cancelled(outcomes, account, live)
        return cancelled_rows(gone), _NOTHING

    def _create(self, account: int, body: Body, category: str) -> dict[str, Any]:
        request = requests.order_request(body, self._catalogue, category)
        instrument = request.instrument
        if instrument.is_spot and request.time_in_force == TimeInForce.PostOnly:
            self._refuse_taking(request)
        try:
            outcome = self._driver.place_order(
                account=account,
                instrument=instrument.index,
                side=request.side,
                order_type=request.order_type,
                time_in_force=request.time_in_force,
                qty=request.qty,
                price=request.price,
                reduce_only=request.reduce_only,
                link_id=request.link_id,
                position_index=request.position_index,
                terms=request.terms,
            )
        except VenueBusyError:
            raise server_busy() from None
        if outcome.reject is not None:
            raise self._refused(outcome.reject, request)
        return order_reference_row(outcome.order_id, request.link_id)

    def _refuse_taking(self, request: requests.OrderRequest) -> None:
        """Spot refuses a post-only order that would take; contracts accept it and cancel it."""
        bid, _, ask, _ = self._driver.best(request.instrument.index)
        crosses = 0 < ask <= request.price if request.side == Side.Buy else request.price <= bid
        if crosses and not (request.terms and request.terms.trigger_price):
            raise limit_maker_rejected()

    def _refused(self, reject: Reject, request: requests.OrderRequest) -> RefusedError:
        """Why a new order was refused; prices on the wrong side are told with the price they were held to."""
        instrument, terms = request.instrument, request.terms
        if terms is not None and reject in _TRIGGER_REJECTS:
            current = self._venue.trigger_basis(instrument.index, terms.trigger_by)
            return trigger_refusal(reject, terms.trigger_price or 0, current, terms.trigger_by.name)
        if terms is not None and reject in _EXIT_REJECTS:
            is_profit = reject == Reject.TakeProfitInvalid
            price = terms.take_profit if is_profit else terms.stop_loss
            by = terms.take_profit_by if is_profit else terms.stop_loss_by
            base = request.price or self._venue.trigger_basis(instrument.index, by)
            return exit_refusal(reject, price or 0, base, by.name, is_long=request.side == Side.Buy)
        return engine_refusal(reject, instrument, request.qty)

    def _amend(self, account: int, body: Body, category: str) -> dict[str, Any]:
        request = requests.amend_request(body, self._catalogue, category)
        order = self._resolve(account, request.order)
        if not request.terms:
            outcome = self._performed(
                lambda: self._driver.amend_order(
                    account=account, order_id=order.order_id, price=request.price, qty=request.qty
                )
            )
        else:
            outcome = self._performed(
                lambda: self._driver.amend_terms(
                    account=account,
                    order_id=order.order_id,
                    price=request.price,
                    qty=request.qty,
                    **request.terms,
                )
            )
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject, request.order.instrument, request.qty or 0)
        return order_reference_row(order.order_id, order.link_id)

    def _cancel(self, account: int, body: Body, category: str) -> dict[str, Any]:
        reference = requests.cancel_request(body, self._catalogue, category)
        order = self._resolve(account, reference)
        outcome = self._performed(lambda: self._driver.cancel_order(account=account, order_id=order.order_id))
        if outcome.reject is not None:
            raise engine_refusal(outcome.reject, reference.instrument)
        return order_reference_row(order.order_id, order.link_id)

    def _performed(self, command: Callable[[], Outcome]) -> Outcome:
        try:
            return command()
        except VenueBusyError:
            raise server_busy() from None

    def _resolve(self, account: int, reference: requests.OrderReference) -> OrderView:
        """The live order meant; it must be of the instrument that the request names."""
        number = reference.order_id
        if number is None:
            number = self._driver.engine.order_id_by_link(account, reference.link_id)
        order = self._driver.order(number)
        if order is not None and order.account == account and order.instrument == reference.instrument.index:
            return order
        raise spot_order_not_found() if reference.instrument.is_spot else order_not_found()

    # -- plain orders ----------------------------------------------------------------------------------------

    def place_plain(self, account: int, request: PlainRequest) -> BatchOutcome:
        """Place the orders of a plain request; what becomes of each order of a batch is in the outcome."""
        try:
            outcome = self._driver.place_plain(account, request)
        except VenueBusyError:
            raise server_busy() from None
        if not request.is_batch:
            self._check_single(request, outcome)
        return outcome

    def _check_single(self, request: PlainRequest, outcome: BatchOutcome) -> None:
        for _, reject in outcome.rejects():
            _, instrument, *_, qty, _, _ = request.orders()[0]
            raise engine_refusal(reject, self._catalogue[instrument], qty)

    def place_plain_all(self, requests: list[tuple[int, PlainRequest]]) -> list[BatchOutcome]:
        """Place the orders of many plain requests, each with its account; what became of each request."""
        try:
            return self._driver.place_plain_all(requests)
        except VenueBusyError:
            raise server_busy() from None

    def plain_reply(self, request: PlainRequest, outcome: BatchOutcome, created_ms: int) -> Reply:
        """What is answered to a batch of which something was refused; of one order, why it was."""
        if not request.is_batch:
            self._check_single(request, outcome)
        rejects = dict(outcome.rejects())
        rows: list[dict[str, Any]] = []
        refusals: list[RefusedError | None] = []
        told = zip(request.orders(), outcome.order_ids(), strict=True)
        for at, ((symbol, instrument, *_, qty, _, link_id), order_id) in enumerate(told):
            reject = rejects.get(at)
            refusal = None if reject is None else engine_refusal(reject, self._catalogue[instrument], qty)
            reference = {} if refusal else order_reference_row(order_id, link_id)
            entry = {"symbol": symbol, "orderLinkId": link_id}
            rows.append(batch_row(request.category, entry, reference, 0 if refusal else created_ms))
            refusals.append(refusal)
        return batch_answer(rows, refusals)

    def _batch(
        self,
        one: Callable[[int, Body, str], dict[str, Any]],
        account: int,
        body: Body,
        *,
        is_create: bool = False,
    ) -> Reply:
        rows: list[dict[str, Any]] = []
        refusals: list[RefusedError | None] = []
        category, entries = requests.batch_requests(body)
        created_ms = self._venue.now_ms() if is_create else None
        for entry in entries:
            try:
                reference = one(account, entry, category)
            except RefusedError as refusal:
                rows.append(batch_row(category, entry, {}, 0 if is_create else None))
                refusals.append(refusal)
            else:
                rows.append(batch_row(category, entry, reference, created_ms))
                refusals.append(None)
        return batch_answer(rows, refusals)


def _cancelled(outcomes: Iterable[Outcome], account: int, live: list[OrderView]) -> list[tuple[int, str]]:
    """The account's orders that commands ended: number and the client's own identifier."""
    links = {order.order_id: order.link_id for order in live}
    return [
        (event.order_id, links.get(event.order_id, ""))
        for outcome in outcomes
        for event in outcome.events
        if isinstance(event, Event.OrderCancelled) and event.account == account
    ]
