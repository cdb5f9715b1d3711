//! One fused multiply-add per vector of MACs.
//!
//! Exact where products are exact and either the accumulator is binary32 rounded to nearest-even
//! and no finite sum overflows or is tiny and inexact (then the instruction computes what the MAC
//! is defined to be, infinities and NaNs included), or no sum is ever rounded and all of them fit
//! the lanes' significands.

use super::super::order::{Knowledge, Way};
use super::super::panels::Carrier;
use super::super::rounder::Counts;
use super::{Kernel, Tile, VECTORS, load, store};
use crate::simd::{Lanes, Work};
use std::ops::Range;

/// The kernel.
pub(in super::super) struct Fused<L> {
    pub lanes: L,
    /// True if the lanes are the accumulator itself, false if sums must not round at all.
    pub native: bool,
    /// True if the accumulator is a float.
    pub floating: bool,
}

const ROWS: usize = 6;

impl<L: Lanes<Number: Carrier>> Kernel for Fused<L> {
    type Number = L::Number;
    const ROWS: usize = ROWS;
    const COLUMNS: usize = L::LANES * VECTORS;

    fn way(&self, knowledge: &Knowledge) -> Option<Way> {
        let sums = &knowledge.inner;
        let exact_in_lanes = sums.unrounded.is_exact_in::<L::Number>();
        let exact = if self.native {
            // Where infinities saturate, sums are not bounded: those left are the lanes' own.
            sums.bounded && sums.never_tiny
        } else if self.floating {
            sums.unrounding && sums.plain && exact_in_lanes
        } else {
            sums.bounded && sums.never_tiny && sums.plain && exact_in_lanes
        };
        exact.then_some(Way::Exact)
    }

    fn span(&self, _: Way, tile: &Tile<'_, L::Number>, k: Range<usize>, sums: &mut [L::Number]) -> Counts {
        let a = &tile.a[k.start * ROWS..k.end * ROWS];
        let b = &tile.b[k.start * Self::COLUMNS..k.end * Self::COLUMNS];
        self.lanes.enter(Span { a, b, sums });
        Counts::default()
    }
}

struct Span<'a, N> {
    a: &'a [N],
    b: &'a [N],
    sums: &'a mut [N],
}

impl<L: Lanes> Work<L> for Span<'_, L::Number> {
    type Out = ();

    #[inline(always)]
    fn run(self, s: L) {
        let mut lanes = load::<L, ROWS>(s, self.sums);
        for (a, b) in self.a.chunks_exact(ROWS).zip(self.b.chunks_exact(L::LANES * VECTORS)) {
            let b: [L::V; VECTORS] = [s.load(b), s.load(&b[L::LANES..])];
            for (row, &a) in lanes.iter_mut().zip(a) {
                let a = s.splat(a);
                for (lane, &b) in row.iter_mut().zip(&b) {
                    *lane = s.mul_add(a, b, *lane);
                }
            }
        }
        store(s, lanes, self.sums);
    }
}
