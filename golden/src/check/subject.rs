//! What cases are about: an operation, or a dot product of a MAC mode.

use super::operation::Operation;
use crate::gemm::{Element, Folds, Gemm, GemmError, Step};
use crate::value::Value;
use std::fmt;
use systole_isa::design::MacMode;
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// One output of an array: K products and C through a MAC mode's accumulators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dot {
    /// The mode.
    pub mode: MacMode,
    /// Format of C.
    pub addend: Format,
    /// Format of results.
    pub result: Format,
    /// How results reach that format, where it is not the outermost accumulator's.
    pub output: Policy,
}

impl Dot {
    /// The product as the oracle takes it. `operands` are K a's, K b's and C.
    fn gemm<'a>(&'a self, operands: &'a [u64]) -> Gemm<'a> {
        let (a, rest) = operands.split_at(operands.len() / 2);
        let (b, c) = rest.split_at(a.len());
        Gemm {
            mode: &self.mode,
            folds: Folds::Chain,
            output: (self.result, self.output),
            shape: [1, 1, a.len()],
            a,
            b,
            c: Some(c),
            c_format: Some(self.addend),
            scales: None,
        }
    }

    /// Result by the oracle; each stochastic rounding takes the next of `random`.
    fn apply(&self, operands: &[u64], random: &[u64]) -> Result<Element, GemmError> {
        let mut next = random.iter();
        let elements = self.gemm(operands).elements(|_| next.next().copied().unwrap_or(0))?;
        Ok(elements[0])
    }

    /// The stochastic roundings of a dot product of `k` terms, in the order in which a case
    /// brings their R: as the oracle makes them.
    ///
    /// # Errors
    /// A mode the oracle refuses.
    pub fn roundings(&self, k: usize) -> Result<Vec<Step>, GemmError> {
        let mut steps = Vec::new();
        self.gemm(&vec![0; 2 * k + 1]).run(|site| {
            steps.push(site.step);
            0
        })?;
        Ok(steps)
    }
}

/// What a file's cases are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A single operation.
    Operation(Operation),
    /// A dot product.
    Dot(Dot),
}

impl Subject {
    /// Operands of a case; `k` counts the products of a dot product.
    pub const fn operand_count(&self, k: usize) -> usize {
        match self {
            Self::Operation(operation) => operation.op.arity(),
            Self::Dot(_) => 2 * k + 1,
        }
    }

    /// Format of operand `i`.
    pub fn operand_format(&self, i: usize, k: usize) -> Format {
        match self {
            Self::Operation(operation) => operation.operands[i],
            Self::Dot(dot) if i < k => dot.mode.a,
            Self::Dot(dot) if i < 2 * k => dot.mode.b,
            Self::Dot(dot) => dot.addend,
        }
    }

    /// Name of operand `i`: `a`, `b`, `c`, or `a[3]`.
    pub fn operand_name(&self, i: usize, k: usize) -> String {
        match self {
            Self::Operation(_) => ["a", "b", "c"][i].to_owned(),
            Self::Dot(_) if i < k => format!("a[{i}]"),
            Self::Dot(_) if i < 2 * k => format!("b[{}]", i - k),
            Self::Dot(_) => "c".to_owned(),
        }
    }

    /// Format of results.
    pub const fn result(&self) -> Format {
        match self {
            Self::Operation(operation) => operation.result,
            Self::Dot(dot) => dot.result,
        }
    }

    /// How results are rounded; of a dot product, every product and sum.
    pub const fn policy(&self) -> Policy {
        match self {
            Self::Operation(operation) => operation.policy,
            Self::Dot(dot) => dot.mode.policy(),
        }
    }

    /// Random bits R of one stochastic rounding; 0 if nothing is stochastic.
    pub fn random_bits(&self) -> u32 {
        match self {
            Self::Operation(operation) => operation.policy.rounding.random_bits(),
            Self::Dot(dot) => dot.mode.random_bits(),
        }
    }

    /// Values of R a case brings along, one per stochastic rounding.
    ///
    /// # Errors
    /// A mode the oracle refuses.
    pub fn randoms(&self, k: usize) -> Result<usize, GemmError> {
        match self {
            _ if self.random_bits() == 0 => Ok(0),
            Self::Operation(_) => Ok(1),
            Self::Dot(dot) => Ok(dot.roundings(k)?.len()),
        }
    }

    /// Result and exceptions by the oracle. Those of a dot product are all that its roundings
    /// and the operations before them raised.
    ///
    /// # Errors
    /// A mode the oracle refuses.
    pub fn apply(&self, operands: &[u64], random: &[u64]) -> Result<Element, GemmError> {
        match self {
            Self::Operation(operation) => {
                let (code, flags) = operation.apply(operands, random.first().copied().unwrap_or(0));
                Ok(Element { code, flags })
            }
            Self::Dot(dot) => dot.apply(operands, random),
        }
    }

    /// The result without any rounding.
    ///
    /// # Errors
    /// A mode the oracle refuses.
    pub fn exact(&self, operands: &[u64]) -> Result<Value, GemmError> {
        match self {
            Self::Operation(operation) => Ok(operation.exact(operands)),
            Self::Dot(dot) => Ok(dot.gemm(operands).exact()?.swap_remove(0)),
        }
    }
}

/// In one line: `dot e4m3fn,e4m3fn -> fp16 rne`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(operation) => operation.fmt(f),
            Self::Dot(dot) => write!(f, "dot {},{},{} -> {} {}", dot.mode.a, dot.mode.b, dot.addend, dot.result, dot.mode.rounding),
        }
    }
}
