//! Why a model cannot be lowered.

use crate::model::ModelError;
use systole_isa::format::Format;

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
        /// Left operand's format, and its blocks.
        a: String,
        /// Right operand's format, and its blocks.
        b: String,
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
    /// A compensation whose weights are not plain codes.
    #[error(
        "layer {layer}: role {role} has a scale, a bias or hysteresis, which this compensation does not know; leave them out, or set optimizer.compensation to none"
    )]
    Compensation {
        /// The role.
        role: &'static str,
        /// The layer.
        layer: String,
    },
    /// Probabilities that are not one for each layer.
    #[error(
        "recompute.rule.random.low gives {given} probabilities, but {} layers compute again ({}); give one for all, or one for each", layers.len(), layers.join(", ")
    )]
    Lots {
        /// Probabilities given.
        given: usize,
        /// The layers.
        layers: Vec<String>,
    },
    /// First results that cannot lie among second ones.
    #[error(
        "layer {layer}: role {role} has factors that are multiplied in behind the design's converter (output.format), so outputs computed again cannot take the place of the first; leave out output.format, or that role's scale"
    )]
    Recompute {
        /// The layer.
        layer: String,
        /// The role.
        role: &'static str,
    },
    /// Operands of one product that are transformed differently.
    #[error("layer {layer}: activations have hadamard {activations}, errors {errors}; give both the same, or their product is another")]
    Hadamard {
        /// The layer.
        layer: String,
        /// Values of a transform of activations.
        activations: u32,
        /// Of errors.
        errors: u32,
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
