//! binary32 values to narrow floats, nearest-even, in lanes of integers and binary32.
//!
//! Domain: selections of binary32 values (conversion, negation, magnitude, rectifier, gate);
//! results in signed floats with gradual underflow, at most 16 bits, whose smallest normal
//! number is a normal binary32 and whose subnormals' quantum q has 2^23 q in range; [`Rounder`]'s
//! policies, nearest-even. Normal results round by an integer addition. Subnormal ones
//! round in the binary32 sum with 2^23 q, whose last bit weighs q. Lanes that overflow, are not
//! finite, or may carry into the smallest normal go to [`Rounder`].

use super::operation::Elementwise;
use super::rounder::Rounder;
use systole_isa::device::Activity;
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::{Policy, Rounding};

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
/// Fraction bits and bias of binary32.
const FRACTION_BITS: u32 = 23;
const BIAS: i32 = 127;

/// Narrows binary32 values to one format under one policy.
pub(super) struct Narrower {
    rounder: Rounder,
    /// Fraction bits binary32 has and the format has not.
    drop: u32,
    /// What binary32's exponent field exceeds the format's by, in place.
    rebias: u32,
    /// The smallest normal number, as binary32 bits.
    min_normal: u32,
    /// 2^23 quanta of the subnormals.
    magic: f32,
    max_finite: u32,
    sign_shift: u32,
    negative_zero: bool,
}

/// The binary32 selection an operation makes before its rounding, if it makes one.
fn selects(op: Elementwise) -> bool {
    matches!(op, Elementwise::Convert | Elementwise::Negate | Elementwise::Absolute | Elementwise::Relu | Elementwise::Gate)
}

impl Narrower {
    /// The narrower of an operation, format and policy in the domain.
    pub fn new(op: Elementwise, format: Format, policy: Policy) -> Option<Self> {
        let float = format.as_float()?;
        let rounder = Rounder::new(format, policy)?;
        let (quantum, lowest) = (float.min_quantum_exponent(), float.min_exponent());
        let inside = selects(op)
            && policy.rounding == Rounding::Rne
            && float.subnormals == Subnormals::Gradual
            && format.bits() <= 16
            && (1 - BIAS..=BIAS - FRACTION_BITS as i32).contains(&lowest)
            && (1 - BIAS..=BIAS).contains(&(quantum + FRACTION_BITS as i32));
        inside.then(|| Self {
            rounder,
            drop: FRACTION_BITS - float.mantissa_bits,
            rebias: ((BIAS - float.bias) as u32) << float.mantissa_bits,
            min_normal: ((lowest + BIAS) as u32) << FRACTION_BITS,
            magic: f32::from_bits(((quantum + FRACTION_BITS as i32 + BIAS) as u32) << FRACTION_BITS),
            max_finite: float.max_finite_magnitude() as u32,
            sign_shift: 31 - float.magnitude_bits(),
            negative_zero: float.has_negative_zero(),
        })
    }

    /// Code, whether it is the result of an underflow, and whether the lane needs [`Rounder`].
    #[inline(always)]
    fn lane(&self, bits: u32) -> (u32, bool, bool) {
        let magnitude = bits & !SIGN;
        // Parity of the code, which without fraction bits is not that of binary32's field.
        let odd = (magnitude >> self.drop).wrapping_sub(self.rebias) & 1;
        let normal = ((magnitude + (1 << (self.drop - 1)) - 1 + odd) >> self.drop).wrapping_sub(self.rebias);
        let sum = f32::from_bits(magnitude) + self.magic;
        let subnormal = sum.to_bits().wrapping_sub(self.magic.to_bits());
        let is_subnormal = magnitude < self.min_normal;
        let code = if is_subnormal { subnormal } else { normal };
        let inexact = sum - self.magic != f32::from_bits(magnitude);
        let may_carry = is_subnormal & (magnitude >= self.min_normal - (1 << self.drop));
        let special = (magnitude >= INFINITY) | (code > self.max_finite) | may_carry;
        let sign = if self.negative_zero | (code != 0) { (bits & SIGN) >> self.sign_shift } else { 0 };
        (code | sign, is_subnormal & inexact & !special, special)
    }

    /// `out[i]` = the operation on binary32s `a[i]`, `b[i]`, rounded. Unary operations ignore `b`.
    #[inline]
    pub fn compute<T: Copy>(
        &self,
        op: Elementwise,
        a: &mut [u32],
        b: &[u32],
        out: &mut [T],
        narrow: impl Fn(u64) -> T + Copy,
        activity: &mut Activity,
    ) {
        let f = f32::from_bits;
        match op {
            Elementwise::Negate => a.iter_mut().for_each(|a| *a ^= SIGN),
            Elementwise::Absolute => a.iter_mut().for_each(|a| *a &= !SIGN),
            Elementwise::Relu => a.iter_mut().for_each(|a| *a = if (f(*a) > 0.0) | f(*a).is_nan() { *a } else { 0 }),
            Elementwise::Gate => a.iter_mut().zip(b).for_each(|(a, &x)| *a = if f(x) > 0.0 { *a } else { 0 }),
            // A conversion; `new` admits nothing else.
            _ => (),
        }
        let (mut underflows, mut specials) = (0, 0);
        for (code, &bits) in out.iter_mut().zip(&*a) {
            let (result, underflow, special) = self.lane(bits);
            *code = narrow(result.into());
            underflows += u32::from(underflow);
            specials |= u32::from(special);
        }
        activity.vector_underflows += u64::from(underflows);
        if specials == 0 {
            return;
        }
        for (code, &bits) in out.iter_mut().zip(&*a) {
            if self.lane(bits).2 {
                *code = narrow(self.rounder.round(Rounding::Rne, f(bits).into(), 0, activity));
            }
        }
    }
}
