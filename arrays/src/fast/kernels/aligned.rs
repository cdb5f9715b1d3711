//! Dot-product units that align their terms to the largest exponent and cut off below, the
//! accumulator being one term more.
//!
//! With P = 2^e for the largest exponent e and f fraction bits kept, a term t becomes
//! trunc(t 2^f / P), an integer; the integers add up exactly, and the sum times P 2^-f is rounded
//! once. Exponents of products are those of their operands added up, so each operand comes with
//! the power of two of its own exponent: 0 for zeros, and the smallest normal one for
//! subnormals.
//!
//! Domain: no specials, sums that neither overflow nor are tiny nor subnormal (whose exponent is the
//! smallest normal number's), so that every nonzero term has an exponent above that of any zero,
//! which then cannot be the largest that matters; integers that add up within the carrier's
//! significand.

use super::super::order::{Knowledge, Way};
use super::super::panels::Carrier;
use super::super::rounder::{Counts, Mode, Rounder, power_of_two};
use super::{Kernel, Tile, VECTORS, load, store};
use crate::simd::{Lanes, Number, Work};
use std::ops::Range;
use systole_isa::design::{Addend, Aligned as Unit, Truncation};

/// Exponent below which no largest exponent lies: all terms are zeros there.
const LOWEST: i32 = -100;

/// Exponents of lanes that leave room for every step.
fn exponents<N: Number>() -> Range<i32> {
    if N::BITS == 64 { -900..900 } else { -120..120 }
}

/// The kernel.
pub(in super::super) struct Aligned<'a, L> {
    lanes: L,
    accumulator: &'a Rounder,
    unit: Unit,
    /// Products per block.
    length: usize,
    /// Exponent of a product of a zero by the largest operand, if zeros have one.
    zero_exponent: i32,
    slack: i32,
    /// Blocks in a chain.
    blocks: usize,
}

const ROWS: usize = 2;

impl<'a, L: Lanes> Aligned<'a, L> {
    /// The kernel of a unit, for blocks of a length and that many in a chain; `largest` bounds the exponents of operands, with the shared biases,
    /// and `slack` is by how much those of subnormal factors exceed that of their product.
    pub fn new(
        lanes: L,
        accumulator: &'a Rounder,
        unit: Unit,
        [length, blocks]: [usize; 2],
        largest: i32,
        slack: i32,
    ) -> Result<Self, String> {
        if largest + slack >= exponents::<L::Number>().end {
            return Err("operands reach beyond the carrier's exponents".to_owned());
        }
        if unit.addend != Addend::Together || unit.groups != 1 {
            return Err("the accumulator is not one term more of one group".to_owned());
        }
        if !accumulator.floating || accumulator.rounding.random_bits() > 0 || !accumulator.fits::<L::Number>() {
            return Err(format!("{} is not how these lanes round to {}", accumulator.rounding, accumulator.format));
        }
        // Each integer stays below 2^(f+2), and there are length + 1.
        let bits = unit.fraction_bits + 2 + (length as u32 + 1).next_power_of_two().ilog2();
        if bits > L::Number::SIGNIFICAND {
            return Err(format!("blocks add up to {bits} bits, more than {}", L::Number::SIGNIFICAND));
        }
        let zero_exponent = unit.zero_exponent.map_or(i32::MIN / 2, |exponent| exponent.saturating_add(largest.max(0)));
        Ok(Self { lanes, accumulator, unit, length, zero_exponent, slack, blocks })
    }
}

impl<L> Aligned<'_, L> {
    /// Cutting off downward makes negative terms larger, by less than P 2^-f each. While sums are
    /// within twice their bound, so is P but for what subnormal factors add to it.
    fn growth_fits(&self, knowledge: &Knowledge) -> bool {
        if self.unit.term_truncation != Truncation::Floor {
            return true;
        }
        let bound = knowledge.inner.reach.max.max(knowledge.start.max);
        let largest = (2.0 * bound).max(knowledge.addend.max * power_of_two(self.slack + 2));
        let terms = self.blocks as f64 * (self.length as f64 + 1.0);
        let growth = terms * largest * power_of_two(-(self.unit.fraction_bits as i32));
        growth <= bound && 2.0 * bound <= self.accumulator.max
    }
}

