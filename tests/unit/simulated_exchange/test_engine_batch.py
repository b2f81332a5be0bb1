"""Batches of fixed-size records: the same as single calls, refused whole when malformed."""

from __future__ import annotations

import struct

import pytest

from simulated_exchange._engine import COMMAND_BYTES, EVENT_BYTES, SCALE, Engine, Event, Reject, Side
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, BTC, START_MS, Desk, genesis, record

CREATE, DEPOSIT, PLACE, AMEND, CANCEL, INDEX, ADVANCE = 1, 2, 4, 5, 6, 9, 10


def stream() -> bytes:
    """What `Desk.opened` does, then an order, a fill, a refusal, an amendment and a cancellation."""
    times = iter(range(START_MS + 1, START_MS + 100))
    opened = [
        record(kind, market_ms=next(times), account=account, price=price)
        for account in (ALICE, BOB)
        for kind, price in ((CREATE, 0), (DEPOSIT, 100_000 * SCALE))
    ]
    opened += [
        record(INDEX, market_ms=next(times), instrument=instrument, price=50_000 * SCALE)
        for instrument in (0, 1)
    ]
    traded = [
        record(
            PLACE, market_ms=next(times), account=ALICE, qty=2 * SCALE, price=49_000 * SCALE, link_id="bid"
        ),
        record(PLACE, market_ms=next(times), account=BOB, side=1, order_type=1, qty=SCALE),
        record(PLACE, market_ms=next(times), account=BOB, qty=1, price=49_000 * SCALE),
        record(AMEND, market_ms=next(times), account=ALICE, order_id=1, flags=2, price=48_000 * SCALE),
        record(CANCEL, market_ms=next(times), account=ALICE, order_id=1),
        record(ADVANCE, market_ms=next(times)),
    ]
    return b"".join(opened + traded)


def single_calls() -> tuple[Engine, list[Event]]:
    desk = Desk.opened()
    events: list[Event] = []
    events += desk.place(ALICE, Side.Buy, "2", "49000", link_id="bid").events
    events += desk.place(BOB, Side.Sell, "1").events
    events += desk.place(BOB, Side.Buy, "0.00000001", "49000").events
    times = desk.now()
    events += desk.engine.amend_order(
        *times, account=ALICE, order_id=1, price=48_000 * SCALE, qty=None
    ).events
    events += desk.engine.cancel_order(*desk.now(), account=ALICE, order_id=1).events
    events += desk.engine.advance_time(*desk.now()).events
    return desk.engine, events


def test_a_batch_does_what_single_calls_do() -> None:
    engine = Engine.create(genesis(), None, "none")
    outcome = engine.apply_batch(stream())
    single, events = single_calls()
    assert engine.state_hash() == single.state_hash()
    assert outcome.events()[-len(events) :] == events
    assert (outcome.first_command, outcome.commands, outcome.event_count) == (1, 12, len(outcome.events()))
    assert outcome.rejects() == [(8, Reject.QtyInvalid)]
    assert outcome.order_ids()[6] == 1


def test_batches_of_any_size_give_the_same_state() -> None:
    whole = Engine.create(genesis(), None, "none")
    whole.apply_batch(stream())
    for size in (1, 5):
        split = Engine.create(genesis(), None, "none")
        records = stream()
        for at in range(0, len(records), size * COMMAND_BYTES):
            split.apply_batch(records[at : at + size * COMMAND_BYTES])
        assert split.state_hash() == whole.state_hash()
    assert whole.apply_batch(b"").commands == 0


def test_event_records_carry_what_the_events_carry() -> None:
    engine = Engine.create(genesis(), None, "none")
    outcome = engine.apply_batch(stream())
    records, events = outcome.records(), outcome.events()
    assert len(records) == len(events) * EVENT_BYTES
    for at, event in enumerate(events):
        row = records[at * EVENT_BYTES : (at + 1) * EVENT_BYTES]
        _, sequence, market_ms, wall_us = struct.unpack_from("<BQqq", row)
        assert (sequence, market_ms, wall_us) == (event.sequence, event.market_ms, event.wall_us)
        match event:
            case Event.Trade(trade_id=trade_id, price=price, qty=qty):
                assert struct.unpack_from("<QHqqB", row, 25) == (trade_id, BTC, price, qty, int(Side.Sell))
            case _:
                pass
    assert any(isinstance(event, Event.Trade) for event in events)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (stream()[:-1], "must be a multiple of"),
        (stream() + bytes(COMMAND_BYTES), r"records\[12\]: .*kind"),
        (stream() + record(99, market_ms=START_MS), r"records\[12\]: .*kind"),
        (stream() + record(PLACE, market_ms=START_MS, side=2), r"records\[12\]: "),
        (stream() + record(PLACE, market_ms=START_MS, link_id="a b"), r"records\[12\]: "),
        (stream() + record(ADVANCE, market_ms=START_MS, qty=1), r"records\[12\]: "),
    ],
)
def test_a_malformed_batch_is_refused_whole(records: bytes, reason: str) -> None:
    engine = Engine.create(genesis(), None, "none")
    with pytest.raises(ValueError, match=reason):
        engine.apply_batch(records)
    assert engine.command_count() == 0


def test_a_batch_is_journaled(tmp_path: object) -> None:
    path = f"{tmp_path}/venue.journal"
    engine = Engine.create(genesis(), path, "fsync")
    engine.apply_batch(stream())
    assert engine.sync() == 12
    state_hash = engine.state_hash()
    del engine
    assert Engine.recover(path, "fsync")[1].state_hash == state_hash
