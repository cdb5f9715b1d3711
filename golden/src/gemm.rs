//! A whole array's matrix multiplication, in the array's order of sums.
//!
//! The reduction index k ascends. With one chain, a chunk closes when (k+1) mod L = 0 and
//! at the last k. With folds, each run of consecutive k starts at +0 with its own chunks, and
//! its result is added to the accumulator memory, folds ascending. C initialises the
//! outermost accumulator: the chain's, the outer one's, or the memory. Lanes beyond the last
//! k are absent; they add no zeros.

use crate::round::round;
use crate::value::Value;
use systole_isa::design::{MacMode, Product};
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// How the folds of a long reduction meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folds {
    /// One chain over all k: partial sums re-enter the array, or outputs never leave it.
    Chain,
    /// Folds of this many consecutive k, added up in the accumulator memory.
    Outside {
        /// Length of a fold, at least 1.
        rows: usize,
    },
}

/// One rounding within a matrix multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// Row of the output.
    pub row: usize,
    /// Column of the output.
    pub column: usize,
    /// Which of that output's roundings.
    pub step: Step,
}

/// The roundings behind one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Of the product at global k.
    Product {
        /// Global reduction index.
        k: usize,
    },
    /// Of the accumulator after the product at global k.
    Accumulate {
        /// Global reduction index.
        k: usize,
    },
    /// Of the outer accumulator, when the chunk that ends at global k closes.
    Outer {
        /// Global reduction index.
        k: usize,
    },
    /// Of the accumulator memory after a fold.
    Memory {
        /// Index of the fold.
        fold: usize,
    },
    /// Of the output conversion.
    Output,
}

/// A matrix multiplication `A B + C` on codes, all matrices row-major.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<'a> {
    /// The MAC: formats, rounding, chunks, and the shared exponent biases in force.
    pub mode: &'a MacMode,
    /// How folds along k meet.
    pub folds: Folds,
    /// Format of the results, and the policy of the conversion to it.
    pub output: (Format, Policy),
    /// Rows of A, columns of B, length of the reduction.
    pub shape: [usize; 3],
    /// A, M x K.
    pub a: &'a [u64],
    /// B, K x N.
    pub b: &'a [u64],
    /// C, M x N, in the outermost accumulator's format; absent means +0.
    pub c: Option<&'a [u64]>,
}

/// Operands that do not make a matrix multiplication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GemmError {
    /// A matrix has the wrong number of elements.
    #[error("{matrix} holds {found} codes where {rows} x {columns} are needed")]
    Shape {
        /// Which matrix.
        matrix: &'static str,
        /// Rows by the shape.
        rows: usize,
        /// Columns by the shape.
        columns: usize,
        /// Elements given.
        found: usize,
    },
    /// A chunk or fold without elements.
    #[error("{0} must be at least 1")]
    Empty(&'static str),
}

/// An accumulator register: a format and the code it holds.
struct Register {
    format: Format,
    code: u64,
}

impl Register {
    /// Holding +0.
    fn zero(format: Format) -> Self {
        Self { format, code: round(format, &Value::zero(false), Policy::RNE, 0).0 }
    }

    fn read(&self, policy: Policy) -> Value {
        Value::of_operand(self.format, self.code, policy.subnormals)
    }

    /// Adds with one rounding.
    fn add(&mut self, addend: &Value, policy: Policy, random: u64) {
        let (sum, _) = self.read(policy).sum(addend, policy.rounding);
        self.code = round(self.format, &sum, policy, random).0;
    }
}

