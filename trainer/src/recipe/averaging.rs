//! Averages of the weights over the end of a run.

use crate::entropy::{Purpose, Stream};
use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// Stochastic weight averaging (Izmailov et al. 2018): from some epoch on the weights are
/// averaged at the end of each, and the averages are what is evaluated. Averages are held and
/// evaluated in the vector role's format, products included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Averaging {
    /// Averaging begins after this fraction of the epochs.
    #[serde(default)]
    pub start: f64,
    /// Name of the design's MAC mode operands that the averaged model's products take: the
    /// vector role's format unless said.
    #[serde(default)]
    pub operands: Option<systole_isa::format::Format>,
    /// Instead of averages: the weights before one step, drawn before the run.
    #[serde(default)]
    pub drawn: Option<Drawn>,
}

/// A step drawn at random: step k of rate r with a probability proportional to
/// 2 (1 - share) r - lipschitz r^2 (Ghadimi and Lan 2013, section 2; the share of the gradient's
/// norm that a choice of precision spends is a lecture's addition).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// Lipschitz constant of the gradient.
    pub lipschitz: f64,
}

impl Drawn {
    /// How probable a step of a rate is, up to a common factor.
    pub fn weight(self, share: f64, rate: f64) -> f64 {
        2.0 * (1.0 - share) * rate - self.lipschitz * rate * rate
    }

    /// The step drawn by `seed` among those of the given rates.
    pub fn step(self, share: f64, seed: u64, rates: impl Iterator<Item = f64> + Clone) -> u64 {
        let weights = rates.map(|rate| self.weight(share, rate).max(0.0));
        let total: f64 = weights.clone().sum();
        // 53 random bits.
        let point = (Stream::new(seed, Purpose::Draw).word(0) >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let mut below = 0.0;
        let passed = weights.clone().take_while(|weight| {
            below += weight;
            below <= point
        });
        (passed.count() as u64).min(weights.count().saturating_sub(1) as u64)
    }
}

impl Averaging {
    /// Whether the weights after `epoch` (from 0) of `epochs` enter the average.
    pub fn takes(&self, epoch: u32, epochs: u32) -> bool {
        f64::from(epoch) + 1.0 >= self.start * f64::from(epochs)
    }

    pub(super) fn problems(&self, share: f64, rate: f64) -> Vec<Problem> {
        if let Some(drawn) = self.drawn {
            let possible = drawn.lipschitz.is_finite() && drawn.lipschitz > 0.0 && drawn.weight(share, rate) > 0.0;
            let bound = 2.0 * (1.0 - share) / rate;
            let message =
                format!("must be positive and below 2 (1 - share) / rate = {bound}, is {}: no step could be drawn", drawn.lipschitz);
            let found = (!possible).then(|| Problem { path: "averaging.drawn.lipschitz".to_owned(), message });
            let start = (self.start != 0.0)
                .then(|| Problem { path: "averaging.start".to_owned(), message: "must be left out beside `drawn`".to_owned() });
            return found.into_iter().chain(start).collect();
        }
        if (0.0..1.0).contains(&self.start) {
            return Vec::new();
        }
        let message = format!("must be a fraction of the run, at least 0 and below 1, is {}", self.start);
        vec![Problem { path: "averaging.start".to_owned(), message }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_their_probabilities() {
        let drawn = Drawn { lipschitz: 1.0 };
        // Rates 0.5, 0.25, 1.5 with share 0.25: weights 0.5, 0.3125 and none.
        let rates = [0.5, 0.25, 1.5];
        assert_eq!(rates.map(|rate| drawn.weight(0.25, rate)), [0.5, 0.3125, 0.0]);
        let mut counts = [0_u32; 3];
        for seed in 0..4000 {
            counts[drawn.step(0.25, seed, rates.into_iter()) as usize] += 1;
        }
        // 0.5 / 0.8125 of 4000 is 2461.5, with a standard deviation of 30.8.
        assert_eq!(counts[2], 0);
        assert!((2461 - 124..=2461 + 124).contains(&counts[0]), "{counts:?}");
        // Equal rates: every step alike.
        let mut seen = [0_u32; 8];
        (0..4000).for_each(|seed| seen[drawn.step(0.0, seed, std::iter::repeat_n(0.5, 8)) as usize] += 1);
        assert!(seen.iter().all(|n| (500 - 84..=500 + 84).contains(n)), "{seen:?}");
    }
}
