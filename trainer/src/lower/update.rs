//! The optimizer's step on master weights.

use super::Context;
use super::memory::Tensor;

impl Context<'_> {
    /// v <- momentum v + (g / loss scale + decay w), w <- w - rate v, each line one rounding.
    pub(super) fn update(&mut self, gradient: Tensor, weight: Tensor, momentum: Tensor, negated_rate: Tensor) {
        let optimizer = self.recipe.optimizer;
        let (rows, cols) = (weight.rows, weight.cols);
        let mut gradient = gradient;
        self.round_as_vector();
        if self.recipe.loss_scale != 1.0 {
            let unscaled = self.vector(rows, cols);
            let inverse = self.constant(1.0 / self.recipe.loss_scale);
            self.emitter.multiply(unscaled, gradient, inverse);
            gradient = unscaled;
        }
        if optimizer.weight_decay != 0.0 {
            let decayed = self.vector(rows, cols);
            let decay = self.constant(optimizer.weight_decay);
            self.emitter.multiply_add(decayed, weight, decay, gradient);
            gradient = decayed;
        }
        let keep = self.constant(optimizer.momentum);
        self.emitter.round_by(self.roles.momentum.policy());
        self.emitter.multiply_add(momentum, momentum, keep, gradient);
        self.emitter.round_by(self.roles.master_weights.policy());
        self.emitter.multiply_add(weight, momentum, negated_rate, weight);
    }
}
