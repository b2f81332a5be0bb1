"""What the venue remembers of the accounts that have a key, folded from events.

Belongs here: the fold of account events into bounded histories. Does not belong here: balances, margin and
positions as they are now (the engine's answers) and wire text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from simulated_exchange.driver import CancelReason, Event, WalletReason
from simulated_exchange.instruments import SCALE
from simulated_exchange.ledger.money import MoneyMemory
from simulated_exchange.ledger.records import (
    Closure,
    Execution,
    FundingPayment,
    OrderRecord,
    OrderStatus,
    PaidFunding,
    PositionMemory,
    WalletMovement,
)

__all__ = [
    "CLOSED_ORDERS_MAX",
    "CLOSURES_MAX",
    "EXECUTIONS_MAX",
    "MOVEMENTS_MAX",
    "AccountMemory",
    "FillValues",
    "traded_value",
]

CLOSED_ORDERS_MAX = 500  # per account and instrument
EXECUTIONS_MAX = 5000  # per account
CLOSURES_MAX = 1000  # per account
MOVEMENTS_MAX = 2000  # per account

FillValues = tuple[int, int, int, int, int, int, int, int, int]
"""Of a fill: instrument, order, position index, qty, price, fee, leaves, closed qty, realised PnL."""


def traded_value(qty: int, price: int, is_inverse: bool) -> int:
    """What a quantity is worth at a price: in the quote coin, of inverse contracts in the base coin."""
    if not is_inverse:
        return price * qty // SCALE
    return (2 * qty * SCALE + price) // (2 * price) if price else 0


class AccountMemory:
    """The histories of one account."""

    def __init__(self, account: int) -> None:
        self.account = account
        self.live: dict[int, OrderRecord] = {}
        self.executions: deque[Execution] = deque(maxlen=EXECUTIONS_MAX)
        self.closures: deque[Closure] = deque(maxlen=CLOSURES_MAX)
        self.movements: deque[WalletMovement] = deque(maxlen=MOVEMENTS_MAX)
        self.positions: dict[tuple[int, int], PositionMemory] = {}
        self.money = MoneyMemory()
        self._closed: dict[int, deque[OrderRecord]] = {}
        self._by_id: dict[int, OrderRecord] = {}
        self._by_link: dict[str, OrderRecord] = {}
        self._last_execution: Execution | None = None
        self._last_funding: FundingPayment | None = None

    def order(self, order_id: int) -> OrderRecord | None:
        """An order by the venue's number, live or among the last closed ones."""
        return self._by_id.get(order_id)

    def order_by_link(self, link_id: str) -> OrderRecord | None:
        """An order by the client's own identifier."""
        return self._by_link.get(link_id)

    def orders(self) -> Iterator[OrderRecord]:
        """Every order remembered, live and closed, in no order."""
        return iter(self._by_id.values())

    def position(self, instrument: int, index: int = 0) -> PositionMemory:
        """The memory of a position; an empty one when there never was a fill."""
        memory = self.positions.get((instrument, index))
        if memory is None:
            memory = self.positions[instrument, index] = PositionMemory()
        return memory

    def realised_in(self, instruments: set[int]) -> int:
        """What positions in these instruments ever realised, less fees and funding."""
        return sum(entry.realised_ever for (at, _), entry in self.positions.items() if at in instruments)

    def accept(self, record: OrderRecord) -> None:
        """An order was taken."""
        self.live[record.order_id] = self._by_id[record.order_id] = record
        if record.link_id:
            self._by_link[record.link_id] = record

    def set_conditions(self, event: Event.OrderConditions) -> OrderRecord | None:
        """What an order asks for beyond the plain; with a trigger price it waits."""
        record = self.live.get(event.order_id)
        if record is not None:
            record.kind = event.kind.name
            if not record.is_fired and record.kind != "Plain":
                record.trigger_price, record.trigger_by = event.trigger_price, event.trigger_by.name
                record.trigger_direction = event.trigger_direction.name
                record.status = OrderStatus.UNTRIGGERED
            _guard(record, event)
            record.close_on_trigger = event.close_on_trigger
            record.self_match = event.self_match.name
            record.slippage_ticks, record.slippage_ratio = event.slippage_ticks, event.slippage_ratio
            record.updated_us = event.wall_us
        return record

    def set_spot_conditions(self, event: Event.SpotConditions) -> None:
        """Whether an order of spot borrows, and what it is to spend."""
        record = self.live.get(event.order_id)
        if record is not None:
            record.is_leveraged, record.spend = event.is_leveraged, event.spend

    def trigger(self, event: Event.OrderTriggered) -> OrderRecord | None:
        """A waiting order's price was reached."""
        record = self.live.get(event.order_id)
        if record is not None:
            record.status = OrderStatus.NEW
            record.is_fired = True
            record.updated_us = event.wall_us
        return record

    def amend(self, event: Event.OrderAmended) -> OrderRecord | None:
        """Price or quantity of a live order changed."""
        record = self.live.get(event.order_id)
        if record is not None:
            record.price, record.qty, record.leaves = event.price, event.qty, event.leaves
            if record.spend and record.status == OrderStatus.UNTRIGGERED:
                record.spend = event.qty
            record.updated_us = event.wall_us
        return record

    def cancel(
        self,
        order_id: int,
        instrument: int,
        reason: CancelReason,
        counterparty: int,
        wall_us: int,
        is_spot: bool,
    ) -> None:
        """A live order ended without being filled whole."""
        record = self.live.get(order_id)
        if record is None:
            return
        if record.status is OrderStatus.UNTRIGGERED:
            record.status = OrderStatus.DEACTIVATED
        elif is_spot and record.filled_qty:
            record.status = OrderStatus.FILLED_IN_PART
        else:
            record.status = OrderStatus.CANCELLED
        record.cancel_reason = reason.name
        record.counterparty = counterparty
        record.leaves = 0
        record.updated_us = wall_us
        self._retire(record, instrument)

    def fill(
        self,
        event: Event.Fill,
        row: FillValues,
        mark_price: int,
        *,
        is_inverse: bool,
        is_spot: bool,
    ) -> None:
        """Something was bought or sold."""
        instrument, order_id, index, qty, price, fee, leaves, closed, pnl = row
        value = price * qty // SCALE if not is_inverse else traded_value(qty, price, True)
        record = self.live.get(order_id)
        execution = Execution(event, record, value, mark_price)
        if not is_spot:
            position = self.positions.get((instrument, index)) or self.position(instrument, index)
            realised = pnl - fee
            position.realised += realised
            position.realised_ever += realised
            if closed:
                self._close(position, execution, closed, is_inverse)
            else:
                position.open_fee += fee
        if record is not None:
            filled = record.filled_qty = record.filled_qty + qty
            record.filled_value += value
            record.fee += fee
            record.leaves = leaves
            record.updated_us = event.wall_us
            if filled >= record.qty:
                record.status = OrderStatus.FILLED
                self._retire(record, instrument)
            else:
                record.status = OrderStatus.PARTIALLY_FILLED
        self.executions.append(execution)
        self._last_execution = execution

    def move_by_trade(self, event: Event.WalletChanged) -> None:
        """The unified wallet changed by the fill before; one fill of spot moves two coins."""
        self.movements.append(WalletMovement(event, self._last_execution))

    def move(self, event: Event.WalletChanged) -> None:
        """The unified wallet changed otherwise."""
        is_funding = event.reason == WalletReason.Funding
        self.movements.append(WalletMovement(event, None, self._last_funding if is_funding else None))
        self._last_execution = self._last_funding = None

    def pay_funding(self, event: Event.FundingPaid, *, is_inverse: bool = False) -> None:
        """Funding was paid or received; the movement of the wallet follows."""
        self._last_funding = FundingPayment(event.instrument, event.qty, event.mark, event.rate)
        memory = self.position(event.instrument, int(event.position_index))
        memory.realised -= event.fee
        memory.realised_ever -= event.fee
        is_long = event.qty > 0
        paid = PaidFunding(
            event.sequence,
            event.account,
            event.instrument,
            int(event.position_index),
            is_long,
            event.mark,
            abs(event.qty),
            event.fee,
            event.rate if is_long else -event.rate,
            event.wall_us,
        )
        value = traded_value(paid.qty, paid.price, is_inverse)
        self.executions.append(Execution(paid, None, value, paid.price))

    def set_leverage(self, instrument: int, buy: int, sell: int) -> None:
        """The leverage of an instrument's positions, in hundredths."""
        self.position(instrument).leverage = self.position(instrument, 1).leverage = buy
        self.position(instrument, 2).leverage = sell

    def change_position(
        self, instrument: int, index: int, qty: int, entry_price: int, wall_us: int, sequence: int
    ) -> None:
        """The position is this now."""
        memory = self.positions.get((instrument, index)) or self.position(instrument, index)
        if memory.qty == 0 and qty:
            memory.opened_us = wall_us
        memory.qty, memory.entry_price = qty, entry_price
        memory.updated_us, memory.sequence = wall_us, sequence
        if qty == 0:
            memory.open_fee = memory.realised = 0

    def _close(self, memory: PositionMemory, execution: Execution, closed: int, is_inverse: bool) -> None:
        """A fill that makes a position smaller; what it opens beyond counts as opened."""
        fee, qty = execution.fee, execution.qty
        close_fee = fee * closed // qty if qty else 0
        if memory.qty:
            open_fee = memory.open_fee * closed // abs(memory.qty)
            memory.open_fee -= open_fee
            closure = self._closure(memory, execution)
            closure.closed_qty += closed
            closure.entry_value += traded_value(closed, memory.entry_price, is_inverse)
            closure.exit_value += traded_value(closed, execution.price, is_inverse)
            closure.open_fee += open_fee
            closure.close_fee += close_fee
            closure.pnl += execution.realised_pnl - open_fee - close_fee
            closure.fills += 1
            closure.updated_us = execution.wall_us
            if execution.order is not None:
                execution.order.closed_pnl = closure.pnl
        memory.open_fee += fee - close_fee

    def _closure(self, memory: PositionMemory, execution: Execution) -> Closure:
        closure = memory.closure
        if closure is None or closure.order is not execution.order or closure.order is None:
            closure = Closure(
                sequence=execution.sequence,
                order=execution.order,
                instrument=execution.instrument,
                is_buy=execution.is_buy,
                kind=execution.kind,
                leverage=memory.leverage,
                created_us=execution.wall_us,
            )
            memory.closure = closure
            self.closures.append(closure)
        return closure

    def _retire(self, record: OrderRecord, instrument: int) -> None:
        del self.live[record.order_id]
        closed = self._closed.get(instrument)
        if closed is None:
            closed = self._closed[instrument] = deque()
        closed.append(record)
        if len(closed) > CLOSED_ORDERS_MAX:
            oldest = closed.popleft()
            self._by_id.pop(oldest.order_id, None)
            link_id = oldest.link_id
            if link_id and self._by_link.get(link_id) is oldest:
                del self._by_link[link_id]


def _guard(record: OrderRecord, event: Event.OrderConditions) -> None:
    """What is to end the position that an order makes."""
    record.tpsl_mode = event.tpsl_mode.name if event.take_profit or event.stop_loss else ""
    record.take_profit, record.take_profit_limit = event.take_profit, event.take_profit_limit
    record.take_profit_by = event.take_profit_by.name if event.take_profit else ""
    record.stop_loss, record.stop_loss_limit = event.stop_loss, event.stop_loss_limit
    record.stop_loss_by = event.stop_loss_by.name if event.stop_loss else ""
    record.trailing_stop = event.trailing_stop
