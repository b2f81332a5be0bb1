//! Properties of crashes over many coins: leveraged crowds, cross and isolated, in five instruments and three coins, while
//! prices fall and jump. proptest prints the seed of a failure.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::{
    AccountAction, AccountId, Action, CoinId, Command, Event, EventKind, Exchange, FillKind, Genesis,
    InstrumentId, LiquidationSpec, MarginMode, ModeScope, Money, NewOrder, OrderType, PoolId, PositionAction,
    PositionIndex, PositionMode, Price, Qty, Side, TimeInForce, SCALE,
};
use proptest::prelude::*;
use support::{btc, btc_inverse, btc_perp, eth, many_coins};

const PEOPLE: u32 = 12;
/// BTCUSDT, ETHUSDT, BTCUSD (inverse), BTCPERP (USDC).
const CONTRACTS: u16 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// An account offers or takes a part, in thousandths, of what it could hold, so many thousandths through the mark.
    Trade {
        who: u32,
        contract: u16,
        side: Side,
        part: i64,
        through: i64,
        kind: usize,
    },
    /// An index moves by so many thousandths.
    Move {
        contract: u16,
        by: i64,
    },
    /// All indices and the coin move together.
    Crash {
        by: i64,
    },
    Coin {
        by: i64,
    },
    Switch {
        who: u32,
        enabled: bool,
    },
    Tick {
        milliseconds: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    prop_oneof![
        12 => (0..PEOPLE, 0..CONTRACTS, side, 1_i64..1100, -30_i64..30, 0_usize..6)
            .prop_map(|(who, contract, side, part, through, kind)| Step::Trade { who, contract, side, part, through, kind }),
        3 => (0..CONTRACTS, -60_i64..50).prop_map(|(contract, by)| Step::Move { contract, by }),
        2 => prop_oneof![4 => -80_i64..20, 1 => -400_i64..300].prop_map(|by| Step::Crash { by }),
        1 => prop_oneof![4 => -60_i64..50, 1 => -900_i64..900].prop_map(|by| Step::Coin { by }),
        1 => (0..PEOPLE, any::<bool>()).prop_map(|(who, enabled)| Step::Switch { who, enabled }),
        3 => prop_oneof![5 => 100_i64..2_000, 1 => 60_000_i64..8_000_000].prop_map(|milliseconds| Step::Tick { milliseconds }),
    ]
}

fn genesis(fund: i64, fill_or_kill: bool) -> Genesis {
    let instruments = vec![btc(), eth(), btc_inverse(), btc_perp()];
    let mut genesis = many_coins(instruments, &format!("{}.{:02}", fund / 100, fund % 100));
    genesis.liquidation =
        LiquidationSpec { fill_or_kill, takeover_beyond: fill_or_kill.then_some(SCALE / 100) };
    for pool in &mut genesis.pools {
        pool.adl.threshold = Money(100 * SCALE);
    }
    genesis
}

/// An exchange, its clock, and what a step did.
struct World {
    exchange: Exchange,
    now: i64,
    events: Vec<Event>,
}

impl World {
    fn new(genesis: &Genesis) -> Self {
        let mut world = Self { exchange: Exchange::new(genesis).unwrap(), now: 0, events: Vec::new() };
        for who in 0..PEOPLE {
            let account = AccountId(1000 + who);
            world.does(Action::CreateAccount { account });
            let scale = [40, 200, 1_000, 30_000][who as usize % 4] * SCALE;
            for (coin, amount) in
                [(0, scale * 10), (1, scale * i64::from(who % 3)), (2, scale / 5_000 * i64::from(who % 2))]
            {
                if amount > 0 {
                    world.does(Action::Deposit { account, coin: CoinId(coin), amount: Money(amount) });
                }
            }
            if who % 4 == 3 && who > 4 {
                world.does(Action::Position(PositionAction::SetMarginMode {
                    account,
                    mode: MarginMode::Isolated,
                }));
            }
            for contract in 0..CONTRACTS {
                let instrument = InstrumentId(contract);
                if Self::is_hedged(who, contract) {
                    let scope = ModeScope::Instrument(instrument);
                    let mode = PositionMode::Hedge;
                    world.does(Action::Position(PositionAction::SetPositionMode { account, scope, mode }));
                }
                let leverage = [10_000, 5_000, 2_500, 1_000][(who as usize + usize::from(contract)) % 4];
                world.does(Action::SetLeverage { account, instrument, leverage });
            }
        }
        for (contract, price) in [(0, 50_000), (1, 2_000), (2, 50_000), (3, 50_000)] {
            let price = Price(price * SCALE);
            world.does(Action::SetIndexSource { instrument: InstrumentId(contract), source: 0, price });
        }
        world
    }

    fn is_hedged(who: u32, contract: u16) -> bool {
        (who + u32::from(contract)) % 5 == 4
    }

