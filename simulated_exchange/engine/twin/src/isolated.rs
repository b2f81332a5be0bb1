//! Isolated margin: each position is backed by what is assigned to it, out of the wallet of its coin, and by nothing else.
//! Rules 4.2, 4.4 and 5.2. The mode is the account's.
//!
//! - Free in a coin is the wallet less what is assigned and what orders hold. Orders need nothing else; no other coin helps.
//! - What opens assigns its initial margin: value entered / leverage, and the fee of closing at bankruptcy, each rounded up, at
//!   the leverage that counts after the fill. What closes gives back its share of what is assigned, rounded towards zero; the
//!   whole position all of it.
//! - *Stillborn* is an addition whose loss against the mark would leave no more of its own margin (value / leverage, rounded
//!   up, without fee) than the maintenance rate of its own size at the mark, or at its price where margin is on entry, asks for (rounded up, nothing deducted). Such an
//!   order is refused, such a fill is not borne.
//! - A closing fill is borne when, were the whole position closed at its price, what is assigned would cover loss and taker
//!   fee; not at all otherwise. An incoming order worse than its hold reckoned with opens no more than the free balance bears,
//!   by the cost of a single step.
//! - A limit at which the position would be breached, were it the mark, is refused, whichever side the order is on; not where
//!   it closes on a trigger.
//! - Margin is taken back only above the initial margin, an unrealised loss counted.
//! - Into isolated margin: every position takes its initial margin on entry; no coin may then be overdrawn, no position breached.
//!   Into cross margin: all is given back; initial margin must be covered, nothing breached, and both legs have one leverage.

use exchange_core::{AccountId, CoinId, EventKind, InstrumentId, MarginMode, Money, PositionIndex, Reject};

use crate::contract::{Contract, LEVERAGE_ONE, ONE};
use crate::margin::{order_cost, reducible, Exposure, Opening};
use crate::rounding::{ceil, floor, shown, toward_zero};
use crate::state::{Key, State};

/// True when an addition would be breached at the mark as soon as it fills.
pub fn is_stillborn(contract: &Contract, exposure: &Exposure, opening: &Opening) -> bool {
    let loss = contract.loss(opening.side, opening.qty, opening.price, exposure.mark);
    let own =
        ceil(contract.size(opening.qty, opening.price) * LEVERAGE_ONE, exposure.counting_leverage(contract));
    let valued = if contract.spec.isolated_on_entry { opening.price } else { exposure.mark };
    let size = contract.size(opening.qty, valued);
    let rate = contract.tiers[contract.tier_at(size)].rate;
    loss > 0 && own - loss <= ceil(size * rate, ONE)
}

/// Initial margin of a value entered.
fn entry_margin(contract: &Contract, exposure: &Exposure, entered: i128) -> i128 {
    ceil(entered.abs() * LEVERAGE_ONE, exposure.counting_leverage(contract))
        + exposure.closing_fee(contract, entered)
}

impl State {
    /// True when an account's positions stand for themselves.
    pub fn is_isolated(&self, account: usize) -> bool {
        self.accounts[account].mode == MarginMode::Isolated
    }

    /// What an account has assigned to positions that settle in a coin.
    pub fn assigned(&self, account: usize, coin: CoinId) -> i128 {
        let slots = self.slots.iter().filter(|(key, _)| key.account == account);
        slots
            .filter(|(key, _)| self.contracts[key.instrument].settle == coin)
            .map(|(_, slot)| slot.assigned)
            .sum()
    }

    /// What orders and withdrawals may use of a coin.
    pub fn isolated_free(&self, account: usize, coin: CoinId) -> i128 {
        let held = self.assigned(account, coin) + self.locked(account, coin);
        self.purse(account, coin).wallet - held - self.margin_in(account, coin).order_initial
    }

    /// True when what is assigned, with the profit, no longer covers the maintenance margin.
    pub fn is_position_breached(&self, key: Key) -> bool {
        let (slot, margin) = (self.slot(key), self.margin(key));
        self.is_isolated(key.account) && slot.qty != 0 && margin.maintenance >= self.backing(key)
    }

    /// Refuses a limit that would be the end of an isolated position if the mark stood there.
    pub fn check_limit_of_position(&self, key: Key, limit: i128) -> Result<(), Reject> {
        let mut there = self.exposure(key);
        there.mark = limit;
        let margin = there.margin(&self.contract(key.instrument));
        let is_open = self.is_isolated(key.account) && there.qty != 0;
        if is_open && margin.maintenance >= self.slot(key).assigned + margin.unrealised {
            return Err(Reject::PriceBeyondLiquidation);
        }
        Ok(())
    }

    /// What backs an isolated position: assigned margin and profit at the mark.
    pub fn backing(&self, key: Key) -> i128 {
        self.slot(key).assigned + self.margin(key).unrealised
    }

