//! Instruction fields: how each kind of operand packs into bits and reads as text.

use crate::format::{FixedFormat, FloatFormat, Format, PositFormat, Specials, Subnormals};
use crate::round::{NoInfinity, Overflow, Rounding};
use crate::view::Space;

/// An operand that does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldError(pub String);

/// A kind of operand.
pub trait Field: Sized {
    /// Width in the word.
    const BITS: u32;

    /// The field's bits.
    fn pack(&self) -> u128;

    /// The operand the bits stand for.
    ///
    /// # Errors
    /// Bits that no operand packs to.
    fn unpack(bits: u128) -> Result<Self, FieldError>;

    /// The operand a text stands for.
    ///
    /// # Errors
    /// Text of another kind, or a value beyond the field.
    fn parse(text: &str) -> Result<Self, FieldError>;

    /// The operand's text.
    fn print(&self) -> String;
}

fn parse_integer(text: &str) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with(['+', '-']))?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

macro_rules! registers {
    ($($(#[$meta:meta])* $name:ident $letter:literal $bits:literal),*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u8);

        impl $name {
            /// Registers of this kind.
            pub const COUNT: usize = 1 << $bits;
        }

        impl Field for $name {
            const BITS: u32 = $bits;
            fn pack(&self) -> u128 { u128::from(self.0) & ((1 << $bits) - 1) }
            fn unpack(bits: u128) -> Result<Self, FieldError> { Ok(Self(bits as u8)) }
            fn parse(text: &str) -> Result<Self, FieldError> {
                text.strip_prefix($letter)
                    .filter(|n| !n.starts_with('+') && (n.len() == 1 || !n.starts_with('0')))
                    .and_then(|n| n.parse::<u8>().ok())
                    .filter(|n| usize::from(*n) < Self::COUNT)
                    .map(Self)
                    .ok_or_else(|| FieldError(format!("`{text}` is no register {0}0 to {0}{1}", $letter, Self::COUNT - 1)))
            }
            fn print(&self) -> String { format!("{}{}", $letter, self.0) }
        }
    )*};
}

registers! {
    /// A tensor register.
    TensorReg 't' 6,
    /// A format register.
    FormatReg 'f' 4
}

/// A tensor register, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptionalTensor(pub Option<TensorReg>);

impl Field for OptionalTensor {
    const BITS: u32 = TensorReg::BITS + 1;

    /// The register, or the highest bit alone.
    fn pack(&self) -> u128 {
        self.0.map_or(1 << TensorReg::BITS, |register| register.pack())
    }

    fn unpack(bits: u128) -> Result<Self, FieldError> {
        match bits.checked_sub(1 << TensorReg::BITS) {
            None => TensorReg::unpack(bits).map(|register| Self(Some(register))),
            Some(0) => Ok(Self(None)),
            Some(_) => Err(FieldError(format!("{bits} encodes no tensor register and not `none`"))),
        }
    }

    fn parse(text: &str) -> Result<Self, FieldError> {
        if text == "none" {
            return Ok(Self(None));
        }
        let error = |_| FieldError(format!("`{text}` is no register t0 to t{} and not `none`", TensorReg::COUNT - 1));
        TensorReg::parse(text).map(|register| Self(Some(register))).map_err(error)
    }

    fn print(&self) -> String {
        self.0.map_or_else(|| "none".to_owned(), |register| register.print())
    }
}

macro_rules! unsigned {
    ($($(#[$meta:meta])* $name:ident($type:ty) $bits:literal $hex:literal),* $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $type);

        impl $name {
            /// Largest value the field holds.
            pub const MAX: $type = (((1u128 << $bits) - 1) as $type);
        }

        impl Field for $name {
            const BITS: u32 = $bits;
            fn pack(&self) -> u128 { u128::from(self.0) & ((1 << $bits) - 1) }
            fn unpack(bits: u128) -> Result<Self, FieldError> { Ok(Self(bits as $type)) }
            fn parse(text: &str) -> Result<Self, FieldError> {
                parse_integer(text)
                    .filter(|v| (0..1i128 << $bits).contains(v))
                    .map(|v| Self(v as $type))
                    .ok_or_else(|| FieldError(if $hex {
                        format!("`{text}` is no number 0 to {:#x}", Self::MAX)
                    } else {
                        format!("`{text}` is no number 0 to {}", Self::MAX)
                    }))
            }
            fn print(&self) -> String { if $hex { format!("{:#x}", self.0) } else { self.0.to_string() } }
        }
    )*};
}

unsigned! {
    /// A byte address.
    Address(u64) 40 true,
    /// Rows or columns of a tensor.
    Span(u32) 24 false,
    /// Iterations of a loop.
    Count(u32) 32 false,
    /// Instructions in a loop's body.
    Length(u16) 16 false,
    /// Index into the program's region names.
    Region(u16) 16 false,
    /// Index of a MAC mode.
    Mode(u8) 8 false,
}

macro_rules! signed {
    ($($(#[$meta:meta])* $name:ident($type:ty) $bits:literal),* $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $type);

        impl $name {
            /// Largest value the field holds.
            pub const MAX: $type = ((1i128 << ($bits - 1)) - 1) as $type;
            /// Smallest value the field holds.
            pub const MIN: $type = -Self::MAX - 1;
        }

        impl Field for $name {
            const BITS: u32 = $bits;
            fn pack(&self) -> u128 { (i128::from(self.0) as u128) & ((1 << $bits) - 1) }
            fn unpack(bits: u128) -> Result<Self, FieldError> { Ok(Self((((bits << (128 - $bits)) as i128) >> (128 - $bits)) as $type)) }
            fn parse(text: &str) -> Result<Self, FieldError> {
                parse_integer(text)
                    .filter(|v| (i128::from(Self::MIN)..=i128::from(Self::MAX)).contains(v))
                    .map(|v| Self(v as $type))
                    .ok_or_else(|| FieldError(format!("`{text}` is no number {} to {}", Self::MIN, Self::MAX)))
            }
            fn print(&self) -> String { self.0.to_string() }
        }
    )*};
}

signed! {
    /// A stride in elements.
    Stride(i32) 28,
    /// A step in bytes.
    ByteStep(i64) 40,
    /// A shared exponent bias.
    SignedBias(i16) 16,
}

/// A small unsigned number of `N` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Small<const N: u32>(pub u16);

impl<const N: u32> Field for Small<N> {
    const BITS: u32 = N;
    fn pack(&self) -> u128 {
        u128::from(self.0) & ((1 << N) - 1)
    }
    fn unpack(bits: u128) -> Result<Self, FieldError> {
        Ok(Self(bits as u16))
    }
    fn parse(text: &str) -> Result<Self, FieldError> {
        parse_integer(text)
            .filter(|v| (0..1i128 << N).contains(v))
            .map(|v| Self(v as u16))
            .ok_or_else(|| FieldError(format!("`{text}` is no number 0 to {}", (1u32 << N) - 1)))
    }
    fn print(&self) -> String {
        self.0.to_string()
    }
}

macro_rules! words {
    ($($type:ty: $bits:literal $what:literal { $($code:literal $word:literal $value:expr),* }),* $(,)?) => {$(
        impl Field for $type {
            const BITS: u32 = $bits;
            fn pack(&self) -> u128 {
                $(if *self == $value { return $code; })*
                0
            }
            fn unpack(bits: u128) -> Result<Self, FieldError> {
                match bits { $($code => Ok($value),)* _ => Err(FieldError(format!("{bits} encodes no {}", $what))) }
            }
            fn parse(text: &str) -> Result<Self, FieldError> {
                match text { $($word => Ok($value),)* _ => Err(FieldError(format!("`{text}` is no {}: use {}", $what, [$($word),*].join(" or ")))) }
            }
            fn print(&self) -> String {
                $(if *self == $value { return $word.to_owned(); })*
                String::new()
            }
        }
    )*};
}

words! {
    Space: 1 "memory" { 0 "dram" Space::Dram, 1 "spm" Space::Scratchpad },
    Overflow: 2 "overflow policy" {
        0 "ieee" Overflow::Ieee, 1 "saturate" Overflow::Saturate, 2 "propagate" Overflow::Propagate, 3 "infinity" Overflow::Infinity
    },
    NoInfinity: 1 "stand-in for infinity" { 0 "nan" NoInfinity::Nan, 1 "max" NoInfinity::Max },
}

impl Field for Rounding {
    const BITS: u32 = 6;

    /// 0..=5 the deterministic modes in order, 31 + N stochastic with N bits.
    fn pack(&self) -> u128 {
        match self {
            Self::Sr(bits) => 31 + u128::from(*bits),
            mode => Self::DETERMINISTIC.iter().position(|m| m == mode).unwrap_or_default() as u128,
        }
    }

    fn unpack(bits: u128) -> Result<Self, FieldError> {
        match bits {
            0..=5 => Ok(Self::DETERMINISTIC[bits as usize]),
            32..=63 => Ok(Self::Sr(bits as u32 - 31)),
            _ => Err(FieldError(format!("{bits} encodes no rounding mode"))),
        }
    }

    fn parse(text: &str) -> Result<Self, FieldError> {
        text.parse().map_err(|e| FieldError(format!("{e}")))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

const SPECIALS: [Specials; 8] =
    [Specials::Ieee, Specials::Fn, Specials::Fnuz, Specials::F, Specials::P3109e, Specials::P3109f, Specials::MergedTop, Specials::E8m0];

impl Field for Format {
    const BITS: u32 = 34;

    /// Bit 0 tells float (0) from the others (1). Float: signed, exponent width (4), mantissa
    /// width (6), bias (16), subnormals, specials (3). The others: width (7), fraction bits or
    /// the posit's exponent width (16), kind (2): fixed, posit, quire.
    fn pack(&self) -> u128 {
        match self {
            Self::Float(f) => {
                let specials = SPECIALS.iter().position(|s| *s == f.specials).unwrap_or_default() as u128;
                u128::from(f.signed) << 1
                    | u128::from(f.exponent_bits) << 2
                    | u128::from(f.mantissa_bits) << 6
                    | (f.bias as u16 as u128) << 12
                    | ((f.subnormals == Subnormals::None) as u128) << 28
                    | specials << 29
            }
            Self::Fixed(f) => Self::pack_other(0, f.width, f.fraction_bits),
            Self::Posit(p) => Self::pack_other(1, p.width, p.exponent_bits as i32),
            Self::Quire(f) => Self::pack_other(2, f.width, f.fraction_bits),
        }
    }

    fn unpack(bits: u128) -> Result<Self, FieldError> {
        let sixteen = |low: u32| i32::from((bits >> low) as u16 as i16);
        let format = if bits & 1 == 1 {
            let width = (bits >> 1 & 0x7f) as u32;
            let fixed = FixedFormat { width, fraction_bits: sixteen(8) };
            match bits >> 24 & 3 {
                0 => Self::Fixed(fixed),
                1 => Self::Posit(PositFormat { width, exponent_bits: sixteen(8) as u32 }),
                _ => Self::Quire(fixed),
            }
        } else {
            Self::Float(FloatFormat {
                signed: bits >> 1 & 1 == 1,
                exponent_bits: (bits >> 2 & 0xf) as u32,
                mantissa_bits: (bits >> 6 & 0x3f) as u32,
                bias: sixteen(12),
                subnormals: if bits >> 28 & 1 == 1 { Subnormals::None } else { Subnormals::Gradual },
                specials: SPECIALS[(bits >> 29 & 7) as usize],
            })
        };
        // A record outside the grammar has no name; checking widths first keeps `Display` total.
        let sane = match format {
            Self::Float(f) => (1..=11).contains(&f.exponent_bits) && f.mantissa_bits <= 52,
            Self::Fixed(f) | Self::Quire(f) => (2..=64).contains(&f.width),
            Self::Posit(p) => (3..=32).contains(&p.width) && p.exponent_bits <= 3,
        };
        if sane && format.to_string().parse() == Ok(format) && format.pack() == bits {
            Ok(format)
        } else {
            Err(FieldError(format!("{bits:#x} encodes no nameable format")))
        }
    }

    fn parse(text: &str) -> Result<Self, FieldError> {
        let format: Self = text.parse().map_err(|e| FieldError(format!("{e}")))?;
        if format.is_wide() {
            return Err(FieldError(format!("`{format}` is wider than the 64 bits a code in memory can have")));
        }
        Ok(format)
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Format {
    const fn pack_other(kind: u128, width: u32, fraction_bits: i32) -> u128 {
        1 | (width as u128) << 1 | (fraction_bits as u16 as u128) << 8 | kind << 24
    }
}
