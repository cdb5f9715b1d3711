//! Softmax cross-entropy, the mean over the batch, and its gradient times the loss scale.

use super::memory::Tensor;
use super::{Context, Scalar, State};
use crate::recipe::LossScale;

/// What the loss leaves for its derivative.
struct Softmax {
    /// e^x, each shifted by its row's largest logit.
    powers: Tensor,
    /// Their sum, by row.
    sums: Tensor,
}

impl Context<'_> {
    /// The error at the logits.
    pub(super) fn loss(&mut self, state: &State<'_>) -> Tensor {
        let Softmax { powers, sums } = self.cross_entropy(state);
        let (rows, cols) = (state.logits.rows, state.logits.cols);
        let [probabilities, distance] = [(); 2].map(|()| self.statistic(rows, cols));
        let error = self.vector(rows, cols);
        let scale = match self.recipe.loss_scale {
            LossScale::Static(scale) => self.statistic_constant(scale / rows as f64),
            LossScale::Dynamic(_) => self.scalar(Scalar::LossFactor),
        };
        self.round_as_statistics();
        self.emitter.divide(probabilities, powers, sums);
        self.emitter.subtract(distance, probabilities, state.labels);
        self.round_as_vector();
        self.emitter.multiply(error, distance, scale);
        error
    }

    /// The mean loss alone.
    pub(super) fn loss_alone(&mut self, state: &State<'_>) {
        self.cross_entropy(state);
    }

    fn cross_entropy(&mut self, state: &State<'_>) -> Softmax {
        let (logits, labels) = (state.logits, state.labels);
        let (rows, cols) = (logits.rows, logits.cols);
        let [largest, sums, logarithms, targets, losses] = [(); 5].map(|()| self.statistic(rows, 1));
        let [shifted, powers, at_target] = [(); 3].map(|()| self.statistic(rows, cols));
        let total = self.statistic(1, 1);
        let share = self.statistic_constant(1.0 / rows as f64);
        self.round_as_statistics();
        let e = &mut self.emitter;
        // Shifted by the largest logit, so that no exponential overflows.
        e.maximum(largest, logits);
        e.subtract(shifted, logits, largest);
        e.exp(powers, shifted);
        e.sum(sums, powers);
        e.log(logarithms, sums);
        e.multiply(at_target, labels, shifted);
        e.sum(targets, at_target);
        e.subtract(losses, logarithms, targets);
        e.sum(total, losses);
        e.multiply(state.loss, total, share);
        Softmax { powers, sums }
    }
}
