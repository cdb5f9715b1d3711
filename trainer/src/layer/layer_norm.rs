//! Layer normalisation (Ba, Kiros and Hinton 2016): each position to mean 0 and variance 1 over its
//! channels, then scaled and shifted.
//!
//! Over the c channels of a position: mean = sum x / c, variance = sum (x - mean)^2 / c, and
//! y = weight (x - mean) / sqrt(variance + 1e-5) + bias, weight and bias by channel. Training and
//! evaluation are alike.

use super::{Backward, Gradients, Parameter, Shape};
use crate::host::{Matrix, Real};

/// Normalisation of each position over its channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerNorm;

impl LayerNorm {
    /// Added to the variance.
    pub const EPSILON: f64 = 1e-5;

    pub(super) fn parameters(&self, input: Shape) -> Vec<Parameter> {
        vec![Parameter::vector("weight", input.channels, 1.0), Parameter::vector("bias", input.channels, 0.0)]
    }

    /// Saves the normalised input and the inverse deviation of every position.
    pub(super) fn forward<T: Real>(parameters: &[Matrix<T>], x: &Matrix<T>) -> (Matrix<T>, Vec<Matrix<T>>) {
        let share = T::ONE / T::from_f64(x.columns as f64);
        let mut normalised = x.clone();
        let mut deviations = Matrix::zeros(x.rows, 1);
        for (row, deviation) in normalised.rows_mut().zip(&mut deviations.values) {
            let mean = sum(row.iter().copied()) * share;
            row.iter_mut().for_each(|x| *x = *x - mean);
            let variance = sum(row.iter().map(|&x| x * x)) * share;
            *deviation = T::ONE / (variance + T::from_f64(Self::EPSILON)).sqrt();
            row.iter_mut().for_each(|x| *x = *x * *deviation);
        }
        let mut y = normalised.clone();
        for row in y.rows_mut() {
            for (c, y) in row.iter_mut().enumerate() {
                *y = *y * parameters[0].values[c] + parameters[1].values[c];
            }
        }
        (y, vec![normalised, deviations])
    }

    /// With xhat the normalised input and g = dy weight: dweight = sum dy xhat, dbias = sum dy over
    /// positions, and dx = (g - mean g - xhat mean(g xhat)) / deviation, means over channels.
    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Gradients<T> {
        let (normalised, deviations) = (&at.saved[0], &at.saved[1]);
        let share = T::ONE / T::from_f64(normalised.columns as f64);
        let mut dx = at.dy.clone();
        for ((dx, xhat), &deviation) in dx.rows_mut().zip(normalised.values.chunks(normalised.columns)).zip(&deviations.values) {
            dx.iter_mut().zip(&at.parameters[0].values).for_each(|(g, weight)| *g = *g * *weight);
            let mean = sum(dx.iter().copied()) * share;
            let along = sum(dx.iter().zip(xhat).map(|(&g, &x)| g * x)) * share;
            dx.iter_mut().zip(xhat).for_each(|(g, &x)| *g = (*g - mean - x * along) * deviation);
        }
        let dweight = at.dy.zip(normalised, |dy, x| dy * x).column_sums();
        Gradients { inputs: vec![Some(dx)], parameters: vec![dweight, at.dy.column_sums()] }
    }
}

/// A chain of additions from 0.
fn sum<T: Real>(values: impl Iterator<Item = T>) -> T {
    values.fold(T::ZERO, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let parameters = [Matrix::from_rows(4, vec![1.0, 1.0, 2.0, 1.0]), Matrix::from_rows(4, vec![0.0, 0.0, 0.5, 0.0])];
        let (y, saved) = LayerNorm::forward(&parameters, &Matrix::from_rows(4, vec![1.0, 3.0, 1.0, 3.0, 7.0, 7.0, 7.0, 7.0_f64]));
        // Mean 2 and variance 1; then variance 0.
        let unit = 1.0 / (1.0_f64 + 1e-5).sqrt();
        assert_eq!(y.values, [-unit, unit, -2.0 * unit + 0.5, unit, 0.0, 0.0, 0.5, 0.0]);
        assert_eq!(saved[1].values[0], unit);
    }
}
