//! Stories of insurance pools and of the deleveraging they call for: examples ADL-1, ADL-2 and INS-1, the stop, pools of
//! their own, the eight hours, the queue.

mod support;

use exchange_core::{
    AdlSpec, EventKind, Genesis, InstrumentId, Money, PoolId, PoolSpec, PositionIndex, Side, TAKEOVER_ACCOUNT,
};
use support::{btc, eth, fixed, shown, who, Story, BTC, ETH};

/// Alice, 50x long a hundred coins from 50,000 with 110,000 behind them; bob is short ninety, carol ten.
fn alice_is_long(genesis: &Genesis) -> Story {
    let mut story = Story::of(genesis, &[]);
    story.index(BTC, "50000");
    story.index(ETH, "2000");
    story.tell(
        "who   | does    | qty
         alice | deposit | 112750
         bob   | deposit | 1000000
         carol | deposit | 100000
         maker | deposit | 100000000",
    );
    story.leverage("alice", 50);
    story.tell(
        "who   | does | qty | price | then
         bob   | sell | 90  | 50000 | rests 90 at 50000
         carol | sell | 10  | 50000 | rests 10 at 50000
         alice | buy  | 100 | 50000 | 90 at 50000, 10 at 50000",
    );
    story.expect("who | wallet\n alice | 110000");
    story
}

fn venue(fund: &str) -> Genesis {
    Genesis::linear(vec![btc(), eth()], Money(fixed(fund)))
}

/// What was said about deleveraging, in words.
fn deleveraging(story: &Story) -> Vec<String> {
    story.happened(|event| match event {
        EventKind::AdlStarted { ratio, .. } => Some(format!("started at {}", shown(*ratio))),
        EventKind::AdlStopped { ratio, .. } => Some(format!("stopped at {}", shown(*ratio))),
        EventKind::Deleveraged { account, qty, price, place, .. } => {
            Some(format!("{place}. {}: {} at {}", account.0, shown(qty.0), shown(price.0)))
        }
        _ => None,
    })
}

fn ratio(story: &Story, instrument: InstrumentId) -> String {
    shown(story.exchange.adl_alert(instrument).unwrap().ratio)
}

fn held_by_the_venue(story: &Story) -> String {
    shown(story.exchange.position(TAKEOVER_ACCOUNT, BTC, PositionIndex::HedgeBuy).unwrap().qty.0)
}

#[test]
fn adl_1_a_loss_of_35_percent_deleverages_what_lies_beyond_30() {
    let mut story = alice_is_long(&venue("1000000"));
    // 4,600 down: 350,000 beyond bankruptcy, which is 48,900
    story.index(BTC, "45400");
    // 50,000 of it are 14.286 coins of 3,500 each; carol, 10x with less behind her, is first in line
    assert_eq!(
        deleveraging(&story),
        ["started at -0.35", "1. 1003: -10 at 48900", "2. 1002: -4.286 at 48900"]
    );
    assert_eq!(ratio(&story, BTC), "-0.299999");
    assert_eq!((held_by_the_venue(&story), shown(story.fund())), ("85.714".into(), "1000000".into()));
    let alert = story.exchange.adl_alert(BTC).unwrap();
    assert_eq!((alert.trigger_ratio, alert.stop_ratio), (-30_000_000, -25_000_000));
    assert!(alert.is_deleveraging);
}

#[test]
fn adl_2_a_loss_of_exactly_30_percent_starts_it_and_closes_nothing() {
    let mut story = alice_is_long(&venue("2000000"));
    story.index(BTC, "42900"); // 710,000 - 110,000
    assert_eq!(deleveraging(&story), ["started at -0.3"]);
    assert_eq!(held_by_the_venue(&story), "100");
}

#[test]
fn deleveraging_stops_above_25_percent_and_not_before() {
    let mut story = alice_is_long(&venue("1000000"));
    story.index(BTC, "45400");
    story.index(BTC, "45984"); // 85.714 x 2,916 = 249,942.024
    story.passes(250);
    assert_eq!(deleveraging(&story), ["stopped at -0.24994202"]);
    assert!(!story.exchange.adl_alert(BTC).unwrap().is_deleveraging);
    story.index(BTC, "45400");
    story.passes(250);
    assert!(deleveraging(&story).is_empty(), "-0.299999 is not yet -0.3");
    story.index(BTC, "45399.9");
    story.passes(250);
    // 1,000,000 x 30 % bear 85.711 coins of 3,500.1 each
    assert_eq!(deleveraging(&story), ["started at -0.30000757", "1. 1002: -0.003 at 48900"]);
}

#[test]
fn a_pool_within_its_threshold_is_used_up_whole() {
    let mut story = alice_is_long(&venue("10000"));
    story.tell("who | does | qty | price\n maker | buy | 2 | 47470");
    story.index(BTC, "47500"); // 140,000 beyond bankruptcy: 1,400 a coin
    assert_eq!(shown(story.fund()), "7140"); // two coins sold 1,430 below
                                             // 98 coins would lose 137,200: 92.9 of them are for others
    assert_eq!(
        deleveraging(&story),
        ["started at -14.006", "1. 1003: -10 at 48900", "2. 1002: -82.9 at 48900"]
    );
    assert_eq!(held_by_the_venue(&story), "5.1");
}

