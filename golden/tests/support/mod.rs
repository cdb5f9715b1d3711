//! What the comparisons share: seeded numbers, and isa's types read as golden's.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::disallowed_types, reason = "the tests that read isa's values compare the two")]

use systole_golden::value::power_of_two;
use systole_golden::{Rational, Value};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{NanCode, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess};

/// Every overflow policy.
pub const OVERFLOWS: [Overflow; 4] = [Overflow::Ieee, Overflow::Saturate, Overflow::Propagate, Overflow::Infinity];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A code of `format`, every other one from the neighbourhood of a border: zero, the
    /// smallest normal number, one, the largest number and the reserved codes.
    pub fn code(&mut self, format: Format) -> u64 {
        let code = self.next() & format.mask();
        if self.below(2) == 0 {
            return code;
        }
        let f = match format {
            Format::Float(f) => f,
            Format::Posit(_) | Format::Quire(_) => {
                // 0, one (of posits), NaR, and their neighbours, minpos and maxpos among them.
                let sign = 1u64 << (format.bits() - 1);
                let near = self.pick(&[0, sign >> 1, sign, sign | sign >> 1]);
                return near.wrapping_add(self.below(9)).wrapping_sub(4) & format.mask();
            }
            Format::Fixed(_) => return code,
        };
        let top = format.mask() >> u32::from(f.signed);
        let sign = (code ^ code & top) & format.mask();
        let normal = 1 << f.mantissa_bits;
        let one = (f.bias.max(0) as u64) << f.mantissa_bits;
        let near = self.pick(&[0, normal, one, top, top - top / (1 << f.exponent_bits)]);
        (near.wrapping_add(self.below(9)).wrapping_sub(4) & top) | sign
    }

    pub fn rounding(&mut self) -> Rounding {
        self.pick(&[
            Rounding::Rne,
            Rounding::Rmm,
            Rounding::Rtz,
            Rounding::Rdn,
            Rounding::Rup,
            Rounding::Rod,
            Rounding::Sr(1),
            Rounding::Sr(7),
            Rounding::Sr(32),
        ])
    }

    pub fn policy(&mut self) -> Policy {
        Policy {
            rounding: self.rounding(),
            overflow: self.pick(&OVERFLOWS),
            no_infinity: self.pick(&[NoInfinity::Nan, NoInfinity::Max]),
            subnormals: self.pick(&[SubnormalPolicy::Gradual, SubnormalPolicy::Daz, SubnormalPolicy::Ftz, SubnormalPolicy::DazFtz]),
            tininess: self.pick(&[Tininess::After, Tininess::Before]),
            nan: self.pick(&[NanCode::Canonical, NanCode::AllOnes]),
        }
    }
}

/// Every format named in `names`.
pub fn formats(names: &str) -> Vec<Format> {
    names.split_whitespace().map(|n| n.parse().unwrap()).collect()
}

/// The magnitude of an [`Exact`].
pub fn magnitude(x: Exact) -> Rational {
    Rational::from(dashu_int::UBig::from(x.significand)) * power_of_two(x.exponent.into())
}

/// What isa decoded, in golden's words.
pub fn value(decoded: Decoded) -> Value {
    match decoded {
        Decoded::Nan => Value::Nan,
        Decoded::Infinite { negative } => Value::Infinite { negative },
        Decoded::Finite(x) => Value::Finite { negative: x.negative, magnitude: magnitude(x) },
    }
}
