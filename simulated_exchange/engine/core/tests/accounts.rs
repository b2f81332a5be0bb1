//! Wallets, levels, sub-accounts and collateral switches, told as stories.

mod support;

use exchange_core::kyc::DAY_MS;
use exchange_core::{
    AccountAction, AccountId, AccountLevel, Action, CoinId, Command, EventKind, Exchange, Money, Price,
    Reject, Wallet, COMMAND_BYTES, SCALE,
};
use proptest::prelude::*;
use support::{fixed, shown, who, Story, BTC};

const USDT: CoinId = CoinId(0);
const COIN: CoinId = CoinId(2); // BTC itself
const SUB: AccountId = AccountId(2_001);

fn story(deposits: &[(&str, &str)]) -> Story {
    let genesis = support::many_coins(vec![support::btc(), support::btc_spot()], "1000");
    let mut story = Story::of(&genesis, deposits);
    story.index(BTC, "50000");
    story
}

fn asks(story: &mut Story, action: AccountAction) -> Option<Reject> {
    story.does(Action::Account(action)).reject
}

fn moves(
    story: &mut Story,
    (from, from_wallet): (AccountId, Wallet),
    (to, to_wallet): (AccountId, Wallet),
    coin: CoinId,
    amount: &str,
) -> Option<Reject> {
    let amount = Money(fixed(amount));
    asks(story, AccountAction::Transfer { from, to, coin, amount, from_wallet, to_wallet })
}

fn withdraws(story: &mut Story, name: &str, coin: CoinId, amount: &str) -> Option<Reject> {
    story.does(Action::Withdraw { account: who(name), coin, amount: Money(fixed(amount)) }).reject
}

fn level(story: &mut Story, name: &str, level: AccountLevel) -> Option<Reject> {
    asks(story, AccountAction::SetAccountLevel { account: who(name), level })
}

/// Unified and funding wallet.
fn wallets(story: &Story, account: AccountId, of: CoinId) -> (String, String) {
    let coins = story.exchange.coins(account);
    let view = coins.into_iter().find(|view| view.coin == of).unwrap_or_default();
    (shown(view.wallet_balance.0), shown(view.funding_balance.0))
}

fn pair(unified: &str, funding: &str) -> (String, String) {
    (unified.into(), funding.into())
}

#[test]
fn money_moves_between_the_wallets_of_a_family() {
    use Wallet::{Funding, Unified};
    let mut story = story(&[("USDT", "1000")]);
    let alice = who("alice");
    let create = AccountAction::CreateSubAccount { account: SUB, main: alice };
    assert_eq!(asks(&mut story, create), None);
    assert_eq!(asks(&mut story, create), Some(Reject::AccountExists));
    assert_eq!(moves(&mut story, (alice, Unified), (alice, Unified), USDT, "1"), Some(Reject::SameWallet));
    assert_eq!(moves(&mut story, (alice, Unified), (alice, Funding), USDT, "400"), None);
    assert_eq!(moves(&mut story, (alice, Funding), (SUB, Unified), USDT, "150"), None);
    assert_eq!(moves(&mut story, (alice, Unified), (SUB, Unified), USDT, "600"), None);
    assert_eq!(
        moves(&mut story, (alice, Unified), (SUB, Funding), USDT, "0.1"),
        Some(Reject::WithdrawTooLarge)
    );
    assert_eq!(
        moves(&mut story, (alice, Funding), (SUB, Funding), USDT, "250.1"),
        Some(Reject::WithdrawTooLarge)
    );
    assert_eq!(wallets(&story, alice, USDT), pair("0", "250"));
    assert_eq!(wallets(&story, SUB, USDT), pair("750", "0"));
    assert_eq!(moves(&mut story, (SUB, Unified), (alice, Funding), USDT, "750"), None);
    assert_eq!(wallets(&story, alice, USDT), pair("0", "1000"));
    let strange = moves(&mut story, (alice, Funding), (who("bob"), Funding), USDT, "1");
    assert_eq!(strange, Some(Reject::AccountsUnrelated));
    for amount in ["0", "-1", "10000000001"] {
        let refused = moves(&mut story, (alice, Funding), (alice, Unified), USDT, amount);
        assert_eq!(refused, Some(Reject::AmountInvalid));
    }
    let view = story.exchange.account(SUB).unwrap();
    assert_eq!(view.main, alice);
}

