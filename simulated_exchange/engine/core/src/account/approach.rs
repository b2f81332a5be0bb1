//! Asking for the memory of accounts, slots and purses: see `lookout`. Nothing is changed.

use exchange_prefetch::{prefetch, prefetch_all};

use crate::account::{slot_key, Ledger};
use crate::types::PositionIndex;

impl Ledger {
    /// Asks for an account; returns its position.
    #[inline]
    pub fn approach_account(&self, id: u32) -> Option<u32> {
        let place = self.find(id)?;
        prefetch_all(self.account(place));
        Some(place)
    }

    /// Asks for the place where a slot is looked up; returns the key to look for.
    #[inline]
    pub fn approach_key(&self, account: u32, instrument: usize, index: PositionIndex) -> u64 {
        let key = slot_key(account, instrument, index);
        self.slot_of.approach(key);
        key
    }

    /// Where the slot of a key may be; nothing of it is looked at.
    #[inline]
    pub fn guess_slot(&self, key: u64) -> Option<u32> {
        self.slot_of.get(key, |_| true)
    }

    /// Asks for a slot.
    #[inline]
    pub fn approach_slot(&self, slot: u32) {
        if let Some(slot) = self.slots.get(slot as usize) {
            prefetch_all(slot);
        }
    }

    /// Asks for what a fill touches beside the purse.
    #[inline]
    pub fn approach_side(&self, account: u32, slot: u32) {
        let found = (self.accounts.get(account as usize), self.details.get(slot as usize));
        if let (Some(account), Some(detail)) = found {
            prefetch_all(account);
            prefetch(detail);
            self.approach_slot(slot);
        }
    }

    /// Asks for the purse of a slot.
    #[inline]
    pub fn approach_purse_of(&self, slot: u32) {
        let Some(slot) = self.slots.get(slot as usize) else { return };
        if let Some(purse) = self.purses.get(slot.purse as usize) {
            prefetch(purse);
            prefetch(&purse.wallet);
        }
    }

    /// Asks for what an order that rests needs of a purse.
    #[inline]
    pub fn approach_purse(&self, purse: u32) {
        if let Some(purse) = self.purses.get(purse as usize) {
            prefetch(purse);
        }
    }

    /// Asks for what one that is filled needs of a slot beside what one that rests does.
    #[inline]
    pub fn approach_filled(&self, slot: u32) {
        let Some((held, detail)) = self.slots.get(slot as usize).zip(self.details.get(slot as usize)) else {
            return;
        };
        prefetch(detail);
        if let Some(purse) = self.purses.get(held.purse as usize) {
            prefetch(&purse.wallet);
        }
    }
}
