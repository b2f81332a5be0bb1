"""Worked examples of positions: margin, tiers, profit, liquidation and bankruptcy, by trades on an engine.

Belongs here: bringing a position about and reading its figures. Does not belong here: formulas.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulated_exchange._engine import Event, MarginMode, PositionView, Side, rules
from tests.acceptance.example_orders import inverse, linear
from tests.acceptance.example_room import ALICE, MAKER, Room, contract, decimal, side_of, units

__all__ = ["ACTUAL"]

Inputs = dict[str, Any]
FREE = {"taker_fee": "0", "maker_fee": "0"}
RICH = "100000000"
BTCUSDT = Path(__file__).parents[2] / "configs" / "instruments" / "BTCUSDT.toml"


def tiers(mmr: str, leverage: str = "100") -> dict[str, Any]:
    """One tier that holds everything."""
    return {"tiers": [{"limit": "2000000000", "max_leverage": leverage, "mmr": mmr}]}


def opened(
    room: Room, side: Side, qty: str, entry: str, leverage: str, wallet: str = RICH, name: str = "USDT"
) -> PositionView:
    """Alice's position as it stands right after she took it."""
    room.index(entry)
    room.deposit(ALICE, wallet, name)
    room.leverage(leverage)
    room.trade(side, qty, entry)
    return room.position()


def cross_margin(given: Inputs) -> Inputs:
    """MARGIN-3."""
    room = linear(taker_fee=given["taker"])
    opened(room, side_of(given["side"]), given["size"], given["entry"], given["leverage"])
    room.index(given["mark"])
    return {"position_im": decimal(room.position().initial_margin)}


def isolated(room: Room) -> Room:
    """Alice's positions each have their own margin from here on."""
    room.done(room.engine.set_margin_mode(*room.now(), account=ALICE, mode=MarginMode.Isolated))
    return room


def isolated_margin(given: Inputs) -> Inputs:
    """MARGIN-1, MARGIN-2."""
    room = isolated(linear(taker_fee=given["taker"], **tiers(given["mmr"])))
    opened(room, side_of(given["side"]), given["size"], given["entry"], given["leverage"])
    room.index(given["mark"])
    view = room.position()
    return {
        "position_value": decimal(view.value),
        "position_im": decimal(view.initial_margin),
        "position_mm": decimal(view.maintenance_margin),
    }


def isolated_liquidation(given: Inputs) -> Inputs:
    """LIQ-4 to LIQ-6; the tier with the deduction is that of the listed contract."""
    in_tiers = (
        {"tiers": listed_tiers()}
        if "deduction" in given and given["deduction"] != "0"
        else tiers(given["mmr"])
    )
    room = isolated(linear(**in_tiers))
    view = opened(room, side_of(given["side"]), given["size"], given["entry"], given["leverage"])
    price = decimal(view.liquidation_price)
    found: Inputs = {"liq": price}
    if "deduction" in given and given["deduction"] != "0":
        found["value_at_liq"] = price * Decimal(given["size"])
    return found


def isolated_inverse(given: Inputs) -> Inputs:
    """LIQ-8."""

    def price(side: Side) -> Decimal:
        room = isolated(inverse(**tiers(given["mmr"])))
        view = opened(room, side, given["contracts_usd"], given["entry"], given["leverage"], name="BTC")
        return decimal(view.liquidation_price)

    return {"long": price(Side.Buy), "short": price(Side.Sell)}


def cross_bankruptcy(given: Inputs) -> Inputs:
    """ADL-3: behind a cross position stands the whole wallet, its own margin included."""
    wallet = Decimal(given["position_margin"]) + Decimal(given["wallet"])
    room = linear(**FREE)
    view = opened(room, Side.Buy, given["size"], given["entry"], "50", f"{wallet}")
    return {"bankruptcy": decimal(view.bankruptcy_price)}


def listed_tiers() -> list[dict[str, str]]:
    """The tiers of BTCUSDT as the venue lists them by default."""
    rows: list[dict[str, str]] = tomllib.loads(BTCUSDT.read_text())["tiers"]
    return rows


