//! Accounts, wallets and per-instrument slots with their running totals: every change of money or position
//! goes through here, so that the totals can be trusted. No rules about when money may move.

use serde::{Deserialize, Serialize};

use crate::coin::{Coin, CoinPrice};
use crate::id_map::IdMap;
use crate::instrument::Instrument;
use crate::link_ids::LinkIds;
use crate::loan_book::LoanBook;
use crate::margin::{Margin, OpenOrders};
use crate::order::OrderList;
use crate::position::{Position, Settled};
use crate::purse::{Purse, Worth};
use crate::slot::{Slot, SlotDetail, SpotHolds};
use crate::types::{CoinId, MarginMode, PositionIndex, ACCOUNT_ID_MAX, FIRST_USER_ACCOUNT};

mod approach;
mod at_par;
mod sound;

pub use at_par::{Booked, Settlement};

/// No account or slot.
pub const NOBODY: u32 = u32::MAX;

/// An account: what every order of it touches, in two cache lines wherever it begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C, align(32))]
pub struct Account {
    /// Sums over its purses.
    pub worth: Worth,
    /// Identifier at the boundary.
    pub id: u32,
    /// First of its purses.
    pub first_purse: u32,
    /// Last made of its slots.
    pub last_slot: u32,
    /// Positions that are not flat.
    pub open_positions: u16,
    /// What backs its positions.
    pub margin_mode: MarginMode,
    /// The last made of its slots is the only one. Not written down: who does not know it looks the slot up.
    #[serde(skip)]
    pub has_one_slot: bool,
}

impl Account {
    /// Margin balance less initial margin.
    #[inline]
    pub fn available(&self) -> i128 {
        self.worth.available()
    }

    /// True when the maintenance margin of cross positions and loans is no longer covered.
    #[inline]
    pub fn is_breached(&self) -> bool {
        self.worth.is_breached()
    }
}

/// All accounts and slots.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    accounts: Vec<Account>,
    index_of: Vec<u32>,
    /// Clients' identifiers of orders.
    pub link_ids: LinkIds,
    purses: Vec<Purse>,
    purse_of: IdMap,
    purses_in: Vec<Vec<u32>>,
    slots: Vec<Slot>,
    details: Vec<SlotDetail>,
    slot_of: IdMap,
    members: Vec<Vec<u32>>,
    coins: Vec<Coin>,
    prices: Vec<i64>,
    /// Running totals per coin.
    pub totals: Vec<CoinTotals>,
    /// Who owes what.
    pub loans: LoanBook,
    /// Sum of signed lots per instrument.
    pub lots: Vec<i128>,
    /// Instruments whose signed lots do not sum to zero.
    pub unbalanced: usize,
    /// Money or positions moved since somebody set this to false.
    pub has_moved: bool,
}

/// Running totals of one coin over the whole venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinTotals {
    /// Sum of all wallets, funding wallets included.
    pub wallets: i128,
    /// Sum of all signed entry costs settled in the coin.
    pub costs: i128,
    /// Everything ever deposited, opening balances of the pools included.
    pub deposits: i128,
    /// Everything ever withdrawn.
    pub withdrawals: i128,
}

impl CoinTotals {
    /// Wallets less entry costs less deposits plus withdrawals; must be 0.
    pub fn delta(&self) -> i128 {
        self.wallets - self.costs - self.deposits + self.withdrawals
    }
}

impl Ledger {
    /// A ledger for coins and a number of instruments.
    pub fn new(coins: Vec<Coin>, instruments: usize) -> Self {
        let first_price = |coin: &Coin| match coin.spec.price {
            CoinPrice::Fixed(price) | CoinPrice::Reported(price) => price.0,
            CoinPrice::Index(_) | CoinPrice::Ratio { .. } => 0,
        };
        Self {
            members: vec![Vec::new(); instruments],
            lots: vec![0; instruments],
            prices: coins.iter().map(first_price).collect(),
            totals: vec![CoinTotals::default(); coins.len()],
            purses_in: vec![Vec::new(); coins.len()],
            loans: LoanBook::new(coins.len()),
            coins,
            ..Self::default()
        }
    }

