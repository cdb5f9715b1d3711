//! Products by kernels, each by turns with the native product and the scalar loop.

use super::Options;
use super::softfloat::SoftFloat;
use super::turns::{Speed, by_turns, ratio};
use std::hint::black_box;
use systole_arrays::bench::{Case, Problem, cases, sgemm};
use systole_arrays::fast::{KernelChoice, KernelUse, gemm};
use systole_arrays::problem::Shape;
use systole_isa::codes::Codes;

/// Extent of the product that tells how long a larger one would take.
const PROBE: u32 = 128;

/// A case measured.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The kernel that ran.
    pub kernel: &'static str,
    /// Why no faster one did.
    pub reason: String,
    /// Extent of the product in every direction.
    pub side: u32,
    /// How fast, or how its bits are wrong.
    pub outcome: Result<Outcome, String>,
}

/// How fast a case is.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// MACs a second.
    pub speed: Speed,
    /// Times as fast as the native product.
    pub of_native: f64,
    /// Times as fast as the scalar loop, if that computes the right bits.
    pub of_softfloat: Option<f64>,
}

const fn cube(side: u32) -> Shape {
    Shape { m: side, n: side, k: side }
}

/// Measures every case, and over all rounds the native product and the scalar loop.
pub fn measure(options: &Options, progress: &impl Fn(&str)) -> (Vec<Row>, [Option<Speed>; 2]) {
    let cases: Vec<Case> = cases();
    let softfloat = cases.iter().find(|case| case.name == "fp16 in range").map(SoftFloat::new).filter(SoftFloat::agrees);
    let native_shape = cube(options.size);
    let len = native_shape.m as usize * native_shape.n as usize;
    let values = |seed: usize| (0..len).map(|i| ((i * 7 + seed) % 31) as f32 / 16.0 - 1.0).collect::<Vec<f32>>();
    let (a, b, mut d) = (values(1), values(2), vec![0.0; len]);

    let (mut native_seconds, mut softfloat_seconds) = (Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for case in cases.iter().filter(|case| options.wants(case.name)) {
        progress(case.name);
        let choice = if case.choice == KernelChoice::Auto { options.kernel } else { case.choice };
        let side = affordable(case, choice, options);
        let problem = case.problem(cube(side));
        let (used, agreed) = check(&problem, choice, options.checked_rows());
        let outcome = agreed.and_then(|()| {
            let [native, scalar, this] = by_turns(
                options.pace(),
                [
                    &mut || sgemm(native_shape, black_box(&a), &b, &mut d),
                    &mut || {
                        softfloat.as_ref().map(|soft| black_box(soft.run()));
                    },
                    &mut || {
                        black_box(gemm(black_box(&problem.setup), problem.shape, &problem.operands(), choice));
                    },
                ],
            );
            let macs = problem.shape.macs() as f64;
            let speed = Speed::new(macs, &this).ok_or("no rounds")?;
            let of_native = ratio(macs, &this, native_shape.macs() as f64, &native).ok_or("no rounds")?;
            let of_softfloat = softfloat.as_ref().and_then(|_| ratio(macs, &this, SoftFloat::macs(), &scalar));
            native_seconds.extend(native);
            softfloat_seconds.extend(scalar);
            Ok(Outcome { speed, of_native, of_softfloat })
        });
        rows.push(Row { name: case.name, kernel: used.name, reason: used.reason, side, outcome });
    }
    let native = Speed::new(native_shape.macs() as f64, &native_seconds);
    let scalar = softfloat.and_then(|_| Speed::new(SoftFloat::macs(), &softfloat_seconds));
    (rows, [native, scalar])
}

/// The largest extent, halving from the one asked for, whose product does not take long.
fn affordable(case: &Case, choice: KernelChoice, options: &Options) -> u32 {
    let probe = case.problem(cube(PROBE.min(options.size)));
    let [once, again] = [0, 1].map(|_| {
        options.pace().clock.time(|| {
            black_box(gemm(&probe.setup, probe.shape, &probe.operands(), choice));
        })
    });
    let per_mac = once.min(again) / probe.shape.macs() as f64;
    let longest = if options.quick { 0.1 } else { 0.6 };
    let mut side = options.size;
    while side > 64 && cube(side).macs() as f64 * per_mac > longest {
        side /= 2;
    }
    side
}

/// Holds rows of the product against the definition, or against plain Rust where it is the
/// definition that is timed.
fn check(problem: &Problem, choice: KernelChoice, count: u32) -> (KernelUse, Result<(), String>) {
    let (whole, used) = gemm(&problem.setup, problem.shape, &problem.operands(), choice);
    let other = if used.name == "scalar" { KernelChoice::Portable } else { KernelChoice::Scalar };
    let rows = problem.sample(count);
    let part = problem.of_rows(&rows);
    let (again, other_used) = gemm(&part.setup, part.shape, &part.operands(), other);
    let agreed = match differing(&whole.d, problem.shape.n as usize, &rows, &again.d) {
        None => Ok(()),
        Some((row, column)) => Err(format!("differs from {} at row {row}, column {column}", other_used.name)),
    };
    (used, agreed)
}

/// Where the first of these rows of a matrix differs from the same rows computed again.
fn differing(whole: &Codes, columns: usize, rows: &[u32], again: &Codes) -> Option<(u32, usize)> {
    let places = rows.iter().flat_map(|&row| (0..columns).map(move |column| (row, column)));
    places.zip(again.iter()).find(|&((row, column), code)| whole.get(row as usize * columns + column) != code).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::Format;

    #[test]
    fn one_wrong_code_is_found() {
        let whole = Codes::from_fn(Format::FP16, 40, |i| i as u64);
        let mut again = Codes::from_fn(Format::FP16, 20, |i| if i < 10 { 10 + i as u64 } else { 20 + i as u64 });
        assert_eq!(differing(&whole, 10, &[1, 3], &again), None);
        again.set(17, 0);
        assert_eq!(differing(&whole, 10, &[1, 3], &again), Some((3, 7)));
    }
}
