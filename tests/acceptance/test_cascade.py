"""`simulated-exchange scenario cascade` as its reader meets it: everything that can go wrong does, and
adds up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

SECONDS_MAX = 100


def ran(*options: str) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "simulated_exchange", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cascade(*options: str) -> dict[str, Any]:
    """The cascade's tale."""
    told: dict[str, Any] = json.loads(ran("scenario", "cascade", "--json", *options))
    return told


def test_a_cascade_shows_every_stage_and_loses_nothing() -> None:
    told = cascade()
    assert told["liquidations"]["taken_over"] > 10
    assert told["borrowing"]["accounts"] > 10, "losses are borrowed before anybody is liquidated"
    assert Decimal(told["borrowing"]["loans_max"]) > 0
    assert Decimal(told["borrowing"]["interest"]) > 0
    pool, fund = told["lending_pool"], told["insurance_fund"]
    assert Decimal(pool["utilisation_max"]) > Decimal("0.1")
    assert Decimal(pool["borrow_rate_year_max"]) > Decimal(pool["borrow_rate_year_min"])
    start, lowest, end, gained, paid = (
        Decimal(fund[name]) for name in ("start", "lowest", "end", "gained", "paid")
    )
    assert 0 < lowest < start * Decimal("0.7"), "it pays what one contract may cost it"
    assert end == start + gained - paid
    begun = told["adl"]["begun"]
    assert {row["symbol"] for row in begun} == {"BTCUSDT", "ETHUSDT"}
    assert all(Decimal(row["ratio"]) <= Decimal("-0.3") for row in begun), "beyond the trigger, not before"
    assert told["adl"]["deleveraged"], "what the fund does not bear, winners do"
    for places in told["adl"]["ranking_before"].values():
        lights = [row["lights"] for row in places]
        assert lights == sorted(lights, reverse=True) and lights[0] == 5
        assert [row["place"] for row in places] == list(range(1, len(places) + 1))
    ranked = [row for row in told["adl"]["deleveraged"] if row["place_before"] is not None]
    assert ranked, "who was deleveraged stood in a queue"
    assert ranked[0]["lights_before"] == 5, "the first in line is taken first"
    assert (told["conservation_delta"], told["positions_sum_to_zero"]) == ("0", True)


def test_the_journal_of_a_run_verifies_to_the_same_state(tmp_path: Path) -> None:
    journal = tmp_path / "cascade.journal"
    told = cascade("--seconds", "6", "--journal", str(journal))
    verified = json.loads(ran("verify", str(journal), "--json"))
    assert (verified["invariants"], verified["conservation_delta"]) == ("ok", "0")
    assert (verified["commands"], verified["state_hash"]) == (told["commands"], told["state_hash"])


def test_equal_seeds_give_equal_venues() -> None:
    first, second, other = (cascade("--seconds", "20", "--seed", seed) for seed in ("7", "7", "8"))
    assert first["liquidations"]["taken_over"] > 10
    assert first == second
    assert first["state_hash"] != other["state_hash"]


def test_the_page_for_a_terminal_names_every_stage() -> None:
    page = ran("scenario", "cascade")
    for heading in ("Liquidations", "Borrowing", "Lending pool", "Insurance fund", "Auto-deleveraging"):
        assert heading in page
    assert "conservation 0" in page


def test_the_effect_of_dual_pricing_can_be_studied() -> None:
    """Marked at the last price, what a thin book prints liquidates; the scenario is the same."""
    dual, last = cascade("--seconds", "20"), cascade("--seconds", "20", "--mark-source", "last")
    assert last["mark_source"] == "last"
    assert dual["state_hash"] != last["state_hash"]
    assert dual["liquidations"]["started"] != last["liquidations"]["started"]
    assert (last["conservation_delta"], last["positions_sum_to_zero"]) == ("0", True)
