//! Arithmetic whose speed is of interest, one line each.

use crate::datapath::Output;
use crate::fast::KernelChoice;
use crate::problem::{Operands, Scales, Setup, Shape, scale_extents};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, MacMode, Product, Scaling, Unit, find};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, Rounding, encode_f64};

/// The array every case runs on.
pub const ARRAY: ArraySpec = ArraySpec::output_stationary(16, 16);

/// What operands hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Every code that is no NaN.
    All,
    /// Those without the leading exponent bit: floats below 2, whose sums stay in the range of
    /// 16-bit accumulators.
    Small,
}

/// A mode of arithmetic and what it multiplies.
#[derive(Clone, Debug)]
pub struct Case {
    /// What reports call it.
    pub name: &'static str,
    /// Mode and array.
    pub setup: Setup,
    /// Operands.
    pub data: Data,
    /// The kernels it is about; `Auto` where it takes whatever the caller allows.
    pub choice: KernelChoice,
}

/// A product to compute.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Mode and array.
    pub setup: Setup,
    /// Extents.
    pub shape: Shape,
    a: Codes,
    b: Codes,
    scales: Option<[Codes; 2]>,
}

impl Case {
    /// Its product of these extents: codes evenly drawn, block scales within a factor of 8.
    pub fn problem(&self, shape: Shape) -> Problem {
        let mode = &self.setup.mode;
        let scales = (mode.scale != Scaling::None).then(|| {
            let near_one = encode_f64(mode.scale_format, 1.0);
            scale_extents(mode, shape)
                .map(|(rows, cols)| Codes::from_fn(mode.scale_format, (rows * cols) as usize, |i| near_one + i as u64 % 4))
        });
        let draw = |format, rows, cols, seed| operand(format, rows as usize * cols as usize, self.data, seed);
        let (a, b) = (draw(mode.a, shape.m, shape.k, 1), draw(mode.b, shape.k, shape.n, 2));
        Problem { setup: self.setup.clone(), shape, a, b, scales }
    }
}

impl Problem {
    /// The operands.
    pub fn operands(&self) -> Operands<'_> {
        let mut operands = Operands::new(&self.a, &self.b, None);
        if let Some([a, b]) = &self.scales {
            operands.scales = Scales { a: Some(a), b: Some(b) };
        }
        operands
    }

    /// The same product of some rows of A alone: those rows of D, where each row of A has block
    /// scales of its own and no random bits depend on its place.
    pub fn of_rows(&self, rows: &[u32]) -> Self {
        let gather = |codes: &Codes, format, cols: usize| {
            Codes::from_fn(format, rows.len() * cols, |i| codes.get(rows[i / cols] as usize * cols + i % cols))
        };
        let mode = &self.setup.mode;
        let a = gather(&self.a, mode.a, self.shape.k as usize);
        let shape = Shape { m: rows.len() as u32, ..self.shape };
        let scales = self.scales.as_ref().map(|[of_a, of_b]| {
            let [(scale_rows, blocks), _] = scale_extents(mode, shape);
            let first = |i: usize| rows[i * mode.scale_rows as usize] / mode.scale_rows;
            let of_rows = Codes::from_fn(mode.scale_format, (scale_rows * blocks) as usize, |i| {
                of_a.get((first(i / blocks as usize) * blocks) as usize + i % blocks as usize)
            });
            [of_rows, of_b.clone()]
        });
        Self { setup: self.setup.clone(), shape, a, b: self.b.clone(), scales }
    }

    /// Rows spread over the product, or its first where a row's place matters to its bits.
    pub fn sample(&self, count: u32) -> Vec<u32> {
        let count = count.clamp(1, self.shape.m);
        let mode = &self.setup.mode;
        if mode.random_bits() > 0 || mode.scale_rows > 1 {
            return (0..count).collect();
        }
        (0..count).map(|i| (u64::from(i) * u64::from(self.shape.m - 1) / u64::from(count.max(2) - 1)) as u32).collect()
    }
}

fn operand(format: Format, len: usize, data: Data, seed: u64) -> Codes {
    let mut state = seed;
    let bits = format.bits();
    Codes::from_fn(format, len, |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let code = state >> (64 - bits);
        let code = if data == Data::Small { code & !(1 << (bits - 2)) } else { code };
        if format.is_nan(code) { 0 } else { code }
    })
}

/// A chain of fused multiply-adds of e4m3fn.
fn chain(accumulator: &str, edit: impl FnOnce(&mut MacMode)) -> Setup {
    of_operands("e4m3fn", accumulator, edit)
}

fn of_operands(operand: &str, accumulator: &str, edit: impl FnOnce(&mut MacMode)) -> Setup {
    let format = |name: &str| name.parse::<Format>().expect("a format");
    let mut mode = MacMode::fused(format(operand), format(operand), format(accumulator));
    edit(&mut mode);
    let output = Output { format: mode.outermost(), policy: Policy::RNE };
    Setup { array: ARRAY, mode, bias_a: 0, bias_b: 0, output, site: Site::default() }
}

