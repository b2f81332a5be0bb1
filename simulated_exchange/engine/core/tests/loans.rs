//! Borrowing, interest, repayment and the lending pools, told as stories in round numbers.
//!
//! The venue of these stories lends 2,000,000 USDT, 100,000 USDC and 20 BTC of its own; BTC stands at 50,000 USD and counts
//! 98 %. An hour costs 0.001 % at an idle pool, 0.011 % at 80 % lent; a tenth of the interest is the venue's. An account may
//! owe 100,000 USDT or USDC, or 5 BTC.

mod support;

use exchange_core::lending::HOUR_MS;
use exchange_core::{
    AccountAction, AccountLevel, Action, CoinId, CoinView, EventKind, Genesis, InstrumentId, MarginMode,
    Money, PoolId, Price, Qty, Reject, RepayReason, Strain, Wallet, FEE_ACCOUNT, LENDING_ACCOUNT, SCALE,
};
use support::{fixed, shown, who, Story, BTC};

const USDT: CoinId = CoinId(0);
const USDC: CoinId = CoinId(1);
const COIN: CoinId = CoinId(2); // BTC itself
const SPOT: InstrumentId = InstrumentId(1);
const MINUTE_MS: i64 = 60_000;

fn genesis() -> Genesis {
    support::many_coins(vec![support::btc(), support::btc_spot()], "1000")
}

/// Everybody has these deposits; the index of BTC stands at 50,000; it is half past the first hour.
fn story(deposits: &[(&str, &str)]) -> Story {
    with(&genesis(), deposits)
}

fn with(genesis: &Genesis, deposits: &[(&str, &str)]) -> Story {
    let mut story = Story::of(genesis, deposits);
    story.index(BTC, "50000");
    story.index(SPOT, "50000");
    story.passes(90 * MINUTE_MS);
    story
}

fn asks(story: &mut Story, action: AccountAction) -> Option<Reject> {
    story.does(Action::Account(action)).reject
}

fn borrows(story: &mut Story, name: &str, coin: CoinId, amount: &str) -> Option<Reject> {
    asks(story, AccountAction::Borrow { account: who(name), coin, amount: Money(fixed(amount)) })
}

fn repays(story: &mut Story, name: &str, coin: CoinId, amount: &str, convert: bool) -> Option<Reject> {
    asks(story, AccountAction::Repay { account: who(name), coin, amount: Money(fixed(amount)), convert })
}

fn moves(story: &mut Story, name: &str, coin: CoinId, amount: &str, into: Wallet) -> Option<Reject> {
    let from_wallet = if into == Wallet::Funding { Wallet::Unified } else { Wallet::Funding };
    let (from, to, amount) = (who(name), who(name), Money(fixed(amount)));
    asks(story, AccountAction::Transfer { from, to, coin, amount, from_wallet, to_wallet: into })
}

fn supplies(story: &mut Story, name: &str, coin: CoinId, amount: &str) -> Option<Reject> {
    assert_eq!(moves(story, name, coin, amount, Wallet::Funding), None);
    asks(story, AccountAction::Supply { account: who(name), coin, amount: Money(fixed(amount)) })
}

fn coin(story: &Story, name: &str, coin: CoinId) -> CoinView {
    story.exchange.coins(who(name)).into_iter().find(|view| view.coin == coin).unwrap_or_default()
}

/// Wallet, and what is owed.
fn stands(story: &Story, name: &str, of: CoinId) -> (String, String) {
    let view = coin(story, name, of);
    (shown(view.wallet_balance.0), shown(view.borrowed.0))
}

fn pair(wallet: &str, owed: &str) -> (String, String) {
    (wallet.into(), owed.into())
}

/// What was taken in the last step: account's place, hours, interest.
fn interest(story: &Story) -> Vec<(i64, String)> {
    story.happened(|event| match event {
        EventKind::InterestCharged { hours, interest, .. } => Some((*hours, shown(interest.0))),
        _ => None,
    })
}

fn repaid(story: &Story) -> Vec<(String, RepayReason)> {
    story.happened(|event| match event {
        EventKind::Repaid { amount, reason, .. } => Some((shown(amount.0), *reason)),
        _ => None,
    })
}

