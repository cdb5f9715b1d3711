//! The definition of one element: exact result of decoded operands, then one rounding.
//!
//! Special values follow IEEE 754-2019 sections 6 and 7; maximum and minimum section 9.6.

use super::VectorError;
use super::function;
use super::operation::{Elementwise, check_count, check_formats};
use crate::datapath::add_to_fixed;
use std::cmp::Ordering;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Policy, Rounding, decode_with, encode_decoded};

/// One element of an elementwise instruction: operand codes with their formats to the result's
/// code and the exceptions raised. `random` feeds stochastic rounding.
///
/// # Errors
/// A wrong number of operands, or an operation not defined for the formats.
pub fn apply(
    op: Elementwise,
    operands: &[(Format, u64)],
    output: Format,
    policy: Policy,
    random: u64,
) -> Result<(u64, Flags), VectorError> {
    check_count(op.mnemonic(), op.arity(), operands.len())?;
    let formats: Vec<Format> = operands.iter().map(|o| o.0).collect();
    let mut codes = [0; 3];
    for (code, operand) in codes.iter_mut().zip(operands) {
        *code = operand.1;
    }
    Ok(Scalar::new(op, &formats, output, policy)?.apply(codes, random))
}

/// [`apply`] with everything but the codes fixed and checked.
pub(super) struct Scalar {
    op: Elementwise,
    evaluator: Option<function::Evaluator>,
    formats: [Format; 3],
    output: Format,
    policy: Policy,
}

impl Scalar {
    /// `formats` are those of the operands the operation takes, in order.
    pub fn new(op: Elementwise, formats: &[Format], output: Format, policy: Policy) -> Result<Self, VectorError> {
        check_formats(op, formats)?;
        // Operands beyond the operation's arity are read and not used.
        let format = |i| formats.get(i).copied().unwrap_or(Format::FP32);
        let formats = [format(0), format(1), format(2)];
        let evaluator = match op {
            Elementwise::Function(f) => Some(function::Evaluator::new(f, formats[0], output, policy)?),
            _ => None,
        };
        Ok(Self { op, evaluator, formats, output, policy })
    }

    /// Code and exceptions of one element.
    pub fn apply(&self, codes: [u64; 3], random: u64) -> (u64, Flags) {
        if let Some(evaluator) = &self.evaluator {
            return evaluator.evaluate(codes[0], random);
        }
        let values: [Decoded; 3] = std::array::from_fn(|i| decode_with(self.formats[i], codes[i], self.policy.subnormals));
        let (code, mut flags) = match (addends(self.op, values), self.output) {
            (Some((x, y)), Format::Fixed(_) | Format::Quire(_)) => add_to_fixed(self.output, x, y, self.policy, random),
            _ if matches!(self.op, Elementwise::CopySign | Elementwise::Hysteresis) => self.selected(values, codes[1], random),
            _ => {
                let (exact, flags) = outcome(self.op, values, self.policy);
                let (code, rounding) = encode_decoded(self.output, exact, self.policy, random);
                (code, flags | rounding)
            }
        };
        if (0..self.op.arity()).any(|i| self.formats[i].is_signalling(codes[i])) {
            flags |= Flags::INVALID;
        }
        (code, flags)
    }

    /// Of operations whose second operand selects a sign or a direction. Apart, so that the others
    /// are not slowed down.
    #[inline(never)]
    fn selected(&self, [a, b, _]: [Decoded; 3], code: u64, random: u64) -> (u64, Flags) {
        let mut policy = self.policy;
        let value = match self.op {
            Elementwise::CopySign if is_negative(a) != sign_bit(self.formats[1], code) => negate(a),
            Elementwise::Hysteresis => {
                policy.rounding = direction(a, b);
                a
            }
            _ => a,
        };
        encode_decoded(self.output, value, policy, random)
    }
}

/// The two finite values an operation adds, if it adds any.
fn addends(op: Elementwise, [a, b, c]: [Decoded; 3]) -> Option<(Exact, Exact)> {
    match (op, a, b, c) {
        (Elementwise::Add, Decoded::Finite(x), Decoded::Finite(y), _) => Some((x, y)),
        (Elementwise::Subtract, Decoded::Finite(x), Decoded::Finite(y), _) => Some((x, y.negate())),
        (Elementwise::FusedMultiplyAdd, Decoded::Finite(x), Decoded::Finite(y), Decoded::Finite(z)) => Some((x.multiply(y), z)),
        _ => None,
    }
}

