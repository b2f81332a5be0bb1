"""What a venue's operators, and who lends to it, do about money: `/sim/collateral`, `/sim/smp-group`,
`/sim/lending`.

Belongs here: the shape of a request, from plain fields to the driver's calls. Does not belong here: what
collateral, groups and pools mean (the engine), what has a place in Bybit's v5 (`gateway/rest`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulated_exchange.accounts import Member
from simulated_exchange.driver import LendingPoolView, Outcome, Reject
from simulated_exchange.gateway.translate.numbers import decimal_text, parse_decimal, rate12_text
from simulated_exchange.gateway.translate.refusals import bad_request
from simulated_exchange.gateway.translate.rejects import loan_refusal
from simulated_exchange.gateway.venue import SETTLE_COIN, Venue

__all__ = ["MoneyRoutes"]

GROUP_MAX = 2**32 - 1
_WORDS = {
    Reject.CoinNotLent: "coin has no lending pool",
    Reject.PoolShort: "amount is more than the pool has in cash",
    Reject.WithdrawTooLarge: "amount is more than there is to give",
    Reject.AmountInvalid: "amount is too small or too large",
}

Result = dict[str, Any]
Body = Mapping[str, Any]
Step = Callable[[Mapping[str, str], Body], Result]


class MoneyRoutes:
    """Answers of these routes; writes are durable when the answer leaves."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.steps: dict[tuple[str, str], Step] = {
            ("POST", "/sim/collateral"): self._set_collateral,
            ("POST", "/sim/smp-group"): self._set_smp_group,
            ("POST", "/sim/lending/supply"): self._supply,
            ("POST", "/sim/lending/redeem"): self._redeem,
            ("GET", "/sim/lending"): self._lending,
        }

    def _set_collateral(self, _query: Mapping[str, str], body: Body) -> Result:
        """Whether the venue takes a coin as collateral, from anybody."""
        coin, enabled = self._coin(body.get("coin")), body.get("enabled")
        if type(enabled) is not bool:
            raise bad_request("params error: enabled must be true or false")
        _done(self._venue.driver.set_venue_collateral(coin=coin, enabled=enabled))
        return {"coin": body["coin"], "enabled": enabled}

    def _set_smp_group(self, _query: Mapping[str, str], body: Body) -> Result:
        """Accounts of one group are one trader to self-match prevention; 0 takes an account out."""
        member, group = self._member(body), body.get("group")
        if type(group) is not int or not 0 <= group <= GROUP_MAX:
            raise bad_request(f"params error: group must be 0 to {GROUP_MAX}")
        _done(self._venue.driver.set_smp_group(account=member.account, group=group))
        return {"name": member.name, "group": group}

    def _supply(self, _query: Mapping[str, str], body: Body) -> Result:
        """Lend to a coin's pool, out of the funding wallet."""
        member, coin = self._member(body), self._coin(body.get("coin", SETTLE_COIN))
        amount = _amount(body)
        _done(self._venue.driver.supply(account=member.account, coin=coin, amount=amount))
        return self._standing(member, coin)

    def _redeem(self, _query: Mapping[str, str], body: Body) -> Result:
        """Take back what was lent, without an amount all of it, into the funding wallet."""
        member, coin = self._member(body), self._coin(body.get("coin", SETTLE_COIN))
        amount = _amount(body) if "amount" in body else 0
        _done(self._venue.driver.redeem(account=member.account, coin=coin, amount=amount))
        return self._standing(member, coin)

    def _lending(self, query: Mapping[str, str], _body: Body) -> Result:
        """Every lending pool, or that of one coin: what it has lent, and at which rates of an hour."""
        driver, names = self._venue.driver, self._venue.driver.engine.coins()
        wanted = range(len(names)) if "coin" not in query else [self._coin(query["coin"])]
        lent = {coin.index for coin in self._venue.coins if coin.lending}
        return {"pools": {names[coin]: _pool(driver.lending_pool(coin)) for coin in wanted if coin in lent}}

    def _standing(self, member: Member, coin: int) -> Result:
        driver = self._venue.driver
        funding = (row.funding_balance for row in driver.purses(member.account) if row.coin == coin)
        return {
            "name": member.name,
            "coin": driver.engine.coins()[coin],
            "supplied": decimal_text(driver.supplied_amount(member.account, coin)),
            "funding_balance": decimal_text(next(funding, 0)),
        }

    def _coin(self, name: object) -> int:
        names = self._venue.driver.engine.coins()
        if not isinstance(name, str) or name not in names:
            raise bad_request(f"params error: coin must be one of {', '.join(names)}")
        return names.index(name)

    def _member(self, body: Body) -> Member:
        name = body.get("name")
        member = self._venue.keys.by_name(name) if isinstance(name, str) else None
        if member is None:
            raise bad_request("params error: name must be that of an account")
        return member


def _amount(body: Body) -> int:
    amount = parse_decimal(body.get("amount"))
    if not amount:
        raise bad_request("params error: amount must be a decimal string above zero")
    return amount


def _pool(pool: LendingPoolView) -> Result:
    amounts = {"assets": pool.assets, "cash": pool.cash, "loans": pool.loans, "lendable": pool.lendable}
    return {
        **{name: decimal_text(amount) for name, amount in amounts.items()},
        "redeemable": decimal_text(pool.redeemable),
        "utilisation": decimal_text(pool.utilisation),
        "borrow_rate": rate12_text(pool.borrow_rate),
        "supply_rate": rate12_text(pool.supply_rate),
        "strain": pool.strain.name,
    }


def _done(outcome: Outcome) -> None:
    reject = outcome.reject
    if reject in _WORDS:
        raise bad_request(f"params error: {_WORDS[reject]}")
    if reject is not None:
        raise loan_refusal(reject)
