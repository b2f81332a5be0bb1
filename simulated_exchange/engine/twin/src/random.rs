//! Numbers that look random and are the same on every machine for one seed. Nothing of the exchange.

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Between two numbers, both possible.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (i128::from(high) - i128::from(low) + 1).max(1);
        let offset = i128::from(self.bits()).rem_euclid(span);
        i64::try_from(i128::from(low) + offset).unwrap_or(low)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: i64) -> bool {
        self.between(1, 100) <= chance
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: i64) -> bool {
        self.between(1, times) == 1
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let last = i64::try_from(choices.len()).unwrap_or(i64::MAX) - 1;
        choices[usize::try_from(self.between(0, last)).unwrap_or(0)]
    }

    /// One of these, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, choices: &[(i64, T)]) -> T {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.between(1, total);
        for (weight, choice) in choices {
            left -= weight;
            if left <= 0 {
                return *choice;
            }
        }
        choices[0].1
    }

    /// A number between one and the largest, small ones as often as large ones by their order of magnitude.
    pub fn scaled(&mut self, largest: i64) -> i64 {
        let bits = i64::from(64 - largest.max(1).leading_zeros());
        let kept = self.between(1, bits);
        let top = if kept >= 63 { i64::MAX } else { (1 << kept) - 1 };
        self.between(1, top.min(largest.max(1)))
    }
}
