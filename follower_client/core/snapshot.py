"""Everything that a decision may look at: the leader's step, the follower's account, the market.

Belongs here: frozen records of Decimals and the arithmetic that only reads them. Does not belong here: how
they are gathered (`executor`), what follows from them (`sizing`, `caps`, `decide`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from relay.protocol.messages import Signal

__all__ = [
    "CLOCK_FAULT_MS",
    "QUOTE_AGE_MAX_MS",
    "Control",
    "Guard",
    "Instrument",
    "LeaderState",
    "LeaderStep",
    "LeverageTier",
    "Pending",
    "Quote",
    "Snapshot",
    "StepKind",
    "sign",
]

CLOCK_FAULT_MS = 1000  # further from the venue's clock nobody can tell old from new
QUOTE_AGE_MAX_MS = 3000
"""An entry is not decided on an older price."""

QUOTE_AHEAD_MAX_MS = 250
"""Nor on one from later than now, beyond what a clock is slewed by: this machine's clock was set back."""

ZERO = Decimal(0)
FORCED_CAUSES = ("liquidation", "adl")


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
    """The venue's filters of one linear contract. `tiers` ascend by notional; `zone_leverage_max` = the
    tighter cap of a contract in the venue's innovation zone, `venue_symbol` = the venue's own name for it.
    """

    symbol: str
    qty_step: Decimal
    qty_min: Decimal
    qty_max: Decimal
    notional_min_usdt: Decimal
    tick_size: Decimal
    taker_fee: Decimal = Decimal("0.00055")
    tiers: tuple[LeverageTier, ...] = ()
    zone_leverage_max: Decimal | None = None
    venue_symbol: str = ""

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

    def is_fresh(self, now_ms: int, age_max_ms: int = QUOTE_AGE_MAX_MS) -> bool:
        """Whether an entry may be decided on it."""
        return -QUOTE_AHEAD_MAX_MS <= now_ms - self.at_ms <= age_max_ms


@dataclass(frozen=True, slots=True)
class Pending:
    """Unfilled quantity of orders that are recorded and not terminal, unknown ones included (both
    unsigned).
    """

    buy: Decimal = ZERO
    sell: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.buy + self.sell


class StepKind(StrEnum):
    """What the leader did to his position."""

    ENTRY = "entry"
    REDUCTION = "reduction"
    CLOSE = "close"
    REVERSAL = "reversal"
    NONE = "none"


