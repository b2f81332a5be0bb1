"""The least that a handler of signed orders can do in aiohttp: `python -m benchmarks.rest_baseline KEYS`.

Belongs here: the HMAC over the raw bytes, the parse, an answer of the same shape. Does not belong here: any
account, book, limit or journal. KEYS is a JSON object of keys and secrets.
"""

from __future__ import annotations

import hmac
import json
import sys
import time

import orjson
from aiohttp import web

from benchmarks.rest_load import PATH
from benchmarks.talk import answering, run_loop

__all__: list[str] = []


async def _serve(secrets: dict[str, bytes]) -> None:
    numbers = iter(range(1, 10**12))

    async def order(request: web.Request) -> web.Response:
        body, headers = await request.read(), request.headers
        key = headers["X-BAPI-API-KEY"]
        origin = (headers["X-BAPI-TIMESTAMP"] + key + headers["X-BAPI-RECV-WINDOW"]).encode() + body
        signature = hmac.digest(secrets[key], origin, "sha256").hex()
        if not hmac.compare_digest(signature, headers["X-BAPI-SIGN"]):
            return web.Response(body=b'{"retCode":10004}', content_type="application/json")
        fields = orjson.loads(body)
        answer = {
            "retCode": 0,
            "retMsg": "OK",
            "result": {"orderId": f"{next(numbers):036}", "orderLinkId": fields["orderLinkId"]},
            "retExtInfo": {},
            "time": time.time_ns() // 1_000_000,
        }
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    app = web.Application()
    app.router.add_post(PATH, order)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    async def echo(message: dict[str, object]) -> dict[str, object]:
        return message

    try:
        await answering({"port": runner.addresses[0][1]}, echo)
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    run_loop(_serve({key: secret.encode() for key, secret in json.loads(sys.argv[1]).items()}))
