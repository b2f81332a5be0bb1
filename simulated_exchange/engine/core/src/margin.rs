//! Margin formulas of cross margin on the mark. Pure: numbers in, numbers out; requirements round up.
//!
//! Choices where the published rules leave room:
//! - The maintenance rate follows the position's own value at the mark (the progressive sum over brackets), or at entry
//!   where an instrument margins isolated positions so;
//!   leverage and initial margin follow the tier of the position *plus* its opening orders.
//! - An order's cost is rounded up order by order. An order's part that closes the position costs nothing; of the two
//!   sides only the dearer is held. Where a side both closes and opens, its cost counts by the share of its opening lots.
//! - What a side's orders would lose at the mark is reckoned over the whole side, gains against losses.
//!
//! A *value* is signed as in `Instrument::value`, a *size* is not. The sign of a side times the direction of its contract
//! says which way value at bankruptcy lies from value at entry: below it for `+1`, above it for `-1`.

use serde::{Deserialize, Serialize};

use crate::fixed::{mul_div_half_up, narrow_share_ceil, saturate, share_ceil, Ratio};
use crate::instrument::{Instrument, Tier};
use crate::position::Position;
use crate::types::{Side, LEVERAGE_SCALE, SCALE};

/// The least closing fee that a break-even price reckons with: 0.055 %.
const BREAK_EVEN_FEE_MIN: i64 = 55_000;

/// Opening orders of one side of an account in an instrument, reduce-only orders left out. An account's lots, and those of
/// one order more, are each within `MONEY_MAX`: sums of them need no care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideOrders {
    /// Unfilled lots.
    pub lots: i64,
    /// Their size at their prices; within `2 x MONEY_MAX`, because their lots are bounded.
    pub size: i64,
    /// Their costs, each rounded up on its own, at the slot's leverage.
    pub cost: i64,
}

impl SideOrders {
    /// With more of everything.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "three additions")]
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        Self { lots: self.lots + more.lots, size: self.size + more.size, cost: self.cost + more.cost }
    }

    /// With less of everything.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "three additions")]
    #[must_use]
    pub fn without(self, less: Self) -> Self {
        Self { lots: self.lots - less.lots, size: self.size - less.size, cost: self.cost - less.cost }
    }

    /// Lots beyond those that close a position.
    #[inline]
    pub fn opening_lots(self, closable: i64) -> i64 {
        (self.lots - closable).max(0)
    }

    /// Their cost by the share of their opening lots.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn opening_cost(self, closable: i64) -> i64 {
        // mostly a side opens as a whole or not at all, which nobody can foresee: one question fewer
        let opening = self.lots - closable;
        if opening.min(closable) > 0 {
            return self.cost_share(opening);
        }
        if opening > 0 {
            self.cost
        } else {
            0
        }
    }

    /// The share of their cost that so many of their lots have.
    #[inline(never)]
    fn cost_share(self, lots: i64) -> i64 {
        saturate(share_ceil(i128::from(self.cost), lots.unsigned_abs(), self.lots.unsigned_abs()))
    }

    /// What they would lose if they filled, as a whole, where their lots have a size at the mark. `toward` is the sign of
    /// their side times the direction of the contract.
    #[inline]
    pub fn loss(self, toward: i64, size_at_mark: i64) -> i64 {
        (toward * (self.size - size_at_mark)).max(0)
    }
}

/// Lots of a side that close a position of signed lots.
#[inline]
pub fn closable(side: Side, held: i64) -> i64 {
    (-side.sign() * held).max(0)
}

/// Opening orders of an account in an instrument: buys, sells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrders(pub [SideOrders; 2]);

impl OpenOrders {
    /// Those of a side.
    #[inline]
    pub fn of(&self, side: Side) -> SideOrders {
        self.0[usize::from(side.to_wire())]
    }

    /// Those of a side, to change.
    #[inline]
    pub fn of_mut(&mut self, side: Side) -> &mut SideOrders {
        &mut self.0[usize::from(side.to_wire())]
    }

    /// Lots held beside a position of signed lots if the worse side of the orders filled.
    #[inline]
    pub fn lots_at_most(&self, held: i64) -> i64 {
        let [buy, sell] = &self.0;
        (held + buy.lots).max(sell.lots - held).max(held.abs())
    }

    /// Lots of a side beyond what closes a position of signed lots.
    #[inline]
    pub fn opening_lots(&self, side: Side, held: i64) -> i64 {
        self.of(side).opening_lots(closable(side, held))
    }

