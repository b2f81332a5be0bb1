//! Clients' own identifiers of orders, as digests: which order used one, and which ones an account used. A store; only
//! accounts that ever used one take memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestHasher};
use crate::types::{AccountId, LinkId};

/// Link ids remembered per account, closed orders included; the oldest closed ones are forgotten first.
pub const LINK_IDS_MAX: usize = 65_536;

/// Link ids of all accounts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LinkIds {
    /// By the position of their account.
    used: BTreeMap<u32, Used>,
    orders: HashMap<u128, u64, DigestHasher>,
}

/// An account's link ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Used {
    /// In the order of their first use.
    remembered: VecDeque<u128>,
    /// Digest over every one ever used, in order.
    digest: u128,
}

impl LinkIds {
    /// True when they could be those of so many accounts.
    pub fn is_sound(&self, accounts: usize) -> bool {
        self.used.keys().all(|account| (*account as usize) < accounts)
    }

    /// Digest over every link id the account at a position ever used.
    pub fn digest(&self, account: u32) -> u128 {
        self.used.get(&account).map_or(0, |used| used.digest)
    }

    /// The order that used a link id, live or not.
    pub fn order(&self, account: AccountId, link: &LinkId) -> Option<u64> {
        self.orders.get(&key(account, link)).copied()
    }

    /// Remembers a link id of the account at a position; the oldest is forgotten beyond [`LINK_IDS_MAX`], unless its order
    /// still lives.
    pub fn remember(
        &mut self,
        (place, account): (u32, AccountId),
        link: &LinkId,
        order: u64,
        is_live: impl Fn(u64) -> bool,
    ) {
        let key = key(account, link);
        self.orders.insert(key, order);
        let used = self.used.entry(place).or_default();
        used.digest = Digest::continued(used.digest).word128(key).finish();
        used.remembered.push_back(key);
        if used.remembered.len() > LINK_IDS_MAX {
            let Some(oldest) = used.remembered.pop_front() else { return };
            if self.orders.get(&oldest).is_some_and(|order| is_live(*order)) {
                used.remembered.push_back(oldest);
            } else {
                self.orders.remove(&oldest);
            }
        }
    }
}

fn key(account: AccountId, link: &LinkId) -> u128 {
    let mut digest = Digest::default();
    digest.word(u64::from(account.0)).bytes(link.as_bytes());
    digest.finish()
}
