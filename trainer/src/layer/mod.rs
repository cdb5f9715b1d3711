//! Layers: the shape each gives, the parameters it owns, and its work forward and backward.
//!
//! Activations of a batch of n images of height h, width w and c channels are the row-major
//! matrix `[(n, h, w)][c]`. So a linear layer after [`LayerSpec::Flatten`] reads `[n][features]`
//! and flattening moves nothing. One file per idea holds the shape rule beside the host
//! reference of forward and backward.

mod activation;
mod attention;
mod batch_norm;
mod convolution;
mod layer_norm;
mod linear;
mod pool;
mod positions;
mod residual;

pub use activation::{Gelu, Relu, Tanh};
pub use attention::Attention;
pub use batch_norm::BatchNorm;
pub use convolution::Convolution;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, Project};
pub use pool::{AvgPool, GlobalAvgPool, MaxPool, Window};
pub use positions::Positions;
pub use residual::{Add, Shortcut};

use crate::host::{Matrix, Real};
use std::fmt;

/// Size of one image's activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels, innermost in memory.
    pub channels: usize,
}

impl Shape {
    /// `height` x `width` x `channels`.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// A vector of `features` values: 1 x 1 x `features`.
    pub const fn vector(features: usize) -> Self {
        Self::new(1, 1, features)
    }

    /// Positions, height times width.
    pub const fn positions(self) -> usize {
        self.height * self.width
    }

    /// Values in one image.
    pub const fn elements(self) -> usize {
        self.positions() * self.channels
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

/// A layer cannot take the shape it is given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A linear layer after images.
    #[error("a linear layer takes a vector, the layer before gives {0} (height x width x channels); insert `flatten` before it")]
    NotFlat(Shape),
    /// A size that must be positive is 0.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// The window does not fit.
    #[error(
        "a {window}x{window} window does not fit {input} (height x width x channels) with a padding of {padding}; make the kernel smaller, pad more, or pool less before it"
    )]
    Window {
        /// Height and width of the window.
        window: usize,
        /// Rows and columns of zeros on each side.
        padding: usize,
        /// Shape of the input.
        input: Shape,
    },
    /// A pooling window that may hold nothing but padding.
    #[error("windows of {window}x{window} under a padding of {padding} may hold nothing of the image; pad less than the window's size")]
    Padding {
        /// Height and width of the window.
        window: usize,
        /// Rows and columns added on each side.
        padding: usize,
    },
    /// Branches of different shapes: the first input's, and another's.
    #[error("it joins {} with {} (height x width x channels); give both branches the same shape", .0[0], .0[1])]
    Unequal(Box<[Shape; 2]>),
    /// Channels that heads cannot share.
    #[error("{channels} channels are no queries, keys and values of {heads} heads; give it a multiple of {}", 3 * heads)]
    Heads {
        /// Channels of its input.
        channels: usize,
        /// Number of heads.
        heads: usize,
    },
    /// A shortcut to fewer channels.
    #[error("a shortcut cannot go from {from} channels to {to}; give it at least {from}")]
    Narrowing {
        /// Channels of its input.
        from: usize,
        /// Channels asked for.
        to: usize,
    },
}

/// The nonlinearity that follows a layer, on which the scale of its initial weights depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// A rectifier: Kaiming's uniform bound sqrt(6 / fan_in) (He et al. 2015).
    Relu,
    /// tanh, or nothing: Glorot's uniform bound sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).
    Symmetric,
}

impl Following {
    /// Bound of the uniform distribution of initial weights. Division and square root are
    /// correctly rounded everywhere, so the bits do not depend on the platform.
    fn bound(self, fan_in: usize, fan_out: usize) -> f32 {
        let fan = match self {
            Self::Relu => fan_in,
            Self::Symmetric => fan_in + fan_out,
        };
        (6.0 / fan as f32).sqrt()
    }
}

/// Initial values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Uniform in (-bound, bound).
    Uniform(f32),
    /// Everywhere this value.
    Constant(f32),
}

/// A tensor a layer owns, as a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name within the layer: `weight`, `bias`, `mean`, `variance`.
    pub name: &'static str,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Initial values.
    pub initial: Initial,
}

impl Parameter {
    const fn vector(name: &'static str, columns: usize, value: f32) -> Self {
        Self { name, rows: 1, columns, initial: Initial::Constant(value) }
    }
}

