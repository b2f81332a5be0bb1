"""The programs of a demonstration, started in order and stopped in order.

Belongs here: which program runs with which settings, keys and files. Does not belong here: what happens while
they run (`run`), how a child process is handled (`processes`).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from relay.demo.collect import VenueQuestions
from relay.demo.leader_fills import LeaderPlan, PlannedOrder
from relay.demo.plan import (
    LEADER_ID,
    DemoOptions,
    FollowerPlan,
    follower_plans,
    follower_settings,
    publisher_settings,
    relay_settings,
)
from relay.demo.processes import Program, start_program
from relay.keys import create_nkey, create_signing_key

__all__ = ["Folders", "System"]

_LEADER_LEVERAGE_SETTING = 10
_LEADER_PEAK_LEVERAGE = 2  # notional / equity when the plan stands at its peak


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run keeps what: everything under the folder the user named."""

    out: Path

    @property
    def data(self) -> Path:
        return self.out / "data"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def store(self) -> Path:
        return self.data / "drift.sqlite"


@dataclass(slots=True)
class System:
    """All programs of one run: venue and relay first, the others need both. `stop` ends whatever runs."""

    options: DemoOptions
    folders: Folders
    followers: list[FollowerPlan] = field(init=False)
    programs: list[Program] = field(default_factory=list)
    accounts: dict[str, dict[str, str]] = field(
        default_factory=dict
    )  # name -> rest_url, ws_url, api_key, ...
    journal: Path = Path()
    rest_url: str = ""
    broker_url: str = ""
    dashboard_url: str = ""
    leader_key: str = ""  # public
    recorded: LeaderPlan | None = None

    def __post_init__(self) -> None:
        self.followers = follower_plans(self.options.followers)

    @property
    def venue(self) -> VenueQuestions:
        return VenueQuestions(self.rest_url)

    def program(self, name: str) -> Program:
        return next(program for program in self.programs if program.name == name)

    async def start_venue(self) -> None:
        """`simulated-exchange serve`, its scenario held until everybody is there, one account for each."""
        options = self.options
        arguments = ["serve", "--json", "--enable-sim", "--hold", "--port", "0"]
        arguments += ["--data-dir", str(self.folders.data / "venue"), "--seed", str(options.seed)]
        arguments += ["--seconds", str(options.seconds), "--scenario", options.scenario]
        for spec in options.replay:
            arguments += ["--replay", spec]
        for flag, value in (("--from", options.window_from), ("--to", options.window_to)):
            if value is not None:
                arguments += [flag, value]
        arguments += ["--account", f"{LEADER_ID}:{options.leader_equity_usdt}"]
        for follower in self.followers:
            arguments += ["--account", f"{follower.follower_id}:{follower.deposit_usdt}"]
        venue = await self._start("simulated-exchange", "simulated_exchange", arguments)
        self.rest_url = venue.ready["rest"]
        self.journal = Path(venue.ready["journal"])
        for account in venue.ready["accounts"]:
            self.accounts[account["name"]] = {
                "rest_url": venue.ready["rest"],
                "ws_url": venue.ready["ws"],
                "api_key": account["api_key"],
                "api_secret": account["api_secret"],
            }

    async def start_relay(self) -> None:
        """Keys for everybody, then `relay serve`."""
        keys = self.folders.keys
        keys.mkdir(parents=True)
        self.leader_key = create_signing_key(keys / "leader.signing")
        settings = relay_settings(
            data_dir=self.folders.data,
            leader_nkey=create_nkey(keys / "leader.nkey"),
            leader_key=self.leader_key,
            venue_url=self.rest_url,
            follower_nkeys={
                plan.follower_id: create_nkey(keys / f"{plan.follower_id}.nkey") for plan in self.followers
            },
        )
        serve = await self._start(
            "relay", "relay", ["serve", "--json", "--config", self._write("relay", settings)]
        )
        self.broker_url = serve.ready["broker"]
        self.dashboard_url = serve.ready["dashboard"]

    async def start_publisher(self) -> None:
        """`relay publish`, watching the leader's account."""
        keys = self.folders.keys
        settings = publisher_settings(
            data_dir=self.folders.data,
            venue=self.accounts[LEADER_ID],
            broker_url=self.broker_url,
            nkey_seed_file=keys / "leader.nkey",
            signing_key_file=keys / "leader.signing",
            symbol=self.options.leader_symbol,
        )
        arguments = ["publish", "--json", "--config", self._write("publisher", settings)]
        await self._start("publisher", "relay", arguments)

    async def start_followers(self) -> None:
        """`follower-client run`: all followers in one process."""
        for plan in self.followers:
            settings = follower_settings(
                plan,
                data_dir=self.folders.data / plan.follower_id,
                venue=self.accounts[plan.follower_id],
                broker_url=self.broker_url,
                nkey_seed_file=self.folders.keys / f"{plan.follower_id}.nkey",
                leader_key=self.leader_key,
            )
            self._write(f"followers/{plan.follower_id}", settings)
        folder = str(self.folders.data / "followers")
        await self._start("followers", "follower_client", ["run", "--json", "--config", folder])

    async def start_leader(self, orders: tuple[PlannedOrder, ...]) -> None:
        """The leader's own program; it waits for the start."""
        options = self.options
        plan: dict[str, Any] = {
            "venue": self.accounts[LEADER_ID],
            "symbol": options.leader_symbol,
            "seconds": options.seconds,
            "leverage_setting": _LEADER_LEVERAGE_SETTING,
            "peak_notional_usdt": str(int(options.leader_equity_usdt) * _LEADER_PEAK_LEVERAGE),
            "orders": [[order.at, str(order.position)] for order in orders],
        }
        path = self.folders.data / "leader.json"
        _write_private(path, json.dumps(plan))
        await self._start("leader", "relay.demo.leader", [str(path)], spoken_to=True)

    async def stop(self, *names: str) -> None:
        """End the named programs, or all of them, last started first."""
        for program in reversed(self.programs):
            if not names or program.name in names:
                await program.stop()

    async def _start(
        self, name: str, module: str, arguments: list[str], *, spoken_to: bool = False
    ) -> Program:
        log = self.folders.logs / f"{name}.log"
        program = await start_program(name, module, arguments, log=log, spoken_to=spoken_to)
        self.programs.append(program)
        return program

    def _write(self, name: str, settings: dict[str, Any]) -> str:
        path = self.folders.data / f"{name}.toml"
        _write_private(path, tomli_w.dumps(settings))
        return str(path)


def _write_private(path: Path, text: str) -> None:
    """Settings carry keys: readable by their owner only, from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)
