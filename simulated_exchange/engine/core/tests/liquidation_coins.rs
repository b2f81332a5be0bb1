//! Stories of liquidation over several coins: debts are repaid by selling collateral; all an account owns stands behind its
//! positions; it ends with nothing owed, and what nothing covers the insurance pools pay.

mod support;

use exchange_core::{
    AccountAction, Action, CancelReason, CoinId, EventKind, Genesis, InstrumentId, Money, Price, Side,
};
use support::{btc, btc_inverse, btc_perp, fixed, many_coins, shown, who, Story, BTC};

const PERP: InstrumentId = InstrumentId(1);
const INVERSE: InstrumentId = InstrumentId(2);

/// BTCUSDT, BTCPERP in USDC and BTCUSD in BTC, all at 50,000; a pool of each coin.
fn venue(funds: &str) -> Genesis {
    many_coins(vec![btc(), btc_perp(), btc_inverse()], funds)
}

fn open(genesis: &Genesis, deposits: &str) -> Story {
    let mut story = Story::of(genesis, &[]);
    for instrument in [BTC, PERP, INVERSE] {
        story.index(instrument, "50000");
    }
    for coin in ["USDT", "USDC"] {
        story.tell(&format!("who | does | qty | coin\n maker | deposit | 10000000 | {coin}"));
    }
    story.tell("who | does | qty | coin\n maker | deposit | 1000 | BTC");
    story.tell(deposits);
    story
}

fn coin_price(story: &mut Story, coin: &str, price: &str) {
    let (coin, price) = (story.coin(coin), Price(fixed(price)));
    story.must(Action::SetCoinPrice { coin, price });
}

/// What an account has of its coins.
fn wallets(story: &Story, name: &str) -> Vec<String> {
    let coins = story.exchange.coins(who(name));
    coins.iter().map(|coin| shown(coin.wallet_balance.0)).collect()
}

/// What happened to alice, in words.
fn told(story: &Story) -> Vec<String> {
    let name = |coin: CoinId| story.exchange.listed_coins()[usize::from(coin.0)].spec.name.clone();
    story.happened(|event| match event {
        EventKind::LiquidationStarted { margin_balance, maintenance_margin, .. } => {
            Some(format!("{} against {}", shown(margin_balance.0), shown(maintenance_margin.0)))
        }
        EventKind::OrderCancelled { reason: CancelReason::Liquidation, instrument, .. } => {
            Some(format!("cancelled in {}", instrument.0))
        }
        EventKind::Converted { sold_coin, sold, coin, bought, .. } => {
            Some(format!("{} {} for {} {}", shown(sold.0), name(*sold_coin), shown(bought.0), name(*coin)))
        }
        EventKind::TakenOver { instrument, qty, bankruptcy_price, .. } => {
            Some(format!("{}: {} at {}", instrument.0, shown(qty.0), shown(bankruptcy_price.0)))
        }
        EventKind::InsuranceFundChanged { pool, change, .. } => {
            Some(format!("pool {} {}", pool.0, shown(change.0)))
        }
        _ => None,
    })
}

/// Alice, nine coins long from 50,000 with nothing but one bitcoin behind it: the fee of 247.5 is borrowed.
fn alice_is_long_on_bitcoin(funds: &str) -> Story {
    let mut story = open(&venue(funds), "who | does | qty | coin\n alice | deposit | 1 | BTC");
    story.tell("who | does | qty | price\n maker | sell | 9 | 50000\n alice | buy | 9 | 50000");
    assert_eq!(wallets(&story, "alice"), ["-247.5", "1"]);
    story
}

#[test]
fn a_debt_is_repaid_from_collateral_and_that_may_be_enough() {
    let mut story = alice_is_long_on_bitcoin("0");
    story.tell("who | does | qty | price\n alice | buy | 0.001 | 40000");
    story.index(BTC, "45000");
    // 1 BTC counts 49,000; 45,247.5 are owed and cost 4 % of margin; repaid at the whole price less 0.1 %
    let told = told(&story);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[1..], ["cancelled in 0", "0.90585586 BTC for 45247.5 USDT"]);
    story.expect("who | qty\n alice | 9");
    assert_eq!(wallets(&story, "alice"), ["45000", "0.09414414"]);
}

#[test]
fn everything_an_account_owns_stands_behind_its_position() {
    let mut story = alice_is_long_on_bitcoin("0");
    story.index(BTC, "44600");
    let told = told(&story);
    // after the debt 0.022 BTC are left, which is less than the position needs: they go to its price
    assert_eq!(told[1], "0.97792793 BTC for 48847.5 USDT");
    assert_eq!(told[2], "0.02207207 BTC for 1102.4995 USDT");
    // 1,102.4995 less the taker's 220.77: nine coins at 97.96994444 below the mark
    assert_eq!(told[3], "0: 9 at 44502.03005556");
    assert_eq!(wallets(&story, "alice"), ["0", "0"]);
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().borrowed.0), "0");
}

#[test]
fn what_nothing_covers_is_the_pools() {
    let mut story = alice_is_long_on_bitcoin("100000");
    story.tell("who | does | qty | price\n maker | buy | 9 | 42000");
    story.index(BTC, "42000"); // 72,247.5 owed, 50,000 there
    let told = told(&story);
    assert_eq!(told[1], "1 BTC for 49950 USDT");
    // 22,297.5 are missing: nine coins at 2,477.5 above the mark
    assert_eq!(told[2..], ["0: 9 at 44477.5", "pool 0 -22297.5"]);
    assert_eq!(wallets(&story, "alice"), ["0", "0"]);
}

