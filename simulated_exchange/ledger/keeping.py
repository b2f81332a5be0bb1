"""The read model as bytes, part by part, and back.

Belongs here: the parts, their bytes, how they come together again. Does not belong here: files, and when it
is done.

A part (a market, an account's memory, the rest) is written down on its own, so that a venue that goes on
meanwhile is held up for no longer than one of them takes. Each says up to which event it knows. Whoever
restores tells the events after the earliest of them again, and a part joins where its own knowledge ends.
Markets come before accounts, whose memories look at them.

The bytes are pickles of this package's classes and of nothing else, so they hold data and no code. They are
read by the very sources that wrote them; with any others the journal is folded again.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from simulated_exchange.driver import Event
from simulated_exchange.ledger import Ledger
from simulated_exchange.ledger.accounts import AccountMemory
from simulated_exchange.ledger.market import MarketView

__all__ = ["Restoring", "UnreadableError", "kept_parts", "pack"]

PACKAGE = "simulated_exchange.ledger"


class UnreadableError(ValueError):
    """Bytes that these sources did not write."""


class _Part(NamedTuple):
    kind: str  # "market", "account" or "rest"
    key: int
    sequence: int  # of the last event it knows
    body: Any


class _Packed(msgspec.Struct, array_like=True):
    sources: bytes
    parts: list[bytes]


def kept_parts(ledger: Ledger) -> Iterator[bytes]:
    """Every part as it is when it is asked for; the ledger may go on between one and the next."""
    for index in range(len(ledger.markets)):
        yield _bytes(_Part("market", index, ledger.sequence, ledger.markets[index]))
    yield _bytes(_Part("rest", 0, ledger.sequence, ledger.rest()))
    for memory in ledger.memories():
        yield _bytes(_Part("account", memory.account, ledger.sequence, memory))


def pack(parts: Iterable[bytes]) -> bytes:
    """All parts of a ledger as one piece."""
    return msgspec.msgpack.encode(_Packed(_sources(), list(parts)))


class Restoring:
    """A ledger that becomes what its parts were, and what the events after them make of it."""

    def __init__(self, ledger: Ledger, packed: bytes) -> None:
        """Raises UnreadableError; the ledger is as it was then."""
        parts = _unpacked(packed)
        if not all(_fits(ledger, part) for part in parts):
            raise UnreadableError("the read model has parts of another venue")
        self._ledger = ledger
        self._parts = deque(sorted(parts, key=lambda part: part.sequence))

    def fold(self, event: Event) -> None:
        """Take an event; all after the earliest part's last must be told, in order."""
        while self._parts and self._parts[0].sequence < event.sequence:
            self._join(self._parts.popleft())
        self._ledger.fold(event)

    def finish(self) -> None:
        """All events have been told."""
        while self._parts:
            self._join(self._parts.popleft())

    def _join(self, part: _Part) -> None:
        if part.kind == "market":
            self._ledger.markets[part.key] = part.body
        elif part.kind == "account":
            self._ledger.remember(part.body)
        else:
            self._ledger.set_rest(part.body)


def _bytes(part: _Part) -> bytes:
    return pickle.dumps(tuple(part), protocol=5)


def _unpacked(packed: bytes) -> list[_Part]:
    try:
        found = msgspec.msgpack.decode(packed, type=_Packed)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"the read model cannot be read: {error}") from None
    if found.sources != _sources():
        raise UnreadableError("the read model was kept by other sources")
    try:
        return [_part(part) for part in found.parts]
    except Exception as error:  # whatever bytes that nobody wrote may lead to
        raise UnreadableError(f"the read model cannot be read: {type(error).__name__}: {error}") from None


def _part(part: bytes) -> _Part:
    kind, key, sequence, body = _Reader(io.BytesIO(part)).load()
    if not isinstance(sequence, int):
        raise TypeError("its sequence is no number")
    return _Part(kind, key, sequence, body)


def _fits(ledger: Ledger, part: _Part) -> bool:
    if part.kind == "market":
        return isinstance(part.body, MarketView) and part.key in range(len(ledger.markets))
    if part.kind == "account":
        return isinstance(part.body, AccountMemory) and part.body.account == part.key
    return part.kind == "rest" and isinstance(part.body, dict) and part.body.keys() == ledger.rest().keys()


class _Reader(pickle.Unpickler):
    """Knows this package's classes and the one container they need."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "deque"):
            return deque
        found = vars(sys.modules[module]).get(name) if _is_ours(module) else None
        if not isinstance(found, type) or found.__module__ != module:
            raise UnreadableError(f"{module}.{name} is no part of a read model")
        return found


def _is_ours(module: str) -> bool:
    return (module == PACKAGE or module.startswith(f"{PACKAGE}.")) and module in sys.modules


@cache
def _sources() -> bytes:
    """Digest of this package's sources."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()
