"""Commands that look at a venue without serving it: verify and replay a journal, describe or run a scenario.

Belongs here: reading and summing up. Does not belong here: printing and anything that changes a file, but for
the journal that a run is asked to write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from simulated_exchange.driver import Verification, engine_errors, replayed_events, verify_journal_file
from simulated_exchange.errors import InvariantBrokenError, JournalUnreadableError
from simulated_exchange.gateway.translate.numbers import decimal_text
from simulated_exchange.instruments import Catalogue, fixed_point
from simulated_exchange.ledger import Ledger
from simulated_exchange.listing import listed_genesis
from simulated_exchange.settings import load_settings

__all__ = ["describe_scenario", "replay_journal", "run_scenario", "verify_journal"]


Progress = Callable[[int, int, int], object]
"""Told how far a verification is: commands, bytes, all bytes."""


def _verified(journal: Path, progress: Progress | None = None) -> Verification:
    if not journal.is_file():
        raise JournalUnreadableError(f"{journal}: no such journal")
    with engine_errors():
        return verify_journal_file(journal, progress)


def verify_journal(journal: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Counts, state hash and the sum of the books. Raises InvariantBrokenError, JournalUnreadableError."""
    found = _verified(journal, progress)
    if found.conservation_delta:
        delta = decimal_text(found.conservation_delta)
        raise InvariantBrokenError(f"{journal}: conservation_delta is {delta}, must be 0")
    return {
        "journal": str(journal),
        "commands": found.commands,
        "truncated_bytes": found.truncated_bytes,
        "state_hash": found.state_hash,
        "conservation_delta": decimal_text(found.conservation_delta),
        "invariants": "ok",
    }


def replay_journal(journal: Path) -> dict[str, Any]:
    """What happened, counted, and where prices ended."""
    found = _verified(journal)
    catalogue = Catalogue.from_genesis(found.genesis_json)
    ledger = Ledger(len(catalogue), catalogue)
    ledger.counters.insurance_fund = fixed_point(orjson.loads(found.genesis_json)["insurance_fund"])
    events = 0
    for batch in replayed_events(journal):
        events += len(batch)
        for event in batch:
            ledger.fold(event)
    counters = ledger.counters
    return {
        "journal": str(journal),
        "commands": found.commands,
        "events": events,
        "orders": counters.orders,
        "trades": counters.trades,
        "cancels": counters.cancels,
        "liquidations": counters.liquidations,
        "adl": counters.deleveraged,
        "insurance_fund": decimal_text(counters.insurance_fund),
        "last_market_ms": ledger.market_ms,
        "prices": {
            instrument.symbol: {
                "index": decimal_text(ledger.markets[instrument.index].index_price),
                "mark": decimal_text(ledger.markets[instrument.index].mark_price),
                "last": decimal_text(ledger.markets[instrument.index].last_price),
            }
            for instrument in catalogue
        },
        "state_hash": found.state_hash,
    }


def describe_scenario(name: str) -> dict[str, Any]:
    """The scenario's settings as they would be used."""
    from simulated_exchange.scenario import load_config, scenarios_folder

    described: dict[str, Any] = orjson.loads(load_config(name, scenarios_folder()).model_dump_json())
    return described


def run_scenario(
    name: str,
    *,
    seed: int,
    seconds: float,
    factor: float,
    journal: Path | None,
    mark_source: str | None = None,
) -> dict[str, Any]:
    """A scenario from its first tick to its last, on a venue of its own and without waiting; what came of it.

    Raises ScenarioError, ConfigurationError, JournalUnreadableError.
    """
    from simulated_exchange.scenario.stepped import open_stepped
    from simulated_exchange.scenario.tale import Tale

    if journal is not None and journal.exists():
        raise JournalUnreadableError(f"{journal}: exists already; a run begins a journal of its own")
    genesis = listed_genesis(load_settings(None, {}))
    overrides = {"mark_source": mark_source} if mark_source is not None else None
    with engine_errors():
        run = open_stepped(
            genesis, name, seed=seed, seconds=seconds, factor=factor, journal=journal, overrides=overrides
        )
    catalogue = Catalogue.from_genesis(orjson.dumps(genesis).decode())
    tale = Tale(run.driver, [instrument.symbol for instrument in catalogue], ticks=run.ticks)
    run.run(tale.look)
    told = tale.told()
    run.driver.close()
    return {
        "scenario": name,
        "seed": seed,
        "seconds": seconds,
        "time_factor": factor,
        "mark_source": mark_source or "as the scenario says",
        "journal": str(journal) if journal else None,
        **told,
    }
