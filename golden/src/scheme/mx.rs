//! OCP microscaling formats (OCP MX v1.0): 32 elements under a power-of-two scale.
//!
//! The scale is `2^(floor(log2 amax) - emax)`, emax the exponent of the element's largest number, so that
//! number's binade holds the largest element, which may saturate there; or, as in NVIDIA's training
//! recipe, the smallest power of two under which nothing saturates. Scales are E8M0: 2^-127 to
//! 2^127, code 255 NaN. Elements are rounded once from the exact quotient.

use super::grid::{Element, Grid};
use super::number::{Draw, binary32, decoded, exact, exponent, integer, round_magnitude};
use super::{About, Input, NO_PREVIOUS, Numbers, Quantized, SchemeError, draw, within};
use crate::round::floor_log2;
use crate::value::{Rational, largest_finite, magnitude_width, power_of_two, rung, sign_bit};
use dashu_base::Abs;
use dashu_int::IBig;
use serde::{Deserialize, Serialize};
use systole_isa::format::{FloatFormat, Format};

/// Element formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementFormat {
    /// FP8, largest 448.
    #[serde(alias = "mxfp8_e4m3", alias = "e4m3fn", alias = "fp8_e4m3")]
    E4m3,
    /// FP8, largest 57344.
    #[serde(alias = "mxfp8_e5m2", alias = "fp8_e5m2")]
    E5m2,
    /// FP6, largest 28.
    #[serde(alias = "mxfp6_e3m2", alias = "e3m2f", alias = "fp6_e3m2")]
    E3m2,
    /// FP6, largest 7.5.
    #[serde(alias = "mxfp6_e2m3", alias = "e2m3f", alias = "fp6_e2m3")]
    E2m3,
    /// FP4, largest 6.
    #[serde(alias = "mxfp4_e2m1", alias = "e2m1f", alias = "fp4_e2m1", alias = "mxfp4", alias = "fp4")]
    E2m1,
    /// Two's complement of 8 bits, in 64ths.
    #[serde(alias = "mxint8")]
    Int8,
}

impl ElementFormat {
    fn float(self) -> Option<FloatFormat> {
        let name = match self {
            Self::E4m3 => "e4m3fn",
            Self::E5m2 => "e5m2",
            Self::E3m2 => "e3m2f",
            Self::E2m3 => "e2m3f",
            Self::E2m1 => "e2m1f",
            Self::Int8 => return None,
        };
        match name.parse() {
            Ok(Format::Float(format)) => Some(format),
            _ => unreachable!("a named float"),
        }
    }

    /// The largest number.
    fn largest(self) -> Rational {
        self.float().map_or_else(|| Rational::from(127) * power_of_two(-6), |f| rung(f, largest_finite(f).into()))
    }
}

/// How a block's scale follows from its largest magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRule {
    /// Exponent of the largest magnitude less that of the element's largest number.
    Floor,
    /// The least power of two under which the largest magnitude does not exceed it.
    Ceil,
}

