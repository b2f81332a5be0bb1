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

    /// Books both sides of a trade after which nothing is owed: what one bought, the other sold.
    #[inline]
    pub fn trade_at_par(&mut self, sides: [(u32, &Settlement); 2], fees: u32) {
        let mut collected = 0;
        let coin = usize::from(self.purses[fees as usize].coin.0);
        for (place, side) in sides {
            let slot = &mut self.slots[place as usize];
            let was_flat = std::mem::replace(&mut slot.position, side.position).lots == 0;
            let owner = &mut self.accounts[slot.account as usize];
            match (was_flat, side.position.lots == 0) {
                (true, false) => owner.open_positions += 1,
                (false, true) => owner.open_positions -= 1,
                _ => {}
            }
            let totals = &mut self.totals[coin];
            totals.wallets += side.settled.realised - side.fee;
            totals.costs += side.settled.cost_change;
            collected += side.fee;
            self.margin_at_par(place, side.settled.realised - side.fee, &side.margin);
        }
        self.has_moved = true;
        self.collect_at_par(fees, collected);
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
    fn collect_at_par(&mut self, purse: u32, amount: i128) {
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
