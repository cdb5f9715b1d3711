//! The number a code stands for, read off its format's definition.
//!
//! A float's code is sign, exponent field E and trailing fraction T of m bits. Its magnitude
//! is `(2^m + T) 2^(E - bias - m)`, with the lowest field and the reserved codes as the
//! format's record says. A posit's is a string: a run of equal bits that ends with its
//! opposite, exponent bits, fraction bits, zeros ever after.

use dashu_base::{Abs, Sign};
use dashu_int::{IBig, UBig};
use std::cmp::Ordering;
use std::fmt;
use systole_isa::format::{FixedFormat, FloatFormat, Format, PositFormat, Specials, Subnormals};
use systole_isa::round::{Flags, NanCode, Policy, Rounding, SubnormalPolicy};

/// Exact rationals, kept free of common powers of two only: every number here is dyadic.
pub type Rational = dashu_ratio::Relaxed;

/// The meaning of a code, or the exact result of an operation on such meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Not a number.
    Nan,
    /// An infinity.
    Infinite {
        /// True for minus infinity.
        negative: bool,
    },
    /// A finite number, as sign and magnitude so that zeros have a sign too.
    Finite {
        /// True for negative numbers and -0.
        negative: bool,
        /// The absolute value.
        magnitude: Rational,
    },
}

/// `2^exponent`.
pub fn power_of_two(exponent: i64) -> Rational {
    let power = UBig::ONE << exponent.unsigned_abs() as usize;
    if exponent >= 0 { Rational::from_parts(power.into(), UBig::ONE) } else { Rational::from_parts(IBig::ONE, power) }
}

/// What a magnitude code of a float format is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Finite,
    Infinite,
    Nan,
}

/// `2^bits - 1`, for `bits` up to 64.
pub(crate) const fn ones(bits: u32) -> u64 {
    if bits == 0 { 0 } else { u64::MAX >> (64 - bits) }
}

/// Bits of a float code below its sign.
pub(crate) const fn magnitude_width(format: FloatFormat) -> u32 {
    format.exponent_bits + format.mantissa_bits
}

/// The sign bit, or 0 if there is none.
pub(crate) const fn sign_bit(format: FloatFormat) -> u64 {
    if format.signed { 1 << magnitude_width(format) } else { 0 }
}

/// True if the sign bit over a zero magnitude is a NaN.
const fn nan_at_negative_zero(format: FloatFormat) -> bool {
    format.signed && matches!(format.specials, Specials::Fnuz | Specials::P3109e | Specials::P3109f)
}

/// True if the format has a code for -0.
pub(crate) const fn negative_zero_exists(format: FloatFormat) -> bool {
    format.signed && !nan_at_negative_zero(format)
}

/// True if the format has a code for 0.
pub(crate) const fn zero_exists(format: FloatFormat) -> bool {
    !matches!(format.specials, Specials::E8m0)
}

fn class(format: FloatFormat, magnitude: u64) -> Class {
    let field = magnitude >> format.mantissa_bits;
    let fraction = magnitude & ones(format.mantissa_bits);
    let all_ones = magnitude == ones(magnitude_width(format));
    match format.specials {
        Specials::Ieee if field == ones(format.exponent_bits) && fraction == 0 => Class::Infinite,
        Specials::Ieee if field == ones(format.exponent_bits) => Class::Nan,
        Specials::Fn | Specials::MergedTop | Specials::E8m0 if all_ones => Class::Nan,
        Specials::P3109e if all_ones => Class::Infinite,
        _ => Class::Finite,
    }
}

/// The largest magnitude code of a finite number: reserved magnitudes are the topmost ones.
pub(crate) const fn largest_finite(format: FloatFormat) -> u64 {
    let reserved = match format.specials {
        Specials::Ieee => 1 << format.mantissa_bits,
        Specials::Fn | Specials::MergedTop | Specials::E8m0 | Specials::P3109e => 1,
        Specials::F | Specials::Fnuz | Specials::P3109f => 0,
    };
    ones(magnitude_width(format)) - reserved
}

/// The code of positive infinity.
pub(crate) fn infinity(format: FloatFormat) -> Option<u64> {
    let next = largest_finite(format) + 1;
    (next <= ones(magnitude_width(format)) && class(format, next) == Class::Infinite).then_some(next)
}

