//! What lies in the device's memory, as numbers.

use super::matrix::Matrix;
use crate::host::functions;
use crate::lower::{Coded, Scaling, Source, Tensor};
use systole_isa::device::{Device, DeviceError};
use systole_isa::format::Format;
use systole_isa::view::TensorView;

/// The memory as a program of a step saw it.
pub(super) struct Memory<'a> {
    pub device: &'a dyn Device,
    /// Tensors that have changed since, as they were.
    pub before: &'a [(Tensor, Vec<u64>)],
}

/// A coded tensor as numbers.
pub(super) struct Decoded {
    /// What the codes stand for.
    pub values: Vec<f64>,
    /// Values of the codes alone.
    pub codes: Vec<f64>,
    /// What these are multiplied by, where that is all.
    scales: Option<Scales>,
    /// Least and largest scale.
    pub range: Option<[f64; 2]>,
}

enum Scales {
    Whole(f64),
    Each(Vec<f64>),
}

impl Decoded {
    /// What an element's code is multiplied by, where that is all.
    pub(super) fn scale(&self, index: usize) -> Option<f64> {
        match &self.scales {
            Some(Scales::Whole(scale)) => Some(*scale),
            Some(Scales::Each(scales)) => scales.get(index).copied(),
            None => None,
        }
    }

    /// As a product reads it.
    pub(super) fn matrix(self, elements: Tensor, view: TensorView) -> Matrix {
        let base = (view.address as i64 - elements.address as i64) / i64::from(view.format.storage_bytes());
        Matrix { values: self.values, view, base }
    }

    fn multiplied(codes: Vec<f64>, scale: f64) -> Self {
        let values = codes.iter().map(|code| code * scale).collect();
        Self { values, codes, scales: Some(Scales::Whole(scale)), range: Some([scale; 2]) }
    }
}

/// The values of codes.
fn numbers(format: Format, codes: &[u64]) -> Vec<f64> {
    if format.bits() <= 12 && codes.len() >= 1 << format.bits() {
        let table: Vec<f64> = (0..1 << format.bits()).map(|code| format.to_f64(code)).collect();
        return codes.iter().map(|&code| table[(code & format.mask()) as usize]).collect();
    }
    codes.iter().map(|&code| format.to_f64(code)).collect()
}

fn range(scales: &[f64]) -> Option<[f64; 2]> {
    let finite = scales.iter().copied().filter(|s| s.is_finite());
    finite.fold(None, |range, s| Some(range.map_or([s; 2], |[least, largest]: [f64; 2]| [least.min(s), largest.max(s)])))
}

impl Memory<'_> {
    fn codes(&self, address: u64, format: Format, count: usize) -> Result<Vec<u64>, DeviceError> {
        let bytes = u64::from(format.storage_bytes());
        for (tensor, codes) in self.before {
            let end = tensor.address + tensor.elements() as u64 * bytes;
            if tensor.format == format && (tensor.address..end).contains(&address) {
                let first = ((address - tensor.address) / bytes) as usize;
                return Ok(codes.iter().skip(first).take(count).copied().collect());
            }
        }
        self.device.read(address, format, count)
    }

    /// The values of a tensor's codes.
    pub(super) fn tensor(&self, tensor: Tensor) -> Result<Vec<f64>, DeviceError> {
        Ok(numbers(tensor.format, &self.codes(tensor.address, tensor.format, tensor.elements())?))
    }

    fn one(&self, tensor: Tensor) -> Result<f64, DeviceError> {
        Ok(self.tensor(tensor)?.first().copied().unwrap_or_default())
    }

    /// Values before they were rounded, as they were read.
    pub(super) fn source(&self, source: &Source) -> Result<Matrix, DeviceError> {
        let view = source.view;
        let Some((low, high)) = view.offset_range() else { return Ok(Matrix { values: Vec::new(), view, base: 0 }) };
        let address = view.address.wrapping_add_signed(low * i64::from(view.format.storage_bytes()));
        let mut values = numbers(view.format, &self.codes(address, view.format, (high - low + 1) as usize)?);
        if source.rectified {
            // As the instruction has it: NaN is not larger than 0.
            values.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { 0.0 });
        }
        Ok(Matrix { values, view, base: -low })
    }

    /// What codes stand for, products and quotients in binary64.
    pub(super) fn decode(&self, coded: &Coded) -> Result<Decoded, DeviceError> {
        let Tensor { cols, .. } = coded.elements;
        let codes = self.tensor(coded.elements)?;
        Ok(match coded.scaling {
            Scaling::Bias(bias) => Decoded::multiplied(codes, f64::from(-bias).exp2()),
            Scaling::Power(scale) | Scaling::Factor(scale) => Decoded::multiplied(codes, self.one(scale)?),
            Scaling::Blocks(blocks) => {
                let factor = blocks.factor.map_or(Ok(1.0), |factor| self.one(factor))?;
                let of_blocks: Vec<f64> = self.tensor(blocks.scales)?.into_iter().map(|scale| scale * factor).collect();
                let along = |index: usize, extent: u32| index.checked_div(extent as usize).unwrap_or(0);
                let each = |i: usize| of_blocks[along(i / cols, blocks.rows) * blocks.scales.cols + along(i % cols, blocks.cols)];
                let scales: Vec<f64> = (0..codes.len()).map(each).collect();
                let values = codes.iter().zip(&scales).map(|(code, scale)| code * scale).collect();
                Decoded { values, codes, range: range(&of_blocks), scales: Some(Scales::Each(scales)) }
            }
            Scaling::Map { table, scales, block } => {
                let (table, scales) = (self.tensor(table)?, self.tensor(scales)?);
                let indices = self.codes(coded.elements.address, coded.elements.format, codes.len())?;
                let value = |(i, index): (usize, u64)| {
                    table.get(index as usize).copied().unwrap_or(f64::NAN) * scales.get(i / block as usize).copied().unwrap_or(f64::NAN)
                };
                let values = indices.into_iter().enumerate().map(value).collect();
                Decoded { values, codes, scales: None, range: range(&scales) }
            }
            Scaling::Expansion(expanded) => {
                let [power, centre, scale] = expanded.tensors();
                let [power, centre, scale] = [self.tensor(power)?, self.tensor(centre)?, self.tensor(scale)?];
                let value = |(i, &code): (usize, &f64)| {
                    let at = i / expanded.block() as usize;
                    let (k, centre, scale) = (power[at], centre[at], scale[at]);
                    let ln_2 = std::f64::consts::LN_2;
                    let magnitude = functions::exp((functions::ln(code.abs()) + scale * ln_2) / k + centre * ln_2);
                    if code == 0.0 { code } else { magnitude.copysign(code) }
                };
                let values = codes.iter().enumerate().map(value).collect();
                Decoded { values, codes, scales: None, range: None }
            }
        })
    }
}
