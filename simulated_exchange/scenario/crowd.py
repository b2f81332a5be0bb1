"""The crowd: leveraged traders with plans, who are liquidated when the market takes their margin.

Belongs here: drawing the traders, their margin, and the times at which they enter, add and close. Pure: data
in, data out, the generator of randomness is an argument. Does not belong here: liquidation (the engine's).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulated_exchange.scenario.config import CrowdConfig
from simulated_exchange.scenario.fixed import SCALE, floor_to, to_fixed
from simulated_exchange.scenario.market import Market

__all__ = ["Crowd", "Intent", "Trader", "draw_crowd"]

FEE_MARGIN_SHARE = 0.004  # of the notional: fees both ways and the spread, so that the entry is affordable


@dataclass(frozen=True, slots=True)
class Trader:
    """One account, one market, one view. Money in units of 10**-8, leverage in hundredths.

    `deposit` is in the settlement coin; with `pays_in_coin` its worth is held in the market's base coin.
    """

    account: int
    market: Market
    buy: bool
    leverage: int
    notional: int
    deposit: int
    pays_in_coin: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """At this wall time the trader wants this: `enter`, `add` or `close`."""

    wall_ms: int
    trader: Trader
    action: str


@dataclass(slots=True)
class Crowd:
    """The traders and what they still intend, earliest first."""

    traders: list[Trader]
    intents: list[Intent]
    next_intent: int = 0
    liquidated: set[int] = field(default_factory=set)

    def due(self, wall_ms: int, limit: int) -> list[Intent]:
        """Up to `limit` intents whose time has come; each is handed out once. The liquidated want nothing."""
        found: list[Intent] = []
        while self.next_intent < len(self.intents) and len(found) < limit:
            intent = self.intents[self.next_intent]
            if intent.wall_ms > wall_ms:
                break
            self.next_intent += 1
            if intent.trader.account not in self.liquidated:
                found.append(intent)
        return found


def draw_crowd(
    config: CrowdConfig,
    markets: Sequence[Market],
    first_account: int,
    planned_ms: int,
    rng: random.Random,
) -> Crowd:
    """Traders with accounts from `first_account` on and their intents over `planned_ms` of wall time.

    Times count from the start of the planned span; "before" is its very beginning.

    Leverage is drawn evenly on a logarithmic scale. Who entered "before" enters within the first moments with
    less spare margin, as a position that has already lost some.
    """
    traders: list[Trader] = []
    intents: list[Intent] = []
    settle_ms = min(config.settle_ms, planned_ms // 4)
    for number in range(config.traders):
        before = rng.random() < config.before_share
        trader = _draw_trader(config, markets[number % len(markets)], first_account + number, before, rng)
        traders.append(trader)
        until_ms = settle_ms if before else round(planned_ms * config.enter_until)
        enter_ms = rng.randint(0 if before else min(settle_ms, until_ms), until_ms)
        intents.append(Intent(enter_ms, trader, "enter"))
        later_ms = rng.randint(enter_ms, max(enter_ms, planned_ms))
        choice = rng.random()
        if choice < config.close_share:
            intents.append(Intent(later_ms, trader, "close"))
        elif choice < config.close_share + config.add_share:
            intents.append(Intent(later_ms, trader, "add"))
    intents.sort(key=lambda intent: (intent.wall_ms, intent.trader.account, intent.action != "enter"))
    return Crowd(traders, intents)


def _draw_trader(
    config: CrowdConfig, market: Market, account: int, before: bool, rng: random.Random
) -> Trader:
    span = math.log(config.leverage_max / config.leverage_min)
    leverage = math.floor(config.leverage_min * math.exp(rng.random() * span))
    notional = to_fixed(config.notional_median_usdt) * math.exp(rng.gauss(0, config.notional_sigma))
    notional = min(notional, to_fixed(config.notional_max_usdt))
    spare = rng.random() * config.spare_margin_max * (0.5 if before else 1.0)
    deposit = notional * ((1 + spare) / leverage + FEE_MARGIN_SHARE)
    is_long = rng.random() < config.long_share
    return Trader(
        account,
        market,
        is_long,
        leverage * 100,
        round(notional),
        floor_to(round(deposit), SCALE // 100) + SCALE // 100,
        config.coin_margin_share > 0 and rng.random() < config.coin_margin_share,
    )
