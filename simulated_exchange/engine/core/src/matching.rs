//! Stages 4 and 5: an incoming order meets the book in price-time order, and each fill is settled at once:
//! position, wallet, fees. Settling inside the loop is what lets a resting reduce-only order shrink in time.

use std::collections::BTreeMap;

use crate::book::reaches;
use crate::event::EventKind;
use crate::exchange::{Exchange, FEES, TAKEOVER};
use crate::fixed::{mul_div_floor, saturate, share_ceil};
use crate::margin::price_of;
use crate::order::NONE;
use crate::position::Settled;
use crate::slot::Slot;
use crate::terms::SelfMatch;
use crate::tpsl::Progress;
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
    /// The price that its hold reckoned with, in ticks: better fills are paid for already.
    pub(crate) valued: i64,
    pub(crate) reduce_only: bool,
    pub(crate) fee: FeeRule,
    pub(crate) kind: FillKind,
    /// Set when it stopped because its account, or the insurance fund, cannot bear the next fill.
    pub(crate) blocked: bool,
    /// What happens when it meets an order of its own trader.
    pub(crate) self_match: SelfMatch,
    /// The order of its own trader at which self-match prevention stopped it; 0 for none.
    pub(crate) met: u64,
    pub(crate) filled_value: i128,
    pub(crate) fee_paid: i128,
    /// Fees of its plain fills, its own and others', that are still to be collected.
    pub(crate) collected: i128,
}

/// What earlier orders in the queue leave of a maker.
struct Promised {
    lots: i64,
    /// The first price, which is the worst for him, in ticks.
    worst: i64,
    /// One of them was not reduce-only.
    plain: bool,
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

