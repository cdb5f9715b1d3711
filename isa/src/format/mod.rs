//! Number formats as values: what each code of a format means.
//!
//! A [`Format`] is data, never a type parameter, so a sweep can make one from a name.
//! Codes are raw bits in the low bits of a `u64`. [`Format::decode`] gives the exact value
//! of a code; [`crate::round::encode`] is its inverse with one rounding.

mod name;
mod posit;

use crate::exact::Exact;
pub use name::{FormatNameError, NAMED, NamedFormat};
pub use posit::PositFormat;

/// Which codes a floating-point format reserves for NaN and infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Specials {
    /// IEEE 754: the top exponent field holds infinities and NaNs.
    Ieee,
    /// OCP OFP8 E4M3: no infinity; only the all-ones magnitude is NaN.
    Fn,
    /// No infinity, no negative zero; the code of -0 is the one NaN.
    Fnuz,
    /// Every code is finite.
    F,
    /// IEEE P3109, extended domain: NaN at the code of -0, infinities at the all-ones magnitude.
    P3109e,
    /// IEEE P3109, finite domain: NaN at the code of -0, no infinity.
    P3109f,
    /// DLFloat16: one all-ones magnitude stands for NaN and infinity alike.
    MergedTop,
    /// OCP MX scale: unsigned powers of two without a zero, code 0xff NaN.
    E8m0,
}

/// How the lowest exponent field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subnormals {
    /// Field 0 holds zero and subnormals (IEEE 754).
    Gradual,
    /// Field 0 is an ordinary binade whose zero fraction is the number 0 (DLFloat16).
    None,
}

/// A binary floating-point format, completely described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FloatFormat {
    /// True if the format has a sign bit.
    pub signed: bool,
    /// Width of the exponent field, 1..=11.
    pub exponent_bits: u32,
    /// Width of the fraction field (significand bits less the hidden one), 0..=52.
    pub mantissa_bits: u32,
    /// Value of the exponent field that stands for 2^0.
    pub bias: i32,
    /// Reading of exponent field 0.
    pub subnormals: Subnormals,
    /// Codes reserved for NaN and infinity.
    pub specials: Specials,
}

/// A two's-complement fixed-point format; an integer when `fraction_bits` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FixedFormat {
    /// Total width with sign, 2..=4096 bits. Codes hold up to 64; wider ones are
    /// accumulators only (Kulisch accumulators, quires).
    pub width: u32,
    /// Weight of the lowest bit is 2^-fraction_bits.
    pub fraction_bits: i32,
}

/// Any number format a design can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Binary floating point.
    Float(FloatFormat),
    /// Two's-complement fixed point or integer.
    Fixed(FixedFormat),
    /// Posit.
    Posit(PositFormat),
    /// Two's-complement fixed point whose most negative code is NaR: a posit's accumulator.
    Quire(FixedFormat),
}

/// The meaning of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Not a number.
    Nan,
    /// An infinity of the given sign.
    Infinite {
        /// True for minus infinity.
        negative: bool,
    },
    /// A finite value, zeros included.
    Finite(Exact),
}

impl Decoded {
    /// Binary64 nearest to the value, for reports.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Nan => f64::NAN,
            Self::Infinite { negative: true } => f64::NEG_INFINITY,
            Self::Infinite { negative: false } => f64::INFINITY,
            Self::Finite(x) => x.to_f64(),
        }
    }

    /// The meaning of a binary64.
    pub fn from_f64(value: f64) -> Self {
        if value.is_nan() { Self::Nan } else { Exact::from_f64(value).map_or(Self::Infinite { negative: value < 0.0 }, Self::Finite) }
    }
}

impl FloatFormat {
    /// An IEEE-style format with the default bias.
    pub const fn ieee(exponent_bits: u32, mantissa_bits: u32) -> Self {
        Self {
            signed: true,
            exponent_bits,
            mantissa_bits,
            bias: (1 << (exponent_bits - 1)) - 1,
            subnormals: Subnormals::Gradual,
            specials: Specials::Ieee,
        }
    }

    /// Significand precision p in bits, hidden bit included.
    pub const fn precision(self) -> u32 {
        self.mantissa_bits + 1
    }

    /// Bits of a code below the sign.
    pub const fn magnitude_bits(self) -> u32 {
        self.exponent_bits + self.mantissa_bits
    }

    /// Exponent of the smallest binade written with a hidden bit.
    pub const fn min_exponent(self) -> i32 {
        match self.subnormals {
            Subnormals::Gradual => 1 - self.bias,
            Subnormals::None => -self.bias,
        }
    }

    /// Exponent of the smallest quantum (the weight of the last significand bit at the bottom).
    pub const fn min_quantum_exponent(self) -> i32 {
        self.min_exponent() - self.mantissa_bits as i32
    }

