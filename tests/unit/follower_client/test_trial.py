"""Real money: whose trial opens it, under which policy, and how much of it at first."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from follower_client.doctor import examine
from follower_client.records import Copy, Order
from follower_client.settings import FollowerSettings
from follower_client.store import Store
from follower_client.trial import gate, note_terms, stakes
from follower_client.venue.port import VenueFill
from relay.protocol.codec import encode_payload
from tests.unit.follower_client.build import BTC, signal

DAY_MS = 86_400_000
START_MS = 1_800_000_000_000
KEY = "ab" * 32
Change = dict[str, Any]


def settings(folder: Path, *, paper: bool = False, **changes: Any) -> FollowerSettings:
    """Alice, who follows `lead` live with the trial in `folder/paper`; or that trial's own configuration."""
    tree: dict[str, Any] = {
        "follower": {
            "id": "alice",
            "data_dir": folder / ("paper" if paper else "live"),
            "mode": "test" if paper else "live",
        },
        "leader": {"id": "lead", "public_key": KEY},
        "broker": {"url": "nats://127.0.0.1:1", "nkey_seed_file": folder / "alice.nk"},
        "venue": {
            "kind": "paper" if paper else "v5",
            "rest_url": "http://127.0.0.1:1",
            "ws_url": "ws://127.0.0.1:1",
            "api_key": "key",
            "api_secret": "secret",
        },
        "policy": {"leverage_max": 3, "notional_per_order_max_usdt": 500},
        "trial": {"paper_data_dir": folder / "paper", "stage_copies": 2},
    }
    for section, values in changes.items():
        tree[section] = values if isinstance(values, list) else {**tree[section], **values}
    return FollowerSettings(**tree)


def executed(
    store: Store, number: int, *, leader: str = "lead", at_ms: int = START_MS, paid_bps: int = 0
) -> None:
    """A copy of one signal, filled `paid_bps` worse than the leader's price."""
    message = signal(before="0", after="1", seq=number, leader=leader)
    price = Decimal(message.price)
    name = f"{leader}-{number}"
    copy = Copy(
        leader_id=leader,
        epoch=1,
        seq=number,
        signal_id=message.signal_id,
        symbol=BTC,
        side="buy",
        signal=encode_payload(message),
        received_ms=at_ms,
        wave_start_ms=at_ms,
        verdict="copied",
    )
    terms: dict[str, Any] = {"leg": "open", "n": 0, "limit_price": None, "reduce_only": False}
    order = Order(
        client_order_id=name,
        leader_id=leader,
        epoch=1,
        seq=number,
        symbol=BTC,
        is_buy=True,
        qty=Decimal(1),
        send_by_ms=at_ms,
        **terms,
    )
    fill = VenueFill(
        fill_id=f"fill-{name}",
        client_order_id=name,
        order_id=name,
        symbol=BTC,
        is_buy=True,
        qty=Decimal(1),
        price=price * (1 + Decimal(paid_bps) / 10_000),
        fee=Decimal(0),
        fee_currency="USDT",
        executed_ms=at_ms,
        is_maker=False,
    )
    store.record(copy, order=order)
    store.record_fill(fill)


def run_trial(
    folder: Path,
    *,
    copies: int = 31,
    days: int = 4,
    paid_bps: int = 5,
    leader: str = "lead",
    **changes: Any,
) -> None:
    """A paper follower that ran under some settings."""
    (folder / "paper").mkdir(exist_ok=True)
    store = Store.open(folder / "paper" / "follower.sqlite")
    own = settings(folder, paper=True, **changes)
    store.claim({"follower": own.follower.id, "account": "paper"})
    note_terms(own, store, START_MS)
    for number in range(1, copies + 1):
        at_ms = START_MS + days * DAY_MS * (number - 1) // max(1, copies - 1)
        executed(store, number, leader=leader, at_ms=at_ms, paid_bps=paid_bps)
    store.close()


