//! The first maximum of each window, channel by channel.
//!
//! A window is a product of rows and columns, so its maximum is found in two passes: down the
//! rows, for all columns and channels at once, then along them. Of equal elements the first in
//! kernel order wins: the upper one, and within a row the left one.

use super::Geometry;
use crate::vector::operation::Operand;
use crate::vector::order::{Order, OrderKey};
use std::marker::PhantomData;
use systole_isa::view::Window;

/// Finds winners by keys of type `K`, which hold the order of the input's format.
pub(super) struct Winners<'a, K> {
    pub geometry: &'a Geometry,
    pub order: Order,
    pub input: &'a Operand<'a>,
    /// Rows of the image that each row of windows reads, in kernel order.
    rows: Vec<Vec<usize>>,
    /// First elements of the pixels in a row that each column of windows reads, in kernel order.
    columns: Vec<Vec<usize>>,
    /// Elements of a row of the image.
    width: usize,
    keys: PhantomData<K>,
}

impl<'a, K: OrderKey> Winners<'a, K> {
    /// No window is empty.
    pub fn new(geometry: &'a Geometry, window: &Window, order: Order, input: &'a Operand) -> Self {
        let (out_w, w) = (window.out_w as usize, window.w as usize);
        // In a window that is not empty every row it reads has a pixel, and every column.
        let read_by = |output: usize, coordinate: fn(usize, usize) -> usize| {
            let mut read = Vec::new();
            for pixel in geometry.window(output).flatten() {
                let at = coordinate(pixel, w);
                if !read.contains(&at) {
                    read.push(at);
                }
            }
            read
        };
        let rows = (0..window.out_h as usize).map(|oy| read_by(oy * out_w, |pixel, w| pixel / w)).collect();
        let columns = (0..out_w).map(|ox| read_by(ox, |pixel, w| pixel % w).iter().map(|x| x * geometry.channels).collect()).collect();
        Self { geometry, order, input, rows, columns, width: w * geometry.channels, keys: PhantomData }
    }

    /// Visits the rows of windows of one image: their first output pixel, and for each of their
    /// pixels and channels the winning element of the image and its key.
    #[inline]
    pub fn each_row(&self, image: usize, mut visit: impl FnMut(usize, &[usize], &[K])) {
        let Self { geometry, width, .. } = *self;
        let (size, channels) = (geometry.input_pixels * geometry.channels, geometry.channels);
        let mut keys = vec![K::default(); size];
        K::fill(&self.order, self.input.codes, image * size, &mut keys);
        let (mut best, mut best_row) = (vec![K::default(); width], vec![0_u32; width]);
        let outputs = self.columns.len() * channels;
        let (mut won, mut winning) = (vec![0; outputs], vec![K::default(); outputs]);
        for (oy, rows) in self.rows.iter().enumerate() {
            best.copy_from_slice(&keys[rows[0] * width..][..width]);
            best_row.fill(rows[0] as u32);
            for &row in &rows[1..] {
                for ((best, best_row), &key) in best.iter_mut().zip(&mut best_row).zip(&keys[row * width..][..width]) {
                    let better = key > *best;
                    *best = if better { key } else { *best };
                    *best_row = if better { row as u32 } else { *best_row };
                }
            }
            let outputs = won.chunks_exact_mut(channels).zip(winning.chunks_exact_mut(channels));
            for ((won, winning), columns) in outputs.zip(&self.columns) {
                for (channel, (won, winning)) in won.iter_mut().zip(winning).enumerate() {
                    let mut at = columns[0] + channel;
                    let (mut key, mut row) = (best[at], best_row[at]);
                    for &column in &columns[1..] {
                        let other = column + channel;
                        let (other_key, other_row) = (best[other], best_row[other]);
                        // No branches: which of neighbours is larger cannot be predicted.
                        let better = (other_key > key) | ((other_key == key) & (other_row < row));
                        at = if better { other } else { at };
                        key = if better { other_key } else { key };
                        row = if better { other_row } else { row };
                    }
                    *won = row as usize * width + at;
                    *winning = key;
                }
            }
            visit(oy * self.columns.len(), &won, &winning);
        }
    }
}
