//! Take-profit, stop-loss and trailing stop of positions: rules 3.7. Each is a waiting order of its own that only closes.
//!
//! - Full: one take-profit, one stop-loss and one trailing stop for whatever the position is when they are triggered. They
//!   stand side by side until the position is gone: one that fills only in part leaves the others in force.
//! - Partial: pairs with a quantity of their own, at the market or at a limit. One of a pair is triggered, the other is
//!   cancelled. Where the position shrinks below their sum, the youngest give way.
//! - What comes with an order is put in place as the order fills: as the position's take-profit and stop-loss (Full), or as a
//!   pair that grows with the order (Partial). What its price has passed already is triggered at once.
//! - When a position is closed or turned, all of them are cancelled.
//!
//! Fills are noted where they happen and attended to afterwards, before anything is triggered and at the end of a command.

use crate::command::NewOrder;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::matching::Leg;
use crate::position::Settled;
use crate::terms::{StopKind, Terms, TpSlMode, TriggerBy, TriggerDirection};
use crate::triggers::{News, Waiting};
use crate::types::{
    AccountId, CancelReason, InstrumentId, LinkId, OrderId, OrderType, Price, Qty, Side, TimeInForce,
};

/// Pairs of partial take-profit and stop-loss a position may have.
pub const PARTIAL_PAIRS_MAX: usize = 20;

/// A take-profit or stop-loss that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) kind: StopKind,
    pub(crate) price: Price,
    pub(crate) by: TriggerBy,
    /// 0 for the market.
    pub(crate) limit: Price,
}

impl Exit {
    /// True when it ends a position of a side with a gain.
    pub(crate) fn takes_profit(&self) -> bool {
        matches!(self.kind, StopKind::TakeProfit | StopKind::PartialTakeProfit)
    }
}

/// What ends a whole position; zeros for none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) take_profit: Price,
    pub(crate) stop_loss: Price,
    pub(crate) trailing_stop: Price,
    pub(crate) active_price: Price,
    /// Partial when parts of it are to be ended on their own.
    pub(crate) mode: TpSlMode,
}

/// What terms ask for: take-profit first; what is not asked for is left out.
pub(crate) fn exits_of(terms: &Terms) -> impl Iterator<Item = Exit> {
    let kinds = match terms.tpsl_mode {
        TpSlMode::Full => [StopKind::TakeProfit, StopKind::StopLoss],
        TpSlMode::Partial => [StopKind::PartialTakeProfit, StopKind::PartialStopLoss],
    };
    let profit = Exit {
        kind: kinds[0],
        price: terms.take_profit,
        by: terms.take_profit_by,
        limit: terms.take_profit_limit,
    };
    let loss =
        Exit { kind: kinds[1], price: terms.stop_loss, by: terms.stop_loss_by, limit: terms.stop_loss_limit };
    [profit, loss].into_iter().filter(|exit| exit.price != Price(0))
}

/// What of an order has filled: lots, and the fees paid on them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) lots: i64,
    pub(crate) fee: i128,
}

impl Exchange {
    /// The take-profit, stop-loss or trailing stop of a whole position.
    pub(crate) fn exit(&self, slot: u32, kind: StopKind) -> Option<&Waiting> {
        self.triggers.of(slot).find(|waiting| waiting.kind == kind && !waiting.is_due)
    }

    pub(crate) fn is_in_place(&self, slot: u32, exit: &Exit) -> bool {
        self.exit(slot, exit.kind).is_some_and(|waiting| {
            let terms = &waiting.order.terms;
            (terms.trigger_price, terms.trigger_by) == (exit.price, exit.by)
        })
    }

    /// Distance and activation price of a position's trailing stop; zeros for none.
    pub(crate) fn trailing_of(&self, slot: u32) -> (Price, Price) {
        let trailing = self.exit(slot, StopKind::TrailingStop);
        trailing.map_or((Price(0), Price(0)), |waiting| (waiting.distance, waiting.order.terms.trigger_price))
    }

