"""A venue as a real process, and unmodified clients pointed at it.

Belongs here: starting, stopping, addressing. Does not belong here: any promise that a test checks.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro

READY_SECONDS_MAX = 60  # a machine with other things to do takes its time
STOP_SECONDS_MAX = 10

_numbers = count(1)


@dataclass(frozen=True)
class Account:
    """A key of the venue."""

    name: str
    api_key: str
    api_secret: str


class VenueProcess:
    """`simulated-exchange serve`, ready."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.process = process
        self.rest: str = ready["rest"]
        self.ws: str = ready["ws"]
        self.journal = Path(ready["journal"])
        self.accounts = {row["name"]: Account(**row) for row in ready["accounts"]}

    def sim(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the simulator's own namespace."""
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"{self.rest}/sim/{path}", data, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def open_account(self, deposit: str = "100000") -> Account:
        """A new account with money."""
        row = self.sim("accounts", {"name": f"trader-{next(_numbers)}", "deposit": deposit})
        return Account(row["name"], row["api_key"], row["api_secret"])

    def stop(self) -> int:
        """End it as a service manager does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)


def command(*arguments: str) -> list[str]:
    """The program with these arguments."""
    return [sys.executable, "-m", "simulated_exchange", *arguments]


def environment(**extra: str) -> dict[str, str]:
    """Without settings of whoever runs the tests."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("SIMULATED_EXCHANGE_")}
    return {**kept, **extra}


def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command that is expected to end."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=30, env=environment(**extra), check=False
    )


@contextlib.contextmanager
def served(data_dir: Path, *arguments: str, **extra: str) -> Iterator[VenueProcess]:
    """A venue on a free port; ended when the block ends. `extra` are environment variables."""
    log = (data_dir.parent / f"{data_dir.name}.log").open("w")
    process = subprocess.Popen(
        command("serve", "--data-dir", str(data_dir), "--port", "0", *arguments),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment(**extra),
    )
    timer = threading.Timer(READY_SECONDS_MAX, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        timer.cancel()
        if not line:
            raise AssertionError(f"the venue did not start: {Path(log.name).read_text()[-2000:]}")
        yield VenueProcess(process, json.loads(line))
    finally:
        timer.cancel()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
        log.close()


def client_options(venue: VenueProcess, account: Account | None) -> dict[str, Any]:
    """What points ccxt at the venue: addresses and keys, nothing else."""
    rest, ws = venue.rest, venue.ws
    private = f"{ws}/v5/private"
    api = {
        **dict.fromkeys(("spot", "futures", "v2", "public", "private"), rest),
        "ws": {
            "public": {name: f"{ws}/v5/public/{name}" for name in ("spot", "linear", "inverse", "option")},
            "private": {
                "spot": {"unified": private, "nonUnified": private},
                "contract": private,
                "usdc": private,
                "trade": f"{ws}/v5/trade",
            },
        },
    }
    options: dict[str, Any] = {
        "urls": {"api": api, "test": api, "demotrading": api},
        "enableRateLimit": False,
        "options": {"defaultType": "swap"},
    }
    if account is not None:
        options |= {"apiKey": account.api_key, "secret": account.api_secret}
    return options


@contextlib.asynccontextmanager
async def trading(venue: VenueProcess, account: Account | None = None) -> AsyncIterator[Any]:
    """ccxt.pro (which is ccxt async as well) for a new or a given account; leaves no order behind."""
    client = ccxt.pro.bybit(client_options(venue, account or venue.open_account()))
    try:
        await client.load_markets()
        yield client
        await client.cancel_all_orders("BTC/USDT:USDT")
    finally:
        await client.close()


def sync_client(venue: VenueProcess, account: Account) -> Any:
    """ccxt without asyncio."""
    return ccxt.bybit(client_options(venue, account))
