//! Stage 8, continued: what the venue has taken over is worked off in the real book within the price band, and no worse
//! than it was taken over at or, where that is worse, than the better of mark and index. The insurance pool gains what fills better than
//! bankruptcy and pays what fills worse, up to what it may lose in the contract (`insurance`); beyond that, positions are
//! closed by auto-deleveraging against the highest ranked opposite ones, at the price they were taken over at (rules 8).
//!
//! Longs and shorts that the venue holds in one contract close against each other at the mark first, when the pool can
//! bear it. Of a position only the part whose loss at the mark lies beyond what the pool may lose is deleveraged; a part
//! without loss waits for the book. Nobody is deleveraged into debt; what no counterparty can bear stays with the venue
//! and is tried again every tick.

use crate::entry::{band_edge, within_band};
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{div_ceil, div_floor, mul_div_ceil, mul_div_floor, saturate};
use crate::margin::price_of;
use crate::matching::{fee_of, FeeRule, Leg, Taker};
use crate::reduction::{forced, ticks_of_size};
use crate::types::{AccountId, CancelReason, FillKind, InstrumentId, Price, Side, SCALE};

/// Accounts deleveraged per command and instrument.
pub const ADL_COUNTERPARTIES_MAX: usize = 128;

impl Exchange {
    /// Works off the venue's positions in an instrument as far as book, band and pool allow.
    pub(crate) fn work_takeover(&mut self, instrument: usize) {
        let is_open = |slot: &u32| self.ledger.slot(*slot).position.lots != 0;
        let mut slots: Vec<u32> = self.takeover_slots(instrument).filter(is_open).collect();
        if slots.is_empty() && !self.insurance.contracts[instrument].is_deleveraging {
            return;
        }
        if let [long, short] = slots[..] {
            self.net_takeover(long, short);
        }
        // the better one first: what it gains is there for the other
        slots.sort_by_key(|slot| std::cmp::Reverse(self.ledger.slot(*slot).margin.unrealised));
        for slot in slots {
            self.work_off(slot, instrument);
        }
        self.watch_drawdown(instrument);
        self.deleverage_excess(instrument);
    }

    /// Closes the venue's long and short against each other at the mark, if the pool can bear what that realises.
    fn net_takeover(&mut self, long: u32, short: u32) {
        let [long_held, short_held] = [long, short].map(|slot| self.ledger.slot(slot).position);
        let lots = long_held.lots.min(-short_held.lots);
        let loss = long_held.cost_share(lots) + short_held.cost_share(lots);
        let instrument = usize::from(self.ledger.slot(long).instrument);
        if loss <= self.headroom(instrument) {
            self.net_legs(long, short);
        }
    }

    fn work_off(&mut self, slot: u32, instrument: usize) {
        let lots = self.ledger.slot(slot).position.lots;
        if lots == 0 {
            return;
        }
        let side = Side::of_position(lots).opposite();
        let market = &self.markets[instrument];
        let edge = band_edge(side, market.max_buy_ticks, market.min_sell_ticks);
        let limit = within_band(side, self.fair_limit(slot), edge);
        let mut taker = forced(slot, instrument, side, (lots.abs(), limit), FeeRule::None);
        self.match_taker(&mut taker);
    }

    /// The worst price in ticks at which the venue closes: what the position cost, or, where mark and index are both worse
    /// already, the better of them and, unless the venue says otherwise, as much beyond as the other side pays in fees for
    /// getting in and out. At the edge of the band two accounts of one owner could have a pool pay them more than the
    /// market cost them; at a mark that they moved alone, away from the index, as well.
    fn fair_limit(&self, slot: u32) -> i64 {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let (listed, market) = (&self.instruments[index], &self.markets[index]);
        let (index_price, tick) = (i128::from(market.index), i128::from(listed.spec.tick_size.0));
        let mark = i128::from(market.mark_ticks);
        let (lots, cost) = (held.position.lots, held.position.cost);
        let toward = i128::from(lots.signum() * listed.direction);
        let at_cost = ticks_of_size(listed, lots, (cost * toward).max(1));
        let fees = listed.spec.taker_fee.saturating_add(listed.spec.maker_fee);
        let beyond = i128::from(self.liquidation.takeover_beyond.unwrap_or(fees).min(SCALE - 1));
        let scale = i128::from(SCALE);
        if lots > 0 {
            let better = mark.max(div_ceil(index_price, tick));
            at_cost.min(saturate(mul_div_ceil(better, scale - beyond, scale))).max(1)
        } else {
            let better = mark.min(div_floor(index_price, tick));
            at_cost.max(saturate(mul_div_floor(better, scale + beyond, scale))).clamp(1, listed.max_ticks)
        }
    }

