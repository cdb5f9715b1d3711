//! The multiply-accumulate in machine words, all that depends on the mode alone worked out
//! beforehand.
//!
//! [`WordMac`] gives the code that [`Mac::accumulate`](super::Mac::accumulate) gives, or `None`
//! where it does not know: where anything is special, overflows, or is tiny and rounded or
//! flushed, and where exponents lie too far apart. So whatever it answers raised no exception
//! that is counted, and callers turn to the definition for the rest.
//!
//! Sums are exact in a word, but for jamming: bits below what one rounding can see are gathered
//! in the lowest. With W bits a significand of `n` bits has room for W - 2 - n places to its
//! left; a jam is right if that room holds the accumulator's p bits, the N of `sr<N>` and 3 more,
//! and exceeds the other significand's width by 2, for then cancellation leaves at least p + N
//! bits above the jam. [`Near`] is the sum that needs none of this, which is most of them:
//! [`ByteMac`] does nothing else, and leaves the rest to [`WordMac`].

mod fixed;
mod float;
mod near;
mod number;
mod word;

use fixed::FixedRegister;
use float::FloatRegister;
use near::Near;
use number::{Number, Reader};
use systole_isa::design::{MacMode, Product};
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// Where sums go.
#[derive(Clone, Copy, Debug)]
enum Accumulator {
    /// In 64 bits.
    Narrow(FloatRegister),
    /// In 128 bits.
    Broad(FloatRegister),
    Fixed(FixedRegister),
}

impl Accumulator {
    fn new(format: Format, policy: Policy, addend_bits: i32) -> Option<Self> {
        match format {
            Format::Float(float) => FloatRegister::new::<i64>(float, policy, addend_bits)
                .map(Self::Narrow)
                .or_else(|| FloatRegister::new::<i128>(float, policy, addend_bits).map(Self::Broad)),
            Format::Fixed(fixed) if !fixed.is_wide() => Some(Self::Fixed(FixedRegister::new(fixed, policy.rounding, addend_bits))),
            _ => None,
        }
    }

    #[inline(always)]
    fn add(&self, code: u64, addend: Number, random: u64) -> Option<u64> {
        match self {
            Self::Narrow(register) => register.add::<i64>(code, addend, random),
            Self::Broad(register) => register.add::<i128>(code, addend, random),
            Self::Fixed(register) => register.add(code, addend, random),
        }
    }
}

/// Products that are rounded before they are added.
#[derive(Clone, Copy, Debug)]
struct Rounded {
    register: FloatRegister,
}

impl Rounded {
    #[inline(always)]
    fn round(&self, product: Number, random: u64) -> Option<Number> {
        if !product.finite || product.significand == 0 {
            // A zero keeps its sign where the format has one.
            let negative = product.negative && self.register.fields().has_negative_zero();
            return product.finite.then_some(Number { negative, ..product });
        }
        self.register.round::<i64>(product.significand, product.exponent, random).map(|code| self.register.fields().read(code))
    }
}

/// The MAC of one mode in machine words.
#[derive(Clone, Debug)]
pub(super) struct WordMac {
    a: Reader,
    b: Reader,
    /// Power of two that the bias registers give every product.
    scale: i32,
    product: Option<Rounded>,
    accumulator: Accumulator,
    /// Where the mode has small operands.
    bytes: Option<ByteMac>,
}

impl WordMac {
    /// `None` for modes outside the domain: significands too wide, posits, quires, unsigned
    /// accumulators.
    pub fn new(mode: &MacMode, scale: i32) -> Option<Self> {
        let policy = mode.policy();
        let widths = [mode.a, mode.b].map(significand_bits);
        let exact_bits = widths[0]? + widths[1]?;
        if exact_bits > 61 || scale.unsigned_abs() > 1 << 20 {
            return None;
        }
        let (product, addend_bits) = match mode.product {
            Product::Exact => (None, exact_bits),
            Product::Rounded(Format::Float(float)) => {
                // Nothing is added here, so nothing jams.
                let register = FloatRegister::new::<i128>(float, policy, 1)?;
                (Some(Rounded { register }), float.precision() as i32)
            }
            Product::Rounded(_) => return None,
        };
        let accumulator = Accumulator::new(mode.accumulator, policy, addend_bits)?;
        let reader = |format| Reader::new(format, policy.subnormals);
        let (a, b) = (reader(mode.a), reader(mode.b));
        let bytes = match (&a, &b, &product, &accumulator) {
            (Reader::Table(a), Reader::Table(b), None, Accumulator::Narrow(register)) => {
                Some(ByteMac { a: a.clone(), b: b.clone(), scale, sum: *register.near() })
            }
            _ => None,
        };
        Some(Self { a, b, scale, product, accumulator, bytes })
    }

    /// What does most steps of a mode with small operands.
    #[inline(always)]
    pub const fn bytes(&self) -> Option<&ByteMac> {
        self.bytes.as_ref()
    }
}

/// A multiply-accumulate on codes.
pub(super) trait Step: Copy {
    /// The code of `accumulator + a b`, and whether an operand is zero; the random bits are
    /// those of the product's rounding and the sum's.
    fn step(self, accumulator: u64, a: u64, b: u64, random: [u64; 2]) -> (Option<u64>, bool);
}

impl Step for &WordMac {
    #[inline(always)]
    fn step(self, accumulator: u64, a: u64, b: u64, random: [u64; 2]) -> (Option<u64>, bool) {
        let (a, b) = (self.a.read(a), self.b.read(b));
        let exact = a.times(b, self.scale);
        let product = match &self.product {
            None => Some(exact),
            Some(rounded) => rounded.round(exact, random[0]),
        };
        (product.and_then(|product| self.accumulator.add(accumulator, product, random[1])), exact.zero)
    }
}

/// Most steps of a [`WordMac`] of operands of up to 8 bits, exact products, and floats in 64 bits.
#[derive(Clone, Debug)]
pub(super) struct ByteMac {
    a: Box<[Number; 256]>,
    b: Box<[Number; 256]>,
    scale: i32,
    sum: Near,
}

impl Step for &ByteMac {
    #[inline(always)]
    fn step(self, accumulator: u64, a: u64, b: u64, random: [u64; 2]) -> (Option<u64>, bool) {
        let product = self.a[usize::from(a as u8)].times(self.b[usize::from(b as u8)], self.scale);
        (self.sum.add::<i64>(accumulator, product, random[1]), product.zero)
    }
}

/// Bits of the widest significand of an operand; `None` where it does not fit.
fn significand_bits(format: Format) -> Option<i32> {
    match format {
        Format::Float(float) => Some(float.precision() as i32),
        Format::Fixed(fixed) if fixed.width <= 32 => Some(fixed.width as i32),
        Format::Posit(posit) => Some(posit.precision() as i32),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
