//! Block-wise 8 bit on the dynamic maps (Dettmers et al. 2022; bitsandbytes, `create_dynamic_map`).
//!
//! A block is divided by its largest magnitude N, in binary32; the code is the place of the
//! nearest of 256 map values, the lower place at ties; code c stands for `map[c] N`. For each power of
//! ten `10^(i-6)`, i = 0 to 6, the map holds the midpoints of 2^i (signed, of either sign) or
//! 2^(i+1) (unsigned) equal cells of [0.1, 1], all in binary32, and beside them 0 and 1.
//!
//! The cells' borders come from PyTorch's `linspace`, whose last bits depend on the build: see
//! [`Linspace`]. The maps differ by at most 2 units in the last place.

use super::grid::{Element, Grid};
use super::number::{binary32, exact};
use super::{About, Input, NO_PREVIOUS, NO_UNIFORMS, Numbers, Quantized, SchemeError, within};
use crate::value::Rational;
use dashu_int::{IBig, UBig};
use serde::{Deserialize, Serialize};

/// How the borders of the cells are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Linspace {
    /// As PyTorch computes on x86 with FMA: from the nearer end, `end + step i` rounded once.
    Fused,
    /// As PyTorch computes without FMA: product and sum rounded each.
    Separate,
    /// The exact borders, each rounded once, as NumPy's come out.
    Exact,
}

/// Parameters of the signed map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Elements of a block of the flattened tensor.
    pub block: usize,
    /// Borders of the map's cells.
    pub linspace: Linspace,
    /// bitsandbytes' correction of the first state.
    pub sign_fix: bool,
}

/// Parameters of the unsigned map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsigned {
    /// Elements of a block of the flattened tensor.
    pub block: usize,
    /// Borders of the map's cells.
    pub linspace: Linspace,
}

impl Default for Signed {
    fn default() -> Self {
        Self { block: 2048, linspace: Linspace::Fused, sign_fix: false }
    }
}

impl Default for Unsigned {
    fn default() -> Self {
        Self { block: 2048, linspace: Linspace::Fused }
    }
}

const BLOCK: (&str, &str) = ("block", "elements of a block of the flattened tensor; the last may be short (bitsandbytes now takes 256)");
const LINSPACE: (&str, &str) =
    ("linspace", "borders of the map's cells: fused (PyTorch on x86 with FMA), separate (without) or exact; at most 2 ulp apart");

const SIGNED: About = About {
    summary: "block-wise 8 bit on the signed dynamic map",
    source: "Dettmers et al. 2022 (8-bit optimizers); the map as bitsandbytes makes it",
    inferred: "the division by N in binary32, the lower code at ties, code of 0.0 in blocks of zeros; NaN stays NaN (code of 0.0) and \
               infinities take the ends of the map; neither counts in N",
    previous: NO_PREVIOUS,
    uniforms: NO_UNIFORMS,
    codes: "place in the map, ascending",
    scales: "N of each block, float32",
    fields: &[
        BLOCK,
        LINSPACE,
        (
            "sign_fix",
            "true: a code whose value has the other sign than its number moves one place towards it, as bitsandbytes' first state",
        ),
    ],
};

/// What the signed scheme is.
pub const ABOUT_SIGNED: About = SIGNED;

/// What the unsigned scheme is.
pub const ABOUT_UNSIGNED: About = About { summary: "block-wise 8 bit on the unsigned dynamic map", fields: &[BLOCK, LINSPACE], ..SIGNED };

fn product(a: f32, b: f32) -> f32 {
    binary32(false, &(exact(a) * exact(b)))
}

fn sum(a: f32, b: f32) -> f32 {
    binary32(false, &(exact(a) + exact(b)))
}

fn ratio(numerator: u64, denominator: u64) -> Rational {
    Rational::from_parts(IBig::from(numerator), UBig::from(denominator))
}

/// `cells + 1` borders from 0.1 to 1.
fn borders(cells: u64, linspace: Linspace) -> Vec<f32> {
    let first = binary32(false, &ratio(1, 10));
    let step = binary32(false, &(exact(sum(1.0, -first)) / Rational::from(cells)));
    let along = |from: f32, step: f32, times: u64| match linspace {
        Linspace::Fused => binary32(false, &(exact(from) + exact(step) * Rational::from(times))),
        _ => sum(from, product(step, times as f32)),
    };
    (0..=cells)
        .map(|i| match linspace {
            Linspace::Exact => binary32(false, &ratio(cells + 9 * i, 10 * cells)),
            Linspace::Fused | Linspace::Separate if i < cells.div_ceil(2) => along(first, step, i),
            Linspace::Fused | Linspace::Separate => along(1.0, -step, cells - i),
        })
        .collect()
}

/// The 256 values, ascending.
pub fn map(signed: bool, linspace: Linspace) -> [f32; 256] {
    let mut values = vec![0.0, 1.0];
    for i in 0..7 {
        let cells = 1 << if signed { i } else { i + 1 };
        let power = binary32(false, &ratio(1, 10u64.pow(6 - i)));
        for pair in borders(cells, linspace).windows(2) {
            // Halving is exact.
            let value = product(sum(pair[0], pair[1]) / 2.0, power);
            values.extend([value, -value].iter().take(if signed { 2 } else { 1 }));
        }
    }
    values.sort_by(f32::total_cmp);
    values.try_into().expect("2 + 127 or 254 values")
}

/// The place of the nearest map value, the lower one at ties.
fn nearest(map: &[Rational], t: &Rational) -> usize {
    let above = map.partition_point(|value| value < t);
    match above {
        0 => 0,
        256 => 255,
        _ if t - &map[above - 1] <= &map[above] - t => above - 1,
        _ => above,
    }
}

fn quantize(signed: bool, block: usize, linspace: Linspace, sign_fix: bool, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    within("block", i64::try_from(block).unwrap_or(i64::MAX), 1..=1 << 40)?;
    let map = map(signed, linspace);
    let exactly: Vec<Rational> = map.iter().map(|&value| exact(value)).collect();
    let zero = map.iter().position(|&value| value == 0.0).expect("0 is in the map");
    let grid = Grid::runs(input.values, block);
    let element = |i: usize| {
        let (x, largest) = (input.values[i], grid.extents[grid.of[i]].largest);
        let mut code = match x {
            _ if x.is_nan() || (largest == 0.0 && !x.is_infinite()) => zero,
            f32::INFINITY => 255,
            f32::NEG_INFINITY => 0,
            _ => nearest(&exactly, &exact(x / largest)),
        };
        if sign_fix && !x.is_nan() && map[code].is_sign_negative() != x.is_sign_negative() {
            code = if x > 0.0 { (code + 1).min(255) } else { code.saturating_sub(1) };
        }
        let value = if x.is_nan() { x } else { map[code] * largest };
        let beyond = x.abs() > 0.0 && !x.is_nan() && (x > map[255] * largest || x < map[0] * largest);
        Element { value, code: code as i64, saturated: beyond }
    };
    let scales = (grid.shape.clone(), Numbers::F32(grid.extents.iter().map(|e| e.largest).collect()));
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(8, codes);
    Ok(Quantized::each(input, grid.counts(), scales, codes, element))
}

/// Quantises a tensor on the signed map.
pub(super) fn quantize_signed(parameters: &Signed, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    quantize(true, parameters.block, parameters.linspace, parameters.sign_fix, input)
}

/// Quantises a tensor on the unsigned map; negative numbers come nearest to 0.
pub(super) fn quantize_unsigned(parameters: &Unsigned, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    quantize(false, parameters.block, parameters.linspace, false, input)
}

#[cfg(test)]
mod tests;
