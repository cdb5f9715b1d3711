//! binary32 arithmetic of the host, where it is the definition.
//!
//! Domain: operands whose values are binary32s, fp32 results, nearest-even, gradual underflow,
//! tininess after rounding, any overflow policy. There the host's addition, multiplication,
//! division and square root are IEEE 754's, as the definition's are. Results that may be NaN,
//! infinite, or tiny and inexact are handed back to the definition, which also counts them.

use super::count_result;
use super::exact::Scalar;
use super::function::Function;
use super::operation::Elementwise;
use super::rounder::plain;
use systole_isa::device::Activity;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
const MIN_NORMAL: u32 = 0x0080_0000;
/// Half an ulp of binary32 in a binary64 significand.
const TIE: u32 = 1 << 28;

/// True if [`compute`] gives the operation on binary32 values the same bits as its definition.
pub(super) fn computes(op: Elementwise, output: Format, policy: Policy) -> bool {
    let known = match op {
        Elementwise::Function(function) => matches!(function, Function::Sqrt | Function::Reciprocal),
        _ => true,
    };
    known && within(output, policy)
}

/// True if the result format and policy are in the domain.
pub(super) fn within(output: Format, policy: Policy) -> bool {
    output == Format::FP32 && plain(policy) && policy.rounding == Rounding::Rne
}

/// `out[i] = op(a[i], b[i], c[i])` on binary32 bits; `scalar` is the definition for fp32
/// operands. Operands the operation does not take are ignored but as long as `out`.
#[inline(always)]
pub(super) fn compute(op: Elementwise, scalar: &Scalar, operands: [&[u32]; 3], out: &mut [u32], activity: &mut Activity) {
    let f = f32::from_bits;
    let magnitude = |x: u32| x & !SIGN;
    let not_finite = |r: u32| magnitude(r) >= INFINITY;
    // The smallest normal may have been reached from below.
    let maybe_tiny = |r: u32| magnitude(r) <= MIN_NORMAL;
    let ordered = |x: u32| x as i32 ^ ((x as i32 >> 31) as u32 >> 1) as i32;
    macro_rules! each {
        (|$a:ident, $b:ident, $c:ident| $result:expr, |$r:ident| $special:expr) => {
            lanes(scalar, operands, out, activity, |$a, $b, $c| {
                let $r: u32 = $result;
                ($r, $special)
            })
        };
    }
    match op {
        // A tiny sum of binary32s is exact.
        Elementwise::Add => each!(|a, b, _c| (f(a) + f(b)).to_bits(), |r| not_finite(r)),
        Elementwise::Subtract => each!(|a, b, _c| (f(a) - f(b)).to_bits(), |r| not_finite(r)),
        Elementwise::Multiply => {
            each!(|a, b, _c| (f(a) * f(b)).to_bits(), |r| not_finite(r) | (maybe_tiny(r) & (magnitude(a) != 0) & (magnitude(b) != 0)))
        }
        Elementwise::Divide => {
            each!(|a, b, _c| (f(a) / f(b)).to_bits(), |r| not_finite(r) | (maybe_tiny(r) & (magnitude(a) != 0)))
        }
        // The product is exact in binary64. Rounding the sum to 53 bits first can only mislead
        // where it lands on a tie of binary32.
        Elementwise::FusedMultiplyAdd => lanes(scalar, operands, out, activity, |a, b, c| {
            let sum = f64::from(f(a)) * f64::from(f(b)) + f64::from(f(c));
            let r = (sum as f32).to_bits();
            let tie = sum.to_bits() as u32 & (TIE | (TIE - 1)) == TIE;
            (r, not_finite(r) | tie | (maybe_tiny(r) & (magnitude(a) != 0) & (magnitude(b) != 0)))
        }),
        Elementwise::Maximum => {
            each!(|a, b, _c| if ordered(a) >= ordered(b) { a } else { b }, |_r| not_finite(a) | not_finite(b))
        }
        Elementwise::Minimum => {
            each!(|a, b, _c| if ordered(a) <= ordered(b) { a } else { b }, |_r| not_finite(a) | not_finite(b))
        }
        Elementwise::Gate => each!(|a, x, _c| if f(x) > 0.0 { a } else { 0 }, |r| not_finite(r)),
        Elementwise::Relu => each!(|a, _b, _c| if f(a) > 0.0 { a } else { 0 }, |_r| not_finite(a)),
        Elementwise::Negate => each!(|a, _b, _c| a ^ SIGN, |r| not_finite(r)),
        Elementwise::Absolute => each!(|a, _b, _c| magnitude(a), |r| not_finite(r)),
        Elementwise::CopySign => each!(|a, x, _c| magnitude(a) | x & SIGN, |r| not_finite(r)),
        // Exact, whatever the threshold.
        Elementwise::Hysteresis => each!(|a, _p, _c| a, |r| not_finite(r)),
        Elementwise::Convert => each!(|a, _b, _c| a, |r| not_finite(r)),
        // 1/a of the largest operands is subnormal.
        Elementwise::Function(Function::Reciprocal) => {
            each!(|a, _b, _c| (1.0 / f(a)).to_bits(), |r| not_finite(r) | maybe_tiny(r))
        }
        // Never tiny.
        Elementwise::Function(Function::Sqrt) => each!(|a, _b, _c| f(a).sqrt().to_bits(), |r| not_finite(r)),
        Elementwise::Function(_) => each!(|_a, _b, _c| 0, |_r| true),
    }
}

/// Computes every lane; lanes for which `lane` says so are computed again by definition.
#[inline(always)]
fn lanes(scalar: &Scalar, [a, b, c]: [&[u32]; 3], out: &mut [u32], activity: &mut Activity, lane: impl Fn(u32, u32, u32) -> (u32, bool)) {
    let mut any = 0;
    for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
        let (result, special) = lane(a, b, c);
        *out = result;
        any |= u32::from(special);
    }
    if any == 0 {
        return;
    }
    for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
        if lane(a, b, c).1 {
            let (code, flags) = scalar.apply([a.into(), b.into(), c.into()], 0);
            count_result(Format::FP32, code, flags, activity);
            *out = code as u32;
        }
    }
}
