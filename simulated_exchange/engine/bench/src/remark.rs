//! A mark price moves while many positions are open on its instrument: every one of them gets its margin anew.
//! Beside it a bare pass over arrays of the same shape, which only brings profits up to date.

use std::hint::black_box;
use std::time::{Duration, Instant};

use exchange_core::{EventKind, footprint};

use crate::commands::{TICK, index_at, pair, priced};
use crate::exchange::Run;
use crate::workload::START_PRICE;

/// The index goes up and down by this, in ticks.
const STEP: i64 = 100;

/// An array with the stride of one of the exchange's, as words.
struct Rows {
    words: Vec<i64>,
    stride: usize,
}

impl Rows {
    fn new(count: usize, bytes: usize) -> Self {
        let stride = bytes / size_of::<i64>();
        Self { words: vec![0; count * stride], stride }
    }

    #[inline]
    fn row(&mut self, at: usize) -> &mut [i64] {
        &mut self.words[at * self.stride..][..self.stride]
    }
}

/// Positions and their owners, with nothing about them but profits.
struct Bare {
    /// Lots, cost, profit.
    slots: Rows,
    /// Sums of profits.
    owners: Vec<Rows>,
    count: usize,
}

impl Bare {
    fn new(count: u32) -> Self {
        let rows = count as usize;
        let mut slots = Rows::new(rows, footprint::SLOT_BYTES);
        for at in 0..count {
            let lots = lots_of(at) * if at % 2 == 0 { 1 } else { -1 };
            slots.row(at as usize)[..2].copy_from_slice(&[lots, lots * START_PRICE]);
        }
        let owners = footprint::OWNER_BYTES.map(|bytes| Rows::new(rows, bytes)).into();
        Self { slots, owners, count: rows }
    }

    fn pass(&mut self, mark: i64) {
        for at in 0..self.count {
            let slot = self.slots.row(at);
            let profit = slot[0] * mark - slot[1];
            let change = profit - slot[2];
            slot[2] = profit;
            for owner in &mut self.owners {
                owner.row(at)[0] += change;
            }
        }
    }
}

/// Lots of an account's position; the same for both accounts of a pair.
fn lots_of(account: u32) -> i64 {
    1 + i64::from(account / 2 % 50)
}

/// Times of so many price changes with so many positions open, and of as many bare passes, taking turns.
pub(crate) fn compare(positions: u32, rounds: usize) -> (Vec<Duration>, Vec<Duration>) {
    let mut run = Run::empty(1);
    let trades = (0..positions).step_by(2).flat_map(|first| pair(first, lots_of(first)));
    run.apply(priced(1).chain(trades), Run::forget);
    let mut bare = Bare::new(positions);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let ticks = START_PRICE + if round % 2 == 0 { STEP } else { -STEP };
        let remarked = moved(&mut run, ticks);
        let start = Instant::now();
        bare.pass(black_box(ticks));
        let passed = start.elapsed();
        black_box(&bare.owners[0].words);
        // the first round warms up
        if round > 0 {
            ours.push(remarked);
            theirs.push(passed);
        }
    }
    run.check();
    (ours, theirs)
}

fn moved(run: &mut Run, ticks: i64) -> Duration {
    run.events.clear();
    let start = Instant::now();
    let applied = run.exchange.apply_to(&index_at(0, ticks), &mut run.events);
    let elapsed = start.elapsed();
    assert!(applied.is_ok_and(|applied| applied.reject.is_none()), "a price is never refused");
    let is_told = |kind| matches!(kind, EventKind::PriceChanged { mark, .. } if mark.0 == ticks * TICK);
    assert!(run.events.iter().any(|event| is_told(event.kind)), "the mark must go to {ticks} ticks");
    elapsed
}
