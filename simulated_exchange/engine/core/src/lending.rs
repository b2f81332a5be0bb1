//! Lending of a coin: the rate curve, interest of an hour, what may still be borrowed, suppliers' shares, and the
//! ladder of a pool that has lent too much: rules 7. Pure: numbers in, numbers out. Whose loan is repaid with what
//! stands in `repayment`.
//!
//! Choices where the published rules leave room:
//! - The venue calls its rates "floating" and publishes no formula; ours is a two-slope curve over the pool's
//!   utilisation, as Aave-style lenders publish it.
//! - Interest is rounded half up, as the published record shows; supply shares always round in the pool's favour.
//! - The penalty's power applies to the rate. No hour costs more than what is owed.

use serde::{Deserialize, Serialize};

use crate::fixed::{
    div_ceil, div_floor, div_half_up, mul_div_ceil, mul_div_floor, mul_div_half_up, saturate,
};
use crate::types::{wire_enum, Money, Qty, RATE_SCALE, SCALE};

/// What a supplier may lose by rounding, in units of the coin; beyond it no more than the part below.
const ROUNDED_MAX: i128 = 100;
/// One part in so many.
const ROUNDED_PER: i128 = 1_000_000;

/// One hour of market time.
pub const HOUR_MS: i64 = 3_600_000;
/// Interest is charged this long after each full hour.
pub const INTEREST_AFTER_MS: i64 = 300_000;
/// Accounts that asked for it repay at every full and half hour.
pub const AUTO_REPAY_EVERY_MS: i64 = 1_800_000;
/// Within each hour nobody repays by hand from here ...
const REPAYMENT_CLOSES_MS: i64 = 240_000;
/// ... to here: the interest run.
const REPAYMENT_OPENS_MS: i64 = 330_000;
/// Beyond this many times the limit the penalty grows no further.
const EXCESS_MAX: i64 = 100 * SCALE;

/// Interest by how much of the pool is lent: from `base` it climbs `slope1` up to the kink, and `slope2` from there to
/// a pool lent out whole. Rates of an hour in `10^-12`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateCurve {
    /// Rate of a pool that has lent nothing.
    pub base: i64,
    /// Climb up to the kink.
    pub slope1: i64,
    /// Utilisation at which the curve turns, in `10^-8`.
    pub kink: i64,
    /// Climb from the kink to utilisation one.
    pub slope2: i64,
}

impl RateCurve {
    /// Rate of an hour at a utilisation in `10^-8`, rounded half up. Beyond one it stays at its highest.
    pub fn borrow_rate(&self, utilisation: i64) -> i64 {
        let used = utilisation.clamp(0, SCALE);
        let kink = self.kink.clamp(0, SCALE);
        let climb = |slope: i64, part: i64, of: i64| {
            if of > 0 {
                mul_div_half_up(i128::from(slope), i128::from(part), i128::from(of))
            } else {
                i128::from(slope)
            }
        };
        let first = if used >= kink { i128::from(self.slope1) } else { climb(self.slope1, used, kink) };
        let second = if used > kink { climb(self.slope2, used - kink, SCALE - kink) } else { 0 };
        saturate(i128::from(self.base) + first + second)
    }
}

/// What suppliers earn in an hour per unit supplied, in `10^-12`, rounded down: borrow rate x utilisation x the part
/// the venue does not keep (`reserve`, in `10^-8`).
pub fn supply_rate(borrow_rate: i64, utilisation: i64, reserve: i64) -> i64 {
    let kept = i128::from(SCALE - reserve.clamp(0, SCALE));
    let earned = mul_div_floor(i128::from(borrow_rate), i128::from(utilisation.max(0)), i128::from(SCALE));
    saturate(mul_div_floor(earned, kept, i128::from(SCALE)))
}

/// Loans per assets of a pool in `10^-8`, rounded up; the largest number when there is nothing to lend from.
pub fn utilisation(loans: i128, assets: i128) -> i64 {
    match (loans > 0, assets > 0) {
        (false, _) => 0,
        (true, false) => i64::MAX,
        (true, true) => saturate(mul_div_ceil(loans, i128::from(SCALE), assets)),
    }
}

