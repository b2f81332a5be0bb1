//! Stories of spot: what orders hold, what a fill moves, who pays which fee in which coin.

mod support;

use exchange_core::{
    limits, Action, CancelReason, EventKind, InstrumentId, MarginMode, PositionAction, Reject, StopKind,
};
use support::{btc, btc_spot, many_coins, shown, who, Story, BTC};

const SPOT: InstrumentId = InstrumentId(1);

/// Everyone has 100,000 USDT and two BTC at 50,000.
fn story() -> Story {
    let genesis = many_coins(vec![btc(), btc_spot()], "0");
    let mut story = Story::of(&genesis, &[("USDT", "100000"), ("BTC", "2")]);
    story.index(BTC, "50000");
    story.index(SPOT, "50000");
    story
}

fn coins(story: &Story, name: &str) -> [(String, String); 2] {
    ["USDT", "BTC"].map(|coin| story.coin_of(name, coin))
}

fn pairs(amounts: [(&str, &str); 2]) -> [(String, String); 2] {
    amounts.map(|(wallet, locked)| (wallet.to_owned(), locked.to_owned()))
}

#[test]
fn fee_3_the_buyer_pays_in_base_and_the_seller_in_quote() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty | price | then
         alice | sell | BTC/USDT | 1   | 50000 | rests 1 at 50000
         bob   | buy  | BTC/USDT | 1   |       | 1 at 50000",
    );
    assert_eq!(coins(&story, "alice"), pairs([("149950", "0"), ("1", "0")]));
    assert_eq!(coins(&story, "bob"), pairs([("50000", "0"), ("2.999", "0")]));
    let fees = story.happened(|event| match event {
        EventKind::Fill { fee, position_qty, closed_qty, .. } => {
            Some((shown(fee.0), position_qty.0, closed_qty.0))
        }
        _ => None,
    });
    assert_eq!(fees, [("0.001".into(), 0, 0), ("50".into(), 0, 0)]);
    assert!(story.exchange.positions(who("bob")).is_empty());
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn resting_orders_hold_what_they_pay_with() {
    let mut story = story();
    story.tell(
        "who   | does | in       | order | qty | price | then
         alice | buy  | BTC/USDT | b     | 1   | 49900 | rests 1 at 49900
         alice | sell | BTC/USDT | s     | 1.5 | 50400 | rests 1.5 at 50400",
    );
    assert_eq!(coins(&story, "alice"), pairs([("100000", "49900"), ("2", "1.5")]));
    story.tell(
        "who   | does   | in       | order | qty | price | then
         alice | buy    | BTC/USDT |       | 1.1 | 49900 | InsufficientBalance
         alice | sell   | BTC/USDT |       | 0.6 | 50400 | InsufficientBalance
         alice | amend  |          | b     | 2   |       | rests 2 at 49900
         alice | amend  |          | b     | 2.1 |       | InsufficientBalance
         alice | amend  |          | s     | 2   |       | rests 2 at 50400
         alice | amend  |          | s     |     | 50500 | rests 2 at 50500
         bob   | sell   | BTC/USDT |       | 0.5 | 49900 | 0.5 at 49900",
    );
    assert_eq!(coins(&story, "alice"), pairs([("75050", "74850"), ("2.4995", "2")]));
    story.tell("who | does | order\n alice | cancel | b\n alice | cancel | s");
    assert_eq!(coins(&story, "alice"), pairs([("75050", "0"), ("2.4995", "0")]));
}

#[test]
fn what_is_held_cannot_be_withdrawn() {
    let mut story = story();
    story.tell("who | does | in | qty | price\n alice | sell | BTC/USDT | 1.5 | 50400");
    story.tell(
        "who   | does     | coin | qty  | then
         alice | withdraw | BTC  | 0.51 | WithdrawTooLarge
         alice | withdraw | BTC  | 0.5  | ",
    );
    assert_eq!(story.coin_of("alice", "BTC"), ("1.5".into(), "1.5".into()));
}

