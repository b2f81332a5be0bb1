//! Stages 4 and 5: an incoming order meets the book in price-time order, and each fill is settled at once:
//! position, wallet, fees. Settling inside the loop is what lets a resting reduce-only order shrink in time.

use std::collections::BTreeSet;

use crate::book::reaches;
use crate::event::EventKind;
use crate::exchange::{Exchange, FEES, INSURANCE, TAKEOVER};
use crate::fixed::{mul_div_ceil, saturate};
use crate::margin::price_of;
use crate::order::NONE;
use crate::types::{
    AccountId, CancelReason, FillKind, InstrumentId, Money, OrderId, Price, Side, TradeId, WalletReason,
    SCALE,
};

/// How a fill's fee is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FeeRule {
    /// A rate in `10^-8` of the value, rounded up.
    Rate(i64),
    /// The same, but no more than the account's margin balance bears.
    AsFarAsItCan(i64),
    /// Settled elsewhere.
    None,
}

/// An order on its way through the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker {
    pub(crate) order_id: u64,
    pub(crate) slot: u32,
    pub(crate) instrument: usize,
    pub(crate) side: Side,
    pub(crate) limit: i64,
    pub(crate) leaves: i64,
    pub(crate) reduce_only: bool,
    pub(crate) fee: FeeRule,
    pub(crate) kind: FillKind,
    /// The venue's own order: no fill may cost more than the insurance fund holds.
    pub(crate) fund_guard: bool,
    /// Set when that guard stopped it.
    pub(crate) blocked: bool,
    pub(crate) filled_value: i128,
    pub(crate) fee_paid: i128,
}

/// One account's side of a fill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) trade_id: u64,
    pub(crate) order_id: u64,
    pub(crate) slot: u32,
    pub(crate) side: Side,
    pub(crate) lots: i64,
    /// Signed as the side: a buy costs, a sell brings in.
    pub(crate) value: i128,
    pub(crate) price: Price,
    pub(crate) fee: FeeRule,
    pub(crate) is_maker: bool,
    pub(crate) leaves: i64,
    pub(crate) kind: FillKind,
}

impl Exchange {
    /// True when the order would meet a resting one.
    #[inline]
    pub(crate) fn would_take(&self, taker: &Taker) -> bool {
        let best = self.books[taker.instrument].best(taker.side.opposite());
        best.is_some_and(|price| reaches(taker.side, taker.limit, price))
    }

    /// Lots the order is sure to get, counted no further than it wants. A maker's reduce-only orders do not count
    /// once another order of his would have filled before them, because that fill may cut them.
    pub(crate) fn fillable(&self, taker: &Taker) -> i64 {
        let book = &self.books[taker.instrument];
        let opposite = taker.side.opposite();
        let mut plain_filled: BTreeSet<u32> = BTreeSet::new();
        let mut found: i64 = 0;
        for price in book.prices(opposite) {
            if !reaches(taker.side, taker.limit, price) {
                break;
            }
            for index in book.queue(&self.orders, opposite, price) {
                if found >= taker.leaves {
                    return taker.leaves;
                }
                let maker = self.orders.get(index);
                if !maker.reduce_only {
                    plain_filled.insert(maker.slot);
                } else if plain_filled.contains(&maker.slot) {
                    continue;
                }
                found = found.saturating_add(maker.leaves);
            }
        }
        found.min(taker.leaves)
    }

    /// Fills the order as far as book and limit allow.
    pub(crate) fn match_taker(&mut self, taker: &mut Taker) {
        let opposite = taker.side.opposite();
        while taker.leaves > 0 {
            let book = &self.books[taker.instrument];
            let Some(ticks) = book.best(opposite) else { break };
            if !reaches(taker.side, taker.limit, ticks) {
                break;
            }
            let maker = book.level(opposite, ticks).head;
            if maker == NONE {
                break;
            }
            let mut lots = taker.leaves.min(self.orders.get(maker).leaves);
            if taker.reduce_only {
                lots = lots.min(self.ledger.slot(taker.slot).reducible(taker.side));
            }
            if taker.fund_guard {
                let affordable = self.affordable_lots(taker, ticks);
                taker.blocked = affordable < lots;
                lots = lots.min(affordable);
            }
            if lots <= 0 {
                break;
            }
            self.execute(taker, maker, lots);
        }
    }

