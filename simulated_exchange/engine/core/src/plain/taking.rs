//! Plain orders that meet others: what stages 2 and 3 ask of them. The fills themselves are in `fills`.

use crate::command::{Command, NewOrder};
use crate::entry::Intent;
use crate::event_log::EventLog;
use crate::exchange::Exchange;
use crate::margin::closable;
use crate::matching::{FeeRule, Taker};
use crate::plain::resting::{accepted, Offer};
use crate::types::{FillKind, OrderId, PositionIndex};

/// A plain order that meets another one.
#[derive(Clone, Copy)]
pub(super) struct Meeting {
    pub(super) account: u32,
    pub(super) place: usize,
    pub(super) slot: u32,
    pub(super) lots: i64,
    pub(super) ticks: i64,
    /// The best price of the other side.
    pub(super) best: i64,
}

impl Exchange {
    /// Lets a plain order take what it meets. Apart from the others, which are shorter, and theirs are the registers.
    #[inline(never)]
    pub(super) fn take_plain(
        &mut self,
        command: &Command,
        order: &NewOrder,
        meeting: Meeting,
        events: &mut EventLog,
    ) -> Option<OrderId> {
        let Meeting { account, place, slot: found, lots, ticks, best } = meeting;
        let slot = self.ledger.slot(found);
        let desk = self.desk(slot, place);
        let listed = desk.listed;
        // it is valued at the best price that it can get
        let offer = Offer::new((order.side, lots, best), &desk);
        let (held, others) = (slot.position.lots, slot.open_orders.of(order.side));
        let against = slot.open_orders.of(order.side.opposite());
        let initial = others.with(offer.orders).opening_cost(closable(order.side, held));
        let initial = initial.max(against.opening_cost(closable(order.side.opposite(), held)));
        let is_usual = listed.is_plain
            && !slot.is_isolated
            && i64::from(slot.leverage) <= listed.leverage_everywhere
            && lots * (ticks * listed.lot_tick_value) >= listed.spec.min_notional.0;
        if !is_usual || !desk.is_covered(others.lots, (initial, 0), offer) {
            return None;
        }
        let fee = FeeRule::Rate(listed.spec.taker_fee);
        self.last_order += 1;
        let order_id = self.last_order;
        let begun = self.begin(command, events);
        (self.market_ms, self.wall_us) = (command.market_ms, command.wall_us);
        self.emit(accepted(order, OrderId(order_id)));
        let mut taker = Taker {
            order_id,
            slot: found,
            instrument: place,
            side: order.side,
            limit: ticks,
            leaves: lots,
            valued: best,
            reduce_only: false,
            fee,
            kind: FillKind::Trade,
            blocked: false,
            self_match: order.terms.self_match,
            met: 0,
            filled_value: 0,
            fee_paid: 0,
            collected: 0,
        };
        self.match_taker(&mut taker);
        if taker.leaves > 0 {
            let position_index = PositionIndex::OneWay;
            let time_in_force = order.time_in_force;
            let slot = Some(found);
            let intent =
                Intent { account, instrument: place, slot, position_index, time_in_force, lots, ticks };
            self.finish(order, &intent, &taker, None);
        }
        self.follow_up(false);
        self.conclude(begun, true, events);
        Some(OrderId(order_id))
    }
}