const INVALID: (Decoded, Flags) = (Decoded::Nan, Flags::INVALID);
const NAN: (Decoded, Flags) = (Decoded::Nan, Flags::NONE);
const PLUS_ZERO: Decoded = Decoded::Finite(Exact::zero(false));

const fn quiet(value: Decoded) -> (Decoded, Flags) {
    (value, Flags::NONE)
}

/// The result before rounding. Functions are not among the operations here, nor is what [`Scalar::selected`] knows.
fn outcome(op: Elementwise, [a, b, c]: [Decoded; 3], policy: Policy) -> (Decoded, Flags) {
    let down = policy.rounding.cancels_to_negative_zero();
    match op {
        Elementwise::Add => add(a, b, down),
        Elementwise::Subtract => add(a, negate(b), down),
        Elementwise::Multiply => multiply(a, b),
        Elementwise::Divide => divide(a, b),
        Elementwise::FusedMultiplyAdd => {
            let (product, flags) = multiply(a, b);
            let (sum, more) = add(product, c, down);
            (sum, flags | more)
        }
        Elementwise::Maximum => quiet(maximum(a, b)),
        Elementwise::Minimum => quiet(negate(maximum(negate(a), negate(b)))),
        Elementwise::Gate => quiet(if above_zero(b) { a } else { PLUS_ZERO }),
        Elementwise::Relu => quiet(if above_zero(a) || a == Decoded::Nan { a } else { PLUS_ZERO }),
        Elementwise::Negate => quiet(negate(a)),
        Elementwise::Absolute => quiet(if is_negative(a) { negate(a) } else { a }),
        Elementwise::Convert | Elementwise::CopySign | Elementwise::Hysteresis | Elementwise::Function(_) => quiet(a),
    }
}

/// The top bit of a code, which is its sign; NaNs have one too. Unsigned formats have none.
const fn sign_bit(format: Format, code: u64) -> bool {
    match format {
        Format::Float(f) => code & f.sign_code() != 0,
        Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => code >> (format.bits() - 1) & 1 != 0,
    }
}

/// Where a value is rounded whose threshold is `previous`.
fn direction(value: Decoded, previous: Decoded) -> Rounding {
    if order(previous, value) == Some(Ordering::Greater) { Rounding::Rup } else { Rounding::Rdn }
}

const fn is_negative(value: Decoded) -> bool {
    match value {
        Decoded::Nan => false,
        Decoded::Infinite { negative } => negative,
        Decoded::Finite(x) => x.negative,
    }
}

const fn above_zero(value: Decoded) -> bool {
    match value {
        Decoded::Nan => false,
        Decoded::Infinite { negative } => !negative,
        Decoded::Finite(x) => !x.negative && !x.is_zero(),
    }
}

const fn negate(value: Decoded) -> Decoded {
    match value {
        Decoded::Nan => Decoded::Nan,
        Decoded::Infinite { negative } => Decoded::Infinite { negative: !negative },
        Decoded::Finite(x) => Decoded::Finite(x.negate()),
    }
}

/// A sum before rounding; an exact zero of opposite signs is -0 where `down`.
fn add(a: Decoded, b: Decoded, down: bool) -> (Decoded, Flags) {
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => NAN,
        (Decoded::Infinite { negative: x }, Decoded::Infinite { negative: y }) if x != y => INVALID,
        (Decoded::Infinite { .. }, _) => quiet(a),
        (_, Decoded::Infinite { .. }) => quiet(b),
        (Decoded::Finite(x), Decoded::Finite(y)) => quiet(Decoded::Finite(x.add(y, down))),
    }
}

fn multiply(a: Decoded, b: Decoded) -> (Decoded, Flags) {
    let negative = is_negative(a) != is_negative(b);
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => NAN,
        (Decoded::Finite(x), Decoded::Finite(y)) => quiet(Decoded::Finite(x.multiply(y))),
        (Decoded::Finite(x), _) | (_, Decoded::Finite(x)) if x.is_zero() => INVALID,
        _ => quiet(Decoded::Infinite { negative }),
    }
}

