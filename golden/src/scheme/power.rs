//! Logarithm and power of two in binary64, correctly rounded: the same bits on every platform.
//!
//! Both enclose the exact result in fixed point and widen the fixed point until both ends round alike.
//! The first fixed point is that of machine words, which suffices for most numbers;
//! after it come integers of any width. That ends: of numbers with finitely many bits, only powers of two have such logarithms, and only
//! integers such powers, and those are answered exactly.

use super::number::{binary64, exact64};
use crate::round::floor_log2;
use crate::value::{Rational, power_of_two};
use dashu_int::{IBig, UBig};
use std::sync::OnceLock;

fn fixed(numerator: UBig, fraction_bits: usize) -> Rational {
    Rational::from(numerator) * power_of_two(-(fraction_bits as i64))
}

/// `floor(x 2^bits)` of a nonnegative number.
fn to_fixed(x: &Rational, bits: usize) -> UBig {
    (x * power_of_two(bits as i64)).floor().try_into().expect("not negative")
}

/// The binary64 nearest to log2 x.
///
/// Bit by bit: with y in [1, 2), the next bit of log2 y is 1 if y^2 reaches 2. Every square is
/// cut downwards, which loses less than 2^-62 of the last bit in all.
///
/// # Panics
/// If x is not positive and finite.
pub fn log2(x: f64) -> f64 {
    assert!(x > 0.0 && x.is_finite(), "a logarithm of a positive number");
    if let Some(log) = words::log2(x) {
        return log;
    }
    wide_log2(x)
}

/// [`log2`] by integers of any width.
fn wide_log2(x: f64) -> f64 {
    let exact = exact64(x);
    let binade = floor_log2(&exact);
    let significand = exact * power_of_two(-binade);
    if significand == Rational::ONE {
        return binade as f64;
    }
    let mut bits = 128;
    loop {
        let width = bits + 64;
        let two = UBig::ONE << (width + 1);
        let mut y = to_fixed(&significand, width);
        let mut log = UBig::ZERO;
        for _ in 0..bits {
            y = (&y * &y) >> width;
            log <<= 1;
            if y >= two {
                y >>= 1;
                log += UBig::ONE;
            }
        }
        let whole = Rational::from(IBig::from(binade));
        let ends = [log.clone(), log + UBig::from(2u8)].map(|end| binary64(&(&whole + fixed(end, bits))));
        if ends[0] == ends[1] {
            return ends[0];
        }
        bits *= 2;
    }
}

/// `floor(ln 2 2^bits)`, possibly one less: twice the series of atanh 1/3.
fn ln2(bits: usize) -> UBig {
    let compute = || {
        let width = bits + 32;
        let mut power = (UBig::ONE << width) / UBig::from(3u8);
        let (mut sum, mut odd) = (UBig::ZERO, 1u32);
        while power != UBig::ZERO {
            sum += &power / UBig::from(odd);
            power /= UBig::from(9u8);
            odd += 2;
        }
        sum >> 31
    };
    static USUAL: OnceLock<UBig> = OnceLock::new();
    if bits == USUAL_BITS { USUAL.get_or_init(compute).clone() } else { compute() }
}

const USUAL_BITS: usize = 160;

/// The binary64 nearest to 2^p; an infinity beyond the largest, 0 below half the smallest.
///
/// The fraction's power is the exponential series of a 256th of it, squared eight times; every
/// operation is cut downwards, which loses less than 2^32 last places in all.
///
/// # Panics
/// If p is NaN.
pub fn exp2(p: f64) -> f64 {
    assert!(!p.is_nan(), "a power of a number");
    if p >= 1025.0 {
        return f64::INFINITY;
    }
    if p <= -1080.0 {
        return 0.0;
    }
    if let Some(power) = words::exp2(p) {
        return power;
    }
    wide_exp2(p)
}