/// One layer of a model, without its input's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerSpec {
    /// y = x W + b.
    Linear(Linear),
    /// Two-dimensional convolution.
    Convolution(Convolution),
    /// max(x, 0).
    Relu(Relu),
    /// Hyperbolic tangent.
    Tanh(Tanh),
    /// Largest value of each window.
    MaxPool(MaxPool),
    /// Mean of each window.
    AvgPool(AvgPool),
    /// Mean of each channel over the whole image.
    GlobalAvgPool(GlobalAvgPool),
    /// Normalisation of each channel over the batch.
    BatchNorm(BatchNorm),
    /// Images to vectors.
    Flatten,
    /// The sum of two inputs.
    Add(Add),
    /// The shortcut past a residual block that changes the size.
    Shortcut(Shortcut),
    /// y = x W + b at each position.
    Project(Project),
    /// A learned vector added at each position.
    Positions(Positions),
    /// Normalisation of each position over its channels.
    LayerNorm(LayerNorm),
    /// Causal self-attention.
    Attention(Attention),
    /// Gaussian error linear unit.
    Gelu(Gelu),
}

/// Whether statistics come from the batch or from those tracked in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From the batch.
    Training,
    /// As tracked.
    Evaluation,
}

/// What a layer's backward work gives.
#[derive(Clone, Debug)]
pub struct Gradients<T> {
    /// Derivative by each of the layer's inputs; products and joins make it only where it is wanted.
    pub inputs: Vec<Option<Matrix<T>>>,
    /// Derivative by each parameter, in the order of [`LayerSpec::parameters`].
    pub parameters: Vec<Matrix<T>>,
}

/// A layer's saved forward pass and the error arriving at its output.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a, T> {
    /// Parameters used forward.
    pub parameters: &'a [Matrix<T>],
    /// Inputs of the layer.
    pub x: &'a [&'a Matrix<T>],
    /// Output of the layer.
    pub y: &'a Matrix<T>,
    /// What forward saved beside them.
    pub saved: &'a [Matrix<T>],
    /// Derivative of the loss by the output.
    pub dy: &'a Matrix<T>,
    /// For each input, whether a layer before this one needs the derivative by it.
    pub wanted: &'a [bool],
}

impl<'a, T> Backward<'a, T> {
    /// The first input, of most layers the only one.
    const fn x(&self) -> &'a Matrix<T> {
        self.x[0]
    }

    /// Whether the derivative by the first input is needed.
    const fn input_wanted(&self) -> bool {
        self.wanted[0]
    }
}

impl LayerSpec {
    /// Whether it has products with weights.
    pub const fn takes_weights(&self) -> bool {
        matches!(self, Self::Linear(_) | Self::Convolution(_) | Self::Project(_))
    }

    /// Every kind of layer.
    pub const KINDS: [&'static str; 16] = [
        "linear",
        "conv",
        "relu",
        "tanh",
        "max_pool",
        "avg_pool",
        "global_avg_pool",
        "batch_norm",
        "flatten",
        "add",
        "shortcut",
        "project",
        "positions",
        "layer_norm",
        "attention",
        "gelu",
    ];

