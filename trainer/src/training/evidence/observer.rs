//! Who looks at a step.

use super::matrix::{cosine, difference, transposed_product};
use super::reading::Memory;
use super::tally::{Bounds, Tally};
use super::{GradientEvidence, TensorEvidence};
use crate::lower::{Coded, Compiled, GradientProduct, Rounding, Tensor};
use crate::recipe::Scale;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use systole_isa::device::{Device, DeviceError};
use systole_isa::format::Format;
use systole_isa::view::TensorView;

/// Steps before an observed one whose weights are kept.
const KEPT: u64 = 2;

/// Looks at some of the steps, and keeps what these are compared with.
pub(crate) struct Observer {
    every: NonZeroU64,
    /// Tensors that last, and are rounded or taken before the update changes them.
    lasting: Vec<Tensor>,
    /// Their codes when the step began.
    before: Vec<(Tensor, Vec<u64>)>,
    /// Weights as products took them in the latest steps, in the order of their roundings.
    weights: VecDeque<(u64, Vec<Vec<f64>>)>,
}

/// A step whose programs have run.
struct Look<'a> {
    step: u64,
    moved: bool,
    compiled: &'a Compiled,
    /// The memory before and after the update.
    early: Memory<'a>,
    late: Memory<'a>,
}

impl<'a> Look<'a> {
    /// The memory that a rounding left.
    fn memory(&self, rounding: &Rounding) -> &Memory<'a> {
        if is_late(rounding) { &self.late } else { &self.early }
    }
}

/// What is seen of a step.
type Seen = (Vec<TensorEvidence>, Vec<GradientEvidence>);

/// Whether a rounding is the update's.
fn is_late(rounding: &Rounding) -> bool {
    rounding.pass == "update"
}

fn weights_of(compiled: &Compiled) -> impl Iterator<Item = &Rounding> {
    compiled.watched.roundings.iter().filter(|rounding| rounding.role == "weights")
}

/// Tensors of one kind, counted together.
struct Counted<'a> {
    first: &'a Rounding,
    format: Format,
    is_linear: bool,
    tally: Tally,
    range: Option<[f64; 2]>,
    flips: Option<u64>,
    reversals: Option<u64>,
}

impl Observer {
    pub(crate) fn new(every: NonZeroU64, compiled: &Compiled) -> Self {
        let bytes = |t: &Tensor| t.address..t.address + t.elements() as u64 * u64::from(t.format.storage_bytes());
        let read: Vec<u64> = (compiled.watched.roundings.iter())
            .filter(|rounding| !is_late(rounding))
            .flat_map(|rounding| [rounding.source.view.address, rounding.coded.elements.address])
            .collect();
        let all = compiled.parameters.iter().flatten().flat_map(|parameter| parameter.lasting());
        let lasting = all.filter(|tensor| read.iter().any(|address| bytes(tensor).contains(address))).collect();
        Self { every, lasting, before: Vec::new(), weights: VecDeque::new() }
    }

    /// The weights to come are not to be compared with those before.
    pub(crate) fn forget(&mut self) {
        self.weights.clear();
    }

    pub(crate) const fn looks(&self, step: u64) -> bool {
        step.is_multiple_of(self.every.get())
    }

    fn keeps(&self, step: u64) -> bool {
        (step..=step + KEPT).any(|step| self.looks(step))
    }

    /// Before the programs of a step, counted from 1, run.
    pub(crate) fn before(&mut self, step: u64, device: &dyn Device) -> Result<(), DeviceError> {
        self.before.clear();
        if self.keeps(step) {
            for tensor in &self.lasting {
                self.before.push((*tensor, device.read(tensor.address, tensor.format, tensor.elements())?));
            }
        }
        Ok(())
    }

    /// After they have run, before anything else is written; `moved`: the update's too.
    pub(crate) fn after(&mut self, step: u64, moved: bool, device: &dyn Device, compiled: &Compiled) -> Result<Option<Seen>, DeviceError> {
        if !self.keeps(step) {
            return Ok(None);
        }
        let [early, late] = [&self.before[..], &[]].map(|before| Memory { device, before });
        let look = Look { step, moved, compiled, early, late };
        let of_weights = weights_of(compiled).map(|r| Ok(look.memory(r).decode(&r.taken)?.values));
        let weights = of_weights.collect::<Result<Vec<_>, DeviceError>>()?;
        let seen = if self.looks(step) {
            let gradients = gradients(&look.early, compiled)?;
            let tensors = self.tensors(&look, &gradients, &weights)?;
            Some((tensors, gradients.into_iter().map(|gradient| gradient.evidence).collect()))
        } else {
            None
        };
        self.weights.push_back((step, weights));
        while self.weights.len() > KEPT as usize {
            self.weights.pop_front();
        }
        Ok(seen)
    }

    fn tensors(&self, look: &Look<'_>, gradients: &[Gradient], weights: &[Vec<f64>]) -> Result<Vec<TensorEvidence>, DeviceError> {
        let mut counted: Vec<Counted<'_>> = Vec::new();
        let mut of_weights = weights.iter().enumerate();
        for rounding in &look.compiled.watched.roundings {
            let weights = if rounding.role == "weights" { of_weights.next() } else { None };
            if is_late(rounding) && !look.moved {
                continue;
            }
            let key = |r: &Rounding| (r.layer, r.role, r.index, r.pass.clone());
            let at = counted.iter().position(|known| key(known.first) == key(rounding)).unwrap_or_else(|| {
                counted.push(Counted::new(rounding));
                counted.len() - 1
            });
            let counted = &mut counted[at];
            counted.count(rounding, look.memory(rounding), gradients)?;
            if let Some((at, now)) = weights {
                counted.compare(now, [1, 2].map(|ago| self.weights_of_step(look.step.saturating_sub(ago), at)));
            }
        }
        Ok(counted.into_iter().map(|counted| counted.evidence(look.compiled)).collect())
    }

