//! NVFP4 as NVIDIA's Transformer Engine makes it (`core_nvfp4.cuh`, the NVFP4 reference quantiser).
//!
//! A tensor has the encoding scale S = 448 6 / amax, a block of 16 (or 16 x 16) the decoding scale
//! s = E4M3(block amax (S / 6)), an element the code E2M1(x S / s); it means `q s / S`. The
//! source's binary32 operations, in its order: `S (1/6)`, `amax` times that, `1/S`, `s` times
//! that, its reciprocal (at most the largest binary32), `x` times that.

use super::grid::{Element, Grid};
use super::number::Draw;
use super::number::{binary32, decoded, exact, round_magnitude};
use super::{About, Input, NO_PREVIOUS, Numbers, Quantized, ROUNDING, Rounding, SchemeError, draw};
use crate::value::{Rational, largest_finite, power_of_two, sign_bit};
use dashu_base::Abs;
use serde::{Deserialize, Serialize};
use systole_isa::format::{FloatFormat, Format};

/// Extents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Block {
    /// 16 elements of a row.
    #[serde(rename = "1x16")]
    Row,
    /// 16 rows of 16, as weights have.
    #[serde(rename = "16x16")]
    Square,
}

/// In which arithmetic scales and quotients are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// The source's binary32 operations.
    Binary32,
    /// S rounded to binary32, then each scale and element once from the exact quotient.
    Exact,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Extents of a block.
    pub block: Block,
    /// Arithmetic of scales and quotients.
    pub arithmetic: Arithmetic,
    /// Rounding of elements.
    pub rounding: Rounding,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { block: Block::Row, arithmetic: Arithmetic::Binary32, rounding: Rounding::Auto }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "E2M1 elements, 16 to an E4M3 scale, under one binary32 scale of the tensor",
    source: "NVIDIA Transformer Engine (NVFP4), reference code",
    inferred: "values are q s / S from the exact quotient, rounded once; where s rounds to 0 values are 0 and, by the source's \
               binary32 operations, codes of numbers other than 0 the largest; NaN stays NaN (code 0), infinities saturate, neither counts in \
               amax; stochastic rounding by uniform numbers where the hardware takes random bits",
    previous: NO_PREVIOUS,
    uniforms: "magnitude = floor(|x| + u) steps of its binade (published for gradients only)",
    codes: "E2M1: sign, 2 exponent bits, 1 fraction bit; one to a byte",
    scales: "E4M3 codes of each block, uint8; the tensor's scale S is in the report",
    fields: &[
        ("block", "1x16, or 16x16 (weights); leading dimensions count as rows"),
        ("arithmetic", "binary32: the source's operations; exact: scales and elements rounded once from exact quotients"),
        ROUNDING,
    ],
};

/// The numbers behind one block's elements.
struct Scale {
    code: u64,
    /// s.
    decoding: f32,
    /// The factor the source multiplies elements with.
    encoding: f32,
}

fn float(name: &str) -> FloatFormat {
    match name.parse() {
        Ok(Format::Float(format)) => format,
        _ => unreachable!("a named float"),
    }
}

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    let uniforms = parameters.rounding.uniforms(input)?;
    let (e2m1, e4m3) = (float("e2m1f"), float("e4m3fn"));
    let cols = input.shape.last().copied().unwrap_or(1);
    let rows = input.values.len() / cols.max(1);
    let tile = match parameters.block {
        Block::Row => [1, 16],
        Block::Square => [16, 16],
    };
    let grid = Grid::tiles(&[rows, cols], input.values, &tile);
    let amax = grid.extents.iter().fold(0.0f32, |amax, e| amax.max(e.largest));
    let tensor = if amax == 0.0 { 1.0 } else { (2688.0 / amax).min(f32::MAX) };
    let scale = |block_amax: f32| {
        let exactly = match parameters.arithmetic {
            Arithmetic::Binary32 => exact((block_amax * (tensor * (1.0 / 6.0))).min(f32::MAX)),
            Arithmetic::Exact => exact(block_amax) * exact(tensor) / Rational::from(6),
        };
        let (code, _) = round_magnitude(e4m3, &exactly, &Draw::Nearest);
        let decoding = decoded(e4m3, false, code, 0);
        let encoding = (1.0 / (decoding * (1.0 / tensor))).min(f32::MAX);
        Scale { code, decoding, encoding }
    };
    let scales: Vec<Scale> = grid.extents.iter().map(|e| scale(e.largest)).collect();
    let largest = largest_finite(e2m1);
    let element = |i: usize| {
        let x = input.values[i];
        if x.is_nan() {
            return Element { value: x, code: 0, saturated: false };
        }
        let scale = &scales[grid.of[i]];
        let draw = draw(uniforms, i);
        let quotient = match parameters.arithmetic {
            _ if x.is_infinite() => None,
            Arithmetic::Binary32 => {
                let quotient = x * scale.encoding;
                quotient.is_finite().then(|| exact(quotient).abs())
            }
            Arithmetic::Exact if scale.decoding == 0.0 => Some(Rational::ZERO),
            Arithmetic::Exact => Some((exact(x) * exact(tensor) / exact(scale.decoding)).abs()),
        };
        let (code, saturated) = quotient.map_or((largest, true), |q| round_magnitude(e2m1, &q, &draw));
        let negative = x.is_sign_negative();
        // q in halves, exactly.
        let q = exact(decoded(e2m1, negative, code, 1)) * power_of_two(-1);
        let value = binary32(negative, &(q * exact(scale.decoding) / exact(tensor)));
        Element { value, code: (code | if negative { sign_bit(e2m1) } else { 0 }) as i64, saturated }
    };
    let written = (grid.shape.clone(), Numbers::U8(scales.iter().map(|s| s.code as u8).collect()));
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(4, codes);
    let quantized = Quantized::each(input, grid.counts(), written, codes, element);
    Ok(quantized.with_state("tensor_scale", f64::from(tensor)).with_state("tensor_amax", f64::from(amax)))
}

#[cfg(test)]
mod tests;
