//! Tensors as roles keep them: codes, and what their values are multiplied by.
//!
//! [`Context::encode`] finds scales and rounds, each step an instruction; [`Context::decode`]
//! goes back. One file per way of scaling says how both are done.

mod blocks;
mod expansion;
mod map;
mod squeeze;
mod tensor;

pub use tensor::Followed;

use super::Context;
use super::memory::Tensor;
use crate::recipe::{RoleFormat, Scale};
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, Rounding};
use systole_isa::view::TensorView;

/// A tensor in a role's format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coded {
    /// Its codes.
    pub elements: Tensor,
    /// What they stand for.
    pub scaling: Scaling,
}

/// What the values of codes are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scaling {
    /// 2^-bias.
    Bias(i32),
    /// The power of two in this tensor of one element.
    Power(Tensor),
    /// The number in this tensor of one element.
    Factor(Tensor),
    /// The scale of the element's block.
    Blocks(BlockScales),
    /// Codes are indices of the codebook, `block` elements of which share a scale.
    Map {
        /// The codebook.
        table: Tensor,
        /// One scale for each stretch of elements.
        scales: Tensor,
        /// Elements of a stretch.
        block: u32,
    },
    /// Powers of magnitudes, see [`expansion`].
    Expansion(expansion::Expanded),
}

/// Scales of a tensor's blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockScales {
    /// One for each block.
    pub scales: Tensor,
    /// Rows of a block.
    pub rows: u32,
    /// Columns of a block.
    pub cols: u32,
    /// A number that multiplies all values beside.
    pub factor: Option<Tensor>,
}

impl Coded {
    /// Codes that stand for themselves.
    pub(super) const fn plain(elements: Tensor) -> Self {
        Self { elements, scaling: Scaling::Bias(0) }
    }

    /// Whether codes stand for themselves.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.scaling, Scaling::Bias(0))
    }

    /// Every tensor it consists of, but for constants.
    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        let mut all = vec![self.elements];
        match self.scaling {
            Scaling::Bias(_) => {}
            Scaling::Power(scale) | Scaling::Factor(scale) => all.push(scale),
            Scaling::Blocks(blocks) => all.extend([Some(blocks.scales), blocks.factor].into_iter().flatten()),
            Scaling::Map { scales, .. } => all.push(scales),
            Scaling::Expansion(expanded) => all.extend(expanded.tensors()),
        }
        all
    }
}

/// Whose tensor it is: the host follows some scales from step to step under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The role.
    pub role: &'static str,
    /// Which of the layer's tensors in that role.
    pub index: usize,
}

impl Place {
    /// Whether the tensor has a parameter's shape, whose rows are what the forward product
    /// reduces; of activations and errors that is the columns.
    fn is_parameter(self) -> bool {
        !matches!(self.role, "activations" | "errors")
    }
}

/// Rounds scales: nothing overflows that a scale could express.
pub(super) const fn scale_policy(rounding: Rounding) -> Policy {
    Policy::new(rounding).overflow(Overflow::Saturate)
}

/// Exponent of a format's largest number.
pub(crate) fn top_exponent(format: Format) -> i32 {
    let largest = largest(format);
    // Exact: largest numbers of formats up to 16 exponent bits are finite in binary64.
    i32::try_from((largest.to_bits() >> 52) & 0x7ff).unwrap_or(0) - 1023
}

/// A format's largest number.
pub(crate) fn largest(format: Format) -> f64 {
    format.to_f64(format.max_finite(false))
}

