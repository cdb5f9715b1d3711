//! Products of operands in binary64.

use super::tally::relative;
use systole_isa::view::TensorView;

/// Values seen through a view.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub values: Vec<f64>,
    pub view: TensorView,
    /// Index of the value at the view's address.
    pub base: i64,
}

impl Matrix {
    /// An element; 0 where the view reads a zero.
    pub(super) fn at(&self, row: u32, col: u32) -> f64 {
        let index = self.view.offset(row, col).map(|offset| self.base + offset);
        index.and_then(|index| self.values.get(usize::try_from(index).ok()?)).copied().unwrap_or(0.0)
    }
}

/// The transpose of a b, `[columns of b][rows of a]`, each sum in ascending order.
pub(super) fn transposed_product(a: &Matrix, b: &Matrix) -> Vec<f64> {
    let (rows, cols, inner) = (a.view.rows as usize, b.view.cols as usize, b.view.rows);
    let mut sums = vec![0.0; rows * cols];
    // A product with 0 may be left out if the other factor is finite.
    let finite = a.values.iter().all(|x| x.is_finite());
    let mut factors = vec![0.0; rows];
    for k in 0..inner {
        for (row, factor) in factors.iter_mut().enumerate() {
            *factor = a.at(row as u32, k);
        }
        for (col, sums) in sums.chunks_exact_mut(rows.max(1)).enumerate() {
            let x = b.at(k, col as u32);
            if x != 0.0 || !finite {
                sums.iter_mut().zip(&factors).for_each(|(sum, factor)| *sum += x * factor);
            }
        }
    }
    sums
}

/// Cosine of the angle between two vectors; `None` if either is 0 or not finite.
pub(super) fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    // Squares of binary64s near their ends leave the range.
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    let cosine = dot(a, b) / norms;
    (norms > 0.0 && cosine.is_finite()).then(|| cosine.clamp(-1.0, 1.0))
}

/// Norm of the difference of `made` from `exact` over that of `exact`.
pub(super) fn difference(made: &[f64], exact: &[f64]) -> Option<f64> {
    let error = made.iter().zip(exact).map(|(m, e)| (m - e) * (m - e)).sum::<f64>();
    relative(error, exact.iter().map(|e| e * e).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::Format;
    use systole_isa::view::{Layout, Space, Window};

    fn matrix(rows: u32, cols: u32, values: &[f64]) -> Matrix {
        Matrix { values: values.to_vec(), view: TensorView::contiguous(Format::FP32, Space::Dram, 0, rows, cols), base: 0 }
    }

    #[test]
    fn products_by_hand() {
        let a = matrix(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = matrix(3, 2, &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
        assert_eq!(transposed_product(&a, &b), [7.0, 16.0, -1.0, -1.0]);
        let infinite = matrix(1, 2, &[f64::INFINITY, 1.0]);
        assert!(transposed_product(&infinite, &matrix(2, 1, &[0.0, 1.0]))[0].is_nan());
    }

    /// A 3 x 3 image of one channel in windows of 2 x 2 with a border: 16 windows of 4.
    #[test]
    fn windows_read_zeros_beyond_the_image() {
        let window = Window { out_h: 4, out_w: 4, h: 3, w: 3, c: 1, kernel_h: 2, kernel_w: 2, stride: 1, pad: 1, dilate: 1 };
        let view = TensorView { format: Format::FP32, space: Space::Dram, address: 0, rows: 16, cols: 4, layout: Layout::Window(window) };
        let images = Matrix { values: (1..=9).map(f64::from).collect(), view, base: 0 };
        assert_eq!((0..4).map(|col| images.at(0, col)).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!((0..4).map(|col| images.at(5, col)).collect::<Vec<_>>(), [1.0, 2.0, 4.0, 5.0]);
        // Errors of 1 everywhere: each weight's gradient is the sum of the pixels it meets.
        let errors = matrix(1, 16, &[1.0; 16]);
        assert_eq!(transposed_product(&errors, &images), [45.0; 4]);
    }

    #[test]
    fn angles_by_hand() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), Some(1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(cosine(&[3.0, 4.0], &[-3.0, -4.0]), Some(-1.0));
        assert!((cosine(&[1.0, 1.0], &[1.0, 0.0]).unwrap() - 0.5f64.sqrt()).abs() < 1e-15);
        assert_eq!((cosine(&[0.0], &[1.0]), cosine(&[f64::NAN], &[1.0])), (None, None));
        assert_eq!(difference(&[3.0, 5.0], &[3.0, 4.0]), Some(0.2));
        assert_eq!((difference(&[0.0], &[0.0]), difference(&[1.0], &[0.0])), (Some(0.0), None));
    }
}
