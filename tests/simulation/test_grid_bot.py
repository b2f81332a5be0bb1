"""A grid on plain ccxt through an hour of market time, with the venue killed and started again under it: the
bot's own books are the venue's at the end.
"""

from __future__ import annotations

import contextlib
import math
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from tests.contract.serving import Account, VenueProcess, served, sync_client

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

SYMBOL = "BTC/USDT:USDT"
START_MS = 1_760_000_400_000  # far from a settlement of funding
MINUTES, SECONDS = 60, 80
MIDDLE, STEP, LEVELS, QTY = 100_000, 40, 5, 0.01
DEPOSIT = Decimal(100_000)
KILLS = 2


def index_file(folder: Path) -> str:
    """An hour of minute bars that swings through the grid."""
    rows, last = ["open_time_ms,open,high,low,close"], MIDDLE
    for minute in range(MINUTES + 1):
        close = round(MIDDLE + 180 * math.sin(minute / 3.1) + 60 * math.sin(minute * 1.7))
        high, low = max(last, close) + 10, min(last, close) - 10
        rows.append(f"{START_MS + minute * 60_000},{last},{high},{low},{close}")
        last = close
    path = folder / "index.csv"
    path.write_text("\n".join(rows) + "\n")
    return f"index:BTCUSDT={path}"


class Grid:
    """Buys a step below, sells a step above; whatever fills is placed anew on the other side."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.trades: dict[str, Any] = {}
        self._orders = 0
        self.unknown = 0

    def place(self, side: str, price: float) -> None:
        """Once and only once, whatever becomes of the answer."""
        self._orders += 1
        name = f"grid-{self._orders}"
        while True:
            try:
                self._client.create_order(SYMBOL, "limit", side, QTY, price, {"clientOrderId": name})
                return
            except ccxt.NetworkError:
                self.unknown += 1
                if self._is_known(name):
                    return
            except ccxt.InvalidOrder as error:
                if "duplicate" in str(error):
                    return
                raise

    def _is_known(self, name: str) -> bool:
        for _ in range(200):
            try:
                query = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": name}
                return bool(self._client.private_get_v5_order_realtime(query)["result"]["list"])
            except ccxt.NetworkError:
                time.sleep(0.1)
        raise AssertionError("the venue did not come back")

    def start(self) -> None:
        """The whole grid."""
        for level in range(1, LEVELS + 1):
            self.place("buy", MIDDLE - level * STEP)
            self.place("sell", MIDDLE + level * STEP)

    def step(self) -> None:
        """Take note of fills; answer each order that is filled whole."""
        for trade in self._client.fetch_my_trades(SYMBOL, None, 100):
            if trade["id"] in self.trades:
                continue
            self.trades[trade["id"]] = trade
            filled = sum(t["amount"] for t in self.trades.values() if t["order"] == trade["order"])
            if filled < QTY - 1e-9:
                continue
            price = round((trade["price"] - MIDDLE) / STEP) * STEP + MIDDLE
            if trade["side"] == "buy":
                self.place("sell", price + STEP)
            else:
                self.place("buy", price - STEP)

    def position(self) -> Decimal:
        """Bought less sold."""
        return sum((_signed(trade) for trade in self.trades.values()), Decimal(0))

    def cash(self) -> Decimal:
        """What was paid and received, fees included; the position's worth comes on top."""
        moved = Decimal(0)
        for trade in self.trades.values():
            info = trade["info"]
            moved -= _signed(trade) * Decimal(info["execPrice"]) + Decimal(info["execFee"])
        return moved


def _utc(minute: int) -> str:
    moment = datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(minutes=minute)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _signed(trade: Any) -> Decimal:
    qty = Decimal(trade["info"]["execQty"])
    return qty if trade["side"] == "buy" else -qty


def traded(venue: VenueProcess, grid: Grid, until: float) -> None:
    """Run the bot's loop; a venue that is away is waited for."""
    while time.monotonic() < until:
        with contextlib.suppress(ccxt.NetworkError):
            grid.step()
        time.sleep(0.05)


def test_the_books_of_a_grid_are_the_venues_after_an_hour_with_restarts(tmp_path: Path) -> None:
    replay = index_file(tmp_path)
    arguments = ["--scenario", "calm", "--seconds", str(SECONDS), "--replay", replay, "--enable-sim"]
    arguments += ["--from", _utc(0), "--to", _utc(MINUTES)]
    arguments += ["--durability", "fsync", "--seed", "11", "--account", f"grid:{DEPOSIT}"]
    begun = time.monotonic()
    account: Account | None = None
    grid: Grid | None = None
    for life in range(KILLS + 1):
        with served(tmp_path / "data", *arguments) as venue:
            if grid is None:
                account = venue.accounts["grid"]
                client = sync_client(venue, account)
                client.load_markets()
                grid = Grid(client)
                grid.start()
                arguments += ["--port", venue.rest.rpartition(":")[2]]
            share = (life + 1) / (KILLS + 1)
            traded(venue, grid, begun + SECONDS * share)
            if life < KILLS:
                venue.kill()
                with pytest.raises(ccxt.NetworkError):
                    grid.step()
                continue
            _compare(venue, grid, client)
            assert venue.stop() == 0


def _compare(venue: VenueProcess, grid: Grid, client: Any) -> None:
    client.cancel_all_orders(SYMBOL)
    grid.step()
    client.cancel_all_orders(SYMBOL)
    history = venue.sim("stats")
    assert len(grid.trades) >= 20, "the market swings through the grid"
    rows = client.private_get_v5_position_list({"category": "linear", "symbol": "BTCUSDT"})["result"]["list"]
    held = Decimal(rows[0]["size"]) * (-1 if rows[0]["side"] == "Sell" else 1)
    assert grid.position() == held
    wallet = client.private_get_v5_account_wallet_balance({"accountType": "UNIFIED"})["result"]["list"][0]
    coin = next(row for row in wallet["coin"] if row["coin"] == "USDT")
    cost = held * Decimal(rows[0]["avgPrice"] or 0)
    query = {"category": "linear", "execType": "Funding"}
    paid = client.private_get_v5_execution_list(query)["result"]["list"]
    funding = sum((Decimal(row["execFee"]) for row in paid), Decimal(0))
    assert abs(DEPOSIT + grid.cash() + cost - funding - Decimal(coin["walletBalance"])) <= Decimal("0.00001")
    assert venue.sim("invariants")["conservation_delta"] == "0"
    assert history["trades"] > len(grid.trades)
