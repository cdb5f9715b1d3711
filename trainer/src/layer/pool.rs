//! Pooling: one value for each window of each channel.
//!
//! Windows lie wholly within the image and its padding; rows and columns beyond the last window are
//! dropped. What is padded is absent from maxima, and zeros in means.

use super::{Backward, Shape, ShapeError};
use crate::host::{Matrix, Real};
use std::ops::Range;

/// Square windows at regular distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub size: usize,
    /// Distance of neighbours.
    pub stride: usize,
    /// Rows and columns added on each side.
    pub padding: usize,
}

impl Window {
    /// Windows side by side, without padding.
    pub const fn unpadded(size: usize, stride: usize) -> Self {
        Self { size, stride, padding: 0 }
    }

    /// Number of windows of a pooling in each direction, channels unchanged; each holds some of the image.
    pub(super) fn pooled(&self, input: Shape) -> Result<Shape, ShapeError> {
        if self.padding > 0 && self.padding >= self.size {
            return Err(ShapeError::Padding { window: self.size, padding: self.padding });
        }
        self.output(input)
    }

    /// Number of windows in each direction, channels unchanged.
    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        let padding = self.padding;
        if self.size == 0 {
            return Err(ShapeError::Zero("the window's size"));
        }
        if self.stride == 0 {
            return Err(ShapeError::Zero("the stride"));
        }
        let along = |length: usize| {
            let room = (length + 2 * padding).checked_sub(self.size);
            room.map(|room| room / self.stride + 1).ok_or(ShapeError::Window { window: self.size, padding, input })
        };
        Ok(Shape { height: along(input.height)?, width: along(input.width)?, ..input })
    }

    /// What window `index` of a row or column covers of `length` pixels.
    fn covered(&self, index: usize, length: usize) -> Range<usize> {
        let first = index * self.stride;
        first.saturating_sub(self.padding)..(first + self.size).saturating_sub(self.padding).min(length)
    }

    /// Visits every output element with the input elements of its window, in row-major order.
    fn for_each(&self, images: usize, input: Shape, mut visit: impl FnMut(usize, &[usize])) {
        let Ok(output) = self.output(input) else {
            return;
        };
        let mut sources = Vec::with_capacity(self.size * self.size);
        for n in 0..images {
            for oy in 0..output.height {
                for ox in 0..output.width {
                    for channel in 0..input.channels {
                        sources.clear();
                        for y in self.covered(oy, input.height) {
                            for x in self.covered(ox, input.width) {
                                sources.push(((n * input.height + y) * input.width + x) * input.channels + channel);
                            }
                        }
                        let at = ((n * output.height + oy) * output.width + ox) * output.channels + channel;
                        visit(at, &sources);
                    }
                }
            }
        }
    }

    /// Reduces every window.
    fn reduce<T: Real>(&self, input: Shape, x: &Matrix<T>, mut reduce: impl FnMut(&[usize]) -> T) -> Matrix<T> {
        let images = x.rows / input.positions();
        let positions = self.output(input).map_or(0, Shape::positions);
        let mut y = Matrix::zeros(images * positions, input.channels);
        self.for_each(images, input, |at, sources| y.values[at] = reduce(sources));
        y
    }
}

/// Largest value of each window; the error goes to the first of equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool(
    /// The windows.
    pub Window,
);

impl MaxPool {
    pub(super) fn forward<T: Real>(&self, input: Shape, x: &Matrix<T>) -> Matrix<T> {
        let images = x.rows / input.positions();
        let positions = self.0.output(input).map_or(0, Shape::positions);
        let mut y = Matrix::zeros(images * positions, input.channels);
        self.for_each_largest(input, x, |output, largest| y.values[output] = x.values[largest]);
        y
    }

    pub(super) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Matrix<T> {
        let mut dx = Matrix::zeros(at.x().rows, at.x().columns);
        self.for_each_largest(input, at.x(), |output, largest| dx.values[largest] += at.dy.values[output]);
        dx
    }

