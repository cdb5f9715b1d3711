//! Arithmetic in binary64, rounded to odd where binary64 cannot hold the result.
//!
//! Domain: operands in [`super::decoder`]'s domain. Sums and fused multiply-adds carry their
//! exact error in the parity of the last bit (Boldo and Melquiond, 2008), so one later
//! rounding to at most 52 bits is the only one. Quotients are rounded to nearest: the quotient of
//! 24-bit significands is at least 2^-52 of its size away from every number of at most 28
//! bits it does not equal, so they may be used where the rounding resolves 28 bits or fewer.

use super::operation::Elementwise;
use super::rounder::resolution;
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// Resolution at which a quotient rounded to 53 bits is as good as the exact one.
const QUOTIENT_RESOLUTION: u32 = 28;

/// True if [`compute`] gives the operation the same bits as its definition, operands and
/// result format being in their domains.
pub(super) const fn computes(op: Elementwise, output: Format, policy: Policy) -> bool {
    match op {
        // NaNs have lost their signs, and the direction of rounding is not the policy's.
        Elementwise::Function(_) | Elementwise::CopySign | Elementwise::Hysteresis => false,
        Elementwise::Divide => resolution(output, policy) <= QUOTIENT_RESOLUTION,
        _ => true,
    }
}

/// `a + b` rounded to odd. An exact zero of opposite signs is -0 where `DOWN`.
#[inline(always)]
pub(super) fn add_to_odd<const DOWN: bool>(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if DOWN && sum == 0.0 {
        // +0 only if both are +0.
        return if (a.to_bits() | b.to_bits()) == 0 { 0.0 } else { -0.0 };
    }
    // Knuth's two-sum: the error, exactly. It is NaN where the sum is not finite.
    let b_part = sum - a;
    let error = (a - (sum - b_part)) + (b - b_part);
    let bits = sum.to_bits();
    let inexact = error.abs() > 0.0;
    let even = bits & 1 == 0;
    let inward = (error.to_bits() ^ bits) >> 63;
    // One ulp toward the exact sum: +1 outward, -1 inward, in magnitude.
    let step = 1u64.wrapping_sub(2 * inward);
    f64::from_bits(if inexact && even { bits.wrapping_add(step) } else { bits })
}

/// An integer whose order is IEEE 754-2019's for maximum and minimum. NaN excluded.
#[inline(always)]
const fn ordered(x: f64) -> i64 {
    let bits = x.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// `out[i] = op(a[i], b[i], c[i])`, to be rounded by [`super::rounder::Rounder`]. Operands the
/// operation does not take are ignored.
#[inline(always)]
pub(super) fn compute(op: Elementwise, down: bool, [a, b, c]: [&[f64]; 3], out: &mut [f64]) {
    macro_rules! each {
        (|$x:ident| $e:expr) => {
            for (out, &$x) in out.iter_mut().zip(a) {
                *out = $e;
            }
        };
        (|$x:ident, $y:ident| $e:expr) => {
            for ((out, &$x), &$y) in out.iter_mut().zip(a).zip(b) {
                *out = $e;
            }
        };
        (|$x:ident, $y:ident, $z:ident| $e:expr) => {
            for (((out, &$x), &$y), &$z) in out.iter_mut().zip(a).zip(b).zip(c) {
                *out = $e;
            }
        };
    }
    match (op, down) {
        (Elementwise::Add, false) => each!(|x, y| add_to_odd::<false>(x, y)),
        (Elementwise::Add, true) => each!(|x, y| add_to_odd::<true>(x, y)),
        (Elementwise::Subtract, false) => each!(|x, y| add_to_odd::<false>(x, -y)),
        (Elementwise::Subtract, true) => each!(|x, y| add_to_odd::<true>(x, -y)),
        (Elementwise::Multiply, _) => each!(|x, y| x * y),
        (Elementwise::Divide, _) => each!(|x, y| x / y),
        (Elementwise::FusedMultiplyAdd, false) => each!(|x, y, z| add_to_odd::<false>(x * y, z)),
        (Elementwise::FusedMultiplyAdd, true) => each!(|x, y, z| add_to_odd::<true>(x * y, z)),
        (Elementwise::Maximum, _) => each!(|x, y| if x.is_nan() || y.is_nan() {
            f64::NAN
        } else if ordered(x) >= ordered(y) {
            x
        } else {
            y
        }),
        (Elementwise::Minimum, _) => each!(|x, y| if x.is_nan() || y.is_nan() {
            f64::NAN
        } else if ordered(x) <= ordered(y) {
            x
        } else {
            y
        }),
        (Elementwise::Gate, _) => each!(|x, y| if y > 0.0 { x } else { 0.0 }),
        (Elementwise::Relu, _) => each!(|x| if x > 0.0 || x.is_nan() { x } else { 0.0 }),
        (Elementwise::Negate, _) => each!(|x| -x),
        (Elementwise::Absolute, _) => each!(|x| x.abs()),
        // Of these only the conversion is in the domain.
        (Elementwise::Convert | Elementwise::Function(_) | Elementwise::CopySign | Elementwise::Hysteresis, _) => each!(|x| x),
    }
}
