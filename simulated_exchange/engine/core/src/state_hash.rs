//! The digest of the whole state, folded in canonical order. Nothing that depends on where something lies in memory, and
//! nothing that can be worked out from the rest, is folded. Whoever keeps the same state in another shape folds it so too:
//!
//! 1. Numbers of the last command, event, order, trade; market time.
//! 2. Each coin as listed: price, deposits (wide), withdrawals (wide), the venue takes it as collateral << 8 with its
//!    lending pool's strain, all shares in the pool (wide). Then the last hour of interest, the last round of
//!    repayment, whether nobody owed anything when loans were looked at last; each holding of shares by coin and
//!    place of the account: coin << 32 with identifier, shares (wide).
//! 3. Insurance: market minute of the last sample; each pool's samples; then of each instrument what it gained for
//!    its pool (wide), what it owes (wide), whether it is being deleveraged, and its samples. Samples are those of
//!    the last eight hours that no later one reaches, oldest first: minute, value (wide); all ones end them.
//! 4. Each instrument as listed: each index source (price, time of the report, time of the change); index, mark, last
//!    price, middle of the book, what it is marked at, highest buy, lowest sell (all but index and middle in ticks),
//!    second of the last sample, last basis and premium (the lowest number for none), samples of the basis and then
//!    of the premium, oldest first. A perpetual's funding: lowest and highest rate, interval, next settlement, length
//!    of its interval, count of its premium samples, minute of the last, last premium, last rate, rate so far,
//!    weighted sum (wide). Risk limits: time of those announced, if any; then limit, leverage and rate of each tier
//!    in force, put together, announced. Then its book: bids, then asks; each price in ticks, best first, followed by
//!    its orders in their queue; a side ends with all ones. An order: number, owner's identifier, flags (reduce-only,
//!    time in force << 8, type << 16, self-match prevention << 24), lots, unfilled lots, time of acceptance, value
//!    filled (wide), fees (wide), link id. Of an order that asks for something beyond the plain, also: what kind waited
//!    for a price, and the record of an order of account 0 for nothing with its terms.
//! 5. Each order that waits for a price, oldest first: number, kind with the direction << 8, its record as it was
//!    placed, at the time of its acceptance; of what ends a position also: its counterpart, the order it came with,
//!    distance of a trailing stop, its price once it is armed (0 for none). Then number and price of each that is to
//!    be set off, in their order.
//! 6. Each account by identifier: identifier, digest of its link ids, margin mode; its settings for orders unless
//!    they are the usual ones (group, disconnect windows of contracts << 32 and of spot, moves contracts' and << 1
//!    spot's limits); each coin of it that holds anything or is not collateral, as listed (coin, is collateral,
//!    wallet, isolated, spot borrow, locked, funding wallet; wide); of a sub-account its main account's identifier;
//!    once it was told anything or withdrew, wide: level, automatic repayment, day and month of the last withdrawal,
//!    withdrawn in each; whether its liquidation is due; each position by instrument and index, unless it is flat,
//!    without orders, anything realised and any funding paid, not of an account that has two legs there instead, and
//!    without margin to be added, at its usual leverage: the default one, for a leg that of the only position. A
//!    position: instrument << 8 + index, has legs instead and << 1 adds margin, leverage, lots, then wide: cost,
//!    realised, assigned, funding paid; then the numbers of its orders, oldest first.
//!
//! The digest of link ids goes on from 0 with the digest of (account's identifier, link id) for every one ever used.
//! Quantities are in lots. Wide numbers are two words, low first.

use crate::command::{Action, Command, NewOrder, COMMAND_BYTES};
use crate::digest::Digest;
use crate::exchange::Exchange;
use crate::funding::FundingClock;
use crate::insurance::Peak;
use crate::types::{AccountId, CoinId, InstrumentId, PositionIndex, Price, Qty, Side};

impl Exchange {
    /// Digest of the whole state: equal on every machine for equal commands.
    pub fn state_hash(&self) -> u128 {
        let mut digest = Digest::default();
        digest.word(self.commands);
        self.fold_contents(&mut digest);
        digest.finish()
    }

    /// The same without the number of commands: what a refused command must leave as it was.
    pub fn contents_hash(&self) -> u128 {
        let mut digest = Digest::default();
        self.fold_contents(&mut digest);
        digest.finish()
    }