#[test]
fn a_loan_is_cash_that_the_pool_no_longer_has() {
    let mut story = story(&[("USDT", "10000"), ("BTC", "1")]);
    assert_eq!(borrows(&mut story, "alice", USDT, "40000"), None);
    assert_eq!(stands(&story, "alice", USDT), pair("50000", "40000"));
    let view = coin(&story, "alice", USDT);
    assert_eq!((shown(view.equity.0), shown(view.spot_borrowed.0)), pair("10000", "40000"));
    let account = story.exchange.account(who("alice")).unwrap();
    // 10,000 and one BTC at 98 %; a fifth of the loan is held, a twenty-fifth must stay
    assert_eq!(shown(account.margin_balance.0), "59000");
    assert_eq!((shown(account.initial_margin.0), shown(account.maintenance_margin.0)), pair("8000", "1600"));
    assert_eq!((shown(account.available.0), shown(account.borrowed.0)), pair("51000", "40000"));
    assert_eq!((account.initial_rate, account.maintenance_rate), (Some(13_559_322), Some(2_711_864)));
    let pool = story.exchange.lending_pool(USDT).unwrap();
    assert_eq!((shown(pool.assets.0), shown(pool.cash.0)), pair("2000000", "1960000"));
    assert_eq!((shown(pool.loans.0), pool.utilisation), ("40000".into(), SCALE / 50));
    // base, and a fortieth of the way to the kink
    assert_eq!(pool.borrow_rate.0, 10_000_000 + 100_000_000 / 40);
    assert_eq!(pool.supply_rate.0, 12_500_000 / 50 * 9 / 10);
}

#[test]
fn pool_account_tier_and_margin_bound_a_loan() {
    let mut story = story(&[("USDT", "1000000"), ("BTC", "100")]);
    assert_eq!(story.exchange.borrowable_amount(who("alice"), USDT), Money(100_000 * SCALE));
    assert_eq!(borrows(&mut story, "alice", USDT, "100000.01"), Some(Reject::BorrowLimit));
    assert_eq!(borrows(&mut story, "alice", USDT, "100000"), None);
    assert_eq!(borrows(&mut story, "alice", USDT, "0.01"), Some(Reject::BorrowLimit));
    // a VIP may owe half as much again, and the dearer tier holds the whole loan
    let level = AccountLevel::Vip;
    assert_eq!(asks(&mut story, AccountAction::SetAccountLevel { account: who("alice"), level }), None);
    assert_eq!(borrows(&mut story, "alice", USDT, "50000"), None);
    assert_eq!(shown(story.exchange.account(who("alice")).unwrap().initial_margin.0), "75000");
    // 95 % of the pool of USDC
    assert_eq!(borrows(&mut story, "alice", USDC, "95000.01"), Some(Reject::BorrowLimit));
    assert_eq!(borrows(&mut story, "alice", USDC, "95000"), None);
    assert_eq!(borrows(&mut story, "bob", USDC, "1"), Some(Reject::BorrowLimit));
    // five BTC at 20 % need 50,000 USD
    let mut poor = self::story(&[("USDT", "49999")]);
    assert_eq!(borrows(&mut poor, "bob", COIN, "5"), Some(Reject::InsufficientBalance));
    let more = Action::Deposit { account: who("bob"), coin: USDT, amount: Money(5_001 * SCALE) };
    poor.must(more);
    // what the loan itself adds counts 98 % of what it owes
    assert_eq!(borrows(&mut poor, "bob", COIN, "5"), None);
    assert_eq!(shown(poor.exchange.account(who("bob")).unwrap().available.0), "5000");
}

#[test]
fn who_may_not_borrow() {
    let mut story = story(&[("USDT", "1000")]);
    let account = who("alice");
    for amount in ["0", "-1", "10000000001"] {
        assert_eq!(borrows(&mut story, "alice", USDC, amount), Some(Reject::AmountInvalid));
    }
    assert_eq!(borrows(&mut story, "alice", CoinId(3), "1"), Some(Reject::UnknownCoin));
    let level = AccountLevel::Unverified;
    assert_eq!(asks(&mut story, AccountAction::SetAccountLevel { account, level }), None);
    assert_eq!(borrows(&mut story, "alice", USDC, "1"), Some(Reject::AccountNotVerified));
    let mode = MarginMode::Isolated;
    let action = exchange_core::PositionAction::SetMarginMode { account: who("bob"), mode };
    story.must(Action::Position(action));
    assert_eq!(borrows(&mut story, "bob", USDC, "1"), Some(Reject::NoLoansInIsolatedMode));
    let mut unlent = Story::new("0", "1000");
    assert_eq!(borrows(&mut unlent, "alice", USDT, "1"), Some(Reject::CoinNotLent));
}

