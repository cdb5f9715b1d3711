//! Block minifloat (Fox et al. 2021; `sfox14/block_minifloat`, `quant/`).
//!
//! Elements are minifloats of e exponent and m fraction bits, bias `2^(e-1)`, subnormals, no
//! infinity, no NaN. A block shares an exponent E, `floor(log2(amax + 1e-28))` clamped to 8
//! bits, the sum in binary32; a number is rounded at `x 2^-(E - emax)`, emax = `2^(e-1) - 1`, so the
//! largest lies in the top binade, where rounding up past the largest element saturates.

use super::grid::{Element, Grid};
use super::number::{Draw, decoded, exact, exponent, finite_float, round_magnitude};
use super::swalp::{ADDITION, Addition};
use super::{About, Input, NO_PREVIOUS, Numbers, Quantized, ROUNDING, Rounding, SchemeError, within};
use crate::value::{largest_finite, magnitude_width, power_of_two, sign_bit};
use dashu_base::Abs;
use serde::{Deserialize, Serialize};

/// What the tensor is to a layer; blocks of four dimensions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tensor {
    /// (o, i, kh, kw): tiles over o and i, each with the whole kernel.
    #[serde(alias = "w")]
    Weight,
    /// (n, c, h, w): tiles over c and the flattened h w of one n.
    #[serde(alias = "x")]
    Activation,
}

/// Parameters, with the published setting as default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Exponent bits of an element.
    pub exponent_bits: u32,
    /// Fraction bits of an element.
    pub mantissa_bits: u32,
    /// Side of a block; 0 the whole tensor, -1 an index of dimension 0.
    pub tile: i64,
    /// What the tensor is.
    pub tensor: Tensor,
    /// Rounding.
    pub rounding: Rounding,
    /// Sum of a number and its uniform number.
    pub addition: Addition,
}

impl Default for Parameters {
    fn default() -> Self {
        let (rounding, addition) = (Rounding::Auto, Addition::Exact);
        Self { exponent_bits: 2, mantissa_bits: 5, tile: 48, tensor: Tensor::Weight, rounding, addition }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "block minifloat: small floats under an exponent of each 48 x 48 block",
    source: "Fox et al. 2021 (block minifloat), paper and reference code",
    inferred: "nearest rounding is to even (the code's branch for it cannot run); tensors of three dimensions are read as \
               four with the last two flattened; exponents are read off the numbers exactly; NaN makes its block NaN",
    previous: NO_PREVIOUS,
    uniforms: "magnitude = floor(fraction 2^m + u) steps of its binade",
    codes: "sign, exponent field, fraction",
    scales: "E of each block, int32; an element is its minifloat times 2^(E - 2^(e-1) + 1)",
    fields: &[
        ("exponent_bits", "e, 1 to 8; weights and activations 2, errors 4"),
        ("mantissa_bits", "m, 0 to 10; weights and activations 5, errors 3"),
        (
            "tile",
            "side of a block; a dimension 1 shorter than it gives a block to each index of dimension 0; 0: one block, -1: dimension 0",
        ),
        ("tensor", "weight: blocks of four dimensions are tile(o) x tile(i) x all; activation: 1 x tile(c) x tile(h w)"),
        ROUNDING,
        ADDITION,
    ],
};

fn blocks(parameters: &Parameters, input: &Input<'_>) -> Grid {
    let (shape, values) = (input.shape, input.values);
    let tile = parameters.tile.max(1) as usize;
    match (parameters.tile, shape) {
        (0, _) | (_, [] | [_]) => Grid::whole(shape, values),
        (-1, _) => Grid::leading(shape, values, 1),
        (_, [_, n1, ..]) if *n1 < tile => Grid::leading(shape, values, 1),
        (_, [_, _]) => Grid::tiles(shape, values, &[tile, tile]),
        (_, [n0, n1, rest @ ..]) => {
            let flat = [*n0, *n1, rest.iter().product()];
            match parameters.tensor {
                Tensor::Weight => Grid::tiles(&flat, values, &[tile, tile, flat[2].max(1)]),
                Tensor::Activation => Grid::tiles(&flat, values, &[1, tile, tile]),
            }
        }
    }
}

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    within("exponent_bits", parameters.exponent_bits.into(), 1..=8)?;
    within("mantissa_bits", parameters.mantissa_bits.into(), 0..=10)?;
    within("tile", parameters.tile, -1..=1 << 24)?;
    let uniforms = parameters.rounding.uniforms(input)?;
    let half = 1i64 << (parameters.exponent_bits - 1);
    let format = finite_float(parameters.exponent_bits, parameters.mantissa_bits, half as i32);
    let grid = blocks(parameters, input);
    let exponents: Vec<i64> =
        grid.extents.iter().map(|e| if e.infinite { 127 } else { exponent(e.largest + 1e-28).clamp(-128, 127) }).collect();
    let sign = sign_bit(format);
    let element = |i: usize| {
        let (x, block) = (input.values[i], grid.of[i]);
        if grid.extents[block].nan {
            return Element { value: f32::NAN, code: 0, saturated: false };
        }
        let shift = exponents[block] - (half - 1);
        let draw: Draw = parameters.addition.draw(uniforms, i);
        let (code, saturated) = if x.is_infinite() {
            (largest_finite(format), true)
        } else {
            round_magnitude(format, &(exact(x).abs() * power_of_two(-shift)), &draw)
        };
        // The sign of a zero is 0 in the source, so -0 loses its own and what is flushed keeps it.
        let negative = x < 0.0;
        Element { value: decoded(format, negative, code, shift), code: (code | if negative { sign } else { 0 }) as i64, saturated }
    };
    let scales = (grid.shape.clone(), Numbers::I32(exponents.iter().map(|&e| e as i32).collect()));
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(1 + magnitude_width(format), codes);
    Ok(Quantized::each(input, grid.counts(), scales, codes, element))
}

#[cfg(test)]
mod tests;
