//! The whole state as bytes, and back: what a restart goes on from instead of reading every command again.
//!
//! Everything is kept that a later command could depend on, the order of lists included; only where levels and keys
//! lie in memory is made anew. The bytes mean something to the build that wrote them and to no other: a field more,
//! or a rule that reads one differently, would pass for a state that this build never reached. So they begin with a
//! digest of the sources, and another build reads the journal instead.
//!
//! Must not be here: files, and when a snapshot is taken.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::exchange::{Exchange, Fatal};

/// Digest of this crate's sources.
const BUILD: &str = env!("EXCHANGE_CORE_SOURCES");

/// Why bytes are not a state that this build wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// Another build of the exchange wrote them.
    Build,
    /// They are cut short, too long, or hold a value outside its type.
    Bytes,
    /// Parts of the state do not belong together: which ones.
    Unsound(&'static str),
    /// The state is sound, but another than the one whose hash was written down: this one's hash.
    Hash(u128),
    /// An invariant does not hold.
    Broken(Fatal),
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Build => formatter.write_str("it was taken by another build of the exchange"),
            Self::Bytes => formatter.write_str("its state cannot be read"),
            Self::Unsound(what) => write!(formatter, "its state does not hold together: {what}"),
            Self::Hash(hash) => write!(formatter, "its state has another hash: {hash:032x}"),
            Self::Broken(fatal) => write!(formatter, "its state breaks an {fatal}"),
        }
    }
}

impl std::error::Error for RestoreError {}

impl Exchange {
    /// The state, without what the last command left for its caller.
    pub fn snapshot(&self) -> Vec<u8> {
        // Only a type that refuses to be written down fails, and no part of the state does.
        postcard::to_allocvec(&(BUILD, self.state_hash(), self)).unwrap_or_default()
    }

    /// The exchange as it was when the same build took the snapshot: the same state hash, the same events for the
    /// same commands from there on. Bytes that nobody wrote down are refused, whatever they hold.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let ((build, state_hash), rest) =
            postcard::take_from_bytes::<(&str, u128)>(bytes).map_err(|_| RestoreError::Bytes)?;
        if build != BUILD {
            return Err(RestoreError::Build);
        }
        match postcard::take_from_bytes::<Self>(rest) {
            Ok((exchange, [])) => exchange.checked(state_hash),
            _ => Err(RestoreError::Bytes),
        }
    }

    /// Every list must end before all of it is walked; what a walk then stumbles over is caught.
    fn checked(self, state_hash: u128) -> Result<Self, RestoreError> {
        let sound = |holds: bool, what| if holds { Ok(()) } else { Err(RestoreError::Unsound(what)) };
        sound(self.orders.is_sound(), "orders")?;
        sound(self.ledger.is_sound(), "accounts")?;
        sound(self.triggers.is_sound(), "waiting orders")?;
        let (coins, accounts) = (self.ledger.coins().len(), self.ledger.accounts().len());
        sound(self.lending.is_sound(coins, accounts), "lending pools")?;
        sound(self.profiles.is_sound(accounts), "sub-accounts")?;
        let walk = || -> Result<(), RestoreError> {
            sound(self.is_listing_sound(), "what is listed")?;
            sound(self.are_markets_sound(), "markets")?;
            sound(self.are_accounts_sound(), "accounts")?;
            self.check_invariants().map_err(RestoreError::Broken)?;
            let own = self.state_hash();
            if own == state_hash {
                Ok(())
            } else {
                Err(RestoreError::Hash(own))
            }
        };
        catch_unwind(AssertUnwindSafe(walk)).unwrap_or(Err(RestoreError::Unsound("what it refers to")))?;
        Ok(self)
    }
}
