//! Plain fills: a trade between two users' plain orders in a contract that settles in a coin worth one USD, which both can
//! bear and after which neither owes anything. The rules are those of `matching`; both sides are looked at first, then booked
//! together.

use crate::account::Settlement;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::instrument::Instrument;
use crate::margin::{closable, Exposure, OpenOrders, SideOrders};
use crate::matching::{fee_of, FeeRule, Leg, Taker};
use crate::order::Order;
use crate::slot::Slot;
use crate::types::{FillKind, InstrumentId, Side, TradeId};

/// A resting order that is about to be filled: its slot's orders afterwards, what is left of it, and what that costs.
struct Given {
    orders: OpenOrders,
    left: i64,
    cost: i64,
}

impl Given {
    #[inline]
    fn new(order: &Order, lots: i64, slot: &Slot, listed: &Instrument) -> Self {
        let (ticks, left) = (order.ticks(), order.leaves - lots);
        let before =
            SideOrders { lots: order.leaves, size: listed.size(order.leaves, ticks), cost: order.cost };
        let mut orders = slot.open_orders;
        let side = orders.of_mut(order.side);
        *side = side.without(before);
        if left == 0 {
            return Self { orders, left, cost: 0 };
        }
        let size = listed.size(left, ticks);
        let cost = listed.order_cost(size, order.side, i64::from(slot.leverage));
        *side = side.with(SideOrders { lots: left, size, cost });
        Self { orders, left, cost }
    }
}

impl Exchange {
    /// Fills an incoming order against the one that is first in the queue; without a result nothing has changed.
    #[inline]
    pub(crate) fn fill_plain(&mut self, taker: &mut Taker, index: u32) -> Option<()> {
        let FeeRule::Rate(taker_fee) = taker.fee else { return None };
        let maker = *self.orders.get(index);
        let listed = &self.instruments[taker.instrument];
        let (taking, giving) = (self.ledger.slot(taker.slot), self.ledger.slot(maker.slot));
        let is_usual = listed.is_plain
            && taker.kind == FillKind::Trade
            && !(taker.reduce_only || maker.reduce_only || maker.has_terms || self.takes_long_way)
            && taking.account != giving.account
            && self.trades_plainly(taking)
            && self.trades_plainly(giving);
        let (ticks, lots) = (maker.ticks(), taker.leaves.min(maker.leaves));
        if !is_usual
            || self.bearable_by_taker(taker, lots, ticks) < lots
            || !self.bears_plainly(giving, (maker.side, lots, ticks), listed)
        {
            return None;
        }
        let value = i128::from(listed.narrow_value(lots, ticks)?);
        let given = Given::new(&maker, lots, giving, listed);
        let toward = taker.side.sign();
        let taken = self.settlement(
            (taker.slot, taking.open_orders),
            (toward * lots, i128::from(toward) * value),
            taker_fee,
        )?;
        let gave = self.settlement(
            (maker.slot, given.orders),
            (-toward * lots, i128::from(-toward) * value),
            listed.spec.maker_fee,
        )?;
        self.trade_plain(taker, (index, &maker), lots, value, (&taken, &gave, &given));
        Some(())
    }

    /// True for a slot of a user's only, cross-margined position that neither reduce-only orders nor exits depend on.
    #[inline]
    fn trades_plainly(&self, slot: &Slot) -> bool {
        !(slot.is_isolated || slot.has_reduce_only || slot.has_exits) && slot.account >= self.first_user
    }

    /// True when an account can bear all of a fill of its resting order: see `bearable`.
    #[inline]
    fn bears_plainly(&self, slot: &Slot, (side, lots, ticks): (Side, i64, i64), listed: &Instrument) -> bool {
        let through = side.sign() * (ticks - self.markets[usize::from(slot.instrument)].mark_ticks);
        let worth = &self.ledger.account(slot.account).worth;
        let available = worth.available();
        if through <= 0 && available >= 0 {
            return true;
        }
        let held = slot.position.lots;
        let loss = through.max(0) * listed.lot_tick_value;
        let closing = lots.min(closable(side, held));
        if closing > 0 {
            let fee = fee_of(i128::from(ticks * listed.lot_tick_value), listed.spec.taker_fee);
            if (i128::from(loss) + fee) * i128::from(held.abs()) > worth.balance {
                return false;
            }
        }
        let left = available - i128::from(loss) * i128::from(closing);
        closing == lots || (left >= 0 && i128::from(loss) * i128::from(lots - closing) <= left)
    }

