//! The inner loops: each adds products over a span of k to the innermost sums of one tile.

mod aligned;
mod chain;
mod exact_blocks;
mod fused;
#[cfg(target_arch = "x86_64")]
mod half;

pub(super) use aligned::Aligned;
pub(super) use chain::{Chain, products_in_binary32};
pub(super) use exact_blocks::ExactBlocks;
pub(super) use fused::Fused;
#[cfg(target_arch = "x86_64")]
pub(super) use half::Fma16;

use super::order::{Knowledge, Way};
use super::panels::Carrier;
use super::rounder::Counts;
use crate::simd::Lanes;
use std::ops::Range;
use systole_isa::entropy::Block;

/// Operands of one tile of outputs.
pub(super) struct Tile<'a, T> {
    /// One number per row at each k.
    pub a: &'a [T],
    /// One number per column at each k.
    pub b: &'a [T],
    /// Position blocks of stochastic rounding, one per row and four columns.
    pub positions: &'a [Block],
}

/// A kernel: the sums of a tile of `ROWS` x `COLUMNS` outputs, lanes across columns.
pub(super) trait Kernel: Sync {
    /// What sums and operands are carried in.
    type Number: Carrier;
    const ROWS: usize;
    const COLUMNS: usize;
    /// True if panels hold, per k, the numbers of the lines and then their powers of two.
    const POWERS: bool = false;
    /// True if panels of rows hold every number twice.
    const PAIRED: bool = false;

    /// How the kernel treats sums of which this is known; `None` outside its domain.
    fn way(&self, knowledge: &Knowledge) -> Option<Way>;

    /// Adds the products of `k`, ascending, to row-major `sums`.
    fn span(&self, way: Way, tile: &Tile<'_, Self::Number>, k: Range<usize>, sums: &mut [Self::Number]) -> Counts;
}

/// Vectors of columns in a tile.
const VECTORS: usize = 2;

/// The sums of a tile in registers. Plain indices, or they stay in memory.
#[inline(always)]
fn load<L: Lanes, const ROWS: usize>(s: L, sums: &[L::Number]) -> [[L::V; VECTORS]; ROWS] {
    let mut lanes = [[s.splat(L::Number::default()); VECTORS]; ROWS];
    for r in 0..ROWS {
        for v in 0..VECTORS {
            lanes[r][v] = s.load(&sums[(r * VECTORS + v) * L::LANES..]);
        }
    }
    lanes
}

/// Back to where they came from.
#[inline(always)]
fn store<L: Lanes, const ROWS: usize>(s: L, lanes: [[L::V; VECTORS]; ROWS], sums: &mut [L::Number]) {
    for r in 0..ROWS {
        for v in 0..VECTORS {
            s.store(lanes[r][v], &mut sums[(r * VECTORS + v) * L::LANES..]);
        }
    }
}
