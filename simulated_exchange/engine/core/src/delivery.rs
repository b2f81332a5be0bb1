//! Stage 6, delivery of expiry contracts, and whether an instrument is open for orders.
//!
//! The published rules name the delivery price only as settled "against the index". Ours is the mean of the index over the
//! last half hour, a sample each market second, rounded half up to the tick. On the way there the mark is what that mean
//! would become if the index stayed: it ends at the delivery price, so that nobody is surprised, and who cannot bear it is
//! liquidated before.
//!
//! At delivery every order is cancelled and every position closed at the price, the delivery fee charged as far as the
//! account bears it. Accounts by the order of their opening; an inverse contract's values are rounded down on both sides
//! and the insurance pool gets what is left over. What an isolated position lost beyond its margin the pool pays as far as
//! it reaches. Orders are refused from the time of delivery on.
//!
//! The low-price rule (rules 10): an index of 50 ticks or less leaves only orders that reduce, until it has been above 100
//! ticks for half an hour.

use serde::{Deserialize, Serialize};

use crate::event::EventKind;
use crate::exchange::{Exchange, TAKEOVER};
use crate::fixed::{div_floor, div_half_up, saturate};
use crate::instrument::{Instrument, Kind};
use crate::market::SAMPLE_MS;
use crate::matching::{FeeRule, Leg};
use crate::reject::Reject;
use crate::types::{CancelReason, FillKind, InstrumentId, InstrumentStatus, Side, WalletReason};

/// Window of the delivery price, and time a price must recover for before all orders are let in again.
pub const DELIVERY_WINDOW_MS: i64 = 1_800_000;
/// Index, in ticks, at which only reducing orders are let in.
const LOW_TICKS: i64 = 50;
/// Index, in ticks, above which a price counts as recovered.
const RECOVERED_TICKS: i64 = 100;

/// Samples of the index that make the delivery price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverySamples {
    /// Their sum, in `10^-8`.
    pub sum: i128,
    /// How many.
    pub count: i64,
}

impl DeliverySamples {
    /// Takes the samples of the seconds up to `market_ms` that are still missing; a gap is filled with the present index.
    pub fn take(&mut self, index: i64, market_ms: i64, delivery_ms: i64) {
        let begins = delivery_ms / SAMPLE_MS - DELIVERY_WINDOW_MS / SAMPLE_MS;
        let now = market_ms.min(delivery_ms) / SAMPLE_MS;
        let missing = (now - begins - self.count).max(0);
        self.sum += i128::from(index) * i128::from(missing);
        self.count += missing;
    }

    /// What the mean would be at delivery if the index stayed as it is, half up; the index itself before the window.
    pub fn expected(&self, index: i64) -> i64 {
        let window = i128::from(DELIVERY_WINDOW_MS / SAMPLE_MS);
        let left = window - i128::from(self.count);
        saturate(div_half_up(self.sum + i128::from(index) * left, window))
    }
}

impl Exchange {
    /// Delivers a contract that is due, and looks at a low price, when market time passes.
    #[inline]
    pub(crate) fn pass_delivery(&mut self, index: usize) {
        let (spec, market) = (&self.instruments[index].spec, &self.markets[index]);
        if (spec.guards_low_price || market.is_restricted) && market.is_ready() {
            self.pass_restricted(index);
        }
    }

    #[cold]
    fn pass_restricted(&mut self, index: usize) {
        if self.markets[index].status == InstrumentStatus::Closed {
            return;
        }
        self.look_at_low_price(index);
        if let Kind::Expiry { delivery_ms } = self.instruments[index].spec.kind {
            if self.market_ms >= delivery_ms {
                self.deliver(index, delivery_ms);
            }
        }
    }

    /// Refuses orders for an instrument that is not open for them.
    #[cold]
    pub(crate) fn check_status(&self, instrument: usize, reduce_only: bool) -> Result<(), Reject> {
        if let Kind::Expiry { delivery_ms } = self.instruments[instrument].spec.kind {
            if self.market_ms >= delivery_ms {
                return Err(Reject::InstrumentClosed);
            }
        }
        match self.markets[instrument].status {
            InstrumentStatus::Closed => Err(Reject::InstrumentClosed),
            InstrumentStatus::ReduceOnly if !reduce_only => Err(Reject::InstrumentReduceOnly),
            _ => Ok(()),
        }
    }

