//! What the venue took over, worked off in the book; and auto-deleveraging: rules 8.
//!
//! The pool gains what fills better than the price of the take-over and pays what fills worse. Deleveraging is due when the
//! next fill would cost more than the pool holds, or when the position's loss at the mark does. The venue's position is
//! closed against the highest ranked opposite ones at the venue's own cost; each counterparty gives up no more than its
//! equity in the coin bears of the venue's loss at the mark.
//!
//! `rank = return x leverage` for winners, `return / leverage` for losers: return is profit at the mark over cost, leverage
//! all the account's positions in USD over its margin balance; both, and the result, in `10^-8` rounded towards zero, and
//! no larger than 128 bits hold. Without a margin balance one is last. Equals go by the place of their accounts.

use exchange_core::limits::ADL_COUNTERPARTIES_MAX;
use exchange_core::{AccountId, CancelReason, EventKind, FillKind, Money, PositionIndex};

use crate::contract::{side_of, sign, Contract, ONE};
use crate::matching::{FeeRule, Incoming, Leg};
use crate::orders::instrument_id;
use crate::rounding::{ceil, floor, shown, toward_zero};
use crate::state::{Key, State, FIRST_POOL, TAKEOVER};

impl State {
    fn pool_balance(&self, instrument: usize) -> i128 {
        let contract = &self.contracts[instrument];
        self.purse(FIRST_POOL + usize::from(contract.pool.0), contract.settle).wallet
    }

    /// Works off the venue's position in an instrument.
    pub fn work_takeover(&mut self, instrument: usize) {
        let venue = Key { account: TAKEOVER, instrument, index: PositionIndex::OneWay };
        let held = self.slot(venue).qty;
        if held == 0 {
            return;
        }
        let edge = self.band_edge(instrument, side_of(held).opposite());
        let mut order = self.forced(venue, held.abs(), edge, FeeRule::None);
        self.match_incoming(&mut order);
        if order.blocked || self.pool_balance(instrument) + self.margin(venue).unrealised < 0 {
            self.deleverage(instrument, None);
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
        (floor(self.pool_balance(order.key.instrument) - 1, loss) * step).clamp(0, order.leaves)
    }

    /// Hands what the take-over account has realised to the pool of the instrument, or covers it from there as far as
    /// the pool goes.
    pub fn sweep_takeover(&mut self, instrument: usize) {
        let contract = self.contract(instrument);
        let (coin, pool) = (contract.settle, FIRST_POOL + usize::from(contract.pool.0));
        let gained = self.purse(TAKEOVER, coin).wallet;
        let change = gained.max(-self.purse(pool, coin).wallet);
        if change == 0 {
            return;
        }
        self.purse_mut(TAKEOVER, coin).wallet -= change;
        self.purse_mut(pool, coin).wallet += change;
        let (balance, change) = (Money(shown(self.purse(pool, coin).wallet)), Money(shown(change)));
        self.emit(EventKind::InsuranceFundChanged { pool: contract.pool, balance, change });
    }

    /// Closes the venue's position against its counterparties. Nobody is asked who is being taken over himself.
    pub fn deleverage(&mut self, instrument: usize, spared: Option<usize>) {
        let venue = Key { account: TAKEOVER, instrument, index: PositionIndex::OneWay };
        let mut asked = 0;
        for counterparty in self.deleveraging_queue(venue) {
            let held = self.slot(venue);
            if held.qty == 0 || asked == ADL_COUNTERPARTIES_MAX {
                break;
            }
            let contract = self.contract(instrument);
            let step = contract.step();
            let loss = ceil(-self.margin(venue).unrealised * step, held.qty.abs());
            let equity = self.equity(counterparty.account, contract.settle);
            let mut qty = held.qty.abs().min(self.slot(counterparty).qty.abs());
            if loss > 0 {
                qty = qty.min(floor(equity, loss).max(0) * step);
            }
            if qty > 0 && Some(counterparty.account) != spared {
                self.cancel_orders(counterparty.account, Some(instrument), CancelReason::Adl);
                self.deleverage_one(venue, counterparty, qty);
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

    fn rank(&self, key: Key) -> i128 {
        let equity = self.figures(key.account).balance;
        if equity <= 0 {
            return i128::MIN;
        }
        let size_in_usd = |key: Key| {
            let contract = &self.contracts[key.instrument];
            let size = contract.size(self.slot(key).qty, self.markets[key.instrument].mark);
            self.in_usd(contract.settle, size)
        };
        let value: i128 = self.slots_of(key.account).into_iter().map(size_in_usd).sum();
        let leverage = toward_zero(value.saturating_mul(ONE), equity).max(1);
        let profit = self.margin(key).unrealised;
        let gain = toward_zero(profit.saturating_mul(ONE), self.slot(key).cost.abs().max(1));
        if gain > 0 {
            toward_zero(gain.saturating_mul(leverage), ONE)
        } else {
            toward_zero(gain.saturating_mul(ONE), leverage)
        }
    }

    /// Closes some of the venue's position at its own cost, which realises nothing for the venue.
    fn deleverage_one(&mut self, venue: Key, counterparty: Key, qty: i128) {
        let contract = self.contract(venue.instrument);
        let held = self.slot(venue);
        let side = side_of(held.qty);
        let value = toward_zero(held.cost * qty, held.qty.abs());
        let price = contract.price_of(value * sign(side) * contract.direction(), qty);
        self.emit(EventKind::Deleveraged {
            account: AccountId(self.accounts[counterparty.account].id),
            instrument: instrument_id(venue.instrument),
            position_index: counterparty.index,
            qty: Contract::shown_qty(-qty * sign(side)),
            price: Contract::shown_price(price),
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
