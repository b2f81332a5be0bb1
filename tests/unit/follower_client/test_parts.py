"""The small parts, each by its own rules: order table, endings, progress, reconciliation, account, locks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from follower_client.core.order import (
    CLIENT_ORDER_ID_LENGTH,
    TERMINAL,
    TRANSITIONS,
    IllegalTransitionError,
    OrderEvent,
    OrderState,
    advance,
    client_order_id,
)
from follower_client.core.progress import Progress
from follower_client.core.reconcile import differences, external_part
from follower_client.errors import InstanceError
from follower_client.failpoint import NAMES, Failpoints
from follower_client.locks import LOCK_DIR_VARIABLE, hold, hold_on_host
from follower_client.venue.account import AccountState
from follower_client.venue.outcomes import ending_of, venue_code
from follower_client.venue.port import Ending
from tests.unit.follower_client.build import BTC, quote


def test_every_pair_is_either_in_the_table_or_an_error() -> None:
    for state in OrderState:
        for event in OrderEvent:
            if (state, event) in TRANSITIONS:
                assert advance(state, event) is TRANSITIONS[state, event]
            else:
                with pytest.raises(IllegalTransitionError):
                    advance(state, event)


def test_every_state_can_be_reached_and_left_until_done() -> None:
    reached = {OrderState.INTENT} | set(TRANSITIONS.values())
    assert reached == set(OrderState)
    assert {state for state, _ in TRANSITIONS} == set(OrderState) - {OrderState.DONE}


def test_a_terminal_order_is_never_sent_and_never_becomes_live_again() -> None:
    for (state, event), after in TRANSITIONS.items():
        if state in TERMINAL:
            assert after in TERMINAL and event is not OrderEvent.SEND
    assert TRANSITIONS[OrderState.UNKNOWN, OrderEvent.ABSENT] is OrderState.INTENT


def test_a_client_order_id_is_a_function_of_what_the_order_is_for() -> None:
    one = client_order_id("alice", "lead", 7, 3, "open", 0)
    assert one == client_order_id("alice", "lead", 7, 3, "open", 0)
    digest = hashlib.sha256(b"alice|lead|7|3|open|0").digest()
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    number = int.from_bytes(digest, "big") >> (256 - 160)
    naive = "".join(alphabet[number >> 5 * place & 31] for place in reversed(range(32)))
    assert one == naive and len(one) == CLIENT_ORDER_ID_LENGTH
    others = {
        client_order_id(*key)
        for key in [
            ("bob", "lead", 7, 3, "open", 0),
            ("alice", "lead2", 7, 3, "open", 0),
            ("alice", "lead", 8, 3, "open", 0),
            ("alice", "lead", 7, 4, "open", 0),
            ("alice", "lead", 7, 3, "close", 0),
            ("alice", "lead", 7, 3, "open", 1),
        ]
    }
    assert len(others | {one}) == 7


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("", Ending.UNKNOWN),
        ("10000", Ending.UNKNOWN),
        ("10016", Ending.UNKNOWN),
        ("110072", Ending.DUPLICATE),
        ("10014", Ending.DUPLICATE),
        ("10002", Ending.REFUSED),
        ("10006", Ending.REFUSED),
        ("110007", Ending.REJECTED),
        ("110017", Ending.REJECTED),
        ("110094", Ending.REJECTED),
        ("10003", Ending.REJECTED),
    ],
)
def test_the_ending_is_by_the_venues_code(code: str, ending: Ending) -> None:
    text = f'bybit {{"retCode":{code},"retMsg":"x"}}' if code else "bybit POST timed out"
    assert venue_code(text) == code
    assert ending_of(venue_code(text)) is ending


@settings(max_examples=50, deadline=None, print_blob=True)
@given(order=st.permutations(range(1, 31)))
def test_progress_moves_over_settled_places_only(order: list[int]) -> None:
    progress = Progress()
    for seq in range(1, 31):
        progress.hear(1, seq, f"h{seq}", settled=False)
    settled: set[int] = set()
    for seq in order:
        progress.settle(1, seq)
        settled.add(seq)
        expected = next(number for number in range(1, 32) if number not in settled) - 1
        assert (progress.head.seq if progress.head else 0) == expected
    assert progress.open_count == 0


@pytest.mark.parametrize(
    ("journal", "venue", "own", "external"),
    [
        ("1", "1", "1", "0"),
        ("1", "0.4", "0.4", "0"),
        ("1", "1.5", "1", "0.5"),
        ("1", "-1", "0", "-1"),
        ("0", "2", "0", "2"),
        ("-1", "-3", "-1", "-2"),
        ("1", "0", "0", "0"),
    ],
)
def test_own_is_never_more_than_the_venue_holds(journal: str, venue: str, own: str, external: str) -> None:
    assert external_part(Decimal(journal), Decimal(venue)) == (Decimal(own), Decimal(external))
    found = differences({BTC: Decimal(journal)}, {BTC: Decimal(venue)})
    assert found[0].get(BTC, Decimal(0)) == Decimal(external)
    assert bool(found[1]) == (journal != venue)


def test_an_account_folds_fills_into_cost_profit_and_wallet() -> None:
    account = AccountState(wallet_balance=Decimal(1000), quotes={BTC: quote("110")})
    fee = Decimal("0.1")
    account.apply_fill(BTC, is_buy=True, qty=Decimal(2), price=Decimal(100), fee=fee)
    account.apply_fill(BTC, is_buy=True, qty=Decimal(2), price=Decimal(120), fee=fee)
    assert account.holdings[BTC].entry_price == 110
    account.apply_fill(BTC, is_buy=False, qty=Decimal(5), price=Decimal(115), fee=fee)
    assert account.positions() == {BTC: Decimal(-1)}
    assert account.holdings[BTC].entry_price == 115
    assert account.wallet_balance == Decimal("1019.7")  # 4 x 5 of profit, three fees
    assert account.equity() == Decimal("1024.7")  # short one at 115, mark 110
    account.quotes.clear()
    assert account.equity() is None


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    first = hold(tmp_path / "lock", "data_dir")
    with pytest.raises(InstanceError, match="another follower-client"):
        hold(tmp_path / "lock", "data_dir")
    first.close()
    hold(tmp_path / "lock", "data_dir").close()


@pytest.mark.parametrize("folder", [False, True])
def test_an_accounts_lock_is_one_for_the_host_and_shows_nothing_of_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    """Also where /tmp is private; in a folder where containers share one."""
    if folder:
        monkeypatch.setenv(LOCK_DIR_VARIABLE, str(tmp_path / "locks"))
    name = f"key|very-secret-{tmp_path}"
    first = hold_on_host(name, "venue.api_key: this key")
    script = (
        "from follower_client.locks import hold_on_host as hold; import sys; hold(sys.argv[1], 'this key')"
    )
    private = {**os.environ, "TMPDIR": str(tmp_path)}
    second = [sys.executable, "-c", script, name]
    told = subprocess.run(second, env=private, capture_output=True, text=True, check=False)
    assert f"another follower-client (process {os.getpid()}) is using it" in told.stderr
    hold_on_host(f"{name}2", "another key").close()
    first.close()
    assert subprocess.run(second, env=private, check=False).returncode == 0
    assert "secret" not in str(list((tmp_path / "locks").glob("*")))


def test_failpoints_are_off_by_default_and_know_their_names() -> None:
    points = Failpoints("")
    for name in NAMES:
        points.reach(name)
    with pytest.raises(ValueError, match="one of received"):
        Failpoints("recieved")
