//! What must hold between the events alone: positions are the sum of their fills and wallets of their changes, every trade
//! has two sides, a reduce-only order only reduces, nobody is liquidated who holds nothing. It keeps its own
//! books and asks the exchange only to compare. Order books are in `queues`, margin in `means`.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::{
    AccountId, CoinId, Event, EventKind, Exchange, FIRST_USER_ACCOUNT, FillKind, InstrumentId, Kind, OrderId,
    PositionIndex, Qty, Side, TradeId,
};

use crate::means::Means;
use crate::queues::Queues;

type Held = (AccountId, InstrumentId, PositionIndex);

const HOUR_MS: i64 = 3_600_000;
const INTEREST_AT_MS: i64 = 300_000;

/// Hours of interest that an account paid for a coin, since the hour in which it paid before.
#[derive(Clone, Copy, Debug)]
struct Interest {
    since: i64,
    until: i64,
    hours: i64,
}

/// What somebody knows who saw every event.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    last_sequence: u64,
    /// Instruments without positions.
    spot: BTreeSet<InstrumentId>,
    positions: BTreeMap<Held, i128>,
    /// Missing once a balance was beyond what the boundary can show.
    wallets: BTreeMap<(AccountId, CoinId), Option<i128>>,
    reduce_only: BTreeSet<OrderId>,
    open: BTreeMap<OrderId, Qty>,
    /// Of the command being watched.
    touched: BTreeSet<Held>,
    paid: BTreeSet<(AccountId, CoinId)>,
    trades: BTreeMap<TradeId, (i128, i128)>,
    delivered: BTreeMap<InstrumentId, i128>,
    interest: BTreeMap<(AccountId, CoinId), Interest>,
    /// The order books.
    pub queues: Queues,
    /// Who could bear what.
    pub means: Means,
}

impl Observer {
    /// Takes what came of one command and compares with the exchange.
    ///
    /// # Errors
    /// What does not hold.
    pub fn watch(&mut self, events: &[Event], exchange: &Exchange) -> Result<(), String> {
        self.touched.clear();
        self.paid.clear();
        self.trades.clear();
        self.delivered.clear();
        if self.last_sequence == 0 {
            let listed = (0..).map(InstrumentId).zip(exchange.instruments());
            let spot = listed.filter(|(_, listed)| listed.spec.kind == Kind::Spot);
            self.spot = spot.map(|(id, _)| id).collect();
        }
        for event in events {
            self.last_sequence += 1;
            check(event.sequence == self.last_sequence, || format!("{event:?} is out of sequence"))?;
            check(Event::decode(&event.encode()) == Ok(*event), || format!("{event:?} has no record"))?;
            self.means.liquidation(&event.kind, &self.queues, exchange)?;
            self.queues.take(event.sequence, &event.kind)?;
            self.interest(event)?;
            self.take(&event.kind)?;
        }
        for (trade, (signed, total)) in &self.trades {
            check(*signed == 0, || format!("the sides of {trade:?} differ by {signed} of {total}"))?;
        }
        check(self.delivered.values().all(|sum| *sum == 0), || format!("delivered: {:?}", self.delivered))?;
        self.compare(exchange)
    }