#[test]
fn ins_1_fills_better_and_worse_than_bankruptcy() {
    let mut story = Story::with(vec![btc(), eth()], "1000", "0");
    story.tell(
        "who | does | qty\n alice | deposit | 1100\n bob | deposit | 100000\n maker | deposit | 100000",
    );
    story.leverage("alice", 50);
    story.tell(
        "who   | does | qty | price
         bob   | sell | 1   | 50000
         alice | buy  | 1   | 50000
         maker | buy  | 0.5 | 49000
         maker | buy  | 0.5 | 48900",
    );
    let changes = |story: &Story| {
        story.happened(|event| match event {
            EventKind::InsuranceFundChanged { change, .. } => Some(shown(change.0)),
            _ => None,
        })
    };
    story.index(BTC, "49200"); // 272.5 left; fee 27.06 first: bankruptcy is 48,954.56
    assert_eq!(changes(&story), ["22.72"]); // below bankruptcy nothing is sold while the mark is above
    story.index(BTC, "48936"); // 48,899.3 is as far beyond as fees reach
    story.passes(250);
    assert_eq!(changes(&story), ["-27.28"]);
    assert_eq!(shown(story.fund()), "995.44");
    let alert = story.exchange.adl_alert(BTC).unwrap();
    assert_eq!((shown(alert.pnl.0), shown(alert.pnl_peak.0)), ("-4.56".into(), "0".into()));
    assert_eq!(shown(story.exchange.adl_alert(ETH).unwrap().pnl.0), "0");
}

#[test]
fn a_group_of_symbols_with_a_pool_of_its_own_leaves_the_other_pool_alone() {
    let mut genesis = venue("1000000");
    let apart =
        PoolSpec { name: "innovation".into(), balance: Money(fixed("500")), ..genesis.pools[0].clone() };
    genesis.pools.push(apart);
    genesis.instruments[0].pool = "innovation".into();
    let mut story = alice_is_long(&genesis);
    story.index(BTC, "48800"); // 10,000 beyond bankruptcy
    assert_eq!(deleveraging(&story)[0], "started at -20");
    assert_eq!(story.exchange.insurance_pool(PoolId(0)).unwrap().0, fixed("1000000"));
    assert_eq!(ratio(&story, ETH), "0");
    let pools = story.exchange.insurance_pools();
    assert_eq!(pools.iter().map(|pool| shown(pool.balance.0)).collect::<Vec<_>>(), ["1000000", "500"]);
}

#[test]
fn a_peak_is_forgotten_after_eight_hours() {
    let mut story = alice_is_long(&venue("1000000"));
    story.passes(60_000);
    story.tell("who | does | qty | price\n maker | buy | 100 | 46000");
    story.index(BTC, "46000"); // bankruptcy 48,900; bids 2,900 below: 290,000
    assert_eq!((shown(story.fund()), ratio(&story, BTC)), ("710000".into(), "-0.29".into()));
    for _ in 0..7 {
        story.passes(3_600_000);
    }
    assert_eq!(ratio(&story, BTC), "-0.29");
    let pool = story.exchange.insurance_pools()[0];
    assert_eq!(shown(pool.balance_peak.0), "1000000");
    story.passes(3_600_000);
    assert_eq!(ratio(&story, BTC), "0");
    assert_eq!(shown(story.exchange.insurance_pools()[0].balance_peak.0), "710000");
}

#[test]
fn far_from_the_mark_a_pool_may_pay_for_the_mark() {
    let mut genesis = venue("1000000");
    genesis.pools[0].adl = AdlSpec { mark_beyond: fixed("0.05"), ..AdlSpec::default() };
    let mut story = alice_is_long(&genesis);
    story.index(BTC, "45400"); // 48,900 is 7.7 % away
    assert_eq!(deleveraging(&story)[1..], ["1. 1003: -10 at 45400", "2. 1002: -4.286 at 45400"]);
    assert_eq!(shown(story.fund()), "949999"); // 14.286 x 3,500 less
}

#[test]
fn the_queue_and_the_lights_of_every_position_agree() {
    let mut story = alice_is_long(&venue("1000000"));
    story.index(BTC, "49500"); // bob and carol gain alike; carol has less behind her
    let shorts = story.exchange.adl_places(BTC, Side::Sell);
    let order: Vec<_> = shorts.iter().map(|place| (place.account, place.lights)).collect();
    assert_eq!(order, [(who("carol"), 5), (who("bob"), 3)]);
    for place in story.exchange.adl_places(BTC, Side::Buy).iter().chain(&shorts) {
        let position = story.exchange.position(place.account, BTC, place.position_index).unwrap();
        assert_eq!((position.adl_rank, position.qty), (place.lights, place.qty));
    }
    assert_eq!(story.exchange.position(who("maker"), BTC, PositionIndex::OneWay).unwrap().adl_rank, 0);
    assert!(story.exchange.adl_places(InstrumentId(9), Side::Buy).is_empty());
}

#[test]
fn funding_of_what_the_venue_holds_is_the_pools() {
    let mut story = alice_is_long(&venue("1000000"));
    story.index(BTC, "48800"); // 10,000 beyond bankruptcy; nobody buys
    assert_eq!(held_by_the_venue(&story), "100");
    let before = story.fund();
    for _ in 0..9 {
        story.passes(3_600_000);
    }
    let paid = story.exchange.adl_alert(BTC).unwrap().pnl.0;
    assert!(paid < 0 && story.fund() == before + paid, "{paid}");
    assert_eq!(story.exchange.account(TAKEOVER_ACCOUNT).unwrap().wallet_balance.0, 0);
}