#[test]
fn positions_in_several_coins_share_what_there_is_by_their_sizes() {
    let mut story = open(&venue("1000"), "who | does | qty | coin\n alice | deposit | 25000 | USDT");
    story.tell(
        "who  | does | qty | price | in
        maker | sell | 1   | 50000 | BTCUSDT
        alice | buy  | 1   | 50000 | BTCUSDT
        maker | sell | 3   | 50000 | BTCPERP
        alice | buy  | 3   | 50000 | BTCPERP",
    );
    assert_eq!(wallets(&story, "alice"), ["24972.5", "-82.5"]);
    story.index(PERP, "43900");
    assert_eq!(told(&story).len(), 0);
    story.index(BTC, "43900");
    // 18,382.5 USDC are owed and repaid; of the 471.6 USDT left three quarters go where the larger position is
    let told = told(&story);
    assert_eq!(told[1], "18400.90090091 USDT for 18382.5 USDC");
    assert!(told[2].starts_with("353.6") && told[2].ends_with(" USDC"), "{told:?}");
    let prices: Vec<&str> =
        told.iter().filter_map(|told| told.split_once(" at ").map(|told| told.1)).collect();
    assert_eq!(prices.len(), 2, "{told:?}");
    for price in prices {
        let below = fixed("43900") - fixed(price);
        assert!((fixed("93.5")..fixed("93.9")).contains(&below), "{told:?}");
    }
    assert_eq!(wallets(&story, "alice"), ["0", "0"]);
}

#[test]
fn an_inverse_position_is_backed_by_dollars_and_a_linear_one_by_bitcoin() {
    let mut story = open(&venue("1000"), "who | does | qty | coin\n alice | deposit | 2000 | USDC");
    story.tell(
        "who  | does | qty    | price | in
        maker | sell | 10000  | 50000 | BTCUSD
        alice | buy  | 10000  | 50000 | BTCUSD",
    );
    story.index(INVERSE, "42000"); // a fifth of a bitcoin bought grows by 0.038 owed: 1,905 of 2,000
    let told = told(&story);
    assert!(told.iter().any(|told| told.contains("USDC for") && told.ends_with("BTC")), "{told:?}");
    assert!(wallets(&story, "alice").iter().all(|wallet| !wallet.starts_with('-')), "{told:?}");
}

#[test]
fn a_coin_that_does_not_count_is_sold_before_a_pool_pays() {
    let mut story = open(
        &venue("100000"),
        "who | does | qty | coin\n alice | deposit | 6000 | USDT\n alice | deposit | 1 | BTC",
    );
    let (account, coin) = (who("alice"), story.coin("BTC"));
    story.must(Action::Account(AccountAction::SetCollateral { account, coin, enabled: false }));
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story.index(BTC, "44200"); // 172.5 left, no more than the position needs: the bitcoin is not asked
    assert_eq!(wallets(&story, "alice"), ["0", "1"]);
    story.tell("who | does | qty | coin\n alice | deposit | 6000 | USDT");
    story.tell("who | does | qty | price\n maker | sell | 1 | 44200\n alice | buy | 1 | 44200");
    story.index(BTC, "38000"); // a gap: 224.31 are missing
    assert_eq!(told(&story)[1..], ["0.0044862 BTC for 224.31 USDT", "0: 1 at 38000"]);
    assert_eq!(wallets(&story, "alice"), ["0", "0.9955138"]);
    assert_eq!(shown(story.fund()), "100000");
}

#[test]
fn who_owes_without_a_position_repays_and_the_pool_of_the_coin_pays_the_rest() {
    let mut story = open(&venue("100000"), "who | does | qty | coin\n alice | deposit | 1 | BTC");
    let coin = story.coin("USDT");
    let (maker, amount) = (who("maker"), Money(fixed("100000")));
    story.tell("who | does | qty\n maker | withdraw | 100000");
    story.must(Action::Account(AccountAction::Supply { account: maker, coin, amount }));
    let (account, amount) = (who("alice"), Money(fixed("30000")));
    story.must(Action::Account(AccountAction::Borrow { account, coin, amount }));
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    story.index(BTC, "22000");
    story.tell("who | does | qty | price\n maker | buy | 1 | 22000\n alice | sell | 1 | 22000");
    assert_eq!(wallets(&story, "alice"), ["1960.4", "1"]);
    coin_price(&mut story, "BTC", "28000");
    // of the 30,000 owed her cash repays 1,960.4 and her bitcoin 27,972
    let told = told(&story);
    assert_eq!(told[1..], ["1 BTC for 27972 USDT", "pool 0 -67.6"]);
    assert_eq!(wallets(&story, "alice"), ["0", "0"]);
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().borrowed.0), "0");
}

#[test]
fn ladders_reach_as_far_as_all_coins_do() {
    let mut story = open(
        &venue("0"),
        "who | does | qty | coin\n alice | deposit | 2 | BTC\n alice | deposit | 3000 | USDT",
    );
    story.leverage("alice", 50);
    story.tell("who | does | qty | price\n maker | sell | 50 | 50000\n alice | buy | 50 | 50000");
    story.tell("who | does | qty | price\n maker | buy | 30 | 48150");
    // the debt takes what the dollars were; with what is left of the bitcoins closing is worth it down to 47,969.6
    story.index(BTC, "48200");
    let fills = story.happened(|event| match event {
        EventKind::Fill { account, side: Side::Sell, price, order_id, .. }
            if *account == who("alice") && order_id.0 > 0 =>
        {
            Some(shown(price.0))
        }
        _ => None,
    });
    assert_eq!(fills, ["48150"], "{:?}", told(&story));
}
