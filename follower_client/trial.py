"""The gate before real money, and the stakes after it.

Belongs here: what paper copies have shown, which share of the size live copies may have. Does not belong
here: the copies themselves (`store`), the refusal of a start (`follower`).

Drift = what the copies paid worse than the leader's fills, in bps of his price, averaged over filled
quantity's value. Stakes go 10, 25, 50, 100 %: each stage lasts `stage_copies` live copies, and is left only
while their drift is within the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from follower_client.errors import StoreError
from follower_client.records import Copy
from follower_client.settings import FollowerSettings, TrialSection
from follower_client.store import Store
from relay.protocol.codec import decode_payload
from relay.protocol.messages import Signal

__all__ = ["STAGES", "Shown", "gate", "shown", "stakes"]

STAGES = (Decimal("0.1"), Decimal("0.25"), Decimal("0.5"), Decimal(1))
COPIES_READ_MAX = 100_000
DAY_MS = 86_400_000
BPS = Decimal(10_000)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a run of copies has shown. `drift_bps` is positive where the follower paid more."""

    copies: int
    days: Decimal
    drift_bps: Decimal


def shown(store: Store, copies: Iterable[Copy]) -> Shown:
    """Of the copies that were executed."""
    times: list[int] = []
    worse = value = ZERO
    for copy in copies:
        if copy.verdict not in ("copied", "capped"):
            continue
        signal = decode_payload("signal", copy.signal)
        if not isinstance(signal, Signal):
            continue
        times.append(copy.received_ms)
        price = Decimal(signal.price)
        for order in store.orders_of(copy.key):
            for fill in store.fills_of(order.client_order_id):
                value += fill.qty * price
                worse += fill.qty * (fill.price - price) * (1 if fill.is_buy else -1)
    days = Decimal(max(times) - min(times)) / DAY_MS if times else ZERO
    return Shown(len(times), days, worse / value * BPS if value > 0 else ZERO)


def gate(settings: FollowerSettings) -> str:
    """Why real money is refused; empty where it is not."""
    trial = settings.trial
    if settings.follower.mode != "live":
        return 'orders here are real money, allowed: [follower] mode = "live"'
    if trial.override.strip():
        return ""
    if trial.paper_data_dir is None:
        return "no trial was shown, allowed: [trial] paper_data_dir, or override with a reason"
    file = trial.paper_data_dir / "follower.sqlite"
    try:
        store = Store.open(file, read_only=True)
    except StoreError as error:
        return f"the trial cannot be read ({error})"
    try:
        if store.identity().get("account") != "paper":
            return f"{file}: not a paper follower's"
        found = shown(store, store.copies(limit=COPIES_READ_MAX))
    finally:
        store.close()
    return _missing(trial, found)


def _missing(trial: TrialSection, found: Shown) -> str:
    if found.copies < trial.copies_min:
        return f"the trial has {found.copies} copies, the least is {trial.copies_min}"
    if found.days < trial.days_min:
        return f"the trial ran {found.days:.1f} days, the least is {trial.days_min}"
    if found.drift_bps > trial.drift_max_bps:
        return f"the trial's drift is {found.drift_bps:.1f} bps, the most is {trial.drift_max_bps}"
    return ""


def stakes(settings: FollowerSettings, store: Store) -> Decimal:
    """The share of the policy's size that is in force; the whole where no money is real, or by override."""
    trial = settings.trial
    if not settings.is_real_money or trial.override.strip():
        return Decimal(1)
    found = store.copies(limit=COPIES_READ_MAX)
    copies = [one for one in found if one.verdict in ("copied", "capped") and not one.is_exit]
    copies.reverse()  # oldest first
    stage = 0
    while stage < len(STAGES) - 1:
        done = copies[stage * trial.stage_copies : (stage + 1) * trial.stage_copies]
        if len(done) < trial.stage_copies or shown(store, done).drift_bps > trial.drift_max_bps:
            break
        stage += 1
    return STAGES[stage]