#[test]
fn fees_and_losses_borrow_by_themselves() {
    // BORROW-1 and BORROW-2: no USDT at all, one BTC behind
    let mut story = story(&[("BTC", "1")]);
    story.tell("who | does | qty | price\n maker | sell | 0.1 | 50000\n alice | buy | 0.1 | 50000");
    // 0.055 % of 5,000
    assert_eq!(stands(&story, "alice", USDT), pair("-2.75", "2.75"));
    assert_eq!(stands(&story, "maker", USDT), pair("-1", "1"));
    story.index(BTC, "49000");
    assert_eq!(stands(&story, "alice", USDT), pair("-2.75", "102.75"));
    let told: Vec<String> = story.happened(|event| match event {
        EventKind::BorrowChanged { borrowed, .. } => Some(shown(borrowed.0)),
        _ => None,
    });
    assert_eq!(told, ["0"], "the maker's profit covers his fee");
    let pool = story.exchange.lending_pool(USDT).unwrap();
    assert_eq!((shown(pool.loans.0), shown(pool.cash.0)), pair("102.75", "2000000"));
    story.index(BTC, "51000");
    assert_eq!(stands(&story, "alice", USDT), pair("-2.75", "0"));
}

#[test]
fn interest_is_taken_once_an_hour_five_minutes_past() {
    let mut story = story(&[("USDT", "10000"), ("BTC", "1")]);
    borrows(&mut story, "alice", USDT, "40000");
    story.passes(34 * MINUTE_MS); // 02:04
    assert_eq!(interest(&story), []);
    story.passes(MINUTE_MS);
    assert_eq!(interest(&story), [(1, "0.5".into())]); // 40,000 x 0.00125 %
    assert_eq!(stands(&story, "alice", USDT), pair("49999.5", "40000"));
    assert_eq!(shown(coin(&story, "alice", USDT).interest_due.0), "0.5");
    for _ in 0..59 {
        story.passes(MINUTE_MS);
        assert_eq!(interest(&story), []);
    }
    story.passes(MINUTE_MS);
    assert_eq!(interest(&story).len(), 1);
    story.passes(0);
    assert_eq!(interest(&story), []);
    // a tenth is the venue's: it goes to the insurance pool of the coin
    assert_eq!(shown(story.fund()), "1000.1");
    let pool = story.exchange.lending_pool(USDT).unwrap();
    assert_eq!(shown(pool.assets.0), "2000000.9");
    assert_eq!(pool.index, 1_000_000_450_000);
    story.passes(3 * HOUR_MS);
    assert_eq!(interest(&story).len(), 3);
}

#[test]
fn a_jump_in_time_charges_every_hour_once() {
    let mut jump = story(&[("USDT", "100000"), ("BTC", "1")]);
    borrows(&mut jump, "alice", USDT, "40000");
    let mut steps = jump.exchange.clone();
    let mut walked = Vec::new();
    jump.passes(500 * HOUR_MS);
    let hours: i64 = interest(&jump).iter().map(|(hours, _)| hours).sum();
    assert_eq!(hours, 500);
    for step in 1..=5_000 {
        let market_ms = 90 * MINUTE_MS + step * HOUR_MS / 10;
        let command = exchange_core::Command { market_ms, wall_us: 0, action: Action::AdvanceTime };
        steps.apply(&command, &mut walked).unwrap();
    }
    let taken = |events: &[exchange_core::Event]| -> Vec<i64> {
        let interest = |event: &exchange_core::Event| match event.kind {
            EventKind::InterestCharged { interest, .. } => Some(interest.0),
            _ => None,
        };
        events.iter().filter_map(interest).collect()
    };
    assert_eq!(taken(&jump.events), taken(&walked));
    // beyond a month the oldest hours are charged in one go
    jump.passes(10_000 * HOUR_MS);
    let charged = interest(&jump);
    assert_eq!(charged.iter().map(|(hours, _)| hours).sum::<i64>(), 10_000);
    assert_eq!((charged[0].0, charged.len()), (10_000 - 744, 745));
}

