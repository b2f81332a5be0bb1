"""Signals and snapshots for tests, with everything defaulted that a test does not talk about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from follower_client.core.snapshot import Instrument, LeverageTier, Quote, Snapshot
from relay.protocol.codec import decimal_text
from relay.protocol.messages import MarketState, PositionState, Signal, StaggerPlan

__all__ = ["BTC", "NOW_MS", "instrument", "quote", "signal", "snapshot"]

BTC = "BTC/USDT:USDT"
NOW_MS = 1_800_000_000_000


def instrument(symbol: str = BTC, **changes: Any) -> Instrument:
    values: dict[str, Any] = {
        "symbol": symbol,
        "venue_symbol": symbol.partition(":")[0].replace("/", ""),
        "qty_step": Decimal("0.001"),
        "qty_min": Decimal("0.001"),
        "qty_max": Decimal(500),
        "notional_min_usdt": Decimal(5),
        "tick_size": Decimal("0.1"),
        "tiers": (
            LeverageTier(Decimal(2_000_000), Decimal(100)),
            LeverageTier(Decimal(20_000_000), Decimal(50)),
        ),
    }
    return Instrument(**(values | changes))


def quote(price: str | Decimal = "100000", *, spread: str = "0.2", at_ms: int = NOW_MS) -> Quote:
    mid, half = Decimal(price), Decimal(spread) / 2
    return Quote(mid - half, mid + half, mid, mid, at_ms)


def signal(
    *,
    before: str,
    after: str,
    price: str = "100000",
    equity: str = "100000",
    leverage: str | None = None,
    symbol: str = BTC,
    seq: int = 1,
    cause: Any = "trade",
    sealed_ms: int = NOW_MS,
    expires_ms: int = 5000,
    stagger: StaggerPlan | None = None,
    leader: str = "leader",
    epoch: int = 1,
    venue: str | None = None,
) -> Signal:
    """The leader's position goes from `before` to `after` (signed) at `price`."""
    step = Decimal(after) - Decimal(before)
    exposure = Decimal(after) * Decimal(price) / Decimal(equity)
    return Signal(
        signal_id=f"{leader}.{epoch}.{seq}",
        cause=cause,
        symbol=symbol,
        side="buy" if step >= 0 else "sell",
        qty=str(abs(step)),
        price=price,
        fill_ids=[f"fill{seq}"],
        position=PositionState(
            symbol=symbol,
            qty=after,
            entry_price=price if Decimal(after) != 0 else "0",
            exposure=decimal_text(exposure),
            leverage="10",
        ),
        equity=equity,
        account_leverage=leverage if leverage is not None else decimal_text(abs(exposure)),
        market=MarketState(mark=price, index=price, last=price, bid=price, ask=price, venue=venue),
        leader_exec_ms=sealed_ms - 3,
        seen_ms=sealed_ms - 1,
        sealed_ms=sealed_ms,
        expires_ms=expires_ms,
        stagger=stagger or StaggerPlan(),
    )


def snapshot(
    *, held: str = "0", equity: str | None = "10000", price: str = "100000", **changes: Any
) -> Snapshot:
    values: dict[str, Any] = {
        "equity": None if equity is None else Decimal(equity),
        "available": None if equity is None else Decimal(equity),
        "positions": {BTC: Decimal(held)} if Decimal(held) else {},
        "quotes": {BTC: quote(price)},
        "instruments": {BTC: instrument()},
        "wave_start_ms": NOW_MS,
        "leverage_settings": {BTC: Decimal(20)},
    }
    return Snapshot(**(values | changes))
