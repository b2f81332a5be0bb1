//! Which orders an instrument lets in, and what becomes of a contract that ends. Rules 1.3 and 10, and the words of the core's
//! module: the delivery price is the mean of the index over the last half hour; everything is closed at it.
//!
//! - From the time of delivery on no order is let in. At the next look at the time orders are cancelled, account by account, then
//!   positions closed: each pays the delivery fee as far as its account bears it; the venue's own, and an isolated one that lost
//!   more than its margin, none. What was lost beyond that margin the pool pays, as far as it goes.
//! - An inverse contract's value rounds down for both sides; the pool gets what is left.
//! - An index of 50 ticks or less lets only in what reduces, until it has been above 100 ticks for half an hour.

use exchange_core::{CancelReason, EventKind, FillKind, InstrumentStatus, Reject, Side, WalletReason};

use crate::contract::{side_of, Contract, ONE};
use crate::matching::{FeeRule, Leg};
use crate::orders::instrument_id;
use crate::rounding::floor;
use crate::state::{Key, State, TAKEOVER};

const HALF_AN_HOUR_MS: i64 = 1_800_000;
const LOW_TICKS: i128 = 50;
const RECOVERED_TICKS: i128 = 100;

impl State {
    /// Refuses an order that the instrument does not let in now.
    pub fn check_status(&self, instrument: usize, reduce_only: bool) -> Result<(), Reject> {
        let is_over = self.contracts[instrument].delivery_ms().is_some_and(|at_ms| self.now >= at_ms);
        match self.markets[instrument].status {
            _ if is_over => Err(Reject::InstrumentClosed),
            InstrumentStatus::Closed => Err(Reject::InstrumentClosed),
            InstrumentStatus::ReduceOnly if !reduce_only => Err(Reject::InstrumentReduceOnly),
            InstrumentStatus::ReduceOnly | InstrumentStatus::Trading => Ok(()),
        }
    }

    /// Looks at the time, and at a low price.
    pub fn pass_delivery(&mut self, instrument: usize) {
        let contract = self.contract(instrument);
        let market = &self.markets[instrument];
        if market.mark == 0 || market.status == InstrumentStatus::Closed {
            return;
        }
        if contract.spec.guards_low_price {
            self.look_at_low_price(instrument, contract.tick());
        }
        if let Some(at_ms) = contract.delivery_ms().filter(|at_ms| self.now >= *at_ms) {
            self.deliver(instrument, at_ms);
        }
    }

    fn set_status(&mut self, instrument: usize, status: InstrumentStatus) {
        self.markets[instrument].status = status;
        self.emit(EventKind::StatusChanged { instrument: instrument_id(instrument), status });
    }

    fn look_at_low_price(&mut self, instrument: usize, tick: i128) {
        let now = self.now;
        let market = &mut self.markets[instrument];
        let is_reducing = market.status == InstrumentStatus::ReduceOnly;
        if market.index <= LOW_TICKS * tick {
            market.recovers_since = None;
            if !is_reducing {
                self.set_status(instrument, InstrumentStatus::ReduceOnly);
            }
        } else if is_reducing && market.index <= RECOVERED_TICKS * tick {
            market.recovers_since = None;
        } else if is_reducing {
            let since = market.recovers_since.unwrap_or(now);
            market.recovers_since = Some(since);
            if now - since >= HALF_AN_HOUR_MS {
                market.recovers_since = None;
                self.set_status(instrument, InstrumentStatus::Trading);
            }
        }
    }

    fn deliver(&mut self, instrument: usize, at_ms: i64) {
        let price = self.markets[instrument].mark;
        for account in 0..self.accounts.len() {
            self.cancel_orders(account, Some(instrument), CancelReason::Delivery);
        }
        let here = |key: &Key| key.instrument == instrument;
        let keys: Vec<Key> = self.slots.keys().copied().filter(here).collect();
        for key in keys {
            self.cancel_waiting(key, CancelReason::Delivery, |waiting| !waiting.kind.is_exit());
        }
        let shown = Contract::shown_price(price);
        self.emit(EventKind::Delivered { instrument: instrument_id(instrument), price: shown, at_ms });
        let is_open = |key: &Key| key.instrument == instrument && self.slot(*key).qty != 0;
        let open: Vec<Key> = self.slots.keys().copied().filter(is_open).collect();
        let mut left = 0;
        for key in open {
            left -= self.deliver_position(key, price);
        }
        let pool = usize::from(self.contracts[instrument].pool.0);
        self.feed_pool(pool, left);
        self.set_status(instrument, InstrumentStatus::Closed);
    }

    /// Closes one position; the signed value it is closed at.
    fn deliver_position(&mut self, key: Key, price: i128) -> i128 {
        let (contract, slot) = (self.contract(key.instrument), self.slot(key));
        let value = if contract.spec.inverse {
            floor(-slot.qty * ONE, price)
        } else {
            contract.value(slot.qty, price)
        };
        let lost = slot.cost - value;
        let beyond = if self.is_isolated(key.account) { (lost - slot.assigned).max(0) } else { 0 };
        let is_free = key.account == TAKEOVER || beyond > 0;
        self.last_trade += 1;
        self.settle(&Leg {
            trade_id: self.last_trade,
            order_id: 0,
            key,
            side: if side_of(slot.qty) == Side::Buy { Side::Sell } else { Side::Buy },
            qty: slot.qty.abs(),
            value: -value,
            price,
            fee: if is_free { FeeRule::None } else { FeeRule::AsFarAsItCan(contract.spec.delivery_fee) },
            is_maker: false,
            leaves: 0,
            kind: FillKind::Delivery,
        });
        let paid = beyond.min(self.pool_balance(key.instrument)).max(0);
        if paid > 0 {
            self.feed_pool(usize::from(contract.pool.0), -paid);
            self.slot_mut(key).realised += paid;
            self.credit(key.account, contract.settle, paid, WalletReason::Delivery);
        }
        value
    }
}
