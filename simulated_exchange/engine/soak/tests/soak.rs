//! Random commands, everything checked after every one. A short run here, ten million in `make soak`.
//!
//! `SOAK_SEED=7 cargo test --release -p exchange-soak -- --nocapture` repeats one seed; `SOAK_COMMANDS` says how many
//! commands in all, `SOAK_FROM` the first seed.

use std::collections::BTreeMap;

use exchange_soak::composer::Composer;
use exchange_soak::entropy::{Drawn, Entropy, Given};
use exchange_soak::run::Run;

/// Commands of one venue.
const LENGTH: u64 = 20_000;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn nothing_breaks_under_random_commands() {
    let single = std::env::var("SOAK_SEED").is_ok();
    let first = if single { number("SOAK_SEED", 0) } else { number("SOAK_FROM", 1) };
    let wanted = if single { LENGTH } else { number("SOAK_COMMANDS", 2 * LENGTH) };
    let (mut commands, mut restarts) = (0, 0);
    let (mut events, mut refusals): (BTreeMap<u8, u64>, BTreeMap<String, u64>) = Default::default();
    for seed in first.. {
        let mut run = Run::new(seed).unwrap_or_else(|error| panic!("SOAK_SEED={seed}: {error}"));
        let mut entropy = Drawn::new(seed);
        while run.tally.commands < LENGTH {
            run.advance(&mut entropy).unwrap_or_else(|error| panic!("SOAK_SEED={seed}: {error}"));
        }
        run.restart().unwrap_or_else(|error| panic!("SOAK_SEED={seed}: {error}"));
        commands += run.tally.commands;
        restarts += run.tally.restarts;
        for (kind, times) in run.tally.events {
            *events.entry(kind).or_default() += times;
        }
        for (reason, times) in run.tally.refusals {
            *refusals.entry(reason).or_default() += times;
        }
        if commands >= wanted {
            break;
        }
    }
    println!("{commands} commands, {restarts} restarts, events {events:?}, refusals {refusals:?}");
    assert!(restarts > 0);
    // Trades, liquidations and take-overs at the least: otherwise the streams say nothing.
    for kind in [8, 14, 15] {
        assert!(events.contains_key(&kind), "no event {kind} in {events:?}");
    }
}

#[test]
fn spent_choices_still_make_commands() {
    let mut entropy = Given(&[200; 40]);
    let mut composer = Composer::new(3);
    assert!(composer.kinds().len() >= 11);
    for _ in 0..100 {
        composer.compose(&mut entropy);
    }
    assert!(entropy.is_spent());
}
