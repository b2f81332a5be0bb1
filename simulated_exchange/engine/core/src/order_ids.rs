//! Order number -> slab position: open addressing over sequential numbers. A store, no rules.
//!
//! An entry keeps only the low half of a number beside the position; whoever looks a number up says whether the order
//! at a position bears it. Multiplication by the golden ratio spreads successive numbers evenly, so that they hardly meet.
//! Linear probing with backward-shift deletion: no tombstones, so a steady stream of orders never degrades it. It is
//! never iterated, so its layout cannot leak into results.

use exchange_prefetch::prefetch;

const EMPTY: u32 = u32::MAX;
const CAPACITY_MIN: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Entry {
    low: u32,
    position: u32,
}

const FREE: Entry = Entry { low: 0, position: EMPTY };

/// A map from numbers to positions below `u32::MAX`.
#[derive(Clone, Debug)]
pub struct OrderIds {
    entries: Vec<Entry>,
    length: usize,
    /// Leaves as many high bits of a product as there are entries.
    shift: u32,
}

impl Default for OrderIds {
    fn default() -> Self {
        Self::with_capacity(CAPACITY_MIN)
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the low half is taken on purpose
fn low(number: u64) -> u32 {
    number as u32
}

impl OrderIds {
    fn with_capacity(capacity: usize) -> Self {
        Self { entries: vec![FREE; capacity], length: 0, shift: 32 - capacity.trailing_zeros() }
    }

    /// Where a number belongs; depends on its low half only.
    #[inline]
    fn home(&self, low: u32) -> usize {
        (low.wrapping_mul(0x9E37_79B9) >> self.shift) as usize
    }

    /// Asks for the memory where a number is looked up.
    #[inline]
    pub fn approach(&self, number: u64) {
        let mask = self.entries.len() - 1;
        prefetch(&self.entries[self.home(low(number)) & mask]);
    }

    /// Position of a number; `bears` tells whether the order at a position has it.
    #[inline]
    pub fn find(&self, number: u64, bears: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let low = low(number);
        let mut at = self.home(low);
        loop {
            let entry = self.entries[at & mask];
            if entry.position == EMPTY {
                return None;
            }
            if entry.low == low && bears(entry.position) {
                return Some(entry.position);
            }
            at += 1;
        }
    }

    /// Stores a position; the number must be new.
    #[inline]
    pub fn insert(&mut self, number: u64, position: u32) {
        if (self.length + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.put(Entry { low: low(number), position });
        self.length += 1;
    }

    #[inline]
    fn put(&mut self, entry: Entry) {
        let mask = self.entries.len() - 1;
        let mut at = self.home(entry.low);
        while self.entries[at & mask].position != EMPTY {
            at += 1;
        }
        self.entries[at & mask] = entry;
    }

    /// Forgets a number and the position stored for it.
    #[inline]
    pub fn remove(&mut self, number: u64, position: u32) {
        let mask = self.entries.len() - 1;
        let mut hole = self.home(low(number)) & mask;
        while self.entries[hole].position != position {
            if self.entries[hole].position == EMPTY {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.length -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry.position == EMPTY {
                break;
            }
            let distance_to_home = at.wrapping_sub(self.home(entry.low)) & mask;
            let distance_to_hole = at.wrapping_sub(hole) & mask;
            if distance_to_home >= distance_to_hole {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = FREE;
    }

    /// How many numbers are stored.
    pub fn len(&self) -> usize {
        self.length
    }

    /// True without numbers.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::with_capacity(self.entries.len() * 2);
        for entry in self.entries.iter().filter(|entry| entry.position != EMPTY) {
            larger.put(*entry);
        }
        larger.length = self.length;
        *self = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Numbers that share their low half must be told apart.
        #[test]
        fn behaves_like_a_plain_list(
            steps in prop::collection::vec((0_u64..400, 0_u64..3, any::<bool>()), 0..3000),
        ) {
            let (mut ids, mut orders) = (OrderIds::default(), Vec::<u64>::new());
            for (low, high, insert) in steps {
                let number = high << 32 | low;
                let found = ids.find(number, |position| orders[position as usize] == number);
                let expected = orders.iter().position(|order| *order == number);
                prop_assert_eq!(found.map(|position| position as usize), expected);
                match (insert, found) {
                    (true, None) => {
                        ids.insert(number, u32::try_from(orders.len()).unwrap());
                        orders.push(number);
                    }
                    (false, Some(position)) => {
                        ids.remove(number, position);
                        orders[position as usize] = u64::MAX;
                    }
                    _ => {}
                }
                prop_assert_eq!(ids.len(), orders.iter().filter(|order| **order != u64::MAX).count());
            }
        }
    }
}
