"""The read model: everything clients may ask about the past, folded from events and from nothing else.

Belongs here: handing each event to the memory it concerns, and counting. Does not belong here: decisions,
wire text, clocks. Brought back after a restart by `keeping`, or by folding the journal's events again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulated_exchange.driver import BatchOutcome, Event
from simulated_exchange.instruments import Catalogue
from simulated_exchange.ledger.accounts import AccountMemory
from simulated_exchange.ledger.market import FundingSettlement, MarketView
from simulated_exchange.ledger.records import OrderRecord

__all__ = ["LIQUIDATIONS_MAX", "Counters", "Delivery", "Ledger", "Liquidation"]

LIQUIDATIONS_MAX = 5_000  # the latest that are remembered one by one
RATE_HOURS_MAX = 24 * 31  # of each coin's borrow rate
DELIVERIES_MAX = 500
HOUR_MS = 3_600_000

Row = tuple[Any, ...]
"""An event as the engine lays it out for this fold."""


@dataclass(slots=True)
class Counters:
    """How much happened at this venue since its journal began."""

    orders: int = 0
    trades: int = 0
    cancels: int = 0
    liquidations: int = 0
    deleveraged: int = 0
    insurance_fund: int = 0  # of the first pool


class Liquidation(NamedTuple):
    """One position that was taken over; `qty` is the position's, signed."""

    instrument: int
    wall_ms: int
    qty: int
    price: int


class Delivery(NamedTuple):
    """One contract that came to its end."""

    instrument: int
    price: int
    at_ms: int