#[test]
fn what_backs_a_position_cannot_leave() {
    let mut story = story(&[("USDT", "1000"), ("BTC", "1")]);
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    // 5,024.75 of initial margin against 972.5 USDT and a BTC at 98 %
    let most = story.exchange.transferable_amount(who("alice"), COIN);
    let (unified, funding) = ((who("alice"), Wallet::Unified), (who("alice"), Wallet::Funding));
    let more = shown(most.0 + 1);
    assert_eq!(moves(&mut story, unified, funding, COIN, &more), Some(Reject::WithdrawTooLarge));
    let exact = shown(most.0);
    assert_eq!(moves(&mut story, unified, funding, COIN, &exact), None);
    let left = story.exchange.account(who("alice")).unwrap().available.0;
    assert!((0..1_000).contains(&left), "{left}");
    // profit at the mark is margin, but stays
    story.index(BTC, "60000");
    assert_eq!(story.exchange.transferable_amount(who("alice"), USDT), Money(0));
    assert_eq!(moves(&mut story, funding, unified, COIN, &exact), None);
    assert_eq!(shown(story.exchange.transferable_amount(who("alice"), USDT).0), "972.5");
}

#[test]
fn withdrawals_leave_the_funding_wallet_within_the_days_limit() {
    let mut story = story(&[("USDT", "3000000"), ("BTC", "30")]);
    assert_eq!(withdraws(&mut story, "alice", USDT, "1"), Some(Reject::WithdrawTooLarge));
    let (unified, funding) = ((who("alice"), Wallet::Unified), (who("alice"), Wallet::Funding));
    assert_eq!(moves(&mut story, unified, funding, USDT, "3000000"), None);
    assert_eq!(moves(&mut story, unified, funding, COIN, "30"), None);
    assert_eq!(withdraws(&mut story, "alice", USDT, "600000"), None);
    assert_eq!(withdraws(&mut story, "alice", COIN, "8.00000001"), Some(Reject::WithdrawalLimit));
    assert_eq!(withdraws(&mut story, "alice", COIN, "8"), None);
    assert_eq!(withdraws(&mut story, "alice", USDT, "0.01"), Some(Reject::WithdrawalLimit));
    assert_eq!(story.exchange.account(who("alice")).unwrap().withdrawal_room, Money(0));
    assert_eq!(level(&mut story, "alice", AccountLevel::Advanced), None);
    assert_eq!(level(&mut story, "alice", AccountLevel::Advanced), Some(Reject::SettingUnchanged));
    assert_eq!(withdraws(&mut story, "alice", USDT, "1000000"), None);
    assert_eq!(withdraws(&mut story, "alice", USDT, "0.01"), Some(Reject::WithdrawalLimit));
    story.passes(DAY_MS - 1);
    assert_eq!(withdraws(&mut story, "alice", USDT, "0.01"), Some(Reject::WithdrawalLimit));
    story.passes(1);
    assert_eq!(withdraws(&mut story, "alice", USDT, "1400000.01"), Some(Reject::WithdrawTooLarge));
    assert_eq!(withdraws(&mut story, "alice", USDT, "1400000"), None);
    assert_eq!(wallets(&story, who("alice"), USDT), pair("0", "0"));
}

#[test]
fn the_unverified_may_only_close_and_take_out() {
    let mut story = story(&[("USDT", "200000")]);
    story.tell(
        "who   | does | order | qty | price
         maker | sell |       | 1   | 50000
         alice | buy  |       | 1   | 50000
         alice | buy  | open  | 1   | 48000",
    );
    assert_eq!(level(&mut story, "alice", AccountLevel::Unverified), None);
    story.tell(
        "who   | does    | order | qty | price | how    | then
         alice | buy     |       | 1   | 49000 |        | AccountNotVerified
         alice | amend   | open  | 2   |       |        | AccountNotVerified
         alice | amend   | open  |     | 47000 |        | AccountNotVerified
         alice | cancel  | open  |     |       |        | cancelled
         alice | sell    |       | 1   | 51000 | reduce | rests 1 at 51000
         alice | deposit |       | 1   |       |        | AccountNotVerified",
    );
    let (unified, funding) = ((who("alice"), Wallet::Unified), (who("alice"), Wallet::Funding));
    assert_eq!(moves(&mut story, unified, funding, USDT, "120000"), None);
    let supply = AccountAction::Supply { account: who("alice"), coin: USDT, amount: Money(SCALE) };
    assert_eq!(asks(&mut story, supply), Some(Reject::AccountNotVerified));
    for _ in 0..5 {
        assert_eq!(withdraws(&mut story, "alice", USDT, "20000"), None);
        assert_eq!(withdraws(&mut story, "alice", USDT, "0.01"), Some(Reject::WithdrawalLimit));
        story.passes(DAY_MS);
    }
    assert_eq!(
        withdraws(&mut story, "alice", USDT, "0.01"),
        Some(Reject::WithdrawalLimit),
        "100,000 a month"
    );
}

