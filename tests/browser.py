"""A real headless Chromium, driven over its own debugging socket.

Belongs here: starting, one page, asking it, its console's errors, pictures of it. Fails, and says what to
install, where there is no browser.
"""

# ruff: noqa: ASYNC110, ASYNC240 - another process writes a small file and has no event to wait for

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

__all__ = ["Page", "browser_page"]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ),
    *("--remote-debugging-port=0", "about:blank"),
)
SECONDS_MAX = 60
_SILENT_ENDS = (asyncio.CancelledError, aiohttp.ClientError)


class Page:
    """One tab. `errors` is what its console complained of."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.errors: list[str] = []

    async def listen(self) -> None:
        """Read what the browser says, until it is closed."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"].get("text")))
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.errors.append(said["params"]["entry"]["text"])
            elif said.get("method") == "Runtime.consoleAPICalled" and said["params"]["type"] == "error":
                self.errors.append(str(said["params"]["args"]))

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the debugging protocol."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        said = await self._answers[number]
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> None:
        """Load a page whole."""
        await self.ask("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def value(self, script: str) -> Any:
        """What an expression is worth on the page."""
        found = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression holds; the surrounding time limit fails the test if it never does."""
        while not await self.value(script):
            await asyncio.sleep(0.05)

    async def press(self, key: str) -> None:
        """A key of the keyboard: `Tab`, `Enter`."""
        code = {"Tab": 9, "Enter": 13}[key]
        told: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        await self.ask("Input.dispatchKeyEvent", type="keyDown", **told, **text)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", **told)

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """A window of another size, or theme."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, file: Path) -> None:
        """What it looks like, as PNG, from top to bottom."""
        shot = await self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    """A page of a browser of its own."""
    program = shutil.which("chromium")
    assert program is not None, "these tests need a browser: apt-get install chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            *(program, *FLAGS[:-1], f"--user-data-dir={folder}", FLAGS[-1]),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(SECONDS_MAX):
                port = await _port(Path(folder) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as http:
                async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    [tab] = [each for each in await answer.json() if each["type"] == "page"]
                async with http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    for domain in ("Page", "Runtime", "Log"):
                        await page.ask(f"{domain}.enable")
                    yield page
                    listening.cancel()
                    with contextlib.suppress(*_SILENT_ENDS):
                        await listening
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _port(file: Path) -> int:
    while not file.exists() or not file.read_text():
        await asyncio.sleep(0.05)
    return int(file.read_text().splitlines()[0])
