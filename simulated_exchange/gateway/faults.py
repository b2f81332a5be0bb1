"""Faults on purpose: what the gateway does wrong because somebody asked it to, so that clients can be tried.

Belongs here: which fault meets which request, counting, ending. Does not belong here: doing the wrong
(`misbehaving`, the sockets, the private streams) and the wire. Faults live in memory: a restart ends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["FAULTS_MAX", "OPERATION_PATHS", "Channel", "Fault", "FaultKind", "Faults"]

FAULTS_MAX = 100
OPERATION_PATHS = {
    f"order.{name}": f"/v5/order/{name}"
    for name in ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
}
"""Where the same request goes over REST: a fault names operations of the trade socket by that path, too."""


class FaultKind(StrEnum):
    """What goes wrong."""

    DELAY = "delay"
    DROP = "drop"
    ERROR = "error"
    BUSY = "busy"
    RATE_LIMIT = "rate_limit"
    DROP_PRIVATE = "drop_private"
    DISCONNECT = "disconnect"


class Channel(StrEnum):
    """Where it goes wrong."""

    REST = "rest"
    TRADE = "trade"
    PRIVATE = "private"
    PUBLIC = "public"


@dataclass(slots=True)
class Fault:
    """One order to fail. Without `account` everybody is met; `applied` says whether the request took effect
    all the same; `left` counts down, None is without end; `ends_ms` is wall time, 0 never; of the requests
    that fit every `every`-th is met; `is_silent` keeps the connection of a dropped request open.
    """

    kind: FaultKind
    channel: Channel | None = None
    path: str = "/v5/"
    account: int | None = None
    topics: tuple[str, ...] = ()
    applied: bool = False
    is_silent: bool = False
    delay_ms: int = 0
    status: int = 503
    left: int | None = None
    ends_ms: int = 0
    every: int = 1
    identity: int = 0
    seen: int = 0
    hits: int = 0


class Faults:
    """The faults in force, oldest first; a request is met by the first that fits."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._count = 0

    def __bool__(self) -> bool:
        """Whether anything is to go wrong; nobody else pays for the search."""
        return bool(self._faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def add(self, fault: Fault) -> Fault:
        """Put a fault into force. Raises ValueError beyond FAULTS_MAX."""
        if len(self._faults) >= FAULTS_MAX:
            raise ValueError(f"at most {FAULTS_MAX} faults at a time")
        self._count += 1
        fault.identity = self._count
        self._faults.append(fault)
        return fault

    def clear(self, identity: int | None = None) -> int:
        """End one fault or all; how many ended."""
        before = len(self._faults)
        self._faults = [
            fault for fault in self._faults if identity is not None and fault.identity != identity
        ]
        return before - len(self._faults)

    def meet(self, channel: Channel, path: str, account: int | None, now_ms: int) -> Fault | None:
        """The fault that meets this request, which is counted with it."""
        return self._first(
            lambda fault: (
                fault.kind not in (FaultKind.DROP_PRIVATE, FaultKind.DISCONNECT)
                and fault.channel in (None, channel)
                and path.startswith(fault.path)
                and fault.account in (None, account)
            ),
            now_ms,
        )

    def loses(self, topic: str, account: int, now_ms: int) -> bool:
        """Whether this push to an account is lost."""
        return (
            self._first(
                lambda fault: (
                    fault.kind is FaultKind.DROP_PRIVATE
                    and fault.account in (None, account)
                    and (not fault.topics or topic in fault.topics)
                ),
                now_ms,
            )
            is not None
        )

    def cuts(self, channel: Channel, account: int | None, now_ms: int) -> bool:
        """Whether whoever comes on this channel is cut off at once."""
        return (
            self._first(
                lambda fault: (
                    fault.kind is FaultKind.DISCONNECT
                    and fault.channel in (None, channel)
                    and fault.account in (None, account)
                ),
                now_ms,
            )
            is not None
        )

    def _first(self, fits: Callable[[Fault], bool], now_ms: int) -> Fault | None:
        self._faults = [fault for fault in self._faults if not fault.ends_ms or now_ms < fault.ends_ms]
        for fault in self._faults:
            if fault.left == 0 or not fits(fault):
                continue
            fault.seen += 1
            if fault.seen % fault.every:
                continue
            fault.hits += 1
            if fault.left is not None:
                fault.left -= 1
            return fault
        return None
