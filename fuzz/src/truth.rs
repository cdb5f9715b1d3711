//! A matrix product as the oracle computes it, random bits taken from the sites that arrays use.

use systole_arrays::problem::{Operands, Setup, Shape};
use systole_golden::gemm::{Folds, Gemm, Site, Step};
use systole_isa::codes::Codes;
use systole_isa::design::MacMode;
use systole_isa::entropy::Stage;

/// The codes of D. `fold` is the number of products per fold where the accumulator memory
/// adds the folds.
pub fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>, fold: Option<u32>) -> Vec<u64> {
    let mode = MacMode { bias_a: setup.bias_a, bias_b: setup.bias_b, ..setup.mode.clone() };
    let list = |codes: &Codes| codes.iter().collect::<Vec<u64>>();
    let (a, b, c) = (list(operands.a), list(operands.b), operands.c.map(list));
    let problem = Gemm {
        mode: &mode,
        folds: fold.map_or(Folds::Chain, |rows| Folds::Outside { rows: rows as usize }),
        output: (setup.output.format, setup.output.policy),
        shape: [shape.m, shape.n, shape.k].map(|x| x as usize),
        a: &a,
        b: &b,
        c: c.as_deref(),
        c_format: None,
        scales: None,
    };
    let random = |at: Site| {
        let (rounding, stage, index) = match at.step {
            Step::Product { k } => (mode.rounding, Stage::Product, k),
            Step::Accumulate { k } => (mode.rounding, Stage::Accumulate, k),
            Step::Initial => unreachable!("C comes in the accumulator's format"),
            Step::Way { first, way } => (mode.rounding, Stage::Sum, first + way),
            Step::Sum { k } => (mode.rounding, Stage::Sum, k),
            Step::Scale { k } => (mode.rounding, Stage::Scale, k),
            Step::Outer { k } => (mode.rounding, Stage::Outer, k),
            Step::Memory { fold: index } => {
                let rows = fold.unwrap_or(1) as usize;
                (mode.rounding, Stage::Memory, ((index + 1) * rows).min(shape.k as usize) - 1)
            }
            Step::Output => (setup.output.policy.rounding, Stage::Output, 0),
        };
        setup.site.random(rounding.random_bits(), at.row as u32, at.column as u32, stage, index as u32)
    };
    problem.run(random).unwrap_or_else(|e| panic!("the oracle refuses a sound problem: {e}"))
}
