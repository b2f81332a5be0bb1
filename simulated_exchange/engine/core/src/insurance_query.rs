//! Questions about insurance pools and the deleveraging queue. Computed here, kept in `insurance_book`.

use crate::adl::lights;
use crate::exchange::Exchange;
use crate::fixed::saturate;
use crate::types::{AccountId, InstrumentId, Money, PoolId, Side};
use crate::view::{AdlAlertView, AdlPlaceView, PoolView};

impl Exchange {
    /// Balance of an insurance pool; `None` for an unknown one.
    pub fn insurance_pool(&self, pool: PoolId) -> Option<Money> {
        let known = usize::from(pool.0) < self.pools.len();
        known.then(|| self.wallet(self.pool_purse(pool)))
    }

    /// Every insurance pool.
    pub fn insurance_pools(&self) -> Vec<PoolView> {
        let pools = (0_u16..).map(PoolId).zip(self.pools.iter().zip(&self.insurance.pools));
        let view = |(pool, (listed, peak)): (PoolId, (&crate::genesis::Pool, &crate::insurance::Peak))| {
            let balance = self.ledger.purse(self.pool_purse(pool)).wallet;
            PoolView {
                pool,
                coin: listed.coin,
                balance: Money(saturate(balance)),
                balance_peak: Money(saturate(peak.with(balance))),
            }
        };
        pools.map(view).collect()
    }

    /// How far an instrument is from deleveraging; `None` for an unknown one.
    pub fn adl_alert(&self, instrument: InstrumentId) -> Option<AdlAlertView> {
        let index = self.listed(instrument).ok()?;
        let (drawdown, rule) = (self.drawdown(index), self.adl_rule(index));
        let money = |amount: i128| Money(saturate(amount));
        Some(AdlAlertView {
            instrument,
            pool: self.instruments[index].pool,
            balance: money(drawdown.balance),
            balance_peak: money(drawdown.balance_peak),
            pnl: money(drawdown.pnl),
            pnl_peak: money(drawdown.pnl_peak),
            open_loss: money(drawdown.open_loss),
            ratio: drawdown.ratio(),
            threshold: rule.threshold,
            trigger_ratio: rule.trigger_ratio,
            stop_ratio: rule.stop_ratio,
            is_deleveraging: self.insurance.contracts[index].is_deleveraging,
        })
    }

    /// The queue of the deleveraging of an instrument's longs (buy) or shorts (sell), first in line first; empty for an
    /// unknown instrument.
    pub fn adl_places(&self, instrument: InstrumentId, side: Side) -> Vec<AdlPlaceView> {
        let Ok(index) = self.listed(instrument) else { return Vec::new() };
        let queue = self.adl_queue(index, side);
        let count = queue.len();
        let view = |(place, slot): (usize, u32)| {
            let held = self.ledger.slot(slot);
            AdlPlaceView {
                account: AccountId(self.ledger.account(held.account).id),
                position_index: held.index,
                qty: self.instruments[index].qty(held.position.lots),
                lights: lights(place, count),
            }
        };
        queue.into_iter().enumerate().map(view).collect()
    }
}
