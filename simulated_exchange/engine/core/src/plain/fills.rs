//! Plain fills: a trade between two users' plain orders in a contract that settles in a coin worth one USD, which both can
//! bear and after which neither owes anything. The rules are those of `matching`; both sides are looked at first, then booked
//! together.

use crate::account::{Booked, Settlement};
use crate::book::reaches;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{narrow_share_ceil, saturate};
use crate::margin::{closable, price_of, Exposure, OpenOrders, SideOrders};
use crate::matching::{fee_of, FeeRule, Taker};
use crate::order::Order;
use crate::plain::Desk;
use crate::types::{
    AccountId, FillKind, InstrumentId, Money, OrderId, PositionIndex, Price, Side, TradeId, WalletReason,
    SCALE,
};

/// Words that the events of a fill take at most.
const ROOM: usize = 48;

/// A resting order that is about to be filled: its slot's orders afterwards, what is left of it, and what that costs.
struct Given {
    orders: OpenOrders,
    left: i64,
    cost: i64,
}

impl Given {
    #[inline]
    fn new(order: &Order, lots: i64, desk: &Desk<'_>) -> Self {
        let (ticks, left, listed) = (order.ticks(), order.leaves - lots, desk.listed);
        let each = ticks * listed.lot_tick_value;
        let before = SideOrders { lots: order.leaves, size: order.leaves * each, cost: order.cost };
        let mut orders = desk.slot.open_orders;
        let side = orders.of_mut(order.side);
        *side = side.without(before);
        if left == 0 {
            return Self { orders, left, cost: 0 };
        }
        let size = left * each;
        let cost = listed.order_cost(size, order.side, i64::from(desk.slot.leverage));
        *side = side.with(SideOrders { lots: left, size, cost });
        Self { orders, left, cost }
    }
}

/// One side of a trade as it is told.
struct Leg<'a> {
    order_id: u64,
    side: Side,
    is_maker: bool,
    leaves: i64,
    by: &'a Settlement,
    booked: &'a Booked,
}

impl Exchange {
    /// Fills an incoming order against the one that is first in the queue; without a result nothing has changed.
    #[inline]
    pub(crate) fn fill_plain(&mut self, taker: &mut Taker, index: u32) -> Option<()> {
        let FeeRule::Rate(taker_fee) = taker.fee else { return None };
        let maker = *self.orders.get(index);
        self.ledger.approach_filled(maker.slot);
        self.ledger.approach_filled(taker.slot);
        let taking = self.desk(self.ledger.slot(taker.slot), taker.instrument);
        let giving = self.desk(self.ledger.slot(maker.slot), taker.instrument);
        let listed = taking.listed;
        let is_usual = listed.is_plain
            && taker.kind == FillKind::Trade
            && !(taker.reduce_only || maker.reduce_only || maker.has_terms || self.takes_long_way)
            && taking.slot.account != giving.slot.account
            && taking.trades_plainly(self.first_user)
            && giving.trades_plainly(self.first_user);
        let (ticks, lots) = (maker.ticks(), taker.leaves.min(maker.leaves));
        // up to the price of its hold everything is paid for, see `bearable_by_taker`
        let is_paid = reaches(taker.side, taker.valued, ticks);
        let is_borne = is_paid && closable(taker.side, taking.slot.position.lots) == 0;
        if !is_usual
            || !(is_borne || taking.bears((taker.side, lots, ticks), !is_paid))
            || !giving.bears((maker.side, lots, ticks), false)
        {
            return None;
        }
        let value = listed.narrow_value(lots, ticks)?;
        let given = Given::new(&maker, lots, &giving);
        let toward = taker.side.sign();
        let taken = self.settlement(&taking, taking.slot.open_orders, (lots, value), (toward, taker_fee))?;
        let gave = self.settlement(&giving, given.orders, (lots, value), (-toward, listed.spec.maker_fee))?;
        self.trade_plain(taker, (index, &maker), value, (&taken, &gave, &given));
        Some(())
    }

    /// What a fill of unsigned lots worth a value makes of a slot with such orders; nothing if something would be owed.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is large and would be copied on its way back")]
    fn settlement(
        &self,
        desk: &Desk<'_>,
        orders: OpenOrders,
        (lots, value): (i64, i64),
        (toward, rate): (i64, i64),
    ) -> Option<Settlement> {
        let slot = desk.slot;
        let (position, settled) = slot.position.narrow_fill(toward * lots, i128::from(toward * value))?;
        let exposure = Exposure { position, orders, ..slot.exposure(desk.market.mark_ticks) };
        let margin = exposure.margin(desk.listed);
        let fee = narrow_share_ceil(value.unsigned_abs(), rate.unsigned_abs(), SCALE.unsigned_abs())?;
        let settlement = Settlement {
            lots,
            position,
            orders,
            closed_lots: settled.closed_lots,
            realised: i64::try_from(settled.realised).ok()?,
            cost_change: i64::try_from(settled.cost_change).ok()?,
            fee: i64::try_from(fee).ok()?,
            margin,
        };
        self.ledger.owes_nothing_after(slot, settlement.change(), &margin).then_some(settlement)
    }

