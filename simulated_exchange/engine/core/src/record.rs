//! Reading and writing the fields of fixed-size little-endian records. Knows no command and no event.

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The slice has another length than the record.
    Length,
    /// The first byte names no known kind.
    Kind,
    /// A field holds a value outside its enumeration or character set.
    Field,
    /// A byte that must be zero is not.
    Padding,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Length => "record has the wrong length",
            Self::Kind => "record names an unknown kind",
            Self::Field => "record holds a field outside its range",
            Self::Padding => "record has bytes set that must be zero",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Writes fields one after the other into a zeroed record; what does not fit is dropped (records are sized by tests).
pub(crate) struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], at: 0 }
    }

    #[inline]
    pub(crate) fn raw(&mut self, field: &[u8]) -> &mut Self {
        let end = self.at + field.len();
        if let Some(target) = self.bytes.get_mut(self.at..end) {
            target.copy_from_slice(field);
        }
        self.at = end;
        self
    }

    #[inline]
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    #[inline]
    pub(crate) fn flag(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    #[inline]
    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    #[inline]
    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn finish(&self) -> [u8; N] {
        debug_assert!(self.at <= N, "record overflows");
        self.bytes
    }
}

/// Reads fields one after the other; running past the end yields an error.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    #[inline]
    pub(crate) fn raw<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (field, rest) = self.bytes.split_first_chunk::<N>().ok_or(DecodeError::Length)?;
        self.bytes = rest;
        Ok(*field)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.raw::<1>()?[0])
    }

    #[inline]
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Field),
        }
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.raw()?))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.raw()?))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.raw()?))
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.raw()?))
    }

    /// All remaining bytes must be zero.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.bytes.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(DecodeError::Padding)
        }
    }
}
