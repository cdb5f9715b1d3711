//! Linear layers: y = x W + b on vectors, or on every position.

use super::{Backward, Following, Gradients, Initial, Parameter, Shape, ShapeError};
use crate::host::{Matrix, Real, product, product_of_transposed, product_with_transposed};

/// A linear layer; its weights are the matrix `[in][out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Number of outputs.
    pub out: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Linear {
    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        if input.positions() != 1 {
            return Err(ShapeError::NotFlat(input));
        }
        if self.out == 0 {
            return Err(ShapeError::Zero("the number of outputs"));
        }
        Ok(Shape::vector(self.out))
    }

    pub(super) fn parameters(&self, input: Shape, following: Following) -> Vec<Parameter> {
        weight_and_bias(input.channels, self.out, following.bound(input.channels, self.out), self.bias)
    }

    pub(super) fn forward<T: Real>(parameters: &[Matrix<T>], x: &Matrix<T>) -> Matrix<T> {
        affine(x, parameters)
    }

    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Gradients<T> {
        Gradients {
            inputs: vec![at.input_wanted().then(|| product_with_transposed(at.dy, &at.parameters[0]))],
            parameters: with_bias_gradient(product_of_transposed(at.x(), at.dy), at.dy, at.parameters),
        }
    }
}

/// A linear layer on each position by itself, its weights the matrix `[in][out]`: an embedding where
/// positions are one-hot.
///
/// Weights begin as GPT-2's do (Radford et al. 2019, and its published program): with a standard
/// deviation of 0.02, over sqrt(joins) where the output joins a residual stream. Here they are uniform
/// of that deviation, not normal; biases are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Project {
    /// Number of output channels.
    pub out: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// Layers that join the residual stream this one joins; 1 for all others.
    pub joins: u16,
}

/// Bound of uniform values with a standard deviation of 0.02 / sqrt(joins). Every operation is
/// correctly rounded, so the bits do not depend on the platform.
pub(super) fn narrow_bound(joins: u16) -> f32 {
    (3.0 * 0.02 * 0.02 / f32::from(joins)).sqrt()
}

impl Project {
    pub(super) fn output(&self, input: Shape) -> Result<Shape, ShapeError> {
        for (value, what) in [(self.out, "the number of outputs"), (self.joins.into(), "the number of layers that join")] {
            if value == 0 {
                return Err(ShapeError::Zero(what));
            }
        }
        Ok(Shape { channels: self.out, ..input })
    }

    pub(super) fn parameters(&self, input: Shape) -> Vec<Parameter> {
        weight_and_bias(input.channels, self.out, narrow_bound(self.joins), self.bias)
    }
}

/// Parameters of y = x W + b with W `[rows][columns]`.
pub(super) fn weight_and_bias(rows: usize, columns: usize, bound: f32, bias: bool) -> Vec<Parameter> {
    let weight = Parameter { name: "weight", rows, columns, initial: Initial::Uniform(bound) };
    std::iter::once(weight).chain(bias.then(|| Parameter::vector("bias", columns, 0.0))).collect()
}

/// x W, plus the bias if there is one.
fn affine<T: Real>(x: &Matrix<T>, parameters: &[Matrix<T>]) -> Matrix<T> {
    let mut y = product(x, &parameters[0]);
    add_bias(&mut y, parameters);
    y
}

/// Adds the bias, if there is one, to every row.
pub(super) fn add_bias<T: Real>(y: &mut Matrix<T>, parameters: &[Matrix<T>]) {
    if let Some(bias) = parameters.get(1) {
        for row in y.rows_mut() {
            for (y, b) in row.iter_mut().zip(&bias.values) {
                *y += *b;
            }
        }
    }
}

/// The weights' gradient, and the column sums of dy if there is a bias.
pub(super) fn with_bias_gradient<T: Real>(weight: Matrix<T>, dy: &Matrix<T>, parameters: &[Matrix<T>]) -> Vec<Matrix<T>> {
    std::iter::once(weight).chain(parameters.get(1).map(|_| dy.column_sums())).collect()
}
