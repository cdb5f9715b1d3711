//! Operands drawn where arithmetic has corners.

use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Policy, encode};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A code of an IEEE format: any, near one, near a border of the range, or with few bits set.
    pub fn code(&mut self, format: Format) -> u64 {
        let Format::Float(f) = format else { panic!("{format} is no float") };
        let any = self.next();
        let sign = any >> 63 << (format.bits() - 1);
        let (fraction, mask) = (any & ((1 << f.mantissa_bits) - 1), format.mask() >> 1);
        let bias = f.bias as u64;
        let near = bias.min(20);
        match self.below(16) {
            0..=4 => any & format.mask(),
            5..=7 => sign | (bias - near + self.below(2 * near)) << f.mantissa_bits | fraction,
            // Subnormals, and normals next to them.
            8 => sign | fraction,
            9 => sign | self.below(30) << f.mantissa_bits | fraction,
            // The largest numbers, infinity, NaNs.
            10 => sign | (2 * bias + 1 - self.below(4)) << f.mantissa_bits | fraction,
            11 => sign | (mask - (1 << f.mantissa_bits) + 1).wrapping_add(self.below(5)).wrapping_sub(2),
            12 => sign | ((1 << f.mantissa_bits) + self.below(5)).wrapping_sub(2) & mask,
            13 => sign | self.below(3),
            // Powers of two and their neighbours; few bits set.
            14 => sign | (((any >> 8) % (2 * bias)) << f.mantissa_bits).wrapping_add(self.below(5)).wrapping_sub(2) & mask,
            _ => sign | ((any >> 8) % (2 * bias)) << f.mantissa_bits | fraction & any.rotate_left(20) & any.rotate_left(40),
        }
    }

    /// a, b and c of which c often nearly cancels a b, or lies at the edge of its rounding.
    pub fn triple(&mut self, format: Format) -> [u64; 3] {
        let (a, b) = (self.code(format), self.code(format));
        let (Decoded::Finite(x), Decoded::Finite(y)) = (format.decode(a), format.decode(b)) else { return [a, b, self.code(format)] };
        let product = x.multiply(y);
        let at = |value: Exact| encode(format, value, Policy::RNE, 0).0;
        let c = match self.below(8) {
            0 | 1 => at(product.negate()).wrapping_add(self.below(5)).wrapping_sub(2) & format.mask(),
            2 => at(product.scale(format.precision() as i32 + self.below(4) as i32 - 2)),
            3 => at(product.negate().scale(format.precision() as i32 - self.below(4) as i32 + 2)),
            4 => at(product.negate().scale(self.below(40) as i32 - 20)),
            _ => self.code(format),
        };
        [a, b, c]
    }

    /// a and b of like size, often nearly cancelling.
    pub fn pair(&mut self, format: Format) -> [u64; 2] {
        let a = self.code(format);
        let sign = 1 << (format.bits() - 1);
        let b = match self.below(4) {
            0 => (a ^ sign).wrapping_add(self.below(9)).wrapping_sub(4) & format.mask(),
            1 => (a & !(sign - 1) & format.mask()) ^ (self.next() & format.mask() & (sign | sign >> 4)) | a & (sign - 1) >> 3,
            _ => self.code(format),
        };
        [a, b]
    }
}