def deductions(given: Inputs) -> Inputs:
    """TIER-1."""
    rows = [
        (units(tier["risk_limit"]), int(Decimal(tier["max_leverage"]) * 100), units(tier["mmr"]))
        for tier in given["tiers"]
    ]
    return {"deductions": [decimal(deduction) for deduction in rules.tier_deductions(rows)]}


def tier_of_value(given: Inputs) -> Inputs:
    """TIER-2: a position of that value in the listed contract, free of fees, and the brackets it passes."""

    def maintenance(value: str) -> PositionView:
        room = linear(tiers=listed_tiers(), **FREE)
        qty = str(Decimal(value) / 50_000)
        return opened(room, Side.Buy, qty, "50000", "10")

    value = given["position_value"]
    view = maintenance(value)
    rows = linear(tiers=listed_tiers()).engine.instruments()[0].tiers
    brackets = ["2000000", "2600000", value]
    steps = [decimal(maintenance(limit).maintenance_margin) for limit in brackets]
    return {
        "tier": view.tier,
        "mmr": decimal(rows[view.tier - 1][2]),
        "deduction": decimal(rules.tier_deductions(rows)[view.tier - 1]),
        "mm": decimal(view.maintenance_margin),
        "progressive": steps[0] + (steps[1] - steps[0]) + (steps[2] - steps[1]),
    }


def bankruptcy(listed: Callable[..., Room], qty: str, wallet: str, name: str, given: Inputs) -> Inputs:
    """BANK-1, BANK-2: nothing but the initial margin behind the position, and no fees."""

    def price(side: Side) -> Decimal:
        room = listed(**FREE)
        view = opened(room, side, qty, given["entry"], given["leverage"], wallet, name)
        return decimal(view.bankruptcy_price)

    return {"long": price(Side.Buy), "short": price(Side.Sell)}


def whole_balance(given: Inputs) -> Inputs:
    """BANK-3: the whole balance of a coin behind a position that is margined on its entry, as it was once.

    Her order rests and is taken for nothing; then so much is assigned to the position. Her leverage is about
    what that makes of it: where the fee of closing is reckoned.
    """
    in_one = {"isolated_margin_on": "entry", "taker_fee": given["taker"], "maker_fee": "0"}
    room = isolated(inverse(**in_one, **tiers(given["mmr"])))
    room.index(given["entry"])
    room.deposit(ALICE, RICH, "BTC")
    room.leverage("2.51")
    room.done(room.place(ALICE, Side.Buy, given["contracts_usd"], given["entry"]))
    room.done(room.place(MAKER, Side.Sell, given["contracts_usd"], given["entry"]))
    rest = units(given["balance"]) - room.position().assigned_margin
    room.done(room.engine.add_margin(*room.now(), account=ALICE, instrument=0, amount=rest))
    view = room.position()
    return {"bankruptcy": decimal(view.bankruptcy_price), "liq_unrounded": decimal(view.liquidation_price)}


def cross_liquidation(given: Inputs) -> Inputs:
    """LIQ-9, LIQ-10: Alice's order rests and is taken for nothing, so that her wallet stays as it was."""

    def view(taker: str) -> PositionView:
        room = linear(taker_fee=taker, maker_fee="0", **tiers(given["mmr"]))
        room.index(given["entry"])
        room.deposit(ALICE, given["wallet"])
        room.leverage(given.get("leverage", "10"))
        room.done(room.place(ALICE, side_of(given["side"]), given["size"], given["entry"]))
        room.done(room.place(MAKER, Side.Sell, given["size"], given["entry"]))
        return room.position()

    found = view(given.get("taker", "0"))
    actual: Inputs = {"liq": decimal(found.liquidation_price)}
    if "taker" in given:
        actual["close_fee"] = decimal(found.maintenance_margin - view("0").maintenance_margin)
    return actual


def average_entry(room: Room, fills: list[list[str]], name: str, times: int = 1) -> Inputs:
    """PNL-1, PNL-2; a coin has eight decimals, so the inverse fills are made larger."""
    room.index(fills[0][1])
    room.deposit(ALICE, RICH, name)
    for qty, price in fills:
        room.index(price)
        room.trade(Side.Buy, Decimal(qty) * times, price)
    return {"avg_entry": decimal(room.position().entry_price)}


