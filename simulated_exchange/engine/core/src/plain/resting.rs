//! Plain orders that meet nobody: placed, moved, cancelled.

use crate::book::{reaches, Book};
use crate::command::{Command, NewOrder};
use crate::entry::{band_edge, within_band, ACTIVE_ORDERS_MAX};
use crate::event::EventKind;
use crate::event_log::EventLog;
use crate::exchange::Exchange;
use crate::margin::SideOrders;
use crate::order::{small_tick, Order, OrderDetail, NONE};
use crate::plain::taking::Meeting;
use crate::plain::Desk;
use crate::terms::CreateType;
use crate::types::{
    AccountId, CancelReason, InstrumentId, LinkId, OrderId, OrderType, PositionIndex, Price, Side,
    TimeInForce,
};

/// Words that a command's clocks and its events take at most.
const ROOM: usize = 16;

/// One order more, as it would rest.
#[derive(Clone, Copy)]
pub(super) struct Offer {
    pub(super) side: Side,
    pub(super) ticks: i64,
    pub(super) orders: SideOrders,
}

impl Offer {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it is known where it is asked for")]
    pub(super) fn new((side, lots, ticks): (Side, i64, i64), desk: &Desk<'_>) -> Self {
        let size = lots * (ticks * desk.listed.lot_tick_value);
        let cost = desk.listed.order_cost(size, side, i64::from(desk.slot.leverage));
        Self { side, ticks, orders: SideOrders { lots, size, cost } }
    }
}

