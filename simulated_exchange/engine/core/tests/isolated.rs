//! Isolated margin: the worked examples of the venue's rules by their ids, and stories of what is assigned to whom.

mod support;

use exchange_core::fixed::Ratio;
use exchange_core::margin::{break_even_price, closing_fee, liquidation_price, Exposure};
use exchange_core::position::Position;
use exchange_core::{
    Action, EventKind, FundingSpec, Genesis, Instrument, InstrumentId, InstrumentSpec, MarginMode, ModeScope,
    Money, NewOrder, PositionAction, PositionIndex, PositionMode, PositionView, Qty, Reject, Side, SCALE,
};
use support::{btc, btc_inverse, fixed, many_coins, shown, who, Story, BTC, ETH};

/// 0.055 %.
const TAKER_FEE: Ratio = Ratio { parts: 11, whole: 20_000 };

fn listed(spec: InstrumentSpec) -> Instrument {
    let genesis = Genesis::linear(vec![spec], Money(0));
    exchange_core::genesis::validate(&genesis).unwrap().instruments.remove(0)
}

fn wide(text: &str) -> i128 {
    i128::from(fixed(text))
}

fn margin_mode(story: &mut Story, name: &str, mode: MarginMode) -> Option<Reject> {
    story.does(Action::Position(PositionAction::SetMarginMode { account: who(name), mode })).reject
}

fn isolate(story: &mut Story, name: &str) {
    assert_eq!(margin_mode(story, name, MarginMode::Isolated), None);
}

fn add_margin(story: &mut Story, name: &str, amount: &str) -> Option<Reject> {
    let (account, instrument, position_index) = (who(name), BTC, PositionIndex::OneWay);
    let amount = Money(fixed(amount));
    story
        .does(Action::Position(PositionAction::AddMargin { account, instrument, position_index, amount }))
        .reject
}

fn held(story: &Story, name: &str) -> PositionView {
    story.exchange.position(who(name), BTC, PositionIndex::OneWay).unwrap()
}

fn assigned(story: &Story, name: &str) -> String {
    shown(held(story, name).assigned_margin.0)
}

/// Alice holds one coin at 10x from 50,000 in isolated margin, with 10,000 in her wallet.
fn alice_is_long() -> Story {
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 10000\n maker | deposit | 1000000");
    isolate(&mut story, "alice");
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story
}

#[test]
fn margin_1_and_2_isolated_margin_is_on_the_entry_maintenance_on_the_mark() {
    let listed = listed(btc());
    let exposure = |lots: i64| Exposure {
        position: Position { lots, cost: i128::from(lots) * wide("50") },
        leverage: 1000,
        mark_ticks: 520_000,
        is_isolated: true,
        ..Exposure::default()
    };
    let long = exposure(1000).margin(&listed);
    assert_eq!((shown(long.position_initial), shown(long.maintenance)), ("5024.75".into(), "284.75".into()));
    let short = exposure(-1000).margin(&listed);
    assert_eq!(
        (shown(short.position_initial), shown(short.maintenance)),
        ("5030.25".into(), "290.25".into())
    );
}

#[test]
fn liq_4_5_and_6_on_the_mark_with_tiers_found_at_the_result() {
    let listed = listed(btc());
    let price = |lots: i64, entry: &str, leverage: i64| {
        let cost = i128::from(lots) * wide(entry) / 1000;
        let exposure = Exposure {
            position: Position { lots, cost },
            leverage,
            is_isolated: true,
            ..Exposure::default()
        };
        // the tier does not bind the leverage at a mark of nothing
        let behind =
            cost.abs() * 100 / i128::from(leverage) + closing_fee(cost, lots.signum(), leverage, TAKER_FEE);
        shown(i64::try_from(liquidation_price(&exposure, behind, &listed).unwrap()).unwrap())
    };
    assert_eq!(price(1000, "20000", 5000), "19698.49246231"); // LIQ-4: 19698.492462
    assert_eq!(price(-1000, "20000", 5000), "20298.50746269"); // LIQ-5: 20298.507463
    assert_eq!(price(60_000, "50000", 5000), "49260.00469625"); // LIQ-6: 49260.004696
}

