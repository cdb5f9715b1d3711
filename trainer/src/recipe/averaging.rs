//! Averages of the weights over the end of a run.

use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// Stochastic weight averaging (Izmailov et al. 2018): from some epoch on the weights are
/// averaged at the end of each, and the averages are what is evaluated. Averages are held and
/// evaluated in the vector role's format, products included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Averaging {
    /// Averaging begins after this fraction of the epochs.
    pub start: f64,
    /// Name of the design's MAC mode operands that the averaged model's products take: the
    /// vector role's format unless said.
    #[serde(default)]
    pub operands: Option<systole_isa::format::Format>,
}

impl Averaging {
    /// Whether the weights after `epoch` (from 0) of `epochs` enter the average.
    pub fn takes(&self, epoch: u32, epochs: u32) -> bool {
        f64::from(epoch) + 1.0 >= self.start * f64::from(epochs)
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        if (0.0..1.0).contains(&self.start) {
            return Vec::new();
        }
        let message = format!("must be a fraction of the run, at least 0 and below 1, is {}", self.start);
        vec![Problem { path: "averaging.start".to_owned(), message }]
    }
}
