//! Every other accumulator of up to 50 bits, carried in binary64, in all rounding modes.
//!
//! Products of at most 53 bits are exact. Sums are exact where the tile's range shows it and
//! are rounded to odd otherwise; then [`Rounder`] rounds once more, products first where the
//! mode rounds them. Fixed-point sums that neither overflow nor lose bits need no rounding.

use super::super::order::{Knowledge, Randomness, Way};
use super::super::rounder::{Counts, Rounder, Tally};
use super::super::simd::{Lanes64, Work};
use super::{Kernel, Tile};
use std::ops::Range;
use systole_isa::entropy::Block;

/// The kernel.
pub(in super::super) struct Carrier64<'a, S> {
    pub simd: S,
    pub product: Option<&'a Rounder>,
    pub accumulator: &'a Rounder,
    pub randomness: &'a Randomness,
}

const ROWS: usize = 4;
const VECTORS: usize = 2;
const COLUMNS: usize = 4 * VECTORS;

impl<S: Lanes64> Kernel for Carrier64<'_, S> {
    type Number = f64;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let way = Way::of(self.accumulator, knowledge.addend, &knowledge.inner)?;
        // A product format without NaN or subnormals would need its own proof.
        let products = self.product.is_none_or(|p| (p.holds_nan || knowledge.inner.plain) && p.gradual && p.floating);
        products.then_some(if self.product.is_some() { Way::Checked } else { way })
    }

    fn span(&self, way: Way, tile: &Tile<'_, f64>, k: Range<usize>, sums: &mut [f64]) -> Counts {
        let a = &tile.a[k.start * ROWS..k.end * ROWS];
        let b = &tile.b[k.start * COLUMNS..k.end * COLUMNS];
        let parts = Parts { a, b, first: k.start, positions: tile.positions, sums, kernel: self };
        let nearest = self.accumulator.is_nearest_even();
        match (way, nearest, self.product.is_some()) {
            (Way::Exact, _, false) => self.simd.enter(ExactSpan(parts)),
            (Way::Proved, true, false) => self.simd.enter(Span::<S, true, true, false>(parts)),
            (Way::Proved, false, false) => self.simd.enter(Span::<S, false, true, false>(parts)),
            (Way::Checked, true, false) => self.simd.enter(Span::<S, true, false, false>(parts)),
            (Way::Checked, false, false) => self.simd.enter(Span::<S, false, false, false>(parts)),
            (_, true, true) => self.simd.enter(Span::<S, true, false, true>(parts)),
            (_, false, true) => self.simd.enter(Span::<S, false, false, true>(parts)),
        }
    }
}

struct Parts<'a, S> {
    a: &'a [f64],
    b: &'a [f64],
    /// k of the first product.
    first: usize,
    positions: &'a [Block],
    sums: &'a mut [f64],
    kernel: &'a Carrier64<'a, S>,
}

struct ExactSpan<'a, S>(Parts<'a, S>);

impl<S: Lanes64> Work<S> for ExactSpan<'_, S> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: S) -> Counts {
        let (sums, _) = self.0.sums.as_chunks_mut::<4>();
        let mut lanes = [[s.splat(0.0); VECTORS]; ROWS];
        for (lane, sum) in lanes.iter_mut().flatten().zip(&*sums) {
            *lane = s.load(sum);
        }
        let (a, _) = self.0.a.as_chunks::<ROWS>();
        let (b, _) = self.0.b.as_chunks::<COLUMNS>();
        for (a, b) in a.iter().zip(b) {
            let (b, _) = b.as_chunks::<4>();
            let b: [S::V; VECTORS] = [s.load(&b[0]), s.load(&b[1])];
            for (row, &a) in lanes.iter_mut().zip(a) {
                let a = s.splat(a);
                for (lane, &b) in row.iter_mut().zip(&b) {
                    *lane = s.mul_add(a, b, *lane);
                }
            }
        }
        for (&lane, sum) in lanes.iter().flatten().zip(sums) {
            s.store(lane, sum);
        }
        Counts::default()
    }
}

/// `NEAREST`, `PROVED` as in [`Rounder::round`]; `ROUNDED`: products are rounded first.
struct Span<'a, S, const NEAREST: bool, const PROVED: bool, const ROUNDED: bool>(Parts<'a, S>);

impl<S: Lanes64, const NEAREST: bool, const PROVED: bool, const ROUNDED: bool> Work<S> for Span<'_, S, NEAREST, PROVED, ROUNDED> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: S) -> Counts {
        let Parts { a, b, first, positions, sums, kernel } = self.0;
        let rounder = kernel.accumulator;
        let constants = rounder.constants(s);
        let product_rounder = kernel.product.unwrap_or(rounder);
        let product_constants = product_rounder.constants(s);
        let random = kernel.randomness;
        let mut tally = Tally::new(s);
        let (sums, _) = sums.as_chunks_mut::<4>();
        let mut lanes = [[s.splat(0.0); VECTORS]; ROWS];
        for (lane, sum) in lanes.iter_mut().flatten().zip(&*sums) {
            *lane = s.load(sum);
        }
        let (a, _) = a.as_chunks::<ROWS>();
        let (b, _) = b.as_chunks::<COLUMNS>();
        for (k, (a, b)) in (first..).zip(a.iter().zip(b)) {
            let (b, _) = b.as_chunks::<4>();
            let b: [S::V; VECTORS] = [s.load(&b[0]), s.load(&b[1])];
            for (r, (row, &a)) in lanes.iter_mut().zip(a).enumerate() {
                let a = s.splat(a);
                for (v, (lane, &b)) in row.iter_mut().zip(&b).enumerate() {
                    let sum = if PROVED && NEAREST {
                        s.mul_add(a, b, *lane)
                    } else {
                        let mut product = s.mul(a, b);
                        if ROUNDED {
                            product = product_rounder.round::<S, NEAREST, false>(
                                s,
                                &product_constants,
                                product,
                                draw::<S, NEAREST>(s, random.bits, positions, r * VECTORS + v, &random.product, k),
                                &mut tally,
                            );
                        }
                        if PROVED {
                            rounder.cancelled(s, &constants, s.add(*lane, product), *lane, product)
                        } else {
                            rounder.sum(s, &constants, *lane, product)
                        }
                    };
                    *lane = rounder.round::<S, NEAREST, PROVED>(
                        s,
                        &constants,
                        sum,
                        draw::<S, NEAREST>(s, random.bits, positions, r * VECTORS + v, &random.accumulate, k),
                        &mut tally,
                    );
                }
            }
        }
        for (&lane, sum) in lanes.iter().flatten().zip(sums) {
            s.store(lane, sum);
        }
        tally.counts(s)
    }
}

/// The random numbers of one rounding of four lanes; none outside stochastic rounding.
#[inline(always)]
fn draw<S: Lanes64, const NEAREST: bool>(s: S, bits: u32, positions: &[Block], lane: usize, additions: &[Block], k: usize) -> S::V {
    if NEAREST || bits == 0 { s.splat(0.0) } else { s.random(&positions[lane], &additions[k], bits) }
}
