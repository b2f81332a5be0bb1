//! Stories of isolated positions that are liquidated: each stands for itself, and its owner loses what was assigned to it
//! and nothing else. And of the orders that step a position down.

mod support;

use exchange_core::{
    Action, EventKind, Genesis, LiquidationSpec, MarginMode, Money, OrderId, PositionAction, PositionIndex,
    Price, SCALE,
};
use support::{btc, btc_inverse, eth, fixed, many_coins, shown, who, Story, BTC, ETH};

fn isolate(story: &mut Story, name: &str) {
    let mode = MarginMode::Isolated;
    story.must(Action::Position(PositionAction::SetMarginMode { account: who(name), mode }));
}

fn venue(fund: &str) -> Genesis {
    Genesis::linear(vec![btc(), eth()], Money(fixed(fund)))
}

/// Alice has 10,000 and the isolated mode; the others have plenty.
fn alice_is_isolated(genesis: &Genesis) -> Story {
    let mut story = Story::of(genesis, &[]);
    story.index(BTC, "50000");
    story.index(ETH, "2000");
    story.tell(
        "who  | does    | qty
        alice | deposit | 10000
        maker | deposit | 10000000
        bob   | deposit | 10000000",
    );
    isolate(&mut story, "alice");
    story
}

/// She holds one coin at 10x from 50,000: 5,024.75 of 9,972.5 are assigned to it.
fn alice_is_long(fund: &str) -> Story {
    let mut story = alice_is_isolated(&venue(fund));
    story.tell("who | does | qty | price\n bob | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story
}

/// What a liquidation did, in words.
fn liquidated(story: &Story) -> Vec<String> {
    story.happened(|event| match event {
        EventKind::PositionLiquidationStarted { margin, maintenance_margin, .. } => {
            Some(format!("{} under {}", shown(margin.0), shown(maintenance_margin.0)))
        }
        EventKind::MarginAdded { amount, is_automatic: true, .. } => {
            Some(format!("added {}", shown(amount.0)))
        }
        EventKind::OrderAccepted { qty, price, .. } => {
            Some(format!("order of {} at {}", shown(qty.0), shown(price.0)))
        }
        EventKind::OrderCancelled { leaves, reason, .. } => Some(format!("{reason:?} {}", shown(leaves.0))),
        EventKind::TakenOver { qty, bankruptcy_price, .. } => {
            Some(format!("{} taken over at {}", shown(qty.0), shown(bankruptcy_price.0)))
        }
        EventKind::Fill { account, order_id, qty, price, .. }
            if *account == who("alice") && order_id.0 > 0 =>
        {
            Some(format!("{} filled at {}", shown(qty.0), shown(price.0)))
        }
        _ => None,
    })
}

#[test]
fn bank_1_a_position_is_taken_over_at_its_own_bankruptcy() {
    let mut story = alice_is_long("10000");
    story.tell(
        "who | does | qty | price | in\n alice | buy | 0.5 | 45300 | BTC\n alice | buy | 0.1 | 1900 | ETH",
    );
    story.tell("who | does | qty | price\n maker | buy | 1 | 45100");
    story.index(BTC, "45226.2"); // 250.95 are left; maintenance is 226.131 + 24.75
    assert!(liquidated(&story).is_empty());
    story.index(BTC, "45226.1");
    assert_eq!(liquidated(&story), ["250.85 under 250.8805", "Liquidation 0.5", "1 taken over at 45000"]);
    // 5,000 and the taker's 24.75 are gone; the order for ether goes on
    story.expect("who | qty | wallet\n alice | 0 | 4947.75");
    assert_eq!(story.exchange.open_orders(who("alice"), None).len(), 1);
    assert_eq!(shown(story.fund()), "10100"); // sold at 45,100
}

#[test]
fn a_gap_through_bankruptcy_costs_the_owner_no_more_than_was_assigned() {
    let mut story = alice_is_long("10000");
    story.index(BTC, "43000");
    assert_eq!(liquidated(&story), ["-1975.25 under 239.75", "1 taken over at 45000"]);
    story.expect("who | qty | wallet\n alice | 0 | 4947.75");
}

#[test]
fn extra_margin_moves_bankruptcy_which_is_rounded_against_the_position() {
    let mut story = alice_is_long("10000");
    let (account, instrument, position_index) = (who("alice"), BTC, PositionIndex::OneWay);
    let amount = Money(fixed("1000"));
    story.must(Action::Position(PositionAction::AddMargin { account, instrument, position_index, amount }));
    story.index(BTC, "44000");
    // (50,000 - 6,024.75) / (1 - 0.055 %) = 43,999.45
    assert_eq!(liquidated(&story).last().unwrap(), "1 taken over at 43999.5");
    // 6,000.5 and the fee of 24.199725 are gone; what the rounding left of the margin is hers
    story.expect("who | wallet\n alice | 3947.800275");
}

#[test]
fn a_short_is_rounded_down() {
    let mut story = alice_is_isolated(&venue("10000"));
    story.tell("who | does | qty | price\n bob | buy | 0.3 | 50000.1\n alice | sell | 0.3 | 50000.1");
    story.index(BTC, "54800");
    // 55,000.11
    assert_eq!(liquidated(&story).last().unwrap(), "-0.3 taken over at 55000.1");
    assert!(story.exchange.account(who("alice")).unwrap().wallet_balance.0 > fixed("8480"));
}

#[test]
fn bank_2_an_inverse_position_is_taken_over_half_a_tick_up() {
    let spec = exchange_core::InstrumentSpec { tick_size: Price(SCALE / 2), ..btc_inverse() };
    let mut story = Story::of(&many_coins(vec![spec], "10"), &[("BTC", "1")]);
    story.index(BTC, "7890");
    isolate(&mut story, "alice");
    story.leverage("alice", 50);
    // 1,500 at 7,890.00 and 285 at 7,890.50: 7,890.08 on the average
    story.tell(
        "who  | does | qty  | price
        bob   | sell | 1500 | 7890
        bob   | sell | 285  | 7890.5
        alice | buy  | 1785 | 7890.5",
    );
    story.index(BTC, "7740");
    assert_eq!(liquidated(&story).last().unwrap(), "1785 taken over at 7735.5");
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn margin_is_added_before_a_position_is_liquidated_if_its_owner_asked_for_that() {
    let mut story = alice_is_long("10000");
    let (account, instrument, position_index) = (who("alice"), BTC, PositionIndex::OneWay);
    let action = PositionAction::SetAutoAddMargin { account, instrument, position_index, is_on: true };
    story.must(Action::Position(action));
    story.index(BTC, "45226");
    assert_eq!(liquidated(&story), ["added 4947.75"]); // all there is
    story.expect("who | qty\n alice | 1");
    story.index(BTC, "40250");
    assert_eq!(liquidated(&story).last().unwrap(), "1 taken over at 40049.6");
}

#[test]
fn one_position_goes_and_the_others_of_the_account_stay() {
    let mut story = alice_is_long("10000");
    story.tell("who | does | qty | price | in\n bob | sell | 5 | 2000 | ETH\n alice | buy | 5 | 2000 | ETH");
    story.index(BTC, "45200");
    story.expect("who | qty\n alice | 0");
    let ether = story.exchange.position(who("alice"), ETH, PositionIndex::OneWay).unwrap();
    assert_eq!((shown(ether.qty.0), shown(ether.assigned_margin.0)), ("5".into(), "1004.95".into()));
}

#[test]
fn above_the_lowest_tier_an_isolated_position_steps_down_by_orders_of_its_own() {
    let mut story = alice_is_isolated(&venue("0"));
    story.tell("who | does | qty\n alice | deposit | 90000");
    story.leverage("alice", 50);
    story.tell("who | does | qty | price\n bob | sell | 50 | 50000\n alice | buy | 50 | 50000");
    story.tell("who | does | qty | price\n maker | buy | 4 | 49250\n maker | buy | 20 | 49100\n maker | buy | 50 | 48900");
    // in tier 2 from 2 million: 9.391 coins stand above; bankruptcy is 49,000, and 49,250 is the best bid
    story.index(BTC, "49250");
    assert_eq!(
        liquidated(&story),
        ["13847.5 under 13937.5", "order of 9.391 at 49000", "4 filled at 49250", "5.391 filled at 49100",]
    );
    let order_ids = story.happened(|event| match event {
        EventKind::OrderAccepted { order_id, .. } => Some(*order_id),
        EventKind::Fill { account, order_id, .. } if *account == who("alice") => Some(*order_id),
        _ => None,
    });
    assert!(order_ids[0] > OrderId(0) && order_ids.iter().all(|order_id| *order_id == order_ids[0]));
    story.expect("who | qty\n alice | 40.609");
}

#[test]
fn a_step_fills_whole_or_not_at_all_where_the_venue_says_so() {
    let mut genesis = venue("1000000");
    genesis.liquidation = LiquidationSpec { fill_or_kill: true, ..LiquidationSpec::default() };
    for (bids, filled) in [("9.39", false), ("9.391", true)] {
        let mut story = alice_is_isolated(&genesis);
        story.tell("who | does | qty\n alice | deposit | 90000");
        story.leverage("alice", 50);
        story.tell("who | does | qty | price\n bob | sell | 50 | 50000\n alice | buy | 50 | 50000");
        story.tell(&format!("who | does | qty | price\n maker | buy | {bids} | 49100"));
        story.index(BTC, "49250");
        let filled_some = liquidated(&story).contains(&"9.391 filled at 49100".to_owned());
        assert_eq!(filled_some, filled, "{:?}", liquidated(&story));
    }
}

#[test]
fn only_the_net_side_of_a_hedge_is_at_risk() {
    use exchange_core::{ModeScope, NewOrder, PositionMode, Qty, Side};
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 2200\n bob | deposit | 1000000");
    let scope = ModeScope::Instrument(BTC);
    let mode = PositionMode::Hedge;
    story.must(Action::Position(PositionAction::SetPositionMode { account: who("alice"), scope, mode }));
    story.leverage("alice", 100);
    story.tell("who | does | qty | price\n bob | sell | 1 | 50000\n bob | buy | 0.9 | 49999.9");
    for (position_index, side, qty) in
        [(PositionIndex::HedgeBuy, Side::Buy, "1"), (PositionIndex::HedgeSell, Side::Sell, "0.9")]
    {
        let order = NewOrder::market(who("alice"), BTC, side, Qty(fixed(qty)));
        story.must(Action::PlaceOrder(NewOrder { position_index, ..order }));
    }
    // both legs must be maintained: 304 + 52.2; a tenth of a coin is what moves her 2,147.7
    story.index(BTC, "32000");
    let netted = story.happened(|event| match event {
        EventKind::Fill { account, qty, price, fee, kind: exchange_core::FillKind::Netting, .. } => {
            assert_eq!((*account, fee.0), (who("alice"), 0));
            Some(format!("{} at {}", shown(qty.0), shown(price.0)))
        }
        _ => None,
    });
    assert_eq!(netted, ["0.9 at 32000", "0.9 at 32000"]);
    let held = story.exchange.positions(who("alice"));
    assert_eq!(held.iter().map(|held| shown(held.qty.0)).collect::<Vec<_>>(), ["0.1"]);
    assert!(liquidated(&story).is_empty(), "the net side is covered: {:?}", liquidated(&story));
}
