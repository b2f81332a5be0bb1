"""The streams of the signal feed, over one connection.

Belongs here: storing a signal behind the fence, history by batched Direct Get, reports. Does not belong
here: the meaning of messages (`relay.protocol`), which streams there are (`relay.streams`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import nats.errors
import structlog
from nats.aio.msg import Msg

from relay.nats_bus.connection import RECONNECT_WAIT_S, REQUEST_TIMEOUT_S, Connection
from relay.nats_bus.errors import (
    BusError,
    BusTimeout,
    BusUnavailable,
    Fenced,
    NobodyAnswers,
    NotPermitted,
    StreamBehind,
)
from relay.nats_bus.history import HISTORY_BATCH
from relay.protocol import subjects

__all__ = ["Bus", "Delivery"]

REPORTS_BATCH = 64
SERVERS_MAX = 1_000  # of a cluster
REPORTS_WAIT_S = 5.0

_WRONG_LAST_SEQUENCE = 10071
_STORED, _SEQUENCE, _DIGITS_MAX = b"NATS/1.0\r\n", b"\r\nNats-Sequence:", 19
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One report handed to the monitor; it comes again until `ack` was called."""

    leader_id: str
    follower_id: str
    data: bytes
    seq: int
    ack: Callable[[], Awaitable[None]]
    came_ms: int | None = None  # by the broker's clock, when it was stored there; None = not known
    is_again: bool = False  # it was handed over before, and not acknowledged


