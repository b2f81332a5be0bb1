//! Margin mode of an account: all its positions backed by the whole account, or each by its own margin. Rules 4.4.
//!
//! The mode changes when the requirements hold afterwards. Into isolated margin every position takes the margin its entry
//! asks for out of its coin's wallet; nothing may be owed, no coin overdrawn, no position breached. Into cross margin all
//! of it is given back; the initial margin must be covered, and the legs of a hedge have one leverage.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::isolated::isolated_initial;
use crate::margin::Exposure;
use crate::purse::Purse;
use crate::reject::Reject;
use crate::types::{AccountId, MarginMode, PositionIndex, PositionMode};

impl Exchange {
    /// Changes an account's margin mode.
    pub(crate) fn set_margin_mode(&mut self, account: AccountId, mode: MarginMode) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.ledger.account(owner).margin_mode == mode {
            return Err(Reject::MarginModeUnchanged);
        }
        let slots = self.ledger.slots_of(owner);
        if mode == MarginMode::Cross && slots.iter().any(|slot| self.has_own_leverage(*slot)) {
            return Err(Reject::LeverageSidesDiffer);
        }
        let before: Vec<i128> =
            slots.iter().map(|slot| self.ledger.detail(*slot).extras().assigned).collect();
        let after: Vec<i128> = match mode {
            MarginMode::Cross => vec![0; slots.len()],
            MarginMode::Isolated => slots.iter().map(|slot| self.entry_margin(*slot)).collect(),
        };
        let mode_before = self.ledger.account(owner).margin_mode;
        self.change_margin_mode(owner, mode, &slots, &after);
        if !self.holds_requirements(owner, &slots) {
            self.change_margin_mode(owner, mode_before, &slots, &before);
            return Err(Reject::MarginModeShort);
        }
        self.touch(owner);
        self.emit(EventKind::MarginModeChanged { account, mode });
        Ok(())
    }

    fn change_margin_mode(&mut self, owner: u32, mode: MarginMode, slots: &[u32], assigned: &[i128]) {
        self.ledger.set_margin_mode(owner, mode);
        for (slot, assigned) in slots.iter().zip(assigned) {
            let held = self.ledger.slot(*slot);
            let index = usize::from(held.instrument);
            let is_isolated = mode == MarginMode::Isolated;
            let exposure = Exposure { is_isolated, ..held.exposure(self.markets[index].mark_ticks) };
            let margin = exposure.margin(&self.instruments[index]);
            self.ledger.isolate(*slot, is_isolated, margin);
            self.ledger.assign(*slot, *assigned);
        }
    }

    /// Whether an account meets what its margin mode asks for.
    fn holds_requirements(&self, owner: u32, slots: &[u32]) -> bool {
        let account = self.ledger.account(owner);
        if account.margin_mode == MarginMode::Cross {
            return account.available() >= 0 && !account.is_breached();
        }
        let purses = self.ledger.purses_of(owner);
        let is_solvent = |purse: &Purse| purse.extras().spot_borrow == 0 && purse.isolated_free() >= 0;
        purses.iter().all(|purse| is_solvent(self.ledger.purse(*purse)))
            && !slots.iter().any(|slot| self.is_position_breached(*slot))
    }

    /// Margin that a position's entry asks for in isolated margin.
    fn entry_margin(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let exposure = held.exposure(self.markets[index].mark_ticks);
        isolated_initial(held.position.cost, &exposure, &self.instruments[index])
    }

    /// True for the long leg of a hedge whose short leg has another leverage.
    fn has_own_leverage(&self, slot: u32) -> bool {
        let held = self.ledger.slot(slot);
        let (owner, index) = (held.account, usize::from(held.instrument));
        held.index == PositionIndex::HedgeBuy
            && self.position_mode_of(owner, index) == PositionMode::Hedge
            && self.leverage_of(owner, index, PositionIndex::HedgeSell) != i64::from(held.leverage)
    }
}