    /// Does what was found to be possible.
    #[inline]
    fn trade_plain(
        &mut self,
        taker: &mut Taker,
        (index, maker): (u32, &Order),
        value: i64,
        (taken, gave, given): (&Settlement, &Settlement, &Given),
    ) {
        let (place, lots, ticks) = (taker.instrument, taken.lots, maker.ticks());
        self.last_trade += 1;
        self.markets[place].last_ticks = ticks;
        self.note_traded(place);
        taker.leaves -= lots;
        taker.filled_value += i128::from(value);
        taker.fee_paid += i128::from(taken.fee);
        taker.collected += i128::from(taken.fee) + i128::from(gave.fee);
        let level = if given.left == 0 {
            self.books[place].unlink(&mut self.orders, index)
        } else {
            self.orders.get_mut(index).cost = given.cost;
            self.books[place].reduce(&mut self.orders, index, lots)
        };
        let mine = self.ledger.settle_at_par(taker.slot, taken);
        let theirs = self.ledger.settle_at_par(maker.slot, gave);
        self.ledger.count_trade(self.instruments[place].settle, [taken, gave]);
        if given.left == 0 {
            self.orders.remove(index, &mut self.ledger.slot_mut(maker.slot).orders);
        } else {
            self.orders.note_fill(index, i128::from(value), i128::from(gave.fee), self.wall_us);
        }
        for (booked, slot) in [(&mine, taker.slot), (&theirs, maker.slot)] {
            // the slots are those of cross positions: nothing but the whole account can be due
            if booked.is_breached {
                self.touch(self.ledger.slot(slot).account);
            }
        }
        let legs = [
            Leg {
                order_id: taker.order_id,
                side: taker.side,
                is_maker: false,
                leaves: taker.leaves,
                by: taken,
                booked: &mine,
            },
            Leg {
                order_id: maker.id,
                side: maker.side,
                is_maker: true,
                leaves: given.left,
                by: gave,
                booked: &theirs,
            },
        ];
        self.tell_trade((place, ticks), &legs, level);
    }

    /// Tells a trade: both sides, and the level left behind.
    #[inline]
    fn tell_trade(&mut self, (place, ticks): (usize, i64), legs: &[Leg<'_>; 2], level: i64) {
        let listed = &self.instruments[place];
        let instrument = InstrumentId(u16::try_from(place).unwrap_or(u16::MAX));
        let (price, coin, position_index) = (listed.price(ticks), listed.settle, PositionIndex::OneWay);
        let (trade_id, qty) = (TradeId(self.last_trade), listed.qty(legs[0].by.lots));
        let (taker_side, side) = (legs[0].side, legs[1].side);
        if let Some(mut sheet) = self.out.sheet::<ROOM>() {
            sheet.tell(&EventKind::Trade { trade_id, instrument, price, qty, taker_side });
            for &Leg { order_id, side, is_maker, leaves, by, booked } in legs {
                let account = AccountId(booked.id);
                let position_qty = listed.qty(by.position.lots);
                let entry_price = price_of(by.position.cost.abs(), by.position.lots, listed);
                sheet.tell(&EventKind::Fill {
                    trade_id,
                    order_id: OrderId(order_id),
                    account,
                    instrument,
                    position_index,
                    side,
                    price,
                    qty,
                    fee: Money(by.fee),
                    is_maker,
                    leaves: listed.qty(leaves),
                    closed_qty: listed.qty(by.closed_lots),
                    realised_pnl: Money(by.realised),
                    position_qty,
                    kind: FillKind::Trade,
                });
                sheet.tell(&EventKind::PositionChanged {
                    account,
                    instrument,
                    position_index,
                    qty: position_qty,
                    entry_price: Price(saturate(entry_price)),
                    realised_pnl: Money(saturate(booked.realised)),
                });
                let (balance, change) = (Money(saturate(booked.wallet)), Money(by.change()));
                let reason = WalletReason::Trade;
                if change.0 != 0 {
                    sheet.tell(&EventKind::WalletChanged { account, coin, balance, change, reason });
                }
            }
            sheet.tell(&EventKind::BookChanged { instrument, side, price, qty: listed.qty(level) });
            sheet.end();
        }
    }
}

impl Desk<'_> {
    /// True for a slot of a user's only, cross-margined position that neither reduce-only orders nor exits depend on.
    #[inline]
    fn trades_plainly(&self, first_user: u32) -> bool {
        let slot = self.slot;
        !(slot.is_isolated | slot.has_reduce_only | slot.has_exits)
            && slot.index == PositionIndex::OneWay
            && slot.account >= first_user
    }

    /// True when the account can bear all of a fill, with `costs` its margin and fees as well: see `bearable`.
    #[inline]
    fn bears(&self, (side, lots, ticks): (Side, i64, i64), costs: bool) -> bool {
        let &Self { slot, worth, listed, market } = self;
        let through = side.sign() * (ticks - market.mark_ticks);
        let available = worth.available();
        if through <= 0 && available >= 0 && !costs {
            return true;
        }
        let held = slot.position.lots;
        let loss = i128::from(through.max(0) * listed.lot_tick_value);
        let closing = lots.min(closable(side, held));
        if closing > 0 {
            let fee = fee_of(i128::from(ticks * listed.lot_tick_value), listed.spec.taker_fee);
            if (loss + fee) * i128::from(held.abs()) > worth.balance {
                return false;
            }
        }
        let left = available - loss * i128::from(closing);
        let each = if costs {
            let size = ticks.max(market.mark_ticks) * listed.lot_tick_value;
            loss + i128::from(listed.order_cost(size, side, i64::from(slot.leverage)))
        } else {
            loss
        };
        closing == lots || (left >= 0 && each * i128::from(lots - closing) <= left)
    }
}
