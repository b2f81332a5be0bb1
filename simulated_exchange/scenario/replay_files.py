"""Recorded files as a replay: the only place of this package that opens recordings.

Belongs here: opening `.csv` and `.csv.gz`, grouping the files by market, the common window, and what the
venue's genesis must know of them. Does not belong here: the meaning of rows (`replay`), prices over time
(`paths`).
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.replay import (
    Bar,
    BarSeries,
    ReplaySpec,
    bars_between,
    read_bars,
    utc_text,
)
from simulated_exchange.scenario.window import default_span_ms, greatest_range

__all__ = ["Replay", "ReplayFile", "genesis_for_replay", "load_replay"]

INDEX_FILES_MAX = 16
LINE_BYTES_MAX = 65_536
SOURCE_STALE_TICKS = 20  # an index source is stale after this many ticks without a price, at least
WINDOW_MIN_MS = 1_000


@dataclass(frozen=True, slots=True)
class ReplayFile:
    """One file, cut to the window."""

    spec: ReplaySpec
    bars: tuple[Bar, ...]
    duration_ms: int
    columns: tuple[str, ...]

    def report(self) -> dict[str, Any]:
        held = sum(bar.held for bar in self.bars)
        return {
            "kind": self.spec.kind,
            "symbol": self.spec.symbol,
            "file": Path(self.spec.path).name,
            "columns": list(self.columns),
            "bar_seconds": self.duration_ms // 1000,
            "rows_used": len(self.bars) - held,
            "rows_held": held,
        }


@dataclass(frozen=True, slots=True)
class Replay:
    """All files of a run and the window they are played over."""

    files: tuple[ReplayFile, ...]
    from_ms: int
    to_ms: int
    chosen: bool  # the window was chosen by the rule, not given

    @property
    def window(self) -> tuple[int, int]:
        return self.from_ms, self.to_ms

    def of(self, kind: str, symbol: str) -> list[ReplayFile]:
        return [file for file in self.files if (file.spec.kind, file.spec.symbol) == (kind, symbol)]

    def report(self) -> dict[str, Any]:
        return {
            "files": [file.report() for file in self.files],
            "from": utc_text(self.from_ms),
            "to": utc_text(self.to_ms),
            "window_chosen": self.chosen,
        }


def load_replay(
    specs: Sequence[ReplaySpec],
    *,
    symbols: Iterable[str],
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> Replay:
    """Read and check every file; `symbols` are the venue's. ScenarioError names what cannot be used."""
    _check_specs(specs, sorted(symbols))
    loaded = [(spec, _read_file(spec)) for spec in specs]
    window = _window([(spec.kind, series) for spec, series in loaded], from_ms, to_ms)
    files = tuple(
        ReplayFile(spec, tuple(bars_between(series, *window)), series.duration_ms, series.columns)
        for spec, series in loaded
    )
    return Replay(files, *window, chosen=from_ms is None and to_ms is None)


def genesis_for_replay(
    genesis: dict[str, Any], replay: Replay, *, factor: float, tick_ms: int
) -> dict[str, Any]:
    """The genesis with one index source per index file and a staleness that fits the compressed clock.

    Configured sources are kept when there are as many of them as files; otherwise weights are equal.
    """
    instruments = []
    for instrument in genesis["instruments"]:
        index_files = replay.of("index", instrument["symbol"]) or replay.of("last", instrument["symbol"])[:1]
        stale_ms = max(int(instrument["index_stale_ms"]), math.ceil(factor * tick_ms * SOURCE_STALE_TICKS))
        changed = {**instrument, "index_stale_ms": stale_ms}
        if index_files and len(index_files) != len(instrument["index_sources"]):
            changed["index_sources"] = [
                {"name": f"replay-{number}", "weight": "1"} for number in range(1, len(index_files) + 1)
            ]
        instruments.append(changed)
    return {**genesis, "instruments": instruments}


def _check_specs(specs: Sequence[ReplaySpec], symbols: Sequence[str]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for spec in specs:
        if spec.symbol not in symbols:
            raise ScenarioError(
                f"replay {spec.kind}:{spec.symbol}={spec.path}: unknown symbol {spec.symbol!r}; "
                f"allowed: {', '.join(symbols)}"
            )
        counts[spec.kind, spec.symbol] = counts.get((spec.kind, spec.symbol), 0) + 1
        allowed = INDEX_FILES_MAX if spec.kind == "index" else 1
        if counts[spec.kind, spec.symbol] > allowed:
            raise ScenarioError(
                f"replay {spec.kind}:{spec.symbol}={spec.path}: one file too many; "
                f"allowed for {spec.kind}: {allowed} for each symbol"
            )
    if specs and all(spec.kind == "mark_check" for spec in specs):
        raise ScenarioError(
            "replay: only mark_check files, which are never fed; an index or last file is needed"
        )


def _window(
    loaded: Sequence[tuple[str, BarSeries]], from_ms: int | None, to_ms: int | None
) -> tuple[int, int]:
    reference = next(
        (series for kind, series in loaded if kind == "last"),
        next(series for kind, series in loaded if kind != "mark_check"),
    )
    span_ms = default_span_ms(reference.duration_ms)
    if from_ms is None and to_ms is None:
        common = max(series.start_ms for _, series in loaded), min(series.end_ms for _, series in loaded)
        return greatest_range(reference, span_ms, common)
    start_ms = from_ms if from_ms is not None else (to_ms or 0) - span_ms
    end_ms = to_ms if to_ms is not None else start_ms + span_ms
    if end_ms - start_ms < WINDOW_MIN_MS:
        raise ScenarioError(
            f"--from {utc_text(start_ms)} --to {utc_text(end_ms)}: empty window; allowed: --to after --from"
        )
    return start_ms, end_ms


def _read_file(spec: ReplaySpec) -> BarSeries:
    path = Path(spec.path)
    label = path.name
    if not path.name.endswith((".csv", ".csv.gz")):
        raise ScenarioError(f"{spec.path}: not a recording; allowed: a file named *.csv or *.csv.gz")
    try:
        with _open(path) as stream:
            rows = csv.reader(_lines(stream, label), strict=True)
            header = next(rows, None)
            if header is None:
                raise ScenarioError(f"{label}: row 1: empty file; allowed: a header row and rows of bars")
            return read_bars(spec.kind, header, rows, label)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ScenarioError(
            f"{spec.path}: cannot be read ({reason}); allowed: CSV text, plain or gzip, in UTF-8"
        ) from error


def _open(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open("rt", encoding="utf-8", newline="")


def _lines(stream: IO[str], label: str) -> Iterator[str]:
    number = 0
    while line := stream.readline(LINE_BYTES_MAX):
        number += 1
        if len(line) >= LINE_BYTES_MAX:
            raise ScenarioError(
                f"{label}: row {number}: line too long; allowed: below {LINE_BYTES_MAX} characters"
            )
        yield line.removeprefix("\ufeff") if number == 1 else line
