//! Random streams of commands: mostly plausible, now and then absurd. No expectations.

use exchange_core::{
    AccountAction, AccountId, AccountLevel, Action, CoinId, Command, Genesis, InstrumentId, InstrumentSpec,
    Kind, LinkId, MarginMode, MarkSource, MarketAction, ModeScope, Money, NewOrder, OrderId, OrderType,
    PositionAction, PositionIndex, PositionMode, Price, Qty, Rate, Side, Terms, TierSpec, TimeInForce,
    TradingAction, Wallet, SCALE,
};
use proptest::prelude::*;

use super::order_terms;

pub const ACCOUNTS: u32 = 6;
/// The longest step that is meant: 20 hours, over two settlements of funding.
const LEAP_MS: i64 = 20 * 3_600_000;
pub const INSTRUMENTS: u16 = 6;
const SPOT: InstrumentId = InstrumentId(4);

pub fn genesis(fund: i64) -> Genesis {
    // delivered while the streams run
    let expiry = InstrumentSpec {
        kind: Kind::Expiry { delivery_ms: 150_000 },
        guards_low_price: true,
        ..super::btc_inverse_expiry()
    };
    let instruments =
        vec![super::btc(), super::eth(), super::btc_inverse(), super::btc_perp(), super::btc_spot(), expiry];
    super::many_coins(instruments, &fund.to_string())
}

pub fn account() -> impl Strategy<Value = AccountId> {
    prop_oneof![40 => (1000..1000 + ACCOUNTS).prop_map(AccountId), 1 => any::<u32>().prop_map(AccountId), 1 => (0_u32..5).prop_map(AccountId)]
}

pub fn instrument() -> impl Strategy<Value = InstrumentId> {
    prop_oneof![30 => Just(InstrumentId(0)), 10 => Just(InstrumentId(1)), 20 => (2..INSTRUMENTS).prop_map(InstrumentId), 1 => any::<u16>().prop_map(InstrumentId)]
}

pub fn coin() -> impl Strategy<Value = CoinId> {
    prop_oneof![20 => (0..3_u16).prop_map(CoinId), 1 => any::<u16>().prop_map(CoinId)]
}

/// Mostly plausible around the given middle, now and then absurd.
pub fn number(middle: i64, step: i64, spread: i64) -> impl Strategy<Value = i64> {
    prop_oneof![
        60 => (-spread..=spread).prop_map(move |offset| middle + offset * step),
        2 => any::<i64>(),
        1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just(0),
        2 => (0_i64..2_000_000).prop_map(|whole| whole * SCALE),
    ]
}

pub fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

pub fn new_order() -> impl Strategy<Value = NewOrder> {
    let how = (
        side(),
        prop::sample::select(OrderType::ALL),
        prop::sample::select(TimeInForce::ALL),
        prop::bool::weighted(0.2),
    );
    let link = prop_oneof![8 => Just(LinkId::NONE), 1 => (0..30).prop_map(|number| LinkId::parse(&format!("id-{number}")).unwrap())];
    let qty = prop_oneof![6 => number(SCALE, SCALE / 100, 99), 2 => number(40 * SCALE, SCALE, 39), 2 => number(50_000 * SCALE, SCALE, 49_999)];
    let price = prop_oneof![3 => number(50_000 * SCALE, SCALE / 10, 3000), 1 => number(2_000 * SCALE, SCALE / 10, 300)];
    let index = prop_oneof![8 => Just(None), 1 => prop::sample::select(PositionIndex::ALL).prop_map(Some)];
    (account(), instrument(), index, how, qty, price, link, order_terms::any_terms()).prop_map(
        |(
            account,
            instrument,
            index,
            (side, order_type, time_in_force, reduce_only),
            qty,
            price,
            link_id,
            terms,
        )| {
            let position_index = index.unwrap_or_else(|| fitting(account, instrument, side, reduce_only));
            // mostly where they mean something
            let for_spot = instrument == SPOT || qty % 7 == 0;
            let terms = Terms {
                is_leveraged: terms.is_leveraged && for_spot,
                in_quote: terms.in_quote && for_spot,
                holds: terms.holds && for_spot,
                ..terms
            };
            NewOrder {
                account,
                position_index,
                instrument,
                side,
                order_type,
                time_in_force,
                qty: Qty(qty),
                price: Price(price),
                reduce_only,
                link_id,
                terms,
            }
        },
    )
}

/// Accounts that begin in hedge mode, in BTCUSDT and in BTCUSD.
fn is_hedged(account: AccountId, instrument: InstrumentId) -> bool {
    account.0 % 3 == 1 && instrument.0.is_multiple_of(2) && instrument != SPOT
}