fn rounded(rounding: Rounding) -> Setup {
    chain("e6m9", |m| m.rounding = rounding)
}

fn of_design(name: &str) -> Setup {
    let design = find(name).expect("a built-in design");
    let output = Output { format: design.output_format(&design.mac), policy: Policy::RNE };
    Setup { array: ARRAY, mode: design.mac, bias_a: 0, bias_b: 0, output, site: Site::default() }
}

/// Every case. Operands are e4m3fn unless the name says otherwise.
pub fn cases() -> Vec<Case> {
    use Data::{All, Small};
    let scaled = |length| {
        move |m: &mut MacMode| {
            (m.chunk, m.scale) = (Some(length), Scaling::Chunk);
        }
    };
    let auto = [
        ("fp32", All, chain("fp32", |_| {})),
        ("fp16 in range", Small, chain("fp16", |_| {})),
        ("fp16 overflowing", All, chain("fp16", |_| {})),
        ("fp16 saturating", All, chain("fp16", |m| m.overflow = Overflow::Saturate)),
        ("fp16 sr8 overflowing", All, chain("fp16", |m| m.rounding = Rounding::Sr(8))),
        ("e6m9", Small, rounded(Rounding::Rne)),
        ("e6m9 chunks of 64 into fp32", Small, chain("e6m9", |m| (m.chunk, m.outer) = (Some(64), Some(Format::FP32)))),
        ("e6m9 rtz", Small, rounded(Rounding::Rtz)),
        ("e6m9 rdn", Small, rounded(Rounding::Rdn)),
        ("e6m9 rup", Small, rounded(Rounding::Rup)),
        ("e6m9 rmm", Small, rounded(Rounding::Rmm)),
        ("e6m9 rod", Small, rounded(Rounding::Rod)),
        ("e6m9 sr8", Small, rounded(Rounding::Sr(8))),
        ("e6m9 products in fp16", Small, chain("e6m9", |m| m.product = Product::Rounded(Format::FP16))),
        ("e6m5", All, chain("e6m5", |_| {})),
        ("e8m13", All, chain("e8m13", |_| {})),
        (
            "kulisch fx96.32 out to fp32",
            All,
            Setup { output: Output { format: Format::FP32, policy: Policy::RNE }, ..chain("fx96.32", |_| {}) },
        ),
        ("exact tree of 24 into fp32", Small, chain("fp32", |m| (m.unit, m.lanes) = (Unit::Exact, 24))),
        ("fp32 chunks of 32, scaled", Small, chain("fp32", scaled(32))),
        ("fp32 chunks of 128, scaled", Small, chain("fp32", scaled(128))),
        ("h100-fp8", Small, of_design("h100-fp8")),
        ("b200-fp8", Small, of_design("b200-fp8")),
        ("a100-fp16", Small, of_design("a100-fp16")),
        ("mxfp8-16x16", Small, of_design("mxfp8-16x16")),
        ("bm8-16x16", Small, of_design("bm8-16x16")),
        ("posit8 into quire", All, of_design("posit8-16x16")),
        ("int8 into int32", All, of_operands("int8", "int32", |_| {})),
        ("int8 into int16, wrapping", All, of_operands("int8", "int16", |_| {})),
    ];
    let forced = [
        ("portable fp32", All, chain("fp32", |_| {}), KernelChoice::Portable),
        ("portable e6m9", Small, rounded(Rounding::Rne), KernelChoice::Portable),
        ("scalar fp32", All, chain("fp32", |_| {}), KernelChoice::Scalar),
        ("scalar e6m9", Small, rounded(Rounding::Rne), KernelChoice::Scalar),
    ];
    auto.into_iter()
        .map(|(name, data, setup)| (name, data, setup, KernelChoice::Auto))
        .chain(forced)
        .map(|(name, data, setup, choice)| Case { name, setup, data, choice })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fast::gemm;

    #[test]
    fn rows_alone_are_rows_of_the_whole() {
        let shape = Shape { m: 21, n: 9, k: 100 };
        for case in cases() {
            let problem = case.problem(shape);
            let rows = problem.sample(5);
            let part = problem.of_rows(&rows);
            let (whole, _) = gemm(&problem.setup, shape, &problem.operands(), KernelChoice::Portable);
            let (rows_of_it, _) = gemm(&part.setup, part.shape, &part.operands(), KernelChoice::Scalar);
            for (i, code) in rows_of_it.d.iter().enumerate() {
                let at = rows[i / 9] as usize * 9 + i % 9;
                assert_eq!(code, whole.d.get(at), "{} row {}", case.name, rows[i / 9]);
            }
        }
    }

    #[test]
    fn names_are_unlike() {
        let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
