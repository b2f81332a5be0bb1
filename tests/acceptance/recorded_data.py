"""Where the recorded market data lies, and its numbers as the exchange counts them. No expectations."""

from __future__ import annotations

import csv
import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("SLIPSTREAM_DATA", "../shared/data")).resolve()


def data_file(name: str) -> Path:
    path = DATA / name
    assert path.is_file(), f"SLIPSTREAM_DATA: {path} is missing"
    return path


def text_of(name: str) -> str:
    path = data_file(name)
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def rows_of_file(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text_of(name).splitlines()))


def json_of(name: str) -> Any:
    """A JSON file, its numbers as the decimals that are written there."""
    return json.loads(text_of(name), parse_float=Decimal, parse_int=Decimal)


def units(number: str | Decimal, digits: int = 8) -> int:
    """A decimal number in units of ten to the minus `digits`, exactly."""
    scaled = Decimal(number).scaleb(digits)
    assert scaled == scaled.to_integral_value(), f"{number} is finer than 10**-{digits}"
    return int(scaled)
