//! One side of a book as a price ladder: which ticks hold orders, and the best of them. Knows no orders' content.
//!
//! A tree of fan-out 64: a page holds the levels of 64 neighbouring ticks, a chunk says which ticks of its 64 pages are
//! occupied, a bit set says which chunks are in use. Pages and chunks live in slabs while something in them is occupied,
//! and are used again afterwards, so that memory follows the occupied prices, wherever they lie below 2^26 ticks. To
//! find out whether a tick is occupied takes one word of a chunk; the level itself is touched only where it counts.

use exchange_prefetch::prefetch;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::order::NONE;

const FAN_OUT: usize = 64;
const NOWHERE: u32 = u32::MAX;
/// Highest tick.
const TICK_MAX: usize = 1 << 26;

/// The queue of orders at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Oldest order, or [`NONE`].
    pub head: u32,
    /// Newest order, or [`NONE`].
    pub tail: u32,
    /// Sum of unfilled lots.
    pub lots: i64,
}

/// What a price without orders looks like.
pub const EMPTY_LEVEL: Level = Level { head: NONE, tail: NONE, lots: 0 };

/// Levels of neighbouring ticks; those whose bit is not set hold leftovers.
type Page = [Level; FAN_OUT];

/// Where a page's levels are and which of them are occupied: no bits, no page.
#[derive(Clone, Copy, Debug)]
struct PageEntry {
    bits: u64,
    page: u32,
}

/// The pages of neighbouring ticks. An unused chunk has no bit set anywhere.
#[derive(Clone, Debug)]
struct Chunk {
    used: u64,
    pages: [PageEntry; FAN_OUT],
}

const EMPTY_CHUNK: Chunk = Chunk { used: 0, pages: [PageEntry { bits: 0, page: NOWHERE }; FAN_OUT] };

/// One side of a book.
#[derive(Clone, Debug)]
pub struct Ladder {
    directory: Vec<u32>,
    chunks: Vec<Chunk>,
    unused_chunks: Vec<u32>,
    pages: Vec<Page>,
    unused_pages: Vec<u32>,
    /// One bit for each chunk in use.
    used_chunks: Vec<u64>,
    best: Option<usize>,
    highest_is_best: bool,
}

/// Numbers of a tick's chunk, of its page in the chunk, of its level in the page.
#[inline]
fn path(tick: usize) -> (usize, usize, usize) {
    (tick / (FAN_OUT * FAN_OUT), tick / FAN_OUT % FAN_OUT, tick % FAN_OUT)
}

