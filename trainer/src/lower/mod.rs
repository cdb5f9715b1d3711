//! Lowering: a model's training step as programs for a device.
//!
//! [`compile`] places every tensor in DRAM and writes programs: a training step (forward, loss,
//! both backward products, elementwise work, update), an evaluation batch, and what a recipe
//! asks for beside. The host writes images, one-hot labels and the scalars of [`Scalar`], runs,
//! and reads logits, loss and largest magnitudes; it computes nothing on tensors. Where a
//! tensor enters a product it is first rounded to its role's format; all else is held in
//! the vector role's format.

mod affine;
mod attention;
mod average;
mod check;
mod coded;
mod emitter;
mod error;
mod hadamard;
mod layer_norm;
mod loss;
mod memory;
mod normalise;
mod operand;
mod pointwise;
mod recompute;
mod residual;
mod round_trip;
mod search;
mod update;
mod walk;
mod watched;

pub use coded::Followed;
pub(crate) use coded::{Coded, Scaling, top_exponent};
pub use error::LowerError;
pub use hadamard::{Transform, transform};
pub use memory::Tensor;
pub use operand::mode as product_mode;
pub use round_trip::{RoundTrip, round_trip};
pub use search::{Rung, Trials};
pub(crate) use watched::{GradientProduct, Rounding, Source, Watched};

use crate::model::{Layer, Model};
use crate::optimizer::{Compensation, Rule};
use crate::recipe::{LossScale, Recipe, RoleFormat, Roles};
use check::check;
use coded::Place;
use emitter::Emitter;
use memory::Memory;
use operand::Cut;
use recompute::Again;
use std::collections::BTreeMap;
use systole_isa::design::Design;
use systole_isa::format::Format;
use systole_isa::program::Program;
use systole_isa::round::{self, Policy};

/// A model ready to train on a device.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What a training step runs.
    pub step: Step,
    /// One evaluation batch: forward only.
    pub evaluate: Program,
    /// What puts the states into their formats, once the host has written initial weights.
    pub initialise: Program,
    /// Averages of the weights, where the recipe has them.
    pub average: Option<Average>,
    /// What steps are made of that are tried before they are taken; `step` is empty then.
    pub trials: Option<Trials>,
    /// Images of a batch, `[(n, h, w)][c]`, in the vector role's format.
    pub images: Tensor,
    /// One-hot labels, `[(n, h, w)][classes]`, in the vector role's format; h and w are 1 where an
    /// image has one label.
    pub labels: Tensor,
    /// Logits, likewise.
    pub logits: Tensor,
    /// Mean loss of the last training step, one element.
    pub loss: Tensor,
    /// The largest magnitude of any weight gradient, one element, where steps depend on it.
    pub overflow: Option<Tensor>,
    /// Scalars the host writes before a step.
    pub scalars: Vec<(Scalar, Tensor)>,
    /// Scales the host follows from step to step.
    pub followed: Vec<Followed>,
    /// Parameters and their states, by layer.
    pub(crate) parameters: Vec<Vec<Parameter>>,
    /// Tracked buffers by layer.
    pub buffers: Vec<Vec<Tensor>>,
    /// Constants: tensors of one row with their values.
    pub constants: Vec<(Tensor, Vec<f64>)>,
    /// Name of every layer, for regions and reports.
    pub layers: Vec<String>,
    /// What a step leaves to be looked at.
    pub(crate) watched: Watched,
}

/// Programs of a training step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Gradients, without moving a weight.
    pub gradients: Program,
    /// What moves the weights, if gradients are finite or nothing depends on it.
    pub update: Program,
    /// Both in one, where nothing stands between them.
    pub whole: Option<Program>,
}

/// Programs that average weights.
#[derive(Clone, Debug)]
pub struct Average {
    /// Takes the present weights into the averages.
    pub take: Program,
    /// Re-estimates the averaged model's statistics on a batch.
    pub statistics: Program,
    /// Evaluates the averaged model on a batch.
    pub evaluate: Program,
    /// Averages and their statistics.
    pub(crate) tensors: Vec<Tensor>,
    /// Statistics among them, with the values they start from.
    pub(crate) buffers: Vec<Vec<Tensor>>,
}

/// What the host writes before a step, one element each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Minus the learning rate; under Adam, corrected for the moments' start.
    NegatedRate,
    /// Adam's epsilon, likewise.
    Epsilon,
    /// 1 - rate decay.
    Shrink,
    /// The loss scale over the labels of a batch.
    LossFactor,
    /// The inverse of the loss scale.
    Unscale,
    /// The share of the newest in a running mean.
    Share,
}

