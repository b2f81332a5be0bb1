//! Account levels: what each may withdraw and which products it opens: rules 11. Pure: numbers in, numbers out.

use serde::{Deserialize, Serialize};

use crate::types::{wire_enum, SCALE};

/// One day of market time.
pub const DAY_MS: i64 = 86_400_000;

wire_enum! {
    /// How well the venue knows an account's owner, and how much it trades.
    AccountLevel {
        /// Not at all (`LEVEL_DEFAULT`).
        Unverified = 0,
        /// Standard verification (`LEVEL_1`).
        Standard = 1,
        /// Advanced verification (`LEVEL_2`).
        Advanced = 2,
        /// A company.
        Business = 3,
        /// VIP 1 to 3.
        Vip = 4,
        /// VIP 4.
        Vip4 = 5,
        /// VIP 5.
        Vip5 = 6,
        /// Supreme VIP.
        Supreme = 7,
        /// Pro 6, the highest.
        Pro = 8,
    }
}

impl AccountLevel {
    /// True when the level opens deposits, spot, margin, derivatives and earning; the unverified may only take out what
    /// is there.
    pub const fn opens_products(self) -> bool {
        !matches!(self, Self::Unverified)
    }

    /// Most that may be withdrawn in a day, in USD of `10^-8`.
    pub const fn daily_limit(self) -> i128 {
        let whole: i128 = match self {
            Self::Unverified => 20_000,
            Self::Standard => 1_000_000,
            Self::Advanced => 2_000_000,
            Self::Business => 4_000_000,
            Self::Vip => 6_000_000,
            Self::Vip4 => 8_000_000,
            Self::Vip5 => 10_000_000,
            Self::Supreme => 12_000_000,
            Self::Pro => 30_000_000,
        };
        whole * SCALE as i128
    }

    /// What the level may borrow, in hundredths of the coin's limit for the standard level: our choice, the published
    /// limits by level change daily.
    pub const fn borrow_percent(self) -> i64 {
        match self {
            Self::Unverified => 0,
            Self::Standard | Self::Advanced => 100,
            Self::Business | Self::Vip => 150,
            Self::Vip4 => 200,
            Self::Vip5 => 250,
            Self::Supreme | Self::Pro => 300,
        }
    }

    /// Most that may be withdrawn in a calendar month, where there is such a limit.
    pub const fn monthly_limit(self) -> Option<i128> {
        match self {
            Self::Unverified => Some(100_000 * SCALE as i128),
            _ => None,
        }
    }
}

/// What an account has withdrawn in the present day and month (UTC, market time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalMeter {
    day: i64,
    month: i64,
    /// Withdrawn in that day, in USD.
    today: i128,
    /// Withdrawn in that month, in USD.
    this_month: i128,
}

impl WithdrawalMeter {
    /// What the level still allows at a market time.
    pub fn room(&self, level: AccountLevel, market_ms: i64) -> i128 {
        let now = self.at(market_ms);
        let daily = level.daily_limit() - now.today;
        let monthly = level.monthly_limit().map_or(daily, |limit| limit - now.this_month);
        daily.min(monthly).max(0)
    }

    /// Adds a withdrawal.
    pub fn add(&mut self, usd: i128, market_ms: i64) {
        *self = self.at(market_ms);
        self.today += usd;
        self.this_month += usd;
    }

    /// Takes what there is as words, for the state's digest.
    pub fn parts(&self) -> [i128; 4] {
        [i128::from(self.day), i128::from(self.month), self.today, self.this_month]
    }

    /// The meter as it stands at a market time: a new day or month begins at nothing.
    fn at(&self, market_ms: i64) -> Self {
        let day = market_ms.div_euclid(DAY_MS);
        let month = month_of(day);
        Self {
            day,
            month,
            today: if day == self.day { self.today } else { 0 },
            this_month: if month == self.month { self.this_month } else { 0 },
        }
    }
}

/// Months from January of year 0 to the month of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years begin in March here, so that the leap day is the last of its year and the lengths of months follow one line.
const fn month_of(day: i64) -> i64 {
    const DAYS_400_YEARS: i64 = 146_097;
    const DAYS_TO_1970: i64 = 719_468; // from 0000-03-01
    let from_march = day + DAYS_TO_1970;
    let era = from_march.div_euclid(DAYS_400_YEARS);
    let of_era = from_march.rem_euclid(DAYS_400_YEARS);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    (era * 400 + year) * 12 + month + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn usd(amount: i128) -> i128 {
        amount * SCALE as i128
    }

    #[test]
    fn published_daily_limits() {
        let limits: Vec<i128> =
            AccountLevel::ALL.iter().map(|level| level.daily_limit() / usd(1_000)).collect();
        assert_eq!(limits, [20, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 30_000]);
        assert_eq!(AccountLevel::Unverified.monthly_limit(), Some(usd(100_000)));
        assert_eq!(AccountLevel::Standard.monthly_limit(), None);
    }

    #[test]
    fn nothing_opens_without_verification() {
        let open: Vec<AccountLevel> =
            AccountLevel::ALL.iter().copied().filter(|level| level.opens_products()).collect();
        assert_eq!(open, AccountLevel::ALL[1..]);
    }

    #[test]
    fn a_day_and_a_month_begin_anew() {
        let mut meter = WithdrawalMeter::default();
        let day = |number: i64| number * DAY_MS;
        for number in 0..5 {
            assert_eq!(meter.room(AccountLevel::Unverified, day(number)), usd(20_000));
            meter.add(usd(20_000), day(number) + 7);
            assert_eq!(meter.room(AccountLevel::Unverified, day(number) + 8), 0);
        }
        // the month's 100,000 are used up until the first of February 1970
        assert_eq!(meter.room(AccountLevel::Unverified, day(30)), 0);
        assert_eq!(meter.room(AccountLevel::Unverified, day(31)), usd(20_000));
        assert_eq!(meter.room(AccountLevel::Standard, day(4)), usd(980_000));
    }

    #[test]
    fn months_of_the_calendar() {
        let months = |days: [i64; 4]| days.map(|day| month_of(day) - 1970 * 12);
        assert_eq!(months([0, 30, 31, 58]), [0, 0, 1, 1]);
        assert_eq!(months([59, 364, 365, -1]), [2, 11, 12, -1]);
        // 2024-02-29, 2024-03-01, 2026-11-30, 2026-12-01
        assert_eq!(months([19_782, 19_783, 20_787, 20_788]), [649, 650, 682, 683]);
        let mut last = month_of(-800_000);
        for day in -799_999..800_000 {
            let month = month_of(day);
            assert!(month == last || month == last + 1);
            last = month;
        }
    }
}
