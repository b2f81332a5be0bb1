//! Stories of what few orders ask for: self-match prevention, slippage tolerance; and of accounts' settings for orders.

mod support;

use exchange_core::{
    Action, CancelReason, EventKind, InstrumentSpec, OrderId, OrderSetting, Price, ProductClass, Reject,
    TradingAction,
};
use support::{fixed, shown, who, Story, BTC};

fn story() -> Story {
    Story::new("0", "1000000")
}

/// Orders that self-match prevention cancelled in the last step, and the orders they would have met.
fn prevented(story: &Story) -> Vec<(OrderId, OrderId)> {
    story.happened(|event| match *event {
        EventKind::OrderCancelled { order_id, reason: CancelReason::SelfMatch, counterparty, .. } => {
            Some((order_id, counterparty))
        }
        _ => None,
    })
}

#[test]
fn smp_1_cancel_maker_takes_own_orders_out_of_the_way() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | smp   | then
         alice | sell | own   | 3   | 50000 |       | rests 3 at 50000
         bob   | sell |       | 2   | 50000 |       | rests 2 at 50000
         alice | buy  | taker | 5   | 50000 | maker | 2 at 50000, rests 3 at 50000",
    );
    assert_eq!(prevented(&story), [(story.order("own"), story.order("taker"))]);
    story.expect_book("side | price | qty\n bid | 50000 | 3");
    story.expect("who | qty\n alice | 2\n bob | -2");
}

#[test]
fn smp_2_the_resting_order_is_not_asked() {
    let mut story = story();
    story.tell(
        "who   | does | qty | price | smp   | then
         alice | sell | 3   | 50000 | maker | rests 3 at 50000
         alice | buy  | 3   | 50000 |       | 3 at 50000",
    );
    story.expect("who | qty\n alice | 0");
}

#[test]
fn cancel_taker_and_cancel_both_stop_the_incoming_order() {
    let mut story = story();
    story.tell(
        "who   | does | order | qty | price | smp   | then
         bob   | sell |       | 1   | 49999 |       | rests 1 at 49999
         alice | sell | own   | 3   | 50000 |       | rests 3 at 50000
         alice | buy  | taker | 5   | 50000 | taker | 1 at 49999, SelfMatch 4",
    );
    assert_eq!(prevented(&story), [(story.order("taker"), story.order("own"))]);
    story.expect_book("side | price | qty\n ask | 50000 | 3");
    story.tell(
        "who | does | order | qty | price | smp | then\n alice | buy | taker | 5 |  | both | SelfMatch 5",
    );
    let (own, taker) = (story.order("own"), story.order("taker"));
    assert_eq!(prevented(&story), [(own, taker), (taker, own)]);
    story.expect_book("side | price | qty");
    story.expect("who | qty\n alice | 1\n bob | -1");
}

#[test]
fn fill_or_kill_counts_what_self_match_prevention_leaves() {
    let mut story = story();
    story.tell(
        "who   | does | qty | price | smp   | how | then
         alice | sell | 3   | 50000 |       |     | rests 3 at 50000
         bob   | sell | 2   | 50000 |       |     | rests 2 at 50000
         alice | buy  | 3   | 50000 | maker | fok | FillOrKill 3
         alice | buy  | 2   | 50000 | taker | fok | FillOrKill 2
         alice | buy  | 2   | 50000 | maker | fok | 2 at 50000",
    );
    story.expect_book("side | price | qty");
}

#[test]
fn an_amended_order_comes_in_with_its_own_word() {
    let mut story = story();
    story.tell(
        "who   | does  | order | qty | price | smp   | then
         alice | sell  | own   | 1   | 50000 |       | rests 1 at 50000
         alice | buy   | bid   | 1   | 49900 | taker | rests 1 at 49900
         alice | amend | bid   |     | 50000 |       | SelfMatch 1",
    );
    assert_eq!(prevented(&story), [(story.order("bid"), story.order("own"))]);
    story.expect_book("side | price | qty\n ask | 50000 | 1");
}

#[test]
fn accounts_of_one_group_are_one_trader() {
    let mut story = story();
    let group = |story: &mut Story, name: &str, group: u32| {
        story.must(Action::Trading(TradingAction::SetOrderSetting {
            account: who(name),
            setting: OrderSetting::SmpGroup(group),
        }));
    };
    group(&mut story, "alice", 7);
    group(&mut story, "bob", 7);
    story.tell(
        "who   | does | order | qty | price | smp   | then
         alice | sell | hers  | 1   | 50000 |       | rests 1 at 50000
         carol | buy  |       | 1   | 49000 | taker | rests 1 at 49000
         bob   | buy  |       | 1   | 50000 | taker | SelfMatch 1",
    );
    group(&mut story, "bob", 8);
    story.tell("who | does | qty | price | smp | then\n bob | buy | 1 | 50000 | taker | 1 at 50000");
    // no group is not a group
    story.tell(
        "who   | does | qty | price | smp   | then
         carol | sell | 1   | 50000 |       | rests 1 at 50000
         dave  | buy  | 1   | 50000 | taker | 1 at 50000",
    );
}