/// The NaN that results are written as: positive and quiet where the format can say so, and
/// every bit below the sign set where the policy asks for that and it is a NaN of several.
pub(crate) fn written_nan(format: FloatFormat, policy: Policy) -> Option<u64> {
    match format.specials {
        Specials::Ieee if format.mantissa_bits == 0 => None,
        Specials::Ieee if matches!(policy.nan, NanCode::AllOnes) => Some(ones(magnitude_width(format))),
        Specials::Ieee => Some(ones(format.exponent_bits) << format.mantissa_bits | 1 << (format.mantissa_bits - 1)),
        Specials::Fn | Specials::MergedTop | Specials::E8m0 => Some(ones(magnitude_width(format))),
        Specials::Fnuz | Specials::P3109e | Specials::P3109f => Some(sign_bit(format)),
        Specials::F => None,
    }
}

/// The number at magnitude code `code` if no code were reserved and the exponent field had
/// no upper end.
pub(crate) fn rung(format: FloatFormat, code: u128) -> Rational {
    let m = i64::from(format.mantissa_bits);
    let field = (code >> m) as i64;
    let fraction = code & u128::from(ones(format.mantissa_bits));
    let bias = i64::from(format.bias);
    let (significand, exponent) = match format.subnormals {
        Subnormals::Gradual if field == 0 => (fraction, 1 - bias - m),
        Subnormals::None if code == 0 && zero_exists(format) => (0, 0),
        Subnormals::Gradual | Subnormals::None => (fraction + (1 << m), field - bias - m),
    };
    Rational::from(UBig::from(significand)) * power_of_two(exponent)
}

/// The number at the positive code `code` of a posit of `width` bits, by reading its bits one
/// after the other. `width` may exceed every format's: rounding looks at longer posits.
pub(crate) fn posit_rung(width: u32, exponent_bits: u32, code: u128) -> Rational {
    assert!(code != 0 && code >> (width - 1) == 0, "a positive posit");
    // Bits beyond the end are zeros.
    let mut position = width - 1;
    let mut next_bit = || {
        position = position.checked_sub(1)?;
        Some(code >> position & 1)
    };
    let first = next_bit();
    let mut run: i64 = 1;
    while let Some(bit) = next_bit() {
        if Some(bit) != first {
            break;
        }
        run += 1;
    }
    let regime = if first == Some(1) { run - 1 } else { -run };
    let mut exponent = 0;
    for _ in 0..exponent_bits {
        exponent = 2 * exponent + next_bit().unwrap_or(0);
    }
    let (mut fraction, mut fraction_bits) = (1, 0);
    while let Some(bit) = next_bit() {
        fraction = 2 * fraction + bit;
        fraction_bits += 1;
    }
    Rational::from(UBig::from(fraction)) * power_of_two((regime << exponent_bits) + exponent as i64 - fraction_bits)
}

/// The integer whose `width` low bits in two's complement are those of `code`.
fn twos_complement(code: u64, width: u32) -> i128 {
    let code = i128::from(code & ones(width));
    if code >> (width - 1) == 1 { code - (1 << width) } else { code }
}

/// The number `integer` stands for in a fixed-point format.
pub(crate) fn fixed_value(format: FixedFormat, integer: IBig) -> Value {
    Value::finite(Rational::from(integer) * power_of_two(-i64::from(format.fraction_bits)))
}

/// True if `code` is a signalling NaN: an IEEE 754 NaN whose first fraction bit is 0.
/// Conventions with a single NaN hold it quiet.
pub fn is_signalling(format: Format, code: u64) -> bool {
    let Format::Float(f) = format else { return false };
    let magnitude = code & ones(magnitude_width(f));
    matches!(f.specials, Specials::Ieee) && class(f, magnitude) == Class::Nan && magnitude >> (f.mantissa_bits - 1) & 1 == 0
}

/// Exactly, as an odd integer and a power of two: `-7*2^-9`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Infinite { negative } | Self::Finite { negative, .. }) = self else { return f.write_str("nan") };
        f.write_str(if *negative { "-" } else { "" })?;
        let Self::Finite { magnitude, .. } = self else { return f.write_str("inf") };
        let (numerator, denominator) = (magnitude.numerator(), magnitude.denominator());
        match (numerator.trailing_zeros(), denominator.trailing_zeros()) {
            (None, _) => f.write_str("0"),
            (Some(twos), Some(halves)) if *denominator == UBig::ONE << halves => {
                let exponent = twos as i64 - halves as i64;
                write!(f, "{}", numerator >> twos)?;
                if exponent == 0 { Ok(()) } else { write!(f, "*2^{exponent}") }
            }
            _ => write!(f, "{magnitude}"),
        }
    }
}

