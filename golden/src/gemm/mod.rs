//! A whole array's matrix multiplication, in the array's order of sums.
//!
//! The reduction index k ascends. With one chain, a chunk closes when (k+1) mod L = 0 and
//! at the last k. With folds, each run of consecutive k starts at +0 with its own chunks, and
//! its result is added to the accumulator memory, folds ascending. C initialises the
//! outermost accumulator: the chain's, the outer one's, or the memory. Lanes beyond the last
//! k are absent; they add no zeros.
//!
//! Blocks of a unit are `lanes` products each, counted from the start of a chunk, fold or
//! chain. Block scales belong to the global k: then chunks close where (k+1) mod L = 0 in
//! folds as well, and where a fold ends.

mod aligned;
mod operands;
mod register;
mod unit;

pub use operands::Scales;

use crate::value::Value;
use operands::{Line, Operands};
use register::{Register, Roundings};
use std::ops::Range;
use systole_isa::design::{Addend, MacMode, Product, Scaling, Unit};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy};

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
    /// Of C, where the outermost accumulator has another format.
    Initial,
    /// Of the product at global k.
    Product {
        /// Global reduction index.
        k: usize,
    },
    /// Of the accumulator after the product at global k, or after the block that ends there.
    Accumulate {
        /// Global reduction index.
        k: usize,
    },
    /// Of a sum of interleaved chains.
    Way {
        /// Global index of the block's first product.
        first: usize,
        /// The chain just added to the sum of those before it; 0: the addition of their sum to
        /// the accumulator.
        way: usize,
    },
    /// Of a block's sum of products, where it is rounded before it meets the accumulator.
    Sum {
        /// Global index of the block's last product.
        k: usize,
    },
    /// Of the scaled sum of the chunk that ends at global k.
    Scale {
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
    /// The MAC: formats, rounding, unit, chunks, and the shared exponent biases in force.
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
    /// C, M x N; absent means +0.
    pub c: Option<&'a [u64]>,
    /// Format of C; absent means the outermost accumulator's. Accumulators too wide for codes
    /// take C in a format that has some.
    pub c_format: Option<Format>,
    /// Block scales, where the mode asks for them.
    pub scales: Option<Scales<'a>>,
}

