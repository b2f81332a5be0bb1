//! Liquidation of isolated positions: rules 5.1, 5.2 and 5.4. Each stands for itself. When its maintenance margin is no longer
//! covered and no margin can be added: the account's orders in the contract are cancelled; the position steps down tier by
//! tier; what is still not covered is taken over at its bankruptcy price, and pays the taker fee out of what that releases.
//!
//! - Margin is added, where its owner asked for that, when the free balance covers what is missing (one unit beyond the
//!   maintenance margin): its initial margin once more, or what is missing when that is more, or all that is free when that
//!   is less. All breached positions are offered that before the first is liquidated.
//! - The bankruptcy price is where assigned margin, profit and taker fee come to nothing: the size there is (cost -+ assigned) /
//!   (1 -+ fee), rounded up where the position gains by size, down otherwise; the price is rounded against the position to the
//!   tick, up for a long, down for a short. Where no price does it, it is the end of the scale.

use exchange_core::limits::LADDER_STEPS_MAX;
use exchange_core::{AccountId, CancelReason, EventKind, Money};

use crate::contract::ONE;
use crate::matching::FeeRule;
use crate::orders::instrument_id;
use crate::rounding::{ceil, floor, shown};
use crate::state::{Key, State};

impl State {
    /// Liquidates the account's isolated positions that are due.
    pub fn liquidate_positions(&mut self, account: usize) {
        let mut due = Vec::new();
        for key in self.slots_of(account) {
            if self.is_position_breached(key) && !self.replenish(key) {
                due.push(key);
            }
        }
        for key in due {
            self.liquidate_position(key);
        }
    }

    /// Adds margin instead of a liquidation; true when that helps.
    fn replenish(&mut self, key: Key) -> bool {
        let (slot, margin) = (self.slot(key), self.margin(key));
        let free = self.isolated_free(key.account, self.contracts[key.instrument].settle);
        let missing = margin.maintenance + 1 - self.backing(key);
        if !slot.adds_margin || free < missing {
            return false;
        }
        let amount = margin.position_initial.max(missing).min(free);
        self.slot_mut(key).assigned += amount;
        self.emit(EventKind::MarginAdded {
            account: AccountId(self.accounts[key.account].id),
            instrument: instrument_id(key.instrument),
            position_index: key.index,
            amount: Money(shown(amount)),
            assigned: Money(shown(slot.assigned + amount)),
            is_automatic: true,
        });
        true
    }

    fn liquidate_position(&mut self, key: Key) {
        self.emit(EventKind::PositionLiquidationStarted {
            account: AccountId(self.accounts[key.account].id),
            instrument: instrument_id(key.instrument),
            position_index: key.index,
            margin: Money(shown(self.backing(key))),
            maintenance_margin: Money(shown(self.margin(key).maintenance)),
        });
        self.cancel_orders(key.account, Some(key.instrument), CancelReason::Liquidation);
        for _ in 0..LADDER_STEPS_MAX {
            if !self.is_position_breached(key) || !self.step_down(key, self.isolated_bankruptcy(key)) {
                break;
            }
        }
        if self.is_position_breached(key) {
            let contract = self.contract(key.instrument);
            let bankruptcy = self.isolated_bankruptcy(key);
            let value = contract.value(self.slot(key).qty, bankruptcy);
            let fee = FeeRule::AsFarAsItCan(contract.spec.taker_fee);
            self.take_over_position(key, value, bankruptcy, fee);
        }
    }

    fn isolated_bankruptcy(&self, key: Key) -> i128 {
        let (contract, slot) = (self.contract(key.instrument), self.slot(key));
        let (tick, highest) = (contract.tick(), contract.highest());
        let toward = slot.qty.signum() * contract.direction();
        let needed = slot.cost.abs() - toward * slot.assigned;
        if needed <= 0 {
            return if slot.qty > 0 { tick } else { highest };
        }
        let keep = ONE - toward * i128::from(contract.spec.taker_fee);
        let size = if toward > 0 { ceil(needed * ONE, keep) } else { floor(needed * ONE, keep) };
        let against = if slot.qty > 0 { ceil } else { floor };
        let ticks = if contract.spec.inverse {
            against(slot.qty.abs() * ONE, (size * tick).max(1))
        } else {
            against(size, contract.size(slot.qty, tick))
        };
        (ticks * tick).clamp(tick, highest)
    }
}
