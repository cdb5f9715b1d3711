//! SWALP's block floating point (Yang et al. 2019; `stevenygd/SWALP`, `models/quantizer.py`).
//!
//! A block shares an exponent E, `floor(log2)` of its largest magnitude, clamped to the exponent's
//! width. A number is the integer drawn from `x 2^(b - 2 - E)`, clamped to two's complement of b
//! bits, times `2^(E - b + 2)`: the largest is `(2^(b-1) - 1) 2^(E-b+2)`, the smallest `-2 2^E`,
//! so a number just below a power of two may be cut, and only above.

use super::grid::{Element, Grid};
use super::number::{Draw, binary32, exact, exponent, integer};
use super::{About, Input, NO_PREVIOUS, Numbers, Quantized, ROUNDING, Rounding, SchemeError, draw, within};
use crate::value::power_of_two;
use dashu_int::IBig;
use serde::{Deserialize, Serialize};

/// Which tensors are cut into small blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmallBlock {
    /// Those of two dimensions and more.
    #[serde(alias = "FC")]
    Fc,
    /// Those of three dimensions and more.
    #[serde(alias = "Conv")]
    Conv,
    /// None: one block to a tensor.
    #[serde(alias = "None")]
    None,
}

/// What a small block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockDim {
    /// An index of the first dimension.
    #[serde(alias = "B")]
    B,
    /// An index of the first two dimensions.
    #[serde(alias = "BC")]
    Bc,
}

/// How a number and its uniform number are added before the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addition {
    /// Exactly.
    Exact,
    /// In binary32, as PyTorch does; differs where the sum rounds up to an integer.
    Binary32,
}

impl Addition {
    /// The draw of one element.
    pub(super) fn draw(self, uniforms: Option<&[f64]>, at: usize) -> Draw {
        match (self, draw(uniforms, at)) {
            (Self::Binary32, Draw::Uniform(u)) => Draw::UniformBinary32(binary32(false, &u)),
            (_, draw) => draw,
        }
    }
}

pub(super) const ADDITION: (&str, &str) =
    ("addition", "sum of a number and its uniform number: exact, or binary32 as the source's framework computes it");

/// Parameters, with the published setting as default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Word length of the integers.
    pub bits: u32,
    /// Word length of the shared exponents.
    pub exponent_bits: u32,
    /// Which tensors are cut into small blocks.
    pub small_block: SmallBlock,
    /// What a small block is.
    pub block_dim: BlockDim,
    /// Rounding.
    pub rounding: Rounding,
    /// Sum of a number and its uniform number.
    pub addition: Addition,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            bits: 8,
            exponent_bits: 8,
            small_block: SmallBlock::Fc,
            block_dim: BlockDim::B,
            rounding: Rounding::Auto,
            addition: Addition::Exact,
        }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "block floating point: integers under an exponent of each output channel",
    source: "Yang et al. 2019 (SWALP), reference code",
    inferred: "exponents are read off the largest number exactly where the code takes binary32 logarithms; \
               a block of zeros is zeros; NaN makes its block NaN",
    previous: NO_PREVIOUS,
    uniforms: "integer = floor(x 2^(bits-2-E) + u)",
    codes: "the integers, signed",
    scales: "E of each block, int32, shape (1), (n0) or (n0, n1); the step is 2^(E-bits+2)",
    fields: &[
        ("bits", "word length of the integers, 2 to 16"),
        ("exponent_bits", "word length of the shared exponent, 2 to 8"),
        ("small_block", "fc: small blocks from two dimensions on; conv: from three; none: one block to a tensor"),
        ("block_dim", "a small block is an index of dimension 0 (b) or of dimensions 0 and 1 (bc)"),
        ROUNDING,
        ADDITION,
    ],
};

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    within("bits", parameters.bits.into(), 2..=16)?;
    within("exponent_bits", parameters.exponent_bits.into(), 2..=8)?;
    let uniforms = parameters.rounding.uniforms(input)?;
    let whole_up_to = match parameters.small_block {
        SmallBlock::Fc => 1,
        SmallBlock::Conv => 2,
        SmallBlock::None => 4,
    };
    let grid = if input.shape.len() <= whole_up_to {
        Grid::whole(input.shape, input.values)
    } else {
        let axes = match parameters.block_dim {
            BlockDim::B => 1,
            BlockDim::Bc => 2,
        };
        Grid::leading(input.shape, input.values, axes)
    };
    let bound = 1i64 << (parameters.exponent_bits - 1);
    let exponents: Vec<i64> = grid
        .extents
        .iter()
        .map(|e| match e.largest {
            _ if e.infinite => bound - 1,
            0.0 => -bound,
            largest => exponent(largest).clamp(-bound, bound - 1),
        })
        .collect();
    let fraction_bits = i64::from(parameters.bits) - 2;
    let largest = (1i64 << (parameters.bits - 1)) - 1;
    let element = |i: usize| {
        let (x, block) = (input.values[i], grid.of[i]);
        let shift = exponents[block] - fraction_bits;
        if grid.extents[block].nan {
            return Element { value: f32::NAN, code: 0, saturated: false };
        }
        let draw = parameters.addition.draw(uniforms, i);
        let (code, saturated) = if x.is_infinite() {
            (if x > 0.0 { largest } else { -largest - 1 }, true)
        } else {
            let drawn = integer(&(exact(x) * power_of_two(-shift)), &draw);
            let clamped = drawn.clone().clamp(IBig::from(-largest - 1), IBig::from(largest));
            (i64::try_from(clamped.clone()).expect("16 bits"), clamped != drawn)
        };
        // The nearest integer to a negative number is -0 in binary32; a floor has no such sign.
        let negative_zero = uniforms.is_none() && x.is_sign_negative();
        Element { value: binary32(negative_zero, &(power_of_two(shift) * IBig::from(code))), code, saturated }
    };
    let scales = (grid.shape.clone(), Numbers::I32(exponents.iter().map(|&e| e as i32).collect()));
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::integers(parameters.bits, codes);
    Ok(Quantized::each(input, grid.counts(), scales, codes, element))
}

#[cfg(test)]
mod tests;
