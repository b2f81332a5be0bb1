//! Plain fills: one side of a trade between users, in a contract that settles in a coin worth one USD, after which
//! nothing is owed.

use crate::account::Settlement;
use crate::exchange::Exchange;
use crate::margin::Exposure;
use crate::matching::{fee_of, FeeRule, Leg};

impl Exchange {
    /// Books one side of a fill; returns the fee. Without a result nothing has changed.
    #[inline]
    pub(crate) fn settle_plain(&mut self, leg: &Leg) -> Option<i128> {
        let FeeRule::Rate(rate) = leg.fee else { return None };
        let slot = self.ledger.slot(leg.slot);
        let (owner, purse, place) = (slot.account, slot.purse, usize::from(slot.instrument));
        let listed = &self.instruments[place];
        if !listed.is_plain || slot.is_isolated || owner < self.first_user {
            return None;
        }
        let lots = leg.lots * leg.side.sign();
        let mut position = slot.position;
        let settled = position.fill(lots, leg.value);
        let exposure = Exposure { position, ..slot.exposure(self.markets[place].mark_ticks) };
        let (margin, fee) = (exposure.margin(listed), fee_of(leg.value, rate));
        if self.takes_long_way || !self.ledger.owes_nothing_after(leg.slot, settled.realised - fee, &margin) {
            return None;
        }
        let settlement = Settlement { position, settled, lots, fee, margin };
        let fees = self.fee_purse(listed.settle);
        self.ledger.settle_at_par(leg.slot, &settlement);
        self.ledger.collect_at_par(fees, fee);
        self.count_realised(leg, &settled, fee);
        self.touch(owner);
        self.tell_settled(leg, &settled, fee, purse);
        Some(fee)
    }
}
