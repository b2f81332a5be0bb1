"""The gate before real money, and the stakes after it.

Belongs here: whose a trial was and under which terms, what its copies have shown, which share of the size
live copies may have. Does not belong here: the copies themselves (`store`), the refusal of a start
(`follower`).

A trial counts for whom it was run: this follower, these leaders by their keys, this venue's prices, and a
policy that allowed no less. Live limits may be tighter than the trial's, never wider. Drift = what the copies
paid worse than the leader's fills, in bps of his price, averaged over filled quantity's value. Stakes go 10,
25, 50, 100 %: each stage lasts `stage_copies` live copies of a leader, and is left only while their drift is
within the limit; the slowest leader's stage is the account's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from follower_client.errors import StoreError
from follower_client.records import Copy
from follower_client.settings import FollowerSettings, PolicySection, TrialSection
from follower_client.store import Store
from relay.protocol.codec import decode_payload
from relay.protocol.messages import Signal
from relay.protocol.venues import venue_name

__all__ = [
    "STAGES",
    "TERMS_MARK",
    "Shown",
    "Terms",
    "gate",
    "note_terms",
    "progress",
    "shown",
    "stakes",
    "terms_of",
]

STAGES = (Decimal("0.1"), Decimal("0.25"), Decimal("0.5"), Decimal(1))
TERMS_MARK = "terms"
"""The mark of a store that says whose copies they are, under which policy, and since when."""

COPIES_READ_MAX = 100_000
DAY_MS = 86_400_000
BPS = Decimal(10_000)
ZERO = Decimal(0)

SMALLER_IS_TIGHTER = (
    *("scale", "allocation_usdt", "fixed_notional_usdt", "fixed_margin_usdt", "multiplier", "risk_share"),
    *("leverage_max", "notional_per_order_max_usdt", "notional_per_symbol_max_usdt"),
    *("notional_per_leader_max_usdt", "notional_total_max_usdt", "depth_share_max", "orders_per_10_s_max"),
    *("borrow_max_usdt", "entry_guard_bps", "mark_last_gap_max_bps", "daily_loss_max_usdt"),
    *("weekly_loss_max_usdt", "drawdown_max_share"),
)
"""Settings of a policy that a live follower may have lower than his trial; not set = no limit."""

Setting = str | list[str] | None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Whose copies a store keeps. `leaders`: id -> public key; `policy`: every setting, as text."""

    follower: str
    venue: str
    leaders: dict[str, str]
    policy: dict[str, Setting]
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a run of copies has shown. `drift_bps` is positive where the follower paid more."""

    copies: int
    days: Decimal
    drift_bps: Decimal


def terms_of(settings: FollowerSettings, since_ms: int = 0) -> Terms:
    """What a follower's configuration says today."""
    policy: dict[str, Setting] = {}
    for name in PolicySection.model_fields:
        value = getattr(settings.policy, name)
        if isinstance(value, list):
            policy[name] = sorted(value)
        elif isinstance(value, Decimal):
            policy[name] = f"{value.normalize():f}"
        else:
            policy[name] = None if value is None else str(value).lower()
    return Terms(
        follower=settings.follower.id,
        venue=venue_name(settings.venue.exchange, settings.venue.rest_url),
        leaders={leader.id: leader.public_key for leader in settings.leaders},
        policy=policy,
        since_ms=since_ms,
    )


def note_terms(settings: FollowerSettings, store: Store, now_ms: int) -> None:
    """Keep under which terms the copies of a store are made. On paper every change begins a new trial; with
    money only what widens a limit does, and stakes begin anew.
    """
    was, now = _terms(store), terms_of(settings, now_ms)
    if was is not None:
        is_paper = settings.venue.kind == "paper"
        same = msgspec.structs.replace(now, since_ms=was.since_ms) == was
        if same or (not is_paper and not any(_differences(was, now))):
            return
    elif settings.is_real_money:
        now = msgspec.structs.replace(now, since_ms=0)  # from before terms were kept
    store.save_marks({TERMS_MARK: msgspec.json.encode(now).decode()})


def shown(store: Store, copies: Iterable[Copy]) -> Shown:
    """Of the copies that were executed on a signal."""
    times: list[int] = []
    worse = value = ZERO
    for copy in copies:
        if copy.verdict not in ("copied", "capped") or copy.is_late:
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


def gate(settings: FollowerSettings) -> list[str]:
    """Everything for which real money is refused; empty where it is not."""
    trial = settings.trial
    if settings.follower.mode != "live":
        return ['orders here are real money, allowed: [follower] mode = "live"']
    if trial.override.strip():
        return []
    if trial.paper_data_dir is None:
        return ["no trial was shown, allowed: [trial] paper_data_dir, or override with a reason"]
    file = trial.paper_data_dir / "follower.sqlite"
    try:
        store = Store.open(file, read_only=True)
    except StoreError as error:
        return [f"the trial cannot be read ({error})"]
    try:
        store.check_sums(file)
        return list(_refusals(settings, store))
    except StoreError as error:
        return [f"the trial cannot be read ({error})"]
    finally:
        store.close()


