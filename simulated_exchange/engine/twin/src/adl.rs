//! What the venue took over, worked off in the book; and auto-deleveraging: rules 8.
//!
//! The venue keeps longs and shorts apart. Those of one contract it closes against each other at the mark first, unless
//! what that realises is more than the pool may lose. The rest goes to the book, what gains at the mark first; the pool
//! gains what fills better than the price of the take-over and pays what fills worse, as far as it may lose (`insurance`).
//! What is left is deleveraged so far that its loss at the mark is one the pool may bear: the worse of the two first, as
//! many lots of it as it takes, against the highest ranked opposite positions and at the venue's own cost. A counterparty
//! bears of the venue's loss at the mark no more than his equity in the coin, and than his margin balance; the fee
//! of the fill counts.
//!
//! `rank = return x leverage` for winners, `return / leverage` for losers: return is profit at the mark over cost, leverage
//! all the account's positions in USD over its margin balance; both, and the result, in `10^-8` rounded towards zero, and
//! no larger than 128 bits hold. Without a margin balance one is last. An isolated position's
//! leverage is its own size over what backs it, in the coin. Equals go by the place of their accounts.

use exchange_core::limits::ADL_COUNTERPARTIES_MAX;
use exchange_core::{AccountId, CancelReason, EventKind, FillKind, Side};

use crate::contract::{side_of, sign, Contract, ONE};
use crate::matching::{FeeRule, Incoming, Leg};
use crate::orders::{instrument_id, within_band};
use crate::rounding::{ceil, floor, toward_zero};
use crate::state::{Key, State};

impl State {
    /// Works off the venue's positions in an instrument.
    pub fn work_takeover(&mut self, instrument: usize) {
        let keys = Self::takeover_keys(instrument);
        let mut held: Vec<Key> = keys.into_iter().filter(|key| self.slot(*key).qty != 0).collect();
        if held.is_empty() && !self.records[instrument].is_on {
            return;
        }
        if held.len() == 2 {
            let [long, short] = keys.map(|key| self.slot(key));
            let qty = long.qty.min(-short.qty);
            let cost = toward_zero(long.cost * qty, long.qty) + toward_zero(short.cost * qty, -short.qty);
            if cost <= self.headroom(instrument) {
                self.close_legs(keys);
            }
        }
        held.sort_by_key(|key| -self.margin(*key).unrealised);
        for key in held {
            let qty = self.slot(key).qty;
            if qty != 0 {
                let side = side_of(qty).opposite();
                let limit = within_band(side, self.fair_limit(key), self.band_edge(instrument, side));
                let mut order = self.forced(key, qty.abs(), limit, FeeRule::None);
                self.match_incoming(&mut order);
            }
        }
        self.watch_drawdown(instrument);
        let mut worse_first = keys;
        worse_first.sort_by_key(|key| self.margin(*key).unrealised);
        for key in worse_first {
            let (excess, loss) = (self.excess_loss(instrument), -self.margin(key).unrealised);
            if excess > 0 && loss > 0 {
                let step = self.contract(instrument).step();
                let lots = self.slot(key).qty.abs() / step;
                self.deleverage(key, ceil(excess * lots, loss).min(lots) * step);
            }
        }
    }

    /// The worst price at which the venue closes: what the position cost, to the tick against it, or the better of mark and
    /// index and so much beyond, whichever is worse.
    fn fair_limit(&self, key: Key) -> i128 {
        let (contract, slot) = (self.contract(key.instrument), self.slot(key));
        let (mark, tick) = (self.markets[key.instrument].mark, contract.tick());
        let fees = contract.spec.taker_fee + contract.spec.maker_fee;
        let beyond = i128::from(self.beyond.unwrap_or(fees)).min(ONE - 1);
        let size = (slot.cost * sign(side_of(slot.qty)) * contract.direction()).max(1);
        let rounded = |n: i128, d: i128| if slot.qty > 0 { ceil(n, d) } else { floor(n, d) };
        let at_cost = if contract.spec.inverse {
            rounded(slot.qty.abs() * ONE, size * tick)
        } else {
            rounded(size, contract.size(slot.qty, tick))
        };
        let index = rounded(self.markets[key.instrument].index, tick);
        let better = if slot.qty > 0 { index.max(mark / tick) } else { index.min(mark / tick) };
        let at_market = rounded(better * (ONE - beyond * slot.qty.signum()), ONE);
        let worse = if slot.qty > 0 { at_cost.min(at_market) } else { at_cost.max(at_market) };
        worse.clamp(1, contract.highest() / tick) * tick
    }

