"""Worked examples of order cost, fees, smallest sizes and self-match prevention, by orders on an engine.

Belongs here: placing what an example describes and reading what it cost. Does not belong here: formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulated_exchange._engine import CancelReason, Event, Reject, SelfMatch, Side, Terms
from tests.acceptance.example_room import ALICE, MAKER, Room, coin, contract, decimal, side_of

__all__ = ["ACTUAL"]

Inputs = dict[str, Any]
FREE = {"taker_fee": "0", "maker_fee": "0"}


def order_margin(room: Room, given: Inputs, qty: str, coin_name: str) -> Decimal:
    """What one resting order holds in its settlement coin."""
    room.index(given["price"])
    room.deposit(ALICE, "100000", coin_name)
    room.leverage(given["leverage"])
    room.done(room.place(ALICE, side_of(given["side"]), qty, given["price"]))
    [held] = [view for view in room.engine.purses(ALICE) if view.coin == room.coins[coin_name]]
    return decimal(held.order_margin)


def fill_fee(room: Room, given: Inputs, qty: str, coin_name: str) -> Decimal:
    """Fee of the same order filled as taker."""
    room.index(given["price"])
    room.deposit(ALICE, "100000", coin_name)
    room.leverage(given["leverage"])
    [fee] = fees(room.trade(side_of(given["side"]), qty, given["price"]), ALICE)
    return fee


def fees(events: list[Event], account: int) -> list[Decimal]:
    """Fees of an account's fills."""
    return [decimal(e.fee) for e in events if isinstance(e, Event.Fill) and e.account == account]


def cost(given: Inputs, qty: str, coin_name: str, listed: Callable[..., Room]) -> Inputs:
    """The whole cost, and its parts: what is held without fees is margin, the closing fee is the rest."""
    whole = order_margin(listed(taker_fee=given["taker"]), given, qty, coin_name)
    margin = order_margin(listed(**FREE), given, qty, coin_name)
    opening = fill_fee(listed(taker_fee=given["taker"]), given, qty, coin_name)
    return {"im": margin, "fee_open": opening, "fee_close": whole - margin - opening, "cost": whole}


def linear(**changes: Any) -> Room:
    """A room with one linear contract."""
    return Room(contract(**changes))


def inverse(**changes: Any) -> Room:
    """A room with one inverse contract of one USD each."""
    listed = contract(
        symbol="BTCUSD",
        quote="USD",
        inverse=True,
        qty_step="1",
        min_qty="1",
        max_qty="100000000",
        max_market_qty="100000000",
        **changes,
    )
    return Room(listed, coins=[coin("USDT"), coin("BTC", "BTCUSD")])


def linear_fees(given: Inputs) -> Inputs:
    """FEE-1: Alice takes, then rests and is taken."""
    return both_fees(linear(), given["qty"], given["price"], "USDT")


def both_fees(room: Room, qty: str, price: str, coin_name: str) -> Inputs:
    """Fee of a fill as taker and as maker."""
    room.index(price)
    room.deposit(ALICE, "1000000", coin_name)
    [taker] = fees(room.trade(Side.Buy, qty, price), ALICE)
    room.done(room.place(ALICE, Side.Sell, qty, price))
    [maker] = fees(room.done(room.place(MAKER, Side.Buy, qty, price)), ALICE)
    return {"taker": taker, "maker": maker}


def smallest(given: Inputs) -> Inputs:
    """MIN-1, MIN-2: the smallest quantity that is not refused for its value."""
    names = ("min_notional", "qty_step", "min_qty")
    room = linear(**{name: given[name] for name in names})
    room.index(given["price"])
    room.deposit(ALICE, "1000000")
    step = Decimal(given["qty_step"])
    qty = Decimal(given["min_qty"])
    while room.place(ALICE, Side.Buy, qty, given["price"]).reject == Reject.BelowMinimumNotional:
        qty += step
    return {"min_qty": qty}


def self_match_room(incoming: SelfMatch, resting: SelfMatch) -> tuple[Room, list[Event], int]:
    """Alice's own sell of 3 at 100, a stranger's of 2 behind it, and what comes of her buy."""
    room = Room(contract())
    room.index("100")
    room.deposit(ALICE, "100000")
    own = room.place(ALICE, Side.Sell, "3", "100", terms=Terms(self_match=resting))
    room.done(own)
    room.done(room.place(MAKER, Side.Sell, "2", "100"))
    qty = "5" if incoming == SelfMatch.CancelMaker else "3"
    events = room.done(room.place(ALICE, Side.Buy, qty, "100", terms=Terms(self_match=incoming)))
    return room, events, own.order_id