def test_a_trial_of_the_same_follower_leader_and_policy_opens_real_money(tmp_path: Path) -> None:
    run_trial(tmp_path)
    assert gate(settings(tmp_path)) == []
    tighter = {"leverage_max": 2, "notional_per_order_max_usdt": 100, "symbols": [BTC], "scale": "0.1"}
    assert gate(settings(tmp_path, policy=tighter)) == []


LEADER_TWO = {"id": "other", "public_key": "cd" * 32}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"leader": LEADER_TWO}, ["leader.id: was 'other', allowed: lead, as in the trial"]),
        ({"leader": {"public_key": "cd" * 32}}, ["leader.public_key: of lead it is another key"]),
        ({"more_leaders": [LEADER_TWO]}, ["leader.id: was 'other', allowed: lead, as in the trial"]),
        ({"follower": {"id": "mallory"}}, ["follower.id: was 'mallory', allowed: alice"]),
        ({"venue": {"rest_url": "https://api.bybit.com"}}, ["venue.rest_url: was bybit, allowed: bybit@127"]),
        ({"policy": {"leverage_max": 4}}, ["policy.leverage_max: was 4, allowed: at most 3, as in"]),
        ({"policy": {"notional_per_order_max_usdt": None}}, ["notional_per_order_max_usdt: was not set, al"]),
        ({"policy": {"mode": "multiplier"}}, ["policy.mode: was multiplier, allowed: exposure"]),
        ({"policy": {"reverse": True}}, ["policy.reverse: was true, allowed: false"]),
        (
            {"policy": {"symbols": [BTC, "DOGE/USDT:USDT"]}},
            ["policy.symbols: was BTC/USDT:USDT, DOGE/USDT:US"],
        ),
        ({"policy": {"stop_loss_bps": 0}}, ["policy.stop_loss_bps: was 0, allowed: 2500"]),
        (
            {"policy": {"scale": 1, "silence": "flatten"}},
            ["policy.scale: was 1, allowed: at most 0.5", "policy.silence: was flatten, allowed: hold"],
        ),
    ],
)
def test_a_trial_of_anything_else_does_not_and_what_differs_is_said(
    tmp_path: Path, changes: Change, told: list[str]
) -> None:
    run_trial(tmp_path)
    found = gate(settings(tmp_path, **changes))
    assert len(found) == len(told), found
    assert all(words in line for words, line in zip(told, found, strict=True)), found


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        ({"copies": 29}, "of lead under this policy the trial has 29 copies, allowed: at least 30"),
        ({"days": 2}, "of lead under this policy the trial ran 2.0 days, allowed: at least 3"),
        ({"paid_bps": 31}, "of lead under this policy the trial drifted 31.0 bps, allowed: at most 30"),
    ],
)
def test_a_trial_that_showed_too_little_is_refused_with_the_number(
    tmp_path: Path, trial: dict[str, Any], told: str
) -> None:
    run_trial(tmp_path, **trial)
    assert gate(settings(tmp_path)) == [told]


def test_the_copies_of_one_leader_say_nothing_of_another(tmp_path: Path) -> None:
    both: dict[str, Any] = {"more_leaders": [LEADER_TWO]}
    run_trial(tmp_path, **both)  # he was followed, and never traded
    assert gate(settings(tmp_path, **both)) == [
        "of other under this policy the trial has 0 copies, allowed: at least 30",
        "of other under this policy the trial ran 0.0 days, allowed: at least 3",
    ]
    assert gate(settings(tmp_path)) == []


def test_copies_from_before_the_policy_was_changed_do_not_count(tmp_path: Path) -> None:
    run_trial(tmp_path, policy={"leverage_max": 1})
    store = Store.open(tmp_path / "paper" / "follower.sqlite")
    note_terms(settings(tmp_path, paper=True), store, START_MS + 5 * DAY_MS)
    executed(store, 100, at_ms=START_MS + 6 * DAY_MS)
    store.close()
    found = gate(settings(tmp_path))
    assert [line.partition(" trial ")[2] for line in found] == [
        "has 1 copies, allowed: at least 30",
        "ran 0.0 days, allowed: at least 3",
    ]