#[test]
fn time_before_the_first_loan_costs_nothing() {
    let mut story = Story::of(&genesis(), &[("USDT", "10000"), ("BTC", "1")]);
    story.market_ms = 1_700_000_000_000;
    story.index(BTC, "50000");
    assert_eq!(borrows(&mut story, "alice", USDT, "40000"), None);
    story.passes(0);
    assert_eq!(interest(&story), []);
    story.passes(HOUR_MS);
    assert_eq!(interest(&story).len(), 1);
    assert_eq!(repays(&mut story, "alice", USDT, "0", false), None);
    story.passes(1_000 * HOUR_MS);
    assert_eq!(interest(&story), []);
    assert_eq!(borrows(&mut story, "alice", USDT, "40000"), None);
    story.passes(HOUR_MS);
    assert_eq!(interest(&story).len(), 1);
}

#[test]
fn only_unrealised_loss_is_free_and_only_up_to_the_limit() {
    // BORROW-6: 500 owed, 400 of it unrealised, 300 free
    let mut genesis = genesis();
    genesis.coins[0].free_limit = Qty(300 * SCALE);
    genesis.coins[0].lending.as_mut().unwrap().curve.base = 1_000_000_000; // 0.1 % an hour
    let mut story = with(&genesis, &[("BTC", "10")]);
    assert_eq!(borrows(&mut story, "alice", USDT, "100"), None);
    story.tell("who | does | qty | price\n maker | sell | 0.4 | 50000\n alice | buy | 0.4 | 50000");
    // the fee of 11 leaves 89 of the borrowed cash
    assert_eq!(stands(&story, "alice", USDT), pair("89", "100"));
    story.index(BTC, "48777.5"); // -489
    assert_eq!(stands(&story, "alice", USDT), pair("89", "500"));
    let rate = story.exchange.lending_pool(USDT).unwrap().borrow_rate.0;
    story.passes(35 * MINUTE_MS);
    let charged = story.happened(|event| match event {
        EventKind::InterestCharged { account, borrowed, free, rate, interest, .. }
            if *account == who("alice") =>
        {
            Some((shown(borrowed.0), shown(free.0), rate.0, interest.0))
        }
        _ => None,
    });
    assert_eq!(charged, [("500".into(), "300".into(), rate, 200 * rate / 10_000)]);
}

#[test]
fn owing_more_than_the_limit_costs_its_third_power() {
    let mut genesis = genesis();
    genesis.coins[0].user_limit = Qty(100 * SCALE);
    let mut story = with(&genesis, &[("BTC", "1")]);
    story.tell("who | does | qty | price\n maker | sell | 0.1 | 50000\n alice | buy | 0.1 | 50000");
    story.index(BTC, "48827.5"); // 117.25 lost, 2.75 in fees: 120 of 100
    assert_eq!(stands(&story, "alice", USDT), pair("-2.75", "120"));
    let rate = story.exchange.lending_pool(USDT).unwrap().borrow_rate.0;
    story.passes(29 * MINUTE_MS + 59_000);
    assert_eq!((interest(&story), repaid(&story)), (vec![], vec![]));
    // at two o'clock the excess is repaid by force: with BTC, for a fee of 0.1 %
    story.passes(1_000);
    assert_eq!(repaid(&story), [("20".into(), RepayReason::OverLimit)]);
    story.index(BTC, "48627.5"); // another 20
    story.passes(5 * MINUTE_MS);
    let charged = story.happened(|event| match event {
        EventKind::InterestCharged { account, rate, .. } if *account == who("alice") => Some(rate.0),
        _ => None,
    });
    let now = story.exchange.lending_pool(USDT).unwrap().borrow_rate.0;
    assert!(charged[0] > rate && (charged[0] - now * 1_728 / 1_000).abs() < now / 1_000, "{charged:?} {now}");
}