#[test]
fn a_market_buy_goes_as_far_as_the_cash() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty | price | then
         maker | sell | BTC/USDT | 1   | 50000 |
         maker | sell | BTC/USDT | 1   | 50200 |
         alice | buy  | BTC/USDT | 3   |       | InsufficientBalance
         alice | buy  | BTC/USDT | 2   |       | 1 at 50000, 0.996 at 50200, InsufficientMargin 0.004",
    );
    // 100,000 - 50,000 - 49,999.2
    assert_eq!(story.coin_of("alice", "USDT"), ("0.8".into(), "0".into()));
}

#[test]
fn spot_has_no_positions_no_leverage_and_no_legs() {
    let mut story = story();
    let leverage = Action::SetLeverage { account: who("alice"), instrument: SPOT, leverage: 200 };
    assert_eq!(story.does(leverage).reject, Some(Reject::NotAContract));
    story.tell(
        "who   | does | in       | qty | price | how    | leg  | then
         alice | sell | BTC/USDT | 1   | 50000 | reduce |      | ReduceOnlyNoPosition
         alice | buy  | BTC/USDT | 1   | 50000 |        | long | PositionIndexMismatch
         alice | buy  | BTC/USDT | 0.0001 | 49000 |     |      | BelowMinimumNotional",
    );
}

#[test]
fn the_haircut_of_an_order_must_be_borne_and_is_at_risk() {
    let mut story = story();
    // 198,000 count: 100,000 and 98 % of 100,000
    story.expect("who | available\n alice | 198000");
    story.tell("who | does | in | order | qty | price\n alice | buy | BTC/USDT | b | 2 | 49900");
    // 99,800 would go and 98 % of 100,000 come
    story.expect("who | available\n alice | 196200");
    story.tell("who | does | order\n alice | cancel | b");
    story.tell("who | does | qty | price | then\n alice | buy | 39 | 49900 | rests 39 at 49900");
    // 1,356.3255 are left; per coin 49,900 would go and 98 % of 50,000 come
    story.tell(
        "who   | does | in       | qty | price | then
         alice | buy  | BTC/USDT | 1.6 | 49900 | InsufficientBalance
         alice | buy  | BTC/USDT | 1.5 | 49900 | rests 1.5 at 49900",
    );
}

#[test]
fn contracts_losses_are_not_spent() {
    let mut story = story();
    story.tell("who | does | qty | price\n maker | sell | 5 | 50000\n alice | buy | 5 | 50000");
    story.index(BTC, "44000");
    // 99,862.5 in the wallet, 30,000 lost at the mark
    story.tell(
        "who   | does | in       | qty | price | then
         alice | buy  | BTC/USDT | 1.4 | 50000 | InsufficientBalance
         alice | buy  | BTC/USDT | 1.3 | 50000 | rests 1.3 at 50000",
    );
}

#[test]
fn isolated_accounts_spend_their_free_balance() {
    let mut story = story();
    let mode = MarginMode::Isolated;
    story.must(Action::Position(PositionAction::SetMarginMode { account: who("alice"), mode }));
    story.tell(
        "who   | does | in       | qty | price | then
         maker | sell |          | 10  | 50000 |
         alice | buy  |          | 10  | 50000 | 10 at 50000
         alice | buy  | BTC/USDT | 1   | 49900 | InsufficientBalance
         alice | buy  | BTC/USDT | 0.9 | 49900 | rests 0.9 at 49900
         alice | buy  |          | 1   | 49900 | InsufficientBalance",
    );
    // 100,000 less 275 fee and 50,247.5 margin
    assert_eq!(story.coin_of("alice", "USDT"), ("99725".into(), "44910".into()));
}

