//! Two-dimensional convolution as a matrix product: im2col(x) W + b, image by image.

use super::linear::{add_bias, weight_and_bias, with_bias_gradient};
use super::{Backward, Following, Gradients, Parameter, Shape, ShapeError, Window};
use crate::host::{Matrix, Packed, Real, View};

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

/// Values copied at once where a short run may spill over its end.
const SPILL: usize = 8;

impl Convolution {
    const fn window(&self) -> Window {
        Window { size: self.kernel, stride: self.stride, padding: self.padding }
    }

    /// Rows of the weight matrix: products summed for one output.
    pub const fn reduction(&self, input: Shape) -> usize {
        self.kernel * self.kernel * input.channels
    }

    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        if self.out_channels == 0 {
            return Err(ShapeError::Zero("the number of output channels"));
        }
        let output = self.window().output(input)?;
        Ok(Shape { channels: self.out_channels, ..output })
    }

    pub(super) fn parameters(&self, input: Shape, following: Following) -> Vec<Parameter> {
        let fan_out = self.kernel * self.kernel * self.out_channels;
        let bound = following.bound(self.reduction(input), fan_out);
        weight_and_bias(self.reduction(input), self.out_channels, bound, self.bias)
    }

    pub(super) fn forward<T: Real>(&self, input: Shape, parameters: &[Matrix<T>], x: &Matrix<T>) -> Matrix<T> {
        let (positions, reduction) = (self.positions(input), self.reduction(input));
        let weight = Packed::new((&parameters[0]).into());
        let mut columns = vec![T::ZERO; positions * reduction];
        let mut y = Matrix::zeros(x.rows / input.positions() * positions, self.out_channels);
        let images = x.values.chunks_exact(input.elements()).zip(y.values.chunks_exact_mut(positions * self.out_channels));
        for (x, y) in images {
            self.im2col(input, x, &mut columns);
            weight.multiply_onto(View::new(&columns, reduction), y);
        }
        add_bias(&mut y, parameters);
        y
    }

    pub(super) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Gradients<T> {
        let (positions, reduction) = (self.positions(input), self.reduction(input));
        let weight = &at.parameters[0];
        let transposed = at.input_wanted().then(|| Packed::new(View::from(weight).transposed()));
        let mut columns = vec![T::ZERO; positions * reduction];
        let mut errors = vec![T::ZERO; if at.input_wanted() { columns.len() } else { 0 }];
        let mut dx = at.input_wanted().then(|| Matrix::zeros(at.x().rows, at.x().columns));
        let mut dweight = Matrix::zeros(weight.rows, weight.columns);
        let images = at.x().values.chunks_exact(input.elements()).zip(at.dy.values.chunks_exact(positions * self.out_channels));
        for (image, (x, dy)) in images.enumerate() {
            let dy = View::new(dy, self.out_channels);
            self.im2col(input, x, &mut columns);
            Packed::new(dy).multiply_onto(View::new(&columns, reduction).transposed(), &mut dweight.values);
            if let (Some(transposed), Some(dx)) = (&transposed, &mut dx) {
                errors.fill(T::ZERO);
                transposed.multiply_onto(dy, &mut errors);
                self.col2im(input, &errors, &mut dx.values[image * input.elements()..][..input.elements()]);
            }
        }
        Gradients { inputs: vec![dx], parameters: with_bias_gradient(dweight, at.dy, at.parameters) }
    }

    /// Each window of an image as a row: `[(output row, output column)][(kernel row, kernel column, channel)]`.
    /// What lies beyond the image stays as it is, 0.
    fn im2col<T: Real>(&self, input: Shape, x: &[T], columns: &mut [T]) {
        // Without padding the next run overwrites what a run spills over its end.
        let spill = if self.padding == 0 { SPILL } else { 0 };
        self.for_each_run(input, |column, pixel, length| {
            match (columns[column..].first_chunk_mut::<SPILL>(), x[pixel..].first_chunk::<SPILL>()) {
                (Some(columns), Some(x)) if length <= spill => *columns = *x,
                _ => columns[column..column + length].copy_from_slice(&x[pixel..pixel + length]),
            }
        });
    }

    /// The transpose of [`Self::im2col`]: every value is added where it was taken from.
    fn col2im<T: Real>(&self, input: Shape, columns: &[T], x: &mut [T]) {
        self.for_each_run(input, |column, pixel, length| {
            for (x, c) in x[pixel..pixel + length].iter_mut().zip(&columns[column..column + length]) {
                *x += *c;
            }
        });
    }

    fn positions(&self, input: Shape) -> usize {
        self.window().output(input).map_or(0, Shape::positions)
    }

    /// Visits every row of every window of an image as far as it lies within the image: first
    /// element in the im2col matrix, first element in the image, number of elements.
    fn for_each_run(&self, input: Shape, mut visit: impl FnMut(usize, usize, usize)) {
        let Ok(output) = self.window().output(input) else {
            return;
        };
        let row_length = self.reduction(input);
        for oy in 0..output.height {
            for ox in 0..output.width {
                let row = oy * output.width + ox;
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
                    let from = (y * input.width + left + first - self.padding) * input.channels;
                    visit(to, from, (last - first) * input.channels);
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
