//! How far a loss in some precision may be off.

use super::Of;
use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// How the error of a loss is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Estimate {
    /// By computing the loss on the next finer rung too: `factor` times the largest distance of
    /// the last `window` such pairs. The finest rung counts as right but for its roundoff.
    Probe {
        /// Every so many tests a pair is computed.
        #[serde(default = "every")]
        every: u32,
        /// Pairs that are remembered.
        #[serde(default = "window")]
        window: u32,
        /// Factor of the largest.
        #[serde(default = "factor")]
        factor: f64,
    },
    /// `factor` times the unit roundoff of the rung's operands times |loss|.
    Roundoff {
        /// Factor.
        factor: f64,
    },
    /// Given, for every rung.
    Fixed(Vec<f64>),
}

const fn every() -> u32 {
    10
}

const fn window() -> u32 {
    8
}

const fn factor() -> f64 {
    1.5
}

impl Default for Estimate {
    fn default() -> Self {
        Self::Probe { every: every(), window: window(), factor: factor() }
    }
}

impl Estimate {
    pub(super) fn problems(&self, rungs: usize, of: Of) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push(Problem { path: format!("precision.error.{field}"), message });
            }
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        match self {
            Self::Probe { every, window, factor } => {
                require(*every >= 1, "probe.every", "must be at least 1".to_owned());
                require((1..=1024).contains(window), "probe.window", format!("must be 1 to 1024, is {window}"));
                require(positive(*factor), "probe.factor", format!("must be positive and finite, is {factor}"));
            }
            Self::Roundoff { factor } => {
                require(positive(*factor), "roundoff.factor", format!("must be positive and finite, is {factor}"));
                require(of == Of::Absolute, "roundoff", "says nothing about differences; use `probe` or `fixed` with them".to_owned());
            }
            Self::Fixed(errors) => {
                require(errors.len() == rungs, "fixed", format!("must have an error for each of {rungs} rungs, has {}", errors.len()));
                let fine = errors.iter().all(|e| e.is_finite() && *e >= 0.0);
                require(fine, "fixed", format!("must be finite and at least 0, is {errors:?}"));
            }
        }
        found
    }
}