    /// Partial orders of a slot that have no older counterpart.
    pub(crate) fn pairs_of(&self, slot: u32) -> usize {
        let is_first = |waiting: &&Waiting| waiting.partner == 0 || waiting.partner > waiting.id;
        self.triggers.of(slot).filter(|waiting| waiting.kind.is_partial()).filter(is_first).count()
    }

    /// Lots of a slot's partial orders of a kind.
    pub(crate) fn partial_lots(&self, slot: u32, kind: StopKind) -> i64 {
        let of_kind = self.triggers.of(slot).filter(|waiting| waiting.kind == kind);
        of_kind.map(|waiting| self.lots_of(&waiting.order)).sum()
    }

    /// Lots of a waiting order.
    pub(crate) fn lots_of(&self, order: &NewOrder) -> i64 {
        order.qty.0 / self.instruments[usize::from(order.instrument.0)].spec.qty_step.0
    }

    /// Puts the take-profit or stop-loss of a whole position in place, or moves the one that is there.
    pub(crate) fn put_full(&mut self, slot: u32, exit: &Exit) {
        let Some(before) = self.exit(slot, exit.kind).copied() else {
            let id = self.last_order + 1;
            self.put_exit(slot, exit, Qty(0), (id, 0, 0));
            self.tell_trading_stop(slot);
            return;
        };
        self.move_exit(&before, exit, true);
    }

    /// Gives a waiting take-profit or stop-loss another trigger and limit; the trigger is told if it moved.
    pub(crate) fn move_exit(&mut self, before: &Waiting, exit: &Exit, is_moved: bool) {
        let mut moved = Waiting { updated_wall_us: self.wall_us, ..*before };
        moved.order.price = exit.limit;
        moved.order.terms.trigger_price = exit.price;
        moved.order.terms.trigger_by = exit.by;
        self.triggers.put(moved);
        if is_moved {
            self.emit_conditions(moved.id, &moved.order, Some(&moved));
            if !moved.kind.is_partial() {
                self.tell_trading_stop(moved.slot);
            }
            self.trigger_if_reached(&moved);
        }
    }

    /// Puts one or two partial orders of a quantity in place; `parent` is the order they came with, 0 for none.
    pub(crate) fn put_pair(&mut self, slot: u32, exits: &[Exit], qty: Qty, parent: u64) {
        let first = self.last_order + 1;
        let (second, is_pair) = (first + 1, exits.len() == 2);
        for (exit, (id, partner)) in exits.iter().zip([(first, second), (second, first)]) {
            self.put_exit(slot, exit, qty, (id, if is_pair { partner } else { 0 }, parent));
        }
    }

    fn put_exit(&mut self, slot: u32, exit: &Exit, qty: Qty, (id, partner, parent): (u64, u64, u64)) {
        let mut order = self.closing_order(slot, qty);
        if exit.limit != Price(0) {
            order.order_type = OrderType::Limit;
            order.time_in_force = TimeInForce::GoodTillCancel;
            order.price = exit.limit;
        }
        let rises = (order.side == Side::Sell) == exit.takes_profit();
        let direction = if rises { TriggerDirection::Rise } else { TriggerDirection::Fall };
        order.terms.trigger_price = exit.price;
        order.terms.trigger_by = exit.by;
        order.terms.trigger_direction = direction;
        let waiting = Waiting { partner, parent, ..self.new_waiting(id, slot, exit.kind, order, direction) };
        self.put_waiting(&waiting);
        self.trigger_if_reached(&waiting);
    }

    /// A market order that closes a quantity of a slot's position, or all of it for none.
    fn closing_order(&self, slot: u32, qty: Qty) -> NewOrder {
        let held = self.ledger.slot(slot);
        NewOrder {
            account: AccountId(self.ledger.account(held.account).id),
            instrument: InstrumentId(held.instrument),
            position_index: held.index,
            side: Side::of_position(held.position.lots).opposite(),
            order_type: OrderType::Market,
            time_in_force: TimeInForce::ImmediateOrCancel,
            qty,
            price: Price(0),
            reduce_only: true,
            link_id: LinkId::NONE,
            terms: Terms { close_on_trigger: true, ..Terms::NONE },
        }
    }

