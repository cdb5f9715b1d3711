//! Enclosures of the transcendental functions at a working precision, each with its error bound.
//!
//! Arguments are finite, nonzero, and such that the result is irrational; the caller has dealt
//! with the rest. Bounds are in ulps of the working precision and rest on three facts: an
//! operation of [`Fixed`] errs by less than 1 ulp, a constant by less than 1.01, and a series
//! is summed by Horner's rule at an argument below 2^-6.5, which damps inner errors.

use super::constants::{Constants, EXP_STEPS, LOG_MULTIPLIERS};
use super::fixed::Fixed;
use systole_isa::round::Rounding;

/// How many leading bits of a value its rounding needs, beside a sticky bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// 32: a result's 24 and the bit that decides between halves, for deterministic modes.
    Short,
    /// 64: a result's 24 and 32 random bits' worth below them.
    Long,
}

impl Cut {
    /// What `rounding` needs.
    pub const fn of(rounding: Rounding) -> Self {
        match rounding {
            Rounding::Sr(_) => Self::Long,
            _ => Self::Short,
        }
    }

    const fn mask(self) -> u64 {
        match self {
            Self::Short => u64::MAX << 32,
            Self::Long => u64::MAX,
        }
    }
}

/// Significand bits of an argument.
pub(super) const ARGUMENT_BITS: i32 = 24;
/// From this exponent on, exp and its kin overflow or vanish in every format.
pub(super) const HUGE_EXPONENT: i32 = 13;

/// A finite nonzero argument `(-1)^negative * significand * 2^(exponent - 23)`, with
/// 2^23 <= significand < 2^24, so `exponent` is floor(log2 |x|).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub negative: bool,
    pub significand: u64,
    pub exponent: i32,
}

impl Argument {
    /// Power of two that scales the significand.
    pub const fn scale(self) -> i32 {
        self.exponent - (ARGUMENT_BITS - 1)
    }

    /// |x| 2^shift, truncated; below 2^63.
    fn fixed<const N: usize>(self, shift: i32) -> Fixed<N> {
        Fixed::scaled(self.significand, self.scale() + shift)
    }
}

/// The magnitude `(value +- error ulps) * 2^exponent`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enclosure<const N: usize> {
    pub value: Fixed<N>,
    pub error: u64,
    pub exponent: i32,
}

impl<const N: usize> Enclosure<N> {
    /// The leading bits of the magnitude, as many as `cut` says and zeros up to 64, and the
    /// exponent of the last of the 64, if both ends of the enclosure agree on them.
    #[inline]
    pub fn leading_bits(&self, cut: Cut) -> Option<(u64, i32)> {
        let ulps = {
            let mut limbs = [0; N];
            limbs[0] = self.error;
            Fixed(limbs)
        };
        let (low, high) = (self.value.minus(ulps), self.value.plus(ulps));
        if low.is_negative() || low.is_zero() {
            return None;
        }
        let ((low, low_position), (high, high_position)) = (leading(&low.0), leading(&high.0));
        let mask = cut.mask();
        (low & mask == high & mask && low_position == high_position)
            .then_some((low & mask, low_position - Fixed::<N>::FRACTION_BITS + self.exponent))
    }

    /// All 64 of them at the middle, for a caller whose precision is exhausted.
    pub fn middle_bits(&self) -> (u64, i32) {
        let (bits, position) = leading(&self.value.0);
        (bits, position - Fixed::<N>::FRACTION_BITS + self.exponent)
    }
}

/// The 64 bits from the leading 1 of a nonzero integer down, and the position of the last.
fn leading(limbs: &[u64]) -> (u64, i32) {
    let top = limbs.iter().rposition(|&l| l != 0).unwrap_or(0);
    let below = if top > 0 { limbs[top - 1] } else { 0 };
    let zeros = limbs[top].leading_zeros();
    let wide = u128::from(limbs[top]) << 64 | u128::from(below);
    ((wide << zeros >> 64) as u64, top as i32 * 64 - zeros as i32)
}

/// The functions enclosed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Exp,
    Exp2,
    Log,
    Log2,
    Tanh,
    Sigmoid,
    Erf,
}

impl Kernel {
    /// Sign of the function's value at `x`.
    pub const fn is_negative_at(self, x: Argument) -> bool {
        match self {
            Self::Exp | Self::Exp2 | Self::Sigmoid => false,
            Self::Log | Self::Log2 => x.exponent < 0,
            Self::Tanh | Self::Erf => x.negative,
        }
    }

    /// The function's value at `x`, in the domain the function below states.
    pub fn enclose<const N: usize>(self, x: Argument, c: &Constants<N>) -> Enclosure<N> {
        match self {
            Self::Exp => exp(x, c),
            Self::Exp2 => exp2(x, c),
            Self::Log => log(x, c),
            Self::Log2 => log2(x, c),
            Self::Tanh => tanh(x, c),
            Self::Sigmoid => sigmoid(x, c),
            Self::Erf => erf(x, c),
        }
    }
}

