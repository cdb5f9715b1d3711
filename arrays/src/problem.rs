//! A matrix product as an array receives it, and what an engine answers.

use crate::datapath::{Factor, Mac, Output};
use crate::mask::Mask;
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, MacMode, Scaling};
use systole_isa::device::{Activity, Events};
use systole_isa::entropy::Site;
use systole_isa::format::Format;

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

impl Setup {
    /// Format of C: the outermost accumulator's, or the output's where that is too wide for codes.
    pub fn addend_format(&self) -> Format {
        let outermost = self.mode.outermost();
        if outermost.is_wide() { self.output.format } else { outermost }
    }
}

/// Operands, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// M x K codes of the mode's `a`.
    pub a: &'a Codes,
    /// K x N codes of the mode's `b`.
    pub b: &'a Codes,
    /// M x N codes of the outermost accumulator's format, or of the output's where that is
    /// too wide for codes.
    pub c: Option<&'a Codes>,
    /// Block scales, where the mode takes them.
    pub scales: Scales<'a>,
    /// Which outputs are wanted; all of them without a mask. A product has a mask or a C, not both,
    /// and one with a mask draws no random bits from shift registers.
    pub mask: Option<&'a Mask>,
}

/// Block scales of the operands, row-major codes of the mode's scale format; an operand
/// without them has scales of 1. Blocks are a chunk long along K.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scales<'a> {
    /// ceil(M / scale_rows) x ceil(K / chunk).
    pub a: Option<&'a Codes>,
    /// ceil(K / chunk) x ceil(N / scale_cols).
    pub b: Option<&'a Codes>,
}

/// Extents of the scales of A and of B.
pub fn scale_extents(mode: &MacMode, shape: Shape) -> [(u32, u32); 2] {
    let blocks = mode.chunk.map_or(1, |length| shape.k.div_ceil(length));
    [(shape.m.div_ceil(mode.scale_rows), blocks), (blocks, shape.n.div_ceil(mode.scale_cols))]
}

impl<'a> Operands<'a> {
    /// Operands without block scales or mask.
    pub const fn new(a: &'a Codes, b: &'a Codes, c: Option<&'a Codes>) -> Self {
        Self { a, b, c, scales: Scales { a: None, b: None }, mask: None }
    }

    /// True if an output is wanted.
    pub fn selects(&self, row: u32, column: u32) -> bool {
        self.mask.is_none_or(|mask| mask.holds(row, column))
    }

    /// What block scales multiply the product of `row`, `column` and `k` by.
    pub fn factor(&self, mac: &Mac, shape: Shape, row: u32, column: u32, k: u32) -> Factor {
        let mode = mac.mode();
        if mode.scale == Scaling::None {
            return Factor::ONE;
        }
        let [(_, blocks), (_, columns)] = scale_extents(mode, shape);
        let block = mode.chunk.map_or(0, |length| k / length);
        let a = self.scales.a.map(|a| a.get(((row / mode.scale_rows) * blocks + block) as usize));
        let b = self.scales.b.map(|b| b.get((block * columns + column / mode.scale_cols) as usize));
        mac.factor(a, b)
    }
}

/// Values an engine computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// M x N output codes, row-major; code 0 for outputs that a mask leaves out.
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