impl Value {
    /// Zero of the given sign.
    pub fn zero(negative: bool) -> Self {
        Self::Finite { negative, magnitude: Rational::ZERO }
    }

    /// The number `signed`; 0 is positive.
    pub fn finite(signed: Rational) -> Self {
        Self::Finite { negative: signed.sign() == Sign::Negative, magnitude: signed.abs() }
    }

    /// The meaning of `code`; bits above the format's width are ignored.
    ///
    /// # Panics
    /// If codes of the format do not fit 64 bits.
    pub fn of(format: Format, code: u64) -> Self {
        match format {
            Format::Float(f) => {
                let magnitude = code & ones(magnitude_width(f));
                let negative = code & sign_bit(f) != 0;
                if negative && magnitude == 0 && nan_at_negative_zero(f) {
                    return Self::Nan;
                }
                match class(f, magnitude) {
                    Class::Nan => Self::Nan,
                    Class::Infinite => Self::Infinite { negative },
                    Class::Finite => Self::Finite { negative, magnitude: rung(f, magnitude.into()) },
                }
            }
            Format::Fixed(f) => {
                assert!(f.width <= 64, "{format} has no codes");
                fixed_value(f, twos_complement(code, f.width).into())
            }
            Format::Quire(f) => {
                assert!(f.width <= 64, "{format} has no codes");
                let integer = twos_complement(code, f.width);
                if integer == -(1 << (f.width - 1)) { Self::Nan } else { fixed_value(f, integer.into()) }
            }
            Format::Posit(PositFormat { width, exponent_bits }) => match twos_complement(code, width) {
                0 => Self::zero(false),
                integer if integer == -(1 << (width - 1)) => Self::Nan,
                integer => {
                    let magnitude = posit_rung(width, exponent_bits, integer.unsigned_abs());
                    Self::Finite { negative: integer < 0, magnitude }
                }
            },
        }
    }

    /// The meaning of `code` as an operand under a subnormal policy: where denormals are
    /// zeros, subnormal codes mean zeros of their sign.
    ///
    /// # Panics
    /// If codes of the format do not fit 64 bits.
    pub fn of_operand(format: Format, code: u64, policy: SubnormalPolicy) -> Self {
        Self::of(format, code).into_operand(format, policy)
    }

    /// A number of `format`, read as an operand.
    pub(crate) fn into_operand(self, format: Format, policy: SubnormalPolicy) -> Self {
        match (policy, format, &self) {
            (SubnormalPolicy::Daz | SubnormalPolicy::DazFtz, Format::Float(f), Self::Finite { negative, magnitude })
                if matches!(f.subnormals, Subnormals::Gradual) && *magnitude < power_of_two(1 - i64::from(f.bias)) =>
            {
                Self::zero(*negative)
            }
            _ => self,
        }
    }

    /// `self * 2^shift`.
    pub fn scaled(self, shift: i64) -> Self {
        match self {
            Self::Finite { negative, magnitude } if shift != 0 => Self::Finite { negative, magnitude: magnitude * power_of_two(shift) },
            other => other,
        }
    }

    /// The value with its sign changed; NaN stays NaN.
    pub fn negated(self) -> Self {
        match self {
            Self::Nan => Self::Nan,
            Self::Infinite { negative } => Self::Infinite { negative: !negative },
            Self::Finite { negative, magnitude } => Self::Finite { negative: !negative, magnitude },
        }
    }

    /// The exact product; infinity times zero is an invalid operation.
    pub fn product(&self, other: &Self) -> (Self, Flags) {
        let value = match (self, other) {
            (Self::Nan, _) | (_, Self::Nan) => Self::Nan,
            (Self::Infinite { negative: s }, Self::Infinite { negative: t }) => Self::Infinite { negative: s != t },
            (Self::Infinite { negative: s }, Self::Finite { negative: t, magnitude })
            | (Self::Finite { negative: s, magnitude }, Self::Infinite { negative: t }) => {
                if magnitude.is_zero() {
                    return (Self::Nan, Flags::INVALID);
                }
                Self::Infinite { negative: s != t }
            }
            (Self::Finite { negative: s, magnitude: x }, Self::Finite { negative: t, magnitude: y }) => {
                Self::Finite { negative: s != t, magnitude: x * y }
            }
        };
        (value, Flags::NONE)
    }