// Each way is a function of its own, so that it has all registers.
impl Exchange {
    /// Moves a resting order to another price at which it meets nobody.
    #[inline(never)]
    pub(super) fn move_plain(
        &mut self,
        command: &Command,
        (account, order_id): (AccountId, OrderId),
        price: Price,
        events: &mut EventLog,
    ) -> Option<OrderId> {
        let owner = self.verified(account).ok()?;
        let index = self.own_order(owner, order_id)?;
        let &Order { lots, leaves, cost, slot: its_slot, side, instrument, tick, .. } =
            self.orders.get(index);
        let (place, ticks_before) = (usize::from(instrument), i64::from(tick));
        let desk = self.desk(self.ledger.slot(its_slot), place);
        let ticks = desk.usual_ticks(side, price)?;
        if ticks == ticks_before || met(&self.books[place], side, ticks).is_some() {
            return None;
        }
        let offer = Offer::new((side, leaves, ticks), &desk);
        let size_before = leaves * (ticks_before * desk.listed.lot_tick_value);
        let others =
            desk.slot.open_orders.of(side).without(SideOrders { lots: leaves, size: size_before, cost });
        let held = desk.held_with(others, offer)?;
        let asks = side.sign() * (ticks - ticks_before) > 0 || offer.orders.size > size_before;
        if asks && !desk.is_covered(others.lots, held, offer) {
            return None;
        }
        let head = self.begin_plain(command);
        let (listed, book) = (&self.instruments[place], &mut self.books[place]);
        let left = book.unlink(&mut self.orders, index);
        let order = self.orders.get_mut(index);
        (order.tick, order.cost) = (small_tick(ticks), offer.orders.cost);
        self.orders.note_change(index, command.wall_us);
        let there = book.link(&mut self.orders, index);
        self.ledger.hold_orders_at_par(its_slot, (side, others.with(offer.orders)), held);
        let instrument = InstrumentId(instrument);
        let (qty, leaves) = (listed.qty(lots), listed.qty(leaves));
        let (left, there) = (listed.qty(left), listed.qty(there));
        let before = Price(ticks_before * listed.spec.tick_size.0);
        if let Some(mut sheet) = events.command_sheet::<ROOM>(head) {
            sheet.tell(&EventKind::BookChanged { instrument, side, price: before, qty: left });
            sheet.tell(&EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves });
            sheet.tell(&EventKind::BookChanged { instrument, side, price, qty: there });
            self.last_event += sheet.end();
        }
        Some(order_id)
    }

    /// Cancels a resting order.
    #[inline(never)]
    pub(super) fn cancel_plain(
        &mut self,
        command: &Command,
        (account, order_id): (AccountId, OrderId),
        events: &mut EventLog,
    ) -> Option<OrderId> {
        let owner = self.user(account).ok()?;
        let index = self.own_order(owner, order_id)?;
        let &Order { leaves, cost, slot: its_slot, side, instrument, tick, .. } = self.orders.get(index);
        let (place, ticks) = (usize::from(instrument), i64::from(tick));
        let desk = self.desk(self.ledger.slot(its_slot), place);
        let size = leaves * (ticks * desk.listed.lot_tick_value);
        let others = desk.slot.open_orders.of(side).without(SideOrders { lots: leaves, size, cost });
        let held = desk.held(side, others)?;
        let head = self.begin_plain(command);
        let listed = &self.instruments[place];
        let lots = self.books[place].unlink(&mut self.orders, index);
        self.orders.remove(index, &mut self.ledger.slot_mut(its_slot).orders);
        self.ledger.hold_orders_at_par(its_slot, (side, others), held);
        let (instrument, counterparty) = (InstrumentId(instrument), OrderId(0));
        let (leaves, reason, qty) = (listed.qty(leaves), CancelReason::User, listed.qty(lots));
        let price = Price(ticks * listed.spec.tick_size.0);
        if let Some(mut sheet) = events.command_sheet::<ROOM>(head) {
            let kind =
                EventKind::OrderCancelled { order_id, account, instrument, leaves, reason, counterparty };
            sheet.tell(&kind);
            sheet.tell(&EventKind::BookChanged { instrument, side, price, qty });
            self.last_event += sheet.end();
        }
        Some(order_id)
    }

    /// Lets a limit order rest that meets nobody; one that meets others takes.
    #[inline(never)]
    pub(super) fn place_plain(
        &mut self,
        command: &Command,
        order: &NewOrder,
        events: &mut EventLog,
    ) -> Option<OrderId> {
        self.orders.approach_number(self.last_order + 1);
        let (owner, place) = self.usual_place(order)?;
        let found = self.ledger.find_slot(owner, place, PositionIndex::OneWay);
        let fresh;
        let slot = if let Some(found) = found {
            self.ledger.slot(found)
        } else {
            fresh = self.ledger.fresh_slot(owner, place, PositionIndex::OneWay, &self.instruments[place]);
            &fresh
        };
        let desk = self.desk(slot, place);
        let (lots, ticks) = desk.filter(order)?;
        if slot.is_hedged || slot.orders.count >= ACTIVE_ORDERS_MAX {
            return None;
        }
        // asked late: whoever has just written the terms would have to be waited for
        if !order.terms.is_none() {
            return None;
        }
        match (met(&self.books[place], order.side, ticks), order.time_in_force) {
            (None, TimeInForce::GoodTillCancel | TimeInForce::PostOnly) => {}
            (Some(best), TimeInForce::GoodTillCancel | TimeInForce::ImmediateOrCancel) => {
                let meeting = Meeting { account: owner, place, slot: found?, lots, ticks, best };
                return self.take_plain(command, order, meeting, events);
            }
            _ => return None,
        }
        let offer = Offer::new((order.side, lots, ticks), &desk);
        let others = slot.open_orders.of(order.side);
        let held = desk.held_with(others, offer)?;
        if !desk.is_covered(others.lots, held, offer) {
            return None;
        }
        let found = match found {
            Some(found) => found,
            None => self.ledger.slot_for(owner, place, PositionIndex::OneWay, &self.instruments[place]),
        };
        let head = self.begin_plain(command);
        self.last_order += 1;
        let order_id = OrderId(self.last_order);
        let list = &mut self.ledger.slot_mut(found).orders;
        let index =
            self.orders.add(resting(order, (order_id, owner, found), offer), &fresh_detail(command), list);
        let level = self.books[place].link(&mut self.orders, index);
        self.ledger.hold_orders_at_par(found, (order.side, others.with(offer.orders)), held);
        let (instrument, side, price) = (order.instrument, order.side, order.price);
        let qty = self.instruments[place].qty(level);
        if let Some(mut sheet) = events.command_sheet::<ROOM>(head) {
            sheet.tell(&accepted(order, order_id));
            sheet.tell(&EventKind::BookChanged { instrument, side, price, qty });
            self.last_event += sheet.end();
        }
        Some(order_id)
    }

    /// Positions of account and instrument of a plain limit order.
    #[inline]
    fn usual_place(&self, order: &NewOrder) -> Option<(u32, usize)> {
        let is_usual = order.order_type == OrderType::Limit
            && order.position_index == PositionIndex::OneWay
            && !order.reduce_only
            && order.link_id.is_empty();
        if !is_usual {
            return None;
        }
        Some((self.verified(order.account).ok()?, self.listed(order.instrument).ok()?))
    }
}

