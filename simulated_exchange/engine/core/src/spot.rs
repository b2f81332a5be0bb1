//! Spot: the coins themselves change hands. Rules 3.8 and 6.
//!
//! A resting buy holds its value in the quote coin, a resting sell its quantity of the base coin; what is held stays in the
//! wallet and in the margin balance. A fill moves both coins at once; the buyer pays its fee in the base coin, out of what
//! it gets, the seller in the quote coin. There is no position.
//!
//! What may be spent is the coin's own cash, borrowed cash included: wallet less what is held, less losses at the marks of
//! contracts that settle in it, and in isolated margin less what positions and orders hold. In cross margin the account
//! must also bear the haircut: collateral value that the order would lose if it filled. It is reckoned by side over all
//! orders of an instrument, at the mark, with the ratios of the coins' first brackets.
//!
//! An order on leverage may hold more of a coin than there is, as far as it can be borrowed at the worst price it may get:
//! what is held beyond the cash is owed from then on, as every coin below nothing is, and no longer when the order is
//! cancelled. It is amended as a plain one.

use crate::command::NewOrder;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::fixed::{mul_div_ceil, saturate};
use crate::instrument::Instrument;
use crate::margin::Exposure;
use crate::matching::{fee_of, FeeRule, Leg};
use crate::order::Order;
use crate::reject::Reject;
use crate::slot::SpotHolds;
use crate::terms::SelfMatch;
use crate::types::{
    AccountId, CoinId, InstrumentId, MarginMode, Money, OrderId, OrderType, Qty, Side, TradeId, WalletReason,
    MONEY_MAX, SCALE,
};

impl Exchange {
    /// Base coin of a spot instrument; validation has seen that there is one.
    pub(crate) fn base_of(&self, instrument: usize) -> CoinId {
        let listed = &self.instruments[instrument];
        listed.base.unwrap_or(listed.settle)
    }

    /// What may be spent of a coin, borrowed cash included.
    pub(crate) fn cash(&self, account: u32, coin: CoinId) -> i128 {
        let Some(purse) = self.ledger.find_purse(account, coin) else { return 0 };
        let held = self.ledger.purse(purse);
        match self.ledger.account(account).margin_mode {
            MarginMode::Isolated => held.isolated_free(),
            MarginMode::Cross => held.wallet - held.extras().locked + held.margin.unrealised.min(0),
        }
    }

    /// Stage 2 for what only spot orders can ask for; returns the lots.
    #[cold]
    pub(crate) fn on_spot_terms(
        &self,
        order: &NewOrder,
        account: u32,
        instrument: usize,
        limit: i64,
        lots: i64,
    ) -> Result<i64, Reject> {
        if !self.instruments[instrument].is_spot || order.terms.holds {
            return Err(Reject::SpotTermsInvalid);
        }
        if order.terms.is_leveraged && self.ledger.account(account).margin_mode == MarginMode::Isolated {
            return Err(Reject::NoLoansInIsolatedMode);
        }
        if !order.terms.in_quote {
            return Ok(lots);
        }
        if order.order_type != OrderType::Market || order.side != Side::Buy {
            return Err(Reject::SpotTermsInvalid);
        }
        if !(1..=MONEY_MAX).contains(&order.qty.0) {
            return Err(Reject::QtyInvalid);
        }
        let lots = self.lots_for(order, account, instrument, limit);
        let qty = self.instruments[instrument].qty(lots);
        let largest = self.instruments[instrument].spec.max_market_qty;
        self.lots_within_limits(instrument, qty, largest).map_err(|reject| match reject {
            Reject::QtyInvalid => Reject::QtyBelowMinimum, // not a single lot
            reject => reject,
        })
    }

