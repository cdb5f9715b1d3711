//! Numbers for people: hexadecimal significand and exponent, decimal, distance in codes.

use crate::value::{Rational, Value};
use dashu_base::{BitTest, UnsignedAbs};
use dashu_int::UBig;
use systole_isa::format::Format;

/// Significant decimal digits printed at most; values that need more are marked `~`.
const DIGITS: usize = 12;

/// Numerator and power of two in the denominator; every value here is dyadic.
fn parts(magnitude: &Rational) -> (UBig, usize) {
    let halves = magnitude.denominator().trailing_zeros().unwrap_or(0);
    (magnitude.numerator().clone().unsigned_abs(), halves)
}

/// As C writes it: `-0x1.8p-3`, the significand's first digit 1 even for subnormal numbers.
pub fn hexadecimal(value: &Value) -> String {
    let (negative, magnitude) = match value {
        Value::Nan => return "nan".to_owned(),
        Value::Infinite { negative } => return if *negative { "-inf" } else { "+inf" }.to_owned(),
        Value::Finite { negative, magnitude } => (*negative, magnitude),
    };
    let sign = if negative { '-' } else { '+' };
    let (numerator, halves) = parts(magnitude);
    if numerator.is_zero() {
        return format!("{sign}0x0p+0");
    }
    let top = numerator.bit_len() - 1;
    let fraction = numerator.clone() ^ (UBig::ONE << top);
    let nibbles = top.div_ceil(4);
    let digits = format!("{:0width$x}", fraction << (4 * nibbles - top), width = nibbles);
    let digits = digits.trim_end_matches('0');
    let point = if nibbles == 0 || digits.is_empty() { String::new() } else { format!(".{digits}") };
    format!("{sign}0x1{point}p{:+}", top as i64 - halves as i64)
}

/// In decimal: exact where twelve digits suffice, else the nearest such number after a `~`.
pub fn decimal(value: &Value) -> String {
    let (negative, magnitude) = match value {
        Value::Nan => return "nan".to_owned(),
        Value::Infinite { negative } => return if *negative { "-inf" } else { "inf" }.to_owned(),
        Value::Finite { negative, magnitude } => (*negative, magnitude),
    };
    let sign = if negative { "-" } else { "" };
    let (numerator, halves) = parts(magnitude);
    if numerator.is_zero() {
        return format!("{sign}0");
    }
    // numerator / 2^halves = numerator 5^halves / 10^halves: the digits of an integer.
    let all = (numerator * UBig::from(5u8).pow(halves)).to_string();
    let point = all.len() as i64 - halves as i64;
    let digits = all.trim_end_matches('0');
    let (mark, digits, point) = if digits.len() <= DIGITS {
        ("", digits.to_owned(), point)
    } else {
        let rounded = nearest(digits, DIGITS);
        let point = point + i64::from(rounded.len() > DIGITS);
        ("~", rounded.trim_end_matches('0').to_owned(), point)
    };
    format!("{mark}{sign}{}", place_point(&digits, point))
}

/// The first `count` digits of a longer number, rounded to nearest; one digit more if all carry.
fn nearest(digits: &str, count: usize) -> String {
    let kept: UBig = digits[..count].parse().unwrap_or(UBig::ZERO);
    let up = digits.as_bytes()[count] >= b'5';
    (kept + UBig::from(u8::from(up))).to_string()
}

/// `0.digits * 10^point` in positional notation near 1, in scientific notation elsewhere.
fn place_point(digits: &str, point: i64) -> String {
    let len = digits.len() as i64;
    if !(-5..=15).contains(&point) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { String::new() } else { format!(".{rest}") };
        format!("{first}{rest}e{}", point - 1)
    } else if point <= 0 {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else if point >= len {
        format!("{digits}{}", "0".repeat((point - len) as usize))
    } else {
        format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
    }
}

/// A code as its format's hexadecimal digits: `0x3c00`.
pub fn code(format: Format, code: u64) -> String {
    format!("0x{code:0width$x}", width = hex_digits(format))
}

/// Hexadecimal digits of a format's codes.
pub const fn hex_digits(format: Format) -> usize {
    format.bits().div_ceil(4) as usize
}

/// Where a code stands among the numbers of its format, counted from zero.
fn ordinal(format: Format, code: u64) -> Option<i128> {
    if Value::of(format, code) == Value::Nan {
        return None;
    }
    let code = i128::from(code & format.mask());
    Some(match format {
        Format::Float(f) => {
            let sign = if f.signed { 1 << (format.bits() - 1) } else { 0 };
            if code & sign == 0 { code } else { -(code - sign) }
        }
        // Two's complement, in value and in order.
        _ if code >> (format.bits() - 1) == 1 => code - (1 << format.bits()),
        _ => code,
    })
}

/// Codes between two numbers of a format, infinities counted as the next after the largest;
/// `None` beside NaN. The zeros of either sign are the same number.
pub fn ulps(format: Format, a: u64, b: u64) -> Option<u128> {
    Some((ordinal(format, a)? - ordinal(format, b)?).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_exactly_or_marked() {
        for (format, code, hexadecimal_text, decimal_text) in [
            ("e4m3fn", 0x7e, "+0x1.cp+8", "448"),
            ("e4m3fn", 0x81, "-0x1p-9", "-0.001953125"),
            ("e4m3fn", 0x80, "-0x0p+0", "-0"),
            ("e4m3fn", 0x7f, "nan", "nan"),
            ("e5m2", 0xfc, "-inf", "-inf"),
            ("int8", 0xfd, "-0x1.8p+1", "-3"),
            ("fp32", 0x0000_0001, "+0x1p-149", "~1.40129846432e-45"),
            ("fp32", 0x3dcc_cccd, "+0x1.99999ap-4", "~0.10000000149"),
            ("fp32", 0x7f7f_ffff, "+0x1.fffffep+127", "~3.40282346639e38"),
            ("fp32", 0x4b18_967f, "+0x1.312cfep+23", "9999999"),
            ("fp64", 0x3fef_ffff_ffff_ffff, "+0x1.fffffffffffffp-1", "~1"),
            ("fp64", 0x4197_d783_ffff_ffff, "+0x1.7d783ffffffffp+26", "~100000000"),
        ] {
            let value = Value::of(format.parse().unwrap(), code);
            assert_eq!((hexadecimal(&value).as_str(), decimal(&value).as_str()), (hexadecimal_text, decimal_text));
        }
    }

    #[test]
    fn distances_count_codes() {
        for (format, a, b, distance) in [
            ("fp16", 0x3c00, 0x3c01, Some(1)),
            ("fp16", 0x0001, 0x8001, Some(2)),
            ("fp16", 0x0000, 0x8000, Some(0)),
            ("fp16", 0x7c00, 0x7bff, Some(1)),
            ("fp16", 0x7e00, 0x7bff, None),
            ("int8", 0xff, 0x01, Some(2)),
            ("e4m3fnuz", 0x80, 0x01, None),
        ] {
            assert_eq!(ulps(format.parse().unwrap(), a, b), distance, "{format} {a:x} {b:x}");
        }
    }
}
