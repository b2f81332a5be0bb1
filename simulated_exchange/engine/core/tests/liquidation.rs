//! Stories of liquidation: take-over, the insurance fund, deleveraging, the ladder down the tiers; all in numbers.

mod support;

use exchange_core::{
    AccountId, Action, CoinId, EventKind, FillKind, Genesis, Money, NewOrder, PositionIndex, Qty, Side,
    SCALE, TAKEOVER_ACCOUNT,
};
use support::{btc, eth, fixed, shown, who, Story, BTC, ETH};

/// Alice, 50x long one coin from 50,000 with 1,072.5 behind it; bob and seller are short half a coin each.
fn alice_is_long(insurance_fund: &str) -> Story {
    alice_is_long_on(&Genesis::linear(vec![btc(), eth()], Money(fixed(insurance_fund))))
}

fn alice_is_long_on(genesis: &Genesis) -> Story {
    let mut story = Story::of(genesis, &[]);
    story.index(BTC, "50000");
    story.index(ETH, "2000");
    story.tell(
        "who    | does    | qty
         alice  | deposit | 1100
         bob    | deposit | 4000
         seller | deposit | 1000000
         maker  | deposit | 1000000",
    );
    story.leverage("alice", 50);
    story.tell(
        "who    | does | qty | price | then
         bob    | sell | 0.5 | 50000 | rests 0.5 at 50000
         seller | sell | 0.5 | 50000 | rests 0.5 at 50000
         alice  | buy  | 1   | 50000 | 0.5 at 50000, 0.5 at 50000",
    );
    story
}

fn taken_over(story: &Story) -> Vec<String> {
    story.happened(|event| match event {
        EventKind::TakenOver { qty, bankruptcy_price, .. } => {
            Some(format!("{} at {}", shown(qty.0), shown(bankruptcy_price.0)))
        }
        _ => None,
    })
}

fn deleveraged(story: &Story) -> Vec<String> {
    story.happened(|event| match event {
        EventKind::Deleveraged { account, qty, price, .. } => {
            Some(format!("{} {} at {}", account.0, shown(qty.0), shown(price.0)))
        }
        _ => None,
    })
}

#[test]
fn a_covered_account_is_left_alone_and_its_prices_are_told() {
    let mut story = alice_is_long("0");
    // (50,000 - 1,072.5 + 26.95) / 0.995 and 50,000 - 1,072.5
    story.expect("who | wallet | liq | bankrupt | light\n alice | 1072.5 | 49200.45226131 | 48927.5 | 5");
    story.index(BTC, "49200.5");
    story.expect("who | qty\n alice | 1");
    assert!(taken_over(&story).is_empty());
}

#[test]
fn a_take_over_filled_better_than_bankruptcy_feeds_the_fund() {
    let mut story = alice_is_long("1000");
    story.tell("who | does | qty | price\n maker | buy | 1 | 49100\n alice | buy | 0.001 | 45000");
    story.index(BTC, "49200");
    // equity 272.5 against 272.95; fee 27.06 first, so bankruptcy is 245.44 below the mark
    assert_eq!(taken_over(&story), ["1 at 48954.56"]);
    story.expect("who | qty | wallet | im\n alice | 0 | 0 | 0\n maker | 1 | 999990.18 | 4944.3045");
    assert_eq!(shown(story.fund()), "1145.44"); // INS-1: (49,100 - 48,954.56) x 1
    let kinds = story.happened(|event| match event {
        EventKind::Fill { kind, account, .. } if *account == who("alice") => Some(*kind),
        _ => None,
    });
    assert_eq!(kinds, [FillKind::TakeOver]);
}

