"""One connection to the broker: request and answer, subscriptions, and what NATS says on the side.

Belongs here: the client library's options, callbacks and traps. Does not belong here: streams (`bus`).

The traps this file is about: a permission violation arrives on a callback while the call itself just waits;
an exception inside a callback ends reconnecting for good; pings every 120 s and 60 reconnects are the
library's defaults; a full subscription drops without a word.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Self

import nats
import nats.errors
import structlog
from nats.aio.msg import Msg

from relay.nats_bus.client import QuickClient, heed, trust
from relay.nats_bus.errors import BusTimeout, BusUnavailable, NobodyAnswers, NotPermitted
from relay.nats_bus.message import BusMessage, Subscription, from_wire

__all__ = ["PUT_OUT_WAIT_S", "REQUEST_TIMEOUT_S", "Connection"]

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 2.0
FLUSH_TIMEOUT_S = 5
CLOSE_TIMEOUT_S = 1.0
PING_INTERVAL_S = 2  # a dead link is found after at most PING_INTERVAL_S * (PINGS_OUTSTANDING_MAX + 1)
PINGS_OUTSTANDING_MAX = 2
RECONNECT_WAIT_S = 0.25
REFUSALS_MAX = 8  # in a row: about two seconds
PUT_OUT_WAIT_S = 10.0  # between two tries of who stays, to be let in again
PUT_OUT_TRIES_MAX = 8_640  # a day of them
REFUSALS_AT_FIRST_MAX = 2  # a broker that takes over a list of users refuses whoever comes just then
UNSENT_BYTES_MAX = 2 * 1024 * 1024  # held while reconnecting
PENDING_MESSAGES_MAX = 8192  # per subscription; more is dropped and found again as a gap
PENDING_BYTES_MAX = 32 * 1024 * 1024

_SERVER_REPLY = "$SYS."
_SERVICE_REPLY = "_R_."  # what the broker puts in the place of a reply address from another account
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"')
_log = structlog.get_logger(__name__)


class Connection:
    """One connection to the broker. Made by `connect`; reconnects for ever; see the module's text for
    errors.
    """

    def __init__(self, name: str, inbox: str) -> None:
        self._name = name
        self._client = QuickClient()
        self._inbox = f"{inbox}.{secrets.token_hex(8)}"
        self._tokens = itertools.count(1)
        self._replies: dict[str, tuple[str, Callable[[Msg | Exception], None]]] = {}
        self._denied_subscriptions: set[str] = set()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = False
        self._refusals = 0  # times in a row that the broker did not know us when we came back
        self._on_reconnect: Callable[[], None] | None = None
        self.dropped = 0  # messages lost to a full subscription since the start
        self.was_put_out = False  # the broker does not know this user any more
        self.stays = False  # whoever is put out ends, or asks again for a day, more slowly
        self.on_put_out: Callable[[], None] = lambda: None  # told to who stays
        self.on_let_in: Callable[[], None] = lambda: None
        self.on_denied: Callable[[str], None] = lambda _subject: None  # what we hear may be taken from us
        self.last_error = ""
        self.subscribed: set[str] = set()  # subjects listened to, for whoever must know that it is ready

    @classmethod
    async def connect(
        cls,
        url: str | Sequence[str],
        nkey_seed: str | None,
        inbox_prefix: str,
        name: str,
        *,
        on_reconnect: Callable[[], None] | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
        ca_pem: str | None = None,
    ) -> Self:
        """Connect as the owner of `nkey_seed`, to the first of these addresses that answers.

        A `tls://` address must show a certificate of `ca_pem` alone (None: of the system's authorities), in
        its own name.

        Keeps trying for `timeout_s`, then raises `BusUnavailable` with the reason; `NotPermitted` if the
        inbox prefix is not this user's (`relay.protocol.subjects.inbox_prefix`).
        """
        deadline, refusals = time.monotonic() + timeout_s, 0
        urls = [url] if isinstance(url, str) else list(url)
        url = ", ".join(urls)
        authority = trust(ca_pem) if any(one.startswith("tls://") for one in urls) else None
        while True:
            bus = cls(name, inbox_prefix)
            bus._on_reconnect = on_reconnect
            try:
                await bus._open(urls, nkey_seed, inbox_prefix, authority)
                return bus
            except asyncio.CancelledError:
                await bus.close()
                raise
            except (TimeoutError, OSError, nats.errors.Error) as error:
                await bus.close()
                reason = bus.last_error or str(error) or "no answer"
                refusals += "authorization" in reason.lower()
                if refusals >= REFUSALS_AT_FIRST_MAX:
                    raise BusUnavailable(f"broker {url}: this nkey is not one of its users") from None
                if time.monotonic() >= deadline:
                    raise BusUnavailable(f"broker {url}: {reason}") from None
                await asyncio.sleep(RECONNECT_WAIT_S)

    @property
    def is_connected(self) -> bool:
        """Whether the socket is up; says nothing about a frozen broker (heartbeats do)."""
        return self._client.is_connected

    async def _open(
        self, urls: list[str], nkey_seed: str | None, inbox_prefix: str, trust: ssl.SSLContext | None
    ) -> None:
        """One attempt, which ends by itself: cancelling the library's endless one does not always end it."""
        await heed(
            self._client.connect(
                servers=urls,
                name=self._name,
                nkeys_seed_str=nkey_seed,
                inbox_prefix=inbox_prefix,
                tls=trust,
                error_cb=self._on_error,
                closed_cb=self._on_closed,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=PINGS_OUTSTANDING_MAX,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]
                pending_size=UNSENT_BYTES_MAX,
            )
        )
        await heed(self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply))
        await self._barrier()
        if self._denied_subscriptions:
            await self.close()
            raise NotPermitted("read answers below", inbox_prefix)
        self._client.options["allow_reconnect"] = True
        self._client.options["max_reconnect_attempts"] = -1

    async def _barrier(self) -> None:
        """Return once the broker has dealt with everything sent so far, and its complaints have arrived.

        Twice, because the library puts the first ping in front of what it still holds back.
        """
        for _ in range(2):
            await heed(self._client.flush(timeout=FLUSH_TIMEOUT_S))

    async def wait_closed(self) -> None:
        """Return when the connection is gone for good. A daemon that did not ask for it exits non-zero
        then.
        """
        await asyncio.shield(self._closed)

    async def close(self) -> None:
        """Send what is buffered, if the broker still listens, and end the connection."""
        self._closing = True
        task = asyncio.create_task(self._end(), name=f"close-{self._name}")
        await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)
        task.cancel()
        if not self._closed.done():
            self._closed.set_result(None)

    async def _end(self) -> None:
        with suppress(nats.errors.Error, TimeoutError, OSError):
            if self._client.is_connected:
                await heed(self._client.flush(timeout=FLUSH_TIMEOUT_S))
        with suppress(nats.errors.Error, TimeoutError, OSError):
            await self._client.close()

    async def subscribe(
        self, subject: str, callback: Callable[[BusMessage], Awaitable[None]]
    ) -> Subscription:
        """Hear a subject; `callback` gets one message at a time. Raises `NotPermitted`."""

        async def deliver(message: Msg) -> None:
            await callback(from_wire(message))

        self._denied_subscriptions.discard(subject.lower())
        try:
            inner = await heed(
                self._client.subscribe(
                    subject,
                    cb=deliver,
                    pending_msgs_limit=PENDING_MESSAGES_MAX,
                    pending_bytes_limit=PENDING_BYTES_MAX,
                )
            )
            await self._barrier()
        except (nats.errors.Error, TimeoutError) as error:
            raise BusUnavailable(f"subscribe {subject}: {error or 'no answer'}") from None
        if subject.lower() in self._denied_subscriptions:
            await Subscription(inner).stop()
            raise NotPermitted("subscribe to", subject)
        self.subscribed.add(subject)
        return Subscription(inner)

    async def answer(self, subject: str, answer: Callable[[BusMessage], Awaitable[bytes]]) -> Subscription:
        """Answer what is asked on a subject from another account, one question at a time.

        Only the reply address that the broker itself has made for a question is used: with any other, whoever
        asks could have the answer written where he may not write.
        """
        return await self._answer(subject, answer, _SERVICE_REPLY)

    async def answer_servers(
        self, subject: str, answer: Callable[[BusMessage], Awaitable[bytes]]
    ) -> Subscription:
        """Answer what only servers may ask. An empty answer is not sent."""
        return await self._answer(subject, answer, _SERVER_REPLY)

    async def _answer(
        self, subject: str, answer: Callable[[BusMessage], Awaitable[bytes]], reply: str
    ) -> Subscription:
        async def respond(message: Msg) -> None:
            if not message.reply.startswith(reply):
                _log.warning("question_without_reply_refused", bus=self._name, subject=message.subject)
                return
            data = await answer(from_wire(message))
            if not data:
                return
            with suppress(nats.errors.Error):
                await heed(self._client.publish(message.reply, data))

        inner = await heed(
            self._client.subscribe(subject, cb=respond, pending_msgs_limit=PENDING_MESSAGES_MAX)
        )
        await self._barrier()
        return Subscription(inner)

    async def publish(self, subject: str, data: bytes) -> None:
        """Send without acknowledgement (heartbeats). Nothing is buffered while there is no connection."""
        if not self._client.is_connected:
            raise BusUnavailable(f"publish {subject}: not connected")
        try:
            await heed(self._client.publish(subject, data))
        except nats.errors.Error as error:
            raise BusUnavailable(f"publish {subject}: {error}") from None

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> BusMessage:
        """Send and wait for one answer."""
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        def settle(result: Msg | Exception) -> None:
            if answer.done():
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        token = await self._send_request(subject, data, headers, settle)
        try:
            async with asyncio.timeout(timeout_s):
                message = await answer
        except TimeoutError:
            raise BusTimeout(f"{subject}: no answer within {timeout_s} s") from None
        finally:
            self._forget(token)
        if message.headers and message.headers.get("Status") == "503":
            raise NobodyAnswers(f"{subject}: nobody answers")
        return from_wire(message)

    async def _send_request(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None,
        settle: Callable[[Msg | Exception], None],
        take: Callable[[bytes, bytes], bool] | None = None,
    ) -> str:
        """The address that answers come to, until `_forget`. `take` gets them first, as they are read; those
        that it does not take are settled.
        """
        if not self._client.is_connected:
            raise BusUnavailable(f"{subject}: not connected")
        token = f"{self._inbox}.{next(self._tokens)}"
        self._replies[token] = (subject.lower(), settle)
        if take is not None:
            self._client.takers[token.encode()] = take
        try:
            await heed(self._client.publish(subject, data, reply=token, headers=headers))
        except nats.errors.Error as error:
            self._forget(token)
            raise BusUnavailable(f"{subject}: {str(error) or type(error).__name__}") from None
        return token

    def _forget(self, token: str) -> None:
        self._replies.pop(token, None)
        self._client.takers.pop(token.encode(), None)

    async def _on_reply(self, message: Msg) -> None:
        waiting = self._replies.get(message.subject)
        if waiting:
            waiting[1](message)

    async def _on_error(self, error: Exception) -> None:
        """Nothing in here may raise: an exception would end the client's reconnecting."""
        told = str(error) or type(error).__name__
        if not self.was_put_out:  # why, is known then; what else goes wrong follows from it
            self.last_error = told
        violation = _VIOLATION.search(told.lower())
        if violation:
            action, subject = violation.groups()
            _log.warning("not_permitted", bus=self._name, action=action, subject=subject)
            if action == "subscription":
                self._denied_subscriptions.add(subject)
                self._tell(self.on_denied, subject)
                return
            for waiting_for, settle in list(self._replies.values()):
                if waiting_for == subject:
                    settle(NotPermitted("publish on", subject))
        elif isinstance(error, nats.errors.SlowConsumerError):
            self.dropped += 1
            _log.warning("subscription_full", bus=self._name, subject=error.subject)
        else:
            _log.debug("bus_error", bus=self._name, reason=told)
            if "authorization violation" in told.lower():
                self._count_refusal()

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        """An exception would end the client's reconnecting."""
        try:
            callback(*arguments)
        except Exception:
            _log.exception("callback_failed", bus=self._name)

    def _count_refusal(self) -> None:
        """A broker that has just started may not know its users yet; one that keeps saying no means it."""
        self._refusals += 1
        if self._refusals < REFUSALS_MAX or self._closed.done():
            return
        if not self.was_put_out:
            self.last_error = "this nkey is no longer one of the broker's users"
            self.was_put_out = True
            _log.error("bus_put_out", bus=self._name)
            if self.stays:
                self._client.options["reconnect_time_wait"] = PUT_OUT_WAIT_S
                self._tell(self.on_put_out)
        if not self.stays or self._refusals >= REFUSALS_MAX + PUT_OUT_TRIES_MAX:
            self._ending = asyncio.create_task(self.close(), name=f"put-out-{self._name}")

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _log.warning("bus_disconnected", bus=self._name)
        for subject, settle in list(self._replies.values()):
            settle(BusTimeout(f"{subject}: the connection was lost before the answer"))

    async def _on_reconnected(self) -> None:
        self._refusals = 0
        _log.info("bus_reconnected", bus=self._name)
        if self.was_put_out:
            self.was_put_out = False
            self._client.options["reconnect_time_wait"] = RECONNECT_WAIT_S
            self._tell(self.on_let_in)
        if self._on_reconnect:
            self._tell(self._on_reconnect)

    async def _on_closed(self) -> None:
        if not self._closing:
            _log.error("bus_closed", bus=self._name, reason=self.last_error)
        if not self._closed.done():
            self._closed.set_result(None)