    /// Visits every output element, in row-major order, with the first of the largest elements
    /// of its window, or its first NaN. First down the window's rows, for a whole row of the image at
    /// once, then along them: of equal elements the upper one wins, within a row the left one.
    fn for_each_largest<T: Real>(&self, input: Shape, x: &Matrix<T>, mut visit: impl FnMut(usize, usize)) {
        let Ok(output) = self.0.output(input) else {
            return;
        };
        let channels = input.channels;
        let width = input.width * channels;
        let (mut best, mut best_row) = (vec![T::ZERO; width], vec![0; width]);
        let mut at = 0;
        for (n, image) in x.values.chunks_exact(input.elements()).enumerate() {
            for oy in 0..output.height {
                let rows = self.0.covered(oy, input.height);
                best.copy_from_slice(&image[rows.start * width..][..width]);
                best_row.fill(rows.start as u32);
                for y in rows.skip(1) {
                    for ((best, row), &value) in best.iter_mut().zip(&mut best_row).zip(&image[y * width..][..width]) {
                        let better = !is_nan(*best) & (is_nan(value) | (value > *best));
                        *best = if better { value } else { *best };
                        *row = if better { y as u32 } else { *row };
                    }
                }
                for ox in 0..output.width {
                    let columns = self.0.covered(ox, input.width);
                    let left = columns.start * channels;
                    for first in left..left + channels {
                        let mut winner = first;
                        for other in (first + channels..).step_by(channels).take(columns.len() - 1) {
                            let (value, largest) = (best[other], best[winner]);
                            let above = best_row[other] < best_row[winner];
                            let better = if is_nan(largest) {
                                is_nan(value) & above
                            } else {
                                is_nan(value) | (value > largest) | ((value == largest) & above)
                            };
                            winner = if better { other } else { winner };
                        }
                        visit(at, n * input.elements() + best_row[winner] as usize * width + winner);
                        at += 1;
                    }
                }
            }
        }
    }
}

fn is_nan<T: Real>(value: T) -> bool {
    value.partial_cmp(&value).is_none()
}

/// Mean of each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool(
    /// The windows.
    pub Window,
);

impl AvgPool {
    fn weight<T: Real>(&self) -> T {
        T::ONE / T::from_f64((self.0.size * self.0.size) as f64)
    }

    pub(super) fn forward<T: Real>(&self, input: Shape, x: &Matrix<T>) -> Matrix<T> {
        let weight = self.weight::<T>();
        self.0.reduce(input, x, |sources| {
            let mut sum = T::ZERO;
            for &source in sources {
                sum += x.values[source];
            }
            sum * weight
        })
    }

    pub(super) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Matrix<T> {
        let weight = self.weight::<T>();
        let mut dx = Matrix::zeros(at.x().rows, at.x().columns);
        self.0.for_each(at.x().rows / input.positions(), input, |out, sources| {
            for &source in sources {
                dx.values[source] += at.dy.values[out] * weight;
            }
        });
        dx
    }
}

/// Mean of each channel over the whole image: a sum in row-major order times the rounded
/// reciprocal of the number of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalAvgPool;

impl GlobalAvgPool {
    fn weight<T: Real>(input: Shape) -> T {
        T::ONE / T::from_f64(input.positions() as f64)
    }

    pub(super) fn forward<T: Real>(input: Shape, x: &Matrix<T>) -> Matrix<T> {
        let weight = Self::weight::<T>(input);
        let mut y = Matrix::zeros(x.rows / input.positions(), input.channels);
        for (y, image) in y.rows_mut().zip(x.values.chunks_exact(input.elements())) {
            for position in image.chunks_exact(input.channels) {
                y.iter_mut().zip(position).for_each(|(sum, x)| *sum += *x);
            }
            y.iter_mut().for_each(|sum| *sum = *sum * weight);
        }
        y
    }

    pub(super) fn backward<T: Real>(input: Shape, at: Backward<'_, T>) -> Matrix<T> {
        let weight = Self::weight::<T>(input);
        let mut dx = Matrix::zeros(at.x().rows, input.channels);
        for (image, dy) in dx.values.chunks_exact_mut(input.elements()).zip(at.dy.values.chunks_exact(input.channels)) {
            for position in image.chunks_exact_mut(input.channels) {
                position.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy * weight);
            }
        }
        dx
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_by_hand() {
        // 3x3 of two channels; a window of 2 with stride 2 leaves the last row and column out.
        let x = Matrix::from_rows(
            2,
            vec![1.0, 8.0, 2.0, 7.0, 99.0, 99.0, 3.0, 6.0, 4.0, 5.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0_f64],
        );
        let input = Shape::new(3, 3, 2);
        let window = Window::unpadded(2, 2);
        assert_eq!(MaxPool(window).forward(input, &x).values, [4.0, 8.0]);
        assert_eq!(AvgPool(window).forward(input, &x).values, [2.5, 6.5]);
        // Padded by one, windows of two see one corner, two borders, and the middle.
        let padded = Window { padding: 1, ..window };
        assert_eq!(padded.pooled(input), Ok(Shape::new(2, 2, 2)));
        assert_eq!(MaxPool(padded).forward(input, &x).values, [1.0, 8.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0]);
        assert_eq!(AvgPool(padded).forward(input, &x).values[..4], [0.25, 2.0, 25.25, 26.5]);
        let beyond = Window { padding: 2, ..window };
        assert_eq!(beyond.pooled(input), Err(ShapeError::Padding { window: 2, padding: 2 }));
    }