#[test]
fn a_family_shares_its_limit_and_its_level() {
    let mut story = story(&[("BTC", "1")]);
    let (account, main) = (exchange_core::AccountId(2_001), who("alice"));
    assert_eq!(asks(&mut story, AccountAction::CreateSubAccount { account, main }), None);
    let (from, to) = (main, account);
    let amount = Money(fixed("0.5"));
    let (from_wallet, to_wallet) = (Wallet::Unified, Wallet::Unified);
    let gift = AccountAction::Transfer { from, to, coin: COIN, amount, from_wallet, to_wallet };
    assert_eq!(asks(&mut story, gift), None);
    let loan = |amount: i64| AccountAction::Borrow { account, coin: USDC, amount: Money(amount * SCALE) };
    assert_eq!(asks(&mut story, loan(60_000)), None);
    assert_eq!(borrows(&mut story, "alice", USDC, "35000"), None, "the pool's cap");
    assert_eq!(story.exchange.borrowable_amount(main, USDC), Money(0));
    assert_eq!(borrows(&mut story, "alice", USDT, "70000"), None);
    let rest = story.exchange.borrowable_amount(account, USDT);
    assert_eq!(rest, Money(30_000 * SCALE));
    let level = AccountLevel::Pro;
    assert_eq!(
        asks(&mut story, AccountAction::SetAccountLevel { account, level }),
        Some(Reject::IsSubAccount)
    );
    assert_eq!(asks(&mut story, AccountAction::SetAccountLevel { account: main, level }), None);
    assert_eq!(story.exchange.account(account).unwrap().level, level);
    let (account, main) = (exchange_core::AccountId(2_002), account);
    let nested = AccountAction::CreateSubAccount { account, main };
    assert_eq!(asks(&mut story, nested), Some(Reject::IsSubAccount));
    let stranger =
        AccountAction::Transfer { from: who("bob"), to: main, coin: COIN, amount, from_wallet, to_wallet };
    assert_eq!(asks(&mut story, stranger), Some(Reject::AccountsUnrelated));
}

#[test]
fn repaying_by_hand_with_the_coin_itself() {
    let mut story = story(&[("USDT", "10000"), ("BTC", "1")]);
    assert_eq!(repays(&mut story, "alice", USDT, "0", false), Some(Reject::NothingOwed));
    borrows(&mut story, "alice", USDT, "40000");
    assert_eq!(repays(&mut story, "alice", USDT, "-1", false), Some(Reject::AmountInvalid));
    assert_eq!(repays(&mut story, "alice", USDT, "15000", false), None);
    assert_eq!(stands(&story, "alice", USDT), pair("35000", "25000"));
    story.passes(34 * MINUTE_MS); // 02:04:00
    assert_eq!(repays(&mut story, "alice", USDT, "0", false), Some(Reject::RepaymentClosed));
    story.passes(89_999);
    assert_eq!(repays(&mut story, "alice", USDT, "0", false), Some(Reject::RepaymentClosed));
    story.passes(1); // 02:05:30
    assert_eq!(repays(&mut story, "alice", USDT, "0", false), None);
    assert_eq!(coin(&story, "alice", USDT).borrowed, Money(0));
    let pool = story.exchange.lending_pool(USDT).unwrap();
    assert_eq!((pool.loans, pool.cash), (Money(0), pool.assets));
}

#[test]
fn repaying_by_selling_other_coins_in_the_venues_order() {
    let mut story = story(&[("USDT", "100"), ("USDC", "999"), ("BTC", "1")]);
    story.tell("who | does | qty | price\n maker | sell | 0.1 | 50000\n alice | buy | 0.1 | 50000");
    story.index(BTC, "20000"); // 3,000 lost
    let owed = fixed("2902.75");
    assert_eq!(coin(&story, "alice", USDT).borrowed, Money(owed));
    assert_eq!(repays(&mut story, "alice", USDT, "0", false), Some(Reject::InsufficientBalance));
    assert_eq!(repays(&mut story, "alice", USDT, "0", true), None);
    let sold: Vec<(CoinId, String, String, String)> = story.happened(|event| match event {
        EventKind::Converted { sold_coin, sold, fee, bought, .. } => {
            Some((*sold_coin, shown(sold.0), shown(fee.0), shown(bought.0)))
        }
        _ => None,
    });
    // USDC to the last, then BTC at 50,000 for the missing 1,904.749, with 0.1 % on top
    assert_eq!(sold[0], (USDC, "999".into(), "0.999".into(), "998.001".into()));
    assert_eq!((sold[1].0, sold[1].3.as_str()), (COIN, "1904.749"));
    assert_eq!(sold[1].1, "0.03813312");
    assert_eq!(coin(&story, "alice", USDT).borrowed, Money(0));
    assert_eq!(repaid(&story), [("2902.75".into(), RepayReason::Manual)]);
    let fees = story.exchange.coins(FEE_ACCOUNT);
    assert_eq!(shown(fees[1].wallet_balance.0), "0.999");
}

