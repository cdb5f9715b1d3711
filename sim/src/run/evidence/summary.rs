//! Evidence of many steps in a few numbers.

use super::Line;
use serde::Serialize;
use systole_isa::device::{SumCounts, SumPlace};
use systole_isa::format::Format;
use systole_trainer::training::{SumEvidence, TensorEvidence};

/// Roles in the order of reports.
const ROLES: [&str; 9] =
    ["weights", "activations", "errors", "weight_gradients", "master_weights", "momentum", "variance", "compensation", "steps"];

/// Counts of tensors over the observed steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// The role.
    pub role: String,
    /// The layer; empty for all of them.
    pub layer: String,
    /// Which of the layer's tensors in that role.
    pub index: usize,
    /// The part of the step; empty for all of them.
    pub pass: String,
    /// Formats, in order of appearance.
    pub formats: Vec<String>,
    /// Elements of all steps.
    pub elements: u64,
    /// Share of elements that saturated, and the largest of one tensor in one step; absent where
    /// that is not counted.
    pub saturated: Option<Share>,
    /// Share that became 0.
    pub underflows: Share,
    /// Share that became subnormal; absent as above.
    pub subnormals: Option<Share>,
    /// Values that are NaN or infinite once rounded.
    pub not_finite: u64,
    /// Least and largest amax of one tensor in one step.
    pub amax: Option<[f64; 2]>,
    /// Least and largest scale.
    pub scale: Option<[f64; 2]>,
    /// Mean and largest relative error (root of mean squares) of one tensor in one step.
    pub error: Option<Mean>,
    /// Largest relative error of an element that neither saturated nor became 0.
    pub largest_error: Option<f64>,
    /// Share of weights that changed from one step to the next.
    pub flips: Option<Share>,
    /// Share of weights that changed back to what they were two steps before.
    pub reversals: Option<Share>,
}

/// A share of elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    #[serde(skip)]
    count: u64,
    #[serde(skip)]
    of: u64,
    /// Over all.
    pub mean: f64,
    /// Largest of one tensor in one step.
    pub worst: f64,
}

impl Share {
    fn add(&mut self, count: u64, of: u64) {
        self.count += count;
        self.of += of;
        self.mean = self.count as f64 / self.of.max(1) as f64;
        self.worst = self.worst.max(count as f64 / of.max(1) as f64);
    }
}

/// A mean with its extremes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    #[serde(skip)]
    count: u64,
    #[serde(skip)]
    sum: f64,
    /// The mean.
    pub mean: f64,
    /// The least.
    pub least: f64,
    /// The largest.
    pub largest: f64,
}

impl Mean {
    fn with(before: Option<Self>, x: f64) -> Self {
        let Self { count, sum, least, largest, .. } = before.unwrap_or(Self { count: 0, sum: 0.0, mean: 0.0, least: x, largest: x });
        let (count, sum) = (count + 1, sum + x);
        Self { count, sum, mean: sum / count as f64, least: least.min(x), largest: largest.max(x) }
    }
}

/// A layer's weight gradients over the observed steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LayerSummary {
    /// The layer.
    pub layer: String,
    /// Cosine of the angle between the array's gradient and that of operands before rounding.
    pub cosine: Option<Mean>,
    /// Norm of their difference over the norm of the latter.
    pub error: Option<Mean>,
    /// The same against the gradient of operands as the array took them.
    pub array_error: Option<Mean>,
}

/// Partial sums over the observed steps, in one place and format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SumSummary {
    /// The layer; empty for all of them.
    pub layer: String,
    /// The part of the step.
    pub pass: String,
    /// Where they stand.
    pub place: SumPlace,
    /// Their format.
    pub format: Format,
    /// Additions.
    pub additions: u64,
    /// Share of additions of something that changed nothing, and the largest of one layer in one step.
    pub swamped: Share,
    /// Overflows of products and sums.
    pub overflows: u64,
    /// Sums that are NaN or infinite.
    pub not_finite: u64,
    /// Least and largest exponent of finite sums other than 0.
    pub exponents: Option<[i32; 2]>,
}

impl SumSummary {
    fn of_nothing(pass: &str, sums: &SumCounts) -> Self {
        Self {
            layer: String::new(),
            pass: pass.to_owned(),
            place: sums.place,
            format: sums.format,
            additions: 0,
            swamped: Share::default(),
            overflows: 0,
            not_finite: 0,
            exponents: None,
        }
    }

    fn add(&mut self, sums: &SumCounts) {
        self.additions += sums.additions;
        self.swamped.add(sums.swamped, sums.additions);
        self.overflows += sums.overflows;
        self.not_finite += sums.nans + sums.infinities;
        if let (Some((low, _)), Some((high, _))) = (sums.exponents.first(), sums.exponents.last()) {
            let [least, largest] = self.exponents.unwrap_or([*low, *high]);
            self.exponents = Some([least.min(*low), largest.max(*high)]);
        }
    }
}

/// MACs of one mode over the observed steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModeSummary {
    /// Index in the design.
    pub mode: usize,
    /// Operands.
    pub operands: String,
    /// MACs spent.
    pub macs: u64,
    /// Of all MACs spent.
    pub share: f64,
}

