//! Two-dimensional convolution as a matrix product: im2col(x) W + b.

use super::linear::{affine, affine_gradients, weight_and_bias};
use super::{Backward, Following, Gradients, Parameter, Shape, ShapeError, Window};
use crate::host::{Matrix, Real, product_with_transposed};

/// A convolution (cross-correlation, as the field has it) with a square kernel; its weights
/// are the matrix `[(kernel row, kernel column, input channel)][output channel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Number of output channels.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Distance of neighbouring windows.
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: usize,
    /// Whether a bias is added to each channel.
    pub bias: bool,
}

impl Convolution {
    const fn window(&self) -> Window {
        Window { size: self.kernel, stride: self.stride }
    }

    /// Rows of the weight matrix: products summed for one output.
    pub const fn reduction(&self, input: Shape) -> usize {
        self.kernel * self.kernel * input.channels
    }

    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        if self.out_channels == 0 {
            return Err(ShapeError::Zero("the number of output channels"));
        }
        let output = self.window().padded_output(input, self.padding)?;
        Ok(Shape { channels: self.out_channels, ..output })
    }

    pub(super) fn parameters(&self, input: Shape, following: Following) -> Vec<Parameter> {
        let fan_out = self.kernel * self.kernel * self.out_channels;
        let bound = following.bound(self.reduction(input), fan_out);
        weight_and_bias(self.reduction(input), self.out_channels, bound, self.bias)
    }

    pub(super) fn forward<T: Real>(&self, input: Shape, parameters: &[Matrix<T>], x: &Matrix<T>) -> Matrix<T> {
        affine(&self.im2col(input, x), parameters)
    }

    pub(super) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Gradients<T> {
        Gradients {
            input: at.input_wanted.then(|| self.col2im(input, &product_with_transposed(at.dy, &at.parameters[0]))),
            parameters: affine_gradients(&self.im2col(input, at.x), at.dy, at.parameters),
        }
    }

    /// Each window as a row: `[(n, output row, output column)][(kernel row, kernel column, channel)]`.
    fn im2col<T: Real>(&self, input: Shape, x: &Matrix<T>) -> Matrix<T> {
        let images = x.rows / input.positions();
        let mut columns = Matrix::zeros(images * self.positions(input), self.reduction(input));
        self.for_each_run(images, input, |column, pixel, length| {
            columns.values[column..column + length].copy_from_slice(&x.values[pixel..pixel + length]);
        });
        columns
    }

    /// The transpose of [`Self::im2col`]: every value is added where it was taken from.
    fn col2im<T: Real>(&self, input: Shape, columns: &Matrix<T>) -> Matrix<T> {
        let images = columns.rows / self.positions(input);
        let mut x = Matrix::zeros(images * input.positions(), input.channels);
        self.for_each_run(images, input, |column, pixel, length| {
            for (x, c) in x.values[pixel..pixel + length].iter_mut().zip(&columns.values[column..]) {
                *x += *c;
            }
        });
        x
    }

    fn positions(&self, input: Shape) -> usize {
        self.window().padded_output(input, self.padding).map_or(0, Shape::positions)
    }

    /// Visits every row of every window as far as it lies within the image: first element in
    /// the im2col matrix, first element in the image, number of elements.
    fn for_each_run(&self, images: usize, input: Shape, mut visit: impl FnMut(usize, usize, usize)) {
        let Ok(output) = self.window().padded_output(input, self.padding) else {
            return;
        };
        let row_length = self.reduction(input);
        for n in 0..images {
            for oy in 0..output.height {
                for ox in 0..output.width {
                    let row = (n * output.height + oy) * output.width + ox;
                    // Kernel columns whose image column ox * stride + kx - padding exists.
                    let left = ox * self.stride;
                    let first = self.padding.saturating_sub(left);
                    let last = self.kernel.min((input.width + self.padding).saturating_sub(left));
                    if first >= last {
                        continue;
                    }
                    for ky in 0..self.kernel {
                        let Some(y) = (oy * self.stride + ky).checked_sub(self.padding).filter(|&y| y < input.height) else {
                            continue;
                        };
                        let to = row * row_length + (ky * self.kernel + first) * input.channels;
                        let from = ((n * input.height + y) * input.width + left + first - self.padding) * input.channels;
                        visit(to, from, (last - first) * input.channels);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 3x3 image of one channel, kernel 2, stride 1, padding 1, by hand.
    #[test]
    fn convolution_by_hand() {
        let layer = Convolution { out_channels: 1, kernel: 2, stride: 1, padding: 1, bias: true };
        let input = Shape::new(3, 3, 1);
        let x = Matrix::from_rows(1, (1..=9).map(f64::from).collect());
        let parameters = [Matrix::from_rows(1, vec![1.0, 10.0, 100.0, 1000.0]), Matrix::from_rows(1, vec![0.5])];
        assert_eq!(layer.output(input), Ok(Shape::new(4, 4, 1)));
        let y = layer.forward(input, &parameters, &x);
        #[rustfmt::skip]
        let expected = [
            1000.5, 2100.5, 3200.5,  300.5,
            4010.5, 5421.5, 6532.5,  603.5,
            7040.5, 8754.5, 9865.5,  906.5,
              70.5,   87.5,   98.5,    9.5,
        ];
        assert_eq!(y.values, expected);
    }

    #[test]
    fn channels_are_innermost_and_strides_skip() {
        let layer = Convolution { out_channels: 2, kernel: 1, stride: 2, padding: 0, bias: false };
        let input = Shape::new(3, 3, 2);
        let x = Matrix::from_rows(2, (0..18).map(f64::from).collect());
        // Output channel 0 copies input channel 1, output channel 1 doubles input channel 0.
        let y = layer.forward(input, &[Matrix::from_rows(2, vec![0.0, 2.0, 1.0, 0.0])], &x);
        assert_eq!(y.values, [1.0, 0.0, 5.0, 8.0, 13.0, 24.0, 17.0, 32.0]);
    }
}