    /// The kind of layer, from which names are made: `linear`, `conv`, `relu`, ...
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Convolution(_) => "conv",
            Self::Relu(_) => "relu",
            Self::Tanh(_) => "tanh",
            Self::MaxPool(_) => "max_pool",
            Self::AvgPool(_) => "avg_pool",
            Self::GlobalAvgPool(_) => "global_avg_pool",
            Self::BatchNorm(_) => "batch_norm",
            Self::Flatten => "flatten",
            Self::Add(_) => "add",
            Self::Shortcut(_) => "shortcut",
            Self::Project(_) => "project",
            Self::Positions(_) => "positions",
            Self::LayerNorm(_) => "layer_norm",
            Self::Attention(_) => "attention",
            Self::Gelu(_) => "gelu",
        }
    }

    /// Number of inputs.
    pub const fn arity(&self) -> usize {
        match self {
            Self::Add(_) => 2,
            _ => 1,
        }
    }

    /// Shape of the output for inputs of the given shapes, as many as [`LayerSpec::arity`] says.
    ///
    /// # Errors
    /// If the layer cannot take those shapes.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let input = inputs[0];
        match self {
            Self::Linear(l) => l.output(input),
            Self::Convolution(l) => l.output(input),
            Self::MaxPool(MaxPool(window)) | Self::AvgPool(AvgPool(window)) => window.pooled(input),
            Self::GlobalAvgPool(_) => Ok(Shape::vector(input.channels)),
            Self::Add(l) => l.output(inputs),
            Self::Shortcut(l) => l.output(input),
            Self::Project(l) => l.output(input),
            Self::Attention(l) => l.output(input),
            Self::Relu(_) | Self::Tanh(_) | Self::Gelu(_) | Self::BatchNorm(_) | Self::LayerNorm(_) | Self::Positions(_) => Ok(input),
            Self::Flatten => Ok(Shape::vector(input.elements())),
        }
    }

    /// Trained parameters, in the order [`Gradients::parameters`] has.
    pub fn parameters(&self, input: Shape, following: Following) -> Vec<Parameter> {
        match self {
            Self::Linear(l) => l.parameters(input, following),
            Self::Convolution(l) => l.parameters(input, following),
            Self::BatchNorm(l) => l.parameters(input),
            Self::Project(l) => l.parameters(input),
            Self::Positions(l) => l.parameters(input),
            Self::LayerNorm(l) => l.parameters(input),
            _ => Vec::new(),
        }
    }

    /// Tensors that training tracks without a gradient.
    pub fn buffers(&self, input: Shape) -> Vec<Parameter> {
        match self {
            Self::BatchNorm(l) => l.buffers(input),
            _ => Vec::new(),
        }
    }

    /// Forward on the host: the output, and what backward needs beside inputs and output.
    /// `input` is the shape of the first input.
    pub(crate) fn forward<T: Real>(
        &self,
        input: Shape,
        pass: Pass,
        parameters: &[Matrix<T>],
        buffers: &[Matrix<T>],
        inputs: &[&Matrix<T>],
    ) -> (Matrix<T>, Vec<Matrix<T>>) {
        let x = inputs[0];
        let y = match self {
            Self::Linear(_) | Self::Project(_) => Linear::forward(parameters, x),
            Self::Convolution(l) => l.forward(input, parameters, x),
            Self::Relu(_) => Relu::forward(x),
            Self::Tanh(_) => Tanh::forward(x),
            Self::MaxPool(l) => l.forward(input, x),
            Self::AvgPool(l) => l.forward(input, x),
            Self::GlobalAvgPool(_) => GlobalAvgPool::forward(input, x),
            Self::BatchNorm(l) => return l.forward(pass, parameters, buffers, x),
            Self::Flatten => x.clone().reshaped(input.elements()),
            Self::Add(_) => Add::forward(inputs),
            Self::Shortcut(l) => l.forward(input, x),
            Self::Positions(_) => Positions::forward(parameters, x),
            Self::LayerNorm(_) => return LayerNorm::forward(parameters, x),
            Self::Attention(l) => return l.forward(input, x),
            Self::Gelu(_) => Gelu::forward(x),
        };
        (y, Vec::new())
    }

    /// Backward on the host.
    pub(crate) fn backward<T: Real>(&self, input: Shape, at: Backward<'_, T>) -> Gradients<T> {
        let dx = match self {
            Self::Linear(_) | Self::Project(_) => return Linear::backward(at),
            Self::Convolution(l) => return l.backward(input, at),
            Self::BatchNorm(_) => return BatchNorm::backward(at),
            Self::Add(_) => return Add::backward(at),
            Self::Positions(_) => return Positions::backward(at),
            Self::LayerNorm(_) => return LayerNorm::backward(at),
            Self::Attention(l) => l.backward(input, at),
            Self::Gelu(_) => Gelu::backward(at),
            Self::Relu(_) => Relu::backward(at),
            Self::Tanh(_) => Tanh::backward(at),
            Self::MaxPool(l) => l.backward(input, at),
            Self::AvgPool(l) => l.backward(input, at),
            Self::GlobalAvgPool(_) => GlobalAvgPool::backward(input, at),
            Self::Shortcut(l) => l.backward(input, at),
            Self::Flatten => at.dy.clone().reshaped(input.channels),
        };
        Gradients { inputs: vec![Some(dx)], parameters: Vec::new() }
    }

    /// Moves the tracked buffers towards what one training step saved.
    pub(crate) fn track<T: Real>(&self, buffers: &mut [Matrix<T>], saved: &[Matrix<T>]) {
        if let Self::BatchNorm(l) = self {
            l.track(buffers, saved);
        }
    }
}