    /// Of a quantity about to trade, what an isolated position can bear.
    pub fn bearable_isolated(&self, key: Key, fill: &Opening, costs: bool) -> i128 {
        let (contract, slot, exposure) = (self.contract(key.instrument), self.slot(key), self.exposure(key));
        let closing = fill.qty.min(reducible(slot.qty, fill.side));
        let left = slot.assigned + contract.value(slot.qty, fill.price) - slot.cost;
        let fee = Contract::fee(contract.size(slot.qty, fill.price), contract.spec.taker_fee);
        if closing > 0 && left < fee {
            return 0;
        }
        let opening = Opening { qty: fill.qty - closing, ..*fill };
        if opening.qty == 0 || is_stillborn(&contract, &exposure, &opening) {
            return closing;
        }
        if !costs {
            return fill.qty;
        }
        let step = Opening { qty: contract.step(), ..*fill };
        let cost = order_cost(&contract, &step, exposure.leverage).max(1);
        let free = self.isolated_free(key.account, contract.settle).max(0);
        closing + opening.qty.min(floor(free, cost) * contract.step())
    }

    /// After a fill: gives back the margin of what closed and assigns that of what opened.
    pub fn reassign(&mut self, key: Key, qty_before: i128, closed: i128, value: i128) {
        let (contract, slot, exposure) = (self.contract(key.instrument), self.slot(key), self.exposure(key));
        let given_back = if closed == 0 { 0 } else { toward_zero(slot.assigned * closed, qty_before.abs()) };
        let has_turned = slot.qty * qty_before < 0;
        let entered = match closed {
            0 => value,
            _ if has_turned => slot.cost,
            _ => 0,
        };
        let taken = entry_margin(&contract, &exposure, entered);
        self.slot_mut(key).assigned += taken - given_back;
    }

    /// Adds margin to a position, or takes some back.
    pub fn add_margin(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        position_index: PositionIndex,
        amount: Money,
    ) -> Result<(), Reject> {
        let key = self.isolated_key(account, instrument, position_index)?;
        let (slot, margin, change) = (self.slot(key), self.margin(key), i128::from(amount.0));
        if slot.qty == 0 {
            return Err(Reject::PositionMissing);
        }
        if change == 0 {
            return Err(Reject::AmountInvalid);
        }
        if change > self.isolated_free(key.account, self.contracts[key.instrument].settle) {
            return Err(Reject::InsufficientBalance);
        }
        let left = slot.assigned + change + margin.unrealised.min(0);
        if change < 0 && left < margin.position_initial {
            return Err(Reject::MarginNotFree);
        }
        self.slot_mut(key).assigned += change;
        let assigned = Money(shown(self.slot(key).assigned));
        let is_automatic = false;
        self.emit(EventKind::MarginAdded {
            account,
            instrument,
            position_index,
            amount,
            assigned,
            is_automatic,
        });
        Ok(())
    }

    /// Sets whether margin is added to a position before it is liquidated.
    pub fn set_auto_add_margin(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        position_index: PositionIndex,
        is_on: bool,
    ) -> Result<(), Reject> {
        let key = self.isolated_key(account, instrument, position_index)?;
        if self.slot(key).adds_margin == is_on {
            return Err(Reject::AutoAddMarginUnchanged);
        }
        self.slot_mut(key).adds_margin = is_on;
        self.emit(EventKind::AutoAddMarginChanged { account, instrument, position_index, is_on });
        Ok(())
    }

    fn isolated_key(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        index: PositionIndex,
    ) -> Result<Key, Reject> {
        let (owner, at) = (self.user(account)?, self.listed(instrument)?);
        if self.contracts[at].is_spot() {
            return Err(Reject::NotAContract);
        }
        if self.hedged.contains(&(owner, at)) == (index == PositionIndex::OneWay) {
            return Err(Reject::PositionIndexMismatch);
        }
        if !self.is_isolated(owner) {
            return Err(Reject::NotIsolated);
        }
        Ok(Key { account: owner, instrument: at, index })
    }

    /// Changes what backs an account's positions.
    pub fn set_margin_mode(&mut self, account: AccountId, mode: MarginMode) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.accounts[owner].mode == mode {
            return Err(Reject::MarginModeUnchanged);
        }
        let leverage = |instrument: usize, index: PositionIndex| {
            self.slot(Key { account: owner, instrument, index }).leverage
        };
        let legs_differ = self.hedged.iter().any(|(hedger, at)| {
            *hedger == owner
                && leverage(*at, PositionIndex::HedgeBuy) != leverage(*at, PositionIndex::HedgeSell)
        });
        if mode == MarginMode::Cross && legs_differ {
            return Err(Reject::LeverageSidesDiffer);
        }
        self.accounts[owner].mode = mode;
        let keys: Vec<Key> = self.slots.keys().copied().filter(|key| key.account == owner).collect();
        for key in &keys {
            let (contract, exposure) = (self.contract(key.instrument), self.exposure(*key));
            let own = entry_margin(&contract, &exposure, exposure.cost);
            self.slot_mut(*key).assigned = if mode == MarginMode::Isolated { own } else { 0 };
        }
        let holds = if mode == MarginMode::Isolated {
            let coins = (0_u16..).map(CoinId).take(self.coins.len());
            let clear = |coin: CoinId| {
                self.purse(owner, coin).spot_borrow == 0 && self.isolated_free(owner, coin) >= 0
            };
            coins.into_iter().all(clear) && !keys.iter().any(|key| self.is_position_breached(*key))
        } else {
            self.figures(owner).available() >= 0 && !self.is_breached(owner)
        };
        if !holds {
            return Err(Reject::MarginModeShort);
        }
        self.emit(EventKind::MarginModeChanged { account, mode });
        Ok(())
    }
}
