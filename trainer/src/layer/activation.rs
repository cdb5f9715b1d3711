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

/// The Gaussian error linear unit x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel
/// 2016): the exact form, not the one by tanh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gelu;

impl Gelu {
    /// 1 / sqrt 2.
    pub const INVERSE_ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;
    /// 1 / sqrt(2 pi).
    pub const PEAK: f64 = 0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;

    /// x / sqrt 2, and Phi(x).
    fn cumulative<T: Real>(x: T) -> (T, T) {
        let (half, scaled) = (T::from_f64(0.5), x * T::from_f64(Self::INVERSE_ROOT));
        (scaled, half * T::from_f64(functions::erf(scaled.to_f64())) + half)
    }

    pub(super) fn forward<T: Real>(x: &Matrix<T>) -> Matrix<T> {
        x.map(|x| x * Self::cumulative(x).1)
    }

    /// The derivative Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi).
    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Matrix<T> {
        let peak = T::from_f64(Self::PEAK);
        at.dy.zip(at.x(), |dy, x| {
            let (scaled, cumulative) = Self::cumulative(x);
            let bell = T::from_f64(functions::exp(-(scaled * scaled).to_f64()));
            dy * (x * peak * bell + cumulative)
        })
    }
}
