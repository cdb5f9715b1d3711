//! Published failures of narrow sums, and their published repairs, on the machine.

use systole::machine::Engine;
use systole::run::gemm::{self, Task};
use systole::run::operands::{Generator, Matrix, Role};
use systole_arrays::fast::KernelChoice;
use systole_isa::codes::Codes;
use systole_isa::design::{self, Design};
use systole_isa::format::Format;
use systole_isa::round::encode_f64;

const ENGINES: [Engine; 2] = [Engine::Fast, Engine::Ticked];

fn on(name: &str, settings: &[(&str, &str)]) -> Design {
    let settings: Vec<(String, String)> = settings.iter().map(|(p, v)| ((*p).to_owned(), (*v).to_owned())).collect();
    design::find(name).expect("a built-in design").with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

fn matrix(format: Format, rows: u32, cols: u32, value: impl Fn(usize) -> f64) -> Matrix {
    let code = |i: usize| encode_f64(format, value(i));
    Matrix { rows, cols, codes: Codes::from_fn(format, (rows * cols) as usize, code) }
}

/// Normal values, or their magnitudes, in a format.
fn normal(format: Format, rows: u32, cols: u32, role: Role, positive: bool) -> Matrix {
    let drawn = Generator::Normal.generate(format, rows, cols, role, 0);
    let value = |i: usize| format.to_f64(drawn.codes.get(i));
    matrix(format, rows, cols, |i| if positive { value(i).abs() } else { value(i) })
}

fn values(design: &Design, matrix: &Matrix, output: bool) -> Vec<f64> {
    let format = if output { design.output_format(&design.mac) } else { design.mac.a };
    matrix.codes.iter().map(|code| format.to_f64(code)).collect()
}

/// What the machine makes of A B.
fn product(design: &Design, a: &Matrix, b: &Matrix, engine: Engine) -> Vec<f64> {
    let task = Task::given(design, a.clone(), b.clone(), None, [None, None]).unwrap_or_else(|e| panic!("{e}"));
    let outcome = gemm::run(design, &task, engine, KernelChoice::Auto).unwrap_or_else(|e| panic!("{e}"));
    values(design, &outcome.d.expect("values"), true)
}

/// Relative errors of the machine's outputs, ascending; the exact sums by binary64, which holds
/// them: products of FP8 numbers of this size have few bits.
fn errors(design: &Design, a: &Matrix, b: &Matrix, engine: Engine) -> Vec<f64> {
    let (left, right) = (values(design, a, false), values(design, b, false));
    let (k, n) = (a.cols as usize, b.cols as usize);
    let exact = |i: usize, j: usize| (0..k).map(|t| left[i * k + t] * right[t * n + j]).sum::<f64>();
    let mut errors: Vec<f64> = product(design, a, b, engine)
        .into_iter()
        .enumerate()
        .map(|(at, d)| {
            let exact = exact(at / n, at % n);
            ((d - exact) / exact).abs()
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    errors
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Wang et al. 2018: in 10 significant bits 1024 + 1 ties back to 1024; ties away lose nothing
/// until 2048, where 1 is below half the spacing. Chunks of 64 lose nothing.
#[test]
fn ones_stop_adding_up() {
    let ones = |rows, cols| matrix(Format::E4M3FN, rows, cols, |_| 1.0);
    for (rounding, chunk, sum) in
        [("rne", "none", 1024.0), ("rmm", "none", 2048.0), ("rne", "64", 4096.0), ("rmm", "64", 4096.0), ("rtz", "none", 1024.0)]
    {
        let design = on("e6m9-16x16", &[("mac.rounding", rounding), ("mac.chunk", chunk)]);
        for engine in ENGINES {
            assert_eq!(product(&design, &ones(1, 4096), &ones(4096, 1), engine), [sum], "{rounding}, chunks of {chunk}, {}", engine.name());
        }
    }
    // Stochastic rounding loses nothing on average.
    let design = on("e6m9-16x16", &[("mac.rounding", "sr16")]);
    let sums = ENGINES.map(|engine| product(&design, &ones(8, 4096), &ones(4096, 8), engine));
    assert_eq!(sums[0], sums[1]);
    let mean = sums[0].iter().sum::<f64>() / 64.0;
    assert!((mean / 4096.0 - 1.0).abs() < 0.02, "{mean}");
}

/// The same of positive random operands: errors of one chain grow with its length, those of
/// chunks hardly.
#[test]
fn long_chains_of_positive_products_lose_what_chunks_keep() {
    let e5m2: Format = "e5m2".parse().expect("a format");
    let formats = [("mac.a", "e5m2"), ("mac.b", "e5m2")];
    let mut before = 0.0;
    for (k, naive_at_least, chunked_at_most) in [(1024, 0.02, 0.005), (4096, 0.1, 0.005), (16384, 0.4, 0.01)] {
        let a = normal(e5m2, 8, k, Role::A, true);
        let b = normal(e5m2, k, 8, Role::B, true);
        let error = |settings: &[(&str, &str)]| {
            let design = on("e6m9-16x16", &[&formats[..], settings].concat());
            median(&errors(&design, &a, &b, Engine::Fast))
        };
        let (naive, chunked, stochastic) = (error(&[]), error(&[("mac.chunk", "64")]), error(&[("mac.rounding", "sr16")]));
        println!("K = {k}: one chain {naive:.4}, chunks of 64 {chunked:.5}, stochastic {stochastic:.4}");
        assert!(naive > naive_at_least && naive > before && chunked < chunked_at_most, "K = {k}: {naive} {chunked}");
        assert!(stochastic < naive / 2.0, "K = {k}: {stochastic}");
        before = naive;
    }
}

/// Tensor cores of the Hopper kind keep 13 fraction bits below the largest term of a sum: over a
/// long sum small products are cut off, all towards zero. Promoted to fp32 every 128 products
/// (DeepSeek-V3 2024, section 3.3.2) they are not.
#[test]
fn promotion_repairs_fourteen_bit_sums() {
    let (accumulating, promoted) = (on("h100-fp8", &[]), on("deepseek-fp8", &[]));
    let unit = |design: &Design| (design.mac.unit, design.mac.lanes, design.mac.accumulator, design.mac.rounding);
    assert_eq!(unit(&accumulating), unit(&promoted));
    let k = 4096;
    for (positive, ratio) in [(true, 30.0), (false, 3.0)] {
        let a = normal(Format::E4M3FN, 8, k, Role::A, positive);
        let b = normal(Format::E4M3FN, k, 8, Role::B, positive);
        let [long, short] = [&accumulating, &promoted].map(|design| {
            let [fast, ticked] = ENGINES.map(|engine| errors(design, &a, &b, engine));
            assert_eq!(fast, ticked, "{}", design.name);
            fast
        });
        println!(
            "positive {positive}: throughout {:.5} (at most {:.4}), promoted {:.6} (at most {:.5})",
            median(&long),
            long[long.len() - 1],
            median(&short),
            short[short.len() - 1]
        );
        assert!(median(&long) > ratio * median(&short), "{} {}", median(&long), median(&short));
    }
}

/// A product as long as a weight gradient's of 64 images of 16 x 16: 9-bit sums of the
/// magnitudes end at a fraction of what they are.
#[test]
fn gradients_over_many_positions_need_chunks() {
    let k = 64 * 16 * 16;
    let a = normal(Format::E4M3FN, 8, k, Role::A, true);
    let b = normal(Format::E4M3FN, k, 8, Role::B, true);
    let error = |name| median(&errors(&on(name, &[]), &a, &b, Engine::Fast));
    let (narrow, chunked) = (error("narrow-16x16"), error("narrow-chunked-16x16"));
    println!("K = {k}: narrow {narrow:.4}, chunked {chunked:.4}");
    assert!(narrow > 0.9 && chunked < 0.15, "{narrow} {chunked}");
}
