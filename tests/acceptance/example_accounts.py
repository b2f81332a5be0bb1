"""Worked examples of the unified account, borrowing and lending, by accounts that hold and owe on an engine.

Belongs here: bringing holdings and debts about and reading their figures. Does not belong here: formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulated_exchange._engine import CoinView, Event, MarginMode, Side, rules
from tests.acceptance.example_room import ALICE, Room, coin, contract, decimal, units

__all__ = ["ACTUAL"]

Inputs = dict[str, Any]
FREE = {"taker_fee": "0", "maker_fee": "0"}
HOUR_MS = 3_600_000
INTEREST_DUE_MS = 5 * 60_000
"""Interest is taken five minutes past the hour."""


def tiered(given: list[list[str]]) -> list[dict[str, str]]:
    """Brackets of collateral; an open end counts nothing."""
    return [{"limit": limit, "ratio": ratio} for limit, ratio in given if limit]


TIERS = [["10", "0.98"], ["20", "0.95"], ["30", "0.9"], ["40", "0.85"], ["50", "0.8"], ["", "0"]]


def counted(given: Inputs) -> Inputs:
    """UTA-1, UTA-2: a coin worth one USD counts for what of it counts."""
    tiers = tiered(given["tiers"] if isinstance(given["tiers"], list) else TIERS)
    room = Room(contract(), coins=[coin("USDT"), coin("BTC", collateral=tiers)])
    room.deposit(ALICE, given["qty"], "BTC")
    return {"counted": decimal(room.engine.account(ALICE).margin_balance)}


def btc_collateral(ratio: str, price: str, listed: dict[str, Any], **coins: Any) -> Room:
    """A room in which BTC counts for a part of a fixed price."""
    usdt = coin(
        "USDT", borrow=[{"limit": "1000000", "initial_rate": "0.00000002", "maintenance_rate": "0.00000001"}]
    )
    btc = coin("BTC", price, collateral=[{"ratio": ratio}])
    return Room(listed, coins=[usdt | coins, btc])


def account_rates(given: Inputs) -> Inputs:
    """UTA-3: one position that has those margins and that loss; its price follows from them."""
    leverage, loss = 10, -Decimal(given["perp_upl"])
    mark = Decimal(given["total_im"]) * leverage
    rate = (Decimal(given["total_mm"]) / mark).quantize(Decimal("0.00000001"))
    tiers = [{"limit": "2000000000", "max_leverage": "100", "mmr": f"{rate:f}"}]
    room = btc_collateral(
        given["btc_collateral_ratio"], given["btc_usd_index"], contract(tiers=tiers, **FREE)
    )
    room.deposit(ALICE, given["usdt"])
    room.deposit(ALICE, given["btc"], "BTC")
    room.index(mark + loss)
    room.leverage(str(leverage))
    room.trade(Side.Buy, "1", mark + loss)
    room.index(mark)
    view = room.engine.account(ALICE)
    assert view.initial_rate is not None
    assert view.maintenance_rate is not None
    assert (view.unrealised_pnl, view.initial_margin) == (units(given["perp_upl"]), units(given["total_im"]))
    return {
        "margin_balance": decimal(view.margin_balance),
        "imr": decimal(view.initial_rate),
        "mmr": decimal(view.maintenance_rate),
        "available": decimal(view.available),
    }


def loses(room: Room, amount: Decimal, start: Decimal = Decimal(50_000)) -> None:
    """Alice buys one contract and sells it again so much lower; free of fees."""
    room.index(start)
    room.leverage("100")
    room.trade(Side.Buy, "1", start)
    room.index(start - amount)
    room.trade(Side.Sell, "1", start - amount)


def debt_counts_whole(given: Inputs) -> Inputs:
    """UTA-4: she loses what she does not have in USDT."""
    room = btc_collateral(given["btc_collateral_ratio"], given["btc_usd_index"], contract(**FREE))
    room.deposit(ALICE, given["btc"], "BTC")
    loses(room, -Decimal(given["usdt"]))
    return {"margin_balance": decimal(room.engine.account(ALICE).margin_balance)}


def liquidates(given: Inputs) -> Inputs:
    """UTA-5: the event that begins a liquidation shows both figures."""
    wanted, left = Decimal(given["total_mm"]), Decimal(given["margin_balance"])
    mark, start = wanted * 20, wanted * 20 + 500
    tiers = [{"limit": "2000000000", "max_leverage": "100", "mmr": "0.05"}]
    room = Room(contract(tiers=tiers, **FREE))
    room.index(start)
    room.deposit(ALICE, start - mark + left)
    room.leverage("100")
    room.trade(Side.Buy, "1", start)
    [begun] = [e for e in room.index(mark) if isinstance(e, Event.LiquidationStarted)]
    rate = decimal(begun.maintenance_margin) / decimal(begun.margin_balance)
    return {"account_mm_rate": rate, "liquidate": True}


def isolated_balance(given: Inputs) -> Inputs:
    """UTA-6: an isolated position and an order that hold those margins; spot orders lock the rest."""
    room = Room(
        contract(**FREE),
        contract(symbol="SPOT", kind="spot", **FREE),
        coins=[coin("USDT"), coin("BTC", "50000")],
    )
    room.index("50000")
    room.index("50000", 1)
    room.deposit(ALICE, given["wallet"])
    room.done(room.engine.set_margin_mode(*room.now(), account=ALICE, mode=MarginMode.Isolated))
    room.leverage("10")
    room.trade(Side.Buy, "0.1", Decimal(given["total_position_im"]) * 100)
    room.done(room.place(ALICE, Side.Buy, "0.004", Decimal(given["total_order_im"]) * 2500))
    room.done(room.place(ALICE, Side.Buy, "0.001", Decimal(given["locked"]) * 1000, instrument=1))
    return {"available": decimal(purse(room, "USDT").free)}


def purse(room: Room, name: str) -> CoinView:
    """Alice's coin."""
    [found] = [view for view in room.engine.purses(ALICE) if view.coin == room.coins[name]]
    return found


