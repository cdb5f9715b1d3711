//! Elementwise instructions block by block: operands gathered into short buffers, repeated where
//! they have extent 1; blocks in parallel; loops compiled for wide lanes.

use super::operation::{Operand, Target};
use super::{PARALLEL_ELEMENTS, Word, total};
use crate::simd::on_wide_lanes;
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;

/// Elements staged at a time.
pub(super) const BLOCK: usize = 512;
/// Elements one thread takes at a time.
const GRAIN: usize = 16 * BLOCK;

/// What is done with a block. Methods on a block, and all they call in a loop, are
/// `#[inline(always)]`: only so are they compiled for wide lanes.
pub(super) trait Kernel<T>: Sync {
    /// Staging, made once for many blocks.
    type Buffers;
    fn buffers(&self) -> Self::Buffers;
    /// Results for the elements from `start` on.
    fn block(&self, buffers: &mut Self::Buffers, start: usize, out: &mut [T], activity: &mut Activity);
}

/// Fills `out` by a kernel.
pub(super) fn run<T: Word, K: Kernel<T>>(kernel: &K, out: &mut [T]) -> Activity {
    if out.len() <= PARALLEL_ELEMENTS {
        return grain(kernel, 0, out);
    }
    out.par_chunks_mut(GRAIN).enumerate().map(|(i, out)| grain(kernel, i * GRAIN, out)).reduce(Activity::default, total)
}

on_wide_lanes! {
    /// One thread's blocks.
    fn grain[T: Word, K: Kernel<T>](kernel: &K, start: usize, out: &mut [T]) -> Activity {
        let mut activity = Activity::default();
        let mut buffers = kernel.buffers();
        for (i, block) in out.chunks_mut(BLOCK).enumerate() {
            kernel.block(&mut buffers, start + i * BLOCK, block, &mut activity);
        }
        activity
    }
}

/// Codes to the elements a kernel computes on.
pub(super) trait Decode<E>: Sync {
    /// Fills a buffer with consecutive elements from `start` on. To be `#[inline(always)]`.
    fn decode(&self, codes: &Codes, start: usize, out: &mut [E]);
}

/// An operand as blocks of elements of the result's shape.
pub(super) struct Source<'a, E, D> {
    decoder: D,
    cols: usize,
    layout: Layout<'a, E>,
}

enum Layout<'a, E> {
    Whole(&'a Codes),
    /// A row or a single element: `period` values again and again, for a block from any of them.
    Repeated {
        values: Vec<E>,
        period: usize,
    },
    /// Rows of the result's length, each for `height` rows of the result.
    Tall {
        values: Vec<E>,
        height: usize,
    },
    /// Rows of `across` values, each value for `height` rows and `width` columns of the result.
    Wide {
        values: Vec<E>,
        across: usize,
        height: usize,
        width: usize,
    },
}

/// Rows of the result from which on widening an operand's row once for all of them pays.
const TALL: usize = 8;
/// Columns from which on it does not.
const WIDE: usize = 64;

impl<'a, E: Copy + Default, D: Decode<E>> Source<'a, E, D> {
    /// The operand repeats to the target's shape.
    pub fn new(target: &Target, operand: &Operand<'a>, decoder: D) -> Self {
        let all = || {
            let mut values = vec![E::default(); operand.codes.len()];
            decoder.decode(operand.codes, 0, &mut values);
            values
        };
        let (height, width) = target.blocks.steps(target.shape(), operand.shape()).unwrap_or((1, 1));
        let across = operand.cols;
        // Every value `width` times, but no further than the result's columns.
        let widened = || {
            let mut values = vec![E::default(); operand.rows * target.cols];
            for (row, wide) in all().chunks(across.max(1)).zip(values.chunks_mut(target.cols.max(1))) {
                repeat(row, 0, width, wide);
            }
            values
        };
        let layout = match operand.shape() {
            shape if shape == target.shape() => Layout::Whole(operand.codes),
            (1, period) if width == 1 || period == 1 => {
                Layout::Repeated { values: all().into_iter().cycle().take(period + BLOCK).collect(), period }
            }
            (1, _) => Layout::Repeated { values: widened().into_iter().cycle().take(target.cols + BLOCK).collect(), period: target.cols },
            _ if width == 1 || height >= TALL && width < WIDE => Layout::Tall { values: widened(), height },
            _ => Layout::Wide { values: all(), across, height, width },
        };
        Self { decoder, cols: target.cols, layout }
    }

    /// What makes elements of codes.
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The operand's codes, where there is one for each element.
    pub const fn whole(&self) -> Option<&'a Codes> {
        match self.layout {
            Layout::Whole(codes) => Some(codes),
            _ => None,
        }
    }

    /// The `len` elements from `start` on, at most a block, where they lie side by side.
    #[inline(always)]
    pub fn side_by_side(&self, start: usize, len: usize) -> Option<&[E]> {
        match &self.layout {
            Layout::Repeated { values, period } => Some(&values[start % period..][..len]),
            Layout::Tall { values, height } => {
                let (row, col) = (start / self.cols, start % self.cols);
                if col + len <= self.cols { Some(&values[row / height * self.cols + col..][..len]) } else { None }
            }
            Layout::Whole(_) | Layout::Wide { .. } => None,
        }
    }

    /// The elements from `start` on, at most a block.
    #[inline(always)]
    pub fn fill(&self, start: usize, out: &mut [E]) {
        let (values, across, height, width) = match &self.layout {
            Layout::Whole(codes) => return self.decoder.decode(codes, start, out),
            Layout::Repeated { values, period } => return out.copy_from_slice(&values[start % period..][..out.len()]),
            Layout::Tall { values, height } => (values, self.cols, *height, 1),
            Layout::Wide { values, across, height, width } => (values, *across, *height, *width),
        };
        let (mut done, mut row, mut col) = (0, start / self.cols, start % self.cols);
        while done < out.len() {
            let run = (self.cols - col).min(out.len() - done);
            let (line, part) = (&values[row / height * across..][..across], &mut out[done..done + run]);
            match width {
                1 => part.copy_from_slice(&line[col..col + run]),
                _ => repeat(line, col, width, part),
            }
            (done, row, col) = (done + run, row + 1, 0);
        }
    }
}

/// Elements `col` on of a row in which every value of `line` stands `width` times.
#[inline(always)]
fn repeat<E: Copy>(line: &[E], col: usize, width: usize, out: &mut [E]) {
    let first = col / width;
    let (head, rest) = out.split_at_mut((width - col % width).min(out.len()));
    head.fill(line[first]);
    let line = &line[first + 1..];
    match width {
        16 => repeat_all::<E, 16>(line, rest),
        32 => repeat_all::<E, 32>(line, rest),
        _ => rest.chunks_mut(width).zip(line).for_each(|(part, &value)| part.fill(value)),
    }
}

/// Every value `N` times.
#[inline(always)]
fn repeat_all<E: Copy, const N: usize>(line: &[E], out: &mut [E]) {
    let mut parts = out.chunks_exact_mut(N);
    let mut left = line.iter();
    for (part, &value) in parts.by_ref().zip(left.by_ref()) {
        part.fill(value);
    }
    if let Some(&value) = left.next() {
        parts.into_remainder().fill(value);
    }
}
