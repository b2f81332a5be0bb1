"""What a route is: who may call it, what it takes from which budget, and the step that answers.

Belongs here: the two shapes. Does not belong here: any route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulated_exchange.accounts import ApiKey
from simulated_exchange.gateway.desk import OrderDesk, Reply
from simulated_exchange.gateway.rate_limit import PUBLISHED
from simulated_exchange.gateway.venue import Venue

__all__ = ["Call", "Route"]


class Call(NamedTuple):
    """One request, read and authenticated. `key` is None on public routes."""

    venue: Venue
    desk: OrderDesk
    query: Mapping[str, str]
    body: Mapping[str, Any]
    key: ApiKey | None
    now_ms: int

    @property
    def category(self) -> str:
        """The market that a request names, if it names one."""
        value = self.body.get("category") or self.query.get("category") or ""
        return value if isinstance(value, str) else ""

    @property
    def account(self) -> int:
        """The account that asks, on signed routes."""
        assert self.key is not None
        return self.key.account


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method. What reads or changes the venue's state is answered after the commit.

    `scope` is what a key must be allowed; `group` the budget, of which some markets have one of their own.
    """

    step: Callable[[Call], dict[str, Any] | Reply]
    is_signed: bool = True
    is_write: bool = False
    reads_state: bool = True
    group: str = "market"
    scope: str = ""

    def charge(self, call: Call) -> tuple[str, int]:
        """The budget that a call uses, and how much of it."""
        named = f"{self.group}.{call.category}"
        entries = call.body.get("request")
        cost = len(entries) if self.group.endswith("-batch") and isinstance(entries, list) else 1
        return named if named in PUBLISHED else self.group, max(cost, 1)
