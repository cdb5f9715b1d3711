//! The optimizers in the host's arithmetic, without compensation: it has nothing to compensate.

use super::{Matrix, Real};
use crate::optimizer::{AdamScalars, Optimizer, Rule};

/// An optimizer's state: tensors for each parameter, by layer.
#[derive(Clone, Debug)]
pub struct State<T> {
    pub(super) first: Vec<Vec<Matrix<T>>>,
    second: Vec<Vec<Matrix<T>>>,
    /// Steps taken.
    steps: i32,
}

impl<T: Real> State<T> {
    /// At rest.
    pub fn new(parameters: &[Vec<Matrix<T>>]) -> Self {
        let zeros = || parameters.iter().map(|layer| layer.iter().map(|m| Matrix::zeros(m.rows, m.columns)).collect()).collect();
        Self { first: zeros(), second: zeros(), steps: 0 }
    }

    /// Moves all parameters by one step, `rate` standing for the learning rate. A step within a
    /// trust region is one of gradient descent whose rate the search has found.
    pub fn step(&mut self, optimizer: &Optimizer, rate: f64, parameters: &mut [Vec<Matrix<T>>], gradients: &[Vec<Matrix<T>>]) {
        self.steps = self.steps.saturating_add(1);
        let first = self.first.iter_mut().flatten().flat_map(|m| &mut m.values);
        let second = self.second.iter_mut().flatten().flat_map(|m| &mut m.values);
        let weights = parameters.iter_mut().flatten().flat_map(|m| &mut m.values);
        let gradients = gradients.iter().flatten().flat_map(|m| &m.values);
        let decay = T::from_f64(optimizer.weight_decay);
        let values = first.zip(second).zip(weights).zip(gradients);
        match optimizer.rule {
            Rule::Sgd | Rule::TrustRegion(_) => {
                let [rate, momentum] = [rate, optimizer.momentum].map(T::from_f64);
                for (((v, _), w), g) in values {
                    *v = momentum * *v + (*g + decay * *w);
                    *w = *w - rate * *v;
                }
            }
            Rule::Adam { beta1, beta2, decoupled, .. } => {
                let AdamScalars { step, epsilon } = AdamScalars::new(optimizer.rule, rate, self.steps);
                let [keep1, take1, keep2, take2] = [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(T::from_f64);
                let [step, epsilon, shrink] = [step, epsilon, 1.0 - rate * optimizer.weight_decay].map(T::from_f64);
                for (((m, v), w), g) in values {
                    let g = if decoupled { *g } else { *g + decay * *w };
                    *m = keep1 * *m + take1 * g;
                    *v = keep2 * *v + take2 * (g * g);
                    *w += step * (*m / (v.sqrt() + epsilon));
                    if decoupled {
                        *w = *w * shrink;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{Compensation, Decayed, Schedule};

    const SGD: Optimizer = Optimizer {
        rule: Rule::Sgd,
        learning_rate: 0.5,
        momentum: 0.25,
        weight_decay: 0.125,
        decayed: Decayed::Master,
        schedule: Schedule::Constant,
        compensation: Compensation::None,
    };

    fn steps(optimizer: &Optimizer, count: usize) -> Vec<f64> {
        let mut parameters = vec![vec![Matrix::from_rows(1, vec![4.0_f64])]];
        let gradients = vec![vec![Matrix::from_rows(1, vec![1.0])]];
        let mut state = State::new(&parameters);
        (0..count)
            .map(|_| {
                state.step(optimizer, optimizer.learning_rate, &mut parameters, &gradients);
                parameters[0][0].values[0]
            })
            .collect()
    }

    #[test]
    fn two_steps_of_sgd_by_hand() {
        // v = 1 + 0.5, w = 4 - 0.75; then v = 0.375 + 1 + 0.40625, w = 3.25 - 0.890625.
        assert_eq!(steps(&SGD, 2), [3.25, 2.359375]);
    }

    #[test]
    fn steps_of_adam_by_hand() {
        let adam = |bias_correction, decoupled| Optimizer {
            rule: Rule::Adam { beta1: 0.5, beta2: 0.75, epsilon: 1.0, bias_correction, decoupled },
            momentum: 0.0,
            ..SGD
        };
        // No decay in g: m = 1/2, v = 1/4, w = 4 - 0.5 (0.5 / (0.5 + 1)), times 1 - 0.0625.
        let plain = steps(&adam(false, true), 1)[0];
        assert!((plain - (4.0 - 0.5 / 3.0) * 0.9375).abs() < 1e-15, "{plain}");
        // Corrected: m^ = 1, v^ = 1, so w = 4 - 0.5 (1 / 2).
        let corrected = steps(&adam(true, true), 1)[0];
        assert!((corrected - 3.75 * 0.9375).abs() < 1e-15, "{corrected}");
        // Decay in g: g = 1.5, m^ = 1.5, v^ = 2.25, so w = 4 - 0.5 (1.5 / 2.5).
        let coupled = steps(&adam(true, false), 1)[0];
        assert!((coupled - 3.7).abs() < 1e-15, "{coupled}");
    }
}
