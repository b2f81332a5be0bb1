//! A 128-bit digest of words, equal on every machine. Not cryptographic; knows nothing of the exchange.
//!
//! Two 64-bit lanes. For each word `w`: `a = rotl(a ^ w, 29) * K1`, `b = rotl(b + w, 31) * K2 ^ a`. The result is `a`
//! above `b`, after two extra rounds with the word count.

use std::hash::{BuildHasherDefault, Hasher};

const K1: u64 = 0x9E37_79B9_7F4A_7C15;
const K2: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// A running digest.
#[derive(Clone, Debug)]
pub struct Digest {
    a: u64,
    b: u64,
    words: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { a: 0x51_7C_C1_B7_27_22_0A_95, b: 0x2545_F491_4F6C_DD1D, words: 0 }
    }
}

impl Digest {
    /// A digest that goes on from an earlier one.
    pub fn continued(earlier: u128) -> Self {
        let mut digest = Self::default();
        digest.word128(earlier);
        digest
    }

    /// Folds a word.
    #[inline]
    pub fn word(&mut self, word: u64) -> &mut Self {
        self.a = (self.a ^ word).rotate_left(29).wrapping_mul(K1);
        self.b = self.b.wrapping_add(word).rotate_left(31).wrapping_mul(K2) ^ self.a;
        self.words = self.words.wrapping_add(1);
        self
    }

    /// Folds a signed word.
    pub fn signed(&mut self, word: i64) -> &mut Self {
        self.word(u64::from_le_bytes(word.to_le_bytes()))
    }

    /// Folds two words, low first.
    #[allow(clippy::cast_possible_truncation)] // the halves are taken on purpose
    pub fn word128(&mut self, word: u128) -> &mut Self {
        self.word(word as u64).word((word >> 64) as u64)
    }

    /// Folds a wide signed number.
    pub fn wide(&mut self, word: i128) -> &mut Self {
        self.word128(u128::from_le_bytes(word.to_le_bytes()))
    }

    /// Folds bytes with their count.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self
    }

    /// The digest.
    pub fn finish(&self) -> u128 {
        let mut last = self.clone();
        last.word(self.words).word(self.words ^ K1);
        u128::from(last.a) << 64 | u128::from(last.b)
    }
}

/// Hashes keys that are digests already: takes their low word.
#[derive(Clone, Copy, Debug, Default)]
pub struct TakeLowWord(u64);

/// Builder of [`TakeLowWord`].
pub type DigestHasher = BuildHasherDefault<TakeLowWord>;

impl Hasher for TakeLowWord {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(32) ^ u64::from_le_bytes(word);
        }
    }
    #[allow(clippy::cast_possible_truncation)] // only the low word is wanted
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}