def alter(sql: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        import sqlite3

        with sqlite3.connect(folder / "paper" / "follower.sqlite") as database:
            database.execute(sql)

    return change


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "paper" / "follower.sqlite").unlink(), "the trial cannot be read"),
        (alter("UPDATE copies SET verdict='skipped' WHERE seq=3"), "the trial cannot be read"),
        (alter("DELETE FROM marks"), "does not say under which policy"),
        (alter("DELETE FROM identity"), "not a paper follower's"),
    ],
)
def test_a_trial_that_cannot_be_trusted_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    run_trial(tmp_path)
    spoil(tmp_path)
    (line,) = gate(settings(tmp_path))
    assert told in line


def test_an_override_needs_a_reason_and_the_mode_is_asked_first(tmp_path: Path) -> None:
    assert gate(settings(tmp_path, trial={"override": "  "})) != []
    assert gate(settings(tmp_path, trial={"override": "I know him"})) == []
    real = {"rest_url": "https://api.bybit.com"}
    (line,) = gate(settings(tmp_path, follower={"mode": "test"}, venue=real, trial={"override": "x"}))
    assert 'mode = "live"' in line
    (line,) = gate(settings(tmp_path, trial={"paper_data_dir": None}))
    assert "no trial was shown" in line


def test_doctor_says_each_difference_and_what_is_left_out(tmp_path: Path) -> None:
    run_trial(tmp_path)
    other = settings(tmp_path, policy={"leverage_max": 5, "reverse": True})
    rows = [one for one in examine(other) if one.check == "trial"]
    assert [one.level for one in rows] == ["fail", "fail"]
    assert "leverage_max: was 5, allowed: at most 3" in rows[1].what
    rows = examine(settings(tmp_path, trial={"override": "I know him"}))
    assert any(one.what == "left out by [trial] override: I know him" for one in rows)


def test_stakes_grow_with_copies_that_keep_to_the_drift(tmp_path: Path) -> None:
    live = settings(tmp_path)
    store = Store.open(tmp_path / "s")
    note_terms(live, store, START_MS)
    seen = [stakes(live, store)]
    for number in range(1, 8):
        executed(store, number, at_ms=START_MS + number)
        seen.append(stakes(live, store))
    assert [str(one) for one in seen] == ["0.1", "0.1", "0.25", "0.25", "0.5", "0.5", "1", "1"]
    assert stakes(settings(tmp_path, paper=True), store) == 1
    assert stakes(settings(tmp_path, trial={"override": "I know him"}), store) == 1
    store.close()


def test_stakes_stay_where_drift_passes_the_limit_and_begin_anew_when_limits_widen(tmp_path: Path) -> None:
    live = settings(tmp_path)
    store = Store.open(tmp_path / "s")
    note_terms(live, store, START_MS)
    for number in range(1, 4):
        executed(store, number, at_ms=START_MS + number, paid_bps=5 if number < 3 else 90)
    executed(store, 4, at_ms=START_MS + 4)
    assert stakes(live, store) == Decimal("0.25"), "45 bps over the second stage"
    note_terms(settings(tmp_path, policy={"leverage_max": 1}), store, START_MS + 10)
    assert stakes(live, store) == Decimal("0.25"), "tighter is no new beginning"
    wider = settings(tmp_path, policy={"leverage_max": 5})
    note_terms(wider, store, START_MS + 10)
    assert stakes(wider, store) == Decimal("0.1")
    both = settings(tmp_path, more_leaders=[LEADER_TWO])
    assert stakes(both, store) == Decimal("0.1"), "the slowest leader's stage"
    store.close()


def test_what_a_configuration_is_given_is_real_money_where_money_is(tmp_path: Path) -> None:
    def is_real(rest_url: str) -> bool:
        return settings(tmp_path, follower={"mode": "test"}, venue={"rest_url": rest_url}).is_real_money

    assert not any(map(is_real, ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1")))
    assert not any(map(is_real, ("https://api-testnet.bybit.com", "https://api-demo.bybit.com")))
    assert all(map(is_real, ("https://api.bybit.com", "https://api.bytick.com", "http://10.0.0.7:1")))
    assert all(map(is_real, ("https://127.example.org", "https://api.demonstrative.com"))), "only look alike"
