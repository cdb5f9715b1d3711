//! Dot-product units that align their terms to the largest exponent and cut off below, the
//! accumulator being one term more.
//!
//! With P = 2^e for the largest exponent e and f fraction bits kept, a term t becomes
//! trunc(t 2^f / P), an integer; the integers add up exactly, and the sum times P 2^-f is rounded
//! once. Exponents of products are those of their operands added up, so each operand comes with
//! the power of two of its own exponent: 0 for zeros, and the smallest normal one for
//! subnormals.
//!
//! Domain: no specials, sums that neither overflow nor are tiny, so that every nonzero term has
//! an exponent above that of any zero, which then cannot be the largest that matters; integers
//! that add up within the carrier's significand.

use super::super::order::{Knowledge, Way};
use super::super::rounder::{Counts, Rounder, Tally, power_of_two};
use super::super::simd::{Lanes32, Lanes64, Work};
use super::{Kernel, Tile};
use crate::fast::operands::Carrier;
use std::marker::PhantomData;
use std::ops::Range;
use systole_isa::design::{Addend, Aligned as Unit, Truncation};
use systole_isa::round::Rounding;

/// Exponent below which no largest exponent lies: all terms are zeros there.
const LOWEST: i32 = -100;

/// Lanes of one carrier, and how they round to the accumulator.
pub(in super::super) trait Carried: Copy + Send + Sync {
    type Simd: Lanes64;
    type Number: Carrier;
    type V: Copy;
    /// Lanes of a vector.
    const LANES: usize;
    /// Significand bits of the carrier.
    const BITS: u32;
    /// Exponents that leave room for every step.
    const EXPONENTS: Range<i32>;
    fn splat(s: Self::Simd, x: f64) -> Self::V;
    fn broadcast(s: Self::Simd, x: Self::Number) -> Self::V;
    fn load(s: Self::Simd, from: &[Self::Number]) -> Self::V;
    fn store(s: Self::Simd, x: Self::V, to: &mut [Self::Number]);
    fn add(s: Self::Simd, a: Self::V, b: Self::V) -> Self::V;
    fn mul(s: Self::Simd, a: Self::V, b: Self::V) -> Self::V;
    fn max(s: Self::Simd, a: Self::V, b: Self::V) -> Self::V;
    fn truncate(s: Self::Simd, a: Self::V) -> Self::V;
    fn floor(s: Self::Simd, a: Self::V) -> Self::V;
    /// The power of two of each lane; 0 for 0.
    fn binade(s: Self::Simd, a: Self::V) -> Self::V;
    /// `2^bits / power` for powers of two.
    fn inverse(s: Self::Simd, power: Self::V, bits: u32) -> Self::V;
    /// Rounds a sum that is neither special nor tiny nor too large.
    fn round(s: Self::Simd, rounder: &Rounder, sum: Self::V) -> Self::V;
    /// True if [`Carried::round`] knows the rounder.
    fn rounds(rounder: &Rounder) -> bool;
}

/// In binary64.
#[derive(Clone, Copy)]
pub(in super::super) struct In64<S>(PhantomData<S>);

/// In binary32: accumulators that cut off.
#[derive(Clone, Copy)]
pub(in super::super) struct In32<S>(PhantomData<S>);

impl<S: Lanes64> Carried for In64<S> {
    type Simd = S;
    type Number = f64;
    type V = S::V;
    const LANES: usize = 4;
    const BITS: u32 = 53;
    const EXPONENTS: Range<i32> = -900..900;

    #[inline(always)]
    fn splat(s: S, x: f64) -> S::V {
        s.splat(x)
    }
    #[inline(always)]
    fn broadcast(s: S, x: f64) -> S::V {
        s.splat(x)
    }
    #[inline(always)]
    fn load(s: S, from: &[f64]) -> S::V {
        s.load(&from.as_chunks::<4>().0[0])
    }
    #[inline(always)]
    fn store(s: S, x: S::V, to: &mut [f64]) {
        s.store(x, &mut to.as_chunks_mut::<4>().0[0]);
    }
    #[inline(always)]
    fn add(s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }
    #[inline(always)]
    fn mul(s: S, a: S::V, b: S::V) -> S::V {
        s.mul(a, b)
    }
    #[inline(always)]
    fn max(s: S, a: S::V, b: S::V) -> S::V {
        s.max(a, b)
    }
    #[inline(always)]
    fn truncate(s: S, a: S::V) -> S::V {
        s.truncate(a)
    }
    #[inline(always)]
    fn floor(s: S, a: S::V) -> S::V {
        s.floor(a)
    }
    #[inline(always)]
    fn binade(s: S, a: S::V) -> S::V {
        s.and(a, s.splat(f64::INFINITY))
    }
    #[inline(always)]
    fn inverse(s: S, power: S::V, bits: u32) -> S::V {
        s.sub_bits(s.splat(f64::from_bits(u64::from(bits + 2046) << 52)), power)
    }
    #[inline(always)]
    fn round(s: S, rounder: &Rounder, sum: S::V) -> S::V {
        let constants = rounder.constants(s);
        let mut tally = Tally::new(s);
        if rounder.is_nearest_even() {
            rounder.round::<S, true, true>(s, &constants, sum, constants.zero, &mut tally)
        } else {
            rounder.round::<S, false, true>(s, &constants, sum, constants.zero, &mut tally)
        }
    }
    fn rounds(rounder: &Rounder) -> bool {
        rounder.floating && rounder.rounding.random_bits() == 0
    }
}