/// Evidence of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Observed steps.
    pub steps: u64,
    /// The first of them.
    pub first_step: u64,
    /// The last.
    pub last_step: u64,
    /// Steps among them that did not move the weights.
    pub skipped: u64,
    /// By role.
    pub roles: Vec<Counts>,
    /// By role, layer, tensor and pass.
    pub tensors: Vec<Counts>,
    /// Weight gradients by layer, in the model's order.
    pub gradients: Vec<LayerSummary>,
    /// Partial sums by part of the step.
    pub sums: Vec<SumSummary>,
    /// The same by layer and part.
    pub layer_sums: Vec<SumSummary>,
    /// MACs asked for.
    pub macs: u64,
    /// MACs spent.
    pub macs_spent: u64,
    /// By mode.
    pub modes: Vec<ModeSummary>,
    /// Energy of a step, pJ, the mean of those observed.
    pub energy_pj_per_step: f64,
}

fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap_or(ROLES.len())
}

fn widen(range: &mut Option<[f64; 2]>, with: Option<[f64; 2]>) {
    if let Some([low, high]) = with {
        let [least, largest] = range.unwrap_or([low, high]);
        *range = Some([least.min(low), largest.max(high)]);
    }
}

impl Counts {
    fn add(&mut self, tensor: &TensorEvidence) {
        let n = tensor.elements;
        if !self.formats.contains(&tensor.format) {
            self.formats.push(tensor.format.clone());
        }
        self.elements += n;
        let share = |share: &mut Option<Share>, count: Option<u64>| {
            if let Some(count) = count {
                share.get_or_insert_default().add(count, n);
            }
        };
        share(&mut self.saturated, tensor.saturated);
        share(&mut self.subnormals, tensor.subnormals);
        share(&mut self.flips, tensor.flips);
        share(&mut self.reversals, tensor.reversals);
        self.underflows.add(tensor.underflows, n);
        self.not_finite += tensor.nans + tensor.infinities;
        widen(&mut self.amax, tensor.amax.map(|amax| [amax; 2]));
        widen(&mut self.scale, tensor.scale);
        self.error = tensor.error.map_or(self.error, |error| Some(Mean::with(self.error, error)));
        self.largest_error = match (self.largest_error, tensor.largest_error) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }

    /// Whether it is of this tensor.
    fn is_of(&self, tensor: &TensorEvidence) -> bool {
        (&self.role, &self.layer, self.index, &self.pass) == (&tensor.role, &tensor.layer, tensor.index, &tensor.pass)
    }
}

fn found<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let at = all.iter().position(is).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    });
    &mut all[at]
}

impl Summary {
    /// Takes in a step.
    pub fn add(&mut self, line: &Line) {
        let evidence = &line.evidence;
        if self.steps == 0 {
            self.first_step = evidence.step;
        }
        self.steps += 1;
        self.last_step = evidence.step;
        self.skipped += u64::from(!evidence.moved);
        for tensor in &evidence.tensors {
            let role = || Counts { role: tensor.role.clone(), ..Counts::default() };
            found(&mut self.roles, |counts| counts.role == tensor.role, role).add(tensor);
            let one = || Counts { layer: tensor.layer.clone(), index: tensor.index, pass: tensor.pass.clone(), ..role() };
            found(&mut self.tensors, |counts| counts.is_of(tensor), one).add(tensor);
        }
        // The last layer's gradient is made first.
        for gradient in evidence.gradients.iter().rev() {
            let new = || LayerSummary { layer: gradient.layer.clone(), ..LayerSummary::default() };
            let of_layer = found(&mut self.gradients, |known| known.layer == gradient.layer, new);
            for (mean, x) in [
                (&mut of_layer.cosine, gradient.cosine),
                (&mut of_layer.error, gradient.error),
                (&mut of_layer.array_error, gradient.array_error),
            ] {
                *mean = x.map_or(*mean, |x| Some(Mean::with(*mean, x)));
            }
        }
        for SumEvidence { layer, pass, sums } in &evidence.sums {
            let is_of = |known: &SumSummary| (&known.pass, known.place, known.format) == (pass, sums.place, sums.format);
            let new = || SumSummary::of_nothing(pass, sums);
            found(&mut self.sums, is_of, new).add(sums);
            let of_layer = || SumSummary { layer: layer.clone(), ..new() };
            found(&mut self.layer_sums, |known| known.layer == *layer && is_of(known), of_layer).add(sums);
        }
        let cost = &line.cost;
        self.macs += cost.macs;
        self.macs_spent += cost.macs_spent;
        self.energy_pj_per_step += (cost.energy_pj - self.energy_pj_per_step) / self.steps as f64;
        for mode in &cost.modes {
            let new = || ModeSummary { mode: mode.mode, operands: mode.operands.clone(), macs: 0, share: 0.0 };
            found(&mut self.modes, |known| known.mode == mode.mode, new).macs += mode.macs;
        }
        let spent = self.macs_spent.max(1) as f64;
        self.modes.iter_mut().for_each(|mode| mode.share = mode.macs as f64 / spent);
        self.modes.sort_by_key(|mode| mode.mode);
        // Stable: layers stay in the order of the step.
        self.roles.sort_by_key(|counts| rank(&counts.role));
        self.tensors.sort_by_key(|counts| rank(&counts.role));
    }

    /// Least cosine of a layer's gradient in a step, and the layer it is of.
    pub fn least_cosine(&self) -> Option<(f64, &str)> {
        let all = self.gradients.iter().filter_map(|g| Some((g.cosine?.least, g.layer.as_str())));
        all.min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Mean cosine over layers and steps.
    pub fn mean_cosine(&self) -> Option<f64> {
        let means: Vec<Mean> = self.gradients.iter().filter_map(|g| g.cosine).collect();
        let count: u64 = means.iter().map(|m| m.count).sum();
        (count > 0).then(|| means.iter().map(|m| m.sum).sum::<f64>() / count as f64)
    }
}
