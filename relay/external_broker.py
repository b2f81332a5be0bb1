"""A cluster that somebody else runs: checked, given its streams, asked to let in whom the registry knows.

Belongs here: what `relay.broker` does with a process of its own, done with servers at an address: durability,
streams, users. Does not belong here: the servers' configuration (`relay.broker_config`), their processes.

Who connects to the cluster is asked about here (auth callout). A user who was put out is refused when he
comes back, and his open connections are ended on every server: one that does not answer just now is asked
until it does, for as long as a connection that it has let in may last.
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
from relay.callout import CALLOUT_SUBJECT, LEASE_S, Issuer, read_question
from relay.errors import Failed, TryAgain
from relay.keys import load_issuer, load_nkey_seed
from relay.nats_bus import Bus, BusError, BusMessage, BusTimeout, BusUnavailable
from relay.protocol import subjects
from relay.streams import (
    Retention,
    check_durable,
    ensure_keys,
    ensure_plans,
    ensure_reports,
    ensure_shared_keys,
    ensure_signals,
    find_open_feeds,
    has_own_keys,
)

__all__ = ["ExternalBroker"]

CHECK_INTERVAL_S = 30.0
CUT_OFF_AGAIN_S = 1.0  # between two tries at a server that has not answered
CUT_OFF_TIMEOUT_S = 2.0
CONNECTIONS_LISTED_MAX = 100_000
SERVERS_KNOWN_MAX = 1_000
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
        self._with_stream: set[str] = set()  # leaders
        self._open_feeds: list[str] = []  # servers that were told of
        self._servers: dict[str, float] = {}  # by id: when it was last heard of
        self._to_cut: dict[str, dict[str, float]] = {}  # server -> user -> until when it matters
        self._cutting = asyncio.Lock()
        self._answering: Bus | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

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
                await self._make_streams()
            else:
                self._with_stream = {leader.id for leader in self._users.leaders}
            self._answering = await self.connect(ADMIN)
            await self._answering.answer_servers(CALLOUT_SUBJECT, self._on_question)
        except BusUnavailable as error:
            raise TryAgain(f"broker.url: {error}") from None
        except BusError as error:
            raise Failed(f"broker.url: {error}") from None
        self._tasks = [
            asyncio.create_task(self._watch(), name="broker-watch"),
            asyncio.create_task(self._keep_cutting(), name="broker-cut-off"),
        ]
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
        with what he has left. Raises `BusError` if the cluster cannot be asked; to be repeated then.
        """
        before = self._rights
        self._users = BrokerUsers(leaders, followers, {}, invites)
        self._rights = rights_of(self._users)
        changed = {before[nkey].user for nkey in before if self._rights.get(nkey) != before[nkey]}
        until_s = time.monotonic() + LEASE_S
        for server in self._servers if changed else ():
            self._to_cut.setdefault(server, {}).update(dict.fromkeys(changed, until_s))
        if self._to_cut:
            await self._cut_off()
        if {leader.id for leader in leaders} - self._with_stream:
            await self._make_streams()
        _log.info("users_changed", leaders=len(leaders), followers=len(followers), invites=len(invites))

    async def keep_keys_of(self, leader_id: str) -> None:
        """Make the stream of this leader's group keys, or everybody's where the servers' settings open no
        other. Raises `BusError`.
        """
        system, admin = await self.connect(SYSTEM), await self.connect(ADMIN)
        try:
            if await has_own_keys(system):
                await ensure_keys(admin, leader_id, self._retention)
                return
            _log.warning("keys_shared", action="FOLLOWERS and RELAY need another subject: docs/cluster.md")
            await ensure_shared_keys(admin, self._retention)
        finally:
            await asyncio.gather(system.close(), admin.close())

    async def wait_failed(self) -> None:
        """Raises `Failed` once the cluster is no longer what it must be; never returns before `stop`."""
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Let go of the cluster, which runs on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._answering:
            await self._answering.close()
        self._failed.cancel()

    async def _check(self) -> str:
        system = await self.connect(SYSTEM)
        try:
            for answer in await system.api_all("$SYS.REQ.SERVER.PING"):
                self._note_server(str(answer.get("server", {}).get("id", "")))
            version, open_feeds = await asyncio.gather(check_durable(system), find_open_feeds(system))
        finally:
            await system.close()
        if open_feeds and open_feeds != self._open_feeds:
            _log.warning("feeds_open", servers=open_feeds, action="FOLLOWERS needs mappings: docs/cluster.md")
        self._open_feeds = open_feeds
        return version

    def _note_server(self, server: str) -> None:
        """It has connections, or may have."""
        now_s = time.monotonic()
        self._servers[server] = now_s
        if len(self._servers) > SERVERS_KNOWN_MAX:
            gone = [one for one, at_s in self._servers.items() if now_s - at_s > LEASE_S]
            for one in gone or [min(self._servers, key=self._servers.__getitem__)]:
                del self._servers[one]

    async def _make_streams(self) -> None:
        admin = await self.connect(ADMIN)
        try:
            for leader in self._users.leaders:
                if leader.id not in self._with_stream:
                    await ensure_signals(admin, leader.id, self._retention)
                    self._with_stream.add(leader.id)
            await ensure_reports(admin, self._retention)
            await ensure_plans(admin, self._retention)
        finally:
            await admin.close()

    async def _on_question(self, message: BusMessage) -> bytes:
        question, now_s = read_question(message.data), int(time.time())
        assert self._issuer is not None, "start first"
        if question is None:
            return b""
        self._note_server(question.server_id)  # before the answer: whom it lets in it may have to cut off
        rights = self._rights.get(question.nkey)
        if rights is None:
            return self._issuer.refuse(question, now_s)
        return self._issuer.admit(question, rights, now_s)

    async def _cut_off(self) -> None:
        """End the connections of `_to_cut` where the server answers; the others stay in there."""
        async with self._cutting:
            system = await self.connect(SYSTEM)
            try:
                await asyncio.gather(*(self._cut_off_at(system, server) for server in list(self._to_cut)))
            finally:
                await system.close()

    async def _cut_off_at(self, system: Bus, server: str) -> None:
        now_s, asked = time.monotonic(), f"$SYS.REQ.SERVER.{server}"
        users = {user: until_s for user, until_s in self._to_cut[server].items() if until_s > now_s}
        try:
            if users:
                body = {"auth": True, "limit": CONNECTIONS_LISTED_MAX}
                answer = await system.api(f"{asked}.CONNZ", body, timeout_s=CUT_OFF_TIMEOUT_S)
                for row in answer.get("data", {}).get("connections") or []:
                    if str(row.get("authorized_user", "")).removeprefix("user:") in users:
                        await self._kick(system, f"{asked}.KICK", row["cid"])
        except (BusTimeout, BusUnavailable) as error:
            _log.warning("not_cut_off_yet", server=server, users=sorted(users)[:10], reason=str(error))
            return
        left = {user: until_s for user, until_s in self._to_cut[server].items() if user not in users}
        self._to_cut[server] = {user: until_s for user, until_s in left.items() if until_s > now_s}
        if not self._to_cut[server]:
            del self._to_cut[server]

    async def _kick(self, system: Bus, subject: str, connection: int) -> None:
        try:
            await system.api(subject, {"cid": connection}, timeout_s=CUT_OFF_TIMEOUT_S)
        except (BusTimeout, BusUnavailable):
            raise
        except BusError:  # it has gone by itself
            _log.debug("already_gone", connection=connection)

    async def _keep_cutting(self) -> None:
        """A server that was frozen or away knows nothing of who was put out meanwhile."""
        while True:
            await asyncio.sleep(CUT_OFF_AGAIN_S)
            if self._to_cut:
                try:
                    await self._cut_off()
                except BusError as error:
                    _log.warning("not_cut_off_yet", reason=str(error))

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
