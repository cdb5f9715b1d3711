//! What a training step did to its numbers: roundings, scales, gradients, weights that moved.
//!
//! Evidence is read out of the device's memory once a step's programs have run, and worked out on
//! the host in binary64, sums in the order of the elements; of partial sums, which are never in
//! memory, the device tells. It is no work of the hardware: bits, cycles and events are those of a
//! run that nobody watches.

mod matrix;
mod observer;
mod reading;
mod tally;

pub(super) use observer::Observer;

use crate::search::Decision;
use serde::{Deserialize, Serialize};
use systole_isa::device::{Record, RegionRecord, SumCounts};

/// One observed training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The step, counted over the run from 1.
    pub step: u64,
    /// Its epoch, from 1.
    pub epoch: u32,
    /// Mean loss of the batch; absent if it is not finite.
    pub loss: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// What the loss was multiplied by.
    pub loss_scale: f64,
    /// Whether the weights moved: a dynamic loss scale skips steps whose gradients overflow, and
    /// tests refuse some.
    pub moved: bool,
    /// The rung of the ladder on which the step was computed, from 0, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<usize>,
    /// The test of the step, if it was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Decision>,
    /// Tensors rounded to roles, in the order of the step.
    pub tensors: Vec<TensorEvidence>,
    /// Weight gradients of layers with products, the last layer's first.
    pub gradients: Vec<GradientEvidence>,
    /// Partial sums of [`LOOKED_AT`] outputs of each product, in the order of the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<SumEvidence>,
}

/// Outputs of a product whose partial sums evidence has.
pub const LOOKED_AT: u64 = 64;

/// Partial sums of a layer's products in a part of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumEvidence {
    /// The layer.
    pub layer: String,
    /// The part of the step: `forward`, `error`, `gradient`, ...
    pub pass: String,
    /// What was seen of its sums.
    #[serde(flatten)]
    pub sums: SumCounts,
}

impl SumEvidence {
    /// Takes what a step's record has of them.
    pub(super) fn take(record: &mut Record) -> Vec<Self> {
        let of_region = |region: &mut RegionRecord| {
            let (layer, pass) = region.name.rsplit_once(' ').unwrap_or(("", &region.name));
            let sums = std::mem::take(&mut region.sums);
            sums.into_iter().map(|sums| Self { layer: layer.to_owned(), pass: pass.to_owned(), sums }).collect::<Vec<_>>()
        };
        record.regions.iter_mut().flat_map(of_region).collect()
    }
}

impl Evidence {
    /// Of a step, counted from 0, of an epoch, counted from 0, of which nothing was seen yet.
    pub(super) const fn of_step(step: u64, epoch: u32) -> Self {
        Self {
            step: step + 1,
            epoch: epoch + 1,
            loss: None,
            learning_rate: 0.0,
            loss_scale: 1.0,
            moved: true,
            rung: None,
            test: None,
            tensors: Vec::new(),
            gradients: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// Tensors of a layer that were rounded to a role: x before, q what products or the optimizer take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorEvidence {
    /// The layer.
    pub layer: String,
    /// The role, by its name in recipes.
    pub role: String,
    /// Which of the layer's tensors in that role.
    pub index: usize,
    /// The part of the step that rounded it: `forward`, `error`, `gradient` or `update`. Operands
    /// in blocks are cut by each product.
    pub pass: String,
    /// Format of the codes.
    pub format: String,
    /// Elements.
    pub elements: u64,
    /// Finite x beyond the format's largest number by half a unit in the last place or more, in
    /// units of the scale: what would not round to nearest to that number. Absent where codes are
    /// no multiples of the values (`squeeze`, `map`, `expansion`).
    pub saturated: Option<u64>,
    /// x other than 0 whose q is 0.
    pub underflows: u64,
    /// q other than 0 whose codes are below the format's least normal number; absent as above.
    pub subnormals: Option<u64>,
    /// q that are NaN.
    pub nans: u64,
    /// q that are infinite.
    pub infinities: u64,
    /// x that are NaN or infinite.
    pub not_finite: u64,
    /// Largest magnitude of the finite x.
    pub amax: Option<f64>,
    /// Least and largest number that codes are multiplied by to give values: the same where the
    /// tensor has one scale. Absent under `squeeze` and `expansion`.
    pub scale: Option<[f64; 2]>,
    /// The format's largest number times the largest scale; absent where `saturated` is.
    pub limit: Option<f64>,
    /// Root of the sum of (q - x)^2 over that of x^2, of finite x and q; 0 if all are 0.
    pub error: Option<f64>,
    /// Largest |q - x| / |x| of finite x that neither saturated nor became 0.
    pub largest_error: Option<f64>,
    /// Numbers of finite x other than 0 by exponent, floor(log2 |x|), ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exponents: Vec<(i32, u64)>,
    /// Weights only: q that differ from those of the step before. Absent where that was not seen.
    pub flips: Option<u64>,
    /// Weights only: flips back to the value of two steps before.
    pub reversals: Option<u64>,
}

/// A layer's weight gradient as the array made it, against binary64 products.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradientEvidence {
    /// The layer.
    pub layer: String,
    /// Elements.
    pub elements: u64,
    /// Cosine of the angle between the array's gradient and the product of the operands before they
    /// were rounded. Absent if either is 0 or not finite.
    pub cosine: Option<f64>,
    /// Norm of their difference over that of the product.
    pub error: Option<f64>,
    /// The same against the product of the operands as the array took them: what its products,
    /// sums and results were rounded by.
    pub array_error: Option<f64>,
}

/// A number as JSON can hold it.
fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}
