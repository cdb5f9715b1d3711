//! Shifted and stretched logarithms (S2FP8, Cambier et al. 2020).
//!
//! With mu the mean of log2 |x| over the nonzero elements and m their largest, alpha = top / (m - mu)
//! and beta = -alpha mu; codes are of sgn(x) 2^(alpha log2 |x| + beta), values
//! sgn(y) 2^((log2 |y| - beta) / alpha). Each step below is one instruction and one rounding to
//! binary32. alpha is held within 2^-6 to 2^6; where m = mu it is 1 and beta = top - m.

use super::super::memory::Tensor;
use super::{Context, top_exponent};
use crate::recipe::RoleFormat;
use systole_isa::format::Format;
use systole_isa::round::Policy;
use systole_isa::view::TensorView;

/// Bounds of alpha.
const ALPHA: (f64, f64) = (0.015_625, 64.0);

impl Context<'_> {
    fn single(&mut self) -> Tensor {
        self.memory.tensor(Format::FP32, 1, 1)
    }

    fn number(&mut self, value: f64) -> Tensor {
        self.memory.constant(Format::FP32, value)
    }

    /// `values` gets `x` as its codes in the role's format would give it back.
    pub(super) fn squeeze(&mut self, values: Tensor, x: TensorView, role: &RoleFormat) {
        let (rows, cols) = (x.rows as usize, x.cols as usize);
        let [magnitudes, logarithms, counted, ones] = [(); 4].map(|()| self.memory.tensor(Format::FP32, rows, cols));
        let top = f64::from(top_exponent(role.format));
        let [zero, one, least, most, top] = [0.0, 1.0, ALPHA.0, ALPHA.1, top].map(|value| self.number(value));
        let [sums, counts] = [(); 2].map(|()| self.memory.tensor(Format::FP32, rows, 1));
        let [sum, count, filled, mean, largest, distance] = [(); 6].map(|()| self.single());
        self.emitter.blocks(0, 0);
        self.emitter.round_by(Policy::RNE);
        self.emitter.absolute(magnitudes, x);
        self.emitter.log2(logarithms, magnitudes);
        self.emitter.gate(counted, logarithms, magnitudes);
        self.emitter.gate(ones, one, magnitudes);
        // Row by row first: shorter chains lose less.
        self.emitter.sum(sums, counted);
        self.emitter.sum(sum, sums);
        self.emitter.sum(counts, ones);
        self.emitter.sum(count, counts);
        self.emitter.larger(filled, count, one);
        self.emitter.divide(mean, sum, filled);
        self.emitter.maximum(largest, logarithms);
        self.emitter.subtract(distance, largest, mean);
        // alpha, with 1 where the distance is 0 (or the tensor all zeros).
        let [quotient, spread, gated, is_flat, alpha, beta, negated] = [(); 7].map(|()| self.single());
        self.emitter.divide(quotient, top, distance);
        self.emitter.larger(quotient, quotient, least);
        self.emitter.smaller(quotient, quotient, most);
        self.emitter.gate(spread, one, distance);
        self.emitter.gate(gated, quotient, distance);
        self.emitter.subtract(is_flat, one, spread);
        self.emitter.add(alpha, gated, is_flat);
        self.emitter.multiply(negated, alpha, mean);
        self.emitter.subtract(beta, zero, negated);
        self.emitter.multiply_add(beta, is_flat, top, beta);
        // Codes: zeros have a logarithm of minus infinity, and stay zeros.
        let [stretched, powers] = [(); 2].map(|()| self.memory.tensor(Format::FP32, rows, cols));
        let codes = self.memory.tensor(role.format, rows, cols);
        self.emitter.multiply_add(stretched, logarithms, alpha, beta);
        self.emitter.exp2(powers, stretched);
        self.emitter.round_by(role.policy());
        self.emitter.copy_sign(codes, powers, x);
        // And back.
        let [coded, back, shifted, released] = [(); 4].map(|()| self.memory.tensor(Format::FP32, rows, cols));
        let inverse = self.single();
        self.emitter.round_by(Policy::RNE);
        self.emitter.reciprocal(inverse, alpha);
        self.emitter.absolute(coded, codes);
        self.emitter.log2(back, coded);
        self.emitter.subtract(shifted, back, beta);
        self.emitter.multiply(shifted, shifted, inverse);
        self.emitter.exp2(released, shifted);
        self.emitter.copy_sign(values, released, codes);
    }
}