fn divide(a: Decoded, b: Decoded) -> (Decoded, Flags) {
    let negative = is_negative(a) != is_negative(b);
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) | (Decoded::Infinite { .. }, Decoded::Infinite { .. }) => {
            if a == Decoded::Nan || b == Decoded::Nan { NAN } else { INVALID }
        }
        (Decoded::Infinite { .. }, _) => quiet(Decoded::Infinite { negative }),
        (_, Decoded::Infinite { .. }) => quiet(Decoded::Finite(Exact::zero(negative))),
        (Decoded::Finite(x), Decoded::Finite(y)) => match (x.is_zero(), y.is_zero()) {
            (true, true) => INVALID,
            (false, true) => (Decoded::Infinite { negative }, Flags::DIVIDE_BY_ZERO),
            (true, false) => quiet(Decoded::Finite(Exact::zero(negative))),
            (false, false) => quiet(Decoded::Finite(x.divide(y))),
        },
    }
}

/// IEEE 754-2019 maximum: NaN wins, +0 above -0.
fn maximum(a: Decoded, b: Decoded) -> Decoded {
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => Decoded::Nan,
        (Decoded::Infinite { negative }, other) | (other, Decoded::Infinite { negative }) => {
            if negative {
                other
            } else {
                Decoded::Infinite { negative }
            }
        }
        (Decoded::Finite(x), Decoded::Finite(y)) => {
            if compare(x, y) == Ordering::Less {
                b
            } else {
                a
            }
        }
    }
}

/// Numerical order, -0 below +0.
fn compare(a: Exact, b: Exact) -> Ordering {
    numerically(a, b).then(b.negative.cmp(&a.negative))
}

/// Numerical order.
pub(super) fn numerically(a: Exact, b: Exact) -> Ordering {
    let difference = a.add(b.negate(), false);
    match (difference.is_zero(), difference.negative) {
        (true, _) => Ordering::Equal,
        (false, true) => Ordering::Less,
        (false, false) => Ordering::Greater,
    }
}

/// Numerical order; none where one is NaN.
pub(super) fn order(a: Decoded, b: Decoded) -> Option<Ordering> {
    match (a, b) {
        (Decoded::Nan, _) | (_, Decoded::Nan) => None,
        (Decoded::Finite(x), Decoded::Finite(y)) => Some(numerically(x, y)),
        (Decoded::Infinite { negative: x }, Decoded::Infinite { negative: y }) => Some(y.cmp(&x)),
        (Decoded::Infinite { negative }, _) => Some(if negative { Ordering::Less } else { Ordering::Greater }),
        (_, Decoded::Infinite { negative }) => Some(if negative { Ordering::Greater } else { Ordering::Less }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::round::Overflow;

    /// Wrapped sums keep their low bits however far apart the addends are.
    #[test]
    fn sums_into_fixed_point_wrap_exactly() {
        let format = |name: &str| name.parse::<Format>().unwrap();
        let (fp32, int16) = (Format::FP32, format("int16"));
        let saturate = Policy::new(Rounding::Rtz).overflow(Overflow::Saturate);
        let inexact_overflow = Flags::OVERFLOW | Flags::INEXACT;
        for (op, operands, output, policy, expected) in [
            (Elementwise::Add, vec![(fp32, 0x7f00_0000), (int16, 1)], int16, Policy::RNE, (1, Flags::OVERFLOW)),
            (Elementwise::Subtract, vec![(int16, 1), (fp32, 0x7f00_0000)], int16, Policy::RNE, (1, Flags::OVERFLOW)),
            (Elementwise::Add, vec![(fp32, 0x7f00_0000), (fp32, 0x3f00_0000)], int16, saturate, (0x7fff, inexact_overflow)),
            (
                Elementwise::FusedMultiplyAdd,
                vec![(fp32, 0x7f00_0000), (fp32, 0x7f00_0000), (int16, 7)],
                int16,
                Policy::RNE,
                (7, Flags::OVERFLOW),
            ),
        ] {
            assert_eq!(apply(op, &operands, output, policy, 0), Ok(expected), "{op:?}");
        }
    }
}
