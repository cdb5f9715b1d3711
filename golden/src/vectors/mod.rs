//! Test vectors made from the truth: operands by level, results and exceptions by the oracle.
//!
//! [`Plan`] gives case `i` of a file as a pure function of its settings and `i`, so files are
//! the same on any machine and at any number of threads. [`text`] writes what
//! [`crate::check`] reads; [`memh`] writes what Verilog's `$readmemh` reads.

mod directed;
mod draw;
mod line;
pub mod memh;
pub mod text;

pub use line::corners;

use crate::check::Subject;
use crate::gemm::GemmError;
use directed::{Codes, Director, DotDirector};
use draw::Draws;
use rayon::prelude::*;
use std::io;
use systole_isa::round::Flags;

/// Which operands a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 1: the corners of every format, all combinations; for dot products this many drawn ones.
    Corners {
        /// Cases of a dot product.
        count: u64,
    },
    /// 2: this many cases aimed at ties, cancellation, borders and alignments.
    Directed {
        /// Cases.
        count: u64,
    },
    /// Every operand there is.
    Exhaustive,
}

/// Largest exhaustive file, as a power of two of cases.
pub const EXHAUSTIVE_BITS: u32 = 32;

/// Vectors that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// Too many combinations.
    #[error(
        "{subject}: all operands together have {bits} bits, so 2^{bits} cases; exhaustive files have at most 2^{EXHAUSTIVE_BITS}: use --level 2 --count N"
    )]
    TooMany {
        /// What is computed.
        subject: String,
        /// Bits of all operands and random bits.
        bits: u64,
    },
    /// A dot product without terms.
    #[error("a dot product has 1 to {} products, not {k}", crate::check::MAX_K)]
    K {
        /// Products asked for.
        k: usize,
    },
    /// A mode the oracle refuses.
    #[error(transparent)]
    Mode(#[from] GemmError),
    /// The file cannot be written.
    #[error("{file}: cannot be written: {source}")]
    Io {
        /// The file.
        file: String,
        /// The cause.
        source: io::Error,
    },
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Operand codes.
    pub operands: Vec<u64>,
    /// R of each stochastic rounding.
    pub random: Vec<u64>,
    /// The result.
    pub result: u64,
    /// The exceptions.
    pub flags: Flags,
}

/// How the operands of case `i` come about.
#[derive(Clone, Debug)]
enum Maker {
    /// Combinations of the corners of each operand and of R, the last one fastest.
    Crossed(Vec<Vec<u64>>),
    /// The digits of `i`, each as wide as its field, the last one lowest.
    Digits(Vec<u32>),
    Directed(Director),
    DotCorners(DotDirector),
    DotDirected(DotDirector),
}

/// A file of vectors before it is written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What its cases are about.
    pub subject: Subject,
    /// Products of a dot product; 0 for operations.
    pub k: usize,
    /// Seed of all draws.
    pub seed: u64,
    /// Values of R per case.
    randoms: usize,
    maker: Maker,
    len: u64,
}

impl Plan {
    /// Plans a file.
    ///
    /// # Errors
    /// Exhaustive files beyond 2^32 cases, dot products without terms, modes the oracle refuses.
    pub fn new(subject: Subject, k: usize, level: Level, seed: u64) -> Result<Self, VectorsError> {
        if matches!(subject, Subject::Dot(_)) && !(1..=crate::check::MAX_K).contains(&k) {
            return Err(VectorsError::K { k });
        }
        let k = if matches!(subject, Subject::Dot(_)) { k } else { 0 };
        let randoms = subject.randoms(k)?;
        let (maker, len) = match (&subject, level) {
            (_, Level::Exhaustive) => {
                let mut widths: Vec<u32> = (0..subject.operand_count(k)).map(|i| subject.operand_format(i, k).bits()).collect();
                widths.extend(vec![subject.random_bits(); randoms]);
                let bits = widths.iter().copied().map(u64::from).sum();
                if bits > EXHAUSTIVE_BITS.into() {
                    return Err(VectorsError::TooMany { subject: subject.to_string(), bits });
                }
                (Maker::Digits(widths), 1 << bits)
            }
            (Subject::Operation(operation), Level::Corners { .. }) => {
                let mut lists: Vec<Vec<u64>> = operation.operands.iter().map(|&f| Codes::new(f).corners().to_vec()).collect();
                if randoms > 0 {
                    lists.push(random_corners(subject.random_bits()));
                }
                let len = lists.iter().map(|list| list.len() as u64).product();
                (Maker::Crossed(lists), len)
            }
            (Subject::Operation(operation), Level::Directed { count }) => (Maker::Directed(Director::new(operation)), count),
            (Subject::Dot(dot), Level::Corners { count }) => (Maker::DotCorners(DotDirector::new(dot, k)), count),
            (Subject::Dot(dot), Level::Directed { count }) => (Maker::DotDirected(DotDirector::new(dot, k)), count),
        };
        Ok(Self { subject, k, seed, randoms, maker, len })
    }

