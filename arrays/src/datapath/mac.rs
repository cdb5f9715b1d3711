//! The parts of a multiply-accumulate: product, exact or rounded, and additions with one rounding.

use super::register::{Addend, Register};
use super::wide::Wide;
use super::words::WordMac;
use systole_isa::design::{MacMode, Product, Scaling, Unit};
use systole_isa::exact::Exact;
use systole_isa::format::Decoded;
use systole_isa::round::{Flags, Policy, decode_with, encode_decoded};

/// A MAC of one mode with its shared exponent bias registers set.
#[derive(Clone, Debug)]
pub struct Mac {
    mode: MacMode,
    policy: Policy,
    /// Of what is written outside the MAC's own accumulator.
    outer: Policy,
    /// Power of two that the bias registers give every product.
    scale: i32,
    /// The same in machine words, for what they hold.
    words: Option<WordMac>,
    /// True for a chain without random bits or factors.
    simple: bool,
}

/// The exact product of a block's two scales: what its products are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(pub(super) Decoded);

impl Factor {
    /// Of operands without scales.
    pub const ONE: Self = Self(Decoded::Finite(Exact { negative: false, significand: 1, exponent: 0 }));

    /// Its exponent, where it is finite and not zero.
    pub(super) fn exponent(self) -> Option<i32> {
        match self.0 {
            Decoded::Finite(x) if !x.is_zero() => Some(x.magnitude_exponent()),
            _ => None,
        }
    }

    /// Multiplies; NaN, infinities and zeros as in any product.
    pub(super) fn times(self, x: Decoded) -> (Decoded, Flags) {
        match (x, self.0) {
            // Powers of two, and zero, leave the significand of a product its width.
            (Decoded::Finite(x), Decoded::Finite(f)) if f.significand <= 1 => {
                let scaled = Exact {
                    negative: x.negative != f.negative,
                    significand: x.significand * f.significand,
                    exponent: x.exponent + f.exponent,
                };
                (Decoded::Finite(scaled), Flags::NONE)
            }
            (x, f) => multiply(x, f, 0),
        }
    }
}

impl Mac {
    /// A MAC whose operands are multiplied by 2^-bias_a and 2^-bias_b.
    pub fn new(mode: &MacMode, bias_a: i32, bias_b: i32) -> Self {
        let scale = -(bias_a + bias_b);
        Self {
            policy: mode.policy(),
            outer: mode.outer_policy(),
            mode: mode.clone(),
            scale,
            words: WordMac::new(mode, scale),
            simple: mode.unit == Unit::Chain && mode.scale == Scaling::None && mode.random_bits() == 0,
        }
    }

    /// The MAC that knows the definition only.
    pub fn by_definition(mode: &MacMode, bias_a: i32, bias_b: i32) -> Self {
        Self { words: None, ..Self::new(mode, bias_a, bias_b) }
    }

    /// The like, of a mode that adds products one by one without random bits or factors.
    #[inline(always)]
    pub(super) const fn simple_words(&self) -> Option<&WordMac> {
        if self.simple { self.words() } else { None }
    }

    /// The MAC in machine words, where the mode has one.
    #[inline(always)]
    pub(super) const fn words(&self) -> Option<&WordMac> {
        self.words.as_ref()
    }

    /// The mode.
    pub const fn mode(&self) -> &MacMode {
        &self.mode
    }

    /// The policy of the product and of every accumulator write.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Power of two that the bias registers give every product.
    pub(super) const fn bias_scale(&self) -> i32 {
        self.scale
    }

    /// The factor of two scale codes; an operand without scales has `None`, which is 1.
    pub fn factor(&self, scale_a: Option<u64>, scale_b: Option<u64>) -> Factor {
        let read = |code| decode_with(self.mode.scale_format, code, self.policy.subnormals);
        let value = |code: Option<u64>| code.map_or(Factor::ONE.0, read);
        Factor(multiply(value(scale_a), value(scale_b), 0).0)
    }

    /// The factor on products inside the block, and the one on its sum.
    pub(super) fn split(&self, factor: Factor) -> (Factor, Factor) {
        match self.mode.scale {
            Scaling::None => (Factor::ONE, Factor::ONE),
            Scaling::Exponent => (factor, Factor::ONE),
            Scaling::Chunk | Scaling::ChunkRounded => (Factor::ONE, factor),
        }
    }

    /// An operand's value.
    pub(super) fn operand_a(&self, code: u64) -> Decoded {
        decode_with(self.mode.a, code, self.policy.subnormals)
    }

    /// The like for B.
    pub(super) fn operand_b(&self, code: u64) -> Decoded {
        decode_with(self.mode.b, code, self.policy.subnormals)
    }

    /// The product of two operand codes: exact, or rounded to the product format.
    ///
    /// `random` feeds a stochastic rounding of the product.
    pub fn product(&self, a: u64, b: u64, random: u64) -> (Decoded, Flags) {
        self.scaled_product(a, b, Factor::ONE, random)
    }

