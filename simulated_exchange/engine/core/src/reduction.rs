//! Stepping a position down: an order of the venue that closes, in the real book, what stands above the limit of the tier
//! below. Rules 5.4. The order is the owner's: it has a number of its own and is told like any other. One that would
//! meet nobody is not sent.

use crate::entry::{band_edge, within_band};
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{div_ceil, div_floor, saturate};
use crate::instrument::Instrument;
use crate::margin::tier_index;
use crate::matching::{FeeRule, Taker};
use crate::terms::CreateType;
use crate::terms::SelfMatch;
use crate::types::{
    AccountId, CancelReason, FillKind, InstrumentId, LinkId, OrderId, OrderType, Side, TimeInForce,
};

impl Exchange {
    /// Reduces a position above the lowest tier towards the tier below, at no price worse than one in ticks at which
    /// closing it leaves nothing; true when something filled.
    pub(crate) fn step_down(&mut self, slot: u32, bankruptcy: i64) -> bool {
        let held = self.ledger.slot(slot);
        let (lots, index) = (held.position.lots, usize::from(held.instrument));
        let (listed, market) = (&self.instruments[index], &self.markets[index]);
        let excess = excess_lots(listed, lots, market.mark_ticks);
        if excess == 0 {
            return false;
        }
        let side = Side::of_position(lots).opposite();
        let edge = band_edge(side, market.max_buy_ticks, market.min_sell_ticks);
        let limit = within_band(side, bankruptcy.clamp(1, listed.max_ticks), edge);
        let fee = FeeRule::AsFarAsItCan(listed.spec.taker_fee);
        let mut taker = forced(slot, index, side, (excess, limit), fee);
        let is_whole = self.liquidation.fill_or_kill;
        if !self.would_take(&taker) || is_whole && self.fillable(&taker) < excess {
            return false;
        }
        self.last_order += 1;
        taker.order_id = self.last_order;
        self.tell_forced(&taker);
        self.match_taker(&mut taker);
        if taker.leaves > 0 {
            let account = AccountId(self.ledger.account(self.ledger.slot(slot).account).id);
            let instrument = InstrumentId(self.ledger.slot(slot).instrument);
            let reason = CancelReason::ImmediateOrCancel;
            self.emit_cancelled(taker.order_id, account, instrument, taker.leaves, reason);
        }
        taker.leaves < excess
    }

    fn tell_forced(&mut self, taker: &Taker) {
        let held = self.ledger.slot(taker.slot);
        let listed = &self.instruments[taker.instrument];
        let is_whole = self.liquidation.fill_or_kill;
        self.emit(EventKind::OrderAccepted {
            order_id: OrderId(taker.order_id),
            account: AccountId(self.ledger.account(held.account).id),
            instrument: InstrumentId(held.instrument),
            position_index: held.index,
            side: taker.side,
            order_type: OrderType::Limit,
            time_in_force: if is_whole { TimeInForce::FillOrKill } else { TimeInForce::ImmediateOrCancel },
            price: listed.price(taker.limit),
            qty: listed.qty(taker.leaves),
            reduce_only: true,
            link_id: LinkId::NONE,
            create_type: CreateType::Liquidation,
        });
    }
}

/// Lots that stand above the limit of the tier below, at least one; 0 in the lowest tier.
fn excess_lots(listed: &Instrument, lots: i64, mark_ticks: i64) -> i64 {
    let size = listed.value(lots, mark_ticks).abs();
    let tier = tier_index(&listed.tiers, size);
    if lots == 0 || tier == 0 {
        return 0;
    }
    let excess = size - listed.tiers[tier - 1].limit;
    saturate(div_ceil(excess, listed.value(1, mark_ticks).abs())).clamp(1, lots.abs())
}

/// Price in ticks at which closing a position of signed lots would use up an equity in the settlement coin, rounded
/// towards the mark; the far end of the scale when no price does.
pub(crate) fn bankruptcy_ticks(listed: &Instrument, lots: i64, mark_ticks: i64, equity: i128) -> i64 {
    let size = listed.value(lots, mark_ticks).abs();
    let toward = i128::from(lots.signum() * listed.direction);
    if listed.direction > 0 {
        let room = saturate(div_floor(equity, listed.value(lots.abs(), 1)));
        return mark_ticks.saturating_sub(room.saturating_mul(lots.signum()));
    }
    let at_bankruptcy = size - toward * equity;
    if at_bankruptcy <= 0 {
        return listed.max_ticks;
    }
    ticks_of_size(listed, lots, at_bankruptcy)
}

/// Price in ticks at which signed lots have a size, rounded against the position: up for a long, down for a short.
pub(crate) fn ticks_of_size(listed: &Instrument, lots: i64, size: i128) -> i64 {
    let rounded = |n: i128, d: i128| saturate(if lots > 0 { div_ceil(n, d) } else { div_floor(n, d) });
    if listed.direction > 0 {
        rounded(size, listed.value(lots.abs(), 1))
    } else {
        rounded(i128::from(lots.unsigned_abs()) * listed.lot_over_tick, size)
    }
}

/// An order the venue sends, for a liquidated account or for itself.
pub(crate) fn forced(
    slot: u32,
    instrument: usize,
    side: Side,
    (lots, limit): (i64, i64),
    fee: FeeRule,
) -> Taker {
    Taker {
        order_id: 0,
        slot,
        instrument,
        side,
        limit,
        leaves: lots,
        valued: limit,
        reduce_only: true,
        fee,
        kind: FillKind::Trade,
        blocked: false,
        self_match: SelfMatch::Allow,
        met: 0,
        filled_value: 0,
        fee_paid: 0,
        collected: 0,
    }
}
