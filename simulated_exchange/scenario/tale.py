"""What a run did to people's money: folded from the venue's events, looked up between ticks, ready to tell.

Belongs here: who was liquidated, what was borrowed and at what rate, what became of fund and pool, who was
deleveraged from which place of the queue, whether everything adds up. Does not belong here: printing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulated_exchange.driver import Driver, Event, LendingPoolView, Side

__all__ = ["Tale"]

SCALE = Decimal(10**8)
RATE_SCALE = Decimal(10**12)
HOURS_PER_YEAR = Decimal(24 * 365)
SETTLE_COIN = 0
PLACES_KEPT = 10
SHARE_ONE = 10**8


def money(value: int) -> str:
    """Units of 10**-8 as a decimal text."""
    return f"{(Decimal(value) / SCALE).normalize():f}"


def share(value: int) -> str:
    """A part of one in 10**-8 as a decimal text."""
    return f"{Decimal(value) / SCALE:.4f}"


def yearly(hourly: int) -> str:
    """A rate of an hour in 10**-12 as the rate of a year."""
    return f"{Decimal(hourly) / RATE_SCALE * HOURS_PER_YEAR:.4f}"


@dataclass(slots=True)
class Pool:
    """The lending pool's way through the run."""

    loans_max: int = 0
    utilisation_max: int = 0
    borrow_rate_min: int = 0
    borrow_rate_max: int = 0
    supply_rate_max: int = 0
    samples: list[list[str]] = field(default_factory=list)

    def note(self, seen: Event.LendingPoolChanged | LendingPoolView) -> None:
        """Keep the extremes; an event and a look tell the same things of a pool."""
        self.loans_max = max(self.loans_max, seen.loans)
        self.utilisation_max = max(self.utilisation_max, seen.utilisation)
        self.borrow_rate_min = min(self.borrow_rate_min or seen.borrow_rate, seen.borrow_rate)
        self.borrow_rate_max = max(self.borrow_rate_max, seen.borrow_rate)
        self.supply_rate_max = max(self.supply_rate_max, seen.supply_rate)


