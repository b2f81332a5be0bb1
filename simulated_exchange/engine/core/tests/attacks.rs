//! Stories of people who own several accounts and try to be paid by a pool. Expectations are what the owner has in the end.

mod support;

use exchange_core::{AccountAction, Action, CoinId, CoinSpec, Money, PositionIndex, Reject, Wallet, SCALE};
use support::{fixed, shown, who, Story, BTC};

const USDT: CoinId = CoinId(0);
const HOUR_MS: i64 = 3_600_000;

/// Worth of these people in USDT at an index of 50,000: wallets, and what their positions in BTC would bring.
fn worth(story: &Story, people: &[&str]) -> i64 {
    let each = people.iter().map(|name| {
        let position = story.exchange.position(who(name), BTC, PositionIndex::OneWay).unwrap();
        let apart = i128::from(fixed("50000") - position.entry_price.0);
        let profit = apart * i128::from(position.qty.0) / i128::from(SCALE);
        fixed(&story.coin_of(name, "USDT").0) + i64::try_from(profit).unwrap()
    });
    each.sum()
}

#[test]
fn who_moves_the_mark_alone_is_not_paid_by_the_insurance_pool() {
    let mut story = Story::new("1000000", "0");
    let people = ["alice", "bob", "carol"];
    story.tell(
        "who | does | qty\n alice | deposit | 6000\n bob | deposit | 1000000\n carol | deposit | 1000000",
    );
    story.leverage("alice", 100);
    story.tell("who | does | qty | price\n bob | sell | 10 | 50000\n alice | buy | 10 | 50000");
    // quotes at the lower edge for five minutes, and no trade: the mark stays where the index and the last price are
    for _ in 0..300 {
        let edge = story.exchange.prices(BTC).unwrap().min_sell.0.max(fixed("49001"));
        let (bid, ask) = (shown(edge), shown(edge + fixed("1")));
        story.tell(&format!(
            "who   | does       | qty | price
             bob   | cancel all |     |
             carol | cancel all |     |
             bob   | buy        | 10  | {bid}
             carol | sell       | 10  | {ask}"
        ));
        story.passes(1_000);
    }
    // then one trade down there, and alice is far beyond bankruptcy at once
    story.tell("who | does | qty | price\n carol | sell | 0.001 | 49001\n bob | buy | 20 | 49001");
    story.passes(1_000);
    assert_eq!(story.exchange.position(who("alice"), BTC, PositionIndex::OneWay).unwrap().qty.0, 0);
    assert_eq!(shown(story.fund()), "1000000");
    assert!(worth(&story, &people) <= fixed("2006000"), "{}", shown(worth(&story, &people)));
}

#[test]
fn who_lends_first_does_not_live_on_what_others_lose_by_rounding() {
    let mut genesis = support::many_coins(vec![support::btc()], "0");
    genesis.coins[0] =
        CoinSpec { lending: support::lending(0), ..support::lent(CoinSpec::par("USDT"), 100_000) };
    let mut story = Story::of(&genesis, &[]);
    story.index(BTC, "50000");
    story.tell(
        "who   | does    | coin | qty
         bob   | deposit | BTC  | 10
         maker | deposit | USDT | 1000000
         alice | deposit | USDT | 1000
         carol | deposit | USDT | 1000",
    );
    let supplies = |story: &mut Story, name: &str, amount: Money| {
        let (from, to, coin) = (who(name), who(name), USDT);
        let (from_wallet, to_wallet) = (Wallet::Unified, Wallet::Funding);
        story.must(Action::Account(AccountAction::Transfer {
            from,
            to,
            coin,
            amount,
            from_wallet,
            to_wallet,
        }));
        story.does(Action::Account(AccountAction::Supply { account: from, coin, amount })).reject
    };
    // one share; then bob owes fees, and whatever interest he pays is hers
    assert_eq!(supplies(&mut story, "alice", Money(1)), None);
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n bob | buy | 1 | 50000");
    story.passes(400 * HOUR_MS);
    let pool = story.exchange.lending_pool(USDT).unwrap();
    assert!(pool.assets.0 > fixed("5"), "{pool:?}");
    // one share is worth all that; who came with half as much again would get one too, and lose a sixth
    let amount = Money(pool.assets.0 * 3 / 2);
    assert_eq!(supplies(&mut story, "carol", amount), Some(Reject::AmountInvalid));
}
