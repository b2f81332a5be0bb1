"""`relay demo`: its options, as they stand on the command line.

Belongs here: names and help. Does not belong here: what they do (`plan`, `run`), imported when it runs.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]

_INTERRUPTED = 130


def demo(
    seconds: Annotated[int, typer.Option(help="how long the market runs")] = 60,
    followers: Annotated[int, typer.Option(help="how many followers, each with its policy")] = 5,
    seed: Annotated[int, typer.Option(help="of the market and of the leader's script")] = 7,
    scenario: Annotated[str, typer.Option(help="who else trades, and how the price moves")] = "demo",
    replay: Annotated[
        list[str] | None,
        typer.Option(help="KIND:SYMBOL=FILE; KIND: index, last or mark_check; repeatable"),
    ] = None,
    window_from: Annotated[str | None, typer.Option("--from", help="first moment of the replay, UTC")] = None,
    window_to: Annotated[str | None, typer.Option("--to", help="last moment of the replay, UTC")] = None,
    leader_fills: Annotated[Path | None, typer.Option(help="recorded fills that the leader repeats")] = None,
    leader_account: Annotated[str | None, typer.Option(help="whose rows of that file")] = None,
    leader_symbol: Annotated[str, typer.Option(help="what the leader trades")] = "BTCUSDT",
    leader_equity: Annotated[str, typer.Option(help="his deposit in USDT")] = "100000",
    serve: Annotated[bool, typer.Option("--serve", help="leave everything running until Ctrl-C")] = False,
    out: Annotated[Path, typer.Option(help="where report.json and report.html go")] = Path("runs/demo"),
    open_report: Annotated[bool, typer.Option("--open", help="show the report in a browser")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print report.json instead of the table")] = False,
) -> None:
    """The whole system on this machine: venue, broker, leader, followers, monitor; ends with the report."""
    # Nothing runs yet: while the rest is imported, an interrupt simply ends this process.
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from relay.demo.plan import DemoOptions
    from relay.demo.run import run_demo

    options = DemoOptions(
        seconds=seconds,
        followers=followers,
        seed=seed,
        scenario=scenario,
        replay=tuple(replay or ()),
        window_from=window_from,
        window_to=window_to,
        leader_fills=leader_fills,
        leader_account=leader_account,
        leader_symbol=leader_symbol,
        leader_equity_usdt=leader_equity,
        serve=serve,
        out=out,
        open_report=open_report,
    )
    raise typer.Exit(run_demo(options, as_json=as_json))