class _Error(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PublishAck(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


class Bus(Connection):
    """A connection that knows the project's streams. `await Bus.connect(...)` makes one."""

    _is_behind_leaf = False

    async def publish_signal(
        self,
        leader_id: str,
        wire: bytes,
        expected_last_seq: int,
        msg_id: str,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> int:
        """Store a message as number `expected_last_seq + 1` of the leader's stream; returns that number.

        Safe to repeat with the same arguments after `BusTimeout`: whether an earlier try arrived is settled
        by comparing bytes with what the stream holds there. Raises `Fenced` if that is another message.
        """
        headers = {"Nats-Msg-Id": msg_id, "Nats-Expected-Last-Sequence": str(expected_last_seq)}
        ack = await self._publish_stored(subjects.signals(leader_id), wire, headers, timeout_s)
        seq = expected_last_seq + 1
        if ack.error is None and not ack.duplicate and ack.seq == seq:
            return seq
        actual = ack.seq
        if ack.error is not None:
            if ack.error.err_code != _WRONG_LAST_SEQUENCE:
                raise BusError(f"{subjects.signals(leader_id)}: {ack.error.description}")
            actual = int(re.sub(r"\D", "", ack.error.description.rpartition(":")[2]) or 0)
        if actual < expected_last_seq:
            raise StreamBehind(expected_last_seq, actual)
        stored = await self.fetch_range(subjects.stream(leader_id), seq, 1)
        if stored != [(seq, wire)]:
            raise Fenced(expected_last_seq, actual)
        return seq

    async def publish_report(
        self,
        leader_id: str,
        follower_id: str,
        data: bytes,
        msg_id: str,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> int:
        """Hand in a report; returns once it is stored, with its place. Repeat with the same id after
        `BusTimeout`.
        """
        subject = subjects.reports(leader_id, follower_id)
        ack = await self._publish_stored(subject, data, {"Nats-Msg-Id": msg_id}, timeout_s)
        if ack.error is not None:
            raise BusError(f"{subject}: {ack.error.description}")
        return ack.seq

    async def fetch_range(
        self, stream: str, from_seq: int, count: int, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> list[tuple[int, bytes]]:
        """Stored messages `from_seq` .. `from_seq + count - 1`, as (seq, bytes), in batches.

        Fewer come back when the stream ends before or starts after; a first seq above `from_seq` means that
        the retention has passed it. `timeout_s` counts from one message to the next.
        """
        found: list[tuple[int, bytes]] = []
        end = from_seq + count
        while from_seq < end:
            want = min(HISTORY_BATCH, end - from_seq)
            body = msgspec.json.encode({"seq": from_seq, "batch": want})
            batch = [(seq, data) for seq, data in await self._read(stream, body, timeout_s) if seq < end]
            if not batch:
                break
            found.extend(batch)
            from_seq = batch[-1][0] + 1
        return found

    async def last_message(
        self, stream: str, subject: str, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> tuple[int, bytes] | None:
        """The newest stored message of a stream, None if it is empty."""
        body = msgspec.json.encode({"last_by_subj": subject})
        message = await self.request(subjects.direct_get(stream), body, timeout_s=timeout_s)
        status = message.headers.get("Status")
        if status == "404":
            return None
        if status is not None or message.seq is None:
            raise BusError(f"{stream}: {message.headers.get('Description', 'unexpected answer')}")
        return message.seq, message.data

    async def publish_group_key(
        self, leader_id: str, group_epoch: int, member_id: str, data: bytes, *, timeout_s: float = 10.0
    ) -> None:
        """Store one member's wrapped key; safe to repeat."""
        await self._put(subjects.group_key(leader_id, group_epoch, member_id), data, timeout_s)

    async def fetch_group_key(
        self, leader_id: str, group_epoch: int, member_id: str, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> bytes | None:
        """One's own wrapped key of a group epoch; None if there is none. Older keys, and a relay from before,
        have it in the stream that was everybody's.
        """
        subject = subjects.group_key(leader_id, group_epoch, member_id)
        missing: BusError | None = None
        try:
            found = await self._newest(subjects.keys_stream(leader_id), subject, timeout_s)
            if found is not None:
                return found
        except (NobodyAnswers, NotPermitted) as error:
            missing = error
        try:
            return await self._newest(subjects.KEYS_STREAM, subject, timeout_s)
        except NobodyAnswers:
            if missing is not None:
                raise
            return None

    async def put_plan(self, leader_id: str, data: bytes) -> None:
        """Write a leader's entry of plans; safe to repeat."""
        await self._put(subjects.plan(leader_id), data, REQUEST_TIMEOUT_S)

    async def fetch_plan(self, leader_id: str) -> bytes | None:
        """One's own entry of plans; None if none is there or it is too old."""
        return await self._newest(subjects.PLANS_STREAM, subjects.plan(leader_id), REQUEST_TIMEOUT_S)

    async def consume_reports(self, durable: str, *, batch: int = REPORTS_BATCH) -> AsyncIterator[Delivery]:
        """Reports in the order they were stored, from the durable consumer's last acknowledged one, for
        ever.
        """
        pull = await self._client.jetstream().pull_subscribe_bind(
            durable=durable, stream=subjects.REPORTS_STREAM
        )
        self.subscribed.add(subjects.REPORTS_SUBJECTS)
        while not self._closing:
            try:
                messages = await pull.fetch(batch, timeout=REPORTS_WAIT_S)
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except nats.errors.ConnectionClosedError:
                raise BusUnavailable("reports: the connection is closed") from None
            except nats.errors.Error as error:
                _log.warning("reports_fetch_failed", reason=str(error))
                await asyncio.sleep(RECONNECT_WAIT_S)
                continue
            for message in messages:
                leader_id, follower_id = subjects.parse_report_subject(message.subject)
                told = message.metadata
                came_ms = round(told.timestamp.timestamp() * 1000)
                is_again = told.num_delivered > 1
                yield Delivery(
                    *(leader_id, follower_id, message.data, told.sequence.stream, message.ack),
                    came_ms=came_ms,
                    is_again=is_again,
                )

    async def api(self, subject: str, body: Mapping[str, Any], *, timeout_s: float = 5.0) -> dict[str, Any]:
        """One call of the broker's JSON interface. Raises `BusError` with the broker's own words if it
        refuses.
        """
        answer = await self.request(subject, msgspec.json.encode(body), timeout_s=timeout_s)
        tree: dict[str, Any] = msgspec.json.decode(answer.data)
        error = tree.get("error")
        if error:
            raise BusError(f"{subject}: {error.get('description', error)}")
        return tree

    async def api_all(
        self, subject: str, *, body: Mapping[str, Any] | None = None, wait_s: float = 1.0
    ) -> list[dict[str, Any]]:
        """One call that every server of a cluster answers: what came within `wait_s`."""
        found: list[dict[str, Any]] = []

        def note(result: Msg | Exception) -> None:
            if isinstance(result, Msg) and len(found) < SERVERS_MAX:
                found.append(msgspec.json.decode(result.data))

        token = await self._send_request(subject, msgspec.json.encode(body or {}), None, note)
        try:
            await asyncio.sleep(wait_s)
        finally:
            self._forget(token)
        return found

    async def _put(self, subject: str, data: bytes, timeout_s: float) -> None:
        ack = await self._publish_stored(subject, data, {}, timeout_s)
        if ack.error is not None:
            raise BusError(f"{subject}: {ack.error.description}")

    async def _newest(self, stream: str, subject: str, timeout_s: float) -> bytes | None:
        """The newest message of one subject, by the name that can be granted for it alone."""
        asked = subjects.direct_get(f"{stream}.{subject}")
        message = await self.request(asked, b"", timeout_s=timeout_s)
        status = message.headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise BusError(f"{asked}: {message.headers.get('Description', status)}")
        return message.data

    async def _publish_stored(
        self, subject: str, data: bytes, headers: dict[str, str], timeout_s: float
    ) -> _PublishAck:
        answer = await self.request(subject, data, headers=headers, timeout_s=timeout_s)
        try:
            return msgspec.json.decode(answer.data, type=_PublishAck)
        except msgspec.MsgspecError:
            raise BusError(f"{subject}: the answer is not an acknowledgement") from None

    async def _read(self, stream: str, body: bytes, timeout_s: float) -> list[tuple[int, bytes]]:
        """One batch, by the name that works here: behind a leaf node nobody answers to the API's own."""
        if not self._is_behind_leaf:
            found = await self._gather(subjects.direct_get(stream), body, timeout_s)
            if found is not None:
                return found
        found = await self._gather(subjects.history(stream), body, timeout_s)
        if found is None:
            raise BusTimeout(f"{stream}: nobody answers")
        self._is_behind_leaf = True
        return found

    async def _gather(self, subject: str, body: bytes, timeout_s: float) -> list[tuple[int, bytes]] | None:
        """One batch of history. Messages are taken as they are read: at some 20 us each, headers, a queue and
        a time-out per message would cost as much as the rest.
        """
        found: list[tuple[int, bytes]] = []
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def take(headers: bytes, data: bytes) -> bool:
            seq = _stored_seq(headers)
            if seq is None:
                return False
            if len(found) < HISTORY_BATCH:  # more was not asked for
                found.append((seq, data))
            return True

        def settle(result: Msg | Exception) -> None:
            if done.done():
                return
            if isinstance(result, Exception):
                done.set_exception(result)
                return
            headers = result.headers or {}
            status = headers.get("Status")
            if status in {"204", "404", "503"}:
                done.set_result(status != "503")
            else:
                done.set_exception(BusError(f"{subject}: {headers.get('Description', status)}"))

        token = await self._send_request(subject, body, None, settle, take)
        try:
            seen = -1
            while not done.done() and seen < len(found):
                seen = len(found)
                await asyncio.wait({done}, timeout=timeout_s)
            if not done.done():
                raise BusTimeout(f"{subject}: no answer within {timeout_s} s")
            return found if done.result() else None
        finally:
            self._forget(token)
            done.cancel()


def _stored_seq(headers: bytes) -> int | None:
    """Where a message is stored, by its block of headers; None for an answer that is no stored message."""
    if not headers.startswith(_STORED):
        return None
    at = headers.rfind(_SEQUENCE)  # the broker's own comes last
    end = headers.find(b"\r\n", at + len(_SEQUENCE))
    digits = headers[at + len(_SEQUENCE) : end].strip() if at >= 0 else b""
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS_MAX else None
