//! One owner behind every account of a venue, and prices that stand still: whatever his accounts trade, lend and liquidate among
//! themselves, together they never have more than he paid in. What they would gain, a pool would have paid.
//!
//! `OWNER_SEED=7 cargo test -p exchange-twin --test one_owner -- --nocapture` repeats one seed; `OWNER_SEEDS` and
//! `OWNER_LENGTH` say how many seeds and how many commands each; `OWNER_FROM` the first of them.

use exchange_core::{AccountAction, Action, FIRST_USER_ACCOUNT};
use exchange_twin::duel::Duel;
use exchange_twin::random::Random;
use exchange_twin::state::State;
use exchange_twin::stream::{Step, Stream};
use exchange_twin::world;

/// USD, in `10^-16`: an amount of a coin times its price.
const USD: i128 = 10_000_000_000_000_000;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// What is the market's or the venue's to say.
fn is_not_his(action: &Action, state: &State) -> bool {
    match action {
        Action::SetIndexSource { .. } => state.markets.iter().all(|market| market.index > 0),
        Action::SetCoinPrice { .. } | Action::Market(_) => true,
        Action::Account(action) => {
            matches!(action, AccountAction::SetVenueCollateral { .. } | AccountAction::SetAccountLevel { .. })
        }
        Action::Deposit { account, .. } => account.0 < FIRST_USER_ACCOUNT,
        _ => false,
    }
}

/// What he could take home at the index: every account's worth, but no debt that he could walk away from.
fn worth(state: &State) -> i128 {
    let accounts = state.users().map(|account| {
        let coins = state.coin_ids().map(|coin| {
            let purse = state.purse(account, coin);
            let held = purse.wallet + purse.funding - purse.spot_borrow + state.supplied(account, coin);
            held * state.coin_prices[usize::from(coin.0)]
        });
        let positions = state.slots_of(account).into_iter().map(|key| {
            let (slot, contract) = (state.slot(key), state.contract(key.instrument));
            let profit = contract.value(slot.qty, state.markets[key.instrument].index) - slot.cost;
            profit * state.coin_prices[usize::from(contract.settle.0)]
        });
        (coins.sum::<i128>() + positions.sum::<i128>()).max(0)
    });
    let out = state
        .coin_ids()
        .map(|coin| state.moved[usize::from(coin.0)].1 * state.coin_prices[usize::from(coin.0)]);
    accounts.sum::<i128>() + out.sum::<i128>()
}

/// How much more he has than he paid in, at worst, and when.
fn gained(seed: u64, length: usize) -> (i128, u64, Vec<Step>) {
    let mut random = Random::new(seed);
    let genesis = world::genesis(&mut random);
    let mut duel = Duel::new(&genesis);
    let mut stream = Stream::new(random, duel.twin().state());
    let (mut paid, mut most, mut when, mut steps) = (0, i128::MIN, 0, Vec::new());
    for _ in 0..length {
        let mut step = stream.next(duel.twin().state());
        if is_not_his(&step.command.action, duel.twin().state()) {
            step.command.action = Action::AdvanceTime;
        }
        steps.push(step);
        let is_priceless = duel.twin().state().markets.iter().any(|market| market.index == 0);
        let applied = duel.step(&step).unwrap_or_else(|found| panic!("OWNER_SEED={seed}: {}", found.what));
        stream.note(step.number, applied.order_id);
        let state = duel.twin().state();
        if let (Action::Deposit { coin, amount, .. }, None) = (step.command.action, applied.reject) {
            paid += i128::from(amount.0) * state.coin_prices[usize::from(coin.0)];
        }
        if is_priceless {
            paid = worth(state); // what has its first price now was paid in without one
        }
        let more = worth(state) - paid;
        if more > most {
            (most, when) = (more, step.number);
        }
    }
    (most, when, steps)
}

#[test]
fn one_owner_of_all_accounts_gains_nothing() {
    let length = usize::try_from(number("OWNER_LENGTH", 400)).unwrap();
    let single = std::env::var("OWNER_SEED").is_ok();
    let first = if single { number("OWNER_SEED", 0) } else { number("OWNER_FROM", 1) };
    let count = if single { 1 } else { number("OWNER_SEEDS", 60) };
    for seed in first..first + count {
        let (most, when, steps) = gained(seed, length);
        // what rounding may leave
        if most > USD / 1_000 {
            let steps = steps.iter().filter(|step| step.number <= when);
            for Step { number, command } in steps {
                println!("{number:>6} at {:>9} ms: {:?}", command.market_ms, command.action);
            }
            panic!("OWNER_SEED={seed} OWNER_LENGTH={length}: {} 10^-6 USD gained", most / (USD / 1_000_000));
        }
    }
}
