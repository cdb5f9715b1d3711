//! The other way to be exact: one fused multiply-add at a time, in integers.

use rustc_apfloat::Float;
use rustc_apfloat::ieee::Half;
use systole_arrays::bench::{Case, Problem};
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::Shape;
use systole_isa::format::Format;
use systole_isa::round::encode_f64;

const SHAPE: Shape = Shape { m: 8, n: 32, k: 64 };

/// A product of `rustc_apfloat`'s IEEE halves, its operands converted beforehand.
pub struct SoftFloat {
    problem: Problem,
    a: Vec<Half>,
    b: Vec<Half>,
}

impl SoftFloat {
    /// Of a case whose operands binary16 has.
    pub fn new(case: &Case) -> Self {
        let problem = case.problem(SHAPE);
        let operands = problem.operands();
        let half = |format: Format, code| Half::from_bits(encode_f64(Format::FP16, format.to_f64(code)).into());
        let a = operands.a.iter().map(|code| half(problem.setup.mode.a, code)).collect();
        let b = operands.b.iter().map(|code| half(problem.setup.mode.b, code)).collect();
        Self { problem, a, b }
    }

    /// Multiply-accumulates of one run.
    pub const fn macs() -> f64 {
        SHAPE.macs() as f64
    }

    /// Computes the product; codes, row-major.
    pub fn run(&self) -> Vec<u64> {
        let (n, k) = (SHAPE.n as usize, SHAPE.k as usize);
        let rows = self.a.chunks_exact(k);
        let output = |row: &[Half], column: usize| {
            let sum = row.iter().enumerate().fold(Half::ZERO, |sum, (k, a)| a.mul_add(self.b[k * n + column], sum).value);
            sum.to_bits() as u64
        };
        rows.flat_map(|row| (0..n).map(move |column| output(row, column))).collect()
    }

    /// Whether it has the bits of the definition.
    pub fn agrees(&self) -> bool {
        let (values, _) = gemm(&self.problem.setup, SHAPE, &self.problem.operands(), KernelChoice::Scalar);
        values.d.iter().eq(self.run())
    }
}
