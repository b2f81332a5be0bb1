//! How an account holds its positions: one in an instrument, or a long and a short one side by side; and at what leverage.
//! Rules 4.4.
//!
//! - The mode changes only without positions and orders there. A scope of a coin means every contract that settles in it.
//! - Each of the two legs has a leverage of its own from when it is first used (an order for it is accepted, or a leverage
//!   set); it begins with that of the only position, and has it again whenever the mode is set. They differ only with isolated
//!   margin; setting equal leverages in hedge mode sets that of the only position too, setting different ones does not.
//! - What a new leverage needs in addition, all positions it is set for together, must be available. An isolated position is
//!   assigned what its initial margin rises by, and must not be breached by that.

use exchange_core::{
    AccountId, EventKind, InstrumentId, MarginMode, ModeScope, PositionAction, PositionIndex, PositionMode,
    Reject,
};

use crate::contract::LEVERAGE_ONE;
use crate::orders::instrument_id;
use crate::state::{Key, State};

/// All positions an account may have in an instrument.
const LEGS: [PositionIndex; 3] = [PositionIndex::OneWay, PositionIndex::HedgeBuy, PositionIndex::HedgeSell];

impl State {
    /// A command about positions.
    pub fn perform_position(&mut self, action: PositionAction) -> Result<(), Reject> {
        match action {
            PositionAction::SetPositionMode { account, scope, mode } => {
                self.set_position_mode(account, scope, mode)
            }
            PositionAction::SetSideLeverage { account, instrument, buy, sell } => {
                self.set_leverages(account, instrument, buy, sell)?;
                let (buy, sell) = (i64::from(buy), i64::from(sell));
                self.emit(EventKind::SideLeverageChanged { account, instrument, buy, sell });
                Ok(())
            }
            PositionAction::SetMarginMode { account, mode } => self.set_margin_mode(account, mode),
            PositionAction::AddMargin { account, instrument, position_index, amount } => {
                self.add_margin(account, instrument, position_index, amount)
            }
            PositionAction::SetAutoAddMargin { account, instrument, position_index, is_on } => {
                self.set_auto_add_margin(account, instrument, position_index, is_on)
            }
            #[allow(unreachable_patterns)] // what is added to the vocabulary first
            other => panic!("not modelled: {other:?}"),
        }
    }

    /// Sets one leverage for whatever an account holds in an instrument.
    pub fn set_leverage(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        chosen: u32,
    ) -> Result<(), Reject> {
        self.set_leverages(account, instrument, chosen, chosen)?;
        self.emit(EventKind::LeverageChanged { account, instrument, leverage: i64::from(chosen) });
        Ok(())
    }

    fn set_leverages(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        buy: u32,
        sell: u32,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let at = self.listed(instrument)?;
        let contract = self.contract(at);
        if contract.is_spot() {
            return Err(Reject::NotAContract);
        }
        let (buy, sell) = (i128::from(buy), i128::from(sell));
        if buy.min(sell) < LEVERAGE_ONE {
            return Err(Reject::LeverageInvalid);
        }
        if buy.max(sell) > contract.tiers[0].leverage {
            return Err(Reject::LeverageAboveTier);
        }
        let is_hedged = self.hedged.contains(&(owner, at));
        if buy != sell && !(is_hedged && self.accounts[owner].mode == MarginMode::Isolated) {
            return Err(Reject::LeverageSidesDiffer);
        }
        let key = |index: PositionIndex| Key { account: owner, instrument: at, index };
        let mut wanted = Vec::new();
        if buy == sell {
            wanted.push((key(PositionIndex::OneWay), buy));
        }
        if is_hedged {
            wanted.push((key(PositionIndex::HedgeBuy), buy));
            wanted.push((key(PositionIndex::HedgeSell), sell));
        }
        if wanted.iter().all(|(key, leverage)| self.slot(*key).leverage == *leverage) {
            return Err(Reject::LeverageUnchanged);
        }
        let is_isolated = self.is_isolated(owner);
        let (mut more, mut assigned) = (0, Vec::new());
        for (key, leverage) in &wanted {
            let mut exposure = self.exposure(*key);
            if *leverage > exposure.leverage_allowed(&contract) {
                return Err(Reject::LeverageAboveTier);
            }
            let before = exposure.margin(&contract);
            exposure.leverage = *leverage;
            let after = exposure.margin(&contract);
            let for_position = after.position_initial - before.position_initial;
            let own = self.slot(*key).assigned + for_position;
            assigned.push(if is_isolated { own } else { 0 });
            let is_bare = own <= 0 || after.maintenance >= own + after.unrealised;
            if is_isolated && exposure.qty != 0 && is_bare {
                return Err(Reject::InsufficientBalance);
            }
            more += for_position + after.order_initial - before.order_initial;
        }
        let (more, available) = if is_isolated {
            (more, self.isolated_free(owner, contract.settle))
        } else {
            (self.in_usd(contract.settle, more), self.figures(owner).available())
        };
        if more > 0 && more > available {
            return Err(Reject::InsufficientBalance);
        }
        for ((key, leverage), assigned) in wanted.into_iter().zip(assigned) {
            let slot = self.slot_mut(key);
            (slot.leverage, slot.assigned) = (leverage, assigned);
        }
        Ok(())
    }

    fn set_position_mode(
        &mut self,
        account: AccountId,
        scope: ModeScope,
        mode: PositionMode,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let mut instruments = match scope {
            ModeScope::Instrument(instrument) => vec![self.listed(instrument)?],
            ModeScope::Coin(coin) => {
                self.known_coin(coin)?;
                let settles = |at: &usize| self.contracts[*at].settle == coin;
                (0..self.contracts.len()).filter(settles).collect()
            }
        };
        instruments.retain(|at| !self.contracts[*at].is_spot());
        if instruments.is_empty() {
            return Err(Reject::NotAContract);
        }
        let hedge = mode == PositionMode::Hedge;
        instruments.retain(|at| self.hedged.contains(&(owner, *at)) != hedge);
        if instruments.is_empty() {
            return Err(Reject::PositionModeUnchanged);
        }
        let in_use = |at: &usize| {
            let here = |key: Key| key.account == owner && key.instrument == *at;
            let holds = self.slots.iter().any(|(key, slot)| here(*key) && slot.qty != 0);
            let waits = self.waiting.values().any(|waiting| here(waiting.key));
            holds || waits || self.orders.iter().any(|order| here(order.key))
        };
        if instruments.iter().any(in_use) {
            return Err(Reject::PositionModeInUse);
        }
        for at in instruments {
            let key = |index: PositionIndex| Key { account: owner, instrument: at, index };
            let leverage = self.slot_mut(key(PositionIndex::OneWay)).leverage;
            if hedge {
                self.hedged.insert((owner, at));
            } else {
                self.hedged.remove(&(owner, at));
            }
            for leg in LEGS.map(key) {
                if let Some(slot) = self.slots.get_mut(&leg) {
                    slot.leverage = leverage;
                }
            }
            self.emit(EventKind::PositionModeChanged { account, instrument: instrument_id(at), mode });
        }
        Ok(())
    }
}
