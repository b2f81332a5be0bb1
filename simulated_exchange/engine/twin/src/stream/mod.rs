//! Random commands, drawn from a seed with an eye on the state, so that orders meet, positions grow to what their accounts
//! can bear, and prices jump far enough to liquidate them. Rubbish is mixed in.
//!
//! A step names an order by the step that placed it, so that it still means the same order when other steps are left out.

mod markets;
mod money;
mod mood;
mod orders;
mod stops;

use exchange_core::{
    AccountId, Action, CoinId, Command, InstrumentId, MarginMode, ModeScope, Money, OrderId, PositionAction,
    PositionIndex, PositionMode, Price, ProductClass, TradingAction, SCALE,
};

use crate::random::Random;
use crate::rounding::shown;
use crate::state::{Key, State};
use crate::world::first_price;
use mood::{Kind, Mood};

/// Marks an order id that is the number of a step.
pub const STEP_MARK: u64 = 1 << 62;
const FIRST: u32 = 1000;

/// A command of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its number in the stream as it was drawn.
    pub number: u64,
    /// The command; orders are named by their steps.
    pub command: Command,
}

/// Draws commands.
#[derive(Clone, Debug)]
pub struct Stream {
    random: Random,
    mood: Mood,
    accounts: u32,
    now: i64,
    next: u64,
    opening: Vec<Action>,
    /// The step that placed each order.
    placed: Vec<(u64, u64)>,
}

impl Stream {
    /// A stream for a venue.
    pub fn new(mut random: Random, state: &State) -> Self {
        let instruments = state.contracts.len();
        let mood = Mood::new(&mut random);
        let accounts = if random.once_in(40) { 80 } else { u32::try_from(random.between(3, 8)).unwrap_or(3) };
        let mut opening = Vec::new();
        for at in (0..instruments).rev() {
            let price = Price(first_price(&state.contracts[at].spec));
            opening.push(Action::SetIndexSource { instrument: instrument(at), source: 0, price });
        }
        for account in (FIRST..FIRST + accounts).map(AccountId) {
            let (coin, whole) = random.weighted(&[
                (60, (CoinId(0), 200_000)),
                (25, (CoinId(1), 20)),
                (10, (CoinId(2), 200_000)),
                (5, (CoinId(3), 200)),
            ]);
            let amount = Money(random.scaled(whole) * SCALE);
            if random.percent(30) {
                let (scope, mode) = (ModeScope::Coin(CoinId(0)), PositionMode::Hedge);
                opening.push(Action::Position(PositionAction::SetPositionMode { account, scope, mode }));
            }
            if random.percent(25) {
                let mode = MarginMode::Isolated;
                opening.push(Action::Position(PositionAction::SetMarginMode { account, mode }));
            }
            if random.percent(70) {
                let leverage = u32::try_from(random.between(20, 100) * 100).unwrap_or(5000);
                opening.extend((0..instruments).map(|at| Action::SetLeverage {
                    account,
                    instrument: instrument(at),
                    leverage,
                }));
            }
            opening.push(Action::Deposit { account, coin, amount });
            opening.push(Action::CreateAccount { account });
        }
        Self { random, mood, accounts, now: 0, next: 0, opening, placed: Vec::new() }
    }

    /// The next step, given what came of the others.
    pub fn next(&mut self, state: &State) -> Step {
        let number = self.next;
        self.next += 1;
        let action = match self.opening.pop() {
            Some(action) => action,
            None => self.draw(state),
        };
        self.now = self.now.max(state.now) + self.pause();
        let market_ms = if self.random.once_in(300) {
            self.random.pick(&[-1, self.now - 1, i64::MAX, i64::MIN])
        } else {
            self.now
        };
        let wall_us = self.random.pick(&[self.now, 0, i64::MAX]);
        Step { number, command: Command { market_ms, wall_us, action } }
    }

    /// Notes the order that a step placed.
    pub fn note(&mut self, step: u64, order: OrderId) {
        self.placed.push((order.0, step));
    }

