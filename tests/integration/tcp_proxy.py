"""A TCP proxy on the loopback that can swallow what passes, as a cut line without a reset does.

`python -m tests.integration.tcp_proxy PORT=HOST:PORT ...` hands loopback ports on until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """`url` leads to the target; while `is_cut`, bytes are taken and go nowhere, and no connection ends."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.is_cut = False
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if not self.is_cut:
                    sink.write(data)
                    await sink.drain()
        sink.close()

    async def stop(self) -> None:
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy_to(host: str, port: int, *, listen: str = "127.0.0.1") -> AsyncIterator[Proxy]:
    """Listening until the block ends."""
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.serve, listen, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()


async def _hand_on(pairs: list[str]) -> None:
    servers = []
    for pair in pairs:
        port, _, target = pair.partition("=")
        host, _, there = target.rpartition(":")
        servers.append(await asyncio.start_server(Proxy(host, int(there)).serve, "127.0.0.1", int(port)))
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_hand_on(sys.argv[1:]))
