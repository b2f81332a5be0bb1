"""A run's tale as a page for a terminal.

Belongs here: order, headings, columns, rounding for the eye. Does not belong here: figures of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["print_tale"]

DELEVERAGED_SHOWN = 12
PERCENT = Decimal(100)


def print_tale(told: dict[str, Any], console: Console | None = None) -> None:
    """Everything that `Tale.told` says, shortened where it is long."""
    out = console or Console(highlight=False)
    hours = told["seconds"] * told["time_factor"] / 3600
    run = f"seed {told['seed']} · {hours:.1f} h of market time · {told['commands']:,} commands"
    out.print(f"[bold]{told['scenario']}[/] · {run}\n")
    out.print(_timeline(told["timeline"]["rows"]))
    out.print()
    for heading, rows in _sections(told):
        out.print(f"[bold]{heading}[/]")
        for name, value in rows:
            out.print(f"  {name:<26} {value}")
    if told["adl"]["deleveraged"]:
        out.print()
        out.print(_deleveraged(told["adl"]["deleveraged"]))
        for symbol, places in told["adl"]["ranking_before"].items():
            queue = ", ".join(f"{row['account']} {'●' * row['lights']}" for row in places)
            out.print(f"  {symbol} queue before: {queue}", soft_wrap=True)
    out.print()
    out.print(f"conservation {told['conservation_delta']}  ·  state {told['state_hash']}", soft_wrap=True)


def _sections(told: dict[str, Any]) -> Iterable[tuple[str, Sequence[tuple[str, str]]]]:
    liquidations, borrowing = told["liquidations"], told["borrowing"]
    pool, fund = told["lending_pool"], told["insurance_fund"]
    yield (
        "Liquidations",
        [
            ("begun", f"{liquidations['started']} on {liquidations['accounts']} accounts"),
            ("positions taken over", f"{liquidations['taken_over']}"),
            ("largest", _largest(liquidations["positions"])),
        ],
    )
    yield (
        "Borrowing",
        [
            ("accounts that owed", f"{borrowing['accounts']}"),
            ("owed at most", _usdt(borrowing["loans_max"])),
            ("interest taken", f"{Decimal(borrowing['interest']):,.2f} USDT"),
            ("collateral sold to repay", f"{borrowing['collateral_sales']} times"),
            ("repayments", ", ".join(f"{name} {n}" for name, n in borrowing["repayments"].items()) or "none"),
        ],
    )
    rates = f"{_percent(pool['borrow_rate_year_min'])} to {_percent(pool['borrow_rate_year_max'])} a year"
    yield (
        "Lending pool",
        [
            ("suppliers own", _usdt(pool["assets"])),
            ("lent at most of it", _percent(pool["utilisation_max"])),
            ("borrowers pay", rates),
            ("suppliers earn at most", f"{_percent(pool['supply_rate_year_max'])} a year"),
        ],
    )
    yield (
        "Insurance fund",
        [
            ("start, lowest, end", f"{_usdt(fund['start'])}, {_usdt(fund['lowest'])}, {_usdt(fund['end'])}"),
            ("drawn at the lowest", _percent(fund["drawn"])),
            ("gained, paid", f"{_usdt(fund['gained'])}, {_usdt(fund['paid'])}"),
        ],
    )
    yield (
        "Auto-deleveraging",
        [
            *(_begun(told["adl"]["begun"]) or [("begun", "never")]),
            ("positions closed", f"{len(told['adl']['deleveraged'])}"),
        ],
    )


def _begun(rows: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """How often for each contract, and how much of the fund its losses had come to when it began first."""
    symbols = dict.fromkeys(row["symbol"] for row in rows)
    ratios = {symbol: [row["ratio"] for row in rows if row["symbol"] == symbol] for symbol in symbols}
    return [
        (
            f"begun for {symbol}",
            f"{'once' if len(found) == 1 else f'{len(found)} times'}, with {_percent(found[0])} of the fund",
        )
        for symbol, found in ratios.items()
    ]


def _largest(positions: Sequence[dict[str, str]]) -> str:
    def size(row: dict[str, str]) -> Decimal:
        return abs(Decimal(row["qty"]) * Decimal(row["bankruptcy_price"]))

    largest = sorted(positions, key=size, reverse=True)[:1]
    return ", ".join(
        f"{row['qty']} {row['symbol']} at {row['bankruptcy_price']} (account {row['account']})"
        for row in largest
    )


def _timeline(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("market time", "mark", "owed", "pool lent", "rate a year", "fund"):
        table.add_column(column, justify="left" if column == "market time" else "right")
    for market_ms, mark, loans, utilisation, rate, fund in rows:
        moment = datetime.fromtimestamp(int(market_ms) / 1000, UTC).strftime("%m-%d %H:%M")
        table.add_row(moment, mark, _usdt(loans), _percent(utilisation), _percent(rate), _usdt(fund))
    return table


def _deleveraged(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("deleveraged", "contract", "closed", "at", "place", "lights"):
        table.add_column(column, justify="left" if column in ("contract", "lights") else "right")
    for row in rows[:DELEVERAGED_SHOWN]:
        place = "–" if row["place_before"] is None else str(row["place_before"])
        lights = "●" * (row["lights_before"] or 0)
        table.add_row(str(row["account"]), row["symbol"], row["qty"], row["price"], place, lights)
    if len(rows) > DELEVERAGED_SHOWN:
        table.add_row(f"and {len(rows) - DELEVERAGED_SHOWN} more")
    return table


def _usdt(text: str) -> str:
    return f"{Decimal(text):,.0f} USDT"


def _percent(text: str) -> str:
    return f"{Decimal(text) * PERCENT:.1f} %"
