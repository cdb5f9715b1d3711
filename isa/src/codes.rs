//! Buffers of codes, each as narrow as its format allows.

use crate::format::Format;

/// Codes of one format in 1, 2, 4 or 8 bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Formats of up to 8 bits.
    U8(Vec<u8>),
    /// Up to 16 bits.
    U16(Vec<u16>),
    /// Up to 32 bits.
    U32(Vec<u32>),
    /// Up to 64 bits.
    U64(Vec<u64>),
}

macro_rules! each {
    ($self:expr, $v:ident => $body:expr) => {
        match $self {
            Self::U8($v) => $body,
            Self::U16($v) => $body,
            Self::U32($v) => $body,
            Self::U64($v) => $body,
        }
    };
}

impl Codes {
    /// `len` codes 0 of a format.
    pub fn zeros(format: Format, len: usize) -> Self {
        match format.bits() {
            0..=8 => Self::U8(vec![0; len]),
            9..=16 => Self::U16(vec![0; len]),
            17..=32 => Self::U32(vec![0; len]),
            _ => Self::U64(vec![0; len]),
        }
    }

    /// Codes of a format, made index by index; bits above the format's width are dropped.
    pub fn from_fn(format: Format, len: usize, mut code: impl FnMut(usize) -> u64) -> Self {
        match format.bits() {
            0..=8 => Self::U8((0..len).map(|i| code(i) as u8).collect()),
            9..=16 => Self::U16((0..len).map(|i| code(i) as u16).collect()),
            17..=32 => Self::U32((0..len).map(|i| code(i) as u32).collect()),
            _ => Self::U64((0..len).map(code).collect()),
        }
    }

    /// Number of codes.
    pub const fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// True if there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one code in this buffer: 1, 2, 4 or 8.
    pub const fn bytes_per_code(&self) -> usize {
        match self {
            Self::U8(_) => 1,
            Self::U16(_) => 2,
            Self::U32(_) => 4,
            Self::U64(_) => 8,
        }
    }

    /// The code at `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Codes::len`].
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        match self {
            Self::U8(v) => v[index].into(),
            Self::U16(v) => v[index].into(),
            Self::U32(v) => v[index].into(),
            Self::U64(v) => v[index],
        }
    }

    /// Replaces the code at `index`, keeping the bits the buffer can hold.
    ///
    /// # Panics
    /// If `index` is not below [`Codes::len`].
    #[inline]
    pub fn set(&mut self, index: usize, code: u64) {
        match self {
            Self::U8(v) => v[index] = code as u8,
            Self::U16(v) => v[index] = code as u16,
            Self::U32(v) => v[index] = code as u32,
            Self::U64(v) => v[index] = code,
        }
    }

    /// The codes in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// The codes as little-endian bytes, [`Codes::bytes_per_code`] each: what digests are taken of.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        each!(self, v => v.iter().flat_map(|code| code.to_le_bytes()).collect())
    }
}