/// A parameter with the states its optimizer keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub rows: usize,
    pub cols: usize,
    /// The weights themselves.
    pub master: Coded,
    /// How they are stored.
    pub role: RoleFormat,
    /// Where the host writes initial values, unless it writes codes of the master at once.
    pub staging: Option<Tensor>,
    /// Momentum, or the first moment.
    pub momentum: Option<Coded>,
    /// The second moment.
    pub variance: Option<Coded>,
    /// What compensates the weight's rounding.
    pub compensation: Option<Coded>,
    /// The last values that products took, where their rounding depends on them.
    pub previous: Option<Tensor>,
    /// Index of the layer.
    pub layer: usize,
    /// Its place among the layer's parameters.
    pub index: usize,
}

impl Parameter {
    /// Every tensor that lasts from step to step.
    pub fn lasting(&self) -> Vec<Tensor> {
        let states = [Some(self.master), self.momentum, self.variance, self.compensation];
        states.into_iter().flatten().flat_map(|state| state.tensors()).chain(self.previous).collect()
    }
}

/// What lowering knows while it walks the layers.
struct Context<'a> {
    emitter: Emitter,
    memory: Memory,
    design: &'a Design,
    recipe: &'a Recipe,
    batch: usize,
    /// Roles outside layers.
    base: Roles<RoleFormat>,
    /// Roles by layer.
    by_layer: Vec<Roles<RoleFormat>>,
    /// What is computed again, by layer.
    again: Vec<Option<Again>>,
    /// The layer being lowered.
    layer: usize,
    /// Scales the host follows.
    followed: Vec<Followed>,
    /// Whether their largest magnitudes are left for the host.
    recording: bool,
    /// Blocks cut in the present program.
    cuts: Vec<Cut>,
    /// Scalars the host writes.
    scalars: Vec<(Scalar, Tensor)>,
    /// Weights as the products of the last forward pass took them, by layer.
    taken: BTreeMap<usize, Coded>,
    /// Inputs of rectifiers by the addresses of their outputs.
    rectified: BTreeMap<u64, Tensor>,
    /// What the programs written so far leave to be looked at.
    watched: Watched,
}

/// What a forward pass is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A backward pass follows; tracked statistics move towards the batch's.
    Train,
    /// As for training, but nothing that lasts changes.
    Try,
    /// With tracked statistics.
    Evaluate,
    /// Running means of the statistics of batches.
    Reestimate,
}

/// Compiles the programs of a run with batches of `recipe.batch` images.
///
/// # Errors
/// A product no mode of the design offers, roles the vector unit is too narrow for, or a
/// model that instructions cannot express.
pub fn compile(model: &Model, recipe: &Recipe, design: &Design) -> Result<Compiled, LowerError> {
    let layers = model.plan()?;
    let base = recipe.roles.resolve(design);
    let by_layer = recipe.resolve(design, &layers);
    let again = recompute::plan(recipe, &layers, design)?;
    check(&layers, &by_layer, &again, recipe, design)?;
    let mut cx = Context { batch: recipe.batch as usize, by_layer, again, ..Context::new(design, recipe, base) };
    let vector = base.vector.format;
    let images = cx.memory.tensor(vector, cx.batch * model.input.positions(), model.input.channels);
    let predictions = cx.batch * layers.last().map_or(1, |layer| layer.output.positions());
    let labels = cx.memory.tensor(vector, predictions, model.classes);
    let logits = cx.memory.tensor(vector, predictions, model.classes);
    let loss = cx.memory.tensor(base.statistics.format, 1, 1);
    let parameters = cx.parameters(&layers);
    let place = |cx: &mut Context<'_>| -> Vec<Vec<Tensor>> {
        let of = |cx: &mut Context<'_>, (i, layer): (usize, &Layer)| {
            let format = cx.by_layer[i].statistics.format;
            layer.buffers.iter().map(|p| cx.memory.tensor(format, p.rows, p.columns)).collect()
        };
        layers.iter().enumerate().map(|layer| of(cx, layer)).collect()
    };
    let buffers = place(&mut cx);
    let state = State { layers: &layers, images, labels, logits, loss, parameters: &parameters, buffers: &buffers };

    let initialise = cx.initialise(&state);
    cx.watched = Watched::default();
    let (step, overflow, trials) = if recipe.searches() {
        (Step { gradients: cx.finish(), update: cx.finish(), whole: None }, None, Some(cx.trials(&state)?))
    } else {
        let (step, overflow) = cx.plain_step(&state);
        (step, overflow, None)
    };
    let watched = std::mem::take(&mut cx.watched);
    cx.recording = false;
    cx.forward(&state, Purpose::Evaluate);
    let evaluate = cx.finish();
    let average = match recipe.averaging {
        Some(averaging) => {
            let buffers = place(&mut cx);
            Some(cx.average(&state, averaging, buffers)?)
        }
        None => None,
    };
    Ok(Compiled {
        step,
        evaluate,
        initialise,
        average,
        trials,
        images,
        labels,
        logits,
        loss,
        overflow,
        scalars: cx.scalars,
        followed: cx.followed,
        constants: cx.memory.constants(),
        layers: layers.iter().map(|l| l.name.clone()).collect(),
        parameters,
        buffers,
        watched,
    })
}

