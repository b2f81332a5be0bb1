//! Events about how instruments are priced, funded and limited. They are declared here and become part of `event`.

/// Declares the other events and these.
macro_rules! with_market_events {
    ($($others:tt)*) => {
        events! {
            $($others)*
            /// The running estimate of a funding rate changed.
            FundingRateChanged = 80 {
                /// Instrument.
                instrument: InstrumentId,
                /// What the next settlement would have with the samples so far.
                rate: Rate,
                /// Market time of the next settlement.
                next_ms: i64,
            }
            /// Funding was settled; the payments follow.
            FundingSettled = 81 {
                /// Instrument.
                instrument: InstrumentId,
                /// Market time the settlement belongs to.
                at_ms: i64,
                /// Rate; longs pay when it is positive.
                rate: Rate,
                /// Mark price at which positions are valued.
                mark: Price,
                /// Market time of the next settlement.
                next_ms: i64,
            }
            /// One position paid or received funding.
            FundingPaid = 82 {
                /// Account.
                account: AccountId,
                /// Instrument.
                instrument: InstrumentId,
                /// Which of the account's positions.
                position_index: PositionIndex,
                /// Market time the settlement belongs to.
                at_ms: i64,
                /// Signed quantity of the position.
                qty: Qty,
                /// Mark price.
                mark: Price,
                /// Rate of the settlement.
                rate: Rate,
                /// What was paid; negative when it was received.
                fee: Money,
                /// Part of it that an isolated position's own margin bore.
                from_margin: Money,
            }
            /// Funding interval or caps changed; the interval holds from the next settlement on.
            FundingTermsChanged = 83 {
                /// Instrument.
                instrument: InstrumentId,
                /// Interval.
                interval_ms: i64,
                /// Lowest rate.
                lower: Rate,
                /// Highest rate.
                upper: Rate,
            }
            /// What an instrument is marked at changed.
            MarkSourceChanged = 84 {
                /// Instrument.
                instrument: InstrumentId,
                /// What it is marked at now.
                source: MarkSource,
            }
            /// New risk limits are to hold from a market time on; their tiers follow.
            RiskLimitsAnnounced = 85 {
                /// Instrument.
                instrument: InstrumentId,
                /// From when.
                effective_ms: i64,
                /// How many tiers.
                tiers: i64,
            }
            /// One tier of the risk limits announced.
            RiskTierAnnounced = 86 {
                /// Instrument.
                instrument: InstrumentId,
                /// Number of the tier, from 1.
                tier: i64,
                /// Largest position value of the tier.
                limit: Money,
                /// Largest leverage, in hundredths.
                max_leverage: i64,
                /// Maintenance margin rate, in `10^-8`.
                maintenance_rate: i64,
            }
            /// Announced risk limits hold from now on.
            RiskLimitsChanged = 87 {
                /// Instrument.
                instrument: InstrumentId,
                /// How many tiers.
                tiers: i64,
            }
        }
    };
}
pub(crate) use with_market_events;