impl Ladder {
    /// An empty side; bids are best when highest.
    pub fn new(highest_is_best: bool) -> Self {
        Self {
            directory: Vec::new(),
            chunks: Vec::new(),
            unused_chunks: Vec::new(),
            pages: Vec::new(),
            unused_pages: Vec::new(),
            used_chunks: Vec::new(),
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
    fn chunk(&self, number: usize) -> Option<&Chunk> {
        self.chunks.get(*self.directory.get(number)? as usize)
    }

    /// Asks for what says where the level at a tick is.
    #[inline]
    pub fn approach_entry(&self, tick: usize) {
        let (number, page, _) = path(tick);
        if let Some(chunk) = self.chunk(number) {
            prefetch(&chunk.pages[page]);
        }
    }

    /// Asks for the level at a tick, or for where one may come.
    #[inline]
    pub fn approach_level(&self, tick: usize) {
        let (number, page, offset) = path(tick);
        let entry = self.chunk(number).map(|chunk| chunk.pages[page]);
        if let Some(page) = entry.and_then(|entry| self.pages.get(entry.page as usize)) {
            prefetch(&page[offset]);
        }
    }

    /// The level at a tick, empty if there is none.
    #[inline]
    pub fn level(&self, tick: usize) -> Level {
        let (number, page, offset) = path(tick);
        match self.chunk(number).map(|chunk| chunk.pages[page]) {
            Some(entry) if entry.bits >> offset & 1 == 1 => self.pages[entry.page as usize][offset],
            _ => EMPTY_LEVEL,
        }
    }

    /// The level at an occupied tick, to change; its head must stay an order.
    #[inline]
    pub fn level_mut(&mut self, tick: usize) -> Option<&mut Level> {
        let (number, page, offset) = path(tick);
        let chunk = self.chunks.get(*self.directory.get(number)? as usize)?;
        let entry = chunk.pages[page];
        if entry.bits >> offset & 1 == 0 {
            return None;
        }
        self.pages.get_mut(entry.page as usize).map(|page| &mut page[offset])
    }

    /// The level at a tick and whether it was occupied before; one that was not is to be written.
    #[inline]
    pub fn occupy(&mut self, tick: usize) -> (&mut Level, bool) {
        let (number, page, offset) = path(tick);
        let slot = match self.directory.get(number) {
            Some(slot) if *slot != NOWHERE => *slot,
            _ => self.add_chunk(number),
        };
        let chunk = &mut self.chunks[slot as usize];
        let entry = &mut chunk.pages[page];
        let was_occupied = entry.bits >> offset & 1 == 1;
        if !was_occupied {
            if entry.bits == 0 {
                chunk.used |= 1 << page;
                entry.page = take_page(&mut self.pages, &mut self.unused_pages);
            }
            entry.bits |= 1 << offset;
            let is_better = self.best.is_none_or(|best| (tick > best) == self.highest_is_best);
            if is_better {
                self.best = Some(tick);
            }
        }
        let home = entry.page;
        (&mut self.pages[home as usize][offset], was_occupied)
    }

    /// Frees an occupied tick.
    #[inline]
    pub fn vacate(&mut self, tick: usize) {
        let (number, page, offset) = path(tick);
        let Some(&slot) = self.directory.get(number) else { return };
        let Some(chunk) = self.chunks.get_mut(slot as usize) else { return };
        let entry = &mut chunk.pages[page];
        entry.bits &= !(1 << offset);
        if entry.bits == 0 {
            chunk.used &= !(1 << page);
            self.unused_pages.push(std::mem::replace(&mut entry.page, NOWHERE));
            if chunk.used == 0 {
                self.used_chunks[number / 64] &= !(1 << (number % 64));
                self.directory[number] = NOWHERE;
                self.unused_chunks.push(slot);
            }
        }
        if self.best == Some(tick) {
            self.best = self.worse_than(tick);
        }
    }

    /// The next occupied tick beyond `tick`, away from the best.
    #[inline]
    pub fn worse_than(&self, tick: usize) -> Option<usize> {
        let (number, page, offset) = path(tick);
        if let Some(chunk) = self.chunk(number) {
            let bits = self.beyond(chunk.pages[page].bits, offset);
            if bits != 0 {
                return Some(tick - offset + self.best_bit(bits));
            }
            let used = self.beyond(chunk.used, page);
            if used != 0 {
                return Some(self.best_in(number, chunk, used));
            }
        }
        let number = if self.highest_is_best {
            last_below(&self.used_chunks, number)
        } else {
            first_above(&self.used_chunks, number)
        }?;
        let chunk = self.chunk(number)?;
        Some(self.best_in(number, chunk, chunk.used))
    }

    /// Best occupied tick of a chunk in the pages of a set that is not empty.
    #[inline]
    fn best_in(&self, number: usize, chunk: &Chunk, pages: u64) -> usize {
        let page = self.best_bit(pages);
        (number * FAN_OUT + page) * FAN_OUT + self.best_bit(chunk.pages[page].bits)
    }

    /// The bits that are worse than one of them.
    #[inline]
    fn beyond(&self, bits: u64, bit: usize) -> u64 {
        if self.highest_is_best {
            bits & !(u64::MAX << bit)
        } else {
            bits & (u64::MAX - 1) << bit
        }
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

    #[cold]
    fn add_chunk(&mut self, number: usize) -> u32 {
        if number >= self.directory.len() {
            self.directory.resize(number + 1, NOWHERE);
            self.used_chunks.resize(number / 64 + 1, 0);
        }
        let slot = self.unused_chunks.pop().unwrap_or_else(|| {
            self.chunks.push(EMPTY_CHUNK);
            u32::try_from(self.chunks.len() - 1).unwrap_or(NOWHERE)
        });
        self.directory[number] = slot;
        self.used_chunks[number / 64] |= 1 << (number % 64);
        slot
    }
}

/// Its occupied levels; where they lie in memory is nobody's business.
impl Serialize for Ladder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let levels: Vec<(usize, Level)> = self.ticks().map(|tick| (tick, self.level(tick))).collect();
        (self.highest_is_best, levels).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ladder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (highest_is_best, levels) = <(bool, Vec<(usize, Level)>)>::deserialize(deserializer)?;
        let mut ladder = Self::new(highest_is_best);
        for (tick, level) in levels {
            if tick > TICK_MAX || level.head == NONE || ladder.level(tick) != EMPTY_LEVEL {
                return Err(D::Error::custom("levels that no ladder has"));
            }
            *ladder.occupy(tick).0 = level;
        }
        Ok(ladder)
    }
}

#[inline]
fn take_page(pages: &mut Vec<Page>, unused: &mut Vec<u32>) -> u32 {
    unused.pop().unwrap_or_else(|| {
        pages.push([EMPTY_LEVEL; FAN_OUT]);
        u32::try_from(pages.len() - 1).unwrap_or(NOWHERE)
    })
}

/// The lowest bit above one, in a set of at most 2^14 bits.
fn first_above(words: &[u64], bit: usize) -> Option<usize> {
    let first = bit / 64;
    let here = *words.get(first)? & (u64::MAX - 1) << (bit % 64);
    let later = words.iter().copied().enumerate().skip(first + 1);
    let (index, word) = std::iter::once((first, here)).chain(later).find(|(_, word)| *word != 0)?;
    Some(index * 64 + word.trailing_zeros() as usize)
}

/// The highest bit below one.
fn last_below(words: &[u64], bit: usize) -> Option<usize> {
    let last = bit / 64;
    let here = words.get(last).map_or(0, |word| word & !(u64::MAX << (bit % 64)));
    let earlier = words.iter().copied().enumerate().take(last).rev();
    let (index, word) = std::iter::once((last, here)).chain(earlier).find(|(_, word)| *word != 0)?;
    Some(index * 64 + 63 - word.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn walks_like_an_ordered_map(
            highest in any::<bool>(),
            steps in prop::collection::vec(
                (prop_oneof![0_usize..600, 0_usize..20_000, 0_usize..(1 << 26)], any::<bool>()),
                0..300,
            ),
        ) {
            let (mut ladder, mut twin) = (Ladder::new(highest), BTreeMap::new());
            for (lots, (tick, insert)) in (1_i64..).zip(steps) {
                if insert {
                    let (level, was_occupied) = ladder.occupy(tick);
                    prop_assert_eq!(was_occupied, twin.contains_key(&tick));
                    *level = Level { head: 7, tail: 7, lots };
                    twin.insert(tick, lots);
                } else if twin.remove(&tick).is_some() {
                    ladder.vacate(tick);
                }
                prop_assert_eq!(ladder.level(tick).lots, twin.get(&tick).copied().unwrap_or(0));
                prop_assert_eq!(ladder.level_mut(tick).is_some(), twin.contains_key(&tick));
                let mut expected: Vec<usize> = twin.keys().copied().collect();
                if highest { expected.reverse(); }
                prop_assert_eq!(ladder.ticks().collect::<Vec<_>>(), expected);
            }
        }
    }
}