    /// One trade between the incoming order and a resting one.
    fn execute(&mut self, taker: &mut Taker, maker_index: u32, lots: i64) {
        let maker = *self.orders.get(maker_index);
        let listed = &self.instruments[taker.instrument];
        let value = listed.value(lots, maker.ticks());
        let (price, qty, maker_fee) = (listed.price(maker.ticks()), listed.qty(lots), listed.spec.maker_fee);
        let instrument = InstrumentId(maker.instrument);
        self.last_trade += 1;
        let trade_id = self.last_trade;
        self.markets[taker.instrument].last_ticks = maker.ticks();
        taker.leaves -= lots;
        let taker_side = taker.side;
        self.emit(EventKind::Trade { trade_id: TradeId(trade_id), instrument, price, qty, taker_side });
        let level = self.books[taker.instrument].reduce(&mut self.orders, maker_index, lots);
        self.count_resting(&maker, -lots);
        let leaves = maker.leaves - lots;
        let taker_leg = Leg {
            trade_id,
            order_id: taker.order_id,
            slot: taker.slot,
            side: taker.side,
            lots,
            value: value * i128::from(taker.side.sign()),
            price,
            fee: taker.fee,
            is_maker: false,
            leaves: taker.leaves,
            kind: taker.kind,
        };
        let maker_leg = Leg {
            order_id: maker.id,
            slot: maker.slot,
            side: maker.side,
            value: -taker_leg.value,
            fee: FeeRule::Rate(maker_fee),
            is_maker: true,
            leaves,
            ..taker_leg
        };
        taker.filled_value += value;
        taker.fee_paid += self.settle(&taker_leg);
        let fee = self.settle(&maker_leg);
        if leaves == 0 {
            self.books[taker.instrument].unlink(&mut self.orders, maker_index);
            self.orders.remove(maker_index, &mut self.ledger.slot_mut(maker.slot).orders);
        } else {
            self.orders.get_mut(maker_index).updated_wall_us = self.wall_us;
            let detail = self.orders.detail_mut(maker_index);
            detail.filled_value += value;
            detail.fee += fee;
        }
        self.emit_level(instrument, maker.side, maker.ticks(), level);
        self.trim_reduce_only(taker.slot);
        self.trim_reduce_only(maker.slot);
    }

    /// Books one side of a fill: position, realised profit, fee; returns the fee.
    pub(crate) fn settle(&mut self, leg: &Leg) -> i128 {
        let signed = leg.lots * leg.side.sign();
        let settled = self.ledger.fill(leg.slot, signed, leg.value);
        let owner = self.ledger.slot(leg.slot).account;
        self.ledger.credit(owner, settled.realised);
        let fee = match leg.fee {
            FeeRule::None => 0,
            FeeRule::Rate(rate) => fee_of(leg.value, rate),
            FeeRule::AsFarAsItCan(rate) => {
                self.refresh(leg.slot);
                fee_of(leg.value, rate).min(self.ledger.account(owner).equity().max(0))
            }
        };
        self.ledger.credit(owner, -fee);
        self.ledger.credit(FEES, fee);
        self.ledger.detail_mut(leg.slot).realised += settled.realised - fee;
        self.refresh(leg.slot);
        self.touch(owner);
        self.emit_leg(leg, settled.closed_lots, settled.realised, fee);
        let reason = match leg.kind {
            FillKind::Trade => WalletReason::Trade,
            FillKind::TakeOver => WalletReason::TakeOver,
            FillKind::Adl => WalletReason::Adl,
        };
        self.emit_wallet(owner, settled.realised - fee, reason);
        if owner == TAKEOVER {
            self.sweep_takeover();
        }
        fee
    }

