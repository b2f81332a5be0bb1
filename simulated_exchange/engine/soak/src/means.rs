//! What accounts could bear before a command, against what the command made them hold; and whether who was liquidated had
//! to be. Figures are worked out anew from the views before the command and from the events, by bounds that no rounding and no
//! order of events can pass: less than what was needed, more than what there was.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::{
    AccountId, AccountView, Action, CoinId, Command, Event, EventKind, Exchange, FIRST_USER_ACCOUNT,
    FillKind, InstrumentId, Kind, Money, PositionIndex, Price, SCALE,
};

use crate::queues::Queues;

/// Units that roundings may make in one command.
const SLACK: i128 = 1_000;
/// Commands that did something after which nobody may still wait to be liquidated.
const PATIENCE: u32 = 2;
/// Hundredths in one whole of leverage.
const LEVERAGE_ONE: i128 = 100;
const WHOLE: i64 = SCALE;

/// What stood before a command that may trade at once.
#[derive(Clone, Debug, Default)]
pub struct Before {
    accounts: BTreeMap<AccountId, AccountView>,
    /// Whose command it is.
    account: AccountId,
    leverages: BTreeMap<(InstrumentId, PositionIndex), i64>,
    marks: Vec<Price>,
    /// Free cash of an isolated account, by coin.
    free: BTreeMap<CoinId, Money>,
    is_isolated: bool,
}

impl Before {
    /// Looks at an exchange before a command; nothing where it is none that trades.
    #[must_use]
    pub fn of(exchange: &Exchange, command: &Command) -> Option<Self> {
        let count = u16::try_from(exchange.instruments().len()).unwrap_or(u16::MAX);
        let (account, concerned) = match command.action {
            Action::PlaceOrder(order) if order.instrument.0 < count => {
                (order.account, order.instrument.0..order.instrument.0 + 1)
            }
            Action::AmendOrder { account, .. } => (account, 0..count),
            _ => return None,
        };
        let mut leverages = BTreeMap::new();
        for instrument in concerned.map(InstrumentId) {
            for index in [PositionIndex::OneWay, PositionIndex::HedgeBuy, PositionIndex::HedgeSell] {
                let view = exchange.position(account, instrument, index);
                leverages.insert((instrument, index), view.map_or(i64::MAX, |view| view.leverage));
            }
        }
        let view = |account| Some((account, exchange.account(account)?));
        let accounts: BTreeMap<_, _> = exchange.accounts().into_iter().filter_map(view).collect();
        let is_isolated = accounts.get(&account).is_some_and(|view| view.initial_rate.is_none());
        let marks = (0..count).map(InstrumentId).map(|at| exchange.prices(at).map_or(Price(0), |p| p.mark));
        let free = exchange.coins(account).into_iter().map(|coin| (coin.coin, coin.free)).collect();
        Some(Self { accounts, account, leverages, marks: marks.collect(), free, is_isolated })
    }
}

/// Judges means, and counts what was judged.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Incoming orders that opened, and could bear it.
    pub takers: u64,
    /// Resting orders that opened, and could bear it.
    pub makers: u64,
    /// Liquidations that had to be.
    pub liquidations: u64,
    /// Liquidations of accounts whose orders leave no room for a bound.
    pub unjudged: u64,
    /// Who should be liquidated, and at how many looks in a row.
    due: BTreeMap<AccountId, u32>,
}

impl Means {
    /// Judges the openings of one command.
    ///
    /// # Errors
    /// What does not hold.
    pub fn judge(&mut self, before: &Before, events: &[Event], exchange: &Exchange) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        let (mut needed, mut is_plain): (BTreeMap<CoinId, i128>, bool) = (BTreeMap::new(), true);
        for event in events.iter().take_while(|event| !is_later_stage(&event.kind)) {
            if let EventKind::OrderCancelled { account, .. } = event.kind {
                seen.insert(account); // what it held is free again
            }
            let EventKind::Fill { account, is_maker, qty, closed_qty, instrument, kind, .. } = event.kind
            else {
                continue;
            };
            let listed = &exchange.instruments()[usize::from(instrument.0)];
            if kind != FillKind::Trade || listed.spec.kind == Kind::Spot || account.0 < FIRST_USER_ACCOUNT {
                continue;
            }
            let is_first = seen.insert(account);
            if account == before.account {
                is_plain &= !is_maker && closed_qty.0 == 0;
                *needed.entry(listed.settle).or_default() += before.least(&event.kind, exchange);
            } else if is_maker && is_first && qty > closed_qty {
                let view = before.accounts.get(&account);
                let available =
                    view.filter(|view| view.initial_rate.is_some()).map_or(0, |view| view.available.0);
                check(available >= 0, || format!("{event:?} opens with {available} available"))?;
                self.makers += 1;
            }
        }
        if is_plain && !needed.is_empty() {
            self.takers += 1;
            return before.bears(&needed, exchange);
        }
        Ok(())
    }

    /// Judges the beginning of a liquidation; `queues` knows what happened until then.
    ///
    /// # Errors
    /// What does not hold.
    pub fn liquidation(
        &mut self,
        kind: &EventKind,
        queues: &Queues,
        exchange: &Exchange,
    ) -> Result<(), String> {
        match *kind {
            EventKind::PositionLiquidationStarted { margin, maintenance_margin, .. } => {
                self.liquidations += 1;
                check(maintenance_margin >= margin, || format!("{kind:?} was covered"))
            }
            EventKind::LiquidationStarted { account, margin_balance, maintenance_margin } => {
                let Some(lost) = most_lost(account, queues, exchange) else {
                    self.unjudged += 1;
                    return Ok(());
                };
                self.liquidations += 1;
                let covered = i128::from(margin_balance.0) - lost;
                check(i128::from(maintenance_margin.0) >= covered, || {
                    format!("{kind:?} was covered, its orders would lose {lost} at most")
                })
            }
            _ => Ok(()),
        }
    }

    /// True when somebody who should be liquidated waits for the next command.
    #[must_use]
    pub fn is_anybody_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Nobody is left who should have been liquidated. Whom the last step of a command ruins (the venue works what it took
    /// over, and a resting order fills) is served by the next one that does anything; who is still there after
    /// `PATIENCE` of them is left.
    ///
    /// # Errors
    /// Who was.
    pub fn look_around(&mut self, exchange: &Exchange) -> Result<(), String> {
        let before = std::mem::take(&mut self.due);
        for account in exchange.accounts().into_iter().filter(|account| account.0 >= FIRST_USER_ACCOUNT) {
            let rate = exchange.account(account).and_then(|view| view.maintenance_rate).unwrap_or(0);
            if rate < WHOLE || exchange.positions(account).is_empty() {
                continue;
            }
            let looks = before.get(&account).map_or(1, |looks| looks + 1);
            check(looks <= PATIENCE, || format!("{account:?} is left at a rate of {rate}"))?;
            self.due.insert(account, looks);
        }
        Ok(())
    }
}