    fn take(&mut self, kind: &EventKind) -> Result<(), String> {
        match *kind {
            EventKind::OrderAccepted { order_id, reduce_only, qty, .. } => {
                self.open.insert(order_id, qty);
                if reduce_only {
                    self.reduce_only.insert(order_id);
                }
            }
            EventKind::OrderAmended { order_id, leaves, .. } => {
                self.open.insert(order_id, leaves);
            }
            EventKind::OrderCancelled { order_id, leaves, .. } => {
                check(self.open.get(&order_id) == Some(&leaves), || format!("{kind:?} had other leaves"))?;
                self.end(order_id);
            }
            EventKind::Fill { .. } => return self.fill(kind),
            // What the venue moves between its own accounts is no event.
            EventKind::WalletChanged { account, coin, balance, change, .. }
                if account.0 >= FIRST_USER_ACCOUNT =>
            {
                let wallet = self.wallets.entry((account, coin)).or_insert(Some(0));
                let is_shown = balance.0 > i64::MIN && balance.0 < i64::MAX;
                *wallet = wallet.filter(|_| is_shown).map(|wallet| wallet + i128::from(change.0));
                let is_right = wallet.is_none_or(|wallet| wallet == i128::from(balance.0));
                check(is_right, || format!("{kind:?} makes {wallet:?}"))?;
                self.paid.insert((account, coin));
            }
            // Orders that would lose count against the balance, so it may be larger than what is to be maintained.
            EventKind::LiquidationStarted { maintenance_margin, .. } => {
                check(maintenance_margin.0 > 0, || format!("{kind:?} with nothing to maintain"))?;
            }
            EventKind::InsuranceFundChanged { balance, .. } => {
                check(balance.0 >= 0, || format!("{kind:?} is below zero"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// No hour of interest is taken twice. Interest is taken five minutes past; a long pause brings many hours at once.
    fn interest(&mut self, event: &Event) -> Result<(), String> {
        let EventKind::InterestCharged { account, coin, hours, .. } = event.kind else { return Ok(()) };
        let now = (event.market_ms - INTEREST_AT_MS).div_euclid(HOUR_MS);
        let taken =
            self.interest.entry((account, coin)).or_insert(Interest { since: -1, until: now, hours: 0 });
        if taken.until != now {
            *taken = Interest { since: taken.until, until: now, hours: 0 };
        }
        taken.hours += hours;
        let Interest { since, hours: all, .. } = *taken;
        check(hours >= 1 && all <= now - since, || {
            format!("{event:?} makes {all} hours between {since} and {now}")
        })
    }

    fn fill(&mut self, kind: &EventKind) -> Result<(), String> {
        let EventKind::Fill {
            trade_id,
            order_id,
            account,
            instrument,
            position_index,
            side,
            qty,
            leaves,
            closed_qty,
            position_qty,
            kind: how,
            ..
        } = *kind
        else {
            return Ok(());
        };
        let signed = i128::from(qty.0) * i128::from(side.sign());
        let place = (account, instrument, position_index);
        let held = self.positions.get(&place).copied().unwrap_or(0);
        let (after, closed) = if self.spot.contains(&instrument) {
            (0, 0) // coins change hands, there is no position
        } else {
            let closes = held.signum() == -signed.signum();
            (held + signed, if closes { held.abs().min(signed.abs()) } else { 0 })
        };
        self.positions.insert(place, after);
        self.touched.insert(place);
        check(qty.0 > 0 && after == i128::from(position_qty.0), || format!("{kind:?} makes {after}"))?;
        check(closed == i128::from(closed_qty.0), || format!("{kind:?} closes {closed}"))?;
        check(fits_its_leg(position_index, after), || format!("{kind:?} turns a leg around"))?;
        if self.reduce_only.contains(&order_id) {
            check(closed == signed.abs(), || format!("{kind:?} of a reduce-only order from {held}"))?;
        }
        if how == FillKind::Delivery {
            // each position is delivered by itself, and all of a contract's together are nothing
            *self.delivered.entry(instrument).or_default() += signed;
        } else {
            let sides = self.trades.entry(trade_id).or_default();
            sides.0 += signed;
            sides.1 += signed.abs();
        }
        if how == FillKind::Trade && order_id != OrderId(0) {
            let open = self.open.get(&order_id).copied().unwrap_or_default();
            check(open.0 - qty.0 == leaves.0 && leaves.0 >= 0, || format!("{kind:?} of {open:?}"))?;
            self.open.insert(order_id, leaves);
            if leaves.0 == 0 {
                self.end(order_id);
            }
        }
        Ok(())
    }

    fn end(&mut self, order: OrderId) {
        self.open.remove(&order);
        self.reduce_only.remove(&order);
    }

    fn compare(&self, exchange: &Exchange) -> Result<(), String> {
        for place in &self.touched {
            let held = self.positions.get(place).copied().unwrap_or(0);
            let view = exchange.position(place.0, place.1, place.2);
            let shown = view.map_or(0, |view| i128::from(view.qty.0));
            check(shown == held, || format!("{place:?} is {shown}, its fills make {held}"))?;
        }
        for (account, coin) in &self.paid {
            let Some(Some(wallet)) = self.wallets.get(&(*account, *coin)).copied() else { continue };
            let coins = exchange.coins(*account);
            let shown = coins.iter().find(|view| view.coin == *coin).map(|view| view.wallet_balance.0);
            let shown = i128::from(shown.unwrap_or(0));
            check(shown == wallet, || {
                format!("{account:?} has {shown} of {coin:?}, its changes make {wallet}")
            })?;
        }
        Ok(())
    }

    /// Compares what only a look at everything shows: the live orders, and that signed positions sum to nothing.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look_around(&mut self, exchange: &Exchange) -> Result<(), String> {
        let mut sums: BTreeMap<InstrumentId, i128> = BTreeMap::new();
        for ((_, instrument, _), held) in &self.positions {
            *sums.entry(*instrument).or_default() += held;
        }
        check(sums.values().all(|sum| *sum == 0), || format!("positions sum to {sums:?}"))?;
        let mut open: BTreeMap<OrderId, Qty> = BTreeMap::new();
        for account in exchange.accounts() {
            open.extend(
                exchange.open_orders(account, None).iter().map(|order| (order.order_id, order.leaves)),
            );
        }
        check(open == self.open, || "the live orders are not those of the events".to_owned())?;
        self.queues.look_around(exchange)?;
        self.means.look_around(exchange)?;
        let count = u16::try_from(exchange.instruments().len()).unwrap_or(u16::MAX);
        (0..count).map(InstrumentId).try_for_each(|instrument| {
            let (bid, ask) = exchange.best(instrument);
            let is_crossed = bid.qty.0 > 0 && ask.qty.0 > 0 && bid.price >= ask.price;
            check(!is_crossed, || format!("the book of {instrument:?} is crossed"))
        })
    }
}

fn fits_its_leg(index: PositionIndex, qty: i128) -> bool {
    match index {
        PositionIndex::OneWay => true,
        PositionIndex::HedgeBuy => qty.signum() != i128::from(Side::Sell.sign()),
        PositionIndex::HedgeSell => qty.signum() != i128::from(Side::Buy.sign()),
    }
}

fn check(holds: bool, told: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(told()) }
}