    /// Lots the pool can afford to trade at a price: each may lose no more than its share of what the pool may lose.
    pub(crate) fn affordable_lots(&self, taker: &Taker, ticks: i64) -> i64 {
        let position = self.ledger.slot(taker.slot).position;
        let held = i128::from(position.lots.abs());
        let listed = &self.instruments[taker.instrument];
        // what all lots together would lose, per lot, rounded up: at least what one lot loses
        let loss = div_ceil(position.cost - listed.value(position.lots, ticks), held);
        if loss <= 0 {
            return taker.leaves;
        }
        // one unit is kept back for the rounding of a partial close's cost
        let bears = self.headroom(taker.instrument) - 1;
        saturate((bears / loss).clamp(0, i128::from(taker.leaves)))
    }

    /// Deleverages the part of the venue's positions whose loss at the mark the pool may not bear, the worse one first.
    fn deleverage_excess(&mut self, instrument: usize) {
        let mut slots: Vec<u32> = self.takeover_slots(instrument).collect();
        slots.sort_by_key(|slot| self.ledger.slot(*slot).margin.unrealised);
        let rule = self.adl_rule(instrument);
        for slot in slots {
            let excess = self.drawdown(instrument).excess(&rule);
            let held = self.ledger.slot(slot);
            let loss = -i128::from(held.margin.unrealised);
            if excess > 0 && loss > 0 {
                let left = held.position.lots.abs();
                let lots = saturate(div_ceil(excess.saturating_mul(i128::from(left)), loss)).min(left);
                self.deleverage(slot, instrument, lots);
            }
        }
    }

    /// Closes lots of the venue's position against the highest ranked opposite ones, each as far as its account bears
    /// it: what the venue loses at the mark, a counterparty would lose.
    fn deleverage(&mut self, slot: u32, instrument: usize, lots: i64) {
        let opposite = Side::of_position(self.ledger.slot(slot).position.lots).opposite();
        let queue = self.adl_queue(instrument, opposite);
        let (mut left, mut closed) = (lots, 0);
        for (place, counterparty) in (1_i64..).zip(queue) {
            if left == 0 || closed == ADL_COUNTERPARTIES_MAX {
                break;
            }
            let bearable = saturate(self.bears_deleveraging(counterparty) / self.deleveraging_cost(slot));
            let lots = left.min(bearable).min(self.ledger.slot(counterparty).position.lots.abs());
            if lots > 0 {
                let owner = self.ledger.slot(counterparty).account;
                self.cancel_orders(owner, instrument, CancelReason::Adl);
                self.deleverage_one(slot, counterparty, (lots, place));
                left -= lots;
                closed += 1;
            }
        }
    }

    /// What one lot of the venue's position costs a counterparty at most: what the venue loses on it at the mark, and the
    /// maker fee.
    fn deleveraging_cost(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        let lots = i128::from(held.position.lots.abs());
        let loss = div_ceil(-i128::from(held.margin.unrealised), lots).max(0);
        let maker_fee = self.instruments[usize::from(held.instrument)].spec.maker_fee;
        (loss + fee_of(div_ceil(held.position.cost.abs(), lots), maker_fee)).max(1)
    }

