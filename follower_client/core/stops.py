"""Where a position's stop-loss and take-profit belong.

Belongs here: choosing between the follower's own and the leader's, on the venue's grid. Does not belong
here: keeping them at the venue (`protection`).

A stop is never looser than the follower's own: of two on the same side the one nearer to the entry is kept.
One that the market has already passed is left out, because the venue would refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from follower_client.core.policy import Policy

__all__ = ["NO_STOPS", "Stops", "wanted_stops"]

BPS = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Stops:
    """Trigger prices of one position, `None` = none."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


NO_STOPS = Stops()


def wanted_stops(
    policy: Policy,
    *,
    is_long: bool,
    entry_price: Decimal,
    mark: Decimal | None,
    tick: Decimal,
    leader_stop: Decimal | None,
    leader_take: Decimal | None,
) -> Stops:
    """The stops that the policy wants for a position entered at `entry_price` with the market at `mark`
    (`None` = wherever the market is).

    Stops are rounded toward the entry, so that rounding never loosens one.
    """
    down, up = (leader_stop, leader_take) if is_long else (leader_take, leader_stop)
    if not policy.copy_stops:
        down = up = None
    below_bps, above_bps = (
        (policy.stop_loss_bps, policy.take_profit_bps)
        if is_long
        else (policy.take_profit_bps, policy.stop_loss_bps)
    )
    own_below = entry_price * (1 - below_bps / BPS) if below_bps else None
    own_above = entry_price * (1 + above_bps / BPS) if above_bps else None
    lows = [_up(price, tick) for price in (down, own_below) if price is not None]
    highs = [_down(price, tick) for price in (up, own_above) if price is not None]
    # what the market has passed is dropped first: a leader's senseless stop must not hide the own one
    lower = max((price for price in lows if price > 0 and (mark is None or price < mark)), default=None)
    upper = min((price for price in highs if mark is None or price > mark), default=None)
    return Stops(lower, upper) if is_long else Stops(upper, lower)


def _up(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_CEILING) * tick


def _down(price: Decimal, tick: Decimal) -> Decimal:
    return (price / tick).to_integral_value(ROUND_FLOOR) * tick
