//! QPyTorch's `block_quantize` (`Tiiiger/QPyTorch` f58bba7, `quant_cpu.cpp`), quirks included.
//!
//! The definition is the source's steps in binary32. With `2^E` the largest number's exponent alone,
//! `6 2^E` is added to each number, the sum keeps wl fraction bits (half a unit is added to its bits,
//! or random ones, and the rest cut off), and `6 2^E` is taken off again. The sum is positive, so ties go toward
//! plus infinity, and it has been rounded to 24 bits before. Magnitudes that reach `2^(E+1)` become
//! `(2 - 2^(2-wl)) 2^E`: the clip is symmetric.

use super::grid::{Element, Grid};
use super::qpytorch_float::round_bits;
use super::{About, Input, NO_PREVIOUS, Numbers, Quantized, ROUNDING, Rounding, SchemeError, within};
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Word length.
    pub word_length: u32,
    /// Dimension whose indices have a block each; -1: one block.
    pub dim: i64,
    /// Rounding.
    pub rounding: Rounding,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { word_length: 8, dim: -1, rounding: Rounding::Auto }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "QPyTorch's block_quantize: block floating point by adding 6 2^E in binary32, ties up, symmetric clip",
    source: "QPyTorch f58bba7, C++ code",
    inferred: "how a uniform number stands for the random bits of stochastic rounding; codes and scales, which the library does not give; \
               NaN results are the positive quiet NaN; from 2^126 on, where \
               6 2^E overflows, every element becomes the negative largest, as on x86",
    previous: NO_PREVIOUS,
    uniforms: "the 23 - wl random bits are floor(u 2^(23-wl))",
    codes: "the number in steps of 2^(E-wl+2), signed; one bit more where the largest number is subnormal",
    scales: "E of each block, int32: exponent of the largest number, -128 where that is subnormal or zero; 128 where it is NaN or infinite",
    fields: &[
        ("word_length", "wl, bits of an element with sign, 2 to 22"),
        ("dim", "dimension whose indices have a block each; -1: one block to the tensor"),
        ROUNDING,
    ],
};

/// One number by the source's steps; `power` holds the exponent field of the largest alone.
fn block_quantize(x: f32, power: u32, wl: u32, uniform: Option<f64>) -> (f32, bool) {
    let base = f32::from_bits(power) * 6.0;
    let fraction = 0x7f_ffff >> (25 - wl) << (25 - wl);
    if base.is_infinite() && power != 0x7f80_0000 {
        // inf - inf, a NaN with its sign bit set on x86, has a larger exponent field than the
        // largest number: the source clips it.
        return (f32::from_bits(0x8000_0000 | power | fraction), true);
    }
    let rounded = f32::from_bits(round_bits((x + base).to_bits(), wl, uniform)) - base;
    let bits = rounded.to_bits();
    if bits & 0x7f80_0000 > power {
        return (f32::from_bits(bits & 0x8000_0000 | power | fraction), true);
    }
    (rounded, false)
}

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    let wl = parameters.word_length;
    within("word_length", wl.into(), 2..=22)?;
    let rank = input.shape.len() as i64;
    within("dim", parameters.dim, -1..=(rank - 1).max(-1))?;
    let uniforms = parameters.rounding.uniforms(input)?;
    let grid = match usize::try_from(parameters.dim) {
        Ok(axis) => Grid::along(input.shape, input.values, axis),
        Err(_) => Grid::whole(input.shape, input.values),
    };
    let powers: Vec<u32> =
        grid.extents.iter().map(|e| if e.nan || e.infinite { 0x7f80_0000 } else { e.largest.to_bits() & 0x7f80_0000 }).collect();
    let exponents: Vec<i32> = powers.iter().map(|&power| if power == 0 { -128 } else { (power >> 23) as i32 - 127 }).collect();
    let element = |i: usize| {
        let block = grid.of[i];
        let (y, saturated) = block_quantize(input.values[i], powers[block], wl, uniforms.map(|u| u[i]));
        let value = if y.is_nan() { f32::NAN } else { y };
        // A power of two times a binary32: exact in binary64.
        let steps = f64::from(value) * f64::from_bits(((1023 - i64::from(exponents[block]) + i64::from(wl) - 2) as u64) << 52);
        Element { value, code: steps as i64, saturated }
    };
    let scales = (grid.shape.clone(), Numbers::I32(exponents.clone()));
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::integers(wl + 2, codes);
    Ok(Quantized::each(input, grid.counts(), scales, codes, element))
}

#[cfg(test)]
mod tests;