    /// Closes a long and a short of one account against each other at the mark, free of charge; what gains first.
    pub fn close_legs(&mut self, keys: [Key; 2]) {
        let qty = self.slot(keys[0]).qty.abs().min(self.slot(keys[1]).qty.abs());
        if qty == 0 {
            return;
        }
        let (contract, mark) = (self.contract(keys[0].instrument), self.markets[keys[0].instrument].mark);
        let value = contract.value(qty, mark);
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            key: keys[0],
            side: Side::Sell,
            qty,
            value: -value,
            price: mark,
            fee: FeeRule::None,
            is_maker: false,
            leaves: 0,
            kind: FillKind::Netting,
        };
        let mut legs = [leg, Leg { key: keys[1], side: Side::Buy, value, is_maker: true, ..leg }];
        legs.sort_by_key(|leg| -self.margin(leg.key).unrealised);
        for leg in &legs {
            self.settle(leg);
            self.trim_reduce_only(leg.key);
        }
    }

    /// What the pool can afford to trade at a price. Every step of quantity loses its share of what the whole position
    /// would lose, rounded up; one unit of the pool is kept back for the rounding of a partial close.
    pub fn affordable(&self, order: &Incoming, price: i128) -> i128 {
        let contract = self.contract(order.key.instrument);
        let slot = self.slot(order.key);
        let step = contract.step();
        let loss = ceil((slot.cost - contract.value(slot.qty, price)) * step, slot.qty.abs());
        if loss <= 0 {
            return order.leaves;
        }
        (floor(self.headroom(order.key.instrument) - 1, loss) * step).clamp(0, order.leaves)
    }

    /// Closes so much of a position of the venue against its counterparties.
    fn deleverage(&mut self, venue: Key, wanted: i128) {
        let (mut left, mut asked) = (wanted, 0);
        for (place, counterparty) in (1_i64..).zip(self.deleveraging_queue(venue)) {
            if left == 0 || asked == ADL_COUNTERPARTIES_MAX {
                break;
            }
            let contract = self.contract(venue.instrument);
            let step = contract.step();
            let held = self.slot(venue);
            let loss = ceil(-self.margin(venue).unrealised * step, held.qty.abs().max(step));
            let value = ceil(held.cost.abs() * step, held.qty.abs().max(step));
            let each = (loss.max(0) + Contract::fee(value, contract.spec.maker_fee)).max(1);
            let bears = self.bears_deleveraging(counterparty);
            let qty = left.min(self.slot(counterparty).qty.abs()).min(floor(bears, each) * step);
            if qty > 0 {
                self.cancel_orders(counterparty.account, Some(venue.instrument), CancelReason::Adl);
                self.deleverage_one(venue, counterparty, qty, place);
                left -= qty;
                asked += 1;
            }
        }
    }

    /// Users' positions opposite to the venue's, first in line first.
    fn deleveraging_queue(&self, venue: Key) -> Vec<Key> {
        let held = self.slot(venue).qty;
        let users = self.users();
        let mut queue: Vec<(i128, Key)> = Vec::new();
        for (key, slot) in &self.slots {
            let is_opposite = slot.qty.signum() * held.signum() < 0;
            if key.instrument == venue.instrument && users.contains(&key.account) && is_opposite {
                queue.push((self.rank(*key).saturating_neg(), *key));
            }
        }
        queue.sort_unstable();
        queue.into_iter().map(|(_, key)| key).collect()
    }

    /// What a counterparty can lose without owing anything: no more than it has in the coin, and than it has at all; of an
    /// isolated position no more than backs it.
    fn bears_deleveraging(&self, key: Key) -> i128 {
        let coin = self.contracts[key.instrument].settle;
        if self.is_isolated(key.account) {
            return self.backing(key).max(0);
        }
        self.equity(key.account, coin).min(self.balance_in(key.account, coin)).max(0)
    }

    fn rank(&self, key: Key) -> i128 {
        let is_isolated = self.is_isolated(key.account);
        let equity = if is_isolated { self.backing(key) } else { self.figures(key.account).balance };
        if equity <= 0 {
            return i128::MIN;
        }
        let size_in_usd = |key: Key| {
            let contract = &self.contracts[key.instrument];
            let size = contract.size(self.slot(key).qty, self.markets[key.instrument].mark);
            self.in_usd(contract.settle, size)
        };
        let all: i128 = self.slots_of(key.account).into_iter().map(size_in_usd).sum();
        let (slot, margin) = (self.slot(key), self.margin(key));
        let value = if is_isolated { (slot.cost + margin.unrealised).abs() } else { all };
        let leverage = toward_zero(value.saturating_mul(ONE), equity).max(1);
        let profit = self.margin(key).unrealised;
        let gain = toward_zero(profit.saturating_mul(ONE), self.slot(key).cost.abs().max(1));
        if gain > 0 {
            toward_zero(gain.saturating_mul(leverage), ONE)
        } else {
            toward_zero(gain.saturating_mul(ONE), leverage)
        }
    }

    /// What so much of the venue's position cost it. By the pool's rule, when that is too far from the mark: what it is
    /// worth there, but no more worse for the venue than the pool can pay.
    fn deleveraging_value(&self, venue: Key, qty: i128) -> i128 {
        let (contract, held) = (self.contract(venue.instrument), self.slot(venue));
        let beyond = i128::from(self.rule(venue.instrument).mark_beyond);
        let at_cost = toward_zero(held.cost * qty, held.qty.abs());
        let at_mark = contract.value(qty * held.qty.signum(), self.markets[venue.instrument].mark);
        let loss = at_cost - at_mark;
        if beyond == 0 || loss.abs() * ONE <= at_mark.abs() * beyond {
            return at_cost;
        }
        at_cost - loss.min(self.pool_balance(venue.instrument))
    }

    /// Closes some of the venue's position, usually at its own cost, which realises nothing for the venue.
    fn deleverage_one(&mut self, venue: Key, counterparty: Key, qty: i128, place: i64) {
        let contract = self.contract(venue.instrument);
        let held = self.slot(venue);
        let side = side_of(held.qty);
        let value = self.deleveraging_value(venue, qty);
        let price = contract.price_of(value * sign(side) * contract.direction(), qty);
        self.emit(EventKind::Deleveraged {
            account: AccountId(self.accounts[counterparty.account].id),
            instrument: instrument_id(venue.instrument),
            position_index: counterparty.index,
            qty: Contract::shown_qty(-qty * sign(side)),
            price: Contract::shown_price(price),
            place,
        });
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            key: venue,
            side: side.opposite(),
            qty,
            value: -value,
            price,
            fee: FeeRule::None,
            is_maker: false,
            leaves: 0,
            kind: FillKind::Adl,
        };
        self.settle(&leg);
        let fee = FeeRule::AsFarAsItCan(contract.spec.maker_fee);
        self.settle(&Leg { key: counterparty, side, value, fee, is_maker: true, ..leg });
        self.trim_reduce_only(counterparty);
    }
}
