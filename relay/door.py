"""The publisher's door on its own machine: signed HTTP calls on a loopback address.

Belongs here: who may call (a shared secret, a fresh time, once), the shape of what is asked, answers. Does
not belong here: what a call does (`relay.leading`, `relay.external`).

A call is `POST /<what>` with a JSON body and two headers: `Slipstream-Time` (ms of the Unix epoch) and
`Slipstream-Signature` (hex HMAC-SHA256 of time, line feed, path, line feed, body). It is taken within
TIME_WINDOW_MS of this machine's clock, each signature once. Where the door is and what its secret is stands
in a file beside the outbox that only its owner reads.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from relay.errors import ConfigurationError, Failed, RelayError, TryAgain
from relay.protocol.errors import ProtocolError

__all__ = ["BODY_BYTES_MAX", "Door", "Handler", "call", "signature_of"]

BODY_BYTES_MAX: Final = 16 * 1024
TIME_WINDOW_MS: Final = 5_000
CALL_TIMEOUT_S: Final = 10.0
_SEEN_MAX: Final = 10_000
_SECRET_LENGTH_MIN: Final = 16

Handler = Callable[[bytes], Awaitable[Mapping[str, Any]]]


def signature_of(secret: str, time_ms: str, path: str, body: bytes) -> str:
    """What `Slipstream-Signature` must be."""
    signed = f"{time_ms}\n{path}\n".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class Door:
    """Answers calls until stopped. `handlers` maps what is asked to who does it."""

    def __init__(self, handlers: Mapping[str, Handler], secret_file: Path | None) -> None:
        """Raises `ConfigurationError` for a secret that cannot be read or is too short."""
        self._handlers = handlers
        self._secret = _read_secret(secret_file) if secret_file else secrets.token_hex(32)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._turn = asyncio.Lock()  # one call at a time: what it does is one step of the leader
        self._runner: web.AppRunner | None = None
        self._note: Path | None = None

    async def start(self, host: str, port: int, note: Path) -> str:
        """Listen; returns the URL, which is noted in a file (mode 0600). Raises `TryAgain` if the port is
        taken.
        """
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/{what}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise TryAgain(f"door.listen: {host}:{port} is in use; port 0 takes any free one") from None
        self._runner = runner
        bound: tuple[str, int] = runner.addresses[0][:2]
        url = f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"
        _write_note(note, {"url": url, "secret": self._secret})
        self._note = note
        return url

    async def stop(self) -> None:
        """Close it."""
        if self._note:
            self._note.unlink(missing_ok=True)
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        problem = self._stranger(request, body)
        if problem:
            return web.json_response({"error": problem}, status=401)
        handler = self._handlers.get(request.match_info["what"])
        if handler is None:
            return web.json_response({"error": "there is nothing here by this name"}, status=404)
        try:
            async with self._turn:
                return web.json_response(dict(await handler(body)))
        except ProtocolError as error:
            return web.json_response({"error": str(error), "code": error.code}, status=400)
        except RelayError as error:
            return web.json_response({"error": str(error)}, status=409)

    def _stranger(self, request: web.Request, body: bytes) -> str | None:
        told = request.headers.get("Slipstream-Time", "")
        given = request.headers.get("Slipstream-Signature", "")
        if not (told.isascii() and told.isdigit() and len(told) <= 15):
            return "Slipstream-Time: ms of the Unix epoch are allowed"
        if not hmac.compare_digest(
            signature_of(self._secret, told, request.path, body).encode(), given.encode("utf-8", "replace")
        ):
            return "Slipstream-Signature does not fit"
        if abs(int(told) - time.time_ns() // 1_000_000) > TIME_WINDOW_MS:
            return f"Slipstream-Time: within {TIME_WINDOW_MS} ms of this machine's clock is allowed"
        if given in self._seen:
            return "this call was made already"
        self._seen[given] = None
        if len(self._seen) > _SEEN_MAX:
            self._seen.popitem(last=False)
        return None


async def call(note: Path, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Call a running publisher through its door. Raises `TryAgain` if none runs, `Failed` if it refuses."""
    door = _read_note(note)
    path, data = f"/{what}", json.dumps(dict(body), separators=(",", ":")).encode()
    told = str(time.time_ns() // 1_000_000)
    headers = {
        "Slipstream-Time": told,
        "Slipstream-Signature": signature_of(door["secret"], told, path, data),
    }
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=CALL_TIMEOUT_S)) as session,
            session.post(door["url"] + path, data=data, headers=headers) as answer,
        ):
            found: dict[str, Any] = await answer.json()
    except (ClientError, TimeoutError, ValueError):
        raise TryAgain("the publisher does not answer") from None
    if answer.status != 200:
        raise Failed(str(found.get("error", answer.status)))
    return found


def _write_note(path: Path, note: Mapping[str, str]) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(dict(note), file)


def _read_note(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise TryAgain(f"no publisher runs here ({path} is not there)") from None
    return found


def _read_secret(path: Path) -> str:
    try:
        secret, mode = path.read_text("utf-8").strip(), path.stat().st_mode
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            [f"door.secret_file: cannot be read, allowed: a file of one line ({path})"]
        ) from None
    if mode & 0o077:
        raise ConfigurationError(
            [f"door.secret_file: allowed: a file that only its owner reads (chmod 600 {path})"]
        )
    if len(secret) < _SECRET_LENGTH_MIN:
        raise ConfigurationError(
            [f"door.secret_file: allowed: at least {_SECRET_LENGTH_MIN} characters ({path})"]
        )
    return secret