/// What an account owes in a coin: `spot` was borrowed by hand or by a leveraged spot order, `derivatives` by fees,
/// losses and funding beyond what it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// Borrowed as cash.
    pub spot: i128,
    /// Borrowed by falling below nothing.
    pub derivatives: i128,
}

impl Borrowed {
    /// From the amounts of a coin; `frozen` is what spot orders hold.
    pub fn of(wallet: i128, unrealised: i128, frozen: i128, spot: i128) -> Self {
        Self { spot, derivatives: (frozen - wallet - unrealised).max(0) }
    }

    /// All of it.
    pub fn total(&self) -> i128 {
        self.spot + self.derivatives
    }

    /// The part that costs nothing: what stems from unrealised loss, up to the coin's limit.
    pub fn free(&self, unrealised: i128, free_limit: i128) -> i128 {
        self.derivatives.min((-unrealised).max(0)).min(free_limit.max(0))
    }
}

/// Rate that counts for a loan above its limit: times the third power of loan per limit, and never above one whole.
pub fn penalty_rate(rate: i64, borrowed: i128, limit: i128) -> i64 {
    if borrowed <= limit || rate <= 0 {
        return rate.clamp(0, RATE_SCALE);
    }
    let scale = i128::from(SCALE);
    let excess = mul_div_ceil(borrowed, scale, limit.max(1)).min(i128::from(EXCESS_MAX));
    let multiplier = div_half_up(excess * excess * excess, scale * scale);
    saturate(mul_div_half_up(i128::from(rate), multiplier, scale)).min(RATE_SCALE)
}

/// Interest on an amount for that many hours, rounded half up.
pub fn interest(bearing: i128, rate: i64, hours: i64) -> i128 {
    let hourly = mul_div_half_up(bearing.max(0), i128::from(rate.max(0)), i128::from(RATE_SCALE));
    hourly.saturating_mul(i128::from(hours.max(0)))
}

/// Interest in two parts: what the pool gets, and the part the venue keeps (`reserve`, in `10^-8`), rounded down.
/// Nobody supplies: the venue keeps it all.
pub fn split_interest(interest: i128, reserve: i64, has_suppliers: bool) -> (i128, i128) {
    if !has_suppliers {
        return (0, interest);
    }
    let kept = mul_div_floor(interest, i128::from(reserve.clamp(0, SCALE)), i128::from(SCALE));
    (interest - kept, kept)
}

/// What may still be borrowed: the least of what the pool can lend, the user's own limit and the tiers leave.
pub fn borrowable(pool: i128, user: i128, tier: i128) -> i128 {
    pool.min(user).min(tier).max(0)
}

/// Up to `limit` borrowed: margin rates of the whole loan, in `10^-8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BorrowTier {
    /// Largest loan of the tier, in the coin.
    pub limit: Qty,
    /// Initial margin rate.
    pub initial_rate: i64,
    /// Maintenance margin rate.
    pub maintenance_rate: i64,
}

/// Tier of a loan: the first that holds it, the last for what lies beyond all.
pub fn borrow_tier(tiers: &[BorrowTier], borrowed: i128) -> Option<&BorrowTier> {
    tiers.iter().find(|tier| borrowed <= i128::from(tier.limit.0)).or(tiers.last())
}

/// Initial and maintenance margin of a loan worth that much, each rounded up. Without tiers a loan needs its whole
/// value: such a coin is not lent.
pub fn loan_margin(tiers: &[BorrowTier], borrowed: i128, usd: i128) -> (i128, i128) {
    let (initial, maintenance) = borrow_tier(tiers, borrowed)
        .map_or((SCALE, SCALE), |tier| (tier.initial_rate, tier.maintenance_rate));
    let part = |rate: i64| mul_div_ceil(usd.max(0), i128::from(rate), i128::from(SCALE));
    (part(initial), part(maintenance))
}

/// A pool's books. `cash` lies in the pool's wallet; `spot_loans` left it; `loans` is all that is owed, what accounts
/// owe by falling below nothing included, which no cash left the pool for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolBooks {
    /// The pool's wallet.
    pub cash: i128,
    /// Lent as cash.
    pub spot_loans: i128,
    /// Everything lent.
    pub loans: i128,
    /// Suppliers' shares.
    pub shares: i128,
}

