//! Plain orders that meet nobody: placed, moved, cancelled.

use crate::book::reaches;
use crate::command::{Command, NewOrder};
use crate::entry::{band_edge, within_band, ACTIVE_ORDERS_MAX};
use crate::event::EventKind;
use crate::event_log::EventLog;
use crate::exchange::Exchange;
use crate::instrument::Instrument;
use crate::margin::SideOrders;
use crate::market::Market;
use crate::order::{small_tick, Order, OrderDetail, NONE};
use crate::plain::taking::Meeting;
use crate::slot::Slot;
use crate::terms::CreateType;
use crate::types::{
    AccountId, CancelReason, InstrumentId, LinkId, OrderId, OrderType, PositionIndex, Price, Qty, Side,
    TimeInForce,
};

/// One order more, as it would rest.
#[derive(Clone, Copy)]
pub(super) struct Offer {
    pub(super) side: Side,
    pub(super) ticks: i64,
    pub(super) orders: SideOrders,
}

impl Offer {
    #[inline]
    pub(super) fn new((side, lots, ticks): (Side, i64, i64), slot: &Slot, listed: &Instrument) -> Self {
        let size = lots * (ticks * listed.lot_tick_value);
        let cost = listed.order_cost(size, side, i64::from(slot.leverage));
        Self { side, ticks, orders: SideOrders { lots, size, cost } }
    }
}

