//! Rounding: from an exact value to a code, once, in integers.
//!
//! [`encode`] is the one definition of conversion in systole. It rounds with unbounded
//! exponent to the format's precision (or to the subnormal quantum) and only then tests for
//! overflow, as IEEE 754-2019 section 7.4 and OCP OFP8 section 5.2 ask.

mod policy;

pub use policy::{Flags, NanCode, NoInfinity, Overflow, Policy, Rounding, RoundingNameError, SubnormalPolicy, Tininess};

use crate::exact::{Exact, shift_right_jam};
use crate::format::{Decoded, FixedFormat, FloatFormat, Format, PositFormat, Specials, Subnormals};

/// Whether to step one code away from zero, given the discarded part.
///
/// `kept_is_odd` is the parity of the lower candidate's code; the discarded fraction nu is
/// `discarded / 2^width`, nonzero.
#[inline]
pub const fn rounds_away(rounding: Rounding, negative: bool, kept_is_odd: bool, discarded: u128, width: u32, random: u64) -> bool {
    let half = 1u128 << (width - 1);
    match rounding {
        Rounding::Rne => discarded > half || (discarded == half && kept_is_odd),
        Rounding::Rmm => discarded >= half,
        Rounding::Rtz => false,
        Rounding::Rdn => negative,
        Rounding::Rup => !negative,
        Rounding::Rod => !kept_is_odd,
        Rounding::Sr(bits) => {
            let head = if width >= bits { discarded >> (width - bits) } else { discarded << (bits - width) };
            head + (random & (u64::MAX >> (64 - bits))) as u128 >= 1 << bits
        }
    }
}

/// Splits `value` at 2^quantum: the integer above, the discarded part, and its width in bits.
#[inline]
const fn split(value: Exact, quantum: i32) -> (u128, u128, u32) {
    let shift = quantum - value.exponent;
    if shift <= 0 {
        (value.significand << -shift as u32, 0, 1)
    } else if shift <= 127 {
        (value.significand >> shift as u32, value.significand & ((1 << shift as u32) - 1), shift as u32)
    } else {
        // Far below the quantum: keep 120 bits of the discarded part and jam the rest.
        (0, shift_right_jam(value.significand, shift - 120), 120)
    }
}

#[inline]
const fn overflow_code(format: FloatFormat, negative: bool, policy: Policy) -> u64 {
    let sign = if negative { format.sign_code() } else { 0 };
    let max = format.max_finite_magnitude() | sign;
    let to_infinity = match policy.overflow {
        Overflow::Saturate | Overflow::Propagate => false,
        Overflow::Infinity => true,
        Overflow::Ieee => match policy.rounding {
            Rounding::Rne | Rounding::Rmm | Rounding::Sr(_) => true,
            Rounding::Rtz | Rounding::Rod => false,
            Rounding::Rdn => negative,
            Rounding::Rup => !negative,
        },
    };
    if to_infinity { infinity_code(format, negative, policy) } else { max }
}

/// The code written for an infinity under `policy`.
#[inline]
const fn infinity_code(format: FloatFormat, negative: bool, policy: Policy) -> u64 {
    let sign = if negative { format.sign_code() } else { 0 };
    match (policy.overflow, format.infinity_magnitude()) {
        (Overflow::Saturate, _) => format.max_finite_magnitude() | sign,
        (_, Some(infinity)) => infinity | sign,
        (_, None) => match (policy.no_infinity, policy.nan(Format::Float(format))) {
            (NoInfinity::Nan, Some(nan)) => nan,
            _ => format.max_finite_magnitude() | sign,
        },
    }
}