/// [`exp2`] by integers of any width, for p between the ends.
fn wide_exp2(p: f64) -> f64 {
    let exact = exact64(p);
    let whole = i64::try_from(exact.clone().floor()).expect("within the range of exponents");
    let fraction = exact - Rational::from(IBig::from(whole));
    if fraction.is_zero() {
        return binary64(&power_of_two(whole));
    }
    let mut bits = USUAL_BITS;
    loop {
        let small = (to_fixed(&fraction, bits) * ln2(bits)) >> (bits + 8);
        let mut term = UBig::ONE << bits;
        let mut y = term.clone();
        let mut k = 1u32;
        while term != UBig::ZERO {
            term = ((term * &small) >> bits) / UBig::from(k);
            y += &term;
            k += 1;
        }
        for _ in 0..8 {
            y = (&y * &y) >> bits;
        }
        let above = &y + (UBig::ONE << 32);
        let ends = [y, above].map(|end| binary64(&(fixed(end, bits) * power_of_two(whole))));
        if ends[0] == ends[1] {
            return ends[0];
        }
        bits *= 2;
    }
}

/// `a^k` as `2^(k log2 a)`, each of the three operations rounded to binary64; `0^k` is 0.
///
/// # Panics
/// If a is negative, infinite or NaN, or k is NaN or not positive.
pub fn power(a: f64, k: f64) -> f64 {
    assert!(k > 0.0, "a positive power");
    if a == 0.0 { 0.0 } else { exp2(k * log2(a)) }
}

/// The enclosures in words of 64 and 128 bits; `None` where an end's rounding is in doubt.
///
/// Words become binary64 by `as`, which rounds to the nearest, ties to even.
mod words {
    /// Bits of fraction of the fixed point, and of a logarithm.
    const FRACTION: u32 = 63;
    const LOG: u32 = 60;

    /// `floor(ln 2 2^63)`.
    pub(super) const LN2: u64 = 0x58b9_0bfb_e8e7_bcd5;

    fn power_of_two(exponent: i64) -> f64 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    }

    /// Significand of 53 bits and exponent of its last place.
    fn split(x: f64) -> Option<(u64, i64)> {
        let field = (x.to_bits() >> 52 & 0x7ff) as i64;
        (field != 0 && field != 0x7ff).then(|| (x.to_bits() & ((1 << 52) - 1) | 1 << 52, field - 1075))
    }

    /// Cut downwards 60 times by less than 2^-61 each, weighted by halves: less than one of the
    /// last place in all, and the bits not computed are less than one more.
    pub fn log2(x: f64) -> Option<f64> {
        let (significand, last) = split(x)?;
        let mut y = u128::from(significand) << (FRACTION - 52);
        let mut log = i128::from(last + 52);
        for _ in 0..LOG {
            y = (y * y) >> FRACTION;
            let bit = y >> (FRACTION + 1);
            y >>= bit;
            log = log << 1 | bit as i128;
        }
        let exact = significand == 1 << 52;
        let ends = [log as f64, (log + if exact { 0 } else { 2 }) as f64];
        (ends[0] == ends[1]).then(|| ends[0] * power_of_two(-i64::from(LOG)))
    }

    /// The series of at most 25 terms, each cut downwards by less than 4 last places, of an
    /// argument cut by less than 4, which the exponential at most doubles: less than 128 in all.
    pub fn exp2(p: f64) -> Option<f64> {
        let (significand, last) = split(p)?;
        let signed = if p < 0.0 { -i128::from(significand) } else { i128::from(significand) };
        let shift = last + i64::from(FRACTION);
        let fixed = match shift {
            0..=20 => signed << shift,
            -120..0 => signed >> -shift,
            _ => return None,
        };
        let whole = (fixed >> FRACTION) as i64;
        let fraction = (fixed & ((1 << FRACTION) - 1)) as u128;
        if fraction == 0 || !(-900..=1000).contains(&whole) {
            return None;
        }
        let argument = (fraction * u128::from(LN2)) >> FRACTION;
        let mut term = 1u128 << FRACTION;
        let mut y = term;
        for k in 1..=25 {
            term = ((term * argument) >> FRACTION) / k;
            y += term;
        }
        let ends = [y as f64, (y + 128) as f64];
        (ends[0] == ends[1]).then(|| ends[0] * power_of_two(whole - i64::from(FRACTION)))
    }
}

#[cfg(test)]
mod tests;
