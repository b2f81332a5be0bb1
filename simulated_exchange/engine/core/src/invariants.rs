//! Stage 8: what must hold after every command. `assert_invariants` reads running totals and costs the same
//! whatever the size of the venue; `check_invariants` recomputes everything and is for tests and verification.

use crate::account::Ledger;
use crate::exchange::{Exchange, Fatal, FEES, INSURANCE, TAKEOVER};
use crate::order::Order;
use crate::types::Side;
use crate::view::Conservation;

type Check = Result<(), &'static str>;

fn holds(truth: bool, invariant: &'static str) -> Check {
    if truth {
        Ok(())
    } else {
        Err(invariant)
    }
}

impl Exchange {
    /// The invariants that running totals show.
    pub(crate) fn assert_invariants(&self) -> Check {
        let ledger = &self.ledger;
        let delta = ledger.wallets - ledger.costs - ledger.deposits + ledger.withdrawals;
        holds(delta == 0, "wallets less entry costs equal deposits less withdrawals")?;
        holds(ledger.unbalanced == 0, "signed positions of every instrument sum to zero")?;
        holds(ledger.account(INSURANCE).wallet >= 0, "insurance fund is not below zero")
    }

    /// Recomputes every invariant from scratch.
    pub fn check_invariants(&self) -> Result<(), Fatal> {
        let checks = || -> Check {
            self.assert_invariants()?;
            self.check_totals()?;
            (0..self.instruments.len()).try_for_each(|index| self.check_book(index))?;
            self.check_slots()
        };
        checks().map_err(|invariant| Fatal { invariant, command: self.commands })
    }

    /// The venue's books, recomputed from every account and position.
    pub fn conservation(&self) -> Conservation {
        let ledger = &self.ledger;
        let wallets = ledger.accounts().iter().map(|account| account.wallet).sum();
        let slots = |index: usize| ledger.members(index).iter().map(|slot| ledger.slot(*slot));
        let count = self.instruments.len();
        let entry_costs = (0..count).flat_map(slots).map(|slot| slot.position.cost).sum();
        let qty_sum = |index: usize| {
            slots(index).map(|slot| i128::from(slot.position.lots)).sum::<i128>()
                * i128::from(self.instruments[index].spec.qty_step.0)
        };
        Conservation {
            delta: wallets - entry_costs - ledger.deposits + ledger.withdrawals,
            wallets,
            entry_costs,
            insurance_fund: ledger.account(INSURANCE).wallet,
            fees: ledger.account(FEES).wallet,
            deposits: ledger.deposits,
            withdrawals: ledger.withdrawals,
            position_qty_sums: (0..count).map(qty_sum).collect(),
        }
    }

    fn check_totals(&self) -> Check {
        let books = self.conservation();
        holds(books.delta == 0, "conservation, recomputed")?;
        holds(books.wallets == self.ledger.wallets, "running total of wallets")?;
        holds(books.entry_costs == self.ledger.costs, "running total of entry costs")?;
        holds(books.position_qty_sums.iter().all(|sum| *sum == 0), "positions, recomputed, sum to zero")
    }

    fn check_book(&self, index: usize) -> Check {
        let book = &self.books[index];
        if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) {
            holds(bid < ask, "book is not crossed")?;
        }
        for side in [Side::Buy, Side::Sell] {
            for ticks in book.prices(side) {
                let mut lots = 0_i64;
                for order in book.queue(&self.orders, side, ticks) {
                    let order = self.orders.get(order);
                    let at_home = order.side == side && order.ticks() == ticks && order.leaves > 0;
                    holds(at_home && usize::from(order.instrument) == index, "order rests at its price")?;
                    lots = lots.saturating_add(order.leaves);
                }
                holds(lots == book.level(side, ticks).lots && lots > 0, "level holds its orders' lots")?;
            }
        }
        Ok(())
    }

    fn check_slots(&self) -> Check {
        let mut orders = 0;
        for (place, account) in self.ledger.accounts().iter().enumerate() {
            let mut sums = crate::margin::MarginSum::default();
            for slot in self.ledger.slots_of(u32::try_from(place).unwrap_or(u32::MAX)) {
                let slot_state = self.ledger.slot(slot);
                let index = usize::from(slot_state.instrument);
                let mark_ticks = self.markets[index].mark_ticks;
                let margin = slot_state.exposure(mark_ticks).margin(&self.instruments[index]);
                holds(margin == slot_state.margin, "margin of a slot is up to date")?;
                sums.replace(&crate::margin::Margin::default(), &margin);
                holds(slot_state.position.lots != 0 || slot_state.position.cost == 0, "flat means no cost")?;
                orders += self.check_orders(&self.ledger, slot)?;
            }
            holds(sums == account.margin, "margin of an account is the sum over its slots")?;
            let owes = account.wallet < 0 && account.margin.position_initial == 0;
            holds(!owes || place == TAKEOVER as usize, "an account without positions owes nothing")?;
        }
        holds(orders == self.orders.len(), "every live order belongs to one account")
    }

    fn check_orders(&self, ledger: &Ledger, slot: u32) -> Result<usize, &'static str> {
        let owner = ledger.slot(slot);
        let listed = &self.instruments[usize::from(owner.instrument)];
        let resting: Vec<&Order> = self.orders.of(owner.orders).map(|order| self.orders.get(order)).collect();
        for side in [Side::Buy, Side::Sell] {
            let at = usize::from(side.to_wire());
            let sums = |reduce_only: bool| {
                let of_kind =
                    resting.iter().filter(|order| order.side == side && order.reduce_only == reduce_only);
                of_kind.fold((0_i64, 0_i128), |(lots, value), order| {
                    (lots + order.leaves, value + listed.value(order.leaves, order.ticks()))
                })
            };
            let opening = (owner.open_orders.lots[at], i128::from(owner.open_orders.value[at]));
            holds(sums(false) == opening, "sums of opening orders")?;
            holds(sums(true).0 == ledger.detail(slot).reduce_only_lots[at], "sums of reduce-only orders")?;
            holds(sums(true).0 <= owner.reducible(side), "reduce-only orders fit the position")?;
        }
        holds(resting.len() == owner.orders.count as usize, "count of an account's orders")?;
        Ok(resting.len())
    }
}
