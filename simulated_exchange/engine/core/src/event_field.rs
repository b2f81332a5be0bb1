//! How the fields of events stand in their records. Knows no event.

use crate::event::EVENT_BYTES;
use crate::kyc::AccountLevel;
use crate::lending::Strain;
use crate::mark::MarkSource;
use crate::record::{DecodeError, Reader, Writer};
use crate::types::{
    AccountId, CancelReason, CoinId, FillKind, InstrumentId, LinkId, MarginMode, Money, OrderId, OrderType,
    PoolId, PositionIndex, PositionMode, Price, Qty, Rate, RepayReason, Side, TimeInForce, TradeId, Wallet,
    WalletReason,
};

/// One field of an event record.
pub(crate) trait Field: Sized {
    /// Writes it.
    fn put(&self, writer: &mut Writer<EVENT_BYTES>);
    /// Reads it.
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
    )+};
}
number_fields!(Price => i64, Qty => i64, Money => i64, OrderId => u64, TradeId => u64, AccountId => u32, InstrumentId => u16, CoinId => u16, PoolId => u16, Rate => i64);
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