const fn encode_float(format: FloatFormat, value: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    let negative = value.negative;
    if negative && !format.signed && value.significand != 0 {
        let code = match policy.nan(Format::Float(format)) {
            Some(nan) => nan,
            None => 0,
        };
        return (code, Flags::INVALID);
    }
    let sign = if negative { format.sign_code() } else { 0 };
    let zero = if format.has_negative_zero() { sign } else { 0 };
    if value.significand == 0 {
        // Without a zero the smallest number stands in for it.
        return (zero, if matches!(format.specials, Specials::E8m0) { Flags::INEXACT } else { Flags::NONE });
    }
    let mantissa_bits = format.mantissa_bits as i32;
    let exponent = value.magnitude_exponent();
    let floor_exponent = if exponent > format.min_exponent() { exponent } else { format.min_exponent() };
    let quantum = floor_exponent - mantissa_bits;
    let (kept, discarded, width) = split(value, quantum);

    if floor_exponent - format.min_exponent() >= 1 << format.exponent_bits {
        // So far beyond the range that the shifts below would lose it.
        return (overflow_code(format, negative, policy), Flags(Flags::OVERFLOW.0 | Flags::INEXACT.0));
    }
    // In magnitude-code space one step away from zero is +1, carries included.
    let binade = ((quantum - format.min_quantum_exponent()) as u64) << format.mantissa_bits;
    let magnitude = match format.subnormals {
        Subnormals::Gradual => binade + kept as u64,
        Subnormals::None if exponent >= format.min_exponent() => binade + kept as u64 - (1 << format.mantissa_bits),
        Subnormals::None => return encode_below_smallest(format, value, policy, random),
    };
    if matches!(format.subnormals, Subnormals::None) && magnitude == 0 && !matches!(format.specials, Specials::E8m0) {
        return encode_below_smallest(format, value, policy, random);
    }
    let inexact = discarded != 0;
    let away = inexact && rounds_away(policy.rounding, negative, magnitude & 1 == 1, discarded, width, random);
    let rounded = magnitude + away as u64;
    if rounded > format.max_finite_magnitude() {
        return (overflow_code(format, negative, policy), Flags(Flags::OVERFLOW.0 | Flags::INEXACT.0));
    }
    let mut flags = if inexact { Flags::INEXACT } else { Flags::NONE };
    if matches!(format.subnormals, Subnormals::Gradual) && exponent < format.min_exponent() {
        let tiny = match policy.tininess {
            Tininess::Before => true,
            Tininess::After => {
                // Tiny unless rounding to full precision would already reach the smallest normal.
                let (kept, discarded, width) = split(value, exponent - mantissa_bits);
                let odd = if format.mantissa_bits == 0 { (exponent - format.min_exponent()) & 1 == 0 } else { kept & 1 == 1 };
                let carries = discarded != 0
                    && kept + 1 == 1 << format.precision()
                    && rounds_away(policy.rounding, negative, odd, discarded, width, random);
                !(carries && exponent + 1 == format.min_exponent())
            }
        };
        if tiny && policy.subnormals.flushes_results() {
            return (zero, Flags(Flags::UNDERFLOW.0 | Flags::INEXACT.0));
        }
        if tiny && inexact {
            flags = flags.union(Flags::UNDERFLOW);
        }
    }
    if rounded == 0 && !matches!(format.specials, Specials::E8m0) {
        return (zero, flags);
    }
    (rounded | sign, flags)
}

/// Formats without subnormals, below their smallest value: the candidates are 0 and that
/// value, so the quantum is the smallest value itself.
const fn encode_below_smallest(format: FloatFormat, value: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    if matches!(format.specials, Specials::E8m0) {
        return (0, Flags(Flags::UNDERFLOW.0 | Flags::INEXACT.0));
    }
    let negative = value.negative;
    let sign = if negative { format.sign_code() } else { 0 };
    // The smallest value is (2^m + 1) 2^quantum; nu = value / smallest, to 60 bits and a jam.
    let smallest = (1u128 << format.mantissa_bits) + 1;
    let (whole, rest, width) = split(value, format.min_quantum_exponent());
    let value_in_quanta = (whole << 60) | if width >= 60 { shift_right_jam(rest, width as i32 - 60) } else { rest << (60 - width) };
    let quotient = value_in_quanta / smallest;
    let jammed = quotient << 1 | (value_in_quanta % smallest != 0) as u128;
    let away = rounds_away(policy.rounding, negative, false, jammed, 61, random) && !policy.subnormals.flushes_results();
    let code = if away {
        1 | sign
    } else if format.has_negative_zero() {
        sign
    } else {
        0
    };
    (code, Flags(Flags::UNDERFLOW.0 | Flags::INEXACT.0))
}