    /// Sets the trailing stop of a position, or, with a distance of 0, removes it.
    pub(crate) fn put_trailing(&mut self, slot: u32, (distance, active): (Price, Price)) {
        if let Some(id) = self.exit(slot, StopKind::TrailingStop).map(|waiting| waiting.id) {
            self.withdraw_waiting(id, CancelReason::User);
        }
        if distance == Price(0) {
            return;
        }
        let mut order = self.closing_order(slot, Qty(0));
        order.terms.trigger_price = active;
        let is_short = order.side == Side::Buy;
        let direction = if is_short { TriggerDirection::Fall } else { TriggerDirection::Rise };
        let id = self.last_order + 1;
        let kind = StopKind::TrailingStop;
        let waiting = Waiting { distance, ..self.new_waiting(id, slot, kind, order, direction) };
        self.put_waiting(&waiting);
        self.tell_trading_stop(slot);
        if active == Price(0) {
            let last = self.price_by(usize::from(order.instrument.0), TriggerBy::LastPrice);
            self.triggers.reach_one(id, last.0);
        }
    }

    pub(crate) fn trigger_if_reached(&mut self, waiting: &Waiting) {
        let order = &waiting.order;
        let price = self.price_by(usize::from(order.instrument.0), order.terms.trigger_by).0;
        if waiting.is_reached(price) {
            self.triggers.reach_one(waiting.id, price);
        }
    }

    /// Notes that a fill closed lots of a slot with such orders.
    #[cold]
    pub(crate) fn note_reduced(&mut self, leg: &Leg, settled: &Settled) {
        let is_flat = self.ledger.slot(leg.slot).position.lots == 0;
        let is_closed = is_flat || settled.closed_lots < leg.lots;
        self.triggers.news.push(News::Reduced { slot: leg.slot, is_closed });
    }

    /// Notes that an order with take-profit or stop-loss filled: from one progress to another.
    #[cold]
    pub(crate) fn note_filled(
        &mut self,
        (order, slot, side): (u64, u32, Side),
        (before, after): (Progress, Progress),
        terms: &Terms,
    ) {
        let lots = if self.ledger.slot(slot).is_spot {
            self.obtained(slot, side, after) - self.obtained(slot, side, before)
        } else {
            after.lots - before.lots
        };
        if terms.has_exits() && lots > 0 {
            self.triggers.news.push(News::Filled { order, slot, side, lots, terms: *terms });
        }
    }

    /// Attends to the fills noted since the last time.
    #[cold]
    pub(crate) fn attend_exits(&mut self) {
        for news in std::mem::take(&mut self.triggers.news) {
            match news {
                News::Reduced { slot, is_closed: true } => {
                    self.cancel_waiting(slot, CancelReason::TpSlCleared, |waiting| waiting.kind.is_exit());
                }
                News::Reduced { slot, is_closed: false } => self.trim_exits(slot),
                News::Filled { order, slot, side, lots, terms } if self.ledger.slot(slot).is_spot => {
                    self.attach_to_spot(order, slot, (side, lots), &terms);
                }
                News::Filled { order, slot, side, lots, terms } => {
                    let held = self.ledger.slot(slot).position.lots;
                    if held != 0 && Side::of_position(held) == side {
                        self.attach(order, slot, lots, &terms);
                    }
                }
            }
        }
    }

    /// Puts in place what came with an order of which lots have filled.
    fn attach(&mut self, order: u64, slot: u32, lots: i64, terms: &Terms) {
        let exits: Vec<Exit> = exits_of(terms).collect();
        if terms.tpsl_mode == TpSlMode::Full {
            for exit in exits.iter().filter(|exit| !self.is_in_place(slot, exit)).copied().collect::<Vec<_>>()
            {
                self.put_full(slot, &exit);
            }
            return;
        }
        let of_order = |waiting: &&Waiting| waiting.parent == order;
        let mut grown: Vec<Waiting> = self.triggers.of(slot).filter(of_order).copied().collect();
        if grown.iter().any(|waiting| waiting.is_due) {
            grown.clear(); // it is about to leave, and takes its counterpart with it
        }
        let more = self.instruments[usize::from(self.ledger.slot(slot).instrument)].qty(lots);
        if grown.is_empty() && self.pairs_of(slot) < PARTIAL_PAIRS_MAX {
            self.put_pair(slot, &exits, more, order);
        }
        for waiting in grown {
            self.resize(&waiting, Qty(waiting.order.qty.0.saturating_add(more.0)));
        }
        self.trim_exits(slot);
    }

