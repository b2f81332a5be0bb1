"""The direct adapter's sockets on a line that goes dead without an end (F12)."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection, serve

from follower_client.venue import v5_adapter
from follower_client.venue.transport import CallError, Rows
from follower_client.venue.v5_adapter import DirectTransport
from tests.integration.tcp_proxy import proxy_to

LONG_S = 60.0
LAST = {"orderLinkId": "last"}
NOWHERE = "http://127.0.0.1:9"


class Ear:
    """Only what leaves is looked at."""

    def on_execution_rows(self, rows: Rows) -> None: ...

    def on_order_rows(self, rows: Rows) -> None: ...

    def on_wallet_rows(self, rows: Rows) -> None: ...

    def on_stream_back(self) -> None: ...


async def venue(connection: ServerConnection) -> None:
    """Says yes to every frame."""
    async for frame in connection:
        asked = json.loads(frame)
        answer = {"op": asked.get("op"), "success": True, "retCode": 0, "data": {"orderId": "v1"}}
        await connection.send(json.dumps(answer | {"reqId": asked.get("reqId", "")}))


async def venue_in_pieces(connection: ServerConnection) -> None:
    """Says yes, each answer to an order in frames of a few bytes with other answers before it."""
    async for frame in connection:
        asked = json.loads(frame)
        answer = {"op": asked.get("op"), "success": True, "retCode": 0, "data": {"orderId": "v1"}}
        text = json.dumps(answer | {"reqId": asked.get("reqId", "")})
        if "reqId" in asked:
            await connection.send(json.dumps({"op": "pong", "reqId": "somebody else's"}))
            await connection.send("no answer at all" if asked["args"] == [LAST] else "[]")
        await connection.send(text[at : at + 7] for at in range(0, len(text), 7))


async def opened(transport: DirectTransport) -> None:
    """Until orders leave on the socket; before that they take the way over REST, which leads nowhere."""
    while True:
        try:
            assert (await transport.create_order({}))["result"]["orderId"] == "v1"
            return
        except CallError:
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_what_is_under_way_on_a_dead_socket_is_given_up_before_the_farewell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert v5_adapter.SILENT_S + v5_adapter.CLOSE_LIMIT_S <= 3.0, "the fault table's bound"
    monkeypatch.setattr(v5_adapter, "SILENT_S", 0.3)
    monkeypatch.setattr(v5_adapter, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(v5_adapter, "CLOSE_LIMIT_S", LONG_S)  # the venue never says goodbye
    monkeypatch.setattr(v5_adapter, "REQUEST_TIMEOUT_S", LONG_S)
    async with serve(venue, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with proxy_to("127.0.0.1", port) as line, asyncio.timeout(LONG_S / 2):
            transport = DirectTransport(NOWHERE, f"ws://127.0.0.1:{line.port}", "key", "secret")
            await transport.start()
            running = asyncio.create_task(transport.run(Ear()))
            try:
                await opened(transport)
                line.is_cut = True
                with pytest.raises(CallError, match="trade socket"):
                    await transport.create_order({})
                with pytest.raises(CallError, match="/v5/order/create"):  # by another way from here on
                    await transport.create_order({})
            finally:
                line.reset()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await transport.close()


@pytest.mark.asyncio
async def test_an_answer_that_comes_in_pieces_is_heard_and_what_is_none_costs_one_socket() -> None:
    async with serve(venue_in_pieces, "127.0.0.1", 0) as server, asyncio.timeout(LONG_S / 2):
        port = server.sockets[0].getsockname()[1]
        transport = DirectTransport(NOWHERE, f"ws://127.0.0.1:{port}", "key", "secret")
        await transport.start()
        running = asyncio.create_task(transport.run(Ear()))
        try:
            await opened(transport)
            with pytest.raises(CallError):  # on a machine that is busy the socket may be gone before it
                await transport.create_order(LAST)
            await opened(transport)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await transport.close()
