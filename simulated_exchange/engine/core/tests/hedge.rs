//! Stories of hedge mode: two legs side by side, what fits which leg, when the mode may change.

mod support;

use exchange_core::{
    Action, CoinId, EventKind, InstrumentId, ModeScope, NewOrder, PositionAction, PositionIndex,
    PositionMode, Qty, Reject, Side,
};
use support::{fixed, shown, who, Story, BTC, ETH};

fn set_mode(story: &mut Story, name: &str, scope: ModeScope, mode: PositionMode) -> Option<Reject> {
    let action = PositionAction::SetPositionMode { account: who(name), scope, mode };
    story.does(Action::Position(action)).reject
}

fn hedge(story: &mut Story, name: &str) {
    let scope = ModeScope::Instrument(BTC);
    assert_eq!(set_mode(story, name, scope, PositionMode::Hedge), None);
}

fn side_leverage(story: &mut Story, name: &str, buy: u32, sell: u32) -> Option<Reject> {
    let (account, instrument) = (who(name), BTC);
    story.does(Action::Position(PositionAction::SetSideLeverage { account, instrument, buy, sell })).reject
}

/// Alice hedges; the maker quotes 50,000 on both sides of an empty spread.
fn quoted() -> Story {
    let mut story = Story::new("0", "1000000");
    hedge(&mut story, "alice");
    story.tell("who | does | qty | price\n maker | sell | 5 | 50010\n maker | buy | 5 | 49990");
    story
}

