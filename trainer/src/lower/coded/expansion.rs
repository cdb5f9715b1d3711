//! Dynamic range expansion (COAT, Xi et al. 2025).
//!
//! A stretch of elements with largest magnitude M and smallest nonzero magnitude m becomes
//! sgn(x) (|x| / sqrt(M m))^k / s, with k = floor(16 log2(F^2 / 2) / log2(M / m)) / 16 for F the
//! format's largest number, and s such that M becomes F. Powers are taken by way of log2 and
//! exp2, each a rounding to binary32; k is within
//! 1/16 to 64, and 64 where M = m.

use super::super::memory::Tensor;
use super::{Context, largest, scale_policy};
use crate::recipe::RoleFormat;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};
use systole_isa::view::TensorView;

/// What codes are taken back by, one element for each stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expanded {
    /// k, in steps of 1/16.
    power: Tensor,
    /// log2 sqrt(M m).
    centre: Tensor,
    /// log2 s.
    scale: Tensor,
    /// Elements of a stretch.
    block: u32,
}

impl Expanded {
    pub(crate) const fn tensors(&self) -> [Tensor; 3] {
        [self.power, self.centre, self.scale]
    }

    /// Elements of a stretch.
    pub(crate) const fn block(&self) -> u32 {
        self.block
    }
}

/// k has four fraction bits.
fn powers() -> Format {
    "fx16.4".parse().unwrap_or(Format::FP32)
}

impl Context<'_> {
    pub(super) fn expanded(&mut self, elements: usize, block: u32) -> Expanded {
        let stretches = elements.div_ceil(block as usize);
        let power = self.memory.tensor(powers(), 1, stretches);
        let [centre, scale] = [(); 2].map(|()| self.memory.tensor(Format::FP32, 1, stretches));
        Expanded { power, centre, scale, block }
    }

    /// `x` lies without gaps.
    pub(super) fn encode_by_expansion(&mut self, elements: Tensor, to: &Expanded, x: TensorView, role: &RoleFormat) {
        let count = elements.elements();
        let flat = TensorView::contiguous(x.format, x.space, x.address, 1, count as u32);
        let top = largest(role.format);
        let [zero, one, sixty_four, step, half, span, largest] =
            [0.0, 1.0, 64.0, 0.0625, 0.5, top * top / 2.0, top].map(|value| self.memory.constant(Format::FP32, value));
        let [range, top] = [(); 2].map(|()| self.memory.tensor(Format::FP32, 1, 1));
        let stretches = to.power.cols;
        let [most, least, filled, log_most, log_least, distance, sum] = [(); 7].map(|()| self.memory.tensor(Format::FP32, 1, stretches));
        let [magnitudes, inverses, logarithms, shifted] = [(); 4].map(|()| self.memory.tensor(Format::FP32, 1, count));
        self.emitter.blocks(0, to.block);
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.log2(range, span);
        self.emitter.log2(top, largest);
        self.emitter.absolute(magnitudes, flat);
        self.emitter.reciprocal(inverses, magnitudes);
        self.emitter.gate(inverses, inverses, magnitudes);
        self.emitter.largest(most, magnitudes);
        self.emitter.largest(least, inverses);
        // A stretch of zeros is taken for one of ones.
        self.emitter.gate(filled, one, most);
        self.emitter.subtract(filled, one, filled);
        self.emitter.add(most, most, filled);
        self.emitter.add(least, least, filled);
        self.emitter.log2(log_most, most);
        self.emitter.log2(log_least, least);
        // log2(M / m): `least` holds 1 / m.
        self.emitter.add(distance, log_most, log_least);
        self.emitter.larger(distance, distance, zero);
        self.emitter.round_by(scale_policy(Rounding::Rtz));
        self.emitter.divide(to.power, range, distance);
        self.emitter.smaller(to.power, to.power, sixty_four);
        self.emitter.larger(to.power, to.power, step);
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.subtract(sum, log_most, log_least);
        self.emitter.multiply(to.centre, sum, half);
        self.emitter.subtract(log_most, log_most, to.centre);
        self.emitter.multiply(log_most, log_most, to.power);
        self.emitter.subtract(to.scale, log_most, top);
        self.emitter.log2(logarithms, magnitudes);
        self.emitter.subtract(shifted, logarithms, to.centre);
        self.emitter.multiply(shifted, shifted, to.power);
        self.emitter.subtract(shifted, shifted, to.scale);
        self.emitter.exp2(magnitudes, shifted);
        self.emitter.round_by(role.policy());
        self.emitter.copy_sign(elements.reshaped(1, count), magnitudes, flat);
    }

    pub(super) fn decode_expansion(&mut self, values: Tensor, elements: Tensor, from: &Expanded, policy: Policy) {
        let count = elements.elements();
        let codes = elements.reshaped(1, count);
        let [magnitudes, logarithms] = [(); 2].map(|()| self.memory.tensor(Format::FP32, 1, count));
        self.emitter.blocks(0, from.block);
        self.emitter.round_by(Policy::RNE);
        self.emitter.absolute(magnitudes, codes);
        self.emitter.log2(logarithms, magnitudes);
        self.emitter.add(logarithms, logarithms, from.scale);
        self.emitter.divide(logarithms, logarithms, from.power);
        self.emitter.add(logarithms, logarithms, from.centre);
        self.emitter.exp2(magnitudes, logarithms);
        self.emitter.round_by(policy);
        self.emitter.copy_sign(values.reshaped(1, count), magnitudes, codes);
    }
}