    fn pause(&mut self) -> i64 {
        let longest = self.random.weighted(&self.mood.pauses);
        self.random.between(0, longest)
    }

    fn draw(&mut self, state: &State) -> Action {
        let drawn = self.random.weighted(&self.mood.kinds);
        let needs_order = matches!(drawn, Kind::Amend | Kind::Cancel | Kind::CancelAll);
        let none_there = state.orders.is_empty() && state.waiting.is_empty();
        let is_idle = needs_order && none_there && self.random.percent(95);
        let kind = if is_idle { Kind::Place } else { drawn };
        let account = self.account();
        match kind {
            Kind::Place => Action::PlaceOrder(self.new_order(state)),
            Kind::Amend => self.amendment(state),
            Kind::Cancel => {
                let (account, order_id, _) = self.order(state);
                Action::CancelOrder { account, order_id }
            }
            Kind::CancelAll => {
                let instrument = self.random.percent(50).then(|| self.instrument(state));
                Action::CancelAll { account, instrument }
            }
            Kind::Leverage => {
                Action::SetLeverage { account, instrument: self.instrument(state), leverage: self.leverage() }
            }
            Kind::Report => self.report(state),
            Kind::Advance => Action::AdvanceTime,
            Kind::CoinPrice => {
                let reported = CoinId(self.random.pick(&[1, 3]));
                let coin = if self.random.percent(90) { reported } else { self.coin(state) };
                let price = state.coin_prices.get(usize::from(coin.0)).copied().unwrap_or(1);
                Action::SetCoinPrice { coin, price: self.moved(price) }
            }
            Kind::Create => Action::CreateAccount { account },
            Kind::PositionMode => {
                let scope = if self.random.percent(70) {
                    ModeScope::Instrument(self.instrument(state))
                } else {
                    ModeScope::Coin(self.coin(state))
                };
                let mode = self.random.pick(PositionMode::ALL);
                Action::Position(PositionAction::SetPositionMode { account, scope, mode })
            }
            Kind::Deposit
            | Kind::Withdraw
            | Kind::Borrow
            | Kind::Repay
            | Kind::Supply
            | Kind::Redeem
            | Kind::Transfer
            | Kind::Collateral
            | Kind::VenueCollateral
            | Kind::AutoRepay
            | Kind::Level
            | Kind::SubAccount => self.money(kind, state),
            Kind::MarketTerms => Action::Market(self.market_terms(state)),
            Kind::OrderSetting => {
                let setting = self.order_setting();
                Action::Trading(TradingAction::SetOrderSetting { account, setting })
            }
            Kind::TradingStop => Action::Trading(TradingAction::SetTradingStop(self.trading_stop(state))),
            Kind::Disconnected => {
                let products = self.random.pick(ProductClass::ALL);
                Action::Trading(TradingAction::CancelDisconnected { account, products })
            }
            Kind::MarginMode => {
                let mode = self.random.pick(MarginMode::ALL);
                Action::Position(PositionAction::SetMarginMode { account, mode })
            }
            Kind::AddMargin => {
                let (account, instrument, position_index) = self.held(state);
                let sign = self.random.pick(&[1, 1, -1]);
                let amount = self.amount(1_000) / self.random.pick(&[1, 1_000]);
                let amount = Money(amount.saturating_mul(sign));
                Action::Position(PositionAction::AddMargin { account, instrument, position_index, amount })
            }
            Kind::AutoAddMargin => {
                let (account, instrument, position_index) = self.held(state);
                let is_on = self.random.percent(70);
                Action::Position(PositionAction::SetAutoAddMargin {
                    account,
                    instrument,
                    position_index,
                    is_on,
                })
            }
            Kind::SideLeverage => {
                let (instrument, buy) = (self.instrument(state), self.leverage());
                let sell = if self.random.percent(80) { buy } else { self.leverage() };
                Action::Position(PositionAction::SetSideLeverage { account, instrument, buy, sell })
            }
        }
    }