    /// Opens an account; `None` when the identifier is taken or too large.
    pub fn open(&mut self, id: u32) -> Option<u32> {
        if id > ACCOUNT_ID_MAX || self.find(id).is_some() {
            return None;
        }
        let place = id as usize;
        if self.index_of.len() <= place {
            self.index_of.resize(place + 1, NOBODY);
        }
        let index = u32::try_from(self.accounts.len()).ok()?;
        self.index_of[place] = index;
        self.accounts.push(Account {
            id,
            first_purse: NOBODY,
            last_slot: NOBODY,
            open_positions: 0,
            margin_mode: MarginMode::Cross,
            has_one_slot: false,
            worth: Worth::default(),
        });
        Some(index)
    }

    /// Position of an account.
    #[inline]
    pub fn find(&self, id: u32) -> Option<u32> {
        self.index_of.get(id as usize).copied().filter(|index| *index != NOBODY)
    }

    /// The account at a position.
    #[inline]
    pub fn account(&self, index: u32) -> &Account {
        &self.accounts[index as usize]
    }

    /// All accounts in the order of their opening.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The slot at a position.
    #[inline]
    pub fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    /// The slot at a position, to change what no total depends on.
    #[inline]
    pub fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    /// The rarely touched part of the slot at a position.
    #[inline]
    pub fn detail(&self, index: u32) -> &SlotDetail {
        &self.details[index as usize]
    }

    /// The rarely touched part of the slot at a position, to change.
    #[inline]
    pub fn detail_mut(&mut self, index: u32) -> &mut SlotDetail {
        &mut self.details[index as usize]
    }

    /// Slots of an instrument in the order of their creation.
    pub fn members(&self, instrument: usize) -> &[u32] {
        &self.members[instrument]
    }

    /// Coins as listed.
    pub fn coins(&self) -> &[Coin] {
        &self.coins
    }

    /// Price of a coin in USD; 0 while there is none.
    #[inline]
    pub fn coin_price(&self, coin: CoinId) -> i64 {
        self.prices[usize::from(coin.0)]
    }

    /// Sets a coin's price and revalues every purse of the coin.
    pub fn set_coin_price(&mut self, coin: CoinId, price: i64) {
        self.prices[usize::from(coin.0)] = price;
        self.revalue_all(coin);
    }

    /// Sets whether the venue takes a coin as collateral.
    pub fn set_venue_collateral(&mut self, coin: CoinId, enabled: bool) {
        self.coins[usize::from(coin.0)].spec.is_collateral = enabled;
        self.revalue_all(coin);
    }

    fn revalue_all(&mut self, coin: CoinId) {
        for at in 0..self.purses_in[usize::from(coin.0)].len() {
            self.alter(self.purses_in[usize::from(coin.0)][at], |_| {});
        }
    }

    /// An account's purse of a coin, if it was ever used.
    #[inline]
    pub fn find_purse(&self, account: u32, coin: CoinId) -> Option<u32> {
        let bears = |purse: u32| {
            let held = self.purse(purse);
            held.account == account && held.coin == coin
        };
        let first = self.account(account).first_purse;
        if first != NOBODY && bears(first) {
            return Some(first);
        }
        self.purse_of.get(purse_key(account, coin), bears)
    }

    /// An account's purse of a coin, made on first use.
    pub fn purse_for(&mut self, account: u32, coin: CoinId) -> u32 {
        if let Some(purse) = self.find_purse(account, coin) {
            return purse;
        }
        let purse = u32::try_from(self.purses.len()).unwrap_or(NOBODY);
        let owner = &mut self.accounts[account as usize];
        let can_borrow = owner.id >= FIRST_USER_ACCOUNT;
        self.purses.push(Purse::new(account, owner.first_purse, coin, can_borrow));
        owner.first_purse = purse;
        self.purses_in[usize::from(coin.0)].push(purse);
        self.purse_of.insert(purse_key(account, coin), purse);
        purse
    }

