"""Paper fills walk the book and survive a restart; a subscriber hands on each message once, in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from follower_client import subscriber as subscriber_module
from follower_client.errors import StoreError
from follower_client.key_links import keep_links, kept_links
from follower_client.leader_view import LeaderView
from follower_client.records import Head
from follower_client.store import Store
from follower_client.subscriber import Subscriber
from follower_client.venue.account import AccountState
from follower_client.venue.market_data import MarketData
from follower_client.venue.paper_adapter import PaperAdapter
from follower_client.venue.port import Ending, OrderRequest, OrderStatus, VenueFill, VenueOrder
from relay.nats_bus import Bus, BusError, BusMessage
from relay.protocol.messages import Heartbeat, Notice, Signal, Snapshot
from relay.protocol.signing import GENESIS_HASH, Envelope, link_keys, open_envelope
from tests.unit.follower_client.build import BTC, instrument, quote, signal
from tests.unit.follower_client.executor_bench import until
from tests.unit.follower_client.sealed import KEY, frame

PUBLIC = KEY.verify_key.encode().hex()


class Books:
    """Two levels a side."""

    def __init__(self) -> None:
        self.orderbooks = {
            BTC: {
                "bids": [[99_990.0, 0.5], [99_000.0, 5.0]],
                "asks": [[100_010.0, 0.5], [101_000.0, 5.0]],
            }
        }


class Ear:
    def __init__(self) -> None:
        self.fills: list[VenueFill] = []
        self.orders: list[VenueOrder] = []

    def on_fill(self, fill: VenueFill) -> None:
        self.fills.append(fill)

    def on_order(self, order: VenueOrder) -> None:
        self.orders.append(order)


async def paper(path: Path, ear: Ear) -> PaperAdapter:
    data = MarketData(Books(), RuntimeError, [BTC], depth=True)
    data.quotes[BTC] = quote("100000")
    adapter = PaperAdapter(
        data, {BTC: instrument()}, path, balance_usdt=Decimal(100_000), leverage_max=Decimal(4)
    )
    await adapter.start(ear)
    return adapter


def request(qty: str, *, name: str = "a", limit: str | None = None, **changes: Any) -> OrderRequest:
    values: dict[str, Any] = {"is_buy": True, "reduce_only": False} | changes
    return OrderRequest(
        client_order_id=name,
        symbol=BTC,
        qty=Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        **values,
    )


@pytest.mark.asyncio
async def test_a_paper_order_pays_for_the_depth_it_takes_and_the_fee(tmp_path: Path) -> None:
    ear = Ear()
    adapter = await paper(tmp_path / "p", ear)
    assert (await adapter.submit(request("1"))).ending is Ending.ACCEPTED
    await asyncio.sleep(0)
    assert [(fill.price, fill.qty) for fill in ear.fills] == [
        (Decimal("100010.0"), Decimal("0.5")),
        (Decimal("101000.0"), Decimal("0.5")),
    ]
    paid = (Decimal("100010") + Decimal("101000")) / 2 * Decimal("0.00055")
    assert adapter.account.wallet_balance == Decimal(100_000) - paid
    assert ear.orders[0].status is OrderStatus.FILLED


@pytest.mark.asyncio
async def test_a_paper_limit_takes_only_what_is_inside_it(tmp_path: Path) -> None:
    adapter = await paper(tmp_path / "p", Ear())
    await adapter.submit(request("1", limit="100500"))
    found = await adapter.fetch_by_client_id(BTC, "a")
    assert found is not None
    assert (found.status, found.filled_qty) == (OrderStatus.CANCELLED, Decimal("0.5"))


@pytest.mark.asyncio
async def test_a_paper_account_survives_a_restart_and_takes_an_id_once(tmp_path: Path) -> None:
    first = await paper(tmp_path / "p", Ear())
    await first.submit(request("0.2"))
    await first.close()
    ear = Ear()
    again = await paper(tmp_path / "p", ear)
    assert again.account.positions() == {BTC: Decimal("0.2")}
    assert again.account.wallet_balance == first.account.wallet_balance
    assert (await again.submit(request("0.2"))).ending is Ending.DUPLICATE
    assert len(await again.fetch_fills(BTC, "paper-a")) == 1 and len(ear.fills) == 1


@pytest.mark.asyncio
async def test_paper_reduce_only_never_opens_and_margin_is_needed(tmp_path: Path) -> None:
    adapter = await paper(tmp_path / "p", Ear())
    refused = await adapter.submit(request("0.1", reduce_only=True))
    assert (refused.ending, refused.code) == (Ending.REJECTED, "110017")
    assert (await adapter.submit(request("5.5"))).code == "110007"  # leverage 5 on 100,000
    await adapter.submit(request("0.1", name="b"))
    await adapter.submit(request("0.3", name="c", is_buy=False, reduce_only=True))
    assert adapter.account.positions() == {}


class History:
    """The part of the bus that a subscriber asks."""

    def __init__(self, wires: list[bytes]) -> None:
        self.wires = wires

    async def fetch_range(self, stream: str, from_seq: int, count: int) -> list[tuple[int, bytes]]:
        found = list(enumerate(self.wires, start=1))
        return [(seq, wire) for seq, wire in found if from_seq <= seq < from_seq + count]


class Log:
    leader_alive = True

    def __init__(self) -> None:
        self.leader = LeaderView()
        self.seqs: list[tuple[str, int]] = []

    def offer(self, envelope: Envelope, signal: Signal) -> None:
        self.seqs.append(("signal", envelope.seq))

    def heard(self, envelope: Envelope, message: object) -> None:
        self.seqs.append((type(message).__name__, envelope.seq))

    def locked(self, reason: str, detail: str, evidence: str) -> None:
        self.seqs.append((reason, 0))


def chain(count: int) -> tuple[list[bytes], list[str]]:
    wires: list[bytes] = []
    hashes = [GENESIS_HASH]
    for seq in range(1, count + 1):
        message: Signal | Notice = (
            Notice(notice="started", text="", sealed_ms=1)
            if seq == 1
            else signal(before=str(seq - 2), after=str(seq - 1), seq=seq)
        )
        wire = frame(message, seq, prev_hash=hashes[-1])
        wires.append(wire)
        hashes.append(open_envelope(wire, KEY.verify_key, "leader").chain_hash)
    return wires, hashes


def beat(seq: int, chain_hash: str, sent_ms: int) -> bytes:
    message = Heartbeat(head_seq=seq, head_hash=chain_hash, mode="live", program_version="t", sent_ms=sent_ms)
    return frame(message, seq, prev_hash=chain_hash)


def subscriber(
    wires: list[bytes], log: Log, head: Head | None, joined: list[Head], history: History | None = None
) -> Subscriber:
    return Subscriber(
        cast("Bus", history or History(wires)),
        "leader",
        PUBLIC,
        head,
        log,
        silent_after_ms=500,
        on_joined=joined.append,
    )


@pytest.mark.asyncio
async def test_a_gap_is_fetched_and_everything_comes_once_and_in_order() -> None:
    wires, _ = chain(6)
    log = Log()
    one = subscriber(wires, log, Head(0, 0, GENESIS_HASH), [])
    running = asyncio.create_task(one.run())
    for seq in (1, 2, 5, 5, 3):
        await one._on_feed(BusMessage("feed.leader", wires[seq - 1], seq))
    for _ in range(200):
        if len(log.seqs) == 6:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [seq for _, seq in log.seqs] == [1, 2, 3, 4, 5, 6]


@pytest.mark.asyncio
async def test_after_a_rotation_a_restart_believes_the_history_that_waited(tmp_path: Path) -> None:
    wires, hashes = chain(2)
    new = SigningKey(bytes([9]) * 32)
    link = link_keys(KEY, "leader", new.verify_key.encode().hex(), 4)
    notice = Notice(notice="key_rotation", text="", sealed_ms=1, link=link)
    for seq, message, key in ((3, notice, KEY), (4, signal(before="1", after="2", seq=4), new)):
        wires.append(frame(message, seq, prev_hash=hashes[-1], key=key))
        hashes.append(open_envelope(wires[-1], key.verify_key, "leader").chain_hash)
    store = Store.open(tmp_path / "store")
    store.claim({"follower": "alice"})
    refused: list[str] = []

    async def run(head: Head) -> Log:
        log = Log()
        one = Subscriber(
            cast("Bus", History(wires)), "leader", PUBLIC, head, log,
            silent_after_ms=500, on_joined=lambda _: None, on_refused=refused.append,
            links=kept_links(store, "leader"), on_links=lambda links: keep_links(store, "leader", links),
        )  # fmt: skip
        running = asyncio.create_task(one.run())
        one.look_back()
        await until(lambda: one.reader.last_seq == 4)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return log

    assert len((await run(Head(0, 0, GENESIS_HASH))).seqs) == 4
    assert (await run(Head(1, 3, hashes[3]))).seqs == [
        ("signal", 4)
    ]  # signed by the new key, and no heartbeat yet
    assert refused == []
    assert kept_links(store, "nobody") == []
    store.close()


@pytest.mark.asyncio
async def test_a_gap_older_than_the_history_goes_on_at_a_snapshot_and_is_told() -> None:
    wires, hashes = chain(4)
    message = Snapshot(positions=[], equity="100", account_leverage="0", sealed_ms=1)
    wire = frame(message, 5, prev_hash=hashes[-1])

    class Kept(History):
        async def fetch_range(self, stream: str, from_seq: int, count: int) -> list[tuple[int, bytes]]:
            return [(5, wire)] if from_seq <= 5 else []

    log = Log()
    one = subscriber(wires, log, Head(1, 2, hashes[2]), [], Kept([]))
    running = asyncio.create_task(one.run())
    await one._on_feed(BusMessage("feed.leader", wire, 5))
    await until(lambda: log.seqs)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert log.seqs == [("Snapshot", 5)] and log.leader.has_gap


@pytest.mark.asyncio
async def test_who_joins_starts_at_the_head_and_remembers_where() -> None:
    wires, hashes = chain(4)
    log, joined = Log(), list[Head]()
    one = subscriber(wires, log, None, joined)
    await one._on_beat(BusMessage("beat.leader", beat(2, hashes[2], 10)))
    assert joined == [Head(1, 2, hashes[2])]
    for seq in (3, 4):
        await one._on_feed(BusMessage("feed.leader", wires[seq - 1], seq))
    assert log.seqs == [("signal", 3), ("signal", 4)]


@pytest.mark.asyncio
async def test_the_first_message_heard_is_the_joiners_own() -> None:
    wires, hashes = chain(3)
    log, joined = Log(), list[Head]()
    one = subscriber(wires, log, None, joined)
    await one._on_feed(BusMessage("feed.leader", wires[2], 3))
    assert joined == [Head(0, 2, hashes[2])] and log.seqs == [("signal", 3)]


async def until_alive(log: Log, wanted: bool) -> None:
    for _ in range(300):
        if log.leader_alive == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"leader_alive is not {wanted}")


@pytest.mark.asyncio
async def test_a_silent_leader_is_noticed_and_heard_again() -> None:
    wires, hashes = chain(1)
    log = Log()
    one = subscriber(wires, log, Head(1, 1, hashes[1]), [])
    running = asyncio.create_task(one.run())
    await until_alive(log, False)
    await one._on_beat(BusMessage("beat.leader", beat(1, hashes[1], 99)))
    await until_alive(log, True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Unreachable(History):
    """History that answers only after many failures."""

    def __init__(self, wires: list[bytes], failures: int) -> None:
        super().__init__(wires)
        self.failures = failures

    async def fetch_range(self, stream: str, from_seq: int, count: int) -> list[tuple[int, bytes]]:
        if self.failures:
            self.failures -= 1
            raise BusError("not now")
        return await super().fetch_range(stream, from_seq, count)


@pytest.mark.asyncio
async def test_a_gap_is_asked_for_until_it_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber_module, "GAP_RETRY_S", 0.001)
    monkeypatch.setattr(subscriber_module, "GAP_RETRY_MAX_S", 0.002, raising=False)
    wires, hashes = chain(4)
    log = Log()
    one = subscriber(wires, log, Head(0, 0, GENESIS_HASH), [], Unreachable(wires, failures=60))
    running = asyncio.create_task(one.run())
    await one._on_feed(BusMessage("feed.leader", wires[3], 4))  # and then he says nothing for long
    await one._on_beat(BusMessage("beat.leader", beat(4, hashes[4], 10)))
    async with asyncio.timeout(5):
        while len(log.seqs) < 4:  # noqa: ASYNC110 - the log sets no event
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [seq for _, seq in log.seqs] == [1, 2, 3, 4]


@pytest.mark.asyncio
async def test_a_listener_that_fails_ends_the_subscription_and_loses_nothing_behind_it() -> None:
    class Broken(Log):
        def offer(self, envelope: Envelope, signal: Signal) -> None:
            raise StoreError("store: disk full")

    wires, _ = chain(4)
    log = Broken()
    one = subscriber(wires, log, Head(0, 0, GENESIS_HASH), [])
    running = asyncio.create_task(one.run())
    for seq in (1, 2, 3):
        with suppress(StoreError):  # the bus logs what a callback raises, and goes on
            await one._on_feed(BusMessage("feed.leader", wires[seq - 1], seq))
    async with asyncio.timeout(5):
        with pytest.raises(ExceptionGroup) as caught:
            await running
    assert caught.group_contains(StoreError)
    assert log.seqs == [("Notice", 1)]


def test_quotes_are_shared_by_reference() -> None:
    data = MarketData(Books(), RuntimeError, [BTC], depth=False)
    account = AccountState(quotes=data.quotes)
    data.quotes[BTC] = quote("5")
    assert account.quotes[BTC].mark == 5
