"""Two leaders on one account, whatever they sign and whatever the venue does: no cap is passed by both
together, none by one alone, and who has left has nothing left.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from follower_client.core.policy import Policy
from follower_client.venue.port import Ending, OrderRequest, SubmitResult
from tests.unit.follower_client.build import BTC
from tests.unit.follower_client.fake_venue import FakeVenue
from tests.unit.follower_client.test_several_leaders import NAMES, POLICY, two

PRICE = Decimal(100_000)
LEADER_MAX = Decimal(12_000)
RULES = replace(
    POLICY,
    leverage_max=Decimal(2),
    notional_per_symbol_max_usdt=Decimal(18_000),
    notional_per_leader_max_usdt=LEADER_MAX,
    orders_per_10_s_max=1000,
)
FATES = ("well", "well", "well", "rejected", "half")
Step = tuple[str, str, str]
steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(("0", "1", "-1", "3", "-3", "5", "-5", "1000", "-1000")),
        st.sampled_from(FATES),
    ),
    min_size=1,
    max_size=10,
)


class Moody(FakeVenue):
    """The next entry meets its fate; exits go well."""

    def __init__(self) -> None:
        super().__init__()
        self.fate = "well"
        self.highest = Decimal(0)

    async def submit(self, request: OrderRequest) -> SubmitResult:
        if self.fate == "rejected" and not request.closes:
            return SubmitResult(Ending.REJECTED, None, "110007")
        self.fill_share = Decimal("0.5") if self.fate == "half" and not request.closes else Decimal(1)
        result = await super().submit(request)
        self.highest = max(self.highest, abs(self.account.positions().get(BTC, Decimal(0))))
        return result


async def play(run: list[Step], policy: Policy) -> None:
    venue = Moody()
    with tempfile.TemporaryDirectory() as folder:
        async with two(Path(folder), venue, policy) as here:
            for name, after, fate in run:
                if Decimal(after) == here.qtys[name]:
                    continue
                venue.fate = fate
                copy = await here.trade(name, after)
                assert copy.verdict and copy.reason and copy.detail
                held, parts = here.held()
                assert held == sum(parts.values()), "whose is it"
                for part in parts.values():
                    assert abs(part) * PRICE <= LEADER_MAX
                if here.qtys[name] == 0:
                    assert name not in parts, "he left, and something stays"
            equity = venue.account.equity()
            assert equity is not None
            assert venue.highest * PRICE <= min(Decimal(18_000), 2 * Decimal(10_000))


@settings(max_examples=25, deadline=None, print_blob=True)
@given(run=steps, reverse=st.booleans())
def test_two_leaders_pass_no_cap_together_nor_alone(run: list[Step], reverse: bool) -> None:
    asyncio.run(play(run, replace(RULES, reverse=reverse)))
