"""What a leader's publisher and the relay tell each other of waves: his market one way, the plan the other.

Belongs here: both forms and their bytes. Does not belong here: the cost model (`relay.core.spreading`), what
a follower does with a plan (`stagger`).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from relay.protocol.codec import decode_strictly
from relay.protocol.messages import Count, Identifier, StaggerPlan, Symbol, Text, Unsigned

__all__ = [
    "MarketTold",
    "MarketsTold",
    "PlanTold",
    "PlansTold",
    "TellingAnswer",
    "decode_markets",
    "decode_plans",
    "encode_markets",
    "encode_plans",
]

MARKETS_MAX: Final = 50  # as many symbols as a leader may have
BYTES_MAX: Final = 16 * 1024


class MarketTold(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's book and motion, as the leader's own venue shows them."""

    depth_usdt: Unsigned  # on the thinner side, within REACH_BPS of the middle
    refill_usdt_per_s: Unsigned
    volatility_bps: Unsigned  # one standard deviation over a second


class MarketsTold(msgspec.Struct, frozen=True, kw_only=True):
    """The leader's side of a plan: what his followers' entries will meet, and how large his steps are."""

    step: Unsigned  # typical notional of his entries / his equity
    window_ms_max: Annotated[int, msgspec.Meta(ge=1, le=60_000)]
    markets: Annotated[dict[Symbol, MarketTold], msgspec.Meta(max_length=MARKETS_MAX)]


class PlanTold(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's plan and both parts of its cost, beside the impact of all at once."""

    stagger: StaggerPlan
    impact_bps: Unsigned
    timing_bps: Unsigned
    impact_at_once_bps: Unsigned


class PlansTold(msgspec.Struct, frozen=True, kw_only=True):
    """The relay's entry for one leader."""

    leader_id: Identifier
    planned_ms: Count
    followers: Count
    plans: Annotated[dict[Symbol, PlanTold], msgspec.Meta(max_length=MARKETS_MAX)]


class TellingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The relay's answer to a leader who told his markets; `error` empty: the entry is there."""

    error: Text = ""


def encode_markets(told: MarketsTold) -> bytes:
    """As it is sent."""
    return msgspec.json.encode(told)


def decode_markets(raw: bytes) -> MarketsTold:
    """What was sent. Raises a `ProtocolError`."""
    return decode_strictly(raw, MarketsTold, BYTES_MAX, "markets")


def encode_plans(told: PlansTold) -> bytes:
    """As it is kept."""
    return msgspec.json.encode(told)


def decode_plans(raw: bytes) -> PlansTold:
    """What was kept. Raises a `ProtocolError`."""
    return decode_strictly(raw, PlansTold, BYTES_MAX, "plan")