#[test]
fn one_operation_sells_no_more_than_300_000_usd() {
    let mut story = story(&[("BTC", "20")]);
    story.tell("who | does | qty | price\n maker | sell | 10 | 50000\n alice | buy | 10 | 50000");
    story.index(BTC, "15000"); // 350,000 lost
    let owed = coin(&story, "alice", USDT).borrowed.0;
    assert_eq!(repays(&mut story, "alice", USDT, "0", true), None);
    assert_eq!(owed - coin(&story, "alice", USDT).borrowed.0, fixed("299700"));
    assert_eq!(shown(coin(&story, "alice", COIN).wallet_balance.0), "14");
}

#[test]
fn incoming_funds_repay_at_once() {
    let mut story = story(&[("USDT", "10000"), ("BTC", "1")]);
    borrows(&mut story, "alice", USDT, "40000");
    moves(&mut story, "alice", USDT, "10000", Wallet::Funding);
    assert_eq!(stands(&story, "alice", USDT), pair("40000", "40000"));
    story.must(Action::Deposit { account: who("alice"), coin: USDT, amount: Money(3_000 * SCALE) });
    assert_eq!(stands(&story, "alice", USDT), pair("40000", "37000"));
    assert_eq!(moves(&mut story, "alice", USDT, "7000", Wallet::Unified), None);
    assert_eq!(stands(&story, "alice", USDT), pair("40000", "30000"));
}

#[test]
fn who_asked_for_it_repays_at_every_half_hour() {
    let mut story = story(&[("BTC", "1")]);
    let switch = |enabled| AccountAction::SetAutoRepay { account: who("alice"), enabled };
    assert_eq!(asks(&mut story, switch(true)), None);
    assert_eq!(asks(&mut story, switch(true)), Some(Reject::SettingUnchanged));
    borrows(&mut story, "alice", USDT, "1000");
    borrows(&mut story, "bob", USDT, "1000");
    story.passes(29 * MINUTE_MS);
    assert_eq!(repaid(&story), []);
    story.passes(MINUTE_MS); // 02:00
    assert_eq!(repaid(&story), [("1000".into(), RepayReason::Automatic)]);
    assert_eq!(stands(&story, "alice", USDT), pair("0", "0"), "with the cash it borrowed");
    assert_eq!(stands(&story, "bob", USDT), pair("1000", "1000"));
    story.tell("who | does | qty | price\n maker | sell | 0.1 | 50000\n alice | buy | 0.1 | 50000");
    story.passes(30 * MINUTE_MS);
    assert_eq!(repaid(&story).last().map(|row| row.1), Some(RepayReason::Automatic), "by selling BTC");
    assert_eq!(stands(&story, "alice", USDT), pair("0", "0"));
}

