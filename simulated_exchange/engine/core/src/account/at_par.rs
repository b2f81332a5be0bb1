//! Changes of a slot whose coin is worth one USD, always: what its purse adds to the account changes by as much as the
//! amounts do. Elsewhere a purse is valued anew.

use crate::account::Ledger;
use crate::margin::{Margin, SideOrders};
use crate::position::{Position, Settled};
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
    /// True when nothing is owed in a slot's purse, and after a fill neither.
    #[inline]
    pub fn owes_nothing_after(&self, slot: u32, settlement: &Settlement) -> bool {
        let slot = &self.slots[slot as usize];
        let purse = &self.purses[slot.purse as usize];
        let profit = i128::from(settlement.margin.unrealised) - i128::from(slot.margin.unrealised);
        let change = settlement.settled.realised - settlement.fee + profit;
        let left = purse.wallet - purse.isolated - purse.locked + purse.margin.unrealised + change;
        purse.borrowed == 0 && left >= 0
    }

    /// Books a fill after which nothing is owed.
    #[inline]
    pub fn settle_at_par(&mut self, slot: u32, settlement: &Settlement) {
        let slot = &mut self.slots[slot as usize];
        let purse = &mut self.purses[slot.purse as usize];
        let account = &mut self.accounts[slot.account as usize];
        let (old, new) = (slot.margin, settlement.margin);
        match (slot.position.lots == 0, settlement.position.lots == 0) {
            (true, false) => account.open_positions += 1,
            (false, true) => account.open_positions -= 1,
            _ => {}
        }
        (slot.position, slot.margin) = (settlement.position, new);
        let change = settlement.settled.realised - settlement.fee;
        let totals = &mut self.totals[usize::from(purse.coin.0)];
        totals.wallets += change;
        totals.costs += settlement.settled.cost_change;
        purse.wallet += change;
        purse.margin.replace(&old, &new);
        let balance = change + i128::from(new.unrealised - old.unrealised);
        let position = new.position_initial - old.position_initial;
        let initial = i128::from(position + (new.order_initial - old.order_initial));
        let maintenance = i128::from(new.maintenance - old.maintenance);
        let order_loss = i128::from(new.order_loss - old.order_loss);
        for worth in [&mut purse.worth, &mut account.worth] {
            worth.balance += balance;
            worth.initial += initial;
            worth.maintenance += maintenance;
            worth.order_loss += order_loss;
        }
        let instrument = usize::from(slot.instrument);
        self.has_moved = true;
        self.count_lots(instrument, settlement.lots);
    }

    /// Credits a purse of the venue, which owes nobody.
    #[inline]
    pub fn collect_at_par(&mut self, purse: u32, amount: i128) {
        let purse = &mut self.purses[purse as usize];
        self.totals[usize::from(purse.coin.0)].wallets += amount;
        purse.wallet += amount;
        purse.worth.balance += amount;
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
        purse.margin.order_initial += i128::from(more);
        purse.worth.initial += i128::from(more);
        account.worth.initial += i128::from(more);
        if more_loss != 0 {
            purse.margin.order_loss += i128::from(more_loss);
            purse.worth.order_loss += i128::from(more_loss);
            account.worth.order_loss += i128::from(more_loss);
        }
    }
}
