//! The vector unit held against the oracle, its fast paths against the definition.

mod blocks;
mod codebook;
mod definition;
mod fast;
mod shapes;
mod speed;

use systole_isa::entropy::Site;
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::{NoInfinity, Overflow, Policy, Rounding};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.next() as usize % of.len()]
    }

    /// A code of `format`: one in four beside a border (zero, smallest normal, one, largest,
    /// reserved), one in four with few significant bits, the others at large or near 1.
    fn code(&mut self, format: Format) -> u64 {
        let code = self.next() & format.mask();
        let Format::Float(f) = format else {
            return if self.next() & 3 == 0 { (code & 7).wrapping_sub(4) & format.mask() } else { code };
        };
        let top = format.mask() >> u32::from(f.signed);
        let sign = (code ^ code & top) & format.mask();
        let normal = 1 << f.mantissa_bits;
        let one = ((f.bias.max(0) as u64) << f.mantissa_bits).min(top);
        match self.next() & 3 {
            0 => {
                let near = self.pick(&[0, normal, one, top, f.max_finite_magnitude()]);
                (near.wrapping_add(self.next() % 5).wrapping_sub(2) & top) | sign
            }
            1 => code & !(normal - 1) | self.pick(&[0, normal >> 1, normal >> 2, 1]) & (normal - 1),
            2 => (one.wrapping_add(self.next() % (normal * 16)).wrapping_sub(normal * 8) & top) | sign,
            _ => code,
        }
    }

    fn policy(&mut self) -> Policy {
        let mut policy = Policy::new(self.pick(&ROUNDINGS));
        policy.overflow = self.pick(&[Overflow::Ieee, Overflow::Saturate]);
        policy.no_infinity = self.pick(&[NoInfinity::Nan, NoInfinity::Max]);
        policy
    }
}

const ROUNDINGS: [Rounding; 10] = [
    Rounding::Rne,
    Rounding::Rmm,
    Rounding::Rtz,
    Rounding::Rdn,
    Rounding::Rup,
    Rounding::Rod,
    Rounding::Sr(1),
    Rounding::Sr(8),
    Rounding::Sr(13),
    Rounding::Sr(32),
];

const SITE: Site = Site { seed: 11, step: 3, instruction: 29, origin: [0; 2] };

fn format(name: &str) -> Format {
    name.parse().unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn formats(names: &[&str]) -> Vec<Format> {
    names.iter().map(|n| format(n)).collect()
}

/// True for formats whose sums can start from +0.
fn has_zero(format: Format) -> bool {
    !matches!(format, Format::Float(f) if !f.signed && f.subnormals == Subnormals::None)
}
