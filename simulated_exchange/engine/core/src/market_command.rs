//! Commands of the venue about how an instrument is priced, funded and limited. Their records use the fields of
//! `command`. What they do stands in `market_terms`.

use std::ops::RangeInclusive;

use crate::command::Fields;
use crate::instrument::TierSpec;
use crate::mark::MarkSource;
use crate::record::DecodeError;
use crate::types::{InstrumentId, Money, Rate};

/// Kinds of these commands.
pub(crate) const KINDS: RangeInclusive<u8> = 60..=69;

/// What is asked about an instrument's prices, funding and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketAction {
    /// Changes what an instrument is marked at.
    SetMarkSource {
        /// Instrument; a contract.
        instrument: InstrumentId,
        /// What it is to be marked at.
        source: MarkSource,
    },
    /// Changes funding caps at once, and the funding interval from the next settlement on.
    SetFundingTerms {
        /// Instrument; a perpetual.
        instrument: InstrumentId,
        /// Minutes from settlement to settlement.
        interval_minutes: u32,
        /// Lowest rate.
        lower: Rate,
        /// Highest rate.
        upper: Rate,
    },
    /// Puts a tier into the risk limits to be announced; number 0 begins them anew.
    StageRiskTier {
        /// Instrument.
        instrument: InstrumentId,
        /// Position of the tier, from 0.
        number: u32,
        /// The tier.
        tier: TierSpec,
    },
    /// Announces the risk limits put together.
    AnnounceRiskLimits {
        /// Instrument.
        instrument: InstrumentId,
        /// Market time from which they hold.
        effective_ms: i64,
    },
}

impl MarketAction {
    /// The command's own fields of its record.
    pub(crate) fn fields(&self) -> Fields {
        let fields = |kind: u8, instrument: InstrumentId| Fields {
            kind,
            instrument: instrument.0,
            ..Fields::default()
        };
        match *self {
            Self::SetMarkSource { instrument, source } => {
                Fields { number: u32::from(source.to_wire()), ..fields(60, instrument) }
            }
            Self::SetFundingTerms { instrument, interval_minutes, lower, upper } => {
                Fields { number: interval_minutes, price: lower.0, qty: upper.0, ..fields(61, instrument) }
            }
            Self::StageRiskTier { instrument, number, tier } => Fields {
                number,
                order_id: tier.max_leverage.cast_unsigned(),
                price: tier.limit.0,
                qty: tier.maintenance_rate,
                ..fields(62, instrument)
            },
            Self::AnnounceRiskLimits { instrument, effective_ms } => {
                Fields { price: effective_ms, ..fields(63, instrument) }
            }
        }
    }

    /// The command of a record.
    pub(crate) fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        let instrument = InstrumentId(fields.instrument);
        let number = fields.number;
        Ok(match fields.kind {
            60 => {
                let source = u8::try_from(number).ok().and_then(MarkSource::from_wire);
                Self::SetMarkSource { instrument, source: source.ok_or(DecodeError::Field)? }
            }
            61 => Self::SetFundingTerms {
                instrument,
                interval_minutes: number,
                lower: Rate(fields.price),
                upper: Rate(fields.qty),
            },
            62 => Self::StageRiskTier {
                instrument,
                number,
                tier: TierSpec {
                    limit: Money(fields.price),
                    max_leverage: fields.order_id.cast_signed(),
                    maintenance_rate: fields.qty,
                },
            },
            63 => Self::AnnounceRiskLimits { instrument, effective_ms: fields.price },
            _ => return Err(DecodeError::Kind),
        })
    }
}
