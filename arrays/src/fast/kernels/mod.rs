//! The inner loops: each adds products over a span of k to the innermost sums of one tile.

mod aligned;
mod carrier32;
mod carrier64;
mod exact_blocks;
mod fma32;

#[cfg(target_arch = "x86_64")]
pub(super) use aligned::In32;
pub(super) use aligned::{Aligned, Carried, In64};
pub(super) use carrier32::Carrier32;
pub(super) use carrier64::Carrier64;
pub(super) use exact_blocks::ExactBlocks;
pub(super) use fma32::Fma32;

use super::operands::Carrier;
use super::order::{Knowledge, Way};
use super::rounder::Counts;
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

    /// How the kernel treats sums of which this is known; `None` outside its domain.
    fn way(&self, knowledge: &Knowledge) -> Option<Way>;

    /// Adds the products of `k`, ascending, to row-major `sums`.
    fn span(&self, way: Way, tile: &Tile<'_, Self::Number>, k: Range<usize>, sums: &mut [Self::Number]) -> Counts;
}