    /// Number of cases.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// True if there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Operands and R of case `i`.
    fn inputs(&self, i: u64) -> Result<(Vec<u64>, Vec<u64>), GemmError> {
        let mut draws = Draws::new(self.seed, i);
        let mut rest = i;
        let split = |mut fields: Vec<u64>| {
            let random = fields.split_off(fields.len() - self.randoms);
            (fields, random)
        };
        let operands = match &self.maker {
            Maker::Crossed(lists) => {
                let mut fields: Vec<u64> = lists.iter().rev().map(|list| take(&mut rest, list)).collect();
                fields.reverse();
                return Ok(split(fields));
            }
            Maker::Digits(widths) => {
                let mut fields = Vec::with_capacity(widths.len());
                for &width in widths.iter().rev() {
                    fields.push(rest & ((1 << width) - 1));
                    rest >>= width;
                }
                fields.reverse();
                return Ok(split(fields));
            }
            Maker::Directed(director) => director.operands(&mut draws),
            Maker::DotCorners(director) => director.corner(&mut draws),
            Maker::DotDirected(director) => director.operands(&mut draws),
        };
        let random = self.random(&operands, &mut draws)?;
        Ok((operands, random))
    }

    /// R for given operands: extremes, any, and for single operations the last that rounds
    /// toward zero and the first that rounds away.
    fn random(&self, operands: &[u64], draws: &mut Draws) -> Result<Vec<u64>, GemmError> {
        let bits = self.subject.random_bits();
        let mut random = Vec::with_capacity(self.randoms);
        for _ in 0..self.randoms {
            let any = draws.bits() >> (64 - bits);
            random.push(if draws.one_in(4) { draws.pick(&random_corners(bits)) } else { any });
        }
        if let ([r], Subject::Operation(_), false) = (&mut random[..], &self.subject, draws.one_in(3)) {
            let code = |r: u64| self.subject.apply(operands, &[r]).map(|element| element.code);
            let (mut low, mut high) = (0, (1u64 << bits) - 1);
            let (toward_zero, away) = (code(low)?, code(high)?);
            if toward_zero != away {
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    *(if code(middle)? == toward_zero { &mut low } else { &mut high }) = middle;
                }
                *r = if draws.one_in(2) { low } else { high };
            }
        }
        Ok(random)
    }

    /// Case `i`.
    ///
    /// # Errors
    /// A mode the oracle refuses.
    pub fn case(&self, i: u64) -> Result<Vector, GemmError> {
        let (operands, random) = self.inputs(i)?;
        let element = self.subject.apply(&operands, &random)?;
        Ok(Vector { operands, random, result: element.code, flags: element.flags })
    }

    /// Hands every case to `sink` in order; computed in parallel, some thousands at a time.
    ///
    /// # Errors
    /// A mode the oracle refuses, and what `sink` returns.
    pub fn for_each(&self, mut sink: impl FnMut(&Vector) -> Result<(), VectorsError>) -> Result<(), VectorsError> {
        const BLOCK: u64 = 1 << 14;
        let mut start = 0;
        while start < self.len {
            let end = self.len.min(start + BLOCK);
            let block: Vec<Vector> = (start..end).into_par_iter().map(|i| self.case(i)).collect::<Result<_, _>>()?;
            block.iter().try_for_each(&mut sink)?;
            start = end;
        }
        Ok(())
    }
}

/// The digit of `rest` in base `list.len()`, looked up.
fn take(rest: &mut u64, list: &[u64]) -> u64 {
    let n = list.len() as u64;
    let digit = *rest % n;
    *rest /= n;
    list[digit as usize]
}