/// One output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its code in the output format.
    pub code: u64,
    /// Exceptions of all its roundings and of the operations before them. Bits that an
    /// alignment drops make it inexact.
    pub flags: Flags,
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
    /// A chunk, fold, block or group without elements.
    #[error("{0} must be at least 1")]
    Empty(&'static str),
    /// A matrix in a format without codes.
    #[error("{matrix} is given in `{format}`, whose codes are wider than 64 bits; use another format for it")]
    Wide {
        /// Which matrix.
        matrix: &'static str,
        /// Its format.
        format: Format,
    },
    /// A mode that means no multiplication.
    #[error("the MAC mode has no meaning: {0}")]
    Mode(&'static str),
}

impl Gemm<'_> {
    fn check(&self) -> Result<(), GemmError> {
        let mode = self.mode;
        for (what, is_empty) in [
            ("the chunk length", mode.chunk == Some(0)),
            ("the fold length", self.folds == (Folds::Outside { rows: 0 })),
            ("the number of lanes", mode.lanes == 0),
            ("the rows that share a scale", mode.scale_rows == 0),
            ("the columns that share a scale", mode.scale_cols == 0),
            ("the number of interleaved chains", mode.unit == (Unit::Interleaved { ways: 0 })),
            ("the number of groups", matches!(mode.unit, Unit::Aligned(unit) if unit.groups == 0)),
        ] {
            if is_empty {
                return Err(GemmError::Empty(what));
            }
        }
        if self.output.0.bits() > 64 {
            return Err(GemmError::Wide { matrix: "the result", format: self.output.0 });
        }
        if let Unit::Aligned(unit) = mode.unit {
            let floats = [mode.a, mode.b, mode.accumulator].iter().all(|f| matches!(f, Format::Float(_)));
            for (holds, reason) in [
                (floats, "an aligned unit's operands and accumulator are floating-point"),
                (mode.product == Product::Exact, "an aligned unit takes exact products"),
                (unit.groups == 1 || unit.addend != Addend::Together, "an accumulator that is one more term belongs to no group"),
            ] {
                if !holds {
                    return Err(GemmError::Mode(reason));
                }
            }
        }
        Ok(())
    }

    /// Length of a scaled block.
    fn block_length(&self) -> Result<usize, GemmError> {
        self.mode.chunk.map(|length| length as usize).ok_or(GemmError::Mode("block scales need a chunk: it is the block length"))
    }

    /// Codes of the M x N results. `random` supplies R wherever rounding is stochastic.
    ///
    /// # Errors
    /// Matrices that do not fit the shape or have no codes, and modes without meaning.
    pub fn run(&self, random: impl FnMut(Site) -> u64) -> Result<Vec<u64>, GemmError> {
        Ok(self.elements(random)?.iter().map(|element| element.code).collect())
    }

    /// As [`Gemm::run`], with exceptions.
    ///
    /// # Errors
    /// Those of [`Gemm::run`].
    pub fn elements(&self, mut random: impl FnMut(Site) -> u64) -> Result<Vec<Element>, GemmError> {
        self.check()?;
        let operands = Operands::read(self)?;
        let [m, n, _] = self.shape;
        let mut out = Vec::with_capacity(m * n);
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            out.push(self.element(operands.line(row, column), self.roundings(&mut |step| random(Site { row, column, step }))));
        }
        Ok(out)
    }

    fn roundings<'r>(&self, random: &'r mut dyn FnMut(Step) -> u64) -> Roundings<'r> {
        Roundings { policy: self.mode.policy(), outer: self.mode.outer_policy(), random, flags: Flags::NONE }
    }

    /// As [`Gemm::run`], into the elements of `d` that a mask selects: those whose element of the
    /// M x N `mask`, codes of a format, is not a zero. Only their roundings ask for random bits.
    ///
    /// # Errors
    /// Those of [`Gemm::run`]; `d` or a mask of another shape.
    pub fn run_masked(
        &self,
        (format, mask): (Format, &[u64]),
        d: &mut [u64],
        mut random: impl FnMut(Site) -> u64,
    ) -> Result<(), GemmError> {
        self.check()?;
        let operands = Operands::read(self)?;
        let [rows, columns, _] = self.shape;
        for (matrix, found) in [("the mask", mask.len()), ("the result", d.len())] {
            if found != rows * columns {
                return Err(GemmError::Shape { matrix, rows, columns, found });
            }
        }
        let is_zero = |code| matches!(Value::of(format, code), Value::Finite { magnitude, .. } if magnitude.is_zero());
        for (i, d) in d.iter_mut().enumerate().filter(|&(i, _)| !is_zero(mask[i])) {
            let (row, column) = (i / columns, i % columns);
            *d = self.element(operands.line(row, column), self.roundings(&mut |step| random(Site { row, column, step }))).code;
        }
        Ok(())
    }

    /// `A B + C` without any rounding, block scales and biases applied.
    ///
    /// # Errors
    /// Those of [`Gemm::run`].
    pub fn exact(&self) -> Result<Vec<Value>, GemmError> {
        self.check()?;
        let unrounded = MacMode { product: Product::Exact, ..self.mode.clone() };
        let gemm = Gemm { mode: &unrounded, ..*self };
        let operands = Operands::read(&gemm)?;
        let [m, n, k] = self.shape;
        let mut out = Vec::with_capacity(m * n);
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let line = operands.line(row, column);
            let mut roundings =
                Roundings { policy: self.mode.policy(), outer: self.mode.outer_policy(), random: &mut |_| 0, flags: Flags::NONE };
            let mut sum = line.c().map_or(Value::zero(false), |(c, _)| c.clone());
            for k in 0..k {
                let mut product = line.term(k, None, &mut roundings).value;
                if matches!(self.mode.scale, Scaling::Chunk | Scaling::ChunkRounded) {
                    product = scaled(line, k, &product, &mut roundings);
                }
                sum = roundings.sum(&sum, &product);
            }
            out.push(sum);
        }
        Ok(out)
    }

    fn element(&self, line: Line<'_>, mut roundings: Roundings<'_>) -> Element {
        let outermost = self.mode.outermost();
        let mut total = Register::zero(outermost);
        if let Some((c, flags)) = line.c() {
            roundings.flags |= flags;
            if self.c_format.is_none_or(|format| format == outermost) {
                total.value = c.clone();
            } else {
                total.set(c, Step::Initial, &mut roundings);
            }
        }
        let k = self.shape[2];
        match self.folds {
            Folds::Chain => self.chain(&mut total, line, 0..k, &mut roundings),
            Folds::Outside { rows } => {
                for fold in 0..k.div_ceil(rows) {
                    let mut result = Register::zero(outermost);
                    self.chain(&mut result, line, fold * rows..((fold + 1) * rows).min(k), &mut roundings);
                    let result = result.read(&roundings);
                    total.add(&result, Step::Memory { fold }, &mut roundings);
                }
            }
        }
        // A NaN leaves as the code the mode's accumulators hold.
        let (format, policy) = self.output;
        roundings.output((format, Policy { nan: self.mode.nan, ..policy }), &total.value)
    }

    /// Accumulates the products of `fold` on top of `outermost`.
    fn chain(&self, outermost: &mut Register, line: Line<'_>, fold: Range<usize>, roundings: &mut Roundings<'_>) {
        let mode = self.mode;
        let blocks = |chunk: Range<usize>, register: &mut Register, roundings: &mut Roundings<'_>| {
            let lanes = mode.lanes as usize;
            for start in chunk.clone().step_by(lanes) {
                unit::accumulate(mode.unit, register, line, start..(start + lanes).min(chunk.end), roundings);
            }
        };
        let Some(length) = mode.chunk.map(|length| length as usize) else {
            return blocks(fold, outermost, roundings);
        };
        let mut start = fold.start;
        while start < fold.end {
            let open = if matches!(mode.scale, Scaling::None) { start } else { start / length * length };
            let end = (open + length).min(fold.end);
            let mut inner = Register::zero(mode.accumulator);
            blocks(start..end, &mut inner, roundings);
            let k = end - 1;
            let sum = match mode.scale {
                Scaling::None | Scaling::Exponent => inner.read(roundings),
                Scaling::Chunk => scaled(line, k, &inner.read(roundings), roundings),
                Scaling::ChunkRounded => {
                    let sum = scaled(line, k, &inner.read(roundings), roundings);
                    roundings.round(outermost.format, &sum, Step::Scale { k })
                }
            };
            outermost.add(&sum, Step::Outer { k }, roundings);
            start = end;
        }
    }
}

/// `value` times both scales of the block that k belongs to.
fn scaled(line: Line<'_>, k: usize, value: &Value, roundings: &mut Roundings<'_>) -> Value {
    let mut value = value.clone();
    for (scale, flags) in line.scales(k).into_iter().flatten() {
        roundings.flags |= flags;
        value = roundings.product(&value, scale.value);
    }
    value
}
