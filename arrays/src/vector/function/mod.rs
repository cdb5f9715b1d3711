//! Elementary functions of the vector unit, correctly rounded.
//!
//! [`evaluate`] is the definition: decode, take the function's exact value (special values by
//! IEEE 754-2019 section 9.2.1), round once with the contract's
//! [`encode_decoded`]. All of it is integer arithmetic, so every
//! platform gives the same bits. [`Evaluator`] is its fast twin for many codes.
//!
//! Defined for inputs and outputs of at most 24 significant bits, in every rounding mode.

mod constants;
mod enclosure;
mod evaluator;
mod exact;
mod fixed;
#[cfg(test)]
mod tests;

pub use evaluator::Evaluator;

use exact::{Cut, Outcome};
use std::fmt;
use std::str::FromStr;
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy, SubnormalPolicy, decode_with, encode_decoded};

/// Most significant bits an input or output format may have.
pub const MAX_PRECISION: u32 = 24;

/// An elementary function of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// e^x.
    Exp,
    /// 2^x.
    Exp2,
    /// Natural logarithm.
    Log,
    /// Logarithm to base 2.
    Log2,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function 1 / (1 + e^-x).
    Sigmoid,
    /// Error function 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.
    Erf,
    /// 1/x.
    Reciprocal,
    /// 1/sqrt(x), with rSqrt(-0) = -infinity as IEEE 754-2019 has it.
    Rsqrt,
    /// Square root.
    Sqrt,
}

impl Function {
    /// Every function.
    pub const ALL: [Self; 10] =
        [Self::Exp, Self::Exp2, Self::Log, Self::Log2, Self::Tanh, Self::Sigmoid, Self::Erf, Self::Reciprocal, Self::Rsqrt, Self::Sqrt];

    /// The name `Display` prints and `FromStr` reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Exp2 => "exp2",
            Self::Log => "log",
            Self::Log2 => "log2",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Erf => "erf",
            Self::Reciprocal => "reciprocal",
            Self::Rsqrt => "rsqrt",
            Self::Sqrt => "sqrt",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Function {
    type Err = FunctionError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|f| f.name() == s).ok_or_else(|| FunctionError::Unknown { name: s.to_owned() })
    }
}

/// A function cannot be evaluated as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// No such function.
    #[error("`{name}` is no elementary function; use exp, exp2, log, log2, tanh, sigmoid, erf, reciprocal, rsqrt or sqrt")]
    Unknown {
        /// What was given.
        name: String,
    },
    /// A format has too many significant bits.
    #[error(
        "{function} is not defined for {role} format {format}, which has {} significant bits; use one of at most {MAX_PRECISION}, such as fp32",
        format.precision()
    )]
    TooPrecise {
        /// The function.
        function: Function,
        /// `input` or `output`.
        role: &'static str,
        /// The offending format.
        format: Format,
    },
    /// Results would wrap in two's complement, where leading bits of a transcendental number are lost.
    #[error("{function} into {format} has no meaning where overflow wraps; set overflow to saturate")]
    Wraps {
        /// The function.
        function: Function,
        /// The output format.
        format: Format,
    },
}

/// Refuses what [`evaluate`] does not define.
fn check(function: Function, input: Format, output: Format, policy: Policy) -> Result<(), FunctionError> {
    for (role, format) in [("input", input), ("output", output)] {
        if format.precision() > MAX_PRECISION {
            return Err(FunctionError::TooPrecise { function, role, format });
        }
    }
    if matches!(output, Format::Fixed(_) | Format::Quire(_)) && !policy.overflow.saturates() {
        return Err(FunctionError::Wraps { function, format: output });
    }
    Ok(())
}

/// The function of `code` (of format `input`), rounded once to `output`: its code and the
/// exceptions raised.
///
/// Poles (log of 0, reciprocal and rsqrt of 0) raise divide-by-zero; arguments outside the
/// domain give the canonical NaN and raise invalid, and so do signalling NaNs; a quiet NaN gives
/// the canonical NaN in silence. `random` supplies the bits of stochastic rounding.
///
/// # Errors
/// Formats of more than [`MAX_PRECISION`] significant bits, and fixed-point outputs that wrap.
pub fn evaluate(
    function: Function,
    input: Format,
    output: Format,
    code: u64,
    policy: Policy,
    random: u64,
) -> Result<(u64, Flags), FunctionError> {
    check(function, input, output, policy)?;
    Ok(define(function, input, output, code, policy, random))
}

/// [`evaluate`] for arguments that [`check`] admits.
fn define(function: Function, input: Format, output: Format, code: u64, policy: Policy, random: u64) -> (u64, Flags) {
    round(unrounded(function, input, code, policy.subnormals, Cut::of(policy.rounding)), output, policy, random)
}

/// The exact value of the function of a code, as far as a rounding looks at it; a signalling NaN raises invalid.
fn unrounded(function: Function, input: Format, code: u64, subnormals: SubnormalPolicy, cut: Cut) -> Outcome {
    let mut outcome = exact::outcome(function, decode_with(input, code, subnormals), cut);
    if input.is_signalling(code) {
        outcome.flags |= Flags::INVALID;
    }
    outcome
}

/// The one rounding.
#[inline]
fn round(outcome: Outcome, output: Format, policy: Policy, random: u64) -> (u64, Flags) {
    let (code, flags) = encode_decoded(output, outcome.decoded(), policy, random);
    (code, flags | outcome.flags)
}