def owing(fee: str = "0") -> Room:
    """Alice has collateral, and may owe USDT."""
    free = {"taker_fee": fee, "maker_fee": "0"}
    room = btc_collateral("1", "1000000", contract(**free), free_limit="300", user_limit="1000000")
    room.deposit(ALICE, "100", "BTC")
    return room


def borrowed_fee(given: Inputs) -> Inputs:
    """BORROW-1: the fee of her first trade is all she owes."""
    room = owing("0.0003")
    room.index("5000")
    room.trade(Side.Buy, "1", "5000")
    assert decimal(-purse(room, "USDT").wallet_balance) == Decimal(given["fee"])
    return {"borrowed": decimal(purse(room, "USDT").borrowed)}


def borrowed_loss(given: Inputs) -> Inputs:
    """BORROW-2: what she loses at the mark beyond her wallet."""
    room = owing()
    room.deposit(ALICE, given["wallet_usdt"])
    unrealised(room, Decimal(given["upl"]))
    return {"borrowed": decimal(purse(room, "USDT").borrowed)}


def unrealised(room: Room, profit: Decimal, start: Decimal = Decimal(10_000)) -> None:
    """Alice is long one contract that moved by so much."""
    room.index(start)
    room.trade(Side.Buy, "1", start)
    room.index(start + profit)


def flat_rate(rate: str) -> dict[str, Any]:
    """A lending pool that always costs the same."""
    flat = {"base": rate, "slope1": "0", "kink": "0.8", "slope2": "0", "reserve": "0", "cap": "1"}
    return {"lending": flat | {"warning": "1", "repay": "1.5", "stop": "1.2", "supplied": "1000000000"}}


