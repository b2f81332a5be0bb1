//! Choices: from a seed for long runs, from given bytes for a fuzzer. Nothing of the exchange.

use exchange_twin::random::Random;

/// Where choices come from.
pub trait Entropy {
    /// The next eight bits; zero once there are no more.
    fn byte(&mut self) -> u8;

    /// True when nothing is left to choose with.
    fn is_spent(&self) -> bool;

    /// The next 64 bits.
    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }
}

/// Choices drawn from a seed, without end.
#[derive(Clone, Debug)]
pub struct Drawn {
    random: Random,
    word: u64,
    left: u32,
}

impl Drawn {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), word: 0, left: 0 }
    }
}

impl Entropy for Drawn {
    fn byte(&mut self) -> u8 {
        if self.left == 0 {
            (self.word, self.left) = (self.random.bits(), 8);
        }
        let [low, ..] = self.word.to_le_bytes();
        self.word >>= 8;
        self.left -= 1;
        low
    }

    fn is_spent(&self) -> bool {
        false
    }
}

/// Choices that somebody else made.
#[derive(Clone, Debug)]
pub struct Given<'a>(pub &'a [u8]);

impl Entropy for Given<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}