impl<S: Lanes32> Carried for In32<S> {
    type Simd = S;
    type Number = f32;
    type V = S::W;
    const LANES: usize = 8;
    const BITS: u32 = 24;
    const EXPONENTS: Range<i32> = -120..120;

    #[inline(always)]
    fn splat(s: S, x: f64) -> S::W {
        s.splat32(x as f32)
    }
    #[inline(always)]
    fn broadcast(s: S, x: f32) -> S::W {
        s.splat32(x)
    }
    #[inline(always)]
    fn load(s: S, from: &[f32]) -> S::W {
        s.load32(&from.as_chunks::<8>().0[0])
    }
    #[inline(always)]
    fn store(s: S, x: S::W, to: &mut [f32]) {
        s.store32(x, &mut to.as_chunks_mut::<8>().0[0]);
    }
    #[inline(always)]
    fn add(s: S, a: S::W, b: S::W) -> S::W {
        s.add32(a, b)
    }
    #[inline(always)]
    fn mul(s: S, a: S::W, b: S::W) -> S::W {
        s.mul32(a, b)
    }
    #[inline(always)]
    fn max(s: S, a: S::W, b: S::W) -> S::W {
        s.max32(a, b)
    }
    #[inline(always)]
    fn truncate(s: S, a: S::W) -> S::W {
        s.truncate32(a)
    }
    #[inline(always)]
    fn floor(s: S, a: S::W) -> S::W {
        s.floor32(a)
    }
    #[inline(always)]
    fn binade(s: S, a: S::W) -> S::W {
        s.and32(a, s.splat32(f32::INFINITY))
    }
    #[inline(always)]
    fn inverse(s: S, power: S::W, bits: u32) -> S::W {
        s.sub_bits32(s.splat32(f32::from_bits((bits + 254) << 23)), power)
    }
    #[inline(always)]
    fn round(s: S, rounder: &Rounder, sum: S::W) -> S::W {
        s.and32(sum, s.splat32(f32::from_bits(u32::MAX << (24 - rounder.precision))))
    }
    fn rounds(rounder: &Rounder) -> bool {
        rounder.floating && rounder.rounding == Rounding::Rtz && rounder.precision <= 24
    }
}

/// The kernel.
pub(in super::super) struct Aligned<'a, C: Carried> {
    simd: C::Simd,
    accumulator: &'a Rounder,
    unit: Unit,
    /// Products per block.
    length: usize,
    /// Exponent of a product of a zero by the largest operand, if zeros have one.
    zero_exponent: i32,
    slack: i32,
}

const ROWS: usize = 2;
const VECTORS: usize = 2;

impl<'a, C: Carried> Aligned<'a, C> {
    /// The kernel of a unit; `largest` bounds the exponents of operands, with the shared biases,
    /// and `slack` is by how much those of subnormal factors exceed that of their product.
    pub fn new(simd: C::Simd, accumulator: &'a Rounder, unit: Unit, length: usize, largest: i32, slack: i32) -> Result<Self, String> {
        if largest + slack >= C::EXPONENTS.end {
            return Err("operands reach beyond the carrier's exponents".to_owned());
        }
        if unit.addend != Addend::Together || unit.groups != 1 {
            return Err("the accumulator is not one term more of one group".to_owned());
        }
        if !C::rounds(accumulator) {
            return Err(format!("{} is not how these lanes round to {}", accumulator.rounding, accumulator.format));
        }
        // Each integer stays below 2^(f+2), and there are length + 1.
        let bits = unit.fraction_bits + 2 + (length as u32 + 1).next_power_of_two().ilog2();
        if bits > C::BITS {
            return Err(format!("blocks add up to {bits} bits, more than {}", C::BITS));
        }
        let zero_exponent = unit.zero_exponent.map_or(i32::MIN / 2, |exponent| exponent.saturating_add(largest.max(0)));
        Ok(Self { simd, accumulator, unit, length, zero_exponent, slack })
    }
}