    /// The exact sum; infinities of opposite signs are an invalid operation.
    ///
    /// A zero sum keeps the sign its addends share. If they differ in sign it is +0, and -0
    /// when rounding toward minus infinity (IEEE 754-2019 section 6.3).
    pub fn sum(&self, other: &Self, rounding: Rounding) -> (Self, Flags) {
        let value = match (self, other) {
            (Self::Nan, _) | (_, Self::Nan) => Self::Nan,
            (Self::Infinite { negative: s }, Self::Infinite { negative: t }) => {
                if s != t {
                    return (Self::Nan, Flags::INVALID);
                }
                Self::Infinite { negative: *s }
            }
            (Self::Infinite { negative }, _) | (_, Self::Infinite { negative }) => Self::Infinite { negative: *negative },
            (Self::Finite { negative: s, magnitude: x }, Self::Finite { negative: t, magnitude: y }) if s == t => {
                Self::Finite { negative: *s, magnitude: x + y }
            }
            (Self::Finite { negative: s, magnitude: x }, Self::Finite { negative: t, magnitude: y }) => match x.cmp(y) {
                Ordering::Greater => Self::Finite { negative: *s, magnitude: x - y },
                Ordering::Less => Self::Finite { negative: *t, magnitude: y - x },
                Ordering::Equal => Self::zero(matches!(rounding, Rounding::Rdn)),
            },
        };
        (value, Flags::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::NAMED;

    #[test]
    fn reserved_magnitudes_are_the_topmost() {
        for named in NAMED {
            let Format::Float(f) = named.format else { continue };
            for magnitude in (0..=ones(magnitude_width(f).min(16))).chain((0..8).map(|d| ones(magnitude_width(f)).saturating_sub(d))) {
                assert_eq!(class(f, magnitude) == Class::Finite, magnitude <= largest_finite(f), "{} {magnitude:x}", named.name);
            }
        }
    }

    #[test]
    fn printed_exactly() {
        for (format, code, text) in [
            (Format::E4M3FN, 0x7e, "7*2^6"),
            (Format::E4M3FN, 0x87, "-7*2^-9"),
            (Format::E4M3FN, 0xff, "nan"),
            (Format::E5M2, 0xfc, "-inf"),
            (Format::E5M2, 0x80, "-0"),
            (Format::E5M2, 0x3c, "1"),
            (Format::INT8, 0xfd, "-3"),
        ] {
            assert_eq!(Value::of(format, code).to_string(), text);
        }
    }

    /// Limits as their specifications print them.
    #[test]
    fn limits() {
        // name, largest, smallest positive: each numerator * 2^exponent
        for (name, largest, smallest) in [
            ("e4m3fn", (448, 0), (1, -9)),
            ("e5m2", (57344, 0), (1, -16)),
            ("e4m3fnuz", (240, 0), (1, -10)),
            ("e5m2fnuz", (57344, 0), (1, -17)),
            ("e4m3b11fnuz", (30, 0), (1, -13)),
            ("e4m3", (240, 0), (1, -9)),
            ("e3m4", (31, -1), (1, -6)),
            ("e2m1f", (6, 0), (1, -1)),
            ("e2m3f", (15, -1), (1, -3)),
            ("e3m2f", (28, 0), (1, -4)),
            ("e2m5b2f", (63, -4), (1, -6)),
            ("p3109_k8p3se", (49152, 0), (1, -17)),
            ("p3109_k8p3sf", (57344, 0), (1, -17)),
            ("p3109_k8p4se", (224, 0), (1, -10)),
            ("p3109_k8p5sf", (31, -1), (1, -7)),
            ("dlfloat16", (1022, 23), (513, -40)),
            ("e6m9", (1023, 22), (1, -39)),
            ("e6m9f", (1023, 23), (1, -39)),
            ("e8m0", (1, 127), (2, -127)),
            ("fp16", (65504, 0), (1, -24)),
            ("bf16", (255, 120), (1, -133)),
            ("fp32", (0xff_ffff, 104), (1, -149)),
            ("fp64", ((1i64 << 53) - 1, 971), (1, -1074)),
        ] {
            let format: Format = name.parse().unwrap();
            let Format::Float(f) = format else { unreachable!() };
            for (code, (numerator, exponent)) in [(largest_finite(f), largest), (1, smallest)] {
                let expected = Value::finite(Rational::from(IBig::from(numerator)) * power_of_two(exponent));
                assert_eq!(Value::of(format, code), expected, "{name} {code:x}");
            }
        }
    }
}
