//! FP134 and its relatives with hysteresis (Lee et al. 2022; `sunwoolee/lptorch`).
//!
//! The format is a list of significant bits ([`Format`] names the published ones). With previous
//! values the rounding is by hysteresis: up if the previous value lies above the number, else
//! down, so that a value changes only after its number has moved a whole step past it.

use super::grid::{Element, Grid};
use super::number::exact64;
use super::significant::{Family, Placed, Step, check_scale, next_scales, scale_of};
use super::{About, Input, Numbers, Quantized, ROUNDING, Rounding, SchemeError, within};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A published list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// 7 binades of 5 significant bits, then 4, 3, 2, 1, 0.
    Fp134,
    /// 15 binades of 4, then 3, 2, 1, 0.
    Fp143,
    /// 31 binades of 3, then 2, 1, 0.
    Fp152,
    /// 7 binades of 1, then 0: powers of two in 4 bits.
    Log4,
    /// 3 binades of 1, then 0: powers of two in 3 bits.
    Log3,
}

impl Format {
    /// Significant bits from the top binade down.
    pub fn significant_bits(self) -> Vec<u32> {
        let (top, bits) = match self {
            Self::Fp134 => (7, 5),
            Self::Fp143 => (15, 4),
            Self::Fp152 => (31, 3),
            Self::Log4 => (7, 1),
            Self::Log3 => (3, 1),
        };
        std::iter::repeat_n(bits, top).chain((0..bits).rev()).collect()
    }
}

/// What shares a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// The tensor.
    Tensor,
    /// An index of dimension 0.
    Channel,
}

/// Scales given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or a list of them in brackets")]
pub enum Scale {
    /// One for all.
    All(i64),
    /// One to each index of dimension 0.
    Each(Vec<i64>),
}

impl Scale {
    /// A scale to each of `blocks` blocks.
    fn spread(&self, blocks: usize) -> Result<Vec<i64>, SchemeError> {
        let scales = match self {
            Self::All(scale) => vec![*scale; blocks],
            Self::Each(scales) => scales.clone(),
        };
        if scales.len() != blocks {
            let reason = format!("{} scales where there are {blocks} blocks", scales.len());
            return Err(SchemeError::Parameter { field: "scale", value: format!("{scales:?}"), reason });
        }
        scales.iter().try_for_each(|&s| check_scale("scale", s))?;
        Ok(scales)
    }
}

/// Parameters, with the published setting of weights as default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The format.
    pub format: Format,
    /// Another list of significant bits in its place.
    pub significant_bits: Option<Vec<u32>>,
    /// Scale S; absent: from the tensor.
    pub scale: Option<Scale>,
    /// Binades kept free at the top.
    pub room: i64,
    /// What shares a scale.
    pub share: Share,
    /// Rounding.
    pub rounding: Rounding,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { format: Format::Fp134, significant_bits: None, scale: None, room: 0, share: Share::Tensor, rounding: Rounding::Auto }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "floats given as significant bits per binade under a power-of-two scale, with hysteresis",
    source: "Lee et al. 2022 (FP134, hysteresis), the authors' code lptorch",
    inferred: "NaN stays NaN (code 0) and infinities are cut to the largest number; neither counts when the scale is found from \
               the tensor; the code layout",
    previous: "the quantised values of the step before: hysteresis in place of nearest rounding",
    uniforms: "up if u is below the signed fraction of a step",
    codes: "sign, then how many positive numbers lie at or below the magnitude: sign, exponent field, fraction for fp134, fp143 and fp152",
    scales: "S of the tensor or of each channel, int32: the exponent of the top binade",
    fields: &[
        ("format", "fp134, fp143, fp152, log4 or log3"),
        ("significant_bits", "another list in its place, e.g. [4,4,4,3,2,1,0]: significant bits of each binade from the top down"),
        ("scale", "S, or with share=channel a list of them, e.g. [0,-2]; none: floor(log2 of the largest magnitude) + room"),
        ("room", "binades kept free at the top, 0 to 16: weights 0, activations and errors 1, gradients 2"),
        ("share", "tensor, or channel: a scale to each index of dimension 0"),
        ROUNDING,
    ],
};

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    let bits = parameters.significant_bits.clone().unwrap_or_else(|| parameters.format.significant_bits());
    let family = Family::new(&bits)?;
    within("room", parameters.room, 0..=16)?;
    let uniforms = parameters.rounding.uniforms(input)?;
    if input.previous.is_some() && uniforms.is_some() {
        return Err(SchemeError::Both);
    }
    let grid = match parameters.share {
        Share::Channel if !input.shape.is_empty() => Grid::leading(input.shape, input.values, 1),
        Share::Tensor | Share::Channel => Grid::whole(input.shape, input.values),
    };
    let room = parameters.room;
    let scales: Vec<i64> = match &parameters.scale {
        Some(given) => given.spread(grid.extents.len())?,
        None => grid.extents.iter().map(|e| scale_of(e.largest, room)).collect(),
    };
    let step = |i: usize| match (input.previous, uniforms) {
        (Some(previous), _) => Step::Hysteresis { previous: previous[i] },
        (None, Some(u)) => Step::Above(exact64(u[i])),
        (None, None) => Step::Nearest,
    };
    let placed: Vec<Placed> =
        (0..input.values.len()).into_par_iter().map(|i| family.place(input.values[i], scales[grid.of[i]], &step(i))).collect();
    let written = (grid.shape.clone(), Numbers::I32(scales.iter().map(|&s| s as i32).collect()));
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(1 + family.magnitude_bits(), codes);
    let quantized = Quantized::each(input, grid.counts(), written, codes, |i| Element::from(placed[i]));
    let next = next_scales(&placed, &grid.of, &scales, room);
    Ok(match parameters.share {
        Share::Tensor => quantized.with_state("scale", scales[0]).with_state("next_scale", next[0]),
        Share::Channel => quantized.with_state("scale", scales).with_state("next_scale", next),
    })
}

#[cfg(test)]
mod tests;
