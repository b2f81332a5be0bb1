//! Makes a short story of a difference: leaves out steps, in ever smaller pieces, as long as the two still part.

use crate::duel::{replay, Difference, Duel};
use crate::stream::Step;

/// The shortest stream found that still shows a difference, and the difference. `steps` must show one.
pub fn shrink(start: &Duel, steps: &[Step]) -> (Vec<Step>, Option<Difference>) {
    // what the exchanges say while they stop is said once, at the end
    let speaker = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut story = steps.to_vec();
    let mut piece = story.len().div_ceil(2).max(1);
    loop {
        let before = story.len();
        drop_pieces(start, &mut story, piece);
        if piece > 1 {
            piece = piece.div_ceil(2);
        } else if story.len() == before {
            break;
        }
    }
    std::panic::set_hook(speaker);
    let difference = replay(start, &story);
    (story, difference)
}

fn drop_pieces(both: &Duel, story: &mut Vec<Step>, piece: usize) {
    let mut end = story.len();
    while end > 0 {
        let start = end.saturating_sub(piece);
        let mut shorter = story.clone();
        shorter.drain(start..end);
        if let Some(difference) = replay(both, &shorter) {
            shorter.retain(|step| step.number <= difference.step);
            *story = shorter;
        }
        end = start.min(story.len());
    }
}

/// The story in words.
pub fn told(story: &[Step], difference: Option<&Difference>) -> String {
    let step = |Step { number, command }: &Step| {
        format!("{number:>6} at {:>9} ms: {:?}\n", command.market_ms, command.action)
    };
    let end = difference.map(|Difference { step, what }| format!("after step {step}: {what}\n"));
    story.iter().map(step).chain(end).collect()
}
