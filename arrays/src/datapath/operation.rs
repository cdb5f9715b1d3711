//! Single operations on codes: exact on decoded operands, then the contract's one rounding.
//!
//! They differ from a MAC in taking operands and addend of any formats, and in telling every
//! exception, signalling NaN operands included.

use super::mac::multiply;
use super::register::{add_specials, add_to_fixed};
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
        let rounded = |(exact, raised): (Decoded, Flags)| {
            let (code, flags) = encode_decoded(to, exact, policy, random);
            (code, raised | flags)
        };
        let sum = |x: Decoded, y: Decoded| match (x, y, to) {
            (Decoded::Finite(x), Decoded::Finite(y), Format::Fixed(_) | Format::Quire(_)) => add_to_fixed(to, x, y, policy, random),
            (Decoded::Finite(x), Decoded::Finite(y), Format::Float(_) | Format::Posit(_)) => {
                rounded((Decoded::Finite(x.add(y, policy.rounding.cancels_to_negative_zero())), Flags::NONE))
            }
            (x, y, _) => rounded(add_specials(x, y)),
        };
        let (code, flags) = match self {
            Self::Convert => rounded((read(0), Flags::NONE)),
            Self::Add => sum(read(0), read(1)),
            Self::Subtract => sum(read(0), negate(read(1))),
            Self::Multiply => rounded(multiply(read(0), read(1), 0)),
            Self::FusedMultiplyAdd => {
                let (product, invalid) = multiply(read(0), read(1), 0);
                let (code, flags) = sum(product, read(2));
                (code, invalid | flags)
            }
        };
        let signalling = operands.iter().any(|&(format, code)| format.is_signalling(code));
        (code, flags | if signalling { Flags::INVALID } else { Flags::NONE })
    }
}

const fn negate(value: Decoded) -> Decoded {
    match value {
        Decoded::Nan => Decoded::Nan,
        Decoded::Infinite { negative } => Decoded::Infinite { negative: !negative },
        Decoded::Finite(x) => Decoded::Finite(x.negate()),
    }
}