class Ledger:
    """Public state of every instrument and the histories of watched accounts."""

    def __init__(self, instruments: int, catalogue: Catalogue | None = None) -> None:
        """Without a catalogue every instrument counts as a linear contract."""
        listed = catalogue or ()
        self._inverse = frozenset(entry.index for entry in listed if entry.is_inverse)
        self._spot = frozenset(entry.index for entry in listed if entry.is_spot)
        self.markets = [MarketView(is_inverse=index in self._inverse) for index in range(instruments)]
        self.counters = Counters()
        self.liquidations: deque[Liquidation] = deque(maxlen=LIQUIDATIONS_MAX)
        self.deliveries: deque[Delivery] = deque(maxlen=DELIVERIES_MAX)
        self.borrow_rates: dict[int, deque[tuple[int, int]]] = {}
        self.coin_prices: dict[int, int] = {}
        self.refused_collateral: set[int] = set()
        self.changed_tiers: set[int] = set()
        self.sequence = 0
        self.market_ms = 0
        self._accounts: dict[int, AccountMemory] = {}
        self._steps: tuple[Callable[[Row], None], ...] = (  # by the kind of an event's row
            self._other,
            self._accepted,
            self._cancelled,
            self._trade,
            self._fill,
            self._position,
            self._traded,
            self._level,
        )
        self._handlers: dict[type, Callable[[Any], None]] = {
            Event.OrderAmended: self._amended,
            Event.OrderConditions: self._conditions,
            Event.OrderTriggered: self._triggered,
            Event.SpotConditions: self._spot_conditions,
            Event.LeverageChanged: self._leverage,
            Event.SideLeverageChanged: self._side_leverage,
            Event.WalletChanged: self._wallet,
            Event.PriceChanged: self._price,
            Event.FundingSettled: self._funding_settled,
            Event.FundingPaid: self._funding_paid,
            Event.TakenOver: self._taken_over,
            Event.Deleveraged: self._deleveraged,
            Event.InsuranceFundChanged: self._insurance_fund,
            Event.Deposited: self._deposited,
            Event.Withdrawn: self._withdrawn,
            Event.Transferred: self._transferred,
            Event.InterestCharged: self._interest,
            Event.LendingPoolChanged: self._lending_pool,
            Event.Delivered: self._delivered,
            Event.CoinPriceChanged: self._coin_price,
            Event.CollateralChanged: self._collateral,
            Event.RiskLimitsChanged: self._risk_limits,
        }

    def watch(self, account: int) -> AccountMemory:
        """Remember this account from now on; accounts without a key are not remembered."""
        return self._accounts.setdefault(account, AccountMemory(account))

    def account(self, account: int) -> AccountMemory | None:
        """The memory of a watched account."""
        return self._accounts.get(account)

    def memories(self) -> list[AccountMemory]:
        """The memories of all watched accounts."""
        return list(self._accounts.values())

    def remember(self, memory: AccountMemory) -> None:
        """Take a memory as it was kept."""
        self._accounts[memory.account] = memory

    def rest(self) -> dict[str, Any]:
        """Everything that is neither a market nor an account's memory, by name."""
        apart = {"markets", "_accounts", "_handlers", "_steps", "_inverse", "_spot"}
        return {name: value for name, value in vars(self).items() if name not in apart}

    def set_rest(self, rest: dict[str, Any]) -> None:
        """Take the rest as it was kept."""
        vars(self).update(rest)

    def fold(self, event: Event) -> None:
        """Take one event, in the order of its sequence."""
        self.sequence = event.sequence
        self.market_ms = event.market_ms
        row = event.row()
        self._steps[row[0]](row)

    def fold_batch(self, batch: BatchOutcome) -> None:
        """Take what a batch made happen, as `fold` would one by one."""
        rows, sequence, market_ms = batch.rows()
        steps = self._steps
        for row in rows:
            steps[row[0]](row)
        if rows:
            self.sequence, self.market_ms = sequence, market_ms

    def _other(self, row: Row) -> None:
        event = row[1]
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def pass_time(self, market_ms: int) -> None:
        """Market time is this now."""
        for market in self.markets:
            market.pass_time(market_ms)

    def _accepted(self, row: Row) -> None:
        _, event, account, instrument, order_id, link_id, price, qty, wall_us = row
        self.counters.orders += 1
        memory = self._accounts.get(account)
        if memory is not None:
            last_price = self.markets[instrument].last_price
            memory.accept(OrderRecord(event, order_id, link_id, price, qty, wall_us, last_price))

    def _amended(self, event: Event.OrderAmended) -> None:
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.amend(event)

    def _conditions(self, event: Event) -> None:
        assert isinstance(event, Event.OrderConditions)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.set_conditions(event)

    def _spot_conditions(self, event: Event) -> None:
        assert isinstance(event, Event.SpotConditions)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.set_spot_conditions(event)

    def _triggered(self, event: Event) -> None:
        assert isinstance(event, Event.OrderTriggered)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.trigger(event)

    def _cancelled(self, row: Row) -> None:
        _, account, instrument, order_id, reason, counterparty, wall_us = row
        self.counters.cancels += 1
        memory = self._accounts.get(account)
        if memory is not None:
            memory.cancel(order_id, instrument, reason, counterparty, wall_us, instrument in self._spot)

    def _trade(self, row: Row) -> None:
        _, instrument, trade_id, price, qty, taker_buys, market_ms, wall_ms, sequence = row
        self.counters.trades += 1
        self.markets[instrument].add_trade(trade_id, price, qty, taker_buys, market_ms, wall_ms, sequence)

    def _fill(self, row: Row) -> None:
        memory = self._accounts.get(row[2])
        if memory is not None:
            at = row[3]
            mark_price = self.markets[at].mark_price
            is_inverse, is_spot = at in self._inverse, at in self._spot
            memory.fill(row[1], row[3:], mark_price, is_inverse=is_inverse, is_spot=is_spot)

    def _position(self, row: Row) -> None:
        _, account, instrument, index, qty, entry_price, wall_us, sequence = row
        memory = self._accounts.get(account)
        if memory is not None:
            memory.change_position(instrument, index, qty, entry_price, wall_us, sequence)

    def _leverage(self, event: Event) -> None:
        assert isinstance(event, Event.LeverageChanged)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.set_leverage(event.instrument, event.leverage, event.leverage)

    def _side_leverage(self, event: Event) -> None:
        assert isinstance(event, Event.SideLeverageChanged)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.set_leverage(event.instrument, event.buy, event.sell)

    def _traded(self, row: Row) -> None:
        memory = self._accounts.get(row[2])
        if memory is not None:
            memory.move_by_trade(row[1])

    def _wallet(self, event: Event.WalletChanged) -> None:
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.move(event)

    def _level(self, row: Row) -> None:
        _, instrument, is_bid, price, qty, sequence, wall_ms = row
        self.markets[instrument].set_level(is_bid, price, qty, sequence, wall_ms)

    def _price(self, event: Event) -> None:
        assert isinstance(event, Event.PriceChanged)
        self.markets[event.instrument].set_prices(event.index, event.mark, event.market_ms)

    def _funding_settled(self, event: Event) -> None:
        assert isinstance(event, Event.FundingSettled)
        self.markets[event.instrument].settlements.append(FundingSettlement(event.at_ms, event.rate))

    def _funding_paid(self, event: Event) -> None:
        assert isinstance(event, Event.FundingPaid)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.pay_funding(event, is_inverse=event.instrument in self._inverse)

    def _taken_over(self, event: Event) -> None:
        assert isinstance(event, Event.TakenOver)
        self.counters.liquidations += 1
        self.liquidations.append(
            Liquidation(event.instrument, event.wall_us // 1000, event.qty, event.bankruptcy_price)
        )

    def _deleveraged(self, event: Event) -> None:
        self.counters.deleveraged += 1

    def _insurance_fund(self, event: Event) -> None:
        assert isinstance(event, Event.InsuranceFundChanged)
        if event.pool == 0:
            self.counters.insurance_fund = event.balance

    def _deposited(self, event: Event) -> None:
        assert isinstance(event, Event.Deposited)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.money.deposit(event)

    def _withdrawn(self, event: Event) -> None:
        assert isinstance(event, Event.Withdrawn)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.money.withdraw(event)

    def _transferred(self, event: Event) -> None:
        assert isinstance(event, Event.Transferred)
        memory = self._accounts.get(event.source)
        if memory is not None:
            memory.money.transfer(event)

    def _interest(self, event: Event) -> None:
        assert isinstance(event, Event.InterestCharged)
        memory = self._accounts.get(event.account)
        if memory is not None:
            memory.money.charge(event)

    def _lending_pool(self, event: Event) -> None:
        assert isinstance(event, Event.LendingPoolChanged)
        rates = self.borrow_rates.setdefault(event.coin, deque(maxlen=RATE_HOURS_MAX))
        hour_ms = event.market_ms - event.market_ms % HOUR_MS
        if rates and rates[-1][0] == hour_ms:
            rates.pop()
        rates.append((hour_ms, event.borrow_rate))

    def _delivered(self, event: Event) -> None:
        assert isinstance(event, Event.Delivered)
        self.deliveries.append(Delivery(event.instrument, event.price, event.at_ms))

    def _coin_price(self, event: Event) -> None:
        assert isinstance(event, Event.CoinPriceChanged)
        self.coin_prices[event.coin] = event.price

    def _collateral(self, event: Event) -> None:
        """Account 0 is everybody: the venue takes the coin, or takes it no more."""
        assert isinstance(event, Event.CollateralChanged)
        if event.account == 0:
            (self.refused_collateral.discard if event.enabled else self.refused_collateral.add)(event.coin)

    def _risk_limits(self, event: Event) -> None:
        assert isinstance(event, Event.RiskLimitsChanged)
        self.changed_tiers.add(event.instrument)
