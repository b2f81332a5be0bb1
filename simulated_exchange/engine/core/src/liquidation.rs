//! Stage 8, liquidation of a cross-margined account: rules 5.3 and 5.4.
//!
//! When the maintenance margin is no longer covered, step by step until it is:
//!
//! 1. spot orders are cancelled, then all others;
//! 2. what the account owes is repaid by selling its collateral (`borrowing`);
//! 3. longs and shorts in one contract are closed against each other;
//! 4. positions above the lowest tier are reduced in the real book (`reduction`), no worse than the price at which
//!    everything that stands behind the account is used up;
//! 5. all it owns is turned into the coins of its positions (`realisation`), and what remains of them taken over at the
//!    price at which the account has exactly nothing left. The taker fee of the take-over comes first, as far as that goes.
//!    What is still owed, because there is no position or a coin has no price, the insurance pools of the coins pay.
//!
//! Isolated positions go their own way (`position_liquidation`): while an account has any, only its spot orders are
//! cancelled and its debts repaid, and what it owes beyond that waits for what the positions release.
//!
//! Work per command is bounded; accounts beyond the bound stay due and are served by the next command.

use crate::event::EventKind;
use crate::exchange::{Exchange, TAKEOVER};
use crate::fixed::{mul_div_floor, saturate};
use crate::margin::price_of;
use crate::matching::{fee_of, FeeRule, Leg};
use crate::reduction::bankruptcy_ticks;
use crate::types::{
    AccountId, CancelReason, CoinId, FillKind, InstrumentId, MarginMode, Money, PositionIndex, Price, Side,
    WalletReason,
};

/// Accounts liquidated per command.
pub const LIQUIDATIONS_MAX: usize = 64;
/// Reducing orders per liquidated account before the rest is taken over.
pub const LADDER_STEPS_MAX: usize = 32;

impl Exchange {
    /// Liquidates what is due, then works what the venue has taken over.
    pub(crate) fn liquidate(&mut self, time_passed: bool) {
        if !time_passed && self.touched.is_empty() && self.pending.is_empty() && self.taken_over.is_empty() {
            return;
        }
        if time_passed {
            self.sample_pools();
        }
        self.note_breaches();
        for _ in 0..LIQUIDATIONS_MAX {
            let Some(account) = self.pending.pop_first() else { break };
            self.liquidate_account(account);
            self.note_breaches();
        }
        if time_passed {
            for instrument in 0..self.instruments.len() {
                self.work_takeover(instrument);
            }
        } else if !self.taken_over.is_empty() {
            let fresh = std::mem::take(&mut self.taken_over);
            for instrument in fresh {
                self.work_takeover(instrument);
            }
        }
        self.taken_over.clear();
        self.note_breaches();
    }

    /// Moves accounts that lost their cover in this command to the list of the due.
    fn note_breaches(&mut self) {
        while let Some(account) = self.touched.pop() {
            let is_due = self.ledger.account(account).is_breached() && self.has_anything(account);
            if is_due || self.has_breached_position(account) {
                self.pending.insert(account);
            }
        }
    }

    fn liquidate_account(&mut self, account: u32) {
        self.liquidate_positions(account);
        let owner = self.ledger.account(account);
        if !owner.is_breached() {
            return;
        }
        let (margin_balance, maintenance_margin) =
            (Money(saturate(owner.worth.balance)), Money(saturate(owner.worth.maintenance)));
        let id = AccountId(owner.id);
        self.emit(EventKind::LiquidationStarted { account: id, margin_balance, maintenance_margin });
        let stands_apart = self.has_isolated_position(account);
        self.cancel_spot_orders(account);
        if self.ledger.account(account).is_breached() && !stands_apart {
            self.cancel_everywhere(account, CancelReason::Liquidation);
        }
        if self.ledger.account(account).is_breached() {
            self.cover_debts(account);
        }
        if self.ledger.account(account).is_breached() && !stands_apart {
            self.take_positions(account);
        }
        self.touch(account);
    }

