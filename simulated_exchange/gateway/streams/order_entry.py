"""Orders over the trade socket: the same desk, rights and budgets as over REST.

Belongs here: one request from its frame to its answer, and that answers keep their order. Does not belong
here: signing in and pings (`sockets`), what an order means (`desk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from simulated_exchange.driver import JOURNAL_FAILURES, BatchOutcome, PlainRequest
from simulated_exchange.errors import VenueBusyError
from simulated_exchange.gateway.auth import check_key, check_timestamp, require_scope
from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.faults import OPERATION_PATHS, Channel, Fault, FaultKind
from simulated_exchange.gateway.order_route import budget_of, charge
from simulated_exchange.gateway.rate_limit import PUBLISHED, Allowance, RateLimiter
from simulated_exchange.gateway.streams.connection import Connection
from simulated_exchange.gateway.translate import frames
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    address_rate_limited,
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
_NOTHING: Reply = ({}, {})
_SINGLE, _BATCH = "order.create", "order.create-batch"


class OrderEntry:
    """Requests of one connection take effect in their order, each answered once it is durable."""

    def __init__(self, venue: Venue, desk: OrderDesk, limiter: RateLimiter) -> None:
        self._venue = venue
        self._desk = desk
        self._limiter = limiter
        self._gathered: list[_PlainAnswer] = []

    def take(self, connection: Connection, frame: Frame) -> None:
        """One request, unless a fault meets it."""
        now_ms = self._venue.now_ms()
        budget, cost, category = _charge(frame)
        allowance = self._limiter.take(connection.account or 0, budget, now_ms, cost)
        answer = _Answer(self, connection, frame, allowance)
        if self._limiter.sends_too_much(connection.address, now_ms):
            answer.refusal = address_rate_limited()
            self._wait(connection, answer.tell, answer.fail)
            return
        fault = self._meet(connection, frame) if self._venue.faults else None
        if fault is None:
            self._carry_out(answer, category, now_ms)
        elif fault.applied:
            answer.fault = fault
            self._carry_out(answer, category, now_ms)
        else:
            self._misbehave(fault, answer, partial(self._begin, answer, category))

    def _begin(self, answer: _Answer, category: str) -> None:
        self._carry_out(answer, category, self._venue.now_ms())

    def _carry_out(self, answer: _Answer, category: str, now_ms: int) -> None:
        """Apply now, in the order of arrival; answer once durable, refusals as well."""
        connection = answer.connection
        try:
            answer.reply = self._apply(connection, answer.frame, answer.allowance, category, now_ms)
        except Exception as error:
            answer.refusal = _refusal_of(error, connection)
        self._wait(connection, answer.tell, answer.fail)

    def say(self, connection: Connection, frame: Frame) -> None:
        """Answer in turn what asks nothing of the journal: behind the requests of its connection that do."""
        if not connection.in_flight:
            connection.answer(frame)
            return

        def tell() -> None:
            self._pass(connection)
            connection.answer(frame)

        self._wait(connection, tell, tell)

    def _wait(self, connection: Connection, tell: Callable[[], None], fail: Callable[[], None]) -> None:
        """Until everything applied so far is durable, what was gathered before included."""
        self._count_in(connection)
        self._venue.driver.settle()
        self._venue.driver.commits.when_durable(tell, fail)

    @staticmethod
    def _count_in(connection: Connection) -> None:
        """Who has too much waiting is not read any further."""
        connection.in_flight += 1
        if connection.in_flight >= REQUESTS_IN_FLIGHT_MAX:
            connection.socket.hold()

    @staticmethod
    def _pass(connection: Connection) -> None:
        """One of those that waited has its turn."""
        connection.in_flight -= 1
        connection.socket.go_on()

    def _apply(
        self, connection: Connection, frame: Frame, allowance: Allowance, category: str, now_ms: int
    ) -> Reply:
        request = frames.trade_frame(frame)
        if connection.account is None:
            raise not_authenticated()
        if allowance.is_exceeded:
            raise rate_limited()
        step = self._desk.operations.get(request.operation)
        if step is None:
            raise unknown_operation()
        self._admit(connection, request, category, now_ms)
        return step(connection.account, request.body)

    def _admit(
        self, connection: Connection, request: frames.TradeFrame | PlainRequest, category: str, now_ms: int
    ) -> None:
        venue = self._venue
        check_timestamp(request.timestamp, request.recv_window, now_ms, venue.limits.recv_window_ms)
        key = venue.keys.by_key(connection.api_key)  # it may have changed since the socket signed in
        if key is None:
            raise unknown_api_key()
        check_key(key, venue.keys, now_ms, connection.address)
        require_scope(key, "order", is_write=True, category=category)
        seen, request_id = connection.request_ids, request.request_id
        if request_id:
            if request_id in seen:
                raise request_id_repeated()
            if len(seen) >= REQUEST_IDS_MAX:
                seen.clear()
            seen.add(request_id)

    def takes_plain(self, connection: Connection, message: bytes) -> bool:
        """The short way of plain new orders from their bytes to their answer's; False when it is none.

        Who may ask is decided at once. The order waits for the loop's next turn, or for the next command of
        anybody, so that those which come together take effect in one call, in the order of their arrival.
        """
        account, venue = connection.account, self._venue
        if account is None or venue.faults:
            return False
        request = self._desk.read_frame(message)
        if request is None:
            return False
        now_ms, category = venue.now_ms(), request.category
        operation = _BATCH if request.is_batch else _SINGLE
        allowance = self._limiter.take(account, budget_of(operation, category), now_ms, len(request))
        answer = _PlainAnswer(connection, request, allowance)
        try:
            if self._limiter.sends_too_much(connection.address, now_ms):
                raise address_rate_limited()
            if allowance.is_exceeded:
                raise rate_limited()
            self._admit(connection, request, category, now_ms)
        except Exception as error:
            answer.refusal = _refusal_of(error, connection)
        self._count_in(connection)
        self._gathered.append(answer)
        if len(self._gathered) == 1:
            venue.driver.postpone(self._place)
        return True

    def _place(self) -> None:
        """Everything gathered takes effect."""
        gathered, self._gathered = self._gathered, []
        admitted = [answer for answer in gathered if answer.refusal is None]
        try:
            requests = [(entry.account, entry.request) for entry in admitted]
            outcomes = self._desk.place_plain_all(requests) if requests else []
        except Exception as error:
            for answer in admitted:
                answer.refusal = _refusal_of(error, answer.connection)
        else:
            created_ms = self._venue.now_ms()
            for answer, outcome in zip(admitted, outcomes, strict=True):
                answer.outcome, answer.created_ms = outcome, created_ms
        tell, fail = partial(self._tell_all, gathered), partial(self._fail_all, gathered)
        self._venue.driver.commits.when_durable(tell, fail)

    def _fail_all(self, gathered: list[_PlainAnswer]) -> None:
        for answer in gathered:
            answer.refusal = server_busy()
        self._tell_all(gathered)

    def _tell_all(self, gathered: list[_PlainAnswer]) -> None:
        """What was gathered has taken its effect, or never will."""
        now_ms = self._venue.now_ms()
        for answer in gathered:
            self._pass(answer.connection)
            told = answer.encoded(now_ms)
            if told is not None:
                answer.connection.answer_encoded(told)
            else:
                self._tell_at_length(answer, now_ms)

    def _tell_at_length(self, answer: _PlainAnswer, now_ms: int) -> None:
        """Something was refused."""
        connection, request, reply = answer.connection, answer.request, _NOTHING
        if answer.outcome is not None and answer.refusal is None:
            try:
                reply = self._desk.plain_reply(request, answer.outcome, answer.created_ms)
            except RefusedError as refusal:
                answer.refusal = refusal
        limit, remaining, reset_ms, _ = answer.allowance
        headers = frames.rate_limit_headers(limit, remaining, reset_ms, now_ms, connection.name)
        frame = {"reqId": request.request_id, "op": _BATCH if request.is_batch else _SINGLE}
        data, extra = reply
        connection.answer(
            frames.trade_answer(
                frame, connection.name, headers, data=data, extra=extra, refusal=answer.refusal
            )
        )

    def _meet(self, connection: Connection, frame: Frame) -> Fault | None:
        path = OPERATION_PATHS.get(str(frame.get("op")), "/v5/")
        return self._venue.faults.meet(Channel.TRADE, path, connection.account, self._venue.now_ms())

    def _misbehave(self, fault: Fault, answer: _Answer, then: Callable[[], None]) -> None:
        """Do the wrong that was asked for instead of `then`, or before it."""
        if fault.kind is FaultKind.DELAY:
            asyncio.get_running_loop().call_later(fault.delay_ms / 1000, then)
        elif fault.kind in (FaultKind.BUSY, FaultKind.ERROR):
            answer.refusal = server_busy()
            self._answer(answer)
        elif fault.kind is FaultKind.RATE_LIMIT:
            answer.refusal = rate_limited()
            self._answer(answer)
        elif not fault.is_silent:
            answer.connection.end("disconnected on purpose")
            answer.connection.socket.abort()

    def _tell(self, answer: _Answer) -> None:
        """What was asked for has taken its effect, or never will."""
        connection, fault = answer.connection, answer.fault
        self._pass(connection)
        if fault is None:
            self._answer(answer)
        else:
            self._misbehave(fault, answer, partial(self._answer, answer))

    def _answer(self, answer: _Answer) -> None:
        connection, refusal = answer.connection, answer.refusal
        limit, remaining, reset_ms, _ = answer.allowance
        headers = frames.rate_limit_headers(limit, remaining, reset_ms, self._venue.now_ms(), connection.name)
        data, extra = _NOTHING if refusal is not None else answer.reply
        connection.answer(
            frames.trade_answer(
                answer.frame, connection.name, headers, data=data, extra=extra, refusal=refusal
            )
        )


class _Answer:
    """One request on its way to its answer: what was asked, then the reply, or why there is none."""

    __slots__ = ("allowance", "connection", "entry", "fault", "frame", "refusal", "reply")

    def __init__(self, entry: OrderEntry, connection: Connection, frame: Frame, allowance: Allowance) -> None:
        self.entry = entry
        self.connection = connection
        self.frame = frame
        self.allowance = allowance
        self.reply: Reply = _NOTHING
        self.refusal: RefusedError | None = None
        self.fault: Fault | None = None

    def tell(self) -> None:
        """It is durable."""
        self.entry._tell(self)

    def fail(self) -> None:
        """It never will be."""
        self.refusal = server_busy()
        self.entry._tell(self)


def _category(body: Mapping[str, Any]) -> str:
    value = body.get("category")
    return value if isinstance(value, str) else ""


class _PlainAnswer:
    """The same of plain new orders."""

    __slots__ = ("account", "allowance", "connection", "created_ms", "outcome", "refusal", "request")

    def __init__(self, connection: Connection, request: PlainRequest, allowance: Allowance) -> None:
        assert connection.account is not None
        self.account = connection.account
        self.connection = connection
        self.request = request
        self.allowance = allowance
        self.outcome: BatchOutcome | None = None
        self.created_ms = 0
        self.refusal: RefusedError | None = None

    def encoded(self, now_ms: int) -> bytes | None:
        """Its frame; None when something was refused."""
        outcome = self.outcome
        if outcome is None or self.refusal is not None:
            return None
        limit, remaining, reset_ms, _ = self.allowance
        budget = (limit, remaining, reset_ms)
        return self.request.socket_answer(outcome, self.created_ms, budget, now_ms, self.connection.name)


def _charge(frame: Frame) -> tuple[str, int, str]:
    """The budget that a request uses, which it shares with REST, how much of it, and the market it names."""
    operation, arguments = frame.get("op"), frame.get("args")
    body = arguments[0] if type(arguments) is list and arguments else None
    is_known = isinstance(operation, str) and operation in PUBLISHED
    group = str(operation) if is_known else "order"
    if type(body) is not dict:
        return group, 1, ""
    return charge(group, body)


def _refusal_of(error: Exception, connection: Connection) -> RefusedError:
    """What a request that was not carried out is told; called where the error is handled."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, (VenueBusyError, *JOURNAL_FAILURES)):
        return server_busy()
    log.exception("request failed", connection=connection.name)
    return internal_error()
