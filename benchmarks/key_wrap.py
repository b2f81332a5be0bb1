"""key_wrap_*: what a new epoch of a private group costs the leader, by members.

Belongs here: members made up, the rows. Does not belong here: storing the keys, which costs one durable
publish each.
"""

from __future__ import annotations

import time

from nacl.public import PrivateKey

from benchmarks.table import Row, reported
from relay.group import wrap_for_all

__all__ = ["NAMES", "run"]

SIZES = {"key_wrap_1024": 1_024, "key_wrap_100000": 100_000}
NAMES = tuple(SIZES)
KEYS_MADE = 1_000  # members share these: making keys is the members' own work


def run(only: set[str] | None) -> list[Row]:
    """The rows that are asked for."""
    asked = {name: size for name, size in SIZES.items() if only is None or name in only}
    if not asked:
        return []
    keys = [bytes(PrivateKey.generate().public_key).hex() for _ in range(KEYS_MADE)]
    return [_row(name, size, keys) for name, size in asked.items()]


def _row(name: str, size: int, keys: list[str]) -> Row:
    members = {f"m{number}": keys[number % KEYS_MADE] for number in range(size)}
    start = time.perf_counter()
    wrapped = wrap_for_all(b"k" * 32, "alice", 1, members)
    seconds = time.perf_counter() - start
    if len(wrapped.records) != size:
        raise RuntimeError(f"{size} members, {len(wrapped.records)} keys")
    each_us = seconds / size * 1e6
    return reported(name, "s", seconds, [f"{each_us:.0f} us per member, proofs below one root included"])