impl Gemm<'_> {
    fn check(&self) -> Result<(), GemmError> {
        let [m, n, k] = self.shape;
        let c = self.c.map(|c| ("C", m, n, c.len()));
        for (matrix, rows, columns, found) in [("A", m, k, self.a.len()), ("B", k, n, self.b.len())].into_iter().chain(c) {
            if rows.checked_mul(columns) != Some(found) {
                return Err(GemmError::Shape { matrix, rows, columns, found });
            }
        }
        if self.mode.chunk == Some(0) {
            return Err(GemmError::Empty("the chunk length"));
        }
        if self.folds == (Folds::Outside { rows: 0 }) {
            return Err(GemmError::Empty("the fold length"));
        }
        Ok(())
    }

    /// Codes of the M x N results. `random` supplies R wherever rounding is stochastic.
    ///
    /// # Errors
    /// Matrices that do not fit the shape, and chunks or folds of no elements.
    pub fn run(&self, mut random: impl FnMut(Site) -> u64) -> Result<Vec<u64>, GemmError> {
        self.check()?;
        let [m, n, k] = self.shape;
        let policy = self.mode.policy();
        let read = |format, codes: &[u64], bias: i32| -> Vec<Value> {
            codes.iter().map(|&code| Value::of_operand(format, code, policy.subnormals).scaled(-i64::from(bias))).collect()
        };
        let a = read(self.mode.a, self.a, self.mode.bias_a);
        let b = read(self.mode.b, self.b, self.mode.bias_b);
        let mut out = Vec::with_capacity(m * n);
        for row in 0..m {
            for column in 0..n {
                let pairs: Vec<_> = (0..k).map(|k| (&a[row * self.shape[2] + k], &b[k * n + column])).collect();
                let c = self.c.map(|c| c[row * n + column]);
                out.push(self.output_element(&pairs, c, &mut |step| random(Site { row, column, step })));
            }
        }
        Ok(out)
    }

    fn output_element(&self, pairs: &[(&Value, &Value)], c: Option<u64>, random: &mut dyn FnMut(Step) -> u64) -> u64 {
        let mode = self.mode;
        let policy = mode.policy();
        let outermost = mode.outermost();
        let initial = c.map_or_else(|| Register::zero(outermost), |code| Register { format: outermost, code });
        let total = match self.folds {
            Folds::Chain => chain(mode, initial, pairs, 0, random),
            Folds::Outside { rows } => {
                let mut memory = initial;
                for (fold, pairs) in pairs.chunks(rows).enumerate() {
                    let result = chain(mode, Register::zero(outermost), pairs, fold * rows, random);
                    memory.add(&result.read(policy), policy, draw(policy, random, Step::Memory { fold }));
                }
                memory
            }
        };
        let (format, policy) = self.output;
        round(format, &total.read(policy), policy, draw(policy, random, Step::Output)).0
    }
}

/// Random bits for a step, if its rounding consumes any.
fn draw(policy: Policy, random: &mut dyn FnMut(Step) -> u64, step: Step) -> u64 {
    if policy.rounding.random_bits() > 0 { random(step) } else { 0 }
}

/// Accumulates `pairs`, the first of which is at global index `start`, on top of `outermost`.
fn chain(
    mode: &MacMode,
    mut outermost: Register,
    pairs: &[(&Value, &Value)],
    start: usize,
    random: &mut dyn FnMut(Step) -> u64,
) -> Register {
    let policy = mode.policy();
    let chunk_length = mode.chunk.map_or(pairs.len().max(1), |length| length as usize);
    for (chunk, pairs) in pairs.chunks(chunk_length).enumerate() {
        let first = start + chunk * chunk_length;
        let mut inner = match mode.chunk {
            None => Register { ..outermost },
            Some(_) => Register::zero(mode.accumulator),
        };
        for (k, (x, y)) in (first..).zip(pairs) {
            let (product, _) = x.product(y);
            let addend = match mode.product {
                Product::Exact => product,
                Product::Rounded(format) => {
                    let (code, _) = round(format, &product, policy, draw(policy, random, Step::Product { k }));
                    Value::of_operand(format, code, policy.subnormals)
                }
            };
            inner.add(&addend, policy, draw(policy, random, Step::Accumulate { k }));
        }
        match mode.chunk {
            None => outermost = inner,
            Some(_) => {
                let k = first + pairs.len() - 1;
                outermost.add(&inner.read(policy), policy, draw(policy, random, Step::Outer { k }));
            }
        }
    }
    outermost
}
