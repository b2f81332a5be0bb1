//! Makes a short story of a difference: leaves out steps, in ever smaller pieces, as long as the two still part.

use exchange_core::Genesis;

use crate::duel::{replay, Difference};
use crate::stream::Step;

/// The shortest stream found that still shows a difference, and the difference. `steps` must show one.
pub fn shrink(genesis: &Genesis, steps: &[Step]) -> (Vec<Step>, Option<Difference>) {
    // what the exchanges say while they stop is said once, at the end
    let speaker = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut story = steps.to_vec();
    let mut piece = story.len().div_ceil(2).max(1);
    loop {
        let before = story.len();
        drop_pieces(genesis, &mut story, piece);
        if piece > 1 {
            piece = piece.div_ceil(2);
        } else if story.len() == before {
            break;
        }
    }
    std::panic::set_hook(speaker);
    let difference = replay(genesis, &story);
    (story, difference)
}

fn drop_pieces(genesis: &Genesis, story: &mut Vec<Step>, piece: usize) {
    let mut end = story.len();
    while end > 0 {
        let start = end.saturating_sub(piece);
        let mut shorter = story.clone();
        shorter.drain(start..end);
        if let Some(difference) = replay(genesis, &shorter) {
            shorter.retain(|step| step.number <= difference.step);
            *story = shorter;
        }
        end = start.min(story.len());
    }
}

/// The story in words.
pub fn told(story: &[Step], difference: Option<&Difference>) -> String {
    let mut words = String::new();
    for Step { number, command } in story {
        words += &format!("{number:>6} at {:>9} ms: {:?}\n", command.market_ms, command.action);
    }
    if let Some(Difference { step, what }) = difference {
        words += &format!("after step {step}: {what}\n");
    }
    words
}
