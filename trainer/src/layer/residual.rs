//! Joins of residual networks: the addition of two branches, and the shortcut past a block that
//! changes the size (He et al. 2016, section 4.2, option A).

use super::{Backward, Gradients, Shape, ShapeError};
use crate::host::{Matrix, Real};

/// The sum of two tensors of one shape; both get its error as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add;

impl Add {
    pub(super) fn output(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        match inputs.iter().find(|shape| **shape != inputs[0]) {
            Some(&other) => Err(ShapeError::Unequal(Box::new([inputs[0], other]))),
            None => Ok(inputs[0]),
        }
    }

    pub(super) fn forward<T: Real>(x: &[&Matrix<T>]) -> Matrix<T> {
        x[0].zip(x[1], |a, b| a + b)
    }

    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Gradients<T> {
        Gradients { inputs: at.wanted.iter().map(|wanted| wanted.then(|| at.dy.clone())).collect(), parameters: Vec::new() }
    }
}

/// An identity into a smaller image of more channels, without parameters: every `stride`-th row
/// and column from the first on, and zeros in the channels beyond the input's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortcut {
    /// Distance of the rows and columns that are kept.
    pub stride: usize,
    /// Number of output channels, at least the input's.
    pub channels: usize,
}

impl Shortcut {
    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        if self.stride == 0 {
            return Err(ShapeError::Zero("the stride"));
        }
        if self.channels < input.channels {
            return Err(ShapeError::Narrowing { from: input.channels, to: self.channels });
        }
        Ok(Shape::new(input.height.div_ceil(self.stride), input.width.div_ceil(self.stride), self.channels))
    }

    pub(super) fn forward<T: Real>(&self, input: Shape, x: &Matrix<T>) -> Matrix<T> {
        let kept = self.kept(input, x.rows / input.positions());
        let mut y = Matrix::zeros(kept.len(), self.channels);
        for (y, from) in y.rows_mut().zip(kept) {
            y[..input.channels].copy_from_slice(&x.values[from * input.channels..][..input.channels]);
        }
        y
    }

    /// Each error is added to a zero where its value came from, so -0 becomes +0.
    pub(super) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Matrix<T> {
        let mut dx = Matrix::zeros(at.x().rows, input.channels);
        let kept = self.kept(input, at.x().rows / input.positions());
        for (dy, to) in at.dy.values.chunks_exact(self.channels).zip(kept) {
            for (dx, dy) in dx.values[to * input.channels..][..input.channels].iter_mut().zip(dy) {
                *dx += *dy;
            }
        }
        dx
    }

    /// The input position of every output position, image by image.
    fn kept(&self, input: Shape, images: usize) -> Vec<usize> {
        let row = move |n: usize, y: usize| (0..input.width).step_by(self.stride).map(move |x| (n * input.height + y) * input.width + x);
        (0..images).flat_map(|n| (0..input.height).step_by(self.stride).flat_map(move |y| row(n, y))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortcuts_by_hand() {
        // Two images of 3x2 with one channel each; rows 0 and 2 and column 0 are kept.
        let layer = Shortcut { stride: 2, channels: 3 };
        let input = Shape::new(3, 2, 1);
        assert_eq!(layer.output(input), Ok(Shape::new(2, 1, 3)));
        let x = Matrix::from_rows(1, (1..=12).map(f64::from).collect());
        let y = layer.forward(input, &x);
        assert_eq!(y.values, [1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 7.0, 0.0, 0.0, 11.0, 0.0, 0.0]);
        let dy = Matrix::from_rows(3, vec![-0.0, 9.0, 9.0, 2.0, 9.0, 9.0, 3.0, 9.0, 9.0, 4.0, 9.0, 9.0]);
        let dx = layer.backward(input, Backward { parameters: &[], x: &[&x], y: &y, saved: &[], dy: &dy, wanted: &[true] });
        assert_eq!((dx.rows, dx.columns), (12, 1));
        assert_eq!(dx.values, [0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 4.0, 0.0]);
        assert!(dx.values[0].is_sign_positive());
    }
}
