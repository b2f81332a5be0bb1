"""The names that clients give their transfers and withdrawals, one line each in a file of the data folder.

Belongs here: which name stands for which movement, so that a name is used once, across restarts too. Does not
belong here: the movements (the engine's) and their histories (`ledger`).

A line is on disk before its movement is asked for, and says which of the account's movements it would be,
counted from 1. A line whose movement never came about is passed over: at a start by the ledger's count,
later by the next line of the same number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from simulated_exchange.errors import ConfigurationError

__all__ = ["RequestBook", "RequestRow"]

Place = tuple[str, int, int]


class RequestRow(msgspec.Struct, frozen=True):
    """One request: the kind of movement, whose it is, its number among those, and what the client said of
    it.
    """

    kind: str
    account: int
    ordinal: int
    identity: str
    details: dict[str, str] = {}


class RequestBook:
    """All requests of one venue; without a path nothing is kept."""

    def __init__(self, path: Path | None = None, rows: list[RequestRow] | None = None) -> None:
        self._path = path
        self._by_place: dict[Place, RequestRow] = {}
        self._by_identity: dict[tuple[str, str], Place] = {}
        self._counts: dict[tuple[str, int], int] = {}
        for row in rows or []:
            self._enter(row)

    @classmethod
    def open(cls, path: Path) -> RequestBook:
        """The book in this file, or an empty one; a torn last line was never acted upon and is cut off.

        Raises ConfigurationError for another file.
        """
        if not path.exists():
            return cls(path)
        raw = path.read_bytes()
        whole, _, torn = raw.rpartition(b"\n")
        decoder = msgspec.json.Decoder(RequestRow)
        try:
            rows = [decoder.decode(line) for line in whole.split(b"\n") if line]
        except msgspec.MsgspecError as error:
            raise ConfigurationError([f"{path}: not a book of requests ({error})"]) from error
        if torn:
            os.truncate(path, len(raw) - len(torn))
        return cls(path, rows)

    def settle(self, count_of: Callable[[str, int], int]) -> None:
        """Pass over what never came about; `count_of` says how many movements of a kind an account made."""
        for place, row in list(self._by_place.items()):
            kind, account, ordinal = place
            count = count_of(kind, account)
            self._counts[kind, account] = count
            if ordinal > count:
                self._forget(place, row)

    def is_used(self, kind: str, identity: str) -> bool:
        """Whether a movement has this name already."""
        return (kind, identity) in self._by_identity

    def of(self, kind: str, account: int, ordinal: int) -> RequestRow | None:
        """What the client said of an account's movement; None when the venue made it of its own."""
        return self._by_place.get((kind, account, ordinal))

    def number(self, kind: str, account: int) -> int:
        """How many movements of a kind an account made, those on their way included."""
        return self._counts.get((kind, account), 0)

    def perform(
        self,
        kind: str,
        account: int,
        count: int,
        identity: str,
        details: dict[str, str],
        command: Callable[[], bool],
    ) -> bool:
        """Write the line, then give the command, which says whether it was taken.

        `count` is how many movements of the kind the ledger knows; those on their way are counted here.
        """
        ordinal = max(self._counts.get((kind, account), 0), count) + 1
        row = RequestRow(kind, account, ordinal, identity, details)
        self._append(row)
        self._enter(row)
        if command():
            self._counts[kind, account] = ordinal
            return True
        self._forget((kind, account, ordinal), row)
        return False

    def _enter(self, row: RequestRow) -> None:
        place = (row.kind, row.account, row.ordinal)
        before = self._by_place.get(place)
        if before is not None:
            self._forget(place, before)
        self._by_place[place] = row
        self._by_identity[row.kind, row.identity] = place

    def _forget(self, place: Place, row: RequestRow) -> None:
        self._by_place.pop(place, None)
        self._by_identity.pop((row.kind, row.identity), None)

    def _append(self, row: RequestRow) -> None:
        if self._path is None:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(row) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
