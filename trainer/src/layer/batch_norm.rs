//! Batch normalisation (Ioffe and Szegedy 2015): each channel to mean 0 and variance 1 over the
//! batch, then scaled and shifted.
//!
//! Over the m values of a channel: mean = sum x / m, variance = sum (x - mean)^2 / m, and
//! y = weight (x - mean) / sqrt(variance + 1e-5) + bias. Evaluation uses means and variances
//! tracked in training, r <- r + 0.1 (batch - r), both as divided by m.

use super::{Backward, Gradients, Parameter, Pass, Shape};
use crate::host::{Matrix, Real};

/// Normalisation of each channel over the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNorm;

impl BatchNorm {
    /// Added to the variance.
    pub const EPSILON: f64 = 1e-5;
    /// Weight of a new batch in the tracked statistics.
    pub const TRACKING: f64 = 0.1;

    pub(super) fn parameters(&self, input: Shape) -> Vec<Parameter> {
        vec![Parameter::vector("weight", input.channels, 1.0), Parameter::vector("bias", input.channels, 0.0)]
    }

    pub(super) fn buffers(&self, input: Shape) -> Vec<Parameter> {
        vec![Parameter::vector("mean", input.channels, 0.0), Parameter::vector("variance", input.channels, 1.0)]
    }

    /// Saves the mean and the variance used.
    pub(super) fn forward<T: Real>(
        &self,
        pass: Pass,
        parameters: &[Matrix<T>],
        buffers: &[Matrix<T>],
        x: &Matrix<T>,
    ) -> (Matrix<T>, Vec<Matrix<T>>) {
        let saved = match pass {
            Pass::Training => statistics(x),
            Pass::Evaluation => buffers.to_vec(),
        };
        let deviation = inverse_deviation(&saved[1]);
        let mut y = x.clone();
        for row in y.rows_mut() {
            for (c, y) in row.iter_mut().enumerate() {
                *y = (*y - saved[0].values[c]) * deviation[c] * parameters[0].values[c] + parameters[1].values[c];
            }
        }
        (y, saved)
    }

    /// With xhat the normalised input: dweight = sum dy xhat, dbias = sum dy, and
    /// dx = weight / deviation (dy - dbias/m - xhat dweight/m).
    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Gradients<T> {
        let (mean, deviation) = (&at.saved[0].values, inverse_deviation(&at.saved[1]));
        let mut normalised = at.x().clone();
        for row in normalised.rows_mut() {
            for (c, x) in row.iter_mut().enumerate() {
                *x = (*x - mean[c]) * deviation[c];
            }
        }
        let dbias = at.dy.column_sums();
        let dweight = at.dy.zip(&normalised, |dy, x| dy * x).column_sums();
        let share = T::ONE / T::from_f64(at.x().rows as f64);
        let mut dx = at.dy.clone();
        for (dx, normalised) in dx.rows_mut().zip(normalised.values.chunks(at.x().columns)) {
            for (c, dx) in dx.iter_mut().enumerate() {
                let common = (dbias.values[c] + normalised[c] * dweight.values[c]) * share;
                *dx = (*dx - common) * deviation[c] * at.parameters[0].values[c];
            }
        }
        Gradients { inputs: vec![Some(dx)], parameters: vec![dweight, dbias] }
    }

    pub(super) fn track<T: Real>(&self, buffers: &mut [Matrix<T>], saved: &[Matrix<T>]) {
        let weight = T::from_f64(Self::TRACKING);
        for (buffer, saved) in buffers.iter_mut().zip(saved) {
            for (r, s) in buffer.values.iter_mut().zip(&saved.values) {
                *r += weight * (*s - *r);
            }
        }
    }
}

/// Mean and variance of each column.
fn statistics<T: Real>(x: &Matrix<T>) -> Vec<Matrix<T>> {
    let share = T::ONE / T::from_f64(x.rows as f64);
    let mean = x.column_sums().map(|sum| sum * share);
    let mut squares = Matrix::zeros(1, x.columns);
    for row in x.values.chunks(x.columns) {
        for (c, x) in row.iter().enumerate() {
            let distance = *x - mean.values[c];
            squares.values[c] += distance * distance;
        }
    }
    vec![mean, squares.map(|sum| sum * share)]
}

fn inverse_deviation<T: Real>(variance: &Matrix<T>) -> Vec<T> {
    variance.values.iter().map(|&v| T::ONE / (v + T::from_f64(BatchNorm::EPSILON)).sqrt()).collect()
}
