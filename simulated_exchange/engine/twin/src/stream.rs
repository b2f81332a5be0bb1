//! Random commands, drawn from a seed with an eye on the state, so that orders meet, positions grow to what their accounts
//! can bear, and prices jump far enough to liquidate them. Rubbish is mixed in.
//!
//! A step names an order by the step that placed it, so that it still means the same order when other steps are left out.

use exchange_core::{
    AccountId, Action, CoinId, Command, InstrumentId, LinkId, MarkSource, MarketAction, ModeScope, Money,
    NewOrder, OrderId, OrderType, PositionAction, PositionIndex, PositionMode, Price, Qty, Rate, Side,
    TierSpec, TimeInForce, SCALE,
};

use crate::contract::Contract;
use crate::random::Random;
use crate::rounding::shown;
use crate::state::{Key, Order, State};
use crate::world::{BTC_PRICE, ETH_PRICE};

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
    accounts: u32,
    now: i64,
    next: u64,
    opening: Vec<Action>,
    /// The step that placed each order.
    placed: Vec<(u64, u64)>,
}

impl Stream {
    /// A stream for a venue.
    pub fn new(mut random: Random, instruments: usize) -> Self {
        let accounts = if random.once_in(40) { 80 } else { u32::try_from(random.between(3, 8)).unwrap_or(3) };
        let mut opening = Vec::new();
        for at in (0..instruments).rev() {
            let price = Price(first_price(at) * SCALE);
            opening.push(Action::SetIndexSource { instrument: instrument(at), source: 0, price });
        }
        for account in (FIRST..FIRST + accounts).map(AccountId) {
            let coin = if random.percent(70) { CoinId(0) } else { CoinId(1) };
            let whole = if coin == CoinId(0) { 200_000 } else { 20 };
            let amount = Money(random.scaled(whole) * SCALE);
            if random.percent(30) {
                let (scope, mode) = (ModeScope::Coin(CoinId(0)), PositionMode::Hedge);
                opening.push(Action::Position(PositionAction::SetPositionMode { account, scope, mode }));
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
        Self { random, accounts, now: 0, next: 0, opening, placed: Vec::new() }
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
        let longest =
            self.random.weighted(&[(60, 0), (30, 2_000), (8, 60_000), (1, 3_600_000), (1, 30_000_000)]);
        self.random.between(0, longest)
    }

    fn draw(&mut self, state: &State) -> Action {
        let kind = self.random.weighted(&[
            (46, 0),
            (10, 1),
            (5, 2),
            (1, 3),
            (4, 4),
            (14, 5),
            (10, 6),
            (2, 7),
            (3, 8),
            (2, 9),
            (1, 10),
            (2, 11),
            (2, 12),
            (2, 13),
        ]);
        let account = self.account();
        match kind {
            0 => Action::PlaceOrder(self.new_order(state)),
            1 => self.amendment(state),
            2 => {
                let (account, order_id, _) = self.order(state);
                Action::CancelOrder { account, order_id }
            }
            3 => {
                let instrument = self.random.percent(50).then(|| self.instrument(state));
                Action::CancelAll { account, instrument }
            }
            4 => {
                Action::SetLeverage { account, instrument: self.instrument(state), leverage: self.leverage() }
            }
            5 => self.report(state),
            6 => Action::AdvanceTime,
            7 => Action::SetCoinPrice { coin: self.coin(), price: self.moved(state.coin_prices[1]) },
            8 => {
                let coin = self.coin();
                let whole = if coin == CoinId(0) { 100_000 } else { 4 };
                let account =
                    if self.random.once_in(10) { AccountId(100 + u32::from(coin.0)) } else { account };
                Action::Deposit { account, coin, amount: Money(self.amount(whole)) }
            }
            9 => Action::Withdraw { account, coin: CoinId(0), amount: Money(self.amount(100_000)) },
            10 => Action::CreateAccount { account },
            11 => {
                let scope = if self.random.percent(70) {
                    ModeScope::Instrument(self.instrument(state))
                } else {
                    ModeScope::Coin(self.coin())
                };
                let mode = self.random.pick(PositionMode::ALL);
                Action::Position(PositionAction::SetPositionMode { account, scope, mode })
            }
            12 => {
                let (instrument, buy) = (self.instrument(state), self.leverage());
                let sell = if self.random.percent(80) { buy } else { self.leverage() };
                Action::Position(PositionAction::SetSideLeverage { account, instrument, buy, sell })
            }
            _ => Action::Market(self.terms(state)),
        }
    }

    /// What the venue may change about an instrument; risk limits begin small and end high, so that orders go on.
    fn terms(&mut self, state: &State) -> MarketAction {
        let instrument = self.instrument(state);
        let rate = |random: &mut Random| {
            let usual = random.between(0, 20_000) * 1_000_000;
            random.weighted(&[(95, usual), (2, 0), (1, -1), (1, i64::MAX), (1, i64::MIN)])
        };
        match self.random.weighted(&[(3, 0), (3, 1), (8, 2), (4, 3)]) {
            0 => {
                let source = self.random.pick(MarkSource::ALL);
                MarketAction::SetMarkSource { instrument, source }
            }
            1 => {
                let minutes = u32::try_from(self.random.between(1, 600)).unwrap_or(1);
                let interval_minutes =
                    self.random.weighted(&[(60, minutes), (35, 60), (2, 0), (1, 20_000), (2, u32::MAX)]);
                let (lower, upper) = (rate(&mut self.random), rate(&mut self.random));
                let (lower, upper) = (Rate(lower.saturating_neg()), Rate(upper));
                MarketAction::SetFundingTerms { instrument, interval_minutes, lower, upper }
            }
            2 => {
                let staged =
                    state.markets.get(usize::from(instrument.0)).map_or(0, |market| market.staged.len());
                let staged = u32::try_from(staged).unwrap_or(0);
                let number = self.random.weighted(&[(20, 0), (75, staged), (3, staged + 1), (2, u32::MAX)]);
                let below = i64::from(number.min(6));
                let limit = (0..below).fold(self.random.scaled(1_000) * 1_000, |limit, _| limit * 5) * SCALE;
                let limit = self.random.weighted(&[(97, limit), (1, 0), (1, -1), (1, i64::MAX)]);
                let max_leverage = self.random.between(20, 100) * 100 / (below + 1);
                let maintenance_rate = SCALE / 400 * (below + 1) + self.random.between(0, 1_000);
                let tier = TierSpec { limit: Money(limit), max_leverage, maintenance_rate };
                MarketAction::StageRiskTier { instrument, number, tier }
            }
            _ => {
                let later = self.random.weighted(&[(60, 1_000), (30, 100_000), (10, 10_000_000)]);
                let effective_ms = self.now + self.random.between(-100, later);
                MarketAction::AnnounceRiskLimits { instrument, effective_ms }
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

    fn instrument(&mut self, state: &State) -> InstrumentId {
        if self.random.once_in(200) {
            return self.random.pick(&[InstrumentId(u16::MAX), instrument(state.contracts.len())]);
        }
        let last = state.contracts.len() - 1;
        let at = self.random.between(0, i64::try_from(last).unwrap_or(0));
        instrument(usize::try_from(at).unwrap_or(0))
    }

    fn coin(&mut self) -> CoinId {
        self.random.weighted(&[(60, CoinId(0)), (38, CoinId(1)), (1, CoinId(2)), (1, CoinId(u16::MAX))])
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
        let reach = self.random.weighted(&[(45, 20), (40, 250), (12, 1_500), (3, 5_000)]); // of 10,000
        let factor = 10_000 + i128::from(self.random.between(-reach, reach));
        let usual = shown(price * factor / 10_000).clamp(SCALE / 10, 400_000 * SCALE);
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
        let first = i128::from(first_price(at) * SCALE);
        let index = state.markets[at].index.clamp(first / 3, first * 3);
        let rubbish = self.random.pick(&[
            Price(0),
            Price(-1),
            Price(1),
            Price(i64::MAX),
            Price(i64::MIN),
            contract.spec.max_price,
        ]);
        let price = if self.random.once_in(300) { rubbish } else { self.moved(index) };
        Action::SetIndexSource { instrument, source, price }
    }

    /// An order that rests, by its step, with its owner; sometimes somebody else's, sometimes none.
    fn order(&mut self, state: &State) -> (AccountId, OrderId, Option<Order>) {
        if state.orders.is_empty() || self.random.once_in(30) {
            let id = self.random.pick(&[OrderId(0), OrderId(1), OrderId(u64::MAX), OrderId(STEP_MARK)]);
            return (self.account(), id, None);
        }
        let last = i64::try_from(state.orders.len() - 1).unwrap_or(0);
        let order = state.orders[usize::try_from(self.random.between(0, last)).unwrap_or(0)].clone();
        let step = self.placed.iter().find(|(id, _)| *id == order.id).map_or(0, |(_, step)| *step);
        let owner = if self.random.once_in(30) {
            self.account()
        } else {
            AccountId(state.accounts[order.key.account].id)
        };
        (owner, OrderId(STEP_MARK | step), Some(order))
    }

    fn amendment(&mut self, state: &State) -> Action {
        let (account, order_id, order) = self.order(state);
        let Some(order) = order else {
            return Action::AmendOrder { account, order_id, price: Some(Price(SCALE)), qty: None };
        };
        let contract = state.contract(order.key.instrument);
        let price = self.random.percent(60).then(|| self.price(state, order.key.instrument));
        let step = shown(contract.step());
        let near = shown(order.qty) / step;
        let qty = self.random.percent(60).then(|| {
            let steps = self.random.between(near / 2, near + near / 2 + 1);
            Qty(self.random.weighted(&[
                (96, steps.saturating_mul(step)),
                (1, 0),
                (1, -step),
                (1, i64::MAX),
                (1, step / 2),
            ]))
        });
        Action::AmendOrder { account, order_id, price, qty }
    }

    /// A price near the mark, on few levels, so that orders meet.
    fn price(&mut self, state: &State, at: usize) -> Price {
        let (contract, mark) = (state.contract(at), state.markets[at].mark);
        if self.random.once_in(150) {
            return self.random.pick(&[
                Price(0),
                Price(-1),
                Price(1),
                Price(i64::MAX),
                Price(i64::MIN),
                contract.spec.max_price,
            ]);
        }
        let coarse = (mark / 2_000 / contract.tick()).max(1) * contract.tick();
        let reach = self.random.weighted(&[(60, 3), (30, 20), (10, 300)]);
        let middle = mark / coarse * coarse;
        let price = middle + i128::from(self.random.between(-reach, reach)) * coarse;
        Price(shown(price.max(contract.tick())))
    }

    fn new_order(&mut self, state: &State) -> NewOrder {
        let (account, instrument) = (self.account(), self.instrument(state));
        let at = usize::from(instrument.0).min(state.contracts.len() - 1);
        let place = state.place_of(account.0);
        let side = self.random.pick(&[Side::Buy, Side::Sell]);
        let position_index =
            self.position_index(place.is_some_and(|place| state.hedged.contains(&(place, at))));
        let key = place.map(|account| Key { account, instrument: at, index: position_index });
        let held = key.map_or(0, |key| state.slot(key).qty);
        let reduce_only = self.random.percent(if held == 0 { 2 } else { 25 });
        let closing = if held > 0 { Side::Sell } else { Side::Buy };
        NewOrder {
            position_index,
            side: if reduce_only && self.random.percent(95) { closing } else { side },
            order_type: self.random.weighted(&[(75, OrderType::Limit), (25, OrderType::Market)]),
            time_in_force: self.random.weighted(&[
                (65, TimeInForce::GoodTillCancel),
                (12, TimeInForce::ImmediateOrCancel),
                (13, TimeInForce::FillOrKill),
                (10, TimeInForce::PostOnly),
            ]),
            qty: self.qty(state, at, place, shown(held)),
            reduce_only,
            link_id: self.link(),
            ..NewOrder::limit(account, instrument, side, Qty(0), self.price(state, at))
        }
    }

    fn position_index(&mut self, is_hedged: bool) -> PositionIndex {
        if self.random.once_in(50) {
            return self.random.pick(PositionIndex::ALL);
        }
        if is_hedged {
            self.random.pick(&[PositionIndex::HedgeBuy, PositionIndex::HedgeSell])
        } else {
            PositionIndex::OneWay
        }
    }

    fn link(&mut self) -> LinkId {
        if self.random.percent(90) {
            return LinkId::NONE;
        }
        LinkId::parse(&format!("link-{}", self.random.between(0, 200))).unwrap_or_default()
    }

    /// Often as much as the account can bear, often as much as it holds.
    fn qty(&mut self, state: &State, at: usize, place: Option<usize>, held: i64) -> Qty {
        let contract = state.contract(at);
        let step = shown(contract.step());
        if self.random.once_in(100) {
            return Qty(self.random.pick(&[
                0,
                -1,
                1,
                step - 1,
                -step,
                i64::MAX,
                i64::MIN,
                contract.spec.max_qty.0 + step,
            ]));
        }
        if held != 0 && self.random.percent(20) {
            return Qty(held.saturating_abs());
        }
        let largest = place.map_or(1, |place| bearable_steps(state, &contract, at, place));
        let largest = largest.clamp(1, 1 << 40);
        let steps = if self.random.percent(30) {
            self.random.between(1, largest)
        } else {
            self.random.scaled(largest)
        };
        let least = contract.spec.min_qty.0 / step;
        let steps = if self.random.percent(90) { steps.max(least) } else { steps };
        Qty(steps.saturating_mul(step))
    }
}

/// About as many steps of quantity as an account could open at forty times what it has.
fn bearable_steps(state: &State, contract: &Contract, at: usize, place: usize) -> i64 {
    let mark = state.markets[at].mark;
    if mark == 0 {
        return 10;
    }
    let step = state.in_usd(contract.settle, contract.size(contract.step(), mark)).max(1);
    shown(state.figures(place).available().max(0) * 30 / step)
}

/// The identifier of an instrument that may not be listed.
fn instrument(at: usize) -> InstrumentId {
    InstrumentId(u16::try_from(at).unwrap_or(u16::MAX))
}

fn first_price(at: usize) -> i64 {
    if at == 1 {
        ETH_PRICE
    } else {
        BTC_PRICE
    }
}
