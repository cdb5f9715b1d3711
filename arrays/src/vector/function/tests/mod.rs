//! Functions against what does not share their code, one file per authority: the host's
//! mathematical library, naive series in big integers, the standard's table of special values.

mod cases;
mod host;
mod naive;
mod policies;

use super::*;
use systole_isa::round::Overflow;

const FP16: Format = Format::FP16;
const BF16: Format = Format::BF16;
const FP32: Format = Format::FP32;

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

fn value(function: Function, input: Format, output: Format, code: u64, policy: Policy) -> (u64, Flags) {
    evaluate(function, input, output, code, policy, 0).unwrap()
}

/// Deterministic pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
