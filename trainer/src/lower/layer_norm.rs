//! Layer normalisation as vector instructions, in the order of operations of
//! [`crate::layer::LayerNorm`]; and learned positions.

use super::coded::Coded;
use super::memory::Tensor;
use super::{Context, Parameter};
use crate::layer::LayerNorm;

/// What backward needs.
pub(super) struct Saved {
    normalised: Tensor,
    /// 1 / sqrt(variance + epsilon), by position.
    deviation: Tensor,
}

impl Context<'_> {
    pub(super) fn layer_norm_forward(&mut self, x: Tensor, parameters: &[Parameter], y: Tensor) -> Saved {
        let (rows, cols) = (x.rows, x.cols);
        let share = self.statistic_constant(1.0 / cols as f64);
        let epsilon = self.statistic_constant(LayerNorm::EPSILON);
        let [sums, mean, variance, raised, deviation] = [(); 5].map(|()| self.statistic(rows, 1));
        let [centred, squares, normalised] = [(); 3].map(|()| self.statistic(rows, cols));
        let [weight, bias] = [0, 1].map(|i| self.values(&parameters[i].master));
        self.round_as_statistics();
        self.emitter.sum(sums, x);
        self.emitter.multiply(mean, sums, share);
        self.emitter.subtract(centred, x, mean);
        self.emitter.multiply(squares, centred, centred);
        self.emitter.sum(sums, squares);
        self.emitter.multiply(variance, sums, share);
        self.emitter.add(raised, variance, epsilon);
        self.emitter.reciprocal_root(deviation, raised);
        self.emitter.multiply(normalised, centred, deviation);
        self.round_as_vector();
        self.emitter.multiply_add(y, normalised, weight, bias);
        Saved { normalised, deviation }
    }

    pub(super) fn layer_norm_backward(
        &mut self,
        &Saved { normalised, deviation }: &Saved,
        error: Tensor,
        parameters: &[Parameter],
        passes_on: bool,
    ) -> (Option<Tensor>, Vec<Coded>) {
        let (rows, cols) = (error.rows, error.cols);
        let [weight_gradient, bias_gradient] = [(); 2].map(|()| self.statistic(1, cols));
        let weighted = self.statistic(rows, cols);
        self.round_as_statistics();
        self.emitter.sum(bias_gradient, error);
        self.emitter.multiply(weighted, error, normalised);
        self.emitter.sum(weight_gradient, weighted);
        let input_error = passes_on.then(|| {
            let share = self.statistic_constant(1.0 / cols as f64);
            let weight = self.values(&parameters[0].master);
            let [sums, mean, along] = [(); 3].map(|()| self.statistic(rows, 1));
            let [scaled, products, centred, projected, orthogonal] = [(); 5].map(|()| self.statistic(rows, cols));
            let dx = self.vector(rows, cols);
            self.round_as_statistics();
            self.emitter.multiply(scaled, error, weight);
            self.emitter.sum(sums, scaled);
            self.emitter.multiply(mean, sums, share);
            self.emitter.multiply(products, scaled, normalised);
            self.emitter.sum(sums, products);
            self.emitter.multiply(along, sums, share);
            self.emitter.subtract(centred, scaled, mean);
            self.emitter.multiply(projected, normalised, along);
            self.emitter.subtract(orthogonal, centred, projected);
            self.round_as_vector();
            self.emitter.multiply(dx, orthogonal, deviation);
            dx
        });
        (input_error, [weight_gradient, bias_gradient].map(Coded::plain).to_vec())
    }

    /// Adds the table of positions to every image.
    pub(super) fn positions_forward(&mut self, x: Tensor, parameters: &[Parameter], y: Tensor) {
        let table = self.values(&parameters[0].master);
        self.round_as_vector();
        self.emitter.add(y, x, table.repeated(self.batch));
    }

    /// The sum of the errors of all images.
    pub(super) fn positions_backward(&mut self, error: Tensor, parameters: &[Parameter]) -> Coded {
        let table = &parameters[0];
        let (rows, cols) = (table.rows, table.cols);
        let sums = self.vector(rows, cols);
        self.round_as_vector();
        self.emitter.sum(sums.reshaped(1, rows * cols), error.reshaped(self.batch, rows * cols));
        Coded::plain(sums)
    }
}
