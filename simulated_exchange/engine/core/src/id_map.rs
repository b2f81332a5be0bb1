//! Key -> position, for what is never forgotten: accounts' purses and slots. Open addressing; a store, no rules.
//!
//! Linear probing with multiplicative hashing. Nothing depends on the order it is iterated in, so its layout cannot
//! leak into results.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const EMPTY: u64 = 0;
const CAPACITY_MIN: usize = 1024;

/// A map from non-zero numbers to `u32`.
#[derive(Clone, Debug)]
pub struct IdMap {
    entries: Vec<(u64, u32)>,
    length: usize,
    shift: u32,
}

impl Default for IdMap {
    fn default() -> Self {
        Self::with_capacity(CAPACITY_MIN)
    }
}

impl IdMap {
    fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.next_power_of_two().max(CAPACITY_MIN);
        Self { entries: vec![(EMPTY, 0); capacity], length: 0, shift: 64 - capacity.trailing_zeros() }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the shift leaves fewer bits than an index has
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    /// Value stored for a key.
    #[inline]
    pub fn get(&self, key: u64) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut at = self.home(key);
        loop {
            let (found, value) = self.entries[at];
            if found == key && key != EMPTY {
                return Some(value);
            }
            if found == EMPTY {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    /// Stores a value; the key must be non-zero and new.
    #[inline]
    pub fn insert(&mut self, key: u64, value: u32) {
        if (self.length + 1) * 2 > self.entries.len() {
            self.grow();
        }
        let mask = self.entries.len() - 1;
        let mut at = self.home(key);
        while self.entries[at].0 != EMPTY {
            at = (at + 1) & mask;
        }
        self.entries[at] = (key, value);
        self.length += 1;
    }

    /// Every stored value, in no order.
    pub fn values(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().filter(|(key, _)| *key != EMPTY).map(|(_, value)| *value)
    }

    fn grow(&mut self) {
        let mut larger = Self::with_capacity(self.entries.len() * 2);
        for &(key, value) in self.entries.iter().filter(|(key, _)| *key != EMPTY) {
            larger.insert(key, value);
        }
        *self = larger;
    }
}

/// Its keys and values, in no order.
impl Serialize for IdMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored: Vec<&(u64, u32)> = self.entries.iter().filter(|(key, _)| *key != EMPTY).collect();
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Self::default();
        for (key, value) in Vec::<(u64, u32)>::deserialize(deserializer)? {
            if key == EMPTY || map.get(key).is_some() {
                return Err(D::Error::custom("keys that no map has"));
            }
            map.insert(key, value);
        }
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
        fn behaves_like_an_ordered_map(keys in prop::collection::vec(1_u64..4000, 0..3000)) {
            let (mut map, mut twin) = (IdMap::default(), BTreeMap::new());
            for (number, key) in (0_u32..).zip(keys) {
                prop_assert_eq!(map.get(key), twin.get(&key).copied());
                if map.get(key).is_none() {
                    map.insert(key, number);
                    twin.insert(key, number);
                }
            }
            for key in 0..4000 {
                prop_assert_eq!(map.get(key), twin.get(&key).copied());
            }
            let mut values: Vec<u32> = map.values().collect();
            values.sort_unstable();
            let mut expected: Vec<u32> = twin.into_values().collect();
            expected.sort_unstable();
            prop_assert_eq!(values, expected);
        }
    }
}
