//! How an event's fields are written: into a record of fixed size, and packed into words. Knows no event.

use crate::event::EVENT_BYTES;
use crate::event_log::{place, Packed, HEAD_BITS};
use crate::kyc::AccountLevel;
use crate::lending::Strain;
use crate::mark::MarkSource;
use crate::record::{DecodeError, Reader, Writer};
use crate::terms::{CreateType, SelfMatch, StopKind, TpSlMode, TriggerBy, TriggerDirection};
use crate::types::{
    AccountId, CancelReason, CoinId, FillKind, InstrumentId, InstrumentStatus, LinkId, MarginMode, Money,
    OrderId, OrderType, PoolId, PositionIndex, PositionMode, Price, Qty, Rate, RepayReason, Side,
    TimeInForce, TradeId, Wallet, WalletReason,
};

/// One field of an event record.
pub(crate) trait Field: Packed {
    fn put(&self, writer: &mut Writer<EVENT_BYTES>);
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

macro_rules! number_fields {
    ($($type:ty => $method:ident),+ $(,)?) => {$(
        impl Field for $type {
            #[inline]
            fn put(&self, writer: &mut Writer<EVENT_BYTES>) { writer.$method(self.0); }
            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> { Ok(Self(reader.$method()?)) }
        }
        impl Packed for $type {
            const BITS: u32 = $method::BITS;
            #[inline]
            fn to_bits(&self) -> u64 { self.0.to_bits() }
            #[inline]
            fn from_bits(bits: u64) -> Option<Self> { $method::from_bits(bits).map(Self) }
        }
    )+};
}
macro_rules! enum_fields {
    ($($type:ty),+ $(,)?) => {$(
        impl Field for $type {
            #[inline]
            fn put(&self, writer: &mut Writer<EVENT_BYTES>) { writer.u8(self.to_wire()); }
            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Self::from_wire(reader.u8()?).ok_or(DecodeError::Field)
            }
        }
        impl Packed for $type {
            const BITS: u32 = u8::BITS;
            #[inline]
            fn to_bits(&self) -> u64 { u64::from(self.to_wire()) }
            #[inline]
            fn from_bits(bits: u64) -> Option<Self> { Self::from_wire(u8::from_bits(bits)?) }
        }
    )+};
}
number_fields!(Price => i64, Qty => i64, Money => i64, OrderId => u64, TradeId => u64, AccountId => u32, InstrumentId => u16, CoinId => u16, PoolId => u16, Rate => i64);
enum_fields!(CreateType, SelfMatch, StopKind, TpSlMode, TriggerBy, TriggerDirection);
enum_fields!(
    Side,
    OrderType,
    TimeInForce,
    CancelReason,
    FillKind,
    WalletReason,
    PositionIndex,
    PositionMode,
    MarginMode,
    InstrumentStatus,
    Wallet,
    RepayReason,
    AccountLevel,
    Strain,
    MarkSource,
);

impl Field for bool {
    #[inline]
    fn put(&self, writer: &mut Writer<EVENT_BYTES>) {
        writer.flag(*self);
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.flag()
    }
}

impl Field for i64 {
    #[inline]
    fn put(&self, writer: &mut Writer<EVENT_BYTES>) {
        writer.i64(*self);
    }
    #[inline]
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i64()
    }
}

impl Field for LinkId {
    fn put(&self, writer: &mut Writer<EVENT_BYTES>) {
        writer.u8(u8::try_from(self.as_bytes().len()).unwrap_or(0)).raw(self.padded());
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(reader.u8()?);
        Self::from_padded(length, &reader.raw()?)
    }
}

/// Where the narrow fields of these widths end, and how many wide ones there are.
pub(crate) const fn shape(widths: &[u32]) -> (u32, usize) {
    let (mut end, mut wide, mut at) = (HEAD_BITS, 0, 0);
    while at < widths.len() {
        if widths[at] == 64 {
            wide += 1;
        } else {
            end = place(end, widths[at]) + widths[at];
        }
        at += 1;
    }
    (end, wide)
}

/// Puts an event's fields into its words; every position is known when it is compiled.
pub(crate) struct Packer {
    pub(crate) bit: u32,
    pub(crate) wide: usize,
}

impl Packer {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that positions become constants")]
    pub(crate) fn put<T: Packed, const N: usize>(&mut self, field: &T, words: &mut [u64; N]) {
        if T::BITS == 64 {
            words[self.wide] = field.to_bits();
            self.wide += 1;
        } else if T::BITS > 0 {
            let bit = place(self.bit, T::BITS);
            words[bit as usize / 64] |= field.to_bits() << (bit % 64);
            self.bit = bit + T::BITS;
        }
    }
}

/// Declares the events once: the enum, its record and its packed form, both ways. Families of them may stand in files of
/// their own.
macro_rules! events {
    ($($(#[$meta:meta])* $name:ident = $code:literal { $($(#[$fmeta:meta])* $field:ident: $type:ty),* $(,)? })+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind { $($(#[$meta])* $name { $($(#[$fmeta])* $field: $type),* }),+ }
        impl EventKind {
            fn put(&self, writer: &mut Writer<EVENT_BYTES>) {
                match self { $(Self::$name { $($field),* } => { $($field.put(writer);)* }),+ }
            }
            fn take(code: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(match code {
                    $($code => Self::$name { $($field: <$type>::take(reader)?),* },)+
                    _ => return Err(DecodeError::Kind),
                })
            }
            /// Appends the event to words, see `event_log`; returns the link id that must follow.
            #[inline(always)]
            pub(crate) fn pack<S: Sink>(&self, log: &mut S) -> Option<&LinkId> {
                match self { $(Self::$name { $($field),* } => {
                    const SHAPE: (u32, usize) = shape(&[$(<$type as Packed>::BITS),*]);
                    const LENGTH: usize = words(SHAPE.0, SHAPE.1);
                    let link_id = None$(.or($field.link_id()))*;
                    let mut words = [0; LENGTH];
                    let mut packer = Packer { bit: HEAD_BITS, wide: LENGTH - SHAPE.1 };
                    words[0] = $code | u64::from(link_id.is_some()) << CODE_BITS;
                    $(packer.put($field, &mut words);)*
                    log.write(words);
                    link_id
                }),+ }
            }
            /// The event that words begin with, and how many of them it takes.
            pub(crate) fn unpack(log: &[u64]) -> Option<(Self, usize)> {
                match log.first()? & !(u64::MAX << CODE_BITS) {
                    $($code => {
                        const SHAPE: (u32, usize) = shape(&[$(<$type as Packed>::BITS),*]);
                        const LENGTH: usize = words(SHAPE.0, SHAPE.1);
                        let mut fields = Fields::<LENGTH>::new(log, LENGTH - SHAPE.1)?;
                        let kind = Self::$name { $($field: fields.take()?),* };
                        Some((kind, fields.length()))
                    })+
                    _ => None,
                }
            }
            /// The byte that names this kind in records.
            pub const fn code(&self) -> u8 {
                match self { $(Self::$name { .. } => $code),+ }
            }
        }
    };
}
pub(crate) use events;
