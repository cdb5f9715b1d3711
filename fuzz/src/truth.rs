//! A matrix product as the oracle computes it, random bits taken from the sites that arrays use.

use systole::run::golden::site_of;
use systole_arrays::problem::{Operands, Setup, Shape, scale_extents};
use systole_golden::gemm::{Folds, Gemm, Scales, Site, Step};
use systole_isa::codes::Codes;
use systole_isa::design::{MacMode, Scaling};
use systole_isa::format::Format;
use systole_isa::round::encode_f64;

/// The codes of D, 0 where a mask leaves them out. `fold` is the number of products per fold where
/// the accumulator memory adds the folds; the mask comes as codes of a format, for the oracle to read.
pub fn gemm(setup: &Setup, shape: Shape, operands: &Operands<'_>, fold: Option<u32>, mask: Option<(Format, &[u64])>) -> Vec<u64> {
    let mode = MacMode { bias_a: setup.bias_a, bias_b: setup.bias_b, ..setup.mode.clone() };
    let list = |codes: &Codes| codes.iter().collect::<Vec<u64>>();
    let (a, b, c) = (list(operands.a), list(operands.b), operands.c.map(list));
    let one = encode_f64(mode.scale_format, 1.0);
    let [(a_rows, a_cols), (b_rows, b_cols)] = scale_extents(&mode, shape);
    let scales = |codes: Option<&Codes>, rows: u32, cols: u32| codes.map_or_else(|| vec![one; (rows * cols) as usize], list);
    let scales = (scales(operands.scales.a, a_rows, a_cols), scales(operands.scales.b, b_rows, b_cols));
    let problem = Gemm {
        mode: &mode,
        folds: fold.map_or(Folds::Chain, |rows| Folds::Outside { rows: rows as usize }),
        output: (setup.output.format, setup.output.policy),
        shape: [shape.m, shape.n, shape.k].map(|x| x as usize),
        a: &a,
        b: &b,
        c: c.as_deref(),
        c_format: Some(setup.addend_format()),
        scales: (mode.scale != Scaling::None).then_some(Scales { a: &scales.0, b: &scales.1 }),
    };
    let random = |at: Site| {
        let Some((stage, index)) = site_of(at.step, fold, shape.k as usize) else { return 0 };
        let rounding = if at.step == Step::Output { setup.output.policy.rounding } else { mode.rounding_of(stage) };
        setup.site.random(rounding.random_bits(), at.row as u32, at.column as u32, stage, index)
    };
    let codes = match mask {
        None => problem.run(random),
        Some(mask) => {
            let mut d = vec![0; shape.m as usize * shape.n as usize];
            problem.run_masked(mask, &mut d, random).map(|()| d)
        }
    };
    codes.unwrap_or_else(|e| panic!("the oracle refuses a sound problem: {e}"))
}
