//! One side of a book as a price ladder: which ticks hold orders, and the best of them. Knows no orders' content.
//!
//! Ticks are grouped in pages of 64, kept in one slab; a page is in use only while one of its ticks is occupied, and
//! freed pages are used again. One word per page says which of its ticks are occupied, a summarised bit set which pages
//! are in use. Finding a level is two indexings, finding the next one a few bit scans, at any price up to 2^26 ticks.

use crate::order::NONE;

const PAGE_TICKS: usize = 64;
const NO_PAGE: u32 = u32::MAX;

/// The queue of orders at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Oldest order, or [`NONE`].
    pub head: u32,
    /// Newest order, or [`NONE`].
    pub tail: u32,
    /// Sum of unfilled lots.
    pub lots: i64,
}

const EMPTY_LEVEL: Level = Level { head: NONE, tail: NONE, lots: 0 };

/// An unused page has no bit set and every level empty.
#[derive(Clone, Debug)]
struct Page {
    bits: u64,
    levels: [Level; PAGE_TICKS],
}

/// One side of a book.
#[derive(Clone, Debug)]
pub struct Ladder {
    directory: Vec<u32>,
    pages: Vec<Page>,
    unused: Vec<u32>,
    occupied: BitTree,
    best: Option<usize>,
    highest_is_best: bool,
}

impl Ladder {
    /// An empty side; bids are best when highest.
    pub fn new(highest_is_best: bool) -> Self {
        Self {
            directory: Vec::new(),
            pages: Vec::new(),
            unused: Vec::new(),
            occupied: BitTree::default(),
            best: None,
            highest_is_best,
        }
    }

    /// Best occupied tick.
    #[inline]
    pub fn best(&self) -> Option<usize> {
        self.best
    }

    #[inline]
    fn page(&self, number: usize) -> Option<&Page> {
        let slot = *self.directory.get(number)?;
        self.pages.get(slot as usize)
    }

    /// The level at a tick, empty if there is none.
    #[inline]
    pub fn level(&self, tick: usize) -> Level {
        self.page(tick / PAGE_TICKS).map_or(EMPTY_LEVEL, |page| page.levels[tick % PAGE_TICKS])
    }

    /// Changes the level at a tick; a level whose head is [`NONE`] afterwards is gone and must be empty.
    #[inline]
    pub fn update<R>(&mut self, tick: usize, change: impl FnOnce(&mut Level) -> R) -> R {
        let (number, offset) = (tick / PAGE_TICKS, tick % PAGE_TICKS);
        let slot = match self.directory.get(number) {
            Some(slot) if *slot != NO_PAGE => *slot,
            _ => self.add_page(number),
        };
        let page = &mut self.pages[slot as usize];
        let level = &mut page.levels[offset];
        let before = level.head;
        let result = change(level);
        let after = level.head;
        if after == NONE {
            page.bits &= !(1 << offset);
            if page.bits == 0 {
                self.drop_page(number, slot);
            }
            if self.best == Some(tick) {
                self.best = self.worse_than(tick);
            }
        } else if before == NONE {
            page.bits |= 1 << offset;
            self.appeared(tick);
        }
        result
    }

    /// The next occupied tick beyond `tick`, away from the best.
    #[inline]
    pub fn worse_than(&self, tick: usize) -> Option<usize> {
        let (number, offset) = (tick / PAGE_TICKS, tick % PAGE_TICKS);
        let bits = self.page(number).map_or(0, |page| page.bits);
        let beyond = if self.highest_is_best {
            bits & !(u64::MAX << offset)
        } else {
            bits & (u64::MAX << offset) & !(1 << offset)
        };
        if beyond != 0 {
            return Some(number * PAGE_TICKS + self.best_bit(beyond));
        }
        let number = if self.highest_is_best {
            self.occupied.last_below(number)
        } else {
            self.occupied.first_above(number)
        }?;
        Some(number * PAGE_TICKS + self.best_bit(self.page(number)?.bits))
    }

    #[inline]
    fn best_bit(&self, bits: u64) -> usize {
        if self.highest_is_best {
            63 - bits.leading_zeros() as usize
        } else {
            bits.trailing_zeros() as usize
        }
    }

