//! The queue of the deleveraging: every user's position in an instrument, longs and shorts apart, by rank. Deleveraging
//! makes it anew; questions share one that is made once per command. The rank itself is in `adl`.

use std::cell::RefCell;

use crate::account::NOBODY;
use crate::adl::{lights, rank};
use crate::exchange::Exchange;
use crate::types::Side;

/// Lights of an instrument's positions as of one command.
#[derive(Clone, Debug, Default)]
struct Lit {
    /// Count of commands then.
    commands: u64,
    /// Slots and their lights, by slot.
    lights: Vec<(u32, u8)>,
}

/// Lights by instrument, kept between questions. No part of the state: what they say follows from it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LightBoard {
    boards: RefCell<Vec<Lit>>,
}

impl Exchange {
    /// Users' positions on one side of an instrument, first in line first; of equals the older account.
    pub(crate) fn adl_queue(&self, instrument: usize, side: Side) -> Vec<u32> {
        let members = self.ledger.members(instrument).iter().copied();
        let mut queue: Vec<(i128, u32, u32)> = members
            .filter_map(|slot| {
                let held = self.ledger.slot(slot);
                let is_wanted = held.position.lots * side.sign() > 0;
                (held.account >= self.first_user && is_wanted)
                    .then(|| (self.adl_rank(slot).saturating_neg(), held.account, slot))
            })
            .collect();
        queue.sort_unstable();
        queue.into_iter().map(|(_, _, slot)| slot).collect()
    }

    fn adl_rank(&self, slot: u32) -> i128 {
        let held = self.ledger.slot(slot);
        let (profit, entry) = (i128::from(held.margin.unrealised), held.position.cost.abs());
        if held.is_isolated {
            let value = (held.position.cost + profit).abs();
            return rank(profit, entry, value, self.isolated_equity(slot));
        }
        let owner = self.ledger.account(held.account);
        let mut value = 0;
        let mut next = owner.last_slot;
        while next != NOBODY {
            let other = self.ledger.slot(next);
            let size = (other.position.cost + i128::from(other.margin.unrealised)).abs();
            value += self.in_usd(self.instruments[usize::from(other.instrument)].settle, size);
            next = other.older;
        }
        rank(profit, entry, value, owner.worth.balance)
    }

    /// Lights of a position: 5 is next in line, 0 has none. The first question after a command ranks the instrument.
    pub(crate) fn adl_lights(&self, slot: u32) -> u8 {
        let held = self.ledger.slot(slot);
        if held.position.lots == 0 || held.account < self.first_user {
            return 0;
        }
        let instrument = usize::from(held.instrument);
        let mut boards = self.lights.boards.borrow_mut();
        boards.resize_with(self.instruments.len(), Lit::default);
        let lit = &mut boards[instrument];
        if lit.commands != self.commands {
            *lit = Lit { commands: self.commands, lights: self.light_up(instrument) };
        }
        let found = lit.lights.binary_search_by_key(&slot, |(slot, _)| *slot);
        found.map_or(0, |at| lit.lights[at].1)
    }

    fn light_up(&self, instrument: usize) -> Vec<(u32, u8)> {
        let mut lit = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let queue = self.adl_queue(instrument, side);
            let count = queue.len();
            lit.extend(queue.into_iter().enumerate().map(|(place, slot)| (slot, lights(place, count))));
        }
        lit.sort_unstable();
        lit
    }
}