const fn encode_fixed(format: FixedFormat, value: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    if value.significand == 0 {
        // Whatever the exponent: that of a scaled zero is beyond any shift.
        return (0, Flags::NONE);
    }
    let quantum = -format.fraction_bits;
    let limit = format.max_integer() as u128 + value.negative as u128;
    let shift = value.exponent - quantum;
    let beyond = value.magnitude_exponent() - quantum >= 64;
    if beyond {
        let (low, inexact) = if shift >= 64 {
            (0, false)
        } else if shift >= 0 {
            ((value.significand << shift as u32) as u64, false)
        } else {
            let (kept, discarded, width) = split(value, quantum);
            let away = discarded != 0 && rounds_away(policy.rounding, value.negative, kept & 1 == 1, discarded, width, random);
            ((kept + away as u128) as u64, discarded != 0)
        };
        let code = match policy.overflow {
            Overflow::Saturate | Overflow::Propagate => Format::Fixed(format).max_finite(value.negative),
            Overflow::Ieee | Overflow::Infinity => format.code(if value.negative { low.wrapping_neg() as i64 } else { low as i64 }),
        };
        return (code, if inexact { Flags(Flags::OVERFLOW.0 | Flags::INEXACT.0) } else { Flags::OVERFLOW });
    }
    let (kept, discarded, width) = split(value, quantum);
    let inexact = discarded != 0;
    let away = inexact && rounds_away(policy.rounding, value.negative, kept & 1 == 1, discarded, width, random);
    let magnitude = kept + away as u128;
    let flags = if inexact { Flags::INEXACT } else { Flags::NONE };
    if magnitude > limit {
        let code = match policy.overflow {
            Overflow::Saturate | Overflow::Propagate => Format::Fixed(format).max_finite(value.negative),
            Overflow::Ieee | Overflow::Infinity => {
                let low = magnitude as u64;
                format.code(if value.negative { low.wrapping_neg() as i64 } else { low as i64 })
            }
        };
        return (code, flags.union(Flags::OVERFLOW));
    }
    let low = magnitude as u64;
    (format.code(if value.negative { low.wrapping_neg() as i64 } else { low as i64 }), flags)
}

/// As [`encode_fixed`], but the most negative code means NaR and so is out of range: sums
/// saturate short of it, and one that comes to lie there otherwise is NaR and has overflowed.
const fn encode_quire(format: FixedFormat, value: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    let (code, flags) = encode_fixed(format, value, policy, random);
    if code != format.code(format.min_integer()) {
        return (code, flags);
    }
    let code = if policy.overflow.saturates() { Format::Quire(format).max_finite(true) } else { code };
    (code, flags.union(Flags::OVERFLOW))
}

/// Rounding of posits takes place in the string of bits: the number is written with as many
/// bits as it needs, and nu is what follows bit n read as a binary fraction, exponent bits
/// included. So every mode is defined, and rne is the standard's rounding. No number rounds
/// to zero or NaR, in any mode: beyond maxpos and below minpos those two are the result.
const fn encode_posit(format: PositFormat, value: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    /// Fraction bits looked at; the rest is jammed into the last.
    const FRACTION: u32 = 120;
    if value.significand == 0 {
        return (0, Flags::NONE);
    }
    let exponent = value.magnitude_exponent();
    let regime = exponent >> format.exponent_bits;
    let steps = format.width as i32 - 2;
    let lowest_of_top = if value.significand.is_power_of_two() { exponent == format.max_exponent() } else { false };
    let (magnitude, flags) = if regime >= steps {
        let flags = if lowest_of_top { Flags::NONE } else { Flags(Flags::OVERFLOW.0 | Flags::INEXACT.0) };
        (format.max_code(), flags)
    } else if regime < -steps {
        (1, Flags(Flags::UNDERFLOW.0 | Flags::INEXACT.0))
    } else {
        // 1..10 for regimes from 0 upward, 0..01 below.
        let (regime_bits, regime_width) =
            if regime >= 0 { ((2u64 << (regime + 1) as u32) - 2, regime as u32 + 2) } else { (1, (1 - regime) as u32) };
        let fraction = value.significand << value.significand.leading_zeros() << 1;
        let low_exponent = (exponent - (regime << format.exponent_bits)) as u128;
        let tail = low_exponent << FRACTION | shift_right_jam(fraction, 128 - FRACTION as i32);
        let dropped = format.exponent_bits + FRACTION + regime_width + 1 - format.width;
        let kept = regime_bits << (format.width - 1 - regime_width) | (tail >> dropped) as u64;
        let discarded = tail & ((1 << dropped) - 1);
        let away = discarded != 0 && rounds_away(policy.rounding, value.negative, kept & 1 == 1, discarded, dropped, random);
        (kept + away as u64, if discarded != 0 { Flags::INEXACT } else { Flags::NONE })
    };
    (if value.negative { format.negate(magnitude) } else { magnitude }, flags)
}