    /// Lots that an amount of the quote coin buys up to a limit; what the book does not hold is reckoned at the limit.
    fn lots_for(&self, order: &NewOrder, account: u32, instrument: usize, limit: i64) -> i64 {
        let (listed, book) = (&self.instruments[instrument], &self.books[instrument]);
        let (mut left, mut lots) = (i128::from(order.qty.0), 0_i64);
        let buys = |left: i128, ticks: i64| saturate(left / listed.value(1, ticks).max(1));
        for ticks in book.prices(Side::Sell).take_while(|ticks| *ticks <= limit) {
            for index in book.queue(&self.orders, Side::Sell, ticks) {
                let maker = self.orders.get(index);
                if order.terms.self_match != SelfMatch::Allow && self.are_same_trader(account, maker.account)
                {
                    if order.terms.self_match == SelfMatch::CancelMaker {
                        continue;
                    }
                    return lots.saturating_add(buys(left, ticks));
                }
                let taken = maker.leaves.min(buys(left, ticks));
                lots = lots.saturating_add(taken);
                left -= listed.value(taken, ticks);
                if taken < maker.leaves {
                    return lots;
                }
            }
        }
        lots.saturating_add(buys(left, limit))
    }

    /// Stage 3 for spot: the coin that is paid with must be there, or borrowable, and the haircut borne. `released` is
    /// what an order that is amended holds now.
    #[cold]
    pub(crate) fn hold_spot(
        &self,
        (account, instrument): (u32, usize),
        before: &Exposure,
        (released, borrows): (i128, bool),
        (side, lots, ticks): (Side, i64, i64),
    ) -> Result<(), Reject> {
        let listed = &self.instruments[instrument];
        let mut after = *before;
        let sums = after.orders.of_mut(side);
        sums.lots = sums.lots.saturating_add(lots);
        sums.size = sums.size.saturating_add(listed.size(lots, ticks));
        if sums.lots > listed.position_lots_max {
            return Err(Reject::PositionLimit);
        }
        let (coin, needed) = match side {
            Side::Buy => (listed.settle, listed.value(lots, ticks)),
            Side::Sell => (self.base_of(instrument), listed.qty_of(lots)),
        };
        let more = i128::from(after.haircut(listed)) - i128::from(before.haircut(listed));
        let more = self.in_usd(listed.settle, more);
        let short = needed - released - self.cash(account, coin);
        let owner = self.ledger.account(account);
        if short <= 0 {
            let is_borne = owner.margin_mode == MarginMode::Isolated || more <= owner.available().max(0);
            return if is_borne { Ok(()) } else { Err(Reject::InsufficientBalance) };
        }
        if !borrows {
            return Err(Reject::InsufficientBalance);
        }
        if short > self.borrowable(account, coin) {
            return Err(Reject::BorrowLimit);
        }
        if self.worth_after(account, coin, |held| held.extras_mut().locked += needed).available()
            < more.max(0)
        {
            return Err(Reject::InsufficientBalance);
        }
        Ok(())
    }

    /// What a resting order holds of the coin it pays with.
    pub(crate) fn held_by(&self, order: &Order) -> i128 {
        let listed = &self.instruments[usize::from(order.instrument)];
        match order.side {
            Side::Buy => listed.value(order.leaves, order.ticks()),
            Side::Sell => listed.qty_of(order.leaves),
        }
    }

    /// Of `lots` that an order is about to buy beyond the price of its hold, those that can be paid.
    #[cold]
    pub(crate) fn payable(&self, slot: u32, side: Side, lots: i64, ticks: i64) -> i64 {
        let held = self.ledger.slot(slot);
        let listed = &self.instruments[usize::from(held.instrument)];
        if side == Side::Sell {
            return lots;
        }
        let each = listed.value(1, ticks).max(1);
        saturate((self.cash(held.account, listed.settle) / each).clamp(0, i128::from(lots)))
    }

