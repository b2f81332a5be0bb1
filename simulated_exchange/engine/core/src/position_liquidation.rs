//! Stage 7, liquidation of isolated positions: rules 5.1, 5.2 and 5.4. Each stands for itself.
//!
//! When its maintenance margin is no longer covered by what is assigned to it: the contract's orders are cancelled; the
//! position steps down tier by tier in the real book; what remains and is still not covered is taken over at the price,
//! rounded to the tick against the position, at which assigned margin, profit and the taker fee come to nothing. What the
//! rounding leaves stays with the owner; beyond what was assigned he loses nothing.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{mul_div_ceil, mul_div_floor, saturate};
use crate::instrument::Instrument;
use crate::liquidation::LADDER_STEPS_MAX;
use crate::matching::FeeRule;
use crate::position::Position;
use crate::reduction::ticks_of_size;
use crate::types::{AccountId, CancelReason, InstrumentId, MarginMode, Money, SCALE};

impl Exchange {
    /// True when one of an account's isolated positions is no longer covered.
    pub(crate) fn has_breached_position(&self, account: u32) -> bool {
        self.ledger.account(account).margin_mode == MarginMode::Isolated
            && self.ledger.slots_of(account).into_iter().any(|slot| self.is_position_breached(slot))
    }

    /// Liquidates the account's isolated positions that are due, by instrument and index.
    pub(crate) fn liquidate_positions(&mut self, account: u32) {
        for slot in self.breached_positions(account) {
            self.liquidate_position(slot);
        }
    }

    fn liquidate_position(&mut self, slot: u32) {
        let held = self.ledger.slot(slot);
        let (owner, instrument) = (held.account, InstrumentId(held.instrument));
        let (position_index, maintenance) = (held.index, held.margin.maintenance);
        let account = AccountId(self.ledger.account(owner).id);
        self.emit(EventKind::PositionLiquidationStarted {
            account,
            instrument,
            position_index,
            margin: Money(saturate(self.isolated_equity(slot))),
            maintenance_margin: Money(maintenance),
        });
        self.cancel_orders(owner, usize::from(instrument.0), CancelReason::Liquidation);
        for _ in 0..LADDER_STEPS_MAX {
            if !self.is_position_breached(slot) || !self.step_down(slot, self.position_bankruptcy(slot)) {
                break;
            }
        }
        if self.is_position_breached(slot) {
            self.take_over_isolated(slot);
        }
    }

    fn take_over_isolated(&mut self, slot: u32) {
        let held = self.ledger.slot(slot);
        let listed = &self.instruments[usize::from(held.instrument)];
        let bankruptcy = self.position_bankruptcy(slot);
        let value = listed.value(held.position.lots, bankruptcy);
        let fee = FeeRule::AsFarAsItCan(listed.spec.taker_fee);
        self.take_over_position(slot, value, listed.price(bankruptcy), fee);
    }

    fn position_bankruptcy(&self, slot: u32) -> i64 {
        let held = self.ledger.slot(slot);
        let listed = &self.instruments[usize::from(held.instrument)];
        isolated_bankruptcy(&held.position, self.ledger.detail(slot).extras().assigned, listed)
    }
}

/// Price in ticks at which closing a position uses up the margin assigned to it, taker fee included: rules 5.1. Rounded
/// against the position; the near or far end of the scale when no price does.
pub(crate) fn isolated_bankruptcy(position: &Position, assigned: i128, listed: &Instrument) -> i64 {
    let scale = i128::from(SCALE);
    let toward = i128::from(position.lots.signum() * listed.direction);
    let needed = position.cost.abs() - toward * assigned;
    if needed <= 0 {
        return if toward * i128::from(listed.direction) > 0 { 1 } else { listed.max_ticks };
    }
    let keep = scale - toward * i128::from(listed.spec.taker_fee);
    // the larger size is the better one where the position gains by size
    let size =
        if toward > 0 { mul_div_ceil(needed, scale, keep) } else { mul_div_floor(needed, scale, keep) };
    ticks_of_size(listed, position.lots, size).clamp(1, listed.max_ticks)
}