#[test]
fn liq_4_and_bank_1_as_the_position_shows_them() {
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 1000\n maker | deposit | 1000000");
    story.index(BTC, "20000");
    isolate(&mut story, "alice");
    story.leverage("alice", 50);
    story.tell("who | does | qty | price\n maker | sell | 1 | 20000\n alice | buy | 1 | 20000");
    story.expect("who | liq | bankrupt\n alice | 19698.49246231 | 19600");
    // LIQ-3's 3,000 more, by the rule of LIQ-4: (20,000 x 0.98 - 500) / 0.995
    assert_eq!(add_margin(&mut story, "alice", "500"), None);
    story.expect("who | liq | bankrupt\n alice | 19195.9798995 | 19100");
}

#[test]
fn uta_6_free_balance_of_a_coin() {
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 1000\n maker | deposit | 1000000");
    isolate(&mut story, "alice");
    story.tell(
        "who   | does | qty  | price | then
         maker | sell | 0.1  | 50000 |
         alice | buy  | 0.1  | 50000 | 0.1 at 50000",
    );
    // 1,000 - 2.75 fee, 502.475 assigned: 494.775 are free
    story.expect("who | available | cash\n alice | 494.775 | 997.25");
    story.tell(
        "who   | does     | qty   | price | then
         alice | buy      | 0.097 | 50000 | rests 0.097 at 50000
         alice | buy      | 0.001 | 50000 | InsufficientBalance
         alice | withdraw | 5     |       | WithdrawTooLarge
         alice | withdraw | 4     |       | ",
    );
    story.expect("who | oim | available\n alice | 490.06825 | 0.70675");
}

#[test]
fn a_fill_assigns_and_a_close_releases_its_share() {
    let mut story = alice_is_long();
    assert_eq!(assigned(&story, "alice"), "5024.75");
    story.expect("who | cash | available | pim\n alice | 9972.5 | 4947.75 | 5024.75");
    story.index(BTC, "52000");
    // profit stays with the position: nothing more is free, and the initial margin is that of the entry
    story.expect("who | equity | available | upl | pim\n alice | 11972.5 | 4947.75 | 2000 | 5024.75");
    story.tell("who | does | qty | price\n maker | buy | 0.4 | 52000\n alice | sell | 0.4 | 52000");
    assert_eq!(assigned(&story, "alice"), "3014.85");
    // 9,972.5 + 800 - 11.44
    story.expect("who | cash | available\n alice | 10761.06 | 7746.21");
    story.tell("who | does | qty | price\n maker | buy | 2 | 52000\n alice | sell | 1 | 52000");
    // turned: 0.6 closed, 0.4 short with 2,080 and 12.584 behind them
    assert_eq!(assigned(&story, "alice"), "2092.584");
    story.tell("who | does | qty | price\n maker | sell | 2 | 52500\n alice | buy | 0.4 | 52500");
    assert_eq!(assigned(&story, "alice"), "0");
    let alice = held(&story, "alice");
    assert_eq!((alice.qty.0, alice.assigned_margin.0), (0, 0));
}

#[test]
fn one_position_is_bankrupt_and_the_others_are_not_asked() {
    let mut story = alice_is_long();
    story
        .tell("who | does | in | qty | price\n maker | sell | ETH | 1 | 2000\n alice | buy | ETH | 1 | 2000");
    story.index(BTC, "44000");
    // 6,000 lost of 5,024.75 in the one; the other and the wallet stand apart
    let eth = story.exchange.position(who("alice"), ETH, PositionIndex::OneWay).unwrap();
    assert_eq!(shown(eth.assigned_margin.0), "200.99");
    story.expect("who | available\n alice | 4745.66");
}

#[test]
fn margin_is_added_and_taken_back_above_the_initial_margin() {
    let mut story = alice_is_long();
    assert_eq!(add_margin(&mut story, "alice", "4947.76"), Some(Reject::InsufficientBalance));
    assert_eq!(add_margin(&mut story, "alice", "0"), Some(Reject::AmountInvalid));
    assert_eq!(add_margin(&mut story, "alice", "1000"), None);
    let told = story.happened(|event| match event {
        EventKind::MarginAdded { amount, assigned, is_automatic: false, .. } => {
            Some((shown(amount.0), shown(assigned.0)))
        }
        _ => None,
    });
    assert_eq!(told, [("1000".into(), "6024.75".into())]);
    assert_eq!(add_margin(&mut story, "alice", "-1000.01"), Some(Reject::MarginNotFree));
    story.index(BTC, "49500");
    assert_eq!(add_margin(&mut story, "alice", "-501"), Some(Reject::MarginNotFree));
    assert_eq!(add_margin(&mut story, "alice", "-500"), None);
    assert_eq!(assigned(&story, "alice"), "5524.75");
    assert_eq!(add_margin(&mut story, "maker", "1"), Some(Reject::NotIsolated));
    isolate(&mut story, "bob");
    assert_eq!(add_margin(&mut story, "bob", "1"), Some(Reject::PositionMissing));
}