    /// The purse at a position.
    #[inline]
    pub fn purse(&self, purse: u32) -> &Purse {
        &self.purses[purse as usize]
    }

    /// Accounts that hold, or held, a coin.
    pub fn holders(&self, coin: CoinId) -> Vec<u32> {
        self.purses_in[usize::from(coin.0)].iter().map(|purse| self.purse(*purse).account).collect()
    }

    /// All purses in the order of their making.
    pub fn purses(&self) -> &[Purse] {
        &self.purses
    }

    /// An account's purses, by coin.
    pub fn purses_of(&self, account: u32) -> Vec<u32> {
        let step = |purse: u32| (purse != NOBODY).then_some(purse);
        let next = |purse: &u32| step(self.purse(*purse).next);
        let mut purses: Vec<u32> =
            std::iter::successors(step(self.account(account).first_purse), next).collect();
        purses.sort_unstable_by_key(|purse| self.purse(*purse).coin);
        purses
    }

    /// Purses that owe another amount than when this was asked last, by account and coin.
    pub fn take_changed_loans(&mut self) -> Vec<u32> {
        let mut changed = self.loans.take_changed();
        changed.retain(|(purse, before)| self.purse(*purse).extras().borrowed != *before);
        let mut purses: Vec<u32> = changed.into_iter().map(|(purse, _)| purse).collect();
        self.sort_purses(&mut purses);
        purses
    }

    /// Brings purses into the order of their accounts and coins.
    pub fn sort_purses(&self, purses: &mut [u32]) {
        purses.sort_unstable_by_key(|purse| (self.purse(*purse).account, self.purse(*purse).coin));
    }

    /// Changes a purse, and with it what it adds to its account's totals and to the coin's loans.
    #[inline]
    fn alter(&mut self, place: u32, change: impl FnOnce(&mut Purse)) {
        let purse = &mut self.purses[place as usize];
        let worth = purse.worth();
        change(purse);
        let coin = usize::from(purse.coin.0);
        let owed_before = purse.revalue(&self.coins[coin], self.prices[coin]);
        self.accounts[purse.account as usize].worth.replace(&worth, &purse.worth());
        if let Some(before) = owed_before {
            self.loans.replace(place, purse.account, purse.coin, before, purse.extras().borrowed);
        }
    }

    /// Changes a purse and everything that depends on it, save the sums of wallets: what moves between wallets is
    /// `credit`'s and `credit_funding`'s.
    pub fn change_purse(&mut self, purse: u32, change: impl FnOnce(&mut Purse)) {
        let held = self.purse(purse);
        let (coin, spot_before) = (held.coin, held.extras().spot_borrow);
        self.alter(purse, change);
        let spot = self.purse(purse).extras().spot_borrow;
        self.loans.lend_spot(coin, spot - spot_before);
    }

    /// Notes that what a purse owes has been told.
    pub fn note_owing(&mut self, purse: u32) {
        let held = &mut self.purses[purse as usize];
        held.was_owing = held.extras().borrowed > 0;
    }

    /// Moves money into (or, negative, out of) a funding wallet.
    pub fn credit_funding(&mut self, purse: u32, amount: i128) {
        let held = &mut self.purses[purse as usize];
        held.extras_mut().funding += amount;
        self.totals[usize::from(held.coin.0)].wallets += amount;
    }

    /// An account's slot in an instrument, if it was ever used.
    #[inline]
    pub fn find_slot(&self, account: u32, instrument: usize, index: PositionIndex) -> Option<u32> {
        let bears = |slot: u32| {
            let held = self.slot(slot);
            held.account == account && usize::from(held.instrument) == instrument && held.index == index
        };
        // who trades one instrument only has no other, and the account is looked at anyway
        let owner = self.account(account);
        if owner.has_one_slot && bears(owner.last_slot) {
            return Some(owner.last_slot);
        }
        self.slot_of.get(slot_key(account, instrument, index), bears)
    }

