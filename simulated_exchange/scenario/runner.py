"""The scenario as a task of the venue: ticks, commands to the driver, news back to the world, the report.

Belongs here: everything of a scenario that touches the venue or waits. Does not belong here: decisions
(`world`), prices (`paths`), files (`replay_files`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import structlog

from simulated_exchange.driver import Driver, Event, OrderType, Outcome, Side, TimeInForce, Wallet
from simulated_exchange.driver_markets import MARK_SOURCES
from simulated_exchange.scenario.build import Plan
from simulated_exchange.scenario.checks import MarkCheck, Percentiles, Samples
from simulated_exchange.scenario.commands import (
    Advance,
    Amend,
    Cancel,
    Command,
    Follow,
    Observe,
    Place,
    SetIndex,
)
from simulated_exchange.scenario.config import ScenarioConfig
from simulated_exchange.scenario.errors import ScenarioError
from simulated_exchange.scenario.fixed import SCALE, gap_bps, to_decimal, to_fixed
from simulated_exchange.scenario.paths import BAR_WALK
from simulated_exchange.scenario.replay import utc_text
from simulated_exchange.scenario.replay_files import Replay
from simulated_exchange.scenario.window import WINDOW_RULE
from simulated_exchange.scenario.world import MarketState, Tick, World

__all__ = ["Scenario"]

log = structlog.get_logger(__name__)

MAKER_DEPOSIT_USDT = Decimal(400_000_000)
MAKER_LEVERAGE = 1000  # hundredths
NOISE_DEPOSIT_USDT = Decimal(20_000_000)
COIN_MARGIN_FACTOR = Decimal("1.05")  # a coin counts for less than it is worth
COMMANDS_BETWEEN_YIELDS = 40  # so that a request waits for part of a tick at most
REFUSAL_KINDS_MAX = 32


class Scenario:
    """All ambient activity of one venue. `prepare` fills the books, `run` goes on until it is cancelled."""

    def __init__(
        self, driver: Driver, config: ScenarioConfig, plan: Plan, world: World, replay: Replay | None
    ) -> None:
        self.config = config
        self._driver = driver
        self._plan = plan
        self._world = world
        self._replay = replay
        self._opened_wall_ms = driver.clock.wall_us() // 1000 - round(plan.elapsed_ms(driver.market_ms()))
        self._prepared = False
        self._ticks = self._late_ticks = self._commands = 0
        self._tick_cost_ms = Percentiles()
        self._refusals: Counter[str] = Counter()
        self._tracking = {state.market.instrument: Percentiles() for state in world.states}
        self._followed: dict[int, int] = {}
        self._samples = {state.market.instrument: Samples() for state in world.states}
        self._mark_checks = self._plan_mark_checks()
        self._news: dict[type[Any], Callable[[Any], None]] = {
            Event.OrderAccepted: lambda event: world.accepted(event.link_id, event.order_id),
            Event.OrderCancelled: lambda event: world.gone(event.order_id),
            Event.Fill: self._filled,
            Event.Trade: self._traded,
            Event.LiquidationStarted: lambda event: world.liquidated(event.account),
        }

    def begin(self) -> None:
        """Market time starts to run now (it stood still before)."""
        elapsed_ms = self._plan.elapsed_ms(self._driver.market_ms())
        self._opened_wall_ms = self._driver.clock.wall_us() // 1000 - round(elapsed_ms)

    # -- running --------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Open the accounts, give them money, set prices and fill the books. Does nothing the second time."""
        if self._prepared:
            return
        self._prepared = True
        self._driver.subscribe(self._hear)
        fresh = True
        if self.config.mark_source is not None:
            for state in self._world.states:
                source = MARK_SOURCES[self.config.mark_source]
                self._driver.set_mark_source(instrument=state.market.instrument, source=source)
        for state in self._world.states:
            funded = [(maker.account, to_fixed(MAKER_DEPOSIT_USDT)) for maker in state.makers]
            funded += [(account, to_fixed(NOISE_DEPOSIT_USDT)) for account in state.noise_accounts]
            for account, deposit in funded:
                is_new = self._open(account, deposit, state, MAKER_LEVERAGE)
                fresh &= is_new
                if is_new:
                    self._stock(account, deposit, state)
        states = {state.market.instrument: state for state in self._world.states}
        for trader in self._world.crowd.traders:
            state = states[trader.market.instrument]
            if trader.pays_in_coin:
                amount, coin = self._in_coin(trader.deposit, state)
            else:
                amount, coin = trader.deposit, 0
            fresh &= self._open(trader.account, amount, state, trader.leverage, coin)
        self._supply()
        if not fresh:  # a venue that came back: the crowd has its positions already
            self._world.crowd.next_intent = len(self._world.crowd.intents)
        for command in self._begin_tick():
            self._carry_out(command)

    async def run(self) -> None:
        """Tick for as long as the venue serves; a late tick is done once, not made up for."""
        self.prepare()
        loop = asyncio.get_running_loop()
        period = self.config.tick_ms / 1000
        due = loop.time() + period
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            if loop.time() - due > period:
                self._late_ticks += 1
                due = loop.time()
            due += period
            for number, command in enumerate(self._due(), start=1):
                self._carry_out(command)
                if number % COMMANDS_BETWEEN_YIELDS == 0:
                    await asyncio.sleep(0)

    def moves(self) -> frozenset[int]:
        """The instruments whose index this scenario moves."""
        followers = (follower.instrument for follower in self._world.followers)
        return frozenset((*followers, *(state.market.instrument for state in self._world.states)))

    def tick(self) -> None:
        """One whole tick, now."""
        for command in self._due():
            self._carry_out(command)

    def _due(self) -> list[Command]:
        """The commands of a tick. While the market is held no time passes, so nobody moves."""
        return [] if self._driver.clock.is_held else self._begin_tick()

    def _begin_tick(self) -> list[Command]:
        market_ms = self._driver.market_ms()
        self._ticks += 1
        started = time.perf_counter()
        commands = self._world.step(Tick(round(self._plan.elapsed_ms(market_ms)), market_ms))
        self._tick_cost_ms.record((time.perf_counter() - started) * 1000)
        return commands

    def _supply(self) -> None:
        """The scenario's suppliers lend to the pool of the settlement coin, each the same."""
        lending = self.config.lending
        if lending is None:
            return
        first = self._world.last_account() + 1
        each = to_fixed(lending.supplied_usdt) // lending.suppliers
        for account in range(first, first + lending.suppliers):
            if self._driver.create_account(account).reject is None:
                self._driver.deposit(account, each)
                self._driver.transfer(
                    source=account,
                    target=account,
                    coin=0,
                    amount=each,
                    from_wallet=Wallet.Unified,
                    to_wallet=Wallet.Funding,
                )
                self._driver.supply(account=account, coin=0, amount=each)

    def _in_coin(self, deposit: int, state: MarketState) -> tuple[int, int]:
        """(amount, coin): the worth of a deposit in the market's base coin, with the haircut made up for."""
        listed = self._driver.engine.instruments()[state.market.instrument]
        coins = self._driver.engine.coins()
        if listed.base not in coins:
            raise ScenarioError(
                f"{self.config.name}: crowd.coin_margin_share: {listed.base} is no listed coin"
            )
        price = to_fixed(state.config.start_price or 0)
        return round(deposit * SCALE * COIN_MARGIN_FACTOR / price), coins.index(listed.base)

    def _stock(self, account: int, worth: int, state: MarketState) -> None:
        """As much again in the coin that the market sells or settles in, where that is another one."""
        market = state.market
        listed = self._driver.engine.instruments()[market.instrument]
        in_base = market.is_spot or market.is_inverse
        coin = self._driver.engine.coins().index(listed.base if in_base else listed.quote)
        if coin:
            price = market.index_paths[0].price_at(self._plan.start_ms) if in_base else SCALE
            self._driver.deposit(account, worth * SCALE // price, coin)

    def _open(self, account: int, deposit: int, state: MarketState, leverage: int, coin: int = 0) -> bool:
        """Open and fund an account; False when it was there already, then its old orders go."""
        if self._driver.create_account(account).reject is not None:
            self._driver.cancel_all(account=account)
            for position in self._driver.positions(account):
                if position.instrument == state.market.instrument:
                    state.positions[account] = position.qty
            return False
        self._driver.deposit(account, deposit, coin)
        self._driver.set_leverage(account=account, instrument=state.market.instrument, leverage=leverage)
        return True

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Observe):
            self._observe(command)
            return
        if isinstance(command, Follow):
            self._followed[command.instrument] = command.price
            return
        self._commands += 1
        outcome = self._send(command)
        if outcome.reject is None:
            return
        reason = f"{type(command).__name__}: {outcome.reject.name}"
        if reason in self._refusals or len(self._refusals) < REFUSAL_KINDS_MAX:
            self._refusals[reason] += 1
        instead = self._world.refused(command)
        if instead is not None:
            self._send(instead)

    def _send(self, command: Command) -> Outcome:
        driver = self._driver
        match command:
            case SetIndex(instrument, source, price):
                return driver.set_index_source(instrument=instrument, source=source, price=price)
            case Amend(account, order_id, price, qty):
                return driver.amend_order(account=account, order_id=order_id, price=price, qty=qty)
            case Cancel(account, order_id):
                return driver.cancel_order(account=account, order_id=order_id)
            case Place():
                return driver.place_order(
                    account=command.account,
                    instrument=command.instrument,
                    side=Side.Buy if command.buy else Side.Sell,
                    order_type=OrderType.Limit if command.price else OrderType.Market,
                    time_in_force=TimeInForce.GoodTillCancel
                    if command.price
                    else TimeInForce.ImmediateOrCancel,
                    qty=command.qty,
                    price=command.price,
                    reduce_only=command.reduce_only,
                    link_id=command.link_id,
                )
            case _:
                assert isinstance(command, Advance)
                return driver.advance_time()

    # -- news -----------------------------------------------------------------------------------------------

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            handler = self._news.get(type(event))
            if handler is not None:
                handler(event)

    def _filled(self, event: Any) -> None:
        self._world.filled(
            order_id=event.order_id,
            account=event.account,
            instrument=event.instrument,
            buy=event.side == Side.Buy,
            price=event.price,
            qty=event.qty,
            leaves=event.leaves,
            position_qty=event.position_qty,
        )

    def _traded(self, event: Any) -> None:
        self._world.traded(event.instrument, event.price)
        path = self._followed.get(event.instrument)
        if path is not None:
            self._tracking[event.instrument].record(gap_bps(event.price, path))

    def _observe(self, command: Observe) -> None:
        prices = self._driver.prices(command.instrument)
        check = self._mark_checks.get(command.instrument)
        if check is not None:
            check.observe(command.path_ms, prices.mark)
        self._samples[command.instrument].add([command.path_ms, prices.index, prices.mark, prices.last])

    # -- report ---------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """What was planned and what came of it; JSON-able. Gaps are in basis points, sizes not signs."""
        world, replay = self._world, self._replay
        replayed = [state.market.symbol for state in world.states if state.market.replayed]
        return {
            "name": self.config.name,
            "seed": self._plan.seed,
            "seconds": self._plan.seconds,
            "time_factor": self._plan.factor,
            "from_ms": self._plan.start_ms,
            "to_ms": self._plan.market_ms(self._plan.wall_ms),
            "from": utc_text(self._plan.start_ms),
            "to": utc_text(self._plan.market_ms(self._plan.wall_ms)),
            "replay": replay.report() if replay is not None else None,
            "window_rule": WINDOW_RULE if replay is not None and replay.chosen else None,
            "bar_walk": BAR_WALK if replay is not None else None,
            "replayed_symbols": replayed,
            "synthetic_symbols": [state.market.symbol for state in world.states if not state.market.replayed],
            "shocks": self._shocks(),
            "mark_check": self._mark_check_report(),
            "tracking_bps": self._by_symbol(self._tracking, Percentiles.summary),
            "crowd": {
                "traders": len(world.crowd.traders),
                "long": sum(trader.buy for trader in world.crowd.traders),
                "liquidated": len(world.crowd.liquidated),
            },
            "makers_liquidated": sorted(world.makers_liquidated),
            "ticks": self._ticks,
            "late_ticks": self._late_ticks,
            "decide_ms": self._tick_cost_ms.summary(),
            "commands": self._commands,
            "commands_deferred": world.commands_deferred,
            "turns_skipped": sum(state.waypoints_skipped for state in world.states),
            "refusals": dict(self._refusals),
            "prices": self._by_symbol(self._samples, self._sample_rows),
        }

    def _plan_mark_checks(self) -> dict[int, MarkCheck]:
        checks = {}
        for state in self._world.states if self._replay is not None else ():
            assert self._replay is not None
            for file in self._replay.of("mark_check", state.market.symbol):
                tolerance_bps = self.config.mark_check_tolerance_bps
                checks[state.market.instrument] = MarkCheck(file.bars, self._replay.window, tolerance_bps)
        return checks

    def _mark_check_report(self) -> dict[str, Any]:
        for check in self._mark_checks.values():
            check.finish(self._driver.market_ms())
        return self._by_symbol(self._mark_checks, MarkCheck.summary)

    def _shocks(self) -> list[dict[str, Any]]:
        """Where to look in the picture: a shock's turns, a recording's lowest and highest point."""
        shocks = []
        for state in self._world.states:
            end_ms = self._plan.market_ms(self._plan.wall_ms)
            for kind, market_ms in state.turning_points(self._plan.start_ms, end_ms):
                row = {"symbol": state.market.symbol, "kind": kind, "wall_ms": self._wall_ms(market_ms)}
                shocks.append({**row, "market_ms": market_ms})
        return shocks

    def _wall_ms(self, market_ms: int) -> int:
        """When the market clock shows this."""
        return self._opened_wall_ms + round(self._plan.elapsed_ms(market_ms))

    def _sample_rows(self, samples: Samples) -> list[list[Any]]:
        """[wall_ms, market_ms, index, mark, last], prices as decimal strings."""
        return [
            [self._wall_ms(row[0]), row[0], *(f"{to_decimal(price).normalize():f}" for price in row[1:])]
            for row in samples.rows
        ]

    def _by_symbol(self, values: dict[int, Any], render: Callable[[Any], Any]) -> dict[str, Any]:
        return {
            state.market.symbol: render(values[state.market.instrument])
            for state in self._world.states
            if state.market.instrument in values
        }