#[test]
fn an_order_that_would_be_breached_at_once_is_refused() {
    let mut story = Story::new("0", "1000000");
    isolate(&mut story, "alice");
    story.leverage("alice", 100);
    // 1 % margin: through the mark by more than margin less maintenance
    story.tell(
        "who   | does | qty | price | then
         alice | buy  | 1   | 50300 | InsufficientBalance
         alice | buy  | 1   | 50200 | rests 1 at 50200
         maker | sell | 1   | 50200 | 1 at 50200",
    );
    story.expect("who | qty\n alice | 1");
}

#[test]
fn leverage_of_a_position_moves_its_margin() {
    let mut story = alice_is_long();
    assert_eq!(story.leverage("alice", 20).reject, None);
    // 2,500 and 50,000 x 0.95 x 0.00055
    assert_eq!(assigned(&story, "alice"), "2526.125");
    assert_eq!(story.leverage("alice", 5).reject, Some(Reject::InsufficientBalance));
    assert_eq!(story.leverage("alice", 10).reject, None);
    assert_eq!(assigned(&story, "alice"), "5024.75");
    story.index(BTC, "48500");
    assert_eq!(story.leverage("alice", 40).reject, Some(Reject::InsufficientBalance), "it would be breached");
    assert_eq!(story.leverage("alice", 20).reject, None);
}

#[test]
fn leverage_never_takes_more_margin_than_is_left_to_a_position() {
    // half a percent every eight hours, paid out of the margin once the wallet has nothing free
    let funding = FundingSpec {
        interest_daily: 15_000_000_000,
        clamp: 50_000_000_000,
        caps: Some((-5_000_000_000, 5_000_000_000)),
        ..FundingSpec::default()
    };
    let spec = InstrumentSpec { funding, index_stale_ms: 864_000_000, ..btc() };
    let mut story = Story::with(vec![spec], "0", "0");
    story.tell("who | does | qty\n alice | deposit | 5100\n maker | deposit | 1000000");
    isolate(&mut story, "alice");
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story.passes(12 * 28_800_000);
    assert_eq!(assigned(&story, "alice"), "2072.5");
    story.index(BTC, "60000");
    // at 20x 2,498.625 less would be assigned; the profit alone would cover the maintenance
    assert_eq!(story.leverage("alice", 20).reject, Some(Reject::InsufficientBalance));
    assert_eq!(assigned(&story, "alice"), "2072.5");
}

#[test]
fn the_mode_changes_when_the_requirements_hold() {
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 6000\n maker | deposit | 1000000");
    story.tell(
        "who   | does | in  | qty | price
         maker | sell |     | 0.8 | 50000
         alice | buy  |     | 0.8 | 50000
         maker | sell | ETH | 8   | 2000
         alice | buy  | ETH | 8   | 2000",
    );
    story.index(BTC, "50500");
    assert_eq!(margin_mode(&mut story, "alice", MarginMode::Cross), Some(Reject::MarginModeUnchanged));
    isolate(&mut story, "alice");
    assert_eq!(assigned(&story, "alice"), "4019.8");
    // the wallet of 6,000 - 30.8, less 4,019.8 and 1,607.92
    story.expect("who | available | equity\n alice | 341.48 | 6369.2");
    assert_eq!(margin_mode(&mut story, "alice", MarginMode::Cross), None);
    story.expect("who | available | equity\n alice | 701.48 | 6369.2");
    // with the profit as margin, more is held than the wallet bears
    story.tell(
        "who   | does | in  | qty | price | then
         maker | sell | ETH | 3   | 2000  |
         alice | buy  | ETH | 3   | 2000  | 3 at 2000",
    );
    assert_eq!(margin_mode(&mut story, "alice", MarginMode::Isolated), Some(Reject::MarginModeShort));
    assert_eq!(assigned(&story, "alice"), "0");
}

