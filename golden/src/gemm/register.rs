//! An accumulator: a number of its format, rounded anew at every addition.

use super::{Element, Step};
use crate::round::round_to_value;
use crate::value::Value;
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

/// What the roundings of one output share: the policy, the source of random bits, and the
/// exceptions raised so far.
pub(super) struct Roundings<'r> {
    pub policy: Policy,
    pub random: &'r mut dyn FnMut(Step) -> u64,
    pub flags: Flags,
}

impl Roundings<'_> {
    /// Rounds to `format` and reads the result as an operand.
    pub fn round(&mut self, format: Format, value: &Value, step: Step) -> Value {
        self.write(format, value, step).into_operand(format, self.policy.subnormals)
    }

    /// Rounds to `format`.
    pub fn write(&mut self, format: Format, value: &Value, step: Step) -> Value {
        let random = self.draw(self.policy, step);
        let (value, flags) = round_to_value(format, value, self.policy, random);
        self.flags |= flags;
        value
    }

    /// Rounds the end result by its own policy.
    pub fn output(mut self, (format, policy): (Format, Policy), value: &Value) -> Element {
        let random = self.draw(policy, Step::Output);
        let (code, flags) = crate::round::round(format, value, policy, random);
        Element { code, flags: self.flags | flags }
    }

    /// Random bits for a step, if its rounding consumes any.
    fn draw(&mut self, policy: Policy, step: Step) -> u64 {
        if policy.rounding.random_bits() > 0 { (self.random)(step) } else { 0 }
    }

    /// The exact product, exceptions noted.
    pub fn product(&mut self, x: &Value, y: &Value) -> Value {
        let (product, flags) = x.product(y);
        self.flags |= flags;
        product
    }

    /// The exact sum, exceptions noted.
    pub fn sum(&mut self, x: &Value, y: &Value) -> Value {
        let (sum, flags) = x.sum(y, self.policy.rounding);
        self.flags |= flags;
        sum
    }
}

/// A register of any width: the format it rounds to, and the number it holds. Subnormals
/// are in it as they were written, and zeros to an addition that reads them so; results leave
/// as they are.
#[derive(Clone, Debug)]
pub(super) struct Register {
    pub format: Format,
    pub value: Value,
}

impl Register {
    /// Holding +0.
    pub fn zero(format: Format) -> Self {
        Self { format, value: Value::zero(false) }
    }

    /// Takes the rounded `value`.
    pub fn set(&mut self, value: &Value, step: Step, roundings: &mut Roundings<'_>) {
        self.value = roundings.write(self.format, value, step);
    }

    /// What an operation reads.
    pub fn read(&self, roundings: &Roundings<'_>) -> Value {
        self.value.clone().into_operand(self.format, roundings.policy.subnormals)
    }

    /// Adds with one rounding.
    pub fn add(&mut self, addend: &Value, step: Step, roundings: &mut Roundings<'_>) {
        let sum = roundings.sum(&self.read(roundings), addend);
        self.set(&sum, step, roundings);
    }
}