    /// The largest magnitude code that stands for a finite number.
    pub const fn max_finite_magnitude(self) -> u64 {
        let codes = 1u64 << self.magnitude_bits();
        match self.specials {
            Specials::Ieee => codes - (1 << self.mantissa_bits) - 1,
            Specials::Fn | Specials::P3109e | Specials::MergedTop | Specials::E8m0 => codes - 2,
            Specials::Fnuz | Specials::F | Specials::P3109f => codes - 1,
        }
    }

    /// Code of the sign bit alone; 0 for an unsigned format.
    pub const fn sign_code(self) -> u64 {
        if self.signed { 1 << self.magnitude_bits() } else { 0 }
    }

    /// True if the format has a code for -0.
    pub const fn has_negative_zero(self) -> bool {
        self.signed && !matches!(self.specials, Specials::Fnuz | Specials::P3109e | Specials::P3109f)
    }

    /// Magnitude code of infinity, where there is one.
    pub const fn infinity_magnitude(self) -> Option<u64> {
        match self.specials {
            Specials::Ieee | Specials::P3109e => Some(self.max_finite_magnitude() + 1),
            _ => None,
        }
    }

    /// The canonical NaN every engine writes: positive and quiet where the format can say so.
    pub const fn canonical_nan(self) -> Option<u64> {
        match self.specials {
            Specials::Ieee if self.mantissa_bits == 0 => None,
            Specials::Ieee => Some(self.max_finite_magnitude() + 1 + (1 << (self.mantissa_bits - 1))),
            Specials::Fn | Specials::MergedTop | Specials::E8m0 => Some(self.max_finite_magnitude() + 1),
            Specials::Fnuz | Specials::P3109e | Specials::P3109f => Some(self.sign_code()),
            Specials::F => None,
        }
    }

    /// Decodes a magnitude code (no sign) that is known to be finite.
    const fn decode_magnitude(self, magnitude: u64, negative: bool) -> Exact {
        let field = (magnitude >> self.mantissa_bits) as i32;
        let fraction = magnitude & ((1 << self.mantissa_bits) - 1);
        let hidden = 1u64 << self.mantissa_bits;
        let (significand, exponent) = match self.subnormals {
            Subnormals::Gradual if field == 0 => (fraction, self.min_quantum_exponent()),
            Subnormals::Gradual => (fraction | hidden, self.min_quantum_exponent() + field - 1),
            Subnormals::None if magnitude == 0 && !matches!(self.specials, Specials::E8m0) => (0, 0),
            Subnormals::None => (fraction | hidden, self.min_quantum_exponent() + field),
        };
        Exact { negative, significand: significand as u128, exponent }
    }

    /// The meaning of `code`; bits above the format's width are ignored.
    pub const fn decode(self, code: u64) -> Decoded {
        let magnitude = code & ((1 << self.magnitude_bits()) - 1);
        let negative = self.signed && code >> self.magnitude_bits() & 1 == 1;
        if negative && magnitude == 0 && !self.has_negative_zero() {
            return Decoded::Nan;
        }
        if magnitude > self.max_finite_magnitude() {
            return match self.infinity_magnitude() {
                Some(infinity) if infinity == magnitude => Decoded::Infinite { negative },
                _ => Decoded::Nan,
            };
        }
        Decoded::Finite(self.decode_magnitude(magnitude, negative))
    }
}

impl FixedFormat {
    /// True if codes do not fit 64 bits: only accumulators are so wide.
    pub const fn is_wide(self) -> bool {
        self.width > 64
    }

    /// Largest representable integer (before scaling by 2^-fraction_bits) of at most 64 bits.
    pub const fn max_integer(self) -> i64 {
        (u64::MAX >> (65 - self.width)) as i64
    }

    /// Smallest representable integer.
    pub const fn min_integer(self) -> i64 {
        -self.max_integer() - 1
    }

    /// The signed integer a code stands for.
    pub const fn integer(self, code: u64) -> i64 {
        let unused = 64 - self.width;
        ((code << unused) as i64) >> unused
    }

    /// The code of an integer, keeping the low `width` bits.
    pub const fn code(self, integer: i64) -> u64 {
        integer as u64 & (u64::MAX >> (64 - self.width))
    }
}

impl Format {
    /// IEEE binary64.
    pub const FP64: Self = Self::Float(FloatFormat::ieee(11, 52));
    /// IEEE binary32.
    pub const FP32: Self = Self::Float(FloatFormat::ieee(8, 23));
    /// IEEE binary16.
    pub const FP16: Self = Self::Float(FloatFormat::ieee(5, 10));
    /// bfloat16.
    pub const BF16: Self = Self::Float(FloatFormat::ieee(8, 7));
    /// OCP OFP8 E4M3.
    pub const E4M3FN: Self = Self::Float(FloatFormat { specials: Specials::Fn, ..FloatFormat::ieee(4, 3) });
    /// OCP MX scale: powers of two.
    pub const E8M0: Self = Self::Float(FloatFormat {
        signed: false,
        exponent_bits: 8,
        mantissa_bits: 0,
        bias: 127,
        subnormals: Subnormals::None,
        specials: Specials::E8m0,
    });
    /// OCP OFP8 E5M2.
    pub const E5M2: Self = Self::Float(FloatFormat::ieee(5, 2));
    /// Eight-bit two's-complement integer.
    pub const INT8: Self = Self::Fixed(FixedFormat { width: 8, fraction_bits: 0 });
    /// Thirty-two-bit two's-complement integer.
    pub const INT32: Self = Self::Fixed(FixedFormat { width: 32, fraction_bits: 0 });

