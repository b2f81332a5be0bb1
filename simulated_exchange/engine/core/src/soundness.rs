//! What a restored state must be before its lists are walked: everything that follows from something else does, every number
//! that divides, counts or names is one that commands can bring about. What the invariants add up is theirs.
//!
//! Whoever writes a state down wrongly can sum it up wrongly, too: a checksum says nothing here.

use crate::account::Ledger;
use crate::clock::bridged;
use crate::coin::Coin;
use crate::exchange::{Exchange, FIRST_POOL, MARKET_MS_MAX};
use crate::funding::{FundingClock, FundingSpec, INTERVAL_MS_MAX};
use crate::genesis::{validate, Genesis};
use crate::instrument::{order_shares, Instrument, LEVERAGE_MAX};
use crate::market::{Market, SAMPLE_MS};
use crate::terms::DISCONNECT_SECONDS;
use crate::types::{
    PositionIndex, CONVERSION_ACCOUNT, FEE_ACCOUNT, FIRST_POOL_ACCOUNT, FIRST_USER_ACCOUNT, LENDING_ACCOUNT,
    LEVERAGE_SCALE, MONEY_MAX, RATE_SCALE, SCALE, TAKEOVER_ACCOUNT,
};

impl Exchange {
    /// True when what is listed could have been, and all that is derived from it was.
    pub(crate) fn is_listing_sound(&self) -> bool {
        let coins = self.ledger.coins();
        let genesis = Genesis {
            coins: coins.iter().map(|coin| coin.spec.clone()).collect(),
            pools: self.pools.iter().map(|pool| pool.spec.clone()).collect(),
            instruments: self.instruments.iter().map(|listed| listed.spec.clone()).collect(),
            liquidation: self.liquidation,
        };
        let Ok(listing) = validate(&genesis) else { return false };
        let is_same = |fresh: Instrument, kept: &Instrument| {
            let ratios = [kept.collateral_ratios.0, kept.collateral_ratios.1];
            // what the venue changed since does not reach these
            let default_leverage = kept.default_leverage;
            let default_shares = order_shares(default_leverage, fresh.taker_fee);
            let collateral_ratios = kept.collateral_ratios;
            let fresh = Instrument { default_leverage, default_shares, collateral_ratios, ..fresh };
            (LEVERAGE_SCALE..=LEVERAGE_MAX).contains(&default_leverage)
                && ratios.iter().all(|ratio| (0..=SCALE).contains(ratio))
                && postcard::to_allocvec(&fresh) == postcard::to_allocvec(kept)
        };
        let pools = listing.pools.iter().zip(&self.pools);
        let has_same_unit = |(fresh, kept): (&Coin, &Coin)| fresh.is_par == kept.is_par;
        pools.into_iter().all(|(fresh, kept)| fresh.coin == kept.coin)
            && listing.coins.iter().zip(coins).all(has_same_unit)
            && listing
                .instruments
                .into_iter()
                .zip(&self.instruments)
                .all(|(fresh, kept)| is_same(fresh, kept))
            && self.bridged == bridged(&self.instruments)
    }

    /// True when every list is as long as it must be, and every market could be one of its instrument.
    pub(crate) fn are_markets_sound(&self) -> bool {
        let count = self.instruments.len();
        let insurance = &self.insurance;
        let lengths = [
            self.books.len(),
            self.markets.len(),
            self.ledger.members_count(),
            insurance.contracts.len(),
            self.ledger.lots.len(),
        ];
        let fits = |(listed, market): (&Instrument, &Market)| market.is_sound(listed, self.market_ms);
        (0..=MARKET_MS_MAX).contains(&self.market_ms)
            && lengths.iter().all(|length| *length == count)
            && insurance.pools.len() == self.pools.len()
            && insurance.owed.len() == self.ledger.coins().len()
            && (0..=self.market_ms).contains(&insurance.minute)
            && self.touched.iter().all(|place| (*place as usize) < self.ledger.accounts().len())
            && self.taken_over.iter().all(|index| *index < count)
            && self.instruments.iter().zip(&self.markets).all(fits)
    }

    /// True when the venue's own accounts are in their places, and everything is found where it is looked for.
    pub(crate) fn are_accounts_sound(&self) -> bool {
        let ledger = &self.ledger;
        let accounts = ledger.accounts();
        let own = [FEE_ACCOUNT, TAKEOVER_ACCOUNT, LENDING_ACCOUNT, CONVERSION_ACCOUNT].map(|own| own.0);
        let pools = (FIRST_POOL_ACCOUNT..).take(self.pools.len());
        let first_user = usize::try_from(self.first_user).unwrap_or(usize::MAX);
        let is_user = |place: usize| place >= first_user;
        let are_named = accounts.iter().enumerate().all(|(place, account)| {
            let found = ledger.find(account.id).is_some_and(|found| found as usize == place);
            found && is_user(place) == (account.id >= FIRST_USER_ACCOUNT)
        });
        let settings = self.order_settings.iter();
        let are_settings = settings.clone().all(|(place, settings)| {
            let seconds = settings.disconnect_seconds;
            let fit = |seconds: &u32| *seconds == 0 || DISCONNECT_SECONDS.contains(seconds);
            (*place as usize) < accounts.len() && seconds.iter().all(fit)
        });
        self.first_user == FIRST_POOL + u32::try_from(self.pools.len()).unwrap_or(u32::MAX)
            && accounts.iter().map(|account| account.id).take(first_user).eq(own.into_iter().chain(pools))
            && accounts.len() >= first_user
            && are_named
            && are_settings
            && self.pending.iter().all(|place| is_user(*place as usize) && (*place as usize) < accounts.len())
            && self.has_pool_purses()
            && ledger.is_found(&self.instruments)
    }