impl PoolBooks {
    /// What suppliers own.
    pub fn assets(&self) -> i128 {
        self.cash + self.spot_loans
    }

    /// Loans per assets, in `10^-8`.
    pub fn utilisation(&self) -> i64 {
        utilisation(self.loans, self.assets())
    }

    /// What may still be lent when at most `cap` (in `10^-8`) of the assets may be.
    pub fn lendable(&self, cap: i64) -> i128 {
        let most = mul_div_floor(self.assets(), i128::from(cap), i128::from(SCALE));
        most.min(self.assets()).saturating_sub(self.loans).max(0)
    }

    /// What suppliers could take out now: the assets that nobody owes.
    pub fn redeemable(&self) -> i128 {
        (self.assets() - self.loans).clamp(0, self.cash.max(0))
    }

    /// Shares for an amount supplied, rounded down: who comes takes nothing from who is there.
    pub fn shares_for(&self, amount: i128) -> i128 {
        if self.shares == 0 {
            amount
        } else {
            div_floor(amount.saturating_mul(self.shares), self.assets())
        }
    }

    /// The same, where rounding takes no more than a trifle: with few shares of great worth, those who hold them would live
    /// on what others lose by it.
    pub fn fair_shares_for(&self, amount: i128) -> Option<i128> {
        let shares = self.shares_for(amount);
        let lost = if self.shares == 0 { 0 } else { amount - self.worth(shares) };
        let is_trifle = lost <= ROUNDED_MAX || lost.saturating_mul(ROUNDED_PER) <= amount;
        (shares > 0 && is_trifle).then_some(shares)
    }

    /// What shares are worth, rounded down.
    pub fn worth(&self, shares: i128) -> i128 {
        if self.shares == 0 {
            0
        } else {
            div_floor(shares.saturating_mul(self.assets()), self.shares)
        }
    }

    /// Shares an amount taken out costs a supplier who has `held`, rounded up; all of them when it is all they are
    /// worth. `None` when they are worth less.
    pub fn shares_of(&self, amount: i128, held: i128) -> Option<i128> {
        let worth = self.worth(held);
        if amount == worth {
            return Some(held);
        }
        let shares = div_ceil(amount.saturating_mul(self.shares), self.assets());
        (amount < worth).then(|| shares.min(held))
    }

    /// Worth of one share, in `10^-12`: the index suppliers watch.
    pub fn index(&self) -> i64 {
        if self.shares == 0 {
            return RATE_SCALE;
        }
        saturate(mul_div_floor(self.assets(), i128::from(RATE_SCALE), self.shares))
    }
}

/// How a pool defends itself: loans per assets, in `10^-8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// From here borrowers are warned.
    pub warning: i64,
    /// From here loans are repaid by force ...
    pub repay: i64,
    /// ... until the ratio is no more than this.
    pub stop: i64,
}

/// A coin's lending pool as listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LendingSpec {
    /// Rates.
    pub curve: RateCurve,
    /// Part of the interest the venue keeps, in `10^-8`.
    pub reserve: i64,
    /// Loans per assets beyond which nothing more is lent on demand, in `10^-8`.
    pub cap: i64,
    /// Defence.
    pub ladder: Ladder,
    /// What the venue itself supplies at the start.
    pub supplied: Money,
}

wire_enum! {
    /// Where on its ladder a pool stands.
    Strain {
        /// Below the warning.
        Calm = 0,
        /// Borrowers are warned.
        Warning = 1,
        /// Loans are repaid by force.
        Repaying = 2,
    }
}

impl Ladder {
    /// The strain after a change; repaying that began goes on until the stop ratio is reached.
    pub fn strain(&self, before: Strain, utilisation: i64) -> Strain {
        let goes_on = before == Strain::Repaying && utilisation > self.stop;
        if utilisation >= self.repay || goes_on {
            Strain::Repaying
        } else if utilisation >= self.warning {
            Strain::Warning
        } else {
            Strain::Calm
        }
    }

