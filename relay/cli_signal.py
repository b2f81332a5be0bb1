"""`relay signal`: a leader who trades where nothing can be watched tells each step himself.

Belongs here: names, options and help, the body of the call, what to say of the answer. Does not belong here:
what a step may be (`relay.external`), the signed call (`relay.door`).
"""

from __future__ import annotations

import json
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["signal_app"]

signal_app = typer.Typer(
    help='Tell a step of a leader who trades elsewhere (publisher.toml: exchange = "external").',
    no_args_is_help=True,
    rich_markup_mode=None,
)


class _Side(StrEnum):
    long = "long"
    short = "short"


_Symbol = Annotated[str, typer.Argument(help="what was traded (BTC/USDT:USDT)", metavar="SYMBOL")]
_Qty = Annotated[str, typer.Argument(help="how much, in base units", metavar="QTY")]
_Price = Annotated[str, typer.Argument(help="what was paid on average", metavar="PRICE")]
_Equity = Annotated[
    str | None, typer.Option(help="the account's equity after it; the first step needs it", metavar="USDT")
]
_Fee = Annotated[str | None, typer.Option(help="what the step cost", metavar="USDT")]
_Leverage = Annotated[str | None, typer.Option(help="the position's setting from now on")]
_TakeProfit = Annotated[str | None, typer.Option(help="the position's from now on; 0: none", metavar="PRICE")]
_StopLoss = Annotated[str | None, typer.Option(help="the position's from now on; 0: none", metavar="PRICE")]
_Leg = Annotated[_Side | None, typer.Option(help="which side of a hedged position", show_default=False)]
_Id = Annotated[
    str | None,
    typer.Option("--id", help="a name for the step: told twice under it, it is a signal once"),
]
_Config = Annotated[
    Path, typer.Option("--config", envvar="PUBLISHER_CONFIG", help="the leader's TOML file", metavar="FILE")
]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable output")]
_PUBLISHER_TOML = Path("publisher.toml")


@signal_app.command("open")
def open_position(
    symbol: _Symbol,
    side: Annotated[_Side, typer.Argument(help="long or short", metavar="long|short")],
    qty: _Qty,
    price: _Price,
    equity: _Equity = None,
    take_profit: _TakeProfit = None,
    stop_loss: _StopLoss = None,
    leverage: _Leverage = None,
    fee: _Fee = None,
    hedged: Annotated[bool, typer.Option("--hedged", help="as one side of a hedged position")] = False,
    step_id: _Id = None,
    config: _Config = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """A new position."""
    traded = "buy" if side is _Side.long else "sell"
    leg = side if hedged else None
    step = {"side": traded, "qty": qty, "price": price, "equity": equity, "fee": fee, "leverage": leverage}
    _tell("open", symbol, leg, step | _stops(take_profit, stop_loss), step_id, config, as_json)


@signal_app.command("add")
def add(
    symbol: _Symbol,
    qty: _Qty,
    price: _Price,
    equity: _Equity = None,
    take_profit: _TakeProfit = None,
    stop_loss: _StopLoss = None,
    leverage: _Leverage = None,
    fee: _Fee = None,
    leg: _Leg = None,
    step_id: _Id = None,
    config: _Config = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """More of a position that is held."""
    step = {"qty": qty, "price": price, "equity": equity, "fee": fee, "leverage": leverage}
    _tell("add", symbol, leg, step | _stops(take_profit, stop_loss), step_id, config, as_json)


@signal_app.command("reduce")
def reduce(
    symbol: _Symbol,
    qty: _Qty,
    price: _Price,
    equity: _Equity = None,
    take_profit: _TakeProfit = None,
    stop_loss: _StopLoss = None,
    fee: _Fee = None,
    leg: _Leg = None,
    step_id: _Id = None,
    config: _Config = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Less of it."""
    step = {"qty": qty, "price": price, "equity": equity, "fee": fee}
    _tell("reduce", symbol, leg, step | _stops(take_profit, stop_loss), step_id, config, as_json)


@signal_app.command("close")
def close(
    symbol: _Symbol,
    price: _Price,
    equity: _Equity = None,
    fee: _Fee = None,
    leg: _Leg = None,
    step_id: _Id = None,
    config: _Config = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """All of it."""
    _tell("close", symbol, leg, {"price": price, "equity": equity, "fee": fee}, step_id, config, as_json)


@signal_app.command("stops")
def stops(
    symbol: _Symbol,
    take_profit: _TakeProfit = None,
    stop_loss: _StopLoss = None,
    leg: _Leg = None,
    step_id: _Id = None,
    config: _Config = _PUBLISHER_TOML,
    as_json: _Json = False,
) -> None:
    """Move its stops, and nothing else."""
    _tell("stops", symbol, leg, _stops(take_profit, stop_loss), step_id, config, as_json)


def _stops(take_profit: str | None, stop_loss: str | None) -> dict[str, str | None]:
    return {"take_profit": take_profit, "stop_loss": stop_loss}


def _tell(
    action: str,
    symbol: str,
    leg: _Side | None,
    step: dict[str, str | None],
    step_id: str | None,
    config: Path,
    as_json: bool,
) -> None:
    from relay import running
    from relay.desk.calls import ask
    from relay.errors import TryAgain

    name = step_id or uuid.uuid4().hex
    told = {"id": name, "symbol": symbol, "action": action, "leg": leg and leg.value} | step

    def make() -> str:
        try:
            answer = ask(config, "signal", {key: value for key, value in told.items() if value is not None})
        except TryAgain as error:
            raise TryAgain(f"{error}; the same again with --id {name} is told once at most") from None
        return json.dumps(answer) if as_json else _shown(action, symbol, answer)

    raise typer.Exit(running.print_result(make))


def _shown(action: str, symbol: str, answer: dict[str, Any]) -> str:
    seq, name = answer["seq"], answer["id"]
    done = (
        f"{action}: told as message {seq}"
        if answer["told"]
        else f"{action}: {name} was message {seq} already"
    )
    waiting = (
        "" if answer["stored"] else "; the broker does not have it yet, and gets it as soon as it answers"
    )
    return f"{done}{waiting}\n{_held(symbol, answer['positions'])}; equity {answer['equity']} USDT; id {name}"


def _held(symbol: str, positions: list[dict[str, Any]]) -> str:
    if not positions:
        return f"{symbol}: flat"
    [state] = positions
    legs = state.get("legs") or [state | {"side": "short" if state["qty"].startswith("-") else "long"}]
    return f"{symbol}: " + ", ".join(_side(leg) for leg in legs if leg["qty"] != "0")


def _side(leg: dict[str, Any]) -> str:
    names = {"take_profit": "take profit", "stop_loss": "stop loss"}
    stops = [f"{word} {leg[name]}" for name, word in names.items() if leg.get(name)]
    return " · ".join([f"{leg['side']} {leg['qty'].lstrip('-')} at {leg['entry_price']}", *stops])