    fn fold_contents(&self, digest: &mut Digest) {
        for counter in [self.last_event, self.last_order, self.last_trade] {
            digest.word(counter);
        }
        digest.signed(self.market_ms);
        for (coin, totals) in (0_u16..).map(CoinId).zip(&self.ledger.totals) {
            digest.signed(self.ledger.coin_price(coin)).wide(totals.deposits).wide(totals.withdrawals);
            let is_collateral = self.ledger.coins()[usize::from(coin.0)].spec.is_collateral;
            let strain = self.lending.strain(coin).to_wire();
            digest.word(u64::from(is_collateral) << 8 | u64::from(strain)).wide(self.lending.shares(coin));
        }
        let lending = &self.lending;
        digest.signed(lending.interest_hour).signed(lending.repayment_round).word(u64::from(lending.is_idle));
        for (coin, account, shares) in lending.holdings() {
            digest.word(u64::from(coin.0) << 32 | u64::from(self.ledger.account(account).id)).wide(shares);
        }
        self.fold_insurance(digest);
        for index in 0..self.instruments.len() {
            self.fold_market(index, digest);
            self.fold_book(index, digest);
        }
        self.fold_waiting(digest);
        let mut places: Vec<(u32, u32)> =
            (0_u32..).zip(self.ledger.accounts()).map(|(place, account)| (account.id, place)).collect();
        places.sort_unstable();
        for (_, place) in places {
            self.fold_account(place, digest);
        }
    }

    /// The minute of the last sample, the pools' samples, then the contracts' records.
    fn fold_insurance(&self, digest: &mut Digest) {
        digest.signed(self.insurance.minute);
        let fold_peak = |peak: &Peak, digest: &mut Digest| {
            for (minute, value) in peak.samples() {
                digest.signed(minute).wide(value);
            }
            digest.word(u64::MAX);
        };
        for peak in &self.insurance.pools {
            fold_peak(peak, digest);
        }
        for record in &self.insurance.contracts {
            digest.wide(record.pnl).wide(record.owed).word(u64::from(record.is_deleveraging));
            fold_peak(&record.peak, digest);
        }
    }

    fn fold_market(&self, index: usize, digest: &mut Digest) {
        let market = &self.markets[index];
        for source in &market.sources {
            digest.signed(source.price).signed(source.updated_ms).signed(source.changed_ms);
        }
        let (basis, premium) = market.last_samples;
        let prices = [
            market.index,
            market.mark_ticks,
            market.last_ticks,
            market.mid,
            i64::from(market.mark_source.to_wire()),
            market.max_buy_ticks,
            market.min_sell_ticks,
            market.sampled_second,
            basis.unwrap_or(i64::MIN),
            premium.unwrap_or(i64::MIN),
        ];
        for price in prices {
            digest.signed(price);
        }
        for sample in market.basis.samples().chain(market.premium.samples()) {
            digest.signed(sample);
        }
        if let Some(clock) = &market.funding {
            fold_funding(clock, digest);
        }
        if market.is_restricted {
            let recovers_since_ms = market.recovers_since_ms.unwrap_or(i64::MIN);
            digest.word(u64::from(market.status.to_wire())).signed(recovers_since_ms);
            digest.wide(market.delivery.sum).signed(market.delivery.count);
        }
        let coming = market.risk_limits.announced.iter();
        for notice in coming.clone() {
            digest.signed(notice.effective_ms);
        }
        let listed = self.instruments[index].spec.tiers.iter();
        let tiers = listed.chain(&market.risk_limits.staged).chain(coming.flat_map(|notice| &notice.tiers));
        for tier in tiers {
            digest.signed(tier.limit.0).signed(tier.max_leverage).signed(tier.maintenance_rate);
        }
    }

    /// Orders that wait for a price; what they will be when they come in is folded as it would be recorded.
    fn fold_waiting(&self, digest: &mut Digest) {
        for waiting in self.triggers.all() {
            let flags = u64::from(waiting.kind.to_wire()) | u64::from(waiting.direction.to_wire()) << 8;
            digest.word(waiting.id).word(flags).bytes(&recorded(&waiting.order, waiting.created_market_ms));
            if waiting.kind.is_exit() {
                let moving = waiting.trail.map_or(0, |_| self.triggers.trigger_price(waiting).0);
                digest.word(waiting.partner).word(waiting.parent).signed(waiting.distance.0).signed(moving);
            }
        }
        for (id, price) in self.triggers.due() {
            digest.word(*id).signed(*price);
        }
    }