#[test]
fn a_liquidated_account_loses_its_spot_orders_first() {
    let mut story = Story::of(&many_coins(vec![btc(), btc_spot()], "1000000"), &[("USDT", "30000")]);
    story.index(BTC, "50000");
    story.index(SPOT, "50000");
    story.leverage("alice", 20);
    story.tell(
        "who   | does    | in       | qty | price | coin | then
         maker | deposit |          | 1000000 |   | USDT |
         maker | sell    |          | 10  | 50000 |      |
         alice | buy     |          | 10  | 50000 |      | 10 at 50000
         alice | buy     | BTC/USDT | 0.1 | 49000 |      | rests 0.1 at 49000",
    );
    story.index(BTC, "47200");
    let cancelled = story.happened(|event| match event {
        EventKind::OrderCancelled { instrument, .. } => Some(*instrument),
        _ => None,
    });
    assert_eq!(cancelled, [SPOT]);
    assert_eq!(story.coin_of("alice", "USDT").1, "0");
}

#[test]
fn a_market_buy_may_name_what_it_spends() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty   | price | spot   | then
         maker | sell | BTC/USDT | 0.4   | 50000 |        |
         maker | sell | BTC/USDT | 1     | 50100 |        |
         alice | buy  | BTC/USDT | 30000 |       | amount | 0.4 at 50000, 0.1996 at 50100
         alice | buy  | BTC/USDT | 4     |       | amount | QtyBelowMinimum
         alice | buy  | BTC/USDT | 10000 | 50100 | amount | SpotTermsInvalid
         alice | sell | BTC/USDT | 10000 |       | amount | SpotTermsInvalid
         alice | buy  |          | 10000 |       | amount | SpotTermsInvalid
         alice | buy  | BTC/USDT | 80000 |       | amount | InsufficientBalance
         alice | buy  | BTC/USDT | 60000 |       | amount | 0.8004 at 50100, ImmediateOrCancel 0.394",
    );
    // 30,000 less 0.04 that buy no lot
    assert_eq!(story.coin_of("alice", "USDT"), ("29900".into(), "0".into()));
    let told = story.happened(|event| match *event {
        EventKind::SpotConditions { spend, is_leveraged, .. } => Some((shown(spend.0), is_leveraged)),
        _ => None,
    });
    assert_eq!(told, [("60000".to_owned(), false)], "of the newest order");
}

#[test]
fn an_amount_passes_over_own_orders_as_the_order_does() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty   | price | spot   | smp   | then
         alice | sell | BTC/USDT | 1     | 50000 |        |       | rests 1 at 50000
         maker | sell | BTC/USDT | 1     | 50100 |        |       | rests 1 at 50100
         alice | buy  | BTC/USDT | 50100 |       | amount | maker | 1 at 50100",
    );
    assert_eq!(story.coin_of("alice", "BTC"), ("2.999".into(), "0".into()));
}

