//! Stage 6, funding: premium samples from the book, settlements that fall due, and who pays whom (rules 2).
//!
//! At a settlement every position open at that moment pays its value at the mark times the rate, longs to shorts when
//! the rate is positive: accounts in the order of their opening, then their positions by index. Each payment is rounded
//! up, receipts down; what is left over goes to the instrument's insurance pool. Settlements are made when time passes
//! (`AdvanceTime`), on the positions and at the mark of that moment; a leap over several makes them one after the other.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{div_floor, saturate};
use crate::funding::{funding_fee, premium_index, Settlement, SETTLEMENTS_MAX};
use crate::impact::impact_price;
use crate::types::{AccountId, InstrumentId, Money, Price, Rate, Side, WalletReason, LEVERAGE_SCALE, SCALE};

/// Of the quote coin, at the first tier's highest leverage: the impact notional where none is listed.
const IMPACT_MARGIN: i128 = 200;

impl Exchange {
    /// Takes the premium samples of the minutes that passed and makes the settlements that are due; true if any was.
    pub(crate) fn pass_funding(&mut self, index: usize) -> bool {
        let market_ms = self.market_ms;
        let Some(clock) = self.markets[index].funding.filter(|clock| clock.wants_sample(market_ms)) else {
            return false;
        };
        let (bid, ask) = (self.impact(index, Side::Buy), self.impact(index, Side::Sell));
        let premium = premium_index(bid, ask, self.markets[index].index);
        let mut settled = false;
        for _ in 0..SETTLEMENTS_MAX {
            let due =
                self.markets[index].funding.as_mut().and_then(|clock| clock.advance(market_ms, premium));
            let Some(settlement) = due else { break };
            self.settle_funding(index, settlement);
            settled = true;
        }
        self.emit_rate(index, clock.predicted_rate);
        settled
    }

    /// Tells a running estimate that differs from what it was.
    pub(crate) fn emit_rate(&mut self, index: usize, before: i64) {
        let Some(clock) = self.markets[index].funding else { return };
        if clock.predicted_rate != before {
            let (rate, next_ms) = (Rate(clock.predicted_rate), clock.next_ms);
            self.emit(EventKind::FundingRateChanged { instrument: instrument_id(index), rate, next_ms });
        }
    }

    /// Mean price of trading the impact notional against a side of the book, as far as it counts; nothing when it holds
    /// less.
    pub(crate) fn impact(&self, index: usize, side: Side) -> Option<i64> {
        let (listed, book) = (&self.instruments[index], &self.books[index]);
        let levels = book
            .prices(side)
            .map(|ticks| (listed.price(ticks).0, listed.qty(book.level(side, ticks).lots).0));
        let impact = impact_price(levels, self.impact_notional(index), listed.spec.inverse)?;
        Some(self.markets[index].counted(impact, &listed.spec))
    }

    fn impact_notional(&self, index: usize) -> i64 {
        let listed = &self.instruments[index];
        if listed.spec.funding.impact_notional.0 > 0 {
            return listed.spec.funding.impact_notional.0;
        }
        let quote = IMPACT_MARGIN * i128::from(SCALE) * i128::from(listed.tiers[0].max_leverage)
            / i128::from(LEVERAGE_SCALE);
        if listed.direction > 0 {
            return saturate(quote);
        }
        saturate(div_floor(quote * i128::from(SCALE), i128::from(self.markets[index].index)))
    }

    fn settle_funding(&mut self, index: usize, settlement: Settlement) {
        let (instrument, rate) = (instrument_id(index), Rate(settlement.rate));
        let mark = self.instruments[index].price(self.markets[index].mark_ticks);
        let next_ms = self.markets[index].funding.map_or(0, |clock| clock.next_ms);
        let at_ms = settlement.at_ms;
        self.emit(EventKind::FundingSettled { instrument, at_ms, rate, mark, next_ms });
        let open = |slot: &u32| self.ledger.slot(*slot).position.lots != 0;
        let mut slots: Vec<u32> = self.ledger.members(index).iter().copied().filter(open).collect();
        slots.sort_unstable_by_key(|slot| (self.ledger.slot(*slot).account, self.ledger.slot(*slot).index));
        let mut left_over = 0;
        for slot in slots {
            left_over += self.pay_funding(slot, mark, settlement);
        }
        let pool = self.instruments[index].pool;
        if left_over != 0 {
            let purse = self.pool_purse(pool);
            self.ledger.credit(purse, left_over);
            let (balance, change) = (self.wallet(purse), Money(saturate(left_over)));
            self.emit(EventKind::InsuranceFundChanged { pool, balance, change });
        }
        if self.takeover_slots(index).next().is_some() {
            self.sweep_takeover(index);
        }
    }

    /// One position's payment; returns it.
    fn pay_funding(&mut self, slot: u32, mark: Price, settlement: Settlement) -> i128 {
        let held = self.ledger.slot(slot);
        let (owner, purse, lots) = (held.account, held.purse, held.position.lots);
        let (index, position_index) = (usize::from(held.instrument), held.index);
        let listed = &self.instruments[index];
        let (size, over) = listed.size_parts(lots, self.markets[index].mark_ticks);
        let fee = funding_fee(size, over, settlement.rate);
        let qty = listed.qty(lots);
        let from_margin = self.funding_from_margin(slot, fee);
        let assigned = self.ledger.detail(slot).extras().assigned;
        self.ledger.detail_mut(slot).funding += fee;
        self.ledger.assign(slot, assigned - from_margin);
        self.ledger.credit(purse, -fee);
        self.touch(owner);
        self.emit(EventKind::FundingPaid {
            account: AccountId(self.ledger.account(owner).id),
            instrument: instrument_id(index),
            position_index,
            at_ms: settlement.at_ms,
            qty,
            mark,
            rate: Rate(settlement.rate),
            fee: Money(saturate(fee)),
            from_margin: Money(saturate(from_margin)),
        });
        self.emit_wallet(purse, -fee, WalletReason::Funding);
        fee
    }

    /// Part of a payment that an isolated position's own margin bears: what the coin has no free balance for. Beyond that
    /// margin the wallet owes.
    fn funding_from_margin(&self, slot: u32, fee: i128) -> i128 {
        let held = self.ledger.slot(slot);
        if !held.is_isolated {
            return 0;
        }
        let free = self.ledger.purse(held.purse).isolated_free();
        (fee - free.max(0)).clamp(0, self.ledger.detail(slot).extras().assigned.max(0))
    }
}

/// An instrument's identifier by its position.
pub(crate) fn instrument_id(index: usize) -> InstrumentId {
    InstrumentId(u16::try_from(index).unwrap_or(u16::MAX))
}