    /// Brings up to date what a slot's orders hold in both coins, and their haircut.
    #[cold]
    pub(crate) fn refresh_spot(&mut self, slot: u32) {
        let held = self.ledger.slot(slot);
        let (account, instrument) = (held.account, usize::from(held.instrument));
        let listed = &self.instruments[instrument];
        let exposure = held.exposure(self.markets[instrument].mark_ticks);
        let waiting = self.waiting_holds(slot);
        let holds = SpotHolds {
            quote: waiting.quote + i128::from(held.open_orders.of(Side::Buy).size),
            base: waiting.base + listed.qty_of(held.open_orders.of(Side::Sell).lots),
            haircut: i128::from(exposure.haircut(listed)),
        };
        if holds != self.ledger.detail(slot).extras().holds {
            let base_purse = self.ledger.purse_for(account, self.base_of(instrument));
            self.ledger.hold(slot, base_purse, holds);
            self.touch(account);
        }
    }

    /// Books one side of a spot fill: two coins and a fee; returns the fee.
    #[cold]
    pub(crate) fn settle_spot(&mut self, leg: &Leg) -> i128 {
        let slot = self.ledger.slot(leg.slot);
        let (owner, quote_purse, index) = (slot.account, slot.purse, usize::from(slot.instrument));
        let listed = &self.instruments[index];
        let (qty, value) = (listed.qty_of(leg.lots), leg.value.abs());
        let rate = match leg.fee {
            FeeRule::Rate(rate) | FeeRule::AsFarAsItCan(rate) => rate,
            FeeRule::None => 0,
        };
        let (base, quote) = (self.base_of(index), listed.settle);
        let (fee, fee_coin) = match leg.side {
            Side::Buy => (fee_of(qty, rate), base),
            Side::Sell => (fee_of(value, rate), quote),
        };
        let base_purse = self.ledger.purse_for(owner, base);
        let sign = i128::from(leg.side.sign());
        let (mut base_change, mut quote_change) = (qty * sign, -value * sign);
        *(if leg.side == Side::Buy { &mut base_change } else { &mut quote_change }) -= fee;
        self.ledger.credit(base_purse, base_change);
        self.ledger.credit(quote_purse, quote_change);
        let fees = self.fee_purse(fee_coin);
        self.ledger.credit(fees, fee);
        self.refresh(leg.slot);
        self.touch(owner);
        self.emit_spot_fill(leg, fee);
        self.emit_wallet(base_purse, base_change, WalletReason::Trade);
        self.emit_wallet(quote_purse, quote_change, WalletReason::Trade);
        fee
    }

    fn emit_spot_fill(&mut self, leg: &Leg, fee: i128) {
        let slot = self.ledger.slot(leg.slot);
        let listed = &self.instruments[usize::from(slot.instrument)];
        let fill = EventKind::Fill {
            trade_id: TradeId(leg.trade_id),
            order_id: OrderId(leg.order_id),
            account: AccountId(self.ledger.account(slot.account).id),
            instrument: InstrumentId(slot.instrument),
            position_index: slot.index,
            side: leg.side,
            price: leg.price,
            qty: listed.qty(leg.lots),
            fee: Money(saturate(fee)),
            is_maker: leg.is_maker,
            leaves: listed.qty(leg.leaves),
            closed_qty: Qty(0),
            realised_pnl: Money(0),
            position_qty: Qty(0),
            kind: leg.kind,
        };
        self.emit(fill);
    }
}

impl Exposure {
    /// Collateral value that a side's orders would lose at the mark if they filled, in the quote coin; rounded up.
    pub(crate) fn haircut(&self, instrument: &Instrument) -> i64 {
        let part = |amount: i128, ratio: i64| mul_div_ceil(amount, i128::from(ratio), i128::from(SCALE));
        let (base_ratio, quote_ratio) = instrument.collateral_ratios;
        let lost = |side: Side| {
            let orders = self.orders.of(side);
            let quote = part(i128::from(orders.size), quote_ratio);
            let base = part(instrument.value(orders.lots, self.mark_ticks), base_ratio);
            (i128::from(side.sign()) * (quote - base)).max(0)
        };
        saturate(lost(Side::Buy) + lost(Side::Sell))
    }
}
