//! Isolated margin: what backs a position is assigned to it and nothing else is at stake. Rules 4.2, 4.4 and 5.2.
//!
//! - A fill that opens assigns the initial margin at its price and the fee of closing at bankruptcy; one that closes
//!   releases its share of what is assigned. Margin may be added and, above the initial margin, taken back.
//! - Orders are held against the free balance of their settlement coin: wallet less assigned margin, order margin and
//!   what spot orders hold. There is no borrowing and no collateral across coins.
//! - A position is breached when its maintenance margin at the mark is no longer covered by what is assigned and its
//!   profit. With the switch for adding margin on, the free balance is asked first: the initial margin once more, or the
//!   whole rest of the balance when that is less; nothing when even that would not do.
//! - An order, or a fill, that would be breached at the mark at once is not let through, nor a closing fill that would
//!   cost more than what is assigned. Nor is a limit at which the position would be liquidated; what closes on a trigger
//!   is not held to that.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{saturate, share_ceil};
use crate::instrument::Instrument;
use crate::margin::{closing_fee, tier_index, Exposure};
use crate::matching::fee_of;
use crate::position::Settled;
use crate::reject::Reject;
use crate::types::{AccountId, InstrumentId, MarginMode, Money, PositionIndex, Side, LEVERAGE_SCALE};

impl Exchange {
    /// True when an isolated position's maintenance margin is no longer covered.
    pub(crate) fn is_position_breached(&self, slot: u32) -> bool {
        let held = self.ledger.slot(slot);
        held.is_isolated
            && held.position.lots != 0
            && i128::from(held.margin.maintenance) >= self.isolated_equity(slot)
    }

    /// What backs an isolated position: assigned margin and profit at the mark.
    pub(crate) fn isolated_equity(&self, slot: u32) -> i128 {
        self.ledger.detail(slot).extras().assigned + i128::from(self.ledger.slot(slot).margin.unrealised)
    }

    /// Assigned margin less the fee of closing at bankruptcy: what a position may lose before it is bankrupt.
    pub(crate) fn isolated_cushion(&self, slot: u32) -> i128 {
        self.ledger.detail(slot).extras().assigned - self.isolated_fee(slot)
    }

    /// Fee of closing an isolated position at bankruptcy.
    fn isolated_fee(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let listed = &self.instruments[index];
        let exposure = held.exposure(self.markets[index].mark_ticks);
        let leverage = exposure.effective_leverage(listed);
        closing_fee(held.position.cost, exposure.toward(listed), leverage, listed.taker_fee)
    }

    /// The account's breached isolated positions, those left out that margin could be added to.
    pub(crate) fn breached_positions(&mut self, account: u32) -> Vec<u32> {
        let slots = self.ledger.slots_of(account);
        slots.into_iter().filter(|slot| self.is_position_breached(*slot) && !self.replenish(*slot)).collect()
    }

    /// Adds margin to a breached position whose owner asked for that, if it helps; true if it did.
    pub(crate) fn replenish(&mut self, slot: u32) -> bool {
        let held = self.ledger.slot(slot);
        let free = self.ledger.purse(held.purse).isolated_free();
        let missing = i128::from(held.margin.maintenance) + 1 - self.isolated_equity(slot);
        if !self.ledger.detail(slot).extras().adds_margin || free < missing {
            return false;
        }
        let once_more = i128::from(held.margin.position_initial);
        self.change_margin(slot, once_more.max(missing).min(free), true);
        true
    }

    /// Moves margin between the free balance and an isolated position, and tells it.
    fn change_margin(&mut self, slot: u32, amount: i128, is_automatic: bool) {
        let assigned = self.ledger.detail(slot).extras().assigned + amount;
        self.ledger.assign(slot, assigned);
        let held = self.ledger.slot(slot);
        let (owner, position_index) = (held.account, held.index);
        let instrument = InstrumentId(held.instrument);
        let account = AccountId(self.ledger.account(owner).id);
        self.touch(owner);
        self.emit(EventKind::MarginAdded {
            account,
            instrument,
            position_index,
            amount: Money(saturate(amount)),
            assigned: Money(saturate(assigned)),
            is_automatic,
        });
    }