    /// Occupied ticks from the best on.
    pub fn ticks(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.best, |tick| self.worse_than(*tick))
    }

    #[inline]
    fn appeared(&mut self, tick: usize) {
        let better = match self.best {
            None => true,
            Some(best) if self.highest_is_best => tick > best,
            Some(best) => tick < best,
        };
        if better {
            self.best = Some(tick);
        }
    }

    fn add_page(&mut self, number: usize) -> u32 {
        if number >= self.directory.len() {
            self.directory.resize(number + 1, NO_PAGE);
        }
        let slot = self.unused.pop().unwrap_or_else(|| {
            self.pages.push(Page { bits: 0, levels: [EMPTY_LEVEL; PAGE_TICKS] });
            u32::try_from(self.pages.len() - 1).unwrap_or(NO_PAGE)
        });
        self.directory[number] = slot;
        self.occupied.set(number);
        slot
    }

    fn drop_page(&mut self, number: usize, slot: u32) {
        self.occupied.clear(number);
        self.directory[number] = NO_PAGE;
        self.unused.push(slot);
    }
}

fn first_of(words: &[u64]) -> Option<usize> {
    let (index, word) = words.iter().enumerate().find(|(_, word)| **word != 0)?;
    Some(index * 64 + word.trailing_zeros() as usize)
}

fn last_of(words: &[u64]) -> Option<usize> {
    let (index, word) = words.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
    Some(index * 64 + 63 - word.leading_zeros() as usize)
}

#[inline]
fn first_above(words: &[u64], bit: usize) -> Option<usize> {
    let start = bit + 1;
    let first = start / 64;
    let word = words.get(first)? & (u64::MAX << (start % 64));
    if word != 0 {
        return Some(first * 64 + word.trailing_zeros() as usize);
    }
    first_of(&words[first + 1..]).map(|found| found + (first + 1) * 64)
}

#[inline]
fn last_below(words: &[u64], bit: usize) -> Option<usize> {
    let index = bit / 64;
    let word = words.get(index).map_or(0, |word| word & !(u64::MAX << (bit % 64)));
    if word != 0 {
        return Some(index * 64 + 63 - word.leading_zeros() as usize);
    }
    last_of(&words[..index.min(words.len())])
}

/// A bit set with two levels of summary above the bits.
#[derive(Clone, Debug, Default)]
struct BitTree {
    bits: Vec<u64>,
    summary: Vec<u64>,
}

impl BitTree {
    fn set(&mut self, index: usize) {
        let word = index / 64;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
            self.summary.resize(word / 64 + 1, 0);
        }
        self.bits[word] |= 1 << (index % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    fn clear(&mut self, index: usize) {
        let word = index / 64;
        if let Some(bits) = self.bits.get_mut(word) {
            *bits &= !(1 << (index % 64));
            if *bits == 0 {
                self.summary[word / 64] &= !(1 << (word % 64));
            }
        }
    }

    fn first_above(&self, index: usize) -> Option<usize> {
        let word = index / 64;
        let here =
            self.bits.get(word).map_or(0, |bits| bits & (u64::MAX << (index % 64)) & !(1 << (index % 64)));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let next = first_above(&self.summary, word)?;
        Some(next * 64 + self.bits.get(next)?.trailing_zeros() as usize)
    }

    fn last_below(&self, index: usize) -> Option<usize> {
        let word = index / 64;
        let here = self.bits.get(word).map_or(0, |bits| bits & !(u64::MAX << (index % 64)));
        if here != 0 {
            return Some(word * 64 + 63 - here.leading_zeros() as usize);
        }
        let next = last_below(&self.summary, word)?;
        Some(next * 64 + 63 - self.bits.get(next)?.leading_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn walks_like_an_ordered_set(
            highest in any::<bool>(),
            steps in prop::collection::vec((prop_oneof![0_usize..600, 0_usize..(1 << 26)], any::<bool>()), 0..300),
        ) {
            let (mut ladder, mut twin) = (Ladder::new(highest), BTreeSet::new());
            for (tick, insert) in steps {
                if insert {
                    ladder.update(tick, |level| level.head = 7);
                    twin.insert(tick);
                } else {
                    ladder.update(tick, |level| *level = EMPTY_LEVEL);
                    twin.remove(&tick);
                }
                let mut expected: Vec<usize> = twin.iter().copied().collect();
                if highest { expected.reverse(); }
                prop_assert_eq!(ladder.ticks().collect::<Vec<_>>(), expected);
            }
        }
    }
}
