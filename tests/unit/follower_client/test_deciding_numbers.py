"""Every refusal of an entry carries the number that decided it, and says of orders who gave them and when."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from follower_client.cli import main
from follower_client.core.decide import Action, Decision, decide
from follower_client.core.policy import LateJoin, Policy
from follower_client.core.snapshot import Control, Guard, LeaderState, Pending, Snapshot
from follower_client.store import Store
from tests.unit.follower_client.build import BTC, NOW_MS, quote, signal, snapshot
from tests.unit.follower_client.executor_bench import bench
from tests.unit.follower_client.test_store_and_settings import GOOD

POLICY = Policy(label="test", leverage_max=Decimal(10))


def entry(state: Snapshot, policy: Policy = POLICY, **changes: Any) -> Decision:
    decision = decide(signal(before="0", after="2", **changes), state, policy, NOW_MS)
    assert decision.action is Action.SKIP
    return decision


def of_leader(**changes: Any) -> LeaderState:
    return replace(snapshot().leader, **changes)


@pytest.mark.parametrize("level", [level for level in Control if level is not Control.RUN])
def test_what_was_ordered_is_told_with_who_when_and_why(level: Control) -> None:
    guard = Guard(control=level, control_by="operator", control_at_ms=NOW_MS - 95_000, control_reason="lunch")
    decision = entry(replace(snapshot(), guard=guard))
    assert decision.detail.endswith(", by operator 95 s ago (lunch)")
    assert decision.observed_value == 95


@pytest.mark.parametrize(
    ("changes", "policy", "reason", "limit", "observed"),
    [
        ({"leader": of_leader(legacy_symbols=frozenset({BTC}))}, {}, "late_join", "100000", "100000.1"),
        ({"leader": of_leader(alive=False, silent_ms=3200)}, {}, "leader_silent", None, "3200"),
        (
            {"blocked_symbols": frozenset({BTC}), "pending": {BTC: Pending(buy=Decimal("0.03"))}},
            {},
            "unknown_order",
            "0",
            "0.03",
        ),
        ({"exits_due": frozenset({BTC})}, {}, "exit_due", None, "0"),
        ({"quotes": {BTC: quote(at_ms=NOW_MS - 9000)}}, {}, "no_account", "3000", "9000"),
        ({"guard": Guard(clock_fault=True, clock_offset_ms=-7000)}, {}, "clock", "1000", "-7000"),
        ({}, {"symbols": ("ETH/USDT:USDT",)}, "symbol_denied", "1", None),
    ],
)
def test_a_refusal_has_its_number(
    changes: dict[str, Any], policy: dict[str, Any], reason: str, limit: str | None, observed: str | None
) -> None:
    found = Policy(label="test", leverage_max=Decimal(10), late_join=LateJoin.WAIT, **policy)
    decision = entry(replace(snapshot(), **changes), found)
    assert decision.reason == reason
    numbers = tuple(None if text is None else Decimal(text) for text in (limit, observed))
    assert (decision.limit_value, decision.observed_value) == numbers


@pytest.mark.asyncio
async def test_verdict_report_and_status_show_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alice.toml").write_text(GOOD)
    (tmp_path / "data").mkdir()
    async with bench(tmp_path / "data") as one:
        one.control.order(Control.PAUSE, by="operator", reason="lunch")
        refused = await one.verdict(one.offer("2"))
        (report,) = one.reports()
    assert refused.reason == report.reason == "paused" and report.observed_value in ("0", "1", "2")
    assert "by operator" in report.detail and "(lunch)" in report.detail
    Store.open(tmp_path / "data" / "follower.sqlite").close()
    monkeypatch.setattr("sys.argv", ["follower-client", "status", "-c", str(tmp_path / "alice.toml")])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert "not copied: paused (observed" in said and "by operator" in said