    /// After a fill of signed lots: releases the margin of what closed, assigns that of what opened.
    #[cold]
    pub(crate) fn reassign(&mut self, slot: u32, signed_lots: i64, settled: &Settled) {
        let held = self.ledger.slot(slot);
        let assigned = self.ledger.detail(slot).extras().assigned;
        let before = i128::from((held.position.lots - signed_lots).unsigned_abs());
        let closed = i128::from(settled.closed_lots);
        let kept = match closed {
            0 => assigned,
            closed if closed >= before => 0,
            closed => assigned - assigned * closed / before,
        };
        let opened = match settled.closed_lots {
            0 => settled.cost_change,
            closed if closed < signed_lots.abs() => held.position.cost,
            _ => 0,
        };
        let index = usize::from(held.instrument);
        let listed = &self.instruments[index];
        let exposure = held.exposure(self.markets[index].mark_ticks);
        let opened = isolated_initial(opened, &exposure, listed);
        self.ledger.assign(slot, kept + opened);
    }

    /// Stage 3 for an isolated account: the coin's free balance must bear what more is held, and the addition must not be
    /// breached as soon as it fills.
    #[cold]
    pub(crate) fn check_isolated_risk(
        &self,
        account: u32,
        instrument: usize,
        after: &Exposure,
        more: i128,
        (side, lots, ticks): (Side, i64, i64),
    ) -> Result<(), Reject> {
        let listed = &self.instruments[instrument];
        let free = self
            .ledger
            .find_purse(account, listed.settle)
            .map_or(0, |purse| self.ledger.purse(purse).isolated_free());
        if free < 0 || more > free || is_stillborn(after, listed, (side, lots, ticks)) {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// Refuses a limit at which an isolated position would be liquidated: rules 3.2. A position in cross margin has no
    /// liquidation price of its own (rules 5.3).
    #[cold]
    pub(crate) fn better_than_liquidation(&self, slot: u32, ticks: i64) -> Result<(), Reject> {
        let held = self.ledger.slot(slot);
        let there = held.exposure(ticks).margin(&self.instruments[usize::from(held.instrument)]);
        let backing = self.ledger.detail(slot).extras().assigned + i128::from(there.unrealised);
        if held.position.lots != 0 && i128::from(there.maintenance) >= backing {
            return Err(Reject::PriceBeyondLiquidation);
        }
        Ok(())
    }

    /// Of `lots` that an isolated position is about to trade, those that it, and its coin's free balance, can bear; as
    /// `bearable` for the whole account.
    #[cold]
    pub(crate) fn bearable_isolated(&self, slot: u32, side: Side, lots: i64, ticks: i64, cost: bool) -> i64 {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let listed = &self.instruments[index];
        let exposure = held.exposure(self.markets[index].mark_ticks);
        let closing = lots.min(held.reducible(side));
        if closing > 0 {
            let value = listed.value(held.position.lots, ticks);
            let left = self.ledger.detail(slot).extras().assigned + value - held.position.cost;
            if left < fee_of(value, listed.spec.taker_fee) {
                return 0;
            }
        }
        let opening = lots - closing;
        if opening == 0 || is_stillborn(&exposure, listed, (side, opening, ticks)) {
            return closing;
        }
        if !cost {
            return lots;
        }
        let each = i128::from(listed.order_cost(listed.size(1, ticks), side, exposure.leverage)).max(1);
        closing
            + saturate((self.ledger.purse(held.purse).isolated_free() / each).clamp(0, i128::from(opening)))
    }

    /// Adds margin to an isolated position, or takes some back: never below the initial margin, losses not counted.
    pub(crate) fn add_margin(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        position_index: PositionIndex,
        amount: Money,
    ) -> Result<(), Reject> {
        let slot = self.isolated_slot(account, instrument, position_index)?;
        let slot = slot.filter(|slot| self.ledger.slot(*slot).position.lots != 0);
        let slot = slot.ok_or(Reject::PositionMissing)?;
        let (held, amount) = (self.ledger.slot(slot), i128::from(amount.0));
        if amount == 0 {
            return Err(Reject::AmountInvalid);
        }
        if amount > self.ledger.purse(held.purse).isolated_free() {
            return Err(Reject::InsufficientBalance);
        }
        let left =
            self.ledger.detail(slot).extras().assigned + amount + i128::from(held.margin.unrealised.min(0));
        if amount < 0 && left < i128::from(held.margin.position_initial) {
            return Err(Reject::MarginNotFree);
        }
        self.change_margin(slot, amount, false);
        Ok(())
    }

    /// Sets whether margin is added to a position before it is liquidated.
    pub(crate) fn set_auto_add_margin(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        position_index: PositionIndex,
        is_on: bool,
    ) -> Result<(), Reject> {
        let slot = self.isolated_slot(account, instrument, position_index)?;
        if slot.is_some_and(|slot| self.ledger.detail(slot).extras().adds_margin) == is_on {
            return Err(Reject::AutoAddMarginUnchanged);
        }
        let (owner, index) = (self.user(account)?, self.listed(instrument)?);
        let slot = self.ledger.slot_for(owner, index, position_index, &self.instruments[index]);
        self.ledger.detail_mut(slot).extras_mut().adds_margin = is_on;
        self.touch(owner);
        self.emit(EventKind::AutoAddMarginChanged { account, instrument, position_index, is_on });
        Ok(())
    }

    /// The slot of a position of an isolated account, if it was ever used; refused in cross margin and for an index that
    /// does not fit.
    fn isolated_slot(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        position_index: PositionIndex,
    ) -> Result<Option<u32>, Reject> {
        let (owner, index) = (self.user(account)?, self.listed(instrument)?);
        if !self.instruments[index].is_contract() {
            return Err(Reject::NotAContract);
        }
        self.fits_mode(owner, index, position_index)?;
        if self.ledger.account(owner).margin_mode != MarginMode::Isolated {
            return Err(Reject::NotIsolated);
        }
        Ok(self.ledger.find_slot(owner, index, position_index))
    }
}

/// Initial margin of a value entered in isolated margin, and the fee of closing it at bankruptcy.
pub(crate) fn isolated_initial(entered: i128, exposure: &Exposure, listed: &Instrument) -> i128 {
    let leverage = exposure.effective_leverage(listed);
    let at_leverage = share_ceil(entered.abs(), LEVERAGE_SCALE.unsigned_abs(), leverage.unsigned_abs());
    at_leverage + closing_fee(entered, exposure.toward(listed), leverage, listed.taker_fee)
}

/// True when lots bought or sold at a price would not cover their maintenance margin at the mark. The fee of closing is
/// part of both and left out.
fn is_stillborn(exposure: &Exposure, listed: &Instrument, (side, lots, ticks): (Side, i64, i64)) -> bool {
    let loss = listed.loss(lots, ticks, exposure.mark_ticks, side);
    if loss == 0 {
        return false;
    }
    let leverage = exposure.effective_leverage(listed).unsigned_abs();
    let entered = listed.value(lots, ticks).abs();
    let on_entry = listed.spec.isolated_on_entry;
    let size = if on_entry { entered } else { listed.value(lots, exposure.mark_ticks).abs() };
    let tier = &listed.tiers[tier_index(&listed.tiers, size)];
    let margin = share_ceil(entered, LEVERAGE_SCALE.unsigned_abs(), leverage);
    margin - loss <= tier.maintenance.share_ceil(size)
}
