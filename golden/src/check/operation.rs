//! A single operation with its formats and policy: what a file of cases is about.

use crate::oracle::{self, Operand};
use crate::value::Value;
use std::fmt;
use std::str::FromStr;
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

/// Operations on codes, one rounding each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// a in another format.
    Convert,
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a b.
    Mul,
    /// a b + c.
    Fma,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Convert, Self::Add, Self::Sub, Self::Mul, Self::Fma];

    /// Its name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Convert => "convert",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Fma => "fma",
        }
    }

    /// Operands it takes.
    pub const fn arity(self) -> usize {
        match self {
            Self::Convert => 1,
            Self::Add | Self::Sub | Self::Mul => 2,
            Self::Fma => 3,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Op {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|op| op.name() == name).ok_or(())
    }
}

/// An operation on operands of given formats, rounded once to a result format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What is computed.
    pub op: Op,
    /// Format of each operand, [`Op::arity`] of them.
    pub operands: Vec<Format>,
    /// Format of the result.
    pub result: Format,
    /// How it is rounded.
    pub policy: Policy,
}

/// An operation that is not defined for its formats.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// A wrong number of operand formats.
    #[error("`{op}` takes {}, not {found}", accepted(*op))]
    Formats {
        /// The operation.
        op: Op,
        /// Formats given.
        found: usize,
    },
    /// A factor or term is too wide.
    #[error("`{op}` takes operands of at most {limit} significant bits; `{format}` has {}", format.precision())]
    Wide {
        /// The operation.
        op: Op,
        /// The format.
        format: Format,
        /// Significant bits allowed.
        limit: u32,
    },
    /// A format without codes of at most 64 bits.
    #[error("`{format}` has {} bits; codes in files have at most 64", format.bits())]
    Codes {
        /// The format.
        format: Format,
    },
}

fn accepted(op: Op) -> &'static str {
    match op {
        Op::Convert => "one operand format",
        Op::Add | Op::Sub | Op::Mul => "one operand format for both operands, or two",
        Op::Fma => "one operand format (a and b; c is in the result's), two (a and b, c), or three",
    }
}

impl Operation {
    /// An operation on `formats` as a command line gives them: one for all operands (for `fma`,
    /// a and b; c is in the result's format), for `fma` two (a and b, c), or one each.
    ///
    /// # Errors
    /// Another number of formats, or formats beyond what the operation is defined for.
    pub fn new(op: Op, formats: &[Format], result: Format, policy: Policy) -> Result<Self, OperationError> {
        let operands = match (op, formats) {
            (Op::Convert, &[a]) => vec![a],
            (Op::Add | Op::Sub | Op::Mul, &[a]) => vec![a, a],
            (Op::Add | Op::Sub | Op::Mul, &[a, b]) => vec![a, b],
            (Op::Fma, &[a]) => vec![a, a, result],
            (Op::Fma, &[a, c]) => vec![a, a, c],
            (Op::Fma, &[a, b, c]) => vec![a, b, c],
            _ => return Err(OperationError::Formats { op, found: formats.len() }),
        };
        if let Some(&format) = operands.iter().chain([&result]).find(|f| f.bits() > 64) {
            return Err(OperationError::Codes { format });
        }
        // A product and its addend must fit the datapath's 128-bit integers.
        let factors = if matches!(op, Op::Mul | Op::Fma) { &operands[..2] } else { &[] };
        let limit = 53;
        if let Some(&format) = factors.iter().find(|f| f.precision() > limit) {
            return Err(OperationError::Wide { op, format, limit });
        }
        Ok(Self { op, operands, result, policy })
    }

    /// Code and exceptions by the oracle. `operands` are [`Op::arity`] codes; `random` holds R
    /// of stochastic rounding.
    pub fn apply(&self, operands: &[u64], random: u64) -> (u64, Flags) {
        let operand = |i: usize| Operand::new(self.operands[i], operands[i]);
        let (to, policy) = (self.result, self.policy);
        match self.op {
            Op::Convert => oracle::convert(operand(0), to, policy, random),
            Op::Add => oracle::add(operand(0), operand(1), to, policy, random),
            Op::Sub => oracle::sub(operand(0), operand(1), to, policy, random),
            Op::Mul => oracle::mul(operand(0), operand(1), to, policy, random),
            Op::Fma => oracle::fma(operand(0), operand(1), operand(2), to, policy, random),
        }
    }

    /// The result before its rounding.
    pub fn exact(&self, operands: &[u64]) -> Value {
        let value = |i: usize| Value::of_operand(self.operands[i], operands[i], self.policy.subnormals);
        let rounding = self.policy.rounding;
        match self.op {
            Op::Convert => value(0),
            Op::Add => value(0).sum(&value(1), rounding).0,
            Op::Sub => value(0).sum(&value(1).negated(), rounding).0,
            Op::Mul => value(0).product(&value(1)).0,
            Op::Fma => value(0).product(&value(1)).0.sum(&value(2), rounding).0,
        }
    }
}

/// The operation in one line: `fma e5m2,e5m2,fp16 -> fp16 rne`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<String> = self.operands.iter().map(Format::to_string).collect();
        write!(f, "{} {} -> {} {}", self.op, formats.join(","), self.result, self.policy.rounding)
    }
}
