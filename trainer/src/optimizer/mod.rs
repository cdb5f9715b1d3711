//! What an optimizer is: the rule that moves the weights, and its rate over a run.
//!
//! The same specification drives the reference ([`crate::host`]) and the instructions that
//! [`crate::lower`] writes; only the latter know formats, compensation and stored states.

mod adam;
mod schedule;
mod trust_region;

pub use adam::AdamScalars;
pub use schedule::Schedule;
pub use trust_region::{PredictedBy, TrustRegion};

use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// A rule with its rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// How weights move.
    #[serde(default)]
    pub rule: Rule,
    /// Learning rate that the schedule scales; a trust region has a radius instead.
    #[serde(default)]
    pub learning_rate: f64,
    /// Part of the momentum kept from one step to the next (`sgd`).
    #[serde(default)]
    pub momentum: f64,
    /// Factor of the weight in its own decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// Which weight decays.
    #[serde(default)]
    pub decayed: Decayed,
    /// The rate over a run.
    #[serde(default)]
    pub schedule: Schedule,
    /// What is done about the rounding of the weights themselves.
    #[serde(default)]
    pub compensation: Compensation,
}

/// How weights move. g is the gradient, without the loss scale; all states begin at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// v <- momentum v + (g + decay w), w <- w - rate v.
    #[default]
    Sgd,
    /// m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2,
    /// w <- w - rate m^ / (sqrt(v^) + epsilon), with m^ = m / (1 - beta1^t) and
    /// v^ = v / (1 - beta2^t) in step t = 1, 2, ... (Kingma and Ba 2015). Evaluated as
    /// w <- w + s m / (sqrt v + c epsilon) with c = sqrt(1 - beta2^t), s = -rate c / (1 - beta1^t).
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Whether the moments are corrected for their start at 0.
        #[serde(default = "yes")]
        bias_correction: bool,
        /// True: the weight decays by itself, w <- w (1 - rate decay), after the step
        /// (Loshchilov and Hutter 2019). False: the decay is part of g.
        #[serde(default)]
        decoupled: bool,
    },
    /// v <- momentum v + (g + decay w), w <- w - radius v / |v|, and the radius goes by how
    /// much of the decrease that a linear model promises is found.
    TrustRegion(TrustRegion),
}

const fn yes() -> bool {
    true
}

/// Which weight decays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decayed {
    /// The master copy.
    #[default]
    Master,
    /// The weight as the products took it.
    Operand,
}

/// What is done about the rounding of the weights. Its state has the format of the role
/// `compensation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensation {
    /// Nothing: what the master format cannot hold is lost.
    #[default]
    None,
    /// Kahan's: the part of each step that was lost is taken off the next.
    Kahan,
    /// The weight is kept as its operand plus a rounded remainder.
    Residual,
    /// The step is rounded as the role `steps` says; what that loses is added to the next.
    ErrorFeedback,
}

impl Optimizer {
    /// Whether a tensor of momentum (first moments) is kept.
    pub const fn has_momentum(&self) -> bool {
        match self.rule {
            Rule::Sgd | Rule::TrustRegion(_) => self.momentum != 0.0,
            Rule::Adam { .. } => true,
        }
    }

    /// The learning rate of `step` (from 0) of a run of `steps` in `epochs`.
    pub fn rate(&self, step: u64, steps: u64, epochs: u32) -> f64 {
        self.learning_rate * self.schedule.factor(step, steps, epochs)
    }

    /// Everything that makes it unusable.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push(Problem { path: format!("optimizer.{field}"), message });
            }
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let fraction = |x: f64| (0.0..1.0).contains(&x);
        let rate = self.learning_rate;
        if let Rule::TrustRegion(_) = self.rule {
            require(rate == 0.0, "learning_rate", format!("must be left out under `trust_region`, which has a radius, is {rate}"));
            let schedule = self.schedule == Schedule::Constant;
            require(schedule, "schedule", "must be `constant` under `trust_region`, whose radius goes by itself".to_owned());
            let none = self.compensation == Compensation::None;
            require(none, "compensation", "must be `none` under `trust_region`, which takes steps back".to_owned());
        } else {
            require(positive(rate) && rate <= f64::from(f32::MAX), "learning_rate", format!("must be positive and finite, is {rate}"));
        }
        for (value, field) in [(self.momentum, "momentum"), (self.weight_decay, "weight_decay")] {
            require(fraction(value), field, format!("must be at least 0 and below 1, is {value}"));
        }
        if let Rule::Adam { beta1, beta2, epsilon, .. } = self.rule {
            for (value, field) in [(beta1, "rule.adam.beta1"), (beta2, "rule.adam.beta2")] {
                require(fraction(value), field, format!("must be at least 0 and below 1, is {value}"));
            }
            require(positive(epsilon), "rule.adam.epsilon", format!("must be positive, is {epsilon}"));
            require(self.momentum == 0.0, "momentum", format!("must be 0 under `adam`, whose momentum is beta1, is {}", self.momentum));
            require(
                self.compensation != Compensation::ErrorFeedback,
                "compensation",
                "error feedback rounds the step of `sgd`; use `none`, `kahan` or `residual` with `adam`".to_owned(),
            );
        }
        if let Rule::TrustRegion(region) = self.rule {
            found.extend(region.problems());
        }
        found.extend(self.schedule.problems());
        found
    }
}
