//! Stochastic gradient descent with momentum and weight decay.

use super::{Matrix, Real};
use serde::{Deserialize, Serialize};

/// One step, for every value w with gradient g and momentum v (at first 0):
/// v <- momentum v + (g + weight_decay w), then w <- w - learning_rate v.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    /// Factor of the momentum in the first step.
    pub learning_rate: f64,
    /// Part of the momentum kept from one step to the next.
    pub momentum: f64,
    /// Factor of the value itself in its gradient.
    pub weight_decay: f64,
    /// How the learning rate goes on from there.
    #[serde(default)]
    pub schedule: Schedule,
}

/// The learning rate over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same in every step.
    #[default]
    Constant,
    /// Falling by equal amounts, to end at 0 after the last step.
    Linear,
}

impl Sgd {
    /// The learning rate of `step` (from 0) of a run of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Linear => self.learning_rate * (steps.saturating_sub(step) as f64 / steps.max(1) as f64),
        }
    }
}

/// The optimizer's state: one tensor for each parameter, by layer.
#[derive(Clone, Debug)]
pub struct Momentum<T>(Vec<Vec<Matrix<T>>>);

impl<T: Real> Momentum<T> {
    /// At rest.
    pub fn new(parameters: &[Vec<Matrix<T>>]) -> Self {
        Self(parameters.iter().map(|layer| layer.iter().map(|m| Matrix::zeros(m.rows, m.columns)).collect()).collect())
    }

    /// Moves all parameters by one step, `rate` standing for the learning rate.
    pub fn step(&mut self, sgd: Sgd, rate: f64, parameters: &mut [Vec<Matrix<T>>], gradients: &[Vec<Matrix<T>>]) {
        let [rate, momentum, decay] = [rate, sgd.momentum, sgd.weight_decay].map(T::from_f64);
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
    fn rates_fall_linearly_to_the_end() {
        let sgd = Sgd { learning_rate: 0.5, momentum: 0.0, weight_decay: 0.0, schedule: Schedule::Linear };
        let rates: Vec<f64> = (0..4).map(|step| sgd.rate(step, 4)).collect();
        assert_eq!(rates, [0.5, 0.375, 0.25, 0.125]);
        assert_eq!(Sgd { schedule: Schedule::Constant, ..sgd }.rate(3, 4), 0.5);
    }

    #[test]
    fn two_steps_by_hand() {
        let mut parameters = vec![vec![Matrix::from_rows(1, vec![4.0_f64])]];
        let gradients = vec![vec![Matrix::from_rows(1, vec![1.0])]];
        let mut state = Momentum::new(&parameters);
        let sgd = Sgd { learning_rate: 0.5, momentum: 0.25, weight_decay: 0.125, schedule: Schedule::Constant };
        state.step(sgd, sgd.rate(0, 1), &mut parameters, &gradients);
        // v = 1 + 0.5, w = 4 - 0.75.
        assert_eq!(parameters[0][0].values, [3.25]);
        state.step(sgd, sgd.rate(0, 1), &mut parameters, &gradients);
        // v = 0.375 + 1 + 0.40625, w = 3.25 - 0.890625.
        assert_eq!(parameters[0][0].values, [2.359375]);
    }
}