    fn does(&mut self, action: Action) -> bool {
        self.events.clear();
        let command = Command { market_ms: self.now, wall_us: 0, action };
        let applied =
            self.exchange.apply(&command, &mut self.events).unwrap_or_else(|fatal| panic!("{fatal}"));
        applied.reject.is_none()
    }

    fn moved(&self, contract: u16, by: i64) -> Action {
        let instrument = InstrumentId(contract);
        let listed = &self.exchange.instruments()[usize::from(contract)];
        let index = self.exchange.prices(instrument).unwrap().index.0;
        let price = (index / 1000 * (1000 + by)).clamp(100 * SCALE, listed.spec.max_price.0);
        Action::SetIndexSource { instrument, source: 0, price: Price(price) }
    }

    fn order(&self, step: &Step) -> Option<Action> {
        let Step::Trade { who, contract, side, part, through, kind } = *step else { return None };
        let (account, instrument) = (AccountId(1000 + who), InstrumentId(contract));
        let listed = &self.exchange.instruments()[usize::from(contract)];
        let mark = self.exchange.prices(instrument)?.mark.0;
        let means = self.exchange.account(account)?.equity.0.max(SCALE);
        let leverage =
            i128::from(self.exchange.position(account, instrument, PositionIndex::OneWay)?.leverage);
        let usd = i128::from(means) * leverage / 100 * i128::from(part) / 1000;
        let qty = if listed.spec.inverse { usd } else { usd * i128::from(SCALE) / i128::from(mark) };
        let qty = i64::try_from(qty).ok()?.min(listed.spec.max_market_qty.0);
        let qty = (qty - qty % listed.spec.qty_step.0).max(listed.spec.min_qty.0);
        let price = mark / 1000 * (1000 + through * side.sign());
        let reduce_only = kind == 5;
        let position_index = match (Self::is_hedged(who, contract), side, reduce_only) {
            (false, ..) => PositionIndex::OneWay,
            (_, Side::Buy, false) | (_, Side::Sell, true) => PositionIndex::HedgeBuy,
            _ => PositionIndex::HedgeSell,
        };
        let order = NewOrder {
            position_index,
            reduce_only,
            order_type: if kind == 4 { OrderType::Market } else { OrderType::Limit },
            time_in_force: if kind == 3 {
                TimeInForce::ImmediateOrCancel
            } else {
                TimeInForce::GoodTillCancel
            },
            ..NewOrder::limit(
                account,
                instrument,
                side,
                Qty(qty),
                Price(price - price % listed.spec.tick_size.0),
            )
        };
        Some(Action::PlaceOrder(order))
    }

    fn perform(&mut self, step: &Step) {
        match *step {
            Step::Trade { .. } => {
                if let Some(action) = self.order(step) {
                    self.checked(action);
                }
            }
            Step::Move { contract, by } => {
                let action = self.moved(contract, by);
                self.checked(action);
            }
            Step::Crash { by } => {
                self.perform(&Step::Coin { by });
                for contract in 0..CONTRACTS {
                    let action = self.moved(contract, by);
                    self.checked(action);
                }
            }
            Step::Coin { by } => {
                let price =
                    self.exchange.coins(AccountId(1001)).last().map_or(SCALE, |coin| coin.usd_price.0);
                let price = Price((price / 1000 * (1000 + by)).clamp(SCALE, 1_000_000 * SCALE));
                self.checked(Action::SetCoinPrice { coin: CoinId(2), price });
            }
            Step::Switch { who, enabled } => {
                let (account, coin) = (AccountId(1000 + who), CoinId(2));
                self.checked(Action::Account(AccountAction::SetCollateral { account, coin, enabled }));
            }
            Step::Tick { milliseconds } => {
                self.now += milliseconds;
                self.checked(Action::AdvanceTime);
            }
        }
    }

    /// Performs an action and holds what came of it against the rules.
    fn checked(&mut self, action: Action) {
        let assigned_before = self.assigned();
        self.does(action);
        self.exchange.check_invariants().unwrap_or_else(|fatal| panic!("{fatal} by {action:?}"));
        let owed = self.owed();
        self.check_takeovers(&owed);
        self.check_deleveraged();
        self.check_isolated(&assigned_before);
        for pool in 0..3 {
            assert!(self.exchange.insurance_pool(PoolId(pool)).unwrap() >= Money(0));
        }
    }

    fn owed(&self) -> BTreeMap<AccountId, i64> {
        let users = (0..PEOPLE).map(|who| AccountId(1000 + who));
        users.map(|account| (account, self.exchange.account(account).unwrap().borrowed.0)).collect()
    }

    /// Margin assigned to each isolated position.
    fn assigned(&self) -> BTreeMap<(AccountId, InstrumentId, PositionIndex), i64> {
        let users = (0..PEOPLE).map(|who| AccountId(1000 + who));
        users
            .flat_map(|account| self.exchange.positions(account).into_iter().map(move |held| (account, held)))
            .map(|(account, held)| ((account, held.instrument, held.position_index), held.assigned_margin.0))
            .collect()
    }

