//! Accounts, wallets and per-instrument slots with their running totals: every change of money or position
//! goes through here, so that the totals can be trusted. No rules about when money may move.

use std::collections::{HashMap, VecDeque};

use crate::digest::{Digest, DigestHasher};
use crate::instrument::Instrument;
use crate::margin::{Exposure, Margin, MarginSum, OpenOrders};
use crate::order::OrderList;
use crate::position::{Position, Settled};
use crate::types::{LinkId, ACCOUNT_ID_MAX};

/// Link ids remembered per account, closed orders included; the oldest closed ones are forgotten first.
pub const LINK_IDS_MAX: usize = 65_536;
/// No account or slot.
pub const NOBODY: u32 = u32::MAX;

/// An account: what every order of it touches.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Account {
    /// Identifier at the boundary.
    pub id: u32,
    /// Deposits, withdrawals and realised results.
    pub wallet: i128,
    /// Sums over its slots.
    pub margin: MarginSum,
}

/// An account's link ids, as digests.
#[derive(Clone, Debug, Default)]
struct Links {
    /// In the order of their first use.
    remembered: VecDeque<u128>,
    /// Digest over every one ever used, in order.
    digest: u128,
}

impl Account {
    /// Margin balance: wallet and profit at the marks.
    #[inline]
    pub fn equity(&self) -> i128 {
        self.wallet + self.margin.unrealised
    }

    /// Margin balance less initial margin.
    #[inline]
    pub fn available(&self) -> i128 {
        self.equity() - self.margin.position_initial - self.margin.order_initial
    }

    /// True when the maintenance margin of an open position is no longer covered.
    #[inline]
    pub fn is_breached(&self) -> bool {
        self.margin.position_initial > 0 && self.margin.maintenance >= self.equity()
    }
}

/// One account in one instrument: what every order of it touches, two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Slot {
    /// Position of the account.
    pub account: u32,
    /// Instrument.
    pub instrument: u16,
    /// Leverage in hundredths.
    pub leverage: i32,
    /// True while reduce-only orders rest.
    pub has_reduce_only: bool,
    /// Position.
    pub position: Position,
    /// Sums of its orders that may open.
    pub open_orders: OpenOrders,
    /// Its live orders.
    pub orders: OrderList,
    /// Margin at the last refresh.
    pub margin: Margin,
}

/// One account in one instrument: what is touched now and then.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotDetail {
    /// Realised so far, less fees.
    pub realised: i128,
    /// Lots of its resting reduce-only orders, buy and sell.
    pub reduce_only_lots: [i64; 2],
}

impl Slot {
    /// What its margin depends on.
    #[inline]
    pub fn exposure(&self, mark_ticks: i64) -> Exposure {
        let leverage = i64::from(self.leverage);
        Exposure { position: self.position, orders: self.open_orders, leverage, mark_ticks }
    }

    /// Lots an order of `side` can close.
    #[inline]
    pub fn reducible(&self, side: crate::types::Side) -> i64 {
        (-side.sign()).saturating_mul(self.position.lots).max(0)
    }
}

/// All accounts and slots.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: Vec<Account>,
    index_of: Vec<u32>,
    links: Vec<Links>,
    slots: Vec<Slot>,
    details: Vec<SlotDetail>,
    slot_of: Vec<u32>,
    members: Vec<Vec<u32>>,
    link_orders: HashMap<u128, u64, DigestHasher>,
    /// Sum of all wallets.
    pub wallets: i128,
    /// Sum of all signed entry costs.
    pub costs: i128,
    /// Sum of signed lots per instrument.
    pub lots: Vec<i128>,
    /// Instruments whose signed lots do not sum to zero.
    pub unbalanced: usize,
    /// Everything ever deposited.
    pub deposits: i128,
    /// Everything ever withdrawn.
    pub withdrawals: i128,
}

