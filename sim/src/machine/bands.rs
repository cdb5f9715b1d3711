//! A product in bands of outputs, so that an operand is never copied whole where it is large: an
//! im2col view repeats each element of its tensor as often as windows hold it.

use super::operation::Matrix;
use std::ops::Range;
use systole_arrays::problem::Shape;
use systole_isa::design::{EntropySource, MacMode};
use systole_isa::view::TensorView;

/// Bytes of codes of one operand that are there at once, unless told otherwise.
pub const BAND_BYTES: u64 = 12 << 20;

/// Lines of a band are a multiple of the first of these that they reach: whole tiles of kernels.
const TILES: [u32; 2] = [192, LEAST];

/// Lines of a band at least: fewer would leave most of a tile empty.
const LEAST: u32 = 16;

/// Extents of the bands of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bands {
    shape: Shape,
    height: u32,
    width: u32,
}

impl Bands {
    /// Everything at once.
    pub const fn whole(shape: Shape) -> Self {
        Self { shape, height: shape.m, width: shape.n }
    }

    /// Bands whose rows of A, and whose columns of B, take about `bytes` where a view has such
    /// rows, and a part can draw its random bits on its own.
    pub fn of(matrix: &Matrix, mode: &MacMode, bytes: u64) -> Self {
        let shape = matrix.shape;
        if matches!(mode.entropy, EntropySource::Lfsr { .. }) && mode.random_bits() > 0 {
            return Self::whole(shape);
        }
        let views = [Some(&matrix.a), Some(&matrix.d), matrix.c.as_ref()].into_iter().flatten().map(TensorView::row_step);
        let scales = matrix.scales[0].map_or(1, |scales| scales.row_step()).checked_mul(mode.scale_rows);
        let rows = views.map(Some).chain([scales]).try_fold(1, |all, step| lcm(all, step?));
        // Four columns share a position among the random bits.
        let columns = lcm(4, mode.scale_cols);
        Self { shape, height: lines(shape.m, shape.k, &matrix.a, rows, bytes), width: lines(shape.n, shape.k, &matrix.b, columns, bytes) }
    }

    /// The bands' columns.
    pub fn columns(self) -> impl Iterator<Item = Range<u32>> {
        ranges(self.shape.n, self.width)
    }

    /// The bands' rows.
    pub fn rows(self) -> impl Iterator<Item = Range<u32>> {
        ranges(self.shape.m, self.height)
    }
}

fn ranges(lines: u32, step: u32) -> impl Iterator<Item = Range<u32>> {
    (0..lines).step_by(step as usize).map(move |first| first..lines.min(first.saturating_add(step)))
}

/// Lines of `k` codes in a band: a multiple of `step`.
fn lines(all: u32, k: u32, view: &TensorView, step: Option<u32>, bytes: u64) -> u32 {
    let fit = (bytes / (u64::from(k) * u64::from(view.format.storage_bytes()))).max(LEAST.into()).min(all.into()) as u32;
    let Some(step) = step.filter(|_| fit < all) else { return all };
    let step = TILES.into_iter().filter_map(|tile| lcm(step, tile)).find(|&tiles| tiles <= fit).unwrap_or(step);
    (fit / step).max(1).saturating_mul(step).min(all)
}

/// The least common multiple, if it is a number of lines.
fn lcm(a: u32, b: u32) -> Option<u32> {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a / x).checked_mul(b)
}
