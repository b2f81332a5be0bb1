//! Properties under random streams of commands: no panic, every invariant, the same state on replay, and price-time
//! priority as a naive twin book sees it. proptest prints the seed of a failure.

mod support;

use exchange_core::{
    AccountId, Action, CoinId, Command, DecodeError, Event, EventKind, Exchange, FillKind, Genesis,
    InstrumentId, LinkId, Money, NewOrder, OrderId, OrderType, PoolId, PositionIndex, Price, Qty, Side,
    TimeInForce, COMMAND_BYTES, EVENT_BYTES, SCALE,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

const ACCOUNTS: u32 = 6;
const INSTRUMENTS: u16 = 4;

fn genesis(fund: i64) -> Genesis {
    let instruments = vec![support::btc(), support::eth(), support::btc_inverse(), support::btc_perp()];
    support::many_coins(instruments, &fund.to_string())
}

fn account() -> impl Strategy<Value = AccountId> {
    prop_oneof![40 => (1000..1000 + ACCOUNTS).prop_map(AccountId), 1 => any::<u32>().prop_map(AccountId), 1 => (0_u32..5).prop_map(AccountId)]
}

fn instrument() -> impl Strategy<Value = InstrumentId> {
    prop_oneof![30 => Just(InstrumentId(0)), 10 => Just(InstrumentId(1)), 20 => (2..INSTRUMENTS).prop_map(InstrumentId), 1 => any::<u16>().prop_map(InstrumentId)]
}

fn coin() -> impl Strategy<Value = CoinId> {
    prop_oneof![20 => (0..3_u16).prop_map(CoinId), 1 => any::<u16>().prop_map(CoinId)]
}

/// Mostly plausible around the given middle, now and then absurd.
fn number(middle: i64, step: i64, spread: i64) -> impl Strategy<Value = i64> {
    prop_oneof![
        60 => (-spread..=spread).prop_map(move |offset| middle + offset * step),
        2 => any::<i64>(),
        1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just(0),
        2 => (0_i64..2_000_000).prop_map(|whole| whole * SCALE),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn new_order() -> impl Strategy<Value = NewOrder> {
    let how = (
        side(),
        prop::sample::select(OrderType::ALL),
        prop::sample::select(TimeInForce::ALL),
        prop::bool::weighted(0.2),
    );
    let link = prop_oneof![8 => Just(LinkId::NONE), 1 => (0..30).prop_map(|number| LinkId::parse(&format!("id-{number}")).unwrap())];
    let qty = prop_oneof![6 => number(SCALE, SCALE / 100, 99), 2 => number(40 * SCALE, SCALE, 39), 2 => number(50_000 * SCALE, SCALE, 49_999)];
    let price = prop_oneof![3 => number(50_000 * SCALE, SCALE / 10, 3000), 1 => number(2_000 * SCALE, SCALE / 10, 300)];
    (account(), instrument(), how, qty, price, link).prop_map(
        |(account, instrument, (side, order_type, time_in_force, reduce_only), qty, price, link_id)| {
            NewOrder {
                account,
                position_index: PositionIndex::OneWay,
                instrument,
                side,
                order_type,
                time_in_force,
                qty: Qty(qty),
                price: Price(price),
                reduce_only,
                link_id,
            }
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let order_id = || prop_oneof![20 => (0_u64..40).prop_map(OrderId), 1 => any::<u64>().prop_map(OrderId)];
    let money = || number(50_000 * SCALE, SCALE, 50_000).prop_map(Money);
    prop_oneof![
        40 => new_order().prop_map(Action::PlaceOrder),
        16 => (account(), order_id(), prop::option::of(number(50_000 * SCALE, SCALE / 10, 3000)), prop::option::of(number(SCALE, SCALE / 100, 99)))
            .prop_map(|(account, order_id, price, qty)| Action::AmendOrder { account, order_id, price: price.map(Price), qty: qty.map(Qty) }),
        5 => (account(), order_id()).prop_map(|(account, order_id)| Action::CancelOrder { account, order_id }),
        1 => (account(), prop::option::of(instrument())).prop_map(|(account, instrument)| Action::CancelAll { account, instrument }),
        3 => (account(), instrument(), prop_oneof![(1_u32..=100).prop_map(|whole| whole * 100), any::<u32>()])
            .prop_map(|(account, instrument, leverage)| Action::SetLeverage { account, instrument, leverage }),
        8 => (prop_oneof![20 => number(50_000 * SCALE, 100 * SCALE, 120), 1 => number(50_000 * SCALE, SCALE, 49_999)])
            .prop_map(|price| Action::SetIndexSource { instrument: InstrumentId(0), source: 0, price: Price(price) }),
        4 => (2..INSTRUMENTS, number(50_000 * SCALE, 100 * SCALE, 120))
            .prop_map(|(at, price)| Action::SetIndexSource { instrument: InstrumentId(at), source: 0, price: Price(price) }),
        2 => (instrument(), 0_u32..3, number(2_000 * SCALE, SCALE, 500))
            .prop_map(|(instrument, source, price)| Action::SetIndexSource { instrument, source, price: Price(price) }),
        8 => Just(Action::AdvanceTime),
        2 => (account(), coin(), money()).prop_map(|(account, coin, amount)| Action::Deposit { account, coin, amount }),
        1 => (account(), coin(), money()).prop_map(|(account, coin, amount)| Action::Withdraw { account, coin, amount }),
        1 => (coin(), number(50_000 * SCALE, SCALE, 25_000)).prop_map(|(coin, price)| Action::SetCoinPrice { coin, price: Price(price) }),
        1 => account().prop_map(|account| Action::CreateAccount { account }),
    ]
}

fn commands(length: usize) -> impl Strategy<Value = Vec<Command>> {
    let step = prop_oneof![30 => 0_i64..3000, 1 => any::<i64>(), 1 => Just(-1)];
    prop::collection::vec((action(), step), 0..length).prop_map(|steps| {
        let mut now = 0_i64;
        let stamped = steps.into_iter().map(|(action, step)| {
            let plausible = (-1..3000).contains(&step);
            let market_ms = if plausible { now + step } else { step };
            if plausible {
                now = now.max(market_ms);
            }
            Command { market_ms, wall_us: market_ms.wrapping_mul(7), action }
        });
        opening().into_iter().chain(stamped).collect()
    })
}

/// Accounts with very different means, and an index.
fn opening() -> Vec<Command> {
    let command = |action| Command { market_ms: 0, wall_us: 0, action };
    let mut commands = Vec::new();
    for (number, deposit) in (0..ACCOUNTS).zip([2_000, 10_000, 50_000, 400_000, 3_000_000, 40_000_000]) {
        let account = AccountId(1000 + number);
        commands.push(command(Action::CreateAccount { account }));
        for (coin, part) in [(CoinId(0), 1), (CoinId(1), 10), (CoinId(2), 100_000)] {
            let amount = Money(deposit * SCALE / part);
            commands.push(command(Action::Deposit { account, coin, amount }));
        }
        for instrument in (0..INSTRUMENTS).map(InstrumentId) {
            commands.push(command(Action::SetLeverage {
                account,
                instrument,
                leverage: 5000 - number * 700,
            }));
        }
    }
    for (instrument, price) in (0..INSTRUMENTS).map(InstrumentId).zip([50_000, 2_000, 50_000, 50_000]) {
        let price = Price(price * SCALE);
        commands.push(command(Action::SetIndexSource { instrument, source: 0, price }));
    }
    commands
}

fn run(commands: &[Command], fund: i64, check_every: usize) -> (Exchange, Vec<Event>) {
    let mut exchange = Exchange::new(&genesis(fund)).unwrap();
    let mut events = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        exchange.apply(command, &mut events).unwrap_or_else(|fatal| panic!("{fatal} by {command:?}"));
        if number % check_every == 0 {
            exchange.check_invariants().unwrap_or_else(|fatal| panic!("{fatal} by {command:?}"));
        }
    }
    exchange.check_invariants().unwrap();
    (exchange, events)
}

proptest! {
    #[test]
    fn no_stream_of_commands_breaks_an_invariant(commands in commands(250), fund in prop_oneof![Just(0_i64), 0..1_000_000_i64]) {
        let (exchange, events) = run(&commands, fund, 1);
        prop_assert_eq!(exchange.command_count(), commands.len() as u64);
        for (number, event) in (1_u64..).zip(&events) {
            prop_assert_eq!(event.sequence, number);
        }
        for pool in 0..3 {
            prop_assert!(exchange.insurance_pool(PoolId(pool)).unwrap() >= Money(0));
        }
    }

    #[test]
    fn every_order_keeps_its_word(commands in commands(250), fund in prop_oneof![Just(0_i64), 0..1_000_000_i64]) {
        let mut exchange = Exchange::new(&genesis(fund)).unwrap();
        let mut limits = std::collections::BTreeMap::new();
        for command in &commands {
            let mut events = Vec::new();
            let applied = exchange.apply(command, &mut events).unwrap();
            for event in &events {
                keeps_its_word(&mut limits, &event.kind);
            }
            let Action::PlaceOrder(order) = command.action else { continue };
            if applied.reject.is_none() && order.order_type == OrderType::Limit && order.time_in_force == TimeInForce::FillOrKill {
                let fills = events.iter().filter(|event| matches!(event.kind, EventKind::Fill { order_id, .. } if order_id == applied.order_id));
                let cancels = events.iter().filter(|event| matches!(event.kind, EventKind::OrderCancelled { order_id, .. } if order_id == applied.order_id));
                prop_assert!(fills.count() == 0 || cancels.count() == 0, "filled in part by {:?}", command);
            }
        }
    }

    #[test]
    fn a_replay_through_records_gives_the_same_state_and_events(commands in commands(250)) {
        let (first, events) = run(&commands, 1000, 1000);
        let records: Vec<[u8; COMMAND_BYTES]> = commands.iter().map(Command::encode).collect();
        let decoded: Vec<Command> = records.iter().map(|record| Command::decode(record).unwrap()).collect();
        prop_assert_eq!(&decoded, &commands);
        let (second, repeated) = run(&decoded, 1000, 1000);
        prop_assert_eq!(first.state_hash(), second.state_hash());
        prop_assert_eq!(&events, &repeated);
        for event in &events {
            prop_assert_eq!(Event::decode(&event.encode()), Ok(*event));
        }
    }

    #[test]
    fn a_refused_command_changes_nothing_but_the_count(commands in commands(80), last in action()) {
        let (mut exchange, _) = run(&commands, 1000, 1000);
        let before = exchange.clone();
        let mut events = Vec::new();
        let command = Command { market_ms: exchange.market_ms(), wall_us: 1, action: last };
        let applied = exchange.apply(&command, &mut events).unwrap();
        if applied.reject.is_some() {
            prop_assert!(events.is_empty());
            let mut twin = before;
            let refused = Command { market_ms: -1, ..command };
            twin.apply(&refused, &mut events).unwrap();
            prop_assert_eq!(twin.state_hash(), exchange.state_hash());
        }
    }

    #[test]
    fn rubbish_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(command) = Command::decode(&bytes) {
            prop_assert_eq!(&command.encode()[..], &bytes[..]);
        }
        if let Ok(event) = Event::decode(&bytes) {
            prop_assert_eq!(&event.encode()[..], &bytes[..]);
        }
        prop_assert_eq!(Command::decode(&bytes[..bytes.len().min(95)]), Err(DecodeError::Length));
    }

    #[test]
    fn a_damaged_record_is_refused_or_means_itself(order in new_order(), at in 0..COMMAND_BYTES, value in any::<u8>()) {
        let command = Command { market_ms: 5, wall_us: 6, action: Action::PlaceOrder(order) };
        let mut record = command.encode();
        record[at] = value;
        if let Ok(decoded) = Command::decode(&record) {
            prop_assert_eq!(decoded.encode(), record);
        }
    }
}

/// No fill is worse than the order's limit, none of a reduce-only order opens.
fn keeps_its_word(limits: &mut std::collections::BTreeMap<OrderId, (Side, Price, bool)>, event: &EventKind) {
    match *event {
        EventKind::OrderAccepted { order_id, side, price, reduce_only, .. } => {
            limits.insert(order_id, (side, price, reduce_only));
        }
        EventKind::OrderAmended { order_id, price, .. } => {
            limits.get_mut(&order_id).unwrap().1 = price;
        }
        EventKind::Fill { order_id, price, qty, closed_qty, .. } if order_id != OrderId(0) => {
            let (side, limit, reduce_only) = limits[&order_id];
            let is_better = if side == Side::Buy { price <= limit } else { price >= limit };
            assert!(is_better, "{event:?} beyond {limit:?}");
            assert!(!reduce_only || closed_qty == qty, "{event:?} opens");
        }
        _ => {}
    }
}

/// The obvious book: a list searched from end to end.
#[derive(Default)]
struct NaiveBook {
    orders: Vec<(OrderId, Side, i64, i64)>,
}

impl NaiveBook {
    /// Fills (maker, price, qty) of an incoming order; the rest stays when it may.
    fn take(
        &mut self,
        id: OrderId,
        side: Side,
        price: i64,
        mut qty: i64,
        rests: bool,
    ) -> Vec<(OrderId, i64, i64)> {
        let mut fills = Vec::new();
        while qty > 0 {
            let reachable = |order: &&mut (OrderId, Side, i64, i64)| {
                order.1 != side && if side == Side::Buy { order.2 <= price } else { order.2 >= price }
            };
            // the first of equals is the oldest, because orders are kept by age
            let best = self.orders.iter_mut().filter(reachable).reduce(|best, next| {
                let is_better = if side == Side::Buy { next.2 < best.2 } else { next.2 > best.2 };
                if is_better {
                    next
                } else {
                    best
                }
            });
            let Some(maker) = best else { break };
            let filled = qty.min(maker.3);
            qty -= filled;
            maker.3 -= filled;
            fills.push((maker.0, maker.2, filled));
            self.orders.retain(|order| order.3 > 0);
        }
        if qty > 0 && rests {
            self.orders.push((id, side, price, qty));
        }
        fills
    }
}

#[derive(Clone, Debug)]
enum Step {
    Place(Side, i64, i64, bool),
    Cancel(u64),
    Amend(u64, i64, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tick = || 49_990_i64..50_010;
    let step = prop_oneof![
        6 => (side(), tick(), 1_i64..20, prop::bool::weighted(0.8)).prop_map(|(side, price, qty, rests)| Step::Place(side, price, qty, rests)),
        2 => (1_u64..150).prop_map(Step::Cancel),
        2 => (1_u64..150, tick(), 1_i64..20).prop_map(|(id, price, qty)| Step::Amend(id, price, qty)),
    ];
    prop::collection::vec(step, 0..250)
}

fn apply_step(exchange: &mut Exchange, step: &Step, number: u32) -> (Option<OrderId>, Vec<Event>) {
    let owner = |exchange: &Exchange, id: u64| {
        exchange.order(OrderId(id)).map_or(AccountId(1005), |order| order.account)
    };
    let action = match *step {
        Step::Place(side, price, qty, rests) => Action::PlaceOrder(NewOrder {
            account: AccountId(1004 + number % 2),
            position_index: PositionIndex::OneWay,
            instrument: InstrumentId(0),
            side,
            order_type: OrderType::Limit,
            time_in_force: if rests { TimeInForce::GoodTillCancel } else { TimeInForce::ImmediateOrCancel },
            qty: Qty(qty * SCALE / 1000),
            price: Price(price * SCALE),
            reduce_only: false,
            link_id: LinkId::NONE,
        }),
        Step::Cancel(id) => Action::CancelOrder { account: owner(exchange, id), order_id: OrderId(id) },
        Step::Amend(id, price, qty) => Action::AmendOrder {
            account: owner(exchange, id),
            order_id: OrderId(id),
            price: Some(Price(price * SCALE)),
            qty: Some(Qty(qty * SCALE / 1000)),
        },
    };
    let mut events = Vec::new();
    let applied = exchange.apply(&Command { market_ms: 0, wall_us: 0, action }, &mut events).unwrap();
    (applied.reject.is_none().then_some(applied.order_id), events)
}

fn naive_step(
    twin: &mut NaiveBook,
    step: &Step,
    id: OrderId,
    filled_before: i64,
) -> Vec<(OrderId, i64, i64)> {
    match *step {
        Step::Place(side, price, qty, rests) => twin.take(id, side, price, qty, rests),
        Step::Cancel(_) => {
            twin.orders.retain(|order| order.0 != id);
            Vec::new()
        }
        Step::Amend(_, price, qty) => {
            let place = twin.orders.iter().position(|order| order.0 == id).unwrap();
            let (_, side, old_price, leaves) = twin.orders[place];
            if old_price == price && qty - filled_before < leaves {
                twin.orders[place].3 = qty - filled_before;
                return Vec::new();
            }
            twin.orders.remove(place);
            twin.take(id, side, price, qty - filled_before, true)
        }
    }
}

proptest! {
    #[test]
    fn price_time_priority_is_that_of_the_naive_book(steps in steps()) {
        let mut exchange = Exchange::new(&genesis(0)).unwrap();
        for command in opening() {
            exchange.apply(&command, &mut Vec::new()).unwrap();
        }
        let mut twin = NaiveBook::default();
        for (number, step) in (0_u32..).zip(&steps) {
            let filled_before = match step {
                Step::Amend(id, ..) => exchange.order(OrderId(*id)).map_or(0, |order| (order.qty.0 - order.leaves.0) * 1000 / SCALE),
                _ => 0,
            };
            let (accepted, events) = apply_step(&mut exchange, step, number);
            let Some(id) = accepted else { continue };
            let fills: Vec<(OrderId, i64, i64)> = events.iter().filter_map(|event| match event.kind {
                EventKind::Fill { order_id, is_maker: true, kind: FillKind::Trade, price, qty, .. } =>
                    Some((order_id, price.0 / SCALE, qty.0 * 1000 / SCALE)),
                _ => None,
            }).collect();
            prop_assert_eq!(fills, naive_step(&mut twin, step, id, filled_before), "step {} {:?}", number, step);
        }
        for (id, _, price, qty) in &twin.orders {
            let order = exchange.order(*id).expect("the twin's order lives");
            prop_assert_eq!((order.price.0, order.leaves.0), (price * SCALE, qty * SCALE / 1000));
        }
        let (bids, asks) = exchange.book(InstrumentId(0), 1000);
        prop_assert_eq!(twin.orders.len(), exchange.open_orders(AccountId(1004), None).len() + exchange.open_orders(AccountId(1005), None).len());
        prop_assert!(bids.first().zip(asks.first()).is_none_or(|(bid, ask)| bid.price < ask.price));
        exchange.check_invariants().unwrap();
    }
}

#[test]
fn records_have_their_documented_sizes() {
    let command = Command { market_ms: 1, wall_us: 2, action: Action::AdvanceTime };
    assert_eq!(command.encode().len(), 160);
    assert_eq!(EVENT_BYTES, 128);
}

/// The streams above are worth their time only when they reach everything the exchange can do.
#[test]
fn the_streams_reach_every_kind_of_event_and_most_refusals() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut refusals) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    for _ in 0..300 {
        let stream = commands(250).new_tree(&mut runner).unwrap().current();
        let mut exchange = Exchange::new(&genesis(1000)).unwrap();
        for command in &stream {
            let mut events = Vec::new();
            let applied = exchange.apply(command, &mut events).unwrap();
            for event in &events {
                *kinds.entry(event.kind.code()).or_insert(0) += 1;
            }
            *refusals.entry(applied.reject).or_insert(0) += 1;
        }
    }
    assert_eq!(kinds.len(), 18, "{kinds:?}");
    assert!(refusals.len() >= 24, "{refusals:?}");
}