    /// Gives a partial order another quantity.
    pub(crate) fn resize(&mut self, waiting: &Waiting, qty: Qty) {
        let mut order = waiting.order;
        order.qty = qty;
        self.triggers.put(Waiting { order, updated_wall_us: self.wall_us, ..*waiting });
        let NewOrder { account, instrument, price, .. } = order;
        let order_id = OrderId(waiting.id);
        self.emit(EventKind::OrderAmended { order_id, account, instrument, price, qty, leaves: qty });
    }

    /// Cuts or cancels partial orders beyond the position, youngest first, each with its counterpart.
    fn trim_exits(&mut self, slot: u32) {
        let held = self.ledger.slot(slot).position.lots.abs();
        let step = self.instruments[usize::from(self.ledger.slot(slot).instrument)].spec.qty_step.0;
        for kind in [StopKind::PartialTakeProfit, StopKind::PartialStopLoss] {
            let mut excess = (self.partial_lots(slot, kind) - held).max(0);
            let of_kind = self.triggers.of(slot).filter(|waiting| waiting.kind == kind);
            let mut ids: Vec<u64> = of_kind.map(|waiting| waiting.id).collect();
            while let (true, Some(id)) = (excess > 0, ids.pop()) {
                let Some(waiting) = self.triggers.get(id).copied() else { continue };
                let cut = excess.min(waiting.order.qty.0 / step);
                excess -= cut;
                let counterpart = self.triggers.get(waiting.partner).copied();
                for one in counterpart.into_iter().chain([waiting]) {
                    let left = one.order.qty.0 - cut * step;
                    if left > 0 {
                        self.resize(&one, Qty(left));
                    } else {
                        self.withdraw_waiting(one.id, CancelReason::ReduceOnly);
                    }
                }
            }
        }
    }

    /// Remembers whether a slot has such orders after one of a kind went, and tells what is left for all of the position.
    pub(crate) fn note_exits(&mut self, slot: u32, gone: StopKind) {
        let has_exits = self.triggers.of(slot).any(|waiting| waiting.kind.is_exit());
        self.ledger.slot_mut(slot).has_exits = has_exits;
        if !gone.is_partial() {
            self.tell_trading_stop(slot);
        }
    }

    /// Tells what ends a whole position now.
    pub(crate) fn tell_trading_stop(&mut self, slot: u32) {
        let held = self.ledger.slot(slot);
        let standing = self.trading_stop_of(slot);
        let event = EventKind::TradingStopChanged {
            account: AccountId(self.ledger.account(held.account).id),
            instrument: InstrumentId(held.instrument),
            position_index: held.index,
            take_profit: standing.take_profit,
            stop_loss: standing.stop_loss,
            trailing_stop: standing.trailing_stop,
            active_price: standing.active_price,
        };
        self.emit(event);
    }

    /// What ends a position now.
    pub(crate) fn trading_stop_of(&self, slot: u32) -> Standing {
        if !self.ledger.slot(slot).has_exits {
            return Standing::default();
        }
        let price =
            |kind| self.exit(slot, kind).map_or(Price(0), |waiting| waiting.order.terms.trigger_price);
        let (trailing_stop, active_price) = self.trailing_of(slot);
        let is_partial = self.triggers.of(slot).any(|waiting| waiting.kind.is_partial());
        Standing {
            take_profit: price(StopKind::TakeProfit),
            stop_loss: price(StopKind::StopLoss),
            trailing_stop,
            active_price,
            mode: if is_partial { TpSlMode::Partial } else { TpSlMode::Full },
        }
    }
}