#[test]
fn an_order_on_leverage_owes_what_it_holds_beyond_the_cash() {
    let mut story = story();
    let debt = |story: &Story, name: &str, coin: &str| {
        let coin = story.coin(coin);
        story
            .exchange
            .coins(who(name))
            .into_iter()
            .find(|held| held.coin == coin)
            .map(|held| shown(held.borrowed.0))
    };
    story.tell(
        "who   | does | in       | order | qty | price | spot     | then
         alice | buy  | BTC/USDT |       | 3   | 49900 |          | InsufficientBalance
         alice | buy  | BTC/USDT | b     | 3   | 49900 | leverage | rests 3 at 49900",
    );
    assert_eq!(debt(&story, "alice", "USDT"), Some("49700".into()));
    story.tell("who | does | order\n alice | cancel | b");
    assert_eq!(debt(&story, "alice", "USDT"), Some("0".into()));
    story.tell(
        "who   | does | in       | qty | price | spot     | then
         maker | sell | BTC/USDT | 2   | 50000 |          |
         bob   | sell | BTC/USDT | 1   | 50000 |          |
         alice | buy  | BTC/USDT | 3   | 50000 | leverage | 2 at 50000, 1 at 50000
         alice | buy  | BTC/USDT | 2   | 49900 | leverage | BorrowLimit
         carol | sell | BTC/USDT | 5   | 50400 | leverage | rests 5 at 50400",
    );
    assert_eq!(story.coin_of("alice", "USDT"), ("-50000".into(), "0".into()));
    assert_eq!(debt(&story, "alice", "USDT"), Some("50000".into()));
    assert_eq!(debt(&story, "carol", "BTC"), Some("3".into()));
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn leverage_needs_margin_for_the_loan_and_cross_margin() {
    let mut story = story();
    story.tell("who | does | qty | price | then\n alice | buy | 38 | 49900 | rests 38 at 49900");
    // 6,398 are left, a fifth of the loan is needed
    story.tell(
        "who   | does | in       | qty | price | spot     | then
         alice | buy  | BTC/USDT | 2.7 | 49900 | leverage | InsufficientBalance
         alice | buy  |          | 1   | 49900 | leverage | SpotTermsInvalid",
    );
    let mode = MarginMode::Isolated;
    story.must(Action::Position(PositionAction::SetMarginMode { account: who("bob"), mode }));
    story.tell("who | does | in | qty | price | spot | then\n bob | buy | BTC/USDT | 3 | 49900 | leverage | NoLoansInIsolatedMode");
}

#[test]
fn a_take_profit_or_stop_loss_of_spot_holds_what_it_pays_with() {
    let mut story = story();
    story.tell(
        "who   | does | in       | order | qty   | price | trigger | by   | spot        | then
         maker | buy  | BTC/USDT |       | 1     | 50000 |         |      |             | rests 1 at 50000
         bob   | sell | BTC/USDT |       | 0.1   | 50000 |         |      |             | 0.1 at 50000
         alice | sell | BTC/USDT | loss  | 1.5   |       | 49800   |      | tpsl        | waits 1.5 for 49800
         alice | buy  | BTC/USDT | limit | 1     | 50300 | 50200   |      | tpsl        | waits 1 for 50200
         alice | buy  | BTC/USDT | spent | 20000 |       | 50100   | mark | tpsl amount | waits 20000 for 50100",
    );
    assert_eq!(coins(&story, "alice"), pairs([("100000", "70300"), ("2", "1.5")]));
    let kind = story.exchange.order(story.order("loss")).map(|order| order.kind);
    assert_eq!(kind, Some(StopKind::SpotTpSl));
    story.tell(
        "who   | does  | in       | order | qty | price | trigger | spot     | how  | then
         alice | sell  | BTC/USDT |       | 0.6 |       | 49700   | tpsl     |      | InsufficientBalance
         alice | sell  | BTC/USDT |       | 0.6 | 50400 |         |          |      | InsufficientBalance
         alice | sell  | BTC/USDT |       | 0.5 | 50400 |         | tpsl     |      | SpotTermsInvalid
         alice | buy   | BTCUSDT  |       | 0.5 | 50400 | 50300   | tpsl     |      | SpotTermsInvalid
         alice | amend | BTC/USDT | loss  | 2.1 |       | 49800   |          |      | InsufficientBalance
         alice | amend | BTC/USDT | loss  | 2   |       | 49700   |          |      | waits 2 for 49700",
    );
    assert_eq!(coins(&story, "alice"), pairs([("100000", "70300"), ("2", "2")]));
    // triggered, it sells what it held; the rest of the bids is not enough
    story.tell(
        "who   | does   | in       | order | qty  | price | then
         alice | cancel | BTC/USDT | limit |      |       | cancelled
         maker | buy    | BTC/USDT |       | 1    | 49700 | rests 1 at 49700
         bob   | sell   | BTC/USDT |       | 0.91 | 49700 | 0.9 at 50000, 0.01 at 49700",
    );
    assert_eq!(story.fate(story.order("loss")), "triggered at 49700, 0.99 at 49700, ImmediateOrCancel 1.01");
    assert_eq!(coins(&story, "alice")[1], ("1.01".to_owned(), "0".to_owned()));
    let spent = story.exchange.open_orders(who("alice"), Some(SPOT));
    assert_eq!(spent.len(), 1);
    assert_eq!(coins(&story, "alice")[0].1, "20000");
}

#[test]
fn a_pair_has_thirty_of_them_beside_thirty_conditional_orders() {
    let mut story = story();
    for _ in 0..limits::SPOT_TPSL_ORDERS_MAX {
        story.tell("who | does | in | qty | trigger | spot\n alice | sell | BTC/USDT | 0.01 | 49800 | tpsl");
    }
    story.tell(
        "who   | does | in       | qty  | trigger | spot | then
         alice | sell | BTC/USDT | 0.01 | 49800   | tpsl | TooManyConditionalOrders
         alice | sell | BTC/USDT | 0.01 | 49800   |      | waits 0.01 for 49800",
    );
    assert_eq!(coins(&story, "alice")[1], ("2".to_owned(), "0.3".to_owned()));
    story.tell("who | does\n alice | cancel all");
    assert_eq!(coins(&story, "alice")[1], ("2".to_owned(), "0".to_owned()));
}

/// What waits to end what alice's orders got, oldest first: trigger, quantity.
fn ends(story: &Story) -> Vec<(String, String)> {
    let orders = story.exchange.open_orders(who("alice"), Some(SPOT)).into_iter();
    let waiting = orders.filter(|order| order.is_waiting && order.kind == StopKind::SpotTpSl);
    waiting.map(|order| (shown(order.terms.trigger_price.0), shown(order.qty.0))).collect()
}

fn both(profit: &str, loss: &str, qty: &str) -> Vec<(String, String)> {
    [profit, loss].map(|price| (price.to_owned(), qty.to_owned())).to_vec()
}

fn cancelled(story: &Story) -> Vec<CancelReason> {
    story.happened(|event| match *event {
        EventKind::OrderCancelled { reason, .. } => Some(reason),
        _ => None,
    })
}

#[test]
fn what_comes_with_a_buy_grows_with_its_fills_and_holds_what_it_got_once() {
    let mut story = story();
    story.tell(
        "who   | does | in       | order | qty  | price | tp    | sl    | tp at | then
         alice | buy  | BTC/USDT | b     | 1    | 49900 | 50300 | 49700 | 50290 | rests 1 at 49900
         bob   | sell | BTC/USDT |       | 0.25 | 49900 |       |       |       | 0.25 at 49900",
    );
    // the maker's fee of 0.1 % is taken out of what she gets
    assert_eq!(ends(&story), both("50300", "49700", "0.2497"));
    assert_eq!(coins(&story, "alice"), pairs([("87525", "37425"), ("2.24975", "0.2497")]));
    story.tell(
        "who   | does | in       | qty  | price | then
         bob   | sell | BTC/USDT | 0.75 | 49900 | 0.75 at 49900",
    );
    assert_eq!(ends(&story), both("50300", "49700", "0.999"));
    assert_eq!(coins(&story, "alice"), pairs([("50100", "0"), ("2.999", "0.999")]));
    // a lot at 50,300 sets the take-profit off, at its limit; the stop-loss goes
    story.tell(
        "who   | does | in       | qty  | price | then
         carol | buy  | BTC/USDT | 0.5  | 50300 | rests 0.5 at 50300
         bob   | sell | BTC/USDT | 0.1  | 50300 | 0.1 at 50300",
    );
    assert_eq!(cancelled(&story), [CancelReason::PairTriggered]);
    assert!(ends(&story).is_empty());
    let fills = story.happened(|event| match *event {
        EventKind::Fill { account, qty, price, .. } if account == who("alice") => {
            Some((shown(qty.0), shown(price.0)))
        }
        _ => None,
    });
    assert_eq!(fills, [("0.4".to_owned(), "50300".to_owned())]);
    assert_eq!(coins(&story, "alice")[1], ("2.599".to_owned(), "0.599".to_owned()));
    assert!(story.exchange.conservation().adds_up());
}

#[test]
fn what_comes_with_a_sell_buys_it_back_as_far_as_it_can_be_paid() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty | price | tp    | sl    | then
         bob   | buy  | BTC/USDT | 1   | 50000 |       |       | rests 1 at 50000
         alice | sell | BTC/USDT | 1   | 50000 | 49700 | 50300 | 1 at 50000",
    );
    // the dearer of the two counts
    assert_eq!(coins(&story, "alice"), pairs([("149950", "50300"), ("1", "0")]));
    story.tell(
        "who   | does | in       | qty | price | then
         maker | sell | BTC/USDT | 1   | 50300 | rests 1 at 50300
         carol | buy  | BTC/USDT | 0.2 | 50300 | 0.2 at 50300",
    );
    assert_eq!(cancelled(&story), [CancelReason::PairTriggered, CancelReason::ImmediateOrCancel]);
    assert_eq!(coins(&story, "alice"), pairs([("109710", "0"), ("1.7992", "0")]));
    // what the pair would hold is spent: it is told, and gone
    story.tell(
        "who   | does | in       | qty | price | sl    | then
         alice | buy  | BTC/USDT | 2.1965 | 49900 |    | rests 2.1965 at 49900
         dave  | buy  | BTC/USDT | 1   | 50200 |       | rests 1 at 50200
         alice | sell | BTC/USDT | 1.7 | 50200 | 50250 | 1 at 50200, rests 0.7 at 50200",
    );
    assert_eq!(ends(&story), [("50250".to_owned(), "1".to_owned())]);
    story.tell("who | does | in | qty | price | then\n dave | buy | BTC/USDT | 0.3 | 50200 | 0.3 at 50200");
    assert_eq!(ends(&story), [("50250".to_owned(), "1".to_owned())]);
    assert_eq!(cancelled(&story), [CancelReason::InsufficientMargin]);
}

