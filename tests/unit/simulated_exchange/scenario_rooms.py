"""Markets and configurations for the tests of ambient traders. No tests here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulated_exchange.scenario.config import MakerConfig, ScenarioConfig, SymbolConfig
from simulated_exchange.scenario.fixed import SCALE
from simulated_exchange.scenario.market import Market
from simulated_exchange.scenario.paths import PricePath

__all__ = ["Line", "market_of", "scenario_of", "symbol_of"]


class Line:
    """A path given point by point: the price of the newest point that is not later."""

    def __init__(self, points: dict[int, int], turns: tuple[int, ...] = ()) -> None:
        self._points = points
        self._turns = turns

    def price_at(self, market_ms: int) -> int:
        return self._points[max(time_ms for time_ms in self._points if time_ms <= market_ms)]

    def waypoints(self, after_ms: int, until_ms: int) -> list[int]:
        return [time_ms for time_ms in self._turns if after_ms < time_ms <= until_ms]


def market_of(path: PricePath | None = None, *, replayed: bool = False) -> Market:
    """A contract like BTCUSDT at 100,000 unless the path says otherwise."""
    path = path or Line({0: 100_000 * SCALE})
    return Market(
        instrument=0,
        symbol="BTCUSDT",
        tick_size=SCALE // 10,
        qty_step=SCALE // 1000,
        qty_min=SCALE // 1000,
        qty_max=1190 * SCALE,
        qty_market_max=500 * SCALE,
        notional_min=5 * SCALE,
        index_paths=(path,),
        quote_path=path,
        replayed=replayed,
    )


def symbol_of(**changes: Any) -> SymbolConfig:
    """One market with two makers of three levels."""
    makers = [MakerConfig(name="only", count=2, levels=3, half_spread_bps=1.0, level_step_bps=1.0)]
    values: dict[str, Any] = {"symbol": "BTCUSDT", "start_price": Decimal(100_000), "makers": makers}
    return SymbolConfig(**{**values, **changes})


def scenario_of(symbol: SymbolConfig | None = None, **changes: Any) -> ScenarioConfig:
    """A scenario of one market."""
    return ScenarioConfig(**{"name": "test", "symbols": [symbol or symbol_of()], **changes})
