//! The baseline: a plain price-time book. Ids in a hash map, levels in a B-tree, orders in linked lists.
//!
//! Must not be here: accounts, margin, events. It is what a careful afternoon gives, and all it does is match.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::workload::{Action, Instruction, Side};

const NONE: u32 = u32::MAX;

/// What matching did, for comparing two engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) trades: u64,
    /// In lots.
    pub(crate) volume: u64,
    /// In ticks times lots.
    pub(crate) notional: u64,
}

#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let mixed = (self.0 ^ id).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[derive(Clone, Copy)]
struct Resting {
    id: u64,
    price: i64,
    qty: i64,
    user: u32,
    previous: u32,
    next: u32,
    instrument: u16,
    side: Side,
}

#[derive(Clone, Copy)]
struct Level {
    first: u32,
    last: u32,
}

#[derive(Default)]
struct Book {
    /// Keyed by rank, so that the first key of either side is its best price.
    levels: [BTreeMap<i64, Level>; 2],
    orders: [usize; 2],
    last_price: i64,
}

/// Books of several instruments over one table of orders.
pub(crate) struct Reference {
    books: Vec<Book>,
    slots: Vec<Resting>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32, BuildHasherDefault<IdHasher>>,
    pub(crate) totals: Totals,
}

impl Reference {
    pub(crate) fn new(instruments: usize, start_price: i64) -> Self {
        let books = (0..instruments).map(|_| Book { last_price: start_price, ..Book::default() }).collect();
        Self {
            books,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_capacity_and_hasher(1 << 16, BuildHasherDefault::default()),
            totals: Totals::default(),
        }
    }

    pub(crate) fn orders(&self, instrument: usize, side: Side) -> usize {
        self.books[instrument].orders[side as usize]
    }

    pub(crate) fn last_price(&self, instrument: usize) -> i64 {
        self.books[instrument].last_price
    }

    /// Price and remaining lots of a live order.
    pub(crate) fn live(&self, id: u64) -> Option<(i64, i64)> {
        self.by_id.get(&id).map(|&slot| {
            let order = &self.slots[slot as usize];
            (order.price, order.qty)
        })
    }

    /// Applies one instruction and calls `gone` with every order that is no longer in a book.
    pub(crate) fn apply(&mut self, instruction: &Instruction, gone: &mut impl FnMut(u64)) {
        match instruction.action {
            Action::Rest | Action::Take => self.place(instruction, gone),
            Action::Cancel => {
                if let Some(slot) = self.owned(instruction) {
                    self.remove(slot, gone);
                }
            }
            Action::Move => {
                if let Some(slot) = self.owned(instruction) {
                    self.reprice(slot, instruction.price, gone);
                }
            }
        }
    }

    fn owned(&self, instruction: &Instruction) -> Option<u32> {
        let slot = *self.by_id.get(&instruction.id)?;
        (self.slots[slot as usize].user == instruction.user).then_some(slot)
    }

    fn place(&mut self, instruction: &Instruction, gone: &mut impl FnMut(u64)) {
        let Instruction { instrument, side, price, qty, .. } = *instruction;
        let left = self.take(usize::from(instrument), side, price, qty, gone);
        if left == 0 || instruction.action == Action::Take {
            gone(instruction.id);
            return;
        }
        let order = Resting {
            id: instruction.id,
            price,
            qty: left,
            user: instruction.user,
            previous: NONE,
            next: NONE,
            instrument,
            side,
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = order;
            slot
        } else {
            self.slots.push(order);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 orders")
        };
        self.by_id.insert(instruction.id, slot);
        self.link(slot);
    }

    fn reprice(&mut self, slot: u32, price: i64, gone: &mut impl FnMut(u64)) {
        self.unlink(slot);
        let order = self.slots[slot as usize];
        let left = self.take(usize::from(order.instrument), order.side, price, order.qty, gone);
        if left == 0 {
            self.forget(slot, gone);
            return;
        }
        let order = &mut self.slots[slot as usize];
        (order.price, order.qty) = (price, left);
        self.link(slot);
    }

    fn take(
        &mut self,
        instrument: usize,
        side: Side,
        limit: i64,
        mut left: i64,
        gone: &mut impl FnMut(u64),
    ) -> i64 {
        let maker_side = side.opposite();
        while left > 0 {
            let book = &mut self.books[instrument];
            let Some((&rank, &level)) = book.levels[maker_side as usize].first_key_value() else { break };
            let price = maker_side.price_of(rank);
            if maker_side.rank(limit) < rank {
                break;
            }
            book.last_price = price;
            let mut at = level.first;
            while at != NONE && left > 0 {
                let maker = self.slots[at as usize];
                let qty = left.min(maker.qty);
                left -= qty;
                self.totals.trades += 1;
                self.totals.volume += qty.unsigned_abs();
                self.totals.notional += (qty * price).unsigned_abs();
                if qty == maker.qty {
                    self.remove(at, gone);
                } else {
                    self.slots[at as usize].qty -= qty;
                }
                at = maker.next;
            }
        }
        left
    }

    fn remove(&mut self, slot: u32, gone: &mut impl FnMut(u64)) {
        self.unlink(slot);
        self.forget(slot, gone);
    }

    fn forget(&mut self, slot: u32, gone: &mut impl FnMut(u64)) {
        let id = self.slots[slot as usize].id;
        self.by_id.remove(&id);
        self.free.push(slot);
        gone(id);
    }

    fn link(&mut self, slot: u32) {
        let order = self.slots[slot as usize];
        let book = &mut self.books[usize::from(order.instrument)];
        book.orders[order.side as usize] += 1;
        let previous = match book.levels[order.side as usize].entry(order.side.rank(order.price)) {
            Entry::Vacant(vacant) => {
                vacant.insert(Level { first: slot, last: slot });
                NONE
            }
            Entry::Occupied(mut occupied) => std::mem::replace(&mut occupied.get_mut().last, slot),
        };
        let order = &mut self.slots[slot as usize];
        (order.previous, order.next) = (previous, NONE);
        if previous != NONE {
            self.slots[previous as usize].next = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let order = self.slots[slot as usize];
        if order.previous != NONE {
            self.slots[order.previous as usize].next = order.next;
        }
        if order.next != NONE {
            self.slots[order.next as usize].previous = order.previous;
        }
        let book = &mut self.books[usize::from(order.instrument)];
        book.orders[order.side as usize] -= 1;
        let levels = &mut book.levels[order.side as usize];
        let rank = order.side.rank(order.price);
        if order.previous == NONE && order.next == NONE {
            levels.remove(&rank);
        } else if (order.previous == NONE || order.next == NONE)
            && let Some(level) = levels.get_mut(&rank)
        {
            if order.previous == NONE {
                level.first = order.next;
            }
            if order.next == NONE {
                level.last = order.previous;
            }
        }
    }
}
