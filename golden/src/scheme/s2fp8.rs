//! Shifted and squeezed FP8 (Cambier et al. 2020): E5M2 of a tensor whose logarithms are moved
//! and stretched so that their mean is 0 and their largest 15.
//!
//! With L = log2 |x|, mu the mean of L over the numbers other than zero and m the largest:
//! alpha = 15 / (m - mu), beta = -alpha mu, y = 2^(alpha L + beta), and the number stands for
//! sign(x) 2^((log2 E5M2(y) - beta) / alpha).
//!
//! Every operation named here is one operation in binary64, correctly rounded (logarithms and powers by
//! [`super::power`]), except the mean, which is rounded once from the exact sum. So the
//! result is the same on every platform. A computation with a host's `log2` and `pow`, each
//! within a unit of its last place, can place y on the other side of a tie of E5M2 and then differs by one of its steps;
//! elsewhere the codes agree, and values differ by a binary32 rounding at most.

use super::grid::{Element, Grid};
use super::number::{binary64, exact64, exponent};
use super::power::{exp2, log2};
use super::{About, Input, NO_PREVIOUS, NO_UNIFORMS, Numbers, Quantized, SchemeError};
use crate::round::round;
use crate::value::{Rational, Value};
use dashu_int::IBig;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// True to count a zero as a number of magnitude 1 in the mean and the maximum.
    pub count_zeros: bool,
    /// Alpha is kept between its reciprocal and this.
    pub alpha_limit: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { count_zeros: false, alpha_limit: 64.0 }
    }
}

/// What the scheme is.
pub const ABOUT: About = About {
    summary: "shifted and squeezed FP8: E5M2 of a tensor whose logarithms are moved and stretched",
    source: "Cambier et al. 2020 (S2FP8); formula from its abstract and an independent implementation",
    inferred: "zeros are left out of the mean; alpha = 1, beta = 15 - m for one magnitude, alpha = 1, beta = 0 for zeros alone; the limit of \
               alpha; NaN and infinities stay and do not count; all arithmetic in binary64, correctly rounded",
    previous: NO_PREVIOUS,
    uniforms: NO_UNIFORMS,
    codes: "E5M2 of the squeezed number",
    scales: "alpha and beta, float64, shape (2)",
    fields: &[
        ("count_zeros", "true: zeros count as magnitude 1, as in the independent implementation"),
        ("alpha_limit", "alpha is kept within 1/limit and limit"),
    ],
};

const TOP: f64 = 15.0;

/// Alpha and beta of a tensor.
fn squeeze(parameters: &Parameters, values: &[f32]) -> (f64, f64) {
    let counted = |x: &&f32| x.is_finite() && (**x != 0.0 || parameters.count_zeros);
    let logarithms: Vec<f64> = values.par_iter().filter(counted).map(|&x| if x == 0.0 { 0.0 } else { log2(f64::from(x.abs())) }).collect();
    if values.iter().all(|&x| x == 0.0 || !x.is_finite()) {
        return (1.0, 0.0);
    }
    let sum = logarithms.iter().fold(Rational::ZERO, |sum, &l| sum + exact64(l));
    let mean = binary64(&(sum / Rational::from(IBig::from(logarithms.len()))));
    let largest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == mean {
        return (1.0, TOP - largest);
    }
    let alpha = (TOP / (largest - mean)).clamp(1.0 / parameters.alpha_limit, parameters.alpha_limit);
    (alpha, -(alpha * mean))
}

/// Quantises a tensor.
pub(super) fn quantize(parameters: &Parameters, input: &Input<'_>) -> Result<Quantized, SchemeError> {
    if !(parameters.alpha_limit >= 1.0 && parameters.alpha_limit <= 1024.0) {
        let value = parameters.alpha_limit.to_string();
        return Err(SchemeError::Parameter { field: "alpha_limit", value, reason: "must be 1 to 1024".to_owned() });
    }
    let (alpha, beta) = squeeze(parameters, input.values);
    let policy = Policy::RNE.overflow(Overflow::Saturate);
    let mut expanded = vec![0.0f32];
    // Codes of the finite magnitudes: 1 to 0x7b.
    expanded.par_extend((1..=0x7bu64).into_par_iter().map(|code| {
        let y = binary64(&match Value::of(Format::E5M2, code) {
            Value::Finite { magnitude, .. } => magnitude,
            Value::Nan | Value::Infinite { .. } => unreachable!("finite codes"),
        });
        exp2((log2(y) - beta) / alpha) as f32
    }));
    let element = |i: usize| {
        let x = input.values[i];
        let sign = if x.is_sign_negative() { 0x80 } else { 0 };
        if !x.is_finite() {
            return Element { value: x, code: if x.is_nan() { 0x7e } else { 0x7c | sign }, saturated: false };
        }
        let (code, saturated) = if x == 0.0 {
            (0, false)
        } else {
            let y = exp2(alpha * log2(f64::from(x.abs())) + beta);
            let squeezed = if y.is_finite() { Value::finite(exact64(y)) } else { Value::Infinite { negative: false } };
            (round(Format::E5M2, &squeezed, policy, 0).0, y > 57344.0)
        };
        let magnitude = expanded[code as usize];
        Element { value: if sign == 0 { magnitude } else { -magnitude }, code: code as i64 | sign, saturated }
    };
    let grid = Grid::whole(input.shape, input.values);
    let codes = |codes: &mut dyn Iterator<Item = i64>| Numbers::codes(8, codes);
    let quantized = Quantized::each(input, grid.counts(), (vec![2], Numbers::F64(vec![alpha, beta])), codes, element);
    let largest = grid.extents[0].largest;
    let quantized = quantized.with_state("alpha", alpha).with_state("beta", beta);
    Ok(if largest == 0.0 { quantized } else { quantized.with_state("largest_exponent", exponent(largest)) })
}

#[cfg(test)]
mod tests;