    /// An account's slot in an instrument, made on first use.
    #[inline]
    pub fn slot_for(
        &mut self,
        account: u32,
        instrument: usize,
        index: PositionIndex,
        listed: &Instrument,
    ) -> u32 {
        match self.find_slot(account, instrument, index) {
            Some(slot) => slot,
            None => self.make_slot(account, instrument, index, listed),
        }
    }

    #[cold]
    fn make_slot(
        &mut self,
        account: u32,
        instrument: usize,
        index: PositionIndex,
        listed: &Instrument,
    ) -> u32 {
        let purse = self.purse_for(account, listed.settle);
        let slot = u32::try_from(self.slots.len()).unwrap_or(NOBODY);
        self.slots.push(Slot { purse, ..self.fresh_slot(account, instrument, index, listed) });
        let owner = &mut self.accounts[account as usize];
        owner.has_one_slot = owner.last_slot == NOBODY;
        owner.last_slot = slot;
        self.details.push(SlotDetail::default());
        self.slot_of.insert(slot_key(account, instrument, index), slot);
        self.members[instrument].push(slot);
        slot
    }

    /// An account's slot in an instrument as it is before its first use, without its purse.
    pub fn fresh_slot(
        &self,
        account: u32,
        instrument: usize,
        index: PositionIndex,
        listed: &Instrument,
    ) -> Slot {
        // a leg of a hedge begins with the leverage of the only position
        let only = match index {
            PositionIndex::OneWay => None,
            _ => self.find_slot(account, instrument, PositionIndex::OneWay),
        };
        let default_leverage = i32::try_from(listed.default_leverage()).unwrap_or(i32::MAX);
        let owner = &self.accounts[account as usize];
        Slot {
            account,
            purse: NOBODY,
            older: owner.last_slot,
            instrument: u16::try_from(instrument).unwrap_or(u16::MAX),
            index,
            leverage: only.map_or(default_leverage, |only| self.slot(only).leverage),
            has_reduce_only: false,
            has_exits: false,
            is_hedged: false,
            is_isolated: owner.margin_mode == MarginMode::Isolated,
            is_spot: !listed.is_contract(),
            position: Position::default(),
            open_orders: OpenOrders::default(),
            orders: OrderList::default(),
            margin: Margin::default(),
        }
    }

    /// An account's slots, by instrument and position index.
    pub fn slots_of(&self, account: u32) -> Vec<u32> {
        let step = |slot: u32| (slot != NOBODY).then_some(slot);
        let next = |slot: &u32| step(self.slot(*slot).older);
        let mut slots: Vec<u32> =
            std::iter::successors(step(self.account(account).last_slot), next).collect();
        slots.sort_unstable_by_key(|slot| (self.slot(*slot).instrument, self.slot(*slot).index));
        slots
    }

    /// Moves money into (or, negative, out of) a wallet.
    #[inline]
    pub fn credit(&mut self, purse: u32, amount: i128) {
        self.has_moved = true;
        let coin = self.purse(purse).coin;
        self.totals[usize::from(coin.0)].wallets += amount;
        self.alter(purse, |held| held.wallet += amount);
    }

    /// Credits an account of the venue with an amount of another purse's coin.
    #[inline]
    pub fn collect(&mut self, account: u32, payer: u32, amount: i128) {
        let coin = self.purses[payer as usize].coin;
        let purse = self.purse_for(account, coin);
        self.credit(purse, amount);
    }

    /// Books a fill into a slot's position.
    #[inline]
    pub fn fill(&mut self, slot: u32, lots: i64, value: i128) -> Settled {
        let slot = &mut self.slots[slot as usize];
        let was_flat = slot.position.lots == 0;
        let settled = slot.position.fill(lots, value);
        let owner = &mut self.accounts[slot.account as usize];
        match (was_flat, slot.position.lots == 0) {
            (true, false) => owner.open_positions += 1,
            (false, true) => owner.open_positions -= 1,
            _ => {}
        }
        let coin = self.purses[slot.purse as usize].coin;
        self.has_moved = true;
        self.totals[usize::from(coin.0)].costs += settled.cost_change;
        let instrument = usize::from(slot.instrument);
        self.count_lots(instrument, lots);
        settled
    }

