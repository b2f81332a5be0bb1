"""The least that a socket for orders can do in aiohttp: `python -m benchmarks.ws_baseline`.

Belongs here: the parse, an answer of the same kind. Does not belong here: any key, account, book or journal.
"""

from __future__ import annotations

import orjson
from aiohttp import web

from benchmarks.talk import answering, run_loop

__all__: list[str] = []

PATH = "/v5/trade"


async def _serve() -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            asked = orjson.loads(message.data)
            answer = {"reqId": asked["reqId"], "retCode": 0, "retMsg": "OK", "op": asked["op"]}
            await socket.send_str(orjson.dumps(answer | {"data": {"orderId": "abc"}}).decode())
        return socket

    app = web.Application()
    app.router.add_get(PATH, echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    async def told(message: dict[str, object]) -> dict[str, object]:
        return message

    try:
        await answering({"port": runner.addresses[0][1]}, told)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    run_loop(_serve())