impl<L: Lanes<Number: Carrier>> Kernel for Aligned<'_, L> {
    type Number = L::Number;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = L::LANES * VECTORS;
    const POWERS: bool = true;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let Knowledge { start, addend, inner, .. } = knowledge;
        // The least exponent of a nonzero term, and the largest of any: a product lies below
        // four times its power.
        let lowest = start.lsb.min(addend.lsb) - 2;
        let top = start.max.max(addend.max).max(inner.reach.max);
        let highest = if top == 0.0 { 0 } else { (top.to_bits() >> 52) as i32 - 1022 };
        let bits = self.unit.fraction_bits as i32;
        let exponents = exponents::<L::Number>();
        let in_range = lowest >= LOWEST && self.zero_exponent < lowest
            // Terms times 2^f / P, and P 2^-f.
            && lowest.min(0) - highest - self.slack >= exponents.start
            && bits - LOWEST < exponents.end + 6
            && highest + self.slack < exponents.end - 2;
        let infinite = self.unit.infinite_from.is_none_or(|from| highest < from);
        let normal = start.lsb.min(addend.lsb) >= self.accumulator.min_quantum + self.accumulator.precision as i32 - 1;
        (in_range && infinite && normal && self.growth_fits(knowledge) && inner.bounded && inner.never_tiny && inner.plain)
            .then_some(Way::Proved)
    }

    fn span(&self, _: Way, tile: &Tile<'_, L::Number>, k: Range<usize>, sums: &mut [L::Number]) -> Counts {
        let a = &tile.a[k.start * 2 * ROWS..k.end * 2 * ROWS];
        let b = &tile.b[k.start * 2 * Self::COLUMNS..k.end * 2 * Self::COLUMNS];
        match self.unit.term_truncation {
            Truncation::TowardZero => self.lanes.enter(Span::<L, false> { a, b, sums, kernel: self }),
            Truncation::Floor => self.lanes.enter(Span::<L, true> { a, b, sums, kernel: self }),
        }
        Counts::default()
    }
}

struct Span<'a, L: Lanes, const FLOOR: bool> {
    /// Per k the values of the rows, then their powers.
    a: &'a [L::Number],
    b: &'a [L::Number],
    sums: &'a mut [L::Number],
    kernel: &'a Aligned<'a, L>,
}

impl<L: Lanes, const FLOOR: bool> Work<L> for Span<'_, L, FLOOR> {
    type Out = ();

    #[inline(always)]
    fn run(self, s: L) {
        let Self { a, b, sums, kernel } = self;
        let columns = L::LANES * VECTORS;
        let bits = kernel.unit.fraction_bits;
        let number = |value: f64| s.splat(L::Number::from_f64(value));
        let back = number(power_of_two(-(bits as i32)));
        let (lowest, zero, exponent) = (number(power_of_two(LOWEST)), number(0.0), number(f64::INFINITY));
        // 2^bits / P has this exponent less P's.
        let bias = u64::from(2 * L::Number::EXPONENT_BIAS + bits);
        let inverse_of = s.splat(L::Number::from_bits(bias << (L::Number::SIGNIFICAND - 1)));
        let cut = |x| if FLOOR { s.floor(x) } else { s.truncate(x) };
        let rounder = kernel.accumulator;
        let constants = rounder.constants(s);
        let mut lanes = load::<L, ROWS>(s, sums);
        for (a, b) in a.chunks(kernel.length * 2 * ROWS).zip(b.chunks(kernel.length * 2 * columns)) {
            let mut largest = [[lowest; VECTORS]; ROWS];
            for (largest, &lane) in largest.iter_mut().flatten().zip(lanes.iter().flatten()) {
                *largest = s.max(*largest, s.and(lane, exponent));
            }
            for (a, b) in a.chunks_exact(2 * ROWS).zip(b.chunks_exact(2 * columns)) {
                let b: [L::V; VECTORS] = [s.load(&b[columns..]), s.load(&b[columns + L::LANES..])];
                for (row, &a) in largest.iter_mut().zip(&a[ROWS..]) {
                    let a = s.splat(a);
                    for (largest, &b) in row.iter_mut().zip(&b) {
                        *largest = s.max(*largest, s.mul(a, b));
                    }
                }
            }
            let mut inverse = largest;
            let mut totals = lanes;
            for ((inverse, total), &largest) in inverse.iter_mut().flatten().zip(totals.iter_mut().flatten()).zip(largest.iter().flatten())
            {
                *inverse = s.sub_bits(inverse_of, largest);
                // +0, so that no sum is -0.
                *total = s.add(zero, cut(s.mul(*total, *inverse)));
            }
            for (a, b) in a.chunks_exact(2 * ROWS).zip(b.chunks_exact(2 * columns)) {
                let b: [L::V; VECTORS] = [s.load(b), s.load(&b[L::LANES..])];
                for ((row, inverse), &a) in totals.iter_mut().zip(&inverse).zip(a) {
                    let a = s.splat(a);
                    for ((total, &inverse), &b) in row.iter_mut().zip(inverse).zip(&b) {
                        *total = s.add(*total, cut(s.mul(s.mul(a, b), inverse)));
                    }
                }
            }
            for ((lane, &total), &largest) in lanes.iter_mut().flatten().zip(totals.iter().flatten()).zip(largest.iter().flatten()) {
                let sum = s.mul(total, s.mul(largest, back));
                *lane = s.add(zero, rounder.proved::<L, { Mode::ANY }>(s, &constants, sum, zero));
            }
        }
        store(s, lanes, sums);
    }
}
