"""One follower, put together: store, venue, bus, executor, reports; its start, its life, its end.

Belongs here: wiring and the order of starting and stopping. Does not belong here: many followers (`daemon`),
any decision.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec
import structlog

from follower_client.closeout import Closeout
from follower_client.control import ControlFile
from follower_client.desk import Desk
from follower_client.disk import Disk
from follower_client.errors import ConfigurationError, TryAgainError, VenueUnavailableError
from follower_client.executor import Executor
from follower_client.failpoint import Failpoints
from follower_client.instance import bind_store, check_folder, hold_account, hold_follower
from follower_client.key_links import keep_links, kept_links
from follower_client.leader_view import LeaderView
from follower_client.locks import Lock
from follower_client.membership import fetch_group_key
from follower_client.notify import Notifier
from follower_client.order_driver import now_ms
from follower_client.protection import Protection
from follower_client.reading import read_secret
from follower_client.refused import Refused
from follower_client.reports import Identity, Reporter
from follower_client.rounds import Rounds
from follower_client.settings import FollowerSettings, LeaderSection
from follower_client.standing import EVERYBODY, Standing
from follower_client.status import status_report
from follower_client.store import INSTRUMENTS_MARK, Store
from follower_client.subscriber import Subscriber
from follower_client.trial import gate, note_terms, stakes
from follower_client.twin import TwinWatch, refuse_unknown_orders
from follower_client.venue.key_rights import KeyRights, objections
from follower_client.venue.port import VenuePort
from follower_client.watch import Watch
from relay.nats_bus import PUT_OUT_WAIT_S, Bus, BusError
from relay.protocol import subjects
from relay.protocol.feed import NeedKey
from relay.protocol.venues import venue_name
from relay.telling.people import AddressError, sender_of

__all__ = ["CLOSE_LIMIT_S", "STOP_LIMIT_S", "Follower"]

STATUS_EVERY_S = 5.0
SEND_SLACK_EACH_MS = 20  # of every other follower whose intent may be before this one's
LEFT_LOOK_S = 0.5
STAKES_EVERY_S = 30.0
STANDING_EVERY_S = 1.0
NOT_ASKED = (
    "not let in for a day, and not asked any more: once you are, start this program again, then resume"
)
DRAIN_S = 0.6
FLUSH_S = 1.2
STOP_LIMIT_S = 2.5
CLOSE_LIMIT_S = 1.0  # a venue that is gone answers no farewell

log = structlog.get_logger(__name__)


class Follower:
    """`start`, then `run` until `stop`; `close` in any case."""

    def __init__(
        self,
        settings: FollowerSettings,
        port: VenuePort,
        failpoints: Failpoints,
        rounds: Rounds,
        disk: Disk | None = None,
    ) -> None:
        """`rounds` and `disk` belong to all followers of a process; one alone waits for the disk itself."""
        self.settings = settings
        self.policy = settings.to_policy()
        self.ready = asyncio.Event()
        self._port = port
        self._failpoints = failpoints
        self._rounds = rounds
        self._disk = disk
        self._locks: list[Lock] = []
        self._store: Store | None = None
        self._bus: Bus | None = None
        self._executors: list[Executor] = []
        self._subscribers: list[Subscriber] = []
        self._refused: list[Refused] = []
        self._desk: Desk | None = None
        self._reporter: Reporter | None = None
        self._feeding: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._denied_leaders: set[str] = set()
        self.why_ended = ""  # where it came to an end of its own
        self._orders_seen = 0

    @property
    def follower_id(self) -> str:
        return self.settings.follower.id

    async def start(self) -> None:
        """Everything that can fail for a reason outside: locks, store, broker, account."""
        settings = self.settings
        folder = settings.follower.data_dir
        self._locks += hold_follower(settings)
        check_folder(settings)
        control = ControlFile(folder)
        self._orders_seen = control.read().number
        self._pass_gate(control)
        try:
            send = sender_of(settings.notify.urls_file)
        except AddressError as error:
            raise ConfigurationError([f"notify.urls_file: {error}"]) from None
        self._notifier = Notifier(settings.follower.id, send, per_hour_max=settings.notify.per_hour_max)
        self._store = Store.open(folder / "follower.sqlite")
        self._store.claim({"follower": self.follower_id})
        if self._disk is not None:
            self._store.log.disk = self._disk
        seed = read_secret(None, settings.broker.nkey_seed_file, "broker.nkey_seed_file")
        try:
            self._bus = await Bus.connect(
                settings.broker.url,
                seed,
                subjects.inbox_prefix(self.follower_id),
                f"follower-client {self.follower_id}",
                on_reconnect=self._look_back,
                ca_pem=settings.broker.ca_pem(),
            )
        except BusError as error:
            raise TryAgainError(str(error)) from None
        self._standing = Standing(control, self._notifier, [leader.id for leader in settings.leaders])
        self._bus.stays = True
        self._bus.on_denied = self._denied
        self._twin = TwinWatch(self._bus, self.follower_id, seed, self._second)
        self._bus.on_put_out = self._all_out
        self._bus.on_let_in = lambda: self._standing.let_in(EVERYBODY)
        self._reporter = Reporter(self.follower_id, self._store, self._bus)
        self._desk = Desk(self.policy, self._store, self._port, control, self._failpoints)
        self._desk.shared = len(settings.leaders) > 1
        self._desk.rounds = self._rounds
        if self._disk is not None:
            self._desk.hosted = self._disk.hosted
            self._desk.driver.send_slack_ms += SEND_SLACK_EACH_MS * self._disk.hosted
        self._desk.prepare()
        for leader in settings.leaders:
            self._follow(leader, self._bus, self._desk, self._reporter)
        await self._twin.start()
        await self._port.start(self._desk)
        key = await self._check_key()
        bind_store(self._store, settings, key)  # a key that the venue refuses binds nothing
        await self._refuse_older_life(control)
        note_terms(settings, self._store, now_ms())
        self._set_stakes()
        filters = list(self._port.account.instruments.values())
        self._store.save_marks({INSTRUMENTS_MARK: msgspec.json.encode(filters).decode()})

    async def _refuse_older_life(self, control: ControlFile) -> None:
        assert self._store is not None
        leaders, commands = [leader.id for leader in self.settings.leaders], control.read().number
        try:
            await refuse_unknown_orders(self.follower_id, leaders, self._store, self._port, commands)
        except VenueUnavailableError as error:
            raise TryAgainError(f"venue: {error}") from None

    def _second(self, host: str) -> None:
        assert self._desk is not None
        self._desk.risk.note_second(host)

    def _follow(self, leader: LeaderSection, bus: Bus, desk: Desk, reporter: Reporter) -> None:
        """One leader's copies and feed, not started."""
        paper = self.settings.venue.kind == "paper"
        venue = venue_name(self.settings.venue.exchange, self.settings.venue.rest_url)
        identity = Identity(self.follower_id, leader.id, self.policy.label, paper, venue)
        executor = Executor(identity, self.policy, desk, reporter)
        executor.prepare()
        self._executors.append(executor)

        async def group_key(need: NeedKey) -> bytes | None:
            return await fetch_group_key(bus, leader, self.follower_id, need)

        refused = Refused(desk.store, leader.id)
        self._refused.append(refused)
        self._subscribers.append(
            Subscriber(
                bus,
                leader.id,
                leader.public_key,
                desk.store.head(leader.id),
                executor,
                silent_after_ms=leader.silent_after_ms,
                on_joined=lambda head: desk.store.save_head(leader.id, head),
                group_key=group_key if leader.box_key_file is not None else None,
                on_put_out=lambda reason: self._standing.put_out(leader.id, reason),
                on_let_in=lambda: self._standing.let_in(leader.id),
                rounds=desk.rounds,
                on_refused=refused.note,
                links=kept_links(desk.store, leader.id),
                on_links=lambda links: keep_links(desk.store, leader.id, links),
            )
        )

    def _pass_gate(self, control: ControlFile) -> None:
        """Real money needs a trial, or a reason that is kept. Raises `ConfigurationError`."""
        if not self.settings.is_real_money:
            return
        refusals = gate(self.settings)
        if refusals:
            raise ConfigurationError([f"trial: {refusal}" for refusal in refusals])
        override = self.settings.trial.override.strip()
        if override:
            control.note("trial_override", by="configuration", detail=override)

    async def _check_key(self) -> KeyRights | None:
        """Refuse what has no place here, warn of what should not be, and keep everybody else off the account;
        `None` on paper.
        """
        key = await self._port.fetch_key()
        if key is None:
            return None
        for one in objections(key, real_money=self.settings.is_real_money):
            if one.is_fatal:
                raise ConfigurationError([f"venue.api_key: {one.what}, allowed: {one.what_to_do}"])
            log.warning("api_key", what=one.what, what_to_do=one.what_to_do)
        if (lock := hold_account(self.settings, key)) is not None:
            self._locks.append(lock)
        return key

    async def run(self) -> None:
        """Until `stop` is called or something is beyond repair (then it raises)."""
        assert self._reporter is not None and self._desk is not None
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._port.run()),
                *(group.create_task(executor.run()) for executor in self._executors),
                group.create_task(self._reporter.run()),
                group.create_task(self._report_status()),
                group.create_task(self._notifier.run()),
                group.create_task(self._twin.run()),
                group.create_task(self._rounds.repeat(LEFT_LOOK_S, self._end_when_left)),
                group.create_task(self._watch_bus()),
                group.create_task(self._ask_again()),
                group.create_task(self._rounds.repeat(STANDING_EVERY_S, self._standing.look)),
                group.create_task(self._grow_stakes()),
            ]
            await asyncio.gather(*(executor.started.wait() for executor in self._executors))
            desk, protection = self._desk, Protection(self._desk, self._leaders)
            watch = Watch(desk, protection, self._notifier, self.settings.watch, self._silent_s)
            closeout = Closeout(self.follower_id, desk)
            tasks += [
                group.create_task(one)
                for one in (desk.reconcile(), closeout.run(), protection.run(), watch.run())
            ]
            try:
                await asyncio.gather(*(subscriber.start() for subscriber in self._subscribers))
            except BusError as error:
                raise TryAgainError(f"broker: {error}") from None
            for subscriber in self._subscribers:
                subscriber.look_back()
                self._feeding.append(group.create_task(subscriber.run()))
            self.ready.set()
            leaders = [leader.id for leader in self.settings.leaders]
            log.info("following", follower_id=self.follower_id, leaders=leaders)
            await self._stopping.wait()
            await self._wind_down()
            for task in tasks:
                task.cancel()

    def _end_when_left(self) -> None:
        """Once the last leader is left, nothing is copied here any more."""
        assert self._desk is not None
        state = self._desk.control.read()
        if state.left and state.number > self._orders_seen and not self._stopping.is_set():
            kept = {symbol: str(qty) for symbol, qty in self._desk.store.positions().items()}
            yours = f"; {kept} stays open, with its stop at the venue, and is yours to close" if kept else ""
            self.why_ended = f"{state.left} was left, nobody is followed any more{yours}"
            log.warning("follower_ends", follower_id=self.follower_id, why=self.why_ended)
            self.stop()

    def stop(self) -> None:
        """Ask for an orderly end, which `run` takes at most `STOP_LIMIT_S` for."""
        self._stopping.set()

    async def tell_stopped(self, why: str) -> None:
        """It has ended, and nobody had asked for that, unless the last leader was left."""
        if self.why_ended:
            await self._notifier.last_word("left", self.why_ended)
            return
        await self._notifier.last_word("stopped", f"The follower has stopped: {why}")

    async def close(self) -> None:
        """Give everything back, whatever state it is in."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._port.close()
        if self._bus is not None:
            await self._bus.close()
        if self._store is not None:
            self._store.close()
        for lock in self._locks:
            lock.close()

    async def _wind_down(self) -> None:
        assert self._reporter is not None
        for feeding in self._feeding:
            feeding.cancel()
        for refused in self._refused:
            refused.save()
        await asyncio.gather(*(executor.drain(DRAIN_S) for executor in self._executors))
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await self._reporter.flush(FLUSH_S)
                await self._send_status("stopped")

    def _look_back(self) -> None:
        if self.ready.is_set():
            for subscriber in self._subscribers:
                subscriber.look_back()

    def _silent_s(self) -> dict[str, float]:
        """How long each leader was not heard."""
        return {one.leader_id: one.silent_s() for one in self._subscribers}

    async def _send_status(self, mode: Literal["running", "stopped"]) -> None:
        assert self._reporter is not None
        for executor in self._executors:
            status = status_report(executor, self.policy, self._port.account, mode=mode)
            await self._reporter.send_status(status)

    async def _report_status(self) -> None:
        assert self._desk is not None
        await self.ready.wait()  # from its first report on, a follower answers for every signal
        await self._desk.reconciled.wait()
        while True:
            await self._send_status("running")
            await asyncio.sleep(STATUS_EVERY_S)

    def _set_stakes(self) -> None:
        assert self._desk is not None
        risk, share = self._desk.risk, stakes(self.settings, self._desk.store)
        if share != risk.stakes:
            log.info("stakes", follower_id=self.follower_id, share=str(share), before=str(risk.stakes))
            self._desk.control.note("stakes", by="trial", detail=f"{share} of the policy's size")
        risk.stakes = share

    async def _grow_stakes(self) -> None:
        """Live copies that keep to the trial's drift are allowed more, while it runs too."""
        assert self._desk is not None
        while True:
            await asyncio.sleep(STAKES_EVERY_S)
            if self._desk.risk.stakes < 1:
                self._set_stakes()

    def _leaders(self) -> dict[str, LeaderView]:
        return {executor.identity.leader_id: executor.leader for executor in self._executors}

    async def _watch_bus(self) -> None:
        assert self._bus is not None
        await self._bus.wait_closed()
        if not self._stopping.is_set():
            if not self._bus.was_put_out:
                raise TryAgainError("broker: the connection is closed for good")
            self._standing.put_out(EVERYBODY, NOT_ASKED)

    def _all_out(self) -> None:
        leaders = ", ".join(leader.id for leader in self.settings.leaders)
        by = f"by the leader ({leaders}), by who runs it, or for a while for taking too much"
        reason = f"not let in any more: put out {by}; asked again"
        self._standing.put_out(EVERYBODY, f"{reason} every {PUT_OUT_WAIT_S:g} s")

    def _denied(self, subject: str) -> None:
        """A grant ended while others stay."""
        for leader in self.settings.leaders:
            if subject == subjects.feed(leader.id):
                self._denied_leaders.add(leader.id)
                reason = f"put out by the leader: {leader.id} may not be heard any more; asked again"
                self._standing.put_out(leader.id, f"{reason} every {PUT_OUT_WAIT_S:g} s")

    async def _ask_again(self) -> None:
        """A grant may come back while the connection stays."""
        while True:
            await asyncio.sleep(PUT_OUT_WAIT_S)
            for subscriber in self._subscribers:
                if subscriber.leader_id in self._denied_leaders:
                    with suppress(BusError):
                        await subscriber.start()
                        self._denied_leaders.discard(subscriber.leader_id)
                        self._standing.let_in(subscriber.leader_id)
                        subscriber.look_back()
