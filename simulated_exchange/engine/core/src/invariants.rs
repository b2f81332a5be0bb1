//! Stage 9: what must hold after every command. `assert_invariants` reads running totals and costs the same
//! whatever the size of the venue; `check_invariants` recomputes everything and is for tests and verification.

use crate::account::Ledger;
use crate::exchange::{Exchange, Fatal, FEES, LENDING, TAKEOVER};
use crate::margin::{Margin, MarginSum};
use crate::order::{Order, NONE};
use crate::purse::Worth;
use crate::terms::{StopKind, TriggerBy};
use crate::triggers::Waiting;
use crate::types::{CoinId, MarginMode, PoolId, Price, Side};
use crate::view::{CoinConservation, Conservation};

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
        let adds_up = ledger.totals.iter().all(|totals| totals.delta() == 0);
        holds(adds_up, "wallets less entry costs equal deposits less withdrawals, coin by coin")?;
        holds(ledger.unbalanced == 0, "signed positions of every instrument sum to zero")?;
        let solvent = |pool: &u16| ledger.purse(self.pool_purse(PoolId(*pool))).wallet >= 0;
        holds(
            (0_u16..).take(self.pools.len()).all(|pool| solvent(&pool)),
            "no insurance pool is below zero",
        )?;
        let due = crate::lending::interest_hours(self.market_ms);
        holds(self.lending.interest_hour <= due, "no hour of interest is charged before it is due")
    }

    /// Recomputes every invariant from scratch.
    pub fn check_invariants(&self) -> Result<(), Fatal> {
        let checks = || -> Check {
            self.assert_invariants()?;
            self.check_totals()?;
            self.coin_ids().try_for_each(|coin| self.check_loans(coin))?;
            let resting = (0..self.instruments.len()).map(|index| self.check_book(index));
            let resting: usize = resting.sum::<Result<_, _>>()?;
            holds(resting == self.orders.len(), "every live order rests")?;
            self.check_insurance()?;
            self.check_accounts()?;
            self.check_waiting()
        };
        checks().map_err(|invariant| Fatal { invariant, command: self.commands })
    }

    /// The venue's books, recomputed from every account and position.
    pub fn conservation(&self) -> Conservation {
        let ledger = &self.ledger;
        let count = self.instruments.len();
        let slots = |index: usize| ledger.members(index).iter().map(|slot| ledger.slot(*slot));
        let qty_sum = |index: usize| {
            slots(index).map(|slot| i128::from(slot.position.lots)).sum::<i128>()
                * i128::from(self.instruments[index].spec.qty_step.0)
        };
        let coins = (0_u16..).map(CoinId).zip(&ledger.totals).map(|(coin, totals)| {
            let settled = (0..count).filter(|index| self.instruments[*index].settle == coin);
            let purses = ledger.purses().iter().filter(|purse| purse.coin == coin);
            let pools = (0_u16..).zip(&self.pools).filter(|(_, pool)| pool.coin == coin);
            let fees = ledger.find_purse(FEES, coin);
            let wallets = purses.map(|purse| purse.wallet + purse.extras().funding).sum();
            let entry_costs = settled.flat_map(slots).map(|slot| slot.position.cost).sum();
            CoinConservation {
                coin,
                delta: wallets - entry_costs - totals.deposits + totals.withdrawals,
                wallets,
                entry_costs,
                insurance: pools.map(|(at, _)| ledger.purse(self.pool_purse(PoolId(at))).wallet).sum(),
                fees: fees.map_or(0, |purse| ledger.purse(purse).wallet),
                lending: ledger.find_purse(LENDING, coin).map_or(0, |purse| ledger.purse(purse).wallet),
                loans: ledger.loans.total(coin),
                deposits: totals.deposits,
                withdrawals: totals.withdrawals,
            }
        });
        Conservation { coins: coins.collect(), position_qty_sums: (0..count).map(qty_sum).collect() }
    }

    fn check_totals(&self) -> Check {
        let books = self.conservation();
        for (coin, totals) in books.coins.iter().zip(&self.ledger.totals) {
            holds(coin.delta == 0, "conservation, recomputed")?;
            holds(coin.wallets == totals.wallets, "running total of wallets")?;
            holds(coin.entry_costs == totals.costs, "running total of entry costs")?;
        }
        holds(books.position_qty_sums.iter().all(|sum| *sum == 0), "positions, recomputed, sum to zero")
    }

    /// Loans of a coin, and the pool they come from, recomputed.
    fn check_loans(&self, coin: CoinId) -> Check {
        let (mut total, mut spot, mut borrowers) = (0, 0, 0);
        for purse in self.ledger.purses().iter().filter(|purse| purse.coin == coin) {
            let owed = purse.owed();
            holds(owed.total() == purse.extras().borrowed, "loan of a purse is up to date")?;
            holds(
                purse.extras().spot_borrow >= 0 && purse.extras().funding >= 0,
                "nobody owes less than nothing",
            )?;
            let listed = self.ledger.loans.borrowers(coin).contains(&purse.account);
            holds(listed == (purse.extras().borrowed > 0), "list of borrowers")?;
            (total, spot) = (total + purse.extras().borrowed, spot + purse.extras().spot_borrow);
            borrowers += usize::from(purse.extras().borrowed > 0);
        }
        let loans = &self.ledger.loans;
        holds(total == loans.total(coin) && spot == loans.spot(coin), "running totals of loans")?;
        holds(borrowers == loans.borrowers(coin).len(), "count of borrowers")?;
        let books = self.pool_books(coin);
        let held: i128 = self.lending.holdings().filter(|row| row.0 == coin).map(|row| row.2).sum();
        holds(held == books.shares, "shares of a pool are its suppliers'")?;
        holds(books.cash >= 0, "a lending pool lends no cash that it does not have")?;
        holds(books.shares <= books.assets(), "a share of a lending pool never loses")?;
        let totals = &self.ledger.totals[usize::from(coin.0)];
        holds(totals.withdrawals <= totals.deposits, "the venue pays out no coin that it does not have")
    }

    /// Checks one book; returns how many orders rest in it.
    fn check_book(&self, index: usize) -> Result<usize, &'static str> {
        let mut resting = 0;
        let book = &self.books[index];
        if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) {
            holds(bid < ask, "book is not crossed")?;
        }
        for side in [Side::Buy, Side::Sell] {
            for ticks in book.prices(side) {
                let (mut lots, mut last) = (0_i64, NONE);
                for place in book.queue(&self.orders, side, ticks) {
                    (last, resting) = (place, resting + 1);
                    let order = self.orders.get(place);
                    let at_home = order.side == side && order.ticks() == ticks && order.leaves > 0;
                    holds(at_home && usize::from(order.instrument) == index, "order rests at its price")?;
                    lots = lots.saturating_add(order.leaves);
                }
                let level = book.level(side, ticks);
                holds(lots == level.lots && lots > 0, "level holds its orders' lots")?;
                holds(last == level.tail, "a level knows its youngest order")?;
            }
        }
        Ok(resting)
    }

    /// What the take-over account holds is what contracts lost beyond their pools, and nothing else.
    fn check_insurance(&self) -> Check {
        for (coin, owed) in (0_u16..).map(CoinId).zip(&self.insurance.owed) {
            let settled = (0..self.instruments.len()).filter(|index| self.instruments[*index].settle == coin);
            let each: Vec<i128> = settled.map(|index| self.insurance.contracts[index].owed).collect();
            let own = self.ledger.find_purse(TAKEOVER, coin);
            let wallet = own.map_or(0, |purse| self.ledger.purse(purse).wallet);
            holds(each.iter().all(|owed| *owed >= 0), "no contract owes less than nothing")?;
            holds(each.iter().sum::<i128>() == *owed, "sum of what contracts owe")?;
            holds(wallet == -owed, "the take-over account holds nothing of its own")?;
        }
        Ok(())
    }

    fn check_accounts(&self) -> Check {
        let mut orders = 0;
        for (place, account) in (0_u32..).zip(self.ledger.accounts()) {
            let mut worth = Worth::default();
            for purse in self.ledger.purses_of(place) {
                let held = self.ledger.purse(purse);
                let coin = &self.ledger.coins()[usize::from(held.coin.0)];
                let fresh = held.worth_at(coin, self.ledger.coin_price(held.coin));
                holds(fresh == held.worth(), "worth of a purse is up to date")?;
                worth.replace(&Worth::default(), &fresh);
                holds(self.margin_of(purse) == held.margin, "margin of a purse is the sum over its slots")?;
                holds(
                    self.held_of(place, held.coin) == held.extras().locked,
                    "what spot orders hold of a coin",
                )?;
                holds(
                    self.assigned_of(purse) == held.extras().isolated,
                    "assigned margin is the sum over positions",
                )?;
            }
            holds(worth == account.worth, "worth of an account is the sum over its purses")?;
            let mut open = 0;
            for slot in self.ledger.slots_of(place) {
                open += u16::from(self.ledger.slot(slot).position.lots != 0);
                orders += self.check_slot(slot)?;
            }
            holds(open == account.open_positions, "count of an account's open positions")?;
        }
        holds(orders == self.orders.len(), "every live order belongs to one account")
    }

    /// Every waiting order belongs to the account that placed it, and no price has reached it.
    fn check_waiting(&self) -> Check {
        holds(self.triggers.is_sound(), "waiting orders are where they are looked for")?;
        for waiting in self.triggers.all() {
            let (slot, order) = (self.ledger.slot(waiting.slot), &waiting.order);
            let owner = self.ledger.account(slot.account).id;
            let place = (owner, slot.instrument, slot.index);
            holds(
                place == (order.account.0, order.instrument.0, order.position_index),
                "a waiting order belongs to its account",
            )?;
            let has_traded = self.markets[usize::from(slot.instrument)].last_ticks > 0;
            let by = order.terms.trigger_by;
            let price = self.price_by(usize::from(slot.instrument), by).0;
            let is_known = has_traded || by != TriggerBy::LastPrice;
            holds(
                waiting.is_due || !is_known || !self.triggers.is_reached(waiting, price),
                "no waiting order is forgotten",
            )?;
            if waiting.kind.is_exit() {
                self.check_exit_order(waiting)?;
            }
        }
        Ok(())
    }

    /// What ends a position closes it, is one of its kind or of a pair, and is no more than there is to close.
    fn check_exit_order(&self, waiting: &Waiting) -> Check {
        let (slot, order) = (self.ledger.slot(waiting.slot), &waiting.order);
        holds(slot.has_exits, "a position knows what is to end it")?;
        holds(slot.reducible(order.side) > 0, "what ends a position closes it")?;
        let of_kind = self.triggers.of(waiting.slot).filter(|other| other.kind == waiting.kind);
        if waiting.kind.is_partial() {
            let lots = self.partial_lots(waiting.slot, waiting.kind);
            holds(lots <= slot.position.lots.abs(), "parts that are to be closed fit the position")?;
            let partner =
                self.triggers.get(waiting.partner).map(|partner| (partner.partner, partner.order.qty));
            let is_paired = waiting.partner == 0 || partner == Some((waiting.id, order.qty));
            holds(is_paired, "a take-profit and its stop-loss know each other")
        } else {
            let waits = of_kind.filter(|other| !other.is_due).count();
            holds(waits <= 1, "a position has one take-profit, stop-loss and trailing stop")?;
            let is_trailing = waiting.kind == StopKind::TrailingStop;
            holds(is_trailing == (waiting.distance > Price(0)), "a trailing stop has a distance")
        }
    }

    fn margin_of(&self, purse: u32) -> MarginSum {
        let mut sum = MarginSum::default();
        for slot in self.ledger.slots_of(self.ledger.purse(purse).account) {
            let slot = self.ledger.slot(slot);
            if slot.purse == purse {
                sum.replace(&Margin::default(), &slot.counted(&slot.margin));
            }
        }
        sum
    }

    fn assigned_of(&self, purse: u32) -> i128 {
        let slots = self.ledger.slots_of(self.ledger.purse(purse).account);
        let own = slots.into_iter().filter(|slot| self.ledger.slot(*slot).purse == purse);
        own.map(|slot| self.ledger.detail(slot).extras().assigned).sum()
    }

    /// What an account's resting spot orders hold of a coin.
    fn held_of(&self, account: u32, coin: CoinId) -> i128 {
        let slots = self.ledger.slots_of(account).into_iter().map(|slot| self.ledger.slot(slot));
        let orders = slots.filter(|slot| slot.is_spot).flat_map(|slot| self.orders.of(slot.orders));
        let own = orders.map(|order| self.orders.get(order)).filter(|order| {
            let listed = &self.instruments[usize::from(order.instrument)];
            coin == if order.side == Side::Buy { listed.settle } else { listed.base.unwrap_or(coin) }
        });
        let resting: i128 = own.map(|order| self.held_by(order)).sum();
        let slots = self.ledger.slots_of(account).into_iter();
        let waiting = slots.flat_map(|slot| self.triggers.of(slot)).filter(|waiting| {
            let listed = &self.instruments[usize::from(waiting.order.instrument.0)];
            let is_buy = waiting.order.side == Side::Buy;
            waiting.kind.holds() && coin == if is_buy { listed.settle } else { listed.base.unwrap_or(coin) }
        });
        resting + waiting.map(|waiting| self.held_beside(waiting)).sum::<i128>()
    }

    /// Checks one slot; returns how many orders it has.
    fn check_slot(&self, slot: u32) -> Result<usize, &'static str> {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let mark_ticks = self.markets[index].mark_ticks;
        let margin = held.exposure(mark_ticks).margin(&self.instruments[index]);
        holds(margin == held.margin, "margin of a slot is up to date")?;
        holds(held.position.lots != 0 || held.position.cost == 0, "flat means no cost")?;
        let assigned = self.ledger.detail(slot).extras().assigned;
        let may_be_assigned = held.is_isolated && held.position.lots != 0;
        holds(
            assigned == 0 || (may_be_assigned && assigned > 0),
            "margin is assigned to isolated positions",
        )?;
        let mode = self.ledger.account(held.account).margin_mode;
        holds(held.is_isolated == (mode == MarginMode::Isolated), "slots follow the margin mode")?;
        self.check_orders(&self.ledger, slot)
    }

    fn check_orders(&self, ledger: &Ledger, slot: u32) -> Result<usize, &'static str> {
        let owner = ledger.slot(slot);
        let listed = &self.instruments[usize::from(owner.instrument)];
        let places: Vec<u32> = self.orders.of(owner.orders).collect();
        let resting: Vec<&Order> = places.iter().map(|order| self.orders.get(*order)).collect();
        let is_own = |order: &&Order| {
            (order.slot, order.account, order.instrument) == (slot, owner.account, owner.instrument)
                && (1..=listed.max_ticks).contains(&order.ticks())
                && (order.leaves..=order.lots.max(order.leaves)).contains(&order.lots)
        };
        holds(resting.iter().all(is_own), "an order is its account's")?;
        let youngest = places.last().copied().unwrap_or(NONE);
        holds(owner.orders.youngest == youngest, "a list knows its youngest order")?;
        for side in [Side::Buy, Side::Sell] {
            let at = usize::from(side.to_wire());
            let leverage = i64::from(owner.leverage);
            let sums = |reduce_only: bool| {
                let of_kind =
                    resting.iter().filter(|order| order.side == side && order.reduce_only == reduce_only);
                of_kind.fold((0_i64, 0_i128, 0_i128), |(lots, size, cost), order| {
                    let (leaves, ticks) = (order.leaves, order.ticks());
                    let own = listed.size(leaves, ticks);
                    let its_cost = listed.order_cost(own, side, leverage);
                    (lots + leaves, size + i128::from(own), cost + i128::from(its_cost))
                })
            };
            let kept: i128 =
                resting.iter().filter(|order| order.side == side).map(|order| i128::from(order.cost)).sum();
            holds(kept == sums(false).2, "costs kept with the orders")?;
            let open = owner.open_orders.of(side);
            let opening = (open.lots, i128::from(open.size), i128::from(open.cost));
            holds(sums(false) == opening, "sums of opening orders")?;
            holds(
                sums(true).0 == ledger.detail(slot).extras().reduce_only_lots[at],
                "sums of reduce-only orders",
            )?;
            holds(sums(true).0 <= owner.reducible(side), "reduce-only orders fit the position")?;
        }
        holds(resting.len() == owner.orders.count as usize, "count of an account's orders")?;
        Ok(resting.len())
    }
}
