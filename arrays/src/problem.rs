//! A matrix product as an array receives it, and what an engine answers.

use crate::datapath::Output;
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, MacMode};
use systole_isa::device::{Activity, Events};
use systole_isa::entropy::Site;

/// Extents of D (M x N) = A (M x K) B (K x N).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of A and D.
    pub m: u32,
    /// Columns of B and D.
    pub n: u32,
    /// Columns of A, rows of B.
    pub k: u32,
}

impl Shape {
    /// Multiply-accumulates of the product.
    pub const fn macs(self) -> u64 {
        self.m as u64 * self.n as u64 * self.k as u64
    }
}

/// What the array is, which mode it runs in, and what leaves it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The arrays.
    pub array: ArraySpec,
    /// The MAC mode.
    pub mode: MacMode,
    /// A's shared exponent bias register.
    pub bias_a: i32,
    /// B's shared exponent bias register.
    pub bias_b: i32,
    /// Conversion at the drain.
    pub output: Output,
    /// Site of stochastic rounding.
    pub site: Site,
}

/// Operands, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// M x K codes of the mode's `a`.
    pub a: &'a Codes,
    /// K x N codes of the mode's `b`.
    pub b: &'a Codes,
    /// M x N codes of the outermost accumulator's format.
    pub c: Option<&'a Codes>,
}

/// Values an engine computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// M x N output codes, row-major.
    pub d: Codes,
    /// Value-dependent counts.
    pub activity: Activity,
}

/// What the array spent: cycles by the design's convention, and the array's own events
/// (MACs, idle lanes, registers, accumulator memory, conversions, scratchpad accesses at its
/// edges, folds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Array-busy cycles without memory stalls.
    pub compute_cycles: u64,
    /// Events.
    pub events: Events,
}
