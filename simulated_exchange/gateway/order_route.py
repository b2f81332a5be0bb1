"""Signed orders over REST: what every trader waits for, with as few steps as it takes.

Belongs here: the way of the desk's routes from request to answer while nobody asked for a fault. Does not
belong here: every other route, and faults (`app`); what an order means (`desk`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import structlog

from simulated_exchange.driver import JOURNAL_FAILURES, PlainRequest, SignedPost
from simulated_exchange.gateway.auth import Signed, require_scope, signed_of, verify_signed
from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.json_object import parse_object
from simulated_exchange.gateway.rate_limit import PUBLISHED, Allowance, RateLimiter
from simulated_exchange.gateway.translate.frames import envelope, refusal_envelope
from simulated_exchange.gateway.translate.refusals import (
    RefusedError,
    internal_error,
    rate_limited,
    server_busy,
)
from simulated_exchange.gateway.transport.http import HttpConnection, Request
from simulated_exchange.gateway.venue import Venue

__all__ = ["OrderRoute"]

log = structlog.get_logger(__name__)

_CREATES = frozenset({"order.create", "order.create-batch"})

Step = Callable[[int, Any], Reply]
Respond = Callable[[HttpConnection, Allowance, bytes], None]


class OrderRoute:
    """The desk's operations by their paths. Checks, their order and their answers are those of `app`."""

    def __init__(self, venue: Venue, desk: OrderDesk, limiter: RateLimiter, respond: Respond) -> None:
        self._venue = venue
        self._desk = desk
        self._limiter = limiter
        self._respond = respond
        self._steps: dict[str, tuple[str, Step]] = {
            f"/v5/order/{operation.removeprefix('order.')}": (operation, step)
            for operation, step in desk.operations.items()
        }

    def takes(self, request: Request, now_ms: int, connection: HttpConnection) -> bool:
        """Answer a request; False when it is none of these."""
        if request.path not in self._steps or request.query or request.fault or request.method != "POST":
            return False
        signed = signed_of(request.headers)
        self._take(request.path, signed, request.body, request.peer, now_ms, connection)
        return True

    def serves(self, path: str) -> bool:
        """Whether this is one of the paths."""
        return path in self._steps

    def take(self, post: SignedPost, now_ms: int, connection: HttpConnection) -> None:
        """Answer a request on one of the paths whose headers are read already."""
        self._take(post.path, post, post.body, connection.peer, now_ms, connection)

    def _take(
        self,
        path: str,
        signed: Signed | SignedPost,
        raw: bytes,
        peer: str,
        now_ms: int,
        connection: HttpConnection,
    ) -> None:
        venue, (group, step) = self._venue, self._steps[path]
        allowance = Allowance(venue.limits.requests_per_second_max, 0, now_ms, False)
        try:
            key = verify_signed(signed, raw, venue.keys, now_ms, venue.limits.recv_window_ms, peer)
            plain = self._desk.read_body(raw, group == "order.create-batch") if group in _CREATES else None
            if plain is not None:
                budget, cost, category = budget_of(group, plain.category), len(plain), plain.category
            else:
                body = parse_object(raw)
                budget, cost, category = charge(group, body)
            allowance = self._limiter.take(key.account, budget, now_ms, cost)
            if allowance.is_exceeded:
                raise rate_limited()
            require_scope(key, "order", is_write=True, category=category)
        except RefusedError as refusal:
            self._respond(connection, allowance, orjson.dumps(refusal_envelope(refusal, now_ms)))
            return
        if plain is not None:
            work = partial(self._place, key.account, plain, now_ms)
        else:
            work = partial(self._carry_out, step, key.account, body, now_ms)
        answer = _Answer(self, connection, allowance, self._answer(work, now_ms))
        venue.driver.commits.when_durable(answer.send, answer.fail)

    def _place(self, account: int, request: PlainRequest, now_ms: int) -> bytes:
        outcome = self._desk.place_plain(account, request)
        created_ms = self._venue.now_ms()
        told = request.rest_answer(outcome, created_ms, now_ms)
        if told is not None:
            return told
        result, extra = self._desk.plain_reply(request, outcome, created_ms)
        return orjson.dumps(envelope(result, now_ms, extra))

    @staticmethod
    def _carry_out(step: Step, account: int, body: dict[str, Any], now_ms: int) -> bytes:
        result, extra = step(account, body)
        return orjson.dumps(envelope(result, now_ms, extra))

    def _answer(self, work: Callable[[], bytes], now_ms: int) -> bytes:
        try:
            return work()
        except RefusedError as refusal:
            return orjson.dumps(refusal_envelope(refusal, now_ms))
        except JOURNAL_FAILURES:
            return orjson.dumps(refusal_envelope(server_busy(), now_ms))
        except Exception:
            log.exception("request failed")
            return orjson.dumps(refusal_envelope(internal_error(), now_ms))


class _Answer:
    """What is told once the journal has it."""

    __slots__ = ("_allowance", "_body", "_connection", "_route")

    def __init__(
        self, route: OrderRoute, connection: HttpConnection, allowance: Allowance, body: bytes
    ) -> None:
        self._route = route
        self._connection = connection
        self._allowance = allowance
        self._body = body

    def send(self) -> None:
        """It is durable."""
        self._route._respond(self._connection, self._allowance, self._body)

    def fail(self) -> None:
        """It never will be."""
        self._body = orjson.dumps(refusal_envelope(server_busy(), self._route._venue.now_ms()))
        self.send()


def charge(group: str, body: dict[str, Any]) -> tuple[str, int, str]:
    """The budget that a desk's request uses, how much of it, and the market that it names."""
    category, cost = body.get("category") or "", 1
    if type(category) is not str:
        category = ""
    if group.endswith("-batch"):
        entries = body.get("request")
        cost = max(len(entries), 1) if isinstance(entries, list) else 1
    return budget_of(group, category), cost, category


def budget_of(group: str, category: str) -> str:
    """Some markets have a budget of their own."""
    named = f"{group}.{category}"
    return named if named in PUBLISHED else group