    /// Lots the order is sure to get, counted no further than it wants. What depends on earlier fills does not count:
    /// a maker's reduce-only orders behind another order of his, and orders he may not be able to bear by then.
    pub(crate) fn fillable(&self, taker: &Taker) -> i64 {
        let book = &self.books[taker.instrument];
        let opposite = taker.side.opposite();
        let mut makers: BTreeMap<u32, Promised> = BTreeMap::new();
        let (mut found, mut last_price) = (0_i64, taker.valued);
        'prices: for price in book.prices(opposite) {
            if found >= taker.leaves || !reaches(taker.side, taker.limit, price) {
                break;
            }
            for index in book.queue(&self.orders, opposite, price) {
                if found >= taker.leaves {
                    break;
                }
                let maker = self.orders.get(index);
                if taker.self_match != SelfMatch::Allow && self.is_same_trader(taker.slot, maker.slot) {
                    if taker.self_match == SelfMatch::CancelMaker {
                        continue;
                    }
                    break 'prices;
                }
                let promised =
                    makers.entry(maker.slot).or_insert(Promised { lots: 0, worst: price, plain: false });
                if maker.reduce_only && promised.plain {
                    continue;
                }
                promised.plain |= !maker.reduce_only;
                promised.lots = promised.lots.saturating_add(maker.leaves);
                let Promised { lots, worst, .. } = *promised;
                if self.bearable(maker.slot, opposite, lots, worst, false) < lots {
                    promised.lots = i64::MAX; // neither this one nor what he has behind it
                    continue;
                }
                found = found.saturating_add(maker.leaves);
                last_price = price;
            }
        }
        self.bearable_by_taker(taker, found.min(taker.leaves), last_price)
    }

    /// Of `lots` that an account is about to trade, those it can bear at a price. What closes may cost no more than the
    /// whole position could lose there: the margin balance. What opens must have its loss at the mark available, and,
    /// with `cost`, margin and fees as well: a resting order holds them already.
    fn bearable(&self, slot: u32, side: Side, lots: i64, ticks: i64, cost: bool) -> i64 {
        let place = slot;
        let slot = self.ledger.slot(place);
        if slot.is_spot {
            return if cost { self.payable(place, side, lots, ticks) } else { lots };
        }
        if slot.is_isolated {
            return self.bearable_isolated(place, side, lots, ticks, cost);
        }
        let index = usize::from(slot.instrument);
        let mark_ticks = self.markets[index].mark_ticks;
        let through = side.sign() * (ticks - mark_ticks);
        let owner = self.ledger.account(slot.account);
        let available = owner.available();
        if through <= 0 && available >= 0 && !cost {
            return lots;
        }
        let listed = &self.instruments[index];
        let loss = self.in_usd(listed.settle, listed.loss(1, ticks, mark_ticks, side));
        let closing = lots.min(slot.reducible(side));
        if closing > 0 {
            let fee = self.in_usd(listed.settle, fee_of(listed.value(1, ticks), listed.spec.taker_fee));
            if (loss + fee) * i128::from(slot.position.lots.abs()) > owner.worth.balance {
                return 0;
            }
        }
        let opening = lots - closing;
        let each = if cost {
            let dearer = if listed.direction > 0 { ticks.max(mark_ticks) } else { ticks.min(mark_ticks) };
            let margin = listed.order_cost(listed.size(1, dearer), side, i64::from(slot.leverage));
            loss + self.in_usd(listed.settle, i128::from(margin))
        } else {
            loss
        };
        let left = available - loss * i128::from(closing);
        if opening == 0 || left < 0 {
            return closing;
        }
        let bears_all = each * i128::from(opening) <= left;
        closing + if bears_all { opening } else { saturate(left / each) }
    }

    /// As `bearable`, for the order that comes in: up to the price of its hold everything is paid for.
    #[inline]
    pub(crate) fn bearable_by_taker(&self, taker: &Taker, lots: i64, ticks: i64) -> i64 {
        match taker.fee {
            FeeRule::Rate(_) if reaches(taker.side, taker.valued, ticks) => {
                let closes = self.ledger.slot(taker.slot).reducible(taker.side) > 0;
                if closes {
                    self.bearable(taker.slot, taker.side, lots, ticks, false)
                } else {
                    lots
                }
            }
            FeeRule::Rate(_) => self.bearable(taker.slot, taker.side, lots, ticks, true),
            FeeRule::AsFarAsItCan(_) => lots, // its limit is the bankruptcy price
            FeeRule::None => self.affordable_lots(taker, ticks).min(lots),
        }
    }

    /// Fills the order as far as book and limit allow.
    pub(crate) fn match_taker(&mut self, taker: &mut Taker) {
        self.match_against_book(taker);
        if taker.collected != 0 {
            let fees = self.fee_purse(self.instruments[taker.instrument].settle);
            self.ledger.collect_at_par(fees, std::mem::take(&mut taker.collected));
        }
    }

    #[inline]
    fn match_against_book(&mut self, taker: &mut Taker) {
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
            if taker.self_match != SelfMatch::Allow
                && self.is_same_trader(taker.slot, self.orders.get(maker).slot)
            {
                self.prevent_self_match(taker, maker);
                if taker.met != 0 {
                    break;
                }
                continue;
            }
            if self.fill_plain(taker, maker).is_some() {
                continue;
            }
            let mut lots = taker.leaves.min(self.orders.get(maker).leaves);
            if taker.reduce_only {
                lots = lots.min(self.ledger.slot(taker.slot).reducible(taker.side));
            }
            let wanted = lots;
            lots = self.bearable_by_taker(taker, wanted, ticks);
            taker.blocked = lots < wanted;
            if lots <= 0 {
                break;
            }
            lots = self.bearable(self.orders.get(maker).slot, opposite, lots, ticks, false);
            if lots <= 0 {
                self.withdraw_order(maker, CancelReason::InsufficientMargin);
                continue;
            }
            self.execute(taker, maker, lots);
            if taker.blocked {
                break;
            }
        }
    }

    /// One trade between the incoming order and a resting one.
    fn execute(&mut self, taker: &mut Taker, maker_index: u32, lots: i64) {
        let maker = *self.orders.get(maker_index);
        let listed = &self.instruments[taker.instrument];
        let (value, listed_direction) = (listed.value(lots, maker.ticks()).abs(), listed.direction);
        let (price, qty, maker_fee) = (listed.price(maker.ticks()), listed.qty(lots), listed.spec.maker_fee);
        let instrument = InstrumentId(maker.instrument);
        self.last_trade += 1;
        let trade_id = self.last_trade;
        self.markets[taker.instrument].last_ticks = maker.ticks();
        self.note_traded(taker.instrument);
        taker.leaves -= lots;
        let taker_side = taker.side;
        self.emit(EventKind::Trade { trade_id: TradeId(trade_id), instrument, price, qty, taker_side });
        let leaves = maker.leaves - lots;
        let level = if leaves == 0 {
            self.count_resting(&maker, -1);
            self.books[taker.instrument].unlink(&mut self.orders, maker_index)
        } else {
            self.shrink(maker_index, lots)
        };
        let taker_leg = Leg {
            trade_id,
            order_id: taker.order_id,
            slot: taker.slot,
            side: taker.side,
            lots,
            value: value * i128::from(taker.side.sign() * listed_direction),
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
        if maker.has_terms {
            let (terms, _) = self.orders.terms(maker_index);
            let before =
                Progress { lots: maker.lots - maker.leaves, fee: self.orders.detail(maker_index).fee };
            let after = Progress { lots: before.lots + lots, fee: before.fee + fee };
            self.note_filled((maker.id, maker.slot, maker.side), (before, after), &terms);
        }
        if leaves == 0 {
            self.orders.remove(maker_index, &mut self.ledger.slot_mut(maker.slot).orders);
        } else {
            self.orders.note_fill(maker_index, value, fee, self.wall_us);
        }
        self.emit_level(instrument, maker.side, maker.ticks(), level);
        self.trim_reduce_only(taker.slot);
        self.trim_reduce_only(maker.slot);
    }

    /// Books one side of a fill: position, realised profit, fee; returns the fee.
    pub(crate) fn settle(&mut self, leg: &Leg) -> i128 {
        if self.ledger.slot(leg.slot).is_spot {
            return self.settle_spot(leg);
        }
        let signed = leg.lots * leg.side.sign();
        let settled = self.ledger.fill(leg.slot, signed, leg.value);
        let Slot { account: owner, purse, instrument, is_isolated, .. } = *self.ledger.slot(leg.slot);
        let fee = match leg.fee {
            FeeRule::Rate(rate) if !is_isolated => {
                let fee = fee_of(leg.value, rate);
                self.ledger.credit(purse, settled.realised - fee);
                self.ledger.collect(FEES, purse, fee);
                fee
            }
            _ => self.settle_money(leg, &settled),
        };
        let held = self.ledger.slot(leg.slot).position.lots;
        let lots = (leg.lots, settled.closed_lots, held);
        self.ledger.detail_mut(leg.slot).count_realised(lots, settled.realised, fee);
        self.refresh(leg.slot);
        self.touch(owner);
        self.tell_settled(leg, &settled, fee, purse);
        if owner == TAKEOVER {
            self.sweep_takeover(usize::from(instrument));
        }
        fee
    }

    /// Tells one side of a fill: the fill, the position, the wallet.
    fn tell_settled(&mut self, leg: &Leg, settled: &Settled, fee: i128, purse: u32) {
        self.emit_leg(leg, settled.closed_lots, settled.realised, fee);
        let reason = match leg.kind {
            FillKind::Trade => WalletReason::Trade,
            FillKind::TakeOver => WalletReason::TakeOver,
            FillKind::Adl => WalletReason::Adl,
            FillKind::Delivery => WalletReason::Delivery,
            FillKind::Netting => WalletReason::Netting,
        };
        self.emit_wallet(purse, settled.realised - fee, reason);
        if settled.closed_lots > 0 && self.ledger.slot(leg.slot).has_exits {
            self.note_reduced(leg, settled);
        }
    }

    /// Moves the money of a fill whose position has margin of its own, or whose fee depends on what there is.
    fn settle_money(&mut self, leg: &Leg, settled: &Settled) -> i128 {
        let Slot { account: owner, purse, is_isolated, .. } = *self.ledger.slot(leg.slot);
        self.ledger.credit(purse, settled.realised);
        let backing = self.ledger.detail(leg.slot).extras().assigned + settled.realised;
        if is_isolated {
            self.reassign(leg.slot, leg.lots * leg.side.sign(), settled);
        }
        let fee = match leg.fee {
            FeeRule::None => 0,
            FeeRule::Rate(rate) => fee_of(leg.value, rate),
            // what closing an isolated position released, and nothing else
            FeeRule::AsFarAsItCan(rate) if is_isolated => {
                let released = backing - self.ledger.detail(leg.slot).extras().assigned;
                fee_of(leg.value, rate).min(released.max(0))
            }
            FeeRule::AsFarAsItCan(rate) => {
                self.refresh(leg.slot);
                fee_of(leg.value, rate).min(self.bearable_fee(owner, purse))
            }
        };
        self.ledger.credit(purse, -fee);
        self.ledger.collect(FEES, purse, fee);
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
            position_index: slot.index,
            qty: position_qty,
            entry_price,
            realised_pnl: Money(saturate(self.ledger.detail(leg.slot).realised)),
        };
        let fill = EventKind::Fill {
            trade_id: TradeId(leg.trade_id),
            order_id: OrderId(leg.order_id),
            account,
            instrument,
            position_index: slot.index,
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
            let mut excess =
                self.ledger.detail(slot_index).extras().reduce_only_lots[at] - slot.reducible(side);
            let mut index = slot.orders.youngest;
            while excess > 0 && index != NONE {
                let (order, older) = (*self.orders.get(index), self.orders.older(index));
                if order.reduce_only && order.side == side {
                    if order.leaves <= excess {
                        self.withdraw_order(index, CancelReason::ReduceOnly);
                    } else {
                        self.cut_order(index, excess);
                    }
                    excess -= order.leaves;
                }
                index = older;
            }
        }
    }

    /// Takes lots off a resting order, which keeps its place.
    fn cut_order(&mut self, index: u32, lots: i64) {
        let before = *self.orders.get(index);
        let level = self.shrink(index, lots);
        self.orders.get_mut(index).lots -= lots;
        let account = AccountId(self.ledger.account(self.ledger.slot(before.slot).account).id);
        let after = *self.orders.get(index);
        self.emit_amended(&after, account);
        self.emit_level(InstrumentId(before.instrument), before.side, before.ticks(), level);
    }

    /// Takes a resting order out of the book for good.
    pub(crate) fn withdraw_order(&mut self, index: u32, reason: CancelReason) {
        self.withdraw_order_against(index, reason, OrderId(0));
    }

    /// As `withdraw_order`; `counterparty` is the order of its own trader that it would have met.
    pub(crate) fn withdraw_order_against(&mut self, index: u32, reason: CancelReason, counterparty: OrderId) {
        let order = *self.orders.get(index);
        let level = self.books[usize::from(order.instrument)].unlink(&mut self.orders, index);
        self.count_resting(&order, -1);
        self.orders.remove(index, &mut self.ledger.slot_mut(order.slot).orders);
        self.refresh_orders(order.slot);
        let account = AccountId(self.ledger.account(order.account).id);
        let instrument = InstrumentId(order.instrument);
        let leaves = self.instruments[usize::from(order.instrument)].qty(order.leaves);
        let order_id = OrderId(order.id);
        self.emit(EventKind::OrderCancelled { order_id, account, instrument, leaves, reason, counterparty });
        self.emit_level(instrument, order.side, order.ticks(), level);
    }

    /// What an account's margin balance bears of a fee, in the coin of a purse.
    fn bearable_fee(&self, account: u32, purse: u32) -> i128 {
        let coin = self.ledger.purse(purse).coin;
        let balance = self.ledger.account(account).worth.balance.max(0);
        if self.ledger.coins()[usize::from(coin.0)].is_par {
            return balance;
        }
        mul_div_floor(balance, i128::from(SCALE), i128::from(self.ledger.coin_price(coin)))
    }
}

/// Fee of a value at a rate, rounded up.
pub(crate) fn fee_of(value: i128, rate: i64) -> i128 {
    share_ceil(value.abs(), rate.unsigned_abs(), SCALE.unsigned_abs())
}
