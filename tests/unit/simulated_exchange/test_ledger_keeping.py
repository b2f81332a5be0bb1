"""The read model kept part by part while it goes on, and brought back: the same as never interrupted."""

from __future__ import annotations

import os
import pickle
import random
from collections import deque
from enum import Enum
from typing import Any

import msgspec
import pytest

from simulated_exchange._engine import Engine, Event
from simulated_exchange.ledger import Ledger, keeping
from simulated_exchange.ledger.keeping import Restoring, UnreadableError, kept_parts, pack
from tests.unit.simulated_exchange.engine_rooms import ALICE, BOB, Desk, genesis
from tests.unit.simulated_exchange.flow import trade


def story(seed: int, commands: int = 1500) -> list[Event]:
    dice = random.Random(seed)
    desk = Desk(Engine.create(genesis(), None, "none"))
    events: list[Event] = []
    for account in (ALICE, BOB):
        events += desk.engine.create_account(*desk.now(), account).events
        events += desk.engine.deposit(*desk.now(), account, 0, 10**13).events
    for _ in range(commands):
        events += trade(desk, dice).events
    return events


def new_ledger() -> Ledger:
    ledger = Ledger(2)
    for account in (ALICE, BOB):
        ledger.watch(account)
    return ledger


def plain(value: Any) -> Any:
    """What a part of the read model holds, whatever its classes."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | deque | frozenset | set):
        return [plain(entry) for entry in value]
    if isinstance(value, Enum) or value is None or isinstance(value, int | str):
        return value
    if "__getstate__" in vars(type(value)):
        return plain(value.__getstate__())
    names = getattr(value, "__slots__", None) or vars(value)
    return {name: plain(getattr(value, name)) for name in names if name not in ("_handlers", "_steps")}


@pytest.mark.parametrize("seed", range(5))
def test_a_ledger_kept_on_the_way_ends_as_one_that_saw_everything(seed: int) -> None:
    events = story(seed)
    dice = random.Random(seed)
    whole = new_ledger()
    state_knows = dice.randrange(len(events))  # what the engine's state knows; the parts know more and more
    parts: list[bytes] = []
    pending = None
    for number, event in enumerate(events):
        whole.fold(event)
        if number == state_knows:
            pending = kept_parts(whole)
        if pending is not None and dice.random() < 0.1:
            parts += [part for part in [next(pending, None)] if part is not None]
    parts += list(pending or ())
    restored = new_ledger()
    restoring = Restoring(restored, pack(parts))
    for event in events[state_knows + 1 :]:
        restoring.fold(event)
    restoring.finish()
    assert plain(restored) == plain(whole)


def test_orders_and_their_fills_stay_the_same_objects() -> None:
    ledger = new_ledger()
    for event in story(3):
        ledger.fold(event)
    restored = new_ledger()
    Restoring(restored, pack(kept_parts(ledger))).finish()
    memory = restored.watch(ALICE)
    known = {id(record) for record in memory.orders()}
    assert any(
        execution.order is not None and id(execution.order) in known for execution in memory.executions
    )


@pytest.mark.parametrize("seed", range(50))
def test_bytes_that_nobody_kept_are_refused(seed: int) -> None:
    ledger = new_ledger()
    for event in story(1, 40):
        ledger.fold(event)
    packed = bytearray(pack(kept_parts(ledger)))
    dice = random.Random(seed)
    for _ in range(dice.randint(1, 3)):
        packed[dice.randrange(len(packed))] = dice.randrange(256)
    untouched = plain(new_ledger())
    restored = new_ledger()
    try:
        Restoring(restored, bytes(packed[: dice.randrange(len(packed))] if seed % 2 else packed))
    except UnreadableError as error:
        assert str(error).startswith("the read model ")
    assert plain(restored) == untouched


def test_only_the_sources_that_kept_it_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(kept_parts(new_ledger()))
    monkeypatch.setattr(keeping, "_sources", lambda: b"other")
    with pytest.raises(UnreadableError, match="was kept by other sources"):
        Restoring(new_ledger(), packed)


class _Command:
    def __reduce__(self) -> Any:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("body", [_Command(), os.getcwd, random.Random(1), keeping.Restoring])
def test_bytes_never_lead_to_code_of_others(body: Any) -> None:
    sources, _ = msgspec.msgpack.decode(pack([]))
    part = pickle.dumps(("rest", 0, 1, body))
    with pytest.raises(UnreadableError, match=r"^the read model "):
        Restoring(new_ledger(), msgspec.msgpack.encode([sources, [part]]))