    fn weights_of_step(&self, step: u64, at: usize) -> Option<&Vec<f64>> {
        self.weights.iter().find(|(of, _)| *of == step).and_then(|(_, weights)| weights.get(at))
    }
}

impl<'a> Counted<'a> {
    fn new(first: &'a Rounding) -> Self {
        let squeezed = first.format.scale == Scale::Squeeze;
        let format = if squeezed { first.format.format } else { first.coded.elements.format };
        Self { first, format, is_linear: false, tally: Tally::default(), range: None, flips: None, reversals: None }
    }

    fn count(&mut self, rounding: &Rounding, memory: &Memory<'_>, gradients: &[Gradient]) -> Result<(), DeviceError> {
        let coded = memory.decode(&rounding.coded)?;
        let expanded = (rounding.taken.elements != rounding.coded.elements).then(|| memory.decode(&rounding.taken)).transpose()?;
        let squeezed = rounding.format.scale == Scale::Squeeze;
        let taken = expanded.as_ref().map_or(&coded.values, |expanded| &expanded.values);
        let bounds = Bounds::of(self.format);
        let scale = |i: usize| if squeezed { None } else { coded.scale(i) };
        self.is_linear = scale(0).is_some();
        let mut add = |i: usize, x: f64| {
            let code = scale(i).map(|scale| (coded.codes[i], scale, &bounds));
            self.tally.add(x, taken[i], code);
        };
        // What leaves the array in the role was never in memory before.
        match gradients.iter().find(|gradient| gradient.made == rounding.coded.elements) {
            Some(gradient) => gradient.taken.iter().enumerate().for_each(|(i, &x)| add(i, x)),
            None => {
                let source = memory.source(&rounding.source)?;
                let cols = source.view.cols;
                (0..source.view.rows).for_each(|row| {
                    (0..cols).for_each(|col| add((row * cols + col) as usize, source.at(row, col)));
                });
            }
        }
        if let (Some([least, largest]), false) = (coded.range, squeezed) {
            self.range = Some(self.range.map_or([least, largest], |[low, high]| [low.min(least), high.max(largest)]));
        }
        Ok(())
    }

    /// Counts values that are others than those of the step before.
    fn compare(&mut self, now: &[f64], [before, earlier]: [Option<&Vec<f64>>; 2]) {
        let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
        let Some(before) = before else { return };
        let flipped = || now.iter().zip(before).enumerate().filter(|&(_, (&now, &before))| !same(now, before));
        *self.flips.get_or_insert(0) += flipped().count() as u64;
        let Some(earlier) = earlier else { return };
        let back = flipped().filter(|&(i, (&now, _))| earlier.get(i).is_some_and(|&earlier| same(now, earlier)));
        *self.reversals.get_or_insert(0) += back.count() as u64;
    }

    fn evidence(self, compiled: &Compiled) -> TensorEvidence {
        let Self { first, format, is_linear, tally, range, flips, reversals } = self;
        let limit = range.map(|[_, largest]| Bounds::of(format).largest * largest);
        TensorEvidence {
            layer: compiled.layers.get(first.layer).cloned().unwrap_or_default(),
            role: first.role.to_owned(),
            index: first.index,
            pass: first.pass.clone(),
            format: format.to_string(),
            elements: tally.elements,
            saturated: is_linear.then_some(tally.saturated),
            underflows: tally.underflows,
            subnormals: is_linear.then_some(tally.subnormals),
            nans: tally.nans,
            infinities: tally.infinities,
            not_finite: tally.not_finite,
            amax: tally.amax(),
            scale: range.filter(|range| range.iter().all(|scale| scale.is_finite())),
            limit: limit.filter(|limit| is_linear && limit.is_finite()),
            error: tally.error(),
            largest_error: tally.largest_error(),
            exponents: tally.exponents.into_iter().collect(),
            flips,
            reversals,
        }
    }
}

/// A layer's weight gradient.
struct Gradient {
    evidence: GradientEvidence,
    made: Tensor,
    /// The product of the operands as the array took them.
    taken: Vec<f64>,
}

fn gradients(memory: &Memory<'_>, compiled: &Compiled) -> Result<Vec<Gradient>, DeviceError> {
    let of = |product: &GradientProduct| {
        let [errors, activations] = &product.sources;
        let exact = transposed_product(&memory.source(errors)?, &memory.source(activations)?);
        let [a, b] = &product.taken;
        let seen = |(coded, view): &(Coded, TensorView)| Ok::<_, DeviceError>(memory.decode(coded)?.matrix(coded.elements, *view));
        let taken = transposed_product(&seen(a)?, &seen(b)?);
        let made = memory.tensor(product.made)?;
        let evidence = GradientEvidence {
            layer: compiled.layers.get(product.layer).cloned().unwrap_or_default(),
            elements: made.len() as u64,
            cosine: cosine(&made, &exact),
            error: difference(&made, &exact),
            array_error: difference(&made, &taken),
        };
        Ok(Gradient { evidence, made: product.made, taken })
    };
    compiled.watched.gradients.iter().map(of).collect()
}