    /// The product of two operand codes before any rounding, without block scales.
    pub(super) fn exact_product(&self, a: u64, b: u64) -> Decoded {
        multiply(self.operand_a(a), self.operand_b(b), self.scale).0
    }

    /// The product times a power of two from block scales, before its rounding if it has one.
    pub(super) fn scaled_product(&self, a: u64, b: u64, factor: Factor, random: u64) -> (Decoded, Flags) {
        let (exact, raised) = multiply(self.operand_a(a), self.operand_b(b), self.scale);
        let (exact, scaled) = factor.times(exact);
        let flags = raised | scaled;
        match self.mode.product {
            Product::Exact => (exact, flags),
            Product::Rounded(format) => {
                let (code, rounding) = encode_decoded(format, exact, self.policy, random);
                (decode_with(format, code, self.policy.subnormals), flags | rounding)
            }
        }
    }

    /// `accumulator + product`, rounded once to the accumulator's format of at most 64 bits.
    pub fn accumulate(&self, accumulator: u64, product: Decoded, random: u64) -> (u64, Flags) {
        let (sum, flags) = self.accumulate_register(&Register::Narrow(accumulator), product, random);
        (sum.code(), flags)
    }

    /// The like for accumulators of any width.
    pub(super) fn accumulate_register(&self, accumulator: &Register, product: Decoded, random: u64) -> (Register, Flags) {
        accumulator.add(self.mode.accumulator, product.into(), self.policy, random)
    }

    /// Outer accumulator plus a finished inner sum times its block's factor; `random` gives
    /// the bits of the scaled sum's own rounding, if the mode has one, and of the addition.
    pub(super) fn add_outer(&self, outer: &Register, inner: &Register, factor: Factor, random: impl Fn(bool) -> u64) -> (Register, Flags) {
        let outermost = self.mode.outermost();
        let (mut scaled, mut flags) = scale(inner.addend(self.mode.accumulator, self.policy), factor);
        if self.mode.scale == Scaling::ChunkRounded {
            let (register, rounding) = Register::of(outermost, scaled, self.outer, random(true));
            scaled = register.addend(outermost, self.policy);
            flags |= rounding;
        }
        let (sum, rounding) = outer.add(outermost, scaled, self.outer, random(false));
        (sum, flags | rounding)
    }

    /// Accumulator memory plus a fold's sum.
    pub(super) fn add_memory(&self, memory: &Register, fold: &Register, random: u64) -> (Register, Flags) {
        let outermost = self.mode.outermost();
        memory.add(outermost, fold.addend(outermost, self.policy), self.outer, random)
    }
}

/// An inner sum times its block's factor, exactly.
fn scale(inner: Addend, factor: Factor) -> (Addend, Flags) {
    /// Significand bits an addend may have.
    const ADDEND_BITS: u32 = 107;
    if factor == Factor::ONE {
        return (inner, Flags::NONE);
    }
    match (inner, factor.0) {
        (Addend::Value(value), _) => {
            let (product, flags) = factor.times(value);
            match product {
                Decoded::Finite(x) if x.significand >> ADDEND_BITS != 0 => (Addend::Wide(Wide::sum(&[x])), flags),
                _ => (product.into(), flags),
            }
        }
        (Addend::Wide(wide), Decoded::Finite(x)) if !x.is_zero() && !wide.is_zero() => (Addend::Wide(wide.times(x)), Flags::NONE),
        (Addend::Wide(wide), special) => {
            // Only sign and zeroness matter beside a special or a zero. A wide zero is +0.
            let unit = Exact { negative: wide.is_negative(), significand: u128::from(!wide.is_zero()), exponent: 0 };
            let (product, flags) = multiply(Decoded::Finite(unit), special, 0);
            (product.into(), flags)
        }
    }
}

/// The exact product times 2^scale.
pub(super) fn multiply(a: Decoded, b: Decoded, scale: i32) -> (Decoded, Flags) {
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => {
            // 0 * inf beside a quiet NaN raises nothing here: there is only one NaN.
            (Decoded::Nan, Flags::NONE)
        }
        (Decoded::Finite(x), Decoded::Finite(y)) => (Decoded::Finite(x.multiply(y).scale(scale)), Flags::NONE),
        (Decoded::Infinite { negative }, Decoded::Infinite { negative: other }) => {
            (Decoded::Infinite { negative: negative != other }, Flags::NONE)
        }
        (Decoded::Infinite { negative }, Decoded::Finite(x)) | (Decoded::Finite(x), Decoded::Infinite { negative }) => {
            if x.is_zero() {
                (Decoded::Nan, Flags::INVALID)
            } else {
                (Decoded::Infinite { negative: negative != x.negative }, Flags::NONE)
            }
        }
    }
}

#[cfg(test)]
mod tests;
