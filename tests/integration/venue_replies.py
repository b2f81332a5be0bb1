"""A venue on loopback: answers by path over HTTP, words over its streams, and ccxt's own class pointed at it.

Belongs here: serving and pointing. Does not belong here: what which venue says (`venue_samples`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import ccxt.pro
from aiohttp import web

__all__ = ["Answer", "Replies", "Stream", "pointed", "serving"]

Answer = Callable[[Mapping[str, str], Any], Any]
Stream = Callable[[str, Mapping[str, Any]], list[Any]]  # path, what was said; {} = just connected


@dataclass
class Replies:
    """What one venue answers by path; `asked` are the requests so far: path, query, body."""

    market_id: str
    contract_size: float
    answers: dict[str, Answer]
    stream: Stream
    asked: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._converse(request)
        body = await request.text()
        told = json.loads(body) if body.startswith("{") else body
        self.asked.append((request.path, request.query, told))
        answer = self.answers.get(request.path) or self.answers.get(request.path.lower())
        if answer is None:
            return web.json_response({"error": f"nothing at {request.path}"}, status=404)
        return web.json_response(answer(request.query, told))

    async def _converse(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for news in self.stream(request.path_qs, {}):
            await socket.send_json(news)
        async for message in socket:
            if message.data.startswith("{"):
                for news in self.stream(request.path_qs, json.loads(message.data)):
                    await socket.send_json(news)
        return socket


def _redirected(tree: Any, base: str) -> Any:
    if isinstance(tree, dict):
        return {name: _redirected(value, base) for name, value in tree.items()}
    if not isinstance(tree, str):
        return tree
    parts = urlsplit(tree.replace("{hostname}", "host"))
    return (base.replace("http", "ws", 1) if parts.scheme.startswith("ws") else base) + parts.path


def pointed(name: str, symbol: str, replies: Replies, base: str) -> type[Any]:
    """ccxt's class of this venue, all its addresses at `base`, with one market known."""
    made: type[Any] = getattr(ccxt.pro, name)
    quote = symbol.rpartition(":")[2]
    market = {
        "id": replies.market_id, "lowercaseId": replies.market_id.lower(), "symbol": symbol, "base": "BTC",
        "quote": quote, "settle": quote, "baseId": "BTC", "quoteId": quote, "settleId": quote, "type": "swap",
        "spot": False, "margin": False, "swap": True, "future": False, "option": False, "contract": True,
        "linear": True, "inverse": False, "active": True, "contractSize": replies.contract_size,
        "precision": {"price": 0.1, "amount": 0.001}, "limits": {}, "info": {}, "baseName": "BTC",
    }  # fmt: skip

    class Pointed(made):  # type: ignore[misc]
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config)
            self.urls["api"] = _redirected(self.urls["api"], base)
            self.set_markets([market])
            self.enableRateLimit = False

    return Pointed


@asynccontextmanager
async def serving(replies: Replies) -> AsyncIterator[str]:
    """The address where these are answered."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", replies.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
