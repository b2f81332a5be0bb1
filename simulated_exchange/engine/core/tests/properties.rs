//! Properties under random streams of commands: no panic, every invariant, the same state on replay, and price-time
//! priority as a naive twin book sees it. proptest prints the seed of a failure.

mod support;

use exchange_core::{
    AccountId, Action, Command, DecodeError, Event, EventKind, Exchange, FillKind, Glance, InstrumentId,
    LinkId, Lookout, Money, NewOrder, OrderId, OrderType, PoolId, PositionIndex, Price, Qty, Side, Terms,
    TimeInForce, AHEAD, COMMAND_BYTES, EVENT_BYTES, SCALE,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use support::streams::{action, commands, genesis, new_order, opening, side};

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
    fn the_short_way_comes_to_the_same_as_the_long_one(commands in commands(250)) {
        let (mut short, mut long) = (Exchange::new(&genesis(1000)).unwrap(), Exchange::new(&genesis(1000)).unwrap());
        long.take_long_way();
        let mut lookout = Lookout::everywhere();
        for (at, command) in commands.iter().enumerate() {
            let coming = commands.get(at + AHEAD).map_or(Glance::NOTHING, Glance::of);
            short.look_ahead(&mut lookout, || coming);
            let (mut events, mut expected) = (Vec::new(), Vec::new());
            prop_assert_eq!(short.apply(command, &mut events), long.apply(command, &mut expected));
            prop_assert_eq!(events, expected, "{:?}", command);
        }
        prop_assert_eq!(short.state_hash(), long.state_hash());
    }

    #[test]
    fn a_glance_at_a_record_sees_what_one_at_the_command_sees(commands in commands(50), rubbish in prop::collection::vec(any::<u8>(), COMMAND_BYTES)) {
        for command in &commands {
            prop_assert_eq!(Glance::of_record(&command.encode()), Glance::of(command));
        }
        let mut lookout = Lookout::everywhere();
        let (exchange, _) = run(&commands, 1000, 1000);
        for record in [&rubbish[..], &rubbish[1..], &[]] {
            (0..AHEAD).for_each(|_| exchange.look_ahead(&mut lookout, || Glance::of_record(record)));
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
            terms: Terms::NONE,
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
    assert!(kinds.len() >= 41, "{kinds:?}");
    assert!(refusals.len() >= 40, "{refusals:?}");
}