/// The index of the mode an account begins with; a leg is closed by what reduces.
fn fitting(account: AccountId, instrument: InstrumentId, side: Side, closes: bool) -> PositionIndex {
    match (is_hedged(account, instrument), side, closes) {
        (false, ..) => PositionIndex::OneWay,
        (_, Side::Buy, false) | (_, Side::Sell, true) => PositionIndex::HedgeBuy,
        (_, Side::Sell, false) | (_, Side::Buy, true) => PositionIndex::HedgeSell,
    }
}

fn position_action() -> impl Strategy<Value = PositionAction> {
    let scope = prop_oneof![
        4 => instrument().prop_map(ModeScope::Instrument), 1 => coin().prop_map(ModeScope::Coin),
    ];
    let index = || prop::sample::select(PositionIndex::ALL);
    let leverage = || prop_oneof![5 => (1_u32..=100).prop_map(|whole| whole * 100), 1 => any::<u32>()];
    prop_oneof![
        1 => (account(), scope, prop::sample::select(PositionMode::ALL))
            .prop_map(|(account, scope, mode)| PositionAction::SetPositionMode { account, scope, mode }),
        1 => (account(), instrument(), leverage(), leverage())
            .prop_map(|(account, instrument, buy, sell)| PositionAction::SetSideLeverage { account, instrument, buy, sell }),
        1 => (account(), prop::sample::select(MarginMode::ALL))
            .prop_map(|(account, mode)| PositionAction::SetMarginMode { account, mode }),
        2 => (account(), instrument(), index(), number(0, SCALE, 2000))
            .prop_map(|(account, instrument, position_index, amount)| PositionAction::AddMargin { account, instrument, position_index, amount: Money(amount) }),
        1 => (account(), instrument(), index(), any::<bool>())
            .prop_map(|(account, instrument, position_index, is_on)| PositionAction::SetAutoAddMargin { account, instrument, position_index, is_on }),
    ]
}

pub fn action() -> impl Strategy<Value = Action> {
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
        4 => (account(), order_id()).prop_flat_map(|(account, order_id)| order_terms::any_amendment(account, order_id)).prop_map(|amendment| Action::Trading(TradingAction::AmendTerms(amendment))),
        4 => (account(), instrument()).prop_flat_map(|(account, instrument)| order_terms::any_trading_stop(account, instrument)).prop_map(|stop| Action::Trading(TradingAction::SetTradingStop(stop))),
        1 => (account(), order_terms::any_setting()).prop_map(|(account, setting)| Action::Trading(TradingAction::SetOrderSetting { account, setting })),
        2 => (account(), coin(), money()).prop_map(|(account, coin, amount)| Action::Deposit { account, coin, amount }),
        1 => (account(), coin(), money()).prop_map(|(account, coin, amount)| Action::Withdraw { account, coin, amount: Money(amount.0 / 100) }),
        4 => (account(), coin(), money(), account_action()).prop_map(|(account, coin, amount, make)| Action::Account(make(account, coin, amount))),
        1 => (coin(), number(50_000 * SCALE, SCALE, 25_000)).prop_map(|(coin, price)| Action::SetCoinPrice { coin, price: Price(price) }),
        1 => account().prop_map(|account| Action::CreateAccount { account }),
        3 => position_action().prop_map(Action::Position),
        4 => terms(),
    ]
}

/// Commands of the venue about prices, funding and risk limits.
pub fn terms() -> impl Strategy<Value = Action> {
    let rate = || prop_oneof![8 => -40_000_000_000_i64..40_000_000_000, 1 => any::<i64>()].prop_map(Rate);
    let tier = (number(100_000 * SCALE, SCALE, 99_999), 100_i64..10_000, number(SCALE / 50, 1, 1_999_999))
        .prop_map(|(limit, max_leverage, maintenance_rate)| TierSpec {
            limit: Money(limit),
            max_leverage,
            maintenance_rate,
        });
    prop_oneof![
        2 => (instrument(), prop::sample::select(MarkSource::ALL))
            .prop_map(|(instrument, source)| Action::Market(MarketAction::SetMarkSource { instrument, source })),
        1 => (instrument(), prop_oneof![1_u32..600, any::<u32>()], rate(), rate()).prop_map(
            |(instrument, interval_minutes, lower, upper)| Action::Market(MarketAction::SetFundingTerms { instrument, interval_minutes, lower, upper })),
        4 => (instrument(), prop_oneof![6 => Just(0), 3 => 1_u32..3, 1 => any::<u32>()], tier)
            .prop_map(|(instrument, number, tier)| Action::Market(MarketAction::StageRiskTier { instrument, number, tier })),
        3 => (instrument(), prop_oneof![4 => 0_i64..400_000, 4 => 0_i64..200_000_000, 1 => any::<i64>()])
            .prop_map(|(instrument, effective_ms)| Action::Market(MarketAction::AnnounceRiskLimits { instrument, effective_ms })),
    ]
}