def realised(given: Inputs) -> Inputs:
    """PNL-3."""
    room = inverse(**FREE)
    opened(room, Side.Buy, given["contracts_usd"], given["entry"], "10", name="BTC")
    room.index(given["exit"])
    events = room.trade(Side.Sell, given["contracts_usd"], given["exit"])
    [pnl] = [decimal(e.realised_pnl) for e in events if isinstance(e, Event.Fill) and e.account == ALICE]
    return {"pnl": pnl}


def unrealised(given: Inputs) -> Inputs:
    """PNL-4."""
    room = inverse(**FREE)
    opened(room, Side.Buy, given["contracts_usd"], given["entry"], "10", name="BTC")
    room.index(given["mark"])
    return {"pnl": decimal(room.position().unrealised_pnl)}


def fund_changes(given: Inputs) -> Inputs:
    """INS-1: taken over at its bankruptcy price, closed against the bid that stands in the book."""

    def change(fill: str) -> Decimal:
        room = Room(contract(**FREE, **tiers("0.005")), liquidation_takeover_beyond="0.05")
        opened(room, side_of(given["side"]), given["size"], "10000", "50", wallet="200")
        room.done(room.place(MAKER, Side.Buy, given["size"], fill))
        events = room.index("9840")
        [taken] = [e for e in events if isinstance(e, Event.TakenOver)]
        assert taken.bankruptcy_price == units(given["bankruptcy"])
        return sum(
            (decimal(e.change) for e in events if isinstance(e, Event.InsuranceFundChanged)), Decimal(0)
        )

    return {"delta": [change(fill) for fill in given["fills"]]}


def on_entry(listed: Callable[..., Room], side: str, given: Inputs) -> PositionView:
    """An isolated position of a contract that margins those on their entry, as it was before 2025-09-02."""
    room = isolated(listed(isolated_margin_on="entry", **FREE, **tiers(given["mmr"])))
    is_inverse = "contracts_usd" in given
    qty, name = given["contracts_usd" if is_inverse else "size"], "BTC" if is_inverse else "USDT"
    opened(room, side_of(side), qty, given["entry"], given["leverage"], name=name)
    if "extra_margin" in given:
        room.done(
            room.engine.add_margin(
                *room.now(), account=ALICE, instrument=0, amount=units(given["extra_margin"])
            )
        )
    return room.position()


def linear_on_entry(given: Inputs) -> Inputs:
    """LIQ-1 to LIQ-3; only the first names its margins."""
    view = on_entry(linear, given["side"], given)
    found = {"liq": decimal(view.liquidation_price)}
    if given["side"] == "Buy" and "extra_margin" not in given:
        found |= {"im": decimal(view.initial_margin), "mm": decimal(view.maintenance_margin)}
    return found


def inverse_on_entry(given: Inputs) -> Inputs:
    """LIQ-7."""
    long, short = (on_entry(inverse, side, given) for side in ("Buy", "Sell"))
    return {
        "pv": decimal(long.value),
        "im": decimal(long.initial_margin),
        "mm": decimal(long.maintenance_margin),
        "long": decimal(long.liquidation_price),
        "short": decimal(short.liquidation_price),
    }


def break_even(given: Inputs) -> Inputs:
    """PNL-5: what she has realised is the fee of her entry."""
    room = linear(taker_fee=given["taker"])
    view = opened(room, side_of(given["side"]), given["size"], given["entry"], "10")
    assert decimal(view.current_realised_pnl) == Decimal(given["cum_realised"])
    return {"break_even": decimal(view.break_even_price)}


def inverse_funding(given: Inputs) -> Inputs:
    """FUND-11: the value of her position is the engine's; a short receives."""
    room = inverse(**FREE)
    opened(room, side_of(given["side"]), given["contracts_usd"], given["mark"], "10", name="BTC")
    value = room.position().value
    rate = int(Decimal(given["rate"]) * rules.RATE_SCALE)
    return {"position_value": decimal(value), "short_receives": -decimal(rules.funding_fee(-value, rate))}


