//! The digest of the whole state, from the plain state, in the canonical order that the header of the core's
//! `state_hash` lays down. Only the digest primitive is shared.

use exchange_core::{
    AccountId, Action, CoinId, Command, Digest, InstrumentId, InstrumentStatus, Kind, NewOrder,
    OrderSettings, PositionIndex, Price, Qty, Side, TierSpec, TriggerDirection, COMMAND_BYTES,
};

use crate::contract::Contract;
use crate::insurance::{unreached, Samples};
use crate::rounding::shown;
use crate::state::{Key, Profile, Slot, State};

impl State {
    /// The digest.
    pub fn state_hash(&self) -> u128 {
        let mut digest = Digest::default();
        for counter in [self.commands, self.last_event, self.last_order, self.last_trade] {
            digest.word(counter);
        }
        digest.signed(self.now);
        let mut coins = self.coin_ids();
        for (price, (deposits, withdrawals)) in self.coin_prices.iter().zip(&self.moved) {
            digest.signed(shown(*price)).wide(*deposits).wide(*withdrawals);
            let coin = coins.next().expect("one for each price");
            let (counts, strain) =
                (self.venue_collateral[usize::from(coin.0)], self.strain[usize::from(coin.0)]);
            digest.word(u64::from(counts) << 8 | u64::from(strain.to_wire())).wide(self.shares(coin));
        }
        digest.signed(self.interest_hour).signed(self.repayment_number).word(u64::from(self.nobody_owed));
        for ((coin, account), shares) in &self.shares {
            digest.word(u64::from(coin.0) << 32 | u64::from(self.accounts[*account].id)).wide(*shares);
        }
        self.fold_insurance(&mut digest);
        for instrument in 0..self.contracts.len() {
            self.fold_market(instrument, &mut digest);
            self.fold_book(instrument, &mut digest);
        }
        self.fold_waiting(&mut digest);
        let mut places: Vec<usize> = (0..self.accounts.len()).collect();
        places.sort_by_key(|place| self.accounts[*place].id);
        for place in places {
            self.fold_account(place, &mut digest);
        }
        digest.finish()
    }

    fn fold_insurance(&self, digest: &mut Digest) {
        let fold = |samples: &Samples, digest: &mut Digest| {
            for (minute, value) in unreached(samples) {
                digest.signed(minute).wide(value);
            }
            digest.word(u64::MAX);
        };
        digest.signed(self.sampled_minute);
        for samples in &self.pool_samples {
            fold(samples, digest);
        }
        for record in &self.records {
            digest.wide(record.gained).wide(record.owed).word(u64::from(record.is_on));
            fold(&record.samples, digest);
        }
    }

    fn fold_market(&self, instrument: usize, digest: &mut Digest) {
        let (market, tick) = (&self.markets[instrument], self.contracts[instrument].tick());
        for source in &market.sources {
            digest.signed(source.price).signed(source.updated_ms).signed(source.changed_ms);
        }
        digest.signed(shown(market.index));
        for price in [market.mark, market.last] {
            digest.signed(shown(price / tick));
        }
        digest.signed(shown(market.mid)).signed(i64::from(market.mark_source.to_wire()));
        for price in [market.max_buy, market.min_sell] {
            digest.signed(shown(price / tick));
        }
        digest.signed(market.sampled_second);
        for last in [market.last_basis, market.last_premium] {
            digest.signed(last.map_or(i64::MIN, shown));
        }
        for sample in market.basis.iter().chain(&market.premium) {
            digest.signed(shown(*sample));
        }
        let spec = &self.contracts[instrument].spec;
        if spec.kind == Kind::Perpetual {
            self.fold_funding(instrument, digest);
        }
        if matches!(spec.kind, Kind::Expiry { .. }) || market.status != InstrumentStatus::Trading {
            digest.word(u64::from(market.status.to_wire()));
            digest.signed(market.recovers_since.unwrap_or(i64::MIN));
            digest.wide(market.delivery.iter().sum()).word(market.delivery.len() as u64);
        }
        let tiers = self.contracts[instrument].spec.tiers.iter().chain(&market.staged);
        let mut tiers: Vec<TierSpec> = tiers.copied().collect();
        if let Some((from, announced)) = &market.announced {
            digest.signed(*from);
            tiers.extend(announced);
        }
        for tier in tiers {
            digest.signed(tier.limit.0).signed(tier.max_leverage).signed(tier.maintenance_rate);
        }
    }

    fn fold_funding(&self, instrument: usize, digest: &mut Digest) {
        let funding = &self.markets[instrument].funding;
        let rate = funding.rate(&self.contracts[instrument].spec);
        digest.signed(shown(funding.caps.0)).signed(shown(funding.caps.1));
        digest.signed(funding.interval).signed(funding.next).signed(funding.period);
        digest.word(funding.samples.len() as u64).signed(funding.minute);
        digest.signed(shown(funding.premium)).signed(shown(funding.settled)).signed(shown(rate));
        digest.wide(funding.weighted().0);
    }

