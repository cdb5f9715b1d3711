//! What the schemes share in arithmetic: binary32 as exact rationals, integer parts, one
//! rounding on the number line of a small format.

use crate::round::{Placed, floor_log2, round};
use crate::value::{Rational, Value, largest_finite, power_of_two};
use dashu_base::{Abs, BitTest, Sign};
use dashu_int::IBig;
use std::cmp::Ordering;
use systole_isa::format::{FloatFormat, Format, Specials, Subnormals};
use systole_isa::round::{Overflow, Policy, Rounding as Direction};

/// A finite binary32, exactly.
///
/// # Panics
/// If it is NaN or infinite.
pub(super) fn exact(x: f32) -> Rational {
    match Value::of(Format::FP32, x.to_bits().into()) {
        Value::Finite { negative: true, magnitude } => -magnitude,
        Value::Finite { magnitude, .. } => magnitude,
        Value::Nan | Value::Infinite { .. } => panic!("a finite number"),
    }
}

/// A finite binary64, exactly.
///
/// # Panics
/// If it is NaN or infinite.
pub(super) fn exact64(x: f64) -> Rational {
    match Value::of(Format::FP64, x.to_bits()) {
        Value::Finite { negative: true, magnitude } => -magnitude,
        Value::Finite { magnitude, .. } => magnitude,
        Value::Nan | Value::Infinite { .. } => panic!("a finite number"),
    }
}

/// `floor(log2 |x|)` of a finite number other than zero, read off the number itself: a binary32
/// logarithm may round up to the next integer just below a power of two.
pub(super) fn exponent(x: f32) -> i64 {
    floor_log2(&exact(x).abs())
}

/// The binary32 nearest to a number, ties to even; beyond the largest an infinity.
/// Zero takes the sign asked for.
pub(super) fn binary32(negative_zero: bool, x: &Rational) -> f32 {
    let negative = if x.is_zero() { negative_zero } else { x.sign() == Sign::Negative };
    let value = Value::Finite { negative, magnitude: x.clone().abs() };
    f32::from_bits(round(Format::FP32, &value, Policy::RNE, 0).0 as u32)
}

/// The binary64 nearest to a number, ties to even.
pub(super) fn binary64(x: &Rational) -> f64 {
    f64::from_bits(round(Format::FP64, &Value::finite(x.clone()), Policy::RNE, 0).0)
}

/// Where an integer comes from a number.
#[derive(Clone, Debug)]
pub(super) enum Draw {
    /// The nearest, ties to even.
    Nearest,
    /// The nearest, ties away from zero.
    Away,
    /// `floor(x + u)`: up with the probability of the fraction, by a uniform number u in [0, 1).
    Uniform(Rational),
    /// As [`Draw::Uniform`], but x and the sum are binary32 before the floor is taken.
    UniformBinary32(f32),
}

/// The integer that `draw` makes of `x`.
pub(super) fn integer(x: &Rational, draw: &Draw) -> IBig {
    let floor = |x: &Rational| x.clone().floor();
    match draw {
        Draw::Nearest | Draw::Away => {
            let below = floor(x);
            let nu = x - Rational::from(below.clone());
            let up = match nu.cmp(&power_of_two(-1)) {
                Ordering::Less => false,
                Ordering::Greater => true,
                Ordering::Equal if matches!(draw, Draw::Away) => x.sign() == Sign::Positive,
                Ordering::Equal => below.bit(0),
            };
            if up { below + IBig::ONE } else { below }
        }
        Draw::Uniform(u) => floor(&(x + u)),
        Draw::UniformBinary32(u) => {
            let sum = binary32(false, x) + u;
            if sum.is_finite() { floor(&exact(sum)) } else { floor(x) }
        }
    }
}

/// An element format of all-finite codes: exponent field 0 holds subnormals, no code is special.
pub(super) fn finite_float(exponent_bits: u32, mantissa_bits: u32, bias: i32) -> FloatFormat {
    FloatFormat { signed: true, exponent_bits, mantissa_bits, bias, subnormals: Subnormals::Gradual, specials: Specials::F }
}

/// The code of a magnitude rounded once on the positive half of a format's number line, and
/// whether it would have lain above the largest finite number, which it then becomes.
///
/// With Q the exponent of the last place, `max(floor(log2 x), 1 - bias) - m`, and x = (n + nu) 2^Q,
/// an integer is drawn from n + nu; codes ascend with the numbers, so a carry into the next
/// binade is a carry in the code.
pub(super) fn round_magnitude(format: FloatFormat, magnitude: &Rational, draw: &Draw) -> (u64, bool) {
    let largest = largest_finite(format);
    let code = match draw {
        Draw::Nearest | Draw::Away => {
            let mode = if matches!(draw, Draw::Away) { Direction::Rmm } else { Direction::Rne };
            let policy = Policy::new(mode).overflow(Overflow::Saturate);
            let (code, flags) = Placed::new(Format::Float(format), magnitude).round(false, policy, 0);
            return (code, flags.contains(systole_isa::round::Flags::OVERFLOW));
        }
        Draw::Uniform(_) | Draw::UniformBinary32(_) if magnitude.is_zero() => 0,
        Draw::Uniform(_) | Draw::UniformBinary32(_) => {
            let m = i64::from(format.mantissa_bits);
            let least = 1 - i64::from(format.bias);
            let binade = floor_log2(magnitude).max(least);
            let steps = magnitude * power_of_two(m - binade);
            let drawn = match draw {
                // The reference takes the hidden bit off before it adds.
                Draw::UniformBinary32(_) if floor_log2(magnitude) >= least => {
                    integer(&(steps - power_of_two(m)), draw) + (IBig::ONE << m as usize)
                }
                _ => integer(&steps, draw),
            };
            let code = drawn + (IBig::from(binade - least) << m as usize);
            u64::try_from(code).unwrap_or(u64::MAX)
        }
    };
    (code.min(largest), code > largest)
}

/// The number at a code of a format, times `2^shift`, in binary32.
pub(super) fn decoded(format: FloatFormat, negative: bool, code: u64, shift: i64) -> f32 {
    match Value::of(Format::Float(format), code).scaled(shift) {
        Value::Finite { magnitude, .. } => binary32(negative, &if negative { -magnitude } else { magnitude }),
        Value::Infinite { .. } => {
            if negative {
                f32::NEG_INFINITY
            } else {
                f32::INFINITY
            }
        }
        Value::Nan => f32::NAN,
    }
}
