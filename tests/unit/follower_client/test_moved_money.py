"""Money that the owner moves is neither a loss nor a gain; an account in hedge mode is summed leg by leg."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

import pytest

from follower_client import risk as risk_module
from follower_client.core.policy import LossAction, Policy
from follower_client.core.reconcile import differences, external_part
from follower_client.core.snapshot import Control
from follower_client.status import status_report
from follower_client.venue.account import AccountState, CashFlow, Holding
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.executor_bench import bench
from tests.unit.follower_client.fake_venue import FakeVenue

LIMITED = Policy(
    label="p",
    leverage_max=Decimal(10),
    daily_loss_max_usdt=Decimal(500),
    drawdown_max_share=Decimal("0.2"),
    loss_action=LossAction.CLOSE,
)


def move(venue: FakeVenue, amount: int, *, told: bool = True) -> None:
    assert venue.account.wallet_balance is not None
    venue.account.wallet_balance += amount
    if told:
        now_ms = time.time_ns() // 1_000_000
        venue.account.flows.append(CashFlow(f"t{now_ms}", Decimal(amount), now_ms))


@pytest.mark.asyncio
async def test_a_withdrawal_is_no_loss_and_a_deposit_hides_none(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=LIMITED) as one:
        risk, venue = one.desk.risk, one.venue
        risk.tick(0)
        move(venue, -300, told=False)  # a loss of 3 %
        risk.tick(0)
        assert risk.guard().daily_loss_usdt == 300 and risk.guard().drawdown == Decimal("0.03")
        for amount in (-4850, 20_000):
            move(venue, amount)
            risk.tick(0)
            assert risk.guard().daily_loss_usdt == 300
            assert round(risk.guard().drawdown, 12) == Decimal("0.03")
            assert one.control.read().level is Control.RUN
        move(venue, -200, told=False)
        risk.tick(0)
        assert (one.control.read().level, one.control.read().by) == (Control.FLATTEN, "trigger:daily_loss")


@pytest.mark.asyncio
async def test_no_trigger_is_pulled_before_it_is_known_where_the_money_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, policy=LIMITED) as one:
        risk, venue = one.desk.risk, one.venue
        risk.tick(0)
        move(venue, -3000, told=False)
        venue.account.unexplained_s = time.monotonic()
        risk.tick(0)
        assert one.control.read().level is Control.RUN
        monkeypatch.setattr(risk_module, "UNEXPLAINED_MAX_S", 0.0)  # nobody could say it in time
        risk.tick(0)
        assert one.control.read().level is Control.FLATTEN


@pytest.mark.asyncio
async def test_a_restart_knows_which_flows_were_counted(tmp_path: Path) -> None:
    async with bench(tmp_path, policy=LIMITED) as one:
        one.desk.risk.tick(0)
        move(one.venue, -1000)
        at_ms = one.venue.account.flows[-1].at_ms
        one.desk.risk.tick(0)
    venue = FakeVenue(balance="8000")
    async with bench(tmp_path, venue, policy=LIMITED) as again:
        assert venue.account.flows_from_ms == at_ms
        venue.account.flows.append(CashFlow("later", Decimal(-1000), at_ms + 5))  # while it was down
        again.desk.risk.tick(0)
        assert again.desk.risk.guard().daily_loss_usdt == 0 == again.desk.risk.guard().drawdown
        assert again.control.read().level is Control.RUN


@pytest.mark.parametrize(
    ("journal", "net", "hedged", "own", "external"),
    [
        ("1", "-2", "1", "1", "-3"),  # long 1 is ours, short 3 somebody's
        ("1", "0", "1", "1", "-1"),
        ("-1", "1", "1", "-1", "2"),
        ("2", "-2", "1", "1", "-3"),  # half of ours was closed outside
        ("0", "-2", "1", "0", "-2"),
    ],
)
def test_in_hedge_mode_the_other_side_is_another_position(
    journal: str, net: str, hedged: str, own: str, external: str
) -> None:
    found = external_part(Decimal(journal), Decimal(net), Decimal(hedged))
    assert found == (Decimal(own), Decimal(external))
    parts, _ = differences({BTC: Decimal(journal)}, {BTC: Decimal(net)}, {BTC: Decimal(hedged)})
    assert parts.get(BTC, Decimal(0)) == Decimal(external)


def test_both_legs_count_for_profit_margin_and_notional() -> None:
    account = AccountState(wallet_balance=Decimal(1000), leverage_settings={BTC: Decimal(10)})
    account.quotes[BTC] = FakeVenue().account.quotes[BTC]
    mark = account.quotes[BTC].mark
    account.hold_legs(BTC, Holding(), Holding())
    fills = ((True, "0.02", False), (False, "0.01", False), (True, "0.004", True), (False, "0.005", True))
    for is_buy, qty, closes in fills:
        account.apply_fill(
            BTC, is_buy=is_buy, qty=Decimal(qty), price=mark - 100, fee=Decimal(0), closes=closes
        )
    long, short = account.legs[BTC]
    assert (long.qty, short.qty) == (Decimal("0.015"), Decimal("-0.006"))
    assert account.positions() == {BTC: Decimal("0.009")} and account.hedges() == {BTC: Decimal("0.006")}
    assert account.unrealised_pnl() == Decimal("0.009") * 100
    assert account.notional() == Decimal("0.021") * mark


@pytest.mark.asyncio
async def test_what_holding_costs_is_summed_over_restarts(tmp_path: Path) -> None:
    """Funding and interest are no transfers: the wallet is poorer by them, and reports say by how much."""
    now_ms = time.time_ns() // 1_000_000
    venue = FakeVenue()
    async with bench(tmp_path, venue, policy=LIMITED) as one:
        one.desk.risk.tick(0)
        assert not any(one.desk.risk.carry())
        venue.account.flows.append(CashFlow("f1", Decimal("-3"), now_ms, "funding_paid"))
        venue.account.flows.append(CashFlow("f2", Decimal("1.25"), now_ms, "funding_paid"))
        venue.account.flows.append(CashFlow("i1", Decimal("-0.5"), now_ms, "interest_paid"))
        move(venue, -2, told=False)
        one.desk.risk.tick(0)
        assert one.desk.risk.guard().daily_loss_usdt == 2
    async with bench(tmp_path, policy=LIMITED) as again:
        again.desk.risk.tick(0)
        assert again.desk.risk.carry() == (Decimal("1.75"), Decimal("0.5"))
        word = status_report(again.executor, LIMITED, again.venue.account, mode="running")
    assert (word.funding_paid, word.interest_paid) == ("1.75", "0.5")