/// No layer's index.
const OUTSIDE: usize = usize::MAX;

/// Tensors that live across programs.
#[derive(Clone, Copy)]
struct State<'a> {
    layers: &'a [Layer],
    images: Tensor,
    labels: Tensor,
    logits: Tensor,
    loss: Tensor,
    parameters: &'a [Vec<Parameter>],
    buffers: &'a [Vec<Tensor>],
}

impl<'a> Context<'a> {
    /// Outside all layers, with nothing written yet.
    fn new(design: &'a Design, recipe: &'a Recipe, base: Roles<RoleFormat>) -> Self {
        Self {
            emitter: Emitter::default(),
            memory: Memory::default(),
            design,
            recipe,
            batch: 1,
            base,
            by_layer: Vec::new(),
            again: Vec::new(),
            layer: OUTSIDE,
            followed: Vec::new(),
            recording: true,
            cuts: Vec::new(),
            scalars: Vec::new(),
            taken: BTreeMap::new(),
            rectified: BTreeMap::new(),
            watched: Watched::default(),
        }
    }

    /// Room for all parameters and their states.
    fn parameters(&mut self, layers: &[Layer]) -> Vec<Vec<Parameter>> {
        let optimizer = &self.recipe.optimizer;
        let (has_momentum, has_variance) = (optimizer.has_momentum(), matches!(optimizer.rule, Rule::Adam { .. }));
        let mut all = Vec::with_capacity(layers.len());
        for (layer, plan) in layers.iter().enumerate() {
            self.layer = layer;
            let roles = self.roles();
            let of_layer = plan.parameters.iter().enumerate().map(|(index, p)| {
                let (rows, cols) = (p.rows, p.columns);
                let multiplied = index == 0 && operand::multiplies(&plan.spec);
                let mut state = |role: &RoleFormat, name| self.coded(rows, cols, role, Place { role: name, index });
                // A residual is of weights that products take; other parameters have no operand format.
                let residual = optimizer.compensation == Compensation::Residual && multiplied;
                let role = if residual { roles.weights } else { roles.master_weights };
                let master = state(&role, "master_weights");
                let momentum = has_momentum.then(|| state(&roles.momentum, "momentum"));
                let variance = has_variance.then(|| state(&roles.variance, "variance"));
                let compensated = match optimizer.compensation {
                    Compensation::None => false,
                    Compensation::Residual => multiplied,
                    Compensation::Kahan | Compensation::ErrorFeedback => true,
                };
                let compensation = compensated.then(|| state(&roles.compensation, "compensation"));
                let previous = (multiplied && roles.weights.hysteresis).then(|| self.memory.tensor(roles.vector.format, rows, cols));
                let staged = !role.is_plain() || role.bias != 0 || residual;
                let staging = staged.then(|| self.memory.tensor(roles.update.format, rows, cols));
                Parameter { rows, cols, master, role, staging, momentum, variance, compensation, previous, layer, index }
            });
            all.push(of_layer.collect());
        }
        self.layer = OUTSIDE;
        all
    }

    /// Initial weights into their formats.
    fn initialise(&mut self, state: &State<'_>) -> Program {
        for parameter in state.parameters.iter().flatten().filter(|p| p.staging.is_some() || p.previous.is_some()) {
            self.emitter.region("initialise");
            self.layer = parameter.layer;
            let roles = self.roles();
            if let Some(staging) = parameter.staging {
                self.first_weights(parameter, staging);
            }
            if let Some(previous) = parameter.previous {
                let nearest = RoleFormat { hysteresis: false, rounding: round::Rounding::Rne, ..roles.weights };
                let values = self.values(&parameter.master);
                let coded = self.coded(parameter.rows, parameter.cols, &nearest, Place { role: "weights", index: 0 });
                self.encode_into(&coded, values.view(), &nearest, Place { role: "weights", index: 0 });
                let now = self.decode(&coded, previous.format, Policy::RNE);
                self.emitter.round_by(Policy::RNE);
                self.emitter.convert(previous, now);
            }
        }
        self.layer = OUTSIDE;
        self.finish()
    }

