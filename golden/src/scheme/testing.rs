//! What the schemes' tests share.

use super::{Input, Parameters, Quantized, Scheme};

/// A scheme's parameters after `PATH=VALUE` settings.
pub fn parameters(scheme: &str, settings: &[&str]) -> Parameters {
    let split: Vec<_> = settings.iter().map(|s| systole_isa::overrides::split(s).expect("PATH=VALUE")).collect();
    Parameters::of(Scheme::find(scheme).expect("a scheme")).with_overrides(&split).expect("settings that fit")
}

/// A line of numbers through a scheme.
pub fn line(scheme: &str, settings: &[&str], x: &[f32]) -> Quantized {
    parameters(scheme, settings).quantize(&Input::new(&[x.len()], x)).expect("quantised")
}

/// Bits, so that zeros have signs.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in [0, 1), of 24 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 40) as f64 / f64::from(1 << 24)
    }

    /// Numbers over 20 binades and some powers of two, their neighbours, zeros and few-bit numbers.
    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let power = f32::from_bits((117 + (self.next() % 20) as u32) << 23);
                let magnitude = match self.next() % 8 {
                    0 => power,
                    1 => f32::from_bits(power.to_bits() - 1),
                    2 => f32::from_bits(power.to_bits() + 1),
                    3 => 0.0,
                    4 => power * (self.next() % 64) as f32 / 64.0,
                    _ => power * (1.0 + self.uniform() as f32),
                };
                if self.next() & 1 == 0 { magnitude } else { -magnitude }
            })
            .collect()
    }
}
