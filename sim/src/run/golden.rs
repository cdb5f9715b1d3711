//! The project's implementations as judges of test vectors.

use std::cell::Cell;
use systole_arrays::datapath::operation::Operation as Single;
use systole_arrays::datapath::{self, Entropy, Mac, Output};
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_arrays::vector::{Elementwise, Operand, Target, elementwise};
use systole_golden::check::{Answer, Batch, Case, Dot, Judge, Kind, Op, Operation, Oracle, Subject};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Design, Drain, MacMode, PartialSums, Preload, Scaling};
use systole_isa::device::Activity;
use systole_isa::entropy::{Site, Stage};
use systole_isa::format::{Format, Specials};
use systole_isa::round::{Overflow, Policy, Rounding, decode_with, encode_f64};

/// Which judges are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// Every one.
    #[default]
    All,
    /// The oracle.
    Oracle,
    /// The datapath.
    Datapath,
    /// The fast kernels.
    Fast,
}

/// A design whose unit is no subject of vectors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Its values are not known.
    #[error("the arithmetic of design `{0}` is not modelled: costs and cycles only")]
    CostOnly(String),
    /// Operands with block scales.
    #[error("lines of `dot` hold no block scales; set mac.scale=none to check the unit behind them")]
    Scaled,
}

/// One output of a design's array, in mode 0, as a subject of vectors.
///
/// # Errors
/// Designs without values, and modes whose operands have block scales.
pub fn dot_of(design: &Design) -> Result<Dot, SubjectError> {
    if let systole_isa::design::Arithmetic::CostOnly(_) = design.arithmetic {
        return Err(SubjectError::CostOnly(design.name.clone()));
    }
    let mode = design.mac.clone();
    if mode.scale != Scaling::None {
        return Err(SubjectError::Scaled);
    }
    let addend = design.addend_format(&mode);
    // Results of the outermost accumulator itself are not converted.
    let output = if mode.outermost() == addend { Policy { nan: mode.nan, ..Policy::RNE } } else { design.output.policy() };
    Ok(Dot { addend, result: addend, output, mode })
}

/// The judges of a subject: those asked for, the fast ones with the kernels `choice` allows.
pub fn judges(subject: &Subject, against: Against, choice: KernelChoice) -> Vec<Box<dyn Judge>> {
    let mut judges: Vec<Box<dyn Judge>> = Vec::new();
    if matches!(against, Against::All | Against::Oracle) {
        judges.push(Box::new(Oracle { subject: subject.clone() }));
    }
    if matches!(against, Against::All | Against::Datapath) {
        match subject {
            Subject::Operation(operation) => judges.push(Box::new(Datapath { operation: operation.clone() })),
            Subject::Dot(dot) => judges.push(Box::new(DatapathDot { dot: dot.clone() })),
        }
    }
    // Kernels draw random bits by site; vectors bring their own.
    if matches!(against, Against::All | Against::Fast) && subject.random_bits() == 0 {
        let sets = match choice {
            KernelChoice::Auto => KernelChoice::available(),
            KernelChoice::Scalar => Vec::new(),
            one => vec![one],
        };
        let product = match subject {
            Subject::Operation(operation) => Product::operation(operation),
            Subject::Dot(dot) => Some(Product::dot(dot)),
        };
        for choice in sets {
            judges.extend(product.clone().map(|product| Box::new(Kernels { product, choice }) as Box<dyn Judge>));
        }
        if let (Subject::Operation(operation), false) = (subject, choice == KernelChoice::Scalar) {
            judges.push(Box::new(VectorUnit { operation: operation.clone() }));
        }
    }
    judges
}

/// Single operations of the datapath.
struct Datapath {
    operation: Operation,
}

impl Judge for Datapath {
    fn kind(&self) -> Kind {
        Kind::Datapath
    }

    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
        let Operation { op, operands: formats, result, policy } = &self.operation;
        let op = match op {
            Op::Convert => Single::Convert,
            Op::Add => Single::Add,
            Op::Sub => Single::Subtract,
            Op::Mul => Single::Multiply,
            Op::Fma => Single::FusedMultiplyAdd,
        };
        let answer = |case: Case<'_>| {
            let mut operands = [(*result, 0); 3];
            for (operand, (&format, &code)) in operands.iter_mut().zip(formats.iter().zip(case.operands)) {
                *operand = (format, code);
            }
            let random = case.random.first().copied().unwrap_or(0);
            let (code, flags) = op.apply(&operands[..op.arity()], *result, *policy, random);
            Some(Answer { code, flags: Some(flags), by: "datapath" })
        };
        batch.cases().map(answer).collect()
    }
}

/// Dot products of the datapath.
struct DatapathDot {
    dot: Dot,
}

