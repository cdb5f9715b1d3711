//! One rounding of a binary64 to a float code: the result side of the fast paths.
//!
//! Domain: signed floats of at most 32 bits, gradual underflow policy, tininess after
//! rounding, and precision plus stochastic bits of at most 52; arguments that are exact, or
//! rounded to odd at 53 bits, or otherwise on the exact result's side of every number of
//! precision + max(1, stochastic bits) significant bits. Zeros, infinities and NaNs are
//! exact; nonzero magnitudes are normal binary64s. There the bits are those of `encode`.

use super::{count_result, count_rounding};
use systole_isa::device::Activity;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format, Specials, Subnormals};
use systole_isa::round::{Policy, Rounding, SubnormalPolicy, Tininess, encode, encode_decoded};

const FRACTION_BITS: u32 = 52;
const INFINITE_FIELD: i32 = 0x7ff;
/// Widest discarded part kept in place.
const MAX_SHIFT: u32 = 63;

/// Rounds binary64 values to one format under one policy.
pub(super) struct Rounder {
    format: Format,
    policy: Policy,
    /// binary64 exponent field of the format's smallest normal number.
    min_field: i32,
    /// Fraction bits binary64 has and the format has not.
    drop: u32,
    mantissa_bits: u32,
    max_finite: u64,
    /// The hidden bit, where the lowest binade has one and no subnormals precede it.
    offset: u64,
    sign_position: u32,
    negative_zero: bool,
}

/// True for policies under which the fast paths decode and round as the definition does.
pub(super) const fn plain(policy: Policy) -> bool {
    matches!(policy.subnormals, SubnormalPolicy::Gradual) && matches!(policy.tininess, Tininess::After)
}

/// Significant bits in which a rounding to `format` under `policy` can tell two values apart.
pub(super) const fn resolution(format: Format, policy: Policy) -> u32 {
    let random = policy.rounding.random_bits();
    format.precision() + if random == 0 { 1 } else { random }
}

impl Rounder {
    /// The rounder of a format and policy in the domain.
    pub fn new(format: Format, policy: Policy) -> Option<Self> {
        let float = format.as_float()?;
        if !float.signed || format.bits() > 32 || !plain(policy) || resolution(format, policy) > FRACTION_BITS {
            return None;
        }
        if matches!(float.specials, Specials::E8m0) {
            return None;
        }
        Some(Self {
            format,
            policy,
            min_field: 1023 + float.min_exponent(),
            drop: FRACTION_BITS - float.mantissa_bits,
            mantissa_bits: float.mantissa_bits,
            max_finite: float.max_finite_magnitude(),
            offset: if matches!(float.subnormals, Subnormals::None) { 1 << float.mantissa_bits } else { 0 },
            sign_position: float.magnitude_bits(),
            negative_zero: float.has_negative_zero(),
        })
    }

    /// The policy's rounding mode.
    pub const fn rounding(&self) -> Rounding {
        self.policy.rounding
    }

    /// The code of `x`; counts overflow, underflow and NaN. `rounding` is
    /// [`Rounder::rounding`], passed so that a loop can fix it.
    #[inline(always)]
    pub fn round(&self, rounding: Rounding, x: f64, random: u64, activity: &mut Activity) -> u64 {
        let bits = x.to_bits();
        let negative = bits >> 63;
        let field = (bits >> FRACTION_BITS) as i32 & INFINITE_FIELD;
        if field == INFINITE_FIELD {
            return self.special(x, activity);
        }
        let full = bits & ((1 << FRACTION_BITS) - 1) | u64::from(field != 0) << FRACTION_BITS;
        let floor = field.max(self.min_field);
        let wanted = self.drop + (floor - field) as u32;
        let shift = wanted.min(MAX_SHIFT);
        // A discarded part wider than that is below 2^-10 of the quantum: only stochastic
        // rounding looks at its leading bits, the others at whether it is 0.
        let significand = match rounding {
            Rounding::Sr(_) => full >> (wanted - shift).min(MAX_SHIFT),
            _ => full,
        };
        let mask = (1 << shift) - 1;
        let kept = significand >> shift;
        let discarded = significand & mask;
        let inexact = discarded != 0 || significand != full && full != 0;
        let magnitude = (((floor - self.min_field) as u64) << self.mantissa_bits).wrapping_add(kept).wrapping_sub(self.offset);
        if self.offset != 0 && full != 0 && (field < self.min_field || magnitude == 0) {
            return self.by_definition(x, random, activity);
        }
        let magnitude = if full == 0 { 0 } else { magnitude };
        let odd = magnitude & 1;
        let increment = match rounding {
            Rounding::Rne => (mask >> 1) + odd,
            Rounding::Rmm => (mask >> 1) + 1,
            Rounding::Rtz => 0,
            Rounding::Rdn => mask & negative.wrapping_neg(),
            Rounding::Rup => mask & negative.wrapping_sub(1),
            Rounding::Rod => mask & odd.wrapping_sub(1),
            Rounding::Sr(n) => (random & ((1 << n) - 1)) << (shift - n),
        };
        let rounded = magnitude + ((discarded + increment) >> shift);
        if rounded > self.max_finite {
            return self.by_definition(x, random, activity);
        }
        if field < self.min_field && inexact {
            // Where full precision could carry into the smallest normal, tininess needs a closer look.
            if field == self.min_field - 1 && (full >> self.drop) + 1 == 2 << self.mantissa_bits {
                return self.by_definition(x, random, activity);
            }
            activity.vector_underflows += 1;
        }
        rounded | (negative & u64::from(self.negative_zero || rounded != 0)) << self.sign_position
    }

    /// [`Rounder::round`] of each value; `randoms` is read in stochastic modes only.
    #[inline]
    pub fn fill<T>(&self, values: &[f64], randoms: &[u64], out: &mut [T], narrow: impl Fn(u64) -> T, activity: &mut Activity) {
        macro_rules! all {
            ($rounding:expr) => {
                for (code, &value) in out.iter_mut().zip(values) {
                    *code = narrow(self.round($rounding, value, 0, activity));
                }
            };
        }
        match self.policy.rounding {
            Rounding::Rne => all!(Rounding::Rne),
            Rounding::Rmm => all!(Rounding::Rmm),
            Rounding::Rtz => all!(Rounding::Rtz),
            Rounding::Rdn => all!(Rounding::Rdn),
            Rounding::Rup => all!(Rounding::Rup),
            Rounding::Rod => all!(Rounding::Rod),
            Rounding::Sr(n) => {
                for ((code, &value), &random) in out.iter_mut().zip(values).zip(randoms) {
                    *code = narrow(self.round(Rounding::Sr(n), value, random, activity));
                }
            }
        }
    }

    #[cold]
    fn special(&self, x: f64, activity: &mut Activity) -> u64 {
        let (code, flags) = encode_decoded(self.format, Decoded::from_f64(x), self.policy, 0);
        count_result(self.format, code, flags, activity);
        code
    }

    #[cold]
    fn by_definition(&self, x: f64, random: u64, activity: &mut Activity) -> u64 {
        let value = Exact::from_f64(x).unwrap_or(Exact::zero(false));
        let (code, flags) = encode(self.format, value, self.policy, random);
        count_rounding(flags, activity);
        activity.vector_nans += u64::from(self.format.is_nan(code));
        code
    }
}
