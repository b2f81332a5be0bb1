"""REST questions and requests, one table of routes per subject.

Belongs here: joining the tables. Does not belong here: transport (`gateway.app`) and wire names
(`gateway.translate`).
"""

from __future__ import annotations

from simulated_exchange.gateway.rest import (
    account,
    assets,
    loans,
    market,
    positions,
    tables,
    trading,
    users,
)
from simulated_exchange.gateway.rest.route import Route

__all__ = ["ROUTES"]

ROUTES: dict[tuple[str, str], Route] = {
    **market.ROUTES,
    **tables.ROUTES,
    **trading.ROUTES,
    **positions.ROUTES,
    **account.ROUTES,
    **loans.ROUTES,
    **assets.ROUTES,
    **users.ROUTES,
}
