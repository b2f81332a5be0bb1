"""Orders over the trade socket: the same desk, rights and budgets as over REST.

Belongs here: one request from its frame to its answer. Does not belong here: signing in and pings
(`sockets`), what an order means (`desk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from simulated_exchange.errors import JournalFailedError, VenueBusyError
from simulated_exchange.gateway.auth import check_key, check_timestamp, require_scope
from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.faults import OPERATION_PATHS, Channel, Fault, FaultKind
from simulated_exchange.gateway.rate_limit import PUBLISHED, Allowance, RateLimiter
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.translate import frames
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    internal_error,
    not_authenticated,
    rate_limited,
    request_id_repeated,
    server_busy,
    unknown_api_key,
    unknown_operation,
)
from simulated_exchange.gateway.venue import Venue

__all__ = ["OrderEntry"]

log = structlog.get_logger(__name__)

REQUESTS_IN_FLIGHT_MAX = 1000
REQUEST_IDS_MAX = 100_000

Frame = dict[str, Any]
Tell = Callable[[Reply | None, RefusedError | None], None]
"""What becomes of an answer: the reply, or why there is none."""


class OrderEntry:
    """Requests of one connection take effect in their order, each answered once it is durable."""

    def __init__(self, venue: Venue, desk: OrderDesk, limiter: RateLimiter) -> None:
        self._venue = venue
        self._desk = desk
        self._limiter = limiter

    def take(self, connection: Connection, frame: Frame) -> None:
        """One request, unless a fault meets it."""
        budget, cost = _charge(frame)
        allowance = self._limiter.take(connection.account or 0, budget, self._venue.now_ms(), cost)
        tell = partial(self._answer, connection, frame, allowance)
        fault = self._meet(connection, frame) if self._venue.faults else None
        if fault is None:
            self._carry_out(connection, frame, allowance, tell)
        elif fault.applied:
            self._carry_out(connection, frame, allowance, partial(self._misbehave, fault, connection, tell))
        else:
            begin = partial(self._carry_out, connection, frame, allowance, tell)
            self._misbehave(fault, connection, tell, None, None, begin)

    def _carry_out(self, connection: Connection, frame: Frame, allowance: Allowance, tell: Tell) -> None:
        """Apply now, in the order of arrival; answer once durable, refusals as well."""
        refusal: RefusedError | None = None
        reply: Reply = ({}, {})
        try:
            reply = self._apply(connection, frame, allowance, self._venue.now_ms())
        except RefusedError as error:
            refusal = error
        except (VenueBusyError, JournalFailedError):
            refusal = server_busy()
        except Exception:
            log.exception("request failed", connection=connection.name)
            refusal = internal_error()
        connection.in_flight += 1
        if connection.in_flight >= REQUESTS_IN_FLIGHT_MAX:
            connection.socket.hold()
        self._venue.driver.when_durable(
            partial(self._tell, connection, tell, reply, refusal),
            partial(self._tell, connection, tell, None, server_busy()),
        )

    def _tell(
        self, connection: Connection, tell: Tell, reply: Reply | None, refusal: RefusedError | None
    ) -> None:
        connection.in_flight -= 1
        connection.socket.go_on()
        tell(reply, refusal)

    def _apply(self, connection: Connection, frame: Frame, allowance: Allowance, now_ms: int) -> Reply:
        request = frames.trade_frame(frame)
        if connection.account is None:
            raise not_authenticated()
        if allowance.is_exceeded:
            raise rate_limited()
        step = self._desk.operations.get(request.operation)
        if step is None:
            raise unknown_operation()
        venue = self._venue
        check_timestamp(request.timestamp, request.recv_window, now_ms, venue.limits.recv_window_ms)
        key = venue.keys.by_key(connection.api_key)  # it may have changed since the socket signed in
        if key is None:
            raise unknown_api_key()
        check_key(key, venue.keys, now_ms, connection.address)
        require_scope(key, "order", is_write=True, category=_category(request.body))
        seen = connection.request_ids
        if request.request_id:
            if request.request_id in seen:
                raise request_id_repeated()
            if len(seen) >= REQUEST_IDS_MAX:
                seen.clear()
            seen.add(request.request_id)
        return step(connection.account, request.body)

    def _meet(self, connection: Connection, frame: Frame) -> Fault | None:
        path = OPERATION_PATHS.get(str(frame.get("op")), "/v5/")
        return self._venue.faults.meet(Channel.TRADE, path, connection.account, self._venue.now_ms())

    def _misbehave(
        self,
        fault: Fault,
        connection: Connection,
        tell: Tell,
        reply: Reply | None,
        refusal: RefusedError | None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Do the wrong that was asked for instead of answering, or of `then`, or before it."""
        if fault.kind is FaultKind.DELAY:
            go_on = then or partial(tell, reply, refusal)
            asyncio.get_running_loop().call_later(fault.delay_ms / 1000, go_on)
        elif fault.kind in (FaultKind.BUSY, FaultKind.ERROR):
            tell(None, server_busy())
        elif fault.kind is FaultKind.RATE_LIMIT:
            tell(None, rate_limited())
        elif not fault.is_silent:
            connection.end("disconnected on purpose")
            connection.socket.abort()

    def _answer(
        self,
        connection: Connection,
        frame: Frame,
        allowance: Allowance,
        reply: Reply | None,
        refusal: RefusedError | None,
    ) -> None:
        now_ms = self._venue.now_ms()
        headers = frames.rate_limit_headers(
            allowance.limit, allowance.remaining, allowance.reset_ms, now_ms, connection.name
        )
        data, extra = ({}, {}) if refusal or reply is None else reply
        connection.answer(
            frames.trade_answer(frame, connection.name, headers, data=data, extra=extra, refusal=refusal)
        )


def _category(body: Mapping[str, Any]) -> str:
    value = body.get("category")
    return value if isinstance(value, str) else ""


def _charge(frame: Frame) -> tuple[str, int]:
    """The budget that a request uses, which it shares with REST, and how much of it."""
    operation, arguments = frame.get("op"), frame.get("args")
    if not isinstance(operation, str) or operation not in PUBLISHED:
        return "order", 1
    body = arguments[0] if isinstance(arguments, list) and arguments else None
    if not isinstance(body, dict):
        return operation, 1
    named = f"{operation}.{_category(body)}"
    entries = body.get("request")
    cost = len(entries) if operation.endswith("-batch") and isinstance(entries, list) else 1
    return named if named in PUBLISHED else operation, max(cost, 1)
