"""An account at Bybit v5, directly: signed REST and the trade socket, for the shortest way to the venue.

Belongs here: signatures, the HTTP session, the two sockets, reconnecting. Does not belong here: what rows and
codes mean (`v5_account`, `outcomes`), prices (`market_data`).

An order leaves on the trade socket while that is open, else over REST. A socket that falls silent is given up
after `SILENT_S`; what was under way on it has no answer, which the caller settles by asking.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import urlencode

import aiohttp
import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from yarl import URL

from follower_client.venue.transport import CallError, StreamListener
from follower_client.venue.v5_account import RECV_WINDOW_MS

__all__ = ["DirectTransport", "Signer"]

REQUEST_TIMEOUT_S = 4.0
PING_EVERY_S = 1.0
SILENT_S = 2.5  # two answers to pings are missing by then
RECONNECT_WAIT_S = 0.25
RECONNECT_WAIT_MAX_S = 5.0
OPEN_LIMIT_S = 5.0
CLOSE_LIMIT_S = 0.5  # a line that is dead answers no farewell
CLOCK_READS = 5
FRAME_BYTES_MAX = 4 * 1024 * 1024
TOPICS = ("order", "execution", "wallet", "dcp.future")

SOCKET_FAILURES = (OSError, TimeoutError, WebSocketException, orjson.JSONDecodeError, CallError)
BytesLike: TypeAlias = bytes | bytearray | memoryview

log = structlog.get_logger(__name__)


class Signer:
    """HMAC-SHA256 with the key schedule done once."""

    def __init__(self, api_key: str, api_secret: str) -> None:
        self.api_key = api_key
        self._mac = hmac.new(api_secret.encode(), digestmod=hashlib.sha256)
        self._middle = f"{api_key}{RECV_WINDOW_MS}".encode()

    def headers(self, timestamp_ms: int, payload: bytes) -> dict[str, str]:
        """Of one REST request."""
        stamp = str(timestamp_ms)
        return {
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": str(RECV_WINDOW_MS),
            "X-BAPI-SIGN": self._digest(stamp.encode() + self._middle + payload),
            "Content-Type": "application/json",
        }

    def socket_auth(self, expires_ms: int) -> bytes:
        """The first frame on a private or trade socket."""
        sign = self._digest(f"GET/realtime{expires_ms}".encode())
        return orjson.dumps({"op": "auth", "args": [self.api_key, expires_ms, sign]})

    def _digest(self, text: bytes) -> str:
        mac = self._mac.copy()
        mac.update(text)
        return mac.hexdigest()


class _Line(ClientConnection):
    """A connection for what must not wait: a whole frame that `take` wants is its own as soon as it is here,
    and a frame that is sent has been handed to the system when the call returns. All else goes the library's
    way: over a queue to whoever reads, with a wake-up of its own at each step.
    """

    take: Callable[[BytesLike], bool] | None = None

    def process_event(self, event: Event) -> None:
        if (
            self.take is not None
            and isinstance(event, Frame)
            and event.opcode is Opcode.TEXT
            and event.fin
            and self.take(event.data)
        ):
            return
        super().process_event(event)

    def send_now(self, text: bytes) -> None:
        """On an open connection only."""
        self.protocol.send_text(text)
        self.send_data()


class _Socket:
    """One authenticated socket that is opened again whenever it is lost. `on_open` runs after each opening,
    `on_frame` for each frame that `take` (as in `_Line`) does not want, `on_lost` when it is gone.
    """

    def __init__(
        self,
        url: str,
        auth: Callable[[], bytes],
        on_open: Callable[[ClientConnection], Awaitable[None]],
        on_frame: Callable[[dict[str, Any]], None],
        on_lost: Callable[[], None],
        take: Callable[[BytesLike], bool] | None = None,
    ) -> None:
        self._url = url
        self._auth = auth
        self._on_open, self._on_frame, self._on_lost = on_open, on_frame, on_lost
        self._take = take
        self.connection: _Line | None = None

    async def run(self) -> None:
        wait_s = RECONNECT_WAIT_S
        while True:
            try:
                async with connect(
                    self._url,
                    compression=None,
                    open_timeout=OPEN_LIMIT_S,
                    ping_interval=None,
                    close_timeout=CLOSE_LIMIT_S,
                    max_size=FRAME_BYTES_MAX,
                    proxy=None,
                    create_connection=_Line,
                ) as connection:
                    assert isinstance(connection, _Line)
                    await self._serve(connection)
                    wait_s = RECONNECT_WAIT_S
            except SOCKET_FAILURES as error:
                log.warning("socket_lost", url=self._url, error=type(error).__name__)
            finally:
                self.connection = None
                self._on_lost()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RECONNECT_WAIT_MAX_S)

    async def _serve(self, connection: _Line) -> None:
        """Until the socket ends, or nothing at all was heard for `SILENT_S`."""
        await connection.send(self._auth(), text=True)
        async with asyncio.timeout(OPEN_LIMIT_S):
            answer = orjson.loads(await connection.recv())
        if not (answer.get("success") is True or answer.get("retCode") == 0):
            code = str(answer.get("retCode") or "10003")
            raise CallError("the socket's key is refused", code=code)
        await self._on_open(connection)
        connection.take = self._take
        self.connection = connection
        pinging = asyncio.create_task(self._ping(connection))
        try:
            while True:
                async with asyncio.timeout(SILENT_S):
                    frame = orjson.loads(await connection.recv())
                if isinstance(frame, dict):
                    self._on_frame(frame)
        finally:
            self.connection = None  # nothing more is sent on it, and what is under way is lost: the farewell
            self._on_lost()  # may take a while
            pinging.cancel()

    async def _ping(self, connection: ClientConnection) -> None:
        with suppress(WebSocketException):
            while True:
                await asyncio.sleep(PING_EVERY_S)
                await connection.send('{"op":"ping"}')


class DirectTransport:
    """REST session, private socket and trade socket of one account."""

    clock_calls = CLOCK_READS

    def __init__(self, rest_url: str, ws_url: str, api_key: str, api_secret: str) -> None:
        self._rest = rest_url.rstrip("/")
        self._ws = ws_url.rstrip("/")
        self._signer = Signer(api_key, api_secret)
        self._session: aiohttp.ClientSession | None = None
        self._offset_ms = 0
        self._numbers = itertools.count(1)
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._trade = _Socket(
            *(f"{self._ws}/v5/trade", self._socket_auth, self._trade_open),
            *(self._trade_frame, self._trade_lost, self._trade_answer),
        )
        self._listener: StreamListener | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
            connector=aiohttp.TCPConnector(limit=32, keepalive_timeout=60),
            trust_env=False,
            auto_decompress=True,
        )

    async def get(self, path: str, query: Mapping[str, Any]) -> Any:
        text = urlencode({name: value for name, value in query.items() if value not in (None, "")})
        return await self._call("GET", f"{path}?{text}" if text else path, text.encode(), None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        payload = orjson.dumps(body)
        return await self._call("POST", path, payload, payload)

    @property
    def has_socket(self) -> bool:
        return self._trade.connection is not None

    async def create_order(self, body: Mapping[str, Any]) -> Any:
        connection = self._trade.connection
        if connection is None or connection.protocol.state is not State.OPEN:
            return await self.post("/v5/order/create", body)
        number = str(next(self._numbers))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        header = {"X-BAPI-TIMESTAMP": str(self._now_ms()), "X-BAPI-RECV-WINDOW": str(RECV_WINDOW_MS)}
        frame = {"reqId": number, "header": header, "op": "order.create", "args": [body]}
        try:
            connection.send_now(orjson.dumps(frame))
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                found = await answer
        except (TimeoutError, WebSocketException, OSError) as error:
            raise CallError(f"trade socket: {type(error).__name__}") from None
        finally:
            self._asked.pop(number, None)
        return {"result": _checked("order", found.get("retCode"), found).get("data")}

    async def read_clock(self) -> tuple[int, int]:
        """The median of several comparisons, each at half of its way there and back."""
        offsets = []
        for _ in range(CLOCK_READS):
            before_s, before_ms = time.monotonic(), time.time_ns() // 1_000_000
            answer = await self._call("GET", "/v5/market/time", b"", None, signed=False)
            half_ms = int((time.monotonic() - before_s) * 500)
            offsets.append(int(answer["time"]) - before_ms - half_ms)
        self._offset_ms = int(statistics.median(offsets))
        now_ms = time.time_ns() // 1_000_000
        return now_ms + self._offset_ms, now_ms

    def take_clock(self, ahead_ms: int) -> None:
        self._offset_ms = ahead_ms

    async def run(self, listener: StreamListener) -> None:
        self._listener = listener
        private = _Socket(
            f"{self._ws}/v5/private", self._socket_auth, self._subscribe, self._private_frame, lambda: None
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(private.run())
            group.create_task(self._trade.run())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    # --- calls

    async def _call(
        self, method: str, path: str, signed_text: bytes, body: bytes | None, *, signed: bool = True
    ) -> Any:
        assert self._session is not None, "the transport is not started"
        headers = self._signer.headers(self._now_ms(), signed_text) if signed else {}
        try:
            async with self._session.request(
                method, _exact(self._rest + path), data=body, headers=headers, allow_redirects=False
            ) as answer:
                raw, status = await answer.read(), answer.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise CallError(f"{path.partition('?')[0]}: {type(error).__name__}") from None
        if status != 200:
            raise CallError(f"{path.partition('?')[0]}: HTTP {status}", http_status=str(status))
        try:
            found = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise CallError(f"{path.partition('?')[0]}: an answer that is no JSON") from None
        code = found.get("retCode") if isinstance(found, dict) else None
        return _checked(path.partition("?")[0], code, found)

    def _now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._offset_ms

    # --- sockets

    def _socket_auth(self) -> bytes:
        return self._signer.socket_auth(self._now_ms() + 5000)

    async def _trade_open(self, _connection: ClientConnection) -> None:
        """Nothing to subscribe."""

    def _trade_answer(self, text: BytesLike) -> bool:
        """Whether the frame is what somebody waits for; what cannot be read is left to the reader."""
        try:
            frame = orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return isinstance(frame, dict) and self._take_answer(frame)

    def _trade_frame(self, frame: dict[str, Any]) -> None:
        self._take_answer(frame)

    def _take_answer(self, frame: dict[str, Any]) -> bool:
        answer = self._asked.get(str(frame.get("reqId", "")))
        if answer is None or answer.done():
            return False
        answer.set_result(frame)
        return True

    def _trade_lost(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(OSError("the trade socket is gone"))

    async def _subscribe(self, connection: ClientConnection) -> None:
        await connection.send(orjson.dumps({"op": "subscribe", "args": list(TOPICS[:3])}), text=True)
        await connection.send(orjson.dumps({"op": "subscribe", "args": [TOPICS[3]]}), text=True)
        if self._listener is not None:
            self._listener.on_stream_back()

    def _private_frame(self, frame: dict[str, Any]) -> None:
        rows, listener = frame.get("data"), self._listener
        if not isinstance(rows, list) or listener is None:
            return
        match frame.get("topic"):
            case "execution":
                listener.on_execution_rows(rows)
            case "order":
                listener.on_order_rows(rows)
            case "wallet":
                listener.on_wallet_rows(rows)


def _exact(url: str) -> URL:
    """The URL as it was signed: nothing is quoted again."""
    return URL(url, encoded=True)


def _checked(what: str, code: object, found: Any) -> Any:
    """The answer, if it says yes. Raises `CallError` with the venue's code."""
    if code == 0:
        return found
    if isinstance(code, int):
        raise CallError(f"{what}: code {code}", code=str(code))
    raise CallError(f"{what}: an answer without a code")