    /// What must be repaid until the ratio is no more than the stop ratio.
    pub fn excess(&self, loans: i128, assets: i128) -> i128 {
        let most = mul_div_floor(assets.max(0), i128::from(self.stop), i128::from(SCALE));
        (loans - most).max(0)
    }
}

/// The last hour whose interest fell due: 0 is the first of market time, -1 none.
pub const fn interest_hours(market_ms: i64) -> i64 {
    (market_ms - INTEREST_AFTER_MS).div_euclid(HOUR_MS)
}

/// When the interest of an hour, counted as [`interest_hours`] does, falls due.
pub const fn interest_due_ms(hour: i64) -> i64 {
    hour * HOUR_MS + INTEREST_AFTER_MS
}

/// When a round of automatic repayment, counted as [`auto_repay_rounds`] does, falls due.
pub const fn auto_repay_due_ms(round: i64) -> i64 {
    round * AUTO_REPAY_EVERY_MS
}

/// How many times automatic repayment fell due from the beginning of market time.
pub const fn auto_repay_rounds(market_ms: i64) -> i64 {
    market_ms.div_euclid(AUTO_REPAY_EVERY_MS)
}

/// True in the minutes 04:00 to 05:30 of an hour, when nobody repays by hand.
pub const fn is_repayment_closed(market_ms: i64) -> bool {
    let within = market_ms.rem_euclid(HOUR_MS);
    REPAYMENT_CLOSES_MS <= within && within < REPAYMENT_OPENS_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: i128 = SCALE as i128;

    const fn whole(amount: i128) -> i128 {
        amount * ONE
    }

    #[test]
    fn borrow_1_to_3_what_is_borrowed() {
        assert_eq!(Borrowed::of(-whole(15) / 10, 0, 0, 0).total(), whole(15) / 10);
        assert_eq!(Borrowed::of(whole(50), -whole(100), 0, 0).total(), whole(50));
        // 100 of one's own and 200 borrowed bought for 300
        assert_eq!(Borrowed::of(whole(100 + 200 - 300), 0, 0, whole(200)).total(), whole(200));
        assert_eq!(Borrowed::of(whole(100), 0, whole(30), 0), Borrowed::default());
        assert_eq!(Borrowed::of(whole(20), 0, whole(30), 0).derivatives, whole(10));
    }

    #[test]
    fn borrow_4_interest_of_an_hour_as_published() {
        assert_eq!(interest(106_333_266, 1_216_904, 1), 129);
        assert_eq!(interest(106_333_266, 1_216_904, 3), 387);
    }

    #[test]
    fn borrow_5_penalty_above_the_limit() {
        let rate = penalty_rate(10_000_000, whole(120_000), whole(100_000));
        assert_eq!(rate, 17_280_000);
        assert_eq!(interest(whole(120_000), rate, 1), 207_360_000);
        assert_eq!(penalty_rate(10_000_000, whole(100_000), whole(100_000)), 10_000_000);
    }

    #[test]
    fn borrow_6_the_interest_free_part() {
        let borrowed = Borrowed::of(-whole(100), -whole(400), 0, 0);
        assert_eq!(borrowed.total(), whole(500));
        assert_eq!(borrowed.free(-whole(400), whole(300)), whole(300));
        assert_eq!(borrowed.free(-whole(400), whole(900)), whole(400));
        assert_eq!(borrowed.free(whole(400), whole(300)), 0);
        // cash borrowed by hand always bears interest
        assert_eq!(Borrowed::of(whole(100), -whole(80), 0, whole(500)).free(-whole(80), whole(300)), 0);
    }

    #[test]
    fn borrow_7_the_least_of_three() {
        assert_eq!(borrowable(whole(40), whole(25), whole(30)), whole(25));
        assert_eq!(borrowable(whole(40), -1, whole(30)), 0);
    }

    #[test]
    fn loans_above_every_limit_cost_at_most_themselves() {
        for limit in [0, 1, -5] {
            assert_eq!(penalty_rate(10_000_000, whole(1_000_000), limit), RATE_SCALE);
        }
        assert_eq!(penalty_rate(i64::MAX, i128::MAX / 2, 1), RATE_SCALE);
        assert_eq!(interest(whole(7), RATE_SCALE, 1), whole(7));
        assert_eq!(interest(i128::MAX, i64::MAX, i64::MAX), i128::MAX);
        assert_eq!(interest(-5, 100, 1), 0);
    }

    #[test]
    fn the_curve_turns_at_the_kink() {
        let curve = RateCurve { base: 100, slope1: 400, kink: 80_000_000, slope2: 5_000 };
        let at = |percent: i64| curve.borrow_rate(percent * SCALE / 100);
        assert_eq!([at(0), at(40), at(80), at(90), at(100), at(170)], [100, 300, 500, 3_000, 5_500, 5_500]);
        assert_eq!(supply_rate(at(40), 40_000_000, 10_000_000), 108);
        for kink in [0, SCALE] {
            let curve = RateCurve { kink, ..curve };
            assert!(curve.borrow_rate(0) <= curve.borrow_rate(1));
            let highest = if kink == 0 { 5_500 } else { 500 };
            assert_eq!(curve.borrow_rate(SCALE), highest);
        }
    }

    #[test]
    fn margin_of_a_loan_by_its_tier() {
        let tiers = [(390, 20_000_000), (391, 25_000_000), (393, 50_000_000)].map(|(limit, initial_rate)| {
            BorrowTier { limit: Qty(limit * SCALE), initial_rate, maintenance_rate: 4_000_000 }
        });
        assert_eq!(loan_margin(&tiers, whole(390), whole(1_000)), (whole(200), whole(40)));
        assert_eq!(loan_margin(&tiers, whole(390) + 1, whole(1_000)), (whole(250), whole(40)));
        assert_eq!(loan_margin(&tiers, whole(4_000), whole(1_000)), (whole(500), whole(40)));
        assert_eq!(loan_margin(&[], whole(1), whole(1_000)), (whole(1_000), whole(1_000)));
        assert_eq!(loan_margin(&tiers, 1, 1), (1, 1)); // rounded up
    }

    #[test]
    fn a_pool_in_strain_repays_down_to_the_stop_ratio() {
        let ladder = Ladder { warning: 90_000_000, repay: 120_000_000, stop: 95_000_000 };
        let at = |before: Strain, percent: i64| ladder.strain(before, percent * SCALE / 100);
        assert_eq!(at(Strain::Calm, 89), Strain::Calm);
        assert_eq!(at(Strain::Calm, 100), Strain::Warning);
        assert_eq!(at(Strain::Calm, 120), Strain::Repaying);
        assert_eq!(at(Strain::Repaying, 100), Strain::Repaying);
        assert_eq!(at(Strain::Repaying, 95), Strain::Warning);
        assert_eq!(ladder.excess(whole(130), whole(100)), whole(35));
        assert_eq!(ladder.excess(whole(95), whole(100)), 0);
        assert_eq!(utilisation(1, 0), i64::MAX);
        assert_eq!(utilisation(0, 0), 0);
    }

    #[test]
    fn hours_rounds_and_the_closed_minutes() {
        assert_eq!([299_999, 300_000, 3_899_999, 3_900_000].map(interest_hours), [-1, 0, 0, 1]);
        assert_eq!([0, 1_799_999, 1_800_000, 3_600_000].map(auto_repay_rounds), [0, 0, 1, 2]);
        assert_eq!((interest_hours(interest_due_ms(7)), interest_hours(interest_due_ms(7) - 1)), (7, 6));
        assert_eq!(
            (auto_repay_rounds(auto_repay_due_ms(7)), auto_repay_rounds(auto_repay_due_ms(7) - 1)),
            (7, 6)
        );
        let closed = [239_999, 240_000, 329_999, 330_000, HOUR_MS + 240_000].map(is_repayment_closed);
        assert_eq!(closed, [false, true, true, false, true]);
    }

    proptest! {
        #[test]
        fn rates_never_fall_with_utilisation(
            base in 0_i64..RATE_SCALE, slope1 in 0_i64..RATE_SCALE, slope2 in 0_i64..RATE_SCALE,
            kink in 0..=SCALE, less in 0..2 * SCALE, more in 0..2 * SCALE, reserve in 0..=SCALE,
        ) {
            let curve = RateCurve { base, slope1, kink, slope2 };
            let (low, high) = (curve.borrow_rate(less.min(more)), curve.borrow_rate(less.max(more)));
            prop_assert!(base <= low && low <= high && high <= base + slope1 + slope2);
            prop_assert!(supply_rate(low, less.min(more), reserve) <= supply_rate(high, less.max(more), reserve));
            // suppliers together never earn more than borrowers pay
            let used = less.min(SCALE);
            prop_assert!(supply_rate(low, used, reserve) <= low);
        }

        #[test]
        fn no_interest_is_made_or_lost_in_the_split(amount in 0_i128..1 << 90, reserve in 0..=SCALE, has in any::<bool>()) {
            let (pool, kept) = split_interest(amount, reserve, has);
            prop_assert!(pool >= 0 && kept >= 0);
            prop_assert_eq!(pool + kept, amount);
        }

        #[test]
        fn the_penalty_never_lowers_a_rate(rate in 0..RATE_SCALE, borrowed in 0_i128..1 << 80, limit in 0_i128..1 << 80, more in 0_i128..1 << 80) {
            let before = penalty_rate(rate, borrowed, limit);
            prop_assert!(rate <= before && before <= penalty_rate(rate, borrowed + more, limit));
        }

        #[test]
        fn the_margin_of_a_loan_never_falls_with_it(less in 0_i128..1 << 60, more in 0_i128..1 << 60) {
            let tiers = [(1 << 40, 10, 5), (1 << 50, 20, 6)].map(|(limit, initial, maintenance)| BorrowTier {
                limit: Qty(limit), initial_rate: initial * SCALE / 100, maintenance_rate: maintenance * SCALE / 100,
            });
            let (small, large) = (loan_margin(&tiers, less, less), loan_margin(&tiers, less + more, less + more));
            prop_assert!(small.0 <= large.0 && small.1 <= large.1);
        }

        /// Suppliers come and go, interest comes in, loans go out and back: the pool always owns what the shares are
        /// worth, nobody gains by coming and going, and a share never loses.
        #[test]
        fn shares_conserve_and_never_lose(steps in prop::collection::vec((0_u8..5, 0_usize..3, 1_i128..1_000_000_000_000), 1..200)) {
            let mut pool = PoolBooks::default();
            let mut held = [0_i128; 3];
            let (mut paid_in, mut paid_out) = (0_i128, 0_i128);
            for (kind, who, amount) in steps {
                let before = pool;
                match kind {
                    0 => {
                        let shares = pool.shares_for(amount);
                        held[who] += shares;
                        pool.shares += shares;
                        pool.cash += amount;
                        paid_in += amount;
                    }
                    1 => {
                        let amount = amount.min(pool.worth(held[who]));
                        if amount <= pool.redeemable() {
                            if let Some(shares) = pool.shares_of(amount, held[who]) {
                                held[who] -= shares;
                                pool.shares -= shares;
                                pool.cash -= amount;
                                paid_out += amount;
                            }
                        }
                    }
                    2 if pool.shares > 0 => { pool.cash += amount; paid_in += amount; }
                    3 => {
                        let lent = amount.min(pool.lendable(SCALE)).min(pool.cash);
                        pool.cash -= lent;
                        pool.spot_loans += lent;
                        pool.loans += lent;
                    }
                    4 => {
                        let back = amount.min(pool.spot_loans);
                        pool.cash += back;
                        pool.spot_loans -= back;
                        pool.loans -= back;
                    }
                    _ => {}
                }
                prop_assert_eq!(pool.assets(), paid_in - paid_out);
                prop_assert_eq!(held.iter().sum::<i128>(), pool.shares);
                prop_assert!(held.iter().all(|shares| *shares >= 0) && pool.cash >= 0);
                let worth: i128 = held.iter().map(|shares| pool.worth(*shares)).sum();
                prop_assert!(worth <= pool.assets());
                prop_assert!(pool.shares <= pool.assets());
                prop_assert!((pool.shares == 0) == (pool.assets() == 0), "{pool:?}");
                if before.shares > 0 && pool.shares > 0 {
                    prop_assert!(pool.assets() * before.shares >= before.assets() * pool.shares);
                }
            }
        }
    }
}
