//! Key -> position, for what is never forgotten: accounts' purses and slots. Open addressing; a store, no rules.
//!
//! An entry keeps a position and half of its key's hash; whoever looks a key up says whether the thing at a position bears
//! it. Linear probing. Nothing depends on the order it is iterated in, so its layout cannot leak into results.

use exchange_prefetch::prefetch;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const CAPACITY_MIN: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    hash: u32,
    position: u32,
}

const FREE: Entry = Entry { hash: 0, position: u32::MAX };

/// A map from numbers to positions below `u32::MAX`.
#[derive(Clone, Debug)]
pub struct IdMap {
    entries: Vec<Entry>,
    length: usize,
    shift: u32,
}

impl Default for IdMap {
    fn default() -> Self {
        Self::with_capacity(CAPACITY_MIN)
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // the shift leaves 32 bits
fn hash(key: u64) -> u32 {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

impl IdMap {
    fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.next_power_of_two().max(CAPACITY_MIN);
        Self { entries: vec![FREE; capacity], length: 0, shift: 32 - capacity.trailing_zeros() }
    }

    /// Asks for the memory where a key is looked up.
    #[inline]
    pub fn approach(&self, key: u64) {
        let at = (hash(key) >> self.shift) as usize;
        prefetch(&self.entries[at & (self.entries.len() - 1)]);
    }

    /// Position stored for a key; `bears` tells whether the thing at a position has it.
    #[inline]
    pub fn get(&self, key: u64, bears: impl Fn(u32) -> bool) -> Option<u32> {
        let (mask, hash) = (self.entries.len() - 1, hash(key));
        let mut at = (hash >> self.shift) as usize;
        loop {
            let entry = self.entries[at & mask];
            if entry.position == u32::MAX {
                return None;
            }
            if entry.hash == hash && bears(entry.position) {
                return Some(entry.position);
            }
            at += 1;
        }
    }

    /// Stores a position; the key must be new.
    #[inline]
    pub fn insert(&mut self, key: u64, position: u32) {
        self.put(Entry { hash: hash(key), position });
    }

    fn put(&mut self, entry: Entry) {
        if (self.length + 1) * 4 > self.entries.len() * 3 {
            let mut larger = Self::with_capacity(self.entries.len() * 2);
            self.stored().for_each(|entry| larger.put(*entry));
            *self = larger;
        }
        let mask = self.entries.len() - 1;
        let mut at = (entry.hash >> self.shift) as usize;
        while self.entries[at & mask].position != u32::MAX {
            at += 1;
        }
        self.entries[at & mask] = entry;
        self.length += 1;
    }

    fn stored(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.position != u32::MAX)
    }

    /// Every stored position, in no order.
    pub fn values(&self) -> impl Iterator<Item = u32> + '_ {
        self.stored().map(|entry| entry.position)
    }
}

/// Its entries, in no order.
impl Serialize for IdMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.stored().collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Self::default();
        let stored = Vec::<Entry>::deserialize(deserializer)?;
        stored.into_iter().filter(|entry| *entry != FREE).for_each(|entry| map.put(entry));
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn behaves_like_an_ordered_map(keys in prop::collection::vec(0_u64..4000, 0..3000)) {
            let (mut map, mut twin, mut owners) = (IdMap::default(), BTreeMap::new(), Vec::new());
            for key in keys {
                let found = map.get(key, |position| owners[position as usize] == key);
                prop_assert_eq!(found, twin.get(&key).copied());
                if found.is_none() {
                    let position = u32::try_from(owners.len()).unwrap();
                    map.insert(key, position);
                    twin.insert(key, position);
                    owners.push(key);
                }
            }
            for key in 0..4000 {
                let found = map.get(key, |position| owners[position as usize] == key);
                prop_assert_eq!(found, twin.get(&key).copied());
            }
            let mut values: Vec<u32> = map.values().collect();
            values.sort_unstable();
            prop_assert_eq!(values, (0..).take(owners.len()).collect::<Vec<u32>>());
        }
    }
}