/// Random bits handed out in the order in which roundings ask for them.
struct Given<'a> {
    random: &'a [u64],
    next: Cell<usize>,
}

impl Entropy for Given<'_> {
    fn begin(&self, _: u32) {}

    fn random(&self, bits: u32, _: Stage, _: u32) -> u64 {
        if bits == 0 {
            return 0;
        }
        let next = self.next.replace(self.next.get() + 1);
        self.random.get(next).copied().unwrap_or(0)
    }
}

impl Judge for DatapathDot {
    fn kind(&self) -> Kind {
        Kind::Datapath
    }

    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
        let mode = &self.dot.mode;
        let mac = Mac::new(mode, mode.bias_a, mode.bias_b);
        let output = Output { format: self.dot.result, policy: self.dot.output };
        let k = batch.k;
        let answer = |case: Case<'_>| {
            let entropy = Given { random: case.random, next: Cell::new(0) };
            let operand = |i: u32| case.operands[i as usize];
            let (b, c) = (|i: u32| operand(k as u32 + i), operand(2 * k as u32));
            let code = datapath::dot(&mac, k as u32, operand, b, Some(c), None, &output, &entropy, &mut Activity::default());
            // A case brings as many R as the oracle asks for.
            (entropy.next.get() == case.random.len()).then_some(Answer { code, flags: None, by: "datapath" })
        };
        batch.cases().map(answer).collect()
    }
}

/// Elementwise instructions of the vector unit, by whichever of its paths.
struct VectorUnit {
    operation: Operation,
}

impl Judge for VectorUnit {
    fn kind(&self) -> Kind {
        Kind::Fast
    }

    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
        let Operation { op, operands: formats, result, policy } = &self.operation;
        let op = match op {
            Op::Convert => Elementwise::Convert,
            Op::Add => Elementwise::Add,
            Op::Sub => Elementwise::Subtract,
            Op::Mul => Elementwise::Multiply,
            Op::Fma => Elementwise::FusedMultiplyAdd,
        };
        let cols = batch.len();
        let codes: Vec<Codes> = (formats.iter().enumerate())
            .map(|(i, &format)| {
                let mut operand = batch.operand(i);
                Codes::from_fn(format, cols, |_| operand.next().unwrap_or(0))
            })
            .collect();
        let operands: Vec<Operand<'_>> =
            formats.iter().zip(&codes).map(|(&format, codes)| Operand { format, rows: 1, cols, codes }).collect();
        let target = Target { format: *result, rows: 1, cols, policy: *policy, site: Site::default() };
        match elementwise(op, &target, &operands) {
            Ok((codes, _)) => codes.iter().map(|code| Some(Answer { code, flags: None, by: "vector" })).collect(),
            Err(_) => vec![None; cols],
        }
    }
}

/// A case as one output of an array.
#[derive(Clone)]
struct Product {
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
    fn dot(dot: &Dot) -> Self {
        Self { mode: dot.mode.clone(), result: dot.result, output: dot.output, arrangement: Arrangement::InOrder }
    }

    /// A single operation as a chain of one product, if the formats and policy allow.
    fn operation(operation: &Operation) -> Option<Self> {
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
struct Kernels {
    product: Product,
    choice: KernelChoice,
}

impl Judge for Kernels {
    fn kind(&self) -> Kind {
        Kind::Fast
    }

    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
        let Product { mode, result, output, .. } = &self.product;
        // One PE holding its output: the chain has one fold.
        let array = ArraySpec {
            rows: 1,
            cols: 1,
            count: 1,
            clock_mhz: 1.0,
            dataflow: Dataflow::Os,
            convention: Convention::Rtl,
            drain: Drain::Serial,
            preload: Preload::Serial,
            partial_sums: PartialSums::Feedback,
        };
        let setup = Setup {
            array,
            mode: mode.clone(),
            bias_a: mode.bias_a,
            bias_b: mode.bias_b,
            output: Output { format: *result, policy: *output },
            site: Site::default(),
        };
        let answer = |case: Case<'_>| {
            let (a, b, c) = self.product.operands(case.operands);
            let codes = |format, codes: &[u64]| Codes::from_fn(format, codes.len(), |i| codes[i]);
            let (a, b, c) = (codes(mode.a, a), codes(mode.b, b), codes(*result, &[c]));
            let shape = Shape { m: 1, n: 1, k: a.len() as u32 };
            let (values, used) = gemm(&setup, shape, &Operands::new(&a, &b, Some(&c)), self.choice);
            let by_kernel = used.name != "scalar" && used.tiles_by_definition == 0;
            by_kernel.then(|| Answer { code: values.d.get(0), flags: None, by: used.name })
        };
        batch.cases().map(answer).collect()
    }
}
