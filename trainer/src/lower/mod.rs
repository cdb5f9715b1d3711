//! Lowering: a model's training step as programs for a device.
//!
//! [`compile`] places every tensor in DRAM and writes two programs: one training step
//! (forward, loss, both backward products, elementwise work, update) and one evaluation batch.
//! The host writes images and one-hot labels, runs, and reads logits and loss; it computes
//! nothing on tensors. Where a tensor enters a product it is first rounded to its role's
//! format; all else is held in the vector role's format.

mod affine;
mod emitter;
mod loss;
mod memory;
mod normalise;
mod pointwise;
mod residual;
mod update;
mod walk;

pub use memory::Tensor;

use crate::layer::{LayerSpec, Shape, Shortcut};
use crate::model::{Layer, Model, ModelError};
use crate::recipe::{Recipe, RoleFormat, Roles};
use emitter::Emitter;
use memory::Memory;
use systole_isa::design::Design;
use systole_isa::format::Format;
use systole_isa::program::Program;
use systole_isa::round::encode_f64;

/// A recipe does not fit a design, or a model what the hardware can express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// No MAC mode takes a product's operand formats.
    #[error(
        "design `{design}` has no MAC mode for {product} (a = {a}, b = {b}); its modes are {modes}. Add the mode to the design, or change the recipe's roles"
    )]
    NoMode {
        /// The design.
        design: String,
        /// Which product.
        product: &'static str,
        /// Left operand's format.
        a: Format,
        /// Right operand's format.
        b: Format,
        /// What the design has.
        modes: String,
    },
    /// The vector unit is too narrow.
    #[error("role {role} is {format}, wider than the vector unit of design `{design}` ({limit}); set vector.format, or a narrower role")]
    VectorWidth {
        /// The role.
        role: &'static str,
        /// Its format.
        format: Format,
        /// The design.
        design: String,
        /// The vector unit's format.
        limit: Format,
    },
    /// A shared exponent bias the vector unit cannot apply.
    #[error("role {role}: 2^{bias} is not a number of {format}, the vector role's format; use a smaller bias")]
    Bias {
        /// The role.
        role: &'static str,
        /// Its shared exponent bias.
        bias: i32,
        /// The vector role's format.
        format: Format,
    },
    /// A padding that no backward product can express.
    #[error("layer {layer}: a padding of {padding} needs a kernel larger than {kernel} for its backward product; pad at most kernel - 1")]
    Padding {
        /// The layer.
        layer: String,
        /// Its padding.
        padding: usize,
        /// Its kernel.
        kernel: usize,
    },
    /// An extent beyond the instruction's field.
    #[error("{what} is {value}; instructions express at most {limit}; use a smaller batch or model")]
    Extent {
        /// What is too large.
        what: String,
        /// Its size.
        value: usize,
        /// The field's limit.
        limit: usize,
    },
    /// The model's layers do not fit one another.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A model ready to train on a device.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// One training step.
    pub step: Program,
    /// One evaluation batch: forward only.
    pub evaluate: Program,
    /// Images of a batch, `[(n, h, w)][c]`, in the vector role's format.
    pub images: Tensor,
    /// One-hot labels, `[n][classes]`, in the vector role's format.
    pub labels: Tensor,
    /// Logits, `[n][classes]`.
    pub logits: Tensor,
    /// Mean loss of the last training step, one element.
    pub loss: Tensor,
    /// The negated learning rate, one element the host writes before a step.
    pub negated_rate: Tensor,
    /// Master weights by layer and parameter, in the model's order.
    pub parameters: Vec<Vec<Tensor>>,
    /// Momentum, likewise.
    pub momentum: Vec<Vec<Tensor>>,
    /// Tracked buffers by layer.
    pub buffers: Vec<Vec<Tensor>>,
    /// Constants: each tensor of one element with its value.
    pub constants: Vec<(Tensor, f64)>,
    /// Name of every layer, for regions and reports.
    pub layers: Vec<String>,
}

/// What lowering knows while it walks the layers.
struct Context<'a> {
    emitter: Emitter,
    memory: Memory,
    design: &'a Design,
    roles: Roles<RoleFormat>,
    recipe: &'a Recipe,
    batch: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Train,
    Evaluate,
}

/// Compiles a training step and an evaluation batch of `recipe.batch` images.
///
/// # Errors
/// A product no mode of the design offers, roles the vector unit is too narrow for, or a
/// model that instructions cannot express.
pub fn compile(model: &Model, recipe: &Recipe, design: &Design) -> Result<Compiled, LowerError> {
    let layers = model.plan()?;
    let roles = recipe.roles.resolve(design);
    check(&layers, &roles, recipe, design)?;
    let mut cx = Context { emitter: Emitter::default(), memory: Memory::default(), design, roles, recipe, batch: recipe.batch as usize };
    let vector = roles.vector.format;
    let images = cx.memory.tensor(vector, cx.batch * model.input.positions(), model.input.channels);
    let labels = cx.memory.tensor(vector, cx.batch, model.classes);
    let logits = cx.memory.tensor(vector, cx.batch, model.classes);
    let loss = cx.memory.tensor(vector, 1, 1);
    let negated_rate = cx.memory.tensor(vector, 1, 1);
    let mut place = |format: Format, of: fn(&Layer) -> &Vec<crate::layer::Parameter>| -> Vec<Vec<Tensor>> {
        layers.iter().map(|l| of(l).iter().map(|p| cx.memory.tensor(format, p.rows, p.columns)).collect()).collect()
    };
    let parameters = place(roles.master_weights.format, |l| &l.parameters);
    let momentum = place(roles.momentum.format, |l| &l.parameters);
    let buffers = place(vector, |l| &l.buffers);

    let state = State {
        layers: &layers,
        images,
        labels,
        logits,
        loss,
        negated_rate,
        parameters: &parameters,
        momentum: &momentum,
        buffers: &buffers,
    };
    cx.training_step(&state);
    let step = std::mem::take(&mut cx.emitter).finish();
    cx.forward(&state, Purpose::Evaluate);
    let evaluate = std::mem::take(&mut cx.emitter).finish();
    let constants = cx.memory.constants();
    let names = layers.iter().map(|l| l.name.clone()).collect();
    Ok(Compiled { step, evaluate, images, labels, logits, loss, negated_rate, parameters, momentum, buffers, constants, layers: names })
}

