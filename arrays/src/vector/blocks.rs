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
    Column(Vec<E>),
}

impl<'a, E: Copy + Default, D: Decode<E>> Source<'a, E, D> {
    pub fn new(target: &Target, operand: &Operand<'a>, decoder: D) -> Self {
        let all = || {
            let mut values = vec![E::default(); operand.codes.len()];
            decoder.decode(operand.codes, 0, &mut values);
            values
        };
        let layout = match operand.shape() {
            shape if shape == target.shape() => Layout::Whole(operand.codes),
            (1, period) => Layout::Repeated { values: all().into_iter().cycle().take(period + BLOCK).collect(), period },
            _ => Layout::Column(all()),
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
            Layout::Repeated { .. } | Layout::Column(_) => None,
        }
    }

    /// The `len` elements from `start` on, at most a block, where they lie side by side.
    #[inline(always)]
    pub fn side_by_side(&self, start: usize, len: usize) -> Option<&[E]> {
        match &self.layout {
            Layout::Repeated { values, period } => Some(&values[start % period..][..len]),
            Layout::Whole(_) | Layout::Column(_) => None,
        }
    }

    /// The elements from `start` on, at most a block.
    #[inline(always)]
    pub fn fill(&self, start: usize, out: &mut [E]) {
        match &self.layout {
            Layout::Whole(codes) => self.decoder.decode(codes, start, out),
            Layout::Repeated { values, period } => out.copy_from_slice(&values[start % period..][..out.len()]),
            Layout::Column(values) => {
                let (mut done, mut row, mut left) = (0, start / self.cols, self.cols - start % self.cols);
                while done < out.len() {
                    let run = left.min(out.len() - done);
                    out[done..done + run].fill(values[row]);
                    done += run;
                    row += 1;
                    left = self.cols;
                }
            }
        }
    }
}
