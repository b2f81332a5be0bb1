"""Whatever is asked of the engine: refusals are values, errors typed, books balanced, journals complete."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_exchange._engine import COMMAND_BYTES, SCALE, Engine, OrderType, Outcome, Side, TimeInForce
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, START_MS, Desk, genesis

ODD_INTEGERS = st.one_of(
    st.sampled_from([0, 1, -1, SCALE, 2**16, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30]),
    st.integers(-(2**70), 2**70),
)
COINS = st.just(0)
ACCOUNTS = st.sampled_from([ALICE, BOB])
INSTRUMENTS = st.sampled_from([0, 1])
SIDES = st.sampled_from([Side.Buy, Side.Sell])
ORDER_TYPES = st.sampled_from([OrderType.Limit, OrderType.Market])
TIMES_IN_FORCE = st.sampled_from(
    [TimeInForce.GoodTillCancel, TimeInForce.ImmediateOrCancel, TimeInForce.FillOrKill, TimeInForce.PostOnly]
)
PRICES = st.integers(45_000, 55_000).map(lambda price: price * SCALE)
QTYS = st.integers(1, 5_000).map(lambda lots: lots * SCALE // 1000)
ORDER_IDS = st.integers(0, 40)


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(strategies)


SENSIBLE = st.one_of(
    st.tuples(
        st.just("place_order"),
        fields(
            account=ACCOUNTS,
            instrument=INSTRUMENTS,
            side=SIDES,
            order_type=ORDER_TYPES,
            time_in_force=TIMES_IN_FORCE,
            qty=QTYS,
            price=PRICES,
            reduce_only=st.booleans(),
            link_id=st.sampled_from(["", "", "", "one", "two"]),
        ),
    ),
    st.tuples(
        st.just("amend_order"),
        fields(account=ACCOUNTS, order_id=ORDER_IDS, price=st.none() | PRICES, qty=st.none() | QTYS),
    ),
    st.tuples(st.just("cancel_order"), fields(account=ACCOUNTS, order_id=ORDER_IDS)),
    st.tuples(st.just("cancel_all"), fields(account=ACCOUNTS, instrument=st.none() | INSTRUMENTS)),
    st.tuples(
        st.just("set_leverage"),
        fields(account=ACCOUNTS, instrument=INSTRUMENTS, leverage=st.integers(50, 12_000)),
    ),
    st.tuples(st.just("set_index_source"), fields(instrument=INSTRUMENTS, source=st.just(0), price=PRICES)),
    st.tuples(st.just("deposit"), fields(account=ACCOUNTS, coin=COINS, amount=st.integers(1, 10**12))),
    st.tuples(st.just("withdraw"), fields(account=ACCOUNTS, coin=COINS, amount=st.integers(1, 10**13))),
    st.tuples(st.just("advance_time"), fields()),
)
ODD = st.one_of(
    st.tuples(
        st.just("place_order"),
        fields(
            account=ODD_INTEGERS,
            instrument=ODD_INTEGERS,
            side=SIDES,
            order_type=ORDER_TYPES,
            time_in_force=TIMES_IN_FORCE,
            qty=ODD_INTEGERS,
            price=ODD_INTEGERS,
            reduce_only=st.booleans(),
            link_id=st.text(max_size=40),
        ),
    ),
    st.tuples(
        st.just("amend_order"),
        fields(account=ACCOUNTS, order_id=ORDER_IDS, price=ODD_INTEGERS, qty=ODD_INTEGERS),
    ),
    st.tuples(st.just("cancel_order"), fields(account=ODD_INTEGERS, order_id=ODD_INTEGERS)),
    st.tuples(
        st.just("set_leverage"),
        fields(account=ACCOUNTS, instrument=INSTRUMENTS, leverage=ODD_INTEGERS),
    ),
    st.tuples(
        st.just("set_index_source"), fields(instrument=INSTRUMENTS, source=ODD_INTEGERS, price=ODD_INTEGERS)
    ),
    st.tuples(st.just("deposit"), fields(account=ACCOUNTS, coin=ODD_INTEGERS, amount=ODD_INTEGERS)),
    st.tuples(st.just("withdraw"), fields(account=ACCOUNTS, coin=ODD_INTEGERS, amount=ODD_INTEGERS)),
    st.tuples(st.just("create_account"), fields(account=ODD_INTEGERS)),
)


def ask(desk: Desk, name: str, arguments: dict[str, Any], step_ms: int = 0) -> Outcome:
    desk.market_ms += step_ms
    outcome: Outcome = getattr(desk.engine, name)(*desk.now(), **arguments)
    return outcome


@given(st.lists(st.tuples(SENSIBLE, st.sampled_from([0, 0, 0, 1_000, 30_000])), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_commands_keep_the_books_and_replay_to_the_same_state(
    commands: list[tuple[tuple[str, dict[str, Any]], int]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "venue.journal"
        desk = Desk.opened(Engine.create(genesis(), str(path), "none"))
        next_sequence = 0
        for (name, arguments), step_ms in commands:
            for event in ask(desk, name, arguments, step_ms).events:
                assert not next_sequence or event.sequence == next_sequence
                next_sequence = event.sequence + 1
            desk.engine.check_invariants()
        books = desk.engine.conservation()
        assert (books.adds_up, books.position_qty_sums) == (True, [0, 0])
        state_hash = desk.engine.state_hash()
        del desk
        assert Engine.verify(str(path)).state_hash == state_hash
        assert Engine.recover(str(path), "none")[1].state_hash == state_hash


@given(st.lists(st.one_of(ODD, SENSIBLE), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_nothing_untyped_is_raised(commands: list[tuple[str, dict[str, Any]]]) -> None:
    desk = Desk.opened()
    for name, arguments in commands:
        try:
            ask(desk, name, arguments)
        except (OverflowError, ValueError) as error:
            named = str(error).split(":")[0]
            assert named in arguments
    desk.engine.check_invariants()
    assert desk.engine.conservation().adds_up


@given(ODD_INTEGERS, ODD_INTEGERS)
@settings(max_examples=60, deadline=None)
def test_clocks_of_any_size_are_survived(market_ms: int, wall_us: int) -> None:
    desk = Desk.opened()
    try:
        desk.engine.advance_time(market_ms, wall_us)
    except OverflowError as error:
        assert str(error).split(":")[0] in {"market_ms", "wall_us"}
    desk.engine.check_invariants()


@given(st.lists(st.binary(min_size=COMMAND_BYTES, max_size=COMMAND_BYTES), max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_batch_or_refused(records: list[bytes]) -> None:
    engine = Engine.create(genesis(), None, "none")
    try:
        engine.apply_batch(b"".join(records))
    except ValueError as error:
        assert str(error).startswith("records[")
        assert engine.command_count() == 0
    engine.check_invariants()


@given(st.integers(0, 2**31 - 1), st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_a_damaged_journal_is_never_replayed_as_something_else(at: int, flip: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "venue.journal"
        desk = Desk.opened(Engine.create(genesis(), str(path), "os"))
        desk.engine.sync()  # what is committed together stands or falls together
        hashes = {desk.engine.state_hash()}
        commands = desk.engine.command_count()
        for step in range(3):
            desk.accepted(desk.engine.advance_time(START_MS + 1_000 * (step + 1), 0))
            desk.engine.sync()
            hashes.add(desk.engine.state_hash())
        del desk
        damaged = bytearray(path.read_bytes())
        damaged[at % len(damaged)] ^= flip
        path.write_bytes(damaged)
        try:
            found = Engine.verify(str(path))
        except Exception as error:
            assert type(error).__name__ == "JournalError"
            return
        assert found.state_hash in hashes
        assert found.commands >= commands + 2
        assert found.truncated_bytes > 0