#[test]
fn plim_5_market_orders_tolerate_so_much_slippage() {
    let spec = InstrumentSpec {
        tick_size: Price(fixed("0.01")),
        max_price: Price(fixed("99999")),
        ..support::btc()
    };
    let limit = |side: &str, slip: &str| -> String {
        let mut story = Story::with(vec![spec.clone()], "0", "1000000");
        story.index(BTC, "2100");
        story.tell(
            "who   | does | qty | price
             maker | buy  | 1   | 2099.9
             maker | sell | 1   | 2100",
        );
        story.tell(&format!("who | does | qty | slip\n alice | {side} | 2 | {slip}"));
        let limits = story.happened(|event| match event {
            EventKind::OrderAccepted { price, .. } => Some(shown(price.0)),
            _ => None,
        });
        limits.concat()
    };
    assert_eq!(limit("buy", "10 ticks"), "2100.1");
    assert_eq!(limit("sell", "10 ticks"), "2099.8");
    assert_eq!(limit("buy", "0.0005"), "2101.05");
    // 2098.85005: a sale no worse than that is one at 2098.86 or more
    assert_eq!(limit("sell", "0.0005"), "2098.86");
    // the band is nearer
    assert_eq!(limit("buy", "0.1"), "2121");
}

#[test]
fn slippage_tolerance_bounds_the_fill_and_is_checked() {
    let mut story = story();
    story.tell(
        "who   | does | qty | price   | slip         | then
         maker | sell | 1   | 50000   |              | rests 1 at 50000
         maker | sell | 1   | 50000.3 |              | rests 1 at 50000.3
         maker | sell | 1   | 50000.4 |              | rests 1 at 50000.4
         alice | buy  | 3   |         | 3 ticks      | 1 at 50000, 1 at 50000.3, ImmediateOrCancel 1
         alice | buy  | 1   |         | 0 ticks      | SlippageInvalid
         alice | buy  | 1   |         | 10001 ticks  | SlippageInvalid
         alice | buy  | 1   |         | 0.00009      | SlippageInvalid
         alice | buy  | 1   |         | 0.100001     | SlippageInvalid
         alice | buy  | 1   | 50000   | 3 ticks      | SlippageInvalid
         alice | sell | 1   |         | 10000 ticks  | ImmediateOrCancel 1
         alice | buy  | 1   |         | 0.0001       | 1 at 50000.4",
    );
}

#[test]
fn limits_beyond_the_band_are_refused_where_they_are_not_to_be_moved() {
    let mut story = story();
    let setting = OrderSetting::MovesToBand(ProductClass::Contracts, false);
    story.must(Action::Trading(TradingAction::SetOrderSetting { account: who("alice"), setting }));
    story.tell(
        "who   | does  | order | qty | price | then
         alice | buy   |       | 1   | 50501 | PriceBeyondBand
         alice | sell  |       | 1   | 49499 | PriceBeyondBand
         alice | buy   | a     | 1   | 49000 | rests 1 at 49000
         alice | amend | a     |     | 50501 | PriceBeyondBand
         alice | amend | a     |     | 50500 | rests 1 at 50500
         bob   | buy   |       | 1   | 60000 | rests 1 at 50500",
    );
}

#[test]
fn settings_for_orders_are_kept_and_told() {
    let mut story = story();
    let set = |story: &mut Story, setting| {
        story.does(Action::Trading(TradingAction::SetOrderSetting { account: who("alice"), setting })).reject
    };
    let window = |seconds| OrderSetting::DisconnectWindow(ProductClass::Contracts, seconds);
    assert_eq!(set(&mut story, window(2)), Some(Reject::OrderSettingInvalid));
    assert_eq!(set(&mut story, window(301)), Some(Reject::OrderSettingInvalid));
    assert_eq!(set(&mut story, window(10)), None);
    assert_eq!(story.exchange.order_settings(who("alice")).unwrap().disconnect_seconds, [10, 0]);
    let told = story.happened(|event| match *event {
        EventKind::OrderSettingsChanged { account, contracts_disconnect_s, .. } => {
            Some((account, contracts_disconnect_s))
        }
        _ => None,
    });
    assert_eq!(told, [(who("alice"), 10)]);
    let with_window = story.exchange.state_hash();
    assert_eq!(set(&mut story, window(0)), None);
    assert_ne!(story.exchange.state_hash(), with_window);
    assert_eq!(story.exchange.order_settings(who("alice")).unwrap(), exchange_core::OrderSettings::default());
}
