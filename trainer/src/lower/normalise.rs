//! Batch normalisation as vector instructions, in the order of operations of
//! [`crate::layer::BatchNorm`].

use super::memory::Tensor;
use super::{Context, Purpose};
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
        parameters: &[Tensor],
        buffers: &[Tensor],
        y: Tensor,
    ) -> super::walk::Saved {
        let (rows, cols) = (x.rows, x.cols);
        let centred = self.vector(rows, cols);
        let (mean, variance) = match purpose {
            Purpose::Evaluate => (buffers[0], buffers[1]),
            Purpose::Train => (self.vector(1, cols), self.vector(1, cols)),
        };
        self.round_as_vector();
        if purpose == Purpose::Train {
            let share = self.constant(1.0 / rows as f64);
            let sums = self.vector(1, cols);
            self.emitter.sum(sums, x);
            self.emitter.multiply(mean, sums, share);
            self.emitter.subtract(centred, x, mean);
            let squares = self.vector(rows, cols);
            self.emitter.multiply(squares, centred, centred);
            let sums = self.vector(1, cols);
            self.emitter.sum(sums, squares);
            self.emitter.multiply(variance, sums, share);
            let tracking = self.constant(BatchNorm::TRACKING);
            for (tracked, seen) in buffers.iter().zip([mean, variance]) {
                let distance = self.vector(1, cols);
                self.emitter.subtract(distance, seen, *tracked);
                self.emitter.multiply_add(*tracked, distance, tracking, *tracked);
            }
        } else {
            self.emitter.subtract(centred, x, mean);
        }
        let epsilon = self.constant(BatchNorm::EPSILON);
        let raised = self.vector(1, cols);
        let deviation = self.vector(1, cols);
        let normalised = self.vector(rows, cols);
        self.emitter.add(raised, variance, epsilon);
        self.emitter.reciprocal_root(deviation, raised);
        self.emitter.multiply(normalised, centred, deviation);
        self.emitter.multiply_add(y, normalised, parameters[0], parameters[1]);
        super::walk::Saved::Normalised(Saved { normalised, deviation })
    }

    pub(super) fn normalise_backward(
        &mut self,
        saved: &Saved,
        error: Tensor,
        parameters: &[Tensor],
        passes_on: bool,
    ) -> (Option<Tensor>, Vec<Tensor>) {
        let (rows, cols) = (error.rows, error.cols);
        let bias_gradient = self.vector(1, cols);
        let weighted = self.vector(rows, cols);
        let weight_gradient = self.vector(1, cols);
        self.round_as_vector();
        self.emitter.sum(bias_gradient, error);
        self.emitter.multiply(weighted, error, saved.normalised);
        self.emitter.sum(weight_gradient, weighted);
        let input_error = passes_on.then(|| {
            let share = self.constant(1.0 / rows as f64);
            let [mean_error, mean_weighted, factor] = [(); 3].map(|()| self.vector(1, cols));
            let [projected, centred, orthogonal, dx] = [(); 4].map(|()| self.vector(rows, cols));
            self.emitter.multiply(mean_error, bias_gradient, share);
            self.emitter.multiply(mean_weighted, weight_gradient, share);
            self.emitter.multiply(projected, saved.normalised, mean_weighted);
            self.emitter.subtract(centred, error, mean_error);
            self.emitter.subtract(orthogonal, centred, projected);
            self.emitter.multiply(factor, parameters[0], saved.deviation);
            self.emitter.multiply(dx, orthogonal, factor);
            dx
        });
        (input_error, vec![weight_gradient, bias_gradient])
    }
}