    fn fold_book(&self, index: usize, digest: &mut Digest) {
        let book = &self.books[index];
        for side in [Side::Buy, Side::Sell] {
            for ticks in book.prices(side) {
                digest.signed(ticks);
                for index in book.queue(&self.orders, side, ticks) {
                    let (order, detail) = (self.orders.get(index), self.orders.detail(index));
                    let owner = self.ledger.account(self.ledger.slot(order.slot).account).id;
                    let flags = u64::from(order.reduce_only)
                        | u64::from(order.time_in_force.to_wire()) << 8
                        | u64::from(order.order_type.to_wire()) << 16
                        | u64::from(order.self_match.to_wire()) << 24;
                    digest.word(order.id).word(u64::from(owner)).word(flags);
                    digest.signed(order.lots).signed(order.leaves).signed(detail.created_market_ms);
                    digest.wide(detail.filled_value).wide(detail.fee).bytes(detail.link_id.as_bytes());
                    if order.has_terms {
                        let (terms, kind) = self.orders.terms(index);
                        let nobody =
                            NewOrder::limit(AccountId(0), InstrumentId(0), Side::Buy, Qty(0), Price(0));
                        digest
                            .word(u64::from(kind.to_wire()))
                            .bytes(&recorded(&NewOrder { terms, ..nobody }, 0));
                    }
                }
            }
            digest.word(u64::MAX);
        }
    }

    fn fold_account(&self, place: u32, digest: &mut Digest) {
        let account = self.ledger.account(place);
        digest.word(u64::from(account.id)).word128(self.ledger.link_ids.digest(place));
        digest.word(u64::from(account.margin_mode.to_wire()));
        if let Some(settings) = self.order_settings.get(&place) {
            let [contracts, spot] = settings.disconnect_seconds;
            let moves = u64::from(settings.moves_to_band[0]) | u64::from(settings.moves_to_band[1]) << 1;
            digest
                .word(u64::from(settings.smp_group))
                .word(u64::from(contracts) << 32 | u64::from(spot))
                .word(moves);
        }
        for purse in self.ledger.purses_of(place) {
            let held = self.ledger.purse(purse);
            let amounts = [
                held.wallet,
                held.extras().isolated,
                held.extras().spot_borrow,
                held.extras().locked,
                held.extras().funding,
            ];
            if amounts != [0; 5] || !held.is_collateral {
                digest.word(u64::from(held.coin.0)).word(u64::from(held.is_collateral));
                for amount in amounts {
                    digest.wide(amount);
                }
            }
        }
        let main = self.profiles.main(place);
        if main != place {
            digest.word(u64::from(self.ledger.account(main).id));
        }
        for part in self.profiles.parts(place).into_iter().flatten() {
            digest.wide(part);
        }
        digest.word(u64::from(self.pending.contains(&place)));
        for index in self.ledger.slots_of(place) {
            let (slot, detail) = (self.ledger.slot(index), self.ledger.detail(index));
            let realised = detail.realised;
            let listed = &self.instruments[usize::from(slot.instrument)];
            // a leg of a hedge follows the only position until its own leverage is set
            let default_leverage = match slot.index {
                PositionIndex::OneWay => listed.default_leverage(),
                _ => self.leverage_of(place, usize::from(slot.instrument), PositionIndex::OneWay),
            };
            let is_untouched = slot.position.lots == 0
                && realised == 0
                && detail.funding == 0
                && slot.orders.count == 0
                && !slot.is_hedged
                && !detail.extras().adds_margin
                && i64::from(slot.leverage) == default_leverage;
            if !is_untouched {
                digest
                    .word(u64::from(slot.instrument) << 8 | u64::from(slot.index.to_wire()))
                    .word(u64::from(slot.is_hedged) | u64::from(detail.extras().adds_margin) << 1)
                    .signed(i64::from(slot.leverage))
                    .signed(slot.position.lots);
                digest
                    .wide(slot.position.cost)
                    .wide(realised)
                    .wide(detail.extras().assigned)
                    .wide(detail.funding);
                for order in self.orders.of(slot.orders) {
                    digest.word(self.orders.get(order).id);
                }
            }
        }
    }
}

fn fold_funding(clock: &FundingClock, digest: &mut Digest) {
    let numbers = [
        clock.terms.lower,
        clock.terms.upper,
        clock.interval_ms,
        clock.next_ms,
        clock.period_ms,
        clock.samples.count,
        clock.sampled_minute,
        clock.premium,
        clock.settled_rate,
        clock.predicted_rate,
    ];
    for number in numbers {
        digest.signed(number);
    }
    digest.wide(clock.samples.weighted);
}

/// An order as its record.
fn recorded(order: &NewOrder, market_ms: i64) -> [u8; COMMAND_BYTES] {
    Command { market_ms, wall_us: 0, action: Action::PlaceOrder(*order) }.encode()
}
