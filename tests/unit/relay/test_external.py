"""Steps that a leader tells himself: what each may be, and the account they add up to."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from relay.core.account import Account, Fill
from relay.errors import Failed
from relay.external import ExternalAccount, ExternalStep, StopsMoved, digest_of, dump_account, read_step
from relay.protocol.errors import ProtocolError

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


class Elsewhere:
    """An account somewhere else, and what was told of it."""

    def __init__(self, saved: str | None = None) -> None:
        self.told: list[Fill | StopsMoved] = []
        self.inner = ExternalAccount(saved, (BTC, ETH), self._tell)

    def step(self, action: str | None, symbol: str = BTC, **more: Any) -> None:
        tree = {"id": f"x{len(self.told)}", "symbol": symbol} | ({"action": action} if action else {}) | more
        self.inner.take(read_step(json.dumps(tree, separators=(",", ":")).encode()))

    def again(self) -> Elsewhere:
        """After a restart."""
        return Elsewhere(dump_account(self.inner.account))

    @property
    def account(self) -> Account:
        return self.inner.account

    def _tell(self, step: ExternalStep, happened: Fill | StopsMoved, account: Account) -> None:
        self.told.append(happened)


def opened(**more: Any) -> Elsewhere:
    here = Elsewhere()
    here.step("open", side="buy", qty="2", price="100", equity="1000", **more)
    return here


def stops_of(here: Elsewhere) -> list[Decimal]:
    held = here.account.position(BTC)
    return [held.take_profit, held.stop_loss]


def test_each_action_finds_out_what_was_not_told() -> None:
    here = opened(leverage="5", take_profit="150", stop_loss="90")
    here.step("add", qty="1", price="103")
    here.step("reduce", qty="0.5", price="110")
    assert [(one.side, one.qty) for one in here.told if isinstance(one, Fill)] == [
        ("buy", Decimal(2)), ("buy", Decimal(1)), ("sell", Decimal("0.5")),
    ]  # fmt: skip
    held = here.account.position(BTC)
    assert (held.qty, held.entry_price, held.leverage) == (Decimal("2.5"), Decimal(101), Decimal(5))
    assert (held.take_profit, held.stop_loss) == (Decimal(150), Decimal(90))
    here.step("stops", stop_loss="105", take_profit="0")
    assert here.told[-1].event_id == "x3"  # nothing was traded
    assert stops_of(here) == [0, 105]
    here.step("close", price="112")
    assert [(one.side, one.qty) for one in here.told[4:] if isinstance(one, Fill)] == [
        ("sell", Decimal("2.5"))
    ]
    held = here.account.position(BTC)
    assert [held.qty, held.stop_loss, held.leverage] == [0, 0, 5]
    here.step("open", side="sell", qty="1", price="112")  # with no stop of before
    assert [here.account.position(BTC).qty, *stops_of(here)] == [-1, 0, 0]


def test_a_position_that_turns_has_no_stops_of_before() -> None:
    here = opened(stop_loss="90")
    here.step(None, side="sell", qty="3", price="100")
    assert [here.account.position(BTC).qty, *stops_of(here)] == [-1, 0, 0]
    here.step(None, side="buy", qty="2", price="100", stop_loss="95")
    assert here.account.position(BTC).stop_loss == 95


def test_a_restart_loses_neither_stops_nor_leverage_nor_equity() -> None:
    here = opened(leverage="5", stop_loss="90")
    here.step("add", qty="1", price="130")  # entry 110, mark 130
    here.step("open", ETH, side="sell", qty="4", price="20", leg="short", take_profit="15")
    here.step("open", ETH, side="buy", qty="1", price="20", leg="long", leverage="3")
    again = here.again()
    assert again.account.equity_usdt == here.account.equity_usdt
    assert dict(again.account.positions) == dict(here.account.positions)
    again.step("close", ETH, price="20", leg="short")
    assert again.account.position(ETH).qty == 1


def test_an_outbox_of_before_is_gone_on_from() -> None:
    tree = json.loads(dump_account(opened(leverage="5").account))
    again = Elsewhere(json.dumps({name: tree[name] for name in ("positions", "wallet_usdt")}))
    assert [again.account.position(BTC).qty, again.account.equity_usdt] == [2, 1000]


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"action": "open", "side": "buy", "qty": "1", "price": "100"}, "a long of 2 BTC/USDT:USDT is held"),
        ({"action": "add", "symbol": ETH, "qty": "1", "price": "100"}, "nothing is held in ETH"),
        ({"action": "add", "qty": "1", "price": "100", "side": "buy"}, "add: side is not allowed"),
        ({"action": "add", "qty": "1"}, "add: price is needed"),
        ({"side": "buy", "price": "100"}, "step: qty is needed"),
        ({"action": "reduce", "qty": "3", "price": "100"}, r"was 3, allowed: up to what is held"),
        ({"action": "close", "price": "100", "qty": "1"}, "close: qty is not allowed"),
        ({"action": "close", "price": "100", "leg": "long"}, "was long, allowed: none .* one-way"),
        ({"side": "buy", "qty": "1", "price": "100", "leg": "long"}, "the position is one-way"),
        ({"action": "stops"}, "a take_profit or a stop_loss is needed"),
        ({"action": "stops", "symbol": ETH, "stop_loss": "1"}, "nothing is held"),
        ({"action": "add", "qty": "1", "price": "100", "stop_loss": "100"}, "below the price"),
        ({"action": "add", "qty": "1", "price": "100", "take_profit": "99"}, "above the price"),
        ({"side": "sell", "qty": "2", "price": "100", "stop_loss": "90"}, "nothing is held after it"),
        ({"action": "turn", "qty": "1", "price": "100"}, "Invalid enum value 'turn'"),
        ({"action": "add", "qty": "0,5", "price": "100"}, "qty was 0,5, allowed: a number above 0"),
        ({"action": "add", "qty": "0", "price": "100"}, "a number above 0"),
        ({"action": "add", "qty": "1e3", "price": "100"}, "in plain digits"),
        ({"action": "add", "qty": "1", "price": "100", "fee": "-1"}, "a number of 0 or more"),
        ({"action": "add", "qty": "1", "price": "100", "equity": "0"}, "equity was 0"),
        ({"action": "add", "qty": "1", "price": "100", "symbol": "X"}, "one of signals.symbols is allowed"),
        ({"action": "add", "qty": "1", "price": "100", "id": ""}, "id"),
        ({"action": "add", "qty": "1", "price": "100", "note": "x"}, "unknown field `note`"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(step: dict[str, Any], word: str) -> None:
    here = opened()
    before = dump_account(here.account)
    with pytest.raises((Failed, ProtocolError), match=word):
        here.step(**({"action": None} | step))
    assert (dump_account(here.account), len(here.told)) == (before, 1)


def test_a_leg_never_turns_and_a_hedged_position_wants_one() -> None:
    here = Elsewhere()
    with pytest.raises(Failed, match="the first one needs the equity"):
        here.step("open", side="buy", qty="2", price="100", leg="long")
    here.step("open", side="buy", qty="2", price="100", leg="long", equity="1000")
    for step, word in (
        (
            {"action": None, "side": "sell", "qty": "3", "price": "100", "leg": "long"},
            "up to what the long leg",
        ),
        ({"action": None, "side": "buy", "qty": "1", "price": "100", "leg": "short"}, "short leg holds .0."),
        ({"action": "close", "price": "100"}, "the position is hedged"),
        ({"action": "close", "price": "100", "leg": "short"}, "on its short leg"),
        ({"action": "reduce", "qty": "1", "price": "100"}, "the position is hedged"),
    ):
        with pytest.raises(Failed, match=word):
            here.step(**step)
    here.step("close", price="100", leg="long")
    assert not here.account.position(BTC).is_held


def test_what_is_told_again_is_known_by_its_content() -> None:
    raw = b'{"id":"x","symbol":"BTC/USDT:USDT","side":"buy","qty":"1","price":"2"}'
    other = raw.replace(b'"qty":"1"', b'"qty":"2"')
    assert digest_of(read_step(raw)) == digest_of(read_step(raw)) != digest_of(read_step(other))
