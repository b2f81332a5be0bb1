//! Liquidation and take-over: rules 5. When an account's maintenance margin is no longer covered, its orders are
//! cancelled; if that does not help, longs and shorts of his in one contract are closed against each other; positions above the lowest tier are reduced in the book, one order at a time, by
//! what stands above the tier below; what still does not hold is taken over at the price where nothing is left.
//!
//! The due are served by their place in the list of accounts, so many per command. After each the others are looked at
//! again, because his orders may have moved them. Then the venue works off what it has taken over (see `adl`).
//!
//! - A reducing order goes to the first position, by instrument, that can be reduced and finds somebody. It is limited by
//!   the account's bankruptcy as if this position alone used up the coin's equity, rounded towards the mark to the tick,
//!   and by the price band. It pays the taker fee as far as the margin balance goes. It has a number, and is not sent where
//!   it would meet nobody; or, by the venue's choice, where it would not fill whole.
//! - Take-over, coin by coin: first the taker fee of each position at the mark, as far as the coin's equity goes; then
//!   each position bears its share of the coin's equity by size at the mark, rounded down, the last one what is left. Short
//!   positions come first. None bears more than its size at the mark less its size at the best price there is for it.

use exchange_core::limits::{LADDER_STEPS_MAX, LIQUIDATIONS_MAX};
use exchange_core::{
    AccountId, CancelReason, CoinId, CreateType, EventKind, FillKind, LinkId, Money, OrderId, OrderType,
    PositionIndex, SelfMatch, StopKind, TimeInForce, WalletReason,
};

use crate::contract::{side_of, sign, Contract, ONE};
use crate::matching::{FeeRule, Incoming, Leg};
use crate::orders::{instrument_id, reaches, within_band};
use crate::rounding::{ceil, floor, shown};
use crate::state::{Key, State, FEES, TAKEOVER};

impl State {
    /// Serves the due, then works what was taken over: everywhere when time has passed, else only where something was
    /// taken over just now.
    pub fn liquidate(&mut self, time_passed: bool) {
        if time_passed {
            self.sample_pools();
        }
        self.note_breaches();
        for _ in 0..LIQUIDATIONS_MAX {
            let Some(account) = self.due.pop_first() else { break };
            self.liquidate_account(account);
            self.note_breaches();
        }
        for instrument in 0..self.contracts.len() {
            if time_passed || self.taken_over.contains(&instrument) {
                self.work_takeover(instrument);
            }
        }
        self.taken_over.clear();
        self.note_breaches();
    }

    fn note_breaches(&mut self) {
        for account in self.users() {
            let is_due = self.is_breached(account) && self.can_be_helped(account);
            if is_due || self.slots_of(account).into_iter().any(|key| self.is_position_breached(key)) {
                self.due.insert(account);
            }
        }
    }

    fn liquidate_account(&mut self, account: usize) {
        self.liquidate_positions(account);
        if !self.is_breached(account) {
            return;
        }
        let figures = self.figures(account);
        self.emit(EventKind::LiquidationStarted {
            account: AccountId(self.accounts[account].id),
            margin_balance: Money(shown(figures.balance)),
            maintenance_margin: Money(shown(figures.maintenance)),
        });
        let holds = self.slots_of(account).into_iter().any(|key| self.slot(key).qty != 0);
        let stand_for_themselves = holds && self.is_isolated(account);
        for instrument in 0..self.contracts.len() {
            if self.contracts[instrument].is_spot() {
                self.cancel_orders(account, Some(instrument), CancelReason::Liquidation);
            }
        }
        for key in self.slots_of(account) {
            self.cancel_waiting(key, CancelReason::Liquidation, |one| one.kind == StopKind::SpotTpSl);
        }
        if self.is_breached(account) && !stand_for_themselves {
            self.cancel_orders(account, None, CancelReason::Liquidation);
        }
        if self.is_breached(account) {
            self.cover_debts(account);
        }
        if stand_for_themselves {
            return;
        }
        if self.is_breached(account) {
            for instrument in 0..self.contracts.len() {
                let leg = |index| Key { account, instrument, index };
                self.close_legs([leg(PositionIndex::HedgeBuy), leg(PositionIndex::HedgeSell)]);
            }
        }
        for _ in 0..LADDER_STEPS_MAX {
            let stepped = self.is_breached(account)
                && self.slots_of(account).into_iter().any(|key| self.step_down_cross(key));
            if !stepped {
                break;
            }
        }
        if self.is_breached(account) {
            self.take_over(account);
        }
    }