impl Before {
    /// Less than what an opening fill takes of its coin: initial margin at the leverage chosen; where the coin is a dollar also
    /// the fee and what is lost at the mark.
    fn least(&self, fill: &EventKind, exchange: &Exchange) -> i128 {
        let EventKind::Fill { instrument, position_index, side, price, qty, fee, .. } = *fill else {
            return 0;
        };
        let listed = &exchange.instruments()[usize::from(instrument.0)];
        let leverage = self.leverages.get(&(instrument, position_index)).copied().unwrap_or(i64::MAX);
        let value = worth(listed.spec.inverse, qty.0, price.0);
        let margin = value * LEVERAGE_ONE / i128::from(leverage);
        if listed.settle != CoinId(0) && !self.is_isolated {
            return margin;
        }
        let mark = self.marks.get(usize::from(instrument.0)).map_or(0, |mark| mark.0);
        let through = i128::from(side.sign() * (price.0 - mark)) * i128::from(qty.0) / i128::from(SCALE);
        let lost = if listed.spec.inverse || self.is_isolated { 0 } else { through.max(0) };
        margin + i128::from(fee.0) + lost
    }

    /// What there was: available margin and what the account's orders held; of an isolated account the coin's free cash.
    fn bears(&self, needed: &BTreeMap<CoinId, i128>, exchange: &Exchange) -> Result<(), String> {
        let Some(view) = self.accounts.get(&self.account) else { return Ok(()) };
        let held = i128::from(view.order_margin.0);
        for (coin, needed) in needed {
            let price = coin_price(exchange, self.account, *coin);
            let usd = needed * price / i128::from(SCALE);
            let (asked, there) = if self.is_isolated {
                let orders = held * i128::from(SCALE) / price.max(1);
                (*needed, i128::from(self.free.get(coin).map_or(0, |free| free.0)) + orders)
            } else {
                (usd, i128::from(view.available.0) + held)
            };
            let account = self.account;
            check(asked <= there + SLACK, || {
                format!("{account:?} opened for at least {asked} of {coin:?}, it had {there}: {view:?}")
            })?;
        }
        Ok(())
    }
}

/// What an account's orders would lose if all filled, in USD, and rather more; `None` where coins are held for spot.
fn most_lost(account: AccountId, queues: &Queues, exchange: &Exchange) -> Option<i128> {
    let mut lost = 0;
    for order in queues.of(account) {
        let listed = &exchange.instruments()[usize::from(order.instrument.0)];
        if listed.spec.kind == Kind::Spot {
            return None;
        }
        if order.waits {
            continue;
        }
        let mark = exchange.prices(order.instrument).map_or(0, |prices| prices.mark.0);
        if i128::from(order.side.sign()) * (i128::from(order.price.0) - i128::from(mark)) <= 0 {
            continue;
        }
        let at = |price: i64| worth(listed.spec.inverse, order.leaves.0, price);
        let coins = (at(order.price.0) - at(mark)).abs() + 2;
        lost += coins * coin_price(exchange, account, listed.settle) / i128::from(SCALE) + 2;
    }
    Some(lost)
}

fn coin_price(exchange: &Exchange, account: AccountId, coin: CoinId) -> i128 {
    let coins = exchange.coins(account);
    coins.iter().find(|view| view.coin == coin).map_or(0, |view| i128::from(view.usd_price.0))
}

/// Value of a quantity at a price in the settlement coin, rounded down.
fn worth(is_inverse: bool, qty: i64, price: i64) -> i128 {
    let (qty, price, scale) = (i128::from(qty), i128::from(price.max(1)), i128::from(SCALE));
    if is_inverse { qty * scale / price } else { qty * price / scale }
}

/// What comes after the order that the command is about has met the book.
fn is_later_stage(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::PriceChanged { .. }
            | EventKind::OrderTriggered { .. }
            | EventKind::LiquidationStarted { .. }
            | EventKind::PositionLiquidationStarted { .. }
            | EventKind::TakenOver { .. }
    )
}

fn check(holds: bool, told: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(told()) }
}
