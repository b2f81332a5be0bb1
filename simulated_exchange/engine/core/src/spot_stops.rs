//! Take-profit and stop-loss orders of spot: conditional orders that hold, while they wait, the coin they pay with. Rules 3.1
//! and 3.2. What is held is let go when they are triggered, and held again as by any order where they come to rest.
//!
//! Those that come with a limit order are put in place as it fills, for what it got: a buy's fee is paid in the coin that is
//! to be sold again. They are a pair that grows with the order and holds once, the dearer of the two; one is triggered, the
//! other is cancelled. A pair whose coin is not there, or beyond the number allowed, is told and cancelled at once.

use crate::command::NewOrder;
use crate::conditional::SPOT_TPSL_ORDERS_MAX;
use crate::exchange::Exchange;
use crate::fixed::saturate;
use crate::reject::Reject;
use crate::slot::SpotHolds;
use crate::terms::{StopKind, Terms, TriggerDirection};
use crate::tpsl::{exits_of, Exit, Progress};
use crate::triggers::Waiting;
use crate::types::{AccountId, CancelReason, CoinId, InstrumentId, OrderType, Price, Qty, Side, TimeInForce};

impl Exchange {
    /// What an order holds while it waits: a sell its quantity, a buy what it spends, at its limit, or, at the market, at its
    /// trigger price.
    pub(crate) fn held_waiting(&self, order: &NewOrder) -> i128 {
        let listed = &self.instruments[usize::from(order.instrument.0)];
        let lots = order.qty.0 / listed.spec.qty_step.0;
        let ticks = |price: Price| price.0 / listed.spec.tick_size.0;
        match (order.side, order.order_type) {
            (Side::Sell, _) => listed.qty_of(lots),
            _ if order.terms.in_quote => i128::from(order.qty.0),
            (_, OrderType::Limit) => listed.value(lots, ticks(order.price)),
            (_, OrderType::Market) => listed.value(lots, ticks(order.terms.trigger_price)),
        }
    }

    /// What a waiting order holds beyond its older counterpart: together they hold the dearer of the two.
    pub(crate) fn held_beside(&self, waiting: &Waiting) -> i128 {
        let own = self.held_waiting(&waiting.order);
        let older = self.triggers.get(waiting.partner).filter(|partner| partner.id < waiting.id);
        older.map_or(own, |older| (own - self.held_waiting(&older.order)).max(0))
    }

    /// The coin that a side of an instrument pays with.
    fn paid_in(&self, instrument: usize, side: Side) -> CoinId {
        match side {
            Side::Buy => self.instruments[instrument].settle,
            Side::Sell => self.base_of(instrument),
        }
    }

