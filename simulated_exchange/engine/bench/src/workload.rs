//! Streams of instructions as a busy book sees them, made from a seed. No clock, no I/O.
//!
//! - `W1`: one instrument, 1,000 resting orders, 1,000 users; four in five instructions move an order.
//! - `W2`: the same mix over 100 instruments of Pareto-distributed weight, 10,000 resting orders and users.
//! - `W3`: one instrument, 2,000 resting orders; half rest, two fifths cancel, one tenth takes.
//!
//! Feedback holds each book near its target: a side below it gets new orders, a side above it gets takers.
//! Prices are in ticks, quantities in lots.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "every random number here is drawn from a range that fits"
)]

use std::collections::HashMap;

use crate::reference::Reference;

pub(crate) const START_PRICE: i64 = 50_000;
const PRICE_DEVIATION: f64 = 2_500.0;
const PRICE_MIN: i64 = START_PRICE - 12_500;
/// Lowest price of a resting order, far below the range that the last price keeps to.
const PRICE_FLOOR: i64 = 2;
const PRICE_MAX: i64 = START_PRICE + 12_500;
const SEED: u64 = 0x5eed_0f51_1b57_ea11;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Side {
    Buy = 0,
    Sell = 1,
}

impl Side {
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// Smaller is better, whichever the side.
    pub(crate) fn rank(self, price: i64) -> i64 {
        match self {
            Self::Buy => -price,
            Self::Sell => price,
        }
    }

