//! The project's implementations as judges of test vectors.

mod kernels;

use kernels::{Kernels, Product};
use std::collections::HashMap;
use systole_arrays::datapath::operation::Operation as Single;
use systole_arrays::datapath::{self, Entropy, Mac, Output};
use systole_arrays::fast::KernelChoice;
use systole_arrays::vector::{Blocks, Elementwise, Operand, Target, elementwise};
use systole_golden::check::{Answer, Batch, Case, Dot, Judge, Kind, Op, Operation, Oracle, Subject};
use systole_golden::gemm::Step;
use systole_isa::codes::Codes;
use systole_isa::design::{Design, Scaling};
use systole_isa::device::Activity;
use systole_isa::entropy::{Site, Stage};
use systole_isa::round::Policy;

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
            judges.extend(product.clone().map(|product| Box::new(Kernels::new(product, choice)) as Box<dyn Judge>));
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

/// The counter-based source's name for a rounding of a product whose folds are `fold` long and
/// whose sums have `k` terms; `None` where the datapath does not round.
pub fn site_of(step: Step, fold: Option<u32>, k: usize) -> Option<(Stage, u32)> {
    let (stage, index) = match step {
        // A wide accumulator takes C without loss.
        Step::Initial => return None,
        Step::Product { k } => (Stage::Product, k),
        Step::Accumulate { k } => (Stage::Accumulate, k),
        Step::Way { first, way } => (Stage::Sum, first + way),
        Step::Sum { k } => (Stage::Sum, k),
        Step::Scale { k } => (Stage::Scale, k),
        Step::Outer { k } => (Stage::Outer, k),
        Step::Memory { fold: index } => (Stage::Memory, ((index + 1) * fold.unwrap_or(1) as usize).min(k) - 1),
        Step::Output => (Stage::Output, 0),
    };
    Some((stage, index as u32))
}

/// Random bits by the rounding they are for.
struct Given<'a> {
    sites: &'a HashMap<(Stage, u32), usize>,
    random: &'a [u64],
}

impl Entropy for Given<'_> {
    fn begin(&self, _: u32) {}

    fn random(&self, _: u32, stage: Stage, index: u32) -> u64 {
        // Roundings that are not stochastic ask as well; what they get does not matter.
        self.sites.get(&(stage, index)).and_then(|&i| self.random.get(i)).copied().unwrap_or(0)
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
        let mut sites = HashMap::new();
        if mode.random_bits() > 0 {
            let Ok(steps) = self.dot.roundings(k) else { return vec![None; batch.len()] };
            sites.extend(steps.into_iter().enumerate().filter_map(|(i, step)| Some((site_of(step, None, k)?, i))));
        }
        let answer = |case: Case<'_>| {
            let entropy = Given { sites: &sites, random: case.random };
            let operand = |i: u32| case.operands[i as usize];
            let (b, c) = (|i: u32| operand(k as u32 + i), operand(2 * k as u32));
            let code = datapath::dot(&mac, k as u32, operand, b, Some(c), None, &output, &entropy, &mut Activity::default());
            Some(Answer { code, flags: None, by: "datapath" })
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
        let target = Target { format: *result, rows: 1, cols, policy: *policy, blocks: Blocks::WHOLE, site: Site::default() };
        match elementwise(op, &target, &operands) {
            Ok((codes, _)) => codes.iter().map(|code| Some(Answer { code, flags: None, by: "vector" })).collect(),
            Err(_) => vec![None; cols],
        }
    }
}
