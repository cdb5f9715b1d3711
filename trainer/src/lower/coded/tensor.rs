//! One scale for a whole tensor.

use super::super::memory::Tensor;
use super::{Context, Place, largest, scale_policy, top_exponent};
use crate::recipe::{RoleFormat, Scale};
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};
use systole_isa::view::TensorView;

/// A scale the host follows from step to step.
#[derive(Clone, Copy, Debug)]
pub struct Followed {
    /// Index of the layer.
    pub layer: usize,
    /// The role.
    pub role: &'static str,
    /// Which of the layer's tensors in that role.
    pub index: usize,
    /// Format of the codes.
    pub format: Format,
    /// How the scale follows.
    pub scale_policy: Scale,
    /// The largest magnitude of the last training step, one element that programs write.
    pub amax: Tensor,
    /// What values are multiplied by (`delayed`) or codes stand in units of (`tracked`), one
    /// element that the host writes.
    pub scale: Tensor,
    /// The inverse of a delayed scale, likewise.
    pub inverse: Tensor,
}

impl Context<'_> {
    /// The followed scale of a tensor of the present layer.
    pub(super) fn followed(&mut self, role: &RoleFormat, place: Place) -> Followed {
        let known = self.followed.iter().find(|f| f.layer == self.layer && f.role == place.role && f.index == place.index);
        if let Some(known) = known {
            return *known;
        }
        let format = if matches!(role.scale, Scale::Tracked { .. }) { Format::E8M0 } else { Format::FP32 };
        let [scale, inverse] = [(); 2].map(|()| self.memory.tensor(format, 1, 1));
        let followed = Followed {
            layer: self.layer,
            role: place.role,
            index: place.index,
            format: role.format,
            scale_policy: role.scale,
            amax: self.memory.tensor(Format::FP32, 1, 1),
            scale,
            inverse,
        };
        self.followed.push(followed);
        followed
    }

    /// The largest magnitude of a tensor, in its own format.
    fn amax(&mut self, x: TensorView) -> Tensor {
        let amax = self.memory.tensor(x.format, 1, 1);
        self.emitter.blocks(0, 0);
        self.emitter.round_by(Policy::RNE);
        self.emitter.largest(amax, x);
        amax
    }

    /// Leaves the largest magnitude for the host, in training.
    fn record(&mut self, x: TensorView, matches: impl Fn(&Followed) -> bool) -> Option<Followed> {
        let followed = self.followed.iter().copied().find(matches)?;
        if self.recording {
            self.emitter.blocks(0, 0);
            self.emitter.round_by(Policy::RNE);
            self.emitter.largest(followed.amax, x);
        }
        Some(followed)
    }

    /// Finds the power of two in units of which `x` is to be coded, unless the host does.
    pub(super) fn find_power(&mut self, scale: Tensor, x: TensorView, role: &RoleFormat) {
        match role.scale {
            Scale::Present { room } => {
                let amax = self.amax(x);
                let shift = self.memory.constant(Format::E8M0, f64::from(room - top_exponent(role.format)).exp2());
                self.emitter.round_by(scale_policy(Rounding::Rtz));
                self.emitter.multiply(scale, amax, shift);
            }
            Scale::Current { .. } => {
                let amax = self.amax(x);
                let top = self.memory.constant(Format::FP32, largest(role.format));
                // The scale of encoding is rounded down, so that of decoding is its inverse.
                let encoding = self.memory.tensor(Format::E8M0, 1, 1);
                self.emitter.round_by(scale_policy(Rounding::Rtz));
                self.emitter.divide(encoding, top, amax);
                self.emitter.reciprocal(scale, encoding);
            }
            _ => {
                self.record(x, |f| f.scale == scale);
            }
        }
    }

    /// The inverse of a power of two.
    pub(super) fn inverse_power(&mut self, scale: Tensor) -> Tensor {
        let inverse = self.memory.tensor(Format::E8M0, 1, 1);
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.reciprocal(inverse, scale);
        inverse
    }

    /// Codes in units of a power of two.
    pub(super) fn encode_by_power(&mut self, elements: Tensor, scale: Tensor, x: TensorView, role: &RoleFormat) {
        self.find_power(scale, x, role);
        let inverse = self.inverse_power(scale);
        self.emitter.round_by(role.policy());
        self.emitter.multiply(elements, x, inverse);
    }

    /// Codes of values times a binary32 factor, of which `inverse` undoes the multiplication.
    pub(super) fn encode_by_factor(&mut self, elements: Tensor, inverse: Tensor, x: TensorView, role: &RoleFormat) {
        let factor = match self.record(x, |f| f.inverse == inverse) {
            Some(followed) => followed.scale,
            None => {
                let amax = self.amax(x);
                let factor = self.quotient_or_one(largest(role.format), amax);
                self.emitter.round_by(scale_policy(Rounding::Rne));
                self.emitter.reciprocal(inverse, factor);
                factor
            }
        };
        self.emitter.round_by(role.policy());
        self.emitter.multiply(elements, x, factor);
    }

    /// numerator / x, but 1 where x is 0, one element in binary32.
    pub(super) fn quotient_or_one(&mut self, numerator: f64, x: Tensor) -> Tensor {
        let [quotient, nonzero, gated, zero, result] = [(); 5].map(|()| self.memory.tensor(Format::FP32, 1, 1));
        let [numerator, one] = [numerator, 1.0].map(|value| self.memory.constant(Format::FP32, value));
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.divide(quotient, numerator, x);
        self.emitter.gate(gated, quotient, x);
        self.emitter.gate(nonzero, one, x);
        self.emitter.subtract(zero, one, nonzero);
        self.emitter.add(result, gated, zero);
        result
    }
}
