//! The exchange under the same streams: full margin, fees, marks and events. Also the streams as command records.
//!
//! Every account is rich and every band wide, so that nothing is refused and both engines trade the same.

use exchange_core::types::{
    AccountId, CoinId, InstrumentId, LinkId, Money, OrderId, OrderType, PositionIndex, Price, Qty,
    TimeInForce,
};
use exchange_core::{
    Action as Ask, Command, Event, EventKind, Exchange, Genesis, IndexSourceSpec, InstrumentSpec, NewOrder,
    SCALE, TierSpec,
};

use crate::reference::Totals;
use crate::workload::{Action, Instruction, START_PRICE, Side, Workload};

const TICK: i64 = SCALE / 10;
const LOT: i64 = SCALE / 1000;
const FIRST_ACCOUNT: u32 = 1000;
const DEPOSIT: i64 = 10_000_000 * SCALE;
const MARKET_MS: i64 = 1_700_000_000_000;
const COMMANDS_PER_MS: usize = 1000;
/// The event buffer is drained this often, as a gateway would.
const COMMANDS_PER_DRAIN: usize = 64;

pub(crate) fn genesis(instruments: usize) -> Genesis {
    let contract = |number: usize| InstrumentSpec {
        symbol: format!("BENCH{number}"),
        base: format!("B{number}"),
        tick_size: Price(TICK),
        max_price: Price(1_000_000 * SCALE),
        qty_step: Qty(LOT),
        min_qty: Qty(LOT),
        min_notional: Money(0),
        tiers: vec![TierSpec {
            limit: Money(1_000_000_000 * SCALE),
            max_leverage: 10_000,
            maintenance_rate: SCALE / 200,
        }],
        price_band_x: SCALE / 10 * 9,
        price_band_y: SCALE / 10 * 9,
        index_sources: vec![IndexSourceSpec { name: "spot".into(), weight: SCALE }],
        index_stale_ms: i64::from(u32::MAX),
        ..InstrumentSpec::default()
    };
    Genesis::linear((0..instruments).map(contract).collect(), Money(0))
}

/// Accounts, deposits, index prices and the orders that fill the books.
pub(crate) fn setup(workload: &Workload) -> Vec<Command> {
    let command = |action| Command { market_ms: MARKET_MS, wall_us: MARKET_MS * 1000, action };
    let accounts = (0..workload.users).map(|user| AccountId(FIRST_ACCOUNT + user));
    let instruments = (0_u16..).take(workload.instruments).map(InstrumentId);
    let price = Price(START_PRICE * TICK);
    let funded = accounts.flat_map(|account| {
        [Ask::CreateAccount { account }, Ask::Deposit { account, coin: CoinId(0), amount: Money(DEPOSIT) }]
    });
    let priced = instruments.map(|instrument| Ask::SetIndexSource { instrument, source: 0, price });
    let filled = workload.fill.iter().map(ask);
    funded.chain(priced).chain(filled).map(command).collect()
}

/// What is timed.
pub(crate) fn stream(workload: &Workload) -> Vec<Command> {
    let stamped = |(at, instruction): (usize, &Instruction)| {
        let market_ms = MARKET_MS + i64::try_from(at / COMMANDS_PER_MS).unwrap_or(0);
        Command { market_ms, wall_us: market_ms * 1000, action: ask(instruction) }
    };
    workload.stream.iter().enumerate().map(stamped).collect()
}

fn ask(instruction: &Instruction) -> Ask {
    let account = AccountId(FIRST_ACCOUNT + instruction.user);
    let order_id = OrderId(instruction.id);
    let price = Price(instruction.price * TICK);
    match instruction.action {
        Action::Rest | Action::Take => Ask::PlaceOrder(NewOrder {
            account,
            instrument: InstrumentId(instruction.instrument),
            position_index: PositionIndex::OneWay,
            side: match instruction.side {
                Side::Buy => exchange_core::Side::Buy,
                Side::Sell => exchange_core::Side::Sell,
            },
            order_type: OrderType::Limit,
            time_in_force: match instruction.action {
                Action::Rest => TimeInForce::GoodTillCancel,
                _ => TimeInForce::ImmediateOrCancel,
            },
            qty: Qty(instruction.qty * LOT),
            price,
            reduce_only: false,
            link_id: LinkId::NONE,
        }),
        Action::Cancel => Ask::CancelOrder { account, order_id },
        Action::Move => Ask::AmendOrder { account, order_id, price: Some(price), qty: None },
    }
}

/// One exchange fed with a workload.
pub(crate) struct Run {
    exchange: Exchange,
    events: Vec<Event>,
    pub(crate) event_count: u64,
    pub(crate) totals: Totals,
}

impl Run {
    pub(crate) fn new(workload: &Workload) -> Self {
        let exchange = Exchange::new(&genesis(workload.instruments)).expect("the genesis is sound");
        let mut run = Self { exchange, events: Vec::new(), event_count: 0, totals: Totals::default() };
        run.apply(&setup(workload), Self::count);
        run
    }

    /// Applies commands and calls `drain` on the filled buffer now and then.
    pub(crate) fn apply(&mut self, commands: &[Command], drain: impl Fn(&mut Self)) {
        for chunk in commands.chunks(COMMANDS_PER_DRAIN) {
            for command in chunk {
                let applied = self.exchange.apply(command, &mut self.events).expect("no invariant breaks");
                assert!(applied.reject.is_none(), "{command:?} was refused: {:?}", applied.reject);
            }
            drain(self);
            self.events.clear();
        }
    }

    /// Drops the buffer's events.
    pub(crate) fn forget(&mut self) {
        self.event_count += self.events.len() as u64;
    }

    /// Adds the buffer's trades up.
    pub(crate) fn count(&mut self) {
        for event in &self.events {
            if let EventKind::Trade { price, qty, .. } = event.kind {
                let (ticks, lots) = (price.0 / TICK, qty.0 / LOT);
                self.totals.trades += 1;
                self.totals.volume += lots.unsigned_abs();
                self.totals.notional += (ticks * lots).unsigned_abs();
            }
        }
        self.forget();
    }

    pub(crate) fn state_hash(&self) -> u128 {
        self.exchange.state_hash()
    }

    pub(crate) fn check(&self) {
        self.exchange.check_invariants().expect("no invariant is broken");
        assert!(self.exchange.conservation().adds_up(), "money was made or lost");
    }
}