type MakeAccountAction = fn(AccountId, CoinId, Money) -> AccountAction;

/// What may be asked about an account's money and standing, the amount's lowest digits deciding the details.
fn account_action() -> impl Strategy<Value = MakeAccountAction> {
    const fn wallet(is_funding: bool) -> Wallet {
        if is_funding {
            Wallet::Funding
        } else {
            Wallet::Unified
        }
    }
    let makers: [MakeAccountAction; 10] = [
        |account, coin, amount| AccountAction::Borrow { account, coin, amount: Money(amount.0 / 100) },
        |account, coin, amount| AccountAction::Repay {
            account,
            coin,
            amount: Money(amount.0 % SCALE),
            convert: true,
        },
        |account, coin, amount| AccountAction::Repay { account, coin, amount, convert: false },
        |account, coin, amount| AccountAction::Supply { account, coin, amount: Money(amount.0 / 100) },
        |account, coin, amount| AccountAction::Redeem {
            account,
            coin,
            amount: Money(amount.0 / 1000 * (amount.0 % 2)),
        },
        |account, coin, amount| AccountAction::Transfer {
            from: account,
            to: AccountId(account.0 - account.0 % 2),
            coin,
            amount: Money(amount.0 / 10),
            from_wallet: wallet(amount.0 / SCALE % 3 == 0),
            to_wallet: wallet(amount.0 / SCALE % 3 != 0),
        },
        |account, coin, amount| AccountAction::SetCollateral {
            account,
            coin,
            enabled: amount.0 / SCALE % 2 == 0,
        },
        |_, coin, amount| AccountAction::SetVenueCollateral { coin, enabled: amount.0 / SCALE % 2 == 0 },
        |account, _, amount| AccountAction::SetAutoRepay { account, enabled: amount.0 / SCALE % 2 == 0 },
        |account, _, amount| AccountAction::SetAccountLevel {
            account,
            level: AccountLevel::ALL
                [usize::try_from(amount.0.unsigned_abs() / 100_000_000 % 20).unwrap_or(0).min(8)],
        },
    ];
    prop::sample::select(makers.to_vec())
}

pub fn commands(length: usize) -> impl Strategy<Value = Vec<Command>> {
    let step = prop_oneof![60 => 0_i64..3000, 1 => 0..LEAP_MS, 1 => any::<i64>(), 1 => Just(-1)];
    prop::collection::vec((action(), step), 0..length).prop_map(|steps| {
        let mut now = 0_i64;
        let stamped = steps.into_iter().map(|(action, step)| {
            let plausible = (-1..LEAP_MS).contains(&step);
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
pub fn opening() -> Vec<Command> {
    let command = |action| Command { market_ms: 0, wall_us: 0, action };
    let mut commands = Vec::new();
    for (number, deposit) in (0..ACCOUNTS).zip([2_000, 10_000, 50_000, 400_000, 3_000_000, 40_000_000]) {
        let account = AccountId(1000 + number);
        if number % 2 == 0 {
            commands.push(command(Action::CreateAccount { account }));
        } else {
            let main = AccountId(account.0 - 1);
            commands.push(command(Action::Account(AccountAction::CreateSubAccount { account, main })));
        }
        for (coin, part) in [(CoinId(0), 1), (CoinId(1), 10), (CoinId(2), 100_000)] {
            let amount = Money(deposit * SCALE / part);
            commands.push(command(Action::Deposit { account, coin, amount }));
            commands.push(command(Action::Account(AccountAction::Transfer {
                from: account,
                to: account,
                coin,
                amount: Money(amount.0 / 4),
                from_wallet: Wallet::Unified,
                to_wallet: Wallet::Funding,
            })));
            let amount = Money(amount.0 / 8);
            commands.push(command(Action::Account(AccountAction::Supply { account, coin, amount })));
        }
        if number % 4 >= 2 {
            let mode = MarginMode::Isolated;
            commands.push(command(Action::Position(PositionAction::SetMarginMode { account, mode })));
        }
        for instrument in (0..INSTRUMENTS).map(InstrumentId) {
            if is_hedged(account, instrument) {
                let (scope, mode) = (ModeScope::Instrument(instrument), PositionMode::Hedge);
                commands.push(command(Action::Position(PositionAction::SetPositionMode {
                    account,
                    scope,
                    mode,
                })));
            }
            commands.push(command(Action::SetLeverage {
                account,
                instrument,
                leverage: 5000 - number * 700,
            }));
        }
    }
    for (instrument, price) in
        (0..INSTRUMENTS).map(InstrumentId).zip([50_000, 2_000, 50_000, 50_000, 50_000, 50_000])
    {
        let price = Price(price * SCALE);
        commands.push(command(Action::SetIndexSource { instrument, source: 0, price }));
    }
    commands
}