#[test]
fn legs_of_an_isolated_hedge_have_leverage_of_their_own() {
    let mut story = Story::new("0", "1000000");
    let (account, instrument) = (who("alice"), BTC);
    isolate(&mut story, "alice");
    let mode = PositionMode::Hedge;
    let scope = ModeScope::Instrument(BTC);
    story.must(Action::Position(PositionAction::SetPositionMode { account, scope, mode }));
    story.must(Action::Position(PositionAction::SetSideLeverage {
        account,
        instrument,
        buy: 1000,
        sell: 5000,
    }));
    story.tell(
        "who   | does | qty | price | leg
         maker | sell | 1   | 50000 |
         alice | buy  | 1   | 50000 | long
         maker | buy  | 1   | 49990 |
         alice | sell | 1   | 49990 | short",
    );
    let leg = |index| story.exchange.position(account, BTC, index).unwrap();
    assert_eq!(shown(leg(PositionIndex::HedgeBuy).assigned_margin.0), "5024.75");
    // 999.8 and 49,990 x 1.02 x 0.00055
    assert_eq!(shown(leg(PositionIndex::HedgeSell).assigned_margin.0), "1027.84439");
    assert_eq!(margin_mode(&mut story, "alice", MarginMode::Cross), Some(Reject::LeverageSidesDiffer));
    story.leverage("alice", 20);
    assert_eq!(margin_mode(&mut story, "alice", MarginMode::Cross), None);
}