/// Tensors that live across programs.
struct State<'a> {
    layers: &'a [Layer],
    images: Tensor,
    labels: Tensor,
    logits: Tensor,
    loss: Tensor,
    negated_rate: Tensor,
    parameters: &'a [Vec<Tensor>],
    momentum: &'a [Vec<Tensor>],
    buffers: &'a [Vec<Tensor>],
}

impl Context<'_> {
    fn training_step(&mut self, state: &State<'_>) {
        let saved = self.forward(state, Purpose::Train);
        self.emitter.region("loss");
        let error = self.loss(state);
        let gradients = self.backward(state, &saved, error);
        for (i, layer) in state.layers.iter().enumerate() {
            if layer.parameters.is_empty() {
                continue;
            }
            self.emitter.region(&format!("{} update", layer.name));
            for ((gradient, weight), momentum) in gradients[i].iter().zip(&state.parameters[i]).zip(&state.momentum[i]) {
                self.update(*gradient, *weight, *momentum, state.negated_rate);
            }
        }
    }

    /// `x` as an operand of the role: rounded once, unless it already is one.
    fn operand(&mut self, x: Tensor, role: RoleFormat) -> Tensor {
        if x.format == role.format && role.bias == 0 {
            return x;
        }
        let copy = self.memory.tensor(role.format, x.rows, x.cols);
        self.emitter.round_by(role.policy());
        if role.bias == 0 {
            self.emitter.convert(copy, x);
        } else {
            let scale = self.memory.constant(self.roles.vector.format, f64::from(role.bias).exp2());
            self.emitter.multiply(copy, x, scale);
        }
        copy
    }

    /// A scratch tensor of the vector role.
    fn vector(&mut self, rows: usize, cols: usize) -> Tensor {
        self.memory.tensor(self.roles.vector.format, rows, cols)
    }

    /// Rounds the vector instructions that follow as the vector role asks.
    fn round_as_vector(&mut self) {
        self.emitter.round_by(self.roles.vector.policy());
    }

    /// A constant in the vector role's format.
    fn constant(&mut self, value: f64) -> Tensor {
        self.memory.constant(self.roles.vector.format, value)
    }
}

fn check(layers: &[Layer], roles: &Roles<RoleFormat>, recipe: &Recipe, design: &Design) -> Result<(), LowerError> {
    let (weights, activations, errors) = (roles.weights.format, roles.activations.format, roles.errors.format);
    for (product, a, b) in [
        ("the forward product (activations x weights)", activations, weights),
        ("the error product (errors x weights)", errors, weights),
        ("the weight-gradient product (errors x activations)", errors, activations),
    ] {
        if design.mode_for(a, b).is_none() {
            let modes = design.mac_modes().iter().map(|m| format!("{} x {}", m.a, m.b)).collect::<Vec<_>>().join(", ");
            return Err(LowerError::NoMode { design: design.name.clone(), product, a, b, modes });
        }
    }
    let limit = design.vector.format;
    for (role, format) in roles.iter() {
        if format.format.precision() > limit.precision() {
            return Err(LowerError::VectorWidth { role, format: format.format, design: design.name.clone(), limit });
        }
        let (vector, scale) = (roles.vector.format, f64::from(format.bias).exp2());
        if vector.to_f64(encode_f64(vector, scale)) != scale {
            return Err(LowerError::Bias { role, bias: format.bias, format: vector });
        }
    }
    for layer in layers {
        let within = |what: &str, value: usize, limit: usize| {
            if value > limit { Err(LowerError::Extent { what: format!("layer {}: {what}", layer.name), value, limit }) } else { Ok(()) }
        };
        for shape in [layer.input, layer.output] {
            let Shape { height, width, channels } = shape;
            within("the number of rows of its activations", recipe.batch as usize * shape.positions(), (1 << 24) - 1)?;
            within("the number of values of one image", shape.elements(), (1 << 24) - 1)?;
            within("the height of its images", height, 4095)?;
            within("the width of its images", width, 4095)?;
            if !matches!(layer.spec, LayerSpec::Linear(_) | LayerSpec::Flatten) {
                within("the number of its channels", channels, 65_535)?;
            }
        }
        match layer.spec {
            LayerSpec::Convolution(l) => {
                within("its kernel", l.kernel, 63)?;
                within("its padding", l.padding, 63)?;
                within("its stride", l.stride, 63)?;
                if l.padding >= l.kernel && layer.inputs.iter().any(|input| input.wanted) {
                    return Err(LowerError::Padding { layer: layer.name.clone(), padding: l.padding, kernel: l.kernel });
                }
            }
            LayerSpec::MaxPool(crate::layer::MaxPool(w)) | LayerSpec::AvgPool(crate::layer::AvgPool(w)) => {
                within("its window", w.size, 63)?;
                within("its stride", w.stride, 63)?;
            }
            LayerSpec::GlobalAvgPool(_) => {
                within("the height of its images", layer.input.height, 63)?;
                within("the width of its images", layer.input.width, 63)?;
            }
            LayerSpec::Shortcut(Shortcut { stride, .. }) => within("its stride", stride, 63)?,
            _ => {}
        }
    }
    Ok(())
}