    /// A step that is taken as it comes, and what tells whether its gradients overflowed.
    fn plain_step(&mut self, state: &State<'_>) -> (Step, Option<Tensor>) {
        let whole = matches!(self.recipe.loss_scale, LossScale::Static(_)).then(|| {
            let gradients = self.gradients(state);
            self.updates(state, &gradients);
            (self.finish(), std::mem::take(&mut self.watched))
        });
        let gradients = self.gradients(state);
        let overflow = whole.is_none().then(|| self.largest_gradient(&gradients));
        let gradients_program = self.finish();
        self.updates(state, &gradients);
        let update = self.finish();
        // Of the programs that run.
        let whole = whole.map(|(whole, watched)| {
            self.watched = watched;
            whole
        });
        (Step { gradients: gradients_program, update, whole }, overflow)
    }

    /// Forward, loss and backward.
    fn gradients(&mut self, state: &State<'_>) -> Vec<Vec<Coded>> {
        let saved = self.forward(state, Purpose::Train);
        self.layer = OUTSIDE;
        self.emitter.region("loss");
        let error = self.loss(state);
        let gradients = self.backward(state, &saved, error);
        self.layer = OUTSIDE;
        gradients
    }

    /// Moves every parameter.
    fn updates(&mut self, state: &State<'_>, gradients: &[Vec<Coded>]) {
        for (i, layer) in state.layers.iter().enumerate() {
            if layer.parameters.is_empty() {
                continue;
            }
            self.layer = i;
            self.emitter.region(&format!("{} update", layer.name));
            for (gradient, parameter) in gradients[i].iter().zip(&state.parameters[i]) {
                self.update(*gradient, parameter);
            }
        }
        self.layer = OUTSIDE;
    }

    /// The largest magnitude of any gradient; NaN wins.
    fn largest_gradient(&mut self, gradients: &[Vec<Coded>]) -> Tensor {
        self.emitter.region("loss scale");
        let all: Vec<Coded> = gradients.iter().flatten().copied().collect();
        let each = self.memory.tensor(Format::FP32, 1, all.len().max(1));
        let largest = self.memory.tensor(Format::FP32, 1, 1);
        self.emitter.blocks(0, 0);
        self.emitter.round_by(Policy::RNE);
        for (i, gradient) in all.iter().enumerate() {
            self.emitter.largest(each.element(i), gradient.elements);
        }
        self.emitter.maximum(largest, each);
        largest
    }

    /// The program written so far; the next begins.
    fn finish(&mut self) -> Program {
        self.cuts.clear();
        std::mem::take(&mut self.emitter).finish()
    }

    /// Roles of the present layer.
    fn roles(&self) -> Roles<RoleFormat> {
        self.by_layer.get(self.layer).copied().unwrap_or(self.base)
    }

    /// A scalar the host writes, in the vector unit's format.
    fn scalar(&mut self, scalar: Scalar) -> Tensor {
        let format = self.design.vector.format;
        if let Some((_, tensor)) = self.scalars.iter().find(|(s, _)| *s == scalar) {
            return *tensor;
        }
        let tensor = self.memory.tensor(format, 1, 1);
        self.scalars.push((scalar, tensor));
        tensor
    }

    /// A scratch tensor of the update role.
    fn update_tensor(&mut self, rows: usize, cols: usize) -> Tensor {
        self.memory.tensor(self.roles().update.format, rows, cols)
    }

    /// Rounds the vector instructions that follow as the update role asks.
    fn round_as_update(&mut self) {
        self.emitter.round_by(self.roles().update.policy());
    }

    /// A constant of the optimizer, in the vector unit's format.
    fn update_constant(&mut self, value: f64) -> Tensor {
        self.memory.constant(self.design.vector.format, value)
    }

    /// A scratch tensor of the statistics role.
    fn statistic(&mut self, rows: usize, cols: usize) -> Tensor {
        self.memory.tensor(self.roles().statistics.format, rows, cols)
    }

    /// Rounds the vector instructions that follow as the statistics role asks.
    fn round_as_statistics(&mut self) {
        self.emitter.round_by(self.roles().statistics.policy());
    }

    /// A constant in the statistics role's format.
    fn statistic_constant(&mut self, value: f64) -> Tensor {
        self.memory.constant(self.roles().statistics.format, value)
    }

    /// A scratch tensor of the vector role.
    fn vector(&mut self, rows: usize, cols: usize) -> Tensor {
        self.memory.tensor(self.roles().vector.format, rows, cols)
    }

    /// Rounds the vector instructions that follow as the vector role asks.
    fn round_as_vector(&mut self) {
        self.emitter.round_by(self.roles().vector.policy());
    }

    /// A constant in the vector role's format.
    fn constant(&mut self, value: f64) -> Tensor {
        self.memory.constant(self.roles().vector.format, value)
    }
}
