//! Batch normalisation as vector instructions, in the order of operations of
//! [`crate::layer::BatchNorm`].

use super::coded::{Coded, Place};
use super::memory::Tensor;
use super::{Context, Parameter, Purpose, Scalar};
use crate::layer::BatchNorm;

/// What backward needs.
pub(super) struct Saved {
    normalised: Tensor,
    /// 1 / sqrt(variance + epsilon), by channel.
    deviation: Tensor,
}

impl Context<'_> {
    pub(super) fn normalise_forward(
        &mut self,
        purpose: Purpose,
        x: Tensor,
        parameters: &[Parameter],
        buffers: &[Tensor],
        y: Tensor,
    ) -> super::walk::Saved {
        let (rows, cols) = (x.rows, x.cols);
        let centred = self.statistic(rows, cols);
        let (mean, variance) = match purpose {
            Purpose::Evaluate => (buffers[0], buffers[1]),
            Purpose::Train | Purpose::Try | Purpose::Reestimate => (self.statistic(1, cols), self.statistic(1, cols)),
        };
        self.round_as_statistics();
        if purpose != Purpose::Evaluate {
            let share = self.statistic_constant(1.0 / rows as f64);
            let sums = self.statistic(1, cols);
            self.emitter.sum(sums, x);
            self.emitter.multiply(mean, sums, share);
            self.emitter.subtract(centred, x, mean);
            let squares = self.statistic(rows, cols);
            self.emitter.multiply(squares, centred, centred);
            let sums = self.statistic(1, cols);
            self.emitter.sum(sums, squares);
            self.emitter.multiply(variance, sums, share);
            let tracking = match purpose {
                Purpose::Reestimate => Some(self.scalar(Scalar::Share)),
                Purpose::Train => Some(self.statistic_constant(BatchNorm::TRACKING)),
                Purpose::Try | Purpose::Evaluate => None,
            };
            if let Some(tracking) = tracking {
                for (tracked, seen) in buffers.iter().zip([mean, variance]) {
                    let distance = self.statistic(1, cols);
                    self.emitter.subtract(distance, seen, *tracked);
                    self.emitter.multiply_add(*tracked, distance, tracking, *tracked);
                }
            }
        } else {
            self.emitter.subtract(centred, x, mean);
        }
        let epsilon = self.statistic_constant(BatchNorm::EPSILON);
        let raised = self.statistic(1, cols);
        let deviation = self.statistic(1, cols);
        let normalised = self.statistic(rows, cols);
        self.emitter.add(raised, variance, epsilon);
        self.emitter.reciprocal_root(deviation, raised);
        self.emitter.multiply(normalised, centred, deviation);
        let [weight, bias] = [0, 1].map(|i| self.values(&parameters[i].master));
        self.round_as_vector();
        self.emitter.multiply_add(y, normalised, weight, bias);
        super::walk::Saved::Normalised(Saved { normalised, deviation })
    }

    pub(super) fn normalise_backward(
        &mut self,
        saved: &Saved,
        error: Tensor,
        parameters: &[Parameter],
        passes_on: bool,
    ) -> (Option<Tensor>, Vec<Coded>) {
        let (rows, cols) = (error.rows, error.cols);
        let bias_gradient = self.statistic(1, cols);
        let weighted = self.statistic(rows, cols);
        let weight_gradient = self.statistic(1, cols);
        self.round_as_statistics();
        self.emitter.sum(bias_gradient, error);
        self.emitter.multiply(weighted, error, saved.normalised);
        self.emitter.sum(weight_gradient, weighted);
        let input_error = passes_on.then(|| {
            let share = self.statistic_constant(1.0 / rows as f64);
            let [mean_error, mean_weighted, factor] = [(); 3].map(|()| self.statistic(1, cols));
            let weight = self.values(&parameters[0].master);
            let [projected, centred, orthogonal] = [(); 3].map(|()| self.statistic(rows, cols));
            let dx = self.vector(rows, cols);
            self.round_as_statistics();
            self.emitter.multiply(mean_error, bias_gradient, share);
            self.emitter.multiply(mean_weighted, weight_gradient, share);
            self.emitter.multiply(projected, saved.normalised, mean_weighted);
            self.emitter.subtract(centred, error, mean_error);
            self.emitter.subtract(orthogonal, centred, projected);
            self.emitter.multiply(factor, weight, saved.deviation);
            self.round_as_vector();
            self.emitter.multiply(dx, orthogonal, factor);
            dx
        });
        let role = self.roles().weight_gradients;
        let gradients = [weight_gradient, bias_gradient].into_iter().enumerate();
        let coded = gradients.map(|(index, gradient)| self.encode(gradient, &role, Place { role: "weight_gradients", index })).collect();
        (input_error, coded)
    }
}
