//! FP8 with a shared exponent bias (Park et al. 2021/2022): E4M3 without specials whose bias
//! belongs to a tensor and follows it.
//!
//! Only the abstracts are public text: the bias rule here is inferred from the same group's
//! `lptorch`, where a scale is tracked. A number is `(-1)^s 1.f 2^(E - B)`, B = 15 - S; quantised under
//! the present S, the tensor then moves S by at most one for its next use.

use super::fp134::Format;
use super::grid::{Element, Grid};
use super::significant::{Family, Placed, Step, check_scale, next_scales, scale_of};
use super::{About, Input, NO_PREVIOUS, NO_UNIFORMS, Numbers, Quantized, SchemeError, within};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Present scale S; absent: from the tensor, as in its first use.
    pub scale: Option<i64>,
    /// Binades kept free at the top.
    pub room: i64,
    /// False to find S from the present tensor whatever `scale` says.
    pub tracking: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { scale: None, room: 0, tracking: true }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "E4M3 without specials whose exponent bias is shared by a tensor and tracked",
    source: "Park et al. 2021/2022 (FP8-SEB), abstracts: the format and the shared bias",
    inferred: "the rule by which the bias follows the tensor and its room (from the group's lptorch); nearest-even rounding; saturation; \
               the scale of zeros; NaN stays NaN (code 0)",
    previous: NO_PREVIOUS,
    uniforms: NO_UNIFORMS,
    codes: "sign, 4 exponent bits, 3 fraction bits, bias 15 - S, field 0 subnormal",
    scales: "S of the tensor, int32, shape (1): the exponent of the top binade",
    fields: &[
        ("scale", "present S; none: floor(log2 of the largest magnitude) + room"),
        ("room", "binades kept free at the top, 0 to 16"),
        ("tracking", "false: S from the present tensor, whatever scale says"),
    ],
};

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    within("room", parameters.room, 0..=16)?;
    parameters.scale.map_or(Ok(()), |s| check_scale("scale", s))?;
    // 4 significant bits in each of 15 binades, then subnormals: the same numbers.
    let family = Family::new(&Format::Fp143.significant_bits())?;
    let grid = Grid::whole(input.shape, input.values);
    let present = scale_of(grid.extents[0].largest, parameters.room);
    let scale = if parameters.tracking { parameters.scale.unwrap_or(present) } else { present };
    let placed: Vec<Placed> = input.values.par_iter().map(|&x| family.place(x, scale, &Step::Nearest)).collect();
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(8, codes);
    let scales = (vec![1], Numbers::I32(vec![scale as i32]));
    let quantized = Quantized::each(input, grid.counts(), scales, codes, |i| Element::from(placed[i]));
    let next = next_scales(&placed, &grid.of, &[scale], parameters.room)[0];
    Ok(quantized.with_state("scale", scale).with_state("next_scale", next).with_state("bias", 15 - scale))
}

#[cfg(test)]
mod tests;
