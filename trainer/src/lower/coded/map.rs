//! Codebooks of 256 values: dynamic tree quantisation (Dettmers et al. 2022).

use super::super::memory::Tensor;
use super::{Context, Scaling, scale_policy};
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};
use systole_isa::view::TensorView;

/// The codebook: for i = 0 to 6 the means of neighbours on an even grid from 0.1 to 1, in
/// binary32, of 2^i cells (signed) or 2^(i+1) (unsigned), times 10^(i-6); their negatives if
/// signed; 0 and 1. Ascending.
pub(crate) fn dynamic_map(signed: bool) -> Vec<f32> {
    let mut values = vec![0.0, 1.0];
    for (i, decade) in [1e-6f32, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
        let cells = 1usize << if signed { i } else { i + 1 };
        let bounds: Vec<f32> = (0..=cells).map(|n| linspace(n, cells)).collect();
        for pair in bounds.windows(2) {
            let mean = (pair[0] + pair[1]) / 2.0;
            values.push(decade * mean);
            if signed {
                values.push(-(decade * mean));
            }
        }
    }
    values.sort_by(f32::total_cmp);
    values
}

/// Point n of an even grid of `cells` cells from 0.1 to 1 in binary32, counted from the nearer end
/// with one rounding, as PyTorch's linspace does on machines with fused multiply-add.
fn linspace(n: usize, cells: usize) -> f32 {
    let (start, end) = (0.1f32, 1.0f32);
    let step = (end - start) / cells as f32;
    if n < cells.div_ceil(2) { step.mul_add(n as f32, start) } else { (-step).mul_add((cells - n) as f32, end) }
}

impl Context<'_> {
    /// Room for the scales of a tensor of so many elements; `None` where it is too small.
    pub(super) fn map(&mut self, elements: usize, block: u32, signed: bool, least: u32) -> Option<Scaling> {
        (elements >= least as usize).then(|| Scaling::Map {
            table: self.memory.table(Format::FP32, &dynamic_map(signed).iter().map(|&v| v.into()).collect::<Vec<_>>()),
            scales: self.memory.tensor(Format::FP32, 1, elements.div_ceil(block as usize)),
            block,
        })
    }

    /// Indices of the values nearest to x / largest magnitude, which is rounded to binary32 first.
    /// `x` lies without gaps.
    pub(super) fn encode_by_map(&mut self, elements: Tensor, (table, scales, block): (Tensor, Tensor, u32), x: TensorView) {
        let count = elements.elements();
        let flat = TensorView::contiguous(x.format, x.space, x.address, 1, count as u32);
        let [inverse, safe] = [(); 2].map(|()| self.memory.tensor(Format::FP32, 1, scales.cols));
        let normal = self.memory.tensor(Format::FP32, 1, count);
        let one = self.memory.constant(Format::FP32, 1.0);
        self.emitter.blocks(0, block);
        self.emitter.round_by(scale_policy(Rounding::Rne));
        self.emitter.largest(scales, flat);
        // A stretch of zeros is divided by 1.
        self.emitter.gate(inverse, one, scales);
        self.emitter.subtract(inverse, one, inverse);
        self.emitter.add(safe, scales, inverse);
        self.emitter.divide(normal, flat, safe);
        self.emitter.find(elements.reshaped(1, count), normal, table);
    }

    pub(super) fn decode_map(&mut self, values: Tensor, elements: Tensor, (table, scales, block): (Tensor, Tensor, u32), policy: Policy) {
        let count = elements.elements();
        let looked = self.memory.tensor(Format::FP32, 1, count);
        self.emitter.blocks(0, block);
        self.emitter.round_by(policy);
        self.emitter.look(looked, elements.reshaped(1, count), table);
        self.emitter.multiply(values.reshaped(1, count), looked, scales);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_have_the_published_landmarks() {
        for (signed, landmarks) in [
            (true, vec![(0, -0.992_968_7), (127, 0.0), (128, 5.5e-7), (255, 1.0)]),
            (false, vec![(0, 0.0), (1, 3.25e-7), (254, 0.996_484_4), (255, 1.0)]),
        ] {
            let map = dynamic_map(signed);
            assert_eq!(map.len(), 256);
            assert!(map.is_sorted_by(|a, b| a < b));
            for (index, value) in landmarks {
                assert!((f64::from(map[index]) - value).abs() <= 1e-7 * value.abs(), "{signed} {index}: {}", map[index]);
            }
        }
    }
}