def step_down(given: Inputs) -> Inputs:
    """LIQ-11: the order that brings the position down to the tier below, as it enters the book."""
    limits = given["tier_limits_coin"]
    rates = ("0.05", "0.06", "0.07")
    steps = [
        {"limit": limit, "max_leverage": "10", "mmr": rate} for limit, rate in zip(limits, rates, strict=True)
    ]
    room = inverse(tiers=steps, max_price="1000", **FREE)
    opened(room, Side.Buy, given["contracts_usd"], "420", "10", wallet="2.5", name="BTC")
    room.done(room.place(MAKER, Side.Buy, given["contracts_usd"], "399.99"))
    before = room.position()
    assert decimal(before.mark_price) == 420
    events = room.index(given["mark"])
    order = next(e for e in events if isinstance(e, Event.OrderAccepted) and e.account == ALICE)
    value = Decimal(given["contracts_usd"]) / Decimal(given["mark"])
    below = max(Decimal(limit) for limit in limits if Decimal(limit) < value)
    return {
        "position_value": value,
        "tier": limits.index(f"{below}") + 2,
        "excess": decimal(order.qty) / Decimal(given["mark"]),
        "contracts_to_close": decimal(order.qty),
    }


def drawdown(given: Inputs) -> Inputs:
    """ADL-1, ADL-2: a position taken over 5,000 above the mark, as large as the loss needs."""
    loss = -Decimal(given["symbol_pnl_change"])
    room = Room(contract(**FREE), fund=given["pool_8h_max"])
    qty = loss / 5000
    opened(room, Side.Buy, f"{qty}", "20000", "10", wallet=f"{qty * 2000}")
    events = room.index("13000")
    begun = [decimal(e.ratio) for e in events if isinstance(e, Event.AdlStarted)]
    closed = [decimal(abs(e.qty)) for e in events if isinstance(e, Event.Deleveraged)]
    found: Inputs = {"pnl_ratio": begun[0], "triggered": bool(begun)}
    if "insurance_pnl_ratio" in given:
        found["adl_closes_loss"] = sum(closed, Decimal(0)) * 5000
    return found


def ranking(given: Inputs) -> Inputs:
    """ADL-4: each has its bankruptcy price behind it; the queue is the engine's."""
    room = Room(contract(**FREE))
    names = {}
    for number, holder in enumerate(given["longs"], start=2000):
        entry = holder["entry"]
        room.index(entry)
        room.done(room.engine.create_account(*room.now(), number))
        room.deposit(number, Decimal(entry) - Decimal(holder["bankruptcy"]))
        room.done(room.place(MAKER, Side.Sell, "1", entry))
        room.done(room.place(number, Side.Buy, "1", entry))
        names[number] = holder["name"]
    room.index(given["mark"])
    places = room.engine.adl_places(0, Side.Buy)
    return {"order": [names[place.account] for place in places if place.account in names]}


ACTUAL: dict[str, Callable[[Inputs], Inputs]] = {
    "ADL-3": cross_bankruptcy,
    "MARGIN-1": isolated_margin,
    "MARGIN-2": isolated_margin,
    **{f"LIQ-{number}": linear_on_entry for number in (1, 2, 3)},
    "LIQ-7": inverse_on_entry,
    "LIQ-4": isolated_liquidation,
    "LIQ-5": isolated_liquidation,
    "LIQ-6": isolated_liquidation,
    "LIQ-8": isolated_inverse,
    "MARGIN-3": cross_margin,
    "TIER-1": deductions,
    "TIER-2": tier_of_value,
    "BANK-1": lambda given: bankruptcy(linear, "1", "200", "USDT", given),
    "BANK-3": whole_balance,
    "BANK-2": lambda given: bankruptcy(inverse, "7890080", "20", "BTC", given),
    "LIQ-9": cross_liquidation,
    "LIQ-10": cross_liquidation,
    "INS-1": fund_changes,
    "PNL-1": lambda given: average_entry(linear(), given["fills"], "USDT"),
    "PNL-2": lambda given: average_entry(inverse(), given["fills_usd"], "BTC", 10_000),
    "PNL-3": realised,
    "PNL-4": unrealised,
    "PNL-5": break_even,
    "FUND-11": inverse_funding,
    "LIQ-11": step_down,
    "ADL-1": drawdown,
    "ADL-2": drawdown,
    "ADL-4": ranking,
}
