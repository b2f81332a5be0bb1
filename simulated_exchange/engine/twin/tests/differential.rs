//! The core against its twin on random commands: equal refusals, events and state hashes after every command.
//!
//! `TWIN_SEED=7 cargo test -p exchange-twin --test differential -- --nocapture` repeats one seed; `TWIN_SEEDS` and
//! `TWIN_LENGTH` say how many seeds and how many commands each; `TWIN_FROM` the first of them.

use exchange_twin::duel::{hunt, Tally};
use exchange_twin::shrink::{shrink, told};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn the_core_and_its_twin_agree_after_every_command() {
    let length = usize::try_from(number("TWIN_LENGTH", 400)).unwrap();
    let single = std::env::var("TWIN_SEED").is_ok();
    let first = if single { number("TWIN_SEED", 0) } else { number("TWIN_FROM", 1) };
    let count = if single { 1 } else { number("TWIN_SEEDS", 60) };
    let (mut commands, mut tally) = (0, Tally::new());
    for seed in first..first + count {
        let found = hunt(seed, length);
        commands += found.steps.len();
        for (name, times) in &found.tally {
            *tally.entry(name.clone()).or_default() += times;
        }
        if found.difference.is_some() {
            let (story, difference) = shrink(&found.start, &found.steps);
            panic!(
                "TWIN_SEED={seed} TWIN_LENGTH={length}: the two part\n{}",
                told(&story, difference.as_ref())
            );
        }
    }
    println!("seeds {first} to {}: {commands} commands, {tally:#?}", first + count - 1);
}