    /// Width of a code in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Float(f) => f.magnitude_bits() + f.signed as u32,
            Self::Fixed(f) | Self::Quire(f) => f.width,
            Self::Posit(p) => p.width,
        }
    }

    /// True if codes are wider than 64 bits: such a format is an accumulator's only, and
    /// nothing here that takes or gives a code applies to it.
    pub const fn is_wide(self) -> bool {
        self.bits() > 64
    }

    /// Bytes one code occupies in memory: its width rounded up to whole bytes.
    pub const fn storage_bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }

    /// Mask of the bits of a code.
    pub const fn mask(self) -> u64 {
        if self.is_wide() { u64::MAX } else { u64::MAX >> (64 - self.bits()) }
    }

    /// The meaning of `code`; bits above the format's width are ignored.
    pub const fn decode(self, code: u64) -> Decoded {
        match self {
            Self::Float(f) => f.decode(code),
            Self::Posit(p) => p.decode(code),
            Self::Quire(f) if f.integer(code) == f.min_integer() => Decoded::Nan,
            Self::Fixed(f) | Self::Quire(f) => Decoded::Finite(Exact::from_i128(f.integer(code) as i128).scale(-f.fraction_bits)),
        }
    }

    /// The value of `code` as binary64, for reports and host-side data; exact for every
    /// format of at most 53 significant bits.
    pub fn to_f64(self, code: u64) -> f64 {
        self.decode(code).to_f64()
    }

    /// The canonical NaN code, if the format has any NaN.
    pub const fn canonical_nan(self) -> Option<u64> {
        match self {
            Self::Float(f) => f.canonical_nan(),
            Self::Fixed(_) => None,
            Self::Posit(p) => Some(p.nar()),
            Self::Quire(f) => Some(f.code(f.min_integer())),
        }
    }

    /// The code of an infinity, if the format has one.
    pub const fn infinity(self, negative: bool) -> Option<u64> {
        match self {
            Self::Float(f) => match f.infinity_magnitude() {
                Some(m) if negative => Some(m | f.sign_code()),
                other => other,
            },
            Self::Fixed(_) | Self::Posit(_) | Self::Quire(_) => None,
        }
    }

    /// The code of the smallest number above zero; of the smallest of all where there is no zero.
    pub const fn smallest_positive(self) -> u64 {
        if self.is_zero(0) { 1 } else { 0 }
    }

    /// The code of the finite value largest in magnitude with the given sign.
    pub const fn max_finite(self, negative: bool) -> u64 {
        match self {
            Self::Float(f) => f.max_finite_magnitude() | if negative { f.sign_code() } else { 0 },
            Self::Fixed(f) => f.code(if negative { f.min_integer() } else { f.max_integer() }),
            Self::Quire(f) => f.code(if negative { -f.max_integer() } else { f.max_integer() }),
            Self::Posit(p) if negative => p.negate(p.max_code()),
            Self::Posit(p) => p.max_code(),
        }
    }

    /// The code of zero with the given sign, +0 where the format has no -0. Formats without
    /// a zero (`e8m0`) give their smallest value.
    pub const fn zero(self, negative: bool) -> u64 {
        match self {
            Self::Float(f) if negative && f.has_negative_zero() => f.sign_code(),
            _ => 0,
        }
    }

    /// True for codes of either zero.
    pub const fn is_zero(self, code: u64) -> bool {
        matches!(self.decode(code), Decoded::Finite(Exact { significand: 0, .. }))
    }

    /// True for codes that are NaN.
    pub const fn is_nan(self, code: u64) -> bool {
        matches!(self.decode(code), Decoded::Nan)
    }

    /// True for signalling NaNs: IEEE 754 NaNs whose first fraction bit is 0. As operands
    /// they raise invalid; conventions with a single NaN hold it quiet.
    pub const fn is_signalling(self, code: u64) -> bool {
        match self {
            Self::Float(f) if matches!(f.specials, Specials::Ieee) => self.is_nan(code) && code >> (f.mantissa_bits - 1) & 1 == 0,
            _ => false,
        }
    }

    /// Significand precision in bits, hidden bit included (fixed point: the width; posits:
    /// that of the most precise numbers).
    pub const fn precision(self) -> u32 {
        match self {
            Self::Float(f) => f.precision(),
            Self::Fixed(f) | Self::Quire(f) => f.width,
            Self::Posit(p) => p.precision(),
        }
    }

    /// The float record, for callers that need fields.
    pub const fn as_float(self) -> Option<FloatFormat> {
        match self {
            Self::Float(f) => Some(f),
            Self::Fixed(_) | Self::Posit(_) | Self::Quire(_) => None,
        }
    }
}
