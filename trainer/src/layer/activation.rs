//! Activation functions, value by value.

use super::Backward;
use crate::host::{Matrix, Real, functions};

/// The rectifier max(x, 0); its derivative at 0 is taken as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relu;

impl Relu {
    /// NaN stays NaN.
    pub(super) fn forward<T: Real>(x: &Matrix<T>) -> Matrix<T> {
        x.map(|x| if x <= T::ZERO { T::ZERO } else { x })
    }

    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Matrix<T> {
        at.dy.zip(at.y, |dy, y| if y > T::ZERO { dy } else { T::ZERO })
    }
}

/// The hyperbolic tangent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tanh;

impl Tanh {
    pub(super) fn forward<T: Real>(x: &Matrix<T>) -> Matrix<T> {
        x.map(|x| T::from_f64(functions::tanh(x.to_f64())))
    }

    /// The derivative by way of the output: 1 - y^2.
    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Matrix<T> {
        at.dy.zip(at.y, |dy, y| dy * (T::ONE - y * y))
    }
}