#[test]
fn coins_stand_apart_in_isolated_margin() {
    let mut story =
        Story::of(&many_coins(vec![btc(), btc_inverse()], "0"), &[("USDT", "1000"), ("BTC", "1")]);
    let btcusd = InstrumentId(1);
    story.index(BTC, "50000");
    story.index(btcusd, "50000");
    isolate(&mut story, "alice");
    // one coin of BTC does not back a contract in USDT
    story.tell(
        "who   | does | in     | qty   | price | then
         maker | sell |        | 1     | 50000 |
         alice | buy  |        | 0.5   |       | InsufficientBalance
         maker | sell | BTCUSD | 50000 | 50000 |
         alice | buy  | BTCUSD | 50000 |       | 50000 at 50000",
    );
    let position = story.exchange.position(who("alice"), btcusd, PositionIndex::OneWay).unwrap();
    assert_eq!(shown(position.assigned_margin.0), "0.100605");
    assert_eq!(shown(position.bankruptcy_price.0), "45454.54545455"); // BANK-2: E x L / (L + 1)
    story.expect("who | in | cash\n alice | BTCUSD | 0.99945");
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn the_switch_for_adding_margin_is_kept_by_position() {
    let mut story = alice_is_long();
    let set = |story: &mut Story, is_on: bool| {
        let (account, instrument, position_index) = (who("alice"), BTC, PositionIndex::OneWay);
        let action = PositionAction::SetAutoAddMargin { account, instrument, position_index, is_on };
        story.does(Action::Position(action)).reject
    };
    assert_eq!(set(&mut story, false), Some(Reject::AutoAddMarginUnchanged));
    assert_eq!(set(&mut story, true), None);
    assert!(held(&story, "alice").auto_add_margin);
    assert_eq!(set(&mut story, true), Some(Reject::AutoAddMarginUnchanged));
    // 224.75 back the position, 250.75 are needed: all that is free comes, less than the initial margin once more
    story.index(BTC, "45200");
    let told = story.happened(|event| match event {
        EventKind::MarginAdded { amount, is_automatic: true, .. } => Some(shown(amount.0)),
        EventKind::TakenOver { .. } => Some("taken over".into()),
        _ => None,
    });
    assert_eq!(told, ["4947.75"]);
    assert_eq!(assigned(&story, "alice"), "9972.5");
    story.index(BTC, "40200");
    story.expect("who | qty\n alice | 0");
}

#[test]
fn pnl_5_break_even_price_and_what_the_holding_realised() {
    let listed = listed(btc());
    let position = Position { lots: 1000, cost: wide("50000") };
    let price = break_even_price(&position, wide("-27.5"), &listed).unwrap();
    assert_eq!(shown(i64::try_from(price).unwrap()), "50055.03026665");
    let mut story = alice_is_long();
    let alice = held(&story, "alice");
    assert_eq!(shown(alice.break_even_price.0), "50055.03026665");
    assert_eq!(shown(alice.current_realised_pnl.0), "-27.5");
    story.tell("who | does | qty | price\n maker | buy | 1 | 50000\n alice | sell | 1 | 50000");
    assert_eq!(shown(held(&story, "alice").current_realised_pnl.0), "-55");
    let order = NewOrder::market(who("alice"), BTC, Side::Buy, Qty(fixed("0.5")));
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000");
    story.must(Action::PlaceOrder(order));
    let alice = held(&story, "alice");
    assert_eq!(
        (shown(alice.current_realised_pnl.0), shown(alice.realised_pnl.0)),
        ("-13.75".into(), "-68.75".into())
    );
}

#[test]
fn a_trifle_owed_leaves_isolated_positions_alone() {
    let mut story = Story::new("100000", "0");
    story.tell(
        "who | does | qty\n alice | deposit | 22220\n bob | deposit | 10000000\n maker | deposit | 10000000",
    );
    isolate(&mut story, "alice");
    story.leverage("alice", 100);
    story.tell("who | does | qty | price | then\n alice | sell | 39 | 51270 | rests 39 at 51270\n alice | buy | 0.001 | 40000 |");
    story.index(BTC, "51300");
    // beyond 2,000,000 at the mark only 90x are allowed: more margin than the order held, more than there is
    story.tell("who | does | qty | price | then\n bob | buy | 39 | 51270 | 39 at 51270");
    let coin = |story: &Story| story.exchange.coins(who("alice"))[0];
    assert!(coin(&story).borrowed > Money(1_000 * SCALE), "{:?}", coin(&story));
    let begun = |story: &Story| {
        story.happened(|event| matches!(event, EventKind::LiquidationStarted { .. }).then_some(())).len()
    };
    assert_eq!((begun(&story), held(&story, "alice").qty), (0, Qty(fixed("-39"))));
    assert_eq!(story.exchange.open_orders(who("alice"), None).len(), 1);
    story.index(BTC, "51301");
    assert_eq!((begun(&story), held(&story, "alice").qty), (0, Qty(fixed("-39"))));
    assert_eq!(story.fund(), fixed("100000"));
    // closing releases what it owes
    story.index(BTC, "51000");
    story.tell(
        "who | does | qty | price | how\n maker | sell | 39 | 51000 |\n alice | buy | 39 | 51000 | reduce",
    );
    assert_eq!((coin(&story).borrowed, held(&story, "alice").qty), (Money(0), Qty(0)));
}

#[test]
fn a_limit_must_be_better_than_the_liquidation_price_of_an_isolated_position() {
    let mut story = alice_is_long();
    let last = shown(held(&story, "alice").liquidation_price.0);
    assert!(last.starts_with("45226.1"), "{last}");
    story.tell(
        "who   | does  | order | qty | price   | how    | then
         alice | buy   |       | 0.1 | 45226.1 |        | PriceBeyondLiquidation
         alice | buy   |       | 0.1 | 45226.2 | ioc    | ImmediateOrCancel 0.1
         alice | buy   | b     | 0.1 | 45300   |        | rests 0.1 at 45300",
    );
    // an amendment is held to it as well; the band moves a sell to where it may be; at the market it is not asked
    story.tell(
        "who   | does   | order | qty | price   | how    | then
         alice | amend  | b     |     | 45226   |        | PriceBeyondLiquidation
         alice | amend  | b     |     | 45226.2 |        | rests 0.1 at 45226.2
         alice | sell   |       | 0.1 | 45000   | reduce | rests 0.1 at 49500
         alice | sell   |       | 0.1 |         | reduce | ImmediateOrCancel 0.1",
    );
}

#[test]
fn where_the_liquidation_price_lies_within_the_band_a_closing_limit_is_held_to_it_and_a_stop_is_not() {
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 10000\n maker | deposit | 1000000");
    isolate(&mut story, "alice");
    story.leverage("alice", 100);
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    let last = held(&story, "alice").liquidation_price.0;
    assert_eq!(shown(last).split('.').next(), Some("49748"));
    story.tell(
        "who   | does | order | qty | price | trigger | how    | close | then
         alice | sell |       | 0.1 | 49700 |         | reduce |       | PriceBeyondLiquidation
         alice | sell |       | 0.1 | 49750 |         | reduce |       | rests 0.1 at 49750
         alice | sell | stop  | 0.1 | 49700 | 49900   |        | yes   | waits 0.1 for 49900
         maker | buy  |       | 1   | 49800 |         |        |       | 0.1 at 49750, 0.1 at 49800, rests 0.8 at 49800",
    );
    assert_eq!(story.fate(story.order("stop")), "triggered at 49750, 0.1 at 49800");
}
