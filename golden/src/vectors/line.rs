//! The numbers of a format in order: neighbours, landmarks, and codes of given numbers.

use crate::round::round;
use crate::value::{Rational, Value, infinity, largest_finite, power_of_two};
use systole_isa::format::{FloatFormat, Format};
use systole_isa::round::{Overflow, Policy, Rounding};

/// The code of a number, out of range the largest.
pub(super) fn code_of(format: Format, value: &Value, rounding: Rounding) -> u64 {
    round(format, value, Policy::new(rounding).overflow(Overflow::Saturate), 0).0
}

/// The number of a code, if it is one.
pub(super) fn number(format: Format, code: u64) -> Option<Rational> {
    match Value::of(format, code) {
        Value::Finite { negative, magnitude } => Some(if negative { -magnitude } else { magnitude }),
        Value::Nan | Value::Infinite { .. } => None,
    }
}

/// Largest code of the numbers from zero upward: these are codes 0, 1, 2, ...
pub(super) fn top(format: Format) -> u64 {
    match format {
        Format::Float(f) => largest_finite(f),
        Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => format.mask() >> 1,
    }
}

/// `code` moved by `steps` along the codes, never out of the format's width.
pub(super) const fn step(format: Format, code: u64, steps: i64) -> u64 {
    code.wrapping_add(steps as u64) & format.mask()
}

/// Magnitude codes where a float's behaviour changes.
fn float_landmarks(f: FloatFormat) -> Vec<u64> {
    let m = f.mantissa_bits;
    let fraction = (1u64 << m) - 1;
    let all = (1u64 << (f.exponent_bits + m)) - 1;
    let one = (f.bias.clamp(0, (1 << f.exponent_bits) - 1) as u64) << m;
    let largest = largest_finite(f);
    let alternating = 0x5555_5555_5555_5555 & fraction;
    // Half an ulp of 1.
    let half_ulp = one.saturating_sub(u64::from(m + 1) << m);
    let mut codes = vec![
        // Zero, subnormals, the smallest normals.
        0,
        1,
        2,
        alternating,
        fraction,
        fraction + 1,
        fraction + 2,
        // Around 1 and 2, and significands of ones and of alternating bits.
        one.saturating_sub(1),
        one,
        one + 1,
        one | alternating,
        one | fraction,
        (one | fraction) + 1,
        half_ulp,
        half_ulp + 1,
        // The upper end.
        largest & !fraction,
        largest.saturating_sub(1),
        largest,
        // Reserved codes: infinity, a signalling NaN, all ones.
        largest + 1,
        largest + 2,
        all,
    ];
    codes.extend(infinity(f));
    codes.retain(|&code| code <= all);
    codes
}

/// Codes of a format where behaviour changes: zeros, the smallest and largest numbers of each
/// kind, ones and their neighbours, extreme significands, infinities, NaNs of every kind;
/// ascending by code.
pub fn corners(format: Format) -> Vec<u64> {
    let mask = format.mask();
    let mut codes = match format {
        Format::Float(f) => {
            let positive = float_landmarks(f);
            let sign = if f.signed { 1 << (f.exponent_bits + f.mantissa_bits) } else { 0 };
            let nan = round(format, &Value::Nan, Policy::RNE, 0).0;
            positive.iter().flat_map(|&code| [code, code | sign]).chain([nan, nan | sign]).collect()
        }
        Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => {
            let bits = format.bits();
            let top = mask >> 1;
            let mut codes: Vec<u64> = vec![0, 1, 2, 3, top - 1, top, top + 1, top + 2, mask, mask - 1];
            codes.extend([0x5555_5555_5555_5555 & mask, 0xaaaa_aaaa_aaaa_aaaa & mask]);
            for middle in [bits / 4, bits / 2, 3 * bits / 4].map(|bit| 1 << bit) {
                codes.extend([middle - 1, middle, middle + 1].map(|code| code & mask));
            }
            for exponent in [-1, 0, 1] {
                for negative in [false, true] {
                    let value = Value::Finite { negative, magnitude: power_of_two(exponent) };
                    let code = code_of(format, &value, Rounding::Rne);
                    codes.extend([code, step(format, code, 1), step(format, code, -1)]);
                }
            }
            codes
        }
    };
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::is_signalling;
    use systole_isa::format::NAMED;

    #[test]
    fn corners_of_every_format_hold_its_extremes() {
        for named in NAMED.iter().filter(|named| named.format.bits() <= 64) {
            let format = named.format;
            let codes = corners(format);
            assert!(codes.iter().all(|code| code & !format.mask() == 0), "{}", named.name);
            let has = |value: Value| codes.iter().any(|&code| Value::of(format, code) == value);
            let numbers: Vec<Rational> = codes.iter().filter_map(|&code| number(format, code)).collect();
            let all = (0..1u64 << format.bits().min(16)).filter_map(|code| number(format, code));
            if format.bits() <= 16 {
                let (low, high) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
                assert!(all.clone().all(|x| x >= *low && x <= *high), "{}", named.name);
                assert_eq!(has(Value::Nan), (0..1 << format.bits()).any(|code| Value::of(format, code) == Value::Nan), "{}", named.name);
                let infinite = |code| matches!(Value::of(format, code), Value::Infinite { .. });
                assert_eq!(codes.iter().any(|&c| infinite(c)), (0..1 << format.bits()).any(infinite), "{}", named.name);
                let signalling = |code| is_signalling(format, code);
                assert_eq!(codes.iter().any(|&c| signalling(c)), (0..1 << format.bits()).any(signalling), "{}", named.name);
            }
        }
    }
}