    fn account(&mut self) -> AccountId {
        let known = AccountId(
            FIRST + u32::try_from(self.random.between(0, i64::from(self.accounts) - 1)).unwrap_or(0),
        );
        let strange =
            [0, 1, 3, 4, 100, 999, FIRST + self.accounts, 1 << 22, (1 << 22) + 1, u32::MAX].map(AccountId);
        if self.random.once_in(100) {
            self.random.pick(&strange)
        } else {
            known
        }
    }

    /// Where somebody holds a position; sometimes anywhere.
    fn held(&mut self, state: &State) -> (AccountId, InstrumentId, PositionIndex) {
        let users = state.users();
        let open = state.slots.iter().filter(|(key, slot)| slot.qty != 0 && users.contains(&key.account));
        let keys: Vec<Key> = open.map(|(key, _)| *key).collect();
        if keys.is_empty() || self.random.once_in(10) {
            return (self.account(), self.instrument(state), self.random.pick(PositionIndex::ALL));
        }
        let key = self.random.pick(&keys);
        (AccountId(state.accounts[key.account].id), instrument(key.instrument), key.index)
    }

    fn instrument(&mut self, state: &State) -> InstrumentId {
        if self.random.once_in(200) {
            return self.random.pick(&[InstrumentId(u16::MAX), instrument(state.contracts.len())]);
        }
        let last = state.contracts.len() - 1;
        let at = self.random.between(0, i64::try_from(last).unwrap_or(0));
        instrument(usize::try_from(at).unwrap_or(0))
    }

    fn leverage(&mut self) -> u32 {
        let whole = u32::try_from(self.random.between(1, 100) * 100).unwrap_or(100);
        self.random.weighted(&[(90, whole), (6, 10_000), (1, 0), (1, 99), (1, u32::MAX), (1, 4321)])
    }

    fn amount(&mut self, whole: i64) -> i64 {
        let usual = self.random.scaled(whole) * SCALE + self.random.between(0, 1) * 7;
        self.random.weighted(&[(95, usual), (1, 0), (1, -1), (1, i64::MAX), (1, i64::MIN), (1, 1)])
    }

    /// A price some way off another.
    fn moved(&mut self, price: i128) -> Price {
        let reach = self.random.weighted(&self.mood.jumps);
        let factor = 10_000 + i128::from(self.random.between(-reach, reach));
        let usual = shown(price * factor / 10_000).clamp(SCALE / 10_000, 400_000 * SCALE);
        Price(self.random.weighted(&[(99, usual), (1, 0)]))
    }

    fn report(&mut self, state: &State) -> Action {
        let instrument = self.instrument(state);
        let at = usize::from(instrument.0);
        let Some(contract) = state.contracts.get(at) else {
            return Action::SetIndexSource { instrument, source: 0, price: Price(SCALE) };
        };
        let sources = i64::try_from(contract.spec.index_sources.len()).unwrap_or(1);
        let source = if self.random.once_in(200) {
            u32::MAX
        } else {
            u32::try_from(self.random.between(0, sources - 1)).unwrap_or(0)
        };
        // what strays too far comes back
        let first = i128::from(first_price(&contract.spec));
        let index = state.markets[at].index.clamp(first / 3, first * 3);
        let rubbish = self.random.pick(&[
            Price(0),
            Price(-1),
            Price(1),
            Price(i64::MAX),
            Price(i64::MIN),
            contract.spec.max_price,
        ]);
        let bridge = contract.spec.index_sources.get(source as usize).and_then(|listed| listed.converted_by);
        let usual = match bridge.map(|bridge| state.markets[usize::from(bridge.0)].index) {
            Some(over) => self.moved((index * i128::from(SCALE) / over.max(1)).max(1)),
            None => self.moved(index),
        };
        let price = if self.random.once_in(300) { rubbish } else { usual };
        Action::SetIndexSource { instrument, source, price }
    }
}

/// The identifier of an instrument that may not be listed.
fn instrument(at: usize) -> InstrumentId {
    InstrumentId(u16::try_from(at).unwrap_or(u16::MAX))
}