    /// An account in isolated margin whose positions stand for themselves, whatever it owes besides.
    pub(crate) fn has_isolated_position(&self, account: u32) -> bool {
        let owner = self.ledger.account(account);
        owner.margin_mode == MarginMode::Isolated && owner.open_positions > 0
    }

    /// Steps 3 to 5: what orders and collateral did not mend.
    fn take_positions(&mut self, account: u32) {
        self.net_hedges(account);
        for _ in 0..LADDER_STEPS_MAX {
            if !self.ledger.account(account).is_breached() || !self.step_down_any(account) {
                break;
            }
        }
        if self.ledger.account(account).is_breached() {
            self.take_over(account);
        }
    }

    /// Spot orders go first: they tie up collateral, and borrow.
    fn cancel_spot_orders(&mut self, account: u32) {
        for index in 0..self.instruments.len() {
            if !self.instruments[index].is_contract() {
                self.cancel_orders(account, index, CancelReason::Liquidation);
            }
        }
        for slot in self.ledger.slots_of(account) {
            self.cancel_waiting(slot, CancelReason::Liquidation, |waiting| waiting.kind.holds());
        }
    }

    /// Closes the longs and shorts that the account holds side by side against each other: only the net side is at risk.
    fn net_hedges(&mut self, account: u32) {
        for slot in self.ledger.slots_of(account) {
            let held = self.ledger.slot(slot);
            let index = usize::from(held.instrument);
            let short = self.ledger.find_slot(account, index, PositionIndex::HedgeSell);
            if let (PositionIndex::HedgeBuy, Some(short)) = (held.index, short) {
                self.net_legs(slot, short);
            }
        }
    }

    /// Reduces the account's positions above the lowest tier towards the tier below; true as soon as one filled.
    fn step_down_any(&mut self, account: u32) -> bool {
        self.ledger.slots_of(account).into_iter().any(|slot| {
            let held = self.ledger.slot(slot);
            let equity = self.reach(account, self.settle_of(slot));
            if equity <= 0 || held.position.lots == 0 {
                return false;
            }
            let index = usize::from(held.instrument);
            let mark_ticks = self.markets[index].mark_ticks;
            // no worse than the price at which closing everything would leave nothing
            let bankruptcy =
                bankruptcy_ticks(&self.instruments[index], held.position.lots, mark_ticks, equity);
            self.step_down(slot, bankruptcy)
        })
    }

    /// Turns everything the account owns into the coins of its positions and takes them over, coin by coin, so that
    /// exactly nothing is left in the coin and nothing owed.
    fn take_over(&mut self, account: u32) {
        self.realise(account);
        let open = |slot: &u32| self.ledger.slot(*slot).position.lots != 0;
        let slots: Vec<u32> = self.ledger.slots_of(account).into_iter().filter(open).collect();
        let mut coins: Vec<CoinId> = slots.iter().map(|slot| self.settle_of(*slot)).collect();
        coins.sort_unstable();
        coins.dedup();
        for coin in coins {
            let in_coin = slots.iter().copied().filter(|slot| self.settle_of(*slot) == coin).collect();
            self.take_over_coin(in_coin);
        }
        for purse in self.ledger.purses_of(account) {
            self.pay_back(purse, i128::MAX);
        }
        self.absorb_debts(account);
    }