class LeaderStep(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a signal as Decimals. `qty_*` and `exposure` are signed; stops are `None` if not set.

    `forced` = a liquidation or deleveraging did it. `leverage` = his setting for the position.
    """

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
    forced: bool = False
    entry_price: Decimal = ZERO
    leverage: Decimal = ZERO
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None

    @classmethod
    def of(cls, signal: Signal) -> LeaderStep:
        """The step as a one-way account sees it (a leader in hedge mode tells the net of his legs)."""
        position = signal.position
        return cls(
            symbol=signal.symbol,
            is_buy=signal.side == "buy",
            qty=Decimal(signal.qty),
            price=Decimal(signal.price),
            qty_after=Decimal(position.qty),
            exposure=Decimal(position.exposure),
            equity=Decimal(signal.equity),
            account_leverage=Decimal(signal.account_leverage),
            mark=Decimal(signal.market.mark),
            expires_ms=signal.expires_ms,
            forced=signal.cause in FORCED_CAUSES,
            entry_price=Decimal(position.entry_price),
            leverage=Decimal(position.leverage),
            stop_loss=_price_or_none(position.stop_loss),
            take_profit=_price_or_none(position.take_profit),
        )

    def mirrored(self) -> LeaderStep:
        """The same step of somebody who always stands on the other side: his stop is the other's target."""
        return replace(
            self,
            is_buy=not self.is_buy,
            qty_after=-self.qty_after,
            exposure=-self.exposure,
            stop_loss=self.take_profit,
            take_profit=self.stop_loss,
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


def _price_or_none(text: str | None) -> Decimal | None:
    value = Decimal(text) if text else ZERO
    return value if value > 0 else None


class Control(StrEnum):
    """What the operator or a trigger has ordered, mildest first. Every level but the first stops entries."""

    RUN = "run"
    PAUSE = "pause"
    REDUCE_ONLY = "reduce_only"
    CANCEL_ALL = "cancel_all"
    FLATTEN = "flatten"
    LOCK = "lock"


class LeaderState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the leader, newest first, beside the signal itself. All quantities are signed.

    `qty_now` = his newest position in the signal's symbol, which may be newer than the signal; `exposures` =
    of every symbol; `leverage_now` = of his account, `leverage_recommended` = the most that he wants of his
    followers. `equity_at_start` = when
    he was first heard, `equity_before` = at the message before. `legacy_symbols` = positions from before he
    was followed; `rebased_symbols` = positions that money was added to or taken from under: their steps are
    copied as fractions. `silent_ms` = for how long nothing was heard, where he is not alive.
    """

    alive: bool = True
    silent_ms: int | None = None
    qty_now: Decimal | None = None
    exposures: Mapping[str, Decimal] = {}
    leverage_now: Decimal | None = None
    leverage_recommended: Decimal | None = None
    equity_at_start: Decimal | None = None
    equity_before: Decimal | None = None
    legacy_symbols: frozenset[str] = frozenset()
    rebased_symbols: frozenset[str] = frozenset()

    def mirrored(self) -> LeaderState:
        return replace(
            self,
            qty_now=None if self.qty_now is None else -self.qty_now,
            exposures={symbol: -exposure for symbol, exposure in self.exposures.items()},
        )


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What may forbid entries beside the market. Losses are unsigned USDT, `drawdown` a share of the peak.

    `orders_recent` = orders sent in the last ten seconds; `stakes` = the share of the policy's size that is
    in force (reduced stakes); `clock_fault` = the clocks do not agree well enough to tell old from new.
    `control_*` = who ordered it, when and why; `clock_offset_ms` = the venue's clock less this machine's.
    """

    control: Control = Control.RUN
    control_by: str = ""
    control_at_ms: int = 0
    control_reason: str = ""
    orders_recent: int = 0
    daily_loss_usdt: Decimal = ZERO
    weekly_loss_usdt: Decimal = ZERO
    drawdown: Decimal = ZERO
    stakes: Decimal = Decimal(1)
    clock_fault: bool = False
    clock_offset_ms: int | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The follower at one moment.

    `positions` = everything at the venue (what caps count), `external` = the part that this leader's signals
    did not build (another leader's, or somebody's own; never traded). `equity`, `available`, `wallet` are
    `None` while they are not established. `blocked_symbols` hold an order of unknown outcome: no new risk
    there, nor in `exits_due`, where an exit that should be made cannot be. `wave_start_ms` = when this
    follower's wave begins. `depth` = visible (bid, ask) quantity. `carried` = targets of entries that were
    too small to be sent. `shared` = other leaders are copied on this account, so that the position may be
    less than, or against, what this leader's signals built. `hedged` = symbols that the account holds in
    hedge mode: long and short are positions of their own, `positions` their net; `hedges` = the quantity
    that stands on both sides at once.
    """

    equity: Decimal | None
    available: Decimal | None
    positions: Mapping[str, Decimal]
    quotes: Mapping[str, Quote]
    instruments: Mapping[str, Instrument]
    wave_start_ms: int
    wallet: Decimal | None = None
    external: Mapping[str, Decimal] = {}
    pending: Mapping[str, Pending] = {}
    leverage_settings: Mapping[str, Decimal] = {}
    depth: Mapping[str, tuple[Decimal, Decimal]] = {}
    carried: Mapping[str, Decimal] = {}
    blocked_symbols: frozenset[str] = frozenset()
    exits_due: frozenset[str] = frozenset()
    shared: bool = False
    hedged: frozenset[str] = frozenset()
    hedges: Mapping[str, Decimal] = {}
    leader: LeaderState = LeaderState()
    guard: Guard = Guard()
    reconciled: bool = True
    quote_age_max_ms: int = QUOTE_AGE_MAX_MS

    def own_qty(self, symbol: str) -> Decimal:
        """The position that copying built: the venue's, less what is external."""
        return self.positions.get(symbol, ZERO) - self.external.get(symbol, ZERO)

    def fresh_quote(self, symbol: str, now_ms: int) -> Quote | None:
        quote = self.quotes.get(symbol)
        if quote is None or not quote.is_fresh(now_ms, self.quote_age_max_ms):
            return None
        return quote if 0 < quote.bid <= quote.ask and quote.mark > 0 else None

    def worst_qty(self, symbol: str, *, own: bool = False) -> Decimal:
        """The largest |position| that any set of fills of the pending orders could leave."""
        qty = self.own_qty(symbol) if own else self.positions.get(symbol, ZERO)
        pending = self.pending.get(symbol)
        if symbol in self.hedged:  # nothing nets anything away: every order may add to one of the legs
            both = ZERO if own else 2 * self.hedges.get(symbol, ZERO)
            return abs(qty) + both + (ZERO if pending is None else pending.buy + pending.sell)
        return abs(qty) if pending is None else max(abs(qty + pending.buy), abs(qty - pending.sell))

    def worst_notional(self, symbol: str, *, own: bool = False) -> Decimal | None:
        """`worst_qty` at mark; `None` where there is a position and no price for it."""
        qty = self.worst_qty(symbol, own=own)
        if qty == 0:
            return ZERO
        quote = self.quotes.get(symbol)
        return qty * quote.mark if quote is not None and quote.mark > 0 else None

    def held_symbols(self) -> frozenset[str]:
        return frozenset(self.positions) | frozenset(self.pending)