#[test]
fn a_pool_that_lent_too_much_calls_in_the_largest_loans_first() {
    let mut genesis = genesis();
    genesis.coins[0].lending.as_mut().unwrap().supplied = Money(1_000 * SCALE);
    let mut story = with(&genesis, &[("BTC", "1")]);
    story.tell(
        "who | does | qty | price
         maker | sell | 0.5 | 50000
         alice | buy  | 0.3 | 50000
         bob   | buy  | 0.2 | 50000",
    );
    // losses need no cash: 8.25 + 600 and 5.5 + 400 are owed to a pool of 1,000
    story.index(BTC, "48000");
    let pool = |story: &Story| story.exchange.lending_pool(USDT).unwrap();
    assert_eq!((shown(pool(&story).loans.0), pool(&story).strain), ("1013.75".into(), Strain::Warning));
    assert_eq!(borrows(&mut story, "carol", USDT, "1"), Some(Reject::BorrowLimit));
    let told: Vec<Strain> = story.happened(|event| match event {
        EventKind::LendingPoolChanged { strain, .. } => Some(*strain),
        _ => None,
    });
    assert_eq!(told, []);
    // at 110 % the largest repays until no more than 95 % is lent
    story.index(BTC, "47700");
    let left = (coin(&story, "alice", USDT).borrowed.0, coin(&story, "bob", USDT).borrowed.0);
    assert_eq!(repaid(&story), [("213.75".into(), RepayReason::PoolStrained)]);
    assert_eq!((shown(left.0), shown(left.1)), pair("484.5", "465.5"));
    assert_eq!((pool(&story).utilisation, pool(&story).strain), (95_000_000, Strain::Warning));
    // ranks are made anew: now bob's is the largest of what is left
    story.index(BTC, "47000");
    let who_paid: Vec<_> = story.happened(|event| match event {
        EventKind::Repaid { account, .. } => Some(*account),
        _ => None,
    });
    assert_eq!(who_paid, [who("alice")]);
    assert!(pool(&story).utilisation <= 95_000_000);
}

#[test]
fn suppliers_earn_what_borrowers_pay() {
    let mut genesis = genesis();
    genesis.coins[1].lending.as_mut().unwrap().supplied = Money(0);
    let mut story = with(&genesis, &[("USDC", "100000"), ("BTC", "10")]);
    assert_eq!(supplies(&mut story, "bob", USDC, "60000"), None);
    assert_eq!(supplies(&mut story, "carol", USDC, "40000"), None);
    assert_eq!(borrows(&mut story, "alice", USDC, "80000"), None);
    story.passes(35 * MINUTE_MS);
    // 80,000 at the kink: 0.011 %, a tenth of it the venue's
    assert_eq!(interest(&story), [(1, "8.8".into())]);
    let worth = |story: &Story, name: &str| shown(story.exchange.supplied_amount(who(name), USDC).0);
    assert_eq!((worth(&story, "bob"), worth(&story, "carol")), pair("60004.752", "40003.168"));
    // what is lent cannot be taken out
    let redeem = |name: &str, amount: &str| AccountAction::Redeem {
        account: who(name),
        coin: USDC,
        amount: Money(fixed(amount)),
    };
    assert_eq!(asks(&mut story, redeem("carol", "40003.16800001")), Some(Reject::WithdrawTooLarge));
    assert_eq!(asks(&mut story, redeem("carol", "0")), Some(Reject::PoolShort));
    assert_eq!(asks(&mut story, redeem("carol", "20000")), None);
    assert_eq!(shown(coin(&story, "carol", USDC).funding_balance.0), "20000");
    assert_eq!(worth(&story, "carol"), "20003.16799999", "rounded for those who stay");
    story.passes(MINUTE_MS);
    assert_eq!(repays(&mut story, "alice", USDC, "0", false), None);
    assert_eq!(asks(&mut story, redeem("carol", "0")), None);
    assert_eq!(shown(coin(&story, "carol", USDC).funding_balance.0), "40003.16799999");
    assert_eq!(asks(&mut story, redeem("carol", "0")), Some(Reject::WithdrawTooLarge));
    assert_eq!(asks(&mut story, redeem("bob", "0")), None);
    let pool = story.exchange.lending_pool(USDC).unwrap();
    assert_eq!((pool.assets, pool.index), (Money(0), 1_000_000_000_000));
}

#[test]
fn supplying_needs_money_in_the_funding_wallet() {
    let mut story = story(&[("USDT", "1000")]);
    let supply =
        |amount: i64| AccountAction::Supply { account: who("bob"), coin: USDT, amount: Money(amount) };
    assert_eq!(asks(&mut story, supply(SCALE)), Some(Reject::WithdrawTooLarge));
    assert_eq!(moves(&mut story, "bob", USDT, "10", Wallet::Funding), None);
    assert_eq!(asks(&mut story, supply(0)), Some(Reject::AmountInvalid));
    assert_eq!(asks(&mut story, supply(11 * SCALE)), Some(Reject::WithdrawTooLarge));
    assert_eq!(asks(&mut story, supply(10 * SCALE)), None);
    assert_eq!(shown(story.exchange.supplied_amount(who("bob"), USDT).0), "10");
    assert_eq!(shown(story.exchange.supplied_amount(LENDING_ACCOUNT, USDT).0), "2000000");
}