#[test]
fn a_crash_drains_the_fund_and_deleverages_the_highest_ranked() {
    // a venue that sells as far below the mark as the band allows
    let mut genesis = Genesis::linear(vec![btc(), eth()], Money(fixed("100")));
    genesis.liquidation.takeover_beyond = Some(SCALE / 100);
    let mut story = alice_is_long_on(&genesis);
    story.tell("who | does | qty | price\n maker | buy | 0.4 | 48800\n maker | buy | 1 | 47600\n bob | buy | 0.1 | 45000");
    story.index(BTC, "49200");
    assert_eq!(taken_over(&story), ["1 at 48954.56"]);
    // 0.4 filled 154.56 below bankruptcy
    assert_eq!(shown(story.fund()), "38.176");
    story.index(BTC, "48000");
    story.expect("who | light\n bob | 5\n seller | 3");
    story.passes(250);
    // the fund bears 28 lots of 0.001 at 47,600 (1.35456 each); 0.572 are left at bankruptcy
    assert_eq!(shown(story.fund()), "0.24832");
    assert_eq!(deleveraged(&story), ["1002 -0.5 at 48954.56", "1008 -0.072 at 48954.56"]);
    // bob: 4,000 - 5 + 522.72 - 4.895456; his order in the contract is gone
    story.expect("who | qty | wallet\n bob | 0 | 4512.824544\n seller | -0.428 | 1000069.56673433\n maker | 0.428 | 999995.82944");
    assert!(story.exchange.open_orders(who("bob"), None).is_empty());
    assert_eq!(story.exchange.position(TAKEOVER_ACCOUNT, BTC, PositionIndex::HedgeBuy).unwrap().qty.0, 0);
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn an_account_beyond_bankruptcy_costs_the_fund_or_the_winners_never_less_than_nothing() {
    let mut story = alice_is_long("0");
    // a gap through bankruptcy: equity 1,072.5 - 3,000
    story.index(BTC, "47000");
    assert_eq!(taken_over(&story), ["1 at 48927.5"]);
    assert_eq!(deleveraged(&story), ["1002 -0.5 at 48927.5", "1008 -0.5 at 48927.5"]);
    assert_eq!(story.fund(), 0);
    story.expect("who | qty | wallet\n alice | 0 | 0\n bob | 0 | 4526.35725\n seller | 0 | 1000526.35725");
}

#[test]
fn above_the_lowest_tier_the_position_steps_down_in_the_real_book() {
    let mut story = Story::new("0", "0");
    story.tell("who | does | qty\n alice | deposit | 60000\n maker | deposit | 10000000\n seller | deposit | 10000000");
    story.leverage("alice", 50);
    story.tell(
        "who    | does | qty | price | then
         seller | sell | 50  | 50000 | rests 50 at 50000
         alice  | buy  | 50  | 50000 | 50 at 50000
         alice  | buy  | 10  | 40000 | InsufficientBalance
         maker  | buy  | 20  | 49100 | rests 20 at 49100",
    );
    // 2.455 million lie 455,000 above tier 1: 9.267 coins bring them below
    story.index(BTC, "49100");
    assert!(taken_over(&story).is_empty());
    story.expect("who | qty | wallet | mm\n alice | 40.733 | 50034.444665 | 11097.70585\n maker | 9.267 | 9999908.99806 | 2500.2783015");
}

#[test]
fn liquidation_cancels_orders_first() {
    let mut story = alice_is_long("0");
    story.tell("who | does | order | qty | price | in\n alice | sell | s | 1 | 55000 |\n");
    story.index(BTC, "49200");
    assert_eq!(story.exchange.order(story.order("s")), None);
    let order = story.happened(|event| match event {
        EventKind::LiquidationStarted { .. } => Some("started"),
        EventKind::OrderCancelled { reason: exchange_core::CancelReason::Liquidation, .. } => {
            Some("cancelled")
        }
        EventKind::TakenOver { .. } => Some("taken over"),
        _ => None,
    });
    assert_eq!(order, ["started", "cancelled", "taken over"]);
}

#[test]
fn a_position_taken_over_without_buyers_waits_for_the_next_tick() {
    let mut story = alice_is_long("500");
    story.index(BTC, "49200");
    assert_eq!(
        story.exchange.position(TAKEOVER_ACCOUNT, BTC, PositionIndex::HedgeBuy).unwrap().qty.0,
        fixed("1")
    );
    story.tell("who | does | qty | price | then\n maker | buy | 1 | 49000 | rests 1 at 49000");
    story.passes(250);
    assert_eq!(story.exchange.position(TAKEOVER_ACCOUNT, BTC, PositionIndex::HedgeBuy).unwrap().qty.0, 0);
    assert_eq!(shown(story.fund()), "545.44");
}

#[test]
fn many_liquidations_carry_over_to_the_next_command() {
    let mut story = Story::new("1000000", "0");
    story.tell("who | does | qty\n maker | deposit | 10000000");
    let crowd: Vec<AccountId> = (2000..2100).map(AccountId).collect();
    story.tell("who | does | qty | price\n maker | sell | 10 | 50000");
    for account in &crowd {
        story.must(Action::CreateAccount { account: *account });
        let amount = Money(fixed("60"));
        story.must(Action::Deposit { account: *account, coin: CoinId(0), amount });
        let instrument = BTC;
        story.must(Action::SetLeverage { account: *account, instrument, leverage: 10_000 });
        let order = NewOrder::market(*account, instrument, Side::Buy, Qty(fixed("0.1")));
        story.must(Action::PlaceOrder(order));
    }
    story.index(BTC, "49600");
    assert_eq!(taken_over(&story).len(), 64);
    story.passes(1);
    assert_eq!(taken_over(&story).len(), 36);
}

#[test]
fn what_orders_elsewhere_would_lose_counts_against_a_position() {
    let mut story = Story::new("0", "0");
    story.tell(
        "who   | does    | qty
         alice | deposit | 1000
         maker | deposit | 1000000",
    );
    story.tell(
        "who   | does | qty  | price | in  | then
         maker | sell | 0.01 | 50000 | BTC | rests 0.01 at 50000
         alice | buy  | 0.01 | 50000 | BTC | 0.01 at 50000
         alice | sell | 4    | 2000  | ETH | rests 4 at 2000",
    );
    story.index(exchange_core::InstrumentId(1), "2300");
    let started = story.happened(|event| match event {
        EventKind::LiquidationStarted { account, .. } => Some(*account),
        _ => None,
    });
    assert_eq!(started, [who("alice")], "4 x 300 are more than the 1,000 behind the position");
}
