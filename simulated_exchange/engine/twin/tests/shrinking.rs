//! A difference must be found, and told in few steps: here the twin is made to believe in another maker fee.

use exchange_core::Action;
use exchange_twin::duel::{hunt_from, Difference, Duel, Hunt};
use exchange_twin::random::Random;
use exchange_twin::shrink::{shrink, told};
use exchange_twin::world;

#[test]
fn a_difference_becomes_a_story_of_a_handful_of_steps() {
    let found = (11..40).map(hunted).find(|found| told_by_a_fill(found.difference.as_ref()));
    let found = found.expect("makers pay more in one of the two, and somewhere they trade");
    let difference = found.difference.expect("it was looked for");
    let (story, shortest) = shrink(&found.start, &found.steps);
    let shortest = shortest.expect("the story still shows it");
    assert!(shortest.what.contains("Fill"), "{shortest:?}");
    assert!(shortest.step <= difference.step);
    // two accounts with money and perhaps a leverage, a price, and two orders that meet
    assert!(story.len() <= 9, "{}", told(&story, Some(&shortest)));
    assert!(story.iter().filter(|step| matches!(step.command.action, Action::PlaceOrder(_))).count() == 2);
}

/// A short stream of this seed between the engine and the mistaken twin.
fn hunted(seed: u64) -> Hunt {
    let mut random = Random::new(seed);
    let genesis = world::genesis(&mut random);
    let mut mistaken = genesis.clone();
    for spec in &mut mistaken.instruments {
        spec.maker_fee += 1_000_000;
    }
    hunt_from(Duel::between(&genesis, &mistaken), random, 400)
}

fn told_by_a_fill(difference: Option<&Difference>) -> bool {
    difference.is_some_and(|found| found.what.contains("Fill"))
}
