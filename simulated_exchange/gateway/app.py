"""The gateway: requests to routes, envelopes back once what they tell of is durable.

Belongs here: routing, who may ask, the headers of every answer. Does not belong here: what is answered, and
the bytes of HTTP. Every answer is HTTP 200 with an envelope, also a refusal, because clients read nothing
else.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog

from simulated_exchange.accounts import ApiKey
from simulated_exchange.driver import JOURNAL_FAILURES, SignedPost, http_answer
from simulated_exchange.gateway.auth import require_scope, verify_request
from simulated_exchange.gateway.desk import OrderDesk
from simulated_exchange.gateway.faults import Channel, Fault, FaultKind
from simulated_exchange.gateway.json_object import parse_object
from simulated_exchange.gateway.order_route import OrderRoute
from simulated_exchange.gateway.rate_limit import Allowance, RateLimiter
from simulated_exchange.gateway.rest import ROUTES
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.sim import SimRoutes
from simulated_exchange.gateway.streams.hub import StreamHub
from simulated_exchange.gateway.streams.sockets import Sockets
from simulated_exchange.gateway.translate.frames import envelope, rate_limit_lines, refusal_envelope
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    bad_request,
    duplicate_key,
    internal_error,
    rate_limited,
    route_not_found,
    server_busy,
)
from simulated_exchange.gateway.transport.http import HttpConnection, Request
from simulated_exchange.gateway.transport.server import Server
from simulated_exchange.gateway.venue import Venue

__all__ = ["Gateway"]

log = structlog.get_logger(__name__)

QUERY_FIELDS_MAX = 50
CLOSING = "the venue closes"
TOO_FREQUENT = b"access too frequent"
CONNECTIONS_PER_SOCKET = 2  # REST beside every socket

RATE_LIMIT_FAULT_MS = 1000
CUT = Fault(FaultKind.DISCONNECT)

Tell = Callable[[bytes], None]
"""What becomes of an answer."""


class Gateway:
    """The server on one listening socket."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._desk = OrderDesk(venue)
        limits = venue.limits
        self._limiter = RateLimiter(limits.requests_per_second_max, is_published=limits.published_limits)
        self.hub = StreamHub(venue)
        self._sockets = Sockets(venue, self._desk, self.hub, self._limiter)
        self._orders = OrderRoute(venue, self._desk, self._limiter, self._respond)
        self._sim = SimRoutes(venue, self._sockets.cut)
        self._requests = 0
        self._server = Server(
            self._handle,
            self._handle_signed,
            body_bytes_max=limits.body_bytes_max,
            connections_max=limits.connections_max * CONNECTIONS_PER_SOCKET,
            silent_seconds_max=limits.silent_seconds_max,
            request_seconds_max=limits.request_seconds_max,
        )

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket that is bound already."""
        await self._server.start(listener)

    async def stop(self) -> None:
        """Take no more requests, let those that are here end, close every socket."""
        self._sockets.drop_all(CLOSING)
        await self._server.stop()

    def _handle(self, request: Request, connection: HttpConnection) -> None:
        """Every request is answered, also by a bug of ours; it sees whatever came before it."""
        try:
            self._venue.driver.settle()
            self._dispatch(request, connection)
        except Exception:
            log.exception("request failed", path=request.path)
            self._refuse(connection, internal_error(), self._allowance("market"))

    def _handle_signed(self, post: SignedPost, connection: HttpConnection) -> bool:
        """Most requests are orders."""
        if self._venue.faults or not self._orders.serves(post.path):
            return False
        try:
            self._venue.driver.settle()
            now_ms = self._venue.now_ms()
            if self._limiter.is_banned(connection.peer, now_ms):
                connection.respond(TOO_FREQUENT, status=403)
            else:
                self._orders.take(post, now_ms, connection)
        except Exception:
            log.exception("request failed", path=post.path)
            self._refuse(connection, internal_error(), self._allowance("market"))
        return True

    def _dispatch(self, request: Request, connection: HttpConnection) -> None:
        now_ms = self._venue.now_ms()
        if self._limiter.is_banned(request.peer, now_ms):
            connection.respond(TOO_FREQUENT, status=403)
            return
        if not self._venue.faults and self._orders.takes(request, now_ms, connection):
            return
        if request.is_upgrade and self._sockets.serves(request.path):
            if self._limiter.opens_too_many(request.peer, self._venue.now_ms()):
                connection.respond(TOO_FREQUENT, status=403)
                return
            if self._sockets.is_full:
                self._refuse(connection, rate_limited(), self._allowance("connect"))
                return
            if self._sockets.open(request, connection, self._server.adopt):
                return
        route = ROUTES.get((request.method, request.path))
        if route is not None:
            self._answer(request, route, connection)
        elif request.path.startswith("/sim/") and self._venue.is_sim_enabled:
            self._answer_sim(request, connection)
        else:
            self._refuse(connection, route_not_found(), self._allowance("market"))

    def _answer(self, request: Request, route: Route, connection: HttpConnection) -> None:
        venue = self._venue
        now_ms = venue.now_ms()  # a body that came in late is late
        allowance = Allowance(venue.limits.requests_per_second_max, 0, now_ms, False)
        key: ApiKey | None = None
        try:
            body = _body(request)
            if route.is_signed:
                payload = body if request.method == "POST" else request.query.encode()
                window_ms = venue.limits.recv_window_ms
                key = verify_request(request.headers, payload, venue.keys, now_ms, window_ms, request.peer)
            fields = _fields(request.query) if request.query else {}
            call = Call(venue, self._desk, fields, parse_object(body), key, now_ms)
            budget, cost = route.charge(call)
            allowance = self._limiter.take(key.account if key else 0, budget, now_ms, cost)
            if allowance.is_exceeded:
                raise rate_limited()
            if key is not None:
                require_scope(key, route.scope, is_write=route.is_write, category=call.category)
        except RefusedError as refusal:
            self._refuse(connection, refusal, allowance)
            return
        tell = partial(self._respond, connection, allowance)
        fault = self._meet(request.path, key.account if key else None) if venue.faults else None
        if fault is None:
            self._begin(route, call, connection, allowance, tell)
        elif fault.applied:
            wrongly = partial(self._deliver_wrongly, fault, connection, allowance)
            self._begin(route, call, connection, allowance, wrongly)
        else:
            begin = partial(self._begin, route, call, connection, allowance, tell)
            self._misbehave(fault, connection, allowance, begin)

    def _begin(
        self, route: Route, call: Call, connection: HttpConnection, allowance: Allowance, tell: Tell
    ) -> None:
        step = partial(self._step, lambda: route.step(call), route.reads_state, connection, allowance, tell)
        if route.is_signed and not route.is_write:
            self._when_durable(step, connection, allowance)  # the read model knows what was acknowledged
        else:
            step()

    def _meet(self, path: str, account: int | None) -> Fault | None:
        faults, now_ms = self._venue.faults, self._venue.now_ms()
        if faults.cuts(Channel.REST, account, now_ms):
            return CUT
        return faults.meet(Channel.REST, path, account, now_ms)

    def _deliver_wrongly(
        self, fault: Fault, connection: HttpConnection, allowance: Allowance, body: bytes
    ) -> None:
        self._misbehave(fault, connection, allowance, partial(self._respond, connection, allowance, body))

    def _misbehave(
        self, fault: Fault, connection: HttpConnection, allowance: Allowance, then: Callable[[], None]
    ) -> None:
        """Do the wrong that was asked for instead of `then`, or before it."""
        if fault.kind is FaultKind.DELAY:
            asyncio.get_running_loop().call_later(fault.delay_ms / 1000, then)
        elif fault.kind is FaultKind.ERROR:
            connection.respond(b"", status=fault.status)
        elif fault.kind is FaultKind.BUSY:
            self._refuse(connection, server_busy(), allowance)
        elif fault.kind is FaultKind.RATE_LIMIT:
            reset_ms = self._venue.now_ms() + RATE_LIMIT_FAULT_MS
            self._refuse(connection, rate_limited(), Allowance(allowance.limit, 0, reset_ms, True))
        elif not fault.is_silent:
            connection.cut()

    def _step(
        self,
        work: Callable[[], Any],
        waits: bool,
        connection: HttpConnection,
        allowance: Allowance,
        tell: Tell,
        wrap: bool = True,
    ) -> None:
        """Do it; answer once all that the answer tells of is durable. A refusal gives something away, too."""
        now_ms = self._venue.now_ms()
        try:
            reply = work()
            if wrap:
                result, extra = reply if isinstance(reply, tuple) else (reply, None)
                reply = envelope(result, now_ms, extra)
            body = orjson.dumps(reply)
        except RefusedError as refusal:
            body = orjson.dumps(refusal_envelope(refusal, now_ms))
        except JOURNAL_FAILURES:
            body = orjson.dumps(refusal_envelope(server_busy(), now_ms))
        except Exception:
            log.exception("request failed")
            body = orjson.dumps(refusal_envelope(internal_error(), now_ms))
        if waits:
            self._when_durable(partial(tell, body), connection, allowance)
        else:
            tell(body)

    def _answer_sim(self, request: Request, connection: HttpConnection) -> None:
        allowance = self._allowance("sim")
        try:
            fields, body = _fields(request.query), parse_object(_body(request))
        except RefusedError as refusal:
            self._refuse(connection, refusal, allowance)
            return
        method, path = request.method, request.path
        tell = partial(self._respond, connection, allowance)
        answer = partial(self._sim.answer, method, path, fields, body)
        self._step(answer, True, connection, allowance, tell, wrap=False)

    def _when_durable(
        self, then: Callable[[], None], connection: HttpConnection, allowance: Allowance
    ) -> None:
        self._venue.driver.when_durable(then, lambda: self._refuse(connection, server_busy(), allowance))

    def _allowance(self, group: str) -> Allowance:
        return self._limiter.take(0, group, self._venue.now_ms())

    def _refuse(self, connection: HttpConnection, refusal: RefusedError, allowance: Allowance) -> None:
        body = orjson.dumps(refusal_envelope(refusal, self._venue.now_ms()))
        self._respond(connection, allowance, body)

    def _respond(self, connection: HttpConnection, allowance: Allowance, body: bytes) -> None:
        self._requests += 1
        budget, now_ms, number = allowance[:3], self._venue.now_ms(), self._requests
        if connection.takes_whole:
            connection.respond_whole(http_answer(body, connection.date, budget, now_ms, number))
        else:
            connection.respond(body, rate_limit_lines(*budget, now_ms, number))


def _body(request: Request) -> bytes:
    if request.fault:
        raise bad_request(f"params error: {request.fault}")
    return request.body


def _fields(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise bad_request(f"params error: at most {QUERY_FIELDS_MAX} query parameters") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise duplicate_key(next(name for name in names if names.count(name) > 1))
    return fields