class Tale:
    """Listens to a venue from its first command on; `look` between ticks, `told` at the end."""

    def __init__(self, driver: Driver, symbols: Sequence[str], samples: int = 24, ticks: int = 1) -> None:
        self._driver = driver
        self._symbols = symbols
        self._counts: Counter[str] = Counter()
        self._taken_over: list[dict[str, str]] = []
        self._liquidated: set[int] = set()
        self._borrowers: set[int] = set()
        self._deleveraged: list[dict[str, Any]] = []
        self._queues: dict[tuple[int, bool], dict[int, tuple[int, int]]] = {}
        self._rankings: dict[int, list[dict[str, Any]]] = {}
        self._adl_begun: list[dict[str, str]] = []
        self._interest = self._converted = self._forced = 0
        self._pool = Pool()
        self._fund_start = self._fund_min = driver.insurance_pool()
        self._fund_flow: dict[str, int] = defaultdict(int)
        self._every = max(1, ticks // samples)
        self._ticks = 0
        self._handlers = {
            Event.LiquidationStarted: self._liquidation,
            Event.TakenOver: self._take_over,
            Event.BorrowChanged: self._borrow,
            Event.InterestCharged: self._charge,
            Event.Converted: self._conversion,
            Event.Repaid: self._repayment,
            Event.LendingPoolChanged: self._lend,
            Event.InsuranceFundChanged: self._fund,
            Event.AdlStarted: self._adl_start,
            Event.Deleveraged: self._deleverage,
        }
        driver.subscribe(self._hear)

    # -- listening ------------------------------------------------------------------------------------------

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)

    def _liquidation(self, event: Any) -> None:
        self._counts["liquidations"] += 1
        self._liquidated.add(event.account)

    def _take_over(self, event: Any) -> None:
        self._taken_over.append(
            {
                "account": str(event.account),
                "symbol": self._symbols[event.instrument],
                "qty": money(event.qty),
                "bankruptcy_price": money(event.bankruptcy_price),
            }
        )

    def _borrow(self, event: Any) -> None:
        if event.borrowed:
            self._borrowers.add(event.account)

    def _charge(self, event: Any) -> None:
        if event.coin == SETTLE_COIN:
            self._interest += event.interest

    def _conversion(self, _event: Any) -> None:
        self._converted += 1

    def _repayment(self, event: Any) -> None:
        self._counts[f"repaid {event.reason.name}"] += 1

    def _lend(self, event: Any) -> None:
        if event.coin == SETTLE_COIN:
            self._pool.note(event)

    def _fund(self, event: Any) -> None:
        if event.pool == 0:
            self._fund_min = min(self._fund_min, event.balance)
            self._fund_flow["gained" if event.change > 0 else "paid"] += event.change

    def _adl_start(self, event: Any) -> None:
        self._adl_begun.append({"symbol": self._symbols[event.instrument], "ratio": share(event.ratio)})

    def _deleverage(self, event: Any) -> None:
        """The place is that of the last look: before the fall of this tick."""
        queue = self._queues.get((event.instrument, event.qty > 0), {})
        place, lights = queue.get(event.account, (0, 0))
        self._deleveraged.append(
            {
                "account": event.account,
                "symbol": self._symbols[event.instrument],
                "qty": money(event.qty),
                "price": money(event.price),
                "place_before": place or None,
                "lights_before": lights or None,
            }
        )
        if event.instrument not in self._rankings:
            self._rankings[event.instrument] = [
                {"place": place, "account": account, "lights": lights}
                for account, (place, lights) in list(queue.items())[:PLACES_KEPT]
            ]

    # -- looking --------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Between two ticks: the queues as they stand, and now and then the pool."""
        self._ticks += 1
        engine = self._driver.engine
        for instrument in range(len(self._symbols)):
            for is_long in (True, False):
                places = engine.adl_places(instrument, Side.Buy if is_long else Side.Sell)
                self._queues[instrument, is_long] = {
                    place.account: (number, place.lights) for number, place in enumerate(places, start=1)
                }
        pool = engine.lending_pool(SETTLE_COIN)
        self._pool.note(pool)
        if self._ticks % self._every == 0:
            prices = self._driver.prices(0)
            self._pool.samples.append(
                [
                    str(self._driver.market_ms()),
                    money(prices.mark),
                    money(pool.loans),
                    share(pool.utilisation),
                    yearly(pool.borrow_rate),
                    money(self._driver.insurance_pool()),
                ]
            )

    # -- telling --------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Everything, JSON-able; money as decimal strings of the settlement coin."""
        books = self._driver.conservation()
        pool = self._driver.engine.lending_pool(SETTLE_COIN)
        return {
            "liquidations": {
                "started": self._counts["liquidations"],
                "accounts": len(self._liquidated),
                "taken_over": len(self._taken_over),
                "positions": self._taken_over,
            },
            "borrowing": {
                "accounts": len(self._borrowers),
                "loans_max": money(self._pool.loans_max),
                "interest": money(self._interest),
                "collateral_sales": self._converted,
                "repayments": {
                    name.removeprefix("repaid "): count
                    for name, count in sorted(self._counts.items())
                    if name.startswith("repaid ")
                },
            },
            "lending_pool": {
                "assets": money(pool.assets),
                "loans": money(pool.loans),
                "utilisation_max": share(self._pool.utilisation_max),
                "borrow_rate_year_min": yearly(self._pool.borrow_rate_min),
                "borrow_rate_year_max": yearly(self._pool.borrow_rate_max),
                "supply_rate_year_max": yearly(self._pool.supply_rate_max),
                "strain": pool.strain.name,
            },
            "insurance_fund": {
                "start": money(self._fund_start),
                "lowest": money(self._fund_min),
                "end": money(self._driver.insurance_pool()),
                "drawn": share(SHARE_ONE - self._fund_min * SHARE_ONE // max(1, self._fund_start)),
                "gained": money(self._fund_flow["gained"]),
                "paid": money(-self._fund_flow["paid"]),
            },
            "adl": {
                "begun": self._adl_begun,
                "deleveraged": self._deleveraged,
                "ranking_before": {
                    self._symbols[instrument]: places for instrument, places in self._rankings.items()
                },
            },
            "timeline": {
                "columns": ["market_ms", "mark", "loans", "utilisation", "borrow_rate_year", "fund"],
                "rows": self._pool.samples,
            },
            "conservation_delta": money(max(abs(coin.delta) for coin in books.coins)),
            "positions_sum_to_zero": all(total == 0 for total in books.position_qty_sums),
            "commands": self._driver.command_count(),
            "state_hash": self._driver.state_hash(),
        }