def next_interest(room: Room) -> Event.InterestCharged:
    """What the next run of interest takes."""
    room.market_ms += (INTEREST_DUE_MS - room.market_ms) % HOUR_MS
    events = room.done(room.engine.advance_time(*room.now()))
    [charged] = [e for e in events if isinstance(e, Event.InterestCharged)]
    return charged


def interest_cost(given: Inputs) -> Inputs:
    """BORROW-4: borrowed by hand; the last digits are finer than the engine counts."""
    usdt = coin("USDT", borrow=[{"limit": "100", "initial_rate": "0.2", "maintenance_rate": "0.04"}])
    usdt |= flat_rate(given["hourly_rate"]) | {"user_limit": "100"}
    room = Room(contract(), coins=[usdt, coin("BTC", "50000")])
    room.deposit(ALICE, "10", "BTC")
    amount = Decimal(given["interest_bearing"]).quantize(Decimal("0.00000001"))
    room.done(room.engine.borrow(*room.now(), account=ALICE, coin=room.coins["USDT"], amount=units(amount)))
    return {"borrow_cost": decimal(next_interest(room).interest)}


def penalty(given: Inputs) -> Inputs:
    """BORROW-5: lost, not borrowed: nobody is lent more than the limit."""
    terms = flat_rate(given["hourly_rate"]) | {"user_limit": given["limit"]}
    room = btc_collateral("1", "1000000", contract(**FREE), **terms)
    room.deposit(ALICE, "100", "BTC")
    room.market_ms += -room.market_ms % HOUR_MS + 60_000  # after the hour's round of repayment
    room.done(room.engine.advance_time(*room.now()))
    loses(room, Decimal(given["borrowed"]), Decimal(150_000))
    charged = next_interest(room)
    multiplier = Decimal(charged.rate) / rules.RATE_SCALE / Decimal(given["hourly_rate"])
    return {
        "utilisation": decimal(charged.borrowed) / Decimal(given["limit"]),
        "multiplier": multiplier,
        "cost": decimal(charged.interest),
    }


def free_part(given: Inputs) -> Inputs:
    """BORROW-6: first a loss that she realises, then one at the mark."""
    terms = flat_rate("0.00001") | {"user_limit": "1000000", "free_limit": given["free_borrowing_limit"]}
    room = btc_collateral("1", "1000000", contract(**FREE), **terms)
    room.deposit(ALICE, "100", "BTC")
    loses(room, -Decimal(given["wallet"]))
    unrealised(room, Decimal(given["upl"]))
    borrowed = decimal(purse(room, "USDT").borrowed)
    charged = next_interest(room)
    return {
        "borrowed": borrowed,
        "free": decimal(charged.free),
        "interest_bearing": decimal(charged.borrowed - charged.free),
    }


def borrowable(given: Inputs) -> Inputs:
    """BORROW-7."""
    terms = flat_rate("0.00001") | {"user_limit": given["user_remaining_limit"]}
    terms["lending"] = terms["lending"] | {"supplied": given["pool_lendable"]}
    tier = {"limit": given["tier_borrow_limit"], "initial_rate": "0.2", "maintenance_rate": "0.04"}
    room = Room(contract(), coins=[coin("USDT", borrow=[tier]) | terms, coin("BTC", "50000")])
    room.deposit(ALICE, "10", "BTC")
    return {"available": decimal(room.engine.borrowable_amount(ALICE, room.coins["USDT"]))}


ACTUAL: dict[str, Callable[[Inputs], Inputs]] = {
    "UTA-1": counted,
    "UTA-2": counted,
    "UTA-3": account_rates,
    "UTA-4": debt_counts_whole,
    "UTA-5": liquidates,
    "UTA-6": isolated_balance,
    "BORROW-1": borrowed_fee,
    "BORROW-2": borrowed_loss,
    "BORROW-4": interest_cost,
    "BORROW-5": penalty,
    "BORROW-6": free_part,
    "BORROW-7": borrowable,
}