def own_maker_cancelled(_given: Inputs) -> Inputs:
    """SMP-1."""
    room, events, own = self_match_room(SelfMatch.CancelMaker, SelfMatch.Allow)
    [gone] = [e for e in events if isinstance(e, Event.OrderCancelled) and e.order_id == own]
    assert gone.reason == CancelReason.SelfMatch
    filled = sum(e.qty for e in events if isinstance(e, Event.Trade))
    [left] = room.engine.open_orders(ALICE, None)
    return {
        "resting_status": "Cancelled/CancelBySmp",
        "incoming_filled": decimal(filled),
        "incoming_left": decimal(left.leaves),
    }


def own_flag_ignored(_given: Inputs) -> Inputs:
    """SMP-2."""
    _, events, own = self_match_room(SelfMatch.Allow, SelfMatch.CancelMaker)
    fills = [e for e in events if isinstance(e, Event.Fill) and e.order_id == own]
    return {"self_trade_executes": bool(fills) and fills[0].leaves == 0}


def spot_fees(given: Inputs) -> Inputs:
    """FEE-3: what Alice gets for a coin's worth of quote, and back."""
    listed = contract(symbol="SPOT", kind="spot", **FREE | {"taker_fee": given["taker"]})
    room = Room(listed, coins=[coin("USDT"), coin("BTC", given["price"])])
    room.index(given["price"])
    worth = Decimal(given["qty"]) * Decimal(given["price"])
    room.deposit(ALICE, worth)
    [buy_fee] = fees(room.trade(Side.Buy, given["qty"], given["price"]), ALICE)
    received = wallet(room, "BTC")
    room.deposit(ALICE, Decimal(given["qty"]) - received, "BTC")
    [sell_fee] = fees(room.trade(Side.Sell, given["qty"], given["price"]), ALICE)
    return {
        "buy_receives_base": received,
        "buy_fee_base": buy_fee,
        "sell_receives_quote": wallet(room, "USDT"),
        "sell_fee_quote": sell_fee,
    }


def wallet(room: Room, name: str) -> Decimal:
    """Alice's wallet of a coin."""
    [held] = [view for view in room.engine.purses(ALICE) if view.coin == room.coins[name]]
    return decimal(held.wallet_balance)


def spot_margin(given: Inputs) -> Inputs:
    """BORROW-3: she buys for more than she has, and lets the order borrow."""
    lending = {"base": "0.00001", "slope1": "0", "kink": "0.8", "slope2": "0", "reserve": "0", "cap": "1"}
    lending |= {"warning": "1", "repay": "1.5", "stop": "1.2", "supplied": "1000000"}
    tier = {"limit": "100000", "initial_rate": "0.2", "maintenance_rate": "0.04"}
    usdc = coin("USDC", borrow=[tier], user_limit="100000", lending=lending)
    listed = contract(symbol="SPOT", quote="USDC", kind="spot", **FREE)
    room = Room(listed, coins=[usdc, coin("BTC", "100")])
    room.index("100")
    room.deposit(ALICE, given["wallet_usdc"], "USDC")
    qty = Decimal(given["buy_value"]) / 100
    room.trade(Side.Buy, qty, "100", terms=Terms(is_leveraged=True))
    [held] = [view for view in room.engine.purses(ALICE) if view.coin == room.coins["USDC"]]
    return {"borrowed": decimal(held.borrowed)}


ACTUAL: dict[str, Callable[[Inputs], Inputs]] = {
    "COST-1": lambda given: cost(given, given["qty"], "USDT", linear),
    "COST-2": lambda given: cost(given, given["qty"], "USDT", linear),
    "COST-3": lambda given: cost(given, given["contracts_usd"], "BTC", inverse),
    "FEE-1": linear_fees,
    "FEE-2": lambda given: both_fees(inverse(), given["contracts_usd"], given["price"], "BTC"),
    "FEE-3": spot_fees,
    "BORROW-3": spot_margin,
    "SMP-1": own_maker_cancelled,
    "SMP-2": own_flag_ignored,
    "MIN-1": smallest,
    "MIN-2": smallest,
}