    /// Counts signed lots that an instrument's positions grew by.
    #[inline]
    fn count_lots(&mut self, instrument: usize, lots: i64) {
        let sum = &mut self.lots[instrument];
        let was_balanced = *sum == 0;
        *sum += i128::from(lots);
        match (was_balanced, *sum == 0) {
            (true, false) => self.unbalanced += 1,
            (false, true) => self.unbalanced -= 1,
            _ => {}
        }
    }

    /// Replaces a slot's margin and its part of the purse's sums.
    #[inline]
    pub fn set_margin(&mut self, slot: u32, margin: Margin) {
        let slot = &mut self.slots[slot as usize];
        let before = slot.counted(&slot.margin);
        slot.margin = margin;
        let (after, purse) = (slot.counted(&margin), slot.purse);
        self.alter(purse, |held| held.margin.replace(&before, &after));
    }

    /// Sets an account's margin mode; its slots follow by `isolate`.
    pub fn set_margin_mode(&mut self, account: u32, mode: MarginMode) {
        self.accounts[account as usize].margin_mode = mode;
    }

    /// Lets a slot's position stand for itself, or count for its account, with this margin.
    pub fn isolate(&mut self, slot: u32, is_isolated: bool, margin: Margin) {
        self.set_margin(slot, Margin::default());
        self.slots[slot as usize].is_isolated = is_isolated;
        self.set_margin(slot, margin);
    }

    /// Replaces what the spot orders of a slot hold; `base_purse` is the account's purse of the base coin.
    pub fn hold(&mut self, slot: u32, base_purse: u32, holds: SpotHolds) {
        let before = std::mem::replace(&mut self.details[slot as usize].extras_mut().holds, holds);
        let quote_purse = self.slots[slot as usize].purse;
        self.alter(base_purse, |held| held.extras_mut().locked += holds.base - before.base);
        self.alter(quote_purse, |held| {
            held.extras_mut().locked += holds.quote - before.quote;
            held.extras_mut().haircut += holds.haircut - before.haircut;
        });
    }

    /// Sets the margin assigned to an isolated position.
    pub fn assign(&mut self, slot: u32, assigned: i128) {
        let extras = self.details[slot as usize].extras_mut();
        let change = assigned - std::mem::replace(&mut extras.assigned, assigned);
        let purse = self.slots[slot as usize].purse;
        self.alter(purse, |held| held.extras_mut().isolated += change);
    }

    /// Instruments that have lists of members.
    pub(crate) fn members_count(&self) -> usize {
        self.members.len()
    }

    /// Slots in all.
    #[inline]
    pub(crate) fn slots_count(&self) -> usize {
        self.slots.len()
    }

    /// As `set_margin`, where nothing but the margin of orders differs; true if their loss at the mark has grown.
    #[inline]
    pub fn set_order_margin(&mut self, slot: u32, initial: i64, loss: i64) -> bool {
        let Slot { margin, purse, .. } = &mut self.slots[slot as usize];
        let purse = *purse;
        let more = i128::from(initial - margin.order_initial);
        let more_loss = i128::from(loss - margin.order_loss);
        (margin.order_initial, margin.order_loss) = (initial, loss);
        self.alter(purse, |held| {
            held.margin.order_initial += more;
            held.margin.order_loss += more_loss;
        });
        more_loss > 0
    }
}

fn purse_key(account: u32, coin: CoinId) -> u64 {
    u64::from(account) << 16 | u64::from(coin.0)
}

#[inline]
fn slot_key(account: u32, instrument: usize, index: PositionIndex) -> u64 {
    u64::from(account) << 24 | (instrument as u64) << 8 | u64::from(index.to_wire())
}