/// R at its ends and in the middle.
fn random_corners(bits: u32) -> Vec<u64> {
    let all = (1u64 << bits) - 1;
    let mut corners = vec![0, 1, all / 2, all / 2 + 1, all - 1, all];
    corners.retain(|&r| r <= all);
    corners.sort_unstable();
    corners.dedup();
    corners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Op, Operation};
    use crate::round::round;
    use crate::value::{Rational, Value, power_of_two};
    use systole_isa::format::Format;
    use systole_isa::round::{Policy, Rounding};

    fn plan(op: Op, formats: &[&str], result: &str, level: Level) -> Plan {
        let formats: Vec<Format> = formats.iter().map(|name| name.parse().unwrap()).collect();
        let operation = Operation::new(op, &formats, result.parse().unwrap(), Policy::RNE).unwrap();
        Plan::new(Subject::Operation(operation), 0, level, 1).unwrap()
    }

    /// Level 2 meets what it aims at: each as often as said, in cases out of a thousand.
    #[test]
    fn level_two_is_aimed() {
        const CASES: u64 = 4000;
        for (op, formats, result) in [
            (Op::Add, &["fp16"][..], "fp16"),
            (Op::Mul, &["fp16"], "fp16"),
            (Op::Fma, &["fp16"], "fp16"),
            (Op::Fma, &["fp32"], "fp32"),
            (Op::Fma, &["bf16", "fp32"], "fp32"),
            (Op::Convert, &["fp32"], "e4m3fn"),
            (Op::Mul, &["e4m3fn", "e5m2"], "e4m3"),
        ] {
            let plan = plan(op, formats, result, Level::Directed { count: CASES });
            let format: Format = result.parse().unwrap();
            let Format::Float(float) = format else { unreachable!() };
            let rounded = |value: &Value, rounding| round(format, value, Policy::new(rounding), 0).0;
            let half = power_of_two(-1);
            let smallest_normal = power_of_two(1 - i64::from(float.bias));
            let (mut ties, mut near_ties, mut tiny, mut overflows, mut cancelled, mut carries) = (0, 0, 0, 0, 0, 0);
            for i in 0..CASES {
                let vector = plan.case(i).unwrap();
                let exact = plan.subject.exact(&vector.operands).unwrap();
                let Value::Finite { magnitude, .. } = &exact else { continue };
                let (low, high) = (rounded(&exact, Rounding::Rtz), rounded(&exact, Rounding::Rod));
                let neighbours = [low, if high == low { low + 1 } else { high }].map(|code| line::number(format, code));
                if let [Some(x), Some(y)] = neighbours {
                    let [x, y] = [x, y].map(|x| if x < Rational::ZERO { -x } else { x });
                    let gap = if x < y { &y - &x } else { &x - &y };
                    let off = magnitude - (&x + &y) * &half;
                    ties += u64::from(off.is_zero());
                    let off = if off < Rational::ZERO { -off } else { off };
                    near_ties += u64::from(!off.is_zero() && off < gap * power_of_two(-4));
                }
                tiny += u64::from(!magnitude.is_zero() && *magnitude < smallest_normal);
                overflows += u64::from(vector.flags.contains(Flags::OVERFLOW));
                let fraction = (1u64 << float.mantissa_bits) - 1;
                carries += u64::from(low & fraction == fraction && vector.result & fraction == 0 && low != vector.result);
                // An addend that takes away most of the rest.
                if let (Op::Add | Op::Fma, Some(Value::Finite { magnitude: addend, .. })) =
                    (op, vector.operands.last().map(|&c| Value::of(plan.subject.operand_format(vector.operands.len() - 1, 0), c)))
                {
                    cancelled += u64::from(*magnitude < addend * power_of_two(-5));
                }
            }
            let at_least = |what, count: u64, per_mille: u64| {
                assert!(count * 1000 >= per_mille * CASES, "{}: {what} {count} of {CASES}", plan.subject);
            };
            at_least("ties", ties, 15);
            // Products of so few bits are rarely near a tie without being one.
            at_least("near ties", near_ties, if result == "e4m3" { 4 } else { 50 });
            at_least("tiny", tiny, 50);
            at_least("overflows", overflows, 10);
            at_least("carries", carries, 30);
            at_least("cancelled", cancelled, if matches!(op, Op::Add | Op::Fma) { 100 } else { 0 });
        }
    }

    #[test]
    fn every_case_is_a_function_of_seed_and_number() {
        let count = Level::Directed { count: 50 };
        let one = plan(Op::Fma, &["fp16"], "fp16", count);
        let cases = |plan: &Plan| (0..50).map(|i| plan.case(i).unwrap()).collect::<Vec<_>>();
        assert_eq!(cases(&one), cases(&one.clone()));
        assert_ne!(cases(&one), cases(&Plan { seed: 2, ..one.clone() }));
        let mut collected = Vec::new();
        one.for_each(|vector| {
            collected.push(vector.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(collected, cases(&one));
    }

    #[test]
    fn crossed_and_exhaustive_operands_are_all_there() {
        let all = plan(Op::Mul, &["e2m1f", "e2m3f"], "e2m1f", Level::Exhaustive);
        let seen: std::collections::BTreeSet<Vec<u64>> = (0..all.len()).map(|i| all.case(i).unwrap().operands).collect();
        assert_eq!((all.len(), seen.len()), (1 << 10, 1 << 10));
        let crossed = plan(Op::Add, &["fp16", "bf16"], "fp16", Level::Corners { count: 0 });
        let seen: std::collections::BTreeSet<Vec<u64>> = (0..crossed.len()).map(|i| crossed.case(i).unwrap().operands).collect();
        let sides = [Format::FP16, Format::BF16].map(|format| corners(format).len());
        assert_eq!((crossed.len(), seen.len()), ((sides[0] * sides[1]) as u64, sides[0] * sides[1]));
    }
}
