"""How near a venue's contract is to deleveraging, from what the venue says of its insurance fund.

Belongs here: the facts as plain values, the light and its words. Does not belong here: asking the venue
(`relay.venue`), keeping answers (`relay.store`), drawing (`relay.dashboard`).

A contract deleverages when its fund is empty, or when its loss since the eight-hour peak, as a share of the
fund's peak, falls to a trigger; it stops above a second ratio. The loss is watched only while the fund holds
more than a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

__all__ = ["AdlState", "Light", "VenueFact", "adl_light"]

Light = Literal["green", "amber", "red"]
NEAR = Decimal("0.5")  # of the way to the trigger


@dataclass(frozen=True, slots=True)
class VenueFact:
    """What a venue said of its own risk; numbers are decimal text, `detail` is JSON.

    `fund`: a balance in the fund's coin. `adl`: a contract's loss since its peak, of the fund. `borrow_rate`:
    per hour.
    """

    kind: str
    name: str
    wall_ms: int
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class AdlState:
    """What a venue says of one contract; `trigger` and `stop` are negative, like a loss (`ratio`)."""

    balance: Decimal
    ratio: Decimal
    trigger: Decimal
    stop: Decimal
    threshold: Decimal


def adl_light(state: AdlState) -> tuple[Light, str]:
    """The light and why it is on."""
    loss, trigger = f"{-state.ratio * 100:.1f} %", f"{-state.trigger * 100:.0f} %"
    if state.balance <= 0:
        return "red", "The fund is empty: winners are closed to pay for losers."
    is_watched = state.balance > state.threshold
    if is_watched and state.ratio <= state.trigger:
        return "red", f"Lost {loss} of the fund since its peak; deleveraging begins at {trigger}."
    if is_watched and state.ratio < state.stop:
        stop = f"{-state.stop * 100:.0f} %"
        return "amber", f"Lost {loss} of the fund since its peak; what has begun goes on down to {stop}."
    if is_watched and state.ratio <= state.trigger * NEAR:
        return "amber", f"Lost {loss} of the fund since its peak, more than half of the way to {trigger}."
    if not is_watched:
        return "amber", "The fund is nearly empty; once it is, winners are closed to pay for losers."
    return "green", f"Lost {loss} of the fund since its peak; deleveraging begins at {trigger}."
