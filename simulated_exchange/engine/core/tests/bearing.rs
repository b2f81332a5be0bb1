//! Stories of what a fill may cost: nobody trades himself below nothing, whoever came to rest is looked at again
//! before he opens, and what the venue has taken over never makes a debtor of anybody.

mod support;

use exchange_core::{EventKind, PositionIndex, TAKEOVER_ACCOUNT};
use support::{fixed, shown, who, Story, BTC, ETH};

fn funded(insurance_fund: &str, deposits: &str) -> Story {
    let mut story = Story::new(insurance_fund, "0");
    story.tell(&format!(
        "who | does | qty\n seller | deposit | 10000000\n maker | deposit | 10000000\n{deposits}"
    ));
    story
}

/// Alice, 50x long one coin from 50,000; at 49,300 her margin balance is 372.5.
fn alice_is_long(insurance_fund: &str) -> Story {
    let mut story = funded(insurance_fund, "alice | deposit | 1100");
    story.leverage("alice", 50);
    story.tell("who | does | qty | price\n seller | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story.index(BTC, "49300");
    story.expect("who | equity\n alice | 372.5");
    story
}

#[test]
fn nobody_closes_at_a_price_beyond_his_bankruptcy_at_the_cost_of_the_fund() {
    let mut story = alice_is_long("1000");
    story.tell(
        "who    | does | qty | price | how        | then
         maker  | buy  | 1   | 48900 |            | rests 1 at 48900
         alice  | sell | 1   |       | reduce ioc | InsufficientMargin 1
         alice  | sell | 0.1 | 48850 |            | InsufficientMargin 0.1
         alice  | sell | 1   | 48850 | reduce fok | FillOrKill 1
         maker  | buy  | 0.4 | 48960 |            | rests 0.4 at 48960
         alice  | sell | 1   |       | reduce ioc | 0.4 at 48960, InsufficientMargin 0.6",
    );
    // 1,072.5 - 0.4 x 1,040 - 10.7712
    story.expect("who | wallet | qty\n alice | 645.7288 | 0.6");
    assert_eq!(shown(story.fund()), "1000");
}

#[test]
fn a_resting_order_closes_no_worse_than_bankruptcy_either() {
    let mut story = alice_is_long("1000");
    story.index(BTC, "49500");
    story.tell("who | does | order | qty | price | how\n alice | sell | s | 1 | 49210 | reduce");
    story.index(BTC, "49250");
    story.tell("who | does | qty | price | then\n maker | buy | 1 | 49300 | 1 at 49210");
    story.expect("who | qty\n alice | 0");
    let mut story = alice_is_long("1000");
    story.index(BTC, "49290");
    story.tell("who | does | order | qty | price | how | then\n alice | sell | s | 1 | 48900 | reduce | rests 1 at 48900\n maker | buy | | 1 | 48900 | | rests 1 at 48900");
    assert_eq!(story.exchange.order(story.order("s")), None, "cancelled, not filled");
    story.expect("who | qty\n alice | 1");
}

#[test]
fn an_order_that_no_longer_closes_is_not_filled_without_margin() {
    let mut story = funded("0", "alice | deposit | 6000");
    story.tell("who | does | qty | price\n seller | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story.index(BTC, "46000");
    story.tell(
        "who    | does | order | qty | price | how        | then
         maker  | buy  |       | 1   | 46000 |            | rests 1 at 46000
         alice  | sell | s     | 1   | 46400 |            | rests 1 at 46400
         alice  | sell |       | 1   |       | reduce ioc | 1 at 46000
         seller | buy  |       | 1   | 46400 | fok        | FillOrKill 1
         seller | buy  |       | 1   | 46400 |            | rests 1 at 46400",
    );
    assert_eq!(story.exchange.order(story.order("s")), None);
    let reasons = story.happened(|event| match event {
        EventKind::OrderCancelled { reason, account, .. } if *account == who("alice") => Some(*reason),
        _ => None,
    });
    assert_eq!(reasons, [exchange_core::CancelReason::InsufficientMargin]);
    story.expect("who | qty\n alice | 0");
}

#[test]
fn a_fill_beyond_the_best_price_is_paid_for_like_any_other() {
    let mut story = funded("0", "alice | deposit | 560");
    story.leverage("alice", 100);
    // one lot at 50,490 takes 0.5049 + 0.0277695 + 0.027491805 of margin and fees and loses 0.49 at the mark
    story.tell(
        "who    | does | qty  | price | how | then
         seller | sell | 0.01 | 50000 |     | rests 0.01 at 50000
         seller | sell | 1    | 50490 |     | rests 1 at 50490
         alice  | buy  | 1    | 50490 | fok | InsufficientBalance
         alice  | buy  | 1    |       |     | 0.01 at 50000, 0.527 at 50490, InsufficientMargin 0.463",
    );
    assert!(story.exchange.account(who("alice")).unwrap().available.0 >= 0);
}

#[test]
fn what_stops_for_want_of_margin_never_rests_across_the_book() {
    let mut story = funded("0", "alice | deposit | 560");
    story.leverage("alice", 100);
    story.tell(
        "who    | does | qty  | price | then
         seller | sell | 0.01 | 50000 | rests 0.01 at 50000
         seller | sell | 1    | 50490 | rests 1 at 50490
         alice  | buy  | 1    | 50500 | 0.01 at 50000, 0.527 at 50490, InsufficientMargin 0.463",
    );
    story.expect_book("side | price | qty\n ask | 50490 | 0.473");
}

#[test]
fn an_amendment_through_the_mark_is_paid_for() {
    let mut story = funded("0", "alice | deposit | 570");
    story.leverage("alice", 100);
    story.tell(
        "who   | does  | order | qty | price | then
         alice | sell  | s     | 1   | 50500 | rests 1 at 50500
         alice | amend | s     |     | 49500 | InsufficientBalance
         alice | amend | s     | 0.5 | 49500 | rests 0.5 at 49500",
    );
}

/// Bob, short one coin from 50,000 and long ten ether, of which little is left; alice's long of one coin is
/// the venue's now, at 48,954.56, and the fund of 2,000 bears it.
fn bob_hedges_badly() -> Story {
    let mut story = funded("2000", "alice | deposit | 1100\n bob | deposit | 6000");
    story.leverage("alice", 50);
    story.leverage("bob", 50);
    story.tell(
        "who    | does | qty | price | in
         bob    | sell | 1   | 50000 | BTC
         alice  | buy  | 1   | 50000 | BTC
         seller | sell | 10  | 2000  | ETH
         bob    | buy  | 10  | 2000  | ETH",
    );
    story.index(BTC, "49200");
    story.index(BTC, "47000");
    story.index(ETH, "1150");
    assert_eq!(
        story.exchange.position(TAKEOVER_ACCOUNT, BTC, PositionIndex::HedgeBuy).unwrap().qty.0,
        fixed("1")
    );
    story
}

#[test]
fn deleveraging_makes_no_debtor() {
    let mut story = bob_hedges_badly();
    story.index(BTC, "46000");
    story.index(ETH, "1055");
    let before = story.exchange.account(who("bob")).unwrap().equity.0;
    story.passes(250);
    // the venue loses 2,954.56 on the coin, 954.56 more than the fund; bob bears what he has and no more
    let deleveraged: i64 = story
        .happened(|event| match event {
            EventKind::Deleveraged { qty, .. } => Some(-qty.0),
            _ => None,
        })
        .iter()
        .sum();
    let bearable = before / 296_435_092; // of lots, the maker fee included
    assert!(bearable < 323);
    assert_eq!(deleveraged, bearable * fixed("0.001"));
    for _ in 0..3 {
        story.passes(250);
        assert!(story.exchange.account(who("bob")).unwrap().wallet_balance.0 >= 0, "bob owes nothing");
    }
    assert!(story.exchange.account(TAKEOVER_ACCOUNT).unwrap().wallet_balance.0 >= 0);
}

#[test]
fn a_take_over_against_the_venues_own_position_deleverages_before_it_loses_more_than_the_fund() {
    let mut story =
        funded("2000", "alice | deposit | 1100\n dave | deposit | 6000\n carol | deposit | 100000");
    story.leverage("alice", 50);
    story.leverage("dave", 50);
    story.index(BTC, "46000");
    story.tell(
        "who    | does | qty | price | in
         dave   | sell | 1   | 46000 | BTC
         seller | buy  | 1   | 46000 | BTC
         seller | sell | 10  | 2000  | ETH
         dave   | buy  | 10  | 2000  | ETH",
    );
    story.index(BTC, "50000");
    story.tell(
        "who    | does | qty | price | in
         carol  | sell | 1   | 50000 | BTC
         alice  | buy  | 1   | 50000 | BTC",
    );
    story.index(BTC, "49200");
    story.index(BTC, "47000");
    assert_eq!(
        story.exchange.position(TAKEOVER_ACCOUNT, BTC, PositionIndex::HedgeBuy).unwrap().qty.0,
        fixed("1")
    );
    // alice's long would cost 1,900; dave falls through his bankruptcy by 2,000, of which his short, which lost 1,000 of
    // 8,000, bears an eighth: netting it with alice's long would cost more than the fund has
    story.index(ETH, "1300");
    let deleveraged = story.happened(|event| match event {
        EventKind::Deleveraged { account, instrument, .. } if *instrument == BTC => Some(*account),
        _ => None,
    });
    assert!(deleveraged.contains(&who("carol")), "{deleveraged:?}");
    assert_eq!(story.exchange.account(TAKEOVER_ACCOUNT).unwrap().wallet_balance.0, 0);
    assert!(story.fund() >= 0);
}

#[test]
fn a_short_is_never_taken_over_at_a_price_below_nothing() {
    let mut story = funded("0", "alice | deposit | 60000\n carol | deposit | 100000");
    story.tell(
        "who    | does | qty | price | in
         seller | sell | 10  | 50000 | BTC
         alice  | buy  | 10  | 50000 | BTC
         seller | buy  | 0.1 | 2000  | ETH
         alice  | sell | 0.1 | 2000  | ETH",
    );
    story.index(BTC, "5000");
    let prices = story.happened(|event| match event {
        EventKind::TakenOver { bankruptcy_price, .. } => Some(bankruptcy_price.0),
        _ => None,
    });
    assert_eq!(prices.len(), 2);
    assert!(prices.iter().all(|price| *price > 0), "{prices:?}");
}