    fn set_status(&mut self, index: usize, status: InstrumentStatus) {
        self.markets[index].set_status(&self.instruments[index].spec, status);
        let instrument = InstrumentId(u16::try_from(index).unwrap_or(u16::MAX));
        self.emit(EventKind::StatusChanged { instrument, status });
    }

    fn look_at_low_price(&mut self, index: usize) {
        let spec = &self.instruments[index].spec;
        if !spec.guards_low_price {
            return;
        }
        let (tick, market_ms) = (spec.tick_size.0, self.market_ms);
        let market = &mut self.markets[index];
        if market.index <= LOW_TICKS.saturating_mul(tick) {
            market.recovers_since_ms = None;
            if market.status == InstrumentStatus::Trading {
                self.set_status(index, InstrumentStatus::ReduceOnly);
            }
        } else if market.status == InstrumentStatus::ReduceOnly {
            if market.index <= RECOVERED_TICKS.saturating_mul(tick) {
                market.recovers_since_ms = None;
            } else if market_ms - *market.recovers_since_ms.get_or_insert(market_ms) >= DELIVERY_WINDOW_MS {
                market.recovers_since_ms = None;
                self.set_status(index, InstrumentStatus::Trading);
            }
        }
    }

    /// Closes everything in an instrument at its delivery price.
    fn deliver(&mut self, index: usize, at_ms: i64) {
        let instrument = InstrumentId(u16::try_from(index).unwrap_or(u16::MAX));
        let ticks = self.markets[index].mark_ticks;
        let price = self.instruments[index].price(ticks);
        let mut slots = self.ledger.members(index).to_vec();
        slots.sort_unstable_by_key(|slot| (self.ledger.slot(*slot).account, self.ledger.slot(*slot).index));
        let mut owners: Vec<u32> = slots.iter().map(|slot| self.ledger.slot(*slot).account).collect();
        owners.dedup();
        for owner in owners {
            self.cancel_orders(owner, index, CancelReason::Delivery);
        }
        for slot in &slots {
            self.cancel_waiting(*slot, CancelReason::Delivery, |waiting| !waiting.kind.is_exit());
        }
        self.emit(EventKind::Delivered { instrument, price, at_ms });
        let mut left_over = 0;
        for slot in slots {
            left_over -= self.deliver_position(slot, ticks);
        }
        if left_over != 0 {
            self.feed_insurance(self.instruments[index].pool, left_over);
        }
        self.set_status(index, InstrumentStatus::Closed);
    }

    /// Closes one position at the delivery price; returns the signed value it was closed at.
    fn deliver_position(&mut self, slot: u32, ticks: i64) -> i128 {
        let held = self.ledger.slot(slot);
        let (lots, owner, index) = (held.position.lots, held.account, usize::from(held.instrument));
        if lots == 0 {
            return 0;
        }
        let listed = &self.instruments[index];
        let value = delivery_value(listed, lots, ticks);
        let lost = held.position.cost - value;
        let beyond =
            if held.is_isolated { (lost - self.ledger.detail(slot).extras().assigned).max(0) } else { 0 };
        let fee = FeeRule::AsFarAsItCan(listed.spec.delivery_fee);
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            slot,
            side: Side::of_position(lots).opposite(),
            lots: lots.abs(),
            value: -value,
            price: listed.price(ticks),
            fee: if owner == TAKEOVER || beyond > 0 { FeeRule::None } else { fee },
            is_maker: false,
            leaves: 0,
            kind: FillKind::Delivery,
        };
        self.settle(&leg);
        if beyond > 0 {
            self.cover_from_pool(slot, beyond);
        }
        value
    }

    /// Pays what an isolated position lost beyond its margin out of the insurance pool, as far as it reaches.
    fn cover_from_pool(&mut self, slot: u32, beyond: i128) {
        let (index, purse) = (usize::from(self.ledger.slot(slot).instrument), self.ledger.slot(slot).purse);
        let paid = beyond.min(self.pool_balance(index)).max(0);
        if paid > 0 {
            self.feed_insurance(self.instruments[index].pool, -paid);
            self.ledger.credit(purse, paid);
            self.ledger.detail_mut(slot).realised += paid;
            self.emit_wallet(purse, paid, WalletReason::Delivery);
        }
    }
}

/// Signed settlement value of signed lots, rounded down: both sides of an inverse contract lose the fraction.
fn delivery_value(listed: &Instrument, lots: i64, ticks: i64) -> i128 {
    if listed.direction > 0 {
        return listed.value(lots, ticks);
    }
    div_floor(-i128::from(lots) * listed.lot_over_tick, i128::from(ticks.max(1)))
}
