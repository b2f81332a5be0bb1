"""The rows of the store: copies and orders, as the executor keeps them.

Belongs here: fields and what can be read off them. Does not belong here: SQL (`store`), the wire (`reports`).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from follower_client.core.order import TERMINAL, OrderEvent, OrderState, advance
from relay.protocol.messages import Verdict

__all__ = ["LATE_EPOCH", "Copy", "CopyKey", "Head", "Order"]

LATE_EPOCH = -1
"""The epoch of copies that no step of the leader asked for: of what he held when he was first heard. No feed
has it, so they never meet a signal's."""


class Head(msgspec.Struct, frozen=True):
    """The last message of the feed that is dealt with."""

    epoch: int
    seq: int
    hash: str


class CopyKey(msgspec.Struct, frozen=True):
    """Which signal."""

    leader_id: str
    epoch: int
    seq: int


class Copy(msgspec.Struct, kw_only=True):
    """One signal on its way to its verdict. Quantities as in `CopyReport`; `None` = that step was not
    reached.
    """

    leader_id: str
    epoch: int
    seq: int
    signal_id: str
    symbol: str
    side: str
    signal: bytes  # the payload, in the clear
    received_ms: int
    wave_start_ms: int
    is_exit: bool = False
    target_qty: Decimal | None = None
    target_basis: Decimal | None = None  # the leader's quantity that the target was sized for
    wanted_qty: Decimal = Decimal(0)
    order_qty: Decimal = Decimal(0)
    capped: bool = False
    reason: str = ""
    detail: str = ""
    limit_value: Decimal | None = None
    observed_value: Decimal | None = None
    leverage_after: Decimal | None = None
    leverage_cap: Decimal | None = None
    released_ms: int | None = None
    submitted_ms: int | None = None
    accepted_ms: int | None = None
    executed_ms: int | None = None
    received_mid: Decimal | None = None
    released_mid: Decimal | None = None
    submitted_mid: Decimal | None = None
    accepted_mid: Decimal | None = None
    received_mark: Decimal | None = None
    received_last: Decimal | None = None
    venue_mid: Decimal | None = None
    executed_mark: Decimal | None = None
    executed_last: Decimal | None = None
    verdict: Verdict | None = None

    @property
    def key(self) -> CopyKey:
        return CopyKey(self.leader_id, self.epoch, self.seq)

    @property
    def is_late(self) -> bool:
        """Whether it copies what no signal said: a position from before the leader was followed, an exit that
        is gone for good. The relay knows of no such signal and gets no report.
        """
        return self.epoch == LATE_EPOCH


class Order(msgspec.Struct, kw_only=True):
    """One order of a copy. It may leave no later than `send_by_ms`, which is where its fence is counted
    from.
    """

    client_order_id: str
    leader_id: str
    epoch: int
    seq: int
    leg: str
    n: int
    symbol: str
    is_buy: bool
    qty: Decimal
    limit_price: Decimal | None
    reduce_only: bool
    send_by_ms: int
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    state: OrderState = OrderState.INTENT
    order_id: str | None = None
    reject_code: str = ""
    filled_qty: Decimal = Decimal(0)  # as the venue says; the fills held are counted apart
    tries: int = 0
    abandoned: str = ""  # why it was given up before the venue had it

    @property
    def key(self) -> CopyKey:
        return CopyKey(self.leader_id, self.epoch, self.seq)

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL

    def advance(self, event: OrderEvent) -> None:
        """Move by the table; raises `IllegalTransitionError`."""
        self.state = advance(self.state, event)
