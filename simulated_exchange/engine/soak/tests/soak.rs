//! Random commands, everything checked after every one. A short run here, ten million in `make soak`.
//!
//! `SOAK_SEED=7 cargo test --release -p exchange-soak -- --nocapture` repeats one seed; `SOAK_COMMANDS` says how many
//! commands in all, `SOAK_FROM` the first seed. One in a hundred of them is for the second model, which is slow: the exchange
//! and its twin go through streams ten times as long as in its own test.

use exchange_soak::composer::Composer;
use exchange_soak::entropy::{Drawn, Entropy, Given};
use exchange_soak::run::{Run, Tally};
use exchange_twin::duel::hunt;
use exchange_twin::shrink::{shrink, told};

/// Commands of one venue.
const LENGTH: u64 = 20_000;
/// Commands of one venue that has a twin.
const TWIN_LENGTH: u64 = 4_000;
/// Of so many commands the twin gets one.
const TWIN_SHARE: u64 = 100;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn nothing_breaks_under_random_commands() {
    let single = std::env::var("SOAK_SEED").is_ok();
    let first = if single { number("SOAK_SEED", 0) } else { number("SOAK_FROM", 1) };
    let wanted = if single { LENGTH } else { number("SOAK_COMMANDS", 2 * LENGTH) };
    let (mut tally, mut judged) = (Tally::default(), [0; 6]);
    for seed in first.. {
        let mut run = Run::new(seed).unwrap_or_else(|error| panic!("SOAK_SEED={seed}: {error}"));
        let mut entropy = Drawn::new(seed);
        while run.tally.commands < LENGTH {
            run.advance(&mut entropy).unwrap_or_else(|error| panic!("SOAK_SEED={seed}: {error}"));
        }
        run.restart().unwrap_or_else(|error| panic!("SOAK_SEED={seed}: {error}"));
        tally.add(std::mem::take(&mut run.tally));
        let (queues, means) = (&run.observer.queues, &run.observer.means);
        let of_run = [
            queues.judged,
            queues.kept_apart,
            means.takers,
            means.makers,
            means.liquidations,
            means.unjudged,
        ];
        judged.iter_mut().zip(of_run).for_each(|(sum, more)| *sum += more);
        if tally.commands >= wanted {
            break;
        }
    }
    let Tally { commands, restarts, events, refusals, digests } = &tally;
    println!("{commands} commands, {restarts} restarts, events {events:?}, refusals {refusals:?}");
    let [first, apart, takers, makers, liquidations, unjudged] = judged;
    println!(
        "judged: {first} makers first in line, {apart} trades that must not be with oneself, {takers} takers and \
         {makers} makers who could bear what they opened, {liquidations} liquidations that had to be ({unjudged} \
         left open), {digests} refusals that left the state as it was"
    );
    assert!(*restarts > 0);
    // Trades, liquidations and take-overs at the least: otherwise the streams say nothing.
    for kind in [8, 14, 15] {
        assert!(events.contains_key(&kind), "no event {kind} in {events:?}");
    }
    assert!(judged[..5].iter().all(|times| *times > 0) && *digests > 0, "not all was judged");
}

#[test]
fn the_twin_agrees_on_long_streams() {
    let single = std::env::var("SOAK_SEED").is_ok();
    let first = if single { number("SOAK_SEED", 0) } else { number("SOAK_FROM", 1) };
    let mut left = if single { TWIN_LENGTH } else { number("SOAK_COMMANDS", 2 * LENGTH) / TWIN_SHARE };
    for seed in first.. {
        let length = left.min(TWIN_LENGTH);
        let found = hunt(seed, usize::try_from(length).unwrap());
        if found.difference.is_some() {
            let (story, difference) = shrink(&found.start, &found.steps);
            panic!("SOAK_SEED={seed}: the two part\n{}", told(&story, difference.as_ref()));
        }
        left -= length;
        if left == 0 {
            break;
        }
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