/// exp(r) for r in [0, ln 2): within 16 ulps, besides 3 ulps for each that r is off.
///
/// With j = floor(128 r) and s = r - j/128, exp(r) = exp(j/128) * sum s^k/k!. Horner's errors
/// sum below (1 + 1.01)/(1 - 2^-7) < 2.1, the tail is below 2; the product with the table entry
/// (at most 2.01) adds 2.01 * 4.1 + 1.01 * 1.01 + 1 < 11.
fn exp_fraction<const N: usize>(r: Fixed<N>, c: &Constants<N>) -> Fixed<N> {
    let step = r.0[N - 2] >> (64 - EXP_STEPS.trailing_zeros());
    let mut s = r;
    s.0[N - 2] &= u64::MAX >> EXP_STEPS.trailing_zeros();
    let mut sum = Fixed::ZERO;
    for &coefficient in c.inverse_factorials.iter().rev() {
        sum = sum.times(s).plus(coefficient);
    }
    c.exponentials[step as usize].times(sum)
}

/// exp(+-x) for x = `magnitude` ulps-exact up to 1 ulp, below 2^13: a value in [1, 2], its
/// error, and the power of two that scales it.
///
/// r = x - n ln 2 is off by 1 + 1.01 n ulps.
fn exp_of<const N: usize>(magnitude: Fixed<N>, negative: bool, c: &Constants<N>) -> Enclosure<N> {
    let leading = magnitude.0[N - 1] << 48 | magnitude.0[N - 2] >> 16;
    // Both factors are cut, so n never exceeds the quotient and r is never negative.
    let estimate = u128::from(leading) * u128::from(c.log2_e.0[N - 2] >> 1 | 1 << 63);
    let mut n = (estimate >> (48 + 63)) as u64;
    let mut r = magnitude.minus(c.ln2.times_integer(n));
    while !r.is_below(c.ln2) {
        r = r.minus(c.ln2);
        n += 1;
    }
    let mut exponent = n as i32;
    if negative && !r.is_zero() {
        r = c.ln2.minus(r);
        n += 1;
        exponent = -(n as i32);
    } else if negative {
        exponent = -exponent;
    }
    Enclosure { value: exp_fraction(r, c), error: 16 + 3 * (2 + n + n / 64), exponent }
}

/// exp(x), |x| < 2^13.
fn exp<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    exp_of(x.fixed(0), x.negative, c)
}

/// exp2(x), |x| < 2^13: with x = n + f, exp(f ln 2) 2^n. The product is off by less than
/// 1 (cut of f) + 1.01 + 1 ulps.
fn exp2<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    let mut fraction: Fixed<N> = x.fixed(0);
    let mut exponent = std::mem::take(&mut fraction.0[N - 1]) as i32;
    if x.negative {
        exponent = -exponent;
        if !fraction.is_zero() {
            fraction = Fixed::ONE.minus(fraction);
            exponent -= 1;
        }
    }
    Enclosure { value: exp_fraction(fraction.times(c.ln2), c), error: 16 + 3 * 4, exponent }
}

/// ln m and e where |x| = m 2^e, m in [1/sqrt 2, sqrt 2]; ln m is signed and within 8 ulps.
///
/// With z = m C/256 - 1, exact and |z| < 2^-6.9, ln m = ln(1 + z) - ln(C/256). Near m = 1, C is
/// 256 and nothing cancels. Horner's errors sum below (1 + 1.01)/(1 - 2^-6.5) < 2.1, damped by
/// a last product with z; the tail is below 1, the stored logarithm within 1.01.
fn log_mantissa<const N: usize>(x: Argument, c: &Constants<N>) -> (Fixed<N>, i32) {
    const ROOT: u64 = (1u64 << 47).isqrt();
    let halved = x.significand > ROOT;
    let bits = if halved { ARGUMENT_BITS } else { ARGUMENT_BITS - 1 };
    let multiplier = LOG_MULTIPLIER[usize::from(halved)][(x.significand >> 16) as usize - 128];
    let product = x.significand * multiplier;
    let one = 1u64 << (bits + 8);
    let (z, below_one) = (product.abs_diff(one) << (64 - bits - 8), product < one);

    let terms = Fixed::<N>::FRACTION_BITS as usize * 10 / 69;
    let mut sum = c.reciprocals[terms];
    for k in (1..terms).rev() {
        let product = sum.times_fraction(z);
        sum = if below_one { c.reciprocals[k].plus(product) } else { c.reciprocals[k].minus(product) };
    }
    let series = sum.times_fraction(z);
    let table = c.logarithms[(multiplier - LOG_MULTIPLIERS.start()) as usize];
    let log = if below_one { Fixed::ZERO.minus(series) } else { series }.minus(table);
    (log, x.exponent + i32::from(halved))
}

/// C such that m C/256 is near 1, by whether m is significand / 2^24 (else / 2^23) and by
/// the significand's leading 8 bits less 128.
const LOG_MULTIPLIER: [[u64; 128]; 2] = {
    let mut table = [[0; 128]; 2];
    let mut head = 128u64;
    while head < 256 {
        // 256 / m at the middle of the interval, m = (2 head + 1) / 2^8 or / 2^9, rounded.
        table[0][head as usize - 128] = ((1 << 17) / (2 * head + 1)).div_ceil(2);
        table[1][head as usize - 128] = ((1 << 18) / (2 * head + 1)).div_ceil(2);
        head += 1;
    }
    table[0][0] = 256;
    table[1][127] = 256;
    table
};