/// Rounding of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementRounding {
    /// Stochastic where uniform numbers are given, else nearest-even.
    Auto,
    /// Nearest, ties to even.
    #[serde(alias = "even")]
    Nearest,
    /// Nearest, ties away from zero.
    Away,
    /// By uniform numbers.
    Stochastic,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Element format.
    pub element: ElementFormat,
    /// Elements of a block.
    pub block: usize,
    /// Dimension the blocks run along.
    pub axis: i64,
    /// How scales are found.
    pub scale_rule: ScaleRule,
    /// Rounding of elements.
    pub rounding: ElementRounding,
    /// True to leave the code of -2 of int8 unused.
    pub symmetric: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        let (scale_rule, rounding) = (ScaleRule::Floor, ElementRounding::Auto);
        Self { element: ElementFormat::E4m3, block: 32, axis: -1, scale_rule, rounding, symmetric: false }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "OCP microscaling: FP8, FP6, FP4 or INT8 elements, 32 to a power-of-two scale",
    source: "OCP MX v1.0; the ceil rule from MXFP8 training (Mishra et al. 2025)",
    inferred: "the scale of a block of zeros, 2^-127; an infinity or NaN makes its whole block NaN (the standard leaves both open)",
    previous: NO_PREVIOUS,
    uniforms: "magnitude = floor(|x| + u) steps of its binade",
    codes: "element codes; int8: two's complement, int8",
    scales: "E8M0 codes (exponent + 127, 255 NaN), uint8, the tensor's shape with the axis divided by the block",
    fields: &[
        ("element", "e4m3, e5m2, e3m2, e2m3, e2m1 or int8 (also mxfp8_e4m3, fp8_e4m3 and so on)"),
        ("block", "elements of a block; the last of a line may be short"),
        ("axis", "dimension the blocks run along; -1 is the last"),
        ("scale_rule", "floor (OCP; the largest element may saturate) or ceil (nothing saturates)"),
        (
            "rounding",
            "nearest (ties to even), away (nearest, ties away from zero: microxcaling's nearest), stochastic (by --uniforms), or auto",
        ),
        ("symmetric", "true: int8 leaves the code of -2 unused"),
    ],
};

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    within("block", i64::try_from(parameters.block).unwrap_or(i64::MAX), 1..=1 << 40)?;
    let rank = input.shape.len() as i64;
    within("axis", parameters.axis, -rank.max(1)..=(rank - 1).max(0))?;
    let uniforms = match (parameters.rounding, input.uniforms) {
        (ElementRounding::Stochastic, None) => return Err(SchemeError::NoUniforms),
        (ElementRounding::Nearest | ElementRounding::Away, Some(_)) => return Err(SchemeError::IdleUniforms),
        (_, uniforms) => uniforms,
    };
    let mut tile = vec![1; input.shape.len()];
    if let Some(side) = tile.get_mut(parameters.axis.rem_euclid(rank.max(1)) as usize) {
        *side = parameters.block;
    }
    let grid = Grid::tiles(input.shape, input.values, &tile);
    let largest = parameters.element.largest();
    let scale_of = |amax: f32| {
        let shift = match parameters.scale_rule {
            ScaleRule::Floor => exponent(amax) - floor_log2(&largest),
            ScaleRule::Ceil => {
                let quotient = exact(amax) / &largest;
                let below = floor_log2(&quotient);
                below + i64::from(quotient > power_of_two(below))
            }
        };
        shift.clamp(-127, 127)
    };
    let shifts: Vec<Option<i64>> = grid
        .extents
        .iter()
        .map(|e| match e.largest {
            _ if e.nan || e.infinite => None,
            0.0 => Some(-127),
            amax => Some(scale_of(amax)),
        })
        .collect();
    let element = |i: usize| {
        let x = input.values[i];
        let Some(shift) = shifts[grid.of[i]] else { return Element { value: f32::NAN, code: 0, saturated: false } };
        let draw = match parameters.rounding {
            ElementRounding::Away => Draw::Away,
            _ => draw(uniforms, i),
        };
        let negative = x.is_sign_negative();
        let magnitude = exact(x).abs() * power_of_two(-shift);
        if let Some(format) = parameters.element.float() {
            let (code, saturated) = round_magnitude(format, &magnitude, &draw);
            let sign = if negative { sign_bit(format) } else { 0 };
            return Element { value: decoded(format, negative, code, shift), code: (code | sign) as i64, saturated };
        }
        let steps = integer(&(magnitude * power_of_two(6)), &draw);
        let most = IBig::from(if negative && !parameters.symmetric { 128 } else { 127 });
        let kept = i64::try_from(steps.clone().min(most)).expect("8 bits");
        let code = if negative { -kept } else { kept };
        let value = binary32(false, &(Rational::from(IBig::from(code)) * power_of_two(shift - 6)));
        Element { value, code, saturated: steps != IBig::from(kept) }
    };
    let scales = Numbers::U8(shifts.iter().map(|s| s.map_or(255, |s| (s + 127) as u8)).collect());
    let shape = if grid.shape.is_empty() { vec![1] } else { grid.shape.clone() };
    let codes = |codes: &mut dyn Iterator<Item = i64>| match parameters.element.float() {
        Some(format) => Numbers::codes(1 + magnitude_width(format), codes),
        None => Numbers::integers(8, codes),
    };
    Ok(Quantized::each(input, grid.counts(), (shape, scales), codes, element))
}

#[cfg(test)]
mod tests;
