//! QPyTorch's `float_quantize` (`Tiiiger/QPyTorch` f58bba7, `quant_cpu.cpp`), quirks included.
//!
//! The definition is the source's steps on the bits of a binary32. Where the exponent is at
//! least `2 - 2^(e-1)`, half a unit (or random bits) is added below the m fraction bits kept and the rest cut off:
//! ties go away from zero. The all-ones exponent holds numbers, so the largest is `(2 - 2^-m) 2^(2^(e-1))`;
//! beyond it everything becomes the largest, infinities and NaN too. Below, `2^(2 - 2^(e-1))` with the
//! number's sign is added first and taken off afterwards, each rounded to binary32: that loses
//! the sign of a zero and rounds twice. With 8 exponent bits nothing is cut.

use super::grid::{Element, Grid};
use super::{About, Input, NO_PREVIOUS, Numbers, Quantized, ROUNDING, Rounding, SchemeError, within};
use serde::{Deserialize, Serialize};

/// Parameters; the library has no defaults, these are its 8-bit example's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Exponent bits.
    pub exponent_bits: u32,
    /// Fraction bits.
    pub mantissa_bits: u32,
    /// Rounding.
    pub rounding: Rounding,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { exponent_bits: 5, mantissa_bits: 2, rounding: Rounding::Auto }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "QPyTorch's float_quantize: ties away, all-ones exponent used for numbers, no -0, infinities and NaN cut to the largest",
    source: "QPyTorch f58bba7, C++ code",
    inferred: "how a uniform number stands for the random bits of stochastic rounding; NaN results are the positive quiet NaN",
    previous: NO_PREVIOUS,
    uniforms: "the 23 - m random bits are floor(u 2^(23-m))",
    codes: "sign, exponent field with bias 2^(e-1) - 1, fraction; with e = 8 the upper bits of the binary32",
    scales: "none: 1.0, float32, shape (1)",
    fields: &[("exponent_bits", "e, 1 to 8"), ("mantissa_bits", "m, 1 to 22"), ROUNDING],
};

/// Keeps `kept` of the 23 fraction bits, as the source does: an addition to the bits, then a cut.
pub(super) fn round_bits(bits: u32, kept: u32, uniform: Option<f64>) -> u32 {
    let cut = 23 - kept;
    let mask = (1 << cut) - 1;
    let added = uniform.map_or(1 << (cut - 1), |u| (u * f64::from(1 << cut)) as u32);
    bits.wrapping_add(added) & !mask
}

/// One number by the source's steps.
fn float_quantize(x: f32, e: u32, m: u32, uniform: Option<f64>) -> f32 {
    let bits = x.to_bits();
    let sign = bits & 0x8000_0000;
    let least = 2 - (1i32 << (e - 1));
    if ((bits & 0x7fff_ffff) >> 23) as i32 - 127 < least {
        let shift = f32::from_bits(((127 + least) as u32) << 23 | sign);
        return f32::from_bits(round_bits((x + shift).to_bits(), m, uniform)) - shift;
    }
    let rounded = round_bits(bits, m, uniform);
    let top = (1 << (e - 1)) + 127;
    if rounded != 0 && (rounded & 0x7fff_ffff) >> 23 > top {
        let fraction = 0x7f_ffff >> (23 - m) << (23 - m);
        return f32::from_bits(sign | top << 23 | fraction);
    }
    f32::from_bits(rounded)
}

/// The code of a number on the grid.
fn code(y: f32, e: u32, m: u32) -> i64 {
    let bits = y.to_bits();
    let (sign, magnitude) = (i64::from(bits >> 31), i64::from(bits & 0x7fff_ffff));
    let bias = (1i64 << (e - 1)) - 1;
    let field = (magnitude >> 23) - 127 + bias;
    let code = match field {
        _ if e == 8 => magnitude >> (23 - m),
        1.. => field << m | (magnitude & 0x7f_ffff) >> (23 - m),
        // An exact multiple of the smallest number.
        _ => (f64::from(y.abs()) * f64::from(1u32 << m) * f64::from_bits(((1023 + bias - 1) as u64) << 52)) as i64,
    };
    sign << (e + m) | code
}

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    let (e, m) = (parameters.exponent_bits, parameters.mantissa_bits);
    within("exponent_bits", e.into(), 1..=8)?;
    within("mantissa_bits", m.into(), 1..=22)?;
    let uniforms = parameters.rounding.uniforms(input)?;
    let top = f32::from_bits(((((1u64 << (e - 1)) + 127) << 23) as u32).min(0x7f80_0000) | 0x7f_ffff >> (23 - m) << (23 - m));
    let element = |i: usize| {
        let x = input.values[i];
        let y = float_quantize(x, e, m, uniforms.map(|u| u[i]));
        let value = if y.is_nan() { f32::NAN } else { y };
        Element { value, code: code(value, e, m), saturated: e < 8 && value.abs() == top && (x.is_nan() || x.abs() > top) }
    };
    let grid = Grid::whole(input.shape, input.values);
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(1 + e + m, codes);
    Ok(Quantized::each(input, grid.counts(), (vec![1], Numbers::F32(vec![1.0])), codes, element))
}

#[cfg(test)]
mod tests;