#[test]
fn a_borrower_without_positions_is_sold_out_when_his_collateral_falls() {
    let mut story = story(&[("BTC", "1")]);
    assert_eq!(borrows(&mut story, "alice", USDT, "100000"), None);
    // he buys BTC with it: three BTC against 100,000
    story.tell("who | does | qty | price | in\n maker | sell | 1 | 50000 | BTC/USDT\n seller | sell | 1 | 50000 | BTC/USDT\n alice | buy | 2 | 50000 | BTC/USDT");
    assert_eq!(stands(&story, "alice", USDT), pair("0", "100000"));
    let sells = |story: &mut Story, price: i64| {
        story.must(Action::SetCoinPrice { coin: COIN, price: Price(price * SCALE) });
    };
    sells(&mut story, 36_000); // 105,840 less 100,000 covers 4,000
    assert_eq!(
        story.happened(|event| matches!(event, EventKind::LiquidationStarted { .. }).then_some(())),
        []
    );
    sells(&mut story, 35_300);
    let started = story.happened(|event| match event {
        EventKind::LiquidationStarted { account, .. } => Some(*account),
        _ => None,
    });
    assert_eq!(started, [who("alice")]);
    assert_eq!(coin(&story, "alice", USDT).borrowed, Money(0));
    assert!(repaid(&story).contains(&("100000".into(), RepayReason::Liquidation)));
    // three BTC less the fee of the buy, less 100,000 / 35,300 and 0.1 %
    assert!(coin(&story, "alice", COIN).wallet_balance.0 > fixed("0.16"));
}

#[test]
fn a_debt_beyond_all_collateral_is_the_insurance_pools() {
    let mut story = story(&[("BTC", "1")]);
    borrows(&mut story, "alice", USDT, "100000");
    story.tell("who | does | qty | price | in\n maker | sell | 1 | 50000 | BTC/USDT\n seller | sell | 1 | 50000 | BTC/USDT\n alice | buy | 2 | 50000 | BTC/USDT");
    let before = story.fund();
    story.must(Action::SetCoinPrice { coin: COIN, price: Price(33_000 * SCALE) }); // 98,934 for 100,000
    let owed = coin(&story, "alice", USDT).borrowed.0;
    assert_eq!(story.fund() - before, -fixed("1000"), "all that the pool has");
    assert!(owed > 0 && owed < fixed("200"), "{owed}");
    // nobody is bothered again until money comes in
    story.must(Action::SetCoinPrice { coin: COIN, price: Price(32_000 * SCALE) });
    assert_eq!(
        story.happened(|event| matches!(event, EventKind::LiquidationStarted { .. }).then_some(())),
        []
    );
    story.must(Action::Deposit { account: who("alice"), coin: USDT, amount: Money(SCALE * 500) });
    assert_eq!(coin(&story, "alice", USDT).borrowed, Money(0));
    assert_eq!(story.exchange.insurance_pool(PoolId(0)), Some(Money(0)));
}

#[test]
fn who_has_nothing_left_is_charged_no_further() {
    let mut genesis = genesis();
    genesis.coins[0] = exchange_core::CoinSpec {
        lending: support::lending(10_000_000),
        ..support::lent(exchange_core::CoinSpec::par("USDT"), 10_000_000)
    };
    let mut story = with(&genesis, &[("BTC", "500")]);
    assert_eq!(borrows(&mut story, "alice", USDT, "5000000"), None);
    story.tell("who | does | qty | price | in\n maker | sell | 100 | 50000 | BTC/USDT\n alice | buy | 100 | 50000 | BTC/USDT");
    assert_eq!(stands(&story, "alice", USDT), pair("0", "5000000"));
    // without a limit of his own every hour costs the whole loan, and no round repays more than 300,000 USD
    let level = AccountLevel::Unverified;
    assert_eq!(asks(&mut story, AccountAction::SetAccountLevel { account: who("alice"), level }), None);
    story.passes(35 * MINUTE_MS);
    assert_eq!(interest(&story), [(1, "4700300".into())]);
    story.passes(2_000 * HOUR_MS);
    assert_eq!(interest(&story).iter().map(|row| row.0).collect::<Vec<_>>(), [1_256]);
}