/// ln x of a positive x: ln m + e ln 2.
fn log<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    let (log, e) = log_mantissa(x, c);
    let shift = c.ln2.times_integer(u64::from(e.unsigned_abs()));
    let (value, _) = if e < 0 { log.minus(shift) } else { log.plus(shift) }.magnitude();
    Enclosure { value, error: 8 + 2 * u64::from(e.unsigned_abs()), exponent: 0 }
}

/// log2 x of a positive x: ln m / ln 2 + e, within 1.45 * 8 + 0.36 * 1.01 + 1 ulps.
fn log2<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    let (log, e) = log_mantissa(x, c);
    let (magnitude, below) = log.magnitude();
    let scaled = magnitude.times(c.log2_e);
    let scaled = if below { Fixed::ZERO.minus(scaled) } else { scaled };
    let whole = Fixed::integer(u64::from(e.unsigned_abs()));
    let (value, _) = if e < 0 { scaled.minus(whole) } else { scaled.plus(whole) }.magnitude();
    Enclosure { value, error: 16, exponent: 0 }
}

/// numerator / (1 + u) for numerator in [0, 2] and u in [0, 1], off by `numerator_error` and
/// `error` ulps: a quotient at most 2 multiplies the divisor's error.
fn over_one_plus<const N: usize>(numerator: Fixed<N>, numerator_error: u64, u: Fixed<N>, error: u64) -> (Fixed<N>, u64) {
    let (quotient, rounding) = numerator.over(Fixed::ONE.plus(u));
    (quotient, rounding.saturating_add(numerator_error + 2 * error))
}

/// tanh x = (1 - u) / (1 + u), u = exp(-2|x|), |x| < 2^12.
fn tanh<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    let e = exp_of(x.fixed(1), true, c);
    let u = e.value.shift_right(e.exponent.unsigned_abs());
    let error = e.error + 1;
    let (value, error) = over_one_plus(Fixed::ONE.minus(u), error, u, error);
    Enclosure { value, error, exponent: 0 }
}

/// sigmoid x = 1 / (1 + u) or u / (1 + u), u = exp(-|x|), |x| < 2^13. The latter keeps its
/// leading bits, u being scaled.
fn sigmoid<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    let e = exp_of(x.fixed(0), true, c);
    let u = e.value.shift_right(e.exponent.unsigned_abs());
    let (numerator, numerator_error, exponent) = if x.negative { (e.value, e.error, e.exponent) } else { (Fixed::ONE, 0, 0) };
    let (value, error) = over_one_plus(numerator, numerator_error, u, e.error + 1);
    Enclosure { value, error, exponent }
}

/// erf x = 2/sqrt(pi) x exp(-x^2) T, T = sum over k of t_k = (2 x^2)^k / (1 3 5 .. (2k+1)), |x| < 6.5.
///
/// Every term is positive and T is at least 1, so no bit is lost for small x; x multiplies
/// last, exactly. With w = 2 x^2, the step from t_k-1 to t_k = t_k-1 w / (2k+1) adds an error
/// of at most 2 (two products) + 1.01 w t_k-1 (the reciprocal's) + t_k-1 / (2k+1) (the cut of
/// w) ulps, and later steps turn it into G times as much, G = (t_k + t_k+1 + ..) / t_k <= T.
/// Since w t_k-1 G <= (2k+1) T, that is at most (2 + 1.01 (2k+1) + 1) T, the last 1 because
/// t_k-1 G / (2k+1) <= T / w, and <= T / 3 where w < 1. So K steps leave T off by less than
/// (2 K^2 + 8 K) T ulps, the terms cut off at the end included; exp(-x^2) T <= 1 scales that.
fn erf<const N: usize>(x: Argument, c: &Constants<N>) -> Enclosure<N> {
    let square = x.significand * x.significand;
    let w: Fixed<N> = Fixed::scaled(square, 2 * x.scale() + 1);
    let e = exp_of(Fixed::scaled(square, 2 * x.scale()), true, c);
    let mut sum = Fixed::ONE;
    let mut term = Fixed::ONE;
    let mut terms = 0u64;
    for pair in c.reciprocals[3..].chunks(2) {
        term = term.times(w).times(pair[0]);
        terms += 1;
        if term.is_zero() {
            break;
        }
        sum = sum.plus(term);
    }
    let scaled = sum.times(e.value).shift_right(e.exponent.unsigned_abs());
    let value = scaled.times(c.two_over_sqrt_pi).times_integer(x.significand);
    // exp errs by e.error ulps of T exp(-x^2) <= 1; 2/sqrt(pi) < 1.13 multiplies the lot.
    let relative = 2 * (2 * terms * terms + 8 * terms + e.error + 4);
    Enclosure { value, error: relative * x.significand, exponent: x.scale() }
}
