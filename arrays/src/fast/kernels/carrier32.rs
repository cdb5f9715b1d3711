//! Accumulators of p <= 11 significant bits, nearest-even, carried in binary32.
//!
//! A fused multiply-add rounds acc + a b to 24 bits, then the sum is rounded to p. Two
//! roundings are one where product and accumulator have at most p bits each and 24 >= 2p + 2
//! (Figueroa, "When is double rounding innocuous?", 1995). The same holds at the subnormal
//! quantum Q: acc is a multiple of Q, so a sum that the first rounding could move onto a tie
//! or off it differs from that tie by at least the last bit of a product of size Q/4 or more,
//! which is at least 2^-13 Q, while the first rounding moves sums below the smallest normal,
//! 2^m Q <= 2^10 Q, by at most 2^-15 Q.
//!
//! The second rounding is [`super::super::rounder`]'s, with 1.5 q 2^23 in place of 1.5 q 2^52.

use super::super::order::{Knowledge, Way};
use super::super::rounder::{Counts, Rounder};
use super::super::simd::{Lanes32, Work};
use super::{Kernel, Tile};
use std::ops::Range;
use systole_isa::format::Format;
use systole_isa::round::Tininess;

/// The kernel.
pub(in super::super) struct Carrier32<S> {
    simd: S,
    rounder: Rounder,
    constants: Scalars,
    /// True if the highest binades can be rounded, so that overflow can be seen.
    rounds_high: bool,
    /// True if tiny sums can be told: a sum that the first rounding moves up to the smallest
    /// normal value was tiny before rounding, but not after it.
    tells_tiny: bool,
}

/// Lane constants before they are spread.
#[derive(Clone, Copy)]
struct Scalars {
    magic: f32,
    low: f32,
    high: f32,
    max: f32,
    normal: f32,
    tiny: f32,
    overflowed: [f32; 2],
    infinite: [f32; 2],
    keeps_negative_zero: bool,
}

const ROWS: usize = 4;
const VECTORS: usize = 2;
const COLUMNS: usize = 8 * VECTORS;

impl<S: Lanes32> Carrier32<S> {
    /// The kernel of an accumulator; `None` for more than 11 significant bits, other modes and
    /// fixed point.
    pub fn new(simd: S, rounder: &Rounder) -> Option<Self> {
        let Format::Float(float) = rounder.format else { return None };
        if !rounder.is_nearest_even() || !(2..=11).contains(&rounder.precision) {
            return None;
        }
        let mantissa_bits = float.mantissa_bits as i32;
        let top = (rounder.max.to_bits() >> 52) as i32 - 1023;
        // 1.5 q 2^23 of the highest binade must stay finite.
        let ceiling = 126 - 24 + mantissa_bits;
        if float.min_exponent() < -126 || top > 127 {
            return None;
        }
        let rounds_high = top <= ceiling;
        let tells_tiny = float.min_exponent() >= -100 && rounder.tininess == Tininess::After;
        let power = |exponent: i32| super::super::rounder::power_of_two(exponent) as f32;
        let normal = power(float.min_exponent());
        let constants = Scalars {
            magic: 1.5 * power(23 - mantissa_bits),
            low: normal,
            high: power(top.min(ceiling)),
            max: rounder.max as f32,
            normal,
            // Half a step below the smallest normal value already rounds up to it.
            tiny: normal * (1.0 - power(-mantissa_bits - 2)),
            overflowed: rounder.overflowed.map(|x| x as f32),
            infinite: rounder.infinite.map(|x| x as f32),
            keeps_negative_zero: rounder.keeps_negative_zero,
        };
        Some(Self { simd, rounder: rounder.clone(), constants, rounds_high, tells_tiny })
    }
}

impl<S: Lanes32> Kernel for Carrier32<S> {
    type Number = f32;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let sums = &knowledge.inner;
        let in_range = (self.rounds_high || (sums.bounded && sums.reach.max <= f64::from(self.constants.high)))
            && (self.tells_tiny || sums.never_tiny);
        if in_range && sums.bounded && sums.never_tiny && sums.plain && !knowledge.start.negative_zero {
            return Some(Way::Proved);
        }
        (in_range && Way::of(&self.rounder, knowledge.addend, sums).is_some()).then_some(Way::Checked)
    }

    fn span(&self, way: Way, tile: &Tile<'_, f32>, k: Range<usize>, sums: &mut [f32]) -> Counts {
        let (a, b) = (&tile.a[k.start * ROWS..k.end * ROWS], &tile.b[k.start * COLUMNS..k.end * COLUMNS]);
        let constants = &self.constants;
        match way {
            Way::Exact | Way::Proved => self.simd.enter(Span::<true> { a, b, sums, constants }),
            Way::Checked => self.simd.enter(Span::<false> { a, b, sums, constants }),
        }
    }
}