    /// What an account can lose in a position without owing anything: no more than is free in the coin, and than it has at
    /// all; of an isolated position no more than backs it.
    fn bears_deleveraging(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        if held.is_isolated {
            return self.isolated_equity(slot).max(0);
        }
        let coin = self.instruments[usize::from(held.instrument)].settle;
        let (purse, balance) =
            (self.ledger.purse(held.purse), self.ledger.account(held.account).worth.balance);
        (purse.equity() - purse.extras().locked).min(self.in_coin(coin, balance)).max(0)
    }

    /// Signed value at which lots of a position of the venue are deleveraged: what they cost, so that the venue realises
    /// nothing; or, by the pool's rule, the value at the mark when that is far away and the pool can pay for it.
    fn adl_value(&self, slot: u32, lots: i64) -> i128 {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let listed = &self.instruments[index];
        let at_cost = held.position.cost_share(lots);
        let beyond = self.adl_rule(index).mark_beyond;
        let at_mark = listed.value(lots * held.position.lots.signum(), self.markets[index].mark_ticks);
        let loss = at_cost - at_mark;
        let is_near = loss.abs().saturating_mul(i128::from(SCALE)) <= at_mark.abs() * i128::from(beyond);
        if beyond == 0 || is_near {
            return at_cost;
        }
        at_cost - loss.min(self.pool_balance(index))
    }

    fn deleverage_one(&mut self, slot: u32, counterparty: u32, (lots, place): (i64, i64)) {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let side = Side::of_position(held.position.lots);
        let value = self.adl_value(slot, lots);
        let listed = &self.instruments[index];
        let toward = i128::from(side.sign() * listed.direction);
        let price = Price(saturate(price_of(value * toward, lots, listed)));
        let (maker_fee, qty) = (listed.spec.maker_fee, listed.qty(lots * -side.sign()));
        let owner = self.ledger.slot(counterparty).account;
        let account = AccountId(self.ledger.account(owner).id);
        let instrument = InstrumentId(held.instrument);
        let position_index = self.ledger.slot(counterparty).index;
        self.emit(EventKind::Deleveraged { account, instrument, position_index, qty, price, place });
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            slot,
            side: side.opposite(),
            lots,
            value: -value,
            price,
            fee: FeeRule::None,
            is_maker: false,
            leaves: 0,
            kind: FillKind::Adl,
        };
        self.settle(&leg);
        let fee = FeeRule::AsFarAsItCan(maker_fee);
        self.settle(&Leg { slot: counterparty, side, value, fee, is_maker: true, ..leg });
        self.trim_reduce_only(counterparty);
    }

    /// Closes a long and a short of one account in one instrument against each other at the mark, free of charge; the
    /// one with the profit is booked first.
    pub(crate) fn net_legs(&mut self, long: u32, short: u32) {
        let held = [long, short].map(|slot| self.ledger.slot(slot).position.lots.abs());
        let lots = held[0].min(held[1]);
        if lots == 0 {
            return;
        }
        let index = usize::from(self.ledger.slot(long).instrument);
        let (listed, mark_ticks) = (&self.instruments[index], self.markets[index].mark_ticks);
        let value = listed.value(lots, mark_ticks);
        let price = listed.price(mark_ticks);
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            slot: long,
            side: Side::Sell,
            lots,
            value: -value,
            price,
            fee: FeeRule::None,
            is_maker: false,
            leaves: 0,
            kind: FillKind::Netting,
        };
        let mut legs = [leg, Leg { slot: short, side: Side::Buy, value, is_maker: true, ..leg }];
        legs.sort_by_key(|leg| std::cmp::Reverse(self.ledger.slot(leg.slot).margin.unrealised));
        for leg in &legs {
            self.settle(leg);
            self.trim_reduce_only(leg.slot);
        }
    }

    /// An amount of USD in a coin, rounded down; 0 while the coin has no price.
    pub(crate) fn in_coin(&self, coin: crate::types::CoinId, usd: i128) -> i128 {
        match self.ledger.coin_price(coin) {
            0 => 0,
            price => crate::fixed::div_floor(usd.saturating_mul(i128::from(SCALE)), i128::from(price)),
        }
    }
}
