"""The ambient world as a deterministic machine: a tick in, commands out.

Belongs here: the order of things within a tick (index, quotes, takers, crowd, time, look) and what the world
must remember of its orders. Randomness comes from its seed, time from the ticks, news through `accepted`,
`filled`, `gone`, `refused` and `liquidated`: the same seed, ticks and news give the same commands. Does not
belong here: the venue, clocks, files (`runner`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulated_exchange.scenario.commands import Advance, Cancel, Command, Follow, Observe, Place, SetIndex
from simulated_exchange.scenario.config import ScenarioConfig, SymbolConfig
from simulated_exchange.scenario.crowd import Crowd
from simulated_exchange.scenario.fixed import MILLI_BPS, SCALE, share_of
from simulated_exchange.scenario.makers import Calm, Level, Maker, requote, taken, weather
from simulated_exchange.scenario.market import Follower, Market
from simulated_exchange.scenario.takers import follow_print, noise_orders

__all__ = ["MarketState", "Tick", "World"]

WAYPOINTS_PER_TICK_MAX = 6
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of time: wall milliseconds since the start, and the market time."""

    wall_ms: int
    market_ms: int


@dataclass(slots=True)
class MarketState:
    """What the world remembers of one market."""

    market: Market
    config: SymbolConfig
    makers: list[Maker]
    noise_accounts: list[int]
    fast_threshold_bps: float
    base: int = 0  # the quote path, now
    quoted_around: int = 0  # the fair price of the newest quotes
    last_print: int = 0
    impact_micro_bps: int = 0
    speeds: deque[tuple[int, int]] = field(default_factory=deque)
    positions: dict[int, int] = field(default_factory=dict)
    waypoints_skipped: int = 0

    def fair(self) -> int:
        """Where the makers see the price: the path, moved by what was taken lately."""
        return self.base + share_of(self.base, self.impact_micro_bps // 1000)

    def turning_points(self, from_ms: int, to_ms: int) -> list[tuple[str, int]]:
        """(kind, market time): a synthetic shock's turns, or a recording's lowest and highest point."""
        times = self.market.quote_path.waypoints(from_ms - 1, to_ms)
        if not times:
            return []
        if not self.market.replayed:
            return list(zip(("shock", "bottom", "recovered"), times, strict=False))
        prices = [self.market.quote_path.price_at(time_ms) for time_ms in times]
        low, high = prices.index(min(prices)), prices.index(max(prices))
        return sorted([("low", times[low]), ("high", times[high])], key=lambda point: point[1])


class World:
    """All ambient traders of all markets."""

    def __init__(
        self,
        config: ScenarioConfig,
        states: list[MarketState],
        crowd: Crowd,
        followers: Sequence[Follower] = (),
        *,
        seed: int,
        link_tag: str,
    ) -> None:
        self.config = config
        self.states = states
        self.crowd = crowd
        self.followers = followers
        self.link_tag = link_tag
        self.tick = Tick(0, 0)
        self.started = False
        self.makers_liquidated: set[int] = set()
        self.commands_deferred = 0
        self._random = random.Random(f"world-{seed}")
        self._by_instrument = {state.market.instrument: state for state in states}
        self._maker_accounts = {maker.account for state in states for maker in state.makers}
        self._crowd_accounts = {trader.account for trader in crowd.traders}
        self._placing: dict[str, tuple[MarketState, Maker, Level]] = {}
        self._resting: dict[int, tuple[MarketState, Maker, Level]] = {}
        self._quotes = sum(len(maker.levels) for state in states for maker in state.makers)

    def last_account(self) -> int:
        """The highest number of any ambient trader."""
        noise = [account for state in self.states for account in state.noise_accounts]
        return max([*self._maker_accounts, *self._crowd_accounts, *noise])

    # -- a tick ---------------------------------------------------------------------------------------------

    def step(self, tick: Tick) -> list[Command]:
        """What the ambient traders do at this tick, in order; at most `commands_per_tick_max` commands,
        and one for each index source that follows."""
        before = self.tick if self.started else Tick(tick.wall_ms, tick.market_ms)
        commands: list[Command] = []
        for state in self.states:
            self._decay_impact(state, tick.wall_ms - before.wall_ms)
            for path_ms in self._turns(state, before.market_ms, tick.market_ms):
                self._move(state, path_ms, tick.wall_ms, commands, turning=True)
            self._move(state, tick.market_ms, tick.wall_ms, commands, turning=False)
        for state in self.states:
            self._noise(state, tick.wall_ms - before.wall_ms, commands)
        self._crowd(tick.wall_ms, commands)
        commands.extend(
            SetIndex(follower.instrument, source, path.price_at(tick.market_ms))
            for follower in self.followers
            for source, path in enumerate(follower.index_paths)
        )
        commands.append(Advance())
        commands.extend(Observe(state.market.instrument, tick.market_ms) for state in self.states)
        self.tick, self.started = tick, True
        return commands

    def _turns(self, state: MarketState, after_ms: int, until_ms: int) -> list[int]:
        """The times between two ticks at which a path of this market turns; the newest of many."""
        paths = [*state.market.index_paths, state.market.quote_path]
        times = sorted({time_ms for path in paths for time_ms in path.waypoints(after_ms, until_ms - 1)})
        kept = times[-WAYPOINTS_PER_TICK_MAX:]
        state.waypoints_skipped += len(times) - len(kept)
        return kept

    def _move(
        self, state: MarketState, path_ms: int, wall_ms: int, commands: list[Command], *, turning: bool
    ) -> None:
        market = state.market
        for source, path in enumerate(market.index_paths):
            commands.append(SetIndex(market.instrument, source, path.price_at(path_ms)))
        state.base = market.quote_path.price_at(path_ms)
        state.last_print = state.last_print or state.base
        commands.append(Follow(market.instrument, state.base))
        if turning and self._room(commands) < 2 * self._quotes:
            return  # a turn on the way is skipped by the makers before the tick's own quotes are
        calm = self._weather(state, wall_ms)
        previous, state.quoted_around = state.quoted_around, state.fair()
        bids: list[Command] = []
        asks: list[Command] = []
        for maker in state.makers:
            maker_bids, maker_asks = requote(
                maker, state.quoted_around, calm, wall_ms, market, self.link_tag, place=not turning
            )
            bids += maker_bids
            asks += maker_asks
            for level in maker.levels:
                if level.link_id and not level.order_id:
                    self._placing[level.link_id] = (state, maker, level)
        commands += asks + bids if state.quoted_around >= previous else bids + asks
        printed = follow_print(
            state.config.noise, market, state.base, state.last_print, state.noise_accounts, self._random
        )
        if printed is not None:
            commands.append(printed)
        if turning:
            commands.append(Observe(market.instrument, path_ms))

    def _noise(self, state: MarketState, elapsed_ms: int, commands: list[Command]) -> None:
        held = sum(state.positions.get(account, 0) for account in state.noise_accounts)
        orders = noise_orders(
            state.config.noise, state.market, state.base, elapsed_ms, state.noise_accounts, held, self._random
        )
        room = max(0, self._room(commands))
        self.commands_deferred += max(0, len(orders) - room)
        commands.extend(orders[:room])

    def _crowd(self, wall_ms: int, commands: list[Command]) -> None:
        limit = min(self.config.crowd.orders_per_tick_max, self._room(commands))
        for intent in self.crowd.due(wall_ms, max(0, limit)):
            trader = intent.trader
            state = self._by_instrument[trader.market.instrument]
            if intent.action == "close":
                held = state.positions.get(trader.account, 0)
                if held:
                    commands.append(
                        Place(trader.account, trader.market.instrument, held < 0, abs(held), reduce_only=True)
                    )
                continue
            notional = trader.notional if intent.action == "enter" else trader.notional // 4
            qty = trader.market.qty_of(notional, state.base)
            commands.append(Place(trader.account, trader.market.instrument, trader.buy, qty))

    def _room(self, commands: list[Command]) -> int:
        return self.config.commands_per_tick_max - len(commands) - 1 - len(self.states)

    def _weather(self, state: MarketState, wall_ms: int) -> Calm:
        speeds = state.speeds
        speeds.append((wall_ms, state.base))
        while speeds[0][0] < wall_ms - state.config.fast_move.window_ms:
            speeds.popleft()
        prices = [price for _, price in speeds]
        speed = (max(prices) - min(prices)) * MILLI_BPS // min(prices)
        return weather(speed, state.config.fast_move, state.fast_threshold_bps)

    def _decay_impact(self, state: MarketState, elapsed_ms: int) -> None:
        kept = round(0.5 ** (elapsed_ms / state.config.impact.half_life_ms) * MICRO)
        size = abs(state.impact_micro_bps) * kept // MICRO
        state.impact_micro_bps = size if state.impact_micro_bps >= 0 else -size

    # -- news -----------------------------------------------------------------------------------------------

    def accepted(self, link_id: str, order_id: int) -> None:
        """The venue took an order; those with a known link are quotes."""
        quote = self._placing.pop(link_id, None)
        if quote is not None:
            quote[2].order_id = order_id
            self._resting[order_id] = quote

    def filled(
        self,
        *,
        order_id: int,
        account: int,
        instrument: int,
        buy: bool,
        price: int,
        qty: int,
        leaves: int,
        position_qty: int,
    ) -> None:
        """One side of a trade, a take-over or a deleveraging (the last two have order 0)."""
        state = self._by_instrument.get(instrument)
        if state is None:
            return
        if state.market.is_spot:  # no positions there: what came and went since
            position_qty = state.positions.get(account, 0) + (qty if buy else -qty)
        state.positions[account] = position_qty
        quote = self._resting.get(order_id)
        if quote is not None:
            _, maker, level = quote
            taken(maker, level, leaves, self.tick.wall_ms, self._random)
            if leaves == 0:
                del self._resting[order_id]
            self._add_impact(state, state.market.worth(-qty if buy else qty, price))
        if account in self._maker_accounts:
            for maker in state.makers:
                if maker.account == account:
                    maker.inventory = position_qty

    def traded(self, instrument: int, price: int) -> None:
        """A print."""
        state = self._by_instrument.get(instrument)
        if state is not None:
            state.last_print = price

    def gone(self, order_id: int) -> None:
        """The venue took an order off the book."""
        quote = self._resting.pop(order_id, None)
        if quote is not None:
            taken(quote[1], quote[2], 0, self.tick.wall_ms, self._random)

    def refused(self, command: Command) -> Command | None:
        """The venue refused this; what to do instead, if anything. A quote comes again after a while."""
        if isinstance(command, Place):
            quote = self._placing.pop(command.link_id, None)
            if quote is not None:
                taken(quote[1], quote[2], 0, self.tick.wall_ms, self._random)
            return None
        order_id = getattr(command, "order_id", 0)
        quote = self._resting.get(order_id)
        if quote is None or isinstance(command, Cancel):
            self.gone(order_id)
            return None
        return Cancel(quote[1].account, order_id)

    def liquidated(self, account: int) -> None:
        """The venue began to liquidate this account."""
        if account in self._crowd_accounts:
            self.crowd.liquidated.add(account)
        elif account in self._maker_accounts:
            self.makers_liquidated.add(account)

    def _add_impact(self, state: MarketState, signed_notional: int) -> None:
        impact = state.config.impact
        per_musdt = round(impact.bps_per_musdt * MICRO)
        limit = round(impact.bps_max * MICRO)
        moved = state.impact_micro_bps + signed_notional * per_musdt // (SCALE * MICRO)
        state.impact_micro_bps = max(-limit, min(limit, moved))
