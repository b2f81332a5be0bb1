//! Who is told to owe, and in which order.

mod support;

use exchange_core::{AccountAction, Action, CoinId, EventKind, InstrumentId, Money, Wallet};
use support::{btc, fixed, many_coins, who, Story};

#[test]
fn who_begins_to_owe_is_told_by_account_whoever_held_the_coin_first() {
    let mut story = Story::of(&many_coins(vec![btc()], "0"), &[]);
    story.tell(
        "who   | does    | coin | qty
         bob   | deposit | USDT | 100
         alice | deposit | USDT | 100
         bob   | deposit | BTC  | 1
         alice | deposit | BTC  | 1
         maker | deposit | USDT | 1000000",
    );
    story.index(InstrumentId(0), "50000");
    story.tell(
        "who   | does | qty | price
         maker | sell | 1   | 50000
         bob   | buy  | 0.5 | 50000
         alice | buy  | 0.5 | 50000",
    );
    story.index(InstrumentId(0), "49000");
    let told = story.happened(|event| match event {
        EventKind::BorrowChanged { account, .. } => Some(*account),
        _ => None,
    });
    assert_eq!(told, [who("alice"), who("bob")]);
}

#[test]
fn a_repayment_fills_the_wallet_first_or_sells_nothing() {
    let mut story = Story::of(&many_coins(vec![btc()], "0"), &[("USDT", "1000000")]);
    story.index(InstrumentId(0), "50000");
    story.tell(
        "who   | does    | coin | qty
         alice | deposit | BTC  | 1",
    );
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000");
    let (account, coin) = (who("alice"), CoinId(0));
    let withdraw = |amount: &str| AccountAction::Transfer {
        from: account,
        to: account,
        coin,
        amount: Money(fixed(amount)),
        from_wallet: Wallet::Unified,
        to_wallet: Wallet::Funding,
    };
    story.must(Action::Account(withdraw("1000000")));
    let three = Money(fixed("3"));
    story.must(Action::Account(AccountAction::Borrow { account, coin, amount: three }));
    // the fee of 27.5 overdraws the wallet by 24.5, which a profit of 1,000 covers
    story.tell("who | does | qty\n alice | buy | 1");
    story.index(InstrumentId(0), "51000");
    let repay = AccountAction::Repay { account, coin, amount: three, convert: true };
    story.must(Action::Account(repay));
    assert!(story.exchange.coins(account).iter().all(|coin| coin.borrowed.0 == 0), "{:?}", story.events);
}