    fn emit_leg(&mut self, leg: &Leg, closed_lots: i64, realised: i128, fee: i128) {
        let slot = self.ledger.slot(leg.slot);
        let listed = &self.instruments[usize::from(slot.instrument)];
        let account = AccountId(self.ledger.account(slot.account).id);
        let instrument = InstrumentId(slot.instrument);
        let position = slot.position;
        let position_qty = listed.qty(position.lots);
        let entry_price = Price(saturate(price_of(position.cost.abs(), position.lots, listed)));
        let changed = EventKind::PositionChanged {
            account,
            instrument,
            qty: position_qty,
            entry_price,
            realised_pnl: Money(saturate(self.ledger.detail(leg.slot).realised)),
        };
        let fill = EventKind::Fill {
            trade_id: TradeId(leg.trade_id),
            order_id: OrderId(leg.order_id),
            account,
            instrument,
            side: leg.side,
            price: leg.price,
            qty: listed.qty(leg.lots),
            fee: Money(saturate(fee)),
            is_maker: leg.is_maker,
            leaves: listed.qty(leg.leaves),
            closed_qty: listed.qty(closed_lots),
            realised_pnl: Money(saturate(realised)),
            position_qty,
            kind: leg.kind,
        };
        self.emit(fill);
        self.emit(changed);
    }

    /// Cuts or cancels resting reduce-only orders beyond what is left to reduce, youngest first.
    pub(crate) fn trim_reduce_only(&mut self, slot_index: u32) {
        if !self.ledger.slot(slot_index).has_reduce_only {
            return;
        }
        for side in [Side::Buy, Side::Sell] {
            let slot = self.ledger.slot(slot_index);
            let at = usize::from(side.to_wire());
            let mut excess = self.ledger.detail(slot_index).reduce_only_lots[at] - slot.reducible(side);
            let mut index = slot.orders.youngest;
            while excess > 0 && index != NONE {
                let order = *self.orders.get(index);
                if order.reduce_only && order.side == side {
                    if order.leaves <= excess {
                        self.withdraw_order(index, CancelReason::ReduceOnly);
                    } else {
                        self.cut_order(index, excess);
                    }
                    excess -= order.leaves;
                }
                index = order.older;
            }
        }
    }

    /// Takes lots off a resting order, which keeps its place.
    fn cut_order(&mut self, index: u32, lots: i64) {
        let before = *self.orders.get(index);
        let level = self.books[usize::from(before.instrument)].reduce(&mut self.orders, index, lots);
        self.orders.get_mut(index).lots -= lots;
        self.count_resting(&before, -lots);
        let account = AccountId(self.ledger.account(self.ledger.slot(before.slot).account).id);
        let after = *self.orders.get(index);
        self.emit_amended(&after, account);
        self.emit_level(InstrumentId(before.instrument), before.side, before.ticks(), level);
    }

    /// Takes a resting order out of the book for good.
    pub(crate) fn withdraw_order(&mut self, index: u32, reason: CancelReason) {
        let order = *self.orders.get(index);
        let level = self.books[usize::from(order.instrument)].unlink(&mut self.orders, index);
        self.count_resting(&order, -order.leaves);
        self.orders.remove(index, &mut self.ledger.slot_mut(order.slot).orders);
        self.refresh_orders(order.slot);
        let account = AccountId(self.ledger.account(self.ledger.slot(order.slot).account).id);
        let instrument = InstrumentId(order.instrument);
        self.emit_cancelled(order.id, account, instrument, order.leaves, reason);
        self.emit_level(instrument, order.side, order.ticks(), level);
    }

    /// Hands what the take-over account realised to the insurance fund, or covers it from there. A loss beyond
    /// the fund stays on the take-over account's wallet and is covered by what that account gains next.
    pub(crate) fn sweep_takeover(&mut self) {
        let gained = self.ledger.account(TAKEOVER).wallet;
        let fund = self.ledger.account(INSURANCE).wallet;
        let change = gained.max(-fund);
        if change == 0 {
            return;
        }
        self.ledger.credit(TAKEOVER, -change);
        self.ledger.credit(INSURANCE, change);
        let balance = self.wallet(INSURANCE);
        self.emit(EventKind::InsuranceFundChanged { balance, change: Money(saturate(change)) });
    }
}

/// Fee of a value at a rate, rounded up.
pub(crate) fn fee_of(value: i128, rate: i64) -> i128 {
    mul_div_ceil(value.abs(), i128::from(rate), i128::from(SCALE))
}
