"""Everything that a decision may look at: the leader's step, the follower's account, the market.

Belongs here: frozen records of Decimals and the arithmetic that only reads them. Does not belong here: how
they are gathered (`executor`), what follows from them (`sizing`, `caps`, `decide`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from relay.protocol.messages import Signal

__all__ = [
    "Instrument",
    "LeaderStep",
    "LeverageTier",
    "Pending",
    "Quote",
    "Snapshot",
    "StepKind",
    "sign",
]

ZERO = Decimal(0)


def sign(value: Decimal) -> int:
    """-1, 0 or 1."""
    return (value > 0) - (value < 0)


@dataclass(frozen=True, slots=True)
class LeverageTier:
    """Up to this position notional, at most this leverage."""

    notional_max_usdt: Decimal
    leverage_max: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The venue's filters of one linear contract. `tiers` ascend by notional."""

    symbol: str
    qty_step: Decimal
    qty_min: Decimal
    qty_max: Decimal
    notional_min_usdt: Decimal
    tick_size: Decimal
    taker_fee: Decimal = Decimal("0.00055")
    tiers: tuple[LeverageTier, ...] = ()

    def leverage_max(self, notional_usdt: Decimal) -> Decimal | None:
        """The tier's maximum for a position of that notional; `None` where the venue publishes no tiers."""
        for tier in self.tiers:
            if notional_usdt <= tier.notional_max_usdt:
                return tier.leverage_max
        return self.tiers[-1].leverage_max if self.tiers else None


@dataclass(frozen=True, slots=True)
class Quote:
    """The follower's own view of one market. `at_ms` = when it was heard, wall clock."""

    bid: Decimal
    ask: Decimal
    mark: Decimal
    last: Decimal
    at_ms: int

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Pending:
    """Unfilled quantity of orders that are recorded and not terminal, unknown ones included (both
    unsigned).
    """

    buy: Decimal = ZERO
    sell: Decimal = ZERO


class StepKind(StrEnum):
    """What the leader did to his position."""

    ENTRY = "entry"
    REDUCTION = "reduction"
    CLOSE = "close"
    REVERSAL = "reversal"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderStep:
    """The numbers of a signal as Decimals. `qty_*` and `exposure` are signed."""

    symbol: str
    is_buy: bool
    qty: Decimal
    price: Decimal
    qty_after: Decimal
    exposure: Decimal
    equity: Decimal
    account_leverage: Decimal
    mark: Decimal
    expires_ms: int

    @classmethod
    def of(cls, signal: Signal) -> LeaderStep:
        return cls(
            symbol=signal.symbol,
            is_buy=signal.side == "buy",
            qty=Decimal(signal.qty),
            price=Decimal(signal.price),
            qty_after=Decimal(signal.position.qty),
            exposure=Decimal(signal.position.exposure),
            equity=Decimal(signal.equity),
            account_leverage=Decimal(signal.account_leverage),
            mark=Decimal(signal.market.mark),
            expires_ms=signal.expires_ms,
        )

    @property
    def qty_before(self) -> Decimal:
        return self.qty_after - (self.qty if self.is_buy else -self.qty)

    @property
    def kind(self) -> StepKind:
        before, after = self.qty_before, self.qty_after
        if self.qty == 0:
            return StepKind.NONE
        if after == 0:
            return StepKind.CLOSE
        if sign(before) == -sign(after):
            return StepKind.REVERSAL
        return StepKind.ENTRY if abs(after) > abs(before) else StepKind.REDUCTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The follower at one moment.

    `positions` = everything at the venue (what caps count), `external` = the part that this program did not
    open (never traded). `equity`, `available` are `None` while they are not established. `leader_qty_now` =
    the leader's newest known position in the signal's symbol, which may be newer than the signal;
    `leader_exposures` = the same of every symbol, signed; `leader_leverage_now` = of his account.
    `blocked_symbols` hold an order of unknown outcome: no new risk there. `wave_start_ms` = when this
    follower's wave begins.
    """

    equity: Decimal | None
    available: Decimal | None
    positions: Mapping[str, Decimal]
    quotes: Mapping[str, Quote]
    instruments: Mapping[str, Instrument]
    wave_start_ms: int
    external: Mapping[str, Decimal] = field(default_factory=dict)
    pending: Mapping[str, Pending] = field(default_factory=dict)
    leverage_settings: Mapping[str, Decimal] = field(default_factory=dict)
    leader_qty_now: Decimal | None = None
    leader_exposures: Mapping[str, Decimal] = field(default_factory=dict)
    leader_leverage_now: Decimal | None = None
    blocked_symbols: frozenset[str] = frozenset()
    leader_alive: bool = True
    reconciled: bool = True
    quote_age_max_ms: int = 3000

    def own_qty(self, symbol: str) -> Decimal:
        """The position that copying built: the venue's, less what is external."""
        return self.positions.get(symbol, ZERO) - self.external.get(symbol, ZERO)

    def fresh_quote(self, symbol: str, now_ms: int) -> Quote | None:
        quote = self.quotes.get(symbol)
        if quote is None or now_ms - quote.at_ms > self.quote_age_max_ms:
            return None
        return quote if 0 < quote.bid <= quote.ask and quote.mark > 0 else None

    def worst_qty(self, symbol: str) -> Decimal:
        """The largest |position| that any set of fills of the pending orders could leave."""
        qty, pending = self.positions.get(symbol, ZERO), self.pending.get(symbol, Pending())
        return max(abs(qty + pending.buy), abs(qty - pending.sell))

    def worst_notional(self, symbol: str) -> Decimal | None:
        """`worst_qty` at mark; `None` where there is a position and no price for it."""
        qty = self.worst_qty(symbol)
        if qty == 0:
            return ZERO
        quote = self.quotes.get(symbol)
        return qty * quote.mark if quote is not None and quote.mark > 0 else None

    def held_symbols(self) -> frozenset[str]:
        return frozenset(self.positions) | frozenset(self.pending)
