//! A scale for each block of a tensor.

use super::super::memory::Tensor;
use super::{BlockScales, Context, largest, scale_policy, top_exponent};
use crate::recipe::{Blocks, RoleFormat, Scale};
use systole_isa::block::ScaleRule;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};
use systole_isa::view::TensorView;

impl Context<'_> {
    /// Room for the scales of blocks of some rows and columns, 0 for all.
    pub(in super::super) fn block_scales(
        &mut self,
        blocks: &Blocks,
        (rows, cols): (usize, usize),
        (block_rows, block_cols): (u32, u32),
    ) -> BlockScales {
        let count = |extent: usize, block: u32| if block == 0 { 1 } else { extent.div_ceil(block as usize) };
        let scales = self.memory.tensor(blocks.format, count(rows, block_rows), count(cols, block_cols));
        let factor = blocks.two_level.then(|| self.memory.tensor(Format::FP32, 1, 1));
        BlockScales { scales, rows: block_rows, cols: block_cols, factor }
    }

    pub(super) fn encode_by_blocks(&mut self, elements: Tensor, to: &BlockScales, x: TensorView, role: &RoleFormat) {
        let Scale::Blocks(blocks) = role.scale else { return };
        let (scales, format) = (to.scales, role.format);
        let mut amax = self.memory.tensor(x.format, scales.rows, scales.cols);
        self.emitter.blocks(to.rows, to.cols);
        self.emitter.round_by(Policy::RNE);
        self.emitter.largest(amax, x);
        if blocks.least > 0.0 {
            let least = self.memory.constant(Format::FP32, blocks.least);
            let raised = self.memory.tensor(Format::FP32, scales.rows, scales.cols);
            self.emitter.larger(raised, amax, least);
            amax = raised;
        }
        if let Some(factor) = to.factor {
            return self.encode_two_levels(elements, (scales, factor), (amax, x), role);
        }
        match blocks.rule {
            ScaleRule::FloorPower => {
                let shift = self.memory.constant(Format::E8M0, f64::from(-top_exponent(format)).exp2());
                self.emitter.round_by(scale_policy(Rounding::Rtz));
                self.emitter.multiply(scales, amax, shift);
            }
            ScaleRule::CeilPower => {
                let top = self.memory.constant(Format::FP32, largest(format));
                self.emitter.round_by(scale_policy(Rounding::Rup));
                self.emitter.divide(scales, amax, top);
            }
            ScaleRule::Ratio => {
                let top = self.memory.constant(Format::FP32, largest(format));
                self.emitter.round_by(scale_policy(Rounding::Rne));
                self.emitter.divide(scales, amax, top);
                if blocks.least > 0.0 {
                    self.emitter.round_by(role.policy());
                    self.emitter.divide(elements, x, scales);
                    return;
                }
            }
        }
        let inverse = self.inverse_or_zero(scales);
        self.emitter.round_by(role.policy());
        self.emitter.multiply(elements, x, inverse);
    }

    /// 1 / x, but 0 where x is 0: exact for powers of two, else rounded to binary32.
    fn inverse_or_zero(&mut self, x: Tensor) -> Tensor {
        let powers = x.format == Format::E8M0;
        let format = if powers { Format::E8M0 } else { Format::FP32 };
        let inverse = self.memory.tensor(format, x.rows, x.cols);
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.reciprocal(inverse, x);
        if powers {
            // There is no 0 in e8m0.
            return inverse;
        }
        let gated = self.memory.tensor(format, x.rows, x.cols);
        self.emitter.gate(gated, inverse, x);
        gated
    }

    /// Block scales in units that make the largest of them their format's largest number.
    fn encode_two_levels(
        &mut self,
        elements: Tensor,
        (scales, factor): (Tensor, Tensor),
        (amax, x): (Tensor, TensorView),
        role: &RoleFormat,
    ) {
        let largest_element = largest(role.format);
        let whole = self.memory.tensor(x.format, 1, 1);
        let (rows, cols) = self.emitter.blocks_now();
        self.emitter.blocks(0, 0);
        self.emitter.round_by(Policy::RNE);
        self.emitter.largest(whole, amax);
        let encoding = self.quotient_or_one(largest_element * largest(scales.format), whole);
        let per_element = self.memory.tensor(Format::FP32, 1, 1);
        let top = self.memory.constant(Format::FP32, largest_element);
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.reciprocal(factor, encoding);
        self.emitter.divide(per_element, encoding, top);
        self.emitter.multiply(scales, amax, per_element);
        // x encoding / scale, the quotient rounded to binary32 first.
        let [quotient, gated] = [(); 2].map(|()| self.memory.tensor(Format::FP32, scales.rows, scales.cols));
        self.emitter.divide(quotient, encoding, scales);
        self.emitter.gate(gated, quotient, scales);
        self.emitter.blocks(rows, cols);
        self.emitter.round_by(role.policy());
        self.emitter.multiply(elements, x, gated);
    }

    pub(super) fn decode_blocks(&mut self, values: Tensor, elements: Tensor, from: &BlockScales, policy: Policy) {
        self.emitter.blocks(from.rows, from.cols);
        self.emitter.round_by(policy);
        self.emitter.multiply(values, elements, from.scales);
        if let Some(factor) = from.factor {
            self.emitter.multiply(values, values, factor);
        }
    }
}
