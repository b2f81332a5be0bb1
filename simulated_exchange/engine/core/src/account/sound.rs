//! Whether what was written down can be a ledger: every position leads somewhere, every list is whole. Nothing is changed.

use crate::account::{Ledger, NOBODY};
use crate::types::SCALE;

impl Ledger {
    /// True when every slot is a member of its instrument, and every purse among the holders of its coin: once, and nowhere
    /// else.
    pub(crate) fn are_lists_complete(&self) -> bool {
        let members = self.members.iter().enumerate();
        let members = members.flat_map(|(index, slots)| slots.iter().map(move |slot| (index, *slot)));
        let instrument = |slot: u32| self.slots.get(slot as usize).map(|slot| usize::from(slot.instrument));
        let holders = self.purses_in.iter().enumerate();
        let holders = holders.flat_map(|(coin, purses)| purses.iter().map(move |purse| (coin, *purse)));
        let coin = |purse: u32| self.purses.get(purse as usize).map(|purse| usize::from(purse.coin.0));
        is_complete(members, self.slots.len(), instrument) && is_complete(holders, self.purses.len(), coin)
    }

    /// Whether every position leads to an account, a purse or a slot, and every chain of them to its end: each link
    /// leads to something older.
    pub(crate) fn is_sound(&self) -> bool {
        let (accounts, purses, slots) = (self.accounts.len(), self.purses.len(), self.slots.len());
        let within = |index: u32, count: usize| (index as usize) < count;
        let ends = |index: u32, count: usize| index == NOBODY || within(index, count);
        self.link_ids.is_sound(accounts)
            && self.details.len() == slots
            && self.prices.len() == self.coins.len()
            && self.coins.iter().zip(&self.prices).all(|(coin, price)| !coin.is_par || *price == SCALE)
            && self.totals.len() == self.coins.len()
            && self.index_of.iter().all(|index| ends(*index, accounts))
            && self.accounts.iter().all(|own| ends(own.first_purse, purses) && ends(own.last_slot, slots))
            && self.purses.iter().enumerate().all(|(place, purse)| {
                within(purse.account, accounts)
                    && ends(purse.next, place)
                    && usize::from(purse.coin.0) < self.coins.len()
            })
            && self.slots.iter().enumerate().all(|(place, slot)| {
                within(slot.account, accounts) && within(slot.purse, purses) && ends(slot.older, place)
            })
            && self.purse_of.values().all(|purse| within(purse, purses))
            && self.purses_in.len() == self.coins.len()
            && self.purses_in.iter().flatten().all(|purse| within(*purse, purses))
            && self
                .purses_in
                .iter()
                .enumerate()
                .all(|(coin, own)| own.iter().all(|purse| usize::from(self.purse(*purse).coin.0) == coin))
            && self.purses_in.iter().chain(&self.members).all(|own| own.windows(2).all(|two| two[0] < two[1]))
            && self.loans.is_sound(self.coins.len(), purses)
            && self.slot_of.values().all(|slot| within(slot, slots))
            && self.members.iter().flatten().all(|slot| within(*slot, slots))
    }
}

/// True when each of so many things is listed once, where it belongs.
fn is_complete(
    listed: impl Iterator<Item = (usize, u32)>,
    count: usize,
    home: impl Fn(u32) -> Option<usize>,
) -> bool {
    let mut is_seen = vec![false; count];
    let mut total = 0;
    for (place, thing) in listed {
        if home(thing) != Some(place) || std::mem::replace(&mut is_seen[thing as usize], true) {
            return false;
        }
        total += 1;
    }
    total == count
}
