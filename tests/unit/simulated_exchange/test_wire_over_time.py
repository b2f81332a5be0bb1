"""What only time brings, as REST tells it: funding, interest, delivery, new limits; names kept on disk."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulated_exchange.driver import Event
from simulated_exchange.errors import ConfigurationError
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger.samples import InterestSamples
from simulated_exchange.request_book import RequestBook
from tests.wire_room import HOUR_MS, START_MS, WireRoom

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def room(tmp_path: Path) -> WireRoom:
    return WireRoom(tmp_path)


def test_funding_is_an_execution_a_movement_and_a_row_of_history(room: WireRoom) -> None:
    room.trade("linear", "BTCUSDT", "1", "100000")
    paid = [event for event in room.wait(9) if isinstance(event, Event.FundingPaid)]
    mine = next(event for event in paid if event.account == room.bob.account)
    (row,) = room.ask("GET", "/v5/execution/list", **LINEAR, execType="Funding")["list"]
    assert (row["execType"], row["orderType"], row["side"], row["execQty"]) == (
        "Funding",
        "UNKNOWN",
        "Buy",
        "1.000",
    )
    assert Decimal(row["execFee"]) == Decimal(mine.fee) / SCALE > 0, "positive is paid"
    assert Decimal(row["feeRate"]) == Decimal(mine.rate) / 10**12
    (other,) = room.ask("GET", "/v5/execution/list", room.alice, **LINEAR, execType="Funding")["list"]
    assert (other["side"], Decimal(other["feeRate"]), Decimal(other["execFee"]) < 0) == (
        "Sell",
        -Decimal(row["feeRate"]),
        True,
    )
    assert len(room.ask("GET", "/v5/execution/list", **LINEAR, execType="Trade")["list"]) == 1
    (log,) = room.ask("GET", "/v5/account/transaction-log", type="SETTLEMENT")["list"]
    assert (Decimal(log["funding"]), log["symbol"]) == (-Decimal(row["execFee"]), "BTCUSDT")
    (settled,) = room.ask("GET", "/v5/market/funding/history", **LINEAR)["list"]
    assert settled == {
        "symbol": "BTCUSDT",
        "fundingRate": row["feeRate"],
        "fundingRateTimestamp": str(START_MS - START_MS % (8 * HOUR_MS) + 8 * HOUR_MS),
    }


def test_interest_is_told_hour_by_hour(room: WireRoom) -> None:
    room.ask("POST", "/v5/account/borrow", coin="SOL", amount="100")
    rate = Decimal(
        room.ask("GET", "/v5/account/collateral-info", currency="SOL")["list"][0]["hourlyBorrowRate"]
    )
    for _ in range(3):
        room.wait(1)
    rows = room.ask("GET", "/v5/account/borrow-history", currency="SOL", limit=2)
    assert len(rows["list"]) == 2
    older = room.ask(
        "GET", "/v5/account/borrow-history", currency="SOL", limit=2, cursor=rows["nextPageCursor"]
    )
    assert (len(older["list"]), older["nextPageCursor"]) == (1, "")
    first = older["list"][0]
    assert Decimal(first["borrowAmount"]) == 100
    assert Decimal(first["InterestBearingBorrowSize"]) == 100
    assert Decimal(first["borrowCost"]) == pytest.approx(100 * rate, rel=Decimal("0.01"))
    movements = room.ask("GET", "/v5/account/transaction-log", currency="SOL", type="INTEREST")["list"]
    assert [Decimal(row["change"]) for row in movements] == [
        -Decimal(row["borrowCost"]) for row in [*rows["list"], *older["list"]]
    ]
    history = room.ask("GET", "/v5/spot-margin-trade/interest-rate-history", currency="SOL")["list"]
    assert len({row["timestamp"] for row in history}) == len(history) >= 2


def test_a_delivered_contract_is_closed_and_told(room: WireRoom) -> None:
    dated = {"category": "linear", "symbol": "BTCUSDT-25JUN27"}
    room.trade("linear", dated["symbol"], "0.5", "100000")
    (listed,) = room.ask("GET", "/v5/market/instruments-info", **dated)["list"]
    assert (listed["contractType"], listed["status"]) == ("LinearFutures", "Trading")
    room.wait((int(listed["deliveryTime"]) - START_MS) / HOUR_MS + 0.1)
    (price,) = room.ask("GET", "/v5/market/delivery-price", category="linear")["list"]
    assert (price["symbol"], Decimal(price["deliveryPrice"])) == ("BTCUSDT-25JUN27", Decimal(100000))
    (record,) = room.ask("GET", "/v5/asset/delivery-record", category="linear")["list"]
    assert (record["side"], record["position"], Decimal(record["deliveryRpl"])) == (
        "Buy",
        "0.500",
        Decimal(0),
    )
    (row,) = room.ask("GET", "/v5/market/instruments-info", **dated)["list"]
    assert row["status"] == "Closed"
    trading = room.ask("GET", "/v5/market/instruments-info", category="linear")["list"]
    assert "BTCUSDT-25JUN27" not in {entry["symbol"] for entry in trading}
    order = {**dated, "side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "100000"}
    assert room.code_of("POST", "/v5/order/create", **order) == 110074
    (fill,) = room.ask("GET", "/v5/execution/list", **dated, execType="Delivery")["list"]
    assert fill["createType"] == "CreateBySettle"


def test_risk_limits_to_come_are_announced_and_then_in_force(room: WireRoom) -> None:
    assert room.ask("GET", "/v5/announcements/index", locale="en-US")["total"] == 0
    instrument = room.venue.catalogue.by_symbol("BTCUSDT")
    assert instrument is not None
    tiers = [(1_000_000 * SCALE, 5000, SCALE // 100), (50_000_000 * SCALE, 1000, SCALE // 20)]
    room.driver.announce_risk_limits(
        instrument=instrument.index, tiers=tiers, effective_ms=START_MS + HOUR_MS
    )
    said = room.ask("GET", "/v5/announcements/index", locale="en-US")
    assert (said["total"], said["list"][0]["type"]["key"]) == (1, "product_updates")
    assert len(room.ask("GET", "/v5/market/risk-limit", **LINEAR)["list"]) == 20
    room.wait(2)
    rows = room.ask("GET", "/v5/market/risk-limit", **LINEAR)["list"]
    assert [(row["riskLimitValue"], row["maxLeverage"]) for row in rows] == [
        ("1000000", "50.00"),
        ("50000000", "10.00"),
    ]
    assert room.ask("GET", "/v5/announcements/index", locale="en-US")["total"] == 0


def test_open_interest_and_ratios_are_sampled(room: WireRoom) -> None:
    room.trade("linear", "BTCUSDT", "2", "100000")
    for _ in range(3):
        room.venue.sample_prices()
        room.wait(1)
    room.order(room.alice, "linear", "BTCUSDT", "Buy", "1.5", "100000")
    room.order(room.bob, "linear", "BTCUSDT", "Sell", "1.5", "100000")
    rows = room.ask("GET", "/v5/market/open-interest", **LINEAR, intervalTime="1h")["list"]
    assert [Decimal(row["openInterest"]) for row in rows] == [Decimal("0.5"), 2, 2, 2]
    ratio = room.ask("GET", "/v5/market/account-ratio", **LINEAR, period="1h", limit=1)
    assert (ratio["list"][0]["buyRatio"], ratio["nextPageCursor"]) == ("0.5000", "1")
    samples = InterestSamples(1)
    for minute in (0, 1, 6, 11):
        if samples.is_due(0, START_MS + minute * 60_000):
            samples.add(0, START_MS + minute * 60_000, minute, 0, 0)
    assert [entry.open_interest for entry in samples.newest_first(0, 300_000)] == [11, 6, 0]
    assert [entry.open_interest for entry in samples.newest_first(0, 900_000)] == [0]


def transfer(room: WireRoom, identity: str, amount: str) -> int:
    wallets = {"fromAccountType": "UNIFIED", "toAccountType": "FUND", "coin": "USDT"}
    return room.code_of(
        "POST", "/v5/asset/transfer/inter-transfer", **wallets, amount=amount, transferId=identity
    )


def test_a_name_is_used_once_also_after_a_restart(room: WireRoom, tmp_path: Path) -> None:
    names = [f"transfer-{number}" for number in range(3)]
    assert transfer(room, names[0], "10") == 0
    assert transfer(room, names[0], "10") == 131214
    assert transfer(room, names[1], "99999999") == 131212, "refused: its name is free again"
    assert transfer(room, names[1], "20") == 0

    def count(kind: str, account: int) -> int:
        return room.venue.movement_count(kind, account)

    again = RequestBook.open(tmp_path / "requests.jsonl")
    again.settle(count)
    assert [again.is_used("transfer", name) for name in names] == [True, True, False]
    listed = room.ask("GET", "/v5/asset/transfer/query-inter-transfer-list")["list"]
    assert [row["transferId"] for row in listed] == [names[1], names[0]]
    with (tmp_path / "requests.jsonl").open("a") as file:
        file.write('{"kind":"transfer","acc')  # torn by a power cut: it was never acted upon
    torn = RequestBook.open(tmp_path / "requests.jsonl")
    torn.settle(count)
    assert torn.is_used("transfer", names[1])
    whole = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert len(whole) == 3, "the refused one stays on disk and means nothing"
    (tmp_path / "requests.jsonl").write_text("nothing of ours\n")
    with pytest.raises(ConfigurationError, match="not a book of requests"):
        RequestBook.open(tmp_path / "requests.jsonl")


def test_a_line_whose_movement_never_came_about_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    book = RequestBook.open(path)

    def killed() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        book.perform("transfer", 7, 0, "lost", {}, killed)
    again = RequestBook.open(path)
    again.settle(lambda _kind, _account: 0)
    assert not again.is_used("transfer", "lost")
    assert again.perform("transfer", 7, 0, "found", {}, lambda: True)
    last = RequestBook.open(path)
    last.settle(lambda _kind, _account: 1)
    row = last.of("transfer", 7, 1)
    assert row is not None
    assert (row.identity, last.is_used("transfer", "lost")) == ("found", False)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v5/order/history", LINEAR),
        ("/v5/execution/list", LINEAR),
        ("/v5/position/closed-pnl", LINEAR),
        ("/v5/account/transaction-log", {}),
    ],
)
def test_every_list_of_the_past_is_paged_to_its_end(room: WireRoom, path: str, query: dict[str, Any]) -> None:
    for _ in range(3):
        room.trade("linear", "BTCUSDT", "0.1", "100000")
        room.order(room.alice, "linear", "BTCUSDT", "Buy", "0.1", "100000")
        room.order(room.bob, "linear", "BTCUSDT", "Sell", "0.1", "100000")
    whole = room.ask("GET", path, **query, limit=50)
    seen: list[Any] = []
    cursor = ""
    for _ in range(50):
        page = room.ask("GET", path, **query, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += page["list"]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert seen == whole["list"]
    assert len(seen) >= 3
    assert whole["nextPageCursor"] == ""


def test_a_liquidation_is_told_as_one(room: WireRoom) -> None:
    poor = room.venue.open_account("poor", 2_000 * SCALE)
    room.order(room.alice, "linear", "BTCUSDT", "Sell", "0.15", "100000")
    room.order(poor, "linear", "BTCUSDT", "Buy", "0.15", "100000")
    room.order(poor, "linear", "BTCUSDT", "Buy", "0.001", "80000")
    room.index("BTCUSDT", "86000")
    for _ in range(10):
        room.wait(0.02)
        room.index("BTCUSDT", "86000")
    busts = room.ask("GET", "/v5/execution/list", poor, **LINEAR, execType="BustTrade")["list"]
    assert busts
    assert {row["createType"] for row in busts} == {"CreateByTakeOver_PassThrough"}
    kinds = {row["type"] for row in room.ask("GET", "/v5/account/transaction-log", poor)["list"]}
    assert "LIQUIDATION" in kinds
    (cancelled,) = room.ask("GET", "/v5/order/history", poor, **LINEAR, orderStatus="Cancelled")["list"]
    assert cancelled["cancelType"] == "CancelByPrepareLiq"
    assert room.ask("GET", "/v5/position/list", poor, **LINEAR)["list"][0]["size"] == "0"
    closed = room.ask("GET", "/v5/position/closed-pnl", poor, **LINEAR)["list"]
    assert closed[0]["execType"] == "BustTrade"


def test_spot_moves_two_coins_and_the_log_adds_up(room: WireRoom) -> None:
    room.trade("spot", "BTCUSDT", "1", "100000")
    rows = room.ask("GET", "/v5/account/transaction-log", category="spot")["list"]
    moved = {row["currency"]: row for row in rows}
    assert {name: row["change"] for name, row in moved.items()} == {"BTC": "0.999", "USDT": "-100000"}
    assert {name: row["fee"] for name, row in moved.items()} == {"BTC": "0.001", "USDT": "0"}
    for row in rows:
        flow, fee = Decimal(row["cashFlow"]), Decimal(row["fee"])
        assert Decimal(row["change"]) == flow - fee
    sold = room.ask("GET", "/v5/account/transaction-log", room.alice, category="spot")["list"]
    assert {row["currency"]: row["fee"] for row in sold} == {"BTC": "0", "USDT": "100"}
    assert room.ask("GET", "/v5/position/list", category="spot")["list"] == []