    fn has_pool_purses(&self) -> bool {
        let mut pools = (FIRST_POOL..).zip(&self.pools);
        pools.all(|(place, pool)| self.ledger.find_purse(place, pool.coin).is_some())
    }
}

impl Ledger {
    /// True when purses and positions are found by what they are, and every one of them belongs to its account.
    fn is_found(&self, instruments: &[Instrument]) -> bool {
        let (mut purses, mut slots) = (0, 0);
        for (place, account) in (0_u32..).zip(self.accounts()) {
            for purse in self.purses_of(place) {
                purses += 1;
                let held = self.purse(purse);
                let is_owned = held.account == place
                    && held.can_borrow == (account.id >= FIRST_USER_ACCOUNT)
                    && self.find_purse(place, held.coin) == Some(purse);
                if !is_owned {
                    return false;
                }
            }
            for slot in self.slots_of(place) {
                slots += 1;
                if !self.is_slot_found(slot, place, instruments) {
                    return false;
                }
            }
        }
        purses == self.purses().len() && slots == self.slots_count() && self.are_lists_complete()
    }

    fn is_slot_found(&self, slot: u32, place: u32, instruments: &[Instrument]) -> bool {
        let held = self.slot(slot);
        let index = usize::from(held.instrument);
        let Some(listed) = instruments.get(index) else { return false };
        let purse = self.purse(held.purse);
        let detail = self.detail(slot);
        held.account == place
            && self.find_slot(place, index, held.index) == Some(slot)
            && (purse.account, purse.coin) == (place, listed.settle)
            && held.is_spot == listed.is_spot
            && !(held.is_hedged && (held.index != PositionIndex::OneWay || listed.is_spot))
            && (LEVERAGE_SCALE..=LEVERAGE_MAX).contains(&i64::from(held.leverage))
            && held.has_reduce_only == (detail.extras().reduce_only_lots != [0; 2])
    }
}

impl Market {
    fn is_sound(&self, listed: &Instrument, market_ms: i64) -> bool {
        let spec = &listed.spec;
        let empty = Self::new(spec);
        let in_ticks = [self.mark_ticks, self.last_ticks, self.max_buy_ticks, self.min_sell_ticks];
        let prices = [self.index, self.mid, self.delivery.count];
        let is_source = |source: &crate::index::Source| {
            (0..=MONEY_MAX).contains(&source.price)
                && (0..=market_ms).contains(&source.updated_ms)
                && (0..=market_ms).contains(&source.changed_ms)
        };
        let clock = match (&self.funding, &empty.funding) {
            (Some(clock), Some(_)) => {
                let coming = self.risk_limits.announced.iter().flat_map(|notice| &notice.tiers);
                let tiers = spec.tiers.iter().chain(coming);
                let lowest = tiers.map(|tier| tier.maintenance_rate).min().unwrap_or(0);
                clock.is_sound(&spec.funding, lowest)
            }
            (None, None) => true,
            _ => false,
        };
        let mut restricted = self.clone();
        restricted.set_status(spec, self.status);
        self.sources.len() == spec.index_sources.len()
            && self.sources.iter().all(is_source)
            && in_ticks.iter().all(|ticks| (0..=listed.max_ticks).contains(ticks))
            && prices.iter().all(|price| (0..=MONEY_MAX).contains(price))
            && (self.index > 0) == (self.mark_ticks > 0)
            && self.basis.is_sound(&empty.basis)
            && self.premium.is_sound(&empty.premium)
            && (-1..=market_ms / SAMPLE_MS).contains(&self.sampled_second)
            && (0..=i128::from(MONEY_MAX) * i128::from(self.delivery.count)).contains(&self.delivery.sum)
            && self.delivery.count <= crate::delivery::DELIVERY_WINDOW_MS / SAMPLE_MS
            && self.recovers_since_ms.is_none_or(|since| (0..=market_ms).contains(&since))
            && restricted.is_restricted == self.is_restricted
            && clock
    }
}

impl FundingClock {
    fn is_sound(&self, spec: &FundingSpec, maintenance_rate: i64) -> bool {
        let terms = &self.terms;
        let rates = [self.settled_rate, self.predicted_rate];
        let mut fresh = *self;
        fresh.predict();
        FundingSpec::is_sound(self.interval_ms, (terms.lower, terms.upper), maintenance_rate)
            && (terms.clamp, terms.payments) == (spec.clamp, spec.payments)
            && self.interest_daily == spec.interest_daily
            && (1..=INTERVAL_MS_MAX).contains(&self.period_ms)
            && (0..=2 * MARKET_MS_MAX).contains(&self.next_ms)
            && (0..=MARKET_MS_MAX).contains(&self.sampled_minute)
            && rates.iter().all(|rate| (-RATE_SCALE..=RATE_SCALE).contains(rate))
            && (self.next_ms == 0 || fresh.predicted_rate == self.predicted_rate)
    }
}
