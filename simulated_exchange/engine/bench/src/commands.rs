//! What the exchange is asked: its listing, and the streams as commands. Nothing is applied here.
//!
//! Every account is rich and every band wide, so that nothing is refused and both engines trade the same.

use exchange_core::types::{AccountId, CoinId, InstrumentId, Money, OrderId, Price, Qty, TimeInForce};
use exchange_core::{
    Action as Ask, Command, Genesis, IndexSourceSpec, InstrumentSpec, NewOrder, SCALE, TierSpec,
};

use crate::workload::{Action, Instruction, START_PRICE, Side, Workload};

pub(crate) const TICK: i64 = SCALE / 10;
pub(crate) const LOT: i64 = SCALE / 1000;
const FIRST_ACCOUNT: u32 = 1000;
const DEPOSIT: i64 = 10_000_000 * SCALE;
const MARKET_MS: i64 = 1_700_000_000_000;
const COMMANDS_PER_MS: usize = 1000;
/// What all orders have in common.
const PLAIN: NewOrder =
    NewOrder::limit(AccountId(0), InstrumentId(0), exchange_core::Side::Buy, Qty(0), Price(0));

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
        index_sources: vec![IndexSourceSpec::new("spot", SCALE)],
        index_stale_ms: i64::from(u32::MAX),
        ..InstrumentSpec::default()
    };
    Genesis::linear((0..instruments).map(contract).collect(), Money(0))
}

/// Accounts, deposits, index prices and the orders that fill the books.
pub(crate) fn setup(workload: &Workload) -> impl Iterator<Item = Command> + '_ {
    let filled = workload.fill.iter().map(|instruction| ask(MARKET_MS, instruction));
    (0..workload.users).flat_map(funded).chain(priced(workload.instruments)).chain(filled)
}

/// What is timed: the same instructions that the reference reads, each made a command when its turn comes.
pub(crate) fn stream(workload: &Workload) -> impl Iterator<Item = Command> + '_ {
    workload.stream.iter().enumerate().map(|(at, instruction)| timed(at, instruction))
}

/// The command that an instruction of the stream becomes.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a command is large: it is made where it is read")]
pub(crate) fn timed(at: usize, instruction: &Instruction) -> Command {
    ask(MARKET_MS + i64::try_from(at / COMMANDS_PER_MS).unwrap_or(0), instruction)
}

/// A user's account with money in it.
pub(crate) fn funded(user: u32) -> [Command; 2] {
    let account = account(user);
    let amount = Money(DEPOSIT);
    [Ask::CreateAccount { account }, Ask::Deposit { account, coin: CoinId(0), amount }].map(command)
}

/// The first price of every instrument.
pub(crate) fn priced(instruments: usize) -> impl Iterator<Item = Command> {
    (0_u16..).take(instruments).map(|instrument| index_at(instrument, START_PRICE))
}

/// A price of the only index source, in ticks.
pub(crate) fn index_at(instrument: u16, ticks: i64) -> Command {
    let instrument = InstrumentId(instrument);
    command(Ask::SetIndexSource { instrument, source: 0, price: Price(ticks * TICK) })
}

/// A limit order of a user in the first instrument, good till cancelled.
pub(crate) fn resting(user: u32, side: Side, ticks: i64, lots: i64) -> Command {
    command(limit(user, 0, side, (ticks, lots), TimeInForce::GoodTillCancel))
}

/// Two funded users, the second one more than the first, and a trade between them in the first instrument.
pub(crate) fn pair(first: u32, lots: i64) -> impl Iterator<Item = Command> {
    let second = first + 1;
    let trade =
        [resting(first, Side::Buy, START_PRICE, lots), resting(second, Side::Sell, START_PRICE, lots)];
    funded(first).into_iter().chain(funded(second)).chain(trade)
}

fn command(action: Ask) -> Command {
    Command { market_ms: MARKET_MS, wall_us: MARKET_MS * 1000, action }
}

#[inline]
fn account(user: u32) -> AccountId {
    AccountId(FIRST_ACCOUNT + user)
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "a command is large: it is made where it is read")]
fn ask(market_ms: i64, instruction: &Instruction) -> Command {
    let &Instruction { action, side, instrument, user, id, price, qty } = instruction;
    let (account, order_id) = (account(user), OrderId(id));
    let wall_us = market_ms * 1000;
    match action {
        Action::Rest | Action::Take => {
            let time_in_force = match action {
                Action::Take => TimeInForce::ImmediateOrCancel,
                _ => TimeInForce::GoodTillCancel,
            };
            let action = limit(user, instrument, side, (price, qty), time_in_force);
            Command { market_ms, wall_us, action }
        }
        Action::Cancel => Command { market_ms, wall_us, action: Ask::CancelOrder { account, order_id } },
        Action::Move => {
            let price = Some(Price(price * TICK));
            Command { market_ms, wall_us, action: Ask::AmendOrder { account, order_id, price, qty: None } }
        }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "a command is large: it is made where it is read")]
fn limit(
    user: u32,
    instrument: u16,
    side: Side,
    (ticks, lots): (i64, i64),
    time_in_force: TimeInForce,
) -> Ask {
    let side = match side {
        Side::Buy => exchange_core::Side::Buy,
        Side::Sell => exchange_core::Side::Sell,
    };
    let (qty, price) = (Qty(lots * LOT), Price(ticks * TICK));
    let instrument = InstrumentId(instrument);
    Ask::PlaceOrder(NewOrder { account: account(user), instrument, side, time_in_force, qty, price, ..PLAIN })
}