struct Span<'a, const PROVED: bool> {
    a: &'a [f32],
    b: &'a [f32],
    sums: &'a mut [f32],
    constants: &'a Scalars,
}

impl<S: Lanes32, const PROVED: bool> Work<S> for Span<'_, PROVED> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: S) -> Counts {
        let c = self.constants;
        let exponent = s.splat32(f32::INFINITY);
        let magic = s.splat32(c.magic);
        let mut counts = Counts::default();
        let (sums, _) = self.sums.as_chunks_mut::<8>();
        let mut lanes = [[s.splat32(0.0); VECTORS]; ROWS];
        for (r, row) in lanes.iter_mut().enumerate() {
            for (v, lane) in row.iter_mut().enumerate() {
                *lane = s.load32(&sums[r * VECTORS + v]);
            }
        }
        let (a, _) = self.a.as_chunks::<ROWS>();
        let (b, _) = self.b.as_chunks::<COLUMNS>();
        for (a, b) in a.iter().zip(b) {
            let (b, _) = b.as_chunks::<8>();
            let b: [S::W; VECTORS] = [s.load32(&b[0]), s.load32(&b[1])];
            for (row, &a) in lanes.iter_mut().zip(a) {
                let a = s.splat32(a);
                for (lane, &b) in row.iter_mut().zip(&b) {
                    let sum = s.fused32(a, b, *lane);
                    let mut binade = s.and32(sum, exponent);
                    if !PROVED {
                        binade = s.min32(s.max32(binade, s.splat32(c.low)), s.splat32(c.high));
                    }
                    let rounded = s.fused_negated32(binade, magic, s.fused32(binade, magic, sum));
                    *lane = if PROVED { rounded } else { checked(s, c, a, b, *lane, sum, rounded, &mut counts) };
                }
            }
        }
        for (r, row) in lanes.iter().enumerate() {
            for (v, &lane) in row.iter().enumerate() {
                s.store32(lane, &mut sums[r * VECTORS + v]);
            }
        }
        counts
    }
}

/// Zero signs, flags and what lies beyond the range. `rounded` is NaN where `sum` is.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of one rounding")]
fn checked<S: Lanes32>(s: S, c: &Scalars, a: S::W, b: S::W, accumulator: S::W, sum: S::W, rounded: S::W, counts: &mut Counts) -> S::W {
    let sign_bit = s.splat32(-0.0);
    let exponent = s.splat32(f32::INFINITY);
    // Size without sign: the bits below the sign bit.
    let below_sign = s.splat32(f32::from_bits(0x7fff_ffff));
    let size = s.and32(sum, below_sign);
    let magnitude = s.and32(rounded, below_sign);
    let mut result = s.or32(rounded, s.and32(sum, sign_bit));
    if s.mask32(s.less32(size, s.splat32(c.normal))) != 0 {
        // acc + a b = result iff a b = result - acc; both sides are exact this low.
        let residual = s.fused_negated32(a, b, s.sub32(result, accumulator));
        let underflow = s.and32(s.less32(size, s.splat32(c.tiny)), s.differ32(residual, s.splat32(0.0)));
        counts.underflows += u64::from(s.mask32(underflow).count_ones());
    }
    if s.mask32(s.at_most32(magnitude, s.splat32(c.max))) != 0xff {
        let finite = s.less32(size, exponent);
        let over = s.and32(s.less32(s.splat32(c.max), magnitude), finite);
        counts.overflows += u64::from(s.mask32(over).count_ones());
        let overflowed = s.select32(sum, s.splat32(c.overflowed[1]), s.splat32(c.overflowed[0]));
        let infinite = s.select32(sum, s.splat32(c.infinite[1]), s.splat32(c.infinite[0]));
        let numbers = s.select32(finite, s.select32(over, overflowed, result), infinite);
        // Neither finite nor infinite: NaN.
        result = s.select32(s.at_most32(size, exponent), numbers, sum);
    }
    if c.keeps_negative_zero { result } else { s.add32(result, s.splat32(0.0)) }
}
