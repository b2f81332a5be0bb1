"""HTTP: bytes in, envelope out.

Belongs here: reading requests with limits, routing, the headers of every answer. Does not belong here: what
is answered. Every answer is HTTP 200 with an envelope, also a refusal, because clients read nothing else.
"""

from __future__ import annotations

import logging
import socket
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog
from aiohttp import web

from simulated_exchange.accounts import ApiKey
from simulated_exchange.errors import JournalFailedError
from simulated_exchange.gateway.auth import require_scope, verify_request
from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.json_object import parse_object
from simulated_exchange.gateway.rate_limit import Allowance, RateLimiter
from simulated_exchange.gateway.rest import ROUTES
from simulated_exchange.gateway.rest.route import Call, Route
from simulated_exchange.gateway.sim import SimRoutes
from simulated_exchange.gateway.streams.hub import StreamHub
from simulated_exchange.gateway.streams.sockets import Sockets
from simulated_exchange.gateway.translate.frames import envelope, rate_limit_headers, refusal_envelope
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    bad_request,
    duplicate_key,
    internal_error,
    rate_limited,
    route_not_found,
    server_busy,
)
from simulated_exchange.gateway.venue import Venue

__all__ = ["Gateway"]

log = structlog.get_logger(__name__)
_transport_log = logging.getLogger("simulated_exchange.transport")  # what is no HTTP is answered, not logged
_transport_log.setLevel(logging.CRITICAL)

QUERY_FIELDS_MAX = 50
CLOSING = "the venue closes"
TOO_FREQUENT = "access too frequent"
CLOSE_SECONDS_MAX = 1.0


class Gateway:
    """The server on one listening socket."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._desk = OrderDesk(venue)
        limits = venue.limits
        self._limiter = RateLimiter(limits.requests_per_second_max, is_published=limits.published_limits)
        self.hub = StreamHub(venue)
        self._sockets = Sockets(venue, self._desk, self.hub, self._limiter)
        self._sim = SimRoutes(venue)
        self._requests = 0
        self._runner: web.ServerRunner | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket that is bound already."""
        server = web.Server(self._handle, access_log=None, logger=_transport_log, keepalive_timeout=75)
        self._runner = web.ServerRunner(server, shutdown_timeout=CLOSE_SECONDS_MAX)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=1024).start()

    async def stop(self) -> None:
        """Take no more requests, let those that are here end, close every socket."""
        self._sockets.drop_all(CLOSING)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if self._limiter.is_banned(request.remote or "", self._venue.now_ms()):
            return web.Response(status=403, text=TOO_FREQUENT)
        if self._sockets.serves(path) and request.headers.get("Upgrade", "").lower() == "websocket":
            if self._sockets.is_full:
                return self._refuse(rate_limited(), self._allowance(0, "connect"))
            return await self._sockets.serve(request, path)
        route = ROUTES.get((request.method, path))
        if route is not None:
            return await self._answer(request, route, query)
        if path.startswith("/sim/") and self._venue.is_sim_enabled:
            return await self._answer_sim(request, path, query)
        return self._refuse(route_not_found(), self._allowance(0, "market"))

    async def _answer(self, request: web.BaseRequest, route: Route, query: str) -> web.Response:
        venue = self._venue
        allowance = Allowance(venue.limits.requests_per_second_max, 0, venue.now_ms(), False)
        key: ApiKey | None = None
        try:
            raw = await self._body(request)
            now_ms = venue.now_ms()  # a body that comes in late is late
            if route.is_signed:
                payload = raw if request.method == "POST" else query.encode("utf-8", "surrogateescape")
                window_ms = venue.limits.recv_window_ms
                key = verify_request(
                    request.headers, payload, venue.keys, now_ms, window_ms, request.remote or ""
                )
            call = Call(venue, self._desk, _fields(query) if query else {}, parse_object(raw), key, now_ms)
            budget, cost = route.charge(call)
            allowance = self._limiter.take(key.account if key else 0, budget, now_ms, cost)
            if allowance.is_exceeded:
                raise rate_limited()
            if key is not None:
                require_scope(key, route.scope, is_write=route.is_write, category=call.category)
            reply = await self._carry_out(route, call)
        except RefusedError as refusal:
            return self._refuse(refusal, allowance)
        except JournalFailedError:
            return self._refuse(server_busy(), allowance)
        except Exception:
            log.exception("request failed", path=request.path)
            return self._refuse(internal_error(), allowance)
        result, extra = reply if isinstance(reply, tuple) else (reply, None)
        return self._respond(envelope(result, venue.now_ms(), extra), allowance)

    async def _carry_out(self, route: Route, call: Call) -> dict[str, Any] | Reply:
        """The answer, once everything it tells of is durable; what a refusal gives away counts, too."""
        driver = self._venue.driver
        if route.is_signed and not route.is_write:
            await driver.committed()  # the read model knows what was acknowledged before
        try:
            return route.step(call)
        finally:
            if route.reads_state:
                await driver.committed()

    async def _answer_sim(self, request: web.BaseRequest, path: str, query: str) -> web.Response:
        allowance = self._allowance(0, "sim")
        try:
            body = parse_object(await self._body(request))
            try:
                result = self._sim.answer(request.method, path, _fields(query), body)
            finally:
                await self._venue.driver.committed()
        except RefusedError as refusal:
            return self._refuse(refusal, allowance)
        except JournalFailedError:
            return self._refuse(server_busy(), allowance)
        except Exception:
            log.exception("request failed", path=path)
            return self._refuse(internal_error(), allowance)
        return self._respond(result, allowance)

    async def _body(self, request: web.BaseRequest) -> bytes:
        if not request.can_read_body:
            return b""
        most = self._venue.limits.body_bytes_max
        if (request.content_length or 0) <= most:
            try:
                raw = await request.read()
            except web.HTTPRequestEntityTooLarge:
                raw = b" " * (most + 1)
            except web.RequestPayloadError:
                raise bad_request("params error: body cannot be read") from None
            if len(raw) <= most:
                return raw
        raise bad_request(f"params error: body is larger than {most} bytes")

    def _allowance(self, account: int, group: str) -> Allowance:
        return self._limiter.take(account, group, self._venue.now_ms())

    def _refuse(self, refusal: RefusedError, allowance: Allowance) -> web.Response:
        return self._respond(refusal_envelope(refusal, self._venue.now_ms()), allowance)

    def _respond(self, body: dict[str, Any], allowance: Allowance) -> web.Response:
        self._requests += 1
        headers = rate_limit_headers(
            allowance.limit,
            allowance.remaining,
            allowance.reset_ms,
            self._venue.now_ms(),
            f"{self._requests:032x}",
        )
        headers["Content-Type"] = "application/json; charset=utf-8"
        return web.Response(body=orjson.dumps(body), headers=headers)


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
