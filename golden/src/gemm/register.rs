//! An accumulator: a number of its format, rounded anew at every addition.

use super::{Element, Step};
use crate::round::round_to_value;
use crate::value::Value;
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

/// What the roundings of one output share: the policies, the source of random bits, and the
/// exceptions raised so far.
pub(super) struct Roundings<'r> {
    pub policy: Policy,
    /// Of sums outside the MAC's own accumulator, and of what is rounded for them.
    pub outer: Policy,
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
        let policy = self.policy_of(step);
        let random = self.draw(policy, step);
        let (value, flags) = round_to_value(format, value, policy, random);
        self.flags |= flags;
        value
    }

    /// Rounds the end result by its own policy.
    pub fn output(mut self, (format, policy): (Format, Policy), value: &Value) -> Element {
        let random = self.draw(policy, Step::Output);
        let (code, flags) = crate::round::round(format, value, policy, random);
        Element { code, flags: self.flags | flags }
    }

    /// The policy by which a step rounds.
    fn policy_of(&self, step: Step) -> Policy {
        match step {
            Step::Scale { .. } | Step::Outer { .. } | Step::Memory { .. } => self.outer,
            _ => self.policy,
        }
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
        self.sum_at(x, y, self.policy)
    }

    fn sum_at(&mut self, x: &Value, y: &Value, policy: Policy) -> Value {
        let (sum, flags) = x.sum(y, policy.rounding);
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
        let sum = roundings.sum_at(&self.read(roundings), addend, roundings.policy_of(step));
        self.set(&sum, step, roundings);
    }
}
