//! Block scales as host numbers.

use super::reach::{NO_LSB, Reach};
use super::reader::exact_f64;
use crate::problem::{Operands, Shape, scale_extents};
use std::ops::Range;
use systole_isa::codes::Codes;
use systole_isa::design::MacMode;
use systole_isa::format::Format;
use systole_isa::round::decode_with;

/// The scales of both operands, row-major as they came.
pub(super) struct BlockScales {
    /// One per block of A; empty where A has none.
    a: Vec<f64>,
    b: Vec<f64>,
    /// Products per block, and blocks along k.
    length: usize,
    blocks: usize,
    rows_per_scale: usize,
    columns_per_scale: usize,
    columns: usize,
    /// [`Factors::in_two`].
    pub in_two: bool,
}

impl BlockScales {
    /// Those of a mode that has them.
    pub fn new(mode: &MacMode, shape: Shape, operands: &Operands<'_>) -> Self {
        let [(_, blocks), (_, columns)] = scale_extents(mode, shape);
        let read = |code| exact_f64(decode_with(mode.scale_format, code, mode.subnormals)).unwrap_or(f64::NAN);
        let values = |codes: Option<&Codes>| codes.map_or_else(Vec::new, |codes| codes.iter().map(read).collect());
        Self {
            a: values(operands.scales.a),
            b: values(operands.scales.b),
            length: mode.chunk.map_or(usize::MAX, |length| length as usize),
            blocks: blocks as usize,
            rows_per_scale: mode.scale_rows as usize,
            columns_per_scale: mode.scale_cols as usize,
            columns: columns as usize,
            in_two: false,
        }
    }

    /// Prepares them to multiply sums of at most `bits` significant bits, or says why not.
    pub fn multiply_sums(&mut self, bits: u32, format: Format) -> Result<(), String> {
        // Powers of two add no bits.
        let of_scale = if format.precision() == 1 { 0 } else { format.precision() };
        self.in_two = bits + 2 * of_scale > 53;
        if self.in_two && (bits + of_scale > 53 || of_scale > 26) {
            return Err(format!("scaled sums have up to {} significant bits, and sums times one scale more than 53", bits + 2 * of_scale));
        }
        Ok(())
    }

    /// What the block of product `k` in a row of A is multiplied by.
    pub fn a(&self, row: usize, k: usize) -> f64 {
        if self.a.is_empty() { 1.0 } else { self.a[row / self.rows_per_scale * self.blocks + k / self.length] }
    }

    /// The like for a column of B.
    pub fn b(&self, k: usize, column: usize) -> f64 {
        if self.b.is_empty() { 1.0 } else { self.b[k / self.length * self.columns + column / self.columns_per_scale] }
    }

    /// Writes what the block of product `k` is multiplied by in a tile.
    pub fn of_tile(&self, k: usize, rows: &Range<usize>, columns: &Range<usize>, factors: &mut Factors) {
        let block = k / self.length;
        if !self.a.is_empty() {
            spread(&self.a[block..], self.blocks, rows, self.rows_per_scale, &mut factors.rows);
        }
        if !self.b.is_empty() {
            spread(&self.b[block * self.columns..], 1, columns, self.columns_per_scale, &mut factors.columns);
        }
    }

    /// What the scales of A, or of B, can reach.
    pub fn reach(&self) -> [Reach; 2] {
        [&self.a, &self.b].map(|scales| {
            let one = Reach { max: 1.0, lsb: 0, ..Reach::ZERO };
            scales.iter().map(|&scale| of_one(scale)).reduce(Reach::union).unwrap_or(one)
        })
    }
}

/// Writes the scales of `lines`, `per_scale` lines to one, which lie `stride` apart.
fn spread(scales: &[f64], stride: usize, lines: &Range<usize>, per_scale: usize, to: &mut [f64]) {
    let first = lines.start / per_scale;
    let mut at = first * stride;
    let mut left = (first + 1) * per_scale - lines.start;
    for to in &mut to[..lines.len()] {
        if left == 0 {
            (at, left) = (at + stride, per_scale);
        }
        *to = scales[at];
        left -= 1;
    }
}

/// What the finished sums of one tile are multiplied by: the scale of the row times the column's.
pub(super) struct Factors {
    pub rows: [f64; MAX_ROWS],
    pub columns: [f64; MAX_COLUMNS],
    /// True if scaled sums may have more than 53 bits: then the sum times the row's scale has no
    /// more, and each half of that times the column's.
    pub in_two: bool,
}

/// Extents of the largest tile of a kernel.
const MAX_ROWS: usize = 8;
const MAX_COLUMNS: usize = 64;

impl Factors {
    pub const ONES: Self = Self { rows: [1.0; MAX_ROWS], columns: [1.0; MAX_COLUMNS], in_two: false };
}

fn of_one(scale: f64) -> Reach {
    let lsb = if scale == 0.0 || !scale.is_finite() {
        NO_LSB
    } else {
        let bits = scale.abs().to_bits();
        let significand = bits & ((1 << 52) - 1) | 1 << 52;
        (bits >> 52) as i32 - 1075 + significand.trailing_zeros() as i32
    };
    let finite = scale.is_finite();
    Reach { max: if finite { scale.abs() } else { 0.0 }, lsb, special: !finite, negative_zero: scale.is_sign_negative() }
}
