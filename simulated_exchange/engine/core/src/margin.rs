//! Margin formulas of cross margin on the mark. Pure: numbers in, numbers out; requirements round up.
//!
//! Choices where the published rules leave room:
//! - The maintenance rate follows the position's own value at the mark (the progressive sum over brackets);
//!   leverage and initial margin follow the tier of the position *plus* its opening orders.
//! - An order's part that closes the position costs nothing; of the two sides only the dearer is held.
//!   Where a side both closes and opens, the opening part is valued at that side's average price.

use crate::fixed::{mul_div_half_up, saturate, share_ceil, Ratio};
use crate::instrument::{Instrument, Tier};
use crate::position::Position;
use crate::types::{Side, LEVERAGE_SCALE, SCALE};

/// Opening orders of an account in an instrument: sums per side (buy, sell), reduce-only orders left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOrders {
    /// Unfilled lots.
    pub lots: [i64; 2],
    /// Their value at their prices; within `2 x MONEY_MAX`, because their lots are bounded.
    pub value: [i64; 2],
}

/// Everything the margin of an account in one instrument depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exposure {
    /// Position.
    pub position: Position,
    /// Opening orders.
    pub orders: OpenOrders,
    /// Leverage in hundredths.
    pub leverage: i64,
    /// Mark price in ticks.
    pub mark_ticks: i64,
}

/// Margin of an account in one instrument. Users' figures are bounded far below 64 bits by the largest position;
/// those of the venue's take-over account saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margin {
    /// Profit at the mark.
    pub unrealised: i64,
    /// Initial margin of the position.
    pub position_initial: i64,
    /// Initial margin of the orders.
    pub order_initial: i64,
    /// Maintenance margin of the position.
    pub maintenance: i64,
}

/// Margin of an account, summed over its instruments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarginSum {
    /// Profit at the marks.
    pub unrealised: i128,
    /// Initial margin of the positions.
    pub position_initial: i128,
    /// Initial margin of the orders.
    pub order_initial: i128,
    /// Maintenance margin of the positions.
    pub maintenance: i128,
}

impl MarginSum {
    /// Adds `new` and takes `old` away.
    #[inline]
    pub fn replace(&mut self, old: &Margin, new: &Margin) {
        let change = |new: i64, old: i64| i128::from(new) - i128::from(old);
        self.unrealised += change(new.unrealised, old.unrealised);
        self.position_initial += change(new.position_initial, old.position_initial);
        self.order_initial += change(new.order_initial, old.order_initial);
        self.maintenance += change(new.maintenance, old.maintenance);
    }
}

/// Index of the tier a value falls into; the last one also holds what lies beyond its limit.
#[inline]
pub fn tier_index(tiers: &[Tier], value: i128) -> usize {
    tiers.iter().position(|tier| value <= tier.limit).unwrap_or(tiers.len() - 1)
}

/// Initial margin, opening and closing fee of an opening order of a value: rules 4.1.
#[inline]
pub fn order_cost(value: i128, side: Side, leverage: i64, taker_fee: Ratio) -> i128 {
    let (margin, leverage, at_bankruptcy) = hundredths(side, leverage);
    let parts = taker_fee.whole * margin + taker_fee.parts * (leverage + at_bankruptcy);
    share_ceil(value, parts, taker_fee.whole * leverage)
}

/// One whole, the leverage, and `L x (1 - 1/L)` for a long, `L x (1 + 1/L)` for a short: value at bankruptcy per value
/// at entry; all in hundredths. A leverage below 1x counts as 1x.
#[inline]
fn hundredths(side: Side, leverage: i64) -> (u64, u64, u64) {
    let leverage = leverage.max(LEVERAGE_SCALE);
    let at_bankruptcy = leverage - side.sign() * LEVERAGE_SCALE;
    (LEVERAGE_SCALE.unsigned_abs(), leverage.unsigned_abs(), at_bankruptcy.unsigned_abs())
}

/// Fee of closing a position at its bankruptcy price, from its entry cost: rules 4.2.
#[inline]
pub fn closing_fee(cost: i128, side: Side, leverage: i64, taker_fee: Ratio) -> i128 {
    let (_, leverage, at_bankruptcy) = hundredths(side, leverage);
    share_ceil(cost.abs(), taker_fee.parts * at_bankruptcy, taker_fee.whole * leverage)
}

/// Maintenance margin of a position value without the closing fee.
#[inline]
pub fn maintenance(value: i128, tier: &Tier) -> i128 {
    tier.maintenance.share_ceil(value) - tier.deduction
}

impl Exposure {
    /// Lots held if the worse side of the orders filled.
    #[inline]
    pub fn lots_at_most(&self) -> i64 {
        let lots = self.position.lots;
        let long = lots.saturating_add(self.orders.lots[0]);
        let short = self.orders.lots[1].saturating_sub(lots);
        long.max(short).max(lots.saturating_abs())
    }

