"""The native runner of the exchange's benchmarks (`simulated_exchange/engine/bench`): built and called.

Belongs here: building, calling, the streams it writes and engines that have read their set-up. Does not
belong here: what is measured (the modules that use this), workloads and reference engines (the Rust crate).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulated_exchange._engine import COMMAND_BYTES, Engine

__all__ = [
    "BATCH_COMMANDS",
    "BENCH_FOLDER",
    "asked",
    "batches",
    "build",
    "engine",
    "must_agree",
    "output",
    "records",
    "split",
]

BATCH_COMMANDS = 512  # so many records and their events stay in a processor's cache
SECONDS_MAX = 600
BENCH_FOLDER = Path(os.environ.get("SLIPSTREAM_BENCH", "../shared/bench"))  # references to measure beside
ENGINE_FOLDER = Path(__file__).parents[1] / "simulated_exchange" / "engine"


@functools.cache
def build() -> Path:
    """The runner's program, built from the sources as they are."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--package", "exchange-bench"]
    subprocess.run(command, cwd=ENGINE_FOLDER, check=True)
    target = os.environ.get("CARGO_TARGET_DIR") or ENGINE_FOLDER / "target"
    return Path(target) / "release" / "matching-bench"


def asked(*arguments: object) -> dict[str, Any]:
    """What the runner answers. Raises `RuntimeError` if it fails."""
    answer: dict[str, Any] = json.loads(output(build(), *arguments))
    return answer


def output(program: Path, *arguments: object) -> str:
    """What a program prints. Raises `RuntimeError` if it fails."""
    command = [str(program), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout


def records(folder: Path, workload: str, commands: int) -> tuple[bytes, bytes, int]:
    """A workload as command records: set-up, stream, and how many instruments they need."""
    file = folder / "commands.bin"
    answer = asked("records", workload, commands, file)
    written = file.read_bytes()
    begin = answer["setup"] * COMMAND_BYTES
    return written[:begin], written[begin:], answer["instruments"]


def engine(instruments: int, setup: bytes, journal: Path | None = None) -> Engine:
    """An engine that has applied a set-up; with a path, behind a journal that syncs to disk."""
    built = Engine.create(_genesis(instruments), str(journal) if journal else None, "fsync")
    for batch in batches(setup):
        rejects = built.apply_batch(batch).rejects()
        if rejects:
            raise RuntimeError(f"a command of the set-up was refused: {rejects[0]}")
    built.sync()
    return built


def must_agree(python_side: Engine, answer: dict[str, Any]) -> None:
    """Raises `RuntimeError` unless an engine ended in the state that the runner's did."""
    if python_side.state_hash() != answer["state_hash"]:
        raise RuntimeError("Python's calls and the native loop ended in different states")


def batches(written: bytes) -> Iterator[bytes]:
    """Records in batches of `BATCH_COMMANDS`."""
    return split(written, BATCH_COMMANDS * COMMAND_BYTES)


def split(written: bytes, size: int) -> Iterator[bytes]:
    """Pieces of `size` bytes; the last one may be shorter."""
    return (written[at : at + size] for at in range(0, len(written), size))


def _genesis(instruments: int) -> str:
    """As `genesis` in the runner: wide bands, nothing refused."""
    contracts = [
        {
            "symbol": f"BENCH{number}",
            "base": f"B{number}",
            "quote": "USDT",
            "tick_size": "0.1",
            "max_price": "1000000",
            "qty_step": "0.001",
            "min_qty": "0.001",
            "max_qty": "1190",
            "max_market_qty": "500",
            "min_notional": "0",
            "tiers": [{"limit": "1000000000", "max_leverage": "100", "mmr": "0.005"}],
            "taker_fee": "0.00055",
            "maker_fee": "0.0002",
            "price_band_x": "0.9",
            "price_band_y": "0.9",
            "index_sources": [{"name": "spot", "weight": "1"}],
            "index_stale_ms": 2**32 - 1,
            "index_clamp": "0.03",
            "basis_window_ms": 300_000,
        }
        for number in range(instruments)
    ]
    return json.dumps({"instruments": contracts, "insurance_fund": "0"})
