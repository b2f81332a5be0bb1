//! Order books kept from the events alone: every resting order's price, place in time and unfilled quantity. A trade's
//! maker must be the first of its side, a taker pays no more than its limit, and one trader does not meet himself where the
//! incoming order forbids it.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::{
    AccountId, EventKind, Exchange, FillKind, InstrumentId, OrderId, Price, Qty, SelfMatch, Side, TradeId,
};

/// Of an order in its book: less comes first.
type Place = (i128, u64, OrderId);

/// An order that lives.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Owner.
    pub account: AccountId,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Limit.
    pub price: Price,
    /// Unfilled.
    pub leaves: Qty,
    /// It waits for a price and is in no book.
    pub waits: bool,
    was_triggered: bool,
    self_match: SelfMatch,
    /// Number of the event that gave it its place.
    since: u64,
}

impl Known {
    /// Less comes first: the better price, then the earlier event.
    fn place(&self, id: OrderId) -> Place {
        // a market order that waits may name any price
        (-i128::from(self.side.sign()) * i128::from(self.price.0), self.since, id)
    }
}

/// All books, and who counts as one trader.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    orders: BTreeMap<OrderId, Known>,
    books: BTreeMap<(InstrumentId, u8), BTreeSet<Place>>,
    groups: BTreeMap<AccountId, i64>,
    taker: Option<(TradeId, OrderId, AccountId)>,
    /// Trades whose maker was the first in line.
    pub judged: u64,
    /// Trades of an order that must not meet its own trader.
    pub kept_apart: u64,
}

impl Queues {
    /// Takes the next event.
    ///
    /// # Errors
    /// What does not hold.
    pub fn take(&mut self, sequence: u64, kind: &EventKind) -> Result<(), String> {
        match *kind {
            EventKind::OrderAccepted { order_id, account, instrument, side, price, qty, .. } => {
                let known = Known {
                    account,
                    instrument,
                    side,
                    price,
                    leaves: qty,
                    waits: false,
                    was_triggered: false,
                    self_match: SelfMatch::Allow,
                    since: sequence,
                };
                self.put(order_id, known);
            }
            EventKind::OrderConditions { order_id, trigger_price, trailing_stop, self_match, .. } => {
                self.change(order_id, |known| {
                    known.waits = !known.was_triggered && (trigger_price.0 > 0 || trailing_stop.0 > 0);
                    known.self_match = self_match;
                });
            }
            EventKind::OrderTriggered { order_id, .. } => self.change(order_id, |known| {
                (known.waits, known.was_triggered, known.since) = (false, true, sequence);
            }),
            EventKind::OrderAmended { order_id, price, leaves, .. } => self.change(order_id, |known| {
                if price != known.price || leaves > known.leaves {
                    known.since = sequence;
                }
                (known.price, known.leaves) = (price, leaves);
            }),
            EventKind::OrderCancelled { order_id, .. } => self.end(order_id),
            EventKind::OrderSettingsChanged { account, smp_group, .. } => {
                self.groups.insert(account, smp_group);
            }
            EventKind::Fill { order_id, kind: FillKind::Trade, leaves, .. } => {
                self.judge(kind)?;
                self.change(order_id, |known| known.leaves = leaves);
                if leaves.0 == 0 {
                    self.end(order_id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The live orders of an account.
    pub fn of(&self, account: AccountId) -> impl Iterator<Item = &Known> {
        self.orders.values().filter(move |known| known.account == account)
    }

    fn judge(&mut self, kind: &EventKind) -> Result<(), String> {
        let EventKind::Fill { trade_id, order_id, account, price, is_maker, .. } = *kind else {
            return Ok(());
        };
        let Some(known) = self.orders.get(&order_id).copied() else { return Ok(()) };
        if !is_maker {
            self.taker = Some((trade_id, order_id, account));
            let beyond = i128::from(price.0) - i128::from(known.price.0);
            let worse = i128::from(known.side.sign()) * beyond;
            return check(worse <= 0 || known.price.0 == 0, || format!("{kind:?} is beyond {known:?}"));
        }
        let book = self.books.get(&(known.instrument, known.side.to_wire()));
        let first = book.and_then(BTreeSet::first);
        check(first == Some(&known.place(order_id)), || format!("{kind:?} came before {first:?}"))?;
        check(price == known.price, || format!("{kind:?} is not at the price of {known:?}"))?;
        self.judged += 1;
        let Some((trade, taker, other)) = self.taker.filter(|(trade, ..)| *trade == trade_id) else {
            return Ok(());
        };
        let allows = self.orders.get(&taker).is_none_or(|taker| taker.self_match == SelfMatch::Allow);
        self.kept_apart += u64::from(!allows);
        check(allows || !self.is_same(account, other), || {
            format!("{trade:?}: {taker:?} of {other:?} met its own trader's {order_id:?} of {account:?}")
        })
    }

    fn is_same(&self, account: AccountId, other: AccountId) -> bool {
        let group = |account| self.groups.get(account).copied().unwrap_or(0);
        account == other || (group(&account) != 0 && group(&account) == group(&other))
    }

    fn put(&mut self, id: OrderId, known: Known) {
        if !known.waits && known.leaves.0 > 0 {
            let book = self.books.entry((known.instrument, known.side.to_wire())).or_default();
            book.insert(known.place(id));
        }
        self.orders.insert(id, known);
    }

    fn end(&mut self, id: OrderId) {
        let Some(known) = self.orders.remove(&id) else { return };
        if let Some(book) = self.books.get_mut(&(known.instrument, known.side.to_wire())) {
            book.remove(&known.place(id));
        }
    }

    fn change(&mut self, id: OrderId, change: impl FnOnce(&mut Known)) {
        let Some(mut known) = self.orders.get(&id).copied() else { return };
        self.end(id);
        change(&mut known);
        self.put(id, known);
    }

    /// Compares the books with the exchange's, level by level.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look_around(&self, exchange: &Exchange) -> Result<(), String> {
        let count = u16::try_from(exchange.instruments().len()).unwrap_or(u16::MAX);
        for instrument in (0..count).map(InstrumentId) {
            let (bids, asks) = exchange.book(instrument, usize::MAX);
            for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
                let mut own: Vec<(i64, i64)> = Vec::new();
                for (_, _, id) in self.books.get(&(instrument, side.to_wire())).into_iter().flatten() {
                    let Some(known) = self.orders.get(id) else { continue };
                    match own.last_mut() {
                        Some((price, qty)) if *price == known.price.0 => *qty += known.leaves.0,
                        _ => own.push((known.price.0, known.leaves.0)),
                    }
                }
                let shown: Vec<(i64, i64)> =
                    levels.iter().map(|level| (level.price.0, level.qty.0)).collect();
                check(own == shown, || {
                    format!("{instrument:?} {side:?}: {shown:?}, the events make {own:?}")
                })?;
            }
        }
        Ok(())
    }
}

fn check(holds: bool, told: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(told()) }
}