#[test]
fn the_venue_pays_out_no_coin_that_it_does_not_have() {
    // bob wins 1,000 USDT from alice, who has only BTC; the venue holds his 100, its fund and its pool
    let mut genesis = support::many_coins(vec![support::btc()], "0");
    genesis.coins[0].lending.as_mut().unwrap().supplied = Money(0);
    let mut story = Story::of(&genesis, &[("BTC", "1")]);
    story.index(BTC, "50000");
    story.must(Action::Deposit { account: who("bob"), coin: USDT, amount: Money(100 * SCALE) });
    story.tell(
        "who | does | qty | price
         bob | sell | 0.1 | 50000
         alice | buy | 0.1 | 50000",
    );
    story.index(BTC, "40000");
    story.tell("who | does | qty | price\n alice | sell | 0.1 | 40000\n bob | buy | 0.1 | 40000");
    let (unified, funding) = ((who("bob"), Wallet::Unified), (who("bob"), Wallet::Funding));
    assert_eq!(moves(&mut story, unified, funding, USDT, "1000"), None);
    assert_eq!(withdraws(&mut story, "bob", USDT, "100.01"), Some(Reject::CoinShort));
    assert_eq!(withdraws(&mut story, "bob", USDT, "100"), None);
}

#[test]
fn an_account_switches_what_it_uses_as_collateral() {
    let mut story = story(&[("USDT", "100"), ("BTC", "1")]);
    let switch = |coin, enabled| AccountAction::SetCollateral { account: who("alice"), coin, enabled };
    assert_eq!(asks(&mut story, switch(USDT, false)), Some(Reject::CollateralFixed));
    assert_eq!(asks(&mut story, switch(COIN, true)), Some(Reject::SettingUnchanged));
    assert_eq!(asks(&mut story, switch(CoinId(9), true)), Some(Reject::UnknownCoin));
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().margin_balance.0), "49100");
    assert_eq!(asks(&mut story, switch(COIN, false)), None);
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().margin_balance.0), "100");
    assert_eq!(asks(&mut story, switch(COIN, true)), None);
    story.tell("who | does | qty | price\n maker | sell | 0.1 | 50000\n alice | buy | 0.1 | 50000");
    // 502.475 are needed
    assert_eq!(asks(&mut story, switch(COIN, false)), Some(Reject::InsufficientBalance));
}

#[test]
fn the_venue_switches_a_coin_off_for_everybody() {
    let mut story = story(&[("USDT", "100"), ("BTC", "1")]);
    let switch = |coin, enabled| AccountAction::SetVenueCollateral { coin, enabled };
    assert_eq!(asks(&mut story, switch(USDT, false)), Some(Reject::CollateralFixed));
    assert_eq!(asks(&mut story, switch(COIN, true)), Some(Reject::SettingUnchanged));
    story.tell("who | does | qty | price\n maker | sell | 1 | 50000\n alice | buy | 1 | 50000");
    assert_eq!(asks(&mut story, switch(COIN, false)), None);
    let started: Vec<AccountId> = story.happened(|event| match event {
        EventKind::LiquidationStarted { account, .. } => Some(*account),
        _ => None,
    });
    assert!(started.contains(&who("alice")), "{started:?}");
    assert_eq!(shown(story.exchange.account(who("bob")).unwrap().margin_balance.0), "100");
    assert_eq!(asks(&mut story, switch(COIN, true)), None);
    assert_eq!(shown(story.exchange.account(who("bob")).unwrap().margin_balance.0), "49100");
}

#[test]
fn a_collateral_coin_that_loses_its_worth_takes_its_margin_along() {
    let mut story = story(&[("USDT", "100"), ("BTC", "1")]);
    story.must(Action::SetCoinPrice { coin: COIN, price: Price(20_000 * SCALE) });
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().margin_balance.0), "19700");
    // 25 BTC: 10 at 98 %, 10 at 95 %, 5 at 90 % (UTA-1 in our brackets)
    story.must(Action::Deposit { account: who("alice"), coin: COIN, amount: Money(24 * SCALE) });
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().margin_balance.0), "476100");
}

fn extreme() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![0, 1, -1, i64::MAX, i64::MIN, SCALE, SCALE + 1, 1_000_000 * SCALE, 1 << 53])
}