    /// Initial margin of the orders beside a position of signed lots: only the side against it closes.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn initial(&self, held: i64) -> i64 {
        let cost = |side: Side| self.of(side).opening_cost(closable(side, held));
        cost(Side::Buy).max(cost(Side::Sell))
    }

    /// What the orders would lose at the mark if they filled, each side as a whole.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn loss(&self, mark_ticks: i64, instrument: &Instrument) -> i64 {
        let loss = |side: Side| match self.of(side) {
            SideOrders { lots: 0, .. } => 0,
            orders => {
                orders.loss(side.sign() * instrument.direction, instrument.size(orders.lots, mark_ticks))
            }
        };
        loss(Side::Buy) + loss(Side::Sell)
    }
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
    /// The position is backed by its own margin: its initial margin comes from its entry, not from the mark.
    pub is_isolated: bool,
}

/// Margin of an account in one instrument. Users' figures are bounded far below 64 bits by the largest position;
/// those of the venue's take-over account saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Margin {
    /// Initial margin of the orders.
    pub order_initial: i64,
    /// What the orders would lose at the mark if they filled.
    pub order_loss: i64,
    /// Profit at the mark.
    pub unrealised: i64,
    /// Initial margin of the position.
    pub position_initial: i64,
    /// Maintenance margin of the position.
    pub maintenance: i64,
}

/// Margin of an account in one coin, summed over its slots that settle in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct MarginSum {
    /// Initial margin of the orders.
    pub order_initial: i128,
    /// What the orders would lose at the marks if they filled.
    pub order_loss: i128,
    /// Profit at the marks.
    pub unrealised: i128,
    /// Initial margin of the positions.
    pub position_initial: i128,
    /// Maintenance margin of the positions.
    pub maintenance: i128,
}

impl Margin {
    /// How much more of everything it is than another one; of users' figures.
    #[inline]
    #[must_use]
    pub fn less(&self, before: &Self) -> Self {
        Self {
            order_initial: self.order_initial - before.order_initial,
            order_loss: self.order_loss - before.order_loss,
            unrealised: self.unrealised - before.unrealised,
            position_initial: self.position_initial - before.position_initial,
            maintenance: self.maintenance - before.maintenance,
        }
    }
}

impl MarginSum {
    /// Adds to everything.
    #[inline]
    pub fn add(&mut self, more: &Margin) {
        self.order_initial += i128::from(more.order_initial);
        self.order_loss += i128::from(more.order_loss);
        self.unrealised += i128::from(more.unrealised);
        self.position_initial += i128::from(more.position_initial);
        self.maintenance += i128::from(more.maintenance);
    }

    /// Adds `new` and takes `old` away.
    #[inline]
    pub fn replace(&mut self, old: &Margin, new: &Margin) {
        let change = |new: i64, old: i64| i128::from(new) - i128::from(old);
        self.unrealised += change(new.unrealised, old.unrealised);
        self.position_initial += change(new.position_initial, old.position_initial);
        self.order_initial += change(new.order_initial, old.order_initial);
        self.maintenance += change(new.maintenance, old.maintenance);
        self.order_loss += change(new.order_loss, old.order_loss);
    }
}

/// Index of the tier a value falls into; the last one also holds what lies beyond its limit.
#[inline]
pub fn tier_index(tiers: &[Tier], value: i128) -> usize {
    tiers.iter().position(|tier| value <= tier.limit).unwrap_or(tiers.len() - 1)
}

/// Initial margin, opening and closing fee of an opening order of a size: rules 4.1. `toward` is the sign of the order's
/// side times the direction of the contract.
#[inline]
pub fn order_cost(size: i128, toward: i64, leverage: i64, taker_fee: Ratio) -> i128 {
    let (parts, whole) = order_share(toward, leverage, taker_fee);
    share_ceil(size, parts, whole)
}

/// The same as parts of a whole of the size.
#[inline]
pub fn order_share(toward: i64, leverage: i64, taker_fee: Ratio) -> (u64, u64) {
    let (margin, leverage, at_bankruptcy) = hundredths(toward, leverage);
    let parts = taker_fee.whole * margin + taker_fee.parts * (leverage + at_bankruptcy);
    (parts, taker_fee.whole * leverage)
}

/// One whole, the leverage, and `L x (1 - 1/L)` or `L x (1 + 1/L)`: size at bankruptcy per size at entry; all in
/// hundredths. A leverage below 1x counts as 1x.
#[inline]
fn hundredths(toward: i64, leverage: i64) -> (u64, u64, u64) {
    let leverage = leverage.max(LEVERAGE_SCALE);
    let at_bankruptcy = leverage - toward * LEVERAGE_SCALE;
    (LEVERAGE_SCALE.unsigned_abs(), leverage.unsigned_abs(), at_bankruptcy.unsigned_abs())
}