#[test]
fn one_of_a_pair_of_spot_stands_alone_when_the_other_is_cancelled_or_its_order_changes() {
    let mut story = story();
    story.tell(
        "who   | does  | in       | order | qty | price | tp    | sl    | then
         alice | buy   | BTC/USDT | b     | 1   | 49900 | 50300 | 49700 | rests 1 at 49900
         bob   | sell  | BTC/USDT |       | 0.5 | 49900 |       |       | 0.5 at 49900
         alice | amend | BTC/USDT | b     |     |       | 50200 |       | rests 0.5 at 49900
         bob   | sell  | BTC/USDT |       | 0.5 | 49900 |       |       | 0.5 at 49900",
    );
    assert_eq!(ends(&story), [both("50300", "49700", "0.4995"), both("50200", "49700", "0.4995")].concat());
    assert_eq!(coins(&story, "alice")[1].1, "0.999");
    let first = story.exchange.open_orders(who("alice"), Some(SPOT))[0].order_id;
    story.name("profit", first);
    story.tell("who | does | in | order | then\n alice | cancel | BTC/USDT | profit | cancelled");
    assert_eq!(ends(&story).len(), 3);
    assert_eq!(coins(&story, "alice")[1].1, "0.999");
    let copy = exchange_core::Exchange::restore(&story.exchange.snapshot()).unwrap();
    assert_eq!(copy.state_hash(), story.exchange.state_hash());
    story.tell("who | does\n alice | cancel all");
    assert_eq!(coins(&story, "alice")[1].1, "0");
}

#[test]
fn what_cannot_come_with_an_order_of_spot_is_refused() {
    let mut story = story();
    story.tell(
        "who   | does | in       | qty | price | trigger | tp    | sl    | spot        | then
         alice | buy  | BTC/USDT | 1   |       |         | 50300 |       |             | SpotTermsInvalid
         alice | sell | BTC/USDT | 1   | 49700 | 49800   | 49600 |       | tpsl        | SpotTermsInvalid
         alice | buy  | BTC/USDT | 1   | 49900 |         | 49900 |       |             | TakeProfitInvalid
         alice | buy  | BTC/USDT | 1   | 49900 |         |       | 49950 |             | StopLossInvalid
         alice | buy  | BTC/USDT | 1   | 50100 | 50200   | 50300 | 49900 |             | waits 1 for 50200",
    );
}
