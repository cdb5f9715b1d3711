//! Row-major matrices and their products, in an order of additions that is part of the contract.
//!
//! Every element of a product is one chain over ascending k: +0, then + a[k] b[k] with product
//! and sum each rounded (Rust never fuses them). So results are the same bits on every
//! machine, whatever its vector width; AVX2's lanes are used where they are. The kernel keeps 4 x 8 chains in registers; panels of
//! both operands are packed so that it reads memory in order.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// The host's floating-point types: `f32` trains; `f64` lets tests differentiate numerically.
pub trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + sealed::Sealed
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// The correctly rounded square root.
    #[must_use]
    fn sqrt(self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn from_f64(value: f64) -> Self {
        value as Self
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// A row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix<T> {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// `rows * columns` values.
    pub values: Vec<T>,
}

impl<T: Real> Matrix<T> {
    /// All zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![T::ZERO; rows * columns] }
    }

    /// The matrix of the given number of columns with these values.
    ///
    /// # Panics
    /// If the values do not fill whole rows.
    pub fn from_rows(columns: usize, values: Vec<T>) -> Self {
        assert_eq!(values.len() % columns, 0, "whole rows of {columns} values");
        Self { rows: values.len() / columns, columns, values }
    }

    /// The same values in rows of another length.
    #[must_use]
    pub(crate) fn reshaped(self, columns: usize) -> Self {
        Self::from_rows(columns, self.values)
    }

    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        self.values.chunks_mut(self.columns)
    }

    pub(crate) fn map(&self, f: impl Fn(T) -> T) -> Self {
        Self { values: self.values.iter().map(|&x| f(x)).collect(), ..*self }
    }

    pub(crate) fn zip(&self, other: &Self, f: impl Fn(T, T) -> T) -> Self {
        Self { values: self.values.iter().zip(&other.values).map(|(&a, &b)| f(a, b)).collect(), ..*self }
    }

    /// The sum of each column, rows ascending.
    pub(crate) fn column_sums(&self) -> Self {
        let mut sums = Self::zeros(1, self.columns);
        for row in self.values.chunks(self.columns) {
            for (sum, x) in sums.values.iter_mut().zip(row) {
                *sum += *x;
            }
        }
        sums
    }
}

/// a b.
pub(crate) fn product<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    multiply(a.into(), b.into())
}

/// a^T b.
pub(crate) fn product_of_transposed<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    multiply(View::from(a).transposed(), b.into())
}

/// a b^T.
pub(crate) fn product_with_transposed<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    multiply(a.into(), View::from(b).transposed())
}

fn multiply<T: Real>(a: View<'_, T>, b: View<'_, T>) -> Matrix<T> {
    debug_assert_eq!(a.columns, b.rows);
    let mut c = Matrix::zeros(a.rows, b.columns);
    Packed::new(b).multiply_onto(a, &mut c.values);
    c
}

/// A matrix or its transpose: one of the strides is 1.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> From<&'a Matrix<T>> for View<'a, T> {
    fn from(m: &'a Matrix<T>) -> Self {
        Self { values: &m.values, rows: m.rows, columns: m.columns, row_stride: m.columns, column_stride: 1 }
    }
}

impl<'a, T: Real> View<'a, T> {
    /// Row-major values in rows of `columns`.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        Self { values, rows: values.len() / columns, columns, row_stride: columns, column_stride: 1 }
    }

    #[must_use]
    pub fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    /// Columns `first..first + N` as rows of N, zeros beyond the last column.
    fn pack_columns<const N: usize>(self, first: usize, panel: &mut [[T; N]]) {
        let count = N.min(self.columns - first);
        if count < N {
            panel.fill([T::ZERO; N]);
        }
        let values = &self.values[first * self.column_stride..];
        if self.column_stride == 1 {
            for (k, row) in panel.iter_mut().enumerate() {
                let source = &values[k * self.row_stride..];
                match source.first_chunk() {
                    Some(source) if count == N => *row = *source,
                    _ => row.iter_mut().zip(&source[..count]).for_each(|(value, &source)| *value = source),
                }
            }
        } else {
            // A transposed matrix: its columns are contiguous.
            for (j, source) in values.chunks(self.column_stride).enumerate().take(count) {
                for (row, &value) in panel.iter_mut().zip(source) {
                    row[j] = value;
                }
            }
        }
    }
}

const TILE_ROWS: usize = 4;
const TILE_COLUMNS: usize = 8;

/// A right operand in panels of columns, for one or more products.
pub(crate) struct Packed<T> {
    panels: Vec<[T; TILE_COLUMNS]>,
    rows: usize,
    columns: usize,
}

