//! Changes of a slot whose coin is worth one USD, always: what its purse adds to the account changes by as much as the
//! amounts do. Elsewhere a purse is valued anew.

use crate::account::Ledger;
use crate::margin::{Margin, SideOrders};
use crate::position::{Position, Settled};
use crate::purse::Worth;
use crate::types::Side;

/// What a fill makes of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    /// Its position afterwards.
    pub position: Position,
    /// What it did to the position.
    pub settled: Settled,
    /// Signed lots that were filled.
    pub lots: i64,
    /// Fee paid.
    pub fee: i128,
    /// Its margin afterwards.
    pub margin: Margin,
}

impl Ledger {
    /// True when nothing is owed in a slot's purse, and neither with so much more in the wallet and another margin.
    #[inline]
    pub fn owes_nothing_after(&self, slot: u32, change: i128, margin: &Margin) -> bool {
        let slot = &self.slots[slot as usize];
        let purse = &self.purses[slot.purse as usize];
        let extras = purse.extras();
        let cash = purse.wallet - extras.isolated - extras.locked + change;
        let profit = i128::from(margin.unrealised - slot.margin.unrealised) + purse.margin.unrealised;
        extras.borrowed == 0 && cash + profit >= 0
    }

    /// Books a fill after which nothing is owed.
    #[inline]
    pub fn settle_at_par(&mut self, place: u32, settlement: &Settlement) {
        let slot = &mut self.slots[place as usize];
        let (owner, instrument) = (slot.account as usize, usize::from(slot.instrument));
        let was_flat = std::mem::replace(&mut slot.position, settlement.position).lots == 0;
        match (was_flat, settlement.position.lots == 0) {
            (true, false) => self.accounts[owner].open_positions += 1,
            (false, true) => self.accounts[owner].open_positions -= 1,
            _ => {}
        }
        let change = settlement.settled.realised - settlement.fee;
        let coin = self.purses[slot.purse as usize].coin;
        let totals = &mut self.totals[usize::from(coin.0)];
        totals.wallets += change;
        totals.costs += settlement.settled.cost_change;
        self.has_moved = true;
        self.count_lots(instrument, settlement.lots);
        self.margin_at_par(place, change, &settlement.margin);
    }

    /// Replaces a slot's margin, and adds to the wallet; nothing is owed afterwards.
    #[inline]
    pub fn margin_at_par(&mut self, slot: u32, change: i128, margin: &Margin) {
        let slot = &mut self.slots[slot as usize];
        let purse = &mut self.purses[slot.purse as usize];
        let old = std::mem::replace(&mut slot.margin, *margin);
        purse.wallet += change;
        purse.margin.replace(&old, margin);
        let balance = change + i128::from(margin.unrealised - old.unrealised);
        let position = margin.position_initial - old.position_initial;
        let initial = i128::from(position + (margin.order_initial - old.order_initial));
        let maintenance = i128::from(margin.maintenance - old.maintenance);
        let order_loss = i128::from(margin.order_loss - old.order_loss);
        let add = |worth: &mut Worth| {
            worth.balance += balance;
            worth.initial += initial;
            worth.maintenance += maintenance;
            worth.order_loss += order_loss;
        };
        purse.add_worth(add);
        add(&mut self.accounts[slot.account as usize].worth);
    }

    /// Credits a purse of the venue, which owes nobody.
    #[inline]
    pub fn collect_at_par(&mut self, purse: u32, amount: i128) {
        let purse = &mut self.purses[purse as usize];
        self.totals[usize::from(purse.coin.0)].wallets += amount;
        purse.wallet += amount;
        purse.add_worth(|worth| worth.balance += amount);
        self.accounts[purse.account as usize].worth.balance += amount;
    }

    /// Replaces a side of a slot's orders and the margin of both.
    #[inline]
    pub fn hold_orders_at_par(
        &mut self,
        slot: u32,
        (side, orders): (Side, SideOrders),
        (initial, loss): (i64, i64),
    ) {
        let slot = &mut self.slots[slot as usize];
        let (more, more_loss) = (initial - slot.margin.order_initial, loss - slot.margin.order_loss);
        *slot.open_orders.of_mut(side) = orders;
        (slot.margin.order_initial, slot.margin.order_loss) = (initial, loss);
        let purse = &mut self.purses[slot.purse as usize];
        let account = &mut self.accounts[slot.account as usize];
        let add = |worth: &mut Worth| {
            worth.initial += i128::from(more);
            if more_loss != 0 {
                worth.order_loss += i128::from(more_loss);
            }
        };
        purse.margin.order_initial += i128::from(more);
        if more_loss != 0 {
            purse.margin.order_loss += i128::from(more_loss);
        }
        purse.add_worth(add);
        add(&mut account.worth);
    }
}