    /// One step of a position that the whole account backs: no worse than where the coin's equity is used up.
    fn step_down_cross(&mut self, key: Key) -> bool {
        let contract = self.contract(key.instrument);
        let equity = self.reach(key.account, contract.settle);
        let (held, mark) = (self.slot(key).qty, self.markets[key.instrument].mark);
        equity > 0 && self.step_down(key, bankruptcy_price(&contract, held, mark, equity))
    }

    /// Reduces one position towards the tier below, no worse than at its bankruptcy; true when something filled.
    pub fn step_down(&mut self, key: Key, bankruptcy: i128) -> bool {
        let contract = self.contract(key.instrument);
        let (slot, mark) = (self.slot(key), self.markets[key.instrument].mark);
        let size = contract.size(slot.qty, mark);
        let tier = contract.tier_at(size);
        if slot.qty == 0 || tier == 0 {
            return false;
        }
        let step = contract.step();
        let excess = size - contract.tiers[tier - 1].limit;
        let steps = ceil(excess, contract.size(step, mark).max(1));
        let wanted = (steps * step).clamp(step, slot.qty.abs());
        let side = side_of(slot.qty).opposite();
        let limit = within_band(
            side,
            bankruptcy.clamp(contract.tick(), contract.highest()),
            self.band_edge(key.instrument, side),
        );
        let fee = FeeRule::AsFarAsItCan(contract.spec.taker_fee);
        let mut order = self.forced(key, wanted, limit, fee);
        let best = self.best(key.instrument, side.opposite());
        let meets = best.is_some_and(|best| reaches(side, limit, best));
        if !meets || self.fills_whole && self.sure_to_fill(&order) < wanted {
            return false;
        }
        self.last_order += 1;
        order.order_id = self.last_order;
        let (whole, some) = (TimeInForce::FillOrKill, TimeInForce::ImmediateOrCancel);
        let (account, instrument) = (AccountId(self.accounts[key.account].id), instrument_id(key.instrument));
        self.emit(EventKind::OrderAccepted {
            order_id: OrderId(order.order_id),
            account,
            instrument,
            position_index: key.index,
            side,
            order_type: OrderType::Limit,
            time_in_force: if self.fills_whole { whole } else { some },
            price: Contract::shown_price(limit),
            qty: Contract::shown_qty(wanted),
            reduce_only: true,
            link_id: LinkId::NONE,
            create_type: CreateType::Liquidation,
        });
        self.match_incoming(&mut order);
        if order.leaves > 0 {
            self.emit(EventKind::OrderCancelled {
                order_id: OrderId(order.order_id),
                account,
                instrument,
                leaves: Contract::shown_qty(order.leaves),
                reason: CancelReason::ImmediateOrCancel,
                counterparty: OrderId(0),
            });
        }
        order.leaves < wanted
    }

    /// An order the venue sends to close a position, or some of it.
    pub fn forced(&self, key: Key, qty: i128, limit: i128, fee: FeeRule) -> Incoming {
        Incoming {
            order_id: 0,
            key,
            side: side_of(self.slot(key).qty).opposite(),
            limit,
            leaves: qty,
            valued: limit,
            reduce_only: true,
            fee,
            kind: FillKind::Trade,
            blocked: false,
            self_match: SelfMatch::Allow,
            met: 0,
            filled_value: 0,
            fee_paid: 0,
        }
    }

    fn take_over(&mut self, account: usize) {
        for (source, sale, coin) in self.realisation(account) {
            self.sell(account, coin, &source, sale);
        }
        let open = |key: &Key| self.slot(*key).qty != 0;
        let keys: Vec<Key> = self.slots_of(account).into_iter().filter(open).collect();
        for coin in (0..self.coins.len()).filter_map(|at| u16::try_from(at).ok().map(CoinId)) {
            let in_coin = |key: &Key| self.contracts[key.instrument].settle == coin;
            let (shorts, longs): (Vec<Key>, Vec<Key>) =
                keys.iter().copied().filter(in_coin).partition(|key| self.slot(*key).qty < 0);
            self.take_over_coin(account, coin, &[shorts, longs].concat());
        }
        for coin in self.coin_ids() {
            self.pay_back(account, coin, i128::MAX);
        }
        self.absorb_debts(account);
    }

