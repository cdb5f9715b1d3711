//! Learned positions: a vector for every position, added in every image.

use super::linear::narrow_bound;
use super::{Backward, Gradients, Initial, Parameter, Shape};
use crate::host::{Matrix, Real};

/// The learned embedding of positions (Radford et al. 2018). Its values `[(h, w)][c]` begin as the
/// weights of [`super::Project`] do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions;

impl Positions {
    pub(super) fn parameters(&self, input: Shape) -> Vec<Parameter> {
        let initial = Initial::Uniform(narrow_bound(1));
        vec![Parameter { name: "weight", rows: input.positions(), columns: input.channels, initial }]
    }

    pub(super) fn forward<T: Real>(parameters: &[Matrix<T>], x: &Matrix<T>) -> Matrix<T> {
        let mut y = x.clone();
        for image in y.values.chunks_exact_mut(parameters[0].values.len()) {
            image.iter_mut().zip(&parameters[0].values).for_each(|(y, p)| *y += *p);
        }
        y
    }

    /// The sum over images, images ascending.
    pub(super) fn backward<T: Real>(at: Backward<'_, T>) -> Gradients<T> {
        let table = &at.parameters[0];
        let sums = at.dy.clone().reshaped(table.values.len()).column_sums();
        Gradients { inputs: vec![Some(at.dy.clone())], parameters: vec![sums.reshaped(table.columns)] }
    }
}