/// Fee of closing a position at its bankruptcy price, from its entry cost: rules 4.2.
#[inline]
pub fn closing_fee(cost: i128, toward: i64, leverage: i64, taker_fee: Ratio) -> i128 {
    let (_, leverage, at_bankruptcy) = hundredths(toward, leverage);
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
        self.orders.lots_at_most(self.position.lots)
    }

    /// Tier of position plus opening orders, at the mark.
    #[inline]
    pub fn tier<'a>(&self, instrument: &'a Instrument) -> &'a Tier {
        let size = instrument.value(self.lots_at_most(), self.mark_ticks).abs();
        &instrument.tiers[tier_index(&instrument.tiers, size)]
    }

    /// Lots of a side's orders beyond what closes the position.
    #[inline]
    pub fn opening_lots(&self, side: Side) -> i64 {
        self.orders.opening_lots(side, self.position.lots)
    }

    /// Leverage that counts: what the account chose, within what the tier allows.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn effective_leverage(&self, instrument: &Instrument) -> i64 {
        if self.leverage <= instrument.leverage_everywhere {
            return self.leverage;
        }
        self.leverage.min(self.tier(instrument).max_leverage)
    }

    /// Initial margin of the orders alone.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn order_initial(&self) -> i64 {
        self.orders.initial(self.position.lots)
    }

    /// What the orders would lose at the mark if they filled.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn order_loss(&self, instrument: &Instrument) -> i64 {
        self.orders.loss(self.mark_ticks, instrument)
    }

    /// All margin figures.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    pub fn margin(&self, instrument: &Instrument) -> Margin {
        if instrument.is_spot {
            return Margin::default();
        }
        let mut margin = Margin {
            order_initial: self.order_initial(),
            order_loss: self.order_loss(instrument),
            ..Margin::default()
        };
        if self.position.lots == 0 {
            return margin;
        }
        let leverage = self.effective_leverage(instrument);
        if self.narrow_margin(leverage, instrument, &mut margin).is_none() {
            self.wide_margin(leverage, instrument, &mut margin);
        }
        margin
    }

    /// The position's part of all margin figures.
    #[cold]
    fn wide_margin(&self, leverage: i64, instrument: &Instrument, margin: &mut Margin) {
        let value = instrument.value(self.position.lots, self.mark_ticks);
        let toward = self.toward(instrument);
        let fee = closing_fee(self.position.cost, toward, leverage, instrument.taker_fee);
        margin.unrealised = saturate(value - self.position.cost);
        let valued = if self.is_isolated { self.position.cost.abs() } else { value.abs() };
        let size = if self.keeps_entry(instrument) { valued } else { value.abs() };
        let tier = &instrument.tiers[tier_index(&instrument.tiers, size)];
        let at_leverage = share_ceil(valued, LEVERAGE_SCALE.unsigned_abs(), leverage.unsigned_abs());
        margin.position_initial = saturate(at_leverage + fee);
        margin.maintenance = saturate(maintenance(size, tier) + fee);
    }

    /// The same, where nothing on the way needs more than 64 bits.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what it is asked about is then never put together in memory")]
    fn narrow_margin(&self, leverage: i64, instrument: &Instrument, margin: &mut Margin) -> Option<()> {
        let value = instrument.narrow_value(self.position.lots, self.mark_ticks)?;
        let cost = i64::try_from(self.position.cost).ok()?;
        let valued = if self.is_isolated { cost.unsigned_abs() } else { value.unsigned_abs() };
        let size = if self.keeps_entry(instrument) { valued } else { value.unsigned_abs() };
        let tier = &instrument.tiers[tier_index(&instrument.tiers, i128::from(size))];
        let (whole, leverage, at_bankruptcy) = hundredths(self.toward(instrument), leverage);
        let fee_rate = instrument.taker_fee;
        let (parts, all) = (fee_rate.parts * at_bankruptcy, fee_rate.whole * leverage);
        let fee = narrow_share_ceil(cost.unsigned_abs(), parts, all)?;
        let at_leverage = narrow_share_ceil(valued, whole, leverage)?;
        let kept = narrow_share_ceil(size, tier.maintenance.parts, tier.maintenance.whole)?;
        let deduction = i64::try_from(tier.deduction).ok()?;
        let initial = i64::try_from(at_leverage.checked_add(fee)?).ok()?;
        let maintenance = i64::try_from(kept.checked_add(fee)?).ok()?.checked_sub(deduction)?;
        margin.unrealised = value.checked_sub(cost)?;
        (margin.position_initial, margin.maintenance) = (initial, maintenance);
        Some(())
    }

    /// True when the maintenance margin does not follow the mark: rules 5.2, classic.
    #[inline]
    fn keeps_entry(&self, instrument: &Instrument) -> bool {
        self.is_isolated && instrument.spec.isolated_on_entry
    }

    /// Sign of the position's side times the direction of its contract.
    #[inline]
    pub fn toward(&self, instrument: &Instrument) -> i64 {
        Side::of_position(self.position.lots).sign() * instrument.direction
    }
}