    fn fold_book(&self, instrument: usize, digest: &mut Digest) {
        let contract = &self.contracts[instrument];
        for side in [Side::Buy, Side::Sell] {
            let mut price = 0;
            for order in self.queue(instrument, side) {
                if order.price != price {
                    price = order.price;
                    digest.signed(shown(price / contract.tick()));
                }
                let flags = u64::from(order.reduce_only)
                    | u64::from(order.time_in_force.to_wire()) << 8
                    | u64::from(order.order_type.to_wire()) << 16
                    | u64::from(order.terms.self_match.to_wire()) << 24;
                digest.word(order.id).word(u64::from(self.accounts[order.key.account].id)).word(flags);
                digest.signed(steps(contract, order.qty)).signed(steps(contract, order.leaves));
                digest.signed(order.created_ms).wide(order.filled_value).wide(order.fee);
                digest.bytes(order.link.as_bytes());
                if !order.terms.is_none() {
                    let nothing = NewOrder::limit(AccountId(0), InstrumentId(0), Side::Buy, Qty(0), Price(0));
                    let with_terms = NewOrder { terms: order.terms, ..nothing };
                    digest.word(u64::from(order.kind.to_wire())).bytes(&recorded(with_terms, 0));
                }
            }
            digest.word(u64::MAX);
        }
    }

    fn fold_waiting(&self, digest: &mut Digest) {
        for waiting in self.waiting.values() {
            let direction = if waiting.rises { TriggerDirection::Rise } else { TriggerDirection::Fall };
            let flags = u64::from(waiting.kind.to_wire()) | u64::from(direction.to_wire()) << 8;
            digest.word(waiting.id).word(flags).bytes(&recorded(waiting.order, waiting.created_ms));
            if waiting.kind.is_exit() {
                let moving = waiting.best.map_or(0, |_| waiting.trigger());
                digest.word(waiting.partner).word(waiting.parent);
                digest.signed(shown(waiting.distance)).signed(shown(moving));
            }
        }
        for (id, price) in self.due_orders.iter().filter(|(id, _)| self.waiting.contains_key(id)) {
            digest.word(*id).signed(shown(*price));
        }
    }

    fn fold_account(&self, place: usize, digest: &mut Digest) {
        let account = &self.accounts[place];
        digest.word(u64::from(account.id)).word128(self.links_digest(place));
        digest.word(u64::from(account.mode.to_wire()));
        let usual = OrderSettings::default();
        let settings = self.settings.get(&place).filter(|settings| **settings != usual);
        if let Some(OrderSettings { smp_group, disconnect_seconds, moves_to_band }) = settings {
            let [contracts, spot] = disconnect_seconds.map(u64::from);
            let [contracts_move, spot_moves] = moves_to_band.map(u64::from);
            digest
                .word(u64::from(*smp_group))
                .word(contracts << 32 | spot)
                .word(contracts_move | spot_moves << 1);
        }
        for coin in (0_u16..).map(CoinId).take(self.coins.len()) {
            let purse = self.purse(place, coin);
            let locked = self.locked(place, coin);
            let amounts =
                [purse.wallet, self.assigned(place, coin), purse.spot_borrow, locked, purse.funding];
            if amounts != [0; 5] || !purse.is_collateral {
                digest.word(u64::from(coin.0)).word(u64::from(purse.is_collateral));
                for amount in amounts {
                    digest.wide(amount);
                }
            }
        }
        if let Some(main) = account.main {
            digest.word(u64::from(self.accounts[main].id));
        }
        if account.profile.is_some() || account.meter.is_some() {
            let Profile { level, auto_repay } = account.profile.unwrap_or(Profile::USUAL);
            let meter = account.meter.unwrap_or_default();
            digest.wide(i128::from(level.to_wire())).wide(i128::from(auto_repay));
            digest.wide(i128::from(meter.day)).wide(i128::from(meter.month));
            digest.wide(meter.today).wide(meter.this_month);
        }
        digest.word(u64::from(self.due.contains(&place)));
        for key in self.slots_of(place) {
            let (slot, orders) = (self.slot(key), self.orders_of(key));
            let contract = &self.contracts[key.instrument];
            let Slot { leverage, qty, cost, realised, funding, assigned, adds_margin } = slot;
            let is_only = key.index == PositionIndex::OneWay;
            let is_hedged = is_only && self.hedged.contains(&(place, key.instrument));
            let usual = match key.index {
                PositionIndex::OneWay => contract.default_leverage(),
                _ => self.slot(Key { index: PositionIndex::OneWay, ..key }).leverage,
            };
            let is_fresh = leverage == usual && !is_hedged && !adds_margin;
            if qty == 0 && realised == 0 && funding == 0 && orders.is_empty() && is_fresh {
                continue;
            }
            digest.word((key.instrument as u64) << 8 | u64::from(key.index.to_wire()));
            digest.word(u64::from(is_hedged) | u64::from(adds_margin) << 1);
            digest.signed(shown(leverage)).signed(steps(contract, qty));
            digest.wide(cost).wide(realised).wide(assigned).wide(funding);
            for order in orders {
                digest.word(order.id);
            }
        }
    }

    /// Every link id ever used, chained.
    fn links_digest(&self, place: usize) -> u128 {
        let account = &self.accounts[place];
        account.links.iter().fold(0, |earlier, link| {
            let mut own = Digest::default();
            own.word(u64::from(account.id)).bytes(link.as_bytes());
            Digest::continued(earlier).word128(own.finish()).finish()
        })
    }
}

/// A quantity in whole steps.
fn steps(contract: &Contract, qty: i128) -> i64 {
    shown(qty / contract.step())
}

/// The record of an order at a time.
fn recorded(order: NewOrder, market_ms: i64) -> [u8; COMMAND_BYTES] {
    Command { market_ms, wall_us: 0, action: Action::PlaceOrder(order) }.encode()
}