/// The best price that an order with a limit meets.
#[inline]
fn met(book: &Book, side: Side, ticks: i64) -> Option<i64> {
    book.best(side.opposite()).filter(|best| reaches(side, ticks, *best))
}

impl Desk<'_> {
    /// Stage 2 of a plain limit order: lots, and limit in ticks.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it is known where it is asked for")]
    fn filter(&self, order: &NewOrder) -> Option<(i64, i64)> {
        let &Self { listed, market, .. } = self;
        let largest = listed.largest(OrderType::Limit, order.time_in_force);
        let lots = listed.lots_within_limits(order.qty, largest).ok()?;
        let ticks = self.usual_ticks(order.side, order.price)?;
        (market.is_ready() && lots <= listed.position_lots_max).then_some((lots, ticks))
    }

    /// A limit in ticks, of an instrument open for all orders, within the band.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it is known where it is asked for")]
    fn usual_ticks(&self, side: Side, price: Price) -> Option<i64> {
        let &Self { listed, market, .. } = self;
        let ticks = listed.ticks_of(price).ok()?;
        let edge = band_edge(side, market.max_buy_ticks, market.min_sell_ticks);
        (!market.is_restricted && within_band(side, ticks, edge) == ticks).then_some(ticks)
    }

    /// Initial margin and loss at the mark of a slot's orders, with one more of a side.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it is known where it is asked for")]
    fn held_with(&self, others: SideOrders, offer: Offer) -> Option<(i64, i64)> {
        if offer.orders.size < self.listed.spec.min_notional.0 {
            return None;
        }
        self.held(offer.side, others.with(offer.orders))
    }

    /// True when limits and the available balance allow one order more than so many lots of its side: rules 4.1.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it is known where it is asked for")]
    pub(super) fn is_covered(&self, others: i64, (initial, _): (i64, i64), offer: Offer) -> bool {
        let &Self { slot, worth, listed, market } = self;
        let (toward, lots) = (offer.side.sign(), others + offer.orders.lots);
        let held = toward * slot.position.lots;
        let opening = lots - (-held).max(0);
        if opening <= 0 {
            return true;
        }
        let otherwise = held.abs().max(slot.open_orders.of(offer.side.opposite()).lots - held);
        let grows = held + lots > otherwise;
        if grows && !listed.allows(held + lots, market.mark_ticks) {
            return false;
        }
        let through = (toward * (offer.ticks - market.mark_ticks)).max(0);
        let loss = opening.min(offer.orders.lots) * (through * listed.lot_tick_value);
        let more = i128::from(initial - slot.margin.order_initial) + i128::from(loss);
        worth.available() >= more.max(0)
    }
}

fn fresh_detail(command: &Command) -> OrderDetail {
    OrderDetail {
        link_id: LinkId::NONE,
        created_market_ms: command.market_ms,
        created_wall_us: command.wall_us,
        updated_wall_us: command.wall_us,
        filled_value: 0,
        fee: 0,
    }
}

pub(super) fn accepted(order: &NewOrder, order_id: OrderId) -> EventKind {
    EventKind::OrderAccepted {
        order_id,
        account: order.account,
        instrument: order.instrument,
        position_index: order.position_index,
        side: order.side,
        order_type: order.order_type,
        time_in_force: order.time_in_force,
        price: order.price,
        qty: order.qty,
        reduce_only: false,
        link_id: LinkId::NONE,
        create_type: CreateType::User,
    }
}

fn resting(order: &NewOrder, (order_id, account, slot): (OrderId, u32, u32), offer: Offer) -> Order {
    Order {
        id: order_id.0,
        lots: offer.orders.lots,
        leaves: offer.orders.lots,
        cost: offer.orders.cost,
        tick: small_tick(offer.ticks),
        account,
        slot,
        next: NONE,
        previous: NONE,
        instrument: order.instrument.0,
        side: order.side,
        reduce_only: false,
        time_in_force: order.time_in_force,
        order_type: OrderType::Limit,
        self_match: order.terms.self_match,
        has_terms: false,
        is_begun: false,
    }
}
