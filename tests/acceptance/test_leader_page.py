"""README's leader page, command by command as it stands there, and a trade that gets its verdict."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from relay.demo.address import AccountAddress
from relay.venue import make_exchange
from tests.integration.follower_world import die_with_parent

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "relay": "relay",
    "follower-client": "follower_client",
    "simulated-exchange": "simulated_exchange",
}
SYMBOL = "BTC/USDT:USDT"


def leader_page() -> list[str]:
    """The commands of README's section, without their comments."""
    section = (ROOT / "README.md").read_text().split("## Leading\n")[1].split("From here on")[0]
    lines = [line.partition("  #")[0].rstrip() for line in re.findall(r"^[a-z].*$", section, re.MULTILINE)]
    return [line for line in lines if line.split()[0] in PROGRAMS]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Terminal:
    """Runs a line as a shell would: `&` leaves it running, `> FILE` catches its output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, asyncio.subprocess.Process] = {}

    async def run(self, line: str) -> str:
        in_background = line.endswith("&")
        command, _, target = line.rstrip("& ").partition(" > ")
        words = command.split()
        argv = [sys.executable, "-m", PROGRAMS[words[0]], *words[1:]]
        log = (self.folder / f"{words[0]}-{words[1]}.log").open("ab")
        output: Any = (self.folder / target).open("wb") if target else asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            preexec_fn=die_with_parent,
        )
        log.close()
        if in_background or words[1] == "run":
            self.running[f"{words[0]} {words[1]}"] = process
            return ""  # as in a shell: the next line does not wait
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, f"{line}: {self.log(words)}"
        return said.decode().strip()

    async def ready(self) -> None:
        """Return when everything that runs has said that it is there."""
        for name, process in self.running.items():
            if process.stdout is not None:
                line = await asyncio.wait_for(process.stdout.readline(), 60)
                assert line, self.log(name.split())

    def log(self, words: list[str]) -> str:
        return (self.folder / f"{words[0]}-{words[1]}.log").read_text()

    async def close(self) -> None:
        for process in reversed(self.running.values()):
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 10)
                except TimeoutError:
                    process.kill()
                    await process.wait()


async def verdicts(terminal: Terminal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await terminal.run("follower-client verdicts --json"))
    return found


async def in_order(terminal: Terminal) -> None:
    """Each step of the copy after the one before, by one machine's clock; how long it took is printed."""
    [line] = (await terminal.run("follower-client verdicts --reports")).splitlines()
    told = json.loads(line)
    signal, report = told["signal"], told["report"]
    times = [signal[f"{step}_ms"] for step in ("leader_exec", "seen", "sealed")]
    times += [report[f"{step}_ms"] for step in ("received", "released", "submitted", "accepted")]
    assert times == sorted(times), told
    assert report["executed_ms"] >= report["submitted_ms"]
    took_ms = max(report["executed_ms"], report["accepted_ms"]) - signal["leader_exec_ms"]
    print(f"from the leader's fill to the follower's: {took_ms} ms")  # noqa: T201 - a figure


async def test_the_page_leads_from_nothing_to_a_verdict(tmp_path: Path) -> None:
    terminal, token = Terminal(tmp_path), ""
    listen = f"127.0.0.1:{free_port()}"
    try:
        for line in leader_page():
            changed = line.replace("--port 8080", f"--port {free_port()}").replace("TOKEN", token)
            if "init leader" in line:  # the page's port may be taken on this machine
                changed += f" --listen {listen}"
            said = await terminal.run(changed)
            if "invite create" in line:
                token = said
                assert said.startswith("slip1_")
                assert len(said.splitlines()) == 1
        await terminal.ready()
        venue = json.loads((tmp_path / "venue.json").read_text().splitlines()[0])
        keys = next(row for row in venue["accounts"] if row["name"] == "leader")
        leader = make_exchange(
            AccountAddress(venue["rest"], venue["ws"], keys["api_key"], keys["api_secret"])
        )
        try:
            await leader.create_order(SYMBOL, "market", "buy", 0.5)
            began = time.monotonic()
            while not (found := await verdicts(terminal)) or found[0]["verdict"] == "open":
                assert time.monotonic() - began < 60, terminal.log(["follower-client", "run"])
        finally:
            await leader.close()
        assert found[0]["side"] == "buy"
        assert found[0]["verdict"] in ("copied", "capped")
        await in_order(terminal)
        assert set(terminal.running) == {
            "simulated-exchange serve", "relay serve", "relay publish", "follower-client run",
        }  # fmt: skip
        assert all(process.returncode is None for process in terminal.running.values())
    finally:
        await terminal.close()