def progress(settings: FollowerSettings) -> list[tuple[str, Shown]]:
    """What a paper follower has shown so far of each leader, under the terms in force."""
    try:
        store = Store.open(settings.follower.data_dir / "follower.sqlite", read_only=True)
    except StoreError:
        return []
    try:
        was = _terms(store)
        since_ms = 0 if was is None else was.since_ms
        return [(leader.id, _shown_of(store, leader.id, since_ms)) for leader in settings.leaders]
    finally:
        store.close()


def _shown_of(store: Store, leader_id: str, since_ms: int) -> Shown:
    copies = store.executed_copies(leader_id, limit=COPIES_READ_MAX)
    return shown(store, (copy for copy in copies if copy.received_ms >= since_ms))


def _refusals(settings: FollowerSettings, store: Store) -> Iterator[str]:
    if store.identity().get("account") != "paper":
        yield f"{settings.trial.paper_data_dir}: not a paper follower's, allowed: the data_dir of a paper run"
        return
    was = _terms(store)
    if was is None:
        yield "the trial does not say under which policy it was run, allowed: a trial by this version"
        return
    yield from _differences(was, terms_of(settings))
    for leader in settings.leaders:
        if leader.id in was.leaders:
            yield from _missing(leader.id, settings.trial, _shown_of(store, leader.id, was.since_ms))


def _missing(leader_id: str, trial: TrialSection, found: Shown) -> Iterator[str]:
    whose = f"of {leader_id} under this policy the trial"
    if found.copies < trial.copies_min:
        yield f"{whose} has {found.copies} copies, allowed: at least {trial.copies_min}"
    if found.days < trial.days_min:
        yield f"{whose} ran {found.days:.1f} days, allowed: at least {trial.days_min}"
    if found.drift_bps > trial.drift_max_bps:
        yield f"{whose} drifted {found.drift_bps:.1f} bps, allowed: at most {trial.drift_max_bps}"


def _differences(trial: Terms, live: Terms) -> Iterator[str]:
    """In what a follower goes beyond a trial, each with what the trial had."""
    if live.follower != trial.follower:
        yield f"follower.id: was {live.follower!r}, allowed: {trial.follower}, who ran the trial"
    if live.venue != trial.venue:
        yield f"venue.rest_url: was {live.venue}, allowed: {trial.venue}, whose prices the trial had"
    for leader_id, key in live.leaders.items():
        if leader_id not in trial.leaders:
            yield f"leader.id: was {leader_id!r}, allowed: {', '.join(trial.leaders)}, as in the trial"
        elif trial.leaders[leader_id] != key:
            yield f"leader.public_key: of {leader_id} it is another key than in the trial"
    for name, value in live.policy.items():
        was = trial.policy.get(name)
        if not _is_within(name, value, was):
            words = "at most " if name in SMALLER_IS_TIGHTER and was is not None else ""
            yield f"policy.{name}: was {_words(value)}, allowed: {words}{_words(was)}, as in the trial"


def _is_within(name: str, value: Setting, trial: Setting) -> bool:
    """Whether a live setting allows no more than the trial's."""
    if value == trial:
        return True
    if isinstance(value, list) and isinstance(trial, list):
        if name == "symbols_denied":
            return set(trial) <= set(value)
        return set(value) <= set(trial)
    if name not in SMALLER_IS_TIGHTER or isinstance(value, list) or isinstance(trial, list):
        return False
    return value is not None and (trial is None or Decimal(value) <= Decimal(trial))


def _words(value: Setting) -> str:
    if value is None:
        return "not set"
    return ", ".join(value) or "none" if isinstance(value, list) else value


def _terms(store: Store) -> Terms | None:
    """As a store has them; `None` where it has none that can be read."""
    text = store.marks().get(TERMS_MARK)
    try:
        return None if text is None else msgspec.json.decode(text, type=Terms)
    except msgspec.MsgspecError:
        return None


def stakes(settings: FollowerSettings, store: Store) -> Decimal:
    """The share of the policy's size that is in force; the whole where no money is real, or by override."""
    trial = settings.trial
    if not settings.is_real_money or trial.override.strip():
        return Decimal(1)
    terms = _terms(store)
    since_ms = 0 if terms is None else terms.since_ms
    return min(_stage(trial, store, leader.id, since_ms) for leader in settings.leaders)


def _stage(trial: TrialSection, store: Store, leader_id: str, since_ms: int) -> Decimal:
    copies = [
        copy
        for copy in store.executed_copies(leader_id, limit=COPIES_READ_MAX)
        if not copy.is_exit and not copy.is_late and copy.received_ms >= since_ms
    ]
    stage = 0
    while stage < len(STAGES) - 1:
        done = copies[stage * trial.stage_copies : (stage + 1) * trial.stage_copies]
        if len(done) < trial.stage_copies or shown(store, done).drift_bps > trial.drift_max_bps:
            break
        stage += 1
    return STAGES[stage]
