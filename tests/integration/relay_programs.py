"""`relay serve`, `relay publish` and the venue as processes, with configuration and keys, for tests."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from relay.keys import create_nkey, create_signing_key

ROOT = Path(__file__).parents[2]
READY_TIMEOUT_S = 40
END_TIMEOUT_S = 20  # what hangs; ending takes half a second, and many times that on a busy machine


class Program:
    """One process; `ready` is its ready line."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any], errors: Path) -> None:
        self.process = process
        self.ready = ready
        self._errors = errors

    def errors(self) -> str:
        return self._errors.read_text()

    async def end(self) -> int:
        """SIGTERM; the exit status, which must come within END_TIMEOUT_S."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), END_TIMEOUT_S)


class Programs:
    """Starts programs below one folder and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nkeys = {name: create_nkey(folder / f"{name}.nk") for name in ("alice", "bob")}
        self.public_key = create_signing_key(folder / "alice.sk")
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, *arguments: str) -> Program:
        """Start `python -m ARGUMENTS` and read its ready line ({} if it ends without one)."""
        errors = self.folder / f"{arguments[0]}-{len(self._running)}.log"
        with errors.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=sink
            )
        self._running.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_TIMEOUT_S)
        return Program(process, json.loads(line) if line else {}, errors)

    async def serve(self, listen: str = "127.0.0.1:0", data: str = "broker") -> Program:
        config = self.folder / f"relay-{data}.toml"
        config.write_text(
            f'[broker]\nlisten = "{listen}"\ndata_dir = "{data}"\n'
            f'[store]\npath = "{data}.sqlite"\n'
            f'[[leaders]]\nid = "alice"\nnkey = "{self.nkeys["alice"]}"\nsigning_key = "{self.public_key}"\n'
            f'[[followers]]\nid = "bob"\nnkey = "{self.nkeys["bob"]}"\nleaders = ["alice"]\n'
        )
        return await self.start("relay", "serve", "--config", str(config), "--json")

    async def venue(self, *accounts: str) -> Program:
        """With a leader, a maker and these."""
        everybody = ("leader:100000", "maker:10000000", *accounts)
        people = [word for one in everybody for word in ("--account", one)]
        return await self.start(
            "simulated_exchange", "serve", "--data-dir", str(self.folder / "venue"), "--durability", "os",
            *people, "--json",
        )  # fmt: skip

    async def publish(self, broker: str, rest: str, ws: str, key: str, secret: str, *options: str) -> Program:
        config = self.folder / "publisher.toml"
        config.write_text(
            '[leader]\nid = "alice"\nnkey_seed_file = "alice.nk"\nsigning_key_file = "alice.sk"\n'
            f'outbox = "outbox.sqlite"\n[broker]\nurl = "{broker}"\n'
            f'[venue]\nrest_url = "{rest}"\nws_url = "{ws}"\napi_key = "{key}"\napi_secret = "{secret}"\n'
            '[signals]\nsymbols = ["BTC/USDT:USDT"]\nsnapshot_seconds = 60\n'
        )
        return await self.start("relay", "publish", "--config", str(config), "--json", *options)

    async def end_all(self) -> None:
        for process in reversed(self._running):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


@asynccontextmanager
async def programs(folder: Path) -> AsyncIterator[Programs]:
    """Everything started inside is gone afterwards."""
    room = Programs(folder)
    try:
        yield room
    finally:
        await room.end_all()
