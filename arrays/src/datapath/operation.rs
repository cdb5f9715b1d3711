//! Single operations on codes: exact on decoded operands, then the contract's one rounding.
//!
//! They differ from a MAC in taking operands and addend of any formats, and in telling every
//! exception, signalling NaN operands included.

use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Policy, decode_with, encode_decoded};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// a in another format.
    Convert,
    /// a + b.
    Add,
    /// a - b.
    Subtract,
    /// a b.
    Multiply,
    /// a b + c, rounded once.
    FusedMultiplyAdd,
}

impl Operation {
    /// Operands it takes.
    pub const fn arity(self) -> usize {
        match self {
            Self::Convert => 1,
            Self::Add | Self::Subtract | Self::Multiply => 2,
            Self::FusedMultiplyAdd => 3,
        }
    }

    /// Code and exceptions. `random` feeds stochastic rounding.
    ///
    /// Factors have at most 53 significant bits; every format has codes of at most 64 bits.
    ///
    /// # Panics
    /// If `operands` are not [`Operation::arity`] formats and codes.
    pub fn apply(self, operands: &[(Format, u64)], to: Format, policy: Policy, random: u64) -> (u64, Flags) {
        assert_eq!(operands.len(), self.arity(), "one code per operand");
        let read = |i: usize| decode_with(operands[i].0, operands[i].1, policy.subnormals);
        let (exact, raised) = match self {
            Self::Convert => (read(0), Flags::NONE),
            Self::Add => sum(read(0), read(1), to, policy),
            Self::Subtract => sum(read(0), negate(read(1)), to, policy),
            Self::Multiply => product(read(0), read(1)),
            Self::FusedMultiplyAdd => {
                let (product, invalid) = product(read(0), read(1));
                let (sum, flags) = sum(product, read(2), to, policy);
                (sum, invalid | flags)
            }
        };
        let signalling = operands.iter().any(|&(format, code)| format.is_signalling(code));
        let invalid = if signalling { Flags::INVALID } else { Flags::NONE };
        let (code, rounding) = encode_decoded(to, exact, policy, random);
        (code, raised | invalid | rounding)
    }
}

const fn negate(value: Decoded) -> Decoded {
    match value {
        Decoded::Nan => Decoded::Nan,
        Decoded::Infinite { negative } => Decoded::Infinite { negative: !negative },
        Decoded::Finite(x) => Decoded::Finite(x.negate()),
    }
}

/// The product before rounding; infinity times zero is invalid.
const fn product(x: Decoded, y: Decoded) -> (Decoded, Flags) {
    match (x, y) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => (Decoded::Nan, Flags::NONE),
        (Decoded::Finite(x), Decoded::Finite(y)) => (Decoded::Finite(x.multiply(y)), Flags::NONE),
        (Decoded::Infinite { negative }, Decoded::Finite(x)) | (Decoded::Finite(x), Decoded::Infinite { negative }) => {
            if x.is_zero() {
                (Decoded::Nan, Flags::INVALID)
            } else {
                (Decoded::Infinite { negative: negative != x.negative }, Flags::NONE)
            }
        }
        (Decoded::Infinite { negative: x }, Decoded::Infinite { negative: y }) => (Decoded::Infinite { negative: x != y }, Flags::NONE),
    }
}

/// The sum before its rounding to `to`; infinities of opposite signs are invalid.
const fn sum(x: Decoded, y: Decoded, to: Format, policy: Policy) -> (Decoded, Flags) {
    match (x, y) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => (Decoded::Nan, Flags::NONE),
        (Decoded::Infinite { negative: x }, Decoded::Infinite { negative: y }) if x != y => (Decoded::Nan, Flags::INVALID),
        (infinite @ Decoded::Infinite { .. }, _) | (_, infinite @ Decoded::Infinite { .. }) => (infinite, Flags::NONE),
        (Decoded::Finite(x), Decoded::Finite(y)) => {
            let negative = policy.rounding.cancels_to_negative_zero();
            match wrapped(to, x, y, policy) {
                Some((x, y)) => (Decoded::Finite(x.add(y, negative)), Flags::OVERFLOW),
                None => (Decoded::Finite(x.add(y, negative)), Flags::NONE),
            }
        }
    }
}

/// The terms without their bits of weight 2^64 quanta and above, where `to` wraps and one term
/// lies so far above the other that the low bits, which are all that a wrapped sum keeps,
/// would fall out of the exact sum. Such a sum is out of range.
const fn wrapped(to: Format, x: Exact, y: Exact, policy: Policy) -> Option<(Exact, Exact)> {
    /// Significant bits up to which [`Exact::add`] drops nothing.
    const KEPT: i32 = 126;
    let (Format::Fixed(fixed) | Format::Quire(fixed)) = to else { return None };
    if policy.overflow.saturates() || x.is_zero() || y.is_zero() {
        return None;
    }
    let (high, low) = if x.magnitude_exponent() >= y.magnitude_exponent() { (x, y) } else { (y, x) };
    if high.magnitude_exponent() - low.exponent < KEPT || high.magnitude_exponent() + fixed.fraction_bits < 66 {
        return None;
    }
    Some((low_bits(x, fixed.fraction_bits), low_bits(y, fixed.fraction_bits)))
}

/// `value` modulo 2^64 quanta of 2^-fraction_bits, by magnitude.
const fn low_bits(value: Exact, fraction_bits: i32) -> Exact {
    let shift = value.exponent + fraction_bits;
    if shift >= 64 {
        Exact::zero(value.negative)
    } else if shift > -64 {
        Exact { significand: value.significand & (u128::MAX >> (64 + shift) as u32), ..value }
    } else {
        value
    }
}