impl<T: Real> Packed<T> {
    pub fn new(b: View<'_, T>) -> Self {
        let mut panels = vec![[T::ZERO; TILE_COLUMNS]; b.rows * b.columns.div_ceil(TILE_COLUMNS)];
        for (tile, panel) in panels.chunks_exact_mut(b.rows.max(1)).enumerate() {
            b.pack_columns(tile * TILE_COLUMNS, panel);
        }
        Self { panels, rows: b.rows, columns: b.columns }
    }

    /// c + a b for row-major c: every element's chain goes on from where it stands.
    #[allow(unsafe_code, reason = "calling a function compiled for more instructions than the baseline")]
    pub fn multiply_onto(&self, a: View<'_, T>, c: &mut [T]) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn enabled<T: Real>(b: &Packed<T>, a: View<'_, T>, c: &mut [T]) {
                b.multiply(a, c);
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2.
                return unsafe { enabled(self, a, c) };
            }
        }
        self.multiply(a, c);
    }

    #[inline(always)]
    fn multiply(&self, a: View<'_, T>, c: &mut [T]) {
        let mut a_panel = vec![[T::ZERO; TILE_ROWS]; self.rows];
        for row in (0..a.rows).step_by(TILE_ROWS) {
            a.transposed().pack_columns(row, &mut a_panel);
            for (tile, b_panel) in self.panels.chunks_exact(self.rows.max(1)).enumerate() {
                let column = tile * TILE_COLUMNS;
                let width = TILE_COLUMNS.min(self.columns - column);
                let mut sums = [[T::ZERO; TILE_COLUMNS]; TILE_ROWS];
                let rows = || (row..a.rows).take(TILE_ROWS).map(|row| row * self.columns + column);
                // Value by value: rows are too short for a call that copies them.
                for (sums, at) in sums.iter_mut().zip(rows()) {
                    sums.iter_mut().zip(&c[at..at + width]).for_each(|(sum, &c)| *sum = c);
                }
                let sums = chains(sums, &a_panel, b_panel);
                for (sums, at) in sums.iter().zip(rows()) {
                    c[at..at + width].iter_mut().zip(sums).for_each(|(c, &sum)| *c = sum);
                }
            }
        }
    }
}

#[inline(always)]
fn chains<T: Real>(
    mut sums: [[T; TILE_COLUMNS]; TILE_ROWS],
    a: &[[T; TILE_ROWS]],
    b: &[[T; TILE_COLUMNS]],
) -> [[T; TILE_COLUMNS]; TILE_ROWS] {
    for (a, b) in a.iter().zip(b) {
        for i in 0..TILE_ROWS {
            for j in 0..TILE_COLUMNS {
                sums[i][j] += a[i] * b[j];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Purpose, Stream};

    fn random(rows: usize, columns: usize, parameter: u32) -> Matrix<f32> {
        let stream = Stream::new(0, Purpose::Weights { parameter });
        Matrix::from_rows(columns, (0..rows * columns).map(|i| stream.symmetric(i as u64)).collect())
    }

    fn transpose(m: &Matrix<f32>) -> Matrix<f32> {
        Matrix::from_rows(m.rows, (0..m.columns).flat_map(|c| (0..m.rows).map(move |r| m.values[r * m.columns + c])).collect())
    }

    /// A chain interrupted anywhere is the chain.
    #[test]
    fn products_go_on() {
        let (a, b) = (random(13, 40, 0), random(40, 11, 1));
        for cut in [1, 8, 39] {
            let columns = |m: &Matrix<f32>, range: std::ops::Range<usize>| {
                let kept: Vec<f32> = m.values.chunks(m.columns).flat_map(|row| row[range.clone()].to_vec()).collect();
                Matrix::from_rows(range.len(), kept)
            };
            let mut c = product(&columns(&a, 0..cut), &Matrix::from_rows(11, b.values[..cut * 11].to_vec()));
            Packed::new(View::new(&b.values[cut * 11..], 11)).multiply_onto((&columns(&a, cut..40)).into(), &mut c.values);
            assert_eq!(c, product(&a, &b));
        }
    }

    /// Bit for bit the chain of the module's definition, at sizes around the tile's.
    #[test]
    fn products_are_ascending_chains() {
        for (m, n, k) in [(1, 1, 1), (4, 8, 3), (5, 9, 17), (3, 7, 1), (13, 6, 40), (8, 16, 64)] {
            let (a, b) = (random(m, k, 0), random(k, n, 1));
            let mut expected = Matrix::zeros(m, n);
            for i in 0..m {
                for j in 0..n {
                    let mut sum = 0.0;
                    for l in 0..k {
                        sum += a.values[i * k + l] * b.values[l * n + j];
                    }
                    expected.values[i * n + j] = sum;
                }
            }
            assert_eq!(product(&a, &b), expected);
            assert_eq!(product_of_transposed(&transpose(&a), &b), expected);
            assert_eq!(product_with_transposed(&a, &transpose(&b)), expected);
        }
    }
}
