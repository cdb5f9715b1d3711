//! Causal self-attention in several heads (Vaswani et al. 2017, sections 3.2.1 to 3.2.3).
//!
//! The input has 3 d channels: d of queries, d of keys, d of values; the output has d. Head h of H has
//! channels h d/H to (h + 1) d/H - 1 of each. For an image's positions in row-major order, with Q, K, V
//! the matrices `[t][d/H]` of one head: S = Q K^T / sqrt(d/H), P the softmax of each row of S over the
//! positions up to its own, 0 at later ones, and the output P V. Projections are layers of their own.

use super::{Backward, Shape, ShapeError};
use crate::host::{Matrix, Real, functions, product, product_of_transposed, product_with_transposed};

/// Causal self-attention between the positions of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Number of heads.
    pub heads: usize,
}

/// Where one head of one image lies.
#[derive(Clone, Copy)]
struct Head {
    /// First row.
    row: usize,
    /// Rows.
    positions: usize,
    /// First column of its queries.
    column: usize,
    /// Columns of its queries, keys or values.
    size: usize,
    /// Columns of all queries.
    all: usize,
}

impl Head {
    /// Queries, keys or values (0, 1, 2).
    fn take<T: Real>(&self, from: &Matrix<T>, which: usize) -> Matrix<T> {
        let rows = (self.row..self.row + self.positions).flat_map(|row| {
            let first = row * from.columns + which * self.all + self.column;
            &from.values[first..first + self.size]
        });
        Matrix::from_rows(self.size, rows.copied().collect())
    }

    fn put<T: Real>(&self, part: &Matrix<T>, to: &mut Matrix<T>, which: usize) {
        for (i, part) in part.values.chunks_exact(self.size).enumerate() {
            let first = (self.row + i) * to.columns + which * self.all + self.column;
            to.values[first..first + self.size].copy_from_slice(part);
        }
    }
}

impl Attention {
    /// What scores are multiplied by, before rounding: 1 / sqrt(d/H).
    pub(crate) fn scale(&self, output: Shape) -> f64 {
        1.0 / ((output.channels / self.heads.max(1)) as f64).sqrt()
    }

    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        if self.heads == 0 {
            return Err(ShapeError::Zero("the number of heads"));
        }
        if !input.channels.is_multiple_of(3 * self.heads) || input.channels == 0 {
            return Err(ShapeError::Heads { channels: input.channels, heads: self.heads });
        }
        Ok(Shape { channels: input.channels / 3, ..input })
    }

    fn each_head(&self, input: Shape, rows: usize) -> impl Iterator<Item = Head> {
        let (positions, all, heads) = (input.positions(), input.channels / 3, self.heads);
        let size = all / heads;
        let of_image = move |row| (0..heads).map(move |h| Head { row, positions, column: h * size, size, all });
        (0..rows).step_by(positions).flat_map(of_image)
    }

    /// Saves P, image by image and head by head.
    pub(super) fn forward<T: Real>(&self, input: Shape, x: &Matrix<T>) -> (Matrix<T>, Vec<Matrix<T>>) {
        let scale = T::from_f64(self.scale(Shape { channels: input.channels / 3, ..input }));
        let mut y = Matrix::zeros(x.rows, input.channels / 3);
        let mut saved = Vec::new();
        for head in self.each_head(input, x.rows) {
            let [q, k, v] = [0, 1, 2].map(|which| head.take(x, which));
            let mut p = product_with_transposed(&q, &k).map(|s| s * scale);
            for (i, row) in p.rows_mut().enumerate() {
                let (seen, later) = row.split_at_mut(i + 1);
                softmax(seen);
                later.fill(T::ZERO);
            }
            head.put(&product(&p, &v), &mut y, 0);
            saved.push(p);
        }
        (y, saved)
    }

    /// dV = P^T dO, dP = dO V^T, dS = P (dP - sum of dP P over the row) / sqrt(d/H), dQ = dS K,
    /// dK = dS^T Q.
    pub(super) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Matrix<T> {
        let scale = T::from_f64(self.scale(Shape { channels: input.channels / 3, ..input }));
        let mut dx = Matrix::zeros(at.x().rows, input.channels);
        for (head, p) in self.each_head(input, at.x().rows).zip(at.saved) {
            let [q, k, v] = [0, 1, 2].map(|which| head.take(at.x(), which));
            let dy = head.take(at.dy, 0);
            let mut ds = product_with_transposed(&dy, &v);
            for (ds, p) in ds.rows_mut().zip(p.values.chunks_exact(p.columns)) {
                let total = ds.iter().zip(p).fold(T::ZERO, |sum, (&d, &p)| sum + d * p);
                ds.iter_mut().zip(p).for_each(|(d, &p)| *d = p * (*d - total) * scale);
            }
            head.put(&product(&ds, &k), &mut dx, 0);
            head.put(&product_of_transposed(&ds, &q), &mut dx, 1);
            head.put(&product_of_transposed(p, &dy), &mut dx, 2);
        }
        dx
    }
}

/// e^(x - largest) over their sum.
fn softmax<T: Real>(row: &mut [T]) {
    let largest = row.iter().fold(row[0], |largest, &x| if x > largest { x } else { largest });
    let mut sum = T::ZERO;
    for x in row.iter_mut() {
        *x = T::from_f64(functions::exp((*x - largest).to_f64()));
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x = *x / sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Two positions, two heads of one channel: queries, keys, values of both heads in turn.
        let layer = Attention { heads: 2 };
        let input = Shape::new(1, 2, 6);
        assert_eq!(layer.output(input), Ok(Shape::new(1, 2, 2)));
        let x = Matrix::from_rows(6, vec![1.0, 9.0, 2.0, 5.0, 3.0, 7.0, 1.0, 0.0, 4.0, 5.0, 6.0, 8.0_f64]);
        let (y, saved) = layer.forward(input, &x);
        // The first position sees itself; the second, in head 0, scores 2 and 4; in head 1 both 0.
        let late = 1.0 / (1.0 + (-2.0_f64).exp());
        assert_eq!(saved[1].values, [1.0, 0.0, 0.5, 0.5]);
        let expected = [3.0, 7.0, 3.0 * (1.0 - late) + 6.0 * late, 7.5];
        assert!(y.values.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-14), "{y:?}");
    }

    #[test]
    fn later_positions_are_not_seen() {
        let (layer, input) = (Attention { heads: 2 }, Shape::new(1, 5, 12));
        let value = |i: usize| ((i * 37 % 101) as f64 - 50.0) / 30.0;
        let mut x = Matrix::from_rows(12, (0..2 * 60).map(value).collect());
        let (before, _) = layer.forward(input, &x);
        // Position 3 of the first image, and nothing of the second.
        x.values[3 * 12..4 * 12].fill(2.5);
        let (after, _) = layer.forward(input, &x);
        let changed: Vec<usize> = (0..10).filter(|row| before.values[row * 4..][..4] != after.values[row * 4..][..4]).collect();
        assert_eq!(changed, [3, 4]);
    }
}
