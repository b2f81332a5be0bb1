"""Fills of a leader and of who copied him, from somebody else's records, as signals and copies.

Belongs here: which fill of the leader a follower's fill copies, and what such records can and cannot say.
Does not belong here: files (`relay.importing`), what a copy cost (`drift`).

A follower's fill copies the leader's latest fill before it in the same account, coin and direction; beyond
the match window it is nobody's copy. Records of fills hold no quotes: such copies have a slippage and a
delay, and no parts. Symbols stay as they are written there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from relay.core.verdicts import PublishedSignal
from relay.protocol.codec import decimal_text
from relay.protocol.messages import CopyReport, FillRow, MarketState, OrderRow, PositionState, Signal

__all__ = ["COLUMNS", "Imported", "RecordedFill", "import_fills", "read_fill"]

COLUMNS = (
    *("slot", "role", "time_ms", "coin", "side", "px", "sz", "startPosition"),
    *("fee", "feeToken", "oid", "tid"),
)
EPOCH = 1


class RecordedFill(NamedTuple):
    """One row. `account` is shared by a leader and who copies him."""

    account: str
    is_leader: bool
    time_ms: int
    coin: str
    side: Literal["buy", "sell"]
    price: Decimal
    qty: Decimal
    position_before: Decimal
    fee: Decimal
    fee_currency: str
    order_id: str
    fill_id: str

    @property
    def market(self) -> tuple[str, str, str]:
        """Where a copy of it can be."""
        return (self.account, self.coin, self.side)


@dataclass(frozen=True, slots=True)
class Imported:
    """What the records say."""

    signals: Sequence[PublishedSignal]
    copies: Sequence[CopyReport]
    follower_fills: int
    delays_ms: Sequence[int]  # of every follower's fill after a leader's, ascending, whatever the window
    beyond_window: int


def read_fill(row: Mapping[str, str]) -> RecordedFill:
    """A row by its column names. Raises ValueError, KeyError or ArithmeticError where it is none."""
    if row["role"] not in ("leader", "follower") or row["side"] not in ("buy", "sell"):
        raise ValueError(f"role {row['role']!r}, side {row['side']!r}")
    fill = RecordedFill(
        account=row["slot"],
        is_leader=row["role"] == "leader",
        time_ms=int(row["time_ms"]),
        coin=row["coin"],
        side="buy" if row["side"] == "buy" else "sell",
        price=Decimal(row["px"]),
        qty=Decimal(row["sz"]),
        position_before=Decimal(row["startPosition"]),
        fee=Decimal(row["fee"]),
        fee_currency=row["feeToken"],
        order_id=row["oid"],
        fill_id=row["tid"],
    )
    if not (fill.price.is_finite() and fill.qty.is_finite() and fill.price > 0 and fill.qty > 0):
        raise ValueError("price and quantity must be above 0")
    return fill


def import_fills(fills: Iterable[RecordedFill], window_ms: int) -> Imported:
    """Match copies to what they copy."""
    ordered = sorted(fills, key=lambda fill: (fill.time_ms, fill.fill_id))
    steps: dict[tuple[str, str, str], dict[int, list[RecordedFill]]] = defaultdict(lambda: defaultdict(list))
    for fill in ordered:
        if fill.is_leader:
            steps[fill.market][fill.time_ms].append(fill)
    times = {market: sorted(found) for market, found in steps.items()}
    signals = _signals(steps)
    copied: dict[tuple[str, int], list[RecordedFill]] = defaultdict(list)
    delays, beyond, followers = [], 0, [fill for fill in ordered if not fill.is_leader]
    for fill in followers:
        own = times.get(fill.market, [])
        at = bisect_right(own, fill.time_ms)
        if at == 0:
            continue
        delays.append(fill.time_ms - own[at - 1])
        if delays[-1] > window_ms:
            beyond += 1
            continue
        published = signals[(*fill.market, own[at - 1])]
        copied[published.leader_id, published.seq].append(fill)
    by_seq = {(published.leader_id, published.seq): published for published in signals.values()}
    return Imported(
        sorted(by_seq.values(), key=lambda published: (published.leader_id, published.seq)),
        [_copy(by_seq[key], found) for key, found in sorted(copied.items())],
        len(followers),
        sorted(delays),
        beyond,
    )


def _signals(
    steps: Mapping[tuple[str, str, str], Mapping[int, Sequence[RecordedFill]]],
) -> dict[tuple[str, str, str, int], PublishedSignal]:
    """One signal per account, coin, direction and millisecond, numbered per account as they came."""
    found = [(time_ms, market, fills) for market, of in steps.items() for time_ms, fills in of.items()]
    numbers: dict[str, int] = defaultdict(int)
    signals = {}
    for time_ms, market, fills in sorted(found, key=lambda step: step[:2]):
        numbers[market[0]] += 1
        signals[(*market, time_ms)] = _signal(fills, numbers[market[0]])
    return signals


def _signal(fills: Sequence[RecordedFill], seq: int) -> PublishedSignal:
    first = fills[0]
    qty = sum((fill.qty for fill in fills), Decimal(0))
    price = sum((fill.qty * fill.price for fill in fills), Decimal(0)) / qty
    after = first.position_before + (qty if first.side == "buy" else -qty)
    unknown = "0"  # these records hold no quotes and no equity
    signal = Signal(
        signal_id=f"{first.account}.{EPOCH}.{seq}",
        cause="trade",
        symbol=first.coin,
        side=first.side,
        qty=decimal_text(qty),
        price=decimal_text(price),
        fill_ids=[fill.fill_id for fill in fills],
        position=PositionState(
            symbol=first.coin,
            qty=decimal_text(after),
            entry_price=unknown,
            exposure=unknown,
            leverage=unknown,
        ),
        equity=unknown,
        account_leverage=unknown,
        market=MarketState(mark=unknown, index=unknown, last=unknown, bid=unknown, ask=unknown),
        leader_exec_ms=first.time_ms,
        seen_ms=0,  # nobody noted the steps between
        sealed_ms=first.time_ms,
        expires_ms=0,
    )
    return PublishedSignal(first.account, EPOCH, seq, signal)


def _copy(of: PublishedSignal, fills: Sequence[RecordedFill]) -> CopyReport:
    orders: dict[str, list[RecordedFill]] = defaultdict(list)
    for fill in fills:
        orders[fill.order_id].append(fill)
    qty = decimal_text(sum((fill.qty for fill in fills), Decimal(0)))
    return CopyReport(
        follower_id=f"{of.leader_id}copy",
        leader_id=of.leader_id,
        epoch=of.epoch,
        seq=of.seq,
        signal_id=of.signal.signal_id,
        symbol=of.signal.symbol,
        side=of.signal.side,
        policy="recorded",
        paper=False,
        verdict="copied",
        reason="copied",
        detail="",
        is_exit=False,
        target_qty=qty if of.signal.side == "buy" else f"-{qty}",
        order_qty=qty,
        wanted_qty=qty,
        received_ms=of.signal.sealed_ms,
        executed_ms=fills[-1].time_ms,
        orders=[_order(order_id, found) for order_id, found in orders.items()],
    )


def _order(order_id: str, fills: Sequence[RecordedFill]) -> OrderRow:
    return OrderRow(
        client_order_id=order_id,
        order_id=order_id,
        side=fills[0].side,
        qty=decimal_text(sum((fill.qty for fill in fills), Decimal(0))),
        reduce_only=False,
        outcome="accepted",
        fills=[
            FillRow(
                fill_id=fill.fill_id,
                qty=decimal_text(fill.qty),
                price=decimal_text(fill.price),
                fee=decimal_text(fill.fee),
                fee_currency=fill.fee_currency,
                executed_ms=fill.time_ms,
                is_maker=False,
            )
            for fill in fills
        ],
    )