/// Mark price at which an account's maintenance margin equals its margin balance, for one position with
/// everything else fixed: rules 5.3. `cushion` is wallet plus the other positions' profit less their maintenance
/// margin. In units of `10^-8`, rounded half up; `None` when no positive price does it.
pub fn liquidation_price(exposure: &Exposure, cushion: i128, instrument: &Instrument) -> Option<i128> {
    let Position { lots, cost } = exposure.position;
    let toward = exposure.toward(instrument);
    let leverage = exposure.effective_leverage(instrument);
    let fee = closing_fee(cost, toward, leverage, instrument.taker_fee);
    let (scale, sign) = (i128::from(SCALE), i128::from(toward));
    if exposure.keeps_entry(instrument) {
        let kept = i128::from(exposure.margin(instrument).maintenance);
        let size = sign * (cost - cushion + kept);
        return (size > 0 && lots != 0).then(|| price_of(size, lots, instrument));
    }
    let mut below = 0; // limit of the tier below
    instrument.tiers.iter().find_map(|tier| {
        // cushion + v - cost = |v| x rate - deduction + fee, with v the signed value sought
        let keep = scale - sign * i128::from(tier.maintenance_rate);
        let needed = sign * (cost - cushion - tier.deduction + fee);
        let size = mul_div_half_up(needed, scale, keep);
        let in_tier = size > below && size <= tier.limit;
        below = tier.limit;
        (in_tier && lots != 0).then(|| price_of_share(needed, keep, lots, instrument))
    })
}

/// Mark price at which an account's equity is zero, for one position with everything else fixed.
pub fn bankruptcy_price(
    position: &Position,
    wallet_and_others: i128,
    instrument: &Instrument,
) -> Option<i128> {
    let toward = Side::of_position(position.lots).sign() * instrument.direction;
    let size = (position.cost - wallet_and_others) * i128::from(toward);
    (size > 0).then(|| price_of(size, position.lots, instrument))
}

/// Price at which closing a position pays for what the present holding has realised so far, fees included, and for the
/// closing fee itself: rules 9. In units of `10^-8`, rounded half up; `None` when no positive price does it.
pub fn break_even_price(position: &Position, realised: i128, instrument: &Instrument) -> Option<i128> {
    let toward = i128::from(Side::of_position(position.lots).sign() * instrument.direction);
    let fee = i128::from(instrument.spec.taker_fee.max(BREAK_EVEN_FEE_MIN));
    let (size, keep) = ((position.cost - realised) * toward, i128::from(SCALE) - toward * fee);
    (size > 0 && position.lots != 0).then(|| price_of_share(size, keep, position.lots, instrument))
}

/// Price per whole unit of a size spread over lots, rounded half up; 0 for no lots or a size below zero.
#[inline]
pub fn price_of(size: i128, lots: i64, instrument: &Instrument) -> i128 {
    let narrow = || narrow_price(u64::try_from(size).ok()?, lots, instrument);
    narrow().map_or_else(|| price_of_share(size, i128::from(SCALE), lots, instrument), i128::from)
}

/// The same of a linear contract, in ticks and what is left of one, where nothing on the way needs more than 64 bits.
#[inline]
fn narrow_price(size: u64, lots: i64, instrument: &Instrument) -> Option<u64> {
    let (lot, tick) =
        (u64::try_from(instrument.lot_tick_value).ok()?, instrument.spec.tick_size.0.unsigned_abs());
    let each = lots.unsigned_abs().checked_mul(lot).filter(|each| *each > 0)?;
    let (ticks, rest) = (size / each, size % each);
    let part = rest.checked_mul(2 * tick)?.checked_add(each)? / each.checked_mul(2)?;
    ticks.checked_mul(tick)?.checked_add(part)
}

/// As `price_of`, of a size of `size / share`, where a share of `SCALE` is one whole: rounded once.
fn price_of_share(size: i128, share: i128, lots: i64, instrument: &Instrument) -> i128 {
    let (qty, scale) = (instrument.qty_of(lots), i128::from(SCALE));
    if qty == 0 || size <= 0 || share <= 0 {
        return 0;
    }
    if instrument.direction > 0 {
        mul_div_half_up(size, scale * scale, share * qty)
    } else {
        mul_div_half_up(qty, share, size)
    }
}