impl Context<'_> {
    /// `x` in the role's format: rounded once, unless it already is so.
    pub(super) fn encode(&mut self, x: Tensor, role: &RoleFormat, place: Place) -> Coded {
        if role.scale == Scale::None && role.bias == 0 && x.format == role.format {
            let coded = Coded::plain(x);
            self.note(&coded, x.view(), role, place);
            return coded;
        }
        let coded = self.coded(x.rows, x.cols, role, place);
        self.encode_into(&coded, x.view(), role, place);
        coded
    }

    /// Room for a tensor in the role's format.
    pub(super) fn coded(&mut self, rows: usize, cols: usize, role: &RoleFormat, place: Place) -> Coded {
        let scaling = match role.scale {
            Scale::None => Scaling::Bias(role.bias),
            Scale::Present { .. } | Scale::Current { powers: true } => Scaling::Power(self.memory.tensor(Format::E8M0, 1, 1)),
            Scale::Tracked { .. } => Scaling::Power(self.followed(role, place).scale),
            Scale::Current { powers: false } => Scaling::Factor(self.memory.tensor(Format::FP32, 1, 1)),
            Scale::Delayed { .. } => Scaling::Factor(self.followed(role, place).inverse),
            Scale::Blocks(blocks) => {
                let block = match (place.is_parameter(), rows) {
                    // A bias is one block.
                    (true, 1) => (0, 0),
                    (true, _) => (blocks.along, blocks.across),
                    (false, _) => (blocks.across, blocks.along),
                };
                Scaling::Blocks(self.block_scales(&blocks, (rows, cols), block))
            }
            Scale::Squeeze => Scaling::Bias(0),
            Scale::Map { block, signed, least } => match self.map(rows * cols, block, signed, least) {
                Some(scaling) => scaling,
                None => return Coded::plain(self.update_tensor(rows, cols)),
            },
            Scale::Expansion { block } => Scaling::Expansion(self.expanded(rows * cols, block)),
        };
        let format = match role.scale {
            Scale::Squeeze => role.expand.unwrap_or(self.roles().update.format),
            _ => role.format,
        };
        Coded { elements: self.memory.tensor(format, rows, cols), scaling }
    }

    /// Finds scales and rounds `x` to codes.
    pub(super) fn encode_into(&mut self, coded: &Coded, x: TensorView, role: &RoleFormat, place: Place) {
        self.note(coded, x, role, place);
        let elements = coded.elements;
        match coded.scaling {
            Scaling::Bias(_) if role.scale == Scale::Squeeze => self.squeeze(elements, x, role),
            Scaling::Bias(0) => {
                self.emitter.round_by(if elements.format == role.format { role.policy() } else { Policy::RNE });
                self.emitter.convert(elements, x);
            }
            Scaling::Bias(bias) => {
                let scale = self.memory.constant(x.format, f64::from(bias).exp2());
                self.emitter.round_by(role.policy());
                self.emitter.multiply(elements, x, scale);
            }
            Scaling::Power(scale) => self.encode_by_power(elements, scale, x, role),
            Scaling::Factor(inverse) => self.encode_by_factor(elements, inverse, x, role),
            Scaling::Blocks(scales) => self.encode_by_blocks(elements, &scales, x, role),
            Scaling::Map { table, scales, block } => self.encode_by_map(elements, (table, scales, block), x),
            Scaling::Expansion(expanded) => self.encode_by_expansion(elements, &expanded, x, role),
        }
    }

    /// The values of codes, rounded once into `format` by `policy`; codes that stand for
    /// themselves in that format are the values.
    pub(super) fn decode(&mut self, coded: &Coded, format: Format, policy: Policy) -> Tensor {
        let elements = coded.elements;
        if matches!(coded.scaling, Scaling::Bias(0)) && elements.format == format {
            return elements;
        }
        let values = self.memory.tensor(format, elements.rows, elements.cols);
        match coded.scaling {
            Scaling::Bias(0) => {
                self.emitter.round_by(policy);
                self.emitter.convert(values, elements);
            }
            Scaling::Bias(bias) => {
                let scale = self.memory.constant(format, f64::from(-bias).exp2());
                self.emitter.round_by(policy);
                self.emitter.multiply(values, elements, scale);
            }
            Scaling::Power(scale) | Scaling::Factor(scale) => {
                self.emitter.round_by(policy);
                self.emitter.multiply(values, elements, scale);
            }
            Scaling::Blocks(scales) => self.decode_blocks(values, elements, &scales, policy),
            Scaling::Map { table, scales, block } => self.decode_map(values, elements, (table, scales, block), policy),
            Scaling::Expansion(expanded) => self.decode_expansion(values, elements, &expanded, policy),
        }
        values
    }

    /// Codes as values: themselves, or decoded into the vector role's format.
    pub(super) fn values(&mut self, coded: &Coded) -> Tensor {
        if coded.is_plain() {
            return coded.elements;
        }
        let vector = self.roles().vector;
        self.decode(coded, vector.format, vector.policy())
    }

    /// `x` rounded to the side of its last quantised value, which gives way to the new one.
    pub(super) fn encode_with_hysteresis(&mut self, x: Tensor, previous: Tensor, role: &RoleFormat, place: Place) -> Coded {
        let coded = self.coded(x.rows, x.cols, role, place);
        self.note(&coded, x.view(), role, place);
        let [scaled, before] = [(); 2].map(|()| self.memory.tensor(previous.format, x.rows, x.cols));
        let inverse = match coded.scaling {
            Scaling::Power(scale) => {
                self.find_power(scale, x.view(), role);
                self.inverse_power(scale)
            }
            Scaling::Bias(bias) => self.memory.constant(previous.format, f64::from(bias).exp2()),
            _ => unreachable!("hysteresis is for scales that are powers of two of the whole tensor"),
        };
        self.emitter.round_by(Policy::RNE);
        self.emitter.multiply(scaled, x, inverse);
        self.emitter.multiply(before, previous, inverse);
        self.emitter.round_by(role.policy());
        self.emitter.hysteresis(coded.elements, scaled, before);
        let now = self.decode(&coded, previous.format, Policy::RNE);
        self.emitter.round_by(Policy::RNE);
        self.emitter.convert(previous, now);
        coded
    }

    /// What the codes stand for as the products take it: the codes themselves, or expanded.
    pub(super) fn expand(&mut self, coded: Coded, role: &RoleFormat) -> Coded {
        match role.expand {
            Some(format) => {
                let taken = Coded::plain(self.decode(&coded, format, Policy::RNE));
                self.note_expansion(&coded, taken);
                taken
            }
            None => coded,
        }
    }
}