fn wild() -> impl Strategy<Value = AccountAction> {
    let account = || {
        prop::sample::select(vec![0, 1, 4, 5, 100, 999, 1001, 1002, 1003, 2001, u32::MAX]).prop_map(AccountId)
    };
    let coin = || prop::sample::select(vec![0, 1, 2, 3, u16::MAX]).prop_map(CoinId);
    let wallet = || prop::sample::select(Wallet::ALL);
    let money = || extreme().prop_map(Money);
    prop_oneof![
        (account(), account()).prop_map(|(account, main)| AccountAction::CreateSubAccount { account, main }),
        (account(), coin(), money()).prop_map(|(account, coin, amount)| AccountAction::Borrow {
            account,
            coin,
            amount
        }),
        (account(), coin(), money(), any::<bool>()).prop_map(|(account, coin, amount, convert)| {
            AccountAction::Repay { account, coin, amount, convert }
        }),
        (account(), coin(), money()).prop_map(|(account, coin, amount)| AccountAction::Supply {
            account,
            coin,
            amount
        }),
        (account(), coin(), money()).prop_map(|(account, coin, amount)| AccountAction::Redeem {
            account,
            coin,
            amount
        }),
        (account(), account(), coin(), money(), wallet(), wallet()).prop_map(
            |(from, to, coin, amount, from_wallet, to_wallet)| AccountAction::Transfer {
                from,
                to,
                coin,
                amount,
                from_wallet,
                to_wallet,
            }
        ),
        (account(), coin(), any::<bool>())
            .prop_map(|(account, coin, enabled)| AccountAction::SetCollateral { account, coin, enabled }),
        (coin(), any::<bool>())
            .prop_map(|(coin, enabled)| AccountAction::SetVenueCollateral { coin, enabled }),
        (account(), any::<bool>())
            .prop_map(|(account, enabled)| AccountAction::SetAutoRepay { account, enabled }),
        (account(), prop::sample::select(AccountLevel::ALL))
            .prop_map(|(account, level)| AccountAction::SetAccountLevel { account, level }),
    ]
}

#[test]
fn who_is_refused_a_loan_holds_nothing_more_than_before() {
    let mut story = story(&[("USDT", "1000000"), ("BTC", "20")]);
    let (account, coin) = (AccountId(2001), USDT);
    assert_eq!(asks(&mut story, AccountAction::CreateSubAccount { account, main: who("alice") }), None);
    let refused = asks(&mut story, AccountAction::Borrow { account, coin, amount: Money(1) });
    assert_eq!(refused, Some(Reject::InsufficientBalance));
    assert!(story.exchange.coins(account).is_empty());
}

proptest! {
    /// Whatever stands in the fields: a refusal with no effect, or a state in which everything adds up.
    #[test]
    fn extremes_are_refused_without_a_trace_or_handled(steps in prop::collection::vec((wild(), 0_i64..3), 1..40)) {
        let mut story = story(&[("USDT", "1000000"), ("BTC", "20")]);
        let mut now = 0;
        for (action, hours) in steps {
            let before = story.exchange.clone();
            let mut events = Vec::new();
            let command = Command { market_ms: now, wall_us: 0, action: Action::Account(action) };
            prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
            let applied = story.exchange.apply(&command, &mut events).expect("no invariant broke");
            story.exchange.check_invariants().unwrap();
            if applied.reject.is_some() {
                prop_assert!(events.is_empty());
                prop_assert_eq!(untimed(&story.exchange), untimed(&before), "{:?}", action);
            }
            now += hours * 1_800_000;
            let advance = Command { market_ms: now, wall_us: 0, action: Action::AdvanceTime };
            story.exchange.apply(&advance, &mut events).expect("no invariant broke");
            story.exchange.check_invariants().unwrap();
        }
    }

    #[test]
    fn every_record_of_an_account_command_means_what_it_says(action in wild(), at in 0..COMMAND_BYTES, flip in 1_u8..) {
        let command = Command { market_ms: 5, wall_us: 6, action: Action::Account(action) };
        let mut bytes = command.encode();
        bytes[at] ^= flip;
        if let Ok(other) = Command::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
            prop_assert_ne!(other, command);
        }
    }
}

/// Everything one can see of an exchange, but for how often it was asked.
fn untimed(exchange: &Exchange) -> String {
    let accounts = exchange.accounts();
    let coins: Vec<_> = accounts.iter().map(|account| exchange.coins(*account)).collect();
    let views: Vec<_> = accounts.iter().map(|account| exchange.account(*account)).collect();
    let pools: Vec<_> = (0..3).map(|coin| exchange.lending_pool(CoinId(coin))).collect();
    format!("{coins:?} {views:?} {pools:?} {:?}", exchange.conservation())
}
