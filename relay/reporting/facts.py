"""What a reader must know about a run before believing its figures.

Belongs here: the `run` part of a report as labelled facts. Does not belong here: any figure of the report.

`run` has seed, scenario, replay, seconds and version. `replay` is null or an object with any of: `files` (a
list of `{"kind", "symbol", "file"}` or of `KIND:SYMBOL=FILE`), `from`, `to`, `time_factor`, `bar_walk`,
`transplanted`, `leader` (`{"file", "account", "times_moved", "symbol_moved"}`) and `mark_check` (by symbol,
the engine's own mark against the recorded one). Of files, only the names are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Fact", "run_facts", "was_replayed"]

SHORT_MAX = 64
_FOLDERS = re.compile(r"[^\s=]*/")  # of a path, everything but its last part


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know. `flag`: it changes what the figures mean; `long`: a sentence rather than a label."""

    name: str
    value: str
    flag: bool = False

    @property
    def long(self) -> bool:
        return len(self.value) > SHORT_MAX


def was_replayed(run: Mapping[str, Any]) -> bool:
    """Whether the market came from recorded files."""
    return bool(_files(run.get("replay")))


def run_facts(run: Mapping[str, Any]) -> list[Fact]:
    """The facts of a run in the order a reader asks for them."""
    return list(_facts(run))


def _facts(run: Mapping[str, Any]) -> Iterator[Fact]:
    replay = run.get("replay")
    known: Mapping[str, Any] = replay if isinstance(replay, Mapping) else {}
    if run.get("scenario"):
        yield Fact("scenario", str(run["scenario"]))
    if run.get("seed") is not None:
        yield Fact("seed", str(run["seed"]))
    if run.get("seconds") is not None:
        yield Fact("length", f"{run['seconds']} s")
    if known.get("from") and known.get("to"):
        yield Fact("window", f"{known['from']} to {known['to']}")
    if known.get("time_factor") is not None:
        factor = f"{float(known['time_factor']):g}"
        yield Fact("time factor", f"{factor} (1 s here = {factor} s of the market)", flag=True)
    yield from _leader(known)
    if run.get("version"):
        yield Fact("version", str(run["version"]))
    yield from (Fact("replayed", name) for name in _files(replay))
    if known.get("bar_walk"):
        yield Fact("bars walked", str(known["bar_walk"]))
    yield from _mark_checks(known.get("mark_check"))


def _files(replay: Any) -> list[str]:
    if isinstance(replay, Mapping):
        return _files(replay.get("files"))
    if isinstance(replay, str):
        return [_FOLDERS.sub("", replay)]
    if not isinstance(replay, Sequence):
        return []
    return [_FOLDERS.sub("", _file(entry)) for entry in replay]


def _file(entry: Any) -> str:
    return f"{entry['kind']}:{entry['symbol']}={entry['file']}" if isinstance(entry, Mapping) else str(entry)


def _leader(known: Mapping[str, Any]) -> Iterator[Fact]:
    leader = known.get("leader")
    if isinstance(leader, Mapping):
        text = f"recorded fills of {leader['account']}"
        yield Fact("leader", f"{text}, {_FOLDERS.sub('', leader['file'])}" if leader.get("file") else text)
    if known.get("transplanted"):
        told = leader if isinstance(leader, Mapping) else {}
        moved = [name for name in ("times", "symbol") if told.get(f"{name}_moved")]
        yield Fact("transplanted", f"{' and '.join(moved)} moved" if moved else "yes", flag=True)


def _mark_checks(checks: Any) -> Iterator[Fact]:
    """How well the engine's own mark met the recorded one."""
    for symbol, check in checks.items() if isinstance(checks, Mapping) else ():
        if check.get("inside_share") is None:
            continue
        yield Fact(
            f"mark check {symbol}",
            f"the engine's own mark was within {float(check['tolerance_bps']):g} bps of the recorded bar in "
            f"{100 * float(check['inside_share']):.1f} % of {check['samples']} samples",
        )