    /// Whose positions were taken over for want of account margin has none left and owes nothing.
    fn check_takeovers(&self, owed: &BTreeMap<AccountId, i64>) {
        let liquidated: BTreeSet<AccountId> = self.of(|kind| match kind {
            EventKind::LiquidationStarted { account, .. } => Some(*account),
            _ => None,
        });
        let taken: BTreeSet<AccountId> = self.of(|kind| match kind {
            EventKind::TakenOver { account, .. } => Some(*account),
            _ => None,
        });
        for account in liquidated.intersection(&taken) {
            assert!(self.exchange.positions(*account).is_empty(), "{account:?} keeps a position");
            assert_eq!(owed[account], 0, "{account:?} owes: {:?}", self.exchange.coins(*account));
        }
    }

    /// Nobody is deleveraged into debt: of the coin that he lost something is left, or nothing.
    fn check_deleveraged(&self) {
        let traded: BTreeSet<AccountId> = self.of(|kind| match kind {
            EventKind::Fill { account, kind, .. } if *kind != FillKind::Adl => Some(*account),
            _ => None,
        });
        for event in &self.events {
            let EventKind::Deleveraged { account, instrument, .. } = event.kind else { continue };
            let settle = self.exchange.instruments()[usize::from(instrument.0)].settle;
            let coins = self.exchange.coins(account);
            let coin = coins.iter().find(|coin| coin.coin == settle).unwrap();
            assert!(traded.contains(&account) || coin.equity.0 >= 0, "{event:?} leaves {coin:?}");
        }
    }

    /// An isolated position that is taken over costs no more than was assigned to it.
    fn check_isolated(&self, before: &BTreeMap<(AccountId, InstrumentId, PositionIndex), i64>) {
        for event in &self.events {
            let EventKind::Fill {
                account,
                instrument,
                position_index,
                realised_pnl,
                fee,
                kind: FillKind::TakeOver,
                is_maker: false,
                ..
            } = event.kind
            else {
                continue;
            };
            if self.exchange.margin_mode(account) == Some(MarginMode::Isolated) {
                let assigned =
                    before.get(&(account, instrument, position_index)).copied().unwrap_or(i64::MAX);
                let added: i64 = self.added(account, instrument, position_index);
                assert!(fee.0 - realised_pnl.0 <= assigned.saturating_add(added), "{event:?} of {assigned}");
            }
        }
    }

    fn added(&self, owner: AccountId, at: InstrumentId, index: PositionIndex) -> i64 {
        let added = self.events.iter().filter_map(|event| match event.kind {
            EventKind::MarginAdded { account, instrument, position_index, amount, .. }
                if (account, instrument, position_index) == (owner, at, index) =>
            {
                Some(amount.0)
            }
            _ => None,
        });
        added.sum()
    }

    fn of(&self, wanted: impl Fn(&EventKind) -> Option<AccountId>) -> BTreeSet<AccountId> {
        self.events.iter().filter_map(|event| wanted(&event.kind)).collect()
    }
}

proptest! {
    #[test]
    fn a_crash_leaves_nobody_in_debt_and_every_coin_where_it_was(
        steps in prop::collection::vec(step(), 20..160), fund in prop_oneof![Just(0_i64), 0_i64..100_000_000], fill_or_kill: bool,
    ) {
        let mut world = World::new(&genesis(fund, fill_or_kill));
        for step in &steps {
            world.perform(step);
        }
        for _ in 0..3 {
            world.perform(&Step::Tick { milliseconds: 250 });
        }
        prop_assert!(world.exchange.conservation().adds_up());
    }
}

/// The property is worth its time only when crashes reach everything.
#[test]
fn the_crashes_reach_every_way_a_position_can_end() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for at in 0..60 {
        let steps = prop::collection::vec(step(), 100..160).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(&genesis(1_000_000 * (at % 3), at % 4 == 0));
        for step in &steps {
            world.perform(step);
            for event in &world.events {
                let name = match event.kind {
                    EventKind::Fill { kind, .. } => format!("{kind:?}"),
                    kind => format!("{kind:?}").split(' ').next().unwrap().to_owned(),
                };
                *seen.entry(name).or_default() += 1;
            }
        }
    }
    let wanted = [
        "LiquidationStarted",
        "PositionLiquidationStarted",
        "TakenOver",
        "TakeOver",
        "Adl",
        "AdlStarted",
        "AdlStopped",
        "Netting",
        "Converted",
        "Repaid",
        "InsuranceFundChanged",
    ];
    for name in wanted {
        assert!(seen.get(name).is_some_and(|times| *times >= 3), "{name}: {seen:?}");
    }
}