impl Ledger {
    /// A ledger for that many instruments.
    pub fn new(instruments: usize) -> Self {
        Self { members: vec![Vec::new(); instruments], lots: vec![0; instruments], ..Self::default() }
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
        self.accounts.push(Account { id, wallet: 0, margin: MarginSum::default() });
        self.links.push(Links::default());
        self.slot_of.resize(self.accounts.len() * self.members.len(), NOBODY);
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

    /// Digest over every link id an account ever used.
    pub fn links_digest(&self, account: u32) -> u128 {
        self.links[account as usize].digest
    }

    /// Slots of an instrument in the order of their creation.
    pub fn members(&self, instrument: usize) -> &[u32] {
        &self.members[instrument]
    }

    /// An account's slot in an instrument, if it was ever used.
    #[inline]
    pub fn find_slot(&self, account: u32, instrument: usize) -> Option<u32> {
        let place = account as usize * self.members.len() + instrument;
        self.slot_of.get(place).copied().filter(|slot| *slot != NOBODY)
    }

    /// An account's slot in an instrument, made on first use.
    #[inline]
    pub fn slot_for(&mut self, account: u32, instrument: usize, listed: &Instrument) -> u32 {
        if let Some(slot) = self.find_slot(account, instrument) {
            return slot;
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(NOBODY);
        self.slots.push(Slot {
            account,
            instrument: u16::try_from(instrument).unwrap_or(u16::MAX),
            leverage: i32::try_from(listed.default_leverage()).unwrap_or(i32::MAX),
            has_reduce_only: false,
            position: Position::default(),
            open_orders: OpenOrders::default(),
            orders: OrderList::default(),
            margin: Margin::default(),
        });
        self.details.push(SlotDetail::default());
        self.slot_of[account as usize * self.members.len() + instrument] = slot;
        self.members[instrument].push(slot);
        slot
    }

    /// An account's slots, by instrument.
    pub fn slots_of(&self, account: u32) -> impl Iterator<Item = u32> + '_ {
        let width = self.members.len();
        let start = account as usize * width;
        self.slot_of[start..start + width].iter().copied().filter(|slot| *slot != NOBODY)
    }

    /// Moves money into (or, negative, out of) a wallet.
    #[inline]
    pub fn credit(&mut self, account: u32, amount: i128) {
        self.accounts[account as usize].wallet += amount;
        self.wallets += amount;
    }

    /// Books a fill into a slot's position.
    #[inline]
    pub fn fill(&mut self, slot: u32, lots: i64, value: i128) -> Settled {
        let slot = &mut self.slots[slot as usize];
        let settled = slot.position.fill(lots, value);
        self.costs += settled.cost_change;
        let sum = &mut self.lots[usize::from(slot.instrument)];
        let was_balanced = *sum == 0;
        *sum += i128::from(lots);
        match (was_balanced, *sum == 0) {
            (true, false) => self.unbalanced += 1,
            (false, true) => self.unbalanced -= 1,
            _ => {}
        }
        settled
    }

    /// Replaces a slot's margin and its part of the account's sums.
    #[inline]
    pub fn set_margin(&mut self, slot: u32, margin: Margin) {
        let slot = &mut self.slots[slot as usize];
        let account = &mut self.accounts[slot.account as usize];
        account.margin.replace(&slot.margin, &margin);
        slot.margin = margin;
    }

    /// Replaces the order margin of a slot and its part of the account's sum.
    #[inline]
    pub fn set_order_margin(&mut self, slot: u32, order_initial: i64) {
        let slot = &mut self.slots[slot as usize];
        let account = &mut self.accounts[slot.account as usize];
        account.margin.order_initial += i128::from(order_initial) - i128::from(slot.margin.order_initial);
        slot.margin.order_initial = order_initial;
    }

    /// The order that used a link id, live or not.
    pub fn order_of_link(&self, account: u32, link: &LinkId) -> Option<u64> {
        self.link_orders.get(&self.link_key(account, link)).copied()
    }

    /// Remembers a link id; the oldest is forgotten beyond [`LINK_IDS_MAX`], unless its order still lives.
    pub fn remember_link(&mut self, account: u32, link: &LinkId, order: u64, is_live: impl Fn(u64) -> bool) {
        let key = self.link_key(account, link);
        self.link_orders.insert(key, order);
        let owner = &mut self.links[account as usize];
        owner.digest = Digest::continued(owner.digest).word128(key).finish();
        owner.remembered.push_back(key);
        if owner.remembered.len() > LINK_IDS_MAX {
            let Some(oldest) = owner.remembered.pop_front() else { return };
            if self.link_orders.get(&oldest).is_some_and(|order| is_live(*order)) {
                owner.remembered.push_back(oldest);
            } else {
                self.link_orders.remove(&oldest);
            }
        }
    }

    fn link_key(&self, account: u32, link: &LinkId) -> u128 {
        let mut digest = Digest::default();
        digest.word(u64::from(self.account(account).id)).bytes(link.as_bytes());
        digest.finish()
    }
}
