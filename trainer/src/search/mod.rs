//! Steps that are tried before they are taken: trust regions, and the choice of a precision
//! for each step.
//!
//! A [`Search`] is a state machine over scalars. It asks an [`Objective`] for losses and norms,
//! tells it how far to move, and never sees a tensor; the same machine drives a simulated
//! device, the reference on the host, and functions whose values are known exactly. Losses may
//! be had in several precisions, the *rungs* of a ladder, the cheapest first.

mod error;
mod state;

pub use error::Estimate;
pub use state::{Decision, Moment, Search};

use crate::optimizer::TrustRegion;
use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// A function that is minimised step by step, on one batch of images at a time.
pub trait Objective {
    /// Why a value cannot be had.
    type Error;

    /// Loss and direction at the present point, in the precision of a rung.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn slope(&mut self, rung: usize) -> Result<Slope, Self::Error>;

    /// The loss at the present point, in the precision of a rung.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn loss(&mut self, rung: usize) -> Result<f64, Self::Error>;

    /// Moves by `factor` times the direction of the last slope.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn advance(&mut self, factor: f64) -> Result<(), Self::Error>;

    /// Takes the last advance back, to the bit.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn back(&mut self) -> Result<(), Self::Error>;

    /// The last direction becomes the momentum.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn settle(&mut self) -> Result<(), Self::Error>;

    /// There is no momentum any more.
    ///
    /// # Errors
    /// Whatever prevents it.
    fn forget(&mut self) -> Result<(), Self::Error>;
}

/// What is known of a function at a point, in some precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Its value.
    pub loss: f64,
    /// The norm of the direction G: the gradient g, with momentum if there is any.
    pub norm: f64,
    /// g G.
    pub product: f64,
}

/// In which precision a step is computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// What the error of a loss is held against.
    pub policy: Policy,
    /// How that error is found.
    #[serde(default)]
    pub error: Estimate,
    /// Whether it is that of a loss or of a decrease.
    #[serde(default)]
    pub of: Of,
}

/// What the error of a loss is held against. `predicted` is the decrease that the linear model
/// of a trust region promises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    /// error < accept / 2 predicted, else the step is computed anew on the next rung (Conn,
    /// Gould and Toint 2000, section 10.6): the ratio that decides on the step is then right
    /// about `accept` in spite of two such errors.
    Decrease {
        /// After so many accepted tests in a row one rung down is tried; never where absent.
        #[serde(default)]
        relax: Option<u32>,
    },
    /// The next steps take the cheapest rung with error <= share predicted.
    Storm {
        /// Part of the predicted decrease.
        share: f64,
    },
    /// error <= rate share / 2 |G|^2, else the step is computed anew on the next rung; the next
    /// steps take the cheapest rung that would have done (`sgd`).
    GradientNorm {
        /// Part of the decrease that a step of that rate makes.
        share: f64,
        /// Tests in an epoch; 0: in every step.
        #[serde(default)]
        tests: u32,
    },
}

/// Whose error is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A loss's.
    #[default]
    Absolute,
    /// Half that of the difference of the losses at both ends of a step: what both have in
    /// common does no harm.
    Difference,
}

/// What decides on steps.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The trust region; without one steps have the learning rate's length.
    pub region: Option<TrustRegion>,
    /// The choice of rungs, where there are several.
    pub ladder: Option<&'a Ladder>,
    /// Unit roundoff of the operands of every rung, the cheapest first.
    pub roundoffs: &'a [f64],
}

impl Ladder {
    /// Everything that makes it unusable with `rungs` rungs and, it may be, a trust region.
    pub(crate) fn problems(&self, rungs: usize, region: bool) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push(Problem { path: format!("precision.{field}"), message });
            }
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        match self.policy {
            Policy::Decrease { relax } => {
                require(region, "policy", "`decrease` needs `optimizer.rule: trust_region(...)`".to_owned());
                require(relax != Some(0), "policy.decrease.relax", "must be at least 1, or left out".to_owned());
            }
            Policy::Storm { share } => {
                require(region, "policy", "`storm` needs `optimizer.rule: trust_region(...)`".to_owned());
                require(positive(share), "policy.storm.share", format!("must be positive and finite, is {share}"));
            }
            Policy::GradientNorm { share, .. } => {
                require(!region, "policy", "`gradient_norm` needs `optimizer.rule: sgd`".to_owned());
                require(positive(share), "policy.gradient_norm.share", format!("must be positive and finite, is {share}"));
            }
        }
        let decrease = matches!(self.policy, Policy::Decrease { .. });
        require(
            decrease || self.of == Of::Absolute,
            "of",
            "must be `absolute` but under the policy `decrease`, which alone has both ends of a step".to_owned(),
        );
        found.extend(self.error.problems(rungs, self.of));
        found
    }
}

#[cfg(test)]
mod tests;