    /// An average over the image is that of the one window that covers it, bit for bit.
    #[test]
    fn global_averages_are_those_of_one_window() {
        let input = Shape::new(3, 3, 2);
        let x = Matrix::from_rows(2, (0..36).map(|i| 1.0 / (i as f32 + 0.3)).collect());
        let window = AvgPool(Window::unpadded(3, 3));
        let y = GlobalAvgPool::forward(input, &x);
        assert_eq!(y, window.forward(input, &x));
        let at = Backward { parameters: &[], x: &[&x], y: &y, saved: &[], dy: &y, wanted: &[true] };
        assert_eq!(GlobalAvgPool::backward(input, at), window.backward(input, at));
        // And of images that are no squares.
        let x = Matrix::from_rows(1, vec![1.0, 2.0, 3.0, 6.0_f64]);
        assert_eq!(GlobalAvgPool::forward(Shape::new(1, 4, 1), &x).values, [3.0]);
    }

    /// The first of the largest elements of a window, or its first NaN.
    fn first_largest(x: &Matrix<f32>, sources: &[usize]) -> usize {
        let mut best = sources[0];
        for &source in &sources[1..] {
            let (value, largest) = (x.values[source], x.values[best]);
            if !largest.is_nan() && (value.is_nan() || value > largest) {
                best = source;
            }
        }
        best
    }

    #[test]
    fn largest_in_kernel_order() {
        // Few values, so that many are equal; zeros of both signs and NaN among them.
        let values = [0.0, -0.0, 1.0, 1.0, -1.0, f32::NAN];
        let mut state = 1_u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            values[(state >> 16) as usize % values.len()]
        };
        for (size, stride, padding, input) in [
            (2, 2, 0, Shape::new(5, 6, 3)),
            (3, 2, 0, Shape::new(7, 7, 1)),
            (3, 1, 0, Shape::new(5, 4, 2)),
            (1, 2, 0, Shape::new(3, 3, 2)),
            (3, 2, 1, Shape::new(8, 7, 2)),
            (3, 1, 2, Shape::new(2, 1, 3)),
        ] {
            let pool = MaxPool(Window { size, stride, padding });
            let x = Matrix::from_rows(input.channels, (0..4 * input.elements()).map(|_| draw()).collect());
            let mut found = Vec::new();
            pool.for_each_largest(input, &x, |output, largest| found.push((output, largest)));
            let mut expected = Vec::new();
            pool.0.for_each(4, input, |output, sources| expected.push((output, first_largest(&x, sources))));
            assert_eq!(found, expected, "{size} {stride} {input}");
        }
    }

    #[test]
    fn ties_send_the_error_to_the_first_and_nan_wins() {
        let input = Shape::new(2, 2, 1);
        let pool = MaxPool(Window::unpadded(2, 2));
        for (values, expected) in [
            ([5.0, 5.0, 5.0, 5.0], [1.0, 0.0, 0.0, 0.0]),
            ([0.0, 5.0, 5.0, 1.0], [0.0, 1.0, 0.0, 0.0]),
            ([0.0, 5.0, f64::NAN, 9.0], [0.0, 0.0, 1.0, 0.0]),
        ] {
            let x = Matrix::from_rows(1, values.to_vec());
            let y = pool.forward(input, &x);
            let dy = Matrix::from_rows(1, vec![1.0]);
            let dx = pool.backward(input, Backward { parameters: &[], x: &[&x], y: &y, saved: &[], dy: &dy, wanted: &[true] });
            assert_eq!(dx.values, expected);
        }
    }
}