    /// Tier of position plus opening orders, at the mark.
    #[inline]
    pub fn tier<'a>(&self, instrument: &'a Instrument) -> &'a Tier {
        let value = instrument.value(self.lots_at_most(), self.mark_ticks);
        &instrument.tiers[tier_index(&instrument.tiers, value)]
    }

    /// Lots of a side's orders beyond what closes the position.
    #[inline]
    pub fn opening_lots(&self, side: Side) -> i64 {
        let closable = (-side.sign()).saturating_mul(self.position.lots).max(0);
        (self.orders.lots[usize::from(side.to_wire())] - closable).max(0)
    }

    #[inline]
    fn side_cost(&self, side: Side, leverage: i64, taker_fee: Ratio) -> i128 {
        let (lots, value) =
            (self.orders.lots[usize::from(side.to_wire())], self.orders.value[usize::from(side.to_wire())]);
        let opening = self.opening_lots(side);
        if opening == 0 {
            return 0;
        }
        let value = if opening == lots {
            i128::from(value)
        } else {
            share_ceil(i128::from(value), opening.unsigned_abs(), lots.unsigned_abs())
        };
        order_cost(value, side, leverage, taker_fee)
    }

    /// Leverage that counts: what the account chose, within what the tier allows.
    #[inline]
    pub fn effective_leverage(&self, instrument: &Instrument) -> i64 {
        if self.leverage <= instrument.leverage_everywhere {
            return self.leverage;
        }
        self.leverage.min(self.tier(instrument).max_leverage)
    }

    /// Initial margin of the orders alone.
    #[inline]
    pub fn order_initial(&self, instrument: &Instrument) -> i128 {
        self.order_initial_at(self.effective_leverage(instrument), instrument)
    }

    #[inline]
    fn order_initial_at(&self, leverage: i64, instrument: &Instrument) -> i128 {
        let taker_fee = instrument.taker_fee;
        let buy = self.side_cost(Side::Buy, leverage, taker_fee);
        buy.max(self.side_cost(Side::Sell, leverage, taker_fee))
    }

    /// All margin figures.
    #[inline]
    pub fn margin(&self, instrument: &Instrument) -> Margin {
        let taker_fee = instrument.taker_fee;
        let leverage = self.effective_leverage(instrument);
        let mut margin = Margin {
            order_initial: saturate(self.order_initial_at(leverage, instrument)),
            ..Margin::default()
        };
        if self.position.lots != 0 {
            let value = instrument.value(self.position.lots, self.mark_ticks);
            let side = Side::of_position(self.position.lots);
            let fee = closing_fee(self.position.cost, side, leverage, taker_fee);
            let size = value.abs();
            let tier = &instrument.tiers[tier_index(&instrument.tiers, size)];
            margin.unrealised = saturate(value - self.position.cost);
            let at_leverage = share_ceil(size, LEVERAGE_SCALE.unsigned_abs(), leverage.unsigned_abs());
            margin.position_initial = saturate(at_leverage + fee);
            margin.maintenance = saturate(maintenance(size, tier) + fee);
        }
        margin
    }
}

/// Mark price at which an account's maintenance margin equals its margin balance, for one position with
/// everything else fixed: rules 5.3. `cushion` is wallet plus the other positions' profit less their maintenance
/// margin. In units of `10^-8`, rounded half up; `None` when no positive price does it.
pub fn liquidation_price(exposure: &Exposure, cushion: i128, instrument: &Instrument) -> Option<i128> {
    let Position { lots, cost } = exposure.position;
    let side = Side::of_position(lots);
    let leverage = exposure.effective_leverage(instrument);
    let fee = closing_fee(cost, side, leverage, instrument.taker_fee);
    let (scale, sign) = (i128::from(SCALE), i128::from(side.sign()));
    let qty = i128::from(lots.unsigned_abs()) * i128::from(instrument.spec.qty_step.0);
    let mut below = 0; // limit of the tier below
    instrument.tiers.iter().find_map(|tier| {
        // cushion + v - cost = |v| x rate - deduction + fee, with v the signed value sought
        let keep = scale - sign * i128::from(tier.maintenance_rate);
        let needed = sign * (cost - cushion - tier.deduction + fee);
        let size = mul_div_half_up(needed, scale, keep);
        let in_tier = size > below && size <= tier.limit;
        below = tier.limit;
        (in_tier && qty > 0).then(|| mul_div_half_up(needed, scale * scale, keep * qty))
    })
}

/// Mark price at which an account's equity is zero, for one position with everything else fixed.
pub fn bankruptcy_price(
    position: &Position,
    wallet_and_others: i128,
    instrument: &Instrument,
) -> Option<i128> {
    let value = position.cost - wallet_and_others;
    let size = value * i128::from(Side::of_position(position.lots).sign());
    (size > 0).then(|| price_of(size, position.lots, instrument))
}

/// Price per whole unit of a value spread over lots, rounded half up; 0 for no lots or a value below zero.
pub fn price_of(value: i128, lots: i64, instrument: &Instrument) -> i128 {
    if lots == 0 || value < 0 {
        return 0;
    }
    let qty = i128::from(lots.unsigned_abs()) * i128::from(instrument.spec.qty_step.0);
    mul_div_half_up(value, i128::from(SCALE), qty)
}
