"""What came over a leader's feed and was not believed, counted by reason: no signal, so it has no verdict.

Belongs here: the counts and keeping them. Does not belong here: refusing (`relay.protocol.feed`), showing
them (`cli_memory`).
"""

from __future__ import annotations

import time

from follower_client.store import Store

__all__ = ["Refused", "refused_messages"]

MARK = "refused"
SAVE_EVERY_S = 1.0  # a flood of forgeries is no reason to write as often


class Refused:
    """One leader's. `save` at the end keeps the last ones."""

    def __init__(self, store: Store, leader_id: str) -> None:
        self._store, self._leader_id = store, leader_id
        self._counts = refused_messages(store).get(leader_id, {})
        self._saved_s = -SAVE_EVERY_S

    def note(self, code: str) -> None:
        """One more, for that reason."""
        self._counts[code] = self._counts.get(code, 0) + 1
        if time.monotonic() - self._saved_s > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """To the store."""
        self._saved_s = time.monotonic()
        marks = {f"{MARK}:{self._leader_id}:{code}": str(count) for code, count in self._counts.items()}
        if marks:
            self._store.save_marks(marks)


def refused_messages(store: Store) -> dict[str, dict[str, int]]:
    """Leader -> reason -> how many."""
    found: dict[str, dict[str, int]] = {}
    for name, value in store.marks().items():
        mark, _, rest = name.partition(":")
        leader_id, _, code = rest.partition(":")
        if mark == MARK and code and value.isdigit():
            found.setdefault(leader_id, {})[code] = int(value)
    return found
