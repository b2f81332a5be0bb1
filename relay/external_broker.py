"""A cluster that somebody else runs: checked, given its streams, asked to let in whom the registry knows.

Belongs here: what `relay.broker` does with a process of its own, done with servers at an address: durability,
streams, users. Does not belong here: the servers' configuration (`relay.broker_config`), their processes.

Who connects to the cluster is asked about here (auth callout). A user who was put out is refused when he
comes back, and his open connections are ended on every server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from relay.broker_config import (
    ADMIN,
    MONITOR,
    SYSTEM,
    BrokerUsers,
    FollowerUser,
    InviteUser,
    LeaderUser,
    rights_of,
)
from relay.callout import CALLOUT_SUBJECT, Issuer, read_question
from relay.errors import Failed, TryAgain
from relay.keys import load_issuer, load_nkey_seed
from relay.nats_bus import Bus, BusError, BusMessage, BusUnavailable
from relay.protocol import subjects
from relay.streams import Retention, check_durable, ensure_keys, ensure_plans, ensure_reports, ensure_signals

__all__ = ["ExternalBroker"]

CHECK_INTERVAL_S = 30.0
_log = structlog.get_logger(__name__)


class ExternalBroker:
    """As `relay.broker.Broker`, for servers that run already.

    `keys_dir` holds system.nk, admin.nk, monitor.nk and issuer.nk, whose public halves are in the servers'
    configuration.
    """

    def __init__(
        self,
        urls: Sequence[str],
        keys_dir: Path,
        leaders: Sequence[LeaderUser],
        followers: Sequence[FollowerUser],
        *,
        invites: Sequence[InviteUser] = (),
        retention: Retention | None = None,
        ca_pem: str | None = None,
    ) -> None:
        self._urls = list(urls)
        self._keys_dir = keys_dir
        self._retention = retention or Retention()
        self._ca_pem = ca_pem
        self._seeds: dict[str, str] = {}
        self._issuer: Issuer | None = None
        self._users = BrokerUsers(leaders, followers, {}, invites)
        self._rights = rights_of(self._users)
        self._answering: Bus | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self._urls[0]

    @property
    def leaders(self) -> Sequence[LeaderUser]:
        """Who may publish."""
        return self._users.leaders

    @property
    def followers(self) -> Sequence[FollowerUser]:
        """Who may hear."""
        return self._users.followers

    async def start(self, *, make_streams: bool = True) -> None:
        """Prove that every server stores durably, make the streams, answer who asks. Raises `Failed`,
        `TryAgain`.
        """
        for role in (SYSTEM, ADMIN, MONITOR):
            path = self._keys_dir / f"{role}.nk"
            self._seeds[role] = load_nkey_seed(path, field=f"broker.data_dir/{role}.nk")
        self._issuer = Issuer(load_issuer(self._keys_dir / "issuer.nk"))
        try:
            version = await self._check()
            if make_streams:
                await self._make_streams(self._users.leaders)
            self._answering = await self.connect(ADMIN)
            await self._answering.answer_servers(CALLOUT_SUBJECT, self._on_question)
        except BusUnavailable as error:
            raise TryAgain(f"broker.url: {error}") from None
        except BusError as error:
            raise Failed(f"broker.url: {error}") from None
        self._watching = asyncio.create_task(self._watch(), name="broker-watch")
        _log.info("broker_ready", url=self.url, version=version, streams=len(self._users.leaders) + 2)

    async def connect(self, role: str = MONITOR) -> Bus:
        """A connection for one of this program's own users: SYSTEM, ADMIN or MONITOR."""
        return await Bus.connect(
            self._urls, self._seeds[role], subjects.inbox_prefix(role), f"relay-{role}", ca_pem=self._ca_pem
        )

    async def change_users(
        self,
        leaders: Sequence[LeaderUser],
        followers: Sequence[FollowerUser],
        invites: Sequence[InviteUser],
    ) -> None:
        """Let these people in and nobody else, from now on; who lost a right is cut off and may come back
        with what he has left.
        """
        before, known = self._rights, {leader.id for leader in self._users.leaders}
        self._users = BrokerUsers(leaders, followers, {}, invites)
        self._rights = rights_of(self._users)
        new = [leader for leader in leaders if leader.id not in known]
        if new:
            await self._make_streams(new)
        changed = [nkey for nkey, rights in before.items() if self._rights.get(nkey) != rights]
        if changed:
            await self._cut_off({before[nkey].user for nkey in changed})
        _log.info("users_changed", leaders=len(leaders), followers=len(followers), invites=len(invites))

    async def wait_failed(self) -> None:
        """Raises `Failed` once the cluster is no longer what it must be; never returns before `stop`."""
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Let go of the cluster, which runs on."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._answering:
            await self._answering.close()
        self._failed.cancel()

    async def _check(self) -> str:
        system = await self.connect(SYSTEM)
        try:
            return await check_durable(system)
        finally:
            await system.close()

    async def _make_streams(self, leaders: Sequence[LeaderUser]) -> None:
        admin = await self.connect(ADMIN)
        try:
            for leader in leaders:
                await ensure_signals(admin, leader.id, self._retention)
            await ensure_reports(admin, self._retention)
            await ensure_keys(admin, self._retention)
            await ensure_plans(admin, self._retention)
        finally:
            await admin.close()

    async def _on_question(self, message: BusMessage) -> bytes:
        question, now_s = read_question(message.data), int(time.time())
        assert self._issuer is not None, "start first"
        if question is None:
            return b""
        rights = self._rights.get(question.nkey)
        if rights is None:
            return self._issuer.refuse(question, now_s)
        return self._issuer.admit(question, rights, now_s)

    async def _cut_off(self, users: set[str]) -> None:
        """End these users' connections, wherever they are."""
        system = await self.connect(SYSTEM)
        try:
            body = {"auth": True, "limit": 100_000}
            for answer in await system.api_all("$SYS.REQ.SERVER.PING.CONNZ", body=body):
                server = answer.get("server", {}).get("id", "")
                for row in answer.get("data", {}).get("connections") or []:
                    name = str(row.get("authorized_user", "")).removeprefix("user:")
                    if name in users:
                        await system.api(f"$SYS.REQ.SERVER.{server}.KICK", {"cid": row["cid"]})
        finally:
            await system.close()

    async def _watch(self) -> None:
        """A server that comes back with other settings ends the word durable."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                await self._check()
            except Failed as error:
                if not self._failed.done():
                    self._failed.set_exception(error)
                return
            except BusError as error:
                _log.warning("cluster_not_checked", reason=str(error))
