//! COAT's optimiser states (Xi et al. 2024; `fp8_adamw_expand_cuda_kernel.cu`): E4M3 after dynamic range expansion.
//!
//! A group of numbers with largest and smallest magnitudes M and m is centred by c = sqrt(M m)
//! and raised to the power k = floor(16 log2(448^2 / 2) / log2(M / m)) / 16, which spreads it over E4M3's range:
//! q = E4M3((|x| / c)^k / s), s = (M / c)^k / 448. It stands for (q s)^(1/k) c.
//!
//! M and m have 1e-30 added. Every operation named here is one operation in binary64, correctly rounded (powers by
//! [`super::power`]), except that c and s are rounded to binary32, as they are stored, before
//! use. The source computes in binary32 with the device's `powf`: it can differ by a step of E4M3 at ties, and in k
//! where its quotient of logarithms lies at a multiple of 1/16.

use super::grid::{Element, Grid};
use super::number::exact64;
use super::power::{log2, power};
use super::{About, Input, NO_PREVIOUS, NO_UNIFORMS, Numbers, Quantized, SchemeError, within};
use crate::round::round;
use crate::value::Value;
use serde::{Deserialize, Serialize};
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy};

/// Which numbers count in a group's smallest magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Minimum {
    /// Those other than zero.
    Nonzero,
    /// All, so that a zero makes it 0.
    All,
}

/// Parameters, with the published setting as default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Elements of a group of the flattened tensor.
    pub group: usize,
    /// Powers are multiples of the reciprocal of this.
    pub expand_min: u32,
    /// Added to the largest and the smallest magnitude.
    pub epsilon: f64,
    /// Which numbers count in the smallest.
    pub minimum: Minimum,
    /// Largest power.
    pub power_limit: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { group: 128, expand_min: 16, epsilon: 1e-30, minimum: Minimum::Nonzero, power_limit: 64.0 }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "E4M3 optimiser states in groups of 128 after dynamic range expansion",
    source: "Xi et al. 2024 (COAT), reference code",
    inferred: "zeros are left out of the smallest magnitude (the code counts them: minimum=all); the limits of the power, 1/expand_min and \
               power_limit; groups of zeros; NaN stays NaN (code 0x7f), infinities saturate, neither counts; binary64 where the \
               code has binary32",
    previous: NO_PREVIOUS,
    uniforms: NO_UNIFORMS,
    codes: "E4M3 of the expanded number",
    scales: "s, k and c of each group, float32, shape (groups, 3)",
    fields: &[
        ("group", "elements of a group of the flattened tensor; the last may be short"),
        ("expand_min", "powers are multiples of 1 over this"),
        ("epsilon", "added to the largest and the smallest magnitude, 1e-45 to 1"),
        ("minimum", "nonzero or all: which numbers count in the smallest magnitude"),
        ("power_limit", "largest power; that of groups of one magnitude"),
    ],
};

/// What a group's numbers go through.
#[derive(Clone, Copy)]
struct Expansion {
    scale: f32,
    power: f32,
    centre: f32,
}

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    within("group", i64::try_from(parameters.group).unwrap_or(i64::MAX), 1..=1 << 40)?;
    within("expand_min", parameters.expand_min.into(), 1..=1024)?;
    let refuse =
        |field, value: f64, reason: &str| Err(SchemeError::Parameter { field, value: format!("{value:?}"), reason: reason.to_owned() });
    // Below the smallest binary32 the centre of a group with a zero that counts would vanish.
    if !(1e-45..=1.0).contains(&parameters.epsilon) {
        return refuse("epsilon", parameters.epsilon, "must be 1e-45 to 1");
    }
    if !(1.0..=1024.0).contains(&parameters.power_limit) {
        return refuse("power_limit", parameters.power_limit, "must be 1 to 1024");
    }
    let grid = Grid::runs(input.values, parameters.group);
    let steps = f64::from(parameters.expand_min);
    let expansion = |e: &super::grid::Extent| {
        if e.largest == 0.0 {
            return Expansion { scale: 1.0, power: 1.0, centre: 1.0 };
        }
        let counts_zero = parameters.minimum == Minimum::All && e.zeros;
        let most = f64::from(e.largest) + parameters.epsilon;
        let least = if counts_zero { 0.0 } else { f64::from(e.smallest) } + parameters.epsilon;
        let ratio = log2(most / least);
        let free = if ratio == 0.0 { f64::INFINITY } else { (log2(448.0 * 448.0 / 2.0) / ratio * steps).floor() / steps };
        let k = free.clamp(1.0 / steps, parameters.power_limit) as f32;
        let centre = (most * least).sqrt() as f32;
        let scale = (power(most / f64::from(centre), k.into()) / 448.0) as f32;
        Expansion { scale, power: k, centre }
    };
    let expansions: Vec<Expansion> = grid.extents.iter().map(expansion).collect();
    let policy = Policy::RNE.overflow(Overflow::Saturate);
    let element = |i: usize| {
        let x = input.values[i];
        if x.is_nan() {
            return Element { value: x, code: 0x7f, saturated: false };
        }
        let Expansion { scale, power: k, centre } = expansions[grid.of[i]];
        let (scale, k, centre) = (f64::from(scale), f64::from(k), f64::from(centre));
        let quotient = if x.is_finite() { power(f64::from(x.abs()) / centre, k) / scale } else { f64::INFINITY };
        let expanded = if quotient.is_finite() { Value::finite(exact64(quotient)) } else { Value::Infinite { negative: false } };
        let (code, _) = round(Format::E4M3FN, &expanded, policy, 0);
        let q = match Value::of(Format::E4M3FN, code) {
            Value::Finite { magnitude, .. } => super::number::binary64(&magnitude),
            Value::Nan | Value::Infinite { .. } => unreachable!("saturated"),
        };
        let magnitude = (power(q * scale, 1.0 / k) * centre) as f32;
        let sign = if x.is_sign_negative() { 0x80 } else { 0 };
        Element { value: if sign == 0 { magnitude } else { -magnitude }, code: code as i64 | sign, saturated: quotient > 464.0 }
    };
    let written = expansions.iter().flat_map(|e| [e.scale, e.power, e.centre]).collect();
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(8, codes);
    Ok(Quantized::each(input, grid.counts(), (vec![expansions.len(), 3], Numbers::F32(written)), codes, element))
}

#[cfg(test)]
mod tests;
