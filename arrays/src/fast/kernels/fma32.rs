//! Fused multiply-add in binary32: one instruction per eight MACs.
//!
//! Exact where the accumulator is binary32 rounded to nearest-even, products are exact,
//! operands are binary32 numbers, and no finite sum overflows or is tiny and inexact: then the
//! instruction computes what the MAC is defined to be, infinities and NaNs included. Exact also
//! for any accumulator whose sums all fit in 24 bits, since then nothing is ever rounded.

use super::super::order::{Knowledge, Way};
use super::super::rounder::Counts;
use super::super::simd::{Lanes32, Work};
use super::{Kernel, Tile};
use std::ops::Range;

/// The kernel.
pub(in super::super) struct Fma32<S> {
    pub simd: S,
    /// True if the accumulator is binary32 itself, false if sums must not round at all.
    pub binary32: bool,
}

const ROWS: usize = 6;
const VECTORS: usize = 2;
const COLUMNS: usize = 8 * VECTORS;

impl<S: Lanes32> Kernel for Fma32<S> {
    type Number = f32;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = COLUMNS;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let sums = &knowledge.inner;
        let exact = self.binary32 || sums.reach.spans(24);
        // Where infinities saturate, sums are not bounded: those left are binary32's own.
        (sums.bounded && sums.never_tiny && exact).then_some(Way::Exact)
    }

    fn span(&self, _: Way, tile: &Tile<'_, f32>, k: Range<usize>, sums: &mut [f32]) -> Counts {
        let (a, b) = (&tile.a[k.start * ROWS..k.end * ROWS], &tile.b[k.start * COLUMNS..k.end * COLUMNS]);
        self.simd.enter(Span { a, b, sums });
        Counts::default()
    }
}

struct Span<'a> {
    a: &'a [f32],
    b: &'a [f32],
    sums: &'a mut [f32],
}

impl<S: Lanes32> Work<S> for Span<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self, s: S) {
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
                    *lane = s.fused32(a, b, *lane);
                }
            }
        }
        for (r, row) in lanes.iter().enumerate() {
            for (v, &lane) in row.iter().enumerate() {
                s.store32(lane, &mut sums[r * VECTORS + v]);
            }
        }
    }
}
