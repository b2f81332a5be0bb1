"""Decides recorded signals again, under another policy, and shows the difference.

Belongs here: a paper account that lives through the recorded quotes. Does not belong here: deciding (`core`),
reading the configuration (`reading`).

Fills happen whole, at the mid that was recorded when the signal arrived, with the taker's fee: what is
compared are policies, not executions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec

from follower_client.core.decide import Action, Decision, decide
from follower_client.core.policy import Policy
from follower_client.core.snapshot import Instrument, Quote, Snapshot
from follower_client.errors import FollowerError
from follower_client.leader_view import LeaderView
from follower_client.records import Copy
from follower_client.store import INSTRUMENTS_MARK, Store
from follower_client.venue.account import AccountState
from relay.protocol.codec import decode_payload
from relay.protocol.messages import Signal

__all__ = ["Replayed", "Step", "replay"]

DECISIONS_MAX = 4  # per signal: a close, and an entry after it
COPIES_MAX = 100_000
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Step:
    """One signal: what was done, and what would have been."""

    signal_id: str
    symbol: str
    recorded: str
    recorded_qty: Decimal
    replayed: str
    replayed_qty: Decimal

    @property
    def differs(self) -> bool:
        return (self.recorded, self.recorded_qty) != (self.replayed, self.replayed_qty)


@dataclass(frozen=True, slots=True)
class Replayed:
    """All of them, and where the other policy would stand now."""

    steps: list[Step]
    equity_start: Decimal
    equity_end: Decimal
    leverage_peak: Decimal
    positions: dict[str, Decimal]


def replay(log: Path, policy: Policy, *, equity: Decimal) -> Replayed:
    """`log` = a follower's data folder or its store. Raises `FollowerError`."""
    store = Store.open(log / "follower.sqlite" if log.is_dir() else log, read_only=True)
    try:
        copies = list(reversed(store.copies(limit=COPIES_MAX)))
        text = store.marks().get(INSTRUMENTS_MARK, "")
    finally:
        store.close()
    if not text:
        raise FollowerError(f"{log}: the venue's filters were not recorded there")
    instruments = {one.symbol: one for one in msgspec.json.decode(text, type=list[Instrument])}
    return _Paper(policy, instruments, equity).live_through(copies)


class _Paper:
    """The account of the other policy."""

    def __init__(self, policy: Policy, instruments: dict[str, Instrument], equity: Decimal) -> None:
        self._policy = policy
        self._leader = LeaderView()
        self._carried: dict[str, Decimal] = {}
        self._equity = equity
        self._peak = ZERO
        leverage = policy.leverage_max + 1
        self._account = AccountState(
            instruments=instruments,
            leverage_settings=dict.fromkeys(instruments, leverage),
            wallet_balance=equity,
        )

    def live_through(self, copies: Sequence[Copy]) -> Replayed:
        steps = [step for copy in copies for step in self._step(copy)]
        return Replayed(
            steps=steps,
            equity_start=self._equity,
            equity_end=self._account.equity() or ZERO,
            leverage_peak=self._peak,
            positions=self._account.positions(),
        )

    def _step(self, copy: Copy) -> Iterator[Step]:
        signal = cast("Signal", decode_payload("signal", copy.signal))
        self._leader.hear(signal)
        self._hear_quote(copy)
        last, qty, target, basis = None, ZERO, None, None
        for turn in range(DECISIONS_MAX):
            last = decide(
                signal,
                self._snapshot(copy),
                self._policy,
                copy.received_ms,
                target=target,
                target_basis=basis,
                exit_tries=turn,
            )
            if last.action is Action.SKIP:
                break
            target, basis = last.target_qty, last.target_basis
            qty = last.qty
            self._fill(copy.symbol, last)
            if not last.opens_after:
                break
        assert last is not None
        self._carried.pop(copy.symbol, None)
        if last.reason == "carried":
            self._carried[copy.symbol] = last.target_qty
        verdict = "skipped" if qty == 0 else ("capped" if last.capped else "copied")
        yield Step(
            signal_id=copy.signal_id,
            symbol=copy.symbol,
            recorded=f"{copy.verdict or 'open'}: {copy.reason}",
            recorded_qty=copy.order_qty,
            replayed=f"{verdict}: {last.reason}",
            replayed_qty=qty,
        )

    def _hear_quote(self, copy: Copy) -> None:
        mid, mark = copy.received_mid, copy.received_mark
        if mid is not None and mark is not None:
            last = copy.received_last or mark
            self._account.quotes[copy.symbol] = Quote(mid, mid, mark, last, copy.received_ms)

    def _fill(self, symbol: str, decision: Decision) -> None:
        quote = self._account.quotes.get(symbol)
        if quote is None:
            return
        fee = decision.qty * quote.mid * self._account.instruments[symbol].taker_fee
        self._account.apply_fill(symbol, is_buy=decision.is_buy, qty=decision.qty, price=quote.mid, fee=fee)
        equity = self._account.equity()
        if equity is not None and equity > 0:
            self._peak = max(self._peak, self._account.notional() / equity)

    def _snapshot(self, copy: Copy) -> Snapshot:
        account = self._account
        quotes = {name: _fresh(quote, copy.received_ms) for name, quote in account.quotes.items()}
        return Snapshot(
            equity=account.equity(),
            available=account.available(),
            wallet=account.wallet_balance,
            positions=account.positions(),
            quotes=quotes,
            instruments=account.instruments,
            wave_start_ms=copy.received_ms,
            leverage_settings=account.leverage_settings,
            carried=self._carried,
            leader=self._leader.state(copy.symbol, alive=True),
        )


def _fresh(quote: Quote, at_ms: int) -> Quote:
    """The newest quote that was recorded, as of now."""
    return Quote(quote.bid, quote.ask, quote.mark, quote.last, at_ms)
