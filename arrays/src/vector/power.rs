//! One rounding of binary64s to powers of two: the scales of blocks.
//!
//! Domain: e8m0; values as [`super::rounder::Rounder`] takes them. The exponent field is the code
//! but for its bias, and the fraction the discarded bits. What is below the least power, zero
//! included, becomes that. Lanes that are negative or not finite are left to the definition.

use super::rounder::{Rounder, defined, in_mode, overflowed, plain};
use super::{Word, count_result};
use systole_isa::device::Activity;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};

const FRACTION: u32 = 52;
/// binary64's bias over e8m0's, in place.
const REBIAS: i64 = (1023 - 127) << FRACTION;
const INFINITY: u64 = 0x7ff << FRACTION;
const LARGEST: i64 = 0xfe;

/// Rounds binary64 values to e8m0 under one policy.
pub(super) struct PowerRounder {
    policy: Policy,
    /// What overflows become, and whether that is NaN.
    overflowed: (u64, bool),
}

/// What one rounding gave.
struct Lane {
    code: u64,
    overflow: bool,
    underflow: bool,
    special: bool,
}

impl PowerRounder {
    /// The rounder of a format and policy in the domain.
    pub fn new(format: Format, policy: Policy) -> Option<Self> {
        let float = format.as_float()?;
        (format == Format::E8M0 && plain(policy)).then(|| Self { policy, overflowed: overflowed(format, float, policy)[0] })
    }

    /// As [`Rounder::fill`].
    #[inline(always)]
    pub fn fill<T: Word>(&self, values: &[f64], randoms: &[u32], out: &mut [T], activity: &mut Activity) {
        in_mode!(self.policy.rounding, |mode| self.all(mode, values, randoms, out, activity));
    }

    #[inline(always)]
    fn lane(&self, rounding: Rounding, x: f64, random: u32) -> Lane {
        let bits = x.to_bits();
        let negative = bits >> 63 != 0;
        let magnitude = bits & (u64::MAX >> 1);
        let rebiased = magnitude as i64 - REBIAS;
        let odd = (rebiased >> FRACTION) as u64 & 1;
        let rounded = (rebiased + Rounder::increment(rounding, 0, odd, FRACTION.into(), random.into()) as i64) >> FRACTION;
        let special = (magnitude >= INFINITY) | (negative & (magnitude != 0));
        let overflow = !special & (rounded > LARGEST);
        let code = if rebiased < 0 { 0 } else { rounded as u64 };
        Lane {
            code: if overflow { self.overflowed.0 } else { code },
            overflow,
            underflow: !special & (rebiased < 0) & (magnitude != 0),
            special,
        }
    }

    #[inline(always)]
    fn all<T: Word>(&self, rounding: Rounding, values: &[f64], randoms: &[u32], out: &mut [T], activity: &mut Activity) {
        let (mut overflows, mut underflows, mut specials) = (0u64, 0u64, false);
        for ((code, &x), &random) in out.iter_mut().zip(values).zip(randoms) {
            let lane = self.lane(rounding, x, random);
            *code = T::of(lane.code & 0xff);
            overflows += u64::from(lane.overflow);
            underflows += u64::from(lane.underflow);
            specials |= lane.special;
        }
        activity.vector_overflows += overflows;
        activity.vector_underflows += underflows;
        activity.vector_nans += if self.overflowed.1 { overflows } else { 0 };
        if specials {
            for ((code, &x), &random) in out.iter_mut().zip(values).zip(randoms) {
                if self.lane(rounding, x, random).special {
                    *code = T::of(self.by_definition(x, random, activity));
                }
            }
        }
    }

    #[cold]
    fn by_definition(&self, x: f64, random: u32, activity: &mut Activity) -> u64 {
        let (code, flags) = defined(Format::E8M0, self.policy, x, random.into());
        count_result(Format::E8M0, code, flags, activity);
        code
    }
}
