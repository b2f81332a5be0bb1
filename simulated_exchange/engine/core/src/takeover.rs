//! Stage 7, continued: what the venue has taken over is worked off in the real book within the price band. The
//! insurance fund gains what fills better than bankruptcy and pays what fills worse; when it cannot, the rest is closed
//! by auto-deleveraging against the highest ranked opposite positions, at the price it was taken over at (rules 8).
//! Nobody is deleveraged into debt; what no counterparty can bear stays with the venue and is tried again every tick.
//!
//! Deleveraging is due when the next fill would cost more than the fund holds, or when the position's loss at the mark
//! already exceeds it.

use crate::account::NOBODY;
use crate::adl::rank;
use crate::entry::band_edge;
use crate::event::EventKind;
use crate::exchange::{Exchange, TAKEOVER};
use crate::fixed::{div_ceil, saturate};
use crate::liquidation::forced;
use crate::margin::price_of;
use crate::matching::{FeeRule, Leg, Taker};
use crate::types::{AccountId, CancelReason, FillKind, InstrumentId, PositionIndex, Price, Side};

/// Accounts deleveraged per command and instrument.
pub const ADL_COUNTERPARTIES_MAX: usize = 128;

impl Exchange {
    /// Works off the venue's position in an instrument as far as book, band and fund allow.
    pub(crate) fn work_takeover(&mut self, instrument: usize) {
        let Some(slot) = self.ledger.find_slot(TAKEOVER, instrument, PositionIndex::OneWay) else { return };
        let lots = self.ledger.slot(slot).position.lots;
        if lots == 0 {
            return;
        }
        let side = Side::of_position(lots).opposite();
        let market = &self.markets[instrument];
        let limit = band_edge(side, market.max_buy_ticks, market.min_sell_ticks);
        let mut taker = forced(slot, instrument, side, (lots.abs(), limit), FeeRule::None);
        self.match_taker(&mut taker);
        let unrealised = self.ledger.slot(slot).margin.unrealised;
        let unrealised = i128::from(unrealised);
        if taker.blocked || self.pool_balance(instrument) + unrealised < 0 {
            self.deleverage(slot, instrument, NOBODY);
        }
    }

    /// Lots the fund can afford to trade at a price: each may lose no more than its share of the fund.
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
        let fund = self.pool_balance(taker.instrument) - 1;
        saturate((fund / loss).clamp(0, i128::from(taker.leaves)))
    }

    /// What the instrument's insurance pool holds.
    pub(crate) fn pool_balance(&self, instrument: usize) -> i128 {
        self.ledger.purse(self.pool_purse(self.instruments[instrument].pool)).wallet
    }

    /// Closes the venue's position against the highest ranked opposite ones, each as far as its account bears it: what
    /// the venue loses at the mark, a counterparty would lose. `spared` is an account that is being taken over.
    pub(crate) fn deleverage(&mut self, slot: u32, instrument: usize, spared: u32) {
        let mut closed = 0;
        for (_, _, counterparty) in self.adl_queue(instrument, self.ledger.slot(slot).position.lots < 0) {
            let held = self.ledger.slot(slot);
            let left = held.position.lots.abs();
            if left == 0 || closed == ADL_COUNTERPARTIES_MAX {
                break;
            }
            let loss = div_ceil(-i128::from(held.margin.unrealised), i128::from(left));
            let owner = self.ledger.slot(counterparty).account;
            let equity = self.ledger.purse(self.ledger.slot(counterparty).purse).equity();
            let bearable = if loss > 0 { saturate((equity / loss).max(0)) } else { left };
            let lots = left.min(bearable).min(self.ledger.slot(counterparty).position.lots.abs());
            if lots > 0 && owner != spared {
                self.cancel_orders(owner, instrument, CancelReason::Adl);
                self.deleverage_one(slot, counterparty, instrument, lots);
                closed += 1;
            }
        }
    }

    /// Users' positions on one side of an instrument, first in line first: (negated rank, account, slot).
    pub(crate) fn adl_queue(&self, instrument: usize, longs: bool) -> Vec<(i128, u32, u32)> {
        let mut queue: Vec<(i128, u32, u32)> = self
            .ledger
            .members(instrument)
            .iter()
            .filter(|slot| {
                let slot = self.ledger.slot(**slot);
                let is_wanted = if longs { slot.position.lots > 0 } else { slot.position.lots < 0 };
                slot.account >= self.first_user && is_wanted
            })
            .map(|slot| (self.adl_rank_of(*slot).saturating_neg(), self.ledger.slot(*slot).account, *slot))
            .collect();
        queue.sort_unstable();
        queue
    }

    fn adl_rank_of(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        let owner = self.ledger.account(held.account);
        let value: i128 = self
            .ledger
            .slots_of(held.account)
            .into_iter()
            .map(|slot| {
                let slot = self.ledger.slot(slot);
                let value = (slot.position.cost + i128::from(slot.margin.unrealised)).abs();
                self.in_usd(self.instruments[usize::from(slot.instrument)].settle, value)
            })
            .sum();
        rank(i128::from(held.margin.unrealised), held.position.cost.abs(), value, owner.worth.balance)
    }

    fn deleverage_one(&mut self, slot: u32, counterparty: u32, instrument: usize, lots: i64) {
        let position = self.ledger.slot(slot).position;
        let value = position.cost_share(lots); // closing at cost realises exactly nothing for the venue
        let side = Side::of_position(position.lots);
        let listed = &self.instruments[instrument];
        let toward = i128::from(side.sign() * listed.direction);
        let price = Price(saturate(price_of(value * toward, lots, listed)));
        let maker_fee = listed.spec.maker_fee;
        let qty = listed.qty(lots * -side.sign());
        let owner = self.ledger.slot(counterparty).account;
        let account = AccountId(self.ledger.account(owner).id);
        let instrument = InstrumentId(u16::try_from(instrument).unwrap_or(u16::MAX));
        let position_index = self.ledger.slot(counterparty).index;
        self.emit(EventKind::Deleveraged { account, instrument, position_index, qty, price });
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
}