#[test]
fn both_legs_are_held_side_by_side_each_with_its_own_margin() {
    let mut story = quoted();
    story.tell(
        "who   | does | qty | leg   | then
         alice | buy  | 1   | long  | 1 at 50010
         alice | sell | 2   | short | 2 at 49990",
    );
    story.expect("who | leg | qty | entry\n alice | long | 1 | 50010\n alice | short | -2 | 49990");
    // at the mark 1/10 of each leg, and its closing fee
    story.expect("who | leg | pim\n alice | long | 5024.75495\n alice | short | 10060.4879");
    let positions = story.exchange.positions(who("alice"));
    let indexes: Vec<PositionIndex> = positions.iter().map(|position| position.position_index).collect();
    assert_eq!(indexes, [PositionIndex::HedgeBuy, PositionIndex::HedgeSell]);
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn what_goes_against_a_leg_only_reduces_it() {
    let mut story = quoted();
    story.tell(
        "who   | does | qty | price | leg   | how | then
         alice | sell | 1   |       | long  |     | ReduceOnlyNoPosition
         alice | buy  | 1   |       | short |     | ReduceOnlyNoPosition
         alice | buy  | 1   |       | long  |     | 1 at 50010
         alice | sell | 3   |       | long  |     | 1 at 49990
         alice | buy  | 1   |       | long  |     | 1 at 50010
         alice | sell | 3   | 50500 | long  |     | rests 1 at 50500
         alice | sell | 1   | 50400 | long  |     | ReduceOnly 1
         alice | buy  | 1   |       | long  | reduce | ReduceOnlySameSide
         alice | sell | 2   |       | short |     | 2 at 49990
         alice | buy  | 9   | 49000 | short |     | rests 2 at 49000",
    );
    story.expect("who | leg | qty\n alice | long | 1\n alice | short | -2");
    // closing the leg takes its resting order along
    story.tell("who | does | qty | leg | then\n alice | sell | 1 | long | 1 at 49990");
    assert_eq!(story.exchange.open_orders(who("alice"), None).len(), 1);
}

#[test]
fn an_index_of_the_other_mode_is_refused() {
    let mut story = quoted();
    story.tell(
        "who   | does | qty | leg   | in  | then
         alice | buy  | 1   |       |     | PositionIndexMismatch
         alice | buy  | 1   | long  | ETH | PositionIndexMismatch
         bob   | buy  | 1   | long  |     | PositionIndexMismatch
         bob   | sell | 1   | short |     | PositionIndexMismatch
         bob   | buy  | 1   |       |     | 1 at 50010",
    );
}

#[test]
fn the_mode_changes_only_without_positions_and_orders() {
    let mut story = quoted();
    let here = ModeScope::Instrument(BTC);
    assert_eq!(set_mode(&mut story, "alice", here, PositionMode::Hedge), Some(Reject::PositionModeUnchanged));
    assert_eq!(set_mode(&mut story, "bob", here, PositionMode::OneWay), Some(Reject::PositionModeUnchanged));
    assert_eq!(set_mode(&mut story, "maker", here, PositionMode::Hedge), Some(Reject::PositionModeInUse));
    story.tell("who | does | qty | leg\n alice | buy | 1 | long");
    assert_eq!(set_mode(&mut story, "alice", here, PositionMode::OneWay), Some(Reject::PositionModeInUse));
    story.tell("who | does | qty | leg\n alice | sell | 1 | long");
    assert_eq!(set_mode(&mut story, "alice", here, PositionMode::OneWay), None);
    let nowhere = ModeScope::Instrument(InstrumentId(9));
    assert_eq!(set_mode(&mut story, "alice", nowhere, PositionMode::Hedge), Some(Reject::UnknownInstrument));
    let worthless = ModeScope::Coin(CoinId(9));
    assert_eq!(set_mode(&mut story, "alice", worthless, PositionMode::Hedge), Some(Reject::UnknownCoin));
}

#[test]
fn a_coin_switches_all_its_contracts_or_none() {
    let mut story = quoted();
    let all = ModeScope::Coin(CoinId(0));
    assert_eq!(set_mode(&mut story, "alice", all, PositionMode::Hedge), None);
    let changed = story.happened(|event| match event {
        EventKind::PositionModeChanged { instrument, .. } => Some(*instrument),
        _ => None,
    });
    assert_eq!(changed, [ETH], "BTC was in hedge mode already");
    story.tell("who | does | qty | leg | in | price\n alice | buy | 1 | long | ETH | 1990");
    assert_eq!(set_mode(&mut story, "alice", all, PositionMode::OneWay), Some(Reject::PositionModeInUse));
    assert_eq!(story.exchange.position_mode(who("alice"), BTC), Some(PositionMode::Hedge));
    story.tell("who | does\n alice | cancel all");
    assert_eq!(set_mode(&mut story, "alice", all, PositionMode::OneWay), None);
    assert_eq!(story.exchange.position_mode(who("alice"), BTC), Some(PositionMode::OneWay));
    assert_eq!(story.exchange.position_mode(who("alice"), ETH), Some(PositionMode::OneWay));
}

#[test]
fn legs_take_over_the_leverage_and_change_it_together() {
    let mut story = Story::new("0", "1000000");
    story.leverage("alice", 20);
    hedge(&mut story, "alice");
    let leverage = |story: &Story, index: PositionIndex| {
        story.exchange.position(who("alice"), BTC, index).unwrap().leverage / 100
    };
    assert_eq!(leverage(&story, PositionIndex::HedgeBuy), 20);
    story.tell("who | does | qty | price | leg\n alice | buy | 1 | 49900 | long");
    assert_eq!(story.leverage("alice", 20).reject, Some(Reject::LeverageUnchanged));
    assert_eq!(side_leverage(&mut story, "alice", 1000, 2000), Some(Reject::LeverageSidesDiffer));
    assert_eq!(side_leverage(&mut story, "alice", 5000, 5000), None);
    assert_eq!(leverage(&story, PositionIndex::HedgeBuy), 50);
    assert_eq!(leverage(&story, PositionIndex::HedgeSell), 50);
    assert_eq!(story.leverage("alice", 101).reject, Some(Reject::LeverageAboveTier));
    story.must(Action::CancelAll { account: who("alice"), instrument: None });
    let scope = ModeScope::Instrument(BTC);
    assert_eq!(set_mode(&mut story, "alice", scope, PositionMode::OneWay), None);
    assert_eq!(leverage(&story, PositionIndex::OneWay), 50);
}

#[test]
fn of_a_hedged_account_the_net_side_is_taken_over() {
    let mut story = Story::new("10000", "1000000");
    story.tell("who | does | qty\n bob | withdraw | 999000");
    let action = PositionAction::SetPositionMode {
        account: who("bob"),
        scope: ModeScope::Instrument(BTC),
        mode: PositionMode::Hedge,
    };
    story.must(Action::Position(action));
    story.leverage("bob", 100);
    story.tell(
        "who   | does | qty | price | leg
         maker | sell | 1   | 50000 |
         bob   | buy  | 1   | 50000 | long
         maker | buy  | 0.5 | 49999 |
         bob   | sell | 0.5 |       | short
         maker | buy  | 2   | 49000 | ",
    );
    story.index(BTC, "48300");
    let taken = story.happened(|event| match event {
        EventKind::TakenOver { position_index, qty, .. } => Some((*position_index, shown(qty.0))),
        _ => None,
    });
    assert_eq!(taken, [(PositionIndex::HedgeBuy, "0.5".into())]);
    story.expect("who | leg | qty | wallet\n bob | long | 0 | 0\n bob | short | 0 | 0");
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn a_market_order_of_a_leg_meets_the_accounts_other_leg() {
    let mut story = Story::new("0", "1000000");
    hedge(&mut story, "alice");
    story.tell("who | does | qty | price | leg | then\n alice | sell | 1 | 50000 | short | rests 1 at 50000");
    let order = NewOrder {
        position_index: PositionIndex::HedgeBuy,
        ..NewOrder::market(who("alice"), BTC, Side::Buy, Qty(fixed("1")))
    };
    story.must(Action::PlaceOrder(order));
    story.expect("who | leg | qty\n alice | long | 1\n alice | short | -1");
}

#[test]
fn the_first_order_of_a_leg_is_held_at_the_leverage_of_the_only_position() {
    let mut story = Story::new("0", "1000");
    assert_eq!(story.leverage("alice", 100).reject, None);
    hedge(&mut story, "alice");
    // 10,000 of value need 100 at 100x, and 1,000 with fees at the default
    story.tell(
        "who   | does | qty | price | leg  | then
         alice | buy  | 0.2 | 50000 | long | rests 0.2 at 50000",
    );
}