    fn take_over_coin(&mut self, account: usize, coin: CoinId, keys: &[Key]) {
        let size = |state: &Self, key: &Key| {
            state.contracts[key.instrument].size(state.slot(*key).qty, state.markets[key.instrument].mark)
        };
        for key in keys {
            let contract = self.contract(key.instrument);
            let fee = Contract::fee(size(self, key), contract.spec.taker_fee);
            let fee = fee.min(self.equity(account, coin).max(0));
            self.purse_mut(FEES, coin).wallet += fee;
            self.slot_mut(*key).realised -= fee;
            self.credit(account, coin, -fee, WalletReason::TakeOver);
        }
        let equity = self.equity(account, coin);
        // what is missing is borne by who lost, if anybody did; what is there goes to all
        let anybody_lost = keys.iter().any(|key| self.lost_at_mark(*key) > 0);
        let by_loss = equity < 0 && anybody_lost;
        let part = |key: &Key| if by_loss { self.lost_at_mark(*key) } else { size(self, key) };
        let parts: Vec<i128> = keys.iter().map(part).collect();
        let total: i128 = parts.iter().sum();
        let mut left = equity;
        for (at, (key, part)) in keys.iter().zip(&parts).enumerate() {
            let contract = self.contract(key.instrument);
            let slot = self.slot(*key);
            let size = size(self, key);
            let cheapest = if contract.spec.inverse { contract.highest() } else { contract.tick() };
            let at_most = size - contract.size(slot.qty, cheapest);
            let share =
                if at + 1 == keys.len() { left } else { floor(equity * part, total.max(1)).max(-at_most) };
            left -= share;
            let value = contract.value(slot.qty, self.markets[key.instrument].mark);
            let worth = value - share;
            let toward = sign(side_of(slot.qty)) * contract.direction();
            let price = contract.price_of(worth * toward, slot.qty);
            self.take_over_position(*key, worth, price, FeeRule::None);
        }
    }

    /// What a position loses at the mark; nothing for a gain.
    pub fn lost_at_mark(&self, key: Key) -> i128 {
        (-self.margin(key).unrealised).max(0)
    }

    /// Hands a position to the take-over account at a signed value; the price is told.
    pub fn take_over_position(&mut self, key: Key, value: i128, price: i128, fee: FeeRule) {
        let slot = self.slot(key);
        let side = side_of(slot.qty);
        let index = if slot.qty > 0 { PositionIndex::HedgeBuy } else { PositionIndex::HedgeSell };
        let venue = Key { account: TAKEOVER, instrument: key.instrument, index };
        self.emit(EventKind::TakenOver {
            account: AccountId(self.accounts[key.account].id),
            instrument: instrument_id(key.instrument),
            position_index: key.index,
            qty: Contract::shown_qty(slot.qty),
            bankruptcy_price: Contract::shown_price(price),
        });
        self.last_trade += 1;
        let leg = Leg {
            trade_id: self.last_trade,
            order_id: 0,
            key,
            side: side.opposite(),
            qty: slot.qty.abs(),
            value: -value,
            price,
            fee,
            is_maker: false,
            leaves: 0,
            kind: FillKind::TakeOver,
        };
        self.settle(&leg);
        self.settle(&Leg { key: venue, side, value, fee: FeeRule::None, is_maker: true, ..leg });
        self.taken_over.insert(key.instrument);
    }
}

/// Price, a whole tick, at which closing a position uses up an equity in the settlement coin, rounded towards the mark.
/// Where no price does, the highest.
fn bankruptcy_price(contract: &Contract, qty: i128, mark: i128, equity: i128) -> i128 {
    let tick = contract.tick();
    if qty == 0 {
        return mark;
    }
    if !contract.spec.inverse {
        let room = floor(equity, contract.size(qty, tick)); // in ticks
        return mark - qty.signum() * room * tick;
    }
    // a long inverse contract may grow by the equity in coin, a short one shrink
    let size = contract.size(qty, mark) + qty.signum() * equity;
    if size <= 0 {
        return contract.highest();
    }
    let exact = qty.abs() * ONE;
    tick * if qty > 0 { ceil(exact, size * tick) } else { floor(exact, size * tick) }
}