/// Rounds an exact finite value to `format`: its code and the exceptions raised.
///
/// `random` supplies the low `random_bits()` bits that stochastic rounding consumes; other
/// modes ignore it.
#[inline]
pub const fn encode(format: Format, value: Exact, policy: Policy, random: u64) -> (u64, Flags) {
    match format {
        Format::Float(f) => encode_float(f, value, policy, random),
        Format::Fixed(f) => encode_fixed(f, value, policy, random),
        Format::Quire(f) => encode_quire(f, value, policy, random),
        Format::Posit(p) => encode_posit(p, value, policy, random),
    }
}

/// Rounds any decoded value, NaN and infinities included, to `format`.
///
/// NaN becomes the policy's NaN; where the format has none it becomes the largest positive
/// value (two's complement: 0) and raises invalid. An infinity keeps its sign where the
/// format has infinities; elsewhere [`Policy::no_infinity`] decides, two's complement
/// takes its extreme value and raises invalid, and posits and quires take NaR.
pub const fn encode_decoded(format: Format, value: Decoded, policy: Policy, random: u64) -> (u64, Flags) {
    match (value, format) {
        (Decoded::Finite(x), _) => encode(format, x, policy, random),
        (Decoded::Nan, Format::Float(f)) => match policy.nan(format) {
            Some(nan) => (nan, Flags::NONE),
            None => (f.max_finite_magnitude(), Flags::INVALID),
        },
        (Decoded::Nan, Format::Fixed(_)) => (0, Flags::INVALID),
        (Decoded::Nan | Decoded::Infinite { .. }, Format::Quire(f)) => (f.code(f.min_integer()), Flags::NONE),
        (Decoded::Nan, Format::Posit(p)) => (p.nar(), Flags::NONE),
        (Decoded::Infinite { negative }, Format::Posit(p)) => match policy.overflow {
            Overflow::Saturate => (format.max_finite(negative), Flags::NONE),
            _ => (p.nar(), Flags::NONE),
        },
        (Decoded::Infinite { negative }, Format::Float(f)) => {
            if negative && !f.signed {
                let code = match policy.nan(format) {
                    Some(nan) => nan,
                    None => 0,
                };
                return (code, Flags::INVALID);
            }
            (infinity_code(f, negative, policy), Flags::NONE)
        }
        (Decoded::Infinite { negative }, Format::Fixed(_)) => (format.max_finite(negative), Flags::INVALID),
    }
}

/// Reads `code` under a subnormal policy: with denormals-are-zero, subnormals decode as zeros.
#[inline]
pub const fn decode_with(format: Format, code: u64, subnormals: SubnormalPolicy) -> Decoded {
    let value = format.decode(code);
    if subnormals.flushes_inputs()
        && let (Format::Float(f), Decoded::Finite(x)) = (format, value)
        && matches!(f.subnormals, Subnormals::Gradual)
        && x.significand >> f.mantissa_bits == 0
    {
        return Decoded::Finite(Exact::zero(x.negative));
    }
    value
}

/// Converts a code of one format to another with one rounding. A signalling NaN raises invalid.
pub const fn convert(from: Format, to: Format, code: u64, policy: Policy, random: u64) -> (u64, Flags) {
    let (code_out, flags) = encode_decoded(to, decode_with(from, code, policy.subnormals), policy, random);
    (code_out, if from.is_signalling(code) { flags.union(Flags::INVALID) } else { flags })
}

/// The code nearest a host binary64, ties to even, saturating: how host data enters.
pub fn encode_f64(format: Format, value: f64) -> u64 {
    encode_decoded(format, Decoded::from_f64(value), Policy::RNE.overflow(Overflow::Saturate), 0).0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values whose distance from the range exceeds the exponent field.
    #[test]
    fn far_overflow_is_overflow() {
        let far = |exponent| Exact { negative: true, significand: 1, exponent };
        for (format, exponent, code) in
            [(Format::FP64, 3339, 0xfff0_0000_0000_0000), (Format::FP64, 1024, 0xfff0_0000_0000_0000), (Format::E4M3FN, 100_000, 0x7f)]
        {
            let (rounded, flags) = encode(format, far(exponent), Policy::RNE, 0);
            assert_eq!((rounded, flags), (code, Flags::OVERFLOW | Flags::INEXACT), "{format} 2^{exponent}");
        }
    }
}
