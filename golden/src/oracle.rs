//! Single operations: operands of any formats, one rounding from the exact result.
//!
//! NaN operands give the result format's quiet NaN. Invalid is raised by infinity times
//! zero (also beside a NaN addend), by infinities of opposite signs in a sum, and by
//! signalling NaNs.

use crate::round::round;
use crate::value::{Value, is_signalling};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

/// A code and the format that gives it meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The format.
    pub format: Format,
    /// Raw bits.
    pub code: u64,
}

impl Operand {
    /// `code` read in `format`.
    pub const fn new(format: Format, code: u64) -> Self {
        Self { format, code }
    }

    fn read(self, policy: Policy) -> (Value, Flags) {
        let flags = if is_signalling(self.format, self.code) { Flags::INVALID } else { Flags::NONE };
        (Value::of_operand(self.format, self.code, policy.subnormals), flags)
    }
}

fn rounded(to: Format, (value, raised): (Value, Flags), policy: Policy, random: u64) -> (u64, Flags) {
    let (code, flags) = round(to, &value, policy, random);
    (code, raised | flags)
}

/// `x` in another format.
pub fn convert(x: Operand, to: Format, policy: Policy, random: u64) -> (u64, Flags) {
    rounded(to, x.read(policy), policy, random)
}

/// `x + y`.
pub fn add(x: Operand, y: Operand, to: Format, policy: Policy, random: u64) -> (u64, Flags) {
    let ((x, fx), (y, fy)) = (x.read(policy), y.read(policy));
    let (sum, flags) = x.sum(&y, policy.rounding);
    rounded(to, (sum, fx | fy | flags), policy, random)
}

/// `x - y`.
pub fn sub(x: Operand, y: Operand, to: Format, policy: Policy, random: u64) -> (u64, Flags) {
    let ((x, fx), (y, fy)) = (x.read(policy), y.read(policy));
    let (sum, flags) = x.sum(&y.negated(), policy.rounding);
    rounded(to, (sum, fx | fy | flags), policy, random)
}

/// `x * y`.
pub fn mul(x: Operand, y: Operand, to: Format, policy: Policy, random: u64) -> (u64, Flags) {
    let ((x, fx), (y, fy)) = (x.read(policy), y.read(policy));
    let (product, flags) = x.product(&y);
    rounded(to, (product, fx | fy | flags), policy, random)
}

/// `x * y + z`, rounded once.
pub fn fma(x: Operand, y: Operand, z: Operand, to: Format, policy: Policy, random: u64) -> (u64, Flags) {
    let (value, flags) = exact_fma(x, y, z, policy);
    rounded(to, (value, flags), policy, random)
}

/// `x * y + z` before its rounding, with the exceptions raised so far.
pub fn exact_fma(x: Operand, y: Operand, z: Operand, policy: Policy) -> (Value, Flags) {
    let ((x, fx), (y, fy), (z, fz)) = (x.read(policy), y.read(policy), z.read(policy));
    let (product, of_product) = x.product(&y);
    let (sum, of_sum) = product.sum(&z, policy.rounding);
    (sum, fx | fy | fz | of_product | of_sum)
}
