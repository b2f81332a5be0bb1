"""What a route is: who may call it, which budget it uses, and the step that answers.

Belongs here: the two shapes. Does not belong here: any route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulated_exchange.accounts import ApiKey
from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.venue import Venue

__all__ = ["Call", "Route"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and authenticated. `key` is None on public routes."""

    venue: Venue
    desk: OrderDesk
    query: Mapping[str, str]
    body: Mapping[str, Any]
    key: ApiKey | None
    now_ms: int

    @property
    def account(self) -> int:
        """The account that asks, on signed routes."""
        assert self.key is not None
        return self.key.account


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method. What reads or changes the venue's state is answered after the commit."""

    step: Callable[[Call], dict[str, Any] | Reply]
    is_signed: bool = True
    is_write: bool = False
    reads_state: bool = True
    group: str = "market"