    /// Refuses one that is not for spot, is to borrow, or cannot be paid. It holds no less than `beside`, its counterpart;
    /// `released` is what both hold already.
    pub(crate) fn check_held(
        &self,
        account: u32,
        instrument: usize,
        order: &NewOrder,
        (beside, released): (i128, i128),
    ) -> Result<(), Reject> {
        if !self.instruments[instrument].is_spot || order.terms.is_leveraged {
            return Err(Reject::SpotTermsInvalid);
        }
        let needed = self.held_waiting(order).max(beside);
        if needed - released > self.cash(account, self.paid_in(instrument, order.side)) {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// Brings up to date what a slot's waiting orders hold, after one came, changed or went.
    pub(crate) fn note_held(&mut self, slot: u32) {
        let has_exits = self.triggers.of(slot).any(|waiting| waiting.kind.holds());
        self.ledger.slot_mut(slot).has_exits = has_exits;
        self.refresh_spot(slot);
    }

    /// What a slot's waiting orders hold in both coins.
    pub(crate) fn waiting_holds(&self, slot: u32) -> SpotHolds {
        let mut holds = SpotHolds::default();
        if !self.ledger.slot(slot).has_exits {
            return holds;
        }
        for waiting in self.triggers.of(slot).filter(|waiting| waiting.kind.holds()) {
            let coin = if waiting.order.side == Side::Buy { &mut holds.quote } else { &mut holds.base };
            *coin += self.held_beside(waiting);
        }
        holds
    }

    /// Whole lots that an order got, or sold: a buy's fee is taken out of what it got.
    pub(crate) fn obtained(&self, slot: u32, side: Side, progress: Progress) -> i64 {
        if side == Side::Sell {
            return progress.lots;
        }
        let listed = &self.instruments[usize::from(self.ledger.slot(slot).instrument)];
        saturate((listed.qty_of(progress.lots) - progress.fee).max(0) / listed.qty_of(1))
    }

    /// Puts in place what came with an order that got, or sold, more lots; see the module.
    #[cold]
    pub(crate) fn attach_to_spot(&mut self, order: u64, slot: u32, (side, lots): (Side, i64), terms: &Terms) {
        let held = self.ledger.slot(slot);
        let (account, instrument) = (held.account, usize::from(held.instrument));
        let more = self.instruments[instrument].qty(lots);
        let cash = self.cash(account, self.paid_in(instrument, side.opposite()));
        let grown = self.grown(order, slot, more);
        let dearer = |orders: &[Waiting]| orders.iter().map(|one| self.held_waiting(&one.order)).max();
        let now: Vec<Waiting> = grown.iter().filter_map(|one| self.triggers.get(one.id)).copied().collect();
        if !grown.is_empty() && dearer(&grown).unwrap_or(0) - dearer(&now).unwrap_or(0) <= cash {
            for (one, larger) in now.iter().zip(&grown) {
                self.resize(one, larger.order.qty);
            }
            self.note_held(slot);
            return;
        }
        let pair = self.spot_pair(order, slot, (side, more), terms);
        let count = self.triggers.of(slot).filter(|waiting| waiting.kind.holds()).count();
        let has_room = count + pair.len() <= SPOT_TPSL_ORDERS_MAX;
        let is_held = has_room && dearer(&pair).unwrap_or(0) <= cash;
        for one in &pair {
            self.put_waiting(one);
        }
        for one in &pair {
            if is_held {
                self.trigger_if_reached(one);
            } else {
                self.withdraw_waiting(one.id, CancelReason::InsufficientMargin);
            }
        }
    }

    /// What came with an order and still waits, larger by a quantity; none when it is about to leave.
    fn grown(&self, order: u64, slot: u32, more: Qty) -> Vec<Waiting> {
        let of_order = |waiting: &&Waiting| waiting.parent == order;
        let mut grown: Vec<Waiting> = self.triggers.of(slot).filter(of_order).copied().collect();
        if grown.iter().any(|waiting| waiting.is_due) {
            return Vec::new();
        }
        for waiting in &mut grown {
            waiting.order.qty.0 = waiting.order.qty.0.saturating_add(more.0);
        }
        grown
    }

    /// The orders that end what an order of a side got, or one of them.
    fn spot_pair(&self, order: u64, slot: u32, (side, qty): (Side, Qty), terms: &Terms) -> Vec<Waiting> {
        let exits: Vec<Exit> = exits_of(terms).collect();
        let first = self.last_order + 1;
        let (second, is_pair) = (first + 1, exits.len() == 2);
        let ids = [(first, second), (second, first)];
        let waiting = exits.iter().zip(ids).map(|(exit, (id, partner))| {
            let rises = (side == Side::Buy) == exit.takes_profit();
            let direction = if rises { TriggerDirection::Rise } else { TriggerDirection::Fall };
            let ending = self.ending_order(slot, (side.opposite(), qty), exit, direction);
            let partner = if is_pair { partner } else { 0 };
            let parent = order;
            Waiting { partner, parent, ..self.new_waiting(id, slot, StopKind::SpotTpSl, ending, direction) }
        });
        waiting.collect()
    }

    fn ending_order(
        &self,
        slot: u32,
        (side, qty): (Side, Qty),
        exit: &Exit,
        direction: TriggerDirection,
    ) -> NewOrder {
        let held = self.ledger.slot(slot);
        let account = AccountId(self.ledger.account(held.account).id);
        let is_market = exit.limit == Price(0);
        let terms = Terms {
            trigger_price: exit.price,
            trigger_by: exit.by,
            trigger_direction: direction,
            holds: true,
            ..Terms::NONE
        };
        NewOrder {
            order_type: if is_market { OrderType::Market } else { OrderType::Limit },
            time_in_force: if is_market {
                TimeInForce::ImmediateOrCancel
            } else {
                TimeInForce::GoodTillCancel
            },
            terms,
            ..NewOrder::limit(account, InstrumentId(held.instrument), side, qty, exit.limit)
        }
    }
}
