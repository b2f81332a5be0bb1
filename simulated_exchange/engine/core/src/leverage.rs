//! Leverage of an account in an instrument: what may be set, and what it costs. In hedge mode both legs have it, each its
//! own only with isolated margin.

use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::margin::OpenOrders;
use crate::reject::Reject;
use crate::types::{AccountId, InstrumentId, MarginMode, PositionIndex, PositionMode, LEVERAGE_SCALE};

/// A slot as it would be at another leverage.
struct Releveraged {
    slot: u32,
    orders: OpenOrders,
    /// Initial margin it would need on top, in the settlement coin; negative when it needs less.
    more: i128,
    /// Margin assigned to it then.
    assigned: i128,
}

impl Exchange {
    /// Sets the leverage of all positions in an instrument.
    pub(crate) fn set_leverage(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        leverage: u32,
    ) -> Result<(), Reject> {
        let leverage = i64::from(leverage);
        self.set_leverages(account, instrument, (leverage, leverage))?;
        self.emit(EventKind::LeverageChanged { account, instrument, leverage });
        Ok(())
    }

    /// Sets the leverage of the long and of the short side.
    pub(crate) fn set_side_leverage(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        buy: u32,
        sell: u32,
    ) -> Result<(), Reject> {
        let (buy, sell) = (i64::from(buy), i64::from(sell));
        self.set_leverages(account, instrument, (buy, sell))?;
        self.emit(EventKind::SideLeverageChanged { account, instrument, buy, sell });
        Ok(())
    }

    fn set_leverages(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        (buy, sell): (i64, i64),
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let index = self.listed(instrument)?;
        let listed = &self.instruments[index];
        if !listed.is_contract() {
            return Err(Reject::NotAContract);
        }
        if buy.min(sell) < LEVERAGE_SCALE {
            return Err(Reject::LeverageInvalid);
        }
        if buy.max(sell) > listed.tiers[0].max_leverage {
            return Err(Reject::LeverageAboveTier);
        }
        let is_hedged = self.position_mode_of(owner, index) == PositionMode::Hedge;
        let is_isolated = self.ledger.account(owner).margin_mode == MarginMode::Isolated;
        if buy != sell && !(is_hedged && is_isolated) {
            return Err(Reject::LeverageSidesDiffer);
        }
        let wanted: &[(PositionIndex, i64)] =
            &[(PositionIndex::OneWay, buy), (PositionIndex::HedgeBuy, buy), (PositionIndex::HedgeSell, sell)];
        let wanted = if is_hedged { &wanted[usize::from(buy != sell)..] } else { &wanted[..1] };
        let leverage_of = |index| self.leverage_of(owner, usize::from(instrument.0), index);
        if wanted.iter().all(|(index, leverage)| leverage_of(*index) == *leverage) {
            return Err(Reject::LeverageUnchanged);
        }
        let mut slots = Vec::new();
        for (position_index, leverage) in wanted {
            if let Some(slot) = self.ledger.find_slot(owner, index, *position_index) {
                slots.push(self.releveraged(slot, *leverage)?);
            }
        }
        let more: i128 = slots.iter().map(|slot| slot.more).sum();
        self.require_margin(owner, index, more)?;
        for (position_index, leverage) in wanted {
            let slot = self.ledger.slot_for(owner, index, *position_index, &self.instruments[index]);
            self.ledger.slot_mut(slot).leverage = i32::try_from(*leverage).unwrap_or(i32::MAX);
        }
        for changed in slots {
            self.ledger.slot_mut(changed.slot).open_orders = changed.orders;
            self.ledger.assign(changed.slot, changed.assigned);
            self.recost_orders(changed.slot);
            self.refresh(changed.slot);
        }
        Ok(())
    }

    /// Leverage of a position, also of one that was never used: a leg follows the only position.
    pub(crate) fn leverage_of(&self, owner: u32, instrument: usize, index: PositionIndex) -> i64 {
        let own = self.ledger.find_slot(owner, instrument, index);
        let slot = own.or_else(|| self.ledger.find_slot(owner, instrument, PositionIndex::OneWay));
        let default_leverage = self.instruments[instrument].default_leverage();
        slot.map_or(default_leverage, |slot| i64::from(self.ledger.slot(slot).leverage))
    }

    fn releveraged(&self, slot: u32, leverage: i64) -> Result<Releveraged, Reject> {
        let held = self.ledger.slot(slot);
        let index = usize::from(held.instrument);
        let listed = &self.instruments[index];
        let mut exposure = held.exposure(self.markets[index].mark_ticks);
        if leverage > exposure.tier(listed).max_leverage {
            return Err(Reject::LeverageAboveTier);
        }
        exposure.leverage = leverage;
        let costs = self.costs_at(slot, leverage);
        for (orders, cost) in exposure.orders.0.iter_mut().zip(costs) {
            orders.cost = cost;
        }
        let after = exposure.margin(listed);
        let for_orders = i128::from(after.order_initial) - i128::from(held.margin.order_initial);
        let for_position = i128::from(after.position_initial) - i128::from(held.margin.position_initial);
        let mut assigned = self.ledger.detail(slot).extras().assigned;
        if held.is_isolated && held.position.lots != 0 {
            assigned += for_position;
            // funding may have eaten more of it than the lower requirement gives back
            if assigned <= 0 || i128::from(after.maintenance) >= assigned + i128::from(after.unrealised) {
                return Err(Reject::InsufficientBalance);
            }
        }
        Ok(Releveraged { slot, orders: exposure.orders, more: for_orders + for_position, assigned })
    }

    /// Refuses what needs more margin in an instrument than there is.
    fn require_margin(&self, owner: u32, instrument: usize, more: i128) -> Result<(), Reject> {
        let settle = self.instruments[instrument].settle;
        let account = self.ledger.account(owner);
        let (more, available) = if account.margin_mode == MarginMode::Isolated {
            let purse = self.ledger.find_purse(owner, settle);
            (more, purse.map_or(0, |purse| self.ledger.purse(purse).isolated_free()))
        } else {
            (self.in_usd(settle, more), account.available())
        };
        if more > 0 && more > available {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// Costs of a slot's opening orders, per side, at a leverage.
    fn costs_at(&self, slot: u32, leverage: i64) -> [i64; 2] {
        let held = self.ledger.slot(slot);
        let listed = &self.instruments[usize::from(held.instrument)];
        let mut costs = [0_i64; 2];
        for order in self.orders.of(held.orders).map(|order| self.orders.get(order)) {
            if !order.reduce_only {
                let size = listed.size(order.leaves, order.ticks());
                let at = usize::from(order.side.to_wire());
                costs[at] = costs[at].saturating_add(listed.order_cost(size, order.side, leverage));
            }
        }
        costs
    }

    /// Notes each order's own cost anew after its slot's leverage changed.
    fn recost_orders(&mut self, slot: u32) {
        let resting: Vec<u32> = self.orders.of(self.ledger.slot(slot).orders).collect();
        for index in resting {
            self.orders.get_mut(index).cost = self.cost_of(self.orders.get(index));
        }
    }
}
