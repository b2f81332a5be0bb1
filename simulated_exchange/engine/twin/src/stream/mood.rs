//! What a stream is inclined to: each seed leaves some things out and does others more often, so that rare things meet.

use exchange_core::{OrderType, TimeInForce};

use crate::random::Random;

/// A kind of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new order.
    Place,
    /// An amendment.
    Amend,
    /// A cancellation.
    Cancel,
    /// All of an account's orders.
    CancelAll,
    /// A report of an index component.
    Report,
    /// Time passes.
    Advance,
    /// A coin's price.
    CoinPrice,
    /// Money in.
    Deposit,
    /// Money out.
    Withdraw,
    /// A loan by hand.
    Borrow,
    /// A repayment by hand.
    Repay,
    /// Lending to a pool.
    Supply,
    /// Taking back from a pool.
    Redeem,
    /// Between wallets.
    Transfer,
    /// An account's collateral switch.
    Collateral,
    /// The venue's collateral switch.
    VenueCollateral,
    /// Automatic repayment.
    AutoRepay,
    /// An account's level.
    Level,
    /// An account under another.
    SubAccount,
    /// A new account.
    Create,
    /// One leverage.
    Leverage,
    /// Leverage of both sides.
    SideLeverage,
    /// Terms of an instrument.
    MarketTerms,
    /// A setting for orders.
    OrderSetting,
    /// What is to end a position.
    TradingStop,
    /// A client that is gone.
    Disconnected,
    /// Position mode.
    PositionMode,
    /// Margin mode.
    MarginMode,
    /// Margin of an isolated position.
    AddMargin,
    /// Margin added before a liquidation.
    AutoAddMargin,
}

/// Kinds with their usual weights; the first few are never left out.
const KINDS: [(i64, Kind); 30] = [
    (46, Kind::Place),
    (14, Kind::Report),
    (10, Kind::Advance),
    (3, Kind::Deposit),
    (10, Kind::Amend),
    (5, Kind::Cancel),
    (1, Kind::CancelAll),
    (2, Kind::CoinPrice),
    (2, Kind::Withdraw),
    (4, Kind::Borrow),
    (2, Kind::Repay),
    (2, Kind::Supply),
    (1, Kind::Redeem),
    (5, Kind::Transfer),
    (1, Kind::Collateral),
    (1, Kind::VenueCollateral),
    (1, Kind::AutoRepay),
    (1, Kind::Level),
    (1, Kind::SubAccount),
    (1, Kind::Create),
    (4, Kind::Leverage),
    (2, Kind::SideLeverage),
    (2, Kind::PositionMode),
    (2, Kind::OrderSetting),
    (6, Kind::TradingStop),
    (1, Kind::Disconnected),
    (2, Kind::MarketTerms),
    (2, Kind::MarginMode),
    (3, Kind::AddMargin),
    (1, Kind::AutoAddMargin),
];
const NEVER_LEFT_OUT: usize = 4;

/// Inclinations of a stream.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Kinds of commands by weight.
    pub kinds: Vec<(i64, Kind)>,
    /// Limit and market orders.
    pub order_types: Vec<(i64, OrderType)>,
    /// How long orders live.
    pub times_in_force: Vec<(i64, TimeInForce)>,
    /// How many levels off the middle orders are placed.
    pub reach: Vec<(i64, i64)>,
    /// How far prices move at once, in ten-thousandths.
    pub jumps: Vec<(i64, i64)>,
    /// How long it takes to the next command, in milliseconds.
    pub pauses: Vec<(i64, i64)>,
    /// Of a hundred orders against a position, those that only reduce.
    pub reduce_only: i64,
    /// Of a hundred orders, those with a link id.
    pub linked: i64,
    /// Of a hundred orders, those with terms.
    pub with_terms: i64,
    /// Of a hundred orders, those that wait for a price.
    pub waiting: i64,
    /// Of a hundred orders, those that bring take-profit or stop-loss along.
    pub with_exits: i64,
    /// Of a hundred orders, those as large as the account can bear.
    pub large: i64,
}

impl Mood {
    /// A mood drawn.
    pub fn new(random: &mut Random) -> Self {
        let mut kinds = swung(&KINDS, random);
        for (weight, usual) in kinds.iter_mut().zip(KINDS).take(NEVER_LEFT_OUT) {
            weight.0 = weight.0.max(usual.0);
        }
        Self {
            kinds,
            order_types: swung(&[(75, OrderType::Limit), (25, OrderType::Market)], random),
            times_in_force: swung(
                &[
                    (65, TimeInForce::GoodTillCancel),
                    (12, TimeInForce::ImmediateOrCancel),
                    (13, TimeInForce::FillOrKill),
                    (10, TimeInForce::PostOnly),
                ],
                random,
            ),
            reach: swung(&[(60, 3), (30, 20), (10, 300)], random),
            jumps: swung(&[(45, 20), (40, 250), (12, 1_500), (3, 5_000)], random),
            pauses: swung(&[(60, 0), (30, 2_000), (8, 60_000), (1, 3_600_000), (1, 30_000_000)], random),
            reduce_only: random.pick(&[5, 25, 60]),
            linked: random.pick(&[0, 10, 50]),
            with_terms: random.pick(&[0, 10, 60]),
            waiting: random.pick(&[0, 8, 40]),
            with_exits: random.pick(&[0, 8, 40]),
            large: random.pick(&[0, 30, 80]),
        }
    }
}

/// The same choices, some much more likely, some out of the question; never all of them.
fn swung<T: Copy>(usual: &[(i64, T)], random: &mut Random) -> Vec<(i64, T)> {
    let mut weights: Vec<(i64, T)> = Vec::new();
    for (weight, choice) in usual {
        weights.push((weight * random.pick(&[0, 1, 1, 1, 4]), *choice));
    }
    weights[0].0 = weights[0].0.max(usual[0].0);
    weights
}