    /// Each position bears its share, by size, of what is left in the coin; of what is missing, by its own loss, so that no
    /// contract's loss becomes that of another one's pool. One that can owe no more than its price goes first.
    fn take_over_coin(&mut self, mut slots: Vec<u32>) {
        slots.sort_by_key(|slot| self.ledger.slot(*slot).position.lots > 0);
        for slot in &slots {
            self.charge_takeover_fee(*slot);
        }
        let Some(first) = slots.first() else { return };
        let equity = self.ledger.purse(self.ledger.slot(*first).purse).equity();
        let losses: i128 = slots.iter().map(|slot| self.loss_at_mark(*slot)).sum();
        let by_loss = equity < 0 && losses > 0;
        let weight = |exchange: &Self, slot: u32| {
            if by_loss {
                exchange.loss_at_mark(slot)
            } else {
                exchange.mark_value(slot).abs()
            }
        };
        let weights: Vec<i128> = slots.iter().map(|slot| weight(self, *slot)).collect();
        let total: i128 = weights.iter().sum();
        let mut left = equity;
        for (place, (slot, weight)) in slots.iter().zip(weights).enumerate() {
            let value = self.mark_value(*slot);
            let is_last = place + 1 == slots.len();
            let share = mul_div_floor(equity, weight, total);
            let share = if is_last { left } else { share.max(self.lot_value(*slot) - value.abs()) };
            left -= share;
            self.take_over_at_value(*slot, value - share);
        }
    }

    /// What a position loses at the mark; 0 for a gain.
    pub(crate) fn loss_at_mark(&self, slot: u32) -> i128 {
        (-i128::from(self.ledger.slot(slot).margin.unrealised)).max(0)
    }

    pub(crate) fn settle_of(&self, slot: u32) -> CoinId {
        self.instruments[usize::from(self.ledger.slot(slot).instrument)].settle
    }

    /// Size of a position at the price where it is worth least.
    fn lot_value(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        let listed = &self.instruments[usize::from(held.instrument)];
        let cheapest = if listed.direction > 0 { 1 } else { listed.max_ticks };
        listed.value(held.position.lots, cheapest).abs()
    }

    pub(crate) fn mark_value(&self, slot: u32) -> i128 {
        let slot = self.ledger.slot(slot);
        let index = usize::from(slot.instrument);
        self.instruments[index].value(slot.position.lots, self.markets[index].mark_ticks)
    }

    fn charge_takeover_fee(&mut self, slot: u32) {
        let (index, purse) = (usize::from(self.ledger.slot(slot).instrument), self.ledger.slot(slot).purse);
        let fee = fee_of(self.mark_value(slot), self.instruments[index].spec.taker_fee);
        let fee = fee.min(self.ledger.purse(purse).equity().max(0));
        let fees = self.fee_purse(self.instruments[index].settle);
        self.ledger.credit(purse, -fee);
        self.ledger.credit(fees, fee);
        self.ledger.detail_mut(slot).realised -= fee;
        self.emit_wallet(purse, -fee, WalletReason::TakeOver);
    }

    fn take_over_at_value(&mut self, slot: u32, value: i128) {
        let held = self.ledger.slot(slot);
        let listed = &self.instruments[usize::from(held.instrument)];
        let lots = held.position.lots;
        let toward = i128::from(lots.signum() * listed.direction);
        let price = Price(saturate(price_of(value * toward, lots, listed)));
        self.take_over_position(slot, value, price, FeeRule::None);
    }

    /// Hands one position to the take-over account at a signed value; the price is told.
    pub(crate) fn take_over_position(&mut self, slot: u32, value: i128, price: Price, fee: FeeRule) {
        let owner = self.ledger.slot(slot);
        let (index, lots) = (usize::from(owner.instrument), owner.position.lots);
        let instrument = InstrumentId(owner.instrument);
        let account = AccountId(self.ledger.account(owner.account).id);
        let listed = &self.instruments[index];
        let side = Side::of_position(lots);
        let (qty, position_index) = (listed.qty(lots), owner.index);
        let apart = if lots > 0 { PositionIndex::HedgeBuy } else { PositionIndex::HedgeSell };
        let taker = self.ledger.slot_for(TAKEOVER, index, apart, listed);
        self.emit(EventKind::TakenOver { account, instrument, position_index, qty, bankruptcy_price: price });
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            slot,
            side: side.opposite(),
            lots: lots.abs(),
            value: -value,
            price,
            fee,
            is_maker: false,
            leaves: 0,
            kind: FillKind::TakeOver,
        };
        self.settle(&leg);
        self.settle(&Leg { slot: taker, side, value, fee: FeeRule::None, is_maker: true, ..leg });
        self.taken_over.insert(index);
    }
}