impl Exchange {
    /// Moves a resting order to another price at which it meets nobody.
    pub(super) fn move_plain(
        &mut self,
        command: &Command,
        own: (AccountId, OrderId),
        price: Price,
        events: &mut EventLog,
    ) -> Option<OrderId> {
        self.verified(own.0).ok()?;
        let index = self.own_order(own)?;
        let order = self.orders.get(index);
        let Order { lots, leaves, cost, slot: its_slot, side, .. } = *order;
        let (place, ticks_before) = (usize::from(order.instrument), order.ticks());
        let (listed, market) = (&self.instruments[place], &self.markets[place]);
        let slot = self.ledger.slot(its_slot);
        let ticks = self.usual_ticks(place, side, price)?;
        if ticks == ticks_before || self.met(place, side, ticks).is_some() {
            return None;
        }
        let offer = Offer::new((side, leaves, ticks), slot, listed);
        let size_before = leaves * (ticks_before * listed.lot_tick_value);
        let others = slot.open_orders.of(side).without(SideOrders { lots: leaves, size: size_before, cost });
        let held = self.held_with(slot, others, offer, listed)?;
        let asks = side.sign() * (ticks - ticks_before) > 0 || offer.orders.size > size_before;
        if asks && !self.is_covered(slot, others.lots, held, offer, (listed, market)) {
            return None;
        }
        let (instrument, price_before) =
            (InstrumentId(slot.instrument), Price(ticks_before * listed.spec.tick_size.0));
        let (qty, leaves) = (listed.qty(lots), listed.qty(leaves));
        let level = |price: Price, qty: Qty| EventKind::BookChanged { instrument, side, price, qty };
        let (account, order_id) = own;
        let book = &mut self.books[place];
        let left = book.unlink(&mut self.orders, index);
        let order = self.orders.get_mut(index);
        (order.tick, order.cost) = (small_tick(ticks), offer.orders.cost);
        self.orders.note_change(index, command.wall_us);
        let there = book.link(&mut self.orders, index);
        self.ledger.hold_orders_at_par(its_slot, (side, others.with(offer.orders)), held);
        // told in one go: nothing comes between the words
        let (left, there) = (self.instruments[place].qty(left), self.instruments[place].qty(there));
        let begun = self.begin_plain(command, events);
        events.push(&level(price_before, left));
        events.push(&EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves });
        events.push(&level(price, there));
        self.last_event += events.end(begun);
        Some(order_id)
    }

    /// Cancels a resting order.
    pub(super) fn cancel_plain(
        &mut self,
        command: &Command,
        own: (AccountId, OrderId),
        events: &mut EventLog,
    ) -> Option<OrderId> {
        let index = self.own_order(own)?;
        let order = *self.orders.get(index);
        let place = usize::from(order.instrument);
        let (listed, slot) = (&self.instruments[place], self.ledger.slot(order.slot));
        let size = order.leaves * (order.ticks() * listed.lot_tick_value);
        let its_own = SideOrders { lots: order.leaves, size, cost: order.cost };
        let others = slot.open_orders.of(order.side).without(its_own);
        let held = self.held_plainly(slot, listed, (order.side, others))?;
        let lots = self.books[place].unlink(&mut self.orders, index);
        self.orders.remove(index, &mut self.ledger.slot_mut(order.slot).orders);
        self.ledger.hold_orders_at_par(order.slot, (order.side, others), held);
        let begun = self.begin_plain(command, events);
        let (listed, instrument) = (&self.instruments[place], InstrumentId(order.instrument));
        events.push(&EventKind::OrderCancelled {
            order_id: own.1,
            account: own.0,
            instrument,
            leaves: listed.qty(order.leaves),
            reason: CancelReason::User,
            counterparty: OrderId(0),
        });
        events.push(&EventKind::BookChanged {
            instrument,
            side: order.side,
            price: Price(order.ticks() * listed.spec.tick_size.0),
            qty: listed.qty(lots),
        });
        self.last_event += events.end(begun);
        Some(own.1)
    }

    /// Lets a limit order rest that meets nobody; one that meets others takes.
    pub(super) fn place_plain(
        &mut self,
        command: &Command,
        order: &NewOrder,
        events: &mut EventLog,
    ) -> Option<OrderId> {
        let (owner, place, lots, ticks) = self.filter_plain(order)?;
        let found = self.ledger.find_slot(owner, place, PositionIndex::OneWay);
        let (listed, market) = (&self.instruments[place], &self.markets[place]);
        let fresh;
        let slot = if let Some(found) = found {
            self.ledger.slot(found)
        } else {
            fresh = self.ledger.fresh_slot(owner, place, PositionIndex::OneWay, listed);
            &fresh
        };
        if slot.is_hedged || slot.orders.count >= ACTIVE_ORDERS_MAX {
            return None;
        }
        match (self.met(place, order.side, ticks), order.time_in_force) {
            (None, TimeInForce::GoodTillCancel | TimeInForce::PostOnly) => {}
            (Some(best), TimeInForce::GoodTillCancel | TimeInForce::ImmediateOrCancel) => {
                let meeting = Meeting { account: owner, place, slot: found?, lots, ticks, best };
                return self.take_plain(command, order, meeting, events);
            }
            _ => return None,
        }
        let offer = Offer::new((order.side, lots, ticks), slot, listed);
        let others = slot.open_orders.of(order.side);
        let held = self.held_with(slot, others, offer, listed)?;
        if !self.is_covered(slot, others.lots, held, offer, (listed, market)) {
            return None;
        }
        let side = (order.side, others.with(offer.orders));
        let found = match found {
            Some(found) => found,
            None => self.ledger.slot_for(owner, place, PositionIndex::OneWay, &self.instruments[place]),
        };
        self.last_order += 1;
        let order_id = OrderId(self.last_order);
        let resting = resting(order, (order_id, owner, found), offer);
        let index = self.keep(resting, command);
        let level = self.books[place].link(&mut self.orders, index);
        self.ledger.hold_orders_at_par(found, side, held);
        let begun = self.begin_plain(command, events);
        events.push(&accepted(order, order_id));
        events.push(&EventKind::BookChanged {
            instrument: order.instrument,
            side: order.side,
            price: order.price,
            qty: self.instruments[place].qty(level),
        });
        self.last_event += events.end(begun);
        Some(order_id)
    }

    /// Stage 2 of a plain limit order: positions of account and instrument, lots and limit in ticks.
    #[inline]
    fn filter_plain(&self, order: &NewOrder) -> Option<(u32, usize, i64, i64)> {
        let is_usual = order.order_type == OrderType::Limit
            && order.position_index == PositionIndex::OneWay
            && !order.reduce_only
            && order.link_id.is_empty()
            && order.terms.is_none();
        if !is_usual {
            return None;
        }
        let owner = self.verified(order.account).ok()?;
        let place = self.listed(order.instrument).ok()?;
        let largest = self.largest(place, OrderType::Limit, order.time_in_force);
        let lots = self.lots_within_limits(place, order.qty, largest).ok()?;
        let ticks = self.usual_ticks(place, order.side, order.price)?;
        let is_open = self.markets[place].is_ready() && lots <= self.instruments[place].position_lots_max;
        is_open.then_some((owner, place, lots, ticks))
    }

    /// A limit in ticks, of an instrument open for all orders, within the band.
    #[inline]
    fn usual_ticks(&self, place: usize, side: Side, price: Price) -> Option<i64> {
        let market = &self.markets[place];
        let ticks = self.ticks_of(place, price).ok()?;
        let edge = band_edge(side, market.max_buy_ticks, market.min_sell_ticks);
        (!market.is_restricted && within_band(side, ticks, edge) == ticks).then_some(ticks)
    }

    /// The best price that an order with a limit meets.
    #[inline]
    fn met(&self, place: usize, side: Side, ticks: i64) -> Option<i64> {
        self.books[place].best(side.opposite()).filter(|best| reaches(side, ticks, *best))
    }

    /// Initial margin and loss at the mark of a slot's orders, with one more of a side.
    #[inline]
    fn held_with(
        &self,
        slot: &Slot,
        others: SideOrders,
        offer: Offer,
        listed: &Instrument,
    ) -> Option<(i64, i64)> {
        if offer.orders.size < listed.spec.min_notional.0 {
            return None;
        }
        self.held_plainly(slot, listed, (offer.side, others.with(offer.orders)))
    }

    /// True when limits and the available balance allow one order more than so many lots of its side: rules 4.1.
    #[inline]
    pub(super) fn is_covered(
        &self,
        slot: &Slot,
        others: i64,
        (initial, _): (i64, i64),
        offer: Offer,
        (listed, market): (&Instrument, &Market),
    ) -> bool {
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
        let available = self.ledger.account(slot.account).available();
        available >= more.max(0)
    }

    #[inline]
    fn keep(&mut self, order: Order, command: &Command) -> u32 {
        let detail = OrderDetail {
            link_id: LinkId::NONE,
            created_market_ms: command.market_ms,
            created_wall_us: command.wall_us,
            updated_wall_us: command.wall_us,
            filled_value: 0,
            fee: 0,
        };
        self.orders.add(order, &detail, &mut self.ledger.slot_mut(order.slot).orders)
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
