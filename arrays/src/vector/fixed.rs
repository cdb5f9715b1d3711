//! One rounding of binary32s to two's complement.
//!
//! Domain: exact binary32s; two's complement of at most 22 bits whose quantum is 2^-100 to 2^100;
//! subnormal operands kept; at most 8 stochastic bits. Like [`super::rounder`]'s, the loop has no
//! branch. Lanes that are not finite, and wrapping ones beyond the significand, are left to the
//! definition.

use super::rounder::{Narrow, defined, in_mode, plain};
use super::{Word, count_result};
use systole_isa::device::Activity;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};

const MAX_WIDTH: u32 = 22;
const MAX_QUANTUM: i32 = 100;
/// A significand with these below it fills a word.
const MAX_RANDOM_BITS: u32 = 8;

const fn truth(truth: bool) -> u32 {
    0u32.wrapping_sub(truth as u32)
}

/// Rounds binary32 values to one two's complement format under one policy.
pub(super) struct NarrowToFixed {
    format: Format,
    policy: Policy,
    /// Bits dropped from a significand of exponent field 0.
    drop: i32,
    /// The largest value; the lowest is one further.
    max: u32,
    /// All ones if it does.
    saturates: u32,
    mask: u32,
}

impl NarrowToFixed {
    /// The rounder of a format and policy in the domain.
    pub fn new(format: Format, policy: Policy) -> Option<Self> {
        let Format::Fixed(fixed) = format else { return None };
        let inside = plain(policy)
            && fixed.width <= MAX_WIDTH
            && fixed.fraction_bits.abs() <= MAX_QUANTUM
            && policy.rounding.random_bits() <= MAX_RANDOM_BITS;
        inside.then(|| Self {
            format,
            policy,
            drop: 150 - fixed.fraction_bits,
            max: fixed.max_integer() as u32,
            saturates: truth(policy.overflow.saturates()),
            mask: format.mask() as u32,
        })
    }

    /// The codes of binary32s and their overflows; `randoms` is read in stochastic modes only.
    #[inline(always)]
    pub fn fill<T: Word>(&self, values: &[u32], randoms: &[u32], out: &mut [T], activity: &mut Activity) {
        in_mode!(self.policy.rounding, |mode| self.all(mode, values, randoms, out, activity));
    }

    #[inline(always)]
    fn all<T: Word>(&self, rounding: Rounding, values: &[u32], randoms: &[u32], out: &mut [T], activity: &mut Activity) {
        let (mut overflows, mut specials) = (0u32, 0);
        let special = |magnitude: u32, shift: i32| truth(magnitude as i32 >= 0x7f80_0000) | (truth(shift < 1) & !self.saturates);
        let shift = |magnitude: u32| self.drop - ((magnitude >> 23) as i32).max(1);
        for ((code, &bits), &random) in out.iter_mut().zip(values).zip(randoms) {
            let negative = (bits as i32 >> 31) as u32;
            let magnitude = bits & 0x7fff_ffff;
            let shift = shift(magnitude);
            let significand = (magnitude & 0x7f_ffff) | (truth(magnitude >= 0x80_0000) & 0x80_0000);
            // Whatever is shifted further lies below half a quantum; whatever is shifted less, beyond
            // the range.
            let near = shift.clamp(1, 31) as u32;
            let rounded = if let Rounding::Sr(n) = rounding {
                let head = significand << n >> 1 >> (shift - 1).clamp(0, 31) as u32;
                (head + (random & ((1 << n) - 1))) >> n
            } else {
                let odd = (significand >> near) & 1;
                (significand + Narrow::increment(rounding, negative, odd, near as i32, 0)) >> near
            };
            let limit = self.max + (negative & 1);
            let overflow = truth(shift < 1) | truth(rounded as i32 > limit as i32);
            let special = special(magnitude, shift);
            let held = overflow & self.saturates;
            let kept = (limit & held) | (rounded & !held);
            *code = T::of(u64::from((kept ^ negative).wrapping_sub(negative) & self.mask));
            overflows += overflow & !special & 1;
            specials |= special;
        }
        activity.vector_overflows += u64::from(overflows);
        if specials == 0 {
            return;
        }
        for ((code, &bits), &random) in out.iter_mut().zip(values).zip(randoms) {
            let magnitude = bits & 0x7fff_ffff;
            if special(magnitude, shift(magnitude)) != 0 {
                *code = T::of(self.by_definition(f32::from_bits(bits), random, activity));
            }
        }
    }

    #[cold]
    fn by_definition(&self, x: f32, random: u32, activity: &mut Activity) -> u64 {
        let (code, flags) = defined(self.format, self.policy, x.into(), random.into());
        count_result(self.format, code, flags, activity);
        code
    }
}
