//! Posits: sign, regime, exponent, fraction, read in two's complement (Gustafson and
//! Yonemoto 2017; Standard for Posit Arithmetic 2022, which fixes es = 2).

use super::{Decoded, Exact};

/// A posit format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositFormat {
    /// Width n in bits, 3..=32.
    pub width: u32,
    /// Width of the exponent field, 0..=3; a regime step is worth 2^es binades.
    pub exponent_bits: u32,
}

impl PositFormat {
    /// Bits of a code.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// The code of NaR, "not a real": the sign bit alone.
    pub const fn nar(self) -> u64 {
        1 << (self.width - 1)
    }

    /// The code of the largest number, maxpos.
    pub const fn max_code(self) -> u64 {
        self.nar() - 1
    }

    /// log2 of maxpos; minpos is its reciprocal.
    pub const fn max_exponent(self) -> i32 {
        (self.width as i32 - 2) << self.exponent_bits
    }

    /// Significand bits of the most precise numbers, hidden bit included.
    pub const fn precision(self) -> u32 {
        let fraction = self.width as i32 - 3 - self.exponent_bits as i32;
        if fraction > 0 { fraction as u32 + 1 } else { 1 }
    }

    /// The code of the negated number; zero and NaR are their own.
    pub const fn negate(self, code: u64) -> u64 {
        code.wrapping_neg() & self.mask()
    }

    /// The meaning of `code`; bits above the format's width are ignored.
    pub const fn decode(self, code: u64) -> Decoded {
        let code = code & self.mask();
        if code == 0 {
            return Decoded::Finite(Exact::zero(false));
        }
        if code == self.nar() {
            return Decoded::Nan;
        }
        let negative = code & self.nar() != 0;
        let magnitude = if negative { self.negate(code) } else { code };
        // The bits behind the sign, moved to the top.
        let bits = magnitude << (65 - self.width);
        let ones = bits >> 63 == 1;
        let run = if ones { bits.leading_ones() } else { bits.leading_zeros() } as i32;
        let regime = if ones { run - 1 } else { -run };
        // Bits that the code ends before are zeros.
        let rest = if run + 1 >= 64 { 0 } else { bits << (run + 1) as u32 };
        let (exponent, fraction) =
            if self.exponent_bits == 0 { (0, rest) } else { (rest >> (64 - self.exponent_bits), rest << self.exponent_bits) };
        let (significand, point) = if fraction == 0 {
            (1, 0)
        } else {
            let width = 64 - fraction.trailing_zeros();
            ((fraction >> (64 - width)) as u128 | 1 << width, width as i32)
        };
        let exponent = (regime << self.exponent_bits) + exponent as i32 - point;
        Decoded::Finite(Exact { negative, significand, exponent })
    }
}
