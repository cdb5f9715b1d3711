//! The array's fast kernels as a judge: cases as outputs of matrix products.
//!
//! A kernel is asked for many cases at once, as the diagonal of a product, since a call costs
//! more than a few thousand multiplications. Operands that keep a kernel from a product keep it
//! from that case only: the others are asked again without it.

use systole_arrays::datapath::Output;
use systole_arrays::fast::{KernelChoice, KernelUse, gemm};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_golden::check::{Answer, Batch, Dot, Judge, Kind, Op, Operation};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, MacMode};
use systole_isa::entropy::Site;
use systole_isa::format::{Decoded, Format, Specials};
use systole_isa::round::{Overflow, Policy, Rounding, decode_with, encode_f64};

/// A case as one output of an array.
#[derive(Clone)]
pub(super) struct Product {
    mode: MacMode,
    result: Format,
    output: Policy,
    arrangement: Arrangement,
}

/// Which operands of a case are A, B and C.
#[derive(Clone, Copy)]
enum Arrangement {
    /// K a's, K b's, C; also a b + c.
    InOrder,
    /// The first two, and this C.
    Addend(u64),
    /// This operand times this B, and this C.
    Scaled { a: usize, b: u64, c: u64 },
    /// This operand times this B, and that operand.
    ScaledSum { a: usize, b: u64, c: usize },
}

/// The code of 1 or -1, where operands of the format can be that number.
fn unit(format: Format, value: f64, policy: Policy) -> Option<u64> {
    let code = encode_f64(format, value);
    (decode_with(format, code, policy.subnormals).to_f64() == value).then_some(code)
}

impl Product {
    pub fn dot(dot: &Dot) -> Self {
        Self { mode: dot.mode.clone(), result: dot.result, output: dot.output, arrangement: Arrangement::InOrder }
    }

    /// A single operation as a chain of one product, if the formats and policy allow.
    pub fn operation(operation: &Operation) -> Option<Self> {
        let Operation { op, operands, result, policy } = operation;
        let arithmetic = |format: Format| format.as_float().is_none_or(|f| f.signed && f.specials != Specials::E8m0);
        if !operands.iter().chain([result]).all(|&format| arithmetic(format)) {
            return None;
        }
        // x + neutral is x: -0, but where cancelling zeros are -0, +0.
        let neutral = result.zero(policy.rounding != Rounding::Rdn);
        let times = |i: usize, value: f64| Some((operands[i], operands[i], unit(operands[i], value, *policy)?));
        let (a, b, arrangement) = match op {
            Op::Fma if operands[2] == *result => (operands[0], operands[1], Arrangement::InOrder),
            Op::Mul => (operands[0], operands[1], Arrangement::Addend(neutral)),
            Op::Convert => {
                let (a, b, one) = times(0, 1.0)?;
                (a, b, Arrangement::Scaled { a: 0, b: one, c: neutral })
            }
            Op::Add if operands[1] == *result => {
                let (a, b, one) = times(0, 1.0)?;
                (a, b, Arrangement::ScaledSum { a: 0, b: one, c: 1 })
            }
            Op::Add if operands[0] == *result => {
                let (a, b, one) = times(1, 1.0)?;
                (a, b, Arrangement::ScaledSum { a: 1, b: one, c: 0 })
            }
            Op::Sub if operands[0] == *result => {
                let (a, b, minus_one) = times(1, -1.0)?;
                (a, b, Arrangement::ScaledSum { a: 1, b: minus_one, c: 0 })
            }
            Op::Fma | Op::Add | Op::Sub => return None,
        };
        if a.precision() > 53 || b.precision() > 53 {
            return None;
        }
        let mode = MacMode {
            rounding: policy.rounding,
            overflow: policy.overflow,
            no_infinity: policy.no_infinity,
            subnormals: policy.subnormals,
            tininess: policy.tininess,
            nan: policy.nan,
            ..MacMode::fused(a, b, *result)
        };
        let output = Policy { nan: policy.nan, overflow: Overflow::Ieee, ..Policy::RNE };
        Some(Self { mode, result: *result, output, arrangement })
    }

    /// A's, B's and C of a case.
    fn operands<'a>(&'a self, case: &'a [u64]) -> (&'a [u64], &'a [u64], u64) {
        match &self.arrangement {
            Arrangement::InOrder => {
                let k = case.len() / 2;
                (&case[..k], &case[k..2 * k], case[2 * k])
            }
            Arrangement::Addend(c) => (&case[..1], &case[1..2], *c),
            Arrangement::Scaled { a, b, c } => (&case[*a..=*a], std::slice::from_ref(b), *c),
            Arrangement::ScaledSum { a, b, c } => (&case[*a..=*a], std::slice::from_ref(b), case[*c]),
        }
    }
}