impl<C: Carried> Kernel for Aligned<'_, C> {
    type Number = C::Number;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = C::LANES * VECTORS;
    const POWERS: bool = true;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let Knowledge { start, addend, inner, .. } = knowledge;
        // The least exponent of a nonzero term, and the largest of any: a product lies below
        // four times its power.
        let lowest = start.lsb.min(addend.lsb) - 2;
        let top = start.max.max(addend.max).max(inner.reach.max);
        let highest = if top == 0.0 { 0 } else { (top.to_bits() >> 52) as i32 - 1022 };
        let bits = self.unit.fraction_bits as i32;
        let in_range = lowest >= LOWEST && self.zero_exponent < lowest
            // Terms times 2^f / P, and P 2^-f.
            && lowest.min(0) - highest - self.slack >= C::EXPONENTS.start
            && bits - LOWEST < C::EXPONENTS.end + 6
            && highest + self.slack < C::EXPONENTS.end - 2;
        let infinite = self.unit.infinite_from.is_none_or(|from| highest < from);
        (in_range && infinite && inner.bounded && inner.never_tiny && inner.plain).then_some(Way::Proved)
    }

    fn span(&self, _: Way, tile: &Tile<'_, C::Number>, k: Range<usize>, sums: &mut [C::Number]) -> Counts {
        let a = &tile.a[k.start * 2 * ROWS..k.end * 2 * ROWS];
        let b = &tile.b[k.start * 2 * Self::COLUMNS..k.end * 2 * Self::COLUMNS];
        match self.unit.term_truncation {
            Truncation::TowardZero => self.simd.enter(Span::<C, false> { a, b, sums, kernel: self }),
            Truncation::Floor => self.simd.enter(Span::<C, true> { a, b, sums, kernel: self }),
        }
        Counts::default()
    }
}

struct Span<'a, C: Carried, const FLOOR: bool> {
    /// Per k the values of the rows, then their powers.
    a: &'a [C::Number],
    b: &'a [C::Number],
    sums: &'a mut [C::Number],
    kernel: &'a Aligned<'a, C>,
}

impl<C: Carried, const FLOOR: bool> Work<C::Simd> for Span<'_, C, FLOOR> {
    type Out = ();

    #[inline(always)]
    fn run(self, s: C::Simd) {
        let Self { a, b, sums, kernel } = self;
        let columns = C::LANES * VECTORS;
        let bits = kernel.unit.fraction_bits;
        let back = C::splat(s, power_of_two(-(bits as i32)));
        let lowest = C::splat(s, power_of_two(LOWEST));
        let zero = C::splat(s, 0.0);
        let cut = |x| if FLOOR { C::floor(s, x) } else { C::truncate(s, x) };
        let mut lanes = [[zero; VECTORS]; ROWS];
        for (r, row) in lanes.iter_mut().enumerate() {
            for (v, lane) in row.iter_mut().enumerate() {
                *lane = C::load(s, &sums[r * columns + v * C::LANES..]);
            }
        }
        for (a, b) in a.chunks(kernel.length * 2 * ROWS).zip(b.chunks(kernel.length * 2 * columns)) {
            let mut largest = [[lowest; VECTORS]; ROWS];
            for (largest, &lane) in largest.iter_mut().flatten().zip(lanes.iter().flatten()) {
                *largest = C::max(s, *largest, C::binade(s, lane));
            }
            for (a, b) in a.chunks_exact(2 * ROWS).zip(b.chunks_exact(2 * columns)) {
                let b: [C::V; VECTORS] = [C::load(s, &b[columns..]), C::load(s, &b[columns + C::LANES..])];
                for (row, &a) in largest.iter_mut().zip(&a[ROWS..]) {
                    let a = C::broadcast(s, a);
                    for (largest, &b) in row.iter_mut().zip(&b) {
                        *largest = C::max(s, *largest, C::mul(s, a, b));
                    }
                }
            }
            let mut inverse = largest;
            let mut totals = lanes;
            for ((inverse, total), &largest) in inverse.iter_mut().flatten().zip(totals.iter_mut().flatten()).zip(largest.iter().flatten())
            {
                *inverse = C::inverse(s, largest, bits);
                // +0, so that no sum is -0.
                *total = C::add(s, zero, cut(C::mul(s, *total, *inverse)));
            }
            for (a, b) in a.chunks_exact(2 * ROWS).zip(b.chunks_exact(2 * columns)) {
                let b: [C::V; VECTORS] = [C::load(s, b), C::load(s, &b[C::LANES..])];
                for ((row, inverse), &a) in totals.iter_mut().zip(&inverse).zip(a) {
                    let a = C::broadcast(s, a);
                    for ((total, &inverse), &b) in row.iter_mut().zip(inverse).zip(&b) {
                        *total = C::add(s, *total, cut(C::mul(s, C::mul(s, a, b), inverse)));
                    }
                }
            }
            for ((lane, &total), &largest) in lanes.iter_mut().flatten().zip(totals.iter().flatten()).zip(largest.iter().flatten()) {
                let sum = C::mul(s, total, C::mul(s, largest, back));
                *lane = C::add(s, zero, C::round(s, kernel.accumulator, sum));
            }
        }
        for (r, row) in lanes.iter().enumerate() {
            for (v, &lane) in row.iter().enumerate() {
                C::store(s, lane, &mut sums[r * columns + v * C::LANES..]);
            }
        }
    }
}
