//! Stochastic gradient descent with momentum and weight decay.

use super::{Matrix, Real};
use serde::{Deserialize, Serialize};

/// One step, for every value w with gradient g and momentum v (at first 0):
/// v <- momentum v + (g + weight_decay w), then w <- w - learning_rate v.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    /// Factor of the momentum in a step.
    pub learning_rate: f64,
    /// Part of the momentum kept from one step to the next.
    pub momentum: f64,
    /// Factor of the value itself in its gradient.
    pub weight_decay: f64,
}

/// The optimizer's state: one tensor for each parameter, by layer.
#[derive(Clone, Debug)]
pub struct Momentum<T>(Vec<Vec<Matrix<T>>>);

impl<T: Real> Momentum<T> {
    /// At rest.
    pub fn new(parameters: &[Vec<Matrix<T>>]) -> Self {
        Self(
            parameters
                .iter()
                .map(|layer| {
                    layer
                        .iter()
                        .map(|m| Matrix::zeros(m.rows, m.columns))
                        .collect()
                })
                .collect(),
        )
    }

    /// Moves all parameters by one step.
    pub fn step(
        &mut self,
        sgd: Sgd,
        parameters: &mut [Vec<Matrix<T>>],
        gradients: &[Vec<Matrix<T>>],
    ) {
        let [rate, momentum, decay] =
            [sgd.learning_rate, sgd.momentum, sgd.weight_decay].map(T::from_f64);
        let state = self.0.iter_mut().flatten().flat_map(|m| &mut m.values);
        let weights = parameters.iter_mut().flatten().flat_map(|m| &mut m.values);
        let gradients = gradients.iter().flatten().flat_map(|m| &m.values);
        for ((v, w), g) in state.zip(weights).zip(gradients) {
            *v = momentum * *v + (*g + decay * *w);
            *w = *w - rate * *v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let mut parameters = vec![vec![Matrix::from_rows(1, vec![4.0_f64])]];
        let gradients = vec![vec![Matrix::from_rows(1, vec![1.0])]];
        let mut state = Momentum::new(&parameters);
        let sgd = Sgd {
            learning_rate: 0.5,
            momentum: 0.25,
            weight_decay: 0.125,
        };
        state.step(sgd, &mut parameters, &gradients);
        // v = 1 + 0.5, w = 4 - 0.75.
        assert_eq!(parameters[0][0].values, [3.25]);
        state.step(sgd, &mut parameters, &gradients);
        // v = 0.375 + 1 + 0.40625, w = 3.25 - 0.890625.
        assert_eq!(parameters[0][0].values, [2.359375]);
    }
}
