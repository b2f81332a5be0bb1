"""Who may see the pages: whoever has the token, from a host name that is ours, and nothing from elsewhere.

Belongs here: token, cookie, host names, the headers of every answer. Does not belong here: pages.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from relay.errors import Failed

__all__ = ["HEADERS", "Gate", "read_token"]

COOKIE = "slipstream_dashboard"
COOKIE_SECONDS = 30 * 86_400
TOKEN_LENGTH_MIN = 16
OPEN_PATHS = ("/login", "/static/dashboard.css")
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
# The plotting library makes two style elements of its own, one empty, and fills them by script: their hashes.
_PLOTTING_STYLES = (
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    " 'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
)
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'self'; style-src 'self' {_PLOTTING_STYLES}; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def read_token(file: Path | None) -> str:
    """The token of a file, made if it is not there; without a file a new one. Raises `Failed`."""
    if file is None:
        return secrets.token_urlsafe(24)
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600, exist_ok=False)
            file.write_text(secrets.token_urlsafe(24) + "\n", "ascii")
        token = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"dashboard: {file}: {error}") from None
    if len(token) < TOKEN_LENGTH_MIN:
        raise Failed(f"dashboard: {file}: the token has less than {TOKEN_LENGTH_MIN} characters")
    return token


class Gate:
    """Lets requests in that bring the token."""

    def __init__(self, token: str, host: str) -> None:
        self._token = token
        self._hosts = LOCAL_NAMES | {host}

    def admits(self, request: web.Request) -> bool:
        """By cookie, or by a bearer token (metrics, scripts)."""
        header = request.headers.get("Authorization", "")
        bearer = header.removeprefix("Bearer ") if header.startswith("Bearer ") else ""
        return any(self._is_token(given) for given in (request.cookies.get(COOKIE, ""), bearer))

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns away whoever has no token, and names that are not ours (a foreign page's trick)."""
        name = urlsplit(f"//{request.host}").hostname or ""
        if name not in self._hosts:
            raise web.HTTPMisdirectedRequest(text="This host name is not served here.\n")
        given = request.query.get("token")
        if given is not None and request.method == "GET":
            return self._enter(request, given)
        if request.path not in OPEN_PATHS and not self.admits(request):
            if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
                raise web.HTTPSeeOther("/login")
            raise web.HTTPUnauthorized(text="The dashboard's token is missing or wrong.\n")
        return await handler(request)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """The form was sent."""
        form = await request.post()
        return self._enter(request, str(form.get("token", "")), "/")

    def _enter(self, request: web.Request, given: str, to: str | None = None) -> web.StreamResponse:
        if not self._is_token(given.strip()):
            raise web.HTTPSeeOther("/login?wrong=1")
        rest = [(key, value) for key, value in request.query.items() if key != "token"]
        answer = web.HTTPSeeOther(to or (request.path + (f"?{urlencode(rest)}" if rest else "")))
        answer.set_cookie(
            COOKIE, self._token, max_age=COOKIE_SECONDS, httponly=True, samesite="Strict", path="/"
        )
        raise answer

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())
