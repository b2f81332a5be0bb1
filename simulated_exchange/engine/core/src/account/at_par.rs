//! Changes of a slot whose coin is worth one USD, always: what its purse adds to the account changes by as much as the
//! amounts do. Elsewhere a purse is valued anew.

use crate::account::{Account, Ledger};
use crate::margin::{Margin, OpenOrders, SideOrders};
use crate::position::Position;
use crate::purse::{Purse, Worth};
use crate::slot::Slot;
use crate::types::{CoinId, Side};

/// What a fill makes of a slot of a user, in money that 64 bits hold.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    /// Unsigned lots that were filled.
    pub lots: i64,
    /// Its position afterwards.
    pub position: Position,
    /// Its orders afterwards.
    pub orders: OpenOrders,
    /// Unsigned lots that closed.
    pub closed_lots: i64,
    /// Profit realised by them, before the fee.
    pub realised: i64,
    /// Change of the position's cost.
    pub cost_change: i64,
    /// Fee paid.
    pub fee: i64,
    /// Its margin afterwards.
    pub margin: Margin,
}

impl Settlement {
    /// What comes into the wallet.
    #[inline]
    pub fn change(&self) -> i64 {
        self.realised - self.fee
    }
}

/// What is told of an account and a slot after a fill.
#[derive(Clone, Copy, Debug)]
pub struct Booked {
    /// Identifier of the account.
    pub id: u32,
    /// The wallet now.
    pub wallet: i128,
    /// Realised in the slot so far, less fees.
    pub realised: i128,
    /// The maintenance margin is no longer covered.
    pub is_breached: bool,
}

impl Ledger {
    /// True when nothing is owed in a slot's purse, and neither with so much more in the wallet and another margin.
    #[inline]
    pub fn owes_nothing_after(&self, slot: &Slot, change: i64, margin: &Margin) -> bool {
        let purse = &self.purses[slot.purse as usize];
        let extras = purse.extras();
        let cash = purse.wallet - extras.isolated - extras.locked + i128::from(change);
        let profit = i128::from(margin.unrealised - slot.margin.unrealised) + purse.margin.unrealised;
        extras.borrowed == 0 && cash + profit >= 0
    }

    /// Books what a fill makes of a slot after which nothing is owed; the totals of the coin are `count_trade`'s.
    #[inline]
    pub fn settle_at_par(&mut self, place: u32, by: &Settlement) -> Booked {
        let slot = &mut self.slots[place as usize];
        let account = &mut self.accounts[slot.account as usize];
        let purse = &mut self.purses[slot.purse as usize];
        let detail = &mut self.details[place as usize];
        let was_flat = slot.position.lots == 0;
        let is_flat = by.position.lots == 0;
        account.open_positions += u16::from(was_flat);
        account.open_positions -= u16::from(is_flat);
        (slot.position, slot.open_orders) = (by.position, by.orders);
        let more = by.margin.less(&std::mem::replace(&mut slot.margin, by.margin));
        purse.wallet += i128::from(by.change());
        add_at_par(purse, account, by.change(), &more);
        let (realised, fee) = (i128::from(by.realised), i128::from(by.fee));
        detail.count_realised((by.lots, by.closed_lots, by.position.lots), realised, fee);
        Booked {
            id: account.id,
            wallet: purse.wallet,
            realised: detail.realised,
            is_breached: account.is_breached(),
        }
    }

    /// Counts a trade whose both sides were settled: what one bought, the other sold. The fees are still to be collected.
    #[inline]
    pub fn count_trade(&mut self, coin: CoinId, sides: [&Settlement; 2]) {
        let totals = &mut self.totals[usize::from(coin.0)];
        for side in sides {
            totals.wallets += i128::from(side.change());
            totals.costs += i128::from(side.cost_change);
        }
        self.has_moved = true;
    }

    /// Replaces a slot's margin, after which nothing is owed.
    #[inline]
    pub fn margin_at_par(&mut self, slot: u32, margin: &Margin) {
        let slot = &mut self.slots[slot as usize];
        let purse = &mut self.purses[slot.purse as usize];
        let more = margin.less(&std::mem::replace(&mut slot.margin, *margin));
        add_at_par(purse, &mut self.accounts[slot.account as usize], 0, &more);
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
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "what it is given would be read back at another width, which stalls"
    )]
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
            worth.order_loss += i128::from(more_loss);
        };
        purse.margin.order_initial += i128::from(more);
        purse.margin.order_loss += i128::from(more_loss);
        purse.add_worth(add);
        add(&mut account.worth);
    }
}

/// Adds to the sums of a purse in a coin worth one USD, and as much to its account's.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a few additions")]
fn add_at_par(purse: &mut Purse, account: &mut Account, change: i64, more: &Margin) {
    purse.margin.add(more);
    let balance = i128::from(change + more.unrealised);
    let initial = i128::from(more.position_initial + more.order_initial);
    let add = |worth: &mut Worth| {
        worth.balance += balance;
        worth.initial += initial;
        worth.maintenance += i128::from(more.maintenance);
        worth.order_loss += i128::from(more.order_loss);
    };
    purse.add_worth(add);
    add(&mut account.worth);
}
