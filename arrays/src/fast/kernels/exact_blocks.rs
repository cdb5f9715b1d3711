//! Dot-product units that add a block of products exactly, carried in binary64.
//!
//! Exact where the survey shows that a block's products add up within 53 bits. The sum begins at
//! -0, so that it has the sign that products alone would give it: +0 unless all of them are -0.
//! Under roundTowardNegative a sum that cancels is -0, which that does not show.

use super::super::order::{Knowledge, Randomness, Way};
use super::super::rounder::{Constants, Counts, Mode, Rounder, Tally};
use super::{Kernel, Tile, VECTORS};
use crate::simd::{Lanes, Work};
use std::ops::Range;

/// The kernel.
pub(in super::super) struct ExactBlocks<'a, L> {
    pub lanes: L,
    pub accumulator: &'a Rounder,
    /// Products per block.
    pub length: usize,
    /// True if a block's sum is rounded on its own.
    pub apart: bool,
    pub randomness: &'a Randomness,
}

const ROWS: usize = 2;

impl<L: Lanes<Number = f64>> Kernel for ExactBlocks<'_, L> {
    type Number = f64;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = L::LANES * VECTORS;

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
        let b = &tile.b[k.start * Self::COLUMNS..k.end * Self::COLUMNS];
        let parts = Parts { a, b, k, tile, sums, kernel: self };
        match (way, self.accumulator.is_nearest_even()) {
            (Way::Exact, _) => self.lanes.enter(Span::<L, false, true, true>(parts)),
            (Way::Proved, true) => self.lanes.enter(Span::<L, true, true, false>(parts)),
            (Way::Proved, false) => self.lanes.enter(Span::<L, false, true, false>(parts)),
            (Way::Watched | Way::Checked, true) => self.lanes.enter(Span::<L, true, false, false>(parts)),
            (Way::Watched | Way::Checked, false) => self.lanes.enter(Span::<L, false, false, false>(parts)),
        }
    }
}

struct Parts<'a, L> {
    a: &'a [f64],
    b: &'a [f64],
    k: Range<usize>,
    tile: &'a Tile<'a, f64>,
    sums: &'a mut [f64],
    kernel: &'a ExactBlocks<'a, L>,
}

/// `NEAREST`, `PROVED` as in [`Rounder::round`]; `EXACT`: sums need no rounding.
struct Span<'a, L, const NEAREST: bool, const PROVED: bool, const EXACT: bool>(Parts<'a, L>);

impl<L: Lanes<Number = f64>, const NEAREST: bool, const PROVED: bool, const EXACT: bool> Work<L> for Span<'_, L, NEAREST, PROVED, EXACT> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: L) -> Counts {
        let Parts { a, b, k, tile, sums, kernel } = self.0;
        let columns = L::LANES * VECTORS;
        let rounder = kernel.accumulator;
        let constants = rounder.constants(s);
        let random = kernel.randomness;
        let mut tally = Tally::new(s);
        let mut last = k.start;
        for (a, b) in a.chunks(kernel.length * ROWS).zip(b.chunks(kernel.length * columns)) {
            last += a.len() / ROWS;
            let mut block = [[s.splat(-0.0); VECTORS]; ROWS];
            for (a, b) in a.chunks_exact(ROWS).zip(b.chunks_exact(columns)) {
                let b: [L::V; VECTORS] = [s.load(b), s.load(&b[L::LANES..])];
                for (row, &a) in block.iter_mut().zip(a) {
                    let a = s.splat(a);
                    for (lane, &b) in row.iter_mut().zip(&b) {
                        *lane = s.mul_add(a, b, *lane);
                    }
                }
            }
            for (i, (to, &products)) in sums.chunks_exact_mut(L::LANES).zip(block.iter().flatten()).enumerate() {
                let sum = s.load(to);
                if EXACT {
                    s.store(s.add(sum, products), to);
                    continue;
                }
                let draw = if !NEAREST && random.bits > 0 {
                    s.draw(&tile.positions[i * L::LANES / 4..], &random.accumulate[last - 1], random.bits)
                } else {
                    constants.zero
                };
                let mut addend = products;
                if kernel.apart {
                    addend = round::<L, NEAREST, PROVED>(s, rounder, &constants, addend, constants.zero, &mut tally);
                }
                let total = if PROVED {
                    rounder.cancelled(s, &constants, s.add(sum, addend), sum, addend)
                } else {
                    rounder.sum(s, &constants, sum, addend)
                };
                s.store(round::<L, NEAREST, PROVED>(s, rounder, &constants, total, draw, &mut tally), to);
            }
        }
        tally.counts(s)
    }
}

#[inline(always)]
fn round<L: Lanes, const NEAREST: bool, const PROVED: bool>(
    s: L,
    rounder: &Rounder,
    constants: &Constants<L::V>,
    sum: L::V,
    draw: L::V,
    tally: &mut Tally<L::V>,
) -> L::V {
    if !PROVED {
        rounder.checked_sum::<L, NEAREST>(s, constants, sum, draw, tally)
    } else if NEAREST {
        rounder.proved::<L, { Mode::RNE }>(s, constants, sum, draw)
    } else {
        rounder.proved::<L, { Mode::ANY }>(s, constants, sum, draw)
    }
}