/// The array's arithmetic with one set of kernels.
pub(super) struct Kernels {
    product: Product,
    setup: Setup,
    choice: KernelChoice,
    /// The kernel that takes the mode when operands are harmless; `scalar` if none does.
    best: &'static str,
}

/// Outputs times products per output of the largest product formed at once.
const GROUP: usize = 1 << 10;
/// Parts into which a product that the best kernel declines is cut.
const PARTS: usize = 8;

/// A case's A, B and C, and its place in the batch.
struct Indexed<'a> {
    index: usize,
    a: &'a [u64],
    b: &'a [u64],
    c: u64,
}

impl Kernels {
    pub fn new(product: Product, choice: KernelChoice) -> Self {
        let mode = product.mode.clone();
        // Outputs stay in their PEs: no chain is cut into folds.
        let array = ArraySpec::output_stationary(1, 1);
        let (bias_a, bias_b) = (mode.bias_a, mode.bias_b);
        let output = Output { format: product.result, policy: product.output };
        let setup = Setup { array, mode, bias_a, bias_b, output, site: Site::default() };
        let mut kernels = Self { product, setup, choice, best: "" };
        let (a, b) = ([kernels.setup.mode.a.zero(false)], [kernels.setup.mode.b.zero(false)]);
        let c = kernels.product.result.zero(false);
        kernels.best = kernels.multiply(&[Indexed { index: 0, a: &a, b: &b, c }]).1.name;
        kernels
    }

    /// Cases as the diagonal of one product: row i of A, column i of B, and C's row i are case i.
    fn multiply(&self, cases: &[Indexed<'_>]) -> (Codes, KernelUse) {
        let (n, k) = (cases.len(), cases[0].a.len());
        let mode = &self.setup.mode;
        let a = Codes::from_fn(mode.a, n * k, |i| cases[i / k].a[i % k]);
        let b = Codes::from_fn(mode.b, k * n, |i| cases[i % n].b[i / n]);
        let c = Codes::from_fn(self.product.result, n * n, |i| cases[i / n].c);
        let shape = Shape { m: n as u32, n: n as u32, k: k as u32 };
        let (values, used) = gemm(&self.setup, shape, &Operands::new(&a, &b, Some(&c)), self.choice);
        (values.d, used)
    }

    /// Answers for cases. Where some of them keep the others from the best kernel, smaller
    /// groups are asked, down to single cases.
    fn answer(&self, cases: &[Indexed<'_>], answers: &mut [Option<Answer>]) {
        let (d, used) = self.multiply(cases);
        let whole = used.tiles_by_definition == 0;
        if cases.len() > 1 && !(whole && used.name == self.best) {
            cases.chunks(cases.len().div_ceil(PARTS)).for_each(|part| self.answer(part, answers));
        } else if whole && used.name != "scalar" {
            for (i, case) in cases.iter().enumerate() {
                answers[case.index] = Some(Answer { code: d.get(i * (cases.len() + 1)), flags: None, by: used.name });
            }
        }
    }

    /// What cases that keep kernels away have in common: specials, and coarse exponents, of
    /// which the range of a group's products is the sum.
    fn likeness(&self, case: &Indexed<'_>) -> [i32; 3] {
        let mode = &self.setup.mode;
        let exponent = |format: Format, codes: &[u64]| {
            let exponent = |&code: &u64| match format.decode(code) {
                Decoded::Finite(x) if x.is_zero() => i32::MIN,
                Decoded::Finite(x) => x.magnitude_exponent() >> 4,
                Decoded::Infinite { .. } | Decoded::Nan => i32::MAX,
            };
            codes.iter().map(exponent).max().unwrap_or(i32::MIN)
        };
        let (a, b, c) = (exponent(mode.a, case.a), exponent(mode.b, case.b), exponent(self.product.result, &[case.c]));
        if a.max(b).max(c) == i32::MAX { [i32::MAX; 3] } else { [a, b, c] }
    }
}

impl Judge for Kernels {
    fn kind(&self) -> Kind {
        Kind::Fast
    }

    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
        let mut answers = vec![None; batch.len()];
        if self.best == "scalar" {
            return answers;
        }
        let indexed = |index: usize| {
            let (a, b, c) = self.product.operands(batch.case(index).operands);
            Indexed { index, a, b, c }
        };
        let mut cases: Vec<_> = (0..batch.len()).map(indexed).collect();
        cases.sort_by_cached_key(|case| self.likeness(case));
        let group = (GROUP / batch.k.max(1)).isqrt().max(1);
        cases.chunks(group).for_each(|cases| self.answer(cases, &mut answers));
        answers
    }
}