    pub(crate) fn price_of(self, rank: i64) -> i64 {
        self.rank(rank)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Action {
    /// A limit order that stays until cancelled.
    Rest = 0,
    /// A limit order at the far end of the price range, immediate or cancelled.
    Take = 1,
    Cancel = 2,
    /// A new price for a resting order.
    Move = 3,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Instruction {
    pub(crate) action: Action,
    pub(crate) side: Side,
    pub(crate) instrument: u16,
    pub(crate) user: u32,
    /// Dense, in the order of placing, from 1.
    pub(crate) id: u64,
    pub(crate) price: i64,
    pub(crate) qty: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    W1,
    W2,
    W3,
}

pub(crate) struct Workload {
    pub(crate) instruments: usize,
    pub(crate) users: u32,
    /// Fills the books; not timed.
    pub(crate) fill: Vec<Instruction>,
    /// What is timed.
    pub(crate) stream: Vec<Instruction>,
}

impl Name {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::W1, Self::W2, Self::W3].into_iter().find(|name| format!("{name:?}") == text)
    }
}

/// Makes the stream of `name` with `commands` timed instructions. The same for the same arguments.
pub(crate) fn generate(name: Name, commands: usize) -> Workload {
    let (instruments, resting, users) = match name {
        Name::W1 => (1, 1_000, 1_000),
        Name::W2 => (100, 10_000, 10_000),
        Name::W3 => (1, 2_000, 1_000),
    };
    let mut generator = Generator::new(name, instruments, resting, users);
    let fill = generator.fill();
    let stream = (0..commands).map(|_| generator.next_instruction()).collect();
    Workload { instruments, users, fill, stream }
}

struct Generator {
    name: Name,
    random: Random,
    users: u32,
    book: Reference,
    /// Cumulative share of each instrument, up to 1.
    shares: Vec<f64>,
    /// Orders wanted on each side.
    targets: Vec<usize>,
    /// Live orders by instrument, to pick one at random.
    live: Vec<Vec<u64>>,
    places: HashMap<u64, (usize, Instruction)>,
    /// Leans against a price that has run to the end of its range.
    lean: Vec<i64>,
    next_id: u64,
}

impl Generator {
    fn new(name: Name, instruments: usize, resting: usize, users: u32) -> Self {
        let mut random = Random(SEED);
        let weights: Vec<f64> = (0..instruments).map(|_| (1.0 - random.unit()).powf(-1.0 / 1.5)).collect();
        let total: f64 = weights.iter().sum();
        let half = resting as f64 / 2.0;
        let targets = weights.iter().map(|weight| ((weight / total) * half).max(2.0) as usize).collect();
        let shares = weights
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight / total;
                Some(*sum)
            })
            .collect();
        Self {
            name,
            random,
            users,
            book: Reference::new(instruments, START_PRICE),
            shares,
            targets,
            live: vec![Vec::new(); instruments],
            places: HashMap::new(),
            lean: vec![0; instruments],
            next_id: 1,
        }
    }

    fn fill(&mut self) -> Vec<Instruction> {
        let mut instruments: Vec<usize> = Vec::new();
        for (instrument, &target) in self.targets.iter().enumerate() {
            instruments.extend(std::iter::repeat_n(instrument, target * 2));
        }
        for at in (1..instruments.len()).rev() {
            let other = self.random.below(at as u64 + 1) as usize;
            instruments.swap(at, other);
        }
        instruments
            .into_iter()
            .map(|instrument| {
                let side = self.side(instrument);
                let instruction = self.rest(instrument, side);
                self.take_note(instruction)
            })
            .collect()
    }

    fn next_instruction(&mut self) -> Instruction {
        let share = self.random.unit();
        let instrument = self.shares.partition_point(|&sum| sum <= share).min(self.shares.len() - 1);
        let side = self.side(instrument);
        let is_growing = self.book.orders(instrument, side) < self.targets[instrument];
        let instruction = match self.name {
            Name::W1 | Name::W2 => self.moving_mix(instrument, side, is_growing),
            Name::W3 => self.churning_mix(instrument, side, is_growing),
        };
        self.take_note(instruction)
    }

    fn moving_mix(&mut self, instrument: usize, side: Side, is_growing: bool) -> Instruction {
        let roll = self.random.below(if is_growing { 10 } else { 40 });
        match roll {
            0 | 1 if is_growing => self.rest(instrument, side),
            0 | 1 => self.take(instrument, side),
            _ if self.live[instrument].is_empty() => self.rest(instrument, side),
            2 => self.cancel(instrument),
            _ => self.shift(instrument),
        }
    }

    fn churning_mix(&mut self, instrument: usize, side: Side, is_growing: bool) -> Instruction {
        let roll = self.random.below(100);
        let rest_below = if is_growing { 62 } else { 50 };
        match roll {
            0..10 => self.take(instrument, side),
            _ if roll < rest_below || self.live[instrument].is_empty() => self.rest(instrument, side),
            _ => self.cancel(instrument),
        }
    }

    fn side(&mut self, instrument: usize) -> Side {
        if self.random.below(4) as i64 + self.lean[instrument] >= 2 { Side::Buy } else { Side::Sell }
    }

    fn qty(&mut self) -> i64 {
        1 + (self.random.below(6) * self.random.below(6) * self.random.below(6)) as i64
    }

    fn place(&mut self, action: Action, instrument: usize, side: Side, price: i64) -> Instruction {
        let instruction = Instruction {
            action,
            side,
            instrument: instrument as u16,
            user: self.random.below(u64::from(self.users)) as u32,
            id: self.next_id,
            price,
            qty: self.qty(),
        };
        self.next_id += 1;
        instruction
    }

    fn rest(&mut self, instrument: usize, side: Side) -> Instruction {
        // Mostly near the last price, on the order's own side of it.
        let width = 1.0 + self.random.unit().powi(2) * PRICE_DEVIATION;
        let mean = (0..4).map(|_| self.random.unit()).sum::<f64>() / 4.0;
        let distance = ((mean * 2.0 - 1.0).abs() * width) as i64;
        let last = self.book.last_price(instrument);
        let price = if side == Side::Buy { last - distance } else { last + distance };
        self.place(Action::Rest, instrument, side, price.clamp(PRICE_FLOOR, PRICE_MAX))
    }

    fn take(&mut self, instrument: usize, side: Side) -> Instruction {
        let price = if side == Side::Buy { PRICE_MAX } else { PRICE_MIN };
        self.place(Action::Take, instrument, side, price)
    }

    fn cancel(&mut self, instrument: usize) -> Instruction {
        let placed = self.pick(instrument);
        Instruction { action: Action::Cancel, price: 0, qty: 0, ..placed }
    }

    /// One hundredth of the way towards the last price, at least one tick.
    fn shift(&mut self, instrument: usize) -> Instruction {
        let placed = self.pick(instrument);
        let gap = self.book.last_price(instrument) - placed.price;
        let step = match gap {
            0 => self.random.below(2) as i64 * 2 - 1,
            _ => (gap.abs() / 100).max(1) * gap.signum(),
        };
        Instruction {
            action: Action::Move,
            price: (placed.price + step).clamp(2, PRICE_MAX),
            qty: 0,
            ..placed
        }
    }

    fn pick(&mut self, instrument: usize) -> Instruction {
        let live = &self.live[instrument];
        let id = live[self.random.below(live.len() as u64) as usize];
        let (_, placed) = self.places[&id];
        let (price, qty) = self.book.live(id).expect("live orders are in the book");
        Instruction { price, qty, ..placed }
    }

    /// Applies the instruction to the generator's own book, so that the next one fits.
    fn take_note(&mut self, instruction: Instruction) -> Instruction {
        let instrument = usize::from(instruction.instrument);
        let live = &mut self.live[instrument];
        let places = &mut self.places;
        if instruction.action == Action::Rest {
            places.insert(instruction.id, (live.len(), instruction));
            live.push(instruction.id);
        }
        self.book.apply(&instruction, &mut |id| {
            let Some((at, _)) = places.remove(&id) else { return };
            live.swap_remove(at);
            if let Some(moved) = live.get(at) {
                places.entry(*moved).and_modify(|(place, _)| *place = at);
            }
        });
        let last = self.book.last_price(instrument);
        if last <= PRICE_MIN {
            self.lean[instrument] = 1;
        } else if last >= PRICE_MAX {
            self.lean[instrument] = -1;
        }
        instruction
    }
}

/// `SplitMix64`: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