    /// What a fill of signed lots makes of a slot with such orders; nothing if something would be owed.
    #[inline]
    fn settlement(
        &self,
        (place, orders): (u32, OpenOrders),
        (lots, value): (i64, i128),
        rate: i64,
    ) -> Option<Settlement> {
        let slot = self.ledger.slot(place);
        let index = usize::from(slot.instrument);
        let mut position = slot.position;
        let settled = position.fill(lots, value);
        let exposure = Exposure { position, orders, ..slot.exposure(self.markets[index].mark_ticks) };
        let (margin, fee) = (exposure.margin(&self.instruments[index]), fee_of(value, rate));
        let settlement = Settlement { position, settled, fee, margin };
        self.ledger.owes_nothing_after(place, settled.realised - fee, &margin).then_some(settlement)
    }

    /// Does what was found to be possible.
    #[inline]
    fn trade_plain(
        &mut self,
        taker: &mut Taker,
        (index, maker): (u32, &Order),
        lots: i64,
        value: i128,
        (taken, gave, given): (&Settlement, &Settlement, &Given),
    ) {
        let listed = &self.instruments[taker.instrument];
        let (instrument, price, qty) =
            (InstrumentId(maker.instrument), listed.price(maker.ticks()), listed.qty(lots));
        let (maker_fee, settle) = (listed.spec.maker_fee, listed.settle);
        self.last_trade += 1;
        self.markets[taker.instrument].last_ticks = maker.ticks();
        self.note_traded(taker.instrument);
        taker.leaves -= lots;
        taker.filled_value += value;
        taker.fee_paid += taken.fee;
        let level = if given.left == 0 {
            self.books[taker.instrument].unlink(&mut self.orders, index)
        } else {
            self.orders.get_mut(index).cost = given.cost;
            self.books[taker.instrument].reduce(&mut self.orders, index, lots)
        };
        self.ledger.slot_mut(maker.slot).open_orders = given.orders;
        let fees = self.fee_purse(settle);
        self.ledger.trade_at_par([(taker.slot, taken), (maker.slot, gave)], fees);
        if given.left == 0 {
            self.orders.remove(index, &mut self.ledger.slot_mut(maker.slot).orders);
        } else {
            self.orders.note_fill(index, value, gave.fee, self.wall_us);
        }
        let taker_leg = Leg {
            trade_id: self.last_trade,
            order_id: taker.order_id,
            slot: taker.slot,
            side: taker.side,
            lots,
            value: value * i128::from(taker.side.sign()),
            price,
            fee: taker.fee,
            is_maker: false,
            leaves: taker.leaves,
            kind: FillKind::Trade,
        };
        let maker_leg = Leg {
            order_id: maker.id,
            slot: maker.slot,
            side: maker.side,
            value: -taker_leg.value,
            fee: FeeRule::Rate(maker_fee),
            is_maker: true,
            leaves: given.left,
            ..taker_leg
        };
        let (trade_id, taker_side) = (TradeId(self.last_trade), taker.side);
        self.emit(EventKind::Trade { trade_id, instrument, price, qty, taker_side });
        for (leg, settlement) in [(&taker_leg, taken), (&maker_leg, gave)] {
            let slot = self.ledger.slot(leg.slot);
            let (owner, purse) = (slot.account, slot.purse);
            self.count_realised(leg, &settlement.settled, settlement.fee);
            self.touch(owner);
            self.tell_settled(leg, &settlement.settled, settlement.fee, purse);
        }
        self.emit_level(instrument, maker.side, maker.ticks(), level);
    }
}
