"""Where the leader stands, as far as his feed has said.

Belongs here: his newest quantities, exposures, leverage. Does not belong here: what to do about them
(`core`).
"""

from __future__ import annotations

from decimal import Decimal

from relay.protocol.messages import Signal, Snapshot

__all__ = ["LeaderView"]


class LeaderView:
    """Signed quantity and exposure per symbol, leverage of the account; the newest message wins."""

    def __init__(self) -> None:
        self.qtys: dict[str, Decimal] = {}
        self.exposures: dict[str, Decimal] = {}
        self.leverage = Decimal(0)

    def hear_signal(self, signal: Signal) -> None:
        self.qtys[signal.symbol] = Decimal(signal.position.qty)
        self.exposures[signal.symbol] = Decimal(signal.position.exposure)
        self.leverage = Decimal(signal.account_leverage)

    def hear_snapshot(self, snapshot: Snapshot) -> None:
        """A snapshot is complete: a symbol that it lacks is flat."""
        self.qtys = dict.fromkeys(self.qtys, Decimal(0))
        self.qtys |= {state.symbol: Decimal(state.qty) for state in snapshot.positions}
        self.exposures = {state.symbol: Decimal(state.exposure) for state in snapshot.positions}
        self.leverage = Decimal(snapshot.account_leverage)
