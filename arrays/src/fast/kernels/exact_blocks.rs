//! Dot-product units that add a block of products exactly, carried in binary64.
//!
//! Exact where the survey shows that a block's products add up within 53 bits. The sum begins at
//! -0, so that it has the sign that products alone would give it: +0 unless all of them are -0.
//! Under roundTowardNegative a sum that cancels is -0, which that does not show.

use super::super::order::{Knowledge, Randomness, Way};
use super::super::rounder::{Counts, Rounder, Tally};
use super::super::simd::{Lanes64, Work};
use super::{Kernel, Tile};
use std::ops::Range;

/// The kernel.
pub(in super::super) struct ExactBlocks<'a, S> {
    pub simd: S,
    pub accumulator: &'a Rounder,
    /// Products per block.
    pub length: usize,
    /// True if a block's sum is rounded on its own.
    pub apart: bool,
    pub randomness: &'a Randomness,
}

const ROWS: usize = 2;
const VECTORS: usize = 2;
const COLUMNS: usize = 4 * VECTORS;

impl<S: Lanes64> Kernel for ExactBlocks<'_, S> {
    type Number = f64;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        if !knowledge.block.spans(53) || knowledge.block.special {
            return None;
        }
        let sums = Way::of(self.accumulator, knowledge.addend, &knowledge.inner)?;
        let Some(apart) = &knowledge.apart else { return Some(sums) };
        let apart = Way::of(self.accumulator, knowledge.block, apart)?;
        Some(if apart == sums { sums } else { Way::Checked })
    }

    fn span(&self, way: Way, tile: &Tile<'_, f64>, k: Range<usize>, sums: &mut [f64]) -> Counts {
        let a = &tile.a[k.start * ROWS..k.end * ROWS];
        let b = &tile.b[k.start * COLUMNS..k.end * COLUMNS];
        let parts = Parts { a, b, k, tile, sums, kernel: self };
        match (way, self.accumulator.is_nearest_even()) {
            (Way::Exact, _) => self.simd.enter(Span::<S, false, true, true>(parts)),
            (Way::Proved, true) => self.simd.enter(Span::<S, true, true, false>(parts)),
            (Way::Proved, false) => self.simd.enter(Span::<S, false, true, false>(parts)),
            (Way::Checked, true) => self.simd.enter(Span::<S, true, false, false>(parts)),
            (Way::Checked, false) => self.simd.enter(Span::<S, false, false, false>(parts)),
        }
    }
}

struct Parts<'a, S> {
    a: &'a [f64],
    b: &'a [f64],
    k: Range<usize>,
    tile: &'a Tile<'a, f64>,
    sums: &'a mut [f64],
    kernel: &'a ExactBlocks<'a, S>,
}

/// `NEAREST`, `PROVED` as in [`Rounder::round`]; `EXACT`: sums need no rounding.
struct Span<'a, S, const NEAREST: bool, const PROVED: bool, const EXACT: bool>(Parts<'a, S>);

impl<S: Lanes64, const NEAREST: bool, const PROVED: bool, const EXACT: bool> Work<S> for Span<'_, S, NEAREST, PROVED, EXACT> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: S) -> Counts {
        let Parts { a, b, k, tile, sums, kernel } = self.0;
        let rounder = kernel.accumulator;
        let constants = rounder.constants(s);
        let random = kernel.randomness;
        let mut tally = Tally::new(s);
        let (sums, _) = sums.as_chunks_mut::<4>();
        let mut last = k.start;
        for (a, b) in a.chunks(kernel.length * ROWS).zip(b.chunks(kernel.length * COLUMNS)) {
            let (a, _) = a.as_chunks::<ROWS>();
            let (b, _) = b.as_chunks::<COLUMNS>();
            last += a.len();
            let mut block = [[s.splat(-0.0); VECTORS]; ROWS];
            for (a, b) in a.iter().zip(b) {
                let (b, _) = b.as_chunks::<4>();
                let b: [S::V; VECTORS] = [s.load(&b[0]), s.load(&b[1])];
                for (row, &a) in block.iter_mut().zip(a) {
                    let a = s.splat(a);
                    for (lane, &b) in row.iter_mut().zip(&b) {
                        *lane = s.mul_add(a, b, *lane);
                    }
                }
            }
            for (i, (to, &products)) in sums.iter_mut().zip(block.iter().flatten()).enumerate() {
                let sum = s.load(to);
                if EXACT {
                    s.store(s.add(sum, products), to);
                    continue;
                }
                let draw = if !NEAREST && random.bits > 0 {
                    s.random(&tile.positions[i], &random.accumulate[last - 1], random.bits)
                } else {
                    constants.zero
                };
                let mut addend = products;
                if kernel.apart {
                    addend = rounder.round::<S, NEAREST, PROVED>(s, &constants, addend, constants.zero, &mut tally);
                }
                let total = if PROVED {
                    rounder.cancelled(s, &constants, s.add(sum, addend), sum, addend)
                } else {
                    rounder.sum(s, &constants, sum, addend)
                };
                s.store(rounder.round::<S, NEAREST, PROVED>(s, &constants, total, draw, &mut tally), to);
            }
        }
        tally.counts(s)
    }
}
